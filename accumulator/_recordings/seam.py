"""Register this layer with the sources: `accumulate` reads files by it, `connect` and `tap` record by it.

The rest of the layer is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._streams.recordings import Layer, register

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    from accumulator._streams.recordings import BodyRecorder


def _open_path(path: os.PathLike[str]) -> object:
    from accumulator._recordings.recordings import find_recording

    return find_recording(path)


def _open_recorder(to: object) -> AbstractContextManager[BodyRecorder]:
    from accumulator._recordings.recorder import open_recorder

    return open_recorder(to)


def _record(source: object, to: object, name: str, async_name: str) -> object:
    from accumulator._recordings.recorder import record_for

    return record_for(source, to, name, async_name)


def _arecord(source: object, to: object, name: str, sync_name: str) -> object:
    from accumulator._recordings.recorder import arecord_for

    return arecord_for(source, to, name, sync_name)


register(Layer(_open_path, _open_recorder, _record, _arecord))
