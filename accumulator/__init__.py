"""Fold streams of deltas into complete objects: bytes of server-sent events in, complete run steps out.

`accumulate` and `aaccumulate` read a stream, `connect` and `aconnect` open one, and `Accumulator` does the same without
I/O. All of them give updates, the members of the union `Update`. What they fold are `RunStep`s and `Message`s.

The modules behind these names are private. From the ground up:

- `_errors`, `_json`, `_partial_json` and `_model`: exceptions, JSON values, and the typed classes over them.
- `_sse`: bytes to events.
- `_fold`: deltas and whole objects folded into JSON that grows; it knows no event and no class.
- `_engine`: the life of a run step, a message and a body, the fast path, checkpoints.
- `_streams`: sources of bytes, sync and async iteration, taps.
- `_assistants`: what is named after the Assistants API.
- `_cli`: the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.handler import Handler
from accumulator._assistants.messages import (
    Annotation,
    AnnotationDelta,
    FileCitation,
    FileCitationAnnotation,
    FileCitationDeltaAnnotation,
    FilePath,
    FilePathAnnotation,
    FilePathDeltaAnnotation,
    ImageFile,
    ImageFileContentBlock,
    ImageFileDeltaBlock,
    ImageURL,
    ImageURLContentBlock,
    ImageURLDeltaBlock,
    Message,
    MessageContent,
    MessageContentDelta,
    MessageDelta,
    MessageDeltaEvent,
    MessageIncompleteDetails,
    OtherAnnotation,
    OtherContentBlock,
    OtherDeltaAnnotation,
    OtherDeltaBlock,
    RefusalContentBlock,
    RefusalDeltaBlock,
    Text,
    TextContentBlock,
    TextDelta,
    TextDeltaBlock,
    URLCitation,
    URLCitationAnnotation,
    URLCitationDeltaAnnotation,
)
from accumulator._assistants.run_steps import (
    CodeInterpreter,
    CodeInterpreterDelta,
    CodeInterpreterImage,
    CodeInterpreterImageOutput,
    CodeInterpreterLogOutput,
    CodeInterpreterLogs,
    CodeInterpreterOutput,
    CodeInterpreterOutputDelta,
    CodeInterpreterOutputImage,
    CodeInterpreterToolCall,
    CodeInterpreterToolCallDelta,
    FileSearch,
    FileSearchRankingOptions,
    FileSearchResult,
    FileSearchResultContent,
    FileSearchToolCall,
    FileSearchToolCallDelta,
    Function,
    FunctionToolCall,
    FunctionToolCallDelta,
    LastError,
    MessageCreation,
    MessageCreationStepDetails,
    OtherOutput,
    OtherOutputDelta,
    OtherStepDetails,
    OtherStepDetailsDelta,
    OtherToolCall,
    OtherToolCallDelta,
    RunStep,
    RunStepDelta,
    RunStepDeltaEvent,
    RunStepDeltaMessageDelta,
    RunStepInclude,
    StepDetails,
    StepDetailsDelta,
    ToolCall,
    ToolCallDeltaEntry,
    ToolCallDeltaObject,
    ToolCallsStepDetails,
    Usage,
)
from accumulator._assistants.runs import (
    ErrorObject,
    RequiredAction,
    RequiredMCPToolCall,
    RequiredToolCall,
    Run,
    RunIncompleteDetails,
    SubmitToolApproval,
    SubmitToolOutputs,
)
from accumulator._assistants.streams import (
    AsyncRunStream,
    AsyncTap,
    RunStream,
    Tap,
    aaccumulate,
    accumulate,
    atap,
    tap,
)
from accumulator._assistants.updates import (
    ContentCreated,
    ContentDelta,
    ContentDone,
    ErrorReceived,
    MessageCreated,
    MessageDone,
    MessageUpdated,
    Problem,
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
from accumulator._engine.accumulator import Limits
from accumulator._engine.body import BodyEnded
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
from accumulator._fold.changes import ProblemKind
from accumulator._model import Field, ListField, Model
from accumulator._model import PlainDict as _PlainDict  # noqa: F401  # pyright: ignore[reportUnusedImport] - type hints are looked up here
from accumulator._sse import ServerSentEvent, SSEParser

if TYPE_CHECKING:
    from accumulator._assistants.connect import aconnect, connect

__all__ = [
    "Accumulator",
    "AccumulatorError",
    "Annotation",
    "AnnotationDelta",
    "AsyncRunStream",
    "AsyncTap",
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
    "ContentCreated",
    "ContentDelta",
    "ContentDone",
    "DecodeError",
    "ErrorObject",
    "ErrorReceived",
    "Field",
    "FileCitation",
    "FileCitationAnnotation",
    "FileCitationDeltaAnnotation",
    "FilePath",
    "FilePathAnnotation",
    "FilePathDeltaAnnotation",
    "FileSearch",
    "FileSearchRankingOptions",
    "FileSearchResult",
    "FileSearchResultContent",
    "FileSearchToolCall",
    "FileSearchToolCallDelta",
    "Function",
    "FunctionToolCall",
    "FunctionToolCallDelta",
    "Handler",
    "ImageFile",
    "ImageFileContentBlock",
    "ImageFileDeltaBlock",
    "ImageURL",
    "ImageURLContentBlock",
    "ImageURLDeltaBlock",
    "LastError",
    "LimitError",
    "Limits",
    "ListField",
    "MergeError",
    "Message",
    "MessageContent",
    "MessageContentDelta",
    "MessageCreated",
    "MessageCreation",
    "MessageCreationStepDetails",
    "MessageDelta",
    "MessageDeltaEvent",
    "MessageDone",
    "MessageIncompleteDetails",
    "MessageUpdated",
    "Model",
    "OtherAnnotation",
    "OtherContentBlock",
    "OtherDeltaAnnotation",
    "OtherDeltaBlock",
    "OtherOutput",
    "OtherOutputDelta",
    "OtherStepDetails",
    "OtherStepDetailsDelta",
    "OtherToolCall",
    "OtherToolCallDelta",
    "Problem",
    "ProblemKind",
    "RefusalContentBlock",
    "RefusalDeltaBlock",
    "RequiredAction",
    "RequiredMCPToolCall",
    "RequiredToolCall",
    "RequiresAction",
    "ResponseError",
    "Run",
    "RunError",
    "RunIncompleteDetails",
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
    "Tap",
    "Text",
    "TextContentBlock",
    "TextDelta",
    "TextDeltaBlock",
    "ToolCall",
    "ToolCallCreated",
    "ToolCallDelta",
    "ToolCallDeltaEntry",
    "ToolCallDeltaObject",
    "ToolCallDone",
    "ToolCallsStepDetails",
    "TruncatedError",
    "URLCitation",
    "URLCitationAnnotation",
    "URLCitationDeltaAnnotation",
    "UnknownEvent",
    "Update",
    "Usage",
    "aaccumulate",
    "accumulate",
    "aconnect",
    "atap",
    "connect",
    "tap",
]


def _publish(value: object) -> None:
    """Name this module as that of a class or function: a pickle names the module, and the private ones may change."""
    from types import FunctionType

    if isinstance(value, (type, FunctionType)):
        value.__module__ = __name__


def __getattr__(name: str) -> object:
    """Load the functions that need an HTTP client when they are used: `import accumulator` loads none."""
    if name in {"aconnect", "connect"}:
        from accumulator._assistants import connect as edge

        value: object = getattr(edge, name)
        _publish(value)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


for _name in __all__:
    _publish(globals().get(_name))
