"""The rules of the endpoints, without I/O: generators of actions, which the sync and the async loop carry out.

A talk yields an action and gets what came of it: for a request, its answer. It returns its result. An error of an
action is raised where the action was yielded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.protocol import BODY_END_STATUSES
from accumulator._assistants.streams import raise_unless_ended_well
from accumulator._engine.body import TRUNCATED
from accumulator._engine.limits import DEFAULT_MAX_LIST_ENTRIES, DEFAULT_MAX_TOTAL_SIZE, SHOWN
from accumulator._errors import AccumulatorError, LimitError, TruncatedError, attach
from accumulator._json import JSONObject, render_path
from accumulator._rest.answers import Answer
from accumulator._rest.services import LONGEST_ID, Get, Service, make_service, quote_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._assistants.run_steps import RunStep
    from accumulator._assistants.updates import Update
    from accumulator._rest.retries import Retries

_T = TypeVar("_T")

LARGEST_PAGE: Final = 100
"""The most steps of a page, as the API says."""

MOST_STEPS: Final = DEFAULT_MAX_LIST_ENTRIES
"""The most steps of one run that are listed, as entries of one list are held. A server may invent them without end."""

MOST_BYTES: Final = DEFAULT_MAX_TOTAL_SIZE
"""The bytes of all answers whose steps are handed out at once, as of all that one accumulator holds."""


class Send(NamedTuple):
    """Send a request and read its answer, with all attempts before a deadline."""

    get: Get
    deadline: float


class Wait(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class HandOut(NamedTuple):
    """Call the handler with an update."""

    update: Update


Action: TypeAlias = Send | Wait | HandOut
Talk: TypeAlias = Generator[Action, Answer | None, _T]


class Course(Generic[_T]):
    """The course of a talk: what a loop has to do next, and what came of it.

    Attributes:
        action: the action to carry out; None once the talk has ended.

    """

    def __init__(self, talk: Talk[_T]) -> None:
        """Begin a talk."""
        self._talk = talk
        self._result: list[_T] = []
        self.action: Action | None = None
        self.go_on(None)

    @property
    def result(self) -> _T:
        """What the talk returned."""
        return self._result[0]

    def go_on(self, answer: Answer | None) -> None:
        """Say that the action is carried out, and what the answer of its request is."""
        self._step(lambda: self._talk.send(answer))

    def fail(self, error: Exception) -> None:
        """Say that the action raised an error. The talk raises it, or another."""
        self._step(lambda: self._talk.throw(error))

    def _step(self, step: Callable[[], Action]) -> None:
        try:
            self.action = step()
        except StopIteration as stop:
            self.action = None
            self._result.append(stop.value)


def ask(get: Get, deadline: float) -> Talk[Answer]:
    """Send a request, and return its answer."""
    return cast("Answer", (yield Send(get, deadline)))


def run_path(thread_id: str, run_id: str) -> tuple[str, ...]:
    """Return the path of a run, checked and quoted."""
    return "threads", quote_id("thread_id", thread_id), "runs", quote_id("run_id", run_id)


def included(include: Iterable[str]) -> list[tuple[str, str]]:
    """Return the query parameters of `include`. Raise `TypeError` if it is no iterable of str."""
    if isinstance(include, str):
        raise TypeError(f"expected an iterable for include, got a str: give [{include[:80]!r}]")
    values = list(include)
    if not all(isinstance(each, str) for each in values):
        raise TypeError("expected an iterable of str for include")
    return [("include[]", each) for each in values]


class Listing:
    """The run steps of a run, page by page.

    The next page begins after the last step of this one. With `before` alone a page has the last steps before it, and
    the next page those before its first: all are read, and are then one page.

    A server that ignores the cursor sends the same steps again, and would be asked for ever: a step or a cursor that
    comes again is an error, and so is an empty page with more behind.
    """

    def __init__(  # noqa: PLR0913 - the endpoint's own
        self,
        service: Service | str,
        thread_id: str,
        run_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        after: str | None = None,
        before: str | None = None,
        include: Iterable[str] = (),
    ) -> None:
        """Check the arguments. Raise `TypeError` or `ValueError` if one is wrong."""
        self._service = make_service(service)
        self._path = (*run_path(thread_id, run_id), "steps")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"expected limit to be a number, got {type(limit).__name__}")
        if limit is not None and not 1 <= limit <= LARGEST_PAGE:
            raise ValueError(f"expected a limit of 1 to {LARGEST_PAGE}, got {limit}")
        if order not in {None, "asc", "desc"}:
            raise ValueError(f'expected the order "asc" or "desc", got {order!r:.80}')
        for name, cursor in (("after", after), ("before", before)):
            if cursor is not None:
                quote_id(name, cursor)
        self._cursor_name, self._cursor, also = "after", after, before
        if before is not None and after is None:
            self._cursor_name, self._cursor, also = "before", before, None
        said = {"limit": None if limit is None else str(limit), "order": order, "before": also}
        self._query = [(name, value) for name, value in said.items() if value is not None] + included(include)
        self.page_size = 0  # the bytes of the last answer
        self._seen = set[str]()
        self._cursors = {self._cursor}
        self._ended = False
        self._ready = deque[JSONObject]()  # steps that are read and not returned: the next page may fail
        self._ready_size = 0

    def next_page(self, deadline: float) -> Talk[list[JSONObject]]:
        """Return the steps of the next page; none behind the last. With `before` alone all pages are one."""
        while not self._ended:
            page = yield from self._ask(deadline)
            self._ready.extendleft(reversed(page))
            if self._cursor_name == "after":
                break
        steps, self._ready, self._ready_size = list(self._ready), deque[JSONObject](), 0
        return steps

    def _ask(self, deadline: float) -> Talk[list[JSONObject]]:
        cursor = [] if self._cursor is None else [(self._cursor_name, self._cursor)]
        answer = yield from ask(self._service.request(self._path, [*self._query, *cursor]), deadline)
        self.page_size = answer.size
        self._ready_size += answer.size
        if self._ready_size > MOST_BYTES:
            raise answer.wrong(f"at most {MOST_BYTES} bytes of run steps in all pages, got more")
        steps = self._take_steps(answer)
        self._take_cursor(answer, steps)
        return steps

    def _take_steps(self, answer: Answer) -> list[JSONObject]:
        data, steps = answer.json.get("data"), list[JSONObject]()
        if not isinstance(data, list):
            raise answer.wrong("a list of run steps at $.data")
        for place, step in enumerate(data):
            ident = step.get("id") if isinstance(step, dict) else None
            if not isinstance(step, dict) or not isinstance(ident, str) or not 0 < len(ident) <= LONGEST_ID:
                raise answer.wrong(f"a run step with an id at {render_path(['data', place])}")
            if ident in self._seen:
                ignored = f"the server ignores `{self._cursor_name}`"
                raise answer.wrong(f"each run step once, got {ident[:SHOWN]} again: {ignored}")
            self._seen.add(ident)
            steps.append(step)
        if len(self._seen) > MOST_STEPS:
            raise answer.wrong(f"at most {MOST_STEPS} run steps, got more")
        return steps

    def _take_cursor(self, answer: Answer, steps: list[JSONObject]) -> None:
        place, key = (-1, "last_id") if self._cursor_name == "after" else (0, "first_id")
        more, named = answer.json.get("has_more"), answer.json.get(key)
        if more is not None and not isinstance(more, bool):
            raise answer.wrong("true or false at $.has_more")
        self._ended = not more
        if self._ended:
            return
        if not steps:
            raise answer.wrong("run steps in a page with more behind it, got an empty one")
        cursor = named if isinstance(named, str) and named else steps[place]["id"]
        if not isinstance(cursor, str) or len(cursor) > LONGEST_ID or cursor in self._cursors:
            raise answer.wrong(f"another cursor at $.{key} than before")
        self._cursors.add(cursor)
        self._cursor = cursor


def retrieve(service: Service | str, thread_id: str, run_id: str, step_id: str, include: Iterable[str]) -> Get:
    """Return the request for one run step."""
    path = (*run_path(thread_id, run_id), "steps", quote_id("step_id", step_id))
    return make_service(service).request(path, included(include))


class Resumption:
    """A run whose stream was cut: the server is asked until it has ended, and what it says is merged."""

    def __init__(  # noqa: PLR0913 - what `resume` takes
        self,
        service: Service | str,
        accumulator: Accumulator,
        retries: Retries,
        *,
        thread_id: str | None,
        run_id: str | None,
        include: Iterable[str],
        poll_interval: float,
    ) -> None:
        """Check the arguments. Raise `RuntimeError`, `TypeError` or `ValueError` if one is wrong."""
        if not isinstance(accumulator, Accumulator):
            has_one = isinstance(getattr(accumulator, "accumulator", None), Accumulator)
            hint = ": give its .accumulator" if has_one else ""
            raise TypeError(f"expected an Accumulator, got {type(accumulator).__name__}{hint}")
        accumulator.reconcile([])  # raises if its body is open
        self._accumulator = accumulator
        self._retries = retries
        self._poll_interval = poll_interval
        thread_id, run_id = _find_run(accumulator, thread_id, run_id)
        self._run = make_service(service).request(run_path(thread_id, run_id))
        self._listing = Listing(service, thread_id, run_id, limit=LARGEST_PAGE, order="asc", include=include)

    def talk(self) -> Talk[list[RunStep]]:
        """Ask, merge, and return the run steps."""
        accumulator, deadline = self._accumulator, self._retries.deadline()
        try:
            run = yield from self._wait_for_end(deadline)
            steps = yield from self._read_steps(deadline)
            for update in accumulator.reconcile(steps, run):
                yield HandOut(update)
        except AccumulatorError as error:
            attach(error, [], accumulator)
            raise
        told = None if accumulator.error is None else accumulator.error.to_dict()
        raise_unless_ended_well(accumulator, told, truncated=accumulator.outcome == TRUNCATED)
        return accumulator.run_steps()

    def _wait_for_end(self, deadline: float) -> Talk[JSONObject]:
        clock: Callable[[], float] = self._retries.clock
        while True:
            answer = yield from ask(self._run, deadline)
            status = answer.json.get("status")
            if isinstance(status, str) and status in BODY_END_STATUSES:
                return answer.json
            if deadline - clock() <= self._poll_interval:
                shown = status if isinstance(status, str) else None
                message = f"expected the run to end in the time that is given (total_timeout), its status is {shown}"
                raise TruncatedError(message) from TimeoutError(message)
            yield Wait(self._poll_interval)

    def _read_steps(self, deadline: float) -> Talk[list[JSONObject]]:
        steps, most, size = list[JSONObject](), self._accumulator.limits.max_total_size, 0
        while page := (yield from self._listing.next_page(deadline)):
            steps += page
            size += self._listing.page_size
            if most is not None and size > most:
                message = f"expected at most {most} bytes of run steps (max_total_size), got more; none was merged"
                raise LimitError(message, limit="max_total_size", maximum=most)
        return steps


def _find_run(accumulator: Accumulator, thread_id: str | None, run_id: str | None) -> tuple[str, str]:
    """Return the ids of thread and run: those that are given, else those of the run of the last body."""
    if run_id is None:
        run_id = accumulator._engine.body.run  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a step names it too
    if thread_id is None:
        said = [(each.id, each.thread_id) for each in accumulator.runs()]
        said += [(each.run_id, each.thread_id) for each in accumulator.run_steps()]
        said += [(each.run_id, each.thread_id) for each in accumulator.messages()]
        thread_id = next((thread for owner, thread in said if owner == run_id and isinstance(thread, str)), None)
    if run_id is None or thread_id is None:
        raise ValueError("expected an accumulator that knows its thread and run: give thread_id= and run_id=")
    return thread_id, run_id
