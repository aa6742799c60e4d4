"""When a request is sent again: by stamina, with a number of attempts and a total time that the caller gives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from accumulator._errors import ResponseError
from accumulator._streams.deadlines import check_clock, check_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

DEFAULT_ATTEMPTS: Final = 5
"""How often a request is sent. openai-python sends it three times, azure-core up to eleven times."""

DEFAULT_TOTAL_TIMEOUT: Final = 60.0
"""The seconds for one request with all its attempts. A page comes in less than one; a rate limit lifts in a minute."""

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 5.0
"""The seconds of the first wait and of the longest. Each is about twice the last. A server may ask for another."""

TOO_MANY_REQUESTS: Final = 429
SERVER_ERROR: Final = 500

_TRANSIENT: Final = frozenset({"NetworkError", "TimeoutException", "RemoteProtocolError"})
"""The names of the exceptions of httpx and httpx2 after which the same request may succeed."""


class Retrying(Protocol):
    """What stamina makes: the attempts, for `for` and for `async for`."""

    def __iter__(self) -> Iterator[AbstractContextManager[None]]:
        """Iterate over the attempts."""
        ...

    def __aiter__(self) -> AsyncIterator[AbstractContextManager[None]]:
        """Iterate over the attempts with `await`."""
        ...


class Retries:
    """The bounds on the attempts of requests.

    Attributes:
        clock: returns seconds and never goes back.

    """

    def __init__(self, attempts: int, total_timeout: float, clock: Callable[[], float]) -> None:
        """Check the bounds, and that stamina is there.

        Raises:
            ImportError: stamina is not installed.
            TypeError: a bound is no number, or the clock cannot be called.
            ValueError: a bound is not more than 0, or not finite.

        """
        if isinstance(attempts, bool) or not isinstance(attempts, int):
            raise TypeError(f"expected attempts to be a number, got {type(attempts).__name__}")
        if attempts < 1:
            raise ValueError(f"expected attempts to be 1 or more, got {attempts}")
        self._attempts = attempts
        self._total = check_seconds("total_timeout", total_timeout)
        self.clock = check_clock(clock)
        _import_stamina()

    def deadline(self) -> float:
        """Return when the total time ends that begins now."""
        return self.clock() + self._total

    def left(self, deadline: float) -> float:
        """Return the seconds until a deadline, 0 behind it."""
        return max(0.0, deadline - self.clock())

    def expiry(self, deadline: float) -> Callable[[], bool]:
        """Return a function that says whether a deadline has passed."""
        return lambda: self.clock() > deadline

    def attempts(self, deadline: float) -> Retrying:
        """Return the attempts of one request.

        All waits of stamina's own choice together fit into the time that is left.
        """
        longest = min(LONGEST_WAIT, self.left(deadline) / self._attempts)
        stamina = _import_stamina()
        return stamina(
            on=partial(self._decide, deadline, longest),
            attempts=self._attempts,
            timeout=None,
            wait_initial=min(FIRST_WAIT, longest),
            wait_max=longest,
            wait_jitter=min(FIRST_WAIT, longest),
        )

    def _decide(self, deadline: float, longest: float, error: Exception) -> bool | float:
        """Return whether to send a request again, or the seconds to wait before."""
        return decide(error, deadline - self.clock(), longest)


def decide(error: Exception, left: float, longest: float) -> bool | float:
    """Return whether to send a request again after an error, or the seconds that the server asks to wait before.

    Args:
        error: the error.
        left: the seconds that are left. A server that asks for more gets no other request.
        longest: the seconds of the longest wait if it does not ask.

    """
    names = {cls.__name__ for cls in type(error).__mro__}
    if not isinstance(error, ResponseError):
        return left > longest and (isinstance(error, ConnectionError) or not names.isdisjoint(_TRANSIENT))
    status = error.status or 0
    if status != TOO_MANY_REQUESTS and status < SERVER_ERROR:
        return False
    if error.retry_after is None:
        return left > longest
    return error.retry_after if error.retry_after < left else False


def _import_stamina() -> Callable[..., Retrying]:
    try:
        from stamina import retry_context
    except ImportError as exc:
        raise ImportError(
            "accumulator.rest needs stamina: pip install 'delta-accumulator[rest]'", name="stamina"
        ) from exc
    return retry_context
