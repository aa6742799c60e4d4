"""Short programs that people write: each as few lines as here, against local servers and the recordings shipped."""

# azure-ai-agents leaves open what its methods take for a handler, and openai-python deprecates the protocol.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportDeprecated=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from openai import OpenAI

from accumulator import accumulate, update_from_dict
from tests.loopback import Loopback
from tests.recipes import fastapi_steps
from tests.test_recipes import agents_client, player

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
