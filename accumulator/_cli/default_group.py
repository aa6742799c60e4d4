"""A group of commands one of which needs no name."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


class DefaultGroup(click.Group):
    """A group that takes arguments that begin with no command, and with no option of its own, for its default."""

    def __init__(self, name: str, *, default: str, **attributes: object) -> None:
        """Store the name of the default command; the attributes are those of `Group`."""
        super().__init__(name, no_args_is_help=False, **attributes)  # type: ignore[arg-type]
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with the name of the default command before them if they need it."""
        own = {name for option in self.get_params(ctx) for name in option.opts}
        if args and args[0] not in {*self.commands, *own}:
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the commands that fit, and the options, also those of the default command; if none does, a file."""
        default = self.commands[self._default]
        within = click.Context(default, parent=ctx, info_name=self._default)
        found = [*super().shell_complete(ctx, incomplete), *default.shell_complete(within, incomplete)]
        return [*{each.value: each for each in found}.values()] or [CompletionItem(incomplete, type="file")]
