"""Unpack the body of a response piece by piece, in bounded memory.

httpx unpacks each chunk at once and as a whole: 64 kB of gzip may be 64 MB, and 1 kB that was packed twice may be 1 GB.
Here a piece has at most `PIECE_SIZE` bytes, for any number of packings. That works for gzip and deflate, which are in
the standard library.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_SIZE = 65_536
"""The most bytes of one piece: what a client reads from a connection at once."""

_MOST_CODINGS = 5
"""The most packings of one body. curl and urllib3 allow as many; real servers use one."""

_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
"""What `zlib` calls the three formats."""

_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
"""The codings of HTTP that this module knows (RFC 9110, section 8.4.1)."""

_ZLIB_HEADER_SIZE = 2


class Unpacker:
    """Unpacks one coding of a body."""

    def __init__(self, coding: str) -> None:
        """Start with no bytes."""
        self._start = b""  # of a body of deflate, until its format is known
        self._format = None if coding == "deflate" else _GZIP
        self._stream = zlib.decompressobj(_GZIP)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the body unpack to, as soon as they tell it.

        Raises:
            zlib.error: the bytes are not of this coding.

        """
        if self._format is None:
            self._start = data = self._start + data
            if len(data) < _ZLIB_HEADER_SIZE:
                return
            self._format, self._start = _deflate_format(data), b""
            self._stream = zlib.decompressobj(self._format)
        full = False
        while data or full:
            if self._stream.eof:  # gzip allows several members (RFC 1952, section 2.2)
                self._stream = zlib.decompressobj(self._format)
            piece = self._stream.decompress(data, PIECE_SIZE)
            full = len(piece) == PIECE_SIZE
            data = self._stream.unused_data or self._stream.unconsumed_tail
            if piece:
                yield piece


def _deflate_format(start: bytes) -> int:
    """Return the format of a body of deflate. Some servers leave out the header of zlib (RFC 1950, section 2.2)."""
    has_header = start[0] % 16 == zlib.DEFLATED and int.from_bytes(start[:_ZLIB_HEADER_SIZE], "big") % 31 == 0
    return _ZLIB if has_header else _RAW


def make_unpackers(content_encoding: str) -> list[Unpacker] | None:
    """Return an unpacker for each coding of a body, in the order of their use; None if one of them is not known here.

    Raises:
        ValueError: there are more codings than 5.

    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in reversed(names) if name not in {"", "identity"}]
    if not _CODINGS.issuperset(codings):
        return None
    if len(codings) > _MOST_CODINGS:
        raise ValueError(f"expected a body that is packed at most {_MOST_CODINGS} times, got {len(codings)} times")
    return [Unpacker(name) for name in codings]


def unpack(data: bytes, unpackers: list[Unpacker]) -> Iterator[bytes]:
    """Yield what the next bytes of a body unpack to."""
    if not unpackers:
        yield data
        return
    for piece in unpackers[0].unpack(data):
        yield from unpack(piece, unpackers[1:])
