"""The sign form of the adder layer's weight gradient: the layer's input is convolved with the output's
gradient.

The full-precision form is a matrix product, for which torch already has the best kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from addercost.kernels.cpu.dense.buffers import BufferLayout
from addercost.kernels.cpu.dense.convolution import extents_of, grouped, launch_of, parameters_of
from addercost.kernels.cpu.dense.plan import choose_class
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.problem import Geometry

SITE = "adder_weight_gradient_sign"
CHUNK_PIXELS = 2048
"""Pixels of the output's gradient in one convolution. For a block of 32 filters they take 256 KiB and stay in
a core's cache."""


def weight_sign_gradient(grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Σ_{n,p,q} g · sign(x - w) for fp32 grad [N, K, P, Q] and input [N, C, H, W]; returns [K, C/G, R, S]
    like `weight`.

    In this convolution the filter taps are the outputs, the images are the channels, and the input channels
    are the images; stride and dilation are exchanged. The weights are the stationary operand.
    """
    (n, _, p, q), groups = grad.shape, geometry.groups
    exchanged = Geometry(geometry.dilation, geometry.padding, geometry.stride, groups)
    own = weight.unflatten(0, (groups, -1)).permute(2, 3, 4, 0, 1)
    total = weight.new_zeros(own.shape)
    step = max(1, CHUNK_PIXELS // (p * q))
    for first in range(0, n, step):
        x = input[first : first + step].contiguous()
        source = grouped(x, groups).permute(4, 1, 2, 3, 0)
        filters = grad[first : first + step].unflatten(1, (groups, -1)).permute(1, 2, 0, 3, 4).flatten(2)
        part = torch.empty_like(total)
        extents = extents_of(source, part, (p, q), exchanged)
        kernel = choose_class(KernelRequest(SITE, extents, False, True, direct=False))
        inputs = (source, filters.contiguous(), own)
        parameters = parameters_of(kernel, extents, exchanged, (p, q), torch.get_num_threads())
        launch = launch_of(
            kernel, [BufferLayout.of(operand) for operand in inputs], parameters, BufferLayout.of(part)
        )
        launch(*(operand.data_ptr() for operand in (*inputs, part)))
        total += part
    return total.permute(3, 4, 0, 1, 2).flatten(0, 1).contiguous()
