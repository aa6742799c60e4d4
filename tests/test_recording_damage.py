"""Recordings that were damaged: killed recorders, cut files, other tails, and files that were made to be wrong.

The default run tries a few of each. All 100 kills, 1,000 cuts and 60,000 files take minutes:

    pytest tests/test_recording_damage.py --hypothesis-profile=ci
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import stat
import subprocess
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from accumulator import Recorder, RecordingError, accumulate, open_recordings, replay
from accumulator._recordings.format import Began, RecordedChunk, RecordingReader
from tests.bodies import FIRST, SECOND
from tests.command import COMMAND, ENV, POSIX
from tests.conftest import ROOT, scaled
from tests.loopback import Loopback

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loopback import Exchange

STREAM = (ROOT / "tests" / "recordings" / "code_interpreter.sse").read_bytes()
SECRETS = ["-H", "Authorization: Bearer SECRET", "-H", "Cookie: id=SECRET", "-H", "api-key: SECRET"]


def bytes_of(data: bytes) -> bytes:
    """Return the bytes of all bodies that a file has."""
    reader = RecordingReader()
    items = reader.feed(data) + reader.end()
    return b"".join(item.data for item in items if isinstance(item, RecordedChunk))


def cut_at_random(rng: random.Random, data: bytes) -> list[bytes]:
    points = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 40, 1_000])))
    return [data[a:b] for a, b in zip([0, *points], [*points, len(data)], strict=True)]


# ---- Recorders that were killed.


def check_killed(path: Path, before: bytes) -> None:
    """Hold the file of a recorder that was killed to what was in it a moment before."""
    data = path.read_bytes()
    assert data.startswith(before)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert b"SECRET" not in data
    if b"\n" not in data:  # not even the first line: the file was just created
        return
    body = bytes_of(data)
    assert STREAM.startswith(body)
    assert body.startswith(bytes_of(before))
    if b":~ body" in data:
        assert body == b"".join(replay(path))
        list(accumulate(path))
    with Recorder(path, append=True) as recorder:
        list(recorder.record([SECOND]))
    assert body + SECOND == b"".join(replay(path))


@POSIX
@pytest.mark.parametrize("over", ["pipe", "http"])
def test_a_recorder_that_is_killed_at_any_moment_loses_nothing_that_it_wrote(over: str, tmp_path: Path) -> None:
    found = list[int]()
    for seed in range(scaled(2, 50)):
        rng = random.Random(f"{over} {seed}")  # noqa: S311 - a moment
        chunks, path = cut_at_random(rng, STREAM), tmp_path / f"{seed}.sse"

        def script(exchange: Exchange, chunks: list[bytes] = chunks) -> None:
            exchange.head(headers={"Content-Type": "text/event-stream", "Set-Cookie": "id=SECRET"})
            with suppress(ConnectionError):
                for chunk in filter(None, chunks):
                    exchange.chunk(chunk)
                exchange.end()

        with ExitStack() as stack:
            if over == "http":
                server = stack.enter_context(Loopback(script))
                source = ["http://user:SECRET@" + server.url.partition("://")[2] + "?key=SECRET", *SECRETS]
            else:
                source = ["-"]
            command = stack.enter_context(
                subprocess.Popen(
                    [*COMMAND, "record", *source, "--quiet", "-o", path], stdin=subprocess.PIPE, env=ENV, bufsize=0
                )
            )
            assert command.stdin is not None
            if over == "pipe":
                for chunk in chunks[: rng.randrange(len(chunks) + 1)]:
                    command.stdin.write(chunk)
            begun = 100 if over == "http" else 1  # behind the first line: an answer has come
            while seed and not (path.exists() and path.stat().st_size >= begun):  # the first is killed before that
                assert command.poll() is None
            moment, least = time.monotonic() + 0.05 * rng.random(), rng.randrange(len(STREAM))
            while seed and time.monotonic() < moment and path.stat().st_size < least:
                pass
            before = path.read_bytes() if path.exists() else b""
            command.kill()
        if path.exists():
            check_killed(path, before)
            found.append(len(before))
    assert len(set(found)) > scaled(0, 20)


# ---- Files that were cut, and what may stand behind.


class Written(NamedTuple):
    """A recording: its bytes, and after each write how long the file is and how much of each body it has."""

    data: bytes
    writes: list[tuple[int, list[int]]]


def write_recording(path: Path, bodies: list[list[bytes]]) -> Written:
    writes, sizes = list[tuple[int, list[int]]](), list[int]()
    with Recorder(path) as recorder:
        for chunks in bodies:
            sizes.append(0)
            for chunk in recorder.record(chunks):
                sizes[-1] += len(chunk)
                writes.append((path.stat().st_size, list(sizes)))
    return Written(path.read_bytes(), writes)


TAILS = [b"", b"\0" * 4096, b"\xff\xfe\xfd", b":~ 0.1", b":~ end {", b"\n:~", b"\r\n:~x\n", b"<html>", b"\x1f\x8b\x08"]


def test_a_file_that_is_cut_anywhere_plays_what_it_has(tmp_path: Path) -> None:
    rng, path = random.Random(7), tmp_path / "run.sse"  # noqa: S311 - places
    odd = b"\xef\xbb\xbf" + STREAM[:3000].replace(b"\n\n", b"\r\n\r\n:~ end {}\r\n:~~\r\r", 5)
    other = STREAM.replace(b'"id":"run_', b'"id":"other_run_')
    contents = [odd, other, b"", SECOND]
    bodies = [cut_at_random(rng, each) for each in contents]
    written = write_recording(path, bodies)
    whole = path.with_name("cut.sse")
    for number in range(scaled(12, 1_000)):
        cut = rng.randrange(written.data.index(b"\n") + 1, len(written.data) + 1)
        whole.write_bytes(written.data[:cut] + TAILS[number % len(TAILS)])
        known = max((each for each in written.writes if each[0] <= cut), default=(0, list[int]()))[1]
        reader = RecordingReader()
        found = list[bytearray]()
        for item in reader.feed(whole.read_bytes()) + reader.end():
            if isinstance(item, Began):
                found.append(bytearray())
            elif isinstance(item, RecordedChunk):
                found[-1] += item.data
        for place, size in enumerate(known):
            assert bytes(found[place][:size]) == contents[place][:size]
        if found:
            assert b"".join(found) == b"".join(replay(whole))
            list(accumulate(whole))
            list(open_recordings(whole))


# ---- Files that were made to be wrong.


def seeds() -> list[bytes]:
    """Return a file of each format."""
    text, packed = FIRST.decode(), base64.b64encode(gzip.compress(FIRST)).decode()
    lines = [block.decode().split("\n") for block in FIRST.split(b"\n\n") if block]
    entry = {"request": {"url": "u"}, "response": {"status": 200, "content": {"mimeType": "text/event-stream"}}}
    messages = [{"time": 1.5, "eventName": name[7:], "data": data[6:]} for name, data in lines]
    hexed = "".join(f"{at:04x}: {FIRST[at : at + 16].hex(' ')} \n" for at in range(0, 640, 16))
    recording = b':~ recording {"version":1}\n:~ body {"n":1}\n:~ 0.200000\n' + FIRST + b':~ end {"why":"done"}\n'
    documents: list[object] = [
        {"Entries": [{"ResponseBody": text}, {"ResponseBody": text.splitlines(keepends=True)}]},
        {"interactions": [{"response": {"body": {"string": text}}}]},
        {"http_interactions": [{"response": {"body": {"base64_string": packed}}}]},
        {"log": {"entries": [{**entry, "_eventSourceMessages": messages}]}},
        {"log": {"entries": [{"response": {"content": {"text": packed, "encoding": "base64"}}}]}},
    ]
    return [
        recording,
        FIRST + SECOND,
        gzip.compress(FIRST),
        FIRST.decode().encode("utf-16"),
        *(json.dumps(each).encode() for each in documents),
        f"interactions:\n- response:\n    body:\n      string: !binary |-\n        {packed}\n".encode(),
        "".join(f'{{"event": "{name[7:]}", "data": {data[6:]}}}\n' for name, data in lines[:-1]).encode(),
        b"INFO starting\n" + FIRST.replace(b"\n\n", b"\n"),
        b"HTTP/1.1 200 OK\r\n\r\n" + FIRST,
        f"<= Recv header, 17 bytes (0x11)\n0000: 0d 0a \n<= Recv data, 640 bytes\n{hexed}".encode(),
    ]


PIECES = [
    *[b"\0", b"\r", b"\n", b"\n\n", b":~ ", b":~", b":~ body {}\n", b":~ end {}\n", b":~ 1.000000@99\n", b"\xff"],
    *[b"{", b"[" * 500, b'"', b"null", b"1e400", b"\\ud800", b"!binary ", b"&a [*a]", b"- ", b"event: ", b"data: "],
    *[b"[DONE]", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"HTTP/1.1 200\r\n\r\n", b"9" * 400, b"0000: 00 "],
]


def mutated(rng: random.Random, originals: list[bytes]) -> bytes:
    data = bytearray(rng.choice(originals))
    for _ in range(rng.randrange(1, 6)):
        a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(7):
            case 0:
                del data[a:b]
            case 1:
                data[a:a] = rng.choice(PIECES)
            case 2:
                data[a : a + 1] = rng.randbytes(1)
            case 3:
                data[a:b] = data[a:b] * 2
            case 4:
                other = rng.choice(originals)
                data[a:] = other[rng.randrange(len(other)) :]
            case 5:
                del data[a:]
            case _:
                data[a : a + len(rng.choice(PIECES))] = rng.choice(PIECES)
        data = data[:20_000]
    return bytes(data)


def test_no_file_gets_anything_but_its_recordings_or_an_error_that_names_it(tmp_path: Path) -> None:
    rng, path, originals = random.Random(11), tmp_path / "file", seeds()  # noqa: S311 - mutations
    for original in originals:
        path.write_bytes(original)
        (recording,) = open_recordings(path)
        assert b"thread.run" in b"".join(recording)
    read, refused = 0, 0
    for _ in range(scaled(300, 60_000)):
        path.write_bytes(mutated(rng, originals))
        found, told = chunks_of(path)
        assert all(isinstance(chunk, bytes) for chunk in found)
        assert told is None or (str(path) in told and "\n" not in told), path.read_bytes()
        read, refused = read + bool(found), refused + (told is not None)
    assert min(read, refused) > scaled(10, 1_000)


def chunks_of(path: Path) -> tuple[list[bytes], str | None]:
    """Return the chunks of all recordings in a file, and what the error says, if there is one."""
    found = list[bytes]()
    try:
        for recording in open_recordings(path):
            found += recording
    except RecordingError as error:
        return found, "\n".join(error.files) if str(path) not in error.files else str(error)
    return found, None
