"""What an accumulator hands out: plain records, one for each fact.

All are frozen, compared by value, picklable, and hold no reference to the accumulator. `event_number` says which of the
server's events the fact comes from; it counts from 1, over all bodies that one accumulator was fed.

None is tracked by the garbage collector: what they hold is JSON and views of it, which make no cycles.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from accumulator._assistants.deltas import ToolCallDeltaEntry
from accumulator._assistants.messages import Message, MessageContent, MessageContentDelta
from accumulator._assistants.run_steps import ErrorObject, RequiredAction, Run, RunStep, ToolCall

ProblemKind: TypeAlias = Literal["undecodable", "shape", "index", "conflict", "contradiction", "late"]
"""What may be wrong with an event.

undecodable: its data is no JSON, or a torn block, or `done` with other data than `[DONE]`.
shape: a value's JSON type is another than the fold needs there.
index: an entry of a list has no usable `index`.
conflict: a field that keeps its first value, such as `id`, `name` or `type`, came again with another.
contradiction: an ending's content differs from what was streamed before it.
late: a delta came for a field that an ending has already held.
"""


class RunStepCreated(Struct, frozen=True, gc=False):
    """A run step was seen for the first time, by whatever event.

    Attributes:
        event_number: the event, counted from 1.
        step_id: the step's id.
        run_step: the step after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class RunStepUpdated(Struct, frozen=True, gc=False):
    """A known run step was sent again, an ending too once it has ended; or a delta changed it in none of its calls.

    Attributes:
        event_number: the event, counted from 1.
        step_id: the step's id.
        run_step: the step after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class RunStepDone(Struct, frozen=True, gc=False):
    """A run step ended: completed, failed, cancelled or expired. Handed out once per step.

    Attributes:
        event_number: the event, counted from 1.
        step_id: the step's id.
        run_step: the step after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class ToolCallCreated(Struct, frozen=True, gc=False):
    """A tool call was seen for the first time.

    Attributes:
        event_number: the event, counted from 1.
        step_id: id of the step that calls.
        index: key of the call within the step; None if the server sent none that can be used.
        tool_call: the call after the event.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call: ToolCall


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A tool call grew. Every fragment is handed out, the first included.

    Attributes:
        event_number: the event, counted from 1.
        step_id: id of the step that calls.
        index: key of the call within the step; None if the server sent none that can be used.
        tool_call_id: the call's id, from the fragment that had it first on; None while none had.
        delta: the fragment, as sent; with `min_interval`, those of an interval merged into one.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call_id: str | None
    delta: ToolCallDeltaEntry


class ToolCallDone(Struct, frozen=True, gc=False):
    """A tool call is complete: its step's ending came. Handed out once per call.

    That is so for a call that the ending does not hold too; for one that begins after the ending, at the next ending.

    Attributes:
        event_number: the event, counted from 1.
        step_id: id of the step that calls.
        index: key of the call within the step; None if the server sent none that can be used.
        tool_call: the call after the event.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call: ToolCall


class MessageCreated(Struct, frozen=True, gc=False):
    """A message was seen for the first time, by whatever event.

    Attributes:
        event_number: the event, counted from 1.
        message_id: the message's id.
        message: the message after the event.

    """

    event_number: int
    message_id: str
    message: Message


class MessageUpdated(Struct, frozen=True, gc=False):
    """A known message was sent again, an ending too once it has ended; or a delta changed it in none of its parts.

    Attributes:
        event_number: the event, counted from 1.
        message_id: the message's id.
        message: the message after the event.

    """

    event_number: int
    message_id: str
    message: Message


class MessageDone(Struct, frozen=True, gc=False):
    """A message ended: completed or incomplete. Handed out once per message.

    Attributes:
        event_number: the event, counted from 1.
        message_id: the message's id.
        message: the message after the event.

    """

    event_number: int
    message_id: str
    message: Message


class ContentCreated(Struct, frozen=True, gc=False):
    """A part of a message was seen for the first time.

    Attributes:
        event_number: the event, counted from 1.
        message_id: id of the message that it is a part of.
        index: key of the part within the message; None if the server sent none that can be used.
        content: the part after the event.

    """

    event_number: int
    message_id: str
    index: int | None
    content: MessageContent


class ContentDelta(Struct, frozen=True, gc=False):
    """A part of a message grew. Every fragment is handed out, the first included.

    Attributes:
        event_number: the event, counted from 1.
        message_id: id of the message that it is a part of.
        index: key of the part within the message; None if the server sent none that can be used.
        delta: the fragment, as sent; with `min_interval`, those of an interval merged into one.

    """

    event_number: int
    message_id: str
    index: int | None
    delta: MessageContentDelta


class ContentDone(Struct, frozen=True, gc=False):
    """A part of a message is complete: its message's ending came. Handed out once per part.

    That is so for a part that the ending does not hold too; for one that begins after the ending, at the next ending.

    Attributes:
        event_number: the event, counted from 1.
        message_id: id of the message that it is a part of.
        index: key of the part within the message; None if the server sent none that can be used.
        content: the part after the event.

    """

    event_number: int
    message_id: str
    index: int | None
    content: MessageContent


class RunUpdated(Struct, frozen=True, gc=False):
    """The run was sent; where it waits for something that it names, `RequiresAction` comes instead.

    Attributes:
        event_number: the event, counted from 1.
        run: the run, as sent.

    """

    event_number: int
    run: Run


class RequiresAction(Struct, frozen=True, gc=False):
    """The run was sent, and waits for tool outputs or an approval.

    Attributes:
        event_number: the event, counted from 1.
        run: the run, as sent.
        required_action: what it waits for.

    """

    event_number: int
    run: Run
    required_action: RequiredAction


class ErrorReceived(Struct, frozen=True, gc=False):
    """The server sent an error.

    Attributes:
        event_number: the event, counted from 1.
        error: the error; where its data is no object, an error with that as its message.
        data: the event's data, as sent.

    """

    event_number: int
    error: ErrorObject
    data: str


class Problem(Struct, frozen=True, gc=False):
    """Something in an event is wrong and was not folded as it came.

    Attributes:
        event_number: the event, counted from 1.
        kind: what is wrong; see `ProblemKind`.
        path: JSON path to it within the event's data, such as `$.delta.step_details.tool_calls[0].index`.
        raw: the text of what is not in the snapshot; of an `index` problem and of an entry that an ending lacks, the
            entry.
        message: what was expected, what came and where, without payload.
        step_id: id of the run step; None if it is about none.
        message_id: id of the message; None if it is about none.

    """

    event_number: int
    kind: ProblemKind
    path: str
    raw: str
    message: str
    step_id: str | None
    message_id: str | None = None


class UnknownEvent(Struct, frozen=True, gc=False):
    """An event that changes no run step, message or run: its name is not known, or known and about something else.

    Attributes:
        event_number: the event, counted from 1.
        event: its name.
        data: its data, as sent.

    """

    event_number: int
    event: str
    data: str


class BodyEnded(Struct, frozen=True, gc=False):
    """A body ended. Handed out once per body, last.

    Attributes:
        event_number: the events of all bodies that had come when it ended, 0 before any.
        outcome: how the run stands: "completed", "requires_action", "error", "truncated" and so on.
        open: ids of what has something that no ending came for: of run steps, then of messages, each in order of first
            sight.

    """

    event_number: int
    outcome: str
    open: tuple[str, ...]


Update: TypeAlias = (
    RunStepCreated
    | RunStepUpdated
    | RunStepDone
    | ToolCallCreated
    | ToolCallDelta
    | ToolCallDone
    | MessageCreated
    | MessageUpdated
    | MessageDone
    | ContentCreated
    | ContentDelta
    | ContentDone
    | RunUpdated
    | RequiresAction
    | ErrorReceived
    | Problem
    | UnknownEvent
    | BodyEnded
)
"""Everything that an accumulator hands out; a closed union, to `match` on."""
