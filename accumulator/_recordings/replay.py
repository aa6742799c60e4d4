"""Play a recording again: its chunks with their cuts, in the times at which they arrived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from accumulator._recordings.recordings import Recording, find_recording
from accumulator._streams.deadlines import check_clock, check_seconds

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from accumulator._recordings.format import RecordedChunk

_BLANK_LINES: Final = (b"\n\n", b"\n\r\n", b"\r\r")


class _Times(NamedTuple):
    """When chunks are due: at their times by `speed`, at a `pace` of events where they have none, or at once."""

    speed: float | None
    pace: float | None
    clock: Callable[[], float]

    def waits(self, chunks: Iterable[RecordedChunk]) -> Iterator[tuple[float, bytes]]:
        """Yield the chunks of a body, each with the seconds to wait before it: none are left if it is 0 or less."""
        began, events = self.clock(), 0
        for seconds, data in chunks:
            if seconds is not None:
                yield (0.0 if self.speed is None else began + seconds / self.speed - self.clock()), data
            elif self.pace is None:
                yield 0.0, data
            else:
                for block in _blocks(data):
                    yield began + events / self.pace - self.clock(), block
                    events += block.endswith(_BLANK_LINES)


class Replay:
    """An iterable of the chunks of a recording; `replay` returns it. Each iteration begins anew.

    Attributes:
        recording: the recording that is played.

    """

    def __init__(self, recording: Recording, times: _Times, sleep: Callable[[float], object]) -> None:
        """Store what `replay` got; nothing is read until an iteration."""
        self.recording = recording
        self._times = times
        self._sleep = sleep

    def __iter__(self) -> Iterator[bytes]:
        for body in self.iter_bodies():
            yield from body

    def iter_bodies(self) -> Iterator[Iterator[bytes]]:
        """Yield an iterator of the chunks of each body, one body after the other."""
        for body in self.recording.bodies:
            yield self._play(body.chunks())

    def _play(self, chunks: Iterator[RecordedChunk]) -> Iterator[bytes]:
        for seconds, data in self._times.waits(chunks):
            if seconds > 0:
                self._sleep(seconds)
            yield data


class AsyncReplay:
    """An async iterable of the chunks of a recording: the async version of `Replay`. `areplay` returns it.

    Attributes:
        recording: the recording that is played.

    """

    def __init__(self, recording: Recording, times: _Times, sleep: Callable[[float], Awaitable[object]] | None) -> None:
        """Store what `areplay` got; nothing is read until an iteration."""
        self.recording = recording
        self._times = times
        self._sleep = sleep

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for body in self.aiter_bodies():
            async for chunk in body:
                yield chunk

    async def aiter_bodies(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield an async iterator of the chunks of each body, one body after the other."""
        for body in self.recording.bodies:
            yield self._play(body.chunks())

    async def _play(self, chunks: Iterator[RecordedChunk]) -> AsyncIterator[bytes]:
        import asyncio

        sleep = self._sleep or asyncio.sleep
        for seconds, data in self._times.waits(chunks):
            if seconds > 0:
                await sleep(seconds)
            yield data


def replay(
    source: str | os.PathLike[str] | Recording,
    speed: float | None = None,
    *,
    pace: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Replay:
    """Return an iterable of the chunks of a recording, as they were cut, to be given to `accumulate`.

    Args:
        source: a file in any known format, or a `Recording`.
        speed: how many times as fast as recorded: with 1.0 each chunk comes at its time, counted from the start of its
            body. None, or a chunk without a time: at once.
        pace: events a second, for chunks without a time. They are cut into events then.
        clock: returns seconds, and never goes back.
        sleep: waits for a number of seconds.

    Raises:
        OSError: the file cannot be read.
        RecordingError: no format is known that the file has, or a run begins in it more than once: see
            `open_recordings`.
        TypeError, ValueError: `speed` or `pace` is not a number, not more than 0, or not finite; or `clock` is not
            callable.

    """
    times = _make_times(speed, pace, clock)
    return Replay(source if isinstance(source, Recording) else find_recording(source), times, sleep)


def areplay(
    source: str | os.PathLike[str] | Recording,
    speed: float | None = None,
    *,
    pace: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] | None = None,
) -> AsyncReplay:
    """Return an async iterable of the chunks of a recording: the async version of `replay`.

    This is not a coroutine function. `sleep` is that of asyncio by default. The file is read without `await`.
    """
    times = _make_times(speed, pace, clock)
    return AsyncReplay(source if isinstance(source, Recording) else find_recording(source), times, sleep)


def _make_times(speed: float | None, pace: float | None, clock: Callable[[], float]) -> _Times:
    return _Times(
        None if speed is None else check_seconds("speed", speed),
        None if pace is None else check_seconds("pace", pace),
        check_clock(clock),
    )


def _blocks(data: bytes) -> Iterator[bytes]:
    """Cut data behind each blank line."""
    start = 0
    while start < len(data):
        ends = [data.find(line, start) + len(line) for line in _BLANK_LINES if line in data[start:]]
        end = min(ends, default=len(data))
        yield data[start:end]
        start = end
