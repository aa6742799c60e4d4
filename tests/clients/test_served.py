"""Real clients against the server that plays recordings: each reads all of a run, and has to get what was recorded.

On demand: `tox -e clients`. Each client is a process in an environment of its own, which prints what it read as JSON.
Its argument are the jobs, one for each recording: the address, the ids of the run, the ids of the calls that wait
before each body, whether they wait for approvals, the functions that are called, and the file of the certificates.

The recordings are those of the project, and those in `$ACCUMULATOR_RECORDINGS`. Each is served twice in a row: first it
is streamed and read, then asked for without streams.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from accumulator import Accumulator, Recording, SSEParser, accumulate, open_recordings
from accumulator.server import ReplayServer, replay_app
from tests.conftest import ROOT, real_recordings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accumulator import RecordedBody

HERE = Path(__file__).parent
ENVIRONMENTS = os.environ.get("ACCUMULATOR_CLIENTS")
if ENVIRONMENTS is None:
    pytest.skip("the clients are not installed: `tox -e clients` does it", allow_module_level=True)
ENVIRONMENT = Path(ENVIRONMENTS)

KEPT = {name: os.environ[name] for name in ("PATH", "GEM_HOME", "GEM_PATH", "RUBYLIB", "RUBYOPT") if name in os.environ}
"""What a client gets of the environment: where programs and gems are."""

FOLDERS = [folder for folder in (ROOT / "tests" / "recordings", real_recordings()) if folder is not None]
RECORDINGS = {
    Path(recording.name).stem: recording
    for folder in FOLDERS
    for recording in open_recordings(*sorted(folder.glob("*.sse")))
}


class Expected(NamedTuple):
    """What was recorded: the events of each body, the run at the end of each, and what is there at the end of all."""

    events: list[list[tuple[str, Any]]]
    runs: list[dict[str, Any] | None]
    steps: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    asked: list[list[str]]
    approvals: bool


def read(recording: Recording) -> Expected:
    events, runs, asked = list[list[tuple[str, Any]]](), list[dict[str, Any] | None](), [list[str]()]
    run, approvals = Accumulator(), False
    for body in recording.bodies:
        events.append(list(events_of(body)))
        accumulate(iter(body), into=run).until_done()
        runs.append(None if run.current_run is None else dict(run.current_run.to_dict()))
        action = run.required_action
        asked.append([] if action is None else [str(call.id) for call in action.tool_calls])
        approvals = approvals or (action is not None and action.submit_tool_approval is not None)
    steps, messages = ([dict(each.to_dict()) for each in found] for found in (run.run_steps(), run.messages()))
    return Expected(events, runs, steps, messages, asked[: len(events)], approvals)


def events_of(body: RecordedBody, *, rest: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield the events of a body but `[DONE]`; `rest`: also what lacks the blank line behind it."""
    parser = SSEParser()
    found = [event for chunk in body for event in parser.feed(chunk)]
    last = parser.end()
    for event in [*found, *([last] if rest and last else [])]:
        with suppress(ValueError):  # `[DONE]`, or an event that is cut off
            yield event.event, json.loads(event.data)


EXPECTED = {name: read(recording) for name, recording in RECORDINGS.items()}


def job_of(name: str, server: ReplayServer) -> dict[str, object]:
    """Return what a client is told about a recording."""
    expected = EXPECTED[name]
    first = (expected.steps or expected.messages)[0]
    functions = {call["function"]["name"] for step in expected.steps for call in calls_of(step) if "function" in call}
    ids = {key: first[key] for key in ("thread_id", "run_id", "assistant_id")}
    asked = {"asked": expected.asked, "approvals": expected.approvals, "functions": sorted(functions)}
    return {"url": server.url, **ids, **asked}


def calls_of(step: dict[str, Any]) -> list[dict[str, Any]]:
    return list(step["step_details"].get("tool_calls", []))


@cache
def ask(command: tuple[str, ...], folder: Path, *, tls: bool = False, azure: bool = False) -> dict[str, dict[str, Any]]:
    """Run a client over all recordings, and return what it read of each."""
    with ExitStack() as running, tempfile.TemporaryDirectory() as home:
        servers = {name: running.enter_context(serve(recording, tls=tls)) for name, recording in RECORDINGS.items()}
        ca = Path(home, "ca.pem")
        ca.write_bytes(b"".join(server.ca or b"" for server in servers.values()))
        jobs = [{**job_of(name, server), "azure": azure, "ca": str(ca)} for name, server in servers.items()]
        done = subprocess.run(
            [*command, json.dumps(jobs)],
            cwd=folder,
            env={**KEPT, "HOME": home, "LANG": "C.UTF-8", "NODE_EXTRA_CA_CERTS": str(ca)},
            capture_output=True,
            check=False,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (0, len(jobs)) == (done.returncode, len(lines)), done.stderr.decode()[-3000:]
    return dict(zip(RECORDINGS, lines, strict=True))


def check_objects(got: dict[str, Any], expected: Expected) -> None:
    """Hold what a client read to what was recorded."""
    last = expected.runs[-1]
    if last is not None:
        assert last == got["run"]
        assert [last] == got["runs"]
        assert expected.runs == got["answered"]
    assert expected.steps == got["steps"] == got["steps_newest_first"][::-1] == got["steps_by_id"]
    assert expected.messages == got["messages"]
    assert got["assistant"] == got["assistant_again"]
    assert got["thread"] == got["thread_again"]
    ended = last is not None and last["status"] in {"completed", "incomplete", "failed", "cancelled", "expired"}
    assert (400 if ended else "cancelling") == got["cancelled"]
    assert [400, "recordings_exhausted"] == got["exhausted"]
    assert ("Grüezi", [True, True]) == (got["added"], got["deleted"])


def serve(recording: Recording, *, tls: bool = False) -> ReplayServer:
    return ReplayServer(replay_app([recording, recording]), tls=tls)


def python(name: str, script: str) -> tuple[str, ...]:
    found = ENVIRONMENT / name / "bin" / "python"
    assert found.exists(), f"{name} is not installed"
    return str(found), str(HERE / script)


def node(name: str, script: str) -> tuple[str, ...]:
    if shutil.which("node") is None or not (ENVIRONMENT / name).is_dir():
        pytest.skip("needs Node and npm")
    return "node", str(HERE / script)


def allowed(name: str) -> list[list[list[list[Any]]]]:
    """Return what a client may read as the events of each body.

    Some drop an event without the blank line behind it, as WHATWG says; others read it.
    """
    bodies = RECORDINGS[name].bodies
    framed = [[list(event) for event in events_of(body, rest=False)] for body in bodies]
    return [framed, [[list(event) for event in body] for body in EXPECTED[name].events]]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("azure", [False, True], ids=["OpenAI", "AzureOpenAI"])
@pytest.mark.parametrize("version", ["openai-1", "openai-2", "openai-3", "openai-node-6", "openai-node-7"])
def test_openai(version: str, name: str, *, azure: bool) -> None:
    command = node(version, "openai_client.mjs") if "node" in version else python(version, "openai_client.py")
    got = ask(command, ENVIRONMENT / version, azure=azure)[name]
    check_objects(got, EXPECTED[name])
    assert got["events"] in allowed(name)


@pytest.mark.parametrize("name", RECORDINGS)
def test_azure_ai_agents(name: str) -> None:
    expected = EXPECTED[name]
    got = ask(python("azure-ai-agents", "azure_client.py"), HERE, tls=True)[name]
    functions = [ident for asked in expected.asked for ident in asked] if not expected.approvals else []
    assert functions == got["called"]  # by the SDK itself
    check_objects(got, expected)
    # The events of all bodies, one chain as the SDK has it. It renames fields of streamed objects.
    events = [event for body in expected.events for event, _ in body]
    assert events == [event for event, _ in got["events"] if event != "done"]


@pytest.mark.parametrize("name", RECORDINGS)
def test_azure_ai_agents_for_node(name: str) -> None:
    expected, folder = EXPECTED[name], ENVIRONMENT / "@azure/ai-agents"
    got = ask(node("@azure/ai-agents", "azure_client.mjs"), folder, tls=True)[name]
    names = [[event for event, _ in body if event != "done"] for body in got["events"]]
    assert names in [[[event for event, _ in body] for body in each] for each in allowed(name)]
    if expected.runs[-1] is not None:
        same(expected.runs[-1], got["run"])
        same(expected.runs, got["answered"])
        same([expected.runs[-1]], got["runs"])
    for steps in (got["steps"], got["steps_newest_first"][::-1], got["steps_by_id"]):
        same(expected.steps, steps)
    same(expected.messages, got["messages"])
    assert [400, "recordings_exhausted"] == got["exhausted"]
    assert ("Grüezi", [True, True]) == (got["added"], got["deleted"])


def same(expected: object, got: object) -> None:
    """Compare what an SDK has of a value: it leaves fields out, and has names in camel case and times as texts."""
    if isinstance(expected, list) and isinstance(got, list):
        items, others = cast("list[object]", expected), cast("list[object]", got)
        assert len(items) == len(others)
        for one, other in zip(items, others, strict=True):
            same(one, other)
    elif isinstance(expected, dict) and isinstance(got, dict):
        fields = cast("dict[str, object]", expected)
        assert "id" not in fields or fields["id"] == got["id"]
        for key, value in cast("dict[str, object]", got).items():
            name = re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key)
            if value is not None and not name.endswith("_at") and name in fields:
                same(fields[name], value)
    else:
        assert expected == got


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_curl(name: str, tmp_path: Path, *, tls: bool) -> None:
    recording, expected = RECORDINGS[name], EXPECTED[name]
    with serve(recording, tls=tls) as server:
        (tmp_path / "ca.pem").write_bytes(server.ca or b"")
        options = ["--cacert", str(tmp_path / "ca.pem")] if tls else []
        script = ["sh", str(HERE / "curl_client.sh"), server.url, str(tmp_path), str(len(recording.bodies)), *options]
        done = subprocess.run(script, capture_output=True, check=False)
    assert (0, b"") == (done.returncode, done.stderr)
    for number, body in enumerate(recording.bodies, 1):
        assert b"".join(body) == (tmp_path / f"true{number}").read_bytes()

    def answer(file: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads((tmp_path / file).read_bytes())

    if expected.runs[-1] is not None:
        assert expected.runs[-1] == answer("run")
        assert expected.runs == [answer(f"false{number}") for number in range(1, len(recording.bodies) + 1)]
    assert expected.messages == answer("messages")["data"]
    assert [step["id"] for step in expected.steps] == [step["id"] for step in answer("steps")["data"]]


@pytest.mark.parametrize("name", RECORDINGS)
def test_ruby_openai(name: str) -> None:
    ruby = shutil.which("ruby")
    gem = ruby and subprocess.run([ruby, "-e", "require 'openai'"], capture_output=True, check=False).returncode == 0
    if not ruby or not gem:
        pytest.skip("needs Ruby and the gem ruby-openai")
    expected, got = EXPECTED[name], ask((ruby, str(HERE / "ruby_client.rb")), HERE)[name]
    assert got["events"] in allowed(name)
    if expected.runs[-1] is not None:
        assert expected.runs[-1] == got["run"]
        assert (expected.runs, [expected.runs[-1]]) == (got["answered"], got["runs"])
    assert expected.steps == got["steps"] == got["steps_newest_first"][::-1] == got["steps_by_id"]
    assert expected.messages == got["messages"]
