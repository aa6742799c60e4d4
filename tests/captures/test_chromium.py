"""What Chromium captures of a stream, over its DevTools protocol: a HAR as the network panel exports it.

The protocol itself has no HAR. Its `Network` events are put together as the panel does: the text of a body that was
fetched is `content.text`, the events of an `EventSource` are `_eventSourceMessages`.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from accumulator import accumulate, open_recordings
from tests.bodies import DONE, FIRST, FIRST_EVENTS
from tests.loopback import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-pipe",
    # It asks nobody but the server of the test.
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PAGE = b"""<!doctype html><title>capture</title><script>
const read = fetch("/run").then((answer) => answer.text());
const heard = new Promise((resolve) => {
  const source = new EventSource("/run");
  source.addEventListener("done", () => { source.close(); resolve(); });
});
Promise.all([read, heard]).then(() => console.log("captured"));
</script>"""


class Handler(BaseHTTPRequestHandler):
    """Answers with the page, or with the stream, event by event. No charset is named, as some servers do."""

    def do_GET(self) -> None:
        is_run = self.path == "/run"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if is_run else "text/html")
        self.end_headers()
        for piece in [*FIRST_EVENTS, DONE] if is_run else [PAGE]:
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


class Browser:
    """A browser that is told what to do over a pipe: messages in JSON, each with a zero byte behind it."""

    def __init__(self, to: int, of: int) -> None:
        self._to, self._of = to, of
        self._count = 0
        self._buffer = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """Call a method, and return its result. Events that come meanwhile are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        os.write(self._to, json.dumps({**message, "sessionId": session} if session else message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]  # type: ignore[no-any-return]
            self.events.append(answer)

    def wait_for(self, method: str) -> None:
        """Read until an event has come."""
        while not any(each.get("method") == method for each in self.events):
            self.events.append(self._read())

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._of], [], [], PATIENCE)[0], f"nothing came, after {self.events[-3:]}"
            piece = os.read(self._of, 65_536)
            assert piece, "the browser has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]


@contextmanager
def started(profile: Path) -> Generator[Browser]:
    """Start the browser. It reads from descriptor 3 and writes to descriptor 4."""
    theirs_in, to = os.pipe()
    of, theirs_out = os.pipe()
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    command = ["/bin/bash", "-c", script, "sh", str(CHROMIUM), *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        browser = Browser(to, of)
        try:
            yield browser
            browser.call("Browser.close")
            process.wait(PATIENCE)
        finally:
            process.kill()  # nothing happens if it has ended
            os.close(to)
            os.close(of)


def make_har(browser: Browser, session: str) -> dict[str, object]:
    """Put events of the protocol together as the network panel does."""
    entries: dict[str, dict[str, Any]] = {}
    wall: dict[str, float] = {}
    for each in browser.events:
        params, method = each.get("params", {}), each.get("method", "")
        ident = params.get("requestId")
        if method == "Network.requestWillBeSent":
            wall[ident] = params["wallTime"] - params["timestamp"]
            request = {"method": params["request"]["method"], "url": params["request"]["url"]}
            entries[ident] = {"request": request, "_eventSourceMessages": []}
        elif method == "Network.responseReceived":
            response = params["response"]
            content = {"mimeType": response["mimeType"]}
            entries[ident]["response"] = {"status": response["status"], "content": content}
        elif method == "Network.eventSourceMessageReceived":
            time = params["timestamp"] + wall[ident]
            message = {"time": time, **{key: params[key] for key in ("eventName", "eventId", "data")}}
            entries[ident]["_eventSourceMessages"].append(message)
    answered = {ident: entry for ident, entry in entries.items() if "response" in entry}  # the icon may not be
    for ident, entry in answered.items():
        if not entry["_eventSourceMessages"]:
            del entry["_eventSourceMessages"]
            body = browser.call("Network.getResponseBody", session, requestId=ident)
            entry["response"]["content"]["text"] = body["body"]
            if body["base64Encoded"]:
                entry["response"]["content"]["encoding"] = "base64"
    return {"log": {"version": "1.2", "creator": {"name": "WebInspector"}, "entries": list(answered.values())}}


@pytest.mark.usefixtures("tools")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_capture_folds_to_what_its_stream_does(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with started(tmp_path / "profile") as browser:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Network", "Runtime", "Page"):
                browser.call(f"{domain}.enable", session)
            browser.call("Page.navigate", session, url=f"http://127.0.0.1:{server.server_port}/")
            browser.wait_for("Runtime.consoleAPICalled")
            path = tmp_path / "run.har"
            path.write_text(json.dumps(make_har(browser, session)), encoding="utf-8")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    both = list(open_recordings(path))
    bodies = [body for recording in both for body in recording.bodies]
    expected = accumulate([FIRST]).until_done().run_steps()
    assert [False, True] == sorted(body.times for body in bodies)
    for body in bodies:
        assert FIRST == b"".join(body)
        assert expected == accumulate(body).until_done().run_steps()
        times = [chunk.seconds for chunk in body.chunks() if chunk.seconds is not None]
        assert times == sorted(times)
