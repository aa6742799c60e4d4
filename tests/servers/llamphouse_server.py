"""LlampHouse with an agent for each case: the assistant that a run names is the case."""
# It runs in the environment of the server: nothing that it imports is there for the type checkers.
# mypy: disable-error-code="import-not-found, misc, no-any-unimported, untyped-decorator"
# pyright: basic, reportMissingImports=none

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from llamphouse import Agent, AssistantAPIAdapter, InMemoryTracingStore, LLAMPHouse, step
from llamphouse.core.adapters.assistant_api import run as adapter

from tests.servers.serving import LEFT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI
    from llamphouse import Context


def chunk(content: str | None = None, calls: list[Any] | None = None, finish: str | None = None) -> Any:  # noqa: ANN401
    """A chunk of a chat completion, of which the server reads these attributes."""
    delta = SimpleNamespace(content=content, tool_calls=calls)
    return SimpleNamespace(id="chatcmpl_1", choices=[SimpleNamespace(delta=delta, finish_reason=finish)])


def call(index: int, call_id: str | None, name: str | None, arguments: str) -> Any:  # noqa: ANN401
    return SimpleNamespace(index=index, id=call_id, function=SimpleNamespace(name=name, arguments=arguments))


ONE = [
    chunk(calls=[call(0, "call_1", "get_weather", "")]),
    chunk(calls=[call(0, None, None, '{"city": ')]),
    chunk(calls=[call(0, None, None, '"Zürich"}')]),
]
OTHER = [
    chunk(calls=[call(1, "call_2", "get_time", '{"zone": ')]),
    chunk(calls=[call(1, None, None, '"CET"}')]),
]
STREAMS: dict[str, list[Any]] = {
    "text": [chunk("Guten "), chunk("Tag ☀"), chunk(finish="stop")],
    "call": [*ONE, chunk(finish="tool_calls")],
    "calls": [*ONE, *OTHER, chunk(finish="tool_calls")],
    "length": [chunk("Guten "), chunk(finish="length")],
    "model_error": [chunk("Guten "), ConnectionError("the model is gone")],
}


async def model(chunks: list[Any]) -> AsyncIterator[Any]:
    for item in chunks:
        if isinstance(item, Exception):
            raise item
        yield item


class Streaming(Agent):
    """The server reads the model's stream."""

    async def run(self, context: Context) -> None:
        await context.process_stream(model(STREAMS[self.id]))


class Replying(Agent):
    """The agent hands in its reply as a whole."""

    async def run(self, context: Context) -> None:
        await context.reply("Guten Tag ☀")


class Chunking(Agent):
    """The agent sends pieces itself."""

    async def run(self, context: Context) -> None:
        for text in ("Guten ", "Tag ☀"):
            await context.asend_chunk(text)


class Working(Agent):
    """The agent records a function as a step, then replies."""

    @step(name="add")
    async def add(self, context: Context, left: int, right: int) -> int:  # noqa: ARG002 - the server looks for it
        return left + right

    async def run(self, context: Context) -> None:
        await context.reply(str(await self.add(context, 2, 3)))


class Failing(Agent):
    """The agent raises."""

    async def run(self, context: Context) -> None:
        await context.asend_chunk("Guten ")
        raise RuntimeError("the agent is broken")


class Waiting(Agent):
    """The agent goes on once its client has gone."""

    async def run(self, context: Context) -> None:
        LEFT.clear()
        await context.asend_chunk("Guten ")
        await LEFT.wait()
        await context.asend_chunk("Tag ☀")


async def wait_briefly(waiting: Any, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - the signature of asyncio's
    """Wait for the next event as the server does, and give up after a second in place of thirty."""
    return await asyncio.wait_for(waiting, timeout / 30)


def make_app() -> FastAPI:
    adapter.asyncio = SimpleNamespace(wait_for=wait_briefly, TimeoutError=asyncio.TimeoutError)
    streaming = [Streaming(case) for case in STREAMS]
    others = [Replying("reply"), Chunking("chunks"), Working("step"), Failing("agent_error"), Waiting("leave")]
    house = LLAMPHouse(
        agents=[*streaming, *others],
        adapters=[AssistantAPIAdapter()],
        tracing_store=InMemoryTracingStore(),
    )
    return cast("FastAPI", house.fastapi)
