"""Merge what the server says of a run now into what was folded of its stream.

Each object is an event, as its status says, and goes the way of all events: the life table decides about it, and the
folds, limits and problems are those of a stream. Only this is added:

- The rest of a text that the stream left half is an event of its own before that, a delta. So it is handed out like any
  other fragment, and a text that was cut contradicts nothing.
- A null in `expires_at`, which the server has once a step has ended, leaves what was streamed.
- An object that says nothing new is no event.
- A step of a run that the accumulator does not know, and another run than that of the body, are left out: a `conflict`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from accumulator._assistants.protocol import EVENTS, RUN_STEPS, name_by_status
from accumulator._assistants.updates import RunStepUpdated
from accumulator._engine.limits import SHOWN
from accumulator._engine.protocol import Report
from accumulator._errors import AccumulatorError, LimitError
from accumulator._fold.nodes import Object
from accumulator._fold.remainder import find_remainder
from accumulator._json import JSONObject, dump_json, parse_json, same_json
from accumulator._streams.openers import BYTES_LIKE, find_method, type_name
from accumulator._streams.sources import write_object

if TYPE_CHECKING:
    from accumulator._assistants.updates import Update
    from accumulator._engine.body import Body
    from accumulator._engine.engine import Engine
    from accumulator._engine.feed import Feed
    from accumulator._engine.resource import Resource

_RUN: Final = "thread.run"
_STEP: Final = "thread.run.step"
_DELTA: Final = "thread.run.step.delta"
_EXPIRY: Final = "expires_at"
_RUN_ID: Final = "run_id"


class Said(NamedTuple):
    """What the server says of an object.

    Attributes:
        text: its JSON text.
        payload: its JSON; None if the text is no JSON object.

    """

    text: str
    payload: JSONObject | None

    def member(self, key: str) -> str | None:
        """Return a text in it that is not empty, None if there is none."""
        value = None if self.payload is None else self.payload.get(key)
        return value if isinstance(value, str) and value else None


def read_said(steps: object, run: object, most: int) -> tuple[list[Said], Said | None]:
    """Return what the server says of steps, the oldest first, and of the run.

    Raises:
        LimitError: the texts have more than `most` characters.
        TypeError: something is neither a model nor a mapping. The message names the right call.

    """
    said: list[Said] = []
    size = 0
    for place, step in enumerate(_each_of(steps)):
        said.append(_read(step, f"steps[{place}]"))
        size += len(said[-1].text)
        if size > most:
            message = f"expected at most {most} characters in all steps (max_total_size), got more; none was merged"
            raise LimitError(message, limit="max_total_size", maximum=most)
    return _oldest_first(said), None if run is None else _read(run, "run")


def _each_of(steps: object) -> Iterable[object]:
    hint, got = "", type_name(steps)
    if isinstance(steps, Mapping):
        hint = ': give page["data"] of a page, [step] for one step'
    elif isinstance(steps, AsyncIterable):
        hint = ": give [step async for step in steps]"
    elif isinstance(steps, Awaitable):
        hint = ": await it and give its result"
    elif isinstance(steps, (str, *BYTES_LIKE)):
        hint = ": decode it, and give its steps"
    elif isinstance(steps, Iterable):
        return cast("Iterable[object]", steps)
    elif any(find_method(steps, name) for name in ("to_dict", "model_dump", "as_dict")):
        hint = ": give [step] for one step"
    raise TypeError(f"expected an iterable of run steps, got {got}{hint}")


def _read(value: object, what: str) -> Said:
    written = None if isinstance(value, type) else write_object(value, what)
    if written is None:
        raise TypeError(f"expected {what} to be a model or a mapping, got {type_name(value)}")
    try:
        payload = parse_json(written)
    except ValueError:  # the fold says what is wrong with it
        return Said(written.decode(), None)
    if not isinstance(payload, dict):
        return Said(written.decode(), None)
    return Said(dump_json(payload), payload)


def _oldest_first(said: list[Said]) -> list[Said]:
    """Sort by `created_at`. Those of one second stay in order, or are turned round where the list begins with the last.

    The API lists the newest first, unless it is asked for the other order.
    """
    times = [_created_at(each) for each in said]
    if times and times[0] > times[-1]:
        said, times = said[::-1], times[::-1]
    return [said[place] for place in sorted(range(len(said)), key=times.__getitem__)]


def _created_at(said: Said) -> float:
    created_at = None if said.payload is None else said.payload.get("created_at")
    usable = isinstance(created_at, (int, float)) and not isinstance(created_at, bool)
    try:
        return float(cast("float", created_at)) if usable else 0.0
    except OverflowError:
        return 0.0


class Reconciliation:
    """The merge of what the server says into the last body, which is continued for that, and ended again."""

    def __init__(self, engine: Engine[Update], feed: Feed[Update]) -> None:
        """Take the state, and a new feed of it."""
        self._engine = engine
        self._feed = feed
        self._updates: list[Update] = []
        self._error: AccumulatorError | None = None

    def merge(self, steps: list[Said], run: Said | None) -> list[Update]:
        """Merge what is said, one by one, and return the updates. An error is raised when all others are merged."""
        engine, last, count = self._engine, self._engine.body, self._engine.count
        body = self._feed.body = engine.continue_body()
        if run is not None and body.run is None and (ident := run.member("id")) is not None:
            body.run, body.named = ident, True
        try:
            self._merge_all(steps, run, last, body)
        except BaseException:
            body.done, body.ended = last.done, True
            if engine.count == count:
                engine.body = last
            elif not engine.interrupted:
                engine.note_interrupt()  # nobody gets what was made
            raise
        if self._error is not None:
            self._error.updates = self._updates
            raise self._error
        return self._updates

    def _merge_all(self, steps: list[Said], run: Said | None, last: Body, body: Body) -> None:
        if last.began:
            self._engine.body = body
        for step in steps:
            self._merge_step(step, body)
        if run is not None:
            self._merge_run(run, body)
        body.done = last.done
        if last.began and not self._updates:
            self._engine.body = last
        elif body.began:
            self._updates += self._feed.end()

    def _merge_step(self, said: Said, body: Body) -> None:
        ident, payload, kind = said.member("id"), said.payload, RUN_STEPS
        if payload is None or ident is None:
            self._apply(f"{_STEP}.created", said.text)
            return
        known = self._engine.resources[kind.name].get(ident)
        if known is None and self._is_foreign(owner := said.member(_RUN_ID), body):
            message = f"expected a step of {_shown(body.run)}, got one of {_shown(owner)}; it is left out"
            self._reject(Report(0, "conflict", f"$.{_RUN_ID}", said.text, message, kind, ident))
            return
        name = name_by_status(_STEP, payload)
        if known is None:
            self._apply(name, said.text)
            return
        before = known.json()
        if payload.get(_EXPIRY) is None and before.get(_EXPIRY) is not None:
            payload = {**payload, _EXPIRY: before[_EXPIRY]}
        is_ending = EVENTS[name].role == "ending"
        if same_json(before, payload) and (known.state == "ended" or not is_ending):
            return
        self._add_remainder(known, payload)
        known_updates = len(self._updates)
        self._apply(name, dump_json(payload))
        new = self._updates[known_updates:]
        if len(new) == 1 and isinstance(new[0], RunStepUpdated) and same_json(before, known.json()):
            del self._updates[known_updates:]

    def _add_remainder(self, known: Resource[Update], payload: JSONObject) -> None:
        """Apply the delta that adds what texts of a step lack. A step that is kept as it was sent lacks nothing."""
        node = known.node
        remainder = find_remainder(node, payload, known.type.schema) if isinstance(node, Object) else {}
        if remainder:
            self._apply(_DELTA, dump_json({"id": known.id, "object": _DELTA, "delta": remainder}))

    def _merge_run(self, said: Said, body: Body) -> None:
        ident, payload, runs = said.member("id"), said.payload, self._engine.runs
        if payload is None:
            self._apply(f"{_RUN}.created", said.text)
        elif self._is_foreign(ident, body):
            message = f"expected {_shown(body.run)}, got {_shown(ident)}; it is left out"
            self._reject(Report(0, "conflict", "$.id", said.text, message, None, None))
        elif ident not in runs or body.status != payload.get("status") or not same_json(runs[ident], payload):
            self._apply(name_by_status(_RUN, payload), said.text)

    def _is_foreign(self, run_id: str | None, body: Body) -> bool:
        """Tell whether an id is that of a run that the accumulator does not know, though it knows the body's."""
        return None not in {run_id, body.run} and run_id != body.run and run_id not in self._engine.runs

    def _apply(self, name: str, text: str) -> None:
        """Apply an event. Keep an error: what is wrong with one object leaves the others as they are."""
        try:
            self._feed.push_event(name, text)
            while (more := self._feed.step()) is not None:
                self._updates += more
        except AccumulatorError as error:
            self._keep(error)

    def _reject(self, report: Report[Update]) -> None:
        try:
            self._updates += self._feed.reject(report)
        except AccumulatorError as error:
            self._keep(error)

    def _keep(self, error: AccumulatorError) -> None:
        self._updates += error.updates
        self._error = self._error or error


def _shown(ident: str | None) -> str:
    return (ident or "")[:SHOWN]
