"""Other tasks run while an async stream has work: a loop that never waits gives the event loop turns."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import Accumulator, UnknownEvent, aaccumulate, accumulate
from accumulator._streams.reading import _SLICE_SIZE
from tests import wire
from tests.bodies import FIRST

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    from accumulator import AsyncRunStream, Update

EVENT_TIME = 50e-6
"""What one event is said to take, in seconds."""
LONGEST = 0.010

EMPTY = b"event: ping\ndata: {}\n\n" * 3_000
FRAGMENTS = b"".join(
    [wire.created("step_1"), *(wire.delta("step_1", wire.fragment(0, f"{each},")) for each in range(3_000))]
)
LOADS = {"events that only the general path takes": EMPTY, "events of the fast path": FRAGMENTS}


async def ready(chunks: Iterable[bytes]) -> AsyncGenerator[bytes]:
    """A source that never waits."""
    for chunk in chunks:
        yield chunk


class Work:
    """Says the time by the work that was done, and writes down when the event loop had a turn."""

    def __init__(self) -> None:
        self.accumulator = Accumulator()
        self.turns: list[float] = []

    def clock(self) -> float:
        return self.accumulator._engine.count * EVENT_TIME

    def _turn(self) -> None:
        self.turns.append(self.clock())
        asyncio.get_running_loop().call_soon(self._turn)

    def longest(self, read: Callable[[AsyncRunStream], Coroutine[None, None, object]], stream: AsyncRunStream) -> float:
        """Read a stream, and return the longest time between two turns."""

        async def main() -> None:
            self._turn()
            await read(stream)
            self.turns.append(self.clock())

        asyncio.run(main())
        times = [0.0, *self.turns]
        return max(after - before for before, after in pairwise(times))


async def loop_over(stream: AsyncRunStream) -> None:
    async for _ in stream:
        pass


async def drain(stream: AsyncRunStream) -> None:
    await stream.until_done()


async def texts(stream: AsyncRunStream) -> None:
    async for _ in stream.text_deltas():
        pass


@pytest.mark.parametrize("size", [200, 10**9], ids=["small chunks", "one chunk"])
@pytest.mark.parametrize("load", LOADS.values(), ids=list(LOADS))
@pytest.mark.parametrize("read", [loop_over, drain, texts], ids=["loop", "drain", "texts"])
@pytest.mark.parametrize("handled", [False, True], ids=["", "handler"])
def test_the_event_loop_has_a_turn_every_ten_milliseconds(
    read: Callable[[AsyncRunStream], Coroutine[None, None, object]],
    load: bytes,
    size: int,
    handled: bool,  # noqa: FBT001 - a parameter
) -> None:
    work = Work()
    chunks = [load[start : start + size] for start in range(0, len(load), size)]
    heard: list[Update] = []
    handler = heard.append if handled else None
    stream = aaccumulate(ready(chunks), into=work.accumulator, handler=handler, clock=work.clock)
    assert work.longest(read, stream) <= LONGEST
    assert 3_000 * EVENT_TIME <= work.clock()


def test_parsing_gives_turns_where_nothing_is_applied() -> None:
    class Ticking:
        """A clock that is one millisecond on at each look."""

        def __init__(self) -> None:
            self.looks = 0

        def __call__(self) -> float:
            self.looks += 1
            return self.looks / 1_000

    async def main() -> int:
        turns = 0
        reading = True

        def turn() -> None:
            nonlocal turns
            turns += 1
            if reading:
                asyncio.get_running_loop().call_soon(turn)

        turn()
        chunk = b":\r\r" * (20 * _SLICE_SIZE // 3)
        await aaccumulate(ready([chunk]), clock=Ticking()).until_done()
        reading = False
        return turns

    assert 5 <= asyncio.run(main()) <= 25


def test_a_stream_that_waits_is_not_interrupted() -> None:
    async def waiting() -> AsyncGenerator[bytes]:
        for _ in range(1_000):
            await asyncio.tasks.sleep(0)
            yield b"event: ping\ndata: {}\n\n"

    async def main() -> None:
        clock = Work()
        stream = aaccumulate(waiting(), into=clock.accumulator, clock=clock.clock)
        slept = 0

        async def sleep(_: float) -> None:
            nonlocal slept
            slept += 1

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(asyncio, "sleep", sleep)
            await stream.until_done()
        assert slept <= 1  # before the first look nothing is known

    asyncio.run(main())


def test_without_asyncio_no_turn_is_given() -> None:
    work = Work()
    stream = aaccumulate(ready([EMPTY]), into=work.accumulator, clock=work.clock)
    with pytest.raises(StopIteration):
        stream.until_done().send(None)
    assert "truncated" == work.accumulator.outcome


def test_a_turn_is_no_gap_for_a_second_reader() -> None:
    async def main() -> list[Update]:
        work = Work()
        stream = aaccumulate(ready([EMPTY]), into=work.accumulator, clock=work.clock)
        first = asyncio.create_task(_all(stream))
        while not work.accumulator._engine.count:
            await asyncio.tasks.sleep(0)
        with pytest.raises(RuntimeError, match="expected one reader"):
            await anext(stream)
        return await first

    async def _all(stream: AsyncRunStream) -> list[Update]:
        return [update async for update in stream]

    updates = asyncio.run(main())
    assert list(accumulate([EMPTY])) == updates


# ---- Slices.


@pytest.mark.parametrize("cut", [1, 100, _SLICE_SIZE - 1, _SLICE_SIZE, _SLICE_SIZE + 1, 3 * _SLICE_SIZE])
def test_a_chunk_of_many_slices_gives_the_same_updates(cut: int) -> None:
    body = EMPTY + FIRST
    assert list(accumulate([body])) == list(accumulate(body[at : at + cut] for at in range(0, len(body), cut)))


def test_an_event_larger_than_a_slice_comes_whole() -> None:
    data = '"' + "x" * (5 * _SLICE_SIZE) + '"'
    (update, _) = accumulate([f"event: ping\ndata: {data}\n\n".encode()])
    assert data == cast("UnknownEvent", update).data


def test_what_is_left_of_a_chunk_is_dropped_when_the_stream_is_closed() -> None:
    stream = accumulate([EMPTY])
    next(stream)
    stream.close()
    assert ([], "truncated") == (list(stream), stream.accumulator.outcome)


def test_what_is_left_of_a_chunk_is_dropped_when_the_handler_raises() -> None:
    heard: list[Update] = []

    def fail(update: Update) -> None:
        heard.append(update)
        if len(heard) == 1:
            raise LookupError("of the hook")

    stream = accumulate([EMPTY], handler=fail)
    with pytest.raises(LookupError):
        next(stream)
    assert ([], 1) == (list(stream), stream.accumulator._engine.count)
