"""A run whose stream was cut, completed by asking the server: as if the stream had not been cut."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

import httpx
import pytest
import stamina
import trio

from accumulator import (
    Accumulator,
    BodyEnded,
    LimitError,
    Limits,
    MergeError,
    ResponseError,
    RunError,
    RunStepDone,
    TruncatedError,
    accumulate,
)
from accumulator.rest import aresume, resume
from tests import bodies
from tests.clock import Clock
from tests.cuts import SHIPPED, read_whole
from tests.rest_server import JSONObject, RestServer, answer, refuse
from tests.resuming.cut_runs import WAYS, cutting

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from accumulator import Update

CUT = b"".join(bodies.FIRST_EVENTS[:4])
COMPLETED = bodies.STEP_AFTER_SECOND
ENDED = bodies.run("completed")
RUN = "/threads/thread_1/runs/run_1"
STEPS = f"{RUN}/steps?limit=100&order=asc"


@pytest.fixture(autouse=True)
def no_waits() -> Generator[None]:
    """Let stamina not wait between two attempts."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@contextmanager
def served(
    steps: list[JSONObject] | None = None, run: JSONObject | None = None
) -> Generator[tuple[RestServer, httpx.Client]]:
    given = [COMPLETED] if steps is None else steps
    with RestServer(given, run or ENDED) as server, httpx.Client(verify=False) as client:  # noqa: S501 - never used, and dear
        yield server, client


def cut_run(data: bytes = CUT, *, strict: bool = False, limits: Limits | None = None) -> Accumulator:
    run = Accumulator(strict=strict, limits=limits or Limits())
    run.feed(data)
    run.end()
    return run


# A stream is not read behind `done`. httpx does not close its generators then, and trio says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["azure unknown tools", "parallel functions", "parallel functions, waiting"])
def test_a_run_that_the_server_cuts_is_resumed(shipped: Path, name: str, way: str) -> None:
    whole = read_whole(shipped, SHIPPED[name])
    for cut in range(0, whole.event_count + 1, 29):  # `python -m tests.resuming` takes all of them
        with cutting(whole, cut) as served:
            WAYS[way](served)


def test_it_asks_for_the_run_and_then_for_its_steps() -> None:
    with served() as (server, client):
        run = cut_run()
        assert [COMPLETED] == [step.to_dict() for step in resume(client, server.base_url, run)]
        assert [RUN, STEPS] == server.requests
        assert "completed" == run.outcome


def test_the_ids_that_are_given_name_the_run() -> None:
    with served() as (server, client):
        run = Accumulator()
        message = r"expected an accumulator that knows its thread and run: give thread_id= and run_id="
        with pytest.raises(ValueError, match=message):
            resume(client, server.base_url, run)
        with pytest.raises(ValueError, match=message):
            resume(client, server.base_url, run, run_id="run_1")
        assert [] == server.requests
        resume(client, server.base_url, run, thread_id="thread_1", run_id="run_1")
        assert ("completed", [RUN, STEPS]) == (run.outcome, server.requests)


def test_a_step_or_a_message_names_the_run_too() -> None:
    message = {"id": "msg_1", "object": "thread.message", "run_id": "run_1", "thread_id": "thread_1"}
    for event in (bodies.FIRST_EVENTS[1], bodies.event("thread.message.created", message)):
        with served() as (server, client):
            resume(client, server.base_url, cut_run(event))
            assert [RUN, STEPS] == server.requests


def test_it_asks_again_until_the_run_has_ended() -> None:
    clock = Clock()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    for status in ("queued", "in_progress", "cancelling", ["completed"], None):
        with served() as (server, client):
            server.faults += [partial(answer, value={**ENDED, "status": status})] * 3
            run = cut_run()
            resume(client, server.base_url, run, poll_interval=2, sleep=sleep, clock=clock)
            assert ("completed", [RUN] * 4) == (run.outcome, server.requests[:-1])
    assert [2.0] * 15 == waits
    for status in ("requires_action", "incomplete", "failed", "cancelled", "expired"):
        with served(run=bodies.run(status, bodies.ACTION)) as (server, client):
            run = cut_run()
            resume(client, server.base_url, run, sleep=sleep)
            assert status == run.outcome
    assert 15 == len(waits)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_it_waits_under_asyncio_and_trio(loop: str) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def read() -> None:
        with RestServer([COMPLETED], ENDED) as server:
            async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - as above
                server.faults += [partial(answer, value={**ENDED, "status": "queued"})]
                run = cut_run()
                await aresume(client, server.base_url, run, poll_interval=0.001)
                server.faults += [partial(answer, value={**ENDED, "status": "queued"})]
                await aresume(client, server.base_url, run, sleep=sleep)
                assert ("completed", 6) == (run.outcome, len(server.requests))

    if loop == "asyncio":
        asyncio.run(read())
    else:
        trio.run(read)
    assert [1.0] == waits


def test_a_run_that_does_not_end_in_time_stays_as_it_was() -> None:
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    with served(run=bodies.run("in_progress")) as (server, client):
        run = cut_run()
        before = run.to_bytes()
        with pytest.raises(TruncatedError) as caught:
            resume(client, server.base_url, run, poll_interval=3, total_timeout=10, clock=clock, sleep=sleep)
        message = "expected the run to end in the time that is given (total_timeout), its status is in_progress"
        assert (message, run) == (str(caught.value), caught.value.accumulator)
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert ([RUN] * 4, before) == (server.requests, run.to_bytes())
        server.faults += [partial(answer, value={"status": {}})]
        with pytest.raises(TruncatedError, match="its status is None"):
            resume(client, server.base_url, run, poll_interval=3, total_timeout=2, clock=clock, sleep=sleep)
        server.run = ENDED
        resume(client, server.base_url, run)
        assert "completed" == run.outcome


def test_a_wrong_answer_leaves_all_as_it_was() -> None:
    with served() as (server, client):
        run = cut_run()
        before = run.to_bytes()
        server.faults += [partial(answer, value=ENDED), partial(answer, value={"data": [7]})]
        with pytest.raises(ResponseError) as caught:
            resume(client, server.base_url, run)
        assert (run, before) == (caught.value.accumulator, run.to_bytes())
        server.faults += [partial(refuse, status="429 Too Many Requests", Retry_After="86400")]
        with pytest.raises(ResponseError) as caught:
            resume(client, server.base_url, run)
        assert (429, 86_400.0, before) == (caught.value.status, caught.value.retry_after, run.to_bytes())


def test_requests_are_sent_again() -> None:
    with served() as (server, client):
        fault = partial(refuse, status="503 Service Unavailable")
        server.faults += [fault, fault, partial(answer, value=ENDED), fault]
        resume(client, server.base_url, cut_run())
        assert [RUN, RUN, RUN, STEPS, STEPS] == server.requests


def test_all_pages_are_merged() -> None:
    steps = [{**COMPLETED, "id": f"step_{number}", "created_at": number} for number in range(105)]
    with served(steps) as (server, client):
        found = resume(client, server.base_url, cut_run(bodies.FIRST_EVENTS[0]))
        assert steps == [step.to_dict() for step in found]
        assert [RUN, STEPS, f"{STEPS}&after=step_99"] == server.requests


def test_more_steps_than_can_be_held_are_not_read_to_the_end() -> None:
    steps = [{**COMPLETED, "id": f"step_{number}"} for number in range(300)]
    with served(steps) as (server, client):
        run = cut_run(limits=Limits(max_total_size=100_000))
        with pytest.raises(LimitError) as caught:
            resume(client, server.base_url, run)
        assert ("max_total_size", 100_000, run, 3) == (
            caught.value.limit,
            caught.value.maximum,
            caught.value.accumulator,
            len(server.requests),
        )
        assert "truncated" == run.outcome
        assert 300 == len(resume(client, server.base_url, cut_run(limits=Limits(max_total_size=None))))


def test_the_handler_gets_each_update() -> None:
    updates: list[Update] = []
    with served() as (server, client):
        run = cut_run()
        resume(client, server.base_url, run, handler=updates.append)
        names = ["ToolCallDelta", "ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"]
        assert names == [type(update).__name__ for update in updates]
        assert BodyEnded(7, "completed", ()) == updates[-1]


def test_a_handler_that_raises_finds_all_merged() -> None:
    class Failed(Exception):  # noqa: N818 - of a program
        pass

    def fail(update: Update) -> None:
        if isinstance(update, RunStepDone):
            raise Failed

    with served() as (server, client):
        run = cut_run()
        with pytest.raises(Failed):
            resume(client, server.base_url, run, handler=fail)
        assert ("completed", [COMPLETED]) == (run.outcome, [step.to_dict() for step in run.run_steps()])


def test_a_handler_that_has_to_be_awaited_is_for_the_async_version() -> None:
    async def take(update: Update) -> None:
        """Do nothing."""

    with served() as (server, client), pytest.raises(TypeError, match=r"use aresume\(\)"):
        resume(client, server.base_url, cut_run(), handler=take)


def test_what_is_wrong_with_the_steps_is_as_in_a_stream() -> None:
    other = [bodies.step("completed", [bodies.call("{}", "9")])]
    with served(other) as (server, client):
        run = cut_run()
        assert other == [step.to_dict() for step in resume(client, server.base_url, run)]
        assert ["contradiction"] == [each.kind for each in run.problems]
        with pytest.raises(MergeError):
            resume(client, server.base_url, cut_run(strict=True))


def test_an_error_of_the_stream_is_raised_as_ever() -> None:
    with served() as (server, client):
        run = cut_run(CUT + bodies.event("error", {"message": "no", "code": "server_error"}))
        with pytest.raises(RunError, match="expected the run to end, got an error: server_error: no"):
            resume(client, server.base_url, run)
        assert [COMPLETED] == [step.to_dict() for step in run.run_steps()]


def test_another_run_than_was_asked_for_leaves_the_run_cut() -> None:
    with served(run={**ENDED, "id": "run_9"}) as (server, client), pytest.raises(TruncatedError):
        resume(client, server.base_url, cut_run())


def test_what_is_no_accumulator_is_refused() -> None:
    with served() as (server, client):
        stream = accumulate([CUT])
        with pytest.raises(TruncatedError) as caught:
            stream.final_run_steps()
        for wrong in (stream, caught.value):
            with pytest.raises(
                TypeError, match=f"expected an Accumulator, got {type(wrong).__name__}: give its .accum"
            ):
                resume(client, server.base_url, cast("Accumulator", wrong))
        with pytest.raises(TypeError, match=r"expected an Accumulator, got NoneType\Z"):
            resume(client, server.base_url, cast("Accumulator", None))
        with pytest.raises(ValueError, match="expected poll_interval to be more than 0 seconds"):
            resume(client, server.base_url, cut_run(), poll_interval=0)
        open_run = Accumulator()
        open_run.feed(CUT)
        with pytest.raises(RuntimeError, match="expected the last body to have ended"):
            resume(client, server.base_url, open_run)
        with pytest.raises(ValueError, match=r"expected an id for run_id, got '\.\.'"):
            resume(client, server.base_url, cut_run(CUT.replace(b"run_1", b"..")))
        assert [] == server.requests
