"""Servers that cut the stream of a run before an event, and programs that resume the run: sync, asyncio and trio."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import httpx
import trio

from accumulator import Accumulator, TruncatedError, aconnect, connect
from accumulator.rest import aresume, resume
from accumulator.server import Faults, ReplayServer, replay_app
from tests.cuts import JSONObject, Whole, canonical, expected_steps, once, whole_of
from tests.loopback import EVENT_STREAM
from tests.rest_server import RestServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from accumulator import RunStep, Update
    from accumulator.rest import RunStepInclude
    from tests.loopback import Exchange


INCLUDE: Final[tuple[RunStepInclude, ...]] = ("step_details.tool_calls[*].file_search.results[*].content",)
"""What the recordings have, and a server only sends where it is asked for it."""


class CuttingServer(RestServer):
    """Plays the bodies of a run, one for each POST, and drops the connection after so many events of all of them."""

    def __init__(self, whole: Whole, cut: int) -> None:
        super().__init__(whole.said_steps, whole.said_run)
        self._bodies = list(whole.bodies)
        self._left = cut

    def _script(self, exchange: Exchange) -> None:
        if not exchange.request_line.startswith("POST"):
            super()._script(exchange)
            return
        body = self._bodies.pop(0)
        exchange.head(headers=EVENT_STREAM)
        exchange.chunk(b"".join(body[: self._left]) or b": nothing\n\n")
        self._left -= len(body)
        if self._left >= 0:
            exchange.end()


class Served(NamedTuple):
    """A server that cuts a stream of a run.

    Attributes:
        base_url: its address.
        whole: what the run comes to when it is resumed.
        folded: the bodies that a program folds before it asks.
        requests: the path and the JSON of the request for each body that it streams.

    """

    base_url: str
    whole: Whole
    folded: list[list[bytes]]
    requests: list[tuple[str, JSONObject]]


def requests_of(whole: Whole) -> list[tuple[str, JSONObject]]:
    """Return the path and the JSON of the request for each body."""
    path = "threads/{thread_id}/runs".format_map(whole.said_run)
    begin: JSONObject = {"assistant_id": whole.said_run["assistant_id"]}
    go_on: JSONObject = {"tool_outputs": []}
    return [
        (f"{path}/{whole.said_run['id']}/submit_tool_outputs" if number else path, {**asked, "stream": True})
        for number, asked in enumerate([begin, *[go_on] * (len(whole.bodies) - 1)])
    ]


@contextmanager
def cutting(whole: Whole, cut: int) -> Generator[Served]:
    """Serve all bodies, and cut the one with that event."""
    with CuttingServer(whole, cut) as server:
        yield Served(server.base_url, whole, [], requests_of(whole))


@contextmanager
def replaying(whole: Whole, cut: int) -> Generator[Served]:
    """Play the body with that event by the server of the library, cut before it. Bodies before it have begun.

    What that server says of the run is what was recorded up to the end of this body.
    """
    number = 0
    while number < len(whole.bodies) - 1 and cut >= len(whole.bodies[number]):
        cut -= len(whole.bodies[number])
        number += 1
    played, requests = whole_of(whole.paths, whole.bodies[: number + 1]), requests_of(whole)
    with ReplayServer(replay_app(whole.paths, faults=Faults(cut_after=cut))) as server:
        for path, asked in requests[:number]:
            httpx.post(f"{server.url}/v1/{path}", json={**asked, "stream": False}).raise_for_status()
        come = played._replace(said_steps=played.run_steps)
        yield Served(f"{server.url}/v1", come, whole.bodies[:number], [requests[number]])


SERVERS: dict[str, Callable[[Whole, int], AbstractContextManager[Served]]] = {
    "loopback": cutting,
    "replay": replaying,
}
"""The server of the tests, which says what the API would say, and the one of the library, which says what it played."""


class Program:
    """What a program has of a run: the accumulator, the updates, and what it should come to."""

    def __init__(self, served: Served) -> None:
        self.whole = served.whole
        self.run = Accumulator()
        self.updates: list[Update] = []
        self.expected: list[JSONObject] = []
        self.requests = [(f"{served.base_url}/{path}", asked) for path, asked in served.requests]
        for body in served.folded:
            self.updates += self.run.feed(b"".join(body))
            self.updates += self.run.end()

    def cut(self) -> tuple[str | None, str | None]:
        """Note what the stream came to, and return the ids of thread and run, None if the stream has named them."""
        self.expected = expected_steps(self.whole, self.run)
        if self.run.run_steps() or self.run.runs():
            return None, None
        said = self.whole.said_run
        return cast("str", said["thread_id"]), cast("str", said["id"])

    def check(self, steps: list[RunStep]) -> None:
        assert canonical(self.expected) == canonical([step.to_dict() for step in steps])
        assert self.whole.outcome == self.run.outcome
        assert once(self.whole.updates) == once(self.updates)
        assert () == tuple(self.run.problems)


def run_sync(served: Served) -> None:
    program = Program(served)
    take, run = program.updates.append, program.run
    with httpx.Client(verify=False) as client:  # noqa: S501 - never used, and dear
        with suppress(TruncatedError):
            for url, asked in program.requests:
                with connect(client, "POST", url, json=asked, into=run, handler=take) as stream:
                    stream.final_run_steps()
        thread_id, run_id = program.cut()
        steps = resume(client, served.base_url, run, thread_id=thread_id, run_id=run_id, include=INCLUDE, handler=take)
        program.check(steps)


async def run_async(served: Served) -> None:
    program = Program(served)
    run = program.run

    async def take(update: Update) -> None:
        program.updates.append(update)

    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - as above
        with suppress(TruncatedError):
            for url, asked in program.requests:
                async with aconnect(client, "POST", url, json=asked, into=run, handler=take) as stream:
                    await stream.final_run_steps()
        thread_id, run_id = program.cut()
        steps = await aresume(
            client, served.base_url, run, thread_id=thread_id, run_id=run_id, include=INCLUDE, handler=take
        )
        program.check(steps)


def run_asyncio(served: Served) -> None:
    asyncio.run(run_async(served))


def run_trio(served: Served) -> None:
    trio.run(run_async, served)


WAYS: dict[str, Callable[[Served], None]] = {"sync": run_sync, "asyncio": run_asyncio, "trio": run_trio}
