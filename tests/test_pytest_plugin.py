"""The pytest plugin, in projects of its own: the fixture, golden files, and what a failed assertion says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.bodies import FIRST, SECOND

if TYPE_CHECKING:
    from pathlib import Path


class Result(NamedTuple):
    """What a run of pytest left behind."""

    status: int
    out: str


def run_pytest(folder: Path, code: str, *options: str) -> Result:
    """Run pytest over a file with this code."""
    (folder / "test_it.py").write_text(code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        *options,
        "test_it.py",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout + done.stderr)


BESIDE = """
def test_weather(recorded_run):
    assert "completed" == recorded_run.outcome
"""
NAMED = """
import pytest

@pytest.mark.accumulator_recording("runs/other.json")
@pytest.mark.parametrize("number", [1, 2])
def test_named(recorded_run, number):
    assert "completed" == recorded_run.outcome
"""


def test_a_recording_beside_the_test_is_folded(tmp_path: Path) -> None:
    (tmp_path / "test_weather.sse").write_bytes(FIRST + SECOND)
    assert 0 == run_pytest(tmp_path, BESIDE).status


def test_a_recording_is_named_by_a_marker(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    entry = {"ResponseBody": (FIRST + SECOND).decode()}
    (tmp_path / "runs" / "other.json").write_text(json.dumps({"Entries": [entry]}), encoding="utf-8")
    assert 0 == run_pytest(tmp_path, NAMED).status


@pytest.mark.parametrize("path", ['path="runs/other.json"', ""])
def test_a_marker_needs_a_path(tmp_path: Path, path: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "other.json").write_bytes(FIRST + SECOND)
    result = run_pytest(tmp_path, NAMED.replace('"runs/other.json"', path))
    told = "expected accumulator_recording(path), got it without the path of a recording" in result.out
    assert ((0, False) if path else (1, True)) == (result.status, told)


def test_a_recording_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, BESIDE)
    assert 1 == result.status
    assert "expected a recording beside the test, such as" in result.out


def test_golden_files_are_written_and_held_to(tmp_path: Path) -> None:
    recording, golden = tmp_path / "test_weather.sse", tmp_path / "test_weather.golden.json"
    recording.write_bytes(FIRST + SECOND)
    assert 0 == run_pytest(tmp_path, BESIDE, "--accumulator-update").status
    assert "completed" == json.loads(golden.read_text(encoding="utf-8"))["outcome"]
    assert 0 == run_pytest(tmp_path, BESIDE).status
    recording.write_bytes((FIRST + SECOND).replace("9 °C".encode(), b"8 F"))
    result = run_pytest(tmp_path, BESIDE)
    assert 1 == result.status
    assert "test_weather.sse does not fold to what test_weather.golden.json has" in result.out
    path = "$.run_steps[0].step_details.tool_calls[0].function.output"
    assert f'{path}  test_weather.golden.json has "9 °C", the recording has "8 F"' in result.out
    assert 0 == run_pytest(tmp_path, BESIDE, "--accumulator-update").status
    assert 0 == run_pytest(tmp_path, BESIDE).status


def test_a_golden_file_may_have_lone_surrogates(tmp_path: Path) -> None:
    recording, golden = tmp_path / "test_weather.sse", tmp_path / "test_weather.golden.json"
    recording.write_bytes((FIRST + SECOND).replace("9 °C".encode(), rb"\ud83d \u00b0"))
    assert 0 == run_pytest(tmp_path, BESIDE, "--accumulator-update").status
    assert rb'"\ud83d \u00b0"'.replace(rb"\u00b0", "°".encode()) in golden.read_bytes()
    assert 0 == run_pytest(tmp_path, BESIDE).status


def test_a_golden_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "test_weather.sse").write_bytes(FIRST + SECOND)
    golden = tmp_path / "test_weather.golden.json"
    golden.write_text("before", encoding="utf-8")
    full = """
from pathlib import Path

def torn(self, data):
    with self.open("wb") as file:
        file.write(data[:9])
    raise OSError("full")

Path.write_bytes = torn
"""
    assert "OSError: full" in run_pytest(tmp_path, full + BESIDE, "--accumulator-update").out
    assert "before" == golden.read_text(encoding="utf-8")
    assert [golden] == list(tmp_path.glob("*golden*"))


COMPARED = """
import accumulator
from accumulator import Accumulator, BodyEnded, FunctionToolCall, RunStep, RunStepDone, SSEParser

def test_steps():
    assert RunStep.from_dict({"id": "a", "x": 1}) == RunStep.from_dict({"id": "b", "y": 2})

def test_many():
    assert RunStep.from_dict({str(n): n for n in range(40)}) == RunStep.from_dict({})

def test_runs():
    run = Accumulator()
    run.apply("thread.run.completed", '{"id": "run_1"}')
    run.end()
    assert run == Accumulator()

def test_lists():
    assert [RunStep.from_dict({"id": "c"})] == [RunStep.from_dict({"id": "d"}), BodyEnded(1, "completed", ())]

def test_tuples():
    assert () == (RunStep.from_dict({"id": "e"}),)

def test_mixed():
    assert [1, RunStep.from_dict({"id": "f"})] == [2, RunStep.from_dict({"id": "g"})]

def test_updates():
    step = RunStep.from_dict({"status": "failed"})
    assert RunStepDone(1, "step_1", step) == RunStepDone(1, "step_1", RunStep.from_dict({"status": "expired"}))

def test_others():
    assert 1 == 2
    assert SSEParser() == SSEParser()

def test_parsers():
    assert SSEParser() == SSEParser()

def test_alike():
    assert Accumulator() == Accumulator()
"""


def test_a_failed_assertion_names_the_fields(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, COMPARED, "-vvv")
    assert 1 == result.status
    for line in (
        "two objects of RunStep that differ",
        '$.id  left has "a", right has "b"',
        "$.x  only left has 1",
        "$.y  only right has 2",
        "... and 20 more",
        "two objects of Accumulator that differ",
        '$.outcome  left has "completed", right has null',
        "two lists that differ",
        '$[0].id  left has "c", right has "d"',
        '$[1]  only right has {"type": "body_ended"',
        "two tuples that differ",
        '$[0]  only right has {"id": "e"}',
        "two objects of RunStepDone that differ",
        '$.run_step.status  left has "failed", right has "expired"',
    ):
        assert line in result.out


def test_the_plugin_imports_nothing_that_is_not_used(tmp_path: Path) -> None:
    code = """
import sys

def test_nothing():
    assert ["accumulator._pytest_plugin"] == [name for name in sys.modules if name.startswith("accumulator.")]
"""
    assert 0 == run_pytest(tmp_path, code).status
