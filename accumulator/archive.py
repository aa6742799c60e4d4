"""Tables of the runs, steps, calls and messages in many recordings, from a folder to a cluster.

`rows` makes the rows of one recording, with no package beside this one. `schema` has their columns for pyarrow, `read`
makes a frame of Daft of the rows of files on a disk or in a bucket. Both need the extra `archive`.

The columns of each level:
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from accumulator._tables.columns import LEVELS, Level, arrow_schema, columns_of
from accumulator._tables.rows import Row, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    import daft
    import pyarrow as pa

__all__ = ["Level", "Row", "read", "rows", "schema"]

rows.__module__ = __name__  # as all public functions are named after the module that people import
__doc__ = "\n".join(
    [
        str(__doc__),
        *(
            f"- `{level}`: " + "; ".join(f"`{column.name}` ({column.type}), {column.about}" for column in columns) + "."
            for level, columns in LEVELS.items()
        ),
    ]
)


def schema(level: Level = "calls") -> pa.Schema:
    """Return the columns of a level as a schema of pyarrow, each with what it is in its metadata, as `description`.

    Text is `string`, integers are `int64`, numbers `double`, times `timestamp[ms, tz=UTC]`. Names, types and order are
    stable: a later version adds columns at the end only.

    Raises:
        ModuleNotFoundError: pyarrow is not installed; the extra `archive` has it.
        ValueError: the level is none.

    """
    return arrow_schema(level)


def read(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    level: Level = "calls",
    *,
    join: bool = False,
    io_config: daft.IOConfig | None = None,
) -> daft.DataFrame:
    """Return a frame of Daft with the rows of files, as `rows` makes them: nothing is read until the frame is.

    Daft folds with all cores or, with the runner that `DAFT_RUNNER` names, with a cluster. Each file is in memory as a
    whole while it is folded, 64 of them at a time for each process. The rows are in the order of the files, but with
    `join` and on a cluster.

    Args:
        paths: files, folders and patterns of this machine, as the command takes them; and URLs of objects, of prefixes,
            which end with "/", or patterns such as `s3://bucket/runs/**/*.sse`. Local ones are listed at once, buckets
            when the frame is read. One pattern is one task of a cluster: give prefixes, many of them.
        level: "calls", "steps", "messages" or "runs".
        join: whether the bodies of a run in several files are one run, by a group-by on its id. All files are then read
            twice.
        io_config: how buckets are reached; by default as Daft finds it in the environment.

    Raises:
        ModuleNotFoundError: Daft is not installed; the extra `archive` has it.
        ValueError: the level is none.

    """
    from accumulator._tables.frames import read_frame

    columns_of(level)
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    return read_frame([os.fspath(path) for path in given], level, join=join, io_config=io_config)
