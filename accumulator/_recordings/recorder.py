"""Write what passes: the bytes of a source as they arrive, in the recording format.

A recording is written while somebody reads the source. What is read is untouched, and a write that fails does not
disturb the reader: nothing more is written then, and the error says what is missing.
"""

from __future__ import annotations

import os
import re
import stat
import time
import warnings
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from accumulator._errors import RecordingError
from accumulator._recordings.format import FIRST, Began, BodyWriter, RecordingReader, body_line, first_line
from accumulator._streams.deadlines import check_clock
from accumulator._streams.head import read_headers
from accumulator._streams.openers import BYTES_LIKE
from accumulator._streams.sources import make_async_source, make_source
from accumulator._streams.streams import AsyncClosing, Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from accumulator._recordings.format import Why
    from accumulator._streams.sources import AsyncSource, Source

_READ_SIZE: Final = 1_048_576
_TAIL_SIZE: Final = 256
_DONE: Final = re.compile(rb"(?:\A|[\r\n])(?:data: ?\[DONE\]|event: ?done[\r\n]+data:[^\r\n]*)[\r\n]*\Z")
"""The end of a body that ends with `done`."""


class Recorder(Closing):
    """A file that the bodies of one run, or of several, are recorded into, one after the other.

    The file is new and only its owner may read it: mode 0600. It gets one write for each chunk, as soon as the chunk is
    there. No header of the request is written, no cookie, and no query or user of the URL.

    If a write fails, as on a full disk, the bytes still pass, nothing more is written, and `error` says what is
    missing.

    Attributes:
        path: the path of the file.
        bodies: the number of bodies in the file.
        error: what is missing in the file, and why; None if nothing is.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        append: bool = False,
        sync: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the file.

        Args:
            path: the path of the file. A device or pipe is written as it is.
            append: whether the file is a recording that gets further bodies. If it was cut within one, that body ends.
            sync: whether each write waits until the bytes are on the disk.
            clock: returns seconds, and never goes back.

        Raises:
            FileExistsError: there is a file, and `append` is False.
            OSError: the file cannot be created or opened; a symbolic link is not followed.
            RecordingError: with `append`, the file is no recording.
            TypeError: `clock` is not callable.

        """
        # First: a recorder that could not be made is closed too.
        self._descriptor: int | None = None
        self._writer: BodyWriter | None = None
        self.path: str = os.fspath(path)
        self.error: RecordingError | None = None
        self.told: bool = False  # whether somebody was told of the error
        self._clock = check_clock(clock)
        self._sync = sync
        self.bodies: int = 0
        self._began = 0.0
        self._tail = b""
        self._descriptor = _open_existing(self.path) if append else create_file(self.path)
        if append:
            self._continue()
        else:
            self._write(first_line(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")))

    def record(self, source: object) -> Recorded:
        """Return an iterator of the chunks of a source that records them as a body. See `accumulator.record`."""
        return _recorded(self, source, "record", "arecord")

    def arecord(self, source: object) -> AsyncRecorded:
        """Return an async iterator of the chunks of a source that records them: the async version of `record`."""
        return _arecorded(self, source, "arecord", "record")

    def close(self) -> None:
        """End a body that is open, and close the file. Closing again does nothing."""
        self.end_body("closed")
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                os.close(descriptor)
            except OSError as error:
                self._fail(error)

    def __del__(self) -> None:
        """Close the file of a recorder that nobody closed."""
        self.close()

    # For `Recorded`.

    def begin_body(self, response: dict[str, object]) -> int:
        """Begin a body, and end the one before if it is open. Return its number."""
        if self._descriptor is None:
            raise ValueError("expected an open recorder, got a closed one")
        self.end_body("closed")
        self.bodies += 1
        self._writer, self._tail = BodyWriter(), b""
        self._write(body_line(self.bodies, response))
        self._began = self._clock()
        return self.bodies

    def write(self, number: int, data: bytes) -> None:
        """Write a chunk that has just arrived, unless its body has ended, because another began."""
        if self._writer is None or number != self.bodies:
            self._miss(f"body {number} went on after its end")
            return
        self._tail = (self._tail + data[-_TAIL_SIZE:])[-_TAIL_SIZE:]
        self._write(self._writer.chunk(data, self._clock() - self._began))

    def end_body(self, why: Why, number: int | None = None) -> None:
        """End the current body, or nothing if `number` is that of another. A body with `done` ends as "done"."""
        if self._writer is None or number not in {None, self.bodies}:
            return
        writer, self._writer = self._writer, None
        self._write(writer.end("done" if why in {"eof", "closed"} and _DONE.search(self._tail) else why))

    def _write(self, data: bytes) -> None:
        if self.error is not None or self._descriptor is None:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if self._sync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._miss(f"writing failed: {error.strerror or error}", error)

    def _miss(self, reason: str, cause: OSError | None = None) -> None:
        size = 0 if self._writer is None else self._writer.size
        if self.error is None:
            self.error = RecordingError(
                f"{self.path}: expected to record all that passes, {reason}; the recording lacks what came since about "
                f"byte {size} of body {self.bodies}"
            )
            self.error.__cause__ = cause

    def _continue(self) -> None:
        """Read the file that is there, and end a body that it was cut within."""
        descriptor, reader = cast("int", self._descriptor), RecordingReader()
        with open(os.dup(descriptor), "rb") as file:  # noqa: PTH123 - a descriptor is no path
            file.seek(0)
            data = file.read(_READ_SIZE)
            if not data.startswith(FIRST) or b"\n" not in data:
                raise RecordingError(f"{self.path}: expected a recording to append to, got another file")
            while data:
                self.bodies += sum(isinstance(item, Began) for item in reader.feed(data))
                data = file.read(_READ_SIZE)
            cut = reader.in_body
            reader.end()
        os.ftruncate(descriptor, reader.kept)  # drops a torn line of ours
        if cut:
            self._write(BodyWriter.resume(reader.size, reader.digest, reader.last).end("torn"))
        elif os.pread(descriptor, 1, reader.kept - 1) != b"\n":
            self._write(b"\n")


S = TypeVar("S", bound="Source | AsyncSource")


class _RecordedBody(Generic[S]):
    """A source whose chunks are written as a body of the file of a recorder.

    Attributes:
        recorder: the recorder that writes the file. Its `error` says what is missing in the file.

    """

    def __init__(self, recorder: Recorder, source: S, *, owns: bool) -> None:
        """Store the arguments; nothing is read until the first step. `owns`: whether to close the recorder too."""
        self.recorder = recorder
        self._source = source
        self._owns = owns
        self._number: int | None = None
        source.refused = False  # whoever reads this looks at the status

    def _begin(self) -> None:
        if self._number is None:
            self._number = self.recorder.begin_body(describe_response(self._source))

    def _write(self, chunk: object) -> bytes:
        if not isinstance(chunk, BYTES_LIKE):
            raise TypeError(
                f"a recorder passes chunks of bytes on, got {type(chunk).__name__}: give it the source of the bytes of "
                "one body"
            )
        self.recorder.write(cast("int", self._number), bytes(cast("bytes", chunk)))
        return cast("bytes", chunk)

    def _end(self, why: Why) -> None:
        if self._number is not None:
            self.recorder.end_body(why, self._number)
        if self._owns:
            _close(self.recorder)


class _RecordedHead(_RecordedBody[S]):
    """A response that is recorded, which has its status and its headers."""

    def __init__(self, recorder: Recorder, source: S, *, owns: bool) -> None:
        super().__init__(recorder, source, owns=owns)
        self.status_code, self.headers = source.head.status, read_headers(source.response)


class Recorded(_RecordedBody["Source"], Closing):
    """An iterator of the chunks of a source that records them; `record` returns it.

    It is a source of the functions of this library itself. That of a response has its status and its headers. As a
    context manager it closes the source when the block is left, and ends the body in the file.

    Attributes:
        recorder: the recorder that writes the file. Its `error` says what is missing in the file.

    """

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        self._begin()
        try:
            chunk = next(self._source)
        except StopIteration:
            self._end("eof")
            raise
        except Exception:
            self._end("broken")
            raise
        return self._write(chunk)

    def close(self) -> None:
        """Close the source, and end the body. Closing again does nothing."""
        try:
            self._source.close()
        finally:
            self._end("closed")


class _RecordedResponse(_RecordedHead["Source"], Recorded):
    def iter_bytes(self) -> Self:
        return self


class AsyncRecorded(_RecordedBody["AsyncSource"], AsyncClosing):
    """An async iterator of the chunks of a source that records them: the async version of `Recorded`.

    `arecord` returns it.

    Attributes:
        recorder: the recorder that writes the file. Its `error` says what is missing in the file.

    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._begin()
        try:
            chunk = await anext(self._source)
        except StopAsyncIteration:
            self._end("eof")
            raise
        except Exception:
            self._end("broken")
            raise
        return self._write(chunk)

    async def aclose(self) -> None:
        """Close the source, and end the body. Closing again does nothing."""
        try:
            await self._source.aclose()
        finally:
            self._end("closed")


class _AsyncRecordedResponse(_RecordedHead["AsyncSource"], AsyncRecorded):
    def aiter_bytes(self) -> Self:
        return self


def record(source: object, path: str | os.PathLike[str]) -> Recorded:
    """Return an iterator of the chunks of a source, unchanged, that writes them to a new file as they arrive.

    The chunks are a source for `accumulate`, as the source is. To read the file: `accumulate(pathlib.Path(path))`, or
    `replay`. For several bodies in one file use a `Recorder`.

    If a write fails, the chunks still pass. Then the end of the source, or `close`, gives a `RuntimeWarning`.

    Args:
        source: what is read, as in `accumulate`, but not an iterable of events: the first event raises `TypeError`.
        path: the path of the file, which must not exist.

    Raises:
        FileExistsError: there is a file.
        OSError: the file cannot be created.
        TypeError: the source cannot be read, or only with `await`.

    """
    return _recorded(path, source, "record", "arecord")


def arecord(source: object, path: str | os.PathLike[str]) -> AsyncRecorded:
    """Return an async iterator of the chunks of a source that writes them to a new file: the async version of `record`.

    This is not a coroutine function. Each write is made at once, without `await`.
    """
    return _arecorded(path, source, "arecord", "record")


def record_for(source: object, to: object, name: str, async_name: str) -> Recorded:
    """Return the `Recorded` of a source for the function `name`; `to` is a path or a `Recorder`."""
    return _recorded(_check_target(to), source, name, async_name)


def arecord_for(source: object, to: object, name: str, sync_name: str) -> AsyncRecorded:
    """Return the `AsyncRecorded` of a source for the function `name`; `to` is a path or a `Recorder`."""
    return _arecorded(_check_target(to), source, name, sync_name)


@contextmanager
def open_recorder(to: object) -> Generator[Recorder]:
    """Yield the recorder that is given, or that of a new file, which is closed behind the block."""
    target = _check_target(to)
    recorder = target if isinstance(target, Recorder) else Recorder(target)
    try:
        yield recorder
    finally:
        if recorder is not target:
            _close(recorder)


def _close(recorder: Recorder) -> None:
    """Close a recorder that its user does not see: warn of its error, and leave no file without a body."""
    recorder.close()
    remove_empty(recorder)
    if recorder.error is not None and not recorder.told:
        recorder.told = True
        warnings.warn(str(recorder.error), RuntimeWarning, stacklevel=3)


def remove_empty(recorder: Recorder) -> None:
    """Remove the file of a recorder if no body began in it, and if it is no device or pipe."""
    if not recorder.bodies and recorder.error is None:
        with suppress(OSError):
            if stat.S_ISREG(os.lstat(recorder.path).st_mode):
                os.unlink(recorder.path)  # noqa: PTH108 - as the user wrote it


def _check_target(to: object) -> Recorder | str | os.PathLike[str]:
    if not isinstance(to, (Recorder, str, os.PathLike)):
        raise TypeError(f"expected a path or a Recorder for record=, got {type(to).__name__}")
    return cast("Recorder | str | os.PathLike[str]", to)


def _recorded(to: Recorder | str | os.PathLike[str], source: object, name: str, async_name: str) -> Recorded:
    made = make_source(source, name, async_name)
    recorder = to if isinstance(to, Recorder) else Recorder(to)
    cls = _RecordedResponse if made.head.is_response else Recorded
    return cls(recorder, made, owns=recorder is not to)


def _arecorded(to: Recorder | str | os.PathLike[str], source: object, name: str, sync_name: str) -> AsyncRecorded:
    made = make_async_source(source, name, sync_name)
    recorder = to if isinstance(to, Recorder) else Recorder(to)
    cls = _AsyncRecordedResponse if made.head.is_response else AsyncRecorded
    return cls(recorder, made, owns=recorder is not to)


# What is known of a response.


def describe_response(source: Source | AsyncSource) -> dict[str, object]:
    """Return what a recording says of a response: nothing of its request but method and path."""
    response, head = source.response, source.head
    described = {
        "url": _plain_url(_attribute(response, "url") or _attribute(_attribute(response, "request"), "url")),
        "method": _text(_attribute(response, "method") or _attribute(_attribute(response, "request"), "method")),
        "status": head.status,
        "type": head.content_type or None,
        "request_id": head.request_id,
        "decoded": _decoded(response),
    }
    return {name: value for name, value in described.items() if value is not None}


def _decoded(response: object) -> str | None:
    """Return the content coding that the client has taken off. urllib takes off none."""
    if all(_attribute(response, name) is None for name in ("iter_bytes", "iter_content", "iter_any", "content")):
        return None
    return read_headers(response).get("content-encoding")


def _attribute(owner: object, name: str) -> object:
    """Return an attribute, None if there is none, or if reading it raises: httpx raises without a request."""
    try:
        return cast("object", getattr(owner, name, None))
    except Exception:  # noqa: BLE001 - a property of any client
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _plain_url(url: object) -> str | None:
    """Return a URL without user, password, query and fragment, where keys may be."""
    try:
        parts = urlsplit(str(url)) if url else None
    except ValueError:
        return None
    if parts is None or not parts.netloc:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


# Files.

_FLAGS: Final = os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def create_file(path: str) -> int:
    """Create a file that only its owner may read, or open what is there if it is no file, as a device.

    Raises:
        OSError: it cannot be created, or is there.

    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    except FileExistsError:
        if stat.S_ISREG(mode := os.lstat(path).st_mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
            raise
        return os.open(path, os.O_WRONLY | _FLAGS)


def _open_existing(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordingError(f"{path}: expected a recording to append to, got what is no file")
    return descriptor
