"""What a piece of work costs, in calls: it is the same in every run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def calls_made(work: Callable[[], object]) -> int:
    """Count the calls of Python and built-in functions that something makes."""
    count = 0

    def tally(frame: FrameType, kind: str, argument: object) -> None:  # noqa: ARG001 - what a profiler is called with
        nonlocal count
        count += kind in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
