"""Products of narrow numbers. They count in the format of their operands, and their sums in a wider one."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.elementwise import per_element
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall, TensorSpec


def _product(
    x: TensorSpec,
    number_format: str,
    sites: int,
    outputs: int,
    biased: int = 0,
    rescaled: int = 0,
    weighted: bool = True,
) -> OperatorWork:
    """`sites` products in `number_format`; each of `rescaled` results is multiplied by a factor in fp32."""
    site = Sites(
        count=sites,
        outputs=outputs if sites else 0,
        biased=biased,
        inputs=x.numel,
        number_format=number_format,
        accumulator_format=accumulator_of(number_format),
        weighted=weighted,
    )
    return OperatorWork((site,), OpCounts.of("fp32", mul=rescaled))


@rule("aten._int_mm")
def integer_mm(call: OpCall) -> OperatorWork:
    """a: [n, k] int8, b: [k, m] int8, out: [n, m] int32: sums of k products."""
    a, out = call.tensor("self"), call.output
    return _product(a, a.number_format, out.numel * a.shape[-1], out.numel)


@rule("aten._scaled_mm", "aten._scaled_mm_v2")
def scaled_mm(call: OpCall) -> OperatorWork:
    """a: [n, k] float8, b: [k, m] float8: sums of k products in fp32, each times both scales, and the
    bias.
    """
    a, out = call.tensor("self"), call.output
    biased = out.numel if call.optional_tensor("bias") else 0
    return _product(a, a.number_format, out.numel * a.shape[-1], out.numel, biased, 2 * out.numel)


@rule("aten._grouped_mm", "transformers.grouped_mm_fallback")
def grouped_mm(call: OpCall) -> OperatorWork:
    """Groups of rows of a: [n, k], each multiplied by its own [k, m]; or groups of columns of a, out: [G, n,
    m].

    A mixture of experts gets each token as one row for each of its experts, so the count is for the routed
    tokens.
    """
    inner = "self" in call.args
    a, b = call.tensor("self" if inner else "input"), call.tensor("mat2" if inner else "weight")
    out = call.output
    joined = len(a.shape) == 2 and len(b.shape) == 2
    sites = a.numel * b.shape[-1] if joined else out.numel * a.shape[-1]
    return _product(a, a.number_format, sites, out.numel, weighted=b.role in ("parameter", "derived"))


@rule("aten._weight_int8pack_mm")
def int8_weights_mm(call: OpCall) -> OperatorWork:
    """x: [n, k] floating-point, w: [m, k] int8, which is converted to x's format (no operation), and a scale
    for each output.
    """
    x, out = call.tensor("self"), call.output
    return _product(x, x.number_format, out.numel * x.shape[-1], out.numel, 0, out.numel)


@rule("aten._weight_int4pack_mm", "aten._weight_int4pack_mm_for_cpu")
def int4_weights_mm(call: OpCall) -> OperatorWork:
    """x: [n, k] floating-point, k·m weights of 4 bits: each becomes w·scale + zero once, before the
    product.
    """
    x, out = call.tensor("self"), call.output
    weights = x.shape[-1] * out.shape[-1]
    work = _product(x, x.number_format, out.numel * x.shape[-1], out.numel)
    return OperatorWork(work.sites, work.other + OpCounts.of(x.number_format, mul=weights, add=weights))


@rule("aten._dyn_quant_matmul_4bit")
def int4_dynamic_mm(call: OpCall) -> OperatorWork:
    """x: [n, k] is rounded to int8 at run time; weights of 4 bits; a scale for each output and block."""
    x, out = call.tensor("inp"), call.output
    k, block = x.shape[-1], call.args["block_size"]
    assert isinstance(block, int)
    blocks = -(-k // block) if block else 1
    work = _product(x, "int8", out.numel * k, out.numel, 0, out.numel * blocks)
    return OperatorWork(work.sites, work.other + _quantizing(x))


def _quantizing(x: TensorSpec) -> OpCounts:
    """round(x/scale) + zero, limited to the range. Rounding is an addition."""
    return OpCounts.of(x.number_format, mul=1, add=2, compare=2) * x.numel


def _packed_weight(call: OpCall) -> TensorSpec:
    """The weight inside a packed parameter. The tracer has unpacked it into its tensors."""
    for name in ("W_prepack", "packed_weight", "weight"):
        value = call.args.get(name)
        items = value if isinstance(value, tuple) else (value,)
        for item in items:
            if isinstance(item, TensorSpec):
                return item
    raise KeyError(f"{call.op}: no packed weight in its arguments")


@rule(
    "quantized.linear",
    "quantized.linear_relu",
    "quantized.linear_leaky_relu",
    "quantized.linear_tanh",
    "quantized.linear_dynamic",
    "quantized.linear_relu_dynamic",
)
def quantized_linear(call: OpCall) -> OperatorWork:
    """x: […, k], w: [m, k] int8: sums of k products in int32, and for each output a bias, one factor and a
    rounding.
    """
    x, w, out = call.tensor("X"), _packed_weight(call), call.output
    work = _product(x, w.number_format, out.numel * w.shape[-1], out.numel, out.numel, out.numel)
    other = work.other + OpCounts.of("fp32", add=out.numel)
    if "relu" in call.name:
        other += OpCounts.of("int32", compare=out.numel)
    return OperatorWork(work.sites, other + (_quantizing(x) if "dynamic" in call.name else OpCounts()))


@rule(
    *(
        f"quantized.conv{axes}d{suffix}"
        for axes in (1, 2, 3)
        for suffix in ("", "_relu", "_add", "_add_relu", "_dynamic")
    )
)
def quantized_convolution(call: OpCall) -> OperatorWork:
    """w: [K, C/G, *R] int8, out: [N, K, *P]: as convolution, with bias, factor and rounding as in a linear
    layer.
    """
    x, w, out = call.tensors()[0], _packed_weight(call), call.output
    work = _product(x, w.number_format, out.numel * math.prod(w.shape[1:]), out.numel, out.numel, out.numel)
    other = work.other + OpCounts.of("fp32", add=out.numel)
    if "add" in call.name:
        other += OpCounts.of("int32", add=out.numel)
    if "relu" in call.name:
        other += OpCounts.of("int32", compare=out.numel)
    return OperatorWork(work.sites, other)


@rule(
    "aten.quantize_per_tensor",
    "aten.quantize_per_tensor_dynamic",
    "aten.quantize_per_channel",
    "quantized_decomposed.quantize_per_tensor",
    "quantized_decomposed.quantize_per_channel",
)
def quantize(call: OpCall) -> OperatorWork:
    """round(x/scale) + zero, limited to the range: 1 mul, 2 add (one is the rounding) and 2 compare for each
    element.
    """
    x = call.tensors()[0]
    return OperatorWork(other=_quantizing(x))


@rule(
    "aten.dequantize",
    "quantized_decomposed.dequantize_per_tensor",
    "quantized_decomposed.dequantize_per_channel",
)
def dequantize(call: OpCall) -> OperatorWork:
    """(q - zero)·scale."""
    return OperatorWork(other=OpCounts.of(call.output.number_format, add=1, mul=1) * call.output.numel)


@rule(
    "aten.fake_quantize_per_tensor_affine",
    "aten.fake_quantize_per_tensor_affine_cachemask",
    "aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    "aten.fake_quantize_per_channel_affine",
    "aten.fake_quantize_per_channel_affine_cachemask",
)
def fake_quantize(call: OpCall) -> OperatorWork:
    """x/scale + zero, rounded and limited to the range, then (q - zero)·scale."""
    return per_element(call, {"mul": 2, "add": 3, "compare": 2})


@rule("quantized.add", "quantized.add_relu", "quantized.mul", "quantized.mul_relu")
def quantized_elementwise(call: OpCall) -> OperatorWork:
    """Both operands are converted to fp32, added or multiplied, and the result is rounded: (q - zero)·scale
    for each operand.
    """
    n = call.output.numel
    join = OpCounts.of("fp32", **({"add": 1} if ".add" in call.name else {"mul": 1}))
    rounding = OpCounts.of("fp32", mul=1 + 2, add=2 + 2, compare=2 + ("relu" in call.name))
    return OperatorWork(other=(join + rounding) * n)
