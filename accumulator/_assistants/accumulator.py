"""The accumulator of the Assistants protocol: the core without I/O, and everything that can be read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from accumulator._assistants.messages import Message
from accumulator._assistants.protocol import ASSISTANTS, MESSAGES, RUN_STEPS, required_action
from accumulator._assistants.run_steps import RunStep, ToolCall, wrap_tool_call
from accumulator._assistants.runs import ErrorObject, RequiredAction, Run
from accumulator._assistants.updates import Problem, Update
from accumulator._engine.accumulator import BaseAccumulator

if TYPE_CHECKING:
    from collections.abc import Sequence


class Accumulator(BaseAccumulator[Update]):
    """Fold the events of one run into complete run steps. Does no I/O, and is not thread-safe.

    A run may come in several HTTP bodies: one ends at `requires_action`, and the next begins when tool outputs are
    submitted. Feed them all to the same accumulator.

    Attributes:
        strict: whether a problem raises `MergeError`, once its event was applied as ever.
        limits: the bounds on what a server can make it hold.

    """

    protocol = ASSISTANTS

    def run_steps(self) -> list[RunStep]:
        """Return every run step as it is now, in order of first sight.

        Costs what changed since the last read; a text that grew counts whole.
        """
        return [RunStep.wrap(step.json()) for step in self._engine.resources[RUN_STEPS.name].values()]

    def run_step(self, step_id: str) -> RunStep | None:
        """Return a run step as it is now, None if no event named it. Costs as `run_steps` does for it."""
        step = self._engine.resources[RUN_STEPS.name].get(step_id)
        return None if step is None else RunStep.wrap(step.json())

    def tool_call(self, step_id: str, index: int) -> ToolCall | None:
        """Return the tool call at an index of a run step as it is now, None if there is none."""
        step = self._engine.resources[RUN_STEPS.name].get(step_id)
        call = None if step is None else step.part_json(index)
        return None if call is None else wrap_tool_call(call)

    def messages(self) -> list[Message]:
        """Return every message as it is now, in order of first sight. Costs as `run_steps`."""
        return [Message.wrap(message.json()) for message in self._engine.resources[MESSAGES.name].values()]

    def message(self, message_id: str) -> Message | None:
        """Return a message as it is now, None if no event named it. Costs as `run_steps` does for it."""
        message = self._engine.resources[MESSAGES.name].get(message_id)
        return None if message is None else Message.wrap(message.json())

    @property
    def outcome(self) -> str | None:
        """How the last body ended; None while it is open, or before there is one.

        "truncated" if its source broke, else "error" if it had an error event, else the run's last status in it if that
        is final or "requires_action", else "unknown" if it had `done`, else "truncated".
        """
        return super().outcome

    @property
    def error(self) -> ErrorObject | None:
        """The error of the last body, None if it had none."""
        error = self._engine.body.error
        return None if error is None else ErrorObject.wrap(error)

    @property
    def current_run(self) -> Run | None:
        """The run as its last event had it: status, usage, incomplete details and all. None before there was one."""
        return None if self._engine.run is None else Run.wrap(self._engine.run)

    @property
    def required_action(self) -> RequiredAction | None:
        """What the run waits for, by its last event: tool outputs or, on Azure, approvals; None if for nothing."""
        return required_action(self._engine.run)

    @property
    def problems(self) -> Sequence[Problem]:
        """Every problem so far, in order: a sequence that never changes. The same one until there is another."""
        return cast("Sequence[Problem]", self._problems_so_far())
