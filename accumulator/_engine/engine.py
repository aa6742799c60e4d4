"""Which event goes where: to a step, a message, the run, the body that it came in, or into a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from accumulator._assistants.protocol import decode, error_json, text_of
from accumulator._assistants.runs import ErrorObject, RequiredAction, Run
from accumulator._assistants.updates import (
    ErrorReceived,
    Problem,
    RequiresAction,
    RunUpdated,
    UnknownEvent,
)
from accumulator._engine.body import Body, BodyEnded
from accumulator._engine.fast_path import Lanes, Learned
from accumulator._engine.resource import MessageLife, StepLife
from accumulator._fold.policy import Misfit, json_type, path_keys
from accumulator._json import MAX_DEPTH, count_openers, has_stack, json_depth, parse_json, render_path

if TYPE_CHECKING:
    from accumulator._assistants.protocol import Decoded
    from accumulator._assistants.updates import Update
    from accumulator._engine.body import Pending
    from accumulator._engine.resource import Life
    from accumulator._errors import LimitError
    from accumulator._fold.nodes import Json


class Dispatcher:
    """All that the events of one run came to, whatever bodies they came in.

    Attributes:
        steps: the run steps by id, in order of first sight.
        messages: the messages, the same.
        run: the run as its last event had it.
        problems: every problem so far.
        count: the events so far.
        body: the body that began last.
        lanes: the short ways that were learned.
        nesting: levels that nothing that came is nested deeper than.
        use_lanes: whether there are any; off, all events take the general way, to the same result.

    """

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.steps: dict[str, StepLife] = {}
        self.messages: dict[str, MessageLife] = {}
        self.run: dict[str, object] | None = None
        self.problems: list[Problem] = []
        self.count = 0
        self.body = Body()
        self.use_lanes = True
        self.nesting = 0
        self._open: dict[Life, None] = {}
        self._open_ids: tuple[str, ...] | None = ()
        self.lanes = Lanes()

    def end_body(self, body: Body) -> BodyEnded:
        """End a body."""
        body.ended = True
        if self._open_ids is None:
            lives = sorted(self._open, key=lambda life: (isinstance(life, MessageLife), life.rank))
            self._open_ids = tuple(life.id for life in lives)
        return BodyEnded(self.count, body.outcome or "unknown", self._open_ids)

    def step(self, ident: str) -> StepLife:
        """Return the life of a step, a new one if none is known; `keep` it once something was folded into it."""
        return self.steps.get(ident) or StepLife(ident, len(self.steps))

    def message(self, ident: str) -> MessageLife:
        """Return the life of a message, as `step` does."""
        return self.messages.get(ident) or MessageLife(ident, len(self.messages))

    def keep(self, life: StepLife | MessageLife) -> None:
        """Have a life among those that are known, and among the open ones while it is."""
        if isinstance(life, StepLife):
            self.steps[life.id] = life
        else:
            self.messages[life.id] = life
        if life.is_open != (life in self._open):
            self._open_ids = None
            if life.is_open:
                self._open[life] = None
            else:
                del self._open[life]

    def require_stack(self, data: bytes | str) -> None:
        """Raise `RecursionError` unless there is stack enough for an event with such data.

        So a caller who left too little finds that out before anything is changed.
        """
        self.nesting = max(self.nesting, min(count_openers(data), MAX_DEPTH))
        if has_stack(self.nesting):
            return
        try:
            depth = json_depth(parse_json(data))
        except ValueError:  # too deep for the decoder, or for what is left
            depth = MAX_DEPTH
        depth = max(depth, *(life.depth() for life in (*self.steps.values(), *self.messages.values())), 0)
        if not has_stack(depth):
            message = f"expected stack for {depth} levels of nesting, too much of it is taken"
            raise RecursionError(message)

    def counted(self, error: LimitError) -> LimitError:
        """Return the error of an event that was too large with the event's number in its message."""
        self.count += 1
        error.args = (f"event {self.count}: {error}",)
        return error

    def torn(self, rest: bytes) -> Problem:
        """Return the problem of a last block that is cut off before its data."""
        self.count += 1
        return self._undecodable(text_of(rest), "expected a whole event, got the beginning of one")

    def apply(self, body: Body, item: Pending, *, wanted: bool) -> list[Update]:
        """Apply one event of a body; of updates that are not `wanted` those about steps and messages are not made."""
        self.count += 1
        decoded = decode(item.name, item.data, torn=item.torn)
        try:
            return self._route(body, decoded, item, wanted=wanted)
        except Misfit as misfit:
            return [self._misfit(misfit, decoded, item)]

    def _route(self, body: Body, decoded: Decoded, item: Pending, *, wanted: bool) -> list[Update]:
        match decoded.kind:
            case "done":
                body.done = True
                return []
            case "step" | "message":
                return self._apply_to_life(decoded, _object(decoded.payload), item.data, wanted=wanted)
            case "run":
                return [self._apply_to_run(body, _object(decoded.payload))]
            case "error":
                body.error = cast("dict[str, object]", error_json(decoded.payload))
                return [ErrorReceived(self.count, ErrorObject.wrap(body.error), decoded.text(item.data))]
            case "unknown":
                return [UnknownEvent(self.count, decoded.name, decoded.text(item.data))]
            case "undecodable":
                return [self._undecodable(decoded.text(item.data), decoded.message)]
            case _:
                assert_never(decoded.kind)

    def _apply_to_life(
        self, decoded: Decoded, payload: dict[str, Json], data: bytes | str, *, wanted: bool
    ) -> list[Update]:
        ident = payload.get("id")
        if not isinstance(ident, str) or not ident:
            came = "an empty one" if ident == "" else json_type(ident)
            raise Misfit((None, "id"), f"expected a text that is not empty, got {came}")
        life = self.step(ident) if decoded.kind == "step" else self.message(ident)
        happened = life.apply(decoded.name.rpartition(".")[2], payload)
        self.keep(life)
        if happened.event != "delta":
            self.lanes.forget(life)  # a whole object may change what its fragments left alone
        elif happened.growth is not None and self.use_lanes and isinstance(data, bytes):
            sample = life.part_delta(self.count, happened.growth.change)
            self.lanes.learn(life, _learned(decoded, data), happened.growth, sample)
        problems = life.problems(self.count, happened)
        self.problems += problems
        return [*life.updates(self.count, happened), *problems] if wanted else [*problems]

    def _apply_to_run(self, body: Body, payload: dict[str, Json]) -> Update:
        status = payload.get("status")
        if isinstance(status, str):
            body.status = status
        self.run = cast("dict[str, object]", payload)
        run, action = Run.wrap(self.run), required_action(self.run)
        if status == "requires_action" and action is not None:
            return RequiresAction(self.count, run, action)
        return RunUpdated(self.count, run)

    def _misfit(self, misfit: Misfit, decoded: Decoded, item: Pending) -> Problem:
        ident = decoded.payload.get("id") if isinstance(decoded.payload, dict) else None
        ident = ident if isinstance(ident, str) else None
        of_step, of_message = (ident if decoded.kind == kind else None for kind in ("step", "message"))
        raw = decoded.text(item.data)
        problem = Problem(
            self.count, "shape", render_path(path_keys(misfit.path)), raw, misfit.message, of_step, of_message
        )
        self.problems.append(problem)
        return problem

    def _undecodable(self, raw: str, message: str) -> Problem:
        problem = Problem(self.count, "undecodable", "$", raw, message, None)
        self.problems.append(problem)
        return problem


def required_action(run: dict[str, object] | None) -> RequiredAction | None:
    """Return what a run waits for, by its last event, None if for nothing."""
    action = run.get("required_action") if run is not None and run.get("status") == "requires_action" else None
    return RequiredAction.wrap(cast("dict[str, object]", action)) if isinstance(action, dict) else None


def _learned(decoded: Decoded, data: bytes) -> Learned:
    if decoded.enveloped:
        return Learned(b"", data, ("data",))
    return Learned(decoded.name.encode(), data, ())


def _object(payload: Json) -> dict[str, Json]:
    if not isinstance(payload, dict):
        raise Misfit(None, f"expected an object, got {json_type(payload)}")
    return payload
