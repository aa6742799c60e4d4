"""The HTTP edge: a request whose answer is folded. The only module that names httpx.

httpx-sse sends the request with the headers that an event stream wants; the bytes of the answer go to the parser of
this library. Its two functions only ask a client for `stream`, so that httpx2's clients work as well.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Protocol, cast

import httpx
import httpx_sse

from accumulator._assistants.accumulator import DEFAULT_LIMITS
from accumulator._streams.coalesce import coalescing
from accumulator._streams.hooks import checked
from accumulator._streams.sources import open_async_source, open_source
from accumulator._streams.streams import AsyncRunStream, RunStream, new_or_given

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from accumulator._assistants.accumulator import Accumulator, Limits
    from accumulator._streams.hooks import Callback


class Client(Protocol):
    """A client of httpx or httpx2."""

    @property
    def stream(self) -> Callable[..., AbstractContextManager[object]]:
        """Send a request and give its response, body unread."""
        ...


class AsyncClient(Protocol):
    """An async client of httpx or httpx2."""

    @property
    def stream(self) -> Callable[..., AbstractAsyncContextManager[object]]:
        """Send a request and give its response, body unread."""
        ...


@contextmanager
def connect(  # noqa: PLR0913 - the request's three, and accumulate's keywords
    client: Client,
    method: str,
    url: str,
    *,
    into: Accumulator | None = None,
    handler: Callback | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    **kwargs: object,
) -> Generator[RunStream, None, None]:
    """Send a request and give the stream of its answer; leaving the block closes the response.

    Args:
        client: of httpx or httpx2; its timeouts hold, and httpx's 5 s between two reads are short for an agent.
        method: such as "POST".
        url: what the client takes.
        into: the accumulator that goes on, as in `accumulate`.
        handler: what is called with each update, as in `accumulate`.
        min_interval: seconds between two deltas of one tool call or content part, as in `accumulate`.
        clock: what that is measured with, as in `accumulate`.
        strict: as in `accumulate`.
        limits: as in `accumulate`.
        **kwargs: what the client's `stream` takes: `json`, `headers`, `timeout`, ...

    Raises:
        ResponseError: on entering: the status is not 2xx or the content type no event stream.
        TypeError: on entering, before anything is sent: an async client; a handler that cannot be called so; an
            interval or a clock that is none; or `strict` or `limits` beside `into`.
        ValueError: on entering, before anything is sent: the interval is not more than 0, or not finite.

    What httpx raises before there is a response passes unchanged.

    """
    if hasattr(client, "aclose"):
        raise TypeError(f"connect() takes a sync client, came {type(client).__name__}: use aconnect()")
    hears, coalescer = checked(handler, twin="aconnect"), coalescing(min_interval, clock)
    accumulator = new_or_given(into, strict=strict, limits=limits)
    with (
        httpx_sse.connect_sse(cast("httpx.Client", client), method, url, **_own_headers(kwargs)) as event_source,
        RunStream(source := open_source(event_source), accumulator, hears, coalescer) as stream,
    ):
        if source.refused:
            stream.until_done()  # raises what was refused
        yield stream


@asynccontextmanager
async def aconnect(  # noqa: PLR0913 - as connect
    client: AsyncClient,
    method: str,
    url: str,
    *,
    into: Accumulator | None = None,
    handler: Callback | None = None,
    min_interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    **kwargs: object,
) -> AsyncGenerator[AsyncRunStream, None]:
    """Send a request with an async client and give the stream of its answer: `connect`'s twin."""
    if not hasattr(client, "aclose"):
        raise TypeError(f"aconnect() takes an async client, came {type(client).__name__}: use connect()")
    hears, coalescer = checked(handler), coalescing(min_interval, clock)
    accumulator = new_or_given(into, strict=strict, limits=limits)
    async with (
        httpx_sse.aconnect_sse(cast("httpx.AsyncClient", client), method, url, **_own_headers(kwargs)) as event_source,
        AsyncRunStream(source := open_async_source(event_source), accumulator, hears, coalescer) as stream,
    ):
        if source.refused:
            await stream.until_done()
        yield stream


def _own_headers(kwargs: dict[str, object]) -> dict[str, object]:
    """Copy the headers: httpx-sse writes its own into what it is given, and takes neither None nor pairs."""
    return {**kwargs, "headers": httpx.Headers(cast("httpx.Headers", kwargs.get("headers")))}
