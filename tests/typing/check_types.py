"""What the public face promises to type checkers. Never run: mypy and pyright read it, each in strict mode.

A line that must be refused carries an ignore comment with mypy's name for the error; pyright honours it too, and both
report one that ignores nothing.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, assert_never, assert_type

import accumulator
from accumulator import (
    Accumulator,
    AccumulatorError,
    ActivitiesStepDetails,
    AzureAISearchToolCall,
    AzureFunctionToolCall,
    BingCustomSearchToolCall,
    BingGroundingToolCall,
    BodyEnded,
    BrowserAutomationToolCall,
    CodeInterpreterToolCall,
    ComputerUseToolCall,
    ConnectedAgentToolCall,
    ContentCreated,
    ContentDelta,
    ContentDone,
    DeepResearchToolCall,
    ErrorObject,
    ErrorReceived,
    FabricToolCall,
    FileSearchToolCall,
    Function,
    FunctionToolCall,
    LimitError,
    Limits,
    McpToolCall,
    MergeError,
    Message,
    MessageContent,
    MessageContentDelta,
    MessageCreated,
    MessageCreationStepDetails,
    MessageDone,
    MessageUpdated,
    OpenAPIToolCall,
    OtherStepDetails,
    OtherToolCall,
    Problem,
    RequiredAction,
    RequiresAction,
    ResponseError,
    RunError,
    RunStep,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    RunUpdated,
    ServerSentEvent,
    SharepointToolCall,
    SSEParser,
    ToolCall,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDeltaEntry,
    ToolCallDone,
    ToolCallsStepDetails,
    UnknownEvent,
    UnknownType,
    Update,
    aaccumulate,
    accumulate,
    aconnect,
    connect,
    rest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx
    import httpx2


# ---- Streams.


def streams(source: Iterable[bytes], run: Accumulator) -> None:
    assert_type(accumulate(source).final_run_steps(), list[RunStep])
    assert_type(accumulate(source, into=run).until_done(), Accumulator)
    assert_type(accumulate(source).accumulator, Accumulator)
    assert_type(accumulate(source).final_text(), str)
    assert_type(accumulate(source).final_messages(), list[Message])
    assert_type(accumulate(source).tool_calls(), list[ToolCall])
    with accumulate(source, strict=True, limits=Limits(max_event_size=None)) as stream:
        assert_type(stream, accumulator.RunStream)
        for update in stream:
            assert_type(update, Update)


async def async_streams(source: object) -> None:
    assert_type(await aaccumulate(source).final_run_steps(), list[RunStep])
    assert_type(await aaccumulate(source).until_done(), Accumulator)
    assert_type(await aaccumulate(source).final_text(), str)
    assert_type(await aaccumulate(source).final_messages(), list[Message])
    async with aaccumulate(source) as stream:
        assert_type(stream, accumulator.AsyncRunStream)
        async for update in stream:
            assert_type(update, Update)


async def connections(client: httpx.Client, other: httpx.AsyncClient) -> None:
    with connect(client, "POST", "/runs", json={}) as stream:
        assert_type(stream, accumulator.RunStream)
    async with aconnect(other, "POST", "/runs", json={}) as async_stream:
        assert_type(async_stream, accumulator.AsyncRunStream)


def refused_arguments(source: Iterable[bytes]) -> None:
    accumulate(source, None)  # type: ignore[call-arg]
    accumulate(source, into=source)  # type: ignore[arg-type]
    accumulate(source, limit=1)  # type: ignore[call-arg]
    Limits(1)  # type: ignore[call-arg]
    Limits(max_event_size="1")  # type: ignore[arg-type]


async def refused_twins(source: Iterable[bytes]) -> None:
    for _ in aaccumulate(source):  # type: ignore[attr-defined]
        pass
    async for _ in accumulate(source):  # type: ignore[attr-defined]
        pass


# ---- The core.


def core(run: Accumulator) -> None:
    assert_type(run.feed(b""), list[Update])
    assert_type(run.apply("done", "[DONE]"), list[Update])
    assert_type(run.end(), list[Update])
    assert_type(run.run_steps(), list[RunStep])
    assert_type(run.run_step("step_1"), RunStep | None)
    assert_type(run.tool_call("step_1", 0), ToolCall | None)
    assert_type(run.outcome, str | None)
    assert_type(run.problems, Sequence[Problem])
    assert_type(run.error, ErrorObject | None)
    assert_type(run.required_action, RequiredAction | None)
    assert_type(Accumulator.from_bytes(run.to_bytes()), Accumulator)


def parser() -> None:
    events = SSEParser(max_event_size=None)
    assert_type(events.feed(b""), list[ServerSentEvent])
    assert_type(events.end(), ServerSentEvent | None)
    assert_type(events.feed(b"")[0].retry, int | None)


def refused_by_the_core(run: Accumulator) -> None:
    run.feed("text")  # type: ignore[arg-type]
    run.outcome = "completed"  # type: ignore[misc]
    run.problems.append  # type: ignore[attr-defined]  # noqa: B018
    Accumulator(True)  # type: ignore[call-arg]  # noqa: FBT003


# ---- Updates.


def every_update(update: Update) -> object:  # noqa: C901 - a case for every update
    assert_type(update.event_number, int)
    found: object
    match update:
        case RunStepCreated() | RunStepUpdated() | RunStepDone():
            found = assert_type(update.run_step, RunStep)
        case ToolCallCreated() | ToolCallDone():
            found = assert_type(update.tool_call, ToolCall)
        case ToolCallDelta(step_id=step_id, index=index, tool_call_id=call_id, delta=delta):
            found = assert_type((step_id, index, call_id), tuple[str, int | None, str | None])
            assert_type(delta, ToolCallDeltaEntry)
        case MessageCreated() | MessageUpdated() | MessageDone():
            found = assert_type(update.message, Message)
        case ContentCreated() | ContentDone():
            found = assert_type(update.content, MessageContent)
        case ContentDelta(message_id=message_id, index=index, delta=part):
            found = assert_type((message_id, index, part), tuple[str, int | None, MessageContentDelta])
        case RunUpdated() | RequiresAction():
            found = assert_type(update.run.status, str | None)
        case ErrorReceived():
            found = assert_type(update.error, ErrorObject)
        case Problem(step_id=step_id):
            found = assert_type(step_id, str | None)
        case UnknownEvent():
            found = assert_type(update.data, str)
        case BodyEnded():
            # Made when it is read, so that many bodies with much open cost little: hence no tuple.
            found = assert_type(update.open, Sequence[str])
        case _:
            assert_never(update)
    return found


def an_update_left_out(update: RunStepDone | BodyEnded | Problem) -> None:
    match update:
        case RunStepDone() | BodyEnded():
            pass
        case _:
            assert_never(update)  # type: ignore[arg-type]


def refused_of_an_update(update: Update, done: RunStepDone) -> None:
    _ = update.index  # type: ignore[union-attr]
    done.event_number = 2  # type: ignore[misc]
    Problem(1, "wrong", "$", "", "", None)  # type: ignore[arg-type]


# ---- Models.


def models(step: RunStep) -> object:
    assert_type(step.id, str)
    assert_type(step.status, str | None)
    assert_type(step.tool_calls, tuple[ToolCall, ...])
    assert_type(step.to_dict(), dict[str, object])
    assert_type(step.to_json(), str)
    assert_type(step.extra, dict[str, object])
    assert_type(RunStep.from_dict({}), RunStep)
    assert_type(RunStep.from_json("{}"), RunStep)
    details = step.step_details
    found: object
    match details:
        case None:
            found = None
        case MessageCreationStepDetails():
            found = assert_type(details.type, Literal["message_creation"])
        case ToolCallsStepDetails():
            found = assert_type(details.tool_calls, tuple[ToolCall, ...])
        case ActivitiesStepDetails():
            found = assert_type(details.activities, tuple[accumulator.Activity, ...])
        case OtherStepDetails():
            found = assert_type(details.extra, dict[str, object])
        case _:
            assert_never(details)
    return found


def tool_calls(call: ToolCall) -> object:  # noqa: C901 - a case for every kind of call
    found: object
    match call:
        case CodeInterpreterToolCall():
            found = call.code_interpreter and assert_type(call.code_interpreter.input, str | None)
        case FileSearchToolCall():
            found = call.file_search and assert_type(call.file_search.results, tuple[accumulator.FileSearchResult, ...])
        case FunctionToolCall():
            found = call.function and assert_type(call.function.arguments, str | None)
        case McpToolCall():
            found = assert_type((call.name, call.server_label), tuple[str, str | None])
        case OpenAPIToolCall(function=Function(arguments=arguments)):
            found = assert_type(arguments, str | None)
        case OpenAPIToolCall() | AzureAISearchToolCall() | AzureFunctionToolCall() | BingGroundingToolCall():
            found = assert_type(call.output, str | None)
        case BingCustomSearchToolCall() | FabricToolCall() | SharepointToolCall() | ConnectedAgentToolCall():
            found = assert_type(call.input, str | None)
        case DeepResearchToolCall() | BrowserAutomationToolCall() | ComputerUseToolCall():
            found = call.id
        case OtherToolCall():
            # As sent, when it runs. For checkers a literal, as `==` would narrow nothing beside a `str`.
            found = assert_type(call.type, UnknownType | None)
            if str(call.type) == "zapier":
                found = call.extra
        case _:
            assert_never(call)
    return found


# ---- A natural loop: nothing is cast and nothing is asserted.


def natural(run: Accumulator) -> list[str]:
    told = [f"{run.text} {run.usage and run.usage.total_tokens}"]
    for step in run.run_steps():
        told.append(f"{step.type} {step.status} {step.duration or 0:.1f} s")
        for call in step.tool_calls:
            told.append(f"{call.name}({call.input}) -> {call.output}")
            if call.type == "function":
                assert_type(call, FunctionToolCall)
                told.append(f"{call.function and call.function.arguments} {call.parse_arguments()}")
            elif call.type == "code_interpreter":
                for output in call.code_interpreter.outputs if call.code_interpreter else ():
                    if output.type == "logs":
                        told.append(output.logs or "")
                    elif output.type == "image" and output.image:
                        told.append(output.image.file_id or "")
            elif call.type == "file_search":
                told += [
                    f"{found.file_name} {found.score}"
                    for found in (call.file_search and call.file_search.results) or ()
                ]
            elif call.type == "mcp":
                told.append(call.server_label or "")
    return told


def natural_details(step: RunStep) -> object:
    details = step.step_details
    if details is not None and details.type == "message_creation":
        return details.message_creation and details.message_creation.message_id
    if details is not None and details.type == "tool_calls":
        return [call.id for call in details.tool_calls]
    if details is not None and details.type == "activities":
        return [activity.tools for activity in details.activities]
    return details


def natural_messages(message: Message) -> list[str | None]:
    told: list[str | None] = []
    for part in message.content:
        if part.type == "text" and part.text:
            told.append(part.text.value)
            for annotation in part.text.annotations:
                if annotation.type == "file_citation":
                    told.append(annotation.file_citation and annotation.file_citation.file_id)
                elif annotation.type == "url_citation":
                    told.append(annotation.url_citation and annotation.url_citation.url)
                elif annotation.type == "file_path":
                    told.append(annotation.file_path and annotation.file_path.file_id)
        elif part.type == "image_file":
            told.append(part.image_file and part.image_file.file_id)
        elif part.type == "image_url":
            told.append(part.image_url and part.image_url.url)
        elif part.type == "refusal":
            told.append(part.refusal)
    return told


def natural_updates(update: Update) -> str | None:
    match update:
        case ContentDelta(delta=part) if part.type == "text":
            return part.text and part.text.value
        case ToolCallDelta(delta=delta) if delta.type == "function":
            return delta.function and delta.function.arguments
        case ToolCallDelta(delta=delta) if delta.type == "code_interpreter" and delta.code_interpreter:
            return "".join(each.logs or "" for each in delta.code_interpreter.outputs if each.type == "logs")
        case ToolCallDone(tool_call=FunctionToolCall(function=Function(name=name))):
            return name
        case RequiresAction(required_action=action):
            return " ".join(call.server_label or "" for call in action.tool_calls if call.type == "mcp")
        case _:
            return None


def refused_of_a_model(step: RunStep) -> None:
    step.status = "completed"  # type: ignore[assignment]
    for call in step.tool_calls:
        if isinstance(call, FunctionToolCall):
            call.type = "function"  # type: ignore[misc]
    _ = step.expire_at  # type: ignore[attr-defined]
    step.tool_calls.append  # type: ignore[attr-defined]  # noqa: B018


# ---- Errors.


def errors(error: AccumulatorError) -> None:
    assert_type(error.updates, Sequence[Update])
    assert_type(error.accumulator, Accumulator | None)
    match error:
        case MergeError():
            assert_type(error.problem, Problem)
        case LimitError():
            assert_type((error.limit, error.maximum), tuple[str, int])
            assert_type(error.events, Sequence[ServerSentEvent])
        case RunError():
            assert_type(error.error, ErrorObject | None)
        case ResponseError():
            assert_type((error.status, error.content_type), tuple[int | None, str])
            assert_type((error.request_id, error.body), tuple[str | None, str])
            assert_type((error.code, error.message), tuple[str | None, str | None])
            assert_type(error.retry_after, float | None)
        case _:
            assert_type(error, AccumulatorError)


# ---- The endpoints.


async def endpoints(client: httpx.Client, other: httpx2.Client, aclient: httpx.AsyncClient, run: Accumulator) -> None:
    service = rest.Service.openai()
    include: list[rest.RunStepInclude] = ["step_details.tool_calls[*].file_search.results[*].content"]
    assert_type(rest.list_run_steps(client, service, "t", "r", order="asc", include=include), Iterator[RunStep])
    assert_type(rest.alist_run_steps(aclient, service, "t", "r"), AsyncIterator[RunStep])
    assert_type(rest.retrieve_run_step(other, "http://host/v1", "t", "r", "s"), RunStep)
    assert_type(await rest.aretrieve_run_step(aclient, service, "t", "r", "s"), RunStep)
    assert_type(rest.resume(client, service, run, handler=print), list[RunStep])
    assert_type(await rest.aresume(aclient, service, run), list[RunStep])
    assert_type(run.reconcile([{"id": "step_1"}], {"id": "run_1"}), list[Update])
    rest.list_run_steps(aclient, service, "t", "r")  # type: ignore[arg-type]
    rest.list_run_steps(client, service, "t", "r", order="newest")  # type: ignore[arg-type]
