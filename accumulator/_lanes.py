"""The short way for further fragments of a text: learned from the events themselves, and proved before it is taken.

Most of a stream are events that differ in one text only. Where the general way has found that all an event did was to
append a text to one that is not empty, its data is taken apart: the *head* up to the text's JSON string, and the *tail*
after it. Later data with that head, that tail and one JSON string between them is the same JSON but for the text, so
the general way would append that text there and do nothing else. What this rests on:

- The string stands where the text was read: head and tail are decoded with an empty string between them.
- Nothing else in the event changes anything or is a fault: its plan held one text and nothing more. That stays so while
  nothing but deltas come: what is kept first stays, a text that is not empty is only appended to, objects and lists
  stay what they are, and entries stay under their keys. Any other event forgets the lanes of its step or message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec

from accumulator._shapes import path_keys
from accumulator._updates import ContentDelta, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from accumulator._builders import Text
    from accumulator._merge import Growth
    from accumulator._view import Model

_Tree: TypeAlias = "dict[str | int, _Tree]"
"""An entry as sent, or what is in it on the way to its text. A list there is read and copied as an object is."""
PartDelta: TypeAlias = ToolCallDelta | ContentDelta

MAX_DATA: Final = 4096
"""Bytes of an event that a lane is learned from; for longer ones the general way costs little beside decoding them."""

MAX_LEARNED: Final = 2**20
"""Bytes of all events that lanes are learned from: enough for some thousand calls under way at a time."""

_MAX_LENGTHS: Final = 8
"""Lengths of heads, each tried for each event. Calls that differ in nothing but their index have one or two."""

_MAX_STRINGS: Final = 4
"""Strings of an event with the same text that are tried for the one that was read, the last ones."""

_STRING = rb'(?s)"(?:[^"\\]|\\.)*+"'
_read = msgspec.json.Decoder(str).decode
_replace = msgspec.structs.replace


class Lane:
    """Where the fragments between one head and one tail go, and what the updates say that are made of them."""

    __slots__ = (
        "_entry",
        "_growth",
        "_keys",
        "_last",
        "_owner",
        "_sample",
        "_text",
        "_wrap",
        "end",
        "head",
        "start",
        "tail",
    )

    def __init__(self, head: bytes, tail: bytes, growth: Growth, keys: list[str | int], sample: PartDelta) -> None:
        """Have what is around the text in an event's data, what the event did, and its update.

        The keys lead to the text in the entry of the part as it was sent.
        """
        self.head, self.tail = head, tail
        self.start, self.end = len(head), -len(tail)  # of the string between them
        self._growth, self._text, self._owner = growth, growth.text, growth.owner
        self._entry = cast("_Tree", growth.change.sent)
        *self._keys, self._last = keys
        self._sample = sample
        self._wrap = cast("Callable[[_Tree], Model]", type(sample.delta).wrap)

    def append(self, text: str) -> None:
        """Append a fragment."""
        if text:
            self._text.append(text)
            if self._owner.snap is not None:  # else nothing was read since the last fragment
                self._growth.outdate()

    def update(self, number: int, text: str) -> PartDelta:
        """Return the update about a fragment: the sample with another number, and with another text in its entry."""
        node = sent = self._entry.copy()
        for key in self._keys:
            node[key] = node = node[key].copy()
        node[self._last] = text  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - the tree's one leaf
        return _replace(self._sample, event_number=number, delta=self._wrap(sent))


class Learned(msgspec.Struct, frozen=True):
    """The event that a lane is learned from: its name and data, and the keys in that of what the fold took for data."""

    name: bytes
    data: bytes
    within: tuple[str, ...]


class _Table:
    """The lanes of one event name by their heads, and how many heads there are of each length, the most first."""

    __slots__ = ("heads", "lengths")

    def __init__(self) -> None:
        self.heads: dict[bytes, Lane] = {}
        self.lengths: dict[int, int] = {}

    def add(self, lane: Lane) -> bool:
        """Have a lane, unless its head has one length too many."""
        length = len(lane.head)
        if lane.head not in self.heads:
            if length not in self.lengths and len(self.lengths) >= _MAX_LENGTHS:
                return False
            self.lengths[length] = self.lengths.get(length, 0) + 1
            self.lengths = dict(sorted(self.lengths.items(), key=lambda item: -item[1]))
        self.heads[lane.head] = lane
        return True

    def find(self, data: bytes) -> Lane | None:
        for length in self.lengths:
            lane = self.heads.get(data[:length])
            if lane is not None and data.endswith(lane.tail):
                return lane
        return None

    def drop(self, lane: Lane) -> None:
        if self.heads.get(lane.head) is lane:
            del self.heads[lane.head]
            self.lengths[len(lane.head)] -= 1
            if not self.lengths[len(lane.head)]:
                del self.lengths[len(lane.head)]


class _Owned:
    """What was learned of one step or message, of how many bytes, and how often each text was offered for that."""

    __slots__ = ("lanes", "learned", "offers")

    def __init__(self) -> None:
        self.lanes: list[tuple[_Table, Lane]] = []
        self.offers: dict[Text, int] = {}
        self.learned = 0


class Lanes:
    """All lanes there are, by event name and head; each belongs to a step or message that is open."""

    __slots__ = ("_last", "_last_name", "_learned", "_owned", "_tables")

    def __init__(self) -> None:
        """Begin with none."""
        self._tables: dict[bytes, _Table] = {}
        self._owned: dict[Hashable, _Owned] = {}
        self._learned = 0
        self._last: Lane | None = None
        self._last_name = b""

    def find(self, name: bytes, data: bytes) -> tuple[Lane, str] | None:
        """Return the lane that an event takes and the text in it, None if it is one for the general way."""
        lane = self._last  # most events are like the one before
        if lane is None or name != self._last_name or not (data.startswith(lane.head) and data.endswith(lane.tail)):
            table = self._tables.get(name)
            lane = table.find(data) if table is not None else None
            if lane is None:
                return None
            self._last_name, self._last = name, lane
        try:
            return lane, _read(data[lane.start : lane.end])
        except (msgspec.DecodeError, UnicodeError):  # no string, or a lone surrogate
            return None

    def learn(self, owner: Hashable, event: Learned, growth: Growth, sample: PartDelta) -> None:
        """Learn of the event that grew a text and did nothing else; of the 1st, 2nd, 4th, 8th such event of a text.

        So a server that never sends the same head twice, with new ids each time, costs little and fills no memory.
        """
        if isinstance(sample, ToolCallDelta) and sample.tool_call_id is None:
            return  # the call may still get its id, and then its updates have it
        owned = self._owned.setdefault(owner, _Owned())
        offers = owned.offers[growth.text] = owned.offers.get(growth.text, 0) + 1
        size = len(event.data)
        if size > MAX_DATA or self._learned + size > MAX_LEARNED or offers & (offers - 1):
            return
        keys, to_part = path_keys(growth.path), path_keys(growth.change.path)
        if keys[: len(to_part)] != to_part:
            return
        cut = _cut(event.data, [*event.within, *keys], growth.fragment)
        if cut is not None:
            table = self._tables.setdefault(event.name, _Table())
            lane = Lane(*cut, growth, keys[len(to_part) :], sample)
            if table.add(lane):
                owned.lanes.append((table, lane))
                owned.learned += size
                self._learned += size

    def forget(self, owner: Hashable) -> None:
        """Forget what was learned of a step or message."""
        self._last = None
        owned = self._owned.pop(owner, None)
        if owned is not None:
            self._learned -= owned.learned
            for table, lane in owned.lanes:
                table.drop(lane)


def _cut(data: bytes, keys: list[str | int], fragment: str) -> tuple[bytes, bytes] | None:
    """Return what is before and after the string that was read from an event's data by these keys."""
    same = [found for found in re.finditer(_STRING, data) if _text(found[0]) == fragment]
    for found in same[-_MAX_STRINGS:]:
        head, tail = data[: found.start()], data[found.end() :]
        if tail.lstrip().startswith(b":"):
            continue  # a key
        try:
            value = _value_at(msgspec.json.decode(head + b'""' + tail), keys)
        except (msgspec.DecodeError, UnicodeError):
            return None
        if value == "":
            return head, tail
    return None


def _text(string: bytes) -> str | None:
    try:
        return _read(string)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _value_at(value: object, keys: list[str | int]) -> object:
    for key in keys:
        value = cast("dict[str | int, object]", value)[key]
    return value
