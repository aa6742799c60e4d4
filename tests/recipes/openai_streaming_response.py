"""A run with openai-python as the client: it sends the requests, this library reads the answers.

`with_streaming_response` hands out the response before the SDK parses it. Function calls are answered, and all bodies
of the run go into one accumulator.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from accumulator import Accumulator, FunctionToolCall, accumulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from openai import OpenAI


def run_agent(
    client: OpenAI, thread_id: str, assistant_id: str, call_function: Callable[[FunctionToolCall], str]
) -> Accumulator:
    """Start a run, print its text while it is written, answer its function calls, and give all that came of it."""
    runs = client.beta.threads.runs.with_streaming_response
    run = Accumulator()
    with runs.create(thread_id, assistant_id=assistant_id, stream=True) as response:
        show(response, run)
    while run.outcome == "requires_action" and run.current_run and run.required_action:
        calls = [call for call in run.required_action.tool_calls if isinstance(call, FunctionToolCall)]
        with runs.submit_tool_outputs(
            str(run.current_run.id),
            thread_id=thread_id,
            tool_outputs=[{"tool_call_id": str(call.id), "output": call_function(call)} for call in calls],
            stream=True,
        ) as response:
            show(response, run)
    return run


def show(response: object, run: Accumulator) -> None:
    """Read one body of a run to its end, and print the text in it."""
    for text in accumulate(response, into=run).text_deltas():
        sys.stdout.write(text)
        sys.stdout.flush()
