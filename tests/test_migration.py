"""Who comes from the SDKs' event handlers finds here the same facts, and the right ones where theirs are wrong.

The same streams go through the handlers of both SDKs, sync and async, and through one of ours. Each handler writes down
what it was told. Where they differ, the difference stands in `OPENAI_WRONG` or `AZURE_WRONG` with what is wrong there,
and nothing stands there that does not differ.
"""

# openai-python marks the API as deprecated; what both SDKs hand out is typed in part.
# pyright: reportDeprecated=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast, get_args

import httpx2
import openai
import pytest
from azure.ai.agents.models import AgentEventHandler, AsyncAgentEventHandler, BaseAgentEventHandler
from openai import AssistantEventHandler, AsyncAssistantEventHandler

import accumulator
from accumulator import (
    Accumulator,
    AsyncRunStream,
    Handler,
    ImageFileContentBlock,
    RunStream,
    TextContentBlock,
    TextDeltaBlock,
    TruncatedError,
    Update,
    aaccumulate,
    accumulate,
)
from tests import wire
from tests.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from azure.ai.agents import models as azure
    from openai.types.beta import AssistantStreamEvent
    from openai.types.beta.threads import ImageFile, Message, MessageDelta, Text, TextDelta
    from openai.types.beta.threads.runs import RunStep, RunStepDelta, ToolCall
    from openai.types.beta.threads.runs import ToolCallDelta as OpenAIToolCallDelta
    from pydantic import BaseModel

    from accumulator import (
        BodyEnded,
        ContentCreated,
        ContentDelta,
        ContentDone,
        ErrorReceived,
        MessageCreated,
        MessageDone,
        MessageUpdated,
        RequiresAction,
        RunStepCreated,
        RunStepDone,
        RunStepUpdated,
        RunUpdated,
        ToolCallCreated,
        ToolCallDelta,
        ToolCallDone,
        UnknownEvent,
    )
    from tests.loopback import Exchange

T = TypeVar("T")

# openai-python says at every call that the Assistants API is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")


class Recording(NamedTuple):
    """The bodies of one run, of which a file may hold several; `real` ones are not part of the project."""

    files: tuple[str, ...]
    real: bool = False


RECORDINGS = {
    "azure unknown tools": Recording(("azure_unknown_tools.sse",)),
    "code interpreter": Recording(("code_interpreter.sse",)),
    "error": Recording(("error.sse",)),
    "file search": Recording(("file_search.sse",)),
    "parallel functions": Recording(("parallel_functions_1.sse", "parallel_functions_2.sse")),
    "truncated": Recording(("truncated.sse",)),
    "azure mcp": Recording(
        ("azure-assets_mcp_streaming_1.sse", "azure-assets_mcp_streaming_2_NOMSGDELTAS.sse"), real=True
    ),
    "azure search": Recording(("azure-assets_azure_ai_search_streaming_EXCERPT.sse",), real=True),
    "openai-dotnet file search": Recording(("openai-dotnet_FileSearchStreamingWorks_1.sse",), real=True),
    "openai-dotnet tool call": Recording(
        ("openai-dotnet_StreamingToolCall_1.sse", "openai-dotnet_StreamingToolCall_2.sse"), real=True
    ),
    "openllmetry": Recording(("openllmetry_test_streaming_existing_assistant_1.sse",), real=True),
    "ruby-openai": Recording(("ruby-openai_runs_streamed_create_1.sse",), real=True),
    "simple-openai both": Recording(("simple-openai_OLD_threads_runs_create_both_stream.sse",), real=True),
    "simple-openai error": Recording(("simple-openai_threads_runs_create_stream_error_1.sse",), real=True),
}

WEATHER = wire.call("call_A", "get_weather", "{}")
CREATED = wire.created()


def streamed(*deltas: bytes, calls: list[object] | None = None) -> list[bytes]:
    """Return the body of a run with one step that calls tools."""
    ending = wire.completed(calls=calls if calls is not None else [WEATHER])
    return [b"".join([CREATED, *deltas, ending, wire.run_event("completed"), wire.DONE])]


def code(**fields: object) -> dict[str, object]:
    return {"index": 0, "type": "code_interpreter", "code_interpreter": fields}


def search(**fields: object) -> dict[str, object]:
    return {"index": 0, "type": "file_search", "file_search": fields}


def with_usage(entry: object) -> bytes:
    payload = wire.delta_payload("step_1", entry)
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    delta = {**cast("dict[str, object]", payload["delta"]), "status": "in_progress", "usage": usage}
    return wire.event("thread.run.step.delta", {**payload, "delta": delta})


LOGS = {"type": "logs", "logs": "1"}
IMAGE = {"type": "image", "image": {"file_id": "file_1"}}
CODE = {"type": "code_interpreter", "code_interpreter": {"input": "1", "outputs": [LOGS, IMAGE]}}
RANKING = {"ranker": "auto", "score_threshold": 0.5}
RESULT = {"file_id": "file_1", "file_name": "a.txt", "score": 0.5}
FOUND = {"type": "file_search", "file_search": {"ranking_options": RANKING, "results": [RESULT]}}
FIRST = wire.delta("step_1", wire.opening(0, "call_A", "get_weather"))
SECOND = wire.delta("step_1", wire.opening(1, "call_B", "get_weather"))
PLAIN = streamed(FIRST, wire.delta("step_1", wire.fragment(0, "{}")))

# Small runs, in each of which there is one thing that the one or the other SDK gets wrong.
MADE = {
    "call 1 before call 0": streamed(SECOND, FIRST, calls=[WEATHER, {**WEATHER, "id": "call_B"}]),
    "calls 0 and 2": streamed(
        FIRST,
        wire.delta("step_1", wire.opening(2, "call_C", "get_weather")),
        calls=[WEATHER, {**WEATHER, "id": "call_C"}],
    ),
    "calls take turns": streamed(
        FIRST,
        SECOND,
        *(wire.delta("step_1", wire.fragment(index, text)) for text in "{}" for index in (0, 1)),
        calls=[WEATHER, {**WEATHER, "id": "call_B"}],
    ),
    "outputs out of order": streamed(
        wire.delta("step_1", {**code(input="1", outputs=[]), "id": "call_A"}),
        wire.delta("step_1", code(outputs=[{"index": 1, **IMAGE}])),
        wire.delta("step_1", code(outputs=[{"index": 0, **LOGS}])),
        calls=[{"id": "call_A", **CODE}],
    ),
    "id and name in every fragment": streamed(
        *(wire.delta("step_1", wire.function(0, id="call_A", name="get_weather", arguments=text)) for text in "{}")
    ),
    "ranking options again": streamed(
        *(wire.delta("step_1", {**search(ranking_options=RANKING, results=[]), "id": "call_A"}) for _ in range(2)),
        calls=[{"id": "call_A", **FOUND}],
    ),
    "results without index": streamed(
        wire.delta("step_1", {**search(ranking_options=RANKING, results=[]), "id": "call_A"}),
        *(wire.delta("step_1", search(results=[RESULT])) for _ in range(2)),
        calls=[{"id": "call_A", **FOUND}],
    ),
    "second step at the same index": [
        b"".join(
            event
            for step in ("step_1", "step_2")
            for event in [
                wire.created(step),
                wire.delta(step, wire.opening(0, f"call_{step}", "get_weather")),
                wire.completed(step, [{**WEATHER, "id": f"call_{step}"}]),
            ]
        )
        + wire.DONE
    ],
    "two steps open": [
        b"".join(
            [
                *(wire.created(step) for step in ("step_1", "step_2")),
                *(wire.delta(step, wire.opening(0, f"call_{step}", "get_weather")) for step in ("step_1", "step_2")),
                *(wire.delta(step, wire.fragment(0, "{}")) for step in ("step_1", "step_2")),
                *(wire.completed(step, [{**WEATHER, "id": f"call_{step}"}]) for step in ("step_1", "step_2")),
                wire.DONE,
            ]
        )
    ],
    "cut off": [CREATED + FIRST],
    "flat error": [CREATED + FIRST + wire.event("error", {"message": "overloaded", "code": "server_error"})],
    "created again": streamed(FIRST, wire.delta("step_1", wire.fragment(0, "{")), CREATED, FIRST),
    "index -1": streamed(FIRST, wire.delta("step_1", wire.function(-1, id="call_A", arguments="{}"))),
    "type changes": streamed(FIRST, wire.delta("step_1", code(input="1"))),
    "usage and status again": streamed(FIRST, *(with_usage(wire.fragment(0, text)) for text in "{}")),
    "line ends of Windows": [PLAIN[0].replace(b"\n", b"\r\n")],
    "comment": [b": keepalive\n\n" + PLAIN[0]],
    "byte order mark": [b"\xef\xbb\xbf" + PLAIN[0]],
    "data in two lines": [PLAIN[0].replace(b'"delta":', b'\ndata: "delta":')],
}


@pytest.fixture(params=[*RECORDINGS, *MADE])
def name(request: pytest.FixtureRequest) -> str:
    return cast("str", request.param)


@pytest.fixture
def bodies(name: str, request: pytest.FixtureRequest) -> list[bytes]:
    """Return the bodies of a run, each up to its `done`."""
    if name in MADE:
        return MADE[name]
    recording = RECORDINGS[name]
    folder = cast("Path", request.getfixturevalue("recordings" if recording.real else "shipped"))
    whole = [(folder / file).read_bytes() for file in recording.files]
    return [body for file in whole for body in re.findall(rb".+?(?:data: \[DONE\]\n\n|\Z)", file, re.DOTALL)]


class Wrong(NamedTuple):
    """What an SDK gets wrong: the facts that it tells otherwise, and the bodies in which it does so.

    A body is named after its run, and numbered where the run has two.
    """

    what: str
    facts: set[str]
    bodies: set[str]


def names_of(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name} {number}" for number in range(1, count + 1)]


def standing_in(wrong: list[Wrong], body: str) -> set[str]:
    """Return the facts of a body that an SDK is known to tell otherwise."""
    return {fact for each in wrong if body in each.bodies for fact in each.facts}


def differing(told: object, here: object) -> set[str]:
    """Return the names of the facts that differ."""
    pairs = zip(vars(told).items(), vars(here).items(), strict=True)
    return {fact for (fact, theirs), (_, ours) in pairs if theirs != ours}


def async_twin(hook: Callable[..., object]) -> Callable[..., object]:
    """Make a hook of an async handler that does what one of a sync handler does."""

    async def awaited(self: object, *args: object) -> None:
        hook(self, *args)

    return awaited


def hooks_of(handler: type) -> dict[str, Callable[..., object]]:
    return {name: hook for name, hook in vars(handler).items() if name.startswith("on_")}


# openai-python.


@dataclass
class OpenAIFacts:
    """What a handler of openai-python is told of one body, and what it says in the end."""

    order: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    run_states: list[object] = field(default_factory=list[object])
    steps_done: list[object] = field(default_factory=list[object])
    step_deltas: list[object] = field(default_factory=list[object])
    steps_so_far: list[object] = field(default_factory=list[object])
    calls_created: list[object] = field(default_factory=list[object])
    call_deltas: list[object] = field(default_factory=list[object])
    calls_done: list[object] = field(default_factory=list[object])
    messages_done: list[object] = field(default_factory=list[object])
    message_deltas: list[object] = field(default_factory=list[object])
    texts_created: int = 0
    text_deltas: list[object] = field(default_factory=list[object])
    text_so_far: list[object] = field(default_factory=list[object])
    text_only: list[str] = field(default_factory=list[str])
    texts_done: list[object] = field(default_factory=list[object])
    images_done: list[object] = field(default_factory=list[object])
    errors: list[str] = field(default_factory=list[str])
    ended: int = 0
    final_run: object = None
    final_steps: object = None
    final_messages: object = None


MADE_ENDED = set(MADE) - {"cut off", "flat error"}
AFTER_AN_EXCEPTION = {"errors", "final_run", "order", "run_states", "step_deltas", "steps_done", "steps_so_far"}
OPENAI_WRONG = [
    Wrong(
        "The first delta of a call does not reach on_tool_call_delta, nor does any delta of calls that take turns.",
        {"call_deltas"},
        {
            "azure mcp 1",
            "azure search",
            "azure unknown tools 1",
            "code interpreter",
            "error",
            "file search",
            "openai-dotnet file search",
            "openai-dotnet tool call 1",
            "openllmetry",
            "parallel functions 1",
            "simple-openai both",
            "truncated",
            *MADE,
        },
    ),
    Wrong(
        "on_tool_call_done is called when another index is sent, when the step ends and again when the run ends, each "
        "time without what only the ending has; for a call of an earlier body it is called in that body.",
        {"calls_done"},
        {
            "azure mcp 1",
            "azure unknown tools 1",
            "code interpreter",
            "file search",
            "openai-dotnet file search",
            "openai-dotnet tool call 1",
            "openai-dotnet tool call 2",
            "openllmetry",
            "parallel functions 1",
            "parallel functions 2",
            "simple-openai both",
            *MADE_ENDED,
        },
    ),
    Wrong(
        "on_tool_call_created is called at every turn of calls that take turns, and never for a call of a second step "
        "at the same index.",
        {"calls_created"},
        {
            "calls take turns",
            "parallel functions 1",
            "second step at the same index",
            "simple-openai both",
            "two steps open",
        },
    ),
    Wrong(
        "The final steps are in progress, without usage, output and results. Steps of the first body are missing.",
        {"final_steps"},
        {
            "azure mcp 1",
            "azure search",
            "azure unknown tools 1",
            "code interpreter",
            "file search",
            "openai-dotnet file search",
            "openai-dotnet tool call 2",
            "openllmetry",
            "parallel functions 2",
            "ruby-openai",
            "simple-openai both",
            *MADE_ENDED,
        },
    ),
    Wrong(
        "A step that is sent twice as created is created twice.", {"order"}, {"azure unknown tools 1", "azure mcp 1"}
    ),
    Wrong(
        "A delta for a step of the first body raises KeyError, which ends the stream.",
        {
            "order",
            "run_states",
            "steps_done",
            "messages_done",
            "step_deltas",
            "steps_so_far",
            "call_deltas",
            "calls_done",
            "texts_created",
            "texts_done",
            "errors",
            "final_run",
            "final_steps",
            "final_messages",
        },
        {"azure unknown tools 2", "azure mcp 2"},
    ),
    Wrong(
        "A delta for a step of the first body raises KeyError, which ends the stream.",
        {"calls_created", "message_deltas", "text_deltas", "text_so_far", "text_only"},
        {"azure unknown tools 2"},
    ),
    Wrong(
        "An index that is not the next one raises IndexError, which ends the stream.",
        {"calls_created", *AFTER_AN_EXCEPTION},
        {"call 1 before call 0", "calls 0 and 2"},
    ),
    Wrong(
        "An entry without an index raises RuntimeError, which ends the stream.",
        AFTER_AN_EXCEPTION,
        {"results without index"},
    ),
    Wrong(
        "A byte order mark hides the name of the first event, which raises AttributeError.",
        {"calls_created", *AFTER_AN_EXCEPTION},
        {"byte order mark"},
    ),
    Wrong(
        "Outputs that arrive out of order, logs and an image, become one output that is both.",
        {"steps_so_far"},
        {"outputs out of order"},
    ),
    Wrong("An id or name that is sent again is joined to itself.", {"steps_so_far"}, {"id and name in every fragment"}),
    Wrong(
        "Ranking options that are sent again: the ranker is joined to itself, the threshold is added up.",
        {"steps_so_far"},
        {"ranking options again"},
    ),
    Wrong(
        "Usage and status that are sent again: tokens are added up, the status is joined to itself.",
        {"steps_so_far"},
        {"usage and status again"},
    ),
    Wrong(
        "A step that is sent again as created is created again, and what was folded is lost.",
        {"order", "steps_so_far"},
        {"created again"},
    ),
    Wrong(
        "An index of -1 is taken for the last call, which is created again.",
        {"calls_created", "steps_so_far"},
        {"index -1"},
    ),
    Wrong("A call whose type changes becomes a call of both types.", {"step_deltas", "steps_so_far"}, {"type changes"}),
    Wrong("An error that is not nested in an object reaches no hook.", {"errors"}, {"flat error"}),
    Wrong(
        "A character that is cut in two at the end of the stream raises UnicodeDecodeError.", {"errors"}, {"truncated"}
    ),
    Wrong("A last event without its blank line is lost, even an error.", {"errors"}, {"simple-openai error"}),
]


def json_of(model: BaseModel) -> object:
    return model.model_dump(mode="json", exclude_unset=True, warnings=False)


def folded(model: BaseModel) -> object:
    """Return a snapshot's JSON without `index`, which openai-python leaves in it, and no object of a server has."""
    return without_index(json_of(model))


def without_index(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_index(item) for key, item in value.items() if key != "index"}
    return [without_index(item) for item in value] if isinstance(value, list) else value


class TheirHandler(AssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.facts = OpenAIFacts()

    def on_event(self, event: AssistantStreamEvent) -> None:
        if event.event.startswith("thread.run.") and not event.event.startswith("thread.run.step."):
            self.facts.run_states.append(getattr(event.data, "status", None))

    def on_run_step_created(self, run_step: RunStep) -> None:
        self.facts.order.append(("run step created", run_step.id))

    def on_run_step_delta(self, delta: RunStepDelta, snapshot: RunStep) -> None:
        details = cast("dict[str, dict[str, list[object]]]", json_of(delta))["step_details"]
        self.facts.step_deltas += details["tool_calls"]
        self.facts.steps_so_far.append(folded(snapshot))

    def on_run_step_done(self, run_step: RunStep) -> None:
        self.facts.order.append(("run step done", run_step.id))
        self.facts.steps_done.append(json_of(run_step))

    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        self.facts.calls_created.append(folded(tool_call))

    def on_tool_call_delta(self, delta: OpenAIToolCallDelta, snapshot: ToolCall) -> None:
        del snapshot
        self.facts.call_deltas.append(json_of(delta))

    def on_tool_call_done(self, tool_call: ToolCall) -> None:
        self.facts.calls_done.append(folded(tool_call))

    def on_message_created(self, message: Message) -> None:
        self.facts.order.append(("message created", message.id))

    def on_message_delta(self, delta: MessageDelta, snapshot: Message) -> None:
        del snapshot
        self.facts.message_deltas += cast("dict[str, list[object]]", json_of(delta))["content"]

    def on_message_done(self, message: Message) -> None:
        self.facts.order.append(("message done", message.id))
        self.facts.messages_done.append(json_of(message))

    def on_text_created(self, text: Text) -> None:
        del text
        self.facts.texts_created += 1

    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.facts.text_deltas.append(delta.value)
        self.facts.text_so_far.append(snapshot.value)

    def on_text_done(self, text: Text) -> None:
        self.facts.texts_done.append(json_of(text))

    def on_image_file_done(self, image_file: ImageFile) -> None:
        self.facts.images_done.append(json_of(image_file))

    def on_exception(self, exception: Exception) -> None:
        self.facts.errors.append(str(exception))

    def on_end(self) -> None:
        self.facts.ended += 1


class TheirAsyncHandler(AsyncAssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.facts = OpenAIFacts()


for hook_name, sync_hook in hooks_of(TheirHandler).items():
    setattr(TheirAsyncHandler, hook_name, async_twin(sync_hook))


class OurHandler(Handler):
    """The same facts from our hooks: what each of theirs is here."""

    def __init__(self, run: Accumulator) -> None:
        self.run = run
        self.facts = OpenAIFacts()

    def on_run_updated(self, update: RunUpdated) -> None:
        self.facts.run_states.append(update.run.status)

    def on_requires_action(self, update: RequiresAction) -> None:
        self.facts.run_states.append(update.run.status)

    def on_run_step_created(self, update: RunStepCreated) -> None:
        self.facts.order.append(("run step created", update.step_id))

    def on_run_step_done(self, update: RunStepDone) -> None:
        self.facts.order.append(("run step done", update.step_id))
        self.facts.steps_done.append(update.run_step.to_dict())

    def on_tool_call_created(self, update: ToolCallCreated) -> None:
        self.facts.calls_created.append(update.tool_call.to_dict())

    def on_tool_call_delta(self, update: ToolCallDelta) -> None:
        step = self.run.run_step(update.step_id)
        assert step is not None
        self.facts.step_deltas.append(update.delta.to_dict())
        self.facts.steps_so_far.append(step.to_dict())
        self.facts.call_deltas.append(update.delta.to_dict())

    def on_tool_call_done(self, update: ToolCallDone) -> None:
        self.facts.calls_done.append(update.tool_call.to_dict())

    def on_message_created(self, update: MessageCreated) -> None:
        self.facts.order.append(("message created", update.message_id))

    def on_message_done(self, update: MessageDone) -> None:
        self.facts.order.append(("message done", update.message_id))
        self.facts.messages_done.append(update.message.to_dict())

    def on_content_created(self, update: ContentCreated) -> None:
        self.facts.texts_created += isinstance(update.content, TextContentBlock)

    def on_content_delta(self, update: ContentDelta) -> None:
        self.facts.message_deltas.append(update.delta.to_dict())
        if isinstance(update.delta, TextDeltaBlock):
            self.facts.text_deltas.append(update.delta.text.value if update.delta.text else None)
            self.facts.text_so_far.append(self.text(update))

    def text(self, update: ContentDelta) -> str | None:
        message = self.run.message(update.message_id)
        assert message is not None
        assert update.index is not None
        part = message.content[update.index]
        assert isinstance(part, TextContentBlock)
        return part.text.value if part.text else None

    def on_content_done(self, update: ContentDone) -> None:
        if isinstance(update.content, TextContentBlock):
            self.facts.texts_done.append(update.content.to_dict()["text"])
        elif isinstance(update.content, ImageFileContentBlock):
            self.facts.images_done.append(update.content.to_dict()["image_file"])

    def on_error(self, update: ErrorReceived) -> None:
        self.facts.errors.append(str(update.error.message))

    def on_end(self, update: BodyEnded) -> None:
        del update
        self.facts.ended += 1

    def finish(self) -> OpenAIFacts:
        run = self.run.current_run
        self.facts.final_run = run and run.to_dict()
        self.facts.final_steps = [step.to_dict() for step in self.run.run_steps()]
        self.facts.final_messages = [message.to_dict() for message in self.run.messages()]
        return self.facts


class OurAsyncHandler(OurHandler):
    """The same with coroutine functions for hooks."""


for hook_name, sync_hook in hooks_of(OurHandler).items():
    setattr(OurAsyncHandler, hook_name, async_twin(sync_hook))


@contextmanager
def playing(body: bytes) -> Generator[str]:
    """Serve one body, and give the base URL of the server."""

    def play(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(body)
        exchange.end()

    with Loopback(play) as server:
        yield f"{server.origin}/v1"


# Making one takes longer than all else.
TLS = ssl.create_default_context()


def told_by_openai(body: bytes) -> OpenAIFacts:
    handler = TheirHandler()
    facts = handler.facts
    transport = httpx2.Client(verify=TLS)
    with (
        playing(body) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0, http_client=transport) as client,
    ):
        runs = client.beta.threads.runs
        with (
            suppress(Exception),  # on_exception was told
            runs.stream(thread_id="thread_1", assistant_id="asst_1", event_handler=handler) as stream,
        ):
            facts.text_only.extend(stream.text_deltas)
        with suppress(RuntimeError):  # it raises where there is none
            facts.final_run = json_of(handler.get_final_run())
        facts.final_steps = [folded(step) for step in none_is_empty(handler.get_final_run_steps)]
        facts.final_messages = [folded(message) for message in none_is_empty(handler.get_final_messages)]
    return facts


def none_is_empty(get: Callable[[], list[T]]) -> list[T]:
    try:
        return get()
    except RuntimeError:
        return []


async def told_by_async_openai(body: bytes) -> OpenAIFacts:
    handler = TheirAsyncHandler()
    facts = handler.facts
    with playing(body) as url:
        transport = httpx2.AsyncClient(verify=TLS)
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=transport) as client:
            runs = client.beta.threads.runs
            with suppress(Exception):
                async with runs.stream(thread_id="thread_1", assistant_id="asst_1", event_handler=handler) as stream:
                    async for text in stream.text_deltas:
                        facts.text_only.append(text)
            with suppress(RuntimeError):
                facts.final_run = json_of(await handler.get_final_run())
            facts.final_steps, facts.final_messages = [], []
            with suppress(RuntimeError):
                facts.final_steps = [folded(step) for step in await handler.get_final_run_steps()]
            with suppress(RuntimeError):
                facts.final_messages = [folded(message) for message in await handler.get_final_messages()]
    return facts


def told_here(body: bytes, run: Accumulator) -> OpenAIFacts:
    handler = OurHandler(run)
    stream = accumulate([body], into=run, handler=handler)
    handler.facts.text_only.extend(stream.text_deltas())
    return handler.finish()


async def chunks(*bodies: bytes) -> AsyncGenerator[bytes]:
    for body in bodies:
        yield body


async def told_here_async(body: bytes, run: Accumulator) -> OpenAIFacts:
    handler = OurAsyncHandler(run)
    async for text in aaccumulate(chunks(body), into=run, handler=handler).text_deltas():
        handler.facts.text_only.append(text)
    return handler.finish()


def test_where_openai_is_right_we_say_the_same(name: str, bodies: list[bytes]) -> None:
    run = Accumulator()
    names = names_of(name, len(bodies))
    assert {body: standing_in(OPENAI_WRONG, body) for body in names} == {
        name: differing(told_by_openai(body), told_here(body, run)) for name, body in zip(names, bodies, strict=True)
    }


def test_where_async_openai_is_right_we_say_the_same(name: str, bodies: list[bytes]) -> None:
    async def read() -> dict[str, set[str]]:
        run = Accumulator()
        return {
            name: differing(await told_by_async_openai(body), await told_here_async(body, run))
            for name, body in zip(names, bodies, strict=True)
        }

    names = names_of(name, len(bodies))
    assert {body: standing_in(OPENAI_WRONG, body) for body in names} == asyncio.run(read())


# azure-ai-agents.


@dataclass
class AzureFacts:
    """What a handler of azure-ai-agents is told of one run, over all its bodies."""

    order: list[object] = field(default_factory=list[object])
    steps_done: list[object] = field(default_factory=list[object])
    step_deltas: list[object] = field(default_factory=list[object])
    steps_as_sent: list[object] = field(default_factory=list[object])
    contents_done: list[object] = field(default_factory=list[object])
    message_deltas: list[object] = field(default_factory=list[object])
    text: str = ""
    unknown: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    done: int = 0


AZURE_WRONG = [
    Wrong(
        "assistant_id and expires_at of a step have other names, and its nulls are missing.",
        {"steps_as_sent"},
        {
            "azure mcp",
            "azure search",
            "azure unknown tools",
            "code interpreter",
            "file search",
            "openai-dotnet file search",
            "openai-dotnet tool call",
            "openllmetry",
            "parallel functions",
            "ruby-openai",
            "simple-openai both",
            *MADE_ENDED,
        },
    ),
    Wrong(
        "An error is the text that Python prints for a dict.",
        {"errors"},
        {"error", "flat error", "simple-openai error"},
    ),
    Wrong("An entry of another type than its call is handed out as a delta of it.", {"step_deltas"}, {"type changes"}),
    Wrong(
        "A stream with the line ends of Windows is one event, its last.",
        {"order", "step_deltas", "steps_done"},
        {"line ends of Windows"},
    ),
    Wrong(
        "A comment or a byte order mark raises ValueError, which ends the stream.",
        {"done", "order", "step_deltas", "steps_done"},
        {"byte order mark", "comment"},
    ),
    Wrong("Of data in two lines only the last is read.", {"step_deltas", "unknown"}, {"data in two lines"}),
]


class TheirAgentHandler(AgentEventHandler[None]):
    def __init__(self) -> None:
        super().__init__()
        self.facts = AzureFacts()

    def on_thread_run(self, run: azure.ThreadRun) -> None:
        self.facts.order.append(("run", run.status))

    def on_run_step(self, step: azure.RunStep) -> None:
        self.facts.order.append(("step", step.id, step.status))
        if step.status == "completed":
            self.facts.steps_done.append((step.as_dict()["step_details"], step.as_dict()["usage"]))
            self.facts.steps_as_sent.append(step.as_dict())

    def on_run_step_delta(self, delta: azure.RunStepDeltaChunk) -> None:
        self.facts.step_deltas += delta.as_dict()["delta"]["step_details"]["tool_calls"]

    def on_thread_message(self, message: azure.ThreadMessage) -> None:
        self.facts.order.append(("message", message.id, message.status))
        if message.as_dict()["content"]:
            self.facts.contents_done.append(message.as_dict()["content"])

    def on_message_delta(self, delta: azure.MessageDeltaChunk) -> None:
        self.facts.message_deltas += delta.as_dict()["delta"]["content"]
        self.facts.text += delta.text

    def on_unhandled_event(self, event_type: str, event_data: str) -> None:
        del event_data
        self.facts.unknown.append(event_type)

    def on_error(self, data: str) -> None:
        self.facts.errors.append(data)

    def on_done(self) -> None:
        self.facts.done += 1


class TheirAsyncAgentHandler(AsyncAgentEventHandler[None]):
    def __init__(self) -> None:
        super().__init__()
        self.facts = AzureFacts()


for hook_name, sync_hook in hooks_of(TheirAgentHandler).items():
    setattr(TheirAsyncAgentHandler, hook_name, async_twin(sync_hook))


class OurAgentHandler(Handler):
    """The same facts from our hooks."""

    def __init__(self) -> None:
        self.facts = AzureFacts()

    def on_run_updated(self, update: RunUpdated) -> None:
        self.facts.order.append(("run", update.run.status))

    def on_requires_action(self, update: RequiresAction) -> None:
        self.facts.order.append(("run", update.run.status))

    def on_run_step_created(self, update: RunStepCreated) -> None:
        self.facts.order.append(("step", update.step_id, update.run_step.status))

    def on_run_step_updated(self, update: RunStepUpdated) -> None:
        self.facts.order.append(("step", update.step_id, update.run_step.status))

    def on_run_step_done(self, update: RunStepDone) -> None:
        step = update.run_step.to_dict()
        self.facts.order.append(("step", update.step_id, step["status"]))
        self.facts.steps_done.append((step["step_details"], step["usage"]))
        self.facts.steps_as_sent.append(step)

    def on_tool_call_delta(self, update: ToolCallDelta) -> None:
        self.facts.step_deltas.append(update.delta.to_dict())

    def on_message_created(self, update: MessageCreated) -> None:
        self.facts.order.append(("message", update.message_id, update.message.status))

    def on_message_updated(self, update: MessageUpdated) -> None:
        self.facts.order.append(("message", update.message_id, update.message.status))

    def on_message_done(self, update: MessageDone) -> None:
        self.facts.order.append(("message", update.message_id, update.message.status))
        self.facts.contents_done.append(update.message.to_dict()["content"])

    def on_content_delta(self, update: ContentDelta) -> None:
        self.facts.message_deltas.append(update.delta.to_dict())
        if isinstance(update.delta, TextDeltaBlock) and update.delta.text is not None:
            self.facts.text += update.delta.text.value or ""

    def on_unknown_event(self, update: UnknownEvent) -> None:
        self.facts.unknown.append(update.event)

    def on_error(self, update: ErrorReceived) -> None:
        self.facts.errors.append(update.data)

    def on_end(self, update: BodyEnded) -> None:
        self.facts.done += update.outcome not in {"truncated", "error"}


class OurAsyncAgentHandler(OurAgentHandler):
    """The same with coroutine functions for hooks."""


for hook_name, sync_hook in hooks_of(OurAgentHandler).items():
    setattr(OurAsyncAgentHandler, hook_name, async_twin(sync_hook))


def no_outputs(*_: object) -> list[object]:
    """Submit nothing: the next body comes anyhow."""
    return []


def told_by_azure(bodies: list[bytes]) -> AzureFacts:
    handler = TheirAgentHandler()
    handler.initialize(iter(bodies), no_outputs)
    with suppress(ValueError):  # a character cut in two, an event without a name
        handler.until_done()
    return handler.facts


async def told_by_async_azure(bodies: list[bytes]) -> AzureFacts:
    async def submit(*_: object) -> list[object]:
        return no_outputs()

    handler = TheirAsyncAgentHandler()
    handler.initialize(chunks(*bodies), submit)
    with suppress(ValueError):
        await handler.until_done()
    return handler.facts


def test_where_azure_is_right_we_say_the_same(name: str, bodies: list[bytes]) -> None:
    ours = OurAgentHandler()
    accumulate(bodies, handler=ours).until_done()
    assert standing_in(AZURE_WRONG, name) == differing(told_by_azure(bodies), ours.facts)


def test_where_async_azure_is_right_we_say_the_same(name: str, bodies: list[bytes]) -> None:
    async def read() -> tuple[AzureFacts, AzureFacts]:
        ours = OurAsyncAgentHandler()
        await aaccumulate(chunks(*bodies), handler=ours).until_done()
        return await told_by_async_azure(bodies), ours.facts

    assert standing_in(AZURE_WRONG, name) == differing(*asyncio.run(read()))


def test_a_stream_that_is_cut_is_told_here_only() -> None:
    [body] = MADE["cut off"]
    handler = TheirAgentHandler()
    handler.initialize(iter([body]), no_outputs)
    handler.until_done()
    assert told_by_openai(body).errors == []
    with pytest.raises(TruncatedError):
        accumulate([body]).final_run_steps()


def test_what_a_hook_raises_comes_out_here_and_not_at_azure() -> None:
    class TheirFailing(AgentEventHandler[None]):
        def on_run_step(self, step: azure.RunStep) -> None:
            raise LookupError(step.id)

    class OurFailing(Handler):
        def on_run_step_created(self, update: RunStepCreated) -> None:
            raise LookupError(update.step_id)

    handler = TheirFailing()
    handler.initialize(iter(PLAIN), no_outputs)
    handler.until_done()
    with pytest.raises(LookupError, match="step_1"):
        accumulate(PLAIN, handler=OurFailing()).until_done()


@pytest.mark.parametrize("wrong", [OPENAI_WRONG, AZURE_WRONG], ids=["openai", "azure"])
def test_what_stands_as_wrong_is_of_a_recording(wrong: list[Wrong]) -> None:
    names = {body for name in [*RECORDINGS, *MADE] for body in [name, *names_of(name, 2)]}
    assert set() == {body for each in wrong for body in each.bodies} - names


# The page that says all this: a table of names and a list of what is wrong there, for each SDK.

MIGRATING = (Path(__file__).resolve().parent / "recipes" / "MIGRATING.md").read_text(encoding="utf-8")


def section(sdk: str) -> str:
    _, _, rest = MIGRATING.partition(f"\n## {sdk}\n")
    return rest.partition("\n## ")[0]


def table(sdk: str) -> dict[str, str]:
    """Return the rows of an SDK's table: the name there, and what it is here."""
    return dict(re.findall(r"^\| `(\w+)(?:\(.*?\))?` \| (.*?) \|$", section(sdk), re.MULTILINE))


@pytest.mark.parametrize(("sdk", "wrong"), [("openai-python", OPENAI_WRONG), ("azure-ai-agents", AZURE_WRONG)])
def test_the_page_lists_what_each_sdk_gets_wrong(sdk: str, wrong: list[Wrong]) -> None:
    listed = [line.removeprefix("- ").replace("`", "") for line in section(sdk).splitlines() if line.startswith("- ")]
    assert list(dict.fromkeys(each.what for each in wrong)) == listed


def public_names(handler: object) -> set[str]:
    """Return the names that a handler shows, those of what it is given when it is put to use among them."""
    if isinstance(handler, BaseAgentEventHandler):
        handler.initialize(iter(()), no_outputs)
    return {name for name in {*dir(handler), *vars(handler)} if not name.startswith("_")}


@pytest.mark.parametrize(
    ("sdk", "handler"),
    [
        ("openai-python", AssistantEventHandler),
        ("openai-python", AsyncAssistantEventHandler),
        ("azure-ai-agents", AgentEventHandler),
        ("azure-ai-agents", AsyncAgentEventHandler),
    ],
)
def test_the_table_has_every_hook_property_and_method(sdk: str, handler: Callable[[], object]) -> None:
    assert public_names(handler()) == set(table(sdk))


@pytest.mark.parametrize("sdk", ["openai-python", "azure-ai-agents"])
def test_what_the_table_names_here_is_here(sdk: str) -> None:
    here = " ".join(table(sdk).values())
    hooks = {name for name in dir(Handler) if name.startswith("on_")}
    assert set() == set(re.findall(r"`(on_\w+)\(update\)", here)) - hooks
    assert set() == set(re.findall(r"\brun\.(\w+)", here)) - set(dir(Accumulator))
    assert set() == set(re.findall(r"\bstream\.(\w+)", here)) - set(dir(RunStream)) - set(dir(AsyncRunStream))
    assert set() == set(re.findall(r"\b[A-Z]\w+(?:Block|Error)\b", here)) - set(accumulator.__all__)
    fields = {field for update in get_args(Update) for field in update.__struct_fields__}
    assert set() == set(re.findall(r"\bupdate\.(\w+)", here)) - fields
