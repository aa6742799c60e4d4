"""Check a handler before anything is read, and call it.

A handler is a callable of one update. A hook is a method of a handler; the handler calls it with updates of one class.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TypeAlias, TypeVar, cast

U = TypeVar("U")

Callback: TypeAlias = Callable[[U], object]
"""A handler. Its result is ignored, except that an async stream or tap awaits a result that is awaitable."""


def check_handler(handler: Callback[U] | None, async_name: str | None = None) -> Callback[U] | None:
    """Return the handler if it can be called with one update.

    The hooks of the handler are checked too, if its class has a function `__hooks__` that takes the handler and returns
    its hooks by name.

    Args:
        handler: the handler that the user passed, or None for no handler.
        async_name: the name of the async version of the caller, for the error message; None if the caller is async.

    Raises:
        TypeError: the handler or a hook cannot take one update, is a generator function, or is a coroutine function
            although the caller is not async; or the handler is a class with hooks instead of an instance of it.

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
    _check(handler, "handler", async_name)
    for name, hook in hooks(handler).items() if hooks is not None else ():
        _check(hook, name, async_name)
    return handler


def call(handler_call: Callable[[], object]) -> None:
    """Make a call of a handler, and raise `TypeError` if it returns a coroutine."""
    result = handler_call()
    if result is not None and isinstance(result, Coroutine):
        result.close()  # otherwise Python warns that it was never awaited
        raise TypeError("the handler returned a coroutine, and nothing is awaited here: use the async version")


async def acall(handler_call: Callable[[], object]) -> None:
    """Make a call of a handler, and await its result if that is awaitable."""
    result = handler_call()
    if result is not None and isinstance(result, Awaitable):
        await result


def _check(callback: object, name: str, async_name: str | None) -> None:
    import inspect  # slow to import, and only handlers need it

    if not callable(callback):
        raise TypeError(f"expected {name} to be a callable of one update, got {type(callback).__name__}")
    function: object = callback
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    functions = (function, getattr(type(function), "__call__", None))  # noqa: B004 - not to test whether it is callable
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in functions):
        raise TypeError(f"expected {name} to do its work when called, got a generator function")
    if async_name is not None and any(inspect.iscoroutinefunction(each) for each in functions):
        raise TypeError(f"{name} is a coroutine function, and nothing is awaited here: use {async_name}()")
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):
        return  # some builtins have no signature: the first call shows whether they take one update
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(f"expected {name} to take one update, its signature is {signature}: {error}") from error
