"""How time and memory grow with the number of fragments in one argument string: `python benches/growth.py`.

Time: 25,000, 50,000 and 100,000 fragments fed in 4 KiB chunks, alone and with the step read after every 1,000; the best
of five, sizes alternating. Linear is a ratio of 2 from each line to the next.

Memory: 10 MB of text in fragments of 4 characters and no ending: the peak that tracemalloc sees above what was there
before, as a multiple of the text, before and after the final steps are read. The stream is made while it is fed.
"""

from __future__ import annotations

import gc
import platform
import time
import tracemalloc
from typing import TYPE_CHECKING

from accumulator import Accumulator, FunctionToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (25_000, 50_000, 100_000)
REPEATS = 5
READ_EVERY = 1_000
CHUNK = 4_096

_EVENT = (
    'event: thread.run.step.delta\ndata: {"id":"step_1","object":"thread.run.step.delta","delta":{"step_details":'
    '{"type":"tool_calls","tool_calls":[%s]}}}\n\n'
)
_FIRST = _EVENT % '{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"","output":null}}'
_LATER = _EVENT % '{"index":0,"type":"function","function":{"arguments":"%04d"}}'


def events(count: int) -> Iterator[bytes]:
    """Yield the events of a call whose arguments come in `count` fragments of 4 characters."""
    yield _FIRST.encode()
    for number in range(count):
        yield (_LATER % (number % 10_000)).encode()


def expected(count: int) -> str:
    """Return the arguments that `events` streams."""
    return "".join(f"{number % 10_000:04d}" for number in range(count))


def arguments(run: Accumulator) -> str:
    """Return the folded arguments."""
    call = run.tool_call("step_1", 0)
    assert isinstance(call, FunctionToolCall)
    assert call.function is not None
    assert call.function.arguments is not None
    return call.function.arguments


def seconds(count: int, read_every: int | None) -> float:
    """Return how long a stream takes, its answer checked before the clock is believed."""
    stream = b"".join(events(count))
    chunks = [stream[start : start + CHUNK] for start in range(0, len(stream), CHUNK)]
    run, unread = Accumulator(), 0
    gc.collect()
    begin = time.perf_counter()
    for chunk in chunks:
        unread += len(run.feed(chunk))
        if read_every is not None and unread >= read_every:
            unread = 0
            run.run_step("step_1")
    run.end()
    run.run_steps()
    elapsed = time.perf_counter() - begin
    assert arguments(run) == expected(count)
    return elapsed


def time_table() -> None:
    """Print the times and how they grow."""
    modes = {"alone": None, f"read every {READ_EVERY:,}": READ_EVERY}
    best: dict[tuple[str, int], float] = {}
    for _ in range(REPEATS):
        for name, read_every in modes.items():
            for size in SIZES:
                taken = seconds(size, read_every)
                best[name, size] = min(taken, best.get((name, size), taken))
    for name in modes:
        before = None
        for size in SIZES:
            taken = best[name, size]
            growth = "" if before is None else f"  {taken / before:.2f} times the line before"
            print(f"{name:>18}  {size:>7,} fragments  {taken:7.3f} s  {taken / size * 1e6:5.2f} µs each{growth}")
            before = taken


def memory_table(characters: int = 10_000_000) -> None:
    """Print the peak memory before and after the final steps are read."""
    count = characters // 4
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        run = Accumulator()
        for event in events(count):
            run.feed(event)
        before = tracemalloc.get_traced_memory()[1] - base
        tracemalloc.reset_peak()
        text = arguments(run)
        after = tracemalloc.get_traced_memory()[1] - base
    finally:
        tracemalloc.stop()
    assert text == expected(count)
    print(f"{characters:,} characters in {count:,} fragments: peak {before / characters:.2f} times the text before")
    print(f"the final step is read, {after / characters:.2f} times after")


if __name__ == "__main__":
    print(f"Python {platform.python_version()} on {platform.machine()}")
    time_table()
    memory_table()
