"""The command `accumulator completion`: the script with which a shell completes commands, options and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

SUMMARY = "Print a script for your shell that completes commands, options and files."

HELP = (
    SUMMARY
    + """

SHELL is bash (4.4 or newer), zsh or fish. To have the completion in each new shell, put this in its start file:

\b
  bash, in ~/.bashrc:                  eval "$(accumulator completion bash)"
  zsh, in ~/.zshrc after compinit:     eval "$(accumulator completion zsh)"
  fish, in ~/.config/fish/config.fish: accumulator completion fish | source
"""
)

_PROGRAM = "accumulator"
_VARIABLE = "_ACCUMULATOR_COMPLETE"
"""The variable with which the script asks for what fits."""

_SHELLS = ("bash", "zsh", "fish")

_MENDED = {'string split ","': 'string split --max 1 ","'}
"""What is other than in click's scripts: that of fish cuts help and files at a comma."""


def command() -> click.Command:
    """Build the command."""
    import click

    shell = click.Argument(["shell"], type=click.Choice(_SHELLS), metavar="SHELL")
    return click.Command("completion", callback=_completion, params=[shell], help=HELP, short_help=SUMMARY)


def answer_shell(group: click.Group) -> int | None:
    """Print what fits, if a script asks for it, and return the exit status; else return None."""
    asked = os.environ.get(_VARIABLE)
    if not asked:
        return None
    from click.shell_completion import shell_complete

    return shell_complete(group, {}, _PROGRAM, _VARIABLE, asked)


def _completion(shell: str) -> int:
    import click
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    script = "" if made is None else made(click.Group(_PROGRAM), {}, _PROGRAM, _VARIABLE).source()
    for theirs, ours in _MENDED.items():
        script = script.replace(theirs, ours)
    click.echo(script.encode(), nl=False)
    return 0
