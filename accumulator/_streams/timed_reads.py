"""Reads of an async source with a time limit, so that a loop can do something else while the source is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from accumulator._streams.sources import AsyncSource

NOT_YET: Final = object()
"""The result of a read that took longer than its limit."""


class TimedReads:
    """The items of an async source, read one by one. A read that takes longer than its limit goes on.

    To go on, a read needs an asyncio task of its own. It gets one only where there is a limit.
    """

    def __init__(self, source: AsyncSource) -> None:
        """Read nothing yet."""
        self._source = source
        self._task: asyncio.Task[object] | None = None

    async def next(self, seconds: float | None) -> object:
        """Return the next item, or `NOT_YET` after so many seconds; the next call waits for the same item.

        There is no limit if `seconds` is None, or where no asyncio task runs, as under trio. Cancelling this call
        cancels the read, as if there were no task between them; what the source makes of that, the next call returns.
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
        """Cancel a read that goes on, and wait until it has ended. If it still got an item, that is kept.

        Cancelling this call cancels the read once more and waits on: a source must not be closed while it is read.
        """
        task, cancelled = self._task, None
        if task is not None and not task.done():
            import asyncio

            while not task.done():
                task.cancel()
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
    except RuntimeError:  # no loop runs
        return False


def _start(source: AsyncSource) -> asyncio.Task[object]:
    import asyncio

    task = asyncio.create_task(cast("Coroutine[None, None, object]", anext(source)))
    task.add_done_callback(_retrieve_exception)
    return task


def _retrieve_exception(task: asyncio.Task[object]) -> None:
    """Look at what a read raised, as nobody may after a close: asyncio logs an exception that is never retrieved."""
    if not task.cancelled():
        task.exception()
