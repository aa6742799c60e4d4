"""What both loops do with what they read, decided once and without any reading: a loop asks what is next.

A loop takes `next_update`; where there is none it calls `next_hook`; where there is none of that either it reads on, if
there is `more`, and says what came. With a handler an update comes by `next_hook` first and by `next_update` then. A
loop that can wait for the source in turns asks `due` when to come back.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from accumulator._assistants.messages import TextDelta, TextDeltaBlock
from accumulator._assistants.runs import ErrorObject
from accumulator._assistants.updates import ContentDelta
from accumulator._engine.body import BodyEnded
from accumulator._errors import AccumulatorError, ResponseError, RunError, TruncatedError
from accumulator._streams.sources import framed

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.run_steps import RunStep
    from accumulator._assistants.updates import Update
    from accumulator._streams.coalesce import Coalescer
    from accumulator._streams.hooks import Callback


class Reading:
    """A source being read into an accumulator, without the reading: it says what is next and is told what came.

    Attributes:
        accumulator: what is folded into.
        ready: updates that are to be handed out before anything else is done.

    """

    def __init__(
        self, accumulator: Accumulator, *, single: bool, handler: Callback | None, coalescer: Coalescer | None = None
    ) -> None:
        """Begin with nothing read; the handler is to be one that was checked."""
        self.accumulator = accumulator
        self._intake = accumulator._intake()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a stream is its source
        self._single = single
        self._handler = handler
        self._coalescer = coalescer
        self.ready: deque[Update] = deque()
        self._to_hear: deque[Update] = deque()
        self._incoming = self.ready if handler is None else self._to_hear
        self._ending: Callable[[], list[Update]] | None = None  # what to do once all that was read is applied
        self._ended = False
        self._closed = self._cut = self._broken_off = False
        self._error: Exception | None = None
        self._raised = False
        self._put_off: AccumulatorError | None = None  # an event's error, while what was held comes before it
        self._direct = handler is None and coalescer is None

    @property
    def more(self) -> bool:
        """Whether the source is to be read on."""
        return self._ending is None and not self._over

    @property
    def _over(self) -> bool:
        return self._ended or (self._single and self._intake.finished)

    def next_update(self, *, wanted: bool = True) -> Update | None:
        """Give the next update; None if a hook or the source comes first or, without both, if that was the last.

        Of updates that are not `wanted` most are left out: they need not be made. Not so in strict mode, whose errors
        have the updates of their event.
        """
        while not self.ready and not self._to_hear and (self._put_off is not None or not self._over):
            updates = self._advance(wanted=wanted or not self._direct or self.accumulator.strict)
            if updates is None:
                return None
            self._incoming.extend(updates)
        if self.ready:
            return self.ready.popleft()
        if self._error is not None and not self._raised and not self._to_hear:
            self._raised = True
            raise self._error
        return None

    def next_fragment(self) -> Callable[[], Update | None]:
        """Give what gives the next update while nothing is ready, if it is about a fragment that has a short way."""
        return self._intake.next_fragment if self._direct else _nothing

    def next_hook(self) -> Callable[[], object] | None:
        """Give what is to be called before the next update, None where there is nothing; `break_off` if it raises."""
        if self._handler is None or not self._to_hear:
            return None
        update = self._to_hear.popleft()
        if not self._broken_off:
            self.ready.append(update)  # before it is heard: what interrupts a hook, such as cancellation, loses nothing
        return partial(self._handler, update)

    def _advance(self, *, wanted: bool) -> list[Update] | None:
        """Apply one event, or end the body if its source is at its end; None if neither can be done."""
        if self._put_off is not None:
            error, self._put_off = self._put_off, None
            raise error
        try:
            updates = self._next_of_intake(wanted=wanted)
            if updates is None and self._ending is not None:
                updates = self._ending()
                self._ended = True
        except AccumulatorError as error:
            error.accumulator = self.accumulator
            if held := self._held():
                self._put_off = error
                return held
            raise
        if self._coalescer is None:
            return updates
        return self._coalescer.flush_due() or None if updates is None else self._coalescer.push(updates)

    def _next_of_intake(self, *, wanted: bool) -> list[Update] | None:
        if not wanted:
            self._intake.skim()
        elif (fragment := self._intake.next_fragment()) is not None:
            return [fragment]
        return self._intake.step(wanted=wanted)

    def _held(self) -> list[Update]:
        return [] if self._coalescer is None else self._coalescer.flush()

    def due(self) -> float | None:
        """Give the seconds after which there is an update even if the source is silent; None if there will be none."""
        return None if self._coalescer is None else self._coalescer.due()

    def push(self, item: object) -> None:
        """Take what the source gave; what is neither bytes nor event ends the body, then its `TypeError` comes out."""
        try:
            event = framed(item)
        except TypeError as error:
            self._error, self._ending = error, self._intake.fail
            return
        if isinstance(event, bytes):
            self._intake.push(event)
        else:
            self._intake.push_event(*event)

    def end(self, *, broken: bool = False) -> None:
        """Take note that the source is at its end."""
        self._ending = self._intake.fail if broken else self._intake.end

    def fail(self, error: Exception) -> None:
        """Take note that the source broke; an answer that was refused is no body."""
        if isinstance(error, ResponseError):
            error.accumulator = self.accumulator
            self._incoming.extend(self._held())
            self._error, self._ended = error, True
            return
        truncated = TruncatedError(f"expected the stream to go on, its source raised {type(error).__name__}: {error}")
        truncated.accumulator, truncated.__cause__ = self.accumulator, error
        self._error = truncated
        self.end(broken=True)

    def break_off(self, error: Exception) -> None:
        """End all with what a hook raised; a body that is open ends, and the handler is to hear of that."""
        self._raised = False
        if error is self._error:  # out of a loop over this stream in one of its own hooks
            return
        if self._broken_off and self._error is not None:
            self._error.add_note(f"hearing of the end failed too: {error!r}")
            return
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            # An iterator that raised it would seem to be at its end; Python does the same for generators (PEP 479).
            error, stop = RuntimeError(f"a hook raised {type(error).__name__}"), error
            error.__cause__ = stop
        elif error.__context__ is None:
            error.__context__ = self._put_off or self._error
        owed: list[Update] = [update for update in self._incoming if isinstance(update, BodyEnded)]
        if not self._ended:
            self._intake.drop()  # half a block dies with its body
            owed += self._intake.fail()
        self.ready.clear()
        self._to_hear.clear()
        self._to_hear.extend(owed if self._handler is not None else ())
        self._error, self._put_off = error, None
        self._ended = self._broken_off = True

    def close(self) -> bool:
        """Be over, a body still open is given up; False if that was so before."""
        if self._closed:
            return False
        if not self._over:
            self._cut = not self._intake.body.began  # else the outcome says how it ended
            self._intake.abandon()
        self._closed = self._ended = self._raised = True
        self._put_off = None
        self.ready.clear()
        self._to_hear.clear()
        return True

    def drained(self) -> Accumulator:
        """Give the accumulator, unless the source broke or a hook raised: that error comes out again."""
        if self._error is not None:
            raise self._error
        return self.accumulator

    def final_run_steps(self) -> list[RunStep]:
        """Give the run steps, unless this stream was cut or ended in an error, whatever others said of the run."""
        accumulator, body = self.drained(), self._intake.body
        error: AccumulatorError
        if self._cut or body.outcome == "truncated":
            error = TruncatedError("expected the stream to end in done, an error or a final status, it was cut before")
        elif body.error is not None:
            said = ErrorObject.wrap(body.error)
            error = RunError("expected the run to end, it came to an error; see .error", said)
        else:
            return accumulator.run_steps()
        error.accumulator = accumulator
        raise error


def _nothing() -> None:
    """Give nothing."""


def added_text(update: Update) -> str:
    """Give the text that an update adds to a message, "" where it adds none."""
    match update:
        case ContentDelta(delta=TextDeltaBlock(text=TextDelta(value=str() as value))):
            return value
        case _:
            return ""
