"""Parse the arguments, run a command, and return an exit status.

The exit status is that of the command, or 2 if the arguments are wrong, an output cannot be written or what the command
line needs is not installed. If the reader of an output closed its end early, as `head -1` does, it is 0, and nothing is
printed: that is no error, also under a shell's `pipefail`.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, cast

from accumulator._cli.output import UNUSABLE, discard_outputs, print_to_stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click


COMMANDS = {
    "show": "accumulator._cli.show",
    "record": "accumulator._cli.record",
    "replay": "accumulator._cli.replay",
    "check": "accumulator._cli.check",
    "diff": "accumulator._cli.diff",
    "convert": "accumulator._cli.convert",
    "table": "accumulator._cli.table",
    "serve": "accumulator._cli.serve",
    "completion": "accumulator._cli.completion",
}
"""The commands, each with the module whose `command` builds it. A callback returns the exit status."""

DEFAULT = "show"
"""The command of arguments that begin with no command."""

_READER_GONE = 0

_NEEDED = ("click", "rich")


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
        for name in _NEEDED:
            import_module(name)
    except ModuleNotFoundError as error:
        print_to_stderr(f"accumulator: the command line needs {error.name}: pip install 'delta-accumulator[cli]'")
        return UNUSABLE
    import click

    from accumulator._cli.completion import answer_shell

    group = commands()
    if (answered := answer_shell(group)) is not None:
        return answered
    try:
        # Not `group.main()`, which has its own exit statuses for an interrupt and for a reader that closed its end.
        with group.make_context("accumulator", list(arguments)) as context:
            status: int = group.invoke(context)
    except click.exceptions.Exit as request:  # by --help and --version
        return request.exit_code
    except click.ClickException as error:
        # Not `error.show()`: the message may contain an argument, which has to be escaped.
        within: click.Context | None = getattr(error, "ctx", None)
        command = "accumulator" if within is None else within.command_path
        message = " ".join(error.format_message().split()).removesuffix(".")  # a list of choices has lines
        print_to_stderr(f"accumulator: {message}. Try '{command} --help'.")
        return UNUSABLE
    return status


def commands() -> click.Group:
    """Build the commands. Raise `ModuleNotFoundError` without click."""
    import click

    from accumulator._cli.default_group import DefaultGroup

    version = click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_show_version,
        help="Print the version.",
    )
    return DefaultGroup(
        "accumulator",
        help="Fold the server-sent events of an Assistants run. `accumulator FILE...` is `accumulator show FILE...`.",
        params=[version],
        commands={name: cast("click.Command", import_module(module).command()) for name, module in COMMANDS.items()},
        default=DEFAULT,
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
