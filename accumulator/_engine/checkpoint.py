"""A run as bytes: JSON text in ASCII with a version, checked when it is read.

A checkpoint holds:

- `strict`, `max_event_size`, and the other limits that are not as by default,
- the number of events, the problems, their number if not all are kept, and the run as last sent; other runs by id,
- each resource with its state and its builder, under the name of its type,
- the body that began last and, if it is another, the body of `feed`,
- the state of the parser with half a block, the events that wait, and whether anything arrived there.

Snapshots and templates are left out: they are built again. So are the size and the depth of what is held: they are
measured again, when a checkpoint is written too, so that both runs count from the same.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn, TypeAlias, TypeVar, cast

import msgspec

from accumulator._engine.body import Body
from accumulator._engine.engine import Engine, name_of
from accumulator._engine.feed import Feed, text_frame
from accumulator._engine.limits import DEFAULT_LIMITS, Limits
from accumulator._errors import CheckpointError
from accumulator._fold.nodes import Entry, Keyed, Node, Object, entry_type, snapshot
from accumulator._fold.texts import Text
from accumulator._json import MAX_DEPTH, JSONObject, dump_json, parse_json, plain_json, text_of
from accumulator._sse import Frame, SSEParser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accumulator._engine.protocol import U
    from accumulator._engine.resource import Resource

FORMAT: Final = "delta-accumulator checkpoint"
VERSION: Final = 1

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_AnObject = TypeVar("_AnObject", bound=Object)


class SavedNode(msgspec.Struct, omit_defaults=True):
    """A node.

    A value and a `Text` have `json`. An object has `fields`, `held` and `conflicts`; an entry also has `index`,
    `position`, `done`, `missed`, `assumed` and `whole`. A list has `entries` and `ids`.
    """

    kind: Literal["text", "json", "object", "keyed"]
    json: str = ""
    fields: dict[str, SavedNode] = {}
    held: list[str] = []  # `Object.settled`
    conflicts: list[str] = []
    entries: list[SavedNode] = []
    ids: dict[str, int] = {}
    index: int | None = None
    position: int | None = None
    done: bool = False
    missed: bool = False
    assumed: bool = False
    whole: bool = False


class SavedResource(msgspec.Struct):
    """A resource."""

    id: str
    state: Literal["new", "open", "ended"]
    root: SavedNode


class SavedEvent(msgspec.Struct, omit_defaults=True):
    """An event that waits. The data of an event that was too large is not kept."""

    name: str = ""
    data: str = ""
    too_large: bool = False


class SavedRuns(msgspec.Struct):
    """All runs by id, where None stands for `Checkpoint.run`; `Body.run` and `Body.named` of the two bodies."""

    by_id: dict[str, dict[str, object] | None]
    body: tuple[str | None, bool]
    own: tuple[str | None, bool]


class Checkpoint(msgspec.Struct):
    """All that a checkpoint holds, except for the resources: those are stored under the names of their types.

    `own` is the body of the accumulator's own `Feed`, None if that is `body`; `used` is `Feed.used` there.
    `runs` is None where it is as `_usual_runs` says.
    """

    strict: bool
    max_event_size: int | None
    count: _Count
    problems: list[object]
    run: dict[str, object] | None
    body: Body
    own: Body | None
    used: bool
    parser: dict[str, object]
    pending: list[SavedEvent]
    limits: dict[str, int | None] = {}
    problem_count: _Count | None = None
    runs: SavedRuns | None = None
    interrupted: list[object] = []

    @property
    def all_limits(self) -> Limits:
        """The limits. `TypeError` or `ValueError` if one is wrong."""
        return Limits(max_event_size=self.max_event_size, **self.limits)


_NEW: Final = ("interrupted", "limits", "problem_count", "runs")
"""The keys that the first checkpoints do not have. They are written only if they do not follow from others."""


def save(engine: Engine[U], feed: Feed[U], *, strict: bool) -> bytes:
    """Return the state of an engine and of the feed of its accumulator as bytes."""
    import json

    resources = {
        name: [SavedResource(each.id, each.state, save_node(each.root)) for each in known.values()]
        for name, known in engine.resources.items()
    }
    engine.measure()  # behind what has read all texts, as the other run will have
    limits, default = msgspec.structs.asdict(engine.limits), msgspec.structs.asdict(DEFAULT_LIMITS)
    checkpoint = Checkpoint(
        strict=strict,
        max_event_size=limits.pop("max_event_size"),
        count=engine.count,
        problems=list(engine.problems),
        run=cast("dict[str, object] | None", engine.run),
        body=engine.body,
        own=None if feed.body is engine.body else feed.body,
        used=feed.used,
        parser=feed.parser.state(),
        pending=[_save_event(frame) for frame in feed.waiting()],
        limits={name: limit for name, limit in limits.items() if limit != default[name]},
        runs=None if (runs := _save_runs(engine, feed)) == _usual_runs(engine.run, feed.body is engine.body) else runs,
        problem_count=None if engine.problem_count == len(engine.problems) else engine.problem_count,
        interrupted=list(engine.interrupted),
    )
    plain = cast("dict[str, object]", msgspec.to_builtins(checkpoint))
    said = {key: value for key, value in plain.items() if key not in _NEW or value}
    for body in cast("list[dict[str, object] | None]", [plain["body"], plain["own"]]):
        for key in ("run", "named") if body else ():
            cast("dict[str, object]", body).pop(key)
    state = {**msgspec.to_builtins(resources), **said}
    return json.dumps({"format": FORMAT, "version": VERSION, "state": state}, separators=(",", ":")).encode("ascii")


def _save_runs(engine: Engine[U], feed: Feed[U]) -> SavedRuns:
    by_id = {ident: None if run is engine.run else run for ident, run in engine.runs.items()}
    body, own = ((each.run, each.named) for each in (engine.body, feed.body))
    return SavedRuns(cast("dict[str, dict[str, object] | None]", by_id), body, own)


def _usual_runs(run: Mapping[str, object] | None, same: bool) -> SavedRuns:  # noqa: FBT001 - as in the first checkpoints
    """Return what follows from the run as last sent: it is the only one, and the last body has named it."""
    ident = None if run is None else run.get("id")
    ident = ident if isinstance(ident, str) and ident else None
    named = (ident, ident is not None)
    return SavedRuns({} if run is None else {ident or "": None}, named, named if same else (None, False))


def load(data: bytes | bytearray | memoryview) -> tuple[Checkpoint, object]:
    """Read a checkpoint, and return it with the JSON that it was read from.

    Raises:
        CheckpointError: the bytes are no checkpoint, or one of another version.

    """
    state = _read_state(data)
    try:
        return msgspec.convert(state, Checkpoint), state
    except (ValueError, msgspec.MsgspecError, RecursionError) as exc:  # a ValueError for a lone surrogate
        raise _no_state(exc) from exc


def restore(checkpoint: Checkpoint, state: object, engine: Engine[U], feed: Feed[U]) -> None:
    """Bring a new engine and its new feed to the state of a checkpoint, or raise `CheckpointError`."""
    kinds = engine.protocol.resources
    problem = engine.protocol.problem_type
    lists = msgspec.defstruct(
        "Lists",
        [
            *((kind.name, list[SavedResource]) for kind in kinds),
            ("problems", GenericAlias(list, (problem,))),
            ("interrupted", GenericAlias(list, (GenericAlias(tuple, (problem, str)),)), []),
        ],
    )
    try:
        saved = msgspec.structs.asdict(msgspec.convert(state, lists))
        for kind in kinds:
            for each in cast("list[SavedResource]", saved[kind.name]):
                if each.id in engine.resources[kind.name]:
                    raise ValueError("expected the id of each object once, got one twice")  # noqa: TRY301 - as the others
                engine.keep(_load_resource(engine.new_resource(kind, each.id), each))
        runs = checkpoint.runs or _usual_runs(checkpoint.run, checkpoint.own is None)
        for json in (
            checkpoint.run,
            checkpoint.body.error,
            checkpoint.own and checkpoint.own.error,
            *runs.by_id.values(),
        ):
            plain_json(json)
        feed.parser = SSEParser.from_state(checkpoint.parser, max_event_size=checkpoint.max_event_size)
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as exc:
        raise _no_state(exc) from exc
    engine.problems = cast("list[U]", saved["problems"])
    engine.interrupted.extend(cast("list[tuple[U, str]]", saved["interrupted"]))
    engine.problem_count = len(engine.problems) if checkpoint.problem_count is None else checkpoint.problem_count
    engine.count, engine.run = checkpoint.count, cast("JSONObject | None", checkpoint.run)
    for ident, run in runs.by_id.items():
        kept = checkpoint.run if run is None else run
        engine.runs[ident] = cast("JSONObject", {} if kept is None else kept)
    engine.measure()
    known = [resource for resources in engine.resources.values() for resource in resources.values()]
    engine.nesting = max(engine.nesting, *(resource.depth() for resource in known), 0)
    engine.body = checkpoint.body
    feed.body = checkpoint.body if checkpoint.own is None else checkpoint.own
    engine.body.run, engine.body.named = runs.body
    feed.body.run, feed.body.named = runs.own
    feed.used = checkpoint.used
    for event in checkpoint.pending:
        feed.pending.append(feed.parser.too_large() if event.too_large else text_frame(event.name, event.data))


def _read_state(data: bytes | bytearray | memoryview) -> object:
    import json

    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected the bytes of a checkpoint, got {type(data).__name__}")
    data = bytes(data)
    try:
        plain = cast("object", json.loads(data, parse_constant=_refuse, object_pairs_hook=_each_once))
    except (ValueError, RecursionError) as exc:
        message = f"expected the bytes of a checkpoint, got {len(data)} bytes that are no JSON text"
        raise CheckpointError(message) from exc
    if not isinstance(plain, dict) or (plain := cast("JSONObject", plain)).get("format") != FORMAT:
        raise CheckpointError("expected the bytes of a checkpoint, got other JSON text")
    version = plain.get("version")
    if version != VERSION or isinstance(version, bool):
        raise CheckpointError(f"expected a checkpoint of version {VERSION}, got one of version {str(version)[:40]}")
    return plain.get("state")


def _no_state(reason: object) -> CheckpointError:
    return CheckpointError(f"expected the state of an accumulator: {reason}")


def _each_once(members: list[tuple[str, object]]) -> dict[str, object]:
    plain = dict(members)
    if len(plain) < len(members):
        raise ValueError("expected each key of an object once")
    return plain


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _save_event(frame: Frame | None) -> SavedEvent:
    if frame is None:
        return SavedEvent(too_large=True)
    return SavedEvent(name_of(frame[0]), text_of(frame[1]))


def _load_resource(resource: Resource[U], saved: SavedResource) -> Resource[U]:
    resource.state = saved.state
    load_object(saved.root, resource.root)
    resource.recount_undone()
    return resource


# Nodes.


def save_node(node: Node) -> SavedNode:
    """Return a node as plain data."""
    if isinstance(node, Object):
        fields = {key: save_node(value) for key, value in node.fields.items()}
        saved = SavedNode("object", fields=fields, held=sorted(node.settled), conflicts=sorted(node.conflicts))
        if isinstance(node, Entry):
            saved.index, saved.position, saved.done, saved.missed = node.index, node.position, node.done, node.missed
            saved.assumed, saved.whole = node.assumed, node.whole
        return saved
    if isinstance(node, Keyed):
        places = {id(entry): place for place, entry in enumerate(node.arrivals)}
        ids = {ident: places[id(entry)] for ident, entry in node.ids.items()}
        return SavedNode("keyed", entries=[save_node(entry) for entry in node.arrivals], ids=ids)
    return SavedNode("text" if isinstance(node, Text) else "json", dump_json(snapshot(node)))


def load_node(saved: SavedNode, depth: int = 0) -> Node:
    """Build what `save_node` saved. `ValueError` for anything else."""
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels, got more")
    if saved.kind == "object":
        return load_object(saved, Object(), depth)
    if saved.kind == "keyed":
        return _load_keyed(saved, depth)
    value = parse_json(saved.json)
    if saved.kind == "json":
        return value
    if not isinstance(value, str):
        raise ValueError("expected a text, got another value")  # noqa: TRY004 - the value is wrong, not the call
    return Text(value)


def load_object(saved: SavedNode, into: _AnObject, depth: int = 0) -> _AnObject:
    """Fill a new object with what was saved of one."""
    into.fields = {key: load_node(value, depth + 1) for key, value in saved.fields.items()}
    for key in saved.held:
        into.settle(key)
    for key in saved.conflicts:
        into.mark_conflict(key)
    return into


def _load_keyed(saved: SavedNode, depth: int) -> Keyed:
    keyed = Keyed()
    for each in saved.entries:
        entry = load_object(each, Entry(each.index), depth + 1)
        entry.position, entry.done, entry.missed = each.position, each.done, each.missed
        entry.assumed, entry.whole = each.assumed, each.whole
        if entry.index is not None and (entry.index < 0 or entry.index in keyed.entries):
            raise ValueError("expected indexes of 0 or more, each once")
        keyed.add(entry)
        if entry.index is None and entry.position is None and not entry.done:
            keyed.open_unindexed.put(entry, entry_type(entry))
    if not all(0 <= place < len(keyed.arrivals) for place in saved.ids.values()):
        raise ValueError("expected ids of the entries, got one of another")
    keyed.ids = {ident: keyed.arrivals[place] for ident, place in saved.ids.items()}
    keyed.restore_listed()
    return keyed
