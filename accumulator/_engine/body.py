"""What is known of one HTTP body: what it said between its first event and its end, and what of it is pending."""

from __future__ import annotations

import msgspec

_FINAL = frozenset({"completed", "incomplete", "failed", "cancelled", "expired", "requires_action"})
"""The statuses of a run that a body can end with: those that nothing follows, and the one that waits for the user."""


class Body(msgspec.Struct):
    """What one HTTP body has said: the run's last status in it, its error, and how it ended."""

    began: bool = False
    ended: bool = False
    done: bool = False
    broken: bool = False
    status: str | None = None
    error: dict[str, object] | None = None

    @property
    def outcome(self) -> str | None:
        """Return None while it is open; then what decides first: the source broke, an error, a final status, `done`."""
        if not self.ended:
            return None
        if self.broken:
            return "truncated"
        if self.error is not None:
            return "error"
        if self.status in _FINAL:
            return self.status
        return "unknown" if self.done else "truncated"


class BodyEnded(msgspec.Struct, frozen=True, gc=False):
    """A body ended. One update per body, its last.

    Attributes:
        event_number: the number of events before it, in all bodies; 0 if there was none.
        outcome: how the run stands: "completed", "requires_action", "error", "truncated" and so on.
        open: ids of what is not complete: run steps, then messages, each in order of first sight.

    """

    event_number: int
    outcome: str
    open: tuple[str, ...]


class Pending(msgspec.Struct):
    """An event that came and is not applied yet; `torn` if the blank line after it did not come."""

    name: str
    data: str | bytes
    torn: bool = False
