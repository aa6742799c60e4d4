"""Check, diff and convert: what each says of runs that were made to differ."""

from __future__ import annotations

import json
import re
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from accumulator import Accumulator, RecordingError, accumulate, check, diff, open_recordings, replay
from accumulator._recordings.check import _pair
from accumulator._recordings.convert import Redaction, to_event_lines, to_recording
from accumulator._recordings.format import RecordedChunk
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, call, event, run, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import FrameType

    from _typeshed import TraceFunction


def ended(calls: list[object], *before: bytes) -> bytes:
    """Return a run with one step, whose ending has these calls."""
    return b"".join(
        [
            event("thread.run.in_progress", run("in_progress")),
            event("thread.run.step.created", step("in_progress", [])),
            *before,
            event("thread.run.step.completed", step("completed", calls)),
            event("thread.run.completed", run("completed")),
            DONE,
        ]
    )


def fragment(entry: dict[str, object]) -> bytes:
    details = {"type": "tool_calls", "tool_calls": [entry]}
    return event("thread.run.step.delta", {"id": "step_1", "delta": {"step_details": details}})


def findings(data: bytes) -> list[tuple[str, str]]:
    return [(each.kind, each.path) for found in check([data]).objects for each in found.findings]


def test_a_server_that_streams_nothing_does_not_pass() -> None:
    report = check([ended([call("{}", None)])])
    assert ("not streamed", False, False) == (report.objects[0].verdict, report.passed, report.exact)
    assert "run step  step_1  not streamed, 0 deltas" in str(report)


def test_what_whole_objects_said_before_the_ending_was_not_streamed() -> None:
    logs = {"type": "logs", "logs": "4\n"}
    interpreted = {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "2+2", "outputs": [logs]}}
    for life in ("created", "in_progress"):
        said = event(f"thread.run.step.{life}", step("in_progress", [interpreted]))
        report = check([ended([interpreted], said)])
        assert ("not streamed", 0, False) == (report.objects[0].verdict, report.objects[0].deltas, report.passed)
        assert [("lost", "$.step_details.tool_calls")] == [
            (each.kind, each.path) for each in report.objects[0].findings
        ]
        assert [] == report.problems
        # Deltas that say all of it are enough, before and behind.
        streamed = fragment({"index": 0, **interpreted})
        assert ["same", "same"] == [
            check([ended([interpreted], *each)]).objects[0].verdict for each in ((streamed, said), (said, streamed))
        ]
        # And what they leave out was not streamed.
        part = fragment({"index": 0, **interpreted, "code_interpreter": {"input": "2+2", "outputs": []}})
        assert [("lost", "$.step_details.tool_calls[0].code_interpreter.outputs")] == findings(
            ended([interpreted], said, part)
        )
    content: list[object] = [{"type": "text", "text": {"value": "Hello", "annotations": []}}]
    bare = {"id": "msg_1", "object": "thread.message", "role": "assistant"}
    wholes: list[dict[str, object]] = [{"content": content}, {"content": {"value": "Hello"}}, {"content": "Hello"}, {}]
    for odd in wholes:
        told = event("thread.message.in_progress", {**bare, **odd})
        enveloped = b"data: " + told.split(b"data: ")[1]
        for before in (told, enveloped):
            (found,) = check([before, event("thread.message.completed", {**bare, "content": content}), DONE]).objects
            assert ("message", "not streamed") == (found.what, found.verdict)


def test_the_message_that_a_step_creates_needs_no_delta() -> None:
    details = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    events = [
        event(f"thread.run.step.{life}", {**step(life, []), "type": "message_creation", "step_details": details})
        for life in ("created", "completed")
    ]
    report = check([*events, event("thread.run.completed", run("completed")), DONE])
    assert ("same", True, True) == (report.objects[0].verdict, report.passed, report.exact)


def test_the_calls_of_an_ending_are_paired_in_linear_time() -> None:
    def codes_for(count: int) -> int:
        calls: list[object] = [{"id": f"call_{number}"} for number in range(count)]
        codes = 0

        def tally(frame: FrameType, kind: str, _: object) -> TraceFunction:
            nonlocal codes
            frame.f_trace_opcodes = True
            codes += kind == "opcode"
            return tally

        before = sys.gettrace()
        sys.settrace(tally)
        try:
            pairs = list(_pair([*calls, {}], [{}, *reversed(calls)]))
        finally:
            sys.settrace(before)
        assert count + 1 == len(pairs)
        return codes

    assert codes_for(400) < 2.1 * codes_for(200)


def search(results: list[object], **more: object) -> dict[str, object]:
    return {"id": "call_1", "type": "file_search", "file_search": {"ranking_options": {}, "results": results}, **more}


def test_what_no_server_streams_is_supplied() -> None:
    for entry, said, path in (
        (call("{}", None), call("{}", "9 °C"), "function.output"),
        (search([]), search([{"file_id": "file_1"}]), "file_search.results"),
    ):
        report = check([ended([said], fragment({"index": 0, **entry}))])
        assert ("supplied", True, False) == (report.objects[0].verdict, report.passed, report.exact)
        assert f"$.step_details.tool_calls[0].{path}  only the ending has " in str(report)
    events: list[bytes] = []
    for life, activities in (("created", list[object]()), ("completed", ["listed"])):
        details = {"type": "activities", "activities": activities}
        events.append(
            event(f"thread.run.step.{life}", {**step(life, []), "type": "activities", "step_details": details})
        )
    report = check([*events, event("thread.run.completed", run("completed")), DONE])
    assert ("supplied", True) == (report.objects[0].verdict, report.passed)


def test_what_the_ending_alone_has_was_lost_where_it_is_streamed_elsewhere() -> None:
    one, two = call("{}", "9 °C"), {**call("{}", "8 °C"), "id": "call_2"}
    bare = {**call("{}", None), "id": "call_2"}
    report = check([ended([one, two], fragment({"index": 0, **one}), fragment({"index": 1, **bare}))])
    assert ("lost", False) == (report.objects[0].verdict, report.passed)
    assert '$.step_details.tool_calls[1].function.output  streamed nothing, the ending has "8 °C"' in str(report)
    # A tool of Azure has the same field in the same place, and streams it.
    odd = {**one, "type": "openapi"}
    report = check(
        [ended([odd], fragment({"index": 0, **odd, "function": {"name": "get_weather", "arguments": "{}"}}))]
    )
    assert [("lost", "$.step_details.tool_calls[0].function.output")] == [
        (each.kind, each.path) for each in report.objects[0].findings
    ]


def test_a_second_ending_hides_nothing_of_the_first() -> None:
    again = event("thread.run.step.completed", step("completed", [call("ab", None)]))
    report = check([ended([call("ab", None)], fragment({"index": 0, **call("a", None)})).replace(DONE, again + DONE)])
    assert [("differs", "$.step_details.tool_calls[0].function.arguments")] == [
        (each.kind, each.path) for each in report.objects[0].findings
    ]
    left_out = check([ended([call("", None)], fragment({"index": 0, **call("a", None)}))])
    assert 'function.arguments  streamed "a", the ending has nothing' in str(left_out)


def test_what_differs_is_shown_where_it_differs() -> None:
    text = "0123456789" * 10
    report = check([ended([call(text + "a", None)], fragment({"index": 0, **call(text + "b", None)}))])
    (finding,) = report.objects[0].findings
    assert ("differs", text + "b", text + "a") == (finding.kind, finding.streamed, finding.said)
    assert 'at character 100, behind 20 others: streamed "01234567890123456789b", the ending has "0123' in str(report)
    assert report.to_dict()["objects"] == [
        {"id": "step_1", "what": "run step", "verdict": "differs", "deltas": 1, "findings": [finding._asdict()]}
    ]
    short = check([ended([call("ab", None)], fragment({"index": 0, **call("a", None)}))])
    assert 'arguments  streamed "a", the ending has "ab"' in str(short)


def test_calls_are_paired_by_id_and_then_in_order() -> None:
    one = {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "1"}}
    two = {"id": "call_2", "type": "function", "function": {"name": "b", "arguments": "2"}}
    nameless = {"type": "function", "function": {"name": "c", "arguments": "3"}}
    streamed = [fragment({"index": at, **each}) for at, each in enumerate((one, two, nameless))]
    assert [] == findings(ended([two, one, nameless], *streamed))
    assert [("left out", "$.step_details.tool_calls[2]")] == findings(ended([two, one], *streamed))
    kinds = findings(ended([one, two, nameless, {**one, "id": "call_4"}], *streamed))
    assert [("lost", "$.step_details.tool_calls[3]")] == kinds
    typed = fragment({"index": 0, "id": "call_1", "type": "function", "function": {"name": "a", "arguments": "1"}})
    odd = {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "1", "strict": 1}}
    assert [("lost", "$.step_details.tool_calls[0].function.strict")] == findings(ended([odd], typed))
    number = fragment({"index": 0, "id": "call_1", "type": "custom", "custom": {"size": 1.0}})
    integer = ended([{"id": "call_1", "type": "custom", "custom": {"size": 1}}], number)
    assert "custom.size  streamed 1.0, the ending has 1" in str(check([integer]))
    kinds = findings(integer)
    assert [("differs", "$.step_details.tool_calls[0].custom.size")] == kinds


def test_events_an_event_over_a_limit_and_a_broken_source_are_checked() -> None:
    def broken() -> Iterator[bytes]:
        yield FIRST_EVENTS[0]
        raise ConnectionError("gone")

    events = [SimpleNamespace(event="thread.run.completed", data=json.dumps(run("completed")))]
    assert check(events).passed
    many = b"event: thread.run.step.delta\ndata: [" + b"1," * 120_000 + b"1]\n\n"
    large = b"event: a\ndata: " + b"x" * (33 << 20) + b"\n\n"
    for data in (many, large):
        report = check([data + ended([])])
        assert not report.passed
        assert report.errors[0].startswith("event 1: expected ")
        assert ["completed"] == report.outcomes
        assert report.errors[0] in str(report)
    report = check(broken())
    assert (["truncated"], False) == (report.outcomes, report.passed)
    assert "its source raised ConnectionError: gone" in report.errors[0]
    with pytest.raises(TypeError, match="takes a response"):
        check(7)


def test_problems_are_told(tmp_path: Path) -> None:
    report = check([b"event: thread.run.step.delta\ndata: {\n\n" + ended([])])
    assert "event 1: undecodable at $: expected JSON text" in str(report)
    assert [{"kind", "event_number", "path", "message"}] == [set(each) for each in report.to_dict()["problems"]]  # type: ignore[attr-defined] # a list
    torn = check([ended([])[:-3]])
    assert torn.outcomes == ["completed"]
    path = tmp_path / "run.sse"
    path.write_bytes(FIRST + SECOND)
    assert check(path).passed
    assert check(replay(path)).passed
    (tmp_path / "none.html").write_text("<p>", encoding="utf-8")
    with pytest.raises(RecordingError):
        check(tmp_path / "none.html")


def test_a_run_that_waits_may_have_open_steps() -> None:
    report = check([FIRST])
    assert (["open"], True, ["requires_action"]) == (
        [each.verdict for each in report.objects],
        report.passed,
        report.outcomes,
    )
    assert "outcome none" in str(type(report)([], [], [], []))


def test_runs_of_which_one_has_more_differ() -> None:
    whole, part = accumulate([FIRST, SECOND]).until_done(), Accumulator()
    assert [] == diff(whole, whole)
    found = diff(whole, part)
    assert [("outcome", "differs"), ("run step 1", "only in a")] == [(each.where, each.kind) for each in found]
    assert ["only in b"] == [each.kind for each in diff(part, whole)][1:]
    lines = [str(each) for each in found]
    assert 'outcome  $  a has "completed", b has null' == lines[0]
    assert lines[1].startswith('run step 1  $  only a has {"id": "step_1"')
    assert "only b has" in str(diff(part, whole)[1])
    other = accumulate([each.replace(b"get_weather", b"get_time") for each in (FIRST, SECOND)]).until_done()
    (name,) = diff(whole, other, ids=True, times=True)
    assert ("$.step_details.tool_calls[0].function.name", "get_weather", "get_time") == (name.path, name.a, name.b)


def test_escapes_and_numbers_are_redacted_and_json_stays_json() -> None:
    data = b'data: {"value": "a\\u00fc\\n\\"b\\\\ c", "n": -12.5, "keep": "x1"}\n\n'
    redact = Redaction([], ["value", "n"])
    ((_, new),) = redact([RecordedChunk(None, data)])
    assert len(data) == len(new)
    assert {"value": 'xx\n"x\\ x', "n": 1111.1, "keep": "x1"} == {**json.loads(new[6:]), "n": 1111.1}
    assert b"12" not in new
    cut = Redaction(["a.{3}"])
    assert [b"xx", b"xxb"] == [chunk for _, chunk in cut([RecordedChunk(None, b"a1"), RecordedChunk(1.0, b"23b")])]
    torn = Redaction(["u00"])
    assert [b"\\xxx"] == [chunk for _, chunk in torn([RecordedChunk(None, b"\\u00")])]


def redacted(data: bytes, patterns: Iterable[str] = (), keys: Iterable[str] = ()) -> bytes:
    """Return a body without what is named, in as many bytes."""
    ((_, new),) = Redaction(patterns, keys)([RecordedChunk(None, data)])
    assert len(data) == len(new)
    return new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (rb'{"a":"M\u00fcller"}', rb'{"a":"x\u0078xxxx"}'),
        ('{"a":"Müller, Müllers"}'.encode(), b'{"a":"xxxxxxx, xxxxxxxs"}'),
        (rb'{"a":"\"\u004d\u00fcller\n\ud83d\ude00"}', rb'{"a":"\"\u0078\u0078xxxx\n\u0078\u0078"}'),
        (rb'{"a":"{\"M\\u00fcller\":[\"M\\u00fcller\\n\"]}"}', rb'{"a":"{\"M\\u00fcller\":[\"x\\u0078xxxx\\n\"]}"}'),
        (rb'{"a":"\u005c\u0022M\u00fcller \/M\u00fcller"}', rb'{"a":"\u005c\u0022x\u0078xxxx xxx\u0078xxxx"}'),
        (rb'{"a":"M\u00fcll', rb'{"a":"M\u00fcll'),
        (rb'{"a":"M\u00fcller\ud83d\ude00', rb'{"a":"x\u0078xxxx\u0078\u0078'),
        ("[Müller".encode(), b"[xxxxxxx"),
        (b'"M\\u00fcller"', b'"x\\u0078xxxx"'),
    ],
)
def test_a_pattern_fits_what_json_stands_for(old: bytes, new: bytes) -> None:
    assert b"data: %b\n\n" % new == redacted(b"data: %b\n\n" % old, [r"/?Müller", "\N{GRINNING FACE}"])


def test_a_pattern_leaves_the_frame_and_the_words_of_the_protocol() -> None:
    words = b'data: {"object": "message", "a": [{"type": "message", "message": 1}], "message": "%b"}\r\n'
    data = b"\xef\xbb\xbfevent: message\r\nid: %b\r\n: %b\r\nmessage: data %b\r\nretry: 1\r\n" + words
    data += b"\r\nevent: done\rdata: [DONE]\r\r%b\n\ndata: %b\xff"
    old, new = data % ((b"data message 1",) * 6), data % ((b"xxxx xxxxxxx x",) * 6)
    new = new.replace(b"message: data", b"xxxxxxx: xxxx").replace(b"\xff", b"x")
    assert new == redacted(old, ["message", "data", "event", "retry", "DONE", "1", "\udcff"])
    frame = b'event: message\ndata: {"message": "data"}\n\n'
    assert frame.replace(b'"data"', b'"xxxx"') == redacted(frame, ["(?s).+"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"value":\ndata:  "secret", "b": "b"}', b'{"value":\ndata:  "xxxxxx", "b": "b"}'),
        (b'{"l":["secret",-1.5,true],"b":["b",2]}', b'{"l":["xxxxxx",1111,true],"b":["b",2]}'),
        (b'{"l":{"a":["secret"],"b":{}, "c": 2},"b":"b"}', b'{"l":{"a":["xxxxxx"],"b":{}, "c": 1},"b":"b"}'),
        (b'{"v\\u0061lue" : {"type":"secret"},"b":"l"}', b'{"v\\u0061lue" : {"type":"xxxxxx"},"b":"l"}'),
        (rb'{"b":"{\"l\":\"a\\u00fc\\n\",\"b\":\"b\"}"}', rb'{"b":"{\"l\":\"x\\u0078\\n\",\"b\":\"b\"}"}'),
        (b'{"b":"{\\"l\\":\\"a"}', b'{"b":"{\\"l\\":\\"a"}'),  # a piece of it
        (b'} {"l":"secret\\', b'} {"l":"xxxxxx\\'),
        (b"l", b"l"),
    ],
)
def test_all_below_a_named_key_is_replaced(old: bytes, new: bytes) -> None:
    assert b"data: %b\n\n" % new == redacted(b"data: %b\n\n" % old, [], ["l", "value"])


def test_what_is_known_of_a_response_is_redacted(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    line = {"n": 1, "url": "https://host/v1/threads/thread_1/runs", "type": "ann", "request_id": "req_ann", "status": 1}
    path.write_bytes(b':~ recording {"version":1}\n:~ body %b\n' % json.dumps(line).encode() + FIRST)
    (recording,) = open_recordings(path)
    (body,) = [
        each
        for each in to_recording([recording], Redaction([r"thread_\w+", "ann", "nobody"], ["status"]))
        if b":~ body" in each
    ]
    wanted = {**line, "url": "https://host/v1/threads/xxxxxxxx/runs", "request_id": "req_xxx"}
    assert wanted == json.loads(body.removeprefix(b":~ body "))


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "(?L)a"])
def test_a_pattern_that_is_none_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"expected a regular expression, got {pattern!r}: ")):
        Redaction([pattern])


TEXTS = [
    '{"a":1e400,"b":NaN}',
    '{"a": "\\ud800", "a": [1.0, 1e2, -0, 100000000000000000000], "b": "\u2028ü"}',
    '{"a":\ndata: 1}',
    ' {"a":1} ',
    "[" * 1000 + "]" * 1000,
    "1" * 5000,
    "hello",
    "",
    '"hello"',
    '"[DONE]"',
    "[DONE]",
    '"{\\"a\\": 1}"',
    '"{"',
    "1.50",
    "null",
    "two\ndata: lines",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_lines_of_events_are_json_and_read_as_they_were(text: str, tmp_path: Path) -> None:
    path, out = tmp_path / "run.sse", tmp_path / "out.jsonl"
    data = f"event: x\ndata: {text}\n\ndata: {text}\n\n".encode()
    path.write_bytes(FIRST + data)
    out.write_bytes(b"".join(to_event_lines(open_recordings(path))))
    for line in out.read_bytes().splitlines():
        value = json.loads(line, parse_constant=pytest.fail, parse_int=str)
        assert {"event", "data"} == value.keys() - {"raw"}
    assert FIRST + data == b"".join(replay(out))
    assert list(accumulate(path)) == list(accumulate(out))


def test_an_ending_without_its_blank_line_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    path.write_bytes(FIRST + b"event: done\ndata: no JSON")
    (recording,) = open_recordings(path)
    lines = [json.loads(line) for line in to_event_lines([recording])]
    assert [{"event": "done", "data": "[DONE]"}, {"event": "done", "data": "no JSON", "raw": True}] == lines[-2:]
    out = tmp_path / "out.sse"
    out.write_bytes(b"".join(to_recording([recording])))
    assert FIRST + b"event: done\ndata: no JSON" == b"".join(replay(out))
