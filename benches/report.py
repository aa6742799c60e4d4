"""What was measured, as a table, as JSON and as a picture."""

from __future__ import annotations

import math
import statistics
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from benches.runner import FLOORS, OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from benches.runner import Case, Row

# One colour for each contender in all pictures, told apart also by those who see few colours.
COLOURS = ("#dddddd", "#aaaaaa", "#0072b2", "#56b4e9", "#e69f00", "#f0e442", "#cc79a7", "#d55e00", "#009e73")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return columns side by side: the first to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    padded = (
        [line[0].ljust(widths[0]), *(each.rjust(width) for each, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    )
    return "\n".join("  ".join(each).rstrip() for each in padded)


def number(value: float, digits: int = 3) -> str:
    """Write a number with so many digits that mean something."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def size_of(count: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} GB"


HEAD = ("contender", "size", "min ms", "quartiles ms", "runs", "µs/event", "x framing", "x decode", "ours is", "peak")


def compared(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the lines of a table in which each contender stands against the floors and against ours."""
    best = {(row.contender, row.size): row.best for row in rows if row.seconds}
    lines = list[tuple[str, ...]]()
    for row in rows:
        if not row.seconds:
            lines.append((row.contender, f"{row.size:,}", row.state, *[""] * (len(HEAD) - 3)))
            continue
        ratios = [
            number(row.best / floor) if (floor := best.get((name, row.size))) is not None else "" for name in FLOORS
        ]
        ours = best.get((OURS, row.size))
        against = "" if ours is None or row.contender in (OURS, *FLOORS) else times(row.best / ours)
        lines.append(
            (
                row.contender,
                f"{row.size:,}",
                number(row.best * 1e3),
                " - ".join(number(each * 1e3) for each in quartiles(row.seconds)),
                str(len(row.seconds)),
                number(row.best / row.events * 1e6),
                *ratios,
                against,
                "" if row.peak is None else size_of(row.peak),
            )
        )
    return lines


def times(ratio: float) -> str:
    """Say how ours stands to another whose time is this multiple of ours."""
    return f"{number(ratio)} x faster" if ratio >= 1 else f"{number(1 / ratio)} x slower"


def quartiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the first and third quartile."""
    if len(seconds) == 1:
        return seconds[0], seconds[0]
    first, _, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return first, third


def title(case: Case, rows: Sequence[Row], says: str) -> str:
    """Return one line about a case."""
    whole = next((row for row in rows if row.events and row.size == case.size), None)
    size = "" if whole is None else f": {whole.events:,} events, {size_of(whole.bytes)}"
    return f"{case.workload}: {case.size:,} {says}{size}, chunks of {case.chunk:,} B, {case.mode}"


def versions(rows: Iterable[Row]) -> dict[str, str]:
    """Return what was measured, each package once."""
    return {package: version for row in rows for package, version in row.versions.items()}


def write_json(path: Path, value: object) -> None:
    """Write what was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def exponent(points: Mapping[int, float]) -> float:
    """Return the power with which something grows: the slope of the straight line through the logarithms."""
    sizes = [math.log(size) for size in points]
    return statistics.linear_regression(sizes, [math.log(value) for value in points.values()]).slope


class Axes(Protocol):
    """What is used of matplotlib's axes."""

    def set_title(self, label: str, *, fontsize: float) -> object: ...
    def set_xlabel(self, label: str) -> object: ...
    def set_ylabel(self, label: str) -> object: ...
    def set_xscale(self, scale: str) -> object: ...
    def set_yscale(self, scale: str) -> object: ...
    def grid(self, *, visible: bool, alpha: float, axis: str) -> object: ...
    def legend(self, *, fontsize: float) -> object: ...
    def plot(self, x: Sequence[float], y: Sequence[float], *, marker: str, label: str, color: str) -> object: ...
    def barh(self, y: Sequence[str], width: Sequence[float], *, color: Sequence[str]) -> object: ...
    def invert_yaxis(self) -> object: ...
    def set_xlim(self, *, left: float) -> object: ...
    def set_axis_off(self) -> object: ...


class Figure(Protocol):
    """What is used of a figure."""

    def savefig(self, path: Path, *, metadata: dict[str, None]) -> object: ...


def drawn(path: Path, panels: int, draw: Callable[[list[Axes]], None], *, columns: int = 2) -> bool:
    """Draw a picture of so many panels into an SVG file; say that matplotlib is missing where it is."""
    try:
        matplotlib = import_module("matplotlib")
    except ImportError:
        return False
    matplotlib.use("svg")
    # The same picture has the same bytes, whoever draws it.
    matplotlib.rcParams.update({"svg.hashsalt": "benches", "font.size": 8, "figure.constrained_layout.use": True})
    pyplot = import_module("matplotlib.pyplot")
    lines = -(-panels // columns)
    size = (5.5 * columns, 3.2 * lines)
    figure, grid = cast(
        "tuple[Figure, object]", pyplot.subplots(lines, min(columns, panels), figsize=size, squeeze=False)
    )
    axes = list(cast("Iterable[Axes]", getattr(grid, "flat")))  # noqa: B009 - of a numpy array
    for unused in axes[panels:]:
        unused.set_axis_off()
    draw(axes[:panels])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return True


def colour(contender: str, names: Sequence[str]) -> str:
    """Return the colour of a contender."""
    return COLOURS[names.index(contender) % len(COLOURS)]


def say_written(out: Path, name: str, picture: bool) -> None:  # noqa: FBT001 - what `drawn` returns
    """Say where the files are."""
    also = f" and {name}.svg" if picture else "; no picture, matplotlib is not installed: pip install -e '.[bench]'"
    print(f"written: {out / name}.json{also}\n")
