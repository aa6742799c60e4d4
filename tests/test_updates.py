"""Updates are plain data: frozen, compared by value, picklable, their fields in a fixed order."""

from __future__ import annotations

import copy
import pickle
from typing import cast, get_args, get_type_hints

import pytest
from msgspec import structs

from accumulator import Accumulator
from accumulator._assistants import messages, run_steps, runs, updates
from accumulator._engine.body import BodyEnded
from tests import wire

STEP = run_steps.RunStep.wrap({"id": "step_Kd81", "type": "tool_calls", "created_at": 1.0})
CALL = run_steps.FunctionToolCall.wrap({"id": "call_3", "type": "function"})
DELTA = run_steps.FunctionToolCallDelta.wrap({"index": 2, "type": "function", "function": {"arguments": "x"}})
MESSAGE = messages.Message.wrap({"id": "msg_Rt27", "role": "assistant", "created_at": 1.0})
PART = messages.TextContentBlock.wrap({"type": "text", "text": {"value": "hel", "annotations": []}})
GROWN = messages.TextDeltaBlock.wrap({"index": 0, "type": "text", "text": {"value": "hel"}})
RUN = runs.Run.wrap({"id": "run_1"})
# One of each kind, as positional arguments: the order of the fields is part of what users match on.
EVERY_UPDATE: list[updates.Update] = [
    updates.RunStepCreated(1, "step_Kd81", STEP),
    updates.RunStepUpdated(2, "step_Kd81", STEP),
    updates.RunStepDone(3, "step_Kd81", STEP),
    updates.ToolCallCreated(4, "step_Kd81", 2, CALL),
    updates.ToolCallDelta(5, "step_Kd81", None, "call_3", DELTA),
    updates.ToolCallDone(6, "step_Kd81", 2, CALL),
    updates.MessageCreated(7, "msg_Rt27", MESSAGE),
    updates.MessageUpdated(8, "msg_Rt27", MESSAGE),
    updates.MessageDone(9, "msg_Rt27", MESSAGE),
    updates.ContentCreated(10, "msg_Rt27", 0, PART),
    updates.ContentDelta(11, "msg_Rt27", None, GROWN),
    updates.ContentDone(12, "msg_Rt27", 0, PART),
    updates.RunUpdated(13, RUN),
    updates.RequiresAction(14, RUN, runs.RequiredAction.wrap({"type": "submit_tool_outputs"})),
    updates.ErrorReceived(15, runs.ErrorObject.wrap({"message": "sorry", "code": None}), '{"message":"sorry"}'),
    updates.Problem(16, "late", "$.delta", '"x"', "expected nothing more", None, "msg_Rt27"),
    updates.UnknownEvent(17, "thread.created", "{}"),
    BodyEnded(18, "truncated", ("step_Kd81", "msg_Rt27")),
]
FIELDS_OF_UPDATES = {
    "RunStepCreated": ("event_number", "step_id", "run_step"),
    "RunStepUpdated": ("event_number", "step_id", "run_step"),
    "RunStepDone": ("event_number", "step_id", "run_step"),
    "ToolCallCreated": ("event_number", "step_id", "index", "tool_call"),
    "ToolCallDelta": ("event_number", "step_id", "index", "tool_call_id", "delta"),
    "ToolCallDone": ("event_number", "step_id", "index", "tool_call"),
    "MessageCreated": ("event_number", "message_id", "message"),
    "MessageUpdated": ("event_number", "message_id", "message"),
    "MessageDone": ("event_number", "message_id", "message"),
    "ContentCreated": ("event_number", "message_id", "index", "content"),
    "ContentDelta": ("event_number", "message_id", "index", "delta"),
    "ContentDone": ("event_number", "message_id", "index", "content"),
    "RunUpdated": ("event_number", "run"),
    "RequiresAction": ("event_number", "run", "required_action"),
    "ErrorReceived": ("event_number", "error", "data"),
    "Problem": ("event_number", "kind", "path", "raw", "message", "step_id", "message_id"),
    "UnknownEvent": ("event_number", "event", "data"),
    "BodyEnded": ("event_number", "outcome", "open"),
}


def test_updates_are_a_closed_list_with_fields_in_order() -> None:
    assert [type(update) for update in EVERY_UPDATE] == list(get_args(updates.Update))
    assert FIELDS_OF_UPDATES == {type(update).__name__: update.__struct_fields__ for update in EVERY_UPDATE}
    assert list(range(1, 19)) == [update.event_number for update in EVERY_UPDATE]


@pytest.mark.parametrize("update", EVERY_UPDATE, ids=lambda update: type(update).__name__)
def test_an_update_is_frozen_compared_by_value_and_pickles(update: updates.Update) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert update == pickle.loads(pickle.dumps(update, protocol))  # noqa: S301
    assert update == copy.deepcopy(update)
    assert update != structs.replace(update, event_number=99)
    assert update == structs.replace(structs.replace(update, event_number=99), event_number=update.event_number)
    for name in update.__struct_fields__:
        with pytest.raises(AttributeError, match="immutable"):
            setattr(update, name, None)


def test_updates_of_two_kinds_are_never_equal() -> None:
    assert updates.RunStepCreated(1, "step_1", STEP) != cast("object", updates.RunStepDone(1, "step_1", STEP))


def test_a_problem_is_about_a_step_or_a_message_or_neither() -> None:
    about_a_step = updates.Problem(10, "late", "$.delta", '"x"', "expected nothing more", "step_Kd81")
    assert ("step_Kd81", None) == (about_a_step.step_id, about_a_step.message_id)
    assert about_a_step != structs.replace(about_a_step, message_id="msg_Rt27")


def test_annotations_of_updates_can_be_read_at_run_time() -> None:
    assert {"event_number": int, "run": runs.Run} == get_type_hints(updates.RunUpdated)
    assert run_steps.ToolCallDeltaEntry == get_type_hints(updates.ToolCallDelta)["delta"]
    assert messages.MessageContentDelta == get_type_hints(updates.ContentDelta)["delta"]
    assert messages.MessageContent == get_type_hints(updates.ContentDone)["content"]


def test_what_a_body_leaves_open_reads_as_a_tuple_of_ids() -> None:
    run = Accumulator()
    first, second = [
        cast("BodyEnded", run.feed(chunk + wire.DONE)[-1])
        for chunk in (
            wire.event("thread.message.created", {"id": "msg_1"}) + wire.created("step_1"),
            wire.created("step_2") + wire.completed("step_1"),
        )
    ]
    run.feed(b"".join(wire.created(f"step_{n}") + wire.completed(f"step_{n}") for n in range(3, 200)))
    assert (("step_1", "msg_1"), ("step_2", "msg_1")) == (first.open, second.open)
    assert ("msg_1", ("msg_1",), 2, ["step_2", "msg_1"]) == (
        second.open[-1],
        second.open[1:],
        len(second.open),
        list(second.open),
    )
    plain = BodyEnded(first.event_number, first.outcome, ("step_1", "msg_1"))
    assert (plain, hash(plain), repr(plain)) == (first, hash(first), repr(first))
    others: list[object] = [second.open, ["step_1", "msg_1"], "step_1"]
    assert [False, False, False] == [first.open == other for other in others]
    assert first == pickle.loads(pickle.dumps(first))  # noqa: S301 - our own
    assert isinstance(pickle.loads(pickle.dumps(first)).open, tuple)  # noqa: S301 - our own
