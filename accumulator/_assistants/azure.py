"""The tool calls that only Azure AI Agents has.

The fields are those of recordings or, for tools of which there is none, those of Azure's SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from typing import Final as _Final
from typing import Literal as _Literal

from accumulator._assistants.calls import Call, Function
from accumulator._model import Field, ListField, Model, copy_object, type_field
from accumulator._model import PlainDict as _PlainDict

if TYPE_CHECKING:
    from collections.abc import Mapping


class ToolExchange(Model):
    """What a tool was asked, and what it answered."""

    input: Field[str | None] = Field("What the tool was asked.")
    output: Field[str | None] = Field("What the tool answered.")


class BingSearch(Model):
    """A search with Bing."""

    requesturl: Field[str | None] = Field("The address that was requested, with the query.")
    response_metadata: Field[str | None] = Field("What is known of the answer, as JSON text.")


class ConnectedAgent(Model):
    """The agent that was called."""

    name: Field[str | None] = Field("Name of the agent.")
    arguments: Field[str | None] = Field("What the agent was told.")
    output: Field[str | None] = Field("What the agent said.")
    run_id: Field[str | None] = Field("Id of the agent's run.")
    thread_id: Field[str | None] = Field("Id of the agent's thread.")
    assistant_id: Field[str | None] = Field("Id of the agent.")


class BrowserAutomationStep(Model):
    """One step of the work of a browser."""

    last_step_result: Field[str | None] = Field("What the step before came to.")
    current_state: Field[str | None] = Field("Where the browser is.")
    next_step: Field[str | None] = Field("What the browser does next.")


class BrowserAutomation(Model):
    """The work of a browser."""

    input: Field[str | None] = Field("The task.")
    output: Field[str | None] = Field("The result.")
    steps: ListField[BrowserAutomationStep] = ListField("The steps, in order.", BrowserAutomationStep.wrap)


class ComputerUse(Model):
    """An action on a computer."""

    action: Field[_PlainDict | None] = Field('The action: its `type`, such as "click", and what belongs to that type.')
    pending_safety_checks: ListField[_PlainDict] = ListField("The checks that wait for approval.", copy_object)
    output: Field[_PlainDict | None] = Field("The screenshot after the action: `file_id` or `image_url`.")
    acknowledged_safety_checks: ListField[_PlainDict] = ListField("The checks that were approved.", copy_object)


class McpToolCall(Call, Model):
    """A call of a tool of an MCP server."""

    _names = ("name", "output")

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["mcp"]] = type_field("mcp")
    server_label: Field[str | None] = Field("Label of the MCP server that has the tool.")
    arguments: Field[str | None] = Field("The arguments as the model wrote them, meant to be JSON text.")


class AzureAISearchToolCall(Call, Model):
    """A search of an index of Azure AI Search."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["azure_ai_search"]] = type_field("azure_ai_search")
    azure_ai_search: Field[ToolExchange | None] = Field(
        "Query and result. The result is no JSON text.", ToolExchange.wrap
    )


class BingGroundingToolCall(Call, Model):
    """A search of the web with Bing."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["bing_grounding"]] = type_field("bing_grounding")
    bing_grounding: Field[BingSearch | None] = Field("Address and result.", BingSearch.wrap)


class BingCustomSearchToolCall(Call, Model):
    """A search of chosen sites with Bing."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["bing_custom_search"]] = type_field("bing_custom_search")
    bing_custom_search: Field[BingSearch | None] = Field("Address and result.", BingSearch.wrap)


class OpenAPIToolCall(Call, Model):
    """A call of a web API that an OpenAPI specification describes."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["openapi"]] = type_field("openapi")
    function: Field[Function | None] = Field(
        "Name, arguments and output. The API reference has the key `openapi`; servers send `function`.", Function.wrap
    )
    openapi: Field[Function | None] = Field("The payload as the API reference has it.", Function.wrap)


class AzureFunctionToolCall(Call, Model):
    """A call of an Azure Function."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["azure_function"]] = type_field("azure_function")
    azure_function: Field[Function | None] = Field("Name, arguments and output.", Function.wrap)


class FabricToolCall(Call, Model):
    """A question to a data agent of Microsoft Fabric."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["fabric_dataagent"]] = type_field("fabric_dataagent")
    fabric_dataagent: Field[ToolExchange | None] = Field("Question and answer.", ToolExchange.wrap)


class SharepointToolCall(Call, Model):
    """A search of a SharePoint site."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["sharepoint_grounding"]] = type_field("sharepoint_grounding")
    sharepoint_grounding: Field[ToolExchange | None] = Field(
        "Query and result. Servers replace the result by a placeholder.", ToolExchange.wrap
    )


class ConnectedAgentToolCall(Call, Model):
    """A call of another agent."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["connected_agent"]] = type_field("connected_agent")
    connected_agent: Field[ConnectedAgent | None] = Field(
        "The agent, what it was told and what it said.", ConnectedAgent.wrap
    )


class DeepResearchToolCall(Call, Model):
    """A research on the web."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["deep_research"]] = type_field("deep_research")
    deep_research: Field[ToolExchange | None] = Field("Question and report.", ToolExchange.wrap)


class BrowserAutomationToolCall(Call, Model):
    """A task for a browser."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["browser_automation"]] = type_field("browser_automation")
    browser_automation: Field[BrowserAutomation | None] = Field("Task, steps and result.", BrowserAutomation.wrap)


class ComputerUseToolCall(Call, Model):
    """An action on a computer."""

    id: Field[str | None] = Field("Id of the call.")
    type: _Final[_Literal["computer_use_preview"]] = type_field("computer_use_preview")
    computer_use_preview: Field[ComputerUse | None] = Field("Action and screenshot.", ComputerUse.wrap)


AzureToolCall: TypeAlias = (
    McpToolCall
    | AzureAISearchToolCall
    | BingGroundingToolCall
    | BingCustomSearchToolCall
    | OpenAPIToolCall
    | AzureFunctionToolCall
    | FabricToolCall
    | SharepointToolCall
    | ConnectedAgentToolCall
    | DeepResearchToolCall
    | BrowserAutomationToolCall
    | ComputerUseToolCall
)
"""A tool call that only Azure AI Agents has. `type` gives the class."""

AZURE_TOOLS: _Final[Mapping[str, type[AzureToolCall]]] = {
    "mcp": McpToolCall,
    "azure_ai_search": AzureAISearchToolCall,
    "bing_grounding": BingGroundingToolCall,
    "bing_custom_search": BingCustomSearchToolCall,
    "openapi": OpenAPIToolCall,
    "azure_function": AzureFunctionToolCall,
    "fabric_dataagent": FabricToolCall,
    "sharepoint_grounding": SharepointToolCall,
    "connected_agent": ConnectedAgentToolCall,
    "deep_research": DeepResearchToolCall,
    "browser_automation": BrowserAutomationToolCall,
    "computer_use_preview": ComputerUseToolCall,
}
"""The class of each type of tool call that only Azure AI Agents has."""
