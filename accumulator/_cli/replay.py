r"""The command line: results on standard output, everything else on standard error.

What a stream holds never reaches a terminal raw. On both outputs control, format and line-separating characters and
lone surrogates are written as `\uXXXX`; whoever parses the JSON gets the same text. Other non-ASCII stays.

Exit statuses beyond those of a command: 130 (128 + SIGINT) after Ctrl-C, and 0 when the reader of an output went away:
it had what it wanted, as `head -1` does, so that is no error, also under a shell's `pipefail`, and nothing is said.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import unicodedata
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from accumulator import Accumulator, BodyEnded, LimitError, Problem, TruncatedError, accumulate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    import click

    from accumulator import RunStream

_UNUSABLE = 2
_INTERRUPTED = 130
_READER_GONE = 0

_GOOD_OUTCOMES = frozenset({"completed", "requires_action", "unknown"})

# Longer pieces of a message are cut: an id or a key may be as long as an event, and a message is to be read.
_LONGEST_PIECE = 200

_REPLAY_HELP = """Print the final run steps of recorded event streams.

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


class _Escapes(dict[int, str]):
    """A table for `str.translate` that decides about each character when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            units = character.encode("utf-16-be", "surrogatepass").hex()
            character = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        self[code] = character
        return character


_ESCAPES = _Escapes()


def main() -> None:
    """Run the command line and exit with its status; the script `accumulator` and `python -m accumulator` are this."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments and return its exit status.

    Whatever the input, no exception gets out. After an interrupt or a failed write the outputs lead nowhere.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:
        status = _READER_GONE
    except OSError as error:  # of an output: those of an input are told where they are read
        with suppress(OSError):
            _tell(f"accumulator: expected to be able to write the output: {error.strerror or error}")
        status = _UNUSABLE
    _give_up_outputs()
    return status


def _run(arguments: Sequence[str]) -> int:
    try:
        import click
    except ModuleNotFoundError:
        _tell("accumulator: the command line needs click: pip install 'delta-accumulator[cli]'")
        return _UNUSABLE
    command = commands()
    try:
        # Not `command.main()`, which has exit statuses of its own for an interrupt and for a reader that went away.
        with command.make_context("accumulator", list(arguments)) as context:
            status: int = command.invoke(context)
    except click.exceptions.Exit as request:  # of --help and --version
        return request.exit_code
    except click.ClickException as error:
        # Not `error.show()`: the message may hold an argument as it came.
        _tell(f"accumulator: {error.format_message()} Try 'accumulator --help'.")
        return _UNUSABLE
    return status


def commands() -> click.Group:
    """Build the commands; their callbacks return the exit status. `ModuleNotFoundError` without click."""
    import click

    version = click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_show_version,
        help="Print the version.",
    )
    files = click.Argument(["files"], metavar="FILE...", nargs=-1, required=True, type=click.UNPROCESSED)
    summary = "Print the final run steps of recorded event streams."
    return click.Group(
        "accumulator",
        help="Fold the server-sent events of an Assistants run into its run steps.",
        params=[version],
        commands=[click.Command("replay", callback=_replay, params=[files], help=_REPLAY_HELP, short_help=summary)],
        no_args_is_help=False,
    )


def _show_version(context: click.Context, _: click.Parameter, asked: object) -> None:
    if not asked:
        return
    import importlib.metadata

    import click

    try:
        version = importlib.metadata.version("delta-accumulator")
    except importlib.metadata.PackageNotFoundError:
        version = "(delta-accumulator is not installed: its version is not known)"
    click.echo(f"accumulator {version}")
    context.exit()


def _replay(files: tuple[str, ...]) -> int:
    return max([_replay_file(name) for name in files])


def _replay_file(name: str) -> int:
    """Fold one file, print its steps and return its exit status."""
    try:
        opened = _open(name)
    except OSError as error:
        _tell(f"{name}: expected a readable file: {error.strerror or error}")
        return _UNUSABLE
    accumulator = Accumulator()
    with opened as file:
        usable = _drain(name, accumulate(file, into=accumulator))
    outcome, steps = accumulator.outcome, accumulator.run_steps()
    for step in steps:
        _print({"file": name, "run_id": step.run_id, "outcome": outcome, "step": step.to_dict()})
    _flush()
    said = "" if accumulator.error is None else f": {_cut(str(accumulator.error.message))}"
    _tell(f"{name}: outcome {outcome}, {len(steps)} run step{'' if len(steps) == 1 else 's'}{said}")
    if not usable:
        return _UNUSABLE
    return 0 if outcome in _GOOD_OUTCOMES else 1


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    if name != "-":
        return Path(name).open("rb")
    if sys.stdin is None:
        raise _closed()
    return nullcontext(sys.stdin.buffer)


def _drain(name: str, stream: RunStream) -> bool:
    """Read a stream to its end and tell of each problem when it comes; return whether all of it could be used."""
    usable = True
    events = undecodable = 0
    while True:
        try:
            for update in stream:
                match update:
                    case Problem():
                        undecodable += update.kind == "undecodable"
                        _tell(f"{name}: {_problem(update)}")
                    case BodyEnded():
                        events = update.event_number
                    case _:
                        pass
            break
        except (LimitError, TruncatedError) as error:  # the stream goes on after the one, and has ended after the other
            usable = False
            _tell(f"{name}: {error}")
    if usable and events == undecodable:
        usable = False
        _tell(f"{name}: expected server-sent events, came none that can be decoded")
    return usable


def _problem(problem: Problem) -> str:
    owner = problem.step_id or problem.message_id
    place = "" if owner is None else f", {_cut(owner)}"
    return f"event {problem.event_number}{place}: {problem.kind} at {_cut(problem.path)}: {_cut(problem.message)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PIECE else f"{text[:_LONGEST_PIECE]}..."


def _printable(text: str) -> str:
    return text.translate(_ESCAPES)


def _print(value: object) -> None:
    """Print JSON on a line: UTF-8 whatever the locale, as JSON is."""
    if sys.stdout is None:
        raise _closed()
    # What is escaped here can only be within the JSON's strings.
    line = _printable(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) + "\n"
    rest = memoryview(line.encode())
    while rest:
        # With PYTHONUNBUFFERED this is a raw file: it may take a part only, and nothing if it does not block.
        written = sys.stdout.buffer.write(rest)
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[written:]


def _flush() -> None:
    """Write what was printed, so that it comes before what standard error gets next, and a failure comes now."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _tell(line: str) -> None:
    """Write a line to standard error, if there is one; its encoding escapes what it does not have."""
    if sys.stderr is not None:
        sys.stderr.write(f"{_printable(line)}\n")
        sys.stderr.flush()


def _closed() -> OSError:
    """Make the error of a standard stream that was closed before the start."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _give_up_outputs() -> None:
    """Lead the outputs nowhere: at exit the interpreter flushes what they hold, which would fail or wait again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
