"""`addercost llm SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.accelerators import accelerator_options
from addercost.cli.emit import check_output, emit, emit_table
from addercost.cli.estimates import Estimates, cpus_were_named, estimate_options
from addercost.cli.help import BriefOption
from addercost.cli.numbers import parsed_bytes
from addercost.cli.options import (
    arithmetic_option,
    debug_option,
    figure_option,
    force_option,
    format_option,
    output_option,
    parsed_batches,
    quiet_option,
    what_if_option,
)
from addercost.cli.plot import figure_format_of
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.counts.weight_formats import MIXTURES, WEIGHT_FORMATS
from addercost.errors import ArgumentError
from addercost.garbage_collection import without_garbage_collection

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.report.plots.style import FigureFormat
    from addercost.results.language_model import LanguageModelReport

FORMATS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""torch's names of the number formats in which a model can compute."""


@click.command(cls=SpecCommand)
@spec_argument("spec")
@click.option(
    "--prompt", type=click.IntRange(min=1), default=512, show_default=True, help="Tokens read at once."
)
@click.option(
    "--context",
    type=click.IntRange(min=1),
    help="Tokens before the one that is written. Default: 1024, or all that the model takes.",
)
@click.option(
    "--new",
    type=click.IntRange(min=0),
    default=128,
    show_default=True,
    help="Tokens written after the prompt; 0 for no whole text.",
)
@click.option("--source", type=click.IntRange(min=1), metavar="N", help="Tokens that an encoder reads.")
@click.option(
    "--batch", "batches", default="1", show_default=True, metavar="LIST", help="Texts at once: 1,8."
)
@click.option(
    "--dtype",
    type=click.Choice(list(FORMATS)),
    help="Format of floating-point weights, if not the model's.",
)
@click.option(
    "--weights",
    metavar="FORMAT",
    cls=BriefOption,
    brief="Format of the weights: int8, q4_k_m, fp16, …",
    help=f"Format of the weights of linear layers: {', '.join((*WEIGHT_FORMATS, *MIXTURES))}; or of all: "
    f"{', '.join(FORMATS)}.",
)
@click.option(
    "--activations",
    type=click.Choice(["int8"]),
    help="With --weights or a GGUF file: round activations to int8, in place of bringing weights back.",
)
@click.option("--cache", metavar="FORMAT", help="Format of keys and values: int8, int4, fp8.")
@click.option(
    "--ram",
    metavar="SIZE",
    help="Memory that weights and cache must fit, such as 24G. Default: the machine's, where it is known.",
)
@arithmetic_option("Every linear layer in this arithmetic:")
@what_if_option
@estimate_options()
@accelerator_options
@format_option
@figure_option("Draw time by context and roofline: FILE.svg, .pdf, .png.")
@output_option("Write to a file instead of the terminal.")
@force_option()
@debug_option
@quiet_option
def llm(
    spec: str,
    prompt: int,
    context: int | None,
    new: int,
    source: int | None,
    batches: str | None,
    dtype: str | None,
    weights: str | None,
    activations: str | None,
    cache: str | None,
    ram: str | None,
    arithmetic: str | None,
    what_if: tuple[str, ...],
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
    table_format: str,
    figure: Path | None,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Say what it costs to read a prompt, to write a token, to write a text.

    SPEC is a text decoder: hf:llama, a folder or config.json, a Python file, or a GGUF file, whose weights
    count in their own formats. Both phases are traced from its own code, with the cache that it returns. A
    result of --format json is shown again.
    """
    check_output(output, force)
    check_output(figure, force)
    figure_format = figure_format_of(figure)
    chosen = parsed_batches(batches) or (1,)
    estimates.check()
    on_accelerators.check(estimates.hardware_path)

    saved = _saved(spec)
    if saved is not None:
        _write(saved, table_format, figure, figure_format, output, force)
        return
    if weights in FORMATS:
        if dtype not in (None, weights):
            raise ArgumentError(f"--weights {weights} and --dtype {dtype} contradict each other", "name one")
        dtype, weights = weights, None

    with without_garbage_collection():
        from addercost.language_models import language_model

    with progress(f"tracing {spec}", quiet):
        report = language_model(
            spec,
            prompt=prompt,
            context=context,
            new=new,
            source=source,
            batches=chosen,
            ram_bytes=parsed_bytes(ram, "--ram"),
            with_curve=figure is not None,
            dtype=FORMATS[dtype] if dtype else None,
            arithmetic=arithmetic,
            what_if=(*_stored(spec, weights, activations, cache), *what_if),
            activations=activations,
            accelerators=on_accelerators,
            **estimates.arguments(),
        )
    _write(report, table_format, figure, figure_format, output, force)


def _saved(spec: str) -> LanguageModelReport | None:
    """The report in a file of `--format json`; None for any other SPEC. Raises DataError if it is damaged."""
    path = Path(spec)
    if path.suffix != ".json" or not path.is_file():
        return None
    from addercost.input_files import read_text
    from addercost.reading import json_data
    from addercost.results.language_model import language_model_from_data

    data = json_data(read_text(path), spec)
    return language_model_from_data(data, spec) if isinstance(data, dict) and "schema" in data else None


def _write(
    report: LanguageModelReport,
    table_format: str,
    figure: Path | None,
    figure_format: FigureFormat | None,
    output: Path | None,
    force: bool,
) -> None:
    from addercost.report.tables.language_model import language_model_table

    if figure is not None and figure_format is not None:
        from addercost.report.plots import language_model as drawing
        from addercost.report.plots.style import PlotOptions, figure_bytes
        from addercost.results.files import write_file

        write_file(figure, figure_bytes(drawing.draw(report, PlotOptions()), figure_format), force)
    if table_format == "json":
        emit(lambda width, styled: report.to_json(), output, force)
    else:
        emit_table(language_model_table(report, not cpus_were_named()), table_format, output, force)


def _stored(spec: str, weights: str | None, activations: str | None, cache: str | None) -> list[str]:
    """The what-ifs for the options. Raises ArgumentError for options that contradict each other."""
    if activations and not weights and not spec.endswith(".gguf"):
        raise ArgumentError(
            "--activations is of stored weights, and --weights names none", "add --weights int8"
        )
    found = [f"weights={weights}{f'/{activations}' if activations else ''}"] if weights else []
    return found + ([f"cache={cache}"] if cache else [])
