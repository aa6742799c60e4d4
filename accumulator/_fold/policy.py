"""Where the reference has objects and lists, in what else may come; and how a value is found not to fit in there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

if TYPE_CHECKING:
    from accumulator._fold.nodes import Json


class Shape(msgspec.Struct, frozen=True):
    """Where the reference has an object, or a keyed list of such objects: the shapes of the fields that matter.

    `parts` marks the keyed list whose entries are handed out one by one: tool calls, content parts.
    """

    fields: Mapping[str, Shape]
    keyed: bool = False
    parts: bool = False


ANY = Shape({})
"""What the reference leaves open: nothing is needed there."""

_CALLS = Shape({"code_interpreter": Shape({"outputs": Shape({}, keyed=True)})}, keyed=True, parts=True)
STEP = Shape({"step_details": Shape({"tool_calls": _CALLS})})

_CONTENT = Shape({"text": Shape({"annotations": Shape({}, keyed=True)})}, keyed=True, parts=True)
MESSAGE = Shape({"content": _CONTENT})

Path: TypeAlias = Union["tuple[Path, str | int]", None]
"""A JSON path from its end: the parent's path and a key or position; None is the root."""


class Misfit(Exception):  # noqa: N818 - no error of the library: it never leaves it
    """A wrong JSON type where the fold needs another: the whole event stays out."""

    def __init__(self, path: Path, message: str) -> None:
        """Keep where, and what was expected and came."""
        super().__init__(message)
        self.path = path
        self.message = message


def path_keys(path: Path) -> list[str | int]:
    """Return the keys and positions of a path, from the root on."""
    keys: list[str | int] = []
    while path is not None:
        path, key = path
        keys.append(key)
    return keys[::-1]


def json_type(value: object) -> str:
    """Return the JSON name of a value's type, for messages."""
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def check(value: Json, shape: Shape, path: Path) -> None:
    """Raise `Misfit` where a value lacks the objects and lists that the fold needs."""
    if not shape.keyed:
        _check_object(value, shape, path)
        return
    if not isinstance(value, list):
        raise Misfit(path, f"expected a list, got {json_type(value)}")
    for position, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise Misfit((path, position), f"expected an object, got {json_type(entry)}")
        kind = entry.get("type")
        if kind is not None and not isinstance(kind, str):
            raise Misfit(((path, position), "type"), f"expected a text, got {json_type(kind)}")
        if shape.fields:
            _check_object(entry, shape, (path, position))


def _check_object(value: Json, shape: Shape, path: Path) -> None:
    if not isinstance(value, dict):
        raise Misfit(path, f"expected an object, got {json_type(value)}")
    for key, inner in shape.fields.items():
        found = value.get(key)
        if found is not None:
            check(found, inner, (path, key))


def usable_index(entry: Json) -> int | None:
    """Return the key that the JSON of an entry names, None unless that is an integer of 0 or more."""
    index = entry.get("index") if isinstance(entry, dict) else None
    return index if type(index) is int and index >= 0 else None


def indexed(value: list[Json]) -> bool:
    """Tell whether a list is keyed by its own look: it has entries, and each is an object with a usable index."""
    return bool(value) and all(usable_index(entry) is not None for entry in value)
