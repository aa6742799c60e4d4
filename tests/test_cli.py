"""The command line, in processes of its own: what it prints, where, its status, and what no input can make it do."""

from __future__ import annotations

import errno
import gzip
import importlib
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import accumulator
from accumulator import Problem
from accumulator._cli.commands import commands, run
from accumulator._cli.opened import Part
from accumulator._cli.reading import Reading
from accumulator._cli.views import View
from tests import bodies, wire
from tests.command import COMMAND, ENV, POSIX, Result, cli, process, read_terminal, recorded, shell, unprivileged
from tests.conftest import ROOT, real_recordings
from tests.counting import calls_made
from tests.unprintable import ESCAPED, HOSTILE, hostile

if TYPE_CHECKING:
    import click

WITHOUT = "import sys; sys.modules['{}'] = None; from accumulator._cli.main import main; main()"
BAD = b"event: thread.run.step.created\ndata: {\n\n"
BAD_LINE = "event 1: undecodable at $: expected JSON text:"


def line(file: str | Path, outcome: str, step: dict[str, object]) -> dict[str, object]:
    return {"file": str(file), "run_id": "run_1", "outcome": outcome, "step": step}


# ---- What it prints.


def test_replay_prints_the_steps_and_tells_the_outcome(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.FIRST + bodies.SECOND)
    result = process("--json", file)
    expected = json.dumps(line(file, "completed", bodies.STEP_AFTER_SECOND), ensure_ascii=False, separators=(",", ":"))
    assert (0, f"{expected}\n", f"{file}: outcome completed, 1 run step\n") == (
        result.status,
        result.out.decode(),
        result.err,
    )


@pytest.mark.parametrize(
    ("name", "outcome", "status"),
    [
        ("code_interpreter.sse", "completed", 0),
        ("parallel_functions_1.sse", "requires_action", 0),
        ("truncated.sse", "truncated", 1),
        ("error.sse", "error", 1),
    ],
)
def test_a_recording_gives_what_the_library_gives(shipped: Path, name: str, outcome: str, status: int) -> None:
    folded = accumulator.accumulate([(shipped / name).read_bytes()]).until_done()
    expected = [
        {"file": str(shipped / name), "run_id": step.run_id, "outcome": outcome, "step": step.to_dict()}
        for step in folded.run_steps()
    ]
    result = cli("--json", shipped / name)
    assert (status, expected) == (result.status, result.lines)
    assert len(expected) > 0


# Files with bodies of one run are one run now: `--apart` gives what was given for them before.
def test_each_file_is_a_run_of_its_own_with_apart(tmp_path: Path) -> None:
    first, second = recorded(tmp_path, bodies.FIRST, "first"), recorded(tmp_path, bodies.SECOND, "second")
    result = cli("--json", "--apart", first, second)
    assert [
        line(first, "requires_action", bodies.STEP_AFTER_FIRST),
        line(second, "completed", bodies.STEP_AFTER_SECOND),
    ] == result.lines
    assert f"{first}: outcome requires_action, 1 run step\n{second}: outcome completed, 1 run step\n" == result.err
    assert result.status == 0


def test_standard_input_may_hold_both_bodies_of_a_run() -> None:
    result = process("--json", "-", stdin=bodies.FIRST + bodies.SECOND)
    assert [line("-", "completed", bodies.STEP_AFTER_SECOND)] == result.lines
    assert (0, "-: outcome completed, 1 run step\n") == (result.status, result.err)


def test_a_problem_is_told_with_its_place(tmp_path: Path) -> None:
    wrong = bodies.delta({"index": "0", **bodies.call("", None)})
    file = recorded(tmp_path, wrong + bodies.DONE)
    problem = next(update for update in accumulator.accumulate([wrong]) if isinstance(update, Problem))
    result = cli("--json", file)
    assert (
        f"{file}: event 1, step_1: index at {problem.path}: {problem.message}\n"
        f"{file}: outcome unknown, 1 run step\n" == result.err
    )
    assert (0, 1) == (result.status, len(result.lines))


def test_a_problem_without_a_step_names_none() -> None:
    result = cli("--json", "-", stdin=BAD + bodies.DONE)
    assert result.err.startswith(f"-: {BAD_LINE}")
    # 0 before: a `done` counted as an event that is known, so chunks of other APIs passed for a run without steps.
    assert (2, b"") == (result.status, result.out)


def run_of(run_id: object, status: str, action: object = None) -> bytes:
    return wire.run_event(status, id=run_id, required_action=action)


def test_a_step_has_the_outcome_of_its_run() -> None:
    streams = [
        run_of("run_a", "created") + wire.created("step_a", run_id="run_a") + run_of("run_a", "completed") + wire.DONE,
        run_of("run_b", "created") + wire.step_event("failed", "step_b", run_id="run_b"),
        run_of("run_b", "failed") + wire.DONE,
        run_of("run_c", "created") + run_of("run_d", "created") + wire.created("step_d", run_id="run_d"),
        run_of("run_d", "expired") + wire.created("step_c", run_id="run_c") + wire.created("step_x", run_id=None),
        run_of("run_e", "created") + wire.created("step_e", run_id="run_e") + run_of("run_c", "completed") + wire.DONE,
        wire.created("step_f", run_id="run_f"),
    ]
    expected = {
        "step_a": "completed",
        "step_b": "failed",
        "step_d": "expired",
        "step_c": "completed",
        "step_x": "completed",
        "step_e": "truncated",
        "step_f": "truncated",
    }
    lines = cli("--json", "-", stdin=b"".join(streams)).lines
    assert [*expected.items()] == [(each["step"]["id"], each["outcome"]) for each in lines]  # type: ignore[index]


WAITS = (
    wire.created("step_a", run_id="run_a")
    + run_of("run_a", "in_progress")
    + run_of("run_a", "requires_action", {"type": "submit_tool_outputs"})
    + wire.DONE
)
CUT_BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "a step of the run that waits, then cut": (
        WAITS + wire.completed("step_a", run_id="run_a"),
        {"step_a": "truncated"},
    ),
    "a delta of that run, then cut": (WAITS + wire.delta("step_a", wire.fragment(0, "{}")), {"step_a": "truncated"}),
    "an error alone": (WAITS + wire.event("error", {"message": "x"}), {"step_a": "error"}),
    "a failure with an id that never began": (WAITS + run_of("made_up", "failed") + wire.DONE, {"step_a": "failed"}),
    "the same within one body": (
        wire.created("step_a", run_id="run_a") + run_of("run_a", "created") + run_of("made_up", "failed") + wire.DONE,
        {"step_a": "failed"},
    ),
    "a next body that names no id": (
        WAITS + wire.step_event("completed", "step_b", run_id=None) + run_of(None, "completed") + wire.DONE,
        {"step_a": "completed", "step_b": "completed"},
    ),
    "another run, then cut": (
        WAITS + run_of("run_b", "created") + wire.created("step_b", run_id="run_b"),
        {"step_a": "requires_action", "step_b": "truncated"},
    ),
    "a late step of a run that ended, in the body of another": (
        wire.created("step_a", run_id="run_a")
        + run_of("run_a", "completed")
        + wire.DONE
        + run_of("run_b", "created")
        + wire.completed("step_a", run_id="run_a")
        + run_of("run_b", "failed")
        + wire.DONE,
        {"step_a": "completed"},
    ),
    "ids and statuses that are no text": (
        wire.created("step_a", run_id=["x"])
        + run_of(["x"], "created")
        + run_of("run_a", "created")
        + wire.run_event(["x"], "created", id="run_a")
        + wire.run_event(["x"], "created", id="run_b"),
        {"step_a": "truncated"},
    ),
}


@pytest.mark.parametrize(("stream", "expected"), CUT_BODIES.values(), ids=CUT_BODIES)
def test_a_run_has_the_outcome_of_its_last_body(stream: bytes, expected: dict[str, str]) -> None:
    lines = cli("--json", "-", stdin=stream).lines
    assert expected == {each["step"]["id"]: each["outcome"] for each in lines}  # type: ignore[index]


@pytest.mark.parametrize("option", ["--json", "--short", "--text"])
def test_the_runs_of_a_file_are_shown_one_by_one(option: str, tmp_path: Path) -> None:
    first = bodies.FIRST + bodies.event("thread.run.failed", bodies.run("failed")) + bodies.DONE
    runs = [each.replace(b"_1", b"_%d" % number) for number, each in enumerate((first, first + bodies.SECOND), 1)]
    names = [recorded(tmp_path, each, f"{number}.sse") for number, each in enumerate(runs)]
    one_by_one = cli(option, "--apart", *names)
    both = cli(option, recorded(tmp_path, b"".join(runs), "both.sse"))
    for number in (0, 1):
        one_by_one = one_by_one._replace(
            out=one_by_one.out.replace(b"/%d.sse" % number, b"/both.sse"),
            err=one_by_one.err.replace(f"/{number}.sse", "/both.sse"),
        )
    assert one_by_one == both
    assert 1 == both.status


@POSIX
def test_a_file_that_may_not_be_read_is_told_beside_others() -> None:
    with unprivileged() as folder:
        first, second = (recorded(folder, bodies.FIRST, name) for name in ("a.sse", "b.sse"))
        second.chmod(0)
        result = cli("--json", first, second)
    assert (2, 1) == (result.status, len(result.lines))
    assert f"{second}: expected a readable file: Permission denied\n" in result.err


def test_nothing_is_kept_of_a_run_that_was_shown(tmp_path: Path) -> None:
    run = bodies.FIRST + bodies.SECOND
    kept = list[tuple[int, int]]()

    class Counted(View):
        def ended(self, reading: Reading) -> None:
            kept.append((len(reading.accumulator.run_steps()), len(reading.accumulator.runs())))

    reading = Reading(Counted())
    reading.read(Part(str(recorded(tmp_path, b"".join(run.replace(b"_1", b"_%d" % number) for number in range(5))))))
    reading.show()
    assert [(1, 1)] * 5 == kept
    assert ([], [], 5 * 10) == (reading.accumulator.run_steps(), reading.accumulator.runs(), reading.event_count)


def test_a_run_costs_as_much_however_many_came_before() -> None:
    def calls_for(count: int) -> int:
        stream = b"".join(run_of(f"run_{number}", "completed") + wire.DONE for number in range(count))
        return calls_made(lambda: cli("--json", "-", stdin=stream))

    fifty, hundred, two_hundred = map(calls_for, (50, 100, 200))
    assert two_hundred - hundred < 2.1 * (hundred - fifty)


def test_the_outcome_of_an_error_comes_with_what_the_server_said() -> None:
    stdin = bodies.FIRST_EVENTS[1] + bodies.event("error", {"error": {"message": "Try \x1b[31m again."}})
    result = cli("--json", "-", stdin=stdin)
    assert [line("-", "error", bodies.step("in_progress", []))] == result.lines
    assert (1, "-: outcome error, 1 run step: Try \\u001b[31m again.\n") == (result.status, result.err)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", 0),
        ("requires_action", 0),
        ("incomplete", 1),
        ("failed", 1),
        ("cancelled", 1),
        ("expired", 1),
    ],
)
def test_the_exit_status_is_the_outcomes(status: str, expected: int) -> None:
    result = cli("--json", "-", stdin=bodies.event(f"thread.run.{status}", bodies.run(status)) + bodies.DONE)
    assert (expected, b"", f"-: outcome {status}, 0 run steps\n") == result


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"error": {"code": "server_error", "message": "Sorry."}}, "server_error: Sorry."),
        ({"error": "RateLimited", "message": "Slow down.", "code": 429}, "429: Slow down."),
        ({"message": "Sorry.", "code": None}, "Sorry."),
        ({"e": "Timeout."}, '{"e":"Timeout."}'),
        ("Out of memory.", "Out of memory."),
    ],
)
def test_the_code_of_an_error_is_told_with_its_message(error: object, told: str) -> None:
    result = cli("--json", "-", stdin=bodies.event("error", error))
    assert (1, f"-: outcome error, 0 run steps: {told}\n") == (result.status, result.err)


def test_a_step_without_a_run_has_a_null_run_id() -> None:
    result = cli("--json", "-", stdin=bodies.event("thread.run.step.created", {"id": "step_1"}) + bodies.DONE)
    assert [{"file": "-", "run_id": None, "outcome": "unknown", "step": {"id": "step_1"}}] == result.lines


def test_long_pieces_of_a_message_are_cut() -> None:
    # As long as an id may be: an event with a longer one is left out.
    step = {"id": "s" * 4_096, "step_details": {"type": "tool_calls", "tool_calls": 1}}
    result = cli("--json", "-", stdin=bodies.event("thread.run.step.created", step) + bodies.DONE)
    assert f"-: event 1, {'s' * 200}...: shape at " in result.err
    assert len(result.err) < 1_000


# ---- Input that cannot be used.


def test_one_bad_file_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    # A folder is searched now: one without event streams is what cannot be used.
    file = recorded(tmp_path, bodies.SECOND)
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()
    result = process("--json", missing, empty, file)
    assert [line(file, "completed", bodies.STEP_AFTER_SECOND)] == result.lines
    assert (
        f"{empty}: expected a folder with event streams, got none in 0 files\n"
        f"{missing}: expected a readable file: {os.strerror(errno.ENOENT)}\n"
        f"{file}: outcome completed, 1 run step\n"
    ) == result.err
    assert result.status == 2


def test_the_exit_status_is_the_highest(tmp_path: Path) -> None:
    cut, missing = recorded(tmp_path, bodies.FIRST_EVENTS[0], "cut"), tmp_path / "missing"
    whole = recorded(tmp_path, bodies.SECOND, "whole")
    assert [1, 1, 2, 2] == [
        cli("--json", *files).status for files in ([cut, whole], [whole, cut], [missing, cut], [cut, missing])
    ]


CHAT = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[]}\n\n'
IN_STRING = b'data: "{\\"object\\":\\"thread.run\\"}"\n\n'


# The line had one wording before; it says now how many events came, their names, and what the file looks like.
@pytest.mark.parametrize(
    ("content", "came"),
    [
        pytest.param(b"", "none", id="nothing"),
        pytest.param(b"\n\r\n\r: only a comment\n\n", "none", id="no data"),
        pytest.param(b"data: {\n\n" * 3, "3 events, none of them known", id="only what cannot be decoded"),
        pytest.param(BAD + bodies.DONE, "2 events, none of them known", id="only what cannot be decoded, and done"),
        pytest.param(
            CHAT * 4 + b"data: [DONE]\n\n",
            "5 events, none of them known (named message): it looks like chat completion chunks",
            id="chat completion chunks",
        ),
        pytest.param(
            b"event: thread.run.created\ndata: {\n" + b'  "id": "run_1"\n}\n\n',
            "1 event, none of them known: it looks like JSON printed over several lines",
            id="JSON over several lines",
        ),
        pytest.param(
            b"event: thread.run.created\n" + IN_STRING + bodies.DONE,
            "2 events, none of them known: it looks like JSON inside a JSON string",
            id="JSON in a JSON string",
        ),
        pytest.param(
            b'event: thread.run.created\n\ndata: {"id":"run_1"}\n\n',
            "1 event, none of them known (named message): it looks like events with a blank line between "
            "`event:` and `data:`",
            id="blank lines",
        ),
        pytest.param(
            b"".join(b"event: %s\ndata: 1\n\n" % name for name in (b"a\x1b", b"b" * 300, b"a\x1b", b"c", b"d")),
            f"5 events, none of them known (named a\\u001b, {'b' * 200}..., c)",
            id="names",
        ),
    ],
)
def test_a_file_without_a_known_event_is_unusable(tmp_path: Path, content: bytes, came: str) -> None:
    file = recorded(tmp_path, content)
    result = cli("--json", file)
    *problems, verdict, outcome = result.err.splitlines()
    assert (2, b"") == (result.status, result.out)
    assert f"{file}: expected events of a run, got {came}" == verdict
    assert f"{file}: outcome {'unknown' if b'[DONE]' in content else 'truncated'}, 0 run steps" == outcome
    kind = "shape" if IN_STRING in content else "undecodable"  # a string is JSON, and no object
    assert [] == [line for line in problems if f": {kind} at $: " not in line]


# These were folded as if they were event streams; in a flow file events were found then.
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bytes(range(256)) * 64, "binary data"),
        (b'{"error": {"message": "no stream"}}\n', "a JSON object with an error"),
        (
            b"5640:8:response;4:body,5640:" + bodies.FIRST + b",}",
            "a flow file of mitmproxy; export it as HAR: mitmdump -nr FILE --set hardump=FILE.har",
        ),
        (
            b"== Info: Connected\n<= Recv data, 9 bytes (0x9)\n0000: data: 1..\n",
            "a trace of curl without all bytes: use --trace in place of --trace-ascii",
        ),
        (
            b'{"log":{"entries":[{"response":{"content":{"mimeType":"text/event-stream"}}}]}}',
            "a HAR file that lacks the contents of its event streams: export it with content",
        ),
        (
            b'{"log": {"entries": [' + b" " * (33 << 20) + b"]}}",
            "a HAR file with 0 answers, none of them an event stream",
        ),
    ],
    ids=["binary", "JSON", "flow", "trace", "HAR", "large HAR"],
)
def test_a_file_that_is_no_event_stream_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    file, good = recorded(tmp_path, content), recorded(tmp_path, bodies.FIRST + bodies.SECOND, "good.sse")
    told = f"{file}: expected a recording, got {reason}\n"
    assert (2, b"", told) == cli("--json", file)
    assert (2, b"", told) == cli(file)
    result = cli("--json", file, good)
    assert (2, [line(good, "completed", bodies.STEP_AFTER_SECOND)]) == (result.status, result.lines)
    assert result.err.startswith(told)


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"error": {"message": "No assistant."}}', "a JSON object with an error"),
        (b"<html><body>502</body></html>", "an HTML page"),
        (b"Internal Server Error", "plain text"),
    ],
)
def test_what_came_in_the_place_of_events_is_told_and_unusable(body: bytes, what: str, end: bytes) -> None:
    result = cli("--json", "-", stdin=body + end)
    assert (2, b"") == (result.status, result.out)
    quoted = (body + end * (end == b"\n")).decode().replace("\n", "\\u000a")
    assert (
        f"-: event 1: undecodable at $: expected server-sent events, got {what}: {quoted}\n"
        f"-: expected events of a run, got 1 event, none of them known: it looks like {what}\n"
        "-: outcome truncated, 0 run steps\n"
    ) == result.err


def test_what_cannot_be_decoded_is_quoted() -> None:
    _, _, told = cli("--json", "-", stdin=b'{"error":\n"No \x1b[31m assistant."}\n\n' + b"x" * 300)
    assert told.startswith(
        "-: event 1: undecodable at $: expected server-sent events, got a JSON object with an error: "
        '{"error":\\u000a"No \\u001b[31m assistant."}\\u000a\\u000axxx'
    )
    assert len(told.splitlines()[0]) < 1_500


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (bodies.DONE, 0),
        (bodies.event("thread.created", {"id": "thread_1"}), 1),
        (bodies.event("error", {"message": "x"}), 1),
        (CHAT + bodies.SECOND, 0),
        (BAD + bodies.SECOND, 0),
        (b"event: thread.run.step.delta\ndata: {}\n\n" + bodies.DONE, 0),
    ],
)
def test_a_file_with_a_known_event_or_done_alone_is_usable(content: bytes, status: int) -> None:
    result = cli("--json", "-", stdin=content)
    assert (status, False) == (result.status, "expected events of a run" in result.err)


def steps_of(result: Result) -> list[object]:
    return [each["step"] for each in result.lines]


# These files were all unusable and named, before their formats were read.
def test_a_real_file_in_another_format_is_read_or_named(tmp_path: Path) -> None:
    recordings = real_recordings()
    folder = None if recordings is None else recordings.parent / "formats"
    if recordings is None or folder is None or not folder.is_dir():
        pytest.skip("no files in other formats here: set ACCUMULATOR_RECORDINGS to a folder beside theirs")
    plain = cli("--json", recordings / "openai-dotnet_StreamingToolCall_1.sse")
    for name in ("made_betamax/gz.json", "made_openai_node/toReadableStream.ndjson", "made_vcrpy/httpx_gz.yaml"):
        result = cli("--json", folder / name)
        assert (0, steps_of(plain)) == (result.status, steps_of(result))
    both = cli("--json", folder / "openai_dotnet_session")
    assert (0, 2) == (both.status, len({each["file"] for each in both.lines}))
    packed = recorded(tmp_path, gzip.compress(bodies.FIRST + bodies.SECOND))
    assert [bodies.STEP_AFTER_SECOND] == steps_of(cli("--json", packed))
    named = {
        folder
        / "made_mitmproxy"
        / "streamed.har": "a HAR file that lacks the contents of its event streams: export it with content",
        folder / "made_nock" / "assistants.json": "a recording of nock",
    }
    for file, expected in named.items():
        assert (2, b"", f"{file}: expected a recording, got {expected}\n") == cli("--json", file)


def test_an_event_over_the_limit_is_left_out_and_the_rest_folded(tmp_path: Path) -> None:
    first, last = bodies.SECOND_EVENTS
    file = recorded(tmp_path, first + b"data: " + bytes(33 << 20) + b"\n\n" + last + bodies.DONE)
    result = cli("--json", file)
    assert [line(file, "completed", bodies.STEP_AFTER_SECOND)] == result.lines
    assert (
        f"{file}: event 2: expected events of at most {32 << 20} bytes (max_event_size), got a larger one; "
        "it is left out\n"
        f"{file}: outcome completed, 1 run step\n"
    ) == result.err
    assert result.status == 2


def test_a_file_that_is_one_event_over_the_limit_is_named(tmp_path: Path) -> None:
    file = recorded(tmp_path, b"data: [" + b" " * (33 << 20) + b"]")
    result = cli("--json", file)
    limit, *others = result.err.splitlines()
    assert limit.startswith(f"{file}: event 1: expected events of at most ")
    assert [
        f"{file}: expected events of a run, got 1 event, none of them known",
        f"{file}: outcome truncated, 0 run steps",
    ] == others
    assert (2, b"") == (result.status, result.out)


@POSIX
def test_an_input_that_breaks_while_it_is_read_is_unusable(tmp_path: Path) -> None:
    result = shell(f"exec \"$@\" 0> '{tmp_path}/write only'", "--json", "-")
    broken, outcome = result.err.splitlines()
    assert broken.startswith("-: expected the stream to go on, its source raised OSError: ")
    assert (2, b"", "-: outcome truncated, 0 run steps") == (result.status, result.out, outcome)


@POSIX
def test_steps_before_a_break_are_printed() -> None:
    controller, terminal = os.openpty()  # reading from a terminal that was hung up fails
    running = subprocess.Popen(
        [*COMMAND, "--json", "-"],
        cwd=ROOT,
        env=ENV,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    with running, running.stdout, running.stderr:
        os.close(terminal)
        os.write(controller, bodies.event("thread.run.step.created", {"id": "step_1"}) + BAD)
        assert running.stderr.readline().startswith(b"-: event 2: undecodable")
        os.close(controller)
        out = running.stdout.read()
        err = running.stderr.read()
    # Linux ends a terminal that was hung up, other systems fail the read.
    assert running.returncode in {1, 2}
    assert [{"file": "-", "run_id": None, "outcome": "truncated", "step": {"id": "step_1"}}] == [json.loads(out)]
    assert err.endswith(b"-: outcome truncated, 1 run step\n")


@given(st.binary(max_size=200), st.integers(0, len(bodies.FIRST)))
@example(b"data: \xff\xff\n\n", 0)
def test_whatever_the_input_there_is_a_status_and_printable_text(junk: bytes, at: int) -> None:
    result = cli("--json", "-", stdin=bodies.FIRST[:at] + junk + bodies.FIRST[at:])
    assert result.status in {0, 1, 2}
    assert [] == hostile((result.out.decode() + result.err).replace("\n", ""))
    assert [] == [each for each in result.lines if each.keys() != {"file", "run_id", "outcome", "step"}]


# ---- What a terminal gets to see.

READABLE = "é 日本 \U0001f3d4 \u0301"


def test_no_control_character_of_a_stream_gets_out_raw() -> None:
    payload = {"id": f"{HOSTILE}{READABLE}", "step_details": {"type": HOSTILE}}
    result = process("--json", "-", stdin=bodies.event("thread.run.step.created", payload) + bodies.DONE)
    assert [{"file": "-", "run_id": None, "outcome": "unknown", "step": payload}] == result.lines
    assert [] == hostile(result.out.decode().rstrip("\n"))
    # The JSON has the short forms that JSON has, and leaves what can be read.
    assert f'{{"id":"{ESCAPED}{READABLE}",' in result.out.decode()


def test_no_control_character_of_a_problem_gets_out_raw() -> None:
    payload = {"id": HOSTILE, "step_details": {"type": "tool_calls", "tool_calls": 1}}
    result = cli("--json", "-", stdin=bodies.event("thread.run.step.created", payload) + bodies.DONE)
    assert f"-: event 1, {ESCAPED}: shape at " in result.err
    assert [] == hostile(result.err.replace("\n", ""))


def test_lone_surrogates_are_escaped() -> None:
    stdin = b'event: thread.run.step.created\ndata: {"id":"\\ud83d","x":"\\udc00"}\n\n' + bodies.DONE
    result = process("--json", "-", stdin=stdin)
    assert b'"step":{"id":"\\ud83d","x":"\\udc00"}}\n' == result.out[-40:][result.out[-40:].index(b'"step"') :]
    assert result.status == 0


@POSIX
def test_a_file_name_may_be_any_bytes(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\x1b[31m\n\xe2\x80\xae.sse"
    escaped = f"{tmp_path}/\\udcff\\u001b[31m\\u000a\\u202e.sse"
    Path(os.fsdecode(name)).write_bytes(bodies.SECOND)
    result = process("--json", name, name + b"?", env={"PYTHONUTF8": "1"})
    assert [line(os.fsdecode(name), "completed", bodies.STEP_AFTER_SECOND)] == result.lines
    assert (
        f"{escaped}: outcome completed, 1 run step\n{escaped}?: expected a readable file: {os.strerror(errno.ENOENT)}\n"
    ) == result.err


def test_an_argument_is_no_way_around_it() -> None:
    result = process("--json", f"--{HOSTILE[1:]}")
    assert [] == hostile(result.err.replace("\n", ""))
    assert (2, b"") == (result.status, result.out)
    assert result.err.startswith("accumulator: No such option")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_the_encoding_of_the_locale_changes_nothing_in_the_json(encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    result = process("--json", "-", stdin=bodies.FIRST, env=env)
    assert [line("-", "requires_action", bodies.STEP_AFTER_FIRST)] == result.lines
    assert (0, "-: outcome requires_action, 1 run step\n") == (result.status, result.err)


@POSIX
def test_standard_error_escapes_what_its_encoding_lacks(tmp_path: Path) -> None:
    result = process("--json", tmp_path / "日本", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert f"{tmp_path}/\\u65e5\\u672c: expected a readable file: {os.strerror(errno.ENOENT)}\n" == result.err


@POSIX
def test_on_a_terminal(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.event("thread.run.step.created", {"id": HOSTILE}) + BAD)
    controller, terminal = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "--json", file, "-"], cwd=ROOT, env=ENV, stdin=terminal, stdout=terminal, stderr=terminal
    ) as running:
        os.close(terminal)
        # A line, and Ctrl-D, the end of what is typed; the terminal echoes the line.
        os.write(controller, b"\n\x04")
        shown = b""
        while chunk := read_terminal(controller):
            shown += chunk
    os.close(controller)
    text = shown.decode().replace("\r\n", "\n")
    assert [] == hostile(text.replace("\n", "").replace("^D\b\b", ""))
    assert f'"step":{{"id":"{ESCAPED}"}}' in text
    assert f"{file}: outcome truncated, 1 run step\n" in text
    assert text.endswith("-: outcome truncated, 0 run steps\n")
    assert running.returncode == 2


# ---- Pipes, signals, and outputs that do not take it.


def test_standard_input_is_read_as_it_comes() -> None:
    running = subprocess.Popen(
        [*COMMAND, "--json", "-"],
        cwd=ROOT,
        env=ENV,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    with running, running.stdout, running.stderr:
        for number in (1, 2, 3):
            running.stdin.write(BAD)
            running.stdin.flush()
            # Were it to wait for more input, this would wait for ever.
            assert running.stderr.readline().startswith(f"-: event {number}: undecodable at $: ".encode())
        running.stdin.write(bodies.SECOND)
        running.stdin.close()
        assert [line("-", "completed", bodies.STEP_AFTER_SECOND)] == [json.loads(running.stdout.read())]
        assert running.stderr.read() == b"-: outcome completed, 1 run step\n"
    assert running.returncode == 0


def test_the_steps_of_a_file_are_printed_before_the_next_is_read(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.SECOND)
    running = subprocess.Popen(
        [*COMMAND, "--json", file, "-"],
        cwd=ROOT,
        env=ENV,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    with running, running.stdout, running.stderr:
        first = running.stdout.readline()  # standard input is still open
        running.stdin.write(bodies.FIRST)
        running.stdin.close()
        second, err = running.stdout.read(), running.stderr.read()
    assert [
        line(file, "completed", bodies.STEP_AFTER_SECOND),
        line("-", "requires_action", bodies.STEP_AFTER_FIRST),
    ] == [json.loads(first), json.loads(second)]
    assert f"{file}: outcome completed, 1 run step\n-: outcome requires_action, 1 run step\n" == err.decode()


@POSIX
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    # Much more than a pipe holds: the process is still writing when the first line is read.
    steps = (bodies.event("thread.run.step.created", {"id": f"step_{n}", "x": "x" * 10_000}) for n in range(200))
    file = recorded(tmp_path, b"".join(steps) + bodies.DONE)
    running = subprocess.Popen(
        [*COMMAND, "--json", file], cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert running.stdout is not None
    assert running.stderr is not None
    with running, running.stderr:
        first = running.stdout.read(9)
        running.stdout.close()
        err = running.stderr.read()
    assert (0, b'{"file":"', b"") == (running.returncode, first, err)


@POSIX
@pytest.mark.parametrize(
    ("output", "arguments"),
    [
        ("stdout", ["--json", "-"]),
        ("stdout", ["--help"]),
        ("stdout", ["--version"]),
        ("stderr", ["--json", "-"]),
    ],
)
def test_a_reader_that_is_gone_from_the_start(output: str, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, output: writer}
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=ENV,
        input=bodies.SECOND,
        stdout=outputs["stdout"],
        stderr=outputs["stderr"],
        check=False,
    )
    os.close(writer)
    assert 0 == done.returncode
    assert (done.stderr or b"") == b""


@POSIX
@pytest.mark.parametrize("wrong", [True, False])
def test_an_output_that_is_full_is_told(tmp_path: Path, *, wrong: bool) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    file = recorded(tmp_path, bodies.SECOND)
    result = shell('exec "$@" > /dev/full' + (" 2>&1" if wrong else ""), "--json", file)
    said = f"accumulator: expected to be able to write the output: {os.strerror(errno.ENOSPC)}\n"
    assert (2, b"", "" if wrong else said) == result


@POSIX
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_would_block_is_told(tmp_path: Path, unbuffered: str) -> None:
    steps = (bodies.event("thread.run.step.created", {"id": f"step_{n}", "x": "x" * 10_000}) for n in range(200))
    file = recorded(tmp_path, b"".join(steps) + bodies.DONE)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    done = subprocess.run(
        [*COMMAND, "--json", file],
        cwd=ROOT,
        env={**ENV, "PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    os.close(reader)
    assert done.returncode == 2
    assert done.stderr.startswith(b"accumulator: expected to be able to write the output: ")
    assert done.stderr.count(b"\n") == 1


@POSIX
def test_without_a_buffer_nothing_is_lost(tmp_path: Path) -> None:
    steps = [{"id": f"step_{n}", "x": "x" * 200_000} for n in range(10)]
    file = recorded(tmp_path, b"".join(bodies.event("thread.run.step.created", step) for step in steps) + bodies.DONE)
    result = process("--json", file, env={"PYTHONUNBUFFERED": "1"})
    assert steps == [printed["step"] for printed in result.lines]


@POSIX
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_takes_only_a_part_is_told(tmp_path: Path, unbuffered: str) -> None:
    # `ulimit -f 1` is 512 or 1,024 bytes; coverage could not save what it measured, and is left out.
    env = {name: value for name, value in ENV.items() if not name.startswith("COVERAGE_")}
    # In another field than the id, which may have 4,096 characters at most.
    step = {"id": "step_1", "type": "t" * 5_000}
    file = recorded(tmp_path, bodies.event("thread.run.step.created", step) + bodies.DONE)
    done = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -f 1; exec \"$@\" > '{tmp_path}/out'", "sh", *COMMAND, "--json", file],
        cwd=ROOT,
        env={**env, "PYTHONUNBUFFERED": unbuffered},
        stderr=subprocess.PIPE,
        check=False,
    )
    said = f"accumulator: expected to be able to write the output: {os.strerror(errno.EFBIG)}\n"
    assert (2, said) == (done.returncode, done.stderr.decode())


@POSIX
def test_streams_that_are_closed_from_the_start(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.SECOND)
    printed = json.dumps(line(file, "completed", bodies.STEP_AFTER_SECOND), ensure_ascii=False, separators=(",", ":"))
    closed = os.strerror(errno.EBADF)
    assert (2, b"", f"-: expected a readable file: {closed}\n") == shell('exec "$@" <&-', "--json", "-")
    assert (0, f"{printed}\n".encode(), "") == shell('exec "$@" 2>&-', "--json", file)
    assert (2, b"", f"accumulator: expected to be able to write the output: {closed}\n") == shell(
        'exec "$@" >&-', "--json", file
    )


@POSIX
def test_without_an_output_a_file_without_steps_is_still_told_about(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.DONE)
    assert (0, b"", f"{file}: outcome unknown, 0 run steps\n") == shell('exec "$@" >&-', "--json", file)


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_prints_what_was_folded() -> None:
    running = subprocess.Popen(
        [*COMMAND, "--json", "-"],
        cwd=ROOT,
        env=ENV,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    with running, running.stdout, running.stderr:
        running.stdin.write(bodies.FIRST_EVENTS[1] + BAD)
        running.stdin.flush()
        told = running.stderr.readline()  # it is reading now
        running.send_signal(signal.SIGINT)
        out, err = running.stdout.read(), running.stderr.read()
    assert told.startswith(b"-: event 2: undecodable at $: expected JSON text:")
    # It printed nothing before. Now Ctrl-C is the end of the input.
    assert [line("-", "truncated", bodies.step("in_progress", []))] == [json.loads(out)]
    assert (128 + signal.SIGINT, b"-: outcome truncated, 1 run step\n") == (running.returncode, err)


@POSIX
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("option", "begins"), [("--json", b"{"), ("show", b"/")])
def test_an_interrupt_ends_it_where_nobody_reads_its_output(tmp_path: Path, option: str, begins: bytes) -> None:
    # Much more than a pipe holds: the process cannot write it all.
    details = {"type": "x" * 10_000}
    steps = (bodies.event("thread.run.step.created", {"id": f"step_{n}", "step_details": details}) for n in range(200))
    file = recorded(tmp_path, b"".join(steps) + bodies.DONE)
    running = subprocess.Popen(
        [*COMMAND, option, file], cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert running.stdout is not None
    assert running.stderr is not None
    with running, running.stdout, running.stderr:
        first = running.stdout.read(1)  # it is writing now
        running.send_signal(signal.SIGINT)
        # Were it to write what is left before it ends, this would wait for ever.
        status, err = running.wait(), running.stderr.read()
    assert (128 + signal.SIGINT, begins, b"") == (status, first, err)


INTERRUPT_AN_IMPORT = """
import os, signal, sys

class Interrupter:
    left = None

    def find_spec(self, name, path=None, target=None):
        if name == "accumulator._cli.commands":
            self.left = int(os.environ["INTERRUPT_AT"])
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
"""
# What an installer writes into the script, as far as it matters here.
SCRIPT = "import sys; from {} import {} as command; sys.exit(command())"


@POSIX
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("entry", ["script", "module"])
def test_an_interrupt_while_it_is_imported_ends_it_quietly(tmp_path: Path, entry: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    script = SCRIPT.format(*project["scripts"]["accumulator"].split(":"))
    command = [sys.executable, "-c", script] if entry == "script" else COMMAND
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_AN_IMPORT, encoding="utf-8")
    ends: list[tuple[int, bytes, bytes]] = []
    at = 1
    while not ends or ends[-1][0] != 0:  # until there are fewer imports than that
        done = subprocess.run(
            [*command, "--json", "-"],
            cwd=ROOT,
            env={**ENV, "PYTHONPATH": str(tmp_path), "INTERRUPT_AT": str(at)},
            input=bodies.DONE,
            capture_output=True,
            check=False,
        )
        ends.append((done.returncode, done.stdout, done.stderr))
        at += at // 3 + 1
    *interrupted, last = ends
    assert {(128 + signal.SIGINT, b"", b"")} == set(interrupted)
    assert (0, b"", b"-: outcome unknown, 0 run steps\n") == last
    assert len(interrupted) > 5


# ---- The command line itself.


def every_command() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}

    def walk(name: str, command: click.Command) -> None:
        found[name] = command
        for inner, child in getattr(command, "commands", {}).items():
            walk(f"{name} {inner}", child)

    walk("accumulator", commands())
    return found


def test_the_commands() -> None:
    names = ["show", "record", "replay", "check", "diff", "convert", "table", "serve", "completion"]
    assert ["accumulator", *(f"accumulator {name}" for name in names)] == list(every_command())


@pytest.mark.parametrize("name", every_command())
def test_every_command_and_option_is_documented(name: str) -> None:
    command = every_command()[name]
    undocumented = [
        parameter.name
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    assert [] == undocumented
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    assert [] == [
        each.name for each in arguments if (each.name or "?").removesuffix("s").upper() not in (command.help or "")
    ]
    shown = cli(*name.split()[1:], "--help")
    assert (0, "") == (shown.status, shown.err)
    assert f"Usage: {name} [OPTIONS] " in shown.out.decode()
    assert " ".join((command.help or "?").partition("\n")[0].split()) in " ".join(shown.out.decode().split())


def test_the_manual_has_every_command() -> None:
    manual = (ROOT / "README.md").read_text(encoding="utf-8")
    commands_only = [name for name, command in every_command().items() if not hasattr(command, "commands")]
    names = ["show", "record", "replay", "check", "diff", "convert", "table", "serve", "completion"]
    assert [f"accumulator {name}" for name in names] == commands_only
    assert [] == [name for name in commands_only if name not in manual]


def test_the_help_says_how_to_join_two_bodies_and_what_the_status_means() -> None:
    shown = cli("show", "--help").out.decode()
    assert "cat first.sse second.sse | accumulator -" in shown
    assert "\n    0  the outcome is completed, requires_action or unknown\n    1  any other outcome\n    2  " in shown


@pytest.mark.parametrize(
    ("arguments", "command", "told"),
    [
        ([], "accumulator", "Missing command."),
        (["show"], "accumulator show", "Missing argument 'FILE...'."),
        (["--json"], "accumulator show", "Missing argument 'FILE...'."),
        (
            ["--json", "--text", "-"],
            "accumulator show",
            "expected one of --text, --short, --json, --updates, got 2.",
        ),
        (["--follow", "-", "-"], "accumulator show", "expected one FILE with --follow, got 2."),
        (["completion"], "accumulator completion", "Missing argument 'SHELL'. Choose from: bash, zsh, fish."),
        (
            ["completion", "csh"],
            "accumulator completion",
            "Invalid value for 'SHELL': 'csh' is not one of 'bash', 'zsh', 'fish'.",
        ),
    ],
)
def test_misuse_is_one_line(arguments: list[str], command: str, told: str) -> None:
    assert (2, b"", f"accumulator: {told} Try '{command} --help'.\n") == process(*arguments)


def test_the_version_is_that_of_the_installed_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "delta_accumulator-9.8.7.dist-info").mkdir()
    (tmp_path / "delta_accumulator-9.8.7.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: delta-accumulator\nVersion: 9.8.7\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    assert (0, "accumulator 9.8.7\n", "") == (run(["--version"]), *capsys.readouterr())


def test_the_version_of_what_is_not_installed_is_not_made_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = [folder for folder in sys.path if not [*Path(folder).glob("delta_accumulator-*.dist-info")]]
    monkeypatch.setattr(sys, "path", elsewhere)
    importlib.invalidate_caches()
    expected = "accumulator (delta-accumulator is not installed: its version is not known)\n"
    assert (0, expected, "") == (run(["--version"]), *capsys.readouterr())


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_extra_it_says_what_to_install(missing: str) -> None:
    code = WITHOUT.format(missing)
    done = subprocess.run(
        [sys.executable, "-c", code, "-"], cwd=ROOT, env=ENV, input=b"", capture_output=True, check=False
    )
    expected = f"accumulator: the command line needs {missing}: pip install 'delta-accumulator[cli]'"
    assert (2, b"", expected) == (done.returncode, done.stdout, done.stderr.decode().rstrip())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"status": "failed", "last_error": {"code": "rate_limit_exceeded", "message": "Slow\u009b."}},
            "rate_limit_exceeded: Slow\\u009b.",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_completion_tokens"}}, "max_completion_tokens"),
        ({"status": "failed", "last_error": "text"}, ""),
        ({"status": "expired", "last_error": {"code": "run_expired", "message": "Late."}}, "run_expired: Late."),
        ({"status": "cancelled", "incomplete_details": {"reason": "max_prompt_tokens"}}, "max_prompt_tokens"),
        ({"status": "cancelled"}, ""),
        ({"status": "completed", "last_error": {"code": "c"}}, ""),
    ],
)
def test_the_reason_of_a_run_that_failed_is_told(fields: dict[str, object], reason: str) -> None:
    stream = b"event: thread.run.failed\ndata: " + json.dumps({"id": "run_1", **fields}).encode() + b"\n\n"
    _, _, told = cli("--json", "-", stdin=stream)
    assert f"-: outcome {fields['status']}, 0 run steps{': ' if reason else ''}{reason}\n" == told


LIMITED = {"code": "rate_limit_exceeded", "message": "Slow down."}
FAILED = bodies.event("thread.run.failed", bodies.run("failed") | {"last_error": LIMITED}) + bodies.DONE


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        (BAD, "truncated"),
        (bodies.event("thread.run.cancelled", {"id": "run_2", "status": "cancelled"}), "cancelled"),
    ],
)
def test_the_reason_is_not_that_of_a_body_before(later: bytes, outcome: str) -> None:
    result = cli("--json", "-", stdin=FAILED + later)
    assert f"-: outcome {outcome}, 0 run steps" == result.err.splitlines()[-1]
