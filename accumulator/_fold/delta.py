"""The fold of deltas into what is there.

One table of field names says what a delta does to a field that has a value:

- *append*: text goes behind text; what is no text replaces what is none.
- *keep first*: the first value that is not empty stays; another one later is a conflict.
- *replace*: everything else takes the last value that is not null. Objects merge key by key, but for *whole* ones.

Lists are keyed where the reference has them so (`STEP`, `MESSAGE`), and wherever all entries are objects with a usable
`index`; any other list is a value. Null never overwrites; an empty list, or an empty text where text is appended,
erases nothing.

A delta is planned first: the plan reads what is there, finds every fault, and either is dropped as a whole (`Misfit`)
or carried out by a few loops that cannot fail. Only the index of open entries by type is changed while planning, and
put back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from accumulator._assistants.updates import ProblemKind
from accumulator._fold.nodes import (
    Entry,
    Json,
    Keyed,
    Object,
    Text,
    entry_type,
    id_key,
    is_nothing,
    snapshot,
)
from accumulator._fold.policy import ANY, Misfit, Path, check, indexed, json_type, usable_index
from accumulator._json import dump_json, same_json

if TYPE_CHECKING:
    from accumulator._fold.nodes import (
        Node,
        OpenUnindexed,
    )
    from accumulator._fold.policy import Shape

APPEND = frozenset({"arguments", "input", "logs", "output", "refusal", "requesturl", "response_metadata", "value"})
KEEP_FIRST = frozenset({"file_id", "id", "name", "server_label", "type"})
WHOLE = frozenset({"ranking_options"})
_VALUES = APPEND | KEEP_FIRST


class Fault(msgspec.Struct, frozen=True):
    """Something that stayed out of the fold, or was replaced in it; `raw` is its JSON."""

    kind: ProblemKind
    path: Path
    message: str
    raw: str


class Change(msgspec.Struct, frozen=True):
    """A tool call or content part that an event spoke of: its entry, whether it is new, and the entry as sent."""

    entry: Entry
    created: bool
    sent: dict[str, Json]
    path: Path


class Changes:
    """What merging one event did.

    Attributes:
        parts: the tool calls or content parts that it spoke of.
        faults: what stayed out, or was replaced.
        aside: whether a delta changed something and spoke of no part.
        growth: all that a delta did, if that was to append to one text of one part or to open one entry in it.

    """

    __slots__ = ("aside", "faults", "growth", "parts")

    def __init__(self) -> None:
        """Begin with nothing done."""
        self.parts: list[Change] = []
        self.faults: list[Fault] = []
        self.aside = False
        self.growth: Growth | None = None


class _Growth(msgspec.Struct, frozen=True):
    """All that a delta did, if that was one thing in one part that was there: the part's change, and what it made old.

    The path is that of the text or entry.
    """

    path: Path
    change: Change
    objects: list[Object]
    entries: list[tuple[Keyed, Entry]]

    def outdate(self) -> None:
        """Have the snapshots that it changes made anew."""
        for node in self.objects:
            node.snap = None
        for keyed, entry in self.entries:
            keyed.touch(entry)


class TextGrowth(_Growth, frozen=True):
    """A fragment was appended to a text, which is a field of `owner`."""

    text: Text
    fragment: str
    owner: Object


class ListGrowth(_Growth, frozen=True):
    """An entry was opened in a list under an index; `sent` is its JSON."""

    keyed: Keyed
    index: int
    sent: dict[str, Json]


Growth: TypeAlias = TextGrowth | ListGrowth


def value_conflict(path: Path, key: str, value: Json) -> Fault:
    """Return the conflict of a field that keeps its first value and came with another."""
    return Fault("conflict", path, f"expected {key[:80]!r} as first sent, got another", dump_json(value))


def type_conflict(path: Path, known: str, sent: dict[str, Json]) -> Fault:
    """Return the conflict of an entry that came with another type than it has, and stays out."""
    message = f"expected an entry of type {known[:80]!r} as before, got {entry_type(sent)[:80]!r}"
    return Fault("conflict", (path, "type"), message, dump_json(sent))


def fold_delta(root: Object, delta: dict[str, Json], shape: Shape, path: Path) -> Changes:
    """Merge a delta into `root`, or raise `Misfit` with nothing merged. Costs the delta, whatever was folded before."""
    check(delta, shape, path)
    plan = _Plan()
    try:
        plan.merge_object(root, delta, shape, path)
    except BaseException:  # also an interrupt, or a stack that the caller left too small
        plan.drop()
        raise
    return plan.carry_out()


class _Plan:
    """What a delta will do.

    `_new` holds what is to be set, by the identity of its container and its key, for later entries of the same event.
    """

    def __init__(self) -> None:
        self._new: dict[tuple[int, str | int], object] = {}
        self._fields: list[tuple[Object, str, Node]] = []
        self._entries: list[tuple[Keyed, Entry, dict[str, Json], Path]] = []
        self._ids: list[tuple[Keyed, str, Entry]] = []
        self._texts: list[tuple[Text, str, Object, Path]] = []
        self._conflicts: dict[tuple[int, str], Object] = {}
        self._loose: list[tuple[OpenUnindexed, Entry, str | None]] = []
        self._touched: list[Object] = []
        self._stale: list[tuple[Keyed, Entry]] = []
        self._changes = Changes()

    def drop(self) -> None:
        """Put back the one thing that planning changes, the index of open entries by type."""
        for loose, entry, before in reversed(self._loose):
            loose.put(entry, before)

    def carry_out(self) -> Changes:
        for target, key, node in self._fields:
            target.fields[key] = node
        for keyed, entry, _, _ in self._entries:
            keyed.add(entry)
        for keyed, ident, entry in self._ids:
            keyed.ids[ident] = entry
        for text, fragment, _, _ in self._texts:
            text.append(fragment)
        for (_, key), target in self._conflicts.items():
            target.report(key)
        for node in self._touched:
            node.snap = None
        for keyed, entry in self._stale:
            keyed.touch(entry)
        changes = self._changes
        changes.aside = bool(self._fields or self._texts or self._entries) and not changes.parts
        changes.growth = self._growth()
        return changes

    def _growth(self) -> Growth | None:
        """Return what the plan is if it is one thing in one part and nothing else."""
        others = (self._fields, self._ids, self._changes.faults)  # conflicts, and entries without index, have faults
        if len(self._changes.parts) != 1 or len(self._texts) + len(self._entries) != 1 or any(others):
            return None
        [change] = self._changes.parts
        if self._texts:
            [(text, fragment, owner, path)] = self._texts
            return TextGrowth(path, change, self._touched, self._stale, text, fragment, owner)
        [(keyed, entry, sent, path)] = self._entries
        if change.created or entry.index is None:
            return None
        return ListGrowth(path, change, self._touched, self._stale, keyed, entry.index, sent)

    def merge_object(
        self, target: Object, delta: dict[str, Json], shape: Shape, path: Path, *, keyed: bool = False
    ) -> None:
        self._touched.append(target)
        for key, value in delta.items():
            if keyed and key == "index":
                continue
            here = (path, key)
            node = self._node(target, key) if self._new else target.fields.get(key)
            if value is None:
                if node is None and key not in target.fields:
                    self._set(target, key, None)
            elif key in KEEP_FIRST:
                self._keep_first(target, key, node, value, here)
            elif key in target.held:
                self._late(key, node, value, here)
            elif key in APPEND:
                self._append(target, key, node, value, here)
            elif isinstance(value, dict) and key not in WHOLE:
                self._merge_nested(target, key, node, value, shape.fields.get(key, ANY), here)
            elif isinstance(value, list):
                self._merge_list(target, key, node, value, shape.fields.get(key, ANY), here)
            else:
                self._replace(target, key, node, value, here)

    def _grow(self, target: Object, delta: dict[str, Json], shape: Shape, path: Path, *, keyed: bool = False) -> None:
        """Do as `merge_object` for an object that nothing is in yet: at once, as nobody has it before the end."""
        fields = target.fields
        for key, value in delta.items():
            if keyed and key == "index":
                continue
            if isinstance(value, str):
                fields[key] = Text(value) if key in APPEND else value
            elif key in _VALUES or not isinstance(value, (dict, list)) or (isinstance(value, dict) and key in WHOLE):
                fields[key] = value
            elif isinstance(value, dict):
                fields[key] = grown = Object()
                self._grow(grown, value, shape.fields.get(key, ANY), (path, key))
            elif (inner := shape.fields.get(key, ANY)).keyed or indexed(value):
                fields[key] = entries = Keyed()
                self._merge_entries(entries, value, inner, (path, key))
            else:
                fields[key] = value

    def _node(self, target: Object, key: str) -> Node:
        if (id(target), key) in self._new:
            return self._new[id(target), key]  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
        return target.fields.get(key)

    def _set(self, target: Object, key: str, node: Node) -> None:
        self._new[id(target), key] = node
        self._fields.append((target, key, node))

    def _fault(self, kind: ProblemKind, path: Path, message: str, raw: Json) -> None:
        self._changes.faults.append(Fault(kind, path, message, dump_json(raw)))

    def _keep_first(self, target: Object, key: str, node: Node, value: Json, path: Path) -> None:
        if is_nothing(node):
            if not is_nothing(value) or node is None:
                self._set(target, key, value)
        elif not (is_nothing(value) or self._reported(target, key) or same_json(snapshot(node), value)):
            self._conflicts[id(target), key] = target
            self._changes.faults.append(value_conflict(path, key, value))

    def _reported(self, target: Object, key: str) -> bool:
        return key in target.conflicts or (id(target), key) in self._conflicts

    def _late(self, key: str, node: Node, value: Json, path: Path) -> None:
        if is_nothing(value) or (key not in APPEND and same_json(snapshot(node), value)):
            return
        self._fault("late", path, f"expected no more of {key[:80]!r}: an ending held its value", value)

    def _append(self, target: Object, key: str, node: Node, value: Json, path: Path) -> None:
        if is_nothing(value):
            if node is None:
                self._set(target, key, Text() if isinstance(value, str) else value)
        elif isinstance(value, str):
            if isinstance(node, Text) and node:
                self._texts.append((node, value, target, path))
            elif isinstance(node, Text) or is_nothing(node):
                self._set(target, key, Text(value))
            else:
                raise Misfit(path, f"expected {json_type(snapshot(node))} as before, got a text")
        elif isinstance(node, Text) and node:
            raise Misfit(path, f"expected a text to append, got {json_type(value)}")
        else:
            self._set(target, key, value)

    def _merge_nested(  # noqa: PLR0913, PLR0917 - a field, what it has and what it gets
        self, target: Object, key: str, node: Node, value: dict[str, Json], shape: Shape, path: Path
    ) -> None:
        if isinstance(node, Keyed):
            raise Misfit(path, "expected a list as before, got an object")
        if isinstance(node, Object):
            self.merge_object(node, value, shape, path)
        else:
            grown = Object()
            self._set(target, key, grown)
            self._grow(grown, value, shape, path)

    def _merge_list(  # noqa: PLR0913, PLR0917 - a field, what it has and what it gets
        self, target: Object, key: str, node: Node, value: list[Json], shape: Shape, path: Path
    ) -> None:
        keyed = shape.keyed or indexed(value)
        if not keyed and not value:
            if node is None:
                self._set(target, key, value)
            return
        if isinstance(node, Object):
            raise Misfit(path, "expected an object as before, got a list")
        if isinstance(node, Keyed) and not keyed:
            raise Misfit(path, "expected entries with an index as before, got others")
        if not keyed:
            self._set(target, key, value)
            return
        if not isinstance(node, Keyed):
            node = Keyed()
            self._set(target, key, node)
        self._merge_entries(node, value, shape, path)

    def _replace(self, target: Object, key: str, node: Node, value: Json, path: Path) -> None:
        if isinstance(node, (Object, Keyed)):
            was = "an object" if isinstance(node, Object) else "a list"
            raise Misfit(path, f"expected {was} as before, got {json_type(value)}")
        self._set(target, key, value)

    def _merge_entries(self, keyed: Keyed, sent: list[Json], shape: Shape, path: Path) -> None:
        for position, delta in enumerate(cast("list[dict[str, Json]]", sent)):  # `check` or its indexes say so
            here = (path, position)
            entry, created = self._find(keyed, delta, here)
            kind, known = entry_type(delta), None if created else self._node(entry, "type")
            if kind and isinstance(known, str) and known not in {"", kind}:
                self._changes.faults.append(type_conflict(here, known, delta))
                continue
            ident = delta.get("id")
            if not is_nothing(ident) and (created or is_nothing(self._node(entry, "id"))):
                self._name(keyed, id_key(ident), entry)
            if entry.index is None and (created or (kind and not known and not entry.done and entry.position is None)):
                self._loose.append((keyed.open_unindexed, entry, keyed.open_unindexed.put(entry, kind)))
            if created:
                self._grow(entry, delta, shape, here, keyed=True)
            else:
                self._stale.append((keyed, entry))
                self.merge_object(entry, delta, shape, here, keyed=True)
            if shape.parts:
                self._changes.parts.append(Change(entry, created, delta, here))

    def _name(self, keyed: Keyed, ident: str, entry: Entry) -> None:
        if ident not in keyed.ids and (id(keyed), ident) not in self._new:
            self._new[id(keyed), ident] = entry
            self._ids.append((keyed, ident, entry))

    def _find(self, keyed: Keyed, delta: dict[str, Json], path: Path) -> tuple[Entry, bool]:
        """Return the entry that a delta is for, and whether it was opened for it."""
        index = usable_index(delta)
        if index is not None:
            known = self._new.get((id(keyed), index)) or keyed.entries.get(index)
        else:
            came = dump_json(delta["index"])[:40] if "index" in delta else "none"
            self._fault("index", (path, "index"), f"expected an integer of 0 or more as index, got {came}", delta)
            ident = delta.get("id")
            if is_nothing(ident):
                known = self._continued(keyed, entry_type(delta))
            else:
                known = self._new.get((id(keyed), id_key(ident))) or keyed.ids.get(id_key(ident))
        if isinstance(known, Entry):
            return known, False
        entry = Entry(index)
        if index is not None:
            self._new[id(keyed), index] = entry
        self._entries.append((keyed, entry, delta, path))
        return entry, True

    def _continued(self, keyed: Keyed, kind: str) -> Entry | None:
        """Return the one open entry of those without an index that a type fits."""
        fitting = keyed.open_unindexed.fitting(kind)
        return fitting[0] if len(fitting) == 1 else None
