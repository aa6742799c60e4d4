"""What rows are about: the things of an accumulator, each with the run that it belongs to.

A server may have sent anything in the place of a value, so that all are looked up with `told`.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, cast

from accumulator._assistants.messages import said
from accumulator._assistants.protocol import BODY_END_STATUSES
from accumulator._assistants.run_steps import END_TIMES
from accumulator._engine.body import TRUNCATED
from accumulator._model import Model, get_member
from accumulator._tables.values import as_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.messages import Message
    from accumulator._assistants.run_steps import RunStep
    from accumulator._assistants.runs import Run

T = TypeVar("T")

_ENDS: Final = (*END_TIMES, "incomplete_at")
"""The times of an ending, of which one has a value: those of steps, and that of messages."""


class About(NamedTuple):
    """A run.

    Attributes:
        id: its id; None if no event named it.
        run: the run as last sent; None if it was not sent.
        outcome: how its last body ended; None while it is open.
        error: the error event of its last body.
        steps: its steps.
        messages: its messages.

    """

    id: str | None
    run: Run | None
    outcome: str | None
    error: object
    steps: tuple[RunStep, ...] = ()
    messages: tuple[Message, ...] = ()


NO_RUN: Final = About(None, None, None, None)


class Item(NamedTuple):
    """What a row is about. Its properties are columns that are not sent as they are.

    Attributes:
        file: where it was read from.
        about: its run.
        thing: the run, step or message that has the status, the times and the tokens of the row.
        body: the body that it began in; of a run, the number of its bodies.
        step: the step; of a message, the one that created it.
        place: the index of the call.
        call: the call.
        calls: the number of calls of a run or step.
        problems: the number of problems.
        file_error: what is wrong with the file.

    """

    file: str | None
    about: About
    thing: object = None
    body: int | None = None
    step: object = None
    place: int | None = None
    call: object = None
    calls: int | None = None
    problems: int | None = None
    file_error: str | None = None

    @property
    def thread(self) -> object:
        """The id of the thread, by whatever names it."""
        return self._first("thread_id")

    @property
    def assistant(self) -> object:
        """The id of the assistant, by whatever names it."""
        return self._first("assistant_id")

    @property
    def completed(self) -> object:
        """When it ended, however it did."""
        return next((time for name in _ENDS if (time := told(self.thing, name)) is not None), None)

    @property
    def seconds(self) -> float | None:
        """The seconds that it took."""
        began, ended = as_number(told(self.thing, "created_at")), as_number(self.completed)
        return None if began is None or ended is None else ended - began

    @property
    def error_code(self) -> object:
        """The code of its error: the type where the server sent no code, and the reason of what is incomplete."""
        details = told(self.thing, "incomplete_details")
        codes = told(self._error, "code"), told(self._error, "type"), told(details, "reason")
        return next(filter(None, codes), None)

    @property
    def error_message(self) -> object:
        """The message of its error. A server may have sent a text in place of the error."""
        return told(self._error, "message") if isinstance(self._error, Model) else self._error

    @property
    def steps(self) -> int | None:
        """The number of steps of the run; None if nothing was read of one."""
        return None if self.about is NO_RUN else len(self.about.steps)

    @property
    def messages(self) -> int | None:
        """The number of messages of the run; None if nothing was read of one."""
        return None if self.about is NO_RUN else len(self.about.messages)

    @property
    def said(self) -> str | None:
        """What the agent said in the run, as in `Accumulator.text`; None if the run has no message."""
        return said(self.about.messages) if self.about.messages else None

    @property
    def _error(self) -> object:
        """The error of the thing; of a run also that of its error event."""
        error = told(self.thing, "last_error")
        return self.about.error if error is None and self.thing is self.about.run else error

    def _first(self, name: str) -> object:
        things = (self.thing, self.about.run, *self.about.steps[:1], *self.about.messages[:1])
        return next((value for each in things if (value := told(each, name)) is not None), None)


class Folded(NamedTuple):
    """A run that was read.

    Attributes:
        file: where it was read from; None if that has no name.
        accumulator: what it folded to.
        bodies: the body that each step and message began in, by id; the number of bodies under None. Empty if it was
            not watched.
        error: what is wrong with the file; None if nothing is.

    """

    file: str | None
    accumulator: Accumulator
    bodies: Mapping[str | None, int]
    error: str | None


def find(item: Item, path: str) -> object:
    """Return what is at a path of names from an item, None where a name is missing.

    A server may have sent anything in the place of a thing.
    """
    value: object = item
    for name in path.split("."):
        value = told(value, name) if isinstance(value, (Model, Item, About)) else get_member(value, name)
    return value


def told(thing: object, name: str) -> object:
    """Return what a server said of a thing, None if it did not, or sent something else in place of the thing."""
    return getattr(thing, name, None) if isinstance(thing, (Model, Item, About)) else None


# The things of an accumulator.


class Facts:
    """The things of an accumulator, each with its run."""

    def __init__(self, folded: Folded) -> None:
        """Take a snapshot of the accumulator."""
        run = folded.accumulator
        self._folded = folded
        self._steps, self._messages = run.run_steps(), run.messages()
        self._own = None if run.current_run is None else _text(run.current_run.id)
        self._problems = Counter(each.step_id or each.message_id for each in run.problems)
        self.runs = self._find_runs()

    def _find_runs(self) -> dict[str | None, About]:
        """Find the runs: those that were sent, and those that only a step or message names."""
        accumulator = self._folded.accumulator
        sent = {_text(each.id): each for each in accumulator.runs()}
        steps, messages = self._by_run(self._steps), self._by_run(self._messages)
        idents = [*sent, *steps, *messages] or ([self._own] if accumulator.error is not None else [])
        return {
            ident: About(
                ident,
                run := sent.get(ident),
                self._outcome(ident, run),
                accumulator.error if ident == self._own else None,
                tuple(steps.get(ident, ())),
                tuple(messages.get(ident, ())),
            )
            for ident in idents
        }

    def _outcome(self, ident: str | None, run: Run | None) -> str | None:
        """Return the outcome of the last body for the accumulator's own run, and the last status of another."""
        if ident == self._own or run is None:
            return self._folded.accumulator.outcome
        status = _text(run.status)
        return status if status in BODY_END_STATUSES else TRUNCATED

    def _by_run(self, things: Iterable[T]) -> dict[str | None, list[T]]:
        found: dict[str | None, list[T]] = {}
        for each in things:
            found.setdefault(self._run_of(each), []).append(each)
        return found

    def _run_of(self, thing: object) -> str | None:
        """Return the id of the run of a step or message; what names none belongs to the accumulator's own."""
        return _text(told(thing, "run_id")) or self._own

    def _item(self, about: About, thing: object, ident: str | None) -> Item:
        folded = self._folded
        return Item(folded.file, about, thing, folded.bodies.get(ident), file_error=folded.error)

    def of_runs(self) -> Iterator[Item]:
        """Yield the runs."""
        for ident, about in self.runs.items():
            idents = [*(each.id for each in about.steps), *(each.id for each in about.messages)]
            count = sum(self._problems[each] for each in idents)
            yield self._item(about, about.run, None)._replace(
                calls=sum(len(calls_of(each)) for each in about.steps),
                problems=self._folded.accumulator.problem_count if ident == self._own else count,
            )

    def of_steps(self) -> Iterator[Item]:
        """Yield the steps."""
        for step in self._steps:
            yield self._item(self.runs[self._run_of(step)], step, step.id)._replace(
                step=step, calls=len(calls_of(step)), problems=self._problems[step.id]
            )

    def of_calls(self) -> Iterator[Item]:
        """Yield the calls, step by step, in the order of their indexes."""
        for item, step in zip(self.of_steps(), self._steps, strict=True):
            indexes = self._folded.accumulator.tool_call_indexes(step.id)
            for index, call in zip_longest(indexes, calls_of(step)):
                yield item._replace(call=call, place=index)

    def of_messages(self) -> Iterator[Item]:
        """Yield the messages."""
        creations = [told(told(step, "step_details"), "message_creation") for step in self._steps]
        steps = {_text(told(each, "message_id")): step for each, step in zip(creations, self._steps, strict=True)}
        for message in self._messages:
            yield self._item(self.runs[self._run_of(message)], message, message.id)._replace(
                step=steps.get(message.id), problems=self._problems[message.id]
            )


def calls_of(step: RunStep) -> tuple[object, ...]:
    """Return the calls of a step; what a server sent in place of their list is none."""
    calls: object = step.tool_calls
    return cast("tuple[object, ...]", calls) if isinstance(calls, tuple) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
