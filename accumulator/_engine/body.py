"""One HTTP body: what happened between its first event and its end, and the outcome that follows from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

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
        status: the last status of the run in it.
        error: the first error in it.

    """

    began: bool = False
    ended: bool = False
    done: bool = False
    broken: bool = False
    status: str | None = None
    error: dict[str, object] | None = None

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


class BodyEnded(msgspec.Struct, frozen=True, gc=False):
    """A body ended. Handed out once per body, last.

    Attributes:
        event_number: the number of events in all bodies so far; 0 before any.
        outcome: how the body ended, such as "completed", "requires_action", "error" or "truncated".
        open: ids of the objects that have not ended, or that have a part that has not: for Assistants, of run steps and
            then of messages, each in order of first sight.

    """

    event_number: int
    outcome: str
    open: tuple[str, ...]
