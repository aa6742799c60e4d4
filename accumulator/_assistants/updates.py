"""Updates: the frozen records that an accumulator returns, one for each fact.

Updates are compared by value, can be pickled, and do not refer to the accumulator. Until its object is first used, a
`RunStepUpdated` or `MessageUpdated` keeps what the object is made of; any thread may use it. `event_number` is the
number of the event that the update is about: events are counted from 1, over all bodies of one accumulator.

The garbage collector does not track updates (`gc=False`): they hold JSON and models over JSON, which form no cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, get_args

from accumulator._assistants.messages import (
    Message,
    MessageContent,
    MessageContentDelta,
    wrap_content,
    wrap_content_delta,
)
from accumulator._assistants.run_steps import (
    RunStep,
    ToolCall,
    ToolCallDeltaEntry,
    wrap_tool_call,
    wrap_tool_call_delta,
)
from accumulator._assistants.runs import ErrorObject, RequiredAction, Run
from accumulator._engine.body import BodyEnded
from accumulator._errors import DecodeError
from accumulator._fold.changes import ProblemKind
from accumulator._model import Record, or_null, read_any, read_count, read_object, read_text, record_type


def _read_kind(value: object) -> object:
    if isinstance(value, str) and value in get_args(ProblemKind):
        return value
    raise ValueError("expected a kind of problem, got another value")


_READERS: Final[dict[str, Callable[[object], object]]] = {
    "event_number": read_count,
    "step_id": read_text,
    "message_id": read_text,
    "index": or_null(read_count),
    "tool_call_id": read_any,
    "run_step": read_object(RunStep.wrap),
    "tool_call": read_object(wrap_tool_call),
    "message": read_object(Message.wrap),
    "content": read_object(wrap_content),
    "run": read_object(Run.wrap),
    "required_action": read_object(RequiredAction.wrap),
    "error": read_object(ErrorObject.wrap),
    "data": read_text,
    "event": read_text,
}
"""How each field of an update is read from JSON. A field that means something else in one class stands there."""


class _Update(Record, frozen=True, gc=False):
    """The base of the updates of this module."""

    _readers = _READERS


class RunStepCreated(_Update, frozen=True, gc=False):
    """A run step was seen for the first time, in any event about it.

    Attributes:
        event_number: the number of the event, counted from 1.
        step_id: the id of the run step.
        run_step: a snapshot of the run step after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class RunStepUpdated(_Update, frozen=True, gc=False):
    """A known run step was sent again, or a delta set a field of it and named no tool call.

    A second ending of a run step also gives this update.

    Attributes:
        event_number: the number of the event, counted from 1.
        step_id: the id of the run step.
        run_step: a snapshot of the run step after the event. It is made when it is first used, at the cost of the whole
            run step and of what changed in it since the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class RunStepDone(_Update, frozen=True, gc=False):
    """A run step ended: it was completed, failed, cancelled or expired. One update per run step.

    Attributes:
        event_number: the number of the event, counted from 1.
        step_id: the id of the run step.
        run_step: a snapshot of the run step after the event.

    """

    event_number: int
    step_id: str
    run_step: RunStep


class ToolCallCreated(_Update, frozen=True, gc=False):
    """A tool call was seen for the first time.

    Attributes:
        event_number: the number of the event, counted from 1.
        step_id: the id of the run step that the call belongs to.
        index: the index of the call in its run step; None if the server sent no usable index.
        tool_call: a snapshot of the call after the event.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call: ToolCall


class ToolCallDelta(_Update, frozen=True, gc=False):
    """A delta of a tool call was received. One update per delta, the first included.

    Attributes:
        event_number: the number of the event, counted from 1.
        step_id: the id of the run step that the call belongs to.
        index: the index of the call in its run step; None if the server sent no usable index.
        tool_call_id: the id of the call; None if no event so far had the id.
        delta: the delta, as sent; with `min_interval`, the held deltas of the call merged into one.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call_id: str | None
    delta: ToolCallDeltaEntry

    _readers = _READERS | {"delta": read_object(wrap_tool_call_delta)}


class ToolCallDone(_Update, frozen=True, gc=False):
    """A tool call is complete because its run step ended. One update per call.

    The event that ends the run step need not have the call. A call that is first seen after that event is complete when
    the run step is ended again.

    Attributes:
        event_number: the number of the event, counted from 1.
        step_id: the id of the run step that the call belongs to.
        index: the index of the call in its run step; None if the server sent no usable index.
        tool_call: a snapshot of the call after the event.

    """

    event_number: int
    step_id: str
    index: int | None
    tool_call: ToolCall


class MessageCreated(_Update, frozen=True, gc=False):
    """A message was seen for the first time, in any event about it.

    Attributes:
        event_number: the number of the event, counted from 1.
        message_id: the id of the message.
        message: a snapshot of the message after the event.

    """

    event_number: int
    message_id: str
    message: Message


class MessageUpdated(_Update, frozen=True, gc=False):
    """A known message was sent again, or a delta set a field of it and named no content part.

    A second ending of a message also gives this update.

    Attributes:
        event_number: the number of the event, counted from 1.
        message_id: the id of the message.
        message: a snapshot of the message after the event. It is made when it is first used, at the cost of the whole
            message and of what changed in it since the event.

    """

    event_number: int
    message_id: str
    message: Message


class MessageDone(_Update, frozen=True, gc=False):
    """A message ended: it is completed or incomplete. One update per message.

    Attributes:
        event_number: the number of the event, counted from 1.
        message_id: the id of the message.
        message: a snapshot of the message after the event.

    """

    event_number: int
    message_id: str
    message: Message


class ContentCreated(_Update, frozen=True, gc=False):
    """A content part of a message was seen for the first time.

    Attributes:
        event_number: the number of the event, counted from 1.
        message_id: the id of the message that the part belongs to.
        index: the index of the part in its message; None if the server sent no usable index.
        content: a snapshot of the part after the event.

    """

    event_number: int
    message_id: str
    index: int | None
    content: MessageContent


class ContentDelta(_Update, frozen=True, gc=False):
    """A delta of a content part of a message was received. One update per delta, the first included.

    Attributes:
        event_number: the number of the event, counted from 1.
        message_id: the id of the message that the part belongs to.
        index: the index of the part in its message; None if the server sent no usable index.
        delta: the delta, as sent; with `min_interval`, the held deltas of the part merged into one.

    """

    event_number: int
    message_id: str
    index: int | None
    delta: MessageContentDelta

    _readers = _READERS | {"delta": read_object(wrap_content_delta)}


class ContentDone(_Update, frozen=True, gc=False):
    """A content part is complete because its message ended. One update per part.

    The event that ends the message need not have the part. A part that is first seen after that event is complete when
    the message is ended again.

    Attributes:
        event_number: the number of the event, counted from 1.
        message_id: the id of the message that the part belongs to.
        index: the index of the part in its message; None if the server sent no usable index.
        content: a snapshot of the part after the event.

    """

    event_number: int
    message_id: str
    index: int | None
    content: MessageContent


class RunUpdated(_Update, frozen=True, gc=False):
    """The run was sent. If the run waits for an action and says for which, `RequiresAction` is handed out instead.

    Attributes:
        event_number: the number of the event, counted from 1.
        run: the run, as sent.

    """

    event_number: int
    run: Run


class RequiresAction(_Update, frozen=True, gc=False):
    """The run was sent, with the status "requires_action": it waits for tool outputs or approvals.

    Attributes:
        event_number: the number of the event, counted from 1.
        run: the run, as sent.
        required_action: what the run waits for.

    """

    event_number: int
    run: Run
    required_action: RequiredAction


class ErrorReceived(_Update, frozen=True, gc=False):
    """The server sent an error event.

    Attributes:
        event_number: the number of the event, counted from 1.
        error: the error. If the server sent text, or JSON that is not an object, its `message` is that.
        data: the data of the event, as sent; or the `data` in it, as sent, if it is an envelope (see `Problem`).

    """

    event_number: int
    error: ErrorObject
    data: str


class Problem(_Update, frozen=True, gc=False):
    """Something in an event is wrong. All other values of the event were folded.

    Attributes:
        event_number: the number of the event, counted from 1.
        kind: what is wrong; see `ProblemKind`.
        path: the JSON path of the place in the payload, such as `$.delta.step_details.tool_calls[0].index`. The payload
            is the data of the event or, if the data is an envelope `{"event": ..., "data": ...}`, its `data`.
        raw: the text of the value concerned. For `conflict` and `late` this value was left out of the snapshot; for
            `undecodable` and `shape` this is the whole payload, which was left out, or the first 2,048 bytes of what
            came in the place of events. For `index` it is the whole entry.
            For `contradiction` it is the folded value that the ending replaced, or the folded entry that the ending
            lacks.
        message: what was expected and what the event has, without text from the payload except names and types.
        step_id: the id of the run step concerned; None if the problem concerns no run step.
        message_id: the id of the message concerned; None if the problem concerns no message.

    """

    event_number: int
    kind: ProblemKind
    path: str
    raw: str
    message: str
    step_id: str | None
    message_id: str | None = None

    _readers = _READERS | {
        "kind": _read_kind,
        "path": read_text,
        "raw": read_text,
        "message": read_text,
        "step_id": or_null(read_text),
        "message_id": or_null(read_text),
    }


class UnknownEvent(_Update, frozen=True, gc=False):
    """An event of an unknown name, or about an object that is not a run step, a message or a run.

    Attributes:
        event_number: the number of the event, counted from 1.
        event: the name of the event, or that in an envelope (see `Problem`); "message" if there is none.
        data: the data of the event, as sent; or the `data` in it, as sent, if it is an envelope (see `Problem`).

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
"""Any update that an accumulator returns. The union is closed: a `match` can cover all of its members."""


_CLASSES: Final[Mapping[str, type[Update]]] = {record_type(cls): cls for cls in get_args(Update)}


def update_from_dict(value: Mapping[str, object]) -> Update:
    """Make the update that `to_dict` was called on. Its "type" gives the class, other keys than the fields are ignored.

    Raises:
        DecodeError: the value is not a mapping, its "type" is not that of an update, or a field is missing or wrong.

    """
    if not isinstance(value, Mapping):
        raise DecodeError(f"expected a mapping for an update, got {type(value).__qualname__}")
    kind = value.get("type")
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise DecodeError('expected the type of an update, such as "run_step_done", got another')
    return cls.from_dict(value)
