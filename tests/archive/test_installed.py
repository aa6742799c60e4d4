"""What needs packages that `dev` lacks: a cluster, a bucket, and DuckDB. `tox -e archive` has them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from accumulator._tables.columns import LEVELS
from accumulator._tables.files import find_files, read_apart
from accumulator._tables.outputs import write_table
from tests.archive.__main__ import RAY, Contender, compare, compare_bucket, run
from tests.archive.corpus import write

if TYPE_CHECKING:
    from pathlib import Path

    from accumulator.archive import Level


@pytest.mark.parametrize("runner", ["native", "ray"])
@pytest.mark.parametrize("join", [False, True])
def test_daft_writes_the_table_of_the_local_loop(runner: str, tmp_path: Path, *, join: bool) -> None:
    pytest.importorskip("ray", reason="needs ray: run `tox -e archive`")
    made = tmp_path / "made"
    write(made, 300, broken=True)
    outputs: list[Path] = []
    for name, start, environment in [
        ("local", ("-m", "accumulator"), {}),
        ("daft", ("-c", RAY) if runner == "ray" else ("-m", "accumulator"), {"DAFT_RUNNER": runner}),
    ]:
        outputs.append(tmp_path / f"{name}.parquet")
        options = ["--engine", name, "-o", str(outputs[-1]), *(["--join"] if join else [])]
        took = run(Contender(name, (*start, "table", str(made), *options), environment, outputs[-1]))
        told = "accumulator: 3 files could not be read whole, see the column file_error"
        assert (1, told) == (took.status, took.told)
    assert compare(*outputs, ordered=not join and runner == "native") > 300


def test_a_bucket_has_the_rows_of_its_files(tmp_path: Path) -> None:
    pytest.importorskip("moto", reason="needs moto[server]: run `tox -e archive`")
    compare_bucket(tmp_path / "made", tmp_path, 100)


@pytest.mark.parametrize("level", [*LEVELS])
def test_duckdb_reads_the_types(level: Level, shipped: Path, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs duckdb: run `tox -e archive`")
    write_table(str(tmp_path / "out.parquet"), level, read_apart(find_files([str(shipped)]), level))
    types = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "time": "TIMESTAMP WITH TIME ZONE"}
    duckdb: Any = import_module("duckdb")
    found = duckdb.read_parquet(str(tmp_path / "out.parquet"))
    pairs = list(zip(found.columns, map(str, found.types), strict=True))
    assert [(column.name, types[column.type]) for column in LEVELS[level]] == pairs


def test_duckdb_answers(shipped: Path, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs duckdb: run `tox -e archive`")
    duckdb: Any = import_module("duckdb")
    tables: list[Any] = []
    for level in ("calls", "runs"):
        path = str(tmp_path / f"{level}.parquet")
        write_table(path, level, read_apart(find_files([str(shipped)]), level))
        tables.append(duckdb.read_parquet(path))
    calls, runs = tables
    slow = "SELECT name, median(seconds) FROM t GROUP BY name ORDER BY 2 DESC NULLS LAST, 1 LIMIT 2"
    bad = "SELECT outcome, error_code, count(*) FROM t WHERE outcome IN ('error', 'truncated') GROUP BY ALL ORDER BY 1"
    days = "SELECT assistant, date_trunc('day', created), sum(prompt_tokens) AS read FROM t GROUP BY ALL ORDER BY read"
    assert [("code_interpreter", 6.0), ("convert_currency", 6.0)] == calls.query("t", slow).fetchall()
    assert [("error", "server_error", 1), ("truncated", None, 1)] == runs.query("t", bad).fetchall()
    assert [454, 612, 2199, 4026] == [row[2] for row in runs.query("t", days).fetchall() if row[2]]
