"""The exceptions, one root.

AccumulatorError
├── DecodeError        `from_dict` or `from_json` got no JSON object, or `parse_arguments` text that is no JSON
├── MergeError         strict mode: an event had a problem
├── LimitError         an event was larger than a limit allows
├── TruncatedError     a body was cut short
├── RunError           a body ended in an error event
├── ResponseError      an HTTP response is no event stream
└── CheckpointError    `Accumulator.from_bytes` got bytes that `to_bytes` did not write

Misuse by the caller is a `TypeError`, `ValueError` or `RuntimeError` instead. All errors can be pickled, without the
accumulator that they carry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.runs import ErrorObject
    from accumulator._assistants.updates import Problem, Update
    from accumulator._sse import ServerSentEvent


class AccumulatorError(Exception):
    """Root of every error that this library raises for input from outside.

    Attributes:
        updates: the updates that the failed call had made before it failed, in order; empty if there were none.
        accumulator: the accumulator, with everything folded so far; None if there was none. A pickle leaves it out.

    """

    def __init__(self, message: str) -> None:
        """Take the message; whoever raises sets the attributes."""
        super().__init__(message)
        self.updates: Sequence[Update] = ()
        self.accumulator: Accumulator | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by class, message and attributes, whatever arguments the constructor of a subclass takes."""
        cls = type(self)
        return (cls.__new__, (cls, *self.args), {**vars(self), "accumulator": None})


def attach(error: AccumulatorError, updates: Sequence[object], accumulator: object = None) -> None:
    """Put updates before those that an error carries, and the accumulator beside them."""
    error.updates = [*cast("Sequence[Update]", updates), *error.updates]
    if accumulator is not None:
        error.accumulator = cast("Accumulator", accumulator)


class DecodeError(AccumulatorError):
    """What `from_dict` or `from_json` got is no JSON object, or the arguments to parse are no JSON.

    The message says what was expected, what it got and where.
    """


class MergeError(AccumulatorError):
    """An event had a problem, and the accumulator is strict.

    The event has been folded as in tolerant mode.

    Attributes:
        problem: the first problem of the event; `updates` has all of its updates.

    """

    def __init__(self, message: str, problem: object) -> None:
        """Take the message and the problem."""
        super().__init__(message)
        self.problem = cast("Problem", problem)


class LimitError(AccumulatorError):
    """An event was larger than a limit allows; what was folded before it stays readable.

    Attributes:
        limit: the limit's name in `Limits`, such as "max_event_size".
        maximum: the limit's value.
        events: from `SSEParser.feed`, the events before the one that was too large.

    """

    def __init__(self, message: str, *, limit: str, maximum: int) -> None:
        """Take the message, and the limit's name and value."""
        super().__init__(message)
        self.limit = limit
        self.maximum = maximum
        self.events: Sequence[ServerSentEvent] = ()


class TruncatedError(AccumulatorError):
    """A body ended without `done`, an error or a final status, or its source raised, which is the `__cause__` then."""


class RunError(AccumulatorError):
    """A body ended in an error event.

    Attributes:
        error: the server's error; None if it is not known.

    """

    def __init__(self, message: str, error: ErrorObject | None) -> None:
        """Take the message and the server's error."""
        super().__init__(message)
        self.error = error


class ResponseError(AccumulatorError):
    """An HTTP response is not a stream of server-sent events.

    Attributes:
        status: the HTTP status code; None if the source has none.
        content_type: the response's Content-Type, "" if it had none.
        request_id: the server's id of the request, to be given to its support; None if it sent none.
        body: the start of the response's body, as text.

    """

    def __init__(
        self, message: str, *, status: int | None, content_type: str, request_id: str | None, body: str
    ) -> None:
        """Take the message and what the response said."""
        super().__init__(message)
        self.status = status
        self.content_type = content_type
        self.request_id = request_id
        self.body = body


class CheckpointError(AccumulatorError):
    """Bytes are no checkpoint of this library, or one of a version that this release does not read."""
