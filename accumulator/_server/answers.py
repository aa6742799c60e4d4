"""What the API answers beside streams: errors, pages of lists, and the parameters that both depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from accumulator._json import value_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accumulator._json import Json

DEFAULT_LIMIT: Final = 20
MOST_ON_A_PAGE: Final = 100

CONTENT: Final = "step_details.tool_calls[*].file_search.results[*].content"
"""The one value of `include[]`: without it the results of a file search come without their content."""

_INCLUDE: Final = ("include[]", "include")


class RefusedError(Exception):
    """A request that is refused, as the API says it.

    Attributes:
        status: the status of the answer.
        message: what was expected, and what came.
        param: the parameter that is wrong; None if it is none.
        code: a word for programs; None if there is none.

    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        """Store the arguments."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def error_json(message: str, status: int, param: str | None = None, code: str | None = None) -> dict[str, object]:
    """Return an error as the API has it: the type comes from the status."""
    kind = {429: "rate_limit_error"}.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 - statuses
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def make_page(items: Sequence[Json], query: Mapping[str, str]) -> dict[str, object]:
    """Return the page of a list that the parameters ask for.

    `after` and `before` are ids of the list in the order of the page: a page begins behind `after`, or ends before
    `before`. With both it begins behind `after`.

    Args:
        items: the whole list, the oldest first.
        query: the parameters: `limit`, `order`, `after`, `before`. Others are ignored.

    Raises:
        RefusedError: a parameter is wrong.

    """
    limit = _read_limit(query.get("limit"))
    listed = list(items) if _read_order(query.get("order")) == "asc" else list(reversed(items))
    after, before = query.get("after"), query.get("before")
    start = 0 if after is None else _find(listed, after, "after") + 1
    end = len(listed) if before is None else _find(listed, before, "before")
    if before is not None and after is None:
        chosen = listed[max(end - limit, 0) : end]
        has_more = end > limit
    else:
        chosen = listed[start:end][:limit]
        has_more = end - start > limit
    return {
        "object": "list",
        "data": chosen,
        "first_id": _id_of(chosen[0]) if chosen else None,
        "last_id": _id_of(chosen[-1]) if chosen else None,
        "has_more": has_more,
    }


def _read_limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    # At most as many digits as the largest: a text of thousands of digits is no number that `int` should read.
    limit = int(text) if text.isascii() and text.isdigit() and len(text.lstrip("0")) <= len(str(MOST_ON_A_PAGE)) else 0
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise RefusedError(
            400, f"expected limit to be an integer from 1 to {MOST_ON_A_PAGE}, got {text[:40]!r}", param="limit"
        )
    return limit


def _read_order(text: str | None) -> str:
    if text is not None and text not in {"asc", "desc"}:
        raise RefusedError(400, f"expected order to be 'asc' or 'desc', got {text[:40]!r}", param="order")
    return text or "desc"


def _find(items: Sequence[Json], ident: str, param: str) -> int:
    for place, item in enumerate(items):
        if _id_of(item) == ident:
            return place
    raise RefusedError(400, f"expected {param} to be an id of the list, got {ident[:80]!r}", param=param)


def _id_of(item: Json) -> Json:
    return item.get("id") if isinstance(item, dict) else None


def wants_content(query: Sequence[tuple[str, str]]) -> bool:
    """Return whether the parameters include the content of search results. Raise `RefusedError` for another value."""
    values = [value for name, value in query if name in _INCLUDE]
    for value in values:
        if value != CONTENT:
            raise RefusedError(400, f"expected include[] to be {CONTENT!r}, got {value[:80]!r}", param="include[]")
    return bool(values)


def without_content(step: Json) -> Json:
    """Return a step without the content of its search results. What it is made from stays as it is."""
    calls, _ = value_at(step, ("step_details", "tool_calls"))
    if not isinstance(calls, list) or not any(isinstance(_results(call), list) for call in calls):
        return step
    return _replace(step, ("step_details", "tool_calls"), [_strip(call) for call in calls])


def _strip(call: Json) -> Json:
    results = _results(call)
    if not isinstance(results, list):
        return call
    return _replace(call, ("file_search", "results"), [_without(result, "content") for result in results])


def _without(value: Json, key: str) -> Json:
    return {name: item for name, item in value.items() if name != key} if isinstance(value, dict) else value


def _replace(value: Json, keys: tuple[str, ...], item: Json) -> Json:
    """Return a copy of objects within each other with another value at these keys."""
    if not keys or not isinstance(value, dict):
        return item
    return {**value, keys[0]: _replace(value[keys[0]], keys[1:], item)}


def _results(call: Json) -> Json:
    return value_at(call, ("file_search", "results"))[0]
