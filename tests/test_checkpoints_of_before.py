"""Checkpoints that earlier releases wrote are read, and the runs in them go on as if nothing had happened.

The files in `checkpoints/` are never written again: what makes them is older code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from accumulator import Accumulator, LimitError
from tests.wire import call, calls_json, folded

if TYPE_CHECKING:
    from accumulator import Update

CHECKPOINTS = Path(__file__).parent / "checkpoints"
# Each was taken behind the first two thirds of the bytes of the recording that it is named after.
OF_RECORDINGS = ["azure_unknown_tools", "code_interpreter", "file_search", "parallel_functions_1", "truncated"]


def saved(name: str) -> bytes:
    return (CHECKPOINTS / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", OF_RECORDINGS)
def test_a_run_goes_on_from_a_checkpoint_of_before(name: str, shipped: Path) -> None:
    stream = (shipped / f"{name}.sse").read_bytes()
    cut = len(stream) * 2 // 3
    through, restored = folded(stream[:cut]), Accumulator.from_bytes(saved(name))
    for run in (through, restored):
        assert run.feed(stream[cut:])
        run.end()
    assert through.run_steps() == restored.run_steps()
    assert through.messages() == restored.messages()
    assert (through.outcome, list(through.problems)) == (restored.outcome, list(restored.problems))
    assert through.to_bytes() == restored.to_bytes()


@pytest.mark.parametrize("name", [*OF_RECORDINGS, "odd"])
def test_a_checkpoint_of_before_is_written_as_it_was(name: str) -> None:
    assert json.loads(saved(name)) == json.loads(Accumulator.from_bytes(saved(name)).to_bytes())


def test_odd_states_are_in_a_checkpoint_of_before() -> None:
    """Four kinds of problems, a call without an index, an ending, and events that wait behind one that is too large."""
    run = Accumulator.from_bytes(saved("odd"))
    assert ["index", "conflict", "late", "shape"] == [problem.kind for problem in run.problems]
    updates: list[Update] = []
    with pytest.raises(LimitError, match="at most 2000 bytes") as caught:
        run.feed(b"")
    updates += [*caught.value.updates, *run.feed(b"NE]\n\n"), *run.end()]
    assert ["ToolCallDelta", "RunUpdated", "BodyEnded"] == [type(update).__name__ for update in updates]
    assert ("completed", 4) == (run.outcome, len(run.problems))
    first, _, second, loose = calls_json(run)
    assert call("call_1", "f", '{"a":1}') == first
    assert call("call_8", "g", '{"b"') == second
    assert {"type": "function", "function": {"name": "loose", "arguments": "x"}} == loose
    assert ["Zürich 🏔"] == [message.text for message in run.messages()]
