"""Binary layers for inference. The signs of the weights are packed once, 32 in a word."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError, ShapeError
from addercost.kernels import dispatch
from addercost.kernels.problem import Geometry, rows_as_image
from addercost.kernels.signs import WORD, pack_factors, pack_filters, unpack_factors, words_of
from addercost.kernels.store import NO_LIMITS, Limits, limited
from addercost.layers.binary import BinaryConv2d, BinaryLinear
from addercost.layers.module import has_output_shape, repr_of_limits, with_batch
from addercost.layers.norm import BatchNorm, affine
from addercost.layers.ops import binary as ops
from addercost.layers.replaced import with_replaced


class PackedBinary(nn.Module):
    """A binary layer whose weights are words of sign bits, and whose α and bias are a factor and an addend
    for each filter.

    The result equals the original layer's, bit for bit. x: [N, C, H, W], or [..., in] for a linear layer. The
    weights take 1/32 of the memory, and no call packs them again. This is for inference and has no gradient.

    A convolution adds a shortcut, if it is called with one, to its output. `limits` are the least and the
    largest output, like those of a HardTanh behind the layer.

    Two such layers in a row may pass signs: with `signs` the output is int32 words of 32 signs each, [N,
    ⌈K/32⌉, P, Q] or [..., ⌈out/32⌉], and the next layer takes these in place of floats.
    """

    words: Tensor
    factors: Tensor

    def __init__(self, layer: BinaryConv2d | BinaryLinear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.is_linear = isinstance(layer, BinaryLinear)
        if isinstance(layer, BinaryLinear):
            weight, self.geometry = weight[:, :, None, None], ([1, 1], [0, 0], [1, 1], 1)
        else:
            self.geometry = layer.geometry_arguments()
        self.weight_shape, groups = list(weight.shape), self.geometry[3]
        self._place = Geometry.of(*self.geometry)
        self.dtype, self.signs, self.limits = weight.dtype, False, NO_LIMITS
        scale, bias = ops.filter_scale(weight), None if layer.bias is None else layer.bias.detach()
        # The kernels compute in fp32, which represents half precision exactly.
        wide = torch.promote_types(weight.dtype, torch.float32)
        self.register_buffer("words", pack_filters(weight, groups))
        self.register_buffer(
            "factors", pack_factors(scale.to(wide), None if bias is None else bias.to(wide), groups)
        )
        self.train(layer.training)

    def forward(self, input: Tensor, shortcut: Tensor | None = None) -> Tensor:
        if shortcut is not None:
            return self._convolved_with(input, shortcut)
        if not self.is_linear:
            return with_batch(lambda image: self._convolve(image, None, self.limits), input)
        outputs, features = self.weight_shape[:2]
        if input.dtype == torch.int32:
            features = words_of(features)
        if input.dim() < 1 or input.shape[-1] != features:
            raise ShapeError(f"expected input [..., {features}], got {tuple(input.shape)}")
        shape = (*input.shape[:-1], words_of(outputs) if self.signs else outputs)
        if input.numel() == 0:
            wide = self.factors.dtype if input.dtype == torch.int32 else input.dtype
            return input.new_zeros(shape, dtype=torch.int32 if self.signs else wide)
        rows = self._convolve(rows_as_image(input.reshape(-1, features)), None, self.limits)
        return rows[0, :, 0].t().reshape(shape).contiguous()

    def _convolved_with(self, input: Tensor, shortcut: Tensor) -> Tensor:
        """A convolution's output plus the shortcut, within the limits. The kernel adds a tensor of the
        output's shape and type; any other is broadcast and promoted behind it, as the network did."""
        if self._adds(input, shortcut):
            return self._convolve(input, shortcut, self.limits)
        sums = with_batch(lambda image: self._convolve(image, None, NO_LIMITS), input) + shortcut
        return limited(sums, self.limits)

    def _adds(self, input: Tensor, shortcut: Tensor) -> bool:
        dtype = self.factors.dtype if input.dtype == torch.int32 else input.dtype
        if not has_output_shape(shortcut, input, self.weight_shape, self._place):
            return False
        return shortcut.dtype == dtype

    def _convolve(self, image: Tensor, shortcut: Tensor | None, limits: Limits) -> Tensor:
        operands, place = (image, self.words, self.factors), (self.weight_shape, *self.geometry)
        if self.signs:
            return ops.conv2d_signs(*operands, *place)
        if shortcut is None and limits == NO_LIMITS:
            return ops.conv2d_packed(*operands, *place)
        return ops.conv2d_fused(*operands, shortcut, *limits, *place)

    def with_norm(self, norm: BatchNorm) -> PackedBinary:
        """The layer including the batch norm that follows it, with running statistics: α and bias are
        multiplied by the norm's factor, and each is rounded once."""
        k = self.weight_shape[0]
        scale, bias = unpack_factors(self.factors, k)
        factor, addend = affine(bias, norm, scale)
        made = copy.copy(self)
        made._buffers = dict(self._buffers)
        factors = pack_factors(scale * factor, addend, self.factors.shape[1])
        made.factors = factors.to(self.factors.dtype)
        return made

    def limited(self, limits: Limits) -> PackedBinary:
        """The layer with these limits of its output, or of its sum with a shortcut."""
        made = copy.copy(self)
        made.limits = limits
        return made

    def may_pass_signs_to(self, reader: PackedBinary) -> bool:
        """Whether `reader` computes the same from the signs of this layer's outputs as from the outputs, and
        the kernel of this layer stores them.

        The channels of a group must be whole words. Half precision is left out, since words do not say in
        which type the reader's outputs are; so are factors that are not finite, which may make a NaN."""
        if not self.words.is_cpu:
            return False
        whole = reader.geometry[3] == 1 or reader.weight_shape[1] % WORD == 0
        same_type = reader.dtype == reader.factors.dtype
        finite = bool(self.factors.isfinite().all())
        stored = dispatch.stores_signs(tuple(self.weight_shape), self._place)
        return stored and whole and same_type and finite and self.is_linear == reader.is_linear

    def passing_signs(self) -> PackedBinary:
        """The layer with words of signs as its output."""
        made = copy.copy(self)
        made.signs = True
        return made

    def extra_repr(self) -> str:
        k, c, r, s = self.weight_shape
        (stride, padding, dilation, groups) = self.geometry
        out = ", signs out" if self.signs else ""
        out += repr_of_limits(self.limits)
        if self.is_linear:
            return f"{c}, {k}{out}"
        return (
            f"{c * groups}, {k}, kernel_size=({r}, {s}), stride={tuple(stride)}, padding={tuple(padding)}"
            + (f", dilation={tuple(dilation)}, groups={groups}" if (dilation, groups) != ([1, 1], 1) else "")
            + out
        )


def pack_binary(model: nn.Module) -> nn.Module:
    """A copy of `model` whose binary layers are packed for inference. For a single binary layer it is a
    `PackedBinary`. A module that is used in several places stays one module.

    Raises ArgumentError where there is no binary layer, or a weight is NaN.
    """
    packed = copy.deepcopy(model)
    new = {
        id(module): PackedBinary(module)
        for module in packed.modules()
        if isinstance(module, BinaryConv2d | BinaryLinear)
    }
    if not new:
        raise ArgumentError(
            f"{type(model).__name__} has no binary layer to pack", 'convert(model, "xnor") makes them'
        )
    return with_replaced(packed, new)
