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

if TYPE_CHECKING:
    from tests.loopback import Exchange

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    mark: str
    language: str
    text: str


def blocks() -> list[Block]:
    pattern = re.compile(r"(?:<!-- ([a-z ]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
    return [Block(mark, language, text) for mark, language, text in pattern.findall(README)]


def python_blocks() -> list[tuple[Block, str]]:
    found = blocks()
    return [(code, output.text) for code, output in itertools.pairwise(found) if code.language == "python"]


def test_every_python_block_is_followed_by_its_output() -> None:
    assert [
        output.language for code, output in zip(blocks(), blocks()[1:], strict=False) if code.language == "python"
    ] == ["text"] * len(python_blocks())


def run_block(block: Block, namespace: dict[str, object], recording: Path) -> str:
    """Run a block and return what it printed; one that needs a server finds its address as `url`."""

    def play(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(recording.read_bytes())
        exchange.end()

    with contextlib.ExitStack() as stack:
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if block.mark == "needs a server":
            namespace["url"] = stack.enter_context(Loopback(play)).url
        exec(compile(block.text, "README.md", "exec"), namespace)  # noqa: S102 - that is the test
        return out.getvalue()


def test_the_python_blocks_print_what_stands_under_them(monkeypatch: pytest.MonkeyPatch, shipped: Path) -> None:
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {"__name__": "readme"}
    printed = [run_block(block, namespace, shipped / "code_interpreter.sse") for block, _ in python_blocks()]
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
