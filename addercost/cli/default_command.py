"""A group whose first word may be an argument: `addercost sweep SPACE` as well as `addercost sweep top
DIR`.
"""

from __future__ import annotations

import click


class DefaultCommandGroup(click.Group):
    """The first word is a subcommand if there is one of that name, else the first argument of `run`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Options may come before the argument; the group itself has only --help.
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)
