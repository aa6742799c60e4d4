"""The fast path: templates that are learned from events, for events like them.

Most events of a stream differ from the one before in one text only. Where the general way (`Engine.apply`) finds that
all an event did was to append to a text, the event's data becomes a *template*: the *head* up to the JSON string of
what was appended, and the *tail* behind it. Later data with that head, that tail and one JSON string between them is
the same JSON but for that string. So the general way would append it there, and do nothing else. Its place is a *slot*.

Events that let parts grow differ in the id of their resource and the index of their part. So a *family* keeps an event
with slots for both. For each new part it foretells the template, if a delta like that would only append to a text of
the part.

Two kinds of templates have a second slot:

- `EntryTemplate`: the event added an entry with one text to a keyed list. Another index adds another entry.
- `ResentIdTemplate`: the fragment had another id than its part. That conflict was reported, which is done once only: a
  further id changes nothing.

Why this is right:

- A slot is proved: the data is decoded with another value in it, and that value is found where the first one was.
- Nothing else in the event changes anything, and nothing in it is a fault: see `Changes.growth`.
- That stays so while only deltas arrive, and none replaces a value, not even an empty text. A field that keeps its
  first value keeps it, a text is only appended to, objects and lists stay what they are, entries stay under their
  indexes, and a conflict is reported once. After any other event the templates of its resource are forgotten.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, cast

import msgspec

from accumulator._engine.protocol import Event, Fragment, U
from accumulator._fold.changes import Change, Growth, ListGrowth, TextGrowth
from accumulator._fold.delta import Way
from accumulator._fold.nodes import Entry, Keyed
from accumulator._fold.texts import BLOCK, Text
from accumulator._json import JSONObject, dump_json, path_keys, value_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from accumulator._engine.limits import Bounds
    from accumulator._engine.resource import Resource
    from accumulator._model import Model
    from accumulator._sse import Frame, Item

_Tree: TypeAlias = "dict[str | int, _Tree]"
"""A part as sent, or an object or list in it on the way to the slot."""

MAX_DATA: Final = 4096
"""Bytes of an event that a template is learned from. A longer event gains little: decoding it is most of its cost."""

MAX_LEARNED: Final = 2**20
"""Bytes of all events that templates were learned from: enough for some thousand parts that grow at a time."""

_MAX_FAMILIES: Final = 4
"""Families of one event name: one for each way in which parts are spelled, such as one for each kind of tool."""

_MAX_LENGTHS: Final = 8
"""Different lengths of heads. Each is tried for each event. Parts that differ only in their index have one or two."""

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


class _Counter(Protocol):
    """The engine, as `TextTemplate.take` needs it."""

    count: int


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
    def match(self, data: bytes) -> Match[U] | None:
        """Return the match of an event of the same name, None if it does not fit."""

    def take(self, data: bytes, number: int, engine: _Counter) -> U | None:  # noqa: ARG002 - for some templates
        """Fold the next event and return its update, if that is done in one call; else return None."""
        return None

    def update(self, number: int, text: str, *, ident: str | None = None, index: tuple[str, int] | None = None) -> U:
        """Make the update about a matching event: `ident` is the id in its part, `index` that in its entry, by key."""
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
    """Fragments that are appended to one text.

    The template is the match itself: `text` is what matched, until `commit`.
    """

    __slots__ = ("_grown", "_growth", "_owner", "text")

    def __init__(self, pieces: list[bytes], growth: TextGrowth, keys: list[str | int], sample: Callable[[], U]) -> None:
        """Make the template of an event that did `growth`; other parameters are those of `Template`."""
        super().__init__(pieces, keys, growth.change.sent, sample)
        self._growth, self._grown, self._owner = growth, growth.text, growth.owner
        self.text = ""

    def match(self, data: bytes) -> Match[U] | None:
        string = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(string) != self.around:
            return None
        try:
            self.text = _read(string)
        except (msgspec.DecodeError, UnicodeError):  # no string, or half a surrogate pair
            return None
        return self

    def match_run(self, name: bytes, items: Iterator[Item]) -> tuple[list[str], Item | None]:
        """Match events in a row. Return `text` and theirs, and the first item that does not match."""
        head, tail, around = self.head, self.tail, self.around
        texts = [self.text]
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

    def take(self, data: bytes, number: int, engine: _Counter) -> U | None:
        """Fold the next event if it matches: `match`, `update` and `commit` in one.

        It calls none of them, because a call costs as much as what they do. It sets `engine.count` to `number` before
        anything else changes.
        """
        string = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(string) != self.around:
            return None
        try:
            text = _read(string)
        except (msgspec.DecodeError, UnicodeError):
            return None
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
            pieces.append(text)  # as in `commit`
            if len(pieces) - grown.blocks >= BLOCK:
                grown.join()
            if self._owner.snap is not None:
                self._growth.drop_snapshots()
        return update  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def commit(self, text: str) -> None:
        """Append a fragment."""
        self.text = ""
        if text:
            grown = self._grown
            pieces = grown.pieces
            pieces.append(text)  # as `Text.append` does
            if len(pieces) - grown.blocks >= BLOCK:
                grown.join()
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

    def match(self, data: bytes) -> Match[U] | None:
        between = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(between) != self.around:
            return None
        first, _, second = between.partition(self._middle)
        ident, text = map(_string, (first, second) if self._id_first else (second, first))
        if ident is None or text is None or len(ident) > self._longest:
            return None
        return ResentId(self, ident, text)

    def take(self, data: bytes, number: int, engine: _Counter) -> U | None:  # noqa: ARG002 - as its base
        """Return None: only `match` can tell two strings apart."""
        return None


class EntryTemplate(Template[U]):
    """Entries of a keyed list that differ in their index and one text only."""

    __slots__ = ("_fields", "_growth", "_keyed", "_middle", "_most", "index_key")

    def __init__(
        self, pieces: list[bytes], growth: ListGrowth, keys: list[str | int], sample: Callable[[], U], most: int
    ) -> None:
        """Make the template of an event that did `growth`; `most` is how many entries the list may have."""
        self._most = most
        super().__init__(pieces, keys, growth.change.sent, sample)
        self._middle = pieces[1]
        self._growth, self._keyed, self.index_key = growth, growth.keyed, growth.key
        self._fields = {name: value for name, value in growth.sent.items() if name != growth.key}

    def match(self, data: bytes) -> Match[U] | None:
        between = data.removeprefix(self.head).removesuffix(self.tail)
        if len(data) - len(between) != self.around:
            return None
        first, _, second = between.partition(self._middle)
        if not _is_index(first) or (index := int(first)) in self._keyed.entries:
            return None
        if len(self._keyed.arrivals) >= self._most:
            return None
        text = _string(second)
        return None if text is None else NewEntry(self, index, text)

    def open(self, index: int, text: str) -> None:
        """Add an entry."""
        entry = Entry(index)
        entry.fields = {**self._fields, self._key: Text(text)}
        if self._keyed.snap is not None:  # else the snapshots are stale already
            self._growth.drop_snapshots()
        self._keyed.add(entry)


class ResentId(msgspec.Struct, Generic[U], eq=False):
    """A match of a `ResentIdTemplate`: the template, and the fragment's id and text."""

    _template: ResentIdTemplate[U]
    _ident: str
    text: str

    def commit(self, text: str) -> None:
        """Append the fragment."""
        self._template.commit(text)

    def update(self, number: int, text: str) -> U:
        """Make the update about the fragment."""
        return self._template.update(number, text, ident=self._ident)


class NewEntry(msgspec.Struct, Generic[U], eq=False):
    """A match of an `EntryTemplate`: the template, and the index and text of the new entry."""

    _template: EntryTemplate[U]
    _index: int
    text: str

    def commit(self, text: str) -> None:
        """Add the entry."""
        self._template.open(self._index, text)

    def update(self, number: int, text: str) -> U:
        """Make the update about the entry."""
        return self._template.update(number, text, index=(self._template.index_key, self._index))


Match: TypeAlias = TextTemplate[U] | ResentId[U] | NewEntry[U]
"""The result of a match: `text` is what is appended, `update` makes the update about it, and `commit` folds it."""


class _Table(msgspec.Struct, Generic[U], eq=False):
    """The templates of one event name, by their heads."""

    heads: dict[bytes, Template[U]] = {}
    lengths: dict[int, int] = {}  # how many heads have each length, the most frequent first

    def add(self, template: Template[U]) -> bool:
        """Add a template. Return False if its head would be of one length too many."""
        heads, lengths, length = self.heads, self.lengths, len(template.head)
        if template.head not in heads:
            if length not in lengths and len(lengths) >= _MAX_LENGTHS:
                return False
            lengths[length] = lengths.get(length, 0) + 1
            if len(lengths) > 1:
                self.lengths = dict(sorted(lengths.items(), key=lambda item: -item[1]))
        heads[template.head] = template
        return True

    def drop(self, template: Template[U]) -> None:
        if self.heads.get(template.head) is template:
            del self.heads[template.head]
            self.lengths[len(template.head)] -= 1
            if not self.lengths[len(template.head)]:
                del self.lengths[len(template.head)]


class _Family(Generic[U]):
    """Events that differ in the id of their resource, the index of their part, and the text that they append to it."""

    __slots__ = ("_head", "_id_first", "_in_part", "_index_key", "_part", "_tail", "_way", "kind")

    def __init__(
        self,
        resource: Resource[U],
        event: Event[U],
        pieces: list[bytes],
        growth: TextGrowth,
        *,
        id_first: bool,
    ) -> None:
        """Keep an event: its data around the three slots, of which the text is last, and what it did."""
        self.kind = kind = resource.type
        self._part = growth.change.sent
        self._index_key = cast("str", kind.parts.key)
        *self._head, self._tail = pieces
        keys, to_part = path_keys(growth.path), path_keys(growth.change.path)
        self._in_part, self._id_first = keys[len(to_part) :], id_first
        delta, _ = value_at(event.payload, kind.delta_path)
        self._way = Way(cast("JSONObject", delta), keys[len(kind.delta_path) :], kind.schema)

    def foretell(self, resource: Resource[U], entry: Entry) -> TextTemplate[U] | None:
        """Make the template of the events about a part; None if such a delta would do more than append to a text."""
        change = Change(entry, created=False, sent={**self._part, self._index_key: entry.index}, path=None)
        growth = resource.find_growth(self._way, change)
        if growth is None:
            return None
        ident, index = _token(resource.id), str(entry.index).encode()
        first, second = (ident, index) if self._id_first else (index, ident)
        head = self._head[0] + first + self._head[1] + second + self._head[2]
        return TextTemplate([head, self._tail], growth, self._in_part, partial(resource.part_delta, 0, change))


def _make_family(
    resource: Resource[U], event: Event[U], data: bytes, growth: TextGrowth, text: tuple[int, int]
) -> _Family[U] | None:
    """Make the family of an event, None if it has no id and index before its text."""
    to_index = [*path_keys(growth.change.path), cast("str", resource.type.parts.key)]
    index = cast("int", growth.change.entry.index)  # without an index the event has a fault, and growth is not all
    other = "b" if resource.id == "a" else "a"
    id_at = _Slot([*event.within, "id"], resource.id, other).place(data, text[0])
    index_at = _Slot([*event.within, *to_index], index, index + 1).place(data, text[0])
    if id_at is None or index_at is None:
        return None
    pieces = _around(data, id_at, index_at, text)
    return _Family(resource, event, pieces, growth, id_first=id_at < index_at)


class _Lessons(msgspec.Struct, Generic[U], eq=False):
    """What was learned from one resource.

    `offers` counts how often each text or list was offered for learning, `learned` the bytes that were looked at.
    `parts` holds the parts for which the template of a text was made.
    """

    templates: list[tuple[_Table[U], Template[U]]] = []
    offers: dict[Text | Keyed, int] = {}
    parts: set[Entry] = set()
    learned: int = 0


class FastPath(Generic[U]):
    """All templates, by event name and head. Each belongs to a resource that is open.

    Attributes:
        enabled: whether anything is learned. Without templates every event goes the general way, to the same result.
        last: the template that matched last, an event of the name `last_name`; None after any was forgotten.
        expected: the template that is tried first for the next event of that name: the one that matched after `last`
            before, or `last` itself.
        tables: the templates by the name of their events, and by their heads.

    """

    def __init__(self, bounds: Bounds) -> None:
        """Start with no templates."""
        self._bounds = bounds
        self.enabled = True
        self.last: Template[U] | None = None
        self.expected: Template[U] | None = None
        self.last_name = b""
        self.tables: dict[bytes, _Table[U]] = {}
        self._lessons: dict[Resource[U], _Lessons[U]] = {}
        self._families: dict[bytes, list[_Family[U]]] = {}
        self._unmade: dict[bytes, list[Callable[[], _Family[U] | None]]] = {}  # families that are not needed yet
        self._followers: dict[Template[U], Template[U]] = {}  # what matched after each, for events of one name
        self._learned = 0

    def find(self, name: bytes, data: bytes) -> Match[U] | None:
        """Return the match of an event, None if no template matches."""
        expected = self.expected
        if expected is not None and name == self.last_name and (found := expected.match(data)) is not None:
            if expected is not self.last:
                follower = self._followers.get(expected, expected)
                self.last, self.expected = expected, follower
            return found
        return self._find_by_head(name, data)

    def _find_by_head(self, name: bytes, data: bytes) -> Match[U] | None:
        """Return what `find` does, where the template that is expected does not match."""
        table = self.tables.get(name)
        if table is not None:
            for length in table.lengths:
                template = table.heads.get(data[:length])
                if template is not None and (found := template.match(data)) is not None:
                    if self.last is not None and name == self.last_name:
                        self._followers[self.last] = template
                    follower = self._followers.get(template, template)
                    # In one statement, so that an interrupt leaves no name with the template of another.
                    self.last_name, self.last, self.expected = name, template, follower
                    return found
        return None

    def learn(self, resource: Resource[U], event: Event[U], frame: Frame, growth: Growth) -> None:
        """Learn a template from an event that did one thing: from the 1st, 2nd, 4th, 8th, ... of its text or list.

        So a server that never sends the same head twice costs little time and memory.
        """
        lessons = self._lessons_of(resource)
        grown = growth.keyed if isinstance(growth, ListGrowth) else growth.text
        offers = lessons.offers[grown] = lessons.offers.get(grown, 0) + 1
        name, data, _, _ = frame
        size = len(data)
        if size > MAX_DATA or self._learned + size > MAX_LEARNED or offers & (offers - 1):
            return
        sample = partial(resource.part_delta, 0, growth.change)
        template = _make_template(event, data, growth, sample, resource.type.schema.policy.append, self._bounds)
        self._add(lessons, name, template, size)  # its size counts also if there is no template in it
        if type(template) is TextTemplate and isinstance(growth, TextGrowth):
            lessons.parts.add(growth.change.entry)
            unmade, families = self._unmade.setdefault(name, []), self._families.get(name, ())
            if len(unmade) + len(families) < _MAX_FAMILIES:
                text = len(template.head), size - len(template.tail)
                unmade.append(partial(_make_family, resource, event, data, growth, text))

    def _add(self, lessons: _Lessons[U], name: bytes, template: Template[U] | None, size: int) -> None:
        """Add a template, if there is one, to what was learned from so many bytes."""
        lessons.learned += size
        self._learned += size
        if template is None:
            return
        table = self.tables.get(name)
        if table is None:
            table = self.tables[name] = _Table()
        if table.add(template):
            lessons.templates.append((table, template))

    def _lessons_of(self, resource: Resource[U]) -> _Lessons[U]:
        lessons = self._lessons.get(resource)
        if lessons is None:
            lessons = self._lessons[resource] = _Lessons()
        return lessons

    def foretell(self, resource: Resource[U], name: bytes, entry: Entry) -> None:
        """Foretell the templates of a part that has none from what was learned of others."""
        known = self._lessons.get(resource)
        if entry.index is None or (known is not None and entry in known.parts):
            return
        if unmade := self._unmade.get(name):
            self._families.setdefault(name, []).extend(family for make in unmade if (family := make()) is not None)
            unmade.clear()
        for family in self._families.get(name, ()):
            template = family.foretell(resource, entry) if family.kind is resource.type else None
            if template is not None and self._learned + template.around <= MAX_LEARNED:
                lessons = self._lessons_of(resource)
                lessons.parts.add(entry)
                self._add(lessons, name, template, template.around)

    def forget_all(self) -> None:
        """Forget all templates, and what families would be made of. Families stay: each holds no more than a delta."""
        self.last, self.expected, self._learned = None, None, 0
        self.tables, self._lessons, self._unmade, self._followers = {}, {}, {}, {}

    def forget(self, resource: Resource[U]) -> None:
        """Forget what was learned of a resource."""
        self.last = self.expected = None
        lessons = self._lessons.pop(resource, None) if self._lessons else None
        if lessons is not None:
            self._learned -= lessons.learned
            self._followers = {}
            for table, template in lessons.templates:
                table.drop(template)


def _make_template(  # noqa: PLR0913, PLR0917 - an event, what it did, and what bounds such events
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
    text = _Slot(at, growth.fragment, "").place(data)
    sent = growth.change.sent.get("id")
    if text is None or "id" not in growth.change.entry.conflicts or not isinstance(sent, str):
        return None if text is None else TextTemplate(_around(data, text), growth, in_part, sample)
    ident = _Slot([*event.within, *to_part, "id"], sent, "b" if sent == "a" else "a").place(data)
    if ident is None:
        return None
    return ResentIdTemplate(
        _around(data, ident, text), growth, in_part, sample, id_first=ident < text, longest=bounds.id
    )


def _make_entry_template(  # noqa: PLR0913, PLR0917 - as `_make_template`, and the keys to the entry
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
    text = _Slot([*at, key], cast("str", growth.sent[key]), "").place(data)
    index = _Slot([*at, growth.key], growth.index, growth.index + 1).place(data)
    if text is None or index is None or text < index:
        return None
    return EntryTemplate(_around(data, index, text), growth, [*in_part, key], sample, bounds.entries)


def _around(data: bytes, *places: tuple[int, int]) -> list[bytes]:
    """Return the pieces of data before, between and behind places in it."""
    ends = [0, *chain.from_iterable(sorted(places)), len(data)]
    return [data[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


def _only_text(sent: JSONObject, append: Collection[str]) -> str | None:
    """Return the key of the one text that grows in an entry without nested values, None for any other entry."""
    texts = [key for key, value in sent.items() if key in append and isinstance(value, str)]
    nested = any(isinstance(value, (dict, list)) for value in sent.values())
    return texts[0] if len(texts) == 1 and not nested else None


class _Slot(msgspec.Struct, frozen=True):
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
        token = _token(self.value)
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


def _token(value: str | int) -> bytes:
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
