"""The laws of the fold, as properties of generated runs (see `strategies`)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from hypothesis import event, given, note
from hypothesis import strategies as st

from accumulator import (
    Accumulator,
    AccumulatorError,
    BodyEnded,
    FunctionToolCallDelta,
    Model,
    Problem,
    RunStepCreated,
    RunStepDone,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    aaccumulate,
    accumulate,
)
from accumulator._builders import Keyed, Object, Text, snapshot_object
from accumulator._merge import STEP, fold_delta
from tests.strategies import (
    TAPE_LENGTH,
    Event,
    Indexed,
    Tape,
    cut_bytes,
    cut_text,
    delta_event,
    dump,
    entries_of,
    hostile_streams,
    interleave,
    joined,
    make_call,
    make_details,
    make_fragment_run,
    make_indexes,
    make_json,
    make_run,
    runs,
    split,
    spoil_slot,
    step_event,
    tapes,
    vary,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence

    from accumulator import AsyncRunStream, RunStream, Update
    from accumulator._builders import Json, Node
    from tests.strategies import JsonObject, Run

_T = TypeVar("_T")
DETAILS = STEP.fields["step_details"]
positions = st.integers(0, 999_999)


def text_of(update: Update) -> str:
    """Write an update down to its last value, more strictly than it compares."""
    values = [
        canonical(value.to_dict()) if isinstance(value, Model) else repr(value)
        for value in msgspec.structs.astuple(update)
    ]
    return f"{type(update).__name__}({', '.join(values)})"


def texts_of(updates: Iterable[Update]) -> list[str]:
    return [text_of(update) for update in updates]


def canonical(value: object) -> str:
    """Write JSON so that equal texts mean equal values; half a surrogate pair is not equal to half of a whole one."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def state_of(run: Accumulator) -> list[str]:
    """Write down all that can be read from an accumulator."""
    steps = [canonical(step.to_dict()) for step in run.run_steps()]
    return [*steps, *texts_of(run.problems), repr((run.outcome, run.error, run.required_action))]


def fed(chunks: Iterable[bytes], run: Accumulator | None = None) -> tuple[list[Update], Accumulator]:
    """Feed chunks and end the body."""
    run = Accumulator() if run is None else run
    updates = [update for chunk in chunks for update in run.feed(chunk)]
    return updates + run.end(), run


def applied(events: Iterable[Event], run: Accumulator | None = None) -> tuple[list[list[Update]], Accumulator]:
    """Apply events one by one; the end of the body is not told."""
    run = Accumulator() if run is None else run
    return [run.apply(*each) for each in events], run


def same(expected: Sequence[Update], actual: Sequence[Update]) -> None:
    assert texts_of(expected) == texts_of(actual)
    assert list(expected) == list(actual)


# ---- 1. Any cut of the bytes gives the same updates.


@given(runs)
def test_any_cut_of_the_bytes_gives_the_same_updates(made: Run) -> None:
    whole, whole_run = fed([made.data])
    cut, cut_run = fed(made.chunks)
    same(whole, cut)
    assert state_of(whole_run) == state_of(cut_run)


# ---- 2. Sync equals async.


class DroppedError(Exception):
    """What a broken source raises."""


def source(chunks: Sequence[bytes], *, drops: bool) -> Iterator[bytes]:
    yield from chunks
    if drops:
        raise DroppedError


async def async_source(chunks: Sequence[bytes], *, drops: bool) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if drops:
        raise DroppedError


def outcome_of(error: AccumulatorError) -> tuple[object, ...]:
    return type(error), str(error), list(error.updates), repr(error.__cause__)


def read_all(stream: RunStream) -> list[object]:
    """Read a stream to its end, going on after each error."""
    log: list[object] = []
    while True:
        try:
            log.append(next(stream))
        except StopIteration:
            return log
        except AccumulatorError as error:
            log.append(outcome_of(error))


async def aread_all(stream: AsyncRunStream) -> list[object]:
    log: list[object] = []
    while True:
        try:
            log.append(await anext(stream))
        except StopAsyncIteration:
            return log
        except AccumulatorError as error:
            log.append(outcome_of(error))


def driven(coroutine: Coroutine[object, None, _T]) -> _T:
    """Run a coroutine that never really waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    coroutine.close()
    raise AssertionError("expected a coroutine that never waits")


@given(runs, st.booleans(), st.booleans())
def test_sync_equals_async(made: Run, strict: bool, drops: bool) -> None:  # noqa: FBT001 - drawn
    plain, twin = Accumulator(strict=strict), Accumulator(strict=strict)
    log = read_all(accumulate(source(made.chunks, drops=drops), into=plain))
    assert log == driven(aread_all(aaccumulate(async_source(made.chunks, drops=drops), into=twin)))
    assert state_of(plain) == state_of(twin)
    if not strict and not drops:
        assert log == fed([made.data])[0]


# ---- 3. Fold inverts split.


@given(tapes)
def test_fold_inverts_split(tape: Tape) -> None:
    details = make_details(tape)
    updates, run = applied(delta_event(tape, "s", delta) for delta in split(tape, details))
    step = run.run_step("s")
    assert canonical(details) == canonical(None if step is None else step.to_dict()["step_details"])
    assert [] == list(run.problems)
    if isinstance(calls := details.get("tool_calls"), Indexed):
        created = [update.index for each in updates for update in each if isinstance(update, ToolCallCreated)]
        assert calls.indexes == sorted(index for index in created if index is not None)


@given(tapes)
def test_a_text_reads_as_its_fragments_however_many_and_whenever_it_is_read(tape: Tape) -> None:
    text, whole = Text(), ""
    for _ in range(tape.below(4)):
        piece = tape.pick(["😀", "a", "\ud83d\ude00\ud83d"]) * tape.pick([1, 2, 127, 128, 129, 256, 300])
        for fragment in cut_text(tape, piece):
            if isinstance(fragment, str) and fragment:
                text.append(fragment)
                whole += fragment
        if tape.chance(2):
            assert joined(whole) == text.read()
    assert joined(whole) == text.read()


# ---- 4. Deltas of different indexes commute.


def slot_events(tape: Tape, step_id: str) -> list[list[Event]]:
    """Make for each of some calls its deltas, some of them wrong, none of them about another call."""
    made: list[list[Event]] = []
    for index in make_indexes(tape, 1 + tape.below(5)):
        deltas = split(tape, {"type": "tool_calls", "tool_calls": Indexed([make_call(tape, len(made))], [index])})
        for _ in range(tape.pick([0, 0, 1, 2])):
            spoil_slot(tape, tape.pick(deltas))
        made.append([delta_event(tape, step_id, delta) for delta in deltas])
    return made


def problems_of(run: Accumulator) -> list[str]:
    return sorted(text_of(msgspec.structs.replace(problem, event_number=0)) for problem in run.problems)


@given(tapes)
def test_deltas_of_different_indexes_commute(tape: Tape) -> None:
    slots = slot_events(tape, "s") + (slot_events(tape, "t") if tape.chance(2) else [])
    ending = vary(tape, make_details(tape)) if tape.chance(3) else None
    before = [] if ending is None else [step_event(tape, "completed", "s", ending)]
    one, other = (applied(before + interleave(tape, slots))[1] for _ in range(2))
    for step_id in ("s", "t"):
        steps = [run.run_step(step_id) for run in (one, other)]
        left, right = [canonical(None if step is None else step.to_dict()) for step in steps]
        assert left == right
    assert problems_of(one) == problems_of(other)
    event(f"problems: {bool(one.problems)}")


def together(tape: Tape, deltas: Iterable[JsonObject]) -> list[JsonObject]:
    """Put deltas that follow each other into one where that says the same."""
    made: list[JsonObject] = []
    for delta in deltas:
        last = made[-1] if made and tape.chance(2) else {}
        both, kind = {**last, **delta}, last.get("type", delta.get("type"))
        if entries_of(last) and entries_of(delta) and both.keys() == {"type", "tool_calls"} and both["type"] == kind:
            made[-1] = {**both, "tool_calls": [*entries_of(last), *entries_of(delta)]}
        else:
            made.append(delta)
    return made


@given(tapes)
def test_several_entries_in_one_delta_are_several_deltas(tape: Tape) -> None:
    deltas = split(tape, make_details(tape))
    joint = together(tape, deltas)
    event(f"fewer: {len(joint) < len(deltas)}")
    one, other = (applied(delta_event(tape, "s", delta) for delta in each)[1] for each in (deltas, joint))
    assert state_of(one) == state_of(other)


# ---- 5. Merging is associative.


def as_delta(node: Node) -> Json:
    """Write a folded node as the delta that gives it: its snapshot, with the indexes of its lists put back."""
    if isinstance(node, Text):
        return node.read()
    if isinstance(node, Object):
        return {key: as_delta(value) for key, value in node.fields.items()}
    if isinstance(node, Keyed):
        entries: list[Json] = []
        for entry in node.ordered():
            fields = as_delta(entry)
            assert isinstance(fields, dict)
            entries.append({"index": entry.index, **fields})
        return entries
    return node


def folded(deltas: Iterable[JsonObject]) -> Object:
    root = Object()
    for delta in deltas:
        assert [] == fold_delta(root, delta, DETAILS, None).faults
    return root


@given(tapes)
def test_merging_is_associative(tape: Tape) -> None:
    details = make_details(tape)
    deltas = split(tape, details) + split(tape, details)
    start, end = sorted(tape.below(len(deltas) + 1) for _ in range(2))
    end = end if tape.chance(2) else min(start + 2, len(deltas))
    merged = as_delta(folded(deltas[start:end]))
    assert isinstance(merged, dict)
    note(f"merged: {merged}")
    one = folded(deltas)
    other = folded([*deltas[:start], merged, *deltas[end:]])
    assert canonical(snapshot_object(one)) == canonical(snapshot_object(other))


# ---- 6. Totality.


def survived(chunks: Iterable[bytes], run: Accumulator) -> list[str]:
    """Feed anything, going on after each error, and use every reader."""
    log: list[str] = []
    owners: list[Accumulator | None] = []
    for call in (*((run.feed, chunk) for chunk in chunks), None):
        rest: bytes | None = b"" if call is None else call[1]
        while rest is not None:
            try:
                log += texts_of(run.feed(rest) if call is not None else run.end())
                rest = None
            except AccumulatorError as error:
                owners.append(error.accumulator)
                log += texts_of(error.updates)
                rest = b""
    assert [run] * len(owners) == owners
    for step in run.run_steps():
        assert step == type(step).from_dict(step.to_dict())
        step.to_json().encode()
        assert repr(step).startswith("RunStep(")
        assert run.run_step(step.id) == step or not isinstance(step.id, str)
        tuple(call.to_json().encode() for call in step.tool_calls if isinstance(call, Model))
    return log


@given(hostile_streams, tapes)
def test_any_bytes_give_updates_or_an_error_of_the_library(made: Run, tape: Tape) -> None:
    chunks = cut_bytes(tape, made.data)
    tolerant, strict = Accumulator(), Accumulator(strict=True)
    log = survived(chunks, tolerant)
    strict_log = survived(chunks, strict)
    assert log == strict_log
    assert state_of(tolerant) == state_of(strict)
    saved = tolerant.to_bytes()
    assert saved == Accumulator.from_bytes(saved).to_bytes()


# ---- 7. Isolation and atomicity.


def spoil_json(value: Json) -> None:
    """Change a JSON value everywhere."""
    if isinstance(value, dict):
        for item in value.values():
            spoil_json(item)
        value.clear()
        value["spoiled"] = True
    elif isinstance(value, list):
        for item in value:
            spoil_json(item)
        value.append("spoiled")


@given(runs)
def test_what_was_handed_out_never_changes(made: Run) -> None:
    run = Accumulator()
    handed: list[tuple[Update, str]] = []
    shown: list[tuple[Model, str]] = []
    for each in made.events:
        updates = run.apply(*each)
        handed += [(update, text_of(update)) for update in updates]
        for step_id in {update.step_id for update in updates if isinstance(update, (ToolCallDelta, RunStepDone))}:
            if (step := run.run_step(step_id)) is not None:
                shown.append((step, step.to_json()))
                spoil_json(cast("Json", step.to_dict()))
                spoil_json(cast("Json", step.extra))
    handed += [(update, text_of(update)) for update in run.end()]
    assert [text for _, text in handed] == [text_of(update) for update, _ in handed]
    assert [text for _, text in shown] == [model.to_json() for model, _ in shown]
    again, untouched = applied(made.events)
    assert [text for _, text in handed] == texts_of([update for each in again for update in each] + untouched.end())


def break_event(tape: Tape, events: Sequence[Event]) -> Event:
    """Make an event that mostly cannot be applied, out of one that can."""
    name, data = tape.pick(events)
    if tape.chance(3):
        good: JsonObject = {"index": tape.pick([0, 1, 7, 1000]), "id": "new", "output": "o", "x": [{"index": 0}]}
        bad: list[Json] = [5, {"index": 0, "type": 5}, {"index": 1, "code_interpreter": 7}]
        return delta_event(tape, "step_0", {"tool_calls": [good, {**good, "index": 2, "type": "t"}, tape.pick(bad)]})
    if tape.chance(4):
        return Event(name, tape.pick([data[:-1], data + "]", data.replace(":", ":NaN,", 1), "[1]", "5", '{"id":5}']))
    try:
        payload: Json = json.loads(data)
    except ValueError:
        payload = {"id": 5}
    node = payload
    for _ in range(tape.below(8)):
        inner = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
        deeper = [item for item in inner if isinstance(item, (dict, list)) and item]
        node = tape.pick(deeper) if deeper else node
    if isinstance(node, dict) and node:
        node[tape.pick(list(node))] = make_json(tape, 2)
    elif isinstance(node, list):
        node.append(make_json(tape, 1))
    return Event(name, dump(tape, payload))


def renumbered(updates: Iterable[Update], after: int) -> list[str]:
    """Write updates as they were without the event of number `after` + 1."""
    return texts_of(
        msgspec.structs.replace(update, event_number=update.event_number - (update.event_number > after))
        for update in updates
    )


@given(runs, tapes, positions)
def test_an_event_that_cannot_be_applied_changes_nothing(made: Run, tape: Tape, position: int) -> None:
    run = Accumulator()
    updates, plain = applied(made.events)
    places = [
        at for at in range(len(updates) + 1) if not at or not any(isinstance(u, BodyEnded) for u in updates[at - 1])
    ]
    at = places[position % len(places)]
    before, _ = applied(made.events[:at], run)
    steps = [step.to_json() for step in run.run_steps()]
    broken = break_event(tape, made.events)
    note(f"at {at}: {broken}")
    problems = run.apply(*broken)
    if [u.kind for u in problems if isinstance(u, Problem)] not in (["shape"], ["undecodable"]) or len(problems) > 1:
        event("the event could be applied")
        return
    event("the event could not be applied")
    assert steps == [step.to_json() for step in run.run_steps()]
    after, _ = applied(made.events[at:], run)
    expected = texts_of([update for each in updates for update in each] + plain.end())
    assert expected == renumbered([u for each in before + after for u in each] + run.end(), at)
    assert [step.to_json() for step in plain.run_steps()] == [step.to_json() for step in run.run_steps()]


@given(runs, positions)
def test_a_checkpoint_changes_nothing_that_follows(made: Run, position: int) -> None:
    at = position % (len(made.data) + 1)
    run = Accumulator()
    run.feed(made.data[:at])
    restored = Accumulator.from_bytes(run.to_bytes())
    assert state_of(run) == state_of(restored)
    same(*(fed([made.data[at:]], each)[0] for each in (run, restored)))
    assert state_of(run) == state_of(restored)
    assert run.to_bytes() == restored.to_bytes()


@given(runs, positions)
def test_a_checkpoint_at_an_event_changes_nothing_that_follows(made: Run, position: int) -> None:
    at = position % (len(made.events) + 1)
    _, run = applied(made.events[:at])
    restored = Accumulator.from_bytes(run.to_bytes())
    assert run.to_bytes() == restored.to_bytes()
    for each in made.events[at:]:
        same(run.apply(*each), restored.apply(*each))
    assert state_of(run) == state_of(restored)


# ---- The lane agrees with the general way.


def without_lanes() -> Accumulator:
    run = Accumulator()
    run._dispatcher.use_lanes = False
    return run


@given(tapes.map(make_fragment_run) | runs)
def test_the_lane_agrees_with_the_general_way(made: Run) -> None:
    with_lanes, general = Accumulator(), without_lanes()
    for each in made.events:
        same(general.apply(*each), with_lanes.apply(*each))
    assert state_of(general) == state_of(with_lanes)
    assert general.to_bytes() == with_lanes.to_bytes()
    event(f"lanes: {sum(map(len, with_lanes._dispatcher._lanes.values()))}")


# ---- Exactly once.


def keys_of(updates: Iterable[Update], kind: type[ToolCallCreated | ToolCallDone]) -> list[tuple[str, int | None]]:
    return [(update.step_id, update.index) for update in updates if isinstance(update, kind)]


@given(runs)
def test_created_and_done_come_once(made: Run) -> None:
    updates, _ = fed([made.data])
    for kind in (RunStepCreated, RunStepDone):
        assert max(Counter(update.step_id for update in updates if isinstance(update, kind)).values(), default=1) == 1
    created, done = keys_of(updates, ToolCallCreated), keys_of(updates, ToolCallDone)
    known = [key for key in created if key[1] is not None]
    assert sorted(set(known)) == sorted(known)
    assert [] == list((Counter(done) - Counter(created)).elements())
    for number, update in enumerate(updates):
        if isinstance(update, BodyEnded):
            assert still_open(updates[:number]) == list(update.open)


def still_open(updates: Sequence[Update]) -> list[str]:
    """Tell from updates alone which steps are open: no ending came for them, or for one of their calls."""
    undone = Counter(key for key, _ in keys_of(updates, ToolCallCreated))
    undone.subtract(key for key, _ in keys_of(updates, ToolCallDone))
    ended = {update.step_id for update in updates if isinstance(update, RunStepDone)}
    seen = [update.step_id for update in updates if isinstance(update, RunStepCreated)]
    return [step_id for step_id in seen if step_id not in ended or undone[step_id]]


@given(tapes)
def test_every_fragment_is_handed_out_once_and_each_call_is_done_when_its_ending_comes(tape: Tape) -> None:
    details = make_details(tape)
    deltas = split(tape, details)
    events = [delta_event(tape, "s", delta) for delta in deltas]
    updates = [update for each in applied([*events, step_event(tape, "failed", "s", details)])[0] for update in each]
    sent = [entry for delta in deltas for entry in entries_of(delta)]
    assert canonical(sent) == canonical([u.delta.to_dict() for u in updates if isinstance(u, ToolCallDelta)])
    assert Counter(keys_of(updates, ToolCallCreated)) == Counter(keys_of(updates, ToolCallDone))
    grown: dict[int | None, str] = {}
    for update in updates:
        if isinstance(update, ToolCallDelta) and isinstance(update.delta, FunctionToolCallDelta):
            function = update.delta.function
            grown[update.index] = grown.get(update.index, "") + ((function and function.arguments) or "")
    calls = details.get("tool_calls")
    for index, call in zip(calls.indexes, entries_of(details), strict=True) if isinstance(calls, Indexed) else ():
        if isinstance(whole := call.get("function"), dict) and index in grown and call["type"] == "function":
            assert joined(grown[index]) == whole["arguments"]


# ---- The generated runs hold what the laws are about.


def features(made: Run) -> Iterator[str]:
    """Name what is in a run."""
    updates, run = fed([made.data])
    yield from {f"problem {problem.kind}" for problem in run.problems}
    yield from {type(update).__name__ for update in updates}
    yield f"outcome {run.outcome}"
    deltas = [update for update in updates if isinstance(update, ToolCallDelta)]
    places = [(update.step_id, update.index) for update in deltas]
    changes = sum(a != b for a, b in pairwise(places))
    if changes > len(set(places)):
        yield "interleaved calls"
    if len({index for _, index in places}) > 8:
        yield "many calls"
    indexes = [update.index for update in updates if isinstance(update, ToolCallCreated) and update.index is not None]
    if 4294967294 in indexes:
        yield "a huge index"
    if indexes != sorted(indexes):
        yield "unordered indexes"
    ended = [update.event_number for update in updates if isinstance(update, RunStepDone)]
    if any(update.event_number > min(ended, default=len(updates)) for update in deltas):
        yield "deltas after an ending"
    if sum(isinstance(update, BodyEnded) for update in updates) > 1:
        yield "bodies"
    yield from shapes(made)
    stepwise = Accumulator()
    if any(bool(stepwise.apply(*each)) and bool(stepwise._dispatcher._lanes) for each in made.events):
        yield "lanes"


def shapes(made: Run) -> Iterator[str]:
    """Name what is in the bytes of a run."""
    if "\\ud83d" in repr(made.events) or "\\ude00" in repr(made.events):
        yield "surrogates as escapes"
    if any(ord(character) > 0xFFFF for each in made.events for character in each.data):
        yield "astral characters"
    if b"\r\n" in made.data and b"\r" in made.data.replace(b"\r\n", b"") and b"\n" in made.data.replace(b"\r\n", b""):
        yield "mixed line ends"
    if len(made.chunks) > len(made.data) // 2:
        yield "single bytes"


def test_generated_runs_hold_what_the_laws_are_about() -> None:
    found: Counter[str] = Counter()
    for number in range(200):
        found.update(set(features(make_run(Tape(hashlib.shake_256(b"%d" % number).digest(TAPE_LENGTH))))))
    wanted = [f"problem {kind}" for kind in ("undecodable", "shape", "index", "conflict", "contradiction", "late")]
    wanted += ["RunStepUpdated", "RunStepDone", "ToolCallDone", "RequiresAction", "ErrorReceived", "UnknownEvent"]
    wanted += ["outcome error", "outcome truncated", "outcome unknown", "outcome incomplete"]
    wanted += ["interleaved calls", "many calls", "a huge index", "unordered indexes", "deltas after an ending"]
    wanted += ["surrogates as escapes", "astral characters", "mixed line ends", "single bytes", "bodies", "lanes"]
    assert {} == {feature: found[feature] for feature in wanted if found[feature] < 4}
