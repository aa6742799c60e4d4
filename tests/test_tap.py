"""The tap: the bytes pass through untouched, whatever happens to the fold, and the fold is that of `accumulate`."""

from __future__ import annotations

import asyncio
import io
import ssl
from typing import TYPE_CHECKING, Self, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import (
    Accumulator,
    BodyEnded,
    Handler,
    LimitError,
    Limits,
    MergeError,
    ResponseError,
    Tap,
    Update,
    accumulate,
    atap,
    tap,
)
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_FIRST, STEP_AFTER_SECOND, event
from tests.loopback import EVENT_STREAM, PATIENCE, Loopback
from tests.strategies import make_run, tapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from accumulator import AsyncTap, ToolCallDelta
    from tests.loopback import Exchange
    from tests.strategies import Run

    Callback = Callable[[Update], object]

# Never used, and dear to make: the clients would make one each.
TLS = ssl.create_default_context()
PING = event("ping", {})
BAD = b"event: thread.run.step.delta\ndata: nonsense\n\n"
ERROR_PAGE = b'{"error": {"message": "Too many requests."}}'


class Chunks:
    """An iterator of chunks that says what was done with it; an exception among the chunks is raised."""

    def __init__(self, *chunks: object) -> None:
        self._chunks = iter(chunks)
        self.read = self.closed = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.read += 1
        if isinstance(chunk, BaseException):
            raise chunk
        return cast("bytes", chunk)

    def close(self) -> None:
        self.closed += 1


class AsyncChunks:
    """The twin, closed by a coroutine."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._chunks.close()


class Response:
    """A single body."""

    def __init__(self, chunks: Chunks, status: int = 200, content_type: str = "text/event-stream") -> None:
        self._chunks = chunks
        self.status_code = status
        self.headers = {"Content-Type": content_type, "x-request-id": "req_1"}
        self.close = chunks.close

    def iter_bytes(self) -> Iterator[bytes]:
        return self._chunks


class AsyncResponse(Response):
    """A single body that is read with `await`; the method has the same name, as in some SDKs."""

    def iter_bytes(self) -> Iterator[bytes]:
        return cast("Iterator[bytes]", AsyncChunks(self._chunks))


class Twin:
    """A tap of either kind, and a handler of a plain or a coroutine function, driven by the same verbs."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self.source = Chunks()
        self.tap: Tap | AsyncTap

    def open(self, *chunks: object, handler: Callback | None = None, into: Accumulator | None = None) -> Accumulator:
        """Tap an iterable of these chunks."""
        self.source = Chunks(*chunks)
        return self._open(self.source if self._mode == "sync" else AsyncChunks(self.source), handler, into)

    def open_response(
        self,
        *chunks: object,
        status: int = 200,
        content_type: str = "text/event-stream",
        handler: Callback | None = None,
    ) -> Accumulator:
        """Tap a response of these chunks."""
        self.source = Chunks(*chunks)
        response = Response if self._mode == "sync" else AsyncResponse
        return self._open(response(self.source, status, content_type), handler, None)

    def _open(self, source: object, handler: Callback | None, into: Accumulator | None) -> Accumulator:
        if self._mode == "sync":
            self.tap = tap(source, handler=handler, into=into)
        else:
            hears = awaited(handler) if handler is not None and self._mode == "async hooks" else handler
            self.tap = atap(source, handler=hears, into=into)
        return self.tap.accumulator

    def take(
        self, passed: list[object] | None = None, *, count: int | None = None, within: bool = False
    ) -> list[object]:
        """Consume on, so many chunks or to the end, in a `with` block or not; collect in a list that is given."""
        chunks: list[object] = [] if passed is None else passed

        async def asynchronous(tap: AsyncTap) -> None:
            async for chunk in tap:
                chunks.append(chunk)
                if len(chunks) == count:
                    return

        async def entered(tap: AsyncTap) -> None:
            async with tap:
                await asynchronous(tap)

        def plain(tap: Tap) -> None:
            for chunk in tap:
                chunks.append(chunk)
                if len(chunks) == count:
                    return

        made = self.tap
        if not isinstance(made, Tap):
            asyncio.run(entered(made) if within else asynchronous(made))
        elif within:
            with made:
                plain(made)
        else:
            plain(made)
        return chunks

    def close(self) -> None:
        made = self.tap
        if isinstance(made, Tap):
            made.close()
        else:
            asyncio.run(made.aclose())


def awaited(handler: Callback) -> Callback:
    """Turn a handler into one that has to be awaited: what it does, it does after the event loop had a turn."""

    async def hear(update: Update) -> None:
        await asyncio.tasks.sleep(0)
        handler(update)

    return hear


@pytest.fixture(params=["sync", "async", "async hooks"])
def twin(request: pytest.FixtureRequest) -> Twin:
    return Twin(request.param)


def names(updates: list[Update]) -> list[str]:
    return [type(update).__name__ for update in updates]


# ---- What passes.


def test_the_chunks_are_the_very_same_objects(twin: Twin) -> None:
    chunks = [FIRST[:100], b"", bytearray(FIRST[100:300]), memoryview(FIRST)[300:], SECOND, b": a rest"]
    run = twin.open(*chunks)
    passed = twin.take()
    assert [id(chunk) for chunk in chunks] == [id(chunk) for chunk in passed]
    assert [STEP_AFTER_SECOND] == [each.to_dict() for each in run.run_steps()]
    assert ("completed", None, 0) == (run.outcome, twin.tap.error, twin.source.closed)


def test_a_recording_passes_unchanged_and_is_folded_as_ever(twin: Twin, shipped: Path) -> None:
    for path in sorted(shipped.glob("*.sse")):
        data, heard = path.read_bytes(), list[Update]()
        chunks = [data[at : at + 1000] for at in range(0, len(data), 1000)]
        twin.open(*chunks, handler=heard.append)
        assert (chunks, None) == (twin.take(), twin.tap.error)
        assert list(accumulate([data])) == heard


@given(data=st.data())
def test_any_cut_passes_unchanged_and_is_folded_as_ever(data: st.DataObject) -> None:
    body = FIRST + BAD + SECOND[:-30]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    chunks = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    expected = list(accumulate([body]))
    for mode in ("sync", "async hooks"):
        twin, heard = Twin(mode), list[Update]()
        twin.open(*chunks, handler=heard.append)
        assert chunks == twin.take()
        assert expected == heard


@given(tapes.map(make_run))
def test_generated_runs_pass_unchanged_and_are_folded_as_ever(made: Run) -> None:
    chunks: list[object] = [made.data[at : at + 100] for at in range(0, len(made.data), 100)]
    expected = list(accumulate([made.data]))
    for mode in ("sync", "async"):
        twin, heard = Twin(mode), list[Update]()
        twin.open(*chunks, handler=heard.append)
        assert (chunks, None) == (twin.take(), twin.tap.error)
        assert expected == heard


def test_nothing_is_read_before_the_first_step_and_one_chunk_at_a_time(twin: Twin) -> None:
    twin.open(*FIRST_EVENTS, DONE)
    assert 0 == twin.source.read
    assert (FIRST_EVENTS[:2], 2) == (twin.take(count=2), twin.source.read)


def test_what_a_chunk_brings_is_heard_before_it_is_passed_on(twin: Twin) -> None:
    log: list[object] = []
    twin.open(*FIRST_EVENTS[:2], handler=lambda update: log.append(type(update).__name__))
    twin.take(log)
    assert ["RunUpdated", FIRST_EVENTS[0], "RunStepCreated", FIRST_EVENTS[1], "BodyEnded"] == log


def test_it_folds_into_what_is_given(twin: Twin) -> None:
    run = Accumulator()
    for body in (FIRST, SECOND):
        assert twin.open(body, into=run) is run
        twin.take()
    assert ("completed", [STEP_AFTER_SECOND]) == (run.outcome, [each.to_dict() for each in run.run_steps()])


def test_what_follows_done_in_a_response_passes_and_is_not_folded(twin: Twin) -> None:
    heard: list[Update] = []
    twin.open_response(FIRST + PING, PING, SECOND, handler=heard.append)
    assert [FIRST + PING, PING, SECOND] == twin.take()
    assert (list(accumulate([FIRST])), None) == (heard, twin.tap.error)


def test_a_file_is_tapped() -> None:
    with io.BytesIO(FIRST) as file:
        tapped = tap(file)
        assert (FIRST, [STEP_AFTER_FIRST]) == (
            b"".join(tapped),
            [each.to_dict() for each in tapped.accumulator.run_steps()],
        )


def test_the_end_stays_the_end(twin: Twin) -> None:
    heard: list[Update] = []
    twin.open(FIRST, handler=heard.append)
    assert ([FIRST], [], []) == (twin.take(), twin.take(), twin.take())
    assert 1 == names(heard).count("BodyEnded")


def test_an_empty_source_is_one_truncated_body(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(handler=heard.append)
    assert ([], [BodyEnded(0, "truncated", ())], "truncated") == (twin.take(), heard, run.outcome)


def test_what_no_byte_can_be_read_from_is_refused_when_it_is_made() -> None:
    for make, given_, said in [
        (tap, "run.sse", "expected a response"),
        (tap, AsyncChunks(Chunks()), "async source"),
        (atap, Chunks(), "without await"),
    ]:
        with pytest.raises(TypeError, match=said):
            make(given_)


def test_it_folds_into_nothing_but_an_accumulator() -> None:
    with pytest.raises(TypeError, match="expected an Accumulator for into=, got int"):
        tap([FIRST], into=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected an Accumulator for into=, got int"):
        atap(AsyncChunks(Chunks()), into=7)  # type: ignore[arg-type]


class Framed:
    """An event, framed already."""

    event = "done"
    data = "[DONE]"


@pytest.mark.parametrize("item", [Framed(), "text", None])
def test_what_is_no_chunk_is_a_type_error_after_the_body_ended(twin: Twin, item: object) -> None:
    heard: list[Update] = []
    run = twin.open(FIRST_EVENTS[0], item, FIRST, handler=heard.append)
    twin.take(count=1)
    with pytest.raises(TypeError, match=f"passes chunks of bytes on, got {type(item).__name__}: "):
        twin.take()
    assert (BodyEnded(1, "truncated", ()), "truncated", None) == (heard[-1], run.outcome, twin.tap.error)


# ---- When the source fails, or the consumer leaves.


def test_what_the_source_raises_is_the_consumer_s(twin: Twin) -> None:
    heard, passed, broken = list[Update](), list[object](), OSError("gone")
    run = twin.open(FIRST_EVENTS[0], broken, handler=heard.append)
    with pytest.raises(OSError, match=r"^gone$") as caught:
        twin.take(passed)
    assert caught.value is broken
    assert ([FIRST_EVENTS[0]], None, "truncated") == (passed, twin.tap.error, run.outcome)
    assert BodyEnded(1, "truncated", ()) == heard[-1]
    assert [] == twin.take()


def test_what_a_source_gives_after_it_raised_is_passed_on(twin: Twin) -> None:
    heard: list[Update] = []
    twin.open(OSError("once"), FIRST, handler=heard.append)
    with pytest.raises(OSError, match="once"):
        twin.take()
    assert ([FIRST], ["BodyEnded"]) == (twin.take(), names(heard))


class StopAllError(BaseException):
    """What is no `Exception`: as cancellation, Ctrl-C."""


def test_what_is_no_exception_passes_and_the_tap_goes_on(twin: Twin) -> None:
    run = twin.open(FIRST_EVENTS[0], StopAllError(), *FIRST_EVENTS[1:], DONE)
    passed: list[object] = []
    with pytest.raises(StopAllError):
        twin.take(passed)
    assert run.outcome is None
    assert [*FIRST_EVENTS, DONE] == twin.take(passed)
    assert "requires_action" == run.outcome


def test_a_consumer_that_leaves_early_gives_the_body_up(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(*FIRST_EVENTS, DONE, handler=heard.append)
    assert FIRST_EVENTS[:3] == twin.take(count=3, within=True)
    assert ("truncated", 3, 1) == (run.outcome, twin.source.read, twin.source.closed)
    assert "BodyEnded" not in names(heard)
    twin.close()
    assert ([], 1) == (twin.take(), twin.source.closed)


def test_a_break_closes_nothing(twin: Twin) -> None:
    run = twin.open(*FIRST_EVENTS, DONE)
    twin.take(count=1)
    assert (0, None) == (twin.source.closed, run.outcome)
    assert [*FIRST_EVENTS[1:], DONE] == twin.take()


def test_closing_after_the_end_changes_nothing(twin: Twin) -> None:
    run = twin.open(FIRST)
    twin.take(within=True)
    assert ("requires_action", 1) == (run.outcome, twin.source.closed)


# ---- When the fold fails.


@pytest.mark.parametrize("at", range(8))
def test_a_hook_that_raises_stops_nothing_but_the_fold(twin: Twin, at: int) -> None:
    error, heard = LookupError("of the hook"), list[Update]()

    def hear(update: Update) -> None:
        heard.append(update)
        if len(heard) == at + 1:
            raise error

    run = twin.open(*FIRST_EVENTS, DONE, SECOND, handler=hear)
    assert [*FIRST_EVENTS, DONE, SECOND] == twin.take()
    assert twin.tap.error is error
    updates = list(accumulate([FIRST]))
    assert updates[: at + 1] == heard[: at + 1]
    number = updates[at].event_number
    outcome = "truncated" if at < 6 else "requires_action"  # which was said by then
    ended = [BodyEnded(number, outcome, ("step_1",) if at else ())] if at < 7 else []
    assert (ended, outcome) == (heard[at + 1 :], run.outcome)


def test_hearing_of_the_end_may_fail_too(twin: Twin) -> None:
    def hear(update: Update) -> None:
        raise LookupError(type(update).__name__)

    twin.open(FIRST, handler=hear)
    assert [FIRST] == twin.take()
    error = twin.tap.error
    assert "LookupError('RunUpdated')" == repr(error)
    assert ["the handler failed at the end of the body too: LookupError('BodyEnded')"] == getattr(
        error, "__notes__", None
    )


def test_a_hook_that_fails_over_a_broken_source_hides_nothing(twin: Twin) -> None:
    def hear(update: Update) -> None:
        raise LookupError(type(update).__name__)

    twin.open(OSError("gone"), handler=hear)
    with pytest.raises(OSError, match="gone"):
        twin.take()
    assert "LookupError('BodyEnded')" == repr(twin.tap.error)


def test_a_strict_accumulator_stops_at_its_first_problem(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(FIRST_EVENTS[0] + BAD + FIRST_EVENTS[1], FIRST, into=Accumulator(strict=True), handler=heard.append)
    assert [FIRST_EVENTS[0] + BAD + FIRST_EVENTS[1], FIRST] == twin.take()
    error = twin.tap.error
    assert isinstance(error, MergeError)
    assert (run, ["Problem"]) == (error.accumulator, names(list(error.updates)))
    assert (["RunUpdated", "BodyEnded"], "truncated", []) == (names(heard), run.outcome, run.run_steps())


def test_without_a_handler_the_fold_stops_the_same_way(twin: Twin) -> None:
    run = twin.open(FIRST_EVENTS[0] + BAD, FIRST, into=Accumulator(strict=True))
    assert [FIRST_EVENTS[0] + BAD, FIRST] == twin.take()
    assert (MergeError, "truncated", []) == (type(twin.tap.error), run.outcome, run.run_steps())


def test_a_limit_stops_the_fold(twin: Twin) -> None:
    run = twin.open(event("ping", "x" * 2_000), FIRST, into=Accumulator(limits=Limits(max_event_size=1_500)))
    assert [event("ping", "x" * 2_000), FIRST] == twin.take()
    assert (LimitError, "truncated", []) == (type(twin.tap.error), run.outcome, run.run_steps())


def test_after_a_failure_nothing_is_kept_of_what_is_passed_on(twin: Twin) -> None:
    twin.open(FIRST_EVENTS[0] + BAD, *[FIRST] * 100, into=Accumulator(strict=True))
    assert 101 == len(twin.take())
    feed = twin.tap._tapping._reading._feed
    assert (0, None) == (len(feed.pending), feed.parser.rest())


def test_a_torn_end_is_a_problem_of_a_strict_accumulator(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(FIRST_EVENTS[0], b"event: thread.run.st", into=Accumulator(strict=True), handler=heard.append)
    assert [FIRST_EVENTS[0], b"event: thread.run.st"] == twin.take()
    error = twin.tap.error
    assert isinstance(error, MergeError)
    assert (["Problem"], "truncated") == (names(list(error.updates)), run.outcome)
    assert ["RunUpdated", "BodyEnded"] == names(heard)


def test_a_chunk_that_cannot_be_read_is_passed_on_all_the_same(twin: Twin) -> None:
    dead = memoryview(b"gone")
    dead.release()
    run = twin.open(FIRST_EVENTS[0], dead, FIRST)
    passed = twin.take()
    assert (3, True) == (len(passed), passed[1] is dead)
    assert (ValueError, "truncated", []) == (type(twin.tap.error), run.outcome, run.run_steps())


@pytest.mark.parametrize(
    ("status", "content_type", "chunks", "body"),
    [
        (429, "application/json", [ERROR_PAGE, b"more"], ERROR_PAGE.decode()),
        (200, "text/html", [b"<p>"], "<p>"),
        (503, "text/event-stream", [FIRST], FIRST[:2048].decode("utf-8", "replace")),
        (500, "text/html", [], ""),
    ],
)
def test_an_answer_that_is_no_event_stream_passes_unfolded(
    twin: Twin, status: int, content_type: str, chunks: list[bytes], body: str
) -> None:
    heard: list[Update] = []
    run = twin.open_response(*chunks, status=status, content_type=content_type, handler=heard.append)
    assert chunks == twin.take()
    error = twin.tap.error
    assert isinstance(error, ResponseError)
    assert (status, content_type, "req_1", body) == (error.status, error.content_type, error.request_id, error.body)
    assert (run, None, [], []) == (error.accumulator, run.outcome, heard, run.run_steps())


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("size", [1, 4_096])
def test_an_answer_of_a_general_type_is_folded_if_it_begins_like_an_event_stream(
    twin: Twin, content_type: str, size: int
) -> None:
    chunks = [FIRST[at : at + size] for at in range(0, len(FIRST), size)]
    run = twin.open_response(*chunks, content_type=content_type)
    passed = twin.take()
    assert all(before is after for before, after in zip(chunks, passed, strict=True))
    assert (None, [STEP_AFTER_FIRST]) == (twin.tap.error, [each.to_dict() for each in run.run_steps()])


@pytest.mark.parametrize("chunks", [[b"<", b"p", b">"], [b"e", b"v", b"il"], [], [b"da"]])
def test_an_answer_of_a_general_type_passes_unfolded_if_it_begins_otherwise(twin: Twin, chunks: list[bytes]) -> None:
    heard: list[Update] = []
    run = twin.open_response(*chunks, content_type="text/plain", handler=heard.append)
    assert chunks == twin.take()
    error = twin.tap.error
    assert isinstance(error, ResponseError)
    assert (200, run, None, []) == (error.status, error.accumulator, run.outcome, heard)
    assert "".join(map(bytes.decode, chunks)).startswith(error.body)


def test_an_answer_of_a_general_type_that_breaks_at_its_start_is_the_consumer_s(twin: Twin) -> None:
    run = twin.open_response(b"da", OSError("gone"), content_type="text/plain")
    passed: list[object] = []
    with pytest.raises(OSError, match="gone"):
        twin.take(passed)
    assert ([b"da"], None, "truncated") == (passed, twin.tap.error, run.outcome)


def test_a_refused_answer_that_breaks_is_both(twin: Twin) -> None:
    run = twin.open_response(OSError("gone"), status=500, content_type="text/html")
    with pytest.raises(OSError, match="gone"):
        twin.take()
    assert (ResponseError, None) == (type(twin.tap.error), run.outcome)


def test_cancellation_in_a_hook_loses_neither_chunk_nor_update() -> None:
    started: list[str] = []

    async def hear(update: Update) -> None:
        started.append(type(update).__name__)
        if len(started) == 2:
            await asyncio.Event().wait()

    async def consume(tapped: AsyncTap, passed: list[bytes]) -> None:
        async for chunk in tapped:
            passed.append(chunk)  # noqa: PERF401 - those before the cancellation are wanted too

    async def main() -> tuple[list[bytes], str | None]:
        tapped, passed = (
            atap(AsyncChunks(Chunks(FIRST_EVENTS[0], FIRST[len(FIRST_EVENTS[0]) :])), handler=hear),
            list[bytes](),
        )
        task = asyncio.ensure_future(consume(tapped, passed))
        while len(started) < 2:
            await asyncio.tasks.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await consume(tapped, passed)
        return passed, tapped.accumulator.outcome

    assert ([FIRST_EVENTS[0], FIRST[len(FIRST_EVENTS[0]) :]], "requires_action") == asyncio.run(main())
    assert names(list(accumulate([FIRST]))) == started


def test_a_hook_that_is_interrupted_leaves_its_chunk_unless_the_tap_is_closed(twin: Twin) -> None:
    def hear(update: Update) -> None:
        raise StopAllError(update)

    twin.open(FIRST_EVENTS[0], DONE, handler=hear)
    with pytest.raises(StopAllError):
        twin.take()
    twin.close()
    assert ([], 1, None) == (twin.take(), twin.source.closed, twin.tap.error)


# ---- Over a connection.


def upstream(exchange: Exchange) -> None:
    exchange.head()
    for part in (*FIRST_EVENTS, DONE):
        exchange.chunk(part)
    exchange.end()


class Deltas(Handler):
    """Counts what it was made to watch."""

    def __init__(self) -> None:
        self.count = 0

    def on_tool_call_delta(self, update: ToolCallDelta) -> None:
        assert update.step_id == "step_1"
        self.count += 1


def test_a_proxy_passes_a_response_on_and_knows_how_it_ended() -> None:
    deltas, run = Deltas(), Accumulator()

    def proxy(exchange: Exchange) -> None:
        with (
            httpx.Client(verify=TLS) as client,
            client.stream("GET", origin.url) as response,
            tap(response, into=run, handler=deltas) as chunks,
        ):
            exchange.head(f"{response.status_code} OK", {**EVENT_STREAM, "X-Proxy": "1"})
            for chunk in chunks:
                exchange.chunk(chunk)
        exchange.end()

    with (
        Loopback(upstream) as origin,
        Loopback(proxy) as server,
        httpx.Client(verify=TLS) as client,
        client.stream("GET", server.url) as response,
    ):
        assert FIRST == b"".join(response.iter_raw())
    assert ("requires_action", 3) == (run.outcome, deltas.count)


def test_a_consumer_that_leaves_closes_the_connection() -> None:
    def script(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(FIRST_EVENTS[0])
        exchange.wait_closed()

    run = Accumulator()
    with Loopback(script) as server:
        with httpx.Client(verify=TLS) as client, client.stream("GET", server.url) as response:
            with tap(response, into=run) as chunks:
                assert FIRST_EVENTS[0] == next(chunks)
            assert response.is_closed
        assert server.client_closed.wait(PATIENCE)
    assert "truncated" == run.outcome


def test_an_async_response_is_tapped() -> None:
    run = Accumulator()

    async def relay(url: str) -> AsyncIterator[bytes]:
        async with httpx.AsyncClient(verify=TLS) as client, client.stream("GET", url) as response:
            async with atap(response, into=run) as chunks:
                async for chunk in chunks:
                    yield chunk
            assert response.is_closed

    async def main(url: str) -> bytes:
        return b"".join([chunk async for chunk in relay(url)])

    with Loopback(upstream) as server:
        assert FIRST == asyncio.run(main(server.url))
    assert "requires_action" == run.outcome


def test_a_dropped_connection_is_the_consumer_s_to_see() -> None:
    def script(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(FIRST_EVENTS[0])

    with Loopback(script) as server, httpx.Client(verify=TLS) as client, client.stream("GET", server.url) as response:
        tapped = tap(response)
        assert FIRST_EVENTS[0] == next(tapped)
        with pytest.raises(httpx.RemoteProtocolError):
            next(tapped)
    assert (None, "truncated") == (tapped.error, tapped.accumulator.outcome)
