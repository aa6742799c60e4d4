"""The result of a merge: the parts that it changed, and the faults that it found.

A `Fault` is what the fold finds. With the number of its event and its resource it becomes a problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from accumulator._fold.nodes import Entry, Keyed, Object, entry_type, snapshot
from accumulator._fold.texts import Text
from accumulator._json import Json, JSONObject, Path, dump_json, same_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._fold.nodes import Node
    from accumulator._fold.policy import Schema

ProblemKind: TypeAlias = Literal["undecodable", "shape", "index", "conflict", "contradiction", "late", "interrupted"]
"""What may be wrong with an event.

undecodable: the data is no JSON, the last block was cut before its data, `done` has other data than `[DONE]`, or
    something else came in the place of a body's events, such as a JSON error or a page of HTML.
shape: a value has another JSON type than the fold needs there, or an id is empty.
index: an entry of a list has no usable `index`.
conflict: a field that keeps its first value, such as `id`, `name` or `type`, got another one.
contradiction: an ending's content differs from what was folded before it.
late: a delta has a value for a field that an ending has settled.
interrupted: an exception, such as a `KeyboardInterrupt`, broke the work on an event off. Text or updates of the last
    events may be missing.
"""

_SHOWN = 80
"""Characters of a field's name, or of a type, that a message shows."""


class Fault(msgspec.Struct, frozen=True):
    """Something that is wrong in an event.

    `raw` is the JSON text of what was left out or replaced, of the entry that has no usable index, or of the entry that
    an ending lacks.
    """

    kind: ProblemKind
    path: Path
    message: str
    raw: str


class Change(msgspec.Struct, frozen=True, gc=False):
    """A part that an event names: its entry, whether it is new, the part as sent, and its path in the event."""

    entry: Entry
    created: bool
    sent: JSONObject
    path: Path


class _Growth(msgspec.Struct, frozen=True):
    """The only thing that a delta did, in a part that existed before.

    Attributes:
        path: the place in the event.
        change: the part that grew.
        objects: the objects whose snapshots become stale.
        entries: the entries whose snapshots become stale, each with its list.

    """

    path: Path
    change: Change
    objects: list[Object]
    entries: list[tuple[Keyed, Entry]]

    def drop_snapshots(self) -> None:
        """Drop the snapshots that become stale."""
        for node in self.objects:
            node.snap = None
        for keyed, entry in self.entries:
            keyed.invalidate(entry)


class TextGrowth(_Growth, frozen=True):
    """A fragment was appended to a text; `owner` holds the text."""

    text: Text
    fragment: str
    owner: Object


class ListGrowth(_Growth, frozen=True):
    """An entry was added to a keyed list; `sent` is its JSON, and `key` the field with its index."""

    keyed: Keyed
    index: int
    sent: JSONObject
    key: str


Growth: TypeAlias = TextGrowth | ListGrowth


class Changes(msgspec.Struct, eq=False):
    """What the merge of one event did.

    Attributes:
        parts: of a delta, the parts that it names, without those left out because their type is not the folded one; of
            a whole object, its new parts.
        faults: what is wrong in the event.
        outside_parts: whether a delta set a field and named no part.
        replaced: whether a delta replaced a value by another.
        growth: the only thing that a delta did, if it was the growth of one part; see `Growth`.

    """

    parts: list[Change] = []
    faults: list[Fault] = []
    outside_parts: bool = False
    replaced: bool = False
    growth: Growth | None = None


NOTHING: Final = Changes()
"""What an event did that changed nothing. It must not be changed."""


def value_conflict(path: Path, key: str, value: Json) -> Fault:
    """Return the fault of a field that keeps its first value and got another."""
    return Fault("conflict", path, f"expected {key[:_SHOWN]!r} as first sent, got another", dump_json(value))


def entry_conflict(known: Callable[[str], Node], sent: JSONObject, schema: Schema, path: Path) -> Fault | None:
    """Return the fault of an entry that cannot be the one it is taken for, and is left out; None if it can.

    Its type is another one or, in a list whose entries do not grow, it is about another part of a text.

    Args:
        known: returns the node that the known entry has under a key.
        sent: the entry as sent.
        schema: the schema of the list.
        path: the place of the entry in its event.

    """
    kind, was = entry_type(sent), known("type")
    if kind and isinstance(was, str) and was not in {"", kind}:
        message = f"expected an entry of type {was[:_SHOWN]!r} as before, got {kind[:_SHOWN]!r}"
        return Fault("conflict", (path, "type"), message, dump_json(sent))
    for key in () if schema.grows else sorted(schema.policy.place & sent.keys()):
        value, node = sent[key], known(key)
        if value is not None and node is not None and not same_json(snapshot(node), value):
            message = f"expected an entry with {key!r} as before, got another"
            return Fault("conflict", (path, key), message, dump_json(sent))
    return None


def late(path: Path, key: str, value: Json) -> Fault:
    """Return the fault of a delta for a field that an ending has settled."""
    message = f"expected no more of {key[:_SHOWN]!r}: an ending held its value"
    return Fault("late", path, message, dump_json(value))
