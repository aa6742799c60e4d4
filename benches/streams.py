"""How many live streams, each with 50 events a second, one core carries.

Many streams run in one process and one event loop, as in a server that passes runs on. Each is read by a task of its
own, which loops over all updates, from an async iterator that hands out one event at a time, as a socket would; there
is no network. `empty` reads the iterator and does nothing, which shows what the loop and the iterators cost by
themselves; nothing is subtracted from the others.

1. CPU time per event: 100 streams get one event each, all tasks run until they wait again, and so on. The process's CPU
   time over the number of events does not see what else the machine does; the minimum of repeats is taken. One core
   carries 1 / (50 x that) streams.
2. That number is held against real time: 80 % of it as many streams, every one due an event each 20 ms, evenly
   spread. The lag is the time from when an event was due until its reader waits for the next one. The core keeps up
   where no lag in the second half is above 100 ms; else a fifth fewer are tried, and so on. What the machine does
   beside this can only make this number smaller.

The text that each stream folded is compared in the end.
"""

# openai-python marks the API as deprecated.
# pyright: reportDeprecated=false

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import warnings
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import msgspec

from benches import report, workloads
from benches.compare import progress
from benches.contenders import HERE
from benches.runner import machine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    import httpx2

RATE = 50
STREAMS = 100
SHARE = 0.8
LAG = 0.1
# What comes before the first fragment: the run, the step and the call are opened.
OPENING = 5


class Feed:
    """An async iterator of one stream's chunks, which are pushed in; it knows whether its reader waits."""

    def __init__(self) -> None:
        self._chunks = deque[bytes | None]()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether all that was pushed has been dealt with."""
        return self._waiter is not None and not self._chunks

    def push(self, chunk: bytes | None) -> None:
        """Hand in a chunk, or the end."""
        self._chunks.append(chunk)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        chunk = self._chunks.popleft()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


async def read_empty(feed: Feed) -> str:
    """Do nothing with what comes."""
    async for _ in feed:
        pass
    return ""


async def read_ours(feed: Feed) -> str:
    """Loop over all updates, and return the text."""
    from accumulator import FunctionToolCall, aaccumulate

    stream = aaccumulate(feed)
    async for _ in stream:
        pass
    call = stream.accumulator.tool_call("step_0", 0)
    assert isinstance(call, FunctionToolCall)
    assert call.function is not None
    return call.function.arguments or ""


class OpenAI:
    """The async client of openai-python, whose responses are the feeds."""

    def __init__(self) -> None:
        import httpx2
        import openai

        self._feeds = dict[str, Feed]()
        self._handler = openai.AsyncAssistantEventHandler
        transport = httpx2.AsyncClient(transport=httpx2.MockTransport(self._respond))
        self._client = openai.AsyncOpenAI(api_key="none", base_url="http://localhost", http_client=transport)

    async def _respond(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=self._feeds[request.headers["x-feed"]], request=request)

    async def __call__(self, feed: Feed) -> str:
        self._feeds[str(id(feed))] = feed
        opened = self._client.beta.threads.runs.stream(
            thread_id="thread_1",
            assistant_id="asst_1",
            event_handler=self._handler(),
            extra_headers={"x-feed": str(id(feed))},
        )
        async with opened as handler:
            async for _ in handler:
                pass
            (step,) = await handler.get_final_run_steps()
        assert step.step_details.type == "tool_calls"
        (call,) = step.step_details.tool_calls or []
        assert call.type == "function"
        return call.function.arguments


NAMES = ("empty", "ours", "openai-python")


def reader(name: str) -> Callable[[Feed], Awaitable[str]]:
    """Return what reads one stream."""
    if name == "openai-python":
        return OpenAI()
    return read_ours if name == "ours" else read_empty


@dataclass
class Run:
    """Streams that are open, and the events that each of them gets."""

    name: str
    count: int
    events: list[bytes]
    feeds: list[Feed] = field(default_factory=list[Feed])
    tasks: list[asyncio.Future[str]] = field(default_factory=list["asyncio.Future[str]"])

    async def open(self) -> None:
        """Open all streams, with what comes before the fragments."""
        read = reader(self.name)
        for _ in range(self.count):
            feed = Feed()
            self.feeds.append(feed)
            self.tasks.append(asyncio.ensure_future(read(feed)))
        await self.settled()
        for event in self.events[:OPENING]:
            await self.push_all(event)

    async def push_all(self, event: bytes) -> None:
        """Give each stream an event, and wait until all have dealt with it."""
        for feed in self.feeds:
            feed.push(event)
        await self.settled()

    async def settled(self) -> None:
        """Let the readers run until each waits for more."""
        while not all(feed.idle for feed in self.feeds):  # noqa: ASYNC110 - an event for each would be measured too
            await asyncio.sleep(0)

    async def close(self, text: str) -> None:
        """End all streams, and compare what they folded."""
        for feed in self.feeds:
            feed.push(None)
        wrong = {each for each in await asyncio.gather(*self.tasks) if each != text}
        assert self.name == "empty" or not wrong, f"{self.name} folded something else"


def made(rounds: int) -> tuple[list[bytes], str]:
    """Return the opening events of a call and so many fragments, and their text."""
    events = workloads.arguments(rounds, calls=1).events[: OPENING + rounds]
    text = "".join(workloads.Fragments(workloads.ARGUMENTS, workloads.INPUT_LENGTHS).take(rounds))
    return events, text


async def cpu_per_event(name: str, rounds: int) -> float:
    """Return the CPU time that one event takes, in seconds."""
    events, text = made(rounds)
    run = Run(name, STREAMS, events)
    await run.open()
    begin = time.process_time()
    for event in events[OPENING:]:
        await run.push_all(event)
    seconds = time.process_time() - begin
    await run.close(text)
    return seconds / rounds / STREAMS


async def live(name: str, count: int, seconds: int) -> tuple[float, float]:
    """Run so many streams by the clock; return the longest lag in the second half, and the CPU share."""
    rounds = seconds * RATE
    events, text = made(rounds)
    run = Run(name, count, events)
    await run.open()
    loop = asyncio.get_running_loop()
    begin, cpu, sent, worst = loop.time(), time.process_time(), 0, 0.0
    total, pace = rounds * count, RATE * count
    while sent < total:
        oldest, due = sent, min(total, int((loop.time() - begin) * pace))
        for number in range(oldest, due):
            run.feeds[number % count].push(events[OPENING + number // count])
        sent = due
        await asyncio.sleep(0.001)
        # Readers run in the order in which they were woken: the last one waits again after all others do.
        while not run.feeds[(sent - 1) % count].idle:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        if oldest < sent and sent > total // 2:
            worst = max(worst, loop.time() - begin - oldest / pace)
    share = (time.process_time() - cpu) / (loop.time() - begin)
    await run.close(text)
    return worst, share


def ask(*arguments: str) -> list[float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benches.streams", *arguments]
    done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True)  # noqa: S603 - our own command
    return msgspec.json.decode(done.stdout, type=list[float])


def streams(names: Sequence[str], out: Path, *, quick: bool) -> None:
    """Measure by turns, hold the result against real time, and print both."""
    wanted = [name for name in NAMES if not names or name in names]
    repeats, seconds = (2, 2) if quick else (5, 8)
    cpu = dict.fromkeys(wanted, float("inf"))
    for _ in range(repeats):
        for name in wanted:
            progress(f"{name}: CPU time of an event")
            cpu[name] = min(cpu[name], ask("cpu", name, str(seconds * RATE))[0])
    rows, found = list[tuple[str, ...]](), dict[str, object]()
    for name in wanted:
        carried = 1 / (RATE * cpu[name])
        count, lag, share = kept_up(name, int(carried * SHARE), seconds)
        rows.append(
            (name, report.number(cpu[name] * 1e6), f"{carried:,.0f}", f"{count:,}", f"{lag * 1e3:.0f}", f"{share:.0%}")
        )
        found[name] = {"cpu_per_event": cpu[name], "streams": carried, "live": count, "lag": lag, "cpu_share": share}
    progress("")
    head = ("reader", "CPU µs/event", f"streams at {RATE}/s", "live, kept up", "worst lag ms", "CPU")
    print(report.table(head, rows), "", sep="\n")
    report.write_json(out / "streams.json", {"machine": machine(), "readers": found})


def kept_up(name: str, count: int, seconds: int) -> tuple[int, float, float]:
    """Return how many streams kept up in real time, from this number down, with their lag and CPU share."""
    while True:
        progress(f"{name}: {count:,} streams live")
        lag, share = ask("live", name, str(count), str(seconds))
        if lag <= LAG or count <= 1:
            return count, lag, share
        count = int(count * SHARE)


def main(kind: str, name: str, *numbers: str) -> None:
    """Measure one thing, for `ask`."""
    warnings.simplefilter("ignore")
    if kind == "cpu":
        answer: Sequence[float] = [asyncio.run(cpu_per_event(name, int(numbers[0])))]
    else:
        answer = asyncio.run(live(name, int(numbers[0]), int(numbers[1])))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
