"""The reference page of commands: every option of each, under the headings that `--help` has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from addercost.cli.group import SUMMARIES, cli
from addercost.cli.help import ask_for_everything, option_sections

INTRODUCTION = """# Commands

Every option of every command. `--help` shows those that most people need, and `--help-all` has all of them.
The forms of a SPEC are on [a page of their own](../models.md).
"""


def commands_page() -> str:
    root = click.Context(cli, info_name="addercost", **cli.context_settings)
    return "\n".join([INTRODUCTION, *_of(root)])


def contexts(ctx: click.Context) -> Iterator[click.Context]:
    """The contexts of a command and of all commands below it, whose help has every option."""
    ask_for_everything(ctx)
    yield ctx
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            assert command is not None
            yield from contexts(click.Context(command, info_name=name, parent=ctx))


def summary(ctx: click.Context) -> str:
    """The line of a command in the list of commands."""
    is_listed = ctx.parent is not None and ctx.parent.parent is None
    return SUMMARIES.get(ctx.info_name or "", "") if is_listed else ctx.command.get_short_help_str(300)


def paragraphs(ctx: click.Context) -> list[str]:
    text = (ctx.command.help or "").replace("\b", "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _of(root: click.Context) -> Iterator[str]:
    for ctx in contexts(root):
        yield f"## {ctx.command_path}\n"
        yield f"    {ctx.command_path} {' '.join(ctx.command.collect_usage_pieces(ctx))}\n"
        yield "\n\n".join(map(_escaped, paragraphs(ctx))) + "\n"
        yield "| option | means |\n| --- | --- |"
        for title, options in option_sections(ctx.command, ctx):
            if title != "Options":
                yield f"| **{title}** | |"
            for option in options:
                record = option.get_help_record(ctx)
                if record is not None:
                    yield f"| `{_in_cell(record[0])}` | {_in_cell(_escaped(record[1]))} |"
        yield ""


def _escaped(text: str) -> str:
    """The text escaped for Markdown, except code in back quotes."""
    parts = text.split("`")
    return "`".join(
        part if i % 2 else re.sub(r"([*_\[\]])", r"\\\1", part).replace("<", "&lt;")
        for i, part in enumerate(parts)
    )


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
