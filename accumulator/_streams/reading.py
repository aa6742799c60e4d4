"""What the sync and the async loop share: a source that is read into an accumulator, without the I/O.

A loop asks for `next_update`. If there is none, it calls `next_hook`. If there is no hook either, it reads the source
and reports what it got with `push`, `end` or `fail`; once there is no `more` to read, it stops.

    phase            on                                              goes to
    READING          `end`                                           SOURCE_ENDED
    READING          `fail`, `push` of what is no event              SOURCE_FAILED
    READING          `fail` with a refused response                  ENDED
    READING          the source is one body, and that has ended      ENDED
    SOURCE_ENDED     all that is pending is applied, the body ended  ENDED
    SOURCE_FAILED    the same                                        ENDED
    all but CLOSED   `break_off`                                     BROKEN_OFF
    all but CLOSED   `close`                                         CLOSED
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from accumulator._engine.body import Body, BodyEnded
from accumulator._errors import AccumulatorError, ResponseError, TruncatedError, attach
from accumulator._streams.sources import framed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from accumulator._engine.accumulator import BaseAccumulator
    from accumulator._streams.coalesce import Coalescer
    from accumulator._streams.hooks import Callback

U = TypeVar("U")


class Phase(Enum):
    """How far a reading is."""

    READING = auto()
    """The source may give more."""
    SOURCE_ENDED = auto()
    """The source is at its end: what is pending is applied, then the body ends."""
    SOURCE_FAILED = auto()
    """The source raised: as SOURCE_ENDED, but a body that is open is truncated."""
    ENDED = auto()
    """The last body has ended, or the response was refused; updates may be left to hand out."""
    BROKEN_OFF = auto()
    """A hook raised; the handler is still called with the `BodyEnded` of the body that was open."""
    CLOSED = auto()
    """The stream was closed; nothing more is handed out."""


_OPEN = (Phase.READING, Phase.SOURCE_ENDED, Phase.SOURCE_FAILED)
"""The phases in which events are applied."""


class Reading(Generic[U]):
    """A source that is read into an accumulator.

    Attributes:
        ready: updates that are handed out before anything else is done.
        fast_path: while `ready` is empty, applies the next event if that can go by the fast path, and returns its
            update; else returns None.

    """

    def __init__(
        self,
        accumulator: BaseAccumulator[U],
        *,
        one_body: bool,
        handler: Callback[U] | None,
        coalescer: Coalescer[U] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            accumulator: what is folded into.
            one_body: whether reading stops where the first body ends.
            handler: what is called with each update, checked already.
            coalescer: what merges deltas, if they are to be merged.

        """
        self.ready: deque[U] = deque()
        self._accumulator = accumulator
        self._feed = accumulator._new_feed()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - made for this class
        self._one_body = one_body
        self._handler = handler
        self._coalescer = coalescer
        self._for_handler: deque[U] = deque()  # updates that it is to be called with first
        self._incoming = self.ready if handler is None else self._for_handler
        self._phase = Phase.READING
        self._error: Exception | None = None  # what ended the reading; each drain raises it
        self._to_raise: Exception | None = None  # what comes out next, once
        direct = handler is None and coalescer is None
        self.fast_path: Callable[[], U | None] = self._feed.next_fragment if direct else _nothing

    # What the loop asks.

    @property
    def body(self) -> Body:
        """The body in hand."""
        return self._feed.body

    @property
    def more(self) -> bool:
        """Whether the source is to be read on."""
        return self._phase is Phase.READING

    @property
    def truncated(self) -> bool:
        """Whether the body was cut short, or the stream closed before it began."""
        return self._feed.outcome == "truncated" or (self._phase is Phase.CLOSED and not self.body.began)

    def next_update(self) -> U | None:
        """Return the next update; None if a hook or the source comes first, or if that was the last.

        Raises what ended the reading, once, after the updates before it; also what the feed raises for an event.
        """
        while not self.ready and not self._for_handler:
            if self._to_raise is not None:
                error, self._to_raise = self._to_raise, None
                raise error
            if self._phase not in _OPEN or (updates := self._advance()) is None:
                return None
            self._incoming.extend(updates)
        return self.ready.popleft() if self.ready else None

    def next_hook(self) -> Callable[[], object] | None:
        """Return the call of the handler that comes before the next update, None if there is none.

        If the call raises, say so with `break_off`.
        """
        if self._handler is None or not self._for_handler:
            return None
        update = self._for_handler.popleft()
        if self._phase is not Phase.BROKEN_OFF:
            self.ready.append(update)  # before the call, so that a cancelled hook does not lose it
        return partial(self._handler, update)

    def due(self) -> float | None:
        """Return in how many seconds there is an update even if the source is silent; None if there will be none."""
        return None if self._coalescer is None else self._coalescer.due()

    @contextmanager
    def draining(self) -> Generator[None, None, None]:
        """Leave out updates within the block, where nobody would see them.

        A handler and a coalescer see them, and in strict mode an error has the updates of its event.
        """
        unseen = self._handler is None and self._coalescer is None and not self._accumulator.strict
        self._feed.build_updates = not unseen
        try:
            yield
        finally:
            self._feed.build_updates = True

    def raise_error(self) -> None:
        """Raise what ended the reading, again each time: the source, a refused response or a hook."""
        if self._error is not None:
            raise self._error

    # What the loop reports.

    def push(self, item: object) -> None:
        """Take what the source gave. What is neither bytes nor an event fails the source with a `TypeError`."""
        try:
            event = framed(item)
        except TypeError as error:
            self._fail(error)
            return
        if isinstance(event, bytes):
            self._feed.push(event)
        else:
            self._feed.push_event(*event)

    def end(self, *, failed: bool = False) -> None:
        """End the reading with its source; `failed` if that raised, and somebody else raises the error again."""
        if self._phase is Phase.READING:
            self._phase = Phase.SOURCE_FAILED if failed else Phase.SOURCE_ENDED

    def fail(self, error: Exception) -> None:
        """End the reading because the source raised. A response that was refused is no body."""
        if isinstance(error, ResponseError):
            attach(error, [], self._accumulator)
            self._error = error
            self._incoming.extend(self._flush())
            if self._phase is Phase.READING:
                self._end()
            return
        truncated = TruncatedError(f"expected the stream to go on, its source raised {type(error).__name__}: {error}")
        truncated.__cause__ = error
        attach(truncated, [], self._accumulator)
        self._fail(truncated)

    def break_off(self, error: Exception) -> None:
        """End the reading because a hook raised. If a body was open, the handler is called once more, with its end."""
        if self._phase is Phase.BROKEN_OFF and self._error is not None and error is not self._error:
            self._error.add_note(f"hearing of the end failed too: {error!r}")
        elif error is not self._error:  # else a hook looped over this stream and let its error out
            self._break_off(error)
        self._to_raise = self._error

    def close(self) -> bool:
        """End the reading with its stream, and give up a body that is open; False if it was closed before."""
        if self._phase is Phase.CLOSED:
            return False
        if self._phase in _OPEN:
            self._feed.abandon()
        self._phase = Phase.CLOSED
        self._to_raise = None
        self.ready.clear()
        self._for_handler.clear()
        return True

    # How it goes on.

    def _advance(self) -> list[U] | None:
        """Apply one event, or end the body; return the updates that go out now, None if neither can be done."""
        try:
            updates = self._step()
        except AccumulatorError as error:
            attach(error, [], self._accumulator)
            if held := self._flush():
                self._to_raise = error  # after those that came before its event
                return held
            raise
        if self._coalescer is None:
            return updates
        return self._coalescer.flush_due() or None if updates is None else self._coalescer.push(updates)

    def _step(self) -> list[U] | None:
        feed = self._feed
        try:
            updates = feed.step()
        finally:
            if self._one_body and feed.finished:
                self._end()
        if updates is None and self._phase is not Phase.READING:
            # The last block may raise here; then the body has not ended, and the next step ends it.
            updates = feed.end() if self._phase is Phase.SOURCE_ENDED else feed.fail()
            self._end()
        return updates

    def _end(self) -> None:
        self._phase = Phase.ENDED
        self._to_raise = self._error

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.end(failed=True)

    def _break_off(self, error: Exception) -> None:
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            # An iterator that raised it would seem to be at its end; Python does the same for generators (PEP 479).
            error, stop = RuntimeError(f"a hook raised {type(error).__name__}"), error
            error.__cause__ = stop
        elif error.__context__ is None:
            error.__context__ = self._to_raise or self._error
        ends: list[U] = [update for update in self._incoming if isinstance(update, BodyEnded)]
        if self._phase in _OPEN:
            self._feed.drop()  # half a block belongs to the body that ends here
            ends += self._feed.fail()
        self.ready.clear()
        self._for_handler.clear()
        self._for_handler.extend(ends if self._handler is not None else ())
        self._error = error
        if self._phase is not Phase.CLOSED:
            self._phase = Phase.BROKEN_OFF

    def _flush(self) -> list[U]:
        """Return what the coalescer holds."""
        return [] if self._coalescer is None else self._coalescer.flush()


def _nothing() -> None:
    """Return None: no event goes by the fast path."""
