"""Our contenders: the layers of `addercost.layers`, and the kernels that these call, without the layer around
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from addercost.arithmetic import Arithmetic
from addercost.kernels import dispatch, precision
from addercost.kernels.powers import power_of_two
from addercost.kernels.problem import Geometry, rows_as_image
from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.packed import pack_binary
from addercost.layers.quantize import quantize_adder
from addercost.measure.case import LayerCase
from addercost.measure.contenders.contender import (
    TENSOR_DTYPES,
    Build,
    Contender,
    Place,
    UnsupportedError,
    require_kernels,
)
from addercost.measure.contenders.layer_module import layer_with
from addercost.measure.contenders.random_data import random_codes, random_tensor
from addercost.measure.devices.device import Call

LAYER = "addercost layer"
KERNEL = "addercost kernel"
PACKED = "packed layer"
RUNS = "layer, runs of halves"

Operation = Callable[[Tensor, Tensor, Geometry], Tensor]


def own_contenders(device: torch.device) -> Iterator[Contender]:
    """Our contenders on `device`: Halide's kernels on "cpu", Triton's on "cuda"."""
    kernel = "triton" if device.type == "cuda" else "halide"
    waits = "; waits for the device, to see whether there is a NaN" if kernel == "triton" else ""
    if kernel == "halide":
        yield Contender(
            Arithmetic.MAC,
            KERNEL,
            "fp32",
            "the adder kernel's schedule with a multiplication: the arithmetic is the only difference",
            _halide_mac,
            limit="mac",
        )
    for dtype, bits in (("fp32", 32), ("bf16", 16), ("fp16", 16)):
        wide = "" if dtype == "fp32" or kernel == "triton" else "; computed in fp32, converted each run"
        yield Contender(
            Arithmetic.ADDER,
            LAYER,
            dtype,
            f"AdderConv2d or AdderLinear{wide}",
            _layer(Arithmetic.ADDER, dtype),
            limit="adder",
            claims=("adder_forward", kernel),
            item_bits=(bits,) * 3,
        )
    if kernel == "triton":
        yield Contender(
            Arithmetic.ADDER,
            RUNS,
            "fp16",
            "AdderConv2d or AdderLinear with precision.allow_half_runs: sums of 16 in fp16, those in fp32",
            _half_runs,
            limit="adder_fp16",
            claims=("adder_forward", kernel),
            item_bits=(16,) * 3,
        )
    yield Contender(
        Arithmetic.ADDER,
        KERNEL,
        "int8",
        "sums of absolute differences of u8 inputs and weights, int32 outputs",
        adder_of_bytes,
        limit="adder_u8",
        claims=("adder_u8_forward", kernel),
        item_bits=(8, 8, 32),
    )
    yield Contender(
        Arithmetic.ADDER,
        "quantized layer",
        "int8",
        "QuantizedAdder: quantises its fp32 input, the u8 kernel, scales to fp32",
        _quantized,
        limit="adder_u8",
        claims=("adder_quantized_forward", kernel),
        item_bits=(32, 8, 32),
        estimated=False,
    )
    yield Contender(
        Arithmetic.XNOR,
        PACKED,
        "fp32",
        f"pack_binary of the layer, signs packed beforehand: packs the input, kernel, scales by α{waits}",
        packed_binary,
        limit="xnor",
        claims=("binary_packed_forward", kernel),
        item_bits=(32, 1, 32),
    )
    yield Contender(
        Arithmetic.XNOR,
        LAYER,
        "fp32",
        f"BinaryConv2d or BinaryLinear: packs the signs of input and weight, kernel, scales by α{waits}",
        _layer(Arithmetic.XNOR, "fp32"),
        limit="xnor",
        claims=("binary_forward", kernel),
    )
    yield Contender(
        Arithmetic.SHIFT,
        LAYER,
        "fp32",
        "ShiftConv2d or ShiftLinear: rounds its weights to powers of two, then the kernel",
        _layer(Arithmetic.SHIFT, "fp32"),
        limit="mac",
        claims=("shift_forward", kernel),
    )
    yield Contender(
        Arithmetic.SHIFT,
        KERNEL,
        "fp32",
        "the kernel on weights that are powers of two already",
        _shift_kernel,
        limit="mac",
        claims=("shift_forward", kernel),
    )


def _layer(arithmetic: Arithmetic, dtype: str) -> Build:
    return lambda case, place: own_layer(arithmetic, case, place, dtype)


def own_layer(arithmetic: Arithmetic, case: LayerCase, place: Place, dtype: str = "fp32") -> Call:
    """Our layer of that shape, as a module."""
    x, w = tensors(case, place, TENSOR_DTYPES[dtype])
    return partial(layer_with(arithmetic, case, w), x)


def _half_runs(case: LayerCase, place: Place) -> Call:
    x, w = tensors(case, place, torch.float16)
    if w.shape[1] % 2:
        raise UnsupportedError("pairs of channels need an even number of them")
    return partial(_with_half_runs, layer_with(Arithmetic.ADDER, case, w), x)


def _with_half_runs(layer: torch.nn.Module, x: Tensor) -> object:
    before, precision.allow_half_runs = precision.allow_half_runs, True
    try:
        return layer(x)
    finally:
        precision.allow_half_runs = before


def tensors(case: LayerCase, place: Place, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(input, weight) with random values. The weight is contiguous, as a layer keeps it."""
    weight_place = Place(place.device, torch.contiguous_format)
    return random_tensor(case.input_shape, place, dtype), random_tensor(
        case.weight_shape, weight_place, dtype
    )


def images(case: LayerCase, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Geometry]:
    """The tensors and the geometry in the form that kernels take. A linear layer is a 1×1 convolution over
    its rows.
    """
    if case.linear:
        return rows_as_image(x), w[:, :, None, None], Geometry()
    return x, w, Geometry(case.stride, case.padding, case.dilation, case.groups)


def _halide_mac(case: LayerCase, place: Place) -> Call:
    require_kernels("halide")
    try:
        from addercost.kernels.cpu.dense import convolution as dense
    except ImportError as error:
        raise UnsupportedError(f"no halide kernel here: {error}") from None
    x, w, geometry = images(case, *tensors(case, place, torch.float32))
    if not dense.supports("mac", x, w):
        raise UnsupportedError("a tensor is larger than the kernel can address")
    return partial(dense.convolve, "mac", x, w, geometry)


def adder_of_bytes(case: LayerCase, place: Place) -> Call:
    x = random_codes(case.input_shape, place, 0, 256, torch.uint8)
    w = random_codes(case.weight_shape, place, 0, 256, torch.uint8)
    return partial(dispatch.adder_u8_forward, *images(case, x, w))


def _quantized(case: LayerCase, place: Place) -> Call:
    x, w = tensors(case, place, torch.float32)
    layer = layer_with(Arithmetic.ADDER, case, w)
    assert isinstance(layer, AdderConv2d | AdderLinear)
    return partial(quantize_adder(layer, x).to(place.device).eval(), x)


def packed_binary(case: LayerCase, place: Place) -> Call:
    x, w = tensors(case, place, torch.float32)
    return partial(pack_binary(layer_with(Arithmetic.XNOR, case, w)), x)


def _shift_kernel(case: LayerCase, place: Place) -> Call:
    x, w, geometry = images(case, *tensors(case, place, torch.float32))
    return partial(dispatch.shift_forward, x, power_of_two(w), geometry, rounded=True)
