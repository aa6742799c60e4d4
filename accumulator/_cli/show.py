"""The command `accumulator show`: what happened in the runs that files hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from accumulator import RecordingError
from accumulator._cli.files import STANDARD_INPUT, find_inputs, group_runs
from accumulator._cli.opened import Part, find_parts
from accumulator._cli.output import UNUSABLE
from accumulator._cli.reading import Reading, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

    from accumulator import Update
    from accumulator._cli.files import Input
    from accumulator._cli.screen import Progress
    from accumulator._cli.views import View

SUMMARY = "Show what happened in recorded or running runs."

HELP = (
    SUMMARY
    + """

Each FILE is a stream of server-sent events as the server sent it, or what a tool recorded: a recording of `accumulator
record`, a cassette of vcrpy, VCR or Betamax, a HAR file, ...; "-" is standard input, as the server sent it. A folder is
searched for such files. For each run there is a tree of its steps with their calls, inputs, outputs and messages, and
how it ended. On a terminal it is in colour and cut to the screen, elsewhere it is whole. What is still on its way ("-",
a pipe, --follow) is shown as it comes. Ctrl-C ends the reading and shows what there is; a second one
ends that too.

\b
  accumulator run.sse
  curl -N ... | accumulator -
  accumulator --short recordings/ | sort

With --json, standard output gets a line with a JSON object for each run step, at the end of its run:

\b
  {"file": "run.sse", "run_id": "run_1", "outcome": "completed", "step": {...}}

"file" has all files of a run, with " + " between them. With --updates, standard output gets a line for each update:

\b
  {"file": "run.sse", "update": {"type": "run_step_created", ...}}

The outcome of a run is completed, requires_action, incomplete, failed, cancelled, expired, error (an error event
arrived), truncated (its last body was cut) or unknown (done, no final status). Standard error gets a line for each file
that cannot be read, each event over a limit, and each file without a known event, with what the file looks like; with
--json and --text also each problem, and the outcome: with --json always, with --text if it is not a good one.

A run has one body or more: the tool outputs start the next body. FILEs with bodies of one run are shown as one, by the
id of the run; the body that the tool outputs started is read after the other. A FILE in which a run begins more than
once has several recordings of it, which are shown one after the other: FILE, FILE#2, .... Bodies that are not told
apart so, for example without ids, can be joined by hand:

\b
  cat first.sse second.sse | accumulator -

The exit status is the highest of all runs. A FILE that cannot be used does not stop the command.

\b
  0  the outcome is completed, requires_action or unknown
  1  any other outcome
  2  the FILE cannot be read, has no event that is known, or has an event
     over a limit, such as 32 MiB (left out; the rest is folded);
     or an argument is wrong, or an output cannot be written
"""
)

VIEWS = {
    "text": "Print only what the agent said, as it comes.",
    "short": "Print a line for each run.",
    "json": "Print a line of JSON for each final step.",
    "updates": "Print a line of JSON for each update, as it comes.",
}
"""The options that say what is printed in place of a tree."""


def command() -> click.Command:
    """Build the command."""
    import click

    files = click.Argument(["files"], metavar="FILE...", nargs=-1, required=True, type=click.Path(readable=False))
    views = [click.Option([f"--{name}"], is_flag=True, help=told) for name, told in VIEWS.items()]
    others = [
        click.Option(["--follow"], is_flag=True, help="Read on while the FILE grows, until its run has ended."),
        click.Option(["--apart"], is_flag=True, help="Take each FILE for a run of its own."),
    ]
    return click.Command("show", callback=_show, params=[files, *views, *others], help=HELP, short_help=SUMMARY)


def _show(files: tuple[str, ...], *, follow: bool, apart: bool, **asked: bool) -> int:
    import click

    views = [name for name, is_asked in asked.items() if is_asked]
    if len(views) > 1:
        raise click.UsageError(f"expected one of {', '.join(f'--{name}' for name in VIEWS)}, got {len(views)}.")
    if follow and len(files) > 1:
        raise click.UsageError(f"expected one FILE with --follow, got {len(files)}.")
    view = make_view(views[0] if views else "tree")
    session = Session(view, _make_progress(view))
    try:
        return session.show(files, follow=follow, apart=apart)
    finally:
        session.close()


def make_view(name: str) -> View:
    """Make the view of an option, "tree" without one."""
    from accumulator._cli import views

    match name:
        case "text":
            return views.TextView()
        case "json":
            return views.JSONView()
        case "updates":
            return views.UpdatesView()
        case "short":
            from accumulator._cli.short import ShortView

            return ShortView()
        case _:
            from accumulator._cli.tree_view import TreeView

            return TreeView()


def _make_progress(view: View) -> Progress | None:
    """Make a progress bar if standard error is a terminal, and none is drawn into what is printed as it comes."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    if view.prints_as_it_comes and (sys.stdout is None or sys.stdout.isatty()):
        return None
    from accumulator._cli.screen import Progress

    return Progress()


class Session:
    """Reads files, and hands what comes to a view. Nothing is kept of a run that was shown."""

    def __init__(self, view: View, progress: Progress | None) -> None:
        self._view = view
        self._progress = progress
        self._status = 0
        self.interval = view.interval

    def show(self, names: Iterable[str], *, follow: bool, apart: bool) -> int:
        """Show the runs in the files with these names, and return the exit status."""
        inputs = find_inputs(names, self._unusable, lambda: self._progress_made(files=1))
        if self._progress is not None:
            self._progress.expect(len(inputs), sum(each.size for each in inputs))
        alone = apart or len(inputs) == 1
        for group in [[each] for each in inputs] if alone else group_runs(inputs, self._progress_made):
            self._read(group, follow=follow)
        return self._status

    def _read(self, group: list[Input], *, follow: bool) -> None:
        """Read the files with a run, and show it; more than one run if a file does not continue the one before."""
        reading = Reading(self)
        for each in group:
            for number, part in enumerate(self._parts(each.name, follow=follow)):
                goes_on = each.continues and not number and reading.accumulator.outcome == "requires_action"
                if reading.names and not goes_on:
                    self._end(reading)
                    reading = Reading(self)
                reading.read(part, follow=follow and part.recording is None and part.name != STANDARD_INPUT)
                if reading.interrupted:
                    self._end(reading)
                    raise KeyboardInterrupt
            self._progress_made(files=1)
        self._end(reading)

    def _parts(self, name: str, *, follow: bool) -> list[Part]:
        """Return the parts of a file, none if it cannot be used."""
        try:
            return [Part(name)] if name == STANDARD_INPUT else find_parts(name, follow=follow)
        except RecordingError as error:
            self._unusable(name, f"expected a recording, got {error.files[name]}")
        except (OSError, ValueError) as error:
            self._unusable(name, unreadable(error))
        return []

    def _end(self, reading: Reading) -> None:
        self._hide_progress()
        self._status = max(self._status, reading.status)
        if reading.names:
            reading.show()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._hide_progress()
        self._view.close()

    # What is told while a run is read.

    def updated(self, reading: Reading, update: Update) -> None:
        self._view.updated(reading, update)

    def noted(self, line: str) -> None:
        self._hide_progress()
        self._view.noted(line)

    def waits(self, reading: Reading) -> None:
        self._view.waits(reading)

    def advanced(self, size: int) -> None:
        self._progress_made(size=size)

    def ended(self, reading: Reading) -> None:
        self._hide_progress()
        self._view.ended(reading)
        self._progress_made()

    # What is told before, and the progress.

    def _unusable(self, name: str, told: str) -> None:
        self._status = UNUSABLE
        self.noted(f"{name}: {told}")

    def _progress_made(self, files: int = 0, size: int = 0) -> None:
        if self._progress is not None:
            self._progress.add(files, size)

    def _hide_progress(self) -> None:
        if self._progress is not None:
            self._progress.hide()
