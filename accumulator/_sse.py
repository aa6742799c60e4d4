"""Bytes to server-sent events: WHATWG HTML, section 9.2, incremental and bounded. Knows no JSON.

Line ends and field names are ASCII, so the stream is parsed as bytes, and only the text of an event is decoded.

A *block* is what the standard dispatches at once: the lines between two blank lines. The parser keeps the raw bytes of
the one unfinished block (`_held`) and nothing else of the stream. Three rules follow from that:

- Line ends before a block are blank lines without effect. Dropping them also drops the LF of a CRLF whose CR has
  already ended a block, in the same chunk or an earlier one.
- A block ends where a line end follows a line end. New bytes can complete that only together with the last two before
  them (`CR LF` and then a line end), so each byte is looked at once, however the stream is cut.
- The size of a block is the length of its bytes.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from io import BytesIO
from typing import NamedTuple, Self, TypeAlias, TypeGuard

from accumulator._errors import LimitError

DEFAULT_MAX_EVENT_SIZE = 32 * 1024 * 1024
"""32 MiB. A guard against a peer that never ends a line, not a budget: real events stay under 100 kB, but one with
an image as base64 has passed 8 MiB in the field, and four times that is still memory that any process has."""

_BOM = b"\xef\xbb\xbf"
_BLOCK_END = rb"(\r\n?+|\n)(?:\r\n?|\n)"
"""The end of a block's last line (group 1) and the blank line. Possessive: the LF of a CRLF is no blank line."""

_LF, _CR = b"\n\r"
"""Line ends as numbers: `in` finds a number in bytes ten times as fast as bytes of length 1."""

_OVERLAP = 2
"""How many bytes before a chunk can belong to a block end that the chunk completes."""

_RETRY_DIGITS = sys.int_info.str_digits_check_threshold
"""640, the lowest limit on digits that an interpreter can be set to: up to there `int` neither raises nor is slow."""


class ServerSentEvent(NamedTuple):
    """One event of a stream."""

    event: str = "message"
    """Its type; "message" where the server named none."""
    data: str = ""
    """Its data lines, joined by LF."""
    id: str = ""
    """The last event id the stream set, in this event or an earlier one; "" where it set none."""
    retry: int | None = None
    """The reconnection time in milliseconds that this event's block set; None where it set none."""


Frame: TypeAlias = tuple[bytes, bytes, bytes, int | None]
"""An event, not decoded: its name (b"" where the block had none), its data, the last event id, and `retry`."""

Item: TypeAlias = Frame | LimitError
"""A frame, or the error in place of an event that was too large."""

Chunk: TypeAlias = bytes | bytearray | memoryview


class SSEParser:
    """Parse server-sent events from chunks of bytes, cut anywhere.

    The events do not depend on the cuts. Each is returned for the chunk that has the first byte of the line end of its
    blank line. The time is linear in the bytes. Between calls the parser keeps at most `max_event_size` bytes of an
    unfinished event, and the last event id.

    The size of an event is that of all its lines with their line ends, comments and unknown fields included, the blank
    line excluded.
    """

    def __init__(self, *, max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE) -> None:
        """Start a stream.

        `max_event_size` is in bytes, at least 1; None turns the limit off. Anything else is a `TypeError` or
        `ValueError`.
        """
        check_size(max_event_size)
        self._maximum = sys.maxsize if max_event_size is None else max_event_size
        self._pending: deque[Item] = deque()
        self._reset()

    def _reset(self) -> None:
        self._held = bytearray()  # the unfinished block; while skipping, its last two bytes; at the start, half a BOM
        self._id = b""
        self._name = b""  # that of the last plain block: more of that name are likely to follow
        self._fresh = True  # a byte-order mark may still come
        self._skipping = False  # up to the end of a block that was too large

    def feed(self, chunk: Chunk) -> list[ServerSentEvent]:
        """Return the events that this chunk completes, in order.

        Invalid UTF-8 is replaced by U+FFFD, as the standard asks. An event larger than `max_event_size` raises
        `LimitError` in its place: `error.events` are the events before it in this call, the rest of the chunk stays
        pending, and `feed(b"")` goes on with it. `TypeError` for anything but bytes.
        """
        self._pending += self.push(chunk)
        events: list[ServerSentEvent] = []
        while self._pending:
            item = self._pending.popleft()
            if isinstance(item, LimitError):
                item.events = events
                raise item
            events.append(_decoded(item))
        return events

    def end(self) -> ServerSentEvent | None:
        """End the stream, and return the event whose blank line is missing, if it has data.

        The standard discards that event; to do the same, ignore the result. Its last line counts even if it is cut off.
        Afterwards the parser is as new, for another stream: no last event id, and a byte-order mark may come.
        `RuntimeError` while events are pending after a `LimitError`.
        """
        rest = self.rest()
        return _decoded(rest) if isinstance(rest, tuple) else None

    def push(self, chunk: Chunk) -> list[Item]:
        """Return the frames that this chunk completes, in order, with a `LimitError` in place of each event too large.

        The error is there as soon as the event is known to be too large; its bytes are skipped up to its blank line.
        """
        source = _as_bytes(chunk)
        if self._fresh:
            source = self._without_bom(source)
        held = self._held
        if self._fresh or not source:
            return []
        if not held:
            source = source.lstrip(b"\r\n")
        else:
            window = bytes(held[-_OVERLAP:]) + source
            end = _block_end(window)
            if end is None:
                held += source
                return self._bounded([])
            if self._skipping:
                self._skipping = False
                source = window[end:].lstrip(b"\r\n")
            else:
                held += source
                source = bytes(held)
            self._held = bytearray()
        return self._bounded(self._mixed(source) if _CR in source else self._split(source))

    def rest(self) -> Frame | bytes | None:
        """End the stream, and return the block whose blank line is missing; the parser is as new then.

        A frame if it has a data field, where a last line that is cut off counts; else its raw bytes if it holds more
        than comments; else None, also for the rest of an event that was too large.
        """
        self._check_settled()
        held, skipping = bytes(self._held), self._skipping
        frame = None if skipping else self._parse(_with_lf(held))
        self._reset()
        if frame is not None or skipping:
            return frame
        return held if any(not line.startswith(b":") for line in BytesIO(_with_lf(held))) else None

    def state(self) -> dict[str, object]:
        """Return the state of the parser as JSON values, for `from_state`.

        Bytes become text, a character from U+0000 to U+00FF for each. `RuntimeError` while events are pending.
        """
        self._check_settled()
        return {
            "fresh": self._fresh,
            "skipping": self._skipping,
            "held": self._held.decode("latin-1"),
            "id": self._id.decode("latin-1"),
        }

    @classmethod
    def from_state(cls, state: object, *, max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE) -> Self:
        """Return a parser in this state. `TypeError` or `ValueError` if no parser with this limit can be in it."""
        parser = cls(max_event_size=max_event_size)
        if not _is_dict(state):
            raise TypeError(f"a parser's state must be a dict, not {type(state).__name__}")
        if state.keys() != {"fresh", "skipping", "held", "id"}:
            raise ValueError("a parser's state must have the keys fresh, skipping, held and id, and no others")
        parser._fresh = _flag(state, "fresh")
        parser._skipping = _flag(state, "skipping")
        parser._held = bytearray(_raw(state, "held"))
        parser._id = _raw(state, "id")
        parser._check_state()
        return parser

    def _check_state(self) -> None:
        """Raise `ValueError` for a state that `push` cannot leave behind."""
        held = bytes(self._held)
        if self._fresh:
            possible = held != _BOM and _BOM.startswith(held) and not self._skipping and not self._id
        elif self._skipping:
            possible = len(held) == _OVERLAP and _block_end(held) is None
        else:
            possible = held[:1] not in {b"\r", b"\n"} and _block_end(held) is None
            possible = possible and len(held) <= self._maximum
        if not possible or re.search(rb"[\0\r\n]", self._id):
            raise ValueError(f"no parser with max_event_size={self._maximum} can be in this state")

    def _check_settled(self) -> None:
        if self._pending:
            raise RuntimeError('events are pending after a LimitError: call feed(b"") until it returns')

    def _without_bom(self, source: bytes) -> bytes:
        """Drop the byte-order mark at the very start; keep what may become one."""
        start = bytes(self._held) + source
        self._fresh = start != _BOM and _BOM.startswith(start)
        self._held = bytearray(start if self._fresh else b"")
        return start.removeprefix(_BOM)

    def _split(self, source: bytes) -> list[Item]:
        """Return the items of the whole blocks in bytes without CR, and keep the rest.

        Nearly all blocks are *plain*: an `event: NAME` and a `data: ...`, nothing else; and mostly many of one name
        follow each other. So the source is split where a block of the last name begins, which runs in C. A piece
        without LF is then the data of one block.
        """
        end = source.rfind(b"\n\n")
        self._held += source[end + 2 :].lstrip(b"\n") if end >= 0 else source
        items: list[Item] = []
        if end < 0:
            return items
        name, start, small = self._name, _start(self._name), end < self._maximum
        first, *pieces = (b"\n\n" + source[:end]).split(start)
        if first:
            self._add_blocks(items, first)
        for data in pieces:
            if small and _LF not in data:
                items.append((name, data, self._id, None))
            else:
                self._add_blocks(items, start + data)
        return items

    def _add_blocks(self, items: list[Item], source: bytes) -> None:
        """Add the items of blocks, one by one; plain ones without a loop over their lines."""
        for block in source.strip(b"\n").split(b"\n\n"):
            lines = block.lstrip(b"\n")
            first, colon, data = lines.partition(b"\ndata: ")
            if colon and _LF not in data and first.startswith(b"event: ") and _LF not in first:
                if len(lines) < self._maximum:
                    self._name = first[7:]
                    items.append((self._name, data, self._id, None))
                else:
                    items.append(self.too_large())
            elif lines:
                self._add(items, lines, len(lines) + 1)

    def _mixed(self, source: bytes) -> list[Item]:
        """Return the items of the whole blocks in any bytes, and keep the rest."""
        items: list[Item] = []
        start = 0
        for end in re.finditer(_BLOCK_END, source):
            block = source[start : end.start()].lstrip(b"\r\n")
            start = end.end()
            if block:
                self._add(items, _with_lf(block), len(block) + end.end(1) - end.start())
        self._held += source[start:].lstrip(b"\r\n")
        return items

    def _add(self, items: list[Item], block: bytes, size: int) -> None:
        """Add the item of a block, if it has one."""
        if size > self._maximum:
            items.append(self.too_large())
        elif (frame := self._parse(block)) is not None:
            items.append(frame)

    def _bounded(self, items: list[Item]) -> list[Item]:
        """Skip the unfinished block if it is too large already, with an error behind the items."""
        if self._skipping or len(self._held) > self._maximum:
            if not self._skipping:
                items.append(self.too_large())
            self._skipping = True
            self._held = self._held[-_OVERLAP:]
        return items

    def too_large(self) -> LimitError:
        """Return the error in place of an event that is too large."""
        message = f"expected events of at most {self._maximum} bytes (max_event_size), got a larger one; it is left out"
        return LimitError(message, limit="max_event_size", maximum=self._maximum)

    def _parse(self, block: bytes) -> Frame | None:
        """Interpret the lines of one block (section 9.2.6), all line ends LF; None if it has no data field.

        An id counts even if its block has no data.
        """
        event, retry = b"", None
        data: bytearray | None = None
        for line in BytesIO(block):
            name, _, value = line.removesuffix(b"\n").partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data" and data is None:
                data = bytearray(value)
            elif name == b"data" and data is not None:
                data += b"\n"
                data += value
            elif name == b"event":
                event = value
            elif name == b"id" and b"\0" not in value:
                self._id = value
            elif name == b"retry" and value.isdigit() and len(value.lstrip(b"0")) <= _RETRY_DIGITS:
                retry = int(value.lstrip(b"0") or b"0")
        return None if data is None else (event, bytes(data), self._id, retry)


def _start(name: bytes) -> bytes:
    """Return the start of a plain block of a name, with the end of the block before it."""
    return b"\n\nevent: " + name + b"\ndata: "


def _decoded(frame: Frame) -> ServerSentEvent:
    name, data, ident, retry = frame
    return ServerSentEvent(
        event=name.decode("utf-8", "replace") or "message",
        data=data.decode("utf-8", "replace"),
        id=ident.decode("utf-8", "replace"),
        retry=retry,
    )


def _block_end(source: bytes) -> int | None:
    """Return where the first block of the source ends, its blank line included; None if it does not."""
    if _CR in source:
        end = re.search(_BLOCK_END, source)
        return None if end is None else end.end()
    position = source.find(b"\n\n")
    return None if position < 0 else position + 2


def _with_lf(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block


def _as_bytes(chunk: Chunk) -> bytes:
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(f"a chunk must be bytes, bytearray or memoryview, not {type(chunk).__name__}")


def check_size(size: object) -> None:
    """Raise `TypeError` or `ValueError` unless this can be a `max_event_size`."""
    if size is None:
        return
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"max_event_size must be an int or None, got {type(size).__name__}")
    if size < 1:
        raise ValueError(f"max_event_size must be at least 1, got {size}")


def _is_dict(state: object) -> TypeGuard[dict[str, object]]:
    return isinstance(state, dict)


def _flag(state: dict[str, object], key: str) -> bool:
    value = state[key]
    if not isinstance(value, bool):
        raise TypeError(f"{key} in a parser's state must be a bool, not {type(value).__name__}")
    return value


def _raw(state: dict[str, object], key: str) -> bytes:
    value = state[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} in a parser's state must be a str, not {type(value).__name__}")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise ValueError(f"{key} in a parser's state must have no character above U+00FF") from exc
