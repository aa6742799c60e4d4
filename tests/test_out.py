"""Out of the library: updates as JSON and back, in pydantic and FastAPI, and shown by rich, IPython and Jupyter."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import httpx
import pytest
from fastapi import Body, FastAPI
from hypothesis import given
from IPython.lib import pretty as ipython
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console

import accumulator
from accumulator import (
    Accumulator,
    AccumulatorError,
    BodyEnded,
    DecodeError,
    FunctionToolCall,
    Message,
    OtherToolCall,
    Problem,
    RunStep,
    RunStepDone,
    ToolCall,
    ToolCallDelta,
    UnknownEvent,
    Update,
    aaccumulate,
    accumulate,
    update_from_dict,
)
from accumulator._display import DEEPEST, LONGEST, MOST, brief, to_html
from accumulator._json import same_json
from tests import wire
from tests.conftest import ROOT
from tests.strategies import Run, hostile_streams, runs
from tests.test_public import UPDATES
from tests.unprintable import HOSTILE, hostile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

IPYTHON = cast("Any", ipython)  # untyped
NASTY = (
    f"[bold red]x[/] \x1b[31m\x1b]8;;https://host/\x1b\\link\x1b]8;;\x1b\\ <script>alert(1)</script> & \" ' {HOSTILE}"
)


# ---- Updates as JSON.


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: type(update).__name__)
def test_an_update_comes_back_from_a_dict_and_from_json(update: Update) -> None:
    plain = update.to_dict()
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(update).__name__).lower()
    assert ["type", *update.__struct_fields__] == list(plain)
    assert kind == plain["type"]
    assert json.dumps(plain, separators=(",", ":"), ensure_ascii=False) == update.to_json()
    for back in (
        update_from_dict(plain),
        update_from_dict(json.loads(update.to_json())),
        type(update).from_dict(plain),
    ):
        assert (type(update), update) == (type(back), back)
    assert plain == dict(update) == update_from_dict(plain).to_dict()


def test_types_of_updates_are_in_snake_case_and_all_different() -> None:
    kinds = [update.to_dict()["type"] for update in UPDATES]
    assert {"run_step_done", "tool_call_delta", "requires_action", "body_ended"} < set(kinds)
    assert len(get_args(Update)) == len(set(kinds))


def updates_of(data: bytes) -> list[Update]:
    """Return the updates of a stream, whatever is wrong in it."""
    updates: list[Update] = []
    run = Accumulator()
    for act in (lambda: run.feed(data), *(lambda: run.feed(b"") for _ in range(9)), run.end):
        try:
            updates += act()
        except AccumulatorError as error:
            updates += error.updates
    return updates


def check_round_trips(updates: Sequence[Update]) -> None:
    for update in updates:
        plain = update.to_dict()
        back = update_from_dict(plain)
        assert (type(update), update) == (type(back), back)
        assert [type(getattr(update, name)) for name in update.__struct_fields__ if name != "open"] == [
            type(getattr(back, name)) for name in update.__struct_fields__ if name != "open"
        ]
        read: object = json.loads(update.to_json())
        assert same_json(plain, read)
        assert same_json(plain, update_from_dict(cast("dict[str, object]", read)).to_dict())


@given(hostile_streams | runs)
def test_every_update_of_a_stream_comes_back_however_hostile_it_is(run: Run) -> None:
    check_round_trips(updates_of(run.data))


@pytest.mark.parametrize("nested", ["[" * 127 + "]" * 127, '{"a":' * 126 + "[]" + "}" * 126])
def test_an_update_with_the_deepest_json_comes_back(nested: str) -> None:
    updates = updates_of(b'event: thread.run.created\ndata: {"id":"run_1","x":%s}\n\n' % nested.encode())
    assert ["RunUpdated", "BodyEnded"] == [type(update).__name__ for update in updates]
    check_round_trips(updates)


@pytest.mark.parametrize("ident", [7, [1], {"a": [1]}, True])
def test_an_id_that_is_no_text_comes_back_as_sent(ident: object) -> None:
    calls = [{"index": 0, "id": ident, "type": "function"}]
    delta = {"id": "step_1", "delta": {"step_details": {"type": "tool_calls", "tool_calls": calls}}}
    updates = updates_of(wire.event("thread.run.step.delta", delta))
    assert [ident] == [update.to_dict()["tool_call_id"] for update in updates if isinstance(update, ToolCallDelta)]
    check_round_trips(updates)


def test_a_dict_shares_nothing_with_its_update() -> None:
    update = RunStepDone(1, "step_1", RunStep.from_dict({"id": "step_1", "x": [1]}))
    plain = update.to_dict()
    cast("dict[str, list[int]]", plain["run_step"])["x"].append(2)
    assert {"id": "step_1", "x": [1]} == update.run_step.to_dict()
    taken: dict[str, object] = {"type": "run_step_done", "event_number": 1, "step_id": "s", "run_step": {"x": [1]}}
    back = RunStepDone.from_dict(taken)
    cast("dict[str, list[int]]", taken["run_step"])["x"].append(2)
    assert {"x": [1]} == back.run_step.to_dict()


DONE: dict[str, object] = {
    "type": "run_step_done",
    "event_number": 1,
    "step_id": "step_1",
    "run_step": {"id": "step_1"},
}
ENDED: dict[str, object] = {"type": "body_ended", "event_number": 1, "outcome": "unknown", "open": []}
DELTA: dict[str, object] = {
    "type": "tool_call_delta",
    "event_number": 1,
    "step_id": "s",
    "index": 0,
    "tool_call_id": None,
    "delta": {},
}
FAULT: dict[str, object] = {
    "type": "problem",
    "event_number": 1,
    "kind": "late",
    "path": "$",
    "raw": "",
    "message": "",
    "step_id": None,
    "message_id": None,
}


REFUSED: list[tuple[object, str]] = [
    ([], "expected a mapping for an update, got list"),
    ({}, 'expected the type of an update, such as "run_step_done", got another'),
    ({"type": "run_step_gone"}, 'expected the type of an update, such as "run_step_done", got another'),
    ({"type": ["run_step_done"]}, 'expected the type of an update, such as "run_step_done", got another'),
    ({"type": "run_step_done"}, "expected RunStepDone to have the key 'event_number', it has not"),
    (DONE | {"event_number": -1}, "RunStepDone.event_number: expected a whole number of 0 or more, got a number"),
    (
        DONE | {"event_number": True},
        "RunStepDone.event_number: expected a whole number of 0 or more, got a boolean",
    ),
    (DONE | {"step_id": None}, "RunStepDone.step_id: expected a text, got null"),
    (DONE | {"run_step": "x"}, "RunStepDone.run_step: expected an object, got a text"),
    (DONE | {"run_step": {"a": {1}}}, "RunStepDone.run_step: expected a JSON value at $.a, got set"),
    (DELTA | {"index": 1.0}, "ToolCallDelta.index: expected a whole number of 0 or more, got a number"),
    (DELTA | {"tool_call_id": {1}}, "ToolCallDelta.tool_call_id: expected a JSON value at $, got set"),
    (DELTA | {"delta": []}, "ToolCallDelta.delta: expected an object, got a list"),
    (FAULT | {"kind": "new"}, "Problem.kind: expected a kind of problem, got another value"),
    (FAULT | {"kind": None}, "Problem.kind: expected a kind of problem, got another value"),
    (ENDED | {"open": "step_1"}, "BodyEnded.open: expected a list, got a text"),
    (ENDED | {"open": [1]}, "BodyEnded.open: expected a text, got a number"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_no_update_is_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        update_from_dict(value)
    assert message == str(caught.value)


def test_one_class_refuses_what_is_another() -> None:
    with pytest.raises(DecodeError, match=r'^expected the type "body_ended" for BodyEnded, got another$'):
        BodyEnded.from_dict(DONE)
    with pytest.raises(DecodeError, match=r"^expected a mapping for BodyEnded, got list$"):
        BodyEnded.from_dict(cast("Mapping[str, object]", []))


def test_keys_that_an_update_does_not_have_are_ignored() -> None:
    assert BodyEnded(1, "unknown", ()) == update_from_dict(ENDED | {"new": 1})
    assert Problem(1, "late", "$", "", "", None) == update_from_dict(FAULT)


def test_an_update_and_a_model_are_their_dict() -> None:
    step = RunStep.from_dict({"id": "step_1", "usage": {"a": [1]}, "new": None})
    assert step.to_dict() == dict(step)
    cast("dict[str, list[int]]", step["usage"])["a"].append(2)
    assert {"a": [1]} == step["usage"]
    assert ENDED == dict(update_from_dict(ENDED))


# ---- pydantic and FastAPI.


class Report(BaseModel):
    step: RunStep
    call: ToolCall | None = None
    updates: list[Update] = []


def test_a_pydantic_model_holds_a_step() -> None:
    step = RunStep.from_dict({"id": "step_1", "created_at": 1.0, "new": [1]})
    report = Report(step=step)
    assert step is report.step
    assert {"step": step.to_dict(), "call": None, "updates": []} == report.model_dump()
    for read in (Report.model_validate_json(report.model_dump_json()), Report.model_validate(report.model_dump())):
        assert (RunStep, step) == (type(read.step), read.step)


def test_a_pydantic_model_tells_calls_and_updates_apart() -> None:
    function = {"id": "call_1", "type": "function", "function": {"name": "f"}}
    read = Report.model_validate({"step": {}, "call": function, "updates": [DONE, ENDED, DELTA, FAULT]})
    assert FunctionToolCall.from_dict(function) == read.call
    assert [update_from_dict(each) for each in (DONE, ENDED, DELTA, FAULT)] == read.updates
    other = Report.model_validate({"step": {}, "call": {"type": "zapier"}})
    assert OtherToolCall.from_dict({"type": "zapier"}) == other.call
    assert read == Report.model_validate_json(read.model_dump_json())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"step": 1}, "expected a mapping for RunStep, got int"),
        ({"step": {}, "updates": [{"type": "new"}]}, 'expected the type "body_ended" for BodyEnded, got another'),
        ({"step": {}, "call": "x"}, "expected a mapping for FunctionToolCall, got str"),
        ({"step": {}, "call": {"type": 1, "a": {2}}}, "expected the type 'function' for FunctionToolCall, got another"),
    ],
    ids=repr,
)
def test_pydantic_says_what_is_wrong(value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Report.model_validate(value)
    assert f"Value error, {message}" in {error["msg"] for error in caught.value.errors()}


def test_the_json_schema_is_that_of_an_object() -> None:
    expected = {
        "type": "object",
        "title": "RunStep",
        "description": "A step of a run: it creates a message or calls tools.",
    }
    for mode in ("validation", "serialization"):
        assert expected == TypeAdapter(RunStep).json_schema(mode=mode)
    assert "object" == TypeAdapter(BodyEnded).json_schema()["type"]


def test_a_lone_surrogate_is_replaced_in_the_json_of_pydantic_only() -> None:
    step = RunStep.from_dict({"id": "a\ud83d", "\ude00": ["\ud83d\ude00", "b", {"c": "\udfff"}, 1]})
    adapter = TypeAdapter(RunStep)
    assert step.to_dict() == adapter.dump_python(step)
    assert {"id": "a\ufffd", "\ufffd": ["\ufffd\ufffd", "b", {"c": "\ufffd"}, 1]} == json.loads(adapter.dump_json(step))


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()

    async def fold() -> Accumulator:
        async def chunks() -> AsyncIterator[bytes]:
            yield (ROOT / "tests" / "recordings" / "code_interpreter.sse").read_bytes()

        return await aaccumulate(chunks()).until_done()

    @app.get("/steps")
    async def steps() -> list[RunStep]:
        return (await fold()).run_steps()

    @app.get("/message")
    async def message() -> Message:
        return (await fold()).messages()[0]

    @app.get("/update")
    async def update() -> Update:
        return BodyEnded(1, "completed", ("step_1",))

    # Without an annotation FastAPI calls `dict`.
    @app.get("/unannotated", response_model=None)
    async def unannotated() -> object:
        run = await fold()
        return {"step": run.run_steps()[0], "update": BodyEnded(1, "completed", ("step_1",))}

    @app.post("/read")
    async def read(step: Annotated[RunStep, Body()]) -> str:
        return step.id

    return app


def get(app: FastAPI, method: str, path: str, body: object = None) -> httpx.Response:
    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
            return await client.request(method, path, json=body)

    return asyncio.run(call())


def test_an_endpoint_returns_steps_messages_and_updates(app: FastAPI, shipped: Path) -> None:
    run = accumulate([(shipped / "code_interpreter.sse").read_bytes()]).until_done()
    steps = [step.to_dict() for step in run.run_steps()]
    ended = BodyEnded(1, "completed", ("step_1",)).to_dict()
    assert steps == get(app, "GET", "/steps").json()
    assert run.messages()[0].to_dict() == get(app, "GET", "/message").json()
    assert ended == get(app, "GET", "/update").json()
    assert {"step": steps[0], "update": ended} == get(app, "GET", "/unannotated").json()
    assert (200, steps[0]["id"]) == ((read := get(app, "POST", "/read", steps[0])).status_code, read.json())
    assert 422 == get(app, "POST", "/read", [1]).status_code
    assert "RunStep" in str(get(app, "GET", "/openapi.json").json())


def test_fastapi_replaces_a_lone_surrogate_where_an_endpoint_says_what_it_returns() -> None:
    app, sent = FastAPI(), Message.from_dict({"id": "a\ud83d"})

    @app.get("/annotated")
    async def annotated() -> Message:
        return sent

    @app.get("/unannotated", response_model=None)
    async def unannotated() -> object:
        return sent

    assert {"id": "a\ufffd"} == get(app, "GET", "/annotated").json()
    with pytest.raises(UnicodeEncodeError):
        get(app, "GET", "/unannotated")


def test_neither_pydantic_nor_rich_is_imported() -> None:
    code = """
import sys
from accumulator import RunStep, accumulate
before = {"accumulator._display", "accumulator._pydantic", "pydantic", "rich", "IPython"} & sys.modules.keys()
step = RunStep.from_dict({})
RunStep.__get_pydantic_core_schema__(RunStep, None), list(step.__rich_repr__()), step._repr_html_()
print(before, {"pydantic", "rich", "IPython"} & sys.modules.keys())
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "set() set()\n" == result.stdout


# ---- Shown.


def nasty_run() -> Accumulator:
    """Return a run whose every text is hostile."""
    call = {"id": NASTY, "type": NASTY, NASTY: {NASTY: [NASTY, {"a": NASTY}]}, "arguments": NASTY}
    code = {
        "type": "code_interpreter",
        "code_interpreter": {"input": NASTY, "outputs": [{"type": "logs", "logs": NASTY}]},
    }
    step = {
        "id": NASTY,
        "status": NASTY,
        "step_details": {"type": "tool_calls", "tool_calls": [call, code]},
        NASTY: NASTY,
    }
    message = {"id": NASTY, "content": [{"type": "text", "text": {"value": NASTY}}, {"type": NASTY}]}
    run = Accumulator()
    run.apply("thread.run.created", json.dumps({"id": NASTY, "status": "in_progress"}))
    run.apply("thread.run.step.completed", json.dumps(step))
    run.apply("thread.message.completed", json.dumps(message))
    run.apply("thread.run.step.delta", NASTY)
    return run


RUN = nasty_run()
VALUES: list[object] = [
    RUN,
    *RUN.run_steps(),
    *RUN.messages(),
    *RUN.problems,
    UnknownEvent(1, NASTY, NASTY),
    accumulate([b""], into=RUN),
]


def ipython_text(value: object, max_width: int = 79) -> str:
    return cast("str", IPYTHON.pretty(value, max_width=max_width))


def rich_text(value: object, *, color: bool = False, width: int = 200) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=color, color_system="truecolor" if color else None
    )
    console.print(value)
    return cast("io.StringIO", console.file).getvalue()


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("width", [40, 200])
def test_nothing_hostile_reaches_a_terminal_through_rich(value: object, width: int) -> None:
    shown = rich_text(value, width=width)
    assert [] == hostile(shown.replace("\n", ""))
    flat = re.sub(r"\s", "", shown)
    assert re.sub(r"\s", "", "[bold red]x[/]") in flat or type(value).__name__ in {"RunStream", "Problem"}
    # What rich itself writes are colours: no link, no other escape.
    colored = rich_text(value, color=True, width=width)
    assert [] == hostile(re.sub("\x1b\\[[0-9;]*m", "", colored).replace("\n", ""))
    assert "\x1b]8" not in colored


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_nothing_hostile_reaches_a_terminal_through_ipython_and_repr(value: object) -> None:
    assert [] == hostile(ipython_text(value).replace("\n", ""))
    assert [] == hostile(repr(value))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("value", VALUES[:-1], ids=lambda value: type(value).__name__)
def test_nothing_hostile_reaches_a_notebook(value: object) -> None:
    html = cast("accumulator.Model", value)._repr_html_()
    tags = Tags()
    tags.feed(html)
    assert set() == tags.tags - {"table", "caption", "tr", "th", "td", "pre", "code", "ol", "li"}
    styles = {("style", "text-align:left;vertical-align:top"), ("style", "white-space:pre-wrap")}
    assert (set(), []) == (set(tags.attributes) - styles, hostile(html.replace("\n", "")))
    assert type(value).__name__ in tags.text


def test_a_notebook_shows_every_text() -> None:
    tags = Tags()
    tags.feed(RUN.run_steps()[0]._repr_html_())
    assert "<script>alert(1)</script> & \" '" in tags.text
    assert "\\u001b[31m" in tags.text


def test_lines_and_tabs_of_a_text_are_kept_in_a_notebook() -> None:
    text = "a\r\n\tb <c>\r\N{FAMILY}\u200d\ud83d\ude00\ud83d"
    shown = "a\n\tb &lt;c&gt;\\u000d\N{FAMILY}\u200d\U0001f600\\ud83d"
    assert f'<pre style="white-space:pre-wrap">{shown}</pre>' == to_html(text)


STEP = RunStep.from_dict(
    {
        "id": "step_1",
        "cancelled_at": None,
        "step_details": {"type": "tool_calls", "tool_calls": [{"type": "function", "function": {"name": "f"}}, 7]},
        "usage": {"total_tokens": 3, "prompt_token_details": {"cached_tokens": 0, "none": None}},
        "new": [1.5, None],
    }
)


def test_a_step_is_shown_by_its_parts() -> None:
    expected = (
        "RunStep(id='step_1', step_details=ToolCallsStepDetails(type='tool_calls', tool_calls=["
        "FunctionToolCall(type='function', function=Function(name='f')), 7]), usage=Usage(total_tokens=3, "
        "prompt_token_details={'cached_tokens': 0, 'none': None}), extra={'new': [1.5, None]})"
    )
    assert expected == rich_text(STEP, width=1_000).strip()
    assert expected == ipython_text(STEP, max_width=1_000)
    assert [
        "RunStep(",
        "    id='step_1',",
        "    step_details=ToolCallsStepDetails(",
    ] == ipython_text(STEP, max_width=60).splitlines()[:3]


def test_a_step_is_a_table_in_a_notebook() -> None:
    usage = (
        "<table><caption>Usage</caption><tr><th>total_tokens</th><td><code>3</code></td></tr>"
        "<tr><th>prompt_token_details</th><td><table><tr><th>cached_tokens</th><td><code>0</code></td></tr></table></td></tr>"
        "</table>"
    )
    html = re.sub(' style="[^"]*"', "", STEP._repr_html_())
    assert html.startswith("<table><caption>RunStep</caption><tr><th>id</th><td><pre>step_1</pre></td></tr>")
    assert f"<tr><th>usage</th><td>{usage}</td></tr>" in html
    assert "<li><table><caption>FunctionToolCall</caption>" in html
    assert "cancelled_at" not in html


def test_long_texts_and_lists_and_deep_ones_are_cut() -> None:
    text = "a" * LONGEST + "b" * LONGEST
    assert "a" * (LONGEST // 2) + "..." + "b" * (LONGEST // 2) == brief(text)
    assert [*range(MOST), "... 5 more"] == brief(list(range(MOST + 5)))
    assert {**{str(n): n for n in range(MOST)}, "... 2 more": ""} == brief({str(n): n for n in range(MOST + 2)})
    deep: object = 1
    for _ in range(DEEPEST + 3):
        deep = [deep]
    assert "[" * DEEPEST + "['... 1 more']" + "]" * DEEPEST == str(brief(deep))
    shown = RunStep.from_dict({"id": text, "new": {"a": text}})
    for whole in (rich_text(shown), ipython_text(shown), shown._repr_html_(), repr(shown)):
        assert len(whole) < 3 * LONGEST


def test_a_value_within_itself_is_shown_once() -> None:
    out = io.StringIO()
    STEP._repr_pretty_(IPYTHON.PrettyPrinter(out), True)  # noqa: FBT003 - as IPython calls it
    assert "RunStep(...)" == out.getvalue()


def test_an_accumulator_says_run_outcome_and_counts(shipped: Path) -> None:
    assert "<Accumulator run=None outcome=None run_steps=0 messages=0 problems=0>" == repr(Accumulator())
    with (shipped / "code_interpreter.sse").open("rb") as source:
        stream = accumulate(source)
        assert repr(stream) == f"<RunStream of {Accumulator()!r}>"
        run = stream.until_done()
    told = "run='run_w9wk7Nj6S0nh0qMGXmtt9Mwb' outcome='completed' run_steps=2 messages=1 problems=0"
    assert (f"<Accumulator {told}>", f"<RunStream of <Accumulator {told}>>") == (repr(run), repr(stream))
    assert len(repr(RUN)) < 200
    assert "Accumulator(" in rich_text(run)
    assert ["outcome", "current_run", "run_steps", "messages", "problems"] == [name for name, _ in run.__rich_repr__()]


def test_an_async_stream_says_the_same() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b""

    assert f"<AsyncRunStream of {Accumulator()!r}>" == repr(aaccumulate(source()))
