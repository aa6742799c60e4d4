"""Instructions, cache misses and mispredicted branches on short streams: `python -m benches caches`.

Seconds say what a stream takes on a machine. These counts say why. Each made load of `short` is read by each contender
under `valgrind --tool=cachegrind`, in 3 passes and in 8: the difference leaves out the start of the interpreter. The
caches have the sizes of the machine's. The prediction of branches is that of a simple processor.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benches.guard import run_counted
from benches.short import made_loads

if TYPE_CHECKING:
    from collections.abc import Sequence

READERS = ("final", "by-hand", "leanest")
PASSES = (3, 8)
COUNTS = ("I +refs", "D1 +misses", "Mispredicts")
"""What is read of cachegrind's summary: instructions, misses of the first data cache, and mispredicted branches."""


def counts(said: str) -> list[int]:
    """Return the counts in a summary of cachegrind."""
    found = [re.search(rf"{name}: +([\d,]+)", said) for name in COUNTS]
    if None in found:
        raise RuntimeError(f"expected a summary of cachegrind, got:\n{said[-2000:]}")
    return [int(each[1].replace(",", "")) for each in found if each is not None]


def caches(passes: Sequence[int] = PASSES) -> int:
    """Count, print a line for each load and contender, and return the exit status."""
    if (valgrind := shutil.which("valgrind")) is None:
        print("caches: skipped: valgrind not found")
        return 0
    under = [valgrind, "--tool=cachegrind", "--cache-sim=yes", "--branch-sim=yes", "--cachegrind-out-file=/dev/null"]
    print(f"{'load, counts per event':24}{'contender':12}{'instructions':>14}{'data misses':>14}{'mispredicted':>14}")
    with tempfile.TemporaryDirectory() as folder:
        for load in made_loads():
            path = Path(folder) / "load.sse"
            path.write_bytes(load.data)
            for reader in READERS:
                run_counted([], path, reader, 1)  # what is compiled in a first run only is not counted
                few, many = (counts(run_counted(under, path, reader, each)) for each in passes)
                events = load.events * (passes[1] - passes[0])
                shown = "".join(f"{(more - less) / events:>14,.0f}" for less, more in zip(few, many, strict=True))
                print(f"{load.name:24}{'ours' if reader == 'final' else reader:12}{shown}", flush=True)
    return 0
