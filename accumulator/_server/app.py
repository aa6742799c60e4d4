"""The ASGI app: reads requests, and sends what the player answers."""

from __future__ import annotations

import re
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final, TypeGuard, cast
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from accumulator import RecordedBody
from accumulator._engine.limits import DEFAULT_MAX_EVENT_VALUES
from accumulator._json import count_values, dump_json, json_type, parse_json
from accumulator._server.answers import RefusedError, error_json
from accumulator._server.choices import ByOrder, ByRun
from accumulator._server.faults import CutError
from accumulator._server.played_runs import PlayedRun, status_of
from accumulator._server.player import Call, Player, find_routes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from starlette.types import Receive, Scope, Send

    from accumulator import Recording
    from accumulator._server.faults import Faults

    Play = Callable[[RecordedBody], AsyncGenerator[bytes]]

LARGEST_REQUEST: Final = 1_048_576
"""The bytes that the body of a request may have. The API takes 512 kB of tool outputs."""

MOST_DISCARDED: Final = 16 * LARGEST_REQUEST
"""The bytes of a request that are read at all. A client that is answered before it has sent its request often does not
see the answer, so that what is over `LARGEST_REQUEST` is read and dropped."""

MOST_VALUES: Final = DEFAULT_MAX_EVENT_VALUES
"""The JSON values that the body of a request may have, as of an event. Clients send up to a thousand."""

_EVENT_STREAM: Final = "text/event-stream; charset=utf-8"
_JSON: Final = "application/json"
_PLAIN: Final = re.compile(r"[\w.+/;:=\", -]{1,200}", re.ASCII)


def make_app(recordings: Iterable[Recording], play: Play, *, by_run: bool, faults: Faults) -> Starlette:
    """Make the app. See `accumulator.server.replay_app`; `play` yields the bytes of a body as they are sent."""
    runs = [PlayedRun(recording) for recording in recordings]
    player = Player(ByRun(runs) if by_run else ByOrder(runs))
    return Starlette(routes=[Route("/{path:path}", _App(player, play, faults))])


class _App:
    """Answers each request. What is not answered as asked is an error as the API has it."""

    def __init__(self, player: Player, play: Play, faults: Faults) -> None:
        self._player = player
        self._play = play
        self._status = faults.status or 0
        self._left = faults.times if faults.status is not None else 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(Request(scope, receive))
        except RefusedError as error:
            response = _json(error_json(error.message, error.status, error.param, error.code), error.status)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        found = find_routes(_segments(request.scope))
        if not found:
            path: str = request.scope["path"]
            raise RefusedError(404, f"expected a path of the API, got {request.method[:20]} {path[:200]}")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in found:
            return _other_method(method, found)
        body = await _read_body(request)
        if self._left:
            self._left -= 1
            raise RefusedError(self._status, "The request is refused, as the server was told to.")
        route, ids = found[method]
        answer = route.answer(self._player, Call(ids, request.query_params.multi_items(), body))
        return self._stream(answer) if isinstance(answer, RecordedBody) else _json(answer)

    def _stream(self, body: RecordedBody) -> Response:
        kind, request_id = body.response.get("type"), body.response.get("request_id")
        headers = {"content-type": kind if _is_plain(kind) else _EVENT_STREAM}
        if _is_plain(request_id):
            headers["x-request-id"] = request_id
        return _Played(self._play(body), status_of(body), headers)


def _segments(scope: Scope) -> list[str]:
    """Return the segments of the path: an id may have a slash in it, which is percent-encoded then."""
    raw: bytes | None = scope.get("raw_path")  # a server of ASGI may leave it out
    path: str = scope["path"]
    return path.split("/") if raw is None else [unquote(segment) for segment in raw.split(b"/")]


class _Played(StreamingResponse):
    """A body that is played. Where it is cut, the response has no end, and the server drops the connection."""

    def __init__(self, pieces: AsyncGenerator[bytes], status: int, headers: Mapping[str, str]) -> None:
        super().__init__(pieces, status, headers)
        self._pieces = pieces

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._pieces):
            with suppress(CutError):
                await super().stream_response(send)


def _json(value: object, status: int = 200) -> Response:
    # What is left of a request that is too large is not read.
    headers = {"connection": "close"} if status == 413 else {}  # noqa: PLR2004 - a status
    return Response(dump_json(value), status, headers, _JSON)


def _other_method(method: str, found: Mapping[str, object]) -> Response:
    allowed = ", ".join(sorted({*found, "OPTIONS", *(["HEAD"] if "GET" in found else [])}))
    if method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allowed})
    response = _json(error_json(f"expected {allowed}, got {method[:20]}", 405), 405)
    response.headers["allow"] = allowed
    return response


async def _read_body(request: Request) -> Mapping[str, object]:
    """Return the JSON object that a request has, an empty one if it has no body."""
    data, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_DISCARDED:
            break
        if size <= LARGEST_REQUEST:
            data += piece
    if size > LARGEST_REQUEST:
        raise RefusedError(413, f"expected a body of at most {LARGEST_REQUEST} bytes, got more")
    if not data:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise RefusedError(400, f"expected a body of content type {_JSON}, got {kind[:80]!r}")
    if count_values(bytes(data)) > MOST_VALUES:
        raise RefusedError(400, f"expected at most {MOST_VALUES} JSON values, got more")
    try:
        body = parse_json(bytes(data))
    except ValueError as error:
        raise RefusedError(400, f"expected a body that is JSON: {error}") from error
    if not isinstance(body, dict):
        raise RefusedError(400, f"expected a JSON object, got {json_type(body)}")
    return cast("Mapping[str, object]", body)


def _is_plain(value: object) -> TypeGuard[str]:
    """Whether a recorded value can be a header: a recording may hold anything."""
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None
