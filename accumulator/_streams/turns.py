"""Give the event loop turns while a stream has work, so that other tasks do not wait for it.

An update that is ready is handed out without a wait, and so is the next. A source that never waits would keep the event
loop to itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 0.002
"""The seconds after which a stream with work looks whether the loop had a turn since the last look.

If not, it gives one. So another task waits for about two such periods at most.
"""


def in_asyncio() -> bool:
    """Return whether an asyncio task runs."""
    import asyncio

    try:
        return asyncio.current_task() is not None
    except RuntimeError:  # no event loop runs
        return False


async def give_turn() -> None:
    """Give the asyncio loop a turn. Without asyncio do nothing."""
    if in_asyncio():
        import asyncio

        await asyncio.sleep(0)


class Turns:
    """Waits for one turn of the asyncio loop if it had none for a while. Without asyncio it does nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start as if the loop had a turn just now. `clock` returns seconds and never goes back."""
        self._clock = clock
        self._looked = clock()
        self._had_turn = False  # whether the loop had a turn since the last look

    @property
    def due(self) -> bool:
        """Whether it is time for `give`. The cost is that of a look at the clock."""
        return self._clock() - self._looked >= _SECONDS

    async def give(self) -> None:
        """Give the loop a turn, unless it had one since the last call."""
        if in_asyncio():
            import asyncio

            if not self._had_turn:
                await asyncio.sleep(0)
            self._had_turn = False
            asyncio.get_running_loop().call_soon(self._note)
        self._looked = self._clock()

    def _note(self) -> None:
        self._had_turn = True
