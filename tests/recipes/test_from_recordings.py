"""Tests of an application against recorded runs: no network, no client, no key.

The fixtures belong into your `conftest.py`, `RECORDINGS` is your folder of `.sse` files, each the body of an answer as
the server sent it. `recorded` is for code that is handed a run; `agent_server` for code that asks for one over HTTP: it
answers one request after the other with the recordings that the test names.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from accumulator import Accumulator, accumulate, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORDINGS = Path(__file__).parent.parent / "recordings"


@pytest.fixture
def recorded() -> Callable[..., Accumulator]:
    """Give a function that folds recordings, by name, into one run."""

    def fold(*names: str) -> Accumulator:
        run = Accumulator()
        for name in names:
            with (RECORDINGS / f"{name}.sse").open("rb") as stream:
                accumulate(stream, into=run).until_done()
        return run

    return fold


@pytest.fixture
def agent_server() -> Iterator[Callable[..., str]]:
    """Give a function that makes the server answer with recordings, by name, and returns its address."""
    bodies: list[bytes] = []

    class Player(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(bodies.pop(0))

        def log_message(self, *args: object, **kwargs: object) -> None:
            """Print nothing among the tests."""

    def play(*names: str) -> str:
        bodies.extend((RECORDINGS / f"{name}.sse").read_bytes() for name in names)
        return f"http://127.0.0.1:{server.server_port}"

    with HTTPServer(("127.0.0.1", 0), Player) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield play
        server.shutdown()
        thread.join()


# What is to be tested: one function that is handed a run, one that asks for it.


def code_of(run: Accumulator) -> list[str]:
    return [call.input or "" for call in run.tool_calls() if call.type == "code_interpreter"]


def ask(client: httpx.Client, url: str) -> Accumulator:
    with connect(client, "POST", f"{url}/threads/runs", json={"assistant_id": "asst_1", "stream": True}) as stream:
        return stream.until_done()


# The tests.


def test_the_code_is_whole(recorded: Callable[..., Accumulator]) -> None:
    [code] = code_of(recorded("code_interpreter"))
    assert code.splitlines()[-1] == "plt.show()"


def test_a_run_over_two_bodies_is_completed(recorded: Callable[..., Accumulator]) -> None:
    run = recorded("parallel_functions_1", "parallel_functions_2")
    assert [step.status for step in run.run_steps()] == ["completed", "completed"]


@pytest.mark.parametrize(("name", "outcome"), [("file_search", "completed"), ("error", "error")])
def test_asking_over_http(agent_server: Callable[..., str], name: str, outcome: str) -> None:
    with httpx.Client() as client:
        assert ask(client, agent_server(name)).outcome == outcome


def test_the_code_of_a_run_that_was_cut_is_there_as_far_as_it_came(agent_server: Callable[..., str]) -> None:
    with httpx.Client() as client:
        run = ask(client, agent_server("truncated"))
    [code] = code_of(run)
    assert (run.outcome, code.splitlines()[0]) == ("truncated", "import matplotlib.pyplot as plt")
