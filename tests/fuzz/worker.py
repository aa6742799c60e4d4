"""A process that fuzzes one target with atheris, which ends the process when it has made its runs.

`python -m tests.fuzz` starts it, with the name of the target, the folder for findings, and arguments of libFuzzer.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Mutator = Callable[[bytes, int, int], bytes]


class Atheris(Protocol):
    """What is used of atheris, which has no types."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]: ...
    def Setup(self, arguments: list[str], target: Callable[[bytes], None], **options: object) -> None: ...  # noqa: N802
    def Fuzz(self) -> None: ...  # noqa: N802
    def Mutate(self, data: bytes, size: int) -> bytes: ...  # noqa: N802


def _import_instrumented(atheris: Atheris) -> None:
    """Import every module of the library, so that what each input reaches in it is seen."""
    with atheris.instrument_imports(include=["accumulator"]):
        package = importlib.import_module("accumulator")
        for module in pkgutil.walk_packages(package.__path__, "accumulator."):
            if module.name != "accumulator.__main__":
                importlib.import_module(module.name)


def _json_mutator(atheris: Atheris) -> Mutator:
    """Change a value within JSON most times: bytes changed anywhere are rarely JSON."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        drawn = Random(seed)  # noqa: S311 - no secret
        if drawn.random() < 0.3:
            return atheris.Mutate(data, max_size)
        try:
            changed = json.dumps(changed_json(json.loads(data), drawn), separators=(",", ":")).encode()
        except (ValueError, RecursionError):
            return atheris.Mutate(data, max_size)
        return changed if len(changed) <= max_size else data

    return mutate


def changed_json(value: object, drawn: Random) -> object:
    """Change one value in a JSON value: take it away, put another in its place, or a second beside it."""
    places = list(_places(value))
    if not places:
        return value
    holder, key = drawn.choice(places)
    others = [cast("dict[object, object]", other)[at] for other, at in drawn.sample(places, min(3, len(places)))]
    new = deepcopy(drawn.choice([None, True, False, 0, 1, -1, 2**63, 1.5, "", "\ud800", "x" * 300, [], {}, *others]))
    match drawn.randrange(4):
        case 0:
            cast("dict[object, object]", holder).pop(key)
        case 1 if isinstance(holder, list):
            cast("list[object]", holder).insert(cast("int", key), new)
        case 2 if isinstance(holder, dict):
            cast("dict[object, object]", holder)[drawn.choice(["id", "index", "x", "json", "entries", "fields"])] = new
        case _:
            cast("dict[object, object]", holder)[key] = new
    return value


def _places(value: object) -> list[tuple[object, object]]:
    """Return each place of a JSON value: its holder, and its key in it."""
    found: list[tuple[object, object]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        items: list[tuple[object, object]] = []
        if isinstance(holder, dict):
            items = list(cast("dict[object, object]", holder).items())
        elif isinstance(holder, list):
            items = list(enumerate(cast("list[object]", holder)))
        found += [(holder, key) for key, _ in items]
        waiting += [inner for _, inner in items]
    return found


def main(name: str, folder: str, arguments: list[str]) -> None:
    """Fuzz."""
    atheris = cast("Atheris", importlib.import_module("atheris"))
    _import_instrumented(atheris)
    from tests.fuzz.findings import Findings
    from tests.fuzz.targets import TARGETS

    findings = Findings(Path(folder), name, TARGETS[name])
    options = {"custom_mutator": _json_mutator(atheris)} if name == "checkpoint" else {}
    # libFuzzer starts itself again to merge: a shell reads the first argument as it stands.
    again = f"{sys.executable} -m tests.fuzz.worker {name} {folder}"
    atheris.Setup([again, *arguments], findings.run, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
