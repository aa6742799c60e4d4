"""The server: a route for each fault, with every byte under control."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from tests.bodies import DONE, FIRST, FIRST_EVENTS, SECOND_EVENTS
from tests.loopback import EVENT_STREAM, Loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.loopback import Exchange

BEFORE = 4
"""How many whole events a route sends before its fault."""

WHOLE = len(FIRST_EVENTS)
"""How many events a route sends whose fault loses nothing, `done` left out."""

SENT = b"".join(FIRST_EVENTS[:BEFORE])
NEXT = FIRST_EVENTS[BEFORE]
CHARACTER = NEXT.index("🏔".encode())
GZIP = {**EVENT_STREAM, "Content-Encoding": "gzip"}
BOMB_SIZE = 64 * 2**20
MAX_EVENT_SIZE = 2**20
"""The limit that the bomb is folded with: far less than it holds."""

ROUTES: dict[str, Callable[[Exchange], None]] = {}


def _route(script: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    ROUTES[script.__name__] = script
    return script


def fault_server() -> Loopback:
    """Make the server. The path of a request names its fault: `/drops_mid_event`."""

    def script(exchange: Exchange) -> None:
        with suppress(ConnectionError):  # the client left first, as some faults want it to
            ROUTES[path_of(exchange)](exchange)

    return Loopback(script)


def path_of(exchange: Exchange) -> str:
    return exchange.request_line.split()[1].removeprefix("/")


def packed(*parts: bytes) -> list[bytes]:
    """Compress the parts as one gzip stream that is flushed after each part and has no end."""
    compressor = zlib.compressobj(wbits=31)
    return [compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in parts]


@cache
def bomb() -> bytes:
    """Compress events, then one of `BOMB_SIZE` bytes; this process never holds that one uncompressed."""
    return b"".join(packed(SENT, b"data: ", *[bytes(2**20)] * (BOMB_SIZE // 2**20), b"\n\n" + DONE))


# The connection drops.


@_route
def drops_before_the_head(_: Exchange) -> None:
    pass


@_route
def drops_in_the_head(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev")


@_route
def drops_before_an_event(exchange: Exchange) -> None:
    exchange.head()


@_route
def drops_mid_event(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT + NEXT[:40])


@_route
def drops_mid_character(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT + NEXT[: CHARACTER + 2])


@_route
def drops_mid_chunk(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT)
    exchange.send(b"%x\r\n%b" % (len(NEXT), NEXT[:40]))


@_route
def drops_in_one_long_chunk(exchange: Exchange) -> None:
    exchange.head()
    exchange.send(b"%x\r\n%b" % (2 * len(FIRST), SENT))


@_route
def drops_before_the_content_length(exchange: Exchange) -> None:
    lines = [*(f"{name}: {value}" for name, value in EVENT_STREAM.items()), f"Content-Length: {len(FIRST)}"]
    exchange.send("\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + SENT)


@_route
def drops_without_any_length(exchange: Exchange) -> None:
    exchange.head(chunked=False)
    exchange.chunk(SENT + NEXT[:40])


@_route
def drops_mid_gzip(exchange: Exchange) -> None:
    exchange.head(headers=GZIP)
    first, second = packed(SENT, NEXT)
    exchange.chunk(first + second[:10])


@_route
def resets_the_connection(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT)
    exchange.wait()  # a reset may overtake what the client has not read
    exchange.reset()


@_route
def drops_after_the_final_status(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(b"".join([*FIRST_EVENTS, *SECOND_EVENTS]))


@_route
def ends_mid_gzip(exchange: Exchange) -> None:
    exchange.head(headers=GZIP)
    first, second = packed(SENT, NEXT)
    exchange.chunk(first + second[:10])
    exchange.end()


@_route
def ends_mid_event(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT + NEXT[:40])
    exchange.end()


# The server is slow, or never done.


@_route
def stalls_before_the_head(exchange: Exchange) -> None:
    exchange.wait_closed()


@_route
def stalls_after_an_event(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT)
    exchange.wait_closed()


@_route
def stalls_behind_done(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(FIRST)
    exchange.wait_closed()


@_route
def trickles(exchange: Exchange) -> None:
    exchange.head()
    for byte in FIRST:
        exchange.chunk(bytes([byte]))
    exchange.end()


@_route
def keeps_alive_for_ever(exchange: Exchange) -> None:
    exchange.head()
    exchange.chunk(SENT)
    while True:
        exchange.chunk(b": keep-alive\n\n")


@_route
def drips_a_refusal_for_ever(exchange: Exchange) -> None:
    exchange.head("503 Service Unavailable", {"Content-Type": "text/plain"})
    while True:
        exchange.chunk(b"x")


# The answer is no event stream.


def _answers(status: str, headers: dict[str, str], body: bytes) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        exchange.head(status, {**headers, "Content-Length": str(len(body))}, chunked=False)
        exchange.send(body)

    return script


ROUTES["answers_no_http"] = lambda exchange: exchange.send(b"event: done\ndata: [DONE]\n\n")
ROUTES["answers_204"] = lambda exchange: exchange.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
ROUTES["answers_nothing"] = _answers("200 OK", EVENT_STREAM, b"")
ROUTES["answers_json"] = _answers("200 OK", {"Content-Type": "application/json"}, b'{"id":"run_1"}')
ROUTES["answers_html"] = _answers("200 OK", {"Content-Type": "text/html"}, b"<!DOCTYPE html><p>Log in</p>")
ROUTES["answers_json_as_events"] = _answers("200 OK", EVENT_STREAM, b'{"error":{"message":"overloaded"}}')
ROUTES["answers_html_as_events"] = _answers("200 OK", EVENT_STREAM, b"<!DOCTYPE html>\n\n<p>Log in</p>\n\n")
ROUTES["answers_events_as_json"] = _answers("200 OK", {"Content-Type": "application/json"}, FIRST)
ROUTES["answers_events_as_plain_text"] = _answers("200 OK", {"Content-Type": "text/plain"}, FIRST)
ROUTES["answers_events_without_a_type"] = _answers("200 OK", {}, FIRST)
ROUTES["answers_503_with_events"] = _answers("503 Service Unavailable", EVENT_STREAM, FIRST)
ROUTES["claims_latin_1"] = _answers("200 OK", {"Content-Type": "text/event-stream; charset=iso-8859-1"}, FIRST)
ROUTES["claims_utf_16"] = _answers("200 OK", {"Content-Type": "text/event-stream; charset=utf-16"}, FIRST)
ROUTES["claims_gzip"] = _answers("200 OK", GZIP, FIRST)
ROUTES["hides_gzip"] = _answers("200 OK", EVENT_STREAM, gzip.compress(FIRST))


@_route
def redirects_for_ever(exchange: Exchange) -> None:
    exchange.head("307 Temporary Redirect", {"Location": f"/{path_of(exchange)}", "Content-Length": "0"}, chunked=False)


@_route
def sends_a_gzip_bomb(exchange: Exchange) -> None:
    exchange.head(headers=GZIP)
    exchange.chunk(bomb())
    exchange.end()
