"""langchain-openai-api-bridge before a LangGraph agent whose model is made up: what it sends, and what comes of it.

It ends every run as `thread.run.completed` and `[DONE]`, or breaks off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from accumulator import MessageDone, MessageUpdated
from tests.servers.running import Call, Facts, Server, environment, fold, leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.running import Arguments, Fold

environment("bridge")

TEXT = "Guten Tag ☀"
HEADERS = {"Authorization": "Bearer none"}  # any key is right


def call(name: str, arguments: object, call_id: str, output: str) -> tuple[str, str, list[Call]]:
    """Return the step of a call, as the tool that ran gives it: the step's ending says `in_progress`, which is kept."""
    result = {"content": output, "tool_call_id": call_id, "status": "success"}
    return "tool_calls", "in_progress", [Call(name, json.dumps(arguments), json.dumps(result))]


WEATHER = call("get_weather", {"city": "Zürich"}, "call_1", "sunny in Zürich")
TIME = call("get_time", {"zone": "CET"}, "call_2", "noon in CET")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("bridge", tmp_path_factory.mktemp("bridge")) as running:
        yield running


@pytest.fixture
def runs(server: Server) -> str:
    """The address of the runs of a new thread, in which the user has asked something."""
    threads = f"{server.origin}/openai/v1/threads"
    thread = httpx.post(f"{threads}/", json={}).json()["id"]
    httpx.post(f"{threads}/{thread}/messages", json={"role": "user", "content": "Hello"}).raise_for_status()
    return f"{threads}/{thread}/runs"


@pytest.fixture
def arguments() -> Arguments:
    return lambda case: {"headers": HEADERS, "json": {"assistant_id": case, "model": "scripted", "stream": True}}


def test_a_text(run: Callable[[str], Fold]) -> None:
    folded = run("text")
    assert Facts("completed", messages=[("completed", TEXT)]) == folded.facts
    assert TEXT == folded.streamed_text


def test_a_tool_call(run: Callable[[str], Fold]) -> None:
    # The call is not streamed: the step comes with it when the tool starts, and once more with the output.
    folded = run("call")
    assert Facts("completed", [WEATHER], [("completed", TEXT)]) == folded.facts
    assert "" == folded.streamed_arguments
    assert TEXT == folded.streamed_text


def test_two_calls_at_once(run: Callable[[str], Fold]) -> None:
    # Each has a step of its own; which of the two starts first is up to the server's tasks.
    folded = run("calls")
    assert Facts("completed", [TIME, WEATHER], [("completed", TEXT)]) == folded.facts._replace(
        steps=sorted(folded.facts.steps, key=lambda step: str(step[2][0].name))
    )


def test_a_text_before_and_after_a_call(run: Callable[[str], Fold]) -> None:
    # One message for the whole run. It is completed with the first text, then gets the deltas of the second, and is
    # completed again with the second alone.
    folded = run("talk_and_call")
    late = ("late", "$.delta.content[0].text.value")
    problems = [late, late, ("contradiction", "$.content[0].text.value")]
    assert Facts("completed", [WEATHER], [("completed", TEXT)], problems) == folded.facts
    assert f"Moment. {TEXT}" == folded.streamed_text
    assert ["Moment. "] == [update.message.text for update in folded.updates if isinstance(update, MessageDone)]
    assert TEXT == [update.message.text for update in folded.updates if isinstance(update, MessageUpdated)][-1]


def test_a_length_stop(run: Callable[[str], Fold]) -> None:
    # The server does not tell it from an end.
    assert Facts("completed", messages=[("completed", "Guten ")]) == run("length").facts


@pytest.mark.parametrize(("case", "messages"), [("model_error", [("in_progress", "Guten ")]), ("error_first", [])])
def test_an_error_of_the_model(run: Callable[[str], Fold], case: str, messages: list[tuple[str, str]]) -> None:
    # The server says nothing and breaks the connection off.
    folded = run(case)
    assert Facts("truncated", messages=[*messages], open=len(messages)) == folded.facts
    assert isinstance(folded.broken, httpx.RemoteProtocolError)


def test_a_run_without_a_model(runs: str, way: str) -> None:
    # The protocol lets a run take its assistant's model. The server answers 200 and breaks off before the first event.
    folded = fold(way, runs, headers=HEADERS, json={"assistant_id": "text", "stream": True})
    assert (Facts("truncated"), b"") == (folded.facts, folded.saved.data)
    assert isinstance(folded.broken, httpx.RemoteProtocolError)


def test_a_client_that_goes_away(server: Server, runs: str, way: str, arguments: Arguments) -> None:
    folded = leave(way, runs, **arguments("leave"))
    assert Facts("truncated", messages=[("in_progress", "Guten ")]) == folded.facts
    server.wait_left(runs)
