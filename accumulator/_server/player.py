"""The routes, and what each of them answers.

The prefix of a path is ignored: `/v1`, `/openai`, `/api/projects/NAME` and none are the same.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from accumulator import AccumulatorError
from accumulator._json import json_type
from accumulator._server.answers import RefusedError, make_page, wants_content, without_content
from accumulator._server.played_runs import PlayedRun, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from accumulator import RecordedBody
    from accumulator._json import Json
    from accumulator._server.choices import Choice, Place
    from accumulator._server.played_runs import Objects

_KEPT: Final = 32
"""The states of runs that are kept. Another one is folded when it is asked for."""

_REFUSED: Final = 400


class Call(NamedTuple):
    """A request: the ids in its path, its parameters, and its JSON, an empty object if it has none."""

    ids: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: Mapping[str, object]


class Route(NamedTuple):
    """A method and the end of a path, in which `{name}` is an id, and the method of `Player` that answers."""

    method: str
    path: str
    answer: Callable[[Player, Call], object]


class Player:
    """What each request is answered from. An answer is JSON, or the `RecordedBody` to play."""

    def __init__(self, choice: Choice) -> None:
        """Begin with nothing played."""
        self._choice = choice
        self._cancelled: PlayedRun | None = None
        self._messages = 0
        self._after = lru_cache(_KEPT)(PlayedRun.after)

    def _objects(self, place: Place) -> Objects:
        with _reading():
            return self._after(place.run, place.bodies)

    # Runs.

    def begin(self, call: Call) -> object:
        """Begin a run, or go on with one: play the body, or answer the run as it is behind it."""
        wants_content(call.query)
        stream = call.body.get("stream")
        if not isinstance(stream, bool | None):
            raise RefusedError(400, f"expected stream to be a boolean, got {json_type(stream)}", param="stream")
        for key in ("tool_outputs", "tool_approvals"):
            if not isinstance(call.body.get(key, []), list):
                raise RefusedError(400, f"expected {key} to be a list, got {json_type(call.body[key])}", param=key)
        place = self._choice.choose(call.ids, call.body)
        body = place.run.bodies[place.bodies - 1]
        answer = _opened(body) if stream or status_of(body) >= _REFUSED else self._objects(place).run
        self._choice.begin(call.ids, call.body, place)
        self._cancelled = None if self._cancelled is place.run else self._cancelled
        return answer

    def get_run(self, call: Call) -> object:
        """Answer a run."""
        return self._run(self._choice.of_run(call.ids))

    def list_runs(self, call: Call) -> object:
        """Answer the runs of a thread."""
        places = self._choice.of_thread(call.ids)
        return make_page([cast("Json", self._run(place)) for place in places], dict(call.query))

    def cancel(self, call: Call) -> object:
        """Cancel a run that has not ended."""
        place = self._choice.of_run(call.ids)
        run, status = self._objects(place).run, self._run(place).get("status")
        if self._objects(place).has_ended or status == "cancelled":
            raise RefusedError(400, f"expected a run that can be cancelled, got one with status {status!r}")
        self._cancelled = place.run
        return {**run, "status": "cancelling"}

    def _run(self, place: Place) -> dict[str, Json]:
        run = self._objects(place).run
        return {**run, "status": "cancelled", "required_action": None} if self._cancelled is place.run else run

    # Steps.

    def list_steps(self, call: Call) -> object:
        """Answer the steps of a run."""
        return make_page(self._steps(call), dict(call.query))

    def get_step(self, call: Call) -> object:
        """Answer a step of a run."""
        return _find(self._steps(call), "step", call.ids["step_id"])

    def _steps(self, call: Call) -> Sequence[Json]:
        steps = self._objects(self._choice.of_run(call.ids)).steps
        return steps if wants_content(call.query) else [without_content(step) for step in steps]

    # Messages.

    def list_messages(self, call: Call) -> object:
        """Answer the messages of a thread, or those of one of its runs."""
        query = dict(call.query)
        run_id, messages = query.get("run_id"), self._messages_of(call)
        of_run = [each for each in messages if run_id is None or cast("dict[str, Json]", each).get("run_id") == run_id]
        return make_page(of_run, query)

    def get_message(self, call: Call) -> object:
        """Answer a message of a thread."""
        return _find(self._messages_of(call), "message", call.ids["message_id"])

    def _messages_of(self, call: Call) -> list[Json]:
        return [each for place in self._choice.of_thread(call.ids) for each in self._objects(place).messages]

    def add_message(self, call: Call) -> object:
        """Answer the message that a client adds. It is not kept: the recording has what came of it."""
        role, content = call.body.get("role"), call.body.get("content")
        if not isinstance(role, str):
            raise RefusedError(400, f"expected role to be a text, got {json_type(role)}", param="role")
        if not isinstance(content, (str, list)):
            message = f"expected content to be a text or a list, got {json_type(content)}"
            raise RefusedError(400, message, param="content")
        parts = [content] if isinstance(content, str) else cast("list[object]", content)
        self._messages += 1
        thread = self._objects(self._choice.upcoming()).thread
        return {
            "id": f"msg_sent_{self._messages}",
            "object": "thread.message",
            "created_at": thread.get("created_at"),
            "thread_id": call.ids["thread_id"],
            "run_id": None,
            "assistant_id": None,
            "role": role,
            "content": [_part(each) for each in parts],
            "attachments": call.body.get("attachments") or [],
            "metadata": call.body.get("metadata") or {},
        }

    # Threads and assistants.

    def get_thread(self, _: Call) -> object:
        """Answer the thread of the next run."""
        return self._objects(self._choice.upcoming()).thread

    def get_assistant(self, _: Call) -> object:
        """Answer the assistant of the next run."""
        return self._objects(self._choice.upcoming()).assistant

    def delete(self, call: Call) -> object:
        """Answer that a thread or an assistant is deleted. Nothing is."""
        ((name, ident),) = call.ids.items()
        return {"id": ident, "object": f"{name.removesuffix('_id')}.deleted", "deleted": True}


ROUTES: Final = (
    Route("POST", "assistants", Player.get_assistant),
    Route("GET", "assistants/{assistant_id}", Player.get_assistant),
    Route("DELETE", "assistants/{assistant_id}", Player.delete),
    Route("POST", "threads", Player.get_thread),
    Route("POST", "threads/runs", Player.begin),
    Route("GET", "threads/{thread_id}", Player.get_thread),
    Route("DELETE", "threads/{thread_id}", Player.delete),
    Route("POST", "threads/{thread_id}/messages", Player.add_message),
    Route("GET", "threads/{thread_id}/messages", Player.list_messages),
    Route("GET", "threads/{thread_id}/messages/{message_id}", Player.get_message),
    Route("POST", "threads/{thread_id}/runs", Player.begin),
    Route("GET", "threads/{thread_id}/runs", Player.list_runs),
    Route("GET", "threads/{thread_id}/runs/{run_id}", Player.get_run),
    Route("POST", "threads/{thread_id}/runs/{run_id}/submit_tool_outputs", Player.begin),
    Route("POST", "threads/{thread_id}/runs/{run_id}/cancel", Player.cancel),
    Route("GET", "threads/{thread_id}/runs/{run_id}/steps", Player.list_steps),
    Route("GET", "threads/{thread_id}/runs/{run_id}/steps/{step_id}", Player.get_step),
)
"""Everything that is answered."""


def find_routes(segments: list[str]) -> dict[str, tuple[Route, dict[str, str]]]:
    """Return the routes that a path ends in, by method, each with the ids. Of two routes the longer counts.

    Args:
        segments: what is between the slashes of the path. The first is the empty one before the first slash.

    """
    found: dict[str, tuple[Route, dict[str, str]]] = {}
    for route in sorted(ROUTES, key=lambda route: route.path.count("/")):
        wanted = route.path.split("/")
        ids = _match(wanted, segments[-len(wanted) :]) if len(segments) > len(wanted) else None
        if ids is not None:
            found[route.method] = route, ids
    return found


def _match(wanted: list[str], segments: list[str]) -> dict[str, str] | None:
    ids: dict[str, str] = {}
    for name, segment in zip(wanted, segments, strict=True):
        if name.startswith("{") and segment:
            ids[name[1:-1]] = segment
        elif name != segment:
            return None
    return ids


@contextmanager
def _reading() -> Generator[None]:
    """Refuse a request whose answer is in a file that was moved, or is another one now."""
    try:
        yield
    except (OSError, AccumulatorError) as error:
        raise RefusedError(500, "expected a recording, got one that cannot be read any more") from error


def _opened(body: RecordedBody) -> RecordedBody:
    """Return a body whose first chunk can be read."""
    with _reading():
        next(body.chunks(), None)
    return body


def _find(items: Sequence[Json], what: str, ident: str) -> Json:
    for item in items:
        if isinstance(item, dict) and item.get("id") == ident:
            return item
    raise RefusedError(404, f"no {what} found with id {ident!r:.80}: the recording has none", param=f"{what}_id")


def _part(content: object) -> object:
    """Return a content part as the API answers it: a text becomes an object."""
    if isinstance(content, str):
        return {"type": "text", "text": {"value": content, "annotations": []}}
    part: object = content
    if isinstance(content, dict):
        known = cast("dict[str, object]", content)
        if isinstance(text := known.get("text"), str):
            part = {**known, "text": {"value": text, "annotations": []}}
    return part
