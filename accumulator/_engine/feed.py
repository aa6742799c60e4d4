"""One source of a run: its parser, the events that are not applied yet, and the body that it is in."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from accumulator._assistants.protocol import DONE
from accumulator._assistants.updates import Problem
from accumulator._engine.body import Body, Pending
from accumulator._engine.fast_path import Lane
from accumulator._errors import LimitError, MergeError
from accumulator._sse import SSEParser

if TYPE_CHECKING:
    from accumulator._assistants.updates import Update
    from accumulator._engine.engine import Dispatcher
    from accumulator._sse import Frame, Item

_GLUED = DONE + b"\n"
"""How the data begins of an event that stands right behind a `done` without its blank line: two recordings in one file,
of which the first was cut there, as a quarter of the stored ones are. No event has data that begins so."""


class Intake:
    """Bytes or framed events of one source, applied one at a time; it reads one body after the other.

    Attributes:
        parser: the source's own.
        body: the body in hand.
        pending: what came and is not applied yet.
        used: whether anything came.

    """

    def __init__(self, dispatcher: Dispatcher, *, strict: bool, max_event_size: int | None) -> None:
        """Begin with nothing read."""
        self.parser = SSEParser(max_event_size=max_event_size)
        self.body = Body()
        self.pending: deque[Item | Pending] = deque()
        self.used = False
        self._dispatcher = dispatcher
        self._lanes = dispatcher.lanes
        self._strict = strict
        self._max_event_size = max_event_size

    @property
    def finished(self) -> bool:
        """Whether the body in hand has ended and no event of another came."""
        return self.body.ended

    def push(self, chunk: bytes) -> None:
        """Take bytes; the events that they complete become pending."""
        self.used = self.used or bool(chunk)
        self.pending += self.parser.push(chunk)

    def push_event(self, event: str, data: bytes | str) -> None:
        """Take an event that is framed already; its size is that of its data, in bytes or characters."""
        self.used = True
        if self._max_event_size is not None and len(data) > self._max_event_size:
            self.pending.append(self.parser.too_large())
            return
        try:
            name = b"" if event == "message" else event.encode()
            self.pending.append((name, data if isinstance(data, bytes) else data.encode(), b"", None))
        except UnicodeEncodeError:  # a lone surrogate, which no UTF-8 has
            self.pending.append(Pending(event or "message", data))

    def step(self, *, wanted: bool = True) -> list[Update] | None:
        """Apply one pending event the general way and return its updates; None where none is pending.

        Of updates that are not `wanted` those about steps and messages are not made.

        Raises:
            LimitError: the event was too large, and is left out.
            MergeError: the accumulator is strict and the event, now applied, had a problem.
            RecursionError: the caller left too little of the stack for the event, which stays pending.

        """
        if not self.pending:
            return None
        item = self.pending[0]
        if isinstance(item, LimitError):
            self.pending.popleft()
            self._begin()
            raise self._dispatcher.counted(item)
        if not isinstance(item, Pending):
            item, *glued = _events(item)
            self.pending.popleft()
            self.pending.extendleft([*glued, item])
        self._dispatcher.require_stack(item.data)
        self.pending.popleft()
        return self._hold_to_strict(self._apply(item, wanted=wanted))

    def next_fragment(self) -> Update | None:
        """Apply the next pending event if it has a short way and give its update; None if there is no such event."""
        pending, body = self.pending, self.body
        if not pending or body.ended or not body.began:
            return None
        item = pending[0]
        if type(item) is not tuple or (found := self._lanes.find(item[0], item[1])) is None:
            return None
        lane, text = found
        number = self._dispatcher.count + 1
        update = lane.update(number, text)
        lane.append(text)
        pending.popleft()
        self._dispatcher.count = number
        return update

    def skim(self) -> None:
        """Apply what is pending up to the first event that has no short way, for nobody who wants the updates."""
        if self.body.ended or not self.body.began:
            return
        pending, taken = self.pending, 0
        before: object = self._lanes.last
        items = iter(pending)
        item = next(items, None)
        try:
            while type(item) is tuple and (found := self._lanes.find(item[0], item[1])) is not None:
                lane, text = found
                if lane is before and isinstance(lane, Lane):  # a second in a row is one of many, mostly
                    texts, item = lane.take_on(text, item[0], items)
                    lane.append("".join(texts))
                    taken += len(texts)
                else:
                    item = next(items, None)
                    lane.append(text)
                    taken += 1
                before = lane
        finally:
            self._dispatcher.count += taken
            if taken == len(pending):
                pending.clear()
            for _ in range(min(taken, len(pending))):
                pending.popleft()

    def waiting(self) -> list[Pending | None]:
        """Return what is pending; None for an event that was too large."""
        events: list[Pending | None] = []
        for item in self.pending:
            if isinstance(item, tuple):
                events += _events(item)
            else:
                events.append(item if isinstance(item, Pending) else None)
        return events

    def end(self) -> list[Update]:
        """End the source: apply what its last block holds, and end the body unless it has ended.

        If that block raises, the body has not ended: the next call ends it.
        """
        return self._end(broken=False)

    def fail(self) -> list[Update]:
        """End the source because it broke: as `end`, with the outcome "truncated" unless the body has ended."""
        return self._end(broken=True)

    def abandon(self) -> None:
        """End the source because nobody will read on: what is pending or half there is dropped, an open body ends."""
        self.drop()
        if self.body.began:
            self.body.ended = True

    def drop(self) -> None:
        """Forget what is pending or half there."""
        self.pending.clear()
        self.parser = SSEParser(max_event_size=self._max_event_size)

    def _apply(self, item: Pending, *, wanted: bool = True) -> list[Update]:
        self._begin()
        updates = self._dispatcher.apply(self.body, item, wanted=wanted)
        if self.body.done:
            updates.append(self._dispatcher.end_body(self.body))
        return updates

    def _begin(self) -> None:
        if self.body.ended:
            self.body = Body()
        if not self.body.began:
            self.body.began = True
            self._dispatcher.body = self.body

    def _end(self, *, broken: bool) -> list[Update]:
        updates: list[Update] = []
        rest = self.parser.rest()
        try:
            for item in _events(rest, torn=True) if isinstance(rest, tuple) else ():
                updates += self._hold_to_strict(self._apply(item))
            if isinstance(rest, bytes):
                # Not an event: after `done` it begins no body.
                updates += self._hold_to_strict([self._dispatcher.torn(rest)])
        except MergeError as error:
            error.updates = [*updates, *error.updates]
            raise
        if not self.body.ended:
            self._begin()
            self.body.broken = broken
            updates.append(self._dispatcher.end_body(self.body))
        return updates

    def _hold_to_strict(self, updates: list[Update]) -> list[Update]:
        """Return the updates of one event, or raise its first problem if that is asked for."""
        problem = next((update for update in updates if isinstance(update, Problem)), None) if self._strict else None
        if problem is None:
            return updates
        owner = problem.step_id or problem.message_id
        at = f"event {problem.event_number}" + (f", {owner}" if owner else "")
        error = MergeError(f"{problem.kind} at {problem.path} ({at}): {problem.message}", problem)
        error.updates = updates
        raise error


def _events(frame: Frame, *, torn: bool = False) -> list[Pending]:
    """Return the event of a frame, behind the `done` that it is glued to if it is."""
    name, data, *_ = frame
    rest = data.removeprefix(_GLUED)
    event = Pending(name.decode("utf-8", "replace") or "message", rest, torn)
    if rest is data:
        return [event]
    return [Pending("done", DONE), event] if rest else [Pending("done", DONE)]
