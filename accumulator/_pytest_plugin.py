"""The pytest plugin: fixtures that fold and serve recordings, golden files, and what differs between steps or runs.

pytest imports this module at its start; it imports nothing of the library until a test uses it.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from accumulator import Accumulator, Recording
    from accumulator.server import ReplayServer

_OPTION: Final = "--accumulator-update"
_MARKER: Final = "accumulator_recording"
_ENDINGS: Final = (".sse", ".json", ".yaml", ".yml", ".har", ".ndjson", ".jsonl", ".txt")
_MOST_LINES: Final = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes golden files."""
    parser.getgroup("accumulator").addoption(
        _OPTION, action="store_true", help="write what recorded runs fold to into their golden files"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", f"{_MARKER}(path): the recording that the fixture recorded_run folds")


@pytest.fixture
def recorded_run(request: pytest.FixtureRequest) -> Accumulator:
    """Fold a recording, and return the accumulator.

    The recording is the one that the marker `accumulator_recording(path)` names, relative to the folder of the test; or
    the file beside the test that has its name, such as `test_weather.sse` for `test_weather`. Its format may be any
    that `accumulator.open_recordings` reads.

    If a golden file is beside it, such as `test_weather.golden.json`, the run steps and messages have to be those in
    it. With `--accumulator-update` that file is written.
    """
    from accumulator import accumulate

    path = _find(request)
    run = accumulate(path).until_done()
    golden = path.with_name(f"{path.stem}.golden.json")
    folded = _folded(run)
    if request.config.getoption(_OPTION):
        _write(golden.resolve(), folded)
    elif golden.exists():
        expected: object = json.loads(golden.read_text(encoding="utf-8"))
        lines = _lines(expected, folded, golden.name, "the recording")
        if lines:
            pytest.fail("\n".join([f"{path.name} does not fold to what {golden.name} has", *lines]), pytrace=False)
    return run


@pytest.fixture
def replay_server(request: pytest.FixtureRequest) -> Generator[Callable[..., ReplayServer]]:
    """Return a function that serves recordings on a free port of this machine until the test ends.

    `replay_server("run.sse").url` is where the client goes. Paths are relative to the folder of the test; without any,
    the recording is that of `recorded_run`. The keywords are those of `accumulator.server.replay_app`, and `tls=True`.
    It needs the extra `server`.
    """
    from accumulator.server import ReplayServer, replay_app

    with ExitStack() as running:

        def serve(
            *recordings: str | os.PathLike[str] | Recording,
            tls: bool = False,
            **options: Any,  # noqa: ANN401 - those of `replay_app`
        ) -> ReplayServer:
            folder = request.path.parent
            named = [folder / each if isinstance(each, (str, PurePath)) else each for each in recordings]
            return running.enter_context(ReplayServer(replay_app(named or [_find(request)], **options), tls=tls))

        yield serve


def _find(request: pytest.FixtureRequest) -> Path:
    folder = request.path.parent
    marker = cast("pytest.Item", request.node).get_closest_marker(_MARKER)
    if marker is not None:
        path = next(iter(marker.args), None) or marker.kwargs.get("path")
        if not path:
            raise pytest.UsageError(f"expected {_MARKER}(path), got it without the path of a recording")
        return folder / str(path)
    name = cast("pytest.Function", request.node).originalname
    for ending in _ENDINGS:
        if (path := folder / f"{name}{ending}").exists():
            return path
    raise pytest.UsageError(
        f"expected a recording beside the test, such as {folder / f'{name}.sse'}, or {_MARKER}(path)"
    )


def _write(golden: Path, folded: dict[str, object]) -> None:
    """Write a golden file: whole, or not at all."""
    from accumulator._json import escape_surrogates

    text = escape_surrogates(json.dumps(folded, indent=2, ensure_ascii=False))
    temporary = golden.with_name(f".{golden.name}.{os.getpid()}")
    try:
        temporary.write_bytes(f"{text}\n".encode())
        temporary.replace(golden)
    finally:
        temporary.unlink(missing_ok=True)


def _folded(run: Accumulator) -> dict[str, object]:
    return {
        "outcome": run.outcome,
        "run_steps": [step.to_dict() for step in run.run_steps()],
        "messages": [message.to_dict() for message in run.messages()],
    }


def _lines(a: object, b: object, a_name: str, b_name: str) -> list[str]:
    """Return a line for each field in which two JSON values differ, up to a number."""
    from accumulator._recordings.diff import differing_lines

    lines = [f"  {line}" for line in differing_lines(a, b, a_name, b_name)]
    rest = len(lines) - _MOST_LINES
    return lines if rest <= 0 else [*lines[:_MOST_LINES], f"  ... and {rest} more"]


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Name the fields in which two steps, messages, calls, updates or runs differ, or two lists of them."""
    if op != "==" or type(left) is not type(right) or not any(map(_is_ours, [*_entries(left), *_entries(right)])):
        return None
    values = _plain(left), _plain(right)
    lines = [] if None in values else _lines(*values, "left", "right")
    name = type(left).__name__
    return [f"two {f'objects of {name}' if _is_ours(left) else f'{name}s'} that differ", *lines] if lines else None


def _entries(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else [value]


def _is_ours(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "accumulator"


def _plain(value: object) -> object:
    """Return a value of this library, or a list of such values, as JSON; None for anything else."""
    from accumulator import Accumulator
    from accumulator._model import Model, Record

    if isinstance(value, (list, tuple)):
        entries = [_plain(each) for each in cast("Sequence[object]", value)]
        return None if None in entries else entries
    if isinstance(value, (Model, Record)):
        return value.to_dict()
    return _folded(value) if isinstance(value, Accumulator) else None
