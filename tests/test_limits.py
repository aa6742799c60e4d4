"""Each limit at its edge, what is left out, and that what a server sends in strings is no reason."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import Accumulator, BodyEnded, LimitError, Limits, MergeError, accumulate
from accumulator._engine.engine import Engine
from accumulator._engine.limits import RESOURCE_SIZE, VALUE_SIZE, Bounds
from accumulator._fold.nodes import size_of
from accumulator._fold.texts import Text
from accumulator._json import bound_values, count_values
from tests.wire import (
    DONE,
    call,
    calls_json,
    completed,
    created,
    delta,
    event,
    fragment,
    function,
    kinds,
    opening,
    run_event,
    step,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from accumulator import Update
    from accumulator._engine.feed import Feed

LONG = "n" * 40
VALUES = delta("step_1", {"index": 0, "x": json.loads("[1,2,{}]")})
DEEP = delta("step_1", {"index": 0, "x": json.loads("[[[]]]")})
OPENED = delta("step_1", opening(0, "call_1", "f"))

# A limit, its highest value that leaves an event out, and the stream: all before the event, and the event.
EDGES: dict[str, tuple[str, int, bytes, bytes, str]] = {
    "values": ("max_event_values", 13, run_event("queued"), VALUES, "$"),
    "depth": ("max_event_depth", 7, created(), DEEP, "$"),
    "depth of what has no name": (
        "max_event_depth",
        2,
        run_event("queued"),
        event(None, json.loads('{"a":[[]]}')),
        "$",
    ),
    "open steps": ("max_open", 1, created("step_0"), created(), "$"),
    "open steps and messages": ("max_open", 1, created(), event("thread.message.created", {"id": "msg_1"}), "$"),
    "calls": (
        "max_list_entries",
        2,
        OPENED + delta("step_1", fragment(1, "a")),
        delta("step_1", fragment(1, "b"), fragment(2, "a"), fragment(2, "b")),
        "$.delta.step_details.tool_calls",
    ),
    "calls by id": (
        "max_list_entries",
        2,
        OPENED,
        delta("step_1", {"id": "call_1"}, {"id": "a", "x": 1}, {"id": "a", "y": 1}, {"id": "b"}),
        "$.delta.step_details.tool_calls",
    ),
    "calls without an index and an id": (
        "max_list_entries",
        2,
        OPENED,
        delta("step_1", {"x": 1}, {"x": 2}),
        "$.delta.step_details.tool_calls",
    ),
    "calls of an ending": (
        "max_list_entries",
        2,
        OPENED,
        completed(calls=[call("call_1", "f", ""), call("call_2", "f", ""), call("call_3", "f", "")]),
        "$.step_details.tool_calls",
    ),
    "calls of other types than were folded": (
        "max_list_entries",
        2,
        OPENED,
        created("step_1", step_details={"type": "tool_calls", "tool_calls": [{"type": "a"}, {"type": "b"}]}),
        "$.step_details.tool_calls",
    ),
    "outputs in a call": (
        "max_list_entries",
        2,
        delta("step_1", {"index": 7, "code_interpreter": {"outputs": [{"index": 0}, {"index": 1}]}}),
        delta("step_1", {"index": 7, "code_interpreter": {"outputs": [{"index": 2}]}}),
        "$.delta.step_details.tool_calls[0].code_interpreter.outputs",
    ),
    "values in a list": ("max_list_entries", 2, OPENED, created(file_ids=json.loads('["a",1,[]]')), "$.file_ids"),
    "the id of a step": ("max_id_length", 39, created(), created(LONG), "$.id"),
    "the id of a call": (
        "max_id_length",
        39,
        OPENED,
        delta("step_1", fragment(0, "a"), {"index": 1, "id": LONG}),
        "$.delta.step_details.tool_calls[1].id",
    ),
    "an id that is no text": (
        "max_id_length",
        39,
        OPENED,
        delta("step_1", {"index": 1, "id": ["n" * 35]}),
        "$.delta.step_details.tool_calls[0].id",
    ),
    "the id of a run": ("max_id_length", 39, created(), run_event("queued", id=LONG), "$.id"),
    "the name of an event": ("max_name_length", 39, created(), event(LONG, {}), "$"),
    "the name in an envelope": ("max_name_length", 39, created(), event(None, {"event": LONG, "data": 1}), "$"),
}


@pytest.mark.parametrize(("limit", "value", "before", "over", "path"), EDGES.values(), ids=EDGES)
def test_an_event_at_a_limit_passes_and_one_more_is_left_out_whole(
    limit: str, value: int, before: bytes, over: bytes, path: str
) -> None:
    passing = Accumulator(limits=Limits(**{limit: value + 1}))
    passing.feed(before + over + DONE)
    run, without = Accumulator(limits=Limits(**{limit: value})), Accumulator()
    without.feed(before)
    with pytest.raises(LimitError, match=f": expected at most {value} .*{limit}.*, got more; ") as caught:
        run.feed(before + over + DONE)
    error = caught.value
    [after] = without.feed(event("x", 1))
    assert (limit, value, after.event_number, path) == (error.limit, error.maximum, error.event_number, error.path)
    assert str(error).startswith(f"event {after.event_number}")
    assert run is error.accumulator
    assert [step.to_dict() for step in without.run_steps()] == [step.to_dict() for step in run.run_steps()]
    assert (without.messages(), without.problems) == (run.messages(), run.problems)
    assert ["BodyEnded"] == kinds(run.feed(b""))


STREAM = created() + OPENED + delta("step_1", fragment(0, "ab")) * 20


def refused(run: Accumulator, chunk: bytes, times: int = 100_000) -> tuple[int, LimitError]:
    """Feed a chunk until a limit raises, and return how often it was taken."""
    for taken in range(times):
        try:
            run.feed(chunk)
        except LimitError as error:
            return taken, error
    pytest.fail("expected a LimitError, got none")


def size_of_all(run: Accumulator) -> int:
    run._engine.measure()
    return run._engine.size


def test_the_total_at_its_limit_passes_and_one_more_is_left_out() -> None:
    data = text(step()).encode()
    counted = len(data) + VALUE_SIZE * count_values(data) + RESOURCE_SIZE
    passing, run = (Accumulator(limits=Limits(max_total_size=size)) for size in (counted, counted - 1))
    assert ["RunStepCreated"] == kinds(passing.apply("thread.run.step.created", data))
    assert size_of_all(passing) <= counted
    with pytest.raises(LimitError, match=rf"^event 1, step_1: expected at most {counted - 1} characters, and 64 "):
        run.apply("thread.run.step.created", data)
    assert ([], 0) == (run.run_steps(), size_of_all(run))


@pytest.mark.parametrize(
    "chunk",
    [
        delta("step_1", {"index": 0, "x": {"a": 1}}, {"index": 1, "y": "\U0001f3d4"}),
        run_event("queued", instructions="x" * 500),
        created(),
        completed(),
    ],
    ids=["values", "a run", "a step", "an ending"],
)
def test_what_is_sent_again_counts_once(chunk: bytes) -> None:
    run = Accumulator(limits=Limits(max_total_size=100_000))
    run.feed(created() + OPENED)
    for _ in range(1_000):
        run.feed(chunk)


def test_fragments_count_each_time() -> None:
    run = Accumulator(limits=Limits(max_total_size=100_000))
    run.feed(created() + OPENED)
    taken, error = refused(run, delta("step_1", fragment(0, "abcd")))
    assert taken > 1_000
    assert "max_total_size" == error.limit
    assert [call("call_1", "f", "abcd" * taken)] == calls_json(run)
    assert 90_000 < run._engine.size <= 100_000


@pytest.mark.parametrize("fast", [True, False])
def test_no_way_takes_more_fragments_than_there_is_room_for(fast: bool) -> None:  # noqa: FBT001 - a parameter
    chunk = delta("step_1", fragment(0, "x" * 1_000))
    lengths: list[int] = []
    for drained in (False, True):
        run = Accumulator(limits=Limits(max_total_size=100_000))
        run._engine.fast_path.enabled = fast
        stream = accumulate([created() + OPENED + chunk * 300], into=run)
        with pytest.raises(LimitError, match="max_total_size"):
            stream.until_done() if drained else list(stream)
        assert run._engine.size <= 100_000
        lengths.append(len(json.dumps(calls_json(run))))
    assert 85_000 < min(lengths) <= max(lengths) < 100_000


def test_a_drained_stream_goes_on_behind_what_had_no_room() -> None:
    run = Accumulator(limits=Limits(max_total_size=20_000))
    large, small = delta("step_1", fragment(0, "x" * 9_000)), delta("step_1", fragment(0, "y"))
    stream = accumulate([created() + OPENED + small * 9 + large * 3 + small + DONE], into=run)
    for _ in range(2):
        with pytest.raises(LimitError, match="max_total_size"):
            stream.until_done()
    assert "unknown" == stream.until_done().outcome
    assert [call("call_1", "f", "y" * 9 + "x" * 9_000 + "y")] == calls_json(run)


@pytest.mark.parametrize("size", [1_000, 16_000, 10_000_000])
def test_no_cut_of_the_bytes_lets_more_in_than_there_is_room_for(size: int) -> None:
    data = created() + OPENED + delta("step_1", fragment(0, "x" * 500)) * 1_000
    run, refused_events = Accumulator(limits=Limits(max_total_size=60_000)), 0
    for start in range(0, len(data), size):
        chunk = data[start : start + size]
        while True:
            try:
                run.feed(chunk)
                break
            except LimitError:
                refused_events, chunk = refused_events + 1, b""
    assert 800 < refused_events < 950
    assert 45_000 < size_of_all(run) <= 60_000


def test_a_drained_stream_stops_at_an_entry_without_room_too() -> None:
    def logs(index: int) -> bytes:
        output = {"index": index, "type": "logs", "logs": "line" * 500}
        return delta("step_1", {"index": 0, "id": "call_1", "code_interpreter": {"outputs": [output]}})

    run = Accumulator(limits=Limits(max_total_size=50_000))
    stream = accumulate([b"".join(map(logs, range(30))) + DONE], into=run)
    with pytest.raises(LimitError, match="max_total_size"):
        stream.until_done()
    assert 30_000 < size_of_all(run) <= 50_000


def test_brackets_and_commas_in_texts_are_no_values() -> None:
    code = "[{,}]" * 2_000
    run = Accumulator(
        limits=Limits(max_event_values=40, max_event_depth=10, max_total_size=30_000, max_list_entries=40)
    )
    run.feed(created() + OPENED + delta("step_1", fragment(0, code)) + DONE)
    assert [call("call_1", "f", code)] == calls_json(run)


@pytest.mark.parametrize("fast", [True, False])
def test_a_list_that_grows_by_one_entry_an_event_has_a_limit(fast: bool) -> None:  # noqa: FBT001 - a parameter
    def logs(index: int) -> bytes:
        output = {"index": index, "type": "logs", "logs": "line"}
        return delta("step_1", {"index": 0, "id": "call_1", "code_interpreter": {"outputs": [output]}})

    run = Accumulator(limits=Limits(max_list_entries=50))
    run._engine.fast_path.enabled = fast
    stream = accumulate([b"".join(map(logs, range(51))) + logs(49)], into=run)
    with pytest.raises(LimitError, match=r"^event 51, step_1: expected at most 50 entries in one list"):
        stream.until_done()
    stream.until_done()
    assert fast == (run._engine.fast_path.last is not None)
    [found] = calls_json(run)
    outputs = json.loads(json.dumps(found))["code_interpreter"]["outputs"]
    assert (50, "lineline") == (len(outputs), outputs[49]["logs"])


@pytest.mark.parametrize("fast", [True, False])
def test_an_id_that_is_sent_again_and_again_has_a_limit_too(fast: bool) -> None:  # noqa: FBT001 - a parameter
    run = Accumulator(limits=Limits(max_id_length=800))
    run._engine.fast_path.enabled = fast
    again = [delta("step_1", fragment(0, "a") | {"id": "i" * length}) for length in [5, 6, 7, 800, 801, 8]]
    with pytest.raises(LimitError, match=r"^event 6, step_1: expected at most 800 characters in an id"):
        run.feed(OPENED + b"".join(again))
    run.feed(b"")
    assert [call("call_1", "f", "aaaaa")] == calls_json(run)


def test_an_ending_names_no_entry_twice() -> None:
    calls = [call(f"call_{number}", "f", "{}") for number in range(3)]
    run = Accumulator(limits=Limits(max_list_entries=3))
    run.feed(created() + completed(calls=list(calls)) + completed(calls=[{**each, "id": None} for each in calls]))
    assert 3 == len(calls_json(run))


def test_what_is_no_entry_counts_in_its_list() -> None:
    run = Accumulator(limits=Limits(max_list_entries=3))
    run.feed(OPENED)
    with pytest.raises(LimitError, match="max_list_entries"):
        run.feed(created("step_1", step_details={"tool_calls": [1, 2, {"type": "function"}, "x"]}))


def test_problems_past_their_limit_are_counted_and_raise_nothing() -> None:
    run = Accumulator(limits=Limits(max_problems=2))
    updates = run.feed(event("done", b"x") * 5)
    assert ["Problem"] * 5 == kinds(updates)
    assert (list(updates[:2]), 5) == (list(run.problems), run.problem_count)
    again = Accumulator.from_bytes(run.to_bytes())
    assert (run.problems, 5, run.limits) == (again.problems, again.problem_count, again.limits)
    again.feed(event("done", b"x"))
    assert (2, 6) == (len(again.problems), again.problem_count)


def test_a_problem_without_room_for_its_text_is_counted_and_raises_nothing() -> None:
    run = Accumulator(limits=Limits(max_total_size=5_000))
    run.feed(event("done", b"x" * 3_000) * 2 + event("done", b"x"))
    assert ([3_000, 1], 3) == ([len(problem.raw) for problem in run.problems], run.problem_count)
    assert "unknown" == ended(run)


def ended(run: Accumulator) -> str | None:
    run.feed(DONE)
    return run.outcome


def test_strict_raises_for_a_problem_that_is_not_kept() -> None:
    run = Accumulator(strict=True, limits=Limits(max_problems=1))
    for _ in range(3):
        with pytest.raises(MergeError, match="undecodable"):
            run.feed(event("done", b"x"))
    assert (1, 3) == (len(run.problems), run.problem_count)


def test_a_limit_in_the_last_block_raises_and_the_next_call_ends_the_body() -> None:
    run = Accumulator(limits=Limits(max_name_length=39))
    run.feed(b'event: %b\ndata: {"id":1}' % LONG.encode())
    with pytest.raises(LimitError, match="max_name_length"):
        run.end()
    assert [BodyEnded(1, "truncated", ())] == run.end()


def test_a_checkpoint_has_the_limits_and_counts_from_what_is_held() -> None:
    limits = Limits(max_total_size=60_000, max_open=3, max_id_length=None, max_event_size=9_000)
    run = Accumulator(limits=limits)
    run.feed(STREAM)
    again = Accumulator.from_bytes(run.to_bytes())
    assert limits == again.limits
    chunk = delta("step_1", {"index": 0, "function": {"name": "f", "arguments": "z" * 400}})
    first, second = refused(run, chunk), refused(again, chunk)
    assert (first[0], str(first[1])) == (second[0], str(second[1]))
    assert run.run_steps() == again.run_steps()


def test_the_error_of_a_limit_pickles_with_its_place() -> None:
    with pytest.raises(LimitError) as caught:
        Accumulator(limits=Limits(max_id_length=10)).feed(created(LONG))
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert {**vars(caught.value), "accumulator": None} == vars(copy)


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_each_limit_is_a_number_from_1_or_none(name: str) -> None:
    assert None is getattr(Limits(**{name: None}), name)
    assert 1 == getattr(Limits(**{name: 1}), name)
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0$"):
        Limits(**{name: 0})
    with pytest.raises(TypeError, match=f"^{name} must be an int or None, got bool$"):
        Limits(**{name: True})


def test_without_limits_there_are_none() -> None:
    run = Accumulator(limits=Limits(**dict.fromkeys(Limits.__struct_fields__)))
    ids = [created(f"{number:05000d}") for number in range(30)]
    run.feed(b"".join(ids) + delta("step_1", *[dict[str, object]()] * 60_000) + event("done", b"x") * 10_001)
    assert (31, 70_001) == (len(run.run_steps()), len(run.problems))


# Counting.

TEXTS = st.text(alphabet='"\\,[]{}:\ud800a', max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='"\\,[{', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def counted(value: object) -> int:
    if isinstance(value, dict):
        return 1 + (sum(map(counted, cast("dict[str, object]", value).values())) or 1)
    return 1 + (sum(map(counted, cast("list[object]", value))) or 1) if isinstance(value, list) else 1


def count_calls(monkeypatch: pytest.MonkeyPatch, *methods: tuple[type, str]) -> Counter[str]:
    """Count the calls of methods by name, from now on."""
    called: Counter[str] = Counter()
    for owner, name in methods:
        method = getattr(owner, name)

        def counted(*given: object, method: Callable[..., object] = method, name: str = name) -> object:
            called[name] += 1
            return method(*given)

        monkeypatch.setattr(owner, name, counted)
    return called


def test_many_small_objects_are_measured_seldom_and_fill_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    called = count_calls(monkeypatch, (Engine, "measure"), (Bounds, "check_lists"))
    run = Accumulator(limits=Limits(max_total_size=16_000_000, max_list_entries=5_000))
    for number in range(1_000):
        run.feed(created(f"step_{number}") + completed(f"step_{number}", [call(f"call_{number}", "f", "ab")]))
    assert called["measure"] == 0
    assert called["check_lists"] == 0
    many: dict[str, object] = {"index": 0, "x": [{"y": number} for number in range(5)]}
    for number in range(1_000):
        run.feed(created(f"open_{number}") + delta(f"open_{number}", many))
    assert called["measure"] <= 3


def test_a_small_limit_of_entries_measures_no_more_often_the_more_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    called, before = count_calls(monkeypatch, (Engine, "measure")), list[int]()
    for steps in (250, 1_000):
        before.append(called["measure"])
        run = Accumulator(limits=Limits(max_list_entries=16))
        for number in range(steps):
            name = f"step_{number}"
            run.feed(
                created(name) + delta(name, opening(0, "call_1", "f")) + completed(name, [call("call_1", "f", "")])
            )
    assert called["measure"] - before[1] <= before[1] + 4


@pytest.mark.parametrize("drain", [True, False])
def test_what_waits_in_several_streams_is_within_the_limit_too(drain: bool) -> None:  # noqa: FBT001 - a parameter
    run = Accumulator(limits=Limits(max_total_size=200_000))
    streams = [run._new_feed() for _ in range(8)]
    for number, stream in enumerate(streams):
        name = f"step_{number}"
        stream.build_updates = not drain
        stream.push(created(name) + delta(name, opening(0, "call_1", "f")))
        stream.push(b"".join(delta(name, function(0, arguments=words)) for words in "abc"))
        drained(stream)
    for number, stream in enumerate(streams):
        stream.push(delta(f"step_{number}", function(0, arguments="z" * 1_000)) * 90)
    assert sum(map(drained, streams)) > 0
    assert 150_000 < size_of_all(run) <= 200_000


def feed_each(run: Accumulator, events: Iterable[bytes]) -> None:
    for each in events:
        run.feed(each)


def drained(stream: Feed[Update]) -> int:
    """Apply all events that wait, and return how many were left out."""
    left_out = 0
    while True:
        try:
            if stream.step() is None:
                return left_out
        except LimitError:
            left_out += 1


@pytest.mark.parametrize("drain", [True, False])
def test_entries_count_for_all_that_is_in_them(drain: bool) -> None:  # noqa: FBT001 - a parameter
    fields = {f"{number:x}": 1 for number in range(100)}

    def output(index: int) -> bytes:
        logs = {"index": index, "type": "logs", "logs": "x", **fields}
        return delta("step_1", {"index": 0, "id": "call_1", "code_interpreter": {"outputs": [logs]}})

    run = Accumulator(limits=Limits(max_total_size=200_000))
    run._own.build_updates = not drain
    run.feed(created())
    with pytest.raises(LimitError, match="max_total_size"):
        feed_each(run, map(output, range(1_000)))
    assert 150_000 < size_of_all(run) < 220_000


def test_a_run_counts_the_status_that_it_gets() -> None:
    run = Accumulator(limits=Limits(max_total_size=20_000))
    with pytest.raises(LimitError, match="max_total_size"):
        run.feed(b"".join(event("thread.run.in_progress", {"id": f"{number}"}) for number in range(1_000)))
    assert 15_000 < size_of(list(run._engine.runs.values()), VALUE_SIZE)[0] <= 20_000


@given(JSON, st.booleans())
def test_values_are_counted_without_decoding(value: object, spaced: bool) -> None:  # noqa: FBT001 - drawn
    data = json.dumps(value, separators=None if spaced else (",", ":"))
    assert counted(value) == count_values(data) == count_values(data.encode())
    assert count_values(data) <= bound_values(data) == bound_values(data.encode())


@pytest.mark.parametrize("before", [2**16 - 2, 2**16 - 1, 2**16, 2**17])
def test_a_text_over_pieces_of_the_data_is_one_text(before: int) -> None:
    value = ["a" * before, ",", [",", "[" * 2**16]]
    assert 6 == count_values(text(value))


def test_the_size_is_that_of_texts_keys_and_values() -> None:
    grown = Text("abc")
    grown.append("d")
    assert (4 + 2 * VALUE_SIZE, 0) == size_of([grown], VALUE_SIZE)
    assert (2 + 1 + 4, 2) == size_of([{"ab": ["c", None]}], 1)
    assert (4, 0) == size_of([2**32], 0)
