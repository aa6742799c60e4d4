"""Made archives: as many recordings as wanted, of the shipped ones, each with ids and times of its own.

The bytes depend on the number of the recording alone, so that two archives of one size are the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = Path(__file__).resolve().parents[1] / "recordings"

FOLDER_SIZE = 1_000
"""The files of a folder."""

BROKEN_EVERY = 100

_RUN = re.compile(rb"\brun_\w+")
_ASSISTANT = re.compile(rb"\basst_\w+")
_TIME = re.compile(rb'(_at":\s?)(1\d{9})\b')


def archive(count: int, *, broken: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of files; with `broken` one of a hundred is cut, empty, binary or HTML, in turns."""
    # All but the one that is cut: only what is broken is.
    templates = [path.read_bytes() for path in sorted(SHIPPED.glob("*.sse")) if path.stem != "truncated"]
    for number in range(count):
        # The first and the second body of a run follow each other: they have the same number.
        round_, place = divmod(number, len(templates))
        data = vary(templates[place], round_)
        if broken and number % BROKEN_EVERY == BROKEN_EVERY // 2:
            data = spoil(data, number // BROKEN_EVERY)
        yield f"{number // FOLDER_SIZE:04}/{number:07}.sse", data


def vary(data: bytes, number: int) -> bytes:
    """Return a recording with runs and times of its own, and one of seven assistants."""
    data = _RUN.sub(lambda found: b"%s%08d" % (found[0][:-8], number), data)
    data = _ASSISTANT.sub(b"asst_%d" % (number % 7), data)
    return _TIME.sub(lambda found: b"%s%d" % (found[1], int(found[2]) + number % 30 * 86_400), data)


def spoil(data: bytes, number: int) -> bytes:
    """Return what may stand in the place of a recording."""
    kinds = (data[: len(data) // 3], b"", bytes(range(256)) * 64, b"<!doctype html><html><body>502</body></html>\n")
    return kinds[number % len(kinds)]


def write(folder: Path, count: int, *, broken: bool = False) -> int:
    """Write an archive into a folder. Return the number of its bytes."""
    size = 0
    for name, data in archive(count, broken=broken):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        size += len(data)
    return size
