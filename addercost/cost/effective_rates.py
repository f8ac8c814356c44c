"""The cost model with three fitted numbers: the time that all cores of a part take for a layer. A network
takes the sum.

    seconds = cycles of its inner loops by `throughput` / (cores × clock × arithmetic share)
            + bytes that its kernels move / (memory bandwidth × bandwidth share)
            + kernels × seconds a call

The two shares and the seconds a call are an `Efficiency`. A table may have numbers that were fitted to
networks measured on that part (`[[efficiencies]]`); otherwise those of its class of devices are used
(`device_classes`). Kernels and bytes are those of the mode of running that the model is named after, eager or
fused; see `addercost.counts.runs`. `addercost.cost.efficiency_fit` fits the numbers.

The form of the law was chosen on 1,434 networks of timm on a 14-core i9-10940X, batch 1, compiled. The
numbers were fitted to half of the families of networks, and the other half was predicted. The percentages
below are the shares of networks that are predicted within ± 25 %
(`benchmarks/results/published-timings-*.txt` have the figures of today):

- Bytes as an eager run moves them, with one call for each operator: 82 %.
- Bytes of a fused run with one call for each library kernel: expected to be better, got 80 %. A compiled
  graph reorders the weights of convolutions on every call; with the bytes of that, 84 %.
- With a normalisation that reads its input three times, and a transcendental function that takes as long as
  fifty multiply-adds: 86 %, and a rank correlation of 0.98 instead of 0.97.
- Attention as one kernel that keeps its scores, in place of one kernel for each of its operators: expected to
  be better, got 84 instead of 86 % on a sample of 240, since such kernels run below the rate of products. On
  an RTX 3090, eager, in fp16, it gives 88 instead of 67 %, because the separate operators of fp16 attention
  are computed in fp32.
- Cheaper bytes for calls whose working set fits into a cache of 1, 4, 14 or 19 MB (their activations take
  half, a quarter or nothing of the time): expected to help at batch 1, got 83 to 85 %. So every byte costs
  the same.
- The larger of arithmetic and bytes in place of their sum: 76 to 80 %.
- Ninety-three numbers, three for each kind of operator, instead of three: 85 % of unseen families. The
  remaining errors come from a few families of networks and not from the form of the law: VGG's first linear
  layers, which run as convolutions, LSTMs, and large depthwise filters.
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
    """A cost model of this form. run_of: returns the kernels and bytes of a layer in the model's mode of
    running.
    """

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
    """The efficiency that was fitted to the target in this mode, else that of its class of devices."""
    fitted = [efficiency for efficiency in target.efficiencies if efficiency.run == mode]
    return fitted[-1] if fitted else class_default(target.device_class)


def parts(
    bounds: ThroughputBounds, executions: Executions, run: Run | None, efficiency: Efficiency
) -> list[Bound]:
    """The terms of the sum: cycles of arithmetic, of bytes and of calls. Where the clock, the bandwidth or
    the kernels are unknown, arithmetic alone.
    """
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
