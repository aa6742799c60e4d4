"""A line for each run: outcome, seconds, tokens, steps, calls, the file, the run, the reason, the problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from accumulator._cli.output import flush
from accumulator._cli.reading import cut
from accumulator._cli.runs import said_count, said_seconds
from accumulator._cli.screen import make_console, print_lines
from accumulator._cli.tree import STATUS_STYLES
from accumulator._cli.views import View
from accumulator._json import printable

if TYPE_CHECKING:
    from accumulator._cli.reading import Reading
    from accumulator._cli.runs import RunView

_LEAST_NAME = 12
"""The columns that a file's name has on any terminal."""


class ShortView(View):
    """A line for each run, cut to the screen on a terminal. What is not known is a dash."""

    def __init__(self) -> None:
        """Start with nothing printed."""
        self._console = make_console()

    def ended(self, reading: Reading) -> None:
        """Print the lines of the runs that were read."""
        for number, run in enumerate(reading.views() if reading.has_known_events else []):
            # The problems are counted by file: they need not be of a run.
            line = self._line(reading, run, 0 if number else reading.problem_count)
            print_lines(self._console, [line])
        flush()

    def _line(self, reading: Reading, run: RunView, problems: int) -> Text:
        outcome = reading.shown_outcome(run)
        style = STATUS_STYLES.get(outcome, "cyan")
        tokens = run.tokens
        facts = [
            f"{said_seconds(run.duration) or '-':>9}",
            f"{said_count(tokens[2], 'token') if tokens else '-':>14}",
            f"{said_count(len(run.steps), 'step'):>8}",
            f"{said_count(run.call_count, 'call'):>8}",
        ]
        line = Text.assemble((f"{outcome:<15}", style), " ".join(facts), "  ")
        name = Text(printable(reading.name), "bold")
        room = self._console.width - line.cell_len
        is_cut = self._console.is_terminal and name.cell_len > room
        # The end of a path tells more than its beginning.
        line.append_text(Text("\u2026", "bold") + name[-max(room - 1, _LEAST_NAME) :] if is_cut else name)
        line.append(f"  {printable(cut(run.run_id))}" if run.run_id else "", "dim")
        reason = printable(cut(reading.reason(run.run, run.outcome)))
        for told in (reason, said_count(problems, "problem") if problems else ""):
            line.append(f"  {told}" if told else "", style)
        if self._console.is_terminal:
            # What does not fit at all is left out, so that the name keeps its end.
            line.truncate(self._console.width, overflow="crop" if is_cut else "ellipsis")
        return line
