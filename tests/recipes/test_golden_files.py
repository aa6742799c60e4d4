"""Golden files: what an application makes of each recording, held to what it made of it before.

A golden file that is missing is written, and its test fails once: look at the file, and commit it. To renew one, delete
it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accumulator import accumulate

RECORDINGS = Path(__file__).parent.parent / "recordings"
GOLDEN = Path(__file__).parent / "golden"


def summary(recording: Path) -> str:
    run = accumulate(recording).until_done()
    calls = [{"name": call.name, "input": call.input, "output": call.output} for call in run.tool_calls()]
    told = {"outcome": run.outcome, "text": run.text, "calls": calls}
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("recording", sorted(RECORDINGS.glob("*.sse")), ids=lambda path: path.stem)
def test_a_recording_still_gives_what_it_gave(recording: Path) -> None:
    golden = GOLDEN / f"{recording.stem}.json"
    if not golden.exists():
        golden.write_text(summary(recording), encoding="utf-8")
        pytest.fail(f"{golden} is new: look at it, and commit it")
    assert golden.read_text(encoding="utf-8") == summary(recording)
