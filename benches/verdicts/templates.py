"""How a further fragment is recognised: `python -m benches.verdicts.templates`.

In use: head and tail of the template that was used last, or of one looked up by its head in a dict, are removed from
the data, and what is left is decoded as a JSON string. Rejected: a strict decoder for the one canonical event, every
key required and no other allowed. It knows four shapes written down in advance, and serves no unknown tool, no resent
id and no envelope.

    arguments:     both take 20,000 of 20,004; head and tail 0.30 µs an event, the strict decoder 0.45 (1.50 x)
    unknown tools: 20,000 take a template, none the strict decoder: they took the general way, some 15 µs each
    resent ids:    20,000 take a template, none the strict decoder
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from accumulator import Accumulator
from accumulator._engine.templates import TextTemplate
from accumulator._sse import SSEParser
from benches import workloads
from benches.verdicts import compare

if TYPE_CHECKING:
    from accumulator import Update
    from accumulator._engine.fast_path import FastPath

NAME = b"thread.run.step.delta"


class Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    arguments: str


class Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int
    type: Literal["function"]
    function: Function


class Details(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["tool_calls"]
    tool_calls: tuple[Entry]


class Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    step_details: Details


class Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    object: Literal["thread.run.step.delta"]
    delta: Delta


_decode = msgspec.json.Decoder(Event).decode


def strict(frames: list[bytes]) -> list[str]:
    """Return the texts of those that the strict decoder takes."""
    texts: list[str] = []
    for data in frames:
        try:
            event = _decode(data)
        except msgspec.DecodeError:
            continue
        texts.append(event.delta.step_details.tool_calls[0].function.arguments)
    return texts


def looked_up(templates: FastPath[Update], frames: list[bytes]) -> list[str]:
    """Return the texts of those that the template of a text takes."""
    texts, table = list[str](), templates.tables[NAME]
    for data in frames:
        for length in table.lengths:
            template = table.heads.get(data[:length])
            if isinstance(template, TextTemplate):
                texts += template.match_run(NAME, iter([(NAME, data, b"", None)]))[0]
    return texts


def main(size: int = 20_000) -> None:
    """Count the deltas that each takes, and compare them on those that both do."""
    for make in (workloads.arguments, workloads.unknown_tools, workloads.resent_ids):
        made = make(size)
        run, parser = Accumulator(), SSEParser()
        run.feed(made.data(cut=True))  # templates are there until the endings
        frames = [item[1] for item in parser.push(made.data()) if isinstance(item, tuple) and item[0] == NAME]
        templates, by_decoder, engine = run._engine.fast_path, strict(frames), run._engine
        if by_decoder:
            both = frames[8:]
            variants = {"head and tail": partial(looked_up, templates, both), "strict decoder": partial(strict, both)}
            compare("  per event", variants, len(both))
        fit = sum(templates.take(NAME, data, 0, engine, build) is not None for data in frames for build in [False])
        print(f"{make.__name__}: of {len(frames)} deltas {fit} fit templates, {len(by_decoder)} the strict decoder")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
