"""A real HTTP server on 127.0.0.1 that answers as a test's script says, byte by byte.

The script runs in the server's thread and is handed the `Exchange`: it sends what it likes, waits for the test where
the order matters, and can wait until the client has closed. No test needs to sleep. What a script raises comes out of
the `with` block of the server.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE = 30.0
"""Seconds after which a wait is given up, so that a fault fails its test and does not hang it."""

EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


class Exchange:
    """One request and its answer, on one connection."""

    def __init__(self, server: Loopback, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._chunked = False
        self.request_line = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    def read_request(self) -> None:
        with self._connection.makefile("rb") as lines:
            self.request_line = lines.readline().decode().strip()
            while line := lines.readline().decode().strip():
                name, _, value = line.partition(":")
                self.headers[name.lower()] = value.strip()
            self.body = lines.read(int(self.headers.get("content-length", "0")))

    def head(self, status: str = "200 OK", headers: Mapping[str, str] = EVENT_STREAM, *, chunked: bool = True) -> None:
        """Send status and headers; without `chunked` the body ends where the connection does, as in HTTP/1.0."""
        self._chunked = chunked
        lines = [f"HTTP/1.{int(chunked)} {status}", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [*["Transfer-Encoding: chunked"] * chunked, "Connection: close"]
        self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode())

    def chunk(self, data: bytes) -> None:
        """Send a piece of the body."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """End the body; a client that read `done` in it may have left."""
        if self._chunked:
            with suppress(ConnectionError):
                self.send(b"0\r\n\r\n")

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def reset(self) -> None:
        """Let the connection end in a reset, not in the end of a stream, when the script returns."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def wait(self) -> None:
        """Wait until the test calls `go_on`."""
        if not self._server.gate.acquire(timeout=PATIENCE):
            raise AssertionError("the client did not show in time that it had what was sent")

    def wait_closed(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            rest = self._connection.recv(1)
        except ConnectionError:
            rest = b""
        if rest:
            raise AssertionError(f"expected the client to close, it sent {rest!r}")
        self._server.client_closed.set()


class Loopback:
    """The server: a context manager; `url` is where it is."""

    def __init__(self, script: Callable[[Exchange], None]) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._failures: list[BaseException] = []
        self._stopping = False
        self.gate = threading.Semaphore(0)
        self.client_closed = threading.Event()
        self.exchanges: list[Exchange] = []
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{self.origin}/v1/threads/thread_1/runs"

    def go_on(self) -> None:
        """Let the script pass one `wait`."""
        self.gate.release()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        with socket.create_connection(self._listener.getsockname()[:2]):
            self._thread.join()
        self._listener.close()
        if self._failures and exc_info[1] is None:
            raise self._failures[0]

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._stopping:
                    return
                connection.settimeout(PATIENCE)
                try:
                    self._answer(connection)
                except BaseException as error:  # noqa: BLE001 - handed to the test
                    self._failures.append(error)

    def _answer(self, connection: socket.socket) -> None:
        exchange = Exchange(self, connection)
        exchange.read_request()
        self.exchanges.append(exchange)
        self._script(exchange)
