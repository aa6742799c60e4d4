"""What is known of a response before its body: whether it is an event stream, and the error if it is not.

A status that is not 2xx refuses a response. With a 2xx status the content type decides:

    content type                                            the response
    text/event-stream, with any parameters                  is an event stream
    text/plain, application/octet-stream, none              is an event stream if its body begins like one
    any other                                               is refused

Gateways and frameworks send event streams with the types of the second row. A `charset` changes nothing: an event
stream is always UTF-8 (WHATWG HTML, section 9.2.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from accumulator._errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable

REFUSED_BODY_SIZE = 2_048
"""The bytes that an error keeps of a refused body: enough for the error object of an API, and short enough to log."""

REFUSED_BODY_SECONDS = 1.0
"""The seconds for which a refused body is read: what is there comes at once, and the error must not wait for more."""

_EVENT_STREAM = "text/event-stream"
_GENERAL_TYPES = frozenset({"", "text/plain", "application/octet-stream"})
"""The content types of a response that may be an event stream; "" stands for none."""

_REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "x-ms-request-id")


class Head(msgspec.Struct, frozen=True):
    """What is known of a response before its body. `is_response` is False for a source without a status."""

    status: int | None
    content_type: str
    request_id: str | None
    is_response: bool

    @property
    def refused(self) -> bool | None:
        """Whether the response is refused, None if only its body can tell."""
        if not self.is_response:
            return False
        if not self._successful:
            return True
        media_type = self._media_type
        return None if media_type in _GENERAL_TYPES else media_type != _EVENT_STREAM

    def error(self, body: bytes, way_on: str) -> ResponseError:
        """Make the error of a refused response.

        Args:
            body: the start of its body.
            way_on: the call that folds such a body all the same. The message names it for a 2xx response only; the body
                of any other status describes an error, not a run.

        """
        got = f"status {self.status}, content type {self.content_type or 'none'}"
        if self._successful and self._media_type in _GENERAL_TYPES:
            got += ", and a body that does not begin like an event stream"
        named = f" (request {self.request_id})" if self.request_id else ""
        hint = f"; to fold such a body all the same: {way_on}" if self._successful else ""
        return ResponseError(
            f"expected a 2xx answer of content type {_EVENT_STREAM}, got {got}{named}{hint}",
            status=self.status,
            content_type=self.content_type,
            request_id=self.request_id,
            body=body[:REFUSED_BODY_SIZE].decode("utf-8", "replace"),
        )

    @property
    def _successful(self) -> bool:
        return 200 <= (self.status or 200) < 300  # noqa: PLR2004 - the 2xx of HTTP

    @property
    def _media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()


def read_head(response: object) -> Head:
    """Read the status, the content type and the request id of a response. A source without a status is no response."""
    status: object = getattr(response, "status_code", None)
    if status is None:
        status = getattr(response, "status", None)
    if not isinstance(status, int) or isinstance(status, bool):
        return Head(None, "", None, is_response=False)
    headers = read_headers(response)
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)
    return Head(status, headers.get("content-type", ""), request_id, is_response=True)


def read_headers(response: object) -> dict[str, str]:
    """Return the headers of a response by their names in lower case, none if it has no mapping of them."""
    pairs: object = getattr(getattr(response, "headers", None), "items", None)
    if not callable(pairs):
        return {}
    return {str(name).lower(): str(value) for name, value in cast("Iterable[tuple[object, object]]", pairs())}
