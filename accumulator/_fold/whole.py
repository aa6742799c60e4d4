"""The merge of whole objects: an ending replaces; a repeat replaces at the top, and fills what is empty below.

A value that is not the object or list that the schema needs is a `shape` fault, and is taken as it was sent: the rest
of the message, such as its status, must not be lost because a server sends a text in place of an object. But an object
or list with content that was folded before stays (in a repeat, any content), and the fault has what was sent.

An ending sets the top-level fields that the schema does not name to what was sent. In the fields that the schema names:

- Each value that it holds replaces the folded one. If they differ, that is a `contradiction`; its `raw` is what was
  folded.
- Where it is empty (null, "", [], or no such field) the folded content stays.
- A folded field that is empty, and that the ending lacks, is removed. So the result is what the server sent.

What an ending gives is *settled*: a later delta for it is `late`. A top-level field that the schema does not name is
settled whole. In the others each value is settled by itself, so that a later delta still fills what no ending gave.
A missing entry is reported once, as is the conflict of a field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._fold.changes import Change, Changes, Fault, entry_conflict, value_conflict
from accumulator._fold.matching import pair
from accumulator._fold.nodes import (
    Entry,
    Keyed,
    Node,
    Object,
    build,
    decide_keep_first,
    has_content,
    is_empty,
    snapshot,
)
from accumulator._fold.policy import Schema, check, fits, usable_index
from accumulator._fold.texts import Text
from accumulator._json import Json, JSONObject, Path, dump_json, same_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from accumulator._fold.history import Moment


def fold_repeat(  # noqa: PLR0913 - the object, what was sent, and what is noted of both
    root: Object,
    sent: JSONObject,
    schema: Schema,
    parts: Schema | None = None,
    moment: Moment | None = None,
    *,
    keep: Collection[str] = (),
) -> Changes:
    """Merge a repeat: replace top-level fields, and fill what is empty in the fields that the schema names.

    The cost is linear in the object as sent, see `pair`. If nothing changes, snapshots stay current.

    Args:
        root: the object that grows.
        sent: the object as sent.
        schema: the schema of both.
        parts: the schema of the list of parts, within `schema`; its new entries are reported in `Changes.parts`.
        moment: where to note what was before, if somebody could read it.
        keep: top-level fields that are not replaced.

    """
    merge = _Merge(parts, moment)
    check(sent, schema, None, merge.misfit)
    changed = False
    for key, value in sent.items():
        if key in schema.fields:
            changed |= merge.fill(root, {key: value}, schema, None)
        elif value is None:
            changed |= merge.add_null(root, key)
        elif key in schema.policy.keep_first:
            changed |= merge.keep_first(root, key, value, (None, key))
        elif key not in keep:
            changed |= merge.update(root, key, value, schema.other, (None, key))
    if changed:
        merge.touch(root)
    return merge.changes


def fold_ending(
    root: Object, sent: JSONObject, schema: Schema, parts: Schema | None = None, moment: Moment | None = None
) -> Changes:
    """Merge an ending: set top-level fields; in the fields that the schema names, replace each value that it has.

    The cost is linear in the object as sent, and in what was folded since the last ending. The parameters are those of
    `fold_repeat`, without `keep`.
    """
    merge = _Merge(parts, moment)
    check(sent, schema, None, merge.misfit)
    merge.touch(root)
    for key, value in sent.items():
        if key in schema.fields:
            merge.settle_field(root, key, value, schema.fields[key], (None, key))
        else:
            merge.set(root, key, _build_settled(value, key, schema.other))
            if value is not None:
                root.settle(key)
    return merge.changes


class _Merge:
    """The merge of one whole object, with its changes so far. Methods of a repeat return whether anything changed."""

    def __init__(self, parts: Schema | None, moment: Moment | None = None) -> None:
        self._parts = parts
        self._moment = moment
        self.changes = Changes()

    def set(self, target: Object, key: str, node: Node) -> None:
        """Set a field."""
        if self._moment is not None:
            self._moment.note_field(target, key)
        target.fields[key] = node

    def touch(self, target: Object) -> None:
        """Drop the snapshot of an object, because something in it changes or has changed."""
        if self._moment is not None:
            self._moment.touch(target)
        target.snap = None

    def touch_list(self, keyed: Keyed) -> None:
        """Drop the snapshot of a list, and the order of its entries."""
        if self._moment is not None:
            self._moment.touch(keyed)
        keyed.invalidate_order()

    def add_null(self, target: Object, key: str) -> bool:
        """Add a field with null, unless the object has it. Return whether it was added."""
        if key in target.fields:
            return False
        self.set(target, key, None)
        return True

    def misfit(self, path: Path, message: str, value: Json) -> None:
        """Note a value that is not what its schema needs."""
        self.changes.faults.append(Fault("shape", path, message, dump_json(value)))

    # A repeat.

    def keep_first(self, target: Object, key: str, value: Json, path: Path) -> bool:
        present, reported = key in target.fields, key in target.conflicts
        kept = decide_keep_first(target.fields.get(key), value, present=present, reported=reported)
        if kept == "set":
            self.set(target, key, value)
        elif kept == "conflict":
            target.mark_conflict(key)
            self.changes.faults.append(value_conflict(path, key, value))
        return kept == "set"

    def update(self, target: Object, key: str, value: Json, schema: Schema, path: Path) -> bool:
        """Replace a field that the schema does not name: objects key by key; keyed entries are only filled."""
        node = target.fields.get(key)
        if isinstance(node, Object) and isinstance(value, dict):
            changed = False
            for name, item in value.items():
                if item is None:
                    changed |= self.add_null(node, name)
                else:
                    changed |= self.update(node, name, item, schema, (path, name))
            if changed:
                self.touch(node)
            return changed
        if isinstance(node, Keyed) and isinstance(value, list) and schema.key_of(value) is not None:
            return self.fill_entries(node, value, schema, path)
        if node is not None and (value == [] or same_json(snapshot(node), value)):
            return False
        self.set(target, key, build(value, key, schema, build_list, path))
        return True

    def fill(self, target: Object, sent: JSONObject, schema: Schema, path: Path) -> bool:
        """Fill what is empty in an object."""
        changed = False
        for key, value in sent.items():
            changed |= self._fill_field(target, key, value, schema.fields.get(key, schema.other), (path, key))
        if changed:
            self.touch(target)
        return changed

    def _fill_field(self, target: Object, key: str, value: Json, schema: Schema, path: Path) -> bool:
        node = target.fields.get(key)
        if key in schema.policy.keep_first:
            return self.keep_first(target, key, value, path)
        if value is None:
            return self.add_null(target, key)
        fitting = fits(value, schema)
        if (
            fitting
            and isinstance(value, list)
            and (schema.key is not None or (isinstance(node, Keyed) and schema.key_of(value) is not None))
        ):
            keyed = self._keyed(target, key, node)
            return self.fill_entries(keyed, value, schema, path) or keyed is not node
        if fitting and isinstance(value, dict) and (isinstance(node, Object) or schema.known):
            nested = self._nested(target, key, node)
            return self.fill(nested, value, schema, path) or nested is not node
        if has_content(node) or (node is not None and is_empty(value)):
            return False
        self.set(target, key, build(value, key, schema, build_list, path) if fitting else value)
        return True

    def _keyed(self, target: Object, key: str, node: Node) -> Keyed:
        """Return the list in a field, a new one if it has none."""
        if isinstance(node, Keyed):
            return node
        self.set(target, key, keyed := Keyed())
        return keyed

    def _nested(self, target: Object, key: str, node: Node) -> Object:
        """Return the object in a field, a new one if it has none."""
        if isinstance(node, Object):
            return node
        self.set(target, key, nested := Object())
        return nested

    def fill_entries(self, keyed: Keyed, sent: list[Json], schema: Schema, path: Path) -> bool:
        """Add the entries that are new, and fill what is empty in the others."""
        changed = False
        for position, item, entry, created in self._match_or_add(keyed, sent, schema, ending=False) if sent else ():
            here = (path, position)
            fault = None if created else entry_conflict(entry.fields.get, item, schema, here)
            if fault is not None:
                self.changes.faults.append(fault)
                continue
            changed |= self.fill(entry, _without(item, schema.dropped), schema, here) or created
            keyed.register(entry)
            keyed.refresh(entry)
            if created and schema is self._parts:
                self.changes.parts.append(Change(entry, created, item, here))
        if changed:
            self.touch_list(keyed)
        return changed

    # An ending.

    def settle_field(self, target: Object, key: str, value: Json, schema: Schema, path: Path) -> None:
        """Set a field to what an ending holds for it."""
        node = target.fields.get(key)
        if isinstance(value, str) and value and value == (node.read() if isinstance(node, Text) else node):
            target.settle(key)  # the ending repeats what was folded
        elif is_empty(value):
            if not has_content(node):
                opens_list = schema.key is not None and value == []
                self.set(target, key, Keyed() if opens_list else _build_settled(value, key, schema))
        elif not fits(value, schema):
            if not (isinstance(node, (Object, Keyed)) and has_content(node)):  # parts that were handed out stay
                self._replace(target, key, node, value, path)
        elif isinstance(value, dict) and (isinstance(node, Object) or schema.known):
            self._settle(self._nested(target, key, node), value, schema, path)
        elif isinstance(value, list) and (schema.key is not None or _may_be_entries(node, value)):
            self._settle_entries(self._keyed(target, key, node), value, schema, path)
        else:
            self._replace(target, key, node, _build_settled(value, key, schema), path)

    def _replace(self, target: Object, key: str, node: Node, value: Node, path: Path) -> None:
        """Replace what was folded by what an ending holds."""
        if has_content(node) and not same_json(snapshot(node), snapshot(value)):
            self._contradict(path, "expected what was streamed, got another value in the ending", node)
        self.set(target, key, value)
        if not isinstance(value, Object):
            target.settle(key)

    def _settle(self, target: Object, sent: JSONObject, schema: Schema, path: Path) -> None:
        self.touch(target)
        for key, value in sent.items():
            self.settle_field(target, key, value, schema.fields.get(key, schema.other), (path, key))
        if len(target.fields) > len(sent):  # all that was sent is there, and more
            for key in [key for key, node in target.fields.items() if key not in sent and not has_content(node)]:
                if self._moment is not None:
                    self._moment.note_field(target, key)
                del target.fields[key]

    def _settle_entries(self, keyed: Keyed, sent: list[Json], schema: Schema, path: Path) -> None:
        self.touch_list(keyed)
        matched = list(self._match_or_add(keyed, sent, schema, ending=True))
        listed = [entry for _, _, entry, _ in matched]
        ids = [entry.fields.get("id") for entry in listed]
        # An ending shows what was sent: in a list that the schema does not name the index stays, though deltas drop it.
        dropped = schema.dropped if schema.key is not None else None
        for position, item, entry, created in matched:
            self._settle(entry, _without(item, dropped), schema, (path, position))
            if created and schema is self._parts:
                self.changes.parts.append(Change(entry, created, item, (path, position)))
        if self._moment is not None:
            for entry in (*keyed.listed, *listed):
                self._moment.note_order(entry)
        keyed.register_anew(listed, ids)
        for entry in keyed.list_entries(listed):
            entry.missed = True
            self._contradict(path, "expected every streamed entry in the ending, one is missing", entry)

    # Both.

    def _match_or_add(
        self, keyed: Keyed, sent: list[Json], schema: Schema, *, ending: bool
    ) -> Iterator[tuple[int, JSONObject, Entry, bool]]:
        """Yield each entry of a whole list: its position, its JSON, the entry that it is, and whether that is new.

        A new entry is added under the index that it names, else under its position, else under the lowest free index.
        """
        key = schema.entry_key
        items = [item for item in sent if isinstance(item, dict)]
        for position, (item, entry) in enumerate(zip(items, pair(keyed, items, key, ending=ending), strict=True)):
            if entry is not None:
                yield position, item, entry, False
                continue
            named = usable_index(item, key)
            index = position if named is None or named in keyed.entries else named
            if index in keyed.entries:
                index = keyed.lowest_free()
            opened = Entry(index)
            opened.whole, opened.assumed = True, index != named
            if self._moment is not None:
                self._moment.note_list(keyed)
            keyed.add(opened)
            yield position, item, opened, True

    def _contradict(self, path: Path, message: str, node: Node) -> None:
        self.changes.faults.append(Fault("contradiction", path, message, dump_json(snapshot(node))))


def build_list(value: list[Json], schema: Schema, path: Path) -> Node:
    """Build the list of a new value: a keyed one if its entries have indexes, so that later deltas find them."""
    if schema.key_of(value) is None:
        return value
    keyed = Keyed()
    if value:
        _Merge(None).fill_entries(keyed, value, schema, path)
    return keyed


def _build_settled(value: Json, key: str, schema: Schema) -> Node:
    """Build the node of a value that an ending gives, with the fields in it settled. Its lists stay as sent."""
    node = build(value, key, schema, _keep_list)
    if isinstance(node, Object):
        _settle_all(node)
    return node


def _keep_list(value: list[Json], _schema: Schema, _path: Path) -> Node:
    return value


def _settle_all(target: Object) -> None:
    for key, node in target.fields.items():
        if isinstance(node, Object):
            _settle_all(node)
        elif has_content(node):
            target.settle(key)


def _may_be_entries(node: Node, value: list[Json]) -> bool:
    """Tell whether a whole list can hold the entries of a folded list that the schema does not name."""
    return isinstance(node, Keyed) and all(isinstance(item, dict) for item in value)


def _without(item: JSONObject, key: str | None) -> JSONObject:
    return {name: value for name, value in item.items() if name != key} if key in item else item
