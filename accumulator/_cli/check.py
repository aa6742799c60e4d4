"""The command `accumulator check`: does what was streamed equal what the server said at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accumulator._cli.output import UNUSABLE, displayable, flush, print_json, write_bytes
from accumulator._cli.recordings import Recordings

if TYPE_CHECKING:
    import click

SUMMARY = "Check that what was streamed equals what the server said at the end."

HELP = (
    SUMMARY
    + """

For each run in each FILE, folder or pattern there is a table: each run step and message with how it is, and the fields
that are not equal with both values. A field that the ending has and no delta is "lost", and fails, in a step or message
without any delta "not streamed"; what other whole objects say of it does not count. Three are "supplied", since servers
do not stream them: the output of a function, which you have sent, the results of a file search, and the activities of
an Azure step.

\b
  0  all runs passed
  1  a run failed
  2  a FILE cannot be read, or an argument is wrong
"""
)


def command() -> click.Command:
    """Build the command."""
    import click

    params: list[click.Parameter] = [
        click.Argument(["files"], metavar="FILE...", nargs=-1, required=True, type=click.Path(readable=False)),
        click.Option(["--json", "as_json"], is_flag=True, help="Print a line of JSON for each run."),
        click.Option(["--apart"], is_flag=True, help="Take each FILE for a run of its own."),
    ]
    return click.Command("check", callback=_check, params=params, help=HELP, short_help=SUMMARY)


def _check(files: tuple[str, ...], *, as_json: bool, apart: bool) -> int:
    from accumulator import check

    status, recordings = 0, Recordings(files, apart=apart)
    for recording in recordings:
        report = check(recording)
        if as_json:
            print_json({"file": recording.name, "run_id": recording.run_id, **report.to_dict()})
        else:
            write_bytes(f"{displayable(f'{recording.name}: {report}')}\n".encode())
        status = max(status, int(not report.passed))
    flush()
    return UNUSABLE if recordings.failed else status
