"""Many recordings, shown by the command line: the peak of its memory, and its speed beside that of the core.

The recordings that come with the project are repeated, each time with ids of their own, until there is enough: in one
file, one behind the other, and in a folder, in files of 100 kB. `accumulator show --json` reads them in a process of
its own. `core` folds the same bytes, asks for the steps of each run, and prints nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from accumulator import Accumulator, BodyEnded, accumulate
from benches import report
from benches.contenders import HERE
from benches.runner import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (10_000_000, 100_000_000, 1_000_000_000)
QUICK = (300_000, 600_000)
FILE_SIZE = 100_000
GROWTH = 1.2
"""How many times the peak of the smallest size another one may have: lists of files grow with them."""

RUNS = (
    ("code_interpreter.sse",),
    ("file_search.sse",),
    ("parallel_functions_1.sse", "parallel_functions_2.sse"),
)
_IDS = re.compile(rb'"((?:run|step|msg|call|thread)_\w+)"')
_READ_SIZE = 65_536


class Measured(NamedTuple):
    """What was measured of one size: bytes, run steps, seconds and the peak of memory in bytes."""

    size: int
    steps: int
    seconds: float
    peak: int


class Pair(NamedTuple):
    """What was measured of the core and of the command line on the same files."""

    where: str
    core: Measured
    shown: Measured


def runs() -> Iterator[bytes]:
    """Yield runs without end, all their ids different."""
    folder = HERE.parent / "tests" / "recordings"
    originals = [b"".join((folder / name).read_bytes() for name in names) for names in RUNS]
    for number in count():
        for original in originals:
            yield _IDS.sub(lambda found, number=number: b'"%b_%d"' % (found[1], number), original)  # type: ignore[misc] # an argument with a default


def write_file(path: Path, size: int) -> Path:
    """Write runs into a file until it has that size."""
    with path.open("wb") as file:
        for run in runs():
            if file.tell() >= size:
                break
            file.write(run)
    return path


def write_folder(path: Path, size: int) -> Path:
    """Write runs into files of 100 kB, in folders of a hundred, until they have that size together."""
    made = runs()
    for number in range(size // FILE_SIZE):
        folder = path / f"{number // 100:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{number:05d}.sse").open("wb") as file:
            while file.tell() < FILE_SIZE:
                file.write(next(made))
    return path


PLACES = {"one file": write_file, "a folder": write_folder}


def _chunks(path: Path) -> Iterator[bytes]:
    for each in [path] if path.is_file() else sorted(path.rglob("*.sse")):
        with each.open("rb") as file:
            while chunk := file.read(_READ_SIZE):
                yield chunk


def fold(path: Path) -> int:
    """Fold what the files hold, run by run, and return the number of run steps."""
    run, steps = Accumulator(), 0
    for update in accumulate(_chunks(path), into=run):
        if isinstance(update, BodyEnded) and update.outcome != "requires_action":
            steps += len(run.run_steps())
            run._forget()  # pyright: ignore[reportPrivateUsage]
    return steps


def show(path: Path) -> int:
    """Show what the files hold, as `accumulator show --json` does, and return the exit status."""
    from accumulator._cli.commands import run

    return run(["show", "--json", str(path)])


def peak() -> int:
    """Return the peak of the resident memory of this process, without that of a parent before it was forked."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024


def measure(kind: str, path: Path) -> Measured:
    """Read files in a process of its own."""
    size = sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*.sse")))
    with tempfile.TemporaryFile() as told:
        started = time.perf_counter()
        command = [sys.executable, "-m", "benches.recordings", kind, str(path)]
        with subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=told) as process:  # noqa: S603 - our own command
            assert process.stdout is not None
            lines = sum(piece.count(b"\n") for piece in iter(partial(process.stdout.read, _READ_SIZE), b""))
        seconds = time.perf_counter() - started
        told.seek(0)
        last = told.read().splitlines()[-1]
    assert process.returncode == 0, last
    steps, most = map(int, last.split())
    return Measured(size, lines if kind == "show" else steps, seconds, most)


def recordings(out: Path, *, quick: bool) -> bool:
    """Show files and folders of all sizes, print the peaks and the speed, and return whether memory is constant."""
    found = list[Pair]()
    heads = ("MB", "run steps", "peak MB", "show MB/s", "core MB/s")
    print("recordings in " + "".join(head.rjust(11) for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for where, write in PLACES.items():
            for size in QUICK if quick else SIZES:
                path = write(Path(folder, f"{where}-{size}"), size)
                found.append(Pair(where, measure("core", path), measure("show", path)))
                print(line(*found[-1]), flush=True)  # the next one may take half an hour
                subprocess.run(["rm", "-r", str(path)], check=True)  # noqa: S603, S607 - our own folder
    report.write_json(out / "recordings.json", {"machine": machine(), "measured": found})
    return is_constant(found)


def line(where: str, core: Measured, shown: Measured) -> str:
    """Return the line of a size."""
    speeds = [each.size / each.seconds / 1e6 for each in (shown, core)]
    facts = [
        f"{shown.size / 1e6:,.1f}",
        f"{shown.steps:,}",
        f"{shown.peak / 1e6:,.1f}",
        *(f"{each:.2f}" for each in speeds),
    ]
    return where.ljust(14) + "".join(fact.rjust(11) for fact in facts)


def is_constant(found: list[Pair]) -> bool:
    """Whether no peak is much higher than that of the smallest size, and the steps are those of the core."""
    least = {where: shown.peak for where, _, shown in reversed(found)}
    return all(shown.peak <= GROWTH * least[where] and core.steps == shown.steps > 0 for where, core, shown in found)


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    result = fold(where) if what == "core" else show(where)
    print(f"{result} {peak()}", file=sys.stderr)
    sys.exit(0 if what == "core" else result)
