"""Streams of an Assistants run: what reads a source into an `Accumulator`, and what taps one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.messages import TextDelta, TextDeltaBlock
from accumulator._assistants.protocol import ASSISTANTS
from accumulator._assistants.runs import ErrorObject
from accumulator._assistants.updates import ContentDelta, Update
from accumulator._engine.accumulator import DEFAULT_LIMITS, Limits
from accumulator._errors import RunError, TruncatedError
from accumulator._streams.coalesce import make_coalescer
from accumulator._streams.hooks import Callback, check_handler
from accumulator._streams.sources import make_async_source, make_source
from accumulator._streams.streams import AsyncUpdateStream, UpdateStream
from accumulator._streams.tap import AsyncByteTap, ByteTap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from accumulator._assistants.run_steps import RunStep
    from accumulator._streams.reading import Reading


def accumulate(  # noqa: PLR0913 - the source, and what to do with it by name
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> RunStream:
    """Fold a stream of server-sent events, and hand out the updates while it is read.

    Nothing is read before the first step of the iteration, and only `with` or `close` closes anything.

    Args:
        source: what gives the bytes: a response of httpx, httpx2, requests or urllib, an `EventSource`, a stream of
            openai-python, anything else with `iter_bytes`; a binary file or pipe; an iterable of bytes; or an iterable
            of events with `.event` and `.data`. A response is one body and is not read further after `done`; the
            others may hold several bodies. The status and content type of a response are checked at the first step.
        into: the accumulator to go on with, such as one that holds the first stream of a run whose tool outputs were
            submitted; a new one by default.
        handler: a callable of one update, such as a `Handler`; it is called with each update before the loop has it,
            in a drain too. If it raises, the stream ends with that exception: the event in hand is folded whole, a body
            that is open ends as truncated, and the handler is called once more, with that `BodyEnded`.
        min_interval: seconds between two deltas of one tool call or content part, for a display that need not be drawn
            more often. Deltas that come faster are merged into one, which has the `event_number` of its last fragment;
            the first after a pause comes at once. No text is lost. All other updates come at once, after all that was
            held: created, done, problems, also a delta without a usable index. This loop cannot wake up while it waits
            for the source, so the last deltas before a silence come with whatever ends it; `aaccumulate` hands them out
            when the interval is over. In the loop the accumulator may be ahead of a delta.
        clock: what measures the interval: a callable that returns seconds and never goes back.
        strict: whether a `Problem` raises `MergeError`, for a new accumulator.
        limits: the limits of a new accumulator.

    Raises:
        TypeError: the source is nothing that can be read here; the handler, or a hook of it, is async or cannot take
            one argument; the interval is no number, or the clock cannot be called; or `strict` or `limits` beside
            `into`: it has its own.
        ValueError: the interval is not more than 0, or not finite.

    """
    hooks, coalescer = check_handler(handler, "aaccumulate"), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    made = make_source(source, "accumulate", "aaccumulate")
    return RunStream(made, new_or_given(into, strict=strict, limits=limits), hooks, coalescer)


def aaccumulate(  # noqa: PLR0913 - as accumulate
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncRunStream:
    """Fold a stream of server-sent events that is read with `await`: `accumulate`'s twin, with the same updates.

    Not a coroutine function: iterate the result with `async for`, or await its methods that drain it. Besides what
    `accumulate` names, in its async form, it takes responses of aiohttp, `asyncio.StreamReader` and the files of
    aiofiles, anyio and trio. The handler may be a coroutine function or have some for hooks: each is awaited before the
    next is called. Cancellation in a hook passes unchanged and ends nothing: the loop may go on, with the update of
    that hook, which is not called again.

    With `min_interval` no delta is held for longer than that, also while the source is silent: while something is held,
    a task reads the source, and goes on when the interval is over. Closing the stream cancels the task, and so does
    cancelling whoever waits for the stream. The task is asyncio's: where none runs, as under trio, deltas are held as
    in the sync loop. A source that ties itself to the task that reads it, by `asyncio.timeout` around a `yield` for
    example, cannot be read so.
    """
    hooks, coalescer = check_handler(handler), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    made = make_async_source(source, "aaccumulate", "accumulate")
    return AsyncRunStream(made, new_or_given(into, strict=strict, limits=limits), hooks, coalescer)


def tap(source: object, *, into: Accumulator | None = None, handler: Callback[Update] | None = None) -> Tap:
    """Pass the bytes of a stream through untouched, folding them on the way.

    For those who may watch a stream but not consume it: a proxy, whoever hands it to an SDK, telemetry.

    Args:
        source: what gives the bytes, as in `accumulate`, to the last of them: those after `done` are passed on too. An
            iterable of events has no bytes to pass on: a `TypeError` when the first of them comes.
        into: the accumulator that the bytes are folded into; by default a new one, an attribute of the result.
        handler: what is called with each update, before the chunk that brought it is passed on.

    Raises:
        TypeError: the source is nothing that can be read here; the handler, or a hook of it, is async or cannot take
            one argument; or `into` is no accumulator.

    """
    hooks = check_handler(handler, "atap")
    return Tap(make_source(source, "tap", "atap"), new_or_given(into), hooks)


def atap(source: object, *, into: Accumulator | None = None, handler: Callback[Update] | None = None) -> AsyncTap:
    """Pass the bytes of an async stream through untouched, folding them on the way: `tap`'s twin.

    Not a coroutine function. Hooks may be coroutine functions and are awaited in order. Cancellation in one passes
    unchanged and loses nothing: the chunk in hand is the next that is passed on.
    """
    hooks = check_handler(handler)
    return AsyncTap(make_async_source(source, "atap", "tap"), new_or_given(into), hooks)


def new_or_given(into: Accumulator | None, *, strict: bool = False, limits: Limits = DEFAULT_LIMITS) -> Accumulator:
    """Return the accumulator to fold into; `strict` and `limits` can only be those of a new one."""
    if into is None:
        return Accumulator(strict=strict, limits=limits)
    if not isinstance(into, Accumulator):
        raise TypeError(f"expected an Accumulator for into=, got {type(into).__name__}")
    if strict or limits is not DEFAULT_LIMITS:
        raise TypeError("strict and limits belong to the accumulator: with into= give them to Accumulator() instead")
    return into


class RunStream(UpdateStream[Accumulator, Update]):
    """An iterator of updates over a source that is being folded; `accumulate` and `connect` make it.

    One event of the server is applied at a time, so in the loop `accumulator.run_step(id)` is the state after the event
    in hand. In strict mode the loop may go on after a `MergeError`, whose `updates` are those of its event. A source
    that raises ends the body: its `BodyEnded` comes first, then `TruncatedError` with the original as its cause.

    As a context manager it closes its source when the block is left, by whatever way. A bare `break` closes nothing:
    Python does not tell an iterator.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def text_deltas(self) -> Iterator[str]:
        """Return an iterator of the texts that messages grow by, as they come, and of nothing else.

        That is the text of deltas: not what only a whole message brought, but also what came too late for a message
        that had ended, with its `late` problem.
        It takes from the stream what a loop would, and goes on where one stopped: all other updates are folded and the
        handler is called with them, and what the loop raises comes out here too.
        """
        return filter(None, map(_added_text, self))

    def final_run_steps(self) -> list[RunStep]:
        """Read to the end and return the run steps, in the order in which they were first seen.

        Raises:
            TruncatedError: the stream was cut; what came is in the `accumulator` of the error.
            RunError: the stream ended in an error event; the same.
            ResponseError, MergeError, LimitError: as `until_done`.

        """
        return _final_run_steps(self.until_done(), self._reading)


class AsyncRunStream(AsyncUpdateStream[Accumulator, Update]):
    """An async iterator of updates: `RunStream`'s twin, which `aaccumulate` and `aconnect` make.

    Attributes:
        accumulator: what is folded into; readable at any time, also while the stream goes on.

    """

    def text_deltas(self) -> AsyncIterator[str]:
        """Return an async iterator of the texts that messages grow by, as `RunStream.text_deltas`."""
        return _AsyncTexts(self)

    async def final_run_steps(self) -> list[RunStep]:
        """Read to the end and return the run steps, as `RunStream.final_run_steps`."""
        return _final_run_steps(await self.until_done(), self._reading)


class Tap(ByteTap[Accumulator, Update]):
    """An iterator of a source's chunks, the very same objects, that are folded as they pass; `tap` makes it.

    As a context manager it closes its source when the block is left. A body that is open then is given up, and no
    handler is called with its end: a consumer that stops early leaves the outcome "truncated". A bare `break` closes
    nothing.

    Attributes:
        accumulator: what is folded into; readable at any time.

    """


class AsyncTap(AsyncByteTap[Accumulator, Update]):
    """An async iterator of a source's chunks that are folded as they pass: `Tap`'s twin, which `atap` makes.

    Attributes:
        accumulator: what is folded into; readable at any time.

    """


def _final_run_steps(accumulator: Accumulator, reading: Reading[Update]) -> list[RunStep]:
    """Return the run steps, unless this stream was cut or ended in an error, whatever other streams said of the run."""
    error: TruncatedError | RunError
    if reading.truncated:
        error = TruncatedError("expected the stream to end in done, an error or a final status, it was cut before")
    elif (json := reading.body.error) is not None:
        error = RunError("expected the run to end, it came to an error; see .error", ErrorObject.wrap(json))
    else:
        return accumulator.run_steps()
    error.accumulator = accumulator
    raise error


def _added_text(update: Update) -> str:
    """Return the text that an update adds to a message, "" if it adds none."""
    match update:
        case ContentDelta(delta=TextDeltaBlock(text=TextDelta(value=str() as value))):
            return value
        case _:
            return ""


class _AsyncTexts:
    """The texts among updates. Not a generator: one that is left early needs an event loop to be closed."""

    def __init__(self, updates: AsyncIterator[Update]) -> None:
        self._updates = updates

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while not (text := _added_text(await anext(self._updates))):
            pass
        return text
