"""Run steps and messages over their lives: which event leads from which state to which, and what updates it gives.

Within one event the object's `created` comes first, then each part's `created` and `delta`, each part's `done`, the
object's `updated` or `done`, and problems last. Parts are a step's tool calls and a message's content. Every object
handed out is the state after the whole event.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, TypeAlias, cast

import msgspec

from accumulator._assistants.messages import Message, wrap_content, wrap_content_delta
from accumulator._assistants.run_steps import RunStep, wrap_tool_call, wrap_tool_call_delta
from accumulator._assistants.updates import (
    ContentCreated,
    ContentDelta,
    ContentDone,
    MessageCreated,
    MessageDone,
    MessageUpdated,
    Problem,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
)
from accumulator._engine.dump import Dump, dump_node, load_object
from accumulator._fold.delta import fold_delta
from accumulator._fold.nodes import Keyed, Object, OpenUnindexed, depth_of, is_nothing, snapshot, snapshot_object
from accumulator._fold.policy import MESSAGE, STEP, Misfit, json_type, path_keys, usable_index
from accumulator._fold.whole import fold_ending, fold_fields
from accumulator._json import render_path

if TYPE_CHECKING:
    from accumulator._assistants.run_steps import ToolCall
    from accumulator._assistants.updates import Update
    from accumulator._fold.delta import Change, Changes, Fault, Growth
    from accumulator._fold.nodes import Entry, Json
    from accumulator._fold.policy import Shape

State: TypeAlias = Literal["new", "open", "ended"]

ENDINGS: Final = frozenset({"completed", "failed", "cancelled", "expired", "incomplete"})
"""The last words of the events that end a step or a message; "incomplete" is a message's, most are a step's."""

LIFE: Final[dict[tuple[State, str], State]] = {
    ("new", "created"): "open",
    ("new", "in_progress"): "open",
    ("new", "delta"): "open",
    **{("new", ending): "ended" for ending in ENDINGS},
    ("open", "created"): "open",
    ("open", "in_progress"): "open",
    ("open", "delta"): "open",
    **{("open", ending): "ended" for ending in ENDINGS},
    ("ended", "created"): "ended",
    ("ended", "in_progress"): "ended",
    ("ended", "delta"): "ended",
    **{("ended", ending): "ended" for ending in ENDINGS},
}
"""The state after an event, by the state before it and the last word of the event's name. Nothing leads back."""


class Happened(NamedTuple):
    """What an event did: the state it met and its last word, the changes, and the parts that it was the ending of."""

    before: State
    event: str
    changes: Changes
    finished: list[Entry]

    @property
    def growth(self) -> Growth | None:
        """What grew, if it was an open one's delta and did that one thing only."""
        return self.changes.growth if self.before == "open" else None


class Life(ABC):
    """A run step or a message: its builder, its state, and how many of its parts are not done.

    `shape` is where the fold needs objects and lists in it; `way` has the keys that lead to the list of its parts;
    `rank` counts those of its kind that were seen before it.
    """

    __slots__ = ("_root", "_undone", "id", "rank", "state")

    shape: ClassVar[Shape]
    way: ClassVar[tuple[str, ...]]

    def __init__(self, ident: str, rank: int) -> None:
        """Begin one that no event has been applied to."""
        self.id = ident
        self.rank = rank
        self.state: State = "new"
        self._root = Object()
        self._root.fields["id"] = ident
        self._undone = 0

    @property
    def is_open(self) -> bool:
        """Whether something of it is still to come: its ending, or that of one of its parts."""
        return self.state != "ended" or self._undone > 0

    def json(self) -> dict[str, object]:
        """Return it as it is, as JSON. Costs what changed since the last time; shared, and not to be changed."""
        return _as_json(snapshot_object(self._root))

    def depth(self) -> int:
        """Return how deep it is nested."""
        return depth_of([self._root])

    def part_json(self, index: int) -> dict[str, object] | None:
        """Return the part at an index as `json` does, None where there is none."""
        parts = self._parts()
        entry = parts.entries.get(index) if parts is not None else None
        return None if entry is None else _as_json(snapshot_object(entry))

    def apply(self, event: str, payload: dict[str, Json]) -> Happened:
        """Apply the event whose name ends in `event`, or raise `Misfit` with nothing changed."""
        before = self.state
        after = LIFE[before, event]
        changes = self._fold(event, payload, ended=before == "ended")
        self.state = after
        self._undone += sum(change.created for change in changes.parts)
        return Happened(before, event, changes, self._finish_parts() if event in ENDINGS else [])

    def updates(self, number: int, happened: Happened) -> list[Update]:
        """Return the updates about what an event did, problems left out."""
        before, event, changes, finished = happened
        updates: list[Update] = []
        if before == "new":
            updates.append(self._created(number))
        for change in changes.parts:
            if change.created:
                updates.append(self._part_created(number, change.entry))
            if event == "delta":
                updates.append(self.part_delta(number, change))
        updates += [self._part_done(number, entry) for entry in finished]
        if event in ENDINGS and before != "ended":
            updates.append(self._done(number))
        elif before != "new" and (event != "delta" or changes.aside):
            updates.append(self._updated(number))
        return updates

    def problems(self, number: int, happened: Happened) -> list[Problem]:
        """Return what was wrong with an event."""
        return [self._problem(number, fault) for fault in happened.changes.faults]

    def _fold(self, event: str, payload: dict[str, Json], *, ended: bool) -> Changes:
        if event in ENDINGS:
            return fold_ending(self._root, payload, self.shape)
        if event != "delta":
            return fold_fields(self._root, payload, self.shape, keep=("status",) if ended else ())
        delta = payload.get("delta")
        if not isinstance(delta, dict):
            raise Misfit((None, "delta"), f"expected an object, got {json_type(delta)}")
        return fold_delta(self._root, delta, self.shape, (None, "delta"))

    def _finish_parts(self) -> list[Entry]:
        """Have all parts done, and return those that were not."""
        finished: list[Entry] = []
        parts = self._parts()
        if parts is not None:
            parts.open_unindexed = OpenUnindexed()
            finished = [entry for entry in parts.ordered() if not entry.done] if self._undone else []
        for entry in finished:
            entry.done = True
        self._undone = 0
        return finished

    def _chain(self) -> list[Object | Keyed]:
        """Return the builders on the way to the parts, their list last where it is there."""
        chain: list[Object | Keyed] = [self._root]
        for key in self.way:
            last = chain[-1]
            node = last.fields.get(key) if isinstance(last, Object) else None
            if isinstance(node, (Object, Keyed)):
                chain.append(node)
        return chain

    def _parts(self) -> Keyed | None:
        parts = self._chain()[-1]
        return parts if isinstance(parts, Keyed) else None

    def dump(self) -> LifeDump:
        """Return all that it is, as plain data."""
        return LifeDump(self.id, self.state, dump_node(self._root))

    def restore(self, dump: LifeDump) -> None:
        """Become what `dump` took apart; `ValueError` where it took nothing of the kind apart."""
        self.state = dump.state
        load_object(dump.root, self._root)
        parts = self._parts()
        self._undone = sum(not entry.done for entry in parts.ordered()) if parts is not None else 0

    # What differs between a step and a message.

    @abstractmethod
    def _created(self, number: int) -> Update:
        """Return the update that it was seen for the first time."""

    @abstractmethod
    def _updated(self, number: int) -> Update:
        """Return the update that it was sent again."""

    @abstractmethod
    def _done(self, number: int) -> Update:
        """Return the update that it ended."""

    @abstractmethod
    def _part_created(self, number: int, entry: Entry) -> Update:
        """Return the update that a part was seen for the first time."""

    @abstractmethod
    def part_delta(self, number: int, change: Change) -> ToolCallDelta | ContentDelta:
        """Return the update with a fragment of a part."""

    @abstractmethod
    def _part_done(self, number: int, entry: Entry) -> Update:
        """Return the update that a part is complete."""

    @abstractmethod
    def _problem(self, number: int, fault: Fault) -> Problem:
        """Return a fault as a problem of this object."""


class StepLife(Life):
    """A run step; its parts are its tool calls."""

    __slots__ = ()

    shape = STEP
    way = ("step_details", "tool_calls")

    def view(self) -> RunStep:
        """Return the step as it is."""
        return RunStep.wrap(self.json())

    def _created(self, number: int) -> Update:
        return RunStepCreated(number, self.id, self.view())

    def _updated(self, number: int) -> Update:
        return RunStepUpdated(number, self.id, self.view())

    def _done(self, number: int) -> Update:
        return RunStepDone(number, self.id, self.view())

    def _part_created(self, number: int, entry: Entry) -> Update:
        return ToolCallCreated(number, self.id, entry.index, _call(entry))

    def part_delta(self, number: int, change: Change) -> ToolCallDelta:
        """Return the update with a fragment of a call."""
        view = wrap_tool_call_delta(_as_json(change.sent))
        return ToolCallDelta(number, self.id, usable_index(change.sent), _ident(change.entry), view)

    def _part_done(self, number: int, entry: Entry) -> Update:
        return ToolCallDone(number, self.id, entry.index, _call(entry))

    def _problem(self, number: int, fault: Fault) -> Problem:
        return Problem(number, fault.kind, render_path(path_keys(fault.path)), fault.raw, fault.message, self.id)


class MessageLife(Life):
    """A message; its parts are its content."""

    __slots__ = ()

    shape = MESSAGE
    way = ("content",)

    def view(self) -> Message:
        """Return the message as it is."""
        return Message.wrap(self.json())

    def _created(self, number: int) -> Update:
        return MessageCreated(number, self.id, self.view())

    def _updated(self, number: int) -> Update:
        return MessageUpdated(number, self.id, self.view())

    def _done(self, number: int) -> Update:
        return MessageDone(number, self.id, self.view())

    def _part_created(self, number: int, entry: Entry) -> Update:
        return ContentCreated(number, self.id, entry.index, wrap_content(_as_json(snapshot_object(entry))))

    def part_delta(self, number: int, change: Change) -> ContentDelta:
        """Return the update with a fragment of a content part."""
        view = wrap_content_delta(_as_json(change.sent))
        return ContentDelta(number, self.id, usable_index(change.sent), view)

    def _part_done(self, number: int, entry: Entry) -> Update:
        return ContentDone(number, self.id, entry.index, wrap_content(_as_json(snapshot_object(entry))))

    def _problem(self, number: int, fault: Fault) -> Problem:
        return Problem(number, fault.kind, render_path(path_keys(fault.path)), fault.raw, fault.message, None, self.id)


class LifeDump(msgspec.Struct):
    """A step or a message in a checkpoint."""

    id: str
    state: State
    root: Dump


def _as_json(json: dict[str, Json]) -> dict[str, object]:
    return cast("dict[str, object]", json)


def _call(entry: Entry) -> ToolCall:
    return wrap_tool_call(_as_json(snapshot_object(entry)))


def _ident(entry: Entry) -> str | None:
    """Return an entry's id as sent, None while none came."""
    ident = entry.fields.get("id")
    return None if is_nothing(ident) else cast("str", snapshot(ident))
