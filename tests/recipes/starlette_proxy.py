"""A Starlette endpoint that starts a run and passes it on to a browser, as server-sent events of its own.

The browser sees `text` and `tool` while the run goes on, `result` when a tool call is whole, and `end` at last.

    const events = new EventSource("/chat?question=...");
    events.addEventListener("text", (event) => page.append(JSON.parse(event.data).text));
    events.addEventListener("end", () => events.close());

What goes first is an event id without an event, so that a browser that is cut off before anything came says, when it
asks again, that it has been here. When the browser goes, the connection to the agent's server is closed, in the midst
of the run if need be.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from accumulator import (
    AccumulatorError,
    BodyEnded,
    ContentDelta,
    ResponseError,
    TextDelta,
    TextDeltaBlock,
    ToolCallCreated,
    ToolCallDone,
    TruncatedError,
    aconnect,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from accumulator import AsyncRunStream

# An agent may think for minutes between two events; httpx gives up after 5 seconds.
TIMEOUT = httpx.Timeout(10, read=300)


def make_app(runs_url: str, assistant_id: str) -> Starlette:
    """Make the application; runs are started with POST at `runs_url`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with httpx.AsyncClient(timeout=TIMEOUT) as app.state.client:
            yield

    async def chat(request: Request) -> Response:
        if "last-event-id" in request.headers:
            # An EventSource that was cut off asks again by itself: 204 stops it, and no second run is started.
            return Response(status_code=204)
        if "question" not in request.query_params or request.method == "HEAD":
            return Response(status_code=400)
        message = {"role": "user", "content": request.query_params["question"]}
        body = {"assistant_id": assistant_id, "stream": True, "additional_messages": [message]}
        upstream = AsyncExitStack()
        try:
            stream = await upstream.enter_async_context(aconnect(request.app.state.client, "POST", runs_url, json=body))
        except (httpx.HTTPError, ResponseError) as error:
            return JSONResponse({"error": type(error).__name__}, status_code=502)
        return RunResponse(stream, upstream)

    return Starlette(routes=[Route("/chat", chat)], lifespan=lifespan)


class RunResponse(StreamingResponse):
    """A run as events for the browser. However it ends, what it reads from is closed.

    Starlette stops reading when the browser goes, but leaves the generator where it stands. That the connection is
    closed then is done here, and not left to the garbage collector.
    """

    def __init__(self, stream: AsyncRunStream, upstream: AsyncExitStack) -> None:
        super().__init__(browser_events(stream), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._upstream:
            await super().__call__(scope, receive, send)


async def browser_events(stream: AsyncRunStream) -> AsyncGenerator[str]:
    """Say what of a run the browser is to see; a run that is cut off, or cannot be read on, ends as `truncated`."""
    yield "id: 0\n\n"
    try:
        async for update in stream:
            match update:
                case ContentDelta(delta=TextDeltaBlock(text=TextDelta(value=str(text)))) if text:
                    yield event(update.event_number, "text", message=update.message_id, text=text)
                case ToolCallCreated(tool_call=call):
                    yield event(update.event_number, "tool", step=update.step_id, index=update.index, type=call.type)
                case ToolCallDone(tool_call=call):
                    yield event(
                        update.event_number, "result", step=update.step_id, index=update.index, call=call.to_dict()
                    )
                case BodyEnded(outcome=outcome):
                    yield event(update.event_number, "end", outcome=outcome)
                case _:
                    pass
    except TruncatedError:
        pass  # its `BodyEnded` came before
    except AccumulatorError as error:
        yield event(0, "end", outcome="truncated", error=type(error).__name__)


def event(number: int, name: str, **data: object) -> str:
    """Write one event; its id makes a browser that asks again say so. JSON has no line ends that could break it."""
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
