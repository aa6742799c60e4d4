"""The server under load: `python -m tests.load` prints how many answers were right, and what memory it took.

`--streams 200 --seconds 30` by default. The recordings of the project are played event by event, in a process of their
own, to so many clients at a time, each of which streams all bodies of a run over and over, and reads its steps after
each. Beside them, as many clients as `--stuck` says begin a large body and never read. Every answer is compared with
the recording. In the end the server gets Ctrl-C while all streams are open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx

from accumulator import Accumulator, Recorder, accumulate, open_recordings
from accumulator._server.answers import CONTENT
from tests import wire
from tests.clock import Clock
from tests.command import COMMAND, ENV
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accumulator import Recording

PACE = 0.05
"""Seconds between two events."""

LARGE = 20_000_000


class Played(NamedTuple):
    """What a client asks for and gets: each body with the request for it, and the steps behind it."""

    thread_id: str
    run_id: str
    requests: list[dict[str, object]]
    bodies: list[bytes]
    steps: list[object]


def record(folder: Path) -> None:
    """Record the project's recordings event by event, and a large one without times."""
    for source in sorted((ROOT / "tests" / "recordings").glob("*.sse")):
        clock = Clock()
        with Recorder(folder / source.name, clock=clock) as recorder:
            data = source.read_bytes()
            events = [event + b"\n\n" for event in data.split(b"\n\n") if event] if data.endswith(b"\n\n") else [data]
            for _ in recorder.record(events):
                clock.now += PACE
    texts = (wire.delta("step_large", wire.fragment(0, "x" * 50_000)) for _ in range(LARGE // 50_000))
    ids = {"thread_id": "thread_large", "run_id": "run_large"}
    (folder / "large.sse").write_bytes(wire.created("step_large", **ids) + b"".join(texts) + wire.DONE)


def read(recording: Recording) -> Played:
    """Return what is to come of a recording."""
    run, requests, bodies, steps = Accumulator(), [dict[str, object]()], list[bytes](), list[object]()
    for body in recording.bodies:
        bodies.append(b"".join(body))
        accumulate(iter(body), into=run).until_done()
        steps.append([step.to_dict() for step in run.run_steps()])
        action = run.required_action
        calls = () if action is None else action.tool_calls
        requests.append({"tool_outputs": [{"tool_call_id": call.id, "output": "any"} for call in calls]})
    first = run.run_steps()[0]
    return Played(str(first.thread_id), str(first.run_id), requests, bodies, steps)


async def follow(url: str, played: Played, counts: Counter[str]) -> None:
    """Stream a run over and over on a connection of its own, and count what is right and what is not."""
    # A client for each: one with a pool of so many connections is what takes the time then.
    async with httpx.AsyncClient(base_url=url, timeout=60, verify=False) as client:  # noqa: S501 - there is no TLS
        while True:
            await follow_once(client, played, counts)


async def follow_once(client: httpx.AsyncClient, played: Played, counts: Counter[str]) -> None:
    runs = f"/v1/threads/{played.thread_id}/runs"
    for number, (request, body) in enumerate(zip(played.requests, played.bodies, strict=False)):
        url = f"{runs}/{played.run_id}/submit_tool_outputs" if number else runs
        async with client.stream("POST", url, json={**request, "stream": True}) as answer:
            counts["open"] += 1
            content = await answer.aread()
            counts["open"] -= 1
        counts["streams right" if content == body else "streams wrong"] += 1
    listed = await client.get(f"{runs}/{played.run_id}/steps?order=asc&include[]={CONTENT}")
    # Other clients play the same run: it is there as of the end of any of its bodies.
    counts["lists right" if json.loads(listed.content)["data"] in played.steps else "lists wrong"] += 1


async def stuck(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin the large body, and read nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    body = b'{"stream": true}'
    head = b"POST /threads/thread_large/runs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    return reader, writer


def resident(pid: int) -> float:
    """Return the memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def load(
    process: subprocess.Popen[str], url: str, played: list[Played], options: argparse.Namespace
) -> Counter[str]:
    """Have all clients at work for so many seconds, then end the server under them."""
    counts: Counter[str] = Counter()
    print(f"before: {resident(process.pid):.1f} MB")
    idle = [await stuck(int(url.rpartition(":")[2])) for _ in range(options.stuck)]
    tasks = [asyncio.create_task(follow(url, played[at % len(played)], counts)) for at in range(options.streams)]
    for number in count(1):
        await asyncio.sleep(options.seconds / 6)
        print(f"after {number * options.seconds / 6:.0f} s: {resident(process.pid):.1f} MB, {dict(counts)}")
        if number == 6:
            break
    broken = [task.exception() for task in tasks if task.done()]
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    status = await asyncio.to_thread(process.wait, 30)
    print(f"Ctrl-C with {counts['open']} streams open: status {status} after {time.monotonic() - started:.2f} s")
    done = await asyncio.gather(*tasks, return_exceptions=True)
    print(f"clients that broke before: {broken}; after: {dict(Counter(type(each).__name__ for each in done))}")
    for _, writer in idle:
        writer.close()
    return counts


def main(arguments: Iterable[str]) -> int:
    """Run the server and the clients, and return 0 if every answer was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--stuck", type=int, default=20)
    options = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record(folder)
        played = [read(each) for each in open_recordings(*folder.glob("*.sse")) if "large" not in each.name]
        command = [*COMMAND, "serve", "--by-run", "--port", "0", name]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENV) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            counts = asyncio.run(load(process, process.stdout.readline().strip(), played, options))
            print(f"the server said: {process.stderr.read().strip()}")
    return 0 if not counts["streams wrong"] + counts["lists wrong"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
