r"""Print results to standard output and everything else to standard error; handle closed standard streams.

Text of an event never reaches a terminal unescaped. On both outputs, control characters, format characters, line
separators and lone surrogates are written as `\uXXXX`. Other non-ASCII characters are written unchanged. A JSON parser
reads the original text.
"""

from __future__ import annotations

import errno
import json
import os
import sys

from accumulator._json import printable


def print_json(value: object) -> None:
    """Print a value as JSON on one line, in UTF-8 whatever the locale is."""
    if sys.stdout is None:
        raise closed_stream_error()
    # Only the strings of the JSON can contain a character to escape, and `\uXXXX` is an escape of JSON too.
    line = printable(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) + "\n"
    rest = memoryview(line.encode())
    while rest:
        # With PYTHONUNBUFFERED this is a raw file: it may write only a part, or nothing if it is non-blocking.
        written = sys.stdout.buffer.write(rest)
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
