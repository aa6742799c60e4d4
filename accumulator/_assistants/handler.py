"""Callbacks by name: each update goes to the hook that is named after its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._assistants.updates import (
    BodyEnded,
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
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator._assistants.updates import Update

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
"""The name of the hook for each class of update; every member of `Update` has one, and none shares it."""


class Handler:
    """A handler with a hook for each kind of update: derive from it and override those that matter.

    Give an instance as `handler=` to `accumulate`, `connect`, `tap` or their twins. It is a callable of one update, so
    that it may also be called by hand, with what `Accumulator.feed` returns. Each hook takes one update, and by itself
    does nothing; what it returns is ignored. Where the stream is async a hook may be a coroutine function and is
    awaited before the stream goes on; elsewhere that is a `TypeError` when the stream is made.

    A hook runs before its update is handed out in the loop. One that raises ends the stream with that exception.
    """

    def __call__(self, update: Update, /) -> object:
        """Give the update to its hook, and return what that returns: for a coroutine function, what is to be awaited.

        Raises:
            TypeError: it is no update.

        """
        name = HOOKS.get(type(update))
        if name is None:
            raise TypeError(f"expected an update, came {type(update).__name__}")
        hook: Callable[[Update], object] = getattr(self, name)
        return hook(update)

    def __hooks__(self) -> dict[str, object]:
        """Return what it calls, by name: each is looked at before a stream is read."""
        return {name: getattr(self, name) for name in HOOKS.values()}

    def on_run_step_created(self, update: RunStepCreated, /) -> object:
        """Hear of a run step that was seen for the first time."""

    def on_run_step_updated(self, update: RunStepUpdated, /) -> object:
        """Hear of a known run step that was sent again, or that a delta changed in none of its calls."""

    def on_run_step_done(self, update: RunStepDone, /) -> object:
        """Hear of a run step that ended: completed, failed, cancelled or expired."""

    def on_tool_call_created(self, update: ToolCallCreated, /) -> object:
        """Hear of a tool call that was seen for the first time."""

    def on_tool_call_delta(self, update: ToolCallDelta, /) -> object:
        """Hear of a fragment of a tool call, the first included."""

    def on_tool_call_done(self, update: ToolCallDone, /) -> object:
        """Hear of a tool call whose step ended."""

    def on_message_created(self, update: MessageCreated, /) -> object:
        """Hear of a message that was seen for the first time."""

    def on_message_updated(self, update: MessageUpdated, /) -> object:
        """Hear of a known message that was sent again, or that a delta changed in none of its parts."""

    def on_message_done(self, update: MessageDone, /) -> object:
        """Hear of a message that ended: completed or incomplete."""

    def on_content_created(self, update: ContentCreated, /) -> object:
        """Hear of a part of a message that was seen for the first time."""

    def on_content_delta(self, update: ContentDelta, /) -> object:
        """Hear of a fragment of a part of a message, the first included."""

    def on_content_done(self, update: ContentDone, /) -> object:
        """Hear of a part of a message that ended."""

    def on_run_updated(self, update: RunUpdated, /) -> object:
        """Hear of the run, which waits for nothing."""

    def on_requires_action(self, update: RequiresAction, /) -> object:
        """Hear of the run, which waits for tool outputs or an approval.

        A second stream, of the outputs submitted here, may run into the same accumulator to its end.
        """

    def on_unknown_event(self, update: UnknownEvent, /) -> object:
        """Hear of an event that changes no run step, message or run."""

    def on_error(self, update: ErrorReceived, /) -> object:
        """Hear of an error that the server sent."""

    def on_problem(self, update: Problem, /) -> object:
        """Hear of something in an event that is wrong."""

    def on_end(self, update: BodyEnded, /) -> object:
        """Hear of the end of a body, also of one that ends because another hook raised, "truncated" then.

        A stream that is closed before its end has nobody to hear of it.
        """
