"""Who is measured: this library, its peers, what people write by hand, and the two floors; all over the same chunks.

Each says what it claims to give, and is checked for that: `calls` (the tool calls of each step and the contents of each
message), `decode` (events, fragments and characters counted) or `events` (how many there were). What a contender needs
is imported when it is made, so that one process holds one of them. Clients are given a response of their own HTTP
library whose body is the chunks: no network, and all of their own code.
"""

# openai-python marks the API as deprecated; what both SDKs hand out is typed in part.
# pyright: reportDeprecated=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
import copy
import json
from abc import ABC, abstractmethod
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from benches import floors
from benches.workloads import MODES, SNAPSHOT_EVERY, digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx
    import httpx2
    from azure.ai.agents.models import AgentEventHandler
    from openai import AssistantEventHandler
    from openai.types.beta.threads import Message

    from accumulator import Accumulator, Update

HERE = Path(__file__).parent
Result = TypeVar("Result")
Members = dict[str, object]


class Contender(ABC, Generic[Result]):
    """Something that reads a stream: `run` is timed, `answer` says afterwards what came of it."""

    packages: ClassVar[tuple[str, ...]]
    claims: ClassVar[str]
    modes: ClassVar[tuple[str, ...]] = ("final",)

    @abstractmethod
    def run(self, chunks: list[bytes], mode: str) -> Result:
        """Read the whole stream in one of the modes."""

    @abstractmethod
    def answer(self, result: Result) -> object:
        """Return what is compared with the answer of the workload."""


class _Folds(Contender[Result]):
    """A contender that folds: its answer is a digest of calls and contents."""

    claims: ClassVar[str] = "calls"
    modes: ClassVar[tuple[str, ...]] = MODES

    def answer(self, result: Result) -> str:
        steps, messages = self.read(result)
        calls = {name: _member(step, "step_details").get("tool_calls") or [] for name, step in steps.items()}
        return digest(dict(calls), {name: each["content"] for name, each in messages.items()})

    @abstractmethod
    def read(self, result: Result) -> tuple[dict[str, Members], dict[str, Members]]:
        """Return steps and messages as JSON, by their ids."""


def _member(value: Members, name: str) -> Members:
    return cast("Members", value[name])


class Ours(_Folds["Accumulator"]):
    """`accumulate` over the chunks."""

    packages = ("delta-accumulator", "msgspec")

    def __init__(self) -> None:
        from accumulator import accumulate

        self._accumulate = accumulate

    def run(self, chunks: list[bytes], mode: str) -> Accumulator:
        stream = self._accumulate(chunks)
        if mode == "loop":
            for _ in stream:
                pass
        elif mode == "snapshot":
            for number, update in enumerate(stream):
                if number % SNAPSHOT_EVERY == 0:
                    snapshot(stream.accumulator, update)
        stream.final_run_steps()
        stream.accumulator.messages()
        return stream.accumulator

    def read(self, result: Accumulator) -> tuple[dict[str, Members], dict[str, Members]]:
        steps = {step.id: step.to_dict() for step in result.run_steps()}
        messages = {message.id: message.to_dict() for message in result.messages()}
        return steps, messages


def snapshot(run: Accumulator, update: Update) -> None:
    """Read the step or message that an update is about."""
    if (step_id := getattr(update, "step_id", None)) is not None:
        run.run_step(step_id)
    elif (message_id := getattr(update, "message_id", None)) is not None:
        run.message(message_id)


class OursAsync(Ours):
    """`aaccumulate` over an async iterator of the chunks, in one event loop for all runs."""

    def __init__(self) -> None:
        from accumulator import aaccumulate

        self._aaccumulate = aaccumulate
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()

    def run(self, chunks: list[bytes], mode: str) -> Accumulator:
        return self._runner.run(self._read(chunks, mode))

    async def _read(self, chunks: list[bytes], mode: str) -> Accumulator:
        stream = self._aaccumulate(arriving(chunks))
        if mode == "loop":
            async for _ in stream:
                pass
        elif mode == "snapshot":
            number = 0
            async for update in stream:
                if number % SNAPSHOT_EVERY == 0:
                    snapshot(stream.accumulator, update)
                number += 1
        await stream.final_run_steps()
        stream.accumulator.messages()
        return stream.accumulator


async def arriving(chunks: list[bytes]) -> AsyncIterator[bytes]:
    """Give the chunks one by one."""
    for chunk in chunks:
        yield chunk


class OpenAIPython(_Folds["AssistantEventHandler"]):
    """The SDK's `AssistantEventHandler`. Its snapshots are the object that goes on growing: reading one is free."""

    packages = ("openai", "pydantic", "httpx2")

    def __init__(self) -> None:
        import httpx2
        import openai

        self._handler = openai.AssistantEventHandler
        self._chunks = list[bytes]()
        transport = httpx2.Client(transport=httpx2.MockTransport(self._respond))
        self._client = openai.OpenAI(api_key="none", base_url="http://localhost", http_client=transport)

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=iter(self._chunks), request=request)

    def run(self, chunks: list[bytes], mode: str) -> AssistantEventHandler:
        self._chunks = chunks
        opened = self._client.beta.threads.runs.stream(
            thread_id="thread_1", assistant_id="asst_1", event_handler=self._handler()
        )
        with opened as handler:
            if mode == "final":
                handler.until_done()
            else:
                for number, event in enumerate(handler):
                    if mode == "snapshot" and number % SNAPSHOT_EVERY == 0:
                        _ = handler.current_message_snapshot if "message" in event.event else _current_step(handler)
            handler.get_final_run_steps()
        return handler

    def read(self, result: AssistantEventHandler) -> tuple[dict[str, Members], dict[str, Members]]:
        steps = {step.id: step.to_dict(mode="json") for step in result.get_final_run_steps()}
        return steps, {each.id: each.to_dict(mode="json") for each in _messages(result)}


def _current_step(handler: AssistantEventHandler) -> object:
    return handler.current_run_step_snapshot


def _messages(handler: AssistantEventHandler) -> list[Message]:
    try:
        return handler.get_final_messages()
    except RuntimeError:  # there are none
        return []


class AzureAgents(Contender[int]):
    """The SDK's `AgentEventHandler`, which decodes and does not fold."""

    packages = ("azure-ai-agents", "azure-core")
    claims = "events"
    modes = ("final", "loop")

    def __init__(self) -> None:
        from azure.ai.agents.models import AgentEventHandler

        self._handler: type[AgentEventHandler[None]] = AgentEventHandler

    def run(self, chunks: list[bytes], mode: str) -> int:  # noqa: ARG002 - its drain is its loop
        handler = self._handler()
        handler.initialize(iter(chunks), lambda _run, _handler, _last: None)
        return sum(1 for _ in handler)

    def answer(self, result: int) -> int:
        return result


class Framing(Contender[int]):
    """The floor of all: bytes split at blank lines."""

    packages = ()
    claims = "events"
    modes = MODES  # which are one: it hands out no updates

    def run(self, chunks: list[bytes], mode: str) -> int:  # noqa: ARG002 - there is one way
        return floors.framing(chunks)

    def answer(self, result: int) -> int:
        return result


class Decode(Contender[dict[str, int]]):
    """The floor of whoever looks at what comes: framing and typed decoding."""

    packages = ("msgspec",)
    claims = "decode"
    modes = MODES  # as above

    def run(self, chunks: list[bytes], mode: str) -> dict[str, int]:  # noqa: ARG002 - as above
        return floors.decode(chunks)

    def answer(self, result: dict[str, int]) -> dict[str, int]:
        return result


class State:
    """Steps and messages as a hand-written loop keeps them: what it merges into, and what an ending said."""

    def __init__(self) -> None:
        self.steps = dict[str, Members]()
        self.messages = dict[str, Members]()


class ByHand(_Folds[State]):
    """What people write: httpx-sse for the events, `json.loads`, and a merge of dicts by index."""

    packages: ClassVar[tuple[str, ...]] = ("httpx-sse", "httpx")

    def __init__(self) -> None:
        import httpx
        import httpx_sse

        self._source = httpx_sse.EventSource
        self._response = httpx.Response

    def _events(self, chunks: list[bytes]) -> Iterator[tuple[str, Members]]:
        response: httpx.Response = self._response(
            200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=iter(chunks)
        )
        for event in self._source(response).iter_sse():
            if event.data == "[DONE]":
                return
            yield event.event, json.loads(event.data)

    def run(self, chunks: list[bytes], mode: str) -> State:
        state = State()
        for number, (name, payload) in enumerate(self._events(chunks)):
            objects = state.messages if name.startswith("thread.message.") else state.steps
            if name.endswith(".delta"):
                self.merge(objects[cast("str", payload["id"])], _member(payload, "delta"))
            elif name.startswith(("thread.run.step.", "thread.message.")):
                if not name.endswith((".created", ".in_progress")) or payload["id"] not in objects:
                    objects[cast("str", payload["id"])] = payload
            else:
                continue
            if mode == "snapshot" and number % SNAPSHOT_EVERY == 0:
                self.plain(copy.deepcopy(objects[cast("str", payload["id"])]))
        for objects in (state.steps, state.messages):
            for key, whole in objects.items():
                objects[key] = cast("Members", self.plain(whole))
        return state

    def read(self, result: State) -> tuple[dict[str, Members], dict[str, Members]]:
        return result.steps, result.messages

    def merge(self, into: Members, delta: Members) -> None:
        """Merge a delta into what came before it."""
        merge_by_index(into, delta)

    def plain(self, value: object) -> object:
        """Return the lists that were merged as dicts as lists again."""
        return as_lists(value)


class Leanest(ByHand):
    """The least that is right on streams with LF and one line of data: a split at blank lines, and the same merge."""

    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        """Need nothing."""

    def _events(self, chunks: list[bytes]) -> Iterator[tuple[str, Members]]:
        rest = b""
        for chunk in chunks:
            *blocks, rest = (rest + chunk).split(b"\n\n")
            for block in blocks:
                name, _, data = block.partition(b"\ndata: ")
                if data == b"[DONE]":
                    return
                yield name[7:].decode(), json.loads(data)


# What grows is joined; `id`, `type` and `name` are sent again by some servers and must not be.
GROWING = frozenset({"arguments", "input", "output", "logs", "value"})


class Keyed(dict[int, Members]):
    """The entries of a list, by their index."""


def merge_by_index(into: Members, delta: Members) -> None:
    """Merge as people write it: texts joined, dicts merged, lists whose entries have an index kept as dicts."""
    for key, value in delta.items():
        known = into.get(key)
        if isinstance(value, list) and (not value or isinstance(known, Keyed) or "index" in value[0]):
            if not isinstance(known, Keyed):
                into[key] = known = Keyed()
            for entry in cast("list[Members]", value):
                merge_by_index(known.setdefault(cast("int", entry["index"]), {}), entry)
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                into[key] = known = Members()
            merge_by_index(cast("Members", known), cast("Members", value))
        elif isinstance(value, str) and isinstance(known, str):
            if key in GROWING:
                into[key] = known + value
        elif value is not None or key not in into:
            into[key] = value


def as_lists(value: object) -> object:
    """Return a merged value as JSON."""
    if isinstance(value, Keyed):
        return [as_lists(entry) for _, entry in sorted(value.items())]
    if isinstance(value, dict):
        return {key: as_lists(each) for key, each in cast("Members", value).items()}
    return value


class LangChain(ByHand):
    """The same loop with the merge of langchain-core, which its messages' chunks of tool calls go through."""

    packages = ("langchain-core", "httpx-sse")
    modes: ClassVar[tuple[str, ...]] = ("final",)

    def __init__(self) -> None:
        super().__init__()
        merging = import_module("langchain_core.utils._merge")
        self._merge_lists = cast("Callable[[object, object], list[object]]", merging.merge_lists)

    def merge(self, into: Members, delta: Members) -> None:
        if "step_details" in delta:
            into, delta = _member(into, "step_details"), _member(delta, "step_details")
        for key in ("tool_calls", "content"):
            if key in delta:
                into[key] = self._merge_lists(into.get(key), delta[key])

    def plain(self, value: object) -> object:
        return value


PYTHON = cast(
    "dict[str, type[Contender[object]]]",
    {
        "framing": Framing,
        "decode": Decode,
        "ours": Ours,
        "ours-async": OursAsync,
        "by-hand": ByHand,
        "leanest": Leanest,
        "langchain-core": LangChain,
        "azure-ai-agents": AzureAgents,
        "openai-python": OpenAIPython,
    },
)
NODE = "openai-node"
NAMES = (*PYTHON, NODE)


def make(name: str) -> Contender[object]:
    """Return a contender, ready to run.

    Raises:
        ImportError: something that it needs is not installed.

    """
    return PYTHON[name]()


def modes(name: str) -> tuple[str, ...]:
    """Return the modes that a contender has."""
    return (MODES[0], MODES[1]) if name == NODE else PYTHON[name].modes


def versions(contender: Contender[object]) -> dict[str, str]:
    """Return what a contender is made of."""
    return {package: metadata.version(package) for package in contender.packages}
