r"""Version 1 of the recording format: what a server sent, byte for byte, with lines of our own between the events.

Our lines are comments to every other reader of server-sent events:

    :~ recording {"version":1,"created":"2026-11-28T16:00:00Z"}     the first line of the file
    :~ body {"n":1,"url":"https://host/v1/threads/t/runs"}          a body begins
    :~ bom                                                          the body began with a byte-order mark
    :~ 0.200000                                                     a chunk begins here, 0.2 s after the body was opened
    :~ 0.270000@700                                                 a chunk began at byte 700 of the body
    :~ end {"why":"done","bytes":5640,"pad":0,"sha256":"..."}       the body ended

A line of the server that begins with `:~` is stored with one more tilde. A line begins at the start of a body, behind
LF and behind CR. A boundary is the start of a body, or a place behind LF LF or LF CR LF: our lines stand there only. A
chunk that begins within a block is written without a line, and its time and offset are in the line at the next
boundary, or before `end`. Chunk k is the bytes from its offset to that of the next chunk. `pad` counts the LFs that
were added to reach a boundary. Unknown lines of ours are ignored.

If the file is cut anywhere, all that was wholly written is read: only the times of chunks within the last block can be
lost. A last line without LF that begins with `:~`, and not with `:~~`, is dropped and reported.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias, cast

from accumulator._errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1
FIRST: Final = b":~ recording "
"""How a recording begins. A file that begins otherwise is foreign, and nothing in it is unescaped."""

Why: TypeAlias = Literal["done", "eof", "broken", "closed", "torn"]
"""Why a body ended: with `done`, with its source, by its exception, closed before its end, or cut by a crash."""

MOST_WITHIN: Final = 262_144
"""The chunks within one block whose cuts are kept, so that a stream without boundaries takes bounded memory."""

LONGEST_LINE: Final = 8_388_608
"""The bytes of one line of ours: more than `MOST_WITHIN` items take. A longer one is dropped."""

LONGEST_CHUNK: Final = 16_777_216
"""The bytes of one chunk that is read. A longer one comes in pieces, so that no file takes unbounded memory."""

_BOM: Final = b"\xef\xbb\xbf"
_BOUNDARIES: Final = (b"\n\n", b"\n\r\n")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_ESCAPED: Final = re.compile(rb"(?<=[\r\n]):~")
_MARKED: Final = re.compile(rb"(?<=[\r\n]):(?:~|\Z)")
_MARK_SIZE: Final = 3
_LAST_SIZE: Final = 3
"""The last bytes of a body that tell whether it is at a boundary."""
_ITEM: Final = re.compile(rb"(\d{1,12}\.\d{6})(?:@(\d{1,18}))?\Z")


def first_line(created: str) -> bytes:
    """Return the first line of a recording. `created` is a time in ISO 8601."""
    return _line("recording", {"version": VERSION, "created": created})


def body_line(number: int, response: Mapping[str, object]) -> bytes:
    """Return the line that begins a body: its number in the file, and what is known of the response."""
    return _line("body", {"n": number, **response})


def _line(word: str, fields: Mapping[str, object]) -> bytes:
    return f":~ {word} {json.dumps(fields, separators=(',', ':'))}\n".encode()  # ASCII: no value can end the line


class Digest(Protocol):
    """A hash that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the hash of the bytes so far."""
        ...


class BodyWriter:
    """Turns the chunks of one body into the bytes of the file.

    Attributes:
        size: the bytes of the body so far.

    """

    def __init__(self) -> None:
        """Start behind the line that begins the body."""
        self.size = 0
        self._hash: Digest = hashlib.sha256()
        self._last = b"\r"  # the last bytes of the body; before them a line began
        self._text = 0  # where the text of the body begins: behind a byte-order mark
        self._items = bytearray()  # of the chunks that began since the last boundary
        self._count = 0  # of these items
        self._held: list[tuple[bytes, float]] | None = []  # chunks that may be a byte-order mark together

    @classmethod
    def resume(cls, size: int, digest: Digest, last: bytes) -> BodyWriter:
        """Return the writer of a body that a file has the beginning of: its size, its hash, and its last bytes."""
        writer = cls()
        writer.size, writer._hash, writer._last, writer._held = size, digest, b"\r" + last, None
        return writer

    def chunk(self, data: bytes, seconds: float) -> bytes:
        """Return what to write for a chunk that came so many seconds after the body was opened."""
        if self._held is None:
            return self._add(data, seconds)
        self._held.append((data, seconds))
        return b"" if len(self._start) < len(_BOM) and _BOM.startswith(self._start) else self._begin()

    def end(self, why: Why) -> bytes:
        """Return what to write at the end of the body."""
        out = self._begin() if self._held is not None else b""
        ends = (0,) if self._at_boundary else (1, 2)
        pad = next((count for count in ends if (self._last + b"\n" * count).endswith(_BOUNDARIES)), 0)
        fields = {"why": why, "bytes": self.size, "pad": pad, "sha256": self._hash.hexdigest()}
        return out + b"\n" * pad + self._marker() + _line("end", fields)

    @property
    def _at_boundary(self) -> bool:
        return self.size == self._text or self._last.endswith(_BOUNDARIES)

    @property
    def _start(self) -> bytes:
        return b"".join(data for data, _ in self._held or ())

    def _begin(self) -> bytes:
        """Return what to write for the chunks that were held: no mark, or one, whose place a line of ours takes."""
        start, held, self._held = self._start, self._held or [], None
        if not start.startswith(_BOM):
            return b"".join(self._add(*chunk) for chunk in held)
        offset = 0
        for data, seconds in held:
            self._add_item(seconds, offset)
            offset += len(data)
        self.size = self._text = len(_BOM)
        self._hash.update(_BOM)
        return b":~ bom\n" + self._marker() + self._store(start[len(_BOM) :])

    def _add(self, data: bytes, seconds: float) -> bytes:
        self._add_item(seconds, None if self._at_boundary and not self._text else self.size)
        if self._at_boundary:
            return self._marker() + self._store(data)
        before = self._last[-2:]
        found = _BLANK_LINE.search(before + data)
        if found is None:
            return self._store(data)
        at = found.end() - len(before)
        return self._store(data[:at]) + self._marker() + self._store(data[at:])

    def _add_item(self, seconds: float, offset: int | None) -> None:
        if self._count < MOST_WITHIN:
            self._count += 1
            self._items += f" {seconds:.6f}{'' if offset is None else f'@{offset}'}".encode()

    def _marker(self) -> bytes:
        """Return the line with the items that wait for a boundary, or nothing."""
        if not self._count:
            return b""
        items, self._items, self._count = self._items, bytearray(), 0
        return b":~%b\n" % bytes(items)

    def _store(self, data: bytes) -> bytes:
        """Return bytes of the body as they are stored."""
        self.size += len(data)
        self._hash.update(data)
        last = self._last
        self._last = (last + data[-_LAST_SIZE:])[-_LAST_SIZE:]
        stored = _ESCAPED.sub(b":~~", data) if b":~" in data else data
        if data.startswith(b":~") and last.endswith((b"\r", b"\n")):
            return b":~~" + stored[2:]
        if data.startswith(b"~") and last.endswith((b"\r:", b"\n:")):
            return b"~" + stored
        return stored


class Began(NamedTuple):
    """A body begins: what the file says of the response."""

    response: dict[str, object]


class RecordedChunk(NamedTuple):
    """A chunk of a recorded body, cut as it arrived where the recording has the cuts.

    Attributes:
        seconds: when it arrived, in seconds since the body was opened; None if that is not known.
        data: its bytes.

    """

    seconds: float | None
    data: bytes


class Ended(NamedTuple):
    """A body ended: why, None if the file ends within it."""

    why: str | None


class Fault(NamedTuple):
    """A place where a file is not as the format says. What can be read is read all the same."""

    message: str


Item: TypeAlias = Began | RecordedChunk | Ended | Fault


class RecordingReader:
    """Reads a recording piece by piece, without I/O and in bounded memory.

    Attributes:
        in_body: whether a body has begun and not ended.
        digest: the hash of the bytes of the body that were handed out.
        size: the bytes of the current body so far.
        last: its last bytes.
        kept: the bytes of the file before a torn line of ours, once `end` was called.

    """

    def __init__(self) -> None:
        """Start at the beginning of the file."""
        self.in_body = False
        self.digest: Digest = hashlib.sha256()
        self.size = 0
        self.last = b""
        self.kept = 0
        self._read = 0
        self._buffer = b"\n"  # what is not consumed, behind the byte before it
        self._skipping = False  # within a line of ours that is too long
        self._outside = False  # whether bytes outside of a body were reported
        self._items: list[Item] = []
        self._data = bytearray()  # of the current chunk
        self._seconds: float | None = None
        self._has_chunk = False

    def feed(self, data: bytes) -> list[Item]:
        """Take the next bytes of the file and return what they complete, in order.

        Raises:
            RecordingError: the file has a version that this release does not read.

        """
        self._read += len(data)
        buffer, at = self._buffer + data, 1
        while (found := None if self._skipping else _MARKED.search(buffer, at)) is not None:
            self._add(buffer[at : found.start()])
            at = found.start()
            consumed = self._mark(buffer, at)
            if not consumed:
                break
            at += consumed
        else:
            at = self._without_mark(buffer, at)
        self._buffer = buffer[at - 1 :]
        items, self._items = self._items, []
        return items

    def _without_mark(self, buffer: bytes, at: int) -> int:
        if not self._skipping:
            self._add(buffer[at:])
            return len(buffer)
        end = buffer.find(b"\n", at) + 1
        self._skipping = not end
        return end or len(buffer)

    def _mark(self, buffer: bytes, at: int) -> int:
        """Read what begins with `:~` in a line. Return the bytes that it takes, 0 if more have to come."""
        mark = buffer[at : at + _MARK_SIZE]
        if len(mark) < _MARK_SIZE and (len(mark) < 2 or mark == b":~"):  # noqa: PLR2004 - the size of `:~`
            return 0
        if mark == b":~~":
            self._add(b":~")
            return _MARK_SIZE
        if mark != b":~ ":
            self._fault(f"expected a space or a tilde behind `:~`, got {mark[2:]!r}")
            self._add(b":~")
            return 2
        end = buffer.find(b"\n", at)
        if end >= 0:
            self._line(buffer[at + _MARK_SIZE : end])
            return end + 1 - at
        if len(buffer) - at > LONGEST_LINE:
            self._fault(f"expected a line of at most {LONGEST_LINE} bytes behind `:~`")
            self._skipping = True
            return len(buffer) - at
        return 0

    def end(self) -> list[Item]:
        """End the file, and return what that completes. A body that is open was cut."""
        rest = b"" if self._skipping else self._buffer[1:]
        self.kept = self._read
        if rest.startswith(b":~"):
            self.kept -= len(rest)
            self._fault(f"expected the end of a line of the recording, got the end of the file behind {rest[:40]!r}")
        else:
            self._add(rest)
        self._buffer = b"\n"
        if self.in_body:
            self._end_body(None)
        items, self._items = self._items, []
        return items

    # The bytes of a body.

    def _add(self, data: bytes) -> None:
        if not self.in_body:
            if data.strip(b"\0\r\n") and not self._outside:
                self._outside = True
                self._fault(f"expected a body to begin, got {data[:40]!r}")
            return
        self._data += data
        self.size += len(data)
        while len(self._data) > LONGEST_CHUNK + 2:  # two may be padding
            self._cut(LONGEST_CHUNK)

    def _cut(self, size: int) -> None:
        """Hand out the current chunk: the first bytes of those that wait."""
        piece = bytes(self._data[:size])
        del self._data[:size]
        self.digest.update(piece)
        if piece or self._has_chunk:
            self._items.append(RecordedChunk(self._seconds, piece))

    # The lines of the recording.

    def _line(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if word == b"recording":
            _check_version(self._fields(rest))
        elif word == b"body":
            self._begin_body(self._fields(rest))
        elif not self.in_body:
            pass  # a word that this version does not know, or a time or an end without a body
        elif word == b"end":
            self._end_body(self._fields(rest))
        elif word == b"bom" and not self.size:
            self._add(_BOM)
        elif word[:1].isdigit():
            for item in line.split(b" "):
                self._begin_chunk(item)

    def _fields(self, text: bytes) -> dict[str, object]:
        try:
            fields: object = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            self._fault(f"expected a JSON object in a line of the recording, got {text[:40]!r}")
            return {}
        return cast("dict[str, object]", fields)

    def _begin_body(self, response: dict[str, object]) -> None:
        if self.in_body:
            self._end_body(None)
        self.in_body, self.size, self.digest = True, 0, hashlib.sha256()
        self._items.append(Began(response))

    def _begin_chunk(self, item: bytes) -> None:
        found = _ITEM.match(item)
        offset = self.size if found is None or found[2] is None else int(found[2])
        begun = self.size - len(self._data)
        if found is None or not begun <= offset <= self.size:
            self._fault(f"expected the time of a chunk, with an offset from {begun} to {self.size}, got {item[:40]!r}")
            return
        self._cut(offset - begun)
        self._seconds, self._has_chunk = float(found[1]), True

    def _end_body(self, fields: dict[str, object] | None) -> None:
        said = fields or {}
        pad = said.get("pad")
        if isinstance(pad, int) and 0 < pad <= 2 and self._data.endswith(b"\n" * pad):  # noqa: PLR2004 - at most two
            del self._data[-pad:]
            self.size -= pad
        self.last = bytes(self._data[-_LAST_SIZE:])
        self._cut(len(self._data))
        self.in_body, self._seconds, self._has_chunk = False, None, False
        if said and (self.size, self.digest.hexdigest()) != (said.get("bytes"), said.get("sha256")):
            self._fault(f"expected a body of {said.get('bytes')} bytes with the sha256 that `end` has, got other bytes")
        why = said.get("why")
        self._items.append(Ended(why if isinstance(why, str) else None))

    def _fault(self, message: str) -> None:
        self._items.append(Fault(message))


def _check_version(fields: dict[str, object]) -> None:
    if (version := fields.get("version")) != VERSION:
        raise RecordingError(f"expected a recording of version {VERSION}, got version {version!s:.40}")
