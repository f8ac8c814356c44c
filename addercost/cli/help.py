"""The layout of a command's help: its own options first, then the shared options by purpose.

`--help` leaves out seldom-used options, so that it fits on a screen. `--help-all` and the man pages have all
options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import click

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Model": ("--conv", "--input", "--batch", "--backward", "--fuse-attention", "--tracer", "--save-trace"),
    "Counting": (
        "--convention",
        "--as",
        "--arithmetic",
        "--what-if",
        "--density",
        "--keep-first-last",
    ),
    "Estimates": (
        "--cpu",
        "--gpu",
        "--cost-model",
        "--energy",
        "--accelerator",
        "--clock",
        "--bandwidth",
        "--cores",
        "--graphs",
        "--memory",
        "--accumulator",
        "--equal-area",
        "--leakage",
        "--mapper",
        "--hardware-path",
        "--kernels",
    ),
    "Timing": ("--device", "--threads", "--precision", "--time-limit", "--accept-noise"),
    "Output": (
        *("--format", "--table", "--width", "--figure", "--chrome-trace", "--output", "--force", "--quiet"),
        *("--timeout", "--trust", "--debug", "--help", "--help-all"),
    ),
}
"""Options that several commands share, by purpose. A command's own options come before them."""

SELDOM = frozenset(
    (
        *("--fuse-attention", "--tracer", "--save-trace", "--density", "--keep-first-last"),
        *("--clock", "--bandwidth", "--cores", "--graphs", "--hardware-path", "--kernels"),
        *("--memory", "--accumulator", "--equal-area", "--leakage", "--mapper"),
        *("--accept-noise", "--timeout", "--trust", "--debug"),
        # of profile and train
        "--optimizer",
        # of llm
        *("--source", "--activations"),
        # of bench
        *("--layout", "--timer", "--self-check"),
        # of plot
        *("--share", "--dataset", "--no-caption"),
        # of train
        *(
            "--schedule",
            "--eta",
            "--increase",
            "--momentum",
            "--weight-decay",
            "--checkpoint-every",
            "--workers",
        ),
        # of validate
        *("--unit", "--model-column", "--machine", "--prefix", "--batch-column", "--size-column", "--where"),
        *("--most-sites", "--again", "--anchor", "--scores-only", "--sample"),
    )
)
"""Seldom-used options, which `--help` leaves out."""

_EVERYTHING = "addercost.help.everything"
"""The key that is set in a context whose help shows every option."""


def ask_for_everything(ctx: click.Context) -> None:
    ctx.meta[_EVERYTHING] = True


def is_everything(ctx: click.Context) -> bool:
    return bool(ctx.meta.get(_EVERYTHING))


_NUMBERS = (type(click.INT), type(click.FLOAT))
"""Types that click would show as INTEGER RANGE."""


class BriefOption(click.Option):
    """An option whose help is shorter in `--help` than in `--help-all`, the man page and the reference."""

    def __init__(self, *arguments: Any, brief: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.brief = brief

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        if is_everything(ctx):
            return super().get_help_record(ctx)
        shown = copy(self)
        shown.help = self.brief
        return click.Option.get_help_record(shown, ctx)


class HelpCommand(click.Command):
    """A command whose help has sections, with `--help-all` if `--help` leaves options out."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for param in self.params:
            if param.metavar is None and isinstance(param.type, _NUMBERS):
                param.metavar = "N"

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        if any(_name(param) in SELDOM for param in params):
            return [*params, _help_all_option()]
        return params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in option_sections(self, ctx):
            with formatter.section(title):
                formatter.write_dl([record for option in options if (record := option.get_help_record(ctx))])


class HelpGroup(click.Group):
    """A group whose commands have such a help."""

    command_class = HelpCommand


def option_sections(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, list[click.Option]]]:
    """The headings of a command's help, with the options below each."""
    places = {name: title for title, names in SECTIONS.items() for name in names}
    found: dict[str, list[click.Option]] = {title: [] for title in ("Options", *SECTIONS)}
    for param in command.get_params(ctx):
        if isinstance(param, click.Option) and (is_everything(ctx) or _name(param) not in SELDOM):
            found[places.get(_name(param), "Options")].append(param)
    for title, options in found.items():
        if options:
            names = SECTIONS.get(title, ())
            yield title, sorted(options, key=lambda o: names.index(_name(o)) if names else 0)


def _name(param: click.Parameter) -> str:
    """An option's long name, which the tables above use."""
    return next((name for name in param.opts if name.startswith("--")), param.opts[0])


def _help_all_option() -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, given: Any) -> None:
        if given:
            ask_for_everything(ctx)
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show every option, and what a SPEC can be.",
    )
