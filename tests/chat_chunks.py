"""A second protocol, as small as possible: the chunks of streamed Chat Completions.

Here a chunk is the JSON object of one event. Events have no names. Every chunk is a delta of a completion. A choice
ends with its own `finish_reason`. The token usage arrives in a chunk without choices, and `[DONE]` ends the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from msgspec import Struct

from accumulator import Field, Model
from accumulator._engine.accumulator import BaseAccumulator
from accumulator._engine.body import TRUNCATED, BodyEnded
from accumulator._engine.protocol import Event, Fragment, Protocol, ResourceType
from accumulator._fold.policy import Policy, Schema
from accumulator._json import parse_json

if TYPE_CHECKING:
    from accumulator._engine.protocol import Report
    from accumulator._json import Json, JSONObject


class Completion(Model):
    """A chat completion, a choice of a completion, or a chunk."""

    __slots__ = ()
    id: Field[str | None] = Field("Id of the completion.")


class Grown(Struct, frozen=True):
    """An update about a completion, or about one of its choices if `index` is not None. `what` names the update."""

    event_number: int
    what: str
    owner: str
    index: int | None
    delta: Completion


class Said(Struct, frozen=True):
    """An update about an error, an unknown event or a problem. `what` describes the update."""

    event_number: int
    what: str
    raw: str


Update: TypeAlias = Grown | Said | BodyEnded

POLICY = Policy(
    append=frozenset({"content", "refusal", "reasoning", "reasoning_content", "arguments"}),
    keep_first=frozenset({"id", "type", "name", "role"}),
)
CALLS = Schema(POLICY, {"function": Schema(POLICY)}, key="index")
CHOICES = Schema(POLICY, {"delta": Schema(POLICY, {"tool_calls": CALLS})}, key="index", keeps_key=True)

COMPLETIONS: ResourceType[Update] = ResourceType(
    name="completions",
    schema=Schema(POLICY, {"choices": CHOICES}),
    delta_path=(),
    parts_path=("choices",),
    part_end_field="finish_reason",
    created=lambda number, ident, json: Grown(number, "created", ident, None, Completion.wrap(json)),
    updated=lambda number, ident, read: Grown(number, "updated", ident, None, Completion.wrap_later(read)),
    done=lambda number, ident, json: Grown(number, "done", ident, None, Completion.wrap(json)),
    part_created=lambda number, ident, index, json: Grown(
        number, "choice created", ident, index, Completion.wrap(json)
    ),
    part_delta=lambda number, ident, index, _, json: Grown(number, "choice delta", ident, index, Completion.wrap(json)),
    part_done=lambda number, ident, index, json: Grown(number, "choice done", ident, index, Completion.wrap(json)),
)


class Chat(Protocol[Update]):
    resources = (COMPLETIONS,)
    final_statuses = frozenset({"stop", "length", "tool_calls", "content_filter"})
    outcomes = (("broken", TRUNCATED), ("error", "error"), ("final status", None), ("always", TRUNCATED))
    done_mark = b"[DONE]"
    problem_type = Said

    def decode(self, name: str, data: bytes | str, *, torn: bool, openers: int) -> Event[Update]:  # noqa: ARG002 - the engine gives it
        if data == self.done_mark:
            return Event("done", name)
        try:
            chunk = parse_json(data)
        except ValueError as exc:
            return Event("undecodable", name, message=f"{exc}{' (torn)' * torn}")
        if not isinstance(chunk, dict) or not chunk.get("id"):
            return Event("error" if isinstance(chunk, dict) and "error" in chunk else "unknown", name, chunk)
        choices = chunk.get("choices")
        told = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
        reasons = [str(choice["finish_reason"]) for choice in told if choice.get("finish_reason")]
        return Event("resource", name, chunk, COMPLETIONS, "delta", reasons[-1] if reasons else None)

    def error(self, payload: Json) -> JSONObject:
        return cast("JSONObject", payload)

    def run_updated(self, number: int, payload: JSONObject) -> Update:
        raise AssertionError(number, payload)

    def error_received(self, number: int, error: JSONObject, raw: str) -> Update:
        return Said(number, f"error {error}", raw)

    def unknown_event(self, number: int, name: str, raw: str) -> Update:
        return Said(number, f"unknown {name}", raw)

    def problem(self, report: Report[Update]) -> Update:
        return Said(report.event_number, f"{report.kind} at {report.path}", report.raw)

    def fragment(self, update: Update) -> Fragment[Update] | None:
        if isinstance(update, Grown) and update.what == "choice delta" and update.index is not None:
            return Fragment(update.event_number, COMPLETIONS, update.owner, update.index, None, update.delta)
        return None


class ChatAccumulator(BaseAccumulator[Update]):
    _protocol = Chat()
