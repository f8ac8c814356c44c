"""Counting conventions: which operations of a call are counted, and as what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.counts.arithmetics import exact_counts, site_counts
from addercost.counts.norm_operators import BATCH_NORMS, ROW_NORMS
from addercost.counts.work import OperatorWork, Sites
from addercost.errors import unknown_name
from addercost.trace.record import OpCall


@dataclass(frozen=True, slots=True)
class CountingConvention:
    """A named way to turn a call and its work into operation counts.

    counts: the function that does it. title: one line for headers. source: who counts this way.
    """

    name: str
    title: str
    source: str
    counts: Callable[[OpCall, OperatorWork], OpCounts]


def _full(call: OpCall, work: OperatorWork) -> OpCounts:
    return OpCounts.sum((work.other, *(exact_counts(sites) for sites in work.sites)))


def _macs(call: OpCall, work: OperatorWork) -> OpCounts:
    return OpCounts.sum(site_counts(sites) for sites in work.sites)


def _tool_units(call: OpCall, work: OperatorWork, per_norm_element: int, biased: bool) -> OpCounts:
    """A tool's single number n as n multiplications and n additions, because n is usually quoted this way.

    Sites of another arithmetic count their own two operations instead.
    """
    counts = [
        site_counts(replace(sites, count=sites.count + (sites.biased if biased else 0)))
        for sites in work.sites
    ]
    if per_norm_element:
        x = call.tensors()[0]
        as_sites = Sites(
            per_norm_element * x.numel, 0, number_format=x.number_format, arithmetic=Arithmetic.MAC
        )
        counts.append(site_counts(as_sites))
    return OpCounts.sum(counts)


_UNKNOWN_TO_TOOLS = ("aten._trilinear", "aten.bilinear")
"""Operators that have sites but that thop and fvcore do not know."""


def _thop(call: OpCall, work: OperatorWork) -> OpCounts:
    """K + 1 (its bias) for an output of a convolution, 2 for an element of batch norm, and K for an output of
    a linear layer, whose bias thop leaves out.
    """
    if call.name in _UNKNOWN_TO_TOOLS:
        return OpCounts()
    is_convolution = "conv" in call.name
    return _tool_units(call, work, 2 if call.name in BATCH_NORMS else 0, biased=is_convolution)


_FVCORE_AN_OUTPUT = {
    "aten.upsample_nearest2d": 1,
    "aten.upsample_bilinear2d": 4,
    "aten.grid_sampler_2d": 4,
    "aten.grid_sampler_3d": 4,
    "aten.grid_sampler": 4,
}


def is_adaptive_average(call: OpCall) -> bool:
    """Whether the call is adaptive average pooling of images.

    Pooling to one pixel is recorded as a mean that keeps the last two axes. Pooling of one axis is recorded
    as pooling of images with a single row, and is not meant."""
    if call.name == "aten.mean" or "adaptive_avg_pool2d" in call.name:
        *_, rows, columns = (1, 1, *call.tensors()[0].shape)
        if rows == 1 and columns > 1:
            return False
    if call.name in ("aten._adaptive_avg_pool2d", "aten.adaptive_avg_pool2d"):
        return True
    return call.name == "aten.mean" and call.args.get("dim") == (-1, -2) and bool(call.args.get("keepdim"))


def _fvcore(call: OpCall, work: OperatorWork) -> OpCounts:
    """Sites, and for an element of batch norm in evaluation 2, or 1 without scale and shift; for one of other
    norms 5, or 4 without scale. Adaptive average pooling of images counts 1 for an input; bilinear upsampling
    and sampling by a grid 4 for an output, nearest upsampling 1.

    A batch norm is in evaluation unless the call has an argument `training` that is true.
    """
    if call.name in _UNKNOWN_TO_TOOLS:
        return OpCounts()
    resized = _FVCORE_AN_OUTPUT.get(call.name, 0)
    if resized or is_adaptive_average(call):
        x = call.output if resized else call.tensors()[0]
        units = (resized or 1) * x.numel
        return site_counts(Sites(units, 0, number_format=x.number_format, arithmetic=Arithmetic.MAC))
    affine = call.optional_tensor("weight") is not None
    if call.name in BATCH_NORMS and not call.args.get("training", False):
        units = 2 if affine else 1
    elif call.name in BATCH_NORMS or call.name in ROW_NORMS:
        units = 5 if affine else 4
    else:
        units = 0
    return _tool_units(call, work, units, biased=False)


CONVENTIONS: Mapping[str, CountingConvention] = {
    convention.name: convention
    for convention in (
        CountingConvention(
            "full",
            "every operation: K mul and K-1 add an output, bias, norms, activations",
            "addercost",
            _full,
        ),
        CountingConvention(
            "macs",
            "convolution and matrix-product sites only: K mul and K add an output",
            "the ResNet rows of Chen et al., CVPR 2020, tables 2 and 3",
            _macs,
        ),
        CountingConvention(
            "thop",
            "thop's number as both mul and add: sites, convolution bias, 2 per batch-norm element",
            "thop, April 2020 to June 2022; gives the 435K of Chen et al., CVPR 2020, table 1",
            _thop,
        ),
        CountingConvention(
            "fvcore",
            "fvcore's number as both mul and add: sites, norms, adaptive pooling, resizing",
            "fvcore 0.1.5; what timm publishes",
            _fvcore,
        ),
    )
}


def convention_named(name: str) -> CountingConvention:
    """The convention of this name. Raises ArgumentError, with the nearest names, for an unknown one."""
    if name not in CONVENTIONS:
        raise unknown_name("convention", name, CONVENTIONS)
    return CONVENTIONS[name]
