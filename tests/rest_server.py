"""A small server of the endpoints over loopback: it answers from run steps that a test gives, and as badly as it asks.

Each connection takes one request. What a test wants in the place of the next answers stands in `faults`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tests.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.loopback import Exchange

JSONObject = dict[str, object]
JSON = {"Content-Type": "application/json", "x-request-id": "req_1"}


def run_steps(count: int) -> list[JSONObject]:
    """Return steps with their ids and times, the oldest first."""
    return [
        {
            "id": f"step_{number}",
            "object": "thread.run.step",
            "created_at": 1_790_000_000 + number,
            "run_id": "run_1",
            "thread_id": "thread_1",
            "status": "completed",
        }
        for number in range(count)
    ]


class RestServer(Loopback):
    """The server.

    Attributes:
        steps: the run steps, the oldest first.
        run: the run.
        faults: what answers the next requests, one each, before the server answers itself.

    """

    def __init__(self, steps: list[JSONObject], run: JSONObject | None = None) -> None:
        super().__init__(self._script)
        self.steps = steps
        self.run = run or {}
        self.faults: list[Callable[[Exchange], None]] = []
        self.base_url = f"{self.origin}/v1"

    @property
    def requests(self) -> list[str]:
        """The targets of the requests so far, without the base URL."""
        return [exchange.request_line.split()[1].removeprefix("/v1") for exchange in self.exchanges]

    def _script(self, exchange: Exchange) -> None:
        if self.faults:
            self.faults.pop(0)(exchange)
            return
        target = urlsplit(exchange.request_line.split()[1])
        query = dict(parse_qsl(target.query))
        parts = target.path.removeprefix("/v1/").split("/")
        if len(parts) == 4:
            answer(exchange, self.run)
        elif len(parts) == 6:
            found = [step for step in self.steps if step["id"] == parts[5]]
            answer(exchange, found[0]) if found else refuse(exchange, "404 Not Found", code=None, message="no step")
        else:
            answer(exchange, self.page(query))

    def page(self, query: dict[str, str]) -> JSONObject:
        """Return a page as the API does."""
        ordered = self.steps if query.get("order") == "asc" else self.steps[::-1]
        ids = [step["id"] for step in ordered]
        start = ids.index(query["after"]) + 1 if "after" in query else 0
        end = ids.index(query["before"]) if "before" in query else len(ids)
        limit = int(query.get("limit", "20"))
        if "before" in query and "after" not in query:
            return page_of(ordered[max(end - limit, 0) : end], has_more=end > limit)
        page = ordered[start:end][:limit]
        return page_of(page, has_more=start + len(page) < end)


def page_of(steps: list[JSONObject], *, has_more: object = False) -> JSONObject:
    ids = [step["id"] for step in steps] or [None]
    return {"object": "list", "data": steps, "first_id": ids[0], "last_id": ids[-1], "has_more": has_more}


def answer(exchange: Exchange, value: object, status: str = "200 OK", **headers: str) -> None:
    """Send a JSON value. The names of further headers are written with `_`."""
    send(exchange, json.dumps(value).encode(), status, **headers)


def send(exchange: Exchange, body: bytes, status: str = "200 OK", **headers: str) -> None:
    """Send a body, whole and with its length."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    length = {"Content-Length": str(len(body))}
    exchange.head(status, {**JSON, **length, **more}, chunked=False)
    exchange.chunk(body)


def refuse(
    exchange: Exchange, status: str, *, code: object = "server_error", message: object = "no", **headers: str
) -> None:
    answer(exchange, {"error": {"message": message, "type": "invalid_request_error", "code": code}}, status, **headers)
