"""Runs as servers might send them, made of bytes: one draw of Hypothesis is a whole run.

Drawing each choice by itself would cost more than folding the run. So a `Tape` of bytes is drawn, and what reads it
takes the simplest choice for a byte of 0 and at the tape's end; Hypothesis shrinks bytes towards 0.

The tables of field names repeat the rules of the fold on purpose: a law must not follow a fault of the package.
"""

from __future__ import annotations

import copy
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from accumulator._builders import Json

JsonObject: TypeAlias = "dict[str, Json]"
Path: TypeAlias = tuple[str | int, ...]
"""Where a value goes: a text is a key of an object, a number the index of an entry in the list before it."""

_T = TypeVar("_T")

DELTA = "thread.run.step.delta"
APPEND = {"arguments", "input", "logs", "output", "refusal", "requesturl", "response_metadata", "value"}
KEEP_FIRST = {"file_id", "id", "name", "server_label", "type"}
WHOLE = {"ranking_options"}
ENDINGS = ["completed", "failed", "cancelled", "expired"]
TAPE_LENGTH = 1024

_PIECES = ["a", '{"k": ', "é", "🏔", "\r\n", "\\", '"', "\u2028", "\ud83d", "\ude00", "\0", "\n\ndata: ", "😀😀"]
_SCALARS: list[Json] = [0, 1, 1.0, -0.0, True, False, "s", "", "é", 2**70, 0.25]
_LISTS: list[Json] = [[], [1, 1.0], ["a", None], [{"a": 1}, {"a": 2}], [[], [{}]], [{"index": 0, "a": 1}, {}]]
_KEYS = [
    "x",
    "value",
    "name",
    "id",
    "input",
    "x y",
    "ranking_options",
    "é",
    "score",
    "server_label",
    "steps",
    "requesturl",
    "refusal",
]
_STARTS = [0, 0, 0, 1, 7, 4294967294]
_GAPS = [1, 1, 1, 1, 2, 9, 4294967294, 10**20]
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tape:
    """Choices read from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __repr__(self) -> str:
        return f"Tape({self._data.rstrip(bytes(1))!r})"

    def below(self, limit: int) -> int:
        """Give an integer from 0 to `limit` - 1."""
        at = self._at
        if limit <= 64:
            self._at = at + 1
            return self._data[at] * limit >> 8 if at < len(self._data) else 0
        self._at = at + 3
        return int.from_bytes(self._data[at : at + 3].ljust(3, b"\0"), "big") * limit >> 24

    def pick(self, items: Sequence[_T]) -> _T:
        """Give one of the items, the first being the simplest."""
        return items[self.below(len(items))]

    def chance(self, often: int) -> bool:
        """Say yes once in so many times."""
        return self.below(often) == often - 1


tapes = st.binary(min_size=TAPE_LENGTH, max_size=TAPE_LENGTH).map(Tape)


class Indexed(list["Json"]):
    """A list whose entries travel with an index, in the order of their indexes."""

    def __init__(self, entries: Sequence[JsonObject], indexes: Sequence[int]) -> None:
        super().__init__(entries)
        self.indexes = list(indexes)


class Event(NamedTuple):
    """An event of a server: its name, and its data as text."""

    name: str
    data: str


DONE = Event("done", "[DONE]")


# ---- Final objects.


def joined(text: str) -> str:
    """Put the halves of surrogate pairs together, as a decoder of JSON does."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def make_text(tape: Tape) -> str:
    return joined("".join(tape.pick(_PIECES) for _ in range(tape.below(6))))


def make_indexes(tape: Tape, count: int) -> list[int]:
    """Give growing indexes, with or without gaps."""
    indexes: list[int] = []
    at = tape.pick(_STARTS)
    for _ in range(count):
        indexes.append(at)
        at += tape.pick(_GAPS)
    return indexes


def _make_object(tape: Tape, depth: int = 2) -> JsonObject:
    return {key: _make_value(tape, key, depth) for key in (tape.pick(_KEYS) for _ in range(tape.below(4)))}


def _make_value(tape: Tape, key: str, depth: int) -> Json:  # noqa: PLR0911 - one for each kind of value
    if key in APPEND:
        return None if tape.chance(6) else make_text(tape)
    if key in KEEP_FIRST:
        return tape.pick(["n", "é", "", None])
    if key in WHOLE:
        return None if tape.chance(2) else {"ranker": "auto", "score_threshold": 0.0}
    match tape.below(6 if depth else 4):
        case 0 | 1:
            return tape.pick(_SCALARS)
        case 2:
            return None
        case 3:
            return copy.deepcopy(tape.pick(_LISTS))
        case 4:
            return _make_object(tape, depth - 1)
        case _:
            entries: list[JsonObject] = [{"type": "t", **_make_object(tape, depth - 1)} for _ in range(tape.below(3))]
            return Indexed(entries, make_indexes(tape, len(entries)))


def _maybe(tape: Tape, value: Json) -> Json:
    return None if tape.chance(3) else value


def _make_code(tape: Tape) -> JsonObject:
    outputs: list[JsonObject] = [
        {"type": "image", "image": {"file_id": "file_1"}}
        if tape.chance(3)
        else {"type": "logs", "logs": make_text(tape)}
        for _ in range(tape.below(4))
    ]
    return {"input": make_text(tape), "outputs": Indexed(outputs, make_indexes(tape, len(outputs)))}


def make_call(tape: Tape, number: int) -> JsonObject:
    """Make a tool call of a known type, of one of Azure's, or of a type that nobody knows."""
    kinds = ["function", "code_interpreter", "file_search", "mcp", "azure_ai_search", "openapi", "unknown"]
    kind = tape.pick(kinds)
    # Two calls with one id are no rarity on servers that number them badly.
    head: JsonObject = {"id": f"call_{0 if tape.chance(12) else number}", "type": kind}
    text, output = make_text(tape), _maybe(tape, make_text(tape))
    match kind:
        case "function" | "openapi":
            return {**head, "function": {"name": "f", "arguments": text, "output": output}}
        case "code_interpreter":
            return {**head, "code_interpreter": _make_code(tape)}
        case "file_search":
            options = _make_value(tape, "ranking_options", 0)
            return {**head, "file_search": {"ranking_options": options, "results": []}}
        case "mcp":
            return {**head, "arguments": text, "name": "f", "server_label": "s", "output": output}
        case "azure_ai_search":
            return {**head, "azure_ai_search": {"input": text, "output": output}}
        case _:
            return {**head, "unknown": _make_object(tape), **({"x": 1} if tape.chance(2) else {})}


def make_details(tape: Tape) -> JsonObject:
    """Make the final details of a step, such as deltas can carry."""
    if tape.chance(8):
        return {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    if tape.chance(8):
        return {"type": "activities", "activities": [{"id": "a", "type": "mcp_list_tools"}], "x": _make_object(tape)}
    calls = [make_call(tape, number) for number in range(tape.pick([1, 2, 3, 1, 2, 0, 1, 2, 3, 1, 1, 2, 3, 1, 2, 12]))]
    return {"type": "tool_calls", "tool_calls": Indexed(calls, make_indexes(tape, len(calls)))}


# ---- Their deltas.


def cut_text(tape: Tape, text: str) -> list[Json]:
    """Cut a text anywhere, also between the halves of a surrogate pair."""
    units = text.encode("utf-16-le", "surrogatepass")
    count = len(units) // 2
    match tape.below(4):
        case 0:
            points: list[int] = []
        case 1:
            points = list(range(count + 1))
        case _:
            points = sorted(tape.below(count + 1) for _ in range(tape.below(4)))
    ends = [0, *points, count]
    return [units[2 * a : 2 * b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(ends)]


def _sent(tape: Tape, key: str, value: Json) -> list[Json]:  # noqa: PLR0911 - one for each kind of field
    """Give the values that a field is sent with, one after the other, so that `value` comes of it."""
    nulls: list[Json] = [None] * tape.pick([0, 0, 0, 1])
    if value is None:
        return [None, *nulls]
    if value in ("", []):
        return [*nulls, value, None]
    if key in APPEND and isinstance(value, str):
        return [*nulls, *_any(tape, [], [""], ["", None]), *cut_text(tape, value), *nulls]
    if key in KEEP_FIRST:
        return [*nulls, *_any(tape, [], [""]), value, *_any(tape, [], [value], [""], [None, value])]
    if isinstance(value, list):
        return [*nulls, *_any(tape, [], [[]], [[0]]), value, *_any(tape, [], [[]], [value], [None])]
    if isinstance(value, dict):
        return [*nulls, *_any(tape, [], [{"ranker": "old", "x": 1}]), value, *nulls]
    return [*nulls, *_any(tape, [], [0], ["old"]), value, *nulls]


def _any(tape: Tape, *choices: list[Json]) -> list[Json]:
    return tape.pick(choices)


def _tracks(tape: Tape, value: JsonObject, path: Path = ()) -> Iterator[list[tuple[Path, Json]]]:
    """Give for each place of an object what is sent there, in order; different places may come in any order."""
    for key, item in value.items():
        here = (*path, key)
        if isinstance(item, Indexed):
            skeletons: list[list[Json]] = [[], [[]], [None, []]] if item else [[[]], [None, []]]
            yield [(here, sent) for sent in tape.pick(skeletons)]
            for index, entry in zip(item.indexes, item, strict=True):
                if isinstance(entry, dict):
                    yield from _tracks(tape, entry, (*here, index))
        elif isinstance(item, dict) and key not in WHOLE:
            opened: list[list[Json]] = [[], [None], [{}]] if item else [[{}], [None, {}]]
            yield [(here, sent) for sent in tape.pick(opened)]
            yield from _tracks(tape, item, here)
        else:
            yield [(here, sent) for sent in _sent(tape, key, item)]


def interleave(tape: Tape, sequences: Sequence[Sequence[_T]]) -> list[_T]:
    """Merge sequences in one order or another that keeps each sequence's own."""
    left = [list(reversed(sequence)) for sequence in sequences if sequence]
    in_order = tape.chance(4)
    merged: list[_T] = []
    while left:
        at = 0 if in_order else tape.below(len(left))
        merged.append(left[at].pop())
        if not left[at]:
            del left[at]
    return merged


def _put(target: JsonObject, path: Path, value: Json, *, apart: bool) -> bool:
    """Put a value at its place in a delta; False, and nothing changed, if something is there."""
    key = str(path[0])
    if len(path) == 1:
        if key in target:
            return False
        target[key] = copy.deepcopy(value)
        return True
    index = path[1]
    if not isinstance(index, int):
        inner = target.setdefault(key, {})
        return isinstance(inner, dict) and _put(inner, path[1:], value, apart=apart)
    entries = target.setdefault(key, [])
    if not isinstance(entries, list):
        return False
    for known in () if apart else reversed(entries):
        if isinstance(known, dict) and known["index"] == index:
            if _put(known, path[2:], value, apart=False):
                return True
            break
    entry: JsonObject = {"index": index}
    entries.append(entry)
    return _put(entry, path[2:], value, apart=False)


def split(tape: Tape, details: JsonObject) -> list[JsonObject]:
    """Cut details into deltas that give them again when they are folded."""
    deltas: list[JsonObject] = [{}]
    crowded, typed = tape.pick([1, 2, 1, 3]), tape.chance(2)
    for path, value in interleave(tape, list(_tracks(tape, details))):
        apart = tape.chance(4)
        if (deltas[-1] and not tape.chance(crowded)) or not _put(deltas[-1], path, value, apart=apart):
            deltas.append({})
            _put(deltas[-1], path, value, apart=apart)
    if typed:  # as real servers do
        for delta in deltas:
            _add_types(delta, details)
    return [delta for delta in deltas if delta]


def _add_types(delta: JsonObject, details: JsonObject) -> None:
    delta.setdefault("type", details["type"])
    calls = details.get("tool_calls")
    if isinstance(calls, Indexed):
        kinds = {index: call["type"] for index, call in zip(calls.indexes, entries_of(details), strict=True)}
        for entry in entries_of(delta):
            index = entry.get("index")
            if isinstance(index, int):
                entry.setdefault("type", kinds[index])


def entries_of(details: JsonObject) -> list[JsonObject]:
    """Give the tool calls of a delta or of details, those that are objects."""
    calls = details.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def spoil_slot(tape: Tape, delta: JsonObject) -> None:
    """Give one entry of a delta a conflict or a wrong JSON type, within its own slot."""
    entries = entries_of(delta)
    if entries:
        wrong: list[JsonObject] = [
            {"id": "other"},
            {"type": "other"},
            {"id": "call_0"},
            {"function": "text"},
            {"code_interpreter": 7},
            {"function": {"arguments": 5, "name": "other"}},
            {"x": [{"index": 0, "a": 1}]},
            {"unknown": {"steps": {"value": "v"}}},
            {"output": {"a": 1}},
            {"type": 5},
            {"code_interpreter": {"outputs": [{"index": 0, "type": "logs", "logs": "l"}, 5]}},
        ]
        tape.pick(entries).update(copy.deepcopy(tape.pick(wrong)))


def spoil(tape: Tape, delta: JsonObject) -> None:
    """Break anything in a delta."""
    if tape.chance(2):
        spoil_slot(tape, delta)
        return
    for entry in entries_of(delta):
        entry.pop("index", None)
        entry.update(tape.pick([{}, {}, {"index": -1}, {"index": "0"}, {"index": 1.0}, {"index": True}]))
    if tape.chance(3):
        wrong: list[JsonObject] = [{"tool_calls": 5}, {"tool_calls": [5]}, {"type": "other"}, {"tool_calls": {}}]
        delta.update(copy.deepcopy(tape.pick(wrong)))


# ---- Steps and runs.


def dump(tape: Tape, value: Json) -> str:
    """Write JSON text, non-ASCII raw or escaped; lone surrogates always escaped."""
    text = json.dumps(value, ensure_ascii=tape.chance(2), separators=(",", ":"))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def delta_event(tape: Tape, step_id: str, delta: JsonObject) -> Event:
    """Make the event of a delta of details."""
    payload: JsonObject = {"id": step_id, "object": DELTA, "delta": {"step_details": delta}}
    return Event(DELTA, dump(tape, payload))


def step_event(tape: Tape, word: str, step_id: str, details: Json) -> Event:
    """Make an event that carries a whole step, of the kind that its name ends in."""
    step: JsonObject = {"id": step_id, "object": "thread.run.step", "type": "tool_calls", "step_details": details}
    step["status"] = "in_progress" if word == "created" else word
    step.update(tape.pick([{}, {}, {"usage": {"total_tokens": 3}}, {"usage": None, "x": []}, {"type": None}]))
    return Event(f"thread.run.step.{word}", dump(tape, step))


def vary(tape: Tape, value: Json, key: str = "") -> Json:
    """Copy a value, here and there emptied, filled or changed, without the indexes of its lists."""
    roll = tape.below(24)
    if roll >= 20 and key not in {"tool_calls", "outputs", ""}:
        other: Json = f"{value}!" if isinstance(value, str) else "other"
        empty: Json = "" if isinstance(value, str) else []
        return [None, empty, other, other][roll - 20] if key not in {"type", "code_interpreter"} else None
    if isinstance(value, dict):
        copied: JsonObject = {name: vary(tape, item, name) for name, item in value.items() if not tape.chance(24)}
        return {**copied, "added": "a", "output": "o"} if tape.chance(16) else copied
    if isinstance(value, list):
        items = [vary(tape, item) for item in value if not tape.chance(16)]
        return items[::-1] if tape.chance(8) else items
    return value


def _last_details(tape: Tape, details: JsonObject) -> Json:
    match tape.below(6):
        case 0:
            return details
        case 1:
            return {**details, "tool_calls": []}
        case 2:
            return None
        case _:
            return vary(tape, details)


_NEW_CALL: JsonObject = {"tool_calls": [{"index": 99, "id": "call_99", "type": "mcp", "output": "late"}]}


def _script(tape: Tape, step_id: str) -> list[Event]:
    """Make the life of a step."""
    details = make_details(tape)
    deltas = split(tape, details)
    if deltas and not tape.chance(3):
        for _ in range(tape.below(3)):
            spoil(tape, tape.pick(deltas))
    events = [delta_event(tape, step_id, delta) for delta in deltas]
    for word in ["in_progress", "created", "created"][tape.below(4) :]:
        begun: Json = tape.pick([{**details, "tool_calls": []}, {**details, "tool_calls": []}, vary(tape, details)])
        at = 0 if tape.chance(2) else tape.below(len(events) + 1)
        events.insert(at, step_event(tape, word, step_id, begun))
    for _ in range(tape.pick([1, 1, 1, 0, 2])):
        events.append(step_event(tape, tape.pick(ENDINGS), step_id, _last_details(tape, details)))
        late = [tape.pick(deltas) for _ in range(tape.below(4)) if deltas] + ([_NEW_CALL] if tape.chance(3) else [])
        events += [delta_event(tape, step_id, delta) for delta in late]
        events += [step_event(tape, "created", step_id, details)] if tape.chance(4) else []
    return events


_RUN = {"id": "run_1", "object": "thread.run"}
_ACTION = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [{"id": "call_0"}]}}
_OTHERS = [
    Event("thread.run.in_progress", json.dumps({**_RUN, "status": "in_progress"})),
    Event("thread.run.requires_action", json.dumps({**_RUN, "status": "requires_action", "required_action": _ACTION})),
    Event("thread.run.completed", json.dumps({**_RUN, "status": "incomplete"})),
    Event("thread.message.delta", '{"id":"msg_1","delta":{"content":[{"index":0}]}}'),
    Event("thread.created", '{"id":"thread_1"}'),
    Event("thread.surprise", "no JSON"),
    Event("message", '{"error":{"message":"nameless"}}'),
    Event("error", '{"error":{"message":"nested","code":null}}'),
    Event("error", "flat"),
    Event(DELTA, '{"id":"step_0","delta":'),
    Event(DELTA, '{"id":"step_0","delta":{"step_details":{"x":NaN}}}'),
    Event("thread.run.step.completed", '{"id":"step_0","step_details":{"tool_calls":[{"type":"function"},5]}}'),
    Event("done", "[done]"),
    DONE,
    DONE,
]


def make_events(tape: Tape) -> list[Event]:
    """Make a run: steps, interleaved or not, and what else a stream holds; in one body or more."""
    events = interleave(tape, [_script(tape, f"step_{number}") for number in range(tape.pick([1, 2, 1, 3]))])
    for _ in range(tape.below(4)):
        events.insert(tape.below(len(events) + 1), tape.pick(_OTHERS))
    return events if tape.chance(4) else [*events, DONE]


# ---- Bytes.


def wire(tape: Tape, events: Sequence[Event]) -> bytes:
    """Write events as a stream, in a style of its own, cut short or not."""
    ends = tape.pick([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n", b"\r"]])
    plain = tape.chance(2)
    parts: list[bytes] = [b"\xef\xbb\xbf"] if tape.chance(8) else []
    for event in events:
        style = 0 if plain else tape.below(12)
        name, data = event.name.encode(), event.data.encode()
        lines = [b"event: " + name, b"data: " + data]
        if style == 8:
            lines = [b"data:" + data, b": comment", b"event:" + name, b"id: 1"]
        elif style == 9:
            lines = [b"event: " + name, b"retry: 5", b"data: " + data[:1], b"data: " + data[1:]]
        elif style >= 10 and data[:1] == b"{":
            lines = [b'data: {"event":"' + name + b'","data":' + data + b"}"]
        parts += [part for line in (*lines, b"") for part in (line, tape.pick(ends))]
    whole = b"".join(parts)
    return whole[: len(whole) - tape.below(80)] if tape.chance(4) else whole


def cut_bytes(tape: Tape, data: bytes) -> list[bytes]:
    """Cut bytes into chunks, down to single bytes."""
    match tape.below(8):
        case 0 | 1:
            points: list[int] = []
        case 7:
            points = list(range(min(len(data), 2000)))
        case 2 | 3:
            points = list(range(0, len(data), 1 + tape.below(64)))
        case _:
            points = sorted(tape.below(len(data) + 1) for _ in range(tape.below(12)))
    ends = [0, *points, len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


class Run:
    """A run on the wire: its events, their bytes, and these cut into chunks."""

    def __init__(self, events: list[Event], data: bytes, chunks: list[bytes]) -> None:
        self.events = events
        self.data = data
        self.chunks = chunks

    def __repr__(self) -> str:
        return f"Run({self.events or self.data!r})"[:9_000]


def make_run(tape: Tape, events: list[Event] | None = None) -> Run:
    """Make a run, or take one, with its bytes and a cut of them."""
    events = make_events(tape) if events is None else events
    data = wire(tape, events)
    return Run(events, data, cut_bytes(tape, data))


runs = tapes.map(make_run)


# ---- Streams that mean harm.

_HOSTILE = [
    '"\\ud800"',
    "NaN",
    "1e400",
    "-0",
    "1" * 5000,
    "[" * 300 + "]" * 300,
    '{"a":' * 127 + "0" + "}" * 127,
    "[" * 200_000,
    '{"id":1,"id":"s"}',
    '{"\\udc00":"\\ud83d"}',
    "\x00",
    "null",
    "[DONE]",
]
_HOSTILE_KEYS = [
    *(
        "id",
        "delta",
        "step_details",
        "tool_calls",
        "index",
        "type",
        "function",
        "code_interpreter",
        "outputs",
        "status",
    ),
    *("arguments", "output", "error", "event", "data", "required_action", "", "x"),
]
_HOSTILE_SCALARS: list[Json] = [None, "s", 0, 1, True, -1, 1.5, "", "\ud83d", "function", 2**64, "tool_calls", "[DONE]"]
_NAMES = [
    *(DELTA, *(f"thread.run.step.{word}" for word in ["created", "in_progress", *ENDINGS])),
    *("thread.run.failed", "thread.message.delta", "error", "done", "message", "", "thread.run.step.surprise"),
]


def make_json(tape: Tape, depth: int = 6) -> Json:
    """Make any JSON value of the protocol's words."""
    match tape.below(8) if depth else 0:
        case 0 | 1:
            return tape.pick(_HOSTILE_SCALARS)
        case 2 | 3:
            return [make_json(tape, depth - 1) for _ in range(tape.below(4))]
        case _:
            return {tape.pick(_HOSTILE_KEYS): make_json(tape, depth - 1) for _ in range(tape.below(5))}


def _make_near(tape: Tape) -> JsonObject:
    """Make the payload of a delta whose values are of any type, at the places where the fold looks for them."""
    entries: list[Json] = []
    for _ in range(tape.below(3)):
        entry: JsonObject = {"index": 0, "type": "function", "function": {"arguments": "a"}, "id": "c"}
        for key in list(entry):
            if tape.chance(4):
                entry[key] = make_json(tape, 3)
        entries.append(entry)
    details: JsonObject = {"type": "tool_calls", "tool_calls": entries}
    if tape.chance(4):
        details[tape.pick(_HOSTILE_KEYS)] = make_json(tape, 3)
    step: JsonObject = {"id": "s", "status": "x", "step_details": details}
    return {"id": "s", "delta": step} if tape.chance(2) else {**step, "delta": {"step_details": details}}


def make_hostile_events(tape: Tape) -> list[Event]:
    """Make events of known names with data that fits them badly."""
    events: list[Event] = []
    for _ in range(tape.below(9)):
        name = tape.pick(_NAMES)
        if tape.chance(5):
            events.append(Event(name, tape.pick(_HOSTILE)))
        else:
            payload = _make_near(tape) if tape.chance(2) else make_json(tape)
            events.append(Event(name, dump(tape, payload)))
    return events


def mutate(tape: Tape, data: bytes) -> bytes:
    """Change, drop, double and insert bytes."""
    changed = bytearray(data)
    for _ in range(tape.below(6)):
        at = tape.below(len(changed) + 1)
        size = tape.pick([1, 1, 7, 60])
        piece = tape.pick(
            [b"", b"\xff", b"\n\n", b"\r", b'"', b"{", b"0", b"null", b"\xf0\x9f", bytes(changed[at:][:size])]
        )
        changed[at : at + tape.pick([0, size])] = piece
    return bytes(changed)


_lines = st.sampled_from(
    [b"event: " + name.encode() for name in _NAMES]
    + [b"data: " + text.encode() for text in _HOSTILE if len(text) < 1000]
    + [
        b"data: [DONE]",
        b"data",
        b"id: \0",
        b"retry: 9",
        b": c",
        b"\xef\xbb\xbf",
        b"\xff",
        b"event",
        b'data: {"id":"s"}',
    ]
)
torn_streams = st.lists(st.tuples(_lines, st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b""]))).map(
    lambda parts: b"".join(line + end for line, end in parts)
)
hostile_streams = (
    st.binary(max_size=60)
    | torn_streams
    | tapes.map(lambda tape: wire(tape, make_hostile_events(tape)))
    | tapes.map(lambda tape: mutate(tape, make_run(tape).data))
).map(lambda data: Run([], data, [data]))


# ---- Fragments that the lane takes, and fragments that it must not take.


def make_fragment_run(tape: Tape) -> Run:
    """Make a run of two calls: canonical fragments, such as are nearly so, and what comes between them."""
    function: JsonObject = {"index": 0, "type": "function", "id": "c", "function": {"name": "f", "arguments": ""}}
    code: JsonObject = {"index": 1, "type": "code_interpreter", "id": "d", "code_interpreter": {"input": ""}}
    details: JsonObject = {"type": "tool_calls", "tool_calls": [function, code]}
    events = [delta_event(tape, "s", details)]
    for _ in range(tape.below(24)):
        if tape.chance(8):
            word = tape.pick(["created", "in_progress", *ENDINGS])
            between: list[Json] = [{"type": "tool_calls", "tool_calls": []}, details, None, {"type": "other"}]
            events.append(step_event(tape, word, "s", tape.pick(between)))
        else:
            events.append(Event(DELTA, _fragment(tape)))
    return make_run(tape, events)


def _fragment(tape: Tape) -> str:
    index, kind, field = tape.pick([(0, "function", "arguments"), (1, "code_interpreter", "input")])
    text = tape.pick(['"a"', '""', '"\\ud83d"', '"\\ude00"', '"é"'])
    call = f'{{"index":{index},"type":"{kind}","{kind}":{{"{field}":{text}}}}}'
    details = f'{{"type":"tool_calls","tool_calls":[{call}]}}'
    data = f'{{"id":"s","object":"{DELTA}","delta":{{"step_details":{details}}}}}'
    if tape.chance(2):
        return data
    return data.replace(*_near(tape, (index, kind), f'{{"{field}":{text}}}', (field, text), call), 1)


def _near(tape: Tape, head: tuple[int, str], inner: str, pair: tuple[str, str], call: str) -> tuple[str, str]:
    """Give what to replace in a canonical fragment, and by what."""
    (index, kind), (field, text) = head, pair
    key, wrong = f'"index":{index},', [f"{index}.0", f"{index}e0", "-0", "true", '"0"', "null", "-1", "99"]
    other = {"function": "code_interpreter", "code_interpreter": "function"}[kind]
    return tape.pick([
        (key, ""),
        *((key, f'"index":{value},') for value in wrong),
        (key, f'"index":7,{key}'),
        (key, f'{key}"id":"c",'),
        (key, f'{key}"id":"other",'),
        (key, f'{key}"x":1,'),
        (key, f'"type":5,{key}'),
        (f'"type":"{kind}",', ""),
        (f'"type":"{kind}",', f'"type":"{other}",'),
        (f'"type":"{kind}",', '"type":null,'),
        (inner, "null"),
        (inner, "[]"),
        (inner, '"a"'),
        (inner, f'{{"{field}":null}}'),
        (inner, f'{{"{field}":5}}'),
        (inner, f'{{"{field}":"x","{field}":{text}}}'),
        (inner, f'{{"{field}":{text},"name":"g"}}'),
        (inner, f'{inner},"{kind}":{{"{field}":"z"}}'),
        (inner, f'{inner},"{other}":{{"{field}":"z"}}'),
        (f'"{kind}":{{', f'"{other}":{{'),
        (call, f"{call},{call}"),
        (call, ""),
        ('"type":"tool_calls",', ""),
        ('"type":"tool_calls",', '"type":"other",'),
        ('"tool_calls":[', '"x":null,"tool_calls":['),
        ('"object":"thread.run.step.delta",', ""),
        ('"object":"thread.run.step.delta"', '"object":"thread.run.step"'),
        ('"id":"s"', '"id":"t"'),
        ('"id":"s"', '"id":"t","id":"s"'),
        ('"id":"s"', '"id":""'),
        ('"id":"s"', '"id":5'),
        ('{"id"', ' { "id"'),
        ("}]}}}", "}]}}} x"),
    ])  # fmt: skip
