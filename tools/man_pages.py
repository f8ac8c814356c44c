"""Manual pages of the commands, from the same source as `--help`: addercost.1, addercost-profile.1, …

Usage: python tools/man_pages.py DIR
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from docs_commands import contexts, paragraphs, summary

from addercost.cli.exit_codes import EXIT_CODES
from addercost.cli.group import cli
from addercost.cli.help import option_sections
from addercost.cli.spec import SpecCommand
from addercost.sources.registry import BUILT_IN
from addercost.version import __version__

NAME = "addercost"


def pages() -> dict[str, str]:
    """Their text by file name."""
    root = click.Context(cli, info_name=NAME, **cli.context_settings)
    return {f"{_page(ctx)}.1": "\n".join([*_lines(ctx), ""]) for ctx in contexts(root)}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _lines(ctx: click.Context) -> Iterator[str]:
    command, described = ctx.command, paragraphs(ctx)
    name, usage = _page(ctx), " ".join(command.collect_usage_pieces(ctx))
    yield f'.TH "{name.upper()}" 1 "" "{NAME} {__version__}" "User Commands"'
    yield from (".SH NAME", rf"{name} \- {_escaped(summary(ctx) or described[0].rstrip('.'))}")
    yield from (".SH SYNOPSIS", rf"\fB{ctx.command_path}\fR {_escaped(usage)}")
    yield ".SH DESCRIPTION"
    for paragraph in described:
        yield from (".PP", _escaped(paragraph))
    children = [child for child in contexts(ctx) if child.parent is ctx]
    if children:
        yield ".SH COMMANDS"
        for child in children:
            yield from (".TP", rf"\fB{_page(child)}\fR(1)", _escaped(summary(child)))
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
    if ctx.parent is not None:
        yield from (".SH SEE ALSO", rf"\fB{_page(ctx.parent)}\fR(1)")


def _page(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def _escaped(text: str) -> str:
    """Text that roff prints as it is, on one line."""
    flat = re.sub(r"\s+", " ", text).strip().replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + flat if flat[:1] in (".", "'") else flat


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").strip())
    write(Path(sys.argv[1]))
