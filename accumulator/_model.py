"""A typed view over a JSON object: the base of every public data class.

The JSON is the data. A `Model` holds it, shares it and never changes it; a `Field` looks its key up when it is read. So
nothing is rejected, nothing is lost, and what comes back from `to_dict` is what was sent.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, NoReturn, TypeVar, cast, overload

from accumulator._errors import DecodeError
from accumulator._json import copy_json, dump_json, parse_json, plain_json, same_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never, Self

_T_co = TypeVar("_T_co", covariant=True)
_M = TypeVar("_M", bound="Model")
_new = object.__new__
_SCALARS = (str, int, float, type(None))


class Field(Generic[_T_co]):
    """One key of a model: reads the JSON value behind it.

    Absent and null both read None. A value of another type than the declared one is handed through as it came. Reading
    is a lookup; a nested model is built anew by each read; an object or list that has no class comes as a deep copy.
    """

    def __init__(self, doc: str, view: Callable[[dict[str, object]], _T_co] | None = None) -> None:
        """Keep the field's documentation, and what makes an object read from it a model."""
        self.__doc__ = doc
        self._view = view
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
        if self._view is not None and isinstance(value, dict):
            return self._view(cast("dict[str, object]", value))
        return cast("_T_co", copy_json(value))

    def _refuse(self, model: Model) -> NoReturn:
        message = f"{type(model).__name__}.{self._name} is read-only"
        raise AttributeError(message, name=self._name, obj=model)


class ListField(Field[tuple[_T_co, ...]]):
    """One key of a model whose value is a list: reads a tuple of views.

    Absent and null read (). An entry that is no object, and a value that is no list, are handed through as they came.
    """

    def __init__(self, doc: str, entry: Callable[[dict[str, object]], _T_co]) -> None:
        """Keep the field's documentation, and what makes an entry a model."""
        super().__init__(doc)
        self._entry = entry

    def _read(self, value: object) -> tuple[_T_co, ...]:
        if value is None:
            return ()
        if isinstance(value, list):
            return view_entries(cast("list[object]", value), self._entry)
        return cast("tuple[_T_co, ...]", copy_json(value))


class Model:
    """A frozen view over a JSON object; its fields are looked up when they are read.

    Never rejects: see `Field`. Equal to a model of the same class whose JSON is equal in the sense of
    `json.dumps(x, sort_keys=True)`: the order of keys does not count, and 1, 1.0 and true differ. Not hashable, since
    it may be large. Pickles and copies; a copy is the model itself, as nothing that it hands out can change it.
    """

    __slots__ = ("_json",)

    _json: dict[str, object]
    _names: ClassVar[tuple[str, ...]] = ()
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self) -> None:
        """Refuse: a model comes from JSON.

        Raises:
            TypeError: always.

        """
        message = f"use {type(self).__name__}.from_dict or from_json: a model is made of JSON"
        raise TypeError(message)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._names += tuple(name for name, value in vars(cls).items() if isinstance(value, Field))

    @classmethod
    def wrap(cls, json: dict[str, object]) -> Self:
        """Make a view over a JSON object without a copy.

        For JSON that nobody else will change: the model owns it from now on. `from_dict` is for all else.
        """
        model = _new(cls)
        model._json = json  # noqa: SLF001 - the class's own
        return model

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make a model of Python data, copied deeply. Which keys it has does not matter.

        Raises:
            DecodeError: it is no mapping, or something in it is no JSON; the message names the JSON path and what came.

        """
        if not isinstance(value, Mapping):
            message = f"expected a mapping for {cls.__name__}, came {type(value).__qualname__}"
            raise DecodeError(message)
        try:
            return cls.wrap(cast("dict[str, object]", plain_json(value)))
        except ValueError as exc:
            message = f"{cls.__name__}: {exc}"
            raise DecodeError(message) from exc

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a model of JSON text, bytes being UTF-8. Of duplicate keys the last counts.

        Raises:
            DecodeError: it is no JSON, or no JSON object. NaN, Infinity, a float past the largest double, an integer of
                more than 4,300 digits and more than 128 levels of nesting are no JSON either.

        """
        try:
            value = parse_json(text)
        except ValueError as exc:
            message = f"{cls.__name__}: {exc}"
            raise DecodeError(message) from exc
        if not isinstance(value, dict):
            message = f"expected a JSON object for {cls.__name__}, came {type(value).__name__}"
            raise DecodeError(message)
        return cls.wrap(cast("dict[str, object]", value))

    @property
    def extra(self) -> dict[str, object]:
        """The keys that the class does not declare, with their values: a deep copy, in the order of the JSON."""
        names = self._names
        return {key: copy_json(value) for key, value in self._json.items() if key not in names}

    def to_dict(self) -> dict[str, object]:
        """Return the JSON itself, copied deeply.

        What was absent is absent, null is None, 1 is an int and 1.0 a float, unknown keys are in place.
        """
        return copy_json(self._json)

    def to_json(self) -> str:
        """Return the JSON itself as compact text, non-ASCII raw, a lone surrogate escaped so that it can be encoded."""
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
        return (_rebuild, (type(self), self._json))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _rebuild(cls: type[_M], json: dict[str, object]) -> _M:
    return cls.wrap(json)


def view_entries(entries: list[object], view: Callable[[dict[str, object]], _T_co]) -> tuple[_T_co, ...]:
    """Make a view of each entry that is an object, and hand the others through."""
    return tuple(
        view(cast("dict[str, object]", entry)) if isinstance(entry, dict) else cast("_T_co", copy_json(entry))
        for entry in entries
    )


def view_by_type(
    json: dict[str, object],
    views: Mapping[str, Callable[[dict[str, object]], _T_co]],
    other: Callable[[dict[str, object]], _T_co],
) -> _T_co:
    """Make the view that the JSON's `type` asks for; `other` if the API has no such type.

    Where the type is missing, the shape decides: each type of the API names the key that holds its payload.
    """
    kind = json.get("type") or next((key for key in views if key in json), None)
    return views.get(kind, other)(json) if isinstance(kind, str) else other(json)


class _Short(reprlib.Repr):
    """Cuts long text, deep nesting and long lists; models within are shown as models."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = 60
        self.maxother = 60

    def repr_instance(self, x: object, level: int) -> str:
        return repr(x) if isinstance(x, Model) else super().repr_instance(x, level)


_SHORT = _Short()
