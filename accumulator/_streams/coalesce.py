"""Deltas that come faster than anybody looks, merged: at most one of a slot in each interval, and nothing is lost.

A slot is a tool call, by its step's id and its index, or a content part, by its message's id and its index. The first
delta of a slot that has been quiet goes out at once. Those that follow within the interval are held and merged; they go
out as one when the interval is over. Two rules keep the order:

- An event that gives anything but deltas of slots goes out at once and whole, and all that is held goes before it, in
  the order in which the first fragments came. A delta without a usable index is no delta of a slot: its `id` may name
  any call. So is nothing merged with what a `Problem` speaks of.
- Deltas of one slot stay in order. Those of different slots may pass each other, which changes no fold.

The merge of fragments is their fold into an empty slot, read back with the indexes that the fold strips. No clock is
read but the one passed in, and nothing waits here: who does asks `due` for how long.
"""

from __future__ import annotations

import heapq
import sys
import time
from typing import TYPE_CHECKING, TypeAlias, cast

from accumulator._assistants.messages import wrap_content_delta
from accumulator._assistants.run_steps import wrap_tool_call_delta
from accumulator._assistants.updates import ContentDelta, ToolCallDelta
from accumulator._fold.delta import fold_delta
from accumulator._fold.nodes import Keyed, Object, Text
from accumulator._fold.policy import MESSAGE, STEP, Misfit, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from accumulator._assistants.updates import Update
    from accumulator._fold.nodes import Json, Node

Delta: TypeAlias = ToolCallDelta | ContentDelta
Slot: TypeAlias = tuple[type[Delta], str, int]

_CALL = Shape(STEP.fields["step_details"].fields["tool_calls"].fields)
_PART = Shape(MESSAGE.fields["content"].fields)


class Coalescer:
    """Takes the updates of one event after the other, and gives those that are to be handed out by now.

    An update costs what its fragment costs, however many are merged. What is remembered is what is held, and a time for
    each slot.
    """

    def __init__(self, min_interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing held.

        Args:
            min_interval: seconds between two deltas of one slot, more than 0 and finite.
            clock: gives seconds since whenever, and never fewer than before.

        Raises:
            TypeError: the interval is no number, or the clock cannot be called.
            ValueError: the interval is not more than 0, or not finite.

        """
        if isinstance(min_interval, bool) or not isinstance(min_interval, (int, float)):
            raise TypeError(f"expected min_interval to be a number of seconds, came {type(min_interval).__name__}")
        if not 0 < min_interval <= sys.float_info.max:
            raise ValueError(f"expected min_interval to be more than 0 seconds and finite, came {min_interval!r:.40}")
        if not callable(clock):
            raise TypeError(f"expected clock to be callable, came {type(clock).__name__}")
        self._interval = float(min_interval)
        self._clock = clock
        self._quiet_at: dict[Slot, float] = {}  # until when the deltas of a slot that had one are held
        self._held: dict[Slot, _Held] = {}  # in order of the first fragments
        self._dues: list[tuple[float, int, Slot]] = []  # a heap of all that is held
        self._count = 0

    def push(self, updates: Sequence[Update]) -> list[Update]:
        """Take the updates of one event, in their order."""
        now = self._clock()
        deltas = [(slot, cast("Delta", update)) for update in updates if (slot := _slot(update)) is not None]
        if len(deltas) < len(updates):
            held = self._hand_out(self._take_all(), now)
            for slot, _ in deltas:
                self._quiet_at[slot] = now + self._interval
            return [*held, *updates]
        for slot, update in deltas:
            if slot in self._held:
                self._held[slot].add(update)
            else:
                self._hold(slot, update, self._quiet_at.get(slot, now))
        return self._hand_out(self._take_due(now), now)

    def due(self) -> float | None:
        """Return in how many seconds something that is held is due, 0 if it is by now, None if nothing is held."""
        return max(0.0, self._dues[0][0] - self._clock()) if self._dues else None

    def flush_due(self) -> list[Update]:
        """Give what has been held for as long as it may be."""
        if not self._dues:
            return []
        now = self._clock()
        return self._hand_out(self._take_due(now), now)

    def flush(self) -> list[Update]:
        """Give all that is held."""
        return self._hand_out(self._take_all(), self._clock()) if self._held else []

    def _hold(self, slot: Slot, update: Delta, due: float) -> None:
        self._count += 1
        self._held[slot] = _Held(update)
        heapq.heappush(self._dues, (due, self._count, slot))

    def _take_all(self) -> list[Slot]:
        self._dues.clear()
        return list(self._held)

    def _take_due(self, now: float) -> list[Slot]:
        taken: list[tuple[int, Slot]] = []
        while self._dues and self._dues[0][0] <= now:
            taken.append(heapq.heappop(self._dues)[1:])
        return [slot for _, slot in sorted(taken)]

    def _hand_out(self, slots: Iterable[Slot], now: float) -> list[Update]:
        out: list[Update] = []
        for slot in slots:
            out += self._held.pop(slot).read()
            self._quiet_at[slot] = now + self._interval
        return out


def coalescing(min_interval: float | None, clock: Callable[[], float]) -> Coalescer | None:
    """Return a `Coalescer` where there is an interval, None where every delta is to go out as it comes."""
    return None if min_interval is None else Coalescer(min_interval, clock)


class _Held:
    """The fragments of one slot that wait: one update as it is, or the fold of several."""

    __slots__ = ("_last", "_root", "_tool_call_id", "_whole")

    def __init__(self, update: Delta) -> None:
        self._whole: list[Update] = []
        self._last = update
        self._root: Object | None = None
        self._tool_call_id = _tool_call_id(update)

    def add(self, update: Delta) -> None:
        """Merge the next fragment; what does not go together comes out one after the other instead."""
        try:
            root = self._root or _fold(Object(), self._last)
            self._root = _fold(root, update)
        except Misfit:
            self._whole.append(self._merged())
            self._root = None
        self._last = update
        if self._tool_call_id is None:
            self._tool_call_id = _tool_call_id(update)

    def read(self) -> list[Update]:
        """Return what there is: one update, but where fragments did not go together."""
        return [*self._whole, self._merged()]

    def _merged(self) -> Delta:
        last = self._last
        if self._root is None:
            return last
        json = cast("dict[str, object]", _with_indexes(self._root))
        if isinstance(last, ContentDelta):
            return ContentDelta(last.event_number, last.message_id, last.index, wrap_content_delta(json))
        view = wrap_tool_call_delta(json)
        return ToolCallDelta(last.event_number, last.step_id, last.index, self._tool_call_id, view)


def _slot(update: Update) -> Slot | None:
    """Return what a delta may be merged in, None for anything that is not to be held."""
    if isinstance(update, ToolCallDelta) and update.index is not None:
        return ToolCallDelta, update.step_id, update.index
    if isinstance(update, ContentDelta) and update.index is not None:
        return ContentDelta, update.message_id, update.index
    return None


def _tool_call_id(update: Delta) -> str | None:
    return update.tool_call_id if isinstance(update, ToolCallDelta) else None


def _fold(root: Object, update: Delta) -> Object:
    """Merge a fragment into a slot, or raise `Misfit` with nothing merged.

    Faults are no news: the accumulator found those that matter, and an event with a problem is not merged. What is left
    are conflicts that it has reported before, where the first value stays.
    """
    fold_delta(root, cast("dict[str, Json]", update.delta.to_dict()), _shape(update), None)
    return root


def _shape(update: Delta) -> Shape:
    return _CALL if isinstance(update, ToolCallDelta) else _PART


def _with_indexes(node: Node) -> Json:
    """Return a node as a delta says it: the entries of keyed lists with their `index`."""
    if isinstance(node, Text):
        return node.read()
    if isinstance(node, Object):
        return {key: _with_indexes(value) for key, value in node.fields.items()}
    if isinstance(node, Keyed):
        return [{"index": entry.index, **_fields(entry)} for entry in node.ordered()]
    return node


def _fields(entry: Object) -> dict[str, Json]:
    return cast("dict[str, Json]", _with_indexes(entry))
