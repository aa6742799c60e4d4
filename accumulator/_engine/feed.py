"""One source of events: its parser, the events that wait, and its current body."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NoReturn, cast

from accumulator._engine.body import Body
from accumulator._engine.engine import Engine, name_of
from accumulator._engine.protocol import Report, U
from accumulator._engine.templates import TextTemplate
from accumulator._errors import AccumulatorError, LimitError, MergeError, attach
from accumulator._formats import is_plain_text
from accumulator._json import text_of
from accumulator._sse import DEFAULT_NAME, FOREIGN_SIZE, Frame, Item, SSEParser, as_bytes, may_have_field

if TYPE_CHECKING:
    from accumulator._engine.resource import Resource

_NO_NAMES = frozenset({b"", DEFAULT_NAME.encode()})


class Feed(Generic[U]):
    """Bytes or framed events of one source, applied one at a time, body after body.

    An event with neither name nor data is dropped, as a comment is.

    On its way an event is a `Frame` of the parser, then an `Event` of the protocol's `decode`; what it does to a
    resource is `Applied`.

    Attributes:
        parser: the parser of this source.
        body: the current body.
        pending: the events that wait. A frame that holds str, not bytes, fits no template: see `text_frame`.
        used: whether anything arrived.
        build_updates: whether updates about resources and runs are made. It is off while nobody would see them.

    """

    def __init__(self, engine: Engine[U], *, strict: bool, one_body: bool = False) -> None:
        """Start with nothing."""
        self._max_event_size = engine.limits.max_event_size
        self.parser = SSEParser(max_event_size=self._max_event_size)
        self.body = Body()
        self.pending: deque[Item] = deque()
        self.used = False
        self.build_updates = True
        self._engine = engine
        self._fast_path = engine.fast_path
        self._strict = strict
        self._levels = 0  # levels of nesting that the stack has room for, within one step
        self._behind_done: Frame | None = None  # the frame that was split off last
        mark = engine.protocol.done_mark
        self._done_line = mark + b"\n" if mark and not one_body else None  # what separates bodies that are glued

    @property
    def finished(self) -> bool:
        """Whether the current body has ended, and no event of the next one was applied."""
        return self.body.ended

    @property
    def event_number(self) -> int:
        """The number of events in all bodies so far."""
        return self._engine.count

    def note_interrupt(self) -> None:
        """Report that an exception broke the work off, see `Engine.note_interrupt`; the problem is handed out next."""
        self._engine.note_interrupt()

    @property
    def outcome(self) -> str | None:
        """The outcome of the current body, None while it is open."""
        return self._engine.outcome(self.body)

    def push(self, chunk: bytes) -> None:
        """Parse a chunk of bytes. The events that it completes wait."""
        engine = self._engine
        if type(chunk) is not bytes:
            chunk = as_bytes(chunk)
        self.used = self.used or bool(chunk)
        try:
            items = self.parser.push(chunk)
            if not engine.exact and (size := engine.size + len(chunk)) <= engine.bounds.total:
                engine.size = size
            else:
                self._count_bytes(len(chunk))
            self.pending += items
        except BaseException:
            self.parser = SSEParser(max_event_size=self._max_event_size)  # the parser may be half changed
            engine.note_interrupt()
            raise

    def _count_bytes(self, count: int) -> None:
        """Count bytes that came, and what waits, if there is room for all; if not, each event is checked by itself.

        An event of the fast path adds less than it has bytes.
        """
        count += sum(len(item[1]) for item in self.pending if isinstance(item, tuple))
        engine = self._engine
        engine.exact = not engine.has_room(count)
        if not engine.exact:
            engine.size += count

    def push_event(self, event: str, data: bytes | str) -> None:
        """Add an event that is framed already. Its size is that of its data, in bytes or characters."""
        self.used = True
        self._count_bytes(len(data))
        if self._max_event_size is not None and len(data) > self._max_event_size:
            self.pending.append(self.parser.too_large())
            return
        try:
            name = b"" if event == DEFAULT_NAME else event.encode()
            frame: Frame = (name, data if isinstance(data, bytes) else data.encode(), b"", None)
        except UnicodeEncodeError:  # a lone surrogate
            frame = text_frame(event, data)
        # What was framed by somebody else holds one event, whatever its data begins with.
        self.pending.append(frame if len(self._split_done(frame)) == 1 else text_frame(event, data))

    # What is applied.

    def step(self, most: int = 1) -> list[U] | None:
        """Apply the next event and return its updates, None if no event waits. The fast path is tried first.

        With `build_updates` off, it goes on while events wait, up to the end of the body, and drops the updates that
        were made all the same. It applies at most `most` events beside those that the fast path takes.

        Raises:
            LimitError: the event is over a limit, and is left out.
            MergeError: the accumulator is strict, and the event had a problem. The event was applied.
            RecursionError: the stack is too small for the event. It still waits.

        """
        self._levels = 0
        if self.build_updates:
            fragment = self.next_fragment()
            return self._step_general() if fragment is None else [fragment]
        pending, engine, fast_path = self.pending, self._engine, self._fast_path
        while True:
            item = pending[0] if pending else None
            if (
                type(item) is tuple
                and item[0] in fast_path.tables
                and self.body is engine.body
                and not (self.body.ended or engine.exact)
            ):
                self._drain_fast()
            updates = self._step_general()
            most -= 1
            if updates is None or most <= 0 or self.body.ended:
                return updates

    def next_fragment(self) -> U | None:
        """Apply the next event if the fast path takes it, and return its update; else return None."""
        pending, body, engine = self.pending, self.body, self._engine
        if not pending or body.ended or body is not engine.body or engine.exact:
            return None
        item, fast_path, build = pending[0], self._fast_path, True
        if type(item) is not tuple:
            return None
        update: U | None = None
        expected, number = fast_path.expected, engine.count + 1
        try:
            if expected is not None and expected is fast_path.last and item[0] == fast_path.last_name:
                update = expected.take(item[1], number, engine, build)
            if update is None and (update := fast_path.take(item[0], item[1], number, engine, build)) is None:
                return None
            pending.popleft()
            return update  # noqa: TRY300 - an exception here loses the update
        except BaseException:
            if engine.count == number:
                self._break_off(item, number)
            raise

    def _drain_fast(self) -> None:
        """Apply the next events as long as the fast path takes them, without updates."""
        pending, engine, fast_path, build = self.pending, self._engine, self._fast_path, False
        waiting, items, first = len(pending), iter(pending), engine.count
        item, done = next(items, None), first  # the number of the last event that is folded for sure
        try:
            while type(item) is tuple:
                before = fast_path.last
                if fast_path.take(item[0], item[1], done + 1, engine, build) is None:
                    break
                done += 1
                if before is fast_path.last and type(before) is TextTemplate:  # two in a row: expect more
                    texts, item = before.match_run(item[0], items)
                    engine.count += len(texts)
                    before.append("".join(texts))
                    done = engine.count
                else:
                    item = next(items, None)
            if done > first:
                self._take(waiting - (done - first), done)
        except BaseException:
            count = engine.count
            self._take(waiting - (count - first), count)
            if count != done:
                engine.note_interrupt()
            raise

    def _take(self, left: int, count: int) -> None:
        """Drop events that were applied, so that `left` wait, and set the number of events. It may be called again."""
        if not left:
            self.pending.clear()
        while len(self.pending) > left:
            self.pending.popleft()
        self._engine.count = count

    def _break_off(self, item: Item, count: int) -> None:
        """Drop an event whose commit was broken off, and note that."""
        if self.pending and self.pending[0] is item:
            self.pending.popleft()
        self._engine.count = count
        self._engine.note_interrupt()

    def _step_general(self) -> list[U] | None:
        pending, engine = self.pending, self._engine
        if engine.interrupted:
            return self._raise_if_strict(engine.take_interrupted())
        if not pending:
            return None
        if type(pending[0]) is tuple and not pending[0][1] and self._drop_empty() is None:
            return None
        item, waiting, count, engine.touched = pending[0], len(pending), engine.count, False
        try:
            if isinstance(item, LimitError):
                self._take_too_large(item)
            data, kept = item[1], engine.kept
            if kept is not None and data == kept.data and self._comes_again(kept, item[0]):
                engine.count = count + 1
                pending.popleft()
                return [kept.updated(count + 1)] if self.build_updates else []
            if self._done_line is not None and type(data) is bytes and data.startswith(self._done_line):
                updates = self._apply(self._take_first(item))
            else:
                self._levels = engine.require_stack(data, self._levels)
                pending.popleft()
                updates = self._apply(item)
            return self._raise_if_strict(updates) if self._strict else updates
        except AccumulatorError:
            raise
        except BaseException:
            if engine.touched:
                self._break_off(item, engine.count)
            else:  # nothing has changed yet: the event is applied again
                self._take(waiting - 1, count)
                pending.appendleft(item)
            raise

    def _comes_again(self, kept: Resource[U], name: bytes) -> bool:
        """Tell whether an event with the data of a kept object does nothing but send that object again."""
        body, engine = self.body, self._engine
        return name in kept.type.repeated_by and body is engine.body and not (body.ended or engine.exact)

    def _drop_empty(self) -> Item | None:
        """Drop events with neither a name nor data, and return the next other one; None if none waits."""
        while self.pending and _is_empty(self.pending[0]):
            self.pending.popleft()
        return self.pending[0] if self.pending else None

    def _take_too_large(self, error: LimitError) -> NoReturn:
        """Take an event that was too large, and raise the error that stands for it."""
        self.pending.popleft()
        self._begin()
        raise self._engine.count_too_large(error)

    def _take_first(self, item: Frame) -> Frame:
        """Take the next event, or the first of the two that it is; the second waits."""
        frames = self._split_done(item)
        self._engine.require_stack(frames[0][1])
        self.pending.popleft()
        if len(frames) > 1:
            self._behind_done = frames[1]  # it is not split again, even if it begins with the mark too
            self.pending.appendleft(frames[1])
        return frames[0]

    def _split_done(self, frame: Frame) -> list[Frame]:
        """Return the events of a frame: two if its data is the done mark, a line end and more, else one.

        Such a frame is the seam of two recordings in one file. The first lacks its last blank line, as a quarter of
        stored recordings do.
        """
        name, data, last_id, retry = frame
        if self._done_line is None or not isinstance(data, bytes) or frame is self._behind_done:
            return [frame]
        if not data.startswith(self._done_line):
            return [frame]
        done: Frame = (b"done", self._done_line[:-1], b"", None)
        behind: Frame = (name, data[len(self._done_line) :], last_id, retry)
        return [done, behind] if behind[1] else [done]

    def _apply(self, frame: Frame, *, torn: bool = False) -> list[U]:
        if self.body.ended or not self.body.began:
            self._engine.touched = True
            self._begin()
        updates = self._engine.apply(self.body, frame, build_updates=self.build_updates, torn=torn)
        if self.body.done:
            updates.append(self._engine.end_body(self.body))
        return updates

    def _begin(self) -> None:
        if self.body.ended:
            self.body = Body()
        if not self.body.began:
            self._engine.begin_body(self.body)

    def reject(self, report: Report[U]) -> list[U]:
        """Leave out an event, and report why; see `Engine.reject`. Raises `MergeError` if the accumulator is strict."""
        self._begin()
        return self._raise_if_strict([self._engine.reject(report)])

    def _raise_if_strict(self, updates: list[U]) -> list[U]:
        """Return the updates of one event or, if the accumulator is strict, raise its first problem."""
        if not self._strict or self._engine.reported is None:
            return updates
        problem, message = self._engine.reported
        error = MergeError(message, problem)
        attach(error, updates)
        raise error

    # The end.

    def end(self) -> list[U]:
        """End the source: apply a last block that lacks its blank line, and end the body unless it has ended.

        If that block raises, the body has not ended. The next call ends it. `RecursionError` leaves the block as it is:
        the stack is too small for it.
        """
        return self._end(broken=False)

    def fail(self) -> list[U]:
        """End the source as `end` does, but after it raised: a body that ends now is marked as broken."""
        return self._end(broken=True)

    def _end(self, *, broken: bool) -> list[U]:
        updates: list[U] = []
        self._engine.require_stack(self.parser.unfinished)
        while self._engine.interrupted:
            updates += self._raise_if_strict(self._engine.take_interrupted())
        foreign, rest = self.parser.foreign, self.parser.rest()
        try:
            for frame in self._split_done(rest) if isinstance(rest, tuple) and not _is_empty(rest) else ():
                updates += self._raise_if_strict(self._apply(frame, torn=True))
            if not isinstance(rest, tuple) and (problems := self._report_rest(foreign, rest or b"")):
                updates += self._raise_if_strict(problems)
            if not self.body.ended:
                self._begin()
                self.body.broken = broken
                updates.append(self._engine.end_body(self.body))
            return updates  # noqa: TRY300 - an exception here loses the updates
        except (MergeError, LimitError) as error:
            attach(error, updates)
            raise
        except BaseException:
            self._engine.note_interrupt()
            raise

    def _report_rest(self, foreign: bytes, rest: bytes) -> list[U]:
        """Report what is no event at the end of the source: at most one problem.

        The problem begins no body: behind `done`, neither half a block nor a page does. Foreign blocks are a problem
        only in the place of events. In a body with events they mean nothing, as in the standard; nor do they behind its
        end if they may be unknown fields.

        Args:
            foreign: the foreign blocks since the last event.
            rest: the last block, if it is neither ended nor an event.

        """
        has_events = self.body.began and not self.body.ended
        if rest and (has_events or (not foreign and may_have_field(rest))):
            return [self._engine.report_torn(rest)]
        text = b"\n\n".join(filter(None, (foreign, rest)))[:FOREIGN_SIZE]
        if has_events or not text or (self.body.ended and not rest and is_plain_text(text)):
            return []
        return [self._engine.report_foreign(text)]

    def abandon(self) -> None:
        """End the source because nobody reads on: drop what waits, and end a body that is open, without updates."""
        self.drop()
        if self.body.began:
            self.body.ended = True

    def drop(self) -> None:
        """Drop the events that wait, and half a block."""
        self.pending.clear()
        self.parser = SSEParser(max_event_size=self._max_event_size)

    def next_body(self) -> None:
        """Begin another body of the source, once `end` was called: nothing of the body before is continued."""
        self.drop()
        self.body, self.used, self._behind_done = Body(), False, None

    def waiting(self) -> list[Frame | None]:
        """Return the events that wait; None stands for one that was too large."""
        frames: list[Frame | None] = []
        for item in self.pending:
            frames += [None] if isinstance(item, LimitError) else self._split_done(item)
        return frames


def _is_empty(item: Item) -> bool:
    """Whether an event has neither a name nor data. Servers send such events, as they send comments, to show life."""
    return type(item) is tuple and not item[1] and item[0] in _NO_NAMES


def text_frame(event: str, data: bytes | str) -> Frame:
    """Return a frame that holds text. No template fits it, and it is not split."""
    return cast("Frame", (name_of(event), text_of(data), b"", None))
