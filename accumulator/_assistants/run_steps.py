"""Run steps, their tool calls, and the deltas of both; classes and fields have the names of the Assistants API.

Times are in seconds since 1970-01-01 UTC. Nearly every field may be None, for null as well as for an absent key: it is
typed as what servers really send.

The classes of deltas have the fields of the objects that they extend, and an `index` that says which entry of a list a
delta belongs to. Only the first delta of a tool call is sure to have an `id`; later ones have what they append.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from accumulator._model import Field, ListField, Model, WithArguments, by_type, get_member, wrap_list
from accumulator._model import PlainDict as _PlainDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


RunStepInclude: TypeAlias = Literal["step_details.tool_calls[*].file_search.results[*].content"]
"""What the query parameter `include[]` may ask for: the text that a file search found."""


class MessageCreation(Model):
    """Which message a step created."""

    message_id: Field[str | None] = Field("Id of the message.")


class MessageCreationStepDetails(Model):
    """Details of a step that creates a message; complete when the step is created."""

    type: Field[str | None] = Field('"message_creation".')
    message_creation: Field[MessageCreation | None] = Field("Which message the step created.", MessageCreation.wrap)


class CodeInterpreterLogOutput(Model):
    """Text that the code printed."""

    type: Field[str | None] = Field('"logs".')
    logs: Field[str | None] = Field("The text.")


class CodeInterpreterImage(Model):
    """Which image the code made."""

    file_id: Field[str | None] = Field('Id of the file, "file-..." at OpenAI, "assistant-..." at Azure.')


class CodeInterpreterImageOutput(Model):
    """An image that the code made."""

    type: Field[str | None] = Field('"image".')
    image: Field[CodeInterpreterImage | None] = Field("The image.", CodeInterpreterImage.wrap)


class OtherOutput(Model):
    """An output of a type that the API reference does not have; its content is in `extra`."""

    type: Field[str | None] = Field("The type, as sent.")


CodeInterpreterOutput: TypeAlias = CodeInterpreterLogOutput | CodeInterpreterImageOutput | OtherOutput
"""An output of the code interpreter; `type` tells which."""

wrap_output: Callable[[Mapping[str, object]], CodeInterpreterOutput] = by_type(
    {"logs": CodeInterpreterLogOutput, "image": CodeInterpreterImageOutput}, OtherOutput
)


class CodeInterpreter(Model):
    """The code that the code interpreter ran, and its outputs."""

    input: Field[str | None] = Field("The code.")
    outputs: ListField[CodeInterpreterOutput] = ListField(
        "The outputs, in order. Servers often send none, even if the code ends in an expression.", wrap_output
    )


class CodeInterpreterToolCall(Model):
    """A call of the code interpreter."""

    id: Field[str | None] = Field('Id of the call, "call_...".')
    type: Field[str | None] = Field('"code_interpreter".')
    code_interpreter: Field[CodeInterpreter | None] = Field("Code and outputs.", CodeInterpreter.wrap)


class FileSearchRankingOptions(Model):
    """How a file search ranks its results."""

    ranker: Field[str | None] = Field(
        'Name of the ranker: "auto", "default_2024_08_21"; servers also send "default-2024-08-21".'
    )
    score_threshold: Field[float | None] = Field("Lowest score of a result, 0 to 1.")


class FileSearchResultContent(Model):
    """A piece of the text that a file search found."""

    type: Field[str | None] = Field('"text".')
    text: Field[str | None] = Field("The text.")


class FileSearchResult(Model):
    """A part of a file that a file search found."""

    file_id: Field[str | None] = Field("Id of the file.")
    file_name: Field[str | None] = Field("Name of the file.")
    score: Field[float | None] = Field("How well the result fits, 0 to 1; an int if the server sent one.")
    attributes: Field[dict[str, object] | None] = Field(
        "The file's attributes. Servers send them; the reference lacks them."
    )
    content: ListField[FileSearchResultContent] = ListField(
        "The text found; empty unless the request had `include[]` (see `RunStepInclude`).", FileSearchResultContent.wrap
    )


class FileSearch(Model):
    """The options and results of a file search."""

    ranking_options: Field[FileSearchRankingOptions | None] = Field(
        "How results are ranked.", FileSearchRankingOptions.wrap
    )
    results: ListField[FileSearchResult] = ListField(
        "The results, best first. Deltas have none: results are sent when the step ends.", FileSearchResult.wrap
    )


class FileSearchToolCall(Model):
    """A call of the file search."""

    id: Field[str | None] = Field('Id of the call, "call_...".')
    type: Field[str | None] = Field('"file_search".')
    file_search: Field[FileSearch | None] = Field("Options and results.", FileSearch.wrap)


class Function(WithArguments, Model):
    """A function's name, the arguments to call it with, and the output that was submitted."""

    name: Field[str | None] = Field("Name of the function.")
    arguments: Field[str | None] = Field("The arguments as the model wrote them, meant to be JSON text.")
    output: Field[str | None] = Field(
        "The output that was submitted for the call; None until the step ends, in the stream after the submission."
    )


class FunctionToolCall(Model):
    """A call of a function that the API's client runs."""

    id: Field[str | None] = Field('Id of the call, "call_..."; its output is submitted under it.')
    type: Field[str | None] = Field('"function".')
    function: Field[Function | None] = Field("Name, arguments and output.", Function.wrap)


class OtherToolCall(WithArguments, Model):
    """A call of a tool that the API reference does not have, such as Azure's "mcp"; its content is in `extra`.

    `parse_arguments` reads the key `arguments` of the call, as "mcp" has it, or else that of the first object in the
    call that has one.
    """

    id: Field[str | None] = Field("Id of the call.")
    type: Field[str | None] = Field(
        'The type, as sent. The content may be under another key: that of Azure\'s "openapi" is under `function`.'
    )

    def _arguments(self) -> object:
        nested = [cast("dict[str, object]", value) for value in self._json.values() if isinstance(value, dict)]
        return next((each["arguments"] for each in (self._json, *nested) if "arguments" in each), None)


ToolCall: TypeAlias = CodeInterpreterToolCall | FileSearchToolCall | FunctionToolCall | OtherToolCall
"""A tool call of a run step; `type` tells which."""

wrap_tool_call: Callable[[Mapping[str, object]], ToolCall] = by_type(
    {
        "code_interpreter": CodeInterpreterToolCall,
        "file_search": FileSearchToolCall,
        "function": FunctionToolCall,
    },
    OtherToolCall,
)


class ToolCallsStepDetails(Model):
    """Details of a step that calls tools."""

    type: Field[str | None] = Field('"tool_calls".')
    tool_calls: ListField[ToolCall] = ListField("The tool calls, in the order of their indexes.", wrap_tool_call)


class OtherStepDetails(Model):
    """Details of a type that the API reference does not have, such as Azure's "activities"; see `extra`."""

    type: Field[str | None] = Field("The type, as sent.")


StepDetails: TypeAlias = MessageCreationStepDetails | ToolCallsStepDetails | OtherStepDetails
"""What a run step does; `type` tells which."""

wrap_step_details: Callable[[Mapping[str, object]], StepDetails] = by_type(
    {"message_creation": MessageCreationStepDetails, "tool_calls": ToolCallsStepDetails}, OtherStepDetails
)


class Usage(Model):
    """Tokens that a step or a run used."""

    prompt_tokens: Field[int | None] = Field("Tokens read.")
    completion_tokens: Field[int | None] = Field("Tokens written.")
    total_tokens: Field[int | None] = Field("Tokens read and written.")
    prompt_token_details: Field[dict[str, object] | None] = Field(
        "`cached_tokens` of those read. Servers spell the key so; the reference lacks it."
    )
    completion_tokens_details: Field[dict[str, object] | None] = Field(
        "`reasoning_tokens` of those written. OpenAI only; the reference lacks it."
    )


class LastError(Model):
    """Why a step or a run failed."""

    code: Field[str | None] = Field('"server_error", "rate_limit_exceeded"; any other text at Azure.')
    message: Field[str | None] = Field("What happened, in words.")


class RunStep(Model):
    """A step of a run: it creates a message or calls tools."""

    id: Field[str] = Field('Id of the step, "step_...".')
    object: Field[str | None] = Field('"thread.run.step".')
    created_at: Field[int | None] = Field("When the step was created.")
    run_id: Field[str | None] = Field('Id of the run, "run_...".')
    assistant_id: Field[str | None] = Field('Id of the assistant, "asst_...".')
    thread_id: Field[str | None] = Field('Id of the thread, "thread_...".')
    type: Field[str | None] = Field('"message_creation" or "tool_calls"; Azure also has "activities".')
    status: Field[str | None] = Field('"in_progress", "completed", "failed", "cancelled" or "expired".')
    cancelled_at: Field[int | None] = Field("When the step was cancelled.")
    completed_at: Field[int | None] = Field("When the step was completed.")
    expires_at: Field[int | None] = Field(
        "When the step will expire; None once the run is over. Servers always send it; the reference lacks it."
    )
    expired_at: Field[int | None] = Field(
        "When the step expired. The reference has it; OpenAI and Azure send `expires_at` only."
    )
    failed_at: Field[int | None] = Field("When the step failed.")
    last_error: Field[LastError | None] = Field("Why the step failed.", LastError.wrap)
    metadata: Field[_PlainDict | None] = Field("Up to 16 texts by key. The reference has it; servers do not send it.")
    step_details: Field[StepDetails | None] = Field("What the step does.", wrap_step_details)
    usage: Field[Usage | None] = Field("Tokens used; None while the step is in progress.", Usage.wrap)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The step's tool calls, in the order of their indexes; () if it has none."""
        return wrap_list(get_member(self._json.get("step_details"), "tool_calls"), wrap_tool_call)


class CodeInterpreterLogs(Model):
    """A delta of printed text."""

    index: Field[int | None] = Field("Which output of the call.")
    type: Field[str | None] = Field('"logs".')
    logs: Field[str | None] = Field("Text to append.")


class CodeInterpreterOutputImage(Model):
    """An image, complete in one delta."""

    index: Field[int | None] = Field("Which output of the call.")
    type: Field[str | None] = Field('"image".')
    image: Field[CodeInterpreterImage | None] = Field("The image.", CodeInterpreterImage.wrap)


class OtherOutputDelta(Model):
    """A delta of an output of a type that the API reference does not have; its content is in `extra`."""

    index: Field[int | None] = Field("Which output of the call.")
    type: Field[str | None] = Field("The type, as sent.")


CodeInterpreterOutputDelta: TypeAlias = CodeInterpreterLogs | CodeInterpreterOutputImage | OtherOutputDelta
"""A delta of an output of the code interpreter; `type` tells which."""

wrap_output_delta: Callable[[Mapping[str, object]], CodeInterpreterOutputDelta] = by_type(
    {"logs": CodeInterpreterLogs, "image": CodeInterpreterOutputImage}, OtherOutputDelta
)


class CodeInterpreterDelta(Model):
    """A delta of code and outputs."""

    input: Field[str | None] = Field("Code to append.")
    outputs: ListField[CodeInterpreterOutputDelta] = ListField("Deltas of outputs.", wrap_output_delta)


class CodeInterpreterToolCallDelta(Model):
    """A delta of a call of the code interpreter."""

    index: Field[int | None] = Field("Which tool call of the step.")
    id: Field[str | None] = Field("Id of the call; in its first delta only.")
    type: Field[str | None] = Field('"code_interpreter".')
    code_interpreter: Field[CodeInterpreterDelta | None] = Field("Code and outputs.", CodeInterpreterDelta.wrap)


class FileSearchToolCallDelta(Model):
    """A delta of a call of the file search; each call has one, with its options and no results."""

    index: Field[int | None] = Field("Which tool call of the step.")
    id: Field[str | None] = Field("Id of the call.")
    type: Field[str | None] = Field('"file_search".')
    file_search: Field[FileSearch | None] = Field(
        "The options, complete. The reference says that it is always empty; servers fill it.", FileSearch.wrap
    )


class FunctionToolCallDelta(Model):
    """A delta of a call of a function."""

    index: Field[int | None] = Field("Which tool call of the step.")
    id: Field[str | None] = Field("Id of the call; in its first delta only.")
    type: Field[str | None] = Field('"function".')
    function: Field[Function | None] = Field(
        "In the first delta the name, with empty arguments; then only arguments to append.", Function.wrap
    )


class OtherToolCallDelta(Model):
    """A delta of a call of a tool that the API reference does not have; its content is in `extra`."""

    index: Field[int | None] = Field("Which tool call of the step.")
    id: Field[str | None] = Field("Id of the call; in its first delta only.")
    type: Field[str | None] = Field("The type, as sent.")


ToolCallDeltaEntry: TypeAlias = (
    CodeInterpreterToolCallDelta | FileSearchToolCallDelta | FunctionToolCallDelta | OtherToolCallDelta
)
"""A delta of a tool call; `type` tells which."""

wrap_tool_call_delta: Callable[[Mapping[str, object]], ToolCallDeltaEntry] = by_type(
    {
        "code_interpreter": CodeInterpreterToolCallDelta,
        "file_search": FileSearchToolCallDelta,
        "function": FunctionToolCallDelta,
    },
    OtherToolCallDelta,
)


class RunStepDeltaMessageDelta(Model):
    """A delta of the details of a step that creates a message. The reference has it; no server is known to send it."""

    type: Field[str | None] = Field('"message_creation".')
    message_creation: Field[MessageCreation | None] = Field("Which message the step creates.", MessageCreation.wrap)


class ToolCallDeltaObject(Model):
    """A delta of the details of a step that calls tools."""

    type: Field[str | None] = Field('"tool_calls".')
    tool_calls: ListField[ToolCallDeltaEntry] = ListField(
        "Deltas of tool calls, in the order sent; servers send one at a time.", wrap_tool_call_delta
    )


class OtherStepDetailsDelta(Model):
    """A delta of details of a type that the API reference does not have; its content is in `extra`."""

    type: Field[str | None] = Field("The type, as sent.")


StepDetailsDelta: TypeAlias = RunStepDeltaMessageDelta | ToolCallDeltaObject | OtherStepDetailsDelta
"""A delta of a run step's details; `type` tells which."""

wrap_step_details_delta: Callable[[Mapping[str, object]], StepDetailsDelta] = by_type(
    {"message_creation": RunStepDeltaMessageDelta, "tool_calls": ToolCallDeltaObject}, OtherStepDetailsDelta
)


class RunStepDelta(Model):
    """A delta of a run step. It extends the details only: status and usage are sent when the step ends."""

    step_details: Field[StepDetailsDelta | None] = Field("The delta of the details.", wrap_step_details_delta)


class RunStepDeltaEvent(Model):
    """The payload of a `thread.run.step.delta` event."""

    id: Field[str | None] = Field('Id of the step, "step_...".')
    object: Field[str | None] = Field('"thread.run.step.delta".')
    delta: Field[RunStepDelta | None] = Field("The delta of the step.", RunStepDelta.wrap)
