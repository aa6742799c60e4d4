"""A builder as plain data, for a checkpoint, and back. Nothing of a snapshot is in it but what was folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar, cast

import msgspec

from accumulator._fold.nodes import Entry, Keyed, Object, Text, entry_type, snapshot
from accumulator._json import MAX_DEPTH, dump_json, parse_json

if TYPE_CHECKING:
    from accumulator._fold.nodes import Json, Node


class Dump(msgspec.Struct, omit_defaults=True):
    """A node in a checkpoint: `json` is the text of a value or a `Text`, the rest that of an object or a list."""

    kind: Literal["text", "json", "object", "keyed"]
    json: str = ""
    fields: dict[str, Dump] = {}
    held: list[str] = []
    conflicts: list[str] = []
    entries: list[Dump] = []
    ids: dict[str, int] = {}
    index: int | None = None
    position: int | None = None
    done: bool = False
    missed: bool = False


def dump_node(node: Node) -> Dump:
    """Return all that a node is, as plain data."""
    if isinstance(node, Object):
        fields = {key: dump_node(value) for key, value in node.fields.items()}
        dump = Dump("object", fields=fields, held=sorted(node.held), conflicts=sorted(node.conflicts))
        if isinstance(node, Entry):
            dump.index, dump.position, dump.done, dump.missed = node.index, node.position, node.done, node.missed
        return dump
    if isinstance(node, Keyed):
        entries = [*node.entries.values(), *node.unindexed]
        places = {id(entry): place for place, entry in enumerate(entries)}
        ids = {ident: places[id(entry)] for ident, entry in node.ids.items()}
        return Dump("keyed", entries=[dump_node(entry) for entry in entries], ids=ids)
    return Dump("text" if isinstance(node, Text) else "json", dump_json(snapshot(node)))


def load_node(dump: Dump, depth: int = 0) -> Node:
    """Build what `dump_node` took apart; `ValueError` where it took nothing of the kind apart."""
    if depth > MAX_DEPTH:
        message = f"expected at most {MAX_DEPTH} levels, got more"
        raise ValueError(message)
    if dump.kind == "object":
        return load_object(dump, Object(), depth)
    if dump.kind == "keyed":
        return _load_keyed(dump, depth)
    value = cast("Json", parse_json(dump.json))
    if dump.kind == "json":
        return value
    if not isinstance(value, str):
        message = "expected a text, got another value"
        raise ValueError(message)  # noqa: TRY004 - the value is wrong, not the call
    return Text(value)


_AnObject = TypeVar("_AnObject", bound=Object)


def load_object(dump: Dump, into: _AnObject, depth: int = 0) -> _AnObject:
    """Fill a new object with what a dump holds."""
    into.fields = {key: load_node(value, depth + 1) for key, value in dump.fields.items()}
    for key in dump.held:
        into.hold(key)
    for key in dump.conflicts:
        into.report(key)
    return into


def _load_keyed(saved: Dump, depth: int) -> Keyed:
    keyed = Keyed()
    for dump in saved.entries:
        entry = load_object(dump, Entry(dump.index), depth + 1)
        entry.position, entry.done, entry.missed = dump.position, dump.done, dump.missed
        if entry.index is not None and (entry.index < 0 or entry.index in keyed.entries):
            message = "expected indexes of 0 or more, each once"
            raise ValueError(message)
        keyed.add(entry)
        if entry.index is None and entry.position is None and not entry.done:
            keyed.open_unindexed.put(entry, entry_type(entry))
    entries = [*keyed.entries.values(), *keyed.unindexed]
    if not all(0 <= place < len(entries) for place in saved.ids.values()):
        message = "expected ids of the entries, got one of another"
        raise ValueError(message)
    keyed.ids = {ident: entries[place] for ident, place in saved.ids.items()}
    return keyed
