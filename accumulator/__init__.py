"""Fold streams of deltas into complete objects: bytes of server-sent events in, complete run steps out.

`accumulate` and `aaccumulate` read a stream, `connect` and `aconnect` open one, `Accumulator` does the same without any
I/O. What they hand out is in the union `Update`; what they fold is a `RunStep`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._accumulator import Accumulator, Limits
from accumulator._deltas import (
    CodeInterpreterDelta,
    CodeInterpreterLogs,
    CodeInterpreterOutputDelta,
    CodeInterpreterOutputImage,
    CodeInterpreterToolCallDelta,
    FileSearchToolCallDelta,
    FunctionToolCallDelta,
    OtherOutputDelta,
    OtherStepDetailsDelta,
    OtherToolCallDelta,
    RunStepDelta,
    RunStepDeltaEvent,
    RunStepDeltaMessageDelta,
    StepDetailsDelta,
    ToolCallDeltaEntry,
    ToolCallDeltaObject,
)
from accumulator._errors import (
    AccumulatorError,
    CheckpointError,
    DecodeError,
    LimitError,
    MergeError,
    ResponseError,
    RunError,
    TruncatedError,
)
from accumulator._model import Field, ListField, Model
from accumulator._models import (
    CodeInterpreter,
    CodeInterpreterImage,
    CodeInterpreterImageOutput,
    CodeInterpreterLogOutput,
    CodeInterpreterOutput,
    CodeInterpreterToolCall,
    ErrorObject,
    FileSearch,
    FileSearchRankingOptions,
    FileSearchResult,
    FileSearchResultContent,
    FileSearchToolCall,
    Function,
    FunctionToolCall,
    LastError,
    MessageCreation,
    MessageCreationStepDetails,
    OtherOutput,
    OtherStepDetails,
    OtherToolCall,
    RequiredAction,
    Run,
    RunStep,
    RunStepInclude,
    StepDetails,
    SubmitToolApproval,
    SubmitToolOutputs,
    ToolCall,
    ToolCallsStepDetails,
    Usage,
)
from accumulator._sse import ServerSentEvent, SSEParser
from accumulator._stream import AsyncRunStream, RunStream, aaccumulate, accumulate
from accumulator._updates import (
    BodyEnded,
    ErrorReceived,
    Problem,
    ProblemKind,
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

if TYPE_CHECKING:
    from accumulator._connect import aconnect, connect

__all__ = [
    "Accumulator",
    "AccumulatorError",
    "AsyncRunStream",
    "BodyEnded",
    "CheckpointError",
    "CodeInterpreter",
    "CodeInterpreterDelta",
    "CodeInterpreterImage",
    "CodeInterpreterImageOutput",
    "CodeInterpreterLogOutput",
    "CodeInterpreterLogs",
    "CodeInterpreterOutput",
    "CodeInterpreterOutputDelta",
    "CodeInterpreterOutputImage",
    "CodeInterpreterToolCall",
    "CodeInterpreterToolCallDelta",
    "DecodeError",
    "ErrorObject",
    "ErrorReceived",
    "Field",
    "FileSearch",
    "FileSearchRankingOptions",
    "FileSearchResult",
    "FileSearchResultContent",
    "FileSearchToolCall",
    "FileSearchToolCallDelta",
    "Function",
    "FunctionToolCall",
    "FunctionToolCallDelta",
    "LastError",
    "LimitError",
    "Limits",
    "ListField",
    "MergeError",
    "MessageCreation",
    "MessageCreationStepDetails",
    "Model",
    "OtherOutput",
    "OtherOutputDelta",
    "OtherStepDetails",
    "OtherStepDetailsDelta",
    "OtherToolCall",
    "OtherToolCallDelta",
    "Problem",
    "ProblemKind",
    "RequiredAction",
    "RequiresAction",
    "ResponseError",
    "Run",
    "RunError",
    "RunStep",
    "RunStepCreated",
    "RunStepDelta",
    "RunStepDeltaEvent",
    "RunStepDeltaMessageDelta",
    "RunStepDone",
    "RunStepInclude",
    "RunStepUpdated",
    "RunStream",
    "RunUpdated",
    "SSEParser",
    "ServerSentEvent",
    "StepDetails",
    "StepDetailsDelta",
    "SubmitToolApproval",
    "SubmitToolOutputs",
    "ToolCall",
    "ToolCallCreated",
    "ToolCallDelta",
    "ToolCallDeltaEntry",
    "ToolCallDeltaObject",
    "ToolCallDone",
    "ToolCallsStepDetails",
    "TruncatedError",
    "UnknownEvent",
    "Update",
    "Usage",
    "aaccumulate",
    "accumulate",
    "aconnect",
    "connect",
]


def __getattr__(name: str) -> object:
    """Load the HTTP edge when it is asked for, so that `import accumulator` loads no HTTP client."""
    if name in {"aconnect", "connect"}:
        from accumulator import _connect

        value: object = getattr(_connect, name)
        globals()[name] = value
        return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message, name=name)
