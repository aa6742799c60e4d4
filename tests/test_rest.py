"""The two endpoints of the run steps over HTTP: pages, retries, and servers that are not well."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import httpx
import httpx2
import pytest
import stamina
import trio

from accumulator import ResponseError, RunStep
from accumulator._rest import answers, talks
from accumulator._rest.answers import read_retry_after
from accumulator._rest.retries import Retries, decide
from accumulator.rest import (
    Service,
    alist_run_steps,
    aretrieve_run_step,
    list_run_steps,
    retrieve_run_step,
)
from tests.clock import Clock
from tests.rest_server import JSON, RestServer, answer, page_of, refuse, run_steps, send

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
    from pathlib import Path
    from types import ModuleType

    from accumulator.rest import RunStepInclude
    from tests.loopback import Exchange
    from tests.rest_server import JSONObject

CONTENT: RunStepInclude = "step_details.tool_calls[*].file_search.results[*].content"
QUOTED = "step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content"
DAY = 86_400.0
STEPS = "/threads/thread_1/runs/run_1/steps"


@pytest.fixture(autouse=True)
def no_waits() -> Generator[None]:
    """Let stamina not wait between two attempts."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@contextmanager
def served(steps: int | list[JSONObject] = 105, **run: object) -> Generator[tuple[RestServer, httpx.Client]]:
    given = run_steps(steps) if isinstance(steps, int) else steps
    with RestServer(given, run) as server, httpx.Client(verify=False) as client:  # noqa: S501 - never used, and dear
        yield server, client


@asynccontextmanager
async def aserved(steps: int = 105) -> AsyncGenerator[tuple[RestServer, httpx.AsyncClient]]:
    with RestServer(run_steps(steps)) as server:
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - as above
            yield server, client


def in_asyncio(function: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(function())


def in_trio(function: Callable[[], Coroutine[object, object, None]]) -> None:
    trio.run(function)


LOOPS = {"asyncio": in_asyncio, "trio": in_trio}


def ids(steps: Iterable[RunStep]) -> list[str | None]:
    return [step.id for step in steps]


# ---- Pages.


@pytest.mark.parametrize(
    ("limit", "order"),
    [(None, None), (1, "asc"), (1, "desc"), (20, None), (20, "asc"), (20, "desc"), (100, "asc")],
)
def test_all_pages_are_read(limit: int | None, order: str | None) -> None:
    with served() as (server, client):
        found = list(list_run_steps(client, server.base_url, "thread_1", "run_1", limit=limit, order=order))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        expected = server.steps if order == "asc" else server.steps[::-1]
        assert expected == [step.to_dict() for step in found]
        assert -(-105 // (limit or 20)) == len(server.requests)


def test_a_page_is_asked_for_when_its_first_step_is_wanted() -> None:
    with served() as (server, client):
        steps = list_run_steps(client, server.base_url, "thread_1", "run_1", order="asc", limit=20)
        assert [] == server.requests
        assert ["step_0"] == [next(steps).id]
        assert [f"{STEPS}?limit=20&order=asc"] == server.requests
        assert 104 == len(list(steps))
        assert f"{STEPS}?limit=20&order=asc&after=step_19" == server.requests[1]
        assert [] == list(steps)


@pytest.mark.parametrize(
    ("order", "limit", "pages"), [("asc", 20, 3), ("desc", 20, 3), ("asc", 50, 1), (None, None, 3)]
)
def test_all_pages_before_a_step_are_read(order: Literal["asc", "desc"] | None, limit: int | None, pages: int) -> None:
    with served() as (server, client):
        wanted = server.steps if order == "asc" else server.steps[::-1]
        before = str(wanted[50]["id"])
        found = list_run_steps(client, server.base_url, "thread_1", "run_1", order=order, limit=limit, before=before)
        assert wanted[0]["id"] == next(found).id
        assert pages == len(server.requests)
        assert wanted[1:50] == [step.to_dict() for step in found]
        assert pages == len(server.requests)
        assert server.requests[0].endswith(f"before={before}")


def test_pages_before_a_step_go_on_after_an_error() -> None:
    with served(60) as (server, client):
        steps = list_run_steps(client, server.base_url, "thread_1", "run_1", order="asc", before="step_50")
        server.faults += [
            partial(answer, value={"data": server.steps[30:50], "has_more": True}),
            partial(refuse, status="404 Not Found"),
        ]
        with pytest.raises(ResponseError, match="expected a 2xx answer; status 404"):
            next(steps)
        assert server.steps[:50] == [step.to_dict() for step in steps]
        befores = [request.rpartition("before=")[2] for request in server.requests]
        assert ["step_50", "step_30", "step_30", "step_10"] == befores


@pytest.mark.parametrize("loop", LOOPS)
def test_pages_before_a_step_are_read_with_await(loop: str) -> None:
    async def read() -> None:
        async with aserved() as (server, client):
            steps = alist_run_steps(client, server.base_url, "thread_1", "run_1", order="asc", before="step_50")
            assert server.steps[:50] == [step.to_dict() async for step in steps]

    LOOPS[loop](read)


def test_what_is_asked_for_is_percent_encoded() -> None:
    with served(5) as (server, client):
        found = list_run_steps(
            client, server.base_url, "thread_1", "run_1", after="step_4", before="step_1", include=[CONTENT]
        )
        assert ["step_3", "step_2"] == ids(found)
        assert [f"{STEPS}?before=step_1&include%5B%5D={QUOTED}&after=step_4"] == server.requests
        retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_2", include=[CONTENT])
        assert f"{STEPS}/step_2?include%5B%5D={QUOTED}" == server.requests[-1]
        server.faults.append(lambda exchange: answer(exchange, page_of([])))
        assert [] == list(list_run_steps(client, server.base_url, "a/../b?", "é%2f", include=[]))
        assert "/threads/a%2F..%2Fb%3F/runs/%C3%A9%252f/steps" == server.requests[-1]


@pytest.mark.parametrize("loop", LOOPS)
def test_pages_are_read_with_await(loop: str) -> None:
    async def read() -> None:
        async with aserved() as (server, client):
            steps = alist_run_steps(client, server.base_url, "thread_1", "run_1", order="asc", limit=20)
            assert server.steps == [step.to_dict() async for step in steps]
            assert 6 == len(server.requests)
            step = await aretrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_7", include=[CONTENT])
            assert server.steps[7] == step.to_dict()
            with pytest.raises(ResponseError):
                await aretrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_200")
            server.faults += [partial(refuse, status="503 Service Unavailable")]
            assert "step_104" == (await anext(aiter(alist_run_steps(client, server.base_url, "thread_1", "run_1")))).id

    LOOPS[loop](read)


def test_clients_of_httpx2_are_taken() -> None:
    with served(3) as (server, _), httpx2.Client(verify=False) as client:
        assert 3 == len(list(list_run_steps(client, server.base_url, "thread_1", "run_1")))
        server.faults += [drop, drop]
        assert "step_1" == retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_1").id


def test_an_empty_page_ends_the_list() -> None:
    with served(0) as (server, client):
        assert [] == list(list_run_steps(client, server.base_url, "thread_1", "run_1"))


def test_a_page_without_cursor_goes_on_behind_its_last_step() -> None:
    with served(3) as (server, client):
        first = {"data": server.steps[:2], "has_more": True}
        last = {"data": server.steps[2:]}
        server.faults += [partial(answer, value=first), partial(answer, value=last)]
        assert ["step_0", "step_1", "step_2"] == ids(list_run_steps(client, server.base_url, "thread_1", "run_1"))
        assert f"{STEPS}?after=step_1" == server.requests[-1]


# ---- Services.


def test_the_named_services_are_where_their_endpoints_say() -> None:
    openai, azure, foundry = (
        Service.openai(),
        Service.azure_openai("https://name.openai.azure.com/"),
        Service.azure_foundry("https://name.services.ai.azure.com/api/projects/p"),
    )
    path = ("threads", "thread_1", "runs", "run_1", "steps")
    assert [
        ("https://api.openai.com/v1/threads/thread_1/runs/run_1/steps", None),
        (
            "https://name.openai.azure.com/openai/threads/thread_1/runs/run_1/steps",
            [("api-version", "2024-05-01-preview")],
        ),
        (
            "https://name.services.ai.azure.com/api/projects/p/threads/thread_1/runs/run_1/steps",
            [("api-version", "v1")],
        ),
    ] == [each.request(path)[:2] for each in (openai, azure, foundry)]
    own = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
    assert [{**own, "OpenAI-Beta": "assistants=v2"}, own, own] == [
        each.request(path).headers for each in (openai, azure, foundry)
    ]
    same = Service.azure_openai("https://name.openai.azure.com/openai", api_version="2025-04-01-preview")
    assert ("https://name.openai.azure.com/openai", {"api-version": "2025-04-01-preview"}) == (
        same.base_url,
        dict(same.params),
    )


def test_a_service_sends_its_headers_and_parameters_beside_the_clients() -> None:
    with served(1) as (server, client):
        client.headers["api-key"] = "secret"
        service = Service(f"{server.base_url}/", headers={"X-Team": "a"}, params={"v": "1.2"})
        assert ["step_0"] == ids(list_run_steps(client, service, "thread_1", "run_1", limit=5))
        (exchange,) = server.exchanges
        assert f"GET /v1{STEPS}?v=1.2&limit=5 HTTP/1.1" == exchange.request_line
        sent = {name: exchange.headers[name] for name in ("api-key", "x-team", "accept", "accept-encoding")}
        assert {
            "api-key": "secret",
            "x-team": "a",
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
        } == sent


def test_the_parameters_of_a_client_are_sent_beside_the_own() -> None:
    with served(3) as (server, _):
        service = Service(server.base_url, params={"api-version": "v1"})
        for module in (httpx, httpx2):
            with module.Client(verify=False, params={"tenant": "x", "limit": "7"}) as client:
                found = list_run_steps(
                    client, service, "thread_1", "run_1", order="asc", limit=2, after="step_0", include=[CONTENT]
                )
                assert ["step_1", "step_2"] == ids(found)
                step = retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_1")
                assert "step_1" == step.id
        query = f"tenant=x&limit=2&api-version=v1&order=asc&include%5B%5D={QUOTED}&after=step_0"
        assert [f"{STEPS}?{query}", f"{STEPS}/step_1?tenant=x&limit=7"] * 2 == server.requests


def test_a_service_can_be_pickled() -> None:
    service = Service("http://127.0.0.1:1/v1", headers={"X-Team": "a"}, params={"v": "1"})
    pickled = pickle.dumps(service)
    assert b"accumulator._" not in pickled
    copy = cast("Service", pickle.loads(pickled))  # noqa: S301 - its own
    assert (service.request(["a"]), service.base_url) == (copy.request(["a"]), copy.base_url)


def test_a_service_shows_no_values_of_headers() -> None:
    shown = repr(Service("http://127.0.0.1:1/v1/", headers={"Authorization": "secret"}, params={"v": "1"}))
    assert "Service('http://127.0.0.1:1/v1', headers=['Authorization'], params={'v': '1'})" == shown


@pytest.mark.parametrize(
    "url", ["api.openai.com/v1", "ftp://host/v1", "http://", "", "http://host/v1 ", "http://host/\n", "http://host?a=1"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a base URL"):
        Service(url)


def test_wrong_arguments_of_a_service_are_refused() -> None:
    with pytest.raises(TypeError, match="expected the base URL of a service as a str, got URL"):
        Service(cast("str", httpx.URL("http://host")))
    with pytest.raises(TypeError, match="expected headers and params of a service as mappings"):
        Service("http://host", headers=cast("dict[str, str]", [("a", "b")]))
    with pytest.raises(ValueError, match="expected the endpoint of a project, such as"):
        Service.azure_foundry("https://name.services.ai.azure.com")
    with pytest.raises(TypeError, match="expected the base URL of a service as a str, got NoneType"):
        Service.azure_foundry(cast("str", None))


# ---- What the caller gives.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"limit": "5"}, TypeError, "expected limit to be a number, got str"),
        ({"limit": True}, TypeError, "expected limit to be a number, got bool"),
        ({"limit": 0}, ValueError, "expected a limit of 1 to 100, got 0"),
        ({"limit": 101}, ValueError, "expected a limit of 1 to 100, got 101"),
        ({"order": "newest"}, ValueError, 'expected the order "asc" or "desc", got \'newest\''),
        ({"after": ""}, ValueError, "expected an id for after, got ''"),
        ({"before": 5}, TypeError, "expected before as a str, got int"),
        ({"include": CONTENT}, TypeError, f"expected an iterable for include, got a str: give ['{CONTENT}']"),
        ({"include": [5]}, TypeError, "expected an iterable of str for include"),
        ({"attempts": 0}, ValueError, "expected attempts to be 1 or more, got 0"),
        ({"attempts": 1.5}, TypeError, "expected attempts to be a number, got float"),
        ({"total_timeout": 0}, ValueError, "expected total_timeout to be more than 0 seconds and finite, got 0"),
        ({"clock": 5}, TypeError, "expected clock to be callable, got int"),
        ({"thread_id": ".."}, ValueError, "expected an id for thread_id, got '..'"),
        ({"run_id": "\ud800"}, ValueError, "expected an id for run_id, got '\\ud800'"),
        ({"run_id": "x" * 5_000}, ValueError, f"expected an id for run_id, got {'x' * 5_000!r:.80}"),
        ({"run_id": None}, TypeError, "expected run_id as a str, got NoneType"),
    ],
)
def test_wrong_arguments_are_refused_before_any_request(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with served(1) as (server, client):
        given = {"thread_id": "thread_1", "run_id": "run_1", **arguments}
        with pytest.raises(error) as caught:
            list_run_steps(client, server.base_url, **given)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert message == str(caught.value)
        assert [] == server.requests


def test_a_client_that_cannot_be_used_is_refused() -> None:
    with served(1) as (server, client):
        asynchronous = httpx.AsyncClient(verify=False)  # noqa: S501 - as above
        with pytest.raises(
            TypeError,
            match=r"list_run_steps\(\) takes a sync client, got an async one, AsyncClient: use alist_run_steps\(\)",
        ):
            list_run_steps(asynchronous, server.base_url, "thread_1", "run_1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(
            TypeError,
            match=r"alist_run_steps\(\) takes an async client, got a sync one, Client: use list_run_steps\(\)",
        ):
            alist_run_steps(client, server.base_url, "thread_1", "run_1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match=r"retrieve_run_step\(\) takes a client of httpx or httpx2, got NoneType"):
            retrieve_run_step(None, server.base_url, "thread_1", "run_1", "step_1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_without_stamina_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stamina", None)
    with served(1) as (server, client), pytest.raises(ImportError) as caught:
        list_run_steps(client, server.base_url, "thread_1", "run_1")
    expected = ("stamina", "accumulator.rest needs stamina: pip install 'delta-accumulator[rest]'")
    assert expected == (caught.value.name, str(caught.value))


# ---- Pages that do not end.


def wrong_page(server: RestServer, client: httpx.Client, *pages: object) -> ResponseError:
    """Return the error of a list whose pages are these."""
    server.faults += [partial(answer, value=page) for page in pages]
    with pytest.raises(ResponseError) as caught:
        list(list_run_steps(client, server.base_url, "thread_1", "run_1"))
    assert len(pages) == len(server.requests)
    return caught.value


def test_a_server_that_ignores_after_is_noticed() -> None:
    with served(3) as (server, client):
        page = page_of(server.steps, has_more=True)
        error = wrong_page(server, client, page, page)
    message = "expected each run step once, got step_0 again: the server ignores `after`; status 200 (request req_1)"
    assert (message, 200, "req_1") == (str(error), error.status, error.request_id)


def test_a_step_that_comes_twice_in_a_page_is_noticed() -> None:
    with served(1) as (server, client):
        assert "got step_0 again" in str(wrong_page(server, client, page_of(server.steps * 2)))


def test_an_empty_page_with_more_behind_it_is_noticed() -> None:
    with served(1) as (server, client):
        error = wrong_page(server, client, page_of([], has_more=True))
    assert "expected run steps in a page with more behind it, got an empty one" in str(error)


def test_a_cursor_that_repeats_is_noticed() -> None:
    with served(2) as (server, client):
        pages = [{**page_of([step], has_more=True), "last_id": "step_0"} for step in server.steps]
        assert "expected another cursor at $.last_id than before" in str(wrong_page(server, client, *pages))
    with served(1) as (server, client):
        page = {**page_of(server.steps, has_more=True), "last_id": "x" * 5_000}
        assert "expected another cursor at $.last_id than before" in str(wrong_page(server, client, page))


def test_steps_that_are_invented_without_end_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks, "MOST_STEPS", 5)
    with served(9) as (server, client), pytest.raises(ResponseError, match="expected at most 5 run steps, got more"):
        list(list_run_steps(client, server.base_url, "thread_1", "run_1", limit=2))


@pytest.mark.parametrize(
    ("first_id", "expected"),
    [
        (None, "expected each run step once, got step_0 again: the server ignores `before`; status 200"),
        ("step_2", "expected another cursor at $.first_id than before; status 200"),
    ],
)
def test_a_server_that_ignores_before_is_noticed(first_id: str | None, expected: str) -> None:
    with served(2) as (server, client):
        server.faults += [partial(answer, value={**page_of(server.steps, has_more=True), "first_id": first_id})] * 2
        with pytest.raises(ResponseError) as caught:
            list(list_run_steps(client, server.base_url, "thread_1", "run_1", before="step_2"))
        assert str(caught.value).startswith(expected)


def test_the_bounds_hold_for_all_pages_before_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**arguments: object) -> str:
        with served(9) as (server, client), pytest.raises(ResponseError) as caught:
            list(list_run_steps(client, server.base_url, "t", "r", limit=2, before="step_0", **arguments))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert 2 <= len(server.requests) <= 3
        return str(caught.value)

    times = iter(range(1_000))
    late = read(total_timeout=5, clock=lambda: float(next(times)))
    assert late.startswith("expected a whole body in the time that is given, got the first ")
    monkeypatch.setattr(talks, "MOST_BYTES", 1_000)
    assert read().startswith("expected at most 1000 bytes of run steps in all pages, got more")
    monkeypatch.setattr(talks, "MOST_STEPS", 5)
    monkeypatch.setattr(talks, "MOST_BYTES", 100_000)
    assert read().startswith("expected at most 5 run steps, got more")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ({}, "expected a list of run steps at $.data"),
        ({"data": {}}, "expected a list of run steps at $.data"),
        ({"data": [{"id": "step_1"}, "x"]}, "expected a run step with an id at $.data[1]"),
        ({"data": [{"id": ""}]}, "expected a run step with an id at $.data[0]"),
        ({"data": [{"id": 5}]}, "expected a run step with an id at $.data[0]"),
        ({"data": [{"id": "x" * 5_000}]}, "expected a run step with an id at $.data[0]"),
        ({"data": [], "has_more": "no"}, "expected true or false at $.has_more"),
        ([], "expected a JSON object, got another value"),
    ],
)
def test_a_wrong_page_is_an_error(page: object, expected: str) -> None:
    with served(1) as (server, client):
        assert str(wrong_page(server, client, page)).startswith(expected)


# ---- Answers that are wrong.


def error_of(client: httpx.Client, server: RestServer, **arguments: object) -> ResponseError:
    with pytest.raises(ResponseError) as caught:
        retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0", **arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args  # noqa: S301 - its own
    return caught.value


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b'{"id": "step_0"', b"[1]", b'{"id": NaN}', b"[" * 5_000 + b"]" * 5_000]
)
def test_wrong_json_is_an_error(body: bytes) -> None:
    with served(1) as (server, client):
        server.faults.append(partial(send, body=body))
        error = error_of(client, server)
        assert str(error).startswith("expected a JSON object, got ")
        assert (200, body[:2_048].decode(), "application/json") == (error.status, error.body, error.content_type)
        assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"message": "No such run.", "type": "x", "code": "not_found"}}, "not_found", "No such run."),
        ({"code": "404", "message": "No such run."}, "404", "No such run."),
        ({"error": {"code": 404, "message": ""}}, "404", None),
        ({"error": "No such run."}, None, "No such run."),
        ({"detail": "Not Found"}, None, "Not Found"),
        ({"error": {"code": True, "message": ["a"]}}, None, None),
        ({"error": {"code": "", "message": None}}, None, None),
        ("No such run.", None, "No such run."),
        ("", None, None),
        ([1], None, None),
    ],
)
def test_an_error_has_what_the_server_says(body: object, code: str | None, message: str | None) -> None:
    with served(1) as (server, client):
        server.faults.append(partial(answer, value=body, status="404 Not Found"))
        error = error_of(client, server)
        assert (404, code, message, "req_1", None) == (
            error.status,
            error.code,
            error.message,
            error.request_id,
            error.retry_after,
        )
        told = "".join(f": {each}" for each in (code, message) if each)
        assert f"expected a 2xx answer; status 404 (request req_1){told}" == str(error)
        assert 1 == len(server.requests)


def test_a_page_of_a_gateway_says_nothing() -> None:
    with served(1) as (server, client):
        server.faults += [partial(send, body=b"<html>" * 1_000, status="401 Unauthorized")]
        error = error_of(client, server)
        assert (None, None, "<html>" * 341 + "<h") == (error.code, error.message, error.body)


def test_a_redirect_is_an_error_unless_the_client_follows_it() -> None:
    with served(1) as (server, client):
        server.faults.append(partial(send, body=b"", status="307 Temporary Redirect", Location="/elsewhere"))
        assert 307 == error_of(client, server).status
        client.follow_redirects = True
        location = f"{server.base_url}{STEPS}/step_0"
        server.faults.append(partial(send, body=b"", status="307 Temporary Redirect", Location=location))
        assert "step_0" == retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0").id
        client.max_redirects = 3
        server.faults += [partial(send, body=b"", status="307 Temporary Redirect", Location=location)] * 9
        with pytest.raises(httpx.TooManyRedirects):
            retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0")


def endless(exchange: Exchange, piece: bytes = b" " * 65_536, coding: str = "identity") -> None:
    exchange.head("200 OK", {**JSON, "Content-Encoding": coding})
    with suppress(ConnectionError):
        while True:
            exchange.chunk(piece)


def test_a_body_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_SIZE", 1_000_000)
    with served(1) as (server, client):
        server.faults.append(endless)
        error = error_of(client, server)
        assert str(error).startswith(
            "expected a body of at most 1000000 bytes, got a longer one; a smaller limit= asks"
        )
        server.faults += [partial(endless, piece=gzip.compress(b" " * 1_000_000), coding="gzip")]
        assert str(error_of(client, server)).startswith("expected a body of at most 1000000 bytes")


# httpx does not close its generators when its response is closed, and trio says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_body_that_never_ends_is_cut_with_await(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_SIZE", 1_000_000)

    async def read() -> None:
        async with aserved(1) as (server, client):
            server.faults.append(endless)
            with pytest.raises(ResponseError, match="expected a body of at most 1000000 bytes"):
                await aretrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0")

    for loop in LOOPS.values():
        loop(read)


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    with served(1) as (server, client):
        server.faults.append(partial(endless, piece=b" "))
        times = iter(range(1_000))
        error = error_of(client, server, total_timeout=5, clock=lambda: float(next(times)))
        assert str(error).startswith("expected a whole body in the time that is given, got the first ")


def drip(exchange: Exchange, start: bytes, piece: bytes) -> None:
    """Send a start, then a little again and again, until the client leaves."""
    with suppress(ConnectionError):
        exchange.send(start)
        for _ in range(1_000):
            exchange.send(piece)
            time.sleep(0.01)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LATE = "expected a whole body in the time that is given, got the first 0 bytes; status 200"
NONE = "expected an answer in the time that is given (total_timeout), got none"


# As above.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("module", [httpx, httpx2])
@pytest.mark.parametrize(
    ("start", "piece", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Name: ", b"a", NONE),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", NONE),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a", LATE),
        (OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"a", LATE),
    ],
)
def test_what_comes_too_slowly_is_given_up_with_await(
    module: ModuleType, loop: str, start: bytes, piece: bytes, expected: str
) -> None:
    async def read() -> None:
        with RestServer(run_steps(1)) as server:
            server.faults += [partial(drip, start=start, piece=piece)] * 2
            async with module.AsyncClient(verify=False) as client:
                with pytest.raises((ResponseError, TimeoutError)) as caught:
                    await aretrieve_run_step(
                        client, server.base_url, "thread_1", "run_1", "step_0", total_timeout=0.2, attempts=2
                    )
            assert (expected, expected == NONE) == (str(caught.value), isinstance(caught.value, TimeoutError))
            assert 1 == len(server.requests)

    began = time.monotonic()
    LOOPS[loop](read)
    assert time.monotonic() - began < 5


def test_an_error_with_a_body_that_never_ends_is_cut() -> None:
    with served(1) as (server, client):

        def endless_error(exchange: Exchange) -> None:
            exchange.head("400 Bad Request", JSON)
            with suppress(ConnectionError):
                while True:
                    exchange.chunk(b"no " * 1_000)

        server.faults.append(endless_error)
        error = error_of(client, server)
        assert (400, 2_048) == (error.status, len(error.body))


def test_more_values_than_can_be_held_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_VALUES", 100)
    with served([{"id": "step_0", "text": "," * 500}]) as (server, client):
        assert "step_0" == retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0").id
        server.faults.append(partial(answer, value={"id": "step_0", "a": [[]] * 100}))
        assert str(error_of(client, server)).startswith("expected at most 100 JSON values, got more")


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, gzip", "unknown"])
def test_a_body_that_cannot_be_unpacked_is_an_error(coding: str) -> None:
    with served(1) as (server, client):
        server.faults.append(partial(send, body=b"no gzip at all", Content_Encoding=coding))
        error = error_of(client, server)
        assert str(error).startswith("expected a body in gzip, deflate or no coding, got one that cannot be unpacked: ")
        assert 1 == len(server.requests)


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_body_in_a_coding_is_read(coding: str) -> None:
    with served(1) as (server, client):
        body = json.dumps(server.steps[0]).encode()
        packed = gzip.compress(body) if coding == "gzip" else body
        server.faults.append(partial(send, body=packed, Content_Encoding=coding, Content_Type="text/plain"))
        assert "step_0" == retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0").id


# ---- Retries.


def drop(exchange: Exchange) -> None:
    """End the connection without an answer."""
    exchange.reset()


def drop_within(exchange: Exchange) -> None:
    """End the connection within the body."""
    exchange.head("200 OK", JSON)
    exchange.chunk(b'{"id": ')


@pytest.mark.parametrize(
    "fault",
    [
        drop,
        drop_within,
        partial(refuse, status="500 Internal Server Error"),
        partial(refuse, status="599 Whatever"),
        partial(refuse, status="429 Too Many Requests"),
        partial(refuse, status="429 Too Many Requests", Retry_After="1"),
        partial(refuse, status="429 Too Many Requests", Retry_After="soon"),
        partial(refuse, status="503 Service Unavailable", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    ],
)
def test_a_request_is_sent_again(fault: Callable[[Exchange], None]) -> None:
    with served(1) as (server, client):
        server.faults += [fault, fault]
        assert "step_0" == retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0").id
        assert 3 == len(server.requests)


def test_after_the_last_attempt_the_error_comes_out() -> None:
    with served(1) as (server, client):
        server.faults += [partial(refuse, status="500 Internal Server Error", message=f"no {n}") for n in range(9)]
        error = error_of(client, server)
        assert (500, "server_error", "no 2", 3) == (error.status, error.code, error.message, len(server.requests))
        assert "no 4" == error_of(client, server, attempts=2).message
        server.faults[:] = [drop] * 9
        with pytest.raises(httpx.TransportError):
            retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0", attempts=1)
        assert 8 == len(server.faults)


def test_a_server_that_asks_to_wait_for_a_day_gets_no_other_request() -> None:
    with served(1) as (server, client):
        server.faults.append(partial(refuse, status="429 Too Many Requests", Retry_After="86400"))
        error = error_of(client, server)
        assert (429, DAY, 1) == (error.status, error.retry_after, len(server.requests))


def test_a_wait_that_the_server_asks_for_is_waited_for() -> None:
    with served(1) as (server, client), stamina.set_testing(False):
        server.faults.append(partial(refuse, status="429 Too Many Requests", Retry_After_Ms="40"))
        began = time.monotonic()
        assert "step_0" == retrieve_run_step(client, server.base_url, "thread_1", "run_1", "step_0").id
        assert time.monotonic() - began >= 0.04


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:20 GMT"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "today"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:27:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, float("inf")),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
    ],
)
def test_what_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == read_retry_after(headers, 1_445_412_480.0)


def response_error(status: int | None, retry_after: float | None = None) -> ResponseError:
    return ResponseError("", status=status, content_type="", request_id=None, body="", retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "left", "decision"),
    [
        (response_error(429), 10, True),
        (response_error(500), 10, True),
        (response_error(500), 2, False),
        (response_error(503, 5.0), 10, 5.0),
        (response_error(503, 0.0), 10, 0.0),
        (response_error(429, DAY), 10, False),
        (response_error(429, 10.0), 10, False),
        (response_error(429, 1.0), -1, False),
        (response_error(400, 1.0), 10, False),
        (response_error(200), 10, False),
        (response_error(None), 10, False),
        (httpx.ReadTimeout("x"), 10, True),
        (httpx.ConnectError("x"), 10, True),
        (httpx2.RemoteProtocolError("x"), 10, True),
        (httpx.RemoteProtocolError("x"), 2, False),
        (ConnectionResetError(), 10, True),
        (httpx.UnsupportedProtocol("x"), 10, False),
        (httpx.LocalProtocolError("x"), 10, False),
        (httpx.TooManyRedirects("x"), 10, False),
        (TypeError(), 10, False),
    ],
)
def test_when_a_request_is_sent_again(error: Exception, left: float, decision: bool | float) -> None:  # noqa: FBT001 - what stamina is told
    decided = decide(error, left, longest=2)
    assert (decision, type(decision)) == (decided, type(decided))


def test_all_waits_together_fit_into_the_time() -> None:
    clock = Clock()
    retries = Retries(4, 0.2, clock)
    began, attempts = time.monotonic(), 0
    with stamina.set_testing(False), pytest.raises(ConnectionError):  # noqa: PT012 - the loop raises it
        for attempt in retries.attempts(retries.deadline()):
            with attempt:
                attempts += 1
                clock.now += 0.06
                raise ConnectionError
    assert 3 == attempts  # the fourth would begin with less time left than a wait takes, 0.05 seconds
    assert time.monotonic() - began >= 0.1


# ---- What a real server said.


def test_the_answers_of_a_real_server_are_read_back_equal(recordings: Path) -> None:
    lines = [line for path in sorted(recordings.glob("*_REST_*.jsonl")) for line in path.read_text().splitlines()]
    count = 0
    for said in map(json.loads, lines):
        target, body = said["uri"].split("/v1", 1)[1], said["body"]
        _, _, thread_id, _, run_id, _, *step_id = target.partition("?")[0].split("/")
        include: list[RunStepInclude] = [CONTENT] if "include" in target else []
        with served(0) as (server, client):
            server.faults.append(partial(answer, value=body))
            if step_id:
                step = retrieve_run_step(client, server.base_url, thread_id, run_id, step_id[0], include=include)
                assert body == step.to_dict()
            else:
                found = list_run_steps(client, server.base_url, thread_id, run_id, include=include)
                assert body["data"] == [step.to_dict() for step in found]
            assert [target.replace("include[]", "include%5B%5D")] == server.requests
        count += 1
    assert count == len(lines) > 0
