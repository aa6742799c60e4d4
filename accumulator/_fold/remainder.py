"""What the folded texts of an object lack, as the delta that adds it.

A stream that was cut leaves texts half streamed. A whole object has all of each, and the rest can be handed out like
any other fragment. A text that does not begin with what was folded lacks nothing: the merge of the whole object says
what becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._fold.matching import pair
from accumulator._fold.nodes import Keyed, Object, entry_type
from accumulator._fold.texts import Text

if TYPE_CHECKING:
    from accumulator._fold.nodes import Node
    from accumulator._fold.policy import Schema
    from accumulator._json import Json, JSONObject

_UTF_16 = "utf-16-le"


def find_remainder(target: Object, whole: JSONObject, schema: Schema) -> JSONObject:
    """Return the delta that adds what the texts of an object lack of those of a whole one; {} if they lack nothing.

    Only texts that deltas began are in it, and none that an ending has settled. Entries are named by their index;
    those without one are left out. The cost is linear in both objects.
    """
    delta: JSONObject = {}
    for key, value in whole.items():
        if key in target.settled or key in schema.policy.whole:
            continue
        more = _find_in(target.fields.get(key), value, schema.fields.get(key, schema.other))
        if more:
            delta[key] = more
    kind = entry_type(target)
    return {"type": kind, **delta} if delta and kind else delta


def _find_in(node: Node, value: Json, schema: Schema) -> Json:
    """Return what one field lacks, None or something empty if that is nothing."""
    if isinstance(node, Text) and isinstance(value, str):
        return _text_behind(node.read(), value)
    if isinstance(node, Object) and isinstance(value, dict):
        return find_remainder(node, value, schema)
    if not isinstance(node, Keyed) or not isinstance(value, list) or schema.entry_key is None:
        return None
    items = [item for item in value if isinstance(item, dict)]
    entries = pair(node, items, schema.entry_key, ending=True)
    deltas: list[Json] = []
    for item, entry in zip(items, entries, strict=True):
        if entry is None or entry.index is None or entry_type(item) not in {"", entry_type(entry)}:
            continue
        if more := find_remainder(entry, item, schema):
            deltas.append({schema.entry_key: entry.index, **more})
    return deltas


def _text_behind(folded: str, whole: str) -> str:
    """Return what a text has behind another, "" if it does not begin with that one.

    The stream may have been cut between the two halves of a surrogate pair. The second half is what is missing then.
    """
    if whole.startswith(folded):
        return whole[len(folded) :]
    start, all_of_it = (text.encode(_UTF_16, "surrogatepass") for text in (folded, whole))
    if not all_of_it.startswith(start):
        return ""
    return all_of_it[len(start) :].decode(_UTF_16, "surrogatepass")
