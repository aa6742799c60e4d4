"""Recordings, folded: the server itself says what must come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    ContentDelta,
    MessageCreated,
    MessageDone,
    RequiresAction,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    TextDeltaBlock,
)

if TYPE_CHECKING:
    from pathlib import Path

    from accumulator import Update

ENDING = "thread.run.step.completed"
MESSAGE_DELTA = "thread.message.delta"
MESSAGE_ENDINGS = frozenset({"thread.message.completed", "thread.message.incomplete"})


class Expected(NamedTuple):
    """What folding the bodies of one run must give.

    `exact` tells whether what was streamed equals the ending's `step_details` in every step; where it does not, the
    ending only adds. `late` is how many steps grew after their ending, `open` how many steps and messages no ending
    came for, `torn` whether the last block is cut. `quotes` is how many citations were streamed with an empty quote
    that the message's ending lacks.
    """

    files: list[str]
    outcomes: list[str]
    exact: bool = True
    late: int = 0
    open: int = 0
    torn: bool = False
    quotes: int = 0


REAL = {
    "openllmetry": Expected(["openllmetry_test_streaming_existing_assistant_1.sse"], ["completed"]),
    "simple-openai both": Expected(["simple-openai_OLD_threads_runs_create_both_stream.sse"], ["completed"]),
    "openai-dotnet tool call": Expected(
        ["openai-dotnet_StreamingToolCall_1.sse", "openai-dotnet_StreamingToolCall_2.sse"],
        ["requires_action", "completed"],
        exact=False,
    ),
    "openai-dotnet file search": Expected(
        ["openai-dotnet_FileSearchStreamingWorks_1.sse"], ["completed"], exact=False, quotes=1
    ),
    "simple-openai error": Expected(["simple-openai_threads_runs_create_stream_error_1.sse"], ["error"], open=2),
    "ruby-openai": Expected(["ruby-openai_runs_streamed_create_1.sse"], ["completed"]),
    "azure mcp": Expected(
        ["azure-assets_mcp_streaming_1.sse", "azure-assets_mcp_streaming_2_NOMSGDELTAS.sse"],
        ["requires_action", "completed"],
        exact=False,
        late=1,
    ),
    "azure search": Expected(["azure-assets_azure_ai_search_streaming_EXCERPT.sse"], ["truncated"]),
}
SHIPPED = {
    "azure unknown tools": Expected(
        ["azure_unknown_tools.sse"], ["requires_action", "completed"], exact=False, late=1, quotes=1
    ),
    "code interpreter": Expected(["code_interpreter.sse"], ["completed"]),
    "error": Expected(["error.sse"], ["error"], open=1),
    "file search": Expected(["file_search.sse"], ["completed"], exact=False, quotes=2),
    "parallel functions": Expected(
        ["parallel_functions_1.sse", "parallel_functions_2.sse"], ["requires_action", "completed"], exact=False
    ),
    "truncated": Expected(["truncated.sse"], ["truncated"], open=1, torn=True),
}


class Folded(NamedTuple):
    """A run, folded event by event.

    `before` has the details of each step just before its first ending, `sent` what each ending said, in order. The
    same of messages: `messages_before` has their content.
    """

    run: Accumulator
    updates: list[Update]
    before: dict[str, object]
    sent: dict[str, list[dict[str, object]]]
    messages_before: dict[str, object]
    messages_sent: dict[str, dict[str, object]]


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


class Block(NamedTuple):
    """One block of a recording: as it is, and taken apart by hand."""

    raw: bytes
    name: str
    data: str

    def json(self) -> dict[str, object]:
        return cast("dict[str, object]", json.loads(self.data))


def blocks_of(path: Path) -> list[Block]:
    """Take a recording apart; the last block may lack its blank line."""
    *whole, rest = path.read_bytes().split(b"\n\n")
    raws = [block + b"\n\n" for block in whole] + ([rest] if rest else [])
    lines = [raw.decode("utf-8", "replace").rstrip("\n").split("\n") for raw in raws]
    return [
        Block(raw, name.removeprefix("event: "), data.removeprefix("data: "))
        for raw, (name, data) in zip(raws, lines, strict=True)
    ]


def fold(folder: Path, files: list[str]) -> Folded:
    """Fold the bodies of a run, event by event."""
    result = Folded(Accumulator(), [], {}, {}, {}, {})
    for file in files:
        for block in blocks_of(folder / file):
            if block.name == ENDING:
                payload = block.json()
                step_id = cast("str", payload["id"])
                known = result.run.run_step(step_id)
                if known is not None and step_id not in result.sent:
                    result.before[step_id] = known.to_dict()["step_details"]
                result.sent.setdefault(step_id, []).append(payload)
            if block.name in MESSAGE_ENDINGS:
                payload = block.json()
                message_id = cast("str", payload["id"])
                result.messages_before[message_id] = message_of(result.run, message_id)["content"]
                result.messages_sent[message_id] = payload
            result.updates.extend(result.run.feed(block.raw))
        result.updates.extend(result.run.end())
    return result


def check(folder: Path, expected: Expected) -> None:
    """Hold a folded run to what the server said."""
    result = fold(folder, expected.files)
    ends = [each for each in result.updates if isinstance(each, BodyEnded)]
    assert expected.outcomes == [each.outcome for each in ends]
    assert expected.outcomes[-1] == result.run.outcome
    assert expected.open == len(ends[-1].open)
    seen = [*(each.id for each in result.run.run_steps()), *(each.id for each in result.run.messages())]
    assert list(ends[-1].open) == [each for each in seen if each not in {*result.sent, *result.messages_sent}]
    torn = ["undecodable"] if expected.torn else []
    assert torn == [each.kind for each in result.run.problems]
    differing = {
        step_id
        for step_id, payloads in result.sent.items()
        if canonical(payloads[-1]) != canonical(step_of(result.run, step_id))
    }
    assert expected.late == len(differing)
    assert expected.exact == all(
        canonical(details) == canonical(result.sent[step_id][0]["step_details"])
        for step_id, details in result.before.items()
    )
    once(result.updates)


def step_of(run: Accumulator, step_id: str) -> dict[str, object]:
    found = run.run_step(step_id)
    assert found is not None
    return found.to_dict()


def message_of(run: Accumulator, message_id: str) -> dict[str, object]:
    found = run.message(message_id)
    assert found is not None
    return found.to_dict()


def once(updates: list[Update]) -> None:
    """Hold each step and each message to one created and one done."""
    created = [each.step_id for each in updates if isinstance(each, RunStepCreated)]
    created += [each.message_id for each in updates if isinstance(each, MessageCreated)]
    done = [each.step_id for each in updates if isinstance(each, RunStepDone)]
    done += [each.message_id for each in updates if isinstance(each, MessageDone)]
    assert len(set(created)) == len(created)
    assert len(set(done)) == len(done)
    assert set(done) <= set(created)


def late_output(folder: Path, files: list[str]) -> None:
    """Hold the one step that grew after its ending to differ by that output, and by nothing else."""
    result = fold(folder, files)
    outputs = 0
    for step_id, payloads in result.sent.items():
        final = step_of(result.run, step_id)
        if canonical(final) == canonical(payloads[-1]):
            continue
        calls = calls_of(final)
        for call, sent in zip(calls, calls_of(payloads[-1]), strict=True):
            if call.get("output") != sent.get("output"):
                outputs += 1
                assert sent.get("output") is None
                assert call["output"] == late_text(folder, files, step_id)
                call["output"] = None
                if "output" not in sent:
                    del call["output"]
        assert canonical(payloads[-1]) == canonical(final)
    assert 1 == outputs


def calls_of(step: dict[str, object]) -> list[dict[str, object]]:
    details = cast("dict[str, object]", step["step_details"])
    return cast("list[dict[str, object]]", details["tool_calls"])


def late_text(folder: Path, files: list[str], step_id: str) -> str:
    """Return the text of `output` in the deltas that came for a step after its ending."""
    ended, parts = False, list[str]()
    for file in files:
        for block in blocks_of(folder / file):
            if block.name in {ENDING, "thread.run.step.delta"} and block.json()["id"] == step_id:
                if block.name == ENDING:
                    ended = True
                elif ended:
                    delta = cast("dict[str, object]", block.json()["delta"])
                    parts += [cast("str", call["output"]) for call in calls_of(delta)]
    return "".join(parts)


@pytest.mark.parametrize("name", REAL)
def test_a_real_recording_folds_to_what_the_server_said(recordings: Path, name: str) -> None:
    check(recordings, REAL[name])


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recording_folds_to_what_its_endings_say(shipped: Path, name: str) -> None:
    check(shipped, SHIPPED[name])


def leaves(value: object, path: str = "$") -> dict[str, str]:
    """Return every value in a JSON value that holds no other, by its path, as text."""
    whole = {path: canonical(value)}
    items: list[tuple[str, object]] = []
    if isinstance(value, dict):
        items = [(f"{path}.{key}", inner) for key, inner in cast("dict[str, object]", value).items()]
    elif isinstance(value, list):
        items = [(f"{path}[{at}]", inner) for at, inner in enumerate(cast("list[object]", value))]
    return {place: leaf for where, inner in items for place, leaf in leaves(inner, where).items()} or whole


def differences(one: object, other: object) -> list[tuple[str, str]]:
    """Return each value that one of two JSON values has and the other has not, with its path."""
    return sorted(leaves(one).items() ^ leaves(other).items())


def check_messages(folder: Path, expected: Expected) -> None:
    """Hold folded messages to what the server said: to each ending, and to what the deltas come to without one."""
    result = fold(folder, expected.files)
    assert [] == [each for each in result.run.problems if each.kind != "undecodable"]
    blocks = [block for file in expected.files for block in blocks_of(folder / file)]
    streamed = {cast("str", block.json()["id"]) for block in blocks if block.name == MESSAGE_DELTA}
    quotes: list[str] = []
    for message_id, sent in result.messages_sent.items():
        assert canonical(sent) == canonical(message_of(result.run, message_id))
        if message_id in streamed:
            found = differences(result.messages_before[message_id], sent["content"])
            assert all(path.endswith(".file_citation.quote") for path, _ in found)
            quotes += [value for _, value in found]
        else:
            assert [] == result.messages_before[message_id]
    assert ['""'] * expected.quotes == quotes
    for message in result.run.messages():
        deltas = [each for each in result.updates if isinstance(each, ContentDelta) and each.message_id == message.id]
        texts = [each.delta.text for each in deltas if isinstance(each.delta, TextDeltaBlock)]
        handed = "".join(text.value for text in texts if text and text.value)
        sent_text = "".join(text for block in blocks for text in texts_in(block, message.id))
        whole = message.text if message.id in streamed else ""
        assert (whole, whole) == (sent_text, handed)


def texts_in(block: Block, message_id: str) -> list[str]:
    """Return the fragments of text that a block has for a message."""
    if block.name != MESSAGE_DELTA:
        return []
    payload = block.json()
    delta = cast("dict[str, list[dict[str, dict[str, str]]]]", payload["delta"])
    return [part["text"]["value"] for part in delta["content"] if "text" in part and payload["id"] == message_id]


@pytest.mark.parametrize("name", REAL)
def test_the_messages_of_a_real_recording_are_what_the_server_completed(recordings: Path, name: str) -> None:
    check_messages(recordings, REAL[name])


@pytest.mark.parametrize("name", SHIPPED)
def test_the_messages_of_a_shipped_recording_are_what_their_endings_say(shipped: Path, name: str) -> None:
    check_messages(shipped, SHIPPED[name])


def test_the_one_difference_of_a_real_message_is_the_empty_quote_of_its_file_citation(recordings: Path) -> None:
    result = fold(recordings, REAL["openai-dotnet file search"].files)
    ((message_id, sent),) = result.messages_sent.items()
    path = "$[0].text.annotations[0].file_citation.quote"
    assert [(path, '""')] == differences(result.messages_before[message_id], sent["content"])
    assert [] == differences(message_of(result.run, message_id)["content"], sent["content"])


def test_the_one_difference_of_a_shipped_message_is_the_empty_quote_of_its_file_citations(shipped: Path) -> None:
    result = fold(shipped, SHIPPED["file search"].files)
    ((message_id, sent),) = result.messages_sent.items()
    paths = [f"$[0].text.annotations[{at}].file_citation.quote" for at in range(2)]
    assert [(path, '""') for path in paths] == differences(result.messages_before[message_id], sent["content"])
    assert [] == differences(message_of(result.run, message_id)["content"], sent["content"])


def test_a_real_message_that_is_cut_off_is_what_came_of_it(recordings: Path) -> None:
    files = REAL["simple-openai error"].files
    (message,) = fold(recordings, files).run.messages()
    blocks = blocks_of(recordings / files[0])
    (begun,) = [block.json() for block in blocks if block.name == "thread.message.created"]
    text = "".join(text for block in blocks for text in texts_in(block, message.id))
    content: list[object] = [{"type": "text", "text": {"value": text, "annotations": list[object]()}}]
    assert len(text) > 100
    assert canonical({**begun, "content": content}) == canonical(message.to_dict())


def test_a_real_message_that_is_incomplete_says_why(recordings: Path) -> None:
    (message,) = fold(recordings, REAL["ruby-openai"].files).run.messages()
    assert message.incomplete_details is not None
    assert ("incomplete", "max_tokens") == (message.status, message.incomplete_details.reason)


def test_azure_completes_a_message_and_leaves_it_in_progress(recordings: Path) -> None:
    result = fold(recordings, REAL["azure mcp"].files)
    ((message_id, sent),) = result.messages_sent.items()
    done = [each for each in result.updates if isinstance(each, MessageDone)]
    assert [message_id] == [each.message_id for each in done]
    assert ("in_progress", "in_progress") == (sent["status"], done[0].message.status)


def test_every_real_stream_is_folded(recordings: Path) -> None:
    files = {file for expected in REAL.values() for file in expected.files}
    assert {path.name for path in recordings.glob("*.sse")} == files


def test_every_shipped_stream_is_folded(shipped: Path) -> None:
    files = {file for expected in SHIPPED.values() for file in expected.files}
    assert {path.name for path in shipped.glob("*.sse")} == files


def test_a_real_output_after_the_ending_is_in_the_step(recordings: Path) -> None:
    late_output(recordings, REAL["azure mcp"].files)


def test_a_shipped_output_after_the_ending_is_in_the_step(shipped: Path) -> None:
    late_output(shipped, SHIPPED["azure unknown tools"].files)


def whole(folder: Path, files: list[str]) -> list[Update]:
    """Fold the bytes of each body as they are."""
    run, updates = Accumulator(), list["Update"]()
    for file in files:
        updates += run.feed((folder / file).read_bytes())
        updates += run.end()
    return updates


@pytest.mark.parametrize("name", REAL)
def test_a_real_recording_gives_the_same_from_its_bytes(recordings: Path, name: str) -> None:
    assert fold(recordings, REAL[name].files).updates == whole(recordings, REAL[name].files)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recording_gives_the_same_from_its_bytes(shipped: Path, name: str) -> None:
    assert fold(shipped, SHIPPED[name].files).updates == whole(shipped, SHIPPED[name].files)


def two_bodies(folder: Path, files: list[str]) -> None:
    """Hold a run over two bodies: it waits at the end of the first, the second completes the step of the first."""
    first = fold(folder, files[:1])
    (waiting,) = [each for each in first.updates if isinstance(each, RequiresAction)]
    assert waiting.required_action == first.run.required_action
    (end,) = [each for each in first.updates if isinstance(each, BodyEnded)]
    both = fold(folder, files)
    assert both.run.required_action is None
    assert len(end.open) == 1
    (step_id,) = end.open
    assert canonical(both.sent[step_id][-1]["status"]) == canonical("completed")
    assert "completed" == step_of(both.run, step_id)["status"]
    known = {each.step_id for each in first.updates if isinstance(each, RunStepCreated)}
    second = both.updates[len(first.updates) :]
    assert known.isdisjoint({each.step_id for each in second if isinstance(each, RunStepCreated)})


@pytest.mark.parametrize("name", ["openai-dotnet tool call", "azure mcp"])
def test_two_real_bodies_are_one_run(recordings: Path, name: str) -> None:
    two_bodies(recordings, REAL[name].files)


def test_two_shipped_bodies_are_one_run(shipped: Path) -> None:
    two_bodies(shipped, SHIPPED["parallel functions"].files)


@pytest.mark.parametrize("name", ["openai-dotnet tool call", "azure mcp"])
def test_the_second_real_body_folds_by_itself(recordings: Path, name: str) -> None:
    result = fold(recordings, REAL[name].files[1:])
    assert () == result.run.problems
    assert "completed" == result.run.outcome
    step_id, payloads = next(iter(result.sent.items()))
    first = next(each for each in result.updates if isinstance(each, RunStepDone) and each.step_id == step_id)
    assert canonical(payloads[0]) == canonical(first.run_step.to_dict())


def test_azure_sends_created_twice_and_it_is_created_once(recordings: Path) -> None:
    files = REAL["azure mcp"].files
    blocks = [block for file in files for block in blocks_of(recordings / file)]
    sent = [block.json()["id"] for block in blocks if block.name == "thread.run.step.created"]
    updates = fold(recordings, files).updates
    repeated = {step_id for step_id in sent if sent.count(step_id) > 1}
    assert repeated
    assert repeated <= {each.step_id for each in updates if isinstance(each, RunStepUpdated)}
    once(updates)


def test_the_steps_of_a_real_rest_answer_are_read_and_written_back(recordings: Path) -> None:
    from accumulator import RunStep

    lines = (recordings / "openai-dotnet_REST_BasicRunStepFunctionalityWorks.jsonl").read_text("utf-8").splitlines()
    steps: list[dict[str, object]] = []
    for line in lines:
        body = json.loads(line)["body"]
        body = json.loads(body) if isinstance(body, str) else body
        steps += body["data"] if body["object"] == "list" else [body]
    steps = [step for step in steps if step["object"] == "thread.run.step"]
    assert steps
    for step in steps:
        run = Accumulator()
        run.apply(ENDING, json.dumps(step))
        assert canonical(step) == canonical(step_of(run, cast("str", step["id"])))
        assert canonical(step) == canonical(RunStep.from_dict(step).to_dict())
