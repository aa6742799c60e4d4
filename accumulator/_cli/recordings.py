"""What the commands for recordings share: the recordings, what cannot be read of them, and how one is played."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accumulator import RecordingError, open_recordings
from accumulator._cli.output import print_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import click

    from accumulator import Recording
    from accumulator._cli.reading import Reading


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


def finite(_context: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    """Return the value of an option. Raise `click.BadParameter` if it is no finite number."""
    if value is not None and not math.isfinite(value):
        import click

        raise click.BadParameter(f"expected a finite number, got {value}.")
    return value


def play(reading: Reading, name: str, source: object) -> int:
    """Show a run while it comes, and return the exit status. After Ctrl-C show what came, and raise it again."""
    reading.play(name, source)
    reading.show()
    if reading.interrupted:
        raise KeyboardInterrupt
    return reading.status
