"""What the fold does to each kind of field, and where the protocol needs objects and lists.

Both are data that a protocol declares. The fold asks the policy about a field by its name, in this order:

| field | a delta or a repeated object | an ending |
|---|---|---|
| in `keep_first` | the first value that is not empty stays; another one is a `conflict` | replaces |
| in `append` | a delta's text is appended; a repeated object only fills an empty text | replaces |
| an object, not in `whole` | is merged key by key | is merged key by key |
| a keyed list | is merged entry by entry | is merged entry by entry |
| anything else | the last value that is not null replaces | replaces |

Null never overwrites, but at the top level of an ending. What is empty (null, "" or []) never erases. Nothing is added
up. Text that meets another JSON type in an `append` field is a `shape` problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from accumulator._json import Json, Path, json_type

if TYPE_CHECKING:
    from collections.abc import Mapping


class WrongShape(Exception):  # noqa: N818 - it never leaves the library, so it is no error of its face
    """A value has another JSON type than the fold needs: the whole event is left out."""

    def __init__(self, path: Path, message: str) -> None:
        """Keep where it is, and what was expected there."""
        super().__init__(message)
        self.path = path
        self.message = message


class Policy(msgspec.Struct, frozen=True):
    """What is done to a field, by its name. It holds at any depth of the schema that it belongs to.

    Attributes:
        append: fields whose text is appended to.
        keep_first: fields that keep their first value, such as ids and names.
        whole: fields whose object is a value: it is replaced as one.
        list_key: the key that makes a list keyed wherever all of its entries are objects with a usable one; None where
            only the schema says which lists are keyed.

    """

    append: frozenset[str]
    keep_first: frozenset[str]
    whole: frozenset[str] = frozenset()
    list_key: str | None = None


class Schema:
    """Where an object, or a keyed list of such objects, is needed; what it does not name is open.

    Attributes:
        policy: what is done to the fields in it.
        fields: the schemas of the fields that need one.
        key: the field that names an entry's key, for a keyed list; None for an object.
        entry_key: the field that names an entry's key: `key`, or the policy's where any list may be keyed.
        dropped: the field that is left out of an entry's JSON, None if its key stays.
        known: whether it has fields or a key.
        other: the schema of every field that `fields` does not name: nothing is required there.

    """

    __slots__ = ("dropped", "entry_key", "fields", "key", "known", "other", "policy")

    def __init__(
        self,
        policy: Policy,
        fields: Mapping[str, Schema] | None = None,
        *,
        key: str | None = None,
        keeps_key: bool = False,
    ) -> None:
        """Declare an object, or with `key` a keyed list of such objects.

        Args:
            policy: what is done to the fields in it.
            fields: the schemas of the fields that need one.
            key: the field that holds an entry's index.
            keeps_key: whether that field stays in the entry's JSON.

        """
        self.policy = policy
        self.fields: Mapping[str, Schema] = fields or {}
        self.key = key
        self.entry_key = key or policy.list_key
        self.dropped = None if keeps_key else self.entry_key
        self.known = bool(fields) or key is not None
        self.other: Schema = Schema(policy) if self.known else self

    def at(self, path: tuple[str, ...]) -> Schema:
        """Return the schema that lies at a path of fields."""
        schema = self
        for key in path:
            schema = schema.fields[key]
        return schema

    def entry(self) -> Schema:
        """Return the schema of one entry of a keyed list by itself."""
        return Schema(self.policy, self.fields)

    def key_of(self, value: Json) -> str | None:
        """Return the field that keys a list: the schema's, or the policy's if all entries have a usable one."""
        return self.key or (self.entry_key if is_indexed(value, self.entry_key) else None)


def check(value: Json, schema: Schema, path: Path) -> None:
    """Raise `WrongShape` where a value lacks an object or a list that its schema needs."""
    if schema.key is None:
        _check_object(value, schema, path)
        return
    if not isinstance(value, list):
        raise WrongShape(path, f"expected a list, got {json_type(value)}")
    for position, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise WrongShape((path, position), f"expected an object, got {json_type(entry)}")
        kind = entry.get("type")
        if kind is not None and not isinstance(kind, str):
            raise WrongShape(((path, position), "type"), f"expected a text, got {json_type(kind)}")
        if schema.fields:
            _check_object(entry, schema, (path, position))


def _check_object(value: Json, schema: Schema, path: Path) -> None:
    if not isinstance(value, dict):
        raise WrongShape(path, f"expected an object, got {json_type(value)}")
    for key, inner in schema.fields.items():
        found = value.get(key)
        if found is not None:
            check(found, inner, (path, key))


def usable_index(entry: Json, key: str | None) -> int | None:
    """Return an entry's index, None unless its key holds an integer of 0 or more."""
    index = entry.get(key) if key is not None and isinstance(entry, dict) else None
    return index if type(index) is int and index >= 0 else None


def is_indexed(value: Json, key: str | None) -> bool:
    """Tell whether a list has entries, and each is an object with a usable index."""
    return isinstance(value, list) and bool(value) and all(usable_index(entry, key) is not None for entry in value)
