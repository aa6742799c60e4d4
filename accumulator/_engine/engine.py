"""The state of one accumulator, and what an event does to it, whatever source and body the event is from."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Final, Generic, cast

import msgspec

from accumulator._engine.body import SPARE_TURNS, Body, BodyEnded, OpenIds, Turn
from accumulator._engine.fast_path import FastPath
from accumulator._engine.limits import (
    DEFAULT_LIMITS,
    MOST_PER_BYTE,
    PROBLEM_SIZE,
    REMEASURED,
    RESOURCE_SIZE,
    SHOWN,
    STATUS_SIZE,
    VALUE_SIZE,
    Bounds,
    Limits,
    over,
)
from accumulator._engine.protocol import Event, Protocol, Report, ResourceType, U
from accumulator._engine.resource import Resource
from accumulator._errors import LimitError
from accumulator._fold.changes import TextGrowth
from accumulator._fold.nodes import is_empty, size_of
from accumulator._fold.policy import WrongShape
from accumulator._formats import describe
from accumulator._json import (
    MAX_DEPTH,
    Json,
    JSONObject,
    count_openers,
    count_values,
    dump_json,
    has_stack,
    json_depth,
    json_type,
    parse_json,
    path_keys,
    printable,
    render_path,
    text_of,
    value_at,
)
from accumulator._sse import DEFAULT_NAME

if TYPE_CHECKING:
    from accumulator._fold.changes import Fault, Growth
    from accumulator._fold.nodes import Entry, Node
    from accumulator._sse import Frame


USUAL_NESTING: Final = 12
"""Levels that the payloads of nearly all events stay within, so that their depth need not be measured."""


MOST_NAMES: Final = 64
"""How many names of events are kept decoded, each shorter than so many bytes."""


_DEFAULT_BOUNDS: Final = Bounds(DEFAULT_LIMITS)
"""The bounds of nearly all accumulators. They never change, so that all share them."""


class Engine(Generic[U]):
    """The state of one accumulator.

    Attributes:
        protocol: what the events mean.
        resources: the resources, by the name of their type and by id, in order of first sight.
        run: the run of the last body that named one, as last sent.
        runs: every run as last sent, by id, in order of first sight; "" stands for no id.
        problems: the problems that are kept.
        problem_count: the number of all problems so far.
        count: the number of events so far.
        body: the body that began last.
        fast_path: the fast path, with its templates.
        kept: the object that is kept as the last event about it sent it, in the last body; None if there is none. The
            same data changes nothing.
        nesting: an upper bound of how deep what is folded is nested: that of the deepest payload, or `USUAL_NESTING`.
        openers: an upper bound of how deep the event in hand is nested.
        reported: the first problem of the last event, with a sentence about it; None if the event had no problem.
        touched: whether the event in hand may have changed something.
        interrupted: the problems about exceptions that broke the work off, to be handed out, each as in `reported`.
        limits: the limits, and `bounds` the same as numbers.
        size: an upper bound of the size of all that is held, and of what came and waits; see `limits`.
        exact: whether `size` leaves out what waits. Then no event goes the fast path, and each is checked by itself.
        entries: an upper bound of the entries of the longest list that deltas add to.

    """

    def __init__(self, protocol: Protocol[U], limits: Limits = DEFAULT_LIMITS) -> None:
        """Start with no events."""
        self.protocol = protocol
        self.limits = limits
        self.bounds = _DEFAULT_BOUNDS if limits is DEFAULT_LIMITS else Bounds(limits)
        self.size = 0
        self.exact = False
        self.entries = 0
        self.problem_count = 0
        self._measured = 0  # the size when it was measured last
        self._longest = 0  # the entries of the longest list then
        self.resources: dict[str, dict[str, Resource[U]]] = {kind.name: {} for kind in protocol.resources}
        self.run: JSONObject | None = None
        self.runs: dict[str, JSONObject] = {}
        self.problems: list[U] = []
        self.count = 0
        self.body = Body()
        self.fast_path: FastPath[U] = FastPath(self.bounds)
        self.kept: Resource[U] | None = None
        self.nesting = USUAL_NESTING
        self.openers = 0
        self.reported: tuple[U, str] | None = None
        self.touched = False
        self.interrupted: deque[tuple[U, str]] = deque()
        self._names: dict[bytes | str, str] = {}  # names of events, decoded
        self._open: dict[Resource[U], None] = {}
        self._turns: list[Turn] = []  # what opened and closed: enough of it to tell what is open
        self._ranks = {kind.name: rank for rank, kind in enumerate(protocol.resources)}

    def outcome(self, body: Body) -> str | None:
        """Return the outcome of a body, None while it is open."""
        return body.outcome(self.protocol.outcomes, self.protocol.final_statuses)

    def end_body(self, body: Body) -> U:
        """End a body, and make the update about it."""
        body.ended = True
        return cast("U", BodyEnded(self.count, cast("str", self.outcome(body)), OpenIds(self._turns, len(self._turns))))

    def new_resource(self, kind: ResourceType[U], ident: str) -> Resource[U]:
        """Return a resource that is not known. `keep` stores it."""
        return Resource(kind, ident, (self._ranks[kind.name], len(self.resources[kind.name])))

    def keep(self, resource: Resource[U]) -> None:
        """Store a new resource, and note whether it is open."""
        self.resources[resource.type.name][resource.id] = resource
        if resource.is_open:
            self._note_turn(resource)

    def _note_turn(self, resource: Resource[U]) -> None:
        """Note that a resource opened or closed."""
        is_open = resource not in self._open
        if is_open:
            self._open[resource] = None
        else:
            del self._open[resource]
        self._turns.append((resource.place, resource.id, is_open))
        if len(self._turns) > 2 * len(self._open) + SPARE_TURNS:
            self._renew_turns()

    def _renew_turns(self) -> None:
        """Begin a new list of what is open: what was handed out reads the old one."""
        self._turns = [(each.place, each.id, True) for each in self._open]

    def forget(self) -> None:
        """Forget all that was folded, as between two runs of one source. The last body stays, and what waits."""
        self.resources = {name: {} for name in self.resources}
        self.run, self.runs, self.problems = None, {}, []
        self.fast_path.forget_all()
        self._open, self._turns, self.kept = {}, [], None
        self.measure()

    # An event.

    def apply(self, body: Body, frame: Frame, *, build_updates: bool, torn: bool = False) -> list[U]:
        """Apply an event of a body, and return its updates.

        Args:
            body: the body.
            frame: the event.
            build_updates: whether updates about resources and runs are made. All other updates are always made.
            torn: whether the blank line behind the event is missing.

        """
        self.count += 1
        self.reported = None
        name, data, _, _ = frame
        bounds = self.bounds
        is_long = len(data) > bounds.short
        if is_long:
            try:
                bounds.check_values(data)
            except LimitError as error:
                raise self._place(error) from None
        event = self.protocol.decode(self._names.get(name) or self._name(name), data, torn=torn, openers=self.openers)
        try:
            if is_long or len(event.name) > bounds.name:
                bounds.check_event(event.name, event.payload)
            if event.kind == "resource":
                updates = self._apply_to_resource(body, event, frame, build_updates=build_updates)
                if not body.named:
                    self._name_run(body, event)
            else:
                updates = self._apply_to_body(body, event, data, build_updates=build_updates)
        except WrongShape as wrong:
            return [self._report_shape(wrong, event, data)]
        except LimitError as error:
            raise self._place(error, event.payload) from None
        if event.status is not None and event.kind != "run":
            body.status = event.status
        return updates

    def _name(self, name: bytes | str) -> str:
        """Return the name of an event as text, and keep it if not many are kept."""
        text = name_of(name)
        if len(self._names) < MOST_NAMES and len(name) < MOST_NAMES:
            self._names[name] = text
        return text

    def _apply_to_body(self, body: Body, event: Event[U], data: bytes | str, *, build_updates: bool) -> list[U]:
        """Apply an event that is about no resource."""
        protocol = self.protocol
        if event.kind == "unknown":
            return [protocol.unknown_event(self.count, event.name, payload_text(event, data))]
        if event.kind == "undecodable":
            return [self._report_undecodable(payload_text(event, data), event.message)]
        if event.kind == "error":
            error = protocol.error(event.payload)
            self.touched = True
            if body.error is None:  # the first says what happened, later ones what followed from it
                body.error = cast("dict[str, object]", error)
            return [protocol.error_received(self.count, error, payload_text(event, data))]
        self.touched = True
        if event.kind == "run":
            run = self._apply_to_run(body, event, data)
            return [protocol.run_updated(self.count, run)] if build_updates else []
        body.done = True
        return []

    def begin_body(self, body: Body) -> None:
        """Make a body the last one. Until it names its run, that is the run that waits since the body before."""
        body.began = True
        self.kept = None  # its run may not be that of this body
        if self.body.status in self.protocol.waiting_statuses:
            body.run = self.body.run
        self.body = body

    def continue_body(self) -> Body:
        """Return a body that goes on where the last one ended: with its run, status and error. It is not yet the last.

        `Body.done` is not taken over, because the body would end with its first event.
        """
        last = self.body
        return Body(began=last.began, status=last.status, error=last.error, run=last.run, named=last.named)

    def _name_run(self, body: Body, event: Event[U]) -> None:
        """Take the run of an event for that of a body that has named none; one that never began only if none waits."""
        if event.run is not None and (event.begins or event.run in self.runs or body.run is None):
            body.run, body.named = event.run, True

    def _apply_to_run(self, body: Body, event: Event[U], data: bytes | str) -> JSONObject:
        """Keep a run as it was sent, and return it. Only the body's own run decides about the body.

        An event with no id, or with one that never began, is about the body's run: servers make up ids for failures.
        """
        payload = _object(event.payload)
        if len(data) > self.bounds.short:
            self.bounds.check_ids(payload)
        self._require_room(data, STATUS_SIZE)
        self.size += self._most(data) + STATUS_SIZE
        if not body.named:
            self._name_run(body, event)
        ident = event.run
        if ident is None or not (event.begins or ident in self.runs) or ident == body.run:
            ident = body.run
            self.run = payload
            body.status = body.status if event.status is None else event.status
        self.runs[ident or ""] = payload
        return payload

    def _apply_to_resource(self, body: Body, event: Event[U], frame: Frame, *, build_updates: bool) -> list[U]:
        payload, kind, role, data = event.payload, event.resource, event.role, frame[1]
        if not isinstance(payload, dict) or kind is None or not (ident := payload.get("id")) or type(ident) is not str:
            raise _no_id(payload)
        resource = self.resources[kind.name].get(ident) or self.new_resource(kind, ident)
        bounds, length, new = self.bounds, len(data), resource.state == "new"
        most = (MOST_PER_BYTE * length if self.size <= bounds.cheap else self._most(data)) + RESOURCE_SIZE
        if (
            length > bounds.short
            or (new and len(self._open) >= bounds.open)
            or self.entries + length > bounds.entries
            or self.size + most > bounds.total
        ):
            self._check_limits(resource, event, payload, data)
        if self.openers > self.nesting:
            self.nesting = max(self.nesting, json_depth(payload))
        self.touched = True
        applied = resource.apply(role, payload, data, build_updates=build_updates)
        changes, growth = applied.changes, applied.growth if role == "delta" else None
        if isinstance(growth, TextGrowth):
            self.size += VALUE_SIZE + len(growth.fragment)
        else:
            self.size += most
            added = self.openers if growth is None else 1
            self.entries = max(self.entries, added) if new or applied.kept else self.entries + added
        if new:
            self.keep(resource)
        elif resource.is_open is not (resource in self._open):
            self._note_turn(resource)
        if role != "delta" or changes.replaced or changes.outside_parts:
            self.fast_path.forget(resource)  # the last for the moment of the update: see `History`
            if role == "repeat" and not event.within and resource.data == data and body is self.body:
                self.kept = resource if self.fast_path.enabled else None
        elif changes.parts:
            self._learn(resource, event, frame, changes.parts[-1].entry, growth)
        problems = [self._report_fault(fault, resource) for fault in changes.faults] if changes.faults else []
        return [*resource.build_updates(self.count, applied), *problems] if build_updates else problems

    def _learn(self, resource: Resource[U], event: Event[U], frame: Frame, entry: Entry, growth: Growth | None) -> None:
        """Learn a template from an event that did one thing; after another one foretell that of the part it opened."""
        if not self.fast_path.enabled or not isinstance(frame[1], bytes):
            return
        if resource.type.delta_has_part_id and is_empty(entry.fields.get("id")):
            return  # the part may get its id later, and its updates would name it then
        if growth is not None:
            self.fast_path.learn(resource, event, frame, growth)
        elif resource.state == "open":
            self.fast_path.foretell(resource, frame[0], entry)

    # Limits.

    def _check_limits(self, resource: Resource[U], event: Event[U], payload: JSONObject, data: bytes | str) -> None:
        """Raise `LimitError` if an event about a resource is over a limit."""
        bounds, new = self.bounds, resource.state == "new"
        if new and len(self._open) >= bounds.open:
            raise over("max_open", bounds.open, "objects that have not ended")
        if len(data) > bounds.short:
            bounds.check_ids(payload)
        if self._may_fill_a_list(len(data)):
            sent, path = value_at(payload, resource.type.delta_path if event.role == "delta" else ())
            bounds.check_lists(resource.root, sent, resource.type.schema, path, event.role)
        self._require_room(data, RESOURCE_SIZE if new else 0)

    def _may_fill_a_list(self, length: int) -> bool:
        """Tell whether an event of a length could fill a list. If that is due, the longest list is looked for.

        It is due once as much came as was held: the more is held, the more that costs.
        """
        most, added = self.bounds.entries, self.size - self._measured
        is_due = self.entries - self._longest > most // 2 and added >= max(self.bounds.cheap, self._measured)
        if self.entries + length > most and is_due:
            self.measure()
        return self.entries + length > most

    def _require_room(self, data: bytes | str, extra: int = 0) -> None:
        """Raise `LimitError` if there is no room for all that is in an event, and something more."""
        if self.size + MOST_PER_BYTE * len(data) + extra <= self.bounds.total:
            return
        if not self.has_room(len(data) + VALUE_SIZE * count_values(data) + extra):
            raise over("max_total_size", self.bounds.total, f"characters, and {VALUE_SIZE} for each value, in all")

    def _most(self, data: bytes | str) -> int:
        """Return the most that an event can make the accumulator hold, by the values that could be in it.

        That is far less than `MOST_PER_BYTE` for each byte, but takes a look at the data.
        """
        commas = data.count(",") if isinstance(data, str) else data.count(b",")
        return len(data) + VALUE_SIZE * (1 + self.openers + commas)

    def has_room(self, size: int) -> bool:
        """Tell whether so much more can be held. What is held is measured if that is due."""
        total = self.bounds.total
        if self.size + size > total and self.size - self._measured >= total // REMEASURED:
            self.measure()
        return self.size + size <= total

    def measure(self) -> None:
        """Measure all that is held, without what waits. Costs a pass over it, but no text is read."""
        known = [resource for resources in self.resources.values() for resource in resources.values()]
        problems = cast("list[dict[str, Json]]", msgspec.to_builtins(self.problems))
        texts = (text for problem in problems for text in problem.values() if isinstance(text, str))
        size = sum(map(len, texts)) + PROBLEM_SIZE * len(problems) + RESOURCE_SIZE * len(known)
        nodes: list[Node] = [*self.runs.values(), *(resource.node for resource in known)]
        held, self._longest = size_of(nodes, VALUE_SIZE)
        self.size = self._measured = size + held
        self.entries = self._longest
        self.exact = True

    def _place(self, error: LimitError, payload: Json = None) -> LimitError:
        """Put the number of the event, and the id of the object that it is about, into an error."""
        ident = payload.get("id") if isinstance(payload, dict) else None
        owner = f", {ident[:SHOWN]}" if isinstance(ident, str) and ident else ""
        error.event_number = self.count
        error.args = (f"event {self.count}{owner}: {error}",)
        return error

    # Interrupts.

    def note_interrupt(self) -> None:
        """Report that an exception broke the work on an event off, and make all state whole.

        Text and updates of the events at hand may be lost. Costs what is folded.
        """
        for known in self.resources.values():
            for resource in known.values():
                resource.mend()
        self.fast_path.forget_all()
        self.kept = None
        self._open = {each: None for known in self.resources.values() for each in known.values() if each.is_open}
        self._renew_turns()
        before, self.reported = self.reported, None
        message = "expected to fold what was read, an exception broke that off: text or updates may be missing"
        self._report(Report(self.count, "interrupted", "$", "", message, None, None))
        self.interrupted.append(cast("tuple[U, str]", self.reported))
        self.reported = before

    def take_interrupted(self) -> list[U]:
        """Return the next problem about an exception that broke the work off, to be handed out."""
        self.reported = self.interrupted.popleft()
        return [self.reported[0]]

    # Problems.

    def _report(self, report: Report[U]) -> U:
        self.touched = True
        problem = self.protocol.problem(report._replace(message=printable(report.message)))
        self.problem_count += 1
        texts = (report.kind, report.path, report.raw, report.message, report.id or "")
        size = PROBLEM_SIZE + sum(map(len, texts))
        if len(self.problems) < self.bounds.problems and self.has_room(size):
            self.problems.append(problem)
            self.size += size
        if self.reported is None:
            place = f"event {self.count}, {report.id}" if report.id else f"event {self.count}"
            self.reported = problem, f"{report.kind} at {report.path} ({place}): {report.message}"
        return problem

    def _report_fault(self, fault: Fault, resource: Resource[U]) -> U:
        path = render_path(path_keys(fault.path))
        return self._report(Report(self.count, fault.kind, path, fault.raw, fault.message, resource.type, resource.id))

    def _report_shape(self, wrong: WrongShape, event: Event[U], data: bytes | str) -> U:
        ident = event.payload.get("id") if isinstance(event.payload, dict) else None
        kind, ident = (event.resource, ident) if event.resource is not None and isinstance(ident, str) else (None, None)
        path, raw = render_path(path_keys(wrong.path)), payload_text(event, data)
        return self._report(Report(self.count, "shape", path, raw, wrong.message, kind, ident))

    def _report_undecodable(self, raw: str, message: str) -> U:
        return self._report(Report(self.count, "undecodable", "$", raw, message, None, None))

    def report_torn(self, rest: bytes) -> U:
        """Report a last block that was cut before its data."""
        self.count += 1
        self.reported = None
        return self._report_undecodable(text_of(rest), "expected a whole event, got the beginning of one")

    def report_foreign(self, text: bytes) -> U:
        """Report text that came in the place of the events of a body, or its beginning."""
        self.count += 1
        self.reported = None
        return self._report_undecodable(text_of(text), f"expected server-sent events, got {describe(text)}")

    def reject(self, report: Report[U]) -> U:
        """Count an event that is left out whole, and report why. The number of the event is put into the report."""
        self.count += 1
        self.reported = None
        return self._report(report._replace(event_number=self.count))

    def count_too_large(self, error: LimitError) -> LimitError:
        """Count an event that was too large, and return its error with the event's number in the message."""
        self.count += 1
        return self._place(error)

    def require_stack(self, data: bytes | str, known: int = 0) -> int:
        """Raise `RecursionError` if the stack is too small to fold an event with such data. Nothing is folded then.

        Args:
            data: the data.
            known: levels of nesting that the stack is known to have room for.

        Returns:
            The levels that it is known to have room for now.

        """
        self.openers = openers = count_openers(data)
        levels = self.nesting
        if openers > levels:
            levels = max(levels, min(openers, MAX_DEPTH))
        if levels <= known:
            return known
        if has_stack(levels):
            return levels
        try:
            levels = json_depth(parse_json(data))
        except ValueError:  # too deep for the decoder, or for the stack that is left
            levels = MAX_DEPTH
        levels = max(levels, self.nesting)
        if not has_stack(levels):
            raise RecursionError(f"expected stack for {levels} levels of nesting, too much of it is taken")
        return levels


def name_of(name: bytes | str) -> str:
    """Return an event's name as text, `DEFAULT_NAME` if it has none."""
    return text_of(name) or DEFAULT_NAME


def payload_text(event: Event[U], data: bytes | str) -> str:
    """Return the text of an event's payload as it was sent; encoded again if msgspec cannot find it in the data."""
    try:
        for key in event.within:
            (value,) = msgspec.structs.astuple(msgspec.json.decode(data, type=_holder(key)))
            data = bytes(cast("msgspec.Raw", value))
    except (UnicodeError, msgspec.DecodeError, RecursionError):
        return dump_json(event.payload)
    return text_of(data)


@cache
def _holder(key: str) -> type[msgspec.Struct]:
    """Return a class that reads the value of one key of an object as it was sent, and decodes nothing else."""
    return msgspec.defstruct("Holder", [("value", msgspec.Raw)], rename={"value": key})


def _no_id(payload: Json) -> WrongShape:
    ident = _object(payload).get("id")
    got = "an empty one" if ident == "" else json_type(ident)
    return WrongShape((None, "id"), f"expected a text that is not empty, got {got}")


def _object(payload: Json) -> JSONObject:
    if not isinstance(payload, dict):
        raise WrongShape(None, f"expected an object, got {json_type(payload)}")
    return payload
