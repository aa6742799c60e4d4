"""Fold a second protocol, Chat Completions, with the engine, the streams and the fast path that Assistants runs use."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import MergeError, SSEParser
from accumulator._streams.coalesce import Coalescer
from accumulator._streams.sources import make_source
from accumulator._streams.streams import UpdateStream
from tests.chat_chunks import Chat, ChatAccumulator, Grown, Said
from tests.conftest import real_recordings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from accumulator import ServerSentEvent
    from tests.chat_chunks import Update

HEAD: dict[str, object] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def chunk(*choices: object, **fields: object) -> bytes:
    payload = {**HEAD, "choices": list(choices), **fields}
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def choice(index: object, finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def call(index: int, **fields: object) -> dict[str, object]:
    return {"index": index, **fields}


def opened(index: int, ident: str, name: str) -> dict[str, object]:
    return call(index, id=ident, type="function", function={"name": name, "arguments": ""})


def grown(index: int, arguments: str) -> dict[str, object]:
    return call(index, function={"arguments": arguments})


def completion(run: ChatAccumulator, ident: str = "chatcmpl-1") -> dict[str, object]:
    return cast("dict[str, object]", run._engine.resources["completions"][ident].json())


def folded(*chunks: bytes) -> ChatAccumulator:
    run = ChatAccumulator()
    run.feed(b"".join(chunks))
    run.end()
    return run


def told(updates: Iterable[Update]) -> list[str]:
    return [update.what if isinstance(update, (Grown, Said)) else update.outcome for update in updates]


RUN = [
    chunk(choice(0, role="assistant", content="")),
    chunk(choice(0, content="Zü")),
    chunk(choice(0, content="rich")),
    chunk(choice(0, tool_calls=[opened(0, "call_a", "f")])),
    chunk(choice(0, tool_calls=[grown(0, '{"a"')])),
    chunk(choice(0, tool_calls=[opened(1, "call_b", "g")])),
    chunk(choice(0, tool_calls=[grown(0, ":1}")])),
    chunk(choice(0, tool_calls=[grown(1, "{}")])),
    chunk(choice(0, "tool_calls")),
    chunk(usage=USAGE),
    DONE,
]
CALLS = [
    {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
WHOLE = {
    **HEAD,
    "choices": [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "Zürich", "tool_calls": CALLS},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
}


def test_chunks_are_folded_to_a_completion() -> None:
    run = folded(*RUN)
    assert completion(run) == WHOLE
    assert (run.outcome, [*run._problems_so_far()]) == ("tool_calls", [])


@pytest.mark.parametrize("resumed", ["resumed", ""])
def test_a_choice_without_an_index_that_has_ended_is_not_continued(resumed: str) -> None:
    run = ChatAccumulator()
    run.feed(chunk({"delta": {"content": "a"}, "finish_reason": "stop"}))
    run = ChatAccumulator.from_bytes(run.to_bytes()) if resumed else run
    run.feed(chunk({"delta": {"content": "b"}}))
    choices = [{"delta": {"content": "a"}, "finish_reason": "stop"}, {"delta": {"content": "b"}}]
    assert choices == completion(run)["choices"]


def test_updates_tell_what_happened_to_a_choice() -> None:
    run = ChatAccumulator()
    updates = run.feed(b"".join(RUN))
    assert told(updates) == [
        "created",
        "choice created",
        *["choice delta"] * 9,
        "choice done",
        "updated",
        "tool_calls",
    ]
    (done,) = [update for update in updates if isinstance(update, Grown) and update.what == "choice done"]
    assert (9, 0, "tool_calls") == (done.event_number, done.index, done.delta.to_dict()["finish_reason"])


@pytest.mark.parametrize("seed", range(20))
def test_choices_and_calls_may_come_in_any_order(seed: int) -> None:
    """Shuffle the deltas of two choices, the second with two calls. Each choice and call keeps its own order."""
    queues = [
        [choice(0, content=text) for text in ("a", "b", "c")],
        [choice(1, tool_calls=[each]) for each in (opened(1, "call_b", "g"), grown(1, "{"), grown(1, "}"))],
        [choice(1, tool_calls=[each]) for each in (opened(0, "call_a", "f"), grown(0, '{"a"'), grown(0, ":1}"))],
    ]
    order = random.Random(seed).sample([0, 1, 2] * 3, 9)  # noqa: S311 - not for security
    chunks = [chunk(queues[which].pop(0)) for which in order]
    run = folded(*chunks, chunk(choice(1, "tool_calls"), choice(0, "stop")), DONE)
    first, second = cast("list[dict[str, object]]", completion(run)["choices"])
    assert {"index": 0, "delta": {"content": "abc"}, "finish_reason": "stop"} == first
    assert {"index": 1, "delta": {"tool_calls": CALLS}, "finish_reason": "tool_calls"} == second


def test_the_fast_path_takes_fragments_of_nameless_events() -> None:
    run = ChatAccumulator()
    run.feed(b"".join(chunk(choice(0, content=text)) for text in ("a", "b", "c")))
    run._own.push(chunk(choice(0, content="dé\n")))
    fragment = run._own.next_fragment()
    assert isinstance(fragment, Grown)
    assert (4, choice(0, content="dé\n")) == (fragment.event_number, fragment.delta.to_dict())
    assert {"choices": [choice(0, content="abcdé\n")], **HEAD} == completion(run)


@pytest.mark.parametrize("field", ["created", "model", "x"])
def test_a_template_is_forgotten_when_a_value_in_it_is_replaced(field: str) -> None:
    runs = [ChatAccumulator(), ChatAccumulator()]
    runs[1]._engine.fast_path.enabled = False
    for number, text in ((7, "abcd"), (8, "e"), (7, "fgh")):
        for run in runs:
            run.feed(b"".join(chunk(choice(0, content=each), **{field: number}) for each in text))
    assert [completion(run)[field] for run in runs] == [7, 7]
    assert runs[0].to_bytes() == runs[1].to_bytes()


def content(index: int, text: str, made: int) -> bytes:
    return chunk(choice(index, content=text), created=made)


def arguments(index: int, text: str) -> bytes:
    return chunk(choice(0, tool_calls=[grown(index, text)]))


def finish(index: int, reason: str | None) -> bytes:
    return chunk(choice(index, reason))


indexes, texts = st.integers(0, 2), st.text(max_size=3)
ODD = [chunk(usage=USAGE), chunk(choice("x")), chunk(choices=5), chunk(choices=["x"]), chunk(id=""), DONE]
fragments = st.lists(
    st.one_of(
        st.builds(content, indexes, texts, st.integers(0, 1)),
        st.builds(arguments, indexes, texts),
        st.builds(finish, indexes, st.sampled_from(["stop", None])),
        st.sampled_from(ODD),
    ),
    max_size=30,
)


@given(fragments, st.integers(1, 40))
def test_the_fast_path_cuts_and_drains_change_nothing(chunks: list[bytes], size: int) -> None:
    general, fast, drained = ChatAccumulator(), ChatAccumulator(), ChatAccumulator()
    general._engine.fast_path.enabled = False
    stream = b"".join(chunks)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    expected = [update for each in chunks for update in general.feed(each)]
    assert expected == [update for piece in pieces for update in fast.feed(piece)]
    assert general.to_bytes() == fast.to_bytes()
    expected += general.end()
    stream_of(pieces, drained).until_done()
    assert state_of(general) == state_of(drained)
    assert expected == list(stream_of(pieces, ChatAccumulator()))


def stream_of(pieces: list[bytes], run: ChatAccumulator) -> UpdateStream[ChatAccumulator, Update]:
    return UpdateStream(make_source(pieces, "accumulate", "aaccumulate"), run)


def state_of(run: ChatAccumulator) -> tuple[object, ...]:
    completions = {name: each.json() for name, each in run._engine.resources["completions"].items()}
    return completions, run.outcome, list(run._problems_so_far())


def test_a_checkpoint_in_mid_stream_changes_nothing() -> None:
    for cut in range(len(RUN)):
        run = ChatAccumulator()
        run.feed(b"".join(RUN[:cut]))
        run = ChatAccumulator.from_bytes(run.to_bytes())
        run.feed(b"".join(RUN[cut:]))
        assert (WHOLE, "tool_calls") == (completion(run), run.outcome)


def test_fast_deltas_of_a_choice_are_merged_for_a_display() -> None:
    now = [0.0]
    coalescer = Coalescer(1.0, lambda: now[0], Chat().fragment)
    run = ChatAccumulator()
    out = [coalescer.push(run.feed(each)) for each in RUN[:8]]
    assert [3, 0, 0, 0, 0, 0, 0, 0] == list(map(len, out))
    (merged,) = coalescer.flush()
    assert isinstance(merged, Grown)
    delta = {"content": "Zürich", "tool_calls": [{"index": index, **each} for index, each in enumerate(CALLS)]}
    assert {"index": 0, "delta": delta, "finish_reason": None} == merged.delta.to_dict()


def test_an_error_a_problem_and_a_cut_stream_are_told() -> None:
    assert "error" == folded(RUN[0], b'data: {"error": {"message": "no"}}\n\n', DONE).outcome
    assert "truncated" == folded(*RUN[:4]).outcome
    run = ChatAccumulator(strict=True)
    with pytest.raises(
        MergeError, match=r"^index at \$\.choices\[0\]\.index \(event 1, chatcmpl-1\): expected an integer"
    ):
        run.feed(chunk(choice(-1, content="a")))
    assert ["index at $.choices[0].index"] == told(run._problems_so_far())
    assert ["undecodable at $", "truncated"] == told([*folded_updates(b"data: {\n\n")])


def folded_updates(stream: bytes) -> Iterable[Update]:
    run = ChatAccumulator()
    return itertools.chain(run.feed(stream), run.end())


# The recorded streams of real servers.


def recordings() -> list[Path]:
    folder = real_recordings()
    return [] if folder is None else sorted((folder / "chat").glob("*.sse"))


@pytest.mark.parametrize("path", recordings() or [None], ids=lambda path: "none" if path is None else path.stem)
def test_real_streams_give_what_their_chunks_say(path: Path | None) -> None:
    if path is None:
        pytest.skip("no recordings of chat completions beside the project, nor in ACCUMULATOR_RECORDINGS")
    stream = path.read_bytes()
    run = folded(stream)
    chunks = [json.loads(event.data) for event in events(stream) if event.data != "[DONE]"]
    idents = {each["id"] for each in chunks if each["id"]}
    assert idents
    for ident in idents:
        for index in {each["index"] for chunk in chunks if chunk["id"] == ident for each in chunk["choices"]}:
            deltas = [
                each["delta"]
                for chunk in chunks
                if chunk["id"] == ident
                for each in chunk["choices"]
                if each["index"] == index
            ]
            folded_choice = next(each for each in choices_of(run, ident) if each["index"] == index)
            delta = cast("dict[str, object]", folded_choice["delta"])
            for field in ("content", "reasoning", "reasoning_content"):
                texts = [each[field] for each in deltas if isinstance(each.get(field), str)]
                if texts and all(isinstance(each.get(field), str | None) for each in deltas):
                    assert "".join(texts) == delta[field]
            names = [one["function"]["name"] for each in deltas for one in calls_in(each) if "id" in one]
            calls = cast("list[dict[str, dict[str, str]]]", delta.get("tool_calls") or [])
            assert names == [each["function"]["name"] for each in calls]
            assert all(isinstance(json.loads(each["function"]["arguments"]), dict) for each in calls)
    assert run.outcome in {"stop", "tool_calls"}


def events(stream: bytes) -> list[ServerSentEvent]:
    parser = SSEParser()
    found = parser.feed(stream)
    last = parser.end()
    return [*found, *([last] if last else [])]


def calls_in(delta: dict[str, object]) -> list[dict[str, dict[str, object]]]:
    return cast("list[dict[str, dict[str, object]]]", delta.get("tool_calls") or [])


def choices_of(run: ChatAccumulator, ident: str) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", completion(run, ident)["choices"])
