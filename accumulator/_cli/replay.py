"""The command `accumulator replay`: print the final run steps of recorded event streams."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, cast

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
from accumulator._cli.output import closed_stream_error, flush, print_json, print_to_stderr
from accumulator._errors import join_told
from accumulator._formats import BEGINNING_SIZE, describe

if TYPE_CHECKING:
    from io import BufferedReader

UNUSABLE = 2
"""The exit status for an input, an argument or an output that cannot be used."""

_GOOD_OUTCOMES = frozenset({"completed", "requires_action", "unknown"})

_RUN_OUTCOMES = frozenset({"completed", "requires_action", "incomplete", "failed", "cancelled", "expired"})
"""The statuses with which a run within the run of a body has an outcome. With any other it is truncated."""

_LONGEST_PIECE = 200
"""How many characters of an id, a path or a message are printed. Uncut, each could be as long as a whole event."""

_SHOWN_NAMES = 3
"""How many names of unknown events are printed."""

SUMMARY = "Print the final run steps of recorded event streams."

HELP = (
    SUMMARY
    + """

Each FILE is a stream of server-sent events as the server sent it; "-" is standard input, read as it arrives. At the end
of a FILE, standard output gets one line with a JSON object for each run step, in the order of their first events:

\b
  {"file": "run.sse", "run_id": "run_...", "outcome": "completed", "step": {...}}

"outcome" is that of the last body of the step's run: completed, requires_action, incomplete, failed, cancelled,
expired, error (an error event arrived), truncated (the body was cut) or unknown (done, no final status). Standard
error gets a line for each problem, each event over a limit and each failed read, as soon as it is found, and at the
end of each opened FILE a line with the outcome and the server's error or reason. If no event of a FILE is known, a
line before it says how many events came, the first of their names, and what the FILE looks like.

Each FILE is one run, of one body or more: the tool outputs start the next body. To join the bodies of two files:

\b
  cat first.sse second.sse | accumulator replay -

The exit status is the highest of all FILEs. A FILE that cannot be used does not stop the command.

\b
  0  the outcome is completed, requires_action or unknown
  1  any other outcome
  2  the FILE cannot be read, has no event that is known, or has an event
     over a limit, such as 32 MiB (left out; the rest is folded);
     or an argument is wrong, or an output cannot be written
"""
)


def replay(files: tuple[str, ...]) -> int:
    """Fold each file as a run of its own, print the steps, and return the exit status."""
    return max([_replay_file(name) for name in files])


def _replay_file(name: str) -> int:
    try:
        opened = _open(name)
    except OSError as error:
        print_to_stderr(f"{name}: expected a readable file: {error.strerror or error}")
        return UNUSABLE
    accumulator = Accumulator()
    with opened as file:
        noted, outcomes = _Noted(file), _Outcomes()
        counts = _read_to_end(name, accumulate(noted, into=accumulator), outcomes)
    if counts.nothing_known:
        print_to_stderr(f"{name}: {counts.verdict(noted.beginning)}")
    outcome, steps = accumulator.outcome, accumulator.run_steps()
    for step in steps:
        of_run = outcomes.of(step.run_id, outcome)
        print_json({"file": name, "run_id": step.run_id, "outcome": of_run, "step": step.to_dict()})
    flush()
    reason = _reason(accumulator)
    count = f"{len(steps)} run step{'' if len(steps) == 1 else 's'}"
    print_to_stderr(f"{name}: outcome {outcome}, {count}{': ' if reason else ''}{_cut(reason)}")
    if counts.broken or counts.over_limit or counts.nothing_known:
        return UNUSABLE
    return 0 if outcome in _GOOD_OUTCOMES else 1


def _reason(accumulator: Accumulator) -> str:
    """Return why the last body ended as it did: code and message of an error, and the reason of an incomplete run."""
    error: object = accumulator.error
    details: object = None
    run = accumulator.current_run
    outcome = accumulator.outcome
    if error is None and run is not None and run.status == outcome and outcome not in _GOOD_OUTCOMES:
        error, details = run.last_error, run.incomplete_details
    return join_told(getattr(error, "code", None), getattr(error, "message", None), getattr(details, "reason", None))


def _open(name: str) -> AbstractContextManager[BufferedReader]:
    if name != "-":
        return Path(name).open("rb")
    if sys.stdin is None:
        raise closed_stream_error()
    return nullcontext(cast("BufferedReader", sys.stdin.buffer))


class _Noted:
    """A file that is read, whose first bytes are noted."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        # These tell a file that has nothing yet from one at its end.
        self.fileno, self.raw = file.fileno, getattr(file, "raw", None)
        self.beginning = b""

    def read1(self, size: int) -> bytes:
        chunk = self._file.read1(size)
        self.beginning += chunk[: BEGINNING_SIZE - len(self.beginning)]
        return chunk


class _Counts:
    """How many events of a file there are, and how many of them are known.

    An event is known if it is folded, is an error, or has a name of the API. `done` is neither known nor unknown,
    because servers of other APIs send it too.

    Attributes:
        broken: whether the file could not be read to its end.
        over_limit: the number of events over a limit.

    """

    def __init__(self) -> None:
        self.broken = False
        self.over_limit = 0
        self._events = 0
        self._known = False
        self._unusable = 0
        self._names: dict[str, None] = {}

    def add(self, update: Update) -> None:
        """Count an update."""
        self._events = update.event_number
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
        names = ", ".join(map(_cut, self._names))
        format_ = describe(beginning)
        return (
            f"expected events of a run, got {count if self._events else 'none'}"
            f"{f' (named {names})' if names else ''}{f': it looks like {format_}' if format_ else ''}"
        )


def _read_to_end(name: str, stream: RunStream, outcomes: _Outcomes) -> _Counts:
    """Read a stream to its end and print each problem and error. Return what came, and note the outcomes."""
    counts = _Counts()
    while True:
        try:
            for update in stream:
                counts.add(update)
                outcomes.add(update)
                if isinstance(update, Problem):
                    print_to_stderr(f"{name}: {_problem_line(update)}")
            break
        except (LimitError, TruncatedError) as error:
            if isinstance(error, LimitError):  # the stream goes on
                counts.over_limit += 1
            else:
                counts.broken = True
            print_to_stderr(f"{name}: {error}")
    return counts


class _Outcomes:
    """The outcomes of the runs of a file: that of the last body for its own run, the last status for another one.

    The run of a body is the one that the body names first, or else the one that the body before left waiting.
    """

    def __init__(self) -> None:
        self._seen: dict[str | None, str | None] = {}  # the runs of the body, each with its last status in it
        self._waiting: dict[str | None, str | None] = {}  # the run that waits since the body before
        self._known: dict[str | None, str] = {}

    def of(self, run_id: object, otherwise: str | None) -> str | None:
        """Return the outcome of a run, or that of the file for one that no event named."""
        return self._known.get(_text(run_id), otherwise)

    def add(self, update: Update) -> None:
        """Note the runs that an update names, and their outcomes at the end of a body. Costs the runs of the body."""
        match update:
            case RunUpdated(run=run) | RequiresAction(run=run):
                ident, status = _text(run.id), _text(run.status)
                if self._own is None and ident not in self._known and status in _RUN_OUTCOMES:
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
        return next((ident for ident in self._seen if ident is not None), None)

    def _end_body(self, outcome: str) -> None:
        if self._own is None:
            self._seen |= self._waiting
        own = self._own
        for ident, status in self._seen.items():
            if ident in {own, None}:
                self._known[ident] = outcome
            elif status is None:
                self._known.setdefault(ident, outcome)
            else:
                self._known[ident] = status if status in _RUN_OUTCOMES else "truncated"
        self._waiting = {own: None} if outcome == "requires_action" else {}
        self._seen.clear()


def _text(value: object) -> str | None:
    """Return an id or a status, None for what a server sent that is no text."""
    return value if isinstance(value, str) else None


def _problem_line(problem: Problem) -> str:
    owner = problem.step_id or problem.message_id
    place = "" if owner is None else f", {_cut(owner)}"
    text = f": {_cut(problem.raw)}" if problem.kind == "undecodable" else ""
    return f"event {problem.event_number}{place}: {problem.kind} at {_cut(problem.path)}: {_cut(problem.message)}{text}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PIECE else f"{text[:_LONGEST_PIECE]}..."
