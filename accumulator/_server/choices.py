"""Which run a request is about, and which body it gets: by the order of requests, or by the ids in them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from accumulator._server.answers import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accumulator._server.played_runs import PlayedRun


class Place(NamedTuple):
    """A run of which so many bodies have begun."""

    run: PlayedRun
    bodies: int


class Choice(Protocol):
    """Chooses. `ids` are those of the path: `thread_id`, `run_id`. `body` is the JSON of the request."""

    def choose(self, ids: Mapping[str, str], body: Mapping[str, object]) -> Place:
        """Return the body that a request gets, the last of the place. Raise `RefusedError` if there is none."""
        ...

    def begin(self, ids: Mapping[str, str], body: Mapping[str, object], place: Place) -> None:
        """Begin the body that was chosen for the request."""
        ...

    def upcoming(self) -> Place:
        """Return the run whose assistant and thread are given to a client that makes some."""
        ...

    def of_thread(self, ids: Mapping[str, str]) -> list[Place]:
        """Return the runs of a thread, the oldest first: one or more."""
        ...

    def of_run(self, ids: Mapping[str, str]) -> Place:
        """Return the run of a path."""
        ...


class ByOrder:
    """Each request that begins or continues a run gets the next body of all recordings, whatever its ids are.

    Other requests are about the run of the last body that began; before the first, about the first run as a whole.
    """

    def __init__(self, runs: Sequence[PlayedRun]) -> None:
        """Store the runs: one or more."""
        self._places = [Place(run, number + 1) for run in runs for number in range(len(run.bodies))]
        self._whole = Place(runs[0], len(runs[0].bodies))
        self._begun = 0

    def choose(self, ids: Mapping[str, str], body: Mapping[str, object]) -> Place:
        """Return the next body."""
        del ids, body
        if self._begun == len(self._places):
            raise _exhausted(f"the recordings have {_bodies(len(self._places))}, and all were played")
        return self._places[self._begun]

    def begin(self, ids: Mapping[str, str], body: Mapping[str, object], place: Place) -> None:
        """Count the body."""
        del ids, body, place
        self._begun += 1

    def upcoming(self) -> Place:
        """Return the run of the next body, or of the last."""
        return self._places[min(self._begun, len(self._places) - 1)]

    def of_thread(self, ids: Mapping[str, str]) -> list[Place]:
        """Return the current run."""
        return [self.of_run(ids)]

    def of_run(self, ids: Mapping[str, str]) -> Place:
        """Return the current run."""
        del ids
        return self._places[self._begun - 1] if self._begun else self._whole


class ByRun:
    """Each request gets what was recorded for its ids, as often as it asks.

    A run is begun by the id of its thread, or of its assistant where the thread is made with it: several runs of one
    thread or assistant take turns. The tool calls whose outputs are submitted say which body goes on. Until a run is
    begun, it is there as a whole.
    """

    def __init__(self, runs: Sequence[PlayedRun]) -> None:
        """Store the runs: one or more."""
        self._runs = runs
        self._begun: dict[PlayedRun, int] = {}
        self._turns: Counter[tuple[str, object]] = Counter()

    def choose(self, ids: Mapping[str, str], body: Mapping[str, object]) -> Place:
        """Return a run that begins, or goes on."""
        if "run_id" in ids:
            return self._go_on(self.of_run(ids).run, body)
        key, wanted = _beginning(ids, body)
        found = self._find(key, wanted)
        return Place(found[self._turns[key, wanted] % len(found)], 1)

    def begin(self, ids: Mapping[str, str], body: Mapping[str, object], place: Place) -> None:
        """Begin the run, so that it is the turn of the next, or go on with it."""
        if "run_id" not in ids:
            self._turns[_beginning(ids, body)] += 1
        self._begun[place.run] = place.bodies

    def _go_on(self, run: PlayedRun, body: Mapping[str, object]) -> Place:
        submitted = submitted_ids(body)
        for number, asked in enumerate(run.asked, 1):
            if asked and asked == submitted:
                if number == len(run.bodies):
                    raise _exhausted(f"the recording of the run has {_bodies(number)}, none behind these tool calls")
                return Place(run, number + 1)
        raise RefusedError(
            400,
            f"expected outputs of the tool calls that the run waits for, got those of {_shown(submitted)}",
            param="tool_outputs",
        )

    def upcoming(self) -> Place:
        """Return the first run that has not begun, or the first."""
        return self._place(next((run for run in self._runs if run not in self._begun), self._runs[0]))

    def of_thread(self, ids: Mapping[str, str]) -> list[Place]:
        """Return the runs of the thread."""
        return [self._place(run) for run in self._find("thread_id", ids["thread_id"])]

    def of_run(self, ids: Mapping[str, str]) -> Place:
        """Return the run, if it is one of the thread."""
        found = [run for run in self._find("thread_id", ids["thread_id"]) if run.run_id == ids["run_id"]]
        if not found:
            raise _not_found("run", ids["run_id"])
        return self._place(found[0])

    def _place(self, run: PlayedRun) -> Place:
        return Place(run, self._begun.get(run, len(run.bodies)))

    def _find(self, key: str, wanted: object) -> list[PlayedRun]:
        found = [run for run in self._runs if isinstance(wanted, str) and getattr(run, key) == wanted]
        if not found:
            raise _not_found(key.removesuffix("_id"), wanted)
        return found


def _beginning(ids: Mapping[str, str], body: Mapping[str, object]) -> tuple[str, object]:
    """Return what names the run that a request begins: the id of its thread, or of its assistant."""
    key = "thread_id" if "thread_id" in ids else "assistant_id"
    return key, ids.get(key) or body.get(key)


def submitted_ids(body: Mapping[str, object]) -> frozenset[object]:
    """Return the ids of the tool calls that outputs or approvals are submitted for."""
    submitted: list[object] = []
    for key in ("tool_outputs", "tool_approvals"):
        values = body.get(key)
        submitted += cast("list[object]", values) if isinstance(values, list) else []
    ids = [cast("Mapping[str, object]", each).get("tool_call_id") for each in submitted if isinstance(each, dict)]
    return frozenset(ident for ident in ids if isinstance(ident, str))


def _bodies(number: int) -> str:
    return f"{number} bod{'y' if number == 1 else 'ies'}"


def _shown(ids: frozenset[object]) -> str:
    return ", ".join(sorted(f"{ident!r:.80}" for ident in ids)[:8]) or "none"


def _exhausted(reason: str) -> RefusedError:
    return RefusedError(400, f"expected no more requests for a body: {reason}", code="recordings_exhausted")


def _not_found(what: str, ident: object) -> RefusedError:
    return RefusedError(404, f"no {what} found with id {ident!r:.80}: the recordings have none", param=f"{what}_id")
