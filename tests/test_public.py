"""The public face as a whole: complete, documented, and made of values that travel."""

from __future__ import annotations

import ast
import inspect
import pickle
import pickletools
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, cast, get_args, get_type_hints

import pytest
from msgspec.structs import replace

import accumulator
from accumulator import (
    AccumulatorError,
    BodyEnded,
    CheckpointError,
    ContentCreated,
    ContentDelta,
    ContentDone,
    DecodeError,
    ErrorObject,
    ErrorReceived,
    Field,
    FunctionToolCall,
    FunctionToolCallDelta,
    LimitError,
    Limits,
    MergeError,
    Message,
    MessageCreated,
    MessageDone,
    MessageUpdated,
    Model,
    Problem,
    RecordingError,
    RequiredAction,
    RequiresAction,
    ResponseError,
    Run,
    RunError,
    RunStep,
    RunStepCreated,
    RunStepDone,
    RunStepUpdated,
    RunUpdated,
    ServerSentEvent,
    TextContentBlock,
    TextDeltaBlock,
    ToolCallCreated,
    ToolCallDelta,
    ToolCallDone,
    TruncatedError,
    UnknownEvent,
    Update,
)
from accumulator._json import parse_json
from tests import bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(accumulator.__file__).parent
NAMES = [(name, getattr(accumulator, name)) for name in accumulator.__all__]
CLASSES = [value for _, value in NAMES if isinstance(value, type)]
# What a closed union or a set of literals stands for; not a class, so that its text stands below it in the source.
ALIASES = [name for name, value in NAMES if not isinstance(value, (type, FunctionType))]

RUN_STEP = RunStep.from_dict(bodies.STEP_AFTER_FIRST)
CALL = FunctionToolCall.from_dict(bodies.call(bodies.ARGUMENTS, None))
FRAGMENT = FunctionToolCallDelta.from_dict({"index": 0, "type": "function", "function": {"arguments": "{"}})
MESSAGE = Message.from_dict({"id": "msg_1", "role": "assistant", "content": [{"type": "text", "text": {"value": "a"}}]})
PART = TextContentBlock.from_dict({"type": "text", "text": {"value": "a"}})
GROWN = TextDeltaBlock.from_dict({"index": 0, "type": "text", "text": {"value": "a"}})
RUN = Run.from_dict(bodies.run("requires_action", bodies.ACTION))
ERROR = ErrorObject.from_dict({"message": "Try again.", "code": None})
PROBLEM = Problem(7, "late", "$.delta", "{}", "expected nothing", "step_1")
UPDATES: list[Update] = [
    RunStepCreated(1, "step_1", RUN_STEP),
    RunStepUpdated(1, "step_1", RUN_STEP),
    RunStepDone(1, "step_1", RUN_STEP),
    ToolCallCreated(1, "step_1", 0, CALL),
    ToolCallDelta(1, "step_1", None, "call_1", FRAGMENT),
    ToolCallDone(1, "step_1", 0, CALL),
    MessageCreated(1, "msg_1", MESSAGE),
    MessageUpdated(1, "msg_1", MESSAGE),
    MessageDone(1, "msg_1", MESSAGE),
    ContentCreated(1, "msg_1", 0, PART),
    ContentDelta(1, "msg_1", None, GROWN),
    ContentDone(1, "msg_1", 0, PART),
    RunUpdated(1, RUN),
    RequiresAction(1, RUN, RequiredAction.from_dict(bodies.ACTION)),
    ErrorReceived(1, ERROR, "{}"),
    PROBLEM,
    UnknownEvent(1, "thread.created", "{}"),
    BodyEnded(9, "truncated", ("step_1",)),
]
ERRORS = [
    AccumulatorError("root"),
    DecodeError("no object"),
    MergeError("late", PROBLEM),
    LimitError("too large", limit="max_event_size", maximum=1),
    TruncatedError("cut"),
    RunError("failed", ERROR),
    ResponseError("refused", status=503, content_type="text/html", request_id="req_1", body="<p>"),
    CheckpointError("no checkpoint"),
    RecordingError("no recording", {"a.har": "a HAR file with 1 answer, none of them an event stream"}),
]


# ---- Complete.


def _defined(module: str) -> list[str]:
    """Return the public names that a module defines at its top."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    names: list[str] = []
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                names.append(name)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                names.append(name)
            case _:
                pass
    return [name for name in names if not name.startswith("_")]


def test_what_people_use_is_public() -> None:
    used = {
        "Accumulator",
        "AsyncRunStream",
        "Limits",
        "RunStream",
        "SSEParser",
        "ServerSentEvent",
        "aaccumulate",
        "accumulate",
        "aconnect",
        "connect",
    }
    assert used - set(accumulator.__all__) == set()


@pytest.mark.parametrize(
    "module", ["_errors", "_assistants/updates", "_assistants/run_steps", "_assistants/runs", "_assistants/messages"]
)
def test_what_is_handed_out_is_public(module: str) -> None:
    assert set(_defined(module)) - set(accumulator.__all__) == set()
    assert len(_defined(module)) > 5


def test_every_member_of_a_public_union_is_public() -> None:
    members = {member for name in ALIASES for member in get_args(getattr(accumulator, name))}
    classes = {member for member in members if isinstance(member, type)}
    assert {member.__name__ for member in classes if member not in CLASSES} == set()
    assert len(classes) > 20


def test_nothing_public_is_missing_in_all() -> None:
    there = {
        name
        for name, value in vars(accumulator).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and name not in {"annotations", "TYPE_CHECKING"}
    }
    assert there - set(accumulator.__all__) == set()


def test_all_is_sorted_and_without_doubles() -> None:
    # As ruff sorts it: classes and aliases before functions.
    assert sorted(set(accumulator.__all__), key=lambda name: (name[0].islower(), name)) == list(accumulator.__all__)


def test_star_import_gives_what_all_says() -> None:
    namespace: dict[str, object] = {}
    exec("from accumulator import *", namespace)  # noqa: S102 - the statement is allowed in a module's own scope only
    assert set(namespace) - {"__builtins__"} == set(accumulator.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'accumulator' has no attribute 'nothing'") as caught:
        _ = accumulator.nothing
    assert caught.value.name == "nothing"


# ---- Documented.


def _members(cls: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(cls).items():
        if not name.startswith("_"):
            yield f"{cls.__name__}.{name}", member


def _is_interface(member: object) -> bool:
    return isinstance(member, (FunctionType, property, classmethod, staticmethod, Field))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value in NAMES if name not in ALIASES])
def test_every_public_class_and_function_has_a_docstring_of_its_own(name: str, value: object) -> None:
    own = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    text = (own or "").strip()
    # A NamedTuple or a struct makes one up where there is none: its signature.
    assert text
    assert not text.startswith(f"{name}(")
    assert text.partition("\n")[0].endswith(".")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_public_method_and_field_has_a_docstring(cls: type) -> None:
    assert [name for name, member in _members(cls) if _is_interface(member) and not inspect.getdoc(member)] == []


def test_every_public_alias_has_its_text_below_it() -> None:
    documented: list[str] = []
    for path in PACKAGE.glob("**/*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, following in pairwise(body):
            match node, following:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str())):
                    documented.append(name)
                case _:
                    pass
    assert [name for name in ALIASES if name not in documented] == []
    assert "Update" in ALIASES


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: type(update).__name__)
def test_every_field_of_an_update_is_described(update: Update) -> None:
    fields = type(update).__struct_fields__
    described = [field for field in fields if f"\n    {field}: " in inspect.cleandoc(type(update).__doc__ or "")]
    assert list(fields) == described


# ---- Values that travel.


def test_there_is_a_sample_of_each_update_and_error() -> None:
    assert set(get_args(Update)) == {type(update) for update in UPDATES}
    classes = {cls for cls in CLASSES if issubclass(cls, AccumulatorError)}
    assert classes == {type(error) for error in ERRORS}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("update", UPDATES, ids=lambda update: type(update).__name__)
def test_an_update_pickles(update: Update, protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(update, protocol))  # noqa: S301 - its own
    assert (type(update), update) == (type(copy), copy)
    assert copy is not update


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: type(update).__name__)
def test_an_update_is_frozen(update: Update) -> None:
    before = repr(update)
    for field in type(update).__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(update, field, None)
    with pytest.raises(AttributeError):
        setattr(update, "another", None)  # noqa: B010 - what type checkers refuse anyway
    assert before == repr(update)


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: type(update).__name__)
def test_updates_are_compared_by_value(update: Update) -> None:
    assert replace(update) is not update
    assert replace(update) == update
    assert replace(update, event_number=99) != update


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_pickles_with_its_attributes_and_without_its_accumulator(
    error: AccumulatorError, protocol: int
) -> None:
    error.updates, error.accumulator = UPDATES, accumulator.Accumulator()
    copy = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - its own
    assert (type(error), str(error), error.args) == (type(copy), str(copy), copy.args)
    assert {**vars(error), "accumulator": None} == vars(copy)


VALUES = [
    ServerSentEvent("a", "b", "c", 1),
    Limits(max_event_size=5),
    RUN_STEP,
    CALL,
    FRAGMENT,
    MESSAGE,
    RUN,
    ERROR,
]


def test_the_other_values_pickle() -> None:
    assert VALUES == pickle.loads(pickle.dumps(VALUES))  # noqa: S301 - its own


def test_problems_pickle_as_a_tuple() -> None:
    run = accumulator.Accumulator()
    run.feed(b"event: thread.run.step.delta\ndata: {\n\n")
    copy = pickle.loads(pickle.dumps(run.problems))  # noqa: S301 - its own
    assert (tuple, ["undecodable"]) == (type(copy), [problem.kind for problem in copy])
    assert run.problems == copy


# ---- Modules move; what was pickled is still read.


def _private_modules(pickled: bytes) -> list[str]:
    """Return the private modules of the package that a pickle names."""
    texts = (argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str))
    return [text for text in texts if text.startswith("accumulator._")]


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_the_check_sees_a_private_module(protocol: int) -> None:
    for value in (parse_json, [RUN_STEP, parse_json]):
        (found,) = _private_modules(pickle.dumps(value, protocol))
        assert "accumulator._json" == found.split()[0]


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("value", [*UPDATES, *VALUES], ids=lambda value: type(value).__name__)
def test_the_pickle_of_a_value_names_no_private_module(value: object, protocol: int) -> None:
    pickled = pickle.dumps(value, protocol)
    assert [] == _private_modules(pickled)
    copy = pickle.loads(pickled)  # noqa: S301 - its own
    assert (type(value), value) == (type(copy), copy)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, Model)])
def test_the_pickle_of_a_model_names_no_private_module(cls: type[Model], protocol: int) -> None:
    model = cls.from_dict({"id": "a", "new": [1]})
    pickled = pickle.dumps(model, protocol)
    assert [] == _private_modules(pickled)
    copy = pickle.loads(pickled)  # noqa: S301 - its own
    assert (cls, model) == (type(copy), copy)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_pickle_of_an_error_names_no_private_module(error: AccumulatorError, protocol: int) -> None:
    run = accumulator.Accumulator()
    run.feed(b"event: thread.run.step.delta\ndata: {\n\n")
    error.updates, error.accumulator = run.problems, run
    pickled = pickle.dumps(error, protocol)
    assert [] == _private_modules(pickled)
    copy = pickle.loads(pickled)  # noqa: S301 - its own
    assert (type(error), {**vars(error), "accumulator": None}) == (type(copy), vars(copy))


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value in NAMES if name not in ALIASES])
def test_classes_and_functions_are_those_of_the_public_module(name: str, value: object, protocol: int) -> None:
    assert ("accumulator", name) == (value.__module__, cast("type", value).__qualname__)
    pickled = pickle.dumps(value, protocol)
    assert [] == _private_modules(pickled)
    assert value is pickle.loads(pickled)  # noqa: S301 - its own


CONNECT_ALONE = """
import pickle, pickletools, sys
import httpx
from accumulator import {name}

def answer(request):
    return httpx.Response(200, headers={{"content-type": "text/event-stream"}}, content=sys.stdin.buffer.read())

transport = httpx.MockTransport(answer)
def read():
    with httpx.Client(transport=transport) as client, connect(client, "POST", "http://host/") as stream:
        return [*stream, stream.accumulator]

async def aread():
    async with httpx.AsyncClient(transport=transport) as client:
        async with aconnect(client, "POST", "http://host/") as stream:
            return [*[update async for update in stream], stream.accumulator]

if {name!r} == "connect":
    found = read()
else:
    import asyncio
    found = asyncio.run(aread())
texts = [text for each in found for _, text, _ in pickletools.genops(pickle.dumps(each))]
print(len(found), sorted({{text for text in texts if isinstance(text, str) and text.startswith("accumulator")}}))
"""


@pytest.mark.parametrize("name", ["connect", "aconnect"])
def test_pickles_name_no_private_module_where_connect_alone_is_imported(name: str) -> None:
    code = CONNECT_ALONE.format(name=name)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, input=bodies.FIRST, capture_output=True, check=True)
    updates = len(list(accumulator.accumulate([bodies.FIRST])))
    assert f"{updates + 1} ['accumulator']\n" == done.stdout.decode()


def test_a_name_that_a_program_replaced_stays_replaced() -> None:
    code = "import accumulator; accumulator.Run; accumulator.tap = 1; accumulator.connect; print(accumulator.tap)"
    command = [sys.executable, "-c", code]
    assert b"1" == subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, check=True).stdout.strip()


@pytest.mark.parametrize("cls", CLASSES)
def test_the_public_module_has_what_fields_are_annotated_with(cls: type) -> None:
    declared = {name.partition(".")[2] for name, member in _members(cls) if isinstance(member, Field)}
    declared.update(getattr(cls, "__struct_fields__", ()))
    assert declared - set(get_type_hints(cls)) == set()


def test_a_new_error_carries_neither_updates_nor_an_accumulator() -> None:
    error = TruncatedError("cut")
    assert ("cut", (), None) == (str(error), error.updates, error.accumulator)
