"""Callbacks: which hook hears what and when, what a hook may be, and how a stream ends when one raises."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from functools import partial
from typing import TYPE_CHECKING, Self, cast, get_args

import httpx
import pytest
from azure.ai.agents.models import AgentEventHandler, AsyncAgentEventHandler
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AssistantEventHandler, AsyncAssistantEventHandler

from accumulator import (
    Accumulator,
    BodyEnded,
    Handler,
    MergeError,
    Problem,
    RequiresAction,
    RunStream,
    RunUpdated,
    ToolCallDelta,
    TruncatedError,
    Update,
    aaccumulate,
    accumulate,
    aconnect,
    atap,
    connect,
    tap,
)
from accumulator._assistants.handler import HOOKS, IN_PLACE_OF
from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND, SECOND_EVENTS, STEP_AFTER_SECOND, event, step
from tests.loopback import PATIENCE, Loopback
from tests.strategies import make_run, tapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from accumulator import AsyncRunStream, ContentDelta, RunStepDone, UnknownEvent
    from tests.loopback import Exchange
    from tests.strategies import Run

    Callback = Callable[[Update], object]

# Never used, and dear to make: the clients would make one each.
TLS = ssl.create_default_context()
MODES = ["sync", "async", "async hooks"]
GENERATED_RUNS = 500
BODIES = [*FIRST_EVENTS, DONE, *SECOND_EVENTS, DONE]
BROKEN_STEP = b"event: thread.run.step.delta\ndata: nonsense\n\n"


def message_delta(*parts: object, message_id: str = "msg_1") -> bytes:
    return event(
        "thread.message.delta", {"id": message_id, "object": "thread.message.delta", "delta": {"content": list(parts)}}
    )


def text_part(value: object, index: int = 0) -> dict[str, object]:
    return {"index": index, "type": "text", "text": {"value": value}}


def message(status: str, *content: object) -> dict[str, object]:
    return {"id": "msg_1", "object": "thread.message", "status": status, "role": "assistant", "content": list(content)}


# Every kind of update, in two bodies.
EVERYTHING = [
    *FIRST_EVENTS,
    DONE,
    event("thread.run.step.in_progress", step("in_progress", [])),
    *SECOND_EVENTS,
    event("thread.message.created", message("in_progress")),
    event("thread.message.in_progress", message("in_progress")),
    message_delta(text_part("Grüezi")),
    event("thread.message.completed", message("completed", {"type": "text", "text": {"value": "Grüezi"}})),
    BROKEN_STEP,
    event("ping", {}),
    event("error", {"error": {"message": "out of order"}}),
    DONE,
]


class Chunks:
    """An iterator of bytes, for either twin, that says how often it was read and closed."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = iter(chunks)
        self.read = self.closed = 0

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.read += 1
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def close(self) -> None:
        self.closed += 1


class PlainChunks(Chunks):
    def __iter__(self) -> Self:
        return self


class AsyncChunks(Chunks):
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None


class Twin:
    """A stream of either kind and a handler of a plain or a coroutine function, driven by the same verbs."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self.source: Chunks = PlainChunks()
        self.stream: RunStream | AsyncRunStream

    def open(
        self, *chunks: bytes | Exception, handler: Callback | None = None, into: Accumulator | None = None
    ) -> Accumulator:
        """Make a stream over these chunks."""
        if self._mode == "sync":
            self.source = PlainChunks(*chunks)
            self.stream = accumulate(self.source, handler=handler, into=into)
        else:
            self.source = AsyncChunks(*chunks)
            hears = awaited(handler) if handler is not None and self._mode == "async hooks" else handler
            self.stream = aaccumulate(self.source, handler=hears, into=into)
        return self.stream.accumulator

    def loop(self, updates: list[Update], *, within: bool = False) -> list[Update]:
        """Iterate to the end and collect, in a `with` block or not."""

        def plain(stream: RunStream) -> None:
            updates.extend(stream)

        async def asynchronous(stream: AsyncRunStream) -> None:
            async for update in stream:
                updates.append(update)  # noqa: PERF401 - those before an exception are wanted too

        async def entered(stream: AsyncRunStream) -> None:
            async with stream:
                await asynchronous(stream)

        stream = self.stream
        if not isinstance(stream, RunStream):
            asyncio.run(entered(stream) if within else asynchronous(stream))
        elif within:
            with stream:
                plain(stream)
        else:
            plain(stream)
        return updates

    def texts(self, count: int | None = None) -> list[str]:
        """Take so many texts, or all that are left."""

        async def asynchronous(stream: AsyncRunStream) -> list[str]:
            texts: list[str] = []
            async for text in stream.text_deltas():
                texts.append(text)
                if len(texts) == count:
                    break
            return texts

        stream = self.stream
        if not isinstance(stream, RunStream):
            return asyncio.run(asynchronous(stream))
        found = stream.text_deltas()
        return list(found) if count is None else [next(found) for _ in range(count)]

    def until_done(self) -> Accumulator:
        stream = self.stream
        return stream.until_done() if isinstance(stream, RunStream) else asyncio.run(stream.until_done())

    def final_run_steps(self) -> object:
        stream = self.stream
        return stream.final_run_steps() if isinstance(stream, RunStream) else asyncio.run(stream.final_run_steps())


def awaited(handler: Callback) -> Callback:
    """Turn a handler into one that has to be awaited: what it does, it does after the event loop had a turn."""

    async def hear(update: Update) -> None:
        await asyncio.tasks.sleep(0)
        handler(update)

    return hear


@pytest.fixture(params=MODES)
def twin(request: pytest.FixtureRequest) -> Twin:
    return Twin(request.param)


def recorder(log: list[tuple[str, Update]]) -> Handler:
    """Return a handler whose every hook writes down its name and what it heard."""

    def hear(name: str, update: Update) -> None:
        log.append((name, update))

    handler = Handler()
    for name in HOOKS.values():
        setattr(handler, name, partial(hear, name))
    return handler


# ---- Which hook hears what.


def test_every_update_has_exactly_one_hook() -> None:
    assert set(get_args(Update)) == set(HOOKS)
    names = {name for name in vars(Handler) if name.startswith("on_")}
    assert (len(HOOKS), names) == (len(set(HOOKS.values())), set(HOOKS.values()))


def test_each_hook_is_told_the_class_of_its_updates() -> None:
    for cls, name in HOOKS.items():
        (_, update) = inspect.signature(getattr(Handler, name)).parameters.values()
        assert (cls.__name__, inspect.Parameter.POSITIONAL_ONLY) == (update.annotation, update.kind)


def test_every_hook_hears_its_updates_in_the_order_of_the_loop(twin: Twin) -> None:
    log: list[tuple[str, Update]] = []
    twin.open(b"".join(EVERYTHING), handler=recorder(log))
    updates = twin.loop([])
    assert list(accumulate([b"".join(EVERYTHING)])) == updates
    assert [(HOOKS[type(update)], update) for update in updates] == log
    assert set(HOOKS.values()) == {name for name, _ in log}


def test_a_recording_is_heard_as_it_is_looped_over(twin: Twin, shipped: Path) -> None:
    for path in sorted(shipped.glob("*.sse")):
        heard: list[Update] = []
        twin.open(path.read_bytes(), handler=heard.append)
        assert heard == twin.loop([])
        assert isinstance(heard[-1], BodyEnded)


def test_a_hook_runs_before_its_update_is_handed_out(twin: Twin) -> None:
    log: list[Update] = []
    twin.open(FIRST, handler=log.append)
    twin.loop(log)
    assert [update for update in accumulate([FIRST]) for _ in range(2)] == log


def test_the_accumulator_is_at_the_event_that_a_hook_hears(twin: Twin) -> None:
    run = Accumulator()
    lengths: list[int] = []

    def hear(update: Update) -> None:
        if isinstance(update, ToolCallDelta):
            call = run.tool_call("step_1", 0)
            assert call is not None
            lengths.append(len(str(call.to_dict())))

    twin.open(FIRST, handler=hear, into=run)
    twin.until_done()
    assert (3, sorted(set(lengths))) == (len(lengths), lengths)


def test_drains_call_the_handler(twin: Twin) -> None:
    heard: list[Update] = []
    twin.open(FIRST, handler=heard.append)
    twin.until_done()
    assert list(accumulate([FIRST])) == heard


def test_a_handler_that_overrides_nothing_hears_in_silence(twin: Twin) -> None:
    twin.open(*EVERYTHING, handler=Handler())
    assert list(accumulate(EVERYTHING)) == twin.loop([])


def test_a_handler_is_called_by_hand_with_what_feed_returns() -> None:
    class Texts(Handler):
        def on_content_delta(self, update: ContentDelta) -> str:
            return type(update.delta).__name__

    handler = Texts()
    assert [None, None, "TextDeltaBlock"] == [
        handler(each) for each in Accumulator().feed(message_delta(text_part("a")))
    ]
    with pytest.raises(TypeError, match="expected an update, got str"):
        handler("thread.message.delta")  # type: ignore[arg-type]


def test_strict_hides_from_the_handler_what_it_hides_from_the_loop() -> None:
    heard: list[Update] = []
    stream = accumulate([BROKEN_STEP + FIRST], handler=heard.append, strict=True)
    with pytest.raises(MergeError):
        next(stream)
    assert [] == heard
    assert heard == list(stream)


@settings(max_examples=GENERATED_RUNS)
@given(tapes.map(make_run), st.integers(0, 200))
def test_both_twins_hand_out_and_hear_the_same_of_generated_runs(made: Run, fails_at: int) -> None:
    """Whether or not a hook raises somewhere on the way."""
    chunks = [made.data[at : at + 1000] for at in range(0, len(made.data), 1000)]
    logs: list[tuple[list[tuple[str, Update]], str | None, str]] = []
    for mode in MODES:
        twin, log, heard = Twin(mode), list[tuple[str, Update]](), list[Update]()
        hear_by_name, fail = recorder(log), failing(fails_at, LookupError("of the hook"), heard)

        def hear(update: Update, first: Callback = hear_by_name, second: Callback = fail) -> None:
            first(update)
            second(update)

        run, looped, ended = twin.open(*chunks, handler=hear), list[Update](), "over"
        try:
            twin.loop(looped)
        except LookupError as error:
            ended = str(error)
        assert [HOOKS[type(update)] for update in heard] == [name for name, _ in log]
        assert looped == heard[: len(looped)]
        logs.append(([*log, *(("loop", update) for update in looped)], run.outcome, ended))
    assert logs[0] == logs[1] == logs[2]


# ---- What a handler may be.


async def coroutine_function(update: Update) -> None:
    raise AssertionError(update)


def of_two(update: Update, other: int) -> None:
    raise AssertionError(update, other)


def of_none() -> None:
    raise AssertionError


def begins(update: Update) -> Iterator[Update]:
    yield update


async def abegins(update: Update) -> AsyncIterator[Update]:
    yield update


class Awaited:
    """A callable whose call is to be awaited."""

    async def __call__(self, update: Update) -> None:
        raise AssertionError(update)


class AsyncHook(Handler):
    async def on_tool_call_delta(self, update: ToolCallDelta) -> None:
        raise AssertionError(update)


class WideHook(Handler):
    def on_message_done(self, update: object, other: object) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        raise AssertionError(update, other)


class NoHook(Handler):
    on_end = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class OneArgument(Handler):
    """A class that could be called with one argument."""

    def __init__(self, client: object) -> None:
        self.client = client


class OwnCall(Handler):
    async def __call__(self, update: Update, /) -> None:
        raise AssertionError(update)


ASYNC = [
    (coroutine_function, "handler is a coroutine function"),
    (partial(coroutine_function), "handler is a coroutine function"),
    (partial(partial(Awaited())), "handler is a coroutine function"),
    (Awaited(), "handler is a coroutine function"),
    (AsyncHook(), "on_tool_call_delta is a coroutine function"),
    (OwnCall(), "handler is a coroutine function"),
]
WRONG = [
    (7, "expected handler to be a callable of one update, got int"),
    (of_two, r"expected handler to take one update, its signature is \(update: 'Update', other: 'int'\)"),
    (of_none, "expected handler to take one update"),
    (partial(of_none), "expected handler to take one update"),
    (begins, "expected handler to do its work when called, got a generator function"),
    (abegins, "expected handler to do its work when called, got a generator function"),
    (WideHook(), "expected on_message_done to take one update"),
    (NoHook(), "expected on_end to be a callable of one update, got NoneType"),
    (Handler, "got the class Handler itself: give an instance"),
    (OneArgument, "got the class OneArgument itself: give an instance"),
    (OwnCall, "got the class OwnCall itself: give an instance"),
    (Awaited, "expected handler to take one update"),
]
SYNC_MAKERS = [(accumulate, "aaccumulate"), (tap, "atap")]


@pytest.mark.parametrize(("make", "other"), SYNC_MAKERS, ids=["accumulate", "tap"])
@pytest.mark.parametrize(("handler", "said"), ASYNC, ids=range(len(ASYNC)))
def test_an_async_hook_of_a_sync_stream_is_refused_when_it_is_made(
    make: Callable[..., object], other: str, handler: object, said: str
) -> None:
    source = PlainChunks(FIRST)
    with pytest.raises(TypeError, match=rf"^{said}, and nothing is awaited here: use {other}\(\)$"):
        make(source, handler=handler)
    assert (0, 0) == (source.read, source.closed)


@pytest.mark.parametrize("make", [accumulate, aaccumulate, tap, atap])
@pytest.mark.parametrize(("handler", "said"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_called_with_an_update_is_refused_when_the_stream_is_made(
    make: Callable[..., object], handler: object, said: str
) -> None:
    source = PlainChunks(FIRST) if make in (accumulate, tap) else AsyncChunks(FIRST)
    with pytest.raises(TypeError, match=said):
        make(source, handler=handler)
    assert (0, 0) == (source.read, source.closed)


def test_connect_refuses_a_handler_before_anything_is_sent() -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            with pytest.raises(TypeError, match="expected handler to take one update"):
                async with aconnect(client, "GET", url, handler=of_two):  # type: ignore[arg-type]
                    raise AssertionError

    with Loopback(answer) as server:
        with (
            httpx.Client(verify=TLS) as client,
            pytest.raises(TypeError, match=r"coroutine function.*use aconnect\(\)"),
            connect(client, "GET", server.url, handler=coroutine_function),
        ):
            raise AssertionError
        asyncio.run(main(server.url))
        assert [] == server.exchanges


def without_a_signature() -> Callback:
    """Return a builtin that does not tell what it takes."""
    hear = cast("Callback", max)
    with pytest.raises(ValueError, match="no signature found"):
        inspect.signature(hear)
    return hear


class LiesAboutItself:
    """A callable whose signature is none."""

    __signature__ = 7

    def __call__(self, update: Update) -> None:
        raise AssertionError(update)


@pytest.mark.parametrize("make", [without_a_signature, LiesAboutItself], ids=["builtin", "strange"])
def test_a_callable_that_does_not_tell_its_signature_passes(make: Callable[[], Callback], twin: Twin) -> None:
    twin.open(FIRST, handler=make())
    assert 0 == twin.source.read


def test_a_class_may_be_a_handler(twin: Twin) -> None:
    made: list[object] = []

    class Seen:
        def __init__(self, update: Update) -> None:
            made.append(update)

    twin.open(FIRST, handler=Seen)
    assert made == twin.loop([])
    assert 8 == len(made)


def seems_plain(update: Update) -> object:
    return coroutine_function(update)


def test_the_first_error_of_a_handler_counts_also_if_the_second_closes_the_stream() -> None:
    class Fails(Handler):
        def on_run_updated(self, update: RunUpdated, /) -> None:
            raise LookupError(update.event_number)

        def on_end(self, update: BodyEnded, /) -> None:
            stream.close()
            raise ValueError(update.outcome)

    stream = accumulate([FIRST], handler=Fails())
    with pytest.raises(LookupError) as caught:
        list(stream)
    assert ["the handler failed at the end of the body too: ValueError('truncated')"] == caught.value.__notes__


def test_an_async_hook_that_nobody_could_see_is_refused_when_it_is_called() -> None:
    stream = accumulate([FIRST], handler=seems_plain)
    with pytest.raises(
        TypeError, match="returned a coroutine, and nothing is awaited here: use the async version"
    ) as caught:
        next(stream)
    (note,) = caught.value.__notes__
    assert note.startswith("the handler failed at the end of the body too: TypeError(")
    assert "truncated" == stream.accumulator.outcome


def test_what_a_hook_of_an_async_stream_gives_is_awaited_whatever_it_is() -> None:
    heard: list[str] = []

    class Mixed(Handler):
        def on_run_updated(self, update: RunUpdated) -> None:
            heard.append(type(update).__name__)

        async def on_tool_call_delta(self, update: ToolCallDelta) -> None:
            heard.append("begin")
            await asyncio.tasks.sleep(0)
            heard.append(f"end {update.event_number}")

        def on_requires_action(self, update: RequiresAction) -> Awaitable[None]:
            return asyncio.ensure_future(self._later(update.event_number))

        async def _later(self, number: int) -> None:
            await asyncio.tasks.sleep(0)
            heard.append(f"future {number}")

    async def main() -> None:
        stream = aaccumulate(AsyncChunks(FIRST), handler=Mixed())
        while (update := await anext(stream, None)) is not None:
            heard.append(f"loop {type(update).__name__}")

    asyncio.run(main())
    fragments = [each for at in (3, 4, 5) for each in ("begin", f"end {at}", "loop ToolCallDelta")]
    assert [
        *("RunUpdated", "loop RunUpdated", "loop RunStepCreated", "loop ToolCallCreated"),
        *fragments,
        *("future 6", "loop RequiresAction", "loop BodyEnded"),
    ] == heard


# ---- When a hook raises.


def failing(at: int, error: BaseException, heard: list[Update]) -> Callback:
    """Return a handler that raises in its call number `at`, counted from 0."""

    def hear(update: Update) -> None:
        heard.append(update)
        if len(heard) == at + 1:
            raise error

    return hear


@pytest.mark.parametrize("at", range(len(list(accumulate(BODIES)))))
@pytest.mark.parametrize("chunks", [BODIES, [b"".join(BODIES)]], ids=["events", "one chunk"])
def test_a_hook_that_raises_ends_the_stream_with_its_exception(twin: Twin, at: int, chunks: list[bytes]) -> None:
    updates = list(accumulate(BODIES))
    prefix = Accumulator()
    prefix.feed(b"".join(BODIES[: updates[at].event_number]))
    owed = [update for update in prefix.end() if isinstance(update, BodyEnded)]
    error, heard, looped = LookupError("of the hook"), list[Update](), list[Update]()
    run = twin.open(*chunks, handler=failing(at, error, heard))
    with pytest.raises(LookupError) as caught:
        twin.loop(looped, within=True)
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    # The event in hand is folded whole, and none after it.
    assert prefix.run_steps() == run.run_steps()
    assert (updates[:at], updates[: at + 1] + owed) == (looped, heard)
    # Once the run has said a final status, a body that is broken off has that outcome: nothing of it is missing.
    assert (prefix.outcome, 1) == (run.outcome, twin.source.closed)
    assert [] == twin.loop([])


def test_without_with_nothing_is_closed(twin: Twin) -> None:
    twin.open(FIRST, handler=failing(0, LookupError(), []))
    with pytest.raises(LookupError):
        twin.until_done()
    assert (1, 0) == (twin.source.read, twin.source.closed)


def test_what_a_hook_raised_comes_out_of_every_later_drain(twin: Twin) -> None:
    error, heard = LookupError("of the hook"), list[Update]()
    twin.open(FIRST, handler=failing(7, error, heard))
    for drain in (twin.until_done, twin.until_done, twin.final_run_steps):
        with pytest.raises(LookupError) as caught:
            drain()
        assert caught.value is error
    assert ([], 8) == (twin.loop([]), len(heard))


def test_a_hook_that_raises_at_the_end_is_not_called_again(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(FIRST, handler=failing(7, LookupError(), heard))
    with pytest.raises(LookupError):
        twin.until_done()
    assert [BodyEnded(7, "requires_action", ("step_1",))] == heard[7:]
    assert "requires_action" == run.outcome


def test_hearing_of_the_end_may_fail_too(twin: Twin) -> None:
    heard: list[Update] = []

    def hear(update: Update) -> None:
        heard.append(update)
        raise LookupError(type(update).__name__)

    twin.open(FIRST, handler=hear)
    with pytest.raises(LookupError, match=r"^RunUpdated") as caught:
        twin.until_done()
    assert ["the handler failed at the end of the body too: LookupError('BodyEnded')"] == caught.value.__notes__
    assert ["RunUpdated", "BodyEnded"] == [type(update).__name__ for update in heard]


def test_half_a_block_dies_with_the_body_that_a_hook_ended(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(FIRST_EVENTS[0] + FIRST_EVENTS[1][:40], handler=failing(0, LookupError(), heard))
    with pytest.raises(LookupError):
        twin.until_done()
    assert ([BodyEnded(1, "truncated", ())], ()) == (heard[1:], run.problems)


def test_a_body_that_ended_with_the_event_in_hand_keeps_its_outcome(twin: Twin) -> None:
    heard: list[Update] = []
    last = SECOND_EVENTS[1].removesuffix(b"\n\n")
    run = twin.open(SECOND_EVENTS[0] + last, handler=failing(4, LookupError(), heard))
    with pytest.raises(LookupError):
        twin.until_done()
    assert ["RunUpdated", "BodyEnded"] == [type(update).__name__ for update in heard[4:]]
    assert ("completed", BodyEnded(2, "completed", ())) == (run.outcome, heard[-1])


def test_a_hook_that_raises_over_a_broken_source_has_that_as_its_context(twin: Twin) -> None:
    broken, error, heard = OSError("gone"), LookupError("of the hook"), list[Update]()
    run = twin.open(FIRST_EVENTS[0], broken, handler=failing(1, error, heard))
    with pytest.raises(LookupError) as caught:
        twin.until_done()
    assert caught.value is error
    assert isinstance(error.__context__, TruncatedError)
    assert error.__context__.__cause__ is broken
    assert (BodyEnded(1, "truncated", ()), "truncated") == (heard[1], run.outcome)


def test_a_context_that_a_hook_s_exception_has_stays(twin: Twin) -> None:
    def hear(update: Update) -> None:
        if isinstance(update, BodyEnded):
            try:
                next(iter(()))
            except StopIteration:
                raise LookupError("second")  # noqa: B904 - the context is the subject

    twin.open(OSError("gone"), handler=hear)
    with pytest.raises(LookupError, match="second") as caught:
        twin.until_done()
    assert "StopIteration()" == repr(caught.value.__context__)


@pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_hook_cannot_pretend_that_the_stream_is_at_its_end(mode: str, stop: type[Exception]) -> None:
    twin, error, heard = Twin(mode), stop(), list[Update]()
    run = twin.open(FIRST, handler=failing(2, error, heard))
    with pytest.raises(RuntimeError, match=f"^(the handler|coroutine) raised {stop.__name__}$") as caught:
        twin.until_done()
    assert caught.value.__cause__ is error
    assert ("truncated", BodyEnded(3, "truncated", ("step_1",))) == (run.outcome, heard[-1])


def test_what_is_no_exception_ends_nothing_and_loses_nothing(twin: Twin) -> None:
    heard, looped = list[Update](), list[Update]()
    run = twin.open(FIRST, handler=failing(2, StopAllError(), heard))
    with pytest.raises(StopAllError):
        twin.loop(looped)
    assert (2, None) == (len(looped), run.outcome)
    twin.loop(looped)
    # The call that was broken off is a problem: whether it was made and how much of it was done is not known.
    assert ["interrupted"] == [problem.kind for problem in run.problems]
    assert list(accumulate([FIRST])) == [update for update in looped if not isinstance(update, Problem)]
    assert looped == heard


class StopAllError(BaseException):
    """What is no `Exception`: as cancellation, Ctrl-C."""


def test_cancellation_in_a_hook_ends_nothing_and_loses_nothing() -> None:
    started: list[str] = []

    async def hear(update: Update) -> None:
        started.append(type(update).__name__)
        if isinstance(update, RunUpdated):
            await asyncio.Event().wait()

    async def main() -> list[Update]:
        stream = aaccumulate(AsyncChunks(FIRST), handler=hear)
        task = asyncio.ensure_future(stream.until_done())
        while not started:
            await asyncio.tasks.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream.accumulator.outcome is None
        return [update async for update in stream]

    updates = asyncio.run(main())
    assert list(accumulate([FIRST])) == updates
    assert [type(update).__name__ for update in updates] == started


def test_cancellation_in_a_hook_closes_what_with_holds() -> None:
    source, waiting = AsyncChunks(FIRST), list[object]()

    async def hear(update: Update) -> None:
        waiting.append(update)
        await asyncio.Event().wait()

    async def within(stream: AsyncRunStream) -> None:
        async with stream:
            await stream.until_done()

    async def main() -> None:
        stream = aaccumulate(source, handler=hear)
        task = asyncio.ensure_future(within(stream))
        while not waiting:
            await asyncio.tasks.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (1, "truncated", 1) == (source.closed, stream.accumulator.outcome, len(waiting))

    asyncio.run(main())


# ---- What a hook may do with streams.


def test_a_second_stream_runs_into_the_same_accumulator_from_a_hook() -> None:
    run = Accumulator()

    class Submit(Handler):
        def __init__(self) -> None:
            self.ended: list[BodyEnded] = []

        def on_requires_action(self, update: RequiresAction) -> None:
            assert ("submit_tool_outputs", "submit_tool_outputs") == (
                update.required_action.type,
                run.required_action and run.required_action.type,
            )
            accumulate([SECOND], into=run, handler=self).until_done()

        def on_end(self, update: BodyEnded) -> None:
            self.ended.append(update)

    submit = Submit()
    steps = accumulate([FIRST], into=run, handler=submit).final_run_steps()
    assert [BodyEnded(9, "completed", ()), BodyEnded(10, "requires_action", ())] == submit.ended
    assert ([STEP_AFTER_SECOND], "completed") == ([each.to_dict() for each in steps], run.outcome)


def test_an_async_hook_runs_a_second_stream_too() -> None:
    run = Accumulator()
    done: list[RunStepDone] = []

    class Submit(Handler):
        async def on_requires_action(self, update: RequiresAction) -> None:
            assert update.required_action.type == "submit_tool_outputs"
            await aaccumulate(AsyncChunks(SECOND), into=run, handler=self).until_done()

        def on_run_step_done(self, update: RunStepDone) -> None:
            done.append(update)

    async def main() -> list[object]:
        steps = await aaccumulate(AsyncChunks(FIRST), into=run, handler=Submit()).final_run_steps()
        return [each.to_dict() for each in steps]

    assert ([STEP_AFTER_SECOND], "completed") == (asyncio.run(main()), run.outcome)
    assert [STEP_AFTER_SECOND] == [update.run_step.to_dict() for update in done]


def test_a_hook_that_raises_after_its_second_stream_leaves_that_stream_s_outcome(twin: Twin) -> None:
    run, ended = Accumulator(), list[Update]()

    def hear(update: Update) -> None:
        if isinstance(update, BodyEnded):
            ended.append(update)
        if isinstance(update, RequiresAction):
            accumulate([SECOND], into=run).until_done()
            raise LookupError("after it")  # noqa: TRY004 - it is no misuse

    twin.open(FIRST, handler=hear, into=run)
    with pytest.raises(LookupError):
        twin.until_done()
    assert ([BodyEnded(9, "requires_action", ())], "completed") == (ended, run.outcome)
    assert [STEP_AFTER_SECOND] == [each.to_dict() for each in run.run_steps()]


def test_a_hook_may_close_its_stream() -> None:
    source, heard = PlainChunks(FIRST), list[Update]()

    def hear(update: Update) -> None:
        heard.append(update)
        stream.close()

    stream = accumulate(source, handler=hear)
    assert ([], 1, "truncated") == (list(stream), source.closed, stream.accumulator.outcome)
    assert 1 == len(heard)


def test_a_hook_may_close_its_stream_and_raise() -> None:
    error, heard = LookupError("of the hook"), list[Update]()

    def hear(update: Update) -> None:
        heard.append(update)
        stream.close()
        raise error

    stream = accumulate([FIRST], handler=hear)
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error
    assert ([], 1, "truncated") == (list(stream), len(heard), stream.accumulator.outcome)


def test_a_hook_may_drain_its_own_stream() -> None:
    heard: list[Update] = []

    def hear(update: Update) -> None:
        heard.append(update)
        if isinstance(update, RunUpdated):
            stream.until_done()

    stream = accumulate([FIRST], handler=hear)
    assert ([], "requires_action") == (list(stream), stream.accumulator.outcome)
    assert list(accumulate([FIRST])) == heard


def test_what_a_hook_raises_passes_through_a_drain_in_another_hook() -> None:
    heard: list[Update] = []
    error = LookupError("of the inner")

    def hear(update: Update) -> None:
        heard.append(update)
        if len(heard) == 1:
            stream.until_done()
        elif not isinstance(update, BodyEnded):
            raise error

    stream = accumulate([FIRST], handler=hear)
    with pytest.raises(LookupError) as caught:
        list(stream)
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert ["RunUpdated", "RunStepCreated", "BodyEnded"] == [type(update).__name__ for update in heard]


# ---- Over a connection.


def answer(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST_EVENTS[0])
    exchange.wait_closed()


def test_a_hook_that_raises_leaves_no_connection() -> None:
    class Fail(Handler):
        def __init__(self) -> None:
            self.ended: list[BodyEnded] = []

        def on_run_updated(self, update: RunUpdated) -> None:
            raise LookupError(update.run.id)

        def on_end(self, update: BodyEnded) -> None:
            self.ended.append(update)

    handler, run = Fail(), Accumulator()
    with Loopback(answer) as server, httpx.Client(verify=TLS) as client:
        with (
            pytest.raises(LookupError, match="run_1"),
            connect(client, "POST", server.url, handler=handler, into=run) as stream,
        ):
            stream.until_done()
        assert server.client_closed.wait(PATIENCE)
    assert ("truncated", [BodyEnded(1, "truncated", ())]) == (run.outcome, handler.ended)


def test_an_async_hook_that_raises_leaves_no_connection() -> None:
    class Fail(Handler):
        def __init__(self) -> None:
            self.ended: list[BodyEnded] = []

        async def on_run_updated(self, update: RunUpdated) -> None:
            await asyncio.tasks.sleep(0)
            raise LookupError(update.run.id)

        async def on_end(self, update: BodyEnded) -> None:
            await asyncio.tasks.sleep(0)
            self.ended.append(update)

    handler, run = Fail(), Accumulator()

    async def main(server: Loopback) -> None:
        async with httpx.AsyncClient(verify=TLS) as client:
            with pytest.raises(LookupError, match="run_1"):
                async with aconnect(client, "POST", server.url, handler=handler, into=run) as stream:
                    await stream.until_done()
            assert await asyncio.to_thread(server.client_closed.wait, PATIENCE)

    with Loopback(answer) as server:
        asyncio.run(main(server))
    assert ("truncated", [BodyEnded(1, "truncated", ())]) == (run.outcome, handler.ended)


# ---- Text only.


TEXTS = [
    message_delta(text_part("Grüe")),
    message_delta(text_part("")),
    message_delta(text_part("zi", index=0), text_part("Two", index=3)),
    event("ping", {}),
    message_delta({"index": 0, "text": {"value": " mitenand"}}),
    message_delta({"index": 1, "type": "refusal", "refusal": "No."}),
    message_delta({"index": 0, "type": "text", "text": {"annotations": []}}),
    message_delta(text_part("!")),
    DONE,
]


def test_text_deltas_are_the_texts_of_messages_and_nothing_else(twin: Twin) -> None:
    heard: list[Update] = []
    run = twin.open(FIRST_EVENTS[0] + b"".join(TEXTS), handler=heard.append)
    assert ["Grüe", "zi", "Two", " mitenand", "!"] == twin.texts()
    assert list(accumulate([FIRST_EVENTS[0] + b"".join(TEXTS)])) == heard
    assert ["Grüezi mitenand!Two"] == [each.text for each in run.messages()]


def test_text_deltas_go_on_where_another_loop_stopped(twin: Twin) -> None:
    twin.open(*TEXTS)
    assert (["Grüe", "zi"], ["Two", " mitenand", "!"]) == (twin.texts(2), twin.texts())
    assert ([], []) == (twin.loop([]), twin.texts())


def test_text_deltas_are_what_comes_and_not_what_a_message_says_at_its_end(twin: Twin) -> None:
    twin.open(event("thread.message.completed", message("completed", {"type": "text", "text": {"value": "all"}})))
    assert [] == twin.texts()


def test_a_text_that_is_none_is_left_out(twin: Twin) -> None:
    run = twin.open(message_delta(text_part(7)) + message_delta({"index": 0, "type": "text", "text": None}))
    assert [] == twin.texts()
    assert ["msg_1"] == [each.id for each in run.messages()]


def test_text_deltas_raise_what_the_loop_raises(twin: Twin) -> None:
    twin.open(TEXTS[0], OSError("gone"))
    assert ["Grüe"] == twin.texts(1)
    with pytest.raises(TruncatedError):
        twin.texts()


def test_text_deltas_go_on_after_a_strict_error() -> None:
    texts = accumulate([BROKEN_STEP, *TEXTS], strict=True).text_deltas()
    with pytest.raises(MergeError):
        next(texts)
    assert ["Grüe", "zi", "Two", " mitenand", "!"] == list(texts)


def test_async_text_deltas_go_on_after_a_strict_error() -> None:
    async def main() -> list[str]:
        texts = aaccumulate(AsyncChunks(BROKEN_STEP, *TEXTS), strict=True).text_deltas()
        with pytest.raises(MergeError):
            await anext(texts)
        return [text async for text in texts]

    assert ["Grüe", "zi", "Two", " mitenand", "!"] == asyncio.run(main())


def test_an_unknown_event_is_heard_with_its_data() -> None:
    heard: list[tuple[str, str]] = []

    class Unknown(Handler):
        def on_unknown_event(self, update: UnknownEvent) -> None:
            heard.append((update.event, update.data))

    accumulate([event("ping", {"a": 1})], handler=Unknown()).until_done()
    assert [("ping", '{"a":1}')] == heard


# ---- A method that nothing would call.


SDKS: list[type] = [
    AssistantEventHandler,
    AsyncAssistantEventHandler,
    AgentEventHandler[object],
    AsyncAgentEventHandler[object],
]


def test_every_hook_of_the_sdks_is_a_hook_or_says_what_is_in_its_place() -> None:
    names = {name for sdk in SDKS for name in dir(sdk) if name.startswith("on_")}
    assert names == (names & set(HOOKS.values())) | set(IN_PLACE_OF)
    for name, instead in IN_PLACE_OF.items():
        with pytest.raises(TypeError) as caught:
            type("Mine", (Handler,), {name: Handler.on_end})
        assert f"Mine.{name} is no hook: in its place is {instead}" == str(caught.value)
        assert any(hook in instead for hook in HOOKS.values()) or name == "on_event"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("on_tool_call_deltas", "Mine.on_tool_call_deltas is no hook: did you mean on_tool_call_delta?"),
        ("on_Q", f"Mine.on_Q is no hook: the hooks are {', '.join(HOOKS.values())}"),
    ],
)
def test_a_method_that_is_no_hook_is_told_when_its_class_is_made(name: str, message: str) -> None:
    def method(_self: object, _update: object) -> None: ...

    for bases in ((Handler,), (type("Mixin", (), {name: method}), Handler)):
        with pytest.raises(TypeError) as caught:
            type("Mine", bases, {name: method} if len(bases) == 1 else {})
        assert message == str(caught.value)


def test_what_is_no_method_and_what_is_private_may_have_any_name() -> None:
    class Mine(Handler):
        on_air = True

        def _on_text(self) -> None: ...

        def once(self) -> None: ...

        def on_end(self, update: BodyEnded, /) -> None: ...

    class More(Mine):
        def on_error(self, update: object, /) -> None: ...

    accumulate([DONE], handler=More()).until_done()


def test_a_base_beside_the_handler_gets_its_class_arguments() -> None:
    names: list[str] = []

    class Named:
        def __init_subclass__(cls, *, name: str) -> None:
            names.append(name)

    class Mine(Handler, Named, name="mine"): ...

    assert (["mine"], True) == (names, issubclass(Mine, Handler))
