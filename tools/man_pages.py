"""Manual pages of the commands, from the same source as `--help`: addercost.1, addercost-profile.1, …

Usage: python tools/man_pages.py DIR
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from addercost.cli.exit_codes import EXIT_CODES
from addercost.cli.group import SUMMARIES, cli
from addercost.cli.help import ask_for_everything, option_sections
from addercost.cli.spec import SpecCommand
from addercost.sources.registry import BUILT_IN
from addercost.version import __version__

NAME = "addercost"


def pages() -> dict[str, str]:
    """Their text by file name."""
    context = click.Context(cli, info_name=NAME)
    return {f"{_page(path)}.1": _text(path, ctx) for path, ctx in _contexts((NAME,), context)}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _contexts(path: tuple[str, ...], ctx: click.Context) -> Iterator[tuple[tuple[str, ...], click.Context]]:
    ask_for_everything(ctx)
    yield path, ctx
    for name, command in _subcommands(ctx):
        yield from _contexts((*path, name), click.Context(command, info_name=name, parent=ctx))


def _subcommands(ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            assert command is not None
            yield name, command


def _text(path: tuple[str, ...], ctx: click.Context) -> str:
    return "\n".join([*_lines(path, ctx), ""])


def _lines(path: tuple[str, ...], ctx: click.Context) -> Iterator[str]:
    command = ctx.command
    paragraphs = _paragraphs(command.help or "")
    summary = SUMMARIES.get(path[-1]) if len(path) == 2 else None
    yield f'.TH "{_page(path).upper()}" 1 "" "{NAME} {__version__}" "User Commands"'
    yield from (".SH NAME", f"{_page(path)} \\- {_escaped(summary or paragraphs[0].rstrip('.'))}")
    yield from (
        ".SH SYNOPSIS",
        rf"\fB{' '.join(path)}\fR {_escaped(' '.join(command.collect_usage_pieces(ctx)))}",
    )
    yield ".SH DESCRIPTION"
    for paragraph in paragraphs:
        yield from (".PP", _escaped(paragraph))
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for name, child in _subcommands(ctx):
            text = SUMMARIES.get(name) if len(path) == 1 else None
            yield from (
                ".TP",
                rf"\fB{_page((*path, name))}\fR(1)",
                _escaped(text or child.get_short_help_str(300)),
            )
    for title, options in option_sections(command, ctx):
        yield f'.SH "{title.upper()}"' if title == "Options" else f'.SS "{title}"'
        for option in options:
            record = option.get_help_record(ctx)
            if record is not None:
                yield from (".TP", rf"\fB{_escaped(record[0])}\fR", _escaped(record[1]) or r"\&")
    if isinstance(command, SpecCommand):
        yield ".SH SPEC"
        for kind in BUILT_IN:
            yield from (".TP", rf"\fB{_escaped(kind.form)}\fR", _escaped(kind.summary))
    if command.epilog:
        yield from (".SH NOTES", ".nf", *map(_escaped, command.epilog.strip("\b\n").splitlines()), ".fi")
    yield from (".SH EXIT STATUS", _escaped(EXIT_CODES))
    if len(path) > 1:
        yield from (".SH SEE ALSO", rf"\fB{_page(path[:-1])}\fR(1)")


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.replace("\b", "").split("\n\n") if part.strip()]


def _page(path: tuple[str, ...]) -> str:
    return "-".join(path)


def _escaped(text: str) -> str:
    """Text that roff prints as it is, on one line."""
    flat = re.sub(r"\s+", " ", text).strip().replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + flat if flat[:1] in (".", "'") else flat


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").strip())
    write(Path(sys.argv[1]))
