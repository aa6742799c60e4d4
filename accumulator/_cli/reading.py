"""Read a run from its files, with its problems, the outcome of each run in it, and what to say of it."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from accumulator import (
    Accumulator,
    BodyEnded,
    LimitError,
    Problem,
    RequiresAction,
    RunStepCreated,
    RunStepDone,
    RunStream,
    RunUpdated,
    TruncatedError,
    UnknownEvent,
    Update,
    accumulate,
)
from accumulator._assistants.protocol import BODY_END_STATUSES, RUN_END_STATUSES
from accumulator._cli.files import STANDARD_INPUT
from accumulator._cli.interrupts import allowed, held, take
from accumulator._cli.output import UNUSABLE, closed_stream_error
from accumulator._cli.runs import Runs, RunView
from accumulator._errors import join_told
from accumulator._formats import BEGINNING_SIZE, describe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedReader

    from accumulator import Run
    from accumulator._cli.opened import Part

GOOD_OUTCOMES = frozenset({"completed", "requires_action", "unknown"})

_LAST_OUTCOMES = RUN_END_STATUSES | {"error"}
"""The outcomes behind which no body goes on with the run. `done` without a status may stand for a run that waits."""

_MOST_OVER = 100
"""The runs of a file that were shown, and whose outcomes are kept."""

_LONGEST_PIECE = 200
"""How many characters of an id, a path or a message are printed. Uncut, each could be as long as a whole event."""

_SHOWN_NAMES = 3
"""How many names of unknown events are printed."""

_FOLLOWED_EVERY = 0.1
"""Seconds between two looks at a file that grows."""


class Watcher(Protocol):
    """What is told while a run is read.

    Attributes:
        interval: the most seconds between two calls of `waits` while no input is there; None to call it once.

    """

    interval: float | None

    def updated(self, reading: Reading, update: Update) -> None:
        """Take an update, of an event that `reading` has folded."""

    def noted(self, line: str) -> None:
        """Take a line about the input, for standard error: an event over a limit, a failed read."""

    def waits(self, reading: Reading) -> None:
        """Show what came so far: the next input may be long in coming."""

    def advanced(self, size: int) -> None:
        """Take the number of bytes that were read."""

    def ended(self, reading: Reading) -> None:
        """Show a run that has ended, or what there is of it. All of it is forgotten then."""


class Reading:
    """The runs that are read from one file, or the run from several. Each is forgotten when it was shown.

    Attributes:
        names: the names of the files.
        accumulator: what was read of the run.
        outcomes: the outcomes of the runs in it.
        runs: the runs in it that were not shown yet.
        event_count: the number of events in all files.
        problem_count: the number of problems of the run.
        has_known_events: whether a file had a known event.
        unusable: whether a file could not be read to its end, had an event over a limit, or no known event.
        interrupted: whether Ctrl-C ended the reading.
        live: whether what is read may still be on its way: a pipe, a terminal, a file that is followed.

    """

    def __init__(self, watcher: Watcher) -> None:
        """Start with nothing read."""
        self.names: list[str] = []
        self.accumulator = Accumulator()
        self.outcomes = _Outcomes()
        self.runs = Runs()
        self.event_count = self.problem_count = 0
        self.unusable = self.interrupted = self.live = self.has_known_events = False
        self._watcher = watcher
        self._status = 0  # the highest of the runs that were shown
        self._is_shown = False  # whether nothing came since a run was shown

    @property
    def name(self) -> str:
        """The names of the files, joined."""
        return " + ".join(self.names)

    @property
    def status(self) -> int:
        """The exit status: the highest of the runs so far."""
        if self.unusable:
            return UNUSABLE
        return max(self._status, int(self.accumulator.outcome not in GOOD_OUTCOMES))

    def read(self, part: Part, *, follow: bool = False) -> None:
        """Read a file to its end, or with `follow` to the end of the run. Ctrl-C ends it; see `interrupted`."""
        name = part.name
        try:
            opened = _open(part)
        except (OSError, ValueError) as error:
            self._watcher.noted(f"{name}: {unreadable(error)}")
            self.unusable = True
            return
        self.names.append(name)
        self.live = follow or name == STANDARD_INPUT or (part.recording is None and not Path(name).is_file())
        counts = _Counts(self.event_count)
        with opened as file:
            noted = _Noted(file, self, self._watcher, follow=follow)
            with held():
                self._read_to_end(name, accumulate(noted, into=self.accumulator), counts)
                self.interrupted = take() or self.interrupted
        self.has_known_events = self.has_known_events or not counts.nothing_known
        if counts.nothing_known and not self.interrupted:
            self._watcher.noted(f"{name}: {counts.verdict(noted.beginning)}")
        self.unusable = self.unusable or counts.broken or counts.over_limit > 0 or counts.nothing_known

    def play(self, name: str, source: object) -> None:
        """Read what is on its way by itself, such as a request; `name` is for messages. Ctrl-C ends it.

        The source is what `accumulate` reads, or a stream into this accumulator.
        """
        self.names.append(name)
        self.live = True
        counts = _Counts(0)
        stream = source if isinstance(source, RunStream) else accumulate(source, into=self.accumulator)
        try:
            self._read_to_end(name, stream, counts)
        except KeyboardInterrupt:
            self.interrupted = True
        self.has_known_events = not counts.nothing_known
        if counts.nothing_known and not self.interrupted:
            self._watcher.noted(f"{name}: {counts.verdict(b'')}")
        self.unusable = counts.broken or counts.over_limit > 0 or counts.nothing_known

    def show(self) -> None:
        """Show what was not shown yet."""
        if not self._is_shown:
            self._watcher.ended(self)

    def verdict(self) -> str:
        """Return the outcome of the last body, how many steps there are, and the reason of an outcome that is bad."""
        steps = len(self.accumulator.run_steps())
        reason = cut(self.reason(self.accumulator.current_run, self.accumulator.outcome))
        count = f"{steps} run step{'' if steps == 1 else 's'}"
        return f"outcome {self.accumulator.outcome}, {count}{': ' if reason else ''}{reason}"

    def views(self) -> list[RunView]:
        """Return the runs that were not shown yet, with their steps and messages: at least one."""
        return self.runs.views(self.accumulator, self.outcomes.of)

    def shown_outcome(self, run: RunView) -> str:
        """Return how a run ended, for people: also that it did not, or that Ctrl-C ended the reading."""
        if self.interrupted and run.outcome in {None, "truncated"}:
            return "interrupted"
        return run.outcome or "open"

    def reason(self, run: Run | None, outcome: str | None) -> str:
        """Return why a run has its outcome: code and message of an error, and the reason of an incomplete run."""
        error: object = self.accumulator.error if outcome == "error" else None
        details: object = None
        if error is None and run is not None and run.status == outcome and outcome not in GOOD_OUTCOMES:
            error, details = run.last_error, run.incomplete_details
        return join_told(
            getattr(error, "code", None), getattr(error, "message", None), getattr(details, "reason", None)
        )

    def add(self, update: Update) -> None:
        """Take an update."""
        self.event_count = update.event_number
        self.problem_count += isinstance(update, Problem)
        self.outcomes.add(update)
        self.runs.add(update)
        self.interrupted = take() or self.interrupted  # before anything is printed, which it would break off
        self._watcher.updated(self, update)
        self._is_shown = False
        if isinstance(update, BodyEnded) and update.outcome in _LAST_OUTCOMES and not self.interrupted:
            self._show_and_forget()

    def _show_and_forget(self) -> None:
        """Show a run behind which another may come, so that a file of many runs takes the memory of one."""
        self.has_known_events = True
        self._watcher.ended(self)
        self._is_shown, self._status = True, self.status
        self.accumulator._forget()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - made for this class
        self.problem_count = 0
        self.outcomes.forget()
        self.runs.forget()

    def _read_to_end(self, name: str, stream: Iterable[Update], counts: _Counts) -> None:
        while True:
            try:
                for update in stream:
                    counts.add(update)
                    self.add(update)
            except (LimitError, TruncatedError) as error:
                if isinstance(error, LimitError):  # the stream goes on
                    counts.over_limit += 1
                else:
                    counts.broken = True
                self._watcher.noted(f"{name}: {error}")
            else:
                return


class _Noted:
    """A file that is read, whose first bytes are noted, and which may be followed while it grows."""

    def __init__(self, file: BufferedReader, reading: Reading, watcher: Watcher, *, follow: bool) -> None:
        self._file = file
        # These tell a file that has nothing yet from one at its end.
        self.fileno, self.raw = file.fileno, getattr(file, "raw", None)
        self.beginning = b""
        self._reading, self._watcher, self._follow = reading, watcher, follow

    def read1(self, size: int) -> bytes:
        """Return what comes next, b"" at the end and after Ctrl-C."""
        if self._reading.interrupted:
            return b""
        try:
            chunk = self._wait_and_read(size)
            while not chunk and self._follow and self._reading.accumulator.outcome in {None, "requires_action"}:
                self._watcher.waits(self._reading)
                with allowed():
                    time.sleep(_FOLLOWED_EVERY)
                    chunk = self._file.read1(size)
        except KeyboardInterrupt:
            self._reading.interrupted = True
            return b""
        self.beginning += chunk[: BEGINNING_SIZE - len(self.beginning)]
        self._watcher.advanced(len(chunk))
        return chunk

    def _wait_and_read(self, size: int) -> bytes:
        """Let what came be shown, again and again, until there is more."""
        ready = self._has_input(0)
        while not ready:
            self._watcher.waits(self._reading)
            if ready is None or self._watcher.interval is None:
                break
            ready = self._has_input(self._watcher.interval)
        with allowed():
            return self._file.read1(size)

    def _has_input(self, seconds: float) -> bool | None:
        """Wait for input so long. Return None for what cannot be waited for: a file in memory, a pipe of Windows."""
        import select

        with allowed(), suppress(OSError, ValueError):
            return bool(select.select([self._file], [], [], seconds)[0])
        return None


def unreadable(error: Exception) -> str:
    """Return why a file cannot be read."""
    return f"expected a readable file: {getattr(error, 'strerror', None) or error}"


def _open(part: Part) -> AbstractContextManager[BufferedReader]:
    if part.name != STANDARD_INPUT:
        return part.open()
    if sys.stdin is None:
        raise closed_stream_error()
    return nullcontext(cast("BufferedReader", sys.stdin.buffer))


class _Counts:
    """How many events of a file there are, and how many of them are known.

    An event is known if it is folded, is an error, or has a name of the API. `done` is neither known nor unknown,
    because servers of other APIs send it too.

    Attributes:
        broken: whether the file could not be read to its end.
        over_limit: the number of events over a limit.

    """

    def __init__(self, before: int) -> None:
        """Start with the number of events in the files before."""
        self.broken = False
        self.over_limit = 0
        self._before = before
        self._events = 0
        self._known = False
        self._unusable = 0
        self._names: dict[str, None] = {}

    def add(self, update: Update) -> None:
        """Count an update."""
        self._events = update.event_number - self._before
        match update:
            case BodyEnded():
                pass
            case UnknownEvent(event=name) if not name.startswith("thread."):
                self._unusable += 1
                if len(self._names) < _SHOWN_NAMES:
                    self._names[name] = None
            case Problem(kind="undecodable") | Problem(kind="shape", path="$"):
                self._unusable += 1
            case _:
                self._known = True

    @property
    def nothing_known(self) -> bool:
        """Whether no event of a file that could be read is known. In a file with `done` alone nothing is unknown."""
        return not (self.broken or self._known) and (self._unusable + self.over_limit > 0 or self._events == 0)

    def verdict(self, beginning: bytes) -> str:
        """Return what to say of a file in which nothing is known."""
        count = f"{self._events} event{'' if self._events == 1 else 's'}, none of them known"
        names = ", ".join(map(cut, self._names))
        format_ = describe(beginning)
        return (
            f"expected events of a run, got {count if self._events else 'none'}"
            f"{f' (named {names})' if names else ''}{f': it looks like {format_}' if format_ else ''}"
        )


class _Outcomes:
    """The outcomes of the runs of a file: that of the last body for its own run, the last status for another one.

    The run of a body is the one that the body names first and that is not over, or else the one that the body before
    left waiting.
    """

    def __init__(self) -> None:
        self._seen: dict[str | None, str | None] = {}  # the runs of the body, each with its last status in it
        self._waiting: dict[str | None, str | None] = {}  # the run that waits since the body before
        self._known: dict[str | None, str] = {}
        self._over: dict[str | None, str] = {}  # some of the runs that were forgotten: late events may name them

    def of(self, run_id: object, otherwise: str | None) -> str | None:
        """Return the outcome of a run, or that of the file for one that no event named."""
        ident = _text(run_id)
        return self._known.get(ident, self._over.get(ident, otherwise))

    def forget(self) -> None:
        """Forget the runs, all but the outcomes of the last few."""
        self._over = dict([*self._over.items(), *self._known.items()][-_MOST_OVER:])
        self._known.clear()

    def add(self, update: Update) -> None:
        """Note the runs that an update names, and their outcomes at the end of a body. Costs the runs of the body."""
        match update:
            case RunUpdated(run=run) | RequiresAction(run=run):
                ident, status = _text(run.id), _text(run.status)
                is_new = ident not in self._known and ident not in self._over
                if self._own is None and is_new and status in BODY_END_STATUSES:
                    self._seen |= self._waiting  # an end of a run that never began: servers make up ids for failures
                self._seen[ident] = status
            case RunStepCreated(run_step=step) | RunStepDone(run_step=step):
                self._seen.setdefault(_text(step.run_id), None)
            case BodyEnded(outcome=outcome):
                self._end_body(outcome)
            case _:
                pass

    @property
    def _own(self) -> str | None:
        named = [ident for ident in self._seen if ident is not None]
        return next((ident for ident in named if ident not in self._over), named[0] if named else None)

    def _end_body(self, outcome: str) -> None:
        if self._own is None:
            self._seen |= self._waiting
        own = self._own
        for ident, status in self._seen.items():
            if ident in {own, None}:
                self._known[ident] = outcome
            elif status is None:
                self._known.setdefault(ident, self._over.get(ident, outcome))
            else:
                self._known[ident] = status if status in BODY_END_STATUSES else "truncated"
        self._waiting = {own: None} if outcome == "requires_action" else {}
        self._seen.clear()


def _text(value: object) -> str | None:
    """Return an id or a status, None for what a server sent that is no text."""
    return value if isinstance(value, str) else None


def problem_line(problem: Problem, *, with_place: bool = True) -> str:
    """Return what is wrong in an event, in one line."""
    owner = problem.step_id or problem.message_id
    place = "" if owner is None or not with_place else f", {cut(owner)}"
    text = f": {cut(problem.raw)}" if problem.kind == "undecodable" else ""
    return f"event {problem.event_number}{place}: {problem.kind} at {cut(problem.path)}: {cut(problem.message)}{text}"


def cut(text: str) -> str:
    """Cut a text that a server may have made as long as a whole event."""
    return text if len(text) <= _LONGEST_PIECE else f"{text[:_LONGEST_PIECE]}..."
