"""A clock that tests set, for what asks for the time."""

from __future__ import annotations


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
