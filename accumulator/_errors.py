"""The exceptions, one root.

AccumulatorError
├── DecodeError        `from_dict` or `from_json` got no JSON object, `parse_arguments` a text that is no JSON
├── MergeError         strict mode: an event had a problem
├── LimitError         a limit was passed
├── TruncatedError     a body ended before its end was said
├── RunError           a body ended in an error event
├── ResponseError      an HTTP answer that is no event stream
└── CheckpointError    `Accumulator.from_bytes` got something that `to_bytes` did not write

Misuse by the caller is a `TypeError`, `ValueError` or `RuntimeError` instead. All of them pickle; an accumulator they
carry does not travel with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.run_steps import ErrorObject
    from accumulator._assistants.updates import Problem, Update
    from accumulator._sse import ServerSentEvent


class AccumulatorError(Exception):
    """Root of every error that this library raises for what came from outside.

    Attributes:
        updates: what the failed call had already folded, in order; empty where nothing was.
        accumulator: the accumulator with everything folded so far, readable as ever; None where there was none.
            It is left out of a pickle.

    """

    def __init__(self, message: str) -> None:
        """Keep the message; the attributes are set by whoever raises."""
        super().__init__(message)
        self.updates: Sequence[Update] = ()
        self.accumulator: Accumulator | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by class, message and attributes, whatever a subclass's constructor takes."""
        state = {key: value for key, value in self.__dict__.items() if key != "accumulator"}
        return (_rebuild, (type(self), str(self)), state)


def _rebuild(cls: type[AccumulatorError], message: str) -> AccumulatorError:
    error = cls.__new__(cls, message)
    AccumulatorError.__init__(error, message)
    return error


class DecodeError(AccumulatorError):
    """What `from_dict` or `from_json` was given is no JSON object, or what `parse_arguments` has to read no JSON.

    The message names the path and what came.
    """


class MergeError(AccumulatorError):
    """An event had a problem and the accumulator is strict.

    The event was treated as in tolerant mode before this was raised: `updates` has its updates, `problem` its first
    problem.
    """

    def __init__(self, message: str, problem: Problem) -> None:
        """Keep the problem beside the message."""
        super().__init__(message)
        self.problem = problem


class LimitError(AccumulatorError):
    """A limit was passed; what was folded before stays readable.

    Attributes:
        limit: the limit's name in `Limits`, such as "max_event_size".
        maximum: its value.
        events: for `SSEParser.feed`: the events before the one that was too large.

    """

    def __init__(self, message: str, *, limit: str, maximum: int) -> None:
        """Keep the limit's name and value."""
        super().__init__(message)
        self.limit = limit
        self.maximum = maximum
        self.events: Sequence[ServerSentEvent] = ()


class TruncatedError(AccumulatorError):
    """A body ended without `done`, an error or a final status, or its source broke (then that is the `__cause__`)."""


class RunError(AccumulatorError):
    """A body ended in an error event; `error` is what the server said."""

    def __init__(self, message: str, error: ErrorObject | None) -> None:
        """Keep the server's error object."""
        super().__init__(message)
        self.error = error


class ResponseError(AccumulatorError):
    """An HTTP answer is not a stream of server-sent events.

    Attributes:
        status: the HTTP status code, or None where the source has none.
        content_type: the answer's Content-Type, "" where it had none.
        request_id: the server's id of the request, for its support; None where it sent none.
        body: the start of the answer's body, as text.

    """

    def __init__(
        self, message: str, *, status: int | None, content_type: str, request_id: str | None, body: str
    ) -> None:
        """Keep what the answer said."""
        super().__init__(message)
        self.status = status
        self.content_type = content_type
        self.request_id = request_id
        self.body = body


class CheckpointError(AccumulatorError):
    """Bytes are no checkpoint of this library, or of a version that it does not read."""
