"""Endings, which decide, and other whole objects, which fill, merged into what is there.

Both need another JSON type only where the reference has objects and keyed lists; `check` decides that before anything
is merged, so merging cannot fail half way. Their lists carry no index, as a rule: `_pair` finds the entry that each
one is, by id, by an index all the same, then in order.

In an ending each value replaces the folded one, and where they differ that is a contradiction whose `raw` is what was
folded. Where the ending is empty (null, "", [] or no such field) folded content stays; a folded field without content
that the ending lacks goes, so that the result is what the server sent.

What an ending says is *held*: a top-level field as a whole, in the details each value by itself, so that a later delta
still fills what was not said there. That an entry is missing, and that a field conflicts, is told once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from accumulator._fold.delta import APPEND, KEEP_FIRST, WHOLE, Change, Changes, Fault, type_conflict, value_conflict
from accumulator._fold.nodes import (
    Entry,
    Keyed,
    Object,
    OpenUnindexed,
    Text,
    entry_type,
    has_content,
    id_key,
    is_nothing,
    snapshot,
)
from accumulator._fold.policy import ANY, check, indexed, usable_index
from accumulator._json import dump_json, same_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from accumulator._fold.nodes import (
        Json,
        Node,
    )
    from accumulator._fold.policy import Path, Shape


def fold_fields(root: Object, sent: dict[str, Json], shape: Shape, *, keep: Collection[str] = ()) -> Changes:
    """Merge an object that is no ending: update its own fields but those in `keep`, fill the empty in `shape`d ones.

    Raise `Misfit` with nothing merged. Costs the object, and a list of it the entries that are there, unless it is
    empty. What says nothing new leaves the snapshots current.
    """
    check(sent, shape, None)
    merging = _Merging()
    changed = False
    for key, value in sent.items():
        if key in shape.fields:
            changed |= merging.fill(root, {key: value}, shape, None)
        elif value is None:
            changed |= _open_null(root, key)
        elif key in KEEP_FIRST:
            changed |= merging.keep_first(root, key, value, (None, key))
        elif key not in keep:
            changed |= merging.update(root, key, value, (None, key))
    if changed:
        root.snap = None
    return merging.changes


def fold_ending(root: Object, sent: dict[str, Json], shape: Shape) -> Changes:
    """Merge an ending: its own fields as sent, null too, and in its `shape`d ones each value that it holds.

    Raise `Misfit` with nothing merged. Costs the object and what was folded.
    """
    check(sent, shape, None)
    merging = _Merging()
    root.snap = None
    for key, value in sent.items():
        if key not in shape.fields:
            root.fields[key] = grow(value, key, ending=True)
            if value is not None:
                root.hold(key)
        else:
            merging.settle_field(root, key, value, shape.fields[key], (None, key))
    return merging.changes


def grow(value: Json, key: str, *, ending: bool = False) -> Node:
    """Build the node of a whole value.

    What an ending says is marked as held, and its lists stay as sent. Another object's list of entries with indexes is
    keyed by them, so that later deltas find their entries.
    """
    if isinstance(value, str) and key in APPEND:
        return Text(value)
    if isinstance(value, list) and not ending and key not in APPEND and key not in KEEP_FIRST and indexed(value):
        return _keyed(value)
    if not isinstance(value, dict) or key in WHOLE or key in APPEND or key in KEEP_FIRST:
        return value
    target = Object()
    for name, item in value.items():
        node = target.fields[name] = grow(item, name, ending=ending)
        if ending and not isinstance(node, Object) and not is_nothing(item):
            target.hold(name)
    return target


def _keyed(sent: list[Json]) -> Keyed:
    keyed = Keyed()
    _Merging().fill_entries(keyed, sent, ANY, None)
    return keyed


def _open_null(target: Object, key: str) -> bool:
    """Have a field that is not there as null; tell whether that changed anything, as the functions below do."""
    if key in target.fields:
        return False
    target.fields[key] = None
    return True


def _pair(keyed: Keyed, sent: list[dict[str, Json]], *, ending: bool) -> list[Entry | None]:
    """Return which folded entry each of a whole list is: by id, by an index it names, then in order by type.

    In order an ending's may be one with another id, as servers do that make up a new one each time; a repeated object's
    may not, nor one under another index: filling would make one of two.
    """
    free = {id(entry): entry for entry in keyed.ordered()}
    found: list[Entry | None] = []
    for item in sent:
        ident, index = item.get("id"), usable_index(item)
        entry = None if is_nothing(ident) else keyed.ids.get(id_key(ident))
        if entry is None and index is not None:
            entry = keyed.entries.get(index)
        found.append(free.pop(id(entry), None) if entry else None)
    if ending and not any(found) and _fit_in_order(free.values(), sent):
        return [*free.values(), *found[len(free) :]]
    rest = _Rest(free.values())
    for position, item in enumerate(sent):
        if found[position] is None and (ending or usable_index(item) is None):
            named = not is_nothing(item.get("id"))
            found[position] = rest.take(entry_type(item), nameless=named and not ending)
    return found


def _fit_in_order(entries: Collection[Entry], sent: list[dict[str, Json]]) -> bool:
    """Tell whether each entry is the first whose type fits an item, as in most lists; asking costs less than taking."""
    pairs = zip(map(entry_type, entries), map(entry_type, sent), strict=False)
    return len(entries) <= len(sent) and all(known == kind or not known or not kind for known, kind in pairs)


class _Rest:
    """Entries in order, to be taken by type; a missing type, on either side, fits all. Each take costs the same."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._queues: dict[tuple[str | None, bool], deque[tuple[int, Entry]]] = {}
        self._taken: set[int] = set()
        for rank, entry in enumerate(entries):
            for nameless in (False, True) if is_nothing(entry.fields.get("id")) else (False,):
                for kind in (entry_type(entry), None):
                    self._queues.setdefault((kind, nameless), deque()).append((rank, entry))

    def take(self, kind: str, *, nameless: bool) -> Entry | None:
        """Take the first that a type fits, of those without an id if it is to be `nameless`."""
        queues = [self._queues.get((fitting, nameless)) for fitting in ((kind, "") if kind else (None,))]
        left = [queue for queue in queues if queue and self._skip_taken(queue)]
        if not left:
            return None
        rank, entry = min(left, key=lambda queue: queue[0][0]).popleft()
        self._taken.add(rank)
        return entry

    def _skip_taken(self, queue: deque[tuple[int, Entry]]) -> bool:
        while queue and queue[0][0] in self._taken:
            queue.popleft()
        return bool(queue)


class _Merging:
    """The changes of one whole object, gathered while it is merged."""

    def __init__(self) -> None:
        self.changes = Changes()

    def _contradiction(self, path: Path, message: str, node: Node) -> None:
        self.changes.faults.append(Fault("contradiction", path, message, dump_json(snapshot(node))))

    def keep_first(self, target: Object, key: str, value: Json, path: Path) -> bool:
        node = target.fields.get(key)
        if not has_content(node):
            if not is_nothing(value) or (node is None and (value is not None or key not in target.fields)):
                target.fields[key] = value
                return True
        elif not (is_nothing(value) or key in target.conflicts or same_json(snapshot(node), value)):
            target.report(key)
            self.changes.faults.append(value_conflict(path, key, value))
        return False

    def update(self, target: Object, key: str, value: Json, path: Path) -> bool:
        """Replace what a field has, objects key by key; entries with indexes only take what is empty in them."""
        node = target.fields.get(key)
        if isinstance(node, Object) and isinstance(value, dict):
            changed = False
            for name, item in value.items():
                changed |= _open_null(node, name) if item is None else self.update(node, name, item, (path, name))
            if changed:
                node.snap = None
            return changed
        if isinstance(node, Keyed) and isinstance(value, list) and indexed(value):
            return self.fill_entries(node, value, ANY, path)
        if node is not None and (value == [] or same_json(snapshot(node), value)):
            return False
        target.fields[key] = grow(value, key)
        return True

    def _entries(
        self, keyed: Keyed, sent: list[Json], *, ending: bool
    ) -> Iterator[tuple[int, dict[str, Json], Entry, bool]]:
        """Yield each entry of a whole list with the one it is, opened where there is none.

        A new one's index is one that it names, else its position, else the lowest that is free.
        """
        items = [item for item in sent if isinstance(item, dict)]
        lowest = 0
        for position, (item, entry) in enumerate(zip(items, _pair(keyed, items, ending=ending), strict=True)):
            if entry is not None:
                yield position, item, entry, False
                continue
            named = usable_index(item)
            index = position if named is None or named in keyed.entries else named
            while index in keyed.entries:
                index, lowest = lowest, lowest + 1
            opened = Entry(index)
            keyed.add(opened)
            yield position, item, opened, True

    def fill(self, target: Object, sent: dict[str, Json], shape: Shape, path: Path) -> bool:
        """Take from `sent` what is empty in `target`."""
        changed = False
        for key, value in sent.items():
            changed |= self._fill_field(target, key, value, shape.fields.get(key, ANY), (path, key))
        if changed:
            target.snap = None
        return changed

    def _fill_field(self, target: Object, key: str, value: Json, shape: Shape, path: Path) -> bool:
        node = target.fields.get(key)
        if key in KEEP_FIRST:
            return self.keep_first(target, key, value, path)
        if value is None:
            return _open_null(target, key)
        if isinstance(value, list) and (shape.keyed or (isinstance(node, Keyed) and indexed(value))):
            keyed = node if isinstance(node, Keyed) else Keyed()
            target.fields[key] = keyed
            return self.fill_entries(keyed, value, shape, path) or keyed is not node
        if isinstance(value, dict) and (isinstance(node, Object) or shape is not ANY):
            nested = node if isinstance(node, Object) else Object()
            target.fields[key] = nested
            return self.fill(nested, value, shape, path) or nested is not node
        if has_content(node) or (node is not None and is_nothing(value)):
            return False
        target.fields[key] = grow(value, key)
        return True

    def fill_entries(self, keyed: Keyed, sent: list[Json], shape: Shape, path: Path) -> bool:
        """Take from a whole list the entries that are not there, and what is empty in those that are."""
        changed = False
        for position, item, entry, created in self._entries(keyed, sent, ending=False) if sent else ():
            here = (path, position)
            known, kind = entry_type(entry), entry_type(item)
            if known and kind and known != kind:
                self.changes.faults.append(type_conflict(here, known, item))
                continue
            changed |= self.fill(entry, _without_index(item), shape, here) or created
            keyed.register([entry])
            keyed.open_unindexed.refresh(entry)
            if created and shape.parts:
                self.changes.parts.append(Change(entry, created, item, here))
        if changed:
            keyed.reorder()
        return changed

    def _settle(self, target: Object, sent: dict[str, Json], shape: Shape, path: Path) -> None:
        target.snap = None
        for key, value in sent.items():
            self.settle_field(target, key, value, shape.fields.get(key, ANY), (path, key))
        if len(target.fields) > len(sent):  # it has all that was sent
            for key in [key for key, node in target.fields.items() if key not in sent and not has_content(node)]:
                del target.fields[key]

    def settle_field(self, target: Object, key: str, value: Json, shape: Shape, path: Path) -> None:
        """Give one field what an ending says of it."""
        node = target.fields.get(key)
        if isinstance(value, str) and value and value == (node.read() if isinstance(node, Text) else node):
            target.hold(key)  # most of what an ending says
        elif is_nothing(value):
            if not has_content(node):
                target.fields[key] = Keyed() if shape.keyed and value == [] else grow(value, key)
        elif isinstance(value, dict) and (isinstance(node, Object) or shape is not ANY):
            nested = node if isinstance(node, Object) else Object()
            target.fields[key] = nested
            self._settle(nested, value, shape, path)
        elif isinstance(value, list) and (shape.keyed or _entries_of(node, value)):
            keyed = node if isinstance(node, Keyed) else Keyed()
            target.fields[key] = keyed
            self._settle_entries(keyed, value, shape, path)
        else:
            if has_content(node) and not same_json(snapshot(node), value):
                self._contradiction(path, "expected what was streamed, got another value in the ending", node)
            grown = target.fields[key] = grow(value, key, ending=True)
            if not isinstance(grown, Object):
                target.hold(key)

    def _settle_entries(self, keyed: Keyed, sent: list[Json], shape: Shape, path: Path) -> None:
        keyed.reorder()
        settled = list(self._entries(keyed, sent, ending=True))
        everyone = {id(entry): entry for entry in (*keyed.entries.values(), *keyed.unindexed)}
        for entry in everyone.values():
            entry.position = None
        for position, item, entry, created in settled:
            entry.position = position
            # Where the reference has no keyed list an index may be any field: the ending decides, as everywhere.
            here = (path, position)
            self._settle(entry, _without_index(item) if shape.keyed else item, shape, here)
            if created and shape.parts:
                self.changes.parts.append(Change(entry, created, item, here))
        keyed.ids, keyed.open_unindexed = {}, OpenUnindexed()
        keyed.register(entry for _, _, entry, _ in settled)
        missing = [entry for entry in everyone.values() if entry.position is None]
        keyed.register(missing)
        for entry in missing:
            if entry.index is None and not entry.done:
                keyed.open_unindexed.put(entry, entry_type(entry))
            if not entry.missed:
                entry.missed = True
                self._contradiction(path, "expected every streamed entry in the ending, one is missing", entry)


def _entries_of(node: Node, value: list[Json]) -> bool:
    """Tell whether a whole list can be the entries of a list that was keyed by the indexes it came with."""
    return isinstance(node, Keyed) and all(isinstance(item, dict) for item in value)


def _without_index(item: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in item.items() if key != "index"} if "index" in item else item
