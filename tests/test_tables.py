"""Tables: rows of whatever was sent, columns of one type, files that are written whole or not at all.

What is large is imported where it is used: every process of a test run imports this module.
"""

# pyarrow's own hints are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import pytest

from accumulator import Accumulator, Limits, accumulate, archive, open_recordings
from accumulator._cli import table
from accumulator._tables import frames
from accumulator._tables.columns import LEVELS, columns_of
from accumulator._tables.files import find_files, read_apart, read_joined
from accumulator._tables.outputs import FORMATS, batched, write_table
from accumulator._tables.values import READERS, time_text
from accumulator.archive import Level, Row, rows, schema
from tests import bodies, wire
from tests.archive.corpus import archive as made_archive
from tests.archive.corpus import spoil
from tests.archive.corpus import write as write_archive
from tests.command import POSIX, cli, recorded
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from accumulator._tables.values import Type

ALL_LEVELS: list[Level] = [*LEVELS]


def read(folder: Path, level: Level = "calls") -> list[Row]:
    return list(read_apart(find_files([str(folder)]), level))


def picked(found: list[Row], *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in found]


# ---- Rows.


def test_a_call_is_a_row(shipped: Path) -> None:
    (row,) = rows(shipped / "code_interpreter.sse")
    assert {
        "file": str(shipped / "code_interpreter.sse"),
        "body": 1,
        "run": "run_w9wk7Nj6S0nh0qMGXmtt9Mwb",
        "thread": "thread_tyXCDvh05FJFmxswLAv77qYE",
        "assistant": "asst_6Xmmb9Pr1jIJCJuClibTwtHq",
        "model": "gpt-4o-mini",
        "outcome": "completed",
        "index": 0,
        "type": "code_interpreter",
        "name": "code_interpreter",
        "status": "completed",
        "error_code": None,
        "error_message": None,
        "created": datetime(2026, 6, 9, 10, 53, 22, tzinfo=UTC),
        "completed": datetime(2026, 6, 9, 10, 53, 28, tzinfo=UTC),
        "seconds": 6.0,
        "prompt_tokens": 214,
        "completion_tokens": 117,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "output": "Zürich: 6.67 °C\nGenève: 8.83 °C\n",
        "problems": 0,
        "file_error": None,
    } == {name: value for name, value in row.items() if name not in {"step", "call", "input"}}
    assert str(row["input"]).endswith("plt.show()")


def test_steps_messages_and_runs_are_rows(shipped: Path) -> None:
    path = shipped / "azure_unknown_tools.sse"
    assert [("activities", 0), ("tool_calls", 1), ("tool_calls", 3), ("message_creation", 0)] == picked(
        rows(path, "steps"), "type", "calls"
    )
    ((step, role, text),) = picked(rows(path, "messages"), "step", "role", "text")
    assert (rows(path, "steps")[3]["step"], "assistant", True) == (step, role, str(text).startswith("Der IC 5"))
    assert [(2, "completed", 4, 4, 1, 4026, 180, 15.0, text)] == picked(
        rows(path, "runs"),
        *("bodies", "outcome", "steps", "calls", "messages", "prompt_tokens", "completion_tokens", "seconds", "text"),
    )


def test_a_row_has_every_column_in_order(shipped: Path) -> None:
    for level in ALL_LEVELS:
        names = [column.name for column in columns_of(level)]
        assert all(list(row) == names for row in rows(shipped, level))
        assert names == list(rows(shipped / "nothing", level)[0])


def test_what_rows_takes(shipped: Path) -> None:
    path = shipped / "file_search.sse"
    (expected,) = rows(str(path))
    (recording,) = open_recordings(path)
    assert [expected] == rows(recording)
    with path.open("rb") as source:
        assert [{**expected, "file": None}] == rows(source)
    folded = rows(accumulate(path).until_done())
    assert [{**expected, "file": None, "body": None}] == folded  # in which body it began was not watched
    with pytest.raises(TypeError):
        rows(5)
    with pytest.raises(ValueError, match=r"expected a level .calls, steps, messages, runs., got 'tools'"):
        rows(path, cast("Level", "tools"))


def test_nothing_is_no_row() -> None:
    assert [[], [], [], []] == [rows(Accumulator(), level) for level in ALL_LEVELS]


def test_the_body_and_the_index_of_a_call_are_known() -> None:
    first = wire.delta(
        "step_1", wire.opening(7, "call_B", "g"), wire.opening(3, "call_A", "f"), wire.opening(None, "call_C", "h")
    )
    second = wire.delta("step_2", wire.opening(0, "call_D", "i"))
    assert [(1, 3, "call_A"), (1, 7, "call_B"), (1, None, "call_C"), (2, 0, "call_D")] == picked(
        rows([first + wire.DONE, second + wire.DONE]), "body", "index", "call"
    )


def test_indexes_are_those_of_the_list() -> None:
    run = Accumulator()
    run.feed(wire.delta("step_1", wire.opening(9, "call_B", "g"), wire.opening(2, "call_A", "f")))
    assert ([2, 9], []) == (run.tool_call_indexes("step_1"), run.tool_call_indexes("step_2"))
    run.feed(bodies.event("thread.run.step.created", {**bodies.step("in_progress", []), "id": "step_3"}))
    assert [] == run.tool_call_indexes("step_3")
    run.feed(bodies.event("thread.message.created", {"id": "msg_1", "object": "thread.message"}))
    whole = Accumulator()
    whole.feed(bodies.event("thread.run.step.completed", bodies.step("completed", [bodies.call("{}", "")])))
    assert [0] == whole.tool_call_indexes("step_1")


def test_the_run_of_a_body_that_goes_on_is_one(shipped: Path) -> None:
    # Its second body says `thread.run.created` again, behind the step that the approval completed.
    (recording,) = open_recordings(shipped / "azure_unknown_tools.sse")
    assert 2 == len(recording.bodies)


def test_runs_within_a_body_have_their_own_outcomes() -> None:
    def of_run(status: str, ident: str) -> bytes:
        return bodies.event(f"thread.run.{status}", {**bodies.run(status), "id": ident})

    def step(ident: str, run: str) -> bytes:
        return bodies.event("thread.run.step.created", {**bodies.step("in_progress", []), "id": ident, "run_id": run})

    source = (
        of_run("created", "run_1")
        + of_run("created", "run_2")
        + step("step_2", "run_2")
        + of_run("failed", "run_2")
        + of_run("created", "run_3")
        + step("step_4", "run_4")
        + of_run("completed", "run_1")
        + bodies.DONE
    )
    assert [
        ("run_1", "completed", 0, "asst_1"),
        ("run_2", "failed", 1, "asst_1"),
        ("run_3", "truncated", 0, "asst_1"),
        ("run_4", "completed", 1, "asst_1"),  # only its step was sent
    ] == picked(rows([source], "runs"), "run", "outcome", "steps", "assistant")
    assert ["run_2", "run_4"] == [row["run"] for row in rows([source], "steps")]


ERRORS = [
    ({"last_error": {"code": 429, "message": "Slow down."}}, "429", "Slow down."),
    ({"last_error": "overloaded"}, None, "overloaded"),
    ({"last_error": {"message": "?"}}, None, "?"),
    ({"incomplete_details": {"reason": "max_prompt_tokens"}}, "max_prompt_tokens", None),
]


@pytest.mark.parametrize(("sent", "code", "message"), ERRORS)
def test_the_error_of_a_run(sent: dict[str, object], code: str | None, message: str | None) -> None:
    source = bodies.event("thread.run.failed", {**bodies.run("failed"), **sent}) + bodies.DONE
    assert [("failed", code, message)] == picked(rows([source], "runs"), "outcome", "error_code", "error_message")


def test_the_text_of_a_run_is_what_the_agent_said() -> None:
    sent = [
        {"id": "msg_1", "role": "user", "content": [{"type": "text", "text": {"value": "Asked."}}]},
        {"id": "msg_2", "role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]},
    ]
    said = b"".join(wire.event("thread.message.completed", {**each, "run_id": "run_1"}) for each in sent)
    source = bodies.event("thread.run.completed", bodies.run("completed")) + said + bodies.DONE
    assert [(2, "I won't.")] == picked(rows([source], "runs"), "messages", "text")


def test_the_error_event_of_a_run(shipped: Path) -> None:
    assert [("error", "server_error")] == picked(rows(shipped / "error.sse", "runs"), "outcome", "error_code")
    alone = bodies.event("error", {"error": {"message": "no", "code": "c"}})
    assert [(None, "error", "c", "no", None)] == picked(
        rows([alone], "runs"), "run", "outcome", "error_code", "error_message", "file_error"
    )
    assert [] == rows([alone])


def test_problems_are_counted() -> None:
    late = bodies.FIRST + bodies.SECOND + bodies.delta({"index": 0, "function": {"arguments": "x"}})
    source = late + b"event: thread.run.step.delta\ndata: {\n\n"
    ((problems,),) = picked(rows([source], "steps"), "problems")
    assert (1, 2) == (problems, rows([source], "runs")[0]["problems"])


ODD = [
    {"usage": {"prompt_tokens": "many", "completion_tokens": 5.0, "prompt_token_details": [1]}, "created_at": "now"},
    {"usage": 5, "created_at": 10**400, "completed_at": -1},
    {"step_details": {"type": "tool_calls", "tool_calls": ["x", 5, None, {"function": 5}]}, "status": {"a": "\ud83d"}},
    {"step_details": {"type": "tool_calls", "tool_calls": "x"}, "run_id": ["r"], "type": ["a"]},
    {"step_details": {"type": "message_creation", "message_creation": {"message_id": {"a": 1}}}},
    {"step_details": "x", "last_error": [1], "thread_id": 5, "assistant_id": "\udc00a"},
    {"completed_at": True, "created_at": 253_402_300_800, "usage": {"prompt_tokens": 2**63}},
]


@pytest.mark.parametrize("sent", ODD)
def test_whatever_a_server_sends_fits_the_columns(sent: dict[str, object]) -> None:
    import pyarrow as pa

    name = f"thread.run.step.{'completed' if 'usage' in sent else 'created'}"
    payload = json.dumps({**bodies.step("in_progress", []), **sent})
    message = {"id": "msg_1", "object": "thread.message", "content": 5, "run_id": None, "status": "\ud83d\ude00"}
    source = (
        f"event: {name}\ndata: {payload}\n\nevent: thread.message.completed\ndata: {json.dumps(message)}\n\n".encode()
        + bodies.event("thread.run.completed", {**bodies.run("completed"), "model": 5, "usage": "none"})
        + bodies.DONE
    )
    for level in ALL_LEVELS:
        found = rows([source], level)
        assert found == pa.RecordBatch.from_pylist(found, schema=schema(level)).to_pylist()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "ä\ud83d\ude00", "ä😀"),
        ("text", "\ud83d", "\\ud83d"),
        ("text", 5, "5"),
        ("text", {"a": ["ö"]}, '{"a":["ö"]}'),
        ("integer", 5.0, 5),
        ("integer", 5.5, None),
        ("integer", True, None),
        ("integer", 2**63, None),
        ("number", 5, 5.0),
        ("number", "5", None),
        ("number", float("inf"), None),
        ("time", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("time", 1.5, datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
        ("time", -1, None),
        ("time", 1_790_000_000_000, None),
        ("time", None, None),
    ],
)
def test_a_value_has_the_type_of_its_column(kind: Type, value: object, expected: object) -> None:
    found = READERS[kind](value)
    assert (type(expected), expected) == (type(found), found)


def test_a_time_as_text() -> None:
    assert "2026-11-28T09:30:00Z" == time_text(datetime(2026, 11, 28, 9, 30, tzinfo=UTC))


# ---- What cannot be read.


def test_what_cannot_be_read_is_a_row_with_its_error(tmp_path: Path) -> None:
    whole = bodies.event("thread.run.created", bodies.run("queued")) + bodies.FIRST + bodies.SECOND
    for name, data in {
        "a.sse": whole,
        "b_cut.sse": whole[: len(whole) // 2],
        "c_empty.sse": b"",
        "d_binary.sse": bytes(range(256)),
        "e_page.html": b"<!doctype html><html><body>502</body></html>",
        "f_chat.sse": b'data: {"object": "chat.completion.chunk"}\n\ndata: [DONE]\n\n',
        "g_begun.sse": bodies.event("thread.run.created", bodies.run("queued")),
        "h_nothing.sse": b"event: done\ndata: [DONE]\n\n",
    }.items():
        recorded(tmp_path, data, name)
    (tmp_path / "i_gone.sse").symlink_to(tmp_path / "nowhere")
    found = picked(
        list(read_apart([str(path) for path in sorted(tmp_path.iterdir())], "calls")), "file", "name", "file_error"
    )
    assert [
        ("a.sse", "get_weather", None),
        ("b_cut.sse", "get_weather", "cut: the last body ends before its run does"),
        ("c_empty.sse", None, "an empty file"),
        ("d_binary.sse", None, found[3][2]),
        ("e_page.html", None, "an HTML page"),
        ("f_chat.sse", None, "no event of a run is in it"),
        ("g_begun.sse", None, "cut: the last body ends before its run does"),
        ("h_nothing.sse", None, "no event of a run is in it"),
        ("i_gone.sse", None, "No such file or directory"),
    ] == [(str(file).removeprefix(f"{tmp_path}/"), name, error) for file, name, error in found]
    assert "run_1" == rows(tmp_path / "g_begun.sse")[0]["run"]


def test_an_event_over_a_limit_is_told(tmp_path: Path) -> None:
    huge = bodies.event("thread.run.step.created", {"id": "step_1", "x": [0] * Limits().max_event_values})  # type: ignore[operator]
    path = recorded(tmp_path, bodies.event("thread.run.created", bodies.run("queued")) + huge + bodies.SECOND)
    ((name, error),) = picked(rows(path), "name", "file_error")
    assert ("get_weather", True) == (name, "100000" in str(error).replace(",", ""))


def test_a_source_that_breaks_is_told() -> None:
    def broken(error: Exception) -> Iterator[bytes]:
        yield bodies.FIRST_EVENTS[0]
        raise error

    class Refused:
        status_code, headers = 503, {"content-type": "text/plain"}

        def iter_bytes(self) -> Iterator[bytes]:
            return iter([b"busy"])

    assert "lost" in str(rows(broken(OSError("lost")), "runs")[0]["file_error"])
    ((run, error),) = picked(rows(Refused(), "runs"), "run", "file_error")
    assert (None, True) == (run, "503" in str(error))


def test_a_recording_that_is_damaged_says_so(tmp_path: Path, shipped: Path) -> None:
    path = tmp_path / "run.sse"
    assert 0 == cli("convert", shipped / "file_search.sse", "-o", path).status
    assert [None] == [row["file_error"] for row in rows(path)]
    path.write_bytes(path.read_bytes().replace(b"handbook", b"cookbook"))
    ((outcome, error),) = picked(rows(path), "outcome", "file_error")
    assert ("completed", "expected a body of 13907 bytes with the sha256") == (outcome, str(error)[:46])


def test_a_file_that_makes_reading_raise_takes_no_other_rows(tmp_path: Path) -> None:
    named = str(tmp_path / "a\0b.sse")  # no path: the system refuses it with a ValueError
    assert [(named, "ValueError: ")] == [
        (file, str(error)[:12]) for file, error in picked(list(read_apart([named], "calls")), "file", "file_error")
    ]
    assert [] == list(read_joined([], "calls"))
    unnamed = recorded(tmp_path, bodies.event("error", {"message": "no"}))  # it has no run to join
    assert [named, str(unnamed)] == [row["file"] for row in read_joined([named, str(unnamed)], "runs")]


# ---- Files.


def test_files_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.sse", "a/2.sse", "a/1.sse", ".hidden/x.sse", "a/.x.sse", "c[1].sse"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        recorded(tmp_path, b"", name)
    os.mkfifo(tmp_path / "pipe")

    def found(*names: str) -> list[str]:
        return [str(path).removeprefix(f"{tmp_path}/") for path in find_files(str(tmp_path / name) for name in names)]

    assert ["b.sse", "c[1].sse", "a/1.sse", "a/2.sse"] == found("")
    assert ["a/1.sse", "a/2.sse", "b.sse"] == found("*/*.sse", "b.sse")
    assert ["c[1].sse", "no", "no*"] == found("c[1].sse", "no", "no*")
    assert ["a/1.sse", "a/2.sse"] == found("[a]")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0)
    assert [(str(tmp_path / "a"), "Permission denied")] == picked(read(tmp_path), "file", "file_error")


def test_a_run_in_two_files_is_joined_where_asked(shipped: Path) -> None:
    files = list(find_files([str(shipped)]))
    done: list[int] = []
    apart = list(read_apart(files, "calls", lambda: done.append(1)))
    joined = list(read_joined(files, "calls", lambda: done.append(1)))
    assert 2 * len(files) == len(done)
    one, two = (str(shipped / f"parallel_functions_{number}.sse") for number in (1, 2))
    assert [(one, None), (one, None), (two, 46812.5), (two, 46812.5)][::2] == [
        (row["file"], None if row["output"] is None else 46812.5) for row in apart if row["file"] in {one, two}
    ][::2]
    others = [row for row in apart if row["file"] not in {one, two}]
    assert (others, [(one, 1, True), (one, 1, True)]) == (
        joined[: len(others)],
        [(row["file"], row["body"], bool(row["output"])) for row in joined[len(others) :]],
    )
    assert [2] == [row["bodies"] for row in read_joined([two, one], "runs")]


def test_a_database_that_fails_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "no.sqlite").write_text("no database")
    with pytest.raises(OSError, match="SQLite: "):
        FORMATS[".sqlite"](str(tmp_path / "no.sqlite"), "calls", [])


# ---- Columns.


@pytest.mark.parametrize("level", ALL_LEVELS)
def test_the_schema_is_that_of_the_columns(level: Level) -> None:
    import pyarrow as pa

    types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "time": pa.timestamp("ms", tz="UTC")}
    assert [(column.name, types[column.type]) for column in columns_of(level)] == [
        (field.name, field.type) for field in schema(level)
    ]
    described = [(field.metadata or {}).get(b"description") for field in schema(level)]
    assert [column.about.encode() for column in columns_of(level)] == described
    for column in columns_of(level):
        assert f"`{column.name}` ({column.type}), {column.about}" in str(archive.__doc__)
    assert "no scheme" not in str(archive.__doc__)


def test_the_columns_stay_as_they_are() -> None:
    # What was written by one version is read beside what another wrote: add at the end only.
    tokens = "prompt_tokens completion_tokens cached_tokens reasoning_tokens"
    of_run = "run thread assistant model outcome"
    of_thing = "status error_code error_message created completed seconds"
    assert {
        "calls": f"file body {of_run} step index call type name {of_thing} {tokens} input output problems file_error",
        "steps": f"file body {of_run} step type {of_thing} {tokens} calls problems file_error",
        "messages": f"file body {of_run} step message role {of_thing} text problems file_error",
        "runs": f"file bodies {of_run} {of_thing} {tokens} steps calls messages text problems file_error",
    } == {level: " ".join(column.name for column in columns) for level, columns in LEVELS.items()}


def test_rows_needs_neither_pyarrow_nor_daft() -> None:
    code = """
import sys
from accumulator.archive import rows
rows("tests/recordings")
print({"pyarrow", "daft", "httpx"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "set()\n" == done.stdout


def test_polars_and_pandas_read_the_types(tmp_path: Path, shipped: Path) -> None:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl

    polars_types = {
        "text": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "time": pl.Datetime("ms", "UTC"),
    }
    for level in ALL_LEVELS:
        write_table(str(tmp_path / "out.parquet"), level, read(shipped, level))
        frame = pl.read_parquet(tmp_path / "out.parquet")
        assert {column.name: polars_types[column.type] for column in columns_of(level)} == dict(frame.schema)
        pandas = pd.read_parquet(tmp_path / "out.parquet", dtype_backend="pyarrow")
        assert [pd.ArrowDtype(field.type) for field in schema(level)] == list(pandas.dtypes)


# ---- Outputs.

FORMULA = '=HYPERLINK("http://evil")'


def hostile() -> list[Row]:
    calls = [
        bodies.call(text, text) | {"id": f"call_{n}"}
        for n, text in enumerate([FORMULA, "'", "-1", 'a\0\r\n,"', "", "\uff1d1", "10%\r100%"])
    ]
    return rows(
        [bodies.event("thread.run.step.completed", bodies.step("completed", list(calls))) + bodies.SECOND_EVENTS[1]]
    )


def as_text(row: Row) -> dict[str, object]:
    return {name: time_text(value) if isinstance(value, datetime) else value for name, value in row.items()}


def test_every_format_holds_the_rows(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    found = hostile()
    assert 7 == len(found)
    for suffix in FORMATS:
        write_table(str(tmp_path / f"out{suffix}"), "calls", found)
    assert found == pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert schema() == pq.read_schema(tmp_path / "out.parquet")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(map(as_text, found)) == [json.loads(line) for line in lines]
    with closing(sqlite3.connect(tmp_path / "out.sqlite")) as database:
        cursor = database.execute("SELECT * FROM calls")
        names = [each[0] for each in cursor.description]
        assert list(map(as_text, found)) == [dict(zip(names, row, strict=True)) for row in cursor]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    outputs = [f"'{FORMULA}", "''", "'-1", 'a\0\r\n,"', "", "'\uff1d1", "10%\r100%"]
    assert outputs == [row["output"] for row in cells]
    assert '"10%\r100%"' in (tmp_path / "out.csv").read_bytes().decode()
    read_back = [
        {name: cell.removeprefix("'") if cell[:1] == "'" else cell for name, cell in row.items()} for row in cells
    ]
    assert [{n: "" if v is None else str(v) for n, v in as_text(row).items()} for row in found] == read_back


@POSIX
def test_an_output_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")

    def broken() -> Iterator[Row]:
        yield from rows(ROOT / "tests" / "recordings")
        raise KeyboardInterrupt

    for suffix in FORMATS:
        with pytest.raises(KeyboardInterrupt):
            write_table(str(path.with_suffix(suffix)), "calls", broken())
    assert (["out.csv"], "before") == ([each.name for each in tmp_path.iterdir()], path.read_text())
    link = tmp_path / "link.CSV"
    link.symlink_to(path)
    write_table(str(link), "runs", [])
    assert (True, "file,bodies,run,") == (link.is_symlink(), path.read_text()[:16])
    with pytest.raises(IsADirectoryError):
        write_table(str(tmp_path), "runs", [])


@POSIX
def test_an_output_has_the_mode_of_other_files_and_keeps_that_of_the_one_before(tmp_path: Path) -> None:
    new, kept = tmp_path / "new.csv", tmp_path / "kept.csv"
    kept.touch()
    kept.chmod(0o604)
    mask = os.umask(0o027)
    try:
        for path in (new, kept):
            write_table(str(path), "runs", [])
    finally:
        os.umask(mask)
    assert [0o640, 0o604] == [path.stat().st_mode & 0o777 for path in (new, kept)]


def test_times_have_milliseconds_in_every_format(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    step = {**bodies.step("completed", []), "created_at": 1_700_000_000.123456}
    found = rows([bodies.event("thread.run.step.completed", step) + bodies.SECOND_EVENTS[1]], "steps")
    for suffix in (".parquet", ".jsonl"):
        write_table(str(tmp_path / f"out{suffix}"), "steps", found)
    [row] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC) == row["created"] == found[0]["created"]
    assert "2023-11-14T22:13:20.123Z" == json.loads((tmp_path / "out.jsonl").read_text())["created"]


def test_rows_come_in_batches_of_a_bounded_size() -> None:
    row: Row = {"a": "x" * 1_000_000, "b": None}
    assert [34, 34, 2] == [len(batch) for batch in batched([row] * 70)]
    assert [10_000, 1] == [len(batch) for batch in batched([{**row, "a": None}] * 10_001)]
    assert [] == list(batched([]))


# ---- The command.


def test_the_command_writes_a_file(tmp_path: Path, shipped: Path) -> None:
    import pyarrow.parquet as pq

    for suffix in FORMATS:
        result = cli("table", shipped, "-o", tmp_path / f"out{suffix}", "--level", "runs")
        told = "accumulator: 1 file could not be read whole, see the column file_error\n"
        assert (1, b"", told) == (result.status, result.out, result.err)
    assert rows(shipped, "runs") != []
    assert list(read_apart(find_files([str(shipped)]), "runs")) == pq.read_table(tmp_path / "out.parquet").to_pylist()
    whole = cli("table", shipped / "file_search.sse", "-o", tmp_path / "out.jsonl")
    assert (0, b"", "") == (whole.status, whole.out, whole.err)


def test_the_command_prints_a_table(shipped: Path) -> None:
    result = cli("table", *sorted(shipped.glob("p*.sse")), "--level", "runs", "--join")
    name = f"…{str(shipped / 'parallel_functions_1.sse')[-27:]}"
    assert (
        0,
        [
            f"{'file':28}  {'run':16}  outcome    status     error_code  seconds  steps  calls  problems  file_error",
            f"{name}  run_nkI1pqEn5gA…  completed  completed                   12      2      2         0",
        ],
    ) == (result.status, result.text.splitlines())
    on_terminal = cli("table", shipped, terminal=(40, 10))
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in on_terminal.text.splitlines()]
    assert (13, 40) == (len(lines), max(map(len, lines)))


def test_cells_are_cut_and_on_one_line(tmp_path: Path) -> None:
    call = bodies.call("\x1b[31m界" * 40, None)
    path = recorded(
        tmp_path, bodies.event("thread.run.step.completed", bodies.step("completed", [call])) + bodies.SECOND_EVENTS[1]
    )
    text = cli("table", path).text
    assert ("\x1b" in text, "\\u001b[31m界\\u001b[31m界\\u001b[…" in text) == (False, True)


def test_filters_leave_out_the_other_rows(shipped: Path) -> None:
    def names(*options: str) -> tuple[int, list[str]]:
        result = cli("table", shipped, *options)
        return result.status, re.findall("get_forecast|lookup_order|code_interpreter(?!\\.)", result.text)

    assert (1, ["get_forecast"] * 2) == names("--tool", "get_forecast")
    assert (1, ["get_forecast"]) == names("--tool", "get_forecast", "--status", "completed")
    assert (1, ["code_interpreter"]) == names("--outcome", "truncated")
    assert (1, ["lookup_order", "code_interpreter"]) == names("--outcome", "truncated", "--outcome", "error")
    assert (1, []) == names("--tool", "none")


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, told in [
        ((shipped, "--level", "runs", "--tool", "f"), "expected a level with the column name, got runs."),
        ((shipped, "-o", "out.xls"), "expected OUT to end with .parquet, .csv, .jsonl, .sqlite, got out.xls."),
        (("s3://b/", "--engine", "local"), "expected paths of this machine with --engine local, got s3://b/."),
        ((tmp_path / "empty",), f"expected files, got none in {tmp_path / 'empty'}."),
        ((shipped, "--level", "tools"), "Invalid value for '--level'"),
    ]:
        result = cli("table", *arguments)
        assert (2, b"", True) == (result.status, result.out, told in result.err), result.err
    result = cli("table", shipped, "-o", tmp_path / "no" / "out.csv")
    assert (2, f"{tmp_path / 'no' / 'out.csv'}: expected to be able to write this file: No such file") == (
        result.status,
        result.err[: len(str(tmp_path)) + 65],
    )
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = cli("table", shipped, "-o", tmp_path / "out.parquet")
    needed = "accumulator: expected pyarrow to be installed: pip install 'delta-accumulator[archive]'\n"
    assert (2, needed) == (result.status, result.err)


@pytest.mark.parametrize("engine", ["local", "daft"])
def test_the_output_of_the_last_time_is_no_input(tmp_path: Path, shipped: Path, engine: str) -> None:
    recorded(tmp_path, (shipped / "file_search.sse").read_bytes(), "a.sse")
    path, written = tmp_path / "out.csv", list[str]()
    for _ in range(2):
        assert 0 == cli("table", tmp_path, "--engine", engine, "-o", path).status
        written.append(path.read_text(encoding="utf-8"))
    assert written[0] == written[1]


@pytest.mark.parametrize("engine", ["local", "daft"])
def test_a_file_that_is_found_twice_is_read_once(tmp_path: Path, shipped: Path, engine: str) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        name = f"parallel_functions_{number}.sse"
        recorded(tmp_path / "in", (shipped / name).read_bytes(), name)
    path = tmp_path / "out.jsonl"
    given = ("table", tmp_path / "in", tmp_path / "in", "--engine", engine, "--level", "runs", "-o", path)
    for options, bodies_of in (((), [1, 1]), (("--join",), [2])):
        assert 0 == cli(*given, *options).status
        assert bodies_of == [json.loads(line)["bodies"] for line in path.read_text(encoding="utf-8").splitlines()]


@POSIX
@pytest.mark.parametrize("engine", ["local", "daft"])
def test_a_name_may_be_no_text(tmp_path: Path, shipped: Path, engine: str) -> None:
    (tmp_path / "in").mkdir()
    name = os.fsdecode(b"\xff.sse")
    recorded(tmp_path / "in", (shipped / "file_search.sse").read_bytes(), name)
    path = tmp_path / "out.jsonl"
    assert 0 == cli("table", tmp_path / "in", "--engine", engine, "--level", "runs", "-o", path).status
    assert "completed" == json.loads(path.read_text(encoding="utf-8"))["outcome"]


def test_a_url_without_files_is_told(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "takes_processes", bool)  # Daft leaves the pipes of its processes open
    path = tmp_path / "out.csv"
    for urls in ((f"file://{tmp_path}/none.sse",), (f"file://{shipped}/", f"file://{tmp_path}/none.sse")):
        result = cli("table", *urls, "-o", path)
        assert (2, True, False) == (result.status, f"got none in {urls[-1]}." in result.err, path.exists())
    assert 0 == cli("table", f"file://{shipped}/file_search.sse", f"file://{shipped}/file_sea*", "-o", path).status


def test_progress_is_shown_on_a_terminal(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accumulator._cli.screen._QUIET", 0.0)
    result = cli("table", shipped, "-o", tmp_path / "out.csv", terminal=(80, 24))
    assert (True, 1) == (" of 7 files" in result.err, result.err.count("could not be read whole"))


# ---- Daft.


def test_daft_has_the_same_rows(shipped: Path, tmp_path: Path) -> None:
    odd = [
        recorded(tmp_path, (shipped / "file_search.sse").read_bytes(), name)
        for name in ("a b.sse", "x%20y.sse", "x y.sse")
    ]
    paths = [str(shipped), *map(str, odd), str(tmp_path / "none")]
    for level in ALL_LEVELS:
        frame = archive.read(paths, level)
        assert [
            (column.name, str(field.dtype)) for column, field in zip(columns_of(level), frame.schema(), strict=True)
        ] == [
            (
                column.name,
                {"text": "String", "integer": "Int64", "number": "Float64", "time": "Timestamp[ms; UTC]"}[column.type],
            )
            for column in columns_of(level)
        ]
        assert list(read_apart(find_files(paths), level)) == frame.to_arrow().to_pylist()


def test_daft_joins_the_same_runs(shipped: Path) -> None:
    def ordered(found: list[Row]) -> list[Row]:
        return sorted(found, key=lambda row: (str(row["file"]), str(row["index"])))

    expected = list(read_joined(list(find_files([str(shipped)])), "calls"))
    found = cast("list[Row]", archive.read(shipped, join=True).to_arrow().to_pylist())
    assert ordered(expected) == ordered(found)


def test_the_command_asks_daft(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    local = cli("table", shipped, "-o", path, "--engine", "local")
    expected = path.read_bytes()
    assert (1, b"") == (local.status, local.out)
    monkeypatch.setattr(table, "DAFT_FROM", 7)
    asked = cli("table", shipped, "-o", path)
    assert (1, expected, local.err) == (asked.status, path.read_bytes(), asked.err)
    failed = cli("table", "nowhere://a/b", "-o", path)
    assert (2, True, expected) == (
        failed.status,
        failed.err.startswith("accumulator: expected Daft to read"),
        path.read_bytes(),
    )
    monkeypatch.setitem(sys.modules, "daft", None)
    assert 1 == cli("table", shipped, "-o", path).status  # by itself
    missing = cli("table", shipped, "-o", path, "--engine", "daft")
    assert (2, True) == (missing.status, "expected daft to be installed" in missing.err)


def test_a_cluster_gets_the_files_in_parts(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import daft

    monkeypatch.setattr(daft, "get_or_infer_runner_type", lambda: "ray")
    for path, count in ((shipped, 12), (shipped / "error.sse", 1)):
        with pytest.warns(
            UserWarning, match="into_partitions not supported on the NativeRunner"
        ):  # which is asked here
            frame = archive.read(path)
        assert count == frame.count_rows()


def test_a_frame_of_a_bucket_is_listed_when_it_is_read(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (True, False) == (frames.takes_processes(None), frames.takes_processes(64))
    monkeypatch.setattr(frames, "takes_processes", bool)
    frame = archive.read([f"file://{shipped}/", str(shipped / "error.sse")], "runs")
    found = sorted(
        (str(file).removeprefix("file://"), outcome)
        for file, outcome in picked(cast("list[Row]", frame.to_arrow().to_pylist()), "file", "outcome")
    )
    assert sorted(
        picked(rows(shipped / "error.sse", "runs") + read(shipped, "runs"), "file", "outcome"), key=str
    ) == sorted(found, key=str)
    alone = archive.read(f"file://{shipped}/er*.sse", "runs").to_arrow().to_pylist()
    assert ["error"] == [row["outcome"] for row in alone]


class Column(list[object]):
    def to_pylist(self) -> list[object]:
        return self


def test_what_batches_do_without_daft(shipped: Path) -> None:
    path = shipped / "parallel_functions_1.sse"
    run, data = "run_nkI1pqEn5gAzp7MUEOpnfonh", path.read_bytes()
    names, contents = Column(["x", "s3://b/gone"]), Column([data, None])
    assert [[run], []] == frames.batch_of_runs(names, contents)
    array = cast("Any", frames.batch_of_rows(frames.fold_files, "runs")(names, contents)).to_pylist()
    assert [["x"], ["s3://b/gone"]] == [[row["file"] for row in found] for found in array]
    assert [[], ["expected to be able to read it, Daft was not"], ["get_forecast", "convert_currency"]] == [
        [row["name"] or row["file_error"] for row in found]
        for found in frames.fold_files(
            "calls", ["x", "s3://b/gone", str(path)], [data, None, None], [[run], None, None]
        )
    ]
    other = (shipped / "parallel_functions_2.sse").read_bytes()
    ((row,),) = frames.fold_runs("runs", [run], [["s3://b/2", "s3://b/1"]], [[other, data]])
    assert ("s3://b/1", 2, "completed") == (row["file"], row["bodies"], row["outcome"])


# ---- Made archives.


def test_a_made_archive_is_the_same_each_time(tmp_path: Path) -> None:
    files = list(made_archive(14))
    assert sum(len(data) for _, data in files) == write_archive(tmp_path, 14)
    assert 12 == len({row["run"] for row in rows(tmp_path, "runs")})
    assert [data for _, data in files] == [path.read_bytes() for path in sorted(tmp_path.glob("*/*"))]


def test_one_of_a_hundred_files_of_a_made_archive_may_be_broken(shipped: Path, tmp_path: Path) -> None:
    data = (shipped / "file_search.sse").read_bytes()
    errors = [rows(recorded(tmp_path, spoil(data, number)))[0]["file_error"] for number in range(4)]
    assert ["cut: the last body ends before its run does", "an empty file", "an HTML page"] == [*errors[:2], errors[3]]
    assert [None, b""] == [None if data else data for _, data in islice(made_archive(200, broken=True), 50, 151, 100)]
