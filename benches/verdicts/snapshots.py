"""How the snapshot of a list is made after one entry changed: `python -m benches.verdicts.snapshots`.

In use: the list before is copied in one piece and the changed entries are put in their places. Rejected: sorting the
entries and asking each for its snapshot, which costs the number of calls for every fragment.

    calls                    1          64         1,024
    copied and patched       1.5 µs     1.7 µs       5.3 µs a snapshot
    sorted and rebuilt       2.4        9.4        114
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from accumulator._fold.nodes import Entry, Keyed, snapshot_object
from accumulator._fold.texts import Text
from benches.verdicts import compare

if TYPE_CHECKING:
    from accumulator._json import Json


def made(calls: int) -> Keyed:
    """Make a list of entries with a text each."""
    keyed = Keyed()
    for index in range(calls):
        entry = Entry(index)
        entry.fields["arguments"] = Text("x" * 40)
        keyed.add(entry)
    return keyed


def grow(keyed: Keyed, number: int) -> None:
    """Append to the text of one entry."""
    entry = keyed.entries[number % len(keyed.entries)]
    text = entry.fields["arguments"]
    if isinstance(text, Text):
        text.append("y")
    keyed.invalidate(entry)


def patched(calls: int, reads: int) -> list[Json]:
    """Read as the library does."""
    keyed = made(calls)
    for number in range(reads):
        grow(keyed, number)
        keyed.read()
    return keyed.read()


def rebuilt(calls: int, reads: int) -> list[Json]:
    """Sort the entries, and ask each."""
    keyed = made(calls)
    last: list[Json] = []
    for number in range(reads):
        grow(keyed, number)
        last = [snapshot_object(entry) for entry in keyed.order]
    return last


def main(reads: int = 1_000) -> None:
    """Compare them for few and for many calls."""
    for calls in (1, 64, 1_024):
        compare(
            f"{calls} calls, per snapshot",
            {
                "copied and patched": partial(patched, calls, reads),
                "sorted and rebuilt": partial(rebuilt, calls, reads),
            },
            reads,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
