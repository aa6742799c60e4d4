"""Callbacks by name: a handler calls the hook that is named after the class of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from collections.abc import Callable


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
"""The hook of each class of update: every member of `Update` has one of its own."""


class Handler:
    """A handler with a hook for each kind of update: subclass it and override the hooks that matter.

    Pass an instance as `handler=` to `accumulate`, `connect`, `tap` or their async twins, or call it with the updates
    that `Accumulator.feed` returns. Each hook takes one update; what it returns is ignored. The hooks of this class do
    nothing. With an async stream a hook may be a coroutine function, which is awaited before the stream goes on; with
    any other it is a `TypeError` when the stream is made.

    A hook runs before the loop over the stream gets its update. An exception that it raises ends the stream and leaves
    it unchanged.
    """

    def __call__(self, update: Update, /) -> object:
        """Call the hook of an update, and return what the hook returns: a coroutine if the hook is async.

        Raises:
            TypeError: the argument is no update.

        """
        name = HOOKS.get(type(update))
        if name is None:
            raise TypeError(f"expected an update, got {type(update).__name__}")
        hook: Callable[[Update], object] = getattr(self, name)
        return hook(update)

    def __hooks__(self) -> dict[str, object]:
        """Return the hooks by name, to be checked before a stream is read."""
        return {name: getattr(self, name) for name in HOOKS.values()}

    def on_run_step_created(self, update: RunStepCreated, /) -> object:
        """Handle a run step that was seen for the first time."""

    def on_run_step_updated(self, update: RunStepUpdated, /) -> object:
        """Handle a known run step that was sent again, or that a delta changed outside its tool calls."""

    def on_run_step_done(self, update: RunStepDone, /) -> object:
        """Handle a run step that ended: completed, failed, cancelled or expired."""

    def on_tool_call_created(self, update: ToolCallCreated, /) -> object:
        """Handle a tool call that was seen for the first time."""

    def on_tool_call_delta(self, update: ToolCallDelta, /) -> object:
        """Handle a delta of a tool call, the first one included."""

    def on_tool_call_done(self, update: ToolCallDone, /) -> object:
        """Handle a tool call that is complete, since its step ended."""

    def on_message_created(self, update: MessageCreated, /) -> object:
        """Handle a message that was seen for the first time."""

    def on_message_updated(self, update: MessageUpdated, /) -> object:
        """Handle a known message that was sent again, or that a delta changed outside its content parts."""

    def on_message_done(self, update: MessageDone, /) -> object:
        """Handle a message that ended: completed or incomplete."""

    def on_content_created(self, update: ContentCreated, /) -> object:
        """Handle a content part that was seen for the first time."""

    def on_content_delta(self, update: ContentDelta, /) -> object:
        """Handle a delta of a content part, the first one included."""

    def on_content_done(self, update: ContentDone, /) -> object:
        """Handle a content part that is complete, since its message ended."""

    def on_run_updated(self, update: RunUpdated, /) -> object:
        """Handle the run, as sent, if it waits for nothing."""

    def on_requires_action(self, update: RequiresAction, /) -> object:
        """Handle the run, as sent, if it waits for tool outputs or approvals.

        The hook may submit the outputs and read the stream of the answer to its end, into the same accumulator.
        """

    def on_unknown_event(self, update: UnknownEvent, /) -> object:
        """Handle an event of an unknown name or about another object."""

    def on_error(self, update: ErrorReceived, /) -> object:
        """Handle an error that the server sent."""

    def on_problem(self, update: Problem, /) -> object:
        """Handle something that is wrong in an event."""

    def on_end(self, update: BodyEnded, /) -> object:
        """Handle the end of a body. A body that ends because another hook raised has the outcome "truncated".

        Not called if the stream is closed before its end.
        """
