"""The rows of files: which files, each by itself, or with the bodies of a run in several files joined."""

from __future__ import annotations

import glob
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from itertools import groupby
from typing import TYPE_CHECKING, cast

from accumulator._errors import RecordingError
from accumulator._recordings.folders import files_in
from accumulator._recordings.recordings import open_recordings
from accumulator._tables.rows import rows_of_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping

    from accumulator._tables.columns import Level
    from accumulator._tables.rows import Row


def find_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the files of files, folders and patterns, in order, without opening one. Each comes once.

    Folders are searched as `files_in` says. What is not there, or cannot be read, is yielded too: reading it has an
    error. Two names of one file are two files.
    """
    given = list(paths)
    return _find(given) if len(given) == 1 else iter(dict.fromkeys(_find(given)))  # one holds no file twice


def _find(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        matches = [path]
        if not os.path.lexists(path) and glob.has_magic(path):
            matches = sorted(glob.iglob(path, recursive=True)) or [path]  # noqa: PTH207 - a pattern may be absolute
        for match in matches:
            if os.path.isdir(match):  # noqa: PTH112 - as the user wrote it
                yield from _search(match)
            else:
                yield match


def _search(folder: str) -> Iterator[str]:
    unreadable: list[str] = []
    for file in files_in(folder, lambda error: unreadable.append(str(error.filename))):
        yield from unreadable
        unreadable.clear()
        yield file
    yield from unreadable


def read_apart(files: Iterable[str], level: Level, on_file: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """Yield the rows of files, each for itself. `on_file` is called when a file was read."""
    for file in files:
        yield from rows_of_file(file, file, level)
        on_file()


def read_joined(files: Iterable[str], level: Level, on_file: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """Yield the rows of files, then those of the runs that are in more than one of them, by the ids of the runs.

    The files are read twice: first for the ids, which are grouped in a temporary database, on disk once it is large.

    Args:
        files: the files; they are iterated over twice.
        level: the level.
        on_file: called when a file was read the second time.

    """
    with database_errors(), closing(sqlite3.connect("")) as database:
        database.execute("CREATE TABLE parts (file TEXT, run TEXT, PRIMARY KEY (file, run)) WITHOUT ROWID")
        for file in files:
            parts = ((_bytes(file), run) for run in run_ids(file))
            database.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?)", parts)
        database.execute("CREATE TABLE shared AS SELECT run FROM parts GROUP BY run HAVING count(*) > 1")
        database.execute("CREATE UNIQUE INDEX by_run ON shared (run)")
        for file in files:
            found = database.execute("SELECT run FROM parts JOIN shared USING (run) WHERE file = ?", (_bytes(file),))
            yield from rows_of_file(file, file, level, [run for (run,) in found])
            on_file()
        members = database.execute("SELECT run, file FROM parts JOIN shared USING (run) ORDER BY run, file")
        for run, group in groupby(members, lambda member: cast("str", member[0])):
            yield from rows_of_run(run, {os.fsdecode(file): os.fsdecode(file) for _, file in group}, level)


@contextmanager
def database_errors() -> Generator[None]:
    """Raise an error of SQLite, such as a full disk, as an `OSError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"SQLite: {error}") from error


def _bytes(file: str) -> bytes:
    """Return a path as the system has it: not every one is UTF-8."""
    return os.fsencode(file)


def rows_of_file(path: str, name: str, level: Level, leave: Collection[str] = ()) -> Iterator[Row]:
    """Yield the rows of the runs in a file, but for those to leave out.

    Args:
        path: where the file can be read.
        name: what it is called in the rows.
        level: the level.
        leave: ids of runs.

    """
    return rows_of_paths([path], level, name=lambda _: name, wanted=lambda run: run not in leave)


def rows_of_run(run: str, files: Mapping[str, str], level: Level) -> Iterator[Row]:
    """Yield the rows of a run whose bodies are in several files.

    Args:
        run: the id of the run.
        files: what each file is called in the rows, by where it can be read, in order.
        level: the level.

    """
    return rows_of_paths([*files], level, name=lambda path: files[path], wanted=lambda each: each == run)


def run_ids(path: str) -> list[str]:
    """Return the ids of the runs in a file, in order; none if it cannot be read."""
    found: dict[str, None] = {}
    with suppress(RecordingError, OSError, ValueError):  # told when the rows are read
        for recording in open_recordings(path):
            if recording.run_id is not None:
                found[recording.run_id] = None
    return list(found)
