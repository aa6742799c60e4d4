"""What fuzzing found worth keeping is run again, and the fuzzer itself keeps what fails."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING

import pytest

from accumulator import Accumulator, CheckpointError, Update
from accumulator._cli.reading import Reading
from accumulator._engine.templates import TextTemplate
from accumulator._fold.texts import Text
from accumulator._sse import Item, SSEParser
from tests.conftest import ROOT
from tests.fuzz.__main__ import CORPUS, MAX_SIZE, inputs
from tests.fuzz.findings import Findings, failure, kind_of, shrink
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import NAMES, TARGETS, BrokenWordError, _events, checkpoint, expect
from tests.fuzz.worker import changed_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accumulator._engine.engine import Engine


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_and_the_recordings_find_nothing(target: str, shipped: Path) -> None:
    found = inputs(target, [shipped])
    assert len(found) > 30
    assert [] == [data for data in found if failure(TARGETS[target], data)]


def test_the_corpus_is_small() -> None:
    sizes = [path.stat().st_size for path in CORPUS.glob("*/*")]
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert 0 < sum(sizes) < 200_000
    assert max(sizes) <= MAX_SIZE


def test_real_recordings_are_inputs_too(recordings: Path, shipped: Path) -> None:
    for target in TARGETS:
        more = inputs(target, [shipped, recordings])
        assert len(more) > len(inputs(target, [shipped]))
        assert [] == [data for data in more if failure(TARGETS[target], data)]


def fails_on_ab(data: bytes) -> None:
    expect(that=not (b"a" in data and b"b" in data), text="a beside b")


def fails_on_c(data: bytes) -> None:
    fails_on_ab(data)
    if b"c" in data:
        raise ValueError


def test_a_finding_is_the_smallest_input_that_fails_in_the_same_way() -> None:
    data = b"xxaxxxxcxxxxbxx"
    error = failure(fails_on_c, data)
    assert error
    assert "BrokenWordError in expect: a beside b" == kind_of(error)
    assert b"ab" == shrink(fails_on_c, data, kind_of(error))


def test_each_kind_of_failure_is_kept_once(tmp_path: Path) -> None:
    findings = Findings(tmp_path, "odd", fails_on_c)
    for data in (b"fine", b"xaxbx", b"1c1", b"bbaa", b"cc"):
        findings.run(data)
    kept = sorted(path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".txt")
    assert [b"ab", b"c"] == kept
    told = sorted(path.read_text(encoding="utf-8").splitlines()[0] for path in tmp_path.glob("*.txt"))
    assert ["BrokenWordError in expect: a beside b", "ValueError in fails_on_c"] == told


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_finds_an_exception_that_is_not_the_library_s(
    target: str, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> None:
        raise KeyError

    found = inputs(target, [shipped])
    read = [data for data in found if target != "checkpoint" or is_checkpoint(data)]
    monkeypatch.setattr(Accumulator, "run_steps", crash)
    monkeypatch.setattr(Reading, "status", property(crash))  # of the command, whatever it prints
    assert [KeyError] * len(read) == [type(failure(TARGETS[target], data)) for data in read]


def is_checkpoint(data: bytes) -> bool:
    try:
        Accumulator.from_bytes(data)
    except CheckpointError:
        return False
    return True


@pytest.mark.parametrize("target", ["feed", "apply"])
def test_a_fast_path_that_loses_a_text_is_found(target: str, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take: Callable[..., object] = TextTemplate[Update].take

    def forget(template: TextTemplate[Update], data: bytes, number: int, engine: Engine[Update], build: bool) -> object:  # noqa: FBT001 - as `take`
        template._grown = Text()
        return take(template, data, number, engine, build)

    monkeypatch.setattr(TextTemplate, "take", forget)
    failures = [failure(TARGETS[target], data) for data in inputs(target, [shipped])]
    assert {BrokenWordError} == {type(error) for error in failures if error}


def test_updates_that_depend_on_the_cuts_are_found(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push = SSEParser.push

    def by_words(parser: SSEParser, chunk: bytes) -> list[Item]:
        return push(parser, chunk.replace(b"thread", b"THREAD"))

    monkeypatch.setattr(SSEParser, "push", by_words)
    failures = [failure(TARGETS["feed"], data) for data in inputs("feed", [shipped])]
    assert {BrokenWordError} == {type(error) for error in failures if error}


def test_a_changed_checkpoint_is_read_or_refused() -> None:
    run = Accumulator()
    run.feed(
        b'event: thread.run.step.created\ndata: {"id":"s","step_details":{"type":"tool_calls","tool_calls":[]}}\n\n'
    )
    found = set[bool]()
    for seed in range(500):
        changed = json.dumps(changed_json(json.loads(run.to_bytes()), Random(seed))).encode()  # noqa: S311 - no secret
        checkpoint(changed)
        found.add(is_checkpoint(changed))
    assert {True, False} == found


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_a_seed_of_apply_gives_the_event_that_was_recorded(name: str) -> None:
    [seed] = seeds("apply", f"event: {name}\ndata: {{}}\n\n".encode())
    assert [(name, b"{}")] == _events(seed)


def test_a_broken_word_is_said() -> None:
    with pytest.raises(BrokenWordError, match="said"):
        expect(that=False, text="said")


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="needs the extra fuzz")
def test_the_command_counts_what_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "all", "--runs", "400", "--findings", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    _, *rows, total = done.stdout.splitlines()
    assert [*TARGETS] == [row.split()[0] for row in rows]
    executions = [int(row.split()[1]) for row in rows]
    assert min(executions) >= 100  # more where there are more inputs to begin with
    assert ["sum", str(sum(executions)), "0"] == [total.split()[place] for place in (0, 1, 3)]
