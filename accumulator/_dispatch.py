"""Which event goes where: to a step, to the run, to the body that it came in, or into a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never, cast

from accumulator._bodies import Body
from accumulator._decode import DELTA, decode, decode_fragment, error_json, text_of
from accumulator._merge import Misfit, json_type, render
from accumulator._models import ErrorObject, RequiredAction, Run
from accumulator._steps import ENDINGS, Step
from accumulator._updates import (
    BodyEnded,
    ErrorReceived,
    Problem,
    RequiresAction,
    RunUpdated,
    UnknownEvent,
)

if TYPE_CHECKING:
    from accumulator._bodies import Pending
    from accumulator._builders import Json
    from accumulator._decode import Decoded
    from accumulator._errors import LimitError
    from accumulator._steps import Lane
    from accumulator._updates import Update


class Dispatcher:
    """All that the events of one run came to, whatever bodies they came in.

    Attributes:
        steps: the run steps by id, in order of first sight.
        run: the run as its last event had it.
        problems: every problem so far.
        count: the events so far.
        body: the body that began last.
        use_lanes: whether canonical fragments take the short way; off, they take the general one, to the same result.

    """

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.steps: dict[str, Step] = {}
        self.run: dict[str, object] | None = None
        self.problems: list[Problem] = []
        self.count = 0
        self.body = Body()
        self.use_lanes = True
        self._lanes: dict[str, dict[tuple[int, str], Lane]] = {}

    def end_body(self, body: Body) -> BodyEnded:
        """End a body."""
        body.ended = True
        still_open = tuple(step.id for step in self.steps.values() if step.is_open)
        return BodyEnded(self.count, body.outcome or "unknown", still_open)

    def counted(self, error: LimitError) -> LimitError:
        """Return the error of an event that was too large with the event's number in its message."""
        self.count += 1
        error.args = (f"event {self.count}: {error}",)
        return error

    def torn(self, rest: bytes) -> Problem:
        """Return the problem of a last block that is cut off before its data."""
        self.count += 1
        return self._problem("undecodable", "$", text_of(rest), "expected a whole event, got the beginning of one")

    def apply(self, body: Body, item: Pending) -> list[Update]:
        """Apply one event of a body."""
        self.count += 1
        fragment = decode_fragment(item.data) if item.name == DELTA and self.use_lanes else None
        if fragment is not None:
            lanes = self._lanes.get(fragment.step_id)
            if lanes is not None and (lane := lanes.get((fragment.index, fragment.type))) is not None:
                return [lane.append(self.count, fragment)]
        decoded = decode(item.name, item.data, torn=item.torn)
        try:
            updates = self._dispatch(body, decoded, item)
        except Misfit as misfit:
            return [self._problem("shape", render(misfit.path), text_of(item.data), misfit.message, _step_id(decoded))]
        if fragment is not None and (lane := self.steps[fragment.step_id].lane(fragment)) is not None:
            self._lanes.setdefault(fragment.step_id, {})[fragment.index, fragment.type] = lane
        return updates

    def _dispatch(self, body: Body, decoded: Decoded, item: Pending) -> list[Update]:  # noqa: PLR0911 - a row a kind
        data = item.data if decoded.text is None else decoded.text
        match decoded.kind:
            case "done":
                body.done = True
                return []
            case "delta" | "step":
                return self._apply_to_step(decoded.name.rpartition(".")[2], _object(decoded.payload))
            case "run":
                return [self._apply_to_run(body, _object(decoded.payload))]
            case "message":
                _object(decoded.payload)
                return []
            case "error":
                body.error = cast("dict[str, object]", error_json(decoded.payload))
                return [ErrorReceived(self.count, ErrorObject.wrap(body.error), text_of(data))]
            case "unknown":
                return [UnknownEvent(self.count, decoded.name, text_of(data))]
            case "undecodable":
                return [self._problem("undecodable", "$", text_of(data), decoded.message)]
            case _:
                assert_never(decoded.kind)

    def _apply_to_step(self, event: str, payload: dict[str, Json]) -> list[Update]:
        step_id = payload.get("id")
        if not isinstance(step_id, str) or not step_id:
            came = "an empty one" if step_id == "" else json_type(step_id)
            raise Misfit((None, "id"), f"expected a text that is not empty, got {came}")
        step = self.steps.get(step_id) or Step(step_id)
        updates = step.apply(self.count, event, payload)
        self.steps[step_id] = step
        self.problems += (update for update in updates if isinstance(update, Problem))
        if event in ENDINGS:
            self._lanes.pop(step_id, None)
        return updates

    def _apply_to_run(self, body: Body, payload: dict[str, Json]) -> Update:
        status = payload.get("status")
        if isinstance(status, str):
            body.status = status
        self.run = cast("dict[str, object]", payload)
        run, action = Run.wrap(self.run), required_action(self.run)
        if status == "requires_action" and action is not None:
            return RequiresAction(self.count, run, action)
        return RunUpdated(self.count, run)

    def _problem(
        self, kind: Literal["undecodable", "shape"], path: str, raw: str, message: str, step_id: str | None = None
    ) -> Problem:
        problem = Problem(self.count, kind, path, raw, message, step_id)
        self.problems.append(problem)
        return problem


def required_action(run: dict[str, object] | None) -> RequiredAction | None:
    """Return what a run waits for, by its last event, None if for nothing."""
    action = run.get("required_action") if run is not None else None
    return RequiredAction.wrap(cast("dict[str, object]", action)) if isinstance(action, dict) else None


def _object(payload: Json) -> dict[str, Json]:
    if not isinstance(payload, dict):
        raise Misfit(None, f"expected an object, got {json_type(payload)}")
    return payload


def _step_id(decoded: Decoded) -> str | None:
    step_id = decoded.payload.get("id") if isinstance(decoded.payload, dict) else None
    return step_id if isinstance(step_id, str) and decoded.kind in {"delta", "step"} else None
