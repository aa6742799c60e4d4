"""The command `accumulator convert`: write recordings in another form, and replace what must not be shared."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from accumulator._cli.output import UNUSABLE, flush, print_to_stderr, write_bytes
from accumulator._cli.recordings import Recordings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click

    from accumulator import Recording
    from accumulator._recordings.convert import Redaction

SUMMARY = "Write recordings in another form, without what must not be shared."

HELP = (
    SUMMARY
    + """

Each FILE, folder or pattern is read in whatever format it has. OUT is a new file, or "-" for standard output.

With --redact and --redact-keys each character of a text becomes x, so that lengths, cuts and times stay as they were.
PATTERN is looked for in the texts of JSON, as they read, and in what is no JSON; not in keys, numbers, names of events
and the values of object and type. --redact-keys is for all texts and numbers in the values of the keys; numbers become
ones. A text that the server sent in pieces is found by --redact-keys only, and a key within such a text not at all: for
arguments that came in pieces name the key arguments.

In the lines of --to events, data that is no JSON is a text, and the line says "raw": true.

\b
  accumulator convert cassette.yaml -o run.sse
  accumulator convert run.sse --to steps -o -
  accumulator convert run.sse --redact-keys value,arguments -o shared.sse

\b
  0  all was written
  2  a FILE cannot be read, OUT cannot be written, or an argument is wrong
"""
)

_FORMS: Final = ("recording", "events", "steps")


def command() -> click.Command:
    """Build the command."""
    import click

    file = click.Path(readable=False)
    params: list[click.Parameter] = [
        click.Argument(["files"], metavar="FILE...", nargs=-1, required=True, type=file),
        click.Option(["-o", "--output"], required=True, metavar="OUT", type=file, help="The file to write."),
        click.Option(
            ["--to", "form"],
            type=click.Choice(_FORMS),
            default="recording",
            help="A recording, JSON lines of events, or JSON lines of final run steps.",
        ),
        click.Option(["--redact", "patterns"], multiple=True, metavar="PATTERN", help="Replace what fits this."),
        click.Option(["--redact-keys", "keys"], metavar="A,B", default="", help="Replace the values of these keys."),
    ]
    return click.Command("convert", callback=_convert, params=params, help=HELP, short_help=SUMMARY)


def _convert(files: tuple[str, ...], *, output: str, form: str, patterns: tuple[str, ...], keys: str) -> int:
    import click

    from accumulator._recordings import convert

    names = [key.strip() for key in keys.split(",") if key.strip()]
    try:
        redaction = convert.Redaction(patterns, names) if patterns or names else None
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
    recordings = Recordings(files)
    found = iter(recordings)
    first = next(found, None)
    if first is None:
        return UNUSABLE  # and there is no new file
    try:
        _write(output, _pieces(form, chain([first], found), redaction))
    except OSError as error:
        if output == "-":
            raise
        print_to_stderr(f"{output}: expected to be able to write this file: {error.strerror or error}")
        return UNUSABLE
    return UNUSABLE if recordings.failed else 0


def _pieces(form: str, recordings: Iterable[Recording], redaction: Redaction | None) -> Iterator[bytes]:
    from accumulator._recordings import convert

    match form:
        case "events":
            return convert.to_event_lines(recordings, redaction)
        case "steps":
            return convert.to_step_lines(recordings, redaction)
        case _:
            return convert.to_recording(recordings, redaction)


def _write(output: str, pieces: Iterable[bytes]) -> None:
    if output == "-":
        for piece in pieces:
            write_bytes(piece)
        flush()
        return
    from accumulator._recordings.recorder import create_file

    with open(create_file(output), "wb") as file:  # noqa: PTH123 - a descriptor is no path
        for piece in pieces:
            file.write(piece)
