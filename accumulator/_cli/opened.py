"""Open a file as an event stream, whatever format it is in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from accumulator import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from accumulator import Recording

_BETWEEN_BODIES = b"\n\n"
"""What ends an event that a body was cut within, so that the next body does not go on with it."""


def open_events(name: str) -> BufferedReader:
    """Open a file. That of another tool is read as the event stream in it; one in no known format as it is.

    Raises:
        OSError: the file cannot be read.

    """
    file = Path(name).open("rb")  # noqa: SIM115 - the caller closes it
    try:
        if Path(name).is_file():
            start = file.peek(1)
            if start and not _is_stream(file):
                recording = _find(name)
                if recording is not None:
                    file.close()
                    return io.BufferedReader(_Events(recording))
    except BaseException:
        file.close()
        raise
    return file


def holds_events(name: str) -> bool:
    """Whether a file is an event stream, or holds one in a known format. Raise `OSError` if it cannot be read."""
    with Path(name).open("rb") as file:
        return _is_stream(file) or (bool(file.peek(1)) and _find(name) is not None)


def _is_stream(file: BufferedReader) -> bool:
    """Whether a file is an event stream as it is. The file stays at its beginning."""
    from accumulator._recordings.formats import START_SIZE, find_stream_format

    format_ = find_stream_format(file.read(START_SIZE))
    file.seek(0)
    return format_ is not None and format_.read is None


def _find(name: str) -> Recording | None:
    from accumulator._recordings.recordings import find_recording

    try:
        return find_recording(name)
    except RecordingError:
        return None


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
