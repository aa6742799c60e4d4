"""The command line: `python -m benches` measures everything, `python -m benches SUBJECT` one subject."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benches import contenders
from benches.workloads import CHUNKS, MODES, RECIPES

if TYPE_CHECKING:
    from benches.runner import Settings

SUBJECTS = {
    "compare": "contenders against workloads",
    "scaling": "how time and memory grow",
    "streams": "how many live streams one core carries",
    "memory": "what is held while a long text comes",
    "imports": "what an import costs",
    "short": "streams as short as those of users, against loops that people write",
    "hostile": "streams that were made to be slow; not part of `all`",
    "limits": "what a server can make a process take; takes minutes and is not part of `all`",
    "live": "a soak of live streams over sockets: memory and answers; not part of `all`",
    "recordings": "many recordings, shown by the command line; a GB of them, and not part of `all`",
    "caches": "instructions and cache misses of short streams, counted by cachegrind; not part of `all`",
    "guard": "instructions counted by callgrind, against what is kept in guard.json; not part of `all`",
}


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    subjects = "; ".join(f"{name}: {says}" for name, says in SUBJECTS.items())
    made = argparse.ArgumentParser(prog="python -m benches", description=f"Measure. {subjects}.")
    made.add_argument("subject", nargs="?", choices=("all", *SUBJECTS), default="all")
    made.add_argument("--workload", action="append", choices=RECIPES, help="only this one; may be repeated")
    made.add_argument("--contender", action="append", choices=contenders.NAMES, help="only this one; may be repeated")
    made.add_argument("--chunk", action="append", type=int, choices=CHUNKS, help="bytes; may be repeated")
    made.add_argument("--mode", action="append", choices=MODES, help="who reads updates; may be repeated")
    made.add_argument("--every", action="store_true", help="every workload in every mode and from every chunk size")
    made.add_argument("--repeats", type=int, help="how often each is timed at most (25)")
    made.add_argument("--cap", type=float, help="seconds that one run of a slow contender may take (60)")
    made.add_argument("--out", type=Path, default=Path("benches/out"), help="where JSON and SVG go (%(default)s)")
    made.add_argument("--quick", action="store_true", help="a tenth of the sizes, a cap of 2 s, 5 repeats")
    made.add_argument("--streams", type=int, default=1_000, help="with live: how many (%(default)s)")
    made.add_argument("--seconds", type=float, default=60.0, help="with live: for how long (%(default)s)")
    made.add_argument("--update", action="store_true", help="with guard: keep what is counted now")
    return made


def main() -> int:
    """Measure what is asked for, and return the exit status."""
    options = parser().parse_args()
    if options.subject in {"caches", "guard"}:
        from benches.caches import caches
        from benches.guard import guard

        return caches() if options.subject == "caches" else guard(update=options.update)
    if options.subject == "hostile":
        from benches.hostile import hostile

        return hostile()
    if options.subject == "limits":
        from benches.limits import limits

        return 0 if limits(options.out, quick=options.quick) else 1
    if options.subject == "recordings":
        from benches.recordings import recordings

        return 0 if recordings(options.out, quick=options.quick) else 1
    from benches.runner import Settings, machine

    if options.subject == "live":
        from benches.live import live

        print(", ".join(f"{name} {value}" for name, value in machine().items()))
        return live(options.streams, options.seconds)
    default = Settings(repeats=5, cap=2.0, budget=3.0) if options.quick else Settings()
    settings = Settings(options.repeats or default.repeats, options.cap or default.cap, default.budget)
    print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n", flush=True)
    for subject in SUBJECTS if options.subject == "all" else (options.subject,):
        _measure(subject, options, settings)
    return 0


def _measure(subject: str, options: argparse.Namespace, settings: Settings) -> None:
    names, quick, out = options.contender or (), options.quick, options.out
    match subject:
        case "compare":
            from benches.compare import cases, compare

            wanted = cases(
                options.workload or (), options.chunk or (), options.mode or (), quick=quick, every=options.every
            )
            compare(wanted, names, settings, out)
        case "scaling":
            from benches.scaling import scaling

            scaling(names, settings, out, quick=quick)
        case "streams":
            from benches.streams import streams

            streams(names, out, quick=quick)
        case "memory":
            from benches.memory import memory

            memory(out, quick=quick)
        case "imports":
            from benches.imports import imports

            imports(5 if quick else 20, out)
        case "short":
            from benches.short import ROUNDS, short

            short(ROUNDS // 10 if quick else ROUNDS)
        case _:
            pass


if __name__ == "__main__":
    sys.exit(main())
