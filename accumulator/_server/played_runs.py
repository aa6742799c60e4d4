"""A recorded run as the objects that the API has of it, after each of its bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from accumulator import Accumulator, UnknownEvent, accumulate
from accumulator._assistants.protocol import RUN_END_STATUSES
from accumulator._json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from accumulator import Model, RecordedBody, Recording
    from accumulator._json import Json

_OF_ASSISTANT: Final[Mapping[str, Json]] = {
    "model": "",
    "instructions": None,
    "tools": [],
    "temperature": None,
    "top_p": None,
    "response_format": None,
}
"""The fields that an assistant has in common with its runs, and what they are where a run lacks them."""

_EMPTY: Final[Mapping[str, Json]] = {
    "started_at": None,
    "expires_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "required_action": None,
    "last_error": None,
    "incomplete_details": None,
    "usage": None,
    "metadata": {},
    **_OF_ASSISTANT,
}
"""What a run has that no event was about: clients expect these fields."""

_STATUSES: Final = range(200, 600)
_OK: Final = 200


class Objects(NamedTuple):
    """What the API has of a run at a moment. Lists have the oldest first. Nothing in it may be changed."""

    run: dict[str, Json]
    steps: Sequence[Json]
    messages: Sequence[Json]
    thread: dict[str, Json]
    assistant: dict[str, Json]

    @property
    def has_ended(self) -> bool:
        """Whether the run can no longer be cancelled."""
        return self.run.get("status") in RUN_END_STATUSES


class PlayedRun:
    """A recorded run.

    Attributes:
        name: the name of its recording.
        bodies: its bodies, in order.
        run_id, thread_id, assistant_id: the ids of its run, its thread and its assistant; None if no event names one.
        asked: for each body, the ids of the tool calls that wait when it has ended.

    """

    def __init__(self, recording: Recording) -> None:
        """Fold the recording once, for its ids.

        Raises:
            OSError: its file cannot be read.
            AccumulatorError: it is over a limit.

        """
        self.name = recording.name
        self.bodies = recording.bodies
        self.asked: list[frozenset[Json]] = []
        run = Accumulator()
        for body in self.bodies:
            _fold([body], run)
            action = run.required_action
            self.asked.append(frozenset(call.id for call in action.tool_calls) if action else frozenset())
        self._known = _identify(run)
        self.run_id = self._known.get("id")
        self.thread_id = self._known.get("thread_id")
        self.assistant_id = self._known.get("assistant_id")

    def after(self, bodies: int) -> Objects:
        """Fold so many bodies, and return the objects. The cost is that of reading the bodies."""
        folded = Accumulator()
        thread = _fold(self.bodies[:bodies], folded)
        current = folded.current_run
        run = self._known if current is None else _json_of(current)
        steps, messages = map(_json_of, folded.run_steps()), map(_json_of, folded.messages())
        return Objects(run, list(steps), list(messages), thread or _make_thread(run), _make_assistant(run))


def status_of(body: RecordedBody) -> int:
    """Return the status of a recorded response: 200 if it is not known, or none that a response can have."""
    status = body.response.get("status")
    return status if isinstance(status, int) and status in _STATUSES else _OK


def _fold(bodies: Iterable[RecordedBody], into: Accumulator) -> dict[str, Json] | None:
    """Fold bodies, and return the thread that they create; None if they create none."""
    thread: dict[str, Json] | None = None
    for body in bodies:
        for update in accumulate(iter(body), into=into):
            if isinstance(update, UnknownEvent) and update.event == "thread.created":
                thread = _read_thread(update.data) or thread
    return thread


def _read_thread(data: str) -> dict[str, Json] | None:
    try:
        value = parse_json(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _identify(folded: Accumulator) -> dict[str, Json]:
    """Return the run, with what is known from what belongs to it where no event was about the run itself."""
    if folded.current_run is not None:
        return _json_of(folded.current_run)
    parts = [*map(_json_of, folded.run_steps()), *map(_json_of, folded.messages())]

    def first(key: str) -> Json:
        return next((part[key] for part in parts if part.get(key) is not None), None)

    return {
        "id": first("run_id"),
        "object": "thread.run",
        "created_at": first("created_at"),
        "assistant_id": first("assistant_id"),
        "thread_id": first("thread_id"),
        "status": "in_progress",
        **_EMPTY,
    }


def _json_of(model: Model) -> dict[str, Json]:
    return cast("dict[str, Json]", model.to_dict())


def _make_thread(run: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "id": run.get("thread_id"),
        "object": "thread",
        "created_at": run.get("created_at"),
        "metadata": {},
        "tool_resources": {},
    }


def _make_assistant(run: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "id": run.get("assistant_id"),
        "object": "assistant",
        "created_at": run.get("created_at"),
        "name": None,
        "description": None,
        "metadata": {},
        **{key: run.get(key, empty) for key, empty in _OF_ASSISTANT.items()},
    }
