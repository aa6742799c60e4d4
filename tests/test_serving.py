"""The server on a port: over TCP and TLS, as a command, as a fixture, and with clients that misbehave."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from accumulator import Accumulator, TruncatedError, accumulate, connect, open_recordings
from accumulator._cli.serve import _announce, _is_loopback
from accumulator.rest import list_run_steps, resume, retrieve_run_step
from accumulator.server import Faults, ReplayServer, replay_app
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_SECOND
from tests.command import COMMAND, ENV, POSIX, cli, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

RUNS = "/v1/threads/thread_1/runs"
STREAM = {"assistant_id": "asst_1", "stream": True}
OUTPUTS = {"tool_outputs": [{"tool_call_id": "call_1", "output": "9 °C"}], "stream": True}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path, FIRST + SECOND)


# ---- On a port.


def test_a_run_is_played_over_tcp(path: Path) -> None:
    with ReplayServer(replay_app([path])) as server, httpx.Client(base_url=f"{server.url}/v1") as client:
        assert server.url.startswith("http://127.0.0.1:")
        with connect(client, "POST", "/threads/thread_1/runs", json=STREAM) as stream:
            run = stream.until_done()
        with connect(client, "POST", "/threads/t/runs/r/submit_tool_outputs", json=OUTPUTS, into=run) as stream:
            assert [STEP_AFTER_SECOND] == [step.to_dict() for step in stream.final_run_steps()]
        assert [STEP_AFTER_SECOND] == client.get("/threads/thread_1/runs/run_1/steps").json()["data"]
        assert None is server.ca


def test_a_cut_is_a_dropped_connection(path: Path) -> None:
    app = replay_app([path], faults=Faults(cut_after=3))
    with ReplayServer(app) as server, httpx.Client() as client:
        with connect(client, "POST", server.url + RUNS, json=STREAM) as stream, pytest.raises(TruncatedError) as caught:
            stream.final_run_steps()
        assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)
        assert 200 == client.get(f"{server.url}{RUNS}/run_1").status_code  # the server goes on


@pytest.mark.parametrize("cut", [1, 4, 30, 77])
def test_a_stream_that_it_cuts_is_completed_from_it(shipped: Path, cut: int) -> None:
    recording = shipped / "code_interpreter.sse"
    whole = accumulate(recording).until_done()
    expected = [step.to_dict() for step in whole.run_steps()]
    app = replay_app([recording], faults=Faults(cut_after=cut))
    with ReplayServer(app) as server, httpx.Client() as client:
        run, service = Accumulator(), f"{server.url}/v1"
        with connect(client, "POST", server.url + RUNS, json=STREAM, into=run) as stream, pytest.raises(TruncatedError):
            stream.final_run_steps()
        assert expected == [step.to_dict() for step in resume(client, service, run)]
        listed = list_run_steps(client, service, "thread_1", "run_1", limit=1, order="asc")
        assert expected == [step.to_dict() for step in listed]
        [first, *_] = expected
        assert first == retrieve_run_step(client, service, "thread_1", "run_1", str(first["id"])).to_dict()
    assert ("completed", len(expected)) == (run.outcome, len(run.run_steps()))


def test_an_id_may_have_a_slash_in_it(tmp_path: Path) -> None:
    path = recorded(tmp_path, (FIRST + SECOND).replace(b'"step_1"', '"step/ä?"'.encode()))
    with ReplayServer(replay_app([path])) as server, httpx.Client() as client:
        step = retrieve_run_step(client, f"{server.url}/a%2Fb", "thread/1", "run/1", "step/ä?")
        assert ("step/ä?", "completed") == (step.id, step.status)
        assert 404 == client.get(f"{server.url}{RUNS}/run_1/steps/%ff").status_code
        assert 404 == client.get(f"{server.url}{RUNS}%2Frun_1").status_code


@POSIX
def test_tls_has_a_certificate_of_its_own(path: Path) -> None:
    with ReplayServer(replay_app([path]), tls=True) as server:
        assert server.ca is not None
        port = server.url.rpartition(":")[2]
        context = ssl.create_default_context(cadata=server.ca.decode())
        for host in ("127.0.0.1", "localhost"):
            assert 200 == httpx.get(f"https://{host}:{port}/v1/threads/x", verify=context).status_code
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(server.url, verify=ssl.create_default_context())


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_an_ipv6_address_is_served(path: Path) -> None:
    try:
        server = ReplayServer(replay_app([path]), host="::1")
    except OSError:
        pytest.skip("needs the IPv6 loopback")
    with server:
        assert server.url.startswith("http://[::1]:")
        assert 200 == httpx.get(f"{server.url}/threads/x").status_code


# ---- Clients that misbehave.


def talk(server: ReplayServer, data: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        # The server may close without reading the rest: then any of these calls may find the connection gone.
        with suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
        return bytes(received)


def test_hostile_requests_are_refused_and_the_server_goes_on(path: Path) -> None:
    flood = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(200))
    closed = b"\r\nConnection: close\r\n\r\n"
    flooded = {True: b"HTTP/1.1 400 ", False: b""}  # the answer may be lost with the reset
    cases = {
        b"no http\r\n\r\n": b"HTTP/1.1 400 ",
        flood: b"HTTP/1.1 400 ",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1" + closed: b"HTTP/1.1 400 ",
        b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: h" + closed: b"HTTP/1.1 404 ",
        b"GET /threads/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: h" + closed: b"HTTP/1.1 200 ",  # an id
        b"GET /threads/x/messages?limit=a HTTP/1.1\r\nHost: h" + closed: b"HTTP/1.1 400 ",
        b"POST /threads HTTP/1.1\r\nHost: h\r\nContent-Length: 1" + closed + b"{": b"HTTP/1.1 400 ",
        b"HEAD /threads/x HTTP/1.1\r\nHost: h" + closed: b"HTTP/1.1 200 ",
        b"OPTIONS /threads HTTP/1.1\r\nHost: h" + closed: b"HTTP/1.1 204 ",
    }
    with ReplayServer(replay_app([path])) as server:
        for sent, expected in cases.items():
            received = talk(server, sent)
            assert expected == (received[: len(expected)] or flooded[len(sent) > 65_536]), sent[:60]
        assert 200 == httpx.get(f"{server.url}/threads/x").status_code


def test_a_client_that_leaves_ends_its_stream(path: Path) -> None:
    # The stall of an hour would hold the end of the server up.
    app = replay_app([path], faults=Faults(stall=3600))
    with ReplayServer(app) as server, httpx.Client() as client:
        with client.stream("POST", server.url + RUNS, json=STREAM) as response:
            assert FIRST_EVENTS[0] == next(response.iter_bytes())
        assert 200 == client.get(f"{server.url}/threads/x").status_code


# ---- The command.


@contextmanager
def running(*arguments: str | Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and yield it with its address."""
    command = [*COMMAND, "serve", "--port", "0", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENV) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@POSIX
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_streams_open(
    path: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    ca = tmp_path / "ca.pem"
    with running(path, "--stall", "3600", "--tls-ca", ca) as (process, url):
        context = ssl.create_default_context(cafile=str(ca))
        with httpx.Client(verify=context) as client, client.stream("POST", url + RUNS, json=STREAM) as response:
            chunks = response.iter_bytes()
            assert FIRST_EVENTS[0] == next(chunks)
            process.send_signal(number)
            with pytest.raises(httpx.RemoteProtocolError):
                next(chunks)
        out, err = process.communicate(timeout=30)
    assert (status, "") == (process.returncode, out)
    assert "serving 2 bodies of 1 run: only this machine reaches it\n" == err
    assert not ca.exists()


def test_the_command_says_who_can_reach_it(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ReplayServer(replay_app([path]), host="0.0.0.0") as server:  # noqa: S104 - that is the test
        _announce(server, list(open_recordings(path, recorded(path.parent, DONE, "b.sse"))), "0.0.0.0")  # noqa: S104
    said = "serving 3 bodies of 2 runs: other machines reach it, without a password\n"
    assert (f"{server.url}\n", said) == capfd.readouterr()
    assert [True, True, True, False, False] == [
        _is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "10.0.0.1", "example.org")
    ]


def test_what_cannot_be_served_is_told(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = cli("serve", path, tmp_path / "none")
    assert (2, f"{tmp_path}/none: expected a recording, got No such file or directory\n") == (
        missing.status,
        missing.err,
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = f"accumulator: expected to be able to listen on 127.0.0.1 port {port}: Address already in use\n"
        assert (2, b"", message) == cli("serve", path, "--port", port)
    assert 2 == cli("serve", path, "--host", "no such host", "--port", "0").status
    exists = cli("serve", path, "--port", "0", "--tls-ca", path)
    assert (2, f"accumulator: expected to be able to write {path}: File exists\n") == (exists.status, exists.err)
    huge = recorded(tmp_path, b"event: x\ndata: [" + b"0," * 100_001 + b"0]\n\n", "huge.sse")
    large = cli("serve", huge)
    message = "accumulator: expected recordings that can be folded: event 1: expected at most 100000 JSON values"
    assert (2, message) == (large.status, large.err[: len(message)])
    monkeypatch.setitem(sys.modules, "trustme", None)
    needed = cli("serve", path, "--port", "0", "--tls")
    message = "accumulator: --tls needs trustme: pip install 'delta-accumulator[server]'\n"
    assert (2, message) == (needed.status, needed.err)


def test_what_is_not_installed_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "accumulator.server")
    monkeypatch.delitem(sys.modules, "accumulator._server.app")
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    message = "accumulator: serve needs starlette: pip install 'delta-accumulator[server]'\n"
    assert (2, b"", message) == cli("serve", path)


# ---- The fixture.


@pytest.mark.accumulator_recording("recordings/file_search.sse")
def test_the_fixture_serves_the_recording_of_the_test(
    replay_server: Callable[..., ReplayServer], shipped: Path
) -> None:
    first = replay_server()
    assert (shipped / "file_search.sse").read_bytes() == httpx.post(first.url + RUNS, json=STREAM).content
    second = replay_server("recordings/file_search.sse", shipped / "error.sse", faults=Faults(status=500), by_run=True)
    assert 500 == httpx.get(f"{second.url}/threads/thread_1").status_code
    (error,) = open_recordings(shipped / "error.sse")
    third = replay_server(error)
    assert (shipped / "error.sse").read_bytes() == httpx.post(third.url + RUNS, json=STREAM).content
    SERVED.append(first.url)


SERVED: list[str] = []
"""The address of a server of the test before."""


def test_the_fixture_ends_with_its_test() -> None:
    for url in SERVED:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
