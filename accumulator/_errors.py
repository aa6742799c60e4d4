"""The exceptions of this library and their root.

AccumulatorError
├── DecodeError        `from_dict` or `from_json` got no JSON object, or `parse_arguments` no JSON text
├── MergeError         an event had a problem, in strict mode
├── LimitError         an event was larger than a limit allows, or what is held would have been
├── TruncatedError     a body was cut
├── RunError           a body had an error event
├── ResponseError      an HTTP response is no event stream, or no answer of the API
├── CheckpointError    `Accumulator.from_bytes` got no checkpoint, or one of a version that it does not read
└── RecordingError     a file is no recording that can be read, or a recording could not be written whole

The text of an error shows what a server sent, such as ids, keys and messages, with control and format characters
escaped: it cannot move a terminal's cursor or begin a line in a log. Attributes hold what was sent.

Misuse by the caller raises `TypeError`, `ValueError` or `RuntimeError` instead. All exceptions can be pickled. A pickle
leaves out the accumulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from accumulator._json import parse_json, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.runs import ErrorObject
    from accumulator._assistants.updates import Problem, Update
    from accumulator._sse import ServerSentEvent


class AccumulatorError(Exception):
    """The root of all errors that this library raises for what it reads.

    Attributes:
        updates: the updates that the failed call made before it raised, in order; empty if it made none.
        accumulator: the accumulator with everything folded so far; None if the call had no accumulator. A pickle leaves
            the accumulator out.

    """

    def __init__(self, message: str) -> None:
        """Store the message. The code that raises the error sets the attributes."""
        super().__init__(message)
        self.updates: Sequence[Update] = ()
        self.accumulator: Accumulator | None = None

    def __str__(self) -> str:
        """Return the message, printable."""
        return printable(super().__str__())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the class, the message and the attributes, independent of the constructor of a subclass."""
        cls = type(self)
        return (cls.__new__, (cls, *self.args), {**vars(self), "accumulator": None})


def attach(error: AccumulatorError, updates: Sequence[object], accumulator: object = None) -> None:
    """Put updates before the updates of an error, and set its accumulator if one is given."""
    if updates:
        error.updates = [*cast("Sequence[Update]", updates), *error.updates]
    if accumulator is not None:
        error.accumulator = cast("Accumulator", accumulator)


def note_failure(error: BaseException, what: str, failure: Exception) -> None:
    """Add a note to an error: what failed after it, and how. The note is printable, even if the `repr` is not."""
    try:
        shown = repr(failure)
    except Exception as exc:  # noqa: BLE001 - the `repr` of any exception, which must not hide the error
        shown = f"{type(failure).__name__}, whose repr raised {type(exc).__name__}"
    error.add_note(printable(f"{what}: {shown}"))


def join_told(*parts: object) -> str:
    """Join what a server told about a failure, such as code and message, without what it left out."""
    return ": ".join(str(part) for part in parts if part)


class DecodeError(AccumulatorError):
    """`from_dict` or `from_json` got no JSON object, or `parse_arguments` found text that is not JSON.

    The message says what was expected, what was found, and where.
    """


class MergeError(AccumulatorError):
    """An event had a problem, and the accumulator is strict. The event was folded as in tolerant mode.

    Attributes:
        problem: the first problem of the event. The other problems are in `updates`, with all updates of the event.

    """

    def __init__(self, message: str, problem: object) -> None:
        """Store the message and the problem."""
        super().__init__(message)
        self.problem: Problem = cast("Problem", problem)


class LimitError(AccumulatorError):
    """An event was larger than a limit allows, or what is held would have been with it.

    The event is left out whole. Everything folded before it can be read, and the stream goes on behind it.

    Attributes:
        limit: the name of the limit in `Limits`, such as "max_event_size".
        maximum: the value of the limit.
        event_number: the number of the event in all bodies, counted from 1; 0 if `SSEParser.feed` raised.
        path: JSONPath of the place within the event; "$" if the limit is about the event as a whole.
        events: the events before the one that was too large, if `SSEParser.feed` raised; else empty.

    """

    def __init__(self, message: str, *, limit: str, maximum: int, path: str = "$") -> None:
        """Store the message, the name and value of the limit, and the place."""
        super().__init__(message)
        self.limit = limit
        self.maximum = maximum
        self.event_number = 0
        self.path = path
        self.events: Sequence[ServerSentEvent] = ()


class TruncatedError(AccumulatorError):
    """A body was cut: it ended without `done`, an error event or a status that ends a body.

    If that is because the source raised, its exception is the `__cause__`.
    """


class RunError(AccumulatorError):
    """A body had an error event.

    Attributes:
        error: the error that the server sent; None if it is not known.

    """

    def __init__(self, message: str, error: ErrorObject | None) -> None:
        """Store the message and the error of the server."""
        super().__init__(message)
        self.error = error


class ResponseError(AccumulatorError):
    """An HTTP response is not a stream of server-sent events or, of a function of `rest`, not the answer of the API.

    Attributes:
        status: the HTTP status code; None if the source has no status.
        content_type: the value of the Content-Type header; "" without the header.
        request_id: the id that the server gave the request, for its support; None if the server sent no id.
        body: the start of the body, as text.
        code: the code of the error that the body says, such as "rate_limit_exceeded"; None if it says none.
        message: the message of the error that the body says; None if it says none.
        retry_after: of a function of `rest`, the seconds that the server asks to wait before another request; else, and
            if it does not ask, None.

    """

    def __init__(  # noqa: PLR0913 - what is known of a response
        self,
        message: str,
        *,
        status: int | None,
        content_type: str,
        request_id: str | None,
        body: str,
        retry_after: float | None = None,
    ) -> None:
        """Store the message and the details of the response, and read what its body says."""
        super().__init__(message)
        self.status = status
        self.content_type = content_type
        self.request_id = request_id
        self.body = body
        self.code: str | None
        self.message: str | None
        self.code, self.message = _read_told(body)
        self.retry_after = retry_after


def _read_told(body: str) -> tuple[str | None, str | None]:
    """Return the code and the message of an error that JSON text says, None for one that it does not say.

    The error is the value of the key "error", or the whole object. It may be a text, which is the message. FastAPI
    sends one under the key "detail".
    """
    try:
        said: object = parse_json(body)
    except ValueError:  # no JSON, or only its start
        return None, None
    if isinstance(said, dict):
        members = cast("dict[str, object]", said)
        said = members.get("error", members)
    if not isinstance(said, dict):
        return None, said if isinstance(said, str) and said else None
    error = cast("dict[str, object]", said)
    code, message = error.get("code"), error.get("message") or error.get("detail")
    is_code = isinstance(code, (str, int)) and not isinstance(code, bool) and code != ""
    return str(code) if is_code else None, message if isinstance(message, str) else None


class CheckpointError(AccumulatorError):
    """The bytes are not a checkpoint of this library, or a checkpoint of a version that this release does not read."""


class RecordingError(AccumulatorError):
    """A file has no event stream in a format that is known, or a recording could not be written whole.

    Attributes:
        files: for each file that could not be read, its name, and why: what it looks like, and what would help. Empty
            if the error is not about files to read.

    """

    def __init__(self, message: str, files: Mapping[str, str] | None = None) -> None:
        """Store the message, and what is wrong with each file."""
        super().__init__(message)
        self.files: Mapping[str, str] = {} if files is None else dict(files)
