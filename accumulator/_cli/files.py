"""What the command reads: files, the files of folders, and which of them are bodies of one run."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from accumulator import RecordingError
from accumulator._cli.opened import holds_events, open_events
from accumulator._formats import BEGINNING_SIZE
from accumulator._recordings.folders import files_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STANDARD_INPUT = "-"

_LOOKED_AT = 1 << 20
"""The bytes in which the id of a run is looked for. The first event of a body has it, and is seldom over 100 kB."""


class Input(msgspec.Struct, frozen=True, gc=False):
    """A file to read. There may be many thousands.

    Attributes:
        name: its path, or "-".
        size: its bytes; 0 where that is not known.
        run_id: the id of its first run; None where that was not looked for, or not found.
        continues: whether it goes on with a run: something of the run comes before the run itself.

    """

    name: str
    size: int = 0
    run_id: str | None = None
    continues: bool = False


def find_inputs(names: Iterable[str], on_unusable: Callable[[str, str], None], tick: Callable[[], None]) -> list[Input]:
    """Return the files with these names and the event streams in the folders with these names, in order.

    Folders are searched as `files_in` says. One that cannot be used is told to `on_unusable`, with the reason. For each
    file `tick` is called.
    """
    found: list[Input] = []
    for name in names:
        if name != STANDARD_INPUT and Path(name).is_dir():
            found += _search(name, on_unusable, tick)
        else:
            found.append(Input(name) if name == STANDARD_INPUT else _measure(name))
    return found


def group_runs(inputs: list[Input], tick: Callable[[], None]) -> Iterator[list[Input]]:
    """Yield the inputs, those with the same run together where the first of them is, those that continue it last.

    Of a file only the beginning is read, and of what is no regular file nothing.
    """
    groups: dict[str | int, Input | list[Input]] = {}  # by run or, without one, by number; few runs have several files
    for number, each in enumerate(inputs):
        tick()
        known = each if each.run_id is not None or not Path(each.name).is_file() else _look(each)
        key = number if known.run_id is None else known.run_id
        before = groups.get(key)
        if isinstance(before, list):
            before.append(known)
        else:
            groups[key] = known if before is None else [before, known]
    for group in groups.values():
        yield sorted(group, key=lambda each: each.continues) if isinstance(group, list) else [group]


def _search(folder: str, on_unusable: Callable[[str, str], None], tick: Callable[[], None]) -> list[Input]:
    found: list[Input] = []
    count = failed = 0

    def told(kind: str, error: OSError) -> None:
        nonlocal failed
        failed += 1
        on_unusable(str(error.filename), f"expected a readable {kind}: {error.strerror or error}")

    for file in files_in(folder, partial(told, "folder")):
        tick()
        count += 1
        try:
            found += _take(Path(file))
        except OSError as error:
            told("file", error)
    if not found and not failed:
        files = f"{count} file{'' if count == 1 else 's'}"
        on_unusable(folder, f"expected a folder with event streams, got none in {files}")
    return found


def _take(path: Path) -> list[Input]:
    """Return the file, or nothing if it is no event stream, and holds none in a known format."""
    return [_look(_measure(str(path)))] if holds_events(str(path)) else []


def _measure(name: str) -> Input:
    try:
        return Input(name, Path(name).stat().st_size)
    except (OSError, ValueError):  # told when it is read
        return Input(name)


def _look(file: Input) -> Input:
    """Add the first run of a file, if the beginning of the file names one."""
    from accumulator._recordings.recordings import find_run

    try:
        with open_events(file.name) as opened:
            pieces = iter(partial(opened.read, BEGINNING_SIZE), b"")
            run_id, goes_on = find_run(islice(pieces, _LOOKED_AT // BEGINNING_SIZE))
    except (OSError, RecordingError):  # told when the file is read
        return file
    return file if run_id is None else msgspec.structs.replace(file, run_id=run_id, continues=goes_on)
