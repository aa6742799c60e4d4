"""The parser against the rules of WHATWG HTML, section 9.2, one test a rule, and against a plain reading of it."""

from __future__ import annotations

import json
import pickle
import re
import sys
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accumulator._errors import LimitError
from accumulator._sse import DEFAULT_MAX_EVENT_SIZE, ServerSentEvent, SSEParser

if TYPE_CHECKING:
    from accumulator._sse import Frame

BOM = b"\xef\xbb\xbf"
TOO_LARGE = "too large"

# ---- The standard in plain Python: the whole stream at once, decoded, line by line.


class Reference:
    """The steps of section 9.2.6, as they stand there."""

    def __init__(self) -> None:
        self.events: list[ServerSentEvent] = []
        self.data = ""
        self.event = ""
        self.last_id = ""
        self.retry: int | None = None

    def line(self, line: str) -> None:
        if line == "":
            self.dispatch()
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            self.field(name, value.removeprefix(" "))

    def field(self, name: str, value: str) -> None:
        if name == "event":
            self.event = value
        elif name == "data":
            self.data += value + "\n"
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)

    def dispatch(self) -> None:
        if self.data:
            self.events.append(ServerSentEvent(self.event or "message", self.data[:-1], self.last_id, self.retry))
        self.data, self.event, self.retry = "", "", None


def reference(stream: bytes) -> list[ServerSentEvent]:
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reading = Reference()
    for line in lines:
        reading.line(line)
    return reading.events


def reference_limited(stream: bytes, maximum: int) -> list[ServerSentEvent | str]:
    """Read block by block, leaving out each block of more bytes than `maximum`."""
    found: list[ServerSentEvent | str] = []
    reading = Reference()
    block: list[bytes] = []
    for line in [*re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", stream.removeprefix(BOM)), None]:
        if line is not None and line.strip(b"\r\n"):
            block.append(line)
            continue
        if sum(map(len, block)) > maximum:
            found.append(TOO_LARGE)
        elif line is not None:
            reading.events = []
            for part in [*block, b""]:
                reading.line(part.rstrip(b"\r\n").decode("utf-8", "replace"))
            found += reading.events
        block = []
    return found


# ---- The parser, told in the same terms.


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    return [stream[start:stop] for start, stop in pairwise([0, *sorted(places), len(stream)])]


def read(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def plain(item: Frame | LimitError) -> ServerSentEvent | str:
    if isinstance(item, LimitError):
        assert ("max_event_size", ()) == (item.limit, item.events)
        return TOO_LARGE
    event, data, last_id = (part.decode("utf-8", "replace") for part in item[:3])
    return ServerSentEvent(event or "message", data, last_id, item[3])


def push(parser: SSEParser, *chunks: bytes) -> list[ServerSentEvent | str]:
    return [plain(item) for chunk in chunks for item in parser.push(chunk)]


def message(data: str, *, last_id: str = "", retry: int | None = None) -> ServerSentEvent:
    return ServerSentEvent("message", data, last_id, retry)


PARTS = [
    *[b"data", b"event", b"id", b"retry", b"data: ", b"event: ", b"id: ", b"retry: ", b"dat", b"Data:", b"comment"],
    *[b":", b": ", b" ", b"\t", b"\0", b"a", b"b c", b"0", b"12", b"+1", b"\xc2\xb2", "１２".encode()],
    *[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\nevent: a\ndata: {}\n\n", b"event: a\ndata: {}\n\n"],
    *[b"\x0b", b"\x0c", b"\x1c", b"\xc2\x85", "\u2028".encode(), "é".encode(), "😀".encode()],
    *[BOM, b"\xef", b"\xbb", b"\xbf", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f"],
]
streams = st.lists(st.sampled_from(PARTS) | st.binary(max_size=3), max_size=40).map(b"".join)
maxima = st.integers(1, 40)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    stream = draw(streams)
    return stream, cut(stream, draw(st.lists(st.integers(0, len(stream)), max_size=8)))


EXAMPLES = [
    b"event: thread.run.step.delta\ndata: {}\n\nevent: done\ndata: [DONE]\n\n",
    BOM + b"data: a\r\n\r\nid: 7\rdata: b\r\r\nretry: 10\n\ndata\n\n",
    "event: é\r\ndata: 😀\r\ndata:\r\n: c\r\n\r\n\r\n\r\ndata: \u2028".encode(),
    b"\r\n\r\rdata: a\n\rdata: b\r\n\ndata: c\n\r\n" + BOM + b"data: d\n\n",
    b"data: \xf0\x9f\ndata: \xff\n\nevent: \xc3\ndata: \xe2\x82\r\r",
    b"event: a\ndata: 1\n\nevent: a\ndata: 2\ndata: 3\n\nevent: a\ndata: 4\n\ndata: 5\n\ndata: 6\n\n",
    b"data: 1\n\n" + BOM + b"data: 2\n\ndata: 3\r4\n\n",
]

# ---- One test a rule.


def test_an_event_has_the_name_and_the_data_of_its_block() -> None:
    assert [ServerSentEvent("a", "1", "", None), ServerSentEvent("b", "2", "", None)] == read(
        b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n"
    )


def test_a_row_of_blocks_of_one_name_gives_one_event_each() -> None:
    stream = b"".join(b"event: a\ndata: %d\n\n" % number for number in range(1000))
    assert [ServerSentEvent("a", str(number)) for number in range(1000)] == read(stream)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"event: a\ndata: 2\ndata: 3\n\n", ServerSentEvent("a", "2\n3")),
        (b"event: a\ndata: 2\nevent: b\n\n", ServerSentEvent("b", "2")),
        (b"event: a\ndata: 2\n: c\n\n", ServerSentEvent("a", "2")),
        (b"event: ab\ndata: 2\n\n", ServerSentEvent("ab", "2")),
        (b"event: a\nid: 1\ndata: 2\n\n", ServerSentEvent("a", "2", "1")),
        (b"event: a\ndata:2\n\n", ServerSentEvent("a", "2")),
        (b"event: a\ndata:  2\n\n", ServerSentEvent("a", " 2")),
        (b"event:a\ndata: 2\n\n", ServerSentEvent("a", "2")),
        (b"event: \ndata: 2\n\n", message("2")),
        (b"\nevent: a\ndata: 2\n\n", ServerSentEvent("a", "2")),
        (b"\nevent: a\ndata: 2\ndata: 3\n\n", ServerSentEvent("a", "2\n3")),
        (b"x\nevent: a\ndata: 2\n\n", ServerSentEvent("a", "2")),
    ],
)
def test_a_block_beside_plain_ones_is_read_in_full(block: bytes, expected: ServerSentEvent) -> None:
    first, last = ServerSentEvent("a", "1"), ServerSentEvent("a", "4", expected.id)
    assert [first, expected, last] == read(b"event: a\ndata: 1\n\n" + block + b"event: a\ndata: 4\n\n")


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_lf_cr_and_crlf_end_lines(line_end: bytes) -> None:
    lines = [b"event: a", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""]
    assert [ServerSentEvent("a", "1\n2"), message("3")] == read(line_end.join(lines))


def test_line_ends_can_differ_within_a_block() -> None:
    assert [ServerSentEvent("a", "1\n2\n3")] == read(b"event: a\rdata: 1\r\ndata: 2\ndata: 3\r\r\n")


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    assert [message("1\n2")] == read(b"data: 1\r", b"\ndata: 2\r", b"\n", b"\r", b"\n")


def test_an_event_comes_with_the_cr_of_its_blank_line() -> None:
    parser = SSEParser()
    assert [[], [message("1")], [], [message("2")]] == [
        parser.feed(b"data: 1\r\n"),
        parser.feed(b"\r"),
        parser.feed(b"\n"),
        parser.feed(b"data: 2\n\r"),
    ]


def test_lf_then_cr_are_two_line_ends() -> None:
    assert [message("1"), message("2")] == read(b"data: 1\n\rdata: 2\n\r")


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_no_other_character_ends_a_line(character: str) -> None:
    assert [message(f"a{character}b")] == read(f"data: a{character}b\n\n".encode())


def test_a_byte_order_mark_at_the_start_is_dropped() -> None:
    assert [ServerSentEvent("a", "1")] == read(BOM + b"event: a\ndata: 1\n\n")


def test_a_byte_order_mark_cut_in_three_is_dropped() -> None:
    assert [message("1")] == read(b"", b"\xef", b"", b"\xbb", b"\xbf", b"data: 1\n\n")


@pytest.mark.parametrize("start", [b"\n", BOM, b"data: 0\n\n"])
def test_a_byte_order_mark_elsewhere_is_a_character(start: bytes) -> None:
    stream = start + BOM + b"event: a\ndata: " + BOM + b"1\n\n"
    assert message("\ufeff1") == read(stream)[-1]


def test_half_a_byte_order_mark_is_part_of_a_name() -> None:
    assert [message("2")] == read(b"\xef\xbb", b"data: 1\ndata: 2\n\n")


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"data:a", "a"),
        (b"data: a", "a"),
        (b"data:  a", " a"),
        (b"data:\ta", "\ta"),
        (b"data: ", ""),
        (b"data:", ""),
        (b"data", ""),
        (b"data: a: b", "a: b"),
        (b"data::", ":"),
        (b"data: a ", "a "),
        (b"data: a\0", "a\0"),
    ],
)
def test_one_space_after_the_first_colon_is_not_part_of_the_value(line: bytes, data: str) -> None:
    assert [message(data)] == read(line + b"\n\n")


def test_data_lines_are_joined_by_lf() -> None:
    assert [message("a\n\nb\n")] == read(b"data: a\ndata\ndata: b\ndata:\n\n")


@pytest.mark.parametrize("block", [b"event: a\n\n", b"id: 1\n\n", b"retry: 1\n\n", b": a\n\n", b"a\n\n", b"\n\n\n"])
def test_a_block_without_a_data_field_is_no_event(block: bytes) -> None:
    assert [] == read(block)


def test_a_name_does_not_outlive_its_block() -> None:
    assert [message("1"), ServerSentEvent("b", "2"), message("3")] == read(
        b"event: a\n\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n"
    )


@pytest.mark.parametrize("line", [b"event", b"event:", b"event: "])
def test_an_empty_name_is_message(line: bytes) -> None:
    assert [message("1")] == read(b"event: a\n" + line + b"\ndata: 1\n\n")


def test_the_last_name_of_a_block_counts() -> None:
    assert [ServerSentEvent("b", "1")] == read(b"event: a\ndata: 1\nevent: b\n\n")


@pytest.mark.parametrize("line", [b": data: 2", b":", b":data: 2", b"\t", b" data: 2", b"Data: 2", b"data : 2", b"dat"])
def test_comments_and_unknown_fields_are_ignored(line: bytes) -> None:
    assert [message("1")] == read(line + b"\ndata: 1\n" + line + b"\n\n")


def test_more_blank_lines_than_one_change_nothing() -> None:
    assert [message("1"), message("2"), ServerSentEvent("a", "3"), ServerSentEvent("a", "4")] == read(
        b"\ndata: 1\n\n\ndata: 2\n\n\n\nevent: a\ndata: 3\n\n\nevent: a\ndata: 4\n\n\n"
    )


def test_an_id_persists_until_the_next() -> None:
    stream = b"data: 1\n\nid: x\ndata: 2\n\ndata: 3\n\ndata: 4\nid: y\n\nid\ndata: 5\n\n"
    assert [
        message("1"),
        message("2", last_id="x"),
        message("3", last_id="x"),
        message("4", last_id="y"),
        message("5"),
    ] == read(stream)


def test_an_id_in_a_block_without_data_counts() -> None:
    assert [message("1", last_id="x")] == read(b"id: x\n\ndata: 1\n\n")


def test_an_id_with_a_nul_is_ignored() -> None:
    assert [message("1", last_id="x")] == read(b"id: x\nid: a\0b\ndata: 1\n\n")


@pytest.mark.parametrize(("value", "retry"), [(b"0", 0), (b"1500", 1500), (b"00012", 12), (b"9" * 640, 10**640 - 1)])
def test_retry_is_a_number_of_ascii_digits(value: bytes, retry: int) -> None:
    assert [message("1", retry=retry)] == read(b"retry: " + value + b"\ndata: 1\n\n")


@pytest.mark.parametrize(
    "value", [b"", b"+1", b"-1", b"1.0", b"1e3", b"1_0", b" 1", b"1 ", b"0x1", "１２".encode(), "²".encode()]
)
def test_retry_of_anything_else_is_ignored(value: bytes) -> None:
    assert [message("1", retry=7)] == read(b"retry: 7\nretry: " + value + b"\ndata: 1\n\n")


def test_a_retry_too_long_for_an_int_is_ignored() -> None:
    assert [message("1")] == read(b"retry: " + b"9" * (sys.get_int_max_str_digits() + 1) + b"\ndata: 1\n\n")


def test_leading_zeros_do_not_make_a_retry_long() -> None:
    assert [message("1", retry=5)] == read(b"retry: " + b"0" * 10_000 + b"5\ndata: 1\n\n")


def test_retry_belongs_to_its_block() -> None:
    assert [message("1", retry=5), message("2")] == read(b"retry: 5\ndata: 1\n\nretry: 6\n\ndata: 2\n\n")


def test_invalid_utf8_is_replaced() -> None:
    assert [ServerSentEvent("\ufffd", "a\ufffdb\n\ufffd", "\ufffd")] == read(
        b"event: \xff\nid: \xc3\ndata: a\xf0\x9fb\ndata: \xe2\x82\n\n"
    )


def test_a_character_cut_in_two_is_whole() -> None:
    assert [message("😀")] == read(b"data: \xf0", b"\x9f\x98", b"\x80\n\n")


def test_an_unfinished_block_is_no_event_yet() -> None:
    assert [] == read(b"data: 1\ndata: 2\n")


def test_an_event_has_defaults_and_travels() -> None:
    event = ServerSentEvent()
    assert ("message", "", "", None) == event
    assert event == pickle.loads(pickle.dumps(event))  # noqa: S301 -- our own bytes


# ---- Any cut, and the oracle.


@pytest.mark.parametrize("stream", EXAMPLES)
def test_any_two_cuts_of_the_examples_change_nothing(stream: bytes) -> None:
    expected = reference(stream)
    assert expected
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert expected == read(*cut(stream, [first, second]))


@pytest.mark.parametrize("stream", EXAMPLES)
def test_byte_by_byte_changes_nothing(stream: bytes) -> None:
    assert reference(stream) == read(*cut(stream, list(range(1, len(stream)))))


@given(streams)
def test_the_events_are_those_of_the_standard(stream: bytes) -> None:
    assert reference(stream) == read(stream)


@given(cut_streams())
def test_any_cut_gives_what_the_whole_gives(cut_stream: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = cut_stream
    whole, parts = SSEParser(), SSEParser()
    assert whole.push(stream) == [frame for chunk in chunks for frame in parts.push(chunk)]
    assert whole.rest() == parts.rest()


@given(cut_streams(), maxima)
def test_any_cut_gives_what_the_whole_gives_within_a_limit(cut_stream: tuple[bytes, list[bytes]], maximum: int) -> None:
    stream, chunks = cut_stream
    whole, parts = SSEParser(max_event_size=maximum), SSEParser(max_event_size=maximum)
    assert push(whole, stream) == push(parts, *chunks)
    assert whole.rest() == parts.rest()


@given(cut_streams(), maxima)
def test_the_limit_leaves_out_the_blocks_above_it(cut_stream: tuple[bytes, list[bytes]], maximum: int) -> None:
    stream, chunks = cut_stream
    expected = [] if BOM.startswith(stream) else reference_limited(stream, maximum)
    assert expected == push(SSEParser(max_event_size=maximum), *chunks)


@given(cut_streams(), maxima)
def test_feed_gives_what_push_gives(cut_stream: tuple[bytes, list[bytes]], maximum: int) -> None:
    _, chunks = cut_stream
    expected = push(SSEParser(max_event_size=maximum), *chunks)
    parser = SSEParser(max_event_size=maximum)
    actual: list[ServerSentEvent | str] = []
    for chunk in chunks:
        fed = chunk
        while True:
            try:
                actual += parser.feed(fed)
                break
            except LimitError as error:
                actual += [*error.events, TOO_LARGE]
                fed = b""
    assert expected == actual


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_chunk_can_be_any_bytes(kind: type[bytes | bytearray | memoryview]) -> None:
    parser = SSEParser()
    assert [] == parser.feed(kind(b"data: a"))
    assert [message("ab")] == parser.feed(kind(b"b\n\n"))


def test_a_chunk_can_be_used_again_by_its_owner() -> None:
    parser = SSEParser()
    chunk = bytearray(b"data: 1\n")
    parser.feed(chunk)
    chunk[:] = b"XXXXXXXX"
    assert [message("1")] == parser.feed(b"\n")


@pytest.mark.parametrize("chunk", ["data: a\n\n", None, 5, [1], ["data"]])
def test_a_chunk_of_another_type_is_refused(chunk: bytes) -> None:
    parser = SSEParser()
    parser.feed(b"data: a")
    name = type(chunk).__name__
    with pytest.raises(TypeError, match=f"^a chunk must be bytes, bytearray or memoryview, not {name}$"):
        parser.feed(chunk)
    assert [message("a")] == parser.feed(b"\n\n")


# ---- The end of a stream.


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", None),
        (b"data: 1\n\n", None),
        (b"data: 1\n\n\r\n", None),
        (b"data: 1\n\ndata: 2\n", message("2")),
        (b"data: 1\n\ndata: 2", message("2")),
        (b"data: 1\n\ndata: 2\r", message("2")),
        (b"id: x\nretry: 5\n\nretry: 6\nevent: a\r\ndata: 2\r\nda", ServerSentEvent("a", "2", "x", 6)),
        (b"event: a\ndata", ServerSentEvent("a", "")),
        (b"event: a\ndat", None),
        (b": a", None),
        (BOM, None),
        (BOM[:2], None),
    ],
)
def test_end_gives_the_event_that_lacked_its_blank_line(stream: bytes, expected: ServerSentEvent | None) -> None:
    parser = SSEParser()
    parser.feed(stream)
    assert expected == parser.end()
    assert None is parser.end()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"id: x\n\nevent: a\ndata: 1", (b"a", b"1", b"x", None)),
        (b"event: a\r\ndata: 1\r\ndata: 2\r", (b"a", b"1\n2", b"", None)),
        (b"event: thread.run.st", b"event: thread.run.st"),
        (b"data: 1\n\nevent: a\r\ndat", b"event: a\r\ndat"),
        (b": a\r\nid: 5\r", b": a\r\nid: 5\r"),
        (b": a\r\n: b", None),
        (b":", None),
        (b"\n\n\n", None),
        (b"", None),
        (BOM, None),
        (BOM + b"a", b"a"),
        (BOM[:1], BOM[:1]),
    ],
)
def test_rest_gives_the_unfinished_block(stream: bytes, expected: Frame | bytes | None) -> None:
    parser = SSEParser()
    parser.push(stream)
    assert expected == parser.rest()
    assert None is parser.rest()


def test_foreign_blocks_are_those_since_the_last_event_however_that_came() -> None:
    for events in ([b"data: 1\n\n"], [b"data: 1\n\ndata: 2\n\n"], [b"data: ", b"1\n\n"]):
        parser = SSEParser()
        push(parser, b"data: 0\n\n", b"<html>\n\n")
        assert b"<html>" == parser.foreign
        push(parser, *events)
        assert b"" == parser.foreign


def test_after_the_end_the_parser_is_as_new() -> None:
    parser = SSEParser(max_event_size=20)
    parser.feed(b"id: x\ndata: 1\n\ndata: 2")
    assert message("2", last_id="x") == parser.end()
    assert SSEParser().state() == parser.state()
    assert [message("3")] == parser.feed(BOM + b"data: 3\n\n")
    assert ["too large"] == push(parser, b"data: " + b"4" * 20)
    assert None is parser.end()
    assert [message("5")] == parser.feed(BOM + b"data: 5\n\n")


# ---- The limit.


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (b"data: 1\n\n", 8),
        (b"data: 1\r\n\r\n", 9),
        (b"data: 1\r\r", 8),
        (b"data: 1\n\r\n", 8),
        (b"event: a\ndata: 1\n\n", 17),
        (b": comment\ndata: 1\n\n", 18),
        (b"unknown\r\ndata: 1\r\r\n", 17),
        (b"\n\r\n\r\rdata: 1\n\n\n", 8),
        (BOM + b"data: 1\n\n", 8),
        (b"event: b\ndata: 1\nid: \n\n", 22),
    ],
)
def test_a_size_is_that_of_the_lines_and_their_ends(block: bytes, size: int) -> None:
    for chunks in ([block], cut(block, list(range(1, len(block))))):
        assert [] != push(SSEParser(max_event_size=size), *chunks) != [TOO_LARGE]
        assert [TOO_LARGE] == push(SSEParser(max_event_size=size - 1), *chunks)


@pytest.mark.parametrize("start", [b"", b"event: a\n"])
def test_a_chunk_that_is_one_plain_block_has_the_size_of_the_block(start: bytes) -> None:
    block, large = start + b"data: 1\n\n", start + b"data: 22\n\n"
    parser, name = SSEParser(max_event_size=len(block) - 1), "a" if start else "message"
    one = ServerSentEvent(name, "1")
    assert [one, one, TOO_LARGE, one, TOO_LARGE] == push(parser, block, block, large, block, large)


def test_a_limit_error_comes_in_the_place_of_its_event() -> None:
    parser = SSEParser(max_event_size=8)
    assert [message("1"), TOO_LARGE, message("3"), TOO_LARGE, TOO_LARGE, message("6")] == push(
        parser, b"data: 1\n\ndata: 22\n\ndata: 3\n\ndata: 44\r\n\r\ndata: 555", b"5\n", b"\ndata: 6\n\n"
    )


def test_a_plain_block_in_a_row_of_its_kind_can_be_too_large() -> None:
    parser = SSEParser(max_event_size=17)
    assert [ServerSentEvent("a", "1"), TOO_LARGE, ServerSentEvent("a", "3")] == push(
        parser, b"event: a\ndata: 1\n\nevent: a\ndata: 22\n\nevent: a\ndata: 3\n\n"
    )


def test_an_event_too_large_is_told_of_as_soon_as_it_is_known_and_once() -> None:
    parser = SSEParser(max_event_size=8)
    assert [[], [TOO_LARGE], [], [], [], [message("2")]] == [
        push(parser, chunk) for chunk in (b"data: 1", b"11", b"1\r", b"\ndata: 1", b"1\r\n\r", b"\ndata: 2\n\n")
    ]


def test_what_is_skipped_sets_no_id() -> None:
    parser = SSEParser(max_event_size=13)
    assert [message("1", last_id="x"), TOO_LARGE, message("3", last_id="x")] == push(
        parser, b"id: x\ndata:1\n\nid: y\ndata: 22\n\ndata: 3\n\n"
    )


def test_comments_are_too_large_as_well() -> None:
    assert [TOO_LARGE] == push(SSEParser(max_event_size=100), *[b": keep-alive\n"] * 100)


def test_blank_lines_are_of_no_size() -> None:
    assert [message("1")] == push(SSEParser(max_event_size=8), *[b"\n" * 100] * 10, b"data: 1\n\n")


@pytest.mark.parametrize("line_end", [b"\n", b"\r"])
def test_blank_lines_between_blocks_are_of_no_size(line_end: bytes) -> None:
    parser = SSEParser(max_event_size=8)
    block = b"data: 1" + line_end
    assert [message("1"), message("1")] == push(parser, block + line_end * 2, block, line_end)


def test_feed_raises_in_the_place_of_the_event_and_goes_on() -> None:
    parser = SSEParser(max_event_size=8)
    with pytest.raises(LimitError) as raised:
        parser.feed(b"data: 1\n\ndata: 22\n\ndata: 3\n\ndata: 44\n\ndata: 5\n\n")
    expected = "expected events of at most 8 bytes (max_event_size), got a larger one; it is left out"
    assert (expected, "max_event_size", 8) == (str(raised.value), raised.value.limit, raised.value.maximum)
    assert [message("1")] == raised.value.events
    with pytest.raises(LimitError) as raised:
        parser.feed(b"")
    assert [message("3")] == raised.value.events
    assert [message("5")] == parser.feed(b"")
    assert [] == parser.feed(b"")


def test_pending_events_are_not_lost_by_an_end() -> None:
    parser = SSEParser(max_event_size=8)
    with pytest.raises(LimitError):
        parser.feed(b"data: 22\n\ndata: 3\n\ndata: 4")
    for method in (parser.end, parser.rest, parser.state):
        with pytest.raises(RuntimeError, match=r'^events are pending after a LimitError: call feed\(b""\) until'):
            method()
    assert [message("3")] == parser.feed(b"")
    assert message("4") == parser.end()


def test_without_a_limit_there_is_none() -> None:
    data = b"x" * (DEFAULT_MAX_EVENT_SIZE + 1)
    assert [(b"", data, b"", None)] == SSEParser(max_event_size=None).push(b"data: " + data + b"\n\n")


def test_the_default_limit_is_32_mib() -> None:
    assert 32 * 1024 * 1024 == DEFAULT_MAX_EVENT_SIZE
    largest = b"data:" + b"x" * (DEFAULT_MAX_EVENT_SIZE - 6)
    assert [(b"", largest[5:], b"", None)] == SSEParser().push(largest + b"\n\n")
    assert [TOO_LARGE] == push(SSEParser(), largest + b"x\n\n")


@pytest.mark.parametrize("size", [0, -1])
def test_a_limit_below_one_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"^max_event_size must be at least 1, got {size}$"):
        SSEParser(max_event_size=size)


@pytest.mark.parametrize("size", [True, 1.0, "1", b"2"])
def test_a_limit_of_another_type_is_refused(size: int) -> None:
    with pytest.raises(TypeError, match=f"^max_event_size must be an int or None, got {type(size).__name__}$"):
        SSEParser(max_event_size=size)


# ---- Cost.


def peak(parser: SSEParser, chunk: bytes, times: int) -> int:
    """Most memory at any time while the chunk comes so many times over, in bytes."""
    tracemalloc.start()
    try:
        for _ in range(times):
            parser.push(chunk)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "chunk", [b"x" * 65536, b"x\r\n" * 21845, b"\n" * 65536, b"\r\n" * 32768, b"data: " + b"x" * 65530]
)
def test_an_event_that_never_ends_takes_no_more_memory_than_the_limit(chunk: bytes) -> None:
    maximum = 256 * 1024
    assert peak(SSEParser(max_event_size=maximum), chunk, 64) < 4 * maximum


@pytest.mark.parametrize(("length", "remembered"), [(128, 128), (129, 0), (1_000_000, 0)])
def test_a_name_is_remembered_only_if_each_chunk_can_afford_it(length: int, remembered: int) -> None:
    parser, name = SSEParser(), b"n" * length
    stream = b"event: a\ndata: 1\n\nevent: %b\ndata: 2\n\nevent: %b\ndata: 3\n\n" % (name, name)
    assert reference(stream) == parser.feed(stream)
    assert remembered == len(parser._name)
    again = b"event: a\ndata: 4\n\nevent: %b\ndata: 5\n\n" % name
    assert reference(again) == [event for byte in (again[:20], again[20:]) for event in parser.feed(byte)]


@pytest.mark.parametrize("line", [b":\n", b"data:ab\n", b"ab\r\n", b"data\r", b"id:a\n"])
def test_many_small_lines_take_no_more_memory_than_one_large(line: bytes) -> None:
    size = 128 * 1024
    assert peak(SSEParser(), line * (size // len(line)) + b"\n", 1) < 6 * size


def test_a_large_event_byte_by_byte_is_read_in_full() -> None:
    data = b"0123456789abcdef" * 2**12
    parser = SSEParser()
    stream = memoryview(b"data: " + data + b"\n\n")
    frames = [frame for start in range(len(stream)) for frame in parser.push(stream[start : start + 1])]
    assert [(b"", data, b"", None)] == frames


# ---- Checkpoints.


@pytest.mark.parametrize("maximum", [8, 14, DEFAULT_MAX_EVENT_SIZE])
@pytest.mark.parametrize("stream", EXAMPLES)
def test_a_parser_restored_anywhere_goes_on(stream: bytes, maximum: int) -> None:
    whole = SSEParser(max_event_size=maximum)
    expected = (push(whole, stream), whole.rest())
    for place in range(len(stream) + 1):
        first = SSEParser(max_event_size=maximum)
        items = push(first, stream[:place])
        state: object = json.loads(json.dumps(first.state()))
        second = SSEParser.from_state(state, max_event_size=maximum)
        items += push(second, stream[place:])
        assert expected == (items, second.rest())


@example((b"data\n\n\n", [b"da", b"ta\n\n\n"]), 1)
@given(cut_streams(), maxima)
def test_a_parser_restored_after_every_chunk_goes_on(cut_stream: tuple[bytes, list[bytes]], maximum: int) -> None:
    stream, chunks = cut_stream
    whole = SSEParser(max_event_size=maximum)
    expected = (push(whole, stream), whole.rest())
    parser = SSEParser(max_event_size=maximum)
    items: list[ServerSentEvent | str] = []
    for chunk in chunks:
        items += push(parser, chunk)
        parser = SSEParser.from_state(json.loads(json.dumps(parser.state())), max_event_size=maximum)
    assert expected == (items, parser.rest())


NEW: dict[str, object] = {"fresh": True, "skipping": False, "held": "", "id": ""}
STARTED: dict[str, object] = {**NEW, "fresh": False}


def test_the_state_of_a_new_parser_is_empty() -> None:
    assert NEW == SSEParser().state()
    assert STARTED | {"held": "data: Ã©\r", "id": "\xff"} == _fed(b"id: \xff\n\ndata: " + "é\r".encode())


def _fed(stream: bytes) -> dict[str, object]:
    parser = SSEParser()
    parser.push(stream)
    return parser.state()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "a parser's state must be a dict, not NoneType"),
        ([], "a parser's state must be a dict, not list"),
        (NEW | {"fresh": 1}, "fresh in a parser's state must be a bool, not int"),
        (NEW | {"skipping": None}, "skipping in a parser's state must be a bool, not NoneType"),
        (NEW | {"held": 5}, "held in a parser's state must be a str, not int"),
        (NEW | {"id": b"x"}, "id in a parser's state must be a str, not bytes"),
    ],
)
def test_a_state_of_another_type_is_refused(state: object, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        SSEParser.from_state(state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "a parser's state must have the keys fresh, skipping, held and id, and no others"),
        (NEW | {"x": 1}, "a parser's state must have the keys fresh, skipping, held and id, and no others"),
        (STARTED | {"held": "\u0100"}, "held in a parser's state must have no character above U+00FF"),
        (STARTED | {"id": "\ud800"}, "id in a parser's state must have no character above U+00FF"),
        *[
            (state, "no parser with max_event_size=10 can be in this state")
            for state in [
                NEW | {"held": "x"},
                NEW | {"held": BOM.decode("latin-1")},
                NEW | {"skipping": True},
                NEW | {"id": "x"},
                STARTED | {"held": "\nx"},
                STARTED | {"held": "\rx"},
                STARTED | {"held": "x\n\nx"},
                STARTED | {"held": "x\r\r"},
                STARTED | {"held": "x" * 11},
                STARTED | {"skipping": True},
                STARTED | {"skipping": True, "held": "x"},
                STARTED | {"skipping": True, "held": "xxx"},
                STARTED | {"skipping": True, "held": "\n\n"},
                STARTED | {"skipping": True, "held": "\n\r"},
                STARTED | {"id": "a\0"},
                STARTED | {"id": "a\n"},
                STARTED | {"id": "a\r"},
            ]
        ],
    ],
)
def test_a_state_that_no_parser_gives_is_refused(state: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SSEParser.from_state(state, max_event_size=10)
