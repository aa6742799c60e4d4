"""What each fault comes to over each client, as it must be, and the table that the README has of it.

A cell that is given for a client holds for its sync and its async form.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.conftest import ROOT
from tests.faults.clients import NAMES, Cell
from tests.faults.server import BEFORE, WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

TRUNCATED = "accumulator.TruncatedError"
REFUSED = "accumulator.ResponseError"

# The exceptions of the clients themselves.
NO_HEAD = {
    "httpx": "httpx.RemoteProtocolError",
    "httpx2": "httpx2.RemoteProtocolError",
    "requests": "requests.ConnectionError",
    "aiohttp": "aiohttp.ServerDisconnectedError",
}
NO_HTTP = {**NO_HEAD, "aiohttp": "aiohttp.ClientResponseError"}
NO_HEAD_IN_TIME = {
    "httpx": "httpx.ReadTimeout",
    "httpx2": "httpx2.ReadTimeout",
    "requests": "requests.ReadTimeout",
    "aiohttp": "aiohttp.SocketTimeoutError",
}
# The body of requests is read from urllib3.
CUT = {**NO_HEAD, "requests": "urllib3.ProtocolError", "aiohttp": "aiohttp.ClientPayloadError"}
RESET = {
    "httpx": "httpx.ReadError",
    "httpx2": "httpx2.ReadError",
    "requests": "urllib3.ProtocolError",
    "aiohttp": "aiohttp.ClientPayloadError",
}
SILENT = {**NO_HEAD_IN_TIME, "requests": "urllib3.ReadTimeoutError"}
# The library itself decodes what httpx has read.
NO_GZIP = {
    "httpx": "zlib.error",
    "httpx2": "zlib.error",
    "requests": "urllib3.DecodeError",
    "aiohttp": "aiohttp.ClientPayloadError",
}
REDIRECTED = {name: f"{name}.TooManyRedirects" for name in NO_HEAD}


class Fault(NamedTuple):
    """A fault: how many whole events its route sends, and what it comes to by the name of the client."""

    sent: int
    cells: Mapping[str, Cell]


def _base(name: str) -> str:
    return name.removesuffix(" async")


def _before(errors: Mapping[str, str]) -> Fault:
    """Make a fault that the client raises before there is a response; the library adds nothing."""
    return Fault(0, {name: Cell(0, None, errors[_base(name)]) for name in NAMES})


def _cut(causes: Mapping[str, str] | str, sent: int = BEFORE, *problems: str) -> Fault:
    """Make a fault that cuts a body: by an exception, or for "" by an end that looks like any other."""
    of_client = dict.fromkeys(map(_base, NAMES), causes) if isinstance(causes, str) else causes
    return Fault(sent, {name: Cell(sent, "truncated", TRUNCATED, of_client[_base(name)], problems) for name in NAMES})


def _all(cell: Cell, sent: int) -> Fault:
    return Fault(sent, dict.fromkeys(NAMES, cell))


def _but(fault: Fault, **cells: Cell) -> Fault:
    return fault._replace(cells={**fault.cells, **cells})


WELL = _all(Cell(WHOLE, "requires_action"), WHOLE)

FAULTS: dict[str, Fault] = {
    "drops_before_the_head": _before(NO_HEAD),
    # http.client takes the half of a head for the whole.
    "drops_in_the_head": _but(_before(NO_HEAD), requests=Cell(0, None, REFUSED)),
    "drops_before_an_event": _cut(CUT, 0),
    "drops_mid_event": _cut(CUT, BEFORE, "undecodable"),
    "drops_mid_character": _cut(CUT, BEFORE, "undecodable"),
    "drops_mid_chunk": _cut(CUT, BEFORE, "undecodable"),
    "drops_in_one_long_chunk": _cut(CUT),
    "drops_before_the_content_length": _cut(CUT),
    "drops_without_any_length": _cut("", BEFORE, "undecodable"),
    "drops_mid_gzip": _cut(CUT, BEFORE, "undecodable"),
    "resets_the_connection": _cut(RESET),
    "drops_after_the_final_status": _all(Cell(WHOLE + 2, "completed"), WHOLE + 2),
    "ends_mid_gzip": _cut("", BEFORE, "undecodable"),
    "ends_mid_event": _cut("", BEFORE, "undecodable"),
    "stalls_before_the_head": _before(NO_HEAD_IN_TIME),
    "stalls_after_an_event": _cut(SILENT),
    "stalls_behind_done": WELL,
    "trickles": WELL,
    "keeps_alive_for_ever": _cut("builtins.TimeoutError"),
    "drips_a_refusal_for_ever": _all(Cell(0, None, REFUSED), 0),
    "answers_no_http": _before(NO_HTTP),
    "answers_204": _all(Cell(0, None, REFUSED), 0),
    "answers_nothing": _cut("", 0),
    "answers_json": _all(Cell(0, None, REFUSED), 0),
    "answers_html": _all(Cell(0, None, REFUSED), 0),
    "answers_json_as_events": _cut("", 0, "undecodable"),
    "answers_html_as_events": _cut("", 0, "undecodable"),
    "answers_events_as_json": _all(Cell(0, None, REFUSED), WHOLE),
    "answers_events_as_plain_text": WELL,
    "answers_events_without_a_type": WELL,
    "answers_503_with_events": _all(Cell(0, None, REFUSED), WHOLE),
    "claims_latin_1": WELL,
    "claims_utf_16": WELL,
    "claims_gzip": _cut(NO_GZIP, 0),
    "hides_gzip": _cut("", 0, "undecodable"),
    "redirects_for_ever": _before(REDIRECTED),
    "sends_a_gzip_bomb": _all(Cell(BEFORE, "truncated", "accumulator.LimitError"), BEFORE),
}


# The table of the README.

ROWS: dict[str, tuple[str, ...]] = {
    "gives half a head, no HTTP or nothing; redirects for ever": (
        "drops_before_the_head",
        "drops_in_the_head",
        "answers_no_http",
        "stalls_before_the_head",
        "redirects_for_ever",
    ),
    "drops in an event, character, chunk or gzip block; resets": (
        "drops_before_an_event",
        "drops_mid_event",
        "drops_mid_character",
        "drops_mid_chunk",
        "drops_in_one_long_chunk",
        "drops_before_the_content_length",
        "drops_mid_gzip",
        "resets_the_connection",
    ),
    "ends there, or drops without a length; sends nothing, JSON, HTML or gzip as events": (
        "ends_mid_event",
        "ends_mid_gzip",
        "drops_without_any_length",
        "answers_nothing",
        "answers_json_as_events",
        "answers_html_as_events",
        "hides_gzip",
    ),
    "falls silent for longer than the read timeout; says gzip and sends none": ("stalls_after_an_event", "claims_gzip"),
    "sends comments until the caller gives up": ("keeps_alive_for_ever",),
    "sends byte by byte; drops after a final status; stalls after `done`": (
        "trickles",
        "drops_after_the_final_status",
        "stalls_behind_done",
    ),
    "says text/plain, no type or another charset": (
        "answers_events_as_plain_text",
        "answers_events_without_a_type",
        "claims_latin_1",
        "claims_utf_16",
    ),
    "answers with 204, an error status or another content type": (
        "answers_204",
        "answers_503_with_events",
        "drips_a_refusal_for_ever",
        "answers_json",
        "answers_html",
        "answers_events_as_json",
    ),
    "sends a gzip bomb": ("sends_a_gzip_bomb",),
}

HEAD = "| the server | events folded | outcome | raised | its cause |\n|---|---|---|---|---|\n"
README = ROOT / "README.md"
START, END = "<!-- faults -->\n", "<!-- /faults -->\n"


def render(cells: Mapping[tuple[str, str], Cell]) -> str:
    """Make the table from cells, by fault and client. A client that differs from most is named beside its value."""
    return HEAD + "".join(f"| {says} | {' | '.join(_columns(faults, cells))} |\n" for says, faults in ROWS.items())


def _columns(faults: tuple[str, ...], cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    words = [(_base(name), _words(FAULTS[fault].sent, cells[fault, name])) for fault in faults for name in NAMES]
    return [_column([(name, of[place]) for name, of in words]) for place in range(4)]


def _words(sent: int, cell: Cell) -> tuple[str, str, str, str]:
    """Say what a cell has; a column that says nothing here is "", such as the events of a server that sent none."""
    ours = cell.error.startswith("accumulator.")
    of_the_run = cell.outcome not in {None, "truncated"}
    of_python = cell.cause.startswith("builtins.") or not cell.cause
    return (
        "" if sent == 0 else "all" if cell.events == sent else f"{cell.events} of {sent}" if cell.events else "none",
        "the run's" if of_the_run else str(cell.outcome),
        _name(cell.error) if ours or not cell.error else "the client's",
        "" if not ours else _name(cell.cause) if of_python else "the client's",
    )


def _name(error: str) -> str:
    return f"`{error.partition('.')[2]}`" if error else "none"


def _column(words: list[tuple[str, str]]) -> str:
    """Return what most clients have, and what else some of them have."""
    said = [(name, word) for name, word in words if word]
    if not said:
        return "-"
    [(most, _), *others] = Counter(word for _, word in said).most_common()
    notes = [f"{', '.join(sorted({name for name, word in said if word == other}))}: {other}" for other, _ in others]
    return f"{most} ({'; '.join(notes)})" if notes else most


def in_readme(readme: str) -> str:
    """Return the table that a README has."""
    return readme.partition(START)[2].partition(END)[0]


def put(readme: str, table: str) -> str:
    """Return a README with this table."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    return f"{before}{start}{table}{end}{after}"
