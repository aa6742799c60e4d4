r"""Print results to standard output and everything else to standard error; handle closed standard streams.

Text of an event never reaches a terminal unescaped. On both outputs, control characters, format characters, line
separators and lone surrogates are written as `\uXXXX`. Other non-ASCII characters are written unchanged. A JSON parser
reads the original text. Where lines are for people, they are as `printable_lines` has them.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from contextlib import nullcontext
from typing import BinaryIO

from accumulator._cli.interrupts import allowed
from accumulator._display import printable_lines
from accumulator._json import printable

UNUSABLE = 2
"""The exit status for an input, an argument or an output that cannot be used."""

_TAB_SIZE = 4


def print_json(value: object) -> None:
    """Print a value as JSON on one line, in UTF-8 whatever the locale is."""
    # Only the strings of the JSON can contain a character to escape, and `\uXXXX` is an escape of JSON too.
    write_bytes((printable(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) + "\n").encode())


def write_bytes(data: bytes) -> None:
    """Write all of the bytes to standard output. May raise `OSError`."""
    if sys.stdout is None:
        raise closed_stream_error()
    with nullcontext() if sys.stdout.isatty() else allowed():  # nobody may read a pipe
        _write(sys.stdout.buffer, data)


def _write(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        # With PYTHONUNBUFFERED this is a raw file: it may write only a part, or nothing if it is non-blocking.
        written = file.write(rest)
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[written:]


def flush() -> None:
    """Flush standard output, so that its lines precede the next line of standard error. May raise `OSError`."""
    if sys.stdout is not None:
        sys.stdout.flush()


def print_to_stderr(line: str) -> None:
    """Print a line to standard error, if it is open. Characters that its encoding lacks are escaped."""
    if sys.stderr is not None:
        sys.stderr.write(f"{printable(line)}\n")
        sys.stderr.flush()


def closed_stream_error() -> OSError:
    """Make the error for a standard stream that was closed before the process started."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def discard_outputs() -> None:
    """Redirect both outputs to the null device, because the flush at exit would fail or block again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class TextOutput:
    """Standard output as a text file. A terminal gets its own encoding, anything else UTF-8 whatever the locale is."""

    @property
    def encoding(self) -> str:
        """The encoding of what is written. Characters that it lacks are escaped."""
        return sys.stdout.encoding if self.isatty() else "utf-8"

    def isatty(self) -> bool:
        """Whether standard output is a terminal."""
        return sys.stdout is not None and sys.stdout.isatty()

    def write(self, text: str) -> int:
        """Write all of the text. May raise `OSError`."""
        write_bytes(text.encode(self.encoding, "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Flush standard output. May raise `OSError`."""
        flush()


def displayable(text: str) -> str:
    """Return text as people read it on several lines, with tabs as blanks."""
    return printable_lines(text).expandtabs(_TAB_SIZE)


class Typewriter:
    """Makes a text that comes in pieces displayable, piece by piece. Tabs are left to the terminal."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, piece: str) -> str:
        """Return what can be shown now: half a line end or half a character waits for the next piece."""
        text = self._held + piece
        self._held = text[-1:] if _HALF.match(text[-1:]) else ""
        return printable_lines(text[: len(text) - len(self._held)])

    def end(self) -> str:
        """Return what waits."""
        rest, self._held = self._held, ""
        return printable_lines(rest)


_HALF = re.compile("[\r\ud800-\udbff]")
