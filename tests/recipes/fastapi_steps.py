"""A FastAPI application that runs an agent: one endpoint returns the steps of the run, one every update of it.

Say what an endpoint returns, by an annotation or a response model. Without it FastAPI fails to write a lone surrogate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI

from accumulator import RunStep, Update, aconnect

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from accumulator import AsyncRunStream

# An agent may think for minutes between two events; httpx gives up after 5 seconds.
TIMEOUT = httpx.Timeout(10, read=300)


def make_app(runs_url: str, assistant_id: str) -> FastAPI:
    """Make the application; runs are started with POST at `runs_url`."""
    app, client = FastAPI(), httpx.AsyncClient(timeout=TIMEOUT)

    def start(question: str) -> AbstractAsyncContextManager[AsyncRunStream]:
        message = {"role": "user", "content": question}
        body = {"assistant_id": assistant_id, "stream": True, "additional_messages": [message]}
        return aconnect(client, "POST", runs_url, json=body)

    @app.post("/steps", response_model=list[RunStep])
    async def steps(question: str) -> object:
        async with start(question) as stream:
            return await stream.final_run_steps()

    @app.post("/updates", response_model=list[Update])
    async def updates(question: str) -> object:
        async with start(question) as stream:
            return [update async for update in stream]

    return app
