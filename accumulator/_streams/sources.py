"""Iterate over the items of what a user passes, and refuse a response that is no event stream.

An item is a chunk of bytes, or an event: an object with `.event` and `.data`, a pair of these two, or a mapping with
these two keys. `openers` says how a source is recognised and opened. Bytes are read and iterators are made at the first
step of the iteration.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, cast

import msgspec

from accumulator._formats import begins_like_events
from accumulator._sse import DEFAULT_NAME
from accumulator._streams.head import REFUSED_BODY_SECONDS, REFUSED_BODY_SIZE, Head, read_head
from accumulator._streams.openers import BYTES_LIKE, find_method, find_openers, make_misuse, type_name
from accumulator._streams.turns import in_asyncio

if TYPE_CHECKING:
    from accumulator._errors import ResponseError
    from accumulator._streams.deadlines import Deadlines

_READERS = {"connect": "accumulate", "aconnect": "aaccumulate"}
"""For each function that sends a request itself, the function that takes the bytes of a response."""

_MISSING = object()

_PAIR = 2
_EVENT_FORMS = 'with .event and .data, as (event, data) or as {"event": ..., "data": ...}'


class _Origin(msgspec.Struct, frozen=True):
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
        head: what is known of the response.
        response: the object that is read.
        one_body: whether to stop reading at the end of the first body, as for a response.
        refused: whether the response is no event stream; None until `look` has read the start of a body that decides.
        passes_refused: whether a refused response is read all the same, as by a tap. If not, each step raises
            `ResponseError`.

    """

    def __init__(self, origin: _Origin) -> None:
        self.head: Head = read_head(origin.response)
        self._given = origin.given
        self.response: object = origin.response
        self._way_on = origin.way_on
        self._start = b""  # the bytes that `look` decides by
        self._read_ahead: deque[object] = deque()  # the items that `look` has read, to be handed out
        self._failure: Exception | None = None  # what the source raised in `look`, to be raised after these items
        self.one_body: bool = origin.one_body or self.head.is_response
        self.refused: bool | None = self.head.refused
        self.passes_refused = False

    @property
    def has_read_ahead(self) -> bool:
        """Whether `look` has read the next item, or the exception that the next step raises."""
        return bool(self._read_ahead) or self._failure is not None

    def refusal(self, start: bytes) -> ResponseError:
        """Make the error of a refused response. `start` is what was handed out of its body."""
        return self.head.error(b"".join([start, *cast("Iterable[bytes]", self._read_ahead)]), self._way_on)

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

    def _see_end(self) -> None:
        """Refuse the response, because its body ended before it began like an event stream."""
        self.refused = True

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
            return next(filter(None, (find_method(owner, name) for name in names)), None)

        found = [closer(self._given) or closer(self.response)]
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
                self._see_end()
            except Exception as error:  # noqa: BLE001 - a later step raises it
                self._see_failure(error)
            else:
                self._see(item)

    def __next__(self) -> object:
        """Return the next item. An exception of the source propagates."""
        if self.refused is not False:
            self.look()
            if self.refused and not self.passes_refused:
                raise self.refusal(self._start_of_body())
        if self._items is None or self._read_ahead or self._failure is not None:
            return self._next()
        return next(self._items)

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
    """An async iterator of the items of a source that is read with `await`.

    Attributes:
        rest: the iterator over the source, once nothing but its items is left to hand out; None before. A reader may
            read it instead, which saves a call for each item.

    """

    def __init__(
        self, origin: _Origin, opener: Callable[[], AsyncIterator[object]], clock: Callable[[], float]
    ) -> None:
        """Store the arguments; nothing is read until the first step. `clock` returns seconds."""
        super().__init__(origin)
        self._clock = clock
        self._open = opener
        self._items: AsyncIterator[object] | None = None
        self.rest: AsyncIterator[object] | None = None

    async def look(self, deadlines: Deadlines | None = None) -> None:
        """Decide whether the response is refused. This is the async version of `Source.look`.

        The deadlines need asyncio. The error of one that passes is raised as an exception of the source is.
        """
        if deadlines is None or self.refused is not None or not in_asyncio():
            return await self._look()
        import asyncio

        name, left = deadlines.next()
        began, timeout = deadlines.clock(), asyncio.timeout(left)
        with suppress(TimeoutError):
            async with timeout:
                await self._look()
        deadlines.add(deadlines.clock() - began)
        if timeout.expired() and (self.refused is None or self._failure is not None):
            self._see_failure(deadlines.expire(name))
        return None

    async def _look(self) -> None:
        while self.refused is None:
            try:
                item = await self._read()
            except StopAsyncIteration:
                self._see_end()
            except Exception as error:  # noqa: BLE001 - as in the sync loop
                self._see_failure(error)
            else:
                self._see(item)

    def __anext__(self) -> Awaitable[object]:
        """Return the next item. An exception of the source propagates."""
        return self._next() if self.rest is None else anext(self.rest)

    async def aclose(self) -> None:
        """Close the iterator over the source, then the source. A failure of the first does not prevent the second."""
        async with AsyncExitStack() as stack:
            for close in self._closers(self._items, "aclose", "close"):
                stack.push_async_callback(_await_if_needed, close)

    async def _next(self) -> object:
        if self.refused is not False:
            await self._look()
            if self.refused and not self.passes_refused:
                raise self.refusal(await self._start_of_body())
        item = self._take_read_ahead()
        if item is not _MISSING:
            return item
        if self.refused is False:
            self.rest = self._items
        return await self._read()

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
    response, openers = find_openers(given)
    if openers.sync is not None:
        way_on = f"{_READERS.get(name, name)}({openers.sync_bytes})"
        return Source(_Origin(given, response, openers.one_body, way_on), openers.sync, clock)
    raise make_misuse(
        given, name, f"an async source, {type_name(given)}: use {async_name}()" if openers.async_ else None
    )


def make_async_source(
    given: object, name: str, sync_name: str, *, clock: Callable[[], float] = time.monotonic
) -> AsyncSource:
    """Make the source that reads what the user passed to `name`, an async function.

    Raises `TypeError` if that is not possible. The message names `sync_name`, the sync version of the function, if that
    one can read it.
    """
    response, openers = find_openers(given)
    if openers.async_ is not None:
        way_on = f"{_READERS.get(name, name)}({openers.async_bytes})"
        return AsyncSource(_Origin(given, response, openers.one_body, way_on), openers.async_, clock)
    hint = f"a source that is read without await, {type_name(given)}: use {sync_name}()"
    raise make_misuse(given, name, hint if openers.sync else None)


# The items of a source.


def read_item(item: object) -> bytes | tuple[str, bytes | str]:
    """Return a chunk as bytes, or an event as its name and data. Raise `TypeError` for anything else."""
    if isinstance(item, BYTES_LIKE):
        return bytes(cast("bytes", item))
    if isinstance(item, str):
        raise TypeError("expected chunks of bytes, got text: encode it, or open its source in binary mode")
    event, data = _event_parts(item)
    if event is None:
        event = DEFAULT_NAME
    if not isinstance(event, str) or data is _MISSING:
        raise TypeError(f"expected chunks of bytes, or events {_EVENT_FORMS}, got {type_name(item)}")
    return str.__str__(event), _event_data(data)


def _event_parts(item: object) -> tuple[object, object]:
    """Return the name and the data of an event, `_MISSING` for one that it does not have."""
    event, data = getattr(item, "event", _MISSING), getattr(item, "data", _MISSING)
    if event is _MISSING or data is _MISSING:
        if isinstance(item, tuple) and len(pair := cast("tuple[object, ...]", item)) == _PAIR:
            event, data = pair
        elif isinstance(item, Mapping):
            members = cast("Mapping[object, object]", item)
            event, data = members.get("event", _MISSING), members.get("data", _MISSING)
    return event, data


def _event_data(data: object) -> bytes | str:
    """Return the data of an event as a server would have sent it."""
    if isinstance(data, bytes | str):
        return data
    if isinstance(data, BYTES_LIKE):
        return bytes(cast("bytes", data))
    written = write_object(data, "an event's data")
    if written is None:
        raise TypeError(f"expected an event's data to be text, bytes, a mapping or a model, got {type_name(data)}")
    return written


def write_object(data: object, what: str) -> bytes | None:
    """Return a mapping or a model as JSON text, None for anything else.

    Raises `TypeError` if it cannot be written as JSON. The message names it as `what`.
    """
    plain = _plain(data)
    if plain is None:
        return None
    import json

    try:
        # Not msgspec: it writes NaN as null, which the server did not send, and it refuses lone surrogates.
        return json.dumps(plain, default=_plain_inner).encode()
    except (ValueError, RecursionError) as error:
        raise TypeError(f"expected {what} to be writable as JSON, got {type_name(data)}: {error}") from error


def _plain(data: object) -> object:
    """Return a mapping or a model as a dict, and None for anything else. Leave out fields that were never set."""
    dump = find_method(data, "model_dump")
    if dump is not None:  # pydantic, openai; no warnings about values that do not have the declared type
        return dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    dump = find_method(data, "to_dict") or find_method(data, "as_dict")
    if dump is not None:
        return dump()
    if isinstance(data, Mapping):
        return dict(cast("Mapping[object, object]", data))
    return None


def _plain_inner(data: object) -> object:
    """Return a mapping or model as a dict, for `json.dumps`. Raise `TypeError` for anything else."""
    plain = _plain(data)
    if plain is None:
        raise TypeError(f"expected an event's data to hold only what JSON can, got {type_name(data)} in it")
    return plain


def _time_limit(seconds: float) -> AbstractAsyncContextManager[object]:
    """Return a context that raises `TimeoutError` after so many seconds, or never without asyncio."""
    if not in_asyncio():
        return nullcontext()
    import asyncio

    return asyncio.timeout(seconds)


async def _await_if_needed(call: Callable[[], object]) -> None:
    result = call()
    if isinstance(result, Awaitable):
        await result
