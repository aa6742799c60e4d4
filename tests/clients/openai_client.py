"""openai-python: read a served recording with every call that the server answers, and print it as JSON.

It runs in an environment with one version of the SDK. Its argument are the jobs, see
`test_served`; it prints a line for each.
"""

# The environment of the types has another version than this script is run with.
# mypy: ignore-errors

from __future__ import annotations

import json
import sys
import warnings

from openai import APIError, APIStatusError, AzureOpenAI, OpenAI

INCLUDE = ["step_details.tool_calls[*].file_search.results[*].content"]


def plain(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a tool that the SDK does not know
        return model.to_dict(mode="json", use_api_names=True, exclude_unset=True)


def drain(stream):
    events = []
    try:
        for event in stream:
            events.append([event.event, plain(event.data)])
    except APIError as error:
        events.append(["error", {"error": error.body}])
    except UnicodeDecodeError:  # of a character that is cut off
        pass
    return events


def main(job):
    if job["azure"]:
        client = AzureOpenAI(azure_endpoint=job["url"], api_version="2024-05-01-preview", api_key="any")
    else:
        client = OpenAI(base_url=job["url"] + "/v1", api_key="any")
    threads = client.beta.threads
    assistant = client.beta.assistants.create(model="any")
    thread = threads.create(messages=[{"role": "user", "content": "any"}])
    added = threads.messages.create(thread.id, role="user", content="Grüezi")
    run_id, events, answered = job["run_id"], [], []

    def play(stream):
        for number, asked in enumerate(job["asked"]):
            if number == 0:
                yield threads.runs.create(thread.id, assistant_id=assistant.id, stream=stream)
            else:
                outputs = [{"tool_call_id": ident, "output": "any"} for ident in asked]
                yield threads.runs.submit_tool_outputs(run_id, thread_id=thread.id, tool_outputs=outputs, stream=stream)

    for stream in play(True):
        events.append(drain(stream))
    steps = threads.runs.steps
    listed = [plain(step) for step in steps.list(run_id, thread_id=thread.id, limit=1, order="asc", include=INCLUDE)]
    result = {
        "events": events,
        "assistant": plain(assistant),
        "assistant_again": plain(client.beta.assistants.retrieve(assistant.id)),
        "thread": plain(thread),
        "thread_again": plain(threads.retrieve(thread.id)),
        "added": added.content[0].text.value,
        "run": plain(threads.runs.retrieve(run_id, thread_id=thread.id)),
        "runs": [plain(run) for run in threads.runs.list(thread.id)],
        "steps": listed,
        "steps_newest_first": [
            plain(step) for step in steps.list(run_id, thread_id=thread.id, limit=2, include=INCLUDE)
        ],
        "steps_by_id": [
            plain(steps.retrieve(step["id"], thread_id=thread.id, run_id=run_id, include=INCLUDE)) for step in listed
        ],
        "messages": [plain(each) for each in threads.messages.list(thread.id, limit=1, order="asc")],
    }
    for run in play(False):
        answered.append(plain(run))
    result["answered"] = answered
    try:
        result["cancelled"] = plain(threads.runs.cancel(run_id, thread_id=thread.id))["status"]
    except APIStatusError as error:
        result["cancelled"] = error.status_code
    try:
        threads.runs.create(thread.id, assistant_id=assistant.id)
    except APIStatusError as error:
        result["exhausted"] = [error.status_code, error.code]
    result["deleted"] = [client.beta.assistants.delete(assistant.id).deleted, threads.delete(thread.id).deleted]
    return result


for each in json.loads(sys.argv[1]):
    print(json.dumps(main(each)))
