"""Deltas that open parts and do nothing else, such as the first of a step that was created. They need no plan.

The result is that of the plan in `delta`: tests hold the two against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from accumulator._fold.changes import Change, Changes
from accumulator._fold.nodes import Entry, Keyed, Object, build_fields, id_key, is_empty
from accumulator._fold.policy import fits_below, usable_index

if TYPE_CHECKING:
    from accumulator._fold.nodes import Node
    from accumulator._fold.policy import Schema
    from accumulator._json import Json, JSONObject, Path


class _DoesMore(Exception):  # noqa: N818 - it never leaves this module
    """The delta does more than to open parts."""


def open_parts(root: Object, delta: JSONObject, schema: Schema, path: Path, parts: Schema) -> Changes | None:
    """Merge a delta that only opens parts. Return None, with nothing merged, for any other.

    Such a delta leads through objects that are there to the list of parts. What it says beside that way is there
    already. Each of its parts has an index, and perhaps an id, that no other part has.

    Args:
        root: the object that grows.
        delta: its increment.
        schema: the schema of both.
        path: the place of the delta in its event.
        parts: the schema of the list of parts.

    """
    node, way = root, [root]
    while True:
        key = None if node.settled else _next_key(node.fields, delta, schema)
        if key is None:
            return None
        inner, sent = node.fields.get(key), delta[key]
        below: Schema = schema.fields[key]
        here: Path = (path, key)
        schema, path = below, here  # named before, because pyright infers no type in a loop
        if schema is parts:
            break
        if not isinstance(inner, Object) or not isinstance(sent, dict):
            return None
        node, delta = inner, sent
        way.append(node)
    if not fits_below(sent, parts) or not (inner is None or isinstance(inner, Keyed)):
        return None
    inner, items = inner or Keyed(), cast("list[JSONObject]", sent)
    try:
        opened = _build_entries(inner, items, schema)
    except _DoesMore:
        return None
    for each in way:
        each.snap = None
    node.fields[key] = inner
    changes = Changes()
    for place, entry in enumerate(opened):
        _add(inner, entry)
        changes.parts.append(Change(entry, created=True, sent=items[place], path=(path, place)))
    return changes


def _next_key(fields: dict[str, Node], delta: JSONObject, schema: Schema) -> str | None:
    """Return the key on the way to the parts; None if there is none or another one, or anything new beside it."""
    found = None
    for key, value in delta.items():
        if key in schema.fields:
            if found is not None or not value:
                return None
            found = key
        elif type(value) is not str or value != fields.get(key):  # a text that grows is a `Text` there
            return None
    return found


def _build_entries(keyed: Keyed, sent: list[JSONObject], schema: Schema) -> list[Entry]:
    """Build the entries of a list. Raise `_DoesMore` if one has no index, is there already, or comes twice."""
    indexes, entries = keyed.entries.keys(), list[Entry]()
    for item in sent:
        index, ident = usable_index(item, schema.entry_key), item.get("id")
        if index is None or index in indexes or (not is_empty(ident) and id_key(ident) in keyed.ids):
            raise _DoesMore
        entries.append(Entry(index, fields=build_fields(item, schema, _build_list, None, schema.dropped)))
    if len(entries) > 1 and len({entry.index for entry in entries}) < len(entries):
        raise _DoesMore
    return entries


def _build_list(value: list[Json], schema: Schema, _path: Path) -> Node:
    """Build a list in a new entry."""
    if schema.key_of(value) is None:
        return value
    keyed = Keyed()
    for entry in _build_entries(keyed, cast("list[JSONObject]", value), schema):
        _add(keyed, entry)
    return keyed


def _add(keyed: Keyed, entry: Entry) -> None:
    """Add an entry to its list. The first of an id keeps it."""
    keyed.add(entry)
    keyed.register(entry)
