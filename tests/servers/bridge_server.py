"""langchain-openai-api-bridge, whose agent's model is made up: the assistant that a run names is the case."""
# It runs in the environment of the server: nothing that it imports is there for the type checkers.
# mypy: disable-error-code="import-not-found, misc, no-any-unimported, untyped-decorator"
# pyright: basic, reportMissingImports=none

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langchain_openai_api_bridge.assistant import (
    InMemoryMessageRepository,
    InMemoryRunRepository,
    InMemoryThreadRepository,
)
from langchain_openai_api_bridge.fastapi import LangchainOpenaiApiBridgeFastAPI
from langgraph.prebuilt import create_react_agent

from tests.servers.serving import LEFT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.messages import BaseMessage
    from langchain_openai_api_bridge.core.create_agent_dto import CreateAgentDto


def text(content: str, **metadata: str) -> AIMessageChunk:
    return AIMessageChunk(content=content, response_metadata=metadata)


def calls(*pieces: tuple[int, str | None, str | None, str]) -> AIMessageChunk:
    named = [ToolCallChunk(index=index, id=call_id, name=name, args=args) for index, call_id, name, args in pieces]
    return AIMessageChunk(content="", tool_call_chunks=named)


ONE = [
    calls((0, "call_1", "get_weather", "")),
    calls((0, None, None, '{"city": ')),
    calls((0, None, None, '"Zürich"}')),
]
OTHER = [calls((1, "call_2", "get_time", '{"zone": ')), calls((1, None, None, '"CET"}'))]
ANSWER = [text("Guten "), text("Tag ☀")]
TURNS: dict[str, list[list[Any]]] = {
    "text": [ANSWER],
    "call": [ONE, ANSWER],
    "calls": [[*ONE, *OTHER], ANSWER],
    "talk_and_call": [[text("Moment. "), *ONE], ANSWER],
    "length": [[text("Guten "), text("", finish_reason="length")]],
    "model_error": [[text("Guten "), ConnectionError("the model is gone")]],
    "error_first": [[ConnectionError("the model is gone")]],
    "leave": [[text("Guten "), LEFT, text("Tag ☀")]],
}
"""What the model says in its first turn, and in the one after the tools have run."""


@tool
async def get_weather(city: str) -> str:
    """Say how the weather is."""
    return f"sunny in {city}"


@tool
async def get_time(zone: str) -> str:
    """Say how late it is."""
    return f"noon in {zone}"


class Model(BaseChatModel):
    case: str

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Model:  # noqa: ANN401, ARG002 - the signature of the base
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:  # noqa: ANN401, ARG002
        return ChatResult(generations=[ChatGeneration(message=AIMessage("only streamed"))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        *args: Any,  # noqa: ANN401, ARG002
        **kwargs: Any,  # noqa: ANN401, ARG002
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = any(isinstance(message, AIMessage) for message in messages)
        LEFT.clear()
        for item in TURNS[self.case][turn]:
            if isinstance(item, Exception):
                raise item
            if item is LEFT:
                await LEFT.wait()
            else:
                yield ChatGenerationChunk(message=item)


def make_agent(dto: CreateAgentDto) -> Any:  # noqa: ANN401
    return create_react_agent(Model(case=dto.assistant_id), [get_weather, get_time])


def make_app() -> FastAPI:
    app = FastAPI()
    bridge = LangchainOpenaiApiBridgeFastAPI(app=app, agent_factory_provider=make_agent)
    bridge.bind_openai_assistant_api(
        thread_repository_provider=InMemoryThreadRepository(),
        message_repository_provider=InMemoryMessageRepository(),
        run_repository_provider=InMemoryRunRepository(),
    )
    return app
