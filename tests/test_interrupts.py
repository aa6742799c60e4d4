"""Exceptions between any two steps: nothing is lost or doubled without an `interrupted` problem.

The tests raise at traced lines. `python -m tests.test_interrupts 30000` raises from a timer's signal instead, that many
times, and prints how many runs said so and that none lost or doubled text in silence.
"""

from __future__ import annotations

import inspect
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

import pytest

import accumulator
from accumulator import (
    Accumulator,
    RunStepUpdated,
    ToolCallDelta,
    TruncatedError,
    aaccumulate,
    accumulate,
)
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
    from collections.abc import AsyncIterator, Callable
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


def last_line(error: BaseException) -> int:
    """Return the line of the library where an exception came, if that is in `feed` itself; else a high number."""
    frames = traceback.extract_tb(error.__traceback__)
    return next(
        (frame.lineno or 0 for frame in reversed(frames) if frame.name != "trace" and frame.name == "feed"), 10**6
    )


def lines_before_try() -> int:
    """Return the line of the `try` in `feed`: what comes there or before, comes before the chunk is taken."""
    lines, first = inspect.getsourcelines(Accumulator.feed)
    return first + next(number for number, line in enumerate(lines) if line.strip() == "try:")


def told(run: Accumulator) -> bool:
    """Tell whether the run says that something may be missing."""
    return any(problem.kind == "interrupted" for problem in run.problems)


def read_on(step: Callable[[], object]) -> object:
    """Call a step until it comes through: what interrupts comes once."""
    while True:
        try:
            return step()
        except (Boom, Bang):
            continue


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
    """Read a stream with a handler, merging what comes fast."""
    updates: list[object] = []
    stream = accumulate(chunks, handler=updates.append, min_interval=0.001)
    try:
        read_on(stream.until_done)
    except TruncatedError:
        updates.append(TruncatedError(""))
    except (Boom, Bang):
        raise AssertionError from None
    return stream.accumulator, updates


def fed(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    """Feed chunks. Whether a chunk that was interrupted was taken, the number of events tells."""
    run, updates = Accumulator(), list[object]()
    for chunk in chunks:
        try:
            updates += run.feed(chunk)
        except (Boom, Bang) as error:
            if last_line(error) <= lines_before_try():  # it did not take the chunk
                updates += run.feed(chunk)
    updates += cast("list[object]", read_on(lambda: run.feed(b"")))
    updates += cast("list[object]", read_on(run.end))
    return run, updates


def awaited(chunks: list[bytes]) -> tuple[Accumulator, list[object]]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    stream = aaccumulate(source())
    updates: list[object] = []

    async def read() -> bool:
        try:
            async for update in stream:
                updates.append(update)  # noqa: PERF401 - what came before an exception counts
        except TruncatedError:
            updates.append(TruncatedError(""))
        return True

    def step() -> object:
        reading = read()
        try:
            reading.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("expected no wait")

    read_on(step)
    return stream.accumulator, updates


MODES = {"loop": loop, "drain": drain, "fed": fed, "awaited": awaited}


def check(run: Accumulator, updates: list[object] | None) -> str:
    """Check that nothing is lost or doubled in silence, and return what the run said."""
    if told(run):
        run.run_steps()  # it can be read all the same
        Accumulator.from_bytes(run.to_bytes())
        return "told"
    if updates is not None and any(isinstance(update, TruncatedError) for update in updates):
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

    def trace(self, frame: FrameType, kind: str, argument: object) -> object:  # noqa: ARG002 - what a tracer is called with
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if kind == "line" and self.left > 0:
            self.left -= 1
            if not self.left:
                raise self.error
        return self.trace


def interrupted_at(
    mode: Callable[[list[bytes]], tuple[Accumulator, list[object] | None]], at: int, error: type[BaseException]
) -> str | None:
    """Run with an exception at one line; return what the run said, None if it has fewer lines."""
    raising = Raising(at, error)
    before = sys.gettrace()
    sys.settrace(raising.trace)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    try:
        run, updates = mode(CHUNKS)
    except (Boom, Bang):  # before anything was read
        return "not begun"
    finally:
        sys.settrace(before)
    return None if raising.left else check(run, updates)


@pytest.mark.parametrize("error", [Boom, Bang])
@pytest.mark.parametrize("mode", MODES)
def test_an_exception_at_any_line_loses_and_doubles_nothing_in_silence(mode: str, error: type[BaseException]) -> None:
    said: Counter[str] = Counter()
    at, step = 1, 1 if sys.flags.dev_mode else 7  # every line with `python -X dev`, else a line of each seven
    while (what := interrupted_at(MODES[mode], at, error)) is not None:
        said[what] += 1
        at += step
    assert said["whole"] > 0
    assert said["told"] > 0


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
