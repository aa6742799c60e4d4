"""A server that plays a run in two bodies: up to where it waits for its tools, and on from what is submitted.

Two addresses: `POST .../runs` begins the run, `POST .../runs/<id>/submit_tool_outputs` goes on. What is submitted must
be what the recording of the second body has as the calls' outputs; where it is not, the test fails. The functions that
the shipped run calls are here too.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from accumulator import FunctionToolCall

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accumulator import Accumulator, RequiredAction
    from tests.loopback import Exchange


def get_forecast(arguments: dict[str, object]) -> object:
    days = arguments["days"]
    assert isinstance(days, int)
    return {"max": [9.5, 11.0, 8.0][:days], "sky": "bewölkt"}


def convert_currency(arguments: dict[str, object]) -> object:
    amount, rate = arguments["amount"], 187.25
    assert isinstance(amount, float)
    return {"amount": amount * rate, "rate": rate}


FUNCTIONS: dict[str | None, Callable[[dict[str, object]], object]] = {
    "get_forecast": get_forecast,
    "convert_currency": convert_currency,
}


def answers(action: RequiredAction | None) -> dict[str, object]:
    """Run the functions that a run waits for, and return the request that submits what they gave."""
    outputs: list[object] = []
    for call in action.tool_calls if action else ():
        assert isinstance(call, FunctionToolCall)
        assert call.function is not None
        result = FUNCTIONS[call.function.name](cast("dict[str, object]", call.function.parse_arguments()))
        outputs.append({"tool_call_id": call.id, "output": json.dumps(result)})
    return {"tool_outputs": outputs, "stream": True}


def submit_url(url: str, run: Accumulator) -> str:
    assert run.current_run is not None
    return f"{url}/{run.current_run.id}/submit_tool_outputs"


def function_run(recordings: Path) -> Callable[[Exchange], None]:
    """Return the script of the shipped run that calls two functions at once."""
    first = (recordings / "parallel_functions_1.sse").read_bytes()
    second = (recordings / "parallel_functions_2.sse").read_bytes()
    return two_bodies(first, second, {"tool_outputs": _outputs(second), "stream": True})


def two_bodies(first: bytes, second: bytes, submitted: object) -> Callable[[Exchange], None]:
    """Return a script that plays the first body, and the second to whoever submits this for the same run."""
    [run_id] = {found.decode() for found in re.findall(rb'"id":"(run_\w+)"', first)}
    begin = "POST /v1/threads/thread_1/runs HTTP/1.1"
    go_on = f"POST /v1/threads/thread_1/runs/{run_id}/submit_tool_outputs HTTP/1.1"

    def script(exchange: Exchange) -> None:
        assert exchange.request_line in {begin, go_on}
        body = json.loads(exchange.body)
        if exchange.request_line == go_on:
            assert submitted == _plain(body)
        exchange.head()
        exchange.chunk(second if exchange.request_line == go_on else first)
        exchange.end()

    return script


def _outputs(body: bytes) -> list[object]:
    """Return what was submitted before a recorded body: it begins with the ending of the step that waited."""
    step = json.loads(re.findall(rb"^data: (.*)$", body, re.MULTILINE)[0])
    return [
        {"tool_call_id": call["id"], "output": json.loads(call["function"]["output"])}
        for call in step["step_details"]["tool_calls"]
    ]


def _plain(submitted: dict[str, object]) -> dict[str, object]:
    """Read the text of each output: its spaces and escapes are the caller's choice."""
    if "tool_outputs" not in submitted:
        return submitted
    outputs = cast("list[dict[str, str]]", submitted["tool_outputs"])
    return {**submitted, "tool_outputs": [{**output, "output": json.loads(output["output"])} for output in outputs]}
