"""Read an async source with a time limit, so that a loop can do something else while the source is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from accumulator._streams.turns import in_asyncio

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Coroutine

    from accumulator._streams.deadlines import Deadlines
    from accumulator._streams.readers import Readers
    from accumulator._streams.sources import AsyncSource

_T = TypeVar("_T")

NOT_YET: Final = object()
"""What `TimedReads.next` returns if no item arrives within the limit."""


class TimedReads:
    """Reads the items of an async source one by one. A read goes on after its limit is over.

    For that, a read needs an asyncio task of its own. A read without a limit gets no task: the reader's task reads.
    """

    def __init__(self, source: AsyncSource, readers: Readers) -> None:
        """Store the source, and what knows the reader's task; nothing is read until the first call of `next`."""
        self._source = source
        self._readers = readers
        self._task: asyncio.Task[object] | None = None
        # From `next` to `finish`, while the reader's task reads: the task, and how many of its cancellations were not
        # taken back before.
        self._direct: tuple[asyncio.Task[object], int] | None = None
        self._stop: _Stop | None = None

    def next(self, seconds: float | None) -> Awaitable[object]:
        """Return the next item, or `NOT_YET` if it takes longer than `seconds`. Then the next call waits for that item.

        There is no limit if `seconds` is None, or if no asyncio task runs, as under trio. Cancelling this call cancels
        the read too. If the source swallows the cancellation, the next call returns or raises the result of the read.
        After `stop` the call ends with `StopAsyncIteration`, or with an exception of which `finish` says that.

        Call `finish` after each call, also if the call itself raises.
        """
        source = self._source
        if self._task is None:
            if seconds is None or not in_asyncio():
                reader: asyncio.Task[object] | None = self._readers.runner  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] - of asyncio
                self._direct = None if reader is None else (reader, reader.cancelling())
                return anext(source if source.rest is None else source.rest)
            self._task = _start(source)
        return self._next_of(self._task, seconds)

    def finish(self, error: BaseException | None) -> bool:
        """End a call of `next` that ended with this error. Return whether `stop` made the error. It may be repeated."""
        self._direct = None
        return self._stop is not None and self._stop.take_back(error)

    async def _next_of(self, task: asyncio.Task[object], seconds: float | None) -> object:
        import asyncio

        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            await self._cancel()
            raise
        if not task.done():
            return NOT_YET
        self._task = None
        if self._stop is not None and task.cancelled():
            raise StopAsyncIteration
        return task.result()

    async def next_in_time(self, seconds: float | None, deadlines: Deadlines) -> object:
        """Return what `next` returns. Raise the error of the deadline that passes while this waits.

        The read is cancelled then, as if the caller was. An item that it returns all the same is returned. If the time
        is up already, nothing is read: a read that never waits would not notice. Call it only if an asyncio task runs.

        The deadlines do not count for what was read ahead, and for the body of a refused response: it is read for a
        second at most, and the caller has to know its status.
        """
        import asyncio

        if self._source.refused or self._source.has_read_ahead:
            return await self.next(seconds)
        name, left = deadlines.next()
        if not left:
            return await self._expire(name, deadlines)
        began = deadlines.clock()
        timeout = asyncio.timeout(left)
        try:
            async with timeout:
                return await self.next(seconds)
        except Exception:
            if not timeout.expired():
                raise
            return await self._expire(name, deadlines)
        finally:
            deadlines.add(deadlines.clock() - began)

    async def _expire(self, name: str, deadlines: Deadlines) -> object:
        """Cancel the read that has a task. Return its item if it has one all the same, else raise the error."""
        await self._cancel()
        if self._task is not None and self._task.exception() is None:
            return await self.next(None)
        raise deadlines.expire(name) from None

    async def stop(self) -> None:
        """End the current read, if there is one, and wait until it ends.

        A read that the current task makes itself goes on: it is the read that called this.
        """
        self._stop = _Stop(self._direct if self._readers.level else None)
        if self._stop.ended is not None:
            await _wait(self._stop.ended)
        else:
            await self._cancel()

    async def _cancel(self) -> None:
        """Cancel the read that has a task, if there is one. An item that it returns is kept for `next`.

        The read is cancelled once. A further cancellation of this call does not reach it, because it could break off
        the closing of a connection: the call waits for the read, then raises the cancellation.
        """
        if (task := self._task) is None:
            return
        try:
            if not task.done():
                task.cancel()
                await _wait(task)
        finally:
            if task.cancelled():
                self._task = None


class _Stop:
    """Stops a read that the reader's task makes: cancels the task, which takes that back and goes on.

    Attributes:
        ended: done when the read has ended; None if nothing is cancelled.

    """

    def __init__(self, direct: tuple[asyncio.Task[object], int] | None) -> None:
        """Cancel the reader's task, unless it is the current one.

        Args:
            direct: the task, and how many of its cancellations were not taken back before the read; None if no task
                of asyncio reads itself.

        """
        import asyncio

        self.ended: asyncio.Future[None] | None = None
        if direct is not None and direct[0] is not asyncio.current_task():
            self.ended = asyncio.get_running_loop().create_future()
            self._reader, self._cancelling = direct
            self._reader.cancel()

    def take_back(self, error: BaseException | None) -> bool:
        """End the read with its error, or None. Return whether the error is the cancellation that was made here.

        Only the first call does anything.
        """
        import asyncio

        if self.ended is None or self.ended.done():
            return False
        self.ended.set_result(None)
        return self._reader.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError)


async def _wait(future: asyncio.Future[_T]) -> None:
    """Wait until a future is done. A cancellation is raised after that."""
    import asyncio

    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _start(source: AsyncSource) -> asyncio.Task[object]:
    import asyncio

    task = asyncio.create_task(cast("Coroutine[None, None, object]", anext(source)))
    task.add_done_callback(_retrieve_exception)
    return task


def _retrieve_exception(task: asyncio.Task[object]) -> None:
    """Retrieve the exception of a read, because asyncio logs an exception that nobody retrieves.

    After a close, no call of `next` would retrieve it.
    """
    if not task.cancelled():
        task.exception()


def is_cancellation(error: BaseException) -> bool:
    """Tell whether an exception cancels a wait: one of asyncio or trio, neither of which is imported, or a close."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return not names.isdisjoint({"Cancelled", "CancelledError", "GeneratorExit"})
