"""The seam: what a protocol declares, so that the engine folds its streams.

A protocol is one subclass of `Protocol`, with one `ResourceType` for each kind of object that its events build. Add one
as follows:

1. Write the `Policy` and the `Schema` of each object: which texts are appended, which lists are keyed, and by what.
2. Write a `ResourceType` for each object: where its delta and its parts are, and the updates about it.
3. Write the `Protocol`: name each event in `decode`, and say what decides the outcome.

The engine never looks at a name of an event and never makes a model; both are the protocol's. Nothing below a protocol
changes for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from accumulator._fold.policy import Schema
from accumulator._json import Json, JSONObject
from accumulator._model import Model

if TYPE_CHECKING:
    from accumulator._engine.body import Said
    from accumulator._fold.changes import ProblemKind

U = TypeVar("U")
"""The protocol's union of updates."""
U_co = TypeVar("U_co", covariant=True)

Role: TypeAlias = Literal["repeat", "delta", "ending"]
"""What an event is to the resource that it names.

repeat: the object itself before its end, be it the first time or again.
delta: an increment of it.
ending: the object itself, at its end.
"""

Kind: TypeAlias = Literal["resource", "run", "error", "done", "unknown", "undecodable"]
"""What an event is about.

resource: an object that the engine folds.
run: what the whole body is about. The last one is kept as it was sent.
error: the body has failed.
done: the mark of a body's end.
unknown: none of these; it is handed out and changes nothing.
undecodable: its data is not what its name calls for; a problem.
"""


class Event(msgspec.Struct, Generic[U], frozen=True):
    """An event that was decoded.

    Attributes:
        kind: what it is about.
        name: its name.
        payload: its JSON, where its kind has one.
        resource: the type of the resource, for an event about one.
        role: what it is to that resource.
        status: what it says of the body's status; None if nothing.
        within: the keys in its data that lead to the payload.
        message: what is wrong with an undecodable one.

    """

    kind: Kind
    name: str
    payload: Json = None
    resource: ResourceType[U] | None = None
    role: Role = "repeat"
    status: str | None = None
    within: tuple[str, ...] = ()
    message: str = ""


class ResourceType(msgspec.Struct, Generic[U_co], kw_only=True, eq=False, dict=True):
    """A kind of object that events build, such as a run step or a chat completion.

    Attributes:
        name: its name in checkpoints, a plural.
        schema: what the fold needs of it.
        delta_path: the keys in a delta event's payload that lead to the increment; () if the payload is the increment.
        parts_path: the keys in the object that lead to the list of its parts.
        delta_has_part_id: whether the updates about its fragments name the part's id.
        part_end_field: the field whose value, once it is not null, ends a part; None if parts end with their object.
        frozen_by_ending: fields that only endings change once there was one.
        created, updated, done: make the updates about the object, of an event's number, the object's id and its JSON.
        part_created, part_done: make the updates about a part: as above, with the part's index before its JSON. The
            index is None for a part that was sent without a usable one.
        part_delta: makes the update about a fragment: event number, object id, index, the part's id, and the fragment
            as sent. It must be a `msgspec.Struct` with the fields `event_number` and `delta`, a `Model`.

    """

    name: str
    schema: Schema
    delta_path: tuple[str, ...]
    parts_path: tuple[str, ...]
    created: Callable[[int, str, JSONObject], U_co]
    updated: Callable[[int, str, JSONObject], U_co]
    done: Callable[[int, str, JSONObject], U_co]
    part_created: Callable[[int, str, int | None, JSONObject], U_co]
    part_delta: Callable[[int, str, int | None, Json, JSONObject], U_co]
    part_done: Callable[[int, str, int | None, JSONObject], U_co]
    delta_has_part_id: bool = False
    part_end_field: str | None = None
    frozen_by_ending: tuple[str, ...] = ()

    @cached_property
    def parts(self) -> Schema:
        """The schema of the list of parts."""
        return self.schema.at(self.parts_path)

    @cached_property
    def part_schema(self) -> Schema:
        """The schema of one part by itself."""
        return self.parts.entry()


class Fragment(msgspec.Struct, Generic[U], frozen=True):
    """What an update about a fragment says: which part grew, and by what."""

    event_number: int
    resource: ResourceType[U]
    owner: str
    index: int
    part_id: Json
    delta: Model


class Report(NamedTuple, Generic[U]):
    """What is wrong with an event.

    Attributes:
        event_number: the event.
        kind: the kind of problem.
        path: JSONPath of the place within the payload.
        raw: the text of what was left out or replaced.
        message: what was expected and what was sent.
        resource: the type of the resource that it is about, and `id` its id; None for both if it is about none.

    """

    event_number: int
    kind: ProblemKind
    path: str
    raw: str
    message: str
    resource: ResourceType[U] | None
    id: str | None


class Protocol(ABC, Generic[U]):
    """All that the engine asks a protocol for.

    Attributes:
        resources: the kinds of objects, in the order in which `BodyEnded.open` lists them.
        final_statuses: the statuses that a body can end with.
        outcomes: what decides the outcome of a body, in order, with the outcome; None stands for the status.
        done_mark: the data of the event that ends a body, where data alone says so; b"" if none does.
        problem_type: the class of what `problem` makes, which checkpoints hold.

    """

    resources: tuple[ResourceType[U], ...]
    final_statuses: frozenset[str]
    outcomes: Sequence[tuple[Said, str | None]]
    done_mark: bytes
    problem_type: type[U]

    @abstractmethod
    def decode(self, name: str, data: bytes | str, *, torn: bool) -> Event[U]:
        """Say what a framed event is. Never raises: what is wrong with it makes it undecodable.

        Args:
            name: its name, "message" if it has none.
            data: its data; text only where UTF-8 cannot encode it.
            torn: whether its block lacked the blank line, so that its data may be cut.

        """

    @abstractmethod
    def error(self, payload: Json) -> JSONObject:
        """Return the error object in the payload of an error event."""

    @abstractmethod
    def run_updated(self, number: int, payload: JSONObject) -> U:
        """Make the update about the run."""

    @abstractmethod
    def error_received(self, number: int, error: JSONObject, raw: str) -> U:
        """Make the update about an error; `raw` is the event's data."""

    @abstractmethod
    def unknown_event(self, number: int, name: str, raw: str) -> U:
        """Make the update about an unknown event."""

    @abstractmethod
    def problem(self, report: Report[U]) -> U:
        """Make the update about a problem."""

    @abstractmethod
    def fragment(self, update: U) -> Fragment[U] | None:
        """Return what an update about a fragment says; None for any other update, and where there is no index."""
