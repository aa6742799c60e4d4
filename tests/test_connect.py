"""The HTTP edge, against a real server: what is sent, what is refused, and that no way out leaves a connection."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, cast

import httpx
import httpx2
import pytest

from accumulator import (
    Accumulator,
    Limits,
    MergeError,
    ResponseError,
    TruncatedError,
    aaccumulate,
    accumulate,
    aconnect,
    connect,
)
from tests.bodies import FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_FIRST, STEP_AFTER_SECOND
from tests.loopback import PATIENCE, Loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from accumulator import Update
    from tests.loopback import Exchange

# Never used, and dear to make: the clients would make one each.
TLS = ssl.create_default_context()
EXPECTED = list(accumulate([FIRST]))

CLIENTS = [httpx.Client, httpx2.Client]
ASYNC_CLIENTS = [httpx.AsyncClient, httpx2.AsyncClient]
every_client = pytest.mark.parametrize("client_type", CLIENTS, ids=["httpx", "httpx2"])
every_async_client = pytest.mark.parametrize("client_type", ASYNC_CLIENTS, ids=["httpx", "httpx2"])


def enter(client: object, url: str, into: Accumulator | None = None, *, strict: bool = False) -> None:
    """Enter, and fail if that succeeds."""
    with connect(cast("httpx.Client", client), "GET", url, into=into, strict=strict):
        raise AssertionError


async def aenter(client: object, url: str, into: Accumulator | None = None, *, strict: bool = False) -> None:
    """Enter, and fail if that succeeds."""
    async with aconnect(cast("httpx.AsyncClient", client), "GET", url, into=into, strict=strict):
        raise AssertionError


def whole(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SECOND if b"tool_outputs" in exchange.body else FIRST)
    exchange.end()


@every_client
def test_one_run_over_two_requests(client_type: type[httpx.Client | httpx2.Client]) -> None:
    run = Accumulator()
    headers = {"Authorization": "Bearer none", "Accept": "application/json"}
    with Loopback(whole) as server, client_type(verify=TLS) as client:
        with connect(client, "POST", server.url, into=run, json={"stream": True}, headers=headers) as stream:
            assert EXPECTED == list(stream)
        with connect(client, "POST", server.url, into=run, json={"tool_outputs": []}) as stream:
            steps = stream.final_run_steps()
        sent = server.exchanges[0]
    assert [STEP_AFTER_SECOND] == [step.to_dict() for step in steps]
    assert {"Authorization": "Bearer none", "Accept": "application/json"} == headers
    assert ("POST /v1/threads/thread_1/runs HTTP/1.1", {"stream": True}) == (sent.request_line, json.loads(sent.body))
    assert ("Bearer none", "text/event-stream", "no-store", "identity") == (
        sent.headers["authorization"],
        sent.headers["accept"],
        sent.headers["cache-control"],
        sent.headers["accept-encoding"],
    )


@every_client
def test_a_caller_may_ask_for_compression(client_type: type[httpx.Client | httpx2.Client]) -> None:
    headers = {"accept-encoding": "gzip"}
    with Loopback(whole) as server, client_type(verify=TLS) as client:
        with connect(client, "GET", server.url, headers=headers) as stream:
            assert EXPECTED == list(stream)
        assert "gzip" == server.exchanges[0].headers["accept-encoding"]


@every_async_client
def test_one_run_over_two_async_requests(client_type: type[httpx.AsyncClient | httpx2.AsyncClient]) -> None:
    run = Accumulator()

    async def main(url: str) -> list[Update]:
        async with client_type(verify=TLS) as client:
            headers = [("Authorization", "Bearer none")]
            async with aconnect(client, "POST", url, into=run, json={"stream": True}, headers=headers) as stream:
                updates = [update async for update in stream]
            async with aconnect(client, "POST", url, into=run, json={"tool_outputs": []}, headers=None) as stream:
                steps = await stream.final_run_steps()
        assert [STEP_AFTER_SECOND] == [step.to_dict() for step in steps]
        return updates

    with Loopback(whole) as server:
        assert EXPECTED == asyncio.run(main(server.url))
        assert ("Bearer none", "text/event-stream", "identity") == (
            server.exchanges[0].headers["authorization"],
            server.exchanges[0].headers["accept"],
            server.exchanges[0].headers["accept-encoding"],
        )


def test_strict_and_limits_make_the_accumulator() -> None:
    def script(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(b"event: thread.run.step.delta\ndata: 7\n\n" + FIRST)
        exchange.end()

    limits = Limits(max_event_size=5_000)
    with (
        Loopback(script) as server,
        httpx.Client(verify=TLS) as client,
        connect(client, "GET", server.url, strict=True, limits=limits) as stream,
    ):
        with pytest.raises(MergeError):
            next(stream)
        assert (True, limits) == (stream.accumulator.strict, stream.accumulator.limits)
        assert [STEP_AFTER_FIRST] == [step.to_dict() for step in stream.final_run_steps()]


def page(exchange: Exchange) -> None:
    exchange.head("200 OK", {"Content-Type": "text/html"})
    exchange.chunk(b"<title>Sign in</title>" * 1_000)
    exchange.end()
    exchange.wait_closed()


@every_client
def test_a_page_is_refused_before_the_block(client_type: type[httpx.Client | httpx2.Client]) -> None:
    run = Accumulator()
    with Loopback(page) as server, client_type(verify=TLS) as client:
        with pytest.raises(ResponseError) as caught:
            enter(client, server.url, into=run)
        assert server.client_closed.wait(PATIENCE)
    error = caught.value
    assert (200, "text/html", None, ("<title>Sign in</title>" * 1_000)[:2_048]) == (
        error.status,
        error.content_type,
        error.request_id,
        error.body,
    )
    assert (run, None) == (error.accumulator, run.outcome)


@every_async_client
def test_a_page_is_refused_before_the_async_block(client_type: type[httpx.AsyncClient | httpx2.AsyncClient]) -> None:
    run = Accumulator()

    async def main(url: str) -> ResponseError:
        async with client_type(verify=TLS) as client:
            with pytest.raises(ResponseError) as caught:
                await aenter(client, url, into=run)
        return caught.value

    with Loopback(page) as server:
        error = asyncio.run(main(server.url))
        assert server.client_closed.wait(PATIENCE)
    assert (200, "text/html", None, ("<title>Sign in</title>" * 1_000)[:2_048]) == (
        error.status,
        error.content_type,
        error.request_id,
        error.body,
    )
    assert (run, None) == (error.accumulator, run.outcome)


PLAIN = {"Content-Type": "text/plain; charset=latin-1"}


def plain(exchange: Exchange) -> None:
    exchange.head(headers=PLAIN)
    for part in (b"ev", FIRST[2:]):
        exchange.chunk(part)
    exchange.end()


def plain_page(exchange: Exchange) -> None:
    exchange.head(headers=PLAIN)
    exchange.chunk(b"Sign in")
    exchange.end()
    exchange.wait_closed()


def plain_drop(exchange: Exchange) -> None:
    exchange.head(headers=PLAIN)
    exchange.chunk(b"ev")


@every_client
def test_a_plain_text_that_begins_like_an_event_stream_is_read(client_type: type[httpx.Client | httpx2.Client]) -> None:
    with Loopback(plain) as server, client_type(verify=TLS) as client, connect(client, "GET", server.url) as stream:
        assert EXPECTED == list(stream)


@every_client
def test_another_plain_text_is_refused_before_the_block(client_type: type[httpx.Client | httpx2.Client]) -> None:
    with Loopback(plain_page) as server, client_type(verify=TLS) as client:
        with pytest.raises(ResponseError, match=r"all the same: accumulate\(response\.iter_bytes\(\)\)$") as caught:
            enter(client, server.url)
        assert server.client_closed.wait(PATIENCE)
    assert "Sign in" == caught.value.body


@every_client
def test_a_plain_text_that_breaks_at_its_start_is_a_truncated_body(
    client_type: type[httpx.Client | httpx2.Client],
) -> None:
    with (
        Loopback(plain_drop) as server,
        client_type(verify=TLS) as client,
        connect(client, "GET", server.url) as stream,
        pytest.raises(TruncatedError),
    ):
        stream.until_done()


@every_async_client
def test_async_plain_text_is_read_if_it_begins_like_an_event_stream(
    client_type: type[httpx.AsyncClient | httpx2.AsyncClient],
) -> None:
    async def main(script: Callable[[Exchange], None]) -> list[Update]:
        with Loopback(script) as server:
            async with client_type(verify=TLS) as client, aconnect(client, "GET", server.url) as stream:
                return [update async for update in stream]

    assert EXPECTED == asyncio.run(main(plain))
    with pytest.raises(ResponseError, match=r"all the same: aaccumulate\(response\.aiter_bytes\(\)\)$") as caught:
        asyncio.run(main(plain_page))
    assert "Sign in" == caught.value.body
    with pytest.raises(TruncatedError):
        asyncio.run(main(plain_drop))


@every_async_client
def test_a_refused_body_that_never_ends_is_given_up(client_type: type[httpx.AsyncClient | httpx2.AsyncClient]) -> None:
    def script(exchange: Exchange) -> None:
        exchange.head("403 Forbidden", {"Content-Type": "application/json"})
        exchange.chunk(b"{")
        exchange.wait_closed()

    async def main(url: str) -> ResponseError:
        async with client_type(verify=TLS, timeout=None) as client:
            with pytest.raises(ResponseError) as caught:
                await aenter(client, url)
        return caught.value

    with Loopback(script) as server:
        error = asyncio.run(main(server.url))
        assert server.client_closed.wait(PATIENCE)
    assert (403, "{") == (error.status, error.body)


def test_an_error_body_is_in_the_error() -> None:
    def script(exchange: Exchange) -> None:
        headers = {"Content-Type": "application/json", "x-ms-request-id": "b", "X-Request-Id": "a"}
        exchange.head("429 Too Many Requests", headers)
        exchange.chunk(b'{"error":{"code":"rate_limit_exceeded"}}')
        exchange.end()

    expected = (429, "application/json", "a", '{"error":{"code":"rate_limit_exceeded"}}')
    with (
        Loopback(script) as server,
        httpx.Client(verify=TLS) as client,
        pytest.raises(ResponseError, match=r"got status 429, .* \(request a\)") as caught,
    ):
        enter(client, server.url)
    error = caught.value
    assert expected == (error.status, error.content_type, error.request_id, error.body)


def begun(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST_EVENTS[0])
    exchange.wait_closed()


@every_client
def test_leaving_early_leaves_no_connection(client_type: type[httpx.Client | httpx2.Client]) -> None:
    with Loopback(begun) as server, client_type(verify=TLS) as client:
        with connect(client, "GET", server.url) as stream:
            for _ in stream:
                break
        assert server.client_closed.wait(PATIENCE)
        assert ([], "truncated") == (list(stream), stream.accumulator.outcome)


@every_client
def test_an_exception_inside_leaves_no_connection(client_type: type[httpx.Client | httpx2.Client]) -> None:
    def fail(client: httpx.Client | httpx2.Client) -> None:
        with connect(client, "GET", server.url) as stream:
            next(stream)
            raise LookupError

    with Loopback(begun) as server, client_type(verify=TLS) as client:
        with pytest.raises(LookupError):
            fail(client)
        assert server.client_closed.wait(PATIENCE)


@every_async_client
def test_leaving_the_async_block_early_leaves_no_connection(
    client_type: type[httpx.AsyncClient | httpx2.AsyncClient],
) -> None:
    async def main(server: Loopback) -> None:
        async with client_type(verify=TLS) as client:
            async with aconnect(client, "GET", server.url) as stream:
                async for _ in stream:
                    break
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)
            assert "truncated" == stream.accumulator.outcome

    with Loopback(begun) as server:
        asyncio.run(main(server))


@every_async_client
def test_an_exception_inside_the_async_block_leaves_no_connection(
    client_type: type[httpx.AsyncClient | httpx2.AsyncClient],
) -> None:
    async def fail(client: httpx.AsyncClient | httpx2.AsyncClient) -> None:
        async with aconnect(client, "GET", server.url) as stream:
            await anext(stream)
            raise LookupError

    async def main(server: Loopback) -> None:
        async with client_type(verify=TLS) as client:
            with pytest.raises(LookupError):
                await fail(client)
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)

    with Loopback(begun) as server:
        asyncio.run(main(server))


@every_async_client
def test_cancellation_leaves_no_connection(client_type: type[httpx.AsyncClient | httpx2.AsyncClient]) -> None:
    async def main(server: Loopback) -> None:
        reading = asyncio.Event()

        async def read(client: httpx.AsyncClient | httpx2.AsyncClient) -> None:
            async with aconnect(client, "GET", server.url) as stream:
                await anext(stream)
                reading.set()
                await anext(stream)

        async with client_type(verify=TLS) as client:
            task = asyncio.create_task(read(client))
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)

    with Loopback(begun) as server:
        asyncio.run(main(server))


def test_a_dropped_connection_is_a_truncated_body() -> None:
    def script(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(FIRST_EVENTS[0])

    with (
        Loopback(script) as server,
        httpx.Client(verify=TLS) as client,
        connect(client, "GET", server.url) as stream,
        pytest.raises(TruncatedError) as caught,
    ):
        stream.final_run_steps()
    assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)


def test_what_fails_before_there_is_a_response_passes_unchanged() -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(b"nonsense\r\n\r\n")

    async def main(url: str) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await aenter(client, url)

    with Loopback(script) as server:
        with httpx.Client(verify=TLS) as client, pytest.raises(httpx.RemoteProtocolError):
            enter(client, server.url)
        asyncio.run(main(server.url))


def test_misuse_is_told_before_a_request_is_sent() -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            with pytest.raises(TypeError, match=r"got AsyncClient: use aconnect\(\)"):
                enter(client, url)
            with pytest.raises(TypeError, match="belong to the accumulator"):
                await aenter(client, url, into=Accumulator(), strict=True)

    with Loopback(whole) as server:
        asyncio.run(main(server.url))
        with httpx.Client(verify=TLS) as client:
            with pytest.raises(TypeError, match="belong to the accumulator"):
                enter(client, server.url, into=Accumulator(), strict=True)
            with pytest.raises(TypeError, match=r"got Client: use connect\(\)"):
                asyncio.run(aenter(client, server.url))
        assert [] == server.exchanges


@every_client
def test_what_connect_opens_is_what_accumulate_takes(client_type: type[httpx.Client | httpx2.Client]) -> None:
    def script(exchange: Exchange) -> None:
        if len(server.exchanges) == 1:
            exchange.head()
            exchange.wait_closed()
        else:
            whole(exchange)

    with Loopback(script) as server, client_type(verify=TLS) as client:
        with client.stream("GET", server.url) as response, pytest.raises(TypeError, match=r"use accumulate\(\)"):
            aaccumulate(response)
        with client.stream("GET", server.url) as response:
            assert EXPECTED == list(accumulate(response))
