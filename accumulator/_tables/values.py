"""The types of columns: what a server sent becomes a value of the type of its column, or None.

A table has one type a column, and a server may send anything. What cannot be read as a column's type is null, so that
no value makes a file unreadable or a column another type.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from accumulator._json import dump_json, join_surrogates
from accumulator._model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

Type: TypeAlias = Literal["text", "integer", "number", "time"]
Value: TypeAlias = str | int | float | datetime | None

_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999, the last that `datetime` has, in seconds since 1970."""

_INTEGERS: Final = range(-(2**63), 2**63)
"""What 64 bits hold: the integers of Parquet, SQLite and every frame."""


def _as_text(value: object) -> str | None:
    """Return a text as it is, and any other value as JSON; a lone surrogate becomes its escape, as UTF-8 lacks it."""
    if value is None:
        return None
    text = value if isinstance(value, str) else value.to_json() if isinstance(value, Model) else dump_json(value)
    if text.isascii():
        return text
    return join_surrogates(text).encode("utf-8", "backslashreplace").decode()


def _as_integer(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS else None


def as_number(value: object) -> float | None:
    """Return a number that a double can hold, None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if value in _INTEGERS else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _as_time(value: object) -> datetime | None:
    """Return a time to the millisecond, as all formats have it."""
    seconds = as_number(value)
    if seconds is None or not 0 <= seconds <= _LAST_SECOND:
        return None
    time = datetime.fromtimestamp(seconds, UTC)
    return time.replace(microsecond=time.microsecond // 1_000 * 1_000)


READERS: Final[dict[Type, Callable[[object], Value]]] = {
    "text": _as_text,
    "integer": _as_integer,
    "number": as_number,
    "time": _as_time,
}
"""What makes a value of each type."""


def time_text(time: datetime) -> str:
    """Return a time as text, in UTC: "2026-11-28T09:30:00Z", where it has them with milliseconds."""
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds").removesuffix("+00:00") + "Z"
