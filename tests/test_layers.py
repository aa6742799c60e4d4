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
    ("_view", "_partial"),
    ("_models",),
    ("_deltas", "_messages"),
    ("_updates",),
    ("_builders",),
    ("_shapes",),
    ("_sse", "_decode", "_merge", "_dump"),
    ("_endings", "_coalesce", "_body"),
    ("_lives", "_lanes"),
    ("_checkpoint", "_dispatch"),
    ("_intake",),
    ("_accumulator",),
    ("_hooks", "_source"),
    ("_reading", "_waiting"),
    ("_stream",),
    ("_connect", "_handler", "_tap"),
    ("__init__",),
    ("__main__",),
)
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}

# An exception names the types of what it carries; at run time it imports nothing.
TYPES_FROM_ABOVE = {"_errors"}

# The HTTP edge is one module, so that another client costs one module.
HTTP = {"httpx", "httpx_sse", "httpx2"}
HTTP_EDGE = {"_connect"}

SOURCES = {path.stem: path for path in sorted((ROOT / "accumulator").glob("**/*.py"))}


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
                if base == "accumulator":
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
    module = rest.partition(".")[0]
    return module if module in LEVEL else "__init__"


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
        ("_merge", "from accumulator._json import copy_json", []),
        ("_merge", "from accumulator._sse import Frame", ["accumulator._sse"]),
        ("_messages", "from accumulator._deltas import RunStepDelta", ["accumulator._deltas"]),
        ("_merge", "from ._sse import Frame", ["accumulator._sse"]),
        ("_merge", "from . import _accumulator", ["accumulator._accumulator"]),
        ("_merge", "from accumulator import RunStep", ["accumulator.RunStep"]),
        ("_merge", "def f():\n    import accumulator._stream", ["accumulator._stream"]),
        ("_merge", "if TYPE_CHECKING:\n    from accumulator._stream import x", ["accumulator._stream"]),
        ("_errors", "if TYPE_CHECKING:\n    from accumulator._stream import x", []),
        (
            "_errors",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from accumulator._stream import x",
            ["accumulator._stream"],
        ),
        ("_errors", "from accumulator._stream import x", ["accumulator._stream"]),
        ("_stream", "import httpx_sse", ["httpx_sse"]),
        ("_stream", "if TYPE_CHECKING:\n    import httpx2.foo", ["httpx2.foo"]),
        ("_connect", "import httpx_sse", []),
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
