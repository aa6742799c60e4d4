"""Let Ctrl-C wait while something must not be broken off, where the system can: not on Windows."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_CAN_WAIT = hasattr(signal, "pthread_sigmask")


@contextmanager
def held() -> Generator[None]:
    """Raise `KeyboardInterrupt` for a Ctrl-C within the block at its end, or in an `allowed` block within it."""
    with _masked(block=True):
        yield


@contextmanager
def allowed() -> Generator[None]:
    """Raise `KeyboardInterrupt` at once in a part of a `held` block, also for a Ctrl-C before it."""
    with _masked(block=False):
        yield


def take() -> bool:
    """Take the Ctrl-C that waits in a `held` block, so that it is not raised. Return whether there was one."""
    if not _CAN_WAIT or signal.SIGINT not in signal.sigpending():
        return False
    signal.sigwait({signal.SIGINT})
    return True


@contextmanager
def _masked(*, block: bool) -> Generator[None]:
    how = signal.SIG_BLOCK if block else signal.SIG_UNBLOCK
    before = signal.pthread_sigmask(how, {signal.SIGINT}) if _CAN_WAIT else set[signal.Signals]()
    try:
        yield
    finally:
        if _CAN_WAIT:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
