"""The two limits that nothing in Python gets under: taking the bytes apart, and that with each event decoded by type.

Neither folds anything. Both are written for speed: no function per event, no check of what servers never send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


def framing(chunks: Iterable[bytes]) -> int:
    """Split the bytes at blank lines, and return how many events there were."""
    count, carry = 0, list[bytes]()
    for chunk in chunks:
        if carry:
            if b"\n\n" not in chunk and not (chunk[:1] == b"\n" and carry[-1][-1:] == b"\n"):
                carry.append(chunk)
                continue
            carry.append(chunk)
            parts = b"".join(carry).split(b"\n\n")
        else:
            parts = chunk.split(b"\n\n")
        rest = parts.pop()
        carry = [rest] if rest else []
        count += len(parts)
    return count


class _Output(msgspec.Struct, gc=False):
    logs: str = ""


class _Payload(msgspec.Struct, gc=False):
    arguments: str = ""
    input: str = ""
    output: str | None = None
    outputs: list[_Output] = []


class _Entry(msgspec.Struct, gc=False):
    type: str
    index: int = -1
    id: str | None = None
    function: _Payload | None = None
    code_interpreter: _Payload | None = None
    azure_function: _Payload | None = None
    fabric_dataagent: _Payload | None = None
    arguments: str = ""
    output: str | None = None


class _Details(msgspec.Struct, gc=False):
    type: str
    tool_calls: list[_Entry] = []


class _StepDelta(msgspec.Struct, gc=False):
    step_details: _Details


class _StepDeltaEvent(msgspec.Struct, gc=False):
    id: str
    delta: _StepDelta


class _Text(msgspec.Struct, gc=False):
    value: str = ""


class _Content(msgspec.Struct, gc=False):
    type: str
    text: _Text
    index: int = -1


class _MessageDelta(msgspec.Struct, gc=False):
    content: list[_Content]


class _MessageDeltaEvent(msgspec.Struct, gc=False):
    id: str
    delta: _MessageDelta


class _Step(msgspec.Struct, gc=False):
    id: str
    status: str
    step_details: _Details


class _Message(msgspec.Struct, gc=False):
    id: str
    status: str
    content: list[_Content]


class _Run(msgspec.Struct, gc=False):
    id: str
    status: str


_STEP_DELTA = b"event: thread.run.step.delta"
_MESSAGE_DELTA = b"event: thread.message.delta"
_step_delta = msgspec.json.Decoder(_StepDeltaEvent).decode
_message_delta = msgspec.json.Decoder(_MessageDeltaEvent).decode
_WHOLE = (
    (b"event: thread.run.step.", msgspec.json.Decoder(_Step).decode),
    (b"event: thread.message.", msgspec.json.Decoder(_Message).decode),
    (b"event: thread.run.", msgspec.json.Decoder(_Run).decode),
)


def decode(chunks: Iterable[bytes]) -> dict[str, int]:
    """Split the bytes at blank lines, decode each event into a struct of its type, and count what the deltas hold."""
    events = fragments = characters = 0
    carry = list[bytes]()
    for chunk in chunks:
        if carry:
            if b"\n\n" not in chunk and not (chunk[:1] == b"\n" and carry[-1][-1:] == b"\n"):
                carry.append(chunk)
                continue
            carry.append(chunk)
            parts = b"".join(carry).split(b"\n\n")
        else:
            parts = chunk.split(b"\n\n")
        rest = parts.pop()
        carry = [rest] if rest else []
        events += len(parts)
        for block in parts:
            name, _, data = block.partition(b"\ndata: ")
            if name == _STEP_DELTA:
                for entry in _step_delta(data).delta.step_details.tool_calls:
                    fragments += 1
                    function = entry.function
                    characters += (
                        _length(entry) if function is None else len(function.arguments or function.output or "")
                    )
            elif name == _MESSAGE_DELTA:
                for content in _message_delta(data).delta.content:
                    fragments += 1
                    characters += len(content.text.value)
            else:
                _decode_whole(name, data)
    return {"events": events, "fragments": fragments, "characters": characters}


def _length(entry: _Entry) -> int:
    payload = entry.code_interpreter or entry.azure_function or entry.fabric_dataagent
    if payload is None:
        return len(entry.arguments or entry.output or "")
    logs = sum(len(output.logs) for output in payload.outputs)
    return len(payload.arguments or payload.input or payload.output or "") + logs


def _decode_whole(name: bytes, data: bytes) -> object:
    for prefix, decoder in _WHOLE:
        if name.startswith(prefix):
            return decoder(data)
    return None
