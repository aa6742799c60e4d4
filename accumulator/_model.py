"""Models: typed, read-only classes over JSON objects, and the fields that they are made of.

The JSON is the data. A `Model` keeps the JSON object that it was made of, shares it and never changes it. A `Field`
looks its key up each time it is read. So nothing is rejected, nothing is lost, and `to_dict` returns what was sent.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, Never, NoReturn, Self, TypeAlias, TypeVar, cast, overload

from accumulator._errors import DecodeError
from accumulator._json import copy_json, dump_json, parse_json, plain_json, same_json

_T_co = TypeVar("_T_co", covariant=True)
_M = TypeVar("_M", bound="Model")
_new = object.__new__
_SCALARS = (str, int, float, type(None))

PlainDict: TypeAlias = dict[str, object]
"""A JSON object that has no class: a deep copy, made by each read. For classes whose field `object` hides the type."""


class Field(Generic[_T_co]):
    """One key of a model: reads the JSON value behind it.

    Absent and null both read None. A value of another type than the declared one is returned as it was sent. Reading
    is a lookup; a nested model is built anew by each read; an object or list that has no class is copied deeply.
    """

    def __init__(self, doc: str, wrap: Callable[[Mapping[str, object]], _T_co] | None = None) -> None:
        """Take the field's documentation, and what makes a model of a JSON object."""
        self.__doc__ = doc
        self._wrap = wrap
        self._name = ""

    def __set_name__(self, owner: type[Model], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, model: None, owner: type[Model]) -> Self: ...
    @overload
    def __get__(self, model: Model, owner: type[Model]) -> _T_co: ...
    def __get__(self, model: Model | None, owner: type[Model]) -> Self | _T_co:
        if model is None:
            return self
        # A field and its model are one piece.
        json = model._json  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return self._read(json.get(self._name))

    def __set__(self, model: Model, value: Never) -> NoReturn:
        self._refuse(model)

    def __delete__(self, model: Model) -> NoReturn:
        self._refuse(model)

    def _read(self, value: object) -> _T_co:
        if isinstance(value, _SCALARS):
            return cast("_T_co", value)
        if self._wrap is not None and isinstance(value, dict):
            return self._wrap(cast("dict[str, object]", value))
        return cast("_T_co", copy_json(value))

    def _refuse(self, model: Model) -> NoReturn:
        raise AttributeError(f"{type(model).__name__}.{self._name} is read-only", name=self._name, obj=model)


class ListField(Field[tuple[_T_co, ...]]):
    """One key of a model whose value is a list: reads a tuple, with a model for each object in the list.

    Absent and null read (). An entry that is no object, or a value that is no list, is returned as it was sent.
    """

    def __init__(self, doc: str, wrap: Callable[[Mapping[str, object]], _T_co]) -> None:
        """Take the field's documentation, and what makes a model of an entry."""
        super().__init__(doc)
        self._wrap_entry = wrap

    def _read(self, value: object) -> tuple[_T_co, ...]:
        if value is None or isinstance(value, list):
            return wrap_list(cast("object", value), self._wrap_entry)
        return cast("tuple[_T_co, ...]", copy_json(value))


class _Slotted(type):
    """Makes classes whose instances have no attributes but those in a base's `__slots__`."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> _Slotted:
        return super().__new__(cls, name, bases, {"__slots__": (), **namespace})


class Model(metaclass=_Slotted):
    """A typed, frozen JSON object; each field is looked up when it is read.

    A model rejects nothing: see `Field`. Two models are equal if they are of one class and their JSON is equal in the
    sense of `json.dumps(x, sort_keys=True)`: the order of keys does not count, and 1, 1.0 and true differ. A model is
    not hashable, since it may be large. It can be pickled. A copy is the model itself, as nothing that it returns can
    change it.
    """

    __slots__ = ("_json",)

    if TYPE_CHECKING:  # hints of a public class are looked up in the public module, which has no `Mapping`
        _json: Mapping[str, object]
    _names: tuple[str, ...] = ()
    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        """Refuse: a model comes from JSON.

        Raises:
            TypeError: always.

        """
        raise TypeError(f"use {type(self).__name__}.from_dict or from_json: a model is made of JSON")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._names += tuple(name for name, value in vars(cls).items() if isinstance(value, Field))

    @classmethod
    def wrap(cls, json: Mapping[str, object]) -> Self:
        """Make a model of a JSON object without a copy.

        The object must be a dict of JSON values that nobody changes from now on. `from_dict` is for all else.
        """
        model = _new(cls)
        model._json = json  # noqa: SLF001 - the class's own
        return model

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make a model of Python data, copied deeply. It may have any keys.

        Raises:
            DecodeError: it is no mapping, or something in it is no JSON; the message names the JSON path and the type
                or value found there.

        """
        if not isinstance(value, Mapping):
            raise DecodeError(f"expected a mapping for {cls.__name__}, got {type(value).__qualname__}")
        try:
            return cls.wrap(cast("dict[str, object]", plain_json(value)))
        except ValueError as exc:
            raise DecodeError(f"{cls.__name__}: {exc}") from exc

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a model of JSON text; bytes are UTF-8. Of duplicate keys the last counts.

        Raises:
            DecodeError: it is no JSON, or no JSON object. NaN, Infinity, a float past the largest double, an integer of
                more than 4,300 digits and more than 128 levels of nesting are no JSON either.

        """
        try:
            value = parse_json(text)
        except ValueError as exc:
            raise DecodeError(f"{cls.__name__}: {exc}") from exc
        if not isinstance(value, dict):
            raise DecodeError(f"expected a JSON object for {cls.__name__}, got {type(value).__name__}")
        return cls.wrap(cast("dict[str, object]", value))

    @property
    def extra(self) -> dict[str, object]:
        """The keys that the class does not declare, with their values: a deep copy, in the order of the JSON."""
        names = self._names
        return {key: copy_json(value) for key, value in self._json.items() if key not in names}

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object, copied deeply.

        What was absent is absent, null is None, 1 is an int and 1.0 a float, unknown keys are in place.
        """
        return cast("dict[str, object]", copy_json(self._json))

    def to_json(self) -> str:
        """Return the JSON object as compact text: non-ASCII raw, a lone surrogate escaped so that it can be encoded."""
        return dump_json(self._json)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return same_json(self._json, other._json)

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self._names if name in self._json}
        if extra := self.extra:
            shown["extra"] = extra
        return f"{type(self).__name__}({', '.join(f'{name}={_SHORT.repr(value)}' for name, value in shown.items())})"

    def __reduce__(self) -> tuple[object, ...]:
        # A method of a public class: a function of this module would put the module's name into every pickle.
        return (type(self).wrap, (self._json,))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class WithArguments:
    """A base, beside `Model`, of the models that have the arguments of a call."""

    __slots__ = ()
    _json: Mapping[str, object]

    def parse_arguments(self, *, partial: bool = False) -> object:
        """Parse the arguments, which are JSON text, and return their value. Costs their length at each call.

        Arguments that a server sent as a JSON value in place of text are returned as they are, copied.

        Args:
            partial: also take text that is cut off, as while it streams. A string is returned as far as it goes, a
                number by its digits so far; a key without a value and half a literal are left out; None means that
                nothing can be read yet, as without arguments. A lone surrogate reads as U+FFFD while the text is
                incomplete, and what wrongly follows a value is ignored. Needs jiter, the extra `partial`. A delta has
                a fragment of the text only: `Accumulator.tool_call` has the text so far.

        Raises:
            DecodeError: the text is no JSON, nor, with `partial`, the beginning of any. Without `partial`, "" and a
                call without arguments are no JSON. NaN, a float past the largest double, an integer of more than 4,300
                digits and more than 128 levels of nesting never are. The message has the place, and no payload.
            ImportError: `partial`, and jiter is not installed.

        """
        arguments = self._arguments()
        if arguments is not None and not isinstance(arguments, str):
            return copy_json(arguments)
        parse: Callable[[str], object] = parse_json
        if partial:
            from accumulator._partial_json import parse_partial_json as parse
        try:
            return parse(arguments or "")
        except ValueError as exc:
            raise DecodeError(f"arguments of {type(self).__name__}: {exc}") from exc

    def _arguments(self) -> object:
        return self._json.get("arguments")


def by_type(models: Mapping[str, type[_M]], other: type[_M]) -> Callable[[Mapping[str, object]], _M]:
    """Return a function that wraps JSON in the model of its `type`, or in `other` if no model has that type.

    Where the type is missing, the first key of `models` that the JSON has decides: each type of the API names the key
    of its payload. Like `Model.wrap`, the function does not copy.
    """
    wraps = {kind: model.wrap for kind, model in models.items()}
    wrap_other = other.wrap

    def wrap(json: Mapping[str, object]) -> _M:
        kind = json.get("type") or next((key for key in wraps if key in json), None)
        return wraps.get(kind, wrap_other)(json) if isinstance(kind, str) else wrap_other(json)

    return wrap


def wrap_list(value: object, wrap: Callable[[Mapping[str, object]], _T_co]) -> tuple[_T_co, ...]:
    """Wrap each object in a list, and copy the other entries; return () for what is no list."""
    if not isinstance(value, list):
        return ()
    return tuple(
        wrap(cast("dict[str, object]", entry)) if isinstance(entry, dict) else cast("_T_co", copy_json(entry))
        for entry in cast("list[object]", value)
    )


def copy_object(json: Mapping[str, object]) -> PlainDict:
    """Copy a JSON object that has no class."""
    return cast("PlainDict", copy_json(json))


def get_member(value: object, key: str) -> object:
    """Return the value of a key, or None for what is no object."""
    return cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None


class _Short(reprlib.Repr):
    """Shortens text, lists and deep nesting; a nested model is shown by its own `repr`."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = 60
        self.maxother = 60

    def repr_instance(self, x: object, level: int) -> str:
        return repr(x) if isinstance(x, Model) else super().repr_instance(x, level)


_SHORT = _Short()
