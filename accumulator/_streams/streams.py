"""The two loops, sync and async. What they share is in `Reading`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from accumulator._streams.hooks import Callback, acall, call
from accumulator._streams.reading import Reading
from accumulator._streams.timed_reads import NOT_YET, TimedReads

if TYPE_CHECKING:
    from types import TracebackType

    from accumulator._engine.accumulator import BaseAccumulator
    from accumulator._streams.coalesce import Coalescer
    from accumulator._streams.sources import AsyncSource, Source

A = TypeVar("A")
"""A `BaseAccumulator[U]`; a bound cannot say so, as it must not name another type variable."""
U = TypeVar("U")

_CLOSING_FAILED = "closing the source failed too: {0!r}"


class Closing(ABC):
    """A context manager that closes itself. If that fails while an exception passes, it is a note on the exception."""

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
            exc.add_note(_CLOSING_FAILED.format(error))


class AsyncClosing(ABC):
    """`Closing` for `async with`."""

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
            exc.add_note(_CLOSING_FAILED.format(error))


class UpdateStream(Closing, Generic[A, U]):
    """An iterator of updates over a source that is read into an accumulator.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def __init__(
        self,
        source: Source,
        accumulator: A,
        handler: Callback[U] | None = None,
        coalescer: Coalescer[U] | None = None,
    ) -> None:
        """Read nothing yet."""
        self.accumulator: A = accumulator
        self._source = source
        self._reading: Reading[U] = Reading(
            cast("BaseAccumulator[U]", accumulator), one_body=source.one_body, handler=handler, coalescer=coalescer
        )
        self._ready, self._fast_path = self._reading.ready, self._reading.fast_path

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> U:
        # Most events go by the fast path: for them this is all there is.
        if not self._ready and (update := self._fast_path()) is not None:
            return update
        if (update := self._next()) is None:
            raise StopIteration
        return update

    def _next(self) -> U | None:
        reading = self._reading
        while (update := reading.next_update()) is None:
            if (hook := reading.next_hook()) is not None:
                try:
                    call(hook)
                except Exception as error:  # noqa: BLE001 - whatever a hook raises comes out of the reading
                    reading.break_off(error)
            elif reading.more:
                self._read()
            else:
                return None
        return update

    def _read(self) -> None:
        try:
            item = next(self._source)
        except StopIteration:
            self._reading.end()
        except Exception as error:  # noqa: BLE001 - whatever a source raises, the body ends and it comes out as the cause
            self._reading.fail(error)
        else:
            self._reading.push(item)

    def until_done(self) -> A:
        """Read to the end, also from where a loop stopped, and return the accumulator.

        Raises:
            TruncatedError: the source raised. An outcome raises nothing: read it from the accumulator.
            ResponseError: a response is no event stream.
            MergeError, LimitError: as in the loop; the next call goes on.

        What a hook raised comes out unchanged, at this call and those after it.

        """
        with self._reading.draining():
            while self._next() is not None:
                pass
        self._reading.raise_error()
        return self.accumulator

    def close(self) -> None:
        """Close the source, end the iteration, and give up a body that is open. Closing again does nothing."""
        if self._reading.close():
            self._source.close()


class AsyncUpdateStream(AsyncClosing, Generic[A, U]):
    """An async iterator of updates: `UpdateStream` for a source that is read with `await`.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def __init__(
        self,
        source: AsyncSource,
        accumulator: A,
        handler: Callback[U] | None = None,
        coalescer: Coalescer[U] | None = None,
    ) -> None:
        """Read nothing yet."""
        self.accumulator: A = accumulator
        self._source = source
        self._reads = TimedReads(source)
        self._reading: Reading[U] = Reading(
            cast("BaseAccumulator[U]", accumulator), one_body=source.one_body, handler=handler, coalescer=coalescer
        )
        self._ready, self._fast_path = self._reading.ready, self._reading.fast_path

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> U:
        if not self._ready and (update := self._fast_path()) is not None:
            return update
        if (update := await self._next()) is None:
            raise StopAsyncIteration
        return update

    async def _next(self) -> U | None:
        reading = self._reading
        while (update := reading.next_update()) is None:
            if (hook := reading.next_hook()) is not None:
                try:
                    await acall(hook)
                except Exception as error:  # noqa: BLE001 - as in the sync loop
                    reading.break_off(error)
            elif reading.more:
                await self._read()
            else:
                return None
        return update

    async def _read(self) -> None:
        try:
            item = await self._reads.next(self._reading.due())
        except StopAsyncIteration:
            self._reading.end()
        except Exception as error:  # noqa: BLE001 - as in the sync loop
            self._reading.fail(error)
        else:
            if item is not NOT_YET:
                self._reading.push(item)

    async def until_done(self) -> A:
        """Read to the end and return the accumulator, as the sync `until_done`."""
        with self._reading.draining():
            while await self._next() is not None:
                pass
        self._reading.raise_error()
        return self.accumulator

    async def aclose(self) -> None:
        """Close the source, end the iteration, and give up a body that is open. Closing again does nothing."""
        if self._reading.close():
            try:
                await self._reads.cancel()
            finally:
                await self._source.aclose()
