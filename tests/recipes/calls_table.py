"""A table of every tool call in a folder of recordings: what was called, how long its step took, what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd  # type: ignore[import-untyped]
import polars as pl

from accumulator import accumulate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def calls(folder: Path) -> Iterator[dict[str, object]]:
    """Yield a row for each call, file by file. The seconds and tokens are those of the step of the call."""
    for path in sorted(folder.glob("**/*.sse")):
        for step in accumulate(path).until_done().run_steps():
            about = {"file": path.stem, "seconds": step.duration, "tokens": step.usage and step.usage.total_tokens}
            for call in step.tool_calls:
                yield {**about, "name": call.name, "input": call.input, "output": call.output}


def polars_table(folder: Path) -> pl.DataFrame:
    return pl.DataFrame(list(calls(folder)), infer_schema_length=None)


def pandas_table(folder: Path) -> pd.DataFrame:
    return pd.DataFrame(calls(folder))
