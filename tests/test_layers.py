"""Modules import only lower layers, the lower layers do not name the protocol, and `import accumulator` stays cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

import pytest

import accumulator
from accumulator._assistants import messages, run_steps, runs, updates
from accumulator._assistants.protocol import EVENTS, MESSAGES, RUN_STEPS
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "accumulator"

# The layers, the lowest first. A part is a module or a package directly in `accumulator`. A module may import the parts
# of lower layers and the other modules of its own part, but no other part of its own layer. No imports form a cycle.
LAYERS = (
    {"_json"},
    {"_errors"},  # above `_json`, whose `printable` the text of an error is
    {"_sse", "_partial_json", "_formats", "_display", "_pydantic"},
    {"_model"},
    {"_fold"},
    {"_engine"},
    {"_streams"},
    {"_assistants"},
    {"_recordings", "_rest"},
    {"_tables"},
    {"__init__", "archive", "rest"},
    {"_server"},
    {"server"},
    {"_cli", "_pytest_plugin"},
    {"__main__"},
)
LAYER_OF = {part: layer for layer, parts in enumerate(LAYERS) for part in sorted(parts)}

# The parts that may import higher layers, for type checkers only: an exception names the types of its attributes.
TYPES_OF_HIGHER_LAYERS = {"_errors"}

# The parts that may import these parts only.
ONLY = {"_fold": {"_fold", "_json"}}

# Only one module imports HTTP clients, so that another client changes one module.
HTTP = {"httpx", "httpx_sse", "httpx2"}
HTTP_EDGE = {"_assistants.connect"}

# The names that no part below the protocol may use: its events, the keys of its objects and its classes.
BELOW_THE_PROTOCOL = {"_json", "_sse", "_model", "_partial_json", "_fold", "_engine", "_streams"}
EVENT_NAMES = {name for name, row in EVENTS.items() if row.kind not in {"error", "done"}}
KEYS = {key for kind in (RUN_STEPS, MESSAGES) for key in kind.parts_path if "_" in key}
CLASSES = {
    name
    for module in (messages, run_steps, runs, updates)
    for name, value in vars(module).items()
    if isinstance(value, type) and value.__module__ in {"accumulator", module.__name__} and name != "Text"
} - {"BodyEnded", "Field", "ListField", "Model", "DecodeError"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


SOURCES = {module_of(path): path for path in sorted(PACKAGE.glob("**/*.py"))}


class Import(NamedTuple):
    """The name in an import, and whether only type checkers run the import."""

    name: str
    typing_only: bool


def imports(tree: ast.AST, package: str = "accumulator", *, typing_only: bool = False) -> list[Import]:
    """Return every import below a node, also in functions. In `from accumulator import x`, `x` may be a module."""
    found: list[Import] = []
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=orelse):
                found += imports(ast.Module(body, []), package, typing_only=True)
                found += imports(ast.Module(orelse, []), package, typing_only=typing_only)
            case ast.Import(names=names):
                found += [Import(alias.name, typing_only) for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: 1 - level or None] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                found += [Import(f"{base}.{alias.name}" if is_package(base) else base, typing_only) for alias in names]
            case _:
                found += imports(node, package, typing_only=typing_only)
    return found


def is_package(name: str) -> bool:
    return name == "accumulator" or name.removeprefix("accumulator.") in LAYER_OF.keys() & {
        p.name for p in PACKAGE.iterdir()
    }


def own_module(name: str) -> str | None:
    """Return the module of `accumulator` that an import names: `__init__` for any other name, None outside it."""
    package, _, rest = name.partition(".")
    if package != "accumulator":
        return None
    parts = rest.split(".")
    return next((each for each in (".".join(parts[:2]), parts[0]) if each in SOURCES), "__init__")


def part_of(module: str) -> str:
    return module.partition(".")[0]


def found_in(module: str, source: str) -> list[Import]:
    package = f"accumulator.{part_of(module)}" if "." in module else "accumulator"
    return imports(ast.parse(source), package)


def violations(module: str, source: str) -> list[str]:
    """Return the imports of a module that its layer does not allow."""
    part, wrong = part_of(module), list[str]()
    for name, typing_only in found_in(module, source):
        own = own_module(name)
        if own is None:
            allowed = name.partition(".")[0] not in HTTP or module in HTTP_EDGE
        else:
            other = part_of(own)
            allowed = LAYER_OF[other] < LAYER_OF[part] or (other == part and own != module and "." in module)
            allowed = allowed or (typing_only and part in TYPES_OF_HIGHER_LAYERS)
            allowed = allowed and other in ONLY.get(part, {other})
        if not allowed:
            wrong.append(name)
    return wrong


def names_of_the_protocol(source: str) -> set[str]:
    """Return the events, keys and classes of the protocol that the code names outside docstrings."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in docstrings:
                found |= {text} & (EVENT_NAMES | KEYS)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                found |= {name} & CLASSES
            case _:
                pass
    return found


def test_every_module_has_a_layer() -> None:
    assert [module for module in SOURCES if part_of(module) not in LAYER_OF] == []


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_its_layer_allows(module: str) -> None:
    assert violations(module, SOURCES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", [module for module in SOURCES if part_of(module) in BELOW_THE_PROTOCOL])
def test_no_module_below_the_protocol_names_it(module: str) -> None:
    assert names_of_the_protocol(SOURCES[module].read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("part", [part for part in LAYER_OF if (PACKAGE / part).is_dir()])
def test_the_init_module_of_a_package_has_only_a_docstring(part: str) -> None:
    body = ast.parse((PACKAGE / part / "__init__.py").read_text(encoding="utf-8")).body
    assert [ast.Expr] == [type(node) for node in body]


def graph() -> dict[str, set[str]]:
    """Return the modules that each module imports, also for types, without the allowed imports of higher layers."""
    edges: dict[str, set[str]] = {}
    for module, path in SOURCES.items():
        found = found_in(module, path.read_text(encoding="utf-8"))
        kept = [each for each in found if not (each.typing_only and module in TYPES_OF_HIGHER_LAYERS)]
        edges[module] = {own for each in kept if (own := own_module(each.name)) is not None}
    return edges


def test_there_is_no_cycle() -> None:
    order = list(TopologicalSorter(graph()).static_order())
    assert set(SOURCES) <= set(order)


def test_a_cycle_within_a_package_is_found() -> None:
    with pytest.raises(CycleError):
        list(TopologicalSorter({**graph(), "_fold.policy": {"_fold.delta"}}).static_order())


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("_fold.delta", "from accumulator._json import copy_json", []),
        ("_fold.delta", "from accumulator._fold.nodes import Text", []),
        ("_fold.delta", "from .nodes import Text", []),
        ("_engine.feed", "from accumulator._sse import Frame", []),
        # For each layer, imports that it forbids.
        ("_json", "from accumulator._model import Model", ["accumulator._model"]),
        ("_sse", "from accumulator._model import Model", ["accumulator._model"]),
        ("_model", "from accumulator._fold.nodes import Text", ["accumulator._fold.nodes"]),
        ("_fold.delta", "from accumulator._sse import Frame", ["accumulator._sse"]),
        ("_fold.delta", "from accumulator._model import Model", ["accumulator._model"]),
        ("_fold.delta", "from accumulator._engine.body import Body", ["accumulator._engine.body"]),
        ("_engine.feed", "from accumulator._streams.tap import ByteTap", ["accumulator._streams.tap"]),
        ("_engine.feed", "from accumulator._assistants.runs import Run", ["accumulator._assistants.runs"]),
        ("_streams.tap", "from accumulator._assistants.runs import Run", ["accumulator._assistants.runs"]),
        ("_assistants.runs", "from accumulator._cli.main import run", ["accumulator._cli.main"]),
        ("_assistants.runs", "from accumulator import RunStep", ["accumulator.RunStep"]),
        # Each way to write an import.
        ("_fold.delta", "from .._sse import Frame", ["accumulator._sse"]),
        ("_fold.delta", "from .. import _sse", ["accumulator._sse"]),
        ("_fold.delta", "from .._assistants import runs", ["accumulator._assistants.runs"]),
        ("_fold.delta", "import accumulator", ["accumulator"]),
        ("_fold.delta", "def f():\n    import accumulator._streams.tap", ["accumulator._streams.tap"]),
        ("_fold.delta", "if TYPE_CHECKING:\n    from accumulator._sse import x", ["accumulator._sse"]),
        # An import of a higher layer is allowed for types only.
        ("_errors", "if TYPE_CHECKING:\n    from accumulator._assistants.runs import x", []),
        (
            "_errors",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from accumulator._assistants.runs import x",
            ["accumulator._assistants.runs"],
        ),
        ("_errors", "from accumulator._assistants.runs import x", ["accumulator._assistants.runs"]),
        # HTTP clients.
        ("_streams.tap", "import httpx_sse", ["httpx_sse"]),
        ("_streams.tap", "if TYPE_CHECKING:\n    import httpx2.foo", ["httpx2.foo"]),
        ("_assistants.connect", "import httpx_sse", []),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, expected: list[str]) -> None:
    assert violations(module, source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""A `thread.run.step.delta`."""\nkind = "created"', set[str]()),
        ('if name == "thread.run.step.delta": pass', {"thread.run.step.delta"}),
        ('json["step_details"]', {"step_details"}),
        ("match x:\n    case ToolCallDelta(): pass", {"ToolCallDelta"}),
        ("from x import RunStep as Y", {"RunStep"}),
    ],
)
def test_a_name_of_the_protocol_is_found(source: str, expected: set[str]) -> None:
    assert names_of_the_protocol(source) == expected


def test_importing_the_package_loads_no_client_and_no_event_loop() -> None:
    # A name that loads all modules but that of `connect`: the import alone loads none.
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import accumulator; accumulator.Accumulator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(re.findall(r"\|\s+(\S+)$", result.stderr, re.MULTILINE))
    assert "accumulator._errors" in loaded
    assert {"asyncio", "click", *HTTP} & loaded == set()


def test_importing_the_package_alone_loads_none_of_its_modules() -> None:
    code = """
import sys
before = set(sys.modules)
import accumulator
print(sorted(set(sys.modules) - before - {"__future__"}), "accumulate" in dir(accumulator))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "['accumulator'] True\n"


def test_public_names_exist_and_are_sorted() -> None:
    # The order of ruff: constants, classes, functions.
    def key(name: str) -> tuple[bool, bool, str]:
        return not name.isupper(), not name[0].isupper(), name

    names = list(accumulator.__all__)
    assert sorted(set(names), key=key) == names
    assert [name for name in names if not hasattr(accumulator, name)] == []
