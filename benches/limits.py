"""What a server can make a process take with all limits at their defaults: the peak of its resident memory.

Each family is a stream without end, made while it is fed, in a process of its own. It is fed until a limit raises, or
until so many `CHUNKS` came where no limit has to raise. Then the steps and messages are read, as a program would. The
process itself takes about 30 MB.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from benches import report
from benches.contenders import HERE
from benches.runner import machine
from tests import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNKS = 500_000
BOUND = 2**30
DELTA = "thread.run.step.delta"
MANY = 1_000


def _delta(entries: bytes) -> bytes:
    head = b'{"id":"step_1","delta":{"step_details":{"type":"tool_calls","tool_calls":['
    return wire.event(DELTA, head + entries + b"]}}}")


def _long_events(piece: bytes, most: int) -> Iterator[bytes]:
    """Yield the chunks of events with a piece of an entry, or of entries, so many times in it."""
    head, tail = _delta(b"\0").split(b"\0")
    while True:
        yield head
        yield from itertools.repeat(piece, most - 1)
        yield piece.rstrip(b",") + tail


def _calls(per_event: int) -> Iterator[bytes]:
    for number in itertools.count():
        first = number * per_event
        entries = (b'{"index":%d,"type":"function","id":"c%d"}' % (at, at) for at in range(first, first + per_event))
        yield _delta(b",".join(entries))


def _keys(count: int) -> Iterator[bytes]:
    for number in itertools.count():
        members = b",".join(b'"%x":1' % key for key in range(number * count, (number + 1) * count))
        yield _delta(b'{"index":0,"x":{%b}}' % members)


def _steps(state: str) -> Iterator[bytes]:
    return (wire.step_event(state, f"step_{number}") for number in itertools.count())


def _messages() -> Iterator[bytes]:
    for number in itertools.count():
        payload = {"id": f"msg_{number}", "object": "thread.message", "content": list[object](), "status": "completed"}
        yield wire.event("thread.message.completed", payload)


def _text(first: str, size: int) -> Iterator[bytes]:
    yield _delta(wire.text(wire.opening(0, "call_1", "f")).encode())
    yield _delta(wire.text(wire.fragment(0, first)).encode())
    head, tail = _delta(wire.text(wire.fragment(0, "\t")).encode()).split(b"\\t")
    while True:
        yield head
        yield from itertools.repeat(b"a" * MANY, size // MANY)
        yield tail


def _texts() -> Iterator[bytes]:
    """Yield fragments of two characters, each of the texts with as many as are not joined yet."""
    for call in itertools.count():
        yield _delta(wire.text(wire.function(call, id=f"c{call}", name="f", arguments="ab")).encode())
        yield from [_delta(wire.text(wire.fragment(call, "ab")).encode())] * 250


def _problems(size: int) -> Iterator[bytes]:
    """Yield the chunks of events that are not JSON, each with a text of its own."""
    for number in itertools.count():
        yield b'event: %b\ndata: {"%d":"' % (DELTA.encode(), number)
        yield from itertools.repeat(b"x" * MANY, size // MANY)
        yield b"\n\n"


def _ids(size: int) -> Iterator[bytes]:
    return (wire.step_event("completed", f"{number:0{size}d}") for number in itertools.count())


class Family(NamedTuple):
    """Chunks of a stream without end, and the limit that has to raise; "" if none has to."""

    chunks: Callable[[], Iterator[bytes]]
    limit: str


FAMILIES = {
    "many empty objects in one event, again and again": Family(
        lambda: _long_events(b"{}," * MANY, 49), "max_list_entries"
    ),
    "more empty objects than one event may have": Family(
        lambda: _long_events(b"{}," * MANY, 10_000), "max_event_values"
    ),
    "many lists in one event, again and again": Family(
        lambda: _long_events(b'{"code_interpreter":{"outputs":[]}},' * MANY, 16), "max_list_entries"
    ),
    "many short keys in one event, again and again": Family(lambda: _keys(90_000), "max_total_size"),
    "many unknown keys, one an event": Family(lambda: _keys(1), "max_total_size"),
    "many calls, one an event": Family(lambda: _calls(1), "max_list_entries"),
    "many calls, a thousand an event": Family(lambda: _calls(1_000), "max_list_entries"),
    "many steps that stay open": Family(lambda: _steps("created"), "max_open"),
    "many steps that end": Family(lambda: _steps("completed"), "max_total_size"),
    "many messages that end": Family(_messages, "max_total_size"),
    "an endless text": Family(lambda: _text("a", 4_000), "max_total_size"),
    "an endless text with an astral character": Family(lambda: _text("\U0001f3d4", 4_000), "max_total_size"),
    "an endless text in events of 30 MB, with an astral character": Family(
        lambda: _text("\U0001f3d4", 30_000_000), "max_total_size"
    ),
    "many texts of short fragments": Family(_texts, "max_total_size"),
    "many problems with a long text": Family(lambda: _problems(1_000_000), ""),
    "many problems with a short text": Family(lambda: _problems(0), ""),
    "endless ids within the limit": Family(lambda: _ids(4_000), "max_total_size"),
    "endless ids": Family(lambda: _ids(100_000), "max_id_length"),
    "many bodies": Family(lambda: itertools.repeat(wire.DONE), ""),
    "many bodies, each with an open step": Family(
        lambda: itertools.chain.from_iterable(zip(_steps("created"), itertools.repeat(wire.DONE), strict=False)),
        "max_open",
    ),
}


class Peak(NamedTuple):
    """What came of a family: bytes sent, the limit that raised, and the peak in bytes."""

    sent: int
    limit: str
    peak: int


def fed(name: str, most: int) -> Peak:
    """Feed a family to an accumulator, until a limit raises or so many bytes came, and read what was folded."""
    from accumulator import Accumulator, LimitError

    family = FAMILIES[name]
    run, sent, limit = Accumulator(), 0, ""
    for chunk in itertools.islice(family.chunks(), None if family.limit else CHUNKS):
        sent += len(chunk)
        try:
            run.feed(chunk)
        except LimitError as error:
            limit = error.limit
            break
        if sent > most:
            break
    run.run_steps()
    run.messages()
    return Peak(sent, limit, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def limits(out: Path, *, quick: bool) -> bool:
    """Feed each family in a process of its own, print the peaks, and return whether each is as it must be."""
    most = 2_000_000 if quick else 20 * 2**30
    found = dict[str, Peak]()
    for name in FAMILIES:
        command = [sys.executable, "-m", "benches.limits", name, str(most)]
        done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True)  # noqa: S603 - our own command
        found[name] = msgspec.json.decode(done.stdout, type=Peak)
    rows = [
        (name, f"{peak.sent / 1e6:,.1f}", peak.limit or "none", f"{peak.peak / 1e6:,.0f}")
        for name, peak in found.items()
    ]
    print(report.table(("family", "MB sent", "limit", "peak MB"), rows), "", sep="\n")
    report.write_json(out / "limits.json", {"machine": machine(), "peaks": found})
    told = {name: complaint(peak, FAMILIES[name].limit, quick=quick) for name, peak in found.items()}
    wrong = [f"{name}: {text}" for name, text in told.items() if text]
    print(*wrong, sep="\n", end="\n" * bool(wrong))
    return not wrong


def complaint(peak: Peak, limit: str, *, quick: bool) -> str:
    """Return what is wrong with what came of a family, "" if nothing is. A quick run may end before the limit."""
    if peak.peak > BOUND:
        return f"expected a peak of at most {BOUND / 1e6:,.0f} MB, got {peak.peak / 1e6:,.0f}"
    if peak.limit != limit and not (quick and not peak.limit):
        return f"expected {limit or 'no limit'} to raise, got {peak.limit or 'none'}"
    return ""


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(fed(sys.argv[1], int(sys.argv[2]))))
