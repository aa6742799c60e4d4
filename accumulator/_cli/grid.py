"""Rows as a table for people: the most telling columns, each on one line, printed while the rows come."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from accumulator._cli.screen import make_console, print_lines
from accumulator._json import printable
from accumulator._tables.columns import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accumulator._tables.columns import Column
    from accumulator.archive import Level, Row

_MEASURED: Final = 100
"""The rows at the beginning from which the columns have their widths."""

_GAP: Final = "  "


def print_grid(level: Level, rows: Iterator[Row]) -> None:
    """Print rows below a head: on a terminal cut to its width, elsewhere each column to its own."""
    console = make_console()
    columns = [column for column in columns_of(level) if column.wide]
    first = list(islice(rows, _MEASURED))
    widths = [_width(column, first) for column in columns]

    def line(cells: list[str], style: str = "") -> Text:
        text = Text(_GAP.join(cells), style)
        if console.is_terminal:
            text.truncate(console.width, overflow="ellipsis")
        return text

    pairs = list(zip(columns, widths, strict=True))
    print_lines(console, [line([_fitted(column, column.name, width) for column, width in pairs], "bold")])
    for row in chain(first, rows):
        print_lines(console, [line([_fitted(column, _cell(column, row), width) for column, width in pairs])])


def _width(column: Column, rows: list[Row]) -> int:
    return min(column.wide, max([cell_len(column.name), *(cell_len(_cell(column, row)) for row in rows)]))


def _cell(column: Column, row: Row) -> str:
    """Return a value on one line, not much longer than its column."""
    value = row[column.name]
    if value is None:
        return ""
    if isinstance(value, str):
        most = 2 * column.wide
        # The end of a path tells more than its beginning.
        return printable(value[-most:] if column.name == "file" else " ".join(value[: 4 * most].split())[:most])
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else f"{value:g}"


def _fitted(column: Column, cell: str, width: int) -> str:
    """Return a cell as wide as its column, with an ellipsis where it is cut."""
    size = cell_len(cell)
    if size <= width:
        blanks = " " * (width - size)
        return f"{cell}{blanks}" if column.type == "text" else f"{blanks}{cell}"
    if column.name == "file":
        return "\u2026" + set_cell_size(cell[::-1], width - 1)[::-1]
    return set_cell_size(cell, width - 1) + "\u2026"
