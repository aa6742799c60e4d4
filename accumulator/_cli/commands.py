"""Parse the arguments, run a command, and return an exit status.

The exit status is that of the command, or 2 if the arguments are wrong, an output cannot be written or click is not
installed. If the reader of an output closed its end early, as `head -1` does, it is 0, and nothing is printed: that is
no error, also under a shell's `pipefail`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from accumulator._cli.output import discard_outputs, print_to_stderr
from accumulator._cli.replay import HELP, SUMMARY, UNUSABLE, replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

_READER_GONE = 0


def run(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments and return its exit status.

    No input makes it raise an exception; `KeyboardInterrupt` passes, for `main` has the exit status. After an interrupt
    or a failed write, both outputs are discarded.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        discard_outputs()
        raise
    except BrokenPipeError:
        status = _READER_GONE
    except OSError as error:  # of an output: a command catches the errors of its inputs
        with suppress(OSError):
            print_to_stderr(f"accumulator: expected to be able to write the output: {error.strerror or error}")
        status = UNUSABLE
    discard_outputs()
    return status


def _run(arguments: Sequence[str]) -> int:
    try:
        import click
    except ModuleNotFoundError:
        print_to_stderr("accumulator: the command line needs click: pip install 'delta-accumulator[cli]'")
        return UNUSABLE
    command = commands()
    try:
        # Not `command.main()`, which has its own exit statuses for an interrupt and for a reader that closed its end.
        with command.make_context("accumulator", list(arguments)) as context:
            status: int = command.invoke(context)
    except click.exceptions.Exit as request:  # by --help and --version
        return request.exit_code
    except click.ClickException as error:
        # Not `error.show()`: the message may contain an argument, which has to be escaped.
        print_to_stderr(f"accumulator: {error.format_message()} Try 'accumulator --help'.")
        return UNUSABLE
    return status


def commands() -> click.Group:
    """Build the commands, whose callbacks return the exit status. Raise `ModuleNotFoundError` without click."""
    import click

    version = click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_show_version,
        help="Print the version.",
    )
    files = click.Argument(["files"], metavar="FILE...", nargs=-1, required=True, type=click.UNPROCESSED)
    return click.Group(
        "accumulator",
        help="Fold the server-sent events of an Assistants run into its run steps.",
        params=[version],
        commands=[click.Command("replay", callback=replay, params=[files], help=HELP, short_help=SUMMARY)],
        no_args_is_help=False,
    )


def _show_version(context: click.Context, _: click.Parameter, asked: object) -> None:
    if not asked:
        return
    import importlib.metadata

    import click

    try:
        version = importlib.metadata.version("delta-accumulator")
    except importlib.metadata.PackageNotFoundError:
        version = "(delta-accumulator is not installed: its version is not known)"
    click.echo(f"accumulator {version}")
    context.exit()
