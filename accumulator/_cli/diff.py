"""The command `accumulator diff`: where two runs differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from accumulator import Accumulator, AccumulatorError, accumulate
from accumulator._cli.output import UNUSABLE, flush, print_json, print_to_stderr, write_bytes

if TYPE_CHECKING:
    import click

SUMMARY = "Show where two recorded runs differ."

HELP = (
    SUMMARY
    + """

The run steps of A and B, two recordings, are paired in their order, as are the messages, and the calls of two steps.
There is a line for each difference.

\b
  0  the runs are alike
  1  they differ
  2  a file cannot be read, or an argument is wrong
"""
)


def command() -> click.Command:
    """Build the command."""
    import click

    params: list[click.Parameter] = [
        click.Argument(["a"], metavar="A", type=click.Path(readable=False)),
        click.Argument(["b"], metavar="B", type=click.Path(readable=False)),
        click.Option(["--ids"], is_flag=True, help="Compare ids too."),
        click.Option(["--times"], is_flag=True, help="Compare times too."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print a line of JSON for each difference."),
    ]
    return click.Command("diff", callback=_diff, params=params, help=HELP, short_help=SUMMARY)


def _diff(a: str, b: str, *, ids: bool, times: bool, as_json: bool) -> int:
    from accumulator import diff

    runs = list[Accumulator]()
    for name in (a, b):
        try:
            runs.append(accumulate(Path(name)).until_done())
        except OSError as error:
            print_to_stderr(f"{name}: expected a readable file: {error.strerror or error}")
            return UNUSABLE
        except AccumulatorError as error:
            print_to_stderr(str(error))
            return UNUSABLE
    found = diff(*runs, ids=ids, times=times)
    for each in found:
        if as_json:
            print_json(each.to_dict())
        else:
            write_bytes(f"{each}\n".encode())
    flush()
    return 1 if found else 0
