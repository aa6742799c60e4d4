"""Read what `accumulate` reads, and make a row of each thing in it. What cannot be read is a row with its error."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.streams import accumulate
from accumulator._assistants.updates import MessageCreated, RunStepCreated
from accumulator._engine.body import TRUNCATED, BodyEnded
from accumulator._errors import AccumulatorError, LimitError, RecordingError, TruncatedError
from accumulator._recordings.recordings import Recording, open_recordings
from accumulator._tables.columns import columns_of
from accumulator._tables.facts import NO_RUN, About, Facts, Folded, Item, find
from accumulator._tables.values import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from accumulator._tables.columns import Level
    from accumulator._tables.values import Value

Row: TypeAlias = dict[str, "Value"]
"""A value for each column of a level, by name, in order."""

CUT: Final = "cut: the last body ends before its run does"
NOTHING_KNOWN: Final = "no event of a run is in it"

_ITEMS: Final[dict[Level, Callable[[Facts], Iterator[Item]]]] = {
    "calls": Facts.of_calls,
    "steps": Facts.of_steps,
    "messages": Facts.of_messages,
    "runs": Facts.of_runs,
}


def _all(_: str | None) -> bool:
    return True


def rows(run: object, level: Level = "calls") -> list[Row]:
    """Return a row for each call, step, message or run in what was recorded or folded.

    A row is a dict with every column of the level, see `schema`. Its values are `str`, `int`, `float`, `datetime` in
    UTC, or None: a value of another type than its column's is None, in a column of text its JSON.

    No input makes this raise: a file that cannot be read is one row, with the path in `file` and the reason in
    `file_error`. What is known of a run that is cut is there, with `file_error` in each row; a run without a row
    otherwise has one for it.

    Args:
        run: an `Accumulator`; a `Recording`; the path of a file, or a folder or pattern, as `open_recordings` takes it;
            or any other source of `accumulate`, which is read to its end. A path has the rows of all its runs; the
            bodies of a run in several files of a folder are joined.
        level: "calls", "steps", "messages" or "runs".

    Raises:
        TypeError: `accumulate` does not take the source.
        ValueError: the level is another.

    """
    columns_of(level)
    if isinstance(run, Accumulator):
        return _rows_of(Folded(None, run, {}, None), level)
    if isinstance(run, Recording):
        return rows_of_source(run, level, _file_of(run.name, ()))
    if isinstance(run, (str, os.PathLike)):
        return list(rows_of_paths([os.fspath(run)], level, name=str))
    return rows_of_source(run, level, None)


def rows_of_paths(
    paths: Sequence[str], level: Level, *, name: Callable[[str], str], wanted: Callable[[str | None], bool] = _all
) -> Iterator[Row]:
    """Yield the rows of the runs in files, and a row for each file that cannot be read. Never raise an `Exception`.

    Args:
        paths: files, folders and patterns.
        level: the level.
        name: returns what a path is called in the rows.
        wanted: whether the run with an id is wanted.

    """
    try:
        for recording in open_recordings(*paths):
            if wanted(recording.run_id):
                yield from rows_of_source(recording, level, name(_file_of(recording.name, paths)))
    except RecordingError as error:
        for path, reason in error.files.items():
            yield error_row(level, name(path), reason)
    except Exception as error:  # noqa: BLE001 - one file must not take the rows of the others
        yield error_row(level, name(paths[0]), f"{type(error).__name__}: {error}")


def error_row(level: Level, file: str | None, reason: str) -> Row:
    """Return the row of a file that cannot be read."""
    return _row(Item(file, NO_RUN, file_error=reason), level)


def rows_of_source(source: object, level: Level, file: str | None) -> list[Row]:
    """Return the rows of what `accumulate` reads."""
    return _rows_of(_fold(source, file), level)


def _fold(source: object, file: str | None) -> Folded:
    """Read a source to its end. An event over a limit is left out; what breaks the source ends it."""
    run = Accumulator()
    stream, bodies = accumulate(source, into=run), dict[str | None, int]()
    wrong: str | None = None
    number, ended = 1, False
    while not ended:
        try:
            for update in stream:
                if isinstance(update, (RunStepCreated, MessageCreated)):
                    bodies[update.step_id if isinstance(update, RunStepCreated) else update.message_id] = number
                elif isinstance(update, BodyEnded):
                    bodies[None] = number
                    number += 1
            ended = True
        except AccumulatorError as error:
            wrong = wrong or str(error)
            ended = not isinstance(error, (LimitError, TruncatedError))  # behind which the stream goes on, or ends
    faults = (fault for body in getattr(source, "bodies", ()) for fault in body.faults)
    wrong = wrong or next(faults, CUT if run.outcome == TRUNCATED else None)
    return Folded(file, run, bodies, wrong)


def _rows_of(folded: Folded, level: Level) -> list[Row]:
    facts = Facts(folded)
    if not facts.runs and folded.error in {None, CUT} and folded.bodies:
        folded = folded._replace(error=NOTHING_KNOWN)
    found = [_row(item, level) for item in _ITEMS[level](facts)]
    if not found and folded.error is not None:
        own = next(iter(facts.runs.values()), About(None, None, folded.accumulator.outcome, None))
        found.append(_row(Item(folded.file, own, file_error=folded.error), level))
    return found


def _row(item: Item, level: Level) -> Row:
    return {column.name: READERS[column.type](find(item, column.path)) for column in columns_of(level)}


def _file_of(name: str, paths: Container[str]) -> str:
    """Return the path of a recording, without the number of the run in the file."""
    return name if name in paths or os.path.lexists(name) else re.sub(r"#\d+\Z", "", name)
