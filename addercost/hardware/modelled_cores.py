"""Cores without a scheduling model: they take another core's figures, with stated differences."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.errors import DataError
from addercost.hardware.schema.cpu import Cpu, Modelled, ModelledCore
from addercost.hardware.schema.instruction import Instruction


def with_figures(core: ModelledCore, other: Cpu) -> Cpu:
    """The table of `core`. Its figures are those of `other`, except for those that `core` has itself.

    Raises DataError where both use one id for different sources, since the source of figures would be
    ambiguous.
    """
    for id_ in core.sources.keys() & other.sources.keys():
        if core.sources[id_] != other.sources[id_]:
            raise DataError(
                f"{core.file}: sources.{id_} is another source in {other.file}: expected an id of its own"
            )
    return Cpu(
        name=core.name,
        title=core.title,
        vendor=core.vendor,
        isa=core.isa,
        file=core.file,
        instructions=(*core.instructions, *_kept(core, other)),
        sources={**core.sources, **other.sources},
        preferred_float_form=other.preferred_float_form,
        max_vector_bits=core.max_vector_bits or other.max_vector_bits,
        issue_width_uops=other.issue_width_uops,
        caveats=(*core.caveats, *other.caveats),
        modelled=Modelled(core.modelled_as, core.modelled_because, len(core.instructions)),
    )


def _kept(core: ModelledCore, other: Cpu) -> Iterator[Instruction]:
    own = {(row.op, row.form, row.vector_bits) for row in core.instructions}
    for row in other.instructions:
        if (row.op, row.form, row.vector_bits) in own:
            continue
        if core.max_vector_bits is not None and row.vector_bits > core.max_vector_bits:
            continue
        number_format = row.op.partition("_")[0]
        if not {row.op, row.form.value, number_format} & set(core.without):
            yield row
