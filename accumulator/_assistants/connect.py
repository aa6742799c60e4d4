"""The HTTP edge: send a request and fold its response. The only module that names httpx.

httpx-sse sends the request with the headers that an event stream needs; the bytes of the response go to the parser of
this library. httpx-sse calls nothing but a client's `stream`, so httpx2's clients work as well.
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Protocol, cast

import httpx
import httpx_sse

from accumulator._assistants.protocol import ASSISTANTS
from accumulator._assistants.streams import AsyncRunStream, RunStream, new_or_given
from accumulator._engine.accumulator import DEFAULT_LIMITS, Limits
from accumulator._streams.coalesce import make_coalescer
from accumulator._streams.hooks import Callback, check_handler
from accumulator._streams.sources import make_async_source, make_source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.updates import Update


class Client(Protocol):
    """A client of httpx or httpx2."""

    @property
    def stream(self) -> Callable[..., AbstractContextManager[object]]:
        """Send a request and return its response, body unread."""
        ...


class AsyncClient(Protocol):
    """An async client of httpx or httpx2."""

    @property
    def stream(self) -> Callable[..., AbstractAsyncContextManager[object]]:
        """Send a request and return its response, body unread."""
        ...


@contextmanager
def connect(  # noqa: PLR0913 - the request's three, and accumulate's keywords
    client: Client,
    method: str,
    url: str,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    **kwargs: object,
) -> Generator[RunStream, None, None]:
    """Send a request and yield the stream of its response; leaving the block closes the response.

    Args:
        client: of httpx or httpx2; its timeouts apply, and httpx's 5 s between two reads are short for an agent.
        method: such as "POST".
        url: what the client takes.
        into: the accumulator to go on with, as in `accumulate`.
        handler: what is called with each update, as in `accumulate`.
        min_interval: seconds between two deltas of one tool call or content part, as in `accumulate`.
        clock: what measures that, as in `accumulate`.
        strict: as in `accumulate`.
        limits: as in `accumulate`.
        **kwargs: what the client's `stream` takes: `json`, `headers`, `timeout`, ...

    Raises:
        ResponseError: on entering: the status is not 2xx or the content type no event stream.
        TypeError: on entering, before anything is sent: an async client; a handler, an
            interval or a clock that `accumulate` refuses; or `strict` or `limits` beside `into`.
        ValueError: on entering, before anything is sent: the interval is not more than 0, or not finite.

    What httpx raises before there is a response passes unchanged.

    """
    if hasattr(client, "aclose"):
        raise TypeError(f"connect() takes a sync client, got {type(client).__name__}: use aconnect()")
    hooks, coalescer = check_handler(handler, "aconnect"), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    accumulator = new_or_given(into, strict=strict, limits=limits)
    with (
        httpx_sse.connect_sse(cast("httpx.Client", client), method, url, **_own_headers(kwargs)) as event_source,
        RunStream(source := make_source(event_source, "connect", "aconnect"), accumulator, hooks, coalescer) as stream,
    ):
        if source.refused:
            stream.until_done()  # raises the ResponseError
        yield stream


@asynccontextmanager
async def aconnect(  # noqa: PLR0913 - as connect
    client: AsyncClient,
    method: str,
    url: str,
    *,
    into: Accumulator | None = None,
    handler: Callback[Update] | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    **kwargs: object,
) -> AsyncGenerator[AsyncRunStream, None]:
    """Send a request with an async client and yield the stream of its response: `connect`'s twin."""
    if not hasattr(client, "aclose"):
        raise TypeError(f"aconnect() takes an async client, got {type(client).__name__}: use connect()")
    hooks, coalescer = check_handler(handler), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    accumulator = new_or_given(into, strict=strict, limits=limits)
    async with (
        httpx_sse.aconnect_sse(cast("httpx.AsyncClient", client), method, url, **_own_headers(kwargs)) as event_source,
        AsyncRunStream(
            source := make_async_source(event_source, "aconnect", "connect"), accumulator, hooks, coalescer
        ) as stream,
    ):
        if source.refused:
            await stream.until_done()
        yield stream


def _own_headers(kwargs: dict[str, object]) -> dict[str, object]:
    """Copy the headers: httpx-sse adds its own to the object that it gets, and takes neither None nor pairs."""
    return {**kwargs, "headers": httpx.Headers(cast("httpx.Headers", kwargs.get("headers")))}
