"""Fuzz a target, or all: `python -m tests.fuzz feed --runs 20000`, `python -m tests.fuzz all --runs 1000000`.

`all` shares the runs among the targets, which run side by side, one on each core. A table says how many inputs were run
in how many seconds, and how many kinds of failures were found. Each is in the folder of findings as the smallest input
found for it, beside what was raised.

It begins with the corpus and with pieces of recordings, also of those in the folder `ACCUMULATOR_RECORDINGS`. `--grow`
leaves these out and adds what it found to the corpus, which keeps the inputs that reach something new.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT, real_recordings
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
SHIPPED = ROOT / "tests" / "recordings"
MAX_SIZE = 6_000
"""Bytes of one input: a few events of a recording, or a small checkpoint."""

CORPUS_SIZE = 45_000
"""Bytes that the corpus keeps for one target."""


class Result(NamedTuple):
    target: str
    executions: int
    seconds: float
    findings: int

    def line(self) -> str:
        return f"{self.target:<10} {self.executions:>10,} {self.seconds:>8,.0f} {self.findings:>8}"


def inputs(target: str, folders: list[Path]) -> list[bytes]:
    """Return the inputs to begin with: the corpus, and what the recordings in the folders give."""
    found = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    if target == "checkpoint":
        found += [path.read_bytes() for path in sorted((ROOT / "tests" / "checkpoints").glob("*.json"))]
    for folder in folders:
        for path in sorted(folder.glob("*.sse")):
            found += seeds(target, path.read_bytes())
    return [each for each in found if len(each) <= MAX_SIZE]


def fuzz(target: str, runs: int, findings: Path, work: Path, folders: list[Path]) -> Result:
    """Run a target so often, in a process of its own. A process that does not end well is a finding too."""
    work.mkdir()
    for number, data in enumerate(inputs(target, folders)):
        (work / f"seed-{number}").write_bytes(data)
    before, start = set(findings.glob(f"{target}-*")), time.monotonic()
    limits = [
        "-timeout=60",
        "-report_slow_units=60",
        "-rss_limit_mb=2048",
        f"-max_len={MAX_SIZE}",
        f"-artifact_prefix={findings}/{target}-",
    ]
    worker = [sys.executable, "-m", "tests.fuzz.worker", target, str(findings)]
    with (findings / f"{target}.log").open("wb") as log:
        done = subprocess.run(
            [*worker, f"-runs={runs}", "-print_final_stats=1", *limits, str(work)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            check=False,
        )
    said = (findings / f"{target}.log").read_text("utf-8", "replace")
    executed = re.findall(r"number_of_executed_units: (\d+)", said) or re.findall(r"^#(\d+)\t", said, re.MULTILINE)
    new = {path for path in set(findings.glob(f"{target}-*")) - before if path.suffix != ".txt"}
    failed = int(done.returncode != 0 and not new)
    return Result(target, int(executed[-1]) if executed else 0, time.monotonic() - start, len(new) + failed)


def grow(target: str, work: Path, merged: Path) -> None:
    """Let the corpus keep the smallest inputs that together reach what all inputs of the run reach."""
    merged.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.fuzz.worker", target, str(merged), "-merge=1", str(merged), str(work)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    folder, size = CORPUS / target, 0
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for data in sorted((path.read_bytes() for path in merged.iterdir()), key=len):
        if (size := size + len(data)) > CORPUS_SIZE:
            break
        (folder / sha(data)).write_bytes(data)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def main() -> int:
    """Return 1 if something was found."""
    options = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("target", choices=("all", *TARGETS))
    options.add_argument("--runs", type=int, default=20_000, help="inputs to run, all targets together (%(default)s)")
    options.add_argument("--findings", type=Path, help="the folder of findings (a new one)")
    options.add_argument("--grow", action="store_true", help="add to the corpus, from shipped recordings alone")
    given = options.parse_args()
    names = list(TARGETS) if given.target == "all" else [given.target]
    findings = given.findings or Path(tempfile.mkdtemp(prefix="findings-"))
    findings.mkdir(parents=True, exist_ok=True)
    real = None if given.grow else real_recordings()
    print(f"{'target':<10} {'executions':>10} {'seconds':>8} {'findings':>8}", flush=True)
    results = list[Result]()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:

        def run(name: str) -> Result:
            work = Path(scratch) / name
            result = fuzz(name, given.runs // len(names), findings, work, [SHIPPED, *([real] if real else [])])
            if given.grow:
                grow(name, work, Path(scratch) / f"{name}-merged")
            return result

        for result in pool.map(run, names):
            results.append(result)
            print(result.line(), flush=True)
    _, executions, seconds, found = zip(*results, strict=True)
    print(Result("sum", sum(executions), sum(seconds), sum(found)).line())
    if sum(found):
        print(f"findings are in {findings}")
    return int(sum(found) > 0)


if __name__ == "__main__":
    sys.exit(main())
