"""How bytes are taken apart into events: `python -m benches.verdicts.framing`.

In use: split where another block of the last event's name begins, and look for a line feed in each piece as a number.
Rejected: taking each block apart by itself; a line feed looked for as bytes, for which CPython first makes a TypeError
and throws it away; and a named tuple for each event.

    split at the next start: SSEParser           0.52 µs an event   1.00 x
      the split by itself, 10 in data            0.40               0.76 x
      the split by itself, b"LF" in data          0.54               1.04 x
    block by block, tuples                       1.09               2.10 x
    block by block, named tuples                 1.51               2.90 x
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from accumulator._sse import SSEParser
from benches import workloads
from benches.verdicts import compare

if TYPE_CHECKING:
    from collections.abc import Callable


class Frame(NamedTuple):
    event: bytes
    data: bytes
    id: bytes
    retry: int | None


def by_block(chunks: list[bytes], make: Callable[[bytes, bytes], object]) -> list[object]:
    """Split at blank lines, and each block at its data."""
    frames: list[object] = []
    carry = b""
    for chunk in chunks:
        *blocks, carry = (carry + chunk).split(b"\n\n")
        for block in blocks:
            first, _, data = block.partition(b"\ndata: ")
            if b"\n" not in data and first.startswith(b"event: ") and b"\n" not in first:
                frames.append(make(first[7:], data))
    return frames


def by_start(chunks: list[bytes], line_feed: int | bytes) -> list[object]:
    """Split where another block of the name begins, as the library does, without what else it looks at."""
    frames: list[object] = []
    carry = name = b""
    for chunk in chunks:
        whole, blank, carry = (carry + chunk).rpartition(b"\n\n")
        if not blank:
            continue
        start = b"\n\nevent: " + name + b"\ndata: "
        for number, piece in enumerate(whole.split(start)):
            if number and line_feed not in piece:
                frames.append((name, piece, b"", None))
                continue
            for block in (start[2:] + piece if number else piece).split(b"\n\n"):
                first, _, data = block.partition(b"\ndata: ")
                if first:
                    name = first[7:]
                    frames.append((name, data, b"", None))
    return frames


def in_use(chunks: list[bytes]) -> list[object]:
    """Parse as the library does."""
    parser = SSEParser()
    return [item for chunk in chunks for item in parser.push(chunk)]


def main(size: int = 20_000) -> None:
    """Compare them on argument fragments in chunks of 4 KiB."""
    made = workloads.arguments(size)
    chunks = made.chunks(workloads.CHUNK)
    compare(
        "per event",
        {
            "split at the next start: SSEParser": lambda: in_use(chunks),
            "  the split by itself, 10 in data": lambda: by_start(chunks, 10),
            '  the split by itself, b"\\n" in data': lambda: by_start(chunks, b"\n"),
            "block by block, tuples": lambda: by_block(chunks, lambda name, data: (name, data, b"", None)),
            "block by block, named tuples": lambda: by_block(chunks, lambda name, data: Frame(name, data, b"", None)),
        },
        made.count,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
