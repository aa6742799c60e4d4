"""The command `accumulator replay`: print the final run steps of recorded event streams."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from accumulator import Accumulator, BodyEnded, LimitError, Problem, RunStream, TruncatedError, accumulate
from accumulator._cli.output import closed_stream_error, flush, print_json, print_to_stderr

UNUSABLE = 2
"""The exit status for an input, an argument or an output that cannot be used."""

_GOOD_OUTCOMES = frozenset({"completed", "requires_action", "unknown"})

_LONGEST_PIECE = 200
"""How many characters of an id, a path or a message are printed. Uncut, each could be as long as a whole event."""

SUMMARY = "Print the final run steps of recorded event streams."

HELP = (
    SUMMARY
    + """

Each FILE is a stream of server-sent events as the server sent it; "-" is standard input, read as it arrives. At the end
of a FILE, standard output gets one line with a JSON object for each run step, in the order of their first events:

\b
  {"file": "run.sse", "run_id": "run_...", "outcome": "completed", "step": {...}}

"outcome" is that of the last body in the FILE: completed, requires_action, incomplete, failed, cancelled, expired,
error (an error event arrived), truncated (the body was cut) or unknown (done arrived without a final status). Standard
error gets a line for each problem, each event that is too large and each failed read, as soon as it is found, and at
the end of each opened FILE a line with the outcome and the server's error message.

Each FILE is one run, of one body or more: the tool outputs start the next body. To join the bodies of two files:

\b
  cat first.sse second.sse | accumulator replay -

The exit status is the highest of all FILEs. A FILE that cannot be used does not stop the command.

\b
  0  the outcome is completed, requires_action or unknown
  1  any other outcome
  2  the FILE cannot be read, has no event that can be decoded, or has an
     event larger than 32 MiB (which is left out; the rest is folded);
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
        usable = _read_to_end(name, accumulate(file, into=accumulator))
    outcome, steps = accumulator.outcome, accumulator.run_steps()
    for step in steps:
        print_json({"file": name, "run_id": step.run_id, "outcome": outcome, "step": step.to_dict()})
    flush()
    reason = _reason(accumulator)
    count = f"{len(steps)} run step{'' if len(steps) == 1 else 's'}"
    print_to_stderr(f"{name}: outcome {outcome}, {count}{': ' if reason else ''}{_cut(reason)}")
    if not usable:
        return UNUSABLE
    return 0 if outcome in _GOOD_OUTCOMES else 1


def _reason(accumulator: Accumulator) -> str:
    """Return why a run ended as it did: the message of an error event, or the error or reason that the run has."""
    if accumulator.error is not None:
        return str(accumulator.error.message)
    run = accumulator.current_run
    if run is None or accumulator.outcome not in {"failed", "incomplete"}:
        return ""
    error, details = run.last_error, run.incomplete_details
    told = [getattr(error, "code", None), getattr(error, "message", None), getattr(details, "reason", None)]
    return ": ".join(str(each) for each in told if each)


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    if name != "-":
        return Path(name).open("rb")
    if sys.stdin is None:
        raise closed_stream_error()
    return nullcontext(sys.stdin.buffer)


def _read_to_end(name: str, stream: RunStream) -> bool:
    """Read a stream to its end and print each problem and error. Return whether the whole stream could be used."""
    usable = True
    events = undecodable = 0
    while True:
        try:
            for update in stream:
                match update:
                    case Problem():
                        undecodable += update.kind == "undecodable"
                        print_to_stderr(f"{name}: {_problem_line(update)}")
                    case BodyEnded():
                        events = update.event_number
                    case _:
                        pass
            break
        except (LimitError, TruncatedError) as error:  # a stream goes on after a `LimitError`
            usable = False
            print_to_stderr(f"{name}: {error}")
    if usable and events == undecodable:
        usable = False
        print_to_stderr(f"{name}: expected server-sent events, got none that can be decoded")
    return usable


def _problem_line(problem: Problem) -> str:
    owner = problem.step_id or problem.message_id
    place = "" if owner is None else f", {_cut(owner)}"
    return f"event {problem.event_number}{place}: {problem.kind} at {_cut(problem.path)}: {_cut(problem.message)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PIECE else f"{text[:_LONGEST_PIECE]}..."
