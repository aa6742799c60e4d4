r"""What the commands print: results on standard output, everything else on standard error.

Text of a stream never reaches a terminal raw. On both outputs, control, format and line-separating characters and lone
surrogates are written as `\uXXXX`; a parser of the JSON gets the same text. Other non-ASCII stays.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import unicodedata


class _Escapes(dict[int, str]):
    """A table for `str.translate` that decides about each character when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            units = character.encode("utf-16-be", "surrogatepass").hex()
            character = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        self[code] = character
        return character


_ESCAPES = _Escapes()


def print_json(value: object) -> None:
    """Print JSON on a line: UTF-8 whatever the locale, as JSON is."""
    if sys.stdout is None:
        raise closed()
    # Only the JSON's strings can hold a character to escape.
    line = _printable(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) + "\n"
    rest = memoryview(line.encode())
    while rest:
        # With PYTHONUNBUFFERED this is a raw file: it may take only a part, and nothing if it does not block.
        written = sys.stdout.buffer.write(rest)
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[written:]


def flush() -> None:
    """Write what was printed, so that it comes before the next line on standard error, and a failure comes now."""
    if sys.stdout is not None:
        sys.stdout.flush()


def tell(line: str) -> None:
    """Write a line to standard error, if there is one; its encoding escapes what it does not have."""
    if sys.stderr is not None:
        sys.stderr.write(f"{_printable(line)}\n")
        sys.stderr.flush()


def closed() -> OSError:
    """Make the error of a standard stream that was closed before the start."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def discard_outputs() -> None:
    """Point both outputs at nothing: the interpreter flushes them at exit, which would fail or block again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _printable(text: str) -> str:
    return text.translate(_ESCAPES)
