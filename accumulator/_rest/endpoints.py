"""List run steps, Retrieve run step, and resume: the functions that people call."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, Self

from accumulator._assistants.run_steps import RunStep, RunStepInclude
from accumulator._rest.loops import AsyncLoop, Loop
from accumulator._rest.retries import DEFAULT_ATTEMPTS, DEFAULT_TOTAL_TIMEOUT, Retries
from accumulator._rest.talks import Listing, Resumption, ask, retrieve
from accumulator._streams.deadlines import check_seconds
from accumulator._streams.hooks import check_handler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.connect import AsyncClient, Client
    from accumulator._assistants.updates import Update
    from accumulator._json import JSONObject
    from accumulator._rest.services import Service
    from accumulator._streams.hooks import Callback

DEFAULT_RESUME_TIMEOUT: Final = 600.0
"""The seconds in which a resumed run has to end. The API lets a run expire ten minutes after it was created."""

DEFAULT_POLL_INTERVAL: Final = 1.0
"""The seconds between two looks at a run that goes on, as in the SDKs."""


def list_run_steps(  # noqa: PLR0913 - the endpoint's own, and the bounds
    client: Client,
    service: Service | str,
    thread_id: str,
    run_id: str,
    *,
    limit: int | None = None,
    order: Literal["asc", "desc"] | None = None,
    after: str | None = None,
    before: str | None = None,
    include: Iterable[RunStepInclude] = (),
    attempts: int = DEFAULT_ATTEMPTS,
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[RunStep]:
    """Iterate over the run steps of a run, over all pages. A page is asked for when its first step is wanted.

    Args:
        client: a sync client of httpx or httpx2. What it adds to a request is sent: credentials, proxies, timeouts.
        service: a `Service`, or the base URL of one.
        thread_id: the id of the thread.
        run_id: the id of the run.
        limit: the most steps of a page, 1 to 100; the service's own number by default, which is 20.
        order: by `created_at`: "desc", the service's default, begins with the newest.
        after: the id of a step: only those behind it are listed.
        before: the id of a step: only those before it are listed. Without `after` the service answers the last page of
            these, so that the pages are asked for backward, and all of them when the first step is wanted; together
            they have the `total_timeout` of one page and at most 128 MiB.
        include: what else to send, see `RunStepInclude`.
        attempts: how often a request is sent at most. It is sent again by stamina after a dropped connection, a timeout
            of the client, and an answer of status 429 or 5xx.
        total_timeout: the seconds for a page with all attempts. A `Retry-After` is waited for if it fits into the time
            that is left, and is the end otherwise. A body that comes in pieces is given up when the time is over. What
            comes before the body, and what unpacks to nothing, is not: nothing but the read timeout of the client
            bounds it then, for each piece by itself. With an async client all ends when the time is over.
        clock: the clock that measures that: a callable that returns seconds and never goes back.

    Raises:
        ResponseError: the last answer has another status than 2xx; is no JSON object with a list of run steps; has more
            than 32 MiB; or shows that the pages would not end: a step, a cursor, or an empty page that comes again.
        ImportError: stamina is not installed.
        TypeError, ValueError: an argument is wrong; raised at the call, before any request.

    Exceptions of the client propagate unchanged once the attempts are used up.

    """
    listing = Listing(service, thread_id, run_id, limit=limit, order=order, after=after, before=before, include=include)
    retries = Retries(attempts, total_timeout, clock)
    return _Steps(Loop(client, retries, "list_run_steps"), listing, retries)


def alist_run_steps(  # noqa: PLR0913 - as list_run_steps
    client: AsyncClient,
    service: Service | str,
    thread_id: str,
    run_id: str,
    *,
    limit: int | None = None,
    order: Literal["asc", "desc"] | None = None,
    after: str | None = None,
    before: str | None = None,
    include: Iterable[RunStepInclude] = (),
    attempts: int = DEFAULT_ATTEMPTS,
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[RunStep]:
    """Iterate over the run steps of a run with an async client: the async version of `list_run_steps`.

    It runs under asyncio and under trio, as the client does. When `total_timeout` is over, a request is broken off
    wherever it is: that is a `TimeoutError` if no answer has begun, else a `ResponseError`.
    """
    listing = Listing(service, thread_id, run_id, limit=limit, order=order, after=after, before=before, include=include)
    retries = Retries(attempts, total_timeout, clock)
    return _AsyncSteps(AsyncLoop(client, retries, "alist_run_steps"), listing, retries)


def retrieve_run_step(  # noqa: PLR0913 - as list_run_steps
    client: Client,
    service: Service | str,
    thread_id: str,
    run_id: str,
    step_id: str,
    *,
    include: Iterable[RunStepInclude] = (),
    attempts: int = DEFAULT_ATTEMPTS,
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> RunStep:
    """Return one run step. The arguments and the errors are those of `list_run_steps`."""
    get, retries = retrieve(service, thread_id, run_id, step_id, include), Retries(attempts, total_timeout, clock)
    answer = Loop(client, retries, "retrieve_run_step").run(ask(get, retries.deadline()))
    return RunStep.wrap(answer.json)


async def aretrieve_run_step(  # noqa: PLR0913 - as list_run_steps
    client: AsyncClient,
    service: Service | str,
    thread_id: str,
    run_id: str,
    step_id: str,
    *,
    include: Iterable[RunStepInclude] = (),
    attempts: int = DEFAULT_ATTEMPTS,
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> RunStep:
    """Return one run step with an async client: the async version of `retrieve_run_step`.

    `total_timeout` is that of `alist_run_steps`.
    """
    get, retries = retrieve(service, thread_id, run_id, step_id, include), Retries(attempts, total_timeout, clock)
    answer = await AsyncLoop(client, retries, "aretrieve_run_step").run(ask(get, retries.deadline()))
    return RunStep.wrap(answer.json)


def resume(  # noqa: PLR0913 - what asks, what is asked, and the bounds
    client: Client,
    service: Service | str,
    accumulator: Accumulator,
    *,
    thread_id: str | None = None,
    run_id: str | None = None,
    include: Iterable[RunStepInclude] = (),
    handler: Callback[Update] | None = None,
    poll_interval: float = DEFAULT_POLL_INTERVAL,
    attempts: int = DEFAULT_ATTEMPTS,
    total_timeout: float = DEFAULT_RESUME_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[RunStep]:
    """Complete a run whose stream was cut, and return a snapshot of each run step as `final_run_steps` does.

    Call it after a `TruncatedError`, with its `accumulator`. The server is asked for the run until that has ended or
    waits for tools, then for its steps, and `Accumulator.reconcile` merges both. Messages stay as the stream left them.

    Args:
        client: a sync client of httpx or httpx2, as in `list_run_steps`.
        service: a `Service`, or the base URL of one.
        accumulator: what the stream was folded into. Its body has ended.
        thread_id: the id of the thread; by default that of the run in the accumulator.
        run_id: the id of the run; by default that of the last body. An accumulator without any event needs both.
        include: what else to send of the steps, see `RunStepInclude`.
        handler: a callable of one update, such as a `Handler`: it is called with each update of the merge. If it
            raises, all is merged, and the exception propagates.
        poll_interval: the seconds between two looks at the run.
        attempts: how often each request is sent at most, as in `list_run_steps`.
        total_timeout: the seconds for all requests and waits.
        clock: the clock that measures that, as in `list_run_steps`.
        sleep: waits so many seconds between two looks. Between two attempts stamina waits.

    Raises:
        TruncatedError: the run did not end in that time, with a `TimeoutError` as the cause; nothing is merged.
        RunError: the stream had an error event.
        ResponseError: an answer is wrong, as in `list_run_steps`; nothing is merged.
        MergeError, LimitError: as in `Accumulator.reconcile`.
        RuntimeError: the body of the accumulator has not ended.
        ImportError, TypeError, ValueError: as in `list_run_steps`; or the accumulator knows no run.

    """
    retries, hooks = Retries(attempts, total_timeout, clock), check_handler(handler, "aresume")
    resumption = Resumption(
        service,
        accumulator,
        retries,
        thread_id=thread_id,
        run_id=run_id,
        include=include,
        poll_interval=check_seconds("poll_interval", poll_interval),
    )
    return Loop(client, retries, "resume", handler=hooks, sleep=sleep).run(resumption.talk())


async def aresume(  # noqa: PLR0913 - as resume
    client: AsyncClient,
    service: Service | str,
    accumulator: Accumulator,
    *,
    thread_id: str | None = None,
    run_id: str | None = None,
    include: Iterable[RunStepInclude] = (),
    handler: Callback[Update] | None = None,
    poll_interval: float = DEFAULT_POLL_INTERVAL,
    attempts: int = DEFAULT_ATTEMPTS,
    total_timeout: float = DEFAULT_RESUME_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] | None = None,
) -> list[RunStep]:
    """Complete a run whose stream was cut, with an async client: the async version of `resume`.

    The handler may be a coroutine function. `sleep` is one; by default it waits under asyncio and under trio.
    A request is broken off as in `alist_run_steps`.
    """
    retries, hooks = Retries(attempts, total_timeout, clock), check_handler(handler)
    resumption = Resumption(
        service,
        accumulator,
        retries,
        thread_id=thread_id,
        run_id=run_id,
        include=include,
        poll_interval=check_seconds("poll_interval", poll_interval),
    )
    return await AsyncLoop(client, retries, "aresume", handler=hooks, sleep=sleep).run(resumption.talk())


class _Steps:
    """The iterator of `list_run_steps`."""

    def __init__(self, loop: Loop, listing: Listing, retries: Retries) -> None:
        self._loop = loop
        self._listing = listing
        self._retries = retries
        self._ready: deque[JSONObject] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RunStep:
        if not self._ready:
            self._ready += self._loop.run(self._listing.next_page(self._retries.deadline()))
        if not self._ready:
            raise StopIteration
        return RunStep.wrap(self._ready.popleft())


class _AsyncSteps:
    """The async iterator of `alist_run_steps`. An async generator would need an event loop to be closed."""

    def __init__(self, loop: AsyncLoop, listing: Listing, retries: Retries) -> None:
        self._loop = loop
        self._listing = listing
        self._retries = retries
        self._ready: deque[JSONObject] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunStep:
        if not self._ready:
            self._ready += await self._loop.run(self._listing.next_page(self._retries.deadline()))
        if not self._ready:
            raise StopAsyncIteration
        return RunStep.wrap(self._ready.popleft())
