"""Several runs in one body or file: the body has the outcome of its own run, and each run its own status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import Accumulator, BodyEnded, accumulate
from tests.wire import DONE, completed, created, event, in_progress, run_event, step_event

if TYPE_CHECKING:
    from accumulator import Update


def run_of(ident: object, status: str, action: object = None) -> bytes:
    return run_event(status, id=ident, required_action=action)


def outcomes(updates: list[Update]) -> list[str]:
    return [update.outcome for update in updates if isinstance(update, BodyEnded)]


def statuses(run: Accumulator) -> list[tuple[object, object]]:
    return [(each.id, each.status) for each in run.runs()]


def fed(*events: bytes) -> Accumulator:
    """Feed events, one after the other, each to what a checkpoint of the run before it gave."""
    through, restored = Accumulator(), Accumulator()
    for each in events:
        assert through.feed(each) == restored.feed(each)
        restored = Accumulator.from_bytes(restored.to_bytes())
    assert (through.end(), statuses(through)) == (restored.end(), statuses(restored))
    assert through.current_run == restored.current_run
    return through


A, B = "run_a", "run_b"
ACTION = {"type": "submit_tool_outputs"}

# Events of one body; its outcome, the status of the current run, and the last status of each run.
BODIES: dict[str, tuple[list[bytes], str, str, list[tuple[object, object]]]] = {
    "a run within a run": (
        [run_of(A, "queued"), run_of(B, "queued"), run_of(B, "failed"), run_of(A, "completed"), DONE],
        "completed",
        "completed",
        [(A, "completed"), (B, "failed")],
    ),
    "a run within a run that is cut": (
        [run_of(A, "queued"), run_of(B, "in_progress"), run_of(B, "completed")],
        "truncated",
        "queued",
        [(A, "queued"), (B, "completed")],
    ),
    "a run within a run that waits": (
        [run_of(A, "queued"), run_of(B, "queued"), run_of(B, "requires_action", ACTION), run_of(A, "failed"), DONE],
        "failed",
        "failed",
        [(A, "failed"), (B, "requires_action")],
    ),
    "a step that names the run before the run does": (
        [created(run_id=A), run_of(B, "created"), run_of(B, "completed"), run_of(A, "failed"), DONE],
        "failed",
        "failed",
        [(B, "completed"), (A, "failed")],
    ),
    "the steps of a run within a run": (
        [run_of(A, "created"), run_of(B, "created"), created(run_id=B), run_of(B, "expired"), run_of(A, "completed")],
        "completed",
        "completed",
        [(A, "completed"), (B, "expired")],
    ),
    "a failure with an id that never began": (
        [run_of(A, "created"), run_of("made_up", "failed"), DONE],
        "failed",
        "failed",
        [("made_up", "failed")],
    ),
    "nothing but a failure": ([run_of("made_up", "failed"), DONE], "failed", "failed", [("made_up", "failed")]),
    "a run that is only told of at its end": (
        [created(run_id=A), run_of(A, "completed")],
        "completed",
        "completed",
        [(A, "completed")],
    ),
    "a run without an id": (
        [run_of(None, "queued"), run_of(None, "completed")],
        "completed",
        "completed",
        [(None, "completed")],
    ),
    "a run without an id after one with an id": (
        [run_of(A, "queued"), run_of(None, "completed")],
        "completed",
        "completed",
        [(None, "completed")],
    ),
    "an id that is no text": (
        [run_of(7, "created"), run_of(A, "completed")],
        "completed",
        "completed",
        [(7, "created"), (A, "completed")],
    ),
}


@pytest.mark.parametrize(("events", "outcome", "current", "runs"), BODIES.values(), ids=BODIES)
def test_a_body_has_the_outcome_of_the_run_that_it_names_first(
    events: list[bytes], outcome: str, current: str, runs: list[tuple[object, object]]
) -> None:
    run = fed(*events)
    assert (outcome, runs) == (run.outcome, statuses(run))
    assert run.current_run is not None
    assert current == run.current_run.status


def test_what_another_run_waits_for_is_not_what_the_body_waits_for() -> None:
    run = Accumulator()
    run.feed(run_of(A, "queued") + run_of(B, "queued") + run_of(B, "requires_action", ACTION))
    assert run.required_action is None
    run.feed(run_of(A, "requires_action", ACTION) + DONE)
    assert run.required_action is not None
    assert "requires_action" == run.outcome


def test_the_run_that_waits_for_tools_is_that_of_the_next_body() -> None:
    first = [run_of(A, "queued"), run_of(A, "requires_action", ACTION), DONE]
    second = [completed(run_id=A), run_of(B, "created"), run_of(B, "failed"), run_of(A, "completed"), DONE]
    run = fed(*first, *second)
    assert ("completed", [(A, "completed"), (B, "failed")]) == (run.outcome, statuses(run))
    made_up = fed(*first, run_of("made_up", "failed"), DONE)
    assert ("failed", [("made_up", "failed")]) == (made_up.outcome, statuses(made_up))
    silent = fed(*first, DONE)
    assert ("unknown", [(A, "requires_action")]) == (silent.outcome, statuses(silent))


def test_a_next_body_that_begins_with_another_run_is_of_that_run() -> None:
    first = [run_of(A, "queued"), run_of(A, "requires_action", ACTION), DONE]
    run = fed(*first, run_of(B, "created"), run_of(B, "failed"), DONE)
    assert ("failed", [(A, "requires_action"), (B, "failed")]) == (run.outcome, statuses(run))
    assert (None, B) == (run.required_action, run.current_run and run.current_run.id)
    by_a_step = fed(*first, created(run_id=B), run_of(B, "completed"))
    assert ("completed", [(A, "requires_action"), (B, "completed")]) == (by_a_step.outcome, statuses(by_a_step))


def test_each_body_of_a_log_has_the_outcome_of_its_run() -> None:
    bodies = [
        run_of(A, "created") + created("step_a", run_id=A) + run_of(A, "completed") + DONE,
        run_of(B, "created") + step_event("failed", "step_b", run_id=B) + run_of(B, "failed") + DONE,
        run_of("run_c", "created") + in_progress("step_c", run_id="run_c") + DONE,
    ]
    run = Accumulator()
    stream = accumulate([b"".join(bodies)], into=run)
    assert ["completed", "failed", "unknown"] == outcomes(list(stream))
    assert [(A, "completed"), (B, "failed"), ("run_c", "created")] == statuses(run)


def test_runs_are_kept_once_and_as_sent() -> None:
    run = Accumulator()
    assert ([], None) == (run.runs(), run.current_run)
    run.feed(run_of(A, "queued", [1]) * 3)
    [found] = run.runs()
    assert {"id": A, "object": "thread.run", "status": "queued", "required_action": [1]} == found.to_dict()
    assert found == run.current_run


def test_a_checkpoint_names_only_runs_that_do_not_follow_from_the_last() -> None:
    def saved(*events: bytes) -> dict[str, object]:
        run = Accumulator()
        run.feed(b"".join(events))
        return cast("dict[str, object]", json.loads(run.to_bytes())["state"])

    one, two = saved(run_of(A, "queued")), saved(run_of(A, "queued"), run_of(B, "queued"))
    assert "runs" not in one
    b = {"id": B, "object": "thread.run", "status": "queued", "required_action": None}
    assert {"by_id": {A: None, B: b}, "body": [A, True], "own": [A, True]} == two["runs"]


def test_a_run_event_of_a_name_that_is_no_beginning_begins_nothing() -> None:
    run = fed(run_of(A, "created"), event("thread.run.cancelling", {"id": "made_up", "status": "cancelling"}), DONE)
    assert ("unknown", [("made_up", "cancelling")]) == (run.outcome, statuses(run))
