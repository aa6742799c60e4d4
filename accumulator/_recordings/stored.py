"""What a file holds of a body, and how the bytes of a body are written in documents."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from accumulator._errors import RecordingError
from accumulator._formats import begins_like_events
from accumulator._recordings.format import RecordedChunk
from accumulator._streams.unpack import Unpacker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LARGEST_DOCUMENT: Final = 536_870_912
"""The bytes of a file that has to be read whole, and of a body that is unpacked."""

_GZIP: Final = b"\x1f\x8b"
BOM: Final = b"\xef\xbb\xbf"


class StoredBody(NamedTuple):
    """A body that a document holds.

    Attributes:
        response: what the document says of the response, with the names of the recording format.
        chunks: its bytes, with times where there are any.

    """

    response: dict[str, object]
    chunks: tuple[RecordedChunk, ...]

    @classmethod
    def of(cls, data: bytes, **response: object) -> StoredBody:
        """Return a body without times. Bytes of gzip are unpacked, whatever the headers say."""
        known: dict[str, object] = {name: value for name, value in response.items() if isinstance(value, (str, int))}
        return cls(known, (RecordedChunk(None, unpacked(data)),))

    @property
    def is_events(self) -> bool:
        """Whether the body is an event stream."""
        return bool(begins_like_events(b"".join(data for _, data in self.chunks[:8])[:4096]))


def unpacked(data: bytes) -> bytes:
    """Return the data, without the coding if it is gzip."""
    if not data.startswith(_GZIP):
        return data
    pieces, size = list[bytes](), 0
    try:
        for piece in Unpacker("gzip").unpack(data):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_DOCUMENT:
                raise RecordingError(f"expected a body of at most {LARGEST_DOCUMENT} bytes, got a larger one in gzip")
    except zlib.error:
        return data
    return b"".join(pieces)


def from_base64(text: str) -> bytes:
    """Return what base64 stands for.

    Raises:
        RecordingError: the text is not base64.

    """
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise RecordingError(f"expected base64 in a body, got {text[:40]!r}") from error


def to_bytes(text: object) -> bytes:
    """Return text as UTF-8, bytes as they are, and nothing for anything else.

    Python writes bytes that are not UTF-8 as lone surrogates, and mitmproxy lets them through.
    """
    if not isinstance(text, str):
        return text if isinstance(text, bytes) else b""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def parse_document(data: bytes) -> object:
    """Return the value of a JSON text, None if it is none."""
    try:
        return cast("object", json.loads(data.removeprefix(BOM)))
    except (ValueError, RecursionError):
        return None


def member(value: object, *names: str | int) -> object:
    """Return the value at a path of keys, None where there is none."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = cast("Mapping[object, object]", value).get(name)
    return value


def members(value: object) -> list[object]:
    """Return the entries of a list, none for anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def frame(name: str, data: str, ident: str = "") -> bytes:
    """Return an event as a server sends it."""
    lines = [f"event: {name}"] if name and name != "message" else []
    lines += [f"id: {ident}"] if ident else []
    lines += [f"data: {line}" for line in data.split("\n")]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogatepass")


def events_of(what: str, bodies: Iterable[StoredBody]) -> list[StoredBody]:
    """Return the bodies that are event streams.

    Raises:
        RecordingError: there is none.

    """
    everything = list(bodies)
    found = [body for body in everything if body.is_events]
    if not found:
        count = f"{len(everything)} answer{'' if len(everything) == 1 else 's'}"
        raise RecordingError(f"{what} with {count}, none of them an event stream")
    return found
