"""Unpacking a body: every form of gzip and deflate, however it is cut, in pieces of bounded size."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import LimitError, Limits, ResponseError, TruncatedError, aaccumulate, accumulate, atap, tap
from accumulator._streams.unpack import PIECE_SIZE, Unpacker, make_unpacker
from tests.bodies import FIRST, FIRST_EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from accumulator import Update

EXPECTED = list(accumulate([FIRST]))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", raw_deflate),
    "gzip and identity": ("identity, gzip", gzip.compress),
    "members": ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(b"") + gzip.compress(data[7:])),
    "zeros behind gzip": ("gzip", lambda data: gzip.compress(data) + bytes(9)),
    "zeros behind each member": (
        "gzip",
        lambda data: gzip.compress(data[:7]) + bytes(9) + gzip.compress(data[7:]) + bytes(9_000),
    ),
    "a rest behind deflate": ("deflate", lambda data: zlib.compress(data) + b"rest"),
    "a second body behind deflate": ("deflate", lambda data: raw_deflate(data) + raw_deflate(b"more")),
}


def unpacked(coding: str, chunks: list[bytes]) -> bytes:
    unpacker = make_unpacker(coding)
    assert unpacker is not None
    return b"".join(piece for chunk in chunks for piece in unpacker.unpack(chunk))


@pytest.mark.parametrize(("coding", "pack"), CODINGS.values(), ids=list(CODINGS))
@given(st.data())
def test_a_packed_body_may_be_cut_anywhere(coding: str, pack: Callable[[bytes], bytes], data: st.DataObject) -> None:
    body = pack(FIRST)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    chunks = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert FIRST == unpacked(coding, chunks)


@pytest.mark.parametrize(("coding", "pack"), CODINGS.values(), ids=list(CODINGS))
def test_a_packed_body_may_come_byte_by_byte(coding: str, pack: Callable[[bytes], bytes]) -> None:
    assert FIRST == unpacked(coding, [bytes([number]) for number in pack(FIRST)])


@pytest.mark.parametrize("size", [0, 1, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE, 10**6])
def test_a_piece_is_bounded_and_nothing_stays_behind(size: int) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    unpacker = Unpacker("gzip")
    for _ in range(3):
        pieces = list(unpacker.unpack(packer.compress(b"x" * size) + packer.flush(zlib.Z_SYNC_FLUSH)))
        # A piece is empty where bytes of the body unpack to nothing: the caller must have control there.
        assert (size, True) == (sum(map(len, pieces)), all(len(piece) <= PIECE_SIZE for piece in pieces))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"data: x\n\n"),
        ("gzip", gzip.compress(FIRST) + b"rest"),
        ("gzip", gzip.compress(FIRST) + b"\0\0rest"),
        ("deflate", b"\xff" * 9),
        ("deflate", zlib.compress(FIRST)[:20] + b"\xff" * 500),
    ],
)
def test_what_is_not_packed_is_an_error(coding: str, body: bytes) -> None:
    with pytest.raises(zlib.error):
        unpacked(coding, [body[:5], body[5:]])


def test_codings_that_are_not_known_are_left_to_the_client() -> None:
    assert [None] * 4 == [make_unpacker(coding) for coding in ("br", "identity, zstd", "", "identity")]


def response_of(*chunks: bytes, coding: str) -> httpx.Response:
    def body() -> Iterator[bytes]:
        yield from chunks

    return httpx.Response(
        200, headers={"Content-Type": "text/event-stream", "Content-Encoding": coding}, content=body()
    )


# With two codings, a few bytes of the body could be much work for the second: up to five were unpacked before.
@pytest.mark.parametrize("coding", ["gzip, gzip", "deflate,gzip", "gzip, br", "gzip, identity, gzip, deflate"])
def test_a_body_has_one_coding(coding: str) -> None:
    count = len(coding.replace("identity, ", "").split(","))
    stream = accumulate(response_of(gzip.compress(gzip.compress(FIRST)), coding=coding))
    with pytest.raises(TruncatedError, match=f"ValueError: expected at most 1 content coding, got {count}$"):
        stream.until_done()
    assert "truncated" == stream.accumulator.outcome


# ---- Bounded work: bodies that unpack to nothing.

EMPTY_MEMBER = gzip.compress(b"")
LONG_NAME = b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 10**6
NOTHING = {
    "empty members of gzip": ("gzip", EMPTY_MEMBER * 50_000),
    "the name of a file in the header of gzip": ("gzip", LONG_NAME),
    "zeros behind a member of gzip": ("gzip", EMPTY_MEMBER + bytes(10**6)),
    "empty bodies of deflate": ("deflate", raw_deflate(b"") * 500_000),
    "empty blocks of deflate": ("deflate", b"\0\0\0\xff\xff" * 200_000),
}


async def at_once(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def async_response_of(*chunks: bytes, coding: str, kind: str = "text/event-stream") -> httpx.Response:
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    return httpx.Response(200, headers=headers, content=at_once(*chunks))


@pytest.mark.parametrize(("coding", "body"), NOTHING.values(), ids=list(NOTHING))
def test_control_comes_back_while_a_body_unpacks_to_nothing(coding: str, body: bytes) -> None:
    unpacker = make_unpacker(coding)
    assert unpacker is not None
    pieces = list(unpacker.unpack(body))
    assert (b"", True) == (b"".join(pieces), len(body) / len(pieces) <= 4_096)


@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain"])
@pytest.mark.parametrize(("coding", "body"), NOTHING.values(), ids=list(NOTHING))
def test_other_tasks_run_while_a_body_unpacks_to_nothing(coding: str, body: bytes, kind: str) -> None:
    async def main() -> int:
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(turn)

        turn()
        stream = aaccumulate(async_response_of(body, coding=coding, kind=kind))
        with suppress(ResponseError):  # of text/plain: this body does not begin like an event stream
            await stream.until_done()
        return turns

    assert 200 <= asyncio.run(main())


def test_a_deadline_passes_while_a_body_unpacks_to_nothing() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield EMPTY_MEMBER * 3_000

    async def main() -> None:
        headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
        stream = aaccumulate(httpx.Response(200, headers=headers, content=endless()), total_timeout=0.001)
        with pytest.raises(TruncatedError, match="the end did not come within"):
            await stream.until_done()

    asyncio.run(main())


def test_without_asyncio_a_body_that_unpacks_to_nothing_is_read_on() -> None:
    stream = aaccumulate(async_response_of(EMPTY_MEMBER * 1_000 + gzip.compress(FIRST), coding="gzip"))
    with pytest.raises(StopIteration):
        stream.until_done().send(None)
    assert "requires_action" == stream.accumulator.outcome


def test_a_tap_passes_on_no_empty_piece() -> None:
    body = EMPTY_MEMBER * 1_000 + gzip.compress(FIRST) + bytes(9_000)

    async def chunks() -> list[bytes]:
        return [chunk async for chunk in atap(async_response_of(body, coding="gzip"))]

    assert [FIRST] == list(tap(response_of(body, coding="gzip"))) == asyncio.run(chunks())


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
    bomb = b"".join(parts)
    assert len(bomb) < 2**17
    stream = accumulate(response_of(bomb, coding="gzip"), limits=Limits(max_event_size=2**20))
    tracemalloc.start()
    try:
        with pytest.raises(LimitError):
            stream.until_done()
        assert stream.until_done().outcome == "truncated"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
