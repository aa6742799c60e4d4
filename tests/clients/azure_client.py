"""azure-ai-agents: read a served recording over TLS, with automatic function calls, and print it as JSON.

It runs in an environment with the SDK. Its argument are the jobs, see
`test_served`; it prints a line for each.
"""

# The SDK leaves open what its methods take.
# mypy: ignore-errors

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

from azure.ai.agents import AgentsClient
from azure.ai.agents.models import AgentEventHandler, FunctionTool
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError

INCLUDE = ["step_details.tool_calls[*].file_search.results[*].content"]


class AnyCredential:
    """Has a token that no server asks for."""

    def get_token(self, *_scopes, **_options):
        return AccessToken("any", int(time.time()) + 3600)


class Functions(FunctionTool):
    """Answers the functions that the run calls."""

    def __init__(self, names):
        super().__init__({make_function(name) for name in names})
        self.called = []

    def execute(self, tool_call):
        self.called.append(tool_call.id)
        return "any"


def make_function(name):
    def function():
        """Return anything."""

    function.__name__ = name
    return function


def plain(model):
    return model.as_dict()


def approvals(asked):
    """Return what this version of the SDK has no class for."""
    return {"tool_approvals": [{"tool_call_id": ident, "approve": True} for ident in asked]}


def drain(client, job, functions):
    """Stream the run: the SDK calls functions and goes on by itself; approvals are submitted here."""
    thread_id, run_id = job["thread_id"], job["run_id"]
    events = []

    def read(handler):
        with suppress(UnicodeDecodeError):  # of a character that is cut off
            events.extend(handler)

    with client.runs.stream(thread_id, agent_id=job["assistant_id"]) as handler:
        read(handler)
    for asked in job["asked"][1:]:
        if not set(asked) & set(functions.called):
            handler, body = AgentEventHandler(), {**approvals(asked), "stream": True}
            client.runs.submit_tool_outputs_stream(thread_id, run_id, body, event_handler=handler, stream=True)
            read(handler)
    return [
        [getattr(name, "value", name), plain(data) if hasattr(data, "as_dict") else data] for name, data, _ in events
    ]


def answered(client, job):
    thread_id, run_id = job["thread_id"], job["run_id"]
    for number, asked in enumerate(job["asked"]):
        if number == 0:
            yield client.runs.create(thread_id, agent_id=job["assistant_id"])
        elif job["approvals"]:
            yield client.runs.submit_tool_outputs(thread_id, run_id, approvals(asked))
        else:
            outputs = [{"tool_call_id": ident, "output": "any"} for ident in asked]
            yield client.runs.submit_tool_outputs(thread_id, run_id, tool_outputs=outputs)


def status_of(call):
    try:
        return call()
    except HttpResponseError as error:
        return error


def main(job):
    client = AgentsClient(job["url"] + "/api/projects/any", AnyCredential(), connection_verify=job["ca"])
    functions = Functions(job["functions"])
    client.enable_auto_function_calls(functions)
    thread_id, run_id = job["thread_id"], job["run_id"]
    agent = client.create_agent(model="any")
    thread = client.threads.create()
    added = client.messages.create(thread_id, role="user", content="Grüezi")
    events = drain(client, job, functions)
    steps = [plain(step) for step in client.run_steps.list(thread_id, run_id, limit=1, order="asc", include=INCLUDE)]
    result = {
        "events": events,
        "assistant": plain(agent),
        "assistant_again": plain(client.get_agent(agent.id)),
        "thread": plain(thread),
        "thread_again": plain(client.threads.get(thread_id)),
        "added": added.content[0].text.value,
        "run": plain(client.runs.get(thread_id, run_id)),
        "runs": [plain(run) for run in client.runs.list(thread_id)],
        "steps": steps,
        "steps_newest_first": [
            plain(step) for step in client.run_steps.list(thread_id, run_id, limit=2, include=INCLUDE)
        ],
        "steps_by_id": [plain(client.run_steps.get(thread_id, run_id, step["id"], include=INCLUDE)) for step in steps],
        "messages": [plain(each) for each in client.messages.list(thread_id, limit=1, order="asc")],
        "answered": [plain(run) for run in answered(client, job)],
        "called": functions.called,
    }
    cancelled = status_of(lambda: client.runs.cancel(thread_id, run_id))
    result["cancelled"] = getattr(cancelled, "status_code", None) or cancelled.status
    exhausted = status_of(lambda: client.runs.create(thread_id, agent_id=agent.id))
    result["exhausted"] = [exhausted.status_code, exhausted.error.code if exhausted.error else None]
    client.delete_agent(agent.id)
    client.threads.delete(thread_id)
    result["deleted"] = [True, True]
    return result


for each in json.loads(sys.argv[1]):
    print(json.dumps(main(each), default=str))
