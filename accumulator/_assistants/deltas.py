"""The objects that a `thread.run.step.delta` event holds: the increments of a run step's details.

Like the objects that they grow into, with an `index` that says which entry of a list an increment belongs to. Only the
first increment of an entry is sure to have an `id`; later ones have what grows, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from accumulator._assistants.run_steps import CodeInterpreterImage, FileSearch, Function, MessageCreation
from accumulator._model import Field, ListField, Model, view_by_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accumulator._assistants.run_steps import JSONObject


class CodeInterpreterLogs(Model):
    """An increment of printed text."""

    __slots__ = ()
    index: Field[int | None] = Field("Which output of the call.")
    type: Field[str | None] = Field('"logs".')
    logs: Field[str | None] = Field("More of the text.")


class CodeInterpreterOutputImage(Model):
    """A picture, come whole."""

    __slots__ = ()
    index: Field[int | None] = Field("Which output of the call.")
    type: Field[str | None] = Field('"image".')
    image: Field[CodeInterpreterImage | None] = Field("The picture.", CodeInterpreterImage.wrap)


class OtherOutputDelta(Model):
    """An increment of an output of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    index: Field[int | None] = Field("Which output of the call.")
    type: Field[str | None] = Field("The type, as sent.")


CodeInterpreterOutputDelta: TypeAlias = CodeInterpreterLogs | CodeInterpreterOutputImage | OtherOutputDelta
"""An increment of a code interpreter's output, told apart by `type`."""


def output_delta_view(json: dict[str, object]) -> CodeInterpreterOutputDelta:
    """Make the view that fits an output's increment; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _OUTPUT_DELTAS, OtherOutputDelta.wrap)


class CodeInterpreterDelta(Model):
    """More code, more outputs."""

    __slots__ = ()
    input: Field[str | None] = Field("More of the code.")
    outputs: ListField[CodeInterpreterOutputDelta] = ListField("Increments of outputs.", output_delta_view)


class CodeInterpreterToolCallDelta(Model):
    """An increment of a call of the code interpreter."""

    __slots__ = ()
    index: Field[int | None] = Field("Which call of the step.")
    id: Field[str | None] = Field("Id of the call; None but in its first increment.")
    type: Field[str | None] = Field('"code_interpreter".')
    code_interpreter: Field[CodeInterpreterDelta | None] = Field("What grew.", CodeInterpreterDelta.wrap)


class FileSearchToolCallDelta(Model):
    """An increment of a call of the file search; there is one per call, with its options and no results."""

    __slots__ = ()
    index: Field[int | None] = Field("Which call of the step.")
    id: Field[str | None] = Field("Id of the call.")
    type: Field[str | None] = Field('"file_search".')
    file_search: Field[FileSearch | None] = Field(
        "The options, whole. The reference says that it is always empty; servers fill it.", FileSearch.wrap
    )


class FunctionToolCallDelta(Model):
    """An increment of a call of a function."""

    __slots__ = ()
    index: Field[int | None] = Field("Which call of the step.")
    id: Field[str | None] = Field("Id of the call; None but in its first increment.")
    type: Field[str | None] = Field('"function".')
    function: Field[Function | None] = Field(
        "First the name with empty arguments, then only more of the arguments.", Function.wrap
    )


class OtherToolCallDelta(Model):
    """An increment of a call of a tool that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    index: Field[int | None] = Field("Which call of the step.")
    id: Field[str | None] = Field("Id of the call; None but in its first increment.")
    type: Field[str | None] = Field("The type, as sent.")


ToolCallDeltaEntry: TypeAlias = (
    CodeInterpreterToolCallDelta | FileSearchToolCallDelta | FunctionToolCallDelta | OtherToolCallDelta
)
"""An increment of a tool call, told apart by `type`."""


def tool_call_delta_view(json: dict[str, object]) -> ToolCallDeltaEntry:
    """Make the view that fits a tool call's increment; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _TOOL_CALL_DELTAS, OtherToolCallDelta.wrap)


class RunStepDeltaMessageDelta(Model):
    """Increment of the details of a step that writes a message; in the reference, and never seen on the wire."""

    __slots__ = ()
    type: Field[str | None] = Field('"message_creation".')
    message_creation: Field[MessageCreation | None] = Field("Which message the step writes.", MessageCreation.wrap)


class ToolCallDeltaObject(Model):
    """Increment of the details of a step that calls tools."""

    __slots__ = ()
    type: Field[str | None] = Field('"tool_calls".')
    tool_calls: ListField[ToolCallDeltaEntry] = ListField(
        "Increments of calls, in the order sent; servers send one at a time.", tool_call_delta_view
    )


class OtherStepDetailsDelta(Model):
    """Increment of details of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    type: Field[str | None] = Field("The type, as sent.")


StepDetailsDelta: TypeAlias = RunStepDeltaMessageDelta | ToolCallDeltaObject | OtherStepDetailsDelta
"""Increment of a run step's details, told apart by `type`."""


def step_details_delta_view(json: dict[str, object]) -> StepDetailsDelta:
    """Make the view that fits an increment of details; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _STEP_DETAILS_DELTAS, OtherStepDetailsDelta.wrap)


class RunStepDelta(Model):
    """What grew in a run step. Only details do: status and usage come when the step ends."""

    __slots__ = ()
    step_details: Field[StepDetailsDelta | None] = Field("What grew in the details.", step_details_delta_view)


class RunStepDeltaEvent(Model):
    """The payload of a `thread.run.step.delta` event."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the step that grew, "step_...".')
    object: Field[str | None] = Field('"thread.run.step.delta".')
    delta: Field[RunStepDelta | None] = Field("What grew.", RunStepDelta.wrap)


_OUTPUT_DELTAS: Mapping[str, Callable[[JSONObject], CodeInterpreterOutputDelta]] = {
    "logs": CodeInterpreterLogs.wrap,
    "image": CodeInterpreterOutputImage.wrap,
}
_TOOL_CALL_DELTAS: Mapping[str, Callable[[JSONObject], ToolCallDeltaEntry]] = {
    "code_interpreter": CodeInterpreterToolCallDelta.wrap,
    "file_search": FileSearchToolCallDelta.wrap,
    "function": FunctionToolCallDelta.wrap,
}
_STEP_DETAILS_DELTAS: Mapping[str, Callable[[JSONObject], StepDetailsDelta]] = {
    "message_creation": RunStepDeltaMessageDelta.wrap,
    "tool_calls": ToolCallDeltaObject.wrap,
}
