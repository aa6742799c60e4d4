"""Streams that are cut at every border of an event, and what the server would say of their runs over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, cast

from accumulator import (
    Accumulator,
    RunStepCreated,
    RunStepDone,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSONObject = dict[str, object]
SHIPPED = {
    "azure unknown tools": ["azure_unknown_tools.sse"],
    "code interpreter": ["code_interpreter.sse"],
    "file search": ["file_search.sse"],
    "parallel functions": ["parallel_functions_1.sse", "parallel_functions_2.sse"],
    "parallel functions, waiting": ["parallel_functions_1.sse"],
}
REAL = {
    "openllmetry": ["openllmetry_test_streaming_existing_assistant_1.sse"],
    "simple-openai both": ["simple-openai_OLD_threads_runs_create_both_stream.sse"],
    "openai-dotnet tool call": ["openai-dotnet_StreamingToolCall_1.sse", "openai-dotnet_StreamingToolCall_2.sse"],
    "openai-dotnet tool call, waiting": ["openai-dotnet_StreamingToolCall_1.sse"],
    "openai-dotnet file search": ["openai-dotnet_FileSearchStreamingWorks_1.sse"],
    "ruby-openai": ["ruby-openai_runs_streamed_create_1.sse"],
    "azure mcp": ["azure-assets_mcp_streaming_1.sse", "azure-assets_mcp_streaming_2_NOMSGDELTAS.sse"],
    "azure mcp, waiting": ["azure-assets_mcp_streaming_1.sse"],
}
"""The recordings in which the run ends, or waits for tools."""


class Whole(NamedTuple):
    """A run from beginning to end: its files, the events of each body, what they fold to, what the server says then."""

    paths: list[Path]
    bodies: list[list[bytes]]
    updates: list[Update]
    run_steps: list[JSONObject]
    said_steps: list[JSONObject]
    said_run: JSONObject
    outcome: str

    @property
    def event_count(self) -> int:
        return sum(map(len, self.bodies))


def read_whole(folder: Path, files: list[str]) -> Whole:
    """Read the bodies of a run, several of which may be in one file, and fold them."""
    paths = [folder / file for file in files]
    bodies: list[list[bytes]] = []
    for path in paths:
        ended = True
        for block in path.read_bytes().strip().split(b"\n\n"):
            if ended:
                bodies.append([])
            bodies[-1].append(block + b"\n\n")
            ended = block.endswith(b"data: [DONE]")
    return whole_of(paths, bodies)


def whole_of(paths: list[Path], bodies: list[list[bytes]]) -> Whole:
    """Fold a run, and derive what the server says of it: a step that has ended does not expire any more."""
    run, updates = fold(bodies)
    run_steps = [step.to_dict() for step in run.run_steps()]
    said = [step if step["status"] == "in_progress" else {**step, "expires_at": None} for step in run_steps]
    assert run.current_run is not None
    return Whole(paths, bodies, updates, run_steps, said, run.current_run.to_dict(), cast("str", run.outcome))


def fold(bodies: list[list[bytes]]) -> tuple[Accumulator, list[Update]]:
    run, updates = Accumulator(), list[Update]()
    for body in bodies:
        updates += run.feed(b"".join(body))
        updates += run.end()
    return run, updates


def cuts(whole: Whole, step: int = 1) -> Iterator[tuple[Accumulator, list[Update]]]:
    """Yield what is folded when the stream is cut before an event, or behind the last, each by itself.

    The accumulator went through a checkpoint before its body ended. With `step` only some of the cuts are made.
    """
    run, updates, count = Accumulator(), list[Update](), 0
    for body in whole.bodies:
        for event in body:
            if count % step == 0:
                yield _ended(run, updates)
            updates += run.feed(event)
            count += 1
        yield _ended(run, updates)
        updates += run.end()


def _ended(run: Accumulator, updates: list[Update]) -> tuple[Accumulator, list[Update]]:
    copy = Accumulator.from_bytes(run.to_bytes())
    return copy, [*updates, *copy.end()]


def expected_steps(whole: Whole, cut: Accumulator) -> list[JSONObject]:
    """Return the steps of the whole stream: with `expires_at` as the server says or, if that is null, as streamed."""
    known = {step.id: step.to_dict()["expires_at"] for step in cut.run_steps()}
    said = {step["id"]: step["expires_at"] for step in whole.said_steps}
    return [
        {**step, "expires_at": known.get(cast("str", step["id"])) if said[step["id"]] is None else said[step["id"]]}
        for step in whole.run_steps
    ]


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def once(updates: list[Update]) -> list[tuple[object, ...]]:
    """Return what is handed out once: which steps and calls were created and done, sorted."""
    found: list[tuple[object, ...]] = []
    for update in updates:
        if isinstance(update, (RunStepCreated, RunStepDone)):
            found.append((type(update).__name__, update.step_id, -1))
        elif isinstance(update, (ToolCallCreated, ToolCallDone)):
            found.append((type(update).__name__, update.step_id, update.index))
    return sorted(found, key=repr)


def fragments(updates: list[Update]) -> dict[tuple[str, int | None, str], str]:
    """Return the fragments of each text of a call, joined: what somebody has who joins deltas by hand."""
    texts: dict[tuple[str, int | None, str], str] = {}
    for update in updates:
        for path, text in leaves(update.delta.to_dict()) if isinstance(update, ToolCallDelta) else ():
            place = (cast("ToolCallDelta", update).step_id, cast("ToolCallDelta", update).index, path)
            texts[place] = texts.get(place, "") + text
    return texts


def leaves(value: object, path: str = "$") -> Iterator[tuple[str, str]]:
    """Yield the texts in a JSON value that grow, each with its path."""
    if isinstance(value, str) and path.rpartition(".")[2] in {"arguments", "input", "logs", "output"}:
        yield path, value
    items: list[tuple[object, object]] = []
    if isinstance(value, dict):
        items = list(cast("dict[object, object]", value).items())
    elif isinstance(value, list):
        items = list(enumerate(cast("list[object]", value)))
    for key, inner in items:
        yield from leaves(inner, f"{path}.{key}")
