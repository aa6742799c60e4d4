"""What is printed of the runs that are read: a class for each option but the tree, which is in a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator import (
    ContentDelta,
    ContentDone,
    MessageCreated,
    MessageDone,
    Problem,
    RefusalDeltaBlock,
    TextDelta,
    TextDeltaBlock,
    Update,
)
from accumulator._assistants.messages import is_said, said_in
from accumulator._cli.output import Typewriter, flush, print_json, print_to_stderr, write_bytes
from accumulator._cli.reading import GOOD_OUTCOMES, problem_line
from accumulator._cli.runs import as_text, current_run_id

if TYPE_CHECKING:
    from accumulator._cli.reading import Reading


class View:
    """What is printed of runs: by default nothing but the lines for standard error."""

    prints_as_it_comes = False
    interval: float | None = None

    def updated(self, reading: Reading, update: Update) -> None:
        """Take an update."""

    def noted(self, line: str) -> None:
        """Take a line for standard error."""
        print_to_stderr(line)

    def waits(self, reading: Reading) -> None:  # noqa: ARG002 - another view draws what is open
        """Write out what was printed."""
        flush()

    def advanced(self, size: int) -> None:
        """Take the number of bytes that were read."""

    def ended(self, reading: Reading) -> None:
        """Take a run that was read to its end."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class JSONView(View):
    """A line of JSON for each step, when its run was read. Problems and outcomes go to standard error."""

    def updated(self, reading: Reading, update: Update) -> None:
        """Tell a problem at once."""
        if isinstance(update, Problem):
            self.noted(f"{reading.names[-1]}: {problem_line(update)}")

    def ended(self, reading: Reading) -> None:
        """Print the steps, then tell the outcome."""
        outcome = reading.accumulator.outcome
        for step in reading.accumulator.run_steps():
            of_run = reading.outcomes.of(step.run_id, outcome)
            print_json({"file": reading.name, "run_id": step.run_id, "outcome": of_run, "step": step.to_dict()})
        flush()
        self.noted(f"{reading.name}: {reading.verdict()}")


class UpdatesView(View):
    """A line of JSON for each update, as it comes."""

    prints_as_it_comes = True

    def updated(self, reading: Reading, update: Update) -> None:
        """Print the update."""
        print_json({"file": reading.names[-1], "update": update.to_dict()})

    def ended(self, reading: Reading) -> None:  # noqa: ARG002 - all was printed
        """Write out what was printed."""
        flush()


class TextView(View):
    """What the agent said, as it comes: messages have an empty line between them, runs too. See `Accumulator.text`.

    A text that came as part of a whole message is printed when the message ends. Lines for standard error wait for the
    end of a run, so that on a terminal they do not stand within the text.
    """

    prints_as_it_comes = True

    def __init__(self) -> None:
        """Start with nothing printed."""
        self._typewriter = Typewriter()
        self._last: str | None = None  # the id of the message that was printed last
        self._at_line_start = True
        self._not_said: set[str] = set()  # the messages of others, and of other runs
        self._printed: dict[tuple[str, int | None], int] = {}  # characters of the parts of open messages
        self._notes: list[str] = []
        self._says_more = False  # whether a run before this one said something

    def noted(self, line: str) -> None:
        """Keep the line."""
        self._notes.append(line)

    def updated(self, reading: Reading, update: Update) -> None:
        """Print the text that came."""
        match update:
            case MessageCreated(message_id=message_id, message=message):
                if not is_said(message, current_run_id(reading.accumulator)):
                    self._not_said.add(message_id)
            case ContentDelta(message_id=message_id, index=index, delta=TextDeltaBlock(text=TextDelta(value=piece))):
                self._say(message_id, index, as_text(piece))
            case ContentDelta(message_id=message_id, index=index, delta=RefusalDeltaBlock(refusal=piece)):
                self._say(message_id, index, as_text(piece))
            case ContentDone(message_id=message_id, index=index, content=content):
                text = said_in(content)
                self._say(message_id, index, text[self._printed.pop((message_id, index), 0) :])
            case MessageDone(message_id=message_id, message=message):
                self._say(message_id, None, as_text(message.content))  # a text in place of parts
            case Problem():
                self.noted(f"{reading.names[-1]}: {problem_line(update)}")
            case _:
                pass

    def ended(self, reading: Reading) -> None:
        """End the line, and tell an outcome that is not good."""
        self._end_message()
        flush()
        if reading.accumulator.outcome not in GOOD_OUTCOMES:
            self.noted(f"{reading.name}: {reading.verdict()}")
        self.close()
        self._says_more = self._says_more or self._last is not None
        self._last = None
        self._printed.clear()
        self._not_said.clear()

    def close(self) -> None:
        """Tell what is left to tell."""
        for line in self._notes:
            print_to_stderr(line)
        self._notes.clear()

    def _say(self, message_id: str, index: int | None, piece: str | None) -> None:
        if not piece or message_id in self._not_said:
            return
        key = (message_id, index)
        self._printed[key] = self._printed.get(key, 0) + len(piece)
        if self._last != message_id:
            self._end_message()
            if self._last is not None or self._says_more:
                self._write("\n")
            self._last = message_id
        self._write(self._typewriter.add(piece))

    def _end_message(self) -> None:
        self._write(self._typewriter.end())
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            write_bytes(text.encode())
            self._at_line_start = text.endswith("\n")
