"""The runs of what was read, each with its steps and messages, its seconds and its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from accumulator import (
    MessageCreated,
    MessageCreationStepDetails,
    Model,
    RequiresAction,
    RunStepCreated,
    RunUpdated,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator import Accumulator, Message, Run, RunStep, ToolCall, Usage

_LARGEST = 10**15
"""A bound of times and counts: what is larger, a server made up."""

_RUN_ENDS = ("completed_at", "failed_at", "cancelled_at")


class RunView(NamedTuple):
    """A run, and what belongs to it.

    Attributes:
        run_id: its id; None if nothing names it.
        run: the run as last sent; None if it was not sent.
        outcome: how its last body ended; None while it is open.
        steps: its steps, in the order of their first events.
        messages: its messages that no step created, in the order of their first events.

    """

    run_id: str | None
    run: Run | None
    outcome: str | None
    steps: list[RunStep]
    messages: list[Message]

    @property
    def duration(self) -> float | None:
        """The seconds from the creation of the run, or of its first step, to its end or that of its last step."""
        began, ended = None, None
        if self.run is not None:
            began = as_number(self.run.created_at)
            ended = next(filter(None, (as_number(getattr(self.run, name)) for name in _RUN_ENDS)), None)
        if began is None or ended is None:
            begins = [as_number(step.created_at) for step in self.steps]
            ends = [_end(step) for step in self.steps]
            if not begins or None in begins or None in ends:
                return None
            began, ended = min(filter(None, begins)), max(filter(None, ends))
        return ended - began

    @property
    def tokens(self) -> tuple[int, int, int] | None:
        """The tokens read, written, and both: of the run, else of all its steps; None if none are known."""
        usages = [self.run.usage] if self.run is not None and counted(self.run.usage) else [s.usage for s in self.steps]
        known = [each for each in map(counted, usages) if each is not None]
        if not known:
            return None
        read, written, both = (sum(each[place] for each in known) for place in range(3))
        return read, written, both

    @property
    def call_count(self) -> int:
        """The number of tool calls."""
        return sum(len(calls_of(step)) for step in self.steps)


class Runs:
    """The runs that updates name, each with the ids of its steps and messages, in the order in which they were seen."""

    def __init__(self) -> None:
        """Start without a run."""
        self._found: dict[str | None, _Found] = {}

    def add(self, update: Update) -> None:
        """Take an update."""
        match update:
            case RunUpdated(run=run) | RequiresAction(run=run):
                self._of(run.id).run = run
            case RunStepCreated(step_id=step_id, run_step=step):
                self.add_step(step_id, step.run_id)
            case MessageCreated(message_id=message_id, message=message):
                self._of(message.run_id).message_ids.append(message_id)
            case _:
                pass

    def add_step(self, step_id: str, run_id: object) -> None:
        """Take a step of a run, also one that was forgotten."""
        self._of(run_id).step_ids[step_id] = None

    def forget(self) -> None:
        """Forget all runs: what comes next is about others."""
        self._found.clear()

    def __bool__(self) -> bool:
        return bool(self._found)

    def find(self, run_id: str | None) -> Run | None:
        """Return a run as last sent; None if it was not sent."""
        found = self._found.get(run_id)
        return None if found is None else found.run

    def views(
        self, accumulator: Accumulator, outcome_of: Callable[[str | None, str | None], str | None]
    ) -> list[RunView]:
        """Return the runs with what belongs to them: at least one. What names no run belongs to the current one."""
        views: dict[str | None, RunView] = {}

        def view(run_id: object) -> RunView:
            ident = as_text(run_id) or current_run_id(accumulator)
            outcome = outcome_of(ident, accumulator.outcome)
            return views.setdefault(ident, RunView(ident, self.find(ident), outcome, [], []))

        created: set[str | None] = set()
        for run_id, found in self._found.items():
            view(run_id)
            for step in filter(None, map(accumulator.run_step, found.step_ids)):
                view(as_text(step.run_id) or run_id).steps.append(step)
                created.add(message_id_of(step))
        for run_id, found in self._found.items():
            for message in filter(None, map(accumulator.message, found.message_ids)):
                if message.id not in created:
                    view(as_text(message.run_id) or run_id).messages.append(message)
        return list(views.values()) or [view(None)]

    def _of(self, run_id: object) -> _Found:
        return self._found.setdefault(as_text(run_id), _Found())


class _Found:
    """What belongs to a run."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.step_ids: dict[str, None] = {}
        self.message_ids: list[str] = []


def current_run_id(accumulator: Accumulator) -> str | None:
    """Return the id of the current run."""
    run = accumulator.current_run
    return None if run is None else as_text(run.id)


def message_id_of(step: RunStep) -> str | None:
    """Return the id of the message that a step created."""
    details = step.step_details
    creation = details.message_creation if isinstance(details, MessageCreationStepDetails) else None
    return as_text(getattr(creation, "message_id", None))


def calls_of(step: RunStep) -> list[ToolCall]:
    """Return the tool calls of a step, without what a server sent in place of one."""
    return [call for call in step.tool_calls if isinstance(call, Model)]


def entries(value: object) -> tuple[object, ...]:
    """Return the entries of a list; what a server sent in place of one is the one entry."""
    return cast("tuple[object, ...]", value) if isinstance(value, tuple) else () if value is None else (value,)


def as_text(value: object) -> str | None:
    """Return a text as it is, None for what a server sent in place of one."""
    return value if isinstance(value, str) else None


def as_number(value: object) -> float | None:
    """Return a number as it is, None for what a server sent in place of one, or one without any sense."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LARGEST else None


def counted(usage: Usage | None) -> tuple[int, int, int] | None:
    """Return the tokens read, written, and both; None if the server did not send how many both are."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    read, written, both = (as_number(getattr(usage, name, None)) for name in names)
    return None if both is None else (int(read or 0), int(written or 0), int(both))


def _end(step: RunStep) -> float | None:
    began, duration = as_number(step.created_at), step.duration
    return None if began is None or duration is None else began + duration


# How both are said.


def said_seconds(seconds: float | None) -> str:
    """Return a number of seconds for people: "9 s", "2 min 5 s", "1 h 3 min"; "" for None and less than 0."""
    if seconds is None or seconds < 0:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{round(seconds, 1):g} s"


def said_count(count: int, what: str) -> str:
    """Return a number with what is counted: "1 step", "2,141 tokens"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
