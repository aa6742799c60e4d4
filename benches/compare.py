"""Contenders against workloads: who needs how long for what, and how far ours is from the floors."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from benches import contenders, report
from benches.runner import Case, machine, measured
from benches.workloads import CHUNK, CHUNKS, MODES, RECIPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from benches.runner import Row, Settings

MAIN = "arguments"


def cases(
    names: Sequence[str], chunks: Sequence[int], modes: Sequence[str], *, quick: bool, every: bool
) -> Iterable[Case]:
    """Give what is to be measured.

    By default each workload is read to the end from chunks of 4 KiB, and the first one, at that, in every mode and from
    chunks of every size; with `every` all of them are.
    """
    for name in names or RECIPES:
        size = max(8, RECIPES[name].size // 10) if quick else RECIPES[name].size
        wide = every or (name == MAIN and not quick)
        for mode in modes or (MODES if wide else MODES[:1]):
            for chunk in chunks or (CHUNKS if every or (wide and mode == MODES[0]) else (CHUNK,)):
                yield Case(name, size, chunk, mode)


def compare(wanted: Iterable[Case], names: Sequence[str], settings: Settings, out: Path) -> None:
    """Measure, print a table for each case and write them all down."""
    found: list[tuple[Case, list[Row]]] = []
    for case in wanted:
        rows = measured(case, names or contenders.NAMES, settings, progress)
        progress("")
        found.append((case, rows))
        lines = report.compared([row for row in rows if row.state != "has no such mode"])
        print(report.title(case, rows, RECIPES[case.workload].says), report.table(report.HEAD, lines), "", sep="\n")
        sys.stdout.flush()
    versions = report.versions(row for _, rows in found for row in rows)
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    _write(found, versions, out)


def progress(text: str) -> None:
    """Say on a terminal what is going on, on a line that the next replaces."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _write(found: Sequence[tuple[Case, Sequence[Row]]], versions: dict[str, str], out: Path) -> None:
    results = [{**asdict(case), "rows": [asdict(row) for row in rows]} for case, rows in found]
    report.write_json(out / "compare.json", {"machine": machine(), "versions": versions, "cases": results})

    def draw(axes: list[report.Axes]) -> None:
        for each, (case, rows) in zip(axes, found, strict=False):
            timed = [row for row in rows if row.seconds and row.contender in contenders.NAMES]
            labels = [row.contender if row.size == case.size else f"{row.contender} ({row.size:,})" for row in timed]
            colours = [report.colour(row.contender, contenders.NAMES) for row in timed]
            each.barh(labels, [row.best / row.events * 1e6 for row in timed], color=colours)
            each.invert_yaxis()
            each.set_xscale("log")
            each.set_xlim(left=0.1)
            each.set_xlabel("µs an event, minimum")
            each.set_title(f"{case.workload}, {case.chunk:,} B, {case.mode}", fontsize=9)
            each.grid(visible=True, alpha=0.3, axis="x")

    report.say_written(out, "compare", report.drawn(out / "compare.svg", len(found), draw))
