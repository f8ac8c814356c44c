"""The reference: every kernel in a few lines of torch, on any device. Chunks bound its memory.

Each function loops over the filter taps (r, s). At one tap the convolution is an L1 distance between two sets
of channel vectors. A temporary is therefore [n, k, C/G, P, Q], where n and k are as small as the budget asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels.codes import quantize
from addercost.kernels.powers import power_of_two
from addercost.kernels.problem import Geometry, accumulator, convolution_shape, empty_output
from addercost.kernels.signs import pack_image, unpack_factors, unpack_filters, unpack_image
from addercost.kernels.store import Codes, Store

CHUNK_ELEMENTS = 1 << 22
"""The most elements in a temporary, 16 MiB in fp32. One image and one filter are never divided further."""


def adder_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """out[n,k,p,q] = -Σ_{c,r,s} |x[n,c,p·u+r,q·v+s] - w[k,c,r,s]|.

    input: [N, C, H, W]; weight: [K, C/G, R, S]; returns [N, K, P, Q]. A padded tap contributes -|w|.
    Half precision accumulates in fp32. Source: Chen et al., CVPR 2020, eq. 2.
    """
    shape = convolution_shape(input, weight, None, geometry)
    wide = accumulator(input.dtype)
    total = torch.zeros(shape, dtype=wide, device=input.device)
    padded = _pad(input, geometry, 0.0)
    for tap in _taps(weight, geometry, (shape[2], shape[3])):
        for n, k, channels in _chunks(padded, weight, geometry, shape):
            x = padded[n, channels, tap.rows, tap.columns].to(wide)
            w = weight[k, :, tap.r, tap.s].to(wide)
            total[n, k] -= (x[:, None] - w[None, :, :, None, None]).abs_().sum(2)
    return empty_output(input, shape).copy_(total)


def adder_u8_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """-Σ|x - w| of uint8 tensors, exact in int32. A padded tap has x = 0. Returns [N, K, P, Q] int32."""
    # An fp64 sum of integers is exact far beyond int32.
    total = adder_forward(input.double(), weight.double(), geometry)
    return empty_output(input, list(total.shape), torch.int32).copy_(total)


def adder_quantized_forward(
    input: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    zero: int,
    geometry: Geometry,
    convolve: Callable[[Tensor, Tensor, Geometry], Tensor] = adder_u8_forward,
) -> Tensor:
    """-scale · Σ|q(x) - w| + bias_k of a float input and byte weights, where q is `codes.quantize`.

    A padded tap has the code `zero`. `convolve` computes the sums. Returns [N, K, P, Q] in `input`'s dtype.
    """
    codes = _pad(quantize(input, scale, zero), geometry, zero)
    output = convolve(codes, weight, replace(geometry, padding=(0, 0))) * scale
    if bias is not None:
        output += bias[:, None, None]
    return output.to(input.dtype)


def adder_fused_forward(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
    convolve: Callable[[Tensor, Tensor, Geometry], Tensor] = adder_forward,
) -> Tensor:
    """`store` applied to -Σ|x - w|, with `factors` of `kernels.signs`. Half precision is rounded only at the
    end.

    `convolve` computes the sums. Returns [N, K, P, Q] in `input`'s dtype."""
    wide = accumulator(input.dtype)
    sums = convolve(input.to(wide), weight.to(wide), geometry)
    return store.of(sums, *unpack_factors(factors, weight.shape[0]), shortcut).to(input.dtype)


def adder_coded_forward(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    codes: Codes,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
    convolve: Callable[[Tensor, Tensor, Geometry], Tensor] = adder_u8_forward,
) -> Tensor:
    """`store` applied to -Σ|q(x) - w|, where q is `codes.quantize`. A padded tap has the code of 0.

    input: floats, or their codes. `convolve` computes the sums. Returns [N, K, P, Q] in fp32, or bytes if
    `store` makes codes."""
    made = quantize(input, codes.step, codes.zero) if input.is_floating_point() else input
    sums = convolve(_pad(made, geometry, codes.zero), weight, replace(geometry, padding=(0, 0)))
    return store.of(sums.float(), *unpack_factors(factors, weight.shape[0]), shortcut)


def adder_input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    """Σ_{k,r,s} g · HT(w - x), where HT clips to [-1, 1]; with `gradient="sign"`, Σ g · sign(w - x).

    grad: [N, K, P, Q]; returns [N, C, H, W] like `input`. Source: Chen et al., CVPR 2020, eq. 5 and 6.
    """
    shape = convolution_shape(input, weight, None, geometry)
    wide = accumulator(input.dtype)
    padded = _pad(input, geometry, 0.0)
    total = torch.zeros_like(padded, dtype=wide, memory_format=torch.contiguous_format)
    clip: Callable[[Tensor], Tensor] = torch.sign if gradient == "sign" else _hard_tanh
    for tap in _taps(weight, geometry, (shape[2], shape[3])):
        for n, k, channels in _chunks(padded, weight, geometry, shape):
            x = padded[n, channels, tap.rows, tap.columns].to(wide)
            w = weight[k, :, tap.r, tap.s].to(wide)
            slope = clip(w[None, :, :, None, None] - x[:, None])
            total[n, channels, tap.rows, tap.columns] += slope.mul_(grad[n, k, None].to(wide)).sum(1)
    (top, left), (h, w_) = geometry.padding, input.shape[2:]
    inside = total[:, :, top : top + h, left : left + w_]
    return empty_output(input, list(input.shape)).copy_(inside)


def adder_weight_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    """Σ_{n,p,q} g · (x - w), the full-precision gradient; with `gradient="sign"`, Σ g · sign(x - w).

    The full form is a matrix product, gᵀx - w·Σg, and runs as the weight gradient of an ordinary convolution.
    grad: [N, K, P, Q]; returns [K, C/G, R, S]. Source: Chen et al., CVPR 2020, eq. 4 and 5.
    """
    shape = convolution_shape(input, weight, None, geometry)
    wide = accumulator(input.dtype)
    if gradient == "full":
        _, product, _ = torch.ops.aten.convolution_backward(
            grad,
            input,
            weight,
            None,
            list(geometry.stride),
            list(geometry.padding),
            list(geometry.dilation),
            False,
            [0, 0],
            geometry.groups,
            [False, True, False],
        )
        pull = grad.sum((0, 2, 3), dtype=wide)[:, None, None, None]
        # The sum is in place where the dtype allows it, because the gradient is as large as the weights.
        result: Tensor = product.to(wide).addcmul_(weight.to(wide), pull, value=-1)
        return result.to(weight.dtype).contiguous()
    padded = _pad(input, geometry, 0.0)
    total = torch.zeros(weight.shape, dtype=wide, device=weight.device)
    for tap in _taps(weight, geometry, (shape[2], shape[3])):
        for n, k, channels in _chunks(padded, weight, geometry, shape):
            x = padded[n, channels, tap.rows, tap.columns].to(wide)
            w = weight[k, :, tap.r, tap.s].to(wide)
            slope = torch.sign(x[:, None] - w[None, :, :, None, None])
            total[k, :, tap.r, tap.s] += slope.mul_(grad[n, k, None].to(wide)).sum((0, 3, 4))
    return total.to(weight.dtype)


def mac_forward(input: Tensor, weight: Tensor, geometry: Geometry, pad_value: float = 0.0) -> Tensor:
    """Σ_{c,r,s} x[n,c,p·u+r,q·v+s] · w[k,c,r,s]: torch's own convolution, padded with `pad_value`.

    The binary and shift layers are this sum over ±1 and over powers of two.
    """
    shape = convolution_shape(input, weight, None, geometry)
    wide = accumulator(input.dtype)
    padding = list(geometry.padding) if pad_value == 0 else [0, 0]
    source = input if pad_value == 0 else _pad(input, geometry, pad_value)
    result = F.conv2d(
        source.to(wide),
        weight.to(wide),
        None,
        list(geometry.stride),
        padding,
        list(geometry.dilation),
        geometry.groups,
    )
    return empty_output(input, shape).copy_(result)


def binary_forward(input: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor | None = None) -> Tensor:
    """out[n,k,p,q] = Σ_{c,r,s} sign(x)·sign(w), an exact integer in `input`'s dtype. A padded tap has sign
    +1.

    With `scale`, [K], each output is multiplied by its filter's scale."""
    sums = mac_forward(binary_sign(input), binary_sign(weight), geometry, pad_value=1.0)
    return sums if scale is None else sums.mul_(scale[:, None, None])


def binary_packed_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor:
    """factor_k · Σ sign(x)·sign(w) + addend_k, with `words` and `factors` as `kernels.signs` packs them.

    input: floats, or their signs packed by `signs.pack_image`; the result of signs has the type of the
    factors. shape: of the weight. The result is rounded after each step, as in the layer before it was
    packed."""
    if input.dtype == torch.int32:
        values = unpack_image(input, shape[1] * geometry.groups, factors.dtype)
        input = empty_output(input, list(values.shape), factors.dtype).copy_(values)
    scale, addend = (row[:, None, None].to(input.dtype) for row in unpack_factors(factors, shape[0]))
    sums = binary_forward(input, unpack_filters(words, shape, input.dtype), geometry)
    return sums.mul_(scale).add_(addend)


def binary_fused_forward(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor:
    """`binary_packed_forward` plus the shortcut, within the limits of `store`."""
    return store.behind(binary_packed_forward(input, words, factors, shape, geometry), shortcut)


def binary_signs_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor:
    """The signs of `binary_packed_forward`, [N, ⌈K/32⌉, P, Q] int32. Raises ArgumentError for a NaN."""
    return pack_image(binary_packed_forward(input, words, factors, shape, geometry))


def shift_forward(input: Tensor, weight: Tensor, geometry: Geometry, rounded: bool = False) -> Tensor:
    """out[n,k,p,q] = Σ_{c,r,s} x·w, where `power_of_two` rounds the weights unless they are `rounded`
    already.
    """
    return mac_forward(input, weight if rounded else power_of_two(weight), geometry)


def binary_sign(x: Tensor) -> Tensor:
    """-1 below zero and +1 elsewhere, also for zero and -0. NaN stays NaN."""
    return torch.where(x.isnan(), x, torch.where(x < 0, -1.0, 1.0).to(x.dtype))


class _Tap:
    """One filter position (r, s), and the slices of the padded input that it is combined with."""

    __slots__ = ("columns", "r", "rows", "s")

    def __init__(self, r: int, s: int, geometry: Geometry, output_size: tuple[int, int]) -> None:
        self.r, self.s = r, s
        self.rows, self.columns = (
            slice(index * dilation, index * dilation + (size - 1) * stride + 1, stride)
            for index, dilation, size, stride in zip(
                (r, s), geometry.dilation, output_size, geometry.stride, strict=True
            )
        )


def _taps(weight: Tensor, geometry: Geometry, output_size: tuple[int, int]) -> Iterator[_Tap]:
    for r in range(weight.shape[2]):
        for s in range(weight.shape[3]):
            yield _Tap(r, s, geometry, output_size)


def _chunks(
    padded: Tensor, weight: Tensor, geometry: Geometry, shape: list[int]
) -> Iterator[tuple[slice, slice, slice]]:
    """Slices (images, filters, channels) that each lie within one group and keep a temporary within the
    memory budget.
    """
    n, k, p, q = shape
    group_filters, group_channels = k // geometry.groups, weight.shape[1]
    one = max(1, group_channels * p * q)
    k_step = min(group_filters, max(1, CHUNK_ELEMENTS // one))
    n_step = max(1, CHUNK_ELEMENTS // (one * k_step))
    for group in range(geometry.groups):
        channels = slice(group * group_channels, (group + 1) * group_channels)
        for k_start in range(group * group_filters, (group + 1) * group_filters, k_step):
            filters = slice(k_start, min(k_start + k_step, (group + 1) * group_filters))
            for n_start in range(0, n, n_step):
                yield slice(n_start, n_start + n_step), filters, channels


def _pad(input: Tensor, geometry: Geometry, value: float) -> Tensor:
    """The input with its border. It is copied only if there is a border."""
    vertical, horizontal = geometry.padding
    if vertical == 0 and horizontal == 0:
        return input
    return F.pad(input, (horizontal, horizontal, vertical, vertical), value=value)


def _hard_tanh(x: Tensor) -> Tensor:
    return x.clamp_(-1.0, 1.0)
