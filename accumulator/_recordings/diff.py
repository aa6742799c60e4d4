"""Compare two runs: their steps and messages one by one, and the calls of each step.

Ids and times differ between any two runs, so that they are left out unless they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.streams import accumulate
from accumulator._json import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST: Final = 60
_MISSING: Final = object()

_IDS: Final = frozenset({"id", "assistant_id", "thread_id", "run_id", "message_id", "file_id", "tool_call_id"})
_TIMES: Final = frozenset(
    {
        "created_at",
        "started_at",
        "completed_at",
        "failed_at",
        "cancelled_at",
        "expires_at",
        "expired_at",
        "incomplete_at",
    }
)


class Difference(NamedTuple):
    """A place in which two runs differ; `str()` is a line for people, `to_dict()` is for machines.

    Attributes:
        where: what it is about: "outcome", "run step 1", "message 2".
        path: JSONPath within it; "$" for the whole.
        kind: "differs", or "only in a" or "only in b" if the other run has no such step, message, call or field.
        a: the value in the first run.
        b: the value in the second run.

    """

    where: str
    path: str
    kind: str
    a: object
    b: object

    def __str__(self) -> str:
        """Return a line."""
        return printable(f"{self.where}  {self.path}  {_told(self, 'a', 'b')}")

    def to_dict(self) -> dict[str, object]:
        """Return the difference as JSON values."""
        return dict(self._asdict())


def _told(difference: Difference, a: str, b: str) -> str:
    """Say how the two differ; `a` and `b` are what the two are called."""
    match difference.kind:
        case "only in a":
            return f"only {a} has {shortened(difference.a)}"
        case "only in b":
            return f"only {b} has {shortened(difference.b)}"
        case _:
            return f"{a} has {shortened(difference.a)}, {b} has {shortened(difference.b)}"


def differing_lines(a: object, b: object, a_name: str, b_name: str) -> list[str]:
    """Return a line for each field in which two JSON values differ, with the path of the field."""
    found = _compare("", "$", a, b, frozenset())
    return [printable(f"{each.path}  {_told(each, a_name, b_name)}") for each in found]


def shortened(value: object) -> str:
    """Return a value as JSON text for people, cut behind 60 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def diff(a: object, b: object, *, ids: bool = False, times: bool = False) -> list[Difference]:
    """Compare two runs, and return where they differ: none if they are alike.

    The run steps are paired in their order, as are the messages, and the tool calls of two steps.

    Args:
        a: the first run: an `Accumulator`, or what `accumulate` reads, such as the path of a recording.
        b: the second run.
        ids: whether ids count.
        times: whether times count, such as `created_at`.

    Raises:
        OSError, RecordingError, ResponseError, TruncatedError, LimitError, TypeError: as `accumulate`.

    """
    one, other = _fold(a), _fold(b)
    left_out = frozenset[str]().union([] if ids else _IDS, [] if times else _TIMES)
    found = list(_compare("outcome", "$", one.outcome, other.outcome, left_out))
    for name, ours, theirs in (
        ("run step", one.run_steps(), other.run_steps()),
        ("message", one.messages(), other.messages()),
    ):
        for number in range(max(len(ours), len(theirs))):
            values = [each[number].to_dict() if number < len(each) else _MISSING for each in (ours, theirs)]
            found += _compare(f"{name} {number + 1}", "$", values[0], values[1], left_out)
    return found


def _fold(run: object) -> Accumulator:
    return run if isinstance(run, Accumulator) else accumulate(run).until_done()


def _compare(where: str, path: str, a: object, b: object, left_out: frozenset[str]) -> Iterator[Difference]:
    if a is _MISSING or b is _MISSING:
        kind = "only in b" if a is _MISSING else "only in a"
        yield Difference(where, path, kind, None if a is _MISSING else a, None if b is _MISSING else b)
    elif isinstance(a, Mapping) and isinstance(b, Mapping):
        ours, theirs = cast("Mapping[str, object]", a), cast("Mapping[str, object]", b)
        for key in dict.fromkeys([*ours, *theirs]):
            if key not in left_out:
                values = ours.get(key, _MISSING), theirs.get(key, _MISSING)
                yield from _compare(where, f"{path}.{key}", *values, left_out)
    elif isinstance(a, list) and isinstance(b, list):
        ours_, theirs_ = cast("Sequence[object]", a), cast("Sequence[object]", b)
        for at in range(max(len(ours_), len(theirs_))):
            one, other = [each[at] if at < len(each) else _MISSING for each in (ours_, theirs_)]
            yield from _compare(where, f"{path}[{at}]", one, other, left_out)
    elif json.dumps(a) != json.dumps(b):
        yield Difference(where, path, "differs", a, b)
