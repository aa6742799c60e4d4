"""Keep each kind of failure once, with the smallest input found for it."""

from __future__ import annotations

import hashlib
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_TRIES = 3_000
"""How often a target is run to make an input smaller."""


def kind_of(error: Exception) -> str:
    """Name a failure by its exception and the innermost place in the code; the input is not part of it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}: {error if last.name == 'expect' else ''}".rstrip(": ")


def failure(target: Callable[[bytes], None], data: bytes) -> Exception | None:
    """Run a target, and return what it raised."""
    try:
        target(data)
    except Exception as error:  # noqa: BLE001 - that is the finding
        return error
    return None


def shrink(target: Callable[[bytes], None], data: bytes, kind: str) -> bytes:
    """Leave out pieces, the long ones first, while the target fails in the same way."""
    tries, size = 0, len(data) // 2
    while size and tries < MAX_TRIES:
        at = 0
        while at < len(data) and tries < MAX_TRIES:
            shorter, tries = data[:at] + data[at + size :], tries + 1
            error = failure(target, shorter)
            if error is not None and kind_of(error) == kind:
                data = shorter
            else:
                at += size
        size //= 2
    return data


class Findings:
    """The findings of one target, in a folder: the input, and beside it what was raised."""

    def __init__(self, folder: Path, name: str, target: Callable[[bytes], None]) -> None:
        """Start without findings of before."""
        self._folder = folder
        self._name = name
        self._target = target
        self._kinds = set[str]()

    def run(self, data: bytes) -> None:
        """Run the target, and keep a failure of a kind that is new."""
        error = failure(self._target, data)
        if error is None or (kind := kind_of(error)) in self._kinds:
            return
        self._kinds.add(kind)
        smallest = shrink(self._target, data, kind)
        path = self._folder / f"{self._name}-{hashlib.sha256(smallest).hexdigest()[:12]}"
        path.write_bytes(smallest)
        raised = failure(self._target, smallest) or error
        told = "".join(traceback.format_exception(raised))
        path.with_suffix(".txt").write_text(f"{kind}\n\n{told}", encoding="utf-8")
