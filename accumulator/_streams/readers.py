"""Refuse a second reader of a stream, so that the first one loses nothing.

A step is a call for the next update, or a drain. The runner of a step is the thread that takes it, or the task of
asyncio. While a step is under way, only its own runner may take another. It does so if the handler, which the step
calls, iterates over the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readers:
    """Knows whether a step of a stream is under way.

    Attributes:
        level: how many steps are under way, each but the first within another. A step of the fast path counts while it
            reads.
        runner: the runner of the last step that was entered.

    """

    def __init__(self, current_runner: Callable[[], object]) -> None:
        """Start without a step.

        Args:
            current_runner: returns the current runner; returns None or raises `RuntimeError` if it is not known.

        """
        self.level = 0
        self.runner: object = None
        self._current_runner = current_runner

    def enter(self, *, in_fast_step: bool = False) -> None:
        """Begin a step: the caller adds 1 to `level`, and takes it back at the end, also after an exception.

        Args:
            in_fast_step: whether a step has taken the fast path for itself. At level 0 that is a step of the fast path
                that does not read. It runs no code of the user, so a step that begins meanwhile is another reader's.

        Raises:
            RuntimeError: another runner's step is under way, or the runner is not known and any step is.

        """
        try:
            runner = self._current_runner()
        except RuntimeError:  # no event loop of asyncio runs
            runner = None
        if (in_fast_step and not self.level) or (self.level and (runner is None or runner != self.runner)):
            raise RuntimeError("expected one reader of a stream at a time, got a second one while the first reads")
        self.runner = runner
