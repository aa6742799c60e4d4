"""Turn what a user passes into an iterator of items.

An item is a chunk of bytes, or an event with `.event` and `.data`.

A source is recognised by its methods; this module imports neither an HTTP library nor asyncio. The probes are tried in
this order, and the first probe that recognises the source decides:

    probe                    looks for                   recognises
    `_probe_iter_bytes`      `iter_bytes, aiter_bytes`   httpx, httpx2, openai-python, azure.core
    `_probe_iter_content`    `iter_content`              requests
    `_probe_iter_any`        `iter_any`                  aiohttp
    `_probe_read`            `read1, read`               files, pipes, urllib, `asyncio.StreamReader`, aiofiles
    `_probe_iteration`       `__iter__, __aiter__`       any iterable, sync or async

So an `asyncio.StreamReader` is read with `read`, not line by line, and an async response is never mistaken for a sync
one. If the source has a response, the response is read instead; see `_find_openers`.

Bytes are read and iterators are made at the first step of the iteration, with one exception. If a response has
`iter_bytes` but no `aiter_bytes`, its probe calls `iter_bytes()`, because only the result shows whether it is async.
"""

from __future__ import annotations

import errno
import io
import os
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    aclosing,
    closing,
    nullcontext,
    suppress,
)
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from accumulator._formats import begins_like_events
from accumulator._sse import DEFAULT_NAME
from accumulator._streams.head import (
    REFUSED_BODY_SECONDS,
    REFUSED_BODY_SIZE,
    read_head,
    read_headers,
)
from accumulator._streams.unpack import Unpacker, make_unpackers, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from accumulator._errors import ResponseError

_READ_SIZE = 65_536
"""The bytes to ask a file or pipe for in one read: the usual capacity of a pipe. A read may return fewer."""

BYTES_LIKE: tuple[type[object], ...] = (bytes, bytearray, memoryview)
_PATH_LIKE: tuple[type[object], ...] = (str, os.PathLike)
_EXPECTED = "a response, a binary file, or an iterable of bytes or of events"


class _Openers(NamedTuple):
    """The functions that open a source for `for` and for `async for`, each None if that is not possible.

    `one_body` is whether the source is one body. `sync_bytes` and `async_bytes` are expressions for the bytes of the
    source without its head, in which the source is `response`.
    """

    sync: Callable[[], Iterator[object]] | None = None
    async_: Callable[[], AsyncIterator[object]] | None = None
    one_body: bool = False
    sync_bytes: str = "response.iter_bytes()"
    async_bytes: str = "response.iter_bytes()"


_READERS = {"connect": "accumulate", "aconnect": "aaccumulate"}
"""For each function that sends a request itself, the function that takes the bytes of a response."""

_NO_OPENERS = _Openers()
_MISSING = object()


class _Packed(Protocol):
    """A response of httpx or httpx2."""

    def iter_raw(self) -> object:
        """Iterate over the body as it was sent."""

    def aiter_raw(self) -> object:
        """Iterate over the body as it was sent, with `await`."""


class _Origin(NamedTuple):
    """What a source was made from: what the user passed, and the object that is read.

    `one_body` is whether it is one body, `way_on` the call that folds its bytes if it is refused.
    """

    given: object
    response: object
    one_body: bool
    way_on: str


class _SourceBase:
    """What `Source` and `AsyncSource` share: what is known of the response, and the methods that close.

    Attributes:
        one_body: whether to stop reading at the end of the first body, as for a response.
        refused: whether the response is no event stream; None until `look` has read the start of a body that decides.
        passes_refused: whether a refused response is read all the same, as by a tap. If not, each step raises
            `ResponseError`.

    """

    def __init__(self, origin: _Origin) -> None:
        self._head = read_head(origin.response)
        self._given = origin.given
        self._response = origin.response
        self._way_on = origin.way_on
        self._start = b""  # the bytes that `look` decides by
        self._read_ahead: deque[object] = deque()  # the items that `look` has read, to be handed out
        self._failure: Exception | None = None  # what the source raised in `look`, to be raised after these items
        self.one_body: bool = origin.one_body or self._head.is_response
        self.refused: bool | None = self._head.refused
        self.passes_refused = False

    def refusal(self, start: bytes) -> ResponseError:
        """Make the error of a refused response. `start` is what was handed out of its body."""
        return self._head.error(b"".join([start, *cast("Iterable[bytes]", self._read_ahead)]), self._way_on)

    def _take_body(self) -> bytearray:
        """Return what `look` has read of a refused body, not to be handed out any more."""
        body = bytearray().join(cast("Iterable[bytes]", self._read_ahead))
        self._read_ahead.clear()
        return body

    def _see(self, item: object) -> None:
        """Decide by an item that `look` has read, and keep the item."""
        self._read_ahead.append(item)
        if isinstance(item, BYTES_LIKE):
            self._start += bytes(cast("bytes", item))
            begins = begins_like_events(self._start)
            if begins is not None:
                self.refused, self._start = not begins, b""
        else:
            self.refused = False  # `read_item` reports the misuse

    def _see_failure(self, error: Exception) -> None:
        """Take the response for an event stream that broke, and keep the exception."""
        self._failure, self.refused = error, False

    def _take_read_ahead(self) -> object:
        """Return the next item that `look` has read, or raise what the source raised. Return `_MISSING` for neither."""
        if self._read_ahead:
            return self._read_ahead.popleft()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return _MISSING

    def _closers(self, items: object, *names: str) -> list[Callable[..., object]]:
        """Return the method that closes the source and the method that closes `items`, the iterator over the source.

        If the source has no such method, use the method of its response. `names` are the names of the method, in order
        of preference.
        """

        def closer(owner: object) -> Callable[..., object] | None:
            return next(filter(None, (_method(owner, name) for name in names)), None)

        found = [closer(self._given) or closer(self._response)]
        if items is not self._given:
            found.append(closer(items))
        return [close for close in found if close is not None]


class Source(_SourceBase):
    """An iterator of the items of a source that is read without `await`."""

    def __init__(self, origin: _Origin, opener: Callable[[], Iterator[object]], clock: Callable[[], float]) -> None:
        """Store the arguments; nothing is read until the first step. `clock` returns seconds."""
        super().__init__(origin)
        self._clock = clock
        self._open = opener
        self._items: Iterator[object] | None = None

    def look(self) -> None:
        """Decide whether the response is refused, by the start of its body if only that can tell.

        What is read is handed out by the next steps. An exception of the source is raised by the step behind it. A body
        that ends before it has begun like an event stream is refused.
        """
        while self.refused is None:
            try:
                item = self._read()
            except StopIteration:
                self.refused = True
            except Exception as error:  # noqa: BLE001 - a later step raises it
                self._see_failure(error)
            else:
                self._see(item)

    def __next__(self) -> object:
        """Return the next item. An exception of the source propagates."""
        self.look()
        if self.refused and not self.passes_refused:
            raise self.refusal(self._start_of_body())
        return self._next()

    def close(self) -> None:
        """Close the iterator over the source, then the source. A failure of the first does not prevent the second."""
        with ExitStack() as stack:
            for close in self._closers(self._items, "close"):
                stack.callback(close)

    def _next(self) -> object:
        item = self._take_read_ahead()
        return self._read() if item is _MISSING else item

    def _read(self) -> object:
        if self._items is None:
            self._items = self._open()
        return next(self._items)

    def _start_of_body(self) -> bytes:
        """Read the start of a refused body. Ignore an exception of the source: the refusal is the error to raise.

        After a second no other chunk is read. The chunk in hand may take as long as the client allows.
        """
        body = self._take_body()
        end = self._clock() + REFUSED_BODY_SECONDS
        with suppress(Exception):
            while len(body) < REFUSED_BODY_SIZE and self._clock() < end:
                body += cast("bytes", self._read())
        return bytes(body)


class AsyncSource(_SourceBase):
    """An async iterator of the items of a source that is read with `await`."""

    def __init__(
        self, origin: _Origin, opener: Callable[[], AsyncIterator[object]], clock: Callable[[], float]
    ) -> None:
        """Store the arguments; nothing is read until the first step. `clock` returns seconds."""
        super().__init__(origin)
        self._clock = clock
        self._open = opener
        self._items: AsyncIterator[object] | None = None

    async def look(self) -> None:
        """Decide whether the response is refused. This is the async version of `Source.look`."""
        while self.refused is None:
            try:
                item = await self._read()
            except StopAsyncIteration:
                self.refused = True
            except Exception as error:  # noqa: BLE001 - as in the sync loop
                self._see_failure(error)
            else:
                self._see(item)

    async def __anext__(self) -> object:
        """Return the next item. An exception of the source propagates."""
        await self.look()
        if self.refused and not self.passes_refused:
            raise self.refusal(await self._start_of_body())
        return await self._next()

    async def aclose(self) -> None:
        """Close the iterator over the source, then the source. A failure of the first does not prevent the second."""
        async with AsyncExitStack() as stack:
            for close in self._closers(self._items, "aclose", "close"):
                stack.push_async_callback(_await_if_needed, close)

    async def _next(self) -> object:
        item = self._take_read_ahead()
        return await self._read() if item is _MISSING else item

    async def _read(self) -> object:
        if self._items is None:
            self._items = self._open()
        return await anext(self._items)

    async def _start_of_body(self) -> bytes:
        """Read the start of a refused body. This is the async version of `Source._start_of_body`.

        Under asyncio the chunk in hand is given up after the second.
        """
        body = self._take_body()
        end = self._clock() + REFUSED_BODY_SECONDS
        items, self._items = self._items, None  # an iterator that is read cannot be closed by another task
        try:
            with suppress(Exception):
                async with _time_limit(REFUSED_BODY_SECONDS):
                    items = items or self._open()
                    while len(body) < REFUSED_BODY_SIZE and self._clock() < end:
                        body += cast("bytes", await anext(items))
        finally:
            self._items = items
        return bytes(body)


def make_source(given: object, name: str, async_name: str, *, clock: Callable[[], float] = time.monotonic) -> Source:
    """Make the source that reads what the user passed to `name`, a function that reads without `await`.

    Raises `TypeError` if that is not possible. The message names `async_name`, the async version of the function, if
    that one can read it.
    """
    response, openers = _find_openers(given)
    if openers.sync is not None:
        way_on = f"{_READERS.get(name, name)}({openers.sync_bytes})"
        return Source(_Origin(given, response, openers.one_body, way_on), openers.sync, clock)
    raise _misuse(given, name, f"an async source, {_name(given)}: use {async_name}()" if openers.async_ else None)


def make_async_source(
    given: object, name: str, sync_name: str, *, clock: Callable[[], float] = time.monotonic
) -> AsyncSource:
    """Make the source that reads what the user passed to `name`, an async function.

    Raises `TypeError` if that is not possible. The message names `sync_name`, the sync version of the function, if that
    one can read it.
    """
    response, openers = _find_openers(given)
    if openers.async_ is not None:
        way_on = f"{_READERS.get(name, name)}({openers.async_bytes})"
        return AsyncSource(_Origin(given, response, openers.one_body, way_on), openers.async_, clock)
    hint = f"a source that is read without await, {_name(given)}: use {sync_name}()"
    raise _misuse(given, name, hint if openers.sync else None)


# The items of a source.


def read_item(item: object) -> bytes | tuple[str, bytes | str]:
    """Return a chunk as bytes, or an event as its name and data. Raise `TypeError` for anything else."""
    if isinstance(item, BYTES_LIKE):
        return bytes(cast("bytes", item))
    if isinstance(item, str):
        raise TypeError("expected chunks of bytes, got text: encode it, or open its source in binary mode")
    event, data = getattr(item, "event", _MISSING), getattr(item, "data", _MISSING)
    if event is None:
        event = DEFAULT_NAME
    if not isinstance(event, str) or data is _MISSING:
        raise TypeError(f"expected chunks of bytes, or events with .event and .data, got {_name(item)}")
    return str.__str__(event), _event_data(data)


def _event_data(data: object) -> bytes | str:
    """Return the data of an event as a server would have sent it."""
    if isinstance(data, bytes | str):
        return data
    if isinstance(data, BYTES_LIKE):
        return bytes(cast("bytes", data))
    plain = _plain(data)
    if plain is None:
        raise TypeError(f"expected an event's data to be text, bytes, a mapping or a model, got {_name(data)}")
    import json

    try:
        # Not msgspec: it writes NaN as null, which the server did not send, and it refuses lone surrogates.
        return json.dumps(plain, default=_plain_inner).encode()
    except (ValueError, RecursionError) as error:
        raise TypeError(f"expected an event's data to be writable as JSON, got {_name(data)}: {error}") from error


def _plain(data: object) -> object:
    """Return a mapping or a model as a dict, and None for anything else. Leave out fields that were never set."""
    dump = _method(data, "model_dump")
    if dump is not None:  # pydantic, openai; no warnings about values that do not have the declared type
        return dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    dump = _method(data, "to_dict") or _method(data, "as_dict")
    if dump is not None:
        return dump()
    if isinstance(data, Mapping):
        return dict(cast("Mapping[object, object]", data))
    return None


def _plain_inner(data: object) -> object:
    """Return a mapping or model as a dict, for `json.dumps`. Raise `TypeError` for anything else."""
    plain = _plain(data)
    if plain is None:
        raise TypeError(f"expected an event's data to hold only what JSON can, got {_name(data)} in it")
    return plain


# The probes, in the order in which they are tried. A probe returns no openers for a source that it does not recognise.


def _probe_iter_bytes(given: object) -> _Openers:
    """Recognise a response of httpx, httpx2, openai-python or azure.core.

    An async response has `aiter_bytes`, or an async `iter_bytes`. Only the result of `iter_bytes` shows whether the
    method is async, so it is called here if there is no `aiter_bytes`.
    """
    sync, async_ = _method(given, "iter_bytes"), _method(given, "aiter_bytes")
    if sync is not None and async_ is not None:
        # Every response of httpx has both methods; only its underlying stream shows which of them works.
        stream: object = getattr(given, "stream", None)
        is_sync, is_async = hasattr(stream, "__iter__"), hasattr(stream, "__aiter__")
        return _Openers(
            partial(_unpacked, given, sync) if is_sync or not is_async else None,
            partial(_aunpacked, given, async_) if is_async or not is_sync else None,
            one_body=True,
            async_bytes="response.aiter_bytes()",
        )
    if async_ is not None:
        opener = partial(_aunpacked, given, async_)
        return _Openers(None, opener, one_body=True, async_bytes="response.aiter_bytes()")
    if sync is None:
        return _NO_OPENERS
    chunks: object = sync()

    def opened() -> object:
        return chunks

    if isinstance(chunks, AsyncIterable):
        return _Openers(None, partial(_aunpacked, given, opened), one_body=True)
    return _Openers(partial(_unpacked, given, opened), None, one_body=True)


def _unpacked(given: object, iter_bytes: Callable[[], object]) -> Iterator[object]:
    """Iterate over the bytes of a response that has `iter_bytes`, without the codings that `unpack` knows."""
    owner, unpackers = _find_packed(given)
    if not unpackers:
        return iter(cast("Iterable[object]", iter_bytes()))
    packed = cast("Generator[bytes]", cast("_Packed", owner).iter_raw())

    def pieces() -> Iterator[bytes]:
        with closing(packed):
            for chunk in packed:
                yield from unpack(chunk, unpackers)

    return pieces()


def _aunpacked(given: object, aiter_bytes: Callable[[], object]) -> AsyncIterator[object]:
    """Iterate over the bytes of a response. This is the async version of `_unpacked`."""
    owner, unpackers = _find_packed(given)
    if not unpackers:
        return aiter(cast("AsyncIterable[object]", aiter_bytes()))
    packed = cast("AsyncGenerator[bytes]", cast("_Packed", owner).aiter_raw())

    async def pieces() -> AsyncIterator[bytes]:
        async with aclosing(packed):
            async for chunk in packed:
                for piece in unpack(chunk, unpackers):
                    yield piece

    return pieces()


def _find_packed(given: object) -> tuple[object, list[Unpacker] | None]:
    """Return the response of httpx or httpx2 that a response is or holds, and the unpackers of its body.

    There are none if there is no such response, if its body is not packed, or not only as `unpack` knows, and if the
    body was read already.
    """
    owner: object = getattr(given, "http_response", given)  # of a response of openai-python
    if not hasattr(owner, "aiter_raw") or getattr(owner, "is_stream_consumed", False):
        return owner, None
    return owner, make_unpackers(read_headers(owner).get("content-encoding", ""))


def _probe_iter_content(given: object) -> _Openers:
    """Recognise a response of requests."""
    iter_content = _method(given, "iter_content")
    if iter_content is None:
        return _NO_OPENERS

    def chunks() -> Iterator[object]:
        raw: object = getattr(given, "raw", None)
        if not hasattr(raw, "stream"):  # not urllib3: only a read of one byte never waits for more bytes
            return cast("Iterator[object]", iter_content(chunk_size=1))
        read1 = _method(raw, "read1")
        if read1 is not None and not getattr(raw, "closed", False):
            return _read_chunks(lambda size: read1(size, decode_content=True))
        # iter_content waits until it has a whole chunk of HTTP, or without such chunks all the bytes that it asked for.
        whole = getattr(raw, "chunked", False) or getattr(raw, "closed", False)
        return cast("Iterator[object]", iter_content(chunk_size=None if whole else 1))

    return _Openers(chunks, None, one_body=True, sync_bytes="response.iter_content()")


def _probe_iter_any(given: object) -> _Openers:
    """Recognise a response of aiohttp, whose `content` has the method, and the `StreamReader` of aiohttp."""
    of_reader = _method(given, "iter_any")
    content: object = None
    with suppress(Exception):  # the property of a raw response of an SDK, whose body was not read
        content = getattr(given, "content", None)
    iter_any = of_reader or _method(content, "iter_any")
    if iter_any is None:
        return _NO_OPENERS
    return _Openers(
        None,
        lambda: aiter(cast("AsyncIterable[object]", iter_any())),
        one_body=of_reader is None,
        async_bytes="response.content",
    )


def _probe_read(given: object) -> _Openers:
    """Recognise binary files, pipes, responses of urllib, `asyncio.StreamReader` and files of aiofiles.

    `read1` is preferred, because it returns the available bytes; `read` of a buffered file waits for the whole size.
    """
    # The files of anyio always have `read1`; it fails if the file that they wrap has none.
    prompt = _method(given, "read1") and _method(getattr(given, "wrapped", given), "read1")
    name = "read1" if prompt else "read"
    read = _method(given, name)
    if isinstance(given, io.TextIOBase) or (read is not None and hasattr(given, "encoding")):
        raise TypeError(
            f'expected a binary file, got {_name(given)}, a text file: use open(path, "rb") or sys.stdin.buffer'
        )
    if read is None:
        return _NO_OPENERS
    import inspect  # slow to import, and only files need it

    if inspect.iscoroutinefunction(read):
        return _Openers(None, lambda: _aread_chunks(cast("Callable[[int], Awaitable[object]]", read), given))
    one_read = "response.read1" if name == "read1" else "lambda: response.read(1)"
    return _Openers(lambda: _read_chunks(read, given), None, sync_bytes=f'iter({one_read}, b"")')


def _probe_iteration(given: object) -> _Openers:
    """Recognise any iterable of chunks or events."""
    return _Openers(
        (lambda: iter(cast("Iterable[object]", given))) if isinstance(given, Iterable) else None,
        (lambda: aiter(cast("AsyncIterable[object]", given))) if isinstance(given, AsyncIterable) else None,
    )


_RESPONSE_PROBES = (_probe_iter_bytes, _probe_iter_content, _probe_iter_any, _probe_read)
_PROBES = (*_RESPONSE_PROBES, _probe_iteration)


def _find_openers(given: object) -> tuple[object, _Openers]:
    """Return the object to read, and the functions that open it. The object may be an attribute of the source."""
    if isinstance(given, _PATH_LIKE):
        raise TypeError(
            f'expected {_EXPECTED}, got {_name(given)}: for a file give open(path, "rb"), for text [text.encode()]'
        )
    if isinstance(given, BYTES_LIKE):
        raise TypeError(f"expected {_EXPECTED}, got {_name(given)}: for a whole body give [data]")
    # An EventSource, or a stream of an SDK: read the bytes of its response, not the events of its parser.
    response: object = getattr(given, "response", None)
    openers = _first_openers(response, _RESPONSE_PROBES)
    if openers is not _NO_OPENERS:
        return response, openers._replace(one_body=True)
    # A stream or an event handler of azure-ai-agents: read the bytes of one body after the other.
    chained: object = getattr(given, "response_iterator", None)
    openers = _first_openers(chained, (_probe_iteration,))
    if openers is not _NO_OPENERS:
        return chained, openers
    return given, _first_openers(given, _PROBES)


def _first_openers(given: object, probes: tuple[Callable[[object], _Openers], ...]) -> _Openers:
    if given is None or isinstance(given, type):
        return _NO_OPENERS
    for probe in probes:
        openers = probe(given)
        if openers.sync is not None or openers.async_ is not None:
            return openers
    return _NO_OPENERS


def _misuse(given: object, name: str, hint: str | None) -> TypeError:
    """Make the error of a source that the function `name` cannot read, with what to do instead."""
    if hint is not None:
        return TypeError(f"{name}() got {hint}")
    got = _name(given)
    if hasattr(given, "parse"):
        got += ", a raw response of an SDK: give its .parse(), or use .with_streaming_response and give what it yields"
    elif hasattr(given, "makefile"):
        got += ': give its .makefile("rb")'
    elif hasattr(given, "stdout"):
        got += ": give its .stdout"
    elif hasattr(given, "__enter__") or hasattr(given, "__aenter__"):
        got += ", a context manager: enter it and give what it yields"
    elif isinstance(given, Awaitable):
        got += ": await it and give its result"
    return TypeError(f"{name}() takes {_EXPECTED}; got {got}")


def _read_chunks(read: Callable[[int], object], file: object = None) -> Iterator[object]:
    """Yield the chunks before the first empty chunk, which is the end. Text is yielded even if it is empty.

    Raises:
        BlockingIOError: the file is in non-blocking mode and has nothing yet, which is not its end.

    """
    while True:
        chunk = read(_READ_SIZE)
        if _is_empty(chunk) and _is_non_blocking(file):
            # A buffer returns the same, nothing, for no data yet and for the end. The file beneath tells them apart.
            raw: object = getattr(file, "raw", None)
            chunk = raw.read(_READ_SIZE) if isinstance(raw, io.RawIOBase) else chunk
        if chunk is None:
            raise _nothing_yet()
        if _is_empty(chunk):
            return
        yield chunk


async def _aread_chunks(read: Callable[[int], Awaitable[object]], file: object) -> AsyncIterator[object]:
    """Yield the chunks before the first empty chunk, which is the end. This is the async version of `_read_chunks`.

    Under asyncio it waits until a file in non-blocking mode has something.
    """
    waited = False
    while True:
        chunk = await read(_READ_SIZE)
        if chunk is None or (_is_empty(chunk) and not waited and _is_non_blocking(file)):
            await _until_readable(file)
            waited = True
            continue
        if _is_empty(chunk):
            return
        waited = False
        yield chunk


def _is_empty(chunk: object) -> bool:
    return isinstance(chunk, BYTES_LIKE) and not chunk


def _is_non_blocking(file: object) -> bool:
    try:
        return not os.get_blocking(cast("io.RawIOBase", file).fileno())
    except (AttributeError, OSError, TypeError, ValueError):  # no file descriptor, or none that has such a mode
        return False


async def _until_readable(file: object) -> None:
    """Wait until a file has something, or is at its end. Raise `BlockingIOError` where that is not possible."""
    import asyncio

    readable = asyncio.Event()
    try:
        descriptor = cast("io.RawIOBase", file).fileno()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, readable.set)
    except PermissionError:  # a file on a disk, which never has to be waited for
        return
    except (AttributeError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise _nothing_yet() from error
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _nothing_yet() -> BlockingIOError:
    return BlockingIOError(
        errno.EAGAIN,
        "expected a file in blocking mode, got one in non-blocking mode that has nothing yet: call "
        "os.set_blocking(file.fileno(), True), or give aaccumulate() an asyncio.StreamReader",
    )


def _time_limit(seconds: float) -> AbstractAsyncContextManager[object]:
    """Return a context that raises `TimeoutError` after so many seconds, or never if no asyncio task runs."""
    import asyncio

    try:
        in_task = asyncio.current_task() is not None
    except RuntimeError:  # no event loop runs, as under trio
        in_task = False
    return asyncio.timeout(seconds) if in_task else nullcontext()


async def _await_if_needed(call: Callable[[], object]) -> None:
    result = call()
    if isinstance(result, Awaitable):
        await result


def _method(owner: object, name: str) -> Callable[..., object] | None:
    method: object = getattr(owner, name, None)
    return method if callable(method) else None


def _name(given: object) -> str:
    return type(given).__name__
