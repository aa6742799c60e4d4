"""Read JSON lines: one object `{"event": NAME, "data": ...}` a line, as the SDK for Node and many programs write."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from accumulator._recordings.stored import frame, member, parse_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME: Final = "JSON lines of events"
_MARK: Final = "[DONE]"
_EVENT: Final = re.compile(rb'\{\s*"event"\s*:\s*"[^"\\]{1,100}"\s*,\s*"data"\s*:')
"""The beginning of a line that is longer than what is looked at."""


def begins_like_json_lines(start: bytes) -> bool:
    """Whether the first line is an event."""
    line, end, _ = start.lstrip().partition(b"\n")
    return _event(line) is not None if end else _EVENT.match(line) is not None


def read_json_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each line as an event stream has it. A line that is no event becomes a line of data that cannot be read."""
    for line in lines:
        if line.strip():
            event = _event(line)
            yield frame("", line.decode("utf-8", "replace").strip()) if event is None else event


def _event(line: bytes) -> bytes | None:
    value = parse_document(line)
    name, data = member(value, "event"), member(value, "data")
    if not isinstance(name, str) or not isinstance(value, dict) or "data" not in value or "\n" in name or "\r" in name:
        return None
    text = data if isinstance(data, str) and (data == _MARK or _is_json(data)) else json.dumps(data)
    return frame(name, text.replace("\r", " "))


def _is_json(text: str) -> bool:
    return text[:1] in "{[" and parse_document(text.encode("utf-8", "replace")) is not None
