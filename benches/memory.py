"""What is held while a long text comes, as a multiple of the text: `tracemalloc`, above what the imports hold.

10 MB of ASCII come in fragments of 4, 16 and 256 characters, made while they are fed, and no event ends the step. The
peak is taken before the final steps are read, and after; the text is compared at the end. The peaks of all contenders
are in the tables of `compare`.
"""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import msgspec

from benches import report
from benches.contenders import HERE
from benches.runner import machine
from benches.workloads import event
from tests import wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHARACTERS = 10_000_000
LENGTHS = (4, 16, 256)


def fragments(characters: int, length: int) -> Iterator[str]:
    """Yield the text in pieces of the same length, no two neighbours alike."""
    for number in range(characters // length):
        yield f"{number % 10_000:04d}" * (length // 4)


def events(characters: int, length: int) -> Iterator[bytes]:
    """Yield the events of a call whose arguments come so."""
    yield event("thread.run.step.delta", wire.delta_payload("step_1", wire.opening(0, "call_1", "f")))
    for piece in fragments(characters, length):
        yield event("thread.run.step.delta", wire.delta_payload("step_1", wire.fragment(0, piece)))


def peaks(characters: int, length: int) -> tuple[float, float]:
    """Return the peaks before and after the final steps are read, as multiples of the text."""
    from accumulator import Accumulator, FunctionToolCall

    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        run = Accumulator()
        for each in events(characters, length):
            run.feed(each)
        before = tracemalloc.get_traced_memory()[1] - base
        tracemalloc.reset_peak()
        (call,) = run.run_steps()[0].tool_calls
        assert isinstance(call, FunctionToolCall)
        assert call.function is not None
        text = call.function.arguments
        after = tracemalloc.get_traced_memory()[1] - base
    finally:
        tracemalloc.stop()
    assert text is not None
    assert text == "".join(fragments(characters, length))
    return before / len(text), max(before, after) / len(text)


def memory(out: Path, *, quick: bool) -> None:
    """Measure each length in a process of its own, and print the multiples."""
    characters = CHARACTERS // 10 if quick else CHARACTERS
    found = dict[int, tuple[float, float]]()
    for length in LENGTHS:
        command = [sys.executable, "-m", "benches.memory", str(characters), str(length)]
        done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True)  # noqa: S603 - our own command
        found[length] = msgspec.json.decode(done.stdout, type=tuple[float, float])
    head = (f"{characters:,} characters", "fragments", "x text before the read", "after")
    rows = [
        (f"in {length} each", f"{characters // length:,}", *(f"{each:.2f}" for each in found[length]))
        for length in LENGTHS
    ]
    print(report.table(head, rows), "", sep="\n")
    report.write_json(out / "memory.json", {"machine": machine(), "characters": characters, "multiples": found})


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(peaks(int(sys.argv[1]), int(sys.argv[2]))))
