"""A live view of a run with rich: each step with its calls, and what the agent says, while it is written.

curl -N ... | python live_view.py
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from accumulator import accumulate

if TYPE_CHECKING:
    from accumulator import Accumulator


def watch(source: object, console: Console) -> Accumulator:
    """Read a run to its end. Rich draws it ten times a second, from a thread of its own: what it draws is made here."""
    stream = accumulate(source)
    with Live(console=console, refresh_per_second=10) as live:
        for _ in stream:
            live.update(view(stream.accumulator))
    return stream.accumulator


def view(run: Accumulator) -> Tree:
    tree = Tree(shown(f"run: {run.outcome or 'running'}"))
    for step in run.run_steps():
        seconds = "" if step.duration is None else f", {step.duration:g} s"
        branch = tree.add(shown(f"{step.type}: {step.status}{seconds}"))
        for call in step.tool_calls:
            branch.add(shown(f"{call.name}\n{call.input or ''}")).add(shown(call.output or "..."))
    tree.add(shown(run.text))
    return tree


def shown(text: str) -> Text:
    """Make text of a server for a terminal: it has no markup, and a sign in the place of what cannot be printed."""
    lines = "\n".join(text.splitlines())
    return Text("".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in lines))


if __name__ == "__main__":
    watch(sys.stdin.buffer, Console())
