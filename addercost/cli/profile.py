"""`addercost profile SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.accelerators import accelerator_options
from addercost.cli.emit import check_output, emit, emit_table
from addercost.cli.estimates import Estimates, caveats_of, cpus_were_named, estimate_options, refuse_changes
from addercost.cli.numbers import FiniteRange
from addercost.cli.options import (
    all_option,
    arithmetic_option,
    backward_option,
    batches_option,
    convention_option,
    fuse_attention_option,
    input_option,
    keep_first_last_option,
    latex_width,
    output_options,
    parsed_batches,
    parsed_inputs,
    quiet_option,
    was_given,
    what_if_option,
)
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError, CheckFailedError

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.analysis.alternatives import OtherArithmetic


@click.command(cls=SpecCommand)
@spec_argument("spec")
@input_option
@batches_option
@backward_option
@fuse_attention_option
@click.option(
    "--tracer",
    default="dispatch",
    show_default=True,
    metavar="NAME",
    help="dispatch; blocks: the same, equal layers of a deep stack traced once; or fvcore: an independent "
    "second opinion through torch.jit, which computes.",
)
@convention_option
@arithmetic_option("Every convolution and linear layer in this arithmetic:")
@what_if_option
@click.option(
    "--density",
    type=FiniteRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Only so large a share of every weight is stored and used: --what-if density=SHARE.",
)
@keep_first_last_option
@estimate_options()
@accelerator_options
@click.option(
    "--optimizer",
    metavar="NAME",
    help="With --backward: whose state the memory has in it, sgd (default), momentum or adam.",
)
@all_option("Every layer in its order, not the costliest blocks.")
@click.option("--explain", is_flag=True, help="Write the notes out: assumptions, figures, sources.")
@click.option("--depth", type=click.IntRange(min=0), help="Sum layers below this depth of the module tree.")
@click.option("--sort", metavar="COLUMN", help="Order by a column, largest first.")
@click.option("--top", type=click.IntRange(min=1), help="Only so many rows; the rest in one.")
@output_options
@click.option("--strict", is_flag=True, help="Exit with 1 if anything could not be counted or estimated.")
@click.option("--save-trace", type=click.Path(path_type=Path), metavar="FILE", help="Keep the trace as JSON.")
@quiet_option
def profile(
    spec: str,
    inputs: tuple[str, ...],
    batches: str | None,
    backward: bool,
    fuse_attention: bool,
    tracer: str,
    convention: str,
    arithmetic: str | None,
    what_if: tuple[str, ...],
    density: float | None,
    keep_first_last: bool,
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
    optimizer: str | None,
    show_all: bool,
    explain: bool,
    depth: int | None,
    sort: str | None,
    top: int | None,
    table_format: str,
    output: Path | None,
    force: bool,
    strict: bool,
    save_trace: Path | None,
    quiet: bool,
) -> None:
    """Count what each layer of a model computes and estimate what it costs.

    The answer comes first, then the costliest blocks of layers. SPEC is one of the forms listed below. A
    saved profile or report is printed as it was counted. Nothing is computed and no weight is allocated.
    """
    from addercost.counts.conventions import convention_named
    from addercost.counts.peak_memory import check_optimizer

    # Wrong names and unwritable files are reported before torch is imported.
    check_output(output, force)
    check_output(save_trace, force)
    convention_named(convention)
    estimates.check()
    on_accelerators.check(estimates.hardware_path)
    check_optimizer(optimizer)
    if density is not None:
        what_if = (*what_if, f"density={density}")

    sizes = parsed_batches(batches)
    if len(sizes) > 1 and save_trace is not None:
        raise ArgumentError("--save-trace keeps one trace", "name one --batch")

    from addercost.api import profile as profile_model
    from addercost.api import trace_batches
    from addercost.report.formats.profile_format import render_batches, render_profile
    from addercost.report.formats.table_format import TableFormat
    from addercost.report.tables.profile import ProfileView
    from addercost.results.files import write_file
    from addercost.results.trace import trace_to_json
    from addercost.sources.kind import ProfileRequest
    from addercost.sources.registry import kind_of

    kind = kind_of(spec)
    load_weights = kind.load_weights
    if load_weights is not None:
        from addercost.report.tables.gguf import gguf_table
        from addercost.sources.loading import explained

        _refuse_for_weights(spec)
        header = explained(kind, spec, lambda: load_weights(spec))
        emit_table(gguf_table(header, Path(spec).name), table_format, output, force)
        return
    load_profile = kind.load_profile
    traced = None
    if load_profile is not None:
        refuse_changes(spec)
        counted_by = convention if was_given("convention") else None
        cpus = estimates.cpus if cpus_were_named() else None
        asked = ProfileRequest(counted_by, arithmetic, cpus, estimates.cost_models, estimates.hardware_path)
        profiles = {1: load_profile(spec, asked)}
    else:
        with progress(f"tracing {spec}", quiet):
            traced = trace_batches(
                spec, sizes, parsed_inputs(inputs), backward, tracer, fuse_attention, memory=True
            )
            profiles = {
                size: profile_model(
                    trace,
                    convention=convention,
                    arithmetic=arithmetic,
                    what_if=what_if,
                    keep_first_last=keep_first_last,
                    optimizer=optimizer,
                    accelerators=on_accelerators,
                    **estimates.arguments(),
                )
                for size, trace in traced.traces.items()
            }
    chosen, page = TableFormat(table_format), latex_width()
    view = ProfileView(
        show_all, depth, sort, top, explain, on_command_line=True, no_processor_chosen=not cpus_were_named()
    )
    made = next(iter(profiles.values()))
    caveats = caveats_of((*made.estimates, *made.accelerators), estimates.hardware_path)
    if len(profiles) > 1 and traced is not None:
        how = traced.how
        emit(
            lambda width, styled: render_batches(profiles, how, chosen, view, caveats, width, styled, page),
            output,
            force,
        )
    else:
        others: tuple[OtherArithmetic, ...] = ()
        if traced is not None and chosen is TableFormat.TABLE:
            from addercost.analysis.alternatives import alternatives

            others = alternatives(traced.traces[sizes[0]], made, estimates.hardware_path, estimates.kernels)
        emit(
            lambda width, styled: render_profile(made, chosen, view, others, caveats, width, styled, page),
            output,
            force,
        )
    if save_trace is not None and traced is not None:
        write_file(save_trace, trace_to_json(traced.traces[sizes[0]]), force)
    if strict:
        for result in profiles.values():
            _require_complete(result)


_FITS_WEIGHTS = ("spec", "table_format", "output", "force", "quiet")


def _refuse_for_weights(spec: str) -> None:
    parameters = click.get_current_context().command.params
    given = [p.opts[0] for p in parameters if p.name not in _FITS_WEIGHTS and was_given(p.name or "")]
    if given:
        raise ArgumentError(
            f"{spec} has weights and no forward to count: {', '.join(given)} has nothing to work on",
            "leave it out, or name the model's configuration, such as hf:llama",
        )


def _require_complete(result: object) -> None:
    from addercost.results.profile import Profile

    assert isinstance(result, Profile)
    if not result.counts.complete:
        listed = ", ".join(item.op for item in result.counts.uncounted)
        raise CheckFailedError(f"--strict: no counting rule for {listed}")
    for cost in result.estimates:
        if not cost.complete:
            missing = "; ".join(str(item) for item in cost.missing)
            raise CheckFailedError(f"--strict: {missing}")
