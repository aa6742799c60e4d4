"""The accumulator of the Assistants protocol: it folds events without I/O, and returns snapshots of the result."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, cast

from accumulator._assistants.messages import Message, said
from accumulator._assistants.protocol import ASSISTANTS, MESSAGES, RUN_STEPS, required_action
from accumulator._assistants.run_steps import RunStep, ToolCall, Usage, wrap_tool_call
from accumulator._assistants.runs import ErrorObject, RequiredAction, Run
from accumulator._assistants.updates import Problem, Update
from accumulator._engine.accumulator import BaseAccumulator
from accumulator._errors import AccumulatorError, attach
from accumulator._model import Visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Accumulator(BaseAccumulator[Update], Visible):
    """Fold the events of one run into run steps and messages. Does no I/O, and is not thread-safe.

    A run may take several bodies: one body ends when the run has the status "requires_action", and the next begins when
    the tool outputs are submitted. Feed all bodies of a run to the same accumulator.

    Run steps and messages can be read at any time, complete or not.

    Attributes:
        strict: whether a problem raises `MergeError`. The event is folded first, as in tolerant mode.
        limits: bounds on what a server can make the accumulator store.

    """

    _protocol = ASSISTANTS

    _repr_pretty_ = Visible._repr_pretty_

    def __repr__(self) -> str:
        run = None if self._engine.run is None else self._engine.run.get("id")
        steps, messages = (len(self._engine.resources[each.name]) for each in (RUN_STEPS, MESSAGES))
        counts = {"run_steps": steps, "messages": messages, "problems": self.problem_count}
        told = {"run": run, "outcome": self.outcome, **counts}
        return f"<{type(self).__name__} {' '.join(f'{name}={reprlib.repr(each)}' for name, each in told.items())}>"

    def __shown__(self) -> dict[str, object]:
        """Return what was folded, by name. Costs as in `run_steps`."""
        return {
            "outcome": self.outcome,
            "current_run": self.current_run,
            "run_steps": self.run_steps(),
            "messages": self.messages(),
            "problems": list(self.problems),
        }

    def reconcile(self, steps: Iterable[object], run: object = None) -> list[Update]:
        """Merge what the server says of a run now, and return the updates in order, as those of a stream.

        Use it where a stream was cut. Each step is the event that its status says: "completed", "failed", "cancelled"
        and "expired" end it, with any other status it is sent again. So updates are handed out once: of a step that
        had ended there is not another `RunStepDone`. Where the stream left a text half, its rest is a delta before
        that. Other content than was streamed is a `contradiction`, and an ending wins. What says nothing new gives no
        update. Each object, and each rest, counts as an event.

        The last body goes on for this: it ends again, as the last update says, unless nothing is new. Its outcome
        follows from the status of `run`; without one it stays. Messages are no part of this: those that were cut are
        still in `BodyEnded.open`.

        Args:
            steps: models of this library or of an SDK, or mappings, in any order. New ones are added by `created_at`.
                Those of one second stay in order or, if the first is newer than the last, are turned round. A null in
                `expires_at` leaves what was streamed. Steps of a run that is not known here are left out: a `conflict`.
            run: the run, as a model or a mapping. Another one than the last body is about changes no outcome, and is
                left out as a `conflict` if it is not known here.

        Raises:
            MergeError: strict, and an object had a problem.
            LimitError: an object is over one of `limits` and left out, or all steps together are over
                `max_total_size` and nothing is merged.
            RuntimeError: the last body has not ended, or events wait.
            TypeError: `steps` is no iterable of models or mappings, or `run` is neither. Nothing is merged.

        After a `MergeError` or a `LimitError` all other objects are merged, and `error.updates` has the updates.

        """
        from accumulator._assistants.reconcile import Reconciliation, read_said

        if self._engine.body.began and not self._engine.body.ended:
            raise RuntimeError("expected the last body to have ended: call end(), or close its stream, before")
        if self._own.pending:
            raise RuntimeError('expected no event to wait: call feed(b"") before')
        try:
            said = read_said(steps, run, self._engine.bounds.total)
            return Reconciliation(self._engine, self._new_feed()).merge(*said)
        except AccumulatorError as error:
            attach(error, [], self)
            raise

    def run_steps(self) -> list[RunStep]:
        """Return a snapshot of each run step, in the order in which the steps were first seen.

        The cost grows with what changed since the last snapshot. A text that grew counts with its whole length.
        """
        return [RunStep.wrap(step.json()) for step in self._engine.resources[RUN_STEPS.name].values()]

    def run_step(self, step_id: str) -> RunStep | None:
        """Return a snapshot of the run step with this id, or None if no event had the id. Costs as in `run_steps`."""
        step = self._engine.resources[RUN_STEPS.name].get(step_id)
        return None if step is None else RunStep.wrap(step.json())

    def tool_call(self, step_id: str, index: int) -> ToolCall | None:
        """Return a snapshot of the tool call with this index in the run step with this id, or None if there is none."""
        step = self._engine.resources[RUN_STEPS.name].get(step_id)
        call = None if step is None else step.part_json(index)
        return None if call is None else wrap_tool_call(call)

    def tool_call_indexes(self, step_id: str) -> list[int | None]:
        """Return the index of each call in `tool_calls` of the run step with this id, [] if there is no such step.

        It is None for a call that came without a usable index.
        """
        step = self._engine.resources[RUN_STEPS.name].get(step_id)
        return [] if step is None else step.part_indexes()

    def messages(self) -> list[Message]:
        """Return a snapshot of each message, in the order in which they were first seen. Costs as in `run_steps`."""
        return [Message.wrap(message.json()) for message in self._engine.resources[MESSAGES.name].values()]

    def message(self, message_id: str) -> Message | None:
        """Return a snapshot of the message with this id, or None if no event had the id. Costs as in `run_steps`."""
        message = self._engine.resources[MESSAGES.name].get(message_id)
        return None if message is None else Message.wrap(message.json())

    def tool_calls(self) -> list[ToolCall]:
        """Return a snapshot of each tool call: step by step, those of a step in the order of their indexes.

        Costs as in `run_steps`.
        """
        return [call for step in self.run_steps() for call in step.tool_calls]

    @property
    def text(self) -> str:
        """What the agent said so far, with an empty line between two messages; "" if it said nothing.

        These are the messages of `current_run` whose role is not "user". Where a message does not say its run, or there
        is no current run, it counts. Of a message it is the text of its text parts and refusals, without a separator.
        Costs as in `messages`.
        """
        run = self._engine.run
        return said(self.messages(), None if run is None else run.get("id"))

    @property
    def usage(self) -> Usage | None:
        """The tokens that `current_run` used; None until the server has sent them, which is when the run ends."""
        run = self.current_run
        return None if run is None else run.usage

    @property
    def outcome(self) -> str | None:
        """How the last body ended; None while the body is open, and before the first body.

        The first of these that applies:

        1. "error" if the body had an error event;
        2. the last status in the body of its run (see `current_run`), if that is "completed", "incomplete", "failed",
           "cancelled", "expired" or "requires_action";
        3. "unknown" if the body had `done`;
        4. "truncated".
        """
        return super().outcome

    @property
    def error(self) -> ErrorObject | None:
        """The error in the first error event of the last body; None if the body had no error event."""
        error = self._engine.body.error
        return None if error is None else ErrorObject.wrap(error)

    def runs(self) -> list[Run]:
        """Return every run, as sent in the last event about it, in the order in which they were first seen.

        A stream has one as a rule. It has more if a run starts another, or if a file holds many. All runs without an id
        are one. The cost is that of the list: what is sent is not copied.
        """
        return [Run.wrap(each) for each in self._engine.runs.values()]

    @property
    def current_run(self) -> Run | None:
        """The run of the body, as sent in the last event about it; None before the first such event.

        The run of a body is the one that the body names first, in a run or a step, or else the one that waits for tools
        since the body before. An event about a run without an id, or with one that no event "created", "queued" or
        "in_progress" had, is about the run of the body too. Until a body has an event about its run, this is the run of
        the body before. For all others see `runs()`.
        """
        return None if self._engine.run is None else Run.wrap(self._engine.run)

    @property
    def required_action(self) -> RequiredAction | None:
        """What `current_run` waits for: tool outputs or, on Azure, approvals; None if it does not wait."""
        return required_action(self._engine.run)

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems so far, in order: all of them unless `max_problems` was reached; then see `problem_count`.

        The sequence never changes: read the property again to see new problems.
        """
        return cast("Sequence[Problem]", self._problems_so_far())
