"""Handlers: how they are checked before anything is read, and how their hooks are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TypeAlias, TypeVar, cast

U = TypeVar("U")

Callback: TypeAlias = Callable[[U], object]
"""A callable of one update. What it returns is ignored; where hooks are awaited, it may return an awaitable."""


def checked(handler: Callback[U] | None, *, twin: str | None = None) -> Callback[U] | None:
    """Return the handler, or raise `TypeError` if it cannot take an update, or would have to be awaited and is not.

    A handler that calls other hooks has them checked too, if its class has a function `__hooks__` that takes the
    handler and returns its hooks by name.

    Args:
        handler: what the user gave.
        twin: the function that awaits hooks, for the message; None if hooks are awaited here.

    """
    if handler is None:
        return None
    hooks: Callable[[object], Mapping[str, object]] | None
    if isinstance(handler, type):
        if hasattr(cast("type[object]", handler), "__hooks__"):
            raise TypeError(f"expected a handler, got the class {handler.__name__} itself: give an instance of it")
        hooks = None
    else:
        hooks = getattr(type(handler), "__hooks__", None)
    _check(handler, "handler", twin)
    for name, hook in hooks(handler).items() if hooks is not None else ():
        _check(hook, name, twin)
    return handler


def call(hook: Callable[[], object]) -> None:
    """Call a hook that is not awaited; raise `TypeError` if it turns out to be async."""
    result = hook()
    if result is not None and isinstance(result, Coroutine):
        result.close()  # else Python warns that it was never awaited
        raise TypeError("a hook of a stream that is read without await gave a coroutine: use the async twin")


async def acall(hook: Callable[[], object]) -> None:
    """Call a hook, and await its result if it is awaitable."""
    result = hook()
    if result is not None and isinstance(result, Awaitable):
        await result


def _check(hook: object, name: str, twin: str | None) -> None:
    import inspect  # not cheap, and only handlers need it

    if not callable(hook):
        raise TypeError(f"expected {name} to be a callable of one update, got {type(hook).__name__}")
    function: object = hook
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    functions = (function, getattr(type(function), "__call__", None))  # noqa: B004 - its code is looked at
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in functions):
        raise TypeError(f"expected {name} to do its work when called, got a generator function, which only begins")
    if twin is not None and any(inspect.iscoroutinefunction(each) for each in functions):
        raise TypeError(f"{name} is a coroutine function, and nothing is awaited here: use {twin}()")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):
        return  # some builtins have none; the first call will show
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(f"expected {name} to take one update, its signature is {signature}: {error}") from error
