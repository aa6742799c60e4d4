"""What callgrind counts: `python -m benches.counted STREAM READER PASSES`. It imports no more than it must."""

from __future__ import annotations

import sys

CHUNK = 4_096


def main(stream: str, reader: str, passes: str) -> None:
    """Read a stream so many times: by the floor, to the end, in a loop over all updates, or as people do."""
    with open(stream, "rb") as file:  # noqa: PTH123 - pathlib is one import more
        data = file.read()
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    if reader == "decode":
        from benches.floors import decode

        for _ in range(int(passes)):
            decode(chunks)
        return
    if reader in {"by-hand", "leanest"}:
        from benches.contenders import ByHand, Leanest

        loop = Leanest() if reader == "leanest" else ByHand()
        for _ in range(int(passes)):
            loop.run(chunks, "final")
        return
    from accumulator import accumulate

    for _ in range(int(passes)):
        steps = accumulate(chunks)
        if reader == "loop":
            for _ in steps:
                pass
        steps.final_run_steps()


if __name__ == "__main__":
    main(*sys.argv[1:])
