"""Taps of an Assistants run: they fold a source into an `Accumulator`, and yield its bytes unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.streams import new_or_given
from accumulator._assistants.updates import Update
from accumulator._streams.hooks import Callback, check_handler
from accumulator._streams.recordings import arecorded, recorded
from accumulator._streams.sources import make_async_source, make_source
from accumulator._streams.tap import AsyncByteTap, ByteTap

if TYPE_CHECKING:
    from accumulator._streams.recordings import RecordTo


def tap(
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    record: RecordTo = None,
) -> Tap:
    """Return an iterator of the chunks of a stream, unchanged, that folds them on the way.

    Use it to watch a stream that somebody else consumes, as in a proxy, in telemetry or in front of an SDK.

    Args:
        source: what is read, as in `accumulate`, but not an iterable of events: the first event raises `TypeError`. A
            tap reads to the end of the source, also after `done`.
        into: the accumulator that receives the events; a new one by default.
        handler: a callable of one update, such as a `Handler`. It is called with each update before the tap yields the
            chunk that completes the event. If it raises, the chunks are still yielded, and the exception is the `error`
            of the tap.
        record: the path of a new file, or a `Recorder`, to write the chunks to as they arrive.

    Raises:
        TypeError: the source cannot be read, or only with `await`; the handler, or a hook of the handler, is a
            coroutine function or cannot take one argument; `into` is not an `Accumulator`; or `record` is neither a
            path nor a `Recorder`.
        OSError: the file cannot be created; `FileExistsError` if it is there.

    """
    hooks, accumulator = check_handler(handler, "atap"), new_or_given(into)
    return Tap(make_source(recorded(source, record, "tap", "atap"), "tap", "atap"), accumulator, hooks)


def atap(
    source: object,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    record: RecordTo = None,
) -> AsyncTap:
    """Return an async iterator of the chunks of a stream, unchanged, that folds them: the async version of `tap`.

    This is not a coroutine function. The handler, or any of its hooks, may be a coroutine function. Each call is
    awaited before the next. If a call is cancelled, the cancellation propagates unchanged, and the next step yields the
    current chunk.
    """
    hooks, accumulator = check_handler(handler), new_or_given(into)
    return AsyncTap(make_async_source(arecorded(source, record, "atap", "tap"), "atap", "tap"), accumulator, hooks)


class Tap(ByteTap[Accumulator, Update]):
    """An iterator of the chunks of a source that folds them on the way; `tap` returns it.

    The chunks are the objects that the source yields.

    As a context manager the tap closes its source when the block is left. A `break` alone closes nothing. If a body is
    open when the tap is closed, it ends without a call of the handler. Its outcome is then "truncated", unless an error
    event or a status that ends a body was read before. If no event was read, closing leaves the outcome as it is.

    Attributes:
        accumulator: the accumulator that receives the events. It can be read at any time.

    """


class AsyncTap(AsyncByteTap[Accumulator, Update]):
    """An async iterator of the chunks of a source that folds them: the async version of `Tap`. `atap` returns it.

    Attributes:
        accumulator: the accumulator that receives the events. It can be read at any time.

    """
