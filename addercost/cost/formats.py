"""The same network in another number format: rewrites counts, not the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.layers import CountedLayer, CountedModel, bytes_moved, layers_of
from addercost.counts.runs import LayerRuns, Run

_FLOATS = ("fp16", "bf16", "fp32", "fp64")
_REQUANTISED = (OpClass.MUL, OpClass.ADD, OpClass.ABS)


@dataclass(frozen=True, slots=True)
class ReformattedLayer:
    """A layer whose counts were rewritten. bytes: read and written together. runs: kernels and their bytes,
    as a counted layer has them.
    """

    path: str
    counts: OpCounts
    arithmetic: Arithmetic | None
    mac_sites: int
    bytes: float
    runs: LayerRuns | None = None


def as_int8(model_counts: CountedModel | Iterable[CountedLayer]) -> list[ReformattedLayer]:
    """Rewrites the layers that have sites to int8: multiplications, additions and |·| in int8, and a quarter
    of the bytes.

    Layers without sites stay as they are. A quantised network keeps its normalisations and activations in
    floating point or folds them away, and counts do not say which. Rescaling between layers is left out.
    """
    return [_int8(layer) for layer in layers_of(model_counts)]


def _int8(layer: CountedLayer) -> ReformattedLayer:
    sites = getattr(layer, "mac_sites", 0)
    runs: LayerRuns | None = getattr(layer, "runs", None)
    arithmetic = getattr(layer, "arithmetic", None)
    if not sites:
        return ReformattedLayer(layer.path, layer.counts, arithmetic, 0, bytes_moved(layer), runs)
    counts: dict[tuple[OpClass, str], int] = {}
    for op_class, number_format, n in layer.counts:
        quantised = op_class in _REQUANTISED and number_format in _FLOATS
        key = (op_class, "int8" if quantised else number_format)
        counts[key] = counts.get(key, 0) + n
    return ReformattedLayer(
        layer.path,
        OpCounts.from_mapping(counts),
        arithmetic,
        sites,
        bytes_moved(layer) / 4,
        None if runs is None else LayerRuns(_quarter(runs.eager), _quarter(runs.fused)),
    )


def _quarter(run: Run) -> Run:
    return Run(run.calls, run.n_bytes // 4)
