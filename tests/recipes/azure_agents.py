"""A run with azure-ai-agents as the client, and an event handler that folds what the SDK only hands on.

The SDK opens the streams and chains the second body of a run behind the first; the handler reads their bytes. What it
hands out are this library's updates; `handler.run` is the run so far.
"""

# The SDK leaves open what its methods take for a handler.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.ai.agents.models import BaseAgentEventHandler, ToolOutput

from accumulator import FunctionToolCall, RequiresAction, Update, accumulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.ai.agents import AgentsClient

    from accumulator import Accumulator


class RunEventHandler(BaseAgentEventHandler[Update]):
    """An event handler for `client.runs.stream`: an iterator of updates, which `until_done` drains.

    What it raises is the stream's: `TruncatedError` for a dropped connection, as from `accumulate`.
    """

    def __init__(self, run: Accumulator | None = None) -> None:
        super().__init__()
        self._stream = accumulate(self._chunks(), into=run)
        self.run = self._stream.accumulator

    def __next__(self) -> Update:
        return next(self._stream)

    def _chunks(self) -> Iterator[bytes]:
        # Looked up for every chunk: the SDK puts a longer chain here when tool outputs are submitted.
        while self.response_iterator is not None and (chunk := next(self.response_iterator, None)) is not None:
            yield chunk


def run_agent(
    client: AgentsClient, thread_id: str, agent_id: str, call_function: Callable[[FunctionToolCall], str]
) -> Accumulator:
    """Start a run, answer its function calls while the stream goes on, and give all that came of it."""
    handler = RunEventHandler()
    with client.runs.stream(thread_id, agent_id=agent_id, event_handler=handler):
        for update in handler:
            if isinstance(update, RequiresAction):
                calls = [call for call in update.required_action.tool_calls if isinstance(call, FunctionToolCall)]
                client.runs.submit_tool_outputs_stream(
                    thread_id,
                    str(update.run.id),
                    tool_outputs=[ToolOutput(tool_call_id=str(call.id), output=call_function(call)) for call in calls],
                    event_handler=handler,
                )
    return handler.run
