"""Check a run: does the fold of its deltas equal what the server said at the end, field by field.

Only an ending tells. Before an event that ends a run step or a message is folded, what the deltas alone folded to of
the parts that they carry (`step_details`, `content`) is compared with what the event has there. What a whole object
said of these parts before the ending was not streamed: it does not count, but for the type of the details, and the
message that a step creates.

What only the ending has was lost on its way, with a few exceptions: fields that servers never stream. Real servers
stream all others, in recordings of OpenAI and Azure from 2024 to 2026. An exception is none in a source in which the
field is streamed elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from accumulator._assistants.accumulator import Accumulator
from accumulator._assistants.protocol import ASSISTANTS, MESSAGES
from accumulator._assistants.streams import accumulate
from accumulator._engine.body import TRUNCATED, BodyEnded
from accumulator._errors import AccumulatorError, LimitError, TruncatedError
from accumulator._json import count_openers, dump_json, printable
from accumulator._recordings.diff import shortened
from accumulator._sse import SSEParser
from accumulator._streams.openers import BYTES_LIKE, NEXT_BODY
from accumulator._streams.sources import make_source, read_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accumulator._assistants.updates import Problem
    from accumulator._json import Json
    from accumulator._sse import ServerSentEvent
    from accumulator._streams.sources import Source

Kind: TypeAlias = Literal["differs", "lost", "supplied", "left out"]

_SUPPLIED: Final = {
    "activities": ("activities",),
    "file_search": ("file_search", "results"),
    "function": ("function", "output"),  # the client has sent it
}
"""What the ending has and no delta: the path of the field in a step or tool call, by its type."""

_SAID_WHOLE: Final = frozenset({"type", "message_creation"})
"""What of the details of a step servers say in whole objects alone. It counts as if it were streamed."""

_BAD_OUTCOMES: Final = frozenset({TRUNCATED, "error"})
_LONGEST: Final = 60
_BEFORE: Final = 20


class Finding(NamedTuple):
    """A field of which the deltas and the ending say different things.

    Attributes:
        path: JSONPath of the field within the run step or message.
        kind: "differs" if both have a value; "lost" if the ending has one and no delta has; "supplied" if that is as it
            should be: the output of a function, the results of a file search, and the activities of an Azure step are
            not streamed; "left out" if the ending is empty where there were deltas.
        streamed: what the deltas folded to.
        said: what the ending has.

    """

    path: str
    kind: Kind
    streamed: object
    said: object


class Checked(NamedTuple):
    """What the check found of one run step or message.

    Attributes:
        id: its id.
        what: "run step" or "message".
        ended: whether an ending came for it. Without one there is nothing to compare.
        deltas: the number of its deltas; whole objects are none.
        findings: the fields that are not equal, in the order of the ending.

    """

    id: str
    what: str
    ended: bool
    deltas: int
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """Say in a word how it is.

        "same" if all fields are equal; "supplied" if all are but those that are not streamed; "lost" if the ending has
        others that were not; "not streamed" if no delta came at all; "differs"; "open" if no ending came.
        """
        kinds = {finding.kind for finding in self.findings}
        if not self.ended:
            return "open"
        if kinds & {"differs", "left out"}:
            return "differs"
        if "lost" in kinds:
            return "lost" if self.deltas else "not streamed"
        return "supplied" if kinds else "same"


class Report:
    """What `check` found; `str()` is a table for people, `to_dict()` is for machines.

    Attributes:
        objects: the run steps and messages in the order in which they were first seen.
        outcomes: the outcome of each body.
        problems: the problems of the fold.
        errors: the texts of the errors that were raised: events over a limit, a source that broke.

    """

    def __init__(self, objects: list[Checked], outcomes: list[str], problems: list[Problem], errors: list[str]) -> None:
        """Store the arguments."""
        self.objects = objects
        self.outcomes = outcomes
        self.problems = problems
        self.errors = errors

    @property
    def exact(self) -> bool:
        """Whether every run step and message that ended was streamed exactly, with nothing that only the ending has."""
        return all(each.verdict in {"same", "open"} for each in self.objects)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong.

        Each run step and message is "same" or "supplied", or is "open" because the run waits for tool outputs. No body
        was cut or had an error, and there is neither a problem nor an error.
        """
        good = {"same", "supplied", "open" if self.outcomes[-1:] == ["requires_action"] else "same"}
        return (
            all(each.verdict in good for each in self.objects)
            and bool(self.outcomes)
            and not _BAD_OUTCOMES & set(self.outcomes)
            and not self.problems
            and not self.errors
        )

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return {
            "passed": self.passed,
            "exact": self.exact,
            "outcomes": list(self.outcomes),
            "objects": [
                {
                    "id": each.id,
                    "what": each.what,
                    "verdict": each.verdict,
                    "deltas": each.deltas,
                    "findings": [finding._asdict() for finding in each.findings],
                }
                for each in self.objects
            ],
            "problems": [
                {"kind": each.kind, "event_number": each.event_number, "path": each.path, "message": each.message}
                for each in self.problems
            ],
            "errors": list(self.errors),
        }

    def __str__(self) -> str:
        lines = [f"{'passed' if self.passed else 'failed'}: outcome {', '.join(self.outcomes) or 'none'}"]
        for each in self.objects:
            count = f"{each.deltas} delta{'' if each.deltas == 1 else 's'}"
            lines.append(f"{each.what:<9} {each.id}  {each.verdict}, {count}")
            lines += [f"  {_finding_line(finding)}" for finding in each.findings]
        lines += [f"event {each.event_number}: {each.kind} at {each.path}: {each.message}" for each in self.problems]
        lines += self.errors
        return "\n".join(printable(line) for line in lines)


def _finding_line(finding: Finding) -> str:
    streamed, said, where = finding.streamed, finding.said, ""
    if finding.kind == "supplied":
        return f"{finding.path}  only the ending has {shortened(said)}"
    if finding.kind == "lost":
        return f"{finding.path}  streamed nothing, the ending has {shortened(said)}"
    if finding.kind == "left out":
        return f"{finding.path}  streamed {shortened(streamed)}, the ending has nothing"
    if isinstance(streamed, str) and isinstance(said, str):
        at = _first_difference(streamed, said)
        if at > _LONGEST // 2:  # else the difference is in what is shown of both
            streamed, said = streamed[at - _BEFORE :], said[at - _BEFORE :]
            where = f"at character {at}, behind {_BEFORE} others: "
    return f"{finding.path}  {where}streamed {shortened(streamed)}, the ending has {shortened(said)}"


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def check(source: object) -> Report:
    """Read a source to its end, and compare what was streamed with what the server said at the end.

    Args:
        source: what `accumulate` reads: the path of a recording, a `Recording`, a response, ...

    Raises:
        OSError, RecordingError, ResponseError, TypeError: as `accumulate`.

    """
    watch, run = _Watch(), Accumulator()
    made = make_source(source, "check", "aaccumulate")
    stream = accumulate(watch.passed(made), into=run)
    outcomes, errors, ended = list[str](), list[str](), False
    while not ended:
        try:
            for update in stream:
                if isinstance(update, BodyEnded):
                    outcomes.append(update.outcome)
            ended = True
        except (LimitError, TruncatedError) as error:
            errors.append(str(error))
    return Report(watch.objects(), outcomes, list(run.problems), errors)


class _Watch:
    """Folds events beside the accumulator, and compares at each ending."""

    def __init__(self) -> None:
        self._run = Accumulator()
        self._parser = SSEParser()
        self._found: dict[tuple[str, str], Checked] = {}
        self._streamed: set[tuple[str, ...]] = set()  # fields of `_SUPPLIED` that are streamed all the same

    def objects(self) -> list[Checked]:
        self._end_body()
        return [each._replace(findings=tuple(map(self._judge, each.findings))) for each in self._found.values()]

    def _judge(self, finding: Finding) -> Finding:
        """Return the finding as a lost field if such fields are streamed elsewhere in the source."""
        streamed = any(finding.path.endswith("." + ".".join(field)) for field in self._streamed)
        return finding._replace(kind="lost") if finding.kind == "supplied" and streamed else finding

    def passed(self, source: Source) -> Iterator[object]:
        """Yield the items of a source, and take the events in them."""
        while True:
            try:
                item = next(source)
            except StopIteration:
                return
            if item is NEXT_BODY:
                self._end_body()
            elif isinstance(item, BYTES_LIKE):
                self._take_bytes(bytes(cast("bytes", item)))
            else:
                self._take(*cast("tuple[str, bytes | str]", read_item(item)))
            yield item

    def _take_bytes(self, data: bytes) -> None:
        for event in self._parse(data):
            self._take(event.event, event.data)

    def _parse(self, data: bytes) -> Iterator[ServerSentEvent]:
        while True:
            try:
                yield from self._parser.feed(data)
            except LimitError as error:
                yield from error.events
                data = b""
            else:
                return

    def _end_body(self) -> None:
        rest = self._parser.end()
        self._parser = SSEParser()
        if rest is not None:
            self._take(rest.event, rest.data)
        self._run.end()

    def _take(self, name: str, data: bytes | str) -> None:
        event = ASSISTANTS.decode(name, data, torn=False, openers=count_openers(data))
        payload = event.payload
        if event.resource is not None and isinstance(payload, dict) and isinstance(payload.get("id"), str):
            what = "message" if event.resource is MESSAGES else "run step"
            key = event.resource.parts_path[0]
            ident = cast("str", payload["id"])
            before = self._found.get((what, ident), Checked(ident, what, ended=False, deltas=0, findings=()))
            if event.role == "delta":
                before = before._replace(deltas=before.deltas + 1)
            elif event.role == "ending":
                findings = _compare(self._folded(what, ident).get(key), payload.get(key), f"$.{key}", self._streamed)
                before = before._replace(ended=True, findings=(*before.findings, *findings))
            elif key in payload:
                name, data = event.name, dump_json({**payload, key: _without_parts(payload[key])})
            self._found[what, ident] = before
        try:
            self._run.apply(name, data)
        except AccumulatorError:
            return  # over a limit: the accumulator that is watched says so

    def _folded(self, what: str, ident: str) -> Mapping[str, object]:
        found = self._run.message(ident) if what == "message" else self._run.run_step(ident)
        return {} if found is None else found.to_dict()


def _without_parts(value: Json) -> Json:
    """Return what a whole object has in the place of the parts, without what deltas should carry."""
    return {key: each for key, each in value.items() if key in _SAID_WHOLE} if isinstance(value, dict) else None


def _compare(
    streamed: object, said: object, path: str, seen: set[tuple[str, ...]], field: tuple[str, ...] = ()
) -> Iterator[Finding]:
    """Yield the fields that differ, in the order of what the ending said.

    Args:
        streamed: what the deltas folded to.
        said: what the ending has there.
        path: JSONPath of both.
        seen: gets the fields of `_SUPPLIED` that were streamed.
        field: that of `_SUPPLIED` if this is one, or what it is in.

    """
    is_same = streamed == said and type(streamed) is type(said)
    is_supplied = bool(field) and path.endswith("." + ".".join(field))
    if is_supplied and not _is_empty(streamed):
        seen.add(field)
    if _is_empty(streamed) or _is_empty(said):
        if not _is_empty(said):
            yield Finding(path, "supplied" if is_supplied else "lost", streamed, said)
        elif not _is_empty(streamed):
            yield Finding(path, "left out", streamed, said)
    elif isinstance(streamed, Mapping) and isinstance(said, Mapping):
        ours, theirs = cast("Mapping[str, object]", streamed), cast("Mapping[str, object]", said)
        kind = theirs.get("type")
        field = _SUPPLIED.get(kind, ()) if isinstance(kind, str) else field
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            yield from _compare(ours.get(key), theirs.get(key), f"{path}.{key}", seen, field)
    elif isinstance(streamed, list) and isinstance(said, list):
        pairs = _pair(cast("list[object]", streamed), cast("list[object]", said))
        for at, (one, other) in enumerate(pairs):
            yield from _compare(one, other, f"{path}[{at}]", seen)
    elif not is_same:
        yield Finding(path, "differs", streamed, said)


def _pair(ours: list[object], theirs: list[object]) -> Iterator[tuple[object, object]]:
    """Pair the entries of two lists: those with equal ids, and the others in their order."""
    known = {ident: each for each in ours if (ident := _id_of(each)) is not None}
    partners = [known.get(cast("str", _id_of(each))) for each in theirs]
    taken = set(map(id, partners)) - {id(None)}
    rest = iter([each for each in ours if id(each) not in taken])
    for each, partner in zip(theirs, partners, strict=True):
        yield (next(rest, None) if partner is None else partner), each
    for each in rest:
        yield each, None


def _id_of(value: object) -> str | None:
    ident = cast("Mapping[str, object]", value).get("id") if isinstance(value, Mapping) else None
    return ident if isinstance(ident, str) and ident else None


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
