"""How much a server can make an accumulator hold: the limits, and what is counted against them.

Most limits are about one event, and are checked before it is folded. The others are about all that is held:

- `max_total_size` is a sum. Each event adds the most that it can make the accumulator hold: first what its bytes could
  be, and from a sixteenth of the limit on what its values could be. When the sum reaches the limit, what is held is
  measured, and the sum goes on from there. It is measured again only after another sixteenth of the limit, so that the
  measuring costs next to nothing for each event.
- `max_list_entries` is checked event by event once what was added to lists could have filled one. Before that, the
  longest list is looked for, if enough came since the last look to pay for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, cast

import msgspec

from accumulator._errors import LimitError
from accumulator._fold.matching import find, pair
from accumulator._fold.nodes import Entry, Keyed, Node, Object, id_key, is_empty
from accumulator._fold.policy import usable_index
from accumulator._json import MAX_DEPTH, Json, Path, bound_values, count_values, json_depth, path_keys, render_path
from accumulator._sse import DEFAULT_MAX_EVENT_SIZE, check_size

if TYPE_CHECKING:
    from accumulator._engine.protocol import Role
    from accumulator._fold.policy import Schema

DEFAULT_MAX_EVENT_VALUES: Final = 100_000
"""A guard against `[{},{},...]`: while it is folded, such an event takes 300 times its bytes. Recorded events
have up to 100 values. Django takes 1,000 fields in one request."""

DEFAULT_MAX_TOTAL_SIZE: Final = 128 * 1024 * 1024
"""A guard against a server that never ends. A character of text takes four bytes, and more while the text is read, so
this is up to 840 MB of memory. Recorded runs have less than 1 MiB. Protocol buffers took 64 MiB as one message."""

DEFAULT_MAX_OPEN: Final = 10_000
"""Runs have one or two steps and messages at a time that have not ended. HTTP/2 (RFC 9113, section 6.5.2) advises to
allow 100 open streams or more."""

DEFAULT_MAX_LIST_ENTRIES: Final = 100_000
"""Each ending pairs all entries of a list with its own, so a longer list would make each ending slow. Recorded lists
have up to 16 entries. The API allows 128 tools in one run."""

DEFAULT_MAX_PROBLEMS: Final = 10_000
"""Problems are kept for people to look at, and there is one in each delta of some servers. Compilers show 20 errors or
100."""

DEFAULT_MAX_NAME_LENGTH: Final = 4096
"""The longest name of the API has 27 characters. Web servers take lines of 8,190 bytes and more."""

DEFAULT_MAX_ID_LENGTH: Final = 4096
"""Ids of the API have up to 45 characters. An id is held several times, and is a key of other objects."""

VALUE_SIZE: Final = 64
"""What a JSON value, or a fragment of a text, counts beside its characters. That is about what Python takes for one."""

MOST_PER_BYTE: Final = 1 + VALUE_SIZE
"""The most that a byte of an event counts: there are no more values than bytes."""

RESOURCE_SIZE: Final = 1024
"""What a step or message counts beside its values."""

STATUS_SIZE: Final = 2 * VALUE_SIZE
"""What a status counts that a run got from the name of its event: a key, a value and its text."""

PROBLEM_SIZE: Final = 512
"""What a problem counts beside its texts."""

REMEASURED: Final = 16
"""The part of `max_total_size` after which what is held is measured again, and up to which no values are counted."""

SHOWN: Final = 80
"""Characters of an id that a message shows."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a server can make an accumulator hold; None turns a bound off.

    An event over a bound is left out whole and raises `LimitError`; what was folded before stays, and the stream goes
    on behind the event. Only `max_problems` raises nothing. With the defaults no server makes a process take more than
    1 GiB (`python -m benches limits`), and no recorded run comes within a factor of 50 of one.

    Attributes:
        max_event_size: bytes of one server-sent event, with its comments and unknown fields. 32 MiB by default: an
            event with one image in it passed 8 MiB in the field.
        max_event_values: JSON values of one event: objects, lists and what is in them. An empty object or list counts
            twice. 100,000 by default. It is checked before the event is decoded.
        max_event_depth: objects and lists within each other in one event. None by default: an event with more than 128
            is `undecodable` in any case.
        max_total_size: size of everything that is held: the characters of texts and keys, 64 for each JSON value, 1,024
            for each step and message. 128 MiB by default, which is less than 1 GiB of memory. An event counts as if all
            of it were kept, until the limit is reached and what is held is measured.
        max_open: steps and messages that have not ended. 10,000 by default. While so many are open, an event about
            a new one is left out, even if it would end it.
        max_list_entries: entries of one list, such as the tool calls of a step. 100,000 by default.
        max_problems: problems that are kept. 10,000 by default. Those after it, and those whose text has no room in
            `max_total_size`, are only counted.
        max_name_length: characters of the name of an event. 4,096 by default.
        max_id_length: characters of an id, at any place in an event about a step, a message or a run. 4,096 by default.

    """

    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE
    max_event_values: int | None = DEFAULT_MAX_EVENT_VALUES
    max_event_depth: int | None = None
    max_total_size: int | None = DEFAULT_MAX_TOTAL_SIZE
    max_open: int | None = DEFAULT_MAX_OPEN
    max_list_entries: int | None = DEFAULT_MAX_LIST_ENTRIES
    max_problems: int | None = DEFAULT_MAX_PROBLEMS
    max_name_length: int | None = DEFAULT_MAX_NAME_LENGTH
    max_id_length: int | None = DEFAULT_MAX_ID_LENGTH

    def __post_init__(self) -> None:
        """Check each limit."""
        for name in self.__struct_fields__:
            check_size(getattr(self, name), name)


DEFAULT_LIMITS: Final = Limits()


class Bounds:
    """The limits as numbers that every count can be compared with. See `Limits`; a limit that is off is `sys.maxsize`.

    Attributes:
        values, depth, total, open, entries, problems, name, id: one for each limit but `max_event_size`.
        cheap: the size up to which what events add is counted by their bytes alone.
        short: the most bytes of an event that is within the limits on values, depth and ids whatever is in it.

    """

    __slots__ = ("cheap", "depth", "entries", "id", "name", "open", "problems", "short", "total", "values")

    def __init__(self, limits: Limits) -> None:
        """Read the limits."""
        self.values = _number(limits.max_event_values)
        self.depth = _number(limits.max_event_depth)
        self.total = _number(limits.max_total_size)
        self.cheap = self.total // REMEASURED
        self.open = _number(limits.max_open)
        self.entries = _number(limits.max_list_entries)
        self.problems = _number(limits.max_problems)
        self.name = _number(limits.max_name_length)
        self.id = _number(limits.max_id_length)
        self.short = min(self.values, self.depth, self.id)

    def check_values(self, data: bytes | str) -> None:
        """Raise `LimitError` if the data of an event has too many JSON values."""
        if len(data) > self.values and bound_values(data) > self.values and count_values(data) > self.values:
            raise over("max_event_values", self.values, "JSON values in one event")

    def check_event(self, name: str, payload: Json) -> None:
        """Raise `LimitError` if the name of an event is too long, or its payload is nested too deep."""
        if len(name) > self.name:
            raise over("max_name_length", self.name, "characters in the name of an event")
        if self.depth < MAX_DEPTH and json_depth(payload) > self.depth:
            raise over("max_event_depth", self.depth, "objects and lists within each other")

    def check_ids(self, payload: Json) -> None:
        """Raise `LimitError` if an id in a payload is too long."""
        rest: list[tuple[Json, Path]] = [(payload, None)]
        while rest:
            value, path = rest.pop()
            if isinstance(value, dict):
                if (ident := value.get("id")) is not None and len(id_key(ident)) > self.id:
                    raise over("max_id_length", self.id, "characters in an id", (path, "id"))
                rest += [(item, (path, key)) for key, item in value.items() if isinstance(item, (dict, list))]
            else:
                items = enumerate(cast("list[Json]", value))
                rest += [(item, (path, place)) for place, item in items if isinstance(item, (dict, list))]

    def check_lists(self, node: Node, sent: Json, schema: Schema, path: Path, role: Role) -> None:
        """Raise `LimitError` if a list would have too many entries, once an event is folded.

        Args:
            node: what is folded at a place; None if nothing is.
            sent: what the event has there.
            schema: the schema of the place.
            path: the place in the event.
            role: the role of the event.

        """
        if isinstance(sent, dict):
            fields = node.fields if isinstance(node, Object) else {}
            for key, value in sent.items():
                if isinstance(value, (dict, list)):
                    self.check_lists(fields.get(key), value, schema.fields.get(key, schema.other), (path, key), role)
        elif isinstance(sent, list):
            keyed = node if isinstance(node, Keyed) else Keyed()
            known = _known_entries(keyed, sent, schema, role)
            if len(keyed.arrivals) + _count_new(known, sent, schema, role) > self.entries:
                raise over("max_list_entries", self.entries, "entries in one list", path)
            for position, (entry, item) in enumerate(zip(known, sent, strict=True)):
                self.check_lists(entry, item, schema, (path, position), role)


def _number(limit: int | None) -> int:
    return sys.maxsize if limit is None else limit


def _known_entries(keyed: Keyed, sent: list[Json], schema: Schema, role: Role) -> list[Entry | None]:
    """Return the folded entry of each entry that was sent; None for one that is new, or no object."""
    key, items = schema.entry_key, [item for item in sent if isinstance(item, dict)]
    if role == "delta":
        found = iter([find(keyed, item, usable_index(item, key), {}, schema) for item in items])
    else:
        found = iter(pair(keyed, items, key, ending=role == "ending"))
    return [next(found) if isinstance(item, dict) else None for item in sent]


def _count_new(known: list[Entry | None], sent: list[Json], schema: Schema, role: Role) -> int:
    """Count the entries that are new. A delta may name one of them twice, by index or by id."""
    new: set[object] = set()
    for position, (entry, item) in enumerate(zip(known, sent, strict=True)):
        if entry is not None:
            continue
        name: object = None
        if role == "delta" and isinstance(item, dict):
            ident = item.get("id")
            name = usable_index(item, schema.entry_key)
            name = id_key(ident) if name is None and not is_empty(ident) else name
        new.add(("position", position) if name is None else name)
    return len(new)


def over(limit: str, maximum: int, what: str, path: Path = None) -> LimitError:
    """Return the error for an event that is over a limit. The engine adds its number."""
    place = render_path(path_keys(path))
    where = "" if path is None else f" at {place}"
    message = f"expected at most {maximum} {what} ({limit}){where}, got more; the event is left out"
    return LimitError(message, limit=limit, maximum=maximum, path=place)
