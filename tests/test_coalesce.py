"""Coalescing: at most one delta of a slot in each interval, nothing lost, and nothing held for longer."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections import defaultdict, deque
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import (
    AsyncRunStream,
    ContentDelta,
    FunctionToolCallDelta,
    Limits,
    MergeError,
    Problem,
    ResponseError,
    TextDeltaBlock,
    ToolCallDelta,
    TruncatedError,
    UnknownEvent,
    aaccumulate,
    accumulate,
    aconnect,
    connect,
)
from accumulator._assistants.messages import wrap_content_delta
from accumulator._assistants.protocol import ASSISTANTS, MESSAGES, RUN_STEPS
from accumulator._assistants.run_steps import wrap_tool_call_delta
from accumulator._fold.delta import fold_delta
from accumulator._fold.nodes import Object, snapshot_object
from accumulator._fold.policy import WrongShape
from accumulator._streams.coalesce import Coalescer
from tests import wire
from tests.clock import Clock
from tests.loopback import PATIENCE, Loopback
from tests.strategies import runs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence

    from accumulator import RunStream, Update
    from accumulator._json import Json
    from tests.loopback import Exchange
    from tests.strategies import Run

SlotName: TypeAlias = tuple[str, int]
_T = TypeVar("_T")


class Timed:
    """A coalescer of 1 s that is told when everything happens."""

    def __init__(self, min_interval: float = 1) -> None:
        self.clock = Clock()
        self.coalescer = Coalescer(min_interval, self.clock, ASSISTANTS.fragment)

    def push(self, now: float, *updates: Update) -> list[Update]:
        self.clock.now = now
        return self.coalescer.push(updates)

    def wake(self, now: float) -> list[Update]:
        self.clock.now = now
        return self.coalescer.flush_due()

    def due(self, now: float) -> float | None:
        self.clock.now = now
        return self.coalescer.due()


def call(number: int, arguments: str, index: int | None = 0, *, step_id: str = "step_1") -> ToolCallDelta:
    sent: dict[str, object] = {"index": index, "type": "function", "function": {"arguments": arguments}}
    return ToolCallDelta(number, step_id, index, "call_1", FunctionToolCallDelta.wrap(sent))


def part(number: int, value: str, index: int | None = 0, *, message_id: str = "msg_1") -> ContentDelta:
    sent: dict[str, object] = {"index": index, "type": "text", "text": {"value": value}}
    return ContentDelta(number, message_id, index, TextDeltaBlock.wrap(sent))


def raw_call(number: int, sent: dict[str, object], tool_call_id: str | None = None) -> ToolCallDelta:
    return ToolCallDelta(number, "step_1", 0, tool_call_id, wrap_tool_call_delta({"index": 0, **sent}))


def raw_part(number: int, sent: dict[str, object]) -> ContentDelta:
    return ContentDelta(number, "msg_1", 0, wrap_content_delta({"index": 0, **sent}))


def other(number: int) -> UnknownEvent:
    return UnknownEvent(number, "ping", "{}")


# ---- When a delta goes out.


def test_the_first_delta_of_a_slot_goes_out_at_once() -> None:
    timed = Timed()
    assert [call(1, "a")] == timed.push(0, call(1, "a"))
    assert timed.due(0) is None


def test_deltas_within_the_interval_go_out_as_one_when_it_is_over() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    assert [] == timed.push(0.25, call(2, "b"))
    assert [] == timed.push(0.5, call(3, "c"))
    assert (0.5, [], 0.25) == (timed.due(0.5), timed.wake(0.5), timed.due(0.75))
    assert [call(3, "bc")] == timed.wake(1)
    assert (None, []) == (timed.due(1), timed.wake(9))


def test_what_goes_out_late_begins_an_interval() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    timed.push(0.5, call(2, "b"))
    assert 0.0 == timed.due(1.5)
    assert [call(2, "b")] == timed.wake(1.5)
    assert [] == timed.push(2, call(3, "c"))
    assert 0.5 == timed.due(2)
    assert [call(4, "cd")] == timed.push(2.5, call(4, "d"))


def test_a_delta_of_a_slot_that_was_quiet_goes_out_at_once() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    assert [call(2, "b")] == timed.push(1, call(2, "b"))


def test_a_delta_that_comes_when_its_slot_is_due_goes_with_what_is_held() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    timed.push(0.5, call(2, "b"))
    assert [call(3, "bc")] == timed.push(1, call(3, "c"))
    assert timed.due(1) is None


def test_what_is_due_goes_out_with_whatever_event_comes_next() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"), part(1, "A"))
    timed.push(0.25, part(2, "B"))
    timed.push(0.5, call(3, "b"))
    assert [part(2, "B"), call(3, "b"), call(4, "x", 7)] == timed.push(1, call(4, "x", 7))
    timed.push(1.5, call(5, "c"))
    assert [call(5, "c")] == timed.push(2)


def test_each_slot_has_an_interval_of_its_own() -> None:
    timed = Timed()
    slots: list[Update] = [call(1, "a"), call(1, "b", 1), call(1, "c", step_id="step_2"), part(1, "d"), part(1, "e", 1)]
    same_id = part(1, "f", message_id="step_1")
    assert [*slots, same_id] == timed.push(0, *slots, same_id)
    assert [] == timed.push(0.5, *slots, same_id)
    assert [*slots, same_id] == timed.wake(1)


def test_two_deltas_of_a_slot_in_one_event_are_one() -> None:
    timed = Timed()
    assert [call(1, "ab"), call(1, "x", 1)] == timed.push(0, call(1, "a"), call(1, "x", 1), call(1, "b"))
    assert [] == timed.push(0.5, call(2, "c"), call(2, "d"))
    assert [call(2, "cd")] == timed.wake(1)


def test_slots_come_due_one_after_the_other() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    timed.push(0.25, part(2, "A"))
    timed.push(0.5, part(3, "B"))
    timed.push(0.75, call(4, "b"))
    assert (0.25, [call(4, "b")]) == (timed.due(0.75), timed.wake(1))
    assert (0.25, [part(3, "B")]) == (timed.due(1), timed.wake(1.25))


# ---- Order.


def test_what_comes_due_together_goes_out_in_the_order_of_the_first_fragments() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    timed.push(0.25, part(2, "A"))
    timed.push(0.5, part(3, "B"))
    timed.push(0.75, call(4, "b"))
    assert [part(3, "B"), call(4, "b")] == timed.wake(2)


def test_anything_else_goes_out_at_once_after_all_that_is_held() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"), part(1, "A"))
    timed.push(0.25, part(2, "B"))
    timed.push(0.25, call(3, "b"))
    timed.push(0.25, part(4, "C"))
    assert [part(4, "BC"), call(3, "b"), other(5)] == timed.push(0.5, other(5))
    assert timed.due(0.5) is None
    assert [] == timed.push(1, part(6, "D"))
    assert [part(6, "D")] == timed.wake(1.5)


def test_an_event_with_anything_else_goes_out_whole() -> None:
    timed = Timed()
    timed.push(0, call(1, "a"))
    timed.push(0.25, call(2, "b"))
    mixed = (other(3), call(3, "c"), call(3, "d", 1), other(3))
    assert [call(2, "b"), *mixed] == timed.push(0.5, *mixed)
    assert [] == timed.push(1.25, call(4, "e"), call(4, "f", 1))
    assert [call(4, "e"), call(4, "f", 1)] == timed.wake(1.5)


def test_a_delta_without_an_index_is_never_held() -> None:
    timed = Timed()
    assert [call(1, "a", None)] == timed.push(0, call(1, "a", None))
    assert [call(2, "b", None), part(2, "c", None)] == timed.push(0.25, call(2, "b", None), part(2, "c", None))
    timed.push(0.5, call(3, "d"))
    timed.push(0.75, call(4, "e"))
    assert [call(4, "e"), part(5, "f", None)] == timed.push(0.75, part(5, "f", None))


def test_flush_gives_all_that_is_held() -> None:
    timed = Timed()
    assert [] == timed.coalescer.flush()
    timed.push(0, call(1, "a"), part(1, "A"))
    timed.push(0.5, call(2, "b"))
    timed.push(0.5, part(3, "B"))
    assert [call(2, "b"), part(3, "B")] == timed.coalescer.flush()
    assert ([], None) == (timed.coalescer.flush(), timed.due(0.5))


# ---- What a merged delta is.


def merged(*fragments: ToolCallDelta | ContentDelta) -> list[Update]:
    """Return what becomes of fragments that are all held."""
    timed = Timed()
    first = fragments[0]
    timed.push(0, call(0, "") if isinstance(first, ToolCallDelta) else part(0, ""))
    for fragment in fragments:
        assert [] == timed.push(0, fragment)
    return timed.coalescer.flush()


def test_one_fragment_alone_is_handed_out_as_it_came() -> None:
    fragment = raw_call(1, {"type": "openapi", "function": {"name": "x", "index": 4}, "outputs": [{"index": 3}]})
    (update,) = merged(fragment)
    assert update is fragment


def test_fragments_are_merged_by_the_rules_of_the_fold() -> None:
    assert [
        raw_call(
            3,
            {
                "type": "code_interpreter",
                "id": "call_a",
                "code_interpreter": {
                    "input": "1+1",
                    "outputs": [
                        {"index": 0, "type": "logs", "logs": "2\n3"},
                        {"index": 7, "type": "image", "image": {"file_id": "file_1"}},
                    ],
                },
                "score": 2,
                "kept": 1,
            },
        )
    ] == merged(
        raw_call(
            1,
            {
                "type": "code_interpreter",
                "code_interpreter": {
                    "input": "1",
                    "outputs": [{"index": 7, "type": "image", "image": {"file_id": "file_1"}}],
                },
            },
        ),
        raw_call(
            2,
            {"id": "call_a", "score": 1, "kept": 1, "code_interpreter": {"outputs": [{"index": 0, "logs": "2\n"}]}},
        ),
        raw_call(
            3,
            {
                "id": "call_b",
                "score": 2,
                "kept": None,
                "code_interpreter": {"input": "+1", "outputs": [{"index": 0, "type": "logs", "logs": "3"}]},
            },
        ),
    )


def test_annotations_keep_their_indexes() -> None:
    citation: dict[str, object] = {"index": 5, "type": "file_citation", "file_citation": {"file_id": "file_1"}}
    assert [
        raw_part(3, {"type": "text", "text": {"value": "see [1].", "annotations": [citation]}}),
    ] == merged(
        raw_part(1, {"type": "text", "text": {"value": "see "}}),
        raw_part(2, {"type": "text", "text": {"value": "[1]", "annotations": [citation]}}),
        raw_part(3, {"type": "text", "text": {"value": "."}}),
    )


def test_the_halves_of_a_surrogate_pair_are_put_together() -> None:
    assert [call(2, "🏔")] == merged(call(1, "\ud83c"), call(2, "\udfd4"))
    assert [call(3, "\ud83cx")] == merged(call(1, "\ud83c"), call(2, ""), call(3, "x"))


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ((None, None), None),
        ((None, "call_1"), "call_1"),
        ((None, "call_1", "call_1"), "call_1"),
        (("call_1", "call_1"), "call_1"),
        (("call_1", None), "call_1"),
        (("call_1", "call_2"), "call_1"),
    ],
)
def test_a_merged_delta_has_the_tool_call_id_first_seen(came: tuple[str | None, ...], expected: str | None) -> None:
    fragments = [raw_call(number, {"x": number}, ident) for number, ident in enumerate(came)]
    assert [raw_call(len(came) - 1, {"x": len(came) - 1}, expected)] == merged(*fragments)


def test_fragments_that_do_not_go_together_come_one_after_the_other() -> None:
    fragments: list[dict[str, object]] = [{"y": 1}, {"x": {"k": 1}}, {"x": [1]}, {"x": [2]}, {"z": 4}]
    assert [
        raw_call(1, {"y": 1, "x": {"k": 1}}),
        raw_call(4, {"x": [2], "z": 4}),
    ] == merged(*(raw_call(number, sent) for number, sent in enumerate(fragments)))


def test_a_fragment_that_cannot_be_folded_comes_as_it_is() -> None:
    hostile = raw_call(1, {"code_interpreter": {"outputs": "none"}})
    assert [hostile, call(2, "a"), hostile] == merged(hostile, call(2, "a"), hostile)


def test_merging_changes_no_update_handed_out() -> None:
    timed = Timed()
    fragments = [raw_call(number, {"x": {"k": number}, "output": "o"}) for number in range(5)]
    before = [fragment.delta.to_dict() for fragment in fragments]
    for fragment in fragments:
        timed.push(0, fragment)
    (first,) = timed.wake(1)
    timed.push(1, raw_call(6, {"x": {"l": 1}}))
    timed.push(1, raw_call(7, {"x": {"k": 9}}))
    assert raw_call(4, {"x": {"k": 4}, "output": "oooo"}) == first
    assert before == [fragment.delta.to_dict() for fragment in fragments]


def test_ten_thousand_fragments_of_one_interval_are_one_delta() -> None:
    timed = Timed()
    timed.push(0, call(0, ""))
    for number in range(1, 10_001):
        timed.push(0.5, call(number, f"{number},"))
    assert [call(10_000, "".join(f"{number}," for number in range(1, 10_001)))] == timed.wake(1)


# ---- What it cannot be made of.


@pytest.mark.parametrize("interval", [0, -1, 0.0, -0.5, float("inf"), float("-inf"), float("nan"), 10**400])
def test_an_interval_that_is_none_is_a_value_error(interval: float) -> None:
    with pytest.raises(ValueError, match="expected min_interval to be more than 0 seconds and finite, got "):
        Coalescer(interval, time.monotonic, ASSISTANTS.fragment)


@pytest.mark.parametrize("interval", [None, "1", True, 1j, [1]])
def test_an_interval_that_is_no_number_is_a_type_error(interval: object) -> None:
    with pytest.raises(TypeError, match="expected min_interval to be a number of seconds, got "):
        Coalescer(interval, time.monotonic, ASSISTANTS.fragment)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_clock_that_cannot_be_called_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="expected clock to be callable, got float"):
        Coalescer(1, 0.0, ASSISTANTS.fragment)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ---- Laws. Times are whole numbers of 1/8 s, so that sums of them are exact.

Event: TypeAlias = "Sequence[tuple[SlotName, str] | None]"  # None is anything but a delta of a slot

_slots = st.tuples(st.sampled_from(["call", "part"]), st.sampled_from([0, 1]))
_deltas = st.tuples(_slots, st.text("ab€🏔", max_size=3))
_events: st.SearchStrategy[Event] = st.one_of(
    st.lists(_deltas, min_size=1, max_size=1),
    st.lists(_deltas, min_size=1, max_size=1),
    st.lists(st.none() | _deltas, max_size=4),
)
Steps: TypeAlias = "list[tuple[int, Event]]"
_steps: st.SearchStrategy[Steps] = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 1, 2, 5, 20]), _events), max_size=25)


def updates_of(number: int, event: Event) -> list[Update]:
    """Make the updates of an event; each has a number of its own, to be found again by."""
    made: list[Update] = []
    for place, item in enumerate(event):
        if item is None:
            made.append(other(number * 10 + place))
        else:
            (kind, index), text = item
            make = call if kind == "call" else part
            made.append(make(number * 10 + place, text, index))
    return made


def slot_and_text(update: Update) -> tuple[SlotName, str] | None:
    if isinstance(update, ToolCallDelta) and isinstance(update.delta, FunctionToolCallDelta):
        assert update.index is not None
        assert update.delta.function is not None
        return ("call", update.index), update.delta.function.arguments or ""
    if isinstance(update, ContentDelta) and isinstance(update.delta, TextDeltaBlock):
        assert update.index is not None
        assert update.delta.text is not None
        return ("part", update.index), update.delta.text.value or ""
    return None


def per_slot(updates: Sequence[Update]) -> dict[SlotName, list[object]]:
    """Return for each slot its texts, joined, with all that is no delta between them where it stands."""
    others: list[object] = []
    seen: dict[SlotName, list[object]] = {}
    for update in updates:
        found = slot_and_text(update)
        if found is None:
            others.append(update)
            for line in seen.values():
                line.append(update)
        else:
            slot, text = found
            line = seen.setdefault(slot, list(others))
            if line and isinstance(line[-1], str):
                line[-1] += text
            else:
                line.append(text)
    return seen


class Driven:
    """Steps driven through a coalescer.

    Attributes:
        given: when each update was pushed.
        out: when each came out.
        rest: what was still held at the end.

    """

    def __init__(self, steps: Steps, interval: int, *, wakes: bool) -> None:
        self.timed = Timed(interval / 8)
        self.given: list[tuple[float, Update]] = []
        self.out: list[tuple[float, Update]] = []
        now = 0.0
        for number, (pause, event) in enumerate(steps):
            now += pause / 8
            if wakes:
                self._wake_until(now)
            updates = updates_of(number, event)
            self.given += [(now, update) for update in updates]
            self.out += [(now, update) for update in self.timed.push(now, *updates)]
        if wakes:
            self._wake_until(now + interval / 8)
        self.rest = self.timed.coalescer.flush()

    def _wake_until(self, end: float) -> None:
        clock = self.timed.clock
        while (due := self.timed.coalescer.due()) is not None and clock.now + due <= end:
            clock.now += due
            woken = self.timed.coalescer.flush_due()
            assert woken != []  # `due` says exactly when
            self.out += [(clock.now, update) for update in woken]


@given(_steps, st.integers(1, 9), st.booleans())
def test_order_is_kept_and_every_text_arrives(steps: Steps, interval: int, wakes: bool) -> None:  # noqa: FBT001 - drawn
    driven = Driven(steps, interval, wakes=wakes)
    before, after = [update for _, update in driven.given], [update for _, update in driven.out] + driven.rest
    assert per_slot(before) == per_slot(after)
    assert [each for each in before if slot_and_text(each) is None] == [
        each for each in after if slot_and_text(each) is None
    ]


@given(_steps, st.integers(1, 9), st.booleans())
def test_a_slot_has_at_most_one_delta_in_an_interval(steps: Steps, interval: int, wakes: bool) -> None:  # noqa: FBT001 - drawn
    driven = Driven([(pause, [item for item in event if item]) for pause, event in steps], interval, wakes=wakes)
    times: dict[SlotName, list[float]] = defaultdict(list)
    for now, update in driven.out:
        found = slot_and_text(update)
        assert found is not None
        times[found[0]].append(now)
    for each in times.values():
        assert [] == [(earlier, later) for earlier, later in pairwise(each) if later - earlier < interval / 8]


@given(_steps, st.integers(1, 9))
def test_nothing_is_held_for_longer_than_the_interval(steps: Steps, interval: int) -> None:
    driven = Driven(steps, interval, wakes=True)
    waiting: dict[SlotName, deque[tuple[float, int]]] = defaultdict(deque)
    for now, update in driven.given:
        if (found := slot_and_text(update)) is not None:
            waiting[found[0]].append((now, update.event_number))
    for now, update in driven.out:
        if (found := slot_and_text(update)) is not None:
            # A merged delta has the number of its last fragment, and those before it are in it.
            while (fragment := waiting[found[0]].popleft())[1] != update.event_number:
                assert now - fragment[0] <= interval / 8
            assert now - fragment[0] <= interval / 8
    assert ([], []) == (driven.rest, [each for each in waiting.values() if each])


# ---- On a stream. Its events: a function call, whose arguments come in fragments.


def text_delta(value: str, message_id: str = "msg_1") -> bytes:
    content = [{"index": 0, "type": "text", "text": {"value": value}}]
    payload = {"id": message_id, "object": "thread.message.delta", "delta": {"content": content}}
    return wire.event("thread.message.delta", payload)


def grown(value: str) -> bytes:
    return wire.delta("step_1", wire.fragment(0, value))


OPENED = wire.created() + wire.delta("step_1", wire.opening(0, "call_1", "f"))
OPENED_KINDS = ["RunStepCreated", "ToolCallCreated", "ToolCallDelta"]
ENDED = wire.completed("step_1", [wire.call("call_1", "f", "abcd", "1")]) + wire.run_event("completed") + wire.DONE
ENDED_KINDS = ["ToolCallDone", "RunStepDone", "RunUpdated", "BodyEnded"]


class Ticking:
    """Chunks, each with the time at which it comes; an exception among them is raised."""

    def __init__(self, clock: Clock, *chunks: tuple[float, bytes | object]) -> None:
        self._clock = clock
        self._chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        for now, chunk in self._chunks:
            self._clock.now = now
            if isinstance(chunk, BaseException):
                raise chunk
            yield cast("bytes", chunk)


async def as_async(items: Iterable[_T]) -> AsyncIterator[_T]:
    for item in items:
        yield item


class Streams:
    """Makes a stream of either kind and takes its updates."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain

    def make(
        self,
        chunks: Iterable[bytes],
        clock: Callable[[], float],
        min_interval: float | None = 1,
        *,
        handler: Callable[[Update], object] | None = None,
        strict: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> RunStream | AsyncRunStream:
        if self._plain:
            return accumulate(
                chunks, handler=handler, min_interval=min_interval, clock=clock, strict=strict, limits=limits
            )
        return aaccumulate(
            as_async(chunks), handler=handler, min_interval=min_interval, clock=clock, strict=strict, limits=limits
        )

    def take(self, stream: RunStream | AsyncRunStream) -> list[Update | Exception]:
        """Iterate to the end, on after what is raised on the way; that stands among the updates."""
        taken: list[Update | Exception] = []

        async def take_async(stream: AsyncRunStream) -> None:
            while True:
                try:
                    taken.append(await anext(stream))
                except StopAsyncIteration:
                    return
                except Exception as error:  # noqa: BLE001 - whatever it is
                    taken.append(error)

        if isinstance(stream, AsyncRunStream):
            asyncio.run(take_async(stream))
            return taken
        while True:
            try:
                taken.append(next(stream))
            except StopIteration:
                return taken
            except Exception as error:  # noqa: BLE001 - whatever it is
                taken.append(error)


@pytest.fixture(params=[True, False], ids=["sync", "async"])
def streams(request: pytest.FixtureRequest) -> Streams:
    return Streams(plain=request.param)


def names(taken: Sequence[object]) -> list[str]:
    return [type(each).__name__ for each in taken]


def argument_texts(taken: Sequence[object]) -> list[str]:
    """Return the text of each delta of a function call."""
    found = [slot_and_text(each) for each in cast("Sequence[Update]", taken) if isinstance(each, ToolCallDelta)]
    return [each[1] for each in found if each is not None]


def test_ten_thousand_deltas_a_second_become_twenty(streams: Streams) -> None:
    clock = Clock()
    numbers = range(20_000)
    chunks = [
        (number / 10_000, grown(f"{number},") + (text_delta(f"{number};") if number % 9 == 0 else b""))
        for number in numbers
    ]
    source = Ticking(clock, (0, OPENED + text_delta("")), *chunks, (2, wire.DONE))
    taken = streams.take(streams.make(source, clock, 0.05))
    of_call = [each for each in taken if isinstance(each, ToolCallDelta)]
    of_part = [each for each in taken if isinstance(each, ContentDelta)]
    assert [True, True] == [40 <= len(each) <= 41 for each in (of_call, of_part)]
    assert {
        ("call", 0): ["".join(f"{number}," for number in numbers)],
        ("part", 0): ["".join(f"{number};" for number in numbers[::9])],
    } == per_slot([*of_call, *of_part])
    assert [*OPENED_KINDS[:2], "MessageCreated", "ContentCreated", "BodyEnded"] == [
        name for name in names(taken) if not name.endswith("Delta")
    ]


def test_the_loop_and_the_handler_have_the_same_merged_updates(streams: Streams) -> None:
    clock = Clock()
    heard: list[Update] = []
    source = Ticking(
        clock, (0, OPENED), (0.25, grown("a") + grown("b")), (0.75, grown("c")), (1, grown("d")), (1.5, ENDED)
    )
    taken = streams.take(streams.make(source, clock, handler=heard.append))
    assert heard == taken
    assert [*OPENED_KINDS, "ToolCallDelta", *ENDED_KINDS] == names(taken)
    assert (["", "abcd"], 6) == (argument_texts(taken), cast("ToolCallDelta", taken[3]).event_number)


def test_without_an_interval_every_delta_comes_as_it_came(streams: Streams) -> None:
    clock = Clock()
    source = Ticking(clock, (0, OPENED + grown("a") + grown("b") + wire.DONE))
    assert ["", "a", "b"] == argument_texts(streams.take(streams.make(source, clock, None)))


def test_what_came_due_meanwhile_goes_out_before_the_source_is_read() -> None:
    clock = Clock()
    read: list[str] = []

    def chunks() -> Iterator[bytes]:
        yield OPENED + grown("a")
        read.append("second")
        yield wire.DONE

    stream = accumulate(chunks(), min_interval=1, clock=clock)
    assert OPENED_KINDS == [type(next(stream)).__name__ for _ in range(3)]
    clock.now = 1
    assert (["a"], []) == (argument_texts([next(stream)]), read)
    assert (["BodyEnded"], ["second"]) == (names(list(stream)), read)


def test_a_sync_loop_has_the_last_deltas_at_the_end() -> None:
    clock = Clock()
    taken = list(accumulate([OPENED, grown("a"), grown("b")], min_interval=1, clock=clock))
    assert [*OPENED_KINDS, "ToolCallDelta", "BodyEnded"] == names(taken)
    assert ["", "ab"] == argument_texts(taken)


def test_text_deltas_are_merged_too() -> None:
    clock = Clock()
    source = Ticking(clock, *((number / 4, text_delta(text)) for number, text in enumerate("abcdefghi")))
    assert ["a", "bcde", "fghi"] == list(accumulate(source, min_interval=1, clock=clock).text_deltas())


# ---- What is held comes before an error.

NO_INDEX = wire.delta("step_1", wire.fragment("x", "?"))


def test_in_strict_mode_what_is_held_comes_before_the_error_and_the_loop_goes_on(streams: Streams) -> None:
    clock = Clock()
    source = Ticking(clock, (0, OPENED + grown("a") + grown("b") + NO_INDEX + grown("c") + wire.DONE))
    taken = streams.take(streams.make(source, clock, strict=True))
    assert [*OPENED_KINDS, "ToolCallDelta", "MergeError", "ToolCallDelta", "BodyEnded"] == names(taken)
    assert ["", "ab", "c"] == argument_texts(taken)
    error = taken[4]
    assert isinstance(error, MergeError)
    assert [error.problem] == [each for each in error.updates if isinstance(each, Problem)]


def test_an_error_with_nothing_held_comes_at_once(streams: Streams) -> None:
    clock = Clock()
    taken = streams.take(streams.make(Ticking(clock, (0, OPENED + NO_INDEX)), clock, strict=True))
    assert [*OPENED_KINDS, "MergeError", "BodyEnded"] == names(taken)


def test_what_is_held_comes_before_a_limit(streams: Streams) -> None:
    clock = Clock()
    large = wire.event("ping", "x" * 2_000)
    source = Ticking(clock, (0, OPENED + grown("a") + large + wire.DONE))
    taken = streams.take(streams.make(source, clock, limits=Limits(max_event_size=1_500)))
    assert [*OPENED_KINDS, "ToolCallDelta", "LimitError", "BodyEnded"] == names(taken)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (OSError("gone"), ["ToolCallDelta", "BodyEnded", "TruncatedError"]),
        ("text", ["ToolCallDelta", "BodyEnded", "TypeError"]),
        (
            ResponseError("no", status=500, content_type="text/html", request_id=None, body=""),
            ["ToolCallDelta", "ResponseError"],
        ),
    ],
    ids=["broken", "no bytes", "refused"],
)
def test_what_is_held_comes_before_the_end_of_a_broken_source(
    streams: Streams, broken: object, expected: list[str]
) -> None:
    clock = Clock()
    taken = streams.take(streams.make(Ticking(clock, (0, OPENED + grown("a")), (0, broken)), clock))
    assert [*OPENED_KINDS, *expected] == names(taken)
    assert ["", "a"] == argument_texts(taken)


def test_a_hook_that_raises_at_what_was_held_ends_all(streams: Streams) -> None:
    clock = Clock()
    heard: list[Update] = []

    def hook(update: Update) -> None:
        heard.append(update)
        if argument_texts([update]) == ["a"]:
            raise KeyError("mine")

    source = Ticking(clock, (0, OPENED + grown("a") + NO_INDEX + grown("b") + wire.DONE))
    taken = streams.take(streams.make(source, clock, handler=hook, strict=True))
    assert [*OPENED_KINDS, "KeyError"] == names(taken)
    assert isinstance(taken[-1], KeyError)
    assert isinstance(taken[-1].__context__, MergeError)
    assert [*OPENED_KINDS, "ToolCallDelta", "BodyEnded"] == names(heard)


def test_closing_drops_what_is_held() -> None:
    clock = Clock()
    stream = accumulate([OPENED + grown("a") + NO_INDEX], min_interval=1, clock=clock, strict=True)
    with stream:
        for _ in range(4):
            next(stream)
    assert [] == list(stream)


def test_what_cannot_be_an_interval_or_a_clock_is_told_when_the_stream_is_made(streams: Streams) -> None:
    with pytest.raises(ValueError, match="expected min_interval to be more than 0"):
        streams.make([], Clock(), 0)
    with pytest.raises(TypeError, match="expected min_interval to be a number"):
        streams.make([], Clock(), cast("float", "1"))
    with pytest.raises(TypeError, match="expected clock to be callable"):
        streams.make([], cast("Callable[[], float]", 0.0))


# ---- While an async source is silent.


class Silent:
    """An async source that gives what it is told to when it is told to, and says what became of each read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._items: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.reads: list[str] = []
        self.closed = False
        self.on_cancel: Callable[[], bytes] | None = None

    def give(self, *items: bytes | None) -> None:
        """Let reads have these; None is the end."""
        for item in items:
            self._items.put_nowait(item)

    def __aiter__(self) -> Silent:
        return self

    async def __anext__(self) -> bytes:
        self.reads.append("begun")
        self.clock.now += 2 * INTERVAL  # by this clock, each wait for a read is long enough
        try:
            item = await self._items.get()
        except asyncio.CancelledError:
            self.reads[-1] = "cancelled"
            if self.on_cancel is None:
                raise
            return self.on_cancel()
        self.reads[-1] = "done"
        if item is None:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        self.closed = True


INTERVAL = 0.001


async def take(stream: AsyncRunStream, count: int) -> list[Update]:
    return [await anext(stream) for _ in range(count)]


async def rest(stream: AsyncRunStream) -> list[Update]:
    return [update async for update in stream]


def on_a_silent_source(body: Callable[[AsyncRunStream, Silent], Coroutine[None, None, None]]) -> Silent:
    """Run something on a stream whose source has fallen silent with nothing held and a read that goes on."""

    async def main() -> Silent:
        clock = Clock()
        source = Silent(clock)
        source.give(OPENED + grown("a") + grown("b"))
        async with aaccumulate(source, min_interval=INTERVAL, clock=clock) as stream:
            assert [*OPENED_KINDS, "ToolCallDelta"] == names(taken := await take(stream, 4))
            assert (["", "ab"], ["done", "begun"]) == (argument_texts(taken), source.reads)
            await body(stream, source)
        assert (True, False) == (source.closed, "begun" in source.reads)
        return source

    return asyncio.run(main())


def test_the_last_delta_comes_although_the_source_is_silent() -> None:
    async def body(stream: AsyncRunStream, source: Silent) -> None:
        source.give(grown("c"), None)
        assert (["c"], ["ToolCallDelta", "BodyEnded"]) == (argument_texts(taken := await rest(stream)), names(taken))

    source = on_a_silent_source(body)
    assert (["done", "done", "done"], True) == (source.reads, source.closed)


def test_a_read_that_goes_on_is_waited_for_again_and_again() -> None:
    async def body(stream: AsyncRunStream, source: Silent) -> None:
        source.give(grown("c"))
        assert ["c"] == argument_texts(await take(stream, 1))
        source.give(grown("d"), None)
        assert ["d"] == argument_texts(await rest(stream))

    assert ["done"] * 4 == on_a_silent_source(body).reads


def test_leaving_the_block_cancels_the_read_and_closes_the_source() -> None:
    async def body(stream: AsyncRunStream, source: Silent) -> None:
        pass

    source = on_a_silent_source(body)
    assert (["done", "cancelled"], True) == (source.reads, source.closed)


def test_a_cancellation_while_the_read_unwinds_waits_for_it_and_passes_unchanged() -> None:
    # The second cancellation no longer reaches the read: it broke off what the read does to close its connection.
    seen: list[str] = []
    clock = Clock()

    async def slow_to_unwind(may_end: asyncio.Event) -> AsyncGenerator[bytes]:
        try:
            yield OPENED + grown("a") + grown("b")
            clock.now += 2 * INTERVAL  # what is held comes while this read goes on
            await asyncio.Event().wait()
        finally:
            seen.append("unwinding")
            await may_end.wait()
            seen.append("unwound")

    async def leave(source: AsyncGenerator[bytes]) -> None:
        async with aaccumulate(source, min_interval=INTERVAL, clock=clock) as stream:
            await take(stream, 4)

    async def main() -> None:
        may_end = asyncio.Event()
        source = slow_to_unwind(may_end)
        leaving = asyncio.create_task(leave(source))
        while not seen:
            await asyncio.tasks.sleep(0)
        leaving.cancel()
        await asyncio.tasks.sleep(0)
        assert (False, ["unwinding"]) == (leaving.done(), seen)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        with pytest.raises(StopAsyncIteration):
            await anext(source)

    asyncio.run(main())
    assert ["unwinding", "unwound"] == seen


async def cancel_next(stream: AsyncRunStream) -> None:
    """Cancel somebody who waits for the next update."""
    consumer = asyncio.ensure_future(anext(stream))
    await asyncio.tasks.sleep(0)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer


def test_cancellation_cancels_the_read_and_the_loop_may_go_on() -> None:
    async def body(stream: AsyncRunStream, source: Silent) -> None:
        await cancel_next(stream)
        assert (["done", "cancelled"], None) == (source.reads, stream.accumulator.outcome)
        source.give(grown("c"), None)
        assert ["c"] == argument_texts(await rest(stream))

    assert ["done", "cancelled", "done", "done"] == on_a_silent_source(body).reads


def test_what_a_read_gives_although_it_was_cancelled_is_not_lost() -> None:
    async def body(stream: AsyncRunStream, source: Silent) -> None:
        source.on_cancel = lambda: grown("c")
        await cancel_next(stream)
        source.give(None)
        assert ["c"] == argument_texts(await rest(stream))

    assert ["done", "cancelled", "done"] == on_a_silent_source(body).reads


def test_what_a_read_raises_when_it_is_cancelled_breaks_the_source() -> None:
    def gone() -> bytes:
        raise OSError("gone")

    async def body(stream: AsyncRunStream, source: Silent) -> None:
        source.on_cancel = gone
        await cancel_next(stream)
        assert ["BodyEnded"] == names(await take(stream, 1))
        with pytest.raises(TruncatedError, match="OSError: gone"):
            await anext(stream)

    on_a_silent_source(body)


def test_a_cancellation_that_the_source_makes_itself_passes_unchanged() -> None:
    def cancelled() -> bytes:
        raise asyncio.CancelledError("mine")

    async def body(stream: AsyncRunStream, source: Silent) -> None:
        source.on_cancel = cancelled
        (read,) = asyncio.all_tasks() - {asyncio.current_task()}
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await anext(stream)
        source.give(None)
        assert ["BodyEnded"] == names(await rest(stream))

    on_a_silent_source(body)


def test_nobody_complains_of_a_read_that_fails_after_its_stream_was_left() -> None:
    complaints: list[object] = []

    async def failing() -> AsyncIterator[bytes]:
        yield OPENED + grown("a")
        clock.now += 1
        await let_fail.wait()
        failed.set()
        raise OSError("gone")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        stream = aaccumulate(failing(), min_interval=INTERVAL, clock=clock)
        await take(stream, 4)
        del stream
        let_fail.set()
        await failed.wait()
        await asyncio.tasks.sleep(0)
        gc.collect()

    clock, let_fail, failed = Clock(), asyncio.Event(), asyncio.Event()
    asyncio.run(main())
    assert [] == complaints


def test_a_stream_may_be_closed_after_the_loop_that_it_was_read_in() -> None:
    async def begin() -> None:
        source.give(OPENED + grown("a"))
        assert [*OPENED_KINDS, "ToolCallDelta"] == names(await take(stream, 4))

    source = Silent(Clock())
    stream = aaccumulate(source, min_interval=INTERVAL, clock=source.clock)
    asyncio.run(begin())
    assert ["done", "cancelled"] == source.reads
    asyncio.run(stream.aclose())
    assert (True, "truncated") == (source.closed, stream.accumulator.outcome)


def without_asyncio(coroutine: Coroutine[None, None, _T]) -> _T:
    """Run a coroutine that never has to wait, as another event loop would."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return cast("_T", stopped.value.value)


def test_without_asyncio_it_is_as_in_the_sync_loop() -> None:
    chunks = [OPENED + grown("a"), grown("b"), ENDED]
    stream = aaccumulate(as_async(chunks), min_interval=1, clock=Clock())
    assert list(accumulate(chunks, min_interval=1, clock=Clock())) == without_asyncio(rest(stream))


def test_where_no_task_of_asyncio_runs_it_is_as_in_the_sync_loop() -> None:
    chunks = [OPENED + grown("a"), grown("b"), ENDED]

    async def main() -> list[Update]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[Update]] = loop.create_future()
        stream = aaccumulate(as_async(chunks), min_interval=1, clock=Clock())
        loop.call_soon(lambda: result.set_result(without_asyncio(rest(stream))))  # as a guest in the loop of asyncio
        return await result

    assert list(accumulate(chunks, min_interval=1, clock=Clock())) == asyncio.run(main())


# ---- Over HTTP.

TLS = ssl.create_default_context()  # never used, and dear to make: the clients would make one each


def halting(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(OPENED + grown("a") + grown("b"))
    exchange.wait()
    exchange.chunk(grown("cd") + ENDED)
    exchange.end()


def test_connect_merges_the_deltas_of_an_answer() -> None:
    with Loopback(halting) as server, httpx.Client(verify=TLS) as client:
        server.go_on()
        with connect(client, "GET", server.url, min_interval=600) as stream:
            taken = list(stream)
    assert [*OPENED_KINDS, "ToolCallDelta", *ENDED_KINDS] == names(taken)
    assert ["", "abcd"] == argument_texts(taken)


def test_aconnect_hands_out_what_is_due_while_the_server_is_silent() -> None:
    async def main() -> None:
        with Loopback(halting) as server:
            async with (
                httpx.AsyncClient(verify=TLS) as client,
                aconnect(client, "GET", server.url, min_interval=INTERVAL) as stream,
            ):
                taken = await take(stream, 3)
                while "ab" != "".join(argument_texts(taken)):
                    taken += await take(stream, 1)
                server.go_on()
                taken = await rest(stream)
        assert ("cd", ENDED_KINDS) == ("".join(argument_texts(taken)), names(taken)[-4:])

    asyncio.run(main())


class Stopped:
    """A task that reads a stream until it is stopped in one of several ways, while its read goes on."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url
        self._waits = asyncio.Event()

    async def read(self) -> None:
        async with aconnect(self._client, "GET", self._url, min_interval=INTERVAL) as stream:
            text = ""
            async for update in stream:
                text += "".join(argument_texts([update]))
                if text == "ab":
                    self._waits.set()  # the next step waits for the server

    async def by_a_task_group(self) -> None:
        async def fail() -> None:
            await self._waits.wait()
            raise LookupError("of the other task")

        async def both() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.read())
                tasks.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await both()

    async def by_a_timeout(self) -> None:
        async def pass_deadline() -> None:
            await self._waits.wait()
            timeout.reschedule(asyncio.get_running_loop().time())

        other = asyncio.create_task(pass_deadline())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout:
                await self.read()
        await other

    async def by_cancelling_a_scope(self) -> None:
        async def cancel() -> None:
            await self._waits.wait()
            scope.cancel()

        other = asyncio.create_task(cancel())
        with anyio.CancelScope() as scope:
            await self.read()
        assert scope.cancelled_caught
        await other

    async def by_the_deadline_of_a_scope(self) -> None:
        async def pass_deadline() -> None:
            await self._waits.wait()
            scope.deadline = anyio.current_time()

        other = asyncio.create_task(pass_deadline())
        with anyio.move_on_after(PATIENCE) as scope:
            await self.read()
        assert scope.cancelled_caught
        await other

    async def by_a_group_of_anyio(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.read)
            await self._waits.wait()
            tasks.cancel_scope.cancel()

    async def by_cancelling_twice(self) -> None:
        reader = asyncio.create_task(self.read())
        await self._waits.wait()
        reader.cancel()
        await asyncio.tasks.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader


STOPS = [
    Stopped.by_a_task_group,
    Stopped.by_a_timeout,
    Stopped.by_cancelling_a_scope,
    Stopped.by_the_deadline_of_a_scope,
    Stopped.by_a_group_of_anyio,
    Stopped.by_cancelling_twice,
]


@pytest.mark.parametrize("stop", STOPS, ids=[stop.__name__ for stop in STOPS])
def test_whatever_cancels_a_read_that_goes_on_the_server_sees_the_connection_close(
    stop: Callable[[Stopped], Coroutine[None, None, None]],
) -> None:
    def silent(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(OPENED + grown("a") + grown("b"))
        exchange.wait_closed()

    async def main(server: Loopback) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            await stop(Stopped(client, server.url))
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)  # before the client closes all

    with Loopback(silent) as server:
        asyncio.run(main(server))


def test_connect_refuses_what_is_no_interval_before_anything_is_sent() -> None:
    async def async_twin(url: str) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            with pytest.raises(ValueError, match="expected min_interval to be more than 0"):
                await aconnect(client, "GET", url, min_interval=0).__aenter__()
            with pytest.raises(TypeError, match="expected clock to be callable"):
                await aconnect(client, "GET", url, min_interval=1, clock=cast("Clock", 0)).__aenter__()

    with Loopback(halting) as server, httpx.Client(verify=TLS) as client:
        with pytest.raises(ValueError, match="expected min_interval to be more than 0"):
            connect(client, "GET", server.url, min_interval=0).__enter__()
        with pytest.raises(TypeError, match="expected clock to be callable"):
            connect(client, "GET", server.url, min_interval=1, clock=cast("Clock", 0)).__enter__()
        asyncio.run(async_twin(server.url))
        assert [] == server.exchanges


# ---- Laws of streams.


def folded(deltas: Sequence[Update]) -> list[object]:
    """Fold the deltas of one slot: anew where one does not fit those before, as after a whole object between."""
    roots = [Object()]
    for update in deltas:
        assert isinstance(update, (ToolCallDelta, ContentDelta))
        schema = (RUN_STEPS if isinstance(update, ToolCallDelta) else MESSAGES).part_schema
        sent = cast("dict[str, Json]", {**update.delta.to_dict(), "index": 0})
        try:
            fold_delta(roots[-1], sent, schema, None)
        except WrongShape:
            roots.append(Object())
            fold_delta(roots[-1], sent, schema, None)
    return [snapshot_object(root) for root in roots]


def by_slot(updates: Sequence[Update]) -> tuple[list[Update], list[list[Update]]]:
    """Split what is no delta of a slot from the deltas, these by slot and by what stands between them."""
    others: list[Update] = []
    found: dict[tuple[object, ...], list[Update]] = {}
    for update in updates:
        if isinstance(update, ToolCallDelta) and update.index is not None:
            found.setdefault((len(others), update.step_id, update.index), []).append(update)
        elif isinstance(update, ContentDelta) and update.index is not None:
            found.setdefault((len(others), update.message_id, update.index), []).append(update)
        else:
            others.append(update)
    return others, [found[key] for key in sorted(found, key=repr)]


@given(runs, st.integers(1, 12))
def test_a_generated_run_loses_nothing_and_sync_equals_async(run: Run, interval: int) -> None:
    plain, awaited = (
        streams.take(streams.make(Ticking(clock, *enumerate(run.chunks)), clock, interval))
        for streams, clock in ((Streams(plain=True), Clock()), (Streams(plain=False), Clock()))
    )
    assert plain == awaited
    others, slots = by_slot(list(accumulate(run.chunks)))
    others_merged, slots_merged = by_slot(cast("list[Update]", plain))
    assert others == others_merged
    assert [folded(deltas) for deltas in slots] == [folded(deltas) for deltas in slots_merged]
    assert [each[-1].event_number for each in slots] == [each[-1].event_number for each in slots_merged]
