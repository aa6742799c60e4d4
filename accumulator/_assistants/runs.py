"""Runs, the actions that runs require, and the errors that servers send. Fields have the names of the Assistants API.

Times are in seconds since 1970-01-01 UTC. Nearly every field may be None: both null and an absent key read as None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from typing import Final as _Final
from typing import Literal as _Literal

from accumulator._assistants.azure import ComputerUseToolCall
from accumulator._assistants.calls import Call
from accumulator._assistants.run_steps import FunctionToolCall, LastError, OtherToolCall, Usage
from accumulator._model import Field, ListField, Model, by_type, copy_object, get_member, type_field, wrap_list
from accumulator._model import PlainDict as _PlainDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class RequiredMCPToolCall(Call, Model):
    """A call of a tool of an MCP server. The call waits for approval. Azure only."""

    _names = ("name",)

    id: Field[str | None] = Field('Id of the call, "call_...". The approval of the call is submitted with this id.')
    type: _Final[_Literal["mcp"]] = type_field("mcp")
    server_label: Field[str | None] = Field("Label of the MCP server that has the tool.")
    arguments: Field[str | None] = Field("The arguments as the model wrote them, meant to be JSON text.")


RequiredToolCall: TypeAlias = FunctionToolCall | RequiredMCPToolCall | ComputerUseToolCall | OtherToolCall
"""A tool call that waits for its output or for approval. `type` gives the class."""

wrap_required_tool_call: Callable[[Mapping[str, object]], RequiredToolCall] = by_type(
    {"function": FunctionToolCall, "mcp": RequiredMCPToolCall, "computer_use_preview": ComputerUseToolCall},
    OtherToolCall,
)


class SubmitToolOutputs(Model):
    """Tool calls that wait for their outputs."""

    tool_calls: ListField[RequiredToolCall] = ListField("The calls, with complete arguments.", wrap_required_tool_call)


class SubmitToolApproval(Model):
    """Tool calls of MCP servers that wait for approval. Azure only."""

    tool_calls: ListField[RequiredToolCall] = ListField('The calls, of type "mcp".', wrap_required_tool_call)


class RequiredAction(Model):
    """What a run waits for."""

    type: Field[str | None] = Field('"submit_tool_outputs"; Azure also has "submit_tool_approval".')
    submit_tool_outputs: Field[SubmitToolOutputs | None] = Field("Calls that need outputs.", SubmitToolOutputs.wrap)
    submit_tool_approval: Field[SubmitToolApproval | None] = Field("Calls that need approval.", SubmitToolApproval.wrap)

    @property
    def tool_calls(self) -> tuple[RequiredToolCall, ...]:
        """All calls that the run waits for: first the calls that need outputs, then the calls that need approval."""
        waiting = (self._json.get("submit_tool_outputs"), self._json.get("submit_tool_approval"))
        return tuple(
            call for json in waiting for call in wrap_list(get_member(json, "tool_calls"), wrap_required_tool_call)
        )


class RunIncompleteDetails(Model):
    """Why a run is incomplete."""

    reason: Field[str | None] = Field('"max_completion_tokens", "max_prompt_tokens" or "content_filter".')


class Run(Model):
    """A run of an assistant on a thread."""

    id: Field[str | None] = Field('Id of the run, "run_...".')
    object: Field[str | None] = Field('"thread.run".')
    created_at: Field[int | None] = Field("When the run was created.")
    thread_id: Field[str | None] = Field('Id of the thread, "thread_...".')
    assistant_id: Field[str | None] = Field('Id of the assistant, "asst_...".')
    status: Field[str | None] = Field(
        '"queued", "in_progress", "requires_action", "cancelling", "cancelled", "failed", "completed", "incomplete" or '
        '"expired". It may differ from the status in the name of the event.'
    )
    required_action: Field[RequiredAction | None] = Field("What the run waits for.", RequiredAction.wrap)
    last_error: Field[LastError | None] = Field("Why the run failed.", LastError.wrap)
    usage: Field[Usage | None] = Field("Tokens used; None until the run ends.", Usage.wrap)
    incomplete_details: Field[RunIncompleteDetails | None] = Field(
        "Why the run is incomplete.", RunIncompleteDetails.wrap
    )
    started_at: Field[int | None] = Field("When the run was started.")
    expires_at: Field[int | None] = Field("When the run will expire; None after the run ended.")
    cancelled_at: Field[int | None] = Field("When the run was cancelled.")
    failed_at: Field[int | None] = Field("When the run failed.")
    completed_at: Field[int | None] = Field("When the run was completed.")
    model: Field[str | None] = Field("Name of the model.")
    instructions: Field[str | None] = Field("The instructions of the run.")
    tools: ListField[_PlainDict] = ListField("The tools that the run may call.", copy_object)
    metadata: Field[_PlainDict | None] = Field("Up to 16 texts by key.")


class ErrorObject(Model):
    """The error of an error event."""

    message: Field[str | None] = Field("What happened, in words.")
    type: Field[str | None] = Field('Kind of the error, such as "server_error".')
    param: Field[str | None] = Field("The parameter of the request that caused the error.")
    code: Field[str | None] = Field('Code of the error. Servers send null for the type "server_error".')
