"""Events with neither a name nor data: servers send them to show life, and they do no more than a comment does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from accumulator import Accumulator, BodyEnded, ServerSentEvent, SSEParser, accumulate
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND

EXPECTED = list(accumulate([FIRST]))
EMPTY = [
    b"data:\n\n",
    b"data: \n\n",
    b"data\r\r",
    b"id: 1\ndata:\n\n",
    b"event:\ndata:\n\n",
    b"event: message\r\ndata: \r\n\r\n",
    b"event: message\ndata: \n\n",
]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("size", [1, 10**6])
def test_an_empty_event_without_a_name_is_dropped(empty: bytes, size: int) -> None:
    body = empty.join([b"", *FIRST_EVENTS, DONE, b""])
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert EXPECTED == list(accumulate(chunks))
    run = Accumulator()
    assert EXPECTED == [update for chunk in chunks for update in run.feed(chunk)]
    assert list(accumulate([FIRST]).until_done().run_steps()) == accumulate(chunks).until_done().run_steps()


def test_an_empty_event_that_is_framed_is_dropped() -> None:
    run = Accumulator()
    assert ([], [], []) == (run.apply("message", ""), run.apply("", b""), run.apply("message", b""))
    events = [SimpleNamespace(event=None, data=""), SimpleNamespace(event="message", data=b"")]
    assert [BodyEnded(0, "truncated", ())] == list(accumulate(events))


def test_an_empty_event_begins_no_body() -> None:
    ends = [update for update in accumulate([FIRST, EMPTY[0] * 3, SECOND, EMPTY[0]]) if isinstance(update, BodyEnded)]
    assert ["requires_action", "completed"] == [end.outcome for end in ends]
    assert [BodyEnded(0, "truncated", ())] == list(accumulate([b"data:\n\n" * 100_000]))


def test_an_empty_event_that_lacks_its_blank_line_is_dropped() -> None:
    assert [BodyEnded(0, "truncated", ())] == list(accumulate([b"data:\n"]))


def test_an_empty_event_with_a_name_counts() -> None:
    assert [BodyEnded(1, "unknown", ())] == list(accumulate([b"event: done\ndata:\n\n"]))


def test_the_parser_returns_an_empty_event() -> None:
    assert [ServerSentEvent()] == SSEParser().feed(b"data:\n\n")
