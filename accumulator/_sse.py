"""Parse bytes into server-sent events (WHATWG HTML, section 9.2), incrementally and in bounded memory.

Line ends and field names are ASCII. Therefore the parser works on bytes, and decodes only the text of an event.

A *block* is the lines before a blank line. The standard makes one event, or none, of each block. Between two chunks the
parser keeps the raw bytes of the unfinished block (`_held`) and the last event id; after a `LimitError`, `feed` also
keeps the events that it has not returned yet. The rules for blocks are:

- Line ends before a block are blank lines without effect, and are dropped. This also drops the LF of a CRLF whose CR
  ended the block before, even if the LF is in the next chunk.
- A block ends where a line end follows a line end. An end that a chunk completes begins at most two bytes before the
  chunk (CR LF, then a line end). So the search for the end of an unfinished block reads only the chunk and
  two bytes, and the cost of parsing is linear in the bytes, however the stream is cut.
- The size of a block is the number of its bytes, with all its line ends but the blank line.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from io import BytesIO
from typing import NamedTuple, Self, TypeAlias, TypeGuard

from accumulator._errors import LimitError

DEFAULT_MAX_EVENT_SIZE = 32 * 1024 * 1024
"""32 MiB, a guard against a server that never ends an event. Most events are smaller than 100 kB, but an event with an
image as base64 had more than 8 MiB. Four times that fits into the memory of any process."""

DEFAULT_NAME = "message"
"""The name that WHATWG HTML (section 9.2.6) gives to an event sent without a name."""

_BOM = b"\xef\xbb\xbf"
_BLOCK_END = rb"(\r\n?+|\n)(?:\r\n?|\n)"
"""The line end of the last line of a block (group 1), and the blank line. `?+` is possessive: it never gives back the
LF of a CRLF, which would be taken for a blank line."""

_LF, _CR = b"\n\r"
"""Line ends as numbers: `number in data` is ten times as fast as `byte in data`."""

_OVERLAP = 2
"""The number of bytes before a chunk that can belong to the end of a block that the chunk completes."""

_LONGEST_NAME = 128
"""The most bytes of an event name that the parser remembers. Each chunk costs a copy of it, so a name of megabytes
would make each chunk slow. The longest name of the API has 27 bytes."""
FOREIGN_SIZE = 2_048
"""The most bytes that `SSEParser.foreign` keeps: the first lines of a page, or the error object of an API."""

_FIELDS = (b"data", b"event", b"id", b"retry")
_FIELD_LINE = rb"(?m)^(?:" + b"|".join(_FIELDS) + rb")(?::|$)"
_NO_COMMENT = rb"(?m)^[^:\n]"

_RETRY_DIGITS = sys.int_info.str_digits_check_threshold
"""The lowest limit that can be set for the digits of an int: 640. Up to it `int` is fast and never raises."""


class ServerSentEvent(NamedTuple):
    """A server-sent event."""

    event: str = DEFAULT_NAME
    """The name of the event; "message" if the server sent no name."""
    data: str = ""
    """The values of the data lines, joined by LF."""
    id: str = ""
    """The last event id of the stream, set by this event or an earlier block; "" if none was set."""
    retry: int | None = None
    """The reconnection time that this event sets, in milliseconds; None if it sets none."""


Frame: TypeAlias = tuple[bytes, bytes, bytes, int | None]
"""An event as bytes: its name (b"" if the server sent no name), its data, the last event id, and `retry`."""

Item: TypeAlias = Frame | LimitError
"""A frame, or the error that stands for an event that is too large."""

Chunk: TypeAlias = bytes | bytearray | memoryview


class SSEParser:
    """Parse server-sent events from chunks of bytes, cut anywhere.

    The events do not depend on the cuts. An event is returned by the call that gets the first byte of the blank line
    after the event. The cost is linear in the bytes. Between calls the parser keeps at most `max_event_size` bytes of
    an unfinished event, and the last event id; after a `LimitError` also the events that were not returned yet.

    The size of an event is the number of bytes of its lines with their line ends. Comments and unknown fields count,
    the blank line does not.

    Attributes:
        foreign: the foreign blocks since the last event, joined by blank lines, at most `FOREIGN_SIZE` bytes. A foreign
            block has lines that are no comments, and none of them is a field of the standard. Such a block means
            nothing in an event stream. In the place of one it may be an error or a page.

    """

    def __init__(self, *, max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE) -> None:
        """Start with no bytes.

        Args:
            max_event_size: the most bytes of one event, at least 1; None turns the limit off.

        Raises:
            TypeError: `max_event_size` is neither an int nor None.
            ValueError: `max_event_size` is less than 1.

        """
        check_size(max_event_size)
        self._maximum = sys.maxsize if max_event_size is None else max_event_size
        self._pending: deque[Item] = deque()
        self._reset()

    def _reset(self) -> None:
        self._held = bytearray()  # the unfinished block; if skipped, its last two bytes; at the start, part of a BOM
        self._id = b""
        self._name = b""  # that of the last plain block before the last call, unless that was long; see `_split`
        self._start = _plain_start(b"")  # how such a block starts, behind the blank line of the one before
        self._first = self._start[2:]  # the same without the blank line
        self._fresh = True  # whether a byte-order mark may still follow
        self._skipping = False  # whether the unfinished block is too large
        self.foreign: bytes = b""
        self._foreign_at = 0  # the number of items of this call before the last foreign block

    def feed(self, chunk: Chunk) -> list[ServerSentEvent]:
        """Return the events that this chunk completes, in order. Invalid UTF-8 reads as U+FFFD, as in the standard.

        Raises:
            LimitError: an event is larger than `max_event_size`. Its `events` are the events of this call before that
                one. The events after it are kept: `feed(b"")` returns them.
            TypeError: the chunk is not bytes, a bytearray or a memoryview.

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
        """End the stream, and return the event of the unfinished block, or None if the block has no data.

        The last line of the block counts even if it is cut off. The standard discards an unfinished block; to do the
        same, ignore the result. Afterwards the parser is as new, and can parse another stream.

        Raises:
            RuntimeError: events are kept after a `LimitError`; call `feed(b"")` first.

        """
        rest = self.rest()
        return _decoded(rest) if isinstance(rest, tuple) else None

    def push(self, chunk: Chunk) -> list[Item]:
        """Return the frames that this chunk completes, in order, with a `LimitError` for each event that is too large.

        The error is returned as soon as the event is too large, even if the chunk does not complete it. The rest of the
        event is skipped.
        """
        source = chunk if type(chunk) is bytes else as_bytes(chunk)
        held, first, last = self._held, self._first, len(source) - 1
        if (
            source.find(b"\n", len(first)) == last - 1
            and source[-1:] == b"\n"
            and source.startswith(first)
            and not (held or self._fresh or self.foreign or _CR in source)
            and last <= self._maximum
        ):  # one plain block, as most chunks of a live stream; what follows comes to the same
            return [(self._name, source[len(first) : -2], self._id, None)]
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
        """End the stream, and return what is left of it. Afterwards the parser is as new.

        The result depends on the unfinished block, whose last line counts even if it is cut off:

        - It has a data field: its frame.
        - It has no data field, but a line that is not a comment: its raw bytes.
        - It has nothing but comments, or was too large, or there is no unfinished block: None.
        """
        self._check_settled()
        held, skipping = bytes(self._held), self._skipping
        frame = None if skipping else self._parse(_with_lf(held))
        self._reset()
        if frame is not None or skipping:
            return frame
        return held if any(not line.startswith(b":") for line in BytesIO(_with_lf(held))) else None

    @property
    def unfinished(self) -> bytes:
        """The bytes of the unfinished block that are kept."""
        return bytes(self._held)

    def state(self) -> dict[str, object]:
        """Return the state of the parser as JSON values, for `from_state`.

        Bytes are stored as text, with one character from U+0000 to U+00FF for each byte.

        Raises:
            RuntimeError: events are kept after a `LimitError`; call `feed(b"")` first.

        """
        self._check_settled()
        return {
            "fresh": self._fresh,
            "skipping": self._skipping,
            "held": self._held.decode("latin-1"),
            "id": self._id.decode("latin-1"),
            **({"foreign": self.foreign.decode("latin-1")} if self.foreign else {}),
        }

    @classmethod
    def from_state(cls, state: object, *, max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE) -> Self:
        """Return a parser with the state that `state` returned.

        Raises:
            TypeError: the state is not a dict, or a value in it has the wrong type.
            ValueError: a parser with this `max_event_size` cannot have the state.

        """
        parser = cls(max_event_size=max_event_size)
        if not _is_dict(state):
            raise TypeError(f"a parser's state must be a dict, not {type(state).__name__}")
        if state.keys() - {"foreign"} != {"fresh", "skipping", "held", "id"}:
            raise ValueError("a parser's state must have the keys fresh, skipping, held and id, and no others")
        parser._fresh = _flag(state, "fresh")
        parser._skipping = _flag(state, "skipping")
        parser._held = bytearray(_raw(state, "held"))
        parser._id = _raw(state, "id")
        parser.foreign = _raw(state, "foreign") if "foreign" in state else b""
        parser._check_state()
        return parser

    def _check_state(self) -> None:
        """Raise `ValueError` if no sequence of calls of `push` leads to the current state."""
        held = bytes(self._held)
        if self._fresh:
            possible = held != _BOM and _BOM.startswith(held) and not (self._skipping or self._id or self.foreign)
        elif self._skipping:
            possible = len(held) == _OVERLAP and _block_end(held) is None
        else:
            possible = held[:1] not in {b"\r", b"\n"} and _block_end(held) is None
            possible = possible and len(held) <= self._maximum
        if not possible or re.search(rb"[\0\r\n]", self._id) or len(self.foreign) > FOREIGN_SIZE:
            raise ValueError(f"no parser with max_event_size={self._maximum} can be in this state")

    def _check_settled(self) -> None:
        if self._pending:
            raise RuntimeError('events are pending after a LimitError: call feed(b"") until it returns')

    def _without_bom(self, source: bytes) -> bytes:
        """Return the bytes without a byte-order mark at the start of the stream. Keep bytes that may be part of one."""
        start = bytes(self._held) + source
        self._fresh = start != _BOM and _BOM.startswith(start)
        self._held = bytearray(start if self._fresh else b"")
        return start.removeprefix(_BOM)

    def _split(self, source: bytes) -> list[Item]:
        """Return the items of all finished blocks in bytes without CR, and keep the unfinished block.

        Nearly every block is *plain*: it has the line `data: ...`, behind a line `event: NAME` or without one, and
        nothing else. Often many plain blocks with one name, or with none, follow each other. So bytes that begin like
        the last plain block are split, in one call of `bytes.split`, at the start of each block that begins so. A piece
        without LF is the data of one plain block. Any other piece has more lines or more blocks. It is parsed block by
        block, and so are all other bytes.
        """
        end = source.rfind(b"\n\n")
        self._held += source[end + 2 :].lstrip(b"\n") if end >= 0 else source
        items: list[Item] = []
        if end < 0:
            return items
        name, start, all_fit = self._name, self._start, end < self._maximum
        if not source.startswith(self._first):
            self._add_blocks(items, source[:end])
            return items
        for data in source[len(start) - 2 : end].split(start):
            if all_fit and _LF not in data:
                items.append((name, data, self._id, None))
            else:
                self._add_blocks(items, start + data)
        return items

    def _add_blocks(self, items: list[Item], source: bytes) -> None:
        """Add the items of one or more blocks without CR. A plain block needs no loop over its lines."""
        last_id, maximum, name = self._id, self._maximum, self._name
        for block in source.split(b"\n\n"):
            first, colon, data = block.partition(b"\ndata: ")
            if len(block) < maximum and _LF not in data and _LF not in first:
                if colon and first[:7] == b"event: ":
                    items.append((name := first[7:], data, last_id, None))
                    continue
                if not colon and first[:6] == b"data: ":
                    items.append((name := b"", first[6:], last_id, None))
                    continue
            if lines := block.strip(b"\n"):
                self._add(items, lines, len(lines) + 1)
                last_id = self._id
        if name is not self._name and len(name) <= _LONGEST_NAME:
            self._name, self._start = name, _plain_start(name)
            self._first = self._start[2:]

    def _mixed(self, source: bytes) -> list[Item]:
        """Return the items of all finished blocks in bytes with any line ends, and keep the unfinished block."""
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
        """Add the item of a block: a frame, an error if the block is too large, or nothing if it has no data."""
        if size > self._maximum:
            items.append(self.too_large())
        elif (frame := self._parse(block)) is not None:
            items.append(frame)
        elif re.search(_NO_COMMENT, block) and not re.search(_FIELD_LINE, block):
            if len(items) > self._foreign_at:
                self.foreign = b""  # an event came since
            self._foreign_at = len(items)
            self.foreign = (self.foreign and self.foreign + b"\n\n") + block.rstrip(b"\n")
            self.foreign = self.foreign[:FOREIGN_SIZE]

    def _bounded(self, items: list[Item]) -> list[Item]:
        """Return the items; if the unfinished block is already too large, skip the block and add its error."""
        if self._skipping or len(self._held) > self._maximum:
            if not self._skipping:
                items.append(self.too_large())
            self._skipping = True
            self._held = self._held[-_OVERLAP:]
        if self.foreign:
            if len(items) > self._foreign_at:
                self.foreign = b""  # an event came since
            self._foreign_at = 0
        return items

    def too_large(self) -> LimitError:
        """Return the error for an event that is too large."""
        message = f"expected events of at most {self._maximum} bytes (max_event_size), got a larger one; it is left out"
        return LimitError(message, limit="max_event_size", maximum=self._maximum)

    def _parse(self, block: bytes) -> Frame | None:
        """Return the frame of a block whose line ends are all LF (section 9.2.6); None if it has no data field.

        An id becomes the last event id even if the block has no data.
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


def may_have_field(block: bytes) -> bool:
    """Return whether a block that is cut off has a field of the standard, or may end in the beginning of one."""
    block = _with_lf(block)
    last = block[block.rfind(b"\n") + 1 :]
    return re.search(_FIELD_LINE, block) is not None or (last != b"" and any(name.startswith(last) for name in _FIELDS))


def _plain_start(name: bytes) -> bytes:
    """Return the end of a block, followed by the start of a plain block with this name or none, up to its data."""
    return b"\n\nevent: " + name + b"\ndata: " if name else b"\n\ndata: "


def _decoded(frame: Frame) -> ServerSentEvent:
    name, data, ident, retry = frame
    return ServerSentEvent(
        event=name.decode("utf-8", "replace") or DEFAULT_NAME,
        data=data.decode("utf-8", "replace"),
        id=ident.decode("utf-8", "replace"),
        retry=retry,
    )


def _block_end(source: bytes) -> int | None:
    """Return the position after the blank line of the first block; None if the block is unfinished."""
    if _CR in source:
        end = re.search(_BLOCK_END, source)
        return None if end is None else end.end()
    position = source.find(b"\n\n")
    return None if position < 0 else position + 2


def _with_lf(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block


def as_bytes(chunk: Chunk) -> bytes:
    """Return a chunk as bytes. Raise `TypeError` if it is none."""
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(f"a chunk must be bytes, bytearray or memoryview, not {type(chunk).__name__}")


def check_size(size: object, name: str = "max_event_size") -> None:
    """Raise `TypeError` or `ValueError` unless the value is valid as a limit with this name."""
    if size is None:
        return
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"{name} must be an int or None, got {type(size).__name__}")
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")


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
