"""Models: typed, read-only classes over JSON objects, and their fields.

A `Model` stores the JSON object that it was made of, which may be shared with other models, and never changes it. A
`Field` looks up its key whenever the field is read. Therefore no field rejects a value, no key is lost, and `to_dict`
returns a copy of what was sent.
"""

from __future__ import annotations

import reprlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Never, NoReturn, Self, TypeAlias, TypeVar, cast, overload

from msgspec import Struct

from accumulator._errors import DecodeError
from accumulator._json import copy_json, dump_json, json_type, parse_json, plain_json, same_json

if TYPE_CHECKING:
    from collections.abc import KeysView

    from accumulator._display import Printer

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_M = TypeVar("_M", bound="Model")
_new = object.__new__
_SCALARS = (str, int, float, type(None))

PlainDict: TypeAlias = dict[str, object]
"""A JSON object that has no model. Classes with a field named `object` need this alias: the field hides the builtin."""


class Field(Generic[_T_co]):
    """A key of a model. Reading the field returns the JSON value of the key.

    Null and an absent key read as None. A value of another type than the declared one is returned too. A read costs one
    lookup. Each read of a nested object makes a new model, and each read of an object or list without a model makes a
    deep copy.
    """

    def __init__(self, doc: str, view: Callable[[Mapping[str, object]], _T_co] | None = None) -> None:
        """Store the documentation of the field, and the function that makes a model of an object, if any."""
        self.__doc__ = doc
        self._wrap = view
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
        # Fields may read the private attribute of their model.
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
    """A key of a model whose value is a list. Reading the field returns a tuple with a model for each object.

    Null and an absent key read as (). An entry that is not an object, and a value that is not a list, is returned as a
    deep copy.
    """

    def __init__(self, doc: str, entry: Callable[[Mapping[str, object]], _T_co]) -> None:
        """Store the documentation of the field, and the function that makes a model of an entry."""
        super().__init__(doc)
        self._wrap_entry = entry

    def _read(self, value: object) -> tuple[_T_co, ...]:
        if value is None or isinstance(value, list):
            return wrap_list(cast("object", value), self._wrap_entry)
        return cast("tuple[_T_co, ...]", copy_json(value))


class _TypeField(Field[object]):
    """The key `type` of a model. An absent type, null and "" read as the type that all objects of the class have."""

    def __init__(self, doc: str, own: object) -> None:
        """Store the documentation, and the type of the class; None if the class is for objects of any type."""
        super().__init__(doc)
        self.own = own

    def _read(self, value: object) -> object:
        return self.own if value is None or value == "" else super()._read(value)


UnknownType: TypeAlias = Literal["(unknown)"]
"""For type checkers: a type that no class of a union has. When the program runs, `type` is the text that was sent.

A literal that no server sends makes `call.type == "function"` narrow a union to one class. To compare with a type that
has no class, use `str(call.type)`.
"""


def type_field(own: _T, doc: str = "") -> _T:
    """Return the field `type` of a class of a union, for type checkers the type of the class.

    Args:
        own: the type of all objects of the class; None if the class is for objects of any other type.
        doc: the documentation; by default it says `own`.

    """
    return cast("_T", _TypeField(doc or f'"{own}", also if the server sent no type.', own))


class Visible:
    """A base of what rich, IPython and Jupyter show by its parts. A subclass says which these are, in `__shown__`.

    Nothing in the texts of a server has an effect where it is shown. Long texts and lists are cut, null is left out. A
    subclass with a `__repr__` must repeat `_repr_pretty_`: IPython prefers what it finds in the class itself.
    """

    __slots__ = ()

    @abstractmethod
    def __shown__(self) -> dict[str, object]:
        """Return the parts to show, by name."""

    def __rich_repr__(self) -> Iterator[tuple[str, object]]:
        from accumulator._display import brief

        yield from ((name, brief(part)) for name, part in self.__shown__().items() if part is not None)

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:  # noqa: FBT001 - as IPython calls it
        from accumulator._display import print_pretty

        print_pretty(self, printer, cycle=cycle)

    def _repr_html_(self) -> str:
        from accumulator._display import to_html

        return to_html(self)


class Plain(Visible):
    """A base of what has JSON as its plain form, models and updates, for pydantic: `from_dict` reads it."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make an instance of its plain form, or raise `DecodeError`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, object]:
        from accumulator._pydantic import core_schema

        return core_schema(cls, cls._read_any)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, object]:
        from accumulator._pydantic import json_schema

        return json_schema(cls)

    @classmethod
    def _read_any(cls, value: object) -> Self:
        """Make an instance for pydantic, which tries the classes of a union one by one and needs `ValueError`."""
        try:
            return cls.from_dict(cast("Mapping[str, object]", value))
        except DecodeError as exc:
            raise ValueError(str(exc)) from exc


class _Slotted(type):
    """A metaclass that gives each class `__slots__ = ()`, unless the class body has `__slots__`.

    The instances of a subclass have no `__dict__`, although the subclass does not say so.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> _Slotted:
        return super().__new__(cls, name, bases, {"__slots__": (), **namespace})


class Model(Plain, metaclass=_Slotted):
    """A typed, frozen JSON object. Its fields look up their values when they are read and reject none, see `Field`.

    Two models are equal if they have the same class and `json.dumps(x, sort_keys=True)` is the same for their JSON: the
    order of keys does not matter, and 1, 1.0 and true differ. A model is not hashable, because it may be large. It can
    be pickled. `copy.copy` and `copy.deepcopy` return the model itself, because it never changes.
    """

    __slots__ = ("_json", "_read_json")

    if TYPE_CHECKING:  # `get_type_hints` looks names up in the public module, which lacks `Mapping` and `ClassVar`
        _json: Mapping[str, object]
        _read_json: Callable[[], Mapping[str, object]]
        __hash__: ClassVar[None]  # type: ignore[assignment]

        def __bool__(self) -> Literal[True]:
            """Let `call.function and call.function.name` have the type of the name or None."""
            ...
    else:
        __hash__ = None

        def __getattr__(self, name: str) -> object:
            """Read the JSON of a model that `wrap_later` made, at the first use."""
            if name != "_json":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            self._json = json = self._read_json()
            # For another thread that is here too. It keeps nothing but the JSON alive.
            self._read_json = cast("dict[str, object]", json).copy
            return json

    _names: tuple[str, ...] = ()

    def __init__(self) -> None:
        """Raise `TypeError`: use `from_dict` or `from_json`.

        Raises:
            TypeError: always.

        """
        raise TypeError(f"use {type(self).__name__}.from_dict or from_json: a model is made of JSON")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._names += tuple(name for name, value in vars(cls).items() if isinstance(value, Field))

    @classmethod
    def wrap(cls, json: Mapping[str, object]) -> Self:
        """Make a model of a JSON object without a copy of the object.

        The object must be a dict of JSON values that is not changed any more. Use `from_dict` for any other data.
        """
        model = _new(cls)
        model._json = json  # noqa: SLF001 - an attribute of this class
        return model

    @classmethod
    def wrap_later(cls, read: Callable[[], Mapping[str, object]]) -> Self:
        """Make a model of the JSON object that `read` returns. It is called once, when the model is first used."""
        model = _new(cls)
        model._read_json = read  # noqa: SLF001 - an attribute of this class
        return model

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make a model of a deep copy of a mapping, which may have any keys.

        Raises:
            DecodeError: the value is not a mapping, or something in it is not a JSON value. The message names the JSON
                path, and the type or value found there.

        """
        if not isinstance(value, Mapping):
            raise DecodeError(f"expected a mapping for {cls.__name__}, got {type(value).__qualname__}")
        try:
            return cls.wrap(cast("dict[str, object]", plain_json(value)))
        except ValueError as exc:
            raise DecodeError(f"{cls.__name__}: {exc}") from exc

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a model of JSON text. Bytes are read as UTF-8. Of duplicate keys the last counts.

        Raises:
            DecodeError: the text is not JSON, or not an object. NaN, Infinity, a float above the largest double, an
                integer of more than 4,300 digits, and more than 128 levels of nesting are rejected too.

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
        """A deep copy of the keys and values that the class does not declare, in the order of the JSON."""
        names = self._names
        return {key: copy_json(value) for key, value in self._json.items() if key not in names}

    def to_dict(self) -> dict[str, object]:
        """Return a deep copy of the JSON object.

        An absent key is absent, null is None, 1 is an int and 1.0 a float. Unknown keys are included, in their order.
        """
        return cast("dict[str, object]", copy_json(self._json))

    def to_json(self) -> str:
        """Return the JSON object as compact text. Of characters outside ASCII, only lone surrogates are escaped."""
        return dump_json(self._json)

    def keys(self) -> KeysView[str]:
        """Return the keys of the JSON object. `dict(model)` is `to_dict()`, for frameworks that call `dict`.

        FastAPI does so in an endpoint without a return annotation, and fails to write a lone surrogate. With one, such
        as `-> Message`, it asks pydantic, and the surrogate becomes U+FFFD.
        """
        return self._json.keys()

    def __getitem__(self, key: str) -> object:
        return copy_json(self._json[key])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return same_json(self._json, other._json)

    def __shown__(self) -> dict[str, object]:
        """Return the fields that the JSON object has, by name, and what is left over as "extra"."""
        shown = {name: getattr(self, name) for name in self._names if name in self._json}
        return {**shown, "extra": extra} if (extra := self.extra) else shown

    def __repr__(self) -> str:
        shown = self.__shown__().items()
        return f"{type(self).__name__}({', '.join(f'{name}={_SHORT.repr(value)}' for name, value in shown)})"

    _repr_pretty_ = Visible._repr_pretty_

    @classmethod
    def _read_any(cls, value: object) -> Self:
        field: object = getattr(cls, "type", None)
        own, sent = getattr(field, "own", None), get_member(value, "type")
        if own is not None and sent not in (None, "", own):
            raise ValueError(f"expected the type {own!r} for {cls.__name__}, got another")
        return super()._read_any(value)

    def __reduce__(self) -> tuple[object, ...]:
        # `wrap` is a method of a public class. A function would put the name of this private module into each pickle.
        return (type(self).wrap, (self._json,))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Record(Plain, Struct, frozen=True, gc=False):  # type: ignore[misc]  # `__rich_repr__` in place of msgspec's
    """The base of updates: frozen fields, with JSON as their plain form."""

    _readers = dict[str, Callable[[object], object]]()
    """For each field, the function that makes its value of a JSON value, or raises `ValueError`."""

    def to_dict(self) -> dict[str, object]:
        """Return the update as a JSON object that shares nothing with it.

        "type" is the name of the class in snake case, such as "run_step_done". The other keys are the fields.
        """
        return {"type": record_type(type(self)), **{name: self[name] for name in self.__struct_fields__}}

    def to_json(self) -> str:
        """Return `to_dict()` as compact JSON text. Of characters outside ASCII, only lone surrogates are escaped."""
        return dump_json(self.to_dict())

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make an update of what `to_dict` returned. Other keys are ignored.

        Raises:
            DecodeError: the value is not a mapping, has another type, or a field is missing or wrong. The message says
                which, what was expected and what was found.

        """
        kind = record_type(cls)
        if not isinstance(value, Mapping):
            raise DecodeError(f"expected a mapping for {cls.__name__}, got {type(value).__qualname__}")
        if value.get("type") != kind:
            raise DecodeError(f'expected the type "{kind}" for {cls.__name__}, got another')
        fields: dict[str, object] = {}
        for name in cls.__struct_fields__:
            try:
                fields[name] = cls._readers[name](value[name])
            except KeyError as exc:
                raise DecodeError(f"expected {cls.__name__} to have the key {name!r}, it has not") from exc
            except ValueError as exc:
                raise DecodeError(f"{cls.__name__}.{name}: {exc}") from exc
        return cls(**fields)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of `to_dict()`. `dict(update)` is `to_dict()`, for frameworks; see `Model.keys`."""
        return ("type", *self.__struct_fields__)

    def __getitem__(self, key: str) -> object:
        value: object = record_type(type(self)) if key == "type" else getattr(self, key)
        if isinstance(value, Model):
            return value.to_dict()
        ids = _plain_list(value)
        return copy_json(value) if ids is None else ids

    def __shown__(self) -> dict[str, object]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def _plain_list(value: object) -> list[object] | None:
    """Return a sequence that is neither a text nor a list as a list; None for anything else."""
    if isinstance(value, Sequence) and not isinstance(value, (str, list)):
        return list(cast("Sequence[object]", value))
    return None


def record_type(cls: type[Record]) -> str:
    """Return the name of a class in snake case: "run_step_done" for `RunStepDone`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in cls.__name__)[1:]


def read_count(value: object) -> int:
    """Return a number of 0 or more. Raise `ValueError` for anything else, as all readers of fields do."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"expected a whole number of 0 or more, got {json_type(value)}")


def read_text(value: object) -> str:
    """Return a text."""
    if isinstance(value, str):
        return value
    raise ValueError(f"expected a text, got {json_type(value)}")


def read_any(value: object) -> object:
    """Return a copy of any JSON value, as servers may send one in the place of a text."""
    return plain_json(value)


def read_texts(value: object) -> tuple[str, ...]:
    """Return a list of texts as a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(read_text(each) for each in cast("Sequence[object]", value))
    raise ValueError(f"expected a list, got {json_type(value)}")


def or_null(read: Callable[[object], object]) -> Callable[[object], object]:
    """Return a reader that also takes null."""
    return lambda value: None if value is None else read(value)


def read_object(wrap: Callable[[Mapping[str, object]], Model]) -> Callable[[object], object]:
    """Return a reader of an object that makes a model of a copy of it."""

    def read(value: object) -> object:
        if isinstance(value, Mapping):
            return wrap(cast("dict[str, object]", plain_json(cast("object", value))))
        raise ValueError(f"expected an object, got {json_type(value)}")

    return read


class WithArguments:
    """A second base, besides `Model`, of each model that has the arguments of a call."""

    __slots__ = ()
    _json: Mapping[str, object]

    def parse_arguments(self, *, partial: bool = False) -> object:
        """Parse the arguments, which are JSON text, and return their value. Each call costs the length of the text.

        If the server sent another JSON value in place of a text, the result is a copy of the value.

        With `partial`, text that is cut off is parsed as far as it goes. This requires jiter, the extra `partial`:

        - A string is returned as far as it goes.
        - A number has the value of its digits so far.
        - A key without a value, and a literal that is cut off, are left out.
        - Text that has no value yet, and a call without arguments, return None.
        - A lone surrogate reads as U+FFFD until the text is complete.
        - Text after the end of the value is ignored, although it is wrong.

        A delta has only a fragment of the text. Use the snapshot in `Accumulator.tool_call` for all text so far.

        Args:
            partial: whether the text may be cut off, as it is while the call is streamed.

        Raises:
            DecodeError: the text is not JSON or, with `partial`, not the beginning of JSON. Without `partial`, an empty
                text and a call without arguments raise it too. NaN, a float above the largest double, an integer of
                more than 4,300 digits, and more than 128 levels of nesting are rejected. The message has the place and
                no part of the text.
            ImportError: `partial` is true and jiter is not installed.

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
    """Return a function that wraps a JSON object in the model for its `type`, or in `other` if there is no such model.

    If the object has no type, the first type in `models` that is a key of the object counts: objects of the API have
    their content under a key with the name of the type. Like `Model.wrap`, the function makes no copy.
    """
    wraps = {kind: model.wrap for kind, model in models.items()}
    wrap_other = other.wrap

    def wrap(json: Mapping[str, object]) -> _M:
        kind = json.get("type") or next((key for key in wraps if key in json), None)
        return wraps.get(kind, wrap_other)(json) if isinstance(kind, str) else wrap_other(json)

    return wrap


def wrap_list(value: object, wrap: Callable[[Mapping[str, object]], _T_co]) -> tuple[_T_co, ...]:
    """Return a tuple with a model of each object in a list and a copy of each other entry; () if it is not a list."""
    if not isinstance(value, list):
        return ()
    return tuple(
        wrap(cast("dict[str, object]", entry)) if isinstance(entry, dict) else cast("_T_co", copy_json(entry))
        for entry in cast("list[object]", value)
    )


def copy_object(json: Mapping[str, object]) -> PlainDict:
    """Return a deep copy of a JSON object that has no model."""
    return cast("PlainDict", copy_json(json))


def get_member(value: object, key: str) -> object:
    """Return the value of a key of an object; None if the value is not an object or lacks the key."""
    return cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None


class _Short(reprlib.Repr):
    """Shorten long text, long lists and deep nesting in a `repr`. A nested model has its own `repr`."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = 60
        self.maxother = 60

    def repr_instance(self, x: object, level: int) -> str:
        return repr(x) if isinstance(x, Model) else super().repr_instance(x, level)


_SHORT = _Short()
