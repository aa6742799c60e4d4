"""Models of JSON: they reject nothing, lose nothing and cannot be changed."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Final, TypeVar, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator._assistants import azure, calls, run_steps, runs
from accumulator._errors import DecodeError
from accumulator._model import Field, ListField, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

M = TypeVar("M", bound=Model)

CLASSES = sorted(Model.__subclasses__(), key=lambda cls: cls.__name__)
IN_A_UNION = [
    cls for cls in CLASSES if get_origin(get_type_hints(cls).get("type")) is Final and "Other" not in cls.__name__
]
FIELDS = [(cls, name) for cls in CLASSES for name, value in vars(cls).items() if isinstance(value, Field)]

TEXT = st.text(st.characters() | st.sampled_from(["\ud800", "\x00", '"']), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
KEYS = TEXT | st.sampled_from(["id", "type", "step_details", "tool_calls", "function", "outputs", "usage", "image"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def step_json() -> dict[str, object]:
    """Make a step with every tool, and in many places what no reference has."""
    return {
        "id": "step_Kd81",
        "object": "thread.run.step",
        "created_at": 1.0,
        "run_id": "run_Pq72",
        "assistant_id": "asst_Xm03",
        "thread_id": "thread_Ty55",
        "type": "tool_calls",
        "status": "completed",
        "cancelled_at": "never",
        "completed_at": 1760000009,
        "expires_at": 1760000600,
        "failed_at": None,
        "last_error": {"code": "server_error", "message": "sorry", "hint": 1},
        "step_details": {"type": "tool_calls", "tool_calls": calls_json(), "note": {"a": [1]}},
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5.0,
            "total_tokens": 15,
            "prompt_token_details": {"cached_tokens": 0},
            "region": "éu",
        },
        "priority": [True, 1, 1.0, None],
    }


def calls_json() -> list[object]:
    outputs: list[object] = [
        {"type": "logs", "logs": "3\n", "level": 0},
        {"type": "image", "image": {"file_id": "assistant-9", "width": 640.0}},
        {"type": "video", "video": {"seconds": 3}},
        "torn",
    ]
    found: dict[str, object] = {
        "file_id": "file-1",
        "file_name": "täxt.md",
        "score": 1,
        "attributes": {"lang": "de"},
        "content": [{"type": "text", "text": "hello", "lang": "en"}],
        "page": 7,
    }
    options: dict[str, object] = {"ranker": "default-2024-08-21", "score_threshold": 0.0, "boost": 2}
    return [
        {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "1+2", "outputs": outputs}},
        {"id": "call_2", "type": "file_search", "file_search": {"ranking_options": options, "results": [found]}},
        {"id": "call_3", "type": "function", "function": {"name": "f", "arguments": "{}", "output": None, "strict": 1}},
        {"id": "call_4", "type": "mcp", "arguments": "{}", "name": "search", "server_label": "docs", "output": None},
    ]


def delta_json() -> dict[str, object]:
    outputs: list[object] = [
        {"index": 0, "type": "logs", "logs": "3"},
        {"index": 1, "type": "image", "image": {"file_id": "file-2"}},
        {"index": 2, "type": "video"},
    ]
    entries: list[object] = [
        {"index": 0, "type": "code_interpreter", "code_interpreter": {"input": "1", "outputs": outputs}},
        {"index": 1, "id": "call_2", "type": "file_search", "file_search": {"results": []}},
        {"index": 2, "type": "function", "function": {"arguments": '{"a'}},
        {"index": 3, "type": "mcp", "output": "x"},
    ]
    details: dict[str, object] = {"type": "tool_calls", "tool_calls": entries}
    return {"id": "step_Kd81", "object": "thread.run.step.delta", "delta": {"step_details": details}}


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def only(expected: type[M], value: object) -> M:
    """Return the value as what it must be."""
    assert isinstance(value, expected)
    assert expected is type(value)
    return value


def spoil(value: object) -> None:
    """Change all that can be changed in a value that was handed out."""
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        for member in members.values():
            spoil(member)
        members.clear()
    elif isinstance(value, list):
        items = cast("list[object]", value)
        for item in items:
            spoil(item)
        items.clear()
    elif isinstance(value, tuple):
        for item in cast("tuple[object, ...]", value):
            spoil(item)
    elif isinstance(value, Model):
        for name in [*(name for cls, name in FIELDS if cls is type(value)), "extra"]:
            spoil(getattr(value, name))
        spoil(value.to_dict())


def test_a_step_comes_back_as_sent() -> None:
    step = run_steps.RunStep.from_dict(step_json())
    assert canonical(step_json()) == canonical(step.to_dict())
    assert json.dumps(step_json(), ensure_ascii=False, separators=(",", ":")) == step.to_json()
    assert step == run_steps.RunStep.from_json(step.to_json())
    assert step == run_steps.RunStep.from_json(step.to_json().encode())


def test_a_delta_comes_back_as_sent() -> None:
    event = run_steps.RunStepDeltaEvent.from_dict(delta_json())
    assert json.dumps(delta_json(), separators=(",", ":")) == event.to_json()
    assert event == run_steps.RunStepDeltaEvent.from_json(event.to_json())


def test_a_step_reads_as_typed_objects() -> None:
    step = run_steps.RunStep.from_dict(step_json())
    error = only(run_steps.LastError, step.last_error)
    usage = only(run_steps.Usage, step.usage)
    details = only(run_steps.ToolCallsStepDetails, step.step_details)
    assert ("step_Kd81", "tool_calls", "completed", 1760000009) == (step.id, step.type, step.status, step.completed_at)
    assert (None, None, None) == (step.failed_at, step.expired_at, step.metadata)
    assert {"priority": [True, 1, 1.0, None]} == step.extra
    assert ("server_error", "sorry", {"hint": 1}) == (error.code, error.message, error.extra)
    assert (10, {"cached_tokens": 0}) == (usage.prompt_tokens, usage.prompt_token_details)
    assert {"region": "éu"} == usage.extra
    assert ("tool_calls", {"note": {"a": [1]}}) == (details.type, details.extra)
    assert details.tool_calls == step.tool_calls


def test_tool_calls_read_as_typed_objects() -> None:
    code, search, function, other = run_steps.RunStep.from_dict(step_json()).tool_calls
    interpreter = only(run_steps.CodeInterpreter, only(run_steps.CodeInterpreterToolCall, code).code_interpreter)
    logs, image, video, torn = interpreter.outputs
    assert ("1+2", "3\n") == (interpreter.input, only(run_steps.CodeInterpreterLogOutput, logs).logs)
    picture = only(run_steps.CodeInterpreterImage, only(run_steps.CodeInterpreterImageOutput, image).image)
    assert ("assistant-9", {"width": 640.0}) == (picture.file_id, picture.extra)
    assert ("video", {"video": {"seconds": 3}}) == (video.type, only(run_steps.OtherOutput, video).extra)
    assert "torn" == cast("object", torn)

    found = only(run_steps.FileSearch, only(run_steps.FileSearchToolCall, search).file_search)
    options = only(run_steps.FileSearchRankingOptions, found.ranking_options)
    assert ("default-2024-08-21", 0.0, {"boost": 2}) == (options.ranker, options.score_threshold, options.extra)
    (result,) = found.results
    assert ("file-1", "täxt.md") == (result.file_id, result.file_name)
    assert (1, {"lang": "de"}) == (result.score, result.attributes)
    assert (
        run_steps.FileSearchResultContent.from_dict({"lang": "en", "text": "hello", "type": "text"}),
    ) == result.content
    assert {"page": 7} == result.extra

    called = only(calls.Function, only(run_steps.FunctionToolCall, function).function)
    assert ("f", "{}", None, {"strict": 1}) == (called.name, called.arguments, called.output, called.extra)
    mcp = only(azure.McpToolCall, other)  # a class of its own since Azure's tools have classes
    assert ("call_4", "mcp", "docs", "{}", {}) == (mcp.id, mcp.type, mcp.server_label, mcp.arguments, mcp.extra)


def test_a_delta_reads_as_typed_objects() -> None:
    event = run_steps.RunStepDeltaEvent.from_dict(delta_json())
    details = only(run_steps.ToolCallDeltaObject, only(run_steps.RunStepDelta, event.delta).step_details)
    code, search, function, other = details.tool_calls
    assert ("step_Kd81", "thread.run.step.delta") == (event.id, event.object)
    assert [0, 1, 2, 3] == [entry.index for entry in details.tool_calls]
    grown = only(run_steps.CodeInterpreterDelta, only(run_steps.CodeInterpreterToolCallDelta, code).code_interpreter)
    logs, image, video = grown.outputs
    assert ("1", "3", 0) == (grown.input, only(run_steps.CodeInterpreterLogs, logs).logs, logs.index)
    picture = only(run_steps.CodeInterpreterImage, only(run_steps.CodeInterpreterOutputImage, image).image)
    assert ("file-2", 2) == (picture.file_id, only(run_steps.OtherOutputDelta, video).index)
    searched = only(run_steps.FileSearchToolCallDelta, search)
    assert ("call_2", ()) == (searched.id, only(run_steps.FileSearch, searched.file_search).results)
    called = only(calls.Function, only(run_steps.FunctionToolCallDelta, function).function)
    assert (None, None, '{"a') == (function.id, called.name, called.arguments)
    assert {"output": "x"} == only(run_steps.OtherToolCallDelta, other).extra


def test_a_message_creation_reads_as_typed_objects() -> None:
    sent: dict[str, object] = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    step = run_steps.RunStep.from_dict({"id": "step_1", "step_details": sent})
    details = only(run_steps.MessageCreationStepDetails, step.step_details)
    assert "msg_1" == only(run_steps.MessageCreation, details.message_creation).message_id
    assert () == step.tool_calls
    delta = only(
        run_steps.RunStepDeltaMessageDelta, run_steps.RunStepDelta.from_dict({"step_details": sent}).step_details
    )
    assert run_steps.MessageCreation.from_dict({"message_id": "msg_1"}) == delta.message_creation


@pytest.mark.parametrize(
    ("wrap", "sent", "expected"),
    [
        (run_steps.wrap_tool_call, {"type": "function"}, run_steps.FunctionToolCall),
        (run_steps.wrap_tool_call, {"type": "function", "function": "text"}, run_steps.FunctionToolCall),
        # Classes of their own since Azure's tools have classes.
        (run_steps.wrap_tool_call, {"type": "openapi", "function": {}}, azure.OpenAPIToolCall),
        (run_steps.wrap_step_details, {"type": "activities", "activities": []}, run_steps.ActivitiesStepDetails),
        (run_steps.wrap_tool_call, {"type": None, "file_search": {}}, run_steps.FileSearchToolCall),
        (run_steps.wrap_tool_call, {"type": "", "function": {}}, run_steps.FunctionToolCall),
        (run_steps.wrap_tool_call, {"code_interpreter": {}}, run_steps.CodeInterpreterToolCall),
        (run_steps.wrap_tool_call, {"type": ["function"]}, run_steps.OtherToolCall),
        (run_steps.wrap_tool_call, {}, run_steps.OtherToolCall),
        (run_steps.wrap_output, {"logs": "x"}, run_steps.CodeInterpreterLogOutput),
        (run_steps.wrap_step_details, {"type": "activity"}, run_steps.OtherStepDetails),
        (run_steps.wrap_step_details, {"tool_calls": []}, run_steps.ToolCallsStepDetails),
        (run_steps.wrap_tool_call_delta, {"index": 0, "function": {"arguments": "x"}}, run_steps.FunctionToolCallDelta),
        (run_steps.wrap_tool_call_delta, {"type": 7}, run_steps.OtherToolCallDelta),
        (run_steps.wrap_output_delta, {"image": {}}, run_steps.CodeInterpreterOutputImage),
        (run_steps.wrap_step_details_delta, {"type": "mcp", "tool_calls": []}, run_steps.OtherStepDetailsDelta),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_type_decides_the_class_and_where_it_is_missing_the_shape(
    wrap: Callable[[Mapping[str, object]], Model], sent: dict[str, object], expected: type[Model]
) -> None:
    seen = wrap(sent)
    assert (expected, sent) == (type(seen), seen.to_dict())


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        (None, ()),
        ("text", ()),
        ({"type": "tool_calls"}, ()),
        ({"type": "tool_calls", "tool_calls": None}, ()),
        ({"type": "tool_calls", "tool_calls": {"0": {}}}, ()),
        ({"type": "mcp", "tool_calls": [{"type": "mcp"}]}, (azure.McpToolCall.from_dict({"type": "mcp"}),)),
    ],
    ids=repr,
)
def test_tool_calls_of_a_step_are_those_that_it_has(details: object, expected: object) -> None:
    assert expected == run_steps.RunStep.from_dict({"step_details": details}).tool_calls


def test_a_run_says_what_it_waits_for() -> None:
    answer: dict[str, object] = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    approve: dict[str, object] = {"id": "call_2", "type": "mcp", "arguments": "{}", "server_label": "docs"}
    sent: dict[str, object] = {
        "id": "run_1",
        "status": "requires_action",
        "required_action": {
            "type": "submit_tool_outputs",
            "submit_tool_outputs": {"tool_calls": [answer]},
            "submit_tool_approval": {"tool_calls": [approve]},
        },
        "tools": [{"type": "function"}, "odd"],
    }
    run = runs.Run.from_dict(sent)
    action = only(runs.RequiredAction, run.required_action)
    first, second = run_steps.FunctionToolCall.from_dict(answer), runs.RequiredMCPToolCall.from_dict(approve)
    assert (first, second) == action.tool_calls
    assert (first,) == only(runs.SubmitToolOutputs, action.submit_tool_outputs).tool_calls
    assert (second,) == only(runs.SubmitToolApproval, action.submit_tool_approval).tool_calls
    expected: tuple[object, ...] = ({"type": "function"}, "odd")
    assert expected == run.tools
    assert () == runs.RequiredAction.from_dict({"submit_tool_outputs": "later"}).tool_calls


def own_type(cls: type[Model]) -> object:
    """Return the type that all objects of a class have; None for a class of objects of any type."""
    return next(iter(get_args(get_args(get_type_hints(cls)["type"])[0])), None) if cls in IN_A_UNION else None


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_each_field_reads_absent_null_and_anything_else(cls: type[Model], name: str) -> None:
    # The `type` of a class of a union reads as that of the class where a server left it out.
    nothing = () if isinstance(vars(cls)[name], ListField) else own_type(cls) if name == "type" else None
    assert nothing == getattr(cls.from_dict({}), name)
    assert nothing == getattr(cls.from_dict({name: None}), name)
    odd_container: object = {"a": [1]} if nothing == () else [{"a": 1}]
    for odd in ("text", 7.5, True, odd_container):
        model = cls.from_dict({name: odd})
        assert canonical(odd) == canonical(getattr(model, name))
        assert ({name: odd}, {}) == (model.to_dict(), model.extra)


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_each_field_is_documented_and_cannot_be_set(cls: type[Model], name: str) -> None:
    model = cls.from_dict({name: "text"})
    field = getattr(cls, name)
    assert vars(cls)[name] is field
    assert field.__doc__.endswith(".")
    with pytest.raises(AttributeError, match=rf"^{cls.__name__}\.{name} is read-only$"):
        setattr(model, name, "other")
    with pytest.raises(AttributeError, match=rf"^{cls.__name__}\.{name} is read-only$"):
        delattr(model, name)
    assert {name: "text"} == model.to_dict()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_model_takes_no_other_attribute(cls: type[Model]) -> None:
    model = cls.from_dict({})
    for name in ("other", "extra", "to_dict"):
        with pytest.raises(AttributeError):
            setattr(model, name, 1)
    with pytest.raises(TypeError, match=f"use {cls.__name__}.from_dict or from_json"):
        cls()


@given(OBJECTS)
def test_any_json_object_comes_back(value: dict[str, object]) -> None:
    for cls in (run_steps.RunStep, run_steps.RunStepDeltaEvent):
        model = cls.from_dict(value)
        assert canonical(value) == canonical(model.to_dict())
        assert canonical(value) == canonical(cls.from_json(model.to_json()).to_dict())
        assert model == cls.from_json(model.to_json().encode())


@given(st.sampled_from(CLASSES), OBJECTS)
def test_nothing_handed_out_and_nothing_taken_in_can_change_a_model(cls: type[Model], value: dict[str, object]) -> None:
    taken = copy.deepcopy(value)
    model = cls.from_dict(taken)
    spoil(model)
    spoil(taken)
    assert ({}, canonical(value)) == (taken, canonical(model.to_dict()))


def test_nothing_handed_out_can_change_a_full_step() -> None:
    sent = step_json()
    step = run_steps.RunStep.from_dict(sent)
    spoil(step)
    spoil(step.tool_calls)
    spoil(sent)
    assert {} == sent
    assert canonical(step_json()) == canonical(step.to_dict())


def test_equality_is_by_class_and_json() -> None:
    step = run_steps.RunStep.from_dict({"id": "step_1", "created_at": 1, "x": {"a": 1, "b": 2}})
    assert run_steps.RunStep.from_dict({"x": {"b": 2, "a": 1}, "created_at": 1, "id": "step_1"}) == step
    for other in (
        run_steps.RunStep.from_dict({"id": "step_1", "created_at": 1.0, "x": {"a": 1, "b": 2}}),
        run_steps.RunStep.from_dict({"id": "step_1", "created_at": True, "x": {"a": 1, "b": 2}}),
        run_steps.RunStep.from_dict({"id": "step_1", "created_at": 1, "x": {"a": 1, "b": 2}, "usage": None}),
        runs.Run.from_dict(step.to_dict()),
        step.to_dict(),
    ):
        assert step != other
    with pytest.raises(TypeError, match="unhashable"):
        hash(step)


def test_a_model_pickles_and_copies() -> None:
    step = run_steps.RunStep.from_dict(step_json())
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        restored = pickle.loads(pickle.dumps(step, protocol))  # noqa: S301
        assert (run_steps.RunStep, step) == (type(restored), restored)
    assert step is copy.copy(step)
    assert [step, step] == copy.deepcopy([step, step])


def test_a_model_shows_what_is_there_and_cuts_what_is_long() -> None:
    step = run_steps.RunStep.from_dict(
        {
            "usage": {"prompt_tokens": 3},
            "id": "step_1",
            "cancelled_at": None,
            "step_details": {
                "type": "tool_calls",
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"arguments": "x" * 500}}],
            },
            "new\n": {"deep": [[[[[[[1]]]]]]]},
        }
    )
    short = "x" * 27 + "..." + "x" * 28
    assert (
        "RunStep(id='step_1', cancelled_at=None, step_details=ToolCallsStepDetails(type='tool_calls', tool_calls=("
        f"FunctionToolCall(id='call_1', type='function', function=Function(arguments='{short}')),)), "
        "usage=Usage(prompt_tokens=3), extra={'new\\n': {'deep': [[[[[...]]]]]}})"
    ) == repr(step)
    assert "Usage()" == repr(run_steps.Usage.from_dict({}))


def test_a_model_matches_patterns() -> None:
    match run_steps.RunStep.from_dict(step_json()).tool_calls[2]:
        case run_steps.FunctionToolCall(id=call_id, function=calls.Function(name=name)):
            assert ("call_3", "f") == (call_id, name)
        case other:
            pytest.fail(f"matched nothing: {other!r}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected a mapping for RunStep, got list"),
        (None, "expected a mapping for RunStep, got NoneType"),
        ({"usage": {"a": {1}}}, "RunStep: expected a JSON value at $.usage.a, got set"),
        ({"usage": [{2: 1}]}, "RunStep: expected str keys at $.usage[0], got int"),
        ({"score": float("inf")}, "RunStep: expected a JSON value at $.score, got inf"),
    ],
    ids=repr,
)
def test_from_dict_refuses_what_is_no_json_object(value: dict[str, object], message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        run_steps.RunStep.from_dict(value)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a JSON object for Usage, got list"),
        (b"null", "expected a JSON object for Usage, got NoneType"),
        (b"{", "Usage: expected JSON text: Expecting property name enclosed in double quotes (character 1 of 1)"),
        (b'{"a":NaN}', "Usage: expected a finite number, got NaN or Infinity"),
        ("[" * 10**6, "Usage: expected at most 128 arrays and objects within each other, got more"),
    ],
    ids=range(5),
)
def test_from_json_refuses_what_is_no_json_object(text: str | bytes, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        run_steps.Usage.from_json(text)
    assert message == str(caught.value)


def test_run_steps_of_the_rest_api_come_back(recordings: Path) -> None:
    lines = [line for file in sorted(recordings.glob("*_REST_*.jsonl")) for line in file.read_bytes().splitlines()]
    bodies = [json.loads(line)["body"] for line in lines]
    steps = [step for body in bodies for step in body.get("data", [body]) if step["object"] == "thread.run.step"]
    assert steps
    for sent in steps:
        step = run_steps.RunStep.from_dict(sent)
        assert json.dumps(sent, ensure_ascii=False, separators=(",", ":")) == step.to_json()
        assert (sent["id"], sent["usage"]["total_tokens"]) == (step.id, only(run_steps.Usage, step.usage).total_tokens)
        assert {} == step.extra
