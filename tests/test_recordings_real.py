"""Recordings, folded: the server itself says what must come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from accumulator import Accumulator, BodyEnded, RequiresAction, RunStepCreated, RunStepDone, RunStepUpdated

if TYPE_CHECKING:
    from pathlib import Path

    from accumulator import Update

ENDING = "thread.run.step.completed"


class Expected(NamedTuple):
    """What folding the bodies of one run must give.

    `exact` tells whether what was streamed equals the ending's `step_details` in every step; where it does not, the
    ending only adds. `late` is how many steps grew after their ending, `open` how many no ending came for, `torn`
    whether the last block is cut.
    """

    files: list[str]
    outcomes: list[str]
    exact: bool = True
    late: int = 0
    open: int = 0
    torn: bool = False


REAL = {
    "openllmetry": Expected(["openllmetry_test_streaming_existing_assistant_1.sse"], ["completed"]),
    "simple-openai both": Expected(["simple-openai_OLD_threads_runs_create_both_stream.sse"], ["completed"]),
    "openai-dotnet tool call": Expected(
        ["openai-dotnet_StreamingToolCall_1.sse", "openai-dotnet_StreamingToolCall_2.sse"],
        ["requires_action", "completed"],
        exact=False,
    ),
    "openai-dotnet file search": Expected(["openai-dotnet_FileSearchStreamingWorks_1.sse"], ["completed"], exact=False),
    "simple-openai error": Expected(["simple-openai_threads_runs_create_stream_error_1.sse"], ["error"], open=1),
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
    "azure unknown tools": Expected(["azure_unknown_tools.sse"], ["requires_action", "completed"], exact=False, late=1),
    "code interpreter": Expected(["code_interpreter.sse"], ["completed"]),
    "error": Expected(["error.sse"], ["error"], open=1),
    "file search": Expected(["file_search.sse"], ["completed"], exact=False),
    "parallel functions": Expected(
        ["parallel_functions_1.sse", "parallel_functions_2.sse"], ["requires_action", "completed"], exact=False
    ),
    "truncated": Expected(["truncated.sse"], ["truncated"], open=1, torn=True),
}


class Folded(NamedTuple):
    """A run, folded event by event.

    `before` has the details of each step just before its first ending, `sent` what each ending said, in order.
    """

    run: Accumulator
    updates: list[Update]
    before: dict[str, object]
    sent: dict[str, list[dict[str, object]]]


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
    result = Folded(Accumulator(), [], {}, {})
    for file in files:
        for block in blocks_of(folder / file):
            if block.name == ENDING:
                payload = block.json()
                step_id = cast("str", payload["id"])
                known = result.run.run_step(step_id)
                if known is not None and step_id not in result.sent:
                    result.before[step_id] = known.to_dict()["step_details"]
                result.sent.setdefault(step_id, []).append(payload)
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
    assert list(ends[-1].open) == [each.id for each in result.run.run_steps() if each.id not in result.sent]
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


def once(updates: list[Update]) -> None:
    """Hold each step to one created and one done."""
    created = [each.step_id for each in updates if isinstance(each, RunStepCreated)]
    done = [each.step_id for each in updates if isinstance(each, RunStepDone)]
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
        assert step == RunStep.from_dict(step).to_dict()
