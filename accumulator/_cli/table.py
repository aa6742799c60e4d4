"""The command `accumulator table`: rows of calls, steps, messages or runs, on the terminal or in a file."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from accumulator._cli.output import UNUSABLE, flush, print_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import click

    from accumulator.archive import Level, Row

SUMMARY = "Make a table of the calls, steps, messages or runs in many recordings."

HELP = (
    SUMMARY
    + """

PATH is a file, a folder, a pattern or a URL; in whatever format a file is, as for `accumulator show`. All files of a
folder are read, but hidden ones. A prefix of a bucket ends with "/": s3://bucket/runs/. Without -o there are the most
telling columns, cut to the screen; with it all of them. OUT is replaced, when all was read.

\b
  accumulator table runs/ --level runs
  accumulator table runs/ -o calls.parquet
  accumulator table 'runs/2026-*/*.sse' --tool get_forecast --status failed
  accumulator table s3://bucket/runs/ -o calls.parquet

A file that cannot be read, or that is cut, has its reason in the column file_error, in a row of its own if it has no
other. The filters leave out all rows but those with one of the values given.

In CSV a text that a spreadsheet would take for a formula has a ' before it, and so has one that begins with '.

Daft reads buckets, and many files with all cores; DAFT_RUNNER=ray has a cluster do it. It needs the extra archive.

\b
  0  all files were read
  1  a file could not be read, or is cut: their number is told
  2  there is no file, OUT cannot be written, or an argument is wrong
"""
)

DAFT_FROM: Final = 2_000
"""The number of files from which Daft reads them, where it is installed: it takes seconds to start."""

_FILTERS: Final = {"tool": "name", "status": "status", "outcome": "outcome"}
"""The column of each filter."""

_NEEDS_ARCHIVE: Final = "pip install 'delta-accumulator[archive]'"


def command() -> click.Command:
    """Build the command."""
    import click

    from accumulator._tables.columns import LEVELS

    filters = [
        click.Option([f"--{name}"], multiple=True, metavar="TEXT", help=f"Rows with this {column}; may be repeated.")
        for name, column in _FILTERS.items()
    ]
    file = click.Path(readable=False)
    params: list[click.Parameter] = [
        click.Argument(["paths"], metavar="PATH...", nargs=-1, required=True, type=file),
        click.Option(
            ["--level"], type=click.Choice([*LEVELS]), default="calls", show_default=True, help="What a row is about."
        ),
        click.Option(
            ["-o", "--output"], metavar="OUT", type=file, help="Write OUT: .parquet, .csv, .jsonl or .sqlite."
        ),
        *filters,
        click.Option(["--join"], is_flag=True, help="Join the bodies of a run in several files, by its id."),
        click.Option(["--engine"], type=click.Choice(["daft", "local"]), help="What reads the files."),
    ]
    return click.Command("table", callback=_table, params=params, help=HELP, short_help=SUMMARY)


def _table(
    paths: tuple[str, ...],
    *,
    level: Level,
    output: str | None,
    join: bool,
    engine: str | None,
    **filters: tuple[str, ...],
) -> int:
    import click

    from accumulator._tables.columns import columns_of
    from accumulator._tables.outputs import FORMATS

    wanted = {_FILTERS[name]: values for name, values in filters.items() if values}
    missing = [column for column in wanted if column not in {each.name for each in columns_of(level)}]
    if missing:
        raise click.UsageError(f"expected a level with the column {missing[0]}, got {level}.")
    if output is not None and Path(output).suffix.lower() not in FORMATS:
        raise click.UsageError(f"expected OUT to end with {', '.join(FORMATS)}, got {output}.")
    files = _Files(paths, output)
    if engine == "local" and files.remote:
        raise click.UsageError(f"expected paths of this machine with --engine local, got {files.remote[0]}.")
    if not files.count and not files.remote:
        raise click.UsageError(f"expected files, got none in {', '.join(paths)}.")
    with_daft = engine == "daft" if engine else bool(files.remote) or (files.count >= DAFT_FROM and _has_daft())
    read = _read_with_daft if with_daft else _read_here
    wants_bar = output is not None or not _is_terminal(sys.stdout)
    failed: set[str] = set()
    try:
        rows = _kept(read(files, level, join=join, wants_bar=wants_bar), wanted, failed)
        status = _print(level, rows) if output is None else _write(output, level, rows)
    except ModuleNotFoundError as error:
        print_to_stderr(f"accumulator: expected {error.name} to be installed: {_NEEDS_ARCHIVE}")
        return UNUSABLE
    except _DaftError as error:
        print_to_stderr(f"accumulator: expected Daft to read the files: {error}")
        return UNUSABLE
    if failed:
        count = f"{len(failed):,} file{'' if len(failed) == 1 else 's'}"
        print_to_stderr(f"accumulator: {count} could not be read whole, see the column file_error")
    return status or int(bool(failed))


def _kept(rows: Iterable[Row], wanted: dict[str, tuple[str, ...]], failed: set[str]) -> Iterator[Row]:
    """Yield the rows that are wanted, and note the files of all those with an error."""
    for row in rows:
        if row["file_error"] is not None:
            failed.add(str(row["file"]))
        if all(row[column] in values for column, values in wanted.items()):
            yield row


def _print(level: Level, rows: Iterator[Row]) -> int:
    from accumulator._cli.grid import print_grid

    print_grid(level, rows)
    flush()
    return 0


def _write(output: str, level: Level, rows: Iterator[Row]) -> int:
    from accumulator._tables.outputs import write_table

    try:
        write_table(output, level, rows)
    except OSError as error:
        print_to_stderr(f"{output}: expected to be able to write this file: {error.strerror or error}")
        return UNUSABLE
    return 0


# What reads the files.


class _Files:
    """The files of this machine, listed anew each time, and the URLs.

    Attributes:
        paths: what was given.
        remote: the URLs in it.
        has_output: whether the output is there among the files; it is left out.
        count: the number of files.

    """

    def __init__(self, paths: Sequence[str], output: str | None) -> None:
        """Take what was given. The output is no file of it: it may be there from the last time."""
        from accumulator._tables.frames import is_remote

        self.paths = paths
        self._output = None if output is None else os.path.realpath(output)
        self.remote = [path for path in paths if is_remote(path)]
        self._local = [path for path in paths if not is_remote(path)]
        self.has_output = False
        self.count = sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        from accumulator._tables.files import find_files

        for file in find_files(self._local):
            if self._output is None or os.path.realpath(file) != self._output:
                yield file
            else:
                self.has_output = True


class _DaftError(Exception):
    """Daft failed: a bucket is not there, a worker died."""


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()


def _has_daft() -> bool:
    return find_spec("daft") is not None


def _read_here(files: _Files, level: Level, *, join: bool, wants_bar: bool) -> Iterator[Row]:
    from accumulator._tables.files import read_apart, read_joined

    read = read_joined if join else read_apart
    if not (wants_bar and _is_terminal(sys.stderr)):
        yield from read(files, level)
        return
    from accumulator._cli.screen import Progress

    progress = Progress()
    progress.expect(files.count, files.count)
    try:
        yield from read(files, level, lambda: progress.add(files=1, size=1))
    finally:
        progress.hide()


def _read_with_daft(files: _Files, level: Level, *, join: bool, wants_bar: bool) -> Iterator[Row]:
    # What is read may be private: nobody is told that it is, unless the environment says so.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("DAFT_PROGRESS_BAR", str(int(wants_bar and _is_terminal(sys.stderr))))
    import click

    from accumulator.archive import read

    try:
        _require_files(files.remote)
        given = [*files, *files.remote] if files.has_output else files.paths
        for batch in read(given, level, join=join).to_arrow_iter():
            yield from batch.to_pylist()
    except (GeneratorExit, ModuleNotFoundError, click.UsageError):
        raise
    except Exception as error:
        raise _DaftError(str(error)) from error


def _require_files(urls: Iterable[str]) -> None:
    import click

    from accumulator._tables.frames import has_files

    for url in urls:
        if not has_files(url):
            raise click.UsageError(f"expected files, got none in {url}.")
