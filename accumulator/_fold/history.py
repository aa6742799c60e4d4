"""Objects as they were: what an update about a whole object is made of when it is read.

An update about an object that was sent again has the object as it was after its event. A snapshot for each such update
would cost the whole object each time, though few are read. So the update gets a `Moment`. While somebody holds it, each
change of the object notes there what was before: once for each field, text, list and entry. Reading a moment goes
through the notes of it and of all later moments, and builds what has changed since anew. The rest is shared with the
current snapshots. Any thread may read a moment, so reading changes no builder. What it built of the current state waits
in the history, and the thread that folds keeps it as snapshots before the next change.

A moment refers to later ones, never to earlier ones. So what nobody can read any more is freed.
"""

from __future__ import annotations

from _weakref import ref  # `weakref`, which has it too, is slower to import
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

import msgspec

from accumulator._fold.nodes import Entry, Keyed, Node, Object
from accumulator._fold.texts import Text, TextMark

if TYPE_CHECKING:
    from accumulator._json import Json, JSONObject

_K = TypeVar("_K")
_V = TypeVar("_V")

_ABSENT: Final = object()

Built: TypeAlias = "list[tuple[Object | Keyed, object]]"
"""Builders with the JSON of their current state."""


class Notes(msgspec.Struct, eq=False):
    """What was before changes, by the identity of the builders.

    Attributes:
        fields: the nodes of the fields that changed, by name.
        texts: the marks of the texts that grew.
        lists: how many entries the lists had.
        orders: the orders of the entries that moved.
        touched: all objects and lists in which something changed.

    """

    fields: dict[int, dict[str, object]] = {}
    texts: dict[int, TextMark] = {}
    lists: dict[int, int] = {}
    orders: dict[int, tuple[bool, int]] = {}
    touched: set[int] = set()

    def add_later(self, later: Notes) -> None:
        """Add notes of later changes. Where there is a note, it stays."""
        for owner, fields in list(later.fields.items()):
            _add_missing(self.fields.setdefault(owner, {}), fields)
        _add_missing(self.texts, later.texts)
        _add_missing(self.lists, later.lists)
        _add_missing(self.orders, later.orders)
        self.touched |= later.touched


class Moment:
    """An object as it was after one event, with notes of the changes since. A note is made before its change.

    Attributes:
        notes: what was before each change between this moment and the next.
        later: the next moment of the same object, None if this is the last.

    """

    __slots__ = ("__weakref__", "_builders", "_history", "later", "notes")

    def __init__(self, history: History) -> None:
        """Start with nothing changed."""
        self._history = history
        self.later: Moment | None = None
        self.notes = Notes()
        self._builders: list[object] = []  # kept, so that their identities stay theirs

    def touch(self, node: Object | Keyed) -> None:
        """Note that something in an object or list changes."""
        if id(node) not in self.notes.touched:
            self._builders.append(node)
            self.notes.touched.add(id(node))

    def note_field(self, owner: Object, key: str) -> None:
        """Note that a field gets another value, or is removed."""
        self.touch(owner)
        self.notes.fields.setdefault(id(owner), {}).setdefault(key, owner.fields.get(key, _ABSENT))

    def note_text(self, text: Text) -> None:
        """Note that a text grows."""
        if id(text) not in self.notes.texts:
            self._builders.append(text)
            self.notes.texts[id(text)] = text.mark()

    def note_list(self, keyed: Keyed) -> None:
        """Note that a list gets another entry."""
        self.touch(keyed)
        self.notes.lists.setdefault(id(keyed), len(keyed.arrivals))

    def note_order(self, entry: Entry) -> None:
        """Note that an entry may get another place in its list."""
        if id(entry) not in self.notes.orders:
            self._builders.append(entry)
            self.notes.orders[id(entry)] = entry.order

    def read(self, root: Object) -> JSONObject:
        """Return the object as it was; `root` is its builder.

        The cost is linear in what changed since the last snapshot, and in the notes since then. If a change comes
        between, from another thread, the object is built again.
        """
        while True:
            before = self._gather()
            past = _Past(before)
            json = past.build_object(root)
            if _size(before) == _size(self._gather()):
                if not _size(before):
                    self._history.built = self, past.built
                return json

    def _gather(self) -> Notes:
        gathered = Notes()
        moment: Moment | None = self
        while moment is not None:
            gathered.add_later(moment.notes)
            moment = moment.later
        return gathered


class History(msgspec.Struct, eq=False):
    """The moments of one object that somebody holds.

    Attributes:
        built: what was last built of a state that was the current one, and the moment of that state.

    """

    built: tuple[Moment, Built] | None = None
    _last: ref[Moment] | None = None

    def open(self) -> Moment | None:
        """Return the moment that the next change is noted in; None if nobody could read it."""
        if self.built is not None:
            (moment, built), self.built = self.built, None
            if moment.later is None and not _size(moment.notes):
                _keep_snapshots(built)
        return None if self._last is None else self._last()

    def now(self) -> Moment:
        """Return the moment of the current state."""
        last = self.open()
        if last is not None and not _size(last.notes):
            return last
        moment = Moment(self)
        if last is not None:
            last.later = moment
        self._last = ref(moment)
        return moment


class _Past:
    """Builds JSON from builders and notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.built: Built = []

    def build_object(self, node: Object) -> JSONObject:
        snap = node.snap
        if snap is not None and id(node) not in self._notes.touched:
            return snap
        fields = {**node.fields, **self._notes.fields.get(id(node), {})}
        json = {key: self._build(cast("Node", value)) for key, value in fields.items() if value is not _ABSENT}
        self.built.append((node, json))
        return json

    def _build(self, node: Node) -> Json:
        if isinstance(node, Text):
            return node.read_at(self._notes.texts.get(id(node)))
        if isinstance(node, Object):
            return self.build_object(node)
        if isinstance(node, Keyed):
            snap = node.snap
            return snap if snap is not None and id(node) not in self._notes.touched else self._build_list(node)
        return node

    def _build_list(self, keyed: Keyed) -> list[Json]:
        count = self._notes.lists.get(id(keyed))
        orders = self._notes.orders
        entries = sorted(keyed.arrivals[:count], key=lambda entry: orders.get(id(entry), entry.order))
        json: list[Json] = list(map(self.build_object, entries))
        self.built.append((keyed, json))
        return json


def _keep_snapshots(built: Built) -> None:
    for node, json in built:
        if isinstance(node, Keyed):
            node.keep_snapshot(cast("list[Json]", json))
        else:
            node.snap = cast("JSONObject", json)


def _add_missing(notes: dict[_K, _V], later: dict[_K, _V]) -> None:
    for key, value in list(later.items()):
        notes.setdefault(key, value)


def _size(notes: Notes) -> int:
    fields = sum(map(len, notes.fields.values()))
    return fields + len(notes.texts) + len(notes.lists) + len(notes.orders) + len(notes.touched)
