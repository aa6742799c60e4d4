"""Events as a server writes them, bytes of the wire from plain values; and what comes of them, as plain values."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from accumulator import Accumulator

if TYPE_CHECKING:
    from accumulator import Update

CREATED_AT = 1_700_000_000
DONE = b"event: done\ndata: [DONE]\n\n"


def text(value: object) -> str:
    """JSON text as servers send it: compact, other scripts as they are, lone surrogates escaped."""
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", plain)


def event(name: str | None, payload: object) -> bytes:
    """One event, its data being the JSON of `payload`, or `payload` as it is where that is bytes."""
    data = payload if isinstance(payload, bytes) else text(payload).encode()
    line = b"" if name is None else b"event: " + name.encode() + b"\n"
    return line + b"data: " + data + b"\n\n"


def step(step_id: str = "step_1", *calls: object, **fields: object) -> dict[str, object]:
    """Return a run step with the 15 keys of the wire in their order, `fields` put in their places."""
    whole: dict[str, object] = {
        "id": step_id,
        "object": "thread.run.step",
        "created_at": CREATED_AT,
        "run_id": "run_1",
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "type": "tool_calls",
        "status": "in_progress",
        "cancelled_at": None,
        "completed_at": None,
        "expires_at": CREATED_AT + 600,
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": "tool_calls", "tool_calls": list(calls)},
        "usage": None,
    }
    return {**whole, **fields}


def step_event(life: str, step_id: str = "step_1", *calls: object, **fields: object) -> bytes:
    """`thread.run.step.<life>` with a whole step."""
    return event(f"thread.run.step.{life}", step(step_id, *calls, **fields))


def created(step_id: str = "step_1", **fields: object) -> bytes:
    return step_event("created", step_id, **fields)


def in_progress(step_id: str = "step_1", **fields: object) -> bytes:
    return step_event("in_progress", step_id, **fields)


def completed(step_id: str = "step_1", calls: list[object] | None = None, **fields: object) -> bytes:
    """`thread.run.step.completed` with these calls, status, time and usage being those of a finished step."""
    return step_event("completed", step_id, *(calls or []), **{**ended(), **fields})


def ended(status: str = "completed") -> dict[str, object]:
    """Return the top-level fields that an ending changes."""
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    return {"status": status, f"{status}_at": CREATED_AT + 9, "usage": usage}


def delta_payload(step_id: str, *entries: object) -> dict[str, object]:
    return {
        "id": step_id,
        "object": "thread.run.step.delta",
        "delta": {"step_details": {"type": "tool_calls", "tool_calls": list(entries)}},
    }


def delta(step_id: str, *entries: object) -> bytes:
    """`thread.run.step.delta` with these entries of `tool_calls`."""
    return event("thread.run.step.delta", delta_payload(step_id, *entries))


def details_delta(step_id: str, details: object) -> bytes:
    """`thread.run.step.delta` with these `step_details`, of whatever type."""
    return event(
        "thread.run.step.delta",
        {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}},
    )


def run_event(status: object, name: str | None = None, **fields: object) -> bytes:
    """`thread.run.<status>`; another `name` where the event is not named after its status."""
    payload = {"id": "run_1", "object": "thread.run", "status": status, **fields}
    return event(f"thread.run.{name or status}", payload)


def function(index: object, **fields: object) -> dict[str, object]:
    """Return an entry of a function call: what is not of the entry itself goes into `function`."""
    entry: dict[str, object] = {"index": index}
    if "id" in fields:
        entry["id"] = fields.pop("id")
    entry["type"] = "function"
    entry["function"] = fields
    return entry


def call(call_id: str, name: str, arguments: str, output: object = None) -> dict[str, object]:
    """Return a function call as a snapshot holds it."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments, "output": output},
    }


def opening(index: object, call_id: str, name: str) -> dict[str, object]:
    """Return the first entry of a function call: the skeleton that servers send."""
    return function(index, id=call_id, name=name, arguments="", output=None)


def fragment(index: object, arguments: str) -> dict[str, object]:
    """Return a later entry of a function call: the one field that grows."""
    return function(index, arguments=arguments)


def folded(*events: bytes) -> Accumulator:
    """Feed events to a new accumulator, whose body stays open."""
    run = Accumulator()
    run.feed(b"".join(events))
    return run


def updates_of(*events: bytes) -> list[Update]:
    """Feed events to a new accumulator and return what it hands out."""
    return Accumulator().feed(b"".join(events))


def step_json(run: Accumulator, step_id: str = "step_1") -> dict[str, object]:
    found = run.run_step(step_id)
    assert found is not None
    return found.to_dict()


def details_json(run: Accumulator, step_id: str = "step_1") -> dict[str, object]:
    """Return the `step_details` of a step."""
    return cast("dict[str, object]", step_json(run, step_id)["step_details"])


def calls_json(run: Accumulator, step_id: str = "step_1") -> list[dict[str, object]]:
    """Return the tool calls of a step."""
    return cast("list[dict[str, object]]", details_json(run, step_id)["tool_calls"])


def faults(run: Accumulator) -> list[tuple[int, str, str, str, str | None]]:
    """Return every problem as event number, kind, path, raw text and step id."""
    return [(each.event_number, each.kind, each.path, each.raw, each.step_id) for each in run.problems]


def kinds(updates: list[Update]) -> list[str]:
    return [type(update).__name__ for update in updates]
