"""Commands on a terminal, and what its screen shows."""

from __future__ import annotations

import os
import re
import subprocess
from typing import IO, TYPE_CHECKING, cast

from tests.command import COMMAND, ENV, read_terminal
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A command, by default `accumulator`, in a process of its own: on a terminal of 80 by 24, its input a pipe."""

    def __init__(self, *arguments: str | Path, command: Sequence[str] = COMMAND) -> None:
        import fcntl
        import struct
        import termios

        self._controller, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = {name: value for name, value in ENV.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self.running = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**env, "TERM": "xterm-256color"},
            stdin=subprocess.PIPE,
            stdout=terminal,
            stderr=terminal,
            bufsize=0,
        )
        os.close(terminal)
        self.written = ""

    def until(self, shows: Callable[[list[str]], bool]) -> list[str]:
        """Read until the screen shows something, for ever if it never does. Return the screen."""
        while not shows(lines := screen_of(self.written)):
            chunk = read_terminal(self._controller)
            assert chunk, lines
            self.written += chunk.decode()
        return lines

    def end(self) -> list[str]:
        """Read to the end, and return the screen."""
        while chunk := read_terminal(self._controller):
            self.written += chunk.decode()
        os.close(self._controller)
        cast("IO[bytes]", self.running.stdin).close()
        self.running.wait()
        assert ["h"] == re.findall(r"\x1b\[\?25([hl])", self.written)[-1:]  # the cursor is there again
        return screen_of(self.written)


def screen_of(written: str) -> list[str]:
    """Return what a terminal shows, without the blanks at the ends of lines: it knows only the codes that are used."""
    lines: list[str] = [""]
    row = column = 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", written, re.DOTALL):
        match token:
            case "\r":
                column = 0
            case "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            case "\x1b[1A":
                row -= 1
            case "\x1b[2K":
                lines[row] = ""
            case code if len(code) > 1:
                assert re.fullmatch(r"\x1b\[(?:[0-9;]*m|\?25[hl])", code)
            case _:
                lines[row] = f"{lines[row][:column]:{column}}{token}{lines[row][column + 1 :]}"
                column += 1
    assert row >= 0
    return [line.rstrip() for line in lines]
