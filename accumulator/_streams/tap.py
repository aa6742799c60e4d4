"""Watch a stream that somebody else consumes: its bytes pass through, and are folded on the way.

The bytes matter more than the fold. Whatever fails here, the next chunk is passed on; what the source raises, the
consumer gets. What the two taps share is in `_Tapping`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from accumulator._streams.hooks import Callback, acall, call
from accumulator._streams.reading import Reading
from accumulator._streams.sources import BYTES_LIKE, AsyncSource, Source
from accumulator._streams.streams import AsyncClosing, Closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._engine.accumulator import BaseAccumulator

A = TypeVar("A")
"""A `BaseAccumulator[U]`, as in `streams`."""
U = TypeVar("U")


class _Tapping(Generic[U]):
    """A source that is passed on, without the I/O: the chunk in hand, and the hooks to call before it is passed on.

    Attributes:
        error: what ended the folding; None while it goes on.

    """

    def __init__(
        self, source: Source | AsyncSource, accumulator: BaseAccumulator[U], handler: Callback[U] | None
    ) -> None:
        """Read nothing yet. A response that is no event stream is passed on too, but not folded."""
        self.error: Exception | None = None
        self._reading = Reading(accumulator, one_body=source.one_body, handler=handler)
        self._refusal = source.refusal if source.refused else None
        source.refused = False
        self._in_hand: object = None  # a chunk, or the source's exception
        self._at_end = False

    @property
    def more(self) -> bool:
        """Whether the source is to be read on."""
        return self._in_hand is None and not self._at_end

    def push(self, chunk: object) -> None:
        """Take what the source gave and fold it; what is not a chunk of bytes is a `TypeError` for the consumer."""
        if not isinstance(chunk, BYTES_LIKE):
            got = type(chunk).__name__
            self.fail(TypeError(f"a tap passes chunks of bytes on, got {got}: give it what the bytes are read from"))
            return
        self._in_hand = chunk
        try:
            data = bytes(cast("bytes", chunk))
            self._refuse(data)
            if self._reading.more:
                self._reading.push(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the bytes are passed on
            self._reading.break_off(error)

    def end(self) -> None:
        """End with the source."""
        self._at_end = True
        self._refuse(b"")
        self._reading.end()

    def fail(self, error: Exception) -> None:
        """End because the source raised; the error is for the consumer."""
        self._in_hand = error
        self._refuse(b"")
        self._reading.end(failed=True)

    def next_hook(self) -> Callable[[], object] | None:
        """Fold up to the next hook, and return the call of it; None if nothing is to be called any more."""
        try:
            while self.error is None and self._reading.next_update() is not None:
                pass  # only the handler wants it
        except Exception as error:  # noqa: BLE001 - as above
            self.error = error
            self._reading.break_off(error)
        return self._reading.next_hook()

    def hook_failed(self, error: Exception) -> None:
        """End the folding because a hook raised."""
        self._reading.break_off(error)

    def release(self) -> bytes | None:
        """Return the chunk in hand, None at the end; raise the source's exception."""
        in_hand, self._in_hand = self._in_hand, None
        if isinstance(in_hand, Exception):
            raise in_hand
        return cast("bytes | None", in_hand)

    def close(self) -> bool:
        """End it all, and give up a body that is open; False if that was done before."""
        self._at_end, self._in_hand = True, None
        return self._reading.close()

    def _refuse(self, start: bytes) -> None:
        """Fail the folding if the response was refused; `start` is that of its body."""
        if self._refusal is not None:
            self._reading.fail(self._refusal(start))
            self._refusal = None


class ByteTap(Closing, Generic[A, U]):
    """An iterator of a source's chunks, the very same objects, which are folded as they pass.

    Attributes:
        accumulator: what is folded into; readable at any time.

    """

    def __init__(self, source: Source, accumulator: A, handler: Callback[U] | None = None) -> None:
        """Read nothing yet."""
        self.accumulator: A = accumulator
        self._source = source
        self._tapping: _Tapping[U] = _Tapping(source, cast("BaseAccumulator[U]", accumulator), handler)

    @property
    def error(self) -> Exception | None:
        """What ended the folding, None if nothing did: from then on the bytes are only passed on.

        It is an `AccumulatorError` of a strict accumulator or of a limit, a `ResponseError` if the response is no
        event stream, or what a hook raised. What the source raised is not here: the consumer got it.
        """
        return self._tapping.error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        tapping = self._tapping
        if tapping.more:
            self._read()
        while (hook := tapping.next_hook()) is not None:
            try:
                call(hook)
            except Exception as error:  # noqa: BLE001 - whatever a hook raises, the bytes are passed on
                tapping.hook_failed(error)
        if (chunk := tapping.release()) is None:
            raise StopIteration
        return chunk

    def _read(self) -> None:
        try:
            chunk = next(self._source)
        except StopIteration:
            self._tapping.end()
        except Exception as error:  # noqa: BLE001 - raised again once the hooks were called
            self._tapping.fail(error)
        else:
            self._tapping.push(chunk)

    def close(self) -> None:
        """Close the source, end the iteration, and give up a body that is open. Closing again does nothing."""
        if self._tapping.close():
            self._source.close()


class AsyncByteTap(AsyncClosing, Generic[A, U]):
    """An async iterator of a source's chunks: `ByteTap` for a source that is read with `await`.

    Attributes:
        accumulator: what is folded into; readable at any time.

    """

    def __init__(self, source: AsyncSource, accumulator: A, handler: Callback[U] | None = None) -> None:
        """Read nothing yet."""
        self.accumulator: A = accumulator
        self._source = source
        self._tapping: _Tapping[U] = _Tapping(source, cast("BaseAccumulator[U]", accumulator), handler)

    @property
    def error(self) -> Exception | None:
        """What ended the folding, None if nothing did, as `error` of the sync tap."""
        return self._tapping.error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        tapping = self._tapping
        if tapping.more:
            await self._read()
        while (hook := tapping.next_hook()) is not None:
            try:
                await acall(hook)
            except Exception as error:  # noqa: BLE001 - as in the sync loop
                tapping.hook_failed(error)
        if (chunk := tapping.release()) is None:
            raise StopAsyncIteration
        return chunk

    async def _read(self) -> None:
        try:
            chunk = await anext(self._source)
        except StopAsyncIteration:
            self._tapping.end()
        except Exception as error:  # noqa: BLE001 - as in the sync loop
            self._tapping.fail(error)
        else:
            self._tapping.push(chunk)

    async def aclose(self) -> None:
        """Close the source, end the iteration, and give up a body that is open. Closing again does nothing."""
        if self._tapping.close():
            await self._source.aclose()
