"""What came in the place of events: it is named, reported once and kept in part, however it was cut."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import Accumulator, BodyEnded, MergeError, Problem, RunStepCreated, TruncatedError, accumulate
from accumulator._formats import BEGINNING_SIZE, PLAIN_TEXT, begins_like_events, describe, is_html, is_plain_text
from accumulator._sse import FOREIGN_SIZE, SSEParser
from tests import bodies
from tests.conftest import real_recordings

if TYPE_CHECKING:
    from pathlib import Path

    from accumulator import Update

PAGE = b"<!DOCTYPE html>\n<html>\n<head><title>502</title>\n\n<style>a:hover { color: red }</style></head>\n\n</html>\n"
JSON_ERROR = b'{"error": {"message": "No assistant found with id \'asst_1\'.", "code": null}}'
UTF_16 = "UTF-16 text (PowerShell's > writes it)"
JSON_IN_STRING = "JSON inside a JSON string"
SEVERAL_LINES = "JSON printed over several lines"
BLANK_LINE = "events with a blank line between `event:` and `data:`"
GOT = "expected server-sent events, got "


def fold(*chunks: bytes) -> list[Update]:
    run = Accumulator()
    return [*(update for chunk in chunks for update in run.feed(chunk)), *run.end()]


def problem(number: int, raw: str, what: str) -> Problem:
    return Problem(number, "undecodable", "$", raw, GOT + what, None)


# ---- Their names.


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (b"", ""),
        (b" \r\n\t", ""),
        (b"event: done\ndata: [DONE]\n\n", ""),
        (b"data:1\n\n", ""),
        (b"\xef\xbb\xbfdata: 1\n\n", ""),
        (b": ping\n\n", ""),
        (b"retry: 3000\n\n", ""),
        (b"\r\n\nevent: done\n", ""),
        # A field without a colon passed for events before, but not at the start of a response: now it never does.
        (b"data\r\ndata: 1", PLAIN_TEXT),
        (b"id\n1\n2\n", PLAIN_TEXT),
        (b"\n\nInternal Server Error", PLAIN_TEXT),
        (b"<pre>Bad Gateway</pre>", "an HTML page"),
        (b"<table><tr>", "an HTML page"),
        (b"<br />\n<b>Fatal error</b>: out of memory", "an HTML page"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "">', "an HTML page"),
        (b"<preface>", "an XML document"),
        (PAGE, "an HTML page"),
        (b"\n  <HTML lang=de>", "an HTML page"),
        (b"<h1>Bad Gateway</h1>", "an HTML page"),
        (b'<?xml version="1.0"?><Error>', "an XML document"),
        (b"<Error><Code>AccessDenied</Code>", "an XML document"),
        (b"< 5", PLAIN_TEXT),
        (b"Internal Server Error", PLAIN_TEXT),
        (b"database is locked", PLAIN_TEXT),
        ("Zürich\x1b[31m".encode(), PLAIN_TEXT),
        (b"[2026-11-28 16:00:00] started", PLAIN_TEXT),
        (b"\xef\xbb\xbf{}", "a JSON object"),
        (b'{"id": "run_1"}', "a JSON object"),
        (b'{\n  "id": "run_1"\n}', "a JSON object"),
        (b"{0}", PLAIN_TEXT),
        (JSON_ERROR, "a JSON object with an error"),
        (b'{\n  "error": "x"}', "a JSON object with an error"),
        (b'{"message": "x", "code": 1}', "a JSON object with an error"),
        (b'{"detail":[{"loc":["body"]}]}', "a JSON object with an error"),
        (b"[]", "a JSON list"),
        (b'[{"id": 1}]', "a JSON list"),
        (b'{"a":1}\n{"a":2}\n', "JSON lines"),
        (b'{"a":1}\r\n{"a":2}\r\n', "JSON lines"),
        (gzip.compress(b"event: done\n", mtime=0), "gzip data"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd data"),
        (b"PK\x03\x04\x14", "a zip archive"),
        (b"\xff\xfe" + "event".encode("utf-16-le"), UTF_16),
        (b"\xfe\xff" + "event".encode("utf-16-be"), UTF_16),
        ("event".encode("utf-16-le"), UTF_16),
        ("event".encode("utf-16-be"), UTF_16),
        (b"\x89PNG\r\n\x1a\n", "binary data"),
        (b'{"log": {"version": "1.2", "entries": []}}', "a HAR file"),
        (b'{"interactions": [], "version": 1}', "a VCR cassette"),
        (b'{"version": 1, "interactions": []}', "a VCR cassette"),
        (b"interactions:\n- request:\n", "a VCR cassette"),
        (b"---\nhttp_interactions:\n- request:\n", "a VCR cassette"),
        (b"HTTP/1.1 200 OK\r\n", "an HTTP response with its headers"),
        (b"== Info:   Trying 127.0.0.1:8710...\n", "a trace of curl"),
        (b"ThreadRunStepDelta(data=RunStepDeltaEvent(id='step_1'", "a printed Python dump"),
        (b"[ThreadRunStepDelta(data=1)]", "a printed Python dump"),
        (b"{'id': 'step_1'}", "a printed Python dump"),
        (b"16:00:00 INFO event: thread.run.created\n16:00:00 INFO data: {}\n", "log lines with events in them"),
        (b'started\n  <- data: {"id": "run_1"}\n', "log lines with events in them"),
        (b'data: {"id":"c","object": "chat.completion.chunk"}\n\n', "chat completion chunks"),
        (b'{"object":"chat.completion.chunk"}\n{"a":1}', "chat completion chunks"),
        (b"event: response.created\ndata: {}\n\n", "events of the Responses API"),
        (b"event: message_start\ndata: {}\n\n", "events of the Anthropic Messages API"),
        (b'event: x\ndata: "{\\"id\\": 1}"\n\n', JSON_IN_STRING),
        (b'"{\\"id\\": 1}"', JSON_IN_STRING),
        (b'event: x\ndata: {\n  "id": 1\n}\n\n', SEVERAL_LINES),
        (b"event: x\ndata: [\r\n  {\r\n", SEVERAL_LINES),
        (b"event: x\n\ndata: {}\n\n", BLANK_LINE),
        (b"event: x\r\n\r\n\r\ndata: {}\r\n\r\n", BLANK_LINE),
        (b"event: x\ndata: {}\nevent: y\ndata: {}\n", "events without a blank line between them"),
    ],
)
def test_a_format_is_told_by_its_beginning(beginning: bytes, expected: str) -> None:
    assert expected == describe(beginning)


def test_text_is_described_like_its_bytes() -> None:
    assert ["an HTML page", PLAIN_TEXT] == [describe("<html>\ud83d"), describe("\ud83d")]


@pytest.mark.parametrize(
    "start", [b"", b"\n", b"event: x", b"id\n", b":", b"\n: x", b"<p>", b"{}", b"hello", b"\xef\xbb\xbfid:"]
)
def test_what_begins_like_events_is_described_as_such(start: bytes) -> None:
    assert (describe(start + b"\n") == "") is (begins_like_events(start + b"\n") is not False)
    assert (is_html(start), is_plain_text(start)) == (start == b"<p>", start in {b"id\n", b"hello"})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("made_betamax/*.json", "a VCR cassette"),
        ("made_vcrpy/*.*", "a VCR cassette"),
        ("vcr*/*.y*ml", "a VCR cassette"),
        ("made_mitmproxy/*.har", "a HAR file"),
        ("made_polly/*/*.har", "a HAR file"),
        ("made_mitmproxy/*.flow", "a flow file of mitmproxy"),
        ("made_nock/*.json", "a recording of nock"),
        ("made_openai_node/*.ndjson", "JSON lines"),
        ("*_session/*.json", "a session record of the Azure test proxy"),
        ("made_curl/trace*.txt", "a trace of curl"),
        ("made_curl/curl-i*.txt", "an HTTP response with its headers"),
        ("made_curl/*.sse", ""),
        ("openai_php/*ResponseFixture.txt", "events without a blank line between them"),
        ("sse_txt/*.txt", ""),
    ],
)
def test_a_real_file_is_told_by_its_beginning(pattern: str, expected: str) -> None:
    recordings = real_recordings()
    folder = None if recordings is None else recordings.parent / "formats"
    if folder is None or not folder.is_dir():
        pytest.skip("no files in other formats here: set ACCUMULATOR_RECORDINGS to a folder beside theirs")
    files = sorted(folder.glob(pattern))
    assert files != []
    assert dict.fromkeys(files, expected) == {file: describe(file.read_bytes()) for file in files}


def test_a_real_recording_is_told_to_be_one(recordings: Path, shipped: Path) -> None:
    files = [*recordings.glob("*.sse"), *shipped.glob("*.sse")]
    assert [] == [file for file in files if describe(file.read_bytes()) != ""]


def test_chunks_of_chat_completions_are_told(recordings: Path) -> None:
    files = sorted(recordings.glob("chat/*.sse"))
    assert dict.fromkeys(files, "chat completion chunks") == {file: describe(file.read_bytes()) for file in files}


def test_only_the_beginning_is_looked_at() -> None:
    assert "a JSON object" == describe(b'{"a":"' + b"x" * BEGINNING_SIZE + b'"}\n{')


# ---- In the place of events.

IN_PLACE_OF_EVENTS = [
    (JSON_ERROR, "a JSON object with an error"),
    (b'{\n  "error": {\n    "message": "x"\n  }\n}\n', "a JSON object with an error"),
    (b"Internal Server Error", PLAIN_TEXT),
    (b"Internal Server Error\n", PLAIN_TEXT),
    (PAGE, "an HTML page"),
    (gzip.compress(bodies.SECOND, mtime=0), "gzip data"),
    (b"\xff\xfe" + bodies.SECOND.decode().encode("utf-16-le"), UTF_16),
    (b"16:00 event: done data: [DONE]\n", "log lines with events in them"),
]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n\r\n", b"\n\n: ping\n\n", b"\n\nmore\n\n"])
@pytest.mark.parametrize(("body", "what"), IN_PLACE_OF_EVENTS)
def test_what_came_in_the_place_of_events_is_one_problem(body: bytes, what: str, end: bytes) -> None:
    updates = fold(body + end)
    assert [Problem, BodyEnded] == [type(update) for update in updates]
    found = updates[0]
    assert isinstance(found, Problem)
    assert problem(1, found.raw, what) == found
    assert found.raw[:20] == body.decode("utf-8", "replace")[:20]
    assert BodyEnded(1, "truncated", ()) == updates[1]


def test_its_text_is_in_the_problem() -> None:
    assert problem(1, JSON_ERROR.decode(), "a JSON object with an error") == fold(JSON_ERROR + b"\n\n")[0]
    assert problem(1, PAGE.decode().strip(), "an HTML page") == fold(PAGE + b"\n")[0]


@given(st.data())
def test_any_cut_of_it_gives_the_same_updates(data: st.DataObject) -> None:
    pieces = st.sampled_from(
        [PAGE, JSON_ERROR, b"x", b"\n", b"\n\n", b"\r\n\r\n", b"\r", b": c\n", b"retry: 1\n\n", b"da", bodies.DONE]
    )
    stream = b"".join(data.draw(st.lists(pieces, max_size=6)))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    cuts = [0, *places, len(stream)]
    assert fold(stream) == fold(*(stream[start:end] for start, end in pairwise(cuts)))
    assert fold(stream) == fold(*(stream[at : at + 1] for at in range(len(stream))))


@pytest.mark.parametrize(
    "nothing",
    [
        b": comment\n\n",
        b"retry: 3000\n\n",
        b"id: 7\n\n",
        b"event: thread.run.created\n\n",
        b"foo: bar\n\n",
        b"foo\r\n\r\n",
        b"foo: bar\nid: 7\n\n",
        b'{"error": "x"}\n\n',  # where events follow it is not all that the server said
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_block_without_data_in_a_stream_of_events_is_no_problem(nothing: bytes, *, strict: bool) -> None:
    run = Accumulator(strict=strict)
    first, *others = bodies.FIRST_EVENTS
    for stream in (nothing, first, nothing + nothing, b"".join(others), nothing, bodies.DONE):
        run.feed(stream)
    run.end()
    assert ("requires_action", []) == (run.outcome, list(run.problems))


def test_an_unknown_field_behind_the_end_is_no_problem() -> None:
    assert [] == [update for update in fold(bodies.SECOND, b"foo: bar\n\n") if isinstance(update, Problem)]


def test_an_error_in_the_place_of_a_second_body_is_a_problem() -> None:
    expected = problem(4, JSON_ERROR.decode(), "a JSON object with an error")
    for end in (b"", b"\n\n"):
        updates = fold(bodies.SECOND, JSON_ERROR + end)
        assert [BodyEnded(3, "completed", ()), expected] == updates[-2:]


@pytest.mark.parametrize("beginning", [b"e", b"dat", b"event: thread.run.created\nda", b"retry: 1"])
def test_the_beginning_of_an_event_is_still_told_as_such(beginning: bytes) -> None:
    found = fold(beginning)[0]
    assert isinstance(found, Problem)
    assert "expected a whole event, got the beginning of one" == found.message


def test_of_a_long_page_the_beginning_is_kept() -> None:
    for page in (b"<html>\n" + b"<p>x</p>\n" * 500_000, b"<html>\n\n" + b"<p>x</p>\n\n" * 500_000):
        found, _ = fold(page)
        assert isinstance(found, Problem)
        assert page[:FOREIGN_SIZE].decode() == found.raw
    parser = SSEParser()
    parser.push(b"<p>\n\n" * 100_000)
    assert len(parser.foreign) == FOREIGN_SIZE


@given(st.integers(0, 60))
def test_a_checkpoint_holds_what_came_so_far(at: int) -> None:
    stream = PAGE[:40] + b"\n\n" + PAGE[40:60]
    run = Accumulator()
    run.feed(stream[:at])
    run = Accumulator.from_bytes(run.to_bytes())
    assert fold(stream) == [*run.feed(stream[at:]), *run.end()]


@pytest.mark.parametrize(
    "state",
    [
        {"fresh": False, "foreign": "x" * (FOREIGN_SIZE + 1)},
        {"fresh": True, "foreign": "x"},
    ],
)
def test_a_state_with_what_no_parser_keeps_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="can be in this state"):
        SSEParser.from_state({"skipping": False, "held": "", "id": "", **state})


def test_strict_raises_for_it_and_ends_then() -> None:
    run = Accumulator(strict=True)
    run.feed(PAGE)
    with pytest.raises(MergeError, match=r"^undecodable at \$ \(event 1\): .*, got an HTML page$"):
        run.end()
    assert [BodyEnded(1, "truncated", ())] == run.end()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        # "at its end", not "its last event": a page or a JSON error is no event.
        (JSON_ERROR, f"; at its end: {GOT}a JSON object with an error"),
        (bodies.FIRST_EVENTS[0] + b"event: x", "; at its end: expected a whole event, got the beginning of one"),
        (bodies.FIRST_EVENTS[0], ""),
        (b"data: {\n\n" + bodies.FIRST_EVENTS[0], ""),
        (b"", ""),
    ],
)
def test_the_error_of_a_body_that_was_cut_says_what_came(body: bytes, told: str) -> None:
    with pytest.raises(TruncatedError) as caught:
        accumulate([body]).final_run_steps()
    assert f"expected the stream to end in done, an error or a final status, it was cut before{told}" == str(
        caught.value
    )


@pytest.mark.parametrize("made_before", [False, True])
@pytest.mark.parametrize("body", [[], [bodies.FIRST_EVENTS[0]], [b":\n\n"]])
def test_the_error_of_a_body_that_was_cut_does_not_name_what_another_body_had(
    body: list[bytes],
    made_before: bool,  # noqa: FBT001 - a parameter
) -> None:
    run = Accumulator()
    first = accumulate([bodies.FIRST_EVENTS[0] + b"data: {\n\n"], into=run)
    second = accumulate(body, into=run) if made_before else None
    with pytest.raises(TruncatedError, match="expected JSON text"):
        first.final_run_steps()
    with pytest.raises(TruncatedError) as caught:
        (second or accumulate(body, into=run)).final_run_steps()
    assert "expected the stream to end in done, an error or a final status, it was cut before" == str(caught.value)


# ---- A page as the data of an event.


@pytest.mark.parametrize("name", [b"", b"event: thread.message.delta\n"])
def test_a_page_as_data_is_undecodable(name: bytes) -> None:
    page = "<html><body>502 Bad Gateway</body></html>"
    assert [
        Problem(1, "undecodable", "$", page, "expected JSON text, got an HTML page", None),
        BodyEnded(1, "truncated", ()),
    ] == fold(name + b"data: " + page.encode() + b"\n\n")


def test_a_page_as_the_data_of_an_unknown_name_is_that_events() -> None:
    updates = fold(b"event: preview\ndata: <html></html>\n\n", b"data: <b>\n\n")
    assert ["UnknownEvent", "UnknownEvent", "BodyEnded"] == [type(update).__name__ for update in updates]


def test_blank_lines_between_names_and_data_lose_nothing_that_names_itself() -> None:
    step = bodies.step("in_progress", [])
    stream = b"event: thread.run.step.created\n\ndata: " + json.dumps(step).encode() + b"\n\n"
    assert RunStepCreated in [type(update) for update in fold(stream)]
