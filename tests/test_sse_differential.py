"""httpx-sse as the oracle wherever the two should agree, and the list of places where they do not.

Paragraphs are those of WHATWG HTML, section 9.2 (server-sent events).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from accumulator._sse import ServerSentEvent, SSEParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.skipif(
    tuple(map(int, version("httpx-sse").split(".")[:3])) < (0, 4, 3),
    reason="the differences are those of httpx-sse 0.4.3; older ones have more",
)

EVENT_STREAM = "text/event-stream"


def iterate(chunks: Iterable[bytes], content_type: str = EVENT_STREAM) -> Iterator[ServerSentEvent]:
    """Read as an application does with httpx-sse: an event source on a response whose body is still to come."""
    response = httpx.Response(200, headers={"content-type": content_type}, content=iter(chunks))
    for sse in EventSource(response).iter_sse():
        yield ServerSentEvent(sse.event, sse.data, sse.id, sse.retry)


def theirs(*chunks: bytes, content_type: str = EVENT_STREAM) -> list[ServerSentEvent]:
    return list(iterate(chunks, content_type))


def ours(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


# ---- Where they should agree: blocks with data, one blank line after each, no byte-order mark at the start, and
# reconnection times that either both or neither takes for a number.

values = st.lists(
    st.sampled_from([b"a", b" ", b":", b"\t", b"\0", b"{}", b"\x0b", b"\x1c", b"\xc2\x85", b"\xff", b"\xe2\x80\xa8"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=3).map(str.encode)
    | st.binary(max_size=2).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")),
    max_size=6,
).map(b"".join)
separators = st.sampled_from([b":", b": ", b":  "])
names = st.sampled_from([b"data", b"event", b"id", b"", b"unknown", b"Data", b" data"])
texts = st.tuples(names, separators, values).map(b"".join)
times = st.integers(0, 10**12).map(str).map(str.encode) | st.sampled_from([b"", b"a", b"1.5", b"0x1", b"1 2"])
retries = st.tuples(st.sampled_from([b"retry:", b"retry: "]), times).map(b"".join)
bare_names = st.sampled_from([b"data", b"event", b"id", b"retry", b"unknown"])
lines = texts | retries | bare_names


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    before, after = draw(st.lists(lines, max_size=3)), draw(st.lists(lines, max_size=3))
    data = b"data" + draw(separators) + draw(values)
    line_end = draw(st.sampled_from([b"\n", b"\r", b"\r\n"]))
    return line_end.join([*before, data, *after, b"", b""])


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = b"".join(draw(st.lists(blocks(), max_size=4)))
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return [stream[start:stop] for start, stop in pairwise([0, *places, len(stream)]) if start < stop]


@given(cut_streams())
def test_httpx_sse_reads_the_same(chunks: list[bytes]) -> None:
    assert theirs(*chunks) == ours(*chunks)


# ---- Where they differ.


@dataclass(frozen=True)
class Difference:
    name: str
    stream: bytes
    theirs: list[ServerSentEvent]
    ours: list[ServerSentEvent]
    paragraph: str
    content_type: str = EVENT_STREAM


def one(data: str = "x", *, event: str = "message", last_id: str = "", retry: int | None = None) -> ServerSentEvent:
    return ServerSentEvent(event, data, last_id, retry)


PARSING = "9.2.5, the grammar of a stream, and 9.2.6 on decoding it"
DISPATCH = "9.2.6, dispatching an event: an empty data buffer"
RETRY = '9.2.6, the field name is "retry": ASCII digits only'

DIFFERENCES = [
    Difference(
        "a byte-order mark loses the name", b"\xef\xbb\xbfevent: a\ndata: x\n\n", [one()], [one(event="a")], PARSING
    ),
    Difference("a byte-order mark loses the event", b"\xef\xbb\xbfdata: x\n\n", [], [one()], PARSING),
    Difference(
        "a charset in the content type is obeyed",
        "data: é\n\n".encode(),
        [one("Ã©")],
        [one("é")],
        "9.2.6: streams are always decoded as UTF-8",
        "text/event-stream; charset=latin-1",
    ),
    Difference("a name without data", b"event: a\n\n", [one("", event="a")], [], DISPATCH),
    Difference("a reconnection time without data", b"retry: 5\n\n", [one("", retry=5)], [], DISPATCH),
    Difference("an id without data", b"id: 1\n\n", [one("", last_id="1")], [], DISPATCH),
    Difference(
        "blank lines after an id",
        b"id: 1\ndata: x\n\n\n\n",
        [one(last_id="1"), one("", last_id="1"), one("", last_id="1")],
        [one(last_id="1")],
        DISPATCH,
    ),
    Difference(
        "a comment after an id",
        b"id: 1\ndata: x\n\n: keep-alive\n\n",
        [one(last_id="1"), one("", last_id="1")],
        [one(last_id="1")],
        DISPATCH,
    ),
    Difference("a plus sign", b"retry: +1\ndata: x\n\n", [one(retry=1)], [one()], RETRY),
    Difference("a minus sign", b"retry: -1\ndata: x\n\n", [one(retry=-1)], [one()], RETRY),
    Difference("an underscore", b"retry: 1_0\ndata: x\n\n", [one(retry=10)], [one()], RETRY),
    Difference("a second space", b"retry:  1\ndata: x\n\n", [one(retry=1)], [one()], RETRY),
    Difference("a space at the end", b"retry: 1 \ndata: x\n\n", [one(retry=1)], [one()], RETRY),
    Difference("full-width digits", "retry: １２\ndata: x\n\n".encode(), [one(retry=12)], [one()], RETRY),
    Difference("Arabic digits", "retry: ٣\ndata: x\n\n".encode(), [one(retry=3)], [one()], RETRY),
    Difference(
        "leading zeros beyond an int's limit",
        b"retry: " + b"0" * 5000 + b"1\ndata: x\n\n",
        [one()],
        [one(retry=1)],
        RETRY,
    ),
    # The one place where ours is further from the standard, which knows no largest number.
    Difference(
        "more than 640 digits",
        b"retry: " + b"9" * 641 + b"\ndata: x\n\n",
        [one(retry=10**641 - 1)],
        [one()],
        RETRY,
    ),
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.name)
def test_the_list_of_differences_is_true(difference: Difference) -> None:
    assert difference.theirs == theirs(difference.stream, content_type=difference.content_type)
    assert difference.ours == ours(difference.stream)


def test_httpx_sse_waits_at_a_cr_for_the_next_chunk() -> None:
    """The grammar (9.2.5) has CR as a line end of its own: nothing is missing once it is there."""
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b"data: x\r\r", b"data: y\r\r"):
            taken.append(chunk)
            yield chunk

    events = iterate(chunks())
    assert one() == next(events)
    assert [b"data: x\r\r", b"data: y\r\r"] == taken
    assert [one("y")] == list(events)
    assert [one()] == ours(b"data: x\r\r")


def test_both_leave_out_a_block_without_its_blank_line_but_end_gives_it() -> None:
    """9.2.6: what is pending at the end of the stream is discarded."""
    stream = b"data: x\n\ndata: y\n"
    assert [one()] == theirs(stream)
    parser = SSEParser()
    assert [one()] == parser.feed(stream)
    assert one("y") == parser.end()
