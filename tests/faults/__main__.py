"""Run every fault over every client; print the table of what came, or put it into the README."""

from __future__ import annotations

import argparse
import sys

from tests.faults.clients import NAMES, cell_of
from tests.faults.table import FAULTS, README, put, render


def main() -> int:
    """Return 1 if a cell is not what it must be: the table then has it as it is."""
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--write", action="store_true", help="put the table into README.md")
    write = options.parse_args().write
    cells = {(fault, name): cell_of(fault, name) for fault in FAULTS for name in NAMES}
    table = render(cells)
    if write:
        README.write_text(put(README.read_text(encoding="utf-8"), table), encoding="utf-8")
    sys.stdout.write(table)
    wrong = [(fault, name) for fault, name in cells if FAULTS[fault].cells[name] != cells[fault, name]]
    for fault, name in wrong:
        sys.stderr.write(f"{fault}, {name}: expected {FAULTS[fault].cells[name]}, got {cells[fault, name]}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
