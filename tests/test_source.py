"""What can be given to read besides responses, and what each misuse is told."""

from __future__ import annotations

import asyncio
import gzip
import io
import math
import os
import socket
import subprocess
import sys
import tempfile
from collections import UserDict
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import anyio
import pydantic
import pytest
from azure.ai.agents.models import RunStepToolCall

from accumulator import (
    Accumulator,
    BodyEnded,
    Problem,
    ResponseError,
    TruncatedError,
    aaccumulate,
    accumulate,
    atap,
    tap,
)
from accumulator._formats import begins_like_events
from accumulator._streams.sources import make_async_source, make_source
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, STEP_AFTER_FIRST, delta, step
from tests.clock import Clock
from tests.loopback import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from pathlib import Path

    from accumulator import Update

EXPECTED = list(accumulate([FIRST]))


async def chunked(*chunks: object) -> AsyncIterator[object]:
    for chunk in chunks:
        yield chunk


def read_async(make: Callable[[], object]) -> list[Update]:
    async def read() -> list[Update]:
        return [update async for update in aaccumulate(make())]

    return asyncio.run(read())


# Files, pipes, iterables


def test_a_binary_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    path.write_bytes(FIRST)
    with path.open("rb") as file:
        assert EXPECTED == list(accumulate(file))
    with path.open("rb", buffering=0) as raw:
        assert EXPECTED == list(accumulate(raw))
    with gzip.open(path.with_suffix(".gz"), "wb") as packed:
        packed.write(FIRST)
    with gzip.open(path.with_suffix(".gz"), "rb") as packed:
        assert EXPECTED == list(accumulate(packed))
    assert EXPECTED == list(accumulate(io.BytesIO(FIRST)))


def test_a_pipe_is_read_as_it_is_written() -> None:
    receiver, sender = os.pipe()
    updates: list[Update] = []
    with open(receiver, "rb") as reader, open(sender, "wb", buffering=0) as writer:  # noqa: PTH123 - no path
        stream = accumulate(reader)
        for block, count in zip([*FIRST_EVENTS, DONE], (1, 1, 2, 1, 1, 1, 1), strict=True):
            writer.write(block)
            updates += (next(stream) for _ in range(count))
        writer.close()
        updates += stream
    assert EXPECTED == updates


def test_a_child_s_output_is_read() -> None:
    code = f"import sys; sys.stdout.buffer.write({FIRST!r})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert EXPECTED == list(accumulate(child.stdout))


def test_a_file_may_hold_several_bodies() -> None:
    assert ["requires_action", "completed"] == [
        update.outcome for update in accumulate(io.BytesIO(FIRST + SECOND)) if isinstance(update, BodyEnded)
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_chunks_are_anything_like_bytes(kind: Callable[[bytes], object]) -> None:
    chunks = [kind(block) for block in [*FIRST_EVENTS, b"", DONE]]
    assert EXPECTED == list(accumulate(chunks))
    assert EXPECTED == list(accumulate(chunk for chunk in chunks))
    assert EXPECTED == read_async(lambda: chunked(*chunks))


def test_what_is_folded_does_not_hang_on_the_caller_s_buffer() -> None:
    buffer = bytearray(FIRST)

    def chunks() -> Iterator[bytearray]:
        yield buffer
        buffer[:] = b"x" * len(buffer)

    assert EXPECTED == list(accumulate(chunks()))


def test_asynchronous_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    path.write_bytes(FIRST)

    async def read() -> None:
        async with await anyio.open_file(path, "rb") as file:
            assert EXPECTED == [update async for update in aaccumulate(file)]
        async with await anyio.open_file(path, "rb") as file:
            async with aaccumulate(file) as stream:
                await anext(stream)
            assert file.wrapped.closed
        async with await anyio.open_file(path) as text:
            with pytest.raises(TypeError, match='use open\\(path, "rb"\\)'):
                aaccumulate(text)

    asyncio.run(read())


def test_an_asyncio_reader_takes_lines_of_any_length() -> None:
    long = delta({"index": 0, "type": "function", "function": {"arguments": "x" * 200_000}})

    async def read() -> list[Update]:
        reader = asyncio.StreamReader(limit=1_024)
        reader.feed_data(FIRST_EVENTS[1] + FIRST_EVENTS[2] + long)
        reader.feed_eof()
        return [update async for update in aaccumulate(reader)]

    assert list(accumulate([FIRST_EVENTS[1] + FIRST_EVENTS[2] + long])) == asyncio.run(read())


class Reader:
    """A reader without `read1`, closed by no method, whose `read` gives what it was made with."""

    def __init__(self, *results: object) -> None:
        self._results = iter(results)

    def read(self, _size: int) -> object:
        return next(self._results)


class AsyncReader(Reader):
    async def read(self, size: int) -> object:
        return super().read(size)


def test_a_reader_ends_with_an_empty_chunk() -> None:
    results = [FIRST[:100], bytearray(FIRST[100:]), bytearray()]
    with accumulate(Reader(*results)) as stream:
        assert EXPECTED == list(stream)
    assert EXPECTED == read_async(lambda: AsyncReader(*results))


# None is what a file in non-blocking mode returns: see below.
@pytest.mark.parametrize(("result", "came"), [(0, "int"), ("", "text"), ("event: done", "text")])
def test_a_reader_that_gives_no_bytes_is_misused(result: object, came: str) -> None:
    with pytest.raises(TypeError, match=f"got {came}"):
        accumulate(Reader(result)).until_done()
    with pytest.raises(TypeError, match=f"got {came}"):
        read_async(lambda: AsyncReader(result))


# Files in non-blocking mode


def step_by_hand(awaitable: Awaitable[object]) -> object:
    """Run a coroutine that never waits, without an event loop."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AssertionError


NOT_BLOCKING = "BlockingIOError: .* got one in non-blocking mode that has nothing yet: call os.set_blocking"


def made_pipe() -> tuple[int, int]:
    receiver, sender = os.pipe()
    os.set_blocking(receiver, False)
    return receiver, sender


def made_sockets() -> tuple[BinaryIO, socket.socket]:
    receiver, sender = socket.socketpair()
    with receiver:
        receiver.settimeout(0)
        return receiver.makefile("rb"), sender


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_pipe_that_has_nothing_yet_is_not_at_its_end(buffering: int) -> None:
    receiver, sender = made_pipe()
    with open(receiver, "rb", buffering=buffering) as reader, open(sender, "wb", buffering=0) as writer:  # noqa: PTH123
        run = Accumulator()
        stream = accumulate(reader, into=run)
        writer.write(FIRST_EVENTS[0] + FIRST_EVENTS[1])
        assert EXPECTED[:2] == [next(stream), next(stream)]
        with pytest.raises(TruncatedError, match=NOT_BLOCKING) as caught:
            stream.until_done()
        assert isinstance(caught.value.__cause__, BlockingIOError)
        assert ["step_1"] == [step.id for step in run.run_steps()]
        # The rest of the body may be read after all.
        writer.write(b"".join(FIRST_EVENTS[2:]) + DONE)
        writer.close()
        os.set_blocking(receiver, True)
        assert [STEP_AFTER_FIRST] == [step.to_dict() for step in accumulate(reader, into=run).final_run_steps()]


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_pipe_in_non_blocking_mode_has_an_end(buffering: int) -> None:
    receiver, sender = made_pipe()
    with open(receiver, "rb", buffering=buffering) as reader:  # noqa: PTH123
        with open(sender, "wb") as writer:  # noqa: PTH123
            writer.write(b"".join(FIRST_EVENTS))
        assert list(accumulate(FIRST_EVENTS)) == list(accumulate(reader))


def test_what_arrives_while_a_pipe_is_asked_for_its_end_is_read() -> None:
    receiver, sender = made_pipe()

    class Late(io.BufferedReader):
        def read1(self, size: int = -1, /) -> bytes:
            chunk = super().read1(size)
            if not chunk:
                os.write(sender, FIRST)
            return chunk

    with Late(io.FileIO(receiver)) as reader:
        assert EXPECTED == [update for update, _ in zip(accumulate(reader), EXPECTED, strict=False)]
    os.close(sender)


def test_a_socket_that_has_nothing_yet_is_not_at_its_end() -> None:
    reader, sender = made_sockets()
    with reader, sender:
        sender.sendall(FIRST_EVENTS[0])
        stream = accumulate(reader)
        assert EXPECTED[0] == next(stream)
        with pytest.raises(TruncatedError, match=NOT_BLOCKING):
            stream.until_done()


def test_a_socket_with_a_timeout_has_an_end() -> None:
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.settimeout(PATIENCE)
        sender.sendall(FIRST)
        sender.shutdown(socket.SHUT_WR)
        with receiver.makefile("rb") as reader:
            assert EXPECTED == list(accumulate(reader))


def test_a_file_on_a_disk_in_non_blocking_mode_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.sse"
    path.write_bytes(FIRST)

    async def read(file: BinaryIO) -> list[Update]:
        return [update async for update in aaccumulate(anyio.wrap_file(file))]

    for buffering in (-1, 0):
        with path.open("rb", buffering=buffering) as file:
            os.set_blocking(file.fileno(), False)
            assert EXPECTED == list(accumulate(file))
            file.seek(0)
            assert EXPECTED == asyncio.run(read(file))


@pytest.mark.parametrize("buffering", [-1, 0])
def test_an_async_reader_waits_until_its_pipe_has_something(buffering: int) -> None:
    async def read() -> list[Update]:
        receiver, sender = made_pipe()
        updates: list[Update] = []
        with open(sender, "wb", buffering=0) as writer:  # noqa: ASYNC230, PTH123 - no path
            file = open(receiver, "rb", buffering=buffering)  # noqa: ASYNC230, PTH123, SIM115
            async with anyio.wrap_file(file) as reader:
                stream = aaccumulate(reader)
                for block, count in zip([*FIRST_EVENTS, DONE], (1, 1, 2, 1, 1, 1, 1), strict=True):
                    waiting = asyncio.create_task(anext(stream))
                    for _ in range(20):
                        await asyncio.tasks.sleep(0)
                    writer.write(block)
                    updates.append(await waiting)
                    updates += [await anext(stream) for _ in range(count - 1)]
                writer.close()
                return [*updates, *[update async for update in stream]]

    assert EXPECTED == asyncio.run(read())


def test_an_async_reader_without_a_descriptor_to_wait_for_is_a_broken_source() -> None:
    stream = aaccumulate(AsyncReader(FIRST_EVENTS[0], None, FIRST))
    assert EXPECTED[0] == step_by_hand(anext(stream))
    with pytest.raises(TruncatedError, match=NOT_BLOCKING):
        step_by_hand(stream.until_done())
    with pytest.raises(TruncatedError, match=NOT_BLOCKING):
        accumulate(Reader(FIRST_EVENTS[0], None, FIRST)).until_done()


def test_the_command_tells_that_its_input_is_in_non_blocking_mode() -> None:
    receiver, sender = made_pipe()
    os.write(sender, FIRST_EVENTS[0] + FIRST_EVENTS[1])
    done = subprocess.run(
        [sys.executable, "-m", "accumulator", "--json", "-"],
        stdin=receiver,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(receiver)
    os.close(sender)
    assert (2, 1) == (done.returncode, done.stdout.count("\n"))
    assert "in non-blocking mode that has nothing yet" in done.stderr


# Events


def framed(data: Callable[[object], object]) -> list[object]:
    """Return the events of the first body with their data in some form."""
    import json

    items: list[object] = []
    for block in FIRST_EVENTS:
        name, _, text = block.decode().removeprefix("event: ").strip().partition("\ndata: ")
        items.append(SimpleNamespace(event=name, data=data(json.loads(text))))
    return [*items, SimpleNamespace(event="done", data="[DONE]")]


class OpenUnindexed(pydantic.BaseModel, extra="allow"):
    """A model that knows no field."""


class Typed(pydantic.BaseModel, extra="allow"):
    """A model with a field that the payload may lack and one by another name; its warnings are no news."""

    never_sent: int | None = None
    ident: int = pydantic.Field(alias="id")


class ToDict:
    """A model that offers only `to_dict`."""

    def __init__(self, payload: object) -> None:
        self._payload = payload

    def to_dict(self) -> object:
        return self._payload


class AsDict(ToDict):
    """A model that offers only `as_dict`."""

    to_dict = None  # type: ignore[assignment]

    def as_dict(self) -> object:
        return self._payload


def text(payload: object) -> str:
    import json

    return json.dumps(payload)


FORMS: dict[str, Callable[[object], object]] = {
    "str": text,
    "bytes": lambda payload: text(payload).encode(),
    "bytearray": lambda payload: bytearray(text(payload).encode()),
    "memoryview": lambda payload: memoryview(text(payload).encode()),
    "dict": lambda payload: payload,
    "pydantic": OpenUnindexed.model_validate,
    "pydantic unset": lambda payload: Typed.model_construct(None, **payload),  # type: ignore[arg-type]
    "to_dict": ToDict,
    "as_dict": AsDict,
    "nested": lambda payload: {
        key: ToDict(cast("object", value)) if isinstance(value, dict) else value
        for key, value in cast("dict[str, object]", payload).items()
    },
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_events_are_taken_in_any_form_of_data(form: Callable[[object], object]) -> None:
    items = framed(form)
    stream = accumulate(items)
    kinds = [(type(update).__name__, update.event_number) for update in EXPECTED]
    assert kinds == [(type(update).__name__, update.event_number) for update in stream]
    assert ([STEP_AFTER_FIRST], ()) == (
        [step.to_dict() for step in accumulate(items).final_run_steps()],
        stream.accumulator.problems,
    )
    assert kinds == [(type(update).__name__, update.event_number) for update in read_async(lambda: chunked(*items))]


SHAPES: dict[str, Callable[[object, object], object]] = {
    "attributes": lambda event, data: SimpleNamespace(event=event, data=data),
    "a pair": lambda event, data: (event, data),
    "a mapping": lambda event, data: {"event": event, "data": data},
    "a mapping with more": lambda event, data: {"id": "1", "event": event, "retry": None, "data": data},
    "a mapping with an attribute": lambda event, data: UserDict({"event": event, "data": data}),
    "a mapping that is no dict": lambda event, data: MappingProxyType({"event": event, "data": data}),
    "a named tuple": lambda event, data: Named(data, event),
}


class Named(NamedTuple):
    """An event whose attributes stand in another order than those of a pair."""

    data: object
    event: object


@pytest.mark.parametrize("form", [FORMS["str"], FORMS["dict"]], ids=["text", "object"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_events_are_taken_in_any_shape(
    shape: Callable[[object, object], object], form: Callable[[object], object]
) -> None:
    items = [shape(each.event, each.data) for each in cast("list[SimpleNamespace]", framed(form))]
    assert list(accumulate(framed(form))) == list(accumulate(items))
    assert list(accumulate(framed(form))) == read_async(lambda: chunked(*items))
    enveloped = '{"event": "thread.run.step.created", "data": ' + text(STEP_AFTER_FIRST) + "}"
    run = accumulate([shape(None, enveloped)]).until_done()
    assert [STEP_AFTER_FIRST] == [step.to_dict() for step in run.run_steps()]


def test_a_model_of_azure_is_taken() -> None:
    call = RunStepToolCall({"type": "mcp", "id": "call_1", "arguments": "{}", "new": [1, 1.0, None]})
    payload = {**step("in_progress", []), "step_details": {"type": "tool_calls", "tool_calls": [call]}}
    stream = accumulate([SimpleNamespace(event="thread.run.step.created", data=payload)])
    expected = {**payload, "step_details": {"type": "tool_calls", "tool_calls": [call.as_dict()]}}
    assert [expected] == [step.to_dict() for step in stream.until_done().run_steps()]


def test_an_event_without_a_name_is_a_message() -> None:
    enveloped = '{"event": "thread.run.step.created", "data": ' + text(STEP_AFTER_FIRST) + "}"
    for name in (None, "message", ""):
        run = accumulate([SimpleNamespace(event=name, data=enveloped)]).until_done()
        assert [STEP_AFTER_FIRST] == [step.to_dict() for step in run.run_steps()]


def test_a_mapping_is_written_as_it_is() -> None:
    halves = ["\ud83c", "\udfd4"]
    events = [
        SimpleNamespace(
            event="thread.run.step.delta",
            data={
                "id": "step_1",
                "delta": {
                    "step_details": {
                        "type": "tool_calls",
                        "tool_calls": [{"index": 0, "type": "function", "function": {"arguments": half}}],
                    }
                },
            },
        )
        for half in halves
    ]
    call = accumulate(events).until_done().tool_call("step_1", 0)
    assert call is not None
    assert {"arguments": "🏔"} == call.to_dict()["function"]
    nan = accumulate([SimpleNamespace(event="thread.run.created", data={"id": math.nan})])
    assert ["undecodable"] == [update.kind for update in nan if isinstance(update, Problem)]


def circle() -> dict[str, object]:
    data: dict[str, object] = {}
    data["self"] = data
    return data


def deep() -> dict[str, object]:
    data: dict[str, object] = {}
    for _ in range(100_000):
        data = {"a": data}
    return data


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("event: done", "expected chunks of bytes, got text"),
        (1, r"expected chunks of bytes, or events with .event and .data, as \(event, data\) or as .*, got int"),
        # A tuple of two and a mapping of both keys are events.
        (("event", "data", "id"), "got tuple"),
        (["event", "data"], "got list"),
        ({"event": "ping"}, "got dict"),
        ({"data": "{}"}, "got dict"),
        ((1, "data"), "got tuple"),
        (SimpleNamespace(event=1, data=""), "got SimpleNamespace"),
        (SimpleNamespace(event="ping"), "got SimpleNamespace"),
        (SimpleNamespace(event="ping", data=None), "expected an event's data to be text, bytes, .* got NoneType"),
        (SimpleNamespace(event="ping", data=[]), "got list"),
        (
            SimpleNamespace(event="ping", data={"a": {1}}),
            "expected an event's data to hold only what JSON can, got set",
        ),
        (SimpleNamespace(event="ping", data=circle()), "expected an event's data to be writable as JSON, got dict"),
        (SimpleNamespace(event="ping", data=deep()), "expected an event's data to be writable as JSON, got dict"),
        (SimpleNamespace(event="ping", data={(1, 2): 3}), "keys must be"),
    ],
)
def test_an_item_that_is_no_chunk_and_no_event_is_misuse(item: object, message: str) -> None:
    stream = accumulate([FIRST_EVENTS[0], item, DONE])
    updates: list[Update] = []
    with pytest.raises(TypeError, match=message):
        updates.extend(stream)
    assert list(accumulate([FIRST_EVENTS[0]])) == updates
    assert ([], "truncated") == (list(stream), stream.accumulator.outcome)
    with pytest.raises(TypeError, match=message):
        stream.final_run_steps()
    with pytest.raises(TypeError, match=message):
        read_async(lambda: chunked(FIRST_EVENTS[0], item, DONE))


# Misuse that is told when the stream is made


class Iterates:
    """An iterable of either kind, or of both."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([FIRST])

    def __aiter__(self) -> AsyncIterator[object]:
        return chunked(FIRST)


class Piped:
    stdout = None


class Socketed:
    def makefile(self, mode: str) -> None: ...


class Entered:
    """A context manager that was not entered."""

    def __enter__(self) -> None:
        raise AssertionError

    def __exit__(self, *_exc_info: object) -> None:
        raise AssertionError


class AsyncEntered:
    """An async context manager that was not entered."""

    async def __aenter__(self) -> None:
        raise AssertionError

    async def __aexit__(self, *_exc_info: object) -> None:
        raise AssertionError


@pytest.mark.parametrize("function", [accumulate, aaccumulate])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("run.sse", r"got str: for a file give Path\(path\), for text \[text.encode\(\)\]"),
        (FIRST, r"got bytes: for a whole body give \[data\]"),
        (bytearray(FIRST), r"got bytearray: for a whole body give \[data\]"),
        (memoryview(FIRST), r"got memoryview: for a whole body give \[data\]"),
        (io.StringIO("event: done"), r'got StringIO, a text file: use open\(path, "rb"\) or sys.stdin.buffer'),
        (None, "takes a response, a path, a binary file, or an iterable of bytes or of events; got NoneType"),
        (7, "got int"),
        (object(), "got object"),
        (list, "got type"),
        (Piped(), "got Piped: give its .stdout"),
        (Socketed(), r'got Socketed: give its .makefile\("rb"\)'),
        (Entered(), "got Entered, a context manager: enter it and give what it yields"),
        (AsyncEntered(), "got AsyncEntered, a context manager: enter it and give what it yields"),
    ],
)
def test_what_cannot_be_read_is_told_the_right_spelling(
    function: Callable[[object], object], given: object, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        function(given)


def test_a_text_file_in_a_wrapper_is_told_the_right_spelling() -> None:
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as file, pytest.raises(TypeError, match="a text file"):
        accumulate(file)


def test_a_coroutine_is_to_be_awaited() -> None:
    async def request() -> None:
        return

    coroutine = request()
    with pytest.raises(TypeError, match="got coroutine: await it and give its result"):
        aaccumulate(coroutine)
    coroutine.close()


def test_a_source_of_the_other_kind_is_told_the_other_function() -> None:
    async def asynchronous() -> None:
        with pytest.raises(
            TypeError, match=r"accumulate\(\) got an async source, async_generator: use aaccumulate\(\)"
        ):
            accumulate(chunked())
        with pytest.raises(TypeError, match=r"StreamReader: use aaccumulate\(\)"):
            accumulate(asyncio.StreamReader())

    asyncio.run(asynchronous())
    for source in ([FIRST], io.BytesIO(FIRST), iter([FIRST])):
        with pytest.raises(
            TypeError, match=r"aaccumulate\(\) got a source that is read without await, .*: use accumulate"
        ):
            aaccumulate(source)


def test_a_tap_names_the_other_tap_for_a_source_of_the_other_kind() -> None:
    with pytest.raises(TypeError, match=r"^tap\(\) got an async source, async_generator: use atap\(\)$"):
        tap(chunked())
    with pytest.raises(TypeError, match=r"^atap\(\) got a source that is read without await, list: use tap\(\)$"):
        atap([b""])
    with pytest.raises(TypeError, match=r"^tap\(\) takes a response, a path, a binary file, .*; got int$"):
        tap(7)


def test_an_iterable_of_both_kinds_is_read_either_way() -> None:
    assert EXPECTED == list(accumulate(Iterates()))
    assert EXPECTED == read_async(Iterates)


# Things with `.response`, and answers


class Answer:
    """An answer with whatever head; `iter_bytes` gives what it was made with."""

    def __init__(self, chunks: Iterable[bytes], *, status: object = 200, headers: object = None) -> None:
        self._chunks = chunks
        self.status = status
        self.headers = {"content-TYPE": "text/event-stream"} if headers is None else headers
        self.closed = 0

    def iter_bytes(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self.closed += 1


class AsyncAnswer(Answer):
    """One whose only method is `aiter_bytes`."""

    iter_bytes = None  # type: ignore[assignment]

    async def aiter_bytes(self) -> AsyncIterator[object]:
        for chunk in self._chunks:
            yield chunk


def test_closing_closes_the_response_where_its_holder_cannot_be_closed() -> None:
    answer = Answer([FIRST])
    with accumulate(SimpleNamespace(response=answer)) as stream:
        assert EXPECTED == list(stream)
    assert 1 == answer.closed


def test_closing_closes_the_holder_of_a_response() -> None:
    answer, closed = Answer([FIRST]), list[str]()
    with accumulate(SimpleNamespace(response=answer, close=lambda: closed.append("holder"))) as stream:
        assert EXPECTED == list(stream)
    assert (["holder"], 0) == (closed, answer.closed)


def test_closing_closes_an_iterator_that_was_made_here() -> None:
    ended: list[str] = []

    class Owner:
        def __iter__(self) -> Iterator[bytes]:
            try:
                yield from FIRST_EVENTS
            finally:
                ended.append("iterator")

        def close(self) -> None:
            ended.append("given")

    with accumulate(Owner()) as stream:
        next(stream)
    assert ["iterator", "given"] == ended


def test_an_attribute_named_response_that_is_none_is_passed_over() -> None:
    class Numbered(list[bytes]):
        response = 7

    assert EXPECTED == list(accumulate(Numbered([FIRST])))


def test_an_async_answer_that_offers_only_aiter_bytes_is_read() -> None:
    assert EXPECTED == read_async(lambda: AsyncAnswer([FIRST]))
    with pytest.raises(TypeError, match="use aaccumulate"):
        accumulate(AsyncAnswer([FIRST]))


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (404, {"Content-Type": "application/json", "apim-request-id": "b"}, (404, "application/json", "b")),
        (503, {"Content-Type": "text/event-stream", "X-MS-Request-Id": "c"}, (503, "text/event-stream", "c")),
        (302, {}, (302, "", None)),
        (200, {"Content-Type": "text/event-streams"}, (200, "text/event-streams", None)),
        (200, {}, (200, "", None)),
        (200, 7, (200, "", None)),
    ],
)
def test_an_answer_that_is_no_event_stream_is_refused(
    status: int, headers: object, expected: tuple[int, str, str | None]
) -> None:
    error_body = b'{"error": "\xff"}'
    answers = (
        Answer([error_body], status=status, headers=headers),
        AsyncAnswer([error_body], status=status, headers=headers),
    )
    with pytest.raises(ResponseError, match="expected a 2xx answer of content type text/event-stream, got") as caught:
        accumulate(answers[0]).final_run_steps()
    with pytest.raises(ResponseError) as caught_async:
        read_async(lambda: answers[1])
    for error in (caught.value, caught_async.value):
        assert (*expected, '{"error": "\ufffd"}') == (error.status, error.content_type, error.request_id, error.body)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/event-stream",
        "Text/Event-Stream;charset=utf-8",
        "text/event-stream ;x=y",
        # An event stream is always UTF-8.
        "text/event-stream; charset=latin-1",
        "text/event-stream; charset=utf-16",
    ],
)
def test_a_content_type_may_be_written_in_any_way(content_type: str) -> None:
    assert EXPECTED == list(accumulate(Answer([FIRST], headers={"Content-Type": content_type})))


@pytest.mark.parametrize("status", ["completed", None, True])
def test_a_status_that_is_not_http_s_is_not_checked(status: object) -> None:
    assert EXPECTED == list(accumulate(Answer([FIRST], status=status, headers={})))


def test_a_refused_body_that_cannot_be_read_gives_what_it_has() -> None:
    def broken() -> Iterator[bytes]:
        yield b"No"
        raise OSError

    with pytest.raises(ResponseError) as caught:
        accumulate(Answer(broken(), status=500)).until_done()
    with pytest.raises(ResponseError) as caught_async:
        read_async(lambda: AsyncAnswer(broken(), status=500))
    assert ("No", "No") == (caught.value.body, caught_async.value.body)


def test_a_refused_body_is_read_only_at_its_start() -> None:
    read: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1_000)
            yield b"x" * 1_000

    with pytest.raises(ResponseError) as caught:
        accumulate(Answer(endless(), status=500)).until_done()
    with pytest.raises(ResponseError) as caught_async:
        read_async(lambda: AsyncAnswer(endless(), status=500))
    assert ("x" * 2_048, "x" * 2_048, [1_000] * 6) == (caught.value.body, caught_async.value.body, read)


class Dripping(AsyncAnswer):
    """A refused answer whose body is a byte at a time, each some seconds after the one before."""

    def __init__(self, seconds: float, *, headers: object = None) -> None:
        super().__init__([], status=500 if headers is None else 200, headers=headers)
        self.clock = Clock()
        self.read = 0
        self._seconds = seconds

    def iter_bytes(self) -> Iterator[bytes]:  # type: ignore[override]
        while True:
            self.clock.now += self._seconds
            self.read += 1
            yield b"x"

    async def aiter_bytes(self) -> AsyncIterator[object]:
        for chunk in self.iter_bytes():
            yield chunk


@pytest.mark.parametrize("headers", [None, {}], ids=["status 500", "no content type"])
@pytest.mark.parametrize(("seconds", "count"), [(0.3, 4), (0.5, 2), (1.0, 1), (60.0, 1), (0.0, 2_048)])
def test_a_refused_body_that_drips_is_read_for_a_second(seconds: float, count: int, headers: object) -> None:
    # Where the first byte decides that the answer is refused, the second begins behind it.
    count += headers is not None and count < 2_048
    answer = Dripping(seconds, headers=headers)
    with pytest.raises(ResponseError) as caught:
        next(make_source(SimpleNamespace(response=sync_only(answer)), "", "", clock=answer.clock))
    assert ("x" * count, count) == (caught.value.body, answer.read)

    answer = Dripping(seconds, headers=headers)
    source = make_async_source(answer, "", "", clock=answer.clock)
    with pytest.raises(ResponseError) as caught:
        step_by_hand(anext(source))
    assert ("x" * count, count) == (caught.value.body, answer.read)

    answer = Dripping(seconds, headers=headers)

    async def read() -> None:
        await anext(make_async_source(answer, "", "", clock=answer.clock))

    with pytest.raises(ResponseError) as caught:
        asyncio.run(read())
    assert ("x" * count, count) == (caught.value.body, answer.read)


def sync_only(answer: Dripping) -> object:
    return SimpleNamespace(status=answer.status, headers=answer.headers, iter_bytes=answer.iter_bytes)


class Silent(AsyncAnswer):
    """An answer that says something and is silent then."""

    async def aiter_bytes(self) -> AsyncIterator[object]:
        yield b"No"
        await asyncio.Event().wait()


def test_an_async_refused_body_that_is_silent_is_given_up_after_a_second() -> None:
    async def read(answer: Silent) -> ResponseError:
        async with aaccumulate(answer) as stream:
            with pytest.raises(ResponseError) as caught:
                await anext(stream)
        return caught.value

    error = asyncio.run(read(Silent([], status=500)))
    assert ("No", None, None) == (error.body, error.__cause__, error.__context__)


def test_a_refused_body_is_given_up_when_its_reader_is_cancelled() -> None:
    async def main() -> None:
        answer = Silent([], status=500)
        task = asyncio.create_task(aaccumulate(answer).until_done())
        for _ in range(5):
            await asyncio.tasks.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


# Answers whose content type does not tell what they are

GENERAL = [
    {},
    {"Content-Type": ""},
    {"Content-Type": "text/plain"},
    {"Content-Type": "Text/Plain; charset=latin-1"},
    {"Content-Type": "application/octet-stream"},
]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"event:", True),
        (b"data: {", True),
        (b"id:1", True),
        (b"retry: 5", True),
        (b": hello", True),
        (b":", True),
        (b"\xef\xbb\xbf\r\n\n\revent: a", True),
        (b"\r\n\r\ndata:", True),
        (b"\n" * 5_000 + b"data:", True),
        (b"", None),
        (b"\xef", None),
        (b"\xef\xbb\xbf", None),
        (b"\r\n\n", None),
        (b"e", None),
        (b"event", None),
        (b"\xef\xbb\xbfdat", None),
        (b"\n" * 2_048, None),
        (b"\n" * 2_049, False),
        (b"event\n", False),
        (b"Event: a", False),
        (b" data: x", False),
        (b"events: x", False),
        (b"\xef\xbbx", False),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata:", False),
        (b"\n\xef", False),
        (b"{", False),
        (b"<", False),
        (b"[DONE]", False),
        (b"\xff\xfee\x00", False),
    ],
)
def test_the_first_line_tells_whether_a_body_begins_like_an_event_stream(start: bytes, expected: bool | None) -> None:  # noqa: FBT001 - a parameter
    assert expected is begins_like_events(start)


@pytest.mark.parametrize("headers", GENERAL)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n", b": hello\n\n"])
@pytest.mark.parametrize("size", [1, 10**6])
def test_an_answer_of_a_general_type_is_read_if_it_begins_like_an_event_stream(
    headers: dict[str, str], before: bytes, size: int
) -> None:
    body = before + FIRST
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert EXPECTED == list(accumulate(Answer(chunks, headers=headers)))
    assert EXPECTED == read_async(lambda: AsyncAnswer(chunks, headers=headers))
    assert [STEP_AFTER_FIRST] == [
        step.to_dict() for step in accumulate(Answer(chunks, headers=headers)).final_run_steps()
    ]


@pytest.mark.parametrize("body", [b'{"id": "run_1"}', b"<html>data: x", b"eventually", b"", b"\xef\xbb", b"\n" * 3_000])
@pytest.mark.parametrize("headers", GENERAL)
@pytest.mark.parametrize("size", [1, 10**6])
def test_an_answer_of_a_general_type_is_refused_if_it_begins_otherwise(
    body: bytes, headers: dict[str, str], size: int
) -> None:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    message = (
        f"expected a 2xx answer of content type text/event-stream, got status 200, content type "
        f"{headers.get('Content-Type') or 'none'}, and a body that does not begin like an event stream; "
        "to fold such a body all the same: "
    )
    stream = accumulate(Answer(chunks, headers=headers))
    with pytest.raises(ResponseError) as caught:
        stream.until_done()
    with pytest.raises(ResponseError) as caught_async:
        read_async(lambda: AsyncAnswer(chunks, headers=headers))
    start = body[:2_048].decode("utf-8", "replace")
    assert (f"{message}accumulate(response.iter_bytes())", start) == (str(caught.value), caught.value.body)
    assert (f"{message}aaccumulate(response.aiter_bytes())", start) == (
        str(caught_async.value),
        caught_async.value.body,
    )
    assert stream.accumulator.outcome is None


@pytest.mark.parametrize(
    ("chunks", "count"),
    [
        ([b":", b"x"], 1),
        ([b"<", b"x"], 1),
        ([b"da", b"ta", b":", b"x"], 3),
        ([b"", b"\n", b"event: x", b"x"], 3),
        ([b"data", b"\n", b"x"], 2),
    ],
)
def test_no_more_is_read_than_decides(chunks: list[bytes], count: int) -> None:
    source = Answer(iter(chunks), headers={})
    made = make_source(source, "accumulate", "aaccumulate")
    made.look()
    made.look()
    assert count == len(chunks) - len(list(source.iter_bytes()))


@pytest.mark.parametrize("content_type", ["application/json", "text/html; charset=utf-8", "application/problem+json"])
def test_an_answer_of_another_type_is_refused_whatever_it_begins_with(content_type: str) -> None:
    answer = Answer([FIRST], headers={"Content-Type": content_type, "x-request-id": "req_1"})
    with pytest.raises(ResponseError) as caught:
        accumulate(answer).until_done()
    assert (
        f"expected a 2xx answer of content type text/event-stream, got status 200, content type {content_type} "
        "(request req_1); to fold such a body all the same: accumulate(response.iter_bytes())"
    ) == str(caught.value)


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/event-stream", "application/json"])
@pytest.mark.parametrize("status", [199, 302, 404, 503])
def test_an_answer_without_success_is_refused_whatever_it_begins_with(status: int, content_type: str) -> None:
    answer = Answer([FIRST], status=status, headers={"Content-Type": content_type})
    with pytest.raises(ResponseError) as caught:
        accumulate(answer).until_done()
    assert (
        f"expected a 2xx answer of content type text/event-stream, got status {status}, "
        f"content type {content_type or 'none'}"
    ) == str(caught.value)


@pytest.mark.parametrize("before", [[], [b"da"], [b"\n", b"event"]])
def test_a_source_that_breaks_before_its_body_decides_is_a_broken_source(before: list[bytes]) -> None:
    def broken() -> Iterator[bytes]:
        yield from before
        raise OSError("gone")

    stream = accumulate(Answer(broken(), headers={}))
    with pytest.raises(TruncatedError, match="OSError: gone"):
        stream.until_done()
    assert "truncated" == stream.accumulator.outcome
    with pytest.raises(TruncatedError, match="OSError: gone"):
        read_async(lambda: AsyncAnswer(broken(), headers={}))


def test_text_in_place_of_bytes_is_misuse_whatever_the_content_type() -> None:
    chunks = cast("list[bytes]", ["event: done"])
    with pytest.raises(TypeError, match="got text"):
        accumulate(Answer(chunks, headers={})).until_done()
    with pytest.raises(TypeError, match="got text"):
        read_async(lambda: AsyncAnswer(chunks, headers={}))


def test_what_opening_a_source_raises_is_a_broken_source() -> None:
    class Unopenable:
        def __iter__(self) -> Iterator[bytes]:
            raise OSError("gone")

    stream = accumulate(Unopenable())
    with pytest.raises(TruncatedError, match="OSError: gone"):
        stream.until_done()
