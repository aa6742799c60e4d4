"""`Handler`: a handler that calls one of its methods, a hook, for each class of update.

A hook is named after its class of update, except `on_error` and `on_end`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from accumulator._assistants.updates import (
    ContentCreated,
    ContentDelta,
    ContentDone,
    ErrorReceived,
    MessageCreated,
    MessageDone,
    MessageUpdated,
    Problem,
    RequiresAction,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    RunUpdated,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    UnknownEvent,
    Update,
)
from accumulator._engine.body import BodyEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


HOOKS: dict[type[Update], str] = {
    RunStepCreated: "on_run_step_created",
    RunStepUpdated: "on_run_step_updated",
    RunStepDone: "on_run_step_done",
    ToolCallCreated: "on_tool_call_created",
    ToolCallDelta: "on_tool_call_delta",
    ToolCallDone: "on_tool_call_done",
    MessageCreated: "on_message_created",
    MessageUpdated: "on_message_updated",
    MessageDone: "on_message_done",
    ContentCreated: "on_content_created",
    ContentDelta: "on_content_delta",
    ContentDone: "on_content_done",
    RunUpdated: "on_run_updated",
    RequiresAction: "on_requires_action",
    ErrorReceived: "on_error",
    Problem: "on_problem",
    UnknownEvent: "on_unknown_event",
    BodyEnded: "on_end",
}
"""The hook of each class of update. Each member of `Update` has a hook of its own."""

IN_PLACE_OF: Final[Mapping[str, str]] = {
    "on_done": "on_end",
    "on_event": "a function as handler=, which gets every update",
    "on_exception": "on_error for an error of the server, on_end for a source that raised",
    "on_image_file_done": "on_content_done",
    "on_message_delta": "on_content_delta",
    "on_run_step": "on_run_step_created, on_run_step_updated or on_run_step_done",
    "on_run_step_delta": "on_tool_call_delta",
    "on_text_created": "on_content_created",
    "on_text_delta": "on_content_delta",
    "on_text_done": "on_content_done",
    "on_thread_message": "on_message_created, on_message_updated or on_message_done",
    "on_thread_run": "on_run_updated or on_requires_action",
    "on_timeout": "on_end",
    "on_unhandled_event": "on_unknown_event",
}
"""What takes the place of each hook of the handlers of openai-python and azure-ai-agents that has another name here."""


class Handler:
    """A handler with a hook for each class of update. Subclass it and override hooks; the others do nothing.

    Pass an instance as `handler=` to `accumulate`, `connect`, `tap` or the async version of one of these, or call the
    instance with the updates that `Accumulator.feed` returns.

    A subclass must have no other methods whose names begin with `on_`: nothing would call them. Such a class raises
    `TypeError` when it is made.

    A hook takes one update, and a stream ignores what the hook returns. A hook is called before the loop over the
    stream gets the update. If a hook raises, the stream ends and the exception propagates unchanged; a tap goes on to
    pass the bytes, and keeps the exception as its `error`.

    A hook may be a coroutine function in `aaccumulate`, `aconnect` and `atap`: they await each call before they go on.
    `accumulate`, `connect` and `tap` raise `TypeError` for such a hook before anything is read.
    """

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        hooks = set(HOOKS.values())
        for name in dir(cls):
            if name.startswith("on_") and name not in hooks and callable(getattr(cls, name)):
                raise TypeError(f"{cls.__name__}.{name} is no hook: {_instead(name)}")

    def __call__(self, update: Update, /) -> object:
        """Call the hook of the update's class, and return its result: a coroutine if the hook is a coroutine function.

        Raises:
            TypeError: the argument is not an update.

        """
        name = HOOKS.get(type(update))
        if name is None:
            raise TypeError(f"expected an update, got {type(update).__name__}")
        hook: Callable[[Update], object] = getattr(self, name)
        return hook(update)

    def __hooks__(self) -> dict[str, object]:
        """Return each hook by its name. Streams check the hooks before they read anything."""
        return {name: getattr(self, name) for name in HOOKS.values()}

    def on_run_step_created(self, update: RunStepCreated, /) -> object:
        """Handle a run step that was seen for the first time."""

    def on_run_step_updated(self, update: RunStepUpdated, /) -> object:
        """Handle a known run step that was sent again, or in which a delta set a field and named no call."""

    def on_run_step_done(self, update: RunStepDone, /) -> object:
        """Handle a run step that ended: completed, failed, cancelled or expired."""

    def on_tool_call_created(self, update: ToolCallCreated, /) -> object:
        """Handle a tool call that was seen for the first time."""

    def on_tool_call_delta(self, update: ToolCallDelta, /) -> object:
        """Handle a delta of a tool call, the first one included."""

    def on_tool_call_done(self, update: ToolCallDone, /) -> object:
        """Handle a tool call that is complete because its run step ended."""

    def on_message_created(self, update: MessageCreated, /) -> object:
        """Handle a message that was seen for the first time."""

    def on_message_updated(self, update: MessageUpdated, /) -> object:
        """Handle a known message that was sent again, or in which a delta set a field and named no part."""

    def on_message_done(self, update: MessageDone, /) -> object:
        """Handle a message that ended: completed or incomplete."""

    def on_content_created(self, update: ContentCreated, /) -> object:
        """Handle a content part that was seen for the first time."""

    def on_content_delta(self, update: ContentDelta, /) -> object:
        """Handle a delta of a content part, the first one included."""

    def on_content_done(self, update: ContentDone, /) -> object:
        """Handle a content part that is complete because its message ended."""

    def on_run_updated(self, update: RunUpdated, /) -> object:
        """Handle the run, as sent. `on_requires_action` is called instead if the run waits for an action."""

    def on_requires_action(self, update: RequiresAction, /) -> object:
        """Handle the run, as sent, that waits for tool outputs or approvals.

        The hook may submit the outputs and read the response to its end, into the same accumulator.
        """

    def on_unknown_event(self, update: UnknownEvent, /) -> object:
        """Handle an event of an unknown name, or an event about an object that is not folded."""

    def on_error(self, update: ErrorReceived, /) -> object:
        """Handle an error event."""

    def on_problem(self, update: Problem, /) -> object:
        """Handle a problem of an event. The other updates about the event are handled first."""

    def on_end(self, update: BodyEnded, /) -> object:
        """Handle the end of a body, also if the body ends because another hook raised.

        Not called if the stream is closed while the body is open.
        """


_CLOSE = 0.8
"""How alike a name must be to a hook to be taken for a slip of it: from 0 to 1, which is the same."""


def _instead(name: str) -> str:
    """Return what to do instead of a method that is no hook."""
    if name in IN_PLACE_OF:
        return f"in its place is {IN_PLACE_OF[name]}"
    from difflib import get_close_matches

    hooks = HOOKS.values()
    close = get_close_matches(name, hooks, 1, cutoff=_CLOSE)
    return f"did you mean {close[0]}?" if close else f"the hooks are {', '.join(hooks)}"
