"""One contender in a process of its own: `python -m benches.worker CONTENDER`, a JSON command and reply a line.

`load` makes a workload, `check` runs it once and says whether the answer is right, `time` runs it against the clock and
`memory` against tracemalloc. The time is that of the wall clock or the CPU time of the process, whichever is less:
nothing here sleeps, but it may have to wait for a core. Garbage is collected as Python does by itself; what is loaded
is collected before.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import tracemalloc
import warnings
from typing import TYPE_CHECKING, cast

from benches import contenders
from benches.workloads import MAKERS, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.contenders import Contender
    from benches.workloads import Workload

Command = dict[str, object]


class Worker:
    """A contender and what it is given to read."""

    def __init__(self, contender: Contender[object]) -> None:
        """Have nothing loaded."""
        self._contender = contender
        self._mode = "final"
        self._workload: Workload | None = None
        self._chunks = dict[str, list[bytes]]()

    def load(self, command: Command) -> Command:
        """Make the workload and cut it into chunks, with and without the endings."""
        make = RECIPES[name].make if (name := cast("str", command["workload"])) in RECIPES else MAKERS[name]
        parameters = cast("dict[str, int]", command.get("parameters") or {})
        workload = make(cast("int", command["size"]), **parameters)
        chunk, self._mode = cast("int", command["chunk"]), cast("str", command["mode"])
        self._chunks = {"whole": workload.chunks(chunk), "cut": workload.chunks(chunk, cut=True)}
        size, events = sum(map(len, self._chunks["whole"])), len(workload.events)
        workload.events.clear()
        self._workload = workload
        return {"bytes": size, "events": events}

    def check(self, command: Command) -> Command:
        """Run once and compare the answer with what the contender claims to give."""
        workload, which = self._workload, cast("str", command["which"])
        assert workload is not None
        seconds, result = self._clocked(which)
        counts = workload.counts(cut=which == "cut")
        expected: dict[str, object] = {
            "calls": workload.cut_answer if which == "cut" else workload.answer,
            "decode": counts,
            "events": counts["events"],
        }
        return {"seconds": seconds, "right": self._contender.answer(result) == expected[self._contender.claims]}

    def time(self, _command: Command) -> Command:
        """Run once against the clock."""
        return {"seconds": self._clocked("whole")[0]}

    def memory(self, _command: Command) -> Command:
        """Run once with tracemalloc and give the peak above what was held before."""
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            self._contender.run(self._chunks["whole"], self._mode)
            return {"peak": tracemalloc.get_traced_memory()[1] - before}
        finally:
            tracemalloc.stop()

    def _clocked(self, which: str) -> tuple[float, object]:
        chunks = self._chunks[which]
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        result = self._contender.run(chunks, self._mode)
        return min(time.perf_counter() - wall, time.process_time() - cpu), result


def main() -> None:
    """Serve commands until the input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a client prints is no reply
    warnings.simplefilter("ignore")
    try:
        contender = contenders.make(sys.argv[1])
    except ImportError as error:
        print(json.dumps({"error": f"not found: {error}"}), file=replies, flush=True)
        return
    print(json.dumps({"versions": contenders.versions(contender)}), file=replies, flush=True)
    worker = Worker(contender)
    commands: dict[str, Callable[[Command], Command]] = {
        "load": worker.load,
        "check": worker.check,
        "time": worker.time,
        "memory": worker.memory,
    }
    for line in sys.stdin:
        command = cast("Command", json.loads(line))
        try:
            reply = commands[cast("str", command["do"])](command)
        except Exception as error:  # noqa: BLE001 - whatever a contender fails with is its answer
            reply = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
