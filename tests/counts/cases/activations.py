"""Gates and roundings as loops."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, Number, exp, plain


@case("aten.fake_quantize_per_tensor_affine_cachemask")
def fake_quantized(draw: Draw) -> Case:
    n = draw(sizes(1, 4))

    def loop(x: Array) -> Array:
        out = []
        for v in x:
            rounded = (v * 10.0).apply("add", lambda a: float(round(a)))
            level = max(Number(plain(min(rounded + 0.0, 127.0)), v.tally), -128.0)
            out.append((Number(plain(level), v.tally) - 0.0) * 0.1)
        return np.array(out, dtype=object)

    def run(x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127)

    return Case(run, (torch.randn(n),), loop, tolerance=1e-5)


@case()
def gated(draw: Draw) -> Case:
    n = draw(sizes())

    def loop(x: Array) -> Array:
        return np.array([a * (1 / (1 + exp(-b))) for a, b in zip(x[:n], x[n:], strict=True)], dtype=object)

    return Case(lambda x: F.glu(x, 0), (normal(2 * n),), loop)
