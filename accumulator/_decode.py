"""One event, framed, to what the fold takes.

`decode` is the general way: any name, any data. `decode_fragment` is the lane beside it, a decoder for the one event
that a stream is full of: a later fragment of a text, a tool call's or a message's, in the canonical form, every key
required and no other allowed. What passes it means one thing only; what does not takes the general way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

import msgspec

from accumulator._json import dump_json, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accumulator._builders import Json

STEP_DELTA: Final = "thread.run.step.delta"
MESSAGE_DELTA: Final = "thread.message.delta"
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


class Decoded(NamedTuple):
    """An event: its kind and name, its payload where the kind has one, and what is wrong with an undecodable one.

    `text` is its data where that is not the whole data of the event, as it was sent.
    """

    kind: Kind
    name: str
    payload: Json = None
    text: str | None = None
    message: str = ""


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
    return Decoded(kind, name, payload) if name != "message" else _nameless(payload, data)


def _undecodable(kind: Kind, name: str, data: bytes | str, message: str, *, torn: bool) -> Decoded:
    text = text_of(data)
    if kind == "error":
        return Decoded(kind, name, text)
    if kind == "unknown" and not torn and not text.lstrip().startswith("{"):
        return Decoded(kind, name)
    return Decoded("undecodable", name, message=message)


class _Envelope(msgspec.Struct):
    data: msgspec.Raw


def _inner(inner: Json, data: bytes | str) -> str:
    """Return the text of what an envelope holds, as sent where msgspec can tell."""
    try:
        return text_of(bytes(msgspec.json.decode(data, type=_Envelope).data))
    except (UnicodeError, msgspec.DecodeError, RecursionError):
        return dump_json(inner)


def _nameless(payload: Json, data: bytes | str) -> Decoded:
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
            return Decoded(kind, name, inner, _inner(inner, data))
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


class _Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    arguments: str


class _CodeInterpreter(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    input: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int
    type: Literal["function", "code_interpreter"]
    function: _Function | msgspec.UnsetType = msgspec.UNSET
    code_interpreter: _CodeInterpreter | msgspec.UnsetType = msgspec.UNSET


class _Details(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["tool_calls"]
    tool_calls: tuple[_Entry]


class _StepDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    step_details: _Details


class _StepEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    object: Literal["thread.run.step.delta"]
    delta: _StepDelta


class _Text(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    value: str


class _Part(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int
    type: Literal["text"]
    text: _Text


class _MessageDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: tuple[_Part]


class _MessageEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    object: Literal["thread.message.delta"]
    delta: _MessageDelta


_step_decoder = msgspec.json.Decoder(_StepEvent)
_message_decoder = msgspec.json.Decoder(_MessageEvent)


class Fragment(msgspec.Struct, frozen=True, gc=False):
    """A later fragment of a text: a function's `arguments`, a code interpreter's `input`, a message's `value`.

    `id` is that of the step or message, `index` that of the call or content part, `type` the part's.
    """

    id: str
    index: int
    type: str
    field: str
    text: str


def decode_fragment(name: str, data: bytes | str) -> Fragment | None:
    """Decode the data of a delta, `STEP_DELTA` or `MESSAGE_DELTA`, that is a canonical later fragment, else None."""
    try:
        if name == STEP_DELTA:
            return _step_fragment(_step_decoder.decode(data))
        event = _message_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    part = event.delta.content[0]
    return Fragment(event.id, part.index, "text", "value", part.text.value)


def _step_fragment(event: _StepEvent) -> Fragment | None:
    entry = event.delta.step_details.tool_calls[0]
    function, code = entry.function, entry.code_interpreter
    if isinstance(function, _Function) and code is msgspec.UNSET and entry.type == "function":
        return Fragment(event.id, entry.index, "function", "arguments", function.arguments)
    if isinstance(code, _CodeInterpreter) and function is msgspec.UNSET and entry.type == "code_interpreter":
        return Fragment(event.id, entry.index, "code_interpreter", "input", code.input)
    return None
