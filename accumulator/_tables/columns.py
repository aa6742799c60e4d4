"""The columns of each level, as data. All that is said of them elsewhere is made of this page.

A level has a row for each of its things: a run, a step, a call or a message. Names, types and order are stable: a later
version adds columns at the end only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

if TYPE_CHECKING:
    import pyarrow as pa

    from accumulator._tables.values import Type

Level: TypeAlias = Literal["calls", "steps", "messages", "runs"]
"""What a table has a row for."""


class Column(NamedTuple):
    """A column of a level.

    Attributes:
        name: its name, in every format.
        type: "text", "integer", "number" (a double) or "time" (UTC, to the millisecond).
        about: what it is, with the unit of a number.
        path: where it is, from the `Item` that a row is about; see `find`.
        wide: the most columns of a terminal that it takes; 0 if a terminal does not show it.

    """

    name: str
    type: Type
    about: str
    path: str
    wide: int = 0


_FILE = Column("file", "text", "path or URL of the file; the first, if a run was joined from several", "file", 28)
_BODY = Column("body", "integer", "which body of the run it began in, from 1; null if that is not known", "body")
_RUN = (
    Column("run", "text", "id of the run", "about.id", 16),
    Column("thread", "text", "id of the thread", "thread"),
    Column("assistant", "text", "id of the assistant", "assistant"),
    Column("model", "text", "name of the model that the run says", "about.run.model"),
    Column("outcome", "text", "how the run ended, see Outcomes", "about.outcome", 15),
)
_STEP = Column("step", "text", "id of the step; of a message, the one that created it", "step.id")
_STATUS = (
    Column("status", "text", "as sent last; of a call, that of its step", "thing.status", 12),
    Column("error_code", "text", "code of the error, or why it is incomplete", "error_code", 20),
    Column("error_message", "text", "the error in words", "error_message"),
)
_TIMES = (
    Column("created", "time", "when it was created; of a call, its step", "thing.created_at"),
    Column("completed", "time", "when it ended, however; of a call, its step", "completed"),
    Column("seconds", "number", "seconds from created to completed", "seconds", 8),
)
_TOKENS = (
    Column("prompt_tokens", "integer", "tokens read; of a call, by its step", "thing.usage.prompt_tokens"),
    Column("completion_tokens", "integer", "tokens written; of a call, by its step", "thing.usage.completion_tokens"),
    Column("cached_tokens", "integer", "tokens read from a cache", "thing.usage.prompt_token_details.cached_tokens"),
    Column(
        "reasoning_tokens",
        "integer",
        "tokens written as reasoning",
        "thing.usage.completion_tokens_details.reasoning_tokens",
    ),
)
_CALLS = Column("calls", "integer", "number of its calls", "calls", 5)
_END = (
    Column("problems", "integer", "number of problems; of a call, of its step", "problems", 8),
    Column("file_error", "text", "why the file cannot be read, or not to its end", "file_error", 32),
)

LEVELS: Final[dict[Level, tuple[Column, ...]]] = {
    "calls": (
        _FILE,
        _BODY,
        *_RUN,
        _STEP,
        Column("index", "integer", "index of the call in its step; null if it came without one", "place"),
        Column("call", "text", "id of the call", "call.id"),
        Column("type", "text", "type of the call", "call.type"),
        Column("name", "text", "name of the function or tool, its type if it has none", "call.name", 24),
        *_STATUS,
        *_TIMES,
        *_TOKENS,
        Column("input", "text", "what the tool got: code, arguments, a query", "call.input", 32),
        Column("output", "text", "what came back; null while there is nothing", "call.output", 32),
        *_END,
    ),
    "steps": (
        _FILE,
        _BODY,
        *_RUN,
        _STEP,
        Column("type", "text", "type of the step", "step.type", 16),
        *_STATUS,
        *_TIMES,
        *_TOKENS,
        _CALLS,
        *_END,
    ),
    "messages": (
        _FILE,
        _BODY,
        *_RUN,
        _STEP,
        Column("message", "text", "id of the message", "thing.id", 16),
        Column("role", "text", "who wrote it", "thing.role", 10),
        *_STATUS,
        *_TIMES,
        Column("text", "text", "the text of all its text parts", "thing.text", 48),
        *_END,
    ),
    "runs": (
        _FILE,
        Column("bodies", "integer", "number of its bodies; null if that is not known", "body"),
        *_RUN,
        *_STATUS,
        *_TIMES,
        *_TOKENS,
        Column("steps", "integer", "number of its steps", "steps", 5),
        _CALLS,
        Column("messages", "integer", "number of its messages", "messages"),
        Column("text", "text", "what the agent said, with an empty line between messages", "said"),
        *_END,
    ),
}
"""The columns of each level, in order."""


def columns_of(level: object) -> tuple[Column, ...]:
    """Return the columns of a level. Raise `ValueError` for anything else."""
    found = next((columns for name, columns in LEVELS.items() if name == level), None)
    if found is None:
        raise ValueError(f"expected a level ({', '.join(get_args(Level))}), got {level!r}")
    return found


def arrow_schema(level: Level) -> pa.Schema:
    """Return the columns of a level as a schema of pyarrow, with what each of them is as `description`."""
    import pyarrow as pa

    types: dict[Type, pa.DataType] = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "time": pa.timestamp("ms", tz="UTC"),  # Parquet has no whole seconds
    }
    return pa.schema(
        [
            pa.field(column.name, types[column.type], metadata={"description": column.about})
            for column in columns_of(level)
        ]
    )
