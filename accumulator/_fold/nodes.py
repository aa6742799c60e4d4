"""Mutable builders, and the read-only snapshots that are taken from them.

A *node* is a builder or a plain JSON value:

- `Text`: a text in fragments. They are joined in blocks as they arrive, and to one text when it is read.
- `Object`: a JSON object whose fields are nodes. An `Entry` is one in a keyed list.
- `Keyed`: a list whose entries are found by index.
- A JSON value is replaced whole, and never changed in place.

A *snapshot* is plain JSON. A builder keeps its snapshot until it changes, later snapshots share it, and nobody changes
it. If a builder's snapshot is current, so are the snapshots of everything in it.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, Union, cast

from accumulator._json import Json, JSONObject, Path, dump_json, join_surrogates, same_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from accumulator._fold.policy import Schema

Node: TypeAlias = Union["Text", "Object", "Keyed", "Json"]
ListBuilder: TypeAlias = "Callable[[list[Json], Schema, Path], Node]"
_AnObject = TypeVar("_AnObject", bound="Object")

_BLOCK = 256
"""Fragments that are joined at a time. Fewer would leave many small strings, each of which costs fifty bytes beside its
text. More would leave many fragments unjoined."""

_NO_NAMES: frozenset[str] = frozenset()


class Text:
    """A text in fragments. Appending costs the fragment. Reading joins them, and keeps the text until it grows."""

    __slots__ = ("_blocks", "_recent")

    def __init__(self, text: str = "") -> None:
        """Start with a text."""
        self._blocks: list[str] = []
        self._recent: list[str] = [text] if text else []

    def __bool__(self) -> bool:
        """Tell whether there is any text."""
        return bool(self._recent or self._blocks)

    def append(self, fragment: str) -> None:
        """Append a fragment; it must not be empty."""
        recent = self._recent
        recent.append(fragment)
        if len(recent) >= _BLOCK:
            self._blocks.append(join_surrogates("".join(recent)))
            recent.clear()

    def read(self) -> str:
        """Return the whole text. Two halves of a surrogate pair, from two fragments, become one character."""
        if not self._recent and len(self._blocks) == 1:
            return self._blocks[0]
        text = join_surrogates("".join(chain(self._blocks, self._recent)))
        self._blocks = [text] if text else []
        self._recent = []
        return text


class Object:
    """A JSON object that grows.

    Attributes:
        fields: its nodes by name.
        settled: names of the fields whose value an ending gave. A later delta for one of them is `late`.
        conflicts: names of the fields whose conflict was reported. It is reported once.
        snap: the snapshot, None when it is stale.

    """

    __slots__ = ("conflicts", "fields", "settled", "snap")

    def __init__(self) -> None:
        """Start empty."""
        self.fields: dict[str, Node] = {}
        self.settled: set[str] | frozenset[str] = _NO_NAMES  # a set only once there is a name: most objects need none
        self.conflicts: set[str] | frozenset[str] = _NO_NAMES
        self.snap: JSONObject | None = None

    def settle(self, key: str) -> None:
        """Mark a field as settled by an ending."""
        if not isinstance(self.settled, set):
            self.settled = set()
        self.settled.add(key)

    def mark_conflict(self, key: str) -> None:
        """Mark a field's conflict as reported."""
        if not isinstance(self.conflicts, set):
            self.conflicts = set()
        self.conflicts.add(key)


class Entry(Object):
    """An object in a keyed list.

    Attributes:
        index: its index; None for an entry that was sent without a usable one.
        assumed: whether no event has named that index: a whole object listed the entry without one.
        whole: whether only whole objects gave it so far, and no delta that names its id.
        position: its position in the last ending that listed entries; None if it was not listed, or before any.
        done: whether it has ended; only parts end.
        missed: whether it was reported that an ending does not list it.

    """

    __slots__ = ("assumed", "done", "index", "missed", "position", "whole")

    def __init__(self, index: int | None) -> None:
        """Start empty."""
        super().__init__()
        self.index = index
        self.assumed = False
        self.whole = False
        self.position: int | None = None
        self.done = False
        self.missed = False


class OpenUnindexed:
    """The entries of a list that have no usable index, are not done, and are listed by no ending; by type."""

    __slots__ = ("_by_type", "_types")

    def __init__(self) -> None:
        """Start with none."""
        self._types: dict[int, str] = {}
        self._by_type: dict[str, dict[int, Entry]] = {}

    def put(self, entry: Entry, kind: str) -> None:
        """Register an entry under a type, "" for no type. An entry that is registered moves to that type."""
        self.take(entry)
        self._types[id(entry)] = kind
        self._by_type.setdefault(kind, {})[id(entry)] = entry

    def take(self, entry: Entry) -> str | None:
        """Remove an entry, and return the type that it was under; None if it is not registered."""
        kind = self._types.pop(id(entry), None)
        if kind is not None:
            del self._by_type[kind][id(entry)]
            if not self._by_type[kind]:
                del self._by_type[kind]  # so that `fitting` finds an entry in each type
        return kind

    def refresh(self, entry: Entry) -> None:
        """Move a registered entry to the type that it has now; ignore any other entry."""
        if id(entry) in self._types:
            self.put(entry, entry_type(entry))

    def fitting(self, kind: str, whole_types: Collection[str]) -> list[Entry]:
        """Return up to two entries that a type fits: enough to tell whether just one does.

        A missing type, on either side, fits every type; but a missing type that was sent fits none of `whole_types`.
        """
        if kind:
            found: Iterator[dict[int, Entry]] = iter([self._by_type.get(kind, {}), self._by_type.get("", {})])
        else:
            found = (entries for known, entries in self._by_type.items() if known not in whole_types)
        return list(islice(chain.from_iterable(entries.values() for entries in found), 2))


class Keyed:
    """A list whose entries are found by index; `ordered` says in which order they stand.

    Attributes:
        entries: the entries by index.
        unindexed: the entries without a usable index, in order of arrival.
        open_unindexed: those of them that are open, see `OpenUnindexed`.
        ids: the first entry of each id; see `id_key`.
        snap: the snapshot, None when it is stale.

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
        """Start empty."""
        self.entries: dict[int, Entry] = {}
        self.unindexed: list[Entry] = []
        self.open_unindexed = OpenUnindexed()
        self.ids: dict[str, Entry] = {}
        self.snap: list[Json] | None = None
        self._last: list[Json] = []  # the previous snapshot
        self._places: dict[Entry, int] = {}  # the position of each entry in the next snapshot; empty if unknown
        self._stale: set[Entry] = set()  # entries that changed since the previous snapshot
        self._later: list[Entry] = []  # entries that were added since, behind all others
        self._highest = -1  # the highest index

    def add(self, entry: Entry) -> None:
        """Add an entry, under its index if it has one."""
        index = entry.index
        if index is None:
            self.unindexed.append(entry)
            self.invalidate_order()
            return
        self.entries[index] = entry
        self.snap = None
        if index <= self._highest or self.unindexed:
            self.invalidate_order()
        elif self._places:
            self._places[entry] = len(self._places)
            self._later.append(entry)
        self._highest = max(index, self._highest)

    def move(self, entry: Entry, index: int) -> None:
        """Put an entry under the index that an event named. An entry that has it takes the old index in its place."""
        was = cast("int", entry.index)
        other = self.entries.pop(index, None)
        del self.entries[was]
        self.entries[index] = entry
        entry.index, entry.assumed = index, False
        if other is not None:
            self.entries[was] = other
            other.index = was
        self._highest = max(index, self._highest)
        self.invalidate_order()

    def invalidate(self, entry: Entry) -> None:
        """Drop the snapshot of an entry that changed, and that of the list."""
        entry.snap = self.snap = None
        self._stale.add(entry)

    def invalidate_order(self) -> None:
        """Drop the snapshot of the list, and forget the order of the entries."""
        self.snap = None
        self._places = {}

    def read(self) -> list[Json]:
        """Return the snapshot. It shares those of unchanged entries with the previous one."""
        if self.snap is None:
            if self._places:
                snap: list[Json] = [*self._last, *map(snapshot_object, self._later)]
                for entry in self._stale:
                    snap[self._places[entry]] = snapshot_object(entry)
            else:
                entries = self.ordered()
                snap = [snapshot_object(entry) for entry in entries]
                self._places = {entry: place for place, entry in enumerate(entries)}
            # Last, so that an interrupted read leaves the next one right.
            self._last = self.snap = snap
            self._stale.clear()
            self._later.clear()
        return self.snap

    def ordered(self) -> list[Entry]:
        """Return the entries by index, then those without one.

        The entries that the last ending lists are then put in the order of the ending, each into a place that one of
        them had. All other entries keep their places.
        """
        entries = [self.entries[index] for index in sorted(self.entries)] + self.unindexed
        placed = [entry for entry in entries if entry.position is not None]
        in_order = iter(sorted(placed, key=lambda entry: entry.position or 0))
        return [entry if entry.position is None else next(in_order) for entry in entries]

    def register(self, entries: Iterable[Entry]) -> None:
        """Register entries under their ids. The first entry of an id keeps it."""
        for entry in entries:
            ident = entry.fields.get("id")
            if not is_empty(ident):
                self.ids.setdefault(id_key(ident), entry)


def is_empty(value: Node) -> bool:
    """Tell whether a JSON value is empty: null, "" or []."""
    return value is None or value == "" or value == []  # noqa: PLR1714 - a list has no hash


def has_content(node: Node) -> bool:
    """Tell whether a node holds anything that is not empty. A plain `{}` counts as content."""
    if isinstance(node, Text):
        return bool(node)
    if isinstance(node, Object):
        return any(map(has_content, node.fields.values()))
    if isinstance(node, Keyed):
        return bool(node.entries or node.unindexed)
    return not is_empty(node)


def decide_keep_first(node: Node, value: Json, *, present: bool, reported: bool) -> Literal["set", "keep", "conflict"]:
    """Decide what a value does to a field that keeps its first one.

    Args:
        node: what the field has.
        value: what was sent.
        present: whether the object has the field; that matters for null only, which a repeat adds to an object.
        reported: whether a conflict of the field was reported before.

    """
    if not has_content(node):
        opens = node is None and (value is not None or not present)
        return "set" if opens or not is_empty(value) else "keep"
    return "keep" if is_empty(value) or reported or same_json(snapshot(node), value) else "conflict"


def id_key(ident: Node) -> str:
    """Return the key of an id in `Keyed.ids`: a text is its own key, the key of other JSON is a NUL and its text."""
    return ident if isinstance(ident, str) else "\0" + dump_json(snapshot(ident))


def depth_of(nodes: Iterable[Node]) -> int:
    """Return how deep nodes are nested. It goes level by level, so that no depth exhausts the stack."""
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
    """Return a node as JSON, which is shared and must not be changed. Costs what changed since the last call."""
    if isinstance(node, Text):
        return node.read()
    if isinstance(node, Object):
        return snapshot_object(node)
    return node.read() if isinstance(node, Keyed) else node


def snapshot_object(node: Object) -> JSONObject:
    """Return an object as JSON, as `snapshot` does."""
    if node.snap is None:
        node.snap = {key: snapshot(value) for key, value in node.fields.items()}
    return node.snap


def entry_type(entry: Object | Mapping[str, Json]) -> str:
    """Return the `type` of an entry or of its JSON, "" where it has none."""
    kind = entry.fields.get("type") if isinstance(entry, Object) else entry.get("type")
    return kind if isinstance(kind, str) else ""


def build(value: Json, key: str, schema: Schema, build_list: ListBuilder, path: Path = None) -> Node:
    """Build the node of a new value.

    Args:
        value: the JSON.
        key: the field that it is the value of.
        schema: its schema.
        build_list: builds the node of a list. Deltas, repeats and endings differ there.
        path: the place in the event, for faults.

    """
    policy = schema.policy
    if isinstance(value, str):
        return Text(value) if key in policy.append else value
    if not isinstance(value, (dict, list)) or key in policy.append or key in policy.keep_first:
        return value
    if isinstance(value, list):
        return build_list(value, schema, path)
    return value if key in policy.whole else build_fields(Object(), value, schema, build_list, path)


def build_fields(  # noqa: PLR0913, PLR0917 - as `build`, and the key to drop
    target: _AnObject, sent: JSONObject, schema: Schema, build_list: ListBuilder, path: Path, dropped: str | None = None
) -> _AnObject:
    """Build the fields of an empty object, all but a dropped key."""
    fields, append = target.fields, schema.policy.append
    for key, value in sent.items():
        if key == dropped:
            continue
        if isinstance(value, str):
            fields[key] = Text(value) if key in append else value
        elif isinstance(value, (dict, list)):
            fields[key] = build(value, key, schema.fields.get(key, schema.other), build_list, (path, key))
        else:
            fields[key] = value
    return target


def as_delta(node: Node, schema: Schema) -> Json:
    """Return the delta that builds a node: its snapshot, with the index in each entry of a keyed list."""
    if isinstance(node, Text):
        return node.read()
    if isinstance(node, Object):
        return _fields_as_delta(node, schema)
    if isinstance(node, Keyed):
        key = schema.dropped
        entries = [(entry.index, _fields_as_delta(entry, schema)) for entry in node.ordered()]
        return [fields if key is None else {key: index, **fields} for index, fields in entries]
    return node


def _fields_as_delta(node: Object, schema: Schema) -> JSONObject:
    return {key: as_delta(value, schema.fields.get(key, schema.other)) for key, value in node.fields.items()}
