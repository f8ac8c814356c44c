"""The SPEC argument of commands: completed by the shell, and listed kind by kind in the command's help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class SpecCommand(click.Command):
    """A command whose help ends with the kinds of SPEC, those of other packages too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from addercost.sources.registry import kinds

        super().format_options(ctx, formatter)
        with formatter.section("SPEC"):
            formatter.write_dl([(kind.form, kind.summary) for kind in kinds()])


def spec_argument(name: str, **settings: Any) -> Callable[[F], F]:
    """A `click.argument` that takes a SPEC."""
    return click.argument(name, shell_complete=complete_spec, **settings)


def complete_spec(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """SPECs that begin with `incomplete`, as far as their kinds can list them, and files and folders."""
    from addercost.sources.registry import kinds

    found = [spec for kind in kinds() for spec in kind.complete(incomplete)]
    suffixes = tuple({suffix for kind in kinds() for suffix in kind.suffixes})
    return found + _files(incomplete, suffixes)


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    folder, slash, start = incomplete.rpartition("/")
    try:
        entries = sorted(Path(folder + slash or ".").iterdir())
    except OSError:
        return []
    found = []
    for entry in entries:
        name = entry.name
        if not name.startswith(start) or (name.startswith(".") and not start):
            continue
        if entry.is_dir():
            found.append(f"{folder}{slash}{name}/")
        elif name.endswith(suffixes):
            found.append(f"{folder}{slash}{name}")
    return found
