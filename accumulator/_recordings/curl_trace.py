"""Read what `curl --trace FILE --trace-time` writes: each read in hexadecimal, with the chunks of HTTP and the time.

What `--trace-ascii` writes lacks bytes, and cannot be read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from accumulator._errors import RecordingError
from accumulator._recordings.format import RecordedChunk
from accumulator._recordings.stored import StoredBody, events_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "a trace of curl"

_BEGINS: Final = re.compile(rb"\A(?:[\d:.]{8,20} )?(?:== Info|=> Send|<= Recv)")
_ENTRY: Final = re.compile(r"(?:(\d+):(\d+):(\d+\.\d+) )?(==|=>|<=) (Info|\w+ \w+)")
_HEX: Final = re.compile(r"[0-9a-f]{4,8}: ((?:[0-9a-f]{2} ){1,16})")
_ASCII: Final = re.compile(r"[0-9a-f]{4,8}: ")
_DAY: Final = 86_400.0


def begins_like_a_trace(start: bytes) -> bool:
    """Whether text is a trace of curl."""
    return _BEGINS.match(start) is not None


def load_trace(data: bytes) -> str:
    """Return the text of a trace."""
    return data.decode("utf-8", "replace")


def is_trace(value: object) -> bool:
    """Whether a value is the text of a trace."""
    return isinstance(value, str)


def read_trace(value: object) -> list[StoredBody]:
    """Return the bodies of a trace that are event streams.

    Raises:
        RecordingError: there is none, or the trace lacks bytes.

    """
    bodies: list[StoredBody] = []
    heads: list[bytes] = []
    chunks: list[tuple[float | None, bytes]] = []
    for kind, seconds, content in _reads(str(value)):
        if kind == "Recv header" and chunks:
            bodies.append(_body(heads, chunks))
            heads, chunks = [], []
        if kind == "Recv header":
            heads.append(content)
        elif kind == "Recv data":
            chunks.append((seconds, content))
        if kind == "Recv header" and not content.strip():
            chunks.append((seconds, b""))  # the times are counted from here
    if heads:
        bodies.append(_body(heads, chunks))
    return events_of(NAME, bodies)


def _reads(text: str) -> Iterator[tuple[str, float | None, bytes]]:
    """Yield each entry: what it is, its time of day in seconds, and its bytes."""
    kind, seconds, content = "", None, bytearray()
    for line in text.split("\n"):
        if (entry := _ENTRY.match(line)) is not None:
            if kind:
                yield kind, seconds, bytes(content)
            hours, minutes, rest, _, kind = entry.groups()
            seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest) if hours else None
            content = bytearray()
        elif (found := _HEX.match(line)) is not None:
            content += bytes.fromhex(found[1])
        elif _ASCII.match(line) and kind == "Recv data":
            raise RecordingError(f"{NAME} without all bytes: use --trace in place of --trace-ascii")
    yield kind, seconds, bytes(content)


def _body(heads: list[bytes], chunks: list[tuple[float | None, bytes]]) -> StoredBody:
    opened = chunks[0][0] if chunks else None
    status = re.match(rb"HTTP/\S+ (\d{3})", heads[0]) if heads else None
    response: dict[str, object] = {} if status is None else {"status": int(status[1])}
    chunked = any(re.match(rb"(?i)transfer-encoding:\s*chunked", head) for head in heads)
    contents = [data for _, data in chunks]
    parts = _without_framing(contents) if chunked else contents
    timed = [
        RecordedChunk(None if at is None or opened is None else round((at - opened) % _DAY, 6), data)
        for (at, _), data in zip(chunks, parts, strict=True)
        if data
    ]
    return StoredBody(response, tuple(timed))


def _without_framing(contents: list[bytes]) -> list[bytes]:
    """Take off the chunks of HTTP (RFC 9112, section 7.1); the reads stay apart."""
    parts, line, left, behind = list[bytes](), b"", 0, False
    for content in contents:
        part, at = bytearray(), 0
        while at < len(content):
            if left:
                taken = content[at : at + left]
                part += taken
                at += len(taken)
                left -= len(taken)
                behind = not left
                continue
            end = content.find(b"\n", at) + 1 or len(content)
            line += content[at:end]
            at = end
            if not line.endswith(b"\n"):
                break
            if not behind:
                left = int(re.match(rb"[0-9a-fA-F]{0,8}", line)[0] or b"0", 16)  # type: ignore[index] # always matches
            behind, line = False, b""
        parts.append(bytes(part))
    return parts
