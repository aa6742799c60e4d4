"""The two loops, sync and async. What they do with what they read is decided once, in `Reading`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from accumulator._assistants.accumulator import DEFAULT_LIMITS, Accumulator
from accumulator._streams.coalesce import coalescing
from accumulator._streams.hooks import acall, call, checked
from accumulator._streams.reading import Reading, added_text
from accumulator._streams.sources import open_async_source, open_source
from accumulator._streams.timed_reads import NOT_YET, Reads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from accumulator._assistants.accumulator import Limits
    from accumulator._assistants.run_steps import RunStep
    from accumulator._assistants.updates import Update
    from accumulator._streams.coalesce import Coalescer
    from accumulator._streams.hooks import Callback
    from accumulator._streams.sources import AsyncSource, Source


def accumulate(  # noqa: PLR0913 - the source, and what to do with it by name
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
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
        handler: a callable of one update, such as a `Handler`; it is called with each update before the loop has it,
            in a drain too. If it raises, the stream ends with that exception: the event in hand is folded whole, a body
            that is open ends as truncated, and the handler is called once more, with that `BodyEnded`.
        min_interval: seconds between two deltas of one tool call or content part, for a display that need not be drawn
            more often. Those that come faster are merged into one, which has the `event_number` of its last fragment;
            the first after a pause comes at once. No text is lost. Whatever is no such delta comes at once, with all
            that was held before it: created, done, problems, also a delta without a usable index. This loop cannot wake
            up while it waits for the source, so that the last deltas before a silence come with what ends it;
            `aaccumulate` hands them out when the interval is over. In the loop the accumulator may be ahead of a delta.
        clock: what the interval is measured with: a callable that gives seconds and never goes back.
        strict: whether a `Problem` raises `MergeError`, for a new accumulator.
        limits: the limits of a new accumulator.

    Raises:
        TypeError: the source is nothing that can be read here; the handler, or a hook of it, is async or cannot take
            one argument; the interval is no number, or the clock cannot be called; or `strict` or `limits` beside
            `into`: it has its own.
        ValueError: the interval is not more than 0, or not finite.

    """
    hears, coalescer = checked(handler, twin="aaccumulate"), coalescing(min_interval, clock)
    return RunStream(open_source(source), new_or_given(into, strict=strict, limits=limits), hears, coalescer)


def aaccumulate(  # noqa: PLR0913 - as accumulate
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncRunStream:
    """Fold a stream of server-sent events that is read with `await`: `accumulate`'s twin, with the same updates.

    Not a coroutine function: the result is to be iterated with `async for`, or drained with its `await`able methods.
    Besides what `accumulate` names, in its async form, it takes responses of aiohttp, `asyncio.StreamReader` and the
    files of aiofiles, anyio and trio. The handler may be a coroutine function or have some for hooks: each is awaited
    before the next is called. Cancellation in a hook passes unchanged and ends nothing: the loop may go on, with the
    update of that hook, which is not called again.

    With `min_interval` no delta is held for longer than that, also while the source is silent: while something is held
    the source is read by a task of its own, which goes on when the interval is over, and which closing the stream or
    cancelling whoever waits for it cancels. That task is asyncio's: where none runs, as under trio, it is as in the
    sync loop. A source that ties itself to the task that reads it, by `asyncio.timeout` around a `yield` for example,
    does not go with that.
    """
    hears, coalescer = checked(handler), coalescing(min_interval, clock)
    return AsyncRunStream(open_async_source(source), new_or_given(into, strict=strict, limits=limits), hears, coalescer)


def new_or_given(into: Accumulator | None, *, strict: bool, limits: Limits) -> Accumulator:
    """Give the accumulator to fold into; `strict` and `limits` can only be those of a new one."""
    if into is None:
        return Accumulator(strict=strict, limits=limits)
    if not isinstance(into, Accumulator):
        raise TypeError(f"expected an Accumulator for into=, came {type(into).__name__}")
    if strict or limits is not DEFAULT_LIMITS:
        raise TypeError("strict and limits belong to the accumulator: with into= give them to Accumulator() instead")
    return into


class Closing(ABC):
    """What `with` closes, by whatever way the block is left; a close that fails does not hide why it was left."""

    @abstractmethod
    def close(self) -> None:
        """Close what was given to read."""

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
    """What `async with` closes: the twin of `Closing`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close what was given to read."""

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


_CLOSING_FAILED = "closing the source failed too: {0!r}"


class RunStream(Closing):
    """An iterator of updates over a source that is being folded; `accumulate` and `connect` make it.

    One event of the server is applied at a time, so that in the loop `accumulator.run_step(id)` is the state after the
    event in hand. In strict mode the loop may go on after a `MergeError`, whose `updates` are those of its event. A
    source that raises ends the body: its `BodyEnded` comes first, then `TruncatedError` with the original as its cause.

    As a context manager it closes what it took when the block is left, by whatever way. A bare `break` closes nothing:
    Python does not tell an iterator.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def __init__(
        self,
        source: Source,
        accumulator: Accumulator,
        handler: Callback | None = None,
        coalescer: Coalescer | None = None,
    ) -> None:
        """Read nothing yet."""
        self.accumulator = accumulator
        self._source = source
        self._reading = Reading(accumulator, single=source.single, handler=handler, coalescer=coalescer)
        self._ready, self._next_fragment = self._reading.ready, self._reading.next_fragment()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Update:
        if not self._ready and (fragment := self._next_fragment()) is not None:
            return fragment
        return self._next(wanted=True)

    def _next(self, *, wanted: bool) -> Update:
        reading = self._reading
        while (update := reading.next_update(wanted=wanted)) is None:
            if (hook := reading.next_hook()) is not None:
                try:
                    call(hook)
                except Exception as error:  # noqa: BLE001 - whatever a hook raises comes out of the reading
                    reading.break_off(error)
            elif reading.more:
                self._read()
            else:
                raise StopIteration
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

    def text_deltas(self) -> Iterator[str]:
        """Return an iterator of the texts that messages grow by, as they come, and of nothing else.

        That is the text of deltas: not what only a whole message brought, but also what came too late for a message
        that had ended, with its `late` problem.
        It takes from the stream what a loop would, going on where one stopped: what is no text is folded and heard by
        the handler as ever, and raised is what the loop raises.
        """
        return filter(None, map(added_text, self))

    def until_done(self) -> Accumulator:
        """Read to the end, or go on to it where a loop stopped, and give the accumulator.

        Raises:
            TruncatedError: the source raised; never for an outcome, which is to be read from the accumulator.
            ResponseError: a response is no event stream.
            MergeError, LimitError: as in the loop; the next call goes on.

        What a hook raised comes out unchanged, at this call and those after it.

        """
        with suppress(StopIteration):
            while True:
                self._next(wanted=False)
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


class AsyncRunStream(AsyncClosing):
    """An async iterator of updates: `RunStream`'s twin, which `aaccumulate` and `aconnect` make.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def __init__(
        self,
        source: AsyncSource,
        accumulator: Accumulator,
        handler: Callback | None = None,
        coalescer: Coalescer | None = None,
    ) -> None:
        """Read nothing yet."""
        self.accumulator = accumulator
        self._source = source
        self._reads = Reads(source)
        self._reading = Reading(accumulator, single=source.single, handler=handler, coalescer=coalescer)
        self._ready, self._next_fragment = self._reading.ready, self._reading.next_fragment()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        if not self._ready and (fragment := self._next_fragment()) is not None:
            return fragment
        return await self._next(wanted=True)

    async def _next(self, *, wanted: bool) -> Update:
        reading = self._reading
        while (update := reading.next_update(wanted=wanted)) is None:
            if (hook := reading.next_hook()) is not None:
                try:
                    await acall(hook)
                except Exception as error:  # noqa: BLE001 - as in the sync loop
                    reading.break_off(error)
            elif reading.more:
                await self._read()
            else:
                raise StopAsyncIteration
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

    def text_deltas(self) -> AsyncIterator[str]:
        """Return an async iterator of the texts that messages grow by, as `RunStream.text_deltas`."""
        return _AsyncTexts(self)

    async def until_done(self) -> Accumulator:
        """Read to the end and give the accumulator, as `RunStream.until_done`."""
        with suppress(StopAsyncIteration):
            while True:
                await self._next(wanted=False)
        return self._reading.drained()

    async def final_run_steps(self) -> list[RunStep]:
        """Read to the end and give the run steps, as `RunStream.final_run_steps`."""
        await self.until_done()
        return self._reading.final_run_steps()

    async def aclose(self) -> None:
        """Close what was given to read and end the iteration, as `RunStream.close`."""
        if self._reading.close():
            try:
                await self._reads.cancel()
            finally:
                await self._source.aclose()


class _AsyncTexts:
    """The texts among updates. No generator: one that is left early needs an event loop to be closed."""

    def __init__(self, updates: AsyncIterator[Update]) -> None:
        self._updates = updates

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while not (text := added_text(await anext(self._updates))):
            pass
        return text
