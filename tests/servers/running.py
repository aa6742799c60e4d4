"""A server in a process of its own, and what the library makes of a run that it streams.

A run is folded live, in one of three ways, and again from the bytes that were saved on the way: both must agree.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import queue
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpx
import pytest

from accumulator import (
    Accumulator,
    BodyEnded,
    ContentDelta,
    FunctionToolCall,
    FunctionToolCallDelta,
    TextDeltaBlock,
    ToolCallDelta,
    TruncatedError,
    accumulate,
    aconnect,
    connect,
    tap,
)
from tests.conftest import ROOT
from tests.loopback import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence

    from accumulator import ToolCall, Update

    Arguments = Callable[[str], dict[str, Any]]

START_PATIENCE = 180.0
"""Seconds in which a server has to be up: the LiteLLM proxy imports for several."""

QUIET = {
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY_DISABLED": "true",
    "LLAMPHOUSE_TELEMETRY": "0",
}
"""What keeps the servers from reporting to their makers, and from fetching what they also bring along."""


def environment(name: str) -> Path:
    """Return the folder of a server's environment; skip the module where the servers are not installed."""
    folder = os.environ.get("ACCUMULATOR_SERVERS")
    if folder is None:
        pytest.skip("the servers are not installed: `tox -e servers` does it", allow_module_level=True)
    return Path(folder, name)


class Server:
    """The process of a server: a context manager. It ends with its standard input, hence also when the tests do."""

    def __init__(self, name: str, folder: Path, *arguments: str) -> None:
        self._log = folder / f"{name}.log"
        python = str(environment(name) / "bin" / "python")
        self._command = [python, "-m", "tests.servers", name, *arguments]
        self._environment = {**QUIET, "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self._left: queue.Queue[str] = queue.Queue()
        self._port: queue.Queue[int | None] = queue.Queue()
        self._refused: list[str] = []
        self.origin = ""

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._reader = threading.Thread(target=self._read_reports)
        self._reader.start()
        port: int | None = None
        with suppress(queue.Empty):
            port = self._port.get(timeout=START_PATIENCE)
        if port is None:  # it ended, or it is too slow
            self.__exit__()
            raise AssertionError(f"the server did not start:\n{self._log.read_text(encoding='utf-8')[-3000:]}")
        self.origin = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._reader.join()
        assert [] == self._refused, "the server wanted to leave this machine"

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_left(self, url: str) -> None:
        """Wait until the server has seen the client of this request go away; one that has `done` may go early too."""
        while url != self.origin + self._left.get(timeout=PATIENCE):
            pass

    def _read_reports(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                report = json.loads(line)
                if "port" in report:
                    self._port.put(report["port"])
                elif "left" in report:
                    self._left.put(report["left"])
                else:
                    self._refused.append(report["refused"])
        self._port.put(None)


class Saved(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response, which keeps what passes, and whether it was closed."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        self._stream = stream
        self.data = b""
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._stream, httpx.SyncByteStream)
        for chunk in self._stream:
            self.data += chunk
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._stream, httpx.AsyncByteStream)
        async for chunk in self._stream:
            self.data += chunk
            yield chunk

    def close(self) -> None:
        assert isinstance(self._stream, httpx.SyncByteStream)
        self._stream.close()
        self.closed = True

    async def aclose(self) -> None:
        assert isinstance(self._stream, httpx.AsyncByteStream)
        await self._stream.aclose()
        self.closed = True


class SavingTransport(httpx.HTTPTransport):
    saved: Saved

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = self.saved = Saved(response.stream)
        return response


class AsyncSavingTransport(httpx.AsyncHTTPTransport):
    saved: Saved

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = self.saved = Saved(response.stream)
        return response


class Call(NamedTuple):
    """A function call, without its id."""

    name: str | None
    arguments: str | None
    output: str | None = None


class Facts(NamedTuple):
    """What a run came to, without ids and times.

    A step is its type, status and calls, a message its status and text, a problem its kind and path; `open` is how many
    steps and messages no ending came for.
    """

    outcome: str | None
    steps: Sequence[tuple[str | None, str | None, list[Call]]] = []
    messages: Sequence[tuple[str | None, str]] = []
    problems: Sequence[tuple[str, str | None]] = []
    open: int = 0


def _call(call: ToolCall) -> Call:
    assert isinstance(call, FunctionToolCall)
    assert call.function is not None
    return Call(call.function.name, call.function.arguments, call.function.output)


class Fold:
    """A run, folded while it comes, up to the end or to an update that is wanted."""

    def __init__(self, until: Callable[[Update], bool] | None = None) -> None:
        self.run = Accumulator()
        self.updates: list[Update] = []
        self.broken: BaseException | None = None
        self.saved: Saved
        self._until = until
        self._stop = False

    @property
    def facts(self) -> Facts:
        return Facts(
            self.run.outcome,
            [(step.type, step.status, [_call(call) for call in step.tool_calls]) for step in self.run.run_steps()],
            [(message.status, message.text) for message in self.run.messages()],
            [(problem.kind, problem.path) for problem in self.run.problems],
            sum(len(update.open) for update in self.updates if isinstance(update, BodyEnded)),
        )

    @property
    def streamed_text(self) -> str:
        """What the deltas of messages carried."""
        deltas = [update.delta for update in self.updates if isinstance(update, ContentDelta)]
        return "".join(delta.text.value or "" for delta in deltas if isinstance(delta, TextDeltaBlock) and delta.text)

    @property
    def streamed_arguments(self) -> str:
        """What the deltas of function calls carried, whichever call they were for."""
        deltas = [update.delta for update in self.updates if isinstance(update, ToolCallDelta)]
        functions = [delta.function for delta in deltas if isinstance(delta, FunctionToolCallDelta)]
        return "".join(function.arguments or "" for function in functions if function)

    def connect(self, url: str, arguments: Mapping[str, Any]) -> None:
        transport = SavingTransport()
        with (
            httpx.Client(transport=transport) as client,
            self._break_off(),
            connect(client, "POST", url, into=self.run, handler=self._see, **arguments) as stream,
        ):
            for _ in stream:
                if self._stop:
                    break
        self.saved = transport.saved

    def aconnect(self, url: str, arguments: Mapping[str, Any]) -> None:
        async def read() -> None:
            async with (
                httpx.AsyncClient(transport=transport) as client,
                aconnect(client, "POST", url, into=self.run, handler=self._see, **arguments) as stream,
            ):
                async for _ in stream:
                    if self._stop:
                        break

        transport = AsyncSavingTransport()
        with self._break_off():
            asyncio.run(read())
        self.saved = transport.saved

    def tap(self, url: str, arguments: Mapping[str, Any]) -> None:
        transport = SavingTransport()
        with (
            httpx.Client(transport=transport) as client,
            self._break_off(),
            client.stream("POST", url, **arguments) as response,
            tap(response, into=self.run, handler=self._see) as chunks,
        ):
            for _ in chunks:
                if self._stop:
                    break
        if chunks.error is not None:
            raise chunks.error
        self.saved = transport.saved

    def check_replay(self) -> None:
        """Fold the saved bytes: a file, no client, no network. All must be as it was live."""
        updates: list[Update] = []
        replayed = accumulate(io.BytesIO(self.saved.data), handler=updates.append).until_done()
        assert self.updates == updates
        assert self.run.run_steps() == replayed.run_steps()
        assert self.run.messages() == replayed.messages()
        assert list(self.run.problems) == list(replayed.problems)
        assert (self.run.outcome, self.run.error) == (replayed.outcome, replayed.error)

    def check_once(self) -> None:
        """Nothing is created or done twice."""
        once = [
            (type(update), _place(update))
            for update in self.updates
            if type(update).__name__.endswith(("Created", "Done"))
        ]
        assert len(set(once)) == len(once)

    def _see(self, update: Update) -> None:
        self.updates.append(update)
        self._stop = self._stop or (self._until is not None and self._until(update))

    @contextmanager
    def _break_off(self) -> Generator[None, None, None]:
        try:
            yield
        except TruncatedError as error:
            self.broken = error.__cause__
        except httpx.TransportError as error:  # the tap hands it on as it is
            self.broken = error


def _place(update: Update) -> tuple[object, ...]:
    return tuple(getattr(update, name, None) for name in ("step_id", "message_id", "index"))


WAYS: Mapping[str, Callable[[Fold, str, Mapping[str, Any]], None]] = {
    "connect": Fold.connect,
    "aconnect": Fold.aconnect,
    "tap": Fold.tap,
}
"""The ways to fold what a server sends: they must come to the same."""


def fold(way: str, url: str, **arguments: Any) -> Fold:  # noqa: ANN401 - the client's keywords
    """Fold a whole run in one of the ways, and once more from the bytes that were saved."""
    folded = Fold()
    WAYS[way](folded, url, {"timeout": PATIENCE, **arguments})
    assert folded.saved.closed
    folded.check_replay()
    folded.check_once()
    return folded


def leave(way: str, url: str, **arguments: Any) -> Fold:  # noqa: ANN401 - the client's keywords
    """Fold a run up to the first piece of a text, and go away."""
    folded = Fold(lambda update: isinstance(update, ContentDelta))
    WAYS[way](folded, url, {"timeout": PATIENCE, **arguments})
    assert folded.saved.closed
    return folded
