"""Where a fuzzer begins: pieces of recordings, as inputs of each target."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from accumulator import Accumulator
from tests.fuzz.targets import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PIECE = 2_400


def pieces(stream: bytes) -> Iterator[bytes]:
    """Cut a recording into pieces of whole events that are small enough to be mutated, the same kinds only once."""
    seen = set[tuple[bytes, ...]]()
    for piece in _runs_of_events(stream):
        kinds = tuple(dict.fromkeys(re.findall(rb"^event: ?(.*)$", piece, re.MULTILINE)))
        if kinds not in seen:
            seen.add(kinds)
            yield piece


def _runs_of_events(stream: bytes) -> Iterator[bytes]:
    piece = b""
    for block in re.split(rb"(?<=\n\n)", stream):
        if piece and len(piece) + len(block) > MAX_PIECE:
            yield piece
            piece = b""
        if len(block) <= MAX_PIECE:
            piece += block
    if piece:
        yield piece


def _lines(piece: bytes) -> bytes:
    """Write a piece as lines of `apply`."""
    events = re.findall(rb"^event: ?(.*)\ndata: ?(.*)$", piece, re.MULTILINE)
    names = [name.encode() for name in NAMES]
    # A name stands for its place from the number of names on too, where no place is that of a line feed.
    return b"\n".join(bytes([len(names) + names.index(name)]) + data for name, data in events if name in names)


def _checkpoint(piece: bytes) -> bytes:
    run = Accumulator()
    run.feed(piece[: -len(piece) // 8])
    return run.to_bytes()


def seeds(target: str, stream: bytes) -> Iterator[bytes]:
    """Make the inputs of a target that a recording gives."""
    for number, piece in enumerate(pieces(stream)):
        if target == "feed":
            yield bytes([number % 4, number % 7]) + piece
        elif target == "command":
            yield bytes([number % 2]) + piece
        elif target == "apply":
            yield b"\x80" + _lines(piece)
        else:
            yield _checkpoint(piece)
