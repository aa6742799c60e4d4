"""One HTTP body: what happened between its first event and its end, and the outcome that follows from that."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as _Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, overload

import msgspec

from accumulator._model import Record, read_count, read_text, read_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Condition: TypeAlias = Literal["broken", "error", "final status", "done", "always"]
"""A condition that decides the outcome of a body.

broken: the source raised.
error: an error event arrived.
final status: the last status is one that a body can end with.
done: the mark of the end arrived.
always: holds for every body. It is the last of a protocol's conditions.
"""

TRUNCATED: Final = "truncated"
"""The outcome of a body that was cut short, in every protocol: streams raise `TruncatedError` for it."""


class Body(msgspec.Struct):
    """What happened in one body so far.

    Attributes:
        began: whether an event arrived, or the body ended without any.
        ended: whether it has ended.
        done: whether the mark of its end arrived.
        broken: whether its source raised.
        status: the last status of its run in it.
        error: the first error in it.
        run: the id of its run: the run that it names first or, until it names one, the run that waited for it. None if
            no event has said an id.
        named: whether it has named its run.

    """

    began: bool = False
    ended: bool = False
    done: bool = False
    broken: bool = False
    status: str | None = None
    error: dict[str, object] | None = None
    run: str | None = None
    named: bool = False

    def outcome(self, order: Sequence[tuple[Condition, str | None]], final: Collection[str]) -> str | None:
        """Return the outcome, None while the body is open.

        Args:
            order: pairs of a condition and an outcome; the first condition that holds decides. The outcome None stands
                for the status.
            final: the statuses that a body can end with.

        """
        if not self.ended:
            return None
        said: dict[Condition, bool] = {
            "broken": self.broken,
            "error": self.error is not None,
            "final status": self.status in final,
            "done": self.done,
            "always": True,
        }
        return next(outcome or self.status for what, outcome in order if said[what])


Turn: TypeAlias = tuple[tuple[int, int], str, bool]
"""An object that opened or closed: its place in the order of `BodyEnded.open`, its id, and whether it opened."""

SPARE_TURNS: Final = 64
"""Turns that a list may have beside two for each object that is open, before a shorter one takes its place."""


class OpenIds(_Sequence[str]):
    """The ids of what was open when a body ended. It never changes.

    It equals the tuple of the same ids, has its hash and its `repr`, and pickles as one. It shares a list of what
    opened and closed with others of its kind, so that it costs the same however many are open. The ids are found when
    it is first read; that costs a sort of them.
    """

    __slots__ = ("_count", "_ids", "_turns")

    def __init__(self, turns: list[Turn], count: int) -> None:
        """Take what the first turns of a list leave open. Later ones are added behind them only."""
        self._turns = turns
        self._count = count
        self._ids: tuple[str, ...] | None = None

    def _read(self) -> tuple[str, ...]:
        turns = self._turns  # before the ids are looked for: another thread may just have found them
        if self._ids is None:
            left: dict[tuple[int, int], str] = {}
            for place, ident, opened in islice(turns, self._count):
                if opened:
                    left[place] = ident
                else:
                    del left[place]
            self._ids = tuple(left[place] for place in sorted(left))
            self._turns = []
        return self._ids

    def __len__(self) -> int:
        return len(self._read())

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._read()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (OpenIds, tuple)):
            return NotImplemented
        return self._read() == (other._read() if isinstance(other, OpenIds) else other)

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def __reduce__(self) -> tuple[object, ...]:
        return tuple, (self._read(),)


class BodyEnded(Record, frozen=True, gc=False):
    """A body ended. Handed out once per body, last.

    Attributes:
        event_number: the number of events in all bodies so far; 0 before any.
        outcome: how the body ended, such as "completed", "requires_action", "error" or "truncated".
        open: ids of the objects that have not ended, or that have a part that has not: for Assistants, of run steps and
            then of messages, each in order of first sight. A sequence that compares like a tuple; `to_dict` has it as a
            list. The ids are collected and sorted when it is first read.

    """

    _readers = {"event_number": read_count, "outcome": read_text, "open": read_texts}  # noqa: RUF012 - no field

    event_number: int
    outcome: str
    open: _Sequence[str]
