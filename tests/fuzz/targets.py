"""The targets: what must hold for any bytes."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from accumulator import Accumulator, AccumulatorError, CheckpointError, Limits, accumulate
from accumulator._assistants.protocol import EVENTS
from accumulator._cli.commands import run as run_command
from tests.bodies import FIRST, SECOND, delta
from tests.strategies import (
    Tape,
    make_events,
    make_fragment_run,
    make_hostile_events,
    make_long_run,
    make_spliced_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from accumulator import Update
    from tests.strategies import Event

NAMES = [*EVENTS, "message", "", "ping", "thread.created"]
"""The names that a byte can stand for in an input of `apply`."""

SMALL = Limits(max_event_size=240)


class BrokenWordError(Exception):
    """The library did not keep its word."""


def expect(*, that: bool, text: str) -> None:
    if not that:
        raise BrokenWordError(text)


def _accumulator(*, strict: bool = False, limits: Limits | None = None, templates: bool = True) -> Accumulator:
    run = Accumulator(strict=strict, limits=limits or Limits())
    run._engine.fast_path.enabled = templates
    return run


def _logged(call: Callable[[], list[Update]], log: list[object]) -> bool:
    """Note what a call gives, or the error of the library. Return whether it raised."""
    try:
        log += call()
    except AccumulatorError as error:
        log += [*error.updates, (type(error), str(error))]
        return True
    return False


def _fed(run: Accumulator, chunks: Iterable[bytes]) -> list[object]:
    """Feed chunks and end the body, and go on after each error: all that came of it, in order."""
    log: list[object] = []
    for chunk in chunks:
        rest = chunk
        while _logged(lambda: run.feed(rest), log):  # noqa: B023 - called at once
            rest = b""
    while _logged(run.end, log):
        pass
    return log


def _drained(run: Accumulator, chunks: Iterable[bytes]) -> list[object]:
    """Drain a stream, and go on after each error: the errors."""
    stream, log = accumulate(iter(chunks), into=run), list[object]()

    def drain() -> list[Update]:
        stream.until_done()
        return []

    while _logged(drain, log):
        pass
    return _errors_in(log)


def _looped(run: Accumulator, chunks: Iterable[bytes]) -> list[object]:
    """Loop over a stream, and go on after each error: the errors."""
    stream, log = accumulate(iter(chunks), into=run), list[object]()
    while _logged(lambda: list(stream), log):
        pass
    return _errors_in(log)


def _errors_in(log: Iterable[object]) -> list[object]:
    return [item for item in log if isinstance(item, tuple)]


def _cut(data: bytes, seed: int) -> list[bytes]:
    """Cut bytes as the seed says: 0 into single bytes."""
    if seed == 0:
        return [data[at : at + 1] for at in range(len(data))]
    drawn = Random(seed)  # noqa: S311 - no secret
    places = sorted(drawn.randrange(len(data) + 1) for _ in range(drawn.randrange(12)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def _same(one: Accumulator, other: Accumulator) -> None:
    expect(that=one.to_bytes() == other.to_bytes(), text="two ways of reading the same fold to different states")


def _can_be_read(run: Accumulator) -> None:
    """Read all that an accumulator has, and take it to bytes and back."""
    models = [*run.run_steps(), *run.messages(), run.current_run, run.error, run.required_action]
    for model in models:
        if model is not None:
            text = model.to_json()
            expect(that=type(model).from_json(text).to_json() == text, text="a model is not read as it was written")
            repr(model)
    repr((run.outcome, list(run.problems)))
    saved = run.to_bytes()
    expect(that=Accumulator.from_bytes(saved).to_bytes() == saved, text="a checkpoint of a checkpoint differs")


def feed(data: bytes) -> None:
    """Fold bytes: two bytes choose how, the rest is the stream.

    Neither the cuts nor the fast path change what comes, and nothing but an error of the library is raised.
    """
    how, seed, stream = *data[:2].ljust(2, b"\0"), data[2:]
    strict, limits = bool(how & 1), SMALL if how & 2 else Limits()
    whole = _accumulator(strict=strict, limits=limits)
    cut = _accumulator(strict=strict, limits=limits, templates=False)
    same = _fed(whole, [stream]) == _fed(cut, _cut(stream, seed))
    expect(that=same, text="the updates depend on the cuts or on the fast path")
    _same(whole, cut)
    drained = _accumulator(strict=strict, limits=limits)
    looped = _accumulator(strict=strict, limits=limits, templates=False)
    chunks = _cut(stream, seed or 1)
    expect(that=_looped(looped, chunks) == _drained(drained, chunks), text="a drain raises other errors than a loop")
    _same(looped, drained)
    _can_be_read(whole)


def _events(data: bytes) -> list[tuple[str, bytes]]:
    """Make events of an input: of a tape of choices, or of lines that are a byte for the name, and JSON."""
    how, rest = data[:1].ljust(1, b"\0")[0], data[1:]
    if how >= 128:
        return [(NAMES[line[0] % len(NAMES)], line[1:]) for line in rest.split(b"\n") if line]
    tape = Tape(rest)
    makers: list[Callable[[Tape], Sequence[Event]]] = [
        make_events,
        make_hostile_events,
        make_spliced_events,
        lambda tape: make_fragment_run(tape).events,
        lambda tape: [event for body in make_long_run(tape)[1] for event in body],
    ]
    return [(name, text.encode("utf-8", "surrogatepass")) for name, text in makers[how % len(makers)](tape)]


def _as_text(data: bytes) -> bytes | str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def apply(data: bytes) -> None:
    """Apply framed events, as bytes and as text, with and without the fast path, and through checkpoints."""
    fast, general = _accumulator(), _accumulator(templates=False)
    for number, (name, payload) in enumerate(_events(data)):
        one, other = list[object](), list[object]()
        _logged(lambda: fast.apply(name, payload), one)  # noqa: B023 - called at once
        _logged(lambda: general.apply(name, _as_text(payload)), other)  # noqa: B023 - called at once
        expect(that=one == other, text="the updates depend on the way")
        if number % 8 == 7:
            general = Accumulator.from_bytes(general.to_bytes())
            general._engine.fast_path.enabled = False
    _same(fast, general)
    expect(that=fast.end() == general.end(), text="the ends of a body differ")
    _can_be_read(fast)


MORE = b"".join([FIRST, delta({"index": 0, "function": {"arguments": "x"}}), delta({"type": "function"}), SECOND])


def checkpoint(data: bytes) -> None:
    """Read a checkpoint: it is refused as a whole, or it works and takes more events."""
    try:
        run = Accumulator.from_bytes(data)
    except CheckpointError:
        return
    _can_be_read(run)
    _fed(run, [MORE])
    _can_be_read(run)


class _Captured(io.TextIOWrapper):
    """A standard output in memory."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="backslashreplace")


@contextmanager
def _standard_streams(given: bytes) -> Generator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(given)), _Captured(), _Captured()
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _shared_memory() -> str | None:
    """Return a folder in memory, where there is one: a fuzzer writes a file for each run."""
    folder = "/dev/shm"  # noqa: S108 - a file of its own is made in it
    return folder if os.access(folder, os.W_OK) else None


_VIEWS = ["show", "--json", "--text", "--short", "--updates"]


def command(data: bytes) -> None:
    """Show a file, or for an odd first byte standard input, in the form that the byte says.

    The exit status is 0, 1 or 2, and nothing is raised.
    """
    how, stream = data[0] if data else 0, data[1:]
    view = _VIEWS[(how >> 1) % len(_VIEWS)]
    if how & 1:
        with _standard_streams(stream):
            status = run_command([view, "-"])
    else:
        with tempfile.NamedTemporaryFile(dir=_shared_memory(), suffix=".sse") as file:
            Path(file.name).write_bytes(stream)
            with _standard_streams(b""):
                status = run_command([view, file.name])
    expect(that=status in {0, 1, 2}, text=f"the exit status is {status}")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "feed": feed,
    "apply": apply,
    "checkpoint": checkpoint,
    "command": command,
}
