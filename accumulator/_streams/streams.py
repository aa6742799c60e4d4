"""Streams of updates, sync and async, and the base classes that make streams and taps context managers.

A stream does the I/O: it reads the source and calls the handler. The rest of the logic is in `Reading`.
"""

from __future__ import annotations

import time
from _thread import get_ident  # `threading`, which has it too, is slow to import
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from accumulator._errors import note_failure
from accumulator._streams.deadlines import check_clock
from accumulator._streams.hooks import Callback, acall, call
from accumulator._streams.readers import Readers
from accumulator._streams.reading import STEPS_IN_A_TURN, Reading
from accumulator._streams.timed_reads import NOT_YET, TimedReads, is_cancellation
from accumulator._streams.turns import Turns, in_asyncio

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from accumulator._engine.accumulator import BaseAccumulator
    from accumulator._engine.protocol import Fragment
    from accumulator._streams.coalesce import Coalescer
    from accumulator._streams.deadlines import Deadlines
    from accumulator._streams.sources import AsyncSource, Source

A = TypeVar("A")
"""A `BaseAccumulator[U]`. It has no bound, because a bound must not name another type variable."""
U = TypeVar("U")

_CLOSING_FAILED = "closing the source failed too"


def make_coalescer(
    min_interval: float | None, clock: Callable[[], float], fragment_of: Callable[[U], Fragment[U] | None]
) -> Coalescer[U] | None:
    """Return a `Coalescer`, or None without an interval: then no delta is held. Raises as `Coalescer`."""
    if min_interval is None:
        return None
    from accumulator._streams.coalesce import Coalescer

    return Coalescer(min_interval, clock, fragment_of)


class Closing(ABC):
    """A context manager that calls `close` when the block is left.

    If `close` raises while another exception propagates, its error becomes a note on that exception.
    """

    @abstractmethod
    def close(self) -> None:
        """Close the source."""

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
            note_failure(exc, _CLOSING_FAILED, error)


class AsyncClosing(ABC):
    """The async version of `Closing`: it awaits `aclose`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the source."""

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
            note_failure(exc, _CLOSING_FAILED, error)


class UpdateStream(Closing, Generic[A, U]):
    """An iterator of the updates of a source that is read into an accumulator.

    It has one reader at a time, as `Readers` says.

    Attributes:
        accumulator: the accumulator that the source is folded into; it may be read at any time.

    """

    def __init__(
        self,
        source: Source,
        accumulator: A,
        handler: Callback[U] | None = None,
        coalescer: Coalescer[U] | None = None,
    ) -> None:
        """Store the arguments; nothing is read until the first step."""
        self.accumulator: A = accumulator
        self._source = source
        self._reading: Reading[U] = Reading(
            cast("BaseAccumulator[U]", accumulator), one_body=source.one_body, handler=handler, coalescer=coalescer
        )
        self._ready, self._next_fast_update = self._reading.ready, self._reading.next_fast_update
        self._readers = Readers(get_ident)

    def __iter__(self) -> Self:
        self._reading.expect_read()  # as a drain does at its end, unless an interrupt came
        return self

    def __next__(self) -> U:
        # The fast path takes most events; they need nothing else of this class, but for a read.
        fast = self._next_fast_update
        if fast is not None and not self._ready:
            update = None
            try:
                self._next_fast_update = None  # nobody may take a step meanwhile
                update = fast()
                if update is None and self._reading.is_idle:
                    self._readers.enter()
                    self._readers.level = 1
                    self._read()
                    self._readers.level = 0
                    update = fast()
                self._next_fast_update = fast
                if update is not None:
                    return update
            except BaseException:
                self._readers.level, self._next_fast_update = 0, fast
                self._reading.put_back(update)
                raise
        return self._next_alone()

    def _next_alone(self) -> U:
        """Return the next update, unless another reader's step is under way."""
        self._enter()
        update, level, fast = None, self._readers.level, self._next_fast_update
        try:
            self._readers.level, self._next_fast_update = level + 1, None
            update = self._next()
            self._readers.level, self._next_fast_update = level, fast
            if update is None:
                raise StopIteration  # noqa: TRY301 - an exception here puts the update back
            return update  # noqa: TRY300 - as above
        except BaseException:
            self._readers.level, self._next_fast_update = level, fast
            self._reading.put_back(update)
            raise

    def _enter(self) -> None:
        """Begin a step. Read what it changes only after this: the step of another reader may end meanwhile."""
        in_fast_step = self._next_fast_update is None and self._reading.next_fast_update is not None
        self._readers.enter(in_fast_step=in_fast_step)

    def _next(self) -> U | None:
        reading, update = self._reading, None
        try:
            while (update := reading.next_update()) is None and self._do_next():
                pass
            return update  # noqa: TRY300 - an exception here puts it back
        except BaseException:
            reading.put_back(update)
            raise

    def _do_next(self) -> bool:
        """Call the handler or read the source, whichever is due. Return False if neither is."""
        reading, handler_call = self._reading, None
        try:
            if (handler_call := reading.next_call()) is not None:
                call(handler_call)
                return True
        except Exception as error:  # noqa: BLE001 - the reading raises it again
            reading.break_off(error)
            return True
        except BaseException:
            if handler_call is not None:  # how much of it was done is not known
                reading.note_interrupt()
            raise
        if not reading.wants_read:
            return False
        self._read()
        return True

    def _read(self) -> None:
        done = False
        try:
            try:
                item = next(self._source)
            except StopIteration:
                self._reading.end()
            except Exception as error:  # noqa: BLE001 - the reading raises it, or an error that it causes
                self._reading.fail(error)
            else:
                self._reading.push(item)
            done = True
        finally:
            if not done:
                self._reading.note_interrupt()

    def until_done(self) -> A:
        """Read to the end and return the accumulator. A loop over the stream may have read a part before.

        No outcome raises an error: read the outcome from the accumulator. A stream that was closed is at its end.

        Raises:
            TruncatedError: the source raised before the outcome was known; its exception is the cause.
            ResponseError: the response is no event stream.
            TypeError: an item of the source is neither bytes nor an event, or the handler returned a coroutine.
            MergeError, LimitError: as in a loop over the stream. The next call goes on after that event.
            RecursionError: the stack is too small for an event. The next call tries that event again.
            RuntimeError: another reader's step is under way; nothing changes.
            Exception: what the handler raised, unchanged; but a `RuntimeError` instead of `StopIteration` or
                `StopAsyncIteration`.

        Cancellation, `KeyboardInterrupt` and other exceptions that are no `Exception` pass unchanged and end nothing.
        An error that ended the stream is raised by each later call too.

        """
        self._enter()
        level, fast = self._readers.level, self._next_fast_update
        try:
            self._readers.level, self._next_fast_update = level + 1, None
            self._reading.expect_unread()
            while self._next() is not None:
                pass
        finally:
            self._readers.level, self._next_fast_update = level, fast
            self._reading.expect_read()
        self._reading.raise_error()
        return self.accumulator

    def close(self) -> None:
        """Close the source, end the iteration and abandon an open body. Closing again does nothing.

        Call it in the thread that reads. From another thread it wakes no read that waits: the loop of the reader ends
        when the read returns, so set the read timeout of the client. Until then `close` waits (requests, urllib, files
        and pipes), or raises `ValueError` (generators, httpx and httpx2, whose response is closed all the same).
        """
        if self._reading.close():
            self._source.close()


class AsyncUpdateStream(AsyncClosing, Generic[A, U]):
    """The async version of `UpdateStream`: an async iterator over a source that is read with `await`.

    Attributes:
        accumulator: the accumulator that the source is folded into; it may be read at any time.

    """

    def __init__(  # noqa: PLR0913 - what both loops need, and what only one that waits does
        self,
        source: AsyncSource,
        accumulator: A,
        handler: Callback[U] | None = None,
        coalescer: Coalescer[U] | None = None,
        *,
        deadlines: Deadlines | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the arguments; nothing is read until the first step."""
        from asyncio import current_task

        self.accumulator: A = accumulator
        self._source = source
        self._deadlines = deadlines
        self._reading: Reading[U] = Reading(
            cast("BaseAccumulator[U]", accumulator),
            one_body=source.one_body,
            handler=handler,
            coalescer=coalescer,
            turns=True,
        )
        self._ready, self._pending = self._reading.ready, self._reading.pending
        self._turns = Turns(check_clock(clock))
        self._readers = Readers(current_task)
        self._reads = TimedReads(source, self._readers)

    def __aiter__(self) -> Self:
        self._reading.expect_read()  # as in the sync loop
        return self

    async def __anext__(self) -> U:
        reading, readers, update = self._reading, self._readers, None
        level, fast = readers.level, reading.next_fast_update
        try:
            if fast is not None and not level and not self._ready:  # most events need no more than this
                if not self._pending and reading.is_idle:
                    readers.enter()
                    readers.level = 1
                    await self._read()
                    readers.level = 0
                if (update := fast()) is not None:
                    return update
            readers.enter()
            readers.level = level + 1
            while (update := reading.next_update()) is None:
                if reading.wants_only_read:
                    await self._read()
                elif not await self._do_next():
                    raise StopAsyncIteration  # noqa: TRY301 - there is nothing to put back then
            readers.level = level
            return update  # noqa: TRY300 - an exception here puts it back
        except BaseException:
            readers.level = level
            reading.put_back(update)
            raise

    async def _do_next(self) -> bool:
        """Call the handler or give a turn, whichever is due. Return False if neither is, and nothing is to be read."""
        reading, handler_call = self._reading, None
        try:
            if (handler_call := reading.next_call()) is not None:
                await acall(handler_call)
                return True
        except Exception as error:  # noqa: BLE001 - the reading raises it again
            reading.break_off(error)
            return True
        except BaseException as error:
            if handler_call is not None and not is_cancellation(error):  # as in the sync loop
                reading.note_interrupt()
            raise
        if reading.steps <= 0:
            if self._turns.due:
                await self._turns.give()
            reading.steps = STEPS_IN_A_TURN
            return True
        return reading.wants_read

    async def _read(self) -> None:
        reading, reads, deadlines, due = self._reading, self._reads, self._deadlines, self._reading.due()
        if deadlines is not None:
            self._check_deadlines(deadlines)
        item, done = NOT_YET, False
        try:
            try:
                item = await (reads.next(due) if deadlines is None else reads.next_in_time(due, deadlines))
            except BaseException as error:
                if reads.finish(error) or isinstance(error, StopAsyncIteration):
                    reading.end()
                elif isinstance(error, Exception):
                    reading.fail(error, deadline=deadlines is not None and error is deadlines.passed)
                else:
                    raise
            else:
                reads.finish(None)
                if item is not NOT_YET:
                    reading.push(item)
            done = True
        except BaseException as error:
            reads.finish(None)  # an interrupt may have come before
            if not done and (item is not NOT_YET or not is_cancellation(error)):
                reading.note_interrupt()
            raise

    def _check_deadlines(self, deadlines: Deadlines) -> None:
        if not in_asyncio():
            raise RuntimeError("idle_timeout and total_timeout need asyncio: use the deadlines of your event loop")
        deadlines.count_events(self._reading.event_number)

    async def until_done(self) -> A:
        """Read to the end and return the accumulator. This is the async version of `UpdateStream.until_done`.

        It raises `TruncatedError` also if a deadline passed before the outcome was known, with the `TimeoutError` as
        the cause, and `RuntimeError` at the first read if there are deadlines and no asyncio. A handler may return a
        coroutine.
        """
        try:
            self._reading.expect_unread()
            with suppress(StopAsyncIteration):
                while True:
                    await anext(self)
        finally:
            self._reading.expect_read()
        self._reading.raise_error()
        return self.accumulator

    async def aclose(self) -> None:
        """Close the source, end the iteration and abandon an open body. Closing again does nothing.

        It may be called in another task than the reader's. A read that waits is cancelled, and the reader's loop ends
        as at the end of the stream. Without asyncio, as under trio, the source decides what becomes of the read.
        """
        if self._reading.close():
            try:
                await self._reads.stop()
            finally:
                await self._source.aclose()
