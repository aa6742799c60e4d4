"""Which entry of a keyed list is meant.

A delta names its entry by index. But if no event has named the index of an entry, only an order has given it one, a
known `id` decides: see `find`. Without a usable index the delta names the entry by `id`. Without either it continues an
entry of an earlier event that has no index and has not ended, if its type fits just one. It never continues an entry
of its own event. What cannot grow, such as a picture, continues nothing.

A whole object lists its entries without indexes, as a rule. Each is paired with a folded entry: by `id`, else by an
index if it names one, else in order, where the types agree. In order, an ending also pairs entries whose ids differ,
since some servers make up a new id each time. A repeat does not: it would fill one entry with the content of another.
So in a repeat, a sent entry with an id is paired in order only with a folded entry that has none, and a sent entry with
an index is not paired in order.

A missing type, on either side, fits every type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._fold.nodes import Entry, Keyed, entry_type, id_key, is_empty
from accumulator._fold.policy import usable_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from accumulator._fold.nodes import Group
    from accumulator._fold.policy import Schema
    from accumulator._json import JSONObject


def find(
    keyed: Keyed, sent: JSONObject, index: int | None, planned: Mapping[tuple[int, str | int], object], schema: Schema
) -> Entry | None:
    """Return the entry that a delta means, None if there is none yet.

    An entry that a whole object listed without an index has the index that its order gives it. Such an index is only
    assumed. So a known id names its entry, whatever the delta's index is, unless an event has named the index of that
    entry, or of the one that has the delta's index.

    Args:
        keyed: the list.
        sent: the delta of the entry.
        index: its index, None if that is not usable.
        planned: what the same event will set: by the identity of the container, and the key, index or id in it.
        schema: the schema of the list: it says which types of entries can grow.

    """
    ident = sent.get("id")
    if index is not None:
        place = (id(keyed), index)
        known = planned[place] if place in planned else keyed.entries.get(index)
        if not is_empty(ident) and (not isinstance(known, Entry) or known.assumed):
            named = keyed.ids.get(id_key(ident))
            known = named if named is not None and named.assumed else known
    elif is_empty(ident):
        kind = entry_type(sent)
        whole_types = schema.policy.whole_types
        fitting = keyed.open_unindexed.fitting(kind, whole_types) if schema.may_grow(kind) else []
        known = fitting[0] if len(fitting) == 1 else None
    else:
        known = planned.get((id(keyed), id_key(ident))) or keyed.ids.get(id_key(ident))
    return known if isinstance(known, Entry) else None


def pair(keyed: Keyed, sent: list[JSONObject], key: str | None, *, ending: bool) -> list[Entry | None]:
    """Return the folded entry of each entry of a whole list; None for one that is new.

    Entries that are found by id or index cost that only. The others are looked for in order, up to the first that fits.
    """
    taken: set[int] = set()
    found: list[Entry | None] = []
    for item in sent:
        ident, index = item.get("id"), usable_index(item, key)
        entry = None if is_empty(ident) else keyed.ids.get(id_key(ident))
        if entry is None and index is not None:
            entry = keyed.entries.get(index)
        if entry is not None and id(entry) in taken:
            entry = None
        if entry is not None:
            taken.add(id(entry))
        found.append(entry)
    if None not in found:
        return found
    if ending and len(keyed.arrivals) <= len(sent) and not any(found) and _fit_in_order(keyed.order, sent):
        return [*keyed.order, *found[len(keyed.arrivals) :]]
    rest = _Rest(keyed, taken)
    for position, item in enumerate(sent):
        if found[position] is None and (ending or usable_index(item, key) is None):
            unnamed = not ending and not is_empty(item.get("id"))
            found[position] = rest.take(entry_type(item), unnamed=unnamed)
    return found


def _fit_in_order(entries: Iterable[Entry], sent: list[JSONObject]) -> bool:
    """Tell whether the types agree in order, as in most lists. This costs less than `_Rest`."""
    pairs = zip(map(entry_type, entries), map(entry_type, sent), strict=False)
    return all(known == kind or not known or not kind for known, kind in pairs)


class _Rest:
    """The entries that are not paired yet, to be taken in order by type. A take costs the entries that it skips."""

    def __init__(self, keyed: Keyed, taken: set[int]) -> None:
        """Start with all entries of a list but those whose identity is in `taken`."""
        self._keyed = keyed
        self._taken = taken
        self._next: dict[Group, int] = {}  # the place in each group up to which all are taken

    def take(self, kind: str, *, unnamed: bool) -> Entry | None:
        """Take the first entry that a type fits, or the first of those without an id."""
        kinds = (kind, "") if kind else (None,)
        groups = [(each, no_id) for each in kinds for no_id in ((True,) if unnamed else (True, False))]
        if not kind and not unnamed:
            groups = [(None, False)]
        first = [entry for group in groups if (entry := self._first(group)) is not None]
        if not first:
            return None
        entry = min(first, key=lambda each: each.order)
        self._taken.add(id(entry))
        return entry

    def _first(self, group: Group) -> Entry | None:
        """Return the first entry of a group that is not taken."""
        keyed = self._keyed
        entries = keyed.order if group == (None, False) else keyed.groups.find(group, keyed.arrivals)
        at = self._next.get(group, 0)
        while at < len(entries) and id(entries[at]) in self._taken:
            at += 1
        self._next[group] = at
        return entries[at] if at < len(entries) else None
