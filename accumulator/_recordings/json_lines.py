"""Read JSON lines: one object `{"event": NAME, "data": ...}` a line, as the SDK for Node and many programs write.

The data of an event is what `data` is, as it is written there. If it is a text, that may be the data itself: it is if
the line has `"raw": true`, or if the text is `[DONE]`, or a JSON object or array.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

from accumulator._recordings.stored import BOM, frame, member, parse_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME: Final = "JSON lines of events"
_MARK: Final = "[DONE]"
_EVENT: Final = re.compile(rb'\{\s*"event"\s*:\s*"[^"\\]{1,100}"\s*,\s*"data"\s*:')
"""The beginning of a line that is longer than what is looked at."""


def begins_like_json_lines(start: bytes) -> bool:
    """Whether the first line is an event."""
    line, end, _ = start.lstrip().partition(b"\n")
    return read_event(line) is not None if end else _EVENT.match(line) is not None


def read_json_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each line as an event stream has it. A line that is no event becomes a line of data that cannot be read."""
    for line in lines:
        if line.strip():
            event = read_event(line)
            yield frame("", line.decode("utf-8", "replace").strip()) if event is None else event


class _Written(msgspec.Struct):
    """A line, with its data as it is written."""

    data: msgspec.Raw


def read_event(line: bytes) -> bytes | None:
    """Return an event as an event stream has it; None if the line is none."""
    value = parse_document(line)
    name, data, raw = member(value, "event"), member(value, "data"), member(value, "raw")
    if not isinstance(name, str) or not isinstance(value, dict) or "data" not in value or "\n" in name or "\r" in name:
        return None
    if not isinstance(data, str) or not (raw is True or data == _MARK or _is_json(data)):
        data = _as_written(line, data)
    return frame(name, data.replace("\r", " "))


def _as_written(line: bytes, data: object) -> str:
    try:
        return bytes(msgspec.json.decode(line.removeprefix(BOM), type=_Written).data).decode()
    except (msgspec.DecodeError, UnicodeError):  # as what older versions wrote for a number that is too large
        return json.dumps(data)


def _is_json(text: str) -> bool:
    return text[:1] in "{[" and parse_document(text.encode("utf-8", "replace")) is not None
