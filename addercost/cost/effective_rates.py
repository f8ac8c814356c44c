"""The model of three numbers: what a whole part takes for a layer, and so for a network, its sum.

    seconds = cycles of its inner loops by `throughput` / (cores × clock × arithmetic share)
            + bytes that its kernels move / (memory bandwidth × bandwidth share)
            + kernels × seconds a call

The three numbers, an `Efficiency`, are fitted on networks that were measured on that part, where its table
has them (`[[efficiencies]]`), else those of its class of devices. Kernels and bytes are those of the run that
the model is named after; see `addercost.counts.runs`. `addercost.cost.efficiency_fit` fits.

Expected and got, on 1,434 networks of timm on a 14-core i9-10940X, batch 1, compiled, half of the families
fitted and the other half predicted (`benchmarks/results/published-timings-*.txt` have the figures of today).
The form was chosen by looking at all of them:

- Bytes as an eager run moves them, every operator a call: 82 % of the networks within ± 25 %.
- Bytes of a fused run with one call a library kernel: expected to be better, got 80 %. What was missing is
  that a compiled graph reorders the weights of convolutions on every call. With that 84 %.
- A normalisation reads its input three times, a transcendental function takes as long as some fifty
  multiply-adds: 86 %, and a rank correlation of 0.98 instead of 0.97.
- Attention as one kernel that keeps its scores, in place of its parts: expected to be better, got 84 instead
  of 86 % on a sample of 240, since such kernels run below the rate of products. On an RTX 3090, eager, in
  fp16, it is 88 instead of 67 %, because the parts of attention in halves are computed in fp32.
- Caches that hold what fits (activations of a call whose working set is below 1, 4, 14 or 19 MB take half, a
  quarter or nothing of the time): expected to help at batch 1, got 83 to 85 %. So every byte costs the
  same.
- The larger of arithmetic and bytes in place of their sum: 76 to 80 %.
- Ninety-three numbers, three for each kind of operator, instead of three: 85 % of unseen families. What is
  left is in single families (VGG's first linear layers, which run as convolutions, LSTMs, large depthwise
  filters), not in the form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from addercost.cost.bounds import Bound, Executions, ThroughputBounds
from addercost.cost.columns import Column
from addercost.cost.cost_model import CostModel, without_rates
from addercost.cost.device_classes import class_default
from addercost.cost.layers import Moved
from addercost.cost.lowering import Lowering
from addercost.cost.target import Target
from addercost.counts.runs import Run
from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.vocabulary import Quality
from addercost.units import si

RunOf = Callable[[Moved], Run | None]


def effective_model(name: str, description: str, run_of: RunOf) -> CostModel:
    """The cost model of that name. run_of: the kernels and bytes of its mode of running."""

    def rule(bounds: ThroughputBounds, executions: Executions, moved: Moved) -> list[Bound]:
        return parts(bounds, executions, run_of(moved), efficiency_of(bounds.target, name))

    def missing(target: Target, executions: Executions, moved: Moved) -> Mapping[str, Column]:
        if not target.has_part_rates:
            return {"bytes through memory (bandwidth or clock)": moved.n_bytes}
        if run_of(moved) is None:
            return {"the bytes of its kernels (the counts are older than these)": moved.n_bytes}
        return {}

    def assumes(target: Target) -> Iterator[str]:
        if target.has_part_rates:
            yield from _assumes(target, efficiency_of(target, name))

    return CostModel(
        name=name,
        description=description,
        lowering=Lowering.KERNELS,
        rule=rule,
        adds_up=True,
        on_all_cores=True,
        needs_memory=True,
        missing=missing,
        assumes=assumes,
        unusable=lambda target: without_rates(target, target.part_bandwidth_bytes_per_s),
    )


def efficiency_of(target: Target, mode: str) -> Efficiency:
    """The one that was fitted on the target in this mode, else that of its class of devices."""
    fitted = [efficiency for efficiency in target.efficiencies if efficiency.run == mode]
    return fitted[-1] if fitted else class_default(target.device_class)


def parts(
    bounds: ThroughputBounds, executions: Executions, run: Run | None, efficiency: Efficiency
) -> list[Bound]:
    """Cycles of arithmetic, bytes and calls; of arithmetic alone where a rate or the kernels are unknown."""
    target = bounds.target
    cores = (target.cores or 1) * efficiency.arithmetic_share
    arithmetic = Bound("arithmetic", bounds.largest(executions) / cores)
    if run is None or target.clock_hz is None or target.part_bandwidth_bytes_per_s is None:
        return [arithmetic]
    bandwidth = target.part_bandwidth_bytes_per_s * efficiency.bandwidth_share
    call_s = 0.0 if target.replays_graphs else efficiency.call_s
    return [
        arithmetic,
        Bound("memory bandwidth", run.n_bytes / bandwidth * target.clock_hz),
        Bound("kernel calls", run.calls * (call_s * target.clock_hz)),
    ]


def _assumes(target: Target, efficiency: Efficiency) -> Iterator[str]:
    assert target.part_bandwidth_bytes_per_s is not None
    cores = f"{target.cores} cores" if target.cores and target.cores > 1 else "one core"
    if target.device_class == "gpu":
        cores = "the whole GPU"
    call_s = 0.0 if target.replays_graphs else efficiency.call_s
    yield (
        f"{cores} at {efficiency.arithmetic_share:.2g} of the throughput, "
        f"{efficiency.bandwidth_share:.2g} of {si(target.part_bandwidth_bytes_per_s, 'B/s')}, "
        f"{si(call_s, 's')} a kernel: {efficiency.source}"
    )
    if efficiency.spread is not None:
        spread = f"{efficiency.spread:.2g}"
        what = "are assumed to take" if efficiency.quality is Quality.MODEL else "take"
        yield f"nine networks of ten {what} between 1/{spread} and {spread} times as long"
