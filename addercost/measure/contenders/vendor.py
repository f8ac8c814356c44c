"""Contenders that others wrote: torch's convolution through oneDNN or cuDNN, and adder layers as unfold +
cdist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.arithmetic import Arithmetic
from addercost.hardware.this_machine import instruction_set
from addercost.measure.case import LayerCase
from addercost.measure.contenders.contender import (
    TENSOR_DTYPES,
    Build,
    Contender,
    Place,
    UnsupportedError,
)
from addercost.measure.contenders.layer_module import layer_with
from addercost.measure.contenders.random_data import random_codes, random_tensor
from addercost.measure.devices.device import Call

TORCH = "torch"
ONEDNN = "oneDNN"
MAIN = (TORCH, ONEDNN)
"""Implementations by the vendor, with which the other contenders are compared."""

OUTPUT_ZERO_POINT = 128


def vendor_contenders(device: torch.device) -> Iterator[Contender]:
    """The contenders of this file on `device`, "cpu" or "cuda", fp32 first."""
    cuda = device.type == "cuda"
    library = "cuDNN, cuBLAS" if cuda else "oneDNN"
    for dtype in ("fp32", *(("tf32",) if cuda else ()), "bf16", "fp16"):
        bits = 32 if dtype in ("fp32", "tf32") else 16
        yield Contender(
            Arithmetic.MAC,
            TORCH,
            dtype,
            f"nn.Conv2d or nn.Linear through {library}",
            _torch_layer(dtype),
            limit="mac" if dtype == "fp32" else f"mac_{dtype}",
            item_bits=(bits,) * 3,
        )
    if not cuda:
        yield Contender(
            Arithmetic.MAC,
            "oneDNN, weights packed",
            "fp32",
            "mkldnn::_convolution_pointwise, weights packed beforehand",
            _packed_convolution,
            limit="mac",
            linear=False,
        )
        yield Contender(
            Arithmetic.MAC,
            ONEDNN,
            "int8",
            "onednn::qconv2d_pointwise or qlinear_pointwise: u8 in and out, s8 weights packed beforehand",
            int8_layer,
            limit="mac_u8",
            item_bits=(8, 8, 8),
        )
    if cuda:
        yield Contender(
            Arithmetic.MAC,
            "torch._int_mm",
            "int8",
            "s8 matrix product, int32 outputs, of columns unfolded beforehand; torch has no s8 convolution",
            _int8_product,
            limit="mac_int8",
            item_bits=(8, 8, 32),
            scratch_bytes=lambda case: _unfolded_bytes(case) / 4,
        )
    yield Contender(
        Arithmetic.ADDER,
        "unfold + cdist",
        "fp32",
        "F.unfold, then torch.cdist(p=1): how adder layers are run today",
        unfold_cdist,
        limit="adder",
        estimated=False,
        scratch_bytes=_unfolded_bytes,
    )


def _torch_layer(dtype: str) -> Build:
    def build(case: LayerCase, place: Place) -> Call:
        x = random_tensor(case.input_shape, place, TENSOR_DTYPES[dtype])
        w = random_tensor(case.weight_shape, place, TENSOR_DTYPES[dtype])
        layer = layer_with(Arithmetic.MAC, case, w)
        if place.device.type == "cuda":
            return partial(_with_tf32, dtype == "tf32", layer, x)
        return partial(layer, x)

    return build


def _with_tf32(allowed: bool, layer: torch.nn.Module, x: Tensor) -> object:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        return layer(x)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _packed_convolution(case: LayerCase, place: Place) -> Call:
    """The operator that torch.compile runs for a convolution with frozen weights."""
    x = random_tensor(case.input_shape, place, torch.float32)
    w = random_tensor(case.weight_shape, place, torch.float32)
    padding, stride, dilation = list(case.padding), list(case.stride), list(case.dilation)
    try:
        pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        packed = pack(w.to_mkldnn(), padding, stride, dilation, case.groups, list(case.input_shape))
        convolve = torch.ops.mkldnn._convolution_pointwise
        call = partial(convolve, x, packed, None, padding, stride, dilation, case.groups, "none", [], "")
        call()
    except (RuntimeError, AttributeError) as error:
        raise UnsupportedError(f"oneDNN refuses it: {first_line(error)}") from None
    return call


@cache
def activation_codes() -> int:
    """How many different 8-bit codes activations may have on this machine: 256, or 128 on x86-64 without
    VNNI.

    Without VNNI oneDNN uses `vpmaddubsw`, which adds two products of bytes in 16 bits: 2 × 255 × 127
    saturates and 2 × 127 × 127 does not. torch's quantisers use 7 bits on such processors as well
    (`reduce_range`).
    """
    from addercost.kernels.cpu.ir.native import host_features

    if instruction_set() != "x86-64" or host_features() & {"avx512vnni", "avxvnni"}:
        return 256
    return 128


def int8_layer(case: LayerCase, place: Place) -> Call:
    """torch's 8-bit layer of this shape. The scales of input and weight are 1 and the zero point is the
    middle code. The output's scale is chosen so that few codes saturate.
    """
    codes = activation_codes()
    x = random_codes(case.input_shape, place, 0, codes, torch.uint8)
    w = random_codes(case.weight_shape, Place(place.device, torch.contiguous_format), -127, 128, torch.int8)
    ones, zeros = torch.ones(case.filters), torch.zeros(case.filters, dtype=torch.int32)
    zero_point, out_scale = codes // 2, output_scale(math.prod(case.weight_shape[1:]))
    output: tuple[Any, ...] = (out_scale, OUTPUT_ZERO_POINT, torch.uint8, "none", [], "")
    try:
        if case.linear:
            packed = torch.ops.onednn.qlinear_prepack(w, list(case.input_shape))
            call = partial(
                torch.ops.onednn.qlinear_pointwise, x, 1.0, zero_point, packed, ones, zeros, None, *output
            )
        else:
            place_of = (list(case.stride), list(case.padding), list(case.dilation), case.groups)
            packed = torch.ops.onednn.qconv_prepack(
                w, ones, 1.0, zero_point, *place_of, list(case.input_shape)
            )
            call = partial(
                torch.ops.onednn.qconv2d_pointwise,
                x, 1.0, zero_point, packed, ones, zeros, None, *place_of, *output,
            )  # fmt: skip
        call()
    except (RuntimeError, AttributeError) as error:
        raise UnsupportedError(f"oneDNN refuses it: {first_line(error)}") from None
    return call


def output_scale(terms: int) -> float:
    """The scale of the output: four standard deviations of a sum of `terms` products are 128 codes. The
    standard deviation of n uniform codes is n / √12, which is 73 for the 255 codes of weights.
    """
    return 4 * activation_codes() / math.sqrt(12) * 73.0 * math.sqrt(terms) / OUTPUT_ZERO_POINT


def _int8_product(case: LayerCase, place: Place) -> Call:
    """A matrix product of a size that `torch._int_mm` takes: more than 16 rows, and other sizes that are
    multiples of 8.
    """
    if case.groups > 1:
        raise UnsupportedError("torch._int_mm has no groups")
    terms = math.prod(case.weight_shape[1:])
    rows = case.images * (1 if case.linear else math.prod(case.output_size))
    plain = Place(place.device, torch.contiguous_format)
    depth, width = -(-terms // 8) * 8, -(-case.filters // 8) * 8
    columns = random_codes((max(rows, 17), depth), plain, -127, 128, torch.int8)
    weight = random_codes((width, depth), plain, -127, 128, torch.int8)
    call = partial(torch._int_mm, columns, weight.t())
    try:
        call()
    except RuntimeError as error:
        raise UnsupportedError(f"cuBLAS refuses it: {first_line(error)}") from None
    return call


def _unfolded_bytes(case: LayerCase) -> float:
    """Bytes of scratch memory: the unfolded columns, and the product before it is transposed."""
    if case.linear:
        return 0
    return 4 * case.images * math.prod(case.output_size) * (math.prod(case.weight_shape[1:]) + case.filters)


def unfold_cdist(case: LayerCase, place: Place) -> Call:
    x = random_tensor(case.input_shape, place, torch.float32)
    w = random_tensor(case.weight_shape, place, torch.float32)
    if case.linear:
        return lambda: -torch.cdist(x, w, p=1)
    if case.groups > 1:
        raise UnsupportedError("unfold + cdist has no groups")
    rows, (p, q) = w.flatten(1)[None], case.output_size

    def call() -> Tensor:
        columns = F.unfold(x, case.filter_size, case.dilation, case.padding, case.stride)
        distances: Tensor = torch.cdist(columns.transpose(1, 2), rows, p=1)
        output: Tensor = -distances.transpose(1, 2).unflatten(2, (p, q))
        return output

    return call


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
