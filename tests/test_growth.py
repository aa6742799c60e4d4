"""What cost and memory hang on, counted instead of timed; and that nothing grows which says nothing new."""

from __future__ import annotations

import gc
import inspect
import json
import pickle
import sys
import time
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest

from accumulator import Accumulator, LimitError, Limits, RunStep, RunStepUpdated, ToolCallDone, accumulate
from accumulator._fold import history
from accumulator._fold.nodes import Object
from accumulator._fold.texts import Text
from accumulator._json import join_surrogates
from accumulator._streams.sources import make_async_source, make_source
from benches import hostile
from tests.counting import calls_made
from tests.wire import (
    DONE,
    call,
    calls_json,
    completed,
    created,
    delta,
    delta_payload,
    event,
    faults,
    folded,
    fragment,
    function,
    in_progress,
    kinds,
    opening,
    step,
    step_json,
    text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from accumulator import BodyEnded


def nested(leaf: str) -> dict[str, object]:
    value: dict[str, object] = {"leaf": leaf}
    for _ in range(110):
        value = {"x": value}
    return value


def at(depth: int, work: Callable[[], object]) -> None:
    """Do something with so many calls below it."""
    if depth:
        at(depth - 1, work)
    else:
        work()


def logs(index: int) -> dict[str, object]:
    output = {"index": index, "type": "logs", "logs": f"line {index}"}
    return {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": [output]}}


STREAMS: dict[str, Callable[[int], list[bytes]]] = {
    "fragments": lambda n: [delta("step_1", fragment(0, "abcd")) for _ in range(n)],
    "log outputs": lambda n: [delta("step_1", logs(index)) for index in range(n)],
    "calls": lambda n: [delta("step_1", function(index, arguments="{}")) for index in range(n)],
    "calls without an index": lambda n: [delta("step_1", {"type": str(index), "x": 1}) for index in range(n)],
    "calls by id": lambda n: [delta("step_1", {"id": str(index), "x": 1}) for index in range(n)],
    "resent ids": lambda n: [delta("step_1", function(0, arguments="a") | {"id": str(index)}) for index in range(n)],
    "steps": lambda n: [created(f"step_{index}") for index in range(n)],
    # Both events are longer than the limit of an id, so that the ids in both are checked.
    "one event": lambda n: [delta("step_1", *({"type": str(index), "x": "abcdefgh"} for index in range(n)))],
    "an ending of others": lambda n: [
        delta("step_1", *({"index": index, "type": "a"} for index in range(n))),
        completed("step_1", [{"type": "b"} for _ in range(n)]),
    ],
    "created again": lambda n: [delta("step_1", *(logs(index) for index in range(64)))] + [created()] * n,
    "bodies": lambda n: [created(f"step_{index}") for index in range(64)] + [DONE] * n,
    "bodies that leave a step open": lambda n: [created(f"step_{index}") + DONE for index in range(n)],
    "bodies that end a step and leave another open": lambda n: [
        created(f"step_{index + 50}") + completed(f"step_{index}") + DONE for index in range(n)
    ],
    "bodies of one step": lambda n: [completed(f"step_{index}") + DONE for index in range(n)],
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_work_grows_with_what_comes_and_not_with_what_was_folded(stream: Callable[[int], list[bytes]]) -> None:
    def work(count: int) -> Callable[[], object]:
        events = stream(count)
        return lambda: [*map(run.feed, events), run.run_steps()]

    run = Accumulator()
    once = calls_made(work(200))
    run = Accumulator()
    twice = calls_made(work(400))
    assert twice <= 2.1 * once


def test_what_bodies_leave_open_takes_no_more_the_more_there_is() -> None:
    def taken(bodies: int) -> int:
        run = Accumulator()
        chunk = b"".join(created(f"step_{index}") + DONE for index in range(bodies))
        tracemalloc.start()
        updates = run.feed(chunk)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert [f"step_{index}" for index in range(bodies)] == list(cast("BodyEnded", updates[-1]).open)
        return size

    assert taken(2_000) < 2.5 * taken(1_000)
    assert taken(1_000) < 2.5 * taken(500)


def test_a_deep_caller_pays_for_the_event_and_not_for_what_was_folded() -> None:
    def paid(steps: int, depth: int) -> int:
        run = folded(*(created(f"step_{index}") for index in range(steps)))
        run.feed(delta("step_0", function(0, name="f", arguments="{" * 200)))  # as deep as 200 levels, at first sight
        found: list[int] = []
        wrong = delta("step_0", {"index": 0, "x": {"y": 1}})
        at(depth, lambda: found.append(calls_made(lambda: run.feed(wrong))))
        return found[0]

    paid(400, 500)  # what is only done once is done, and values are counted: see `Engine._most`
    assert paid(400, 500) == paid(1_200, 500)
    assert paid(400, 0) == paid(1_200, 0)


def test_a_deep_step_stays_deep_in_a_checkpoint() -> None:
    run = folded(delta("step_1", {"index": 0, "type": "a", "x": nested("a")}))
    again = Accumulator.from_bytes(run.to_bytes())
    for each in (run, again):
        with pytest.raises(RecursionError, match=r"expected stack for 11\d levels"):
            at(600, lambda each=each: each.feed(delta("step_1", {"index": 0, "y": 1})))  # type: ignore[misc]
        assert 110 < each._engine.nesting <= 119
    assert ["ToolCallDelta"] == kinds(again.feed(b""))


def seconds(work: Callable[[], object]) -> float:
    """Measure the processor time of something, the best of five."""
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


SAID_AGAIN: dict[str, tuple[str, dict[str, object]]] = {
    "an id": ("id", {}),
    "a name": ("name", {}),
    "a value after the ending": ("x", {"status": "completed"}),
}


@pytest.mark.parametrize(("field", "ending"), SAID_AGAIN.values(), ids=SAID_AGAIN)
def test_what_differs_from_a_long_value_costs_what_came(field: str, ending: dict[str, object]) -> None:
    def fed(length: int) -> Accumulator:
        run = Accumulator(limits=Limits(max_id_length=None))
        first = {"index": 0, "type": "a", "x": "", field: "é" * length}
        run.feed(created() + delta("step_1", first))
        if ending:
            run.feed(completed(calls=[{key: value for key, value in first.items() if key != "index"}]))
        return run

    def again(run: Accumulator) -> float:
        return seconds(lambda: [run.feed(delta("step_1", {"index": 0, field: "è"})) for _ in range(100)])

    assert again(fed(2_000_000)) < 20 * again(fed(2))


def test_the_problems_cost_the_same_however_many_there_are() -> None:
    def bad(count: int) -> tuple[Accumulator, bytes]:
        run = Accumulator()
        run.feed(event("done", b"x") * count)
        return run, event("done", b"x")

    def read(run: Accumulator, wrong: bytes) -> float:
        return seconds(lambda: [(run.feed(wrong), run.problems) for _ in range(100)])

    assert read(*bad(100_000)) < 20 * read(*bad(1))


def test_each_fragment_is_joined_into_a_block_once_and_the_blocks_when_read() -> None:
    grown = Text()
    for _ in range(1_000):
        grown.append("abcd")
    assert [1_024] * 3 + [4] * 232 == [len(piece) for piece in grown.pieces]
    assert "abcd" * 1_000 == grown.read()
    assert [4_000] == [len(piece) for piece in grown.pieces]


@pytest.mark.parametrize(
    "fragments", [["a", "bc"], ["\ud83d", "\ude00"], ["a\ud83d", "\ude00b"], ["\ud83d"] * 3, ["\ude00"]]
)
@pytest.mark.parametrize("reads", [0, 1])
def test_a_text_is_read_as_it_was_at_each_mark(fragments: list[str], reads: int) -> None:
    marks: list[tuple[tuple[int, str], str]] = []
    grown, so_far = Text(), ""
    for fragment_text in [*fragments, *["xy"] * 300, *fragments]:
        marks.append((grown.mark(), join_surrogates(so_far)))
        for _ in range(reads):
            grown.read()
        grown.append(fragment_text)
        so_far += fragment_text
    assert [text for _, text in marks] == [grown.read_at(mark) for mark, _ in marks]
    assert join_surrogates(so_far) == grown.read_at(None) == grown.read()
    assert [text for _, text in marks] == [grown.read_at(mark) for mark, _ in marks]


def test_whole_objects_that_say_nothing_new_leave_the_snapshot_current() -> None:
    run = folded(created(), delta("step_1", opening(0, "call_1", "f")))
    before = run.run_step("step_1")
    run.feed(created() + in_progress() + created(tool="f", usage={"total_tokens": 1}))
    run.feed(created(tool="f", usage={"total_tokens": 1}))
    after = run.run_step("step_1")
    run.feed(created(tool="f", usage={"total_tokens": 1}) + in_progress())
    last = run.run_step("step_1")
    assert before is not None
    assert after is not None
    assert last is not None
    assert before.to_dict() | {"tool": "f", "usage": {"total_tokens": 1}} == after.to_dict()
    assert after._json is last._json


def test_an_untouched_call_is_shared_by_later_snapshots() -> None:
    run = folded(delta("step_1", opening(0, "call_1", "f"), opening(1, "call_2", "g")))
    before = run._engine.resources["steps"]["step_1"].part_json(0)
    run.feed(delta("step_1", fragment(1, "abc")))
    run.run_steps()
    assert before is run._engine.resources["steps"]["step_1"].part_json(0)


def test_an_entry_that_endings_lack_is_told_once() -> None:
    whole: list[object] = [call("call_1", "f", "")]
    run = folded(delta("step_1", opening(0, "call_1", "f"), opening(1, "call_2", "g")), *[completed(calls=whole)] * 3)
    assert [(2, "contradiction", "$.step_details.tool_calls")] == [fault[:3] for fault in faults(run)]
    again = Accumulator.from_bytes(run.to_bytes())
    again.feed(completed(calls=whole))
    assert run.problems == again.problems


def test_a_very_long_key_is_cut_in_a_path() -> None:
    run = folded(delta("step_1", {"index": 0, "k" * 1_000: {"id": "a"}}, {"index": 0, "k" * 1_000: {"id": "b"}}))
    key = f'["{"k" * 200}..."]'
    assert [f"$.delta.step_details.tool_calls[1]{key}.id"] == [problem.path for problem in run.problems]


def test_a_long_path_is_cut_in_the_middle() -> None:
    deep: dict[str, object] = {"id": "a"}
    for _ in range(100):
        deep = {"k" * 50: deep}
    again = json.loads(json.dumps(deep).replace('"a"', '"b"'))
    run = folded(delta("step_1", {"index": 0, **deep}, {"index": 0, **again}))
    (path,) = [problem.path for problem in run.problems]
    assert path.startswith("$.delta.step_details.tool_calls[1].kkk")
    assert path.endswith("kkk.id")
    assert (503, 1) == (len(path), path.count("..."))


def test_the_problems_are_one_object_until_there_is_another() -> None:
    run = folded(event("done", b"x"))
    before = run.problems
    assert before is run.problems
    run.feed(event("done", b"y"))
    assert [*before, run.problems[1]] == list(run.problems)
    assert (1, 2) == (len(before), len(run.problems))


def test_the_problems_are_a_sequence() -> None:
    problems = folded(*[event("done", letter.encode()) for letter in "xyz"]).problems
    last = problems[2]
    assert ("z", last, tuple(problems)[1:]) == (last.raw, problems[-1], problems[1:])
    assert last in problems
    assert [last.raw, "y", "x"] == [problem.raw for problem in reversed(problems)]
    others: list[object] = [list(problems), tuple(problems), "xyz"]
    assert [True, True, False] == [problems == other for other in others]
    assert problems == pickle.loads(pickle.dumps(problems))  # noqa: S301 - our own
    assert repr(tuple(problems)) == repr(problems)
    with pytest.raises(IndexError):
        problems[3]


def test_the_next_body_may_stand_right_behind_a_done_without_its_blank_line() -> None:
    ending = completed(calls=[call("call_1", "f", "{}")])
    run = Accumulator()
    updates = run.feed(created() + DONE.removesuffix(b"\n") + ending + DONE)
    assert ["RunStepCreated", "BodyEnded", "ToolCallCreated", "ToolCallDone", "RunStepDone", "BodyEnded"] == kinds(
        updates
    )
    assert ((), "completed") == (run.problems, step_json(run)["status"])


def test_that_is_so_for_a_last_block_without_its_blank_line_too() -> None:
    run = Accumulator()
    run.feed(created() + DONE.removesuffix(b"\n") + completed().removesuffix(b"\n"))
    assert ["BodyEnded", "RunStepDone", "BodyEnded"] == kinds(run.end())


def test_no_bytes_are_no_source() -> None:
    run = accumulate([created(), DONE]).until_done()
    assert ([], []) == (run.feed(b""), run.end())


def test_a_framed_event_may_not_be_too_large_either() -> None:
    run = Accumulator(limits=Limits(max_event_size=100))
    with pytest.raises(LimitError, match="event 1: expected events of at most 100 bytes"):
        run.apply("thread.run.step.delta", text(delta_payload("step_1", fragment(0, "x" * 100))))
    run.apply("thread.run.step.delta", '{"id":"step_1","delta":{}}')
    assert {"id": "step_1"} == step_json(run)


def test_an_accumulator_that_streams_fed_has_no_body_to_end() -> None:
    run = accumulate([created(), DONE]).until_done()
    assert ([], "unknown") == (run.end(), run.outcome)
    fed = Accumulator()
    fed.feed(created()[:-1])
    again = Accumulator.from_bytes(fed.to_bytes())
    assert ["RunStepCreated", "BodyEnded"] == kinds(again.end())


@pytest.mark.parametrize("arguments", [{"strict": "no"}, {"strict": 1}, {"limits": None}, {"limits": 42}])
def test_wrong_settings_are_a_type_error(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="expected a bool and a Limits, got "):
        Accumulator(**arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_final_steps_are_judged_by_the_stream_that_they_are_asked_of() -> None:
    run = Accumulator()
    first = accumulate([created(), DONE], into=run)
    first.until_done()
    accumulate([created("step_2")], into=run).until_done()
    assert "truncated" == run.outcome
    assert ["step_1", "step_2"] == [step.id for step in first.final_run_steps()]


def test_into_takes_an_accumulator() -> None:
    with pytest.raises(TypeError, match="expected an Accumulator for into=, got int"):
        accumulate([], into=42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_an_event_for_which_too_little_stack_is_left_stays_pending() -> None:
    first = {"index": 0, "id": "call_1", "type": "a", "a": nested("first")}
    last = {"id": "call_1", "type": "a", "a": nested("last"), "z": 1}
    left, ending = 0, completed(calls=[last])
    for depth in range(300, sys.getrecursionlimit() - 100, 50):
        run = folded(delta("step_1", first))
        before = step_json(run)
        try:
            at(depth, lambda run=run: run.feed(ending))  # type: ignore[misc]
        except RecursionError:
            left += 1
            assert before == step_json(run)
            assert ["ToolCallDone", "RunStepDone", "Problem"] == kinds(run.feed(b""))
        assert [last] == calls_json(run)
    assert left > 0


@pytest.mark.parametrize("again", [in_progress(), completed(calls=[{"id": "call_1", "type": "a", "a": "q"}])])
def test_so_does_one_that_is_shallow_where_what_was_folded_is_deep(again: bytes) -> None:
    first = delta("step_1", {"index": 0, "id": "call_1", "type": "a", "a": nested("first")})
    left = 0
    for depth in range(300, sys.getrecursionlimit() - 100, 50):
        run = Accumulator.from_bytes(folded(first).to_bytes())
        try:
            at(depth, lambda run=run: run.feed(again))  # type: ignore[misc]
        except RecursionError:
            left += 1
            assert 1 == len(run._own.pending)
            assert kinds(run.feed(b""))
    assert left > 0


def test_a_snapshot_that_cannot_be_finished_leaves_the_next_one_right() -> None:
    entries = [{"index": index, "id": f"call_{index}", "type": "a", "a": nested("old")} for index in range(2)]
    run = Accumulator.from_bytes(folded(delta("step_1", *entries)).to_bytes())
    for leaf in ("old", "new"):
        with pytest.raises(RecursionError):
            at(sys.getrecursionlimit() - 250, run.run_steps)
        assert [nested(leaf), nested("old")] == [entry["a"] for entry in calls_json(run)]
        run.feed(delta("step_1", {"index": 0, "a": nested("new")}))


def test_an_event_that_is_wide_and_not_deep_needs_little_stack() -> None:
    wide = completed(calls=[{"id": f"call_{number}", "type": "a", "a": {}} for number in range(200)])
    run = Accumulator()

    at(sys.getrecursionlimit() - 300, lambda: run.feed(wide))
    assert 200 == len(calls_json(run))


# What only shows in the fragments that come after.


def details(*entries: object) -> bytes:
    return delta("step_1", *entries)


def test_an_event_that_is_left_out_opens_no_entry_without_an_index_for_later_fragments() -> None:
    left_out = details({"type": "a", "id": "x", "output": "lost?"}, {"type": "a", "output": []}, {"type": 1})
    run = folded(created(), details({"type": "a", "output": "A"}), left_out)
    # Two entries of one delta are two, but for the id that both name.
    wrong = details({"type": "b", "id": "z", "x": {"y": 1}}, {"id": "z", "x": 1})
    run.feed(wrong + details({"type": "b", "output": "B"}) + details({"type": "a", "output": "C"}))
    assert [{"type": "a", "output": "AC"}, {"type": "b", "output": "B"}] == calls_json(run)
    assert ["index", "shape", "shape", "index", "index"] == [problem.kind for problem in run.problems]


def test_a_fragment_on_an_empty_text_opens_no_short_way() -> None:
    run = folded(created(), details(opening(0, "call_1", "f")), details(fragment(0, "")))
    resent = function(0, arguments="A") | {"id": "call_1"}
    run.feed(details(resent) + details(fragment(0, "B")) + details(fragment(0, "C")))
    assert [call("call_1", "f", "ABC")] == calls_json(run)


def test_after_a_checkpoint_a_fragment_without_an_index_still_continues_its_call() -> None:
    run = folded(created(), details({"type": "a", "output": "a"}))
    again = Accumulator.from_bytes(run.to_bytes())
    again.feed(details({"type": "a", "output": "b"}))
    assert [{"type": "a", "output": "ab"}] == calls_json(again)


def test_a_call_that_only_an_ending_has_gets_its_place_as_its_index() -> None:
    first = {"id": "call_5", "type": "a"}
    run = folded(created(), details(first | {"index": 5}), completed(calls=[first, {"id": "new", "type": "b"}]))
    assert [None, {"id": "new", "type": "b"}] == [
        found and found.to_dict() for found in (run.tool_call("step_1", 0), run.tool_call("step_1", 1))
    ]


def test_an_entry_without_an_index_that_an_ending_lacks_and_a_later_id_still_name_their_entries() -> None:
    run = folded(created(), details({"type": "a", "id": "x"}), completed(calls=[{"type": "b", "id": "y"}]))
    run.feed(details({"id": "x", "late": 1}) + details({"id": "y", "late": 2}))
    assert [{"type": "b", "id": "y", "late": 2}, {"type": "a", "id": "x", "late": 1}] == calls_json(run)


def test_calls_are_done_in_the_order_of_the_snapshot() -> None:
    run = folded(created(), details(function(2) | {"id": "c"}, function(0) | {"id": "a"}))
    updates = run.feed(completed(calls=[]))
    assert [0, 2] == [update.index for update in updates if isinstance(update, ToolCallDone)]


def test_an_output_without_an_index_that_an_ending_lacks_is_continued_after_it() -> None:
    output = {"type": "logs", "logs": "a"}
    entry = {"index": 0, "id": "call_1", "type": "code_interpreter", "code_interpreter": {"outputs": [output]}}
    ending = {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"outputs": [{"type": "image"}]}}
    run = folded(created(), details(entry), completed(calls=[ending]), details(entry))
    outputs = [{"type": "image"}, {"type": "logs", "logs": "aa"}]
    assert [ending | {"code_interpreter": {"outputs": outputs}}] == calls_json(run)


def test_an_entry_that_one_ending_lists_and_the_next_lacks_is_open_for_entries_without_an_index() -> None:
    output = {"type": "logs", "logs": "a"}
    entry = {"index": 0, "id": "call_1", "type": "code_interpreter", "code_interpreter": {"outputs": [output]}}
    endings: list[dict[str, object]] = [
        {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"outputs": outputs}}
        for outputs in ([output], [{"type": "image"}])
    ]
    run = folded(created(), details(entry), *[completed(calls=[ending]) for ending in endings], details(entry))
    outputs = [{"type": "image"}, output]
    assert [endings[0] | {"code_interpreter": {"outputs": outputs}}] == calls_json(run)
    assert ["index", "contradiction", "index", "late"] == [problem.kind for problem in run.problems]


def test_the_general_way_keeps_fragments_apart_until_they_are_read() -> None:
    run = Accumulator()
    run._engine.fast_path.enabled = False
    run.feed(b"".join(details(fragment(0, "abcd")) for _ in range(100)))
    calls = run._engine.resources["steps"]["step_1"]._parts()
    assert calls is not None
    payload = calls.entries[0].fields["function"]
    assert isinstance(payload, Object)
    grown = payload.fields["arguments"]
    assert isinstance(grown, Text)
    assert ["abcd"] * 100 == grown.pieces


def test_how_deep_a_step_is_is_counted_through_lists_and_texts() -> None:
    deep: list[object] = [[1], {"b": []}]
    entry: dict[str, object] = {"index": 0, "type": "a", "output": "x", "v": deep, "w": [{"index": 1, "d": {"e": 1}}]}
    step = folded(delta("step_1", entry, {"type": "b"}))._engine.resources["steps"]["step_1"]
    # Below the step: its details, the calls, a call, a list in it, an entry there, an object in that, its value.
    assert 7 == step.depth()


@pytest.mark.parametrize(
    ("family", "mode"),
    [(family, mode) for family, (_, modes) in hostile.FAMILIES.items() for mode in modes],
)
def test_streams_made_to_be_slow_cost_what_they_bring(family: str, mode: str) -> None:
    make = hostile.FAMILIES[family][0]

    def cost(count: int) -> int:
        events = list(make(count))
        return calls_made(lambda: hostile.run(mode, b"".join(events), events))

    few, more, most = cost(100), cost(200), cost(400)
    assert most - more < 2.5 * (more - few)  # twice if the cost is linear, four times if it is quadratic


# Updates whose object is made when it is read.


def field(value: object) -> bytes:
    """A delta that sets a field of the step, and names no call."""
    return event("thread.run.step.delta", {"id": "step_1", "delta": {"x": value}})


def test_updates_about_a_long_text_do_not_hold_it_once_each() -> None:
    run = Accumulator()
    run.feed(delta("step_1", function(0, id="call_1", arguments="a" * 1_000_000)))
    tracemalloc.start()
    try:
        updates = run.feed(b"".join(delta("step_1", fragment(0, "b")) + field(number) for number in range(1_000)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4_000_000  # with a text for each it would be a thousand times a million
    steps = [update.run_step for update in updates if isinstance(update, RunStepUpdated)]
    assert ["a" * 1_000_000 + "b" * count for count in (1, 500, 1_000)] == [
        steps[count - 1].to_dict()["step_details"]["tool_calls"][0]["function"]["arguments"]  # type: ignore[index]
        for count in (1, 500, 1_000)
    ]


def test_nothing_is_noted_once_nobody_can_read_it() -> None:
    run = folded(created())
    updates = run.feed(in_progress() + field(1))
    moments = run._engine.resources["steps"]["step_1"]._history
    assert moments is not None
    assert moments.open() is not None
    updates[0].run_step.to_dict()  # type: ignore[union-attr]
    del updates
    gc.collect()
    assert moments.open() is None


def test_an_old_object_shares_what_has_not_changed_since() -> None:
    run = folded(created(), delta("step_1", opening(0, "call_1", "f"), opening(1, "call_2", "g")))
    [update] = run.feed(field(1))
    run.feed(delta("step_1", fragment(1, "{}")))
    now = run.run_step("step_1")
    assert isinstance(update, RunStepUpdated)
    assert now is not None
    then = update.run_step
    assert then.tool_calls[0]._json is now.tool_calls[0]._json
    assert [call("call_1", "f", ""), call("call_2", "g", "")] == then.to_dict()["step_details"]["tool_calls"]  # type: ignore[index]


def test_a_change_while_an_old_object_is_built_does_not_show_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = folded(created(), delta("step_1", opening(0, "call_1", "f")))
    [update] = run.feed(field(1))
    meanwhile = iter([field(2), delta("step_1", fragment(0, "{}"))])
    build = history._Past.build_object

    def build_beside_a_reader(past: history._Past, node: Object) -> object:
        built = build(past, node)
        run.feed(next(meanwhile, b""))
        return built

    monkeypatch.setattr(history._Past, "build_object", build_beside_a_reader)
    assert isinstance(update, RunStepUpdated)
    assert step("step_1", call("call_1", "f", ""), x=1) == update.run_step.to_dict()


def test_a_model_that_two_threads_read_first_has_one_value() -> None:
    model = RunStep.wrap_later(lambda: {"id": model.id if len(calls) == 1 else "step_1"} if not calls.append(1) else {})  # type: ignore[func-returns-value]
    calls: list[int] = []
    assert "step_1" == model.id
    assert 2 == len(calls)
    assert {"id": "step_1"} == model.to_dict()
    assert not hasattr(model, "other")


def test_a_moment_in_which_nothing_changed_is_that_of_the_update_before() -> None:
    run = folded(created())
    again = event("thread.run.step.in_progress", {"id": "step_1"})
    kept = run.feed(again)
    history = run._engine.resources["steps"]["step_1"]._history
    assert history is not None
    moment = history.open()
    run.feed(again * 100)
    assert moment is history.open()
    assert [RunStepUpdated] == list(map(type, kept))


def test_what_an_update_built_is_shared_by_the_next_ones() -> None:
    run = folded(created(), delta("step_1", opening(0, "call_1", "f"), opening(1, "call_2", "g")))
    read: list[object] = []
    for number in range(3):
        [update] = run.feed(field(number))
        assert isinstance(update, RunStepUpdated)
        read.append(update.run_step.tool_calls[0]._json)
    assert read[0] is read[1]
    assert read[1] is read[2]


def test_what_was_built_of_a_state_that_has_changed_meanwhile_is_not_shared() -> None:
    run = folded(created(), delta("step_1", opening(0, "call_1", "f")))
    [update] = run.feed(field(1))
    history = run._engine.resources["steps"]["step_1"]._history
    assert isinstance(update, RunStepUpdated)
    update.run_step.to_dict()
    assert history is not None
    built = history.built
    assert built is not None
    moment = built[0]
    run.feed(delta("step_1", fragment(0, "{}")) + field(2))
    moment.note_text(Text())
    history.built = built  # as if another thread had read it just then
    run.feed(field(3))
    assert step("step_1", call("call_1", "f", "{}"), x=3) == step_json(run)


def test_an_end_without_stack_for_the_last_block_leaves_it() -> None:
    last = event("thread.run.step.delta", delta_payload("step_1", function(0, arguments="b", x=nested("y"))))
    run = folded(created(), delta("step_1", function(0, id="call_1", arguments="a")))
    run.feed(last[:-2])

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            run.end()

    with pytest.raises(RecursionError):
        deep(sys.getrecursionlimit() - len(inspect.stack(0)) - 60)
    run.end()
    assert [] == faults(run)
    assert "ab" == calls_json(run)[0]["function"]["arguments"]  # type: ignore[index]


def test_a_chunk_takes_the_source_two_calls() -> None:
    """Its own, and that of the iterator over what was passed."""

    def calls(chunks: int) -> int:
        source = make_source(iter([b"x"] * (chunks + 1)), "accumulate", "aaccumulate")
        next(source)  # opens it
        return calls_made(lambda: [next(source) for _ in range(chunks)])

    assert 3 * 100 >= calls(200) - calls(100)


def test_a_chunk_takes_the_async_source_few_calls() -> None:
    async def chunked(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x"

    def calls(chunks: int) -> int:
        async def read() -> None:
            source = make_async_source(chunked(chunks + 1), "aaccumulate", "accumulate")
            await anext(source)
            for _ in range(chunks):
                await anext(source)

        def run() -> None:
            with suppress(StopIteration):
                read().send(None)

        return calls_made(run)

    calls(1)  # the first of a type asks the abstract classes, which then remember it
    assert 4 * 100 >= calls(200) - calls(100)
