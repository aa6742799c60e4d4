"""The notebook among the recipes: its cells still give the outputs that are stored in it, and these are text.

The default run evaluates the cells in this process and asks IPython what it would show. Where nbclient and ipykernel
are installed, as in `tox -e notebook`, a kernel of Jupyter runs the notebook too. To renew the stored outputs:

    jupyter execute --inplace tests/recipes/notebook.ipynb
"""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

import pytest
from IPython.core.formatters import DisplayFormatter

from tests.conftest import ROOT
from tests.test_out import Tags
from tests.unprintable import hostile

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOK = ROOT / "tests" / "recipes" / "notebook.ipynb"


class Output(TypedDict, total=False):
    text: list[str]
    data: dict[str, list[str]]


class Cell(TypedDict):
    cell_type: str
    source: list[str]
    outputs: list[Output]


class Shown(NamedTuple):
    """What a cell printed, and what it shows of its last value: text by its type."""

    printed: str
    value: dict[str, str]


def code_cells(notebook: Path) -> list[Cell]:
    cells: list[Cell] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def stored(notebook: Path) -> list[Shown]:
    return [
        Shown(
            "".join(line for output in cell["outputs"] for line in output.get("text", [])),
            {kind: "".join(lines) for output in cell["outputs"] for kind, lines in output.get("data", {}).items()},
        )
        for cell in code_cells(notebook)
    ]


def evaluate(source: str, namespace: dict[str, object]) -> Shown:
    *statements, last = ast.parse(source).body
    value: dict[str, str] = {}
    with redirect_stdout(StringIO()) as printed:
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), NOTEBOOK.name, "exec"), namespace)  # noqa: S102
            result = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), namespace)  # noqa: S307
            value = cast("tuple[dict[str, str], object]", DisplayFormatter().format(result))[0]  # type: ignore[no-untyped-call]
        else:
            exec(source, namespace)  # noqa: S102
    return Shown(printed.getvalue(), value)


def test_the_cells_give_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    namespace: dict[str, object] = {}
    assert stored(NOTEBOOK) == [evaluate("".join(cell["source"]), namespace) for cell in code_cells(NOTEBOOK)]


def test_a_kernel_gives_what_is_stored(tmp_path: Path) -> None:
    if not all(map(importlib.util.find_spec, ("nbclient", "ipykernel"))):
        pytest.skip("needs nbclient and ipykernel: `tox -e notebook`")
    executed = tmp_path / "executed.ipynb"
    command = [sys.executable, "-m", "jupyter", "execute", f"--output={executed.with_suffix('')}", str(NOTEBOOK)]
    subprocess.run(command, check=True, capture_output=True)
    assert stored(NOTEBOOK) == stored(executed)


def test_what_is_shown_is_the_run_as_text() -> None:
    run, step, text, message = stored(NOTEBOOK)
    assert run.printed.startswith("Im Mittel war es in Zürich")
    assert text == Shown(text.printed, {})
    assert text.printed.startswith("Zürich bekommt 9,5, 11 und 8 °C")
    for cell, name in ((run, "Accumulator"), (step, "RunStep"), (message, "Message")):
        assert {"text/plain", "text/html"} == cell.value.keys()
        assert cell.value["text/plain"].startswith(f"{name}(\n")
        html = Tags()
        html.feed(cell.value["text/html"])
        assert html.tags <= {"table", "caption", "tr", "th", "td", "pre", "code", "ol", "li"}
        assert {"style"} == {name for name, _ in html.attributes}
        assert [] == hostile("".join([*cell.value.values(), cell.printed]).replace("\n", ""))
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt; [bold]x[/] \\u001b]8;;http://x\\u001b\\ \\u202egnp.exe</pre>"
        in (message.value["text/html"])
    )
    assert "Zürich: 6.67 °C\nGenève: 8.83 °C" in step.value["text/html"]
