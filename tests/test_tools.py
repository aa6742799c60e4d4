"""Arguments parsed while they stream, and the calls that a run waits for: run, answered and folded to the end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, assert_type, cast

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import accumulator
from accumulator import (
    Accumulator,
    DecodeError,
    Function,
    FunctionToolCall,
    McpToolCall,
    OtherToolCall,
    RequiredAction,
    RequiredMCPToolCall,
    RequiredToolCall,
    RequiresAction,
    ToolCallDelta,
    accumulate,
    aconnect,
    connect,
)
from accumulator._assistants.run_steps import wrap_tool_call
from accumulator._json import MAX_DEPTH, plain_json, same_json
from tests.conftest import ROOT
from tests.loopback import Loopback
from tests.tool_server import answers, function_run, submit_url, two_bodies

if TYPE_CHECKING:
    from pathlib import Path

    from accumulator import RunStep


# Surrogates alone and in pairs, and what escapes and numbers are made of.
PIECES = st.sampled_from(["\ud83d", "\ude00", "\ud83d\ude00", "😀", "\\", '"', "u", "\x00", "e400", "2.", "2e+"])
TEXT = st.lists(st.characters() | PIECES, max_size=5).map("".join)
# Without lone halves: two keys that are one when their halves are put together would be one key sent twice.
KEYS = TEXT.map(lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
TOO_DEEP = f"expected at most {MAX_DEPTH} arrays and objects within each other, got more"


def arguments(text: object) -> Function:
    return Function.from_dict({"name": "f", "arguments": text})


def partial(text: str) -> object:
    return arguments(text).parse_arguments(partial=True)


def mended(value: object) -> object:
    """Put pairs of surrogates together, and U+FFFD where one is alone."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [mended(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {cast("str", mended(key)): mended(item) for key, item in cast("dict[str, object]", value).items()}
    return value


def begins(part: object, whole: object) -> bool:
    """Tell whether a value may be what is read of the beginning of another's text."""
    match part, whole:
        case None, _:
            return True
        case str(), str():
            return whole.startswith(part)
        case list(), list():
            shorter, longer = cast("list[object]", part), cast("list[object]", whole)
            return len(shorter) <= len(longer) and _all_but_last_same(shorter, longer)
        case dict(), dict():
            left, right = cast("dict[str, object]", part), cast("dict[str, object]", whole)
            keys = list(right)[: len(left)]
            return list(left) == keys and _all_but_last_same(list(left.values()), [right[key] for key in keys])
        case bool(), _:
            return part is whole
        case _:
            return isinstance(part, (int, float)) and isinstance(whole, (int, float))


def _all_but_last_same(part: list[object], whole: list[object]) -> bool:
    *before, last = part or [None]
    return all(map(same_json, before, whole)) and (not part or begins(last, whole[len(before)]))


# ---- Arguments: whole.


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ('{"city":"Zürich","days":3}', {"city": "Zürich", "days": 3}),
        (" [1, 2.0, null, true]\n", [1, 2.0, None, True]),
        ('"\\ud83d"', "\ud83d"),
        ('{"a":1,"a":2}', {"a": 2}),
        ({"city": "Bern"}, {"city": "Bern"}),
        (["Bern"], ["Bern"]),
        (7, 7),
        (False, False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("may_be_cut", [False, True])
def test_whole_arguments_have_their_value(sent: object, value: object, may_be_cut: bool) -> None:  # noqa: FBT001
    parsed = arguments(sent).parse_arguments(partial=may_be_cut)
    assert json.dumps(value) == json.dumps(parsed)


def test_arguments_that_came_as_a_value_are_copied() -> None:
    function = arguments({"cities": ["Bern"]})
    cast("dict[str, list[str]]", function.parse_arguments())["cities"].append("Zug")
    cast("dict[str, list[str]]", function.parse_arguments(partial=True))["cities"].append("Zug")
    assert {"cities": ["Bern"]} == function.parse_arguments()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "expected JSON text: Expecting value (character 0 of 0)"),
        ("", "expected JSON text: Expecting value (character 0 of 0)"),
        ('{"city":"Zür', "expected JSON text: Unterminated string starting at (character 8 of 12)"),
        ("{} {}", "expected JSON text: Extra data (character 3 of 5)"),
        ('{"a":NaN}', "expected a finite number, got NaN or Infinity"),
        ('{"a":1e400}', "expected a number within the range of a double, got a larger one"),
        ("9" * 4301, "expected an integer of at most 4300 digits, got a longer one"),
        ("[" * 129 + "]" * 129, TOO_DEEP),
    ],
)
def test_arguments_that_are_no_json_are_a_decode_error(text: str | None, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        arguments(text).parse_arguments()
    assert f"arguments of Function: {reason}" == str(caught.value)


# ---- Arguments: still streaming.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        (" \n", None),
        ("{", {}),
        ('{"ci', {}),
        ('{"city"', {}),
        ('{"city":', {}),
        ('{"city":"', {"city": ""}),
        ('{"city":"Zür', {"city": "Zür"}),
        ('{"city":"Zürich",', {"city": "Zürich"}),
        ('{"days":1', {"days": 1}),
        ('{"days":12', {"days": 12}),
        ('{"days":1.', {"days": 1}),
        ('{"days":-', {}),
        ('{"days":1e', {"days": 1}),
        ('{"days":1E-', {"days": 1}),
        ('{"days":-1.5e+', {"days": -1.5}),
        ('{"days":"1.', {"days": "1."}),
        ('{"days":"\\"1e', {"days": '"1e'}),
        ('{"sunny":tr', {}),
        ("[null,nul", [None]),
        ("[[1,2],[3", [[1, 2], [3]]),
        ('{"a":[{"b":{"c":"d', {"a": [{"b": {"c": "d"}}]}),
        ('["', [""]),
        ('["a\\', ["a"]),
        ('["a\\u00', ["a"]),
        ('["a\\u00e9', ["aé"]),
        ('"a', "a"),
        ("-", None),
        ("-0", 0),
        ("1.", 1),
        ("1.5e", 1.5),
        ("2E+", 2),
        (" f", None),
        ("tru", None),
        ("nul", None),
        ("true", True),
        ('{"a":1,"a":2', {"a": 2}),
        ("[" * MAX_DEPTH, json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
        ('["' + "[" * 999, ["[" * 999]),
        ('["the100"', ["the100"]),
        ("[1e308", [1e308]),
        ("[1e-400", [0.0]),
        # What follows a value is not looked at.
        ('{"a":1}{"b":2}', {"a": 1}),
        ("[1 2", [1]),
    ],
)
def test_of_cut_arguments_what_came_is_read(text: str, value: object) -> None:
    assert json.dumps(value) == json.dumps(partial(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # Half a pair at the end: the other half may follow.
        ('["a\\ud83d', ["a"]),
        ('["a\\ud83d\\', ["a"]),
        ('["a\\ud83d\\ude', ["a"]),
        ('["a\\ud83d\\ude00', ["a😀"]),
        ('["a\ud83d', ["a"]),
        ('["a\ud83d\ude00', ["a😀"]),
        # One that stays alone.
        ('["a\\ud83d"', ["a\ufffd"]),
        ('["a\\ud83db', ["a\ufffdb"]),
        ('["a\\ud83d\\n', ["a\ufffd\n"]),
        ('["a\\ud83d\\ud83d\\ude00', ["a\ufffd😀"]),
        ('["a\\ude00', ["a\ufffd"]),
        ('["a\ude00', ["a\ufffd"]),
        ('["a\ud83db', ["a\ufffdb"]),
        ('{"\\ud83d":1', {"\ufffd": 1}),
        # No escape of a surrogate: the backslash itself is escaped.
        ('["\\\\ud83d', ["\\ud83d"]),
        ('["\\\\\\ud83dx', ["\\\ufffdx"]),
        # Whole: as `parse_arguments()` has it.
        ('["a\\ud83d"]', ["a\ud83d"]),
        ('["a\\ud83d"]\n', ["a\ud83d"]),
    ],
)
def test_a_surrogate_alone_in_cut_arguments_is_held_back_or_replaced(text: str, value: object) -> None:
    assert json.dumps(value) == json.dumps(partial(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "expected JSON text or the beginning of one: expected value at line 1 column 1"),
        ("01.", "expected JSON text or the beginning of one: invalid number at line 1 column 2"),
        ("{1.", "expected JSON text or the beginning of one: key must be a string at line 1 column 2"),
        ("{a", "expected JSON text or the beginning of one: key must be a string at line 1 column 2"),
        ('{"a":Na', "expected JSON text or the beginning of one: expected value at line 1 column 6"),
        ('["\\x', "expected JSON text or the beginning of one: invalid escape at line 1 column 4"),
        ('["\\\ud83dx', "expected JSON text or the beginning of one: invalid escape at line 1 column 4"),
        ('{"a":1e999', "expected a JSON value at $.a, got inf"),
        ("[-1e999", "expected a JSON value at $[0], got -inf"),
        ("[" + "9" * 400 + ".0", "expected a JSON value at $[0], got inf"),
        ("[" + "9" * 4301, "expected JSON text or the beginning of one: number out of range at line 1 column 4302"),
        ("[" * 129, TOO_DEEP),
        ("[" * 129 + "1e400", TOO_DEEP),
        ('{"a":' * 9999, "expected JSON text or the beginning of one: recursion limit exceeded at line 1 column 1006"),
    ],
)
def test_cut_arguments_that_are_wrong_already_are_a_decode_error(text: str, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        partial(text)
    assert f"arguments of Function: {reason}" == str(caught.value)


def test_no_arguments_at_all_are_nothing_yet() -> None:
    assert Function.from_dict({}).parse_arguments(partial=True) is None
    assert arguments(None).parse_arguments(partial=True) is None


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
@example(value={"a": ["\ud83d\ude00", "\ud83d", "\\ud83d", -1.5e300, 10**400]}, ascii_only=True, indent=None)
@example(value={"a": ["\ud83d\ude00", "\ud83d", "\\ud83d", -1.5e300, 10**400]}, ascii_only=False, indent=1)
def test_arguments_are_readable_wherever_they_are_cut(value: object, ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    whole = mended(value)
    cuts = [partial(text[:length]) for length in range(len(text) + 1)]
    assert [] == [(length, part) for length, part in enumerate(cuts[:-1]) if not begins(mended(part), whole)]
    # Nothing that was read goes away again.
    assert [] == [(part, more) for part, more in pairwise(map(mended, cuts)) if not begins(part, more)]
    assert same_json(arguments(text).parse_arguments(), cuts[-1])
    assert same_json(value, cuts[-1])


@given(st.text(st.sampled_from('{}[]",:\\u dD8cC0019.eE+-tfnaN\n\ud83d\ude00é'), max_size=30))
@example("{" * 100_000)
@example("[" + "[]," * 10_000)
@example('["' + "\\ud83d" * 10_000)
@example("-" + "1" * 10_000 + "e")
def test_whatever_the_arguments_are_there_is_a_value_or_a_decode_error(text: str) -> None:
    for may_be_cut in (False, True):
        try:
            value = arguments(text).parse_arguments(partial=may_be_cut)
        except DecodeError:
            continue
        assert same_json(value, plain_json(value))


def test_without_jiter_cut_arguments_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiter", None)
    for text in ('{"a":1', '{"a":1}', ""):
        with pytest.raises(ImportError) as caught:
            partial(text)
        expected = ("jiter", "partial JSON needs jiter: pip install 'delta-accumulator[partial]'")
        assert expected == (caught.value.name, str(caught.value))
    assert {"a": 1} == arguments('{"a":1}').parse_arguments()


def test_jiter_is_loaded_when_it_is_needed_and_not_before() -> None:
    code = """
import sys
from accumulator import Function
function = Function.from_dict({"arguments": "{}"})
function.parse_arguments()
print("jiter" in sys.modules)
function.parse_arguments(partial=True)
print("jiter" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\nTrue\n"


def test_arguments_grow_while_a_run_streams(shipped: Path) -> None:
    run, seen = Accumulator(), list[object]()
    with (shipped / "parallel_functions_1.sse").open("rb") as source:
        for update in accumulate(source, into=run):
            if isinstance(update, ToolCallDelta) and update.index == 1:
                call = run.tool_call(update.step_id, 1)
                assert isinstance(call, FunctionToolCall)
                assert call.function is not None
                seen.append(call.function.parse_arguments(partial=True))
    growth = [value for place, value in enumerate(seen) if place == 0 or value != seen[place - 1]]
    assert growth == [
        None,
        {},
        {"amount": 250},
        {"amount": 250.0, "from": ""},
        {"amount": 250.0, "from": "CHF"},
        {"amount": 250.0, "from": "CHF", "to": ""},
        {"amount": 250.0, "from": "CHF", "to": "JPY"},
    ]


# ---- Calls.


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ({"type": "mcp", "arguments": '{"a":1}', "server_label": "docs"}, {"a": 1}),
        ({"type": "azure_function", "azure_function": {"name": "f", "arguments": '{"a":2}', "output": None}}, {"a": 2}),
        ({"type": "openapi", "function": {"name": "f", "arguments": '{"a":3}', "output": ""}}, {"a": 3}),
        ({"type": "x", "note": {"b": 1}, "x": {"arguments": "[4]"}, "y": {"arguments": "[5]"}}, [4]),
        ({"type": "x", "x": {"arguments": "[4]"}, "arguments": "[6]"}, [6]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_tool_that_nobody_knows_has_its_arguments_where_it_keeps_them(call: dict[str, object], value: object) -> None:
    other = OtherToolCall.from_dict(call)
    assert (value, value) == (other.parse_arguments(), other.parse_arguments(partial=True))


def test_a_tool_without_arguments_has_nothing_to_parse() -> None:
    call = OtherToolCall.from_dict({"type": "bing_grounding", "bing_grounding": {"requesturl": ""}, "x": [1]})
    assert call.parse_arguments(partial=True) is None
    with pytest.raises(DecodeError) as caught:
        call.parse_arguments()
    expected = "arguments of OtherToolCall: expected JSON text: Expecting value (character 0 of 0)"
    assert expected == str(caught.value)


WRONG = {"name": "WRONG", "arguments": '{"wrong":1}', "output": "WRONG"}
"""An object that is no payload: `metadata`, `headers`, ..."""
RIGHT = {"name": "f", "arguments": '{"a":1}', "output": None}


@pytest.mark.parametrize(
    "call",
    [
        {"type": "function", "function": RIGHT},
        {"function": RIGHT},
        {"type": "code_interpreter", "code_interpreter": RIGHT},
        {"type": "openapi", "function": RIGHT},
        {"type": "openapi", "openapi": RIGHT},
        {"type": "azure_function", "azure_function": RIGHT},
        {"type": "mcp", **RIGHT},
        {"type": "dance", **RIGHT},
        {"type": "dance", "dance": RIGHT},
        {"type": "dance", "function": RIGHT},
        {"type": "dance", "dance": {"name": "f"}, "function": RIGHT},
        {"type": "dance", "name": "f", "dance": {"name": "g", "arguments": '{"a":1}'}},
    ],
    ids=str,
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_no_other_object_of_a_call_is_taken_for_its_payload(call: dict[str, object], *, first: bool) -> None:
    sent = {"metadata": WRONG, **call} if first else {**call, "metadata": WRONG}
    action = RequiredAction.from_dict({"submit_tool_outputs": {"tool_calls": [sent]}})
    for each in (wrap_tool_call(sent), action.tool_calls[0]):
        assert ("f", {"a": 1}) == (each.name, each.parse_arguments())
        assert each.output is None


def test_the_only_object_of_a_call_without_a_class_is_its_payload() -> None:
    assert "f" == OtherToolCall.from_dict({"type": "dance", "steps": RIGHT}).name
    assert "dance" == OtherToolCall.from_dict({"type": "dance", "steps": RIGHT, "metadata": WRONG}).name
    assert "mcp" == McpToolCall.from_dict({"type": "mcp", "metadata": WRONG}).name
    assert OtherToolCall.from_dict({"type": "dance", "name": "f", "steps": WRONG}).output is None


def test_the_calls_that_a_run_waits_for_are_typed() -> None:
    function: dict[str, object] = {"name": "f", "arguments": '{"a":1}'}
    answer: dict[str, object] = {"id": "call_1", "type": "function", "function": function}
    approve: dict[str, object] = {
        "id": "call_2",
        "type": "mcp",
        "arguments": '{"b":2}',
        "name": "search",
        "server_label": "docs",
        "note": 1,
    }
    unknown: dict[str, object] = {"id": "call_3", "type": "dance", "dance": {"arguments": '{"c":3}'}}
    action = RequiredAction.from_dict(
        {
            "type": "submit_tool_outputs",
            "submit_tool_outputs": {"tool_calls": [answer, unknown]},
            "submit_tool_approval": {"tool_calls": [approve]},
        }
    )
    calls = assert_type(action.tool_calls, tuple[RequiredToolCall, ...])
    assert calls == (
        FunctionToolCall.from_dict(answer),
        OtherToolCall.from_dict(unknown),
        RequiredMCPToolCall.from_dict(approve),
    )
    assert action.submit_tool_outputs is not None
    assert action.submit_tool_approval is not None
    assert calls == (*action.submit_tool_outputs.tool_calls, *action.submit_tool_approval.tool_calls)
    assert [{"a": 1}, {"c": 3}, {"b": 2}] == [parsed(call) for call in calls]
    to_approve = calls[2]
    assert isinstance(to_approve, RequiredMCPToolCall)
    named = (to_approve.id, to_approve.type, to_approve.name, to_approve.server_label, to_approve.arguments)
    assert ("call_2", "mcp", "search", "docs", '{"b":2}') == named
    assert ({"note": 1}, approve) == (to_approve.extra, to_approve.to_dict())


def parsed(call: RequiredToolCall) -> object:
    if isinstance(call, FunctionToolCall):
        return call.function and assert_type(call.function.parse_arguments(), object)
    return assert_type(call.parse_arguments(), object)


# ---- The loop.


BEGIN = {"assistant_id": "asst_1", "stream": True}


def whole_run(shipped: Path) -> list[RunStep]:
    """Return what both bodies fold to."""
    bodies = [(shipped / f"parallel_functions_{number}.sse").read_bytes() for number in (1, 2)]
    return accumulate(bodies).final_run_steps()


def test_functions_are_run_and_their_outputs_submitted(shipped: Path) -> None:
    run = Accumulator()
    with Loopback(function_run(shipped)) as server, httpx.Client() as client:
        with connect(client, "POST", server.url, json=BEGIN, into=run) as stream:
            stream.until_done()
        while run.outcome == "requires_action":
            answer = answers(run.required_action)
            with connect(client, "POST", submit_url(server.url, run), json=answer, into=run) as stream:
                stream.until_done()
    assert ("completed", (), 2) == (run.outcome, run.problems, len(server.exchanges))
    assert whole_run(shipped) == run.run_steps()


def test_functions_are_run_in_the_loop_over_the_first_body(shipped: Path) -> None:
    run, seen = Accumulator(), list[str]()
    with (
        Loopback(function_run(shipped)) as server,
        httpx.Client() as client,
        connect(client, "POST", server.url, json=BEGIN, into=run) as first,
    ):
        for update in first:
            seen.append(type(update).__name__)
            if isinstance(update, RequiresAction):
                answer = answers(update.required_action)
                with connect(client, "POST", submit_url(server.url, run), json=answer, into=run) as second:
                    assert whole_run(shipped) == second.final_run_steps()
    assert ["RequiresAction", "BodyEnded"] == seen[-2:]
    assert ("completed", ()) == (run.outcome, run.problems)
    assert whole_run(shipped) == run.run_steps()


def test_functions_are_run_and_their_outputs_submitted_async(shipped: Path) -> None:
    async def main(url: str) -> Accumulator:
        run = Accumulator()
        async with httpx.AsyncClient() as client:
            async with aconnect(client, "POST", url, json=BEGIN, into=run) as stream:
                await stream.until_done()
            while run.outcome == "requires_action":
                answer = answers(run.required_action)
                async with aconnect(client, "POST", submit_url(url, run), json=answer, into=run) as stream:
                    await stream.until_done()
        return run

    with Loopback(function_run(shipped)) as server:
        run = asyncio.run(main(server.url))
    assert ("completed", ()) == (run.outcome, run.problems)
    assert whole_run(shipped) == run.run_steps()


SECOND_PROCESS = """
import sys
import httpx
from accumulator import Accumulator, connect
from tests.tool_server import answers, submit_url

run = Accumulator.from_bytes(sys.stdin.buffer.read())
with (
    httpx.Client() as client,
    connect(client, "POST", submit_url(sys.argv[1], run), json=answers(run.required_action), into=run) as stream,
):
    stream.until_done()
sys.stdout.buffer.write(run.to_bytes())
"""


def test_functions_are_run_in_another_process(shipped: Path) -> None:
    with Loopback(function_run(shipped)) as server:
        with httpx.Client() as client, connect(client, "POST", server.url, json=BEGIN) as stream:
            first = stream.until_done()
        assert first.outcome == "requires_action"
        command = [sys.executable, "-c", SECOND_PROCESS, server.url]
        result = subprocess.run(command, input=first.to_bytes(), cwd=ROOT, stdout=subprocess.PIPE, check=True)
    run = Accumulator.from_bytes(result.stdout)
    assert ("completed", ()) == (run.outcome, run.problems)
    assert whole_run(shipped) == run.run_steps()
    assert [step.status for step in first.run_steps()] == ["in_progress"]


def test_the_calls_of_an_mcp_server_are_approved(recordings: Path) -> None:
    first = (recordings / "azure-assets_mcp_streaming_1.sse").read_bytes()
    second = (recordings / "azure-assets_mcp_streaming_2_NOMSGDELTAS.sse").read_bytes()
    approved = {"tool_call_id": "call_7xWS61tAxJO9euluKVIX5aJH", "approve": True}
    run = Accumulator()
    with (
        Loopback(two_bodies(first, second, {"tool_approvals": [approved], "stream": True})) as server,
        httpx.Client() as client,
    ):
        with connect(client, "POST", server.url, json=BEGIN, into=run) as stream:
            stream.until_done()
        assert run.required_action is not None
        [call] = run.required_action.tool_calls
        assert isinstance(call, RequiredMCPToolCall)
        asked = (call.server_label, call.name, call.parse_arguments())
        assert ("github", "fetch_azure_rest_api_docs", {}) == asked
        answer = {"tool_approvals": [{"tool_call_id": call.id, "approve": True}], "stream": True}
        with connect(client, "POST", submit_url(server.url, run), json=answer, into=run) as stream:
            stream.until_done()
    assert ("completed", ()) == (run.outcome, run.problems)


def test_the_server_takes_no_other_outputs(shipped: Path) -> None:
    def submit_what_is_wrong() -> None:
        with Loopback(function_run(shipped)) as server, httpx.Client() as client:
            with connect(client, "POST", server.url, json=BEGIN) as stream:
                url = submit_url(server.url, stream.until_done())
            with pytest.raises(httpx.RemoteProtocolError):
                client.post(url, json={"tool_outputs": [{"tool_call_id": "call_1", "output": "{}"}], "stream": True})

    with pytest.raises(AssertionError):
        submit_what_is_wrong()


def test_the_classes_are_public() -> None:
    assert {"RequiredMCPToolCall", "RequiredToolCall"} <= set(accumulator.__all__)
