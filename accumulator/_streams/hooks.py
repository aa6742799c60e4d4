"""What a handler has to be, looked at before anything is read, and how what it hears is called."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accumulator._assistants.updates import Update

Callback: TypeAlias = "Callable[[Update], object]"
"""What hears updates. It has no say in the stream but by raising; where hooks are awaited, what it returns may be."""


def checked(handler: Callback | None, *, twin: str | None = None) -> Callback | None:
    """Give the handler if it can be called with an update, and nothing of it would be forgotten to be awaited.

    A class can have what it calls looked at one by one: its `__hooks__` gives them by name, as `Handler`'s does.

    Args:
        handler: what the user gave.
        twin: the function that awaits hooks, to be named; None where that is the case here.

    """
    if handler is None:
        return None
    hooks: Callable[[object], Mapping[str, object]] | None
    if isinstance(handler, type):
        if hasattr(cast("type[object]", handler), "__hooks__"):
            raise TypeError(f"expected a handler, came the class {handler.__name__} itself: give an instance of it")
        hooks = None
    else:
        hooks = getattr(type(handler), "__hooks__", None)
    _check(handler, "handler", twin)
    for name, hook in hooks(handler).items() if hooks is not None else ():
        _check(hook, name, twin)
    return handler


def call(hook: Callable[[], object]) -> None:
    """Call a hook where none is awaited; one that nobody could see to be async is a `TypeError` now."""
    result = hook()
    if result is not None and isinstance(result, Coroutine):
        result.close()  # else Python warns of it a second time, when it is collected
        raise TypeError("a hook of a stream that is read without await gave a coroutine: use the async twin")


async def acall(hook: Callable[[], object]) -> None:
    """Call a hook, and await what it gives if that can be."""
    result = hook()
    if result is not None and isinstance(result, Awaitable):
        await result


def _check(hook: object, name: str, twin: str | None) -> None:
    import inspect  # not cheap, and only handlers need it

    if not callable(hook):
        raise TypeError(f"expected {name} to be a callable of one update, came {type(hook).__name__}")
    function: object = hook
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    bodies = (function, getattr(type(function), "__call__", None))  # noqa: B004 - its code is looked at
    if any(inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body) for body in bodies):
        raise TypeError(f"expected {name} to do its work when called, came a generator function, which only begins")
    if twin is not None and any(inspect.iscoroutinefunction(body) for body in bodies):
        raise TypeError(f"{name} is a coroutine function, and nothing is awaited here: use {twin}()")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):
        return  # some builtins have none; the first call will show
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(f"expected {name} to take one update, its signature is {signature}: {error}") from error
