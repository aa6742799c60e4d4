"""The two loops that carry out the actions of a talk: the only I/O of the endpoints.

The clients are those of httpx and httpx2, which are told apart from others by their method `stream`, and the async ones
by `aclose`. stamina waits between two attempts, under asyncio and trio.
"""

from __future__ import annotations

import time
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar, assert_never

from accumulator._rest.answers import Answer
from accumulator._rest.talks import Course, HandOut, Send, Wait
from accumulator._streams.hooks import acall, call
from accumulator._streams.openers import find_method, type_name
from accumulator._streams.sources import make_async_source, make_source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from accumulator._assistants.connect import AsyncClient, Client
    from accumulator._assistants.updates import Update
    from accumulator._rest.retries import Retries
    from accumulator._rest.talks import Action, Talk
    from accumulator._streams.hooks import Callback

_T = TypeVar("_T")


class Loop:
    """Carries out talks with a sync client."""

    def __init__(
        self,
        client: Client,
        retries: Retries,
        name: str,
        *,
        handler: Callback[Update] | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Check the client; `name` is that of the function that the user called."""
        _check_client(client, name, f"a{name}", is_async=False)
        self._client = client
        self._retries = retries
        self._handler = handler
        self._sleep = sleep

    def run(self, talk: Talk[_T]) -> _T:
        """Carry out a talk, and return its result."""
        course = Course(talk)
        while course.action is not None:
            try:
                answer = self._do(course.action)
            except Exception as error:  # noqa: BLE001 - the talk raises it again
                course.fail(error)
            else:
                course.go_on(answer)
        return course.result

    def _do(self, action: Action) -> Answer | None:
        answer: Answer | None = None
        match action:
            case Send():
                for attempt in self._retries.attempts(action.deadline):
                    with attempt:
                        answer = self._send(action)
            case Wait(seconds):
                self._sleep(seconds)
            case HandOut(update):
                if self._handler is not None:
                    call(partial(self._handler, update))
            case _:
                assert_never(action)
        return answer

    def _send(self, send: Send) -> Answer:
        url, params, headers = send.get
        with self._client.stream("GET", url, params=params, headers=headers) as response:
            answer = Answer(response, self._retries.expiry(send.deadline))
            with answer.unpacking(), closing(make_source(response, "accumulate", "aaccumulate")) as source:
                source.passes_refused = True
                while answer.wants_more and (chunk := next(source, None)) is not None:
                    answer.add(chunk)
        return answer.finish()


class AsyncLoop:
    """Carries out talks with an async client: the async version of `Loop`."""

    def __init__(
        self,
        client: AsyncClient,
        retries: Retries,
        name: str,
        *,
        handler: Callback[Update] | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:
        """Check the client; `name` is that of the function that the user called."""
        _check_client(client, name, name.removeprefix("a"), is_async=True)
        self._client = client
        self._retries = retries
        self._handler = handler
        self._sleep = sleep or _sleep

    async def run(self, talk: Talk[_T]) -> _T:
        """Carry out a talk, and return its result."""
        course = Course(talk)
        while course.action is not None:
            try:
                answer = await self._do(course.action)
            except Exception as error:  # noqa: BLE001 - as in the sync loop
                course.fail(error)
            else:
                course.go_on(answer)
        return course.result

    async def _do(self, action: Action) -> Answer | None:
        answer: Answer | None = None
        match action:
            case Send():
                async for attempt in self._retries.attempts(action.deadline):
                    with attempt:
                        answer = await self._send(action)
            case Wait(seconds):
                await self._sleep(seconds)
            case HandOut(update):
                if self._handler is not None:
                    await acall(partial(self._handler, update))
            case _:
                assert_never(action)
        return answer

    async def _send(self, send: Send) -> Answer:
        """Send a request and read its answer in the time that is left, whatever comes slowly."""
        import anyio

        url, params, headers = send.get
        answer: Answer | None = None
        with anyio.move_on_after(self._retries.left(send.deadline)) as scope:
            async with self._client.stream("GET", url, params=params, headers=headers) as response:
                answer = Answer(response, self._retries.expiry(send.deadline))
                with answer.unpacking():
                    async with aclosing(make_async_source(response, "aaccumulate", "accumulate")) as source:
                        source.passes_refused = True
                        while answer.wants_more and (chunk := await anext(source, None)) is not None:
                            answer.add(chunk)
        if answer is None:
            raise TimeoutError("expected an answer in the time that is given (total_timeout), got none")
        if scope.cancelled_caught:
            raise answer.late()
        return answer.finish()


def _check_client(client: object, name: str, other_name: str, *, is_async: bool) -> None:
    """Raise `TypeError` unless a client is one of httpx or httpx2, async or not."""
    if find_method(client, "stream") is None or find_method(client, "build_request") is None:
        raise TypeError(f"{name}() takes a client of httpx or httpx2, got {type_name(client)}")
    if hasattr(client, "aclose") != is_async:
        wanted, other = ("an async", "a sync") if is_async else ("a sync", "an async")
        raise TypeError(f"{name}() takes {wanted} client, got {other} one, {type_name(client)}: use {other_name}()")


async def _sleep(seconds: float) -> None:
    """Wait, under asyncio or trio."""
    import anyio

    await anyio.sleep(seconds)
