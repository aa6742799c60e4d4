"""Read event streams within other text.

The head of `curl -i` comes before the stream. In other text, lines with a field of an event count and all others do
not. There an `event:` line begins a block, also without a blank line before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from accumulator._formats import PLAIN_TEXT, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEAD_NAME: Final = "an HTTP response with its headers"
NAME: Final = "text with events in it"

_HEAD: Final = re.compile(rb"\AHTTP/\d")
_FIELD: Final = re.compile(rb"\s*(?:event|data|id|retry):")
_BLOCK: Final = re.compile(rb"(?m)^[ \t]*event: ?[\w.]+[ \t]*\r?\n[ \t]*data:")
_UNPARTED: Final = "events without a blank line between them"
_LOOSE: Final = frozenset({_UNPARTED, PLAIN_TEXT, "log lines with events in them"})
"""What `describe` says of text that may have events in it."""


def begins_like_a_head(start: bytes) -> bool:
    """Whether text is a response with its headers."""
    return _HEAD.match(start) is not None


def read_behind_head(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of the body of a response. There may be several heads, as of a redirect."""
    in_head, last = True, b""
    for line in lines:
        if in_head:
            in_head = bool(line.strip(b"\r\n"))
        elif not last.strip(b"\r\n") and _HEAD.match(line):
            in_head = True
        else:
            yield line
        last = line


def begins_like_loose_text(start: bytes) -> bool:
    """Whether text has events in it that an event stream would not have so."""
    name = describe(start)
    return name == _UNPARTED or (name in _LOOSE and _BLOCK.search(start) is not None)


def read_loose_text(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of the events, with a blank line between two of them."""
    in_block = False
    for line in lines:
        stripped = line.strip()
        if _FIELD.match(line):
            if in_block and stripped.startswith(b"event:"):
                yield b"\n"
            in_block = True
            yield stripped + b"\n"
        elif not stripped and in_block:
            in_block = False
            yield b"\n"
    if in_block:
        yield b"\n"
