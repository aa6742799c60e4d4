"""A soak: many live streams over sockets, read side by side in one event loop, each folding a run that goes on.

A server in a process of its own sends each stream a run that lasts the whole time, an event at a time: step after step
with one call each, whose arguments come in fragments, and which is completed before the next begins. Folded steps are
kept, as for a user who reads them in the end, so memory grows with what is folded. How much that is by itself is
measured in another process, on accumulators that are fed the same events without sockets and tasks.

Each stream's run steps are compared with what was sent, in the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from itertools import count, islice
from typing import TYPE_CHECKING

from benches import report
from benches.contenders import HERE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

RATE = 5
"""Events a second of each stream."""

FRAGMENTS = 20
FIRST_SAMPLE = 10.0
"""Seconds after which memory is read again: its growth is counted from there. A short run reads it at half its time."""

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
DONE = b"event: done\ndata: [DONE]\n\n"


# What is sent.


def _event(name: str, payload: object) -> bytes:
    return f"event: thread.run{name}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def _run(number: int, status: str) -> bytes:
    return _event(f".{status}", {"id": f"run_{number}", "object": "thread.run", "status": status})


def _fragments(number: int, step: int) -> list[str]:
    return [f"{number}.{step}.{place} Zürich, Genève; " for place in range(FRAGMENTS)]


def step_of(number: int, step: int, status: str, arguments: str | None) -> dict[str, object]:
    """Return a step of a stream, with its call if `arguments` are given."""
    function = {"name": "look_up", "arguments": arguments, "output": None}
    call = {"id": f"call_{number}_{step}", "type": "function", "function": function}
    return {
        "id": f"step_{number}_{step}",
        "object": "thread.run.step",
        "run_id": f"run_{number}",
        "type": "tool_calls",
        "status": status,
        "step_details": {"type": "tool_calls", "tool_calls": [] if arguments is None else [call]},
    }


def _delta(number: int, step: int, call: dict[str, object]) -> bytes:
    details = {"type": "tool_calls", "tool_calls": [{"index": 0, "type": "function", **call}]}
    payload = {"id": f"step_{number}_{step}", "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return _event(".step.delta", payload)


def _step_events(number: int, step: int) -> Iterator[bytes]:
    fragments = _fragments(number, step)
    function = {"name": "look_up", "arguments": "", "output": None}
    yield _event(".step.created", step_of(number, step, "in_progress", None))
    yield _delta(number, step, {"id": f"call_{number}_{step}", "function": function})
    for fragment in fragments:
        yield _delta(number, step, {"function": {"arguments": fragment}})
    yield _event(".step.completed", step_of(number, step, "completed", "".join(fragments)))


def events_of(number: int, steps: int | None = None) -> Iterator[bytes]:
    """Make the events of a stream: its run with so many steps and its end, or a run without an end."""
    yield _run(number, "in_progress")
    for step in count() if steps is None else range(steps):
        yield from _step_events(number, step)
    yield _run(number, "completed") + DONE


def steps_in(seconds: float, rate: float) -> int:
    """Return how many steps fill the time."""
    return max(1, round(seconds * rate / (FRAGMENTS + 3)))


def answer(number: int, steps: int) -> list[dict[str, object]]:
    """Return the run steps that must come of a stream."""
    return [step_of(number, step, "completed", "".join(_fragments(number, step))) for step in range(steps)]


# The server.


async def serve(steps: int, rate: float) -> None:
    """Serve until standard input ends, that is until the process that started this one is gone or has had enough."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            number = int((await reader.readuntil(b"\r\n\r\n")).split()[1][1:])
            writer.write(HEAD)
            start = time.monotonic()
            for place, event in enumerate(events_of(number, steps)):
                await asyncio.sleep(start + place / rate - time.monotonic())
                writer.write(event)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def _server(steps: int, rate: float) -> AsyncGenerator[int]:
    """Start the server and yield its port."""
    command = [sys.executable, "-m", "benches.live", "serve", str(steps), str(rate)]
    with subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603, ASYNC220 - our own, once
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


# What reads.


def resident() -> int:
    """Return the bytes of memory that this process has now."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - of the kernel
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def allow_files(wanted: int) -> None:
    """Raise the limit of open files so far that each stream can have a socket."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"expected to be allowed {wanted:,} open files, got {hard:,}: raise `ulimit -Hn`")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Soak:
    """The streams of one run, and how far each is."""

    def __init__(self, streams: int, seconds: float, rate: float) -> None:
        """Start with nothing open."""
        self.streams = streams
        self.seconds = seconds
        self.steps = steps_in(seconds + 5, rate)  # goes on until the last sample is taken
        self.events = [0] * streams
        self.wrong = list[int]()
        self.opened = asyncio.Semaphore(0)
        self.samples = list[tuple[float, int, int]]()

    async def read(self, port: int, number: int) -> None:
        """Fold a stream to its end."""
        from accumulator import aaccumulate

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /%d HTTP/1.0\r\n\r\n" % number)
        await reader.readuntil(b"\r\n\r\n")
        stream = aaccumulate(reader)
        self.opened.release()
        async for update in stream:
            self.events[number] = update.event_number
        writer.close()
        run = stream.accumulator
        steps = [step.to_dict() for step in run.run_steps()]
        if steps != answer(number, self.steps) or run.outcome != "completed" or run.problems:
            self.wrong.append(number)

    async def sample(self) -> None:
        """Wait until all streams are open, then read memory early and at the end."""
        for _ in range(self.streams):
            await self.opened.acquire()
        start = time.monotonic()
        for when in (0.0, min(FIRST_SAMPLE, self.seconds / 2), self.seconds):
            await asyncio.sleep(start + when - time.monotonic())
            self.samples.append((time.monotonic() - start, sum(self.events), resident()))

    async def run(self, rate: float) -> None:
        """Read all streams to their ends."""
        async with _server(self.steps, rate) as port, asyncio.TaskGroup() as group:
            group.create_task(self.sample())
            for number in range(self.streams):
                group.create_task(self.read(port, number))


def folded(before: int, after: int, accumulators: int = 200) -> float:
    """Return the bytes of memory by which a fold grows from so many events to so many: in a process of its own."""
    command = [sys.executable, "-m", "benches.live", "fold", str(before), str(after), str(accumulators)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, check=True)  # noqa: S603 - our own
    return float(done.stdout)


def _fold(before: int, after: int, accumulators: int) -> float:
    from accumulator import Accumulator

    runs = [(Accumulator(), events_of(number)) for number in range(accumulators)]
    sizes = list[int]()
    for more in (before, after - before):
        for run, events in runs:
            for event in islice(events, more):
                run.feed(event)
        sizes.append(resident())
    return (sizes[1] - sizes[0]) / accumulators


def live(streams: int, seconds: float, rate: float = RATE) -> int:
    """Run the soak and print it. Return 1 if a stream did not fold what was sent."""
    allow_files(streams + 64)
    print(f"\n{streams:,} live streams of {rate:g} events a second, {seconds:g} s", flush=True)
    soak = Soak(streams, seconds, rate)
    cpu = time.process_time()
    asyncio.run(soak.run(rate))
    cpu = time.process_time() - cpu
    _, (early, some, less), (late, many, more) = soak.samples
    grown = folded(round(some / streams), round(many / streams)) * streams
    rows = [(f"{at:.1f} s", f"{events:,}", report.size_of(size)) for at, events, size in soak.samples]
    print(report.table(("all open for", "events folded", "RSS"), rows))
    print(f"{(many - some) / (late - early):,.0f} events/s, {cpu / sum(soak.events) * 1e6:.0f} µs CPU each")
    told = f"RSS grew by {report.size_of(more - less)}; accumulators fed the same events without streams grew by"
    print(f"{told} {report.size_of(grown)}")
    print(f"{streams - len(soak.wrong):,} of {streams:,} streams folded what was sent: {soak.steps} run steps each")
    return int(bool(soak.wrong))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", steps, rate]:
            asyncio.run(serve(int(steps), float(rate)))
        case ["fold", before, after, accumulators]:
            print(_fold(int(before), int(after), int(accumulators)))
        case other:
            raise SystemExit(f"expected serve or fold, got {other}")
