"""The accumulator: bodies, outcomes, errors, limits, strict mode and checkpoints."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import (
    Accumulator,
    AccumulatorError,
    BodyEnded,
    CheckpointError,
    ErrorObject,
    ErrorReceived,
    LimitError,
    Limits,
    MergeError,
    Problem,
    RequiredAction,
    RequiresAction,
    Run,
    RunUpdated,
    UnknownEvent,
)
from tests import bodies
from tests.wire import (
    DONE,
    call,
    calls_json,
    completed,
    created,
    delta,
    delta_payload,
    event,
    faults,
    folded,
    fragment,
    function,
    in_progress,
    kinds,
    opening,
    run_event,
    step,
    step_json,
    text,
    updates_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator import Update

OPEN = (created(), delta("step_1", opening(0, "call_1", "f")))
SERVER_ERROR = {"message": "sorry", "type": "server_error", "param": None, "code": None}
OUTPUTS = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call("call_1", "f", "{}")]}}
APPROVAL = {
    "type": "submit_tool_approval",
    "submit_tool_approval": {"tool_calls": [{"id": "call_1", "type": "mcp", "name": "n", "arguments": "{}"}]},
}


def ended(*events: bytes) -> Accumulator:
    """Feed the events of one body and end it."""
    run = folded(*events)
    run.end()
    return run


# Bytes in.


def test_a_new_accumulator_knows_nothing() -> None:
    run = Accumulator()
    assert ([], None, None, None, ()) == (run.run_steps(), run.outcome, run.error, run.required_action, run.problems)
    assert [] == run.feed(b"")


def test_events_are_applied_as_their_blank_line_comes() -> None:
    stream = b"".join(OPEN) + DONE
    whole = updates_of(stream)
    run = Accumulator()
    one_by_one = [update for each in stream for update in run.feed(bytes([each]))]
    assert whole == one_by_one
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta", "BodyEnded"] == kinds(whole)


@pytest.mark.parametrize("chunk", ["text", None, 1, [b"a"]])
def test_what_is_no_bytes_is_a_type_error(chunk: object) -> None:
    with pytest.raises(TypeError, match="bytes"):
        Accumulator().feed(cast("bytes", chunk))


@pytest.mark.parametrize("data", [text(step()), text(step()).encode()])
def test_a_framed_event_is_applied_as_text_or_bytes(data: bytes | str) -> None:
    run = Accumulator()
    assert updates_of(created()) == run.apply("thread.run.step.created", data)


def test_framed_events_without_a_name_are_messages() -> None:
    run = Accumulator()
    assert [UnknownEvent(1, "message", "hello")] == run.apply("", "hello")
    assert [BodyEnded(2, "unknown", ())] == run.apply("message", b"[DONE]")


@pytest.mark.parametrize(
    ("name", "data"), [(b"error", "x"), (None, "x"), ("error", None), ("error", {"a": 1}), ("error", bytearray())]
)
def test_a_framed_event_of_other_types_is_a_type_error(name: object, data: object) -> None:
    run = Accumulator()
    with pytest.raises(TypeError, match="expected a str and bytes or str, got"):
        run.apply(cast("str", name), cast("bytes", data))
    assert [BodyEnded(0, "truncated", ())] == run.end()


@pytest.mark.parametrize("size", [True, "1", 1.5])
def test_a_limit_of_another_type_is_a_type_error(size: object) -> None:
    with pytest.raises(TypeError, match="max_event_size must be an int or None"):
        Limits(max_event_size=cast("int", size))


@pytest.mark.parametrize("size", [0, -1])
def test_a_limit_below_one_is_a_value_error(size: int) -> None:
    with pytest.raises(ValueError, match=f"max_event_size must be at least 1, got {size}"):
        Limits(max_event_size=size)


def test_events_are_counted_from_one_over_all_bodies() -> None:
    numbers = [update.event_number for update in updates_of(*OPEN, DONE, in_progress(), DONE)]
    assert [1, 2, 2, 3, 4, 5] == numbers


# Bodies.


def test_a_body_ends_at_done_and_its_end_is_told_once() -> None:
    run = Accumulator()
    assert ["RunStepCreated", "BodyEnded"] == kinds(run.feed(created() + DONE))
    assert [] == run.end()
    assert "unknown" == run.outcome


def test_a_body_ends_where_its_source_ends() -> None:
    run = folded(created())
    assert [BodyEnded(1, "truncated", ("step_1",))] == run.end()
    assert "truncated" == run.outcome


def test_a_source_without_any_event_is_one_body_cut_short() -> None:
    run = Accumulator()
    assert [BodyEnded(0, "truncated", ())] == run.end()
    run = Accumulator()
    assert [] == run.feed(b": only a comment\n\n")
    assert [BodyEnded(0, "truncated", ())] == run.end()


def test_the_next_event_opens_the_next_body() -> None:
    first = [*OPEN, run_event("requires_action", required_action=OUTPUTS), DONE]
    second = [completed(calls=[call("call_1", "f", "{}", "42")]), run_event("completed"), DONE]
    run = Accumulator()
    updates = run.feed(b"".join(first + second))
    assert [BodyEnded(4, "requires_action", ("step_1",)), BodyEnded(7, "completed", ())] == [
        each for each in updates if isinstance(each, BodyEnded)
    ]
    assert [] == run.end()
    assert "completed" == run.outcome
    assert [call("call_1", "f", "{}", "42")] == calls_json(run)


def test_an_outcome_is_of_its_own_body() -> None:
    run = Accumulator()
    seen: list[tuple[str | None, ErrorObject | None]] = []
    for each in (event("error", SERVER_ERROR) + DONE, in_progress(), DONE):
        run.feed(each)
        seen.append((run.outcome, run.error))
    assert [("error", ErrorObject.from_dict(SERVER_ERROR)), (None, None), ("unknown", None)] == seen


def test_half_a_block_of_a_body_that_ended_is_not_glued_to_the_next() -> None:
    run = folded(created() + b"event: thread.run.step.de")
    assert ["Problem", "BodyEnded"] == kinds(run.end())
    assert ["RunStepUpdated", "BodyEnded"] == kinds(run.feed(in_progress() + DONE))


def test_two_feeds_may_take_turns() -> None:
    run = Accumulator()
    first, second = run._new_feed(), run._new_feed()
    first.push(b"".join(OPEN) + delta("step_1", fragment(0, "a")) + b"event: thread.run.step.delta\nda")
    second.push(delta("step_1", fragment(0, "b")) + run_event("completed") + DONE)
    kinds_in_order = [kinds(feed.step() or []) for feed in (first, first, second, first, second, second, first, second)]
    assert [
        ["RunStepCreated"],
        ["ToolCallCreated", "ToolCallDelta"],
        ["ToolCallDelta"],
        ["ToolCallDelta"],
        ["RunUpdated"],
        ["BodyEnded"],
        [],
        [],
    ] == kinds_in_order
    assert "completed" == run.outcome
    assert [call("call_1", "f", "ba")] == calls_json(run)
    # The older body ends last: it says so, and changes nothing else.
    assert not first.finished
    assert ["Problem", "BodyEnded"] == kinds(first.end())
    assert first.finished
    assert "completed" == run.outcome


def test_an_older_body_that_breaks_changes_no_outcome() -> None:
    run = Accumulator()
    first, second = run._new_feed(), run._new_feed()
    first.push_event("thread.run.step.created", text(step()))
    first.step()
    second.push(run_event("completed") + DONE)
    assert ["RunUpdated", "BodyEnded"] == kinds((second.step() or []) + (second.step() or []))
    assert [BodyEnded(3, "truncated", ("step_1",))] == first.fail()
    assert "completed" == run.outcome


@pytest.mark.parametrize(("status", "outcome"), [("completed", "completed"), ("in_progress", "truncated")])
def test_a_source_that_breaks_behind_a_final_status_takes_nothing_back(status: str, outcome: str) -> None:
    run = Accumulator()
    feed = run._new_feed()
    feed.push(run_event(status))
    feed.step()
    assert [BodyEnded(1, outcome, ())] == feed.fail()
    assert [] == feed.fail()


def test_an_abandoned_source_drops_what_is_pending_and_ends() -> None:
    run = Accumulator()
    feed = run._new_feed()
    feed.push(created() + in_progress() + b"event: half")
    feed.step()
    feed.abandon()
    assert feed.step() is None
    assert "truncated" == run.outcome
    assert [] == feed.end()
    untouched = run._new_feed()
    untouched.abandon()
    assert not untouched.finished


# Outcomes.

FINAL = ["completed", "incomplete", "failed", "cancelled", "expired", "requires_action"]


@pytest.mark.parametrize("status", FINAL)
@pytest.mark.parametrize("last", [DONE, b""])
def test_the_outcome_is_the_last_status_of_the_run(status: str, last: bytes) -> None:
    assert status == ended(run_event("in_progress"), run_event(status), last).outcome


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelling", "new", "", None, 7])
def test_a_status_that_is_no_end_says_nothing(status: object) -> None:
    assert "unknown" == ended(run_event(status, name="in_progress"), DONE).outcome
    assert "truncated" == ended(run_event(status, name="in_progress")).outcome


def test_the_payloads_status_counts_and_not_the_events_name() -> None:
    assert "incomplete" == ended(run_event("incomplete", name="completed"), DONE).outcome
    assert "unknown" == ended(run_event("in_progress", name="completed"), DONE).outcome


def test_the_last_status_counts() -> None:
    assert "unknown" == ended(run_event("completed"), run_event("in_progress"), DONE).outcome


def test_a_status_of_an_earlier_body_does_not_count() -> None:
    run = ended(run_event("requires_action"), DONE)
    run.feed(in_progress() + DONE)
    assert "unknown" == run.outcome


def test_an_error_comes_before_the_status_and_the_status_before_done() -> None:
    assert "error" == ended(run_event("completed"), event("error", SERVER_ERROR), run_event("completed"), DONE).outcome
    assert "error" == ended(event("error", SERVER_ERROR)).outcome


@pytest.mark.parametrize("name", ["done", "thread.run.completed", None])
def test_done_is_its_data_under_any_name(name: str | None) -> None:
    assert [BodyEnded(1, "unknown", ())] == updates_of(event(name, b"[DONE]"))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"null", b'""', b'"[DONE]"', b'{"event":"done","data":{}}', b'{"status":"x"}']
)
def test_done_may_have_other_json_or_no_data(data: bytes) -> None:
    """Servers of the field end a body so; real ones were found with an object, and with nothing."""
    assert [BodyEnded(1, "unknown", ())] == updates_of(event("done", data))
    assert [BodyEnded(1, "unknown", ())] == updates_of(
        event(None, b'{"event":"done","data":' + (data or b"null") + b"}")
    )


@pytest.mark.parametrize("status", FINAL)
def test_a_final_status_in_done_is_that_of_the_run(status: str) -> None:
    payload = {"status": status, "id": "run_1"}
    for done in (payload, {"event": "done", "data": payload}):
        assert [BodyEnded(1, status, ())] == updates_of(event("done", done))
    assert [BodyEnded(1, status, ())] == updates_of(event(None, {"event": "done", "data": payload}))
    assert status == ended(run_event("in_progress"), event("done", payload)).outcome
    assert "completed" == ended(run_event("completed"), event("done", {"status": "in_progress"})).outcome


@pytest.mark.parametrize("data", [b"[DONE", b" [DONE]", b"[done]", b"end"])
def test_done_with_other_data_is_undecodable_and_ends_nothing(data: bytes) -> None:
    run = Accumulator()
    assert ["Problem"] == kinds(run.feed(event("done", data)))
    raw = data.decode()
    assert [(1, "undecodable", "$", raw, None)] == faults(run)
    assert run.outcome is None
    assert [BodyEnded(1, "truncated", ())] == run.end()


def test_the_name_of_a_run_s_event_is_its_status_where_the_payload_has_none() -> None:
    for status in FINAL:
        run = ended(event(f"thread.run.{status}", {"id": "run_1"}))
        assert (status, status) == (run.outcome, cast("Run", run.current_run).status)
    assert "truncated" == ended(event("thread.run.created", {"id": "run_1"})).outcome
    assert "truncated" == ended(event("thread.run.completed", {"id": "run_1", "status": "in_progress"})).outcome


# Errors.


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"error": SERVER_ERROR}, SERVER_ERROR),
        (SERVER_ERROR, SERVER_ERROR),
        ({"error": None, **SERVER_ERROR}, {"error": None, **SERVER_ERROR}),
        ({"error": "overloaded"}, {"message": "overloaded"}),
        ("overloaded", {"message": "overloaded"}),
        ([1], {"message": "[1]"}),
        ({"error": [1]}, {"message": "[1]"}),
        (None, {"message": "null"}),
        (7, {"message": "7"}),
        ({}, {"message": "{}"}),
        ({"e": "Timeout."}, {"e": "Timeout.", "message": '{"e":"Timeout."}'}),
        ({"error": "Name", "message": "m", "code": "c"}, {"error": "Name", "message": "m", "code": "c"}),
        ({"error": "Name", "code": "c"}, {"error": "Name", "code": "c", "message": "Name"}),
        ({"error": {"code": "c", "message": None}}, {"code": "c", "message": '{"code":"c","message":null}'}),
        (b"<html>503</html>", {"message": "<html>503</html>"}),
        (b"", {"message": ""}),
    ],
)
def test_an_error_is_read_whatever_its_payload(payload: object, error: dict[str, object]) -> None:
    run = Accumulator()
    wire = event("error", payload)
    data = payload.decode() if isinstance(payload, bytes) else text(payload)
    assert [ErrorReceived(1, ErrorObject.from_dict(error), data)] == run.feed(wire)
    assert [BodyEnded(1, "error", ())] == run.end()
    assert run.error is not None
    assert error == run.error.to_dict()
    assert [] == faults(run)


def test_steps_stay_readable_after_an_error() -> None:
    run = ended(*OPEN, event("error", {"error": SERVER_ERROR}))
    assert "in_progress" == step_json(run)["status"]
    assert [call("call_1", "f", "")] == calls_json(run)


# The run.


@pytest.mark.parametrize("action", [OUTPUTS, APPROVAL])
def test_what_the_run_waits_for_is_handed_out_and_readable(action: dict[str, object]) -> None:
    payload = {"id": "run_1", "object": "thread.run", "status": "requires_action", "required_action": action}
    run = Accumulator()
    wanted = RequiredAction.from_dict(action)
    assert [RequiresAction(1, Run.from_dict(payload), wanted)] == run.feed(
        event("thread.run.requires_action", payload),
    )
    assert wanted == run.required_action
    assert ["call_1"] == [each.to_dict()["id"] for each in wanted.tool_calls]
    run.feed(DONE)
    assert ("requires_action", wanted) == (run.outcome, run.required_action)
    run.feed(run_event("queued", required_action=None))
    assert run.required_action is None


@pytest.mark.parametrize("action", [None, "text", []])
def test_a_run_that_says_not_what_it_waits_for_is_an_update(action: object) -> None:
    payload = {"id": "run_1", "object": "thread.run", "status": "requires_action", "required_action": action}
    run = Accumulator()
    assert [RunUpdated(1, Run.from_dict(payload))] == run.feed(event("thread.run.requires_action", payload))
    assert run.required_action is None


def test_a_run_that_is_no_object_is_a_shape_problem() -> None:
    run = folded(event("thread.run.completed", ["completed"]))
    assert [(1, "shape", "$", '["completed"]', None)] == faults(run)
    run.feed(DONE)
    assert "unknown" == run.outcome


# Names.


@pytest.mark.parametrize(
    "name",
    ["thread.created", "thread.run.step.renamed", "thread.message.chunk", "ping", "Error", "thread.run.created "],
)
@pytest.mark.parametrize("data", [b"{}", b"hello", b"{broken", b""])
def test_an_event_of_an_unknown_name_is_handed_out(name: str, data: bytes) -> None:
    run = Accumulator()
    assert [UnknownEvent(1, name, data.decode())] == run.feed(event(name, data))
    assert [] == faults(run)


def test_messages_are_known_and_no_unknown_events() -> None:
    message: dict[str, object] = {"id": "msg_1", "object": "thread.message", "delta": {}}
    names = ("created", "in_progress", "delta", "completed", "incomplete")
    expected = ["MessageCreated", "MessageUpdated", "MessageDone", "MessageUpdated"]
    assert expected == kinds(updates_of(*(event(f"thread.message.{name}", message) for name in names)))


@pytest.mark.parametrize("name", ["thread.run.created", "thread.run.step.created", "thread.run.step.delta"])
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a":NaN}', b'{"a":1e400}', b'{"a":' + b"9" * 4301 + b"}", b"[" * 300 + b"]" * 300, b"{}x", b"'a'"],
)
def test_what_cannot_be_decoded_is_in_a_problem(name: str, data: bytes) -> None:
    run = folded(*OPEN)
    before = run.run_steps()
    assert ["Problem"] == kinds(run.feed(event(name, data)))
    assert [(3, "undecodable", "$", data.decode(), None)] == faults(run)
    assert before == run.run_steps()


def test_of_duplicate_keys_the_last_counts() -> None:
    run = folded(event("thread.run.step.created", b'{"id":"a","id":"step_1","status":"x","status":"y"}'))
    assert {"id": "step_1", "status": "y"} == step_json(run)


def test_wrong_utf8_reads_as_the_replacement_character() -> None:
    data = text(step("step_1", call("call_1", "f", "?"))).encode().replace(b"?", b"a\xff\xfeb")
    run = folded(event("thread.run.step.created", data))
    assert [call("call_1", "f", "a\ufffd\ufffdb")] == calls_json(run)


# Events that name themselves in their data.


def test_an_event_in_an_envelope_is_that_event() -> None:
    events: list[tuple[str, object]] = [
        ("thread.run.step.created", step()),
        ("thread.run.step.delta", delta_payload("step_1", opening(0, "call_1", "f"))),
        ("thread.run.requires_action", {"status": "requires_action", "required_action": OUTPUTS}),
        ("thread.created", {"id": "thread_1"}),
        ("error", {"error": SERVER_ERROR}),
        ("done", "[DONE]"),
    ]
    plain = updates_of(*(event(name, payload) for name, payload in events[:-1]), DONE)
    wrapped = updates_of(*(event(None, {"event": name, "data": payload}) for name, payload in events))
    assert plain == wrapped
    assert "BodyEnded" == kinds(wrapped)[-1]


@pytest.mark.parametrize("name", ["thread.run.step.created", "thread.message.created", "thread.run.completed", "error"])
def test_an_envelope_under_its_own_name_is_its_event(name: str) -> None:
    """Relays of SDK events name the event twice."""
    payload = {"id": "x_1", "status": "completed", "message": "m"}
    assert updates_of(event(name, payload)) == updates_of(event(name, {"event": name, "data": payload}))


@pytest.mark.parametrize("name", ["thread.run.step.created", "thread.message.created", "thread.run.completed", "error"])
def test_so_is_an_envelope_within_one_that_has_no_name(name: str) -> None:
    payload = {"id": "x_1", "status": "completed", "message": "m"}
    envelope = {"event": name, "data": payload}
    assert updates_of(event(name, payload)) == updates_of(event(None, {"event": name, "data": envelope}))


@pytest.mark.parametrize("name", ["done", "thread.run.created"])
def test_the_mark_of_an_end_in_an_envelope_ends_the_body(name: str) -> None:
    envelope = {"event": name, "data": "[DONE]"}
    for sent in (event(name, envelope), event(None, envelope), event(None, {"event": name, "data": envelope})):
        assert [BodyEnded(1, "unknown", ())] == updates_of(sent)
    told = updates_of(event("thread.run.created", "[DONE]"))
    assert ["Problem"] == kinds(told)  # this one is a JSON text in quotes


@pytest.mark.parametrize("other", [{"event": "thread.run.created"}, {"event": "thread.run.step.created", "more": 1}])
def test_what_only_looks_like_an_envelope_is_not_opened(other: dict[str, object]) -> None:
    run = folded(event("thread.run.step.created", {**other, "data": step()}))
    assert ["shape"] == [fault[1] for fault in faults(run)]


@pytest.mark.parametrize("payload", [{"error": {"message": "x"}}, {"error": {"message": "x"}, "event": "y"}])
def test_an_event_without_name_and_with_an_error_is_an_error(payload: dict[str, object]) -> None:
    run = Accumulator()
    assert [ErrorReceived(1, ErrorObject.from_dict({"message": "x"}), text(payload))] == run.feed(event(None, payload))
    assert [BodyEnded(1, "error", ())] == run.end()


@pytest.mark.parametrize(
    "payload",
    [{"error": None}, {"event": "thread.run.completed"}, {"event": 1, "data": {}}, [1], "x", 1, None, {}, b"hello"],
)
def test_any_other_event_without_name_is_unknown(payload: object) -> None:
    run = Accumulator()
    data = payload.decode() if isinstance(payload, bytes) else text(payload)
    assert [UnknownEvent(1, "message", data)] == run.feed(event(None, payload))
    assert [] == faults(run)


def test_an_event_without_name_that_begins_an_object_and_is_cut_is_undecodable() -> None:
    run = folded(event(None, b' {"event":'))
    assert [(1, "undecodable", "$", ' {"event":', None)] == faults(run)


# Last blocks without their blank line.


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_block_with_whole_data_is_applied(end: bytes) -> None:
    run = folded(*OPEN, run_event("completed").rstrip(b"\n") + end)
    assert ["RunUpdated", "BodyEnded"] == kinds(run.end())
    assert "completed" == run.outcome
    assert [] == faults(run)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_done_as_a_last_block_ends_the_body_once(end: bytes) -> None:
    run = folded(created(), DONE.rstrip(b"\n") + end)
    assert [BodyEnded(2, "unknown", ("step_1",))] == run.end()
    assert [] == run.end()


@pytest.mark.parametrize(
    ("block", "raw"),
    [
        (b"event: thr", "event: thr"),
        (b"event: thread.run.completed\n", "event: thread.run.completed\n"),
        (b"event: thread.run.completed\nda", "event: thread.run.completed\nda"),
        (b"event: thread.run.completed\ndata: ", ""),
        (b'event: thread.run.completed\ndata: {"id":"r', '{"id":"r'),
        (b"event: done\ndata: [DON", "[DON"),
        (b"event: new.name\ndata: {", "{"),
        (b"event: new.name\ndata: hel", "hel"),
        (b"data: {", "{"),
        (b"data: hel", "hel"),
        (b'event: thread.run.step.delta\ndata: {"id":"\xf0\x9f', '{"id":"\ufffd'),
    ],
)
def test_a_torn_last_block_is_undecodable(block: bytes, raw: str) -> None:
    run = folded(created(), block)
    updates = run.end()
    assert ["Problem", "BodyEnded"] == kinds(updates)
    assert [(2, "undecodable", "$", raw, None)] == faults(run)
    assert BodyEnded(2, "truncated", ("step_1",)) == updates[1]


@pytest.mark.parametrize("block", [b": comm", b"\n", b": a\n: b"])
def test_a_last_block_of_comments_is_nothing(block: bytes) -> None:
    run = folded(created(), block)
    assert [BodyEnded(1, "truncated", ("step_1",))] == run.end()


def test_a_torn_error_is_an_error() -> None:
    run = folded(b'event: error\ndata: {"error":{"mess')
    assert ["ErrorReceived", "BodyEnded"] == kinds(run.end())
    assert "error" == run.outcome


def test_a_whole_last_block_of_an_unknown_name_is_handed_out() -> None:
    run = folded(b"event: new.name\ndata: {}")
    assert [UnknownEvent(1, "new.name", "{}"), BodyEnded(1, "truncated", ())] == run.end()


def test_a_torn_block_after_done_is_a_problem_and_no_body() -> None:
    run = folded(DONE, b"event: thr")
    assert ["Problem"] == kinds(run.end())
    assert "unknown" == run.outcome


# Limits.

LARGE = event("thread.run.step.delta", delta_payload("step_1", fragment(0, "x" * 1000)))


def test_an_event_too_large_raises_in_its_place_and_the_rest_goes_on() -> None:
    run = Accumulator(limits=Limits(max_event_size=800))
    chunk = b"".join(OPEN) + LARGE + delta("step_1", fragment(0, "y")) + LARGE + DONE
    with pytest.raises(LimitError, match="at most 800 bytes") as caught:
        run.feed(chunk)
    assert ("max_event_size", 800) == (caught.value.limit, caught.value.maximum)
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta"] == kinds(list(caught.value.updates))
    assert caught.value.accumulator is run
    assert [call("call_1", "f", "")] == calls_json(run)
    with pytest.raises(LimitError) as again:
        run.feed(b"")
    assert ["ToolCallDelta"] == kinds(list(again.value.updates))
    assert [call("call_1", "f", "y")] == calls_json(run)
    assert ["BodyEnded"] == kinds(run.feed(b""))
    assert [] == run.feed(b"")


def test_an_event_too_large_raises_before_it_is_whole() -> None:
    run = Accumulator(limits=Limits(max_event_size=100))
    with pytest.raises(LimitError):
        run.feed(b"data: " + b"x" * 200)
    assert [] == run.feed(b"x" * 200)
    assert [BodyEnded(2, "unknown", ())] == run.feed(b"\n\n" + DONE)


def test_end_raises_what_is_pending_and_ends_when_called_again() -> None:
    run = Accumulator(limits=Limits(max_event_size=800))
    with pytest.raises(LimitError):
        run.feed(LARGE + created() + LARGE + in_progress())
    with pytest.raises(LimitError) as caught:
        run.end()
    assert ["RunStepCreated"] == kinds(list(caught.value.updates))
    assert ["RunStepUpdated", "BodyEnded"] == kinds(run.end())


def test_no_limit_takes_any_size() -> None:
    run = Accumulator(limits=Limits(max_event_size=None))
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta"] == kinds(run.feed(created() + LARGE))


# Strict.


def test_strict_raises_at_the_first_problem_and_goes_on_with_the_rest() -> None:
    run = Accumulator(strict=True)
    bad = delta("step_1", function(0, name="g"))
    with pytest.raises(MergeError) as caught:
        run.feed(b"".join(OPEN) + bad + delta("step_1", fragment(0, "x")) + event("done", b"end") + DONE)
    assert (3, "conflict", '"g"') == (
        caught.value.problem.event_number,
        caught.value.problem.kind,
        caught.value.problem.raw,
    )
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta", "ToolCallDelta", "Problem"] == kinds(
        list(caught.value.updates)
    )
    with pytest.raises(MergeError, match=r"^undecodable at \$ \(event 5\): expected the data \[DONE\]") as again:
        run.feed(b"")
    assert ["ToolCallDelta", "Problem"] == kinds(list(again.value.updates))
    assert ["BodyEnded"] == kinds(run.feed(b""))
    assert [call("call_1", "f", "x")] == calls_json(run)


def test_strict_raises_for_a_torn_block_and_the_body_ends_next() -> None:
    run = Accumulator(strict=True)
    run.feed(created() + b"event: thr")
    with pytest.raises(MergeError) as caught:
        run.end()
    assert (["Problem"], None) == (kinds(list(caught.value.updates)), run.outcome)
    assert (["BodyEnded"], "truncated") == (kinds(run.end()), run.outcome)
    assert [] == run.end()


def test_strict_and_tolerant_fold_the_same() -> None:
    stream = [
        *OPEN,
        delta("step_1", function(0, id="b", arguments="x")),
        delta("step_1", fragment(-1, "y")),
        delta("step_1", 1),
        completed(calls=[call("call_1", "g", "z")]),
        delta("step_1", fragment(0, "late")),
        event("done", b"end"),
        b"event: thr",
    ]
    tolerant = Accumulator()
    expected = [*tolerant.feed(b"".join(stream)), *tolerant.end()]
    strict = Accumulator(strict=True)
    actual = collect(strict, b"".join(stream))
    assert expected == actual
    assert tolerant.run_steps() == strict.run_steps()
    assert {"conflict", "index", "shape", "contradiction", "late", "undecodable"} == {
        each.kind for each in strict.problems
    }


def collect(run: Accumulator, chunk: bytes) -> list[Update]:
    """Feed and end, and gather the updates also of calls that raise."""
    updates: list[Update] = []
    while True:
        try:
            updates += run.feed(chunk)
            updates += run.end()
        except AccumulatorError as error:
            updates += error.updates
            chunk = b""
        else:
            return updates


def test_the_errors_pickle_with_their_updates() -> None:
    run = Accumulator(strict=True)
    with pytest.raises(MergeError) as caught:
        run.feed(created() + event("done", b"end"))
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert isinstance(copy, MergeError)
    assert (str(caught.value), caught.value.problem, list(caught.value.updates), None) == (
        str(copy),
        copy.problem,
        list(copy.updates),
        copy.accumulator,
    )


# Checkpoints.

STREAM = [
    *OPEN,
    created("step_2"),
    delta("step_1", fragment(0, '{"\ud83d')),
    delta("step_1", fragment(0, '\ude00"}')),
    delta("step_2", {"index": 4294967294, "type": "mcp", "id": "call_m", "output": None, "list": [{"index": 3}]}),
    delta("step_2", {"type": "new", "id": "call_n", "value": 1}, {"type": "new", "output": "x"}),
    delta("step_1", function(0, name="g")),
    delta("step_1", function(0, name="h")),
    event("thread.run.step.delta", {"id": "step_1", "delta": {"step_details": []}}),
    run_event("requires_action", required_action=OUTPUTS),
    DONE,
    completed("step_2", calls=[{"id": "call_m", "type": "mcp", "output": None, "list": [{}]}]),
    delta("step_2", {"index": 4294967294, "output": "la"}),
    delta("step_2", {"index": 4294967294, "output": "te", "list": [{"index": 3, "x": 1}]}, {"index": 7, "type": "new"}),
    event("error", {"error": SERVER_ERROR}),
    completed("step_1", calls=[call("call_1", "f", '{"\U0001f600"}', "out")]),
    delta("step_1", fragment(0, "late"), {"type": "new", "id": "call_n"}),
    b"event: thread.run.completed\ndata: {",
]


def state_of(run: Accumulator) -> object:
    """Return everything that can be read of an accumulator."""
    return (
        json.dumps([each.to_dict() for each in run.run_steps()], sort_keys=True),
        run.outcome,
        run.problems,
        run.error,
        run.required_action,
        run.strict,
        run.limits,
        run.tool_call("step_1", 0),
        run.tool_call("step_2", 4294967294),
    )


@pytest.mark.parametrize("position", range(len(STREAM)))
def test_a_checkpoint_after_any_event_changes_nothing_that_follows(position: int) -> None:
    plain, first = Accumulator(), Accumulator()
    head, tail = b"".join(STREAM[:position]), b"".join(STREAM[position:])
    plain.feed(head)
    first.feed(head)
    second = Accumulator.from_bytes(first.to_bytes())
    assert state_of(plain) == state_of(second)
    assert [*plain.feed(tail), *plain.end()] == [*second.feed(tail), *second.end()]
    assert state_of(plain) == state_of(second)
    assert plain.to_bytes() == second.to_bytes()


def test_a_checkpoint_keeps_half_a_block() -> None:
    stream = b"".join(STREAM[:4])
    for position in range(0, len(stream), 7):
        run = Accumulator()
        updates = run.feed(stream[:position])
        run = Accumulator.from_bytes(run.to_bytes())
        assert updates_of(stream) == [*updates, *run.feed(stream[position:])]


def test_a_checkpoint_keeps_strict_limits_and_what_is_pending() -> None:
    run = Accumulator(strict=True, limits=Limits(max_event_size=800))
    with pytest.raises(MergeError):
        run.feed(event("done", b"end") + created() + LARGE + in_progress() + event("done", b"end") + DONE)
    run = Accumulator.from_bytes(run.to_bytes())
    with pytest.raises(LimitError, match="at most 800 bytes") as caught:
        run.feed(b"")
    assert ["RunStepCreated"] == kinds(list(caught.value.updates))
    with pytest.raises(MergeError) as again:
        run.feed(b"")
    assert ["RunStepUpdated", "Problem"] == kinds(list(again.value.updates))
    assert ["BodyEnded"] == kinds(run.feed(b""))


def test_a_checkpoint_keeps_a_body_that_a_later_one_overtook() -> None:
    run = folded(created())
    other = run._new_feed()
    other.push(run_event("completed") + DONE)
    other.step()
    other.step()
    run = Accumulator.from_bytes(run.to_bytes())
    assert "completed" == run.outcome
    assert [BodyEnded(3, "truncated", ("step_1",))] == run.end()
    assert "completed" == run.outcome


def test_a_checkpoint_is_json_text_in_ascii_with_a_version() -> None:
    plain = json.loads(folded(*STREAM).to_bytes().decode("ascii"))
    assert ("delta-accumulator checkpoint", 1) == (plain["format"], plain["version"])


@pytest.mark.parametrize("depth", [10, 100, 125, 126])
def test_what_can_be_folded_can_be_kept(depth: int) -> None:
    data = b'{"id":"step_1","object":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    run = folded(event("thread.run.step.created", data))
    assert [] == faults(run)
    assert run.run_steps() == Accumulator.from_bytes(run.to_bytes()).run_steps()
    keyed = b'{"id":"step_1","delta":{"x":' + b'[{"index":0,"a":' * (depth // 2) + b"1" + b"}]" * (depth // 2) + b"}}"
    run = folded(event("thread.run.step.delta", keyed))
    assert [] == faults(run)
    assert run.run_steps() == Accumulator.from_bytes(run.to_bytes()).run_steps()


def test_numbers_at_the_limits_can_be_kept() -> None:
    data = b'{"id":"step_1","a":' + b"9" * 4300 + b',"b":1e308,"c":-0.0,"d":5e-324}'
    run = folded(event("thread.run.step.created", data), event("thread.run.created", data))
    again = Accumulator.from_bytes(run.to_bytes())
    assert run.run_steps() == again.run_steps()
    assert [] == faults(run)


GOOD = [folded(*STREAM).to_bytes(), Accumulator().to_bytes(), folded(*STREAM[:-1], DONE).to_bytes()]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"NaN",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b"x" * 10_000_000,
        b'{"format":"other","version":1,"state":{}}',
        b'{"format":"delta-accumulator checkpoint","state":{}}',
        b'{"format":"delta-accumulator checkpoint","version":2,"state":{}}',
        b'{"format":"delta-accumulator checkpoint","version":true,"state":{}}',
        b'{"format":"delta-accumulator checkpoint","version":1}',
        b'{"format":"delta-accumulator checkpoint","version":1,"state":{}}',
        pickle.dumps({"format": "delta-accumulator checkpoint"}),
    ],
)
def test_what_is_no_checkpoint_is_an_error(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="expected"):
        Accumulator.from_bytes(data)


def spoiled(path: list[object], value: object) -> bytes:
    """Return a good checkpoint with one value in it replaced."""
    plain = json.loads(GOOD[0])
    target = plain["state"]
    for key in path[:-1]:
        target = target[key]
    assert target.get(path[-1]) != value
    target[path[-1]] = value
    return json.dumps(plain).encode()


CALLS = ["steps", 1, "root", "fields", "step_details", "fields", "tool_calls"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["max_event_size"], 0),
        (["max_event_size"], True),
        (["count"], None),
        (["count"], -1),
        (["count"], 10**30),
        (["problem_count"], -1),
        (["limits"], {"max_open": 0}),
        (["limits"], {"max_size": 1}),
        (["runs"], {"by_id": {"run_1": 1}, "body": [None, False], "own": [None, False]}),
        (["steps", 0, "id"], "step_2"),
        (["steps", 0, "state"], "begun"),
        (["steps", 0, "root", "kind"], "tree"),
        (["steps", 0, "root", "fields", "status"], {"kind": "json", "json": "{"}),
        (["steps", 0, "root", "fields", "status"], {"kind": "text", "json": "7"}),
        ([*CALLS, "entries", 0, "index"], -1),
        ([*CALLS, "entries", 3, "index"], 4294967294),  # they are saved in order of arrival
        ([*CALLS, "ids"], {"call_m": 4}),
        ([*CALLS, "ids"], {"call_m": -1}),
        (["parser", "fresh"], 1),
        (["parser"], {}),
        (["parser", "held"], "\u1234"),
        (["problems", 0, "kind"], "new"),
        (["body", "ended"], 3),
        (["pending"], {}),
    ],
)
def test_a_checkpoint_with_a_wrong_value_is_an_error(path: list[object], value: object) -> None:
    with pytest.raises(CheckpointError, match="expected the state of an accumulator"):
        Accumulator.from_bytes(spoiled(path, value))


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_checkpoint_can_be_any_bytes(kind: type[bytearray | memoryview]) -> None:
    assert Accumulator.from_bytes(GOOD[0]).to_bytes() == Accumulator.from_bytes(kind(GOOD[0])).to_bytes()


@pytest.mark.parametrize("data", [GOOD[0].decode(), None, 7])
def test_a_checkpoint_of_another_type_is_refused(data: bytes) -> None:
    with pytest.raises(TypeError, match=f"^expected the bytes of a checkpoint, got {type(data).__name__}$"):
        Accumulator.from_bytes(data)


@pytest.mark.parametrize("key", [b'"ids":{"a":0,"a":0}', b'"count":1,"count":1'])
def test_a_checkpoint_that_says_a_thing_twice_is_an_error(key: bytes) -> None:
    with pytest.raises(CheckpointError, match="no JSON text"):
        Accumulator.from_bytes(GOOD[0].replace(b'"state":{', b'"state":{' + key + b",", 1))


@pytest.mark.parametrize("value", [[1], {"a": 1}, 7])
def test_a_checkpoint_with_a_type_that_is_no_text_works(value: object) -> None:
    run = folded(created(), delta("step_1", {"type": "new", "id": "call_1"}))
    plain = json.loads(run.to_bytes())
    (entry,) = plain["state"]["steps"][0]["root"]["fields"]["step_details"]["fields"]["tool_calls"]["entries"]
    entry["fields"]["type"]["json"] = json.dumps(value)
    use(json.dumps(plain).encode())
    again = Accumulator.from_bytes(json.dumps(plain).encode())
    again.feed(delta("step_1", {"type": "new", "output": "x"}))
    assert value == calls_json(again)[0]["type"]


def test_a_checkpoint_nested_past_every_limit_is_an_error() -> None:
    nested: dict[str, object] = {"kind": "json", "json": "1"}
    for _ in range(200):
        nested = {"kind": "object", "fields": {"a": nested}}
    with pytest.raises(CheckpointError, match="levels"):
        Accumulator.from_bytes(spoiled(["steps", 0, "root", "fields", "status"], nested))


def use(data: bytes) -> None:
    """Read a checkpoint and, if it is taken, go on with it through everything that there is."""
    try:
        run = Accumulator.from_bytes(data)
    except CheckpointError:
        return
    collect(run, b"".join(STREAM) + b"\n\n" + b"".join(STREAM))
    for each in run.run_steps():
        each.to_json()
    state_of(run)
    Accumulator.from_bytes(run.to_bytes())


@given(st.sampled_from(GOOD), st.data())
def test_hostile_bytes_are_an_error_or_an_accumulator_that_works(good: bytes, data: st.DataObject) -> None:
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        length = data.draw(st.integers(0, 12))
        mutated[position : position + length] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"null", b"-1", b"{}"])
        )
        if not mutated:
            break
    use(bytes(mutated))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "1", '"x"', "[1]", "{}", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["kind", "json", "fields", "entries", "index", "a"]), inner, max_size=3)
    ),
    max_leaves=5,
)
LEAVES = st.fixed_dictionaries({"kind": st.sampled_from(["json", "text"]), "json": JSON_VALUES.map(json.dumps)})
KEYS = st.sampled_from(["id", "type", "function", "arguments", "output", "tool_calls"])


def trees(inner: st.SearchStrategy[dict[str, object]]) -> st.SearchStrategy[dict[str, object]]:
    """Generate nodes of a checkpoint that hold others, not all of them possible."""
    return st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["object", "keyed"]),
            "fields": st.dictionaries(KEYS, inner, max_size=3),
            "entries": st.lists(inner, max_size=3),
            "held": st.lists(KEYS, max_size=2),
            "ids": st.dictionaries(KEYS, st.integers(-1, 3), max_size=2),
            "index": st.none() | st.integers(0, 3),
            "place": st.none() | st.integers(-1, 3),
            "done": st.booleans(),
        }
    )


NODES: st.SearchStrategy[dict[str, object]] = st.recursive(
    cast("st.SearchStrategy[dict[str, object]]", LEAVES), trees, max_leaves=6
)


def keys_of(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[object, object]", value))
    return list(range(len(cast("list[object]", value)))) if isinstance(value, list) else []


@given(st.data())
def test_hostile_values_are_an_error_or_an_accumulator_that_works(data: st.DataObject) -> None:
    plain = cast("dict[object, object]", json.loads(data.draw(st.sampled_from(GOOD))))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = plain, cast("object", "state")
        while keys := keys_of(holder[key]):
            if holder is not plain and data.draw(st.integers(0, 4)) == 0:
                break
            # A list as well; both are read and set alike.
            holder, key = cast("dict[object, object]", holder[key]), data.draw(st.sampled_from(keys))
        holder[key] = data.draw(NODES | JSON_VALUES)
    use(json.dumps(plain).encode())


# The fast path beside the general way.


def both(*events: bytes) -> tuple[list[Update], list[Update]]:
    """Feed events to two accumulators, one with its fast path switched off, and hold their steps to be the same."""
    on, off = Accumulator(), Accumulator()
    off._engine.fast_path.enabled = False
    results = ([*on.feed(b"".join(events)), *on.end()], [*off.feed(b"".join(events)), *off.end()])
    assert [each.to_json() for each in off.run_steps()] == [each.to_json() for each in on.run_steps()]
    assert off.to_bytes() == on.to_bytes()
    return results


CODE: dict[str, object] = {
    "index": 0,
    "id": "call_1",
    "type": "code_interpreter",
    "code_interpreter": {"input": "", "outputs": []},
}


def code(**fields: object) -> dict[str, object]:
    return {"index": 0, "type": "code_interpreter", "code_interpreter": fields}


@pytest.mark.parametrize(
    "between",
    [
        fragment(0, "b"),
        fragment(0, ""),
        {**fragment(0, "b"), "id": "call_1"},
        {**fragment(0, "b"), "id": "call_2"},
        function(0, arguments="b", output=None),
        function(0, arguments=None),
        function(0, arguments=1),
        function(0, name="g", arguments="b"),
        {"index": 0, "function": {"arguments": "b"}},
        {"index": 0, "type": "code_interpreter", "code_interpreter": {"input": "b"}},
        {"index": 0, "type": "function", "code_interpreter": {"input": "b"}},
        {"index": 0, "type": "code_interpreter", "function": {"arguments": "b"}},
        {**fragment(0, "b"), "code_interpreter": {"input": "x"}},
        {"index": 0, "type": "function"},
        fragment(1, "b"),
        fragment(-1, "b"),
        fragment("0", "b"),
        fragment(0, "\ud83d"),
    ],
)
def test_fast_path_on_and_off_agree_on_fragments(between: dict[str, object]) -> None:
    around = [delta("step_1", fragment(0, part)) for part in ("a", "\ude00c")]
    on, off = both(*OPEN, *around, delta("step_1", between), *around)
    assert off == on


@pytest.mark.parametrize(
    "between",
    [
        created(),
        in_progress(),
        completed(calls=[call("call_1", "f", "ab")]),
        completed(calls=[call("call_1", "f", "")]),
        completed(),
        delta("step_2", fragment(0, "x")),
        created("step_2"),
        event("thread.run.step.delta", {"id": "step_1", "delta": {"step_details": {"type": "mcp"}}}),
        event("thread.run.step.delta", {"id": "step_1", "delta": {}, "object": "thread.run.step.delta"}),
        event("thread.run.step.completed", {"id": "step_1", "step_details": 1}),
        DONE,
    ],
)
def test_fast_path_on_and_off_agree_whatever_comes_between(between: bytes) -> None:
    around = [delta("step_1", fragment(0, part)) for part in ("a", "b")]
    on, off = both(*OPEN, *around, between, *around)
    assert off == on


def test_fast_path_on_and_off_agree_on_code() -> None:
    parts = [delta("step_1", code(input=part)) for part in ("1", "+", "1")]
    output = delta("step_1", code(outputs=[{"index": 0, "type": "logs", "logs": "2"}]))
    on, off = both(created(), delta("step_1", CODE), *parts, output, *parts)
    assert off == on
    run = folded(created(), delta("step_1", CODE), *parts, output, *parts)
    assert {"input": "1+11+1", "outputs": [{"type": "logs", "logs": "2"}]} == calls_json(run)[0]["code_interpreter"]


@pytest.mark.parametrize(
    "first",
    [
        [],
        [
            event(
                "thread.run.step.delta", {"id": "step_1", "delta": {"step_details": {"tool_calls": [fragment(0, "a")]}}}
            )
        ],
        [delta("step_1", {**opening(0, "", "f"), "id": 7})],
        [delta("step_1", {"index": 0, "id": "call_1"})],
        [delta("step_1", {**opening(0, "call_1", "f"), "function": {"arguments": 1}})],
    ],
)
def test_fast_path_on_and_off_agree_whatever_a_call_began_with(first: list[bytes]) -> None:
    on, off = both(*first, *(delta("step_1", fragment(0, part)) for part in ("a", "b", "c")))
    assert off == on


def test_a_problem_is_plain_data() -> None:
    run = folded(event("done", b"end"))
    (problem,) = run.problems
    assert isinstance(problem, Problem)
    assert problem == pickle.loads(pickle.dumps(problem))  # noqa: S301 - our own


# Copies of an accumulator.


def through_pickle(run: Accumulator) -> Accumulator:
    return cast("Accumulator", pickle.loads(pickle.dumps(run)))  # noqa: S301 - its own bytes


class Named(Accumulator):
    """An accumulator with something of its own."""

    name = ""


@pytest.mark.parametrize("copied", [through_pickle, copy.copy, copy.deepcopy])
def test_a_copy_goes_on_by_itself(copied: Callable[[Accumulator], Accumulator]) -> None:
    run = Named(strict=True)
    run.name = "first"
    run.feed(created() + delta("step_1", opening(0, "call_1", "f")))
    other = copied(run)
    conflict = delta("step_1", {"index": 0, "id": "call_2"})
    with pytest.raises(MergeError, match=r"^conflict at .* \(event 3, step_1\): ") as caught:
        other.feed(conflict)
    assert "step_1" == caught.value.problem.step_id
    assert ((), 1) == (tuple(run.problems), len(other.problems))
    assert (Named, "first") == (type(other), cast("Named", other).name)


def test_a_mark_of_an_end_is_taken_off_once() -> None:
    twice = b'event: x\ndata: [DONE]\ndata: [DONE]\ndata: {"id":1}\n\n'
    expected = [BodyEnded(1, "unknown", ()), UnknownEvent(2, "x", '[DONE]\n{"id":1}')]
    assert expected == Accumulator().feed(twice)
    ended, torn, *_ = collect(Accumulator(), twice[:-1])
    assert (expected[0], '[DONE]\n{"id":1}') == (ended, cast("Problem", torn).raw)
    waiting = Accumulator(limits=Limits(max_event_size=60))
    with pytest.raises(LimitError):
        waiting.feed(b"data: " + b"x" * 80 + b"\n\n" + twice)
    kept = Accumulator.from_bytes(waiting.to_bytes())
    assert waiting.feed(b"") == kept.feed(b"")


def test_an_empty_id_is_not_named_in_an_error() -> None:
    with pytest.raises(
        MergeError, match=r"^shape at \$\.id \(event 1\): expected a text that is not empty, got an empty one$"
    ):
        Accumulator(strict=True).apply("thread.run.step.created", '{"id":""}')


def test_the_payload_of_an_envelope_is_quoted_as_it_was_sent() -> None:
    (update,) = Accumulator().apply("message", b'{"event":"foo","data": [1 , 2],"\xff":1}')
    assert UnknownEvent(1, "foo", "[1 , 2]") == update


def test_the_first_error_counts() -> None:
    run = ended(event("error", {"message": "first"}), event("error", {"message": "what followed"}))
    assert ("error", "first") == (run.outcome, cast("ErrorObject", run.error).message)


GLUED = b'event: x\ndata: [DONE]\ndata: {"id":1}\n\n'


def test_a_mark_of_an_end_is_taken_off_where_a_source_may_hold_several_bodies() -> None:
    assert ["BodyEnded", "UnknownEvent"] == kinds(Accumulator().feed(GLUED))
    assert ["UnknownEvent"] == kinds(Accumulator().apply("x", '[DONE]\n{"id":1}'))
    response = Accumulator()._new_feed(one_body=True)
    response.push(GLUED + GLUED.replace(b"event: x\n", b"") + GLUED.replace(b"x", b"done"))
    told = [response.step() for _ in range(3)]
    assert [["UnknownEvent"], ["Problem"], ["Problem"]] == [kinds(updates or []) for updates in told]
    assert response.outcome is None


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (step(status="in_progress"), "thread.run.step.in_progress"),
        (step(status="completed"), "thread.run.step.completed"),
        # A status that is not known is no ending: only that the step began is sure.
        (step(status="new"), "thread.run.step.created"),
        ({"object": "thread.run", "id": "run_1", "status": "failed"}, "thread.run.failed"),
        ({"object": "thread.run", "id": "run_1"}, "thread.run.created"),
        ({"object": "thread.run", "id": "run_1", "status": "step.created"}, "thread.run.created"),
        ({"object": "thread.run", "id": "run_1", "status": ["completed"]}, "thread.run.created"),
        ({"object": "thread.run", "id": "run_1", "status": "delta"}, "thread.run.created"),
        (step(status="delta"), "thread.run.step.created"),
        (step(status="queued"), "thread.run.step.created"),
        ({"object": "thread.message", "id": "msg_1", "status": "completed", "content": []}, "thread.message.completed"),
        (delta_payload("step_1", opening(0, "call_1", "f")), "thread.run.step.delta"),
    ],
)
def test_an_object_without_a_name_is_the_event_that_it_says(payload: dict[str, object], name: str) -> None:
    assert updates_of(event(name, payload)) == updates_of(event(None, payload))


@pytest.mark.parametrize("name", ["completed", "failed", "cancelled", "expired"])
def test_the_name_of_an_ending_is_its_status_where_the_payload_has_none(name: str) -> None:
    payload = {key: value for key, value in step().items() if key != "status"}
    run = folded(created(), event(f"thread.run.step.{name}", {**payload, "last_error": {"code": "c"}}))
    assert name == step_json(run)["status"]
    other = folded(created(), event(f"thread.run.step.{name}", {**payload, "status": "other"}))
    assert "other" == step_json(other)["status"]


def test_an_accumulator_that_forgets_reads_one_run_after_the_other() -> None:
    limits = Limits(max_total_size=20_000)
    body = bodies.FIRST + bodies.SECOND + bodies.event("thread.run.step.delta", {"id": "step_1", "delta": 7})
    runs = [body.replace(b"_1", b"_%d" % number) + bodies.DONE for number in range(50)]
    run = Accumulator(limits=limits)
    with pytest.raises(LimitError):
        run.feed(b"".join(runs))
    run = Accumulator(limits=limits)
    for number, each in enumerate(runs):
        alone = Accumulator()
        events = alone.feed(each)
        updates = run.feed(each)
        assert [each.to_dict() for each in alone.run_steps()] == [each.to_dict() for each in run.run_steps()]
        assert [update.event_number for update in updates] == [
            update.event_number + number * events[-1].event_number for update in events
        ]
        assert (1, alone.outcome, number + 1) == (len(run.problems), run.outcome, run.problem_count)
        run._forget()
        assert ([], [], [], None, ()) == (
            run.run_steps(),
            run.messages(),
            run.runs(),
            run.current_run,
            tuple(run.problems),
        )
    assert Accumulator.from_bytes(run.to_bytes()).to_bytes() == run.to_bytes()
