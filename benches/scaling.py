"""How time and memory grow, as the power of what grows: 1 is linear, 0 is that it does not matter.

Three things grow one at a time: the fragments, over 4 calls; the calls that a fixed number of fragments is spread over,
interleaved; the steps that they are spread over. Slow contenders stop where the next point would take too long. Then
come ratios for which a straight line says too little: the same work eight times over, a long text read now and then,
and a snapshot after every update with many calls beside the one that grows.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from accumulator import Accumulator, accumulate
from benches import contenders, report, workloads
from benches.compare import progress
from benches.runner import Case, ContenderError, Worker, machine
from benches.workloads import CHUNK
from tests import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benches.runner import Settings

NAMES = ("decode", "ours", "by-hand", "openai-python")


@dataclass(frozen=True)
class Axis:
    """One thing that grows.

    Attributes:
        says: what it is called.
        points: how much of it.
        case: what is measured at a point.

    """

    says: str
    points: tuple[int, ...]
    case: Callable[[int], Case]


def axes(*, quick: bool) -> list[Axis]:
    """Return what grows; the fixed number of fragments is the least that all points can be made of."""
    fixed = 4_096 if quick else 40_960
    fragments = (1_000, 3_000, 10_000, 30_000) if quick else (10_000, 30_000, 100_000, 300_000, 1_000_000)

    def over_calls(count: int) -> Case:
        return Case("arguments_of", fixed, CHUNK, "final", {"calls": count, "interleaved": 1})

    def over_steps(count: int) -> Case:
        return Case("arguments_of", fixed, CHUNK, "final", {"calls": 1, "steps": count})

    return [
        Axis("fragments", fragments, lambda count: Case("arguments", count)),
        Axis(f"calls ({fixed:,} fragments)", (1, 4, 16, 64, 256, 1_024, 4_096), over_calls),
        Axis(f"steps ({fixed:,} fragments)", (1, 3, 10, 30, 100, 300, 1_000), over_steps),
    ]


@dataclass
class Line:
    """What one contender took along an axis: seconds and bytes by points."""

    contender: str
    seconds: dict[int, float]
    peaks: dict[int, float]


def along(axis: Axis, name: str, settings: Settings) -> Line:
    """Measure one contender at one point after another, as far as it gets within the cap."""
    line = Line(name, {}, {})
    try:
        with Worker(name) as worker:
            for point in axis.points:
                progress(f"{axis.says}: {name} at {point:,}")
                if _too_long(line, point, settings.cap):
                    break
                worker.load(axis.case(point))
                worker.check("whole", 4 * settings.cap)
                first = worker.seconds(4 * settings.cap)
                more = [worker.seconds(4 * settings.cap) for _ in range(_repeats(first, settings))]
                line.seconds[point] = min(first, *more) if more else first
                if first * 10 < settings.cap:
                    line.peaks[point] = worker.peak(10 * settings.cap)
    except ContenderError as error:
        print(f"{name}: {error}")
    return line


def _too_long(line: Line, point: int, cap: float) -> bool:
    if not line.seconds:
        return False
    last = max(line.seconds)
    return line.seconds[last] * (point / last) ** 2 > cap if last >= 100 else line.seconds[last] * 4 > cap


def _repeats(first: float, settings: Settings) -> int:
    return min(settings.repeats - 1, int(settings.budget / 2 / first))


def scaling(names: Sequence[str], settings: Settings, out: Path, *, quick: bool) -> None:
    """Measure along all axes, print what was found, draw it; then the ratios."""
    found = list[tuple[Axis, list[Line]]]()
    for axis in axes(quick=quick):
        lines = [along(axis, name, settings) for name in names or NAMES]
        progress("")
        found.append((axis, lines))
        _print_axis(axis, lines)
    ratios = Ratios(settings, quick=quick).all()
    _write(found, ratios, out)


def _print_axis(axis: Axis, lines: Sequence[Line]) -> None:
    rows = list[list[str]]()
    for line in lines:
        for unit, values, scale in (("ms", line.seconds, 1e3), ("MB peak", line.peaks, 1e-6)):
            cells = [report.number(values[point] * scale) if point in values else "" for point in axis.points]
            power = f"{report.exponent(values):.2f}" if len(values) > 1 else ""
            rows.append([f"{line.contender}, {unit}", *cells, power])
    print(report.table([axis.says, *(f"{point:,}" for point in axis.points), "exponent"], rows), "", sep="\n")
    sys.stdout.flush()


def _write(found: Sequence[tuple[Axis, Sequence[Line]]], ratios: dict[str, float], out: Path) -> None:
    results = [{"axis": axis.says, "lines": lines} for axis, lines in found]
    report.write_json(out / "scaling.json", {"machine": machine(), "axes": results, "ratios": ratios})

    def draw(panels: list[report.Axes]) -> None:
        places = iter(panels)
        for axis, lines in found:
            for what, scale in (("ms", 1e3), ("MB at the peak", 1e-6)):
                panel = next(places)
                for line in lines:
                    values = line.seconds if what == "ms" else line.peaks
                    if not values:
                        continue
                    power = f", power {report.exponent(values):.2f}" if len(values) > 1 else ""
                    colour = report.colour(line.contender, contenders.NAMES)
                    label = f"{line.contender}{power}"
                    heights = [value * scale for value in values.values()]
                    panel.plot(list(values), heights, marker="o", label=label, color=colour)
                panel.set_xscale("log")
                panel.set_yscale("log")
                panel.set_xlabel(axis.says)
                panel.set_ylabel(what)
                panel.grid(visible=True, alpha=0.3, axis="both")
                panel.legend(fontsize=7)

    report.say_written(out, "scaling", report.drawn(out / "scaling.svg", 2 * len(found), draw))


class Ratios:
    """What ours costs against what ours costs: the CPU time of pieces of work, by turns in this process."""

    def __init__(self, settings: Settings, *, quick: bool) -> None:
        """Divide all sizes by ten for a quick look."""
        self._repeats = min(settings.repeats, 7)
        self._part = 10 if quick else 1

    def all(self) -> dict[str, float]:
        """Measure them all, and print them."""
        print("ours against ours: CPU time, minimum of repeats, taken by turns")
        return {**self._eight_times(), **self._read_now_and_then(), **self._snapshot_at_every_update()}

    def _best(self, works: Sequence[Callable[[], object]]) -> list[float]:
        best = [float("inf")] * len(works)
        for _ in range(self._repeats):
            for place, work in enumerate(works):
                gc.collect()
                begin = time.process_time()
                work()
                best[place] = min(best[place], time.process_time() - begin)
        return best

    def _eight_times(self) -> dict[str, float]:
        small, large = 20_000 // self._part, 160_000 // self._part
        chunked = [workloads.arguments(size).chunks(CHUNK) for size in (small, large)]
        first, second = self._best([partial(_drained, each) for each in chunked])
        return _said(f"{large:,} fragments to {small:,} (8 is linear)", second / first)

    def _read_now_and_then(self) -> dict[str, float]:
        """Let one text grow, alone and with the step read after every 1,000 updates."""
        sizes = [size // self._part for size in (25_000, 50_000, 100_000)]
        works: list[Callable[[], object]] = []
        for every in (None, 1_000 // self._part):
            for size in sizes:
                chunks = workloads.arguments(size, calls=1).chunks(CHUNK)
                works.append(partial(read_every, chunks, every))
        best = self._best(works)
        found = dict[str, float]()
        for name, seconds in (("alone", best[:3]), ("read every 1,000", best[3:])):
            for place in (1, 2):
                says = f"one text of {sizes[place]:,} fragments to {sizes[place - 1]:,}, {name} (2 is linear)"
                found |= _said(says, seconds[place] / seconds[place - 1])
        return found

    def _snapshot_at_every_update(self) -> dict[str, float]:
        """Let one call of many grow, and read the step after each fragment."""
        streams = [beside(calls, count=2_000 // self._part) for calls in (1, 64)]
        one, many = self._best([partial(read_every, [opening], None, events) for opening, events in streams])
        before = [read_time(stream[0], self._repeats) for stream in streams]
        ratio = (many - before[1]) / (one - before[0])
        return _said("a snapshot at every update, 64 calls of 4 kB to one", ratio)


def _said(name: str, ratio: float) -> dict[str, float]:
    print(f"  {name}: {ratio:.2f}", flush=True)
    return {name: ratio}


def _drained(chunks: Sequence[bytes]) -> object:
    return accumulate(chunks).final_run_steps()


def read_time(opening: bytes, repeats: int) -> float:
    """Return how long it takes to open the calls, which is not the matter."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        read_every([opening], None)
        best = min(best, time.process_time() - begin)
    return best


def read_every(chunks: Sequence[bytes], every: int | None, one_by_one: Sequence[bytes] = ()) -> Accumulator:
    """Feed chunks, with the step read after so many updates; then events, with the step read after each."""
    run, unread = Accumulator(), 0
    for chunk in chunks:
        unread += len(run.feed(chunk))
        if every is not None and unread >= every:
            unread = 0
            run.run_step("step_0")
    for event in one_by_one:
        run.feed(event)
        run.run_step("step_0")
    run.run_steps()
    return run


def beside(calls: int, *, count: int) -> tuple[bytes, list[bytes]]:
    """Return the events that open so many calls of 4 kB each, and so many fragments of the first, one by one."""
    script, texts = workloads.Script(), "".join(workloads.Fragments(workloads.ARGUMENTS, {4_000: 1}).take(1))
    script.open_step("step_0")
    for index in range(calls):
        script.delta("step_0", wire.function(index, id=f"call_{index}", name="f", arguments=texts, output=None))
    opened = len(script.events)
    for piece in workloads.Fragments(workloads.ARGUMENTS, workloads.INPUT_LENGTHS).take(count):
        script.delta("step_0", wire.fragment(0, piece))
    return b"".join(script.events[:opened]), script.events[opened:]
