"""Templates: the data of an event that did one thing, with slots for what may differ in events like it.

`take` folds an event that fits a template, and changes nothing for another. A slot is *proved*: the data of the event
is decoded with another value in it, and that value is found where the first one was.

- `TextTemplate`: a fragment was appended to a text. Its slot is the fragment.
- `ResentIdTemplate`: the same, but the fragment had another id than its part. That conflict was reported, which is done
  once only: a further id changes nothing. The id is a slot too.
- `EntryTemplate`: an entry with one text was added to a keyed list. Its slots are the index and the text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from itertools import chain
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, cast

import msgspec

from accumulator._engine.limits import VALUE_SIZE
from accumulator._engine.protocol import Event, Fragment, U
from accumulator._fold.changes import Growth, ListGrowth, TextGrowth
from accumulator._fold.nodes import Entry, size_of
from accumulator._fold.texts import BLOCK, Text
from accumulator._json import JSONObject, dump_json, path_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from accumulator._engine.limits import Bounds
    from accumulator._model import Model
    from accumulator._sse import Item

_Tree: TypeAlias = "dict[str | int, _Tree]"
"""A part as sent, or an object or list in it on the way to the slot."""

_MAX_PLACES: Final = 4
"""How many places in an event are tried as a slot: the last ones that hold the value of the slot."""

_MAX_DIGITS: Final = 18
"""Digits of the longest index that a template takes."""

# Patterns that few events need: they are compiled when one does, not at import.
_SCALAR = rb'(?s)"(?:[^"\\]|\\.)*+"|[-+.0-9eE]++'  # whole strings, so that nothing is found inside one
_COLON = rb"[ \t\r\n]*+:"
_read = msgspec.json.Decoder(str).decode
_new = object.__new__
_replace = msgspec.structs.replace

_FOLDED: Final = object()
"""What `Template.take` returns in the place of an update."""


class Counter(Protocol):
    """The engine, as `Template.take` needs it."""

    count: int
    entries: int
    size: int


class Template(ABC, Generic[U]):
    """The data around the slots of an event, and the update about it."""

    __slots__ = ("_delta_class", "_key", "_keys", "_part", "_sample", "_update", "around", "head", "tail")

    def __init__(self, pieces: list[bytes], keys: list[str | int], part: JSONObject, sample: Callable[[], U]) -> None:
        """Make the template of an event.

        Args:
            pieces: its data around the slots.
            keys: the keys that lead from the part to the text.
            part: the part as sent.
            sample: makes the update about the event; see `ResourceType.part_delta`.

        """
        self.head, self.tail = pieces[0], pieces[-1]
        self.around = len(self.head) + len(self.tail)
        *self._keys, key = keys
        self._key = cast("str", key)
        self._part = cast("_Tree", part)
        self._sample = sample
        self._update: msgspec.Struct | None = None  # made when it is first needed, and the class of its delta with it

    @abstractmethod
    def take(self, data: bytes, number: int, engine: Counter, build: bool) -> U | None:  # noqa: FBT001 - a keyword costs more than the check
        """Fold an event of the same name if it fits; else return None, and change nothing.

        Args:
            data: its data.
            number: its number. `engine.count` is set to it just before anything changes, so that it tells whoever gets
                an exception whether something has.
            engine: the engine.
            build: whether the update about the event is made.

        Returns:
            The update or, without `build`, anything but None.

        """

    def _between(self, data: bytes) -> bytes | None:
        """Return what data has between the head and the tail, None if it does not fit."""
        between = data.removeprefix(self.head).removesuffix(self.tail)
        return between if len(data) - len(between) == self.around else None

    def _build(self, number: int, text: str, *, ident: str | None = None, index: tuple[str, int] | None = None) -> U:
        """Make the update about an event that fits: `ident` is the id of its part, `index` that of its entry."""
        sample = self._update or self._make_sample()
        node = part = self._part.copy()
        if ident is not None:
            part["id"] = ident  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - a leaf of the tree
        for key in self._keys:
            node[key] = node = node[key].copy()
        if index is not None:
            node[index[0]] = index[1]  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - a leaf too
        node[self._key] = text  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - a leaf too
        delta = self._delta_class.wrap(cast("dict[str, object]", part))
        # `replace` keeps the class, which its type does not say.
        return _replace(sample, event_number=number, delta=delta)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def _make_sample(self) -> msgspec.Struct:
        """Make the update about the event that the template was learned from."""
        sample = self._sample()
        self._delta_class: type[Model] = type(cast("Fragment[U]", sample).delta)
        self._update = update = cast("msgspec.Struct", sample)
        return update


class TextTemplate(Template[U]):
    """Fragments that are appended to one text."""

    __slots__ = ("_grown", "_growth", "_owner")

    def __init__(self, pieces: list[bytes], growth: TextGrowth, keys: list[str | int], sample: Callable[[], U]) -> None:
        """Make the template of an event that did `growth`; other parameters are those of `Template`."""
        super().__init__(pieces, keys, growth.change.sent, sample)
        self._growth, self._grown, self._owner = growth, growth.text, growth.owner

    def take(self, data: bytes, number: int, engine: Counter, build: bool) -> U | None:  # noqa: FBT001 - as its base
        """See `Template.take`. What `_build` and `append` do is written out here, because their calls cost as much."""
        string = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(string) != self.around:
            return None
        try:
            text = _read(string)
        except (msgspec.DecodeError, UnicodeError):  # no string, or half a surrogate pair
            return None
        update: object = _FOLDED
        if build:
            sample = self._update or self._make_sample()
            node = part = self._part.copy()
            for key in self._keys:
                node[key] = node = node[key].copy()
            node[self._key] = text  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - a leaf of the tree
            delta = _new(self._delta_class)
            delta._json = part  # type: ignore[assignment]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] - `Model.wrap`
            update = _replace(sample, event_number=number, delta=delta)
        engine.count = number
        if text:
            grown = self._grown
            pieces = grown.pieces
            pieces.append(text)  # as `append` does
            if len(pieces) - grown.blocks >= BLOCK:
                grown.join()
            if self._owner.snap is not None:
                self._growth.drop_snapshots()
        return update  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def match_run(self, name: bytes, items: Iterator[Item]) -> tuple[list[str], Item | None]:
        """Match events in a row. Return their texts, and the first item that does not fit."""
        head, tail, around = self.head, self.tail, self.around
        texts: list[str] = []
        for item in items:
            if type(item) is not tuple:
                return texts, item
            got, data, _, _ = item
            string = data.removeprefix(head).removesuffix(tail)
            if got != name or len(data) - len(string) != around:
                return texts, item
            try:
                texts.append(_read(string))
            except (msgspec.DecodeError, UnicodeError):
                return texts, item
        return texts, None

    def append(self, text: str) -> None:
        """Append a fragment, or many that are joined."""
        if text:
            self._grown.append(text)
            if self._owner.snap is not None:  # else the snapshots are stale already
                self._growth.drop_snapshots()


class ResentIdTemplate(TextTemplate[U]):
    """Fragments of one text that have ids of their own, whose conflict with the part's is reported."""

    __slots__ = ("_id_first", "_longest", "_middle")

    def __init__(  # noqa: PLR0913 - as `TextTemplate`, and what is special about ids
        self,
        pieces: list[bytes],
        growth: TextGrowth,
        keys: list[str | int],
        sample: Callable[[], U],
        *,
        id_first: bool,
        longest: int,
    ) -> None:
        """Make the template of an event; `id_first` says which slot comes first, `longest` how long an id may be."""
        super().__init__(pieces, growth, keys, sample)
        self._longest = longest
        self._middle = pieces[1]
        self._id_first = id_first

    def take(self, data: bytes, number: int, engine: Counter, build: bool) -> U | None:  # noqa: FBT001 - as its base
        first, _, second = (self._between(data) or b"").partition(self._middle)
        ident, text = map(_string, (first, second) if self._id_first else (second, first))
        if ident is None or text is None or len(ident) > self._longest:
            return None
        update: object = self._build(number, text, ident=ident) if build else _FOLDED
        engine.count = number
        self.append(text)
        return update  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


class EntryTemplate(Template[U]):
    """Entries of a keyed list that differ in their index and one text only."""

    __slots__ = ("_fields", "_growth", "_index_key", "_keyed", "_middle", "_most", "_size")

    def __init__(
        self, pieces: list[bytes], growth: ListGrowth, keys: list[str | int], sample: Callable[[], U], most: int
    ) -> None:
        """Make the template of an event that did `growth`; `most` is how many entries the list may have."""
        self._most = most
        super().__init__(pieces, keys, growth.change.sent, sample)
        self._middle = pieces[1]
        self._growth, self._keyed, self._index_key = growth, growth.keyed, growth.key
        self._fields = {name: value for name, value in growth.sent.items() if name != growth.key}
        self._size, _ = size_of([self._fields], VALUE_SIZE)  # what each entry adds; the text in it is too much

    def take(self, data: bytes, number: int, engine: Counter, build: bool) -> U | None:  # noqa: FBT001 - as its base
        first, _, second = (self._between(data) or b"").partition(self._middle)
        keyed = self._keyed
        if not _is_index(first) or (index := int(first)) in keyed.entries or len(keyed.arrivals) >= self._most:
            return None
        text = _string(second)
        if text is None:
            return None
        update: object = self._build(number, text, index=(self._index_key, index)) if build else _FOLDED
        engine.count = number
        engine.entries += 1
        engine.size += self._size
        if keyed.snap is not None:  # else the snapshots are stale already
            self._growth.drop_snapshots()
        keyed.add(Entry(index, fields={**self._fields, self._key: Text(text)}))
        return update  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def make_template(  # noqa: PLR0913, PLR0917 - an event, what it did, and what bounds such events
    event: Event[U], data: bytes, growth: Growth, sample: Callable[[], U], append: Collection[str], bounds: Bounds
) -> Template[U] | None:
    """Make the template of an event, None if it has none."""
    keys, to_part = path_keys(growth.path), path_keys(growth.change.path)
    in_part = keys[len(to_part) :]
    if keys[: len(to_part)] != to_part:
        return None
    at = [*event.within, *keys]
    if isinstance(growth, ListGrowth):
        return _make_entry_template(data, at, growth, in_part, sample, append, bounds)
    text = Slot(at, growth.fragment, "").place(data)
    sent = growth.change.sent.get("id")
    if text is None or "id" not in growth.change.entry.conflicts or not isinstance(sent, str):
        return None if text is None else TextTemplate(around_places(data, text), growth, in_part, sample)
    ident = Slot([*event.within, *to_part, "id"], sent, "b" if sent == "a" else "a").place(data)
    if ident is None:
        return None
    return ResentIdTemplate(
        around_places(data, ident, text), growth, in_part, sample, id_first=ident < text, longest=bounds.id
    )


def _make_entry_template(  # noqa: PLR0913, PLR0917 - as `make_template`, and the keys to the entry
    data: bytes,
    at: list[str | int],
    growth: ListGrowth,
    in_part: list[str | int],
    sample: Callable[[], U],
    append: Collection[str],
    bounds: Bounds,
) -> EntryTemplate[U] | None:
    key = _only_text(growth.sent, append)
    if key is None:
        return None
    text = Slot([*at, key], cast("str", growth.sent[key]), "").place(data)
    index = Slot([*at, growth.key], growth.index, growth.index + 1).place(data)
    if text is None or index is None or text < index:
        return None
    return EntryTemplate(around_places(data, index, text), growth, [*in_part, key], sample, bounds.entries)


def around_places(data: bytes, *places: tuple[int, int]) -> list[bytes]:
    """Return the pieces of data before, between and behind places in it."""
    ends = [0, *chain.from_iterable(sorted(places)), len(data)]
    return [data[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


def _only_text(sent: JSONObject, append: Collection[str]) -> str | None:
    """Return the key of the one text that grows in an entry without nested values, None for any other entry."""
    texts = [key for key, value in sent.items() if key in append and isinstance(value, str)]
    nested = any(isinstance(value, (dict, list)) for value in sent.values())
    return texts[0] if len(texts) == 1 and not nested else None


class Slot(msgspec.Struct, frozen=True):
    """A value that differs in later events: the keys that lead to it, and another value to prove its place with."""

    keys: list[str | int]
    value: str | int
    other: str | int

    def place(self, data: bytes, before: int | None = None) -> tuple[int, int] | None:
        """Return the span of the value in the data, `before` a place in it; None if it is not found.

        The span is proved: with `other` in its place, the decoded data has `other` at `keys`.
        """
        if self.value == self.other:
            return None
        other = msgspec.json.encode(self.other)
        token = json_token(self.value)
        if (start := data.rfind(token, 0, before)) >= 0 and self._is_at(data, start, start + len(token), other):
            return start, start + len(token)  # as most servers write it
        same = [found.span() for found in re.finditer(_SCALAR, data[:before]) if self._is(found[0])]
        colon = re.compile(_COLON)
        for start, end in [span for span in same if not colon.match(data, span[1])][-_MAX_PLACES:]:
            if self._is_at(data, start, end, other):
                return start, end
        return None

    def _is_at(self, data: bytes, start: int, end: int, other: bytes) -> bool:
        try:
            tree = msgspec.json.decode(data[:start] + other + data[end:])
        except (msgspec.DecodeError, UnicodeError):  # also half a surrogate pair elsewhere in the data
            return False
        return _value_at(tree, self.keys) == self.other

    def _is(self, token: bytes) -> bool:
        if isinstance(self.value, int):
            return token == b"%d" % self.value
        return token.startswith(b'"') and _string(token) == self.value


def json_token(value: str | int) -> bytes:
    """Return the JSON text of a value, as most servers write it."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate
        return dump_json(value).encode()


def _string(token: bytes) -> str | None:
    """Return the text of a JSON string; None if it is no string, or has half a surrogate pair."""
    try:
        return _read(token)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _is_index(token: bytes) -> bool:
    """Tell whether JSON text is an index without a sign, a point, an exponent or a leading zero."""
    return token.isdigit() and len(token) <= _MAX_DIGITS and (token[:1] != b"0" or token == b"0")


def _value_at(value: object, keys: list[str | int]) -> object:
    """Return the value at keys, None if there is none."""
    try:
        for key in keys:
            value = cast("dict[str | int, object]", value)[key]
    except (IndexError, KeyError, TypeError):  # what stood in the way is not the value
        return None
    return value
