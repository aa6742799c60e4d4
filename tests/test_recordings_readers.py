"""Recordings of this library, read by others: our lines are comments to them, and what they read is what was sent."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import httpx
import httpx2
import httpx_sse
import pytest
from openai._streaming import SSEDecoder

from accumulator import Recorder, SSEParser, accumulate, check
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


def by_azure(data: bytes) -> Events:
    """Split as the event handlers of azure-ai-agents do: at blank lines, fields by their names."""
    events = Events()
    for block in data.decode("utf-8", "replace").split("\n\n"):
        lines = [line for line in block.split("\n") if line.startswith(("event:", "data:"))]
        if lines:
            found = dict(line.split(":", 1) for line in lines)
            events.append((found.get("event", "message").strip(), found.get("data", "").strip()))
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
    if reader == "openai" and source.stem == "truncated":
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


@pytest.mark.skipif(not os.environ.get("ACCUMULATOR_NODE_MODULES"), reason="set ACCUMULATOR_NODE_MODULES to run node")
@every_source
def test_the_parser_of_node_reads_the_events_that_were_sent(source: Path, tmp_path: Path) -> None:
    import json

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


@pytest.mark.parametrize("name", [name for name, (exact, passed) in EXACT.items() if exact and passed])
def test_each_fragment_that_is_lost_is_found(name: str, recordings: Path) -> None:
    blocks = (recordings / name).read_bytes().split(b"\n\n")
    # A fragment without text says nothing, and an output that comes whole in one delta is then only in the ending.
    deltas = [at for at, block in enumerate(blocks) if b".delta\n" in block and b'":""' not in block]
    deltas = [at for at in deltas if b'"outputs":' not in blocks[at]]
    for at in itertools.islice(deltas, 0, None, max(1, len(deltas) // 12)):
        kept = blocks[:at] + blocks[at + 1 :]
        report = check([b"\n\n".join(kept)])
        findings = [finding for each in report.objects for finding in each.findings]
        assert not report.passed
        assert findings
        assert findings[0].path in str(report)
