"""What tool calls have in common: one way to read name, input and output, and the payload of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from accumulator._json import dump_json
from accumulator._model import Field, Model, WithArguments, get_member

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME: Final = ("name",)
INPUT: Final = ("input", "arguments", "requesturl", "action")
OUTPUT: Final = ("output", "response_metadata")
"""The keys under which tools have their name, input and output, in order of preference.

A call has them itself, in the object under the name of its type, or in that under `function`: calls of the type
"openapi" have it there. They are looked for in this order; no other object of the call counts.
"""


class Call(WithArguments):
    """A second base, besides `Model`, of each tool call."""

    __slots__ = ()

    _has_known_payload = True
    """Whether a payload can only be under the type or under `function`."""

    @property
    def name(self) -> str:
        """The name of the function or tool that is called; the type if the call has no name, "" if it has no type."""
        name = self._find(NAME)
        return name if isinstance(name, str) and name else self._own_type()

    @property
    def input(self) -> str | None:
        """What the tool got, as text: code, arguments, a query or an address; None if the server sent none.

        A value that is not a text is its JSON text.
        """
        return _as_text(self._find(INPUT))

    @property
    def output(self) -> str | None:
        """What came back, as text; None while there is none. A value that is not a text is its JSON text."""
        return _as_text(self._find(OUTPUT))

    def _find(self, keys: tuple[str, ...]) -> object:
        """Return the first value but null that the call or its payload has under one of the keys."""
        objects = (self._json, *self._payloads())
        return next((value for json in objects for key in keys if (value := json.get(key)) is not None), None)

    def _payloads(self) -> list[Mapping[str, object]]:
        """Return the objects under the type and under `function`, or else the only object of a tool without a class."""
        found = _objects(self._json.get(key) for key in (self._own_type(), "function"))
        if found or self._has_known_payload or any(key in self._json for key in (*NAME, *INPUT, *OUTPUT)):
            return found
        others = _objects(self._json.values())
        return others if len(others) == 1 else []

    def _own_type(self) -> str:
        kind: object = getattr(self, "type", None)  # a field of each class
        return kind if isinstance(kind, str) else ""

    def _arguments(self) -> object:
        return self._find(("arguments",))


class Function(WithArguments, Model):
    """A function's name, the arguments to call it with, and the output that was submitted."""

    name: Field[str | None] = Field("Name of the function.")
    arguments: Field[str | None] = Field("The arguments as the model wrote them, meant to be JSON text.")
    output: Field[str | None] = Field(
        "The output that was submitted for the call; None until the step ends, which is in the next body of the run."
    )


def _objects(values: Iterable[object]) -> list[Mapping[str, object]]:
    return [cast("Mapping[str, object]", each) for each in values if isinstance(each, dict)]


def join_texts(value: object, *keys: str) -> str | None:
    """Return the texts under keys within each other, joined by line breaks; None if there is none.

    Where a list is found, the next key is looked for in each of its entries.
    """
    found = [value]
    for key in keys:
        members = (get_member(each, key) for each in found)
        found = [each for member in members for each in _entries(member)]
    texts = [each for each in found if isinstance(each, str)]
    return "\n".join(texts) if texts else None


def _entries(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else [value]


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else dump_json(value)
