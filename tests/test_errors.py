"""What errors and problems show of what a server sent: nothing that a terminal or a log would act on."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

from accumulator import (
    Accumulator,
    AccumulatorError,
    CheckpointError,
    DecodeError,
    LimitError,
    Limits,
    MergeError,
    Problem,
    ResponseError,
    RunError,
    RunStep,
    TruncatedError,
    accumulate,
)
from accumulator._assistants.protocol import Assistants
from accumulator._engine.protocol import Event
from accumulator._errors import note_failure
from tests import unprintable
from tests.unprintable import hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accumulator import Update

# Lines and a lone surrogate too, which the command cannot have in these places.
HOSTILE = f"\n\r\ud83d{unprintable.HOSTILE}"
ESCAPED = f"\\u000a\\u000d\\ud83d{unprintable.ESCAPED}"
READABLE = "Zürich 日本 \U0001f3d4 \\"


class Response:
    """A response with a hostile head, as any HTTP library gives it."""

    status_code = 200

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers

    def iter_bytes(self) -> Iterator[bytes]:
        return iter([HOSTILE.encode("utf-8", "replace")])


class Failing:
    """A source that raises, and whose `close` raises."""

    def __iter__(self) -> Iterator[bytes]:
        raise OSError(HOSTILE + READABLE)

    def close(self) -> None:
        raise ClosingError


class ClosingError(Exception):
    def __repr__(self) -> str:
        return HOSTILE + READABLE


def in_json(name: str, payload: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(payload)}\n\n".encode()


def strict(stream: bytes) -> None:
    accumulate([stream], into=Accumulator(strict=True)).until_done()


def too_large() -> None:
    accumulate([b"data: 1234567890\n\n"], limits=Limits(max_event_size=10)).until_done()


WRONG_TYPE = in_json("thread.run.step.created", {"id": HOSTILE + READABLE, "step_details": {"tool_calls": 1}})
UNUSABLE_KEY = {HOSTILE + READABLE: [{"index": "x"}], "type": "tool_calls"}


FAILURES: dict[str, tuple[type[AccumulatorError], Callable[[], object]]] = {
    "strict": (MergeError, lambda: strict(WRONG_TYPE)),
    "source": (TruncatedError, lambda: accumulate(Failing()).until_done()),
    "error event": (RunError, lambda: accumulate([in_json("error", HOSTILE + READABLE)]).final_run_steps()),
    "type": (ResponseError, lambda: accumulate(Response({"content-type": HOSTILE + READABLE})).until_done()),
    "request id": (ResponseError, lambda: accumulate(Response({"x-request-id": HOSTILE + READABLE})).until_done()),
    "checkpoint": (CheckpointError, lambda: Accumulator.from_bytes(checkpoint(HOSTILE + READABLE))),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_text_of_an_error_is_printable(name: str) -> None:
    kind, fail = FAILURES[name]
    with pytest.raises(AccumulatorError) as caught:
        fail()
    assert kind is type(caught.value)
    shown = [str(caught.value), *traceback.format_exception_only(caught.value), str(pickle.loads(dumped(caught.value)))]  # noqa: S301 - its own
    assert [] == [text for text in shown if hostile(text.removesuffix("\n"))]
    assert ESCAPED[:60] in str(caught.value)
    assert [] == hostile(repr(caught.value))


def dumped(error: AccumulatorError) -> bytes:
    error.__cause__ = None
    return pickle.dumps(error)


def checkpoint(version: str) -> bytes:
    return json.dumps({"format": "delta-accumulator checkpoint", "version": version}).encode()


@pytest.mark.parametrize(
    "error",
    [
        AccumulatorError(HOSTILE + READABLE),
        DecodeError(HOSTILE + READABLE),
        LimitError(HOSTILE + READABLE, limit="max_event_size", maximum=1),
    ],
)
def test_every_error_shows_its_message_escaped(error: AccumulatorError) -> None:
    assert [ESCAPED + READABLE] * 2 == [str(error), str(copy.copy(error))]
    assert (HOSTILE + READABLE,) == error.args


def test_what_was_sent_is_in_the_attributes_unchanged() -> None:
    with pytest.raises(RunError) as caught:
        accumulate([in_json("error", {"message": HOSTILE, "code": HOSTILE})]).final_run_steps()
    error = caught.value.error
    assert error is not None
    assert (HOSTILE, HOSTILE) == (error.message, error.code)
    with pytest.raises(ResponseError) as refused:
        accumulate(Response({"content-type": HOSTILE, "x-request-id": HOSTILE})).until_done()
    assert (HOSTILE, HOSTILE) == (refused.value.content_type, refused.value.request_id)


def test_a_failure_whose_repr_fails_is_noted_all_the_same() -> None:
    class Silent(Exception):  # noqa: N818 - of another library
        def __repr__(self) -> str:
            raise ValueError

    error = TruncatedError("cut")
    note_failure(error, "closing the source failed too", Silent())
    assert ["closing the source failed too: Silent, whose repr raised ValueError"] == error.__notes__


def test_a_note_is_printable() -> None:
    with pytest.raises(TruncatedError) as caught, accumulate(Failing()) as stream:
        stream.until_done()
    assert [f"closing the source failed too: {ESCAPED}{READABLE}"] == caught.value.__notes__


def test_a_note_on_an_error_of_the_caller_is_printable() -> None:
    def use() -> None:
        with accumulate(Failing()):
            raise KeyError

    with pytest.raises(KeyError) as caught:
        use()
    assert [f"closing the source failed too: {ESCAPED}{READABLE}"] == caught.value.__notes__


def test_a_note_about_a_handler_is_printable() -> None:
    def fail(_: object) -> None:
        raise ClosingError

    stream = accumulate([b"data: 1\n\n"], handler=fail)
    with pytest.raises(ClosingError) as caught:
        stream.until_done()
    assert [f"the handler failed at the end of the body too: {ESCAPED}{READABLE}"] == caught.value.__notes__


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "step_1", "step_details": UNUSABLE_KEY},
        {"id": "step_1", "step_details": {"tool_calls": [{"index": 0, "function": {HOSTILE: {"x": 1}}}]}},
    ],
)
def test_path_and_message_of_a_problem_are_printable(payload: dict[str, object]) -> None:
    other: dict[str, object] = {
        "id": "step_1",
        "step_details": {
            HOSTILE + READABLE: "x",
            "tool_calls": [{"index": 0, "type": "a", "function": {HOSTILE: "x"}}],
        },
    }
    stream = in_json("thread.run.step.created", payload) + in_json("thread.run.step.completed", other)
    problems = [update for update in accumulate([stream]) if isinstance(update, Problem)]
    assert [] != problems
    assert [] == hostile("".join(problem.path + problem.message for problem in problems))
    assert [] == hostile(repr(problems))
    assert "\\u202e" in "".join(problem.path + problem.message for problem in problems)


class Echo(Assistants):
    """A protocol whose messages quote what was sent."""

    def decode(self, name: str, data: bytes | str, *, torn: bool, openers: int) -> Event[Update]:  # noqa: ARG002 - the engine gives it
        return Event("undecodable", name, message=f"{name}{torn}{len(data)}")


class Echoing(Accumulator):
    _protocol = Echo()


def test_the_message_of_a_problem_is_printable_whatever_a_protocol_says() -> None:
    (problem,) = Echoing().apply(HOSTILE + READABLE, "x")
    assert Problem(1, "undecodable", "$", "x", f"{ESCAPED}{READABLE}False1", None) == problem


def test_the_keys_of_a_path_can_be_read_back() -> None:
    key = HOSTILE.replace("\ud83d", "")
    payload = {"id": "step_1", "step_details": {"type": "tool_calls", "tool_calls": [{"index": 0, key: [1]}]}}
    ending = {"id": "step_1", "step_details": {"type": "tool_calls", "tool_calls": [{key: [2]}]}}
    stream = in_json("thread.run.step.created", payload) + in_json("thread.run.step.completed", ending)
    (problem,) = (update for update in accumulate([stream]) if isinstance(update, Problem))
    start = "$.step_details.tool_calls[0]"
    assert (start, [key]) == (problem.path[: len(start)], json.loads(problem.path[len(start) :]))


def test_an_id_forges_no_line_of_a_log() -> None:
    stream = in_json("thread.run.step.created", {"id": "step_1\nERROR disk full", "step_details": {"tool_calls": 1}})
    with pytest.raises(MergeError) as caught:
        strict(stream)
    assert "step_1\\u000aERROR disk full" in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


def test_the_text_of_a_limit_and_of_a_failed_decoding_is_printable() -> None:
    with pytest.raises(LimitError, match=r"^event 1: expected events of at most 10 bytes"):
        too_large()
    with pytest.raises(DecodeError) as caught:
        RunStep.from_json(HOSTILE.encode("utf-8", "replace"))
    assert [] == hostile(str(caught.value))
