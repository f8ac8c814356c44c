"""`addercost sweep SPACE -o DIR`, and `addercost sweep measure`, `top` and `pareto` for its results; `sweep
designs` sweeps accelerators.
"""

from __future__ import annotations

import click

from addercost.cli.default_command import DefaultCommandGroup
from addercost.cli.sweep_designs import designs
from addercost.cli.sweep_measure import measure
from addercost.cli.sweep_rank import pareto, top
from addercost.cli.sweep_run import run


@click.group(cls=DefaultCommandGroup, no_args_is_help=True)
def sweep() -> None:
    """Cost many architectures on many processors: `addercost sweep SPACE -o DIR`.

    SPACE is a Python file that defines `architectures`, zoo:* or torchvision:* (or another pattern), or
    nasbench201. `addercost sweep run --help` lists the options. Ask the result with `addercost query DIR
    SQL`. `addercost sweep designs SPEC` costs one network on many accelerators instead.
    """


for command in (run, measure, top, pareto, designs):
    sweep.add_command(command)
