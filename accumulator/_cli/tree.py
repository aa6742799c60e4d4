"""A run as a tree for people: its steps and messages with what went in and came out, and how the run ended."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple, cast

from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.text import Text

from accumulator import (
    CodeInterpreterImageOutput,
    CodeInterpreterLogOutput,
    CodeInterpreterToolCall,
    FileSearchToolCall,
    ImageFileContentBlock,
    ImageURLContentBlock,
    MessageCreationStepDetails,
    RefusalContentBlock,
    TextContentBlock,
    ToolCallsStepDetails,
)
from accumulator._cli.output import displayable
from accumulator._cli.reading import cut, problem_line
from accumulator._cli.runs import as_number, as_text, calls_of, counted, entries, said_count, said_seconds
from accumulator._errors import join_told
from accumulator._json import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from accumulator import Message, Problem, Run, RunStep, ToolCall
    from accumulator._cli.runs import RunView

STATUS_STYLES = {
    "completed": "green",
    "requires_action": "yellow",
    "incomplete": "yellow",
    "interrupted": "yellow",
    "unknown": "yellow",
    "failed": "red",
    "cancelled": "red",
    "expired": "red",
    "error": "red",
    "truncated": "red",
}
"""The styles of outcomes and statuses; the missing ones are open. Terminals show these colours on any ground."""

_MARKS = {"green": "✓", "yellow": "!", "red": "✗", "cyan": "·"}

_CODE = ANSISyntaxTheme(
    {
        ("Comment",): Style(dim=True),
        ("Keyword",): Style(color="magenta"),
        ("Operator", "Word"): Style(color="magenta"),
        ("Name", "Builtin"): Style(color="cyan"),
        ("Name", "Tag"): Style(color="blue"),
        ("Literal", "String"): Style(color="green"),
        ("Literal", "Number"): Style(color="cyan"),
    }
)
"""Colours of code, which leave the ground as it is."""

_JSON = re.compile(r"""\s*[\[{]\s*(?:["\[{\]}\d]|\Z)""")
"""The beginning of JSON with something in it, also of JSON that is cut off. Printed Python has other quotes."""

_SLACK = 2
"""The lines more than fit that are shown all the same."""

_LONGEST_PRETTY = 20_000
"""The most characters of JSON that are laid out over several lines. A screen shows a part of that."""


class Guides(NamedTuple):
    """The lines of a tree."""

    entry: str
    last: str
    beside: str
    output: str


_DRAWN = Guides("├─ ", "└─ ", "│  ", "→ ")
_TYPED = Guides("+- ", "+- ", "|  ", "> ")
_BELOW_LAST = "   "


class Tree:
    """Makes the lines of a tree.

    On a terminal, what went in and came out is highlighted and cut to the screen, and messages are wrapped. Anywhere
    else everything is whole, a line as long as it was sent.
    """

    def __init__(self, console: Console, *, is_open: bool = False) -> None:
        """Make lines for this console. Of what is open, the last lines are shown, not the first."""
        self._is_open = is_open
        self._console = console
        self._guides = _TYPED if console.options.ascii_only else _DRAWN
        self._cuts = console.is_terminal
        self._width = console.width
        self._most_lines = max(5, console.height // 3)

    def head(self, name: str, run_id: str | None, run: Run | None) -> list[Text]:
        """Return the line that begins a run: the file, the run, the model."""
        parts = [Text(printable(name), "bold")]
        parts += [Text(said(part), "dim") for part in (run_id, run and run.model) if part]
        return self._wrap(Text("  ").join(parts), self._width)

    def step(self, step: RunStep, messages: Sequence[Message], problems: Sequence[Problem]) -> list[Text]:
        """Return a step with its calls and messages, and what was wrong in its events."""
        calls = calls_of(step)
        lines: list[Text] = []
        width = self._width - 6
        if len(calls) == 1:
            lines += self._call(calls[0], width)
        else:
            for number, call in enumerate(calls, 1):
                last = number == len(calls)
                name = self._crop(self._name(call), 6)
                lines += self._below([name, *self._call(call, width - 3)], is_last=last)
        for message in messages:
            lines += self._message(message, width)
        lines += self._details(step, width)
        lines += self._problems(problems, width)
        return self._below([self._step_line(step), *lines])

    def message(self, message: Message, problems: Sequence[Problem]) -> list[Text]:
        """Return a message that no step created."""
        line = self._status_line(f"{said(message.role) or 'assistant'} message", as_text(message.status), [])
        width = self._width - 6
        return self._below([line, *self._message(message, width), *self._problems(problems, width)])

    def foot(self, run: RunView, outcome: str, reason: str, problems: Sequence[Problem]) -> list[Text]:
        """Return the line that ends a run: outcome, reason, seconds and tokens."""
        facts = [said_seconds(run.duration)]
        if (tokens := run.tokens) is not None:
            read, written, both = tokens
            facts.append(f"{said_count(both, 'token')} ({read:,} in, {written:,} out)")
        line = self._status_line("", outcome, facts)
        told = self._wrap(Text(displayable(cut(reason)), "red"), self._width - 6) if reason else []
        told += self._wrap(Text(_waits_for(run), "yellow"), self._width - 6) if outcome == "requires_action" else []
        return self._below([line, *self._problems(problems, self._width - 6), *told], is_last=True)

    # Lines of a step.

    def _step_line(self, step: RunStep) -> Text:
        calls = calls_of(step)
        match step.step_details:
            case MessageCreationStepDetails():
                name = Text("message", "bold")
            case ToolCallsStepDetails() if len(calls) == 1:
                name = self._name(calls[0])
            case ToolCallsStepDetails():
                name = Text(said_count(len(calls), "tool call"), "bold")
            case _:
                name = Text(said(step.type), "bold")
        counts = counted(step.usage)
        tokens = said_count(counts[2], "token") if counts and counts[2] else ""
        return self._status_line(name, as_text(step.status), [said_seconds(as_number(step.duration)), tokens])

    def _status_line(self, name: Text | str, status: str | None, facts: Iterable[str]) -> Text:
        style = STATUS_STYLES.get(status or "", "cyan")
        mark = "" if self._guides is _TYPED else _MARKS[style] + " "
        parts = [name] if isinstance(name, Text) else [Text(name, "bold")] if name else []
        if status and (status != "completed" or not name or not mark):
            parts.append(Text.assemble((said(status), style)))
        parts += [Text.assemble((fact, "dim")) for fact in facts if fact]
        return self._crop(Text.assemble((mark, style), Text("  ").join(parts)), 3)

    def _name(self, call: ToolCall) -> Text:
        name, kind = said(call.name), said(call.type)
        label = as_text(getattr(call, "server_label", call.extra.get("server_label")))
        about = " ".join(filter(None, [kind if kind not in {name, "function"} else "", said(label)]))
        return Text.assemble((name or "call", "bold"), (f"  {about}" if about else "", "dim"))

    def _call(self, call: ToolCall, width: int) -> list[Text]:
        language = "python" if isinstance(call, CodeInterpreterToolCall) else ""
        lines = self._value(as_text(call.input), width, language)
        for output in _outputs(call):
            shown = self._value(output, width - 2) if isinstance(output, str) else self._plain(output, width - 2)
            lines += self._prefix(shown, Text.assemble((self._guides.output, "dim")), Text("  "))
        return lines

    def _details(self, step: RunStep, width: int) -> list[Text]:
        lines: list[Text] = []
        error = step.last_error
        if error is not None:
            told = join_told(getattr(error, "code", None), getattr(error, "message", None))
            lines += self._wrap(Text(displayable(cut(told)) or said(error), "red"), width)
        details = step.step_details
        if details is not None and not isinstance(details, (MessageCreationStepDetails, ToolCallsStepDetails)):
            told = _activities(getattr(details, "to_dict", dict)()) or said(details, raw=True)
            lines += self._value(told, width)
        return lines

    def _message(self, message: Message, width: int) -> list[Text]:
        lines: list[Text] = []
        for part in entries(message.content):
            text = _content(part)
            lines += self._wrap(text[-self._console.height * width :] if self._is_open else text, width)
        reason = as_text(getattr(message.incomplete_details, "reason", None))
        if reason:
            lines += self._wrap(Text(f"incomplete: {said(reason)}", "yellow"), width)
        return lines

    def _problems(self, problems: Sequence[Problem], width: int) -> list[Text]:
        shown = problems[: self._most_lines] if self._cuts else problems
        lines = [
            self._crop(Text(f"! {printable(problem_line(each, with_place=False))}", "yellow"), self._width - width)
            for each in shown
        ]
        if len(shown) < len(problems):
            lines.append(Text(f"! {said_count(len(problems) - len(shown), 'more problem')}", "yellow"))
        return lines

    # Values.

    def _value(self, value: str | None, width: int, language: str = "") -> list[Text]:
        """Return the lines of what went in or came out: code, JSON or other text."""
        if not value:
            return []
        if not self._cuts:
            return self._split(Text(displayable(value).rstrip("\n")))
        language = language or ("json" if _JSON.match(value) else "")
        if language == "json" and (len(value) > width or "\n" in value):
            value = _pretty(value)
        room = 2 * self._most_lines * width
        text = displayable(value[-room:] if self._is_open else value[:room]).rstrip("\n")
        if not language:
            return self._plain(Text(text), width, is_cut=len(value) > room)
        shown = Syntax(text, language, theme=_CODE).highlight(text)
        shown.rstrip()
        return self._fit(self._split(shown), width, is_cut=len(value) > room)

    def _plain(self, text: Text, width: int, *, is_cut: bool = False) -> list[Text]:
        lines = self._wrap(text, width)
        return self._fit(lines, width, is_cut=is_cut) if self._cuts else lines

    def _fit(self, lines: list[Text], width: int, *, is_cut: bool) -> list[Text]:
        """Leave out what has no place on the screen. Two lines more are no more than the line that says so."""
        hidden = len(lines) - self._most_lines
        if hidden > _SLACK or is_cut:
            rest = Text.assemble((f"... {'much more' if is_cut else said_count(hidden, 'more line')}", "dim"))
            lines = [rest, *lines[-self._most_lines :]] if self._is_open else [*lines[: self._most_lines], rest]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _wrap(self, text: Text, width: int) -> list[Text]:
        text.rstrip()
        if not self._cuts:
            return self._split(text)
        return [*text.wrap(self._console, max(width, 10), overflow="fold")]

    def _split(self, text: Text) -> list[Text]:
        return [*text.split("\n", allow_blank=True)] if text.plain else []

    def _crop(self, line: Text, used: int = 0) -> Text:
        if self._cuts:
            line.truncate(max(self._width - used, 10), overflow="ellipsis")
        return line

    # Guides.

    def _below(self, lines: Sequence[Text], *, is_last: bool = False) -> list[Text]:
        first = Text.assemble((self._guides.last if is_last else self._guides.entry, "dim"))
        rest = Text.assemble((_BELOW_LAST if is_last else self._guides.beside, "dim"))
        return self._prefix(lines, first, rest)

    @staticmethod
    def _prefix(lines: Sequence[Text], first: Text, rest: Text) -> list[Text]:
        return [(rest if number else first) + line for number, line in enumerate(lines)]


def _waits_for(run: RunView) -> str:
    """Return what a run waits for: the names of the calls, and whether for their outputs or for approval."""
    action = None if run.run is None else run.run.required_action
    calls = [said(getattr(call, "name", call)) for call in getattr(action, "tool_calls", ())]
    what = "approval" if getattr(action, "type", None) == "submit_tool_approval" else "the output"
    return f"waits for {what} of {', '.join(calls)}" if calls else ""


def _outputs(call: ToolCall) -> Iterator[str | Text]:
    """Yield what came back of a call: texts, and lines about what is no text."""
    match call:
        case CodeInterpreterToolCall(code_interpreter=code):
            for output in entries(getattr(code, "outputs", None)):
                match output:
                    case CodeInterpreterLogOutput(logs=str() as logs):
                        yield logs
                    case CodeInterpreterImageOutput(image=image):
                        yield Text(f"image {said(getattr(image, 'file_id', image))}", "blue")
                    case _:
                        yield said(output)
        case FileSearchToolCall(file_search=search):
            for result in entries(getattr(search, "results", None)):
                yield _search_result(result)
        case _:
            if call.output is not None:
                yield call.output


def _search_result(result: object) -> Text:
    """Return a line with score and file of what a search found, and the texts below it."""
    score = as_number(getattr(result, "score", None))
    name = said(getattr(result, "file_name", None) or getattr(result, "file_id", result))
    texts = [said(getattr(part, "text", part), raw=True) for part in entries(getattr(result, "content", None))]
    title = f"{'' if score is None else f'{score:.2f} '}{name}"
    return Text.assemble((title, "blue"), displayable("".join(f"\n{text}" for text in texts)))


def _activities(details: dict[str, object]) -> str:
    """Return a line for each activity of a step: its type, the server, the tools. "" if there is none."""
    entries = details.get("activities")
    lines: list[str] = []
    for entry in cast("list[object]", entries) if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            lines.append(said(entry))
            continue
        activity = cast("dict[str, object]", entry)
        tools = activity.get("tools")
        names = ", ".join(map(said, cast("dict[str, object]", tools))) if isinstance(tools, dict) else said(tools)
        about = [said(activity.get("type")), said(activity.get("server_label"))]
        lines.append(": ".join(filter(None, [" ".join(filter(None, about)), names])))
    return "\n".join(lines)


def _content(part: object) -> Text:
    match part:
        case TextContentBlock(text=text):
            return Text(displayable(said(getattr(text, "value", text), raw=True)))
        case ImageFileContentBlock(image_file=image):
            return Text(f"image {said(getattr(image, 'file_id', image))}", "blue")
        case ImageURLContentBlock(image_url=image):
            return Text(f"image {said(getattr(image, 'url', image))}", "blue")
        case RefusalContentBlock(refusal=refusal):
            return Text(f"refused: {displayable(said(refusal, raw=True))}", "yellow")
        case _:
            return Text(said(part))


def said(value: object, *, raw: bool = False) -> str:
    """Return what a server sent as text on one line: a text as it is, anything else as JSON; "" for None."""
    if value is None:
        return ""
    to_json = getattr(value, "to_json", None)
    text = value if isinstance(value, str) else to_json() if to_json else json.dumps(value, ensure_ascii=False)
    return text if raw else printable(cut(text))


def _pretty(text: str) -> str:
    """Return JSON over several lines; what is no JSON, or too long for a screen, as it is."""
    if len(text) > _LONGEST_PRETTY:
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
