"""A run step over its life: which event leads from which state to which, and the updates that this gives.

Within one event the step's `created` comes first, then each call's `created` and `delta`, each call's `done`, the
step's `updated` or `done`, and problems last. Every object handed out is the state after the whole event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

import msgspec

from accumulator._builders import (
    Dump,
    Keyed,
    Loose,
    Object,
    Text,
    dump_node,
    entry_type,
    is_nothing,
    load_object,
    snapshot_object,
)
from accumulator._deltas import CodeInterpreterToolCallDelta, FunctionToolCallDelta, tool_call_delta_view
from accumulator._merge import STEP, Misfit, fold_delta, json_type, render, usable_index
from accumulator._models import RunStep, tool_call_view
from accumulator._settle import fold_ending, fold_fields
from accumulator._updates import (
    Problem,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
)

if TYPE_CHECKING:
    from accumulator._builders import (
        Entry,
        Json,
    )
    from accumulator._decode import Fragment
    from accumulator._merge import Changes
    from accumulator._models import ToolCall
    from accumulator._updates import (
        Update,
    )

State: TypeAlias = Literal["new", "open", "ended"]

ENDINGS: Final = frozenset({"completed", "failed", "cancelled", "expired"})

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


class Lane(NamedTuple):
    """Where a tool call's later fragments go: its text, and the builders whose snapshots a fragment makes old."""

    text: Text
    chain: tuple[Object | Keyed, ...]
    tool_call_id: str

    def append(self, number: int, fragment: Fragment) -> ToolCallDelta:
        """Append a fragment that `Step.lane` opened this for."""
        kind = fragment.type
        if fragment.text:
            self.text.append(fragment.text)
            for node in self.chain:
                node.snap = None
        sent: dict[str, object] = {"index": fragment.index, "type": kind, kind: {fragment.field: fragment.text}}
        view = FunctionToolCallDelta if kind == "function" else CodeInterpreterToolCallDelta
        return ToolCallDelta(number, fragment.step_id, fragment.index, self.tool_call_id, view.wrap(sent))


class Step:
    """A run step: its builder, its state, and how many of its calls are not done."""

    __slots__ = ("_root", "_undone", "id", "state")

    def __init__(self, step_id: str) -> None:
        """Begin a step that no event has been applied to."""
        self.id = step_id
        self.state: State = "new"
        self._root = Object()
        self._root.fields["id"] = step_id
        self._undone = 0

    @property
    def is_open(self) -> bool:
        """Whether something of it is still to come: its ending, or that of one of its calls."""
        return self.state != "ended" or self._undone > 0

    def snapshot(self) -> RunStep:
        """Return the step as it is. Costs what changed since the last snapshot."""
        return RunStep.wrap(_as_json(snapshot_object(self._root)))

    def tool_call(self, index: int) -> ToolCall | None:
        """Return the tool call at an index as it is, None where there is none."""
        calls = self._calls()
        entry = calls.entries.get(index) if calls is not None else None
        return None if entry is None else _view(entry)

    def apply(self, number: int, event: str, payload: dict[str, Json]) -> list[Update]:
        """Apply the event whose name ends in `event`, or raise `Misfit` with nothing changed."""
        before, after = self.state, LIFE[self.state, event]
        changes = self._fold(event, payload, ended=before == "ended")
        self.state = after
        updates: list[Update] = []
        if before == "new":
            updates.append(RunStepCreated(number, self.id, self.snapshot()))
        updates += self._call_updates(number, changes, deltas=event == "delta")
        if event in ENDINGS:
            updates += self._finish_calls(number)
        if event in ENDINGS and before != "ended":
            updates.append(RunStepDone(number, self.id, self.snapshot()))
        elif event != "delta" and before != "new":
            updates.append(RunStepUpdated(number, self.id, self.snapshot()))
        updates += [
            Problem(number, kind, render(path), raw, message, self.id) for kind, path, message, raw in changes.faults
        ]
        return updates

    def _fold(self, event: str, payload: dict[str, Json], *, ended: bool) -> Changes:
        if event in ENDINGS:
            return fold_ending(self._root, payload, STEP)
        if event != "delta":
            return fold_fields(self._root, payload, STEP, keep=("status",) if ended else ())
        delta = payload.get("delta")
        if not isinstance(delta, dict):
            raise Misfit((None, "delta"), f"expected an object, got {json_type(delta)}")
        return fold_delta(self._root, delta, STEP, (None, "delta"))

    def _call_updates(self, number: int, changes: Changes, *, deltas: bool) -> list[Update]:
        updates: list[Update] = []
        for entry, created, sent in changes.calls:
            if created:
                self._undone += 1
                updates.append(ToolCallCreated(number, self.id, entry.index, _view(entry)))
            if deltas:
                ident = cast("str | None", None if is_nothing(known := entry.fields.get("id")) else known)
                view = tool_call_delta_view(_as_json(sent))
                updates.append(ToolCallDelta(number, self.id, usable_index(sent), ident, view))
        return updates

    def _finish_calls(self, number: int) -> list[Update]:
        updates: list[Update] = []
        calls = self._calls()
        for entry in calls.ordered() if calls is not None and self._undone else ():
            if not entry.done:
                entry.done = True
                updates.append(ToolCallDone(number, self.id, entry.index, _view(entry)))
        if calls is not None:
            calls.loose = Loose()
        self._undone = 0
        return updates

    def _calls(self) -> Keyed | None:
        details = self._root.fields.get("step_details")
        calls = details.fields.get("tool_calls") if isinstance(details, Object) else None
        return calls if isinstance(calls, Keyed) else None

    def lane(self, fragment: Fragment) -> Lane | None:
        """Return where further fragments like this go, None while the general way may do more than append to a text.

        That is so until the step's details, the call's id and type and the beginning of its text are there. They stay
        as they are until an ending: a text that is not empty is only appended to, what is kept first is kept.
        """
        calls, details = self._calls(), self._root.fields.get("step_details")
        entry = calls.entries.get(fragment.index) if calls is not None else None
        if entry is None or calls is None or not isinstance(details, Object) or self.state != "open":
            return None
        payload, ident = entry.fields.get(fragment.type), entry.fields.get("id")
        text = payload.fields.get(fragment.field) if isinstance(payload, Object) else None
        if (
            details.fields.get("type") != "tool_calls"
            or entry_type(entry) != fragment.type
            or not (
                isinstance(ident, str) and ident and isinstance(payload, Object) and isinstance(text, Text) and text
            )
        ):
            return None
        return Lane(text, (payload, entry, calls, details, self._root), ident)

    def dump(self) -> StepDump:
        """Return all that the step is, as plain data."""
        return StepDump(self.id, self.state, dump_node(self._root))

    @classmethod
    def load(cls, dump: StepDump) -> Step:
        """Build what `dump` took apart; `ValueError` where it took nothing of the kind apart."""
        step = cls(dump.id)
        step.state = dump.state
        load_object(dump.root, step._root)
        calls = step._calls()
        step._undone = sum(not entry.done for entry in calls.ordered()) if calls is not None else 0
        return step


class StepDump(msgspec.Struct):
    """A step in a checkpoint."""

    id: str
    state: State
    root: Dump


def _as_json(json: dict[str, Json]) -> dict[str, object]:
    return cast("dict[str, object]", json)


def _view(entry: Entry) -> ToolCall:
    return tool_call_view(_as_json(snapshot_object(entry)))
