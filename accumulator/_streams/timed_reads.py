"""Read an async source with a time limit, so that a loop can do something else while the source is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from accumulator._streams.sources import AsyncSource

NOT_YET: Final = object()
"""What `TimedReads.next` returns if no item arrives within the limit."""


class TimedReads:
    """Reads the items of an async source one by one. A read goes on after its limit is over.

    For that, a read needs an asyncio task of its own. A read without a limit gets no task.
    """

    def __init__(self, source: AsyncSource) -> None:
        """Store the source; nothing is read until the first call of `next`."""
        self._source = source
        self._task: asyncio.Task[object] | None = None

    async def next(self, seconds: float | None) -> object:
        """Return the next item, or `NOT_YET` if it takes longer than `seconds`. Then the next call waits for that item.

        There is no limit if `seconds` is None, or if no asyncio task runs, as under trio. Cancelling this call cancels
        the read too. If the source swallows the cancellation, the next call returns or raises the result of the read.
        """
        if self._task is None:
            if seconds is None or not _in_asyncio():
                return await anext(self._source)
            self._task = _start(self._source)
        import asyncio

        task = self._task
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            await self.cancel()
            raise
        if not task.done():
            return NOT_YET
        self._task = None
        return task.result()

    async def cancel(self) -> None:
        """Cancel the current read, if there is one, and wait until it ends. An item that it returns is kept for `next`.

        The read is cancelled once. A further cancellation of this call does not reach it, because it could break off
        the closing of a connection: the call waits for the read, then raises the cancellation.
        """
        task, cancelled = self._task, None
        if task is not None and not task.done():
            import asyncio

            task.cancel()
            while not task.done():
                try:
                    await asyncio.wait({task})
                except asyncio.CancelledError as error:
                    cancelled = error
        if task is not None and task.cancelled():
            self._task = None
        if cancelled is not None:
            raise cancelled


def _in_asyncio() -> bool:
    import asyncio

    try:
        return asyncio.current_task() is not None
    except RuntimeError:  # no event loop runs
        return False


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
