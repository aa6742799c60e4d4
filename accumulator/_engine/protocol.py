"""What a protocol declares, so that the engine folds its streams.

To add a protocol, write:

1. The `Policy` and the `Schema` of each object: which texts are appended, which lists are keyed, and by what.
2. The classes of the updates. Their union includes `BodyEnded`, which is the engine's. The update about a fragment of a
   part is a `msgspec.Struct` with the fields `event_number` and `delta`, a `Model`.
3. A `ResourceType` for each object: where its delta and its parts are, and what makes the updates about it.
4. A subclass of `Protocol`: `decode` says what each event is, `outcomes` what decides how a body ended, and the other
   methods make one update each.
5. A subclass of `BaseAccumulator` with that as its `_protocol`, and with methods to read the objects.

`tests/chat_chunks.py` is an example. Nothing below the protocol changes for it. The engine knows the names of no events
but `message`, which stands for no name, and `done`.
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
    from accumulator._engine.body import Condition
    from accumulator._fold.changes import ProblemKind

U = TypeVar("U")
"""The protocol's union of updates."""
U_co = TypeVar("U_co", covariant=True)

Role: TypeAlias = Literal["repeat", "delta", "ending"]
"""What an event is to the resource that it names.

repeat: the object itself, by an event that is no ending. It may come again, and late.
delta: an increment of it.
ending: the object itself, at its end.
"""

Kind: TypeAlias = Literal["resource", "run", "error", "done", "unknown", "undecodable"]
"""What an event is about.

resource: an object that the engine folds.
run: an object that a whole body is about. It is not folded: the last one of each id is kept as it was sent.
error: the server reports an error.
done: the mark of a body's end.
unknown: none of these. It is handed out, and changes nothing.
undecodable: the data does not fit the name. It is a problem.
"""


class Event(msgspec.Struct, Generic[U], frozen=True, gc=False):
    """What `Protocol.decode` says of an event.

    Attributes:
        kind: what it is about.
        name: its name.
        payload: its JSON, where its kind has one.
        resource: the type of the resource, for an event about one.
        role: what it is to that resource.
        status: the status of the run, if the event says it.
        run: the id of the run that the event is about or belongs to, if it says it.
        begins: whether the event shows that this run has begun: one about an object of it, or one that starts it.
        within: the keys in its data that lead to the payload.
        message: what is wrong with an undecodable one.

    """

    kind: Kind
    name: str
    payload: Json = None
    resource: ResourceType[U] | None = None
    role: Role = "repeat"
    status: str | None = None
    run: str | None = None
    begins: bool = False
    within: tuple[str, ...] = ()
    message: str = ""


class ResourceType(msgspec.Struct, Generic[U_co], kw_only=True, eq=False, dict=True):
    """A kind of object that events build, such as a run step or a chat completion.

    Attributes:
        name: its name in checkpoints, a plural.
        schema: its schema.
        delta_path: the keys in a delta event's payload that lead to the increment; () if the payload is the increment.
        parts_path: the keys in the object that lead to the list of its parts.
        created, done: make an update about the object, from the event's number, the object's id and its JSON.
        updated: makes one from the number, the id and a function that returns the JSON as it was after the event.
        part_created, part_done: make an update about a part, from the event's number, the object's id, the part's index
            and its JSON. The index is None for a part that was sent without a usable one.
        part_delta: makes the update about a fragment, from the event's number, the object's id, the part's index and
            id, and the fragment as sent.
        delta_has_part_id: whether that update names the part's id.
        part_end_field: the field that ends its part once it has a value; None if parts end with their object.
        frozen_by_ending: fields that a repeat after the first ending leaves as they are.
        repeated_by: the names of the events that are repeats of it whatever their data, if that has an id.

    """

    name: str
    schema: Schema
    delta_path: tuple[str, ...]
    parts_path: tuple[str, ...]
    created: Callable[[int, str, JSONObject], U_co]
    updated: Callable[[int, str, Callable[[], JSONObject]], U_co]
    done: Callable[[int, str, JSONObject], U_co]
    part_created: Callable[[int, str, int | None, JSONObject], U_co]
    part_delta: Callable[[int, str, int | None, Json, JSONObject], U_co]
    part_done: Callable[[int, str, int | None, JSONObject], U_co]
    delta_has_part_id: bool = False
    part_end_field: str | None = None
    frozen_by_ending: tuple[str, ...] = ()
    repeated_by: frozenset[bytes] = frozenset()

    @cached_property
    def parts(self) -> Schema:
        """The schema of the list of parts."""
        return self.schema.at(self.parts_path)

    @cached_property
    def part_schema(self) -> Schema:
        """The schema of one part by itself."""
        return self.parts.entry()


class Fragment(msgspec.Struct, Generic[U], frozen=True):
    """What an update about a fragment says.

    Attributes:
        event_number: the event.
        resource: the type of the object.
        owner: the object's id.
        index: the part's index.
        part_id: the part's id, None while there was none.
        delta: the fragment.

    """

    event_number: int
    resource: ResourceType[U]
    owner: str
    index: int
    part_id: Json
    delta: Model


class Report(NamedTuple, Generic[U]):
    """A problem of an event, for the protocol to make its update.

    Attributes:
        event_number: the event.
        kind: the kind of problem.
        path: JSONPath of the place within the payload.
        raw: the text concerned; see `Fault`.
        message: what was expected, and what the event has.
        resource: the type of the resource that the event is about, if it is about one.
        id: the id of that resource.

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
        waiting_statuses: those of them with which a run goes on in the next body.
        outcomes: pairs of a condition and an outcome; the first condition that holds decides. The outcome None stands
            for the last status, and `TRUNCATED` for a body that was cut short.
        done_mark: the data that ends a body, whatever the event's name; b"" if there is none.
        problem_type: the class of what `problem` makes. Checkpoints hold instances of it.

    """

    resources: tuple[ResourceType[U], ...]
    final_statuses: frozenset[str]
    waiting_statuses: frozenset[str] = frozenset()
    outcomes: Sequence[tuple[Condition, str | None]]
    done_mark: bytes
    problem_type: type[U]

    @abstractmethod
    def decode(self, name: str, data: bytes | str, *, torn: bool, openers: int) -> Event[U]:
        """Say what a framed event is. It never raises: an event that is wrong is undecodable.

        Args:
            name: its name, "message" if it has none.
            data: its data. A str in rare cases: if name or data has a lone surrogate, or from a checkpoint.
            torn: whether the blank line behind the event is missing, so that its data may be cut.
            openers: at least the number of `[` and `{` in the data, for `parse_json`.

        """

    @abstractmethod
    def error(self, payload: Json) -> JSONObject:
        """Return the error object in the payload of an error event."""

    @abstractmethod
    def run_updated(self, number: int, payload: JSONObject) -> U:
        """Make the update about the run."""

    @abstractmethod
    def error_received(self, number: int, error: JSONObject, raw: str) -> U:
        """Make the update about an error; `raw` is the text of the event's payload."""

    @abstractmethod
    def unknown_event(self, number: int, name: str, raw: str) -> U:
        """Make the update about an unknown event."""

    @abstractmethod
    def problem(self, report: Report[U]) -> U:
        """Make the update about a problem."""

    @abstractmethod
    def fragment(self, update: U) -> Fragment[U] | None:
        """Return what an update about a fragment says; None for any other update, and for one without an index."""
