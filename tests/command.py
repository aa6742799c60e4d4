"""The command line in this process or in one of its own, with what it leaves behind."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import pytest

from accumulator._cli.commands import run
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator

COMMAND = [sys.executable, "-m", "accumulator"]
# Outputs are buffered and encoded as they are where nobody asked for anything else.
ENV = {
    name: value
    for name, value in os.environ.items()
    if name not in {"PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8"}
}
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell, signals or terminals")


class Result(NamedTuple):
    """What a process left behind."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


class _Terminal(io.TextIOWrapper):
    """An output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def cli(
    *arguments: str | Path, stdin: bytes = b"", terminal: tuple[int, int] | None = None, encoding: str = "utf-8"
) -> Result:
    """Run the command line in this process, with streams like those of a process, or of a terminal of this size."""
    kind = io.TextIOWrapper if terminal is None else _Terminal
    buffers = [io.BytesIO(stdin), io.BytesIO(), io.BytesIO()]
    streams = [kind(buffer, encoding=encoding, errors="backslashreplace", newline="\n") for buffer in buffers]
    columns, rows = terminal or (80, 24)
    size = {"COLUMNS": str(columns), "LINES": str(rows), "TERM": "xterm-256color"}
    with (
        mock.patch.dict(os.environ, size if terminal else {}),
        mock.patch.multiple(sys, stdin=streams[0], stdout=streams[1], stderr=streams[2]),
    ):
        status = run([str(argument) for argument in arguments])
    for stream in streams:
        stream.detach()  # what it holds goes to its buffer
    return Result(status, buffers[1].getvalue(), buffers[2].getvalue().decode())


def process(*arguments: str | bytes | Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        check=False,
        env={**ENV, **(env or {})},
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


def shell(script: str, *arguments: str | Path) -> Result:
    """Run a line of shell in which "$@" is the command with these arguments."""
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *COMMAND, *arguments], cwd=ROOT, env=ENV, capture_output=True, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


def recorded(folder: Path, content: bytes, name: str = "run.sse") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_terminal(controller: int) -> bytes:
    try:
        return os.read(controller, 65_536)
    except OSError as error:  # Linux's way to say that the other end is closed
        assert errno.EIO == error.errno  # noqa: PT017 - nothing else may go wrong
        return b""


@contextmanager
def unprivileged() -> Generator[Path]:
    """Yield a folder, in which this process may not do what a mode forbids: root may do all."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if not os.geteuid():
            stack.callback(os.seteuid, 0)
            os.chown(folder, 65_534, -1)
            os.seteuid(65_534)
        yield Path(folder)
