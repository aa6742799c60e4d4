"""Recordings of this library, read by others: our lines are comments to them, and what they read is what was sent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import httpx
import httpx2
import httpx_sse
import pytest
from azure.ai.agents.models import AgentEventHandler
from hypothesis import settings
from openai._streaming import SSEDecoder

from accumulator import Accumulator, Recorder, SSEParser, accumulate, check
from tests.conftest import ROOT, real_recordings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHIPPED = sorted((ROOT / "tests" / "recordings").glob("*.sse"))
REAL = real_recordings()
SOURCES = [*SHIPPED, *([] if REAL is None else sorted(REAL.glob("*.sse")))]
every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
Events = list[tuple[str, str]]

HEADERS = {"content-type": "text/event-stream"}


def by_httpx_sse(data: bytes) -> Events:
    events = httpx_sse.EventSource(httpx.Response(200, headers=HEADERS, content=data)).iter_sse()
    return [(event.event, event.data) for event in events]


def by_httpx2(data: bytes) -> Events:
    request = httpx2.Request("GET", "http://127.0.0.1/")
    events = httpx2.EventSource(httpx2.Response(200, headers=HEADERS, content=data, request=request))
    return [(event.event, event.data) for event in events]


def by_openai(data: bytes) -> Events:
    return [(event.event or "message", event.data) for event in SSEDecoder().iter_bytes(iter([data]))]


def no_outputs(*_: object) -> dict[str, str]:
    return {}


def by_azure(data: bytes) -> Events:
    """Read as azure-ai-agents does: what each event is, and the object that its data becomes.

    A block of comments alone is an event without a name to it. The last line of a recording is one.
    """
    handler: AgentEventHandler[object] = AgentEventHandler()
    events = Events()
    handler.initialize(iter([data]), no_outputs)
    try:
        for name, value, _ in handler:
            events.append((name, repr(value)))
    except ValueError as error:
        assert "Event type not specified in the event data." == str(error)  # noqa: PT017 - not what a reader of streams does
        assert b"" == handler.buffer
    return events


def by_ours(data: bytes) -> Events:
    parser = SSEParser()
    return [(event.event, event.data) for event in parser.feed(data)]


READERS = {"httpx-sse": by_httpx_sse, "httpx2": by_httpx2, "openai": by_openai, "azure": by_azure, "ours": by_ours}


def rerecorded(source: Path, folder: Path) -> bytes:
    """Record a stream again, cut at odd places."""
    path, data = folder / "run.sse", source.read_bytes()
    with Recorder(path) as recorder:
        for size in (37, 4096):
            stream = recorder.record([data[at : at + size] for at in range(0, len(data), size)])
            assert data == b"".join(stream)
    return path.read_bytes()


@every_source
@pytest.mark.parametrize("reader", READERS)
def test_another_reader_reads_the_events_that_were_sent(reader: str, source: Path, tmp_path: Path) -> None:
    if reader in {"openai", "azure"} and source.stem == "truncated":
        pytest.skip("it fails on the stream itself, which is cut within a character")
    read: Callable[[bytes], Events] = READERS[reader]
    data = source.read_bytes()
    data += b"\n" * (not data.endswith(b"\n\n")) + b"\n" * (not data.endswith(b"\n"))  # as a recording ends a body
    assert read(data) * 2 == read(rerecorded(source, tmp_path))


@every_source
def test_raw_bytes_of_a_recording_fold_as_the_stream_does(source: Path, tmp_path: Path) -> None:
    data = source.read_bytes()
    run = accumulate([rerecorded(source, tmp_path)]).until_done()
    data += b"\n" * (not data.endswith(b"\n\n")) + b"\n" * (not data.endswith(b"\n"))
    expected = accumulate([data * 2]).until_done()
    assert [step.to_dict() for step in expected.run_steps()] == [step.to_dict() for step in run.run_steps()]


NODE = """
import { createParser } from "eventsource-parser";
import { readFileSync } from "node:fs";
const events = [];
const parser = createParser({ onEvent: (event) => events.push([event.event ?? "message", event.data]) });
parser.feed(readFileSync(process.argv[2], "utf8"));
process.stdout.write(JSON.stringify(events));
"""


@pytest.mark.skipif(not os.environ.get("ACCUMULATOR_NODE_MODULES"), reason="run it with `tox -e node`")
@every_source
def test_the_parser_of_node_reads_the_events_that_were_sent(source: Path, tmp_path: Path) -> None:
    (tmp_path / "read.mjs").write_text(NODE, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(os.environ["ACCUMULATOR_NODE_MODULES"])
    data = rerecorded(source, tmp_path)
    command = [shutil.which("node") or "node", "read.mjs", "run.sse"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert by_ours(data) == [tuple(each) for each in json.loads(done.stdout)]


# What the table of the sources says: does folding the deltas give what the server completed?
EXACT = {
    "openllmetry_test_streaming_existing_assistant_1.sse": (True, True),
    "simple-openai_OLD_threads_runs_create_both_stream.sse": (True, True),
    "openai-dotnet_StreamingToolCall_1.sse openai-dotnet_StreamingToolCall_2.sse": (False, True),
    "openai-dotnet_FileSearchStreamingWorks_1.sse": (False, True),
    "simple-openai_threads_runs_create_stream_error_1.sse": (True, False),
    "ruby-openai_runs_streamed_create_1.sse": (True, True),
    "azure-assets_mcp_streaming_1.sse azure-assets_mcp_streaming_2_NOMSGDELTAS.sse": (False, False),
    "azure-assets_azure_ai_search_streaming_EXCERPT.sse": (True, False),
}


@pytest.mark.parametrize("names", EXACT)
def test_a_check_says_what_the_server_says(names: str, recordings: Path) -> None:
    report = check([(recordings / name).read_bytes() for name in names.split()])
    assert EXACT[names] == (report.exact, report.passed), str(report)


def streamed(run: Accumulator) -> list[object]:
    """Return what the deltas of a run carry, folded."""
    steps = [each.to_dict().get("step_details") for each in run.run_steps()]
    return steps + [each.to_dict().get("content") for each in run.messages()]


ENDINGS = tuple(
    b"event: thread." + each for each in (b"run.step.completed", b"message.completed", b"message.incomplete")
)


PASSING = [names for names, (_, passed) in EXACT.items() if passed]


@pytest.mark.parametrize("names", PASSING)
def test_each_fragment_that_is_lost_is_found(names: str, recordings: Path) -> None:
    blocks = b"".join((recordings / name).read_bytes() for name in names.split()).split(b"\n\n")
    deltas = [at for at, block in enumerate(blocks) if b".delta\n" in block]
    count = len(deltas) if settings().max_examples > 100 else 5
    found = 0
    for at in deltas[:: max(1, len(deltas) // count)]:
        end = next(number for number in range(at, len(blocks)) if blocks[number].startswith(ENDINGS))
        before = [b"\n\n".join([*blocks[:at], *kept, b""]) for kept in (blocks[at:end], blocks[at + 1 : end])]
        whole, part = (streamed(accumulate([each]).until_done()) for each in before)
        report = check([b"\n\n".join(blocks[:at] + blocks[at + 1 :])])
        findings = [finding for each in report.objects for finding in each.findings if finding.kind != "supplied"]
        assert bool(findings) == (whole != part) == (not report.passed)  # the first of some texts says nothing
        found += bool(findings)
        ident = json.loads(blocks[at].split(b"data: ")[1])["id"]
        lines = str(report).splitlines()
        for finding in findings:
            assert [ident] == [each.id for each in report.objects if finding in each.findings]
            (line,) = [line for line in lines if line.startswith(f"  {finding.path}  ")]
            assert "streamed " in line
            assert "the ending has " in line
    assert found


def test_the_only_fragment_of_a_field_that_is_lost_is_found(recordings: Path) -> None:
    path = recordings / "simple-openai_OLD_threads_runs_create_both_stream.sse"
    blocks = path.read_bytes().split(b"\n\n")
    outputs = [at for at, block in enumerate(blocks) if b".delta\n" in block and b'"outputs":[{' in block]
    paths = list[tuple[str, str]]()
    for at in outputs:
        report = check([b"\n\n".join(blocks[:at] + blocks[at + 1 :])])
        assert not report.passed
        paths += [(each.kind, each.path) for found in report.objects for each in found.findings]
    field = "$.step_details.tool_calls[0].code_interpreter.outputs"
    assert {("lost", field)} == set(paths)
    assert len(outputs) == len(paths) > 1
