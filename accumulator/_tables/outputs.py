"""Write rows to a file, whole or not at all, in memory that does not depend on how many there are.

CSV has text alone. A program that opens one takes a text that begins with `=` or the like for a formula, and servers
and models write what they like: such a text has a `'` before it. So has one that begins with `'`, so that a reader who
takes one away has what was sent. Null and "" are the same there. The other formats hold every value as it is; in JSON
lines and SQLite a time is a text, as `time_text` writes it.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from accumulator._json import dump_json
from accumulator._tables.columns import arrow_schema, columns_of
from accumulator._tables.files import database_errors
from accumulator._tables.values import time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from accumulator._tables.columns import Level
    from accumulator._tables.rows import Row
    from accumulator._tables.values import Type, Value

_MOST_ROWS: Final = 10_000
_MOST_TEXT: Final = 33_554_432
"""How many rows, and characters of text in them, are held at a time: a row group of Parquet."""

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
"""What a formula begins with in a spreadsheet, also in full width, and what stands before a text that is none."""

_SQL_TYPES: Final[dict[Type, str]] = {"text": "TEXT", "integer": "INTEGER", "number": "REAL", "time": "TEXT"}

Batches: TypeAlias = "Iterable[list[Row]]"


def write_table(path: str, level: Level, rows: Iterable[Row]) -> None:
    """Write rows in the format that the end of a path names, see `FORMATS`; replace a file that is there.

    They are written to a temporary file beside it, which is removed if anything is raised. A file that is replaced
    keeps its mode.

    Raises:
        OSError: the file cannot be written.
        ModuleNotFoundError: the format is Parquet, and pyarrow is not installed.

    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", path)
    temporary = target.with_name(f".{target.name}.{token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # less what the umask takes
    try:
        FORMATS[target.suffix.lower()](str(temporary), level, batched(rows))
        with suppress(FileNotFoundError):
            temporary.chmod(S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def batched(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists of a bounded size."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(batch) >= _MOST_ROWS or size >= _MOST_TEXT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_csv(path: str, level: Level, batches: Batches) -> None:
    import csv

    with _open_text(path) as file:
        plain = csv.writer(file, lineterminator="\n")
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(column.name for column in columns_of(level))
        for row in chain.from_iterable(batches):
            cells = [_cell(value) for value in row.values()]
            # A bare CR ends a line for many readers, but `csv` quotes it only from Python 3.13 on.
            has_cr = any("\r" in cell for cell in cells if isinstance(cell, str))
            (quoted if has_cr else plain).writerow(cells)


def _cell(value: Value) -> str | float | None:
    plain = _plain(value)
    return f"'{plain}" if isinstance(plain, str) and plain.startswith(_FORMULAS) else plain


def _plain(value: Value) -> str | float | None:
    """Return a value as formats without times have it."""
    return time_text(value) if isinstance(value, datetime) else value


def _write_json_lines(path: str, _: Level, batches: Batches) -> None:
    with _open_text(path) as file:
        for batch in batches:
            file.writelines(f"{dump_json({name: _plain(value) for name, value in row.items()})}\n" for row in batch)


def _open_text(path: str) -> IO[str]:
    return Path(path).open("w", encoding="utf-8", newline="")


def _write_sqlite(path: str, level: Level, batches: Batches) -> None:
    """Write a table with the name of the level."""
    import sqlite3

    columns = columns_of(level)
    declared = ", ".join(f'"{column.name}" {_SQL_TYPES[column.type]}' for column in columns)
    places = ", ".join("?" * len(columns))
    with database_errors(), closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # what is cut off is removed as a whole
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f'CREATE TABLE "{level}" ({declared})')
        for batch in batches:
            values = ([_plain(value) for value in row.values()] for row in batch)
            database.executemany(f'INSERT INTO "{level}" VALUES ({places})', values)  # noqa: S608 - of a closed list
        database.commit()


def _write_parquet(path: str, level: Level, batches: Batches) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema(level)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


FORMATS: Final[dict[str, Callable[[str, Level, Batches], None]]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".sqlite": _write_sqlite,
}
"""What writes each format, by the end of a path."""
