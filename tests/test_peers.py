"""What other clients get wrong, each as a test of what is right; the clients themselves are not needed.

The first part is openai-python's `AssistantEventHandler`, case by case, then openai-node, azure-ai-agents, others, and
shapes that real servers send although they should not.
"""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    ErrorObject,
    ErrorReceived,
    RunStep,
    RunStepDone,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    UnknownEvent,
)
from tests.wire import (
    DONE,
    call,
    calls_json,
    completed,
    created,
    delta,
    delta_payload,
    details_json,
    ended,
    event,
    faults,
    folded,
    fragment,
    function,
    in_progress,
    kinds,
    opening,
    run_event,
    step,
    step_json,
    text,
    updates_of,
)

if TYPE_CHECKING:
    from accumulator import Update

CREATED = created()
ARGUMENTS = ('{"ci', 'ty":"Zü', 'rich"}')
WEATHER = call("call_A", "get_weather", '{"city":"Zürich"}', "42")
STREAM = (
    CREATED,
    delta("step_1", function(0, id="call_A", name="get_weather", arguments=ARGUMENTS[0], output=None)),
    delta("step_1", fragment(0, ARGUMENTS[1])),
    delta("step_1", fragment(0, ARGUMENTS[2])),
    completed(calls=[WEATHER]),
)


def code(**fields: object) -> dict[str, object]:
    return {"index": 0, "type": "code_interpreter", "code_interpreter": fields}


def search(**fields: object) -> dict[str, object]:
    return {"index": 0, "type": "file_search", "file_search": fields}


def fragments_of(updates: list[Update]) -> list[dict[str, object]]:
    return [each.delta.to_dict() for each in updates if isinstance(each, ToolCallDelta)]


# openai-python.


def test_openai_python_completed_with_usage_and_output_gives_the_completed_step() -> None:
    run = folded(*STREAM, run_event("completed"), DONE)
    assert [RunStep.from_dict(step("step_1", WEATHER, **ended()))] == run.run_steps()
    assert "completed" == run.outcome
    assert [] == faults(run)


def test_openai_python_completed_tells_done_once() -> None:
    updates = updates_of(*STREAM, run_event("completed"), DONE)
    assert ["ToolCallDone", "RunStepDone"] == [name for name in kinds(updates) if name.endswith("Done")]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_openai_python_call_index_1_before_index_0_gives_two_calls_in_index_order(order: tuple[int, ...]) -> None:
    run = folded(CREATED, *(delta("step_1", opening(index, "ABC"[index], "f")) for index in order))
    assert [call("A", "f", ""), call("B", "f", ""), call("C", "f", "")] == calls_json(run)
    assert [] == faults(run)


@pytest.mark.parametrize("order", [(0, 2), (2, 0)])
def test_openai_python_indexes_0_and_2_give_two_calls_in_index_order(order: tuple[int, int]) -> None:
    run = folded(
        CREATED,
        *(delta("step_1", opening(index, f"call_{index}", "f")) for index in order),
        *(delta("step_1", fragment(index, str(index))) for index in order),
    )
    assert [call("call_0", "f", "0"), call("call_2", "f", "2")] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_outputs_image_at_1_then_logs_at_0_give_logs_and_image() -> None:
    image = {"type": "image", "image": {"file_id": "file_1"}}
    logs = {"type": "logs", "logs": "1\n2\n"}
    run = folded(
        CREATED,
        delta("step_1", {**code(input="", outputs=[]), "id": "call_1"}),
        delta("step_1", code(outputs=[{"index": 1, **image}])),
        delta("step_1", code(outputs=[{"index": 0, **logs}])),
    )
    expected = {"input": "", "outputs": [logs, image]}
    assert [{"id": "call_1", "type": "code_interpreter", "code_interpreter": expected}] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_id_and_name_resent_with_every_fragment_stay() -> None:
    resent = [function(0, id="call_A", name="get_weather", arguments=part) for part in ARGUMENTS]
    run = folded(CREATED, *(delta("step_1", each) for each in resent))
    arguments = "".join(ARGUMENTS)
    assert [
        {"id": "call_A", "type": "function", "function": {"name": "get_weather", "arguments": arguments}},
    ] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_file_id_resent_stays() -> None:
    image = code(outputs=[{"index": 0, "type": "image", "image": {"file_id": "file_1"}}])
    run = folded(CREATED, delta("step_1", image), delta("step_1", image))
    outputs = [{"type": "image", "image": {"file_id": "file_1"}}]
    assert [{"type": "code_interpreter", "code_interpreter": {"outputs": outputs}}] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_ranking_options_resent_stay_and_another_ranking_replaces() -> None:
    ranking = {"ranker": "auto", "score_threshold": 0.5}
    run = folded(CREATED, *[delta("step_1", search(ranking_options=ranking, results=[]))] * 2)
    assert [{"type": "file_search", "file_search": {"ranking_options": ranking, "results": []}}] == calls_json(run)
    run.feed(delta("step_1", search(ranking_options={"ranker": "default_2024_08_21"})))
    replaced: dict[str, object] = {"ranking_options": {"ranker": "default_2024_08_21"}, "results": []}
    assert [{"type": "file_search", "file_search": replaced}] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_file_search_results_without_index_are_replaced() -> None:
    first = [{"file_id": "file_1", "score": 0.25}]
    second = [{"file_id": "file_2", "score": 0.5}, {"file_id": "file_1", "score": 0.25}]
    run = folded(CREATED, delta("step_1", search(results=first)), delta("step_1", search(results=second)))
    assert [{"type": "file_search", "file_search": {"results": second}}] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_interleaved_calls_are_created_once_and_done_once_at_the_end() -> None:
    stream = [
        CREATED,
        *(delta("step_1", opening(index, f"call_{index}", "f")) for index in (0, 1)),
        *(delta("step_1", fragment(index, str(index))) for index in (0, 1)),
        completed(calls=[call("call_0", "f", "0"), call("call_1", "f", "1")]),
    ]
    updates = updates_of(*stream)
    assert [
        "RunStepCreated",
        *["ToolCallCreated", "ToolCallDelta"] * 2,
        *["ToolCallDelta"] * 2,
        *["ToolCallDone"] * 2,
        "RunStepDone",
    ] == kinds(updates)
    assert [opening(0, "call_0", "f"), opening(1, "call_1", "f"), fragment(0, "0"), fragment(1, "1")] == fragments_of(
        updates
    )


def test_openai_python_a_second_step_that_uses_index_0_again_has_its_call_created() -> None:
    updates = updates_of(
        *STREAM,
        created("step_2"),
        delta("step_2", opening(0, "call_B", "f")),
        completed("step_2", [call("call_B", "f", "")]),
    )
    assert [("step_1", 0), ("step_2", 0)] == [
        (each.step_id, each.index) for each in updates if isinstance(each, ToolCallCreated)
    ]
    assert [("step_1", 0), ("step_2", 0)] == [
        (each.step_id, each.index) for each in updates if isinstance(each, ToolCallDone)
    ]


def test_openai_python_two_open_steps_with_index_0_are_told_apart() -> None:
    run = Accumulator()
    updates = run.feed(
        created("step_1")
        + created("step_2")
        + delta("step_1", opening(0, "call_A", "a"))
        + delta("step_2", opening(0, "call_B", "b"))
        + delta("step_1", fragment(0, "1"))
        + delta("step_2", fragment(0, "2"))
    )
    assert [call("call_A", "a", "1")] == calls_json(run, "step_1")
    assert [call("call_B", "b", "2")] == calls_json(run, "step_2")
    assert [("step_1", "call_A"), ("step_2", "call_B")] * 2 == [
        (each.step_id, each.tool_call_id) for each in updates if isinstance(each, ToolCallDelta)
    ]


def test_openai_python_completed_in_the_second_stream_for_a_step_of_the_first_is_present() -> None:
    second = completed(calls=[WEATHER]) + run_event("completed") + DONE
    expected = [RunStep.from_dict(step("step_1", WEATHER, **ended()))]
    alone = folded(second)
    assert expected == alone.run_steps()
    both = folded(*STREAM[:-1], run_event("requires_action"), DONE)
    assert "requires_action" == both.outcome
    both.feed(second)
    assert expected == both.run_steps()
    assert ((), ()) == (alone.problems, both.problems)


def test_openai_python_a_stream_cut_off_is_truncated_and_the_step_readable() -> None:
    run = folded(*STREAM[:3])
    assert [BodyEnded(3, "truncated", ("step_1",))] == run.end()
    assert "truncated" == run.outcome
    assert [call("call_A", "get_weather", '{"city":"Zü', None)] == calls_json(run)


def test_openai_python_an_error_with_a_flat_body_is_an_error() -> None:
    flat = {"code": None, "message": "sorry", "param": None, "type": "server_error"}
    run = Accumulator()
    assert ErrorReceived(1, ErrorObject.from_dict(flat), text(flat)) == run.feed(event("error", flat))[0]
    run.end()
    assert "error" == run.outcome
    assert ErrorObject.from_dict(flat) == run.error


def test_openai_python_created_again_does_not_wipe() -> None:
    run = folded(*STREAM[:4], CREATED, in_progress())
    assert [call("call_A", "get_weather", "".join(ARGUMENTS))] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_a_delta_again_is_a_legal_fragment() -> None:
    run = folded(*STREAM[:2], *[delta("step_1", fragment(0, "ab"))] * 3)
    assert [call("call_A", "get_weather", ARGUMENTS[0] + "ababab")] == calls_json(run)
    assert [] == faults(run)


@pytest.mark.parametrize("index", [-1, True, "0"])
def test_openai_python_an_index_of_minus_1_true_or_text_is_a_problem_and_nothing_is_corrupted(index: object) -> None:
    entry = opening(index, "call_B", "f")
    run = folded(*STREAM[:4], delta("step_1", entry))
    path = "$.delta.step_details.tool_calls[0].index"
    assert [(5, "index", path, text(entry), "step_1")] == faults(run)
    first = call("call_A", "get_weather", "".join(ARGUMENTS))
    assert [first, call("call_B", "f", "")] == calls_json(run)


def test_openai_python_a_type_that_changes_at_one_index_keeps_the_first_entry_whole() -> None:
    other = {"index": 0, "id": "call_B", "type": "code_interpreter", "code_interpreter": {"input": "1"}}
    run = folded(*STREAM[:2], delta("step_1", other), *STREAM[2:4])
    assert [(3, "conflict", "$.delta.step_details.tool_calls[0].type", text(other), "step_1")] == faults(run)
    assert [call("call_A", "get_weather", "".join(ARGUMENTS))] == calls_json(run)


def test_openai_python_usage_booleans_timestamps_and_status_sent_twice_have_the_last_value() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    first = in_progress(usage={**usage, "total_tokens": 20}, created_at=1_700_000_000, status="in_progress", flag=True)
    second = in_progress(usage=usage, created_at=1_700_000_001, status="completed", flag=True)
    run = folded(CREATED, first, second)
    assert step(usage=usage, created_at=1_700_000_001, status="completed", flag=True) == step_json(run)
    nested = [{"index": 0, "type": "new", "usage": usage, "at": number, "on": True} for number in (1, 2)]
    run = folded(CREATED, *(delta("step_1", each) for each in nested))
    expected = [{"type": "new", "usage": usage, "at": 2, "on": True}]
    assert json.dumps(expected, sort_keys=True) == json.dumps(calls_json(run), sort_keys=True)
    assert [] == faults(run)


def test_openai_python_a_merge_that_fails_half_way_is_not_applied() -> None:
    payload = delta_payload("step_1", fragment(0, "more"), opening(1, "call_B", "f"), function(0, arguments=7))
    run = folded(*STREAM[:4])
    before = run.run_steps()
    run.feed(event("thread.run.step.delta", payload))
    path = "$.delta.step_details.tool_calls[2].function.arguments"
    assert [(5, "shape", path, text(payload), "step_1")] == faults(run)
    assert before == run.run_steps()


def test_openai_python_4000_log_outputs_in_one_call() -> None:
    outputs = [{"type": "logs", "logs": f"{number}\n"} for number in range(4_000)]
    run = folded(
        CREATED,
        delta("step_1", code(input="", outputs=[])),
        *(delta("step_1", code(outputs=[{"index": index, **each}])) for index, each in enumerate(outputs)),
    )
    expected = {"input": "", "outputs": outputs}
    assert [{"type": "code_interpreter", "code_interpreter": expected}] == calls_json(run)
    run.feed(completed(calls=[{"id": "call_1", "type": "code_interpreter", "code_interpreter": expected}]))
    assert [{"id": "call_1", "type": "code_interpreter", "code_interpreter": expected}] == calls_json(run)
    assert [] == faults(run)


def test_openai_python_20000_argument_fragments() -> None:
    parts = [f"{number} " for number in range(20_000)]
    run = folded(CREATED, delta("step_1", opening(0, "call_A", "f")))
    updates = run.feed(b"".join(delta("step_1", fragment(0, part)) for part in parts))
    assert [fragment(0, part) for part in parts] == fragments_of(updates)
    assert [call("call_A", "f", "".join(parts))] == calls_json(run)


# openai-node.


def test_openai_node_repeated_ids_and_names_are_not_joined() -> None:
    run = folded(CREATED, *[delta("step_1", opening(0, "call_A", "get_weather"))] * 3)
    assert [call("call_A", "get_weather", "")] == calls_json(run)


def test_openai_node_output_null_after_a_string_or_a_boolean_twice_does_not_end_the_stream() -> None:
    run = folded(
        CREATED,
        delta("step_1", function(0, output="42", strict=True)),
        delta("step_1", function(0, output=None, strict=True)),
        delta("step_1", function(0, output="!", strict=False)),
    )
    assert [{"type": "function", "function": {"output": "42!", "strict": False}}] == calls_json(run)
    assert [] == faults(run)


def test_openai_node_two_open_steps_are_folded() -> None:
    run = folded(created("step_1"), created("step_2"), delta("step_1", opening(0, "a", "f")), completed("step_2"))
    assert ["in_progress", "completed"] == [each.status for each in run.run_steps()]


def test_openai_node_a_delta_after_completed_is_folded() -> None:
    mcp = {"id": "call_A", "type": "mcp", "arguments": "{}", "name": "n", "server_label": "s", "output": None}
    late = {"index": 0, "type": "mcp", "output": "[]"}
    run = folded(CREATED, delta("step_1", {"index": 0, **mcp}), completed(calls=[mcp]), delta("step_1", late))
    assert [{**mcp, "output": "[]"}] == calls_json(run)
    assert [] == faults(run)


def test_openai_node_a_second_created_is_an_update() -> None:
    assert ["RunStepCreated", "RunStepUpdated"] == kinds(updates_of(CREATED, CREATED))


def test_openai_node_gaps_leave_no_null() -> None:
    run = folded(
        CREATED, delta("step_1", opening(3, "call_A", "f")), delta("step_1", opening(4294967294, "call_B", "f"))
    )
    assert [call("call_A", "f", ""), call("call_B", "f", "")] == calls_json(run)


def test_openai_node_finished_steps_of_a_truncated_stream_are_readable() -> None:
    run = folded(*STREAM, created("step_2"), b"event: thread.run.step.delta\ndata: {")
    run.end()
    assert "truncated" == run.outcome
    assert [step("step_1", WEATHER, **ended()), step("step_2")] == [each.to_dict() for each in run.run_steps()]


def test_openai_node_deltas_kept_do_not_change_later() -> None:
    sent = [function(0, arguments=part) for part in ("AAA", "BBB", "CCC")]
    kept = updates_of(CREATED, *(delta("step_1", each) for each in sent))
    assert sent == fragments_of(kept)


def test_openai_node_no_fixed_limit_rejects_what_is_valid() -> None:
    indexes = [5_000 * number for number in range(5_000)]
    updates = updates_of(CREATED, *(delta("step_1", opening(index, str(index), "f")) for index in indexes))
    assert indexes == [each.index for each in updates if isinstance(each, ToolCallCreated)]


# azure-ai-agents.


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r", b"\n"])
def test_azure_ai_agents_any_line_end_is_taken(line_end: bytes) -> None:
    stream = b"".join([*STREAM, run_event("completed"), DONE]).replace(b"\n", line_end)
    assert updates_of(*STREAM, run_event("completed"), DONE) == updates_of(stream)


def test_azure_ai_agents_comments_and_a_byte_order_mark_are_nothing() -> None:
    stream = b"\xef\xbb\xbf: keepalive\n\n" + b": keepalive\n\n".join(STREAM) + b": keepalive\n" + DONE
    assert updates_of(*STREAM, DONE) == updates_of(stream)


def test_azure_ai_agents_a_data_field_of_several_lines_is_one() -> None:
    lines = json.dumps(step("step_1", WEATHER), indent=1).encode().split(b"\n")
    stream = b"event: thread.run.step.created\n" + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    assert [step("step_1", WEATHER)] == [each.to_dict() for each in folded(stream).run_steps()]


def test_azure_ai_agents_an_output_of_42_is_handed_through() -> None:
    whole = call("call_A", "f", "{}", 42)
    run = folded(*STREAM[:2], completed(calls=[whole]))
    assert 42 == cast("dict[str, object]", calls_json(run)[0]["function"])["output"]


# Others.


def test_langchain_calls_are_in_index_order_and_not_in_that_of_arrival() -> None:
    run = folded(CREATED, delta("step_1", opening(1, "call_B", "b")), delta("step_1", opening(0, "call_A", "a")))
    assert ["call_A", "call_B"] == [each["id"] for each in calls_json(run)]


def test_langchain_a_name_resent_stays() -> None:
    run = folded(CREATED, *[delta("step_1", function(0, name="get_weather"))] * 2)
    assert [{"type": "function", "function": {"name": "get_weather"}}] == calls_json(run)


def test_langchain_floats_that_differ_and_token_totals_have_the_last_value() -> None:
    sent = [search(score=0.5, usage={"total_tokens": 11}), search(score=0.75, usage={"total_tokens": 12})]
    run = folded(CREATED, *(delta("step_1", each) for each in sent))
    assert [{"type": "file_search", "file_search": {"score": 0.75, "usage": {"total_tokens": 12}}}] == calls_json(run)
    assert [] == faults(run)


def test_anthropic_entries_that_start_out_of_order_keep_their_payloads() -> None:
    run = folded(
        CREATED,
        delta("step_1", opening(2, "call_C", "c")),
        delta("step_1", opening(0, "call_A", "a")),
        delta("step_1", fragment(2, "3")),
        delta("step_1", fragment(0, "1")),
    )
    assert [call("call_A", "a", "1"), call("call_C", "c", "3")] == calls_json(run)


def test_pydantic_ai_a_name_resent_stays() -> None:
    run = folded(
        CREATED, delta("step_1", opening(0, "call_A", "f")), delta("step_1", function(0, name="f", arguments="x"))
    )
    assert [call("call_A", "f", "x")] == calls_json(run)


def test_pydantic_ai_a_fragment_without_index_goes_to_the_call_that_its_id_names() -> None:
    def entry(**fields: object) -> dict[str, object]:
        return {key: value for key, value in function(0, **fields).items() if key != "index"}

    run = folded(
        CREATED,
        delta("step_1", entry(id="call_A", name="a")),
        delta("step_1", entry(id="call_B", name="b")),
        delta("step_1", entry(id="call_A", arguments="1")),
        delta("step_1", entry(id="call_B", arguments="2")),
    )
    assert [
        {"id": "call_A", "type": "function", "function": {"name": "a", "arguments": "1"}},
        {"id": "call_B", "type": "function", "function": {"name": "b", "arguments": "2"}},
    ] == calls_json(run)


# Real servers that send impossible shapes.


def test_supercompat_a_fresh_id_on_every_fragment() -> None:
    sent = [function(0, id=f"call_{number}", name="f", arguments=part) for number, part in enumerate(ARGUMENTS)]
    run = folded(CREATED, *(delta("step_1", each) for each in sent))
    expected = {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "".join(ARGUMENTS)}}
    assert [expected] == calls_json(run)
    assert [(3, "conflict", "$.delta.step_details.tool_calls[0].id", '"call_1"', "step_1")] == faults(run)


def test_supercompat_id_name_and_null_output_on_every_fragment_with_indexes_from_1() -> None:
    sent = [
        function(index, id=f"call_{index}", name=f"f{index}", arguments=part, output=None)
        for part in ARGUMENTS
        for index in (1, 2)
    ]
    run = folded(CREATED, *(delta("step_1", each) for each in sent))
    assert [call(f"call_{index}", f"f{index}", "".join(ARGUMENTS)) for index in (1, 2)] == calls_json(run)
    assert [] == faults(run)


def test_azure_created_twice_is_created_once() -> None:
    assert ["RunStepCreated", "RunStepUpdated"] == kinds(updates_of(CREATED, CREATED))
    assert [] == faults(folded(CREATED, CREATED))


def test_azure_run_created_in_mid_run_is_an_update() -> None:
    run = folded(run_event("queued", name="created"), *STREAM[:2], run_event("queued", name="created"), *STREAM[2:])
    assert [step("step_1", WEATHER, **ended())] == [each.to_dict() for each in run.run_steps()]
    assert [] == faults(run)


def test_azure_completed_then_a_delta_then_completed_again() -> None:
    mcp = {"id": "call_A", "type": "mcp", "arguments": "{}", "output": None}
    late = delta("step_1", {"index": 0, "type": "mcp", "output": "[]"})
    run = Accumulator()
    updates = run.feed(CREATED + delta("step_1", {"index": 0, **mcp}))
    updates += run.feed(completed(calls=[mcp]) + late + completed(calls=[mcp]))
    assert ["ToolCallDone", "RunStepDone", "ToolCallDelta", "RunStepUpdated"] == kinds(updates)[3:]
    assert [{**mcp, "output": "[]"}] == calls_json(run)
    run.feed(late + completed(calls=[{**mcp, "output": "[][]"}]))
    assert [{**mcp, "output": "[][]"}] == calls_json(run)
    assert [] == faults(run)


@pytest.mark.parametrize("life", ["created", "in_progress", "completed"])
def test_azure_a_step_event_without_details_keeps_them(life: str) -> None:
    payload = {key: value for key, value in step().items() if key != "step_details"}
    run = folded(*STREAM[:4], event(f"thread.run.step.{life}", payload))
    details = {"type": "tool_calls", "tool_calls": [call("call_A", "get_weather", "".join(ARGUMENTS))]}
    assert details == details_json(run)
    assert [] == faults(run)
    alone = folded(event(f"thread.run.step.{life}", payload))
    assert payload == step_json(alone)


@pytest.mark.parametrize(
    "kind",
    [
        "bing_grounding",
        "azure_ai_search",
        "azure_function",
        "fabric_dataagent",
        "connected_agent",
        "deep_research",
        "new",
    ],
)
def test_azure_tool_types_by_the_dozen_are_folded_alike(kind: str) -> None:
    def entry(payload: object) -> dict[str, object]:
        return {"index": 0, "type": kind, kind: payload}

    run = folded(
        CREATED,
        delta("step_1", {**entry({"input": None, "output": None, "requesturl": ""}), "id": "call_A"}),
        delta("step_1", entry({"input": "a"})),
        delta("step_1", entry({"input": "b", "requesturl": "https://example.com/"})),
        delta("step_1", entry({"output": "['x']"})),
    )
    payload = {"input": "ab", "output": "['x']", "requesturl": "https://example.com/"}
    assert [{"id": "call_A", "type": kind, kind: payload}] == calls_json(run)
    assert [] == faults(run)


def test_azure_openapi_has_its_payload_under_the_key_function() -> None:
    def entry(**payload: object) -> dict[str, object]:
        return {"index": 0, "type": "openapi", "function": payload}

    run = folded(
        CREATED,
        delta("step_1", {"id": "call_A", **entry(name="get", arguments="", output="")}),
        delta("step_1", entry(arguments='{"a"')),
        delta("step_1", entry(arguments=":1}")),
        delta("step_1", entry(output="{}")),
    )
    payload = {"name": "get", "arguments": '{"a":1}', "output": "{}"}
    assert [{"id": "call_A", "type": "openapi", "function": payload}] == calls_json(run)
    assert [] == faults(run)


def test_azure_mcp_has_a_flat_payload() -> None:
    mcp = {"id": "call_A", "type": "mcp", "arguments": "{}", "name": "n", "server_label": "s", "output": None}
    resent = {"index": 0, "type": "mcp", "name": "n", "server_label": "s", "output": "x"}
    run = folded(CREATED, delta("step_1", {"index": 0, **mcp}), delta("step_1", resent))
    assert [{**mcp, "output": "x"}] == calls_json(run)
    assert [] == faults(run)


def test_astra_assistants_events_without_event_line_are_those_in_the_envelope() -> None:
    entry = delta_payload("step_1", opening(0, "call_A", "f"))
    events: list[tuple[str, object]] = [
        ("thread.run.step.created", step()),
        ("thread.run.step.delta", entry),
        ("thread.run.step.completed", step("step_1", call("call_A", "f", ""), **ended())),
        ("thread.run.completed", {"id": "run_1", "status": "completed"}),
    ]
    enveloped = [event(None, {"event": name, "data": payload}) for name, payload in events]
    assert updates_of(*(event(*each) for each in events), DONE) == updates_of(*enveloped, event(None, b"[DONE]"))


def test_ibm_watsonx_orchestrate_the_same_name_with_another_body_is_a_shape_problem() -> None:
    body = {"id": "x", "choices": [{"delta": {"role": "assistant", "step_details": {"type": "tool_calls"}}}]}
    run = folded(*STREAM[:4], event("thread.run.step.delta", body))
    assert [(5, "shape", "$.delta", text(body), "x")] == faults(run)
    assert ["step_1"] == [each.id for each in run.run_steps()]


def test_dashscope_without_index_and_id_and_now_and_then_without_type() -> None:
    def entry(**fields: object) -> dict[str, object]:
        return fields

    sent = [
        entry(type="function", function={"name": "get_weather", "arguments": ""}),
        entry(function={"arguments": '{"city"'}),
        entry(type="function", function={"arguments": ':"Zürich"}'}),
    ]
    run = folded(created(created_at=1_700_000_000_123), *(delta("step_1", each) for each in sent))
    expected = {"type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Zürich"}'}}
    assert [expected] == calls_json(run)
    assert ["index"] * 3 == [fault[1] for fault in faults(run)]
    ending = {"id": "call_A", **expected}
    updates = run.feed(completed(calls=[ending], created_at=1_700_000_000_123))
    assert [("ToolCallDone", None), ("RunStepDone", 1_700_000_000_123)] == [
        (type(each).__name__, each.index if isinstance(each, ToolCallDone) else each.run_step.created_at)
        for each in updates
        if isinstance(each, (ToolCallDone, RunStepDone))
    ]
    assert [ending] == calls_json(run)
    assert 3 == len(run.problems)


def test_unknown_things_are_kept() -> None:
    run = Accumulator()
    new = {"id": "x", "object": "thread.run.step.renamed"}
    assert [UnknownEvent(1, "thread.run.step.renamed", text(new))] == run.feed(event("thread.run.step.renamed", new))
    run.feed(created(new_field={"a": [1]}))
    assert step(new_field={"a": [1]}) == step_json(run)
