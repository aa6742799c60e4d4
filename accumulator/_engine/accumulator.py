"""What the accumulators of all protocols share: bytes or events in, updates out, and the state as bytes. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import ClassVar, Generic, Self, TypeVar, cast, overload

from accumulator._engine.engine import Engine
from accumulator._engine.feed import Feed
from accumulator._engine.limits import DEFAULT_LIMITS, Limits
from accumulator._engine.protocol import Protocol, U
from accumulator._errors import AccumulatorError, CheckpointError, attach

_T_co = TypeVar("_T_co", covariant=True)


_OWN_ATTRIBUTES = frozenset({"strict", "limits", "_engine", "_problems", "_own"})


class BaseAccumulator(Generic[U]):
    """Fold the events of one run. It does no I/O, and is not thread-safe.

    Attributes:
        strict: whether a problem raises `MergeError`, after its event was applied.
        limits: the bounds on what a server can make the accumulator hold.

    """

    _protocol: Protocol[U]
    """What the events mean. A subclass sets it."""

    def __init__(self, *, strict: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        """Start with no events."""
        if not isinstance(strict, bool) or not isinstance(limits, Limits):
            raise TypeError(f"expected a bool and a Limits, got {type(strict).__name__} and {type(limits).__name__}")
        self.strict = strict
        self.limits = limits
        self._engine: Engine[U] = Engine(self._protocol, limits)
        self._problems: _Prefix[U] = _Prefix([], 0)

    @cached_property
    def _own(self) -> Feed[U]:
        """The source of the events that this accumulator is fed itself. Those that only streams feed need none."""
        return self._new_feed()

    def _new_feed(self, *, one_body: bool = False) -> Feed[U]:
        """Return a new source of events, with a parser of its own. Each stream has one."""
        return Feed(self._engine, strict=self.strict, one_body=one_body)

    def feed(self, chunk: bytes) -> list[U]:
        """Fold bytes of an event stream, cut anywhere, and return the updates in order.

        The time grows with the bytes of this call, not with what was folded before. Events after a `done` belong to the
        next body.

        Raises:
            MergeError: strict, and an event had a problem.
            LimitError: an event is over one of `limits`; it is left out whole.
            TypeError: `chunk` is not bytes.

        After a `MergeError` or a `LimitError`, `error.updates` holds the updates of this call so far. The rest of the
        chunk waits; `feed(b"")` continues with it. After any other exception, such as a `KeyboardInterrupt`, call
        `feed(b"")` too: what was taken of the chunk still waits. If something may be lost, there is an `interrupted`
        problem.

        """
        taken = False
        try:
            self._own.push(chunk)
            taken = True
            return self._apply_waiting()
        except (AccumulatorError, TypeError):
            raise
        except BaseException:
            if not (taken or self._engine.interrupted):
                self._engine.note_interrupt()
            raise

    def apply(self, event: str, data: bytes | str) -> list[U]:
        """Fold one event that is framed already, and return the updates in order. Raises as `feed`.

        Args:
            event: its name; "message" or "" for none.
            data: its data.

        """
        if not isinstance(event, str) or not isinstance(data, (bytes, str)):
            raise TypeError(f"expected a str and bytes or str, got {type(event).__name__} and {type(data).__name__}")
        taken = False
        try:
            self._own.push_event(event, data)
            taken = True
            return self._apply_waiting()
        except AccumulatorError:
            raise
        except BaseException:
            if not (taken or self._engine.interrupted):
                self._engine.note_interrupt()
            raise

    def end(self) -> list[U]:
        """End the body, because its source has ended, and return the updates in order.

        A last block without its blank line is applied if its data is whole. WHATWG's parser would discard it, but a
        quarter of stored recordings end so. The last update is `BodyEnded`, unless the body has ended before. A source
        without any event is one body, truncated. Raises as `feed`; then call `end()` again.
        """
        updates = self._apply_waiting()
        if not self._own.used and self._engine.body.began:
            return updates  # only streams were read, and each has ended its own body
        try:
            return updates + self._own.end()
        except AccumulatorError as error:
            attach(error, updates, self)
            raise

    def _apply_waiting(self) -> list[U]:
        updates, count = list[U](), self._engine.count
        try:
            while (more := self._own.step()) is not None:
                updates += more
            return updates  # noqa: TRY300 - an exception here loses the updates
        except AccumulatorError as error:
            attach(error, updates, self)
            raise
        except BaseException:
            lost = updates or self._engine.count != count  # nobody gets what was made of these events
            if lost and not self._engine.interrupted:
                self._engine.note_interrupt()
            raise

    def _forget(self) -> None:
        """Forget all that was folded, and go on: for a reader of many runs, once it has shown one."""
        self._engine.forget()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy by checkpoint; what a subclass or its user added goes along."""
        added = {name: value for name, value in vars(self).items() if name not in _OWN_ATTRIBUTES}
        return type(self).from_bytes, (self.to_bytes(),), added or None

    @property
    def outcome(self) -> str | None:
        """How the last body ended; None while it is open, or before there is one."""
        return self._engine.outcome(self._engine.body)

    @property
    def problem_count(self) -> int:
        """The number of all problems so far. It is more than the kept ones once a limit was reached."""
        return self._engine.problem_count

    def _problems_so_far(self) -> Sequence[U]:
        """Return the problems that are kept: the same sequence until there is another."""
        if len(self._problems) != len(self._engine.problems):
            self._problems = _Prefix(self._engine.problems, len(self._engine.problems))
        return self._problems

    def to_bytes(self) -> bytes:
        """Return the whole state, to be continued by `from_bytes` in this process or another.

        It holds all that was folded, the problems, the current body, the events that wait, half a block, `strict` and
        `limits`. It is JSON text with a version, not pickle. Its layout is no part of the interface. Costs what was
        folded.

        A checkpoint is data of your program: keep it where only the program writes. If it goes through other hands,
        sign it, and verify the signature before `from_bytes`.
        """
        from accumulator._engine.checkpoint import save

        return save(self._engine, self._own, strict=self.strict)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Return the accumulator that `to_bytes` was called on, as it was.

        Trust the bytes as you trust the data of your own code. Changed ones can give any state: other texts, statuses
        and problems, and no limits. They cannot run code, and the accumulator works on from what they say.

        Raises:
            CheckpointError: the bytes are no checkpoint, or one of a version that this release does not read.
            TypeError: `data` is not bytes, a bytearray or a memoryview.

        """
        from accumulator._engine.checkpoint import load, restore

        checkpoint, state = load(data)
        try:
            run = cls(strict=checkpoint.strict, limits=checkpoint.all_limits)
        except (TypeError, ValueError) as exc:
            raise CheckpointError(f"expected the state of an accumulator: {exc}") from exc
        restore(checkpoint, state, run._engine, run._own)
        return run


class _Prefix(Sequence[_T_co]):
    """The first items of a list that only grows: a sequence that never changes, without a copy.

    It equals a list or tuple of the same items, is not hashable, and pickles as a tuple.
    """

    __slots__ = ("_all", "_count")
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, items: list[_T_co], count: int) -> None:
        self._all = items
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> _T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> _T_co | tuple[_T_co, ...]:
        places = range(self._count)[index]
        return self._all[places] if isinstance(places, int) else tuple(self._all[place] for place in places)

    def __iter__(self) -> Iterator[_T_co]:
        return islice(self._all, self._count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (_Prefix, list, tuple)):
            return NotImplemented
        return list(self) == list(cast("Sequence[object]", other))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[object, ...]:
        return tuple, (tuple(self),)
