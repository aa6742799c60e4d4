"""The deadlines of an async loop, and the checks of the seconds and clocks that a user gives.

Time counts only while the loop waits for the source. What the handler and the caller's own code take does not count.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_IDLE, _TOTAL = "idle_timeout", "total_timeout"


class Deadlines:
    """The seconds that a loop may still wait for its source.

    Attributes:
        clock: returns seconds since any fixed moment, and never goes back.
        passed: the error of the deadline that passed; None before.

    """

    def __init__(self, limits: dict[str, float], clock: Callable[[], float]) -> None:
        """Start with nothing waited. `limits` has the seconds of each deadline by its name."""
        self.clock = clock
        self.passed: TimeoutError | None = None
        self._limits = limits
        self._waited = dict.fromkeys(limits, 0.0)
        self._events = 0

    def next(self) -> tuple[str, float]:
        """Return the name of the deadline that passes first, and the seconds until then, 0 or more."""
        left, name = min((limit - self._waited[name], name) for name, limit in self._limits.items())
        return name, max(left, 0.0)

    def add(self, seconds: float) -> None:
        """Count seconds that the loop waited."""
        for name in self._waited:
            self._waited[name] += seconds

    def count_events(self, number: int) -> None:
        """Begin the wait for the next event if the number of events so far has changed."""
        if number != self._events and _IDLE in self._waited:
            self._waited[_IDLE] = 0.0
        self._events = number

    def expire(self, name: str) -> TimeoutError:
        """Return the error of a deadline that passed."""
        waited_for = "an event" if name == _IDLE else "the end"
        self.passed = TimeoutError(f"{waited_for} did not come within {self._limits[name]} seconds ({name})")
        return self.passed


def make_deadlines(
    idle_timeout: float | None, total_timeout: float | None, clock: Callable[[], float]
) -> Deadlines | None:
    """Return the `Deadlines`, or None if neither is given.

    Raises:
        TypeError: a deadline is not a number, or the clock cannot be called.
        ValueError: a deadline is not more than 0, or not finite.

    """
    given = {_IDLE: idle_timeout, _TOTAL: total_timeout}
    limits = {name: check_seconds(name, seconds) for name, seconds in given.items() if seconds is not None}
    return Deadlines(limits, check_clock(clock)) if limits else None


def check_seconds(name: str, seconds: float) -> float:
    """Return a number of seconds as a float. Raise `TypeError` or `ValueError` unless it is more than 0 and finite."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"expected {name} to be a number of seconds, got {type(seconds).__name__}")
    if not 0 < seconds <= sys.float_info.max:
        raise ValueError(f"expected {name} to be more than 0 seconds and finite, got {seconds!r:.40}")
    return float(seconds)


def check_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a clock. Raise `TypeError` if it cannot be called."""
    if not callable(clock):
        raise TypeError(f"expected clock to be callable, got {type(clock).__name__}")
    return clock
