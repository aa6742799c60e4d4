"""Every client whose answers are taken, against a real server: the same updates, each as soon as its event is there."""

# openai-python marks the API as deprecated, and azure-ai-agents leaves its handlers' parameter open.
# pyright: reportDeprecated=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import io
import ssl
import urllib.request
import zlib
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, cast

import aiohttp
import httpx
import httpx2
import httpx_sse
import openai
import pytest
import requests
import urllib3
from azure.ai.agents import AgentsClient
from azure.ai.agents.aio import AgentsClient as AsyncAgentsClient
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport
from azure.core.rest import HttpRequest

from accumulator import ResponseError, TruncatedError, aaccumulate, accumulate
from tests.bodies import DONE, FIRST, FIRST_EVENTS, STEP_AFTER_FIRST
from tests.loopback import PATIENCE, Loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from azure.core.credentials import TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential

    from accumulator import Update
    from tests.loopback import Exchange

    Client = Callable[[Loopback], AbstractContextManager[object]]
    AsyncClient = Callable[[Loopback], AbstractAsyncContextManager[object]]

# openai-python says at every call that the Assistants API is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")

EXPECTED = list(accumulate([FIRST]))
# Never used, and dear to make: the clients would make one each.
TLS = ssl.create_default_context()


@contextmanager
def by_httpx(server: Loopback) -> Generator[object]:
    with httpx.Client(verify=TLS) as client, client.stream("POST", server.url) as response:
        yield response


@contextmanager
def by_httpx_sse(server: Loopback) -> Generator[object]:
    with httpx.Client(verify=TLS) as client, httpx_sse.connect_sse(client, "POST", server.url) as source:
        yield source


@contextmanager
def by_httpx2(server: Loopback) -> Generator[object]:
    with httpx2.Client(verify=TLS) as client, client.stream("POST", server.url) as response:
        yield response


@contextmanager
def by_httpx2_sse(server: Loopback) -> Generator[object]:
    with httpx2.Client(verify=TLS) as client, client.sse(server.url, method="POST") as source:
        yield source


@contextmanager
def by_requests(server: Loopback) -> Generator[object]:
    with requests.post(server.url, stream=True, timeout=PATIENCE) as response:
        yield response


@contextmanager
def by_urllib(server: Loopback) -> Generator[object]:
    with urllib.request.urlopen(server.url, b"{}", PATIENCE) as response:
        yield response


@contextmanager
def by_urllib3(server: Loopback) -> Generator[object]:
    with urllib3.PoolManager() as pool:
        response = pool.request("POST", server.url, preload_content=False)
        yield response
        response.close()


def openai_client(server: Loopback) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{server.origin}/v1", api_key="none", max_retries=0, http_client=httpx2.Client(verify=TLS)
    )


@contextmanager
def by_openai_stream(server: Loopback) -> Generator[object]:
    with (
        openai_client(server) as client,
        client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True) as stream,
    ):
        yield stream


@contextmanager
def by_openai_response(server: Loopback) -> Generator[object]:
    with openai_client(server) as client:
        runs = client.beta.threads.runs.with_streaming_response
        with runs.create("thread_1", assistant_id="asst_1", stream=True) as response:
            yield response


@contextmanager
def by_azure_core(server: Loopback) -> Generator[object]:
    with RequestsTransport() as transport, transport.send(HttpRequest("POST", server.url), stream=True) as response:
        yield response


# Never asked: the policy that would ask is replaced, since it insists on TLS.
CREDENTIAL = AzureKeyCredential("none")


@contextmanager
def by_azure_agents(server: Loopback) -> Generator[object]:
    with (
        AgentsClient(
            server.origin, cast("TokenCredential", CREDENTIAL), authentication_policy=SansIOHTTPPolicy()
        ) as client,
        client.runs.stream("thread_1", agent_id="asst_1") as handler,
    ):
        yield handler.response_iterator


@contextmanager
def by_azure_agents_handler(server: Loopback) -> Generator[object]:
    with (
        AgentsClient(
            server.origin, cast("TokenCredential", CREDENTIAL), authentication_policy=SansIOHTTPPolicy()
        ) as client,
        client.runs.stream("thread_1", agent_id="asst_1") as handler,
    ):
        yield handler


@contextmanager
def by_azure_agents_stream(server: Loopback) -> Generator[object]:
    with AgentsClient(
        server.origin, cast("TokenCredential", CREDENTIAL), authentication_policy=SansIOHTTPPolicy()
    ) as client:
        yield client.runs.stream("thread_1", agent_id="asst_1")


@asynccontextmanager
async def by_async_httpx(server: Loopback) -> AsyncGenerator[object]:
    async with httpx.AsyncClient(verify=TLS) as client, client.stream("POST", server.url) as response:
        yield response


@asynccontextmanager
async def by_async_httpx_sse(server: Loopback) -> AsyncGenerator[object]:
    async with httpx.AsyncClient(verify=TLS) as client, httpx_sse.aconnect_sse(client, "POST", server.url) as source:
        yield source


@asynccontextmanager
async def by_async_httpx2(server: Loopback) -> AsyncGenerator[object]:
    async with httpx2.AsyncClient(verify=TLS) as client, client.stream("POST", server.url) as response:
        yield response


@asynccontextmanager
async def by_async_httpx2_sse(server: Loopback) -> AsyncGenerator[object]:
    async with httpx2.AsyncClient(verify=TLS) as client, client.sse(server.url, method="POST") as source:
        yield source


@asynccontextmanager
async def by_aiohttp(server: Loopback) -> AsyncGenerator[object]:
    async with aiohttp.ClientSession() as session, session.post(server.url) as response:
        yield response


@asynccontextmanager
async def by_aiohttp_content(server: Loopback) -> AsyncGenerator[object]:
    async with aiohttp.ClientSession() as session, session.post(server.url) as response:
        yield response.content


def async_openai_client(server: Loopback) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{server.origin}/v1", api_key="none", max_retries=0, http_client=httpx2.AsyncClient(verify=TLS)
    )


@asynccontextmanager
async def by_async_openai_stream(server: Loopback) -> AsyncGenerator[object]:
    async with (
        async_openai_client(server) as client,
        await client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True) as stream,
    ):
        yield stream


@asynccontextmanager
async def by_async_openai_response(server: Loopback) -> AsyncGenerator[object]:
    async with async_openai_client(server) as client:
        runs = client.beta.threads.runs.with_streaming_response
        async with runs.create("thread_1", assistant_id="asst_1", stream=True) as response:
            yield response


@asynccontextmanager
async def by_async_azure_core(server: Loopback) -> AsyncGenerator[object]:
    async with (
        AioHttpTransport() as transport,
        await transport.send(HttpRequest("POST", server.url), stream=True) as response,
    ):
        yield response


@asynccontextmanager
async def by_async_azure_agents(server: Loopback) -> AsyncGenerator[object]:
    async with (
        AsyncAgentsClient(
            server.origin, cast("AsyncTokenCredential", CREDENTIAL), authentication_policy=SansIOHTTPPolicy()
        ) as client,
        await client.runs.stream("thread_1", agent_id="asst_1") as handler,
    ):
        yield handler.response_iterator


@asynccontextmanager
async def by_asyncio(server: Loopback) -> AsyncGenerator[object]:
    host, _, port = server.origin.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()
    await writer.wait_closed()


RESPONSES: list[Client] = [
    by_httpx,
    by_httpx_sse,
    by_httpx2,
    by_httpx2_sse,
    by_requests,
    by_urllib,
    by_urllib3,
    by_openai_stream,
    by_openai_response,
    by_azure_core,
]
ASYNC_RESPONSES: list[AsyncClient] = [
    by_async_httpx,
    by_async_httpx_sse,
    by_async_httpx2,
    by_async_httpx2_sse,
    by_aiohttp,
    by_async_openai_stream,
    by_async_openai_response,
    by_async_azure_core,
]
# azure.core reads a body that is not chunked 4,096 bytes at a time, and its clients hand out only that.
OWN_PACE: list[Client] = [by_azure_core, by_azure_agents, by_azure_agents_handler, by_azure_agents_stream]
SOURCES = [*RESPONSES, by_azure_agents, by_azure_agents_handler, by_azure_agents_stream]
ASYNC_SOURCES = [*ASYNC_RESPONSES, by_aiohttp_content, by_async_azure_agents]


def whole(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST)
    exchange.end()


def one_by_one(*, chunked: bool) -> Callable[[Exchange], None]:
    """Send each event only when the test has all updates of the one before."""

    def script(exchange: Exchange) -> None:
        exchange.head(chunked=chunked)
        for block in [*FIRST_EVENTS, DONE]:
            exchange.chunk(block)
            exchange.wait()
        exchange.end()

    return script


class Prompt:
    """Collects updates and lets the server send the next event at the last update of each."""

    def __init__(self, server: Loopback) -> None:
        self.updates: list[Update] = []
        self._server = server

    def take(self, update: Update) -> None:
        self.updates.append(update)
        expected = EXPECTED[len(self.updates) :]
        if not expected or expected[0].event_number != update.event_number:
            self._server.go_on()


def read_promptly(script: Callable[[Exchange], None], client: Client) -> list[Update]:
    """Read to the end from a script that waits for the updates of each event."""
    with Loopback(script) as server, client(server) as source:
        prompt = Prompt(server)
        for update in accumulate(source):
            prompt.take(update)
        return prompt.updates


def read_promptly_async(script: Callable[[Exchange], None], client: AsyncClient) -> list[Update]:
    async def read(server: Loopback) -> list[Update]:
        prompt = Prompt(server)
        async with client(server) as source:
            async for update in aaccumulate(source):
                prompt.take(update)
        return prompt.updates

    with Loopback(script) as server:
        return asyncio.run(read(server))


@pytest.mark.parametrize(
    ("client", "chunked"),
    [*((client, True) for client in SOURCES), *((client, False) for client in SOURCES if client not in OWN_PACE)],
)
def test_updates_come_as_soon_as_their_event(client: Client, chunked: bool) -> None:  # noqa: FBT001 - a parameter
    assert EXPECTED == read_promptly(one_by_one(chunked=chunked), client)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("client", ASYNC_SOURCES)
def test_async_updates_come_as_soon_as_their_event(client: AsyncClient, chunked: bool) -> None:  # noqa: FBT001
    assert EXPECTED == read_promptly_async(one_by_one(chunked=chunked), client)


def test_async_updates_come_from_a_bare_reader_as_soon_as_their_event() -> None:
    assert EXPECTED == read_promptly_async(one_by_one(chunked=False), by_asyncio)


def within_one_chunk(exchange: Exchange) -> None:
    """Send each event as `one_by_one` does, but all of them in one HTTP chunk, which is never finished."""
    exchange.head()
    exchange.send(b"%x\r\n" % (len(FIRST) + 1))
    for block in [*FIRST_EVENTS, DONE]:
        exchange.send(block)
        exchange.wait()


def dropped_within_one_chunk(exchange: Exchange) -> None:
    exchange.head()
    exchange.send(b"%x\r\n" % len(FIRST) + FIRST_EVENTS[0] + FIRST_EVENTS[1] + FIRST_EVENTS[2][:20])


@pytest.mark.parametrize("client", [client for client in SOURCES if client not in OWN_PACE])
def test_events_are_not_held_until_their_http_chunk_is_whole(client: Client) -> None:
    assert EXPECTED == read_promptly(within_one_chunk, client)


@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_async_events_are_not_held_until_their_http_chunk_is_whole(client: AsyncClient) -> None:
    assert EXPECTED == read_promptly_async(within_one_chunk, client)


@pytest.mark.parametrize("client", [client for client in SOURCES if client not in OWN_PACE])
def test_events_before_a_drop_within_an_http_chunk_are_handed_out(client: Client) -> None:
    expected = list(accumulate(FIRST_EVENTS[:2]))[:-1]
    updates: list[Update] = []
    with Loopback(dropped_within_one_chunk) as server, client(server) as source:
        stream = accumulate(source)
        with pytest.raises(TruncatedError) as caught:
            updates.extend(stream)
    assert (expected, ["Problem", "BodyEnded"]) == (updates[:-2], [type(update).__name__ for update in updates[-2:]])
    assert isinstance(caught.value.__cause__, Exception)


def never_ending(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST)
    exchange.wait_closed()


@pytest.mark.parametrize("client", RESPONSES)
def test_a_response_is_not_read_after_done(client: Client) -> None:
    with Loopback(never_ending) as server:
        with client(server) as source:
            assert EXPECTED == list(accumulate(source))
        assert server.client_closed.wait(PATIENCE)


@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_an_async_response_is_not_read_after_done(client: AsyncClient) -> None:
    async def read(server: Loopback) -> list[Update]:
        async with client(server) as source:
            return [update async for update in aaccumulate(source)]

    with Loopback(never_ending) as server:
        assert EXPECTED == asyncio.run(read(server))
        assert server.client_closed.wait(PATIENCE)


def begun(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST_EVENTS[0])
    exchange.wait_closed()


@pytest.mark.parametrize("client", SOURCES)
def test_leaving_the_block_closes_what_was_given(client: Client) -> None:
    with Loopback(begun) as server, client(server) as source:
        with accumulate(source) as stream:
            first = next(stream)
        assert server.client_closed.wait(PATIENCE)
        assert (EXPECTED[0], []) == (first, list(stream))


@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_leaving_the_async_block_closes_what_was_given(client: AsyncClient) -> None:
    async def read(server: Loopback) -> tuple[Update, list[Update]]:
        async with client(server) as source:
            async with aaccumulate(source) as stream:
                first = await anext(stream)
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)
            return first, [update async for update in stream]

    with Loopback(begun) as server:
        assert (EXPECTED[0], []) == asyncio.run(read(server))


def dropped(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST_EVENTS[0])


@pytest.mark.parametrize("client", SOURCES)
def test_a_dropped_connection_is_a_truncated_body(client: Client) -> None:
    expected = list(accumulate(FIRST_EVENTS[:1]))
    updates: list[Update] = []
    with Loopback(dropped) as server, client(server) as source:
        stream = accumulate(source)
        with pytest.raises(TruncatedError) as caught:
            updates.extend(stream)
        assert expected == updates
        assert isinstance(caught.value.__cause__, Exception)
        assert caught.value.accumulator is stream.accumulator


@pytest.mark.parametrize("client", ASYNC_SOURCES)
def test_a_dropped_connection_is_a_truncated_async_body(client: AsyncClient) -> None:
    expected = list(accumulate(FIRST_EVENTS[:1]))

    async def read(server: Loopback) -> None:
        async with client(server) as source:
            stream = aaccumulate(source)
            updates = [await anext(stream) for _ in expected]
            with pytest.raises(TruncatedError) as caught:
                await anext(stream)
        assert expected == updates
        assert isinstance(caught.value.__cause__, Exception)
        assert caught.value.accumulator is stream.accumulator

    with Loopback(dropped) as server:
        asyncio.run(read(server))


def page(exchange: Exchange) -> None:
    exchange.head(headers={"Content-Type": "text/html; charset=utf-8", "X-Request-Id": "req_1"})
    exchange.chunk("<title>Größe</title>".encode() + b"." * 5_000)
    exchange.end()


PAGE = ("<title>Größe</title>" + "." * 5_000).encode()[:2_048].decode()


@pytest.mark.parametrize("client", RESPONSES)
def test_a_response_of_another_content_type_is_refused(client: Client) -> None:
    with Loopback(page) as server, client(server) as source:
        stream = accumulate(source)
        with pytest.raises(ResponseError) as caught:
            next(stream)
        error = caught.value
        assert (200, "text/html; charset=utf-8", "req_1", PAGE) == (
            error.status,
            error.content_type,
            error.request_id,
            error.body,
        )
        assert error.accumulator is stream.accumulator
        assert ([], None) == (list(stream), stream.accumulator.outcome)


@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_an_async_response_of_another_content_type_is_refused(client: AsyncClient) -> None:
    async def read(server: Loopback) -> ResponseError:
        async with client(server) as source:
            with pytest.raises(ResponseError) as caught:
                await anext(aaccumulate(source))
        return caught.value

    with Loopback(page) as server:
        error = asyncio.run(read(server))
        assert (200, "text/html; charset=utf-8", "req_1", PAGE) == (
            error.status,
            error.content_type,
            error.request_id,
            error.body,
        )


def mislabelled(exchange: Exchange) -> None:
    exchange.head(headers={"Content-Type": "text/html"})
    exchange.chunk(FIRST)
    exchange.end()


def way_on(error: ResponseError) -> str:
    """Return the call that the error names for the bytes of the response."""
    return str(error).partition("to fold such a body all the same: ")[2]


@pytest.mark.parametrize("client", RESPONSES)
def test_a_refusal_names_a_call_that_reads_the_response(client: Client) -> None:
    with Loopback(mislabelled) as server:
        with client(server) as source, pytest.raises(ResponseError) as caught:
            next(accumulate(source))
        with client(server) as source:
            names = {"accumulate": accumulate, "response": getattr(source, "response", source)}
            assert EXPECTED == list(eval(way_on(caught.value), names))  # noqa: S307 - a call that this library names


@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_an_async_refusal_names_a_call_that_reads_the_response(client: AsyncClient) -> None:
    async def read(server: Loopback) -> list[Update]:
        async with client(server) as source:
            with pytest.raises(ResponseError) as caught:
                await anext(aaccumulate(source))
        async with client(server) as source:
            names = {"aaccumulate": aaccumulate, "response": getattr(source, "response", source)}
            return [update async for update in eval(way_on(caught.value), names)]  # noqa: S307 - as in the sync test

    with Loopback(mislabelled) as server:
        assert EXPECTED == asyncio.run(read(server))


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("client", RESPONSES)
def test_a_response_of_a_general_type_is_read(client: Client, content_type: str | None) -> None:
    def script(exchange: Exchange) -> None:
        exchange.head(headers={"Content-Type": content_type} if content_type else {})
        exchange.chunk(FIRST)
        exchange.end()

    with Loopback(script) as server, client(server) as source:
        assert EXPECTED == list(accumulate(source))


@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_an_async_response_of_a_general_type_is_read(client: AsyncClient) -> None:
    def script(exchange: Exchange) -> None:
        exchange.head(headers={"Content-Type": "text/plain"})
        exchange.chunk(FIRST)
        exchange.end()

    async def read(server: Loopback) -> list[Update]:
        async with client(server) as source:
            return [update async for update in aaccumulate(source)]

    with Loopback(script) as server:
        assert EXPECTED == asyncio.run(read(server))


@pytest.mark.parametrize("client", SOURCES)
def test_a_sync_response_in_the_async_twin_names_the_other(client: Client) -> None:
    with Loopback(whole) as server, client(server) as source:
        with pytest.raises(TypeError, match=r"use accumulate\(\)"):
            aaccumulate(source)
        assert EXPECTED == list(accumulate(source))


@pytest.mark.parametrize("client", ASYNC_SOURCES)
def test_an_async_response_in_the_sync_function_names_the_other(client: AsyncClient) -> None:
    async def read(server: Loopback) -> list[Update]:
        async with client(server) as source:
            with pytest.raises(TypeError, match=r"use aaccumulate\(\)"):
                accumulate(source)
            return [update async for update in aaccumulate(source)]

    with Loopback(whole) as server:
        assert EXPECTED == asyncio.run(read(server))


# openai-python ends its own iteration before `done`, so its typed events lack it.
TYPED = list(accumulate(FIRST_EVENTS))


def test_the_typed_events_of_openai_are_taken() -> None:
    with Loopback(whole) as server, openai_client(server) as client:
        with client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True) as stream:
            assert TYPED == list(accumulate(iter(stream)))
        with client.beta.threads.runs.stream(thread_id="thread_1", assistant_id="asst_1") as handler:
            assert TYPED == list(accumulate(handler))


def test_the_typed_events_of_async_openai_are_taken() -> None:
    async def read(server: Loopback) -> None:
        async with async_openai_client(server) as client:
            runs = client.beta.threads.runs
            async with await runs.create("thread_1", assistant_id="asst_1", stream=True) as stream:
                assert TYPED == [update async for update in aaccumulate(aiter(stream))]
            async with runs.stream(thread_id="thread_1", assistant_id="asst_1") as handler:
                assert TYPED == [update async for update in aaccumulate(handler)]

    with Loopback(whole) as server:
        asyncio.run(read(server))


RAW = r"accumulate\(\) takes .*, a raw response of an SDK: give its \.parse\(\), or use \.with_streaming_response"


def test_a_raw_response_of_openai_is_told_the_right_spelling() -> None:
    with Loopback(whole) as server, openai_client(server) as client:
        runs = client.beta.threads.runs.with_raw_response
        raw = runs.create("thread_1", assistant_id="asst_1", stream=True)
        with pytest.raises(TypeError, match=f"^{RAW}"):
            accumulate(raw)
        assert EXPECTED == list(accumulate(raw.parse()))


def test_a_raw_response_of_async_openai_is_told_the_right_spelling() -> None:
    async def read(server: Loopback) -> list[Update]:
        async with async_openai_client(server) as client:
            runs = client.beta.threads.runs.with_raw_response
            raw = await runs.create("thread_1", assistant_id="asst_1", stream=True)
            with pytest.raises(TypeError, match=f"^a{RAW}"):
                aaccumulate(raw)
            return [update async for update in aaccumulate(raw.parse())]

    with Loopback(whole) as server:
        assert EXPECTED == asyncio.run(read(server))


def test_the_events_of_the_sse_libraries_are_taken() -> None:
    with Loopback(whole) as server:
        with httpx.Client(verify=TLS) as client, httpx_sse.connect_sse(client, "POST", server.url) as source:
            assert EXPECTED == list(accumulate(source.iter_sse()))
        with httpx2.Client(verify=TLS) as client2, client2.sse(server.url) as source2:
            assert EXPECTED == list(accumulate(iter(source2)))


PACKED = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}


def packed(*, chunked: bool) -> Callable[[Exchange], None]:
    """Send each event packed, and only when the test has all updates of the one before."""

    def script(exchange: Exchange) -> None:
        packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        exchange.head(headers=PACKED, chunked=chunked)
        for block in [*FIRST_EVENTS, DONE]:
            exchange.chunk(packer.compress(block) + packer.flush(zlib.Z_FINISH if block is DONE else zlib.Z_SYNC_FLUSH))
            exchange.wait()
        exchange.end()

    return script


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("client", [client for client in RESPONSES if client not in {by_urllib, *OWN_PACE}])
def test_a_compressed_body_is_unpacked_as_it_comes(client: Client, chunked: bool) -> None:  # noqa: FBT001 - a parameter
    assert EXPECTED == read_promptly(packed(chunked=chunked), client)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("client", ASYNC_RESPONSES)
def test_an_async_compressed_body_is_unpacked_as_it_comes(client: AsyncClient, chunked: bool) -> None:  # noqa: FBT001
    assert EXPECTED == read_promptly_async(packed(chunked=chunked), client)


def begun_packed(exchange: Exchange) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    exchange.head(headers=PACKED)
    exchange.chunk(packer.compress(FIRST_EVENTS[0]) + packer.flush(zlib.Z_SYNC_FLUSH))
    exchange.wait_closed()


@pytest.mark.parametrize("client", [by_httpx, by_httpx2, by_openai_response])
def test_leaving_the_block_closes_a_compressed_response(client: Client) -> None:
    with Loopback(begun_packed) as server, client(server) as source:
        with accumulate(source) as stream:
            assert EXPECTED[0] == next(stream)
        assert server.client_closed.wait(PATIENCE)


@pytest.mark.parametrize("client", [by_async_httpx, by_async_httpx2, by_async_openai_response])
def test_leaving_the_async_block_closes_a_compressed_response(client: AsyncClient) -> None:
    async def read(server: Loopback) -> None:
        async with client(server) as source:
            async with aaccumulate(source) as stream:
                assert EXPECTED[0] == await anext(stream)
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)

    with Loopback(begun_packed) as server:
        asyncio.run(read(server))


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_requests_has_read_already_is_taken(chunked: bool) -> None:  # noqa: FBT001 - a parameter
    def script(exchange: Exchange) -> None:
        exchange.head(chunked=chunked)
        exchange.chunk(FIRST)
        exchange.end()

    with Loopback(script) as server:
        response = requests.post(server.url, timeout=PATIENCE)
        assert EXPECTED == list(accumulate(response))
        assert STEP_AFTER_FIRST == accumulate(response).final_run_steps()[0].to_dict()


class OldRaw(io.BytesIO):
    """urllib3 before `read1`."""

    read1 = None  # type: ignore[assignment]

    def __init__(self, data: bytes, size: int | None, *, chunked: bool) -> None:
        super().__init__(data)
        self.chunked = chunked
        self._size = size

    def stream(self, size: int | None, *, decode_content: bool) -> Generator[bytes]:
        assert (self._size, True) == (size, decode_content)
        while chunk := self.read(size):
            yield chunk


@pytest.mark.parametrize(
    "raw",
    [io.BytesIO(FIRST), OldRaw(FIRST, 1, chunked=False), OldRaw(FIRST, None, chunked=True)],
    ids=["no urllib3", "not chunked", "chunked"],
)
def test_requests_without_a_prompt_reader_beneath_is_read_by_the_byte_or_the_http_chunk(raw: io.BytesIO) -> None:
    response = requests.Response()
    response.status_code = 200
    response.headers["Content-Type"] = "text/event-stream"
    response.raw = raw
    assert EXPECTED == list(accumulate(response))
