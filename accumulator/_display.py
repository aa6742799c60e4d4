"""Show a value to people: in IPython, as HTML in a notebook, and in short for rich.

What a server sent may hold markup, escapes of terminals and characters that turn the direction of text. Texts are shown
as `repr` or with such characters escaped, and in HTML all text is escaped, so that none of it has an effect.

Line ends and tabs of a text on several lines stay, and so do the joiners of emoji and of Persian and Indic scripts.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from accumulator._json import join_surrogates, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST = 2_000
"""Characters of a text that are shown: the first and the last half of them."""

MOST = 100
"""Entries of a list or an object that are shown."""

DEEPEST = 8
"""Levels of lists and objects without a model that are shown."""

_CUT = "..."

_LEFT = ' style="text-align:left;vertical-align:top"'
_WRAPPED = ' style="white-space:pre-wrap"'
"""The styles of cells and of texts. A notebook shows cells at the right and in the middle, and cuts long lines."""


@runtime_checkable
class Shown(Protocol):
    """A value that is shown by its parts."""

    def __shown__(self) -> Mapping[str, object]:
        """Return the parts by name."""
        ...


class Printer(Protocol):
    """What is used of the printer of IPython."""

    def text(self, text: str, /) -> object:
        """Write text."""

    def breakable(self, sep: str = " ", /) -> object:
        """Write a separator, at which a line may be broken."""

    def pretty(self, value: object, /) -> object:
        """Write a value."""

    def begin_group(self, indent: int, text: str, /) -> object:
        """Begin a part whose lines are indented."""

    def end_group(self, indent: int, text: str, /) -> object:
        """End the part."""


def brief(value: object, depth: int = DEEPEST) -> object:
    """Return a value with long texts and long lists cut, and nothing but "..." below a depth."""
    if isinstance(value, str):
        half = LONGEST // 2
        return value if len(value) <= LONGEST else f"{value[:half]}{_CUT}{value[-half:]}"
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        kept = [(brief(key), brief(members[key], depth - 1)) for key in list(members)[:MOST]] if depth else []
        return dict([*kept, *_more(len(members) - len(kept))])
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        entries = [brief(each, depth - 1) for each in items[:MOST]] if depth else []
        return [*entries, *(key for key, _ in _more(len(items) - len(entries)))]
    return value


def _more(count: int) -> list[tuple[str, str]]:
    return [(f"{_CUT} {count} more", "")] if count else []


def print_pretty(value: Shown, printer: Printer, *, cycle: bool) -> None:
    """Write a value with the printer of IPython."""
    name = type(value).__name__
    if cycle:
        printer.text(f"{name}({_CUT})")
        return
    printer.begin_group(4, f"{name}(")
    parts = [(key, part) for key, part in value.__shown__().items() if part is not None]
    for place, (key, part) in enumerate(parts):
        if place:
            printer.text(",")
        printer.breakable(" " if place else "")
        printer.text(f"{key}=")
        printer.pretty(brief(part))
    printer.end_group(4, ")")


def to_html(value: object) -> str:
    """Return a value as HTML: a table for what has parts, a list for a list, else its text."""
    if isinstance(value, Shown):
        return _table(type(value).__name__, value.__shown__().items())
    value = brief(value)
    if isinstance(value, dict):
        return _table("", cast("dict[str, object]", value).items())
    if isinstance(value, list):
        return "<ol>" + "".join(f"<li>{to_html(each)}</li>" for each in cast("list[object]", value)) + "</ol>"
    return (
        f"<pre{_WRAPPED}>{_escape(value)}</pre>" if isinstance(value, str) else f"<code>{_escape(repr(value))}</code>"
    )


def _table(name: str, parts: Iterable[tuple[str, object]]) -> str:
    shown = [(key, part) for key, part in parts if part is not None]
    rows = "".join(f"<tr><th{_LEFT}>{_escape(key)}</th><td{_LEFT}>{to_html(part)}</td></tr>" for key, part in shown)
    caption = f"<caption{_LEFT}>{_escape(name)}</caption>" if name else ""
    return f"<table>{caption}{rows}</table>"


def _escape(text: str) -> str:
    return escape(printable_lines(text))


class _Shown(dict[int, str]):
    """A table for `str.translate` that adds the entry of a character when it is first needed."""

    def __missing__(self, code: int) -> str:
        self[code] = escaped = printable(chr(code))
        return escaped


_SHOWN = _Shown({ord(kept): kept for kept in "\n\t\u200c\u200d"})


def printable_lines(text: str) -> str:
    """Return text as people read it on several lines: as `printable`, but with its line ends, tabs and joiners."""
    return join_surrogates(text).replace("\r\n", "\n").translate(_SHOWN)
