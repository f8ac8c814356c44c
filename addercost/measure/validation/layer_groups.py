"""The groups of layers by which a validation shows its errors."""

from __future__ import annotations

from addercost.measure.case import LayerCase


def layer_kind(case: LayerCase) -> str:
    """The kind of a layer, one of `analysis.network_kind.KINDS`."""
    if case.linear:
        return "matrix product"
    return "depthwise" if case.groups == case.filters > 1 else "convolution"


def layer_family(case: LayerCase) -> str:
    """The group of layers that kernels compute in the same way: `3x3`, `1x1`, `3x3 depthwise`, `3x3 grouped`,
    `linear`.
    """
    if case.linear:
        return "linear"
    r, s = case.filter_size
    grouped = " depthwise" if layer_kind(case) == "depthwise" else " grouped" if case.groups > 1 else ""
    strided = " strided" if case.stride != (1, 1) else ""
    return f"{r}x{s}{grouped}{strided}"
