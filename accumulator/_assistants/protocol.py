"""One event, framed, to what the fold takes: any name, any data. Never raises, and says what kind of event it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import msgspec

from accumulator._fold.nodes import Json
from accumulator._json import dump_json, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator


_DONE: Final = "[DONE]"
DONE: Final = _DONE.encode()

Kind: TypeAlias = Literal["done", "error", "step", "run", "message", "unknown", "undecodable"]

_NAMES: dict[Kind, str] = {
    "step": "thread.run.step. created in_progress delta completed failed cancelled expired",
    "run": "thread.run. created queued in_progress requires_action cancelling"
    " completed incomplete failed cancelled expired",
    "message": "thread.message. created in_progress delta completed incomplete",
    "error": "error",
    "done": "done",
}


def _kinds() -> Iterator[tuple[str, Kind]]:
    for kind, names in _NAMES.items():
        prefix, *suffixes = names.split()
        for suffix in suffixes or [""]:
            yield prefix + suffix, kind


KINDS: dict[str, Kind] = dict(_kinds())
"""The event names of the protocol: the API reference's list, and `done`."""


class Decoded(msgspec.Struct, frozen=True):
    """An event: its kind and name, its payload where the kind has one, and what is wrong with an undecodable one.

    `enveloped` says that its data is not the whole of what came but the value of the key "data" in it.
    """

    kind: Kind
    name: str
    payload: Json = None
    message: str = ""
    enveloped: bool = False

    def text(self, data: bytes | str) -> str:
        """Return its data as text, as it was sent, from all that came; in an envelope, as far as msgspec can tell."""
        if not self.enveloped:
            return text_of(data)
        try:
            return text_of(bytes(msgspec.json.decode(data, type=_Envelope).data))
        except (UnicodeError, msgspec.DecodeError, RecursionError):
            return dump_json(self.payload)


class _Envelope(msgspec.Struct):
    data: msgspec.Raw


def text_of(data: bytes | str) -> str:
    """Return data as text; wrong UTF-8 reads as U+FFFD, as in the parser."""
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


def decode(name: str, data: bytes | str, *, torn: bool = False) -> Decoded:
    """Decode an event. Never raises: what is wrong comes as `undecodable`.

    Args:
        name: the event's name; "message" is that of an event without one (WHATWG HTML, 9.2.6).
        data: its data.
        torn: its block lacked the blank line, so that data of no known form counts as cut off.

    """
    if data in {_DONE, DONE}:
        return Decoded("done", name)
    kind = KINDS.get(name, "unknown")
    if kind == "done":
        return Decoded("undecodable", name, message=f"expected the data {_DONE}, got other data")
    if kind == "unknown" and name != "message" and not torn:
        return Decoded(kind, name)
    try:
        payload = cast("Json", parse_json(data))
    except ValueError as exc:
        return _undecodable(kind, name, data, str(exc), torn=torn)
    return Decoded(kind, name, payload) if name != "message" else _nameless(payload)


def _undecodable(kind: Kind, name: str, data: bytes | str, message: str, *, torn: bool) -> Decoded:
    text = text_of(data)
    if kind == "error":
        return Decoded(kind, name, text)
    if kind == "unknown" and not torn and not text.lstrip().startswith("{"):
        return Decoded(kind, name)
    return Decoded("undecodable", name, message=message)


def _nameless(payload: Json) -> Decoded:
    """Decode an event that names itself in its data, as some servers send it: `{"event": ..., "data": ...}`."""
    if isinstance(payload, dict):
        name = payload.get("event")
        if isinstance(name, str) and "data" in payload:
            inner = payload["data"]
            kind = KINDS.get(name, "unknown")
            if kind == "done" or inner == _DONE:
                done = inner == _DONE
                message = "" if done else f"expected the data {_DONE}, got other data"
                return Decoded("done" if done else "undecodable", name, message=message)
            return Decoded(kind, name, inner, enveloped=True)
        if payload.get("error") is not None:
            return Decoded("error", "message", payload)
    return Decoded("unknown", "message", payload)


def error_json(payload: Json) -> dict[str, Json]:
    """Return the error object in an error's payload: the nested one, the flat one, or one made of anything else."""
    if isinstance(payload, dict):
        nested = payload.get("error")
        if nested is None:
            return payload
        payload = nested
    if isinstance(payload, dict):
        return payload
    return {"message": payload if isinstance(payload, str) else dump_json(payload)}
