"""How the texts of a run of fragments are taken out of their data: `python -m benches.verdicts.matching`.

In use: head and tail are removed, and what is left is the string if the data is shorter by just those two. Rejected:
asking for head and tail and then cutting, which costs a tuple of arguments for each question before Python 3.13, and
there alone is quicker; slices made once, which are no quicker anywhere; all strings of a run in one list, as good, but
where one of them is none the run has to be taken again one by one; and a run for each event by itself.

    Python                                    3.11              3.12              3.13
    head and tail removed                     0.262 µs 1.00 x   0.299 µs 1.00 x   0.298 µs 1.00 x
    head and tail asked for, and a slice      0.383    1.46     0.450    1.50     0.276    0.93
    slices made once                          0.302    1.15     0.367    1.23     0.362    1.22
    all strings of a run in one list          0.265    1.01     0.298    1.00     0.295    0.99
    each event by itself                      0.535    2.04     0.610    2.04     0.591    1.98
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from accumulator import Accumulator
from accumulator._engine.templates import TextTemplate
from accumulator._sse import SSEParser
from benches import workloads
from benches.verdicts import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator import Update
    from accumulator._sse import Frame

NAME = b"thread.run.step.delta"
RUN = 20  # events that a chunk of 4 KiB brings

_read = msgspec.json.Decoder(str).decode
_read_all = msgspec.json.Decoder(list[str]).decode


def asked(template: TextTemplate[Update], frames: list[Frame]) -> list[str]:
    """Ask for head and tail, and cut."""
    head, tail = template.head, template.tail
    start, end = len(head), -len(tail)
    texts: list[str] = []
    for name, data, _, _ in frames:
        if name != NAME or not data.startswith(head) or not data.endswith(tail):
            break
        texts.append(_read(data[start:end]))
    return texts


def sliced(template: TextTemplate[Update], frames: list[Frame]) -> list[str]:
    """Cut with slices that are made once."""
    head, tail = template.head, template.tail
    before, between, behind = slice(len(head)), slice(len(head), -len(tail)), slice(-len(tail), None)
    texts: list[str] = []
    for name, data, _, _ in frames:
        if name != NAME or data[before] != head or data[behind] != tail:
            break
        texts.append(_read(data[between]))
    return texts


def in_one(template: TextTemplate[Update], frames: list[Frame]) -> list[str]:
    """Decode the strings of a run as one list. No JSON string has a line feed in it, so none reaches into the next."""
    head, tail, around = template.head, template.tail, template.around
    strings: list[bytes] = []
    for name, data, _, _ in frames:
        string = data.removeprefix(head).removesuffix(tail)
        if name != NAME or len(data) - len(string) != around:
            break
        strings.append(string)
    return _read_all(b"[" + b"\n,\n".join(strings) + b"]")


def in_use(template: TextTemplate[Update], frames: list[Frame]) -> list[str]:
    """Take them as the library does."""
    return template.match_run(NAME, iter(frames))[0]


def each_alone(template: TextTemplate[Update], frames: list[Frame]) -> list[str]:
    """Take each by itself."""
    return [text for frame in frames for text in template.match_run(NAME, iter([frame]))[0]]


def main(size: int = 20_000) -> None:
    """Compare them on the fragments of one call."""
    made = workloads.arguments(size, calls=1)
    run, parser = Accumulator(), SSEParser()
    run.feed(made.data(cut=True))  # templates are there until the endings
    templates = run._engine.fast_path
    frames = [item for item in parser.push(made.data()) if isinstance(item, tuple) and item[0] == NAME][2:]
    runs = [frames[start : start + RUN] for start in range(0, len(frames), RUN)]
    template = templates.last
    assert isinstance(template, TextTemplate)

    def each(take: Callable[[TextTemplate[Update], list[Frame]], list[str]]) -> list[str]:
        return [text for frames in runs for text in take(template, frames)]

    compare(
        "per event",
        {
            "head and tail removed": lambda: each(in_use),
            "head and tail asked for, and a slice": lambda: each(asked),
            "slices made once": lambda: each(sliced),
            "all strings of a run in one list": lambda: each(in_one),
            "each event by itself": lambda: each(each_alone),
        },
        len(frames),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
