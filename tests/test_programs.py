"""Short programs that people write: each as few lines as here, against local servers and the recordings shipped."""

# azure-ai-agents leaves open what its methods take for a handler, and openai-python deprecates the protocol.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportDeprecated=false

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import IO, TYPE_CHECKING, Any, cast

import httpx
import pytest
from openai import OpenAI
from rich.console import Console

from accumulator import accumulate, replay, update_from_dict
from tests.command import POSIX
from tests.loopback import Loopback
from tests.recipes import capture_and_replay, fastapi_steps, live_view
from tests.terminal import CODES, Terminal
from tests.test_recipes import agents_client, player
from tests.unprintable import HOSTILE, hostile

if TYPE_CHECKING:
    from pathlib import Path

CALLS = [
    ("azure_unknown_tools", "next_departures", 4, 425),
    ("azure_unknown_tools", "azure_ai_search", 3, 1640),
    ("azure_unknown_tools", "bing_grounding", 3, 1640),
    ("azure_unknown_tools", "fares_get_fare", 3, 1640),
    ("code_interpreter", "code_interpreter", 6, 331),
    ("error", "lookup_order", None, None),
    ("file_search", "file_search", 2, 931),
    ("parallel_functions_1", "get_forecast", None, None),
    ("parallel_functions_1", "convert_currency", None, None),
    ("parallel_functions_2", "get_forecast", 6, 229),
    ("parallel_functions_2", "convert_currency", 6, 229),
    ("truncated", "code_interpreter", None, None),
]


def test_a_table_of_all_calls_of_a_folder_in_polars(shipped: Path) -> None:
    pytest.importorskip("polars", reason="needs Polars, of the extra dev")
    pytest.importorskip("pandas", reason="needs pandas, of the extra dev")
    from tests.recipes.calls_table import polars_table

    table = polars_table(shipped)
    assert ["file", "seconds", "tokens", "name", "input", "output"] == table.columns
    assert CALLS == table.select("file", "name", "seconds", "tokens").rows()
    assert "Zürich: 6.67 °C\nGenève: 8.83 °C\n" == table["output"][4]
    assert '{"station":"Lausanne","limit":2}' == table["input"][0]


def test_a_table_of_all_calls_of_a_folder_in_pandas(shipped: Path) -> None:
    pytest.importorskip("polars", reason="needs Polars, of the extra dev")
    pytest.importorskip("pandas", reason="needs pandas, of the extra dev")
    from tests.recipes.calls_table import calls, pandas_table

    table = cast("Any", pandas_table(shipped))
    assert [(file, name) for file, name, _, _ in CALLS] == list(zip(table["file"], table["name"], strict=True))
    assert sum(seconds or 0 for _, _, seconds, _ in CALLS) == table["seconds"].sum()
    assert [row["output"] for row in calls(shipped) if row["output"]] == list(table["output"].dropna())


def test_fastapi_returns_steps_and_updates(shipped: Path) -> None:
    recording = (shipped / "code_interpreter.sse").read_bytes()
    expected = list(accumulate([recording]))
    with Loopback(player(recording, recording)) as agents:
        app = fastapi_steps.make_app(agents.url, "asst_1")

        async def ask() -> tuple[httpx.Response, httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
                return await client.post("/steps?question=x"), await client.post("/updates?question=x")

        steps, updates = asyncio.run(ask())
    assert [step.to_dict() for step in accumulate([recording]).final_run_steps()] == steps.json()
    assert expected == [update_from_dict(each) for each in updates.json()]


@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", ["code_interpreter", "file_search", "parallel_functions_2"])
def test_the_events_of_openai_are_a_source(shipped: Path, name: str) -> None:
    recording = (shipped / f"{name}.sse").read_bytes()
    with (
        Loopback(player(recording)) as agents,
        OpenAI(base_url=f"{agents.origin}/v1", api_key="none", max_retries=0) as client,
    ):
        events = client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True)
        run = accumulate(list(events)).until_done()
    expected = accumulate([recording]).until_done()
    assert expected.run_steps() == run.run_steps()
    assert (expected.text, expected.usage, expected.tool_calls()) == (run.text, run.usage, run.tool_calls())


def test_a_stream_of_azure_is_a_source(shipped: Path) -> None:
    recording = (shipped / "azure_unknown_tools.sse").read_bytes()
    with (
        Loopback(player(recording)) as agents,
        agents_client(agents) as client,
        client.runs.stream("thread_1", agent_id="asst_1") as stream,
    ):
        run = accumulate(stream).until_done()
    expected = accumulate([recording]).until_done()
    assert expected.run_steps() == run.run_steps()
    assert ["next_departures", "azure_ai_search", "bing_grounding", "fares_get_fare"] == [
        call.name for call in run.tool_calls()
    ]
    assert expected.text == run.text


def test_a_run_is_captured_while_it_is_shown_and_played_again(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, path = (shipped / "code_interpreter.sse").read_bytes(), tmp_path / "run.txt"
    request = {"assistant_id": "asst_1", "stream": True}
    with Loopback(player(recording)) as agents, httpx.Client() as client:
        captured = capture_and_replay.capture(client, agents.url, request, path)
    assert request == json.loads(agents.exchanges[0].body)
    assert captured.text == capsys.readouterr().out
    assert recording == b"".join(replay(path))
    for speed in (None, 1_000.0):
        played = capture_and_replay.play(path, speed=speed)
        assert captured.text == capsys.readouterr().out
        assert ("completed", captured.run_steps(), captured.messages()) == (
            played.outcome,
            played.run_steps(),
            played.messages(),
        )


def test_what_is_captured_of_a_run_that_was_cut_is_whole(shipped: Path, tmp_path: Path) -> None:
    recording, path = (shipped / "truncated.sse").read_bytes(), tmp_path / "run.txt"
    with Loopback(player(recording)) as agents, httpx.Client() as client:
        captured = capture_and_replay.capture(client, agents.url, {}, path)
    assert ("truncated", recording) == (captured.outcome, b"".join(replay(path)))
    assert captured.run_steps() == capture_and_replay.play(path).run_steps()


@POSIX
def test_a_live_view_shows_a_run_while_it_is_written(shipped: Path) -> None:
    recording = (shipped / "parallel_functions_2.sse").read_bytes()
    cut = recording.index(b"\n\n", recording.index(b"Himmel")) + 2
    beginning, rest = recording[:cut], recording[cut:]
    on = Terminal(command=[sys.executable, live_view.__file__])
    cast("IO[bytes]", on.running.stdin).write(beginning)
    lines = on.until(lambda lines: any("Himmel" in line for line in lines))
    assert "run: running" == lines[0]
    assert '│   │   └── {"max":[9.5,11.0,8.0],"sky":"bewölkt"}' in lines
    cast("IO[bytes]", on.running.stdin).write(rest)
    cast("IO[bytes]", on.running.stdin).close()
    assert [
        "run: completed",
        "├── tool_calls: completed, 6 s",
        "│   ├── get_forecast",
        '│   │   {"city":"Zürich","unit":"celsius","days":3}',
        '│   │   └── {"max":[9.5,11.0,8.0],"sky":"bewölkt"}',
        "│   └── convert_currency",
        '│       {"amount":250.0,"from":"CHF","to":"JPY"}',
        '│       └── {"amount":46812.5,"rate":187.25}',
        "├── message_creation: completed, 2 s",
        "└── Zürich bekommt 9,5, 11 und 8 °C bei bewölktem Himmel. 250 CHF sind heute 46",
        "    812,50 ¥.",
        "",
    ] == on.end()


def test_nothing_that_a_server_sends_gets_out_of_a_live_view() -> None:
    text = f"{HOSTILE}[bold]x[/]\x1b]8;;http://x\x1b\\link :smile:"
    call = {"type": "function", "function": {"name": text, "arguments": text, "output": text}}
    step = {"id": "step_1", "status": text, "step_details": {"type": "tool_calls", "tool_calls": [call]}}
    message = {"id": "msg_1", "content": [{"type": "text", "text": {"value": text}}]}
    events = [("thread.run.step.completed", step), ("thread.message.completed", message)]
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    live_view.watch(events, console)
    drawn = cast("io.StringIO", console.file).getvalue()
    assert "[bold]x[/]" in drawn
    assert [] == hostile(CODES.sub("", drawn).replace("\n", ""))
