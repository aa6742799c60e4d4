"""Reads of an async source that may be waited for in turns, so that something else can be done while it is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from accumulator._streams.sources import AsyncSource

NOT_YET: Final = object()
"""What a read gives whose wait was over before it was."""


class Reads:
    """The items of an async source, each waited for as long as is said. A read that outlasts its wait goes on.

    To go on it needs a task of its own, of asyncio. It gets one where a wait has an end, and only there.
    """

    def __init__(self, source: AsyncSource) -> None:
        """Read nothing yet."""
        self._source = source
        self._task: asyncio.Task[object] | None = None

    async def next(self, seconds: float | None) -> object:
        """Give the next item, or `NOT_YET` after so many seconds; the next call waits for the same item.

        None waits as long as it takes, and so does any wait where no task of asyncio runs, as under trio. Whoever is
        cancelled here cancels the read, as if there were no task between; what the source makes of that comes next.
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
        """Cancel a read that goes on, and wait until it has ended; one that came to something all the same is kept.

        Whoever is cancelled here cancels the read once more, and waits on: a source is not closed while it is read.
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
    task.add_done_callback(_look_at)
    return task


def _look_at(task: asyncio.Task[object]) -> None:
    """Take note of what a read raised: asyncio complains where nobody does, as when the stream was left before."""
    if not task.cancelled():
        task.exception()
