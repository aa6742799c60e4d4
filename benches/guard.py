"""A guard against slower code that noise cannot fool: instructions are counted, not seconds.

Five small fixed pieces of work run under `valgrind --tool=callgrind`, and so does the floor (framing and typed
decoding) over the same bytes. Each is counted twice, with one pass over the stream and with three: the difference is
two passes, without the start of the interpreter, the imports and the reading of the file. Kept is the ratio of the work
to the floor, so that another compiler or msgspec moves both; `guard.json` has them for each minor version of Python.

`python -m benches guard` fails when a ratio is more than the tolerance above what is kept, and says when it is as much
below, so that the gain is kept too: `python -m benches guard --update` writes down what is counted now.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from benches import workloads

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
KEPT = HERE / "guard.json"
TOLERANCE = 0.05
PASSES = (1, 3)
FLOOR = "decode"


def plain(size: int) -> bytes:
    """Stream what comes most: argument fragments."""
    return workloads.arguments(size).data()


def hard(size: int) -> bytes:
    """Stream what the quick way is not made for: unknown tools, then ids in each fragment."""
    unknown, resent = workloads.unknown_tools(size // 2), workloads.resent_ids(size // 2)
    other_step = (event.replace(b'"step_0"', b'"step_1"') for event in resent.events[2:])
    return b"".join([*unknown.events[:-2], *other_step])


def whole(size: int) -> bytes:
    """Stream steps that come whole."""
    return workloads.whole_steps(size).data()


def short(size: int) -> bytes:
    """Stream steps of few fragments, half of whose events are whole objects."""
    return workloads.short_steps(size).data()


@dataclass(frozen=True)
class Work:
    """A piece of work whose instructions are counted."""

    make: Callable[[int], bytes]
    size: int
    reader: str


WORKS = {
    "argument fragments, drained": Work(plain, 1_000, "final"),
    "argument fragments, in a loop": Work(plain, 1_000, "loop"),
    "unknown tools and resent ids, drained": Work(hard, 600, "final"),
    "steps that come whole, drained": Work(whole, 200, "final"),
    "short steps, drained": Work(short, 100, "final"),
}


class Verdict(NamedTuple):
    """What is said about one ratio, and whether it fails."""

    says: str
    fails: bool = False


def judged(name: str, ratio: float, kept: float | None) -> Verdict:
    """Hold a ratio against what is kept."""
    if kept is None:
        return Verdict(f"{name}: {ratio:.2f} times the floor, nothing kept to hold it against")
    change = ratio / kept - 1
    says = f"{name}: {ratio:.2f} times the floor, kept {kept:.2f} ({change:+.1%})"
    if change > TOLERANCE:
        return Verdict(f"{says}: MORE than {TOLERANCE:.0%} above", fails=True)
    if change < -TOLERANCE:
        return Verdict(f"{says}: less; keep the gain with: python -m benches guard --update")
    return Verdict(says)


def instructions(valgrind: str, stream: Path, reader: str, passes: int) -> int:
    """Return how many instructions a process takes that reads a stream so many times."""
    said = run_counted([valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"], stream, reader, passes)
    found = re.search(r"Collected : (\d+)", said)
    if found is None:
        raise RuntimeError(f"expected a count of callgrind, got:\n{said[-2000:]}")
    return int(found[1])


def run_counted(under: list[str], stream: Path, reader: str, passes: int) -> str:
    """Read a stream so many times in a process, under a tool, and return what the tool says."""
    done = subprocess.run(  # noqa: S603 - a command of our own
        [*under, sys.executable, "-m", "benches.counted", str(stream), reader, str(passes)],
        cwd=HERE.parent,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{reader} failed:\n{done.stderr[-2000:]}")
    return done.stderr


def counted(valgrind: str) -> dict[str, float]:
    """Return the ratio of each work to the floor."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        streams: dict[tuple[Callable[[int], bytes], int], Path] = {}
        for work in WORKS.values():
            path = streams.setdefault((work.make, work.size), Path(folder) / f"{len(streams)}.sse")
            path.write_bytes(work.make(work.size))
        wanted = {(streams[work.make, work.size], work.reader) for work in WORKS.values()}
        wanted |= {(path, FLOOR) for path in streams.values()}
        for path, reader in wanted:
            run_counted([], path, reader, 1)  # what is compiled in a first run only is not counted
        few, many = ({each: pool.submit(instructions, valgrind, *each, passes) for each in wanted} for passes in PASSES)
        cost = {each: many[each].result() - few[each].result() for each in wanted}
    return {
        name: cost[path, work.reader] / cost[path, FLOOR]
        for name, work in WORKS.items()
        for path in (streams[work.make, work.size],)
    }


def guard(*, update: bool) -> int:
    """Count, compare with what is kept, and return the exit status."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    kept = msgspec.json.decode(KEPT.read_bytes(), type=dict[str, dict[str, float]]) if KEPT.exists() else {}
    if (valgrind := shutil.which("valgrind")) is None:
        print("guard: skipped: valgrind not found")
        return 0
    if python not in kept and not update:
        print(f"guard: skipped: nothing kept for Python {python}; write it down with: python -m benches guard --update")
        return 0
    ratios = counted(valgrind)
    if update:
        kept[python] = {name: round(ratio, 3) for name, ratio in ratios.items()}
        KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(kept.items())))) + b"\n")
    verdicts = [judged(name, ratio, kept[python].get(name)) for name, ratio in ratios.items()]
    print(f"guard: instructions, Python {python}", *(f"  {verdict.says}" for verdict in verdicts), sep="\n")
    return int(any(verdict.fails for verdict in verdicts))
