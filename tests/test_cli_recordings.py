"""The commands for recordings: record, replay, check, diff and convert."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from accumulator import Recorder, accumulate, open_recordings, replay
from accumulator._assistants import connect
from accumulator._cli import record
from accumulator._cli.reading import Reading
from accumulator._cli.recordings import play
from accumulator._cli.replay import Deck, WentBack, _find_keyboard
from accumulator._cli.show import make_view
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_SECOND, event, run
from tests.clock import Clock
from tests.command import COMMAND, ENV, POSIX, cli, process, read_terminal, recorded
from tests.loopback import PATIENCE, Loopback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.loopback import Exchange

BEGUN = event("thread.run.created", run("queued")) + FIRST


def whole(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SECOND if b"tool_outputs" in exchange.body else BEGUN)
    exchange.end()


# ---- record.


def test_a_pipe_is_recorded_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    result = process("record", "-", "-o", path, stdin=BEGUN + SECOND)
    assert (0, "") == (result.status, result.err)
    assert "get_weather" in result.text
    assert BEGUN + SECOND == b"".join(replay(path))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert (0, b"", "") == process("record", "-", "--quiet", "-o", tmp_path / "quiet.sse", stdin=FIRST)


def test_a_request_is_recorded_without_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, body, headers = tmp_path / "run.sse", tmp_path / "body.json", tmp_path / "headers"
    body.write_text('{"stream": true}')
    headers.write_text("OpenAI-Beta: assistants=v2\n\napi-key: SECRET\n")
    monkeypatch.setenv("MY_KEY", "SECRET")
    with Loopback(whole) as server:
        url = server.url + "?key=SECRET"
        options = ["--json", str(body), "-H", f"@{headers}", "-H", "X-Own: 1", "--key-env", "MY_KEY"]
        assert 0 == cli("record", url, "-o", path, *options).status
        body.write_text('{"tool_outputs": []}')
        assert 0 == cli("record", url, "-o", path, "--append", *options, "--quiet").status
        stdin = cli("record", server.url, "-o", tmp_path / "b.sse", "--json", "-", "-X", "PUT", stdin=b"{}")
        assert 0 == stdin.status
        first, _, third = server.exchanges
    assert ("POST", "Bearer SECRET", "assistants=v2", "1", "SECRET") == (
        first.request_line.split()[0],
        first.headers["authorization"],
        first.headers["openai-beta"],
        first.headers["x-own"],
        first.headers["api-key"],
    )
    assert ("PUT", b"{}") == (third.request_line.split()[0], third.body)
    assert b"SECRET" not in path.read_bytes()
    (recording,) = open_recordings(path)
    assert [BEGUN, SECOND] == [b"".join(each) for each in recording.bodies]


def test_a_request_that_fails_or_is_refused_is_told(tmp_path: Path) -> None:
    def refused(exchange: Exchange) -> None:
        exchange.head("401 Unauthorized", {"Content-Type": "application/json"})
        exchange.chunk(b'{"error": "no key"}')
        exchange.end()

    path = tmp_path / "run.sse"
    failed = cli("record", "http://127.0.0.1:1/", "-o", path)
    assert (2, b"") == (failed.status, failed.out)
    assert failed.err.startswith("http://127.0.0.1:1/: the request failed: ConnectError: ")
    assert not path.exists()
    assert "the request failed: UnsupportedProtocol" in cli("record", "nowhere", "-o", path).err
    with Loopback(refused) as server:
        result = cli("record", server.url, "-o", path)
    assert 2 == result.status
    assert "expected a 2xx answer of content type text/event-stream, got status 401" in result.err
    assert result.err.endswith('{"error": "no key"}\n')


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["record", "-", "-X", "GET", "-o", "FILE"], 'expected no options of a request with "-"'),
        (["record", "http://a", "-H", "no colon", "-o", "FILE"], "expected a header as 'Name: value', got no colon"),
        (["record", "http://a", "-H", "@nowhere", "-o", "FILE"], "expected headers in nowhere: "),
        (["record", "http://a", "--json", "nowhere", "-o", "FILE"], "expected JSON in nowhere: "),
        (
            ["record", "http://a", "--key-env", "NO_KEY_HERE", "-o", "FILE"],
            "expected the key in the environment variable",
        ),
        (["convert", "FILE", "--redact", "(", "-o", "-"], "expected a regular expression, got '('"),
        (["convert", "FILE", "--redact", "a{99999999999}", "-o", "-"], "expected a regular expression, got 'a{99"),
        (["record", "http://a", "-H", "foo: ü", "-o", "FILE"], "expected a value of the header foo in ASCII, got"),
        (["record", "http://a", "-H", "fü: b", "-o", "FILE"], "expected a name of a header in ASCII, got"),
        (["record", "http://a", "-X", "ü", "-o", "FILE"], "expected a method in ASCII, got"),
        (["record", "http://a", "--key-env", "ODD_KEY", "-o", "FILE"], "expected a key in ODD_KEY in ASCII, got"),
        (["record", "http://a", "--json", "NAN", "-o", "FILE"], "expected JSON in "),
        (["record", "http://a", "--json", "SURROGATE", "-o", "FILE"], "expected JSON in "),
        (["record", "http://a", "--json", "DEEP", "-o", "FILE"], "expected JSON in "),
        (["record", "-", "-o", "-"], 'expected a file to record into, got "-"'),
        *(
            (
                ["replay", "FILE", option, number],
                f"Invalid value for '{option}': expected a finite number, got {number}",
            )
            for option in ("--speed", "--pace", "--from")
            for number in ("inf", "nan")
        ),
        (["serve", "FILE", "--speed", "inf"], "Invalid value for '--speed': expected a finite number, got inf"),
        (["serve", "FILE", "--stall", "nan"], "Invalid value for '--stall': expected a finite number, got nan"),
    ],
)
def test_misuse_is_told(arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_KEY", "ü")
    path = tmp_path / "none"
    named = {"FILE": str(path)}
    for name, text in (("NAN", b"[NaN]"), ("SURROGATE", b'"\\ud800"'), ("DEEP", b"[" * 100_000)):
        named[name] = str(recorded(tmp_path, text, name))
    result = cli(*(named.get(each, each) for each in arguments))
    assert (2, b"", 1) == (result.status, result.out, result.err.count("\n"))
    assert result.err.startswith(f"accumulator: {told}")
    assert not path.exists()


def test_a_file_in_which_no_body_began_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.sse"
    odd = cli("record", "http://127.0.0.1:1/\udcff", "-o", path)
    assert (2, False) == (odd.status, path.exists())
    assert "the request failed: UnicodeEncodeError: " in odd.err

    def interrupted(*_: object, **__: object) -> None:
        assert path.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(connect, "connect", interrupted)
    callback = record.command().callback
    assert callback is not None
    options = dict.fromkeys(("method", "body", "key_env"))
    with pytest.raises(KeyboardInterrupt):
        callback("http://a", str(path), append=False, sync=False, headers=(), quiet=True, **options)
    assert not path.exists()


@POSIX
def test_a_pipe_in_which_no_body_began_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert (2, True) == (cli("record", "http://127.0.0.1:1/", "-o", path).status, path.exists())
    os.close(reader)


def test_a_file_that_cannot_be_recorded_into_is_told(tmp_path: Path) -> None:
    path = recorded(tmp_path, FIRST)
    for option in ([], ["--append"]):
        result = cli("record", "-", "-o", path, *option, stdin=FIRST)
        assert (2, b"") == (result.status, result.out)
        assert result.err.startswith(f"{path}: expected to be able to record into this file: ")
    assert FIRST == path.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110 - a device
def test_a_full_disk_is_told_and_the_run_is_shown() -> None:
    result = cli("record", "-", "-o", "/dev/full", stdin=FIRST)
    assert 2 == result.status
    assert "get_weather" in result.text
    assert result.err.startswith(
        "/dev/full: expected to record all that passes, writing failed: No space left on device"
    )


def test_what_is_no_run_is_recorded_and_told(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    result = cli("record", "-", "-o", path, stdin=b"<html>")
    assert (2, b"") == (result.status, result.out)
    assert "-: expected events of a run, got 1 event, none of them known" in result.err
    assert b"<html>" == b"".join(replay(path))
    assert 1 == cli("record", "-", "-o", tmp_path / "cut.sse", stdin=FIRST_EVENTS[0]).status


def test_a_closed_standard_input_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.sse"
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", *COMMAND, "record", "-", "-o", path],
        env=ENV,
        capture_output=True,
        check=False,
    )
    assert (2, b"") == (done.returncode, done.stdout)
    monkeypatch.chdir(tmp_path)


@POSIX
@pytest.mark.parametrize("after", range(6))
def test_a_recording_that_is_killed_keeps_what_was_written(after: int, tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    blocks = [BEGUN[: BEGUN.index(b"\n\n") + 2], *FIRST_EVENTS, DONE]
    with subprocess.Popen(
        [*COMMAND, "record", "-", "-o", path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=ENV
    ) as command:
        assert command.stdin is not None
        for block in blocks[:after]:
            command.stdin.write(block)
            command.stdin.flush()
        expected = b"".join(blocks[:after])
        while not path.exists() or len(path.read_bytes()) < len(expected):
            assert command.poll() is None
        command.kill()
        with suppress(BrokenPipeError):
            command.stdin.close()
    if after:
        assert expected == b"".join(replay(path))
        list(accumulate(path))


# ---- replay.


def test_a_replay_prints_updates_where_no_terminal_is(tmp_path: Path) -> None:
    path = recorded(tmp_path, FIRST + SECOND)
    expected = cli("show", "--updates", path)
    assert (0, expected.out) == cli("replay", path)[:2] == cli("replay", path, "--pace", "1000000")[:2]
    bad = cli("replay", recorded(tmp_path, b"<html>", "a.html"))
    assert (2, f"{tmp_path}/a.html: expected a recording, got an HTML page\n") == (bad.status, bad.err)
    missing = cli("replay", tmp_path / "none")
    assert (2, f"{tmp_path}/none: No such file or directory\n") == (missing.status, missing.err)


def test_a_replay_on_a_terminal_shows_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    clock = Clock()
    with Recorder(path, clock=clock) as recorder:
        list(recorder.record([FIRST, SECOND]))
    result = cli("replay", path, "--from", "9", "--speed", "1000", terminal=(80, 24))
    assert 0 == result.status
    assert "get_weather" in result.text


@POSIX
def test_keys_end_pause_and_move_a_replay(tmp_path: Path) -> None:
    import pty

    path, clock = tmp_path / "run.sse", Clock()
    with Recorder(path, clock=clock) as recorder:
        stream = recorder.record([*FIRST_EVENTS, DONE])
        for chunk in stream:
            assert chunk
            clock.now += 1000.0
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "replay", path], stdin=terminal, stdout=terminal, stderr=terminal, env={**ENV, "TERM": "xterm"}
    ) as command:
        os.close(terminal)
        shown = b""
        while shown.count(b"in_progress") < 3:  # it is drawn again while no key is pressed
            shown += read_terminal(controller)
        os.write(controller, b"\x1b[D")
        while b"\x1b[2J" not in shown:
            shown += read_terminal(controller)
        os.write(controller, b" q")
        while piece := read_terminal(controller):
            shown += piece
    os.close(controller)
    assert 1 == command.returncode  # the body was left open


def test_the_deck_plays_as_the_keys_say() -> None:
    clock, keys, drawn = Clock(), [b"\x1b[C", b" ", b"", b" ", b"\x1b[A", b"", b"\x1b[B", b"x", b"q"], list[float]()

    def read_key(seconds: float) -> bytes:
        clock.now += seconds
        return keys.pop(0)

    deck = Deck(2.0, clock)
    deck.read_key, deck.draw = read_key, lambda: drawn.append(clock.now)
    deck.sleep(1.5)  # passes at once
    assert (1.5, 0.0) == (deck.clock(), clock.now)
    deck.sleep(100.0)
    assert deck.ended
    # Half a second and 5 more at once; 0.05 a look, none while paused, twice that at the double speed.
    assert 1.5 + 0.5 + 5 + 0.05 * 2 + 0.05 + 0.1 * 2 + 0.05 * 2 == pytest.approx(deck.clock())
    assert 9 == len(drawn)
    Deck(0.0).sleep(0.01)


def test_the_deck_goes_back_and_plays_up_to_there_at_once() -> None:
    clock, keys = Clock(), [b"\x1b[C", b"\x1b[C", b" ", b"\x1b[D", b"\x1b[D", b"q"]

    def read_key(seconds: float) -> bytes:
        clock.now += seconds
        return keys.pop(0)

    deck = Deck(0.0, clock)
    deck.read_key = read_key
    with pytest.raises(WentBack):
        deck.sleep(100.0)
    assert 0.0 == deck.clock()
    deck.sleep(2.0)  # passes at once, though it was paused
    assert 2.0 == deck.clock()
    with pytest.raises(WentBack):
        deck.sleep(100.0)
    assert 0.0 == deck.clock()
    deck.sleep(100.0)
    assert deck.ended


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_keys_of_a_terminal_pause_move_and_end_a_replay(tmp_path: Path) -> None:
    path, clock, socket = tmp_path / "run.sse", Clock(), tmp_path / "tmux"
    with Recorder(path, clock=clock) as recorder:
        for _ in recorder.record([*FIRST_EVENTS, DONE]):
            clock.now += 4.0

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", str(socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, env=ENV, capture_output=True, check=True, text=True).stdout

    def count_until(is_reached: Callable[[int], bool]) -> int:
        """Look at the screen until it shows a number of events that is wanted, and return it."""
        return look_for(r"(\d+) events?  ", is_reached)

    def look_for(pattern: str, is_reached: Callable[[int], bool]) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.search(pattern, tmux("capture-pane", "-p"))
            if found is not None and is_reached(int(found[1])):
                return int(found[1])
        raise AssertionError(tmux("capture-pane", "-p"))

    command = shlex.join(map(str, [*COMMAND, "replay", path]))
    tmux("new-session", "-d", "-x", "80", "-y", "24", f"{command}; echo status $?; read line")
    try:
        count_until(bool)
        tmux("send-keys", "Space")
        tmux("send-keys", "Right")
        tmux("send-keys", "Right")
        moved = count_until(lambda count: count >= 3)
        tmux("send-keys", "Left")
        back = count_until(lambda count: count < moved)
        tmux("send-keys", "Right")
        assert back < count_until(lambda count: count > back)
        tmux("send-keys", "q")
        look_for(r"status (\d)", lambda status: status == 1)  # the run is left open
    finally:
        tmux("kill-server")


# ---- check.


def test_a_run_is_checked(tmp_path: Path) -> None:
    path = recorded(tmp_path, BEGUN + SECOND)
    result = cli("check", path)
    assert (0, "") == (result.status, result.err)
    assert [
        f"{path}: passed: outcome requires_action, completed",
        "run step  step_1  supplied, 3 deltas",
        '  $.step_details.tool_calls[0].function.output  only the ending has "9 °C"',
    ] == result.text.splitlines()
    lost = recorded(tmp_path, (BEGUN + SECOND).replace(FIRST_EVENTS[4], b""), "lost.sse")
    failed = cli("check", lost, path, "--apart")
    assert 1 == failed.status
    assert "  $.step_details.tool_calls[0].function.arguments  streamed " in failed.text
    (line,) = cli("check", "--json", lost).lines
    assert (str(lost), "run_1", False) == (line["file"], line["run_id"], line["passed"])
    none = cli("check", tmp_path / "none", path)
    assert (2, f"{tmp_path}/none: expected a recording, got No such file or directory\n") == (none.status, none.err)


def test_a_folder_without_files_does_not_pass(tmp_path: Path) -> None:
    result = cli("check", tmp_path)
    assert (2, f"{tmp_path}: expected a recording, got a folder without files\n") == (result.status, result.err)


# ---- diff.


def test_two_runs_are_compared(tmp_path: Path) -> None:
    a = recorded(tmp_path, BEGUN + SECOND, "a")
    b = recorded(tmp_path, (BEGUN + SECOND).replace("9 °C".encode(), b"9 F").replace(b"step_1", b"step_2"), "b")
    assert (0, b"", "") == cli("diff", a, a)
    result = cli("diff", a, b)
    line = 'run step 1  $.step_details.tool_calls[0].function.output  a has "9 °C", b has "9 F"\n'
    assert (1, line, "") == (result.status, result.text, result.err)
    assert ["$.id", "$.step_details.tool_calls[0].function.output"] == [
        each["path"] for each in cli("diff", a, b, "--json", "--ids", "--times").lines
    ]
    none = cli("diff", a, tmp_path / "none")
    assert (2, f"{tmp_path}/none: expected a readable file: No such file or directory\n") == (none.status, none.err)
    if sys.platform == "linux":
        unreadable = cli("diff", a, "/proc/self/mem")
        assert (2, "/proc/self/mem: expected a readable file: Input/output error\n") == (
            unreadable.status,
            unreadable.err,
        )
    html = cli("diff", recorded(tmp_path, b"<html>", "c"), a)
    assert (2, f"{tmp_path}/c: expected a recording, got an HTML page\n") == (html.status, html.err)


# ---- convert.


def test_recordings_are_written_in_another_form(tmp_path: Path) -> None:
    path, out = recorded(tmp_path, BEGUN + SECOND), tmp_path / "out.sse"
    assert (0, b"", "") == cli("convert", path, "-o", out)
    assert 0o600 == stat.S_IMODE(out.stat().st_mode)
    assert BEGUN + SECOND == b"".join(replay(out))
    events = cli("convert", out, "--to", "events", "-o", "-")
    names = [block.partition(b"\n")[0][7:].decode() for block in (BEGUN + SECOND).split(b"\n\n") if block]
    assert names == [each["event"] for each in events.lines]
    steps = cli("convert", out, "--to", "steps", "-o", "-")
    assert [{"file": str(out), "run_id": "run_1", "outcome": "completed", "step": STEP_AFTER_SECOND}] == steps.lines
    again = cli("convert", path, "-o", out)
    assert (2, f"{out}: expected to be able to write this file: File exists\n") == (again.status, again.err)
    none = cli("convert", tmp_path / "none", "-o", tmp_path / "empty.sse")
    told = f"{tmp_path}/none: expected a recording, got No such file or directory\n"
    assert (2, told, False) == (none.status, none.err, (tmp_path / "empty.sse").exists())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110 - a device
def test_a_conversion_onto_a_full_disk_is_told(tmp_path: Path) -> None:
    result = cli("convert", recorded(tmp_path, FIRST), "-o", "/dev/full")
    told = "/dev/full: expected to be able to write this file: No space left on device\n"
    assert (2, told) == (result.status, result.err)


def test_what_must_not_be_shared_is_replaced(tmp_path: Path) -> None:
    path, out = tmp_path / "run.sse", tmp_path / "out.sse"
    data, clock = BEGUN + SECOND, Clock()
    cuts = [data[at : at + 7] for at in range(0, len(data), 7)]
    with Recorder(path, clock=clock) as recorder:
        for chunk in recorder.record(cuts):
            clock.now += len(chunk)
    options = ["--redact", "Z.rich|thread_[0-9]+", "--redact-keys", "output, created_at"]
    assert 0 == cli("convert", path, "-o", out, *options).status
    (old,), (new,) = list(open_recordings(path)), list(open_recordings(out))
    chunks = [[chunk for body in each.bodies for chunk in body.chunks()] for each in (old, new)]
    assert [(chunk.seconds, len(chunk.data)) for chunk in chunks[0]] == [
        (chunk.seconds, len(chunk.data)) for chunk in chunks[1]
    ]
    redacted = b"".join(new)
    assert not [
        text for text in ("Zürich".encode(), b"thread_1", "9 °C".encode(), b'created_at":17') if text in redacted
    ]
    steps = accumulate(out).final_run_steps()
    assert {"x xxx", "x xx", "x xxxx"} & {
        json.loads(json.dumps(steps[0].to_dict()))["step_details"]["tool_calls"][0]["function"]["output"]
    }


def test_a_closed_output_of_a_conversion_is_no_error(tmp_path: Path) -> None:
    path = recorded(tmp_path, FIRST * 200)
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" | head -1', "sh", *COMMAND, "convert", path, "-o", "-"],
        env=ENV,
        capture_output=True,
        check=False,
    )
    assert (0, b"") == (done.returncode, done.stderr)


# ---- All of them.


def test_show_reads_what_other_tools_recorded(tmp_path: Path) -> None:
    plain = cli("--json", recorded(tmp_path, FIRST + SECOND))
    entries = [{"ResponseBody": FIRST[:-30].decode()}, {"ResponseBody": SECOND.decode()}]
    path = recorded(tmp_path, json.dumps({"Entries": entries}).encode(), "session.json")
    assert [each["step"] for each in plain.lines] == [each["step"] for each in cli("--json", path).lines]
    folder = tmp_path / "deep"
    folder.mkdir()
    recorded(folder, path.read_bytes(), "a.json")
    recorded(folder, b"{}", "b.json")
    assert [str(folder / "a.json")] == [each["file"] for each in cli("--json", folder).lines]


@pytest.mark.parametrize("arguments", [["check"], ["convert", "-o", "-"]], ids=["check", "convert"])
def test_an_output_that_is_closed_is_told(arguments: list[str], tmp_path: Path) -> None:
    path = recorded(tmp_path, FIRST)
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "accumulator", *arguments, path],
        env=ENV,
        capture_output=True,
        check=False,
    )
    assert 2 == done.returncode
    assert b"expected to be able to write the output" in done.stderr


def test_a_keyboard_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert None is _find_keyboard()


def test_show_reads_a_pipe_by_its_path() -> None:
    reader, writer = os.pipe()
    os.write(writer, FIRST)
    os.close(writer)
    assert 1 == len(cli("--json", f"/dev/fd/{reader}").lines)
    os.close(reader)


def test_ctrl_c_shows_what_came_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    class Interrupted(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if chunk := super().read1(size):
                return chunk
            raise KeyboardInterrupt

    path = tmp_path / "run.sse"
    view = make_view("tree")
    with Recorder(path) as recorder, pytest.raises(KeyboardInterrupt):
        play(Reading(view), "-", recorder.record(Interrupted(FIRST_EVENTS[0])))
    assert FIRST_EVENTS[0] == b"".join(replay(path))
    result = cli("replay", path, terminal=(80, 24))
    assert (1, True) == (result.status, "truncated" in result.text)
