"""Unpack the content coding of a response piece by piece, with bounded memory and bounded work.

httpx unpacks each chunk at once and as a whole: 64 kB of gzip may be 64 MB. Here a piece has at most `PIECE_SIZE`
bytes, and `_INPUT_SIZE` bytes of the body are taken at a time. If they unpack to nothing, an empty piece stands for
them, so that the caller has control again. A body has at most one coding: with two, few bytes of the body may be much
work for the second that gives nothing. The codings are gzip and deflate, which are in the standard library.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_SIZE = 65_536
"""The most bytes of one piece: what a client reads from a connection at once."""

_INPUT_SIZE = 4_096
"""The bytes of a body that are taken at a time. The worst, empty members of gzip, take less than a millisecond."""

_MOST_CODINGS = 1
"""The most content codings of one body. Real servers use one."""

_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
"""What `zlib` calls the three formats."""

_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
"""The codings of HTTP that this module knows (RFC 9110, section 8.4.1)."""

_ZLIB_HEADER_SIZE = 2


class Unpacker:
    """Unpacks a body of one coding."""

    def __init__(self, coding: str) -> None:
        """Start with no bytes."""
        self._start = b""  # of a body of deflate, until its format is known
        self._format = None if coding == "deflate" else _GZIP
        self._stream = zlib.decompressobj(_GZIP)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the body unpack to, as soon as they tell it. A piece may be empty.

        Raises:
            zlib.error: the bytes are not of this coding.

        """
        for at in range(0, max(len(data), 1), _INPUT_SIZE):
            empty = True
            for piece in self._pieces(data[at : at + _INPUT_SIZE]):
                empty = False
                yield piece
            if empty:
                yield b""

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if self._format is None:
            self._start = data = self._start + data
            if len(data) < _ZLIB_HEADER_SIZE:
                return
            self._format, self._start = _deflate_format(data), b""
            self._stream = zlib.decompressobj(self._format)
        full = False
        while (data := self._begin_member(data)) or full:
            piece = self._stream.decompress(data, PIECE_SIZE)
            full = len(piece) == PIECE_SIZE
            data = self._stream.unused_data or self._stream.unconsumed_tail
            if piece:
                yield piece

    def _begin_member(self, data: bytes) -> bytes:
        """Return the bytes to unpack. Behind the end of a member begin the next one, if the bytes hold its start.

        gzip allows several members (RFC 1952, section 2.2), and zeros behind each, with which some writers fill a
        block. What follows the end of deflate is dropped, as clients do.
        """
        if not self._stream.eof:
            return data
        data = data.lstrip(b"\0") if self._format == _GZIP else b""
        if data:
            self._stream = zlib.decompressobj(_GZIP)
        return data


def _deflate_format(start: bytes) -> int:
    """Return the format of a body of deflate. Some servers leave out the header of zlib (RFC 1950, section 2.2)."""
    has_header = start[0] % 16 == zlib.DEFLATED and int.from_bytes(start[:_ZLIB_HEADER_SIZE], "big") % 31 == 0
    return _ZLIB if has_header else _RAW


def make_unpacker(content_encoding: str) -> Unpacker | None:
    """Return an unpacker for the coding of a body; None if it has none, or one that is not known here.

    Raises:
        ValueError: there are more codings than 1.

    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in names if name not in {"", "identity"}]
    if len(codings) > _MOST_CODINGS:
        raise ValueError(f"expected at most {_MOST_CODINGS} content coding, got {len(codings)}")
    return Unpacker(codings[0]) if codings and codings[0] in _CODINGS else None
