"""Read the session records of the Azure test proxy and of the .NET clients.

`Entries[].ResponseBody` is the body as a list of texts to join, or as one text. An answer in JSON is there as its
value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from accumulator._recordings.stored import StoredBody, events_of, member, members, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "a session record of the Azure test proxy"


def is_session(document: object) -> bool:
    """Whether a document is a session record."""
    return isinstance(member(document, "Entries"), list)


def read_session(document: object) -> list[StoredBody]:
    """Return the bodies of a session record that are event streams."""
    return events_of(NAME, _bodies(document))


def _bodies(document: object) -> Iterator[StoredBody]:
    for each in members(member(document, "Entries")):
        body = member(each, "ResponseBody")
        yield StoredBody.of(
            b"".join(map(to_bytes, members(body))) or to_bytes(body),
            url=member(each, "RequestUri"),
            method=member(each, "RequestMethod"),
            status=member(each, "StatusCode"),
            type=member(each, "ResponseHeaders", "Content-Type"),
            request_id=member(each, "ResponseHeaders", "X-Request-ID"),
            recorded_at=member(each, "ResponseHeaders", "Date"),
        )
