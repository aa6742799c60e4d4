"""The README says what is so: each of its samples runs by itself, and prints what stands under it."""

from __future__ import annotations

import builtins
import codeop
import itertools
import os
import re
import shlex
import subprocess
import sys
from contextlib import nullcontext, redirect_stdout
from inspect import signature
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

import httpx
import pytest

import accumulator
from accumulator import (
    Accumulator,
    AccumulatorError,
    AsyncTap,
    Function,
    Handler,
    Limits,
    Model,
    ProblemKind,
    RunStream,
    SSEParser,
    Tap,
    TruncatedError,
    Update,
    aaccumulate,
    accumulate,
    replay,
    rest,
    tap,
)
from benches import contenders
from benches.__main__ import SUBJECTS
from benches.__main__ import parser as benches_parser
from benches.workloads import MODES, RECIPES
from tests import wire
from tests.conftest import ROOT
from tests.cuts import read_whole
from tests.loopback import Loopback
from tests.pictures.terminal import PICTURES, render, text_of
from tests.resuming.cut_runs import CuttingServer
from tests.tool_server import function_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.loopback import Exchange

PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "benches/README.md")}
PAGES["tests/recipes/MIGRATING.md"] = (ROOT / "tests/recipes/MIGRATING.md").read_text(encoding="utf-8")
README, BENCHES = PAGES["README.md"], PAGES["benches/README.md"]


class Block(NamedTuple):
    mark: str
    language: str
    text: str


def blocks(page: str = README) -> list[Block]:
    pattern = re.compile(r"(?:<!-- ([a-z_. ]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
    return [Block(mark, language, text) for mark, language, text in pattern.findall(page)]


def files() -> dict[str, str]:
    """Return the files that the README says to write, by name."""
    return {block.mark.removeprefix("file "): block.text for block in blocks() if block.mark.startswith("file ")}


class Sample(NamedTuple):
    code: str
    printed: str

    @property
    def asks_a_server(self) -> bool:
        """Whether it needs `url`."""
        return re.search(r"\burl\b", self.code) is not None

    def server(self, shipped: Path) -> AbstractContextManager[Loopback | None]:
        """Make the server that it asks, if it does: with functions to call where it imports some."""

        def play(exchange: Exchange) -> None:
            exchange.head()
            exchange.chunk((shipped / "code_interpreter.sse").read_bytes())
            exchange.end()

        if not self.asks_a_server:
            return nullcontext()
        if "accumulator.rest" in self.code:
            return CuttingServer(read_whole(shipped, ["code_interpreter.sse"]), 60)
        return Loopback(function_run(shipped) if "my_tools" in self.code else play)


def samples() -> list[Sample]:
    found = [block for block in blocks() if not block.mark.startswith("file ")]
    return [Sample(code.text, output.text) for code, output in itertools.pairwise(found) if code.language == "python"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder like that of a reader: the recordings, and the files that the README says to write."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "recordings").symlink_to(ROOT / "tests" / "recordings", target_is_directory=True)
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run_in_a_process(code: str, folder: Path, given: bytes = b"") -> bytes:
    """Run code in an interpreter of its own, as if pasted into a file in this folder."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONIOENCODING": "utf-8"},
        input=given,
        stdout=subprocess.PIPE,
        check=True,
    )
    return result.stdout


# Samples.


def test_every_python_block_but_a_file_is_followed_by_its_output() -> None:
    found = [block for block in blocks() if not block.mark.startswith("file ")]
    assert [output.language for code, output in itertools.pairwise(found) if code.language == "python"] == [
        "text"
    ] * len([block for block in found if block.language == "python"])


@pytest.mark.parametrize("sample", samples())
def test_each_sample_runs_by_itself_and_prints_what_stands_under_it(
    sample: Sample, shipped: Path, folder: Path
) -> None:
    with sample.server(shipped) as server:
        given = f"url = {server.url!r}\n" if server else ""
        assert sample.printed == run_in_a_process(given + sample.code, folder).decode()


# It had ten lines, and printed the steps; what the agent said takes less.
def test_the_first_sample_has_eight_lines_and_no_server() -> None:
    first = samples()[0]
    assert (8, False) == (first.code.count("\n"), first.asks_a_server)


@pytest.mark.parametrize("sample", samples())
def test_each_sample_can_be_pasted_at_the_prompt(sample: Sample) -> None:
    statement: list[str] = []
    for line in [*sample.code.splitlines(), ""]:
        statement.append(line)
        if codeop.compile_command("\n".join(statement), symbol="single") is not None:
            statement.clear()
    assert statement == []


@pytest.fixture
def read_timeouts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float | None]]:
    """Write down the read timeouts of each class of client: of the client, and of each request that it makes."""
    seen: dict[str, list[float | None]] = {}
    build = cast("Callable[..., httpx.Request]", httpx.Client.build_request)

    def noted(client: httpx.Client | httpx.AsyncClient, *args: object, **kwargs: object) -> httpx.Request:
        request = build(client, *args, **kwargs)
        seen.setdefault(type(client).__name__, []).extend([client.timeout.read, request.extensions["timeout"]["read"]])
        return request

    for client in (httpx.Client, httpx.AsyncClient):
        monkeypatch.setattr(client, "build_request", noted)
    return seen


@pytest.mark.parametrize("sample", [sample for sample in samples() if sample.asks_a_server])
def test_each_sample_over_http_outlasts_a_server_that_is_silent_for_a_minute(
    sample: Sample,
    shipped: Path,
    folder: Path,
    read_timeouts: dict[str, list[float | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delitem(sys.modules, "my_tools", raising=False)
    with sample.server(shipped) as server, redirect_stdout(StringIO()) as out:
        assert server
        exec(compile(sample.code, "README.md", "exec"), {"__name__": "readme", "url": server.url})  # noqa: S102 - as above
    assert sample.printed == out.getvalue()
    assert set(re.findall(r"\bhttpx\.(\w*Client)\(", sample.code)) == set(read_timeouts)
    assert [] == [each for seen in read_timeouts.values() for each in seen if each is not None and each < 60]


def test_the_checkpoint_goes_to_another_process(folder: Path) -> None:
    [sample] = [sample for sample in samples() if "to_bytes()" in sample.code]
    imports, first, second = sample.code.split("\n\n")
    checkpoint = run_in_a_process(f"{imports}\n{first}\nimport sys\nsys.stdout.buffer.write(checkpoint)\n", folder)
    code = f"{imports}\nimport sys\ncheckpoint = sys.stdin.buffer.read()\n{second}"
    assert sample.printed == run_in_a_process(code, folder, checkpoint).decode()


# Commands.


def shell(command: str) -> tuple[str, int]:
    """Run a line of the README as it stands, pipes and all; return what a terminal shows, and the exit status."""
    found = f'accumulator() {{ {shlex.quote(sys.executable)} -m accumulator "$@"; }}; {command}'
    result = subprocess.run(  # noqa: S602 - that is the test
        found,
        shell=True,
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return result.stdout.decode(), result.returncode


def test_the_session_is_a_real_one() -> None:
    [session] = [block.text for block in blocks() if block.language == "console"]
    commands = [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]
    assert "".join(f"$ {command}\n{shell(command)[0]}" for command in commands) == session


@pytest.mark.parametrize("mark", ["run command", "test command"])
def test_each_command_is_one_line_in_a_local_environment_with_plain_pip(mark: str) -> None:
    [command] = [block.text for block in blocks() if block.mark == mark]
    assert re.fullmatch(r"python3 -m venv \.venv && \.venv/bin/pip install [^\n]+ && \.venv/bin/[^\n]+\n", command)


# The command printed JSON and the outcome before; now it shows the run as a tree.
def test_the_first_command_shows_a_whole_run() -> None:
    [command] = [block.text for block in blocks() if block.mark == "run command"]
    show = command.rpartition(" && ")[2].strip()
    shown, status = shell(show.removeprefix(".venv/bin/"))
    assert (0, True, True) == (status, "├─ ✓ file_search  2 s" in shown, "└─ ✓ completed  8 s" in shown)


def test_the_picture_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    [session] = [block.text for block in blocks() if block.language == "console"]
    for name in PICTURES:
        saved = (ROOT / "tests" / "pictures" / name).read_text(encoding="utf-8")
        assert session == text_of(saved) == text_of(render(name))
        assert f"](tests/pictures/{name})" in README


# The page.


def prose(page: str = README) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"```\w+\n.*?```\n", "", page, flags=re.DOTALL)


def headings(page: str) -> list[str]:
    return re.findall(r"^## (.+)$", prose(page), re.MULTILINE)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def section(heading: str) -> str:
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str) -> dict[str, str]:
    """Return the rows of a section's table: the name in the first column, and the rest."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section(heading), re.MULTILINE))


def test_the_page_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 423
    assert [] == [line for line in lines if len(line) > 131]


def test_the_contents_are_the_headings_in_their_order() -> None:
    contents = re.search(r"^Contents: .*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert contents
    links = re.findall(r"\[([^\]]+)\]\(#([\w-]+)\)", contents[0])
    assert [(heading, anchor(heading)) for heading in headings(README)] == links


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(PAGES[page])):
        path, _, place = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not place or place in map(anchor, headings(target.read_text(encoding="utf-8"))), link


def test_what_is_named_is_there() -> None:
    # What stands in the table of clients has the names of the clients.
    text = prose().replace(section("Serve"), re.sub(r"^\|.*$", "", section("Serve"), flags=re.MULTILINE))
    types = [Accumulator, AsyncTap, Function, Handler, Model, RunStream, SSEParser, Tap, rest.Service]
    methods = {name for each in types for name in dir(each)}
    names = set(re.findall(r"`(?:error\.)?([A-Z]\w*[a-z]\w*)[`(]", text))
    public = {*accumulator.__all__, *rest.__all__}
    assert names <= {*public, *dir(builtins)}
    assert set(re.findall(r"`(?:\w+\.)?([a-z]\w*)\(", text)) <= {*public, *methods}
    keywords = {
        *signature(accumulate).parameters,
        *signature(aaccumulate).parameters,
        *signature(replay).parameters,
        *signature(tap).parameters,
        *Limits.__struct_fields__,
        "partial",
        "read",
    }
    assert set(re.findall(r"\b(\w+)=", text)) <= keywords


# Tables.


def test_the_table_of_updates_has_every_update_with_its_fields() -> None:
    documented = {
        name: tuple(re.findall(r"`(\w+)`", rest.partition(" | ")[0])) for name, rest in table("Updates").items()
    }
    assert documented == {
        update.__name__: tuple(field for field in update.__struct_fields__ if field != "event_number")
        for update in get_args(Update)
    }


def documented_order() -> dict[str, int]:
    """Return the place of each update within an event; what takes turns has one place."""
    sentence = section("Updates").partition("the order is: ")[2].partition("Messages")[0]
    steps = {name: place for place, part in enumerate(sentence.split(";")) for name in re.findall(r"`(\w+)`", part)}
    twins = {name.replace("RunStep", "Message").replace("ToolCall", "Content"): place for name, place in steps.items()}
    return steps | twins


def events_of(updates: Iterable[Update]) -> Iterator[list[str]]:
    for _, event in itertools.groupby(updates, key=lambda update: update.event_number):
        yield [type(update).__name__ for update in event]


def test_updates_of_one_event_come_in_the_order_that_is_documented(shipped: Path) -> None:
    recordings = [[path.read_bytes()] for path in shipped.glob("*.sse")]
    unplaced = wire.opening(None, "call_B", "f")
    opening = wire.delta("step_1", wire.opening(0, "call_A", "f"), unplaced, wire.opening(2, "call_C", "f"))
    whole = wire.completed(calls=[wire.call(f"call_{name}", "f", "{}") for name in "XYZ"])
    order = documented_order()
    seen = [event for source in [*recordings, [opening, whole]] for event in events_of(accumulate(source))]
    for event in seen:
        places = [order[name] for name in event if name in order]
        assert sorted(places) == places
    assert set(order) <= {name for event in seen for name in event}


def test_each_hook_but_two_is_named_after_its_update() -> None:
    names = {re.sub(r"(?<!^)(?=[A-Z])", "_", update.__name__).lower() for update in get_args(Update)}
    hooks = {name for name in dir(Handler) if name.startswith("on_")}
    assert hooks - {f"on_{name}" for name in names} == {"on_error", "on_end"}
    assert "A hook is named after its update, except `on_error` and `on_end`." in README


def test_the_table_of_problems_has_every_kind() -> None:
    assert list(table("Problems")) == list(get_args(ProblemKind))


def test_the_table_of_errors_has_every_error() -> None:
    public = [getattr(accumulator, name) for name in accumulator.__all__]
    errors = {each for each in public if isinstance(each, type) and issubclass(each, AccumulatorError)}
    assert set(table("Errors")) == {error.__name__ for error in errors - {AccumulatorError}}


def ending(body: bytes) -> str | None:
    return accumulate([body]).until_done().outcome


def test_the_outcomes_are_those_that_are_documented() -> None:
    statuses = ["completed", "incomplete", "failed", "cancelled", "expired", "requires_action"]
    error = wire.event("error", {"error": {"message": "overloaded"}})
    finished = wire.run_event("completed")
    assert {*statuses, "error", "unknown", "truncated"} == {
        name for name in re.findall(r"`(\w+)`", section("Outcomes")) if name != "done"
    }
    assert statuses == [ending(wire.run_event(status) + wire.DONE) for status in statuses]
    assert "error" == ending(finished + error + wire.DONE)
    assert "unknown" == ending(wire.run_event("in_progress") + wire.DONE)
    assert "truncated" == ending(wire.run_event("in_progress"))


def test_the_outcome_of_a_source_that_raises_is_truncated() -> None:
    def dropped() -> Iterator[bytes]:
        yield wire.created()
        raise OSError

    run = Accumulator()
    assert run.outcome is None
    with pytest.raises(TruncatedError):
        accumulate(dropped(), into=run).until_done()
    assert "truncated" == run.outcome


# Benchmarks.


def test_the_rows_of_speed_are_those_of_the_benchmarks() -> None:
    [rows] = [block.text for block in blocks() if "contender" in block.text]
    assert 1 + 3 == len(rows.splitlines())
    assert rows.splitlines() == [line for line in rows.splitlines() if f"{line}\n" in BENCHES]
    [command] = re.findall(r"python -m benches [^`\n]+", section("Limits"))
    assert command in BENCHES


def test_the_benchmarks_are_documented() -> None:
    subjects = re.findall(r"^\| `(\w+)` \|", BENCHES.partition("## Method")[0], re.MULTILINE)
    assert list(SUBJECTS) == subjects
    readers = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \|", BENCHES.partition("## Method")[2], re.MULTILINE)
    assert set(contenders.NAMES) == set(re.findall(r"`([\w-]+)`", " ".join(readers)))
    assert set(MODES) <= set(re.findall(r"`(\w+)`", BENCHES))
    workloads = re.findall(r"--workload (\w+)", BENCHES)
    assert set(workloads) <= set(RECIPES)


def test_each_command_of_the_benchmarks_can_be_given() -> None:
    commands = re.findall(r"python -m benches ([^`\n]+)", README + BENCHES)
    for command in commands:
        if command != "SUBJECT":
            assert benches_parser().parse_args(command.split()).subject in SUBJECTS


def test_each_verdict_is_there() -> None:
    _, found, rest = BENCHES.rpartition("`python -m benches.verdicts.")
    there = {path.stem for path in (ROOT / "benches" / "verdicts").glob("*.py")} - {"__init__"}
    assert found
    assert there == set(re.findall(r"(\w+)`", rest))
