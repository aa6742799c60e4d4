"""What people have in hand, told apart by what it offers; nothing here imports an HTTP library or asyncio.

A source is turned into an iterator of items: chunks of bytes, or framed events with `.event` and `.data`. The looks are
tried in order and the first one that knows the object decides, so that an `asyncio.StreamReader` is read by `read` and
not line by line, and an async response is never taken for its sync half. Looking reads nothing: the source is opened at
the first step of the iteration.
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from accumulator._errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

# What one read asks a file or pipe for: the usual capacity of a pipe, and a read gives less as soon as less is there.
_READ_SIZE = 65_536
# What an error keeps of a refused body: room for an API's error object, too little for a log to choke on.
_REFUSED_BODY_SIZE = 2_048
_REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "x-ms-request-id")
_BYTES_LIKE: tuple[type[object], ...] = (bytes, bytearray, memoryview)
_PATH_LIKE: tuple[type[object], ...] = (str, os.PathLike)
_EXPECTED = "a response, a binary file, or an iterable of bytes or of events"


class _Ways(NamedTuple):
    """How to open a source; None where that cannot be."""

    plain: Callable[[], Iterator[object]] | None = None
    asynchronous: Callable[[], AsyncIterator[object]] | None = None
    single: bool = False


_NO_WAY = _Ways()


class _Head(NamedTuple):
    """The part of an HTTP answer that is there before its body."""

    status: int | None
    content_type: str
    request_id: str | None
    checked: bool

    @property
    def refused(self) -> bool:
        """Whether this is no event stream: HTML's server-sent events (WHATWG, 9.2.2) want the type to be named."""
        return self.checked and not (
            200 <= (self.status or 200) < 300  # noqa: PLR2004 - the 2xx of HTTP
            and self.content_type.partition(";")[0].strip().lower() == "text/event-stream"
        )

    def error(self, body: bytes) -> ResponseError:
        came = f"status {self.status}, content type {self.content_type or 'none'}"
        named = f" (request {self.request_id})" if self.request_id else ""
        return ResponseError(
            f"expected a 2xx answer of content type text/event-stream, came {came}{named}",
            status=self.status,
            content_type=self.content_type,
            request_id=self.request_id,
            body=body[:_REFUSED_BODY_SIZE].decode("utf-8", "replace"),
        )


class _Opened:
    """What both kinds of source share: the answer's head, and what there is to close.

    `single` says that it is one body (a response), so that nothing is read after `done`; `refused` that its status or
    content type is wrong, so that the first step raises `ResponseError`; set it to False to read on all the same.
    """

    def __init__(self, given: object, response: object, *, single: bool) -> None:
        self._head = _head(response)
        self._given = given
        self._response = response
        self.single: bool = single or self._head.checked
        self.refused: bool = self._head.refused

    def refusal(self, body: bytes) -> ResponseError:
        """Return what a refused answer is, with the start of its body."""
        return self._head.error(body)

    def _closing(self, items: object, *names: str) -> list[Callable[..., object]]:
        """Give what closes what was given (its response where it has no such method), then the iterator made here."""
        closes = [next(filter(None, (_method(self._given, name) for name in names)), None)]
        if closes == [None]:
            closes = [next(filter(None, (_method(self._response, name) for name in names)), None)]
        if items is not self._given:
            closes.append(next(filter(None, (_method(items, name) for name in names)), None))
        return [close for close in closes if close is not None]


class Source(_Opened):
    """An iterator of the items of a source that is read without `await`."""

    def __init__(self, given: object, response: object, ways: _Ways, opener: Callable[[], Iterator[object]]) -> None:
        """Keep the opener for the first step."""
        super().__init__(given, response, single=ways.single)
        self._open = opener
        self._items: Iterator[object] | None = None

    def __next__(self) -> object:
        """Give the next chunk or event; what the source raises passes."""
        if self._items is None:
            if self.refused:
                raise self.refusal(self._start_of_body())
            self._items = self._open()
        return next(self._items)

    def close(self) -> None:
        """Close the iterator that was made here, then what was given; the second even if the first fails."""
        with ExitStack() as stack:
            for close in self._closing(self._items, "close"):
                stack.callback(close)

    def _start_of_body(self) -> bytes:
        """Read the start of a refused body; a failing read gives what it has, the refusal is the news."""
        body = bytearray()
        with suppress(Exception):
            for chunk in self._open():
                body += cast("bytes", chunk)
                if len(body) >= _REFUSED_BODY_SIZE:
                    break
        return bytes(body)


class AsyncSource(_Opened):
    """The twin of `Source` for what is read with `await`."""

    def __init__(
        self, given: object, response: object, ways: _Ways, opener: Callable[[], AsyncIterator[object]]
    ) -> None:
        """Keep the opener for the first step."""
        super().__init__(given, response, single=ways.single)
        self._open = opener
        self._items: AsyncIterator[object] | None = None

    async def __anext__(self) -> object:
        """Give the next chunk or event; what the source raises passes."""
        if self._items is None:
            if self.refused:
                raise self.refusal(await self._start_of_body())
            self._items = self._open()
        return await anext(self._items)

    async def aclose(self) -> None:
        """Close the iterator that was made here, then what was given; the second even if the first fails."""
        async with AsyncExitStack() as stack:
            for close in self._closing(self._items, "aclose", "close"):
                stack.push_async_callback(_await_if_needed, close)

    async def _start_of_body(self) -> bytes:
        """Read the start of a refused body, as `Source` does."""
        body = bytearray()
        with suppress(Exception):
            async for chunk in self._open():
                body += cast("bytes", chunk)
                if len(body) >= _REFUSED_BODY_SIZE:
                    break
        return bytes(body)


def open_source(given: object) -> Source:
    """Find the way to read `given` without `await`; a `TypeError` names the right spelling where there is none."""
    response, ways = _look(given)
    if ways.plain is None:
        raise _misuse(given, "accumulate", other="aaccumulate" if ways.asynchronous else None)
    return Source(given, response, ways, ways.plain)


def open_async_source(given: object) -> AsyncSource:
    """Find the way to read `given` with `await`; a `TypeError` names the right spelling where there is none."""
    response, ways = _look(given)
    if ways.asynchronous is None:
        raise _misuse(given, "aaccumulate", other="accumulate" if ways.plain else None)
    return AsyncSource(given, response, ways, ways.asynchronous)


def framed(item: object) -> bytes | tuple[str, bytes | str]:
    """Give an item as a chunk of bytes, or as an event's name and data.

    Anything else is misuse, a `TypeError` that names what came.
    """
    if isinstance(item, _BYTES_LIKE):
        return bytes(cast("bytes", item))
    if isinstance(item, str):
        raise TypeError("expected chunks of bytes, came text: encode it, or open its source in binary mode")
    event, data = getattr(item, "event", _NO_WAY), getattr(item, "data", _NO_WAY)
    if event is None:
        event = "message"
    if not isinstance(event, str) or data is _NO_WAY:
        raise TypeError(f"expected chunks of bytes, or events with .event and .data, came {_name(item)}")
    return str.__str__(event), _event_data(data)


def _event_data(data: object) -> bytes | str:
    """Turn the data of a framed event to what a server would have sent."""
    if isinstance(data, bytes | str):
        return data
    if isinstance(data, _BYTES_LIKE):
        return bytes(cast("bytes", data))
    plain = _plain(data)
    if plain is None:
        raise TypeError(f"expected an event's data to be text, bytes, a mapping or a model, came {_name(data)}")
    import json

    try:
        # Not msgspec: it writes NaN as null, which would pass for what the server sent, and refuses lone surrogates.
        return json.dumps(plain, default=_plain_inner).encode()
    except (ValueError, RecursionError) as error:
        raise TypeError(f"expected an event's data to be writable as JSON, came {_name(data)}: {error}") from error


def _plain(data: object) -> object:
    """Give a mapping or a model as a dict, None for anything else; what was never set stays absent."""
    dump = _method(data, "model_dump")
    if dump is not None:  # pydantic, openai; the SDK's own warnings about types it does not know are no news here
        return dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    dump = _method(data, "to_dict") or _method(data, "as_dict")
    if dump is not None:
        return dump()
    if isinstance(data, Mapping):
        return dict(cast("Mapping[object, object]", data))
    return None


def _plain_inner(data: object) -> object:
    plain = _plain(data)
    if plain is None:
        raise TypeError(f"expected an event's data to hold only what JSON can, came {_name(data)} in it")
    return plain


# The looks, in the order in which they are tried.


def _by_iter_bytes(given: object) -> _Ways:
    """Know httpx, httpx2, openai's streaming responses and azure.core's; some name the async one `iter_bytes` too."""
    plain, asynchronous = _method(given, "iter_bytes"), _method(given, "aiter_bytes")
    if plain is not None and asynchronous is not None:
        # httpx offers both on every response; only the stream beneath knows which of them works.
        stream: object = getattr(given, "stream", None)
        is_plain, is_async = hasattr(stream, "__iter__"), hasattr(stream, "__aiter__")
        return _Ways(
            cast("Callable[[], Iterator[object]]", plain) if is_plain or not is_async else None,
            cast("Callable[[], AsyncIterator[object]]", asynchronous) if is_async or not is_plain else None,
            single=True,
        )
    if asynchronous is not None:
        return _Ways(None, cast("Callable[[], AsyncIterator[object]]", asynchronous), single=True)
    if plain is None:
        return _NO_WAY
    chunks = plain()
    if isinstance(chunks, AsyncIterable):
        return _Ways(None, lambda: aiter(cast("AsyncIterable[object]", chunks)), single=True)
    return _Ways(lambda: iter(cast("Iterable[object]", chunks)), None, single=True)


def _by_iter_content(given: object) -> _Ways:
    """Know a response of requests."""
    iter_content = _method(given, "iter_content")
    if iter_content is None:
        return _NO_WAY

    def chunks() -> Iterator[object]:
        raw: object = getattr(given, "raw", None)
        if not hasattr(raw, "stream"):  # no urllib3 beneath, then only single bytes are sure not to wait for more
            return cast("Iterator[object]", iter_content(chunk_size=1))
        if getattr(raw, "chunked", False) or getattr(raw, "closed", False):
            return cast("Iterator[object]", iter_content(chunk_size=None))
        # Without chunked encoding, iter_content waits until it has what it asked for.
        read1 = _method(raw, "read1")
        if read1 is None:
            return cast("Iterator[object]", iter_content(chunk_size=1))
        return _reads(lambda size: read1(size, decode_content=True))

    return _Ways(chunks, None, single=True)


def _by_iter_any(given: object) -> _Ways:
    """Know aiohttp: a response has it on its `content`, a StreamReader itself."""
    on_itself = _method(given, "iter_any")
    content: object = getattr(given, "content", None)
    iter_any = on_itself or _method(content, "iter_any")
    if iter_any is None:
        return _NO_WAY
    return _Ways(None, lambda: aiter(cast("AsyncIterable[object]", iter_any())), single=on_itself is None)


def _by_read(given: object) -> _Ways:
    """Know binary files, pipes, urllib's responses, asyncio.StreamReader, aiofiles; `read1` gives what is there."""
    read = _method(given, "read1") or _method(given, "read")
    if isinstance(given, io.TextIOBase) or (read is not None and hasattr(given, "encoding")):
        raise TypeError(
            f'expected a binary file, came {_name(given)}, a text file: use open(path, "rb") or sys.stdin.buffer'
        )
    if read is None:
        return _NO_WAY
    import inspect  # not cheap, and only files need it

    if inspect.iscoroutinefunction(read):
        return _Ways(None, lambda: _areads(cast("Callable[[int], Awaitable[object]]", read)))
    return _Ways(lambda: _reads(read), None)


def _by_iteration(given: object) -> _Ways:
    """Know any iterable, of chunks or of events."""
    return _Ways(
        (lambda: iter(cast("Iterable[object]", given))) if isinstance(given, Iterable) else None,
        (lambda: aiter(cast("AsyncIterable[object]", given))) if isinstance(given, AsyncIterable) else None,
    )


_BYTES_LOOKS = (_by_iter_bytes, _by_iter_content, _by_iter_any, _by_read)
_LOOKS = (*_BYTES_LOOKS, _by_iteration)


def _look(given: object) -> tuple[object, _Ways]:
    """Give what is to be read, `given` or its `.response`, and the ways to read it."""
    if isinstance(given, _PATH_LIKE):
        raise TypeError(
            f'expected {_EXPECTED}, came {_name(given)}: for a file give open(path, "rb"), for text [text.encode()]'
        )
    if isinstance(given, _BYTES_LIKE):
        raise TypeError(f"expected {_EXPECTED}, came {_name(given)}: for a whole body give [data]")
    # An EventSource or an SDK's stream: its own parser is passed over for ours, which reads the response's bytes.
    response: object = getattr(given, "response", None)
    ways = _first_way(response, _BYTES_LOOKS)
    if ways is not _NO_WAY:
        return response, ways._replace(single=True)
    # A stream of azure-ai-agents, or its event handler: the bytes of one body after the other.
    chained: object = getattr(given, "response_iterator", None)
    ways = _first_way(chained, (_by_iteration,))
    if ways is not _NO_WAY:
        return chained, ways
    return given, _first_way(given, _LOOKS)


def _first_way(given: object, looks: tuple[Callable[[object], _Ways], ...]) -> _Ways:
    if given is None or isinstance(given, type):
        return _NO_WAY
    for look in looks:
        ways = look(given)
        if ways.plain is not None or ways.asynchronous is not None:
            return ways
    return _NO_WAY


def _misuse(given: object, name: str, *, other: str | None) -> TypeError:
    came = _name(given)
    if other is not None:
        kind = "an async source" if other == "aaccumulate" else "a source that is read without await"
        return TypeError(f"{name}() got {kind}, {came}: use {other}()")
    if hasattr(given, "makefile"):
        came += ': give its .makefile("rb")'
    elif hasattr(given, "stdout"):
        came += ": give its .stdout"
    elif hasattr(given, "__enter__") or hasattr(given, "__aenter__"):
        came += ", a context manager: enter it and give what it yields"
    elif isinstance(given, Awaitable):
        came += ": await it and give its result"
    return TypeError(f"{name}() takes {_EXPECTED}; came {came}")


def _head(response: object) -> _Head:
    """Read status, content type and request id, where there are any."""
    status: object = getattr(response, "status_code", None)
    if status is None:
        status = getattr(response, "status", None)
    if not isinstance(status, int) or isinstance(status, bool):
        return _Head(None, "", None, checked=False)
    headers = {}
    pairs = _method(getattr(response, "headers", None), "items")
    if pairs is not None:
        headers = {str(name).lower(): str(value) for name, value in cast("Iterable[tuple[object, object]]", pairs())}
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)
    return _Head(status, headers.get("content-type", ""), request_id, checked=True)


def _reads(read: Callable[[int], object]) -> Iterator[object]:
    """Read until the empty chunk that says the end; None (of a non-blocking file) and text pass, they are misuse."""
    while (chunk := read(_READ_SIZE)) or not isinstance(chunk, _BYTES_LIKE):
        yield chunk


async def _areads(read: Callable[[int], Awaitable[object]]) -> AsyncIterator[object]:
    """Read until the empty chunk, as `_reads` does."""
    while (chunk := await read(_READ_SIZE)) or not isinstance(chunk, _BYTES_LIKE):
        yield chunk


async def _await_if_needed(call: Callable[[], object]) -> None:
    result = call()
    if isinstance(result, Awaitable):
        await result


def _method(owner: object, name: str) -> Callable[..., object] | None:
    method: object = getattr(owner, name, None)
    return method if callable(method) else None


def _name(given: object) -> str:
    return type(given).__name__
