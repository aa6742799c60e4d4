"""LlampHouse, with agents whose models are made up: what it sends, and what the library makes of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from accumulator import ErrorReceived, OtherStepDetails
from tests.conftest import ROOT
from tests.loopback import PATIENCE
from tests.servers.running import Call, Facts, Server, environment, leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.running import Arguments, Fold

environment("llamphouse")

TEXT = "Guten Tag ☀"
WEATHER = Call("get_weather", '{"city": "Zürich"}')
TIME = Call("get_time", '{"zone": "CET"}')
TEXT_AS_STRING = ("shape", "$.content[0].text")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("llamphouse", tmp_path_factory.mktemp("llamphouse")) as running:
        yield running


@pytest.fixture
def runs(server: Server) -> str:
    """The address of a new thread's runs."""
    thread = httpx.post(f"{server.origin}/threads", json={}).json()
    return f"{server.origin}/threads/{thread['id']}/runs"


# The server reads the model's stream. It ends such a body with `event: done` over an object and never sends
# `thread.run.completed`: the object's status is the outcome.


def test_a_text(run: Callable[[str], Fold]) -> None:
    folded = run("text")
    assert Facts("completed", messages=[("completed", TEXT)]) == folded.facts
    assert TEXT == folded.streamed_text
    assert b'event: done\ndata: {"id": "' in folded.saved.data
    assert b"thread.run.completed" not in folded.saved.data


def test_a_tool_call(run: Callable[[str], Fold]) -> None:
    # The object says `completed` also where the run waits for the tool.
    folded = run("call")
    assert Facts("completed", [("tool_calls", "completed", [WEATHER])]) == folded.facts
    assert WEATHER.arguments == folded.streamed_arguments


def test_two_calls_at_once(run: Callable[[str], Fold]) -> None:
    # Each call has a step of its own, and each is index 0 of it. Only the last step is ended; the first stays open,
    # whose status is the `completed` that its `created` says.
    folded = run("calls")
    steps = [("tool_calls", "completed", [call]) for call in (WEATHER, TIME)]
    assert Facts("completed", steps, open=1) == folded.facts
    assert f"{WEATHER.arguments}{TIME.arguments}" == folded.streamed_arguments
    assert 1 == folded.saved.data.count(b"event: thread.run.step.completed")


def test_a_length_stop(run: Callable[[str], Fold]) -> None:
    # Said as an error, and then as `done` over an object that says `completed`: the error counts.
    folded = run("length")
    assert Facts("error", messages=[(None, "Guten ")], open=1) == folded.facts
    assert folded.run.error is not None
    assert ("Stream ended with finish_reason=length", "length") == (folded.run.error.message, folded.run.error.code)


def test_an_error_of_the_model(run: Callable[[str], Fold]) -> None:
    # An error, then `done` over an object that says `completed`.
    folded = run("model_error")
    assert Facts("error", messages=[(None, "Guten ")], open=1) == folded.facts
    assert folded.run.error is not None
    assert ("the model is gone", "openai_stream_error") == (folded.run.error.message, folded.run.error.code)
    assert 1 == folded.saved.data.count(b"event: error")


# The agent sends by itself, and the worker ends the run: `thread.run.completed`, then `[DONE]`.


def test_a_reply_as_a_whole(run: Callable[[str], Fold]) -> None:
    # The text of a content part is a string where the API has an object: a problem in each of the three events, and the
    # message is there nevertheless.
    folded = run("reply")
    expected = Facts("completed", [("message_creation", "completed", [])], [("completed", TEXT)], [TEXT_AS_STRING] * 3)
    assert expected == folded.facts


def test_pieces_of_a_text(run: Callable[[str], Fold]) -> None:
    # No ending comes for the message.
    folded = run("chunks")
    assert Facts("completed", messages=[("in_progress", TEXT)], open=1) == folded.facts
    assert TEXT == folded.streamed_text


def test_a_step_of_a_type_of_its_own(run: Callable[[str], Fold]) -> None:
    folded = run("step")
    steps: list[tuple[str, str, list[Call]]] = [("step", "completed", []), ("message_creation", "completed", [])]
    assert Facts("completed", steps, [("completed", "5")], [TEXT_AS_STRING] * 3) == folded.facts
    details = folded.run.run_steps()[0].step_details
    assert isinstance(details, OtherStepDetails)
    assert {"type": "step", "name": "add", "input": {"left": 2, "right": 3}, "output": 5} == details.to_dict()


def test_an_agent_that_raises(run: Callable[[str], Fold]) -> None:
    # `thread.run.failed` and an error come, 30 seconds of nothing, a second error; there is no `done`. These tests make
    # the server wait for one second only.
    folded = run("agent_error")
    assert Facts("error", messages=[("in_progress", "Guten ")], open=1) == folded.facts
    assert folded.run.error is not None
    assert ("the agent is broken", "server_error") == (folded.run.error.message, folded.run.error.code)
    assert folded.run.current_run is not None
    assert "failed" == folded.run.current_run.status
    assert [False, True] == [
        "timeout" in str(update.error.message) for update in folded.updates if isinstance(update, ErrorReceived)
    ]


def test_a_client_that_goes_away(server: Server, runs: str, way: str, arguments: Arguments) -> None:
    folded = leave(way, runs, **arguments("leave"))
    assert Facts("truncated", messages=[("in_progress", "Guten ")]) == folded.facts
    server.wait_left(runs)


def test_a_server_ends_with_the_tests(tmp_path: Path) -> None:
    # Also where they are killed: then nothing of them can stop it.
    code = """if True:
        import os, signal, sys
        from pathlib import Path
        from tests.servers.running import Server

        server = Server("llamphouse", Path(sys.argv[1])).__enter__()
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    assert -signal.SIGKILL == killed.returncode
    with suppress(ProcessLookupError):  # it has ended already
        running = os.pidfd_open(int(killed.stdout))
        assert [running] == select.select([running], [], [], PATIENCE)[0]
        os.close(running)
