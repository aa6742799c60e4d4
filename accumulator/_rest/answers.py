"""An answer of the API: its bytes, bounded in size and time, and the JSON object in them."""

from __future__ import annotations

import re
import time
import zlib
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, cast

from accumulator._engine.limits import DEFAULT_MAX_EVENT_VALUES
from accumulator._errors import ResponseError, join_told
from accumulator._json import JSONObject, bound_values, count_values, parse_json
from accumulator._sse import DEFAULT_MAX_EVENT_SIZE
from accumulator._streams.head import REFUSED_BODY_SIZE, read_head, read_headers
from accumulator._streams.unpack import make_unpacker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

MAX_ANSWER_SIZE: Final = DEFAULT_MAX_EVENT_SIZE
"""Bytes of an answer, as of an event. A page of 100 recorded steps has less than 1 MiB; a `limit` makes it smaller."""

MAX_ANSWER_VALUES: Final = 10 * DEFAULT_MAX_EVENT_VALUES
"""JSON values of an answer, ten times as many as of an event. They are counted before anything is decoded."""

_OK: Final = range(200, 300)
_LONGEST_MESSAGE: Final = 500
"""Characters of a server's code and message that the text of an error shows."""

_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_RETRY_AFTER: Final = (("retry-after-ms", 0.001), ("retry-after", 1.0))
"""The headers that ask to wait, and the seconds of their unit. The first is Azure's, the other is RFC 9110's."""


class Answer:
    """An answer, while it is read and then.

    Attributes:
        json: the JSON object of a whole answer.
        size: the bytes of its body.

    """

    def __init__(self, response: object, expired: Callable[[], bool]) -> None:
        """Take a response whose body is not read yet. `expired` says whether there is no time left to read it."""
        self._head = read_head(response)
        self._headers = read_headers(response)
        self._expired = expired
        self._body = bytearray()
        self._ok = self._head.status in _OK
        self.json: JSONObject = {}

    @property
    def size(self) -> int:
        """The bytes of the body so far."""
        return len(self._body)

    @property
    def wants_more(self) -> bool:
        """Whether more of the body is to be read: not behind the start of one that says what went wrong."""
        return self._ok or len(self._body) < REFUSED_BODY_SIZE

    @contextmanager
    def unpacking(self) -> Generator[None, None, None]:
        """Refuse, within the block, a body that cannot be unpacked in bounded memory."""
        coding = self._headers.get("content-encoding", "")
        try:
            if make_unpacker(coding) is None and coding.strip().lower() not in {"", "identity"}:
                raise ValueError(f"its coding is {coding}")  # noqa: TRY301 - as the others
            yield
        except (ValueError, zlib.error) as error:
            raise self.wrong(
                f"a body in gzip, deflate or no coding, got one that cannot be unpacked: {error}"
            ) from error

    def add(self, chunk: object) -> None:
        """Take a chunk of the body. Raise `ResponseError` if it is too long, or comes too late."""
        self._body += cast("bytes", chunk)
        if len(self._body) > MAX_ANSWER_SIZE:
            raise self.wrong(
                f"a body of at most {MAX_ANSWER_SIZE} bytes, got a longer one; a smaller limit= asks for less"
            )
        if self._expired():
            raise self.late()

    def late(self) -> ResponseError:
        """Make the error of an answer whose body comes too late."""
        return self.wrong(f"a whole body in the time that is given, got the first {len(self._body)} bytes")

    def finish(self) -> Answer:
        """Read the body. Raise `ResponseError` if the answer is not what was asked for."""
        if not self._ok:
            raise self.wrong("a 2xx answer")
        body = bytes(self._body)
        if bound_values(body) > MAX_ANSWER_VALUES and count_values(body) > MAX_ANSWER_VALUES:
            raise self.wrong(f"at most {MAX_ANSWER_VALUES} JSON values, got more")
        try:
            json = parse_json(body)
        except ValueError as error:
            raise self.wrong(f"a JSON object, got other text: {error}") from error
        if not isinstance(json, dict):
            raise self.wrong("a JSON object, got another value")
        self.json = json
        return self

    def wrong(self, expected: str) -> ResponseError:
        """Make the error of an answer that is not what was `expected`."""
        head = self._head
        error = ResponseError(
            "",
            status=head.status,
            content_type=head.content_type,
            request_id=head.request_id,
            body=self._body[:REFUSED_BODY_SIZE].decode("utf-8", "replace"),
            retry_after=read_retry_after(self._headers, time.time()),
        )
        named = f" (request {head.request_id})" if head.request_id else ""
        told = "" if self._ok else join_told(error.code, error.message)
        said = f": {told[:_LONGEST_MESSAGE]}" if told else ""
        error.args = (f"expected {expected}; status {head.status}{named}{said}",)
        return error


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait, None if it does not ask, or not so that it can be read.

    A date counts from the date of the response or, without one, from `now`, the seconds since 1970.
    """
    for name, unit in _RETRY_AFTER:
        text = headers.get(name, "").strip()
        if _SECONDS.fullmatch(text):
            return float(text) * unit
    until, sent = _read_date(headers.get("retry-after", "")), _read_date(headers.get("date", ""))
    return None if until is None else max(0.0, until - (now if sent is None else sent))


def _read_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
