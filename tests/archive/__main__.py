"""Measure and compare what reads an archive: the core alone, the local loop, Daft, Daft on Ray, and a bucket.

    python -m tests.archive                        50,000 made recordings, about 1 GB, and the real ones
    python -m tests.archive --files 2000 --repeats 3 --skip ray

Each contender is a process of its own, in turns; the least of the repeats counts. Memory is the largest sum of the
shares (PSS) of all processes of a contender. The rows are compared one by one. Needs the extra `dev`;
Ray and the bucket are left out, with the reason, where `ray` and `moto` are not installed. Everything it starts listens
on 127.0.0.1, and ends with it.
"""

# pyarrow's own hints are incomplete.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.archive.bucket import Bucket
from tests.archive.corpus import BROKEN_EVERY, write
from tests.conftest import ROOT, real_recordings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NATIVE: Final = {"DAFT_RUNNER": "native"}
_SAMPLED_EVERY: Final = 0.1

_CORE: Final = """
import sys
from accumulator import Accumulator, AccumulatorError
from accumulator._tables.files import find_files
for path in find_files(sys.argv[1:]):
    run = Accumulator()
    with open(path, "rb") as file:
        try:
            run.feed(file.read())
            run.end()
        except AccumulatorError:
            pass
"""

RAY: Final = """
import sys
import ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
from accumulator.__main__ import main
main()
"""


class Contender(NamedTuple):
    """What reads the archive: arguments of Python, and its environment. It writes rows if it has an output."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    output: Path | None


class Measure(NamedTuple):
    """What a process took: seconds, seconds of all cores, bytes at its peak; and how it ended."""

    seconds: float
    cpu: float
    peak: int
    status: int
    told: str


def run(contender: Contender) -> Measure:
    """Run a contender in a process of its own."""
    before, began = os.times(), time.perf_counter()
    environment = {**os.environ, "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", **contender.environment}
    process = subprocess.Popen(
        [sys.executable, *contender.arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    peak, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLED_EVERY):
            peak[0] = max(peak[0], sum(map(_share, _family(process.pid))))

    sampling = threading.Thread(target=sample)
    sampling.start()
    _, told = process.communicate()
    ended.set()
    sampling.join()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measure(time.perf_counter() - began, cpu, peak[0], process.returncode, told.strip().rpartition("\n")[2])


def _family(process: int) -> Iterator[int]:
    """Yield a process and those that it started, and so on."""
    yield process
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _share(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def compare(one: Path, other: Path, *, ordered: bool) -> int:
    """Return the number of rows of two tables that are equal. Exit where they differ."""
    left, right = _rows(one), _rows(other)
    if not ordered:
        left, right = iter(sorted(left, key=repr)), iter(sorted(right, key=repr))
    count = 0
    for mine, theirs in zip_longest(left, right):
        if mine != theirs:
            sys.exit(f"row {count} differs:\n{mine}\n{theirs}")
        count += 1
    return count


def _rows(path: Path) -> Iterator[dict[str, object]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(1_000):
        yield from batch.to_pylist()


def contenders(paths: Sequence[str], to: Path, *, join: bool, skip: Sequence[str]) -> list[Contender]:
    """Return what reads an archive."""

    def table(name: str, engine: str, environment: dict[str, str], *start: str) -> Contender:
        output = to / f"{name}.parquet"
        options = ["--engine", engine, "-o", str(output), *(["--join"] if join else [])]
        return Contender(name, (*(start or ("-m", "accumulator")), "table", *paths, *options), environment, output)

    found = [
        Contender("core", ("-c", _CORE, *paths), {}, None),
        table("local", "local", {}),
        table("daft", "daft", NATIVE),
    ]
    if find_spec("ray") is None:
        print("ray: left out, `ray` is not installed")
    else:
        found.append(table("ray", "daft", {"DAFT_RUNNER": "ray"}, "-c", RAY))
    return [each for each in found if each.name not in skip]


def measure(found: list[Contender], size: int, count: int, repeats: int) -> None:
    """Run the contenders in turns, and print what each took."""
    measured: dict[str, list[Measure]] = {each.name: [] for each in found}
    for _ in range(repeats):
        for contender in found:
            measured[contender.name].append(last := run(contender))
            print(
                f"  {contender.name}: {last.seconds:.1f} s, {last.cpu:.1f} s CPU, {last.peak / 1e6:.0f} MB", flush=True
            )
            if last.status not in {0, 1} or (contender.output is not None and not contender.output.exists()):
                sys.exit(f"{contender.name} ended with {last.status}: {last.told}")
    print(f"{'contender':<10} {'s':>8} {'MB/s':>7} {'files/s':>8} {'CPU s':>7} {'peak MB':>8}  status")
    for name, took in measured.items():
        best = min(took, key=lambda each: each.seconds)
        peak = max(each.peak for each in took)
        print(
            f"{name:<10} {best.seconds:8.1f} {size / best.seconds / 1e6:7.2f} {count / best.seconds:8,.0f}"
            f" {best.cpu:7.1f} {peak / 1e6:8.0f}  {best.status} {best.told}"
        )


def main() -> None:
    """Parse the arguments, and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.archive", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--objects", type=int, default=1_000, help="files of the bucket")
    parser.add_argument("--join", action="store_true", help="join the bodies of runs")
    parser.add_argument("--skip", nargs="*", default=[], choices=["core", "daft", "ray", "bucket"])
    parser.add_argument("--folder", type=Path, help="where the archive is kept; a temporary folder by default")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="archive-"))
    try:
        measure_in(folder, given)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


def measure_in(folder: Path, given: argparse.Namespace) -> None:
    """Make an archive in a folder, measure, and compare."""
    made, to = folder / f"made-{given.files}", folder / "tables"
    to.mkdir(parents=True, exist_ok=True)
    if not made.exists():
        write(made, given.files, broken=True)
    real = real_recordings()
    paths = [str(made), *([str(real)] if real else [])]
    files = [path for each in paths for path in Path(each).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    broken = len(range(BROKEN_EVERY // 2, given.files, BROKEN_EVERY))
    print(f"{len(files):,} files, {size / 1e6:,.0f} MB; {broken} of the {given.files:,} made ones are broken")
    found = contenders(paths, to, join=given.join, skip=given.skip)
    measure(found, size, len(files), given.repeats)
    tables = [each for each in found if each.output is not None]
    for each in tables[1:]:
        ordered = not given.join and each.name != "ray"
        count = compare(to / "local.parquet", to / f"{each.name}.parquet", ordered=ordered)
        print(f"{each.name}: {count:,} rows are those of the local loop")
    if "bucket" not in given.skip:
        compare_bucket(folder / f"made-{given.objects}", to, given.objects)


def compare_bucket(made: Path, to: Path, count: int) -> None:
    """Put files into a bucket, read them by URL, and compare."""
    if find_spec("moto") is None or find_spec("boto3") is None:
        print("bucket: left out, `moto[server]` is not installed")
        return
    if not made.exists():
        write(made, count, broken=True)
    with Bucket() as bucket:
        bucket.put(made)
        arguments = ("-m", "accumulator", "table", f"{bucket.url}/", "-o", str(to / "bucket.parquet"))
        took = run(Contender("bucket", arguments, {**NATIVE, **bucket.environment}, to / "bucket.parquet"))
    local = run(
        Contender(
            "local",
            ("-m", "accumulator", "table", str(made), "-o", str(to / "some.parquet"), "--engine", "local"),
            {},
            None,
        )
    )
    if {1} != {took.status, local.status} or took.told != local.told:
        sys.exit(f"bucket ended with {took.status}: {took.told}; local with {local.status}: {local.told}")
    there = sorted(repr(row) for row in _rows(to / "bucket.parquet"))
    here = sorted(
        repr({**row, "file": f"{bucket.url}/{Path(str(row['file'])).relative_to(made)}"})
        for row in _rows(to / "some.parquet")
    )
    if there != here:
        sys.exit("the rows of the bucket differ from those of its files")
    print(f"bucket: {count:,} objects in {took.seconds:.1f} s, {len(there):,} rows are those of the files; {took.told}")


if __name__ == "__main__":
    main()
