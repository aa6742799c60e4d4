"""Watch a stream that somebody else consumes: its bytes pass through, and are folded on the way.

The bytes matter more than the fold. Whatever fails here, the next chunk is passed on; what the source raises is the
consumer's to see. What is the same in both twins is in `_Tapping`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, cast

from accumulator._assistants.accumulator import DEFAULT_LIMITS
from accumulator._streams.hooks import acall, call, checked
from accumulator._streams.reading import Reading
from accumulator._streams.sources import open_async_source, open_source
from accumulator._streams.streams import AsyncClosing, Closing, new_or_given

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._streams.hooks import Callback
    from accumulator._streams.sources import AsyncSource, Source

_BYTES_LIKE: tuple[type[object], ...] = (bytes, bytearray, memoryview)


def tap(source: object, *, into: Accumulator | None = None, handler: Callback | None = None) -> Tap:
    """Pass the bytes of a stream through untouched, folding them on the way.

    For those who may watch a stream but not consume it: a proxy, whoever hands it to an SDK, telemetry.

    Args:
        source: what gives the bytes, as in `accumulate`, to the last of them: those after `done` are passed on too. An
            iterable of events has no bytes to pass on: a `TypeError` when the first of them comes.
        into: the accumulator that the bytes are folded into; a new one by default, to be had from the result.
        handler: what is called with each update, before the chunk that brought it is passed on.

    Raises:
        TypeError: the source is nothing that can be read here; the handler, or a hook of it, is async or cannot take
            one argument; or `into` is no accumulator.

    """
    hears = checked(handler, twin="atap")
    return Tap(open_source(source), new_or_given(into, strict=False, limits=DEFAULT_LIMITS), hears)


def atap(source: object, *, into: Accumulator | None = None, handler: Callback | None = None) -> AsyncTap:
    """Pass the bytes of an async stream through untouched, folding them on the way: `tap`'s twin.

    Not a coroutine function. Hooks may be coroutine functions and are awaited in order. Cancellation in one passes
    unchanged and loses nothing: the chunk in hand is the next that is passed on.
    """
    hears = checked(handler)
    return AsyncTap(open_async_source(source), new_or_given(into, strict=False, limits=DEFAULT_LIMITS), hears)


class _Tapping:
    """A source being passed on, without the reading: what is in hand, and what is to be called before it goes on.

    Attributes:
        error: what ended the folding; None while it goes on.

    """

    def __init__(self, source: Source | AsyncSource, accumulator: Accumulator, handler: Callback | None) -> None:
        """Begin with nothing read. An answer that is no event stream is passed on too, and not folded."""
        self.error: Exception | None = None
        self._reading = Reading(accumulator, single=source.single, handler=handler)
        self._refusal = source.refusal if source.refused else None
        source.refused = False
        self._held: object = None
        self._over = False

    @property
    def more(self) -> bool:
        """Whether the source is to be read on."""
        return self._held is None and not self._over

    def hold(self, chunk: object) -> None:
        """Take what the source gave; what is no chunk of bytes is a `TypeError` for the consumer."""
        if not isinstance(chunk, _BYTES_LIKE):
            came = type(chunk).__name__
            self.fail(TypeError(f"a tap passes chunks of bytes on, came {came}: give it what the bytes are read from"))
            return
        self._held = chunk
        try:
            data = bytes(cast("bytes", chunk))
            self._refuse(data)
            if self._reading.more:
                self._reading.push(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the bytes are passed on
            self._reading.break_off(error)

    def end(self) -> None:
        """Take note that the source is at its end."""
        self._over = True
        self._refuse(b"")
        self._reading.end()

    def fail(self, error: Exception) -> None:
        """Take note that the source broke, which is for the consumer to see."""
        self._held = error
        self._refuse(b"")
        self._reading.end(broken=True)

    def _refuse(self, start: bytes) -> None:
        if self._refusal is not None:
            self._reading.fail(self._refusal(start))
            self._refusal = None

    def next_hook(self) -> Callable[[], object] | None:
        """Give what is to be called before what is in hand is passed on, None where nothing is."""
        try:
            while self.error is None and self._reading.next_update() is not None:
                pass  # no loop wants it
        except Exception as error:  # noqa: BLE001 - as above
            self.error = error
            self._reading.break_off(error)
        return self._reading.next_hook()

    def hook_failed(self, error: Exception) -> None:
        """Take note that a hook raised: the folding ends."""
        self._reading.break_off(error)

    def release(self) -> bytes | None:
        """Give what is to be passed on, None at the end; the source's own exception comes out."""
        held, self._held = self._held, None
        if isinstance(held, Exception):
            raise held
        return cast("bytes | None", held)

    def close(self) -> bool:
        """Be over, a body still open is given up; False if that was so before."""
        self._over, self._held = True, None
        return self._reading.close()


class Tap(Closing):
    """An iterator of a source's chunks, the very same objects, that are folded as they pass; `tap` makes it.

    As a context manager it closes what it took when the block is left. A body that is open then is given up, and nobody
    hears of its end: a consumer that stops early leaves the outcome "truncated". A bare `break` closes nothing.

    Attributes:
        accumulator: what is folded into; readable at any time.

    """

    def __init__(self, source: Source, accumulator: Accumulator, handler: Callback | None = None) -> None:
        """Read nothing yet."""
        self.accumulator = accumulator
        self._source = source
        self._tapping = _Tapping(source, accumulator, handler)

    @property
    def error(self) -> Exception | None:
        """What ended the folding, None if nothing did: from then on the bytes are only passed on.

        It is an `AccumulatorError` of a strict accumulator or of a limit, a `ResponseError` where the answer is no
        event stream, or what a hook raised. What the source raised is not here: the consumer has it.
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
        except Exception as error:  # noqa: BLE001 - raised again when the handler has heard of it
            self._tapping.fail(error)
        else:
            self._tapping.hold(chunk)

    def close(self) -> None:
        """Close what was given to read, and end the iteration and an open body. Closing again does nothing."""
        if self._tapping.close():
            self._source.close()


class AsyncTap(AsyncClosing):
    """An async iterator of a source's chunks that are folded as they pass: `Tap`'s twin, which `atap` makes.

    Attributes:
        accumulator: what is folded into; readable at any time.

    """

    def __init__(self, source: AsyncSource, accumulator: Accumulator, handler: Callback | None = None) -> None:
        """Read nothing yet."""
        self.accumulator = accumulator
        self._source = source
        self._tapping = _Tapping(source, accumulator, handler)

    @property
    def error(self) -> Exception | None:
        """What ended the folding, None if nothing did, as `Tap.error`."""
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
            self._tapping.hold(chunk)

    async def aclose(self) -> None:
        """Close what was given to read and end the iteration, as `Tap.close`."""
        if self._tapping.close():
            await self._source.aclose()
