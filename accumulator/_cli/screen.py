"""A terminal: the console of rich, and lines at its bottom that are drawn again and again while something is read."""

from __future__ import annotations

import sys
import time
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from accumulator._cli.output import TextOutput
from accumulator._cli.runs import said_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DRAWN_EVERY = 0.1
"""The least number of seconds between two drawings."""

_BAR = 30
"""The columns of the bar of progress."""

_QUIET = 1.0
"""The seconds of work that show no progress."""


def make_console() -> Console:
    """Make a console on standard output that takes no text for anything else: no markup, no emoji codes, no links."""
    return _make_console(cast("IO[str]", TextOutput()))


def _make_console(file: IO[str]) -> Console:
    return Console(file=file, markup=False, highlight=False, emoji=False, legacy_windows=False, force_jupyter=False)


def print_lines(console: Console, lines: Iterable[Text]) -> None:
    """Print lines, which on a terminal are no wider than it, without the blanks at their ends."""
    for line in lines:
        line.rstrip()
        if console.is_terminal:
            console.print(line, soft_wrap=True)
        else:
            console.file.write(f"{line.plain}\n")


class Region:
    """Lines at the bottom of a terminal. They are erased before anything else is printed."""

    def __init__(self, console: Console) -> None:
        """Draw on this console, if it is a terminal."""
        self._console = console
        self._height = 0
        self._drawn = 0.0
        self.can_draw = console.is_terminal and not console.is_dumb_terminal

    @property
    def is_due(self) -> bool:
        """Whether nothing is drawn, or the last drawing is long enough ago."""
        return self.can_draw and (not self._height or time.monotonic() - self._drawn >= DRAWN_EVERY)

    def draw(self, lines: Sequence[Text]) -> None:
        """Draw lines, at least one, each of them no wider than the terminal, in place of those that are there."""
        self._drawn = time.monotonic()
        # In one piece: what was erased would flicker.
        with self._console:
            self._console.show_cursor(show=False)
            self._erase()
            self._console.print(Text("\n").join(lines), end="", soft_wrap=True)
        self._height = len(lines)

    def erase(self) -> None:
        """Erase the lines, and show the cursor again."""
        if self._height:
            with self._console:
                self._erase()
                self._console.show_cursor(show=True)

    def _erase(self) -> None:
        if self._height:
            up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)] * (self._height - 1)
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up))
        self._height = 0


class Progress:
    """How much of the files was read, on a terminal at standard error, once it takes more than a second."""

    def __init__(self) -> None:
        """Start to count."""
        self._began = time.monotonic()
        self._region: Region | None = None
        self._files = self._file_count = self._bytes = self._byte_count = 0

    def expect(self, files: int, size: int) -> None:
        """Take the number of files to read, and of their bytes, as far as these are known."""
        self._files = 0
        self._file_count, self._byte_count = files, size

    def add(self, files: int = 0, size: int = 0) -> None:
        """Take what was read since the last call."""
        self._files += files
        self._bytes += size
        if time.monotonic() - self._began >= _QUIET:
            self._draw()

    def hide(self) -> None:
        """Erase what is drawn."""
        if self._region is not None:
            self._region.erase()

    def _draw(self) -> None:
        if self._region is None:
            self._region = Region(_make_console(sys.stderr))
        if self._region.is_due:
            self._region.draw([self._line()])

    def _line(self) -> Text:
        if not self._file_count:
            return Text(f"{said_count(self._files, 'file')} found")
        told = f"{self._files:,} of {said_count(self._file_count, 'file')}"
        share = min(self._bytes / self._byte_count, 1.0) if self._byte_count else 0.0
        done = round(_BAR * share)
        return Text.assemble(("\u2501" * done, "cyan"), ("\u2501" * (_BAR - done), "dim"), f"  {share:4.0%}  {told}")
