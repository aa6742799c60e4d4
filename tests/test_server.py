"""The server that plays recordings, in process: what it answers, in which order, with which faults."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import httpx
import pytest

from accumulator import (
    Accumulator,
    LimitError,
    RecordedBody,
    Recorder,
    Recording,
    RecordingError,
    accumulate,
    open_recordings,
)
from accumulator._server.answers import CONTENT
from accumulator._server.app import LARGEST_REQUEST, MOST_DISCARDED
from accumulator._server.player import ROUTES, find_routes
from accumulator.server import Faults, replay_app
from tests import bodies, wire
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_FIRST, STEP_AFTER_SECOND
from tests.clock import Clock
from tests.command import recorded
from tests.conftest import real_recordings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, MutableMapping

    from starlette.applications import Starlette

RUNS = "/v1/threads/thread_1/runs"
RUN = f"{RUNS}/run_1"
STREAM = {"assistant_id": "asst_1", "stream": True}
OUTPUTS = {"tool_outputs": [{"tool_call_id": "call_1", "output": "9 °C"}], "stream": True}


class Answer(NamedTuple):
    """What came of a request."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.content))

    @property
    def error(self) -> tuple[int, str, str | None]:
        """The status, the message and the parameter of an error, which has the fields that the API's has."""
        error = self.json["error"]
        assert {"message", "type", "param", "code"} == set(error)
        return self.status, error["message"], error["param"]


def ask(app: Starlette, method: str, url: str, **request: Any) -> Answer:  # noqa: ANN401 - those of httpx
    async def exchange() -> Answer:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            response = await client.request(method, url, **request)
        return Answer(response.status_code, response.content, response.headers)

    return asyncio.run(exchange())


def get(app: Starlette, url: str) -> dict[str, Any]:
    answer = ask(app, "GET", url)
    assert 200 == answer.status, answer.content
    return answer.json


def raw(app: Starlette, method: str, path: str, request: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return what the app sends after one message of a client."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, object]:
        return dict(request)

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(dict(message))

    headers = [(b"content-type", b"application/json")]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    asyncio.run(app({**scope, "asgi": {"spec_version": "2.4"}}, receive, send))
    return messages


def post(app: Starlette, url: str, body: object = None) -> Answer:
    return ask(app, "POST", url, **({} if body is None else {"json": body}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run over two bodies."""
    return recorded(tmp_path, FIRST + SECOND)


@pytest.fixture
def app(path: Path) -> Starlette:
    return replay_app([path])


def serve(folder: Path, data: bytes, *, by_run: bool = False) -> Starlette:
    return replay_app([recorded(folder, data)], by_run=by_run)


# ---- Bodies, by order.


def test_bodies_are_played_in_their_order_whatever_the_ids_are(app: Starlette) -> None:
    first = post(app, "/v1/threads/any/runs", STREAM)
    assert (200, FIRST, "text/event-stream; charset=utf-8") == (*first[:2], first.headers["content-type"])
    second = post(app, "/openai/threads/other/runs/another/submit_tool_outputs?api-version=x", OUTPUTS)
    assert (200, SECOND) == second[:2]
    over = post(app, "/threads/runs", STREAM)
    message = "expected no more requests for a body: the recordings have 2 bodies, and all were played"
    assert (400, message, None) == over.error
    assert "recordings_exhausted" == over.json["error"]["code"]


def test_without_stream_the_run_is_answered_as_at_the_end_of_the_body(app: Starlette) -> None:
    assert bodies.run("requires_action", bodies.ACTION) == post(app, RUNS, {"assistant_id": "asst_1"}).json
    submit = f"{RUN}/submit_tool_outputs"
    assert bodies.run("completed") == post(app, submit, {**OUTPUTS, "stream": False}).json


def test_objects_are_those_at_the_end_of_the_body_that_began_last(app: Starlette) -> None:
    expected = [
        (bodies.run("completed"), STEP_AFTER_SECOND),  # nothing has begun: the run as a whole
        (bodies.run("requires_action", bodies.ACTION), STEP_AFTER_FIRST),
        (bodies.run("completed"), STEP_AFTER_SECOND),
    ]
    for number, (run, step) in enumerate(expected):
        if number:
            post(app, RUNS, STREAM)
        assert run == get(app, RUN)
        assert [run] == get(app, RUNS)["data"]
        assert [step] == get(app, f"{RUN}/steps")["data"]
        assert step == get(app, f"{RUN}/steps/step_1")


def test_assistant_and_thread_come_from_the_run(app: Starlette) -> None:
    created = 1_790_000_000
    thread: dict[str, object] = {
        "id": "thread_1",
        "object": "thread",
        "created_at": created,
        "metadata": {},
        "tool_resources": {},
    }
    assistant: dict[str, object] = {"id": "asst_1", "object": "assistant", "created_at": created, "metadata": {}}
    assistant |= {"name": None, "description": None, "instructions": None, "model": "", "tools": []}
    assistant |= {"temperature": None, "top_p": None, "response_format": None}
    for _ in range(3):
        assert thread == post(app, "/v1/threads", {}).json == get(app, "/v1/threads/thread_1")
        assert assistant == post(app, "/v1/assistants", {"model": "m"}).json == get(app, "/v1/assistants/asst_1")
        post(app, RUNS, STREAM)
    for kind in ("thread", "assistant"):
        deleted = {"id": "x", "object": f"{kind}.deleted", "deleted": True}
        assert deleted == ask(app, "DELETE", f"/v1/{kind}s/x").json


def test_a_thread_is_the_one_that_was_created(tmp_path: Path) -> None:
    thread = {"id": "thread_9", "object": "thread", "metadata": {"a": "b"}}
    begun = wire.event("thread.created", thread) + wire.event("thread.created", b"{") + wire.event("thread.created", [])
    app = serve(tmp_path, begun + wire.event("thread.run.created", {**bodies.run("queued"), "model": "gpt-4o"}))
    assert thread == get(app, "/threads/thread_1")
    assert "gpt-4o" == get(app, "/assistants/asst_1")["model"]


def test_a_recording_without_a_run_has_one_all_the_same(tmp_path: Path) -> None:
    app = serve(tmp_path, wire.completed())
    run = get(app, RUN)
    known = {"id": "run_1", "thread_id": "thread_1", "assistant_id": "asst_1", "created_at": wire.CREATED_AT}
    assert {**run, **known, "object": "thread.run", "status": "in_progress", "tools": [], "last_error": None} == run


def test_a_message_that_is_added_is_answered_and_not_kept(app: Starlette) -> None:
    url = "/v1/threads/thread_1/messages"
    text: dict[str, object] = {"type": "text", "text": {"value": "Grüezi", "annotations": []}}
    image = {"type": "image_file", "image_file": {"file_id": "file_1"}}
    message = post(app, url, {"role": "user", "content": "Grüezi", "metadata": {"a": "b"}}).json
    assert {
        "id": "msg_sent_1",
        "object": "thread.message",
        "created_at": 1_790_000_000,
        "thread_id": "thread_1",
        "run_id": None,
        "assistant_id": None,
        "role": "user",
        "content": [text],
        "attachments": [],
        "metadata": {"a": "b"},
    } == message
    parts = post(app, url, {"role": "user", "content": [{"type": "text", "text": "Grüezi"}, image, 7]}).json
    assert ("msg_sent_2", [text, image, 7]) == (parts["id"], parts["content"])
    empty: dict[str, object] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert empty == get(app, url)
    assert (400, "expected role to be a text, got null", "role") == post(app, url).error
    wrong = post(app, url, {"role": "user", "content": 1})
    assert (400, "expected content to be a text or a list, got a number", "content") == wrong.error


def test_messages_are_those_of_the_recording(shipped: Path) -> None:
    source = shipped / "code_interpreter.sse"
    app, folded = replay_app([source]), accumulate(source).until_done()
    messages = [message.to_dict() for message in folded.messages()]
    url = f"/v1/threads/{messages[0]['thread_id']}/messages"
    assert messages[::-1] == get(app, url)["data"] == get(app, f"{url}?run_id={messages[0]['run_id']}")["data"]
    assert [] == get(app, f"{url}?run_id=run_other")["data"]
    assert messages[0] == get(app, f"{url}/{messages[0]['id']}")
    unknown = ask(app, "GET", f"{url}/msg_x")
    assert (404, "no message found with id 'msg_x': the recording has none", "message_id") == unknown.error


def test_a_run_is_cancelled_unless_it_has_ended(app: Starlette) -> None:
    waiting, cancel = bodies.run("requires_action", bodies.ACTION), f"{RUN}/cancel"
    message = "expected a run that can be cancelled, got one with status "
    assert (400, f"{message}'completed'", None) == post(app, cancel).error
    post(app, RUNS, STREAM)
    assert {**waiting, "status": "cancelling"} == post(app, cancel).json
    assert {**waiting, "status": "cancelled", "required_action": None} == get(app, RUN) == get(app, RUNS)["data"][0]
    assert (400, f"{message}'cancelled'", None) == post(app, cancel).error
    post(app, RUNS, STREAM)
    assert bodies.run("completed") == get(app, RUN)


# ---- Bodies, by ids.


def renamed(data: bytes, number: int, assistant: int = 1) -> bytes:
    """Give a body other ids, but for that of the thread."""
    for name in (b"run_1", b"step_1", b"call_1"):
        data = data.replace(name, name[:-1] + b"%d" % number)
    return data.replace(b"asst_1", b"asst_%d" % assistant)


@pytest.fixture
def by_run(tmp_path: Path) -> Starlette:
    paths = [recorded(tmp_path, renamed(FIRST + SECOND, n, n), f"{n}.sse") for n in (1, 2)]
    return replay_app(paths, by_run=True)


def test_ids_choose_the_run_and_calls_the_body(by_run: Starlette) -> None:
    for number in (1, 2, 1):  # the runs of a thread take turns
        assert renamed(FIRST, number, number) == post(by_run, RUNS, STREAM).content
    for number in (2, 1, 1):
        outputs = {**OUTPUTS, "tool_outputs": [{"tool_call_id": f"call_{number}", "output": "x"}]}
        answer = post(by_run, f"{RUNS}/run_{number}/submit_tool_outputs", outputs)
        assert renamed(SECOND, number, number) == answer.content
    for number in (2, 1):
        answer = post(by_run, "/v1/threads/runs", {**STREAM, "assistant_id": f"asst_{number}"})
        assert renamed(FIRST, number, number) == answer.content


def test_each_run_has_its_own_state(by_run: Starlette) -> None:
    def statuses() -> list[object]:
        return [get(by_run, f"{RUNS}/run_{number}")["status"] for number in (1, 2)]

    assert ["completed", "completed"] == statuses()
    assert "asst_1" == get(by_run, "/v1/assistants/x")["id"]
    post(by_run, RUNS, STREAM)
    assert ["requires_action", "completed"] == statuses()
    assert "asst_2" == get(by_run, "/v1/assistants/x")["id"]
    post(by_run, RUNS, STREAM)
    assert ["requires_action", "requires_action"] == statuses()
    assert "asst_1" == get(by_run, "/v1/assistants/x")["id"]
    assert ["run_2", "run_1"] == [run["id"] for run in get(by_run, RUNS)["data"]]


NOT_SUBMITTED = "expected outputs of the tool calls that the run waits for, got those of "


@pytest.mark.parametrize(
    ("url", "body", "expected"),
    [
        ("/threads/nope/runs", STREAM, (404, "no thread found with id 'nope': the recordings have none", "thread_id")),
        ("/threads/runs", {}, (404, "no assistant found with id None: the recordings have none", "assistant_id")),
        (
            "/threads/runs",
            {"assistant_id": ["asst_1"]},
            (404, "no assistant found with id ['asst_1']: the recordings have none", "assistant_id"),
        ),
        (
            f"{RUNS}/run_9/submit_tool_outputs",
            OUTPUTS,
            (404, "no run found with id 'run_9': the recordings have none", "run_id"),
        ),
        (
            f"{RUN}/submit_tool_outputs",
            {"tool_outputs": [{"tool_call_id": "b"}, {"tool_call_id": "a"}, 1, {}], "tool_approvals": []},
            (400, f"{NOT_SUBMITTED}'a', 'b'", "tool_outputs"),
        ),
        (f"{RUN}/submit_tool_outputs", {}, (400, f"{NOT_SUBMITTED}none", "tool_outputs")),
    ],
)
def test_ids_that_no_recording_has_are_told(
    by_run: Starlette, url: str, body: object, expected: tuple[object, ...]
) -> None:
    assert expected == post(by_run, url, body).error


def test_a_run_without_the_body_that_goes_on_is_told(tmp_path: Path) -> None:
    app = serve(tmp_path, FIRST, by_run=True)
    message = "expected no more requests for a body: the recording of the run has 1 body, none behind these tool calls"
    assert (400, message, None) == post(app, f"{RUN}/submit_tool_outputs", OUTPUTS).error


def test_approvals_choose_a_body_too(tmp_path: Path) -> None:
    app = serve(tmp_path, FIRST + SECOND, by_run=True)
    approvals = {"tool_approvals": [{"tool_call_id": "call_1", "approve": True}], "stream": True}
    assert SECOND == post(app, f"{RUN}/submit_tool_outputs", approvals).content


# ---- Pages.


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    """A run of 105 steps, s1 to s105."""
    data = b"".join(wire.completed(f"s{number}") for number in range(1, 106)) + DONE
    return serve(tmp_path_factory.mktemp("long"), data)


def numbers(*values: int) -> list[str]:
    return [f"s{value}" for value in values]


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("", numbers(*range(105, 85, -1)), True),
        ("limit=100", numbers(*range(105, 5, -1)), True),
        ("limit=100&order=asc&after=s5", numbers(*range(6, 106)), False),
        ("limit=2&order=asc", ["s1", "s2"], True),
        ("limit=2&order=asc&after=s2", ["s3", "s4"], True),
        ("limit=2&order=desc&after=s3", ["s2", "s1"], False),
        ("limit=2&order=desc&after=s1", [], False),
        ("limit=2&order=asc&before=s5", ["s3", "s4"], True),
        ("limit=2&order=asc&before=s3", ["s1", "s2"], False),
        ("limit=2&order=asc&before=s1", [], False),
        ("limit=2&order=asc&after=s1&before=s9", ["s2", "s3"], True),
        ("limit=2&order=asc&after=s9&before=s1", [], False),
        ("limit=002&limit=1&other=x&api-version=v1", ["s105"], True),
    ],
)
def test_a_list_has_pages(long_run: Starlette, query: str, expected: list[str], *, more: bool) -> None:
    answer = get(long_run, f"{RUN}/steps?{query}")
    ends = (expected[0], expected[-1]) if expected else (None, None)
    ids = [step["id"] for step in answer.pop("data")]
    rest = {"object": "list", "first_id": ends[0], "last_id": ends[1], "has_more": more}
    assert (expected, rest) == (ids, answer)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [7, 20, 100])
def test_pages_make_up_the_list(long_run: Starlette, order: str, limit: int) -> None:
    seen: list[str] = []
    more, after = True, ""
    while more:
        answer = get(long_run, f"{RUN}/steps?limit={limit}&order={order}{after}")
        seen += [step["id"] for step in answer["data"]]
        more, after = answer["has_more"], f"&after={answer['last_id']}"
    assert numbers(*range(1, 106)) == seen[:: 1 if order == "asc" else -1]


LIMIT = "expected limit to be an integer from 1 to 100, got "


@pytest.mark.parametrize(
    ("query", "message", "param"),
    [
        ("limit=0", f"{LIMIT}'0'", "limit"),
        ("limit=101", f"{LIMIT}'101'", "limit"),
        ("limit=-1", f"{LIMIT}'-1'", "limit"),
        ("limit=ten", f"{LIMIT}'ten'", "limit"),
        ("limit=%C2%B2", f"{LIMIT}'²'", "limit"),
        ("limit=", f"{LIMIT}''", "limit"),
        (f"limit={'9' * 9000}", f"{LIMIT}'{'9' * 40}'", "limit"),
        ("order=up", "expected order to be 'asc' or 'desc', got 'up'", "order"),
        ("after=s999", "expected after to be an id of the list, got 's999'", "after"),
        ("before=", "expected before to be an id of the list, got ''", "before"),
        ("include[]=all", f"expected include[] to be {CONTENT!r}, got 'all'", "include[]"),
    ],
)
def test_wrong_parameters_are_told(long_run: Starlette, query: str, message: str, param: str) -> None:
    assert (400, message, param) == ask(long_run, "GET", f"{RUN}/steps?{query}").error


def test_search_results_have_their_content_only_if_it_is_included(tmp_path: Path) -> None:
    result = {"file_id": "file_1", "score": 0.5, "content": [{"type": "text", "text": "a"}]}
    stripped = {"file_id": "file_1", "score": 0.5}
    search = {"id": "c1", "type": "file_search", "file_search": {"results": [result, 7]}}
    function = wire.call("c2", "f", "{}")
    app = serve(tmp_path, wire.completed(calls=[function]) + wire.completed("step_2", [search, function]))
    for url in (f"{RUN}/steps", f"{RUN}/steps?include[]={CONTENT}", f"{RUN}/steps?include={CONTENT}"):
        calls = get(app, url)["data"][0]["step_details"]["tool_calls"]
        expected = result if "include" in url else stripped
        assert [{**search, "file_search": {"results": [expected, 7]}}, function] == calls
    assert [stripped, 7] == get(app, f"{RUN}/steps/step_2")["step_details"]["tool_calls"][0]["file_search"]["results"]


# ---- Times and faults.


class Sleeper(Clock):
    """A clock that goes on when something sleeps, and writes down how long."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(round(seconds, 6))


def test_a_body_is_played_in_its_time(tmp_path: Path) -> None:
    path, clock = tmp_path / "run.sse", Clock()
    with Recorder(path, clock=clock) as recorder:
        for _ in recorder.record([*FIRST_EVENTS, DONE]):
            clock.now += 2.0
    for speed, expected in ((None, []), (1.0, [2.0] * 6), (4.0, [0.5] * 6)):
        sleeper = Sleeper()
        app = replay_app([path], speed=speed, clock=sleeper, sleep=sleeper.sleep)
        assert (FIRST, expected) == (post(app, RUNS, STREAM).content, sleeper.slept)


def sent(source: Path, faults: Faults) -> tuple[list[bytes], bool, list[float]]:
    """Return what is sent of a body, whether the response has an end, and how long was slept."""
    sleeper = Sleeper()
    app = replay_app([source], faults=faults, sleep=sleeper.sleep)
    request = {"type": "http.request", "body": b'{"stream": true}'}
    _, *rest = raw(app, "POST", RUNS, request)
    pieces = [message["body"] for message in rest if message["body"]]
    return pieces, not rest[-1]["more_body"] if rest else False, sleeper.slept


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("number", range(9))
def test_a_body_is_cut_behind_events(tmp_path: Path, number: int, ending: bytes) -> None:
    events = [event.replace(b"\n", ending) for event in (*FIRST_EVENTS, DONE)]
    pieces, whole, _ = sent(recorded(tmp_path, b"".join(events)), Faults(cut_after=number))
    assert (b"".join(events[:number]), number >= 7) == (b"".join(pieces), whole)


def test_a_cut_does_not_depend_on_the_chunks(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    for size in (1, 7, 100):
        path.unlink(missing_ok=True)
        with Recorder(path) as recorder:
            list(recorder.record(FIRST[at : at + size] for at in range(0, len(FIRST), size)))
        pieces, whole, _ = sent(path, Faults(cut_after=3))
        assert (b"".join(FIRST_EVENTS[:3]), False) == (b"".join(pieces), whole)


ERROR = (
    b'event: error\ndata: {"error":{"message":"The server had an error, as it was told to.",'
    b'"type":"server_error","param":null,"code":null}}\n\n'
)


@pytest.mark.parametrize(
    ("faults", "events", "rest", "whole", "slept"),
    [
        (Faults(stall=3), 7, b"", True, [3.0]),
        (Faults(stall=3, cut_after=2), 2, b"", False, [3.0]),
        (Faults(stall=3, cut_after=7), 7, b"", True, []),
        (Faults(error_event=True), 1, ERROR, True, []),
        (Faults(error_event=True, cut_after=0), 0, ERROR, True, []),
        (Faults(error_event=True, cut_after=4, stall=1), 4, ERROR, True, [1.0]),
    ],
)
def test_a_body_has_a_fault_at_a_place(
    tmp_path: Path, faults: Faults, events: int, rest: bytes, slept: list[float], *, whole: bool
) -> None:
    pieces, ended, seconds = sent(recorded(tmp_path, FIRST), faults)
    expected = b"".join([*FIRST_EVENTS, DONE][:events]) + rest
    assert (expected, whole, slept) == (b"".join(pieces), ended, seconds)


def test_a_body_is_sent_in_chunks_of_a_size(tmp_path: Path) -> None:
    source = recorded(tmp_path, FIRST)
    assert [FIRST[at : at + 1] for at in range(len(FIRST))] == sent(source, Faults(chunk=1))[0]
    assert [FIRST] == sent(source, Faults())[0]
    # A recorded chunk may be large; what is sent at once is not.
    large = wire.created(note="x" * 200_000)
    with Recorder(tmp_path / "large.sse") as recorder:
        list(recorder.record([large]))
    pieces = [large[at : at + 65_536] for at in range(0, len(large), 65_536)]
    assert (4, pieces) == (len(pieces), sent(tmp_path / "large.sse", Faults(chunk=100_000))[0])


def test_requests_are_refused_so_many_times(path: Path) -> None:
    app = replay_app([path], faults=Faults(status=429, times=2))
    for url in (RUN, f"{RUN}/steps"):
        answer = ask(app, "GET", url)
        assert (429, "The request is refused, as the server was told to.", None) == answer.error
        assert "rate_limit_error" == answer.json["error"]["type"]
    assert FIRST == post(app, RUNS, STREAM).content
    once = replay_app([path], faults=Faults(status=503))
    assert [(503, "server_error")] == [(a.status, a.json["error"]["type"]) for a in [post(once, RUNS, STREAM)]]
    assert 200 == post(once, RUNS, STREAM).status


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"cut_after": -1}, "expected cut_after to be 0 or more, got -1"),
        ({"cut_after": 1.5}, "expected cut_after to be an integer, got float"),
        ({"times": 0}, "expected times to be 1 or more, got 0"),
        ({"chunk": True}, "expected chunk to be an integer, got bool"),
        ({"status": 200}, "expected status to be 400 or more, got 200"),
        ({"status": 600}, "expected status to be 400 to 599, got 600"),
        ({"stall": 0}, "expected stall to be more than 0 seconds and finite, got 0"),
    ],
)
def test_a_wrong_fault_is_told(fault: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Faults(**fault)
    assert error == str(caught.value)


# ---- Recordings.


@pytest.mark.parametrize(
    ("status", "kind", "request_id", "expected"),
    [
        (429, "text/plain", "req_1", (429, "text/plain", "req_1")),
        (200, "text/event-stream", None, (200, "text/event-stream", None)),
        # A recording may hold anything: no header comes of it.
        (99, "text/event-stream\r\nset-cookie: a", "req_1\n", (200, "text/event-stream; charset=utf-8", None)),
        ("200", 7, ["x"], (200, "text/event-stream; charset=utf-8", None)),
    ],
)
def test_status_and_type_are_those_that_were_recorded(
    tmp_path: Path, status: object, kind: object, request_id: object, expected: object
) -> None:
    (recording,) = open_recordings(recorded(tmp_path, FIRST))
    response = {"status": status, "type": kind, "request_id": request_id}
    body = RecordedBody(response, lambda _: recording.bodies[0].chunks())
    app = replay_app([Recording("a", None, [body])])
    answer = post(app, RUNS, {"stream": status != 429})
    assert (*cast("tuple[object, ...]", expected), FIRST) == (
        answer.status,
        answer.headers["content-type"],
        answer.headers.get("x-request-id"),
        answer.content,
    )


def test_recordings_and_paths_are_taken_in_their_order(tmp_path: Path, path: Path) -> None:
    other = recorded(tmp_path, renamed(FIRST, 2), "other.sse")
    (opened,) = open_recordings(other)
    app = replay_app([opened, str(path), path, opened])
    played = [post(app, RUNS, STREAM).content for _ in range(6)]
    assert [renamed(FIRST, 2), FIRST, SECOND, FIRST, SECOND, renamed(FIRST, 2)] == played


@pytest.mark.parametrize("one", ["run.sse", Path("run.sse")], ids=["str", "path"])
def test_one_recording_is_not_a_list(one: Any) -> None:  # noqa: ANN401 - of a type that is wrong
    with pytest.raises(TypeError, match=r"^expected a list of recordings, got one \w+: put it in a list$"):
        replay_app(one)


def test_what_cannot_be_served_is_told(tmp_path: Path, path: Path) -> None:
    for paths in ([], [tmp_path / "none"], [path, recorded(tmp_path, b"<html>", "a.html")]):
        with pytest.raises(RecordingError):
            replay_app(paths)
    huge = recorded(tmp_path, wire.created(calls=[0] * 100_001), "huge.sse")
    with pytest.raises(LimitError):
        replay_app([huge])
    with pytest.raises(ValueError, match="expected speed to be more than 0 seconds and finite, got 0"):
        replay_app([path], speed=0)
    with pytest.raises(TypeError, match="expected clock to be callable, got int"):
        replay_app([path], clock=cast("Any", 7))


# ---- Requests that are wrong.


JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"{", JSON, (400, "expected a body that is JSON: ", None)),
        (b"[" * 40_000, JSON, (400, "expected a body that is JSON: ", None)),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, JSON, (400, "expected a body that is JSON: ", None)),
        (b"[1]", JSON, (400, "expected a JSON object, got a list", None)),
        (b'{"a":[' + b"{}," * 150_000 + b"1]}", JSON, (400, "expected at most 100000 JSON values, got more", None)),
        (b"{}", {}, (400, "expected a body of content type application/json, got ''", None)),
        (b"a=1", {"content-type": "text/plain"}, (400, "expected a body of content type application/json, got ", None)),
        (b'{"stream": 1}', JSON, (400, "expected stream to be a boolean, got a number", "stream")),
        (b'{"stream": "yes"}', JSON, (400, "expected stream to be a boolean, got a text", "stream")),
        (b'{"tool_outputs": {}}', JSON, (400, "expected tool_outputs to be a list, got an object", "tool_outputs")),
        (b" " * (LARGEST_REQUEST + 1), JSON, (413, f"expected a body of at most {LARGEST_REQUEST} bytes", None)),
    ],
)
def test_a_wrong_body_is_told_and_takes_no_turn(
    app: Starlette, content: bytes, headers: dict[str, str], expected: tuple[int, str, str | None]
) -> None:
    status, message, param = ask(app, "POST", RUNS, content=content, headers=headers).error
    assert (expected, expected[1]) == ((status, message[: len(expected[1])], param), message[: len(expected[1])])
    assert FIRST == post(app, RUNS, STREAM).content


def test_a_body_without_an_end_is_not_read_to_it(app: Starlette) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += LARGEST_REQUEST
            yield b"x" * LARGEST_REQUEST

    tracemalloc.start()
    answer = ask(app, "POST", RUNS, content=endless(), headers=JSON)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (413, "close", MOST_DISCARDED + LARGEST_REQUEST) == (answer.status, answer.headers["connection"], read)
    assert peak < 5 * LARGEST_REQUEST  # what is over the limit is not kept


@pytest.mark.parametrize("url", ["/", "/v1", "/v1/thread", "/threads/", "/threads//runs", "/threads/../../etc/passwd"])
def test_an_unknown_path_is_told(app: Starlette, url: str) -> None:
    head, body = raw(app, "GET", url, {"type": "http.request"})
    assert 404 == head["status"]
    assert f"expected a path of the API, got GET {url}" == json.loads(body["body"])["error"]["message"]


def test_another_method_is_told(app: Starlette) -> None:
    for method in ("PUT", "DELETE", "BREW"):
        answer = ask(app, method, RUNS)
        assert (405, f"expected GET, HEAD, OPTIONS, POST, got {method}", None) == answer.error
        assert "GET, HEAD, OPTIONS, POST" == answer.headers["allow"]
    options = ask(app, "OPTIONS", f"{RUN}/cancel")
    assert (204, b"", "OPTIONS, POST") == (*options[:2], options.headers["allow"])
    head = ask(app, "HEAD", RUN)
    assert (200, "application/json") == (head.status, head.headers["content-type"])


def test_a_client_that_leaves_while_it_sends_gets_no_answer(app: Starlette) -> None:
    assert [] == raw(app, "POST", RUNS, {"type": "http.disconnect"})


def test_each_route_is_found_below_any_prefix() -> None:
    for route in ROUTES:
        path = route.path.replace("{", "").replace("}", "")
        for prefix in ("/", "/v1/", "/openai/", "/api/projects/p/"):
            found, ids = find_routes((prefix + path).split("/"))[route.method]
            assert (route, {name: name for name in ids}) == (found, ids)
            assert route.path == path.replace("_id", "_id") or ids


# ---- Recordings that are gone.


@pytest.mark.parametrize("by_run", [False, True])
@pytest.mark.parametrize("request_body", [STREAM, {"assistant_id": "asst_1"}])
def test_a_recording_that_cannot_be_read_any_more_is_told(
    path: Path,
    request_body: dict[str, object],
    by_run: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    app, moved = replay_app([path], by_run=by_run), path.with_suffix(".moved")
    told = (500, "expected a recording, got one that cannot be read any more", None)
    path.rename(moved)
    for url in (RUN, f"{RUN}/steps", "/v1/threads/thread_1", "/v1/threads/thread_1/messages"):
        answer = ask(app, "GET", url)
        assert told == answer.error
        assert "server_error" == answer.json["error"]["type"]
    assert [told] * 3 == [post(app, RUNS, request_body).error for _ in range(3)]
    moved.rename(path)
    assert FIRST == post(app, RUNS, STREAM).content
    path.unlink()
    assert told == post(app, f"{RUN}/submit_tool_outputs", {**OUTPUTS, **request_body}).error
    recorded(path.parent, FIRST + SECOND)
    assert SECOND == post(app, f"{RUN}/submit_tool_outputs", OUTPUTS).content


def test_a_recording_that_became_another_one_is_told(path: Path) -> None:
    app = replay_app([path])
    path.write_bytes(FIRST + b"event: x\ndata: [" + b"0," * 100_001 + b"0]\n\n")
    assert (500, "expected a recording, got one that cannot be read any more", None) == ask(app, "GET", RUN).error


# ---- Real recordings.


def test_every_recording_is_served_as_it_folds(recordings: Path) -> None:
    for recording in open_recordings(*sorted(recordings.glob("*.sse"))):
        app, run = replay_app([recording]), Accumulator()
        for body in recording.bodies:
            data = b"".join(body)
            assert data == post(app, RUNS, STREAM).content
            accumulate([data], into=run).until_done()
            steps = [step.to_dict() for step in run.run_steps()]
            assert steps == get(app, f"{RUN}/steps?order=asc&limit=100&include[]={CONTENT}")["data"]
            messages = [message.to_dict() for message in run.messages()]
            assert messages == get(app, "/v1/threads/x/messages?order=asc")["data"]
            if run.current_run is not None:
                assert run.current_run.to_dict() == get(app, RUN)


def test_rest_answers_are_served_as_they_were(tmp_path: Path) -> None:
    folder = real_recordings()
    if folder is None:
        pytest.skip("no real recordings here")
    lines = [json.loads(line) for path in folder.glob("*_REST_*.jsonl") for line in path.read_text().splitlines()]
    steps = {step["id"]: step for line in lines for step in line["body"].get("data", [line["body"]])}
    ordered = sorted(steps.values(), key=lambda step: step["created_at"])
    app = serve(tmp_path, b"".join(wire.event(f"thread.run.step.{step['status']}", step) for step in ordered))
    assert lines
    for line in lines:
        path, _, query = line["uri"].partition("/v1")[2].partition("?")
        answer = get(app, f"/v1{path}?{query}")
        assert line["body"] == answer
