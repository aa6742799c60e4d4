"""`accumulator replay`: print the final run steps of recorded event streams."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from accumulator import Accumulator, BodyEnded, LimitError, Problem, RunStream, TruncatedError, accumulate
from accumulator._cli.output import closed, flush, print_json, tell

UNUSABLE = 2
"""The exit status if an input, an argument or an output cannot be used."""

_GOOD_OUTCOMES = frozenset({"completed", "requires_action", "unknown"})

_LONGEST_PIECE = 200
"""Characters of an id, a path or a message on a line: each may be as long as an event, and the line is to be read."""

SUMMARY = "Print the final run steps of recorded event streams."

HELP = (
    SUMMARY
    + """

Each FILE is a stream of server-sent events as the server sent it; "-" is standard input, read as it comes. Standard
output gets one JSON object a line for each run step, in the order in which they were first seen, when its FILE ends:

\b
  {"file": "run.sse", "run_id": "run_...", "outcome": "completed", "step": {...}}

"outcome" is that of the FILE's last body: completed, requires_action, incomplete, failed, cancelled, expired, error (an
error event came), truncated (the stream was cut) or unknown (it ended, and did not say how the run stands). Standard
error gets a line for each problem, as soon as it is found, and a line with each FILE's outcome.

Each FILE is a run of its own. A FILE may hold several bodies of one run: the stream up to requires_action, then the one
that came after the tool outputs. Where they are in two files:

\b
  cat first.sse second.sse | accumulator replay -

The exit status is the highest over all FILEs; a bad one does not keep the others from being read.

\b
  0  the outcome is completed, requires_action or unknown
  1  any other outcome
  2  the FILE cannot be read, has an event larger than 32 MiB (it is left
     out, the rest is folded) or has no event in it that can be decoded
"""
)


def replay(files: tuple[str, ...]) -> int:
    """Fold each file as a run of its own, print the steps, and return the exit status."""
    return max([_replay_file(name) for name in files])


def _replay_file(name: str) -> int:
    try:
        opened = _open(name)
    except OSError as error:
        tell(f"{name}: expected a readable file: {error.strerror or error}")
        return UNUSABLE
    accumulator = Accumulator()
    with opened as file:
        usable = _drain(name, accumulate(file, into=accumulator))
    outcome, steps = accumulator.outcome, accumulator.run_steps()
    for step in steps:
        print_json({"file": name, "run_id": step.run_id, "outcome": outcome, "step": step.to_dict()})
    flush()
    message = "" if accumulator.error is None else f": {_cut(str(accumulator.error.message))}"
    tell(f"{name}: outcome {outcome}, {len(steps)} run step{'' if len(steps) == 1 else 's'}{message}")
    if not usable:
        return UNUSABLE
    return 0 if outcome in _GOOD_OUTCOMES else 1


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    if name != "-":
        return Path(name).open("rb")
    if sys.stdin is None:
        raise closed()
    return nullcontext(sys.stdin.buffer)


def _drain(name: str, stream: RunStream) -> bool:
    """Read a stream to its end and tell each problem as it comes; return whether all of it could be used."""
    usable = True
    events = undecodable = 0
    while True:
        try:
            for update in stream:
                match update:
                    case Problem():
                        undecodable += update.kind == "undecodable"
                        tell(f"{name}: {_problem_line(update)}")
                    case BodyEnded():
                        events = update.event_number
                    case _:
                        pass
            break
        except (LimitError, TruncatedError) as error:  # after a limit the stream goes on, else it is at its end
            usable = False
            tell(f"{name}: {error}")
    if usable and events == undecodable:
        usable = False
        tell(f"{name}: expected server-sent events, got none that can be decoded")
    return usable


def _problem_line(problem: Problem) -> str:
    owner = problem.step_id or problem.message_id
    place = "" if owner is None else f", {_cut(owner)}"
    return f"event {problem.event_number}{place}: {problem.kind} at {_cut(problem.path)}: {_cut(problem.message)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PIECE else f"{text[:_LONGEST_PIECE]}..."
