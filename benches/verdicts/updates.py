"""How an update about a fragment is made: `python -m benches.verdicts.updates`.

In use: the update of the event that was learned from, with another number and delta. Rejected: calling the class with
what stays the same unpacked from a tuple, and classes that the garbage collector tracks. A call with what is at hand
takes as long, but for that there would be a function for each class of update.

    replace                              0.09 µs an update   1.00 x
    call with an unpacked tuple          0.16                1.75 x
    call with what is at hand            0.10                1.03 x
    replace, tracked by the collector    0.18                1.98 x
"""

from __future__ import annotations

import sys

import msgspec

from accumulator import FunctionToolCallDelta, ToolCallDelta, ToolCallDeltaEntry
from benches.verdicts import compare


class Tracked(msgspec.Struct, frozen=True):
    event_number: int
    step_id: str
    index: int | None
    tool_call_id: str | None
    delta: ToolCallDeltaEntry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToolCallDelta) and msgspec.structs.astuple(self) == msgspec.structs.astuple(other)

    __hash__ = None  # type: ignore[assignment]


def main(size: int = 20_000) -> None:
    """Compare them on updates that are kept, as a loop that collects them does."""
    replace, numbers = msgspec.structs.replace, range(size)
    delta = FunctionToolCallDelta.from_dict({"index": 0, "type": "function", "function": {"arguments": "a"}})
    where = ("step_1", 0, "call_1")
    sample = ToolCallDelta(0, *where, delta)
    tracked = Tracked(0, *where, delta)
    step_id, index, ident = where
    compare(
        "per update",
        {
            "replace": lambda: [replace(sample, event_number=number, delta=delta) for number in numbers],
            "call with an unpacked tuple": lambda: [ToolCallDelta(number, *where, delta) for number in numbers],
            "call with what is at hand": lambda: [
                ToolCallDelta(number, step_id, index, ident, delta) for number in numbers
            ],
            "replace, tracked by the collector": lambda: [
                replace(tracked, event_number=number, delta=delta) for number in numbers
            ],
        },
        size,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
