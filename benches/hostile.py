"""How time and memory grow on streams that were made to be slow: as the power of the number of events.

Each point is measured in a process of its own, three sizes a family. Streams whose objects are read after each event
cost at least a copy of the list for each read: pointers, copied in C.
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from accumulator import Accumulator, RunStepUpdated, accumulate
from tests import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = (4_000, 8_000, 16_000)


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


def run(mode: str, data: bytes, events: list[bytes]) -> object:
    """Fold a stream in a mode, and return what is held at the end."""
    if mode == "feed":
        return Accumulator().feed(data)  # all updates are held
    if mode == "drain":
        return accumulate([data]).until_done()
    accumulator = Accumulator()
    if mode == "read":
        for event in events:
            accumulator.feed(event)
            accumulator.run_step("step_1")
        return accumulator
    for update in accumulate([data], into=accumulator):
        if mode == "updates" and isinstance(update, RunStepUpdated):
            assert update.run_step.status is None or update.run_step.status == "in_progress"
    return accumulator


def point(family: str, mode: str, count: int) -> None:
    """Measure one point, and print its seconds and its memory above that of the events, in MB."""
    events = list(FAMILIES[family][0](count))
    data = b"".join(events)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    held = run(mode, data, events)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert held is not None
    print(seconds, (after - before) / 1024, len(data))


def hostile(sizes: tuple[int, ...] = SIZES) -> None:
    """Measure every family, and print a line for each of its modes."""
    print(f"{'family':36}{'mode':7}" + "".join(f"{size:>10,}" for size in sizes) + "  exponent   peak MB  of bytes")
    for family, (_, modes) in FAMILIES.items():
        for mode in modes:
            made = [_measured(family, mode, size) for size in sizes]
            times = "".join(f"{seconds:>9.2f}s" for seconds, _, _ in made)
            growth = math.log(made[-1][0] / made[0][0]) / math.log(sizes[-1] / sizes[0])
            print(f"{family:36}{mode:7}{times}{growth:>10.2f}{made[-1][1]:>10.0f}{made[-1][2]:>10,.0f}", flush=True)


def _measured(family: str, mode: str, size: int) -> tuple[float, float, float]:
    command = [
        sys.executable,
        "-c",
        "import sys; from benches.hostile import point; point(*sys.argv[1:3], int(sys.argv[3]))",
    ]
    done = subprocess.run([*command, family, mode, str(size)], check=True, capture_output=True, text=True)  # noqa: S603
    seconds, peak, length = map(float, done.stdout.split())
    return seconds, peak, length
