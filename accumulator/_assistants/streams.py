"""Streams of an Assistants run: they fold a source into an `Accumulator`, and yield the updates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.messages import TextDelta, TextDeltaBlock
from accumulator._assistants.protocol import ASSISTANTS
from accumulator._assistants.runs import ErrorObject
from accumulator._assistants.updates import ContentDelta, Update
from accumulator._engine.limits import DEFAULT_LIMITS, Limits
from accumulator._errors import RunError, TruncatedError, join_told
from accumulator._json import printable
from accumulator._streams.deadlines import make_deadlines
from accumulator._streams.hooks import Callback, check_handler
from accumulator._streams.sources import make_async_source, make_source
from accumulator._streams.streams import AsyncUpdateStream, UpdateStream, make_coalescer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from accumulator._assistants.messages import Message
    from accumulator._assistants.run_steps import RunStep, ToolCall, Usage
    from accumulator._streams.reading import Reading

_LONGEST_MESSAGE = 500
"""Characters of a server's code and message that the text of a `RunError` shows. The whole ones are in its `error`."""


def accumulate(  # noqa: PLR0913 - all but the source are keywords
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> RunStream:
    """Fold a stream of server-sent events, and return an iterator of the updates.

    Nothing is read before the first step of the iteration. Only `with` and `close` close the source.

    Args:
        source: what is read. One of:

            - a response of httpx, httpx2, requests or urllib, an `EventSource`, a stream of openai-python, or any other
              object with `iter_bytes`;
            - the path of a file, as an `os.PathLike`, in any format that `open_recordings` reads, and a `Recording`;
            - a binary file or pipe;
            - an iterable of bytes;
            - an iterable of events: objects with `.event` and `.data`, tuples of these two, or mappings with these two
              keys.

            A response is one body and is not read after the end of the body. Other sources may have several bodies. The
            status and content type of a response are checked at the first step.
        into: the accumulator that receives the events; a new one by default. Pass the accumulator of the first stream
            to fold a second body of the same run.
        handler: a callable of one update, such as a `Handler`. It is called with each update before the loop gets the
            update, also while `until_done` or `final_run_steps` reads. If it raises, the stream ends and the exception
            propagates. The current event is folded as a whole. If a body is open, it ends, as "truncated" unless
            its outcome is known, and the handler is called once more, with the `BodyEnded`.
        min_interval: the least number of seconds between two deltas of one tool call or content part, for displays.
            Deltas that arrive sooner are held and merged into one, with the `event_number` of the last; no text is
            lost. Any other update, and a delta without a usable index, is handed out at once, after all held deltas.
            While the source is silent, held deltas wait for its next event or its end; in `aaccumulate` they do not. In
            the loop the accumulator may be ahead of the delta.
        clock: the clock that measures `min_interval`: a callable that returns seconds and never goes back.
        strict: whether a problem raises `MergeError`; for a new accumulator.
        limits: the limits of a new accumulator.

    Raises:
        OSError: the file at a path cannot be read.
        RecordingError: the file at a path has no event stream in a format that is known, or a run begins in it more
            than once: `open_recordings` yields each of its recordings.
        TypeError: the source cannot be read, or only with `await`; the handler, or a hook of the handler, is a
            coroutine function or cannot take one argument; `into` is not an `Accumulator`; `strict` or `limits` is
            given together with `into`; `min_interval` is not a number; or `clock` is not callable.
        ValueError: `min_interval` is not more than 0, or not finite.

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
    idle_timeout: float | None = None,
    total_timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncRunStream:
    """Fold a stream of server-sent events that is read with `await`: the async version of `accumulate`.

    The updates, the arguments and the errors are those of `accumulate`, with these differences:

    - This is not a coroutine function. Iterate over the result with `async for`, or await its `until_done` or
      `final_run_steps`.
    - The source is read with `await`: the async forms of the sources of `accumulate`, responses of aiohttp,
      `asyncio.StreamReader`, and the files of aiofiles, anyio and trio.
    - If the source never waits, the event loop gets a turn at least every 10 milliseconds, by `clock`, between two
      events, also within a large chunk. One event is folded as a whole. This needs asyncio.
    - The handler, or any of its hooks, may be a coroutine function. Each call is awaited before the next. If a call is
      cancelled, the cancellation propagates unchanged and the stream stays usable: its next update is the one of the
      cancelled call, which is not repeated.
    - With `min_interval` no delta is held longer than the interval, even while the source is silent. While a delta is
      held, an asyncio task reads the source. The task is cancelled when the stream is closed, and when the caller that
      waits for the stream is cancelled. Without asyncio, as under trio, deltas are held as in `accumulate`. A source
      that must be read by one task, such as a generator with `asyncio.timeout` around a `yield`, cannot be used with
      `min_interval`.
    - `idle_timeout` is the most seconds to wait for the next event, `total_timeout` the most to wait in all. If one
      passes, the read is cancelled and the body ends. If it was cut, `TruncatedError` is raised; its cause is a
      `TimeoutError` that names the deadline. Time counts only while the loop waits for the source, not in the handler
      or in the caller's code. Comments, empty events and unfinished ones do not count as events; the read timeout of
      a client counts any bytes, comments too. Both need asyncio: without it, as under trio, the first read raises
      `RuntimeError`. A sync read cannot be cancelled, so `accumulate` has neither: set the read timeout of the
      client, such as `httpx.Timeout(10, read=60)`.
    - `clock` measures `min_interval`, the two deadlines and the turns of the event loop. The wait for one chunk is cut
      off by the clock of the event loop.
    """
    hooks, coalescer = check_handler(handler), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    deadlines = make_deadlines(idle_timeout, total_timeout, clock)
    made = make_async_source(source, "aaccumulate", "accumulate")
    accumulator = new_or_given(into, strict=strict, limits=limits)
    return AsyncRunStream(made, accumulator, hooks, coalescer, deadlines=deadlines, clock=clock)


def new_or_given(into: Accumulator | None, *, strict: bool = False, limits: Limits = DEFAULT_LIMITS) -> Accumulator:
    """Return `into`, or a new accumulator. Raise `TypeError` for `strict` or `limits` together with `into`."""
    if into is None:
        return Accumulator(strict=strict, limits=limits)
    if not isinstance(into, Accumulator):
        raise TypeError(f"expected an Accumulator for into=, got {type(into).__name__}")
    if strict or limits is not DEFAULT_LIMITS:
        raise TypeError("strict and limits belong to the accumulator: with into= give them to Accumulator() instead")
    return into


class _Reads:
    """What is read of the accumulator of a stream, in the loop or after it. Nothing is read from the source."""

    __slots__ = ()
    accumulator: Accumulator

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.accumulator!r}>"

    @property
    def text(self) -> str:
        """What the agent said so far, see `Accumulator.text`."""
        return self.accumulator.text

    @property
    def usage(self) -> Usage | None:
        """The tokens that the run used, see `Accumulator.usage`."""
        return self.accumulator.usage

    def tool_calls(self) -> list[ToolCall]:
        """Return a snapshot of each tool call so far, see `Accumulator.tool_calls`."""
        return self.accumulator.tool_calls()


class RunStream(UpdateStream[Accumulator, Update], _Reads):
    """An iterator of the updates of a source; `accumulate` and `connect` return it.

    Events are folded one at a time: in the loop, `accumulator` has the state after the event of the current update.
    With `min_interval` it may be ahead of the update.

    A `MergeError`, raised in strict mode, does not end the stream: iterate again to go on. Its `updates` are those of
    the event with the problem. If the source raises, the body ends: the stream yields the `BodyEnded` and, if
    the body was cut, raises `TruncatedError` with the exception of the source as its `__cause__`.

    As a context manager the stream closes its source when the block is left. A `break` alone closes nothing, because
    Python does not tell an iterator that its loop ended.

    One thread reads at a time. If another one iterates or drains while a step is under way, it gets a `RuntimeError`,
    and the first loses nothing. The handler may iterate over the stream that calls it.

    Attributes:
        accumulator: the accumulator that receives the events. It can be read at any time, also within the loop.

    """

    def text_deltas(self) -> Iterator[str]:
        """Return an iterator of the text that each delta adds to a message, as the deltas arrive.

        The text of a delta that arrives after its message ended is included; such a delta has a `late` problem. Text
        that is sent only as part of a whole message is not included.

        The iterator reads from this stream: it starts where a loop over the stream stopped. The handler is called with
        every update, and the errors are those of the loop.
        """
        return filter(None, map(_added_text, self))

    def final_run_steps(self) -> list[RunStep]:
        """Read to the end and return a snapshot of each run step, in the order in which the steps were first seen.

        Raises:
            TruncatedError: the body was cut.
            RunError: the body had an error event.
            ResponseError, MergeError, LimitError: as in `until_done`.

        The `accumulator` of the error has everything folded so far.

        """
        return _ended_well(self.until_done(), self._reading).run_steps()

    def final_messages(self) -> list[Message]:
        """Read to the end and return a snapshot of each message. Raises as `final_run_steps`."""
        return _ended_well(self.until_done(), self._reading).messages()

    def final_text(self) -> str:
        """Read to the end and return what the agent said, see `Accumulator.text`. Raises as `final_run_steps`."""
        return _ended_well(self.until_done(), self._reading).text


class AsyncRunStream(AsyncUpdateStream[Accumulator, Update], _Reads):
    """An async iterator of the updates of a source: the async version of `RunStream`.

    `aaccumulate` and `aconnect` return it.

    One task reads at a time; another one gets a `RuntimeError`. Any task may close the stream: then the loop of a
    reader that waits ends.

    Attributes:
        accumulator: the accumulator that receives the events. It can be read at any time, also within the loop.

    """

    def text_deltas(self) -> AsyncIterator[str]:
        """Return an async iterator of the text that each delta adds to a message, as in `RunStream.text_deltas`."""
        return _AsyncTexts(self)

    async def final_run_steps(self) -> list[RunStep]:
        """Read to the end and return a snapshot of each run step, as in `RunStream.final_run_steps`."""
        return _ended_well(await self.until_done(), self._reading).run_steps()

    async def final_messages(self) -> list[Message]:
        """Read to the end and return a snapshot of each message. Raises as `final_run_steps`."""
        return _ended_well(await self.until_done(), self._reading).messages()

    async def final_text(self) -> str:
        """Read to the end and return what the agent said, see `Accumulator.text`. Raises as `final_run_steps`."""
        return _ended_well(await self.until_done(), self._reading).text


def _ended_well(accumulator: Accumulator, reading: Reading[Update]) -> Accumulator:
    """Return the accumulator. Raise if the last body that this stream read was cut or had an error event.

    Bodies that other streams read into the same accumulator do not count.
    """
    truncated, hint = reading.truncated, ""
    last = accumulator.problems[-1:] if truncated else ()
    if last and last[0].kind == "undecodable" and last[0].event_number == reading.last_event:
        hint = f"; at its end: {last[0].message}"
    raise_unless_ended_well(accumulator, reading.body.error, truncated=truncated, hint=hint)
    return accumulator


def raise_unless_ended_well(
    accumulator: Accumulator, told: Mapping[str, object] | None, *, truncated: bool, hint: str = ""
) -> None:
    """Raise `TruncatedError` for a body that was cut, `RunError` for one with an error.

    Args:
        accumulator: what the body was folded into.
        told: the error, as the server told it; None without one.
        truncated: whether the body was cut.
        hint: what its end looks like, if that tells more.

    """
    error: TruncatedError | RunError
    if truncated:
        message = "expected the stream to end in done, an error or a final status, it was cut before"
        error = TruncatedError(message + hint)
    elif told is not None:
        said = join_told(told.get("code"), told.get("message"))
        cut = "..." if len(said) > _LONGEST_MESSAGE else ""
        message = printable(said[:_LONGEST_MESSAGE]) + cut
        error = RunError(f"expected the run to end, got an error: {message}", ErrorObject.wrap(told))
    else:
        return
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
    """The async iterator of `text_deltas`. An async generator would need an event loop to be closed when left early."""

    def __init__(self, updates: AsyncIterator[Update]) -> None:
        self._updates = updates

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while not (text := _added_text(await anext(self._updates))):
            pass
        return text
