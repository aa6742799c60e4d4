"""The benchmarks measure what is right, say so where something is wrong, and their guard fails when it must."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from benches import (
    caches,
    contenders,
    counted,
    floors,
    guard,
    hostile,
    limits,
    live,
    recordings,
    report,
    runner,
    scaling,
    short,
    streams,
    worker,
    workloads,
)
from benches.contenders import ByHand
from benches.verdicts import compare, framing, matching, snapshots, templates, updates
from benches.workloads import CHUNKS, MODES, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.contenders import Contender, OursAsync

SIZE = 64


@pytest.fixture(scope="module")
def ours_async() -> Iterator[Contender[object]]:
    made = contenders.make("ours-async")
    yield made
    cast("OursAsync", made).close()


@pytest.mark.parametrize("name", RECIPES)
def test_the_floors_count_what_a_workload_holds(name: str) -> None:
    made = RECIPES[name].make(SIZE)
    for chunk in CHUNKS:
        for cut in (False, True):
            chunks = made.chunks(chunk, cut=cut)
            assert made.counts(cut=cut)["events"] == floors.framing(chunks)
            assert made.counts(cut=cut) == floors.decode(chunks)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RECIPES)
def test_ours_and_the_hand_written_loop_give_the_answer_with_and_without_endings(
    name: str, mode: str, ours_async: Contender[object]
) -> None:
    made = RECIPES[name].make(SIZE)
    for contender in (contenders.make("ours"), ours_async, contenders.make("by-hand")):
        assert made.answer == contender.answer(contender.run(made.chunks(64), mode))
        assert made.cut_answer == contender.answer(contender.run(made.chunks(4_096, cut=True), mode))


def test_workloads_are_the_same_each_time_and_spread_as_said() -> None:
    make = workloads.MAKERS["arguments_of"]
    assert make(99, calls=7, steps=3).data() == make(99, calls=7, steps=3).data()
    once = workloads.arguments(99, calls=4)
    assert (99 + 4, 99 + 4 + 7) == (once.fragments, once.count)


class Forgetful(ByHand):
    """A contender that reads no deltas: only what an ending says."""

    def merge(self, into: dict[str, object], delta: dict[str, object]) -> None:
        """Merge nothing."""


@pytest.mark.parametrize(("which", "right"), [("whole", True), ("cut", False)])
def test_a_worker_tells_a_wrong_answer(which: str, right: bool) -> None:  # noqa: FBT001 - a parameter
    one = worker.Worker(cast("Contender[object]", Forgetful()))
    one.load({"workload": "arguments", "size": SIZE, "chunk": 64, "mode": "final"})
    assert right == one.check({"which": which})["right"]


def test_a_wrong_contender_is_said_to_be_wrong_and_is_not_timed() -> None:
    case, settings = runner.Case("resent_ids", SIZE), runner.Settings(repeats=1, memory=False)
    rows = runner.measured(case, ["decode", "ours", "openai-python"], settings, lambda _: None)
    assert ["ok", "ok", "wrong"] == [row.state for row in rows]
    assert [1, 1, 0] == [len(row.seconds) for row in rows]
    assert ("openai-python", str(SIZE), "wrong") == report.compared(rows)[2][:3]


def test_a_contender_that_is_not_installed_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    rows = runner.measured(runner.Case("arguments", SIZE), ["openai-node"], runner.Settings(), lambda _: None)
    assert ["not found: node"] == [row.state for row in rows]


@pytest.mark.parametrize(
    ("ratio", "kept", "fails", "says"),
    [
        (2.0, 2.0, False, "kept 2.00 (+0.0%)"),
        (2.09, 2.0, False, "(+4.5%)"),
        (2.11, 2.0, True, "MORE than 5% above"),
        (1.89, 2.0, False, "guard --update"),
        (2.0, None, False, "nothing kept"),
    ],
)
def test_the_guard_fails_above_its_tolerance_only(ratio: float, kept: float | None, fails: bool, says: str) -> None:  # noqa: FBT001
    verdict = guard.judged("work", ratio, kept)
    assert fails == verdict.fails
    assert says in verdict.says


def test_the_guard_takes_the_difference_of_passes_as_a_ratio_to_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    def instructions(_valgrind: str, _stream: Path, reader: str, passes: int) -> int:
        return 1_000 + passes * {"decode": 10, "final": 20, "loop": 30}[reader]

    monkeypatch.setattr(guard, "instructions", instructions)
    assert [2.0, 3.0, 2.0, 2.0, 2.0] == list(guard.counted("valgrind").values())


def test_the_guard_is_skipped_without_valgrind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert 0 == guard.guard(update=False)
    assert "guard: skipped: valgrind not found\n" == capsys.readouterr().out


SAID = "==1== I refs:        {},000\n==1== D1  misses:  {} (1 rd + 2 wr)\n==1== Mispredicts:   {} (3 cond)\n"


def test_caches_are_counted_for_each_event(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(_under: list[str], _stream: Path, reader: str, passes: int) -> str:
        events = passes * {"final": 154, "by-hand": 308, "leanest": 462}[reader]
        return SAID.format(events, 2 * events, 3 * events)

    def which(name: str) -> str:
        return name

    monkeypatch.setattr(shutil, "which", which)
    monkeypatch.setattr(caches, "run_counted", run)
    monkeypatch.setattr(caches, "made_loads", lambda: list(short.made_loads())[:1])
    assert 0 == caches.caches()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [
        ["whole_steps", "ours", "1,000", "2", "3"],
        ["whole_steps", "by-hand", "2,000", "4", "6"],
        ["whole_steps", "leanest", "3,000", "6", "9"],
    ] == rows


def test_caches_are_skipped_without_valgrind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert 0 == caches.caches()
    assert "caches: skipped: valgrind not found\n" == capsys.readouterr().out
    with pytest.raises(RuntimeError, match="expected a summary of cachegrind"):
        caches.counts("valgrind: no such tool")


@pytest.mark.parametrize("reader", ["by-hand", "leanest"])
def test_what_is_counted_is_what_people_write(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, answers = tmp_path / "load.sse", list[str]()
    load = next(iter(short.made_loads()))
    path.write_bytes(load.data)
    run = ByHand.run  # `Leanest` has it too

    def noted(self: ByHand, chunks: list[bytes], mode: str) -> object:
        result = run(self, chunks, mode)
        answers.append(self.answer(result))
        return result

    monkeypatch.setattr(ByHand, "run", noted)
    counted.main(str(path), reader, "2")
    assert [load.answer] * 2 == answers


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_is_that_of_the_points(power: float) -> None:
    assert power == pytest.approx(report.exponent({size: 3 * size**power for size in (10, 100, 1_000)}))


@pytest.mark.parametrize("name", ["empty", "ours", "openai-python"])
@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
def test_streams_read_side_by_side_fold_what_they_were_sent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAMS", 3)
    assert 0 < asyncio.run(streams.cpu_per_event(name, 5))


def test_calls_beside_the_growing_one_are_opened_first() -> None:
    opening, events = scaling.beside(64, count=5)
    run = scaling.read_every([opening], None, events)
    (step,) = run.run_steps()
    assert (64, 5) == (len(step.tool_calls), len(events))


VERDICTS = {
    "framing": framing.main,
    "templates": templates.main,
    "matching": matching.main,
    "snapshots": snapshots.main,
    "updates": updates.main,
}


@pytest.mark.parametrize("verdict", VERDICTS.values(), ids=VERDICTS)
def test_what_lost_gives_the_same_answer_as_what_is_in_use(
    verdict: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verdict(SIZE)
    assert " 1.00 x\n" in capsys.readouterr().out


def test_a_variant_that_gives_another_answer_is_no_variant() -> None:
    with pytest.raises(AssertionError, match="b gives another answer than a"):
        compare("per item", {"a": lambda: 1, "b": lambda: 2}, 1)


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")


@needs_proc
def test_a_soak_folds_what_it_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == live.live(3, 0.2, rate=200)
    said = capsys.readouterr().out
    assert "3 of 3 streams folded what was sent: 45 run steps each\n" in said
    assert "; accumulators fed the same events without streams grew by " in said


@needs_proc
def test_a_soak_tells_a_wrong_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answer = live.answer

    def of_another(number: int, steps: int) -> list[dict[str, object]]:
        return answer(2 * number, steps)

    monkeypatch.setattr(live, "answer", of_another)
    assert 1 == live.live(3, 0.1, rate=200)
    assert "1 of 3 streams folded what was sent" in capsys.readouterr().out


def test_a_soak_says_how_many_open_files_it_needs() -> None:
    with pytest.raises(SystemExit, match="expected to be allowed 1,000,000,000,000 open files, got"):
        live.allow_files(10**12)


@pytest.mark.parametrize(
    ("family", "mode"), [(family, mode) for family, (_, modes) in hostile.FAMILIES.items() for mode in modes]
)
def test_a_hostile_stream_folds_to_what_it_must(family: str, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    hostile.point(family, mode, 50)
    assert 3 == len(capsys.readouterr().out.split())


def test_a_hostile_stream_that_folds_to_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hostile.ANSWERS, "new keys below it", hostile.ANSWERS["a step and done, repeated"])
    with pytest.raises(AssertionError):
        hostile.point("new keys below it", "feed", 50)


def test_a_point_is_measured_in_a_process_of_its_own() -> None:
    family = "a step and done, repeated"
    _, _, size = hostile.measured(family, "loop", 50)
    assert size == sum(map(len, hostile.FAMILIES[family][0](50)))


@pytest.mark.parametrize(
    ("power", "busy", "status"),
    [(1.0, 0, 0), (1.49, 0, 0), (1.51, 0, 1), (2.0, 0, 1), (1.0, 1, 0), (1.0, 2, 0), (1.0, 3, 1)],
)
def test_time_that_grows_too_fast_fails_unless_it_was_another_process(
    power: float, busy: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {10: 0, 100: 0}

    def measured(_family: str, _mode: str, size: int) -> tuple[float, float, float]:
        runs[size] += 1
        return size**power * (10 if size == 100 and runs[size] <= busy else 1), 1.0, 1.0

    monkeypatch.setattr(hostile, "measured", measured)
    monkeypatch.setattr(hostile, "FAMILIES", {"keys": (list, ("feed",))})
    assert status == hostile.hostile((10, 100))
    assert status == capsys.readouterr().out.count("keys, feed: expected an exponent of at most 1.5\n")


@pytest.mark.parametrize(
    ("peak", "limit", "quick", "told"),
    [
        (limits.Peak(1, "max_open", 2**30), "max_open", False, ""),
        (limits.Peak(1, "", 1), "", False, ""),
        (limits.Peak(1, "", 1), "max_open", True, ""),
        (limits.Peak(1, "", 1), "max_open", False, "expected max_open to raise, got none"),
        (limits.Peak(1, "max_problems", 1), "", True, "expected no limit to raise, got max_problems"),
        (limits.Peak(1, "max_open", 2**31), "max_open", True, "expected a peak of at most 1,074 MB, got 2,147"),
    ],
)
def test_a_peak_is_within_the_bound_and_of_the_right_limit(
    peak: limits.Peak,
    limit: str,
    quick: bool,  # noqa: FBT001 - a parameter
    told: str,
) -> None:
    assert told == limits.complaint(peak, limit, quick=quick)


def test_the_limits_are_measured_each_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["endless ids", "many calls, a thousand an event"]
    monkeypatch.setattr(limits, "FAMILIES", {name: limits.FAMILIES[name] for name in names})
    assert limits.limits(tmp_path, quick=True)
    rows = capsys.readouterr().out.splitlines()
    assert [[*names[0].split(), "0.1", "max_id_length"]] == [row.split()[:-1] for row in rows if "ids" in row]
    assert (tmp_path / "limits.json").exists()
    monkeypatch.setattr(limits, "BOUND", 1)
    assert not limits.limits(tmp_path, quick=True)
    assert "endless ids: expected a peak of at most 0 MB, got " in capsys.readouterr().out


def test_recordings_are_shown_and_their_memory_is_held_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recordings, "QUICK", (120_000,))
    monkeypatch.setattr(recordings, "PLACES", {"a folder": recordings.write_folder})
    assert recordings.recordings(tmp_path, quick=True)
    ((*where, size, steps, _, _, _),) = [row.split() for row in capsys.readouterr().out.splitlines()[1:]]
    assert (["a", "folder"], 0.1, True) == (where, round(float(size), 1), int(steps) > 4)
    assert (tmp_path / "recordings.json").exists()
    path = recordings.write_file(tmp_path / "one.sse", 100_000)
    assert path.stat().st_size > 100_000
    assert recordings.fold(path) > 4


@pytest.mark.parametrize(("steps", "peak", "constant"), [(7, 12, True), (7, 13, False), (6, 10, False)])
def test_memory_is_constant_if_the_peak_is(steps: int, peak: int, constant: bool) -> None:  # noqa: FBT001 - a parameter
    first = recordings.Measured(100, 7, 1.0, 10)
    other = recordings.Measured(1000, steps, 1.0, peak)
    found = [recordings.Pair("a", first, first), recordings.Pair("a", other._replace(steps=7), other)]
    assert constant == recordings.is_constant(found)


def test_short_streams_are_measured_and_a_wrong_loop_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    short.short(1)
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:44].strip(): line[44:].split() for line in lines[1:]}
    assert {"whole_steps", "short_steps", "code_interpreter", "chat_frames"} <= rows.keys()
    assert "wrong" not in rows["whole_steps"]
    assert ["wrong", "wrong"] == rows["azure_unknown_tools"][2:]  # the loops do not know which texts grow there
