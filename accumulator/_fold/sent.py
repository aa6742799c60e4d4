"""Objects that are kept as they were sent, until something in them has to grow.

Most whole objects say nothing that must be merged: the first event about an object, and the ending that repeats what
was folded. Such an object is its own snapshot, and needs no builders. It is kept where the merge of `whole` would give
the very object, without a fault, but for the order of keys: an object that is kept has the order of the event.

- A repeat is kept if `can_keep` allows it.
- An ending is kept if it fits without indexes, see `fits_below`, and `says_all` does not return None. An index would be
  left out of the JSON.

`open_repeat` and `open_ending` make the builders, once something has to grow, as the merge would have made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from accumulator._fold.nodes import Keyed, Node, Object, build_fields, has_content, is_empty
from accumulator._fold.texts import Text
from accumulator._fold.whole import build_list, fold_ending
from accumulator._json import same_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accumulator._fold.policy import Schema
    from accumulator._json import Json, JSONObject

_ESCAPED_LETTERS: Final = (b"\\u006", b"\\u007")
"""What an escape in JSON begins with that stands for a lower-case letter, so that a key can be spelled with it."""

_KNOWN: Final = "known"
_NEW: Final = "new"


def can_keep(sent: JSONObject, data: bytes | str, schema: Schema) -> bool:
    """Tell whether the merge of a repeat into nothing gives the very object.

    It does if everything is what the schema needs, and no entry of a keyed list names its index, which would be left
    out of the JSON. Lists that the schema does not name are keyed too if their entries name one. An object that has an
    entry in a list that the schema names is not kept.

    Args:
        sent: the object.
        data: the JSON text of the event. That a key is nowhere in it is seen faster than in the object.
        schema: the schema of the object.

    """
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    for mark in schema.marks:
        if mark in data:
            return False
    if b"\\" in data and any(letters in data for letters in _ESCAPED_LETTERS):
        return False
    return _lists_nothing(sent, schema)


def _lists_nothing(sent: JSONObject, schema: Schema) -> bool:
    for key, inner in schema.members:
        value = sent.get(key)
        if value is None or (value == [] and inner.key is not None):
            continue
        if inner.key is not None or not isinstance(value, dict) or not _lists_nothing(value, inner):
            return False
    return True


def says_all(node: Object | JSONObject, ending: JSONObject, schema: Schema) -> bool | None:
    """Tell whether an ending has all that was folded, and contradicts nothing. It must fit without indexes.

    In all lists the entries must be known or, in all lists, new. Builders that are made of the ending could not tell
    otherwise which of the entries have an index that a delta named.

    Args:
        node: the builder of the object, or the object as it is kept.
        ending: the ending.
        schema: the schema of the object.

    Returns:
        None if it does not; else whether deltas named the entries.

    """
    fields = _fields_of(node)
    if fields is None or not fields.keys() <= ending.keys():
        return None
    known = set[str]()
    for key, inner in schema.members:
        if not _says(fields.get(key), ending.get(key), inner, known):
            return None
    return None if len(known) > 1 else _KNOWN in known


def _fields_of(node: Object | JSONObject) -> Mapping[str, Node] | None:
    """Return the fields of an object, None if a conflict in it was reported: it is not reported again."""
    if isinstance(node, Object):
        return None if node.conflicts else node.fields
    return node


def _says(node: Node, value: Json, schema: Schema, known: set[str]) -> bool:
    """Tell it of one field, and note in `known` of which kind the entries of its lists are."""
    if isinstance(node, Text):
        return not node.pieces or node.read() == value
    if isinstance(node, Object) or (isinstance(node, dict) and schema.known):
        return isinstance(value, dict) and _says_fields(node, value, schema, known)
    if isinstance(node, Keyed):
        return isinstance(value, list) and _says_entries(node, value, schema, known)
    if value and schema.known:
        known.add(_NEW)
    return is_empty(node) or same_json(node, value)


def _says_fields(node: Object | JSONObject, value: JSONObject, schema: Schema, known: set[str]) -> bool:
    fields = _fields_of(node)
    if fields is None:
        return False
    for key, inner in fields.items():
        sent = value.get(key)
        if (type(inner) is str or inner is None) and inner == sent:
            continue
        if key not in value:
            if has_content(inner):
                return False
        elif not _says(inner, sent, schema.fields.get(key, schema.other), known):
            return False
    for key, _ in schema.members:
        if key not in fields and value.get(key):
            known.add(_NEW)
    return True


def _says_entries(keyed: Keyed, value: list[Json], schema: Schema, known: set[str]) -> bool:
    entries = keyed.arrivals
    if not entries:
        known.update([_NEW] if value else ())
        return True  # only a list that the schema names can be empty
    known.add(_KNOWN)
    if schema.key is None or len(value) != len(entries) or len(keyed.ids) not in {0, len(entries)}:
        return False
    for place, (entry, item) in enumerate(zip(entries, cast("list[JSONObject]", value), strict=True)):
        if entry.index != place or entry.assumed or entry.whole:
            return False
        if not _says_fields(entry, item, schema, known):
            return False
    return True


def open_repeat(sent: JSONObject, schema: Schema) -> Object:
    """Return the builder of an object that was kept after a repeat."""
    return Object(fields=build_fields(sent, schema, build_list, None))


def open_ending(ident: str, sent: JSONObject, schema: Schema, *, named: bool) -> Object:
    """Return the builder of an object that was kept after an ending; `named` is the result of `says_all`."""
    root = Object()
    root.fields["id"] = ident
    fold_ending(root, sent, schema)
    if named:
        _name_entries(root, schema)
    return root


def _name_entries(node: Node, schema: Schema) -> None:
    """Note that deltas named the entries of all lists that the schema names."""
    for entry in node.arrivals if isinstance(node, Keyed) else ():
        entry.whole = entry.assumed = False
    for each in node.arrivals if isinstance(node, Keyed) else [node]:
        for key, inner in schema.fields.items():
            if isinstance(each, Object) and key in each.fields:
                _name_entries(each.fields[key], inner)
