"""Deadlines of async streams: what counts as waiting, what is raised, and that no connection stays open."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal, cast

import httpx
import pytest

from accumulator import BodyEnded, ResponseError, TruncatedError, aaccumulate, accumulate, aconnect, connect
from tests.bodies import DONE, FIRST, FIRST_EVENTS, STEP_AFTER_FIRST
from tests.clock import Clock
from tests.loopback import PATIENCE, Loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from accumulator import AsyncRunStream, Update
    from tests.loopback import Exchange

TLS = ssl.create_default_context()  # never used, and dear to make: the client would make its own
UPDATES = list(accumulate([FIRST]))
SOON = 0.001
COMMENT = b": keep-alive\n\n"
Name = Literal["idle_timeout", "total_timeout"]
NAMES: list[Name] = ["idle_timeout", "total_timeout"]


def with_deadline(source: object, name: Name, seconds: float, **keywords: object) -> AsyncRunStream:
    make = cast("Callable[..., AsyncRunStream]", aaccumulate)
    return make(source, **{name: seconds}, **keywords)


async def taken_of(stream: AsyncRunStream) -> tuple[list[Update], TruncatedError | None]:
    """Iterate to the end; return the updates and what was raised."""
    updates: list[Update] = []
    try:
        async for update in stream:
            updates.append(update)  # noqa: PERF401 - what came before an error counts
    except TruncatedError as error:
        return updates, error
    return updates, None


def cut_by(error: TruncatedError | None) -> str:
    assert error is not None
    assert type(error.__cause__) is TimeoutError
    assert str(error) == f"expected the stream to go on, {error.__cause__}"
    return str(error.__cause__)


async def falls_silent(*chunks: bytes, ended: list[str] | None = None) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk
    try:
        await asyncio.Event().wait()
    finally:
        if ended is not None:
            ended.append("cancelled")


@pytest.mark.parametrize("min_interval", [None, 600])
@pytest.mark.parametrize("name", NAMES)
def test_a_deadline_ends_a_body_that_fell_silent(name: Name, min_interval: float | None) -> None:
    async def main() -> None:
        ended: list[str] = []
        source = falls_silent(*FIRST_EVENTS[:5], ended=ended)
        stream = with_deadline(source, name, SOON, min_interval=min_interval)
        updates, error = await taken_of(stream)
        expected = list(accumulate(FIRST_EVENTS[:5], min_interval=min_interval))
        assert (expected, ["cancelled"]) == (updates, ended)
        assert BodyEnded(5, "truncated", ("step_1",)) == updates[-1]
        waited_for = {"idle_timeout": "an event", "total_timeout": "the end"}[name]
        assert f"{waited_for} did not come within 0.001 seconds ({name})" == cut_by(error)
        assert error is not None
        assert error.accumulator is stream.accumulator
        assert [STEP_AFTER_FIRST] == [step.to_dict() for step in stream.accumulator.run_steps()]
        for drain in (stream.until_done, stream.final_run_steps):
            with pytest.raises(TruncatedError) as again:
                await drain()
            assert again.value is error

    asyncio.run(main())


def test_behind_a_final_status_a_deadline_is_no_error() -> None:
    async def main() -> None:
        stream = aaccumulate(falls_silent(*FIRST_EVENTS), idle_timeout=SOON)
        assert [STEP_AFTER_FIRST] == [step.to_dict() for step in await stream.final_run_steps()]
        assert "requires_action" == stream.accumulator.outcome

    asyncio.run(main())


@pytest.mark.parametrize("name", NAMES)
def test_a_body_that_ends_in_time_is_as_ever(name: Name) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield FIRST
        await asyncio.tasks.sleep(0)

    assert (UPDATES, None) == asyncio.run(taken_of(with_deadline(chunks(), name, PATIENCE)))


# ---- What counts. The source moves the clock while it is waited for.


class Slow:
    """A source whose reads take the seconds that are written down, then fall silent."""

    def __init__(self, clock: Clock, *reads: tuple[float, bytes]) -> None:
        self._clock = clock
        self._reads = iter(reads)

    def __aiter__(self) -> Slow:
        return self

    async def __anext__(self) -> bytes:
        for seconds, chunk in self._reads:
            self._clock.now += seconds
            return chunk
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize("empty", [COMMENT, b"data:\n\n", b"data\n\n", b"id: 1\n\n", b"event: message\ndata\n\n"])
def test_comments_empty_events_and_halves_of_events_are_no_events(empty: bytes) -> None:
    async def main() -> None:
        clock = Clock()
        reads = [(0.5, FIRST_EVENTS[0]), (0.25, empty), (0.5, empty), (0.25, FIRST_EVENTS[1][:20]), *[(0.25, b"x")] * 9]
        updates, error = await taken_of(aaccumulate(Slow(clock, *reads), idle_timeout=1, clock=clock))
        assert "an event did not come within 1.0 seconds (idle_timeout)" == cut_by(error)
        assert (["RunUpdated", "Problem", "BodyEnded"], 1.5) == ([type(each).__name__ for each in updates], clock.now)

    asyncio.run(main())


def test_each_event_begins_the_wait_for_the_next() -> None:
    async def main() -> None:
        clock = Clock()
        reads = [(0.75, event) for event in FIRST_EVENTS[:5]]
        updates, error = await taken_of(aaccumulate(Slow(clock, *reads, (1, COMMENT)), idle_timeout=1, clock=clock))
        assert "an event did not come within 1.0 seconds (idle_timeout)" == cut_by(error)
        assert list(accumulate(FIRST_EVENTS[:5])) == updates

    asyncio.run(main())


def test_the_total_counts_all_reads_and_the_first_deadline_that_passes_is_named() -> None:
    async def main() -> None:
        clock = Clock()
        reads = [(0.5, event) for event in FIRST_EVENTS[:4]]
        stream = aaccumulate(Slow(clock, *reads), idle_timeout=1, total_timeout=2, clock=clock)
        updates, error = await taken_of(stream)
        assert "the end did not come within 2.0 seconds (total_timeout)" == cut_by(error)
        assert list(accumulate(FIRST_EVENTS[:4])) == updates

    asyncio.run(main())


def test_the_time_of_the_handler_and_of_the_caller_does_not_count() -> None:
    async def main() -> None:
        clock = Clock()

        def hear(_: Update) -> None:
            clock.now += 100

        reads = [(0.25, event) for event in [*FIRST_EVENTS, DONE]]
        stream = aaccumulate(
            Slow(clock, *reads, (0, DONE)), handler=hear, idle_timeout=1, total_timeout=2.25, clock=clock
        )
        for expected in UPDATES:
            assert expected == await anext(stream)
            clock.now += 100

    asyncio.run(main())


@pytest.mark.parametrize("name", NAMES)
def test_a_deadline_ends_a_body_whose_reads_never_wait(name: Name) -> None:
    async def main() -> None:
        clock = Clock()
        comments = [(0.25, COMMENT)] * 1_000
        source = Slow(clock, (0, FIRST_EVENTS[0]), *comments)
        updates, error = await taken_of(with_deadline(source, name, 1, clock=clock))
        assert f"did not come within 1.0 seconds ({name})" in cut_by(error)
        assert (list(accumulate(FIRST_EVENTS[:1])), 1.0) == (updates, clock.now)

    asyncio.run(main())


def test_what_a_read_gave_before_its_time_was_seen_to_be_up_is_folded() -> None:
    async def main() -> None:
        clock, may_go_on = Clock(), asyncio.Event()

        async def chunks() -> AsyncGenerator[bytes]:
            yield b"".join(FIRST_EVENTS[:5])
            clock.now += 1  # a held delta is due, and the time of the read is up
            await may_go_on.wait()
            yield b"".join([*FIRST_EVENTS[5:], DONE])

        updates: list[Update] = []
        async for update in aaccumulate(chunks(), idle_timeout=1, min_interval=SOON, clock=clock):
            updates.append(update)
            if clock.now:
                may_go_on.set()
                for _ in range(5):
                    await asyncio.tasks.sleep(0)
        assert UPDATES[-1] == updates[-1]

    asyncio.run(main())


# ---- What a source does when its read is cancelled.


@pytest.mark.parametrize("min_interval", [None, 600])
def test_what_a_read_gives_although_its_deadline_passed_is_folded(min_interval: float | None) -> None:
    async def late() -> AsyncGenerator[bytes]:
        yield b"".join(FIRST_EVENTS[:4])
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield b"".join([*FIRST_EVENTS[4:], DONE])

    updates, error = asyncio.run(taken_of(aaccumulate(late(), idle_timeout=SOON, min_interval=min_interval)))
    assert (list(accumulate([FIRST], min_interval=min_interval)), None) == (updates, error)


@pytest.mark.parametrize("min_interval", [None, 600])
def test_what_a_read_raises_when_its_deadline_passed_is_not_the_cause(min_interval: float | None) -> None:
    async def raising() -> AsyncGenerator[bytes]:
        yield b"".join(FIRST_EVENTS[:4])
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("gone")

    updates, error = asyncio.run(taken_of(aaccumulate(raising(), idle_timeout=SOON, min_interval=min_interval)))
    assert "an event did not come within 0.001 seconds (idle_timeout)" == cut_by(error)
    assert list(accumulate(FIRST_EVENTS[:4], min_interval=min_interval)) == updates


def test_a_timeout_of_the_source_itself_is_what_the_source_raised() -> None:
    async def raising() -> AsyncGenerator[bytes]:
        yield FIRST_EVENTS[0]
        raise TimeoutError("of the client")

    _, error = asyncio.run(taken_of(aaccumulate(raising(), idle_timeout=PATIENCE)))
    assert "expected the stream to go on, its source raised TimeoutError: of the client" == str(error)


@pytest.mark.parametrize("min_interval", [None, 600])
def test_cancellation_passes_unchanged(min_interval: float | None) -> None:
    async def main() -> None:
        waits = asyncio.Event()

        async def chunks() -> AsyncGenerator[bytes]:
            yield b"".join(FIRST_EVENTS[:4])
            waits.set()
            await asyncio.Event().wait()

        stream = aaccumulate(chunks(), idle_timeout=PATIENCE, total_timeout=PATIENCE, min_interval=min_interval)
        reader = asyncio.create_task(stream.until_done())
        await waits.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert stream.accumulator.outcome is None

    asyncio.run(main())


# ---- Over a connection.


@pytest.mark.parametrize("min_interval", [None, SOON])
def test_a_deadline_closes_the_connection(min_interval: float | None) -> None:
    def silent(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(b"".join(FIRST_EVENTS[:5]))
        exchange.wait_closed()

    async def main(server: Loopback) -> None:
        async with httpx.AsyncClient(verify=TLS, timeout=None) as client:  # noqa: S113 - the deadline is what is tested
            with pytest.raises(TruncatedError) as caught:
                async with aconnect(
                    client, "GET", server.url, idle_timeout=0.05, total_timeout=PATIENCE, min_interval=min_interval
                ) as stream:
                    await stream.until_done()
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)  # before the client closes all
        assert "an event did not come within 0.05 seconds (idle_timeout)" == cut_by(caught.value)

    with Loopback(silent) as server:
        asyncio.run(main(server))


# ---- A response that only its body tells to be an event stream, or that is refused.


class Client:
    """An async client whose response has the given head, and this body."""

    def __init__(self, body: AsyncIterable[bytes], *, status: int = 200, kind: str = "text/plain") -> None:
        self.response = httpx.Response(status, headers={"Content-Type": kind}, content=body)

    @asynccontextmanager
    async def stream(self, *_: object, **__: object) -> AsyncGenerator[httpx.Response]:
        yield self.response

    async def aclose(self) -> None:
        """Mark the client as async."""


def connected(client: Client, name: Name, **keywords: object) -> AbstractAsyncContextManager[AsyncRunStream]:
    enter = cast("Callable[..., AbstractAsyncContextManager[AsyncRunStream]]", aconnect)
    return enter(client, "POST", "/", **{name: SOON}, **keywords)


@pytest.mark.parametrize("start", [(), (b"\r\n",), (b"ev",)])
@pytest.mark.parametrize("name", NAMES)
def test_a_deadline_passes_while_the_content_type_is_undecided(name: Name, start: tuple[bytes, ...]) -> None:
    async def main() -> None:
        ended: list[str] = []
        async with connected(Client(falls_silent(*start, ended=ended)), name) as stream:
            assert ["cancelled"] == ended
            _, error = await taken_of(stream)
        assert f"did not come within 0.001 seconds ({name})" in cut_by(error)
        assert "truncated" == stream.accumulator.outcome

    asyncio.run(main())


def test_the_wait_while_the_content_type_is_undecided_counts() -> None:
    async def main() -> None:
        clock = Clock()
        source = Slow(clock, (0.5, b"\n"), (0.25, FIRST_EVENTS[0]), (0.5, FIRST_EVENTS[1]), (0.25, FIRST_EVENTS[2]))
        async with aconnect(Client(source), "POST", "/", total_timeout=1, clock=clock) as stream:
            updates, error = await taken_of(stream)
        assert "the end did not come within 1.0 seconds (total_timeout)" == cut_by(error)
        assert (list(accumulate(FIRST_EVENTS[:2])), 1.25) == (updates, clock.now)

    asyncio.run(main())


def test_what_decides_although_the_deadline_passed_is_folded() -> None:
    async def late() -> AsyncGenerator[bytes]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield FIRST

    async def main() -> None:
        async with connected(Client(late()), "idle_timeout") as stream:
            assert (UPDATES, None) == await taken_of(stream)

    asyncio.run(main())


def test_what_a_read_raises_when_its_deadline_passed_while_undecided_is_not_the_cause() -> None:
    async def raising() -> AsyncGenerator[bytes]:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("gone")
        yield b""

    async def main() -> None:
        async with connected(Client(raising()), "idle_timeout") as stream:
            assert "an event did not come within 0.001 seconds (idle_timeout)" == cut_by((await taken_of(stream))[1])

    asyncio.run(main())


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_response_that_falls_silent_is_refused_whatever_the_deadline(
    name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accumulator._streams.sources.REFUSED_BODY_SECONDS", 10 * SOON)

    async def main() -> None:
        with pytest.raises(ResponseError) as caught:
            await connected(Client(falls_silent(b"busy"), status=503), name).__aenter__()
        assert (503, "busy") == (caught.value.status, caught.value.body)

    asyncio.run(main())


def test_without_asyncio_no_deadline_passes_while_the_content_type_is_undecided() -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield FIRST

    block = connected(Client(chunks()), "idle_timeout")
    with pytest.raises(StopIteration) as entered:
        _send(block.__aenter__())
    stream = cast("AsyncRunStream", entered.value.value)
    with pytest.raises(RuntimeError, match="idle_timeout and total_timeout need asyncio"):
        stream.until_done().send(None)
    with pytest.raises(StopIteration):
        _send(block.__aexit__(None, None, None))


def _send(waited_for: Awaitable[object]) -> None:
    cast("Coroutine[None, None, object]", waited_for).send(None)


# ---- What cannot be a deadline, and where there is none.


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_a_deadline_is_told_when_the_stream_is_made(name: Name) -> None:
    for seconds in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"expected {name} to be more than 0 seconds and finite, got "):
            with_deadline(falls_silent(), name, seconds)
    for wrong in ("1", True, 1j):
        with pytest.raises(TypeError, match=f"expected {name} to be a number of seconds, got "):
            with_deadline(falls_silent(), name, cast("float", wrong))
    with pytest.raises(TypeError, match="expected clock to be callable, got float"):
        with_deadline(falls_silent(), name, 1, clock=0.5)


def test_aconnect_refuses_what_is_no_deadline_before_anything_is_sent() -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            with pytest.raises(ValueError, match="expected idle_timeout to be more than 0"):
                await aconnect(client, "GET", url, idle_timeout=0).__aenter__()

    with Loopback(lambda _: None) as server:
        asyncio.run(main(server.url))
        assert [] == server.exchanges


@pytest.mark.parametrize("name", NAMES)
def test_a_sync_stream_has_no_deadlines(name: Name) -> None:
    make = cast("Callable[..., object]", accumulate)
    enter = cast("Callable[..., AbstractContextManager[object]]", connect)
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        make([FIRST], **{name: 1})
    with Loopback(lambda _: None) as server, httpx.Client(verify=TLS) as client:
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            enter(client, "GET", server.url, **{name: 1}).__enter__()
        assert [] == server.exchanges


def test_without_asyncio_a_deadline_is_a_runtime_error_at_the_first_read() -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield FIRST

    async def first(stream: AsyncIterable[Update]) -> object:
        return await anext(aiter(stream))

    stream = aaccumulate(chunks(), idle_timeout=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="idle_timeout and total_timeout need asyncio"):
            first(stream).send(None)
    assert stream.accumulator.outcome is None
