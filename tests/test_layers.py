"""Imports point one way, and `import accumulator` stays cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import accumulator

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: a module may import those on levels below its own and nothing beside or above it.
LEVELS = (
    ("_errors",),
    ("_json",),
    ("_partial_json",),
    ("_model",),
    ("_assistants.run_steps", "_engine.body"),
    ("_assistants.messages", "_assistants.runs"),
    ("_assistants.updates",),
    ("_fold.nodes",),
    ("_fold.policy",),
    ("_sse", "_assistants.protocol", "_fold.delta", "_engine.dump"),
    ("_fold.whole", "_streams.coalesce"),
    ("_engine.resource", "_engine.fast_path"),
    ("_engine.checkpoint", "_engine.engine"),
    ("_engine.feed",),
    ("_assistants.accumulator",),
    ("_streams.hooks", "_streams.sources"),
    ("_streams.reading", "_streams.timed_reads"),
    ("_streams.streams",),
    ("_assistants.connect", "_assistants.handler", "_streams.tap"),
    ("__init__",),
    ("_cli.command",),
    ("__main__",),
)
FLOORS = {f"accumulator.{module.partition('.')[0]}" for modules in LEVELS for module in modules if "." in module}
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}

# An exception names the types of what it carries; at run time it imports nothing.
TYPES_FROM_ABOVE = {"_errors"}

# The HTTP edge is one module, so that another client costs one module.
HTTP = {"httpx", "httpx_sse", "httpx2"}
HTTP_EDGE = {"_assistants.connect"}

PACKAGE = ROOT / "accumulator"
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.glob("**/*.py"))
    if path.parent == PACKAGE or path.stem != "__init__"  # those of the floors hold a docstring
}


class Import(NamedTuple):
    """One module that another names in an import, and whether only type checkers see it."""

    name: str
    typing_only: bool


def _imports(tree: ast.AST, *, typing_only: bool = False) -> list[Import]:
    """Return every import of a module, in functions too; `from accumulator import x` may mean the module `x`."""
    found: list[Import] = []
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=orelse):
                found += [each for child in body for each in _imports(ast.Module([child], []), typing_only=True)]
                found += [
                    each for child in orelse for each in _imports(ast.Module([child], []), typing_only=typing_only)
                ]
            case ast.Import(names=names):
                found += [Import(alias.name, typing_only) for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join(part for part in ("accumulator" if level else "", module or "") if part)
                if base == "accumulator" or base in FLOORS:
                    found += [Import(f"{base}.{alias.name}", typing_only) for alias in names]
                else:
                    found.append(Import(base, typing_only))
            case _:
                found += _imports(node, typing_only=typing_only)
    return found


def _own(name: str) -> str | None:
    """Return the module of this package that an import names, `__init__` for a name that is no module."""
    package, _, rest = name.partition(".")
    if package != "accumulator":
        return None
    candidates = (".".join(rest.split(".")[:length]) for length in (2, 1))
    return next((module for module in candidates if module in LEVEL), "__init__")


def _violations(module: str, source: str) -> list[str]:
    """Return what a module imports although its level forbids it."""
    wrong: list[str] = []
    for name, typing_only in _imports(ast.parse(source)):
        if (own := _own(name)) is not None:
            allowed = LEVEL[own] < LEVEL[module] or (typing_only and module in TYPES_FROM_ABOVE)
        else:
            allowed = name.partition(".")[0] not in HTTP or module in HTTP_EDGE
        if not allowed:
            wrong.append(name)
    return wrong


def test_every_module_has_a_level() -> None:
    assert [module for module in SOURCES if module not in LEVEL] == []


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module: str) -> None:
    assert _violations(module, SOURCES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("_fold.delta", "from accumulator._json import copy_json", []),
        ("_fold.delta", "from accumulator._sse import Frame", ["accumulator._sse"]),
        (
            "_assistants.messages",
            "from accumulator._assistants.runs import Run",
            ["accumulator._assistants.runs"],
        ),
        ("_fold.delta", "from .._sse import Frame", ["accumulator._sse"]),
        ("_fold.delta", "from .._assistants import accumulator", ["accumulator._assistants.accumulator"]),
        ("_fold.delta", "from accumulator import RunStep", ["accumulator.RunStep"]),
        ("_fold.delta", "def f():\n    import accumulator._streams.streams", ["accumulator._streams.streams"]),
        (
            "_fold.delta",
            "if TYPE_CHECKING:\n    from accumulator._streams.streams import x",
            ["accumulator._streams.streams"],
        ),
        ("_errors", "if TYPE_CHECKING:\n    from accumulator._streams.streams import x", []),
        (
            "_errors",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from accumulator._streams.streams import x",
            ["accumulator._streams.streams"],
        ),
        ("_errors", "from accumulator._streams.streams import x", ["accumulator._streams.streams"]),
        ("_streams.streams", "import httpx_sse", ["httpx_sse"]),
        ("_streams.streams", "if TYPE_CHECKING:\n    import httpx2.foo", ["httpx2.foo"]),
        ("_assistants.connect", "import httpx_sse", []),
    ],
)
def test_the_check_sees_what_it_should(module: str, source: str, expected: list[str]) -> None:
    assert _violations(module, source) == expected


def test_importing_the_package_loads_no_client_and_no_event_loop() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import accumulator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(re.findall(r"\|\s+(\S+)$", result.stderr, re.MULTILINE))
    assert "accumulator._errors" in loaded
    assert {"asyncio", "click", *HTTP} & loaded == set()


def test_public_names_exist_and_are_sorted() -> None:
    # The order that ruff keeps: constants, classes, functions.
    def key(name: str) -> tuple[bool, bool, str]:
        return not name.isupper(), not name[0].isupper(), name

    names = list(accumulator.__all__)
    assert sorted(set(names), key=key) == names
    assert [name for name in names if not hasattr(accumulator, name)] == []
