"""A server that plays recordings to real clients, as an ASGI app or on a port. It needs the extra `server`.

`replay_app` makes the app, `ReplayServer` runs an app on a port of this machine, `Faults` says what the app does wrong.
Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import os
import time
from itertools import groupby
from typing import TYPE_CHECKING, cast

from accumulator import Recording, areplay, open_recordings
from accumulator._server.app import make_app
from accumulator._server.faults import NO_FAULTS, Faults, with_faults
from accumulator._server.serving import ReplayServer
from accumulator._streams.deadlines import check_clock, check_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator

    from starlette.applications import Starlette

    from accumulator import RecordedBody

__all__ = ["Faults", "ReplayServer", "replay_app"]


def replay_app(  # noqa: PLR0913 - one for each thing that tests set
    recordings: Iterable[str | os.PathLike[str] | Recording],
    *,
    by_run: bool = False,
    speed: float | None = None,
    faults: Faults = NO_FAULTS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Starlette:
    """Return an ASGI app that answers as the server of some recordings did.

    A request that begins a run, or goes on with it, gets the next body: `stream: true` plays it, anything else answers
    the run as it is at the end of the body. All other answers are derived from the recording: they say what the body
    that began last says at its end. The prefix of a path is ignored.

    Each recording is folded at once, for its ids. The files are read again when they are played.

    Args:
        recordings: what `open_recordings` takes, or what it yields.
        by_run: choose the body by the ids in the request, as often as it comes, in place of the order of requests. See
            `accumulator serve --help`.
        speed: how many times as fast as recorded; None for at once.
        faults: what goes wrong.
        clock: returns seconds, and never goes back.
        sleep: waits for a number of seconds.

    Raises:
        RecordingError: a file has no recording, or there is none.
        LimitError: a recording is over a limit.
        TypeError: `recordings` is one path or one recording.

    """
    if isinstance(recordings, (str, bytes, os.PathLike, Recording)):
        raise TypeError(f"expected a list of recordings, got one {type(recordings).__name__}: put it in a list")
    rate = None if speed is None else check_seconds("speed", speed)
    check_clock(clock)

    def play(body: RecordedBody) -> AsyncGenerator[bytes]:
        chunks = areplay(Recording("", None, [body]), rate, clock=clock, sleep=sleep)
        return with_faults(aiter(chunks), faults, sleep)

    return make_app(_open(recordings), play, by_run=by_run, faults=faults)


def _open(recordings: Iterable[str | os.PathLike[str] | Recording]) -> Iterator[Recording]:
    """Yield the recordings in their order; bodies of paths that follow each other are joined."""
    found = False
    for opened, group in groupby(recordings, lambda each: isinstance(each, Recording)):
        found = True
        if opened:
            yield from cast("Iterable[Recording]", group)
        else:
            yield from open_recordings(*cast("Iterable[str]", group))
    if not found:
        yield from open_recordings()  # raises
