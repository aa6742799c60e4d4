"""One source of a run: its parser, the events that wait to be applied, and the body that it is in."""

from __future__ import annotations

from collections import deque
from typing import Generic, cast

from accumulator._engine.body import Body
from accumulator._engine.engine import Engine, name_of
from accumulator._engine.fast_path import TextTemplate
from accumulator._engine.protocol import U
from accumulator._errors import LimitError, MergeError, attach
from accumulator._sse import Frame, Item, SSEParser


class Feed(Generic[U]):
    """Bytes or framed events of one source, applied one at a time. It reads one body after the other.

    An event has three shapes on its way: the `Frame` of the parser, the `Event` of the protocol's `decode`, and what a
    resource `Applied`.

    Attributes:
        parser: the source's own.
        body: the body in hand.
        pending: the events that wait. Text that UTF-8 cannot encode stays text in a frame, name and data both, so that
            no template fits it.
        used: whether anything arrived.
        build_updates: whether the updates about resources are made. A drain needs none.

    """

    def __init__(self, engine: Engine[U], *, strict: bool, max_event_size: int | None) -> None:
        """Start a source that nothing arrived from."""
        self.parser = SSEParser(max_event_size=max_event_size)
        self.body = Body()
        self.pending: deque[Item] = deque()
        self.used = False
        self.build_updates = True
        self._engine = engine
        self._fast_path = engine.fast_path
        self._strict = strict
        self._max_event_size = max_event_size
        self._done_line = engine.protocol.done_mark + b"\n"

    @property
    def finished(self) -> bool:
        """Whether the body in hand has ended, and no event of another arrived."""
        return self.body.ended

    @property
    def outcome(self) -> str | None:
        """The outcome of the body in hand, None while it is open."""
        return self._engine.outcome(self.body)

    def push(self, chunk: bytes) -> None:
        """Take a chunk of bytes. The events that it completes wait."""
        self.used = self.used or bool(chunk)
        self.pending += self.parser.push(chunk)

    def push_event(self, event: str, data: bytes | str) -> None:
        """Take an event that is framed already. Its size is that of its data, in bytes or characters."""
        self.used = True
        if self._max_event_size is not None and len(data) > self._max_event_size:
            self.pending.append(self.parser.too_large())
            return
        try:
            name = b"" if event == "message" else event.encode()
            self.pending.append((name, data if isinstance(data, bytes) else data.encode(), b"", None))
        except UnicodeEncodeError:  # a lone surrogate
            self.pending.append(text_frame(event, data))

    # What is applied.

    def step(self) -> list[U] | None:
        """Apply one event and return its updates, None if no event waits. The fast path comes first.

        With `build_updates` off, all events that the fast path takes are applied before that one.

        Raises:
            LimitError: the event was too large. It is left out.
            MergeError: the accumulator is strict and the event, which is applied, had a problem.
            RecursionError: the caller left too little stack for the event. It still waits.

        """
        if not self.build_updates:
            self._drain_fast_path()
        elif (fragment := self.next_fragment()) is not None:
            return [fragment]
        return self._step_general()

    def next_fragment(self) -> U | None:
        """Apply the next event if the fast path takes it, and return its update; else None."""
        pending, body = self.pending, self.body
        if not pending or body.ended or not body.began:
            return None
        item = pending[0]
        if type(item) is not tuple or (found := self._fast_path.find(item[0], item[1])) is None:
            return None
        match, text = found
        number = self._engine.count + 1
        update = match.update(number, text)
        match.commit(text)
        pending.popleft()
        self._engine.count = number
        return update

    def _drain_fast_path(self) -> None:
        """Apply events up to the first that the fast path does not take, without updates."""
        if self.body.ended or not self.body.began:
            return
        pending, taken = self.pending, 0
        before: object = self._fast_path.last
        items = iter(pending)
        item = next(items, None)
        try:
            while type(item) is tuple and (found := self._fast_path.find(item[0], item[1])) is not None:
                match, text = found
                if match is before and isinstance(match, TextTemplate):  # where two follow each other, more do
                    texts, item = match.match_run(text, item[0], items)
                    match.commit("".join(texts))
                    taken += len(texts)
                else:
                    item = next(items, None)
                    match.commit(text)
                    taken += 1
                before = match
        finally:
            self._engine.count += taken
            if taken == len(pending):
                pending.clear()
            for _ in range(min(taken, len(pending))):
                pending.popleft()

    def _step_general(self) -> list[U] | None:
        if not self.pending:
            return None
        item = self.pending[0]
        if isinstance(item, LimitError):
            self.pending.popleft()
            self._begin()
            raise self._engine.count_too_large(item)
        if len(frames := self._split_done(item)) > 1:
            self.pending.popleft()
            self.pending.extendleft(reversed(frames))
        self._engine.require_stack(frames[0][1])
        self.pending.popleft()
        return self._raise_if_strict(self._apply(frames[0]))

    def _split_done(self, frame: Frame) -> list[Frame]:
        """Return the event of a frame, behind the mark of an end that it is glued to, if it is.

        Two recordings in one file are glued so where the first lacks its last blank line, as a quarter of the stored
        ones do. No event has data that begins with the mark and a line end.
        """
        name, data, *rest = frame
        if not isinstance(data, bytes) or not data.startswith(self._done_line):
            return [frame]
        done: Frame = (b"done", self._done_line[:-1], b"", None)
        data = data[len(self._done_line) :]
        return [done, cast("Frame", (name, data, *rest))] if data else [done]

    def _apply(self, frame: Frame, *, torn: bool = False) -> list[U]:
        self._begin()
        updates = self._engine.apply(self.body, frame, build_updates=self.build_updates, torn=torn)
        if self.body.done:
            updates.append(self._engine.end_body(self.body))
        return updates

    def _begin(self) -> None:
        if self.body.ended:
            self.body = Body()
        if not self.body.began:
            self.body.began = True
            self._engine.body = self.body

    def _raise_if_strict(self, updates: list[U]) -> list[U]:
        """Return the updates of one event. Raise its first problem instead if the accumulator is strict."""
        if not self._strict or self._engine.reported is None:
            return updates
        problem, message = self._engine.reported
        error = MergeError(message, problem)
        attach(error, updates)
        raise error

    # The end.

    def end(self) -> list[U]:
        """End the source: apply its last block if its data is whole, and end the body unless it has ended.

        If that block raises, the body has not ended. The next call ends it.
        """
        return self._end(broken=False)

    def fail(self) -> list[U]:
        """End the source because it broke, as `end` does. A body that had not ended is truncated."""
        return self._end(broken=True)

    def _end(self, *, broken: bool) -> list[U]:
        updates: list[U] = []
        rest = self.parser.rest()
        try:
            for frame in self._split_done(rest) if isinstance(rest, tuple) else ():
                updates += self._raise_if_strict(self._apply(frame, torn=True))
            if isinstance(rest, bytes):  # no event, so that it begins no body after `done`
                updates += self._raise_if_strict([self._engine.report_torn(rest)])
        except MergeError as error:
            attach(error, updates)
            raise
        if not self.body.ended:
            self._begin()
            self.body.broken = broken
            updates.append(self._engine.end_body(self.body))
        return updates

    def abandon(self) -> None:
        """End the source because nobody will read on: drop what waits, and end a body that is open."""
        self.drop()
        if self.body.began:
            self.body.ended = True

    def drop(self) -> None:
        """Drop the events that wait, and half a block."""
        self.pending.clear()
        self.parser = SSEParser(max_event_size=self._max_event_size)

    def waiting(self) -> list[Frame | None]:
        """Return the events that wait; None stands for one that was too large."""
        frames: list[Frame | None] = []
        for item in self.pending:
            frames += [None] if isinstance(item, LimitError) else self._split_done(item)
        return frames


def text_frame(event: str, data: bytes | str) -> Frame:
    """Return the frame of an event with text that UTF-8 cannot encode."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    return cast("Frame", (name_of(event), text, b"", None))
