"""Show runs as trees: when they were read or, where the input is still on its way, step by step as it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from accumulator import (
    BodyEnded,
    Problem,
    RequiresAction,
    RunStepCreated,
    RunStepUpdated,
    RunUpdated,
    ToolCallDelta,
    Update,
)
from accumulator._cli.output import flush, print_to_stderr
from accumulator._cli.runs import as_text, current_run_id, message_id_of, said_count, said_seconds
from accumulator._cli.screen import DRAWN_EVERY, Region, make_console, print_lines
from accumulator._cli.tree import STATUS_STYLES, Tree, said
from accumulator._cli.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from accumulator import RunStep
    from accumulator._cli.reading import Reading

_NONE = object()

_FINAL = frozenset({"completed", "failed", "cancelled", "expired"})


class TreeView(View):
    """A tree for each run. Lines for standard error wait for the end of a run.

    Where the input is still on its way, a step is printed when it has ended and the next one begins: until then more
    may come for it. On a terminal what is open is drawn below.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Start with nothing printed, on this console or on standard output."""
        self._console = console or make_console()
        self._tree = Tree(self._console)
        self._open = _OpenSteps(self._console)
        self._notes: list[str] = []
        self._is_first = True
        self._start()
        if self._open.can_draw:
            self.interval = DRAWN_EVERY

    def _start(self) -> None:
        self._head: object = _NONE  # the id of the run whose tree is open
        self._is_shown = False  # whether anything of what is read is printed
        self._printed: set[str] = set()  # the ids of steps
        self._waiting: dict[str, None] = {}  # the ids of steps that are not printed, where the input is on its way
        self._problems: dict[str | None, list[Problem]] = {}

    def noted(self, line: str) -> None:
        """Keep the line."""
        self._notes.append(line)

    def updated(self, reading: Reading, update: Update) -> None:
        """Keep a problem. Where the input is on its way, print the steps that have ended."""
        if isinstance(update, Problem):
            self._problems.setdefault(update.step_id or update.message_id, []).append(update)
        if not reading.live:
            return
        match update:
            case RunUpdated(run=run) | RequiresAction(run=run) if self._head is _NONE:
                self._print_head(reading, as_text(run.id))
            case RunStepCreated(step_id=step_id):
                self._print_ended_steps(reading)
                self._waiting[step_id] = None
            case ToolCallDelta(step_id=step_id) | RunStepUpdated(step_id=step_id) if step_id in self._printed:
                self._printed.discard(step_id)  # it is printed again, with what came late
                self._waiting[step_id] = None
                reading.runs.add_step(step_id, self._head)
            case BodyEnded(outcome=outcome) if outcome != "requires_action" and reading.runs:
                self._print_all(reading)
            case _:
                pass
        if self._open.is_due:
            self._draw(reading)

    def waits(self, reading: Reading) -> None:
        """Draw what is open."""
        flush()
        if reading.live and self._open.can_draw:
            self._draw(reading)

    def ended(self, reading: Reading) -> None:
        """Print what was not printed, and how the run ended."""
        if reading.has_known_events and (reading.runs or not self._is_shown):
            self._print_all(reading)
        self._open.erase()
        flush()
        self.close()
        self._start()

    def close(self) -> None:
        """Erase what is drawn, and tell what is left to tell."""
        self._open.erase()
        for line in self._notes:
            print_to_stderr(line)
        self._notes.clear()

    def _draw(self, reading: Reading) -> None:
        self._open.draw_steps(reading, [*filter(None, map(reading.accumulator.run_step, self._waiting))])

    def _print_ended_steps(self, reading: Reading) -> None:
        """Print the steps up to one that has not ended."""
        for step in filter(None, map(reading.accumulator.run_step, [*self._waiting])):
            if as_text(step.status) not in _FINAL:
                break
            self._print_head(reading, as_text(step.run_id) or current_run_id(reading.accumulator))
            self._print_step(reading, step)

    def _print_all(self, reading: Reading) -> None:
        """Print the runs that were not shown yet, without the steps that were, and how they ended."""
        for run in reading.views():
            self._print_head(reading, run.run_id)
            for step in run.steps:
                if step.id not in self._printed:
                    self._print_step(reading, step)
            for message in run.messages:
                self._print(self._tree.message(message, self._problems.pop(message.id, ())))
            outcome = reading.shown_outcome(run)
            reason = reading.reason(run.run, run.outcome)
            self._print(self._tree.foot(run, outcome, reason, self._problems.pop(None, ())))
        self._head = _NONE
        reading.runs.forget()

    def _print_head(self, reading: Reading, run_id: str | None) -> None:
        if self._head != run_id:
            if not self._is_first:
                self._print([Text()])
            self._is_first, self._is_shown = False, True
            self._head = run_id
            self._print(self._tree.head(reading.name, run_id, reading.runs.find(run_id)))

    def _print_step(self, reading: Reading, step: RunStep) -> None:
        self._printed.add(step.id)
        self._waiting.pop(step.id, None)
        self._print(step_lines(self._tree, reading, step, self._problems))

    def _print(self, lines: Iterable[Text]) -> None:
        self._open.erase()
        print_lines(self._console, lines)


def step_lines(tree: Tree, reading: Reading, step: RunStep, problems: dict[str | None, list[Problem]]) -> list[Text]:
    """Return the lines of a step, with the message that it created and the problems of both."""
    message_id = message_id_of(step)
    message = None if message_id is None else reading.accumulator.message(message_id)
    owners = [step.id, *([] if message is None else [message_id])]
    return tree.step(
        step, [] if message is None else [message], [each for owner in owners for each in problems.get(owner, ())]
    )


class _OpenSteps(Region):
    """The steps that are open, as many of their last lines as the screen has, and a line that says what goes on."""

    def __init__(self, console: Console) -> None:
        """Draw on this console, if it is a terminal."""
        super().__init__(console)
        self._frames = "-\\|/" if console.options.ascii_only else "\u280b\u2819\u2838\u2834\u2826\u2807"
        self._began = time.monotonic()

    def draw_steps(self, reading: Reading, steps: Sequence[RunStep]) -> None:
        """Draw the last of these steps."""
        rows = self._console.height
        tree = Tree(self._console, is_open=True)  # the size may have changed
        lines = [line for step in steps[-rows:] for line in step_lines(tree, reading, step, {})]
        run = reading.accumulator.current_run
        status = said(None if run is None else run.status) or "waiting"
        seconds = time.monotonic() - self._began
        facts = [said_count(reading.event_count, "event"), said_seconds(seconds // 1)]
        told = Text.assemble((status, STATUS_STYLES.get(status, "cyan")), ("  " + "  ".join(facts), "dim"))
        frame = self._frames[int(seconds / DRAWN_EVERY) % len(self._frames)]
        told.truncate(self._console.width - 2, overflow="ellipsis")
        self.draw([*lines[-max(rows - 2, 1) :], Text.assemble((f"{frame} ", "cyan"), told)])
