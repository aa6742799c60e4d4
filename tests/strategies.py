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

    from accumulator._json import Json

JsonObject: TypeAlias = "dict[str, Json]"
Path: TypeAlias = tuple[str | int, ...]
"""Where a value goes: a text is a key of an object, a number the index of an entry in the list before it."""

_T = TypeVar("_T")

DELTA = "thread.run.step.delta"
MESSAGE_DELTA = "thread.message.delta"
APPEND = {"arguments", "input", "logs", "output", "refusal", "requesturl", "response_metadata", "value"}
KEEP_FIRST = {"file_id", "id", "name", "server_label", "type"}
WHOLE = {"ranking_options"}
PLACE = {"end_index", "start_index"}
ENDINGS = ["completed", "failed", "cancelled", "expired"]
MESSAGE_ENDINGS = ["completed", "incomplete"]
TAPE_LENGTH = 1024

_PIECES = [
    "a",
    '{"k": ',
    "é",
    "🏔",
    "\r\n",
    "\\",
    '"',
    "\u2028",
    "\ud83d",
    "\ude00",
    "\0",
    "\n\ndata: ",
    "😀😀",
    "value",
    "text",
]
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
    "response_metadata",
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


class Kind(NamedTuple):
    """What has a life in a run: run steps, or messages. `parts` is the key of the list of its parts.

    The details of a step are its `step_details`; those of a message are the fields of its own that grow.
    """

    object: str
    parts: str
    endings: list[str]

    def around(self, details: Json) -> JsonObject:
        """Give the fields that hold details."""
        if self.parts == "tool_calls":
            return {"step_details": details}
        return details if isinstance(details, dict) else {self.parts: details}

    def details_of(self, whole: JsonObject) -> Json:
        """Give the details in a step or a message."""
        if self.parts == "tool_calls":
            return whole["step_details"]
        return {key: value for key, value in whole.items() if key != "id"}


STEPS = Kind("thread.run.step", "tool_calls", ENDINGS)
MESSAGES = Kind("thread.message", "content", MESSAGE_ENDINGS)
KINDS = [STEPS, MESSAGES]


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


def make_call(tape: Tape, number: int) -> JsonObject:  # noqa: PLR0911 - one for each type
    """Make a tool call of a known type, of one of Azure's, or of a type that nobody knows."""
    kinds = [
        "function",
        "code_interpreter",
        "file_search",
        "mcp",
        "azure_ai_search",
        "openapi",
        "bing_grounding",
        "unknown",
    ]
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
            return {**head, "file_search": {"ranking_options": options, "results": copy.deepcopy(tape.pick(_RESULTS))}}
        case "mcp":
            return {**head, "arguments": text, "name": "f", "server_label": "s", "output": output}
        case "azure_ai_search":
            return {**head, "azure_ai_search": {"input": text, "output": output}}
        case "bing_grounding":
            return {**head, "bing_grounding": {"requesturl": text, "response_metadata": output}}
        case _:
            return {**head, "unknown": _make_object(tape), **({"x": 1} if tape.chance(2) else {})}


_RESULTS: list[Json] = [[], [], [{"score": 1}, ["r"]], {"a": ["r"]}]
"""What a search found; the last two are no list of objects."""


def _make_annotation(tape: Tape) -> JsonObject:
    kind = tape.pick(["file_citation", "file_citation", "file_path", "url_citation", "unknown"])
    marker: JsonObject = {"type": kind, "text": tape.pick(["【4:0†é】", "sandbox:/a", ""])}
    marker |= {"start_index": tape.below(3), "end_index": tape.below(300)}
    match kind:
        case "file_citation":
            # The words cited are empty in the deltas of real servers, and left out when the message ends.
            quote: list[JsonObject] = [{"quote": ""}, {"quote": ""}, {}, {"quote": "words"}, {"quote": None}]
            return {**marker, kind: {"file_id": "file_1", **tape.pick(quote)}}
        case "file_path":
            return {**marker, kind: {"file_id": "file_1"}}
        case "url_citation":
            return {**marker, kind: {"url": "https://é.example", "title": _maybe(tape, "title")}}
        case _:
            return {**marker, kind: _make_object(tape, 1)}


def make_part(tape: Tape) -> JsonObject:
    """Make a part of a message."""
    kind = tape.pick(["text", "text", "image_file", "refusal", "image_url", "text", "unknown"])
    match kind:
        case "text":
            notes = [_make_annotation(tape) for _ in range(tape.pick([0, 0, 1, 2, 3]))]
            listed: Json = Indexed(notes, make_indexes(tape, len(notes)))
            return {"type": kind, kind: {"value": make_text(tape), "annotations": listed}}
        case "image_file":
            return {"type": kind, kind: {"file_id": "file_1", **tape.pick(_DETAILS)}}
        case "image_url":
            return {"type": kind, kind: {"url": "https://é.example/i.png", **tape.pick(_DETAILS)}}
        case "refusal":
            return {"type": kind, kind: make_text(tape)}
        case _:
            return {"type": kind, kind: _make_object(tape), **({"x": 1} if tape.chance(2) else {})}


_DETAILS: list[JsonObject] = [{}, {"detail": "low"}, {"detail": None}]


def make_message(tape: Tape) -> JsonObject:
    """Make what a message holds in the end, such as deltas can carry."""
    parts = [make_part(tape) for _ in range(tape.pick([1, 2, 3, 1, 2, 0, 1, 5]))]
    role: JsonObject = {"role": "assistant"} if tape.chance(3) else {}
    other: JsonObject = {"x": _make_object(tape)} if tape.chance(8) else {}
    return {"content": Indexed(parts, make_indexes(tape, len(parts))), **role, **other}


def make_details(tape: Tape, kind: Kind = STEPS) -> JsonObject:
    """Make the final details of a step or a message, such as deltas can carry."""
    if kind is MESSAGES:
        return make_message(tape)
    if tape.chance(8):
        return {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    if tape.chance(8):
        return {"type": "activities", "activities": [{"id": "a", "type": "mcp_list_tools"}], "x": _make_object(tape)}
    calls = [make_call(tape, number) for number in range(tape.pick([1, 2, 3, 1, 2, 0, 1, 2, 3, 1, 2, 12]))]
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
    if key in PLACE:  # another value would be another entry's
        return [*nulls, value, *_any(tape, [], [value], [None])]
    if isinstance(value, list):
        return [*nulls, *_any(tape, [], [[]], [[0]]), value, *_any(tape, [], [[]], [value], [None])]
    if isinstance(value, dict):
        return [*nulls, *_any(tape, [], [{"ranker": "old", "x": 1}]), value, *nulls]
    return [*nulls, *_any(tape, [], [7], ["old"]), value, *nulls]


def keep_first_places(value: JsonObject, path: Path = ()) -> Iterator[Path]:
    """Give the places in details where the first value stays; the type of an entry is no such place, it names it."""
    for key, item in value.items():
        here = (*path, key)
        if isinstance(item, Indexed):
            for index, entry in zip(item.indexes, item, strict=True):
                if isinstance(entry, dict):
                    yield from (
                        place for place in keep_first_places(entry, (*here, index)) if place[-2:] != (index, "type")
                    )
        elif key in KEEP_FIRST and item:
            yield here
        elif isinstance(item, dict) and key not in WHOLE:
            yield from keep_first_places(item, here)


def delta_at(path: Path, value: Json) -> JsonObject:
    """Make a delta of one value at its place."""
    delta: JsonObject = {}
    _put(delta, path, value, apart=False)
    return delta


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
    if "type" in details:
        delta.setdefault("type", details["type"])
    parts = parts_of(details)
    if isinstance(parts, Indexed):
        kinds = {index: part["type"] for index, part in zip(parts.indexes, entries_of(details), strict=True)}
        for entry in entries_of(delta):
            index = entry.get("index")
            if isinstance(index, int):
                entry.setdefault("type", kinds[index])


def parts_of(details: JsonObject) -> Json:
    """Give the list of parts of a delta or of details, of a step's or of a message's."""
    return details.get("content", details.get("tool_calls"))


def entries_of(details: JsonObject) -> list[JsonObject]:
    """Give the parts of a delta or of details, those that are objects."""
    parts = parts_of(details)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def as_ended(value: Json) -> Json:
    """Copy a value as servers say it when a message ends: without the empty words cited, and without indexes."""
    if isinstance(value, dict):
        return {key: as_ended(item) for key, item in value.items() if (key, item) != ("quote", "")}
    return [as_ended(item) for item in value] if isinstance(value, list) else value


def spoil_slot(tape: Tape, delta: JsonObject) -> None:
    """Give one entry of a delta a conflict or a wrong JSON type, within its own slot."""
    entries = entries_of(delta)
    if entries:
        note: JsonObject = {"type": "file_path", "start_index": 1}
        wrong: list[JsonObject] = (
            [
                {"type": "other"},
                {"id": "other"},
                {"text": "text"},
                {"text": {"value": 5}},
                {"image_file": {"file_id": "other"}},
                {"image_file": 7},
                {"refusal": {"a": 1}},
                {"text": {"annotations": [note, {**note, "index": 0}]}},
                {"text": {"annotations": [{"index": 0, "type": "file_path"}, {"index": 0, "type": "url_citation"}]}},
                {"text": {"annotations": [{**note, "index": 0}, 5]}},
                {"text": {"annotations": {}}},
            ]
            if "content" in delta
            else [
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
        )
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
        key = "content" if "content" in delta else "tool_calls"
        wrong: list[JsonObject] = [{key: 5}, {key: [5]}, {"type": "other"}, {key: {}}]
        delta.update(copy.deepcopy(tape.pick(wrong)))


# ---- Steps, messages and runs.


def dump(tape: Tape, value: Json) -> str:
    """Write JSON text, non-ASCII raw or escaped; lone surrogates always escaped."""
    text = json.dumps(value, ensure_ascii=tape.chance(2), separators=(",", ":"))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def delta_event(tape: Tape, ident: str, delta: JsonObject, kind: Kind = STEPS) -> Event:
    """Make the event of a delta of details."""
    name = f"{kind.object}.delta"
    payload: JsonObject = {"id": ident, "object": name, "delta": kind.around(delta)}
    return Event(name, dump(tape, payload))


def life_event(tape: Tape, word: str, ident: str, details: Json, kind: Kind = STEPS) -> Event:
    """Make an event that carries a whole step or message, of the kind that its name ends in."""
    whole: JsonObject = {"id": ident, "object": kind.object}
    whole.update({"type": "tool_calls"} if kind is STEPS else {"role": "assistant", "attachments": []})
    whole.update(kind.around(details))
    # Azure leaves a message that it has completed "in_progress".
    whole["status"] = "in_progress" if word == "created" or (kind is MESSAGES and tape.chance(3)) else word
    whole.update(tape.pick([{}, {}, {"usage": {"total_tokens": 3}}, {"usage": None, "x": []}, {"type": None}]))
    whole.update(tape.pick([{}, {}, {"metadata": {"k": {"n": []}}}]))
    return Event(f"{kind.object}.{word}", dump(tape, whole))


def vary(tape: Tape, value: Json, key: str = "") -> Json:
    """Copy a value, here and there emptied, filled or changed, without the indexes of its lists."""
    roll = tape.below(24)
    if roll >= 20 and key not in {"tool_calls", "outputs", "content", "annotations", ""}:
        other: Json = f"{value}!" if isinstance(value, str) else "other"
        empty: Json = "" if isinstance(value, str) else []
        needed = key in {"type", "code_interpreter"} or (key == "text" and isinstance(value, dict))
        return None if needed else [None, empty, other, other][roll - 20]
    if isinstance(value, dict):
        copied: JsonObject = {name: vary(tape, item, name) for name, item in value.items() if not tape.chance(24)}
        return {**copied, "added": "a", "output": "o"} if tape.chance(16) else copied
    if isinstance(value, list):
        items = [vary(tape, item) for item in value if not tape.chance(16)]
        return items[::-1] if tape.chance(8) else items
    return value


def _last_details(tape: Tape, details: JsonObject, kind: Kind) -> Json:
    match tape.below(6):
        case 0:
            return as_ended(details)
        case 1:
            return {**details, kind.parts: []}
        case 2:
            return None
        case _:
            return vary(tape, details)


def _new_part(kind: Kind) -> JsonObject:
    """Make a delta of a part that no other event speaks of."""
    if kind is STEPS:
        return {"tool_calls": [{"index": 99, "id": "call_99", "type": "mcp", "output": "late"}]}
    return {"content": [{"index": 99, "type": "text", "text": {"value": "late"}}]}


def _script(tape: Tape, ident: str, kind: Kind) -> list[Event]:
    """Make the life of a step or a message."""
    details = make_details(tape, kind)
    deltas = split(tape, details)
    if deltas and not tape.chance(3):
        for _ in range(tape.below(3)):
            spoil(tape, tape.pick(deltas))
    events = [delta_event(tape, ident, delta, kind) for delta in deltas]
    empty: Json = {**details, kind.parts: []}
    for word in ["in_progress", "created", "created"][tape.below(4) :]:
        begun: Json = tape.pick([empty, empty, vary(tape, details)])
        at = 0 if tape.chance(2) else tape.below(len(events) + 1)
        events.insert(at, life_event(tape, word, ident, begun, kind))
    for _ in range(tape.pick([1, 1, 1, 0, 2])):
        last = _last_details(tape, details, kind)
        events.append(life_event(tape, tape.pick(kind.endings), ident, last, kind))
        late = [tape.pick(deltas) for _ in range(tape.below(4)) if deltas]
        late += [_new_part(kind)] if tape.chance(3) else []
        events += [delta_event(tape, ident, delta, kind) for delta in late]
        events += [life_event(tape, "created", ident, details, kind)] if tape.chance(4) else []
    return events


_RUN = {"id": "run_1", "object": "thread.run"}
_ACTION = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [{"id": "call_0"}]}}
_OTHERS = [
    Event("thread.run.in_progress", json.dumps({**_RUN, "status": "in_progress"})),
    Event("thread.run.requires_action", json.dumps({**_RUN, "status": "requires_action", "required_action": _ACTION})),
    Event("thread.run.completed", json.dumps({**_RUN, "status": "incomplete"})),
    Event(MESSAGE_DELTA, '{"id":"msg_0","delta":{"content":[{"index":0,"type":"text","text":{"value":5}}]}}'),
    Event("thread.message.completed", '{"id":"msg_0","content":[{"type":"text"},5]}'),
    Event("thread.message.incomplete", '{"id":"msg_0","content":'),
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
    """Make a run: steps and messages, interleaved or not, and what else a stream holds; in one body or more."""
    scripts: list[list[Event]] = []
    for number in range(tape.pick([1, 2, 1, 2, 1, 1, 2, 3, 1])):
        kind = tape.pick(KINDS)
        # No server gives a step and a message one id, and nothing hangs on that.
        word = "step" if kind is STEPS or tape.chance(12) else "msg"
        ident = f"{word}_{number}"
        scripts.append(_make_life(tape, kind, ident).events if tape.chance(4) else _script(tape, ident, kind))
    events = interleave(tape, scripts)
    for _ in range(tape.below(4)):
        events.insert(tape.below(len(events) + 1), tape.pick(_OTHERS))
    return events if tape.chance(4) else [*events, DONE]


# ---- Bytes.


class Wire(NamedTuple):
    """A stream, and whether it says its events whole and word for word, however their blocks are written."""

    data: bytes
    verbatim: bool


def wire(tape: Tape, events: Sequence[Event]) -> Wire:
    """Write events as a stream, in a style of its own, cut short or not."""
    ends = tape.pick([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n", b"\r"]])
    # Two of three streams keep to styles that leave the data of their events on one line.
    styles, verbatim = tape.pick([1, 9, 12]), True
    parts: list[bytes] = [b"\xef\xbb\xbf"] if tape.chance(8) else []
    for event in events:
        style = tape.below(styles)
        name, data = event.name.encode(), event.data.encode()
        lines = [b"event: " + name, b"data: " + data]
        if style == 8:
            lines = [b"data:" + data, b": comment", b"event:" + name, b"id: 1"]
        elif style == 9:
            lines = [b"event: " + name, b"retry: 5", b"data: " + data[:1], b"data: " + data[1:]]
            verbatim = False
        elif style >= 10 and data[:1] == b"{":
            lines = [b'data: {"event":"' + name + b'","data":' + data + b"}"]
            verbatim = False
        parts += [part for line in (*lines, b"") for part in (line, tape.pick(ends))]
        if parts[-3:] == [b"\r", b"", b"\n"]:  # one line end, not two: the block goes on
            verbatim = False
    whole = b"".join(parts)
    lost = tape.below(80) if tape.chance(4) else 0
    return Wire(whole[: len(whole) - lost], verbatim and not lost)


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
    """A run on the wire: its events, their bytes, whether these say them word for word, and these cut into chunks."""

    def __init__(self, events: list[Event], stream: Wire, chunks: list[bytes]) -> None:
        self.events = events
        self.data = stream.data
        self.verbatim = stream.verbatim
        self.chunks = chunks

    def __repr__(self) -> str:
        return f"Run({self.events or self.data!r})"[:9_000]


def make_run(tape: Tape, events: list[Event] | None = None) -> Run:
    """Make a run, or take one, with its bytes and a cut of them."""
    events = make_events(tape) if events is None else events
    stream = wire(tape, events)
    return Run(events, stream, cut_bytes(tape, stream.data))


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
_SPLICED = [
    *("NaN", "-Infinity", "1e400", "[-1e400]", "1" * 5000, "[" * 200 + "]" * 200, '{"a":' * 200 + "0" + "}" * 200),
    *("[" * 100_000 + "]" * 100_000, '"\\ud800"', "[]", "[1]", '{"a":[]}', '[["\\ud83d"]]', "1.0", "true"),
]
"""Values as text: those that a decoder may let through though they cannot be written again, and odd ids."""
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
    *("content", "text", "value", "annotations", "refusal"),
]
_HOSTILE_SCALARS: list[Json] = [None, "s", 0, 1, True, -1, 1.5, "", "\ud83d", "function", 2**64, "tool_calls", "[DONE]"]
_NAMES = [
    *(DELTA, *(f"thread.run.step.{word}" for word in ["created", "in_progress", *ENDINGS])),
    *(MESSAGE_DELTA, MESSAGE_DELTA, *(f"thread.message.{word}" for word in ["created", *MESSAGE_ENDINGS])),
    *("thread.run.failed", "error", "done", "message", "", "thread.run.step.surprise"),
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


def _make_near(tape: Tape, kind: Kind) -> JsonObject:
    """Make the payload of a delta whose values are of any type, at the places where the fold looks for them."""
    entries: list[Json] = []
    for _ in range(tape.below(3)):
        entry: JsonObject = {"index": 0, "type": "function", "function": {"arguments": "a"}, "id": "c"}
        if kind is MESSAGES:
            entry = {"index": 0, "type": "text", "text": {"value": "a", "annotations": [{"index": 0}]}}
        for key in list(entry):
            if tape.chance(4):
                entry[key] = make_json(tape, 3)
        entries.append(entry)
    details: JsonObject = {"type": "tool_calls", kind.parts: entries}
    if tape.chance(4):
        details[tape.pick(_HOSTILE_KEYS)] = make_json(tape, 3)
    whole: JsonObject = {"id": "s", "status": "x", **kind.around(details)}
    return {"id": "s", "delta": whole} if tape.chance(2) else {**whole, "delta": kind.around(details)}


def _splice(tape: Tape, kind: Kind) -> Event:
    """Make a delta that would be a good one but for one value, at times with a lone surrogate beside it."""
    head = tape.pick(['"type":"function"', '"type":"text"', '"function":{"arguments":"a"}'])
    value = tape.pick(['"x":{"a":@}', '"id":@', '"x":@', '"output":@', '"function":{"output":@}'])
    index = tape.pick(['"index":0', '"index":1', '"index":2', '"x":null', '"index":@'])
    beside = tape.pick(["", "", ',"y":"\\ud800"'])
    parts = f'"{kind.parts}":[{{{head},{index},{value}{beside}}}]'
    details = f'{{"step_details":{{"type":"tool_calls",{parts}}}}}' if kind is STEPS else f"{{{parts}}}"
    data = f'{{"id":"s","delta":{details}}}'
    return Event(f"{kind.object}.delta", data.replace("@", tape.pick(_SPLICED)))


def make_spliced_events(tape: Tape) -> list[Event]:
    """Make deltas of which each is good but for one value."""
    return [_splice(tape, tape.pick(KINDS)) for _ in range(tape.pick([1, 4, 8]))]


def make_hostile_events(tape: Tape) -> list[Event]:
    """Make events of known names with data that fits them badly."""
    events: list[Event] = []
    for _ in range(tape.below(9)):
        name = tape.pick(_NAMES)
        if tape.chance(5):
            events.append(Event(name, tape.pick(_HOSTILE)))
        else:
            kind = MESSAGES if name.startswith(MESSAGES.object) else STEPS
            payload = _make_near(tape, kind) if tape.chance(2) else make_json(tape)
            events.append(Event(name, dump(tape, payload)))
    return events


def wrongly_encoded(tape: Tape, data: bytes) -> bytes:
    """Put bytes that are no UTF-8 into some lines: into names, ids and texts."""
    place = tape.pick([b"event: thread.", b"event: ", b'"id":"', b"data: ", b'"'])
    return data.replace(place, place + b"\xff", tape.pick([1, 2, -1])) if tape.chance(2) else data


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
        b"event: \xff",
        b"id: \xf0\x9f",
        b'data: {"id":"s"}',
        b'data: {"id":"\xff"}',
    ]
)
torn_streams = st.lists(st.tuples(_lines, st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b""]))).map(
    lambda parts: b"".join(line + end for line, end in parts)
)
hostile_streams = (
    st.binary(max_size=60)
    | torn_streams
    | tapes.map(lambda tape: wrongly_encoded(tape, wire(tape, make_hostile_events(tape)).data))
    | tapes.map(lambda tape: wire(tape, make_spliced_events(tape)).data)
    | tapes.map(lambda tape: mutate(tape, wrongly_encoded(tape, make_run(tape).data)))
).map(lambda data: Run([], Wire(data, verbatim=False), [data]))


# ---- Fragments that the fast path takes, and fragments that it must not take.


def _two_parts(kind: Kind, text: str) -> JsonObject:
    """Make details of two parts that begin with `text`."""
    if kind is STEPS:
        function: JsonObject = {"index": 0, "type": "function", "id": "c", "function": {"name": "f", "arguments": text}}
        code: JsonObject = {"index": 1, "type": "code_interpreter", "id": "d", "code_interpreter": {"input": text}}
        return {"type": "tool_calls", "tool_calls": [function, code]}
    words: JsonObject = {"index": 0, "type": "text", "text": {"value": text, "annotations": []}}
    return {"content": [words, {"index": 1, "type": "refusal", "refusal": text}]}


def make_fragment_run(tape: Tape) -> Run:
    """Make a run of two parts: canonical fragments, such as are nearly so, and what comes between them."""
    kind = tape.pick(KINDS)
    style = tape.pick([64, tape.below(64), tape.below(2)])  # how a server writes most fragments, right or wrong
    mostly = tape.pick([_fragment, _listed])
    details = _two_parts(kind, tape.pick(["", "a"]))
    whole = _two_parts(kind, "z")
    events = [delta_event(tape, "s", details, kind)]
    for _ in range(tape.below(24)):
        if tape.chance(12):
            word = tape.pick(["created", "in_progress", *kind.endings])
            between: list[Json] = [whole, {**details, kind.parts: []}, None, {"type": "other"}, details]
            events.append(life_event(tape, word, "s", tape.pick(between), kind))
        else:
            piece = mostly if tape.below(4) else tape.pick([_fragment, _listed])
            events.append(_enveloped(tape, Event(f"{kind.object}.delta", piece(tape, kind, style))))
    return make_run(tape, events)


class _Fragment(NamedTuple):
    """A canonical fragment: what is in it, by name, and the texts of its object within and of its entry."""

    kind: Kind
    at: int
    type: str
    field: str
    text: str

    @property
    def inner(self) -> str:
        return f'{{"{self.field}":{self.text}}}'

    @property
    def entry(self) -> str:
        return f'{{"index":{self.at},"type":"{self.type}","{self.type}":{self.inner}}}'


def _enveloped(tape: Tape, made: Event) -> Event:
    """Put an event into an envelope, now and then."""
    if not tape.chance(3):
        return made
    return Event("message", f'{{"event":"{made.name}","data":{made.data}}}')


def _delta_data(kind: Kind, entry: str) -> str:
    details = f'{{"type":"tool_calls","tool_calls":[{entry}]}}'
    delta = f'{{"step_details":{details}}}' if kind is STEPS else f'{{"content":[{entry}]}}'
    return f'{{"id":"s","object":"{kind.object}.delta","delta":{delta}}}'


def _listed(tape: Tape, kind: Kind, style: int) -> str:
    """Make a fragment that holds an entry of a list: one of those that are alike, or one that is nearly so."""
    index = str(tape.below(20)) if tape.below(8) else tape.pick(["0", "-1", "1.0", "true", "01"])
    head, text = '"type":"logs"', tape.pick(['"a"', '"b"', '"é"', '""', '"\\ud83d"'])
    near = [
        f'{{"index":{index},"id":"e",{head},"logs":{text}}}',
        f'{{"index":{index},{head},"logs":{text},"x":1}}',
        f'{{"index":{index},{head},"logs":{text},"value":{text}}}',
        f'{{"index":{index},{head},"logs":{text},"x":{{}}}}',
        f'{{"index":{index},{head},"logs":{text},"x":[]}}',
        f'{{"index":{index},{head},"logs":{text}}},{{"index":1,{head}}}',
        f'{{"index":1,{head}}},{{"index":{index},{head},"logs":{text}}}',
        f'{{"index":{index},{head},"logs":{text},"index":{index}}}',
        f'{{"index":{index},{head},"logs":5}}',
        f'{{{head},"logs":{text},"index":{index}}}',
        f'{{"index":{index},{head},"text":{text}}}',
    ]
    plain = f'{{"index":{index},{head},"logs":{text}}}'
    most = near[style] if style < len(near) else plain
    entries = most if tape.below(4) else tape.pick([plain, *near])
    if kind is MESSAGES:
        part = f'{{"index":0,"type":"text","text":{{"annotations":[{entries}]}}}}'
    else:
        part = f'{{"index":1,"type":"code_interpreter","code_interpreter":{{"outputs":[{entries}]}}}}'
    return _delta_data(kind, tape.pick([part] * 9 + [entries]))


def _fragment(tape: Tape, kind: Kind, style: int) -> str:
    places = [(0, "function", "arguments"), (1, "code_interpreter", "input")]
    if kind is MESSAGES:
        places = [(0, "text", "value")]
    text = tape.pick(['"a"', '"b"', '"é"', '""', '"\\ud83d"', '"\\ude00"'])
    made = _Fragment(kind, *tape.pick(places), text)
    data = _delta_data(kind, made.entry)
    near = _near(made)
    data = data.replace(*near[style], 1) if style < len(near) else data
    return data if tape.below(3) else data.replace(*tape.pick(near), 1)


def _near(made: _Fragment) -> list[tuple[str, str]]:
    """Give what can be replaced in a canonical fragment, and by what."""
    _, index, kind, field, text = made
    key, wrong = f'"index":{index},', [f"{index}.0", f"{index}e0", "-0", "true", '"0"', "null", "-1", "99"]
    inner, entry, parts, name = made.inner, made.entry, made.kind.parts, f"{made.kind.object}.delta"
    other = {"function": "code_interpreter", "code_interpreter": "function", "text": "refusal"}[kind]
    note = '{"index":0,"type":"file_path"}'
    return [
        (key, f'{key}"id":{text},'),
        (entry, f'{entry[:-1]},"id":{text}}}'),
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
        (inner, f'{{"{field}":{text},"annotations":[]}}'),
        (inner, f'{{"{field}":{text},"annotations":[{note}]}}'),
        (inner, f'{inner},"{kind}":{{"{field}":"z"}}'),
        (inner, f'{inner},"{other}":{{"{field}":"z"}}'),
        (f'"{kind}":{{', f'"{other}":{{'),
        (entry, f"{entry},{entry}"),
        (entry, ""),
        ('"type":"tool_calls",', ""),
        ('"type":"tool_calls",', '"type":"other",'),
        (f'"{parts}":[', f'"x":null,"{parts}":['),
        (f'"object":"{name}",', ""),
        (f'"object":"{name}"', f'"object":"{made.kind.object}"'),
        ('"id":"s"', '"id":"t"'),
        ('"id":"s"', '"id":"t","id":"s"'),
        ('"id":"s"', '"id":""'),
        ('"id":"s"', '"id":5'),
        ('{"id"', ' { "id"'),
        ("}]}}", "}]}} x"),
    ]


# ---- Runs as real servers send them, long, of which it is known what must come out.


class Life(NamedTuple):
    """The life of a step or a message: the text of each part by index, its events, and whether it ends."""

    kind: Kind
    ident: str
    texts: dict[int, str]
    events: list[Event]
    ends: bool


def _part_deltas(tape: Tape, kind: Kind, number: int, index: int) -> tuple[str, JsonObject, list[JsonObject]]:
    """Make a part: its text, what it is in the end, and its entries, the opening one and fragments."""
    text = make_text(tape)
    if kind is MESSAGES:
        names = ("text", "value")
        head: JsonObject = {"type": "text"}
        rest: JsonObject = {"annotations": []}
    else:
        names = tape.pick([("function", "arguments"), ("code_interpreter", "input")])
        head = {"type": names[0], "id": f"call_{number}"}
        rest = {"name": "f", "output": None} if names[0] == "function" else {"outputs": []}
    name, field = names
    # A message's first entry has the first words already; that of a call is empty.
    first, *pieces = cut_text(tape, text) if kind is MESSAGES else ["", *cut_text(tape, text)]
    opening: JsonObject = {"index": index, **head, name: {**rest, field: first}}
    later: list[JsonObject] = [{"index": index, "type": name, name: {field: piece}} for piece in pieces]
    return text, {**head, name: {**rest, field: text}}, [opening, *later]


def _make_life(tape: Tape, kind: Kind, ident: str) -> Life:
    made = [
        (index, *_part_deltas(tape, kind, number, index))
        for number, index in enumerate(make_indexes(tape, tape.pick([1, 2, 1, 3, 0, 1, 2, 8])))
    ]
    head: JsonObject = {"type": "tool_calls"} if kind is STEPS else {}
    order = interleave(tape, [entries for *_, entries in made])
    events = [delta_event(tape, ident, {**head, kind.parts: [entry]}, kind) for entry in order]
    for _ in range(tape.below(4)):
        word = tape.pick(["created", "in_progress"])
        at = tape.pick([0, tape.below(len(events) + 1)])
        events.insert(at, life_event(tape, word, ident, {**head, kind.parts: []}, kind))
    ends = tape.below(4) < 3
    whole: Json = {**head, kind.parts: [part for _, _, part, _ in made]}
    if ends:
        events.append(life_event(tape, tape.pick(kind.endings), ident, whole, kind))
    if ends and tape.chance(3):
        events.append(life_event(tape, tape.pick(["created", "in_progress", *kind.endings]), ident, whole, kind))
    return Life(kind, ident, {index: text for index, text, *_ in made}, events, ends)


def make_long_run(tape: Tape) -> tuple[list[Life], list[list[Event]]]:
    """Make up to 5 steps with 8 calls each, and messages, interleaved over 1 to 3 bodies: the lives, and the bodies."""
    lives = [_make_life(tape, STEPS, f"step_{number}") for number in range(tape.pick([1, 2, 1, 3, 1, 5]))]
    lives += [_make_life(tape, MESSAGES, f"msg_{number}") for number in range(tape.pick([1, 0, 1, 2]))]
    events = interleave(tape, [life.events for life in lives])
    cuts = sorted(tape.below(len(events) + 1) for _ in range(tape.below(3)))
    return lives, [events[a:b] for a, b in pairwise([0, *cuts, len(events)])]
