"""Exceptions between any two steps: nothing is lost or doubled without an `interrupted` problem.

The tests raise at traced lines. `python -m tests.test_interrupts 30000` raises from a timer's signal instead, that many
times, and prints how many runs said so and that none lost or doubled text in silence.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
import threading
import traceback
from collections import Counter
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeAlias, cast

import pytest

import accumulator
from accumulator import (
    Accumulator,
    Limits,
    MergeError,
    RunStepUpdated,
    SSEParser,
    ToolCallDelta,
    TruncatedError,
    Update,
    aaccumulate,
    accumulate,
    atap,
    tap,
)
from accumulator._assistants.protocol import Assistants
from accumulator._engine.engine import Engine
from accumulator._engine.fast_path import FastPath
from accumulator._engine.feed import Feed
from accumulator._engine.resource import Resource
from accumulator._engine.templates import TextTemplate
from accumulator._fold.nodes import Entry, Keyed, Object, mend
from accumulator._streams.reading import Reading
from accumulator._streams.streams import UpdateStream
from tests.conftest import scaled
from tests.wire import (
    DONE,
    calls_json,
    created,
    delta,
    event,
    fragment,
    in_progress,
    opening,
    run_event,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from types import FrameType

PACKAGE = str(Path(accumulator.__file__).parent)
PIECES = [f"{number}," for number in range(40)]
LOGS: list[dict[str, object]] = [
    {"index": 1, "code_interpreter": {"outputs": [{"index": number, "type": "logs", "logs": f"l{number}"}]}}
    for number in range(6)
]
CODE: dict[str, object] = {
    "index": 1,
    "id": "call_2",
    "type": "code_interpreter",
    "code_interpreter": {"input": "", "outputs": []},
}
EVENTS = [
    run_event("in_progress"),
    created(),
    in_progress(),
    delta("step_1", opening(0, "call_1", "f"), CODE),
    *[delta("step_1", fragment(0, piece)) for piece in PIECES[:20]],
    event("thread.run.step.delta", {"id": "step_1", "delta": {"x": 1}}),
    *[delta("step_1", each) for each in LOGS],
    *[delta("step_1", fragment(0, piece)) for piece in PIECES[20:]],
    DONE,
]
DATA = b"".join(EVENTS)
CHUNKS = [DATA[at : at + 700] for at in range(0, len(DATA), 700)]
OUTPUTS = [{"type": "logs", "logs": f"l{number}"} for number in range(6)]
CODE_CALL = {"id": "call_2", "type": "code_interpreter", "code_interpreter": {"input": "", "outputs": OUTPUTS}}
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "".join(PIECES), "output": None}},
    CODE_CALL,
]


class Boom(BaseException):
    """What comes at an unforeseen moment."""


class Bang(Exception):  # noqa: N818 - as a signal handler may raise it
    """The same, as an `Exception`."""


def last_line(error: BaseException, name: str) -> int:
    """Return the line where an exception came, if that is in a method itself; else a high number."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.name not in {"trace", "raising", "profile", "fire"}
    ]
    return (frames[-1].lineno or 0) if frames[-1].name == name else 10**6


def lines_before_try(name: str) -> int:
    """Return the line of the `try` in a method: what comes there or before, comes before its argument is taken."""
    lines, first = inspect.getsourcelines(cast("Callable[[], object]", getattr(Accumulator, name)))
    return first + next(number for number, line in enumerate(lines) if line.strip() == "try:")


def told(run: Accumulator) -> bool:
    """Tell whether the run says that something may be missing."""
    return any(problem.kind == "interrupted" for problem in run.problems)


def read_on(step: Callable[[], object]) -> object:
    """Call a step until it comes through: what interrupts comes once. If it comes again, it ended the stream."""
    seen = None
    while True:
        try:
            return step()
        except (Boom, Bang) as error:
            if error is seen:
                raise TruncatedError("ended") from error
            seen = error


def loop(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Read a stream in a loop; go on after an exception."""
    stream = accumulate(chunks)
    updates: list[object] = []
    while True:
        try:
            updates.append(next(stream))
        except StopIteration:
            return stream.accumulator, updates
        except (Boom, Bang):
            continue
        except TruncatedError:
            return stream.accumulator, [*updates, TruncatedError("")]


def drain(chunks: list[bytes]) -> tuple[Accumulator, list[object] | None]:
    stream = accumulate(chunks)
    try:
        read_on(stream.until_done)
    except TruncatedError:
        return stream.accumulator, [TruncatedError("")]
    return stream.accumulator, None


def handled(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Read a stream with a handler that gets every update."""
    updates: list[object] = []

    def take(update: object) -> None:
        updates.append(update)

    stream = accumulate(chunks, handler=take)
    try:
        read_on(stream.until_done)
    except TruncatedError:
        updates.append(TruncatedError(""))
    return stream.accumulator, updates


def merged(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Read a stream in a loop, with deltas that are held until the clock has moved on."""
    times = count()
    stream = accumulate(chunks, min_interval=3, clock=lambda: float(next(times)))
    updates: list[object] = []
    try:
        while (update := read_on(lambda: next(stream, stream))) is not stream:
            updates.append(update)
    except TruncatedError as error:
        updates.append(error)
    return stream.accumulator, updates


def fed(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Feed chunks. Whether a chunk that was interrupted was taken, the number of events tells."""
    run, updates = Accumulator(), list[object]()
    for chunk in chunks:
        try:
            updates += run.feed(chunk)
        except (Boom, Bang) as error:
            if last_line(error, "feed") <= lines_before_try("feed"):  # it did not take the chunk
                updates += run.feed(chunk)
    updates += cast("list[object]", read_on(lambda: run.feed(b"")))
    updates += cast("list[object]", read_on(run.end))
    return run, updates


def applied(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Apply framed events. Where an exception came before an event was taken, apply it again."""
    run, updates = Accumulator(), list[object]()
    for sent in SSEParser().feed(b"".join(chunks)):
        try:
            updates += run.apply(sent.event, sent.data)
        except (Boom, Bang) as error:
            if last_line(error, "apply") <= lines_before_try("apply"):
                updates += run.apply(sent.event, sent.data)
    updates += cast("list[object]", read_on(lambda: run.feed(b"")))
    updates += cast("list[object]", read_on(run.end))
    return run, updates


async def one_by_one(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def run_at_once(coroutine: Coroutine[object, object, object]) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("expected no wait")


def awaited(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    stream = aaccumulate(one_by_one(chunks))
    updates: list[object] = []

    async def read() -> None:
        async for update in stream:
            updates.append(update)  # noqa: PERF401 - what came before an exception counts

    try:
        read_on(lambda: run_at_once(read()))
    except TruncatedError as error:
        updates.append(error)
    return stream.accumulator, updates


def atapped(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    updates: list[object] = []
    run = Accumulator()
    source = atap(one_by_one(chunks), into=run, handler=updates.append)

    async def read() -> None:
        async for _ in source:
            pass

    try:
        read_on(lambda: run_at_once(read()))
    except TruncatedError as error:
        updates.append(error)
    updates += [TruncatedError("")] if source.error else []
    return run, updates


def tapped(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Tap a stream with a handler that gets every update."""
    updates: list[object] = []
    run = Accumulator()
    source = tap(chunks, into=run, handler=updates.append)
    try:
        while read_on(lambda: next(source, None)) is not None:
            pass
    except TruncatedError as error:
        updates.append(error)
    updates += [TruncatedError("")] if source.error else []
    return run, updates


MODES = {
    "loop": loop,
    "drain": drain,
    "handled": handled,
    "merged": merged,
    "fed": fed,
    "applied": applied,
    "awaited": awaited,
    "tapped": tapped,
    "atapped": atapped,
}


def check(run: Accumulator, updates: list[object] | None) -> str:
    """Check that nothing is lost or doubled in silence, and return what the run said."""
    if told(run):
        run.run_steps()  # it can be read all the same
        Accumulator.from_bytes(run.to_bytes())
        return "told"
    if run.outcome == "truncated" or any(isinstance(update, TruncatedError) for update in updates or ()):
        return "truncated"
    assert CALLS == calls_json(run)
    assert "unknown" == run.outcome
    if updates is not None:
        texts = [
            cast("str", update.delta.to_dict().get("function", {}).get("arguments", ""))  # type: ignore[attr-defined]
            for update in updates
            if isinstance(update, ToolCallDelta) and update.index == 0
        ]
        assert "".join(PIECES) == "".join(texts)
        assert 2 == sum(isinstance(update, RunStepUpdated) for update in updates)
    return "whole"


class Raising:
    """Raises at one line of the library."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.left, self.error = at, error

    def profile(self, frame: FrameType, kind: str, argument: object) -> None:  # noqa: ARG002 - what a profiler is called with
        # No exception comes at a `return` but that of a profiler: Python handles signals at calls and jumps.
        if frame.f_code.co_filename.startswith(PACKAGE) and kind != "return" and self.left > 0:
            self.left -= 1
            if not self.left:
                raise self.error

    def trace(self, frame: FrameType, kind: str, argument: object) -> object:  # noqa: ARG002 - what a tracer is called with
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if kind == "line" and self.left > 0:
            self.left -= 1
            if not self.left:
                raise self.error
        return self.trace


Read: TypeAlias = "Callable[[list[bytes]], tuple[Accumulator, list[object] | None]]"


def interrupted_at(mode: Read, at: int, *, lines: type[BaseException] | None) -> str | None:
    """Run with an exception at one line, or at one call; return what the run said, None if it has fewer of them.

    It runs in a thread of its own: a tracer that raises may leave an exception as the one that a thread handles.
    """
    raising = Raising(at, lines or Boom)
    made: list[tuple[Accumulator, list[object] | None]] = []
    failed: list[BaseException] = []

    def run() -> None:
        if lines is not None:
            sys.settrace(raising.trace)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        else:
            sys.setprofile(raising.profile)
        try:
            made.append(mode(CHUNKS))
        except BaseException as error:  # noqa: BLE001 - the caller looks at it
            failed.append(error)
        finally:
            sys.setprofile(None)
            sys.settrace(None)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        assert isinstance(failed[0], (Boom, Bang)), failed
        return "not begun"  # it came before anything was read
    return None if raising.left else check(*made[0])


@pytest.mark.parametrize("error", [Boom, Bang])
@pytest.mark.parametrize("mode", MODES)
def test_an_exception_at_any_line_loses_and_doubles_nothing_in_silence(mode: str, error: type[BaseException]) -> None:
    said: Counter[str] = Counter()
    at, step = 1, 1 if sys.flags.dev_mode else scaled(97, 31)  # every line with `python -X dev`
    while (what := interrupted_at(MODES[mode], at, lines=error)) is not None:
        said[what] += 1
        at += step
    assert said["whole"] > 0
    assert said["told"] > 0


# What is raised while Python closes a generator, it prints and drops.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", MODES)
def test_an_exception_at_any_call_loses_and_doubles_nothing_in_silence(mode: str) -> None:
    said: Counter[str] = Counter()
    at, step = 1, 1 if sys.flags.dev_mode else scaled(71, 23)
    while (what := interrupted_at(MODES[mode], at, lines=None)) is not None:
        said[what] += 1
        at += step
    assert said["whole"] > 0
    assert said["told"] > 0


class Once:
    """A method whose call with one number raises, before or after it does its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int, *, after: bool) -> None:
        self.calls = 0
        method = getattr(owner, name)

        def raising(*given: object, **named: object) -> object:
            self.calls += 1
            number = self.calls
            if number == at and not after:
                raise Boom
            result = method(*given, **named)
            if number == at:
                raise Boom
            return result

        self.at = at
        monkeypatch.setattr(owner, name, raising)

    @property
    def raised(self) -> bool:
        return self.calls >= self.at


PLACES: list[tuple[type, str, int]] = [
    (SSEParser, "push", 2),
    (FastPath, "take", 3),
    (TextTemplate, "take", 3),
    (TextTemplate, "match_run", 1),
    (TextTemplate, "append", 1),
    (Resource, "apply", 4),
    (Resource, "build_updates", 4),
    (Engine, "apply", 4),
    (Engine, "end_body", 1),
    (Feed, "push", 2),
    (Feed, "push_event", 1),
    (Feed, "step", 9),
    (Feed, "end", 1),
    (Reading, "_advance", 9),
    (Reading, "next_call", 2),
    (Reading, "push", 2),
    (UpdateStream, "_do_next", 2),
]
"""Methods, and which call of theirs raises."""


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0].__name__}.{place[1]}")
def test_an_exception_in_a_step_of_the_library_loses_and_doubles_nothing_in_silence(
    place: tuple[type, str, int], after: int
) -> None:
    owner, name, at = place
    raised: list[str] = []
    for mode, read in MODES.items():
        with pytest.MonkeyPatch.context() as monkeypatch:
            once = Once(monkeypatch, owner, name, at, after=bool(after))
            check(*read(CHUNKS))
        raised += [mode] if once.raised else []
    assert raised


def test_an_error_that_is_not_made_yet_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Accumulator()
    run.feed(created())
    with monkeypatch.context() as patched:
        Once(patched, Assistants, "error", 1, after=False)
        with pytest.raises(Boom):
            run.apply("error", '{"error":{"message":"boom"}}')
    assert ["ErrorReceived", "BodyEnded"] == [type(update).__name__ for update in run.feed(b"") + run.end()]
    assert "error" == run.outcome


def test_a_source_that_ends_hands_out_what_was_interrupted() -> None:
    run = Accumulator()
    run.feed(created())
    run._engine.note_interrupt()
    assert ["Problem", "BodyEnded"] == [type(update).__name__ for update in run._own.end()]
    with pytest.raises(MergeError, match="interrupted at"):
        strict_and_interrupted().feed(b"")


def strict_and_interrupted() -> Accumulator:
    run = Accumulator(strict=True)
    run._engine.note_interrupt()
    return run


def test_what_was_made_before_an_exception_is_kept_or_said_to_be_lost() -> None:
    stream = accumulate([DATA])
    reading, update = stream._reading, next(stream)
    reading._recover([update], None, 0, 0)
    reading.put_back(update)
    assert [update, update] == list(reading.ready)
    reading._recover(None, None, 9, 0)
    assert told(stream.accumulator)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_loop_after_a_drain_that_was_broken_off_at_its_end_hands_out_each_update(
    monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool
) -> None:
    """The drain stops at an event that is too large, and is interrupted before it is over."""
    chunks = [created(), b"data: " + b"x" * 2_000 + b"\n\n", delta("step_1", opening(0, "call_1", "f"))]
    chunks += [delta("step_1", fragment(0, words)) for words in "abc"]
    limits = Limits(max_event_size=1_000, max_event_values=None)

    def interrupt(_: Reading[object]) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Reading, "expect_read", interrupt)
    if asynchronous:
        updates = asyncio.run(_drained_and_read(chunks, limits))
    else:
        stream = accumulate(chunks, limits=limits)
        with pytest.raises(KeyboardInterrupt):
            stream.until_done()
        updates = list(stream)
    assert (
        ["a", "b", "c"]
        == [
            update.delta.to_dict()["function"]["arguments"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
            for update in updates
            if isinstance(update, ToolCallDelta)
        ][1:]
    )


async def _drained_and_read(chunks: list[bytes], limits: Limits) -> list[Update]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    stream = aaccumulate(source(), limits=limits)
    with pytest.raises(KeyboardInterrupt):
        await stream.until_done()
    return [update async for update in stream]


def test_a_list_is_whole_again_after_a_change_was_broken_off() -> None:
    keyed = Keyed()
    entries = [Entry(0), Entry(0), Entry(None)]
    keyed.arrivals.extend(entries)  # as if the rest of `add` had not run
    mend_list(keyed)
    assert [0, 1, None] == [entry.index for entry in keyed.order]
    assert {0: entries[0], 1: entries[1]} == keyed.entries
    assert [entries[2]] == keyed.open_unindexed.fitting("", ())
    assert not keyed.order.discard(Entry(7))
    assert entries == list(keyed.order)


def mend_list(keyed: Keyed) -> None:
    root = Object()
    root.fields["x"] = keyed
    mend(root)


@pytest.mark.parametrize("owner", [SSEParser, Resource])
def test_one_exception_is_one_problem(monkeypatch: pytest.MonkeyPatch, owner: type) -> None:
    Once(monkeypatch, owner, "push" if owner is SSEParser else "apply", 2, after=True)
    run = Accumulator()
    run.feed(created())
    with pytest.raises(Boom):
        run.feed(in_progress(x=1))
    assert ["interrupted"] == [problem.kind for problem in run.problems]
    assert 1 == run.problem_count


def test_a_second_exception_while_the_state_is_made_whole_takes_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Accumulator()
    run.feed(created() + delta("step_1", *[opening(number, f"call_{number}", "f") for number in range(5)]))
    Once(monkeypatch, Resource, "apply", 1, after=True)
    Once(monkeypatch, Keyed, "add", 3, after=False)
    with pytest.raises(Boom):
        run.feed(in_progress())
    assert [f"call_{number}" for number in range(5)] == [each["id"] for each in calls_json(run)]


@pytest.mark.parametrize("strict", [0, 1])
def test_a_checkpoint_keeps_what_was_interrupted_and_not_handed_out(strict: int) -> None:
    run = Accumulator(strict=bool(strict))
    run._engine.note_interrupt()
    other = Accumulator.from_bytes(run.to_bytes())
    for each in (run, other):
        if strict:
            with pytest.raises(MergeError, match="interrupted at"):
                each.feed(b"")
        else:
            assert run.problems == each.feed(b"")


def interrupted_by_a_signal(random: Random, seconds: float) -> str:
    """Run in some mode while a timer raises within the library at a random time; return what the run said."""
    fired = False

    def fire(_: int, frame: FrameType | None) -> None:
        nonlocal fired
        if frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            fired = True
            raise random.choice([Boom, Bang])
        signal.setitimer(signal.ITIMER_REAL, 0.00002)  # not in the library just now

    signal.signal(signal.SIGALRM, fire)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, seconds))
    try:
        run, updates = random.choice(list(MODES.values()))(CHUNKS)
    except (Boom, Bang):
        return "not begun"
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return check(run, updates) if fired else "not interrupted"


def main(runs: int) -> None:
    """Interrupt so many runs by signals, and print what they said."""
    random, said = Random(1), Counter[str]()  # noqa: S311 - moments to interrupt at
    while said.total() - said["not interrupted"] < runs:
        said[interrupted_by_a_signal(random, 0.004)] += 1
    print(", ".join(f"{what} {count:,}" for what, count in sorted(said.items())), "- none in silence")  # noqa: T201 - for people


if __name__ == "__main__":
    main(int(sys.argv[1]))
