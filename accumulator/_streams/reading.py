"""The state of a source that is read into an accumulator, without I/O: the sync and the async loop share it.

A loop repeats these steps:

1. Call `next_update`. An update is handed out.
2. If there is no update, call `next_call`. A call of the handler is made; if it raises, `break_off` reports that.
3. If there is no call and no `steps` are left, the async loop looks whether the event loop is due for a turn. It sets
   `steps` to `STEPS_IN_A_TURN`.
4. If `wants_read` is true, read one item of the source. `push` reports an item, `end` the end of the source, and `fail`
   an exception of the source.
5. If `wants_read` is false, stop.

Most events of a live stream need less: while `next_fast_update` is not None and nothing is `ready`, a loop calls that
first, and reads at once if the reading `is_idle`.

A chunk is parsed in slices, each when all events of the slice before are applied.

    phase            on                                                         next phase
    reading          `end`                                                      source ended
    reading          `fail` with a `ResponseError`                              ended
    reading          `fail` with another error, or `end(failed=True)`           source failed
    reading          `push` of neither bytes nor an event                       source failed
    reading          the end of the body, if the source is one body             ended
    reading          `push` of `NEXT_BODY`                                      body ended
    body ended       the end of the body                                        reading
    source ended     the end of the body, after all pending events              ended
    source failed    the end of the body, after all pending events              ended
    all but closed   `break_off`, unless its error ended the reading before     broken off
    all but closed   `close`                                                    closed

If the source is one body, "source ended" and "source failed" also end with that body. Events that are still pending are
not applied then.
"""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

from accumulator._engine.body import TRUNCATED, Body, BodyEnded
from accumulator._errors import AccumulatorError, RecordingError, ResponseError, TruncatedError, attach, note_failure
from accumulator._streams.openers import NEXT_BODY
from accumulator._streams.sources import read_item

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._engine.accumulator import BaseAccumulator
    from accumulator._streams.coalesce import Coalescer
    from accumulator._streams.hooks import Callback

U = TypeVar("U")


_SLICE_SIZE = 16_384
"""The bytes of a chunk that are parsed at once: some 60 common events. Parsing the worst takes less than 10 ms."""

STEPS_IN_A_TURN = 16
"""The steps between two looks at the clock. A step applies an event, which takes up to some 50 us, or parses 1 kB."""

_BYTES_IN_A_STEP = 1_024


Phase: TypeAlias = Literal["reading", "body ended", "source ended", "source failed", "ended", "broken off", "closed"]
"""What a reading does next.

reading: the source is read.
body ended: a body of the source is at its end, and the next one follows: the body ends.
source ended: the source is at its end: the pending events are applied, then the body ends.
source failed: the source raised or gave a wrong item: the pending events are applied, then an open body ends.
ended: the last body has ended, or the response was refused; the remaining updates are handed out.
broken off: the handler raised, or folding failed in a tap; the handler still gets a `BodyEnded` that it has not seen.
closed: the stream was closed; no update is handed out.
"""

_APPLYING: tuple[Phase, ...] = ("reading", "body ended", "source ended", "source failed")
"""The phases in which events are applied."""


class Reading(Generic[U]):
    """A source that is read into an accumulator.

    Attributes:
        ready: updates to hand out before anything else is applied or read.
        pending: the events that wait to be applied.
        steps: the steps before the caller looks at the clock. With 0 or less, `next_update` applies no event.
        next_fast_update: applies the next event if the fast path takes it, and returns the update; otherwise returns
            None. Call it only while `ready` is empty. It is None with a handler or a coalescer, and while the updates
            are discarded.

    """

    def __init__(
        self,
        accumulator: BaseAccumulator[U],
        *,
        one_body: bool,
        handler: Callback[U] | None,
        coalescer: Coalescer[U] | None = None,
        turns: bool = False,
    ) -> None:
        """Store the arguments; nothing is read until the first step.

        Args:
            accumulator: the accumulator that the source is folded into.
            one_body: whether reading stops at the end of the first body.
            handler: the handler, checked by `check_handler`, or None.
            coalescer: the coalescer that merges deltas, or None to merge none.
            turns: whether the caller counts `steps`.

        """
        self.ready: deque[U] = deque()
        self.steps = STEPS_IN_A_TURN if turns else sys.maxsize
        self._most = 1 if turns else sys.maxsize  # events in a step whose updates nobody uses
        self._accumulator = accumulator
        self._engine = accumulator._engine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - for its count
        self._feed = accumulator._new_feed(one_body=one_body)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - made for this class
        self.pending = self._feed.pending
        self._events_before = 0  # the number of events when the first item came, or the end
        self._one_body = one_body
        self._handler = handler
        self._coalescer = coalescer
        self._for_handler: deque[U] = deque()  # updates that the handler has not been called with
        self._incoming = self.ready if handler is None else self._for_handler
        self._chunk, self._parsed = b"", 0  # the chunk that is parsed, and how many bytes of it were
        self._phase: Phase = "reading"
        self._broken_off = False  # whether `break_off` ended the reading, also if the stream was closed since
        self._error: Exception | None = None  # the error that ended the reading; `raise_error` raises it each time
        self._pending_error: Exception | None = None  # the error that `next_update` raises next, once
        direct = handler is None and coalescer is None
        self._fast: Callable[[], U | None] | None = self._feed.next_fragment if direct else None
        self.next_fast_update = self._fast

    # What the loop calls to learn the next step.

    @property
    def body(self) -> Body:
        """The current body."""
        return self._feed.body

    @property
    def event_number(self) -> int:
        """The number of events in all bodies so far."""
        return self._feed.event_number

    @property
    def last_event(self) -> int | None:
        """The number of the last event, None if this source has had none."""
        return self._feed.event_number if self._feed.event_number > self._events_before else None

    @property
    def wants_read(self) -> bool:
        """Whether the loop has to read the source."""
        return self._phase == "reading"

    @property
    def wants_only_read(self) -> bool:
        """Whether the loop has to read the source before it does anything else."""
        return self.steps > 0 and self._phase == "reading" and not self._for_handler

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do until the source is read. Ask only if `next_fast_update` is not None."""
        return (
            not self.pending
            and self._phase == "reading"
            and self.steps > 0
            and not (self.ready or self._chunk or self._engine.interrupted)
        )

    @property
    def truncated(self) -> bool:
        """Whether the current body was cut short, or the stream was closed before the body began."""
        return self._feed.outcome == TRUNCATED or (self._phase == "closed" and not self.body.began)

    def next_update(self) -> U | None:
        """Return the next update.

        Return None if the handler has to be called first, if the source has to be read first, if a turn is wanted, or
        if there is no update left. An error of one event is raised after the updates of the earlier events. The error
        that ended the reading is raised once, after all updates.
        """
        updates, update, waiting, count = None, None, 0, self._engine.count
        try:
            while not self.ready and not self._for_handler and self.steps > 0:
                if self._pending_error is not None:
                    error, self._pending_error = self._pending_error, None
                    raise error  # noqa: TRY301 - the handler below lets it pass
                updates = self._advance() if self._phase in _APPLYING else None
                if updates is None:
                    return None
                self._incoming.extend(updates)
            if waiting := len(self.ready):
                update = self.ready.popleft()
            return update  # noqa: TRY300 - an exception here puts it back
        except AccumulatorError:
            raise
        except BaseException as error:
            if error is not self._error:
                self._recover(updates, update, waiting, count)
            raise

    def _recover(self, updates: list[U] | None, update: U | None, waiting: int, count: int) -> None:
        """Keep what was made before an exception, and say so if something is lost.

        Args:
            updates: the last ones that were made.
            update: the one that is taken from those that are ready.
            waiting: how many were ready before.
            count: how many events there were before.

        """
        self.put_back(update)
        if updates and not self._incoming:
            self._incoming.extend(updates)
        elif update is None and (
            len(self.ready) < waiting
            or self._coalescer is not None
            or self._chunk
            or (self._engine.count != count and not self._incoming)
        ):
            self._feed.note_interrupt()

    def put_back(self, update: U | None) -> None:
        """Put back an update, if there is one, that an exception kept from being handed out."""
        if update is not None:
            self.ready.appendleft(update)

    def note_interrupt(self) -> None:
        """Report that an exception broke off a read or a call of the handler, so that something may be lost."""
        self._feed.note_interrupt()

    def next_call(self) -> Callable[[], object] | None:
        """Return the call of the handler that is due before the next update, or None if no call is due.

        If the call raises, pass the exception to `break_off`.
        """
        if self._handler is None or not self._for_handler:
            return None
        waiting = len(self._for_handler)
        try:
            update = self._for_handler.popleft()
            if self._phase != "broken off":
                self.ready.append(update)  # before the call, so that a cancelled call does not lose the update
            return partial(self._handler, update)
        except BaseException:
            if len(self._for_handler) < waiting:
                self._feed.note_interrupt()
            raise

    def due(self) -> float | None:
        """Return the seconds until a held delta is due, or None if no delta is held."""
        return None if self._coalescer is None else self._coalescer.due()

    def expect_unread(self) -> None:
        """Expect that the caller discards the updates: those that nothing uses are not built.

        A handler and a coalescer use updates, and in strict mode an error carries the updates of its event.
        """
        if self._fast is not None and not self._accumulator.strict:
            self._feed.build_updates, self.next_fast_update = False, None

    def expect_read(self) -> None:
        """Expect that the caller uses the updates from now on."""
        self._feed.build_updates, self.next_fast_update = True, self._fast

    def raise_error(self) -> None:
        """Raise the error that ended the reading, at each call. Do nothing if no error ended the reading."""
        if self._error is not None:
            raise self._error

    # What the loop calls to report what happened.

    def push(self, item: object) -> None:
        """Store an item of the source. If it is no bytes, event or `NEXT_BODY`, end the reading with a `TypeError`."""
        if not self._feed.used:
            self._events_before = self._feed.event_number
        if type(item) is bytes and len(item) <= _SLICE_SIZE:  # most items
            self.steps -= len(item) // _BYTES_IN_A_STEP + 1  # as `_parse` does
            self._feed.push(item)
            return
        if item is NEXT_BODY:
            self._phase = "body ended"
            return
        try:
            event = read_item(item)
        except TypeError as error:
            self._fail(error)
            return
        if not isinstance(event, bytes):
            self._feed.push_event(*event)
            return
        if len(event) > _SLICE_SIZE:
            self._chunk, self._parsed = event, 0
            event = self._next_slice()
        self._parse(event)

    def end(self, *, failed: bool = False) -> None:
        """End the reading because the source ended, or because it `failed` and the caller raises the error itself."""
        if not self._feed.used:
            self._events_before = self._feed.event_number
        if self._phase == "reading":
            self._phase = "source failed" if failed else "source ended"

    def fail(self, error: Exception, *, deadline: bool = False) -> None:
        """End the reading because the source raised, or because a `deadline` passed, whose error this is.

        A `ResponseError` is raised unchanged, and no body ends: a refused response has none. A `RecordingError` is too:
        a file that is no recording has none either. Any other exception becomes the cause of a `TruncatedError`, unless
        the outcome of the body is known: then nothing is missing.
        """
        if isinstance(error, (ResponseError, RecordingError)):
            attach(error, [], self._accumulator)
            self._error = error
            self._incoming.extend(self._flush())
            if self._phase == "reading":
                self._end()
            return
        came = str(error) if deadline else f"its source raised {type(error).__name__}: {error}"
        truncated = TruncatedError(f"expected the stream to go on, {came}")
        truncated.__cause__ = error
        attach(truncated, [], self._accumulator)
        self._fail(truncated)

    def break_off(self, error: Exception) -> None:
        """End the reading because the handler raised, or because folding failed in a tap.

        If the current body has not ended, it ends now. If there is a `BodyEnded` that the handler has not seen, the
        handler is called once more, with that. An error of that last call becomes a note on the first error.

        The error may be the very error that ended the reading, if the handler iterated over this stream and let that
        error propagate. Then the phase does not change, and the error is raised again.
        """
        if self._broken_off and self._error is not None and error is not self._error:
            note_failure(self._error, "the handler failed at the end of the body too", error)
        elif error is not self._error:
            self._break_off(error)
        self._pending_error = self._error

    def close(self) -> bool:
        """End the reading because the stream is closed, and abandon an open body. Return False if closed before."""
        if self._phase == "closed":
            return False
        if self._phase in _APPLYING:
            self._chunk = b""
            self._feed.abandon()
        self._phase = "closed"
        self._pending_error = None
        self.ready.clear()
        self._for_handler.clear()
        return True

    # How the reading goes on.

    def _advance(self) -> list[U] | None:
        """Apply one event, or end the body.

        Return the updates that are not held, together with the held deltas that are due. Return None if there was
        nothing to apply or to end, and no held delta is due.
        """
        try:
            updates = self._step()
        except AccumulatorError as error:
            attach(error, [], self._accumulator)
            if held := self._flush():
                self._pending_error = error  # after the deltas of the earlier events
                return held
            raise
        if self._coalescer is None:
            return updates
        return self._coalescer.flush_due() or None if updates is None else self._coalescer.push(updates)

    def _step(self) -> list[U] | None:
        feed = self._feed
        try:
            updates = feed.step(self._most)
        finally:
            if self._one_body and feed.finished:
                self._end()
        if updates is not None:
            self.steps -= 1
            return updates
        if self._chunk:
            self._parse(self._next_slice())
            return []
        if self._phase == "body ended":
            updates = feed.end()  # if the last block raises, the body is still open, and the next step ends it
            feed.next_body()
            self._phase = "reading"
        elif self._phase != "reading":
            # `feed.end` may raise for the last block. Then the body is still open, and the next step ends it.
            updates = feed.end() if self._phase == "source ended" else feed.fail()
            if isinstance(self._error, TruncatedError) and not self.truncated:
                self._error = None  # the outcome was known before the source raised: nothing is missing
            self._end()
        return updates

    def _next_slice(self) -> bytes:
        """Return the next slice of the chunk."""
        start, self._parsed = self._parsed, self._parsed + _SLICE_SIZE
        piece = self._chunk[start : self._parsed]
        if self._parsed >= len(self._chunk):
            self._chunk = b""
        return piece

    def _parse(self, piece: bytes) -> None:
        self.steps -= len(piece) // _BYTES_IN_A_STEP + 1
        self._feed.push(piece)

    def _end(self) -> None:
        self._chunk = b""
        self._phase = "ended"
        self._pending_error = self._error

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.end(failed=True)

    def _break_off(self, error: Exception) -> None:
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            # An iterator that raised this would seem exhausted. Python replaces it in generators too (PEP 479).
            error, stop = RuntimeError(f"the handler raised {type(error).__name__}"), error
            error.__cause__ = stop
        elif error.__context__ is None:
            error.__context__ = self._pending_error or self._error
        ends: list[U] = [update for update in self._incoming if isinstance(update, BodyEnded)]
        if self._phase in _APPLYING:
            self._chunk = b""
            self._feed.drop()  # an incomplete block belongs to the body that ends here
            ends += self._feed.fail()
        self.ready.clear()
        self._for_handler.clear()
        self._for_handler.extend(ends if self._handler is not None else ())
        self._error = error
        self._broken_off = True
        if self._phase != "closed":
            self._phase = "broken off"

    def _flush(self) -> list[U]:
        """Return all held deltas."""
        return [] if self._coalescer is None else self._coalescer.flush()
