"""Draws kernels of our own layers, with shapes from the same distribution as torch's convolutions and linear
layers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from addercost.counts.kernel_calls import KernelCall
from addercost.measure.kernel_times.case_kernels import byte_kernel, case_of, own_kernel, packed_kernel
from addercost.measure.kernel_times.draw import Drawing, draw

_SHAPES = {
    "dense convolution": 12.0, "pointwise convolution": 8.0, "depthwise convolution": 4.0,
    "grouped convolution": 2.0, "linear": 3.0, "convolution of one pixel": 4.0,
}  # fmt: skip
_KINDS = {"adder": 3.0, "binary": 1.0, "shift": 1.0, "bytes": 2.0, "packed": 2.0}
"""How often each kind is drawn, relative to the others."""


def draw_own(count: int, seed: int) -> Iterator[KernelCall]:
    """Draws `count` kernels. A longer drawing begins with the kernels of a shorter one."""
    chance = random.Random(seed)
    kinds, weights = list(_KINDS), list(_KINDS.values())
    for call in draw(count, seed, Drawing("float32", _SHAPES)):
        kind = chance.choices(kinds, weights)[0]
        case = case_of(call)
        if kind == "bytes":
            yield byte_kernel(case)
        elif kind == "packed":
            yield packed_kernel(case)
        else:
            yield own_kernel(case, kind)
