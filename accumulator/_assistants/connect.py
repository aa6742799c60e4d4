"""Send an HTTP request and fold its response. The only module that imports httpx and httpx-sse.

httpx-sse sends the request with the headers that an event stream needs. The parser of this library reads the bytes of
the response. httpx-sse calls only the `stream` method of a client, so the clients of httpx2 work as well.
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Protocol, cast

import httpx
import httpx_sse

from accumulator._assistants.protocol import ASSISTANTS
from accumulator._assistants.streams import AsyncRunStream, RunStream, new_or_given
from accumulator._engine.limits import DEFAULT_LIMITS, Limits
from accumulator._streams.deadlines import make_deadlines
from accumulator._streams.hooks import Callback, check_handler
from accumulator._streams.recordings import arecorded, open_recorder, recorded
from accumulator._streams.sources import make_async_source, make_source
from accumulator._streams.streams import make_coalescer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.updates import Update
    from accumulator._streams.recordings import RecordTo


class Client(Protocol):
    """A sync client of httpx or httpx2."""

    @property
    def stream(self) -> Callable[..., AbstractContextManager[object]]:
        """The method that sends a request. It returns a context manager of the response, whose body is not read yet."""
        ...


class AsyncClient(Protocol):
    """An async client of httpx or httpx2."""

    @property
    def stream(self) -> Callable[..., AbstractAsyncContextManager[object]]:
        """The method that sends a request. It returns a context manager of the response, whose body is not read yet."""
        ...


REQUEST_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""What a client of `make_client` raises if a request fails."""


def make_client() -> httpx.Client:
    """Make a client that waits as long as a run is silent, for a program that has none."""
    return httpx.Client(timeout=httpx.Timeout(10, read=None))


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
    record: RecordTo = None,
    **kwargs: object,
) -> Generator[RunStream, None, None]:
    """Send a request and yield the stream of its response. Leaving the `with` block closes the response.

    Args:
        client: a sync client of httpx or httpx2. Its timeouts apply: httpx waits at most 5 seconds for the next bytes
            by default, and a run whose tool is busy may be silent for longer.
        method: the HTTP method, such as "POST".
        url: the URL, in any form that the client takes.
        into: the accumulator that receives the events, as in `accumulate`.
        handler: a callable of one update, as in `accumulate`.
        min_interval: the least number of seconds between two deltas of one part, as in `accumulate`.
        clock: the clock that measures `min_interval`, as in `accumulate`.
        strict: whether a problem raises `MergeError`, as in `accumulate`.
        limits: the limits of a new accumulator, as in `accumulate`.
        record: the path of a new file, or a `Recorder`, to write the body of the response to as it arrives.
        **kwargs: further arguments of the client's `stream` method: `json`, `headers`, `timeout`, ... Unless `headers`
            has `Accept-Encoding`, the server is asked not to compress. An answer in gzip or deflate is unpacked in
            bounded memory all the same; any other coding is unpacked by the client, with the memory that it takes. An
            answer with more than one content coding is not read: that is a `TruncatedError`.

    Raises:
        ResponseError: the status is not 2xx, or the content type is not that of an event stream. A response of type
            text/plain or application/octet-stream, or without a type, is refused if its body does not begin like an
            event stream. For such a response entering the block waits for the first bytes. The start of a refused
            body is in the error; it is read for a second, and then until the current read of the client returns.
        OSError: the file of `record` cannot be created; `FileExistsError` if it is there.
        TypeError: the client is async, or `accumulate` would raise `TypeError` for one of its arguments.
        ValueError: `min_interval` is not more than 0, or not finite.

    All are raised when the block is entered, the first one after the request, the others before it is sent.
    Exceptions that httpx raises while it sends the request propagate unchanged.

    """
    if hasattr(client, "aclose"):
        raise TypeError(f"connect() takes a sync client, got {type(client).__name__}: use aconnect()")
    hooks, coalescer = check_handler(handler, "aconnect"), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    accumulator = new_or_given(into, strict=strict, limits=limits)
    with (
        open_recorder(record) as recorder,
        httpx_sse.connect_sse(cast("httpx.Client", client), method, url, **_own_headers(kwargs)) as event_source,
        RunStream(
            source := make_source(recorded(event_source, recorder, "connect", "aconnect"), "connect", "aconnect"),
            accumulator,
            hooks,
            coalescer,
        ) as stream,
    ):
        source.look()
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
    idle_timeout: float | None = None,
    total_timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    record: RecordTo = None,
    **kwargs: object,
) -> AsyncGenerator[AsyncRunStream, None]:
    """Send a request with an async client and yield the stream of its response: the async version of `connect`.

    Under asyncio the body of a refused response is read for a second at most.
    `idle_timeout`, `total_timeout` and `clock` are those of `aaccumulate`. The two deadlines begin with the body of the
    response. If one passes while entering the block waits for the first bytes, the block is entered and the first step
    raises.
    """
    if not hasattr(client, "aclose"):
        raise TypeError(f"aconnect() takes an async client, got {type(client).__name__}: use connect()")
    hooks, coalescer = check_handler(handler), make_coalescer(min_interval, clock, ASSISTANTS.fragment)
    deadlines = make_deadlines(idle_timeout, total_timeout, clock)
    accumulator = new_or_given(into, strict=strict, limits=limits)
    with open_recorder(record) as recorder:
        async with (
            httpx_sse.aconnect_sse(
                cast("httpx.AsyncClient", client), method, url, **_own_headers(kwargs)
            ) as event_source,
            AsyncRunStream(
                source := make_async_source(
                    arecorded(event_source, recorder, "aconnect", "connect"), "aconnect", "connect"
                ),
                accumulator,
                hooks,
                coalescer,
                deadlines=deadlines,
                clock=clock,
            ) as stream,
        ):
            await source.look(deadlines)
            if source.refused:
                await stream.until_done()
            yield stream


def _own_headers(kwargs: dict[str, object]) -> dict[str, object]:
    """Copy the headers into an `httpx.Headers`: httpx-sse changes what it gets, and takes neither None nor pairs.

    Unless the caller asks for a compression, ask for none. An event stream is sent in small parts, and a compressed
    answer may need a thousand times as much memory as it has bytes.
    """
    headers = httpx.Headers(cast("httpx.Headers", kwargs.get("headers")))
    headers.setdefault("Accept-Encoding", "identity")
    return {**kwargs, "headers": headers}
