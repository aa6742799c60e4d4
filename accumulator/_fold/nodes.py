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

from bisect import bisect_left
from itertools import chain, compress, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, Union, cast

import msgspec

from accumulator._fold.texts import Text
from accumulator._json import Json, JSONObject, Path, dump_json, same_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from accumulator._fold.policy import Schema

Node: TypeAlias = Union["Text", "Object", "Keyed", "Json"]
ListBuilder: TypeAlias = "Callable[[list[Json], Schema, Path], Node]"

_NO_NAMES: frozenset[str] = frozenset()
_has_members = frozenset({dict, list}).__contains__  # whether the values of a type do


class Object(msgspec.Struct, eq=False, kw_only=True):
    """A JSON object that grows.

    Attributes:
        fields: its nodes by name.
        settled: names of the fields whose value an ending gave. A later delta for one of them is `late`.
        conflicts: names of the fields whose conflict was reported. It is reported once.
        snap: the snapshot, None when it is stale.

    """

    fields: dict[str, Node] = {}
    settled: set[str] | frozenset[str] = _NO_NAMES  # a set only once there is a name: most objects need none
    conflicts: set[str] | frozenset[str] = _NO_NAMES
    snap: JSONObject | None = None

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


class Entry(Object, eq=False):
    """An object in a keyed list.

    Attributes:
        index: its index; None for an entry that was sent without a usable one.
        assumed: whether no event has named that index: a whole object listed the entry without one.
        whole: whether only whole objects gave it so far, and no delta that names its id.
        order: what its list is sorted by, see `Keyed.list_entries`; set when it is added.
        arrived: how many entries of its list were there before it; set when it is added.
        position: its position in the last ending that listed entries; None if it was not listed, or before any.
        done: whether it has ended; only parts end.
        missed: whether it was reported that an ending does not list it.

    """

    index: int | None
    assumed: bool = False
    whole: bool = False
    order: tuple[bool, int] = (False, 0)
    arrived: int = 0
    position: int | None = None
    done: bool = False
    missed: bool = False

    def own_order(self) -> tuple[bool, int]:
        """Return the order that it has by itself: by index; behind those with one, by arrival."""
        return (True, self.arrived) if self.index is None else (False, self.index)


class OpenUnindexed(msgspec.Struct, eq=False):
    """The entries of a list that have no usable index, are not done, and are listed by no ending; by type."""

    _types: dict[int, str] = {}
    _by_type: dict[str, dict[int, Entry]] = {}

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


class InOrder(msgspec.Struct, eq=False):
    """Entries in the order of a list, see `Entry.order`.

    Adding an entry behind all others costs nothing but that. To find, add or remove another one costs a search and, in
    one call of C code, a move of those behind it.
    """

    _keys: list[tuple[bool, int]] = []
    _entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __getitem__(self, place: int) -> Entry:
        return self._entries[place]

    def place(self, entry: Entry) -> int:
        """Return the place of an entry, or the one that it would have."""
        return bisect_left(self._keys, entry.order)

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        keys, key = self._keys, entry.order
        at = len(keys) if not keys or keys[-1] < key else bisect_left(keys, key)
        keys.insert(at, key)
        self._entries.insert(at, entry)

    def discard(self, entry: Entry) -> bool:
        """Remove an entry. Return False if it is not there."""
        at = self.place(entry)
        found = at < len(self._entries) and self._entries[at] is entry
        if found:
            del self._keys[at], self._entries[at]
        return found


class Groups(msgspec.Struct, eq=False):
    """The entries of a list by type, and by whether they have an id; `pair` finds the next one of a type in them.

    They are made when they are first asked for, because few lists need them. From then on an entry is in its group, and
    if it has no id, also in the one for any type.
    """

    _groups: dict[Group, InOrder] = {}
    _of: dict[Entry, Group] = {}
    _known: int = 0  # how many entries are in groups

    def find(self, group: Group, arrivals: list[Entry]) -> InOrder:
        """Return the entries of a group, in order, of all in the list. Costs those that arrived since the last call."""
        for entry in arrivals[self._known :]:
            self.put(entry)
        self._known = len(arrivals)
        return self._groups.get(group) or InOrder()

    def put(self, entry: Entry) -> None:
        """Put an entry into the groups that it belongs to now."""
        self._of[entry] = group = (entry_type(entry), is_empty(entry.fields.get("id")))
        for each in _groups_of(group):
            self._groups.setdefault(each, InOrder()).add(entry)

    def take(self, entry: Entry) -> bool:
        """Take an entry out of its groups. Return False if it is in none."""
        group = self._of.pop(entry, None)
        for each in () if group is None else _groups_of(group):
            self._groups[each].discard(entry)
        return group is not None

    def refresh(self, entry: Entry) -> None:
        """Put an entry whose type or id may have changed into its groups, if it was in some."""
        if self.take(entry):
            self.put(entry)


Group: TypeAlias = tuple["str | None", bool]
"""A type, None for any, and whether the entries have no id."""


def _groups_of(group: Group) -> tuple[Group, ...]:
    return (group, (None, True)) if group[1] else (group,)


class Keyed(msgspec.Struct, eq=False):
    """A list whose entries are found by index, and stand in an order.

    Few lists need more than their entries: the rest is made when it is first asked for.

    Attributes:
        entries: the entries by index.
        arrivals: all entries, in order of arrival.
        listed: the entries that the last ending lists, in its order.
        ids: the first entry of each id; see `id_key`.
        snap: the snapshot, None when it is stale.

    """

    entries: dict[int, Entry] = {}
    arrivals: list[Entry] = []
    listed: list[Entry] | tuple[Entry, ...] = ()
    ids: dict[str, Entry] = {}
    snap: list[Json] | None = None
    _last: list[Json] | None = None  # the previous snapshot, None if the order changed since
    _stale: set[Entry] | frozenset[Entry] = frozenset()  # entries that changed since then
    _shown: int = 0  # how many entries had arrived by then
    _seen: int = 0  # how many entries had arrived when the last ending came
    _lowest: int = 0  # no index below is free
    _order: InOrder | None = None
    _groups: Groups | None = None
    _open_unindexed: OpenUnindexed | None = None

    @property
    def order(self) -> InOrder:
        """All entries, in the order of the list."""
        if self._order is None:
            order = InOrder()
            for entry in sorted(self.arrivals, key=by_order):
                order.add(entry)
            self._order = order
        return self._order

    @property
    def groups(self) -> Groups:
        """The entries by type and by whether they have an id."""
        if self._groups is None:
            self._groups = Groups()
        return self._groups

    @property
    def open_unindexed(self) -> OpenUnindexed:
        """The entries without an index that are open, see `OpenUnindexed`."""
        if self._open_unindexed is None:
            self._open_unindexed = OpenUnindexed()
        return self._open_unindexed

    def add(self, entry: Entry) -> None:
        """Add an entry, under its index if it has one."""
        self.snap = None
        entry.arrived = len(self.arrivals)
        entry.order = entry.own_order()
        if entry.index is not None:
            self.entries[entry.index] = entry
        self.arrivals.append(entry)
        if self._order is not None:
            self._order.add(entry)

    def lowest_free(self) -> int:
        """Return the lowest index that no entry has. The search goes on where the last one ended."""
        while self._lowest in self.entries:
            self._lowest += 1
        return self._lowest

    def move(self, entry: Entry, index: int) -> None:
        """Put an entry under the index that an event named. An entry that has it takes the old index in its place.

        Both stand where their indexes say from then on. If the last ending had put them elsewhere, so do all entries.
        """
        moved, was, other = self.moving(entry, index), cast("int", entry.index), self.entries.pop(index, None)
        self.invalidate_order()
        del self.entries[was]
        self.entries[index], entry.index, entry.assumed = entry, index, False
        if other is None:
            self._lowest = min(self._lowest, was)
        else:
            self.entries[was], other.index = other, was
        for each in moved:
            self._unlist(each)
        self._sort_in({each: each.own_order() for each in moved})

    def moving(self, entry: Entry, index: int) -> list[Entry]:
        """Return the entries that get another place when an entry is put under another index."""
        other = self.entries.get(index)
        moved = [entry] if other is None else [entry, other]
        listed_elsewhere = any(each.order != each.own_order() for each in moved)
        return [*moved, *self.listed] if listed_elsewhere else moved

    def _unlist(self, entry: Entry) -> None:
        """Note that the last ending does not list an entry."""
        entry.position = None
        if entry.index is None and not entry.done:
            self.open_unindexed.put(entry, entry_type(entry))

    def _sort_in(self, orders: Mapping[Entry, tuple[bool, int]]) -> None:
        """Give entries other orders. They must be new, or be taken from each other."""
        grouped = [entry for entry in orders if self.groups.take(entry)]
        for entry in orders:
            self.order.discard(entry)
        for entry, order in orders.items():
            entry.order = order
            self.order.add(entry)
        for entry in grouped:
            self.groups.put(entry)

    def invalidate(self, entry: Entry) -> None:
        """Drop the snapshot of an entry that changed, and that of the list."""
        entry.snap = self.snap = None
        if isinstance(self._stale, set):
            self._stale.add(entry)

    def invalidate_order(self) -> None:
        """Drop the snapshot of the list, and the order of the entries in the previous one."""
        self.snap = self._last = None

    def take_open(self, entry: Entry) -> str | None:
        """Remove an entry from those that are open without an index; see `OpenUnindexed.take`."""
        return None if self._open_unindexed is None else self._open_unindexed.take(entry)

    def end_unindexed(self) -> None:
        """Note that no entry without an index is open any more."""
        self._open_unindexed = None

    def read(self) -> list[Json]:
        """Return the snapshot. It shares those of unchanged entries with the previous one."""
        if self.snap is None:
            added = self.arrivals[self._shown :]
            if self._last is None or 8 * len(added) > len(self._last):
                snap: list[Json] = list(map(snapshot_object, self.order))
            else:
                snap = self._last.copy()
                for entry in sorted(added, key=self.order.place):
                    snap.insert(self.order.place(entry), snapshot_object(entry))
                for entry in self._stale:
                    snap[self.order.place(entry)] = snapshot_object(entry)
            self.keep_snapshot(snap)
            return snap
        return self.snap

    def keep_snapshot(self, snap: list[Json]) -> None:
        """Keep a snapshot of the list as it is now."""
        shown, stale = len(self.arrivals), set[Entry]()
        # In one statement, so that an interrupted read leaves the next one right.
        self._last, self.snap, self._shown, self._stale = snap, snap, shown, stale

    def list_entries(self, listed: list[Entry]) -> list[Entry]:
        """Note which entries an ending lists, in its order. Return those that no ending has failed to list before.

        By itself an entry stands where its index says, or behind all those with one. The entries that the last ending
        lists stand in the order of the ending, each in a place that one of them has by itself.

        The cost grows with the entries that it lists, that the ending before listed, and that came since.
        """
        before, candidates = self.listed, [*self.listed, *self.arrivals[self._seen :]]
        self.invalidate_order()
        for entry in before:
            entry.position = None
        for position, entry in enumerate(listed):
            entry.position = position
        self.listed, self._seen = listed, len(self.arrivals)
        self._place_listed(before)
        for entry in listed:
            self.take_open(entry)
        for entry in before:
            if entry.position is None:
                self._unlist(entry)
        missing = [entry for entry in dict.fromkeys(candidates) if entry.position is None and not entry.missed]
        return sorted(missing, key=by_order)

    def _place_listed(self, before: Iterable[Entry]) -> None:
        """Put the listed entries into their order, and those that were listed before back into their own places."""
        orders = {entry: entry.own_order() for entry in before}
        orders |= zip(self.listed, sorted(entry.own_order() for entry in self.listed), strict=True)
        self._sort_in({entry: order for entry, order in orders.items() if entry.order != order})

    def rebuild(self) -> None:
        """Rebuild all that follows from the entries, after an exception may have broken a change off.

        It is built beside the old state, so that another exception takes nothing away.
        """
        fresh = Keyed()
        for entry in dict.fromkeys(self.arrivals):
            if entry.index is not None and entry.index in fresh.entries:
                entry.index = fresh.lowest_free()
            fresh.add(entry)
            if entry.index is None and entry.position is None and not entry.done:
                fresh.open_unindexed.put(entry, entry_type(entry))
        known = set(fresh.arrivals)
        fresh.ids.update((ident, entry) for ident, entry in self.ids.items() if entry in known)
        for entry in fresh.arrivals:
            fresh.register(entry)
        fresh.restore_listed()
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))

    def restore_listed(self) -> None:
        """Restore which entries the last ending lists, and which were there, from the entries."""
        listed = [entry for entry in self.arrivals if entry.position is not None]
        self.listed = sorted(listed, key=lambda entry: cast("int", entry.position))
        self._place_listed(())
        # The last ending listed or missed all that was there: what is neither came since.
        came = (place for place, each in enumerate(self.arrivals) if each.position is None and not each.missed)
        self._seen = next(came, len(self.arrivals))

    def register(self, entry: Entry) -> None:
        """Register an entry under its id, if it has one. The first entry of an id keeps it."""
        ident = entry.fields.get("id")
        if not is_empty(ident):
            self.ids.setdefault(id_key(ident), entry)

    def refresh(self, entry: Entry) -> None:
        """Find an entry by the type and id that it has now."""
        if self._open_unindexed is not None:
            self._open_unindexed.refresh(entry)
        if self._groups is not None:
            self._groups.refresh(entry)

    def register_anew(self, entries: list[Entry], before: list[Node]) -> None:
        """Register entries whose ids were `before`. They take their ids from all others; the first of them keeps it."""
        for entry, ident in zip(entries, before, strict=True):
            if not is_empty(ident) and self.ids.get(id_key(ident)) is entry:
                del self.ids[id_key(ident)]
        for entry in reversed(entries):
            self.groups.refresh(entry)
            ident = entry.fields.get("id")
            if not is_empty(ident):
                self.ids[id_key(ident)] = entry


by_order: Final = attrgetter("order")
"""What entries are sorted by to stand in the order of their list."""


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
        return bool(node.arrivals)
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


def size_of(nodes: Iterable[Node], each: int) -> tuple[int, int]:
    """Return the size of nodes, and how many entries the longest list in them has.

    The size is the number of characters of all texts and keys, and `each` for every node and piece of a text. Eight
    bits of an integer are a character. The cost is linear in the number of nodes, not in the length of texts.
    """
    size, longest, rest = 0, 0, list(nodes)
    while rest:
        node = rest.pop()
        size += each
        if isinstance(node, str):
            size += len(node)
        elif isinstance(node, Text):
            size += node.size(each)
        elif isinstance(node, int):
            size += node.bit_length() // 8
        else:
            keys = node.fields if isinstance(node, Object) else node if isinstance(node, dict) else ()
            size += sum(map(len, keys))
            children = _children(node)
            if isinstance(node, (list, Keyed)):
                longest = max(longest, len(children))
            rest += children
    return size, longest


def _children(node: Node) -> Collection[Node]:
    if isinstance(node, Object):
        return node.fields.values()
    if isinstance(node, Keyed):
        return node.arrivals
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def mend(root: Object) -> None:
    """Drop all snapshots, and rebuild all lists, after an exception may have broken a change off."""
    level: list[Node] = [root]
    while level:
        for node in level:
            if isinstance(node, Object):
                node.snap = None
            elif isinstance(node, Keyed):
                node.rebuild()
        level = [child for node in level if isinstance(node, (Object, Keyed)) for child in _children(node)]


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
    return value if key in policy.whole else Object(fields=build_fields(value, schema, build_list, path))


def build_fields(
    sent: JSONObject, schema: Schema, build_list: ListBuilder, path: Path, dropped: str | None = None
) -> dict[str, Node]:
    """Build the fields of a new object, all but a dropped key."""
    fields: dict[str, Node] = {**sent}
    append = schema.policy.append
    if dropped is not None:
        fields.pop(dropped, None)
    for key in compress(fields, map(_has_members, map(type, fields.values()))):  # cheaper than a loop over all
        fields[key] = build(sent[key], key, schema.fields.get(key, schema.other), build_list, (path, key))
    for key in () if append.isdisjoint(fields) else append.intersection(fields):
        if type(value := sent[key]) is str:
            fields[key] = Text(value)
    return fields


def as_delta(node: Node, schema: Schema) -> Json:
    """Return the delta that builds a node: its snapshot, with the index in each entry of a keyed list."""
    if isinstance(node, Text):
        return node.read()
    if isinstance(node, Object):
        return _fields_as_delta(node, schema)
    if isinstance(node, Keyed):
        key = schema.dropped
        entries = [(entry.index, _fields_as_delta(entry, schema)) for entry in node.order]
        return [fields if key is None else {key: index, **fields} for index, fields in entries]
    return node


def _fields_as_delta(node: Object, schema: Schema) -> JSONObject:
    return {key: as_delta(value, schema.fields.get(key, schema.other)) for key, value in node.fields.items()}
