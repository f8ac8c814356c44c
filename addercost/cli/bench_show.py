"""`addercost bench show FILE`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.bench_results import (
    check_outputs,
    cost_model_option,
    document_among,
    print_results,
    result_options,
    write_results,
)
from addercost.cli.help import HelpCommand
from addercost.cli.options import hardware_path_option
from addercost.cli.processors import cpus_option
from addercost.errors import ArgumentError


@click.command(cls=HelpCommand, short_help="Print measurements made before.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@cpus_option("Estimate layers by this table, in place of what FILE has; repeatable.")
@cost_model_option
@hardware_path_option
@result_options
def show(
    file: Path,
    cpus: tuple[str, ...],
    cost_models: tuple[str, ...],
    hardware_path: Path | None,
    table_format: str,
    outputs: tuple[Path, ...],
    chrome_trace: Path | None,
    force: bool,
) -> None:
    """Print measurements made before, or what a killed run left in FILE.json.journal."""
    from addercost.measure.journal import read_measurements

    document_among(outputs)
    check_outputs(outputs, None, chrome_trace, force)
    if (cost_models or hardware_path) and not cpus:
        raise ArgumentError("--cost-model and --hardware-path estimate", "name a --cpu to estimate by")
    result = read_measurements(file)
    if cpus:
        from addercost.arithmetic import Arithmetic
        from addercost.cost.matrix_units import matrix_unit_lines
        from addercost.cost.target_registry import load_target
        from addercost.measure.estimates import with_estimates
        from addercost.measure.layer_predictions import layer_predictor
        from addercost.measure.predictions import checked_models

        targets = [load_target(name, hardware_path) for name in cpus]
        without_clock = [name for name, target in zip(cpus, targets, strict=True) if target.clock_hz is None]
        if without_clock:
            raise ArgumentError(
                f"no times by {', '.join(without_clock)}: the table has no clock", "give one: --clock 1.8GHz"
            )
        layout, caches = result.settings.get("layout", "contiguous"), result.settings.get("cache", "warm")
        predict = layer_predictor(cpus, checked_models(cost_models), hardware_path, layout, caches)
        adders = {row.dtype for row in result.rows if row.arithmetic == Arithmetic.ADDER}
        result = with_estimates(result, predict, cpus, matrix_unit_lines(targets, sorted(adders)))
    write_results(result, outputs, chrome_trace)
    print_results(result, table_format)
