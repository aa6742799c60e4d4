"""The objects of the Assistants API as run steps hold them; fields have the API's own names.

Times are in seconds since 1970-01-01 UTC. A field is typed as what a server may really send, so nearly all may be None:
for null as well as for a key that is not there. `Model` says what all these classes have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast

from accumulator._errors import DecodeError
from accumulator._json import copy_json, parse_json
from accumulator._model import Field, ListField, Model, view_by_type, view_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")

JSONObject: TypeAlias = dict[str, object]
"""A JSON object that has no class: a dict of the reader's own, copied deeply each time that it is read."""

RunStepInclude: TypeAlias = Literal["step_details.tool_calls[*].file_search.results[*].content"]
"""What the query parameter `include[]` may ask for: the text of the chunks that a file search found."""


class MessageCreation(Model):
    """Which message a step wrote."""

    __slots__ = ()
    message_id: Field[str | None] = Field("Id of the message.")


class MessageCreationStepDetails(Model):
    """Details of a step that wrote a message; whole from the step's creation on."""

    __slots__ = ()
    type: Field[str | None] = Field('"message_creation".')
    message_creation: Field[MessageCreation | None] = Field("Which message the step wrote.", MessageCreation.wrap)


class CodeInterpreterLogOutput(Model):
    """Text that a run of the code interpreter printed."""

    __slots__ = ()
    type: Field[str | None] = Field('"logs".')
    logs: Field[str | None] = Field("The text.")


class CodeInterpreterImage(Model):
    """A picture that the code interpreter drew."""

    __slots__ = ()
    file_id: Field[str | None] = Field('Id of the file, "file-..." at OpenAI, "assistant-..." at Azure.')


class CodeInterpreterImageOutput(Model):
    """A picture among the outputs of a run of the code interpreter."""

    __slots__ = ()
    type: Field[str | None] = Field('"image".')
    image: Field[CodeInterpreterImage | None] = Field("The picture.", CodeInterpreterImage.wrap)


class OtherOutput(Model):
    """An output of a type that the API's reference does not have; its content is in `extra`."""

    __slots__ = ()
    type: Field[str | None] = Field("The type, as sent.")


CodeInterpreterOutput: TypeAlias = CodeInterpreterLogOutput | CodeInterpreterImageOutput | OtherOutput
"""An output of the code interpreter, told apart by `type`."""


def output_view(json: dict[str, object]) -> CodeInterpreterOutput:
    """Make the view that fits a code interpreter's output; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _OUTPUTS, OtherOutput.wrap)


class CodeInterpreter(Model):
    """What the code interpreter was given and gave back."""

    __slots__ = ()
    input: Field[str | None] = Field("The code.")
    outputs: ListField[CodeInterpreterOutput] = ListField(
        "What came out, in order. Servers often send none, even where the code ends in an expression.", output_view
    )


class CodeInterpreterToolCall(Model):
    """A call of the code interpreter."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the call, "call_...".')
    type: Field[str | None] = Field('"code_interpreter".')
    code_interpreter: Field[CodeInterpreter | None] = Field("Code and outputs.", CodeInterpreter.wrap)


class FileSearchRankingOptions(Model):
    """How a file search ranked what it found."""

    __slots__ = ()
    ranker: Field[str | None] = Field(
        'Name of the ranker: "auto", "default_2024_08_21"; servers also send "default-2024-08-21".'
    )
    score_threshold: Field[float | None] = Field("Least score of a result, 0 to 1.")


class FileSearchResultContent(Model):
    """A piece of the text that a file search found."""

    __slots__ = ()
    type: Field[str | None] = Field('"text".')
    text: Field[str | None] = Field("The text.")


class FileSearchResult(Model):
    """A chunk of a file that a file search found."""

    __slots__ = ()
    file_id: Field[str | None] = Field("Id of the file.")
    file_name: Field[str | None] = Field("Name of the file.")
    score: Field[float | None] = Field("How well the chunk fits, 0 to 1; an int where the server sent one.")
    attributes: Field[JSONObject | None] = Field("The file's attributes; servers send them, the reference lacks them.")
    content: ListField[FileSearchResultContent] = ListField(
        "The text found. Empty unless the request had `include[]` (see `RunStepInclude`).", FileSearchResultContent.wrap
    )


class FileSearch(Model):
    """What a file search was told and what it found."""

    __slots__ = ()
    ranking_options: Field[FileSearchRankingOptions | None] = Field(
        "How results were ranked.", FileSearchRankingOptions.wrap
    )
    results: ListField[FileSearchResult] = ListField(
        "What was found, best first. No delta carries results: they come when the step ends.", FileSearchResult.wrap
    )


class FileSearchToolCall(Model):
    """A call of the file search."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the call, "call_...".')
    type: Field[str | None] = Field('"file_search".')
    file_search: Field[FileSearch | None] = Field("Options and results.", FileSearch.wrap)


class _Arguments:
    """What models with the arguments of a call have in common."""

    __slots__ = ()
    _json: JSONObject

    def parse_arguments(self, *, partial: bool = False) -> object:
        """Return the value of the arguments' text: parsed by this call and not before, at the cost of its length.

        Arguments that a server sent as a JSON value, not as its text, are returned as they are.

        Args:
            partial: read text that is still streaming, as far as it goes: a string as far as it came, a number by its
                digits so far, no key without a value, no half literal; None where nothing can be read yet, as for no
                arguments at all. A surrogate left alone reads as U+FFFD while the text is not whole, and what stands
                behind a value where it should not is not looked at. Needs jiter, the extra `partial`. The arguments
                of a delta are a fragment of the text: what came so far is in `Accumulator.tool_call`.

        Raises:
            DecodeError: the text is no JSON, nor, with `partial`, the beginning of any. Without `partial` that is so
                for "" and for no arguments at all. NaN, a float past the largest double, an integer of more than 4,300
                digits and more than 128 levels of nesting are no JSON. The message has the place, and no payload.
            ImportError: `partial`, and jiter is not installed.

        """
        arguments = self._arguments()
        if arguments is not None and not isinstance(arguments, str):
            return copy_json(arguments)
        parse: Callable[[str], object] = parse_json
        if partial:
            from accumulator._partial_json import parse_partial_json as parse
        try:
            return parse(arguments or "")
        except ValueError as exc:
            raise DecodeError(f"arguments of {type(self).__name__}: {exc}") from exc

    def _arguments(self) -> object:
        return self._json.get("arguments")


class Function(_Arguments, Model):
    """Which function to call, with what, and what the caller's code answered."""

    __slots__ = ()
    name: Field[str | None] = Field("Name of the function.")
    arguments: Field[str | None] = Field("The arguments as the model wrote them: JSON text, if the model got it right.")
    output: Field[str | None] = Field(
        "What was submitted as the call's output. None until the step ends, in the stream after the submission."
    )


class FunctionToolCall(Model):
    """A call of a function that the user of the API runs."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the call, "call_...": an output is submitted for it.')
    type: Field[str | None] = Field('"function".')
    function: Field[Function | None] = Field("Name, arguments and output.", Function.wrap)


class OtherToolCall(_Arguments, Model):
    """A call of a tool that the API's reference does not have, such as Azure's "mcp"; its content is in `extra`.

    Its `arguments` are its own, as those of "mcp" are, or else those of the first object in it that has some.
    """

    __slots__ = ()
    id: Field[str | None] = Field("Id of the call.")
    type: Field[str | None] = Field(
        'The type, as sent. It need not be the key of the content: Azure\'s "openapi" has its own under `function`.'
    )

    def _arguments(self) -> object:
        holders = [self._json, *(cast("JSONObject", value) for value in self._json.values() if isinstance(value, dict))]
        return next((holder["arguments"] for holder in holders if "arguments" in holder), None)


ToolCall: TypeAlias = CodeInterpreterToolCall | FileSearchToolCall | FunctionToolCall | OtherToolCall
"""A tool call of a run step, told apart by `type`."""


def tool_call_view(json: dict[str, object]) -> ToolCall:
    """Make the view that fits a tool call; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _TOOL_CALLS, OtherToolCall.wrap)


class ToolCallsStepDetails(Model):
    """Details of a step that calls tools."""

    __slots__ = ()
    type: Field[str | None] = Field('"tool_calls".')
    tool_calls: ListField[ToolCall] = ListField("The calls, in the order of their indexes.", tool_call_view)


class OtherStepDetails(Model):
    """Details of a type that the API's reference does not have, such as Azure's "activities"; see `extra`."""

    __slots__ = ()
    type: Field[str | None] = Field("The type, as sent.")


StepDetails: TypeAlias = MessageCreationStepDetails | ToolCallsStepDetails | OtherStepDetails
"""What a run step did, told apart by `type`."""


def step_details_view(json: dict[str, object]) -> StepDetails:
    """Make the view that fits a step's details; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _STEP_DETAILS, OtherStepDetails.wrap)


class Usage(Model):
    """Tokens that a step or a run used."""

    __slots__ = ()
    prompt_tokens: Field[int | None] = Field("Tokens read.")
    completion_tokens: Field[int | None] = Field("Tokens written.")
    total_tokens: Field[int | None] = Field("Both together.")
    prompt_token_details: Field[JSONObject | None] = Field(
        "`cached_tokens` of those read. Servers spell the key so, and the reference lacks it."
    )
    completion_tokens_details: Field[JSONObject | None] = Field(
        "`reasoning_tokens` of those written. OpenAI only; the reference lacks it."
    )


class LastError(Model):
    """Why a step or a run failed."""

    __slots__ = ()
    code: Field[str | None] = Field('"server_error", "rate_limit_exceeded"; any other text at Azure.')
    message: Field[str | None] = Field("What happened, for people.")


class RunStep(Model):
    """A step of a run: a message that it wrote, or tools that it called."""

    __slots__ = ()
    id: Field[str] = Field('Id of the step, "step_...".')
    object: Field[str | None] = Field('"thread.run.step".')
    created_at: Field[int | None] = Field("When the step began.")
    run_id: Field[str | None] = Field('Id of the run, "run_...".')
    assistant_id: Field[str | None] = Field('Id of the assistant, "asst_...".')
    thread_id: Field[str | None] = Field('Id of the thread, "thread_...".')
    type: Field[str | None] = Field('"message_creation" or "tool_calls"; Azure also has "activities".')
    status: Field[str | None] = Field('"in_progress", "completed", "failed", "cancelled" or "expired".')
    cancelled_at: Field[int | None] = Field("When the step was cancelled.")
    completed_at: Field[int | None] = Field("When the step was completed.")
    expires_at: Field[int | None] = Field(
        "When the step will expire. Servers always send it, the reference lacks it; None once the run is over."
    )
    expired_at: Field[int | None] = Field(
        "When the step expired. The reference has it, OpenAI and Azure send `expires_at` only."
    )
    failed_at: Field[int | None] = Field("When the step failed.")
    last_error: Field[LastError | None] = Field("Why the step failed.", LastError.wrap)
    metadata: Field[JSONObject | None] = Field("Up to 16 texts by key. The reference has it, servers do not send it.")
    step_details: Field[StepDetails | None] = Field("What the step did.", step_details_view)
    usage: Field[Usage | None] = Field("Tokens used; None while the step is in progress.", Usage.wrap)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The step's tool calls, in the order of their indexes; () for a step that has none."""
        return _tool_calls_in(self._json.get("step_details"), tool_call_view)


class RequiredMCPToolCall(_Arguments, Model):
    """A call of a tool of an MCP server that waits for an approval; Azure only."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the call, "call_...": an approval is submitted for it.')
    type: Field[str | None] = Field('"mcp".')
    name: Field[str | None] = Field("Name of the server's tool.")
    server_label: Field[str | None] = Field("Which of the assistant's MCP servers has the tool.")
    arguments: Field[str | None] = Field("The arguments as the model wrote them: JSON text, if the model got it right.")


RequiredToolCall: TypeAlias = FunctionToolCall | RequiredMCPToolCall | OtherToolCall
"""A call that a run waits for, told apart by `type`: run a function, approve an MCP server's tool."""


def required_tool_call_view(json: dict[str, object]) -> RequiredToolCall:
    """Make the view that fits a call that a run waits for; takes the JSON without a copy, as `Model.wrap` does."""
    return view_by_type(json, _REQUIRED_TOOL_CALLS, OtherToolCall.wrap)


class SubmitToolOutputs(Model):
    """Function calls that wait for their outputs."""

    __slots__ = ()
    tool_calls: ListField[RequiredToolCall] = ListField("The calls, with complete arguments.", required_tool_call_view)


class SubmitToolApproval(Model):
    """Tool calls that wait for an approval; Azure only, for MCP servers."""

    __slots__ = ()
    tool_calls: ListField[RequiredToolCall] = ListField('The calls, of type "mcp".', required_tool_call_view)


class RequiredAction(Model):
    """What a run waits for."""

    __slots__ = ()
    type: Field[str | None] = Field('"submit_tool_outputs"; Azure also has "submit_tool_approval".')
    submit_tool_outputs: Field[SubmitToolOutputs | None] = Field("Calls to answer.", SubmitToolOutputs.wrap)
    submit_tool_approval: Field[SubmitToolApproval | None] = Field("Calls to approve.", SubmitToolApproval.wrap)

    @property
    def tool_calls(self) -> tuple[RequiredToolCall, ...]:
        """The calls that the run waits for: those to answer, then those to approve."""
        waiting = (self._json.get("submit_tool_outputs"), self._json.get("submit_tool_approval"))
        return tuple(call for json in waiting for call in _tool_calls_in(json, required_tool_call_view))


class RunIncompleteDetails(Model):
    """Why a run is incomplete."""

    __slots__ = ()
    reason: Field[str | None] = Field('"max_completion_tokens", "max_prompt_tokens" or "content_filter".')


class Run(Model):
    """A run of an assistant on a thread."""

    __slots__ = ()
    id: Field[str | None] = Field('Id of the run, "run_...".')
    object: Field[str | None] = Field('"thread.run".')
    created_at: Field[int | None] = Field("When the run was created.")
    thread_id: Field[str | None] = Field('Id of the thread, "thread_...".')
    assistant_id: Field[str | None] = Field('Id of the assistant, "asst_...".')
    status: Field[str | None] = Field(
        '"queued", "in_progress", "requires_action", "cancelling", "cancelled", "failed", "completed", "incomplete" or '
        '"expired". It may differ from the name of the event that carried the run.'
    )
    required_action: Field[RequiredAction | None] = Field("What the run waits for.", RequiredAction.wrap)
    last_error: Field[LastError | None] = Field("Why the run failed.", LastError.wrap)
    usage: Field[Usage | None] = Field("Tokens used; None until the run is over.", Usage.wrap)
    incomplete_details: Field[RunIncompleteDetails | None] = Field(
        "Why the run is incomplete.", RunIncompleteDetails.wrap
    )
    started_at: Field[int | None] = Field("When the run was started.")
    expires_at: Field[int | None] = Field("When the run will expire; None once it is over.")
    cancelled_at: Field[int | None] = Field("When the run was cancelled.")
    failed_at: Field[int | None] = Field("When the run failed.")
    completed_at: Field[int | None] = Field("When the run was completed.")
    model: Field[str | None] = Field("Name of the model.")
    instructions: Field[str | None] = Field("The instructions of the run.")
    tools: ListField[JSONObject] = ListField("The tools that the run may call.", copy_json)
    metadata: Field[JSONObject | None] = Field("Up to 16 texts by key.")


class ErrorObject(Model):
    """What an error event says."""

    __slots__ = ()
    message: Field[str | None] = Field("What happened, for people.")
    type: Field[str | None] = Field('Kind of the error, such as "server_error".')
    param: Field[str | None] = Field("Which parameter of the request is to blame.")
    code: Field[str | None] = Field("The error's code; servers send null with a `server_error`.")


def _tool_calls_in(json: object, view: Callable[[JSONObject], _T]) -> tuple[_T, ...]:
    calls = cast("JSONObject", json).get("tool_calls") if isinstance(json, dict) else None
    return view_entries(cast("list[object]", calls), view) if isinstance(calls, list) else ()


_OUTPUTS: Mapping[str, Callable[[JSONObject], CodeInterpreterOutput]] = {
    "logs": CodeInterpreterLogOutput.wrap,
    "image": CodeInterpreterImageOutput.wrap,
}
_TOOL_CALLS: Mapping[str, Callable[[JSONObject], ToolCall]] = {
    "code_interpreter": CodeInterpreterToolCall.wrap,
    "file_search": FileSearchToolCall.wrap,
    "function": FunctionToolCall.wrap,
}
_REQUIRED_TOOL_CALLS: Mapping[str, Callable[[JSONObject], RequiredToolCall]] = {
    "function": FunctionToolCall.wrap,
    "mcp": RequiredMCPToolCall.wrap,
}
_STEP_DETAILS: Mapping[str, Callable[[JSONObject], StepDetails]] = {
    "message_creation": MessageCreationStepDetails.wrap,
    "tool_calls": ToolCallsStepDetails.wrap,
}
