"""The fast path: which events take it, that they mean the same there, and that little is kept for it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accumulator import (
    Accumulator,
    BodyEnded,
    LimitError,
    Limits,
    MergeError,
    RunStepUpdated,
    ToolCallDelta,
    accumulate,
)
from accumulator._assistants.protocol import EVENTS, MESSAGES, RUN_STEPS, Assistants
from accumulator._engine import fast_path, templates
from accumulator._engine.engine import Engine
from accumulator._engine.fast_path import MAX_DATA, MAX_LEARNED
from tests.wire import (
    DONE,
    call,
    calls_json,
    completed,
    created,
    delta,
    delta_payload,
    event,
    fragment,
    function,
    in_progress,
    opening,
    run_event,
    step_event,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accumulator import Update
    from accumulator._engine.feed import Feed
    from accumulator._engine.protocol import Event, ResourceType

STEP_DELTA = "thread.run.step.delta"
# The first fragment of a text that is null sets it; a template is learned from the second.
BEGIN = (created(), delta("step_1", {**function(0, name="f", arguments=None, output=None), "id": "call_1"}))
WORDS = ["é", "a", '"', "\\", "\u2028", "🏔", "", "b"]


class Pair:
    """An accumulator with templates beside one without, fed alike, one event at a time, and held to be the same.

    So is a drain of all events at once, which looks for runs of fragments. A checkpoint makes the builders of all
    objects: with `checkpoints` off, those that are kept as they were sent stay so.
    """

    def __init__(self, *, checkpoints: bool = True) -> None:
        self.run, self.general = Accumulator(), without_templates()
        self._checkpoints = checkpoints
        self._fed: list[bytes] = []

    def fast(self, *events: bytes) -> int:
        """Feed events and count those that took the fast path."""
        taken = 0
        for each in events:
            self.run._own.push(each)
            fragment = self.run._own.next_fragment()
            updates: list[Update] = [] if fragment is None else [fragment]
            taken += len(updates)
            assert [*updates, *self.run.feed(b"")] == self.general.feed(each)
            if self._checkpoints:
                assert self.run.to_bytes() == self.general.to_bytes()
        self._fed += events
        looped, drained = without_templates(), Accumulator()
        assert list(accumulate([b"".join(self._fed)], into=looped))
        assert looped.to_bytes() == accumulate([b"".join(self._fed)], into=drained).until_done().to_bytes()
        return taken


def without_templates() -> Accumulator:
    run = Accumulator()
    run._engine.fast_path.enabled = False
    return run


def heads(run: Accumulator) -> list[bytes]:
    """Return the heads of all templates."""
    return [head for table in run._engine.fast_path.tables.values() for head in table.heads]


def plain(words: str) -> dict[str, object]:
    return delta_payload("step_1", fragment(0, words))


SHAPES: dict[str, Callable[[str], bytes]] = {
    "plain": lambda words: event(STEP_DELTA, plain(words)),
    "no type": lambda words: delta("step_1", {"index": 0, "function": {"arguments": words}}),
    "id and name again": lambda words: delta("step_1", {"id": "call_1", **function(0, name="f", arguments=words)}),
    "null beside it": lambda words: delta("step_1", function(0, arguments=words, output=None)),
    "spaces": lambda words: event(STEP_DELTA, json.dumps(plain(words), separators=(" , ", " : ")).encode()),
    "an envelope": lambda words: event(None, {"event": STEP_DELTA, "data": plain(words)}),
    "an envelope within one": lambda words: event(
        None, {"event": STEP_DELTA, "data": {"event": STEP_DELTA, "data": plain(words)}}
    ),
    "the step's id last": lambda words: event(STEP_DELTA, dict(reversed(list(plain(words).items())))),
    "escapes": lambda words: event(STEP_DELTA, json.dumps(plain(words)).encode()),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_fragment_takes_the_fast_path_once_two_like_it_were_seen(shape: Callable[[str], bytes]) -> None:
    pair = Pair()
    assert 0 == pair.fast(*BEGIN, shape("x"), shape("y"))
    assert len(WORDS) == pair.fast(*map(shape, WORDS))
    assert [call("call_1", "f", "xy" + "".join(WORDS))] == calls_json(pair.run)


TOOLS: dict[str, Callable[[str], dict[str, object]]] = {
    "unknown tool": lambda words: {"type": "browser", "browser": {"input": words}},
    "keyed list": lambda words: {"type": "browser", "browser": {"pages": [{"index": 3, "logs": words}]}},
    "logs": lambda words: {"type": "code_interpreter", "code_interpreter": {"outputs": [{"index": 7, "logs": words}]}},
    "flat": lambda words: {"type": "mcp", "arguments": words, "server_label": "s"},
}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_so_does_a_text_of_any_tool(tool: Callable[[str], dict[str, object]]) -> None:
    pair = Pair()
    first, second, *later = (delta("step_1", {"index": 0, "id": "call_1", **tool(words)}) for words in "abcde")
    assert (0, 3) == (pair.fast(created(), first, second), pair.fast(*later))


@pytest.mark.parametrize(
    "other",
    [
        delta("step_1", fragment(1, "x")),
        delta("step_2", fragment(0, "x")),
        delta("step_1", fragment(0, "x"), fragment(0, "y")),
        delta("step_1", function(0, arguments=None)),
        delta("step_1", function(0, arguments=1)),
        event(STEP_DELTA, text(plain("x")).encode() + b" x"),
        event(STEP_DELTA, text(plain("x")).replace('"x"', '"x","x":"x"').encode()),
        event(STEP_DELTA, text(plain("x")).replace('"x"', '"\\ud83d"').encode()),
        event(STEP_DELTA, text(plain("x")).encode().replace(b'"x"', b'"\xff"')),
        event("thread.message.delta", plain("x")),
        event(STEP_DELTA, "x"),  # the JSON string alone
    ],
)
def test_what_is_not_like_it_takes_the_general_way(other: bytes) -> None:
    pair = Pair()
    shape = SHAPES["plain"]
    assert 0 == pair.fast(*BEGIN, shape("a"), shape("b"))
    assert 3 == pair.fast(*map(shape, "cde"), other)
    assert 1 == pair.fast(shape("f"))


@pytest.mark.parametrize(
    "begin",
    [
        [created(), delta("step_1", {**opening(0, "call_1", "f"), "index": None})],
        [created(), delta("step_1", function(0, name="f", arguments=""))],
        [*BEGIN, completed(calls=[call("call_1", "f", "")])],
    ],
    ids=["no index", "no id", "ended"],
)
def test_no_template_leads_where_more_may_happen(begin: list[bytes]) -> None:
    index = None if b'"index":null' in begin[1] else 0
    assert 0 == Pair().fast(*begin, *(delta("step_1", fragment(index, words)) for words in "abcd"))


def test_a_text_that_stands_twice_in_an_event_is_no_text_alone() -> None:
    pair = Pair()
    twice = [event(STEP_DELTA, {"w": words, **plain(words), "x": words}) for words in "abcd"]
    assert 0 == pair.fast(*BEGIN, *twice)
    assert 1 == pair.fast(twice[2])


def test_a_text_beside_the_parts_opens_no_template() -> None:
    details = {"type": "tool_calls", "value": "x", "tool_calls": [{"index": 0, "type": "function"}]}
    beside = event(STEP_DELTA, {"id": "step_1", "delta": {"step_details": details}})
    assert 0 == Pair().fast(*BEGIN, *[beside] * 4)


def test_the_ending_of_a_step_forgets_its_templates_and_no_others() -> None:
    pair = Pair()
    steps = [(created(name), delta(name, opening(0, f"call_{name}", "f"))) for name in ("step_1", "step_2")]
    fragments = [delta(name, fragment(0, words)) for words in "abc" for name in ("step_1", "step_2")]
    # The text of an opening is empty, so a template is learned from the first fragment.
    assert (4, 2) == (pair.fast(*steps[0], *steps[1], *fragments), len(heads(pair.run)))
    assert 0 == pair.fast(completed("step_1"))
    assert (1, 0) == (len(heads(pair.run)), pair.fast(delta("step_1", fragment(0, "d"))))
    assert 1 == pair.fast(delta("step_2", fragment(0, "d")))
    assert (0, []) == (pair.fast(completed("step_2")), heads(pair.run))


def test_events_that_bring_nothing_new_leave_the_templates() -> None:
    pair = Pair()
    shape = SHAPES["plain"]
    between = [delta("step_1", fragment(1, "x")), created("step_2"), DONE, event("ping", {})]
    assert 0 == pair.fast(*BEGIN, shape("a"), shape("b"))
    assert 3 == pair.fast(*(each for other in between[:3] for each in (shape("c"), other)))
    assert (0, 1) == (pair.fast(between[3]), pair.fast(shape("d")))  # a template begins no body


def output(index: int | str, words: str, **fields: object) -> bytes:
    """Return an event with one printed output; the index is as sent."""
    entry = {"index": "here", "type": "logs", "logs": words, **fields}
    data = text(delta_payload("step_1", {**CODE, "code_interpreter": {"outputs": [entry]}}))
    return event(STEP_DELTA, data.replace('"here"', str(index)).encode())


CODE: dict[str, object] = {"index": 0, "type": "code_interpreter"}
CODE_BEGINS = (created(), delta("step_1", {**CODE, "id": "call_1", "code_interpreter": {"input": "", "outputs": []}}))


def outputs(run: Accumulator) -> list[dict[str, object]]:
    """Return the outputs of the one call."""
    [call] = calls_json(run)
    return cast("dict[str, list[dict[str, object]]]", call["code_interpreter"])["outputs"]


def test_an_entry_like_one_before_takes_the_fast_path_whatever_its_index_and_text() -> None:
    pair = Pair()
    assert 0 == pair.fast(*CODE_BEGINS, output(0, "x"))
    indexes = [1, 2, 9, 8, 10, 3, 123456789012345678, 4]
    assert len(WORDS) == pair.fast(*map(output, indexes, WORDS))
    printed = dict(zip(indexes, WORDS, strict=True)) | {0: "x"}
    assert [{"type": "logs", "logs": printed[index]} for index in sorted(printed)] == outputs(pair.run)


LISTS: dict[str, Callable[[int, str], dict[str, object]]] = {
    "unknown tool": lambda index, words: {"type": "browser", "browser": {"pages": [{"index": index, "value": words}]}},
    "in the entry": lambda index, words: {"type": "mcp", "parts": [{"index": index, "type": "a", "output": words}]},
    "constants": lambda index, words: {"type": "mcp", "parts": [{"index": index, "x": 1, "y": None, "output": words}]},
    "the same id": lambda index, words: {"type": "mcp", "parts": [{"index": index, "id": "e", "output": words}]},
}


@pytest.mark.parametrize("entry", LISTS.values(), ids=LISTS)
def test_so_does_one_of_any_list(entry: Callable[[int, str], dict[str, object]]) -> None:
    pair = Pair()
    first, second, *later = (delta("step_1", {"index": 0, "id": "call_1", **entry(index, "é")}) for index in range(5))
    pair.fast(created(), first, second)
    assert 3 == pair.fast(*later)


@pytest.mark.parametrize(
    "other",
    [
        *(output(index, "x") for index in ["-7", "7.0", "7e0", "true", "07", '"7"', "null", "1234567890123456789", ""]),
        output(1, "x"),
        output(7, "x", image=None),
        output(7, "x").replace(b'"type":"logs"', b'"type":"text"'),
        output(7, "x").replace(b'"logs":"x"', b'"logs":5'),
        output(7, "x").replace(b'"logs":"x"', b'"logs":"\\ud83d"'),
        output(7, "x").replace(b"}]}}", b'},{"index":8}]}}'),
        output(7, "x").replace(b"step_1", b"step_2"),
    ],
)
def test_an_entry_that_is_not_like_it_or_not_new_takes_the_general_way(other: bytes) -> None:
    pair = Pair()
    assert 1 == pair.fast(*CODE_BEGINS, output(0, "a"), output(1, "b"))
    assert 0 == pair.fast(other)
    assert 1 == pair.fast(output(9, "c"))


@pytest.mark.parametrize(
    "fields",
    [{"value": "x"}, {"x": dict[str, object]()}, {"x": list[object]()}, {"logs": ""}, {"logs": None}],
    ids=["two texts", "an object", "a list", "an empty text", "no text"],
)
def test_no_template_leads_to_entries_of_anything_else(fields: dict[str, object]) -> None:
    assert 0 == Pair().fast(*CODE_BEGINS, *(output(index, "a", **fields) for index in range(4)))


def test_no_template_opens_a_part() -> None:
    parts = [{"index": index, "type": "refusal", "refusal": "no"} for index in range(4)]
    payloads = [{"id": "msg_1", "delta": {"content": [part]}} for part in parts]
    assert 0 == Pair().fast(*(event("thread.message.delta", payload) for payload in payloads))


def test_an_entry_grows_by_fragments_after_the_fast_path_opened_it() -> None:
    pair = Pair()
    assert 1 == pair.fast(*CODE_BEGINS, output(0, "a"), output(1, "b"))
    assert 1 == pair.fast(output(1, "c"), output(1, "d"))
    assert 2 == pair.fast(output(2, "e"), output(1, "f"))
    assert ["a", "bcdf", "e"] == [each["logs"] for each in outputs(pair.run)]


def test_an_ending_forgets_the_way_to_new_entries() -> None:
    pair = Pair()
    call = {**CODE, "id": "call_1", "code_interpreter": {"input": "", "outputs": [{"type": "logs", "logs": "a"}]}}
    assert 1 == pair.fast(*CODE_BEGINS, output(0, "a"), output(1, "b"))
    assert 0 == pair.fast(in_progress(), output(2, "c"), completed(calls=[call]), output(3, "d"), output(4, "e"))


def test_a_snapshot_between_two_entries_is_as_of_then() -> None:
    run = Accumulator()
    run.feed(b"".join([*CODE_BEGINS, output(0, "a"), output(1, "b")]))
    before, part = run.run_steps(), run.tool_call("step_1", 0)
    run.feed(output(2, "c"))
    after = run.tool_call("step_1", 0)
    run.feed(output(3, "d"))
    assert part is not None
    assert after is not None
    counts = [str(each.to_json()).count('"logs":') for each in (before[0], part, after, run.run_steps()[0])]
    assert [2, 2, 3, 4] == counts


def renamed(ident: object, words: str, *, last: bool = False) -> bytes:
    """Return a fragment that names another id than its call has, before the text or after it."""
    entry = fragment(0, words)
    return delta("step_1", {**entry, "id": ident} if last else {"id": ident, **entry})


@pytest.mark.parametrize("last", [False, True], ids=["id first", "text first"])
def test_fragments_that_come_each_with_another_id_take_the_fast_path_once_that_was_told(*, last: bool) -> None:
    pair = Pair()
    ids = ["call_7", "", "call_1", 'call"', "\u2028", "x", "id", "arguments"]
    assert 0 == pair.fast(*BEGIN, *(renamed(f"call_{number}", "x", last=last) for number in (2, 3)))
    assert len(WORDS) == pair.fast(*(renamed(*each, last=last) for each in zip(ids, WORDS, strict=True)))
    assert [call("call_1", "f", "xx" + "".join(WORDS))] == calls_json(pair.run)
    assert ["conflict"] == [problem.kind for problem in pair.run.problems]


@pytest.mark.parametrize(
    "other",
    [
        renamed(None, "x"),
        renamed(5, "x"),
        renamed("call_9", "x").replace(b'"x"', b"null"),
        renamed("call_9", "x").replace(b"call_9", b"\\ud83d"),
        renamed("call_9", "x").replace(b'"call_9"', b'"call_9","name":"x"'),
        renamed("call_9", "x").replace(b"step_1", b"step_2"),
        renamed("call_9", "x", last=True),
        delta("step_1", fragment(0, "x")),
    ],
)
def test_a_fragment_with_an_id_that_is_not_like_the_others_takes_the_general_way(other: bytes) -> None:
    pair = Pair()
    assert 1 == pair.fast(*BEGIN, *(renamed(f"call_{number}", "x") for number in (2, 3, 4)))
    assert 0 == pair.fast(other)
    assert 1 == pair.fast(renamed("call_8", "x"))


@pytest.mark.parametrize("last", [False, True], ids=["id first", "text first"])
def test_an_id_and_a_text_that_are_one_are_told_apart(*, last: bool) -> None:
    pair = Pair()
    assert 0 == pair.fast(*BEGIN, *(renamed(word, word, last=last) for word in "aa"))
    assert 2 == pair.fast(renamed("x", "y", last=last), renamed("z", "z", last=last))
    assert 0 == pair.fast(renamed("\ud83d", "\ud83d", last=last))


def test_an_id_that_stands_in_many_places_opens_no_template() -> None:
    many = [{**delta_payload("step_1", {"id": "x", **fragment(0, words)}), "z": ["x"] * 5} for words in "abcd"]
    assert 0 == Pair().fast(*BEGIN, *(event(STEP_DELTA, each) for each in many))


def test_another_id_is_told_once_before_its_fragments_take_the_fast_path() -> None:
    pair = Pair()
    assert 1 == pair.fast(*BEGIN, *(renamed("call_1", words) for words in "abc"))
    assert 0 == pair.fast(renamed("call_2", "d"), renamed("call_2", "e"))
    assert 1 == pair.fast(renamed("call_3", "f"))
    assert 1 == len(pair.run.problems)


def beside(**fields: object) -> Callable[[str], bytes]:
    """Return what makes a fragment with more at the root of its delta."""

    def shape(words: str) -> bytes:
        details = {"type": "tool_calls", "tool_calls": [fragment(0, words)]}
        return event(STEP_DELTA, {"id": "step_1", "delta": {"step_details": details, **fields}})

    return shape


def with_extra(words: str) -> bytes:
    return delta("step_1", {**fragment(0, words), "extra": dict[str, object]()})


@pytest.mark.parametrize(
    ("shape", "between"),
    [
        (beside(metadata={"name": "a"}), in_progress(metadata={"name": "b"})),
        (beside(x=dict[str, object]()), created(x=[{"index": 1, "y": 1}])),
        (
            with_extra,
            step_event("in_progress", "step_1", {**call("call_1", "f", ""), "extra": "x"}),
        ),
    ],
    ids=["kept first", "shape", "filled"],
)
def test_a_whole_object_may_change_what_fragments_left_alone(shape: Callable[[str], bytes], between: bytes) -> None:
    pair = Pair()
    assert 0 == pair.fast(*BEGIN, shape("a"), shape("b"))
    assert 1 == pair.fast(shape("c"), between)
    assert 0 == pair.fast(shape("d"))


def test_templates_are_learned_of_so_many_bytes_and_no_more() -> None:
    run = Accumulator()
    long = "x" * 3_000
    for index in range(400):
        run.feed(delta("step_1", {**opening(index, f"call_{index}", "f"), "p": long}))
        for _ in range(2):
            run.feed(delta("step_1", {"name": "f", **fragment(index, "a"), "server_label": long}))
    kept = heads(run)
    assert MAX_LEARNED * 0.9 < sum(map(len, kept)) + len(kept) * 3_000 < MAX_LEARNED * 1.1
    run.feed(completed("step_1"))
    assert ([], 0) == (heads(run), run._engine.fast_path._learned)


def test_a_server_that_never_sends_the_same_twice_fills_no_memory() -> None:
    run = Accumulator()
    run.feed(b"".join(BEGIN))
    for number in range(1_000):
        run.feed(delta("step_1", {"id": f"call_{number}", **fragment(0, "a")}))
    assert len(heads(run)) <= 10
    for number in range(100):
        run.feed(delta("step_1", {**opening(number + 1, "c" * number or "c", "f")}))
        for _ in range(3):
            run.feed(delta("step_1", {"id": "c" * number or "c", **fragment(number + 1, "a")}))
    assert 8 == len({len(head) for head in heads(run)})


def test_templates_whose_heads_are_one_take_turns_and_are_forgotten_each_by_its_step() -> None:
    pair = Pair()
    last = SHAPES["the step's id last"]
    first = [last(words) for words in "abc"]
    second = [each.replace(b"step_1", b"step_2") for each in first]
    assert 3 == pair.fast(*BEGIN, *first, *first[1:], first[0].replace(b"step_1", b"step_9"))
    assert 1 == pair.fast(*(each.replace(b"step_1", b"step_2") for each in BEGIN), *second)
    assert 0 == pair.fast(first[0], completed("step_1"))
    assert (0, 1) == (pair.fast(second[0]), pair.fast(second[1]))


OPENED: dict[str, Callable[[int], list[bytes]]] = {
    "calls": lambda number: [created(f"step_{number}"), delta(f"step_{number}", opening(0, f"call_{number}", "f"))],
    "parts": lambda number: [delta("step_1", opening(number, f"call_{number}", "f"))],
}


@pytest.mark.parametrize("spelled", ["plain", "no type", "null beside it", "spaces", "escapes"])
@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_a_template_is_foretold_for_the_parts_that_come_after_one_like_them(
    opened: Callable[[int], list[bytes]], spelled: str
) -> None:
    """For the parts of other steps, and for those of other indexes."""
    pair, shape = Pair(), SHAPES[spelled]
    steps = opened is OPENED["calls"]

    def of(number: int, words: str) -> bytes:
        whole = shape(words)
        if steps:
            return whole.replace(b"step_1", b"step_%d" % number)
        return re.sub(rb'("index" ?: ?)0', rb"\g<1>%d" % number, whole)

    assert 0 == pair.fast(created(), *opened(1), of(1, "x"))
    for number in (2, 13, 400):
        assert len(WORDS) == pair.fast(*opened(number), *(of(number, words) for words in WORDS))


def test_so_it_is_for_envelopes_and_not_if_the_text_stands_before_the_id() -> None:
    pair, shape = Pair(), SHAPES["an envelope"]
    opened = [
        event(None, {"event": STEP_DELTA, "data": delta_payload("step_1", opening(n, f"c{n}", "f"))}) for n in (0, 1)
    ]
    assert 0 == pair.fast(created(), opened[0], shape("a"), opened[1])
    assert 1 == pair.fast(shape("b").replace(b'"index":0', b'"index":1'))
    pair, shape = Pair(), SHAPES["the step's id last"]
    assert 0 == pair.fast(created(), *OPENED["parts"](0), shape("a"), *OPENED["parts"](1))
    assert 0 == pair.fast(shape("b").replace(b'"index":0', b'"index":1'))


def with_outputs(words: str, outputs: object = ()) -> bytes:
    """Return a fragment of code with its outputs beside it."""
    code = {"input": words, "outputs": list(cast("list[object]", outputs))}
    return delta("step_1", {"index": 0, "type": "code_interpreter", "code_interpreter": code})


def code(**fields: object) -> dict[str, object]:
    """Return the first delta of a call of the code interpreter."""
    return {"index": 0, "id": "call_2", "type": "code_interpreter", "code_interpreter": {"input": "", **fields}}


NESTED: dict[str, object] = {"index": 0, "id": "call_2", "type": "t", "outs": [{"index": 0, "logs": ""}]}
FRAGMENTS: dict[str, Callable[[str], bytes]] = {
    "plain": SHAPES["plain"],
    "null": SHAPES["null beside it"],
    "no outputs": with_outputs,
    "in a list": lambda words: delta("step_1", {"index": 0, "outs": [{"index": 0, "logs": words}]}),
    "an output": lambda words: with_outputs(words, [{"index": 0, "type": "logs"}]),
}
OTHERWISE: dict[str, tuple[str, dict[str, object]]] = {
    "another type": ("plain", {**opening(0, "call_2", "f"), "type": "other"}),
    "no function": ("plain", {"index": 0, "id": "call_2", "type": "function"}),
    "no text": ("plain", {"index": 0, "id": "call_2", "type": "function", "function": {"arguments": 1}}),
    "no type": ("plain", {"index": 0, "id": "call_2", "function": {"arguments": ""}}),
    "no id": ("plain", {"index": 0, "type": "function", "function": {"arguments": ""}}),
    "no index": ("plain", {"id": "call_2", "type": "function", "function": {"arguments": ""}}),
    "a field less": ("null", {"index": 0, "id": "call_2", "type": "function", "function": {"arguments": ""}}),
    "a list less": ("no outputs", code()),
    "an entry less": ("an output", code(outputs=[])),
    "a text of the same name": ("in a list", {**NESTED, "logs": ""}),
}


@pytest.mark.parametrize(("shape", "part"), OTHERWISE.values(), ids=OTHERWISE)
def test_nothing_is_foretold_for_a_part_that_such_a_fragment_would_change_otherwise(
    shape: str, part: dict[str, object]
) -> None:
    pair, fragments = Pair(), FRAGMENTS[shape]
    first = NESTED if shape == "in a list" else code(outputs=[])
    begin = BEGIN if shape in {"plain", "null"} else (created(), delta("step_1", first))
    assert pair.fast(*begin, *map(fragments, "abc"))
    other = fragments("d").replace(b"step_1", b"step_2")
    assert 0 == pair.fast(created("step_2"), delta("step_2", part), other)


def test_nothing_is_foretold_for_a_part_whose_index_was_only_assumed() -> None:
    pair, fragments = Pair(), SHAPES["id and name again"]
    details = {"type": "tool_calls", "tool_calls": [call("call_1", "f", "")]}
    assert pair.fast(*BEGIN, *map(fragments, "abc"))
    begin = (created("step_2", step_details=details), delta("step_2", function(0, arguments="x")))
    assert 0 == pair.fast(*begin, fragments("d").replace(b"step_1", b"step_2"))


@pytest.mark.parametrize("value", [5, {"x": 1}, [1]])
def test_a_template_that_was_foretold_for_an_empty_text_is_forgotten_when_that_is_replaced(value: object) -> None:
    pair = Pair()
    pair.fast(created(), delta("step_1", opening(0, "call_1", "f")), SHAPES["plain"]("a"))
    pair.fast(created("step_2"), delta("step_2", opening(0, "call_2", "f")))
    other = SHAPES["plain"]("b").replace(b"step_1", b"step_2")
    assert 0 == pair.fast(delta("step_2", function(0, arguments=value)), other)
    assert ["shape"] == [problem.kind for problem in pair.run.problems]


# What may come about a call, of a few steps and indexes: most of it lets texts grow, the rest changes what they are.
SENT: dict[str, Callable[[str, int], bytes]] = {
    "opening": lambda step, index: delta(step, opening(index, f"call_{index}", "f")),
    "null": lambda step, index: delta(step, {**function(index, arguments=None), "id": f"call_{index}"}),
    "a": lambda step, index: delta(step, fragment(index, "a")),
    "b": lambda step, index: delta(step, fragment(index, "b")),
    "empty": lambda step, index: delta(step, fragment(index, "")),
    "id": lambda step, index: delta(step, {**fragment(index, "c"), "id": f"call_{index}"}),
    "other id": lambda step, index: delta(step, {**fragment(index, "d"), "id": "call_9"}),
    "value": lambda step, index: delta(step, function(index, arguments=5)),
    "object": lambda step, index: delta(step, function(index, arguments={"x": 1})),
    "no object": lambda step, index: delta(step, {"index": index, "function": "text"}),
    "type": lambda step, index: delta(step, {"index": index, "type": "other"}),
    "no index": lambda step, _: delta(step, {"type": "function", "function": {"arguments": "e"}}),
    "two": lambda step, index: delta(step, fragment(index, "f"), fragment(index + 1, "g")),
    "field": lambda step, index: delta(step, {"index": index, "x": 1}),
    "created": lambda step, _: created(step),
    "in_progress": lambda step, index: in_progress(step, x=index),
    "again": lambda step, _: in_progress(step),
    "done": lambda _, __: DONE,
    "completed": lambda step, index: completed(step, [call(f"call_{index}", "f", "ab")]),
}
sent = st.tuples(
    st.sampled_from(list(SENT)) | st.sampled_from(["opening", "a", "b"]),
    st.sampled_from(["step_1", "step_2"]),
    st.integers(0, 1),
)


@pytest.mark.parametrize("checkpoints", [True, False])
@given(sent=st.lists(sent, max_size=40))
@example(sent=[(kind, step, 0) for step in ("step_1", "step_2") for kind in ("created", "opening", "a", "value", "b")])
@example(
    sent=[
        ("created", "step_2", 0),
        ("opening", "step_1", 0),
        ("a", "step_1", 0),
        ("opening", "step_2", 0),
        ("value", "step_2", 0),
        ("a", "step_2", 0),
    ]
)
def test_whatever_comes_about_a_call_the_fast_path_agrees(
    sent: list[tuple[str, str, int]],
    *,
    checkpoints: bool,
) -> None:
    Pair(checkpoints=checkpoints).fast(*(SENT[kind](step, index) for kind, step, index in sent))


def test_fragments_with_ids_of_their_own_are_in_what_is_read_after_each() -> None:
    pair = Pair()
    pair.fast(*BEGIN)
    for number, words in enumerate("abcd"):
        taken = pair.fast(delta("step_1", {**function(0, arguments=words), "id": f"other_{number}"}))
        assert (number > 1) == taken
        assert [call("call_1", "f", "abcd"[: number + 1])] == calls_json(pair.run)


def test_the_first_fragment_of_a_body_goes_the_general_way() -> None:
    pair = Pair()
    assert 1 == pair.fast(*BEGIN, *map(SHAPES["plain"], "xyz"))
    assert 1 == pair.fast(DONE, *map(SHAPES["plain"], "ab"))


@pytest.mark.parametrize("drain", [True, False])
def test_the_first_fragment_of_a_stream_begins_its_body(drain: bool) -> None:  # noqa: FBT001 - a parameter
    outcomes: list[str | None] = []

    def fragments(run: Accumulator) -> Iterator[bytes]:
        for words in "ab":
            yield SHAPES["plain"](words)
            outcomes.append(run.outcome)

    run = Accumulator()
    run.feed(b"".join([*BEGIN, *map(SHAPES["plain"], "xyz"), DONE]))
    stream = accumulate(fragments(run), into=run)
    if drain:
        stream.until_done()
    assert drain or [BodyEnded(8, "truncated", ("step_1",))] == list(stream)[-1:]
    assert [None, None] == outcomes
    assert [call("call_1", "f", "xyzab")] == calls_json(run)


def named_again(name: str) -> bytes:
    """Return an event whose data is an envelope of the first event about a step."""
    return event(name, {"event": "thread.run.step.created", "data": {"id": "step_1"}})


AGAIN: dict[str, tuple[int, list[bytes]]] = {
    "it": (1, [created(), in_progress()]),
    "twice": (2, [created(), in_progress(), created()]),
    "a message": (
        1,
        [
            event("thread.message.created", {"id": "msg_1", "content": []}),
            event("thread.message.in_progress", {"id": "msg_1", "content": []}),
        ],
    ),
    "after another event": (2, [created(), in_progress(), event("thread.created", {"id": "thread_1"}), in_progress()]),
    "after another step": (0, [created(), created("step_2"), in_progress()]),
    "other bytes": (0, [created(), in_progress(x=1)]),
    "after a part": (0, [created(), delta("step_1", opening(0, "call_1", "f")), in_progress()]),
    "after the ending": (0, [created(), completed(), in_progress()]),
    "no data": (0, [created(), completed(), b"event: thread.run.step.created\ndata:\n\n"]),
    "as an ending": (0, [created(), created().replace(b"step.created", b"step.completed")]),
    "as a delta": (0, [created(), created().replace(b"step.created", b"step.delta")]),
    "as another object": (0, [created(), created().replace(b"run.step.created", b"message.created")]),
    "in an envelope": (0, [event(None, {"event": "thread.run.step.created", "data": {"id": "step_1"}})] * 2),
    "in an envelope of its name": (
        0,
        [named_again("thread.run.step.created"), named_again("thread.run.step.in_progress")],
    ),
    "first in the next body": (0, [created(), DONE, in_progress()]),
    "later in the next body": (0, [created(), DONE, event("thread.created", {"id": "thread_1"}), in_progress()]),
}


@pytest.mark.parametrize(("taken", "events"), AGAIN.values(), ids=AGAIN)
def test_an_object_that_comes_again_byte_for_byte_is_not_decoded(
    taken: int, events: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, names = Pair(checkpoints=False), list[str]()
    decode = Assistants.decode

    def count(self: Assistants, name: str, data: bytes | str, *, torn: bool, openers: int) -> Event[Update]:
        names.append(name)
        return decode(self, name, data, torn=torn, openers=openers)

    monkeypatch.setattr(Assistants, "decode", count)
    assert 0 == pair.fast(*events)
    assert 2 * taken == 4 * len(events) - len(names)  # two runs of four are without the fast path
    assert pair.run.to_bytes() == pair.general.to_bytes()


@pytest.mark.parametrize("kind", [RUN_STEPS, MESSAGES], ids=lambda kind: str(kind.name))
def test_the_events_that_send_an_object_again_are_those_of_the_protocol(kind: ResourceType[Update]) -> None:
    rows = {name: row for name, row in EVENTS.items() if row.resource is kind}
    assert {name.encode() for name, row in rows.items() if row.role == "repeat"} == kind.repeated_by


def test_an_object_that_comes_again_names_the_run_of_a_body_that_began_before() -> None:
    step, late = created(run_id="run_1"), run_event("completed", id="run_9")
    runs = [Accumulator(), without_templates()]
    for run in runs:
        older = accumulate([event("thread.created", {}), step, late], into=run)
        newer = accumulate([run_event("in_progress", id="run_9"), step, late], into=run)
        assert [1, 2, 3, 4, 5, 6] == [next(each).event_number for each in (older, newer, newer, older, newer, older)]
        ends = [BodyEnded(6, "completed", ("step_1",)), BodyEnded(6, "truncated", ("step_1",))]
        assert ends == [next(each) for each in (newer, older)]
    assert runs[0].to_bytes() == runs[1].to_bytes()


def test_an_object_that_came_in_an_older_body_names_the_run_of_the_last_one() -> None:
    step, other = created(run_id="run_1"), run_event("completed", id="run_2")
    ends: list[Update] = []
    for run in (Accumulator(), without_templates()):
        older, last = run._new_feed(), run._new_feed()
        for feed, events in ((older, event("thread.created", {})), (last, event("thread.created", {}))):
            applied(feed, events)
        applied(older, step)
        applied(last, step + run_event("created", id="run_2") + other)
        ends += last.end()
    assert [BodyEnded(6, "truncated", ("step_1",))] * 2 == ends


def applied(feed: Feed[Update], events: bytes) -> None:
    """Apply events of a source."""
    feed.push(events)
    while feed.step() is not None:
        pass


def test_a_template_that_was_foretold_leaves_the_moment_of_an_update_before_it() -> None:
    run = Accumulator()
    run.feed(b"".join([*BEGIN, SHAPES["plain"]("a"), SHAPES["plain"]("b")]))
    run.feed(created("step_2") + delta("step_2", opening(0, "call_2", "f")))
    run.feed(event("thread.run.step.in_progress", {"id": "step_2", "x": 1}))
    [updated] = run.feed(event("thread.run.step.in_progress", {"id": "step_2", "x": 2}))
    run.feed(delta("step_2", opening(1, "call_3", "f")))
    run.feed(b"".join(delta("step_2", fragment(1, words)) for words in "abc"))
    assert isinstance(updated, RunStepUpdated)
    assert [call("call_2", "f", "")] == [each.to_dict() for each in updated.run_step.tool_calls]
    assert [call("call_2", "f", ""), call("call_3", "f", "abc")] == calls_json(run, "step_2")


def test_a_text_that_was_foretold_to_grow_is_noted_in_the_moment_before() -> None:
    run = Accumulator()
    run.feed(b"".join([*BEGIN, SHAPES["plain"]("a"), SHAPES["plain"]("b")]))
    run.feed(created("step_2") + delta("step_2", opening(0, "call_2", "f")) + delta("step_2", {"index": 0, "x": 1}))
    [updated] = run.feed(in_progress("step_2", x=2))
    run.feed(delta("step_2", {"index": 0, "y": 1}))
    run.feed(b"".join(delta("step_2", fragment(0, words)) for words in "abc"))
    assert isinstance(updated, RunStepUpdated)
    assert [""] == [each.to_dict()["function"]["arguments"] for each in updated.run_step.tool_calls]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def test_what_is_forgotten_is_not_held_for_parts_that_may_come() -> None:
    run = Accumulator()
    run.feed(b"".join([*BEGIN, *map(SHAPES["plain"], "ab")]))
    fast = run._engine.fast_path
    assert [1] == [len(each) for each in fast._unmade.values()]
    run._forget()
    assert {} == fast._unmade


def test_so_many_families_are_kept() -> None:
    run = Accumulator()
    run.feed(created())
    for number in range(9):
        run.feed(delta("step_1", opening(number, f"call_{number}", "f")))
        run.feed(delta("step_1", fragment(number, "a")).replace(b'"delta":', b'"delta":' + b" " * number))
    assert [fast_path._MAX_FAMILIES] == [len(each) for each in run._engine.fast_path._families.values()]


def test_a_long_event_opens_no_template() -> None:
    shape = SHAPES["plain"]
    assert 0 == Pair().fast(*BEGIN, *[shape("x" * MAX_DATA)] * 4)


@pytest.mark.parametrize("at", [2, 5])
def test_a_snapshot_in_between_is_as_of_then(at: int) -> None:
    run = Accumulator()
    shape = SHAPES["plain"]
    run.feed(b"".join([*BEGIN, *map(shape, "abcdefgh"[:at])]))
    before, part = run.run_steps(), run.tool_call("step_1", 0)
    run.feed(shape("x"))
    again = run.tool_call("step_1", 0)
    run.feed(shape("y"))
    words = "abcdefgh"[:at]
    assert [call("call_1", "f", words)] == [each.to_dict() for step in before for each in step.tool_calls]
    assert [call("call_1", "f", text) for text in (words, words + "x")] == [
        each.to_dict() for each in (part, again) if each is not None
    ]
    assert [call("call_1", "f", words + "xy")] == calls_json(run)


def test_a_drain_and_a_loop_come_to_the_same() -> None:
    body = b"".join([*BEGIN, *map(SHAPES["plain"], "abcdef"), completed(calls=[call("call_1", "f", "")]), DONE])
    looped, drained = Accumulator(), Accumulator()
    stream = accumulate([body[:500], body[500:]], into=looped)
    updates = list(stream)
    accumulate([body[:500], body[500:]], into=drained).until_done()
    assert looped.to_bytes() == drained.to_bytes()
    assert updates == Accumulator().feed(body)


def test_a_drain_stops_at_an_event_that_is_too_large_and_goes_on_behind_it() -> None:
    shape = SHAPES["plain"]
    body = b"".join([*BEGIN, *map(shape, "abcde"), shape("x" * 2_000), *map(shape, "fgh"), DONE])
    stream = accumulate([body], into=Accumulator(limits=Limits(max_event_size=1_000)))
    with pytest.raises(LimitError, match="event 8: "):
        stream.until_done()
    assert [call("call_1", "f", "abcde")] == calls_json(stream.accumulator)
    stream.until_done()
    assert [call("call_1", "f", "abcdefgh")] == calls_json(stream.accumulator)


def test_a_loop_may_go_on_as_a_drain_and_the_other_way_round() -> None:
    wrong = event("done", b"x")
    body = b"".join([*BEGIN, *map(SHAPES["plain"], "abc"), wrong, *map(SHAPES["plain"], "def"), DONE])
    stream = accumulate([body], strict=True)
    assert 4 == [next(stream).event_number for _ in range(5)][-1]
    with pytest.raises(Exception, match="undecodable"):
        stream.until_done()
    assert [7, 8, 9, 10] == [update.event_number for update in stream]


def test_an_event_that_msgspec_does_not_decode_opens_no_template() -> None:
    wrong = [delta("step_1", function(0, arguments=words, name="\ud83d")) for words in "abcd"]
    assert 0 == Pair().fast(created(), delta("step_1", opening(0, "call_1", "\ud83d")), *wrong)


def within(call: str) -> bytes:
    """Return a delta of one call, as its JSON text is."""
    return event(STEP_DELTA, f'{{"id":"s","delta":{{"step_details":{{"type":"t","tool_calls":[{call}]}}}}}}'.encode())


@pytest.mark.parametrize(
    "calls",
    [
        [
            '{"index":0,"function":{"arguments":"","arguments":"arguments"}}',
            '{"index":0,"function":{"arguments":"","zzz":"arguments"}}',
        ],
        [
            '{"index":0,"id":"d","function":{"arguments":"x"}}',
            '{"index":0,"id":"a","id":"id","function":{"arguments":"y"}}',
            '{"index":0,"id":"a","name":"id","function":{"arguments":"y"}}',
        ],
        [
            '{"index":0,"l":[{"index":1,"logs":"","logs":"logs"}]}',
            '{"index":0,"l":[{"index":2,"logs":"","zz":"logs"}]}',
        ],
        [
            '{"index":0,"x1":[{"index":2,"logs":""}],"x1":[{"index":1,"logs":"a"}]}',
            '{"index":0,"x1":[{"index":2,"logs":""}],"x3":[{"index":1,"logs":"a"}]}',
        ],
    ],
    ids=["text", "id", "entry", "digits in a key"],
)
def test_a_key_that_stands_twice_and_is_like_the_text_is_not_taken_for_it(calls: list[str]) -> None:
    opening = '{"index":0,"id":"c","type":"u","function":{"arguments":"x"},"l":[{"index":0}],"x1":[{"index":0}]}'
    pair = Pair()
    assert 0 == pair.fast(*(within(each) for each in (opening, *calls[:2])))
    pair.fast(*(within(each) for each in calls))


@pytest.mark.parametrize("words", ["arguments", "function", "tool_calls", "delta", "index", "type", "step_1"])
def test_a_text_may_be_a_key_or_another_value_of_its_event(words: str) -> None:
    pair = Pair()
    shape = SHAPES["plain"]
    assert 0 == pair.fast(*BEGIN, shape("x"), shape(words))
    assert 2 == pair.fast(shape("y"), shape(words))


def test_a_strict_drain_raises_what_a_loop_does() -> None:
    wrong = delta("step_1", {"index": 1, "type": "a"}, {"index": None, "type": "b"})
    drained, looped = (accumulate([b"".join([*BEGIN, wrong])], strict=True) for _ in range(2))
    with pytest.raises(MergeError) as of_drain:
        drained.until_done()
    with pytest.raises(MergeError) as of_loop:
        list(looped)
    assert list(of_loop.value.updates) == list(of_drain.value.updates)
    assert 5 == len(of_drain.value.updates)


@pytest.mark.parametrize("keys", [["x"], ["a", 1], ["a", 0, "b"], ["a", "b"]])
def test_what_stands_in_the_way_of_a_slot_is_not_its_value(keys: list[str | int]) -> None:
    assert templates._value_at({"a": ["text"]}, keys) is None


def grow(step_id: str, words: str) -> bytes:
    return delta(step_id, function(0, arguments=words))


def interleaved(*words: str) -> list[bytes]:
    """Return fragments of two steps in turn."""
    return [grow(step_id, each) for each in words for step_id in ("step_1", "step_2")]


BOTH = [
    each
    for step_id in ("step_1", "step_2")
    for each in (created(step_id), delta(step_id, {**function(0, name="f", arguments=""), "id": f"call_{step_id}"}))
]


def test_what_followed_a_template_before_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Accumulator()
    run.feed(b"".join([*BOTH, *interleaved("a", "b", "c", "d")]))
    run._engine.fast_path.tables = {}
    monkeypatch.setattr(Engine, "apply", None)
    assert ["e", "e", "f", "f"] == [
        update.delta.to_dict()["function"]["arguments"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
        for update in run.feed(b"".join(interleaved("e", "f")))
        if isinstance(update, ToolCallDelta)
    ]


def test_a_template_that_was_forgotten_does_not_follow_another() -> None:
    pair = Pair()
    pair.fast(*BOTH, *interleaved("a", "b", "c", "d"))
    pair.fast(completed("step_2", [call("call_step_2", "f", "abcd")]))
    assert {} == pair.run._engine.fast_path._followers  # what has ended is not kept for that
    pair.fast(grow("step_1", "e"))
    assert 0 == pair.fast(grow("step_2", "late"))
    assert ["late"] == [problem.kind for problem in pair.run.problems]


def test_what_is_expected_is_so_for_events_of_one_name_only() -> None:
    pair = Pair()
    pair.fast(*BOTH, *interleaved("a", "b", "c", "d"))
    payload = delta_payload("step_1", function(0, arguments="x"))
    assert 0 == pair.fast(event("thread.message.delta", payload), event("x", payload))
    assert 1 == pair.fast(grow("step_1", "e"))


def test_a_part_that_has_a_template_is_not_foretold_another(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    pair.fast(*BEGIN, *(grow("step_1", each) for each in "ab"))
    known = heads(pair.run)
    monkeypatch.setattr(fast_path._Family, "foretell", None)
    assert 0 == pair.fast(delta("step_1", function(0, arguments="c", output="")))
    assert known == heads(pair.run)
    assert 1 == pair.fast(grow("step_1", "d"))
