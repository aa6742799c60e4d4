"""Write recordings in another form, and replace what must not be shared."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.streams import accumulate
from accumulator._json import parse_json
from accumulator._recordings.format import BodyWriter, body_line, first_line
from accumulator._recordings.json_lines import read_event
from accumulator._recordings.stored import BOM, frame
from accumulator._sse import SSEParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from accumulator._recordings.format import RecordedChunk, Why
    from accumulator._recordings.recordings import RecordedBody, Recording

_ESCAPE: Final = "surrogateescape"
_DONE: Final = "[DONE]"
_FILL: Final = "x"
_KEPT: Final = frozenset(' \t\n\r\f\v"\\{}[],:')
"""The characters that stay, also as escapes."""

_LINE: Final = re.compile(rb"[^\r\n]+|\r\n?|\n")
_FIELD: Final = re.compile(rb"(data|event|id|retry|(?=:))(?::[ ]?|\Z)")
_TOKEN: Final = re.compile(
    r'"(?P<text>[^"\\]*+(?:\\.[^"\\]*+)*+)(?:"(?P<key>\s*:)?|\\?\Z)|(?P<number>-?\d[\d.eE+-]*)|(?P<bracket>[{}\[\]])',
    re.DOTALL,
)
"""What a value is made of. The text may be cut, so that its end may lack a quote."""

_PAIR: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_PIECE: Final = re.compile(_PAIR + r"|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL)
_ESCAPE_SIZE: Final = len("\\u0000")
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Final = frozenset({"object", "type"})
"""Keys whose values are words of the protocol."""


class Redaction:
    r"""Replaces text in bodies by as many `x`, so that lengths, cuts and times stay as they were.

    What is replaced are the data of events, ids of events, comments, lines that are no field of an event stream, and
    what a recording says of the response. The names of fields and events, the keys of JSON and `[DONE]` stay. So do
    the values of `object` and `type`, unless they are at or below a named key.

    Each text keeps its length in bytes: a character of several bytes becomes as many `x`, one that is written as an
    escape, such as `\u00fc`, becomes `\u0078`, an x too, and `\/` becomes `xx`. Quotes, backslashes, brackets,
    colons, commas and blanks stay, also as escapes, so that JSON stays JSON.

    A body is redacted as a whole: what is cut into several chunks is found too, and data in several lines. A text that
    comes in several deltas is not in one place, and is found by its keys only. For the same reason a key within
    `arguments` is found where these are whole, and not where they come in pieces: name `arguments` for that.
    """

    def __init__(self, patterns: Iterable[str] = (), keys: Iterable[str] = ()) -> None:
        """Store what is replaced.

        Args:
            patterns: regular expressions of text. In JSON they are looked for in each text, as it reads without
                escapes, and in a text that is JSON itself also in the texts within it; in other data as it was sent.
            keys: keys of JSON, also of JSON within a text. All texts and numbers of their values are replaced, at any
                depth. A number gets ones.

        Raises:
            ValueError: a pattern is no regular expression.

        """
        self._patterns = [_compiled(pattern) for pattern in patterns]
        self._keys = frozenset(keys)

    def __call__(self, chunks: Iterable[RecordedChunk]) -> Iterator[RecordedChunk]:
        """Yield the chunks, redacted. The body is in memory meanwhile."""
        given = list(chunks)
        whole = bytearray(b"".join(data for _, data in given))
        for places in _find_texts(bytes(whole)):
            old = b"\n".join(whole[start:end] for start, end in places)
            new, at = self._redact_bytes(old), 0
            for start, end in places:
                whole[start:end] = new[at : at + end - start]
                at += end - start + 1
        at = 0
        for chunk in given:
            yield chunk._replace(data=bytes(whole[at : at + len(chunk.data)]))
            at += len(chunk.data)

    def redact_response(self, response: Mapping[str, object]) -> Mapping[str, object]:
        """Return what is known of a response, redacted as a JSON object is."""
        return cast("dict[str, object]", json.loads(self._redact(json.dumps(response), within=False)))

    def _redact_bytes(self, data: bytes) -> bytes:
        text = data.decode("utf-8", _ESCAPE)
        new = text if text == _DONE else self._redact(text, within=False)
        if new == text:
            return data
        pairs = zip(text, new, strict=True)
        sized = (now if was == now else now * len(was.encode("utf-8", _ESCAPE)) for was, now in pairs)
        return "".join(sized).encode("utf-8", _ESCAPE)

    def _redact(self, text: str, *, within: bool) -> str:
        """Return data, or the text of a value (`within`), with as many characters as it has."""
        new, is_json = list(text), _is_json(text)
        if is_json or not within:  # other data may be JSON that is cut
            self._redact_values(text, new, _WORDS if not within else frozenset())
        if within or not is_json:
            for pattern in self._patterns:
                for match in pattern.finditer(text):
                    new[slice(*match.span())] = map(_filled, match[0])
        return "".join(new)

    def _redact_values(self, text: str, new: list[str], words: frozenset[str]) -> None:
        """Replace what the values of JSON text have, but the values of the keys in `words`."""
        key: str | None = None  # of the value that comes
        named = False  # whether it is below a named key
        around: list[tuple[str | None, bool]] = []
        for token in _TOKEN.finditer(text):
            kind, found = token.lastgroup, slice(*token.span(token.lastgroup or 0))
            if kind == "key":
                key = "".join(map(_character, _PIECE.findall(token["text"])))
            elif kind == "bracket" and token[0] in "{[":
                around.append((key, named))
                key, named = None, named or key in self._keys
            elif kind == "bracket":
                key, named = around.pop() if around else (None, False)
            elif named or key in self._keys:
                new[found] = "1" * len(token[0]) if kind == "number" else _replace(token["text"], _fill)
            elif kind == "text" and key not in words:
                new[found] = _replace(token["text"], partial(self._redact, within=True))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"expected a regular expression, got {pattern!r}: {error}") from error


def _find_texts(body: bytes) -> Iterator[list[tuple[int, int]]]:
    """Yield the places of each text: the data of an event, its other lines that are no fields, an id, a comment."""
    data, others = list[tuple[int, int]](), list[tuple[int, int]]()
    is_blank = True
    for line in _LINE.finditer(body, len(BOM) if body.startswith(BOM) else 0):
        if line[0][:1] in b"\r\n":
            if is_blank:
                yield from filter(None, (data, others))
                data, others = [], []
            is_blank = True
            continue
        is_blank = False
        field = _FIELD.match(line[0])
        if field is None:
            others.append(line.span())
        elif field[1] == b"data":
            data.append((line.start() + field.end(), line.end()))
        elif field[1] in {b"id", b""}:
            yield [(line.start() + field.end(), line.end())]
    yield from filter(None, (data, others))


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or array. Any number is one, however large."""
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        json.loads(text, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def _replace(raw: str, change: Callable[[str], str]) -> str:
    """Change the text that a JSON string stands for, and return the string with as many characters as it had."""
    if "\\" not in raw:
        return change(raw)
    pieces = _PIECE.findall(raw)
    text = "".join(map(_character, pieces))
    changes = zip(pieces, text, change(text), strict=True)
    return "".join(piece if was == now else _spelled(now, piece) for piece, was, now in changes)


def _character(piece: str) -> str:
    """Return the character that a piece of a JSON string stands for."""
    if len(piece) >= _ESCAPE_SIZE:
        units = bytes.fromhex(piece.replace("\\u", ""))
        return units.decode("utf-16-be", "surrogatepass")
    return _ESCAPED.get(piece[1:], piece[-1])


def _spelled(character: str, piece: str) -> str:
    """Return a character, written as long as the piece that it replaces."""
    if len(piece) < _ESCAPE_SIZE:
        return character * len(piece)
    return f"\\u{ord(character):04x}" * (len(piece) // _ESCAPE_SIZE)


def _fill(text: str) -> str:
    return "".join(map(_filled, text))


def _filled(character: str) -> str:
    return character if character in _KEPT else _FILL


def to_recording(recordings: Iterable[Recording], redaction: Redaction | None = None) -> Iterator[bytes]:
    """Yield a recording in the format of this library, with all bodies one after the other.

    Chunks without a time come at once: at 0 seconds.
    """
    yield first_line(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    number = 0
    for recording in recordings:
        for body in recording.bodies:
            number += 1
            response = body.response if redaction is None else redaction.redact_response(body.response)
            yield body_line(number, {name: value for name, value in response.items() if name != "n"})
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
    """Yield a line of JSON for each event: `{"event": NAME, "data": ...}`, which `read_json_lines` reads as it was.

    JSON is written as it was sent. Other data, and JSON that this library cannot read, is a text, and the line has
    `"raw": true`. `[DONE]` is a text too, as everybody writes it.
    """
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
    if data == _DONE:
        return _line(name, json.dumps(data))
    try:
        parse_json(data)
    except ValueError:
        return _raw_line(name, data)
    line = _line(name, data)
    is_same = "\n" not in data and read_event(line) == frame(name, data)
    return line if is_same else _raw_line(name, data)


def _raw_line(name: str, data: str) -> bytes:
    return _line(name, f'{json.dumps(data)},"raw":true')


def _line(name: str, data: str) -> bytes:
    return f'{{"event":{json.dumps(name)},"data":{data}}}\n'.encode()


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
