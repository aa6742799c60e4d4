"""Capture a run while it is shown, and play it again without a server: at once, or at the pace it had or faster.

    with httpx.Client(timeout=None) as client:
        capture(client, runs_url, {"assistant_id": "asst_1", "stream": True}, "run.txt")
    play("run.txt", speed=2)

What was captured is whole also where the run was cut. `accumulator show run.txt` shows it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from accumulator import accumulate, connect, replay

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from accumulator import Accumulator, RunStream


def capture(client: httpx.Client, url: str, request: object, path: str | Path) -> Accumulator:
    """Start a run, and write what the server sends to a new file while its text is shown."""
    with connect(client, "POST", url, json=request, record=path) as stream:
        return show(stream)


def play(path: str | Path, *, speed: float | None = None) -> Accumulator:
    """Show the text of a captured run: at once, or so many times as fast as it came."""
    return show(accumulate(replay(path, speed)))


def show(stream: RunStream) -> Accumulator:
    for text in stream.text_deltas():
        sys.stdout.write(text)
        sys.stdout.flush()
    return stream.accumulator
