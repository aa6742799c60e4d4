"""The short way for events that are like one before: learned from the events themselves, and proved before it is taken.

Most of a stream are events that differ in one text only. Where the general way has found that all an event did was to
append a text to one that is not empty, its data is taken apart: the *head* up to the text's JSON string, and the *tail*
after it. Later data with that head, that tail and one JSON string between them is the same JSON but for the text, so
the general way would append that text there and do nothing else. Two more ways have a second value beside the text:

- An event that did nothing but open an entry of one text in a list: another index opens another entry, if it is free.
- A fragment whose call or part came under another id before, which has been told: another id does nothing any more.

What all this rests on:

- The values stand where they were read: the data is decoded with others in their places.
- Nothing else in the event changes anything or is a fault: its plan held that one thing and nothing more. That stays so
  while nothing but deltas come: what is kept first stays, a text that is not empty is only appended to, objects and
  lists stay what they are, entries stay under their keys, and a conflict that was told is not told again. Any other
  event forgets the lanes of its step or message.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec

from accumulator._assistants.updates import ContentDelta, ToolCallDelta
from accumulator._fold.delta import APPEND, ListGrowth
from accumulator._fold.nodes import Entry, Text
from accumulator._fold.policy import path_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from accumulator._engine.body import Pending
    from accumulator._fold.delta import Growth, TextGrowth
    from accumulator._fold.nodes import Json, Keyed
    from accumulator._model import Model
    from accumulator._sse import Item

_Tree: TypeAlias = "dict[str | int, _Tree]"
"""A part as sent, or what is in it on the way to what changes. A list there is read and copied as an object is."""
PartDelta: TypeAlias = ToolCallDelta | ContentDelta

MAX_DATA: Final = 4096
"""Bytes of an event that a lane is learned from; for longer ones the general way costs little beside decoding them."""

MAX_LEARNED: Final = 2**20
"""Bytes of all events that were looked through for lanes: enough for some thousand calls under way at a time."""

_MAX_LENGTHS: Final = 8
"""Lengths of heads, each tried for each event. Calls that differ in nothing but their index have one or two."""

_MAX_PLACES: Final = 4
"""Places in an event with the same value that are tried for the one that was read, the last ones."""

_INDEX = re.compile(rb"0|[1-9][0-9]{0,17}")
_SCALAR = re.compile(rb'(?s)"(?:[^"\\]|\\.)*+"|[-+.0-9eE]++')  # strings whole, so that nothing is found in them
_COLON = re.compile(rb"[ \t\r\n]*+:")
_read = msgspec.json.Decoder(str).decode
_replace = msgspec.structs.replace


class _Way:
    """What a lane knows: the pieces of the event's data around what changes, and the update about that event."""

    __slots__ = ("_key", "_keys", "_part", "_update", "_wrap", "around", "head", "tail")

    def __init__(self, cut: list[bytes], keys: list[str | int], part: dict[str, Json], update: PartDelta) -> None:
        """Have the pieces, the keys that lead to the text in the part as it was sent, that part, and the update."""
        self.head, self.tail = cut[0], cut[-1]
        self.around = len(self.head) + len(self.tail)
        *self._keys, key = keys
        self._key = cast("str", key)
        self._part, self._update = cast("_Tree", part), update
        self._wrap = cast("Callable[[_Tree], Model]", type(update.delta).wrap)

    def update(self, number: int, text: str, *, ident: str | None = None, index: int | None = None) -> PartDelta:
        """Return the update with another number and text, and with another id of the part or index of the entry."""
        node = part = self._part.copy()
        if ident is not None:
            part["id"] = ident  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - a leaf of the tree
        for key in self._keys:
            node[key] = node = node[key].copy()
        if index is not None:
            node["index"] = index  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - a leaf, too
        node[self._key] = text  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - the same
        return _replace(self._update, event_number=number, delta=self._wrap(part))


class Lane(_Way):
    """Where the fragments between one head and one tail go."""

    __slots__ = ("_growth", "_owner", "_text")

    def __init__(self, cut: list[bytes], growth: TextGrowth, keys: list[str | int], update: PartDelta) -> None:
        """Have what is around the text in an event's data, what the event did, and its update."""
        super().__init__(cut, keys, growth.change.sent, update)
        self._growth, self._text, self._owner = growth, growth.text, growth.owner

    def take(self, data: bytes) -> tuple[Taken, str] | None:
        """Return this lane and an event's text, None if the event is none for it."""
        string = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(string) != self.around:
            return None
        try:
            return self, _read(string)
        except (msgspec.DecodeError, UnicodeError):  # no string, or a lone surrogate
            return None

    def take_on(
        self, text: str, name: bytes, items: Iterator[Item | Pending]
    ) -> tuple[list[str], Item | Pending | None]:
        """Return a text and those of the next events, up to the first that is none for this lane, and that event."""
        head, tail, around = self.head, self.tail, self.around
        texts = [text]
        for item in items:
            if type(item) is not tuple:
                return texts, item
            came, data, _, _ = item
            string = data.removeprefix(head).removesuffix(tail)
            if came != name or len(data) - len(string) != around:
                return texts, item
            try:
                texts.append(_read(string))
            except (msgspec.DecodeError, UnicodeError):
                return texts, item
        return texts, None

    def append(self, text: str) -> None:
        """Append a fragment."""
        if text:
            self._text.append(text)
            if self._owner.snap is not None:  # else nothing was read since the last fragment
                self._growth.outdate()


class ResentLane(Lane):
    """Where fragments go that come each with another id, once that was told; the *middle* is between id and text."""

    __slots__ = ("_id_first", "_middle")

    def __init__(
        self, cut: list[bytes], growth: TextGrowth, keys: list[str | int], update: PartDelta, *, id_first: bool
    ) -> None:
        """Have what is around id and text in an event's data, what the event did, its update, and what comes first."""
        super().__init__(cut, growth, keys, update)
        self._middle = cut[1]
        self._id_first = id_first

    def take(self, data: bytes) -> tuple[Taken, str] | None:
        """Return this lane with an event's id, and its text, None if the event is none for it."""
        between = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(between) != self.around:
            return None
        first, _, second = between.partition(self._middle)
        ident, text = map(_string, (first, second) if self._id_first else (second, first))
        return None if ident is None or text is None else (Resent(self, ident), text)


class EntryLane(_Way):
    """Where entries go that are like one before but for index and text; the *middle* is between those two."""

    __slots__ = ("_fields", "_growth", "_keyed", "_middle")

    def __init__(self, cut: list[bytes], growth: ListGrowth, keys: list[str | int], update: PartDelta) -> None:
        """Have what is around index and text in an event's data, what the event did, and its update."""
        super().__init__(cut, keys, growth.change.sent, update)
        self._middle = cut[1]
        self._growth, self._keyed = growth, growth.keyed
        self._fields = {name: value for name, value in growth.sent.items() if name != "index"}

    def take(self, data: bytes) -> tuple[Taken, str] | None:
        """Return this lane with an event's index, and its text, None if the event is none for it."""
        between = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(between) != self.around:
            return None
        first, _, second = between.partition(self._middle)
        if not _INDEX.fullmatch(first) or (index := int(first)) in self._keyed.entries:
            return None
        text = _string(second)
        return None if text is None else (Opening(self, index), text)

    def open(self, index: int, text: str) -> None:
        """Open an entry."""
        entry = Entry(index)
        entry.fields = {**self._fields, self._key: Text(text)}
        if self._keyed.snap is not None:  # else nothing was read since the last change
            self._growth.outdate()
        self._keyed.add(entry)


class Resent:
    """A lane and the id that a fragment came with."""

    __slots__ = ("_ident", "_lane")

    def __init__(self, lane: ResentLane, ident: str) -> None:
        """Have both."""
        self._lane, self._ident = lane, ident

    def append(self, text: str) -> None:
        """Append a fragment."""
        self._lane.append(text)

    def update(self, number: int, text: str) -> PartDelta:
        """Return the update about a fragment."""
        return self._lane.update(number, text, ident=self._ident)


class Opening:
    """A lane and the index at which its list has no entry."""

    __slots__ = ("_index", "_lane")

    def __init__(self, lane: EntryLane, index: int) -> None:
        """Have both."""
        self._lane, self._index = lane, index

    def append(self, text: str) -> None:
        """Open the entry with a text."""
        self._lane.open(self._index, text)

    def update(self, number: int, text: str) -> PartDelta:
        """Return the update about the entry."""
        return self._lane.update(number, text, index=self._index)


Taken: TypeAlias = Lane | Resent | Opening
"""What an event with a text takes: `append` has it folded, `update` gives what is to be told of it."""


class Learned(msgspec.Struct, frozen=True):
    """The event that a lane is learned from: its name and data, and the keys in that of what the fold took for data."""

    name: bytes
    data: bytes
    within: tuple[str, ...]


class _Table:
    """The lanes of one event name by their heads, and how many heads there are of each length, the most first."""

    __slots__ = ("heads", "lengths")

    def __init__(self) -> None:
        self.heads: dict[bytes, Lane | EntryLane] = {}
        self.lengths: dict[int, int] = {}

    def add(self, lane: Lane | EntryLane) -> bool:
        """Have a lane, unless its head has one length too many."""
        length = len(lane.head)
        if lane.head not in self.heads:
            if length not in self.lengths and len(self.lengths) >= _MAX_LENGTHS:
                return False
            self.lengths[length] = self.lengths.get(length, 0) + 1
            self.lengths = dict(sorted(self.lengths.items(), key=lambda item: -item[1]))
        self.heads[lane.head] = lane
        return True

    def fitting(self, data: bytes) -> Iterator[Lane | EntryLane]:
        """Give the lanes whose head the data has."""
        for length in self.lengths:
            lane = self.heads.get(data[:length])
            if lane is not None:
                yield lane

    def drop(self, lane: Lane | EntryLane) -> None:
        if self.heads.get(lane.head) is lane:
            del self.heads[lane.head]
            self.lengths[len(lane.head)] -= 1
            if not self.lengths[len(lane.head)]:
                del self.lengths[len(lane.head)]


class _Owned:
    """What was learned of one step or message, of how many bytes, and how often each text or list was offered."""

    __slots__ = ("lanes", "learned", "offers")

    def __init__(self) -> None:
        self.lanes: list[tuple[_Table, Lane | EntryLane]] = []
        self.offers: dict[Text | Keyed, int] = {}
        self.learned = 0


class Lanes:
    """All lanes there are, by event name and head; each belongs to a step or message that is open.

    `last` is the lane that was taken last, None once any was forgotten since.
    """

    __slots__ = ("_last_name", "_learned", "_owned", "_tables", "last")

    def __init__(self) -> None:
        """Begin with none."""
        self._tables: dict[bytes, _Table] = {}
        self._owned: dict[Hashable, _Owned] = {}
        self._learned = 0
        self.last: Lane | EntryLane | None = None
        self._last_name = b""

    def find(self, name: bytes, data: bytes) -> tuple[Taken, str] | None:
        """Return the lane that an event takes and the text in it, None if it is one for the general way."""
        last = self.last  # most events are like the one before
        if last is not None and name == self._last_name and (found := last.take(data)) is not None:
            return found
        table = self._tables.get(name)
        for lane in table.fitting(data) if table is not None else ():
            found = lane.take(data)
            if found is not None:
                self._last_name, self.last = name, lane
                return found
        return None

    def learn(self, owner: Hashable, event: Learned, growth: Growth, update: PartDelta) -> None:
        """Learn of an event that did one thing and nothing else; of the 1st, 2nd, 4th, 8th of its text or list.

        So a server that never sends the same head twice, with new ids each time, costs little and fills no memory.
        """
        if isinstance(update, ToolCallDelta) and update.tool_call_id is None:
            return  # the call may still get its id, and then its updates have it
        owned = self._owned.setdefault(owner, _Owned())
        grown = growth.keyed if isinstance(growth, ListGrowth) else growth.text
        offers = owned.offers[grown] = owned.offers.get(grown, 0) + 1
        size = len(event.data)
        if size > MAX_DATA or self._learned + size > MAX_LEARNED or offers & (offers - 1):
            return
        owned.learned += size
        self._learned += size  # whether it succeeds or not
        lane = _lane(event, growth, update)
        table = self._tables.setdefault(event.name, _Table())
        if lane is not None and table.add(lane):
            owned.lanes.append((table, lane))

    def forget(self, owner: Hashable) -> None:
        """Forget what was learned of a step or message."""
        self.last = None
        owned = self._owned.pop(owner, None)
        if owned is not None:
            self._learned -= owned.learned
            for table, lane in owned.lanes:
                table.drop(lane)


def _lane(event: Learned, growth: Growth, update: PartDelta) -> Lane | EntryLane | None:
    """Make the lane of what an event did, None if it has none."""
    keys, to_part = path_keys(growth.path), path_keys(growth.change.path)
    within = keys[len(to_part) :]
    if keys[: len(to_part)] != to_part:
        return None
    at = [*event.within, *keys]
    if isinstance(growth, ListGrowth):
        return _entry_lane(event.data, at, growth, within, update)
    text = _Hole(at, growth.fragment, "").place(event.data)
    sent = growth.change.sent.get("id")
    if text is None or "id" not in growth.change.entry.conflicts or not isinstance(sent, str):
        return None if text is None else Lane(_around(event.data, text), growth, within, update)
    ident = _Hole([*event.within, *to_part, "id"], sent, "b" if sent == "a" else "a").place(event.data)
    if ident is None:
        return None
    return ResentLane(_around(event.data, ident, text), growth, within, update, id_first=ident < text)


def _entry_lane(
    data: bytes, at: list[str | int], growth: ListGrowth, within: list[str | int], update: PartDelta
) -> EntryLane | None:
    key = _only_text(growth.sent)
    if key is None:
        return None
    text = _Hole([*at, key], cast("str", growth.sent[key]), "").place(data)
    index = _Hole([*at, "index"], growth.index, growth.index + 1).place(data)
    if text is None or index is None or text < index:
        return None
    return EntryLane(_around(data, index, text), growth, [*within, key], update)


def _around(data: bytes, *places: tuple[int, int]) -> list[bytes]:
    """Return what is before, between and behind places in data."""
    ends = [0, *chain.from_iterable(sorted(places)), len(data)]
    return [data[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


def _only_text(sent: dict[str, Json]) -> str | None:
    """Return the key of the text in an entry that has one that grows and nothing nested, None in another entry."""
    texts = [key for key, value in sent.items() if key in APPEND and isinstance(value, str)]
    nested = any(isinstance(value, (dict, list)) for value in sent.values())
    return texts[0] if len(texts) == 1 and not nested else None


class _Hole(msgspec.Struct, frozen=True):
    """A value of an event that is another one in later events: the keys to it, and another to try."""

    keys: list[str | int]
    value: str | int
    other: str | int

    def place(self, data: bytes) -> tuple[int, int] | None:
        """Return where the value stands in the data: where another one is found by its keys. A key is no value."""
        if self.value == self.other:
            return None
        other = msgspec.json.encode(self.other)
        same = [found.span() for found in _SCALAR.finditer(data) if self._is(found[0])]
        for start, end in [span for span in same if not _COLON.match(data, span[1])][-_MAX_PLACES:]:
            try:
                tree = msgspec.json.decode(data[:start] + other + data[end:])
            except (msgspec.DecodeError, UnicodeError):  # half a surrogate pair, somewhere else
                return None
            if _value_at(tree, self.keys) == self.other:
                return start, end
        return None

    def _is(self, token: bytes) -> bool:
        if isinstance(self.value, int):
            return token == b"%d" % self.value
        return token.startswith(b'"') and _string(token) == self.value


def _string(token: bytes) -> str | None:
    """Return the text that a JSON string stands for; None if it is no string, or one with half a surrogate pair."""
    try:
        return _read(token)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _value_at(value: object, keys: list[str | int]) -> object:
    for key in keys:
        value = cast("dict[str | int, object]", value)[key]
    return value
