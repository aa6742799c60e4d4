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

from collections import deque
from typing import TYPE_CHECKING

from accumulator._fold.nodes import Entry, Keyed, entry_type, id_key, is_empty
from accumulator._fold.policy import usable_index

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

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
    """Return the folded entry of each entry of a whole list; None for one that is new."""
    free = {id(entry): entry for entry in keyed.ordered()}
    found: list[Entry | None] = []
    for item in sent:
        ident, index = item.get("id"), usable_index(item, key)
        entry = None if is_empty(ident) else keyed.ids.get(id_key(ident))
        if entry is None and index is not None:
            entry = keyed.entries.get(index)
        found.append(free.pop(id(entry), None) if entry else None)
    if ending and not any(found) and _fit_in_order(free.values(), sent):
        return [*free.values(), *found[len(free) :]]
    rest = _Rest(free.values())
    for position, item in enumerate(sent):
        if found[position] is None and (ending or usable_index(item, key) is None):
            named = not is_empty(item.get("id"))
            found[position] = rest.take(entry_type(item), without_id=named and not ending)
    return found


def _fit_in_order(entries: Collection[Entry], sent: list[JSONObject]) -> bool:
    """Tell whether the types agree in order, as in most lists. This costs less than `_Rest`."""
    pairs = zip(map(entry_type, entries), map(entry_type, sent), strict=False)
    return len(entries) <= len(sent) and all(known == kind or not known or not kind for known, kind in pairs)


class _Rest:
    """The entries that are not paired yet, to be taken in order by type. Each take costs the same."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._queues: dict[tuple[str | None, bool], deque[tuple[int, Entry]]] = {}
        self._taken: set[int] = set()
        for rank, entry in enumerate(entries):
            for without_id in (False, True) if is_empty(entry.fields.get("id")) else (False,):
                for kind in (entry_type(entry), None):
                    self._queues.setdefault((kind, without_id), deque()).append((rank, entry))

    def take(self, kind: str, *, without_id: bool) -> Entry | None:
        """Take the first entry that a type fits; with `without_id`, the first of those that have none."""
        queues = [self._queues.get((fitting, without_id)) for fitting in ((kind, "") if kind else (None,))]
        left = [queue for queue in queues if queue and self._skip_taken(queue)]
        if not left:
            return None
        rank, entry = min(left, key=lambda queue: queue[0][0]).popleft()
        self._taken.add(rank)
        return entry

    def _skip_taken(self, queue: deque[tuple[int, Entry]]) -> bool:
        while queue and queue[0][0] in self._taken:
            queue.popleft()
        return bool(queue)
