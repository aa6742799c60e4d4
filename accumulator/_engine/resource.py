"""One object that events build, from the first event about it to its ending and beyond.

`LIFE` says what an event of each role does in each state. The first event about a resource creates it, whatever its
role. No event leads back from `ended`.

The updates of one event are in this order: the object's `created`; each part's `part_created` and `part_delta`; each
`part_done`; the object's `updated` or `done`. Problems are last. Each object in them is a snapshot after the event.
There may be an `updated` for each event, so its object is made when it is read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeAlias, cast

import msgspec

from accumulator._engine.protocol import ResourceType, Role, U
from accumulator._fold.changes import NOTHING, Change, Changes, TextGrowth
from accumulator._fold.delta import Way, fold_delta
from accumulator._fold.history import History
from accumulator._fold.nodes import (
    Entry,
    Keyed,
    Node,
    Object,
    by_order,
    depth_of,
    is_empty,
    mend,
    snapshot,
    snapshot_object,
)
from accumulator._fold.policy import WrongShape, fits_below, usable_index
from accumulator._fold.sent import can_keep, open_ending, open_repeat, says_all
from accumulator._fold.whole import fold_ending, fold_repeat
from accumulator._json import Json, JSONObject, Path, json_type, value_at

if TYPE_CHECKING:
    from accumulator._fold.changes import Growth

State: TypeAlias = Literal["new", "open", "ended"]
Fold: TypeAlias = Literal["repeat", "repeat after ending", "delta", "ending"]
Notice: TypeAlias = Literal["created", "updated", "updated if outside parts", "done"]


class Step(msgspec.Struct, frozen=True):
    """What an event does: the state after it, how it is folded, and the updates about the object.

    Folds:
        repeat: see `fold_repeat`.
        repeat after ending: the same, but the fields in `ResourceType.frozen_by_ending` stay.
        delta: see `fold_delta`.
        ending: see `fold_ending`.

    Updates:
        updated if outside parts: `updated`, if a delta set a field and named no part.
    """

    state: State
    fold: Fold
    updates: tuple[Notice, ...]


LIFE: Final[dict[tuple[State, Role], Step]] = {
    ("new", "repeat"): Step("open", "repeat", ("created",)),
    ("new", "delta"): Step("open", "delta", ("created",)),
    ("new", "ending"): Step("ended", "ending", ("created", "done")),
    ("open", "repeat"): Step("open", "repeat", ("updated",)),
    ("open", "delta"): Step("open", "delta", ("updated if outside parts",)),
    ("open", "ending"): Step("ended", "ending", ("done",)),
    ("ended", "repeat"): Step("ended", "repeat after ending", ("updated",)),
    ("ended", "delta"): Step("ended", "delta", ("updated if outside parts",)),
    ("ended", "ending"): Step("ended", "ending", ("updated",)),
}
"""What an event does, by the state before it and its role.

A second ending is folded like the first. The object gets `updated` then, not another `done`. A part that was added
since the first ending gets its `part_done`.
"""


class Applied(msgspec.Struct, frozen=True, gc=False):
    """What an event did to a resource.

    Attributes:
        step: the row of `LIFE`.
        role: the event's role.
        changes: what the fold did.
        finished: the parts that ended with the event.
        kept: whether the object is kept as the event sent it.

    """

    step: Step
    role: Role
    changes: Changes
    finished: list[Entry]
    kept: bool

    @property
    def growth(self) -> Growth | None:
        """The only thing that a delta of an open resource did; see `Changes.growth`."""
        return self.changes.growth if self.step.state == "open" and not self.finished else None


class Resource(msgspec.Struct, Generic[U], eq=False):
    """An object that events build: its builder, its state, and which of its parts have not ended.

    Attributes:
        type: its type.
        id: its id.
        place: its place among all resources: the number of its type, and how many of its type are older.
        state: its state, see `LIFE`.
        data: the data of the event that it was sent with, while it is kept as sent and open.

    """

    type: ResourceType[U]
    id: str
    place: tuple[int, int]
    state: State = "new"
    data: bytes | str | None = None
    _root: Object | None = None  # the builder, None until something has to grow
    _whole: JSONObject | None = None  # the object as sent, if it is kept so; then there is no builder
    _named: bool = False  # of a kept ending, whether deltas named its parts
    _undone: dict[Entry, None] = {}
    _history: History | None = None

    @property
    def root(self) -> Object:
        """The builder. It is made when it is first asked for."""
        root, whole = self._root, self._whole
        if root is not None:
            return root
        if whole is None:
            root = Object()
            root.fields["id"] = self.id
        elif self.state == "open":
            root = open_repeat(whole, self.type.schema)
        else:
            root = open_ending(self.id, whole, self.type.schema, named=self._named)
        self._root, self._whole, self.data = root, None, None
        if whole is not None and self.state == "ended":  # a kept repeat has no parts
            self.recount_undone()
            self._end_all()
        return root

    @property
    def node(self) -> Node:
        """The builder or, as long as there is none, the object as sent."""
        return self.root if self._whole is None else self._whole

    @property
    def is_open(self) -> bool:
        """Whether a part has not ended or, if parts end with their object, the object has not."""
        return (self.state != "ended" and self.type.part_end_field is None) or bool(self._undone)

    def json(self) -> JSONObject:
        """Return its JSON, which is shared and must not be changed. Costs what changed since the last call."""
        return snapshot_object(self.root) if self._whole is None else self._whole

    def depth(self) -> int:
        """Return how deep its JSON is nested."""
        return depth_of([self.node])

    def part_json(self, index: int) -> JSONObject | None:
        """Return the JSON of the part at an index, as `json` does; None where there is no such part."""
        if self._whole is not None:
            kept = self._sent_parts(self._whole)
            return kept[index] if 0 <= index < len(kept) else None
        parts = self._parts()
        entry = parts.entries.get(index) if parts is not None else None
        return None if entry is None else snapshot_object(entry)

    def part_indexes(self) -> list[int | None]:
        """Return the index of each part, in the order of the list; None for a part without one."""
        if self._whole is not None:
            return list(range(len(self._sent_parts(self._whole))))
        parts = self._parts()
        return [] if parts is None else [entry.index for entry in parts.order]

    def apply(self, role: Role, payload: JSONObject, data: bytes | str, *, build_updates: bool) -> Applied:
        """Apply an event with its data, or raise `WrongShape` with nothing changed.

        `build_updates` says whether `build_updates` is called with the result.
        """
        state = self.state
        step = LIFE[state, role]
        kept = role != "delta" and state != "ended" and self._keep(role, payload, data)
        if not kept:
            changes = self._fold(step.fold, payload)
            for change in changes.parts:
                if change.created:
                    self._undone[change.entry] = None
            finished = self._end_all() if role == "ending" else self._end_some(changes)
        elif role == "ending" and build_updates:
            changes, finished = self._list_kept(payload)
        else:
            changes, finished = NOTHING, []
        self.state = step.state
        return Applied(step, role, changes, finished, kept)

    def _keep(self, role: Role, payload: JSONObject, data: bytes | str) -> bool:
        """Keep a whole object as it was sent, if it is all that there is to say; else return False."""
        kind, state = self.type, self.state
        if role == "repeat":
            if state == "open":
                return data == self.data
            if kind.part_end_field is None and can_keep(payload, data, kind.schema):
                # There may be a builder: limits ask for one.
                self._root, self._whole, self.data, self.state = None, payload, data, "open"
                return True
        elif kind.part_end_field is None and fits_below(payload, kind.schema, indexed=False):
            named = False if state == "new" else says_all(self._whole or self.root, payload, kind.schema)
            if named is not None:
                self._root, self._whole, self.data, self._named, self._undone = None, payload, None, named, {}
                self.state = "ended"
                return True
        return False

    def _sent_parts(self, payload: JSONObject) -> list[JSONObject]:
        """Return the parts in a whole object that may be kept."""
        parts: Json = payload
        for key in self.type.parts_path:
            if not parts:
                break
            parts = parts.get(key)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue] - it fits
        return parts or []  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def _list_kept(self, payload: JSONObject) -> tuple[Changes, list[Entry]]:
        """Return what an ending that is kept did, and the parts that ended with it."""
        changes, finished = Changes(), list[Entry]()
        for place, part in enumerate(self._sent_parts(payload)):
            finished.append(entry := Entry(place))  # a folded one stays as it is, for the moments before
            entry.snap = part
            if not self._named:
                changes.parts.append(Change(entry, created=True, sent=part, path=None))
        return changes, finished

    def _fold(self, fold: Fold, payload: JSONObject) -> Changes:
        kind, moment = self.type, None if self._history is None else self._history.open()
        if fold == "delta":
            delta, path = _at(payload, kind.delta_path)
            return fold_delta(self.root, delta, kind.schema, path, kind.parts, moment)
        if fold == "ending":
            return fold_ending(self.root, payload, kind.schema, kind.parts, moment)
        keep = kind.frozen_by_ending if fold == "repeat after ending" else ()
        return fold_repeat(self.root, payload, kind.schema, kind.parts, moment, keep=keep)

    def find_growth(self, way: Way, change: Change) -> TextGrowth | None:
        """Return the growth of a text of a part by a delta like one before; None if the delta would do more or less.

        What is there before is noted as if the delta were merged.

        Args:
            way: the way in the delta to the text.
            change: what it does to the part.

        """
        moment = None if self._history is None else self._history.open()
        found = way.follow(self._root or self.root, change.entry)
        if found is None:
            return None
        text, objects, entries = found
        if moment is not None:
            moment.note_text(text)
            for each in objects:
                moment.touch(each)
            for keyed, _ in entries:
                moment.touch(keyed)
        return TextGrowth(None, change, objects, entries, text, "", objects[-1])

    def _end_all(self) -> list[Entry]:
        """End every part, and return those that had not ended, in order."""
        parts = self._parts()
        if parts is None:
            return []
        parts.end_unindexed()
        finished = sorted(self._undone, key=by_order)
        for entry in finished:
            entry.done = True
        self._undone = {}
        return finished

    def _end_some(self, changes: Changes) -> list[Entry]:
        """End those of the changed parts whose `part_end_field` has a value. Return those that had not ended."""
        if self.type.part_end_field is None:
            return []
        finished: list[Entry] = []
        for change in changes.parts:
            entry = change.entry
            if not entry.done and not is_empty(entry.fields.get(self.type.part_end_field)):
                entry.done = True
                finished.append(entry)
                cast("Keyed", self._parts()).take_open(entry)
                self._undone.pop(entry, None)
        return finished

    def _parts(self) -> Keyed | None:
        node: object = self.root
        for key in self.type.parts_path:
            node = node.fields.get(key) if isinstance(node, Object) else None
        return node if isinstance(node, Keyed) else None

    def mend(self) -> None:
        """Make the object whole again, after an exception may have broken a change off."""
        if self._root is not None:
            self._whole = self.data = None
            mend(self._root)
        self.recount_undone()

    def recount_undone(self) -> None:
        """Find the parts that have not ended. A checkpoint does not hold them."""
        parts = self._parts() if self._whole is None else None
        self._undone = {entry: None for entry in parts.arrivals if not entry.done} if parts is not None else {}

    # The updates about it.

    def build_updates(self, number: int, applied: Applied) -> list[U]:
        """Make the updates about an event, without its problems."""
        kind, step, role, changes, finished = self.type, applied.step, applied.role, applied.changes, applied.finished
        updates: list[U] = []
        if "created" in step.updates:
            updates.append(kind.created(number, self.id, self.json()))
        for change in changes.parts:
            if change.created:
                updates.append(kind.part_created(number, self.id, change.entry.index, snapshot_object(change.entry)))
            if role == "delta":
                updates.append(self.part_delta(number, change))
        updates += [kind.part_done(number, self.id, entry.index, snapshot_object(entry)) for entry in finished]
        if "done" in step.updates:
            updates.append(kind.done(number, self.id, self.json()))
        elif "updated" in step.updates or (changes.outside_parts and "updated if outside parts" in step.updates):
            updates.append(self.updated(number))
        return updates

    def updated(self, number: int) -> U:
        """Make the update about the object, which was sent again."""
        whole = self._whole
        if whole is not None:
            return self.type.updated(number, self.id, lambda: whole)
        self._history = self._history or History()
        return self.type.updated(number, self.id, partial(self._history.now().read, self.root))

    def part_delta(self, number: int, change: Change) -> U:
        """Make the update about a fragment of a part."""
        index = usable_index(change.sent, self.type.parts.key)
        return self.type.part_delta(number, self.id, index, part_id(change.entry), change.sent)


def part_id(entry: Entry) -> Json:
    """Return the id of a part as it was sent, None while there was none."""
    ident = entry.fields.get("id")
    return None if is_empty(ident) else snapshot(ident)


def _at(payload: JSONObject, keys: tuple[str, ...]) -> tuple[JSONObject, Path]:
    """Return the object at keys of a payload, and the path to it."""
    value, path = value_at(payload, keys)
    if not isinstance(value, dict):
        raise WrongShape(path, f"expected an object, got {json_type(value)}")
    return value, path
