"""Files of other tools: each folds to what its stream folds to, or is refused with what it is."""

from __future__ import annotations

import base64
import gzip
import json
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import requests
import vcr  # type: ignore[import-untyped]
import zstandard

from accumulator import (
    Accumulator,
    Problem,
    Recorder,
    Recording,
    RecordingError,
    accumulate,
    check,
    open_recordings,
    replay,
)
from accumulator._recordings import files, formats, recordings, stored
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, event, run, step
from tests.command import POSIX, unprivileged
from tests.conftest import ROOT
from tests.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.loopback import Exchange

TLS = ssl.create_default_context()
JSON_ANSWER = b'{"id": "thread_1", "object": "thread"}'
URL = "http://127.0.0.1/v1/threads/t/runs"


def folded(source: object) -> tuple[list[dict[str, object]], list[dict[str, object]], str | None, list[Problem]]:
    """Return all that a source folds to."""
    into = Accumulator()
    accumulate(source, into=into).until_done()
    steps, messages = [step.to_dict() for step in into.run_steps()], [each.to_dict() for each in into.messages()]
    return steps, messages, into.outcome, list(into.problems)


def write(path: Path, content: object) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def streams(path: Path) -> list[bytes]:
    return [b"".join(recording) for recording in open_recordings(path)]


def named(path: Path) -> str:
    """Return what an error says that a file is."""
    with pytest.raises(RecordingError) as caught:
        list(open_recordings(path))
    with pytest.raises(RecordingError) as again:
        accumulate(path)
    assert {str(path): caught.value.files[str(path)]} == caught.value.files == again.value.files
    assert f"{path}: expected a recording, got {caught.value.files[str(path)]}" == str(caught.value)
    return caught.value.files[str(path)]


# ---- Wrappers.


def utf_16(data: bytes) -> bytes:
    return data.decode().replace("\n", "\r\n").encode("utf-16")


def in_frames(data: bytes) -> bytes:
    return zstandard.compress(data[:100]) + zstandard.compress(data[100:])


WRAPPERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "zstd frames": in_frames,
    "utf-16": utf_16,
    "utf-16 in gzip": lambda data: gzip.compress(utf_16(data)),
    "mark": lambda data: b"\xef\xbb\xbf" + data,
    "three": lambda data: gzip.compress(gzip.compress(gzip.compress(data))),
    "cut gzip": lambda data: gzip.compress(data)[:-8],
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapper_is_taken_off(wrap: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = FIRST + SECOND
    path = write(tmp_path / "run.bin", wrap(data))
    assert folded([data]) == folded(path)
    (recording,) = open_recordings(path)
    assert ("run_1", 2, False) == (recording.run_id, len(recording.bodies), recording.times)
    assert folded([data]) == folded(recording) == folded(recording)


@pytest.mark.parametrize("wrap", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_document_in_a_wrapper_is_read(wrap: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "run.bin", wrap(json.dumps({"Entries": [{"ResponseBody": FIRST.decode()}]}).encode()))
    (recording,) = open_recordings(path)
    assert FIRST == b"".join(recording) == b"".join(recording)


def test_a_wrapper_that_is_damaged_or_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(FIRST)
    assert named(write(tmp_path / "a", packed[:10] + b"\xff" * 40)).startswith("gzip data that is damaged: ")
    assert named(write(tmp_path / "b", b"\x28\xb5\x2f\xfd" + b"\xff" * 40)).startswith("zstd data that is")
    monkeypatch.setattr(files, "LARGEST_UNPACKED", 100)
    assert "a file that unpacks to more than 100 bytes" == named(write(tmp_path / "c", packed))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    message = "zstd data: install zstandard to read it, or unpack it with `zstd -d`"
    assert message == named(write(tmp_path / "d", zstandard.compress(FIRST)))


def test_a_pipe_is_read() -> None:
    for is_opened in (False, True):
        reader, writer = os.pipe()
        os.write(writer, FIRST)
        os.close(writer)
        path = Path(f"/dev/fd/{reader}")
        assert folded([FIRST]) == folded(next(open_recordings(path)) if is_opened else path)
        os.close(reader)


# ---- Streams.


def test_the_bodies_of_an_event_stream_are_found(tmp_path: Path) -> None:
    (recording,) = open_recordings(write(tmp_path / "run.sse", FIRST + SECOND))
    assert [FIRST, SECOND] == [b"".join(body) for body in recording.bodies]
    odd = FIRST.replace(b"\n", b"\r\n") + b"event: done\ndata: {}\n\n"
    (recording,) = open_recordings(write(tmp_path / "odd.sse", odd + SECOND[:-1]))
    assert [FIRST.replace(b"\n", b"\r\n"), b"event: done\ndata: {}\n\n", SECOND[:-1]] == [
        b"".join(body) for body in recording.bodies
    ]


def test_a_file_of_many_runs_is_read_run_by_run(tmp_path: Path) -> None:
    begun = event("thread.run.created", run("queued")) + FIRST
    bodies = [begun.replace(b"run_1", b"run_%d" % number) for number in range(5)]
    path = write(tmp_path / "runs.sse", b"".join([*bodies, SECOND.replace(b"run_1", b"run_2")]))
    found = list(open_recordings(path))
    assert [f"run_{number}" for number in range(5)] == [each.run_id for each in found]
    assert [str(path), *(f"{path}#{number}" for number in range(2, 6))] == [each.name for each in found]
    assert [1, 1, 2, 1, 1] == [len(each.bodies) for each in found]
    assert f"<Recording '{path}#3': run run_2, 2 bodies>" == repr(found[2])
    assert f"<Recording '{path}': run run_0, 1 body>" == repr(found[0])


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_the_bodies_of_a_run_are_joined_across_files(names: tuple[str, str], tmp_path: Path) -> None:
    begun = event("thread.run.created", run("queued")) + FIRST
    for name, body in zip(names, [begun, SECOND], strict=True):
        write(tmp_path / name, body)
    (recording,) = open_recordings(tmp_path)
    assert [begun, SECOND] == [b"".join(body) for body in recording.bodies]
    assert folded([begun, SECOND]) == folded(recording)
    assert 2 == len(list(open_recordings(tmp_path, apart=True)))


def test_two_copies_of_a_run_are_two_recordings(tmp_path: Path) -> None:
    begun = event("thread.run.created", run("queued")) + FIRST
    for name in "ab":
        write(tmp_path / name, begun + SECOND)
    assert [begun + SECOND] * 2 == [b"".join(each) for each in open_recordings(tmp_path)]


def test_a_file_in_which_a_run_begins_again_is_not_folded_into_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = event("thread.run.created", run("queued")) + FIRST
    other = begun.replace(b"run_1", b"run_2")
    packed = tmp_path / "run.sse.gz"
    with Recorder(tmp_path / "own.sse") as recorder:
        for body in (begun, begun):
            assert list(recorder.record(bytes([each]) for each in body))
    for path in (
        write(tmp_path / "run.sse", begun + other + begun + SECOND),
        write(packed, gzip.compress(begun + begun)),
        write(tmp_path / "run.json", {"Entries": [{"ResponseBody": each.decode()} for each in (begun, begun, SECOND)]}),
        tmp_path / "own.sse",
    ):
        found = list(open_recordings(path))
        assert [begun] == [b"".join(each) for each in found[:1]]
        for read in (accumulate, replay, check):
            with pytest.raises(RecordingError) as caught:
                read(path)
            reason = f"{len(found)} in one file: open_recordings yields each"
            assert f"{path}: expected one recording of a run, got {reason}" == str(caught.value)
            assert {str(path): reason} == caught.value.files
    # A run that goes on does not begin again, and other runs are others.
    azure = event("thread.run.step.created", step("in_progress", [])) + begun
    for content in (begun + azure, begun + other, begun + SECOND + other):
        assert folded([content]) == folded(write(tmp_path / "run.sse", content))
    monkeypatch.setattr(recordings, "_MOST_BEGUN", 1)
    assert folded([begun + other + begun]) == folded(write(tmp_path / "far.sse", begun + other + begun))


def test_files_folders_and_patterns_are_found(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    places = [tmp_path / "a.sse", tmp_path / "deep" / "b.sse", tmp_path / "deep" / "er" / "c.sse"]
    for number, place in enumerate([*places, tmp_path / ".hidden" / "d.sse", tmp_path / ".e.sse"]):
        write(place, FIRST.replace(b"run_1", b"run_%d" % number))
    expected = [str(place) for place in places]
    assert expected == [each.name for each in open_recordings(tmp_path)]
    assert expected == [each.name for each in open_recordings(f"{tmp_path}/**/*.sse")]
    assert expected == [each.name for each in open_recordings(f"{tmp_path}/a*", str(tmp_path / "d*"))]
    (tmp_path / "dangling").symlink_to("nowhere")
    assert expected == [each.name for each in open_recordings(tmp_path)]
    odd = write(tmp_path / "[odd].sse", FIRST)
    assert [str(odd)] == [each.name for each in open_recordings(odd)]


def test_what_cannot_be_read_is_one_error_behind_all_that_can(tmp_path: Path) -> None:
    for name, content in {"a.html": b"<html>", "b.sse": FIRST, "c.txt": b"", "d.sse": b"\0"}.items():
        write(tmp_path / name, content)
    found = list[Recording]()
    pattern = f"{tmp_path}/none*"
    with pytest.raises(RecordingError) as caught:
        found += open_recordings(tmp_path, tmp_path / "none", pattern)
    expected = {
        str(tmp_path / "a.html"): "an HTML page",
        str(tmp_path / "c.txt"): "an empty file",
        str(tmp_path / "d.sse"): "binary data",
        str(tmp_path / "none"): "No such file or directory",
        pattern: "a pattern that no file matches",
    }
    assert expected == caught.value.files
    assert f"{tmp_path}/a.html: expected a recording, got an HTML page (and 4 other files)" == str(caught.value)
    with pytest.raises(RecordingError, match="expected the path of a recording, got none"):
        list(open_recordings())
    with pytest.raises(RecordingError, match=r"\(and 1 other file\)"):
        list(open_recordings(tmp_path / "none", pattern))
    with pytest.raises(FileNotFoundError):
        accumulate(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        accumulate(tmp_path)


@POSIX
def test_a_folder_that_cannot_be_read_is_told_behind_the_others() -> None:
    with unprivileged() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0)
        write(folder / "run.sse", FIRST)
        found = list[Recording]()
        with pytest.raises(RecordingError) as caught:
            found += open_recordings(folder)
        assert ({str(closed): "Permission denied"}, 1) == (caught.value.files, len(found))


def test_a_body_whose_run_is_not_named_belongs_to_the_run_before_it(tmp_path: Path) -> None:
    nameless = event("error", {"error": {"message": "Try again."}})
    (recording,) = open_recordings(write(tmp_path / "a.sse", FIRST + nameless))
    assert ("run_1", [FIRST, nameless]) == (recording.run_id, [b"".join(body) for body in recording.bodies])
    (recording,) = open_recordings(write(tmp_path / "b.sse", nameless))
    assert None is recording.run_id
    large = event("ping", {"text": "x" * 300_000}) + FIRST
    (recording,) = open_recordings(write(tmp_path / "c.sse", large))
    assert None is recording.run_id
    for body in (
        event("thread.message.created", {"id": "msg_1", "object": "thread.message", "run_id": "run_7"}),
        SECOND,
    ):
        (recording,) = open_recordings(write(tmp_path / "d.sse", body))
        assert recording.run_id is not None


def test_an_event_over_a_limit_ends_the_look_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b"event: thread.run.created\ndata: " + b"[" * 200_000 + b"\n\n"
    many = b"event: thread.run.created\ndata: [" + b"1," * 120_000 + b"1]\n\n"
    for content in (deep, many):
        (recording,) = open_recordings(write(tmp_path / "run.sse", content + FIRST))
        assert recording.bodies
    monkeypatch.setattr(recordings, "LONGEST_LINE", 1000)
    (recording,) = open_recordings(write(tmp_path / "run.sse", deep))
    assert deep == b"".join(recording)


def test_json_lines_are_read(tmp_path: Path) -> None:
    lines = [
        {"event": block.split(b"\n")[0][7:].decode(), "data": json.loads(block.split(b"\n")[1][6:])}
        for block in FIRST_EVENTS
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    without_done = b"".join(FIRST_EVENTS)
    assert folded([without_done]) == folded(write(tmp_path / "a", text.encode()))
    assert folded([FIRST]) == folded(write(tmp_path / "b", f'\n{text}{{"event":"done","data":"[DONE]"}}'.encode()))
    as_text = "".join(f"{json.dumps({**line, 'data': json.dumps(line['data'])})}\n" for line in lines)
    assert folded([without_done]) == folded(write(tmp_path / "c", as_text.encode()))
    with_other = f"{text}no event\n".encode()
    assert folded([without_done]) == folded(write(tmp_path / "d", with_other))
    before = (
        '{"event":"x","data":{"a": [Infinity,NaN]}}\n{"event":"x","data":"a","raw":1}\n{"event":"x","data":{"a":1}}'
    )
    assert b'event: x\ndata: {"a": [Infinity, NaN]}\n\nevent: x\ndata: "a"\n\nevent: x\ndata: {"a":1}\n\n' == b"".join(
        replay(write(tmp_path / "h", before.encode()))
    )
    assert "JSON lines" == named(write(tmp_path / "e", b'{"a": 1}\n{"a": 2}\n'))
    assert "JSON lines" == named(write(tmp_path / "f", b'{"event": "a\\nb", "data": 1}\n{}\n'))
    long = b'{"event":"thread.run.created","data":"' + b"x" * 100_000 + b'"}\n'
    assert 3 * 100_000 < len(b"".join(replay(write(tmp_path / "g", long * 3))))


@pytest.mark.parametrize(
    "text",
    [
        FIRST.replace(b"\n\n", b"\n"),
        b"INFO starting\n" + FIRST.replace(b"\n\n", b"\n\nINFO another line\nor two\n\n"),
        b"INFO starting\n" + FIRST.replace(b"\n\n", b"\nINFO a line\n"),
        b"here it is:\n" + b"".join(b"    " + line for line in FIRST.splitlines(keepends=True)),
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + FIRST,
        b"HTTP/1.1 307 Moved\r\nlocation: /\r\n\r\nHTTP/2 200\r\n\r\n" + FIRST,
    ],
    ids=["no blank lines", "log lines", "log lines for blank ones", "indented", "curl -i", "curl -iL"],
)
def test_events_within_other_text_are_read(text: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "run.txt", text)
    assert folded([FIRST]) == folded(path)
    assert ["run_1"] == [recording.run_id for recording in open_recordings(path)]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<!doctype html>", "an HTML page"),
        (b"plain words", "plain text"),
        (b"  \n", "an empty file"),
        (b"PK\x03\x04", "a zip archive"),
        (b'{"error": {"message": "no"}}', "a JSON object with an error"),
        (b'[{"scope": "http://a", "response": "event: done"}]', "a recording of nock"),
        (
            b"ThreadRunStepDelta(data=RunStep(id='step_1'))",
            "a printed Python dump; what print() writes is no recording",
        ),
        (
            b"7542:9:websocket;0:~8:response;\x1f\x8b\x08\0event: a\ndata: b\n\n",
            "a flow file of mitmproxy; export it as HAR: mitmdump -nr FILE --set hardump=FILE.har",
        ),
        (b'{"log": {"entries": []}}', "a HAR file with 0 answers, none of them an event stream"),
        (
            b'{"Entries": [{"ResponseBody": {"id": 1}}]}',
            "a session record of the Azure test proxy with 1 answer, none of",
        ),
        (b'{"interactions": [7]}', "a VCR cassette with 1 answer, none of them an event stream"),
        (b"interactions: []\n", "a VCR cassette with 0 answers, none of them an event stream"),
        (b"interactions: [\n", "a VCR cassette in YAML that is damaged: "),
        (b"interactions:\n- a: 2026-99-99\n", "a VCR cassette in YAML that is damaged: "),
        (b'{"log": {"entries": ', "a HAR file"),
        (b"[" * 100_000, "a JSON list"),
    ],
)
def test_what_is_no_recording_is_named(content: bytes, name: str, tmp_path: Path) -> None:
    assert named(write(tmp_path / "file", content)).startswith(name)


def test_a_document_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = base64.b64encode(gzip.compress(FIRST)).decode()
    path = write(tmp_path / "a", {"interactions": [{"response": {"body": {"base64_string": packed}}}]})
    assert [FIRST] == streams(path)
    monkeypatch.setattr(stored, "LARGEST_DOCUMENT", 100)
    assert "expected a body of at most 100 bytes, got a larger one in gzip" == named(path)
    monkeypatch.setattr(formats, "LARGEST_DOCUMENT", 100)
    assert "a document of more than 100 bytes" == named(path)


def test_a_document_that_changes_is_an_error(tmp_path: Path) -> None:
    entry = {"ResponseBody": FIRST.decode()}
    path = write(tmp_path / "a", {"Entries": [entry, entry]})
    *_, last = open_recordings(path)
    write(path, {"Entries": [entry]})
    with pytest.raises(RecordingError, match="expected the file to stay as it was, got another one"):
        list(last)
    *_, last = open_recordings(write(path, {"Entries": [entry]}))
    write(path, {"Entries": []})
    with pytest.raises(RecordingError, match="none of them an event stream"):
        accumulate(last).until_done()


def test_text_that_is_no_text_is_read_as_its_bytes(tmp_path: Path) -> None:
    for text, data in {"\udcff\udcfe": b"\xff\xfe", "\ud800": b"\xed\xa0\x80"}.items():
        path = write(tmp_path / "a", {"Entries": [{"ResponseBody": f"data: {text}\n\n"}]})
        assert [b"data: " + data + b"\n\n"] == streams(path)


# ---- Documents.


def cassette(body: object, key: str = "interactions") -> dict[str, object]:
    other = {"request": {"uri": URL}, "response": {"body": {"string": JSON_ANSWER.decode()}, "status": {"code": 200}}}
    answer = {"body": body, "headers": {"content-encoding": ["gzip"]}, "status": {"code": 200}}
    return {key: [other, {"request": {"uri": URL, "method": "POST"}, "response": answer}]}


@pytest.mark.parametrize("key", ["interactions", "http_interactions"])
@pytest.mark.parametrize(
    "body",
    [
        {"string": FIRST.decode()},
        FIRST.decode(),
        {"encoding": "utf-8", "base64_string": base64.b64encode(FIRST).decode()},
        {"base64_string": base64.b64encode(gzip.compress(FIRST)).decode()},
    ],
)
def test_a_cassette_in_json_is_read(body: object, key: str, tmp_path: Path) -> None:
    path = write(tmp_path / "run.json", cassette(body, key))
    (recording,) = open_recordings(path)
    assert FIRST == b"".join(recording)
    assert {"url": URL, "method": "POST", "status": 200} == recording.bodies[0].response


@pytest.mark.parametrize("tag", ["!!binary", "!binary"])
@pytest.mark.parametrize("data", [FIRST, gzip.compress(FIRST)], ids=["plain", "gzip"])
def test_a_cassette_in_yaml_is_read(tag: str, data: bytes, tmp_path: Path) -> None:
    packed = base64.b64encode(data).decode()
    text = f"---\nhttp_interactions:\n- response:\n    body:\n      string: {tag} |-\n        {packed}\n"
    assert [FIRST] == streams(write(tmp_path / "run.yml", text.encode()))


def test_damaged_bodies_are_named_or_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a", cassette({"base64_string": "a"}))
    assert "expected base64 in a body, got 'a'" == named(path)
    damaged = base64.b64encode(b"\x1f\x8b" + FIRST).decode()
    assert named(write(tmp_path / "b", cassette({"base64_string": damaged}))).startswith(
        "a VCR cassette with 2 answers"
    )


def test_yaml_needs_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = write(tmp_path / "run.yml", b"interactions:\n- a: 1\n")
    assert "a VCR cassette in YAML: install delta-accumulator[recordings] to read it" == named(path)


def har(*contents: dict[str, object], **more: object) -> dict[str, object]:
    entries = [
        {
            "startedDateTime": "2026-11-28T17:36:30.500000+00:00",
            "request": {"method": "POST", "url": URL},
            "response": {"status": 200, "content": {"mimeType": "text/event-stream", **content}},
            **more,
        }
        for content in contents
    ]
    return {"log": {"version": "1.2", "entries": entries}}


@pytest.mark.parametrize(
    "content",
    [
        {"text": FIRST.decode()},
        {"text": base64.b64encode(FIRST).decode(), "encoding": "base64"},
        {"text": base64.b64encode(gzip.compress(FIRST)).decode(), "encoding": "base64"},
        {
            "text": json.dumps(
                [base64.b64encode(gzip.compress(FIRST)[a:b]).decode() for a, b in ((0, 60), (60, 9999))]
            ),
            "encoding": "base64",
        },
    ],
    ids=["text", "base64", "gzip", "pieces"],
)
def test_a_har_file_is_read(content: dict[str, object], tmp_path: Path) -> None:
    (recording,) = open_recordings(write(tmp_path / "run.har", har({"text": "{}"}, content)))
    assert FIRST == b"".join(recording)
    response = recording.bodies[0].response
    assert ("POST", URL, 200) == (response["method"], response["url"], response["status"])


@pytest.mark.parametrize("started", ["2026-11-28T17:36:30.500000+00:00", "no time", None])
def test_the_events_that_chrome_notes_have_times(started: str | None, tmp_path: Path) -> None:
    began = 1_795_887_390.5 if started and started[0] == "2" else 1_795_887_391.0
    blocks = [block.decode().split("\n") for block in [*FIRST_EVENTS, DONE]]
    messages: list[dict[str, object]] = [
        {"time": 1_795_887_391.0 + number / 4, "eventName": name[7:], "eventId": "7" * number, "data": data[6:]}
        for number, (name, data, *_) in enumerate(blocks)
    ]
    messages.append({"eventName": "message", "data": "a\nb"})
    path = write(tmp_path / "run.har", har({}, _eventSourceMessages=messages, startedDateTime=started))
    (recording,) = open_recordings(path)
    chunks = [chunk for body in recording.bodies for chunk in body.chunks()]
    times = [1_795_887_391.0 + number / 4 - began for number in range(len(blocks))]
    assert [*times, None] == [chunk.seconds for chunk in chunks]
    assert recording.times
    assert b"data: a\ndata: b\n\n" == chunks[-1].data
    assert folded([FIRST]) == folded([chunk.data for chunk in chunks[:-1]])


@pytest.mark.parametrize("coding", ["latin-1", "cp1252"])
def test_text_that_was_taken_for_latin_1_is_utf_8(coding: str, tmp_path: Path) -> None:
    data = "data: Zürich \u00e0 €\u2014 7\n\n".encode()
    taken = "".join(bytes([byte]).decode(coding, "replace").replace("\ufffd", chr(byte)) for byte in data)
    assert taken != data.decode()
    assert [data] == streams(write(tmp_path / "a", har({"text": taken})))
    assert [data] == streams(write(tmp_path / "b", har({"text": data.decode()})))
    type_ = {"mimeType": "text/event-stream; charset=utf-8"}
    assert [taken.encode()] == streams(write(tmp_path / "c", har({"text": taken, **type_})))
    assert ["data: é\n\n".encode()] == streams(write(tmp_path / "d", har({"text": "data: é\n\n"})))


def test_a_har_file_without_contents_is_named(tmp_path: Path) -> None:
    expected = "a HAR file that lacks the contents of its event streams: export it with content"
    assert expected == named(write(tmp_path / "run.har", har({"text": ""}, {})))


def test_a_session_record_is_read(tmp_path: Path) -> None:
    entries = [
        {"RequestUri": URL, "RequestMethod": "POST", "StatusCode": 200, "ResponseBody": body}
        for body in ({"id": "thread_1"}, FIRST.decode().splitlines(keepends=True), SECOND.decode())
    ]
    (recording,) = open_recordings(write(tmp_path / "run.json", {"Entries": entries, "Variables": {}}))
    assert [FIRST, SECOND] == [b"".join(body) for body in recording.bodies]
    assert {"url": URL, "method": "POST", "status": 200} == recording.bodies[0].response


# ---- Traces of curl.


def hexed(data: bytes) -> str:
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    return "".join(f"{at * 16:04x}: {line.hex(' '):<47} {'.' * len(line)}\n" for at, line in enumerate(lines))


def traced(*reads: bytes, head: bytes = b"Transfer-Encoding: chunked\r\n", times: bool = True) -> bytes:
    entries = [("== Info:   Trying 127.0.0.1:80...\n", b""), ("=> Send header, 9 bytes (0x9)\n", b"POST / HT")]
    entries += [
        (f"<= Recv header, {len(line)} bytes\n", line) for line in (b"HTTP/1.1 200 OK\r\n", head, b"\r\n") if line
    ]
    entries += [(f"<= Recv data, {len(read)} bytes\n", read) for read in reads]
    stamps = (
        f"23:59:{57 + number / 4:09.6f} " if number < 12 else f"00:00:{number / 4 - 3:09.6f} " for number in range(99)
    )
    return "".join((next(stamps) if times else "") + line + hexed(read) for line, read in entries).encode()


def test_a_trace_of_curl_is_read_with_the_times_of_its_reads(tmp_path: Path) -> None:
    framed = b"%x\r\n%b\r\n" % (len(FIRST), FIRST) + b"0\r\n\r\n"
    reads = [framed[at : at + 100] for at in range(0, len(framed), 100)]
    (recording,) = open_recordings(write(tmp_path / "a", traced(*reads)))
    chunks = [chunk for body in recording.bodies for chunk in body.chunks()]
    assert FIRST == b"".join(recording)
    assert [0.25 * number for number in range(1, len(chunks) + 1)] == [chunk.seconds for chunk in chunks]
    assert {"status": 200} == recording.bodies[0].response
    for cut in (1, 2, 3):
        reads = [framed[at : at + cut] for at in range(0, len(framed), cut)]
        assert [FIRST] == streams(write(tmp_path / "b", traced(*reads, times=False)))
    (recording,) = open_recordings(write(tmp_path / "c", traced(FIRST, head=b"", times=False)))
    assert (FIRST, False) == (b"".join(recording), recording.times)
    two = traced(FIRST, head=b"", times=False) + traced(SECOND, head=b"", times=False)
    (recording,) = open_recordings(write(tmp_path / "d", two))
    assert [FIRST, SECOND] == [b"".join(body) for body in recording.bodies]


def test_a_trace_without_all_bytes_is_named(tmp_path: Path) -> None:
    trace = b"== Info: Trying\n<= Recv header, 5 bytes\n0000: HTTP/1.1 200\n<= Recv data, 9 bytes\n0000: event: a\n"
    expected = "a trace of curl without all bytes: use --trace in place of --trace-ascii"
    assert expected == named(write(tmp_path / "a", trace))
    assert "a trace of curl with 0 answers, none of them an event stream" == named(
        write(tmp_path / "b", b"== Info: Trying\n")
    )


# ---- What real tools write.


def answer(exchange: Exchange) -> None:
    packed = "gz" in exchange.request_line
    headers = {"Content-Type": "text/event-stream", **({"Content-Encoding": "gzip"} if packed else {})}
    exchange.head(headers=headers)
    exchange.chunk(gzip.compress(FIRST) if packed else FIRST)
    exchange.end()


@pytest.mark.parametrize("serializer", ["yaml", "json"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("client", ["httpx", "requests"])
@pytest.mark.filterwarnings("ignore")  # what a recorder of tests warns of is not ours
def test_a_cassette_that_vcrpy_writes_is_read(client: str, packed: bool, serializer: str, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    path = tmp_path / f"run.{serializer}"
    if client == "httpx" and packed and serializer == "json":
        pytest.skip("vcrpy cannot write bytes to JSON")
    with Loopback(answer) as server, vcr.use_cassette(str(path), serializer=serializer):  # pyright: ignore[reportUnknownMemberType] - untyped
        url = server.origin + ("/gz" if packed else "/plain")
        if client == "httpx":
            with httpx.Client(verify=TLS) as http, http.stream("POST", url) as response:
                assert FIRST == b"".join(response.iter_bytes())
        else:
            assert FIRST == requests.post(url, timeout=30).content
    assert [FIRST] == streams(path)
    assert folded([FIRST]) == folded(path)


def shared_formats() -> Path | None:
    folder = Path(os.environ.get("ACCUMULATOR_FORMATS") or ROOT.parent / "shared" / "formats")
    return folder if folder.is_dir() else None


PLAIN = "openai-dotnet_StreamingToolCall_1.sse"
NONE = "none of them an event stream"
SHARED: dict[str, str | list[str]] = {
    "aimock/streaming-physics.json": "a JSON object",
    "azure_session/EXCERPT_azure_openai_StreamingToolCall.json": ["another run"],
    "made_betamax/gz.json": [PLAIN],
    "made_betamax/plain.json": [PLAIN],
    "made_curl/curl-N.sse": [PLAIN],
    "made_curl/curl-iN.txt": [PLAIN],
    "made_curl/trace-ascii.txt": "a trace of curl without all bytes: use --trace in place of --trace-ascii",
    "made_curl/trace.txt": [PLAIN],
    "made_mitmproxy/buffered.flow": "a flow file of mitmproxy; export it as HAR",
    "made_mitmproxy/buffered.har": [PLAIN, PLAIN, "odd"],
    "made_mitmproxy/stored.flow": "a flow file of mitmproxy; export it as HAR",
    "made_mitmproxy/stored.har": [PLAIN, PLAIN, "odd"],
    "made_mitmproxy/streamed.flow": "a flow file of mitmproxy; export it as HAR",
    "made_mitmproxy/streamed.har": "a HAR file that lacks the contents of its event streams",
    "made_nock/assistants.json": "a recording of nock",
    "made_openai_node/toReadableStream.ndjson": [PLAIN],
    "made_polly/assistants_2357937468/recording.har": [PLAIN, PLAIN, "odd"],
    "made_vcrpy/aiohttp_plain.yaml": [PLAIN, PLAIN],
    "made_vcrpy/httpx2_gz.yaml": [PLAIN],
    "made_vcrpy/httpx2_odd.yaml": ["odd"],
    "made_vcrpy/httpx2_plain.yaml": [PLAIN],
    "made_vcrpy/httpx_gz.yaml": [PLAIN],
    "made_vcrpy/httpx_odd.yaml": ["odd"],
    "made_vcrpy/httpx_plain.yaml": [PLAIN],
    "made_vcrpy/requests_gz.yaml": [PLAIN],
    "made_vcrpy/requests_plain.json": [PLAIN],
    "openai_dotnet_session/FileSearchStreamingWorks.json": ["openai-dotnet_FileSearchStreamingWorks_1.sse"],
    "openai_dotnet_session/StreamingToolCall.json": [f"{PLAIN} openai-dotnet_StreamingToolCall_2.sse"],
    "openai_php/ThreadRunStreamResponseFixture.txt": ["without blank lines"],
    "openai_php/ThreadRunStreamRunStepDeltaResponse.txt": ["without blank lines"],
    "scala_inline/ThreadRunsFixture.scala": "plain text",
    "sse_txt/simple-openai_threads_runs_create_stream_1.txt": ["itself"],
    "vcr_ruby/runs_streamed_create.yml": ["ruby-openai_runs_streamed_create_1.sse", "another run"],
    "vcrpy_yaml/openllmetry_test_streaming_existing_assistant.yaml": [
        "openllmetry_test_streaming_existing_assistant_1.sse"
    ],
}


@pytest.mark.parametrize("name", SHARED)
def test_a_file_of_a_real_tool_folds_to_what_its_stream_folds_to(name: str, recordings: Path) -> None:
    folder = shared_formats()
    if folder is None:
        pytest.skip("no files of other tools here: set ACCUMULATOR_FORMATS to their folder")
    expected = SHARED[name]
    if isinstance(expected, str):
        assert named(folder / name).startswith(expected)
        return
    found = list(open_recordings(folder / name))
    assert len(expected) == len(found)
    for plain, recording in zip(expected, found, strict=True):
        data = (folder / name).read_bytes()
        if plain == "odd":
            assert b"\xff\xfe" in b"".join(recording)
        elif plain == "itself":
            assert data == b"".join(recording)
            assert folded([data]) == folded(recording)
        elif plain == "without blank lines":
            parted = b"\n\n".join(b"event:" + block for block in data.split(b"event:")[1:]) + b"\n\n"
            assert folded([parted]) == folded(recording)
        elif plain != "another run":
            files_ = [(recordings / each).read_bytes() for each in plain.split()]
            if "node" in name:  # whose stream lacks `done`, and whose numbers are written by JavaScript
                assert json.dumps(folded(files_)[0]) == json.dumps(folded(recording)[0])
            else:
                assert folded(files_) == folded(recording)


def test_every_file_of_a_real_tool_is_read_or_refused() -> None:
    folder = shared_formats()
    if folder is None:
        pytest.skip("no files of other tools here: set ACCUMULATOR_FORMATS to their folder")
    files_ = {path.relative_to(folder).as_posix() for path in folder.glob("*/**/*") if path.is_file()}
    assert sorted(files_) == sorted(SHARED)


def test_a_recording_of_this_library_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "run.har"
    with Recorder(path) as recorder:
        list(recorder.record([FIRST]))
        list(recorder.record([SECOND]))
    (recording,) = open_recordings(path)
    assert ("run_1", True, [FIRST, SECOND]) == (
        recording.run_id,
        recording.times,
        [b"".join(body) for body in recording.bodies],
    )
    damaged = path.read_bytes().replace(b"queued", b"QUEUED").replace(b'"cursor"', b"") + b"\n:~x"
    (recording,) = open_recordings(write(path, damaged))
    assert recording.bodies
    list(recording)
    assert recording.bodies[-1].faults
