"""Contenders run side by side: each in a process of its own, checked before it is timed, timed by turns.

A case is a workload of some size, cut into chunks of some size and read in some mode. Each contender has one process
per workload, which is fed commands over a pipe. First it runs at a sixteenth of the size, with and without the endings,
and both answers are checked: a wrong one is said instead of a time. Who would then need longer than the cap at full
size is led up to the largest size that it surely finishes within the cap; ours is measured at that size too. Then all
that are right take turns (A B C A B C) until the repeats are done; slow ones stop earlier, when their budget is used
up. The peak memory is of a run of its own.
"""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from benches import contenders, workloads
from benches.contenders import HERE
from benches.workloads import CHUNK, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from benches.workloads import Workload

OURS = "ours"
FLOORS = ("framing", "decode")
# A probe at this part of the size tells a slow contender: measured were up to 5 times the time for twice the size.
PROBE = 16
TWICE = 5
# The peak memory is left out where a run takes more than this part of the cap.
TRACED = 20

Command = dict[str, object]


class ContenderError(Exception):
    """A contender cannot be measured; the message is what the table says instead of a time."""


@dataclass(frozen=True)
class Case:
    """What is measured."""

    workload: str
    size: int
    chunk: int = CHUNK
    mode: str = "final"
    parameters: dict[str, int] = field(default_factory=dict[str, int])

    def made(self) -> Workload:
        """Make the stream."""
        if self.workload in RECIPES:
            return RECIPES[self.workload].make(self.size)
        return workloads.MAKERS[self.workload](self.size, **self.parameters)


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes:
        repeats: how often each contender is timed, at most.
        cap: seconds that one run may take.
        budget: seconds that all timed runs of one contender may take; it is timed once in any case.
        memory: whether the peak memory is measured.

    """

    repeats: int = 25
    cap: float = 60.0
    budget: float = 20.0
    memory: bool = True


@dataclass
class Row:
    """What was found out about one contender in one case: a state other than `ok` says why there is no time."""

    contender: str
    size: int
    state: str = "ok"
    versions: dict[str, str] = field(default_factory=dict[str, str])
    events: int = 0
    bytes: int = 0
    seconds: list[float] = field(default_factory=list[float])
    peak: int | None = None

    @property
    def best(self) -> float:
        """The minimum: what else was running only adds."""
        return min(self.seconds)


class Worker:
    """The process of one contender. As a context manager it ends when the block is left."""

    def __init__(self, contender: str) -> None:
        """Start the process, and hear what it is made of.

        Raises:
            ContenderError: what it needs is not installed.

        """
        self.contender = contender
        command = [sys.executable, "-m", "benches.worker", contender]
        if contender == contenders.NODE:
            command = [found_node(), str(HERE / "openai_node.mjs")]
        self._process = subprocess.Popen(  # noqa: S603 - a command of our own
            command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._folder = tempfile.TemporaryDirectory()
        self._answers: dict[str, str] = {}
        try:
            self.versions = cast("dict[str, str]", self._reply(60)["versions"])
        except ContenderError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._folder.cleanup()

    def load(self, case: Case) -> Command:
        """Have a workload made; return how many events and bytes it has."""
        command: Command = {
            "do": "load",
            "workload": case.workload,
            "size": case.size,
            "chunk": case.chunk,
            "mode": case.mode,
            "parameters": case.parameters,
        }
        if self.contender != contenders.NODE:
            return self.ask(command, 300)
        workload = case.made()
        for name, data in (("whole", workload.data()), ("cut", workload.data(cut=True))):
            command[name] = str(Path(self._folder.name) / name)
            Path(self._folder.name, name).write_bytes(data)
        self._answers = {"whole": workload.answer, "cut": workload.cut_answer}
        self.ask(command, 300)
        return {"events": workload.count, "bytes": sum(map(len, workload.events))}

    def check(self, which: str, timeout: float) -> float:
        """Run once and return the seconds.

        Raises:
            ContenderError: the answer is wrong, or the contender failed.

        """
        reply = self.ask({"do": "check", "which": which}, timeout)
        if "answer" in reply:
            steps, messages = cast("list[dict[str, object]]", reply["answer"])
            reply["right"] = workloads.digest(steps, messages) == self._answers[which]
        if not reply["right"]:
            raise ContenderError("wrong")
        return cast("float", reply["seconds"])

    def seconds(self, timeout: float) -> float:
        """Run once against the clock."""
        return cast("float", self.ask({"do": "time"}, timeout)["seconds"])

    def peak(self, timeout: float) -> int:
        """Run once and return the peak memory in bytes: what Python allocates, or how far Node's process grew."""
        return cast("int", self.ask({"do": "memory"}, timeout)["peak"])

    def ask(self, command: Command, timeout: float) -> Command:
        """Send a command and return the reply."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return self._reply(timeout)

    def _reply(self, timeout: float) -> Command:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise ContenderError(f"more than {timeout:.0f} s")
        line = self._process.stdout.readline()
        reply = cast("Command", json.loads(line or b'{"error": "ended"}'))
        if "error" in reply:
            reason = str(reply["error"])
            raise ContenderError(reason if reason.startswith("not found") else f"wrong ({reason})")
        return reply


def found_node() -> str:
    """Return the command of Node, with the client's package installed beside this file.

    Raises:
        ContenderError: there is no Node, or no package.

    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        raise ContenderError("not found: node")
    if not (HERE / "node_modules" / "openai").is_dir():
        if npm is None:
            raise ContenderError("not found: npm")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix", str(HERE), "openai"]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:  # noqa: S603 - as above
            raise ContenderError("not found: npm install openai failed")
    return node


@dataclass
class _Entrant:
    """A contender that was found right, at the size that it can manage."""

    worker: Worker
    row: Row


def measured(case: Case, names: Iterable[str], settings: Settings, say: Callable[[str], None]) -> list[Row]:
    """Measure contenders by turns, and return a row for each; ours again at each size that another was reduced to."""
    rows, entrants = list[Row](), list[_Entrant]()
    try:
        for name in names:
            say(f"checking {name}")
            rows.append(_entered(name, case, settings, entrants))
        if any(row.contender == OURS for row in rows):
            for size in sorted({each.row.size for each in entrants} - {case.size}):
                rows.append(_entered(OURS, _resized(case, size), settings, entrants))
        _take_turns(case, entrants, settings, say)
        return rows
    finally:
        for entrant in entrants:
            entrant.worker.close()


def _resized(case: Case, size: int) -> Case:
    return Case(case.workload, size, case.chunk, case.mode, case.parameters)


def _entered(name: str, case: Case, settings: Settings, entrants: list[_Entrant]) -> Row:
    row = Row(name, case.size)
    if case.mode not in contenders.modes(name):
        row.state = "has no such mode"
        return row
    try:
        worker = Worker(name)
    except ContenderError as error:
        row.state = str(error)
        return row
    try:
        row.versions = worker.versions
        _fit(worker, case, row, settings.cap)
    except ContenderError as error:
        row.state = str(error)
        worker.close()
    else:
        entrants.append(_Entrant(worker, row))
    return row


def _fit(worker: Worker, case: Case, row: Row, cap: float) -> None:
    """Check the contender, at the full size or at the largest that it finishes within the cap."""
    size = -(-case.size // PROBE)
    found = worker.load(_resized(case, size))
    worker.check("cut", 2 * cap)
    seconds = min(worker.check("whole", 2 * cap), worker.seconds(2 * cap))
    for factor in (case.size / size, 2, 1.5):
        while size < case.size and seconds * TWICE ** math.log2(factor) <= cap:
            size = min(round(factor * size), case.size)
            found = worker.load(_resized(case, size))
            seconds = worker.check("whole", 2 * cap)
    row.size, row.events, row.bytes = size, cast("int", found["events"]), cast("int", found["bytes"])


def _take_turns(case: Case, entrants: list[_Entrant], settings: Settings, say: Callable[[str], None]) -> None:
    for number in range(settings.repeats):
        say(f"round {number + 1} of {settings.repeats}")
        for entrant in entrants:
            spent = entrant.row.seconds
            if spent and sum(spent) + min(spent) > settings.budget:
                continue
            spent.append(entrant.worker.seconds(4 * settings.cap))
    for entrant in entrants:
        # tracemalloc makes everything several times slower.
        if settings.memory and entrant.row.best < settings.cap / TRACED:
            say(f"memory of {entrant.row.contender}")
            entrant.row.peak = _peak(entrant, case, 4 * settings.cap)


def _peak(entrant: _Entrant, case: Case, timeout: float) -> int:
    if entrant.row.contender != contenders.NODE:
        return entrant.worker.peak(timeout)
    # What Node's process grows by is seen in its first run only.
    with Worker(contenders.NODE) as fresh:
        fresh.load(_resized(case, entrant.row.size))
        return fresh.peak(timeout)


def fastest(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run in turns, and return the least CPU seconds of each."""
    found = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            found[name] = min(found[name], time.process_time() - begin)
    return found


def machine() -> dict[str, str | int]:
    """Return what the figures are from."""
    import platform

    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "when": time.strftime("%Y-%m-%d"),
    }
