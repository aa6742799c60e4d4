"""Streams to measure with: seeded, as servers send them, each with the answer that a reader must find in the end.

The answer is written down while a stream is made, from what is put into it; nothing here folds anything. It holds what
every client claims to give: the tool calls of each step and the contents of each message. What real servers repeat (the
whole object when a step or message ends) is repeated here. Every stream ends with `thread.run.completed` and `done`.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec

from tests import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SEED = 20_261_122
CHUNK = 4_096
CHUNKS = (64, CHUNK, 65_536)
# Who reads the updates: nobody, a loop over all of them, the same with a snapshot after every 100.
MODES = ("final", "loop", "snapshot")
SNAPSHOT_EVERY = 100

# Measured on recordings of real servers from 2024 to 2026: how many fragments of how many characters. The inputs of
# three code interpreter calls (241 fragments with their openings), the texts of seven messages (227).
INPUT_LENGTHS = {1: 53, 2: 57, 3: 46, 4: 17, 5: 22, 6: 13, 7: 16, 8: 5, 9: 6, 10: 1, 11: 1, 14: 1}
TEXT_LENGTHS = {1: 39, 2: 30, 3: 35, 4: 30, 5: 24, 6: 16, 7: 9, 8: 16, 9: 10, 10: 7, 11: 8, 12: 1, 24: 1}
# The longest of them: one run of two code interpreter calls, each followed by a message; 186 deltas of steps, 83 of
# messages.
CALL_FRAGMENTS = (91, 91)
MESSAGE_FRAGMENTS = (41, 42)

ARGUMENTS = (
    '{"city":"Zürich","from":"2026-05-04T10:00:00+02:00","units":["°C","mm"],"note":"two lines\\n\\"quoted\\"",'
    '"path":"C:\\\\data","limit":25,"nested":{"deep":[1,2.5,null,true]},"emoji":"🏔"},'
)
CODE = (
    "import pandas as pd\n\nframe = pd.read_csv('/mnt/data/assistant-4f.csv', sep=\"\\t\")\n"
    "for name, column in frame.items():\n    print(f'{name}: {column.mean():.2f}')\n"
)
PROSE = 'The mean of the column "height" is 1.74 m, which is — as before — close to what the table says.\n\n'


@dataclass(frozen=True)
class Workload:
    """A stream of events and what must come of it.

    Attributes:
        count: how many events there are, also when they are no longer held.
        endings: the places of the events that repeat whole steps and messages; without them a reader must have folded.
        answer: digest of what must be read in the end.
        cut_answer: the same where the endings are left out.
        fragments: how many entries all deltas hold.
        characters: how much text they hold.

    """

    events: list[bytes]
    endings: frozenset[int]
    count: int
    answer: str
    cut_answer: str
    fragments: int
    characters: int

    def data(self, *, cut: bool = False) -> bytes:
        """Return the bytes of the stream, with or without the endings."""
        if not cut:
            return b"".join(self.events)
        return b"".join(event for place, event in enumerate(self.events) if place not in self.endings)

    def chunks(self, size: int, *, cut: bool = False) -> list[bytes]:
        """Return the bytes in chunks of this size, cut anywhere."""
        data = self.data(cut=cut)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def counts(self, *, cut: bool = False) -> dict[str, int]:
        """Return what a reader that only decodes must count."""
        events = self.count - (len(self.endings) if cut else 0)
        return {"events": events, "fragments": self.fragments, "characters": self.characters}


def digest(steps: dict[str, object], messages: dict[str, object]) -> str:
    """Return one line for the calls of each step and the contents of each message, whoever wrote them down.

    `index`, which only deltas carry, and whatever is null or empty are left out: clients differ in that, and servers.
    """
    plain = json.dumps([_meant(steps), _meant(messages)], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _meant(value: object) -> object:
    if isinstance(value, dict):
        members = {key: _meant(each) for key, each in cast("dict[str, object]", value).items() if key != "index"}
        return {key: each for key, each in members.items() if each is not None and each not in ("", [], {})}
    if isinstance(value, list):
        return [_meant(each) for each in cast("list[object]", value)]
    return value


def event(name: str, payload: object) -> bytes:
    """Return one event as servers frame it."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(payload))


class Fragments:
    """An endless text, given out in pieces whose lengths are drawn as they were measured."""

    def __init__(self, text: str, lengths: dict[int, int], seed: int = SEED) -> None:
        """Start at the beginning of the text, which repeats."""
        self._text = text * (2 + max(lengths) // len(text))
        self._period = len(text)
        self._lengths, self._weights = list(lengths), list(lengths.values())
        self._random = random.Random(seed)  # noqa: S311 - the same stream each time is what is wanted
        self._place = 0

    def take(self, count: int) -> Iterator[str]:
        """Give the next pieces."""
        for length in self._random.choices(self._lengths, self._weights, k=count):
            yield self._text[self._place : self._place + length]
            self._place = (self._place + length) % self._period


@dataclass
class Script:
    """A stream in the making."""

    events: list[bytes] = field(default_factory=list[bytes])
    endings: set[int] = field(default_factory=set[int])
    steps: dict[str, object] = field(default_factory=dict[str, object])
    deltas_only: dict[str, object] = field(default_factory=dict[str, object])
    messages: dict[str, object] = field(default_factory=dict[str, object])
    fragments: int = 0
    characters: int = 0

    def __post_init__(self) -> None:
        """Begin the run."""
        for status in ("queued", "in_progress"):
            self.add(f"thread.run.{status}", _run(status))

    def add(self, name: str, payload: object) -> None:
        """Put an event at the end."""
        self.events.append(event(name, payload))

    def open_step(self, step_id: str, **fields: object) -> None:
        """Begin a step."""
        for life in ("created", "in_progress"):
            self.add(f"thread.run.step.{life}", wire.step(step_id, **fields))

    def delta(self, step_id: str, entry: object, characters: int = 0) -> None:
        """Let a step grow by one entry that carries so many characters of text."""
        self.fragments += 1
        self.characters += characters
        self.add("thread.run.step.delta", wire.delta_payload(step_id, entry))

    def close_step(self, step_id: str, calls: list[object], *, streamed: bool = True, **fields: object) -> None:
        """End a step with its calls, which were streamed or are only said here."""
        self.steps[step_id] = calls
        self.deltas_only[step_id] = calls if streamed else []
        self.endings.add(len(self.events))
        self.add("thread.run.step.completed", wire.step(step_id, *calls, **{**wire.ended(), **fields}))

    def message(self, message_id: str, pieces: Sequence[str]) -> None:
        """Stream a message of one text, in the step that creates it."""
        details = {"type": "message_creation", "message_creation": {"message_id": message_id}}
        fields: dict[str, object] = {"type": "message_creation", "step_details": details}
        step_id = f"step_of_{message_id}"
        self.open_step(step_id, **fields)
        for life in ("created", "in_progress"):
            self.add(f"thread.message.{life}", _message(message_id, "in_progress", []))
        for place, piece in enumerate(pieces):
            text: dict[str, object] = {"value": piece, "annotations": []} if place == 0 else {"value": piece}
            content = {"index": 0, "type": "text", "text": text}
            payload = {"id": message_id, "object": "thread.message.delta", "delta": {"content": [content]}}
            self.add("thread.message.delta", payload)
        self.fragments += len(pieces)
        whole = [{"type": "text", "text": {"value": "".join(pieces), "annotations": list[object]()}}]
        self.characters += sum(map(len, pieces))
        self.messages[message_id] = whole
        self.endings.add(len(self.events))
        self.add("thread.message.completed", _message(message_id, "completed", whole))
        self.close_step(step_id, [], streamed=True, **fields)

    def done(self) -> Workload:
        """End the run."""
        self.add("thread.run.completed", _run("completed"))
        self.events.append(wire.DONE)
        answers = (digest(self.steps, self.messages), digest(self.deltas_only, self.messages))
        return Workload(
            self.events, frozenset(self.endings), len(self.events), *answers, self.fragments, self.characters
        )


def _run(status: str) -> dict[str, object]:
    return {
        "id": "run_1",
        "object": "thread.run",
        "created_at": wire.CREATED_AT,
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "status": status,
        "required_action": None,
        "last_error": None,
        "model": "gpt-4o",
        "instructions": "Help where you can.",
        "tools": [],
        "metadata": {},
        "usage": None,
    }


def _message(message_id: str, status: str, content: Sequence[object]) -> dict[str, object]:
    return {
        "id": message_id,
        "object": "thread.message",
        "created_at": wire.CREATED_AT,
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "run_id": "run_1",
        "status": status,
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": wire.CREATED_AT + 9 if status == "completed" else None,
        "role": "assistant",
        "content": content,
        "attachments": [],
        "metadata": {},
    }


def _order(size: int, calls: int, *, interleaved: bool) -> Iterator[int]:
    """Give the index that each fragment is for: call after call, or each in turn."""
    if interleaved:
        return (place % calls for place in range(size))
    return (place * calls // size for place in range(size))


def arguments(
    size: int,
    *,
    calls: int = 4,
    steps: int = 1,
    interleaved: bool = False,
    resent: Callable[[int, int], str] | None = None,
) -> Workload:
    """Stream so many argument fragments in all, over so many calls in each of so many steps.

    With `resent` each fragment repeats name and output, beside an id that is made of the call's index and the place.
    """
    script, pieces = Script(), Fragments(ARGUMENTS, INPUT_LENGTHS)
    for number in range(steps):
        step_id, texts = f"step_{number}", [list[str]() for _ in range(calls)]
        count = size * (number + 1) // steps - size * number // steps
        script.open_step(step_id)
        ids = [f"call_{number}_{index}" for index in range(calls)]
        for place, (index, piece) in enumerate(
            zip(_order(count, calls, interleaved=interleaved), pieces.take(count), strict=True)
        ):
            if not texts[index]:
                script.delta(step_id, wire.opening(index, ids[index], "get_weather"))
            entry = wire.fragment(index, piece)
            if resent is not None:
                entry = wire.function(index, name="get_weather", arguments=piece, output=None)
                entry["id"] = resent(index, place) or ids[index]
            script.delta(step_id, entry, len(piece))
            texts[index].append(piece)
        whole = [wire.call(ids[index], "get_weather", "".join(text)) for index, text in enumerate(texts) if text]
        script.close_step(step_id, list[object](whole))
    return script.done()


def interleaved(size: int) -> Workload:
    """Stream argument fragments of 64 calls, each in turn."""
    return arguments(size, calls=64, interleaved=True)


def resent_ids(size: int) -> Workload:
    """Repeat id, name and type with every argument fragment, as some servers do."""
    return arguments(size, resent=lambda _index, _place: "")


def random_ids(size: int) -> Workload:
    """Send another id with every argument fragment, as one server does; the first is that of the call."""
    draw = random.Random(SEED)  # noqa: S311 - as above
    return arguments(size, resent=lambda _index, _place: f"call_{draw.getrandbits(96):024x}")


def _code(index: int = 0, **fields: object) -> dict[str, object]:
    return {"index": index, "type": "code_interpreter", "code_interpreter": fields}


def _code_call(script: Script, step_id: str, inputs: Sequence[str], outputs: Sequence[dict[str, object]]) -> None:
    """Stream a step of one code interpreter call."""
    script.open_step(step_id)
    script.delta(step_id, {**_code(input="", outputs=[]), "id": f"call_of_{step_id}"})
    for piece in inputs:
        script.delta(step_id, _code(input=piece), len(piece))
    for index, output in enumerate(outputs):
        script.delta(step_id, _code(outputs=[{"index": index, **output}]), len(cast("str", output.get("logs", ""))))
    payload = {"input": "".join(inputs), "outputs": list(outputs)}
    script.close_step(step_id, [{"id": f"call_of_{step_id}", "type": "code_interpreter", "code_interpreter": payload}])


def logs(size: int) -> Workload:
    """Stream code in fragments, then so many log outputs."""
    script = Script()
    outputs = [{"type": "logs", "logs": f"row {number}: ok\n"} for number in range(size)]
    _code_call(
        script, "step_0", list(Fragments(CODE, INPUT_LENGTHS).take(91)), cast("list[dict[str, object]]", outputs)
    )
    return script.done()


def big_output(size: int) -> Workload:
    """Give one output of so many characters in one event; the ending repeats it."""
    script = Script()
    line = '2026-05-04T10:00:00 INFO worker-7 handled "GET /items" in 12 ms\n'
    output: dict[str, object] = {"type": "logs", "logs": (line * (size // len(line) + 1))[:size]}
    _code_call(script, "step_0", list(Fragments(CODE, INPUT_LENGTHS).take(91)), [output])
    return script.done()


def steps(size: int) -> Workload:
    """Stream so many steps, each with one call of 8 fragments."""
    return arguments(8 * size, calls=1, steps=size)


def whole_steps(size: int) -> Workload:
    """Say so many steps only as a whole, in their beginning and their ending: there is nothing to fold."""
    script, pieces = Script(), Fragments(ARGUMENTS, INPUT_LENGTHS)
    for number in range(size):
        step_id, text = f"step_{number}", "".join(pieces.take(40))
        script.open_step(step_id)
        script.close_step(step_id, [wire.call(f"call_{number}", "get_weather", text)], streamed=False)
    return script.done()


def short_steps(size: int) -> Workload:
    """Stream so many steps, each with one call of 3 fragments: half of the events are whole objects."""
    return arguments(3 * size, calls=1, steps=size)


# How the tools that only some servers know stream: the type, the field that grows, where it is (None: in the entry).
UNKNOWN_TOOLS = (
    ("azure_function", "arguments", "azure_function"),
    ("fabric_dataagent", "input", "fabric_dataagent"),
    ("openapi", "arguments", "function"),
    ("mcp", "arguments", None),
)


def unknown_tools(size: int) -> Workload:
    """Stream calls of tools that no specification of the SDKs has, so many fragments in all."""
    script, pieces, calls = Script(), Fragments(ARGUMENTS, INPUT_LENGTHS), list[object]()
    script.open_step("step_0")
    for index, (kind, grown, place) in enumerate(UNKNOWN_TOOLS):
        texts = list(pieces.take(size // len(UNKNOWN_TOOLS)))
        name: dict[str, object] = {} if kind == "fabric_dataagent" else {"name": "lookup"}

        def entry(payload: dict[str, object], kind: str = kind, place: str | None = place) -> dict[str, object]:
            return {"type": kind, **(payload if place is None else {place: payload})}

        opening = entry({**name, grown: "", "output": None})
        script.delta("step_0", {"index": index, "id": f"call_{index}", **opening})
        for text in texts:
            script.delta("step_0", {"index": index, **entry({grown: text})}, len(text))
        script.delta("step_0", {"index": index, **entry({"output": "[redacted]"})}, len("[redacted]"))
        whole = entry({**name, grown: "".join(texts), "output": "[redacted]"})
        calls.append({"id": f"call_{index}", **whole})
    script.close_step("step_0", calls)
    return script.done()


def mixed(size: int) -> Workload:
    """Repeat so many times what the longest recording holds: code, a message, code that draws, a message."""
    script = Script()
    code, prose = Fragments(CODE, INPUT_LENGTHS), Fragments(PROSE, TEXT_LENGTHS)
    image: dict[str, object] = {"type": "image", "image": {"file_id": "assistant-image"}}
    outputs: list[list[dict[str, object]]] = [[{"type": "logs", "logs": "height: 1.74\n"}], [image]]
    for number in range(size):
        for half, given in enumerate(outputs):
            _code_call(script, f"step_{number}_{half}", list(code.take(CALL_FRAGMENTS[half])), given)
            script.message(f"msg_{number}_{half}", list(prose.take(MESSAGE_FRAGMENTS[half])))
    return script.done()


def messages(size: int) -> Workload:
    """Stream four messages, so many text fragments in all."""
    script, prose = Script(), Fragments(PROSE, TEXT_LENGTHS)
    for number in range(4):
        script.message(f"msg_{number}", list(prose.take(size // 4)))
    return script.done()


@dataclass(frozen=True)
class Recipe:
    """How a workload is made, and how large."""

    make: Callable[[int], Workload]
    size: int
    says: str


RECIPES = {
    "arguments": Recipe(arguments, 20_000, "argument fragments over 4 calls"),
    "interleaved": Recipe(interleaved, 20_000, "argument fragments over 64 interleaved calls"),
    "logs": Recipe(logs, 5_000, "log outputs of one code interpreter call"),
    "big_output": Recipe(big_output, 8_000_000, "characters of output in one event, and again in the ending"),
    "steps": Recipe(steps, 1_000, "steps with a call of 8 fragments each"),
    "unknown_tools": Recipe(unknown_tools, 20_000, "fragments over 4 calls of unknown tool types"),
    "resent_ids": Recipe(resent_ids, 20_000, "argument fragments over 4 calls, id and name in each"),
    "random_ids": Recipe(random_ids, 20_000, "argument fragments over 4 calls, another id in each"),
    "mixed": Recipe(mixed, 74, "times what the longest recording holds: 2 calls with outputs, 2 messages"),
    "messages": Recipe(messages, 20_000, "text fragments over 4 messages"),
    "whole_steps": Recipe(whole_steps, 1_000, "steps that come whole, with no deltas"),
    "short_steps": Recipe(short_steps, 1_000, "steps with a call of 3 fragments each"),
}

# Those that take more than a size.
MAKERS: dict[str, Callable[..., Workload]] = {"arguments_of": arguments}
