"""The README says what is so: its code blocks run, and print what stands under them."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.loopback import Loopback
from tests.tool_server import function_run

if TYPE_CHECKING:
    from tests.loopback import Exchange

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    mark: str
    language: str
    text: str


def blocks() -> list[Block]:
    pattern = re.compile(r"(?:<!-- ([a-z_. ]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
    return [Block(mark, language, text) for mark, language, text in pattern.findall(README)]


def files() -> dict[str, str]:
    """Return the files that the README tells its reader to have, by name."""
    return {block.mark.removeprefix("file "): block.text for block in blocks() if block.mark.startswith("file ")}


def python_blocks() -> list[tuple[Block, str]]:
    found = [block for block in blocks() if not block.mark.startswith("file ")]
    return [(code, output.text) for code, output in itertools.pairwise(found) if code.language == "python"]


def test_every_python_block_but_a_file_is_followed_by_its_output() -> None:
    found = [block for block in blocks() if not block.mark.startswith("file ")]
    assert [output.language for code, output in itertools.pairwise(found) if code.language == "python"] == [
        "text"
    ] * len(python_blocks())


def run_block(block: Block, namespace: dict[str, object], shipped: Path, folder: Path) -> str:
    """Run a block as its mark says and return what it printed; one that asks a server finds its address as `url`."""

    def play(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk((shipped / "code_interpreter.sse").read_bytes())
        exchange.end()

    with contextlib.ExitStack() as stack:
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if block.mark:
            script = play if block.mark == "needs a server" else function_run(shipped)
            namespace["url"] = stack.enter_context(Loopback(script)).url
        if block.mark.endswith(" process"):
            return run_in_a_process(f"url = {namespace['url']!r}\n{block.text}", folder)
        exec(compile(block.text, "README.md", "exec"), namespace)  # noqa: S102 - that is the test
        return out.getvalue()


def run_in_a_process(code: str, folder: Path) -> str:
    """Run code in an interpreter of its own, in a folder that has the README's files."""
    found = os.pathsep.join([str(folder), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": found},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return result.stdout


def test_the_python_blocks_print_what_stands_under_them(
    monkeypatch: pytest.MonkeyPatch, shipped: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "readme"}
    printed = [run_block(block, namespace, shipped, tmp_path) for block, _ in python_blocks()]
    assert printed == [output for _, output in python_blocks()]


def test_the_first_block_runs_without_a_server() -> None:
    assert python_blocks()[0][0].mark == ""


def test_the_session_is_a_real_one() -> None:
    [session] = [block.text for block in blocks() if block.mark == "session"]
    seen = ""
    for line in [line for line in session.splitlines() if line.startswith("$ ")]:
        command = line.removeprefix("$ ").replace("accumulator ", f"{shlex.quote(sys.executable)} -m accumulator ", 1)
        result = subprocess.run(  # noqa: S602 - the README's own line, pipes and all
            command,
            shell=True,
            cwd=ROOT,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seen += f"{line}\n{result.stdout.decode()}"
    assert seen == session


@pytest.mark.parametrize("mark", ["run command", "test command"])
def test_each_command_is_one_line_in_a_local_environment_with_plain_pip(mark: str) -> None:
    [command] = [block.text for block in blocks() if block.mark == mark]
    assert re.fullmatch(r"python3 -m venv \.venv && \.venv/bin/pip install [^\n]+ && \.venv/bin/[^\n]+\n", command)


def test_the_table_of_updates_has_every_update_with_its_fields() -> None:
    from typing import get_args

    from accumulator import Update

    rows = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", README, re.MULTILINE))
    documented = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows.items()}
    assert documented == {
        update.__name__: tuple(field for field in update.__struct_fields__ if field != "event_number")
        for update in get_args(Update)
    }
