"""Objects that are kept as sent, and parts that are opened without a plan: the result is that of the merge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given

from accumulator import Accumulator, Limits, RunStepUpdated, Update
from accumulator._assistants.protocol import MESSAGES, RUN_STEPS
from accumulator._engine import resource as resource_module
from accumulator._engine.resource import Resource
from accumulator._fold.nodes import Entry, Object
from accumulator._fold.opening import open_parts
from accumulator._fold.policy import Policy, Schema, check, fits_below
from tests.strategies import Tape, make_hostile_events, make_run, tapes
from tests.wire import call, completed, created, delta, details_delta, event, function, in_progress, opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._fold.changes import Changes
    from accumulator._json import Json, Path
    from tests.strategies import Event


def plain(update: Update) -> list[object]:
    """Return an update as values that compare whatever the order of keys."""
    values = [getattr(update, name) for name in update.__struct_fields__]
    return [
        type(update).__name__,
        *(canonical(each.to_dict() if hasattr(each, "to_dict") else each) for each in values),
    ]


def canonical(value: object) -> str:
    """Return JSON text that does not depend on the order of keys, nor on that in a text which is JSON itself."""
    return json.dumps(_sorted(value), sort_keys=True)


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in cast("dict[str, object]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_sorted(each) for each in cast("Sequence[object]", value)]
    if isinstance(value, str) and value[:1] in {"{", "["}:
        with suppress(ValueError, RecursionError):
            return json.dumps(json.loads(value), sort_keys=True)
    return value


def state(run: Accumulator) -> str:
    """Return the whole state, whatever the order of keys."""
    return canonical(json.loads(run.to_bytes()))


def merged(resource: object, *_: object) -> None:
    """Keep nothing, or open nothing without a plan."""


def events_of_a_run(tape: Tape) -> list[Event]:
    return make_run(tape).events


class Pair:
    """An accumulator beside one that merges each whole object and plans each delta, fed alike, held to be the same."""

    def __init__(self) -> None:
        limits = Limits(max_event_values=None)
        self.run, self.general = Accumulator(limits=limits), Accumulator(limits=limits)

    def apply(self, name: str, data: str) -> list[Update]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Resource, "_keep", merged)
            patch.setattr("accumulator._fold.delta.open_parts", merged)
            told = self.general.apply(name, data)
        updates = self.run.apply(name, data)
        assert list(map(plain, told)) == list(map(plain, updates))
        assert list(map(canonical, self.problems(self.general))) == list(map(canonical, self.problems(self.run)))
        return updates

    @staticmethod
    def problems(run: Accumulator) -> list[object]:
        return [plain(problem) for problem in run.problems]

    def check(self) -> None:
        """Compare what is read, and then the state, for which the builders of all objects are made."""
        for read in (Accumulator.run_steps, Accumulator.messages):
            assert [canonical(each.to_dict()) for each in read(self.general)] == [
                canonical(each.to_dict()) for each in read(self.run)
            ]
        assert state(self.general) == state(self.run)


@pytest.mark.parametrize("make_events", [events_of_a_run, make_hostile_events])
@given(tapes)
def test_what_is_kept_is_what_the_merge_gives(make_events: Callable[[Tape], list[Event]], tape: Tape) -> None:
    pair = Pair()
    for each in make_events(tape):
        for _ in range(tape.pick([1, 1, 1, 2])):
            pair.apply(*each)
        if tape.chance(3):
            pair.check()
    pair.check()


def kept(run: Accumulator, step_id: str = "step_1") -> bool:
    """Tell whether a step is kept as it was sent."""
    return run._engine.resources["steps"][step_id]._whole is not None


def feed(*events: bytes) -> Pair:
    pair = Pair()
    for each in events:
        name, _, data = each.decode().strip().removeprefix("event: ").partition("\ndata: ")
        pair.apply(name, data)
    return pair


CALL = call("call_1", "f", "ab")
OTHER = call("call_2", "f", "")
BEGUN = (created(), in_progress())
STREAMED = (
    *BEGUN,
    delta("step_1", opening(0, "call_1", "f")),
    *(delta("step_1", function(0, arguments=words)) for words in "ab"),
)
OUTPUT = {"type": "logs", "logs": "l"}


def code(*outputs: object) -> dict[str, object]:
    return {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "x", "outputs": list(outputs)}}


KEPT: dict[str, tuple[bytes, ...]] = {
    "a step that begins": (created(),),
    "the same twice": BEGUN,
    "an ending alone": (completed("step_1", [CALL]),),
    "an ending of what began": (*BEGUN, completed("step_1", [CALL, OTHER])),
    "an ending of what was streamed": (*STREAMED, completed("step_1", [CALL])),
    "more fields in the ending": (*STREAMED, completed("step_1", [{**CALL, "x": {"y": [1]}}], x={"index": 1})),
    "outputs of the ending alone": (*BEGUN, completed("step_1", [code(OUTPUT)])),
    "outputs that were streamed": (
        *BEGUN,
        delta("step_1", {"index": 0, **code({"index": 0, **OUTPUT})}),
        completed("step_1", [code(OUTPUT)]),
    ),
    "a text that was empty": (*BEGUN, delta("step_1", opening(0, "call_1", "f")), completed("step_1", [CALL])),
}

MERGED: dict[str, tuple[bytes, ...]] = {
    "a call in the beginning": (created(step_details={"type": "tool_calls", "tool_calls": [CALL]}),),
    "an object in the place of the calls": (created(step_details={"type": "tool_calls", "tool_calls": {}}),),
    "a list in the place of the details": (created(step_details=[]),),
    "an index in the ending": (*BEGUN, completed("step_1", [{**CALL, "index": 0}])),
    "an index elsewhere": (created(x=[{"index": 0}]),),
    "an index that is spelled otherwise": (created().replace(b'"usage"', b'"x":[{"\\u0069ndex":1}],"usage"'),),
    "a wrong shape": (completed("step_1", ["x"]),),
    "another repeat": (created(), in_progress(x=1)),
    "another text": (*STREAMED, completed("step_1", [call("call_1", "f", "x")])),
    "another id": (*STREAMED, completed("step_1", [call("call_2", "f", "ab")])),
    "another type": (*STREAMED, completed("step_1", [{**CALL, "type": "other"}])),
    "a boolean that was a number": (
        *BEGUN,
        delta("step_1", {"index": 0, **CALL, "x": 1}),
        completed("step_1", [{**CALL, "x": True}]),
    ),
    "an empty text": (*STREAMED, completed("step_1", [call("call_1", "f", "")])),
    "no call": (*STREAMED, completed("step_1", [])),
    "one call more": (*STREAMED, completed("step_1", [CALL, OTHER])),
    "a call without its function": (*STREAMED, completed("step_1", [{"id": "call_1", "type": "function"}])),
    "no details": (*STREAMED, completed("step_1", step_details=None)),
    "a field less": (created(x=1), completed("step_1", [])),
    "another index": (created(), delta("step_1", opening(1, "call_1", "f")), completed("step_1", [CALL])),
    "no index": (created(), delta("step_1", opening(None, "call_1", "f")), completed("step_1", [CALL])),
    "another order": (
        created(),
        delta("step_1", opening(1, "call_2", "f")),
        delta("step_1", opening(0, "call_1", "f")),
        completed("step_1", [call("call_1", "f", ""), OTHER]),
    ),
    "one id twice": (
        created(),
        delta("step_1", opening(0, "call_1", "f"), opening(1, "call_1", "f")),
        completed("step_1", [call("call_1", "f", ""), call("call_1", "f", "")]),
    ),
    "a conflict": (*STREAMED, delta("step_1", {"index": 0, "id": "call_9"}), completed("step_1", [CALL])),
    "a conflict of the step": (created(), in_progress(type="x"), completed("step_1", [])),
    "outputs that only the ending has": (
        *BEGUN,
        delta("step_1", {"index": 0, **code()}),
        completed("step_1", [code(OUTPUT)]),
    ),
    "outputs that no delta named": (
        *BEGUN,
        delta("step_1", {"index": 0, **code(), "code_interpreter": {"input": "x"}}),
        completed("step_1", [code(OUTPUT)]),
    ),
    "outputs that were null": (
        *BEGUN,
        delta("step_1", {"index": 0, **code(), "code_interpreter": {"input": "x", "outputs": None}}),
        completed("step_1", [code(OUTPUT)]),
    ),
    "a list that the schema does not name": (
        *BEGUN,
        delta("step_1", {"index": 0, **CALL, "pages": [{"index": 0, "x": 1}]}),
        completed("step_1", [{**CALL, "pages": [{"x": 1}]}]),
    ),
    "a second ending": (completed("step_1", [CALL]), completed("step_1", [OTHER])),
    "a late delta": (completed("step_1", [CALL]), delta("step_1", opening(4, "call_9", "g"))),
}


@pytest.mark.parametrize("events", KEPT.values(), ids=KEPT)
def test_what_says_nothing_else_is_kept(events: tuple[bytes, ...]) -> None:
    pair = feed(*events)
    assert kept(pair.run)
    pair.check()


@pytest.mark.parametrize("events", MERGED.values(), ids=MERGED)
def test_what_says_anything_else_is_merged(events: tuple[bytes, ...]) -> None:
    pair = feed(*events)
    assert not kept(pair.run)
    pair.check()


@pytest.mark.parametrize("events", [*KEPT.values(), *MERGED.values()], ids=[*KEPT, *MERGED])
@pytest.mark.parametrize(
    "later",
    [
        completed("step_1", [CALL]),
        completed("step_1", [OTHER], x=1),
        in_progress(status="x"),
        delta("step_1", opening(0, "call_1", "f"), opening(1, "call_7", "f")),
        delta(
            "step_1", {"index": 3, "id": "call_1"}, {"index": 0, **code({"index": 0, **OUTPUT}, {"index": 4, **OUTPUT})}
        ),
        delta("step_1", function(0, output="o"), function(None, name="g")),
    ],
)
def test_what_comes_later_finds_the_state_of_the_merge(events: tuple[bytes, ...], later: bytes) -> None:
    pair = feed(*events, later, later)
    pair.check()


def test_nothing_is_built_for_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Entry] = []

    def entry(index: int) -> Entry:
        built.append(Entry(index))
        return built[-1]

    monkeypatch.setattr(resource_module, "Entry", entry)
    run = Accumulator()
    run.feed(created() + in_progress() + completed("step_1"))
    assert [] == built
    run.feed(completed("step_2", [CALL, OTHER]))
    assert 2 == len(built)  # the entries that the updates name
    assert [None, None] == [step._root for step in run._engine.resources["steps"].values()]


def opened(*items: dict[str, object], **beside: object) -> bytes:
    """Return a delta of calls, and what it says beside them in the details."""
    details = {"type": "tool_calls", **beside, "tool_calls": list(items)}
    return details_delta("step_1", details)


TWO = (opening(0, "call_1", "f"), opening(1, "call_2", "f"))

OPENED: dict[str, tuple[bytes, ...]] = {
    "a call": (*BEGUN, opened(TWO[0])),
    "two calls": (*BEGUN, opened(*TWO)),
    "another call": (*STREAMED, opened(TWO[1])),
    "a call before the others": (created(), opened(TWO[1]), opened(TWO[0])),
    "calls without an id": (*BEGUN, opened({"index": 0, "type": "function"}, {"index": 3, "type": "x"})),
    "one id twice in a delta": (*BEGUN, opened(TWO[0], {**TWO[1], "id": "call_1"})),
    "a call with outputs": (*BEGUN, opened({"index": 0, **code({"index": 1, **OUTPUT}, {"index": 0, **OUTPUT})})),
    "a call with other lists": (*BEGUN, opened({**TWO[0], "x": [1], "y": [{"index": 2, "z": "a"}]})),
    "a list that is null": (created(step_details={"type": "tool_calls", "tool_calls": None}), opened(TWO[0])),
    "details without a list": (created(step_details={"type": "tool_calls"}), opened(TWO[0])),
}

PLANNED: dict[str, tuple[bytes, ...]] = {
    "a known index": (*STREAMED, opened(TWO[0])),
    "a known id": (*STREAMED, opened({**TWO[1], "id": "call_1"})),
    "an id of a call that no delta named": (
        created(step_details={"type": "tool_calls", "tool_calls": [CALL]}),
        opened({**TWO[1], "id": "call_1"}),
    ),
    "no index": (*BEGUN, opened(opening(None, "call_1", "f"))),
    "one index twice": (*BEGUN, opened(TWO[0], {**TWO[1], "index": 0})),
    "one index twice in a call": (*BEGUN, opened({"index": 0, **code({"index": 0, **OUTPUT}, {"index": 0, **OUTPUT})})),
    "an output without an index": (*BEGUN, opened({"index": 0, **code(OUTPUT)})),
    "another type of the details": (*BEGUN, opened(TWO[0], type="x")),
    "something new in the details": (*BEGUN, opened(TWO[0], x="y")),
    "something else in the details": (*BEGUN, opened(TWO[0], x=["y"])),
    "null in the details": (*BEGUN, opened(TWO[0], x=None)),
    "a text in the details that grows": (
        created(step_details={"type": "tool_calls", "value": "a"}),
        opened(TWO[0], value="a"),
    ),
    "something beside the details": (
        *BEGUN,
        event(
            "thread.run.step.delta",
            {"id": "step_1", "delta": {"x": {}, "step_details": {"type": "tool_calls", "tool_calls": [TWO[0]]}}},
        ),
    ),
    "no delta": (*BEGUN, event("thread.run.step.delta", {"id": "step_1", "delta": {}})),
    "details that are a list": (*BEGUN, details_delta("step_1", [{"index": 0}])),
    "details that are a text": (*BEGUN, details_delta("step_1", "x")),
    "calls that are an object": (*BEGUN, details_delta("step_1", {"tool_calls": {"index": 0}})),
    "calls that are texts": (*BEGUN, details_delta("step_1", {"tool_calls": ["x"]})),
    "no details so far": (created(step_details=None), opened(TWO[0])),
    "details that are empty": (created(step_details={}), opened(TWO[0])),
    "a list that is a text": (created(step_details={"type": "tool_calls", "tool_calls": ""}), opened(TWO[0])),
    "after the ending": (completed("step_1", [CALL]), opened(TWO[1])),
    "after the ending of nothing": (completed("step_1", []), opened(TWO[0])),
}


@pytest.mark.parametrize("name", [*OPENED, *PLANNED])
def test_parts_that_are_opened_are_those_of_the_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    last: list[bool] = []

    def look(*args: object) -> Changes | None:
        changes = open_parts(*args)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        last[:] = [changes is not None]
        return changes

    monkeypatch.setattr("accumulator._fold.delta.open_parts", look)
    events = OPENED.get(name) or PLANNED[name]
    feed(*events).check()
    assert [name in OPENED] == last
    for later in (delta("step_1", function(0, arguments="x"), function(1, arguments="y")), completed("step_1", [CALL])):
        feed(*events, later, later).check()


def test_a_delta_that_leads_elsewhere_too_is_planned() -> None:
    policy = Policy(append=frozenset(), keep_first=frozenset())
    parts = Schema(policy, key="index")
    schema = Schema(policy, {"x": Schema(policy, {"y": Schema(policy)}), "parts": parts})
    root = Object()
    root.fields["x"] = Object()
    assert open_parts(root, {"x": {"y": {}}, "parts": [{"index": 0}]}, schema, None, parts) is None
    assert ["x"] == list(root.fields)
    assert open_parts(root, {"parts": [{"index": 0}]}, schema, None, parts) is not None


def test_a_delta_that_somebody_may_look_back_to_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Accumulator()
    [_, updated] = run.feed(created() + in_progress(x=1))
    monkeypatch.setattr("accumulator._fold.delta.open_parts", None)
    run.feed(opened(TWO[0]))
    assert isinstance(updated, RunStepUpdated)
    assert () == updated.run_step.tool_calls


def never(_value: object, _schema: object, **_: object) -> bool:
    return False


def faults_of(payload: Json, schema: Schema) -> list[Path]:
    """Return the places that the check reports, all of which it looks at."""
    found: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accumulator._fold.policy.fits_below", never)
        check(payload, schema, None, lambda path, _message, _value: found.append(path))
    return found


@given(tapes)
def test_what_fits_is_what_the_check_reports_nothing_of(tape: Tape) -> None:
    for each in make_hostile_events(tape):
        try:
            payload = json.loads(each.data)
        except (ValueError, RecursionError):
            continue
        for kind in (RUN_STEPS, MESSAGES):
            assert fits_below(payload, kind.schema) == (not faults_of(payload, kind.schema))


def test_a_repeat_is_known_by_its_bytes_only_while_nothing_grew() -> None:
    pair = feed(*BEGUN, delta("step_1", opening(0, "call_1", "f")), in_progress())
    assert not kept(pair.run)
    pair.check()


def test_an_ending_that_is_kept_leaves_the_moments_of_updates_before_it() -> None:
    run = Accumulator()
    run.feed(delta("step_1", {"index": 0, "type": "function"}))
    run.feed(delta("step_1", {"index": 0, "id": "call_1", "function": {"name": "f"}}))
    [updated] = run.feed(in_progress())
    run.feed(completed("step_1", [CALL]))
    assert kept(run)
    assert isinstance(updated, RunStepUpdated)
    assert [{"id": "call_1", "type": "function", "function": {"name": "f"}}] == [
        each.to_dict() for each in updated.run_step.tool_calls
    ]
