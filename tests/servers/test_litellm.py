"""The LiteLLM proxy before a server that speaks the protocol: what it passes on, and what comes of it.

It reads the upstream's events with openai-python, and writes each as a block without a name, of which the data is
`{"data": ..., "event": ...}` without what is null. The end is `[DONE]` without a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import pytest

from accumulator import ResponseError, accumulate
from tests.loopback import PATIENCE, Loopback
from tests.servers.running import Call, Facts, Server, environment, fold, leave
from tests.servers.upstream import RECORDINGS, answer, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accumulator import Accumulator
    from tests.servers.running import Arguments, Fold

    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

environment("litellm")

KEY = "sk-6f1c2a9b8e7d4c3f9a0b1c2d3e4f5a6b"  # made up; the proxy does not start with one that looks like an example
HEADERS = {"Authorization": f"Bearer {KEY}"}
BEGUN = [("in_progress", "Guten ")]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Loopback]:
    with Loopback(answer) as running:
        yield running


@pytest.fixture(scope="module")
def server(upstream: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("litellm", tmp_path_factory.mktemp("litellm"), f"{upstream.origin}/v1", KEY) as running:
        yield running


@pytest.fixture
def runs(server: Server) -> str:
    return f"{server.origin}/v1/threads/thread_1/runs"


@pytest.fixture
def arguments(arguments: Arguments) -> Arguments:
    return lambda case: {"headers": HEADERS, **arguments(case)}


def objects(run: Accumulator) -> Json:
    """Return the JSON of all steps and messages, without what is null."""
    found = [item.to_dict() for item in (*run.run_steps(), *run.messages())]
    return without_nulls(cast("Json", found))


def without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_run_comes_through(run: Callable[[str], Fold], name: str) -> None:
    # Texts, one call and several, of known tools and of others, a run that waits for its tools and one that goes on.
    folded = run(name)
    direct = accumulate([recorded(name)]).until_done()
    assert objects(direct) == objects(folded.run)
    assert (direct.outcome, [*direct.problems]) == (folded.run.outcome, [*folded.run.problems])
    assert b"event: " not in folded.saved.data


def test_two_calls_at_once_wait_for_their_tools(run: Callable[[str], Fold]) -> None:
    folded = run("parallel_functions_1")
    calls = [
        Call("get_forecast", '{"city":"Zürich","unit":"celsius","days":3}'),
        Call("convert_currency", '{"amount":250.0,"from":"CHF","to":"JPY"}'),
    ]
    assert Facts("requires_action", [("tool_calls", "in_progress", calls)], open=1) == folded.facts
    action = folded.run.required_action
    assert action is not None
    assert ["call_KVHCWMw9y8lQUgR9mibv2oUt", "call_YX9xbuYF84DJf9ntn8cOwyzM"] == [call.id for call in action.tool_calls]


def test_the_outputs_of_tools_cannot_be_submitted(runs: str, way: str) -> None:
    # The proxy has no such address: a run that waits for its tools cannot go on through it.
    with pytest.raises(ResponseError) as refused:
        fold(way, f"{runs}/run_1/submit_tool_outputs", headers=HEADERS, json={"tool_outputs": [], "stream": True})
    assert 404 == refused.value.status


def test_a_length_stop(run: Callable[[str], Fold]) -> None:
    folded = run("length")
    assert Facts("incomplete", messages=[("incomplete", "Guten ")]) == folded.facts
    assert folded.run.current_run is not None
    assert folded.run.current_run.incomplete_details is not None
    assert "max_tokens" == folded.run.current_run.incomplete_details.reason


def test_a_run_that_fails(run: Callable[[str], Fold]) -> None:
    folded = run("failed")
    assert Facts("failed", messages=BEGUN, open=1) == folded.facts
    assert folded.run.current_run is not None
    assert folded.run.current_run.last_error is not None
    assert "rate_limit_exceeded" == folded.run.current_run.last_error.code


def test_an_error_in_the_stream(run: Callable[[str], Fold]) -> None:
    # The upstream's message, with a code of the proxy; no `[DONE]` follows.
    folded = run("error")
    assert (
        Facts("error", [("tool_calls", "in_progress", [Call("lookup_order", '{"order":"Ø-2291')])], open=1)
        == folded.facts
    )
    assert folded.run.error is not None
    assert ("server_error", "500") == (folded.run.error.type, folded.run.error.code)
    assert str(folded.run.error.message).startswith("The server stopped while it was working on this run")


def test_an_upstream_that_breaks_off(run: Callable[[str], Fold]) -> None:
    # The proxy makes an error of it.
    folded = run("drop")
    assert Facts("error", messages=BEGUN, open=1) == folded.facts
    assert folded.run.error is not None
    assert str(folded.run.error.message).startswith("peer closed connection")


def test_a_delta_of_a_message_that_was_not_created(run: Callable[[str], Fold]) -> None:
    # openai-python raises in the proxy, and the text is lost there.
    folded = run("delta_first")
    assert Facts("error") == folded.facts
    assert folded.run.error is not None
    assert "Encountered a message delta with no previous snapshot" == folded.run.error.message


def test_a_run_that_the_upstream_refuses(run: Callable[[str], Fold]) -> None:
    # The status is the upstream's, and its message is in the body.
    with pytest.raises(ResponseError) as refused:
        run("refuse")
    assert 429 == refused.value.status
    assert "slow down" in refused.value.body


def test_a_client_that_goes_away(server: Server, upstream: Loopback, runs: str, way: str, arguments: Arguments) -> None:
    # The proxy leaves its upstream too.
    upstream.client_closed.clear()
    own = runs.replace("thread_1", f"thread_{way}")
    folded = leave(way, own, **arguments("leave"))
    assert Facts("truncated", messages=BEGUN) == folded.facts
    server.wait_left(own)
    assert upstream.client_closed.wait(PATIENCE)
