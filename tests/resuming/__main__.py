"""Cut every recording before each of its events, resume it in each way, and print how many cuts there were.

    python -m tests.resuming

The recordings are those of the project and, if they are there, those of `$ACCUMULATOR_RECORDINGS`. Each cut is made by
a server of the tests and by that of the library. It takes minutes.
"""

from __future__ import annotations

import time

from tests.conftest import ROOT, real_recordings
from tests.cuts import REAL, SHIPPED, read_whole
from tests.resuming.cut_runs import SERVERS, WAYS


def main() -> None:
    folders = [(ROOT / "tests" / "recordings", SHIPPED)]
    if (real := real_recordings()) is not None:
        folders.append((real, REAL))
    for server, serve in SERVERS.items():
        total, began = 0, time.monotonic()
        for folder, table in folders:
            for name, files in table.items():
                whole = read_whole(folder, files)
                cuts = whole.event_count + 1
                for way in WAYS.values():
                    for cut in range(cuts):
                        with serve(whole, cut) as served:
                            way(served)
                total += cuts
                print(f"{cuts:5}  {name}, {whole.outcome}", flush=True)
        ways = f"{len(WAYS)} ways ({', '.join(WAYS)})"
        print(f"{total:5}  cuts by the {server} server, each resumed in {ways}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
