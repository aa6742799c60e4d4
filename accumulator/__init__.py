"""Fold the server-sent events of an Assistants run into run steps and messages, while they stream or from a recording.

`accumulate` and `aaccumulate` read a stream. `connect` and `aconnect` send a request and read its response. `tap` and
`atap` yield the bytes of a stream unchanged and fold them on the way. `Accumulator` folds without I/O. All of them
build a complete `RunStep` or `Message` from its deltas, and report each fact as an update, a member of `Update`.

The modules are private. A module imports only from modules above it, apart from types:

- `_errors`: the exceptions.
- `_json`: JSON text and JSON values.
- `_partial_json`: JSON text that is cut off.
- `_display`: shows values in IPython, in notebooks and with rich.
- `_pydantic`: what pydantic asks a class for.
- `_model`: the bases of the typed classes over JSON objects and of updates.
- `_formats`: names what the bytes are that are no event stream.
- `_sse`: the parser from bytes to events.
- `_fold`: merges deltas and whole objects into JSON builders, without knowledge of events and classes.
- `_engine`: applies events to run steps, messages and bodies; has the fast path and checkpoints.
- `_streams`: reads sources, sync and async, and runs streams and taps.
- `_assistants`: the models, updates, events and functions of the Assistants API.
- `_recordings`: the recording format, the recorder, replay, and readers of what other tools recorded.
- `_rest`: the endpoints of the run steps, and a run that is completed after its stream was cut. `rest` makes it public.
- `_server`, `server`: the server that plays recordings, and its public names. Nothing here imports them.
- `_tables`: the columns and rows of tables, files of them, and frames of Daft.
- `archive`: the public names for many recordings, which are tables. It is imported by its own name only.
- `_cli`, `_pytest_plugin`: the command line, and the plugin of pytest.
"""

from __future__ import annotations

TYPE_CHECKING = False  # true for type checkers; `typing` would take longer to import than the rest of this module
if TYPE_CHECKING:
    from accumulator._assistants.accumulator import Accumulator
    from accumulator._assistants.azure import (
        AzureAISearchToolCall,
        AzureFunctionToolCall,
        AzureToolCall,
        BingCustomSearchToolCall,
        BingGroundingToolCall,
        BingSearch,
        BrowserAutomation,
        BrowserAutomationStep,
        BrowserAutomationToolCall,
        ComputerUse,
        ComputerUseToolCall,
        ConnectedAgent,
        ConnectedAgentToolCall,
        DeepResearchToolCall,
        FabricToolCall,
        McpToolCall,
        OpenAPIToolCall,
        SharepointToolCall,
        ToolExchange,
    )
    from accumulator._assistants.calls import Function
    from accumulator._assistants.connect import aconnect, connect
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
        ActivitiesStepDetails,
        Activity,
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
        RunStream,
        aaccumulate,
        accumulate,
    )
    from accumulator._assistants.taps import (
        AsyncTap,
        Tap,
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
        update_from_dict,
    )
    from accumulator._engine.body import BodyEnded
    from accumulator._engine.limits import Limits
    from accumulator._errors import (
        AccumulatorError,
        CheckpointError,
        DecodeError,
        LimitError,
        MergeError,
        RecordingError,
        ResponseError,
        RunError,
        TruncatedError,
    )
    from accumulator._fold.changes import ProblemKind
    from accumulator._model import Field, ListField, Model, UnknownType
    from accumulator._recordings.check import Report, check
    from accumulator._recordings.diff import Difference, diff
    from accumulator._recordings.format import RecordedChunk
    from accumulator._recordings.recorder import AsyncRecorded, Recorded, Recorder, arecord, record
    from accumulator._recordings.recordings import RecordedBody, Recording, open_recordings
    from accumulator._recordings.replay import AsyncReplay, Replay, areplay, replay
    from accumulator._sse import ServerSentEvent, SSEParser

__all__ = [
    "Accumulator",
    "AccumulatorError",
    "ActivitiesStepDetails",
    "Activity",
    "Annotation",
    "AnnotationDelta",
    "AsyncRecorded",
    "AsyncReplay",
    "AsyncRunStream",
    "AsyncTap",
    "AzureAISearchToolCall",
    "AzureFunctionToolCall",
    "AzureToolCall",
    "BingCustomSearchToolCall",
    "BingGroundingToolCall",
    "BingSearch",
    "BodyEnded",
    "BrowserAutomation",
    "BrowserAutomationStep",
    "BrowserAutomationToolCall",
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
    "ComputerUse",
    "ComputerUseToolCall",
    "ConnectedAgent",
    "ConnectedAgentToolCall",
    "ContentCreated",
    "ContentDelta",
    "ContentDone",
    "DecodeError",
    "DeepResearchToolCall",
    "Difference",
    "ErrorObject",
    "ErrorReceived",
    "FabricToolCall",
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
    "McpToolCall",
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
    "OpenAPIToolCall",
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
    "Recorded",
    "RecordedBody",
    "RecordedChunk",
    "Recorder",
    "Recording",
    "RecordingError",
    "RefusalContentBlock",
    "RefusalDeltaBlock",
    "Replay",
    "Report",
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
    "SharepointToolCall",
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
    "ToolExchange",
    "TruncatedError",
    "URLCitation",
    "URLCitationAnnotation",
    "URLCitationDeltaAnnotation",
    "UnknownEvent",
    "UnknownType",
    "Update",
    "Usage",
    "aaccumulate",
    "accumulate",
    "aconnect",
    "arecord",
    "areplay",
    "atap",
    "check",
    "connect",
    "diff",
    "open_recordings",
    "record",
    "replay",
    "tap",
    "update_from_dict",
]


_MODULES = (
    "accumulator._assistants.accumulator",
    "accumulator._assistants.azure",
    "accumulator._assistants.calls",
    "accumulator._assistants.messages",
    "accumulator._assistants.run_steps",
    "accumulator._assistants.runs",
    "accumulator._assistants.streams",
    "accumulator._assistants.updates",
    "accumulator._engine.body",
    "accumulator._engine.limits",
    "accumulator._errors",
    "accumulator._fold.changes",
    "accumulator._model",
    "accumulator._recordings.seam",
    "accumulator._sse",
)
"""The modules that define the public names, but for those of `_OWN`; `seam` defines none, and makes paths sources."""

_OWN = {
    "accumulator._assistants.connect": ("aconnect", "connect"),
    "accumulator._assistants.handler": ("Handler",),
    "accumulator._assistants.taps": ("AsyncTap", "Tap", "atap", "tap"),
    "accumulator._recordings.check": ("Report", "check"),
    "accumulator._recordings.diff": ("Difference", "diff"),
    "accumulator._recordings.format": ("RecordedChunk",),
    "accumulator._recordings.recorder": ("AsyncRecorded", "Recorded", "Recorder", "arecord", "record"),
    "accumulator._recordings.recordings": ("RecordedBody", "Recording", "open_recordings"),
    "accumulator._recordings.replay": ("AsyncReplay", "Replay", "areplay", "replay"),
}
"""The modules that are imported only for a name of their own, and these names."""

_HINTED = ("_Final", "_Literal", "_PlainDict", "_Sequence", "_UnknownType")
"""Names in type hints of public classes, which are looked up here."""


def __getattr__(name: str) -> object:
    """Import the modules when a public name is first used; those of `_OWN`, when one of their names is.

    So `import accumulator` takes next to no time, and the command line handles Ctrl-C while the modules are imported.
    The names of all modules become public at once: `connect` alone hands out objects of nearly every class.
    """
    from importlib import import_module

    if name not in __all__ and name not in _HINTED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    own = [module for module, names in _OWN.items() if name in names]
    for module in [import_module(module) for module in (*_MODULES, *own)]:
        _publish(module.__name__, vars(module))
    return globals()[name]


def _publish(module: str, found: dict[str, object]) -> None:
    """Make the public names among those of a module names of this one, but for those that it has.

    Classes and functions get this module as theirs: pickles name the module, and private modules may change.
    """
    from types import FunctionType

    for name in {*__all__, *_HINTED} & found.keys() - globals().keys():
        value = found[name]
        if isinstance(value, (type, FunctionType)) and name not in _HINTED:
            if value.__module__ != module:
                continue  # another module defines it
            value.__module__ = __name__
        globals()[name] = value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
