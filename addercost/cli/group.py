"""The command group. Its help lists commands by purpose, and only the called command is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from addercost.cli.exit_codes import EXIT_CODES
from addercost.errors import unknown_name
from addercost.version import __version__

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Analyse": {
        "profile": "what each layer of a model computes and is estimated to cost",
        "compare": "models × arithmetics × processors side by side",
        "reproduce": "the published AdderNet numbers beside ours",
        "llm": "what a language model costs: a prompt, a token, a text",
        "reconcile": "what other tools report for a model, and why it differs",
        "rank": "on which processors additions pay, all of them in order",
        "sensitivity": "which table figure decides, and where the two break even",
    },
    "Show": {
        "report": "one page, or tables for a paper, about models and measurements",
        "plot": "one figure for a paper",
        "diff": "what differs between two profiles",
        "check": "check a model against budgets; exits with 1 when one is exceeded",
    },
    "Train and scale": {
        "train": "train a network, adder networks as their paper does, into a folder",
        "sweep": "many architectures × processors, on all cores or a cluster",
        "query": "SQL over what a sweep made",
    },
    "Measure": {
        "bench": "time every layer on this machine in each arithmetic",
        "doctor": "what this machine offers, what is missing, and what would mend it",
        "verdict": "who wins on this machine, and limited by what",
        "validate": "how far each cost model is from measured or published times",
    },
    "Hardware": {
        "hardware": "the processors and energy tables that estimates use",
        "tune": "find the fastest schedules of our kernels on this machine",
        "calibrate": "measure this machine into a table: then --cpu host works",
    },
}
"""Commands by group, in the order of the help, with the line that the help shows. Each has a file of its
name.
"""

SUMMARIES = {name: summary for group in COMMANDS.values() for name, summary in group.items()}


class LazyGroup(click.Group):
    """Imports `addercost.cli.<command>` when the command is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUMMARIES:
            raise unknown_name("command", cmd_name, SUMMARIES)
        module = importlib.import_module(f"addercost.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _own_interrupts():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _own_interrupts():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, commands in COMMANDS.items():
            with formatter.section(group):
                formatter.write_dl(list(commands.items()))
        with formatter.section("Exit codes"):
            formatter.write_text(EXIT_CODES)


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Handles Ctrl-C and the end of a file before click does. Click treats the second as the first, and
    prints an empty line for both.
    """
    try:
        yield
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            click.echo(err=True)  # after the terminal's ^C
        raise click.Abort from None
    except EOFError as error:
        raise RuntimeError(f"EOFError: {error}") from error


_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=LazyGroup, context_settings=_HELP, no_args_is_help=True)
@click.version_option(__version__, prog_name="addercost")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """What a neural network costs on real processors: as it is, and with adder (L1), binary or shift layers
    in place of its multiplications.

    Start with: addercost profile torchvision:resnet50 --cpu intel-skylake-x
    """
