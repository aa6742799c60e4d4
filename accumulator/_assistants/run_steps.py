"""Run steps, their tool calls, and the deltas of both. Fields have the names of the Assistants API.

Times are in seconds since 1970-01-01 UTC. Nearly every field may be None: both null and an absent key read as None. The
types are those that servers send, where these differ from the API reference.

A delta has the fields of the object that it extends. The delta of an entry of a list also has an `index`, the index of
the entry. The first delta of a tool call has the `id` of the call; the later ones usually have only what they append.
"""

from __future__ import annotations

from sys import float_info
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard
from typing import Final as _Final
from typing import Literal as _Literal

from accumulator._assistants.azure import AZURE_TOOLS, AzureToolCall
from accumulator._assistants.calls import Call, Function, join_texts
from accumulator._model import Field, ListField, Model, by_type, get_member, type_field, wrap_list
from accumulator._model import PlainDict as _PlainDict
from accumulator._model import UnknownType as _UnknownType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


RunStepInclude: TypeAlias = Literal["step_details.tool_calls[*].file_search.results[*].content"]
"""The value of the query parameter `include[]` that asks for the text that a file search found."""


class MessageCreation(Model):
    """The message that a step created."""

    message_id: Field[str | None] = Field("Id of the message.")


class MessageCreationStepDetails(Model):
    """Details of a step that creates a message. They are complete when the step is created."""

    type: _Final[_Literal["message_creation"]] = type_field("message_creation")
    message_creation: Field[MessageCreation | None] = Field("The message that the step created.", MessageCreation.wrap)


class CodeInterpreterLogOutput(Model):
    """Text that the code printed."""

    type: _Final[_Literal["logs"]] = type_field("logs")
    logs: Field[str | None] = Field("The text.")


class CodeInterpreterImage(Model):
    """The file of an image that the code made."""

    file_id: Field[str | None] = Field('Id of the file, "file-..." at OpenAI, "assistant-..." at Azure.')


class CodeInterpreterImageOutput(Model):
    """An image that the code made."""

    type: _Final[_Literal["image"]] = type_field("image")
    image: Field[CodeInterpreterImage | None] = Field("The image.", CodeInterpreterImage.wrap)


class OtherOutput(Model):
    """An output of a type that the API reference lacks. Its content is in `extra`."""

    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


CodeInterpreterOutput: TypeAlias = CodeInterpreterLogOutput | CodeInterpreterImageOutput | OtherOutput
"""An output of the code interpreter. `type` gives the class."""

wrap_output: Callable[[Mapping[str, object]], CodeInterpreterOutput] = by_type(
    {"logs": CodeInterpreterLogOutput, "image": CodeInterpreterImageOutput}, OtherOutput
)


class CodeInterpreter(Model):
    """The code that the code interpreter ran, and its outputs."""

    input: Field[str | None] = Field("The code.")
    outputs: ListField[CodeInterpreterOutput] = ListField(
        "The outputs, in order. Servers often send no outputs, even for code that ends in an expression.", wrap_output
    )


class CodeInterpreterToolCall(Call, Model):
    """A call of the code interpreter."""

    id: Field[str | None] = Field('Id of the call, "call_...".')
    type: _Final[_Literal["code_interpreter"]] = type_field("code_interpreter")
    code_interpreter: Field[CodeInterpreter | None] = Field("Code and outputs.", CodeInterpreter.wrap)

    @property
    def output(self) -> str | None:
        """The texts that the code printed, joined by line breaks; None while there is none."""
        return join_texts(self._json.get("code_interpreter"), "outputs", "logs")


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
    score: Field[float | None] = Field("How well the result fits, 0 to 1. An int if the server sent an int.")
    attributes: Field[dict[str, object] | None] = Field(
        "The attributes of the file. Servers send them; the API reference lacks them."
    )
    content: ListField[FileSearchResultContent] = ListField(
        "The text found. Empty unless the request had `include[]`, see `RunStepInclude`.", FileSearchResultContent.wrap
    )


class FileSearch(Model):
    """The options and results of a file search."""

    ranking_options: Field[FileSearchRankingOptions | None] = Field(
        "How results are ranked.", FileSearchRankingOptions.wrap
    )
    results: ListField[FileSearchResult] = ListField(
        "The results, best first. They are sent when the step ends; deltas have no results.", FileSearchResult.wrap
    )


class FileSearchToolCall(Call, Model):
    """A call of the file search."""

    id: Field[str | None] = Field('Id of the call, "call_...".')
    type: _Final[_Literal["file_search"]] = type_field("file_search")
    file_search: Field[FileSearch | None] = Field("Options and results.", FileSearch.wrap)

    @property
    def output(self) -> str | None:
        """The texts that were found, joined by line breaks; None unless the request had `include[]`."""
        return join_texts(self._json.get("file_search"), "results", "content", "text")


class FunctionToolCall(Call, Model):
    """A call of a function that the API's client runs."""

    id: Field[str | None] = Field('Id of the call, "call_...". The output of the call is submitted with this id.')
    type: _Final[_Literal["function"]] = type_field("function")
    function: Field[Function | None] = Field("Name, arguments and output.", Function.wrap)


class OtherToolCall(Call, Model):
    """A call of a tool that has no class. Its content is in `extra`.

    `name`, `input`, `output` and `parse_arguments` read the keys that the known tools have for these: those of the call
    itself, then those of the object under its type, then those of the object under `function`. A call with none of the
    keys and neither object has them in the only object that it has; nowhere if it has several.
    """

    _has_known_payload = False

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


ToolCall: TypeAlias = CodeInterpreterToolCall | FileSearchToolCall | FunctionToolCall | AzureToolCall | OtherToolCall
"""A tool call of a run step. `type` gives the class."""

wrap_tool_call: Callable[[Mapping[str, object]], ToolCall] = by_type(
    {
        "code_interpreter": CodeInterpreterToolCall,
        "file_search": FileSearchToolCall,
        "function": FunctionToolCall,
        **AZURE_TOOLS,
    },
    OtherToolCall,
)


class ToolCallsStepDetails(Model):
    """Details of a step that calls tools."""

    type: _Final[_Literal["tool_calls"]] = type_field("tool_calls")
    tool_calls: ListField[ToolCall] = ListField("The tool calls, in the order of their indexes.", wrap_tool_call)


class Activity(Model):
    """What a step did beside calls: an MCP server was asked for its tools. Azure only."""

    id: Field[str | None] = Field("Id of the activity.")
    type: Field[str | None] = Field('"mcp_list_tools".')
    server_label: Field[str | None] = Field("Label of the MCP server.")
    tools: Field[dict[str, object] | None] = Field("The tools by name, each with `description` and `parameters`.")


class ActivitiesStepDetails(Model):
    """Details of a step that calls no tool itself. Azure only."""

    type: _Final[_Literal["activities"]] = type_field("activities")
    activities: ListField[Activity] = ListField("The activities, in order.", Activity.wrap)


class OtherStepDetails(Model):
    """Details of a type that has no class. Their content is in `extra`."""

    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


StepDetails: TypeAlias = MessageCreationStepDetails | ToolCallsStepDetails | ActivitiesStepDetails | OtherStepDetails
"""What a run step does. `type` gives the class."""

wrap_step_details: Callable[[Mapping[str, object]], StepDetails] = by_type(
    {
        "message_creation": MessageCreationStepDetails,
        "tool_calls": ToolCallsStepDetails,
        "activities": ActivitiesStepDetails,
    },
    OtherStepDetails,
)


class Usage(Model):
    """Tokens that a step or a run used."""

    prompt_tokens: Field[int | None] = Field("Tokens read.")
    completion_tokens: Field[int | None] = Field("Tokens written.")
    total_tokens: Field[int | None] = Field("Tokens read and written.")
    prompt_token_details: Field[dict[str, object] | None] = Field(
        "How many tokens read were cached, as `cached_tokens`. Servers send this key; the API reference lacks it."
    )
    completion_tokens_details: Field[dict[str, object] | None] = Field(
        "How many tokens written were reasoning, as `reasoning_tokens`. OpenAI only; the API reference lacks it."
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
        "When the step will expire; None after the run ended. Servers always send it; the API reference lacks it."
    )
    expired_at: Field[int | None] = Field(
        "When the step expired. The API reference has it; OpenAI and Azure send `expires_at` only."
    )
    failed_at: Field[int | None] = Field("When the step failed.")
    last_error: Field[LastError | None] = Field("Why the step failed.", LastError.wrap)
    metadata: Field[_PlainDict | None] = Field("Up to 16 texts by key. The API reference has it; servers send none.")
    step_details: Field[StepDetails | None] = Field("What the step does.", wrap_step_details)
    usage: Field[Usage | None] = Field("Tokens used; None while the step is in progress.", Usage.wrap)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the step, in the order of their indexes; () if the step has no tool calls."""
        return wrap_list(get_member(self._json.get("step_details"), "tool_calls"), wrap_tool_call)

    @property
    def duration(self) -> float | None:
        """The seconds from the creation of the step to its end; None while it is open. Servers send whole seconds.

        None too if the end is before the creation, or a time or the difference is no finite number.
        """
        began = self._json.get("created_at")
        ended = next((time for key in END_TIMES if (time := self._json.get(key)) is not None), None)
        seconds = ended - began if _is_number(began) and _is_number(ended) else None
        return seconds if _is_number(seconds) and seconds >= 0 else None


END_TIMES = ("completed_at", "failed_at", "cancelled_at", "expired_at")
"""The keys with the time at which a step ended. One of them has a value."""


def _is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that a double can hold. Of an integer above that no float can be taken."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= float_info.max


class CodeInterpreterLogs(Model):
    """A delta of text that the code printed."""

    index: Field[int | None] = Field("Index of the output in the call.")
    type: _Final[_Literal["logs"]] = type_field("logs")
    logs: Field[str | None] = Field("Text to append.")


class CodeInterpreterOutputImage(Model):
    """A delta with a whole image."""

    index: Field[int | None] = Field("Index of the output in the call.")
    type: _Final[_Literal["image"]] = type_field("image")
    image: Field[CodeInterpreterImage | None] = Field("The image.", CodeInterpreterImage.wrap)


class OtherOutputDelta(Model):
    """A delta of an output of a type that the API reference lacks. Its content is in `extra`."""

    index: Field[int | None] = Field("Index of the output in the call.")
    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


CodeInterpreterOutputDelta: TypeAlias = CodeInterpreterLogs | CodeInterpreterOutputImage | OtherOutputDelta
"""A delta of an output of the code interpreter. `type` gives the class."""

wrap_output_delta: Callable[[Mapping[str, object]], CodeInterpreterOutputDelta] = by_type(
    {"logs": CodeInterpreterLogs, "image": CodeInterpreterOutputImage}, OtherOutputDelta
)


class CodeInterpreterDelta(Model):
    """A delta of code and outputs."""

    input: Field[str | None] = Field("Code to append.")
    outputs: ListField[CodeInterpreterOutputDelta] = ListField("Deltas of outputs.", wrap_output_delta)


class CodeInterpreterToolCallDelta(Model):
    """A delta of a call of the code interpreter."""

    index: Field[int | None] = Field("Index of the tool call in the step.")
    id: Field[str | None] = Field("Id of the call. Only the first delta of the call has it.")
    type: _Final[_Literal["code_interpreter"]] = type_field("code_interpreter")
    code_interpreter: Field[CodeInterpreterDelta | None] = Field("Code and outputs.", CodeInterpreterDelta.wrap)


class FileSearchToolCallDelta(Model):
    """A delta of a call of the file search. Each call has one delta, with the options and without results."""

    index: Field[int | None] = Field("Index of the tool call in the step.")
    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["file_search"]] = type_field("file_search")
    file_search: Field[FileSearch | None] = Field(
        "All options. The API reference says that this object is always empty; servers fill it.", FileSearch.wrap
    )


class FunctionToolCallDelta(Model):
    """A delta of a call of a function."""

    index: Field[int | None] = Field("Index of the tool call in the step.")
    id: Field[str | None] = Field("Id of the call. Only the first delta of the call has it.")
    type: _Final[_Literal["function"]] = type_field("function")
    function: Field[Function | None] = Field(
        "The name and empty arguments in the first delta of the call, arguments to append in the others.", Function.wrap
    )


class OtherToolCallDelta(Model):
    """A delta of a call of any other tool, such as those of Azure. Its content is in `extra`."""

    index: Field[int | None] = Field("Index of the tool call in the step.")
    id: Field[str | None] = Field("Id of the call. Only the first delta of the call has it.")
    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


ToolCallDeltaEntry: TypeAlias = (
    CodeInterpreterToolCallDelta | FileSearchToolCallDelta | FunctionToolCallDelta | OtherToolCallDelta
)
"""A delta of a tool call. `type` gives the class."""

wrap_tool_call_delta: Callable[[Mapping[str, object]], ToolCallDeltaEntry] = by_type(
    {
        "code_interpreter": CodeInterpreterToolCallDelta,
        "file_search": FileSearchToolCallDelta,
        "function": FunctionToolCallDelta,
    },
    OtherToolCallDelta,
)


class RunStepDeltaMessageDelta(Model):
    """A delta of the details of a step that creates a message. The API reference has it; no known server sends it."""

    type: _Final[_Literal["message_creation"]] = type_field("message_creation")
    message_creation: Field[MessageCreation | None] = Field("The message that the step creates.", MessageCreation.wrap)


class ToolCallDeltaObject(Model):
    """A delta of the details of a step that calls tools."""

    type: _Final[_Literal["tool_calls"]] = type_field("tool_calls")
    tool_calls: ListField[ToolCallDeltaEntry] = ListField(
        "Deltas of tool calls, in the order sent. Servers send one per event.", wrap_tool_call_delta
    )


class OtherStepDetailsDelta(Model):
    """A delta of details of a type that the API reference lacks. Its content is in `extra`."""

    type: _Final[_UnknownType | None] = type_field(None, "The type, as sent.")


StepDetailsDelta: TypeAlias = RunStepDeltaMessageDelta | ToolCallDeltaObject | OtherStepDetailsDelta
"""A delta of the details of a run step. `type` gives the class."""

wrap_step_details_delta: Callable[[Mapping[str, object]], StepDetailsDelta] = by_type(
    {"message_creation": RunStepDeltaMessageDelta, "tool_calls": ToolCallDeltaObject}, OtherStepDetailsDelta
)


class RunStepDelta(Model):
    """A delta of a run step. It extends the details only; status and usage are sent when the step ends."""

    step_details: Field[StepDetailsDelta | None] = Field("The delta of the details.", wrap_step_details_delta)


class RunStepDeltaEvent(Model):
    """The payload of a `thread.run.step.delta` event."""

    id: Field[str | None] = Field('Id of the step, "step_...".')
    object: Field[str | None] = Field('"thread.run.step.delta".')
    delta: Field[RunStepDelta | None] = Field("The delta of the step.", RunStepDelta.wrap)
