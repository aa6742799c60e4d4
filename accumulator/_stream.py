"""The two loops, sync and async. What they do with what they read is decided once, in `_Reading`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from accumulator._accumulator import DEFAULT_LIMITS, Accumulator
from accumulator._errors import AccumulatorError, ResponseError, RunError, TruncatedError
from accumulator._source import framed, open_async_source, open_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from accumulator._accumulator import Limits
    from accumulator._models import RunStep
    from accumulator._source import AsyncSource, Source
    from accumulator._updates import Update


_CLOSING_FAILED = "closing the source failed too: {0!r}"


def accumulate(
    source: object, *, into: Accumulator | None = None, strict: bool = False, limits: Limits = DEFAULT_LIMITS
) -> RunStream:
    """Fold a stream of server-sent events, and hand out the updates while it is read.

    Nothing is read before the first step of the iteration, and nothing is closed but by `with` or `close`.

    Args:
        source: what gives the bytes: a response of httpx, httpx2, requests or urllib, an `EventSource`, a stream of
            openai-python, anything else with `iter_bytes`; a binary file or pipe; an iterable of bytes; or an iterable
            of events with `.event` and `.data`. A response is one body and is not read further after `done`; the
            others may hold several bodies. The status and content type of a response are checked at the first step.
        into: the accumulator that goes on, such as one that holds the first stream of a run whose tool outputs were
            submitted; a new one by default.
        strict: whether a `Problem` raises `MergeError`, for a new accumulator.
        limits: the limits of a new accumulator.

    Raises:
        TypeError: the source is nothing that can be read here; or `strict` or `limits` beside `into`: it has its own.

    """
    return RunStream(open_source(source), new_or_given(into, strict=strict, limits=limits))


def aaccumulate(
    source: object, *, into: Accumulator | None = None, strict: bool = False, limits: Limits = DEFAULT_LIMITS
) -> AsyncRunStream:
    """Fold a stream of server-sent events that is read with `await`: `accumulate`'s twin, with the same updates.

    Not a coroutine function: the result is to be iterated with `async for`, or drained with its `await`able methods.
    Besides what `accumulate` names, in its async form, it takes responses of aiohttp, `asyncio.StreamReader` and the
    files of aiofiles, anyio and trio.
    """
    return AsyncRunStream(open_async_source(source), new_or_given(into, strict=strict, limits=limits))


def new_or_given(into: Accumulator | None, *, strict: bool, limits: Limits) -> Accumulator:
    """Give the accumulator to fold into; `strict` and `limits` can only be those of a new one."""
    if into is None:
        return Accumulator(strict=strict, limits=limits)
    if strict or limits is not DEFAULT_LIMITS:
        raise TypeError("strict and limits belong to the accumulator: with into= give them to Accumulator() instead")
    return into


class _Reading:
    """A source being read into an accumulator, without the reading: it says what is next and is told what came."""

    def __init__(self, accumulator: Accumulator, *, single: bool) -> None:
        self.accumulator = accumulator
        self._intake = accumulator._intake()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a stream is its source
        self._single = single
        self._updates: deque[Update] = deque()
        self._ending: Callable[[], list[Update]] | None = None  # what to do once all that was read is applied
        self._ended = False
        self._closed = self._cut = False
        self._error: Exception | None = None
        self._raised = False

    @property
    def more(self) -> bool:
        """Whether the source is to be read on."""
        return self._ending is None and not self._over

    @property
    def _over(self) -> bool:
        return self._ended or (self._single and self._intake.finished)

    def next_update(self) -> Update | None:
        """Give the next update; None if the source is to be read for it or, without `more`, if that was the last."""
        while not self._updates and not self._over:
            updates = self._advance()
            if updates is None:
                return None
            self._updates.extend(updates)
        if self._updates:
            return self._updates.popleft()
        if self._error is not None and not self._raised:
            self._raised = True
            raise self._error
        return None

    def _advance(self) -> list[Update] | None:
        """Apply one event, or end the body if its source is at its end; None if neither can be done."""
        try:
            updates = self._intake.step()
            if updates is None and self._ending is not None:
                updates = self._ending()
                self._ended = True
        except AccumulatorError as error:
            error.accumulator = self.accumulator
            raise
        return updates

    def push(self, item: object) -> None:
        """Take what the source gave; what is neither bytes nor event ends the body, then its `TypeError` comes out."""
        try:
            event = framed(item)
        except TypeError as error:
            self._error, self._ending = error, self._intake.fail
            return
        if isinstance(event, bytes):
            self._intake.push(event)
        else:
            self._intake.push_event(*event)

    def end(self) -> None:
        """Take note that the source is at its end."""
        self._ending = self._intake.end

    def fail(self, error: Exception) -> None:
        """Take note that the source broke; an answer that was refused is no body."""
        if isinstance(error, ResponseError):
            error.accumulator = self.accumulator
            self._error, self._ended = error, True
            return
        truncated = TruncatedError(f"expected the stream to go on, its source raised {type(error).__name__}: {error}")
        truncated.accumulator, truncated.__cause__ = self.accumulator, error
        self._error, self._ending = truncated, self._intake.fail

    def close(self) -> bool:
        """Be over, a body still open is given up; False if that was so before."""
        if self._closed:
            return False
        if not self._over:
            self._cut = not self._intake.body.began  # else the outcome says how it ended
            self._intake.abandon()
        self._closed = self._ended = self._raised = True
        self._updates.clear()
        return True

    def drained(self) -> Accumulator:
        """Give the accumulator, unless the source broke: that error comes out again."""
        if self._error is not None:
            raise self._error
        return self.accumulator

    def final_run_steps(self) -> list[RunStep]:
        """Give the run steps, unless the stream was cut or said that the run failed."""
        accumulator = self.drained()
        error: AccumulatorError
        if self._cut or accumulator.outcome == "truncated":
            error = TruncatedError("expected the stream to end in done, an error or a final status, it was cut before")
        elif accumulator.outcome == "error":
            error = RunError("expected the run to end, it came to an error; see .error", accumulator.error)
        else:
            return accumulator.run_steps()
        error.accumulator = accumulator
        raise error


class RunStream:
    """An iterator of updates over a source that is being folded; `accumulate` and `connect` make it.

    One event of the server is applied at a time, so that in the loop `accumulator.run_step(id)` is the state after the
    event in hand. In strict mode the loop may go on after a `MergeError`, whose `updates` are those of its event. A
    source that raises ends the body: its `BodyEnded` comes first, then `TruncatedError` with the original as its cause.

    As a context manager it closes what it took when the block is left, by whatever way. A bare `break` closes nothing:
    Python does not tell an iterator.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def __init__(self, source: Source, accumulator: Accumulator) -> None:
        """Read nothing yet."""
        self.accumulator = accumulator
        self._source = source
        self._reading = _Reading(accumulator, single=source.single)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Update:
        reading = self._reading
        while (update := reading.next_update()) is None:
            if not reading.more:
                raise StopIteration
            try:
                item = next(self._source)
            except StopIteration:
                reading.end()
            except Exception as error:  # noqa: BLE001 - whatever a source raises, the body ends and it comes out as the cause
                reading.fail(error)
            else:
                reading.push(item)
        return update

    def until_done(self) -> Accumulator:
        """Read to the end, or go on to it where a loop stopped, and give the accumulator.

        Raises:
            TruncatedError: the source raised; never for an outcome, which is to be read from the accumulator.
            ResponseError: a response is no event stream.
            MergeError, LimitError: as in the loop; the next call goes on.

        """
        for _ in self:
            pass
        return self._reading.drained()

    def final_run_steps(self) -> list[RunStep]:
        """Read to the end and give the run steps, in the order in which they were first seen.

        Raises:
            TruncatedError: the stream was cut; what came is in the `accumulator` of the error.
            RunError: the stream ended in an error event; the same.
            ResponseError, MergeError, LimitError: as `until_done`.

        """
        self.until_done()
        return self._reading.final_run_steps()

    def close(self) -> None:
        """Close what was given to read, and end the iteration and an open body. Closing again does nothing."""
        if self._reading.close():
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception as error:
            if exc is None:
                raise
            exc.add_note(_CLOSING_FAILED.format(error))


class AsyncRunStream:
    """An async iterator of updates: `RunStream`'s twin, which `aaccumulate` and `aconnect` make.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def __init__(self, source: AsyncSource, accumulator: Accumulator) -> None:
        """Read nothing yet."""
        self.accumulator = accumulator
        self._source = source
        self._reading = _Reading(accumulator, single=source.single)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        reading = self._reading
        while (update := reading.next_update()) is None:
            if not reading.more:
                raise StopAsyncIteration
            try:
                item = await anext(self._source)
            except StopAsyncIteration:
                reading.end()
            except Exception as error:  # noqa: BLE001 - as in the sync loop
                reading.fail(error)
            else:
                reading.push(item)
        return update

    async def until_done(self) -> Accumulator:
        """Read to the end and give the accumulator, as `RunStream.until_done`."""
        async for _ in self:
            pass
        return self._reading.drained()

    async def final_run_steps(self) -> list[RunStep]:
        """Read to the end and give the run steps, as `RunStream.final_run_steps`."""
        await self.until_done()
        return self._reading.final_run_steps()

    async def aclose(self) -> None:
        """Close what was given to read and end the iteration, as `RunStream.close`."""
        if self._reading.close():
            await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        except Exception as error:
            if exc is None:
                raise
            exc.add_note(_CLOSING_FAILED.format(error))
