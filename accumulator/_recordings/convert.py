"""Write recordings in another form, and replace what must not be shared."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.streams import accumulate
from accumulator._recordings.format import BodyWriter, body_line, first_line
from accumulator._sse import SSEParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from accumulator._recordings.format import RecordedChunk, Why
    from accumulator._recordings.recordings import RecordedBody, Recording

_FILL: Final = b"x"
_ESCAPE: Final = "surrogateescape"
_ESCAPE_SIZE: Final = len(b"\\u0000")
_WORD: Final = re.compile(rb"[^\s\"\\{}\[\],:]")


class Redaction:
    """Replaces text in bodies by as many `x`, so that lengths, cuts and times stay as they were.

    Quotes, backslashes, brackets, colons, commas and blanks stay, so that JSON stays JSON. A body is redacted as a
    whole: what is cut into several chunks is found too. A text that comes in several deltas is not in one place, and is
    found by its keys only.
    """

    def __init__(self, patterns: Iterable[str] = (), keys: Iterable[str] = ()) -> None:
        """Store what is replaced.

        Args:
            patterns: regular expressions of text.
            keys: keys of JSON, whose values are replaced if they are texts or numbers. A number gets ones.

        Raises:
            ValueError: a pattern is no regular expression.

        """
        try:
            self._patterns = [re.compile(pattern) for pattern in patterns]
        except re.error as error:
            raise ValueError(f"expected a regular expression, got {error.pattern!r}: {error}") from error
        names = b"|".join(re.escape(key.encode()) for key in keys)
        value = rb'(?:"((?:[^"\\]|\\.)*)"|(-?\d[\d.eE+-]*))'
        self._keys = re.compile(rb'"(?:' + names + rb')"\s*:\s*' + value) if names else None

    def __call__(self, chunks: Iterable[RecordedChunk]) -> Iterator[RecordedChunk]:
        """Yield the chunks, redacted. The body is in memory meanwhile."""
        given = list(chunks)
        whole = bytearray(b"".join(data for _, data in given))
        if self._keys is not None:
            for found in self._keys.finditer(bytes(whole)):
                group = 1 if found[1] is not None else 2
                _fill(whole, *found.span(group), _FILL if group == 1 else b"1")
        for pattern in self._patterns:
            text = whole.decode("utf-8", _ESCAPE)
            last = at = 0  # a place in the text, and the same place in the bytes
            for match in pattern.finditer(text):
                start = at + len(text[last : match.start()].encode("utf-8", _ESCAPE))
                last, at = match.end(), start + len(match[0].encode("utf-8", _ESCAPE))
                _fill(whole, start, at, _FILL)
        at = 0
        for chunk in given:
            yield chunk._replace(data=bytes(whole[at : at + len(chunk.data)]))
            at += len(chunk.data)


def _fill(target: bytearray, start: int, end: int, fill: bytes) -> None:
    """Replace the characters of words."""
    at = start
    while at < end:
        pair = bytes(target[at : at + 2])
        if pair == b"\\u" and at + _ESCAPE_SIZE <= end:
            target[at : at + _ESCAPE_SIZE] = b"\\u0078"  # an x
            at += _ESCAPE_SIZE
            continue
        if pair.startswith(b"\\"):
            at += 2  # an escape stays one
            continue
        if _WORD.match(target, at):
            target[at : at + 1] = fill
        at += 1


def to_recording(recordings: Iterable[Recording], redaction: Redaction | None = None) -> Iterator[bytes]:
    """Yield a recording in the format of this library, with all bodies one after the other.

    Chunks without a time come at once: at 0 seconds.
    """
    yield first_line(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    number = 0
    for recording in recordings:
        for body in recording.bodies:
            number += 1
            yield body_line(number, {name: value for name, value in body.response.items() if name != "n"})
            yield from _body(body, redaction)


def _body(body: RecordedBody, redaction: Redaction | None) -> Iterator[bytes]:
    writer, why = BodyWriter(), "eof"
    for seconds, data in _chunks(body, redaction):
        yield writer.chunk(data, seconds or 0.0)
    known: Mapping[str, Why] = {"done": "done", "broken": "broken", "closed": "closed", "torn": "torn"}
    yield writer.end(known.get(body.why or why, "eof"))


def _chunks(body: RecordedBody, redaction: Redaction | None) -> Iterator[RecordedChunk]:
    return body.chunks() if redaction is None else redaction(body.chunks())


def to_event_lines(recordings: Iterable[Recording], redaction: Redaction | None = None) -> Iterator[bytes]:
    """Yield a line of JSON for each event: `{"event": NAME, "data": ...}`, with data that is no JSON as a text."""
    for recording in recordings:
        for body in recording.bodies:
            parser = SSEParser(max_event_size=None)
            for _, data in _chunks(body, redaction):
                for event in parser.feed(data):
                    yield _event_line(event.event, event.data)
            rest = parser.end()
            if rest is not None:
                yield _event_line(rest.event, rest.data)


def _event_line(name: str, data: str) -> bytes:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        value = data
    return f"{json.dumps({'event': name, 'data': value}, separators=(',', ':'))}\n".encode()


def to_step_lines(recordings: Iterable[Recording], redaction: Redaction | None = None) -> Iterator[bytes]:
    """Yield a line of JSON for each final run step, as the command prints them."""
    for recording in recordings:
        run = Accumulator()
        for body in recording.bodies:
            chunks = (data for _, data in _chunks(body, redaction))
            accumulate(chunks, into=run).until_done()
        for step in run.run_steps():
            fields = {"file": recording.name, "run_id": step.run_id, "outcome": run.outcome, "step": step.to_dict()}
            yield f"{json.dumps(fields, separators=(',', ':'))}\n".encode()
