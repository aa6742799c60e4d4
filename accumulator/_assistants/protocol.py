"""The Assistants protocol as tables: its fields, its objects, its events, and how a body ends.

The sources are the OpenAPI file of OpenAI, the specification of Azure AI Agents, and recordings of real servers. Where
they disagree, the recordings decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

from accumulator._assistants import updates
from accumulator._assistants.messages import Message, wrap_content, wrap_content_delta
from accumulator._assistants.run_steps import RunStep, wrap_tool_call, wrap_tool_call_delta
from accumulator._assistants.runs import ErrorObject, RequiredAction, Run
from accumulator._assistants.updates import Update
from accumulator._engine.body import TRUNCATED
from accumulator._engine.protocol import Event, Fragment, Kind, Protocol, Report, ResourceType, Role
from accumulator._fold.policy import Policy, Schema
from accumulator._formats import HTML, is_html
from accumulator._json import Json, JSONObject, dump_json, parse_json, text_of
from accumulator._sse import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from accumulator._engine.body import Condition

# Fields. `accumulator._fold.policy` says how the fields of each set are folded.

POLICY: Final = Policy(
    append=frozenset({"arguments", "input", "logs", "output", "refusal", "requesturl", "response_metadata", "value"}),
    keep_first=frozenset({"file_id", "id", "name", "server_label", "type"}),
    whole=frozenset({"ranking_options"}),
    whole_types=frozenset({"image", "image_file", "image_url"}),
    place=frozenset({"end_index", "start_index"}),
    list_key="index",  # Azure's tools have keyed lists that the API reference does not have
)


def _object(**fields: Schema) -> Schema:
    return Schema(POLICY, fields)


def _keyed_list(*, grows: bool = True, **fields: Schema) -> Schema:
    return Schema(POLICY, fields, key="index", grows=grows)


# Objects. A schema names only what must be an object or a keyed list. All other fields are folded by the policy alone.

RUN_STEPS: Final[ResourceType[Update]] = ResourceType(
    name="steps",
    schema=_object(step_details=_object(tool_calls=_keyed_list(code_interpreter=_object(outputs=_keyed_list())))),
    delta_path=("delta",),
    parts_path=("step_details", "tool_calls"),
    repeated_by=frozenset({b"thread.run.step.created", b"thread.run.step.in_progress"}),
    delta_has_part_id=True,
    frozen_by_ending=("status",),
    created=lambda number, ident, json: updates.RunStepCreated(number, ident, RunStep.wrap(json)),
    updated=lambda number, ident, read: updates.RunStepUpdated(number, ident, RunStep.wrap_later(read)),
    done=lambda number, ident, json: updates.RunStepDone(number, ident, RunStep.wrap(json)),
    part_created=lambda number, ident, index, json: updates.ToolCallCreated(number, ident, index, wrap_tool_call(json)),
    part_delta=lambda number, ident, index, part_id, json: updates.ToolCallDelta(
        number, ident, index, cast("str | None", part_id), wrap_tool_call_delta(json)
    ),
    part_done=lambda number, ident, index, json: updates.ToolCallDone(number, ident, index, wrap_tool_call(json)),
)

MESSAGES: Final[ResourceType[Update]] = ResourceType(
    name="messages",
    schema=_object(content=_keyed_list(text=_object(annotations=_keyed_list(grows=False)))),
    delta_path=("delta",),
    parts_path=("content",),
    repeated_by=frozenset({b"thread.message.created", b"thread.message.in_progress"}),
    frozen_by_ending=("status",),
    created=lambda number, ident, json: updates.MessageCreated(number, ident, Message.wrap(json)),
    updated=lambda number, ident, read: updates.MessageUpdated(number, ident, Message.wrap_later(read)),
    done=lambda number, ident, json: updates.MessageDone(number, ident, Message.wrap(json)),
    part_created=lambda number, ident, index, json: updates.ContentCreated(number, ident, index, wrap_content(json)),
    part_delta=lambda number, ident, index, _, json: updates.ContentDelta(
        number, ident, index, wrap_content_delta(json)
    ),
    part_done=lambda number, ident, index, json: updates.ContentDone(number, ident, index, wrap_content(json)),
)

# Events.

Word: TypeAlias = Literal[
    "created",
    "in_progress",
    "delta",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "expired",
    "queued",
    "requires_action",
    "cancelling",
]

ROLES: Final[Mapping[Word, Role]] = {
    "created": "repeat",
    "in_progress": "repeat",
    "delta": "delta",
    "completed": "ending",
    "incomplete": "ending",
    "failed": "ending",
    "cancelled": "ending",
    "expired": "ending",
}
"""The role of an event by its word. `LIFE` in `accumulator._engine.resource` says what an event of each role does."""


RUN_KEYS: Final[Mapping[str, str]] = {"run": "id", "resource": "run_id"}
"""The key of the id of the run, by the kind of an event."""

BEGINNINGS: Final = frozenset({"created", "queued", "in_progress"})
"""The last words of the run events that show that a run has begun. Some servers make up an id when a run fails."""


class Row:
    """What the name of an event says.

    Attributes:
        kind: what the event is about.
        resource: the type of the object, if the event is about an object that is folded.
        word: the last word of the name. All that follows is from it.
        role: the role of the event, "repeat" without a word.
        names_status: whether the word is the status where the payload has none. The words of endings are, and of all
            run events but "created".
        run_key: the key of the id of the run in the payload, None if it has none.
        begins: whether the event shows that its run has begun.

    """

    __slots__ = ("begins", "kind", "names_status", "resource", "role", "run_key", "word")

    def __init__(
        self,
        kind: Literal["resource", "run", "error", "done", "unknown"],
        resource: ResourceType[Update] | None = None,
        word: Word | None = None,
    ) -> None:
        """Find what the word says."""
        self.kind: Kind = kind
        self.resource = resource
        self.word = word
        self.role: Role = "repeat" if word is None else ROLES.get(word, "repeat")
        self.names_status = self.role == "ending" if kind == "resource" else kind == "run" and word != "created"
        self.run_key = RUN_KEYS.get(kind)
        self.begins = kind == "resource" or word in BEGINNINGS


EVENTS: Final[Mapping[str, Row]] = {
    "thread.created": Row("unknown"),
    "thread.run.created": Row("run", None, "created"),
    "thread.run.queued": Row("run", None, "queued"),
    "thread.run.in_progress": Row("run", None, "in_progress"),
    "thread.run.requires_action": Row("run", None, "requires_action"),
    "thread.run.completed": Row("run", None, "completed"),
    "thread.run.incomplete": Row("run", None, "incomplete"),
    "thread.run.failed": Row("run", None, "failed"),
    "thread.run.cancelling": Row("run", None, "cancelling"),
    "thread.run.cancelled": Row("run", None, "cancelled"),
    "thread.run.expired": Row("run", None, "expired"),
    "thread.run.step.created": Row("resource", RUN_STEPS, "created"),
    "thread.run.step.in_progress": Row("resource", RUN_STEPS, "in_progress"),
    "thread.run.step.delta": Row("resource", RUN_STEPS, "delta"),
    "thread.run.step.completed": Row("resource", RUN_STEPS, "completed"),
    "thread.run.step.failed": Row("resource", RUN_STEPS, "failed"),
    "thread.run.step.cancelled": Row("resource", RUN_STEPS, "cancelled"),
    "thread.run.step.expired": Row("resource", RUN_STEPS, "expired"),
    "thread.message.created": Row("resource", MESSAGES, "created"),
    "thread.message.in_progress": Row("resource", MESSAGES, "in_progress"),
    "thread.message.delta": Row("resource", MESSAGES, "delta"),
    "thread.message.completed": Row("resource", MESSAGES, "completed"),
    "thread.message.incomplete": Row("resource", MESSAGES, "incomplete"),
    "error": Row("error"),
    "done": Row("done"),
}
"""Every event of the API reference, one row for each, and `done`.

A new event takes one row here. If the last word of its name is new, the word also goes into `Word` and `ROLES`. If the
event is about a new object, the `ResourceType` of the object also goes into `Assistants.resources`.

Events without a row are unknown. So is `thread.created`: it is about a thread, and threads are not folded.
"""

_UNKNOWN: Final = Row("unknown")

DONE: Final = "[DONE]"
"""The data that ends a body, whatever the name of the event. Some servers send `done` with other JSON, or without data.

If the data of a `done` is an object, its `status` may be the final status of the run.
"""

ENVELOPE: Final = ("event", "data")
"""The keys of an envelope, the data of an event sent without a name: its name, and its payload."""

ERROR: Final = "error"
"""The key of a nested error: `{"error": {...}}`. An error may also be flat, a text, or any other JSON."""

OBJECTS: Final = frozenset({"thread.run", "thread.run.step", "thread.message"})
"""The values of `object` that identify a whole object sent without an event name.

The name of the event is this value with the status: `thread.run` and "completed" give `thread.run.completed`. Without a
known status it is that of `created`, which gives the object none.
"""

STATUSES: Final[Container[object]] = tuple(word for word in get_args(Word) if word != "delta")
"""The statuses of whole objects that the name of an event may end in. A tuple, as a server may send any JSON."""

DELTAS: Final = frozenset({"thread.run.step.delta", "thread.message.delta"})
"""The values of `object` that identify a delta sent without an event name. Each is the name of the event too."""

# The end of a body.

BODY_END_STATUSES: Final = frozenset({"completed", "incomplete", "failed", "cancelled", "expired", "requires_action"})
"""The statuses of a run with which a body can end. All but `requires_action` also end the run."""

WAITING_STATUSES: Final = frozenset({"requires_action"})
"""The statuses with which a run waits for the next body: that of its tool outputs."""

RUN_END_STATUSES: Final = BODY_END_STATUSES - WAITING_STATUSES
"""The statuses that end a run."""

OUTCOMES: Final[tuple[tuple[Condition, str | None], ...]] = (
    ("error", "error"),
    ("final status", None),  # the outcome is the status
    ("done", "unknown"),
    ("always", TRUNCATED),
)
"""What decides the outcome of a body, and the outcome. The first row that applies to the body counts."""


class Assistants(Protocol[Update]):
    """The tables of this module, in the form in which the engine asks for them."""

    resources = (RUN_STEPS, MESSAGES)
    final_statuses = BODY_END_STATUSES
    waiting_statuses = WAITING_STATUSES
    outcomes = OUTCOMES
    done_mark = DONE.encode()
    problem_type = updates.Problem

    def decode(self, name: str, data: bytes | str, *, torn: bool, openers: int) -> Event[Update]:
        row = EVENTS.get(name, _UNKNOWN)
        if len(data) <= len(DONE) and (data in (self.done_mark, DONE) or (not data and row.kind == "done")):
            return Event("done", name)
        if row.kind == "unknown" and name != DEFAULT_NAME and not torn:
            return Event("unknown", name)
        try:
            payload = parse_json(data, openers)
        except ValueError as exc:
            return _not_json(row, name, text_of(data), str(exc), torn=torn)
        return _event_by_payload(payload) if name == DEFAULT_NAME else _event_of_row(row, name, payload)

    def error(self, payload: Json) -> JSONObject:
        """Return the error object of an error event, with a `message`.

        The error is the value of the key `ERROR` if that is an object or the key is the only one, or else the payload.
        If it has no `message`, the text under its key `ERROR` becomes the message or, without such a text, the JSON of
        the object. An error that is not an object becomes the `message` of a new object.
        """
        nested = payload.get(ERROR) if isinstance(payload, dict) else None
        if isinstance(nested, dict) or (isinstance(payload, dict) and nested is not None and len(payload) == 1):
            payload = nested
        if not isinstance(payload, dict):
            return {"message": payload if isinstance(payload, str) else dump_json(payload)}
        if isinstance(message := payload.get("message"), str) and message:
            return payload
        text = payload.get(ERROR)
        return {**payload, "message": text if isinstance(text, str) and text else dump_json(payload)}

    def run_updated(self, number: int, payload: JSONObject) -> Update:
        run, action = Run.wrap(payload), required_action(payload)
        return updates.RunUpdated(number, run) if action is None else updates.RequiresAction(number, run, action)

    def error_received(self, number: int, error: JSONObject, raw: str) -> Update:
        return updates.ErrorReceived(number, ErrorObject.wrap(error), raw)

    def unknown_event(self, number: int, name: str, raw: str) -> Update:
        return updates.UnknownEvent(number, name, raw)

    def problem(self, report: Report[Update]) -> Update:
        number, kind, path, raw, message, resource, ident = report
        step_id, message_id = (ident if resource is each else None for each in (RUN_STEPS, MESSAGES))
        return updates.Problem(number, kind, path, raw, message, step_id, message_id)

    def fragment(self, update: Update) -> Fragment[Update] | None:
        match update:
            case updates.ToolCallDelta(number, owner, int() as index, part_id, delta):
                return Fragment(number, RUN_STEPS, owner, index, part_id, delta)
            case updates.ContentDelta(number, owner, int() as index, delta):
                return Fragment(number, MESSAGES, owner, index, None, delta)
            case _:
                return None


ASSISTANTS: Final = Assistants()


def _event_of_row(row: Row, name: str, payload: Json, within: tuple[str, ...] = ()) -> Event[Update]:
    """Make the event of a row of `EVENTS`.

    Relays send the name in an envelope too: a payload that is exactly an envelope of the same name is opened, once.

    Args:
        row: what the name says.
        name: the name.
        payload: the payload, or an envelope of it.
        within: the keys in the data that lead to `payload`.

    """
    if isinstance(payload, dict) and len(payload) == len(ENVELOPE):
        name_key, data_key = ENVELOPE
        if payload.get(name_key) == name and data_key in payload:
            payload, within = payload[data_key], (*within, data_key)
    kind, role = row.kind, row.role
    if kind == "done" or (within and payload == DONE):
        status = payload.get("status") if isinstance(payload, dict) else None
        return Event("done", name, status=status if isinstance(status, str) and status in BODY_END_STATUSES else None)
    if role == "delta" or not isinstance(payload, dict):
        return Event(kind, name, payload, row.resource, role, within=within)
    status = payload.get("status")
    if status is None and row.names_status:
        payload, status = {**payload, "status": row.word}, row.word
    run = None if row.run_key is None else payload.get(row.run_key)
    if not isinstance(run, str) or not run:
        run = None
    if kind != "run" or not isinstance(status, str):
        status = None
    return Event(kind, name, payload, row.resource, role, status, run, run is not None and row.begins, within)


def _event_by_payload(payload: Json) -> Event[Update]:
    """Make the event of data that was sent without a name: an envelope, an error, an object, or an unknown event."""
    if not isinstance(payload, dict):
        return Event("unknown", DEFAULT_NAME, payload)
    name_key, data_key = ENVELOPE
    name, kind = payload.get(name_key), payload.get("object")
    if isinstance(name, str) and data_key in payload:
        return _event_of_row(EVENTS.get(name, _UNKNOWN), name, payload[data_key], (data_key,))
    if payload.get(ERROR) is not None:
        return Event("error", DEFAULT_NAME, payload)
    if isinstance(kind, str) and (kind in DELTAS or kind in OBJECTS):
        name = kind if kind in DELTAS else name_by_status(kind, payload)
        return _event_of_row(EVENTS[name], name, payload)
    return Event("unknown", DEFAULT_NAME, payload)


def name_by_status(kind: str, payload: JSONObject) -> str:
    """Return the name of the event that a whole object is, by its `object`, a member of `OBJECTS`, and its status."""
    status = payload.get("status")
    name = f"{kind}.{status if status in STATUSES else 'created'}"
    return name if name in EVENTS else f"{kind}.created"


def _not_json(row: Row, name: str, text: str, message: str, *, torn: bool) -> Event[Update]:
    """Make the event of data that is not JSON.

    An error may have any text as its data. So may an unknown event, unless its block is torn (the blank line at its end
    is missing) or its data starts with "{" or `[DONE]`: then it may be a damaged envelope or a damaged `done`. Nor is
    an HTML page an event: a gateway put it in the place of one. Any other event is undecodable.
    """
    if row.kind == "error":
        return Event("error", name, text)
    is_page = text.lstrip()[:1] == "<" and is_html(text)
    if row.kind == "unknown" and not torn and not is_page and not text.lstrip().startswith(("{", DONE)):
        return Event("unknown", name)
    if row.kind == "done" or text.startswith(DONE):
        message = f"expected the data {DONE}, got other data"
    elif is_page:
        message = f"expected JSON text, got {HTML}"
    return Event("undecodable", name, message=message)


def required_action(run: JSONObject | None) -> RequiredAction | None:
    """Return the required action of a run with the status "requires_action"; None for any other run."""
    action = run.get("required_action") if run is not None and run.get("status") == "requires_action" else None
    return RequiredAction.wrap(action) if isinstance(action, dict) else None
