"""What grows behind a snapshot: text, objects and keyed lists, and the snapshots read from them.

A node is one of three builders or a plain JSON value:

- `Text`: fragments of a text, joined in blocks as they come and to one text when read.
- `Object`: a JSON object whose fields are nodes. `Entry` is the one in a keyed list.
- `Keyed`: a list whose entries have a key, their index, that sorts them and is no part of them.
- anything else: a JSON value that is replaced as a whole and never changed in place.

A snapshot is plain JSON, kept at its builder until that changes, shared by later snapshots, and never changed: where a
parent keeps one, all of its descendants do.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, TypeAlias, Union

from accumulator._json import Json as Json  # noqa: PLC0414 - others import it from here
from accumulator._json import dump_json, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Node: TypeAlias = Union["Text", "Object", "Keyed", Json]

_BLOCK = 256
"""Fragments joined at a time: few enough that those not joined yet are small change, enough that a block outweighs the
some fifty bytes that a Python string costs by itself."""


_NONE: frozenset[str] = frozenset()


class Text:
    """A text in fragments. Appending costs the fragment; reading costs the text once, and again after it has grown."""

    __slots__ = ("_blocks", "_recent")

    def __init__(self, text: str = "") -> None:
        """Begin with `text`."""
        self._blocks: list[str] = []
        self._recent: list[str] = [text] if text else []

    def __bool__(self) -> bool:
        """Tell whether there is any text."""
        return bool(self._recent or self._blocks)

    def append(self, fragment: str) -> None:
        """Add a fragment that is not empty."""
        recent = self._recent
        recent.append(fragment)
        if len(recent) >= _BLOCK:
            self._blocks.append(joined("".join(recent)))
            recent.clear()

    def read(self) -> str:
        """Return the whole text, the halves of a surrogate pair that came in two fragments put together."""
        if not self._recent and len(self._blocks) == 1:
            return self._blocks[0]
        text = joined("".join(chain(self._blocks, self._recent)))
        self._blocks = [text] if text else []
        self._recent = []
        return text


class Object:
    """A JSON object that grows.

    Attributes:
        fields: its nodes by name.
        held: names of the fields that an ending held a value for; what comes later for them is late. Added by `hold`.
        conflicts: names of the fields whose conflict has been reported. Added by `report`.
        snap: its snapshot while that is current.

    """

    __slots__ = ("conflicts", "fields", "held", "snap")

    def __init__(self) -> None:
        """Begin empty."""
        self.fields: dict[str, Node] = {}
        self.held: set[str] | frozenset[str] = _NONE  # most objects never have any
        self.conflicts: set[str] | frozenset[str] = _NONE
        self.snap: dict[str, Json] | None = None

    def hold(self, key: str) -> None:
        """Have a field among the held ones."""
        if not isinstance(self.held, set):
            self.held = set()
        self.held.add(key)

    def report(self, key: str) -> None:
        """Have a field among those whose conflict has been reported."""
        if not isinstance(self.conflicts, set):
            self.conflicts = set()
        self.conflicts.add(key)


class Entry(Object):
    """An object in a keyed list.

    Attributes:
        index: its key, or None in the space of the entries that came without a usable one.
        position: where it stood in the last ending that held it, None before one did.
        done: whether an ending came for it.
        missed: whether an ending without it has been reported.

    """

    __slots__ = ("done", "index", "missed", "position")

    def __init__(self, index: int | None) -> None:
        """Begin empty under its key."""
        super().__init__()
        self.index = index
        self.position: int | None = None
        self.done = False
        self.missed = False


class OpenUnindexed:
    """The open entries of a list that came without a usable index, to be found by type."""

    __slots__ = ("_all", "_by_type", "_types")

    def __init__(self) -> None:
        """Begin with none."""
        self._all: dict[int, Entry] = {}
        self._types: dict[int, str] = {}
        self._by_type: dict[str, dict[int, Entry]] = {}

    def put(self, entry: Entry, kind: str | None) -> str | None:
        """Have an entry under a type, "" for a missing one, or not at all; return what it was under."""
        before = self._types.pop(id(entry), None)
        if before is not None:
            del self._by_type[before][id(entry)], self._all[id(entry)]
        if kind is not None:
            self._types[id(entry)] = kind
            self._all[id(entry)] = self._by_type.setdefault(kind, {})[id(entry)] = entry
        return before

    def refresh(self, entry: Entry) -> None:
        """Have an entry that is among them under the type that it has by now."""
        if id(entry) in self._all:
            self.put(entry, entry_type(entry))

    def fitting(self, kind: str) -> list[Entry]:
        """Return the entries that a type fits, the first two at most; a missing type, on either side, fits all."""
        found = [self._by_type.get(kind, {}), self._by_type.get("", {})] if kind else [self._all]
        return list(islice(chain.from_iterable(entries.values() for entries in found), 2))


class Keyed:
    """A list of entries by key.

    Attributes:
        entries: by index.
        unindexed: those without a usable index, in order of arrival; they come after all indexes.
        open_unindexed: those of them that are open.
        ids: the first entry of each id, by the id's JSON text.
        snap: its snapshot while that is current.

    """

    __slots__ = (
        "_highest",
        "_last",
        "_later",
        "_places",
        "_stale",
        "entries",
        "ids",
        "open_unindexed",
        "snap",
        "unindexed",
    )

    def __init__(self) -> None:
        """Begin empty."""
        self.entries: dict[int, Entry] = {}
        self.unindexed: list[Entry] = []
        self.open_unindexed = OpenUnindexed()
        self.ids: dict[str, Entry] = {}
        self.snap: list[Json] | None = None
        self._last: list[Json] = []  # the snapshot before, of the entries where `_places` has them
        self._places: dict[Entry, int] = {}
        self._stale: set[Entry] = set()  # those of them that have changed since
        self._later: list[Entry] = []  # those that came since, behind all others
        self._highest = -1  # index

    def add(self, entry: Entry) -> None:
        """Have another entry."""
        index = entry.index
        if index is None:
            self.unindexed.append(entry)
            self.reorder()
            return
        self.entries[index] = entry
        self.snap = None
        if index <= self._highest or self.unindexed:
            self.reorder()
        elif self._places:
            self._places[entry] = len(self._places)
            self._later.append(entry)
        self._highest = max(index, self._highest)

    def touch(self, entry: Entry) -> None:
        """Take note that an entry has changed."""
        entry.snap = self.snap = None
        self._stale.add(entry)

    def reorder(self) -> None:
        """Take note that the entries may stand in another order."""
        self.snap = None
        self._places = {}

    def read(self) -> list[Json]:
        """Return the list as JSON, as `snapshot` does: what is not new in it is copied in one piece."""
        if self.snap is None:
            if self._places:
                snap: list[Json] = [*self._last, *map(snapshot_object, self._later)]
                for entry in self._stale:
                    snap[self._places[entry]] = snapshot_object(entry)
            else:
                entries = self.ordered()
                snap = [snapshot_object(entry) for entry in entries]
                self._places = {entry: place for place, entry in enumerate(entries)}
            # Only now, as whatever interrupts a reading is not to change what the next one gives.
            self._last = self.snap = snap
            self._stale.clear()
            self._later.clear()
        return self.snap

    def ordered(self) -> list[Entry]:
        """Return the entries by index, then those without; those that an ending held keep its order."""
        entries = [self.entries[index] for index in sorted(self.entries)] + self.unindexed
        held = sorted((entry for entry in entries if entry.position is not None), key=lambda entry: entry.position or 0)
        in_order = iter(held)
        return [entry if entry.position is None else next(in_order) for entry in entries]

    def register(self, entries: Iterable[Entry]) -> None:
        """Note the ids that the entries have by now."""
        for entry in entries:
            ident = entry.fields.get("id")
            if not is_nothing(ident):
                self.ids.setdefault(id_key(ident), entry)


def is_nothing(value: Node) -> bool:
    """Tell whether a JSON value is one that never erases another: null, an empty text, an empty list."""
    return value is None or value == "" or value == []  # noqa: PLR1714 - a list has no hash


def has_content(node: Node) -> bool:
    """Tell whether anything but emptiness was folded into a node."""
    if isinstance(node, Text):
        return bool(node)
    if isinstance(node, Object):
        return any(map(has_content, node.fields.values()))
    if isinstance(node, Keyed):
        return bool(node.entries or node.unindexed)
    return not is_nothing(node)


def id_key(ident: Node) -> str:
    """Return what an id is found by: texts as they are, anything else apart from every text."""
    return ident if isinstance(ident, str) else "\0" + dump_json(snapshot(ident))


def depth_of(nodes: Iterable[Node]) -> int:
    """Return how deep nodes are nested. Goes down level by level, not by recursion."""
    depth, level = 0, list(nodes)
    while level := [child for node in level for child in _children(node)]:
        depth += 1
    return depth


def _children(node: Node) -> Iterable[Node]:
    if isinstance(node, Object):
        return node.fields.values()
    if isinstance(node, Keyed):
        return [*node.entries.values(), *node.unindexed]
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def snapshot(node: Node) -> Json:
    """Return a node as JSON. Costs what changed since the last call; the result is shared and must not be changed."""
    if isinstance(node, Text):
        return node.read()
    if isinstance(node, Object):
        return snapshot_object(node)
    return node.read() if isinstance(node, Keyed) else node


def snapshot_object(node: Object) -> dict[str, Json]:
    """Return an object as JSON, as `snapshot` does."""
    if node.snap is None:
        node.snap = {key: snapshot(value) for key, value in node.fields.items()}
    return node.snap


def entry_type(entry: Object | Mapping[str, Json]) -> str:
    """Return the `type` of an entry or of the JSON of one, "" where it has none."""
    kind = entry.fields.get("type") if isinstance(entry, Object) else entry.get("type")
    return kind if isinstance(kind, str) else ""
