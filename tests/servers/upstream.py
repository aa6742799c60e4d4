"""What stands behind the LiteLLM proxy: a server that speaks the protocol, and answers as the assistant's name says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests import wire
from tests.conftest import ROOT

if TYPE_CHECKING:
    from tests.loopback import Exchange

RECORDINGS = ("code_interpreter", "file_search", "azure_unknown_tools", "parallel_functions_1", "parallel_functions_2")
"""Of each recording the first body."""


def recorded(name: str) -> bytes:
    whole = (ROOT / "tests" / "recordings" / f"{name}.sse").read_bytes()
    return b"".join(whole.partition(wire.DONE)[:2])


def message(status: str, value: str | None = None, **fields: object) -> bytes:
    """`thread.message.<status>` of the run's one message."""
    annotations: list[object] = []
    part = {"type": "text", "text": {"value": value, "annotations": annotations}}
    payload: dict[str, object] = {
        "id": "msg_1",
        "object": "thread.message",
        "created_at": wire.CREATED_AT,
        "run_id": "run_1",
        "status": "in_progress" if status == "created" else status,
        "role": "assistant",
        "content": [] if value is None else [part],
        **fields,
    }
    return wire.event(f"thread.message.{status}", payload)


def piece(value: str) -> bytes:
    content = [{"index": 0, "type": "text", "text": {"value": value}}]
    payload = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}
    return wire.event("thread.message.delta", payload)


LENGTH = {"reason": "max_tokens"}
LIMIT = {"code": "rate_limit_exceeded", "message": "slow down"}
BEGIN = wire.run_event("in_progress") + message("created") + piece("Guten ")
BODIES = {
    "length": [
        BEGIN,
        message("incomplete", "Guten ", incomplete_details=LENGTH),
        wire.run_event("incomplete", incomplete_details=LENGTH),
        wire.DONE,
    ],
    "failed": [BEGIN, wire.run_event("failed", last_error=LIMIT), wire.DONE],
    "error": [recorded("error")],
    "delta_first": [wire.run_event("in_progress"), piece("Guten "), piece("Tag ☀"), wire.DONE],
    **{name: [recorded(name)] for name in RECORDINGS},
}


def answer(exchange: Exchange) -> None:
    """Answer a request for a run; the proxy sends no other."""
    assert re.fullmatch(r"POST /v1/threads/thread_\w+/runs HTTP/1\.1", exchange.request_line)
    match json.loads(exchange.body)["assistant_id"]:
        case "refuse":
            exchange.head("429 Too Many Requests", {"Content-Type": "application/json"})
            exchange.chunk(b'{"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}')
            exchange.end()
        case "drop":
            exchange.head()
            exchange.chunk(BEGIN)  # and no end
        case "leave":
            exchange.head()
            exchange.chunk(BEGIN)
            exchange.wait_closed()
        case name:
            exchange.head()
            for chunk in BODIES[name]:
                exchange.chunk(chunk)
            exchange.end()
