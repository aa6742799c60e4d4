"""Merge deltas that come faster than anybody looks: one of each slot in an interval, and nothing is lost.

A slot is one part of one resource: the kind of resource, its id, and the part's index. The first delta of a slot that
has been quiet goes out at once. Those that follow within the interval are held and merged; they go out as one delta
when the interval is over. Two rules keep the order:

- An event that gives anything but deltas of slots goes out at once and whole. All that is held goes out before it, in
  the order of the first fragments. A delta without a usable index belongs to no slot, since its `id` may name any part.
  So nothing is merged across a problem.
- Deltas of one slot stay in order. Those of different slots may pass each other, which changes no fold.

Fragments are merged by folding them into an empty slot; the result is read back with the indexes that the fold strips.
The only clock is the one passed in, and nothing waits here: a caller that waits asks `due` for how long.
"""

from __future__ import annotations

import heapq
import sys
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from accumulator._fold.delta import fold_delta
from accumulator._fold.nodes import Object, as_delta
from accumulator._fold.policy import WrongShape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from accumulator._engine.protocol import Fragment
    from accumulator._json import JSONObject

U = TypeVar("U")

Slot: TypeAlias = tuple[object, str, int]
"""The kind of resource, its id, and the index of the part."""


class Coalescer(Generic[U]):
    """Takes the updates of one event after the other, and returns those that go out now.

    An update costs what its fragment costs, however many are merged. What is kept is what is held, and a time for each
    slot.
    """

    def __init__(
        self, min_interval: float, clock: Callable[[], float], fragment_of: Callable[[U], Fragment[U] | None]
    ) -> None:
        """Hold nothing yet.

        Args:
            min_interval: seconds between two deltas of one slot, more than 0 and finite.
            clock: returns seconds since whenever, and never goes back.
            fragment_of: returns the fragment in an update, None for an update that is not to be held.

        Raises:
            TypeError: the interval is no number, or the clock cannot be called.
            ValueError: the interval is not more than 0, or not finite.

        """
        if isinstance(min_interval, bool) or not isinstance(min_interval, (int, float)):
            raise TypeError(f"expected min_interval to be a number of seconds, got {type(min_interval).__name__}")
        if not 0 < min_interval <= sys.float_info.max:
            raise ValueError(f"expected min_interval to be more than 0 seconds and finite, got {min_interval!r:.40}")
        if not callable(clock):
            raise TypeError(f"expected clock to be callable, got {type(clock).__name__}")
        self._interval = float(min_interval)
        self._clock = clock
        self._fragment_of = fragment_of
        self._quiet_at: dict[Slot, float] = {}  # until when the deltas of a slot that had one are held
        self._held: dict[Slot, _Held[U]] = {}  # in order of the first fragments
        self._due_times: list[tuple[float, int, Slot]] = []  # a heap, of all that is held
        self._count = 0

    def push(self, updates: Sequence[U]) -> list[U]:
        """Take the updates of one event, in their order, and return what goes out now."""
        now = self._clock()
        fragments = [(fragment, update) for update in updates if (fragment := self._fragment_of(update)) is not None]
        if len(fragments) < len(updates):
            held = self._take(self._all_held(), now)
            for fragment, _ in fragments:
                self._quiet_at[_slot(fragment)] = now + self._interval
            return [*held, *updates]
        for fragment, update in fragments:
            slot = _slot(fragment)
            if slot in self._held:
                self._held[slot].add(fragment, update)
            else:
                self._hold(slot, _Held(fragment, update), self._quiet_at.get(slot, now))
        return self._take(self._slots_due(now), now)

    def due(self) -> float | None:
        """Return in how many seconds something that is held is due, 0 if it is by now, None if nothing is held."""
        return max(0.0, self._due_times[0][0] - self._clock()) if self._due_times else None

    def flush_due(self) -> list[U]:
        """Return what has been held for as long as it may be."""
        if not self._due_times:
            return []
        now = self._clock()
        return self._take(self._slots_due(now), now)

    def flush(self) -> list[U]:
        """Return all that is held."""
        return self._take(self._all_held(), self._clock()) if self._held else []

    def _hold(self, slot: Slot, held: _Held[U], due: float) -> None:
        self._count += 1
        self._held[slot] = held
        heapq.heappush(self._due_times, (due, self._count, slot))

    def _all_held(self) -> list[Slot]:
        self._due_times.clear()
        return list(self._held)

    def _slots_due(self, now: float) -> list[Slot]:
        """Return the slots whose interval is over, in order of their first fragments."""
        due: list[tuple[int, Slot]] = []
        while self._due_times and self._due_times[0][0] <= now:
            due.append(heapq.heappop(self._due_times)[1:])
        return [slot for _, slot in sorted(due)]  # no two have the same count

    def _take(self, slots: Iterable[Slot], now: float) -> list[U]:
        taken: list[U] = []
        for slot in slots:
            taken += self._held.pop(slot).read()
            self._quiet_at[slot] = now + self._interval
        return taken


def coalescing(
    min_interval: float | None, clock: Callable[[], float], fragment_of: Callable[[U], Fragment[U] | None]
) -> Coalescer[U] | None:
    """Return a `Coalescer` if there is an interval, else None: every delta goes out as it comes."""
    return None if min_interval is None else Coalescer(min_interval, clock, fragment_of)


class _Held(Generic[U]):
    """The fragments of one slot that are held: one update as it is, or the fold of several."""

    __slots__ = ("_fragment", "_part_id", "_root", "_unmerged", "_update")

    def __init__(self, fragment: Fragment[U], update: U) -> None:
        self._unmerged: list[U] = []  # those before a fragment that they do not fit with
        self._fragment, self._update = fragment, update  # the last
        self._root: Object | None = None
        self._part_id = fragment.part_id

    def add(self, fragment: Fragment[U], update: U) -> None:
        """Merge the next fragment. If it does not fit with those before, they stay an update of their own."""
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
        """Return what is held: one update, or more if fragments did not fit together."""
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
    """Merge a fragment into a slot, or raise `WrongShape` with nothing merged.

    Problems are ignored: an event with a problem is not merged, so that the only ones left are conflicts that were
    reported before, and there the first value stays.
    """
    fold_delta(root, cast("JSONObject", fragment.delta.to_dict()), fragment.resource.part_schema, None)
    return root
