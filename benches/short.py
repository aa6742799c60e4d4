"""Streams as short as those of users, each from nothing to its final steps, and the frames of Chat Completions.

All contenders read the same stream in turns, in one process, and the minimum of each counts. A contender whose answer
differs from that of the workload is wrong there, and is not timed. Of a recording the answer of `ours` counts: tests
hold it to what the server said. Recordings with a byte-order mark, with CR or without the last blank line are left out:
`leanest` does not claim to read them.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from accumulator import AccumulatorError, SSEParser
from benches import workloads
from benches.contenders import ByHand, Leanest, Ours
from benches.runner import fastest
from tests.conftest import ROOT, real_recordings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from accumulator import Accumulator

CHUNK = 4_096
ROUNDS = 200


class Load(NamedTuple):
    """A stream, and the answer; None where that of `ours` counts."""

    name: str
    data: bytes
    answer: str | None = None

    @property
    def chunks(self) -> list[bytes]:
        return [self.data[start : start + CHUNK] for start in range(0, len(self.data), CHUNK)]

    @property
    def events(self) -> int:
        return self.data.count(b"\n\n")


class _Tolerant(Ours):
    """`ours` without the errors of streams that end badly: the hand-written loops do not look for these."""

    def run(self, chunks: list[bytes], mode: str) -> Accumulator:  # noqa: ARG002 - as all contenders
        stream = self._accumulate(chunks)
        with suppress(AccumulatorError):
            stream.final_run_steps()
        return stream.accumulator


def made_loads() -> Iterable[Load]:
    """Give the streams that are made."""
    for name, made in {
        "whole_steps": workloads.whole_steps(50),
        "short_steps": workloads.short_steps(50),
        "50 events": workloads.arguments(33, calls=1, steps=3),
    }.items():
        yield Load(name, made.data(), made.answer)


def loads() -> Iterable[Load]:
    """Give the streams: made ones, those that come with the project, and real ones where there are some."""
    yield from made_loads()
    folders = [ROOT / "tests" / "recordings", real_recordings()]
    for path in (path for folder in folders if folder is not None for path in sorted(folder.glob("*.sse"))):
        if (data := _plain(path)) is not None:
            yield Load(path.stem, data)


def _plain(path: Path) -> bytes | None:
    data = path.read_bytes()
    return None if b"\r" in data or data.startswith(b"\xef\xbb\xbf") or not data.endswith(b"\n\n") else data


def short(rounds: int = ROUNDS) -> None:
    """Measure all loads, and print a line for each."""
    print(f"{'load':44}{'events':>7}{'ours us':>9}{'by hand':>9}{'leanest':>9}{'/ hand':>8}{'/ lean':>8}")
    contenders: dict[str, Ours | ByHand] = {"ours": _Tolerant(), "by-hand": ByHand(), "leanest": Leanest()}
    for load in loads():
        chunks, right = load.chunks, load.answer
        runs: dict[str, Callable[[], object]] = {}
        for name, each in contenders.items():
            answer = _answer(each, chunks)
            right = answer if right is None else right
            if answer == right:
                runs[name] = partial(each.run, chunks, "final")
        _print_row(load, fastest(runs, rounds))
    _chat_frames(rounds)


def _answer(contender: Ours | ByHand, chunks: list[bytes]) -> str | None:
    try:
        return contender.answer(contender.run(chunks, "final"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except (KeyError, ValueError, TypeError, AttributeError):  # what a loop that checks nothing raises
        return None


def _print_row(load: Load, seconds: dict[str, float]) -> None:
    each = {name: seconds[name] / load.events * 1e6 for name in seconds}
    times = "".join(
        f"{each[name]:>9.2f}" if name in each else f"{'wrong':>9}" for name in ("ours", "by-hand", "leanest")
    )
    ratios = "".join(
        f"{each['ours'] / each[name]:>8.2f}" if name in each else f"{'':>8}" for name in ("by-hand", "leanest")
    )
    print(f"{load.name[:43]:44}{load.events:>7}{times}{ratios}")
    sys.stdout.flush()


def _chat_frames(rounds: int) -> None:
    """Measure the parser on frames without a name, such as those of Chat Completions, beside frames with one."""
    data = b'{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}'
    count = 1_000
    streams = {"chat_frames": b"data: %b\n\n" % data, "frames with a name": b"event: thread.x\ndata: %b\n\n" % data}

    def parse(chunks: list[bytes]) -> int:
        parser = SSEParser()
        return sum(len(parser.push(chunk)) for chunk in chunks)

    runs: dict[str, Callable[[], object]] = {}
    for name, frame in streams.items():
        chunks = Load(name, frame * count).chunks
        assert count == parse(chunks)
        runs[name] = partial(parse, chunks)
    for name, seconds in fastest(runs, rounds).items():
        print(f"{name:44}{count:>7}{seconds / count * 1e6:>9.2f}  (the parser alone)")
