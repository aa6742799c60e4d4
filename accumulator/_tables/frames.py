"""Tables as frames of Daft: files on disks and in buckets, folded by all cores, or by a cluster of Ray.

A frame has a row for each file with its bytes, which a batch function folds. Nothing is read until the frame is.
"""

# Daft's own hints leave open what pyarrow's arrays hold.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

from accumulator._tables.columns import arrow_schema
from accumulator._tables.files import find_files, rows_of_file, rows_of_run, run_ids
from accumulator._tables.rows import error_row

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    import daft
    import pyarrow as pa

    from accumulator._tables.columns import Level
    from accumulator._tables.rows import Row

BATCH_SIZE: Final = 64
"""The files of a batch: a megabyte or two as a rule, and a tenth of a second of work."""

_PARTITION_SIZE: Final = 1_024
"""The files of a task of a cluster."""

_SCHEME: Final = "://"
_PLAIN: Final = re.compile(r"[\w./@+=,-]+")
"""A path that Daft takes for no URL: it reads nothing, or another file, where a path has a blank or `%20` in it."""

_NO_FILES: Final = "at least 1 MicroPartition"
"""What Daft says when it counts the files of a URL without any."""

_ESCAPED: Final = re.compile(r"\\u(dc[89a-f][0-9a-f])")
"""The escape that `_utf_8` writes for a byte, which `os.fsdecode` reads as this lone surrogate."""


class Series(Protocol):
    """What a batch function gets of a column."""

    def to_pylist(self) -> list[object]:
        """Return the values."""
        ...


Fold: TypeAlias = "Callable[..., list[list[Row]]]"


def is_remote(path: str) -> bool:
    """Whether a path is a URL."""
    return _SCHEME in path


def takes_processes(count: int | None) -> bool:
    """Whether so many files, or an unknown number, are worth processes that take a second or two to start."""
    return count is None or count > BATCH_SIZE


def read_frame(paths: Iterable[str], level: Level, *, join: bool, io_config: daft.IOConfig | None) -> daft.DataFrame:
    """Return the frame of the rows of files; see `accumulator.archive.read`."""
    import daft
    from daft.functions import download

    def with_data(frame: daft.DataFrame) -> daft.DataFrame:
        data = download(daft.col("url"), on_error="null", io_config=io_config)
        return frame.with_column("data", data).select("file", "data", *frame.exclude("file", "url").column_names)

    frame, count = _list_files(list(paths), io_config)
    folder = _Folder(level, own_processes=takes_processes(count))
    if not join:
        return folder.fold(with_data(frame), fold_files)
    parts = folder.find_runs(with_data(frame))
    shared = parts.groupby("run").agg(daft.col("file").count().alias("count")).where(daft.col("count") > daft.lit(1))
    members = parts.join(shared.select("run"), on="run")
    leave = members.groupby("file").agg(daft.col("run").list_agg().alias("leave"))
    contents = with_data(members.join(frame, on="file")).groupby("run")
    return folder.fold(with_data(frame.join(leave, on="file", how="left")), fold_files).concat(
        folder.fold(contents.agg(daft.col("file").list_agg(), daft.col("data").list_agg()), fold_runs)
    )


def _list_files(paths: Sequence[str], io_config: daft.IOConfig | None) -> tuple[daft.DataFrame, int | None]:
    """Return a frame of the files, and their number; None if it is not known, as buckets are listed later.

    `url` is what Daft reads, null for a file that the batch function reads itself.
    """
    import daft

    files = [_utf_8(path) for path in find_files(path for path in paths if not is_remote(path))]
    urls = [file if _PLAIN.fullmatch(file) else None for file in files]
    text = daft.DataType.string()
    local = daft.from_pydict({"file": files, "url": urls}).select(
        daft.col("file").cast(text), daft.col("url").cast(text)
    )
    if daft.get_or_infer_runner_type() == "ray":
        local = local.into_partitions(-(-len(files) // _PARTITION_SIZE) or 1)
    local = local.into_batches(BATCH_SIZE)
    remote = [_glob_of(path) for path in paths if is_remote(path)]
    if not remote:
        return local, len(files)
    path = daft.col("path")
    listed = daft.from_glob_path(remote, io_config=io_config).select(path.alias("file"), path.alias("url"))
    listed = (listed.distinct() if len(remote) > 1 else listed).into_batches(BATCH_SIZE)
    return (local.concat(listed) if files else listed), None


def _glob_of(url: str) -> str:
    return f"{url}**" if url.endswith("/") else url


def has_files(url: str) -> bool:
    """Whether there is a file at a URL. Daft says nothing of a URL without files: it reads an empty frame."""
    import daft
    from daft.exceptions import DaftCoreException

    try:
        return daft.from_glob_path([_glob_of(url)]).limit(1).count_rows() > 0
    except DaftCoreException as error:
        if _NO_FILES in str(error):
            return False
        raise


def _utf_8(path: str) -> str:
    """Return a path as text that Arrow takes: an escape stands for each byte that is no UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()


def _path_of(text: str) -> str:
    """Return the path that `_utf_8` made a text of."""
    return text if os.path.lexists(text) else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


class _Folder:
    """Makes frames of what functions return for batches of files."""

    def __init__(self, level: Level, *, own_processes: bool) -> None:
        """Choose the level, and whether batches go to processes of their own, one for each core."""
        self._level: Level = level
        self._own_processes = own_processes

    def fold(self, frame: daft.DataFrame, fold: Fold) -> daft.DataFrame:
        """Return the rows that a function returns for each row of a frame, which has its arguments as columns."""
        import daft
        from daft.functions import unnest

        kind = daft.DataType.from_arrow_type(_rows_type(self._level))
        made = self._call(frame, batch_of_rows(fold, self._level), kind).explode("made")
        return made.where(daft.col("made").not_null()).select(unnest(daft.col("made")))

    def find_runs(self, frame: daft.DataFrame) -> daft.DataFrame:
        """Return a frame of the runs in each file."""
        import daft

        made = self._call(frame, batch_of_runs, daft.DataType.list(daft.DataType.string()), "file").explode("made")
        return made.select("file", daft.col("made").alias("run")).where(daft.col("run").not_null()).distinct()

    def _call(
        self, frame: daft.DataFrame, function: Callable[..., object], kind: daft.DataType, *kept: str
    ) -> daft.DataFrame:
        import daft

        batch = daft.func.batch(return_dtype=kind, batch_size=BATCH_SIZE, use_process=self._own_processes)(function)
        made = cast("daft.Expression", batch(*map(daft.col, frame.column_names)))
        return frame.select(*kept, made.alias("made"))


def _rows_type(level: Level) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(pa.struct(list(arrow_schema(level))))


# The batch functions. Daft calls them in threads and processes of its own, also on other machines.


def batch_of_rows(fold: Fold, level: Level) -> Callable[..., object]:
    """Return a function of columns that makes an array of lists of rows."""

    def fold_batch(*columns: Series) -> object:
        import pyarrow as pa

        return pa.array(fold(level, *(column.to_pylist() for column in columns)), type=_rows_type(level))

    return fold_batch


def batch_of_runs(*columns: Series) -> list[list[str]]:
    """Return the ids of the runs in each file."""
    files, contents = (column.to_pylist() for column in columns)
    return find_runs(cast("list[str]", files), cast("list[bytes | None]", contents))


# What batches are for. The lists are columns.


def fold_files(
    level: Level, files: list[str], contents: list[bytes | None], leave: list[list[str] | None] | None = None
) -> list[list[Row]]:
    """Return the rows of each file, without those of the runs to leave out."""
    found: list[list[Row]] = []
    for file, content, runs in zip(files, contents, leave or [None] * len(files), strict=True):
        with _stored([file], [content]) as (path,):
            found.append(
                [error_row(level, file, "expected to be able to read it, Daft was not")]
                if is_remote(path)
                else [*rows_of_file(path, file, level, runs or ())]
            )
    return found


def fold_runs(
    level: Level, runs: list[str], files: list[list[str]], contents: list[list[bytes | None]]
) -> list[list[Row]]:
    """Return the rows of each run, which is in several files."""
    found: list[list[Row]] = []
    for run, names, each in zip(runs, files, contents, strict=True):
        pairs = sorted(zip(names, each, strict=True), key=lambda pair: pair[0].encode())
        with _stored(*zip(*pairs, strict=True)) as paths:
            called = dict(zip(paths, (name for name, _ in pairs), strict=True))
            found.append([*rows_of_run(run, called, level)])
    return found


def find_runs(files: list[str], contents: list[bytes | None]) -> list[list[str]]:
    """Return the ids of the runs in each file."""
    found: list[list[str]] = []
    for file, content in zip(files, contents, strict=True):
        with _stored([file], [content]) as (path,):
            found.append(run_ids(path))
    return found


@contextmanager
def _stored(files: Sequence[str], contents: Sequence[bytes | None]) -> Generator[list[str]]:
    """Yield where each file can be read: its bytes are written to a temporary one, where Daft has read them."""
    with tempfile.TemporaryDirectory() as folder:
        paths: list[str] = []
        for number, (file, content) in enumerate(zip(files, contents, strict=True)):
            if content is not None:
                Path(folder, str(number)).write_bytes(content)
            paths.append(_path_of(file) if content is None else f"{folder}/{number}")
        yield paths
