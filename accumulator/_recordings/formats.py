"""The formats that are read, told apart by content, in the order in which they are tried.

A stream format is read piece by piece, in constant memory. A document format is read whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from accumulator._errors import RecordingError
from accumulator._formats import BEGINNING_SIZE, begins_like_events, describe
from accumulator._recordings import cassettes, curl_trace, har, json_lines, loose_text, sessions
from accumulator._recordings.format import FIRST
from accumulator._recordings.stored import LARGEST_DOCUMENT, parse_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from accumulator._recordings.stored import StoredBody

START_SIZE: Final = 65_536
"""The bytes at the beginning of a file by which its format is told."""

RECORDING: Final = "a recording"
EVENTS: Final = "an event stream"


class StreamFormat(NamedTuple):
    """A format of one stream, as text.

    Attributes:
        name: what a file in it is.
        begins: whether a file that begins so has it.
        read: yields the event stream from the lines of the file; None if the file is the stream.

    """

    name: str
    begins: Callable[[bytes], bool]
    read: Callable[[Iterable[bytes]], Iterator[bytes]] | None


class DocumentFormat(NamedTuple):
    """A format of several bodies, in one document.

    Attributes:
        name: what a file in it is.
        begins: whether a file that begins so may have it. Formats that begin alike have the same `load`.
        load: returns the value of the file.
        matches: whether the value is in this format.
        read: returns the bodies of the value. It raises `RecordingError` if none is an event stream.

    """

    name: str
    begins: Callable[[bytes], bool]
    load: Callable[[bytes], object]
    matches: Callable[[object], bool]
    read: Callable[[object], list[StoredBody]]


def _is_recording(start: bytes) -> bool:
    return start.startswith(FIRST)


def _is_events(start: bytes) -> bool:
    return begins_like_events(start) is True


def _is_json(start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}


STREAMS: Final = (
    StreamFormat(RECORDING, _is_recording, None),
    StreamFormat(loose_text.HEAD_NAME, loose_text.begins_like_a_head, loose_text.read_behind_head),
    StreamFormat(loose_text.NAME, loose_text.begins_like_loose_text, loose_text.read_loose_text),
    StreamFormat(EVENTS, _is_events, None),
    StreamFormat(json_lines.NAME, json_lines.begins_like_json_lines, json_lines.read_json_lines),
)
"""The stream formats, in the order in which they are tried."""

DOCUMENTS: Final = (
    DocumentFormat(cassettes.NAME, _is_json, parse_document, cassettes.is_cassette, cassettes.read_cassette),
    DocumentFormat(har.NAME, _is_json, parse_document, har.is_har, har.read_har),
    DocumentFormat(sessions.NAME, _is_json, parse_document, sessions.is_session, sessions.read_session),
    DocumentFormat(
        cassettes.NAME,
        cassettes.begins_like_yaml,
        cassettes.load_yaml,
        cassettes.is_cassette,
        cassettes.read_cassette,
    ),
    DocumentFormat(
        curl_trace.NAME,
        curl_trace.begins_like_a_trace,
        curl_trace.load_trace,
        curl_trace.is_trace,
        curl_trace.read_trace,
    ),
)
"""The document formats, in the order in which they are tried, once no stream format is found."""

_HINTS: Final = {
    "a flow file of mitmproxy": "export it as HAR: mitmdump -nr FILE --set hardump=FILE.har",
    "a printed Python dump": "what print() writes is no recording",
}


def find_stream_format(start: bytes) -> StreamFormat | None:
    """Return the stream format of a file that begins so."""
    return next((each for each in STREAMS if each.begins(start)), None)


def read_document(start: bytes, file: BinaryIO) -> list[StoredBody]:
    """Return the bodies of a document, in order.

    Raises:
        RecordingError: the format is not known, the document is larger than `LARGEST_DOCUMENT`, or holds no event
            stream. The message says what the file looks like.

    """
    formats = [each for each in DOCUMENTS if each.begins(start)]
    if not formats:
        raise RecordingError(_looks_like(start))
    data = file.read(LARGEST_DOCUMENT + 1)
    if len(data) > LARGEST_DOCUMENT:
        raise RecordingError(f"a document of more than {LARGEST_DOCUMENT} bytes")
    value = formats[0].load(data)
    found = next((each for each in formats if each.matches(value)), None)
    if found is None:
        raise RecordingError(_looks_like(start))
    return found.read(value)


def _looks_like(start: bytes) -> str:
    """Return what a file looks like that cannot be read, and what would help."""
    if not start.strip():
        return "an empty file"
    name = describe(start[:BEGINNING_SIZE]) or EVENTS
    return f"{name}; {hint}" if (hint := _HINTS.get(name)) else name
