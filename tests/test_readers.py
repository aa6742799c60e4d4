"""One reader at a time: what a second one is told, and what closing a stream does to the reader that waits."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from accumulator import RunUpdated, TruncatedError, aaccumulate, accumulate, aconnect
from tests.bodies import DONE, FIRST, FIRST_EVENTS, STEP_AFTER_FIRST
from tests.loopback import PATIENCE, Loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator

    from accumulator import AsyncRunStream, Update
    from tests.loopback import Exchange

REFUSED = "expected one reader of a stream at a time"
UPDATES = list(accumulate([FIRST]))
TLS = ssl.create_default_context()  # never used, and dear to make: the client would make its own


class Gated:
    """An async source whose second read waits until it may go on; it counts what is done with it."""

    def __init__(self) -> None:
        self.waits, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.reads: list[str] = []
        self.closed = 0

    def __aiter__(self) -> Gated:
        return self

    async def __anext__(self) -> bytes:
        self.reads.append("begun")
        if len(self.reads) == 3:
            raise StopAsyncIteration
        if len(self.reads) == 1:
            return FIRST_EVENTS[0]
        self.waits.set()
        try:
            await self.may_go_on.wait()
        except asyncio.CancelledError:
            self.reads[-1] = "cancelled"
            raise
        return b"".join([*FIRST_EVENTS[1:], DONE])

    async def aclose(self) -> None:
        self.closed += 1


async def rest(stream: AsyncRunStream) -> list[Update]:
    return [update async for update in stream]


# ---- A second reader.


@pytest.mark.parametrize("min_interval", [None, 600])
def test_a_second_task_is_refused_and_the_first_loses_nothing(min_interval: float | None) -> None:
    async def main() -> list[Update]:
        source = Gated()
        stream = aaccumulate(source, min_interval=min_interval)
        first = asyncio.create_task(rest(stream))
        await source.waits.wait()
        for second in (anext(stream), stream.until_done(), stream.final_run_steps(), anext(stream.text_deltas())):
            with pytest.raises(RuntimeError, match=REFUSED):
                await asyncio.ensure_future(second)
        assert ["begun", "begun"] == source.reads
        source.may_go_on.set()
        return await first

    updates = asyncio.run(main())
    expected = UPDATES if min_interval is None else list(accumulate([FIRST], min_interval=min_interval))
    assert expected == updates


def test_a_second_task_is_refused_while_a_drain_goes_on() -> None:
    async def main() -> None:
        source = Gated()
        stream = aaccumulate(source)
        first = asyncio.create_task(stream.final_run_steps())
        await source.waits.wait()
        with pytest.raises(RuntimeError, match=REFUSED):
            await anext(stream)
        source.may_go_on.set()
        assert [STEP_AFTER_FIRST] == [step.to_dict() for step in await first]

    asyncio.run(main())


def test_a_second_task_is_refused_while_the_handler_runs_also_one_that_the_handler_made() -> None:
    heard: list[Update] = []

    async def main() -> list[Update]:
        in_hook, may_go_on = asyncio.Event(), asyncio.Event()

        async def hear(update: Update) -> None:
            heard.append(update)
            if isinstance(update, RunUpdated):
                with pytest.raises(RuntimeError, match=REFUSED):
                    await asyncio.create_task(stream.until_done())
                in_hook.set()
                await may_go_on.wait()

        async def chunks() -> AsyncGenerator[bytes]:
            yield FIRST

        stream = aaccumulate(chunks(), handler=hear)
        first = asyncio.create_task(rest(stream))
        await in_hook.wait()
        with pytest.raises(RuntimeError, match=REFUSED):
            await anext(stream)
        may_go_on.set()
        return await first

    assert UPDATES == asyncio.run(main())
    assert UPDATES == heard


def test_an_async_handler_may_drain_its_own_stream() -> None:
    heard: list[Update] = []

    async def main() -> None:
        async def hear(update: Update) -> None:
            heard.append(update)
            if isinstance(update, RunUpdated):
                await stream.until_done()

        async def chunks() -> AsyncGenerator[bytes]:
            yield FIRST

        stream = aaccumulate(chunks(), handler=hear)
        assert ([], "requires_action") == (await rest(stream), stream.accumulator.outcome)

    asyncio.run(main())
    assert UPDATES == heard


def test_without_asyncio_any_step_within_a_step_is_refused() -> None:
    class Halt:
        def __await__(self) -> Generator[None]:
            yield

    async def chunks() -> AsyncGenerator[bytes]:
        await Halt()
        yield FIRST

    stream = aaccumulate(chunks())
    first, second = rest(stream), stream.until_done()
    first.send(None)
    with pytest.raises(RuntimeError, match=REFUSED):
        second.send(None)
    with pytest.raises(StopIteration) as stopped:
        first.send(None)
    assert UPDATES == stopped.value.value


class Blocking:
    """A source whose second read waits for another thread; its bytes come from a generator."""

    def __init__(self) -> None:
        self.waits, self.may_go_on = threading.Event(), threading.Event()

    def chunks(self) -> Iterator[bytes]:
        yield FIRST_EVENTS[0]
        self.waits.set()
        assert self.may_go_on.wait(PATIENCE)
        yield b"".join([*FIRST_EVENTS[1:], DONE])


class InThread:
    """Runs something in a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._result: object = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self._result = error

    def result(self) -> object:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self._result


def test_a_second_thread_is_refused_and_the_first_loses_nothing() -> None:
    source = Blocking()
    stream = accumulate(source.chunks())
    first = InThread(lambda: list(stream))
    assert source.waits.wait(PATIENCE)
    for second in (lambda: next(stream), stream.until_done, stream.final_run_steps):
        with pytest.raises(RuntimeError, match=REFUSED):
            second()
    source.may_go_on.set()
    assert UPDATES == first.result()


def test_a_second_thread_is_refused_while_the_handler_runs() -> None:
    in_hook, may_go_on = threading.Event(), threading.Event()

    def hear(update: Update) -> None:
        if isinstance(update, RunUpdated):
            in_hook.set()
            assert may_go_on.wait(PATIENCE)

    stream = accumulate([FIRST], handler=hear)
    first = InThread(lambda: list(stream))
    assert in_hook.wait(PATIENCE)
    with pytest.raises(RuntimeError, match=REFUSED):
        next(stream)
    may_go_on.set()
    assert UPDATES == first.result()


def test_a_step_within_the_fast_path_is_refused() -> None:
    # Only another thread can take one, at a moment that no test can choose.
    stream = accumulate([FIRST])
    fast, stream._next_fast_update = stream._next_fast_update, None
    with pytest.raises(RuntimeError, match=REFUSED):
        next(stream)
    with pytest.raises(RuntimeError, match=REFUSED):
        stream.until_done()
    stream._next_fast_update = fast
    assert UPDATES == list(stream)


def test_a_step_that_ends_while_another_reader_begins_locks_nothing() -> None:
    waits, may_go_on = threading.Event(), threading.Event()

    def source() -> Iterator[bytes]:
        yield FIRST_EVENTS[0]
        waits.set()
        assert may_go_on.wait(PATIENCE)
        yield b"".join([*FIRST_EVENTS[1:], DONE])

    stream = accumulate(source())
    next(stream)
    first = threading.Thread(target=lambda: next(stream))
    first.start()
    assert waits.wait(PATIENCE)
    current_runner = stream._readers._current_runner

    def let_the_first_end() -> object:
        stream._readers._current_runner = current_runner
        may_go_on.set()
        first.join(PATIENCE)
        return current_runner()

    stream._readers._current_runner = let_the_first_end
    with suppress(RuntimeError):  # it may be refused, as the first reader's step was under way when it began
        next(stream)
    assert 0 == stream._readers.level
    assert stream._next_fast_update is not None
    third = threading.Thread(target=stream.until_done)
    third.start()
    third.join(PATIENCE)
    assert "requires_action" == stream.accumulator.outcome


def test_a_reader_that_begins_while_another_begins_to_read_is_refused() -> None:
    source, first = Blocking(), list[InThread]()
    stream = accumulate(source.chunks())
    updates = [next(stream)]
    current_runner = stream._readers._current_runner

    def let_the_first_read() -> object:
        stream._readers._current_runner = current_runner
        first.append(InThread(lambda: list(stream)))
        assert source.waits.wait(PATIENCE)
        return current_runner()

    stream._readers._current_runner = let_the_first_read
    with pytest.raises(RuntimeError, match=REFUSED):
        stream.until_done()
    source.may_go_on.set()
    assert UPDATES == [*updates, *cast("list[Update]", first[0].result())]


def test_a_source_may_take_a_step_of_its_stream_in_its_read() -> None:
    class Source:
        def __init__(self) -> None:
            self.stream = accumulate(self)
            self.reads = 0
            self.updates: list[Update] = []
            self._chunks = iter([*FIRST_EVENTS, DONE])

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            self.reads += 1
            if self.reads == 3:  # the step reads the next chunk itself, by a fourth call
                self.updates.append(next(self.stream))
            return next(self._chunks)

    source = Source()
    others = list(source.stream)
    assert 1 == len(source.updates)
    assert others == [update for update in UPDATES if update not in source.updates]


def test_a_reader_may_change_between_two_steps() -> None:
    stream = accumulate([FIRST])
    first = InThread(lambda: next(stream)).result()
    assert UPDATES == [first, *stream]


# ---- Closing a stream whose reader waits.


def closed_while_it_waits(
    read: Callable[[AsyncRunStream], Coroutine[None, None, object]], *, min_interval: float | None = None
) -> object:
    """Close a stream in another task while its reader waits; return what the reader gets."""

    async def main() -> object:
        source = Gated()
        stream = aaccumulate(source, min_interval=min_interval)
        reader = asyncio.create_task(read(stream))
        await source.waits.wait()
        await stream.aclose()
        await stream.aclose()
        assert (["begun", "cancelled"], 1) == (source.reads, source.closed)
        assert "truncated" == stream.accumulator.outcome
        try:
            return await reader
        except TruncatedError as error:
            return type(error)
        finally:
            assert 0 == reader.cancelling()
            assert [] == await rest(stream)

    return asyncio.run(main())


def test_closing_ends_the_loop_that_waits_in_another_task() -> None:
    assert UPDATES[:1] == closed_while_it_waits(rest)


def test_closing_ends_a_drain_that_waits_in_another_task() -> None:
    async def drain(stream: AsyncRunStream) -> object:
        return await stream.until_done() is stream.accumulator

    assert closed_while_it_waits(drain) is True
    assert TruncatedError == closed_while_it_waits(lambda stream: stream.final_run_steps())


def test_closing_ends_a_loop_whose_read_has_a_task_of_its_own() -> None:
    opened = b"".join(FIRST_EVENTS[1:5])

    async def main() -> None:
        waits, closed = asyncio.Event(), list[str]()

        async def chunks() -> AsyncGenerator[bytes]:
            yield opened
            waits.set()
            try:
                await asyncio.Event().wait()
            finally:
                closed.append("read")

        stream = aaccumulate(chunks(), min_interval=600)
        reader = asyncio.create_task(rest(stream))
        await waits.wait()
        await stream.aclose()
        assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta"] == [type(each).__name__ for each in await reader]
        assert (["read"], "truncated") == (closed, stream.accumulator.outcome)

    asyncio.run(main())


def test_closing_ends_the_loop_over_a_connection_and_the_server_sees_it() -> None:
    def silent(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(FIRST_EVENTS[0])
        exchange.wait_closed()

    async def main(server: Loopback) -> None:
        taken: list[Update] = []
        waits = asyncio.Event()

        async def read(stream: AsyncRunStream) -> None:
            async for update in stream:
                taken.append(update)
                waits.set()

        async with httpx.AsyncClient(verify=TLS, timeout=None) as client, aconnect(client, "GET", server.url) as stream:  # noqa: S113
            reader = asyncio.create_task(read(stream))
            await waits.wait()
            await stream.aclose()
            await reader
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)
        assert (UPDATES[:1], "truncated") == (taken, stream.accumulator.outcome)

    with Loopback(silent) as server:
        asyncio.run(main(server))


def test_a_cancellation_of_the_reader_is_not_swallowed_by_a_close() -> None:
    async def main() -> None:
        source = Gated()
        stream = aaccumulate(source)
        reader = asyncio.create_task(rest(stream))
        await source.waits.wait()
        closing = asyncio.create_task(stream.aclose())
        await asyncio.tasks.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await closing
        assert 1 == source.closed

    asyncio.run(main())


def test_a_close_behind_a_cancellation_of_the_reader_does_not_swallow_it() -> None:
    async def main() -> None:
        source = Gated()
        stream = aaccumulate(source)
        reader = asyncio.create_task(rest(stream))
        await source.waits.wait()
        reader.cancel()
        await stream.aclose()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert (1, 1) == (source.closed, reader.cancelling())

    asyncio.run(main())


def test_a_cancellation_from_before_the_read_stays_when_a_close_ends_the_read() -> None:
    async def main() -> None:
        source = Gated()
        stream = aaccumulate(source)

        async def read() -> list[Update]:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return await rest(stream)

        reader = asyncio.create_task(read())
        await asyncio.tasks.sleep(0)
        reader.cancel()
        await source.waits.wait()
        await stream.aclose()
        assert (UPDATES[:1], 1) == (await reader, reader.cancelling())

    asyncio.run(main())


def test_a_closing_that_is_cancelled_waits_for_the_read_and_closes_the_source() -> None:
    async def main() -> None:
        may_end, closed = asyncio.Event(), list[str]()
        waits = asyncio.Event()

        async def chunks() -> AsyncGenerator[bytes]:
            yield FIRST_EVENTS[0]
            waits.set()
            try:
                await asyncio.Event().wait()
            finally:
                await may_end.wait()
                closed.append("read")

        stream = aaccumulate(chunks())
        reader = asyncio.create_task(rest(stream))
        await waits.wait()
        closing = asyncio.create_task(stream.aclose())
        await asyncio.tasks.sleep(0)
        closing.cancel()
        await asyncio.tasks.sleep(0)
        assert (False, []) == (closing.done(), closed)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (UPDATES[:1], ["read"]) == (await reader, closed)

    asyncio.run(main())


def test_what_a_read_gives_although_its_stream_was_closed_is_dropped() -> None:
    async def main() -> None:
        waits = asyncio.Event()

        async def chunks() -> AsyncGenerator[bytes]:
            yield FIRST_EVENTS[0]
            waits.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            yield FIRST_EVENTS[1]

        stream = aaccumulate(chunks())
        reader = asyncio.create_task(rest(stream))
        await waits.wait()
        await stream.aclose()
        assert (UPDATES[:1], 0) == (await reader, reader.cancelling())

    asyncio.run(main())


def test_a_source_may_close_its_stream_in_its_read() -> None:
    class Source:
        def __init__(self) -> None:
            self.closed = 0

        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> bytes:
            await stream.aclose()
            return FIRST

        async def aclose(self) -> None:
            self.closed += 1

    source = Source()
    stream = aaccumulate(source)
    assert ([], 1) == (asyncio.run(rest(stream)), source.closed)


def test_a_sync_stream_that_another_thread_closes_ends_when_its_read_does() -> None:
    source = Blocking()
    stream = accumulate(source.chunks())
    first = InThread(lambda: list(stream))
    assert source.waits.wait(PATIENCE)
    with pytest.raises(ValueError, match="generator already executing"):
        stream.close()
    source.may_go_on.set()
    assert (UPDATES[:1], "truncated") == (first.result(), stream.accumulator.outcome)
