"""Azure's tools by name: each type of call has its class, whose fields are the keys that servers send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

import accumulator
from accumulator import (
    Accumulator,
    ActivitiesStepDetails,
    Activity,
    ComputerUseToolCall,
    McpToolCall,
    OpenAPIToolCall,
    OtherToolCall,
    RequiredAction,
    RunStep,
    accumulate,
)
from accumulator._assistants.azure import AZURE_TOOLS
from accumulator._assistants.messages import wrap_annotation, wrap_content, wrap_content_delta
from accumulator._assistants.run_steps import (
    wrap_output,
    wrap_output_delta,
    wrap_step_details,
    wrap_step_details_delta,
    wrap_tool_call,
    wrap_tool_call_delta,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from accumulator import Model

ASKED = '{"station":"Lausanne"}'
ACTION = {"type": "click", "button": "left", "x": 1.0, "y": 2}
SCREEN = {"type": "computer_screenshot", "image_url": "https://host/1.png"}
CHECK = {"id": "check_1", "code": "malicious", "message": "Look."}
BROWSED = {"last_step_result": "opened", "current_state": "start page", "next_step": "search"}

# Each call as servers send it, with the class, and what `name`, `input` and `output` read.
CALLS: list[tuple[str, str, dict[str, object], tuple[str, str | None, str | None]]] = [
    (
        "McpToolCall",
        "mcp",
        {"arguments": ASKED, "name": "next", "server_label": "rail", "output": "08:12"},
        ("next", ASKED, "08:12"),
    ),
    (
        "AzureAISearchToolCall",
        "azure_ai_search",
        {"azure_ai_search": {"input": "luggage", "output": "{'summary': 'two'}"}},
        ("azure_ai_search", "luggage", "{'summary': 'two'}"),
    ),
    (
        "BingGroundingToolCall",
        "bing_grounding",
        {"bing_grounding": {"requesturl": "https://host/?q=a", "response_metadata": '{"n":5}'}},
        ("bing_grounding", "https://host/?q=a", '{"n":5}'),
    ),
    (
        "BingCustomSearchToolCall",
        "bing_custom_search",
        {"bing_custom_search": {"requesturl": "https://host/?q=b", "response_metadata": None}},
        ("bing_custom_search", "https://host/?q=b", None),
    ),
    (
        "OpenAPIToolCall",
        "openapi",
        {"function": {"name": "fares_get", "arguments": ASKED, "output": '{"fare":78.0}'}},
        ("fares_get", ASKED, '{"fare":78.0}'),
    ),
    (
        "OpenAPIToolCall",
        "openapi",
        {"openapi": {"name": "fares_get", "arguments": ASKED, "output": None}},
        ("fares_get", ASKED, None),
    ),
    (
        "AzureFunctionToolCall",
        "azure_function",
        {"azure_function": {"name": "log", "arguments": ASKED, "output": "done"}},
        ("log", ASKED, "done"),
    ),
    (
        "FabricToolCall",
        "fabric_dataagent",
        {"fabric_dataagent": {"input": "sales?", "output": "seven"}},
        ("fabric_dataagent", "sales?", "seven"),
    ),
    (
        "SharepointToolCall",
        "sharepoint_grounding",
        {"sharepoint_grounding": {"input": "policy", "output": "[redacted]"}},
        ("sharepoint_grounding", "policy", "[redacted]"),
    ),
    (
        "ConnectedAgentToolCall",
        "connected_agent",
        {
            "connected_agent": {
                "name": "weather",
                "arguments": "Bern?",
                "output": "rain",
                "run_id": "run_2",
                "thread_id": "thread_2",
                "assistant_id": "asst_2",
            }
        },
        ("weather", "Bern?", "rain"),
    ),
    (
        "DeepResearchToolCall",
        "deep_research",
        {"deep_research": {"input": "history", "output": "long"}},
        ("deep_research", "history", "long"),
    ),
    (
        "BrowserAutomationToolCall",
        "browser_automation",
        {"browser_automation": {"input": "book", "output": "booked", "steps": [BROWSED]}},
        ("browser_automation", "book", "booked"),
    ),
    (
        "ComputerUseToolCall",
        "computer_use_preview",
        {
            "computer_use_preview": {
                "action": ACTION,
                "pending_safety_checks": [CHECK],
                "output": SCREEN,
                "acknowledged_safety_checks": [],
            }
        },
        (
            "computer_use_preview",
            '{"type":"click","button":"left","x":1.0,"y":2}',
            '{"type":"computer_screenshot","image_url":"https://host/1.png"}',
        ),
    ),
]


def test_every_tool_of_azure_has_a_sample() -> None:
    assert set(AZURE_TOOLS) == {kind for _, kind, _, _ in CALLS}


def all_extra(model: Model) -> list[object]:
    """Return what no class declares, in a model and all models in it."""
    found: list[object] = [model.extra] if model.extra else []
    for name in model.to_dict():
        value: object = getattr(model, name)
        for each in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
            found += all_extra(each) if isinstance(each, accumulator.Model) else []
    return found


@pytest.mark.parametrize(("cls", "kind", "payload", "read"), CALLS, ids=lambda value: str(value)[:24])
def test_a_call_has_the_class_of_its_type(cls: str, kind: str, payload: dict[str, object], read: object) -> None:
    sent: dict[str, object] = {"id": "call_1", "type": kind, **payload}
    call = wrap_tool_call(sent)
    assert (getattr(accumulator, cls), kind, "call_1") == (type(call), call.type, call.id)
    assert read == (call.name, call.input, call.output)
    # No key is left over: each is a field.
    assert ([], sent) == (all_extra(call), call.to_dict())


@pytest.mark.parametrize(("cls", "kind", "payload", "read"), CALLS, ids=lambda value: str(value)[:24])
def test_a_call_folds_to_its_class(cls: str, kind: str, payload: dict[str, object], read: object) -> None:
    run = Accumulator()
    entry = {"index": 0, "id": "call_1", "type": kind, **payload}
    delta = {"id": "step_1", "delta": {"step_details": {"type": "tool_calls", "tool_calls": [entry]}}}
    run.apply("thread.run.step.delta", json.dumps(delta))
    (call,) = run.tool_calls()
    assert (getattr(accumulator, cls), read) == (type(call), (call.name, call.input, call.output))


def test_fields_of_the_payloads_are_typed() -> None:
    sent = {kind: {"type": kind, **payload} for _, kind, payload, _ in CALLS}
    mcp = wrap_tool_call(sent["mcp"])
    assert isinstance(mcp, McpToolCall)
    assert ("rail", ASKED, {"station": "Lausanne"}) == (mcp.server_label, mcp.arguments, mcp.parse_arguments())
    assert "McpToolCall(name='next', output='08:12', type='mcp', server_label='rail'" in repr(mcp)

    browser = wrap_tool_call(sent["browser_automation"])
    assert browser.type == "browser_automation"
    assert browser.browser_automation is not None
    assert ["search"] == [step.next_step for step in browser.browser_automation.steps]

    computer = wrap_tool_call(sent["computer_use_preview"])
    assert isinstance(computer, ComputerUseToolCall)
    use = computer.computer_use_preview
    assert use is not None
    assert (ACTION, (CHECK,), SCREEN, ()) == (
        use.action,
        use.pending_safety_checks,
        use.output,
        use.acknowledged_safety_checks,
    )


def test_an_action_may_wait_for_approval() -> None:
    waiting: dict[str, object] = {
        "id": "call_1",
        "type": "computer_use_preview",
        "computer_use_preview": {"action": ACTION, "pending_safety_checks": [CHECK]},
    }
    json: dict[str, object] = {"submit_tool_outputs": {"tool_calls": [waiting]}}
    assert (ComputerUseToolCall.from_dict(waiting),) == RequiredAction.from_dict(json).tool_calls


def test_activities_are_step_details() -> None:
    tools = {"next": {"description": "Next trains.", "parameters": "{}"}}
    activity: dict[str, object] = {"id": "a_1", "type": "mcp_list_tools", "server_label": "rail", "tools": tools}
    sent: dict[str, object] = {"id": "step_1", "step_details": {"type": "activities", "activities": [activity]}}
    details = RunStep.from_dict(sent).step_details
    assert isinstance(details, ActivitiesStepDetails)
    assert (Activity.from_dict(activity),) == details.activities
    assert ("a_1", "mcp_list_tools", "rail", tools) == (
        details.activities[0].id,
        details.activities[0].type,
        details.activities[0].server_label,
        details.activities[0].tools,
    )
    assert ((), {}) == (RunStep.from_dict(sent).tool_calls, details.extra)


def test_a_recording_of_azure_reads_by_class(shipped: Path) -> None:
    with (shipped / "azure_unknown_tools.sse").open("rb") as source:
        run = accumulate(source).until_done()
    assert ["McpToolCall", "AzureAISearchToolCall", "BingGroundingToolCall", "OpenAPIToolCall"] == [
        type(call).__name__ for call in run.tool_calls()
    ]
    assert isinstance(run.run_steps()[0].step_details, ActivitiesStepDetails)
    openapi = run.tool_calls()[-1]
    assert isinstance(openapi, OpenAPIToolCall)
    assert openapi.function is not None
    assert (openapi.name, openapi.output) == (openapi.function.name, openapi.function.output)


# ---- `type` of a class of a union.


@pytest.mark.parametrize(
    ("wrap", "sent", "kind"),
    [
        (wrap_tool_call, {"function": {}}, "function"),
        (wrap_tool_call, {"type": None, "file_search": {}}, "file_search"),
        (wrap_tool_call, {"type": "", "azure_function": {}}, "azure_function"),
        (wrap_tool_call_delta, {"index": 0, "code_interpreter": {}}, "code_interpreter"),
        (wrap_output, {"logs": "a"}, "logs"),
        (wrap_output_delta, {"image": {}}, "image"),
        (wrap_step_details, {"tool_calls": []}, "tool_calls"),
        (wrap_step_details, {"activities": []}, "activities"),
        (wrap_step_details_delta, {"message_creation": {}}, "message_creation"),
        (wrap_annotation, {"url_citation": {}}, "url_citation"),
        (wrap_content, {"text": {}}, "text"),
        (wrap_content_delta, {"refusal": "no"}, "refusal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_type_that_was_left_out_reads_as_that_of_the_class(
    wrap: Callable[[Mapping[str, object]], Model], sent: dict[str, object], kind: str
) -> None:
    model = wrap(sent)
    assert (kind, sent) == (getattr(model, "type", None), model.to_dict())
    assert kind == getattr(type(model).from_dict({}), "type", None)


def test_the_type_of_a_call_without_a_class_is_as_sent() -> None:
    call = wrap_tool_call({"type": "zapier", "zapier": {"input": "a"}})
    assert isinstance(call, OtherToolCall)
    assert ("zapier", "zapier", "a") == (str(call.type), call.name, call.input)
    assert OtherToolCall.from_dict({}).type is None


def test_an_untyped_call_has_the_name_of_its_class() -> None:
    assert "code_interpreter" == wrap_tool_call({"code_interpreter": {"input": "1"}}).name
