"""The command `accumulator record`: write a stream to a file while it arrives, and show it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from accumulator import Recorder, RecordingError, ResponseError
from accumulator._cli.files import STANDARD_INPUT
from accumulator._cli.output import UNUSABLE, closed_stream_error, print_to_stderr
from accumulator._cli.reading import Reading
from accumulator._cli.recordings import play
from accumulator._cli.show import make_view
from accumulator._cli.views import View
from accumulator._recordings.recorder import remove_empty

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import click


SUMMARY = "Record a stream to a file while it arrives, and show it."

HELP = (
    SUMMARY
    + """

SOURCE is a URL to send a request to, or "-" for standard input. What arrives is written to the file with its times, and
shown as `accumulator show` does. The file is new, and only you may read it. No header of the request is written, and no
query of the URL. The key comes from an environment variable, so that it is in no list of processes:

\b
  accumulator record https://HOST/v1/threads/THREAD/runs --json body.json
      -H 'OpenAI-Beta: assistants=v2' --key-env OPENAI_API_KEY -o run.sse
  curl -N ... | accumulator record - -o run.sse

\b
  0  the outcome is completed, requires_action or unknown
  1  any other outcome
  2  the request failed, the input has no known event, the file could not
     be written whole, or an argument is wrong
"""
)


def command() -> click.Command:
    """Build the command."""
    import click

    file = click.Path(readable=False)
    params: list[click.Parameter] = [
        click.Argument(["source"], metavar="SOURCE"),
        click.Option(["-o", "--output"], required=True, metavar="FILE", type=file, help="The file to write."),
        click.Option(["--append"], is_flag=True, help="Add a body to a recording, as that of the tool outputs."),
        click.Option(["--sync"], is_flag=True, help="Wait for the disk after each write."),
        click.Option(["-X", "--request", "method"], metavar="METHOD", help="The method: POST with a body, else GET."),
        click.Option(
            ["--json", "body"], metavar="FILE", type=file, help='The JSON body of the request; "-" is standard input.'
        ),
        click.Option(
            ["-H", "--header", "headers"],
            multiple=True,
            metavar="'NAME: VALUE'",
            help="A header of the request, or @FILE with one a line.",
        ),
        click.Option(["--key-env"], metavar="NAME", help="The environment variable with the key, for Authorization."),
        click.Option(["--quiet"], is_flag=True, help="Show nothing."),
    ]
    return click.Command("record", callback=_record, params=params, help=HELP, short_help=SUMMARY)


def _record(  # noqa: PLR0913 - one for each option
    source: str,
    output: str,
    *,
    append: bool,
    sync: bool,
    method: str | None,
    body: str | None,
    headers: tuple[str, ...],
    key_env: str | None,
    quiet: bool,
) -> int:
    request = _Request(method, body, headers, key_env) if source != STANDARD_INPUT else None
    if request is None and (method, body, headers, key_env) != (None, None, (), None):
        raise _usage('expected no options of a request with "-"')
    if output == STANDARD_INPUT:
        raise _usage('expected a file to record into, got "-": the run is shown on standard output')
    try:
        recorder = Recorder(output, append=append, sync=sync)
    except (OSError, ValueError, RecordingError) as error:
        reason = getattr(error, "strerror", None) or error
        print_to_stderr(f"{output}: expected to be able to record into this file: {reason}")
        return UNUSABLE
    reading = Reading(View() if quiet else make_view("tree"))
    try:
        with recorder:
            status = _read_input(reading, recorder) if request is None else request.send(source, reading, recorder)
    finally:
        remove_empty(recorder)  # also after Ctrl-C
    if recorder.error is not None:
        print_to_stderr(str(recorder.error))
        return UNUSABLE
    return status


def _read_input(reading: Reading, recorder: Recorder) -> int:
    if sys.stdin is None:
        raise closed_stream_error()
    return play(reading, STANDARD_INPUT, recorder.record(sys.stdin.buffer))


class _Request:
    """A request as the options say it."""

    def __init__(self, method: str | None, body: str | None, headers: Iterable[str], key_env: str | None) -> None:
        """Read what the options name. Raise `click.UsageError` for what cannot be used."""
        self._body = None if body is None else _read_body(body)
        self._method = _ascii("a method", method or ("GET" if body is None else "POST"))
        self._headers = dict(_read_headers(headers))
        if key_env is not None:
            if key_env not in os.environ:
                raise _usage(f"expected the key in the environment variable {key_env}, it is not set")
            self._headers["Authorization"] = f"Bearer {_ascii(f'a key in {key_env}', os.environ[key_env])}"

    def send(self, url: str, reading: Reading, recorder: Recorder) -> int:
        """Send the request, record the response and show it. Return the exit status."""
        from accumulator._assistants.connect import REQUEST_ERRORS, connect, make_client

        into, headers = reading.accumulator, self._headers
        try:
            with (
                make_client() as client,
                connect(
                    client, self._method, url, into=into, record=recorder, headers=headers, json=self._body
                ) as stream,
            ):
                return play(reading, url, stream)
        except ResponseError as error:
            print_to_stderr(f"{url}: {error}")
            print_to_stderr(error.body)
        except (*REQUEST_ERRORS, UnicodeError) as error:  # a URL may be one that cannot be encoded
            print_to_stderr(f"{url}: the request failed: {type(error).__name__}: {error}")
        return UNUSABLE


def _read_body(name: str) -> object:
    try:
        text = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
        body = cast("object", json.loads(text))
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # as the client will write it
    except (OSError, ValueError, RecursionError) as error:
        raise _usage(f"expected JSON in {name}: {error}") from error
    return body


def _read_headers(given: Iterable[str]) -> Generator[tuple[str, str]]:
    for each in given:
        try:
            lines = Path(each[1:]).read_text(encoding="utf-8").splitlines() if each.startswith("@") else [each]
        except (OSError, ValueError) as error:
            raise _usage(f"expected headers in {each[1:]}: {error}") from error
        for line in filter(None, map(str.strip, lines)):
            name, colon, value = line.partition(":")
            if not colon:
                raise _usage(f"expected a header as 'Name: value', got no colon in {name[:20]!r}")
            yield _ascii("a name of a header", name.strip()), _ascii(f"a value of the header {name}", value.strip())


def _ascii(what: str, text: str) -> str:
    if not text.isascii():
        raise _usage(f"expected {what} in ASCII, got other characters")  # not which: it may be a key
    return text


def _usage(message: str) -> click.UsageError:
    import click

    return click.UsageError(f"{message}.")
