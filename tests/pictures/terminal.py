"""Draw what a command prints on a terminal as an SVG with its text in it."""

from __future__ import annotations

import io
import re
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from accumulator._cli.show import Session
from accumulator._cli.tree_view import TreeView
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


class Picture(NamedTuple):
    """A picture: the files that the command shows, and the columns of the terminal."""

    files: list[str]
    columns: int


PICTURES = {
    "show.svg": Picture(["tests/recordings/parallel_functions_2.sse"], columns=92),
}
"""The pictures of the README, by their file names in this folder."""

_COLUMN = 12.2
"""The width of a column in a picture of rich."""

THEME = TerminalTheme(
    (30, 30, 30),
    (212, 212, 212),
    [
        (0, 0, 0),
        (241, 76, 76),
        (35, 209, 139),
        (229, 229, 16),
        (59, 142, 234),
        (214, 112, 214),
        (41, 184, 219),
        (229, 229, 229),
    ],
)
"""Colours with enough contrast on a dark ground, which the picture brings along: it looks the same on any page."""


def render(name: str) -> str:
    """Return a picture as SVG. The paths in it are relative to the project, which is the current folder."""
    picture = PICTURES[name]
    console = Console(
        file=io.StringIO(),
        record=True,
        force_terminal=True,
        width=picture.columns,
        height=40,
        color_system="standard",
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(Text.assemble(("$ ", "dim"), f"accumulator {' '.join(picture.files)}"), soft_wrap=True)
    Session(TreeView(console), None).show(picture.files, follow=False, apart=False)
    return console.export_svg(title="", unique_id="terminal", theme=THEME)


def draw(name: str) -> Path:
    """Write a picture into this folder, and return its path."""
    path = ROOT / "tests" / "pictures" / name
    path.write_text(render(name), encoding="utf-8")
    return path


def text_of(svg: str) -> str:
    """Return the lines of text in a picture, each piece in its column."""
    rows: dict[float, str] = {}
    for column, row, text in re.findall(r'<text class="terminal-r[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', svg):
        before = rows.get(float(row), "")
        rows[float(row)] = before.ljust(round(float(column) / _COLUMN)) + unescape(text).replace("\xa0", " ")
    return "".join(f"{rows[row].rstrip()}\n" for row in sorted(rows))
