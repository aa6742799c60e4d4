"""The recordings that come with the project are what a server would send: read here by hand, without the library."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

STEP_KEYS = [
    "id",
    "object",
    "created_at",
    "run_id",
    "assistant_id",
    "thread_id",
    "type",
    "status",
    "cancelled_at",
    "completed_at",
    "expires_at",
    "failed_at",
    "last_error",
    "step_details",
    "usage",
]
RUN_KEYS = [
    "id",
    "object",
    "created_at",
    "assistant_id",
    "thread_id",
    "status",
    "started_at",
    "expires_at",
    "cancelled_at",
    "failed_at",
    "completed_at",
    "required_action",
    "last_error",
    "model",
    "instructions",
    "tools",
    "tool_resources",
    "metadata",
    "temperature",
    "top_p",
    "reasoning_effort",
    "max_completion_tokens",
    "max_prompt_tokens",
    "truncation_strategy",
    "incomplete_details",
    "usage",
    "response_format",
    "tool_choice",
    "parallel_tool_calls",
]
MESSAGE_KEYS = [
    "id",
    "object",
    "created_at",
    "assistant_id",
    "thread_id",
    "run_id",
    "status",
    "incomplete_details",
    "incomplete_at",
    "completed_at",
    "role",
    "content",
    "attachments",
    "metadata",
]
AZURE_RUN_KEYS = [key for key in RUN_KEYS if key != "reasoning_effort"]

# Each recording with the name of its last whole event; those of one run stand together, in the order of its bodies.
RUNS = {
    "azure_unknown_tools": {"azure_unknown_tools.sse": "done"},
    "code_interpreter": {"code_interpreter.sse": "done"},
    "error": {"error.sse": "error"},
    "file_search": {"file_search.sse": "done"},
    "parallel_functions": {"parallel_functions_1.sse": "done", "parallel_functions_2.sse": "done"},
    "truncated": {"truncated.sse": "thread.run.step.delta"},
}
FILES = [name for files in RUNS.values() for name in files]
DONE = "[DONE]"

# Fields whose fragments follow one another; all others replace.
TEXTS = {"arguments", "input", "output", "logs", "value", "requesturl", "response_metadata"}

# What only the completed object holds, and never a delta.
ONLY_COMPLETED = {
    "file_search": {"results"},
    "parallel_functions": {"output"},
}


class Event(NamedTuple):
    """One block of a recording, its data parsed."""

    name: str
    data: Json


def _obj(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value


def _text(value: Json) -> str:
    assert isinstance(value, str)
    return value


def _blocks(path: Path) -> list[bytes]:
    """Return the whole blocks of a recording; the last piece is what no blank line ended."""
    return path.read_bytes().split(b"\n\n")[:-1]


def _events(path: Path) -> list[Event]:
    events: list[Event] = []
    for block in _blocks(path):
        event, data = block.decode().split("\n")
        assert event.startswith("event: ")
        assert data.startswith("data: ")
        text = data.removeprefix("data: ")
        events.append(Event(event.removeprefix("event: "), text if text == DONE else json.loads(text)))
    return events


def _run_events(shipped: Path, run: str) -> list[Event]:
    return [event for name in RUNS[run] for event in _events(shipped / name)]


def _join(old: dict[str, Json], new: dict[str, Json]) -> None:
    """Merge one delta: text to text in `TEXTS`, keyed lists by index, objects by key, and the rest replaced."""
    for key, value in new.items():
        known = old.get(key)
        if key in TEXTS and isinstance(known, str) and isinstance(value, str):
            old[key] = known + value
        elif isinstance(value, list) and key in {"tool_calls", "outputs", "content", "annotations"}:
            entries = old.setdefault(key, {})
            for each in map(_obj, value):
                index = str(each["index"])
                _join(_obj(_obj(entries).setdefault(index, {})), {k: v for k, v in each.items() if k != "index"})
        elif isinstance(value, dict):
            _join(_obj(old.setdefault(key, {})), value)
        elif value is not None or key not in old:
            old[key] = value


def _listed(key: str, value: Json) -> Json:
    """Return a merged object with its keyed lists as lists again, in the order of their indexes."""
    if not isinstance(value, dict):
        return value
    if key in {"tool_calls", "outputs", "content", "annotations"}:
        return [_listed("", value[index]) for index in sorted(value, key=int)]
    return {name: _listed(name, child) for name, child in value.items()}


def _without(value: Json, names: set[str]) -> Json:
    """Return a JSON value without the keys of these names, at any depth."""
    match value:
        case dict():
            return {key: _without(child, names) for key, child in value.items() if key not in names}
        case list():
            return [_without(child, names) for child in value]
        case _:
            return value


def _folded(events: list[Event], name: str) -> dict[str, dict[str, Json]]:
    """Return what the deltas of this event name say, by the id they are for."""
    folded: dict[str, dict[str, Json]] = {}
    for event in events:
        if event.name == name:
            data = _obj(event.data)
            _join(folded.setdefault(_text(data["id"]), {}), _obj(data["delta"]))
    return {key: _obj(_listed("", value)) for key, value in folded.items()}


def _completed(events: list[Event], name: str) -> dict[str, dict[str, Json]]:
    return {_text(_obj(event.data)["id"]): _obj(event.data) for event in events if event.name == name}


def test_every_file_is_known(shipped: Path) -> None:
    assert sorted(FILES) == sorted(path.name for path in shipped.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_every_block_is_an_event_and_one_line_of_compact_json(shipped: Path, name: str) -> None:
    for block, event in zip(_blocks(shipped / name), _events(shipped / name), strict=True):
        data = DONE if event.name == "done" else json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
        assert f"event: {event.name}\ndata: {data}".encode() == block


@pytest.mark.parametrize(("name", "last"), [pair for files in RUNS.values() for pair in files.items()])
def test_the_last_event_is_the_one_that_ends_it(shipped: Path, name: str, last: str) -> None:
    assert last == _events(shipped / name)[-1].name


@pytest.mark.parametrize("name", FILES)
def test_objects_have_every_key_in_the_order_of_the_wire(shipped: Path, name: str) -> None:
    run_keys = AZURE_RUN_KEYS if name.startswith("azure") else RUN_KEYS
    expected = {"thread.run.step": STEP_KEYS, "thread.run": run_keys, "thread.message": MESSAGE_KEYS}
    seen: set[str] = set()
    for event in _events(shipped / name):
        kind = event.data.get("object") if isinstance(event.data, dict) else None
        if kind in expected:
            seen.add(_text(kind))
            assert expected[_text(kind)] == list(_obj(event.data))
    assert {"thread.run", "thread.run.step"} <= seen


@pytest.mark.parametrize("run", RUNS)
def test_every_step_completes_unless_the_run_was_cut(shipped: Path, run: str) -> None:
    events = _run_events(shipped, run)
    created = {_text(_obj(event.data)["id"]) for event in events if event.name == "thread.run.step.created"}
    completed = set(_completed(events, "thread.run.step.completed"))
    assert completed == (set() if run in {"error", "truncated"} else created)


@pytest.mark.parametrize("run", ["azure_unknown_tools", "code_interpreter", "file_search", "parallel_functions"])
def test_step_deltas_add_up_to_the_completed_step(shipped: Path, run: str) -> None:
    events = _run_events(shipped, run)
    skipped: set[str] = ONLY_COMPLETED.get(run, set())
    completed = _completed(events, "thread.run.step.completed")
    late = _late_output(events)
    for step_id, folded in _folded(events, "thread.run.step.delta").items():
        left_out = skipped | {"output"} if step_id == late else skipped
        expected = _without(completed[step_id]["step_details"], left_out)
        assert expected == _without(folded["step_details"], left_out)


def _late_output(events: list[Event]) -> str | None:
    """Return the id of the step that got its output after it was completed."""
    ended: set[Json] = set()
    for event in events:
        if event.name == "thread.run.step.completed":
            ended.add(_text(_obj(event.data)["id"]))
        elif event.name == "thread.run.step.delta" and (step_id := _text(_obj(event.data)["id"])) in ended:
            return step_id
    return None


@pytest.mark.parametrize("run", ["azure_unknown_tools", "code_interpreter", "file_search", "parallel_functions"])
def test_message_deltas_add_up_to_the_completed_message(shipped: Path, run: str) -> None:
    events = _run_events(shipped, run)
    completed = _completed(events, "thread.message.completed")
    folded = _folded(events, "thread.message.delta")
    assert list(completed) == list(folded)
    # `quote` is in the delta only, always empty.
    contents = {message_id: message["content"] for message_id, message in completed.items()}
    assert contents == {message_id: _without(delta["content"], {"quote"}) for message_id, delta in folded.items()}


@pytest.mark.parametrize("run", ["azure_unknown_tools", "code_interpreter", "file_search", "parallel_functions"])
def test_annotations_stand_where_they_say(shipped: Path, run: str) -> None:
    for message in _completed(_run_events(shipped, run), "thread.message.completed").values():
        for part in map(_obj, _list(message["content"])):
            text = _obj(part.get("text", {"value": "", "annotations": []}))
            for note in map(_obj, _list(text["annotations"])):
                start, end = note["start_index"], note["end_index"]
                assert isinstance(start, int)
                assert isinstance(end, int)
                assert note["text"] == _text(text["value"])[start:end]


@pytest.mark.parametrize("run", ["azure_unknown_tools", "code_interpreter", "file_search", "parallel_functions"])
def test_the_runs_usage_is_the_sum_of_its_steps(shipped: Path, run: str) -> None:
    events = _run_events(shipped, run)
    (finished,) = _completed(events, "thread.run.completed").values()
    total = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for step in _completed(events, "thread.run.step.completed").values():
        for key in total:
            count = _obj(step["usage"])[key]
            assert isinstance(count, int)
            total[key] += count
    assert total == {key: _obj(finished["usage"])[key] for key in total}


def test_parallel_calls_are_interleaved(shipped: Path) -> None:
    indexes: list[Json] = []
    for event in _events(shipped / "parallel_functions_1.sse"):
        if event.name == "thread.run.step.delta":
            details = _obj(_obj(_obj(event.data)["delta"])["step_details"])
            indexes += [_obj(call)["index"] for call in _list(details["tool_calls"])]
    changes = sum(1 for before, after in pairwise(indexes) if before != after)
    assert changes > 10
    assert {0, 1} == {index for index in indexes if isinstance(index, int)}


def test_the_second_body_begins_with_the_end_of_the_step_of_the_first(shipped: Path) -> None:
    first, second = (_events(shipped / f"parallel_functions_{body}.sse") for body in (1, 2))
    opened = next(_obj(event.data)["id"] for event in first if event.name == "thread.run.step.created")
    assert second[0].name == "thread.run.step.completed"
    assert opened == _obj(second[0].data)["id"]


def test_azure_says_created_twice_sends_an_output_late_and_leaves_the_message_in_progress(shipped: Path) -> None:
    events = _events(shipped / "azure_unknown_tools.sse")
    created = [_text(_obj(event.data)["id"]) for event in events if event.name == "thread.run.step.created"]
    late = _late_output(events)
    assert created.count(_text(late)) == 2
    assert [event.name for event in events].count("done") == 2
    (message,) = _completed(events, "thread.message.completed").values()
    assert message["status"] == "in_progress"


def test_the_truncated_recording_ends_inside_a_data_line_and_a_character(shipped: Path) -> None:
    rest = (shipped / "truncated.sse").read_bytes().split(b"\n\n")[-1]
    assert rest.startswith(b"event: thread.run.step.delta\ndata: {")
    with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
        rest.decode()
