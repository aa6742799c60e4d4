"""What the layer of recordings does for the sources: it opens files, and records what passes.

That layer is above this one. It registers its functions here when a public name of the package is first used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

import msgspec


class BodyRecorder(Protocol):
    """A recorder, which takes one body after the other: `accumulator.Recorder` is one."""

    def record(self, source: object, /) -> object:
        """Return a source that is read without `await`, and writes what passes."""

    def arecord(self, source: object, /) -> object:
        """Return a source that is read with `await`, and writes what passes."""


RecordTo: TypeAlias = "str | os.PathLike[str] | BodyRecorder | None"
"""Where to record: a new file, a recorder, or nowhere."""


class Layer(msgspec.Struct, frozen=True):
    """The functions of the layer of recordings.

    Attributes:
        open_path: returns the recording in a file.
        open_recorder: returns the recorder of a new file within a context, or the one that is given.
        record: returns a source that writes what passes. It takes the source, where to record, and the name of the
            function that reads without `await`, and of its async version.
        arecord: the same for a source that is read with `await`.

    """

    open_path: Callable[[os.PathLike[str]], object]
    open_recorder: Callable[[object], AbstractContextManager[BodyRecorder]]
    record: Callable[[object, object, str, str], object]
    arecord: Callable[[object, object, str, str], object]


_layers: list[Layer] = []


def register(layer: Layer) -> None:
    """Make the layer the one whose functions are called."""
    _layers.append(layer)


def open_path(path: os.PathLike[str]) -> object:
    """Return the recording in a file. Raise `OSError` or `RecordingError` if there is none."""
    return _layers[-1].open_path(path)


def open_recorder(to: RecordTo) -> AbstractContextManager[BodyRecorder | None]:
    """Return a context with the recorder, which is closed behind it if it is made here."""
    return nullcontext() if to is None else _layers[-1].open_recorder(to)


def recorded(source: object, to: RecordTo, name: str, async_name: str) -> object:
    """Return a source for the function `name` that records what passes, or the source itself if `to` is None."""
    return source if to is None else _layers[-1].record(source, to, name, async_name)


def arecorded(source: object, to: RecordTo, name: str, sync_name: str) -> object:
    """Return what `recorded` returns, for a source that is read with `await`."""
    return source if to is None else _layers[-1].arecord(source, to, name, sync_name)
