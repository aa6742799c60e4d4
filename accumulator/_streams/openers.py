"""Recognise what a user passes, and open it: make an iterator over its bytes or events.

A source is recognised by its methods; this module imports neither an HTTP library nor asyncio. The probes are tried in
this order, and the first probe that recognises the source decides:

    probe                    looks for                   recognises
    `_probe_bodies`          `iter_bodies, aiter_bodies` recordings
    `_probe_iter_bytes`      `iter_bytes, aiter_bytes`   httpx, httpx2, openai-python, azure.core
    `_probe_iter_content`    `iter_content`              requests
    `_probe_iter_any`        `iter_any`                  aiohttp
    `_probe_read`            `read1, read`               files, pipes, urllib, `asyncio.StreamReader`, aiofiles
    `_probe_iteration`       `__iter__, __aiter__`       any iterable, sync or async

So an `asyncio.StreamReader` is read with `read`, not line by line, and an async response is never mistaken for a sync
one. A path is read as what the layer above makes of it, see `recordings`. If the source has a response, the response is
read instead; see `find_openers`.

A source is opened at the first step of the iteration, with one exception. If a response has `iter_bytes` but no
`aiter_bytes`, its probe calls `iter_bytes()`, because only the result shows whether it is async.
"""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, closing, suppress
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Final, Protocol, cast

import msgspec

from accumulator._streams import recordings
from accumulator._streams.head import read_headers
from accumulator._streams.turns import give_turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from accumulator._streams.unpack import Unpacker

_READ_SIZE = 65_536
"""The bytes to ask a file or pipe for in one read: the usual capacity of a pipe. A read may return fewer."""

BYTES_LIKE: tuple[type[object], ...] = (bytes, bytearray, memoryview)
_EXPECTED = "a response, a path, a binary file, or an iterable of bytes or of events"

NEXT_BODY: Final = object()
"""The item between two bodies of a source that says where its bodies end."""


class Openers(msgspec.Struct, frozen=True):
    """The functions that open a source for `for` and for `async for`, each None if that is not possible.

    `one_body` is whether the source is one body. `sync_bytes` and `async_bytes` are expressions for the bytes of the
    source without its head, in which the source is `response`.
    """

    sync: Callable[[], Iterator[object]] | None = None
    async_: Callable[[], AsyncIterator[object]] | None = None
    one_body: bool = False
    sync_bytes: str = "response.iter_bytes()"
    async_bytes: str = "response.iter_bytes()"


_NO_OPENERS = Openers()


class _RawResponse(Protocol):
    """A response of httpx or httpx2."""

    def iter_raw(self) -> object:
        """Iterate over the body as it was sent."""

    def aiter_raw(self) -> object:
        """Iterate over the body as it was sent, with `await`."""


# The probes, in the order in which they are tried. A probe returns no openers for a source that it does not recognise.


def _probe_bodies(given: object) -> Openers:
    """Recognise a recording: what has `iter_bodies` or `aiter_bodies`, an iterator of iterators of chunks."""
    sync, async_ = find_method(given, "iter_bodies"), find_method(given, "aiter_bodies")
    return Openers(
        None if sync is None else partial(_chunks_of_bodies, sync),
        None if async_ is None else partial(_achunks_of_bodies, async_),
    )


def _chunks_of_bodies(iter_bodies: Callable[[], object]) -> Iterator[object]:
    for number, body in enumerate(cast("Iterable[Iterable[object]]", iter_bodies())):
        if number:
            yield NEXT_BODY
        yield from body


async def _achunks_of_bodies(aiter_bodies: Callable[[], object]) -> AsyncIterator[object]:
    number = 0
    async for body in cast("AsyncIterable[AsyncIterable[object]]", aiter_bodies()):
        if number:
            yield NEXT_BODY
        number += 1
        async for chunk in body:
            yield chunk


def _probe_iter_bytes(given: object) -> Openers:
    """Recognise a response of httpx, httpx2, openai-python or azure.core.

    An async response has `aiter_bytes`, or an async `iter_bytes`. Only the result of `iter_bytes` shows whether the
    method is async, so it is called here if there is no `aiter_bytes`.
    """
    sync, async_ = find_method(given, "iter_bytes"), find_method(given, "aiter_bytes")
    if sync is not None and async_ is not None:
        # Every response of httpx has both methods; only its underlying stream shows which of them works.
        stream: object = getattr(given, "stream", None)
        is_sync, is_async = hasattr(stream, "__iter__"), hasattr(stream, "__aiter__")
        return Openers(
            partial(_unpacked, given, sync) if is_sync or not is_async else None,
            partial(_aunpacked, given, async_) if is_async or not is_sync else None,
            one_body=True,
            async_bytes="response.aiter_bytes()",
        )
    if async_ is not None:
        opener = partial(_aunpacked, given, async_)
        return Openers(None, opener, one_body=True, async_bytes="response.aiter_bytes()")
    if sync is None:
        return _NO_OPENERS
    chunks: object = sync()

    def opened() -> object:
        return chunks

    if isinstance(chunks, AsyncIterable):
        return Openers(None, partial(_aunpacked, given, opened), one_body=True)
    return Openers(partial(_unpacked, given, opened), None, one_body=True)


def _unpacked(given: object, iter_bytes: Callable[[], object]) -> Iterator[object]:
    """Iterate over the bytes of a response that has `iter_bytes`, without the coding, if `unpack` knows it."""
    owner, unpacker = _find_coding(given)
    if unpacker is None:
        return iter(cast("Iterable[object]", iter_bytes()))
    raw = cast("Generator[bytes]", cast("_RawResponse", owner).iter_raw())

    def pieces() -> Iterator[bytes]:
        with closing(raw):
            for chunk in raw:
                yield from filter(None, unpacker.unpack(chunk))

    return pieces()


def _aunpacked(given: object, aiter_bytes: Callable[[], object]) -> AsyncIterator[object]:
    """Iterate over the bytes of a response. This is the async version of `_unpacked`.

    While the body unpacks to nothing, the event loop gets turns, so that other tasks run and a deadline can pass.
    """
    owner, unpacker = _find_coding(given)
    if unpacker is None:
        return aiter(cast("AsyncIterable[object]", aiter_bytes()))
    raw = cast("AsyncGenerator[bytes]", cast("_RawResponse", owner).aiter_raw())

    async def pieces() -> AsyncIterator[bytes]:
        async with aclosing(raw):
            async for chunk in raw:
                for piece in unpacker.unpack(chunk):
                    if piece:
                        yield piece
                    else:
                        await give_turn()

    return pieces()


def _find_coding(given: object) -> tuple[object, Unpacker | None]:
    """Return the response of httpx or httpx2 that a response is or holds, and the unpacker of its body.

    There is no unpacker if there is no such response, if its body has no coding, or one that `unpack` does not know,
    and if the body was read already.
    """
    owner: object = getattr(given, "http_response", given)  # of a response of openai-python
    if not hasattr(owner, "aiter_raw") or getattr(owner, "is_stream_consumed", False):
        return owner, None
    coding = read_headers(owner).get("content-encoding")
    if not coding:
        return owner, None
    from accumulator._streams.unpack import make_unpacker  # with zlib, which few bodies need

    return owner, make_unpacker(coding)


def _probe_iter_content(given: object) -> Openers:
    """Recognise a response of requests."""
    iter_content = find_method(given, "iter_content")
    if iter_content is None:
        return _NO_OPENERS

    def chunks() -> Iterator[object]:
        raw: object = getattr(given, "raw", None)
        if not hasattr(raw, "stream"):  # not urllib3: only a read of one byte never waits for more bytes
            return cast("Iterator[object]", iter_content(chunk_size=1))
        read1 = find_method(raw, "read1")
        if read1 is not None and not getattr(raw, "closed", False):
            return _read_chunks(lambda size: read1(size, decode_content=True))
        # iter_content waits until it has a whole chunk of HTTP, or without such chunks all the bytes that it asked for.
        whole = getattr(raw, "chunked", False) or getattr(raw, "closed", False)
        return cast("Iterator[object]", iter_content(chunk_size=None if whole else 1))

    return Openers(chunks, None, one_body=True, sync_bytes="response.iter_content()")


def _probe_iter_any(given: object) -> Openers:
    """Recognise a response of aiohttp, whose `content` has the method, and the `StreamReader` of aiohttp."""
    of_reader = find_method(given, "iter_any")
    content: object = None
    with suppress(Exception):  # the property of a raw response of an SDK, whose body was not read
        content = getattr(given, "content", None)
    iter_any = of_reader or find_method(content, "iter_any")
    if iter_any is None:
        return _NO_OPENERS
    return Openers(
        None,
        lambda: aiter(cast("AsyncIterable[object]", iter_any())),
        one_body=of_reader is None,
        async_bytes="response.content",
    )


def _probe_read(given: object) -> Openers:
    """Recognise binary files, pipes, responses of urllib, `asyncio.StreamReader` and files of aiofiles.

    `read1` is preferred, because it returns the available bytes; `read` of a buffered file waits for the whole size.
    """
    # The files of anyio always have `read1`; it fails if the file that they wrap has none.
    prompt = find_method(given, "read1") and find_method(getattr(given, "wrapped", given), "read1")
    name = "read1" if prompt else "read"
    read = find_method(given, name)
    if isinstance(given, io.TextIOBase) or (read is not None and hasattr(given, "encoding")):
        raise TypeError(
            f'expected a binary file, got {type_name(given)}, a text file: use open(path, "rb") or sys.stdin.buffer'
        )
    if read is None:
        return _NO_OPENERS
    import inspect  # slow to import, and only files need it

    if inspect.iscoroutinefunction(read):
        return Openers(None, lambda: _aread_chunks(cast("Callable[[int], Awaitable[object]]", read), given))
    one_read = "response.read1" if name == "read1" else "lambda: response.read(1)"
    return Openers(lambda: _read_chunks(read, given), None, sync_bytes=f'iter({one_read}, b"")')


def _probe_iteration(given: object) -> Openers:
    """Recognise any iterable of chunks or events."""
    return Openers(
        (lambda: iter(cast("Iterable[object]", given))) if isinstance(given, Iterable) else None,
        (lambda: aiter(cast("AsyncIterable[object]", given))) if isinstance(given, AsyncIterable) else None,
    )


_RESPONSE_PROBES = (_probe_iter_bytes, _probe_iter_content, _probe_iter_any, _probe_read)
_PROBES = (_probe_bodies, *_RESPONSE_PROBES, _probe_iteration)

_PLAIN: Final = frozenset({list, tuple, deque, GeneratorType, AsyncGeneratorType})
"""Types of iterables that have nothing else that a probe looks for."""


def find_openers(given: object) -> tuple[object, Openers]:
    """Return the object to read, and the functions that open it. The object may be an attribute of the source."""
    if type(given) in _PLAIN:
        return given, _probe_iteration(given)
    if isinstance(given, os.PathLike):
        given = recordings.open_path(cast("os.PathLike[str]", given))
    if isinstance(given, str):
        raise TypeError(
            f"expected {_EXPECTED}, got {type_name(given)}: for a file give Path(path), for text [text.encode()]"
        )
    if isinstance(given, BYTES_LIKE):
        raise TypeError(f"expected {_EXPECTED}, got {type_name(given)}: for a whole body give [data]")
    # An EventSource, or a stream of an SDK: read the bytes of its response, not the events of its parser.
    response: object = getattr(given, "response", None)
    openers = _first_openers(response, _RESPONSE_PROBES)
    if openers is not _NO_OPENERS:
        return response, msgspec.structs.replace(openers, one_body=True)
    # A stream or an event handler of azure-ai-agents: read the bytes of one body after the other.
    chained: object = getattr(given, "response_iterator", None)
    openers = _first_openers(chained, (_probe_iteration,))
    if openers is not _NO_OPENERS:
        return chained, openers
    return given, _first_openers(given, _PROBES)


def _first_openers(given: object, probes: tuple[Callable[[object], Openers], ...]) -> Openers:
    if given is None or isinstance(given, type):
        return _NO_OPENERS
    for probe in probes:
        openers = probe(given)
        if openers.sync is not None or openers.async_ is not None:
            return openers
    return _NO_OPENERS


def make_misuse(given: object, name: str, hint: str | None) -> TypeError:
    """Make the error of a source that the function `name` cannot read, with what to do instead."""
    if hint is not None:
        return TypeError(f"{name}() got {hint}")
    got = type_name(given)
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


def find_method(owner: object, name: str) -> Callable[..., object] | None:
    method: object = getattr(owner, name, None)
    return method if callable(method) else None


def type_name(given: object) -> str:
    return type(given).__name__
