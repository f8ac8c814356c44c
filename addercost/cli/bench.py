"""`addercost bench SPEC`, and `addercost bench show` and `diff` for its results."""

from __future__ import annotations

import click

from addercost.cli.bench_diff import diff
from addercost.cli.bench_run import run
from addercost.cli.bench_show import show
from addercost.cli.default_command import DefaultCommandGroup


@click.group(cls=DefaultCommandGroup, no_args_is_help=True)
def bench() -> None:
    """Time every layer of a model on this machine: `addercost bench SPEC`.

    Each convolution and linear layer as a multiplication, an addition, a binary and a shift layer, beside the
    vendor's kernel and beside what the cost models say. `addercost bench run --help` lists the options.
    """


for command in (run, show, diff):
    bench.add_command(command)
