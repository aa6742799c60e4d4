"""OpenTelemetry spans of a run: one for each run step, and in it one for each tool call.

    tracer = trace.get_tracer("my_app")
    spans = RunSpans(tracer)
    with tracer.start_as_current_span("run"):
        steps = accumulate(response, handler=spans).final_run_steps()

Where something else reads the stream, watch it with `tap`; then a failure here never reaches who reads. Nobody hears of
the end of a stream that is left early, so close the spans yourself:

    with tap(response, handler=spans) as chunks, closing(spans):
        for chunk in chunks: ...

Give all bodies of a run the same object: a step that waits for tool outputs is one span, from the first body to its end
in the second. The attributes are those of OpenTelemetry's conventions for generative AI, where they have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode, set_span_in_context

from accumulator import Function, FunctionToolCall, Handler, LastError, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, Tracer

    from accumulator import BodyEnded, Problem, RunStepCreated, RunStepDone, ToolCall, ToolCallCreated, ToolCallDone


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
        span.update_name(f"run_step {step.type}")  # one that began in the midst of things had no type
        attributes: dict[str, object] = {"run_step.status": step.status}
        if isinstance(step.usage, Usage):  # a server may send anything: it is handed through
            attributes["gen_ai.usage.input_tokens"] = step.usage.prompt_tokens
            attributes["gen_ai.usage.output_tokens"] = step.usage.completion_tokens
        span.set_attributes(known(attributes))
        if isinstance(step.last_error, LastError):
            span.set_status(Status(StatusCode.ERROR, str(step.last_error.message)))
        elif step.last_error is not None:
            span.set_status(Status(StatusCode.ERROR, str(step.last_error)))
        span.end()

    def on_tool_call_created(self, update: ToolCallCreated) -> None:
        step = self._steps.get(update.step_id)
        self._calls[update.step_id, update.index] = self._tracer.start_span(
            f"execute_tool {tool_name(update.tool_call)}",
            context=None if step is None else set_span_in_context(step),
            attributes=call_attributes(update.tool_call),
        )

    def on_tool_call_done(self, update: ToolCallDone) -> None:
        span = self._calls.pop((update.step_id, update.index), None)
        if span is not None:
            span.update_name(f"execute_tool {tool_name(update.tool_call)}")
            span.set_attributes(call_attributes(update.tool_call))
            span.end()

    def on_problem(self, update: Problem) -> None:
        if update.step_id in self._steps:
            attributes = {"kind": update.kind, "path": update.path, "message": update.message}
            self._steps[update.step_id].add_event("problem", attributes)

    def on_end(self, update: BodyEnded) -> None:
        if update.outcome != "requires_action":  # then the next body goes on with what is open
            self._end(f"the stream ended: {update.outcome}")

    def close(self) -> None:
        """End what is open, of a stream that was left before its end."""
        self._end("the stream was left")

    def _end(self, why: str) -> None:
        for span in [*self._calls.values(), *self._steps.values()]:
            span.set_status(Status(StatusCode.ERROR, why))
            span.end()
        self._calls.clear()
        self._steps.clear()


def tool_name(call: ToolCall) -> str:
    """Return the name of a function, the type of any other tool."""
    function = call.function if isinstance(call, FunctionToolCall) else None
    return str(function.name if isinstance(function, Function) and function.name else call.type)


def call_attributes(call: ToolCall) -> dict[str, str | int]:
    """Return what is known of a call."""
    attributes = {"gen_ai.tool.call.id": call.id, "gen_ai.tool.name": tool_name(call)}
    return known({"gen_ai.operation.name": "execute_tool", **attributes})


def known(attributes: Mapping[str, object]) -> dict[str, str | int]:
    """Leave out what the server did not send, or sent as something else: an attribute is a text or a number."""
    return {name: value for name, value in attributes.items() if isinstance(value, (str, int))}
