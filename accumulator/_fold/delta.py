"""The merge of a delta: it is planned, then committed.

The plan reads the builders and finds every fault. If it raises `WrongShape`, nothing has changed. Otherwise `commit`
carries it out in a few loops that cannot fail. Planning changes one thing only, `Keyed.open_unindexed`: entries that
the delta has named are set aside, and put back before the commit.

A delta that only opens parts needs no plan, see `opening`. But while somebody may read the object as it was, each delta
is planned: the notes for that are made from the plan.

`policy` says what a delta does to each kind of field.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec

from accumulator._fold.changes import (
    Change,
    Changes,
    Fault,
    Growth,
    ListGrowth,
    TextGrowth,
    entry_conflict,
    late,
    value_conflict,
)
from accumulator._fold.matching import find
from accumulator._fold.nodes import (
    Entry,
    Keyed,
    Node,
    Object,
    OpenUnindexed,
    build_fields,
    decide_keep_first,
    entry_type,
    id_key,
    is_empty,
    snapshot,
)
from accumulator._fold.opening import open_parts
from accumulator._fold.policy import Schema, WrongShape, check, usable_index
from accumulator._fold.texts import Text
from accumulator._json import Json, JSONObject, Path, dump_json, json_type, same_json

if TYPE_CHECKING:
    from _collections_abc import dict_items

    from accumulator._fold.history import Moment


def fold_delta(  # noqa: PLR0913, PLR0917 - the object, its delta, and what is noted of both
    root: Object,
    delta: JSONObject,
    schema: Schema,
    path: Path,
    parts: Schema | None = None,
    moment: Moment | None = None,
) -> Changes:
    """Merge a delta into `root`. The cost is linear in the delta, whatever was folded before.

    Args:
        root: the object that grows.
        delta: its increment.
        schema: the schema of both.
        path: the place of the delta in its event.
        parts: the schema of the list of parts, within `schema`; its entries are reported in `Changes.parts`.
        moment: where to note what was before, if somebody could read it.

    Raises:
        WrongShape: a value has another JSON type than the fold needs; nothing was merged.

    """
    opened = open_parts(root, delta, schema, path, parts) if moment is None and parts is not None else None
    if opened is not None:
        return opened
    check(delta, schema, path)
    plan = _Plan(parts)
    try:
        plan.merge_object(root, delta, schema, path)
    finally:
        plan.put_back()
    if moment is not None:
        plan.note(moment)
    return plan.commit()


class Way:
    """The way in a delta to the text that it appends to, and what it says again beside the way.

    A delta that only grew a text of one part does the same to other parts, if what it says again is there too.
    """

    __slots__ = ("_levels",)

    def __init__(self, delta: JSONObject, keys: list[str | int], schema: Schema) -> None:
        """Find the way in a delta, in which `check` found nothing.

        Args:
            delta: the delta, with one part.
            keys: the keys that lead to the text.
            schema: the schema of the delta.

        """
        # Of each: its key, None for the list of parts; the texts beside it, and all other values there.
        self._levels: list[tuple[str | None, dict_items[str, object] | None, JSONObject | None]] = []
        value: Json = delta
        dropped = None
        for key in keys:
            if isinstance(value, list):
                self._levels.append((None, None, None))
                value, dropped = value[int(key)], schema.dropped
                continue
            name, sent = str(key), cast("JSONObject", value)
            texts, others = dict[str, object](), JSONObject()
            for other, said in sent.items():
                if other not in {name, dropped}:
                    (texts if isinstance(said, str) else others)[other] = said
            self._levels.append((name, texts.items() if texts else None, others or None))
            value, schema, dropped = sent[name], schema.fields.get(name, schema.other), None

    def follow(self, root: Object, entry: Entry) -> tuple[Text, list[Object], list[tuple[Keyed, Entry]]] | None:
        """Return the text of a part, if all that the delta would do there is to append to it. Nothing is merged.

        The result also has what gets a stale snapshot: objects, and entries with their lists. It is None if the delta
        would do more or less, or says a value again that is no text. The cost is linear in the fields of the delta. No
        ending may have settled anything.
        """
        node: Node = root
        objects, entries = list[Object](), list[tuple[Keyed, Entry]]()
        for name, texts, others in self._levels:
            if name is None:
                index = entry.index
                if not isinstance(node, Keyed) or index is None or node.entries.get(index) is not entry:
                    return None
                entries.append((node, entry))
                node = entry
                continue
            if not isinstance(node, Object):
                return None
            fields = node.fields
            if texts is not None and not texts <= fields.items():
                return None
            if others is not None and not all(_has(fields, key, value) for key, value in others.items()):
                return None
            objects.append(node)
            node = fields.get(name)
        if not isinstance(node, Text) or entry.assumed:
            return None
        return node, objects, entries


def _has(fields: dict[str, Node], key: str, value: Json) -> bool:
    """Tell whether a value in a delta, which is no text, changes nothing in a field: only null or an empty list may."""
    return key in fields if value is None else value == [] and isinstance(fields.get(key), Keyed)


class _Plan(msgspec.Struct, eq=False):
    """What a delta will do.

    `_new` maps the identity of a container, and the key, index or id in it, to what will be set there: a later entry of
    the same delta sees it.
    """

    _parts: Schema | None
    _new: dict[tuple[int, str | int], object] = {}
    _fields: list[tuple[Object, str, Node]] = []
    _entries: list[tuple[Keyed, Entry]] = []
    _opened: list[tuple[JSONObject, str | None, Path]] = []  # of each entry: its JSON, dropped key and path
    _ids: list[tuple[Keyed, str, Entry]] = []
    _moved: list[tuple[Keyed, Entry, int]] = []  # entries whose index was assumed, with the one that is named
    _placed: list[tuple[Keyed, Entry, int | None]] = []  # both, in order; the index of those that move
    _indexes: dict[int, int] = {}  # the planned indexes of entries that move, by their identity
    _heard: list[tuple[Entry, bool]] = []  # entries that only whole objects gave; whether this names their id
    _repeating: bool = False  # whether such an entry is merged, with its id: it may come whole once more
    _uncertain: bool = False  # whether an entry was found by an assumed index, and another id was sent
    _texts: list[tuple[Text, str, Object, Path]] = []
    _conflicts: dict[tuple[int, str], Object] = {}
    # Entries without an index, with their types: those that only later events may continue, and those set aside.
    _continuable: list[tuple[OpenUnindexed, Entry, str]] = []
    _regrouped: list[tuple[Keyed, Entry]] = []  # entries that get an id or a type
    _set_aside: list[tuple[OpenUnindexed, Entry, str]] = []
    # What has a stale snapshot after the commit.
    _touched: list[Object] = []
    _stale: list[tuple[Keyed, Entry]] = []
    _repeated: bool = False  # whether a field was sent again with the value that it has
    _changes: Changes = msgspec.field(default_factory=Changes)

    def put_back(self) -> None:
        """Put back the entries that were set aside."""
        for unindexed, entry, kind in self._set_aside:
            unindexed.put(entry, kind)

    def note(self, moment: Moment) -> None:
        """Note what is there before the commit."""
        for target, key, _ in self._fields:
            moment.note_field(target, key)
        for text, _, _, _ in self._texts:
            moment.note_text(text)
        for keyed, _ in self._entries:
            moment.note_list(keyed)
        for keyed, entry, index in self._moved:
            moment.touch(keyed)
            for each in keyed.moving(entry, index):
                moment.note_order(each)
        for target in self._touched:
            moment.touch(target)
        for keyed, entry in self._stale:
            moment.touch(keyed)
            moment.touch(entry)

    def commit(self) -> Changes:
        """Carry the plan out, and return what it did. Nothing in it can fail."""
        for target in self._touched:
            target.snap = None
        for keyed, entry in self._stale:
            keyed.invalidate(entry)
        for target, key, node in self._fields:
            target.fields[key] = node
        self._commit_entries()
        for text, fragment, _, _ in self._texts:
            text.append(fragment)
        for (_, key), target in self._conflicts.items():
            target.mark_conflict(key)
        changes = self._changes
        set_any = bool(self._fields or self._texts or self._entries) or self._repeated
        changes.outside_parts = set_any and not changes.parts
        changes.growth = self.growth()
        return changes

    def _commit_entries(self) -> None:
        for keyed, entry, index in self._placed:
            if index is None:
                keyed.add(entry)
            else:
                keyed.move(entry, index)
        for entry, named in self._heard:
            entry.whole = False
            entry.assumed = entry.assumed and not named
        for keyed, ident, entry in self._ids:
            keyed.ids[ident] = entry
        for unindexed, entry, kind in self._continuable:
            unindexed.put(entry, kind)
        for keyed, entry in self._regrouped:
            keyed.groups.refresh(entry)

    def growth(self) -> Growth | None:
        """Return the one thing that the plan does in one part, None if it does more or less."""
        others = (self._fields, self._ids, self._heard, self._changes.faults)  # a new conflict is a fault
        if len(self._changes.parts) != 1 or len(self._texts) + len(self._entries) != 1 or any(others):
            return None
        if self._uncertain:
            return None  # an id that is known later may name another entry by the same index
        [change] = self._changes.parts
        if self._texts:
            [(text, fragment, owner, path)] = self._texts
            return TextGrowth(path, change, self._touched, self._stale, text, fragment, owner)
        [(keyed, entry)], [(sent, key, path)] = self._entries, self._opened
        if change.created or entry.index is None or key is None:
            return None
        return ListGrowth(path, change, self._touched, self._stale, keyed, entry.index, sent, key)

    def merge_object(
        self, target: Object, delta: JSONObject, schema: Schema, path: Path, dropped: str | None = None
    ) -> None:
        """Plan the merge of an object, all but a dropped key."""
        keep_first, append, whole = schema.policy.keep_first, schema.policy.append, schema.policy.whole
        self._touched.append(target)
        for key, value in delta.items():
            if key == dropped:
                continue
            here = (path, key)
            node = self._node(target, key) if self._new else target.fields.get(key)
            if value is None:
                if node is None and key not in target.fields:
                    self._set(target, key, None)
            elif key in keep_first:
                self._keep_first(target, key, node, value, here)
            elif key in target.settled:
                self._late(key, node, value, here, appends=key in append)
            elif key in append:
                self._append(target, key, node, value, here)
            elif isinstance(value, dict) and key not in whole:
                self._merge_nested(target, key, node, value, schema.fields.get(key, schema.other), here)
            elif isinstance(value, list):
                self._merge_list(target, key, node, value, schema.fields.get(key, schema.other), here)
            else:
                self._replace(target, key, node, value, here)

    def _node(self, target: Object, key: str) -> Node:
        if (id(target), key) in self._new:
            return self._new[id(target), key]  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
        return target.fields.get(key)

    def _set(self, target: Object, key: str, node: Node) -> None:
        self._new[id(target), key] = node
        self._fields.append((target, key, node))

    def _keep_first(self, target: Object, key: str, node: Node, value: Json, path: Path) -> None:
        if type(value) is str and value == node:
            return  # the usual repeat
        reported = key in target.conflicts or (id(target), key) in self._conflicts
        if (kept := decide_keep_first(node, value, present=node is not None, reported=reported)) == "set":
            self._set(target, key, value)
        elif kept == "conflict":
            self._conflicts[id(target), key] = target
            self._changes.faults.append(value_conflict(path, key, value))

    def _late(self, key: str, node: Node, value: Json, path: Path, *, appends: bool) -> None:
        if not (is_empty(value) or (not appends and same_json(snapshot(node), value))):
            self._changes.faults.append(late(path, key, value))

    def _append(self, target: Object, key: str, node: Node, value: Json, path: Path) -> None:
        if is_empty(value):
            if node is None:
                self._set(target, key, Text() if isinstance(value, str) else value)
        elif isinstance(value, str):
            if isinstance(node, Text) and (node or not self._repeating):
                if self._repeating and value.startswith(node.read()):  # the call comes whole once more
                    self._note_replaced(node)
                    self._set(target, key, Text(value))
                else:
                    self._texts.append((node, value, target, path))
            elif isinstance(node, Text) or is_empty(node):
                self._set(target, key, Text(value))
            else:
                raise WrongShape(path, f"expected {json_type(snapshot(node))} as before, got a text")
        elif isinstance(node, Text) and (node or any(text is node for text, _, _, _ in self._texts)):
            raise WrongShape(path, f"expected a text to append, got {json_type(value)}")
        elif isinstance(node, Text):
            self._note_replaced(node)  # a template may have been foretold for the empty text
            self._set(target, key, value)
        else:
            self._replace(target, key, node, value, path)

    def _merge_nested(  # noqa: PLR0913, PLR0917 - a field, its node and its delta
        self, target: Object, key: str, node: Node, value: JSONObject, schema: Schema, path: Path
    ) -> None:
        if isinstance(node, Keyed):
            raise WrongShape(path, "expected a list as before, got an object")
        if isinstance(node, Object):
            self.merge_object(node, value, schema, path)
        else:
            self._note_replaced(node)
            self._set(target, key, grown := Object())
            grown.fields = build_fields(value, schema, self._build_list, path)

    def _merge_list(  # noqa: PLR0913, PLR0917 - a field, its node and its delta
        self, target: Object, key: str, node: Node, value: list[Json], schema: Schema, path: Path
    ) -> None:
        index_key = schema.key_of(value)
        if index_key is None and not value:
            if node is None:
                self._set(target, key, value)
            return
        if isinstance(node, Object):
            raise WrongShape(path, "expected an object as before, got a list")
        if index_key is None:
            if isinstance(node, Keyed):
                raise WrongShape(path, "expected entries with an index as before, got others")
            self._replace(target, key, node, value, path)
            return
        if not isinstance(node, Keyed):
            self._note_replaced(node)
            node = Keyed()
            self._set(target, key, node)
        self._merge_entries(node, value, schema, path)

    def _build_list(self, value: list[Json], schema: Schema, path: Path) -> Node:
        """Build the list of a new object. Its entries are planned like others, and added by `commit`."""
        if schema.key_of(value) is None:
            return value
        keyed = Keyed()
        self._merge_entries(keyed, value, schema, path)
        return keyed

    def _replace(self, target: Object, key: str, node: Node, value: Json, path: Path) -> None:
        if isinstance(node, (Object, Keyed)):
            was = "an object" if isinstance(node, Object) else "a list"
            raise WrongShape(path, f"expected {was} as before, got {json_type(value)}")
        if node is not None and same_json(snapshot(node), value):
            self._repeated = True
            return
        self._note_replaced(node)
        self._set(target, key, value)

    def _note_replaced(self, node: Node) -> None:
        """Note that a value will be replaced, unless there is none."""
        if node is not None:
            self._changes.replaced = True

    def _merge_entries(self, keyed: Keyed, sent: list[Json], schema: Schema, path: Path) -> None:
        for position, delta in enumerate(cast("list[JSONObject]", sent)):  # `check` or `key_of` tested it
            here = (path, position)
            entry, created = self._entry(keyed, delta, schema, here)
            fault = None if created else entry_conflict(partial(self._node, entry), delta, schema, here)
            if fault is not None:
                self._changes.faults.append(fault)
                continue
            self._register(keyed, entry, delta, created=created)
            if created:
                entry.fields = build_fields(delta, schema, self._build_list, here, schema.dropped)
            else:
                self._merge_entry(keyed, entry, delta, schema, here)
            if schema is self._parts:
                self._changes.parts.append(Change(entry, created, delta, here))

    def _register(self, keyed: Keyed, entry: Entry, delta: JSONObject, *, created: bool) -> None:
        """Plan to register an entry under its id and, if it may be continued, under its type."""
        ident, kind = delta.get("id"), entry_type(delta)
        named_now = not is_empty(ident) and (created or is_empty(self._node(entry, "id")))
        typed_now = kind != "" and not created and not self._node(entry, "type")
        if named_now:
            self._register_id(keyed, id_key(ident), entry)
        if entry.index is None and (created or (typed_now and not entry.done and entry.position is None)):
            self._continuable.append((keyed.open_unindexed, entry, kind))
        if not created and (named_now or typed_now):
            self._regrouped.append((keyed, entry))

    def _merge_entry(self, keyed: Keyed, entry: Entry, delta: JSONObject, schema: Schema, path: Path) -> None:
        """Plan the merge of a delta into an entry that exists."""
        self._stale.append((keyed, entry))
        if not entry.whole and not entry.assumed:
            self.merge_object(entry, delta, schema, path, schema.dropped)
            return
        ident, known, outer = delta.get("id"), self._node(entry, "id"), self._repeating
        repeated = not is_empty(ident) and ident == known
        named = repeated or (not is_empty(ident) and is_empty(known))
        if named and entry.assumed and (index := usable_index(delta, schema.entry_key)) is not None:
            self._plan_move(keyed, entry, index)
        if named or entry.whole:
            self._heard.append((entry, named))
        else:
            self._uncertain = self._uncertain or not is_empty(ident)
        self._repeating = outer or (repeated and entry.whole)
        self.merge_object(entry, delta, schema, path, schema.dropped)
        self._repeating = outer

    def _plan_move(self, keyed: Keyed, entry: Entry, index: int) -> None:
        """Plan to put an entry under the index that is named now; an entry that has it takes the old one."""
        was = self._indexes.get(id(entry), cast("int", entry.index))
        if was == index:
            return
        place = (id(keyed), index)
        other = self._new[place] if place in self._new else keyed.entries.get(index)
        self._moved.append((keyed, entry, index))
        self._placed.append((keyed, entry, index))
        self._new[id(keyed), was], self._new[id(keyed), index] = other, entry
        self._indexes[id(entry)], self._indexes[id(other)] = index, was
        self._changes.replaced = True  # the index names another entry now

    def _entry(self, keyed: Keyed, delta: JSONObject, schema: Schema, path: Path) -> tuple[Entry, bool]:
        """Return the entry that a delta means, and whether it is new."""
        key = schema.entry_key
        index = usable_index(delta, key)
        if index is None:
            self._changes.faults.append(_no_index(delta, key, path))
        known = find(keyed, delta, index, self._new, schema)
        if known is not None:
            if (kind := keyed.take_open(known)) is not None:
                self._set_aside.append((keyed.open_unindexed, known, kind))
            return known, False
        entry = Entry(index)
        if index is not None:
            self._new[id(keyed), index] = entry
        self._entries.append((keyed, entry))
        self._placed.append((keyed, entry, None))
        self._opened.append((delta, schema.dropped, path))
        return entry, True

    def _register_id(self, keyed: Keyed, ident: str, entry: Entry) -> None:
        if ident not in keyed.ids and (id(keyed), ident) not in self._new:
            self._new[id(keyed), ident] = entry
            self._ids.append((keyed, ident, entry))


def _no_index(delta: JSONObject, key: str | None, path: Path) -> Fault:
    got = dump_json(delta[key])[:40] if key in delta else "none"
    message = f"expected an integer of 0 or more as index, got {got}"
    return Fault("index", (path, key or "index"), message, dump_json(delta))
