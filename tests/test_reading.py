"""One way to read any call, a step and a run: names, texts, seconds and tokens."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from accumulator import (
    Accumulator,
    DecodeError,
    Message,
    RequiredMCPToolCall,
    RunError,
    RunStep,
    ToolCall,
    TruncatedError,
    aaccumulate,
    accumulate,
)
from accumulator._assistants.run_steps import wrap_tool_call
from tests import bodies
from tests.command import cli, recorded
from tests.wire import DONE, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


def call_of(json: Mapping[str, object]) -> ToolCall:
    return wrap_tool_call(json)


def read(call: ToolCall | RequiredMCPToolCall) -> tuple[str, str | None, str | None]:
    return call.name, call.input, call.output


OUTPUTS: list[object] = [
    {"type": "logs", "logs": "3"},
    {"type": "image", "image": {"file_id": "file-1"}},
    {"type": "logs", "logs": "4"},
    {"type": "logs", "logs": None},
    "torn",
]
FOUND: list[object] = [
    {"file_id": "file-1", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"file_id": "file-2"},
    {"content": "odd"},
    "torn",
    {"content": [{"type": "text", "text": "c"}, 7]},
]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"type": "code_interpreter"}, ("code_interpreter", None, None)),
        ({"type": "code_interpreter", "code_interpreter": {"input": "1+2"}}, ("code_interpreter", "1+2", None)),
        (
            {"type": "code_interpreter", "code_interpreter": {"input": "1", "outputs": OUTPUTS}},
            ("code_interpreter", "1", "3\n4"),
        ),
        ({"type": "code_interpreter", "code_interpreter": {"outputs": []}}, ("code_interpreter", None, None)),
        ({"type": "file_search", "file_search": {"results": []}}, ("file_search", None, None)),
        ({"type": "file_search", "file_search": {"results": FOUND}}, ("file_search", None, "a\nb\nc")),
        (
            {"type": "function", "function": {"name": "f", "arguments": "{}", "output": None}},
            ("f", "{}", None),
        ),
        ({"type": "function", "function": {"name": "", "arguments": "", "output": ""}}, ("function", "", "")),
        (
            {"type": "function", "function": {"name": 7, "arguments": {"a": 1.0}, "output": [1]}},
            ("function", '{"a":1.0}', "[1]"),
        ),
        ({"type": "function", "function": "odd"}, ("function", None, None)),
        (
            {"type": "new", "note": 1, "payload": {"name": "n", "input": "in", "output": "out"}},
            ("n", "in", "out"),
        ),
        ({"type": "new", "name": "own", "new": {"name": "inner", "arguments": "a"}}, ("own", "a", None)),
        ({}, ("", None, None)),
        ({"type": 7}, ("", None, None)),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_call_is_read_in_one_way(call: dict[str, object], expected: object) -> None:
    assert expected == read(call_of(call))


def test_a_call_that_waits_for_approval_is_read_in_the_same_way() -> None:
    json: dict[str, object] = {"type": "mcp", "name": "search", "arguments": '{"q":1}', "server_label": "docs"}
    call = RequiredMCPToolCall.from_dict(json)
    assert ("search", '{"q":1}', None) == read(call)
    assert ({}, {"q": 1}, "docs") == (call.extra, call.parse_arguments(), call.server_label)
    assert "name='search'" in repr(call)


def test_every_call_parses_its_arguments() -> None:
    call = call_of({"type": "function", "function": {"name": "f", "arguments": '{"a":'}})
    assert {} == call.parse_arguments(partial=True)
    for without in ({"type": "code_interpreter", "code_interpreter": {"input": "1"}}, {"type": "file_search"}):
        assert call_of(without).parse_arguments(partial=True) is None
        with pytest.raises(DecodeError, match=r"^arguments of \w+ToolCall: expected JSON text: Expecting value"):
            call_of(without).parse_arguments()


@pytest.mark.parametrize(
    ("json", "seconds"),
    [
        ({"created_at": 10, "completed_at": 14}, 4),
        ({"created_at": 10, "completed_at": None, "failed_at": 11.5}, 1.5),
        ({"created_at": 10, "cancelled_at": 10}, 0),
        ({"created_at": 10, "expired_at": 700}, 690),
        ({"created_at": 10, "expires_at": 700, "completed_at": None}, None),
        ({"created_at": "10", "completed_at": 14}, None),
        ({"created_at": 10, "completed_at": True}, None),
        ({"created_at": 10, "completed_at": 5}, None),
        ({"created_at": 1e308, "completed_at": -1e308}, None),
        ({"created_at": -1e308, "completed_at": 1e308}, None),
        ({"created_at": 1.5, "completed_at": 10**400}, None),
        ({"created_at": 0, "completed_at": 10**400}, None),
        ({"completed_at": 14}, None),
        ({}, None),
    ],
    ids=repr,
)
def test_a_step_says_how_long_it_took(json: dict[str, object], seconds: float | None) -> None:
    assert seconds == RunStep.from_dict(json).duration


def test_a_run_is_read_from_the_accumulator_and_from_its_stream(shipped: Path) -> None:
    run = Accumulator()
    nothing = ("", list[object](), None)
    assert nothing == (run.text, run.tool_calls(), run.usage)
    for name in ("parallel_functions_1.sse", "parallel_functions_2.sse"):
        with (shipped / name).open("rb") as source, accumulate(source, into=run) as stream:
            stream.until_done()
    assert (stream.text, stream.tool_calls(), stream.usage) == (run.text, run.tool_calls(), run.usage)
    (message,) = run.messages()
    assert message.text == run.text
    assert ["get_forecast", "convert_currency"] == [call.name for call in run.tool_calls()]
    assert [call for step in run.run_steps() for call in step.tool_calls] == run.tool_calls()
    assert run.usage is not None
    assert 551 == run.usage.total_tokens


def _message(ident: str, *texts: str) -> bytes:
    content: list[object] = [{"type": "text", "text": {"value": text, "annotations": list[object]()}} for text in texts]
    data: dict[str, object] = {"id": ident, "object": "thread.message", "status": "completed", "content": content}
    return f"event: thread.message.completed\ndata: {json.dumps(data)}\n\n".encode()


MESSAGES = _message("msg_1", "a", "b") + _message("msg_2") + _message("msg_3", "c") + b"data: [DONE]\n\n"


def test_texts_of_parts_are_joined_and_messages_stand_apart() -> None:
    stream = accumulate([MESSAGES])
    assert "ab\n\nc" == stream.final_text()
    assert "ab\n\nc" == stream.text


def _said(ident: str, content: object, **fields: object) -> bytes:
    return event("thread.message.completed", {"id": ident, "content": content, **fields})


def test_the_text_is_what_the_agent_said_in_the_run(tmp_path: Path) -> None:
    def text(value: str) -> list[object]:
        return [{"type": "text", "text": {"value": value}}]

    refusal: list[object] = [*text("No: "), {"type": "refusal", "refusal": "I won't."}, {"type": "image_file"}]
    body = b"".join(
        [
            event("thread.run.created", {"id": "run_1", "status": "queued"}),
            event("thread.message.created", {"id": "msg_1", "role": "user", "content": text("Asked.")}),
            event("thread.message.completed", {"id": "msg_1", "role": "user", "content": text("Asked.")}),
            _said("msg_2", text("Mine."), role="assistant", run_id="run_1"),
            _said("msg_3", text("Another's."), role="assistant", run_id="run_2"),
            _said("msg_4", refusal, run_id=None),
            _said("msg_5", "Bare.", role="assistant"),
            _said("msg_6", {"odd": 1}, role="assistant"),
            event("thread.run.completed", {"id": "run_1", "status": "completed"}),
            DONE,
        ]
    )
    expected = "Mine.\n\nNo: I won't.\n\nBare."
    assert expected == accumulate([body]).final_text()
    assert f"{expected}\n" == cli("--text", recorded(tmp_path, body)).text
    without_a_run = accumulate([_said("msg_1", "a", run_id="run_1") + _said("msg_2", "b", run_id="run_2") + DONE])
    assert "a\n\nb" == without_a_run.final_text()


async def _arrives(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_the_final_readers_drain_and_agree() -> None:
    async def read() -> tuple[str, list[Message], list[Message]]:
        stream = aaccumulate(_arrives(MESSAGES))
        return (
            await aaccumulate(_arrives(MESSAGES)).final_text(),
            await stream.final_messages(),
            (stream.accumulator.messages()),
        )

    text, messages, read_again = asyncio.run(read())
    assert text == accumulate([MESSAGES]).final_text()
    assert messages == read_again == accumulate([MESSAGES]).final_messages()
    assert ["msg_1", "msg_2", "msg_3"] == [message.id for message in messages]


FAILED = b'event: error\ndata: {"message": "no", "code": "c"}\n\n'


@pytest.mark.parametrize(("body", "error"), [(bodies.FIRST[:900], TruncatedError), (FAILED, RunError)])
def test_the_final_readers_raise_for_a_body_that_was_cut_or_failed(body: bytes, error: type[Exception]) -> None:
    for name in ("final_run_steps", "final_messages", "final_text"):
        with pytest.raises(error):
            getattr(accumulate([body]), name)()

        async def read(name: str = name) -> None:
            await getattr(aaccumulate(_arrives(body)), name)()

        with pytest.raises(error):
            asyncio.run(read())
