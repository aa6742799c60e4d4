"""The sans-I/O core: bytes or events in, updates out, snapshots to read, and the whole state as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, cast, overload

import msgspec

from accumulator._assistants.run_steps import wrap_tool_call
from accumulator._assistants.runs import ErrorObject, Run
from accumulator._assistants.updates import Problem
from accumulator._engine.body import Pending
from accumulator._engine.checkpoint import Checkpoint, dump_pending
from accumulator._engine.checkpoint import decode as decode_checkpoint
from accumulator._engine.checkpoint import encode as encode_checkpoint
from accumulator._engine.engine import Dispatcher, required_action
from accumulator._engine.feed import Intake
from accumulator._errors import AccumulatorError, CheckpointError
from accumulator._json import MAX_DEPTH, plain_json
from accumulator._sse import DEFAULT_MAX_EVENT_SIZE, SSEParser, check_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from accumulator._assistants.messages import Message
    from accumulator._assistants.run_steps import RunStep, ToolCall
    from accumulator._assistants.runs import RequiredAction
    from accumulator._assistants.updates import Update


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a server can make an accumulator hold; None turns one off.

    Attributes:
        max_event_size: bytes of one server-sent event, with its comments and unknown fields. 32 MiB by default: an
            event with one image in it passed 8 MiB in the field.

    """

    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE

    def __post_init__(self) -> None:
        """Hold the limits to what can be one."""
        check_size(self.max_event_size)


DEFAULT_LIMITS = Limits()


class Accumulator:
    """Fold the events of one run into complete run steps. Does no I/O, and is not thread-safe.

    A run may come in several HTTP bodies: one ends at `requires_action`, the next begins when tool outputs are
    submitted. Feed them all to the same accumulator.

    Attributes:
        strict: whether a problem raises `MergeError` after its event was treated as ever.
        limits: the bounds it keeps.

    """

    def __init__(self, *, strict: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        """Begin a run of which nothing has come."""
        if not isinstance(strict, bool) or not isinstance(limits, Limits):
            message = f"expected a bool and a Limits, got {type(strict).__name__} and {type(limits).__name__}"
            raise TypeError(message)
        self.strict = strict
        self.limits = limits
        self._dispatcher = Dispatcher()
        self._problems = _Problems([], 0)
        self._own = self._intake()

    def _intake(self) -> Intake:
        """Return a new source of this run, with a parser of its own; `_stream` makes one for each stream."""
        return Intake(self._dispatcher, strict=self.strict, max_event_size=self.limits.max_event_size)

    # What goes in.

    def feed(self, chunk: bytes) -> list[Update]:
        """Fold bytes of an event stream, cut anywhere, and return the updates in order.

        Costs the bytes, whatever was folded before. Events after a `done` belong to the next body.

        Raises:
            MergeError: strict, and an event had a problem.
            LimitError: an event is larger than `limits` allow; it is left out.
            TypeError: no bytes.

        After either of the first two, `error.updates` holds the updates of this call up to there; the rest of the chunk
        is pending and `feed(b"")` goes on with it.

        """
        self._own.push(chunk)
        return self._drain([])

    def apply(self, event: str, data: bytes | str) -> list[Update]:
        """Fold one event that is framed already: its name, "message" or "" for none, and its data. Raises as `feed`."""
        if not isinstance(event, str) or not isinstance(data, (bytes, str)):
            message = f"expected a str and bytes or str, got {type(event).__name__} and {type(data).__name__}"
            raise TypeError(message)
        self._own.push_event(event, data)
        return self._drain([])

    def end(self) -> list[Update]:
        """End the body: the source has no more bytes.

        A last block without its blank line is applied if its data is whole, which WHATWG's parser would discard: a
        quarter of stored recordings end so. `BodyEnded` comes unless `done` brought it. Without any event it is a body
        cut short. Raises as `feed`; the next `end()` goes on then.
        """
        updates = self._drain([])
        if not self._own.used and self._dispatcher.body.began:
            return updates  # all that came was read by streams, whose bodies end by themselves
        try:
            return updates + self._own.end()
        except AccumulatorError as error:
            self._complete(error, updates)
            raise

    def _drain(self, updates: list[Update]) -> list[Update]:
        try:
            while True:
                while (fragment := self._own.next_fragment()) is not None:
                    updates.append(fragment)
                if (more := self._own.step()) is None:
                    return updates
                updates += more
        except AccumulatorError as error:
            self._complete(error, updates)
            raise

    def _complete(self, error: AccumulatorError, updates: list[Update]) -> None:
        error.updates = [*updates, *error.updates]
        error.accumulator = self

    # What comes out.

    def run_steps(self) -> list[RunStep]:
        """Return every run step as it is now, in order of first sight.

        Costs what changed since they were last read; a text that grew counts whole.
        """
        return [step.view() for step in self._dispatcher.steps.values()]

    def run_step(self, step_id: str) -> RunStep | None:
        """Return a run step as it is now, None if no event spoke of it. Costs what `run_steps` costs for it."""
        step = self._dispatcher.steps.get(step_id)
        return None if step is None else step.view()

    def tool_call(self, step_id: str, index: int) -> ToolCall | None:
        """Return the tool call at an index of a run step as it is now, None if there is none."""
        step = self._dispatcher.steps.get(step_id)
        call = None if step is None else step.part_json(index)
        return None if call is None else wrap_tool_call(call)

    def messages(self) -> list[Message]:
        """Return every message as it is now, in order of first sight. Costs as `run_steps`."""
        return [message.view() for message in self._dispatcher.messages.values()]

    def message(self, message_id: str) -> Message | None:
        """Return a message as it is now, None if no event spoke of it. Costs as `run_steps`."""
        message = self._dispatcher.messages.get(message_id)
        return None if message is None else message.view()

    @property
    def outcome(self) -> str | None:
        """How the last body ended; None while it is open or before there is one.

        "error" if it had an error event, else the run's last status in it if that is final or "requires_action", else
        "unknown" if it had `done`, else "truncated", which a body is also whose source broke.
        """
        return self._dispatcher.body.outcome

    @property
    def error(self) -> ErrorObject | None:
        """The error of the last body, None if it had none."""
        error = self._dispatcher.body.error
        return None if error is None else ErrorObject.wrap(error)

    @property
    def current_run(self) -> Run | None:
        """The run as its last event had it: status, usage, incomplete details and all; None before there was one."""
        return None if self._dispatcher.run is None else Run.wrap(self._dispatcher.run)

    @property
    def required_action(self) -> RequiredAction | None:
        """What the run waits for, by its last event: tool outputs or, on Azure, approvals; None if for nothing."""
        return required_action(self._dispatcher.run)

    @property
    def problems(self) -> Sequence[Problem]:
        """Every problem so far, in order; a sequence that does not change. The same one until there is another."""
        if len(self._problems) != len(self._dispatcher.problems):
            self._problems = _Problems(self._dispatcher.problems, len(self._dispatcher.problems))
        return self._problems

    # What goes to another process.

    def to_bytes(self) -> bytes:
        """Return the whole state, to be continued by `from_bytes` in this process or another.

        Everything is in it: steps, problems, the body in hand, half a block that `feed` has seen, `strict` and
        `limits`. It is JSON text with a version, not pickle; its layout is no part of the interface. Costs what was
        folded.
        """
        own, dispatcher = self._own, self._dispatcher
        return encode_checkpoint(
            Checkpoint(
                strict=self.strict,
                max_event_size=self.limits.max_event_size,
                count=dispatcher.count,
                steps=[step.dump() for step in dispatcher.steps.values()],
                messages=[message.dump() for message in dispatcher.messages.values()],
                problems=dispatcher.problems,
                run=dispatcher.run,
                body=dispatcher.body,
                own=None if own.body is dispatcher.body else own.body,
                used=own.used,
                parser=own.parser.state(),
                pending=[dump_pending(item) for item in own.waiting()],
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the accumulator that `to_bytes` was called on, as it was.

        Raises:
            CheckpointError: the bytes are no checkpoint, or one of a version that this release does not read.

        """
        saved = decode_checkpoint(data)
        try:
            run = cls(strict=saved.strict, limits=Limits(max_event_size=saved.max_event_size))
            dispatcher = run._dispatcher
            for dumps, life in ((saved.steps, dispatcher.step), (saved.messages, dispatcher.message)):
                for dump in dumps:
                    restored = life(dump.id)
                    restored.restore(dump)
                    dispatcher.keep(restored)
            for json in (saved.run, saved.body.error, saved.own and saved.own.error):
                plain_json(json)
            own = run._own
            own.parser = SSEParser.from_state(saved.parser, max_event_size=saved.max_event_size)
        except (TypeError, ValueError) as exc:
            message = f"expected the state of an accumulator: {exc}"
            raise CheckpointError(message) from exc
        dispatcher.count, dispatcher.problems = saved.count, saved.problems
        dispatcher.run, dispatcher.body = saved.run, saved.body
        dispatcher.nesting = MAX_DEPTH  # how deep its steps are is looked at when it matters
        own.body = saved.body if saved.own is None else saved.own
        own.used = saved.used
        for item in saved.pending:
            own.pending.append(own.parser.too_large() if item.too_large else Pending(item.name, item.data, item.torn))
        return run


class _Problems(Sequence[Problem]):
    """The problems up to some event, in order: a sequence that never changes, made without a copy.

    Equal to a list or tuple of the same problems, too. Not hashable.
    """

    __slots__ = ("_all", "_count")
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, problems: list[Problem], count: int) -> None:
        """Have the first `count` of a list that only grows."""
        self._all = problems
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Problem, ...]: ...
    def __getitem__(self, index: int | slice) -> Problem | tuple[Problem, ...]:
        places = range(self._count)[index]
        return self._all[places] if isinstance(places, int) else tuple(self._all[place] for place in places)

    def __iter__(self) -> Iterator[Problem]:
        return islice(self._all, self._count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (_Problems, list, tuple)):
            return NotImplemented
        return list(self) == list(cast("Sequence[object]", other))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[object, ...]:
        return (tuple, (list(self),))
