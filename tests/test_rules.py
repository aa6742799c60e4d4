"""The rules of the fold, one by one."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    FunctionToolCall,
    MergeError,
    Problem,
    RunStep,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    UnknownEvent,
)
from accumulator._assistants.protocol import EVENTS, ROLES
from accumulator._engine.resource import LIFE
from accumulator._json import dump_json
from tests.wire import (
    CREATED_AT,
    DONE,
    call,
    calls_json,
    completed,
    created,
    delta,
    delta_payload,
    details_delta,
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
    step_event,
    step_json,
    text,
    updates_of,
)

if TYPE_CHECKING:
    from accumulator import Update

OPEN = (created(), delta("step_1", opening(0, "call_1", "get_weather")))
CODE: dict[str, object] = {
    "index": 0,
    "id": "call_1",
    "type": "code_interpreter",
    "code_interpreter": {"input": "", "outputs": []},
}

ENDINGS = ("cancelled", "completed", "expired", "failed")


def code(**fields: object) -> dict[str, object]:
    return {"index": 0, "type": "code_interpreter", "code_interpreter": fields}


def other(**fields: object) -> dict[str, object]:
    """Return an entry, index 0, of a tool that the reference does not have."""
    return {"index": 0, "type": "new_tool", **fields}


def ordered(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def known(*deltas: object) -> dict[str, object]:
    """Fold entries of one call, index 0, of whatever type, and return the call."""
    run = folded(created(), *(delta("step_1", each) for each in deltas))
    assert [] == faults(run)
    (only,) = calls_json(run)
    return only


# 1. Keys.


def test_a_step_is_found_by_its_id() -> None:
    run = folded(
        created("step_b"), created("step_a"), delta("step_a", opening(0, "call_a", "a")), delta("step_b", CODE)
    )
    assert ["step_b", "step_a"] == [each.id for each in run.run_steps()]
    assert [{key: value for key, value in CODE.items() if key != "index"}] == calls_json(run, "step_b")
    assert [call("call_a", "a", "")] == calls_json(run, "step_a")


def test_a_tool_call_is_found_by_step_and_index() -> None:
    run = folded(
        delta("step_a", opening(0, "call_a", "a")),
        delta("step_b", opening(0, "call_b", "b")),
        delta("step_a", fragment(0, "1")),
        delta("step_b", fragment(0, "2")),
        delta("step_a", fragment(0, "3")),
    )
    assert [call("call_a", "a", "13")] == calls_json(run, "step_a")
    assert [call("call_b", "b", "2")] == calls_json(run, "step_b")
    found = run.tool_call("step_b", 0)
    assert isinstance(found, FunctionToolCall)
    assert call("call_b", "b", "2") == found.to_dict()


@pytest.mark.parametrize(("step_id", "index"), [("step_1", 1), ("step_1", -1), ("step_2", 0)])
def test_what_no_event_spoke_of_is_none(step_id: str, index: int) -> None:
    run = folded(*OPEN)
    assert run.tool_call(step_id, index) is None
    assert run.run_step("step_2") is None
    assert Accumulator().run_steps() == []


def test_a_step_without_calls_has_no_tool_call() -> None:
    details = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    run = folded(created(type="message_creation", step_details=details), created("step_2", step_details=None))
    assert run.tool_call("step_1", 0) is None
    assert run.tool_call("step_2", 0) is None
    assert details == details_json(run)


def test_an_output_is_found_by_its_index_within_the_call() -> None:
    image = {"type": "image", "image": {"file_id": "file_1"}}
    assert known(
        CODE,
        code(outputs=[{"index": 1, **image}]),
        code(outputs=[{"index": 0, "type": "logs", "logs": "a"}]),
        code(outputs=[{"index": 0, "type": "logs", "logs": "b"}]),
    ) == {
        "id": "call_1",
        "type": "code_interpreter",
        "code_interpreter": {"input": "", "outputs": [{"type": "logs", "logs": "ab"}, image]},
    }


@pytest.mark.parametrize("indexes", [[0, 1, 2], [2, 1, 0], [7, 0, 3], [4294967294, 1, 10**30]])
def test_gaps_order_and_size_of_indexes_do_not_matter(indexes: list[int]) -> None:
    run = folded(created(), *(delta("step_1", opening(index, f"call_{index}", "f")) for index in indexes))
    assert [call(f"call_{index}", "f", "") for index in sorted(indexes)] == calls_json(run)
    assert [] == faults(run)


def test_an_index_never_appears_in_a_snapshot() -> None:
    run = folded(created(), delta("step_1", {**CODE, "code_interpreter": {"outputs": [{"index": 3, "type": "logs"}]}}))
    assert '"index"' not in ordered(step_json(run))


def test_several_entries_of_one_delta_go_to_their_calls() -> None:
    run = folded(
        created(),
        delta("step_1", opening(1, "call_b", "b"), opening(0, "call_a", "a"), fragment(1, "x"), fragment(1, "y")),
    )
    assert [call("call_a", "a", ""), call("call_b", "b", "xy")] == calls_json(run)


# 2. The field policy.


@pytest.mark.parametrize(
    "field", ["arguments", "input", "output", "logs", "value", "refusal", "requesturl", "response_metadata"]
)
def test_text_is_appended_to_text(field: str) -> None:
    grown = known(other(**{field: "a"}), other(**{field: ""}), other(**{field: "b"}), other(**{field: "b"}))
    assert {"type": "new_tool", field: "abb"} == grown


@pytest.mark.parametrize("field", ["id", "name", "file_id", "server_label"])
@pytest.mark.parametrize("empty", [None, "", []])
def test_the_first_value_that_is_not_empty_is_kept(field: str, empty: object) -> None:
    grown = known(other(**{field: empty}), other(**{field: "a"}), other(**{field: empty}), other(**{field: "a"}))
    assert {"type": "new_tool", field: "a"} == grown


def test_the_first_empty_value_of_a_kept_field_stays_until_there_is_another() -> None:
    assert known(other(name=""), other(name=None)) == {"type": "new_tool", "name": ""}
    assert known(other(name=None), other(name="")) == {"type": "new_tool", "name": ""}
    assert known(other(name=""), other(name=""), other(name=[])) == {"type": "new_tool", "name": ""}


@pytest.mark.parametrize("values", [[1, 2], [0.5, 0.5], ["a", "b"], [True, False], [1, "a"], [{}, {}], [["a"], [1]]])
def test_anything_else_is_replaced_by_the_last_value(values: list[object]) -> None:
    grown = known(*(other(score=value) for value in values), other(score=None))
    assert ordered({"type": "new_tool", "score": values[-1]}) == ordered(grown)


def test_ranking_options_are_replaced_as_a_whole() -> None:
    def search(**options: object) -> dict[str, object]:
        return {"index": 0, "type": "file_search", "file_search": {"ranking_options": options, "results": []}}

    assert known(search(ranker="auto", score_threshold=0.5), search(ranker="auto")) == {
        "type": "file_search",
        "file_search": {"ranking_options": {"ranker": "auto"}, "results": []},
    }


def test_objects_merge_key_by_key() -> None:
    assert known(other(a={"b": {"c": 1}}), other(a={"b": {"d": 2}}), other(a={"b": {"c": 3}, "e": {}})) == {
        "type": "new_tool",
        "a": {"b": {"c": 3, "d": 2}, "e": {}},
    }


def test_numbers_are_never_added_up() -> None:
    assert known(other(tokens=11), other(tokens=12), other(tokens=1.0)) == {"type": "new_tool", "tokens": 1.0}
    assert ordered({"tokens": 1.0, "type": "new_tool"}) == ordered(known(other(tokens=1), other(tokens=1.0)))


def test_a_repeated_id_or_name_is_never_joined() -> None:
    resent = opening(0, "call_1", "get_weather")
    assert known(resent, {**resent}, resent) == call("call_1", "get_weather", "")


def test_unknown_tool_types_go_by_the_same_table_at_any_depth() -> None:
    assert known(
        other(a={"b": [{"index": 2, "name": "n", "input": "x"}, {"index": 0, "input": "y"}]}),
        other(a={"b": [{"index": 2, "name": "n", "input": "z", "steps": [{"index": 0, "logs": "1"}]}]}),
        other(a={"b": [{"index": 2, "steps": [{"index": 0, "logs": "2"}]}]}),
    ) == {"type": "new_tool", "a": {"b": [{"input": "y"}, {"name": "n", "input": "xz", "steps": [{"logs": "12"}]}]}}


@pytest.mark.parametrize("came", [1, True, {"a": 1}, ["a"], [{"index": 0}]])
def test_what_is_no_text_meeting_text_in_an_append_field_is_a_shape_problem(came: object) -> None:
    wrong = delta_payload("step_1", function(0, arguments=came))
    run = folded(*OPEN, delta("step_1", fragment(0, "{}")), event("thread.run.step.delta", wrong))
    path = "$.delta.step_details.tool_calls[0].function.arguments"
    assert [(4, "shape", path, text(wrong), "step_1")] == faults(run)
    assert [call("call_1", "get_weather", "{}")] == calls_json(run)


@pytest.mark.parametrize("was", [1, {"a": 1}, ["a"]])
def test_text_meeting_what_is_no_text_in_an_append_field_is_a_shape_problem(was: object) -> None:
    wrong = delta_payload("step_1", other(output="text"))
    run = folded(created(), delta("step_1", other(output=was)), event("thread.run.step.delta", wrong))
    assert [(3, "shape", "$.delta.step_details.tool_calls[0].output", text(wrong), "step_1")] == faults(run)
    assert [{"type": "new_tool", "output": was}] == calls_json(run)


@pytest.mark.parametrize("before", [[], [None], [""], [7], [{"a": 1}], [["a"]]])
@pytest.mark.parametrize("value", [1, {"b": 1}, [{"index": 0}], False])
def test_what_is_no_text_replaces_nothing_and_what_is_no_text(before: list[object], value: object) -> None:
    grown = known(*(other(output=each) for each in before), other(output=value), other(output=None), other(output=""))
    assert ordered({"type": "new_tool", "output": value}) == ordered(grown)


def test_any_list_whose_entries_all_have_a_usable_index_is_keyed() -> None:
    assert known(other(steps=[{"index": 1, "a": 1}]), other(steps=[{"index": 0, "a": 2}, {"index": 1, "b": 3}])) == {
        "type": "new_tool",
        "steps": [{"a": 2}, {"a": 1, "b": 3}],
    }


@pytest.mark.parametrize(
    "value", [["a"], [{"a": 1}], [{"index": 0}, {}], [{"index": -1}], [{"index": True}], [{"index": "0"}], [1, 2]]
)
def test_any_other_list_is_a_value_with_its_indexes_and_replaced_whole(value: list[object]) -> None:
    grown = known(other(steps=[3, 4, 5]), other(steps=value))
    assert ordered({"type": "new_tool", "steps": value}) == ordered(grown)


def test_an_index_is_removed_from_the_entries_of_keyed_lists_only() -> None:
    assert known(other(page={"index": 3}, steps=[{"index": 0, "page": {"index": 4}}])) == {
        "type": "new_tool",
        "page": {"index": 3},
        "steps": [{"page": {"index": 4}}],
    }


def test_an_empty_list_opens_one_and_never_overwrites() -> None:
    assert known(other(a=[], b=[1], c=[{"index": 0, "x": 1}], d=2), other(a=[], b=[], c=[], d=[])) == {
        "type": "new_tool",
        "a": [],
        "b": [1],
        "c": [{"x": 1}],
        "d": 2,
    }
    assert known(CODE, code(outputs=[{"index": 0, "type": "logs"}]), code(outputs=[])) == {
        "id": "call_1",
        "type": "code_interpreter",
        "code_interpreter": {"input": "", "outputs": [{"type": "logs"}]},
    }


def test_an_object_or_a_keyed_list_replaces_what_is_none() -> None:
    assert known(other(a=1, b="x", c=[1]), other(a={"y": 1}, b=[{"index": 0}], c=[{"index": 5, "z": 1}])) == {
        "type": "new_tool",
        "a": {"y": 1},
        "b": [{}],
        "c": [{"z": 1}],
    }


@pytest.mark.parametrize(
    ("was", "came"),
    [
        ({"a": 1}, 1),
        ({"a": 1}, "text"),
        ({"a": 1}, ["a"]),
        ({"a": 1}, [{"index": 0}]),
        ([{"index": 0}], 1),
        ([{"index": 0}], "text"),
        ([{"index": 0}], ["a"]),
        ([{"index": 0}], {"a": 1}),
    ],
)
def test_a_folded_object_or_keyed_list_is_never_discarded_by_a_delta(was: object, came: object) -> None:
    wrong = delta_payload("step_1", other(kept=1, field=came))
    run = folded(created(), delta("step_1", other(field=was)), event("thread.run.step.delta", wrong))
    assert [(3, "shape", "$.delta.step_details.tool_calls[0].field", text(wrong), "step_1")] == faults(run)
    assert [known(other(field=was))] == calls_json(run)


def test_unknown_keys_of_a_delta_merge_into_the_step() -> None:
    payload = {"id": "step_1", "delta": {"usage": {"total_tokens": 1}, "progress": 0.5, "note": {"input": "a"}}}
    again = {"id": "step_1", "delta": {"usage": {"prompt_tokens": 2}, "note": {"input": "b"}}}
    run = folded(created(), event("thread.run.step.delta", payload), event("thread.run.step.delta", again))
    expected = step(usage={"total_tokens": 1, "prompt_tokens": 2}, progress=0.5, note={"input": "ab"})
    assert expected == step_json(run)


def test_surrogates_split_over_two_fragments_are_put_together() -> None:
    run = folded(*OPEN, *(delta("step_1", fragment(0, part)) for part in ('"\ud83d', '\ude00"')))
    assert [call("call_1", "get_weather", '"😀"')] == calls_json(run)


def test_the_id_of_a_step_is_that_of_the_event_whatever_its_delta_says() -> None:
    deltas = [{"id": None, "x": 1}, {"id": "other", "x": 2}]
    run = folded(*(event("thread.run.step.delta", {"id": "step_1", "delta": each}) for each in deltas))
    assert {"id": "step_1", "x": 2} == step_json(run)
    assert [(2, "conflict", "$.delta.id", '"other"', "step_1")] == faults(run)


# 3. Null.


def test_null_in_a_delta_never_overwrites_and_a_value_overwrites_null() -> None:
    assert known(
        other(a=None, b=1, output=None, name=None, c={"x": None}, d=[1], e=[{"index": 0}]),
        other(a=1, b=None, output="x", name="n", c={"x": 2}, d=None, e=None),
        other(output=None, name=None, c=None),
    ) == {"type": "new_tool", "a": 1, "b": 1, "output": "x", "name": "n", "c": {"x": 2}, "d": [1], "e": [{}]}


def test_null_that_meets_nothing_is_there() -> None:
    assert known(other(a=None, output=None, id=None)) == {"type": "new_tool", "a": None, "output": None, "id": None}


@pytest.mark.parametrize("life", ["created", "in_progress"])
def test_null_in_an_event_that_is_no_ending_never_overwrites(life: str) -> None:
    run = folded(
        created(usage={"total_tokens": 1}, metadata={"a": 1, "b": 1}),
        step_event(life, usage=None, metadata={"a": None, "c": None}, new=None),
    )
    assert step(usage={"total_tokens": 1}, metadata={"a": 1, "b": 1, "c": None}, new=None) == step_json(run)


def test_the_null_of_an_ending_overwrites_at_the_top() -> None:
    run = folded(created(expires_at=5, usage={"total_tokens": 1}), completed(expires_at=None, usage=None))
    assert {**step(), **ended(), "expires_at": None, "usage": None} == step_json(run)


def test_a_field_at_the_top_that_an_ending_lacks_stays() -> None:
    payload = {"id": "step_1", "status": "completed"}
    run = folded(created(), event("thread.run.step.completed", payload))
    assert step(status="completed") == step_json(run)


# 4. Conflicts.


@pytest.mark.parametrize("field", ["id", "name", "file_id", "server_label"])
def test_a_different_later_value_keeps_the_first_and_is_a_conflict(field: str) -> None:
    run = folded(created(), *(delta("step_1", other(**{field: each, "input": each})) for each in ("a", "b", "a")))
    path = f"$.delta.step_details.tool_calls[0].{field}"
    assert [(3, "conflict", path, '"b"', "step_1")] == faults(run)
    assert [{"type": "new_tool", field: "a", "input": "aba"}] == calls_json(run)


def test_a_conflict_is_told_once_per_field_and_slot() -> None:
    entries = [opening(index, f"{index}_{number}", f"f_{number}") for number in range(3) for index in range(2)]
    run = folded(created(), *(delta("step_1", entry) for entry in entries), delta("step_1", entries[4], entries[5]))
    path = "$.delta.step_details.tool_calls[0]"
    assert [
        (4, "conflict", f"{path}.id", '"0_1"', "step_1"),
        (4, "conflict", f"{path}.function.name", '"f_1"', "step_1"),
        (5, "conflict", f"{path}.id", '"1_1"', "step_1"),
        (5, "conflict", f"{path}.function.name", '"f_1"', "step_1"),
    ] == faults(run)


def test_a_conflict_is_told_once_though_one_delta_has_it_twice() -> None:
    run = folded(*OPEN, delta("step_1", function(0, id="b"), function(0, id="c"), fragment(0, "x")))
    assert [(3, "conflict", "$.delta.step_details.tool_calls[0].id", '"b"', "step_1")] == faults(run)
    assert [call("call_1", "get_weather", "x")] == calls_json(run)


@pytest.mark.parametrize("life", ["created", "in_progress"])
def test_a_different_value_in_an_event_that_is_no_ending_is_a_conflict(life: str) -> None:
    again = step_event(life, "step_1", call("call_1", "other", ""), type="message_creation")
    run = folded(*OPEN, again, again)
    assert [
        (3, "conflict", "$.type", '"message_creation"', "step_1"),
        (3, "conflict", "$.step_details.tool_calls[0].function.name", '"other"', "step_1"),
    ] == faults(run)
    assert step("step_1", call("call_1", "get_weather", "")) == step_json(run)


def test_an_entry_of_another_type_at_one_key_is_not_merged() -> None:
    entry = {**CODE, "id": "call_2"}
    run = folded(*OPEN, delta("step_1", entry, fragment(0, "x")), delta("step_1", entry))
    path = "$.delta.step_details.tool_calls[0].type"
    assert [(3, "conflict", path, text(entry), "step_1"), (4, "conflict", path, text(entry), "step_1")] == faults(run)
    assert [call("call_1", "get_weather", "x")] == calls_json(run)


def test_an_output_of_another_type_at_one_key_is_not_merged() -> None:
    image = {"index": 0, "type": "image", "image": {"file_id": "file_1"}}
    run = folded(
        created(),
        delta("step_1", CODE),
        delta("step_1", code(outputs=[{"index": 0, "type": "logs", "logs": "a"}, image], input="x")),
    )
    path = "$.delta.step_details.tool_calls[0].code_interpreter.outputs[1].type"
    assert [(3, "conflict", path, text(image), "step_1")] == faults(run)
    assert {"input": "x", "outputs": [{"type": "logs", "logs": "a"}]} == calls_json(run)[0]["code_interpreter"]


def test_a_call_of_another_type_in_created_again_is_not_merged() -> None:
    sent = {"id": "call_1", "type": "mcp", "output": "x"}
    run = folded(*OPEN, step_event("created", "step_1", sent))
    assert [(3, "conflict", "$.step_details.tool_calls[0].type", text(sent), "step_1")] == faults(run)
    assert [call("call_1", "get_weather", "")] == calls_json(run)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_type_is_no_other_type(empty: object) -> None:
    grown = known({"index": 0, "type": empty}, function(0, arguments="a"), {**fragment(0, "b"), "type": empty})
    assert {"type": "function", "function": {"arguments": "ab"}} == grown


# 5. The life of a step.


def test_the_life_is_a_table_with_no_way_back() -> None:
    assert {*ENDINGS, "incomplete"} | {"created", "in_progress", "delta"} == set(ROLES)
    rank = {"new": 0, "open": 1, "ended": 2}
    assert {(state, role) for state in rank for role in ROLES.values()} == set(LIFE)
    assert all(rank[step.state] >= max(1, rank[before]) for (before, _), step in LIFE.items())


@pytest.mark.parametrize("life", ["created", "in_progress"])
def test_an_event_that_is_no_ending_updates_fields_at_the_top(life: str) -> None:
    usage = {"total_tokens": 2}
    run = folded(created(), step_event(life, status="queued", expires_at=7, usage=usage, metadata={}, new=[]))
    assert step(status="queued", expires_at=7, usage=usage, metadata={}, new=[]) == step_json(run)
    assert [] == faults(run)


def test_an_event_that_is_no_ending_replaces_values_at_the_top_and_merges_objects() -> None:
    run = folded(
        created(usage={"a": {"b": 1}}, list=[1], text="x"),
        in_progress(usage={"a": {"b": 2, "c": 3}, "d": [4]}, list=[], text="y"),
    )
    assert step(usage={"a": {"b": 2, "c": 3}, "d": [4]}, list=[1], text="y") == step_json(run)


def test_after_the_ending_the_status_stays_and_other_fields_are_updated() -> None:
    run = folded(created(), completed(), in_progress(expires_at=8, usage=None))
    assert {**step(), **ended(), "expires_at": 8} == step_json(run)


@pytest.mark.parametrize("life", ["created", "in_progress"])
def test_created_again_never_discards_or_doubles(life: str) -> None:
    run = folded(*OPEN, delta("step_1", fragment(0, "{}")), step_event(life))
    assert step("step_1", call("call_1", "get_weather", "{}")) == step_json(run)
    held = step_event(life, "step_1", call("call_1", "get_weather", "other", "out"))
    run.feed(held + held + delta("step_1", fragment(0, "x")))
    assert step("step_1", call("call_1", "get_weather", "{}x", "out")) == step_json(run)
    assert [] == faults(run)


def test_created_again_fills_what_is_empty_in_the_details() -> None:
    run = folded(
        created(step_details=None),
        step_event("in_progress", step_details={"type": "tool_calls", "tool_calls": [call("call_1", "f", "")]}),
        step_event(
            "created",
            step_details={
                "type": "tool_calls",
                "tool_calls": [{"id": "call_1", "function": {"arguments": "a", "output": None, "new": {"x": ""}}}],
                "new": {"y": 1},
            },
        ),
        step_event("created", step_details={"new": {"y": 2, "z": 3}}),
    )
    expected = call("call_1", "f", "a")
    cast("dict[str, object]", expected["function"])["new"] = {"x": ""}
    assert {"type": "tool_calls", "tool_calls": [expected], "new": {"y": 1, "z": 3}} == details_json(run)
    assert [] == faults(run)


def test_created_again_leaves_what_is_empty_on_both_sides() -> None:
    again = step_event("created", "step_1", call("", "", "", ""))
    run = folded(again, again)
    assert [call("", "", "", "")] == calls_json(run)
    run.feed(step_event("created", "step_1", call("call_1", "f", "", None)))
    assert [call("call_1", "f", "", "")] == calls_json(run)
    assert [] == faults(run)


def test_a_call_that_only_an_event_that_is_no_ending_has_is_created_and_not_done() -> None:
    updates = updates_of(step_event("created", "step_1", call("call_1", "f", "a")), delta("step_1", fragment(0, "b")))
    whole = step("step_1", call("call_1", "f", "a"))
    entry = call("call_1", "f", "a")
    assert [
        RunStepCreated(1, "step_1", RunStep.from_dict(whole)),
        ToolCallCreated(1, "step_1", 0, FunctionToolCall.from_dict(entry)),
    ] == updates[:2]
    assert ["ToolCallDelta"] == kinds(updates[2:])


def test_a_delta_for_a_step_never_seen_opens_it() -> None:
    run = Accumulator()
    updates = run.feed(delta("step_1", opening(0, "call_1", "f")))
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta"] == kinds(updates)
    expected = {"id": "step_1", "step_details": {"type": "tool_calls", "tool_calls": [call("call_1", "f", "")]}}
    assert expected == step_json(run)
    assert [] == faults(run)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_for_a_step_never_seen_opens_and_ends_it(ending: str) -> None:
    run = Accumulator()
    whole = step("step_1", call("call_1", "f", "{}"), **ended(ending))
    updates = run.feed(event(f"thread.run.step.{ending}", whole))
    assert [
        RunStepCreated(1, "step_1", RunStep.from_dict(whole)),
        ToolCallCreated(1, "step_1", 0, FunctionToolCall.from_dict(call("call_1", "f", "{}"))),
        ToolCallDone(1, "step_1", 0, FunctionToolCall.from_dict(call("call_1", "f", "{}"))),
        RunStepDone(1, "step_1", RunStep.from_dict(whole)),
    ] == updates
    assert whole == step_json(run)
    assert [] == faults(run)


# 6. Endings.


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_gives_what_the_server_sent(ending: str) -> None:
    whole = step("step_1", call("call_1", "get_weather", "{}", "9 °C"), **ended(ending))
    run = Accumulator()
    run.feed(b"".join(OPEN) + delta("step_1", fragment(0, "{}")))
    updates = run.feed(event(f"thread.run.step.{ending}", whole))
    done = FunctionToolCall.from_dict(call("call_1", "get_weather", "{}", "9 °C"))
    assert [ToolCallDone(4, "step_1", 0, done), RunStepDone(4, "step_1", RunStep.from_dict(whole))] == updates
    assert [] == faults(run)


@pytest.mark.parametrize("empty", [None, "", []])
def test_emptiness_in_an_ending_never_erases(empty: object) -> None:
    run = folded(
        created(),
        delta("step_1", {**CODE, "code_interpreter": {"input": "1+1", "outputs": [{"index": 0, "type": "logs"}]}}),
        completed(
            calls=[
                {
                    "id": "call_1",
                    "type": "code_interpreter",
                    "code_interpreter": {"input": empty, "outputs": None if empty == "" else empty},
                }
            ]
        ),
    )
    assert {"input": "1+1", "outputs": [{"type": "logs"}]} == calls_json(run)[0]["code_interpreter"]
    assert [] == faults(run)


@pytest.mark.parametrize("fields", [{"step_details": None}, {}, {"step_details": {}}])
def test_an_ending_without_details_leaves_the_folded_ones(fields: dict[str, object]) -> None:
    payload = {"id": "step_1", "status": "completed", **fields}
    run = folded(*OPEN, event("thread.run.step.completed", payload))
    assert step("step_1", call("call_1", "get_weather", ""), status="completed") == step_json(run)
    assert [] == faults(run)


def test_an_ending_without_calls_leaves_the_folded_ones_and_they_are_done() -> None:
    run = folded(*OPEN)
    updates = run.feed(completed())
    assert ["ToolCallDone", "RunStepDone"] == kinds(updates)
    assert step("step_1", call("call_1", "get_weather", ""), **ended()) == step_json(run)
    assert [] == faults(run)


def test_contents_that_differ_are_a_contradiction_and_the_ending_is_right() -> None:
    run = folded(*OPEN, delta("step_1", fragment(0, "{}")), completed(calls=[call("call_9", "other", "[]", "x")]))
    path = "$.step_details.tool_calls[0]"
    assert [
        (4, "contradiction", f"{path}.id", '"call_1"', "step_1"),
        (4, "contradiction", f"{path}.function.name", '"get_weather"', "step_1"),
        (4, "contradiction", f"{path}.function.arguments", '"{}"', "step_1"),
    ] == faults(run)
    assert step("step_1", call("call_9", "other", "[]", "x"), **ended()) == step_json(run)


@pytest.mark.parametrize(
    ("was", "ending"),
    [({"a": 1}, "text"), ({"a": 1}, [1]), ([{"index": 0, "a": 1}], {"b": 1}), ([{"index": 0}], ["x"]), (1, 1.0)],
)
def test_another_json_type_in_an_ending_is_a_contradiction(was: object, ending: object) -> None:
    run = folded(created(), delta("step_1", other(field=was)), completed(calls=[{"type": "new_tool", "field": ending}]))
    raw = text(known(other(field=was))["field"])
    assert [(3, "contradiction", "$.step_details.tool_calls[0].field", raw, "step_1")] == faults(run)
    assert ordered([{"type": "new_tool", "field": ending}]) == ordered(calls_json(run))


def test_a_contradiction_within_unknown_objects_names_its_path() -> None:
    run = folded(
        created(),
        delta("step_1", other(**{"a b": {"steps": [{"index": 0, "x": 1}]}})),
        completed(calls=[{"type": "new_tool", "a b": {"steps": [{"x": 2}]}}]),
    )
    path = '$.step_details.tool_calls[0]["a b"].steps[0].x'
    assert [(3, "contradiction", path, "1", "step_1")] == faults(run)


def test_filling_is_no_contradiction() -> None:
    run = folded(
        created(),
        delta("step_1", other(a=None, b="", c=[], d={}, output="", steps=[{"index": 0}])),
        completed(
            calls=[
                {"type": "new_tool", "a": 1, "b": "x", "c": [1], "d": {"e": 2}, "output": "y", "steps": [{"z": 1}]},
            ]
        ),
    )
    assert [] == faults(run)
    assert [
        {"type": "new_tool", "a": 1, "b": "x", "c": [1], "d": {"e": 2}, "output": "y", "steps": [{"z": 1}]},
    ] == calls_json(run)


def test_a_folded_field_without_content_that_the_ending_lacks_goes_away() -> None:
    streamed = other(output=None, a="", b=[], c={"d": None}, steps=[], kept=0)
    run = folded(created(), delta("step_1", streamed), completed(calls=[{"type": "new_tool"}]))
    assert [{"type": "new_tool", "kept": 0}] == calls_json(run)
    assert [] == faults(run)


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_emptiness_on_emptiness_is_as_the_ending_has_it(value: object) -> None:
    ending = {"type": "new_tool", "a": value, "output": value, "outputs": value}
    streamed = other(a=None, output=None, outputs=[])
    run = folded(created(), delta("step_1", streamed), completed(calls=[ending]))
    assert [ending] == calls_json(run)
    assert [] == faults(run)


def test_calls_are_paired_by_equal_id() -> None:
    run = folded(
        created(),
        delta("step_1", opening(0, "call_a", "a"), opening(1, "call_b", "b")),
        completed(calls=[call("call_b", "b", "2"), call("call_a", "a", "1")]),
    )
    assert [] == faults(run)
    assert [call("call_b", "b", "2"), call("call_a", "a", "1")] == calls_json(run)
    first, second = run.tool_call("step_1", 0), run.tool_call("step_1", 1)
    assert first is not None
    assert second is not None
    assert [call("call_a", "a", "1"), call("call_b", "b", "2")] == [first.to_dict(), second.to_dict()]


def test_calls_without_an_equal_id_are_paired_in_order_where_types_agree() -> None:
    search: dict[str, object] = {"type": "file_search", "file_search": {}}
    run = folded(
        created(),
        delta("step_1", {"index": 0, **search}, function(1, name="a"), function(2, name="b"), {"index": 3}),
        completed(calls=[call("1", "a", ""), call("2", "b", ""), {"id": "3", **search}, {"id": "4", "type": "mcp"}]),
    )
    assert [] == faults(run)
    assert [call("1", "a", ""), call("2", "b", ""), {"id": "3", **search}, {"id": "4", "type": "mcp"}] == calls_json(
        run
    )
    found = run.tool_call("step_1", 0)
    assert found is not None
    assert {"id": "3", **search} == found.to_dict()


def test_a_call_without_type_fits_any() -> None:
    run = folded(
        created(),
        delta("step_1", function(4, name="a"), {"index": 5, "type": "mcp", "arguments": "x"}),
        completed(calls=[{"function": {"name": "a"}}, {"arguments": "x", "output": "y"}]),
    )
    assert [] == faults(run)
    assert [
        {"type": "function", "function": {"name": "a"}},
        {"type": "mcp", "arguments": "x", "output": "y"},
    ] == calls_json(run)


def test_a_call_is_taken_once_by_type_or_by_none() -> None:
    run = folded(
        created(),
        delta("step_1", {"index": 0, "type": "a"}, {"index": 1, "type": "b"}, {"index": 2, "type": "a"}),
        completed(calls=[{"n": 0}, {"type": "b", "n": 1}, {"type": "a", "n": 2}, {"type": "a", "n": 3}, {"n": 4}]),
    )
    found = [run.tool_call("step_1", index) for index in range(5)]
    assert [
        {"type": "a", "n": 0},
        {"type": "b", "n": 1},
        {"type": "a", "n": 2},
        {"type": "a", "n": 3},
        {"n": 4},
    ] == [None if each is None else each.to_dict() for each in found]
    assert [] == faults(run)


def test_an_entry_that_names_its_index_in_an_ending_is_that_one() -> None:
    run = folded(
        created(),
        delta("step_1", opening(3, "", "a"), opening(5, "", "b")),
        completed(calls=[{"index": 5, **call("call_b", "b", "2")}, {"index": 9, **call("call_c", "a", "3")}]),
    )
    assert [] == faults(run)
    assert [call("call_b", "b", "2"), call("call_c", "a", "3")] == calls_json(run)
    run = folded(completed(calls=[{"index": 9, **call("call_c", "c", "3")}]), delta("step_1", fragment(9, "")))
    assert ["call_c"] == [each["id"] for each in calls_json(run)]
    assert run.tool_call("step_1", 9) is not None


def test_a_call_without_a_folded_partner_takes_its_place_as_its_index() -> None:
    run = Accumulator()
    run.feed(b"".join(OPEN))
    new = {"id": "call_2", "type": "mcp", "output": None}
    updates = run.feed(completed(calls=[call("call_1", "get_weather", "{}"), new]))
    whole = step("step_1", call("call_1", "get_weather", "{}"), new, **ended())
    assert ["ToolCallCreated", "ToolCallDone", "ToolCallDone", "RunStepDone"] == kinds(updates)
    assert [1, 0, 1] == [each.index for each in updates if isinstance(each, (ToolCallCreated, ToolCallDone))]
    assert whole == step_json(run)
    later = run.feed(delta("step_1", {"index": 1, "type": "mcp", "output": "late"}))
    assert [ToolCallDelta] == [type(update) for update in later]
    assert {**new, "output": "late"} == calls_json(run)[1]
    assert [] == faults(run)


def test_a_call_whose_place_is_taken_gets_the_lowest_free_index() -> None:
    run = folded(
        created(),
        delta("step_1", opening(0, "call_a", "a"), opening(2, "call_c", "c")),
        completed(
            calls=[call("call_x", "x", ""), {"id": "call_m", "type": "mcp"}, {"id": "call_n", "type": "mcp"}],
        ),
    )
    # `call_x` takes part of index 0 by its type; index 1 is free, index 2 is not.
    assert ["call_x", "call_m", "call_n", "call_c"] == [
        found.to_dict()["id"] for index in (0, 1, 3, 2) if (found := run.tool_call("step_1", index)) is not None
    ]


def test_calls_whose_type_no_folded_one_has_are_new() -> None:
    run = folded(
        created(),
        delta("step_1", *({"index": index, "type": "a"} for index in (0, 1, 3))),
        completed(calls=[{"type": kind, "n": n} for n, kind in enumerate(["a", "b", "b", "b", "a", "a", "a"])]),
    )
    assert list("abbbaaa") == [each["type"] for each in calls_json(run)]
    assert list(range(7)) == [each["n"] for each in calls_json(run)]
    found = [run.tool_call("step_1", index) for index in range(8)]
    assert [0, 4, 1, 5, 2, 3, 6, None] == [None if each is None else each.to_dict()["n"] for each in found]


def test_a_new_call_at_the_front_of_an_ending_takes_a_free_index_and_stands_in_front() -> None:
    new = {"id": "call_m", "type": "mcp"}
    run = folded(*OPEN)
    updates = run.feed(completed(calls=[new, call("call_1", "get_weather", "{}")]))
    assert [1] == [each.index for each in updates if isinstance(each, ToolCallCreated)]
    assert [new, call("call_1", "get_weather", "{}")] == calls_json(run)
    assert [] == faults(run)


def test_a_folded_call_without_partner_stays_and_is_a_contradiction() -> None:
    run = folded(*OPEN, delta("step_1", opening(1, "call_2", "f")), completed(calls=[call("call_2", "f", "{}")]))
    missing = call("call_1", "get_weather", "")
    assert [(4, "contradiction", "$.step_details.tool_calls", text(missing), "step_1")] == faults(run)
    assert [missing, call("call_2", "f", "{}")] == calls_json(run)


def test_an_output_that_the_ending_lacks_stays_and_is_a_contradiction() -> None:
    outputs = [{"index": index, "type": "logs", "logs": str(index)} for index in range(2)]
    ending = {**known(CODE), "code_interpreter": {"input": "", "outputs": [{"type": "logs", "logs": "0"}]}}
    run = folded(created(), delta("step_1", CODE, code(outputs=outputs)), completed(calls=[ending]))
    path = "$.step_details.tool_calls[0].code_interpreter.outputs"
    assert [(3, "contradiction", path, '{"type":"logs","logs":"1"}', "step_1")] == faults(run)
    both = [{"type": "logs", "logs": "0"}, {"type": "logs", "logs": "1"}]
    assert {"input": "", "outputs": both} == calls_json(run)[0]["code_interpreter"]


def test_outputs_that_only_the_ending_has_are_filled_in() -> None:
    outputs = [{"type": "logs", "logs": "2"}, {"type": "image", "image": {"file_id": "file_1"}}]
    ending = {**known(CODE), "code_interpreter": {"input": "1+1", "outputs": outputs}}
    run = folded(created(), delta("step_1", CODE), completed(calls=[ending]))
    assert [ending] == calls_json(run)
    assert [] == faults(run)


def test_the_events_name_decides_the_life_and_the_payloads_status_is_kept() -> None:
    run = folded(created())
    updates = run.feed(completed(status="in_progress"))
    assert ["RunStepDone"] == kinds(updates)
    assert "in_progress" == step_json(run)["status"]
    run = folded(created(status="completed"))
    assert ("step_1",) == cast("BodyEnded", run.feed(DONE)[-1]).open


def test_a_second_ending_is_applied_the_same_way() -> None:
    run = folded(*OPEN, completed(calls=[call("call_1", "get_weather", "{}")]))
    second = step("step_1", call("call_1", "get_weather", "[]", "out"), **{**ended("failed"), "completed_at": None})
    updates = run.feed(event("thread.run.step.failed", second))
    path = "$.step_details.tool_calls[0].function.arguments"
    assert ["RunStepUpdated", "Problem"] == kinds(updates)
    assert RunStepUpdated(4, "step_1", RunStep.from_dict(second)) == updates[0]
    assert [(4, "contradiction", path, '"{}"', "step_1")] == faults(run)
    assert second == step_json(run)


# 7. After the ending.


def test_a_delta_after_the_ending_fills_a_field_that_no_ending_held() -> None:
    mcp = {"id": "call_1", "type": "mcp", "arguments": "{}", "name": "n", "server_label": "s", "output": None}
    run = folded(created(), delta("step_1", {"index": 0, **mcp}), completed(calls=[mcp]))
    updates = run.feed(
        delta("step_1", {"index": 0, "type": "mcp", "output": "a"})
        + delta("step_1", {"index": 0, "type": "mcp", "output": "b"})
    )
    assert ["ToolCallDelta", "ToolCallDelta"] == kinds(updates)
    assert [{**mcp, "output": "ab"}] == calls_json(run)
    assert [] == faults(run)


def test_a_delta_after_the_ending_for_a_field_that_it_held_is_late() -> None:
    run = folded(*OPEN, completed(calls=[call("call_1", "get_weather", "{}")]))
    updates = run.feed(delta("step_1", function(0, arguments="x", output="a", new=1)))
    path = "$.delta.step_details.tool_calls[0].function.arguments"
    assert ["ToolCallDelta", "Problem"] == kinds(updates)
    assert [(4, "late", path, '"x"', "step_1")] == faults(run)
    function_ = {"name": "get_weather", "arguments": "{}", "output": "a", "new": 1}
    assert [{"id": "call_1", "type": "function", "function": function_}] == calls_json(run)


def test_late_is_told_for_fields_of_objects_lists_and_at_the_top() -> None:
    ending = {
        "id": "call_1",
        "type": "new_tool",
        "a": {"b": 1},
        "steps": [{"x": 1}],
        "list": [1],
        "ranking_options": {},
    }
    run = folded(created(), completed(calls=[ending]))
    late = other(a={"b": 2, "c": 3}, steps=[{"index": 0, "x": 2}], list=[2], ranking_options={"ranker": "auto"})
    payload = {"id": "step_1", "delta": {"usage": 1, "step_details": {"tool_calls": [late]}}}
    run.feed(event("thread.run.step.delta", payload))
    path = "$.delta.step_details.tool_calls[0]"
    assert [
        (3, "late", "$.delta.usage", "1", "step_1"),
        (3, "late", f"{path}.a.b", "2", "step_1"),
        (3, "late", f"{path}.steps", '[{"index":0,"x":2}]', "step_1"),
        (3, "late", f"{path}.list", "[2]", "step_1"),
        (3, "late", f"{path}.ranking_options", '{"ranker":"auto"}', "step_1"),
    ] == faults(run)
    assert [{**ending, "a": {"b": 1, "c": 3}}] == calls_json(run)


def test_what_says_nothing_new_after_the_ending_is_not_late() -> None:
    ending = {"id": "call_1", "type": "new_tool", "n": 1, "list": [1], "output": "x", "a": {"b": 1}}
    run = folded(completed(calls=[ending]))
    same = other(id="call_1", n=1, list=[1], a={"b": 1})
    run.feed(delta("step_1", same) + delta("step_1", other(n=None, list=[], output="", a=None)))
    assert [ending] == calls_json(run)
    assert [] == faults(run)


def test_another_id_or_name_after_the_ending_is_a_conflict() -> None:
    run = folded(completed(calls=[call("call_1", "f", "{}")]), delta("step_1", function(0, id="call_2", name="g")))
    path = "$.delta.step_details.tool_calls[0]"
    assert [
        (2, "conflict", f"{path}.id", '"call_2"', "step_1"),
        (2, "conflict", f"{path}.function.name", '"g"', "step_1"),
    ] == faults(run)


def test_an_entry_that_no_ending_holds_opens_like_any_other() -> None:
    run = folded(*OPEN, completed(calls=[call("call_1", "get_weather", "{}")]))
    updates = run.feed(delta("step_1", opening(1, "call_2", "f")) + delta("step_1", fragment(1, "x")) + DONE)
    assert ["ToolCallCreated", "ToolCallDelta", "ToolCallDelta", "BodyEnded"] == kinds(updates)
    assert BodyEnded(6, "unknown", ("step_1",)) == updates[-1]
    again = run.feed(completed(calls=[call("call_1", "get_weather", "{}"), call("call_2", "f", "x")]) + DONE)
    assert ["ToolCallDone", "RunStepUpdated", "BodyEnded"] == kinds(again)
    assert BodyEnded(8, "unknown", ()) == again[-1]
    assert [] == faults(run)


def test_an_output_that_no_ending_holds_opens_after_it() -> None:
    ending = {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "1", "outputs": None}}
    late = [{"index": 0, "type": "logs", "logs": "a"}]
    run = folded(created(), delta("step_1", CODE), completed(calls=[ending]), delta("step_1", code(outputs=late)))
    assert {"input": "1", "outputs": [{"type": "logs", "logs": "a"}]} == calls_json(run)[0]["code_interpreter"]
    assert [] == faults(run)


def test_a_field_that_came_late_is_held_by_the_next_ending() -> None:
    mcp = {"id": "call_1", "type": "mcp", "output": None}
    late = delta("step_1", {"index": 0, "type": "mcp", "output": "a"})
    run = folded(completed(calls=[mcp]), late, completed(calls=[{**mcp, "output": "a"}]), late)
    assert [(4, "late", "$.delta.step_details.tool_calls[0].output", '"a"', "step_1")] == faults(run)
    assert [{**mcp, "output": "a"}] == calls_json(run)


# 8. Exactly once.


def test_one_created_and_one_done_per_step_and_call_and_every_fragment_once() -> None:
    ending = completed(calls=[call("call_a", "a", "13"), call("call_b", "b", "24")])
    updates = updates_of(
        created(),
        created(),
        in_progress(),
        delta("step_1", opening(0, "call_a", "a")),
        delta("step_1", opening(1, "call_b", "b")),
        *(delta("step_1", fragment(index, part)) for index, part in ((0, "1"), (1, "2"), (0, "3"), (1, "4"))),
        ending,
        ending,
        delta("step_1", fragment(0, "")),
        DONE,
    )
    assert kinds(updates) == [
        "RunStepCreated",
        "RunStepUpdated",
        "RunStepUpdated",
        *["ToolCallCreated", "ToolCallDelta"] * 2,
        *["ToolCallDelta"] * 4,
        *["ToolCallDone", "ToolCallDone", "RunStepDone"],
        "RunStepUpdated",
        "ToolCallDelta",
        "BodyEnded",
    ]


def test_a_delta_update_has_the_fragment_as_sent_and_the_id_first_seen() -> None:
    updates = updates_of(
        created(),
        delta("step_1", fragment(2, "a")),
        delta("step_1", {**fragment(2, "b"), "id": "call_1", "new": [1]}),
        delta("step_1", fragment(2, "c"), fragment(2, "d")),
    )
    deltas = [each for each in updates if isinstance(each, ToolCallDelta)]
    assert [
        (2, "step_1", 2, None, fragment(2, "a")),
        (3, "step_1", 2, "call_1", {**fragment(2, "b"), "id": "call_1", "new": [1]}),
        (4, "step_1", 2, "call_1", fragment(2, "c")),
        (4, "step_1", 2, "call_1", fragment(2, "d")),
    ] == [(each.event_number, each.step_id, each.index, each.tool_call_id, each.delta.to_dict()) for each in deltas]


def test_a_call_is_not_done_because_another_index_spoke() -> None:
    updates = updates_of(*OPEN, delta("step_1", opening(1, "call_2", "f")), created("step_2"), delta("step_2", CODE))
    assert "ToolCallDone" not in kinds(updates)


def test_an_entry_that_is_left_out_gives_no_delta_update() -> None:
    updates = updates_of(*OPEN, delta("step_1", CODE))
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta", "Problem"] == kinds(updates)


def test_what_is_open_when_a_body_ends_is_named() -> None:
    run = folded(created("step_a"), completed("step_b"), delta("step_c", opening(0, "call_1", "f")))
    assert [BodyEnded(4, "unknown", ("step_a", "step_c"))] == run.feed(DONE)
    assert [BodyEnded(6, "unknown", ("step_c",))] == run.feed(completed("step_a") + DONE)[-1:]


# 9. Entries without a usable index.

UNUSABLE: list[object] = [-1, True, False, "0", None, 1.0, 0.5, [], {}]


@pytest.mark.parametrize("index", UNUSABLE)
def test_an_unusable_index_is_a_problem_and_the_update_has_none(index: object) -> None:
    entry = opening(index, "call_x", "x")
    run = folded(*OPEN)
    updates = run.feed(delta("step_1", entry))
    path = "$.delta.step_details.tool_calls[0].index"
    assert ["ToolCallCreated", "ToolCallDelta", "Problem"] == kinds(updates)
    made, grown = updates[0], updates[1]
    assert isinstance(made, ToolCallCreated)
    assert isinstance(grown, ToolCallDelta)
    assert made.index is None
    assert grown.index is None
    assert entry == grown.delta.to_dict()
    assert [(3, "index", path, text(entry), "step_1")] == faults(run)
    assert [call("call_1", "get_weather", ""), call("call_x", "x", "")] == calls_json(run)


def test_entries_without_index_come_after_all_indexes_in_order_of_arrival() -> None:
    def entry(name: str) -> dict[str, object]:
        return {key: value for key, value in opening(0, name, name).items() if key != "index"}

    run = folded(
        created(),
        delta("step_1", entry("x")),
        delta("step_1", opening(10**9, "b", "b"), entry("y")),
        delta("step_1", opening(0, "a", "a")),
    )
    assert ["a", "b", "x", "y"] == [each["id"] for each in calls_json(run)]
    assert {"index"} == {fault[1] for fault in faults(run)}


def test_a_known_id_names_its_entry() -> None:
    run = folded(
        created(),
        delta("step_1", opening(4, "call_a", "a"), opening(-1, "call_x", "x")),
        delta("step_1", {**function(None, id="call_a", arguments="1")}, function(None, id="call_x", arguments="2")),
    )
    assert [call("call_a", "a", "1"), call("call_x", "x", "2")] == calls_json(run)
    named = run.feed(delta("step_1", function("", id="call_a")))
    assert [None] == [each.index for each in named if isinstance(each, ToolCallDelta)]


def test_an_unknown_id_opens_an_entry() -> None:
    run = folded(created(), delta("step_1", function(-1, id="a"), function(-1, id="b"), function(-1, id="a")))
    assert ["a", "b"] == [each["id"] for each in calls_json(run)]


def test_an_id_names_the_entry_that_had_it_first() -> None:
    run = folded(
        created(),
        delta("step_1", {"index": 0, "type": "mcp"}, {"index": 1, "type": "mcp", "id": "a"}),
        delta("step_1", {"index": 0, "id": "a"}),
        delta("step_1", {"id": "a", "output": "x"}),
    )
    assert [{"type": "mcp", "id": "a"}, {"type": "mcp", "id": "a", "output": "x"}] == calls_json(run)


def test_an_id_names_its_entry_after_the_ending_too() -> None:
    run = folded(created(), delta("step_1", {"id": "a"}), completed(), delta("step_1", {"id": "a", "type": "mcp"}))
    run.feed(delta("step_1", {"type": "mcp", "output": "x"}) + delta("step_1", {"id": "a", "output": "y"}))
    assert [{"id": "a", "type": "mcp", "output": "y"}, {"type": "mcp", "output": "x"}] == calls_json(run)


def test_an_entry_continues_the_one_of_its_type_among_many() -> None:
    names = [f"type_{number}" for number in range(50)]
    entries = [{"type": name, "output": name} for name in names]
    # Two entries of one delta are two, so each is continued by another delta.
    run = folded(created(), delta("step_1", *entries), delta("step_1", *entries))
    assert [{"type": name, "output": name * 2} for name in names] == calls_json(run)


def test_an_entry_with_a_type_and_one_without_are_two_that_fit() -> None:
    run = folded(
        created(),
        delta("step_1", {"id": "a"}, {"id": "b", "type": "mcp"}),
        delta("step_1", {"type": "mcp", "output": "x"}),
        delta("step_1", {"type": "new", "output": "y"}),
    )
    assert [
        {"id": "a", "output": "y", "type": "new"},
        {"id": "b", "type": "mcp"},
        {"type": "mcp", "output": "x"},
    ] == calls_json(run)


def test_an_entry_that_got_its_type_within_one_delta_fits_no_other() -> None:
    later = [{"type": "a"}, {"type": "b"}, {"type": "b", "output": "y"}]
    expected = [{"output": "x", "type": "a"}, {"type": "b", "output": "y"}]
    one_by_one = folded(created(), *(delta("step_1", each) for each in [{"output": "x"}, *later]))
    assert expected == calls_json(one_by_one)
    # Two entries of one delta are two.
    at_once = folded(created(), delta("step_1", {"output": "x"}), delta("step_1", *later))
    assert [{"output": "x", "type": "a"}, *later[1:]] == calls_json(at_once)
    assert [{"output": "x"}, *later] == calls_json(folded(created(), delta("step_1", {"output": "x"}, *later)))


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "function", "function": {"arguments": "a"}},
        {"type": "code_interpreter", "code_interpreter": {"outputs": [{"type": "logs", "logs": "a"}]}},
        {"function": {"arguments": "a"}},
    ],
)
def test_two_entries_of_one_delta_without_index_and_id_are_two(entry: dict[str, object]) -> None:
    assert [entry, entry] == calls_json(folded(created(), delta("step_1", entry, entry)))


def test_outputs_of_one_delta_are_as_many_as_were_sent() -> None:
    logs, image = {"type": "logs", "logs": "a"}, {"type": "image", "image": {"file_id": "f"}}
    outputs = [logs, image, logs, image]
    call_of = {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": outputs}}
    run = folded(created(), delta("step_1", call_of))
    assert [{"type": "code_interpreter", "code_interpreter": {"outputs": outputs}}] == calls_json(run)


def test_a_picture_among_outputs_is_never_continued() -> None:
    def output(json: object) -> bytes:
        return delta("step_1", {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": [json]}})

    images = [{"type": "image", "image": {"file_id": name}} for name in "abc"]
    run = folded(created(), *map(output, images), output({"image": {"file_id": "d"}}))
    outputs = [*images, {"image": {"file_id": "d"}}]
    assert [{"type": "code_interpreter", "code_interpreter": {"outputs": outputs}}] == calls_json(run)


def test_a_picture_makes_no_text_beside_it_ambiguous() -> None:
    def output(json: object) -> bytes:
        return delta("step_1", {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": [json]}})

    logs, image = {"type": "logs", "logs": "a"}, {"type": "image", "image": {"file_id": "f"}}
    run = folded(created(), output(logs), output(image), output({"logs": "b"}))
    outputs = [{"type": "logs", "logs": "ab"}, image]
    assert [{"type": "code_interpreter", "code_interpreter": {"outputs": outputs}}] == calls_json(run)


@pytest.mark.parametrize("resumed", ["resumed", ""])
def test_a_lone_picture_is_not_continued(resumed: str) -> None:
    def output(json: object) -> bytes:
        return delta("step_1", {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": [json]}})

    outputs: list[object] = [{"type": "image", "image": {"file_id": "a"}}, {"image": {"file_id": "b"}}]
    run = folded(created(), output(outputs[0]))
    run = Accumulator.from_bytes(run.to_bytes()) if resumed else run
    run.feed(output(outputs[1]))
    assert [{"type": "code_interpreter", "code_interpreter": {"outputs": outputs}}] == calls_json(run)


def test_an_entry_that_a_left_out_delta_named_is_still_continued() -> None:
    run = folded(created(), delta("step_1", {"type": "a", "output": "x"}))
    run.feed(delta("step_1", {"type": "a", "output": "lost"}, {"id": "z", "x": {"y": 1}}, {"id": "z", "x": 1}))
    run.feed(delta("step_1", {"type": "a", "output": "y"}))
    assert "shape" in {problem.kind for problem in run.problems}
    assert [{"type": "a", "output": "xy"}] == calls_json(run)


def test_an_entry_that_got_its_type_from_created_again_fits_no_other() -> None:
    run = folded(
        created(),
        delta("step_1", {"id": "a"}, {"id": "b", "type": "b"}),
        step_event("created", "step_1", {"id": "a", "type": "mcp"}),
        delta("step_1", {"type": "b", "output": "x"}, {"type": "mcp", "output": "y"}),
    )
    assert [
        {"id": "a", "type": "mcp", "output": "y"},
        {"id": "b", "type": "b", "output": "x"},
    ] == calls_json(run)


def test_ids_that_are_no_text_are_apart_from_texts() -> None:
    run = folded(created(), delta("step_1", {"id": 1}, {"id": "1"}, {"id": 1, "x": 1}, {"id": {"a": 1}}))
    assert [{"id": 1, "x": 1}, {"id": "1"}, {"id": {"a": 1}}] == calls_json(run)


def test_without_an_id_an_entry_continues_the_one_that_its_type_fits() -> None:
    run = folded(
        created(),
        delta("step_1", {"type": "mcp", "output": "a"}),
        delta("step_1", {"type": "function", "function": {"arguments": "b"}}),
        delta("step_1", {"type": "mcp", "output": "c"}),
        delta("step_1", {"type": "function", "id": "", "function": {"arguments": "d"}}),
    )
    assert [
        {"type": "mcp", "output": "ac"},
        {"type": "function", "function": {"arguments": "bd"}, "id": ""},
    ] == calls_json(run)


def test_a_missing_type_fits_all() -> None:
    run = folded(
        created(),
        delta("step_1", {"output": "a"}),
        delta("step_1", {"type": "mcp", "output": "b"}),
        delta("step_1", {"output": "c"}),
    )
    assert [{"type": "mcp", "output": "abc"}] == calls_json(run)


def test_an_entry_that_fits_more_than_one_opens_another() -> None:
    run = folded(created(), delta("step_1", {"id": "a"}, {"id": "b"}), delta("step_1", {"output": "x"}))
    assert [{"id": "a"}, {"id": "b"}, {"output": "x"}] == calls_json(run)


def test_without_an_index_and_id_an_entry_never_continues_one_that_has_an_index() -> None:
    entry = {"type": "function", "function": {"arguments": "x"}}
    run = folded(*OPEN, delta("step_1", entry))
    assert [call("call_1", "get_weather", ""), entry] == calls_json(run)


def test_an_entry_that_an_ending_held_is_not_continued() -> None:
    run = folded(completed(calls=[{"type": "mcp", "output": None}]), delta("step_1", {"type": "mcp", "output": "x"}))
    assert [{"type": "mcp", "output": None}, {"type": "mcp", "output": "x"}] == calls_json(run)
    run = folded(created(), delta("step_1", {"type": "mcp", "output": "x"}), completed(), delta("step_1", {"a": 1}))
    assert [{"type": "mcp", "output": "x"}, {"a": 1}] == calls_json(run)


def test_an_ending_pairs_entries_without_index_too() -> None:
    run = folded(
        created(), delta("step_1", {"type": "mcp", "output": "x"}), completed(calls=[{"type": "mcp", "output": "x"}])
    )
    assert [{"type": "mcp", "output": "x"}] == calls_json(run)
    assert ["index"] == [fault[1] for fault in faults(run)]


def test_outputs_without_index_go_by_the_same_rule() -> None:
    run = folded(
        created(),
        delta("step_1", code(outputs=[{"type": "logs", "logs": "a"}])),
        delta("step_1", code(outputs=[{"index": 0, "type": "logs", "logs": "0"}, {"type": "logs", "logs": "b"}])),
    )
    outputs = [{"type": "logs", "logs": "0"}, {"type": "logs", "logs": "ab"}]
    assert [{"type": "code_interpreter", "code_interpreter": {"outputs": outputs}}] == calls_json(run)
    path = "$.delta.step_details.tool_calls[0].code_interpreter.outputs"
    assert [(2, f"{path}[0].index"), (3, f"{path}[1].index")] == [(fault[0], fault[2]) for fault in faults(run)]


# 10. Atomic.


@pytest.mark.parametrize(
    ("payload", "path", "step_id"),
    [
        ([], "$", None),
        ("text", "$", None),
        (None, "$", None),
        ({}, "$.id", None),
        ({"id": 7, "delta": {}}, "$.id", None),
        ({"id": "", "delta": {}}, "$.id", ""),
        ({"id": "step_1"}, "$.delta", "step_1"),
        ({"id": "step_1", "delta": []}, "$.delta", "step_1"),
        ({"id": "step_1", "delta": {"step_details": 1}}, "$.delta.step_details", "step_1"),
        ({"id": "step_1", "delta": {"step_details": {"tool_calls": {}}}}, "$.delta.step_details.tool_calls", "step_1"),
        (delta_payload("step_1", 1), "$.delta.step_details.tool_calls[0]", "step_1"),
        (delta_payload("step_1", {}, None), "$.delta.step_details.tool_calls[1]", "step_1"),
        (delta_payload("step_1", {"index": 0, "type": 5}), "$.delta.step_details.tool_calls[0].type", "step_1"),
        (
            delta_payload("step_1", {"index": 0, "code_interpreter": "x"}),
            "$.delta.step_details.tool_calls[0].code_interpreter",
            "step_1",
        ),
        (
            delta_payload("step_1", code(outputs="x")),
            "$.delta.step_details.tool_calls[0].code_interpreter.outputs",
            "step_1",
        ),
        (
            delta_payload("step_1", code(outputs=[{"index": 0, "type": 1.5}])),
            "$.delta.step_details.tool_calls[0].code_interpreter.outputs[0].type",
            "step_1",
        ),
    ],
)
def test_a_wrong_json_type_leaves_the_whole_event_out(payload: object, path: str, step_id: str | None) -> None:
    run = folded(*OPEN)
    before = run.run_steps()
    updates = run.feed(event("thread.run.step.delta", payload))
    assert ["Problem"] == kinds(updates)
    assert [(3, "shape", path, text(payload), step_id)] == faults(run)
    assert before == run.run_steps()


@pytest.mark.parametrize("life", ["created", "in_progress", *ENDINGS])
@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (["x"], "$"),
        ({"object": "thread.run.step"}, "$.id"),
    ],
)
def test_a_life_cycle_event_without_an_id_is_left_out(life: str, payload: object, path: str) -> None:
    run = folded(*OPEN)
    before = run.run_steps()
    assert ["Problem"] == kinds(run.feed(event(f"thread.run.step.{life}", payload)))
    assert [(3, "shape", path)] == [fault[:3] for fault in faults(run)]
    assert before == run.run_steps()
    assert ("step_1",) == cast("BodyEnded", run.feed(DONE)[-1]).open


MISFITS: list[tuple[object, str]] = [
    ("x", "$.step_details"),
    ([1], "$.step_details"),
    ({"tool_calls": 1}, "$.step_details.tool_calls"),
    ({"tool_calls": {"a": 1}}, "$.step_details.tool_calls"),
    ({"tool_calls": ["x"]}, "$.step_details.tool_calls[0]"),
    ({"tool_calls": [{"type": 5}]}, "$.step_details.tool_calls[0].type"),
    ({"tool_calls": [{"code_interpreter": "x"}]}, "$.step_details.tool_calls[0].code_interpreter"),
    ([], "$.step_details"),
]


@pytest.mark.parametrize("life", ["created", "in_progress", *ENDINGS])
@pytest.mark.parametrize(("details", "path"), MISFITS)
def test_a_wrong_json_type_in_a_whole_object_leaves_out_nothing(life: str, details: object, path: str) -> None:
    """Servers send a text in place of an object, and nothing else of the step may be lost for it."""
    sent = step(status="s", metadata={"a": "b"}) | {"step_details": details}
    run = folded(event(f"thread.run.step.{life}", sent))
    assert [(1, "shape", path, "step_1")] == [(fault[0], fault[1], fault[2], fault[4]) for fault in faults(run)]
    assert sent == step_json(run)
    assert run.to_bytes() == Accumulator.from_bytes(run.to_bytes()).to_bytes()
    run.feed(delta("step_1", opening(0, "call_1", "f")))
    kept = "call_1" in json.dumps(step_json(run))
    assert kept is (run.problems[-1].kind != "late")
    assert kept or life in ENDINGS  # a wrong value that an ending gave is settled: the call is reported as late


@pytest.mark.parametrize("life", ["created", "in_progress", *ENDINGS])
@pytest.mark.parametrize(("details", "path"), MISFITS[:5])
def test_a_wrong_json_type_takes_no_content_away(life: str, details: object, path: str) -> None:
    run = folded(*OPEN)
    before = details_json(run)
    run.feed(event(f"thread.run.step.{life}", {"id": "step_1", "status": "s", "step_details": details}))
    assert [(3, "shape", path)] == [fault[:3] for fault in faults(run)]
    assert (before, "s") == (details_json(run), step_json(run)["status"])


def test_a_step_is_not_opened_by_an_event_that_is_left_out() -> None:
    run = Accumulator()
    assert ["Problem"] == kinds(run.feed(delta("step_1", 1)))
    assert [] == run.run_steps()
    assert ["RunStepCreated"] == kinds(run.feed(created()))


def test_a_fault_in_the_last_entry_leaves_the_first_out_too() -> None:
    run = folded(*OPEN, delta("step_1", fragment(0, "a")))
    before = run.run_steps()
    updates = run.feed(
        delta(
            "step_1",
            fragment(0, "b"),
            opening(1, "call_2", "f"),
            opening(-1, "call_3", "g"),
            function(0, id="other"),
            function(0, arguments=1),
        )
    )
    assert ["Problem"] == kinds(updates)
    assert before == run.run_steps()
    # Nothing of it is remembered: neither the id without index nor the conflict.
    run.feed(delta("step_1", function(0, id="other"), function(-1, id="call_3")))
    assert ["shape", "conflict", "index"] == [fault[1] for fault in faults(run)]
    assert 2 == len(calls_json(run))


def test_index_and_conflict_leave_nothing_else_out() -> None:
    run = folded(*OPEN, delta("step_1", function(0, id="b", name="g", arguments="x"), fragment(-1, "y")))
    assert ["conflict", "conflict", "index"] == [fault[1] for fault in faults(run)]
    assert [
        call("call_1", "get_weather", "x"),
        {"type": "function", "function": {"arguments": "y"}},
    ] == calls_json(run)


# 11. Problems.


def test_each_problem_has_number_kind_path_raw_text_message_and_step() -> None:
    run = folded(*OPEN, delta("step_1", function(0, name="g")))
    message = "expected 'name' as first sent, got another"
    path = "$.delta.step_details.tool_calls[0].function.name"
    assert (Problem(3, "conflict", path, '"g"', message, "step_1"),) == run.problems


def test_a_message_holds_no_payload() -> None:
    secret = "x" * 50 + "hunter2"
    run = folded(
        *OPEN, delta("step_1", function(0, name=secret)), delta("step_1", {**fragment(0, secret), "index": {}})
    )
    run.feed(
        completed(calls=[call("call_1", secret, "")])
        + event("done", secret.encode())
        + event("thread.run.created", secret)
    )
    assert {"conflict", "index", "contradiction", "undecodable", "shape"} == {fault[1] for fault in faults(run)}
    assert not any("hunter2" in each.message for each in run.problems)


def test_what_real_servers_do_is_no_problem() -> None:
    run = folded(
        delta("step_0", opening(5, "call_1", "f")),
        completed("step_9"),
        created("step_8", type="activities", step_details={"type": "activities", "activities": [{"id": "mcpl_1"}]}),
        created("step_1"),
        created("step_1"),
        delta("step_1", opening(3, "call_1", "f")),
        event("thread.run.step.renamed", {"id": "step_1"}),
        event("thread.created", {"id": "thread_1"}),
        delta("step_1", {"index": 9, "type": "brand_new", "brand_new": {"x": 1}}),
        b"event: thread.run.step.completed\ndata: " + text(step()).encode(),
    )
    run.end()
    assert [] == faults(run)


def test_strict_treats_the_event_the_same_way_and_then_raises_its_first_problem() -> None:
    events = b"".join(OPEN) + delta("step_1", function(0, id="b", name="g", arguments="x"))
    tolerant = folded(events)
    run = Accumulator(strict=True)
    with pytest.raises(
        MergeError, match=r"^conflict at \$\.delta\.step_details\.tool_calls\[0\]\.id \(event 3"
    ) as caught:
        run.feed(events + delta("step_1", fragment(0, "y")))
    assert tolerant.problems[0] == caught.value.problem
    assert ["RunStepCreated", "ToolCallCreated", "ToolCallDelta"] == kinds(list(caught.value.updates))[:3]
    assert ["ToolCallDelta", "Problem", "Problem"] == kinds(list(caught.value.updates))[3:]
    assert caught.value.accumulator is run
    assert tolerant.run_steps() == run.run_steps()
    assert ["ToolCallDelta"] == kinds(run.feed(b""))
    assert [call("call_1", "get_weather", "xy")] == calls_json(run)


# 12. The outcome has a test module of its own: see test_accumulator.


def test_the_outcome_is_none_while_a_body_is_open() -> None:
    run = folded(created(), run_event("completed"))
    assert run.outcome is None
    run.feed(DONE)
    assert "completed" == run.outcome
    run.feed(run_event("in_progress"))
    assert run.outcome is None


# 13. Isolation.


def test_what_was_handed_out_never_changes() -> None:
    run = Accumulator()
    stream = [
        *OPEN,
        *(delta("step_1", fragment(0, part)) for part in ("AAA", "BBB", "CCC")),
        delta("step_1", other(index=1, value=[{"a": 1}], list=[{"index": 0, "logs": "x"}])),
        delta("step_1", {"index": 1, "list": [{"index": 0, "logs": "y"}], "value": None}),
        in_progress(metadata={"a": {"b": 1}}),
        in_progress(metadata={"a": {"c": 1}}),
        completed(calls=[call("call_1", "get_weather", "AAABBBCCC", "out")]),
        delta("step_1", function(0, arguments="late")),
    ]
    handed_out: list[object] = []
    frozen: list[bytes] = []
    for each in stream:
        handed: list[object] = [*run.feed(each), *run.run_steps(), run.tool_call("step_1", 0)]
        handed_out += handed
        frozen += [pickle.dumps(item) for item in handed]
    assert [pickle.loads(item) for item in frozen] == handed_out  # noqa: S301 - our own
    fragments = [each.delta.to_dict() for each in handed_out if isinstance(each, ToolCallDelta)][1:4]
    assert [fragment(0, "AAA"), fragment(0, "BBB"), fragment(0, "CCC")] == fragments


def test_changing_what_to_dict_gives_changes_nothing() -> None:
    run = folded(*OPEN, delta("step_1", {"index": 1, "type": "mcp", "value": [{"a": 1}], "data": {"b": [2]}}))
    updates = run.feed(delta("step_1", {"index": 1, "list": [{"a": [3]}]}))
    expected = copy.deepcopy(step_json(run))
    wanted = dump_json(expected)
    spoiled: list[dict[str, object]] = [step_json(run)]
    spoiled += [each.delta.to_dict() for each in updates if isinstance(each, ToolCallDelta)]
    for each in spoiled:
        _spoil(each)
    assert wanted == dump_json(step_json(run))
    run.feed(delta("step_1", {"index": 1, "n": None}))
    assert {**calls_json(folded_from(expected))[1], "n": None} == calls_json(run)[1]


def folded_from(whole: dict[str, object]) -> Accumulator:
    return folded(event("thread.run.step.created", whole))


def _spoil(value: object) -> None:
    """Empty every object and list within."""
    if isinstance(value, dict):
        for each in cast("dict[str, object]", value).values():
            _spoil(each)
        cast("dict[str, object]", value).clear()
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            _spoil(each)
        cast("list[object]", value).clear()


# 14. Cost, as far as it shows without a clock.


def test_untouched_calls_are_shared_between_snapshots() -> None:
    run = folded(*OPEN, delta("step_1", opening(1, "call_2", "f")))
    before = run._engine.resources["steps"]["step_1"].json()
    run.feed(delta("step_1", fragment(1, "x")))
    after = run._engine.resources["steps"]["step_1"].json()
    old, new = (cast("dict[str, list[object]]", json["step_details"])["tool_calls"] for json in (before, after))
    assert old[0] is new[0]
    assert old[1] is not new[1]


def test_many_fragments_are_one_text() -> None:
    parts = [str(number) for number in range(1_000)]
    run = folded(*OPEN, *(delta("step_1", fragment(0, part)) for part in parts))
    assert [call("call_1", "get_weather", "".join(parts))] == calls_json(run)
    run.feed(delta("step_1", fragment(0, "end")))
    assert [call("call_1", "get_weather", "".join(parts) + "end")] == calls_json(run)


def test_details_of_an_unknown_type_are_folded() -> None:
    run = folded(
        details_delta("step_1", {"type": "mcp", "tool_calls": [{"index": 0, "id": "c", "output": "a"}]}),
        details_delta("step_1", {"type": "mcp", "tool_calls": [{"index": 0, "output": "b"}], "activities": [{"x": 1}]}),
    )
    expected = {"type": "mcp", "tool_calls": [{"id": "c", "output": "ab"}], "activities": [{"x": 1}]}
    assert expected == details_json(run)
    assert [] == faults(run)


def test_times_are_as_sent() -> None:
    run = folded(created(), completed())
    found = run.run_step("step_1")
    assert found is not None
    assert (CREATED_AT, CREATED_AT + 9) == (found.created_at, found.completed_at)


def done_of(updates: list[Update]) -> list[Update]:
    return [each for each in updates if isinstance(each, (RunStepDone, ToolCallDone))]


def test_done_has_the_object_of_the_ending() -> None:
    whole = step("step_1", call("call_1", "get_weather", "{}", "9"), **ended())
    run = folded(*OPEN)
    assert [
        ToolCallDone(3, "step_1", 0, FunctionToolCall.from_dict(call("call_1", "get_weather", "{}", "9"))),
        RunStepDone(3, "step_1", RunStep.from_dict(whole)),
    ] == done_of(run.feed(event("thread.run.step.completed", whole)))


def steps_tool(*entries: object) -> dict[str, object]:
    return {"type": "browser", "id": "call_1", "browser": {"steps": list(entries)}}


def test_a_list_by_index_may_begin_in_an_event_that_is_no_delta() -> None:
    run = folded(step_event("created", "step_1", steps_tool({"index": 0, "x": "A"})))
    run.feed(delta("step_1", {"index": 0, "browser": {"steps": [{"index": 1, "x": "B"}, {"index": 0, "y": 1}]}}))
    run.feed(step_event("in_progress", "step_1", steps_tool({"index": 2, "x": "C"}, {"index": 0, "x": "Z", "z": 2})))
    entries = [{"x": "A", "y": 1, "z": 2}, {"x": "B"}, {"x": "C"}]
    assert ([steps_tool(*entries)], ()) == (calls_json(run), run.problems)


def test_so_it_may_at_the_top() -> None:
    run = folded(created(notes=[{"index": 1, "id": "b", "x": 1}]))
    note = {"delta": {"notes": [{"index": 0, "x": 2}, {"index": 1, "y": 3}]}, "id": "step_1"}
    updates = run.feed(event("thread.run.step.delta", note))
    run.feed(in_progress(notes=[{"index": 0, "x": 9, "z": 4}, {"index": 1, "id": "c"}]))
    assert ["RunStepUpdated"] == kinds(updates)
    assert [{"x": 2, "z": 4}, {"id": "b", "x": 1, "y": 3}] == step_json(run)["notes"]
    assert [(3, "conflict", "$.notes[1].id")] == [fault[:3] for fault in faults(run)]


def test_an_ending_keeps_the_index_where_the_reference_has_no_such_list() -> None:
    entries = [{"index": 0, "x": "A"}, {"index": 1, "x": "B"}]
    run = folded(step_event("created", "step_1", steps_tool(*entries)), completed(calls=[steps_tool(*entries)]))
    assert ([steps_tool(*entries)], ()) == (calls_json(run), run.problems)


def test_a_call_with_another_id_in_an_event_that_is_no_ending_is_another_call() -> None:
    second = call("call_2", "g", "{}")
    run = folded(*OPEN, step_event("in_progress", "step_1", second))
    assert ([call("call_1", "get_weather", ""), second], ()) == (calls_json(run), run.problems)


def test_a_call_without_an_id_may_be_named_by_an_event_that_is_no_ending() -> None:
    run = folded(created(), delta("step_1", {"index": 0, "type": "a"}, {"index": 1, "type": "b", "id": "call_2"}))
    run.feed(step_event("in_progress", "step_1", {"type": "a", "id": "call_1"}, {"type": "b", "x": 1}))
    assert [{"type": "a", "id": "call_1"}, {"type": "b", "id": "call_2", "x": 1}] == calls_json(run)


def test_a_delta_that_speaks_of_no_call_is_an_update_of_the_step() -> None:
    run = folded(created())
    usage = event("thread.run.step.delta", {"id": "step_1", "delta": {"usage": {"total_tokens": 3}}})
    assert (["RunStepUpdated"], {"total_tokens": 3}) == (kinds(run.feed(usage)), step_json(run)["usage"])
    assert [] == run.feed(event("thread.run.step.delta", {"id": "step_1", "delta": {}}))


def test_what_an_envelope_holds_is_handed_out_as_sent() -> None:
    run = Accumulator()
    unknown = run.feed(b'data: {"event": "x", "data": {"a" : 1.0,  "b":2}}\n\n')
    (shape,) = run.feed(b'data: {"event": "thread.run.step.delta", "data": {"id" : "s", "delta": 1}}\n\n')
    framed = run.apply("x", '"\ud800"') + run.apply("x\ud800", '"y"')
    assert [("x", '"\ud800"'), ("x\ud800", '"y"')] == [
        (update.event, update.data) for update in framed if isinstance(update, UnknownEvent)
    ]
    lone = run.feed(b'data: {"event": "x", "data": "\\ud800"}\n\n')
    assert ['{"a" : 1.0,  "b":2}'] == [update.data for update in unknown if isinstance(update, UnknownEvent)]
    assert isinstance(shape, Problem)
    assert ("$.delta", '{"id" : "s", "delta": 1}') == (shape.path, shape.raw)
    assert ['"\\ud800"'] == [update.data for update in lone if isinstance(update, UnknownEvent)]


def test_the_life_knows_each_event_of_a_step_or_message() -> None:
    words = {name: row.word for name, row in EVENTS.items() if row.kind == "resource"}
    assert {name: name.rpartition(".")[2] for name in words} == words
    assert set(words.values()) == set(ROLES)
    endings = {word for word, role in ROLES.items() if role == "ending"}
    assert set(ROLES) - {"created", "in_progress", "delta"} == endings


def test_a_list_in_place_of_ranking_options_is_one_by_index_however_it_comes() -> None:
    ranking = {"ranking_options": [{"index": 0, "x": 1}]}
    search = {"index": 0, "id": "call_1", "type": "file_search"}
    whole = folded(created(), delta("step_1", {**search, "file_search": {"a": 1, **ranking}}))
    parts = folded(created(), *(delta("step_1", {**search, "file_search": each}) for each in ({"a": 1}, ranking)))
    assert [{"a": 1, "ranking_options": [{"x": 1}]}] == [entry["file_search"] for entry in calls_json(whole)]
    assert calls_json(whole) == calls_json(parts)


def test_an_id_that_is_no_text_is_handed_out_as_json() -> None:
    ident = {"a": 1}
    run = folded(completed(calls=[{"id": ident, "type": "a"}]))
    updates = run.feed(delta("step_1", {"index": 0, "b": 1}))
    (found,) = [cast("object", update.tool_call_id) for update in updates if isinstance(update, ToolCallDelta)]
    assert ident == found


def test_each_field_of_an_entry_may_have_its_conflict() -> None:
    first = {"index": 0, "id": "call_1", "type": "mcp", "name": "f", "server_label": "s"}
    run = folded(created(), delta("step_1", first))
    for field in ("id", "name", "server_label", "id"):
        run.feed(delta("step_1", {"index": 0, field: "other"}))
    places = [f"$.delta.step_details.tool_calls[0].{field}" for field in ("id", "name", "server_label")]
    assert places == [problem.path for problem in run.problems]


# An index that is only assumed, and calls that come whole twice.


def spoken(index: object, call_id: str, name: str, arguments: str) -> dict[str, object]:
    """Return an entry that names its call and brings arguments."""
    return function(index, id=call_id, name=name, arguments=arguments)


def whole(*calls: object) -> bytes:
    """A step that begins with whole calls, without indexes."""
    return step_event("created", "step_1", *calls)


def test_a_known_id_names_its_call_whatever_its_index_says_if_an_order_gave_that() -> None:
    run = folded(
        whole(call("call_i", "i", ""), call("call_e", "e", "")),
        delta("step_1", spoken(0, "call_e", "e", '{"a"')),
        delta("step_1", fragment(0, ":1}")),
        delta("step_1", fragment(1, "{}")),
        delta("step_1", spoken(1, "call_i", "i", " ")),
    )
    assert [call("call_e", "e", '{"a":1}'), call("call_i", "i", "{} ")] == calls_json(run)
    assert call("call_e", "e", '{"a":1}') == run.tool_call("step_1", 0).to_dict()  # type: ignore[union-attr]
    assert [] == faults(run)


def test_a_known_id_takes_its_call_to_an_index_that_nobody_has() -> None:
    run = folded(
        whole(call("call_i", "i", ""), call("call_e", "e", "")),
        delta("step_1", spoken(5, "call_i", "i", "1"), fragment(5, "2")),
        delta("step_1", fragment(0, "new")),
    )
    assert [
        {"type": "function", "function": {"arguments": "new"}},
        call("call_e", "e", ""),
        call("call_i", "i", "12"),
    ] == calls_json(run)
    assert [] == faults(run)


def test_an_index_that_an_event_has_named_does_not_give_way() -> None:
    first, second = spoken(0, "call_1", "f", "a"), spoken(1, "call_2", "f", "b")
    run = folded(whole(), delta("step_1", first, second), delta("step_1", spoken(0, "call_2", "f", "c")))
    assert ["ac", "b"] == [each["function"]["arguments"] for each in calls_json(run)]  # type: ignore[index]
    assert [(3, "conflict", "$.delta.step_details.tool_calls[0].id", '"call_2"', "step_1")] == faults(run)


def test_an_index_that_the_first_delta_confirms_does_not_give_way() -> None:
    run = folded(
        whole(call("call_i", "i", ""), call("call_e", "e", "")),
        delta("step_1", spoken(0, "call_i", "i", "1")),
        delta("step_1", spoken(0, "call_e", "e", "2")),
    )
    assert [call("call_i", "i", "12"), call("call_e", "e", "")] == calls_json(run)
    assert ["conflict", "conflict"] == [kind for _, kind, *_ in faults(run)]


def test_an_unknown_id_leaves_an_assumed_index_and_is_a_conflict() -> None:
    run = folded(whole(call("call_i", "i", "")), delta("step_1", spoken(0, "other", "i", "1")))
    assert [call("call_i", "i", "1")] == calls_json(run)
    assert [(2, "conflict", "$.delta.step_details.tool_calls[0].id", '"other"', "step_1")] == faults(run)


def test_an_id_that_becomes_known_later_names_its_call_though_a_template_could_have_been_learned() -> None:
    resent = [delta("step_1", function(0, id="late", arguments=f" {number}")) for number in range(8)]
    run = folded(
        whole(call("call_i", "i", "")),
        *resent,
        step_event("in_progress", "step_1", call("call_i", "i", ""), call("late", "l", "")),
        *resent,
    )
    texts = "".join(f" {number}" for number in range(8))
    assert [call("late", "l", texts), call("call_i", "i", texts)] == calls_json(run)


def test_a_call_that_comes_whole_and_then_whole_again_is_there_once() -> None:
    run = folded(
        whole(call("call_1", "f", '{"a":1}')),
        delta("step_1", spoken(0, "call_1", "f", '{"a":1}')),
        delta("step_1", fragment(0, " ")),
        delta("step_1", spoken(0, "call_1", "f", '{"a":1} ')),
    )
    assert [call("call_1", "f", '{"a":1} {"a":1} ')] == calls_json(run)
    assert [] == faults(run)


@pytest.mark.parametrize(
    ("sent", "folded_text"), [("ab", "ab"), ("abc", "abc"), ("a", "aba"), ("x", "abx"), ("", "ab")]
)
def test_only_a_text_that_begins_with_the_whole_one_replaces_it(sent: str, folded_text: str) -> None:
    run = folded(whole(call("call_1", "f", "ab")), delta("step_1", spoken(0, "call_1", "f", sent)))
    assert [call("call_1", "f", folded_text)] == calls_json(run)


def test_a_text_of_a_delta_without_the_id_is_appended_and_so_are_all_after_it() -> None:
    run = folded(
        whole(call("call_1", "f", "ab")),
        delta("step_1", fragment(0, "ab")),
        delta("step_1", spoken(0, "call_1", "f", "abab")),
    )
    assert [call("call_1", "f", "abababab")] == calls_json(run)


def test_texts_at_any_depth_come_whole_again() -> None:
    ran: dict[str, object] = {"input": "print(1)", "outputs": [{"type": "logs", "logs": "1\n"}]}
    code: dict[str, object] = {"id": "call_1", "type": "code_interpreter", "code_interpreter": ran}
    again: dict[str, object] = {"input": "print(1)", "outputs": [{"index": 0, "type": "logs", "logs": "1\n2\n"}]}
    run = folded(whole(code), delta("step_1", {**code, "index": 0, "code_interpreter": again}))
    outputs = [{"type": "logs", "logs": "1\n2\n"}]
    assert [{**code, "code_interpreter": {"input": "print(1)", "outputs": outputs}}] == calls_json(run)
    assert [] == faults(run)


def test_a_checkpoint_keeps_what_is_assumed() -> None:
    begun = folded(whole(call("call_i", "i", "i"), call("call_e", "e", "e")))
    run = Accumulator.from_bytes(begun.to_bytes())
    run.feed(delta("step_1", spoken(0, "call_e", "e", "ee")))
    assert [call("call_e", "e", "ee"), call("call_i", "i", "i")] == calls_json(run)


def test_after_a_checkpoint_each_call_that_an_ending_lacks_is_reported_once() -> None:
    run = Accumulator()
    run.feed(step_event("expired", "step_1", {"id": "call_1"}, {"id": "call_2"}, {"id": "call_3"}))
    run.feed(step_event("expired", "step_1", {"id": "call_2"}, {"id": "call_3"}))
    run.feed(delta("step_1", opening(5, "call_5", "f")))
    other = Accumulator.from_bytes(run.to_bytes())
    last = step_event("completed", "step_1", {"id": "call_2"})
    updates = run.feed(last)
    assert updates == other.feed(last)
    assert ["call_3", "call_5"] == [json.loads(each.raw)["id"] for each in updates if isinstance(each, Problem)]


def test_a_new_call_may_take_the_index_that_one_before_it_in_the_same_delta_leaves() -> None:
    run = folded(
        whole(call("call_i", "i", ""), call("call_e", "e", "")),
        delta("step_1", spoken(5, "call_i", "i", "1"), spoken(0, "call_n", "n", "2"), fragment(5, "3")),
    )
    assert ["call_n", "call_e", "call_i"] == [each["id"] for each in calls_json(run)]
    assert ["2", "", "13"] == [each["function"]["arguments"] for each in calls_json(run)]  # type: ignore[index]
    assert [] == faults(run)


def test_a_call_may_take_the_index_that_another_call_leaves_in_the_same_delta() -> None:
    run = folded(
        whole(call("call_i", "i", ""), call("call_e", "e", "")),
        delta("step_1", spoken(5, "call_i", "i", "1"), spoken(0, "call_e", "e", "2"), fragment(1, "new")),
    )
    assert ["call_e", None, "call_i"] == [each.get("id") for each in calls_json(run)]
    assert [] == faults(run)


def test_a_checkpoint_keeps_the_places_of_an_ending_from_which_a_call_moved_away() -> None:
    ended = completed("step_1", [call("call_1", "f", ""), call("call_2", "g", "")])
    run = folded(created(), ended, delta("step_1", {"index": 2, "id": "call_1", "type": "function"}))
    saved = run.to_bytes()
    assert saved == Accumulator.from_bytes(saved).to_bytes()
    other = Accumulator.from_bytes(saved)
    again = completed("step_1", [call("call_3", "h", "")])
    assert run.feed(again) == other.feed(again)
    assert run.to_bytes() == other.to_bytes()
