"""The field policy: what the fold does to each kind of field, and where a protocol needs objects and lists.

A protocol declares both: a `Policy` names fields, a `Schema` names places.

A *delta* is merged field by field, at any depth:

| field | what a delta does |
|---|---|
| in `keep_first` | the first value that is not empty stays; another one is a `conflict` |
| in `append` | text is appended to text; text on another JSON type, or the reverse, is a `shape` problem |
| an object, not in `whole` | is merged key by key |
| a keyed list | is merged entry by entry |
| anything else | the last value that is not null or [] replaces; on an object or keyed list it is a `shape` problem |

A *repeat* is the object itself, sent by an event that is no ending. It replaces the top-level fields that the schema
does not name, except those in `keep_first`; objects in them are replaced key by key. In the fields that the schema
names it only fills what is empty.

An *ending* is the object itself at its end. It sets the top-level fields that the schema does not name to what was
sent, null too. In the fields that the schema names each of its values replaces the folded one. Where the ending is
empty, what was folded stays.

Nothing is ever added up. *Empty* means null, "" or []. An index is *usable* if it is an integer of 0 or more.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, NoReturn

import msgspec

from accumulator._json import Json, Path, dump_json, json_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class WrongShape(Exception):  # noqa: N818 - no public error: it never leaves the library
    """A value has another JSON type than the fold needs, or an id is empty: the whole event is left out.

    That is so for deltas. In a whole object such a value is a `shape` problem only; see the module `whole`.
    """

    def __init__(self, path: Path, message: str) -> None:
        """Keep the path of the value, and a message about what was expected there."""
        super().__init__(message)
        self.path = path
        self.message = message


class Policy(msgspec.Struct, frozen=True):
    """What deltas do to a field, by its name and at every depth. Repeats and endings: see above.

    Attributes:
        append: fields whose text is appended to.
        keep_first: fields that keep their first value, such as ids and names.
        whole: fields whose object is replaced, not merged.
        whole_types: types of entries that no delta without an index continues, such as pictures.
        place: fields that say which part of a text an entry is about, such as the start of a citation. An entry of a
            list that does not grow is left out where one of them differs from what the entry under its index has.
        list_key: a field that makes any list keyed, if all of its entries are objects with a usable index in it. None
            if only the schema says which lists are keyed.

    """

    append: frozenset[str]
    keep_first: frozenset[str]
    whole: frozenset[str] = frozenset()
    whole_types: frozenset[str] = frozenset()
    place: frozenset[str] = frozenset()
    list_key: str | None = None


class Schema:
    """A place where the fold needs an object, or a keyed list of objects.

    Attributes:
        policy: what is done to the fields in it.
        fields: the schemas of the fields that need one; `members` are the same as pairs.
        key: for a keyed list, the field that holds an entry's index; None for an object.
        entry_key: the field that would hold an entry's index if this is a list: `key`, else the policy's `list_key`.
        grows: whether a delta without an index may continue an entry of a keyed list.
        dropped: the field that is left out of an entry's JSON: `entry_key`, or None if the index stays there.
        known: whether it has fields or a key.
        marks: the keys of the indexes in its lists, as JSON.
        other: the schema of every field that `fields` does not name: nothing is required there.

    """

    __slots__ = ("dropped", "entry_key", "fields", "grows", "key", "known", "marks", "members", "other", "policy")

    def __init__(
        self,
        policy: Policy,
        fields: Mapping[str, Schema] | None = None,
        *,
        key: str | None = None,
        keeps_key: bool = False,
        grows: bool = True,
    ) -> None:
        """Declare an object, or with `key` a keyed list of such objects.

        Args:
            policy: what is done to the fields in it.
            fields: the schemas of the fields that need one.
            key: the field that holds an entry's index.
            keeps_key: whether that field stays in the entry's JSON.
            grows: whether a delta without an index may continue an entry of a keyed list.

        """
        self.policy = policy
        self.fields: Mapping[str, Schema] = fields or {}
        self.members = tuple(self.fields.items())
        self.key = key
        self.grows = grows
        self.entry_key = key or policy.list_key
        self.dropped = None if keeps_key else self.entry_key
        self.known = bool(fields) or key is not None
        self.other: Schema = Schema(policy) if self.known else self
        own = () if self.entry_key is None else (dump_json(self.entry_key).encode(),)
        self.marks: frozenset[bytes] = frozenset(own).union(*(each.marks for each in self.fields.values()))

    def at(self, path: tuple[str, ...]) -> Schema:
        """Return the schema at a path of fields."""
        schema = self
        for key in path:
            schema = schema.fields[key]
        return schema

    def entry(self) -> Schema:
        """Return the schema of an entry of this list."""
        return Schema(self.policy, self.fields)

    def may_grow(self, kind: str) -> bool:
        """Tell whether deltas without an index may continue an entry of a type. If not, each adds a new one."""
        return self.grows and kind not in self.policy.whole_types

    def key_of(self, value: Json) -> str | None:
        """Return the field that holds the index of each entry of a list, None if the list is not keyed."""
        return self.key or (self.entry_key if is_indexed(value, self.entry_key) else None)


def fits_below(value: Json, schema: Schema, *, indexed: bool = True) -> bool:
    """Tell whether a value is all that a schema needs, at any depth. `check` reports where it is not.

    With `indexed` off, entries that name an index do not fit either.
    """
    if schema.key is None:
        if isinstance(value, dict):
            for key, inner in schema.members:
                found = value.get(key)
                if found is not None and not fits_below(found, inner, indexed=indexed):
                    return False
            return True
    elif isinstance(value, list):
        refused = None if indexed else schema.key
        for entry in value:
            if not isinstance(entry, dict) or refused in entry or not isinstance(entry.get("type"), (str, NoneType)):
                return False
            for key, inner in schema.members:
                found = entry.get(key)
                if found is not None and not fits_below(found, inner, indexed=indexed):
                    return False
        return True
    return False


def _refuse(path: Path, message: str, value: Json) -> NoReturn:  # noqa: ARG001 - the event is quoted as a whole
    raise WrongShape(path, message)


def check(value: Json, schema: Schema, path: Path, report: Callable[[Path, str, Json], None] = _refuse) -> None:
    """Report each place where a schema needs an object or list and there is something else. A field may be null.

    The `type` of an entry must be a text or null. By default the first report raises `WrongShape`.
    """
    if fits_below(value, schema):
        return
    if schema.key is None:
        _check_object(value, schema, path, report)
        return
    if not isinstance(value, list):
        report(path, f"expected a list, got {json_type(value)}", value)
        return
    for position, entry in enumerate(value):
        if not isinstance(entry, dict):
            report((path, position), f"expected an object, got {json_type(entry)}", entry)
            continue
        kind = entry.get("type")
        if kind is not None and not isinstance(kind, str):
            report(((path, position), "type"), f"expected a text, got {json_type(kind)}", kind)
        if schema.fields:
            _check_object(entry, schema, (path, position), report)


def _check_object(value: Json, schema: Schema, path: Path, report: Callable[[Path, str, Json], None]) -> None:
    if not isinstance(value, dict):
        report(path, f"expected an object, got {json_type(value)}", value)
        return
    for key, inner in schema.fields.items():
        found = value.get(key)
        if found is not None:
            check(found, inner, (path, key), report)


def fits(value: Json, schema: Schema) -> bool:
    """Tell whether a value is the object, or the list of objects, that a schema needs."""
    if schema.key is not None:
        return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
    return isinstance(value, dict) or not schema.known


def usable_index(entry: Json, key: str | None) -> int | None:
    """Return the index that an entry holds under a key, None if it is not usable."""
    index = entry.get(key) if key is not None and isinstance(entry, dict) else None
    return index if type(index) is int and index >= 0 else None


def is_indexed(value: Json, key: str | None) -> bool:
    """Tell whether a list has entries, and each is an object with a usable index."""
    return isinstance(value, list) and bool(value) and all(usable_index(entry, key) is not None for entry in value)
