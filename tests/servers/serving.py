"""What the servers share. It runs in the environment of a server, which has uvicorn and not this library.

A server says what happens to it on its standard output, one JSON object a line: `port` once it listens, `left` with the
path of a request whose client went away before the answer was complete, `refused` with an address that is not of this
machine and was not connected to. It ends when its standard input does: when the tests close it, or end themselves.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

LEFT = asyncio.Event()
"""Set when a client has gone away; a model that waits for it clears it first."""

# What a server or one of its libraries prints is no report: it goes where the log goes.
_REPORTS = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def report(**facts: object) -> None:
    """Tell the tests."""
    print(json.dumps(facts), file=_REPORTS, flush=True)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse a connection to another machine, and report it: an audit hook."""
    match event, arguments:
        case ("socket.connect" | "socket.sendto", (_, (str(host), *_))) | ("socket.getaddrinfo", (str(host), *_)) if (
            host not in {"127.0.0.1", "localhost", "::1"}
        ):
            report(refused=host)
            raise PermissionError(f"the tests let a server connect to this machine only, it wants {host}")
        case _:
            pass


def refuse_to_leave() -> None:
    """Let nothing out of this machine from now on, and report what wants to go."""
    sys.addaudithook(_refuse)


class _Witness:
    """Pass everything on, and say when a client goes away before its answer is complete."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        complete = False

        async def watch_send(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        async def watch_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not complete:
                report(left=scope["path"])
                LEFT.set()
            return message

        await self._app(scope, watch_receive, watch_send)


def _end_with_input() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def serve(app: App) -> None:
    """Serve on a free port of 127.0.0.1 until the standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_end_with_input, daemon=True).start()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            report(port=listener.getsockname()[1])

    Server(uvicorn.Config(_Witness(app), lifespan="on", log_config=None)).run([listener])
