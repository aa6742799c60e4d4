"""Merge deltas of one part that arrive within an interval, without losing any text.

A slot is one part of one resource: the kind of the resource, its id and the index of the part. The first delta of a
slot after a pause is returned at once. The deltas that follow within the interval are held: they are kept and merged.
When the interval is over, they are returned as one delta.

Two rules keep the order:

- If an event has any update that is not the delta of a slot, none of its updates is held. All held deltas are returned
  first, in the order of their first fragments, and the updates of the event after them. So no merge crosses a problem.
  A delta without a usable index belongs to no slot, because its `id` may name any part.
- The deltas of one slot keep their order. Deltas of different slots may change places, which changes no fold.

Fragments are merged by folding them into an empty object. The result is read back as a delta, with the indexes that the
fold strips.

The only clock is the one that the caller passes. Nothing here waits: a caller that waits calls `due` to learn how long.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from accumulator._fold.delta import fold_delta
from accumulator._fold.nodes import Object, as_delta
from accumulator._fold.policy import WrongShape
from accumulator._streams.deadlines import check_clock, check_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from accumulator._engine.protocol import Fragment
    from accumulator._json import JSONObject

U = TypeVar("U")

Slot: TypeAlias = tuple[object, str, int]
"""The kind of resource, its id, and the index of the part."""


class Coalescer(Generic[U]):
    """Takes the updates of each event, and returns the updates that are not held.

    The cost of an update depends on its own fragment only, not on the number of merged fragments. Memory grows with the
    held deltas, and by one timestamp for each slot.
    """

    def __init__(
        self, min_interval: float, clock: Callable[[], float], fragment_of: Callable[[U], Fragment[U] | None]
    ) -> None:
        """Start with nothing held.

        Args:
            min_interval: seconds between two deltas of one slot, more than 0 and finite.
            clock: returns seconds since any fixed moment, and never goes back.
            fragment_of: returns the fragment in an update, or None for an update that must not be held.

        Raises:
            TypeError: the interval is not a number, or the clock cannot be called.
            ValueError: the interval is not more than 0, or not finite.

        """
        self._interval = check_seconds("min_interval", min_interval)
        self._clock = check_clock(clock)
        self._fragment_of = fragment_of
        self._next_allowed: dict[Slot, float] = {}  # when the next delta of a slot may be returned
        self._held: dict[Slot, _Held[U]] = {}  # in the order of the first fragments
        self._due_times: list[tuple[float, int, Slot]] = []  # a heap with one entry for each held slot
        self._count = 0

    def push(self, updates: Sequence[U]) -> list[U]:
        """Take the updates of one event, in order, and return the updates that are not held or are due."""
        now = self._clock()
        fragments = [(fragment, update) for update in updates if (fragment := self._fragment_of(update)) is not None]
        if len(fragments) < len(updates):
            held = self._take(self._all_held(), now)
            for fragment, _ in fragments:
                self._next_allowed[_slot(fragment)] = now + self._interval
            return [*held, *updates]
        for fragment, update in fragments:
            slot = _slot(fragment)
            if slot in self._held:
                self._held[slot].add(fragment, update)
            else:
                self._hold(slot, _Held(fragment, update), self._next_allowed.get(slot, now))
        return self._take(self._slots_due(now), now)

    def due(self) -> float | None:
        """Return the seconds until the next held delta is due: 0 if one is due now, None if nothing is held."""
        return max(0.0, self._due_times[0][0] - self._clock()) if self._due_times else None

    def flush_due(self) -> list[U]:
        """Return the held deltas that are due."""
        if not self._due_times:
            return []
        now = self._clock()
        return self._take(self._slots_due(now), now)

    def flush(self) -> list[U]:
        """Return all held deltas."""
        return self._take(self._all_held(), self._clock()) if self._held else []

    def _hold(self, slot: Slot, held: _Held[U], due: float) -> None:
        self._count += 1
        self._held[slot] = held
        heapq.heappush(self._due_times, (due, self._count, slot))

    def _all_held(self) -> list[Slot]:
        self._due_times.clear()
        return list(self._held)

    def _slots_due(self, now: float) -> list[Slot]:
        """Return the held slots that are due, in the order of their first fragments."""
        due: list[tuple[int, Slot]] = []
        while self._due_times and self._due_times[0][0] <= now:
            due.append(heapq.heappop(self._due_times)[1:])
        return [slot for _, slot in sorted(due)]  # each count is unique, so slots are never compared

    def _take(self, slots: Iterable[Slot], now: float) -> list[U]:
        taken: list[U] = []
        for slot in slots:
            taken += self._held.pop(slot).read()
            self._next_allowed[slot] = now + self._interval
        return taken


class _Held(Generic[U]):
    """The held fragments of one slot: one update unchanged, or the fold of several."""

    __slots__ = ("_fragment", "_part_id", "_root", "_unmerged", "_update")

    def __init__(self, fragment: Fragment[U], update: U) -> None:
        self._unmerged: list[U] = []  # updates that a later fragment did not fit
        self._fragment, self._update = fragment, update  # the last one added
        self._root: Object | None = None
        self._part_id = fragment.part_id

    def add(self, fragment: Fragment[U], update: U) -> None:
        """Merge the next fragment. If it does not fit the earlier ones, those become an update of their own."""
        try:
            root = self._root or _fold(Object(), self._fragment)
            self._root = _fold(root, fragment)
        except WrongShape:
            self._unmerged.append(self._merged())
            self._root = None
        self._fragment, self._update = fragment, update
        if self._part_id is None:
            self._part_id = fragment.part_id

    def read(self) -> list[U]:
        """Return the held updates: one, or more if some fragments did not fit together."""
        return [*self._unmerged, self._merged()]

    def _merged(self) -> U:
        if self._root is None:
            return self._update
        last = self._fragment
        json = cast("JSONObject", as_delta(self._root, last.resource.part_schema))
        return last.resource.part_delta(last.event_number, last.owner, last.index, self._part_id, json)


def _slot(fragment: Fragment[U]) -> Slot:
    return fragment.resource, fragment.owner, fragment.index


def _fold(root: Object, fragment: Fragment[U]) -> Object:
    """Merge a fragment into the fold of a slot, or raise `WrongShape` and merge nothing.

    Problems are not reported. An event with a problem is never held, so the only problems here are conflicts that an
    earlier event reported; a conflict keeps the first value.
    """
    fold_delta(root, cast("JSONObject", fragment.delta.to_dict()), fragment.resource.part_schema, None)
    return root
