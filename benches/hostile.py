"""How time and memory grow on streams that were made to be slow: as the power of the number of events.

Each point is measured in a process of its own, three sizes a family, in seconds of CPU. What is held at the end is
compared with what must be. A power that is too high is measured again, and the least of each point counts. Streams
whose objects are read after each event cost at least a copy of the list for each read: pointers, copied in C.
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, cast

from accumulator import Accumulator, FunctionToolCall, Limits, RunStepUpdated, accumulate
from benches.contenders import HERE
from tests import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = (4_000, 8_000, 16_000)
LIMITS = Limits(max_open=None, max_event_values=None)
MOST = 1.5
"""The exponent above which `hostile` fails. Time in proportion to the events gives 1, to their square 2. At these sizes
up to 1.4 is measured: memory that no cache holds any more, copies of lists of pointers, and the measuring of what is
held, once for so many bytes that came."""

REPEATS = 2
"""How often a family is measured again whose exponent is too high."""


def _new_keys(count: int) -> Iterable[bytes]:
    yield wire.created()
    for number in range(count):
        yield wire.event("thread.run.step.delta", {"id": "step_1", "delta": {f"key_{number}": 1}})


def _new_keys_below(count: int) -> Iterable[bytes]:
    yield wire.created()
    for number in range(count):
        yield wire.event("thread.run.step.delta", {"id": "step_1", "delta": {"x": {f"key_{number}": 1}}})


def _calls(count: int) -> Iterable[bytes]:
    yield wire.created()
    for number in range(count):
        yield wire.delta("step_1", wire.opening(number, f"call_{number}", "f"))


def _in_progress(count: int) -> Iterable[bytes]:
    yield from _calls(count)
    for number in range(count):
        yield wire.step_event("in_progress", "step_1", wire.call(f"call_{number}", "f", ""))


def _in_progress_read(count: int) -> Iterable[bytes]:
    yield from _calls(count)
    for number in range(count):
        yield wire.event("thread.run.step.in_progress", {"id": "step_1", "x": number})


def _in_progress_new(count: int) -> Iterable[bytes]:
    yield from _calls(count)
    for number in range(count):
        yield wire.step_event("in_progress", "step_1", wire.call(f"new_{number}", "f", ""))


def _completed(count: int) -> Iterable[bytes]:
    yield from _calls(count)
    for number in range(count):
        yield wire.completed("step_1", [wire.call(f"call_{number}", "f", "")])


def _other_type(life: str) -> Callable[[int], Iterable[bytes]]:
    def make(count: int) -> Iterable[bytes]:
        yield from _calls(count)
        for _ in range(count):
            yield wire.step_event(life, "step_1", {"type": "code_interpreter", "code_interpreter": {"input": "1"}})

    return make


def _moved(count: int) -> Iterable[bytes]:
    calls = [wire.call(f"call_{number}", "f", "") for number in range(count)]
    yield wire.step_event("completed", "step_1", *calls)
    for number in range(count):
        yield wire.delta("step_1", wire.function(2 * count + number, id=f"call_{number}"))
        yield wire.step_event("in_progress", "step_1", wire.call(f"new_{number}", "f", ""))


def _text_and_keys(count: int) -> Iterable[bytes]:
    yield wire.delta("step_1", wire.opening(0, "call_1", "f"))
    for number in range(count):
        yield wire.delta("step_1", wire.fragment(0, "x" * 256))
        yield wire.event("thread.run.step.delta", {"id": "step_1", "delta": {"usage": number}})


def _without_index(count: int) -> Iterable[bytes]:
    yield wire.created()
    for number in range(count):
        yield wire.delta("step_1", {"id": f"call_{number}", "type": "function"})


def _descending(count: int) -> Iterable[bytes]:
    yield wire.created()
    for number in range(count, 0, -1):
        yield wire.delta("step_1", {"index": number, "id": f"call_{number}", "type": "function"})


def _steps_and_done(count: int) -> Iterable[bytes]:
    for number in range(count):
        yield wire.created(f"step_{number}")
        yield wire.DONE


FAMILIES: dict[str, tuple[Callable[[int], Iterable[bytes]], tuple[str, ...]]] = {
    "new keys of one object": (_new_keys, ("feed", "loop")),
    "new keys below it": (_new_keys_below, ("feed", "loop")),
    "calls, in_progress with one": (_in_progress, ("feed", "loop", "drain")),
    "calls, in_progress with a new one": (_in_progress_new, ("feed", "loop", "drain")),
    "calls, completed with one": (_completed, ("feed", "loop", "drain")),
    "calls, in_progress of another type": (_other_type("in_progress"), ("loop", "drain")),
    "calls, completed of another type": (_other_type("completed"), ("loop", "drain")),
    "calls that move, and new ones": (_moved, ("loop", "drain")),
    "calls, each update read": (_in_progress_read, ("updates",)),
    "fragments and fields in turn": (_text_and_keys, ("feed", "loop")),
    "entries without an index, each read": (_without_index, ("read",)),
    "descending indexes, each read": (_descending, ("read",)),
    "a step and done, repeated": (_steps_and_done, ("feed", "loop")),
}
"""Name: the events of a size, and the modes to measure."""


class Answer(NamedTuple):
    """What must be held at the end: steps, problems, and calls, keys and characters of arguments of the first step."""

    steps: int = 1
    problems: int = 0
    calls: int = 0
    keys: int = 0
    characters: int = 0


ANSWERS: dict[str, Callable[[int], Answer]] = {
    "new keys of one object": lambda count: Answer(keys=count),
    "new keys below it": lambda count: Answer(keys=count),
    "calls, in_progress with one": lambda count: Answer(calls=count),
    "calls, in_progress with a new one": lambda count: Answer(calls=2 * count),
    "calls, completed with one": lambda count: Answer(problems=count, calls=count),
    "calls, in_progress of another type": lambda count: Answer(calls=count + 1),
    "calls, completed of another type": lambda count: Answer(problems=count, calls=count + 1),
    "calls that move, and new ones": lambda count: Answer(calls=2 * count),
    "calls, each update read": lambda count: Answer(calls=count),
    "fragments and fields in turn": lambda count: Answer(calls=1, characters=256 * count),
    "entries without an index, each read": lambda count: Answer(problems=count, calls=count),
    "descending indexes, each read": lambda count: Answer(calls=count),
    "a step and done, repeated": lambda count: Answer(steps=count),
}


def answer(run: Accumulator) -> Answer:
    """Count what is held."""
    steps = run.run_steps()
    first = steps[0].to_dict()
    below = first.get("x")
    keys = [*first, *(cast("dict[str, object]", below) if isinstance(below, dict) else ())]
    calls = steps[0].tool_calls
    texts = [call.function.arguments for call in calls if isinstance(call, FunctionToolCall) and call.function]
    return Answer(
        steps=len(steps),
        problems=run.problem_count,
        calls=len(calls),
        keys=len([key for key in keys if key.startswith("key_")]),
        characters=sum(len(text) for text in texts if text),
    )


def run(mode: str, data: bytes, events: list[bytes]) -> tuple[Accumulator, object]:
    """Fold a stream in a mode, and return the accumulator and what else is held at the end."""
    accumulator = Accumulator(limits=LIMITS)
    match mode:
        case "feed":
            return accumulator, accumulator.feed(data)  # all updates are held
        case "drain":
            return accumulate([data], into=accumulator).until_done(), None
        case "read":
            for event in events:
                accumulator.feed(event)
                accumulator.run_step("step_1")
        case _:
            for update in accumulate([data], into=accumulator):
                if mode == "updates" and isinstance(update, RunStepUpdated):
                    assert update.run_step.status is None or update.run_step.status == "in_progress"
    return accumulator, None


def point(family: str, mode: str, count: int) -> None:
    """Measure one point, and print its seconds of CPU and its memory above that of the events, in MB."""
    events = list(FAMILIES[family][0](count))
    data = b"".join(events)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    held = run(mode, data, events)
    seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert ANSWERS[family](count) == answer(held[0])
    print(seconds, (after - before) / 1024, len(data))


def hostile(sizes: tuple[int, ...] = SIZES) -> int:
    """Measure every family, and print a line for each of its modes. Return 1 if an exponent is above `MOST`."""
    slow = list[str]()
    print(f"{'family':36}{'mode':7}" + "".join(f"{size:>10,}" for size in sizes) + "  exponent   peak MB       bytes")
    for family, (_, modes) in FAMILIES.items():
        for mode in modes:
            made = [measured(family, mode, size) for size in sizes]
            for _ in range(REPEATS):
                if exponent(sizes, made) > MOST:  # another process may have taken the time
                    made = [min(each, measured(family, mode, size)) for each, size in zip(made, sizes, strict=True)]
            growth = exponent(sizes, made)
            times = "".join(f"{seconds:>9.2f}s" for seconds, _, _ in made)
            print(f"{family:36}{mode:7}{times}{growth:>10.2f}{made[-1][1]:>10.0f}{made[-1][2]:>12,.0f}", flush=True)
            slow += [f"{family}, {mode}"] if growth > MOST else []
    for each in slow:
        print(f"{each}: expected an exponent of at most {MOST}")
    return int(bool(slow))


def exponent(sizes: tuple[int, ...], made: list[tuple[float, float, float]]) -> float:
    """Return the power of the size with which time grows, from the first size to the last."""
    return math.log(made[-1][0] / made[0][0]) / math.log(sizes[-1] / sizes[0])


def measured(family: str, mode: str, size: int) -> tuple[float, float, float]:
    """Measure a point in a process of its own: seconds, MB and bytes."""
    command = [
        sys.executable,
        "-c",
        "import sys; from benches.hostile import point; point(*sys.argv[1:3], int(sys.argv[3]))",
    ]
    done = subprocess.run(  # noqa: S603 - our own
        [*command, family, mode, str(size)], cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, peak, length = map(float, done.stdout.split())
    return seconds, peak, length
