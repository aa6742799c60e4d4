"""What the server says now, merged into a stream that was cut: as if the stream had gone on, each fact once."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    LimitError,
    Limits,
    MergeError,
    Problem,
    RequiresAction,
    Run,
    RunStep,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    RunUpdated,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    accumulate,
)
from tests import bodies
from tests.cuts import (
    REAL,
    SHIPPED,
    Whole,
    canonical,
    cuts,
    expected_steps,
    fragments,
    once,
    read_whole,
)
from tests.test_interrupts import Bang, Boom, Raising, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from accumulator import Update

CUT = b"".join(bodies.FIRST_EVENTS[:4])  # half of the arguments
COMPLETED = bodies.STEP_AFTER_SECOND
ENDED = bodies.run("completed")


def cut_run(data: bytes = CUT, *, strict: bool = False, limits: Limits | None = None) -> Accumulator:
    run = Accumulator(strict=strict, limits=limits or Limits())
    run.feed(data)
    run.end()
    return run


def dicts(run: Accumulator) -> list[dict[str, object]]:
    return [step.to_dict() for step in run.run_steps()]


def kinds(updates: Iterable[Update]) -> list[str]:
    return [type(update).__name__ for update in updates]


# ---- Every cut of every recording.


def check_cuts(whole: Whole, step: int = 1) -> int:
    """Hold streams that were cut and reconciled to the whole one, and return how many."""
    count, handed_out, texts = 0, once(whole.updates), fragments(whole.updates)
    for run, updates in cuts(whole, step):
        expected, problems = expected_steps(whole, run), run.problem_count
        all_updates = [*updates, *run.reconcile(whole.said_steps[::-1], whole.said_run)]
        assert canonical(expected) == canonical(dicts(run))
        assert (whole.outcome, problems) == (run.outcome, run.problem_count)
        assert handed_out == once(all_updates)
        streamed = fragments(all_updates)
        assert {place: texts[place] for place in streamed} == streamed
        assert [] == run.reconcile(whole.said_steps, whole.said_run)
        count += 1
    return count


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recording_that_is_cut_anywhere_comes_to_the_whole_run(shipped: Path, name: str) -> None:
    whole = read_whole(shipped, SHIPPED[name])
    assert check_cuts(whole) == sum(len(body) + 1 for body in whole.bodies)


@pytest.mark.parametrize("name", REAL)
def test_a_real_recording_that_is_cut_comes_to_the_whole_run(recordings: Path, name: str) -> None:
    assert check_cuts(read_whole(recordings, REAL[name]), step=7) > 2  # `python -m tests.resuming` takes all


# ---- What is handed out.


def test_the_rest_of_a_text_is_a_delta_before_the_ending() -> None:
    run = cut_run()
    updates = run.reconcile([COMPLETED], ENDED)
    rest = {"index": 0, "type": "function", "function": {"arguments": bodies.ARGUMENTS[12:]}}
    assert ["ToolCallDelta", "ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"] == kinds(updates)
    assert isinstance(updates[0], ToolCallDelta)
    assert (5, "step_1", 0, "call_1") == (
        updates[0].event_number,
        updates[0].step_id,
        updates[0].index,
        updates[0].tool_call_id,
    )
    assert rest == updates[0].delta.to_dict()
    assert [5, 6, 6, 7, 7] == [update.event_number for update in updates]
    assert BodyEnded(7, "completed", ()) == updates[-1]
    assert ([COMPLETED], "completed", ()) == (dicts(run), run.outcome, tuple(run.problems))


def test_a_run_that_waits_has_the_whole_arguments_in_its_open_step() -> None:
    run = cut_run()
    updates = run.reconcile([bodies.STEP_AFTER_FIRST], bodies.run("requires_action", bodies.ACTION))
    assert ["ToolCallDelta", "RequiresAction", "BodyEnded"] == [
        kind for kind in kinds(updates) if kind != "RunStepUpdated"
    ]
    assert isinstance(updates[-2], RequiresAction)
    assert BodyEnded(7, "requires_action", ("step_1",)) == updates[-1]
    assert [bodies.STEP_AFTER_FIRST] == dicts(run)
    assert run.required_action is not None
    after = accumulate([bodies.SECOND], into=run).final_run_steps()  # the tool outputs are streamed as ever
    assert [COMPLETED] == [step.to_dict() for step in after]
    assert "completed" == run.outcome


def test_a_step_that_the_stream_has_not_named_is_created_and_done() -> None:
    run = cut_run(bodies.FIRST_EVENTS[0])
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDone", "RunStepDone", "BodyEnded"] == kinds(
        run.reconcile([COMPLETED])
    )
    assert "truncated" == run.outcome  # nobody said how the run ended


def test_a_stream_that_is_cut_within_a_character_gets_the_other_half() -> None:
    emoji = bodies.ARGUMENTS.index("🏔")
    half = json.dumps(bodies.ARGUMENTS[: emoji + 1])[1:-7]  # without the escape of the second half
    sent = bodies.delta({"index": 0, **bodies.call("%", None)}).replace(b'"%"', f'"{half}"'.encode())
    run = cut_run(bodies.FIRST_EVENTS[1] + sent)
    updates = run.reconcile([COMPLETED])
    assert ["ToolCallDelta", "ToolCallDone", "RunStepDone", "BodyEnded"] == kinds(updates)
    assert ([COMPLETED], ()) == (dicts(run), tuple(run.problems))


def test_an_entry_of_another_type_gets_no_rest() -> None:
    run = cut_run()
    other = {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "1"}}
    run.reconcile([bodies.step("completed", [other])])
    assert "contradiction" in [each.kind for each in run.problems]


def test_nothing_is_handed_out_for_what_was_known() -> None:
    run = cut_run(bodies.FIRST + bodies.SECOND)
    before = run.to_bytes()
    assert [] == run.reconcile([COMPLETED], ENDED)
    assert [] == run.reconcile([{**COMPLETED, "expires_at": None}])
    assert before == run.to_bytes()


def test_a_step_that_is_sent_with_other_fields_is_updated() -> None:
    run = cut_run(bodies.FIRST + bodies.SECOND)
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    updates = run.reconcile([{**COMPLETED, "usage": usage}])
    assert ["RunStepUpdated", "BodyEnded"] == kinds(updates)
    assert "completed" == run.outcome


def test_an_ending_that_leaves_out_what_was_streamed_changes_nothing() -> None:
    run = cut_run(bodies.FIRST + bodies.SECOND)
    emptied = bodies.step("completed", [bodies.call(bodies.ARGUMENTS, None)])
    assert [] == run.reconcile([emptied])
    assert [COMPLETED] == dicts(run)


def test_a_step_is_as_ended_as_the_server_says() -> None:
    for status in ("completed", "failed", "cancelled", "expired"):
        run = cut_run()
        step = {**bodies.step(status, [bodies.call(bodies.ARGUMENTS, None)]), "status": status}
        updates = run.reconcile([step])
        assert [status] == [each.run_step.status for each in updates if isinstance(each, RunStepDone)]
    others: list[object] = ["in_progress", "delta", "requires_action", ["completed"], None]
    for other in others:
        run = cut_run()
        updates = run.reconcile([{**bodies.STEP_AFTER_FIRST, "status": other}])
        assert "RunStepDone" not in kinds(updates)


def test_models_and_mappings_are_taken_in_any_order() -> None:
    second = {**COMPLETED, "id": "step_2", "created_at": 1_790_000_001}
    third = {**COMPLETED, "id": "step_3", "created_at": 1_790_000_001}
    last = {**COMPLETED, "id": "step_4", "created_at": 1_790_000_002}
    given: list[Sequence[object]] = [
        [RunStep.from_dict(COMPLETED), second, RunStep.from_dict(third), last],
        [last, third, second, COMPLETED],  # the newest first, as the API lists them
        [COMPLETED, second, last, third],
    ]
    for steps in given:
        run = cut_run()
        run.reconcile(iter(steps), Run.from_dict(ENDED))
        assert ["step_1", "step_2", "step_3", "step_4"] == [step.id for step in run.run_steps()]


def test_steps_without_a_usable_time_come_first() -> None:
    times: list[object] = [5, None, True, 10**400, "7"]
    steps = [{**COMPLETED, "id": f"step_{place}", "created_at": time} for place, time in enumerate(times)]
    run = Accumulator()
    run.reconcile(steps)
    assert ["step_4", "step_3", "step_2", "step_1", "step_0"] == [step.id for step in run.run_steps()]


def test_an_accumulator_without_events_takes_all_from_the_server() -> None:
    run = Accumulator()
    updates = run.reconcile([COMPLETED], ENDED)
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"] == kinds(
        updates
    )
    assert ("completed", [COMPLETED]) == (run.outcome, dicts(run))
    assert [] == Accumulator().reconcile([])
    assert Accumulator().to_bytes() == unchanged_by_nothing().to_bytes()


def unchanged_by_nothing() -> Accumulator:
    run = Accumulator()
    run.reconcile([])
    return run


def test_messages_stay_as_the_stream_left_them() -> None:
    message = {"id": "msg_1", "object": "thread.message", "run_id": "run_1", "status": "in_progress"}
    run = cut_run(CUT + bodies.event("thread.message.created", message))
    assert BodyEnded(8, "completed", ("msg_1",)) == run.reconcile([COMPLETED], ENDED)[-1]


def test_events_after_it_belong_to_the_next_body() -> None:
    run = cut_run()
    run.reconcile([bodies.STEP_AFTER_FIRST], bodies.run("requires_action", bodies.ACTION))
    ends = [each for each in run.feed(bodies.SECOND) if isinstance(each, BodyEnded)]
    assert ["completed"] == [each.outcome for each in ends]


# ---- The run.


def test_the_run_gives_the_outcome() -> None:
    for status in ("completed", "incomplete", "failed", "cancelled", "expired"):
        run = cut_run()
        assert status == cast("BodyEnded", run.reconcile([], bodies.run(status))[-1]).outcome
        assert status == run.outcome
    run = cut_run()
    assert ["RunUpdated", "BodyEnded"] == kinds(run.reconcile([], {**ENDED, "status": "queued"}))
    assert "truncated" == run.outcome


def test_a_body_without_a_status_has_that_of_the_run() -> None:
    run = cut_run(CUT + bodies.DONE)
    assert "unknown" == run.outcome
    assert [] == run.reconcile([])
    run.reconcile([], ENDED)
    assert "completed" == run.outcome


def test_without_a_run_the_outcome_stays() -> None:
    for data, outcome in ((CUT, "truncated"), (CUT + bodies.DONE, "unknown"), (bodies.FIRST, "requires_action")):
        run = cut_run(data)
        ended = cast("BodyEnded", run.reconcile([COMPLETED])[-1])
        assert (outcome, outcome) == (ended.outcome, run.outcome)


def test_an_error_of_the_stream_stays_the_outcome() -> None:
    run = cut_run(CUT + bodies.event("error", {"message": "no"}))
    run.reconcile([COMPLETED], bodies.run("failed"))
    assert ("error", "no") == (run.outcome, run.error.message if run.error else None)


def test_the_same_run_again_counts_if_the_body_did_not_say_it() -> None:
    waits = bodies.run("requires_action", bodies.ACTION)
    run = cut_run(bodies.FIRST)
    run.feed(bodies.delta({"index": 0, "type": "function", "function": {}}))
    run.end()
    assert "truncated" == run.outcome
    assert ["RequiresAction", "BodyEnded"] == kinds(run.reconcile([], waits))
    assert "requires_action" == run.outcome


def test_a_run_without_an_id_is_that_of_the_body() -> None:
    run = cut_run()
    run.reconcile([], {"status": "completed"})
    assert "completed" == run.outcome


def test_a_run_that_started_another_takes_what_is_said_of_both() -> None:
    other = {**bodies.run("in_progress"), "id": "run_2"}
    run = cut_run(CUT + bodies.event("thread.run.created", other))
    run.reconcile([{**COMPLETED, "id": "step_2", "run_id": "run_2"}], {**other, "status": "completed"})
    assert ("truncated", ["in_progress", "completed"]) == (run.outcome, [each.status for each in run.runs()])
    assert ["step_1", "step_2"] == [step.id for step in run.run_steps()]


# ---- What is wrong with what the server says.


def test_other_content_than_was_streamed_is_a_contradiction_and_the_ending_wins() -> None:
    run = cut_run()
    other = bodies.step("completed", [bodies.call('{"city":"Bern"}', "9")])
    updates = run.reconcile([other], ENDED)
    (problem,) = [each for each in updates if isinstance(each, Problem)]
    path = "$.step_details.tool_calls[0].function.arguments"
    assert ("contradiction", path, json.dumps(bodies.ARGUMENTS[:12], ensure_ascii=False)) == (
        problem.kind,
        problem.path,
        problem.raw,
    )
    assert [other] == dicts(run)
    assert ["ToolCallDone", "RunStepDone", "Problem", "RunUpdated", "BodyEnded"] == kinds(updates)


def test_a_text_that_an_ending_has_settled_gets_no_rest() -> None:
    run = Accumulator.from_bytes(cut_run(bodies.FIRST + bodies.SECOND).to_bytes())
    longer = bodies.step("completed", [bodies.call(bodies.ARGUMENTS + " ", "9 °C")])
    assert ["RunStepUpdated", "Problem", "BodyEnded"] == kinds(run.reconcile([longer]))
    assert (["contradiction"], [longer]) == ([each.kind for each in run.problems], dicts(run))


def test_a_step_of_another_run_is_left_out() -> None:
    run = cut_run()
    updates = run.reconcile([{**COMPLETED, "id": "step_9", "run_id": "run_9"}, COMPLETED], ENDED)
    (problem,) = [each for each in updates if isinstance(each, Problem)]
    assert ("conflict", "$.run_id", "step_9", "expected a step of run_1, got one of run_9; it is left out") == (
        problem.kind,
        problem.path,
        problem.step_id,
        problem.message,
    )
    assert ["step_1"] == [step.id for step in run.run_steps()]


def test_another_run_is_left_out() -> None:
    run = cut_run()
    updates = run.reconcile([COMPLETED], {**ENDED, "id": "run_" + "9" * 1_000})
    (problem,) = [each for each in updates if isinstance(each, Problem)]
    assert ("conflict", "$.id", None) == (problem.kind, problem.path, problem.step_id)
    assert f"expected run_1, got run_{'9' * 76}; it is left out" == problem.message
    assert ("truncated", [COMPLETED]) == (run.outcome, dicts(run))


def test_the_run_that_is_given_says_which_steps_are_its_own() -> None:
    run = Accumulator()
    run.reconcile([{**COMPLETED, "run_id": "run_9"}], ENDED)
    assert ([], "completed", ["conflict"]) == (dicts(run), run.outcome, [each.kind for each in run.problems])


@pytest.mark.parametrize(
    ("step", "kind", "path"),
    [
        ({}, "shape", "$.id"),
        ({"id": 7}, "shape", "$.id"),
        ({"id": "", "object": "thread.message"}, "shape", "$.id"),
        ({"id": "step_2", "score": float("nan")}, "undecodable", "$"),
        ({"id": "step_2", "type": "tool_calls", "step_details": 7}, "shape", "$.step_details"),
    ],
)
def test_a_hostile_step_is_a_problem_and_the_others_are_merged(step: dict[str, object], kind: str, path: str) -> None:
    run = cut_run()
    updates = run.reconcile([step, COMPLETED], ENDED)
    assert [(kind, path)] == [(each.kind, each.path) for each in updates if isinstance(each, Problem)]
    assert ("completed", COMPLETED) == (run.outcome, dicts(run)[0])


def test_a_hostile_run_is_a_problem() -> None:
    run = cut_run()
    run.reconcile([COMPLETED], {"id": "run_1", "expires_at": float("inf")})
    assert (["undecodable"], "truncated", [COMPLETED]) == (
        [each.kind for each in run.problems],
        run.outcome,
        dicts(run),
    )


class NoObject:
    def to_dict(self) -> list[int]:
        return [1]


def test_a_model_that_is_no_object_is_a_problem() -> None:
    run = cut_run()
    run.reconcile([NoObject()])
    assert ["shape"] == [each.kind for each in run.problems]


async def endless() -> AsyncIterator[RunStep]:
    yield RunStep.from_dict(COMPLETED)


async def awaited() -> list[RunStep]:
    return []


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        ({"object": "list", "data": []}, ': give page["data"] of a page, [step] for one step'),
        (RunStep.from_dict(COMPLETED), ": give [step] for one step"),
        (endless(), ": give [step async for step in steps]"),
        (json.dumps([COMPLETED]), ": decode it, and give its steps"),
        (b"[]", ": decode it, and give its steps"),
        (None, ""),
    ],
)
def test_what_is_no_iterable_of_steps_is_a_type_error(steps: object, hint: str) -> None:
    run = cut_run()
    before = run.to_bytes()
    with pytest.raises(TypeError) as caught:
        run.reconcile(cast("list[object]", steps), ENDED)
    assert f"expected an iterable of run steps, got {type(steps).__name__}{hint}" == str(caught.value)
    assert before == run.to_bytes()


def test_a_coroutine_has_to_be_awaited() -> None:
    coroutine = awaited()
    with pytest.raises(TypeError, match=r"got coroutine: await it and give its result\Z"):
        cut_run().reconcile(cast("list[object]", coroutine))
    coroutine.close()


@pytest.mark.parametrize("wrong", [("id", "step_1"), "step_1", None, RunStep])
def test_a_step_that_is_neither_model_nor_mapping_leaves_all_as_it_was(wrong: object) -> None:
    run = cut_run()
    before = run.to_bytes()
    with pytest.raises(TypeError, match=r"expected steps\[1\] to be a model or a mapping, got"):
        run.reconcile([COMPLETED, wrong], ENDED)
    with pytest.raises(TypeError, match=r"expected run to be a model or a mapping, got list"):
        run.reconcile([COMPLETED], [ENDED])
    assert before == run.to_bytes()


def test_a_mapping_that_is_no_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"expected an event's data to hold only what JSON can, got object in it"):
        cut_run().reconcile([{"id": object()}])
    nested: dict[str, object] = {}
    for _ in range(100_000):
        nested = {"a": nested}
    with pytest.raises(TypeError, match=r"expected steps\[0\] to be writable as JSON"):
        cut_run().reconcile([nested])


# ---- Open bodies, strictness, limits.


def test_an_open_body_has_to_end_first() -> None:
    run = Accumulator()
    run.feed(CUT)
    with pytest.raises(RuntimeError, match=r"expected the last body to have ended: call end\(\), or close its stream"):
        run.reconcile([COMPLETED])
    run.end()
    run.reconcile([COMPLETED])
    assert [COMPLETED] == dicts(run)


def test_events_that_wait_are_folded_first() -> None:
    run = cut_run(bodies.FIRST)
    run._own.push(bodies.SECOND)  # as an interrupt leaves them
    with pytest.raises(RuntimeError, match=r'expected no event to wait: call feed\(b""\) before'):
        run.reconcile([COMPLETED])
    run.feed(b"")
    assert [] == run.reconcile([COMPLETED])


def test_strict_raises_the_first_problem_when_all_is_merged() -> None:
    run = cut_run(strict=True)
    with pytest.raises(MergeError) as caught:
        run.reconcile([{**COMPLETED, "id": "step_9", "run_id": "run_9"}, {**COMPLETED, "id": 7}, COMPLETED], ENDED)
    assert ("conflict", run) == (caught.value.problem.kind, caught.value.accumulator)
    assert ["Problem", "Problem", "ToolCallDelta", "ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"] == kinds(
        caught.value.updates
    )
    assert ("completed", [COMPLETED]) == (run.outcome, dicts(run))


def test_a_step_over_a_limit_is_left_out() -> None:
    run = cut_run(limits=Limits(max_event_size=2_000))
    large = {**COMPLETED, "id": "step_2", "metadata": {"a": "x" * 3_000}}
    with pytest.raises(LimitError) as caught:
        run.reconcile([COMPLETED, large], ENDED)
    assert ("max_event_size", ["step_1"], "completed") == (
        caught.value.limit,
        [step.id for step in run.run_steps()],
        run.outcome,
    )
    assert ["ToolCallDelta", "ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"] == kinds(caught.value.updates)
    with pytest.raises(LimitError) as caught:
        run.reconcile([large])
    assert [] == list(caught.value.updates)
    assert "completed" == run.outcome


def test_a_first_step_over_a_limit_still_ends_the_body() -> None:
    run = Accumulator(limits=Limits(max_event_size=100))
    with pytest.raises(LimitError) as caught:
        run.reconcile([COMPLETED])
    assert ([BodyEnded(1, "truncated", ())], "truncated") == (list(caught.value.updates), run.outcome)


def test_more_steps_than_can_be_held_are_refused_before_anything_is_merged() -> None:
    run = cut_run(limits=Limits(max_total_size=20_000))
    before = run.to_bytes()

    def steps() -> Iterable[object]:
        while True:
            yield COMPLETED

    with pytest.raises(LimitError) as caught:
        run.reconcile(steps())
    assert ("max_total_size", 20_000, run) == (caught.value.limit, caught.value.maximum, caught.value.accumulator)
    assert before == run.to_bytes()


def interrupted(run: Accumulator, raising: Raising) -> bool:
    """Reconcile with an exception at one line, and return whether there was one. A thread of its own has the tracer."""
    raised: list[BaseException] = []

    def reconcile() -> None:
        sys.settrace(raising.trace)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        try:
            run.reconcile([{**COMPLETED, "id": "step_2"}, COMPLETED], ENDED)
        except (Boom, Bang) as error:
            raised.append(error)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=reconcile)
    thread.start()
    thread.join()
    return bool(raised)


@pytest.mark.parametrize("error", [Boom, Bang])
def test_an_exception_at_any_line_loses_nothing_in_silence(error: type[BaseException]) -> None:
    cut, at = cut_run().to_bytes(), 1
    while interrupted(run := Accumulator.from_bytes(cut), Raising(at, error)):
        assert run.outcome in {"truncated", "completed"}
        assert told(run) or run.to_bytes() == cut
        run.reconcile([COMPLETED], ENDED)
        assert ("completed", COMPLETED) == (run.outcome, dicts(run)[0])
        at += 97
    assert at > 1_000
    assert "completed" == run.outcome


# ---- Streams that were cut.


def test_the_accumulator_of_a_truncated_error_is_reconciled() -> None:
    stream = accumulate([CUT])
    run = stream.until_done()
    updates = run.reconcile([COMPLETED], ENDED)
    assert [COMPLETED] == [step.to_dict() for step in run.run_steps()]
    assert (ToolCallDelta, BodyEnded) == (type(updates[0]), type(updates[-1]))


def test_polls_of_a_run_that_goes_on_hand_out_what_is_new() -> None:
    run = Accumulator()
    calls = [bodies.call(bodies.ARGUMENTS[:end], None) for end in (5, 12, len(bodies.ARGUMENTS))]
    steps = [bodies.step("in_progress", [call]) for call in calls]
    found = [kinds(run.reconcile([step], bodies.run("in_progress"))) for step in [*steps, steps[-1], COMPLETED]]
    assert [
        ["RunStepCreated", "ToolCallCreated", "RunUpdated", "BodyEnded"],
        ["ToolCallDelta", "BodyEnded"],
        ["ToolCallDelta", "BodyEnded"],
        [],
        ["ToolCallDone", "RunStepDone", "BodyEnded"],
    ] == [[kind for kind in each if kind != "RunStepUpdated"] for each in found]
    assert [COMPLETED] == dicts(run)
    assert () == tuple(run.problems)


def test_every_kind_of_update_is_that_of_a_stream() -> None:
    run = cut_run()
    updates = run.reconcile([COMPLETED], ENDED)
    allowed = (
        RunStepCreated,
        RunStepUpdated,
        RunStepDone,
        ToolCallCreated,
        ToolCallDelta,
        ToolCallDone,
        RunUpdated,
        BodyEnded,
    )
    assert all(isinstance(update, allowed) for update in updates)
