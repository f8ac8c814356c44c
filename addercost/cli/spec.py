"""The SPEC argument of commands: completed by the shell, and listed kind by kind in the command's help."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from addercost.cli.help import HelpCommand, is_everything
from addercost.cli.numbers import SecondsRange
from addercost.sources.kind import TRUST

F = TypeVar("F", bound=Callable[..., Any])

_FEW_FORMS = "model.py, torchvision:resnet50, zoo:lenet5-bn, hf:llama, model.onnx, …"


class SpecCommand(HelpCommand):
    """A command that loads SPECs. It limits what their code may do and how long it may take. Its help ends
    with the kinds of SPEC, also those of other packages.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params += [
            click.Option(
                ["--timeout"],
                type=SecondsRange(min=0),
                default=600.0,
                show_default=True,
                metavar="SECONDS",
                help="For a model's constructor and for its forward; 0 for no limit.",
                expose_value=False,
                callback=_limit_time,
            ),
            click.Option(
                ["--trust"],
                is_flag=True,
                help=f"Read a program.pt2 that could run code when it is read [env: {TRUST}=1].",
                expose_value=False,
                callback=_trust,
            ),
        ]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from addercost.sources.registry import kinds

        super().format_options(ctx, formatter)
        with formatter.section("SPEC"):
            if is_everything(ctx):
                formatter.write_dl([(kind.form, kind.summary) for kind in kinds()])
            else:
                formatter.write_text(_FEW_FORMS)


def _limit_time(ctx: click.Context, param: click.Parameter, seconds: float) -> None:
    from addercost.sources.time_limit import set_command_limit

    set_command_limit(seconds)


def _trust(ctx: click.Context, param: click.Parameter, trusted: bool) -> None:
    if trusted:
        # Processes that this one starts trust the file as well.
        os.environ[TRUST] = "1"


def spec_argument(name: str, **settings: Any) -> Callable[[F], F]:
    """A `click.argument` that takes a SPEC."""
    return click.argument(name, shell_complete=complete_spec, **settings)


def complete_spec(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completions for the shell: SPECs that begin with `incomplete`, if their kinds can list them, and files
    and folders.
    """
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
