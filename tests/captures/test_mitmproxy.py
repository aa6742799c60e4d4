"""What mitmproxy captures of a stream: its HAR folds to what the stream does, and its flow file is named."""

from __future__ import annotations

import gzip
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from accumulator import RecordingError, accumulate, open_recordings
from tests.bodies import FIRST, SECOND
from tests.loopback import Loopback

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loopback import Exchange

_LISTENS = re.compile(r"listening at (?:http://)?(127\.0\.0\.1:\d+)")
BODIES = {"/plain": FIRST, "/gzip": SECOND, "/other": b'{"id": "thread_1"}'}


def answer(exchange: Exchange) -> None:
    path = "/" + exchange.request_line.split()[1].rpartition("/")[2]
    kind = "application/json" if path == "/other" else f"text/event-stream{'; charset=utf-8' * (path == '/gzip')}"
    packed = {"Content-Encoding": "gzip"} if path == "/gzip" else {}
    exchange.head(headers={"Content-Type": kind, **packed})
    data = gzip.compress(BODIES[path]) if packed else BODIES[path]
    for at in range(0, len(data), 50):
        exchange.chunk(data[at : at + 50])
    exchange.end()


@pytest.fixture(params=["buffered", "streamed"])
def captured(tools: Path, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Capture three answers, as a HAR and as a flow file, and return how, and the folder."""
    options = ["--set", f"hardump={tmp_path / 'run.har'}", "-w", str(tmp_path / "run.flow")]
    options += ["--set", "stream_large_bodies=1"] if request.param == "streamed" else []
    command = [
        str(tools / "mitmproxy" / "bin" / "mitmdump"),
        "--listen-host",
        "127.0.0.1",
        "--listen-port",
        "0",
        *options,
    ]
    with (
        Loopback(answer) as server,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONUNBUFFERED": "1"}) as proxy,
    ):
        assert proxy.stdout is not None
        address = next(found[1] for line in proxy.stdout if (found := _LISTENS.search(line)))
        with httpx.Client(proxy=f"http://{address}") as client:
            for path, body in BODIES.items():
                assert body == client.get(server.origin + path).content
        proxy.send_signal(signal.SIGINT)
        proxy.communicate()
    return str(request.param), tmp_path


def test_a_capture_folds_to_what_its_stream_does_or_says_what_it_lacks(captured: tuple[str, Path], tools: Path) -> None:
    how, folder = captured
    with pytest.raises(RecordingError) as caught:
        list(open_recordings(folder / "run.flow"))
    assert "a flow file of mitmproxy; export it as HAR: mitmdump -nr FILE --set hardump=FILE.har" in str(caught.value)
    exported = folder / "exported.har"
    hint = ["-nr", str(folder / "run.flow"), "--set", f"hardump={exported}"]
    subprocess.run([tools / "mitmproxy" / "bin" / "mitmdump", *hint], check=True, capture_output=True)
    for path in (folder / "run.har", exported):
        if how == "streamed":
            with pytest.raises(RecordingError, match="lacks the contents of its event streams"):
                list(open_recordings(path))
            continue
        (recording,) = open_recordings(path)
        assert [FIRST, SECOND] == [b"".join(body) for body in recording.bodies]
        expected = accumulate([FIRST, SECOND]).final_run_steps()
        assert expected == accumulate(path).final_run_steps()
