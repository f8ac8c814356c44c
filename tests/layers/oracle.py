"""The definitions as plain loops over Python numbers: what every kernel is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Pair = tuple[int, int]


def sites(
    input: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...] | None, tuple[int, ...]]]:
    """(output index, input index or None in the padding, weight index) of every site."""
    n, _, h, w = input.shape
    k, group_channels, r, s = weight.shape
    p = (h + 2 * padding[0] - dilation[0] * (r - 1) - 1) // stride[0] + 1
    q = (w + 2 * padding[1] - dilation[1] * (s - 1) - 1) // stride[1] + 1
    for ni in range(n):
        for ki in range(k):
            first = ki // (k // groups) * group_channels
            for pi in range(p):
                for qi in range(q):
                    for ci in range(group_channels):
                        for ri in range(r):
                            for si in range(s):
                                y = pi * stride[0] + ri * dilation[0] - padding[0]
                                x = qi * stride[1] + si * dilation[1] - padding[1]
                                inside = 0 <= y < h and 0 <= x < w
                                at = (ni, first + ci, y, x) if inside else None
                                yield (ni, ki, pi, qi), at, (ki, ci, ri, si)


def convolution(
    input: Tensor,
    weight: Tensor,
    site: Callable[[float, float], float],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Σ site(x, w) in double precision; a padded tap has x = 0."""
    total: dict[tuple[int, ...], float] = {}
    x, w = input.detach().double(), weight.detach().double()
    for out, at, tap in sites(input, weight, stride, padding, dilation, groups):
        total[out] = total.get(out, 0.0) + site(float(x[at]) if at else 0.0, float(w[tap]))
    shape = [max(index[axis] for index in total) + 1 for axis in range(4)]
    result = torch.empty(shape, dtype=torch.float64)
    for index, value in total.items():
        result[index] = value
    return result


def gradients(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    for_input: Callable[[float, float], float],
    for_weight: Callable[[float, float], float],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Tensor, Tensor]:
    """Σ g·for_input(x, w) per input and Σ g·for_weight(x, w) per weight, in double precision."""
    x, w, g = input.detach().double(), weight.detach().double(), grad.double()
    grad_input, grad_weight = torch.zeros_like(x), torch.zeros_like(w)
    for out, at, tap in sites(input, weight, stride, padding, dilation, groups):
        xv, wv, gv = float(x[at]) if at else 0.0, float(w[tap]), float(g[out])
        if at:
            grad_input[at] += gv * for_input(xv, wv)
        grad_weight[tap] += gv * for_weight(xv, wv)
    return grad_input, grad_weight
