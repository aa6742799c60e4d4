"""What an import costs: CPU time of the `import` alone, each in new interpreters, by turns; the minimum of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benches import report
from benches.contenders import HERE
from benches.runner import machine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODULES = ("msgspec", "accumulator", "httpx_sse", "langchain_core.utils._merge", "azure.ai.agents.models", "openai")
AGAINST = "msgspec"
STATEMENTS = {"accumulator": "from accumulator import accumulate"}  # its modules are imported on first use of a name
_TIMED = "import time; begin = time.process_time(); {0}; print(time.process_time() - begin)"


def seconds(module: str) -> float | None:
    """Return how long an import takes in a new interpreter, or None where it fails."""
    # -E: an environment may say that no bytecode is kept, and then each import would compile again.
    command = [sys.executable, "-E", "-W", "ignore", "-c", _TIMED.format(STATEMENTS.get(module, f"import {module}"))]
    done = subprocess.run(command, cwd=HERE.parent, check=False, capture_output=True)  # noqa: S603 - our own command
    return float(done.stdout) if done.returncode == 0 else None


def imports(repeats: int, out: Path, modules: Sequence[str] = MODULES) -> None:
    """Import each so many times after a first time that is not counted, and print the minimum."""
    taken: dict[str, list[float]] = {module: [] for module in modules if seconds(module) is not None}
    for _ in range(repeats):
        for module, times in taken.items():
            if (once := seconds(module)) is not None:
                times.append(once)
    best = {module: min(times) for module, times in taken.items()}
    rows = [
        (
            module,
            *(
                (f"{best[module] * 1e3:.2f}", f"{best[module] / best[AGAINST]:.2f}")
                if module in best
                else ("not found", "")
            ),
        )
        for module in modules
    ]
    print(report.table(("import", "min ms", f"x {AGAINST}"), rows), "", sep="\n")
    report.write_json(out / "imports.json", {"machine": machine(), "seconds": best})
