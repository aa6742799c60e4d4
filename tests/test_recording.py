"""Record and replay: what comes back is what passed, byte, cut and time, whatever happens to the file."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import random
import resource
import ssl
import stat
import tempfile
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import httpx
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from accumulator import (
    Accumulator,
    BodyEnded,
    LimitError,
    Recorder,
    RecordingError,
    ResponseError,
    RunStream,
    TruncatedError,
    Update,
    aaccumulate,
    accumulate,
    aconnect,
    arecord,
    areplay,
    atap,
    connect,
    open_recordings,
    record,
    replay,
    tap,
)
from accumulator._recordings import format as format_
from accumulator._recordings.format import (
    Began,
    BodyWriter,
    Ended,
    Fault,
    RecordedChunk,
    RecordingReader,
    body_line,
    first_line,
)
from accumulator._recordings.recordings import find_recording
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_SECOND
from tests.clock import Clock
from tests.conftest import ROOT
from tests.loopback import Loopback
from tests.strategies import Run, cut_bytes, hostile_streams, tapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from accumulator._recordings.format import Item
    from tests.loopback import Exchange
    from tests.strategies import Tape

TLS = ssl.create_default_context()
SHIPPED = sorted((ROOT / "tests" / "recordings").glob("*.sse"))
BOM = b"\xef\xbb\xbf"
HEAD = first_line("2026-11-28T16:00:00Z")
BODY = body_line(1, {})

Chunks = list[tuple[float | None, bytes]]

# What a line of the server may look like, and what chunks may be cut out of.
pieces = st.lists(
    st.sampled_from(
        [
            *[b":", b"~", b":~", b":~ end {}\n", b":~ 0.100000\n", b":~ body {}\n", b":~~", b"\n", b"\r", b"\r\n"],
            *[b"\n\n", b"data: 1", b"event: done", BOM, b"\xef", b"\xbb", b"\xbf", b" ", b"x", b"\0", b""],
        ]
    ),
    max_size=6,
).map(b"".join)
bodies_of_chunks = st.lists(st.lists(pieces, max_size=7), max_size=3)


def written(bodies: list[list[bytes]], why: format_.Why = "eof") -> tuple[bytes, list[Chunks]]:
    """Return the file of bodies whose chunks come an eighth of a second apart, and what has to come back."""
    data, expected = HEAD, list[Chunks]()
    for number, chunks in enumerate(bodies, 1):
        writer = BodyWriter()
        data += body_line(number, {}) + b"".join(writer.chunk(chunk, at / 8) for at, chunk in enumerate(chunks))
        data += writer.end(why)
        expected.append([(at / 8, chunk) for at, chunk in enumerate(chunks)])
    return data, expected


def read(data: bytes, size: int = 1000) -> list[Item]:
    reader = RecordingReader()
    items = [item for at in range(0, len(data), size) for item in reader.feed(data[at : at + size])]
    return items + reader.end()


def chunks_of(items: list[Item]) -> list[Chunks]:
    bodies = list[Chunks]()
    for item in items:
        if isinstance(item, Began):
            bodies.append([])
        elif isinstance(item, RecordedChunk):
            bodies[-1].append((item.seconds, item.data))
    return bodies


def faults_of(items: list[Item]) -> list[str]:
    return [item.message for item in items if isinstance(item, Fault)]


def bytes_of(items: list[Item]) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, RecordedChunk))


# ---- The format.


@given(bodies_of_chunks, st.integers(1, 60))
@example([[b":", b"", b"~\n\n"]], 1)
@example([[BOM[:1], BOM[1:], b":~ end {}\n\n"]], 7)
@example([[BOM]], 3)
@example([[BOM[:2]]], 3)
@example([[b"a\n", b"\n", b"\n"]], 2)
@example([[b"a\n\r", b"\nb"]], 2)
def test_what_is_written_is_read_whatever_it_is_and_however_it_is_cut(bodies: list[list[bytes]], size: int) -> None:
    data, expected = written(bodies)
    items = read(data, size)
    assert (expected, []) == (chunks_of(items), faults_of(items))
    assert [Ended("eof")] * len(bodies) == [item for item in items if isinstance(item, Ended)]


@given(bodies_of_chunks, st.integers(0, 100_000), st.sampled_from([b"", b"\0" * 50, b"\xff\xfe:~", b":~ 0.1", b"\n:~"]))
def test_a_file_that_is_cut_loses_nothing_that_was_wholly_written(
    bodies: list[list[bytes]], cut: int, tail: bytes
) -> None:
    writes = [HEAD]
    whole: list[list[tuple[int, int]]] = []  # of each body, the bytes that each write has completed, and where it ends
    for number, chunks in enumerate(bodies, 1):
        writer = BodyWriter()
        writes.append(body_line(number, {}))
        whole.append([])
        for chunk in chunks:
            writes.append(writer.chunk(chunk, 0.5))
            whole[-1].append((writer.size, sum(map(len, writes))))
        writes.append(writer.end("eof"))
        whole[-1].append((writer.size, sum(map(len, writes))))
    data = b"".join(writes)
    cut = len(HEAD) + cut % (len(data) - len(HEAD) + 1)
    found = [b"".join(chunk for _, chunk in chunks) for chunks in chunks_of(read(data[:cut] + tail))]
    for number, chunks in enumerate(bodies):
        size = max((size for size, end in whole[number] if end <= cut), default=0)
        assert found[number].startswith(b"".join(chunks)[:size]) if size else True


def test_a_recording_reads_as_the_format_says() -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.sse")
        with Recorder(path, clock=clock) as recorder:
            stream = recorder.record(
                later(clock, [(0.2, b"event: a\ndata: 1\n\n"), (0.27, b"event: "), (0.3, DONE[7:])])
            )
            assert [b"event: a\ndata: 1\n\n", b"event: ", DONE[7:]] == list(stream)
        lines = path.read_bytes().decode().splitlines()
    body = b"event: a\ndata: 1\n\n" + DONE
    end = {"why": "done", "bytes": len(body), "pad": 0, "sha256": hashlib.sha256(body).hexdigest()}
    assert {"version": 1, "created": json.loads(lines[0][13:])["created"]} == json.loads(lines[0][13:])
    assert [
        ":~ recording",
        ':~ body {"n":1}',
        ":~ 0.200000",
        "event: a",
        "data: 1",
        "",
        ":~ 0.270000",
        "event: done",
        "data: [DONE]",
        "",
        ":~ 0.300000@25",
        f":~ end {json.dumps(end, separators=(',', ':'))}",
    ] == [lines[0][:12], *lines[1:]]


@pytest.mark.parametrize(
    ("data", "expected", "fault"),
    [
        (b"before\n" + BODY + b"a", [[(None, b"a")]], "expected a body to begin, got b'before\\n'"),
        (BODY + b"\n:~x\n", [[(None, b"\n:~x\n")]], "expected a space or a tilde behind `:~`, got b'x'"),
        (BODY + b":~ 0.1\na", [[(None, b"a")]], "expected the time of a chunk, with an offset from 0 to 0, got b'0.1'"),
        (BODY + b":~ 0.100000@7\na", [[(None, b"a")]], "expected the time of a chunk, with an offset"),
        (BODY + b"a\n\n:~ 0.1", [[(None, b"a\n\n")]], "expected the end of a line of the recording, got the end of"),
        (BODY + b"a\n\n:~ end [1]\n", [[(None, b"a\n\n")]], "expected a JSON object in a line of the recording, got"),
        (BODY + b"a\n\n:~ end {\n", [[(None, b"a\n\n")]], "expected a JSON object in a line of the recording, got"),
        (
            BODY + b'a\n\n:~ end {"pad":0,"bytes":4}\n',
            [[(None, b"a\n\n")]],
            "expected a body of 4 bytes with the sha256",
        ),
        (BODY + b"a\n" + b":~ " + b"9" * 9_000_000 + b"\nb", [[(None, b"a\nb")]], "expected a line of at most 8388608"),
        (BODY + b"a\n" + b":~ " + b"9" * 9_000_000, [[(None, b"a\n")]], "expected a line of at most 8388608"),
    ],
)
def test_a_line_that_is_wrong_is_reported_and_the_bytes_are_kept(data: bytes, expected: object, fault: str) -> None:
    items = read(HEAD + data, 65_536)
    assert expected == chunks_of(items)
    assert faults_of(items)[0].startswith(fault)


def test_words_that_are_not_known_are_ignored() -> None:
    items = read(HEAD + b":~ end {}\n" + BODY + b":~ note {}\n:~ bom\n:~ 0.100000@0\na\n\n:~ bom\n" + BODY + b"b")
    assert [[(0.1, BOM + b"a\n\n")], [(None, b"b")]] == chunks_of(items)
    assert [Ended(None), Ended(None)] == [item for item in items if isinstance(item, Ended)]


def test_a_chunk_that_is_too_long_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_, "LONGEST_CHUNK", 4)
    items = read(written([[b"0123456789\n", b"\n"]])[0], 3)
    assert [(0.0, b"0123"), (0.0, b"4567"), (0.0, b"89\n"), (0.125, b"\n")] == chunks_of(items)[0]


def test_cuts_within_a_block_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_, "MOST_WITHIN", 2)
    assert [(0.0, b"a"), (0.125, b"b"), (0.25, b"cde")] == chunks_of(
        read(written([[b"a", b"b", b"c", b"d", b"e"]])[0])
    )[0]


def test_another_version_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    path.write_bytes(b':~ recording {"version":2}\n' + BODY)
    message = r"run.sse: expected a recording, got expected a recording of version 1, got version 2"
    with pytest.raises(RecordingError, match=message):
        accumulate(path)


# ---- Record, then replay.


def later(clock: Clock, chunks: list[tuple[float, bytes]]) -> Iterator[bytes]:
    """Yield chunks, each at its time."""
    for seconds, chunk in chunks:
        clock.now = seconds
        yield chunk


async def each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def all_of(chunks: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in chunks]


def real_and_shipped() -> list[Path]:
    folder = Path(os.environ.get("ACCUMULATOR_RECORDINGS") or ROOT.parent / "shared" / "recordings")
    return SHIPPED + sorted(folder.glob("*.sse"))


@pytest.mark.parametrize("source", real_and_shipped(), ids=lambda path: path.stem)
@pytest.mark.parametrize("seed", range(3))
def test_a_recording_is_replayed_with_its_bytes_its_cuts_its_times_and_its_updates(
    source: Path, seed: int, tmp_path: Path
) -> None:
    rng, clock, slept = random.Random(seed), Clock(), list[float]()  # noqa: S311 - cuts
    data = source.read_bytes()
    points = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 9, 300])))
    chunks = [data[a:b] for a, b in zip([0, *points], [*points, len(data)], strict=True)]
    timed = [(number * 0.015625, chunk) for number, chunk in enumerate(chunks)]
    path = tmp_path / "run.sse"
    with Recorder(path, clock=clock) as recorder:
        assert chunks == list(recorder.record(later(clock, timed)))
    expected = list(accumulate(chunks))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    clock.now = 0.0
    times = list[float]()
    for chunk, whole in zip(replay(path, 2.0, clock=clock, sleep=sleep), chunks, strict=True):
        assert whole == chunk
        times.append(clock.now)
    assert [seconds / 2 for seconds, _ in timed] == times
    assert expected == list(accumulate(replay(path))) == list(accumulate(path)) == list(accumulate([path.read_bytes()]))
    (recording,) = open_recordings(path)
    assert timed == [tuple(chunk) for body in recording.bodies for chunk in body.chunks()]
    assert recording.times
    assert [[]] == [body.faults for body in recording.bodies]


# What is done to a stream: other line ends, a byte-order mark, lines that look like those of a recording.
DRESSED: list[tuple[bytes, bytes]] = [
    (b"\n", b"\n"),
    (b"\n", b"\r"),
    (b"\n", b"\r\n"),
    (b"\n\n", b"\n\r\n"),
    (b"\n", b"\n:~ 0.100000\n"),
    (b"\n\n", b"\n\n:~ end {}\n"),
    (b"\n", b"\r:~~"),
    (b"\n\n", b"\n\n:~ body {}\r"),
]


@given(
    hostile_streams.filter(lambda run: len(run.data) < 4_000),
    st.sampled_from(DRESSED),
    st.sampled_from([b"", BOM, BOM[:2], b":~", b":~ recording {}\n"]),
    tapes,
)
def test_law_8_a_hostile_stream_gives_the_same_updates_through_a_file(
    run: Run, dress: tuple[bytes, bytes], start: bytes, tape: Tape
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.sse")
        chunks = cut_bytes(tape, start + run.data.replace(*dress))
        with record(chunks, path) as recorded:
            assert chunks == list(recorded)
        assert chunks == list(replay(path))
        assert updates_of(chunks) == updates_of(replay(path)) == updates_of(path)


def updates_of(source: object) -> list[Update | str]:
    """Return the updates; what is over a limit is left out, and is there as the text of its error."""
    stream, found, ended = accumulate(source), list["Update | str"](), False
    while not ended:
        try:
            found += stream
            ended = True
        except LimitError as error:
            found.append(str(error))
    return found


def test_the_bodies_of_a_run_are_recorded_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    run, again = Accumulator(), Accumulator()
    with Recorder(path) as recorder:
        for body in ([FIRST], [SECOND]):
            accumulate(recorder.record(body), into=run).until_done()
        assert (2, None) == (recorder.bodies, recorder.error)
    steps = accumulate(replay(path), into=again).final_run_steps()
    assert [STEP_AFTER_SECOND] == [step.to_dict() for step in steps]
    assert run.to_bytes() == again.to_bytes()


def test_a_body_that_was_cut_ends_where_the_next_begins(tmp_path: Path) -> None:
    # Half an event of the first body is not glued to the second, and an empty body is one too.
    bodies = [[FIRST[:-20]], [], [SECOND]]
    run, expected = Accumulator(), list[Update]()
    path = tmp_path / "run.sse"
    with Recorder(path) as recorder:
        for body in bodies:
            expected += accumulate(body, into=run)
            list(recorder.record(body))
    for source in (path, replay(path), find_recording(path)):
        assert expected == list(accumulate(source))
    assert ["requires_action", "truncated", "completed"] == [
        update.outcome for update in expected if isinstance(update, BodyEnded)
    ]

    async def areplayed() -> None:
        assert expected == [update async for update in aaccumulate(areplay(path))]
        assert expected == [update async for update in aaccumulate(path)]
        assert [b"".join(body) for body in bodies if body] == await all_of(aiter(atap(path)))

    asyncio.run(areplayed())
    with tap(path) as chunks:
        assert [b"".join(body) for body in bodies if body] == list(chunks)
    assert run.to_bytes() == chunks.accumulator.to_bytes()


def test_an_event_over_a_limit_at_the_end_of_a_body_does_not_end_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    with Recorder(path) as recorder:
        for body in (b"event: thread.run.step.delta\ndata: nonsense", SECOND):
            list(recorder.record([body]))
    stream = accumulate(path, strict=True)
    with pytest.raises(Exception, match="undecodable"):
        list(stream)
    assert ["truncated", "completed"] == [update.outcome for update in stream if isinstance(update, BodyEnded)]


def test_the_async_versions_do_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def go() -> None:
        async with arecord(each([FIRST, b""]), path) as recorded:
            assert [FIRST, b""] == await all_of(recorded)
        assert [FIRST, b""] == await all_of(aiter(areplay(path)))
        clock = Clock()
        assert [FIRST, b""] == await all_of(aiter(areplay(path, 1e-9, clock=clock, sleep=sleep)))
        assert [FIRST, b""] == await all_of(aiter(areplay(path, 1e9)))

    asyncio.run(go())
    assert slept


def test_a_chunk_without_a_time_comes_at_once_or_at_a_pace() -> None:
    clock, slept = Clock(), list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    source = SHIPPED[0]
    assert [source.read_bytes()] == list(replay(source, 1.0, clock=clock, sleep=sleep))
    blocks = list(replay(source, pace=4, clock=clock, sleep=sleep))
    assert source.read_bytes() == b"".join(blocks)
    assert [0.25] * (len(blocks) - 1) == slept
    assert all(block.endswith(b"\n\n") for block in blocks)


@pytest.mark.parametrize(
    ("speed", "pace", "kind"), [("1", None, TypeError), (0, None, ValueError), (None, -1, ValueError)]
)
def test_a_speed_is_a_number_over_0(speed: object, pace: object, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="to be"):
        replay(SHIPPED[0], cast("float", speed), pace=cast("float", pace))


# ---- The file.


def test_only_the_owner_reads_the_file_and_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    old = os.umask(0)
    try:
        list(record([FIRST], path))
    finally:
        os.umask(old)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    for there in (path, tmp_path):
        with pytest.raises(FileExistsError):
            record([FIRST], there)
    link = tmp_path / "link.sse"
    link.symlink_to(tmp_path / "other.sse")
    with pytest.raises(FileExistsError):
        record([FIRST], link)
    with pytest.raises(OSError, match=r"link.sse"):
        Recorder(link, append=True)


def test_a_write_that_fails_is_not_the_failure_of_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.warns(
            RuntimeWarning, match=r"run.sse: expected to record all that passes, writing failed: File too l"
        ):
            steps = accumulate(record([*FIRST_EVENTS, DONE], path)).until_done().run_steps()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 1 == len(steps)
    assert FIRST.startswith(b"".join(replay(path)))
    assert 1500 == path.stat().st_size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_says_what_is_missing() -> None:
    with Recorder("/dev/full", sync=True) as recorder:
        assert [FIRST] == list(recorder.record([FIRST]))
    assert "No space left on device; the recording lacks what came since about byte 0 of body 0" in str(recorder.error)
    assert isinstance(recorder.error, RecordingError)
    assert isinstance(recorder.error.__cause__, OSError)


def test_a_sync_recorder_and_one_that_is_dropped_write_the_same(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.sse", sync=True)
    assert [FIRST] == list(recorder.record([FIRST]))
    stream = record([FIRST], tmp_path / "b.sse")
    assert FIRST == next(stream)
    del stream  # as behind `accumulate(record(source, path)).final_run_steps()`
    recorder.close()
    recorder.close()
    ends = [(tmp_path / name).read_bytes().rpartition(b":~ end ")[2] for name in ("a.sse", "b.sse")]
    assert ends[0] == ends[1]
    with pytest.raises(ValueError, match="expected an open recorder, got a closed one"):
        list(recorder.record([FIRST]))


def test_why_a_body_ended_is_written(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield FIRST[:20]
        raise ConnectionError

    path = tmp_path / "run.sse"
    with Recorder(path) as recorder:
        list(recorder.record([FIRST]))
        list(recorder.record([FIRST[:20]]))
        with pytest.raises(ConnectionError):
            list(recorder.record(broken()))
        with recorder.record([FIRST[:20], b"never read"]) as stream:
            next(stream)
        with recorder.record([b"event: done\ndata: {}\n\n"]) as stream:
            next(stream)
        next(recorder.record([FIRST[:20]]))
        recorder.record([b"not read"]).close()
        next(recorder.record([FIRST[:20]]))
    items = read(path.read_bytes())
    expected = ["done", "eof", "broken", "closed", "done", "closed", "closed"]
    assert expected == [item.why for item in items if isinstance(item, Ended)]


def test_a_body_that_goes_on_behind_the_next_one_is_missed(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run.sse") as recorder:
        first = recorder.record([b"a", b"b"])
        assert b"a" == next(first)
        list(recorder.record([b"c"]))
        assert b"b" == next(first)
        assert [] == list(first)
        told = recorder.error
        assert "body 1 went on after its end" in str(told)
        recorder.write(1, b"d")
        assert told is recorder.error


def test_what_is_no_chunk_is_misuse(tmp_path: Path) -> None:
    event = SimpleNamespace(event="done", data="[DONE]")
    with pytest.raises(TypeError, match="a recorder passes chunks of bytes on, got SimpleNamespace"):
        list(record([event], tmp_path / "a.sse"))
    with pytest.raises(TypeError, match=r"record\(\) got an async source"):
        record(each([b""]), tmp_path / "b.sse")
    with pytest.raises(TypeError, match="expected a path or a Recorder for record=, got int"):
        tap([b""], record=cast("str", 7))
    path = tmp_path / "c.sse"
    with Recorder(path) as recorder:
        list(recorder.record([FIRST]))
        list(recorder.record([SECOND]))
    with pytest.raises(TypeError, match="give it the source of the bytes of one body"):
        list(record(path, tmp_path / "d.sse"))
    assert not (tmp_path / "b.sse").exists()


@pytest.mark.parametrize("cut", range(-150, -1, 7))
def test_a_file_that_was_cut_is_appended_to(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    list(record([*FIRST_EVENTS, DONE], path))
    path.write_bytes(path.read_bytes()[:cut])
    before = bytes_of(read(path.read_bytes()))
    with Recorder(path, append=True) as recorder:
        list(recorder.record([SECOND]))
    items = read(path.read_bytes())
    assert before + SECOND == bytes_of(items)
    assert [] == faults_of(items)
    assert ["torn", "done"] == [item.why for item in items if isinstance(item, Ended)]


def test_a_file_that_is_whole_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    list(record([FIRST], path))
    path.write_bytes(path.read_bytes() + b"\0\0")
    with Recorder(path, append=True) as recorder:
        list(recorder.record([SECOND]))
        assert 2 == recorder.bodies
    assert FIRST + SECOND == bytes_of(read(path.read_bytes()))
    other = tmp_path / "other.sse"
    for content in (FIRST, HEAD[:20]):
        other.write_bytes(content)
        with pytest.raises(RecordingError, match="expected a recording to append to, got another file"):
            Recorder(other, append=True)
        assert content == other.read_bytes()
    with pytest.raises(RecordingError, match="expected a recording to append to, got what is no file"):
        Recorder("/dev/null", append=True)
    with pytest.raises(FileNotFoundError):
        Recorder(tmp_path / "none.sse", append=True)


# ---- Over HTTP.

SECRET = {"Authorization": "Bearer sk-SECRET", "Cookie": "session=SECRET", "api-key": "SECRET"}


def whole(exchange: Exchange) -> None:
    exchange.head(headers={"Content-Type": "text/event-stream", "Set-Cookie": "id=SECRET", "x-request-id": "req_1"})
    exchange.chunk(FIRST)
    exchange.end()


@contextmanager
def recorded_answer(script: Callable[[Exchange], None], path: Path) -> Generator[tuple[Loopback, RunStream]]:
    """Yield a server, and the stream of its answer, which is recorded."""
    with (
        Loopback(script) as server,
        httpx.Client(verify=TLS) as client,
        connect(client, "GET", server.url, record=path) as stream,
    ):
        yield server, stream


def with_secret(url: str) -> str:
    return url.replace("http://", "http://user:SECRET@") + "?api-version=1&key=SECRET#SECRET"


def assert_recorded(path: Path, url: str) -> None:
    (recording,) = open_recordings(path)
    assert b"SECRET" not in path.read_bytes()
    assert FIRST == b"".join(recording)
    response = {"n": 1, "url": url, "method": "POST", "status": 200, "type": "text/event-stream", "request_id": "req_1"}
    assert response == recording.bodies[0].response


def test_a_response_is_recorded_without_any_secret(tmp_path: Path) -> None:
    with Loopback(whole) as server, httpx.Client(verify=TLS) as client:
        url = with_secret(server.url)
        with connect(client, "POST", url, headers=SECRET, record=tmp_path / "a.sse") as stream:
            assert list(accumulate([FIRST])) == list(stream)
        with client.stream("POST", url, headers=SECRET) as response, record(response, tmp_path / "b.sse") as recorded:
            assert list(accumulate([FIRST])) == list(accumulate(recorded))
        with client.stream("POST", url, headers=SECRET) as response, tap(response, record=tmp_path / "c.sse") as chunks:
            assert FIRST == b"".join(chunks)
        with requests.post(url, headers=SECRET, stream=True, timeout=30) as answer:
            accumulate(record(answer, tmp_path / "d.sse")).until_done()
        for name in "abcd":
            assert_recorded(tmp_path / f"{name}.sse", server.url)


def test_an_async_response_is_recorded_without_any_secret(tmp_path: Path) -> None:
    async def go(url: str) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            async with aconnect(client, "POST", url, headers=SECRET, record=tmp_path / "a.sse") as stream:
                assert list(accumulate([FIRST])) == [update async for update in stream]
            async with (
                client.stream("POST", url, headers=SECRET) as response,
                arecord(response, tmp_path / "b.sse") as recorded,
            ):
                assert list(accumulate([FIRST])) == [update async for update in aaccumulate(recorded)]
            async with (
                client.stream("POST", url, headers=SECRET) as response,
                atap(response, record=tmp_path / "c.sse") as chunks,
            ):
                assert FIRST == b"".join([chunk async for chunk in chunks])

    with Loopback(whole) as server:
        asyncio.run(go(with_secret(server.url)))
        for name in "abc":
            assert_recorded(tmp_path / f"{name}.sse", server.url)


def test_a_recorder_takes_the_responses_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    with Loopback(whole) as server, httpx.Client(verify=TLS) as client, Recorder(path) as recorder:
        for _ in range(2):
            with connect(client, "POST", server.url, record=recorder) as stream:
                stream.until_done()
        with requests.post(server.url, stream=True, timeout=30) as answer:
            list(tap(answer, record=recorder))

        async def again() -> None:
            async with httpx.AsyncClient(verify=TLS) as twin:
                async with aconnect(twin, "POST", server.url, record=recorder) as stream:
                    await stream.until_done()
                async with twin.stream("POST", server.url) as response:
                    await all_of(aiter(atap(response, record=recorder)))
                async with twin.stream("POST", server.url) as response:
                    await all_of(aiter(recorder.arecord(response)))

        asyncio.run(again())
    assert [FIRST] * 6 == [b"".join(body) for body in find_recording(path).bodies]


def test_an_answer_that_comes_encoded_is_stored_decoded(tmp_path: Path) -> None:
    import gzip

    def packed(exchange: Exchange) -> None:
        exchange.head(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
        exchange.chunk(gzip.compress(FIRST))
        exchange.end()

    path = tmp_path / "run.sse"
    with recorded_answer(packed, path) as (_, stream):
        stream.until_done()
    (recording,) = open_recordings(path)
    assert (FIRST, "gzip") == (b"".join(recording), recording.bodies[0].response["decoded"])


def test_a_refused_answer_is_recorded_and_a_failed_request_leaves_no_file(tmp_path: Path) -> None:
    def refused(exchange: Exchange) -> None:
        exchange.head("429 Too Many Requests", {"Content-Type": "application/json"})
        exchange.chunk(b'{"error": {}}')
        exchange.end()

    path, other = tmp_path / "run.sse", tmp_path / "other.sse"
    with pytest.raises(ResponseError), recorded_answer(refused, path):
        raise AssertionError
    items = read(path.read_bytes())
    assert b'{"error": {}}' == bytes_of(items)
    with httpx.Client(verify=TLS) as client:
        with pytest.raises(httpx.ConnectError), connect(client, "GET", "http://127.0.0.1:1", record=other):
            raise AssertionError
        with pytest.raises(FileExistsError), connect(client, "GET", "http://127.0.0.1:1", record=path):
            raise AssertionError
    assert not other.exists()


@pytest.mark.parametrize("url", [None, "", "http://[", "no url", 7])
def test_a_response_with_an_odd_url_is_recorded_without_it(url: object, tmp_path: Path) -> None:
    class Odd:
        """A client's response, whose request is not there."""

        status_code, headers = 200, {"content-type": "text/event-stream"}

        def __init__(self) -> None:
            self.url = url

        @property
        def request(self) -> object:
            raise RuntimeError

        def iter_bytes(self) -> Iterator[bytes]:
            yield FIRST

    path = tmp_path / "run.sse"
    list(record(Odd(), path))
    assert {"n": 1, "status": 200, "type": "text/event-stream"} == find_recording(path).bodies[0].response


def test_an_answer_of_urllib_says_nothing_of_a_coding(tmp_path: Path) -> None:
    class Urllib(io.BytesIO):
        status, headers = 200, {"content-type": "text/event-stream", "content-encoding": "gzip"}

    path = tmp_path / "run.sse"
    list(record(Urllib(FIRST), path))
    assert "decoded" not in find_recording(path).bodies[0].response


def test_a_connection_that_breaks_is_recorded_up_to_there(tmp_path: Path) -> None:
    def broken(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(FIRST_EVENTS[0])
        exchange.wait()
        exchange.reset()

    path = tmp_path / "run.sse"
    with recorded_answer(broken, path) as (server, stream):
        next(stream)
        server.go_on()
        with pytest.raises(TruncatedError):
            list(stream)
    items = read(path.read_bytes())
    assert (FIRST_EVENTS[0], [Ended("broken")]) == (
        bytes_of(items),
        [each for each in items if isinstance(each, Ended)],
    )


def test_a_warning_that_is_an_error_still_closes_the_source() -> None:
    class Closed:
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            return iter([FIRST])

        def close(self) -> None:
            self.closed = True

    source = Closed()
    if Path("/dev/full").exists():
        with warnings.catch_warnings(), suppress(RuntimeWarning):
            warnings.simplefilter("error")
            with record(source, "/dev/full") as stream:
                next(stream)
        assert source.closed


def test_an_async_source_that_breaks_is_recorded_up_to_there(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield FIRST_EVENTS[0]
        raise ConnectionError

    async def go() -> None:
        with pytest.raises(ConnectionError):
            await all_of(arecord(broken(), tmp_path / "run.sse"))

    asyncio.run(go())
    items = read((tmp_path / "run.sse").read_bytes())
    assert (FIRST_EVENTS[0], [Ended("broken")]) == (
        bytes_of(items),
        [each for each in items if isinstance(each, Ended)],
    )


def test_a_file_that_fails_when_it_is_closed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close, closed = os.close, list[int]()

    def failing(descriptor: int) -> None:
        close(descriptor)
        closed.append(descriptor)
        raise OSError(5, "Input/output error")

    recorder = Recorder(tmp_path / "run.sse")
    list(recorder.record([FIRST]))
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", failing)
        recorder.close()
    assert 1 == len(closed)
    assert "writing failed: Input/output error" in str(recorder.error)
    with pytest.raises(TypeError):
        Recorder(cast("str", 7.5))


def test_a_tap_whose_fold_failed_passes_the_next_body_on(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    bad = b"event: thread.run.step.delta\ndata: nonsense\n\n"
    with Recorder(path) as recorder:
        for body in (bad, SECOND):
            list(recorder.record([body]))
    with tap(path, into=Accumulator(strict=True)) as chunks:
        assert [bad, SECOND] == list(chunks)
    assert chunks.error is not None
