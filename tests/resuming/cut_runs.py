"""A server that cuts the stream of a run before an event, and programs that resume the run: sync, asyncio and trio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import httpx
import trio

from accumulator import Accumulator, TruncatedError, aconnect, connect
from accumulator.rest import aresume, resume
from tests.cuts import JSONObject, Whole, canonical, expected_steps, once
from tests.loopback import EVENT_STREAM
from tests.rest_server import RestServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator import RunStep, Update
    from tests.loopback import Exchange


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


class Program:
    """What a program has of a run: the accumulator, the updates, and what it should come to."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.run = Accumulator()
        self.updates: list[Update] = []
        self.expected: list[JSONObject] = []
        path = "threads/{thread_id}/runs".format_map(whole.said_run)
        self.paths = [path, *[f"{path}/{whole.said_run['id']}/submit_tool_outputs"] * (len(whole.bodies) - 1)]

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


def run_sync(whole: Whole, cut: int) -> None:
    program = Program(whole)
    take = program.updates.append
    with CuttingServer(whole, cut) as server, httpx.Client(verify=False) as client:  # noqa: S501 - never used, and dear
        with suppress(TruncatedError):
            for path in program.paths:
                with connect(client, "POST", f"{server.base_url}/{path}", into=program.run, handler=take) as stream:
                    stream.final_run_steps()
        thread_id, run_id = program.cut()
        steps = resume(client, server.base_url, program.run, thread_id=thread_id, run_id=run_id, handler=take)
        program.check(steps)


async def run_async(whole: Whole, cut: int) -> None:
    program = Program(whole)

    async def take(update: Update) -> None:
        program.updates.append(update)

    with CuttingServer(whole, cut) as server:
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - as above
            with suppress(TruncatedError):
                for path in program.paths:
                    url = f"{server.base_url}/{path}"
                    async with aconnect(client, "POST", url, into=program.run, handler=take) as stream:
                        await stream.final_run_steps()
            thread_id, run_id = program.cut()
            steps = await aresume(
                client, server.base_url, program.run, thread_id=thread_id, run_id=run_id, handler=take
            )
            program.check(steps)


def run_asyncio(whole: Whole, cut: int) -> None:
    asyncio.run(run_async(whole, cut))


def run_trio(whole: Whole, cut: int) -> None:
    trio.run(run_async, whole, cut)


WAYS: dict[str, Callable[[Whole, int], None]] = {"sync": run_sync, "asyncio": run_asyncio, "trio": run_trio}
