"""Two small bodies of one run, in the wire format, for tests about what carries them: a call and its output."""

from __future__ import annotations

import json


def event(name: str, payload: object) -> bytes:
    """Return one event as a server frames it."""
    return f"event: {name}\ndata: {json.dumps(payload, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def delta(call: dict[str, object]) -> bytes:
    details = {"type": "tool_calls", "tool_calls": [call]}
    payload = {"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return event("thread.run.step.delta", payload)


def step(status: str, calls: list[object]) -> dict[str, object]:
    return {
        "id": "step_1",
        "object": "thread.run.step",
        "created_at": 1_790_000_000,
        "run_id": "run_1",
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "type": "tool_calls",
        "status": status,
        "cancelled_at": None,
        "completed_at": 1_790_000_009 if status == "completed" else None,
        "expires_at": 1_790_000_600,
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": "tool_calls", "tool_calls": calls},
        "usage": None,
    }


def run(status: str, required_action: object = None) -> dict[str, object]:
    return {
        "id": "run_1",
        "object": "thread.run",
        "created_at": 1_790_000_000,
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "status": status,
        "required_action": required_action,
        "last_error": None,
    }


def call(arguments: str, output: str | None) -> dict[str, object]:
    function = {"name": "get_weather", "arguments": arguments, "output": output}
    return {"id": "call_1", "type": "function", "function": function}


ARGUMENTS = '{"city":"Zürich 🏔"}'
ACTION = {
    "type": "submit_tool_outputs",
    "submit_tool_outputs": {
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}},
        ],
    },
}
DONE = b"event: done\ndata: [DONE]\n\n"
FIRST_EVENTS = [
    event("thread.run.in_progress", run("in_progress")),
    event("thread.run.step.created", step("in_progress", [])),
    delta({"index": 0, **call("", None)}),
    delta({"index": 0, "type": "function", "function": {"arguments": ARGUMENTS[:12]}}),
    delta({"index": 0, "type": "function", "function": {"arguments": ARGUMENTS[12:]}}),
    event("thread.run.requires_action", run("requires_action", ACTION)),
]
SECOND_EVENTS = [
    event("thread.run.step.completed", step("completed", [call(ARGUMENTS, "9 °C")])),
    event("thread.run.completed", run("completed")),
]
FIRST = b"".join(FIRST_EVENTS) + DONE
SECOND = b"".join(SECOND_EVENTS) + DONE
STEP_AFTER_FIRST = step("in_progress", [call(ARGUMENTS, None)])
STEP_AFTER_SECOND = step("completed", [call(ARGUMENTS, "9 °C")])
