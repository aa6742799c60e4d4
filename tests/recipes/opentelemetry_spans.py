"""OpenTelemetry spans of a run: one for each run step, and in it one for each tool call.

    tracer = trace.get_tracer("my_app")
    spans = RunSpans(tracer)
    with tracer.start_as_current_span("run"):
        steps = accumulate(response, handler=spans).final_run_steps()

Where something else reads the stream, watch it with `tap`; then a failure here never reaches who reads:

    for chunk in tap(response, handler=spans): ...

Give all bodies of a run the same object: a step that waits for tool outputs is one span, from the first body to its end
in the second. The attributes are those of OpenTelemetry's conventions for generative AI, where they have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode, set_span_in_context

from accumulator import FunctionToolCall, Handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, Tracer

    from accumulator import BodyEnded, Problem, RunStepCreated, RunStepDone, ToolCallCreated, ToolCallDone


class RunSpans(Handler):
    """A handler that keeps a span open for each run step and tool call that is under way."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._steps: dict[str, Span] = {}
        self._calls: dict[tuple[str, int | None], Span] = {}

    def on_run_step_created(self, update: RunStepCreated) -> None:
        step = update.run_step
        attributes = {
            "gen_ai.agent.id": step.assistant_id,
            "gen_ai.conversation.id": step.thread_id,
            "run_step.id": step.id,
        }
        self._steps[update.step_id] = self._tracer.start_span(f"run_step {step.type}", attributes=known(attributes))

    def on_run_step_done(self, update: RunStepDone) -> None:
        step, span = update.run_step, self._steps.pop(update.step_id, None)
        if span is None:
            return  # it began before this object was there to see it
        attributes: dict[str, str | int | None] = {"run_step.status": step.status}
        if step.usage is not None:
            attributes["gen_ai.usage.input_tokens"] = step.usage.prompt_tokens
            attributes["gen_ai.usage.output_tokens"] = step.usage.completion_tokens
        span.set_attributes(known(attributes))
        if step.last_error is not None:
            span.set_status(Status(StatusCode.ERROR, step.last_error.message))
        span.end()

    def on_tool_call_created(self, update: ToolCallCreated) -> None:
        step, call = self._steps.get(update.step_id), update.tool_call
        name = call.function.name if isinstance(call, FunctionToolCall) and call.function is not None else call.type
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.name": name,
        }
        self._calls[update.step_id, update.index] = self._tracer.start_span(
            f"execute_tool {name}",
            context=None if step is None else set_span_in_context(step),
            attributes=known(attributes),
        )

    def on_tool_call_done(self, update: ToolCallDone) -> None:
        span = self._calls.pop((update.step_id, update.index), None)
        if span is not None:
            span.end()

    def on_problem(self, update: Problem) -> None:
        if update.step_id in self._steps:
            attributes = {"kind": update.kind, "path": update.path, "message": update.message}
            self._steps[update.step_id].add_event("problem", attributes)

    def on_end(self, update: BodyEnded) -> None:
        if update.outcome == "requires_action":
            return  # the next body goes on with what is open
        for span in [*self._calls.values(), *self._steps.values()]:
            span.set_status(Status(StatusCode.ERROR, f"the stream ended: {update.outcome}"))
            span.end()
        self._calls.clear()
        self._steps.clear()


def known(attributes: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """Leave out what the server did not send: an attribute cannot be null."""
    return {name: value for name, value in attributes.items() if value is not None}
