"""Updates: what an accumulator returns, one plain record for each fact.

Updates are frozen, compared by value and picklable, and have no reference to the accumulator. `event_number` says which
event of the server an update comes from; it counts from 1, over all bodies of one accumulator.

The garbage collector does not track updates: they consist of JSON and models of it, which make no cycles.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from accumulator._assistants.messages import Message, MessageContent, MessageContentDelta
from accumulator._assistants.run_steps import RunStep, ToolCall, ToolCallDeltaEntry
from accumulator._assistants.runs import ErrorObject, RequiredAction, Run
from accumulator._engine.body import BodyEnded
from accumulator._fold.changes import ProblemKind


class RunStepCreated(Struct, frozen=True, gc=False):
    """A run step was seen for the first time, in an event of any name.

    Attributes:
        event_number: the event, counted from 1.
        step_id: the step's id.
        run_step: the step, as it is after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class RunStepUpdated(Struct, frozen=True, gc=False):
    """A known run step was sent again, or a delta changed it outside its tool calls. A second ending is such an update.

    Attributes:
        event_number: the event, counted from 1.
        step_id: the step's id.
        run_step: the step, as it is after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class RunStepDone(Struct, frozen=True, gc=False):
    """A run step ended: completed, failed, cancelled or expired. One update per step.

    Attributes:
        event_number: the event, counted from 1.
        step_id: the step's id.
        run_step: the step, as it is after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class ToolCallCreated(Struct, frozen=True, gc=False):
    """A tool call was seen for the first time.

    Attributes:
        event_number: the event, counted from 1.
        step_id: id of the call's step.
        index: the call's index in its step; None if the server sent no usable one.
        tool_call: the call, as it is after the event.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call: ToolCall


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A tool call grew. One update per delta, the first one included.

    Attributes:
        event_number: the event, counted from 1.
        step_id: id of the call's step.
        index: the call's index in its step; None if the server sent no usable one.
        tool_call_id: the call's id; None until a delta has had it.
        delta: the delta, as sent; with `min_interval`, the deltas of an interval merged into one.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call_id: str | None
    delta: ToolCallDeltaEntry


class ToolCallDone(Struct, frozen=True, gc=False):
    """A tool call is complete: its step ended. One update per call.

    This includes calls that the ending lacks. A call that begins after the ending is done at the next one.

    Attributes:
        event_number: the event, counted from 1.
        step_id: id of the call's step.
        index: the call's index in its step; None if the server sent no usable one.
        tool_call: the call, as it is after the event.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call: ToolCall


class MessageCreated(Struct, frozen=True, gc=False):
    """A message was seen for the first time, in an event of any name.

    Attributes:
        event_number: the event, counted from 1.
        message_id: the message's id.
        message: the message, as it is after the event.

    """

    event_number: int
    message_id: str
    message: Message


class MessageUpdated(Struct, frozen=True, gc=False):
    """A known message was sent again, or a delta changed it outside its parts. A second ending is such an update.

    Attributes:
        event_number: the event, counted from 1.
        message_id: the message's id.
        message: the message, as it is after the event.

    """

    event_number: int
    message_id: str
    message: Message


class MessageDone(Struct, frozen=True, gc=False):
    """A message ended: completed or incomplete. One update per message.

    Attributes:
        event_number: the event, counted from 1.
        message_id: the message's id.
        message: the message, as it is after the event.

    """

    event_number: int
    message_id: str
    message: Message


class ContentCreated(Struct, frozen=True, gc=False):
    """A content part of a message was seen for the first time.

    Attributes:
        event_number: the event, counted from 1.
        message_id: id of the part's message.
        index: the part's index in its message; None if the server sent no usable one.
        content: the part, as it is after the event.

    """

    event_number: int
    message_id: str
    index: int | None
    content: MessageContent


class ContentDelta(Struct, frozen=True, gc=False):
    """A content part of a message grew. One update per delta, the first one included.

    Attributes:
        event_number: the event, counted from 1.
        message_id: id of the part's message.
        index: the part's index in its message; None if the server sent no usable one.
        delta: the delta, as sent; with `min_interval`, the deltas of an interval merged into one.

    """

    event_number: int
    message_id: str
    index: int | None
    delta: MessageContentDelta


class ContentDone(Struct, frozen=True, gc=False):
    """A content part of a message is complete: its message ended. One update per part.

    This includes parts that the ending lacks. A part that begins after the ending is done at the next one.

    Attributes:
        event_number: the event, counted from 1.
        message_id: id of the part's message.
        index: the part's index in its message; None if the server sent no usable one.
        content: the part, as it is after the event.

    """

    event_number: int
    message_id: str
    index: int | None
    content: MessageContent


class RunUpdated(Struct, frozen=True, gc=False):
    """The run was sent. `RequiresAction` takes its place if the run says what it waits for.

    Attributes:
        event_number: the event, counted from 1.
        run: the run, as sent.

    """

    event_number: int
    run: Run


class RequiresAction(Struct, frozen=True, gc=False):
    """The run was sent, and waits for tool outputs or approvals.

    Attributes:
        event_number: the event, counted from 1.
        run: the run, as sent.
        required_action: what the run waits for.

    """

    event_number: int
    run: Run
    required_action: RequiredAction


class ErrorReceived(Struct, frozen=True, gc=False):
    """The server sent an error.

    Attributes:
        event_number: the event, counted from 1.
        error: the error; if the data is no JSON object, an error with the data as its message.
        data: the event's data, as sent.

    """

    event_number: int
    error: ErrorObject
    data: str


class Problem(Struct, frozen=True, gc=False):
    """Something in an event is wrong and was not folded as it was sent.

    Attributes:
        event_number: the event, counted from 1.
        kind: what is wrong; see `ProblemKind`.
        path: JSON path in the event's data, such as `$.delta.step_details.tool_calls[0].index`.
        raw: JSON text of what was left out of the snapshot; for an `index` problem, and for an entry that an ending
            lacks, text of the whole entry.
        message: what was expected and what the event has, without payload.
        step_id: id of the run step concerned, or None.
        message_id: id of the message concerned, or None.

    """

    event_number: int
    kind: ProblemKind
    path: str
    raw: str
    message: str
    step_id: str | None
    message_id: str | None = None


class UnknownEvent(Struct, frozen=True, gc=False):
    """An event of an unknown name, or of another object than a run step, a message or a run.

    Attributes:
        event_number: the event, counted from 1.
        event: the event's name.
        data: the event's data, as sent.

    """

    event_number: int
    event: str
    data: str


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
"""Every update that an accumulator returns: a closed union, to `match` on."""
