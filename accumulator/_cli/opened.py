"""Open a file as an event stream, whatever format it is in."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from accumulator import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from accumulator import Recording

_BETWEEN_BODIES = b"\n\n"
"""What ends an event that a body was cut within, so that the next body does not go on with it."""


class Part(NamedTuple):
    """What is read of a file.

    Attributes:
        name: the path of the file, with `#2` behind it for the second recording in it, and so on; or "-".
        recording: the recording of it that is read; None to read the file as it is.

    """

    name: str
    recording: Recording | None = None

    def open(self) -> BufferedReader:
        """Open the event stream. Raise `OSError` if the file cannot be read."""
        return Path(self.name).open("rb") if self.recording is None else io.BufferedReader(_Events(self.recording))


def find_parts(name: str, *, follow: bool = False) -> list[Part]:
    """Return the parts of a file: each recording if a run begins in it more than once, else one.

    A pipe is read as it is, and so is an event stream. With `follow` a file in no known format is, too: its beginning
    may not be written yet.

    Raises:
        OSError: the file cannot be read.
        RecordingError: it is no event stream, and has none in a known format.

    """
    if not Path(name).is_file():
        return [Part(name)]
    with Path(name).open("rb") as file:
        as_it_is, is_empty = _is_stream(file), not file.peek(1)
    if is_empty or (as_it_is and follow):
        return [Part(name)]
    try:
        found = _find(name)
    except RecordingError:
        if as_it_is or follow:
            return [Part(name)]
        raise
    return [Part(name)] if as_it_is and len(found) == 1 else [Part(each.name, each) for each in found]


def open_events(name: str) -> BufferedReader:
    """Open a file. That of another tool is read as the event stream in it.

    Raises:
        OSError: the file cannot be read.
        RecordingError: it is no event stream, and has none in a known format.

    """
    with Path(name).open("rb") as file:
        as_it_is = _is_stream(file)
    return (Part(name) if as_it_is else Part(name, _find(name)[0])).open()


def holds_events(name: str) -> bool:
    """Whether a file is an event stream, or holds one in a known format. Raise `OSError` if it cannot be read."""
    with suppress(RecordingError), open_events(name):
        return True
    return False


def _is_stream(file: BufferedReader) -> bool:
    """Whether a file is an event stream as it is. The file stays at its beginning."""
    from accumulator._recordings.formats import START_SIZE, find_stream_format

    format_ = find_stream_format(file.read(START_SIZE))
    file.seek(0)
    return format_ is not None and format_.read is None


def _find(name: str) -> list[Recording]:
    from accumulator._recordings.recordings import find_recordings

    return find_recordings(name)


class _Events(io.RawIOBase):
    """The event stream in a recording, as a file."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._pieces = self._all(recording)
        self._rest = b""

    @staticmethod
    def _all(recording: Recording) -> Iterator[bytes]:
        for number, body in enumerate(recording.bodies):
            if number:
                yield _BETWEEN_BODIES
            yield from body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what `BufferedReader` gives
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
