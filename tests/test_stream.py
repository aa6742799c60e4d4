"""The two loops: one event at a time, how a stream ends, what is raised and when, what closing does."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Self, cast

import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    LimitError,
    Limits,
    MergeError,
    Problem,
    ResponseError,
    RunError,
    RunStepDone,
    RunStream,
    ToolCallDelta,
    TruncatedError,
    UnknownEvent,
    aaccumulate,
    accumulate,
)
from accumulator._engine.resource import Resource
from accumulator._engine.templates import Template
from tests.bodies import (
    ARGUMENTS,
    DONE,
    FIRST,
    FIRST_EVENTS,
    SECOND,
    SECOND_EVENTS,
    STEP_AFTER_FIRST,
    STEP_AFTER_SECOND,
    event,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from accumulator import AsyncRunStream, ErrorObject, Update

PING = event("ping", {})
BAD = b"event: thread.run.step.delta\ndata: nonsense\n\n"
FAILED = event("error", {"error": {"message": "out of order", "type": "server_error", "param": None, "code": None}})


class Chunks:
    """An iterator of bytes that says what was done with it; an exception among the chunks is raised."""

    def __init__(self, *chunks: bytes | BaseException) -> None:
        self._chunks = iter(chunks)
        self.read = 0
        self.closed = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.read += 1
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def close(self) -> None:
        self.closed += 1


class AsyncChunks:
    """The twin, closed by a coroutine."""

    def __init__(self, *chunks: bytes | BaseException) -> None:
        self.sync = Chunks(*chunks)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self.sync:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.sync.close()


class Response:
    """A single body."""

    status_code = 200

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self.headers = {"Content-Type": "text/event-stream"}

    def iter_bytes(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._chunks.close()


# Each case drives either twin by the same four verbs, so that one test holds for both.


class Twin:
    """A stream of either kind, driven step by step."""

    def __init__(self, stream: RunStream | AsyncRunStream, runner: asyncio.Runner) -> None:
        self.stream = stream
        self.accumulator = stream.accumulator
        self._runner = runner

    def take(self, count: int | None = None) -> list[Update]:
        """Iterate on for so many updates, or to the end; what came before an exception is in its notes."""
        updates: list[Update] = []

        async def take_async(stream: AsyncRunStream) -> None:
            async for update in stream:
                updates.append(update)
                if len(updates) == count:
                    return

        if isinstance(self.stream, RunStream):
            for update in self.stream:
                updates.append(update)
                if len(updates) == count:
                    break
        else:
            self._runner.run(take_async(self.stream))
        return updates

    def until_done(self) -> Accumulator:
        stream = self.stream
        return stream.until_done() if isinstance(stream, RunStream) else self._runner.run(stream.until_done())

    def final_run_steps(self) -> list[dict[str, object]]:
        stream = self.stream
        steps = (
            stream.final_run_steps() if isinstance(stream, RunStream) else self._runner.run(stream.final_run_steps())
        )
        return [step.to_dict() for step in steps]

    def close(self) -> None:
        stream = self.stream
        if isinstance(stream, RunStream):
            stream.close()
        else:
            self._runner.run(stream.aclose())

    def within(self, body: Callable[[], None]) -> None:
        """Run something inside the stream's `with` block."""
        stream = self.stream

        async def enter(stream: AsyncRunStream) -> None:
            async with stream as entered:
                assert entered is stream
                body()

        if isinstance(stream, RunStream):
            with stream as entered:
                assert entered is stream
                body()
        else:
            self._runner.run(enter(stream))


class Make:
    """Makes a twin over chunks; `source` is what the last one reads."""

    def __init__(self, *, plain: bool, runner: asyncio.Runner) -> None:
        self._plain = plain
        self._runner = runner
        self.source = Chunks()

    def __call__(self, *chunks: bytes | BaseException, into: Accumulator | None = None, strict: bool = False) -> Twin:
        if self._plain:
            self.source = Chunks(*chunks)
            return Twin(accumulate(self.source, into=into, strict=strict), self._runner)
        source = AsyncChunks(*chunks)
        self.source = source.sync
        return Twin(aaccumulate(source, into=into, strict=strict), self._runner)


@pytest.fixture(params=[True, False], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with asyncio.Runner() as runner:
        yield Make(plain=request.param, runner=runner)


def numbers(updates: list[Update]) -> list[tuple[str, int]]:
    return [(type(update).__name__, update.event_number) for update in updates]


def test_every_update_comes_in_order(make: Make) -> None:
    updates = make(FIRST).take()
    assert [
        ("RunUpdated", 1),
        ("RunStepCreated", 2),
        ("ToolCallCreated", 3),
        ("ToolCallDelta", 3),
        ("ToolCallDelta", 4),
        ("ToolCallDelta", 5),
        ("RequiresAction", 6),
        ("BodyEnded", 7),
    ] == numbers(updates)
    assert BodyEnded(7, "requires_action", ("step_1",)) == updates[-1]


def test_the_accumulator_is_at_the_event_in_hand() -> None:
    stream = accumulate([FIRST])
    seen: list[object] = []
    for update in stream:
        if isinstance(update, ToolCallDelta):
            call = stream.accumulator.tool_call("step_1", 0)
            assert call is not None
            seen.append(call.to_dict()["function"])
    named = {"name": "get_weather", "output": None}
    expected = [{**named, "arguments": ARGUMENTS[:length]} for length in (0, 12, len(ARGUMENTS))]
    assert expected == seen


def test_nothing_is_read_before_the_first_step(make: Make) -> None:
    twin = make(FIRST)
    assert (0, None) == (make.source.read, twin.accumulator.outcome)
    twin.take(1)
    assert 1 == make.source.read


def test_final_run_steps_are_those_of_the_stream(make: Make) -> None:
    assert [STEP_AFTER_FIRST] == make(FIRST).final_run_steps()


def test_one_run_over_two_bodies(make: Make) -> None:
    run = Accumulator()
    assert make(FIRST, into=run).until_done() is run
    assert "requires_action" == run.outcome
    assert [STEP_AFTER_SECOND] == make(SECOND, into=run).final_run_steps()
    assert "completed" == run.outcome


def test_a_source_of_several_bodies_is_read_to_its_end(make: Make) -> None:
    twin = make(FIRST, SECOND)
    ended = [update for update in twin.take() if isinstance(update, BodyEnded)]
    assert [BodyEnded(7, "requires_action", ("step_1",)), BodyEnded(10, "completed", ())] == ended
    assert [STEP_AFTER_SECOND] == twin.final_run_steps()


def test_a_response_is_not_read_after_done() -> None:
    chunks = Chunks(FIRST + PING, PING)
    updates = list(accumulate(Response(chunks)))
    assert (1, BodyEnded(7, "requires_action", ("step_1",))) == (chunks.read, updates[-1])


def test_a_loop_and_a_drain_share_the_stream(make: Make) -> None:
    twin = make(FIRST)
    first = twin.take(3)
    rest = twin.take(1)
    assert [STEP_AFTER_FIRST] == twin.final_run_steps()
    assert list(accumulate([FIRST]))[:4] == first + rest
    assert [] == twin.take()


def test_a_drain_builds_no_update_that_nobody_reads(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def noted(owner: type, method: str) -> None:
        build = getattr(owner, method)

        def build_noted(*args: object, **kwargs: object) -> object:
            built.append(owner.__name__)
            return build(*args, **kwargs)

        monkeypatch.setattr(owner, method, build_noted)

    noted(Template, "_make_sample")
    noted(Resource, "build_updates")
    make(*FIRST_EVENTS).take()
    assert {"Template", "Resource"} == set(built)
    built.clear()
    assert [STEP_AFTER_FIRST] == make(*FIRST_EVENTS).final_run_steps()
    assert [] == built


def test_an_empty_source_is_one_truncated_body(make: Make) -> None:
    twin = make()
    assert [BodyEnded(0, "truncated", ())] == twin.take()
    assert [] == twin.take()
    with pytest.raises(TruncatedError) as caught:
        twin.final_run_steps()
    assert caught.value.accumulator is twin.accumulator


def test_a_cut_stream_is_readable_but_not_final(make: Make) -> None:
    twin = make(*FIRST_EVENTS[:5])
    assert twin.until_done() is twin.accumulator
    assert "truncated" == twin.accumulator.outcome
    with pytest.raises(TruncatedError) as caught:
        twin.final_run_steps()
    assert caught.value.accumulator is not None
    assert [STEP_AFTER_FIRST] == [step.to_dict() for step in caught.value.accumulator.run_steps()]


def test_half_a_block_of_a_cut_stream_is_not_glued_to_the_next(make: Make) -> None:
    run = Accumulator()
    make(FIRST_EVENTS[0] + FIRST_EVENTS[1][:40], into=run).until_done()
    assert [STEP_AFTER_SECOND] == make(SECOND, into=run).final_run_steps()


def test_an_error_event_is_a_run_error(make: Make) -> None:
    twin = make(FIRST_EVENTS[0], FAILED)
    assert twin.until_done() is twin.accumulator
    with pytest.raises(RunError) as caught:
        twin.final_run_steps()
    assert caught.value.error is not None
    assert ("out of order", twin.accumulator) == (caught.value.error.message, caught.value.accumulator)


def test_a_source_that_raises_is_a_truncated_body(make: Make) -> None:
    broken = OSError("gone")
    twin = make(FIRST_EVENTS[0] + FIRST_EVENTS[1][:20], broken)
    assert ["RunUpdated", "Problem", "BodyEnded"] == [type(update).__name__ for update in twin.take(3)]
    with pytest.raises(TruncatedError, match="its source raised OSError: gone") as caught:
        twin.take()
    assert (broken, twin.accumulator) == (caught.value.__cause__, caught.value.accumulator)
    assert ([], "truncated") == (twin.take(), twin.accumulator.outcome)
    for drain in (twin.until_done, twin.final_run_steps):
        with pytest.raises(TruncatedError) as again:
            drain()
        assert again.value is caught.value


def test_a_source_that_breaks_behind_a_final_status_has_lost_nothing(make: Make) -> None:
    twin = make(FIRST.removesuffix(DONE), OSError("gone"))
    assert BodyEnded(6, "requires_action", ("step_1",)) == twin.take()[-1]
    assert "requires_action" == twin.until_done().outcome
    assert 1 == len(twin.final_run_steps())


def test_an_error_event_counts_also_where_the_source_breaks_behind_it(make: Make) -> None:
    said = "bad\x1b[31m\n" + "x" * 1_000
    twin = make(b"event: error\ndata: " + json.dumps({"message": said}).encode() + b"\n\n", OSError("gone"))
    # The text ended at the cut before; it says now that it is cut.
    with pytest.raises(RunError, match=r"got an error: bad\\u001b\[31m\\u000ax+\.\.\.$") as caught:
        twin.final_run_steps()
    assert len(str(caught.value)) < 600
    assert (said, "error") == (cast("ErrorObject", caught.value.error).message, twin.accumulator.outcome)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"error": {"code": "server_error", "message": "Sorry."}}, "server_error: Sorry."),
        ({"error": "RateLimited", "message": "Slow down.", "code": 429}, "429: Slow down."),
        ({"message": "Sorry.", "code": None}, "Sorry."),
        ({"message": "m" * 500}, "m" * 500),
        ({"code": "c" * 300, "message": "m" * 199}, "c" * 300 + ": " + "m" * 198 + "..."),
    ],
)
def test_the_text_of_a_run_error_has_code_and_message(make: Make, error: object, told: str) -> None:
    with pytest.raises(RunError) as caught:
        make(b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n").final_run_steps()
    assert f"expected the run to end, got an error: {told}" == str(caught.value)


def test_a_type_error_of_the_source_is_a_broken_source_too(make: Make) -> None:
    with pytest.raises(TruncatedError) as caught:
        make(TypeError("of the source")).until_done()
    assert isinstance(caught.value.__cause__, TypeError)


class StopAllError(BaseException):
    """What is no `Exception`: as cancellation, Ctrl-C."""


def test_what_is_no_exception_passes_unchanged(make: Make) -> None:
    twin = make(FIRST_EVENTS[0], StopAllError(), *FIRST_EVENTS[1:], DONE)
    with pytest.raises(StopAllError):
        twin.take()
    assert twin.accumulator.outcome is None
    assert [STEP_AFTER_FIRST] == twin.final_run_steps()


class NoTextError(OSError):
    """An error of a source whose text cannot be read, once."""

    def __init__(self, instead: BaseException) -> None:
        super().__init__()
        self._instead: BaseException | None = instead

    def __str__(self) -> str:
        instead, self._instead = self._instead, None
        if instead is not None:
            raise instead
        return "gone"


@pytest.mark.parametrize("instead", [StopAllError(), ValueError("no text")], ids=type)
def test_an_exception_while_the_end_of_a_read_is_noted_is_told(make: Make, instead: BaseException) -> None:
    twin = make(FIRST_EVENTS[0], NoTextError(instead))
    with pytest.raises(type(instead)):
        twin.take()
    (problem,) = (update for update in twin.take() if isinstance(update, Problem))
    assert ("interrupted", "truncated") == (problem.kind, twin.accumulator.outcome)


class Futures:
    """An async iterator whose method is no coroutine: it raises when it is called."""

    def __init__(self, end: Exception) -> None:
        self._chunks, self._end = iter(FIRST_EVENTS[:2]), end

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> asyncio.Future[bytes]:
        for chunk in self._chunks:
            future = asyncio.get_running_loop().create_future()
            future.set_result(chunk)
            return future
        raise self._end


@pytest.mark.parametrize("end", [StopAsyncIteration(), OSError("gone")], ids=type)
def test_a_source_may_raise_before_it_is_awaited(end: Exception) -> None:
    async def main() -> None:
        stream, drained = aaccumulate(Futures(end)), aaccumulate(Futures(end))
        updates: list[Update] = []
        with pytest.raises(TruncatedError) if isinstance(end, OSError) else nullcontext():
            async for update in stream:
                updates += [update]
        with pytest.raises(TruncatedError) if isinstance(end, OSError) else nullcontext():
            await drained.until_done()
        assert ["RunUpdated", "RunStepCreated", "BodyEnded"] == [type(update).__name__ for update in updates]
        assert ["truncated"] * 2 == [each.accumulator.outcome for each in (stream, drained)]
        await asyncio.wait_for(stream.aclose(), 60)

    asyncio.run(main())


def test_a_stream_whose_reader_was_cancelled_is_freed_at_once() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield FIRST_EVENTS[0]
        await asyncio.Event().wait()

    async def read() -> weakref.ref[object]:
        stream = aaccumulate(never())
        try:
            async with asyncio.timeout(0):
                async for _ in stream:
                    pass
        except TimeoutError:
            pass
        return weakref.ref(stream)

    gc.disable()
    try:
        assert asyncio.run(read())() is None
    finally:
        gc.enable()


def test_cancellation_passes_unchanged() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield FIRST_EVENTS[0]
        await asyncio.Event().wait()

    async def main() -> None:
        stream = aaccumulate(never())
        await anext(stream)
        task = asyncio.ensure_future(stream.until_done())
        await asyncio.tasks.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream.accumulator.outcome is None
        await stream.aclose()
        assert "truncated" == stream.accumulator.outcome

    asyncio.run(main())


def test_strict_raises_and_the_loop_goes_on(make: Make) -> None:
    twin = make(FIRST_EVENTS[0] + BAD + b"".join(FIRST_EVENTS[1:]) + DONE, strict=True)
    assert ["RunUpdated"] == [type(update).__name__ for update in twin.take(1)]
    with pytest.raises(MergeError) as caught:
        twin.take()
    assert [caught.value.problem] == caught.value.updates
    assert ("undecodable", 2) == (caught.value.problem.kind, caught.value.problem.event_number)
    assert caught.value.accumulator is twin.accumulator
    assert [STEP_AFTER_FIRST] == twin.final_run_steps()


def test_strict_raises_for_a_torn_end_once_and_then_the_body_ends(make: Make) -> None:
    twin = make(FIRST_EVENTS[0] + b"event: thread.run.step", strict=True)
    with pytest.raises(MergeError) as caught:
        twin.until_done()
    assert ["Problem"] == [type(update).__name__ for update in caught.value.updates]
    assert ["BodyEnded"] == [type(update).__name__ for update in twin.take()]
    assert ([], "truncated") == (twin.take(), twin.accumulator.outcome)


def test_a_limit_raises_and_the_loop_goes_on() -> None:
    large = event("ping", "x" * 2_000)
    stream = accumulate([large, FIRST], limits=Limits(max_event_size=1_500))
    with pytest.raises(LimitError) as caught:
        next(stream)
    assert ("max_event_size", 1_500, stream.accumulator) == (
        caught.value.limit,
        caught.value.maximum,
        caught.value.accumulator,
    )
    assert [STEP_AFTER_FIRST] == [step.to_dict() for step in stream.final_run_steps()]


def test_strict_and_limits_are_those_of_the_accumulator(make: Make) -> None:
    run = Accumulator()
    with pytest.raises(TypeError, match="belong to the accumulator"):
        make(FIRST, into=run, strict=True)
    with pytest.raises(TypeError, match="belong to the accumulator"):
        accumulate([FIRST], into=run, limits=Limits())


def test_close_ends_the_iteration_and_an_open_body(make: Make) -> None:
    twin = make(*FIRST_EVENTS, DONE)
    twin.take(3)
    twin.close()
    twin.close()
    assert ([], 1, "truncated") == (twin.take(), make.source.closed, twin.accumulator.outcome)
    with pytest.raises(TruncatedError):
        twin.final_run_steps()


def test_a_stream_that_was_closed_unread_has_no_final_steps(make: Make) -> None:
    run = Accumulator()
    make(FIRST, into=run).until_done()
    twin = make(SECOND, into=run)
    twin.close()
    assert (0, 1, "requires_action") == (make.source.read, make.source.closed, run.outcome)
    with pytest.raises(TruncatedError):
        twin.final_run_steps()


def test_a_refused_response_that_was_closed_meanwhile_stays_closed() -> None:
    class Refused:
        status_code = 503
        headers: Mapping[str, str] = {}

        def __init__(self) -> None:
            self.waits = asyncio.Event()
            self.closed = 0

        async def aiter_bytes(self) -> AsyncIterator[bytes]:
            with suppress(asyncio.CancelledError):  # closing cancels the read now; this read gives its bytes anyway
                await self.waits.wait()
            yield b"busy"

        async def aclose(self) -> None:
            self.closed += 1
            self.waits.set()

    async def main() -> None:
        response = Refused()
        stream = aaccumulate(response)
        task = asyncio.ensure_future(stream.until_done())
        await asyncio.tasks.sleep(0)
        await stream.aclose()
        with pytest.raises(ResponseError):
            await task
        await stream.aclose()
        assert 1 == response.closed

    asyncio.run(main())


def test_closing_after_the_end_changes_nothing(make: Make) -> None:
    twin = make(FIRST)
    twin.until_done()
    twin.close()
    assert (1, [STEP_AFTER_FIRST]) == (make.source.closed, twin.final_run_steps())


def test_closing_between_two_bodies_changes_nothing(make: Make) -> None:
    twin = make(FIRST, SECOND)
    twin.take(8)
    twin.close()
    assert ("requires_action", [STEP_AFTER_FIRST]) == (twin.accumulator.outcome, twin.final_run_steps())


def test_a_broken_source_that_is_closed_stays_broken(make: Make) -> None:
    twin = make(OSError("gone"))
    assert 1 == len(twin.take(1))
    twin.close()
    assert [] == twin.take()
    with pytest.raises(TruncatedError):
        twin.until_done()


def test_with_closes_on_any_exit(make: Make) -> None:
    twin = make(FIRST)
    twin.within(lambda: None)
    assert 1 == make.source.closed

    def fail() -> None:
        raise LookupError("of the block")

    twin = make(FIRST)
    with pytest.raises(LookupError):
        twin.within(fail)
    assert 1 == make.source.closed


def test_a_break_closes_nothing(make: Make) -> None:
    twin = make(*FIRST_EVENTS, DONE)
    twin.take(1)
    assert 0 == make.source.closed
    assert 7 == len(twin.take())


def test_a_close_that_fails_does_not_hide_what_happened_before(make: Make) -> None:
    def fail() -> None:
        raise LookupError("of the block")

    def fail_to_close() -> None:
        raise OSError("of the close")

    twin = make(FIRST)
    make.source.close = fail_to_close  # type: ignore[method-assign]
    with pytest.raises(LookupError) as caught:
        twin.within(fail)
    assert ["closing the source failed too: OSError('of the close')"] == caught.value.__notes__
    twin = make(FIRST)
    make.source.close = fail_to_close  # type: ignore[method-assign]
    with pytest.raises(OSError, match="of the close"):
        twin.within(lambda: None)


def test_a_second_stream_inside_the_first_one_s_loop() -> None:
    run = Accumulator()
    outer = accumulate([*FIRST_EVENTS, PING, DONE], into=run)
    ended: list[Update] = []
    for update in outer:
        if type(update).__name__ == "RequiresAction":
            ended += (inner for inner in accumulate([SECOND], into=run) if isinstance(inner, BodyEnded | RunStepDone))
        elif isinstance(update, BodyEnded | UnknownEvent):
            ended.append(update)
    assert [("RunStepDone", 7), ("BodyEnded", 9), ("UnknownEvent", 10), ("BodyEnded", 11)] == numbers(ended)
    assert ("completed", [STEP_AFTER_SECOND]) == (run.outcome, [step.to_dict() for step in outer.final_run_steps()])


def test_any_cut_gives_the_same_updates(make: Make) -> None:
    body = FIRST + SECOND
    expected = make(body).take()
    assert expected == make(*(body[at : at + 1] for at in range(len(body)))).take()
    assert expected == make(*(body[at : at + 37] for at in range(0, len(body), 37))).take()


def test_a_leftover_block_is_applied_at_the_end(make: Make) -> None:
    twin = make(b"".join(SECOND_EVENTS).removesuffix(b"\n\n"))
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"] == [
        type(update).__name__ for update in twin.take()
    ]
    assert () == twin.accumulator.problems
    assert [] == [update for update in twin.take() if isinstance(update, Problem)]
