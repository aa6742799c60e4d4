"""Read HAR files: those of browsers, of mitmproxy and of Polly.js.

The body is `content.text`, in base64 where `encoding` says so. Where the type names no charset, mitmproxy and browsers
take its bytes for Latin-1, while an event stream is always UTF-8 (WHATWG HTML, section 9.2.6). Chrome has the events
with their times instead, in `_eventSourceMessages`. Polly writes a packed body as a JSON list of pieces in base64.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from accumulator._errors import RecordingError
from accumulator._recordings.format import RecordedChunk
from accumulator._recordings.stored import (
    StoredBody,
    events_of,
    frame,
    from_base64,
    member,
    members,
    parse_document,
    to_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "a HAR file"

_UNUSED: Final = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})
_LATIN_1: Final = {ord(bytes([byte]).decode("cp1252")): byte for byte in {*range(0x80, 0xA0)} - _UNUSED}
"""What browsers read bytes of Latin-1 as (WHATWG Encoding, windows-1252), where that is something else."""


def is_har(document: object) -> bool:
    """Whether a document is a HAR file."""
    return isinstance(member(document, "log", "entries"), list)


def read_har(document: object) -> list[StoredBody]:
    """Return the bodies of a HAR file that are event streams.

    Raises:
        RecordingError: there is none, or their contents were left out.

    """
    entries = members(member(document, "log", "entries"))
    bodies = list(map(_body, entries))
    if not any(body.is_events for body in bodies) and any(map(_is_empty, entries)):
        raise RecordingError(f"{NAME} that lacks the contents of its event streams: export it with content")
    return events_of(NAME, bodies)


def _is_empty(entry: object) -> bool:
    kind = member(entry, "response", "content", "mimeType")
    text = member(entry, "response", "content", "text")
    return isinstance(kind, str) and "event-stream" in kind and not text


def _body(entry: object) -> StoredBody:
    response = member(entry, "response")
    content = member(response, "content")
    text, kind = member(content, "text"), member(content, "mimeType")
    if not isinstance(text, str):
        data = b""
    elif member(content, "encoding") == "base64":
        data = _from_pieces(text)
    else:
        data = to_bytes(text) if "charset" in str(kind) else _from_latin_1(text)
    body = StoredBody.of(
        data,
        url=member(entry, "request", "url"),
        method=member(entry, "request", "method"),
        status=member(response, "status"),
        type=kind,
        recorded_at=member(entry, "startedDateTime"),
    )
    chunks = tuple(_messages(entry))
    return StoredBody(body.response, chunks) if chunks else body


def _from_latin_1(text: str) -> bytes:
    """Return the bytes of a text whose type names no charset: it may have been taken for Latin-1, and was UTF-8."""
    try:
        data = text.translate(_LATIN_1).encode("latin-1")
        data.decode()
    except UnicodeError:
        return to_bytes(text)
    return data


def _from_pieces(text: str) -> bytes:
    if text.startswith("["):
        pieces = members(parse_document(text.encode("utf-8", "replace")))
        return b"".join(from_base64(piece) for piece in pieces if isinstance(piece, str))
    return from_base64(text)


def _messages(entry: object) -> Iterator[RecordedChunk]:
    """Yield the events that Chrome noted. Their times are counted from the start of the request."""
    messages = members(member(entry, "_eventSourceMessages"))
    times = [time for each in messages if isinstance(time := member(each, "time"), (int, float))]
    began = _seconds(member(entry, "startedDateTime"))
    began = began if began is not None and times and began <= times[0] else next(iter(times), 0.0)
    for each in messages:
        name, data, ident = (str(member(each, key) or "") for key in ("eventName", "data", "eventId"))
        time = member(each, "time")
        seconds = max(0.0, round(time - began, 6)) if isinstance(time, (int, float)) else None
        yield RecordedChunk(seconds, frame(name, data, ident))


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
