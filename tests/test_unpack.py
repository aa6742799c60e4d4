"""Unpacking a body: every form of gzip and deflate, however it is cut, in pieces of bounded size."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import LimitError, Limits, TruncatedError, aaccumulate, accumulate
from accumulator._streams.unpack import PIECE_SIZE, Unpacker, make_unpackers, unpack
from tests.bodies import FIRST, FIRST_EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from accumulator import Update

EXPECTED = list(accumulate([FIRST]))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("X-GZip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity, gzip", gzip.compress),
    ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    ("gzip,deflate", lambda data: raw_deflate(gzip.compress(data))),
    ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(b"") + gzip.compress(data[7:])),
]


def unpacked(coding: str, chunks: list[bytes]) -> bytes:
    unpackers = make_unpackers(coding)
    assert unpackers is not None
    return b"".join(piece for chunk in chunks for piece in unpack(chunk, unpackers))


@pytest.mark.parametrize(("coding", "pack"), CODINGS)
@given(st.data())
def test_a_packed_body_may_be_cut_anywhere(coding: str, pack: Callable[[bytes], bytes], data: st.DataObject) -> None:
    body = pack(FIRST)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    chunks = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert FIRST == unpacked(coding, chunks)


@pytest.mark.parametrize(("coding", "pack"), CODINGS)
def test_a_packed_body_may_come_byte_by_byte(coding: str, pack: Callable[[bytes], bytes]) -> None:
    assert FIRST == unpacked(coding, [bytes([number]) for number in pack(FIRST)])


@pytest.mark.parametrize("size", [0, 1, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE, 10**6])
def test_a_piece_is_bounded_and_nothing_stays_behind(size: int) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    unpacker = Unpacker("gzip")
    for _ in range(3):
        pieces = list(unpacker.unpack(packer.compress(b"x" * size) + packer.flush(zlib.Z_SYNC_FLUSH)))
        assert (size, True) == (sum(map(len, pieces)), all(0 < len(piece) <= PIECE_SIZE for piece in pieces))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"data: x\n\n"),
        ("gzip", gzip.compress(FIRST) + b"rest"),
        ("deflate", b"\xff" * 9),
        ("deflate", zlib.compress(FIRST)[:20] + b"\xff" * 500),
    ],
)
def test_what_is_not_packed_is_an_error(coding: str, body: bytes) -> None:
    with pytest.raises(zlib.error):
        unpacked(coding, [body[:5], body[5:]])


def test_codings_that_are_not_known_are_left_to_the_client() -> None:
    assert (None, None, [], []) == (
        make_unpackers("br"),
        make_unpackers("gzip, zstd"),
        make_unpackers(""),
        make_unpackers("identity"),
    )


def response_of(*chunks: bytes, coding: str) -> httpx.Response:
    def body() -> Iterator[bytes]:
        yield from chunks

    return httpx.Response(
        200, headers={"Content-Type": "text/event-stream", "Content-Encoding": coding}, content=body()
    )


@pytest.mark.parametrize("count", [5, 6])
def test_a_body_may_be_packed_five_times(count: int) -> None:
    body = FIRST
    for _ in range(count):
        body = gzip.compress(body)
    stream = accumulate(response_of(body, coding=", ".join(["gzip"] * count)))
    if count == 5:
        assert EXPECTED == list(stream)
    else:
        with pytest.raises(TruncatedError, match="ValueError: expected a body that is packed at most 5 times, got 6"):
            stream.until_done()


def test_a_packed_body_may_end_without_done() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield gzip.compress(FIRST_EVENTS[0])

    async def read() -> list[Update]:
        headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
        return [update async for update in aaccumulate(httpx.Response(200, headers=headers, content=body()))]

    expected = list(accumulate(FIRST_EVENTS[:1]))
    assert expected == list(accumulate(response_of(gzip.compress(FIRST_EVENTS[0]), coding="gzip")))
    assert expected == asyncio.run(read())


def test_a_response_that_was_read_already_is_taken() -> None:
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    assert EXPECTED == list(accumulate(httpx.Response(200, headers=headers, content=gzip.compress(FIRST))))


def test_a_coding_that_is_not_known_is_the_client_s() -> None:
    # This client leaves a coding alone that it does not know either.
    assert EXPECTED == list(accumulate(response_of(FIRST, coding="unknown")))


def test_a_body_that_is_not_packed_as_it_says_is_a_broken_source() -> None:
    stream = accumulate(response_of(FIRST, coding="gzip"))
    with pytest.raises(TruncatedError) as caught:
        stream.until_done()
    assert isinstance(caught.value.__cause__, zlib.error)


def test_a_bomb_takes_no_more_memory_than_the_limit_of_an_event() -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    parts = [packer.compress(b"data: "), *(packer.compress(b"x" * 2**20) for _ in range(64)), packer.flush()]
    bomb = gzip.compress(b"".join(parts))
    assert len(bomb) < 1_000
    stream = accumulate(response_of(bomb, coding="gzip, gzip"), limits=Limits(max_event_size=2**20))
    tracemalloc.start()
    try:
        with pytest.raises(LimitError):
            stream.until_done()
        assert stream.until_done().outcome == "truncated"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
