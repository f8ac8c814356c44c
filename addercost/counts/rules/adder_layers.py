"""addercost's own layers: adder, binary, shift and ternary, convolutional and linear."""

from __future__ import annotations

import math
from dataclasses import replace

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.convolution import convolution
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall


def _convolution_as(arithmetic: Arithmetic, call: OpCall) -> OperatorWork:
    (sites,) = convolution(call).sites
    return OperatorWork((replace(sites, arithmetic=arithmetic, weighted=True),))


def _linear_as(arithmetic: Arithmetic, call: OpCall) -> OperatorWork:
    """x: […, C], w: [K, C], out: […, K]."""
    terms = math.prod(call.shape("weight")[1:])
    return _sums_as(arithmetic, call, terms, biased=call.optional_tensor("bias") is not None)


def _sums_as(arithmetic: Arithmetic, call: OpCall, terms: int, biased: bool) -> OperatorWork:
    """The work of a layer in which every output is a sum of `terms` terms."""
    x, out = call.tensor("input"), call.output
    sites = Sites(
        count=out.numel * terms,
        outputs=out.numel if terms else 0,
        biased=out.numel if biased else 0,
        inputs=x.numel,
        number_format=x.number_format,
        accumulator_format=accumulator_of(x.number_format),
        arithmetic=arithmetic,
        weighted=True,
    )
    return OperatorWork((sites,))


@rule("addercost.adder_conv2d", "addercost.adder_conv2d_u8")
def adder_conv2d(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], w: [K, C/G, R, S], out: [N, K, P, Q] = bias - Σ |x - w| over T = C/G·R·S terms: T
    differences, T magnitudes and T additions for each output."""
    return _convolution_as(Arithmetic.ADDER, call)


@rule("addercost.adder_conv2d_quantized")
def adder_conv2d_quantized(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W] becomes codes round(x/scale) + zero, limited to the range (rounding is an addition);
    out: [N, K, P, Q] is each sum of bytes times the scale."""
    x, out, byte = call.tensor("input"), call.output, call.tensor("weight").number_format
    (sites,) = _convolution_as(Arithmetic.ADDER, call).sites
    sites = replace(sites, number_format=byte, accumulator_format=accumulator_of(byte))
    codes = OpCounts.of(x.number_format, divide=1, add=2, compare=2) * x.numel
    return OperatorWork((sites,), codes + OpCounts.of(out.number_format, mul=out.numel))


@rule("addercost.adder_conv2d_fused")
def adder_conv2d_fused(call: OpCall) -> OperatorWork:
    """out: [N, K, P, Q]: each sum times a factor plus an addend, plus `shortcut` if there is one, and a
    comparison for each limit, `least` and `most`, that is finite."""
    (sites,) = _convolution_as(Arithmetic.ADDER, call).sites
    return OperatorWork((replace(sites, biased=call.output.numel),), _stored(call))


@rule("addercost.adder_conv2d_coded")
def adder_conv2d_coded(call: OpCall) -> OperatorWork:
    """As `adder_conv2d_fused`, on bytes: a floating-point input is first rounded to codes, and with
    `next_scale` the outputs are rounded to codes too."""
    x, out, byte = call.tensor("input"), call.output, call.tensor("weight").number_format
    (sites,) = _convolution_as(Arithmetic.ADDER, call).sites
    sites = replace(
        sites, number_format=byte, accumulator_format=accumulator_of(byte), biased=call.output.numel
    )
    read = 0 if x.number_format == byte else x.numel
    written = 0 if call.args.get("next_scale") is None else out.numel
    codes = OpCounts.of("fp32", divide=1, add=2, compare=2) * (read + written)
    return OperatorWork((sites,), _stored(call) + codes)


def _stored(call: OpCall) -> OpCounts:
    """A product for each output, and what `_behind` counts. The additions of the addends are part of the
    sums.
    """
    return OpCounts.of("fp32", mul=call.output.numel) + _behind(call, "fp32")


def _behind(call: OpCall, number_format: str) -> OpCounts:
    """For each output an addition with a shortcut, and a comparison for each finite limit."""
    each = call.output.numel
    limits = (call.args["least"], call.args["most"])
    compared = sum(isinstance(limit, float) and math.isfinite(limit) for limit in limits)
    added = each if call.optional_tensor("shortcut") is not None else 0
    return OpCounts.of(number_format, add=added, compare=each * compared)


@rule("addercost.adder_linear")
def adder_linear(call: OpCall) -> OperatorWork:
    """x: […, C], w: [K, C], out: […, K] = bias - Σ |x - w| over C terms, as `adder_conv2d`."""
    return _linear_as(Arithmetic.ADDER, call)


@rule("addercost.adder_pairs")
def adder_pairs(call: OpCall) -> OperatorWork:
    """A layer that was recognised in plain torch: `sites` differences, their magnitudes, and their sums."""
    x, out, sites = call.tensor("input"), call.output, call.args["sites"]
    assert isinstance(sites, int)
    return OperatorWork(
        (
            Sites(
                count=sites,
                outputs=out.numel if sites else 0,
                inputs=x.numel,
                number_format=x.number_format,
                accumulator_format=accumulator_of(x.number_format),
                arithmetic=Arithmetic.ADDER,
                weighted=True,
                negated=bool(call.args.get("negated", True)),
            ),
        )
    )


@rule("addercost.binary_conv2d")
def binary_conv2d(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], w: [K, C/G, R, S], out: [N, K, P, Q] = α·Σ sign(x)·sign(w) over T = C/G·R·S terms: a
    comparison for each input; T exclusive nors, T counted bits, a shift, a subtraction and a product for each
    output, and the bias if there is one."""
    return _convolution_as(Arithmetic.XNOR, call)


@rule("addercost.binary_conv2d_packed")
def binary_conv2d_packed(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], weight_shape: [K, C/G, R, S], out: [N, K, P, Q]: as `binary_conv2d`; each sum gets a
    factor and an addend. Where x is words of 32 signs, [N, ⌈C/32⌉, H, W], no input is compared.
    """
    return OperatorWork((_packed_sites(call, call.output.numel, call.output.number_format),))


@rule("addercost.binary_conv2d_fused")
def binary_conv2d_fused(call: OpCall) -> OperatorWork:
    """out: [N, K, P, Q]: as `binary_conv2d_packed`, plus `shortcut` if there is one, and a comparison for
    each limit, `least` and `most`, that is finite."""
    out = call.output
    sites = _packed_sites(call, out.numel, out.number_format)
    return OperatorWork((sites,), _behind(call, out.number_format))


@rule("addercost.binary_conv2d_signs")
def binary_conv2d_signs(call: OpCall) -> OperatorWork:
    """out: [N, ⌈K/32⌉, P, Q], words of 32 signs: as `binary_conv2d_packed`, and a comparison for each sum."""
    (images, _, rows, columns), number_format = call.output.shape, call.tensor("factors").number_format
    sums = images * _filters(call)[0] * rows * columns
    return OperatorWork((_packed_sites(call, sums, number_format),), OpCounts.of(number_format, compare=sums))


def _filters(call: OpCall) -> list[int]:
    """The shape of the weight that packed words stand for."""
    shape = call.args["weight_shape"]
    assert isinstance(shape, tuple)
    return [size for size in shape if isinstance(size, int)]


def _packed_sites(call: OpCall, sums: int, number_format: str) -> Sites:
    """number_format: of factors and addends."""
    x, terms = call.tensor("input"), math.prod(_filters(call)[1:])
    return Sites(
        count=sums * terms,
        outputs=sums if terms else 0,
        biased=sums,
        inputs=0 if x.number_format == "int32" else x.numel,
        number_format=number_format,
        accumulator_format=accumulator_of(number_format),
        arithmetic=Arithmetic.XNOR,
        weighted=True,
    )


@rule("addercost.binary_linear")
def binary_linear(call: OpCall) -> OperatorWork:
    """x: […, C], w: [K, C], out: […, K] = α·Σ sign(x)·sign(w) over C terms, as `binary_conv2d`."""
    return _linear_as(Arithmetic.XNOR, call)


@rule("addercost.shift_conv2d")
def shift_conv2d(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], w: [K, C/G, R, S] of ±2^e, out: [N, K, P, Q] = Σ x·w over T = C/G·R·S terms: T shifts
    and T - 1 additions for each output, and one more for a bias."""
    return _convolution_as(Arithmetic.SHIFT, call)


@rule("addercost.shift_linear")
def shift_linear(call: OpCall) -> OperatorWork:
    """x: […, C], w: [K, C] of ±2^e, out: […, K] = Σ x·w over C terms, as `shift_conv2d`."""
    return _linear_as(Arithmetic.SHIFT, call)


@rule("addercost.ternary_linear")
def ternary_linear(call: OpCall) -> OperatorWork:
    """x: […, C], w: [K, C] of -1, 0 and 1, out: […, K] = Σ x·w over C terms: C selections of x, -x or 0 and C
    - 1 additions for each output. Floating-point x is rounded to int8 by the largest |x| of its row: a
    magnitude, a comparison, a product and an addition for each input, and one product for each output."""
    return _linear_as(Arithmetic.TERNARY, call)


@rule("addercost.ternary_linear_packed")
def ternary_linear_packed(call: OpCall) -> OperatorWork:
    """x: […, C], words: [K, bytes], out: […, K]: as `ternary_linear`, with packed weights."""
    biased = call.optional_tensor("bias") is not None
    return _sums_as(Arithmetic.TERNARY, call, call.tensor("input").shape[-1], biased)
