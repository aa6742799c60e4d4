"""Every recipe does what it says, against real servers and with the recordings that are shipped."""

# azure-ai-agents leaves open what its methods take for a handler.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx
import pytest
import uvicorn
from azure.ai.agents import AgentsClient
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import SansIOHTTPPolicy
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from accumulator import (
    Accumulator,
    FunctionToolCall,
    Limits,
    SSEParser,
    TextContentBlock,
    TruncatedError,
    aaccumulate,
    accumulate,
    tap,
)
from tests import wire
from tests.loopback import PATIENCE, Loopback
from tests.recipes import (
    azure_agents,
    capture_and_replay,
    fastapi_steps,
    live_view,
    openai_streaming_response,
    opentelemetry_spans,
    starlette_proxy,
)
from tests.recipes.opentelemetry_spans import RunSpans
from tests.recipes.starlette_proxy import RunResponse, make_app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from azure.core.credentials import TokenCredential
    from opentelemetry.sdk.trace import ReadableSpan
    from starlette.applications import Starlette
    from starlette.types import Message

    from accumulator import Message as MessageObject
    from tests.loopback import Exchange


def test_every_recipe_is_run() -> None:
    folder = Path(__file__).parent / "recipes"
    run = {
        azure_agents,
        capture_and_replay,
        fastapi_steps,
        live_view,
        openai_streaming_response,
        opentelemetry_spans,
        starlette_proxy,
    }
    # The table needs what may not be installed: `test_programs` imports it.
    files = {*(Path(str(module.__file__)) for module in run), folder / "calls_table.py"}
    assert {path for path in folder.glob("*.py") if not path.name.startswith("test_")} == files


def test_the_manual_links_to_every_recipe() -> None:
    manual = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    recipes = {path.name for path in (Path(__file__).parent / "recipes").iterdir() if path.is_file()}
    assert recipes == set(re.findall(r"\]\(tests/recipes/([\w.]+)\)", manual))


def player(*bodies: bytes) -> Callable[[Exchange], None]:
    """Return a script that answers each request with the next body."""
    left = iter(bodies)

    def play(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(next(left))
        exchange.end()

    return play


def text_of(message: MessageObject) -> str:
    blocks = [block for block in message.content if isinstance(block, TextContentBlock)]
    return "".join(block.text.value or "" for block in blocks if block.text)


# Starlette.


@contextmanager
def serving(app: Starlette) -> Generator[str]:
    """Serve an application with uvicorn in a thread, and give its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            # Connections wait in the listener until the server takes them.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browsing(script: Callable[[Exchange], None], **headers: str) -> Generator[tuple[Loopback, httpx.Response]]:
    """Ask the recipe's endpoint as a browser does, with a server behind it that answers by a script."""
    with (
        Loopback(script) as agents,
        serving(make_app(agents.url, "asst_1")) as address,
        httpx.Client(timeout=PATIENCE) as browser,
        browser.stream("GET", f"{address}/chat?question=Was%20sagt%20die%20Börse?", headers=headers) as response,
    ):
        yield agents, response


def seen(body: bytes) -> list[tuple[str, dict[str, object]]]:
    return [(event.event, json.loads(event.data)) for event in SSEParser().feed(body)]


def test_starlette_sends_a_browser_the_whole_run(shipped: Path) -> None:
    with browsing(player((shipped / "code_interpreter.sse").read_bytes())) as (agents, response):
        events = seen(response.read())
    assert (200, "text/event-stream; charset=utf-8") == (response.status_code, response.headers["content-type"])
    assert {
        "assistant_id": "asst_1",
        "stream": True,
        "additional_messages": [{"role": "user", "content": "Was sagt die Börse?"}],
    } == json.loads(agents.exchanges[0].body)
    run = accumulate([(shipped / "code_interpreter.sse").read_bytes()]).until_done()
    tool_step = run.run_steps()[0]
    call = {"step": tool_step.id, "index": 0}
    assert [
        ("tool", {**call, "type": "code_interpreter"}),
        ("result", {**call, "call": tool_step.tool_calls[0].to_dict()}),
        ("end", {"outcome": "completed"}),
    ] == [(name, data) for name, data in events if name != "text"]
    [message] = run.messages()
    texts = [data for name, data in events if name == "text"]
    assert {message.id} == {data["message"] for data in texts}
    assert text_of(message) == "".join(str(data["text"]) for data in texts)


def begun(recording: Path, events: int) -> bytes:
    """Return the first events of a recording."""
    return b"".join(block + b"\n\n" for block in recording.read_bytes().split(b"\n\n")[:events])


def test_starlette_closes_upstream_when_the_browser_leaves_a_silent_run(shipped: Path) -> None:
    def think(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(begun(shipped / "code_interpreter.sse", 10))
        exchange.wait_closed()

    with browsing(think) as (agents, response):
        texts = response.iter_text()  # held: an iterator that is dropped closes the connection
        assert any("event: tool\n" in text for text in texts)
        assert not agents.client_closed.is_set()
        response.close()
        assert agents.client_closed.wait(PATIENCE)


def test_starlette_closes_upstream_when_the_browser_leaves_a_run_in_full_flow() -> None:
    fragment = wire.event(
        "thread.message.delta",
        {"id": "msg_1", "delta": {"content": [{"index": 0, "type": "text", "text": {"value": "." * 10_000}}]}},
    )

    def talk(exchange: Exchange) -> None:
        exchange.head()
        with suppress(ConnectionError):
            while True:
                exchange.chunk(fragment)
        agents.client_closed.set()

    with browsing(talk) as (agents, response):
        texts = response.iter_text()
        assert any("event: text\n" in text for text in texts)
        assert not agents.client_closed.is_set()
        response.close()
        assert agents.client_closed.wait(PATIENCE)


def test_starlette_closes_upstream_when_the_browser_leaves_in_the_midst_of_a_chunk(shipped: Path) -> None:
    """The generator stands at its `yield`, and something still holds what is to be closed."""

    async def events() -> AsyncGenerator[bytes]:
        yield (shipped / "code_interpreter.sse").read_bytes()

    async def leave() -> list[str]:
        seen = ["open"]
        upstream = AsyncExitStack()
        upstream.callback(seen.append, "closed")
        sending = asyncio.Event()

        async def receive() -> Message:
            await sending.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                sending.set()
                await asyncio.Event().wait()

        response = RunResponse(aaccumulate(events()), upstream)
        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
        return seen

    assert ["open", "closed"] == asyncio.run(leave())


def test_starlette_says_that_a_run_was_cut(shipped: Path) -> None:
    def drop(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(begun(shipped / "code_interpreter.sse", 10))

    with browsing(drop) as (_, response):
        assert ["tool", "end"] == [name for name, _ in seen(response.read())]
        assert ("end", {"outcome": "truncated"}) == seen(response.read())[-1]


def test_starlette_tells_a_browser_its_place_before_anything_came(shipped: Path) -> None:
    with browsing(player((shipped / "code_interpreter.sse").read_bytes())) as (_, response):
        assert response.read().startswith(b"id: 0\n\n")


def test_starlette_says_that_a_run_cannot_be_read_on() -> None:
    async def events() -> AsyncGenerator[bytes]:
        yield wire.created() + b": " + b"x" * 2_000

    async def sent() -> list[str]:
        stream = aaccumulate(events(), limits=Limits(max_event_size=1_000))
        return [text async for text in starlette_proxy.browser_events(stream)]

    end = {"outcome": "truncated", "error": "LimitError"}
    assert ("end", end) == seen("".join(asyncio.run(sent())).encode())[-1]


def test_starlette_starts_no_run_without_a_question() -> None:
    with Loopback(player()) as agents, serving(make_app(agents.url, "asst_1")) as address:
        answers = [httpx.get(f"{address}/chat"), httpx.head(f"{address}/chat?question=x")]
        assert ([400, 400], []) == ([answer.status_code for answer in answers], agents.exchanges)


def test_starlette_says_that_the_agents_server_refused() -> None:
    with browsing(lambda exchange: exchange.head("429 Too Many Requests", chunked=False)) as (_, response):
        assert (502, {"error": "ResponseError"}) == (response.status_code, json.loads(response.read()))


def test_starlette_starts_no_second_run_for_a_browser_that_asks_again() -> None:
    with browsing(player(), **{"Last-Event-ID": "17"}) as (agents, response):
        assert (204, b"", []) == (response.status_code, response.read(), agents.exchanges)


# A run over two bodies, with the SDKs as clients.

OUTPUTS = {
    "get_forecast": '{"max":[9.5,11.0,8.0],"sky":"bewölkt"}',
    "convert_currency": '{"amount":46812.5,"rate":187.25}',
}

ARGUMENTS = {
    "get_forecast": {"city": "Zürich", "unit": "celsius", "days": 3},
    "convert_currency": {"amount": 250.0, "from": "CHF", "to": "JPY"},
}


def call_function(call: FunctionToolCall) -> str:
    assert call.function is not None
    arguments = call.function.parse_arguments()
    name = str(call.function.name)
    assert ARGUMENTS[name] == arguments
    return OUTPUTS[name]


def two_bodies(shipped: Path) -> tuple[bytes, bytes]:
    first, second = (shipped / f"parallel_functions_{number}.sse" for number in (1, 2))
    return first.read_bytes(), second.read_bytes()


def check_both_bodies(run: Accumulator, agents: Loopback, shipped: Path) -> None:
    """Hold a run to what both recordings together give, and its requests to what the server has to be told."""
    expected = accumulate(two_bodies(shipped)).until_done()
    assert expected.run_steps() == run.run_steps()
    assert expected.messages() == run.messages()
    assert ("completed", ()) == (run.outcome, run.problems)
    start, submit = agents.exchanges
    assert run.current_run is not None
    assert f"/threads/thread_1/runs/{run.current_run.id}/submit_tool_outputs" in submit.request_line
    calls = run.run_steps()[0].tool_calls
    outputs = [
        {"tool_call_id": call.id, "output": call.function.output}
        for call in calls
        if isinstance(call, FunctionToolCall) and call.function
    ]
    assert list(OUTPUTS.values()) == [output["output"] for output in outputs]
    assert {"stream": True, "tool_outputs": outputs} == json.loads(submit.body)
    assert {"assistant_id": "asst_1", "stream": True} == {
        key: value for key, value in json.loads(start.body).items() if value is not None
    }


@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
def test_openai_runs_functions_and_prints_the_text(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        Loopback(player(*two_bodies(shipped))) as agents,
        OpenAI(base_url=f"{agents.origin}/v1", api_key="none", max_retries=0) as client,
    ):
        run = openai_streaming_response.run_agent(client, "thread_1", "asst_1", call_function)
    check_both_bodies(run, agents, shipped)
    assert capsys.readouterr().out == text_of(run.messages()[0])


def agents_client(agents: Loopback) -> AgentsClient:
    # The policy that would ask for a token insists on TLS.
    return AgentsClient(
        agents.origin, cast("TokenCredential", AzureKeyCredential("none")), authentication_policy=SansIOHTTPPolicy()
    )


def test_azure_runs_functions_while_the_stream_goes_on(shipped: Path) -> None:
    with Loopback(player(*two_bodies(shipped))) as agents, agents_client(agents) as client:
        run = azure_agents.run_agent(client, "thread_1", "asst_1", call_function)
    check_both_bodies(run, agents, shipped)


def test_azure_handler_says_that_the_connection_was_dropped(shipped: Path) -> None:
    def drop(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(begun(shipped / "code_interpreter.sse", 10))

    with Loopback(drop) as agents, agents_client(agents) as client:
        handler = azure_agents.RunEventHandler()
        with client.runs.stream("thread_1", agent_id="asst_1", event_handler=handler):
            with pytest.raises(TruncatedError):
                handler.until_done()
            assert "truncated" == handler.run.outcome
            assert 1 == len(handler.run.run_steps())


# OpenTelemetry.


class Spans:
    """A tracer whose finished spans can be read."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def tree(self) -> list[tuple[str, str | None, str]]:
        """Return of each span, in the order of their ends, its name, its parent's name and its status."""
        names = {span.context.span_id: span.name for span in self.finished() if span.context}
        return [
            (span.name, names[span.parent.span_id] if span.parent else None, span.status.status_code.name)
            for span in self.finished()
        ]


def traced(*bodies: bytes) -> Spans:
    """Fold the bodies of a run under a span of our own."""
    spans, run = Spans(), Accumulator()
    handler = RunSpans(spans.tracer)
    with spans.tracer.start_as_current_span("run"):
        for body in bodies:
            accumulate([body], into=run, handler=handler).until_done()
    return spans


def test_opentelemetry_has_a_span_for_each_step_and_call_over_both_bodies(shipped: Path) -> None:
    spans = traced(*two_bodies(shipped))
    assert [
        ("execute_tool get_forecast", "run_step tool_calls", "UNSET"),
        ("execute_tool convert_currency", "run_step tool_calls", "UNSET"),
        ("run_step tool_calls", "run", "UNSET"),
        ("run_step message_creation", "run", "UNSET"),
        ("run", None, "UNSET"),
    ] == spans.tree()
    step, _ = accumulate(two_bodies(shipped)).final_run_steps()
    call, _, span, *_ = spans.finished()
    assert {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.call.id": step.tool_calls[0].id,
        "gen_ai.tool.name": "get_forecast",
    } == call.attributes
    assert {
        "gen_ai.agent.id": step.assistant_id,
        "gen_ai.conversation.id": step.thread_id,
        "gen_ai.usage.input_tokens": 171,
        "gen_ai.usage.output_tokens": 58,
        "run_step.id": step.id,
        "run_step.status": "completed",
    } == span.attributes


def test_opentelemetry_a_span_of_what_was_cut_is_an_error(shipped: Path) -> None:
    spans = traced((shipped / "truncated.sse").read_bytes())
    assert [
        ("execute_tool code_interpreter", "run_step tool_calls", "ERROR"),
        ("run_step tool_calls", "run", "ERROR"),
        ("run", None, "UNSET"),
    ] == spans.tree()
    assert ["the stream ended: truncated"] * 2 == [span.status.description for span in spans.finished()[:2]]


def test_opentelemetry_a_step_that_failed_says_why() -> None:
    error = {"code": "server_error", "message": "Too much."}
    failed = wire.step_event("failed", status="failed", last_error=error)
    [span, _] = traced(wire.created() + failed + wire.DONE).finished()
    assert (StatusCode.ERROR, "Too much.") == (span.status.status_code, span.status.description)


def test_opentelemetry_takes_what_a_server_sends_in_place_of_objects() -> None:
    failed = wire.step_event("failed", status="failed", last_error="boom", usage=5)
    [span, _] = traced(wire.created() + failed + wire.DONE).finished()
    assert (StatusCode.ERROR, "boom") == (span.status.status_code, span.status.description)


def test_opentelemetry_names_at_the_end_what_began_without_a_name() -> None:
    whole = wire.completed(calls=[wire.call("call_1", "f", "{}")])
    spans = traced(wire.delta("step_1", wire.fragment(0, "{}")) + whole + wire.DONE)
    call, step, _ = spans.finished()
    assert ("execute_tool f", "run_step tool_calls") == (call.name, step.name)
    assert ("f", "call_1") == tuple((call.attributes or {})[f"gen_ai.tool.{key}"] for key in ("name", "call.id"))


def test_opentelemetry_closes_the_spans_of_a_stream_that_was_left() -> None:
    spans = Spans()
    handler = RunSpans(spans.tracer)
    with tap([wire.created(), wire.DONE], handler=handler) as chunks, closing(handler):
        next(chunks)
    assert [("run_step tool_calls", None, "ERROR")] == spans.tree()


def test_opentelemetry_a_problem_is_an_event_of_its_step() -> None:
    opening = {**wire.opening(0, "call_1", "f"), "index": None}
    _, span, _ = traced(wire.created() + wire.delta("step_1", opening) + wire.DONE).finished()
    assert [("problem", "index")] == [(event.name, (event.attributes or {})["kind"]) for event in span.events]


def test_opentelemetry_goes_on_where_the_beginning_was_missed(shipped: Path) -> None:
    first, second = two_bodies(shipped)
    run = accumulate([first]).until_done()
    spans = Spans()
    accumulate([second], into=run, handler=RunSpans(spans.tracer)).until_done()
    assert [("run_step message_creation", None, "UNSET")] == spans.tree()


def test_opentelemetry_watches_what_something_else_reads(shipped: Path) -> None:
    body = (shipped / "code_interpreter.sse").read_bytes()
    chunks = [body[start : start + 1_000] for start in range(0, len(body), 1_000)]
    spans = Spans()
    assert chunks == list(tap(chunks, handler=RunSpans(spans.tracer)))
    assert ["execute_tool code_interpreter", "run_step tool_calls", "run_step message_creation"] == [
        span.name for span in spans.finished()
    ]
