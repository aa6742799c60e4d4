"""One HTTP body: what it said between its first event and its end, and the outcome that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Said: TypeAlias = Literal["broken", "error", "final status", "done", "always"]
"""What decides the outcome of a body.

broken: its source raised.
error: it had an error event.
final status: the last status that it said is one that a body can end with.
done: it had the mark of its end.
always: true of every body; it comes last.
"""


class Body(msgspec.Struct):
    """What one body has said so far.

    Attributes:
        began: whether it had an event, or ended.
        ended: whether it has ended.
        done: whether it had the mark of its end.
        broken: whether its source raised.
        status: the last status that it said.
        error: its error.

    """

    began: bool = False
    ended: bool = False
    done: bool = False
    broken: bool = False
    status: str | None = None
    error: dict[str, object] | None = None

    def outcome(self, order: Sequence[tuple[Said, str | None]], final: Collection[str]) -> str | None:
        """Return the outcome, None while the body is open.

        Args:
            order: what decides, in order, and the outcome that it gives; None stands for the status.
            final: the statuses that a body can end with.

        """
        if not self.ended:
            return None
        said: dict[Said, bool] = {
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
        event_number: the number of events in all bodies so far, 0 before any.
        outcome: how the run stands: "completed", "requires_action", "error", "truncated" and so on.
        open: ids of what no ending came for, or for a part of it: of run steps, then of messages, each in order of
            first sight.

    """

    event_number: int
    outcome: str
    open: tuple[str, ...]
