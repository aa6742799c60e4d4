"""`accumulator show`: the tree for people, the other forms, what is joined, and what is shown while it comes."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, cast
from unittest import mock

import pytest
from hypothesis import given
from rich.cells import cell_len

from accumulator import Update, accumulate, update_from_dict
from accumulator._cli import interrupts, screen
from accumulator._cli.output import Typewriter
from accumulator._cli.runs import said_seconds
from accumulator._cli.show import Session
from tests import bodies, strategies, wire
from tests.command import COMMAND, ENV, POSIX, cli, process, read_terminal, recorded
from tests.conftest import ROOT
from tests.counting import calls_made
from tests.terminal import CODES, Terminal
from tests.unprintable import HOSTILE, hostile

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.strategies import Tape

MARKUP = "[bold red]x[/] :smile: [link=http://x]y[/link]"
LINK = "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"


def message(status: str = "completed", message_id: str = "msg_1", **fields: object) -> dict[str, object]:
    parts: list[object] = [{"type": "text", "text": {"value": "Hello."}}]
    return {
        "id": message_id,
        "object": "thread.message",
        "run_id": "run_1",
        "role": "assistant",
        "status": status,
        "content": parts,
        **fields,
    }


def said(*pieces: str, message_id: str = "msg_1", **fields: object) -> bytes:
    """Return the events of a message that comes in these pieces."""
    deltas = [{"index": 0, "type": "text", "text": {"value": piece}} for piece in pieces]
    parts: list[object] = [{"type": "text", "text": {"value": "".join(pieces)}}]
    return b"".join(
        [
            wire.event("thread.message.created", message("in_progress", message_id, content=[], **fields)),
            *[wire.event("thread.message.delta", {"id": message_id, "delta": {"content": [each]}}) for each in deltas],
            wire.event("thread.message.completed", message("completed", message_id, content=parts, **fields)),
        ]
    )


def run(*events: bytes, status: str = "completed", **fields: object) -> bytes:
    whole = {"id": "run_1", "object": "thread.run", "model": "gpt-4o", **fields}
    began = wire.event("thread.run.created", {"id": "run_1", "status": "queued", "model": "gpt-4o"})
    return began + b"".join(events) + wire.event(f"thread.run.{status}", {**whole, "status": status}) + wire.DONE


def shown(*events: bytes, terminal: tuple[int, int] | None = None) -> list[str]:
    """Return the lines of a run's tree, without its first and its last, without problems and colours."""
    with TemporaryDirectory() as folder:
        result = cli(recorded(Path(folder), run(*events)), terminal=terminal)
    text = CODES.sub("", result.text)
    assert [] == hostile((text + result.err).replace("\n", ""))
    return [line for line in text.splitlines()[1:-1] if "! event " not in line]


# ---- The tree.


def test_two_bodies_are_one_tree(shipped: Path) -> None:
    first, second = shipped / "parallel_functions_1.sse", shipped / "parallel_functions_2.sse"
    result = cli(first, second)
    assert (0, "") == (result.status, result.err)
    assert (
        f"""\
{first} + {second}  run_nkI1pqEn5gAzp7MUEOpnfonh  gpt-4o
├─ ✓ 2 tool calls  6 s  229 tokens
│  ├─ get_forecast
│  │  {{"city":"Zürich","unit":"celsius","days":3}}
│  │  → {{"max":[9.5,11.0,8.0],"sky":"bewölkt"}}
│  └─ convert_currency
│     {{"amount":250.0,"from":"CHF","to":"JPY"}}
│     → {{"amount":46812.5,"rate":187.25}}
├─ ✓ message  2 s  322 tokens
│  Zürich bekommt 9,5, 11 und 8 °C bei bewölktem Himmel. 250 CHF sind heute 46 812,50 ¥.
└─ ✓ completed  12 s  551 tokens (454 in, 97 out)
"""
        == result.text
    )


def test_a_run_that_ended_in_an_error_says_why(shipped: Path) -> None:
    result = cli("show", shipped / "error.sse")
    assert (1, "") == (result.status, result.err)
    assert """\
├─ · lookup_order  in_progress
│  {"order":"Ø-2291
└─ ✗ error
   The server stopped while it was working on this run (request req_WyOxwxYeQfOG4Xb9). Try again.
""" == result.text.partition("\n")[2]


def test_a_run_that_waits_says_for_what() -> None:
    assert ["   waits for the output of get_weather"] == cli("-", stdin=bodies.FIRST).text.splitlines()[-1:]
    calls = [{"id": "call_1", "type": "mcp", "name": "ping"}, 1]
    action = {"type": "submit_tool_approval", "submit_tool_approval": {"tool_calls": calls}}
    result = cli("-", stdin=run(status="requires_action", required_action=action))
    assert ["└─ ! requires_action", "   waits for approval of ping, 1"] == result.text.splitlines()[-2:]


def test_every_tool_of_the_recordings_is_shown_with_input_and_output(shipped: Path) -> None:
    names = ["azure_unknown_tools.sse", "code_interpreter.sse", "file_search.sse"]
    text = cli("--apart", *[shipped / name for name in names]).text
    for name in names:
        with (shipped / name).open("rb") as source:
            accumulator = accumulate(source).until_done()
        for call in accumulator.tool_calls():
            assert call.name in text
            for value in (call.input, call.output):
                for line in (value or "").replace("\r\n", "\n").splitlines():
                    assert f"{line}\n".replace("{'", "{'") in text
        for each in accumulator.messages():
            assert each.text in text
    assert "│  mcp_list_tools timetable: next_departures, station_names\n" in text
    assert "│  → image file-pl9Yzrwc3LCxvhkHofPCK1\n" in text
    assert "│  → 0.84 håndbok_2026.md\n" in text


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ([{"type": "image_file", "image_file": {"file_id": "file-1"}}], ["│  image file-1"]),
        ([{"type": "image_url", "image_url": {"url": "http://x"}}], ["│  image http://x"]),
        ([{"type": "refusal", "refusal": "I won't.\nNo."}], ["│  refused: I won't.", "│  No."]),
        ([{"type": "new", "x": 1}], ['│  {"type":"new","x":1}']),
        ([{"type": "text", "text": "hi"}, {"type": "text", "text": None}, 7], ["│  hi", "│  7"]),
        ("hi", ["│  hi"]),
        (None, []),
    ],
)
def test_every_part_of_a_message_is_shown(content: object, lines: list[str]) -> None:
    events = wire.event("thread.message.completed", message(content=content))
    assert ["├─ ✓ assistant message", *lines] == shown(events)


def test_a_message_that_is_incomplete_says_why() -> None:
    whole = message("incomplete", incomplete_details={"reason": "max_tokens"}, role=None)
    events = wire.event("thread.message.incomplete", whole)
    assert ["├─ ! assistant message  incomplete", "│  Hello.", "│  incomplete: max_tokens"] == shown(events)


def test_a_message_stands_with_the_step_that_created_it_and_once() -> None:
    details = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    step = wire.completed(type="message_creation", step_details=details)
    assert ["├─ ✓ message  9 s  23 tokens", "│  Hello."] == shown(said("Hel", "lo."), step)


@pytest.mark.parametrize(
    ("last_error", "lines"),
    [
        ({"code": "server_error", "message": "Sorry."}, ["│  server_error: Sorry."]),
        ({"message": "Sorry.\r\nTry again."}, ["│  Sorry.", "│  Try again."]),
        ({}, ["│  {}"]),
        ("no", ["│  no"]),
    ],
)
def test_a_step_that_failed_says_why(last_error: object, lines: list[str]) -> None:
    whole = wire.step() | wire.ended("failed") | {"last_error": last_error}
    step = wire.event("thread.run.step.failed", whole)
    assert ["├─ ✗ 0 tool calls  failed  9 s  23 tokens", *lines] == shown(step)


def test_steps_and_activities_of_unknown_types_are_shown() -> None:
    details: list[dict[str, object]] = [
        {"type": "activities", "activities": [{"type": "mcp_list_tools", "tools": "many"}, 1]},
        {"type": "thinking", "thought": "x" * 300},
        {"type": "activities", "activities": 1},
    ]
    steps = [wire.completed(f"step_{n}", type=each["type"], step_details=each) for n, each in enumerate(details)]
    assert [
        "├─ ✓ activities  9 s  23 tokens",
        "│  mcp_list_tools: many",
        "│  1",
        "├─ ✓ thinking  9 s  23 tokens",
        '│  {"type":"thinking","thought":"' + "x" * 300 + '"}',
        "├─ ✓ activities  9 s  23 tokens",
        '│  {"type":"activities","activities":1}',
    ] == shown(*steps)


def test_outputs_of_unknown_types_are_shown() -> None:
    outputs = [{"type": "video", "id": 1}, {"type": "logs", "logs": None}, {"type": "image", "image": "x"}, 5]
    search = [{"score": "?", "file_name": {"x": 1}, "content": [{"text": "a\nb"}, 3]}, 4]
    calls: list[object] = [
        {"type": "code_interpreter", "code_interpreter": {"input": "1", "outputs": outputs}},
        {"type": "code_interpreter", "code_interpreter": {"outputs": 6}},
        {"type": "code_interpreter", "code_interpreter": 1},
        {"type": "file_search", "file_search": {"results": search}},
        {"type": "file_search"},
        {"type": None},
        "no call",
    ]
    assert [
        "├─ ✓ 6 tool calls  9 s  23 tokens",
        "│  ├─ code_interpreter",
        "│  │  1",
        '│  │  → {"type":"video","id":1}',
        '│  │  → {"type":"logs","logs":null}',
        "│  │  → image x",
        "│  │  → 5",
        "│  ├─ code_interpreter",
        "│  │  → 6",
        "│  ├─ code_interpreter",
        "│  ├─ file_search",
        '│  │  → {"x": 1}',
        "│  │    a",
        "│  │    b",
        "│  │    3",
        "│  │  → 4",
        "│  ├─ file_search",
        "│  └─ call",
    ] == shown(wire.completed(calls=calls))


def test_problems_stand_where_they_are() -> None:
    wrong = wire.delta("step_1", {"index": "0", **wire.call("call_1", "f", "{}")})
    late = wire.event("thread.message.delta", {"id": "msg_1", "delta": {"content": [{"index": 0, "text": 1}]}})
    text = cli("-", stdin=run(wire.created(), wrong, said("Hi."), late, b"data: {\n\n")).text.splitlines()
    place = [line for line in text if "! event" in line]
    assert [
        "│  ! event 3: index at $.delta.step_details.tool_calls[0].index: ",
        "│  ! event 7: shape at $.delta.content[0].text: ",
        "   ! event 8: undecodable at $: ",
    ] == [re.match(r".*? at \S+: ", line)[0] for line in place]  # type: ignore[index]
    assert (
        text.index(place[0])
        < next(n for n, line in enumerate(text) if "assistant message" in line)
        < text.index(place[1])
    )


def test_each_run_of_a_file_has_a_tree(tmp_path: Path) -> None:
    streams = [
        wire.run_event("queued", "created", id=f"run_{name}") + wire.completed(f"step_{name}", run_id=f"run_{name}")
        for name in "ab"
    ]
    ends = [wire.run_event("completed", id=f"run_{name}", usage=None, created_at=5, completed_at=9) for name in "ab"]
    in_turn = recorded(tmp_path, streams[0] + ends[0] + wire.DONE + streams[1] + ends[1] + wire.DONE, "turns")
    nested = recorded(tmp_path, streams[0] + streams[1] + ends[1] + ends[0] + wire.DONE, "nested")
    for file in (in_turn, nested):
        trees = [
            f"{file}  run_{name}\n├─ ✓ 0 tool calls  9 s  23 tokens\n└─ ✓ completed  4 s  23 tokens (20 in, 3 out)\n"
            for name in "ab"
        ]
        assert "\n".join(trees) == cli(file).text
    assert cli(in_turn).text.replace(f"{in_turn}", "-") == cli("-", stdin=in_turn.read_bytes()).text


def test_what_names_no_run_belongs_to_the_current_one() -> None:
    steps = wire.created("step_1", run_id=None) + wire.event("thread.message.created", message(run_id=None))
    assert ["├─ · 0 tool calls  in_progress", "├─ ✓ assistant message", "│  Hello."] == shown(steps)


def test_a_file_without_a_run_has_a_tree_of_its_outcome() -> None:
    assert "-\n└─ ! unknown\n" == cli("-", stdin=wire.DONE).text
    assert "-\n└─ ✗ error\n   Sorry.\n" == cli("-", stdin=wire.event("error", {"message": "Sorry."})).text


def test_nothing_is_printed_of_a_file_without_a_known_event() -> None:
    for option in ([], ["--short"], ["--text"]):
        result = cli(*option, "-", stdin=b'data: {"object":"chat.completion.chunk"}\n\n')
        assert (2, b"") == (result.status, result.out)
        assert "it looks like chat completion chunks\n" in result.err


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (-1, ""), (0, "0 s"), (2.04, "2 s"), (59.44, "59.4 s"), (60, "1 min 0 s"), (7_384, "2 h 3 min")],
)
def test_seconds_are_told_for_people(seconds: float | None, expected: str) -> None:
    assert expected == said_seconds(seconds)


def test_times_and_counts_that_make_no_sense_are_left_out() -> None:
    usage = {"prompt_tokens": True, "completion_tokens": "3", "total_tokens": 10**20}
    result = cli("-", stdin=run(wire.completed(created_at=10**20, usage=usage), created_at="x", completed_at=-1))
    assert ["├─ ✓ 0 tool calls", "└─ ✓ completed"] == result.text.splitlines()[1:]


# ---- On a terminal.


def test_a_terminal_gets_colours_and_nothing_else_does(shipped: Path) -> None:
    plain, coloured = cli(shipped / "code_interpreter.sse"), cli(shipped / "code_interpreter.sse", terminal=(160, 60))
    assert "\x1b" not in plain.text
    plain_styles = {"1", "2", "0"}  # bold, dim, none
    colours = {"31", "32", "33", "34", "35", "36"}  # the six that a terminal shows on a dark ground and on a light one
    used = {code[2:-1] for code in re.findall(r"\x1b\[[0-9;]*m", coloured.text)}
    assert plain_styles < used <= plain_styles | colours
    assert plain.text == CODES.sub("", coloured.text)


@pytest.mark.parametrize("columns", [20, 80, 160])
def test_no_line_is_wider_than_the_terminal(shipped: Path, columns: int) -> None:
    for option in ([], ["--short"]):
        result = cli(*option, shipped, terminal=(columns, 24))
        lines = CODES.sub("", result.text).splitlines()
        assert columns >= max(map(cell_len, lines))


def test_what_is_long_is_cut_to_the_screen() -> None:
    arguments = json.dumps({f"key_{n}": "x" * n for n in range(30)})
    step = wire.completed(calls=[wire.call("call_1", "f", arguments, "\n".join(map(str, range(30))))])
    assert [
        "├─ ✓ f  9 s  23 tokens",
        "│  {",
        *[f'│    "key_{n}": "{"x" * n}",' for n in range(7)],
        "│  ... 24 more lines",
        "│  → 0",
        *[f"│    {n}" for n in range(1, 8)],
        "│    ... 22 more lines",
    ] == shown(step, terminal=(80, 24))


def test_two_lines_too_many_are_shown_and_a_text_too_long_to_count_is_much_more() -> None:
    lines = "\n".join(map(str, range(10)))
    step = wire.completed(calls=[wire.call("call_1", "f", "x" * 4_000, lines)])
    assert [
        "├─ ✓ f  9 s  23 tokens",
        *["│  " + "x" * 74] * 8,
        "│  ... much more",
        "│  → 0",
        *[f"│    {n}" for n in range(1, 10)],
    ] == shown(step, terminal=(80, 24))


@pytest.mark.parametrize("arguments", ['{"a": ' + "1" * 100, "[" * 9_000, '["' + "x" * 30_000 + '"]'])
def test_json_that_is_cut_off_or_too_long_is_shown_as_it_is(arguments: str) -> None:
    lines = shown(wire.completed(calls=[wire.call("call_1", "f", arguments)]), terminal=(80, 24))
    assert arguments[:60] in lines[1]


def test_many_problems_are_counted_on_a_terminal() -> None:
    stdin = wire.created() + b"data: {\n\n" * 30 + wire.DONE
    assert "! 22 more problems" in cli("-", stdin=stdin, terminal=(80, 24)).text
    assert 30 == cli("-", stdin=stdin).text.count("undecodable")


def test_a_terminal_without_utf_8_gets_what_it_has(shipped: Path) -> None:
    result = cli(
        shipped / "parallel_functions_1.sse", shipped / "parallel_functions_2.sse", terminal=(80, 24), encoding="ascii"
    )
    lines = CODES.sub("", result.text).splitlines()
    assert "+- 2 tool calls  completed  6 s  229 tokens" in lines
    assert '|     > {"amount":46812.5,"rate":187.25}' in lines
    assert '|  |  > {"max":[9.5,11.0,8.0],"sky":"bew\\xf6lkt"}' in lines


# ---- What comes from a stream.


HOSTILE_TEXTS = [HOSTILE, MARKUP, LINK, "\x1b[2J\x1b]0;title\x07", "\u202egnp.exe", "a\x00b\x9bc", "\r\noverwritten\rx"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("terminal", [None, (200, 60)])
def test_text_of_a_stream_is_text_on_the_screen(text: str, terminal: tuple[int, int] | None) -> None:
    calls: list[object] = [
        wire.call("call_1", text, text, text),
        {"type": "code_interpreter", "code_interpreter": {"input": text, "outputs": [{"type": "logs", "logs": text}]}},
        {"type": text, "server_label": text},
    ]
    error = {"code": text, "message": text}
    events = [
        wire.completed(calls=calls, last_error=error),
        said(text, text),
        wire.event(text.split("\n", maxsplit=1)[0], 1),
    ]
    for option in ([], ["--text"], ["--short"], ["--json"]):
        result = cli(*option, "-", stdin=run(*events, status="failed", last_error=error, model=text), terminal=terminal)
        printed = CODES.sub("", result.text) if terminal else result.text
        assert [] == hostile((printed + result.err).replace("\n", "").replace("\t", ""))
        assert result.text.count("\x1b]") == 0
        if text == MARKUP:
            assert text in printed


def test_line_ends_tabs_and_joiners_stay_in_text_for_people() -> None:
    family, persian = "\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e"
    stdin = run(said(f"a\r\nb\tc\n{family} {persian}"))
    assert f"│  a\n│  b   c\n│  {family} {persian}\n" in cli("-", stdin=stdin).text
    assert f"a\nb\tc\n{family} {persian}\n" == cli("--text", "-", stdin=stdin).text


@given(strategies.tapes)
def test_whatever_comes_there_is_a_status_and_printable_text(tape: Tape) -> None:
    stdin = strategies.wire(tape, strategies.make_events(tape)).data
    for option in ([], ["--text"], ["--short"], ["--updates"]):
        result = cli(*option, "-", stdin=stdin)
        assert result.status in {0, 1, 2}
        assert [] == hostile((result.text + result.err).replace("\n", "").replace("\t", ""))
    for size in ((80, 24), (20, 5)):
        result = cli("-", stdin=stdin, terminal=size)
        assert [] == hostile(CODES.sub("", result.text + result.err).replace("\n", ""))


# ---- What the agent said.


def test_the_text_is_printed_alone(shipped: Path) -> None:
    names = ["parallel_functions_1.sse", "parallel_functions_2.sse", "code_interpreter.sse"]
    result = cli("--text", *[shipped / name for name in names])
    assert (0, "") == (result.status, result.err)
    assert (
        "Zürich bekommt 9,5, 11 und 8 °C bei bewölktem Himmel. 250 CHF sind heute 46 812,50 ¥.\n"
        "\n"
        "Im Mittel war es in Zürich 6,67 °C und in Genève 8,83 °C warm; das Diagramm zeigt beide Reihen 📈.\n"
    ) == result.text


def test_messages_have_an_empty_line_between_them_and_others_are_left_out() -> None:
    refusal = [{"index": 0, "type": "refusal", "refusal": "I won't."}]
    events = [
        said("One.\n", message_id="msg_1"),
        said("No.", message_id="msg_2", role="user"),
        wire.event("thread.message.delta", {"id": "msg_3", "delta": {"content": refusal}}),
        wire.event(
            "thread.message.completed", message(message_id="msg_4", content=[{"type": "refusal", "refusal": "No"}])
        ),
        wire.event("thread.message.completed", message(message_id="msg_5", content=[{"type": "image_file"}])),
        wire.event("thread.message.completed", message(message_id="msg_6")),
        wire.event(
            "thread.message.completed", message(message_id="msg_7", content=[{"type": "text", "text": "Bare."}])
        ),
    ]
    assert "One.\n\nI won't.\n\nNo\n\nHello.\n\nBare.\n" == cli("--text", "-", stdin=run(*events)).text


def test_a_text_whose_end_came_with_the_whole_message_is_printed_to_its_end() -> None:
    events = said("Hel", "lo").replace(b'"Hello"', b'"Hello!"')
    assert "Hello!\n" == cli("--text", "-", stdin=run(events)).text


def test_what_is_cut_in_two_is_printed_as_one() -> None:
    typewriter = Typewriter()
    pieces = ["a\r", "\nb\ud83d", "\ude00c\r", "d\ud83d"]
    assert ["a", "\nb", "\U0001f600c", "\\u000dd"] == [typewriter.add(piece) for piece in pieces]
    assert ("\\ud83d", "", "") == (typewriter.end(), typewriter.end(), typewriter.add(""))


def test_what_is_wrong_is_told_behind_the_text() -> None:
    stdin = said("Hi") + b"data: {\n\n" + wire.event("error", {"message": "Sorry."})
    result = cli("--text", "-", stdin=stdin)
    problem, outcome = result.err.splitlines()
    assert (1, "Hi\n", "-: outcome error, 0 run steps: Sorry.") == (result.status, result.text, outcome)
    assert problem.startswith("-: event 4: undecodable at $: ")


def test_the_text_comes_as_it_comes() -> None:
    with reading("--text", "-") as running:
        for piece in ("One ", "word ", "a time."):
            write(running, wire.event("thread.message.delta", {"id": "m", "delta": {"content": [text_part(piece)]}}))
            assert piece.encode() == cast("IO[bytes]", running.stdout).read(len(piece))
        assert (b"\n", b"-: outcome truncated, 0 run steps\n") == running.communicate()


# ---- The other forms.


def test_a_run_is_one_line(shipped: Path) -> None:
    result = cli("--short", shipped, shipped / "error.sse")
    assert (1, "") == (result.status, result.err)
    lines = [
        re.sub(r"^(\S+) +(.*?) +(\S+) tokens? +(\d+ steps?) +(\d+ calls?) +", r"\1 \2 \3 \4 \5 ", line)
        for line in result.text.splitlines()
    ]
    assert [
        f"completed 15 s 4,206 4 steps 4 calls {shipped}/azure_unknown_tools.sse  run_DbQnoUKNtBwVeNCBFEm0XBgF",
        f"completed 11 s 773 2 steps 1 call {shipped}/code_interpreter.sse  run_w9wk7Nj6S0nh0qMGXmtt9Mwb",
    ] == lines[:2]
    assert 7 == len(lines)
    assert lines[6].endswith("truncated.sse  run_b8f7j1fGq7qi3kg9xCETwQEA  1 problem")
    assert lines[2] == lines[3]
    assert "Try again." in lines[2]


def test_a_short_line_keeps_the_end_of_a_long_name(shipped: Path) -> None:
    lines = CODES.sub("", cli("--short", shipped, terminal=(80, 24)).text).splitlines()
    assert [80] * 6 == [*map(cell_len, lines)]
    assert lines[1].endswith("…code_interpreter.sse")


def test_each_update_is_a_line_that_can_be_read_back(shipped: Path) -> None:
    file = shipped / "error.sse"
    updates: list[Update] = []
    with file.open("rb") as source:
        accumulate(source, handler=updates.append).until_done()
    result = cli("--updates", file)
    assert (1, "") == (result.status, result.err)
    assert [str(file)] * len(updates) == [line["file"] for line in result.lines]
    assert updates == [update_from_dict(cast("dict[str, object]", line["update"])) for line in result.lines]


def test_the_updates_come_as_they_come() -> None:
    with reading("--updates", "-") as running:
        for number in (1, 2, 3):
            write(running, wire.created(f"step_{number}"))
            line = json.loads(cast("IO[bytes]", running.stdout).readline())
            assert ("run_step_created", f"step_{number}") == (line["update"]["type"], line["update"]["step_id"])


# ---- What is read.


def test_the_body_that_continues_a_run_is_read_last(tmp_path: Path) -> None:
    second, first = recorded(tmp_path, bodies.SECOND, "a"), recorded(tmp_path, bodies.FIRST, "b")
    for arguments in ([second, first], [tmp_path]):
        result = cli("--json", *arguments)
        assert (0, f"{first} + {second}: outcome completed, 1 run step\n") == (result.status, result.err)
        assert [
            {"file": f"{first} + {second}", "run_id": "run_1", "outcome": "completed", "step": bodies.STEP_AFTER_SECOND}
        ] == (result.lines)
    assert 2 == len(cli("--json", "--apart", tmp_path).lines)


def test_a_copy_of_a_body_is_a_run_of_its_own(tmp_path: Path) -> None:
    for name in "abc":
        recorded(tmp_path, bodies.FIRST, f"first_{name}")
        recorded(tmp_path, bodies.SECOND, f"second_{name}")
    names = [
        line.split("  ")[-2].replace(f"{tmp_path}/", "").strip() for line in cli("--short", tmp_path).text.splitlines()
    ]
    assert ["first_a", "first_b", "first_c + second_a", "second_b", "second_c"] == names


def test_a_body_is_known_by_whatever_names_its_run_first(tmp_path: Path) -> None:
    late = wire.delta("step_1", {"index": 0, "type": "function", "function": {"output": "x"}})
    starts = {
        "step": wire.completed(),
        "message": wire.event("thread.message.created", message()),
        "delta": late + wire.run_event("queued"),
        "thread": wire.event("thread.created", {"id": "thread_1"}) + late + wire.run_event("queued"),
    }
    first = recorded(tmp_path, bodies.FIRST, "first")
    for name, start in starts.items():
        file = recorded(tmp_path, start + wire.DONE, name)
        assert f"{first} + {file}: " in cli("--json", first, file).err
    for name, start in {"begins": wire.run_event("queued"), "no run": late, "no id": wire.completed(run_id=1)}.items():
        file = recorded(tmp_path, start + wire.DONE, name)
        assert f"{first}: " in cli("--json", first, file).err
    large = recorded(
        tmp_path, b"event: thread.run.created\ndata: [" + b"0," * 200_000 + b"0]\n\n" + bodies.SECOND, "large"
    )
    assert f"{first}: " in cli("--json", first, large).err


def test_a_folder_is_searched_for_event_streams(tmp_path: Path) -> None:
    for folder in (tmp_path / "b" / "deep", tmp_path / ".hidden"):
        folder.mkdir(parents=True)
        recorded(folder, run(said("Hi.")).replace(b"run_1", b"run_2") if folder.name == "deep" else bodies.SECOND)
    recorded(tmp_path, bodies.SECOND, "a.sse")
    recorded(tmp_path, bodies.SECOND, ".hidden.sse")
    for name, content in {"notes.md": b"# Notes", "page.html": b"<html>", "empty": b"", "data.json": b"{}"}.items():
        recorded(tmp_path, content, name)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    result = cli("--json", tmp_path)
    assert (
        0,
        f"{tmp_path}/a.sse: outcome completed, 1 run step\n{tmp_path}/b/deep/run.sse: outcome completed, 0 run steps\n",
    ) == (
        result.status,
        result.err,
    )


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path, b"# Notes", "notes.md")
    result = cli(tmp_path)
    assert (2, f"{tmp_path}: expected a folder with event streams, got none in 1 file\n") == (result.status, result.err)
    denied = PermissionError(errno.EACCES, "Permission denied", f"{tmp_path}/notes.md")
    monkeypatch.setattr(Path, "open", mock.Mock(side_effect=denied))
    result = cli(tmp_path)
    assert (2, f"{tmp_path}/notes.md: expected a readable file: Permission denied\n") == (result.status, result.err)


def test_nothing_is_kept_of_a_file_that_was_shown(tmp_path: Path) -> None:
    for number in range(40):
        content = run(said("x" * 100_000), id=f"run_{number}").replace(b'"run_1"', b'"run_%d"' % number)
        recorded(tmp_path, content, f"{number:02}.sse")
    used: list[int] = []
    for name in ("0*.sse", "*.sse"):
        files = sorted(tmp_path.glob(name))
        tracemalloc.start()
        assert 0 == cli("--short", *files).status
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] < used[0] + 100_000


BEGUN = bodies.event("thread.run.created", bodies.run("queued")) + bodies.FIRST


def har(*streams: bytes) -> bytes:
    contents = [{"mimeType": "text/event-stream; charset=utf-8", "text": each.decode()} for each in streams]
    return json.dumps({"log": {"entries": [{"response": {"content": each}} for each in contents]}}).encode()


@pytest.mark.parametrize("kind", ["har", "sse", "recording"])
def test_recordings_of_one_run_in_a_file_are_shown_one_after_the_other(tmp_path: Path, kind: str) -> None:
    file = recorded(tmp_path, har(BEGUN, BEGUN, bodies.SECOND) if kind == "har" else BEGUN * 2 + bodies.SECOND)
    if kind == "recording":
        (tmp_path / "one").write_bytes(BEGUN)
        (tmp_path / "two").write_bytes(BEGUN + bodies.SECOND)
        file.unlink()
        assert 0 == cli("convert", tmp_path / "one", tmp_path / "two", "-o", file).status
    names, outcomes = [str(file), f"{file}#2"], ["requires_action", "completed"]
    result = cli("--json", file)
    assert (0, names, outcomes) == (
        result.status,
        [each["file"] for each in result.lines],
        [each["outcome"] for each in result.lines],
    )
    steps = [cast("dict[str, dict[str, list[dict[str, object]]]]", each["step"]) for each in result.lines]
    assert [bodies.call(bodies.ARGUMENTS, None), bodies.call(bodies.ARGUMENTS, "9 °C")] == [
        each["step_details"]["tool_calls"][0] for each in steps
    ]
    assert [f"{name}: outcome {outcome}, 1 run step" for name, outcome in zip(names, outcomes, strict=True)] == (
        result.err.splitlines()
    )
    assert outcomes == [each.split()[0] for each in cli("--short", file).text.splitlines()]
    assert names == list(dict.fromkeys(each["file"] for each in cli("--updates", file).lines))
    assert 2 == cli(file).text.count(f"{bodies.ARGUMENTS}\n")
    # Others that go on with the run follow the last of them.
    (tmp_path / "more").write_bytes(bodies.SECOND)
    recorded(tmp_path, har(BEGUN, BEGUN))
    joined = cli("--json", file, tmp_path / "more")
    assert [str(file), f"{file}#2 + {tmp_path}/more"] == [each["file"] for each in joined.lines]


def test_many_runs_in_a_file_are_shown_as_one_stream(tmp_path: Path) -> None:
    other = BEGUN.replace(b"_1", b"_2")
    for content in (BEGUN + other, har(BEGUN, other)):
        result = cli("--json", recorded(tmp_path, content))
        assert [str(tmp_path / "run.sse")] * 2 == [each["file"] for each in result.lines]
        assert [["run_1", "requires_action"], ["run_2", "requires_action"]] == [
            [each["run_id"], each["outcome"]] for each in result.lines
        ]


def test_a_recording_of_a_later_format_is_shown_as_the_event_stream_that_it_is(tmp_path: Path) -> None:
    assert 0 == cli("convert", recorded(tmp_path, BEGUN, "one"), "-o", tmp_path / "run").status
    data = (tmp_path / "run").read_bytes()
    later = recorded(tmp_path, data.replace(b'"version":1', b'"version":2'))
    assert (0, 1) == (cli("--json", later).status, len(cli("--json", later).lines))


# ---- What is on its way.


def text_part(piece: str) -> dict[str, object]:
    return {"index": 0, "type": "text", "text": {"value": piece}}


@contextmanager
def reading(*arguments: str | Path) -> Generator[subprocess.Popen[bytes]]:
    """Start the command with pipes."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=ENV,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as running:
        yield running
        cast("IO[bytes]", running.stdin).close()


def write(running: subprocess.Popen[bytes], data: bytes) -> None:
    cast("IO[bytes]", running.stdin).write(data)


@POSIX
def test_what_is_on_its_way_is_drawn_as_it_comes() -> None:
    on = Terminal("-")
    write(on.running, wire.run_event("queued", "created", model="gpt-4o"))
    on.until(lambda lines: lines[0] == "-  run_1  gpt-4o" and "queued  1 event" in lines[-1])
    write(on.running, wire.created() + wire.delta("step_1", wire.opening(0, "call_1", "f")))
    for piece in ('{"a":', " 1,", ' "b": 2}'):
        write(on.running, wire.delta("step_1", wire.fragment(0, piece)))
        on.until(lambda lines, piece=piece: lines[-2].endswith(piece.strip()))  # type: ignore[misc]
    lines = on.until(lambda lines: "6 events" in lines[-1])
    assert ["├─ · f  in_progress", '│  {"a": 1, "b": 2}'] == lines[1:3]
    write(
        on.running, wire.completed(calls=[wire.call("call_1", "f", '{"a": 1, "b": 2}', "3")]) + wire.created("step_2")
    )
    lines = on.until(lambda lines: "├─ · 0 tool calls  in_progress" in lines)
    assert ["├─ ✓ f  9 s  23 tokens", '│  {"a": 1, "b": 2}', "│  → 3"] == lines[1:4]
    write(on.running, said("Hel", "lo.") + wire.completed("step_2") + wire.run_event("completed") + wire.DONE)
    cast("IO[bytes]", on.running.stdin).close()
    assert [
        "-  run_1  gpt-4o",
        "├─ ✓ f  9 s  23 tokens",
        '│  {"a": 1, "b": 2}',
        "│  → 3",
        "├─ ✓ 0 tool calls  9 s  23 tokens",
        "├─ ✓ assistant message",
        "│  Hello.",
        "└─ ✓ completed  9 s  46 tokens (40 in, 6 out)",
        "",
    ] == on.end()
    assert 0 == on.running.returncode


@POSIX
def test_what_is_open_never_takes_more_than_the_screen() -> None:
    on = Terminal("-")
    text = "\n".join(f"line {number}" for number in range(100))
    calls: list[object] = [wire.call(f"call_{number}", f"f_{number}", "{}", text) for number in range(30)]
    write(
        on.running,
        wire.run_event("in_progress") + wire.created("step_1", step_details=wire.step("", *calls)["step_details"]),
    )
    lines = on.until(lambda lines: "in_progress  2 events" in lines[-1])
    assert 24 > len(lines) - 1
    assert ["│       line 98", "│       line 99"] == lines[-3:-1]
    assert any("... 92 more lines" in line for line in lines)
    cast("IO[bytes]", on.running.stdin).close()
    assert "└─ ✗ truncated" == on.end()[-2]


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_shows_what_there_is() -> None:
    on = Terminal("-")
    write(on.running, wire.run_event("in_progress") + wire.created())
    on.until(lambda lines: "2 events" in lines[-1])
    on.running.send_signal(signal.SIGINT)
    assert ["-  run_1", "├─ · 0 tool calls  in_progress", "└─ ! interrupted", ""] == on.end()
    assert 128 + signal.SIGINT == on.running.returncode


@POSIX
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("is_last", [False, True])
def test_an_interrupt_while_events_are_folded_waits_for_their_end(
    monkeypatch: pytest.MonkeyPatch, *, is_last: bool
) -> None:
    def advanced(session: Session, size: int) -> None:  # noqa: ARG001 - stands for a method
        if is_last == (size == 0):
            signal.raise_signal(signal.SIGINT)  # to this thread

    out: list[bytes] = []

    def write(_: object, data: bytes) -> None:
        out.append(data)

    monkeypatch.setattr(Session, "advanced", advanced)
    monkeypatch.setattr("accumulator._cli.commands.discard_outputs", lambda: None)
    monkeypatch.setattr("accumulator._cli.output._write", write)
    for end, stdin in {"interrupted": wire.completed(), "completed": run(wire.completed())}.items():
        with pytest.raises(KeyboardInterrupt):
            cli("-", stdin=stdin)
        assert ["├─ ✓ 0 tool calls  9 s  23 tokens", f" {end}  9 s  23 tokens (20 in, 3 out)"] == (
            b"".join(out).decode().replace("└─ !", "").replace("└─ ✓", "").splitlines()[1:]
        )
        out.clear()


@POSIX
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("can_wait", [True, False])
def test_an_interrupt_is_held_where_it_can_be(monkeypatch: pytest.MonkeyPatch, *, can_wait: bool) -> None:
    if not can_wait:
        monkeypatch.setattr(interrupts, "_CAN_WAIT", False)
    seen: list[str] = []

    def interrupted() -> None:
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)  # to this thread
            seen.append("held")
            with interrupts.allowed():
                seen.append("allowed")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (["held"] if can_wait else []) == seen


def test_steps_are_printed_when_the_next_begins() -> None:
    with reading("-") as running:
        out = cast("IO[bytes]", running.stdout)
        write(running, wire.run_event("queued", "created") + wire.completed("step_1"))
        assert b"-  run_1\n" == out.readline()
        write(running, wire.created("step_2"))
        assert "├─ ✓ 0 tool calls  9 s  23 tokens\n".encode() == out.readline()
        write(
            running,
            wire.completed("step_3") + wire.created("step_4") + wire.completed("step_2") + wire.created("step_5"),
        )
        assert ["├─ ✓ 0 tool calls  9 s  23 tokens\n".encode()] * 2 == [out.readline(), out.readline()]
        cast("IO[bytes]", running.stdin).close()
        assert ["├─ · 0 tool calls  in_progress"] * 2 + [
            "└─ ✗ truncated  69 tokens (60 in, 9 out)"
        ] == out.read().decode().splitlines()


def test_a_step_to_which_something_came_late_is_printed_again() -> None:
    late = wire.delta("step_1", {"index": 0, "type": "mcp", "output": "late"})
    first = wire.completed("step_1", [{"type": "mcp", "name": "ping", "output": None}])
    whole = wire.run_event("queued", "created") + first + late + wire.created("step_2")
    assert ["├─ ✓ ping  mcp  9 s  23 tokens", "│  → late"] == cli("-", stdin=whole).text.splitlines()[1:3]
    later = wire.run_event("queued", "created") + first + wire.created("step_2") + late
    lines = cli("-", stdin=later).text.splitlines()
    assert "├─ ✓ ping  mcp  9 s  23 tokens" == lines[1]
    assert ["├─ ✓ ping  mcp  9 s  23 tokens", "│  → late", "├─ · 0 tool calls  in_progress"] == lines[2:-1]


def test_a_step_costs_as_much_however_many_came_before() -> None:
    def calls_for(count: int) -> int:
        stdin = run(*[wire.completed(f"step_{number}") for number in range(count)])
        return calls_made(lambda: cli("-", stdin=stdin))

    fifty, hundred, two_hundred = map(calls_for, (50, 100, 200))
    assert two_hundred - hundred < 2.1 * (hundred - fifty)


def test_a_file_is_followed_until_its_run_has_ended(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.FIRST_EVENTS[0])
    with reading("--updates", "--follow", file) as running, file.open("ab", buffering=0) as grows:
        out = cast("IO[bytes]", running.stdout)
        assert "run_updated" == json.loads(out.readline())["update"]["type"]
        grows.write(b"".join(bodies.FIRST_EVENTS[1:]) + bodies.DONE)
        while (update := json.loads(out.readline())["update"])["type"] != "body_ended":
            pass
        assert "requires_action" == update["outcome"]
        grows.write(bodies.SECOND)
        assert "completed" == json.loads(out.readlines()[-1])["update"]["outcome"]
    assert 0 == running.returncode


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_a_file_that_is_followed_is_drawn_and_can_be_interrupted(tmp_path: Path) -> None:
    file = recorded(tmp_path, bodies.FIRST)
    on = Terminal("--follow", file)
    on.until(lambda lines: "requires_action" in lines[-1])
    on.running.send_signal(signal.SIGINT)
    assert ["└─ ! requires_action", "   waits for the output of get_weather", ""] == on.end()[-3:]
    assert 128 + signal.SIGINT == on.running.returncode


# ---- Progress.


def test_work_of_more_than_a_second_shows_its_progress(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = cli("--short", shipped, terminal=(80, 24))
    assert "" == quick.err
    monkeypatch.setattr(screen, "_QUIET", 0.0)
    for option in ("--short", "--json"):
        result = cli(option, shipped, terminal=(80, 24))
        drawn = CODES.sub("", result.err)
        assert "7 files found" not in drawn.splitlines()[-1:]
        assert "1 file found" in drawn
        assert "100%  6 of 7 files" in drawn
        assert result.err.endswith("\x1b[?25h") or option == "--json"
    assert quick.out == cli("--short", shipped, terminal=(80, 24)).out
    for option in ("--text", "--updates"):
        assert "" == cli(option, shipped / "code_interpreter.sse", terminal=(80, 24)).err
    assert "0%  0 of 1 file" in CODES.sub("", cli("--short", "-", stdin=bodies.FIRST, terminal=(80, 24)).err)


# ---- Completion.


def completed_by(*words: str, shell: str = "bash") -> list[str]:
    env = {
        "_ACCUMULATOR_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return process(env=env).text.splitlines()


def test_commands_options_and_files_are_completed() -> None:
    assert ["plain,show"] == completed_by("accumulator", "sh")
    assert ["plain,--text"] == completed_by("accumulator", "--te")
    assert ["plain,--follow"] == completed_by("accumulator", "show", "--fo")
    assert ["file,run.s"] == completed_by("accumulator", "run.s")
    assert ["file,run.s"] == completed_by("accumulator", "--text", "run.s")
    assert ["plain,bash", "plain,zsh", "plain,fish"] == completed_by("accumulator", "completion", "")
    assert ["plain,--help"] == completed_by("accumulator", "--hel")


@pytest.mark.parametrize(
    "words",
    [
        "check",
        "convert",
        "convert -o",
        "diff",
        "diff a",
        "record -o",
        "record --json",
        "replay",
        "serve",
        "serve --tls-ca",
        "show",
        "table",
        "table -o",
    ],
)
def test_files_are_completed_and_not_looked_at(words: str) -> None:
    assert ["file,ev"] == completed_by("accumulator", *words.split(), "ev")


@pytest.mark.parametrize("command", ["show", "check", "replay"])
def test_what_a_file_may_be_is_seen_when_it_is_read(shipped: Path, command: str) -> None:
    with mock.patch("os.access", return_value=False):
        assert 0 == cli(command, shipped / "code_interpreter.sse").status


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(name: str) -> None:
    result = process("completion", name)
    assert (0, "") == (result.status, result.err)
    assert f"_ACCUMULATOR_COMPLETE={name}_complete" in result.text
    if shutil.which(name):
        subprocess.run([name, "-n"], input=result.out, check=True)


BASH = """
eval "$(accumulator completion bash)"
record() { printf '%s\\n' "$READLINE_LINE" >> lines; READLINE_LINE=; }
bind -x '"\\C-t": record'
"""
ZSH = """
autoload -U compinit && compinit -D -u
eval "$(accumulator completion zsh)"
record() { print -r -- "$BUFFER" >> lines; BUFFER=; }
zle -N record
bindkey '^T' record
"""
STARTED = {"bash": ["bash", "--init-file", ".zshrc", "-i"], "zsh": ["zsh", "-d", "-i"]}
"""How each shell is started interactively, with nothing but the file `.zshrc` of the current folder."""


@pytest.fixture
def folder_of_shells(tmp_path: Path) -> Path:
    """Return a folder with some files, the command in `bin`."""
    (tmp_path / "bin").mkdir()
    program = recorded(
        tmp_path / "bin", f"#!/bin/sh\nexec '{COMMAND[0]}' -m accumulator \"$@\"\n".encode(), "accumulator"
    )
    program.chmod(0o755)
    for name in ("a run,1.sse", "other.sse"):
        recorded(tmp_path, b"", name)
    return tmp_path


def shell_env(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}{os.pathsep}{ENV['PATH']}"
    return {**ENV, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "ZDOTDIR": str(folder), "TERM": "dumb"}


@POSIX
@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH)])
def test_the_tab_key_completes(folder_of_shells: Path, shell: str, script: str) -> None:
    """Each line is typed on a terminal and ended by a key that notes the line in place of running it."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    recorded(folder_of_shells, script.encode(), ".zshrc")
    controller, terminal = os.openpty()
    with subprocess.Popen(
        STARTED[shell],
        cwd=folder_of_shells,
        env=shell_env(folder_of_shells),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ):
        os.close(terminal)
        os.write(controller, b"accumulator sh\t\x14accumulator show --up\t\x14accumulator --text a\t\x14exit\n")
        while read_terminal(controller):
            pass
    os.close(controller)
    assert ["accumulator show ", "accumulator show --updates ", "accumulator --text a\\ run,1.sse "] == (
        (folder_of_shells / "lines").read_text(encoding="utf-8").replace("\\,", ",").splitlines()
    )


def test_fish_completes(folder_of_shells: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("no fish here")
    lines = ["accumulator sh", "accumulator show --te", "accumulator --text a"]
    script = "accumulator completion fish | source\n" + "\n".join(f"complete -C '{line}'" for line in lines)
    command = [fish, "--no-config", "-c", script]
    done = subprocess.run(
        command, cwd=folder_of_shells, env=shell_env(folder_of_shells), capture_output=True, check=True
    )
    assert [
        "show\tShow what happened in recorded or running runs.",
        "--text\tPrint only what the agent said, as it comes.",
        "a run,1.sse",
    ] == done.stdout.decode().splitlines()


def test_a_shell_that_is_not_known_gets_nothing() -> None:
    assert (1, b"", "") == process(env={"_ACCUMULATOR_COMPLETE": "csh_complete"})
