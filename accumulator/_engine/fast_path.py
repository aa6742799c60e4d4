"""The fast path: templates that are learned from events, for events like them.

Most events of a stream differ from the one before in one text only. Where the general way (`Engine.apply`) finds that
all an event did was to append to a text, the event's data becomes a template: see `templates`. The general way would do
the same to later data that fits, and nothing else.

Events that let parts grow differ in the id of their resource and the index of their part. So a *family* keeps an event
with slots for both. For each new part it foretells the template, if a delta like that would only append to a text of
the part.

Why this is right:

- A slot is proved.
- Nothing else in the event changes anything, and nothing in it is a fault: see `Changes.growth`.
- That stays so while only deltas arrive, and none replaces a value, not even an empty text. A field that keeps its
  first value keeps it, a text is only appended to, objects and lists stay what they are, entries stay under their
  indexes, and a conflict is reported once. After any other event the templates of its resource are forgotten.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Generic, cast

import msgspec

from accumulator._engine.protocol import Event, U
from accumulator._engine.templates import (
    Counter,
    Slot,
    Template,
    TextTemplate,
    around_places,
    json_token,
    make_template,
)
from accumulator._fold.changes import Change, Growth, ListGrowth, TextGrowth
from accumulator._fold.delta import Way
from accumulator._fold.nodes import Entry, Keyed
from accumulator._fold.texts import Text
from accumulator._json import JSONObject, path_keys, value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._engine.limits import Bounds
    from accumulator._engine.resource import Resource
    from accumulator._sse import Frame

MAX_DATA: Final = 4096
"""Bytes of an event that a template is learned from. A longer event gains little: decoding it is most of its cost."""

MAX_LEARNED: Final = 2**20
"""Bytes of all events that templates were learned from: enough for some thousand parts that grow at a time."""

_MAX_FAMILIES: Final = 4
"""Families of one event name: one for each way in which parts are spelled, such as one for each kind of tool."""

_MAX_LENGTHS: Final = 8
"""Different lengths of heads. Each is tried for each event. Parts that differ only in their index have one or two."""


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
        ident, index = json_token(resource.id), str(entry.index).encode()
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
    id_at = Slot([*event.within, "id"], resource.id, other).place(data, text[0])
    index_at = Slot([*event.within, *to_index], index, index + 1).place(data, text[0])
    if id_at is None or index_at is None:
        return None
    pieces = around_places(data, id_at, index_at, text)
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

    def take(self, name: bytes, data: bytes, number: int, engine: Counter, build: bool) -> U | None:  # noqa: FBT001 - as `Template.take`
        """Fold an event if a template fits it; else return None. For all else see `Template.take`."""
        expected = self.expected
        if expected is not None and name == self.last_name:
            update = expected.take(data, number, engine, build)
            if update is not None:
                if expected is not self.last:
                    follower = self._followers.get(expected, expected)
                    self.last, self.expected = expected, follower
                return update
        table = self.tables.get(name)
        if table is None:
            return None
        for length in table.lengths:
            template = table.heads.get(data[:length])
            if template is not None and (update := template.take(data, number, engine, build)) is not None:
                if self.last is not None and name == self.last_name:
                    self._followers[self.last] = template
                follower = self._followers.get(template, template)
                # In one statement, so that an interrupt leaves no name with the template of another.
                self.last_name, self.last, self.expected = name, template, follower
                return update
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
        template = make_template(event, data, growth, sample, resource.type.schema.policy.append, self._bounds)
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
