"""The clients, each made as its users make it, and what this library does over them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import httpx
import httpx2
import requests

from accumulator import (
    Accumulator,
    AsyncRunStream,
    BodyEnded,
    Limits,
    Problem,
    RunStream,
    aaccumulate,
    accumulate,
    aconnect,
    connect,
)
from tests.faults.server import BEFORE, MAX_EVENT_SIZE, fault_server
from tests.loopback import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from accumulator import Update
    from tests.loopback import Loopback

    Opener = Callable[["Reader"], AbstractContextManager[RunStream]]
    AsyncOpener = Callable[["Reader"], AbstractAsyncContextManager[AsyncRunStream]]

# Never used, and dear to make: the clients would make one each.
TLS = ssl.create_default_context()
READ_TIMEOUT = 0.2
PATIENT_BYTES = 30_000
"""How many bytes a caller reads of a body without an end. A client may join thousands of chunks to one."""


class Cell(NamedTuple):
    """What a fault comes to: whole events folded, outcome, problems, the exception and its cause, by their names."""

    events: int
    outcome: str | None
    error: str = ""
    cause: str = ""
    problems: tuple[str, ...] = ()


def name_of(error: BaseException | None) -> str:
    """Name an exception with the package that it comes from."""
    return "" if error is None else f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}"


class Reader:
    """What a client reads a fault with: the address, a read timeout, and a handler that notes what is folded."""

    def __init__(self, server: Loopback, fault: str) -> None:
        self.url = f"{server.origin}/{fault}"
        self._server = server
        self.run = Accumulator(limits=Limits(max_event_size=MAX_EVENT_SIZE))
        self.timeout = READ_TIMEOUT if fault in {"stalls_before_the_head", "stalls_after_an_event"} else PATIENCE
        self.leaves = fault == "keeps_alive_for_ever"
        self._events = set[int]()

    def __call__(self, update: Update) -> None:
        if not isinstance(update, BodyEnded | Problem):
            self._events.add(update.event_number)
        if update.event_number == BEFORE:
            self._server.go_on()

    def fold(self, response: object, chunks: Iterable[bytes]) -> RunStream:
        return accumulate(self._until_tired(chunks) if self.leaves else response, into=self.run, handler=self)

    def afold(self, response: object, chunks: AsyncIterable[bytes]) -> AsyncRunStream:
        return aaccumulate(self._auntil_tired(chunks) if self.leaves else response, into=self.run, handler=self)

    def _until_tired(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Give the chunks of a body without an end, for as long as a caller waits; a count stands for the time."""
        count = 0
        for chunk in chunks:
            _check_patience(count)
            yield chunk
            count += len(chunk)

    async def _auntil_tired(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        count = 0
        async for chunk in chunks:
            _check_patience(count)
            yield chunk
            count += len(chunk)

    def cell(self, error: Exception | None) -> Cell:
        cause = error.__cause__ if error and name_of(error).startswith("accumulator.") else None
        problems = tuple(problem.kind for problem in self.run.problems)
        return Cell(len(self._events), self.run.outcome, name_of(error), name_of(cause), problems)


def _check_patience(count: int) -> None:
    if count >= PATIENT_BYTES:
        raise TimeoutError


def by(client_type: type[httpx.Client | httpx2.Client]) -> Opener:
    @contextmanager
    def open_with(reader: Reader) -> Generator[RunStream]:
        with client_type(verify=TLS, timeout=reader.timeout, follow_redirects=True) as client:
            if reader.leaves:
                with (
                    client.stream("POST", reader.url) as response,
                    reader.fold(response, response.iter_bytes()) as stream,
                ):
                    yield stream
            else:
                with connect(client, "POST", reader.url, into=reader.run, handler=reader) as stream:
                    yield stream

    return open_with


@contextmanager
def by_requests(reader: Reader) -> Generator[RunStream]:
    with (
        requests.post(reader.url, stream=True, timeout=reader.timeout) as response,
        reader.fold(response, response.iter_content(None)) as stream,
    ):
        yield stream


def by_async(client_type: type[httpx.AsyncClient | httpx2.AsyncClient]) -> AsyncOpener:
    @asynccontextmanager
    async def open_with(reader: Reader) -> AsyncGenerator[AsyncRunStream]:
        async with client_type(verify=TLS, timeout=reader.timeout, follow_redirects=True) as client:
            if reader.leaves:
                async with (
                    client.stream("POST", reader.url) as response,
                    reader.afold(response, response.aiter_bytes()) as stream,
                ):
                    yield stream
            else:
                async with aconnect(client, "POST", reader.url, into=reader.run, handler=reader) as stream:
                    yield stream

    return open_with


@asynccontextmanager
async def by_aiohttp(reader: Reader) -> AsyncGenerator[AsyncRunStream]:
    timeout = aiohttp.ClientTimeout(sock_read=reader.timeout)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(reader.url) as response,
        reader.afold(response, response.content.iter_any()) as stream,
    ):
        yield stream


CLIENTS: dict[str, Opener] = {"httpx": by(httpx.Client), "httpx2": by(httpx2.Client), "requests": by_requests}
ASYNC_CLIENTS: dict[str, AsyncOpener] = {
    "httpx async": by_async(httpx.AsyncClient),
    "httpx2 async": by_async(httpx2.AsyncClient),
    "aiohttp": by_aiohttp,
}
NAMES = (*CLIENTS, *ASYNC_CLIENTS)


def cell_of(fault: str, client: str) -> Cell:
    """Meet a fault with a client: drain the stream, and note what came of it."""
    with fault_server() as server:
        reader = Reader(server, fault)
        error: Exception | None = None
        try:
            if client in CLIENTS:
                _drain(CLIENTS[client], reader)
            else:
                asyncio.run(_adrain(ASYNC_CLIENTS[client], reader))
        except Exception as raised:  # noqa: BLE001 - the cell names it
            error = raised
        return reader.cell(error)


def _drain(opener: Opener, reader: Reader) -> None:
    with opener(reader) as stream:
        stream.final_run_steps()


async def _adrain(opener: AsyncOpener, reader: Reader) -> None:
    async with opener(reader) as stream:
        await stream.final_run_steps()
