"""What a server does wrong on demand, for those who test clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from accumulator import SSEParser
from accumulator._json import dump_json
from accumulator._server.answers import error_json
from accumulator._streams.deadlines import check_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

LARGEST_PIECE: Final = 65_536
"""The most bytes that are sent at once: what a client that stops to read makes the server hold."""

_STATUSES: Final = range(400, 600)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Faults of a server; none by default.

    Attributes:
        cut_after: drop the connection behind so many events of each body, without the end of the response. In a body
            with fewer events nothing is dropped.
        stall: seconds of silence in each body, behind its first event, or behind those of `cut_after`.
        error_event: send an `error` event and end the body, at the place of `stall`.
        status: answer requests with this status, 400 to 599, and an error as the API has it.
        times: how many requests get `status`; those after it are answered as ever.
        chunk: send so many bytes at a time, whatever was recorded.

    """

    cut_after: int | None = None
    stall: float | None = None
    error_event: bool = False
    status: int | None = None
    times: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        """Check each fault."""
        if self.stall is not None:
            check_seconds("stall", self.stall)
        _check_number("cut_after", self.cut_after, 0)
        _check_number("times", self.times, 1)
        _check_number("chunk", self.chunk, 1)
        _check_number("status", self.status, _STATUSES[0])
        if self.status is not None and self.status not in _STATUSES:
            raise ValueError(f"expected status to be {_STATUSES[0]} to {_STATUSES[-1]}, got {self.status}")

    @property
    def has_place(self) -> bool:
        """Whether something happens within a body."""
        return self.cut_after is not None or self.stall is not None or self.error_event


class CutError(Exception):
    """The connection is to be dropped."""


def _check_number(name: str, value: int | None, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected {name} to be an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"expected {name} to be {least} or more, got {value!r:.40}")


NO_FAULTS: Final = Faults()


async def with_faults(
    chunks: AsyncIterator[bytes], faults: Faults, sleep: Callable[[float], Awaitable[object]]
) -> AsyncGenerator[bytes]:
    """Yield the chunks of a body as the faults have it, in pieces of a bounded size. Raise `CutError` at a cut."""
    size = min(faults.chunk or LARGEST_PIECE, LARGEST_PIECE)
    async for chunk in _to_the_place(chunks, faults, sleep) if faults.has_place else chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]


async def _to_the_place(
    chunks: AsyncIterator[bytes], faults: Faults, sleep: Callable[[float], Awaitable[object]]
) -> AsyncGenerator[bytes]:
    parser, left = SSEParser(max_event_size=None), 1 if faults.cut_after is None else faults.cut_after
    async for chunk in chunks:
        begin = at = 0
        for line in chunk.splitlines(keepends=True):
            if not left:  # the place is behind an event, and something follows
                yield chunk[begin:at]
                begin, left = at, -1
                async for piece in _at_the_place(faults, sleep):
                    yield piece
                if faults.error_event:
                    return
            at += len(line)
            left -= len(parser.feed(line)) if left > 0 else 0
        yield chunk[begin:]


async def _at_the_place(faults: Faults, sleep: Callable[[float], Awaitable[object]]) -> AsyncGenerator[bytes]:
    if faults.stall is not None:
        await sleep(faults.stall)
    if faults.error_event:
        error = dump_json(error_json("The server had an error, as it was told to.", 500))
        yield f"event: error\ndata: {error}\n\n".encode()
    elif faults.cut_after is not None:
        raise CutError
