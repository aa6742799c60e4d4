"""What the commands that read recordings share: the recordings, and what cannot be read, told on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator import RecordingError, open_recordings
from accumulator._cli.output import print_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from accumulator import Recording


class Recordings:
    """The recordings in files. What cannot be read is told behind the others.

    Attributes:
        failed: whether a file could not be read.

    """

    def __init__(self, files: Sequence[str], *, apart: bool = False) -> None:
        """Store the names of files, folders and patterns."""
        self.failed = False
        self._files = files
        self._apart = apart

    def __iter__(self) -> Iterator[Recording]:
        try:
            yield from open_recordings(*self._files, apart=self._apart)
        except RecordingError as error:
            self.failed = True
            for name, reason in error.files.items() or [("accumulator", str(error))]:
                print_to_stderr(f"{name}: expected a recording, got {reason}")
