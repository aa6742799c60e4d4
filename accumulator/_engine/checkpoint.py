"""An accumulator as bytes: JSON text in ASCII with a version, checked when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, cast

import msgspec

from accumulator._assistants.updates import Problem
from accumulator._engine.body import Body
from accumulator._engine.resource import LifeDump
from accumulator._errors import CheckpointError

if TYPE_CHECKING:
    from accumulator._engine.body import Pending

FORMAT: Final = "delta-accumulator checkpoint"
VERSION: Final = 1


class PendingDump(msgspec.Struct, omit_defaults=True):
    """A pending event; the data of one that was too large is not kept."""

    name: str = ""
    data: str = ""
    torn: bool = False
    too_large: bool = False


class Checkpoint(msgspec.Struct):
    """All that an accumulator is.

    `body` is the current one; `own` that of `feed` where it is another; `parser` is the state of its parser.
    """

    strict: bool
    max_event_size: int | None
    count: int
    steps: list[LifeDump]
    messages: list[LifeDump]
    problems: list[Problem]
    run: dict[str, object] | None
    body: Body
    own: Body | None
    used: bool
    parser: dict[str, object]
    pending: list[PendingDump]


def encode(checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint."""
    import json

    plain = {"format": FORMAT, "version": VERSION, "state": msgspec.to_builtins(checkpoint)}
    return json.dumps(plain, separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Checkpoint:
    """Read a checkpoint, or raise `CheckpointError`."""
    import json

    try:
        plain = cast("object", json.loads(data, parse_constant=_refuse))
    except (ValueError, RecursionError) as exc:
        message = f"expected the bytes of a checkpoint, got {len(data)} bytes that are no JSON text"
        raise CheckpointError(message) from exc
    if not isinstance(plain, dict) or cast("dict[str, object]", plain).get("format") != FORMAT:
        message = "expected the bytes of a checkpoint, got other JSON text"
        raise CheckpointError(message)
    version = cast("dict[str, object]", plain).get("version")
    if version != VERSION or isinstance(version, bool):
        message = f"expected a checkpoint of version {VERSION}, got one of version {str(version)[:40]}"
        raise CheckpointError(message)
    try:
        return msgspec.convert(cast("dict[str, object]", plain).get("state"), Checkpoint)
    except (ValueError, RecursionError) as exc:  # a validation error is a ValueError, and so is a lone surrogate's
        message = f"expected the state of an accumulator: {exc}"
        raise CheckpointError(message) from exc


def _refuse(text: str) -> NoReturn:
    message = f"{text} is no JSON"
    raise ValueError(message)


def dump_pending(item: Pending | None) -> PendingDump:
    """Return a pending event as plain data; None stands for one that was too large."""
    if item is None:
        return PendingDump(too_large=True)
    data = item.data if isinstance(item.data, str) else item.data.decode("utf-8", "replace")
    return PendingDump(item.name, data, item.torn)
