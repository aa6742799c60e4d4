"""Several runs in one body or file: the body has the outcome of its own run, and each run its own status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import Accumulator, BodyEnded, accumulate
from tests.wire import DONE, completed, created, delta, event, fragment, in_progress, run_event, step_event

if TYPE_CHECKING:
    from pathlib import Path

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


def test_the_command_gives_each_step_the_outcome_of_its_run(tmp_path: Path) -> None:
    from tests.test_cli import cli

    bodies = [
        run_of(A, "created") + created("step_a", run_id=A) + run_of(A, "completed") + DONE,
        run_of(B, "created") + step_event("failed", "step_b", run_id=B) + run_of(B, "failed") + DONE,
        run_of("run_c", "created") + run_of("run_d", "created") + created("step_d", run_id="run_d"),
        run_of("run_d", "expired") + created("step_c", run_id="run_c") + created("step_x", run_id=None),
        run_of("run_e", "created") + created("step_e", run_id="run_e") + run_of("run_c", "completed") + DONE,
        created("step_f", run_id="run_f"),
    ]
    file = tmp_path / "log.sse"
    file.write_bytes(b"".join(bodies))
    lines = [json.loads(line) for line in cli("replay", file).out.splitlines()]
    expected = {
        "step_a": "completed",
        "step_b": "failed",
        "step_d": "expired",
        "step_c": "completed",
        "step_x": "completed",
        "step_e": "truncated",
        "step_f": "truncated",
    }
    assert expected == {line["step"]["id"]: line["outcome"] for line in lines}


WAITS = created("step_a", run_id=A) + run_of(A, "in_progress") + run_of(A, "requires_action", ACTION) + DONE
CUT_BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "a step of the run that waits, then cut": (WAITS + completed("step_a", run_id=A), {"step_a": "truncated"}),
    "a delta of that run, then cut": (WAITS + delta("step_a", fragment(0, "{}")), {"step_a": "truncated"}),
    "an error alone": (WAITS + event("error", {"message": "x"}), {"step_a": "error"}),
    "a failure with an id that never began": (WAITS + run_of("made_up", "failed") + DONE, {"step_a": "failed"}),
    "the same within one body": (
        created("step_a", run_id=A) + run_of(A, "created") + run_of("made_up", "failed") + DONE,
        {"step_a": "failed"},
    ),
    "a next body that names no id": (
        WAITS + step_event("completed", "step_b", run_id=None) + run_of(None, "completed") + DONE,
        {"step_a": "completed", "step_b": "completed"},
    ),
    "another run, then cut": (
        WAITS + run_of(B, "created") + created("step_b", run_id=B),
        {"step_a": "requires_action", "step_b": "truncated"},
    ),
    "a late step of a run that ended, in the body of another": (
        created("step_a", run_id=A)
        + run_of(A, "completed")
        + DONE
        + run_of(B, "created")
        + completed("step_a", run_id=A)
        + run_of(B, "failed")
        + DONE,
        {"step_a": "completed"},
    ),
    "ids and statuses that are no text": (
        created("step_a", run_id=["x"])
        + run_of(["x"], "created")
        + run_of(A, "created")
        + run_event(["x"], "created", id=A)
        + run_event(["x"], "created", id=B),
        {"step_a": "truncated"},
    ),
}


@pytest.mark.parametrize(("stream", "expected"), CUT_BODIES.values(), ids=CUT_BODIES)
def test_the_command_gives_a_run_the_outcome_of_its_last_body(stream: bytes, expected: dict[str, str]) -> None:
    from tests.test_cli import cli

    lines = cli("replay", "-", stdin=stream).lines
    assert expected == {cast("dict[str, object]", line["step"])["id"]: line["outcome"] for line in lines}


def test_the_command_does_as_much_for_a_run_however_many_came_before() -> None:
    from tests.test_cli import cli
    from tests.test_growth import calls_made

    def calls_for(count: int) -> int:
        stream = b"".join(run_of(f"run_{number}", "completed") + DONE for number in range(count))
        return calls_made(lambda: cli("replay", "-", stdin=stream))

    fifty, hundred, two_hundred = map(calls_for, (50, 100, 200))
    assert two_hundred - hundred < 2.1 * (hundred - fifty)
