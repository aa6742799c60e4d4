"""Find the event streams in files of any known format, and join the bodies of a run."""

from __future__ import annotations

import glob
import os
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.updates import (
    ErrorReceived,
    MessageCreated,
    Problem,
    RequiresAction,
    RunStepCreated,
    RunUpdated,
    UnknownEvent,
)
from accumulator._engine.body import BodyEnded
from accumulator._errors import AccumulatorError, RecordingError
from accumulator._recordings.files import is_unpacked, open_unwrapped
from accumulator._recordings.folders import files_in
from accumulator._recordings.format import LONGEST_LINE, Began, Ended, Fault, RecordedChunk, RecordingReader
from accumulator._recordings.formats import RECORDING, START_SIZE, find_stream_format, read_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence

    from accumulator._assistants.updates import Update
    from accumulator._recordings.format import Item
    from accumulator._recordings.stored import StoredBody

READ_SIZE: Final = 65_536
"""The bytes of a chunk of a file that has no cuts."""

_LOOK_SIZE: Final = 1_024
_MOST_LOOKED_AT: Final = 262_144
"""The bytes at the beginning of a body in which the id of its run is looked for."""

_BEGINS_A_RUN: Final = b"thread.run.created"
_MOST_BEGUN: Final = 100_000
"""The runs of an event stream, among the last, of which one is found that begins again."""

_BODY: Final = b":~ body "
_DONE: Final = (b"data: [DONE]", b"data:[DONE]")
_DONE_NAMES: Final = (b"event: done", b"event:done")


class _Place(NamedTuple):
    """Where a body is in a stream: from byte `start` up to `end`, None for the end of the file."""

    start: int
    end: int | None


class RecordedBody:
    """A body of a recording: what one HTTP response sent.

    Attributes:
        response: what the file says of the response: `url`, `method`, `status`, `type`, `request_id`, `recorded_at`,
            each only where it is known.
        times: whether the file has the times at which the chunks arrived.
        faults: where the file is not as its format says, once `chunks` was read to the end.
        why: why the body ended, once `chunks` was read to the end: "done", "eof", "broken", "closed" or "torn". None if
            that is not known, or if the file was cut within the body.

    """

    def __init__(self, response: Mapping[str, object], read: Callable[[list[Item]], Iterator[RecordedChunk]]) -> None:
        """Store what is known; nothing is read until `chunks`."""
        self.response = response
        self.times = False
        self.faults: list[str] = []
        self.why: str | None = None
        self._read = read

    def chunks(self) -> Iterator[RecordedChunk]:
        """Yield the chunks with their times: as they arrived in a recording of this library, else as they are read.

        Raises:
            OSError: the file cannot be read.
            RecordingError: the file changed, and cannot be read as what it was any more.

        """
        others: list[Item] = []
        yield from self._read(others)
        self.faults = [item.message for item in others if isinstance(item, Fault)]
        self.why = next((item.why for item in others if isinstance(item, Ended)), None)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks():
            yield chunk.data


class Recording:
    """The bodies of a run that were found in files; `open_recordings` yields it. It is a source for `accumulate`.

    Nothing of a stream is held in memory: each iteration reads the files.

    Attributes:
        name: the path of the first file, with `#2` behind it for the second run in it, and so on.
        run_id: the id of the run, None if no event named it.
        bodies: the bodies in order.

    """

    def __init__(self, name: str, run_id: str | None, bodies: Iterable[RecordedBody]) -> None:
        """Store the arguments."""
        self.name = name
        self.run_id = run_id
        self.bodies: tuple[RecordedBody, ...] = tuple(bodies)

    @property
    def times(self) -> bool:
        """Whether all bodies have the times at which the chunks arrived."""
        return all(body.times for body in self.bodies)

    def __iter__(self) -> Iterator[bytes]:
        for body in self.bodies:
            yield from body

    def iter_bodies(self) -> Iterator[Iterator[bytes]]:
        """Yield an iterator of the chunks of each body."""
        return map(iter, self.bodies)

    async def aiter_bodies(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield an async iterator of the chunks of each body. The files are read without `await`."""
        for body in self.bodies:
            yield _achunks(body)

    def __repr__(self) -> str:
        bodies = f"{len(self.bodies)} bod{'y' if len(self.bodies) == 1 else 'ies'}"
        return f"<Recording {self.name!r}: run {self.run_id}, {bodies}>"


async def _achunks(body: RecordedBody) -> AsyncIterator[bytes]:
    for chunk in body:
        yield chunk


def open_recordings(*paths: str | os.PathLike[str], apart: bool = False) -> Iterator[Recording]:
    """Find the event streams in files, folders and globs, and yield a recording for each run.

    The formats are told apart by content: recordings of this library, event streams, also in gzip, zstd or UTF-16, JSON
    lines of events, cassettes of vcrpy, VCR and Betamax, HAR files, session records of the Azure test proxy, answers
    and traces of curl, and other text with events in it.

    A body that begins a run begins a recording. A body that goes on with a run, as after its tool outputs, joins the
    last recording of that run, also of another file. All files are looked through before the first recording is
    yielded; then each is read when its recording is.

    Args:
        paths: files, folders, which are looked through at any depth, and patterns such as `runs/**/*.sse`.
        apart: whether bodies of different files are never joined.

    Raises:
        RecordingError: files cannot be read, or there is none. It is raised after the last recording; `files` says for
            each of them what it looks like.

    """
    failed: dict[str, str] = {}
    found: list[_Run] = []
    last: dict[str, _Run] = {}
    for path in _find_files(paths, failed):
        try:
            bodies = _StoredFile(path).bodies()
        except (OSError, RecordingError) as error:
            failed[path] = str(error.strerror or error) if isinstance(error, OSError) else str(error)
            continue
        found += _join(path, bodies, {} if apart else last)
    last.clear()
    found.reverse()
    while found:
        yield found.pop().recording()
    if failed or not paths:
        raise _failure(failed)


def _failure(failed: Mapping[str, str]) -> RecordingError:
    if not failed:
        return RecordingError("expected the path of a recording, got none")
    (path, reason), *others = failed.items()
    more = f" (and {len(others)} other file{'' if len(others) == 1 else 's'})" if others else ""
    return RecordingError(f"{path}: expected a recording, got {reason}{more}", failed)


def find_recording(path: str | os.PathLike[str]) -> Recording:
    """Return all bodies of a file, in their order, as one recording.

    Raises:
        OSError: the file cannot be read.
        RecordingError: the file has no event stream in a known format, or a run begins in it more than once: its
            recordings would be folded into one.

    """
    found = find_recordings(path)
    if len(found) > 1:
        name, reason = os.fspath(path), f"{len(found)} in one file: open_recordings yields each"
        raise RecordingError(f"{name}: expected one recording of a run, got {reason}", {name: reason})
    return found[0]


def find_recordings(path: str | os.PathLike[str]) -> list[Recording]:
    """Return what `open_recordings` yields if a run begins more than once in a file, else one recording of all bodies.

    Raises:
        OSError: the file cannot be read.
        RecordingError: the file has no event stream in a known format.

    """
    name = os.fspath(path)
    try:
        bodies = _StoredFile(name).bodies(whole=True)
    except RecordingError as error:
        raise RecordingError(f"{name}: expected a recording, got {error}", {name: str(error)}) from error
    runs = _join(name, bodies, {})
    ids = [run.run_id for run in runs if run.run_id is not None]
    if len(set(ids)) < len(ids):
        return [run.recording() for run in runs]
    return [Recording(name, None, [body.recorded for body in bodies])]


def _find_files(paths: Iterable[str | os.PathLike[str]], failed: dict[str, str]) -> Iterator[str]:
    for path in [os.fspath(each) for each in paths]:
        if os.path.lexists(path) or not glob.has_magic(path):
            yield from _walk(path, failed)
            continue
        matches = sorted(glob.iglob(path, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        if not matches:
            failed[path] = "a pattern that no file matches"
        for match in matches:
            yield from _walk(match, failed)


def _walk(path: str, failed: dict[str, str]) -> Iterator[str]:
    """Yield the path if it is no folder; else the files in it, at any depth, by name, and none that is hidden."""
    if not os.path.isdir(path):  # noqa: PTH112 - as the user wrote it
        yield path
        return
    count, is_empty = len(failed), True

    def told(error: OSError) -> None:
        failed[str(error.filename)] = str(error.strerror or error)

    for each in files_in(path, told):
        is_empty = False
        yield each
    if is_empty and len(failed) == count:
        failed[path] = "a folder without files"


# The runs of the files.


class _Found(NamedTuple):
    """A body that was found.

    Attributes:
        recorded: the body.
        run_id: the id of its run, None if it names none.
        begins: whether it begins the run.
        follows: whether it belongs to the run of the body before it, if it names none.

    """

    recorded: RecordedBody
    run_id: str | None
    begins: bool
    follows: bool


class _Run:
    """A run and its bodies so far. It `began` if a body that begins it is among them."""

    def __init__(self, name: str, run_id: str | None, *, began: bool) -> None:
        self.name = name
        self.run_id = run_id
        self.began = began
        self.bodies: list[RecordedBody] = []

    def recording(self) -> Recording:
        return Recording(self.name, self.run_id, self.bodies)


def _join(path: str, bodies: Sequence[_Found], last: dict[str, _Run]) -> list[_Run]:
    """Add the bodies of a file to the runs that they go on with. Return the runs that they begin.

    Args:
        path: the path of the file.
        bodies: its bodies.
        last: the last run of each id so far, which is changed.

    """
    new: list[_Run] = []
    current: _Run | None = None  # the last run in this file
    for recorded, run_id, begins, follows in bodies:
        known = last.get(run_id) if run_id is not None else current if follows else None
        if known is None or (begins and known.began):
            known = _Run(path if not new else f"{path}#{len(new) + 1}", run_id, began=begins)
            new.append(known)
        if begins and not known.began:  # a body that goes on came first
            known.began = True
            known.bodies.insert(0, recorded)
        else:
            known.bodies.append(recorded)
        current = known
        if run_id is not None:
            last[run_id] = known
    return new


# The bodies of a file.


class _StoredFile:
    """A file and its bodies. What it unpacks to is kept while a body of it is."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._unpacked: BinaryIO | None = None
        self._documents: list[StoredBody] | None = None

    def bodies(self, *, whole: bool = False) -> list[_Found]:
        """Find the bodies; `whole`: a stream whose bodies nothing separates is one, unless a run begins in it again."""
        try:
            bodies = self._bodies(whole=whole)
            return [_look(body, follows=self._documents is None) for body in bodies]
        finally:
            self._documents = None
            # Other files are looked through next. What comes from a pipe cannot be read again.
            if self._unpacked is not None and not whole and os.path.isfile(self._path):  # noqa: PTH113 - as given
                self._unpacked.close()
                self._unpacked = None

    def _bodies(self, *, whole: bool) -> list[RecordedBody]:
        start = next(self._pieces(_Place(0, None)), b"")
        format_ = find_stream_format(start)
        if format_ is None:
            documents = enumerate(self._load())
            return [RecordedBody(body.response, partial(self._read_document, index)) for index, body in documents]
        if format_.name == RECORDING:
            return [
                RecordedBody(response, partial(self._read_recorded, place))
                for response, place in _find_bodies(self._pieces(_Place(0, None)))
            ]
        one = format_.read is not None or (whole and not self._has_run_again())
        places = [_Place(0, None)] if one else _find_streams(self._pieces(_Place(0, None)))
        return [RecordedBody({}, partial(self._read_stream, format_.read, place)) for place in places]

    def _has_run_again(self) -> bool:
        """Whether a run begins more than once in an event stream. Only the ids of the last runs are kept."""
        if not _is_twice_in(_BEGINS_A_RUN, self._pieces(_Place(0, None))):
            return False
        begun: dict[str | None, None] = {}
        for place in _find_streams(self._pieces(_Place(0, None))):
            body = _look(RecordedBody({}, partial(self._read_stream, None, place)), follows=True)
            if body.begins:
                if body.run_id in begun:
                    return True
                begun[body.run_id] = None
                if len(begun) > _MOST_BEGUN:
                    del begun[next(iter(begun))]
        return False

    # The chunks of a body.

    def _read_document(self, index: int, _: list[Item]) -> Iterator[RecordedChunk]:
        documents = self._load()
        if index >= len(documents):
            raise RecordingError(f"{self._path}: expected the file to stay as it was, got another one")
        yield from documents[index].chunks

    def _read_recorded(self, place: _Place, others: list[Item]) -> Iterator[RecordedChunk]:
        reader = RecordingReader()
        for piece in self._pieces(place):
            yield from _chunks(reader.feed(piece), others)
        yield from _chunks(reader.end(), others)

    def _read_stream(
        self, read: Callable[[Iterable[bytes]], Iterator[bytes]] | None, place: _Place, _: list[Item]
    ) -> Iterator[RecordedChunk]:
        pieces = self._pieces(place)
        if read is not None:
            pieces = _gather(read(_lines(pieces)))
        for piece in pieces:
            yield RecordedChunk(None, piece)

    # The bytes of the file.

    def _load(self) -> list[StoredBody]:
        if self._documents is None:
            file = self._open()
            try:
                file.seek(0)
                start = file.read(START_SIZE)
                file.seek(0)
                self._documents = read_document(start, file)
            finally:
                self._close(file)
        return self._documents

    def _pieces(self, place: _Place) -> Iterator[bytes]:
        file, at = self._open(), place.start
        try:
            while place.end is None or at < place.end:
                file.seek(at)  # others may read the same file
                piece = file.read(READ_SIZE if place.end is None else min(READ_SIZE, place.end - at))
                if not piece:
                    return
                at += len(piece)
                yield piece
        finally:
            self._close(file)

    def _open(self) -> BinaryIO:
        if self._unpacked is not None:
            return self._unpacked
        file = open_unwrapped(self._path)
        if is_unpacked(file):
            self._unpacked = file
            weakref.finalize(self, file.close)
        return file

    def _close(self, file: BinaryIO) -> None:
        if file is not self._unpacked:
            file.close()


def _chunks(items: Iterable[Item], others: list[Item]) -> Iterator[RecordedChunk]:
    for item in items:
        if isinstance(item, RecordedChunk):
            yield item
        else:
            others.append(item)


def _look(body: RecordedBody, *, follows: bool) -> _Found:
    """Read the beginning of a body: the id of its run, and whether the body begins it and has times."""
    begins, looked, last = False, 0, b""

    def pieces() -> Iterator[bytes]:
        nonlocal begins, looked, last
        for seconds, data in body.chunks():
            body.times = body.times or seconds is not None
            for at in range(0, len(data), _LOOK_SIZE):
                if looked >= _MOST_LOOKED_AT:
                    return
                piece = data[at : at + _LOOK_SIZE]
                last = last[1 - len(_BEGINS_A_RUN) :] + piece  # it may be cut
                begins = begins or _BEGINS_A_RUN in last
                looked += len(piece)
                yield piece

    run_id, goes_on = find_run(pieces())
    return _Found(body, run_id, begins=begins and run_id is not None and not goes_on, follows=follows)


def find_run(pieces: Iterable[bytes]) -> tuple[str | None, bool]:
    """Return the id of the run that a body is about, and whether the body goes on with it.

    It does if something of the run comes before the run itself. Azure sends the run as created again then.

    Args:
        pieces: the beginning of the body. Not more is read than it takes to find the id.

    Returns:
        The id, None if no event names one; and whether the body goes on with the run.

    """
    run, goes_on = Accumulator(), False
    with suppress(AccumulatorError):  # an event over a limit: told when the body is read
        for piece in pieces:
            for update in run.feed(piece):
                of_run, run_id = _run_of(update)
                if run_id is not None:
                    return run_id, goes_on or not of_run
                goes_on = goes_on or not isinstance(update, (UnknownEvent, Problem, BodyEnded, ErrorReceived))
    return None, goes_on


def _run_of(update: Update) -> tuple[bool, str | None]:
    """Return whether an update is about a run itself, and the id of the run that it names, if it names one."""
    match update:
        case RunUpdated(run=run) | RequiresAction(run=run):
            of_run, run_id = True, run.id
        case RunStepCreated(run_step=step):
            of_run, run_id = False, step.run_id
        case MessageCreated(message=message):
            of_run, run_id = False, message.run_id
        case _:
            of_run, run_id = False, None
    return of_run, run_id if isinstance(run_id, str) else None


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines, each with its end; a very long one in parts."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _is_twice_in(text: bytes, pieces: Iterable[bytes]) -> bool:
    count, last = 0, b""
    for piece in pieces:
        last = last[1 - len(text) :] + piece
        count += last.count(text)
        if count > 1:
            return True
    return False


def _gather(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= READ_SIZE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _find_bodies(pieces: Iterable[bytes]) -> list[tuple[dict[str, object], _Place]]:
    """Return the bodies in a recording of this library: what it says of the response, and the place."""
    found: list[tuple[dict[str, object], int]] = []
    at, in_line = 0, False
    for line in _lines(pieces):
        if not in_line and (line.startswith(_BODY) or not at):
            items = RecordingReader().feed(line)  # raises for another version
            found += [(item.response, at) for item in items if isinstance(item, Began)]
        at += len(line)
        in_line = not line.endswith(b"\n")
    ends = [start for _, start in found[1:]]
    return [(response, _Place(start, end)) for (response, start), end in zip(found, [*ends, None], strict=False)]


def _find_streams(pieces: Iterable[bytes]) -> Iterator[_Place]:
    """Yield the bodies of an event stream: each ends behind `done` and the blank lines that follow it."""
    start = at = 0
    named = ended = False
    for line in _lines(pieces):
        text = line.strip()
        if ended and text:
            yield _Place(start, at)
            start, ended = at, False
        if text in _DONE:
            ended = True
        elif text in _DONE_NAMES:
            named = True
        elif not text and named:
            ended = True
        named = named and bool(text)
        at += len(line)
    yield _Place(start, None)
