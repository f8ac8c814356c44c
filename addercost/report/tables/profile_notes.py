"""The brief notes below a profile, one line each, the most important first. `layer_table` has the full
notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from addercost.cost.estimate import ModelCost
from addercost.cost.models import is_serial
from addercost.cost.stated_errors import stated_lines
from addercost.counts.peak_memory import ModelMemory
from addercost.report.tables.accelerator import describe_accelerator
from addercost.report.tables.layers import main_bound, memory_lines
from addercost.report.tables.mixed_models import mixed_models_of
from addercost.results.profile import Profile
from addercost.units import si


def inputs_text(profile: Profile) -> str:
    """A line on what was counted: the inputs, the convention, the changes, and the size of the network."""
    counts = profile.counts
    inputs = ", ".join("x".join(map(str, spec.shape)) or "scalar" for spec in counts.inputs)
    changes = (*counts.what_if, *((counts.arithmetic.value,) if counts.arithmetic else ()))
    what_if = f"what if {' and '.join(changes)}, " if changes else ""
    if changes and profile.keep_first_last:
        what_if = what_if.removesuffix(", ") + " but in the first and last layer, "
    unused = f", {counts.unused_parameters:,} of them not used" if counts.unused_parameters else ""
    return (
        f"{what_if}input {inputs or 'none'}, convention {counts.convention.name}: "
        f"{counts.mac_sites:,} MAC sites, {counts.parameters:,} parameters{unused}"
    )


def brief_notes(profile: Profile, caveats: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The notes. caveats: doubts about hardware tables, by the tables' names."""
    counts = profile.counts
    if counts.uncounted:
        listed = ", ".join(f"{item.op} ({item.calls} calls)" for item in counts.uncounted)
        yield f"LOWER BOUND: no counting rule for {listed}"
    for estimate in profile.estimates:
        if estimate.missing:
            listed = ", ".join(f"{item.figure} ({item.count:,} times)" for item in estimate.missing)
            yield f"LOWER BOUND on {estimate.hardware}: its table has no figure for {listed}"
    yield from (_bound(cost) for cost in profile.costs if not is_serial(cost.model) or cost.interval_s)
    for energy in profile.energies:
        memory = energy.total_j - energy.arithmetic_j
        of = f"{si(memory, 'J')} of it memory traffic" if memory else "arithmetic only"
        bound = "" if energy.complete else "at least "
        yield f"{bound}{si(energy.total_j, 'J')} by {energy.hardware} (estimate), {of}"
    yield from map(describe_accelerator, profile.accelerators)
    yield from mixed_models_of(profile)
    yield from caveat_lines(caveats)
    models = [(cost.model, cost.hardware) for cost in profile.costs]
    yield from stated_lines(models, brief=True, number_format=counts.total.main_format)
    yield from _assumptions(profile)
    if profile.memory is not None:
        yield from _memory(profile.memory)
    if counts.tracer in ("fake", "real"):
        yield f"traced by a {counts.tracer} run"
    yield from counts.notes


def _bound(cost: ModelCost) -> str:
    text = f"{cost.hardware} by {cost.model}: mostly bound by {main_bound(cost)}"
    if cost.interval_s is not None:
        low, high = cost.interval_s
        text += f"; nine of ten expected between {si(low, 's')} and {si(high, 's')}"
    return text


def _memory(memory: ModelMemory) -> Iterator[str]:
    yield (
        f"memory: at most {si(memory.peak_bytes, 'B', 4)} in use, in {memory.peak_path or '(model)'}; "
        f"weights and buffers are {si(memory.weight_bytes, 'B', 4)}"
    )
    yield from list(memory_lines(memory))[1:]


def caveat_lines(caveats: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, texts in caveats.items():
        yield from (f"caveat of {name}: {text}" for text in texts)


def _assumptions(profile: Profile) -> Iterator[str]:
    """Each assumption once, with the names of its tables where not all estimates make it."""
    tables: dict[str, list[str]] = {}
    for estimate in profile.estimates:
        for text in estimate.assumptions:
            tables.setdefault(text, []).append(estimate.hardware)
    for text, names in tables.items():
        of = f" for {' and '.join(dict.fromkeys(names))}" if len(names) < len(profile.estimates) else ""
        yield f"assumed{of}: {text}"
