"""Read cassettes: those of vcrpy, of VCR for Ruby, and of Betamax, as YAML or JSON.

    vcrpy        interactions[].response.body.string          text, or binary; gzip stays with httpx
    VCR, Ruby    http_interactions[].response.body            {encoding, string or base64_string}
    Betamax      http_interactions[].response.body            as Ruby's

Headers say `content-encoding: gzip` also where the client took gzip off, so that only the bytes tell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from accumulator._errors import RecordingError
from accumulator._recordings.stored import StoredBody, events_of, from_base64, member, members, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "a VCR cassette"


_YAML: Final = re.compile(rb"\A(?:%[^\n]*\n)*(?:---[^\n]*\n)?\s*(?:#[^\n]*\n)*(?:http_)?interactions:")


def begins_like_yaml(start: bytes) -> bool:
    """Whether a text is a cassette in YAML."""
    return _YAML.match(start) is not None


def is_cassette(document: object) -> bool:
    """Whether a document is a cassette."""
    return member(document, "interactions") is not None or member(document, "http_interactions") is not None


def read_cassette(document: object) -> list[StoredBody]:
    """Return the bodies of a cassette that are event streams."""
    return events_of(NAME, _bodies(document))


def _bodies(document: object) -> Iterator[StoredBody]:
    for each in members(member(document, "interactions") or member(document, "http_interactions")):
        body = member(each, "response", "body")
        packed = member(body, "base64_string")
        data = from_base64(packed) if isinstance(packed, str) else to_bytes(member(body, "string") or body)
        yield StoredBody.of(
            data,
            url=member(each, "request", "uri"),
            method=member(each, "request", "method"),
            status=member(each, "response", "status", "code"),
            recorded_at=member(each, "recorded_at"),
        )


def load_yaml(data: bytes) -> object:
    """Return the value of a YAML text.

    Raises:
        RecordingError: PyYAML is not installed, or the text is not YAML.

    """
    try:
        import yaml
    except ImportError as error:
        raise RecordingError(f"{NAME} in YAML: install delta-accumulator[recordings] to read it") from error

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # one of two classes
        """Reads what VCR for Ruby writes too: `!binary` for bytes."""

    def binary(_: object, node: yaml.ScalarNode) -> bytes:
        return from_base64(str(node.value))

    Loader.add_constructor(  # pyright: ignore[reportUnknownMemberType] - partly typed
        "!binary", binary
    )
    try:
        return yaml.load(data, Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecordingError(f"{NAME} in YAML that is damaged: {str(error).splitlines()[0]}") from error
