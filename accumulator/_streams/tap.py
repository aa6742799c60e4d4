"""Watch a stream that somebody else consumes: return its chunks unchanged, and fold them on the way.

Whoever iterates over a tap is its consumer. The chunks matter more than the fold: if folding or the handler fails, the
consumer still gets every chunk. An exception of the source is raised to the consumer. Both taps share `_Tapping`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from accumulator._streams.hooks import Callback, acall, call
from accumulator._streams.openers import BYTES_LIKE, NEXT_BODY
from accumulator._streams.reading import Reading
from accumulator._streams.streams import AsyncClosing, Closing
from accumulator._streams.timed_reads import is_cancellation

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._engine.accumulator import BaseAccumulator
    from accumulator._streams.sources import AsyncSource, Source

A = TypeVar("A")
"""A `BaseAccumulator[U]`, as in `streams`."""
U = TypeVar("U")


class _Tapping(Generic[U]):
    """The state of a tap, without I/O: the current chunk, and the calls of the handler to make before it is returned.

    Attributes:
        error: the error that ended the folding; None while folding goes on, and after a normal end.

    """

    def __init__(
        self, source: Source | AsyncSource, accumulator: BaseAccumulator[U], handler: Callback[U] | None
    ) -> None:
        """Store the arguments. The chunks of a refused response are passed on too, but not folded."""
        self.error: Exception | None = None
        self._reading = Reading(accumulator, one_body=source.one_body, handler=handler)
        self._reading.expect_unread()
        self._source: Source | AsyncSource | None = source  # None once its refusal is known
        source.passes_refused = True
        self._current: object = None  # a chunk, or an exception of the source
        self._at_end = False

    @property
    def wants_read(self) -> bool:
        """Whether the tap has to read the source."""
        return self._current is None and not self._at_end

    def push(self, chunk: object) -> None:
        """Store a chunk, to be folded by `next_call`. The consumer gets a `TypeError` for an item that is no chunk."""
        if chunk is NEXT_BODY:
            if self._reading.wants_read:
                self._reading.push(chunk)
            return
        if not isinstance(chunk, BYTES_LIKE):
            got = type(chunk).__name__
            self.fail(TypeError(f"a tap passes chunks of bytes on, got {got}: give it the source of the bytes"))
            return
        self._current = chunk
        try:
            data = bytes(cast("bytes", chunk))
            self._refuse(data)
            if self._reading.wants_read:
                self._reading.push(data)
        except Exception as error:  # noqa: BLE001 - after any error the chunk is still passed on
            self._reading.break_off(error)

    def end(self) -> None:
        """End because the source ended."""
        self._at_end = True
        self._refuse(b"")
        self._reading.end()

    def fail(self, error: Exception) -> None:
        """End because the source raised. `release` raises the error to the consumer."""
        self._current = error
        self._refuse(b"")
        self._reading.end(failed=True)

    def next_call(self) -> Callable[[], object] | None:
        """Fold up to the next call of the handler and return that call, or None if the current chunk needs no more."""
        try:
            while self.error is None and self._reading.next_update() is not None:
                pass
        except Exception as error:  # noqa: BLE001 - as in `push`
            self.error = error
            self._reading.break_off(error)
        return self._reading.next_call()

    def handler_failed(self, error: Exception) -> None:
        """End the folding because the handler raised."""
        self._reading.break_off(error)

    def note_interrupt(self) -> None:
        """Report that an exception broke off a read or a call of the handler, so that something may be lost."""
        self._reading.note_interrupt()

    def release(self) -> bytes | None:
        """Return the current chunk, or None at the end; raise the exception of the source if it raised."""
        current, self._current = self._current, None
        if isinstance(current, Exception):
            raise current
        return cast("bytes | None", current)

    def close(self) -> bool:
        """End because the tap is closed, and abandon an open body. Return False if closed before."""
        self._at_end, self._current = True, None
        return self._reading.close()

    def _refuse(self, start: bytes) -> None:
        """End the folding if the response was refused; `start` is the start of its body."""
        if self._source is not None and self._source.refused:
            self._reading.fail(self._source.refusal(start))
            self._source = None


class ByteTap(Closing, Generic[A, U]):
    """An iterator of the chunks of a source, as the same objects, that folds each chunk before it returns the chunk.

    Attributes:
        accumulator: the accumulator that the chunks are folded into; it may be read at any time.

    """

    def __init__(self, source: Source, accumulator: A, handler: Callback[U] | None = None) -> None:
        """Store the arguments; nothing is read until the first step."""
        self.accumulator: A = accumulator
        self._source = source
        self._tapping: _Tapping[U] = _Tapping(source, cast("BaseAccumulator[U]", accumulator), handler)

    @property
    def error(self) -> Exception | None:
        """The error that ended the folding, or None. After an error, chunks are passed on without folding.

        The error is a `MergeError` of a strict accumulator, a `LimitError`, a `ResponseError` if the response is no
        event stream, or the exception of the handler. An exception of the source is raised to the consumer instead.
        """
        return self._tapping.error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        tapping = self._tapping
        while True:
            if tapping.wants_read:
                self._read()
            while self._call_handler():
                pass
            if not tapping.wants_read:  # else the next body begins: there is no chunk yet
                break
        if (chunk := tapping.release()) is None:
            raise StopIteration
        return chunk

    def _read(self) -> None:
        done = False
        try:
            try:
                chunk = next(self._source)
            except StopIteration:
                self._tapping.end()
            except Exception as error:  # noqa: BLE001 - `release` raises it, after the calls of the handler
                self._tapping.fail(error)
            else:
                self._tapping.push(chunk)
            done = True
        finally:
            if not done:
                self._tapping.note_interrupt()

    def _call_handler(self) -> bool:
        """Fold up to the next call of the handler and make it. Return False if the current chunk needs no more."""
        handler_call = None
        try:
            if (handler_call := self._tapping.next_call()) is not None:
                call(handler_call)
        except Exception as error:  # noqa: BLE001 - after any error the chunk is still passed on
            self._tapping.handler_failed(error)
            return True
        except BaseException:
            if handler_call is not None:  # how much of it was done is not known
                self._tapping.note_interrupt()
            raise
        return handler_call is not None

    def close(self) -> None:
        """Close the source, end the iteration and abandon an open body. Closing again does nothing."""
        if self._tapping.close():
            self._source.close()


class AsyncByteTap(AsyncClosing, Generic[A, U]):
    """The async version of `ByteTap`: an async iterator over a source that is read with `await`.

    Attributes:
        accumulator: the accumulator that the chunks are folded into; it may be read at any time.

    """

    def __init__(self, source: AsyncSource, accumulator: A, handler: Callback[U] | None = None) -> None:
        """Store the arguments; nothing is read until the first step."""
        self.accumulator: A = accumulator
        self._source = source
        self._tapping: _Tapping[U] = _Tapping(source, cast("BaseAccumulator[U]", accumulator), handler)

    @property
    def error(self) -> Exception | None:
        """The error that ended the folding, or None, as in `ByteTap.error`."""
        return self._tapping.error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        tapping = self._tapping
        while True:
            if tapping.wants_read:
                await self._read()
            while await self._call_handler():
                pass
            if not tapping.wants_read:  # else the next body begins: there is no chunk yet
                break
        if (chunk := tapping.release()) is None:
            raise StopAsyncIteration
        return chunk

    async def _read(self) -> None:
        chunk, done = None, False
        try:
            try:
                chunk = await anext(self._source)
            except StopAsyncIteration:
                self._tapping.end()
            except Exception as error:  # noqa: BLE001 - as in the sync loop
                self._tapping.fail(error)
            else:
                self._tapping.push(chunk)
            done = True
        except BaseException as error:
            if not done and (chunk is not None or not is_cancellation(error)):
                self._tapping.note_interrupt()
            raise

    async def _call_handler(self) -> bool:
        handler_call = None
        try:
            if (handler_call := self._tapping.next_call()) is not None:
                await acall(handler_call)
        except Exception as error:  # noqa: BLE001 - as in the sync loop
            self._tapping.handler_failed(error)
            return True
        except BaseException as error:
            if handler_call is not None and not is_cancellation(error):  # as in the sync loop
                self._tapping.note_interrupt()
            raise
        return handler_call is not None

    async def aclose(self) -> None:
        """Close the source, end the iteration and abandon an open body. Closing again does nothing."""
        if self._tapping.close():
            await self._source.aclose()
