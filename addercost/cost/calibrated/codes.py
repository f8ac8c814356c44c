"""Kernels on codes: 8-bit integers that stand for real numbers by a scale and a zero point, as torch's
quantised modules compute on them.

Their operators pack weight and bias into one argument, and some do a ReLU in the same kernel.
"""

from __future__ import annotations

import math

from addercost.counts.kernel_calls import KernelCall, Operand

CODES = "quint8"
"""The format whose times predict these kernels: torch's name of codes without a sign."""

ROUNDING = frozenset(
    ("quantize_per_tensor", "quantize_per_channel", "quantize_per_tensor_dynamic", "dequantize")
)
"""Operators that convert between floating point and codes."""

_PACKED = ("packed_weight", "W_prepack")
_DYNAMIC = "_dynamic"


def is_of_codes(call: KernelCall) -> bool:
    """Whether the kernel reads or writes codes. A layer that rounds its inputs itself does neither."""
    namespace, name = call.name.split(".", 1)
    if namespace == "quantized":
        return not name.endswith(_DYNAMIC)
    if name in ROUNDING:
        return True
    return any("qint" in o.dtype or "quint" in o.dtype for o in (*call.operands(), *call.outputs))


def main_name(call: KernelCall) -> str:
    """The operator's name without namespace, and without what a quantised operator does in the same kernel:
    `convolution` of "quantized.conv2d_add_relu", `linear` of "quantized.linear_tanh", `add` of
    "quantized.add_relu". Calls of traces that were saved before convolutions had `groups` keep their names.
    """
    namespace, name = call.name.split(".", 1)
    if namespace != "quantized":
        return name
    if name.startswith("conv") and not name.startswith("conv_transpose") and call.argument("groups"):
        return "convolution"
    if name.startswith("linear"):
        return "linear"
    return name if name == "leaky_relu" else name.removesuffix("_relu")


def packed_weight(call: KernelCall) -> Operand | None:
    """The weight among a kernel's packed parameters; None for a kernel without such."""
    for name in _PACKED:
        value = call.argument(name)
        if isinstance(value, tuple) and value and isinstance(value[0], Operand):
            return value[0]
    return None


def is_slow_depthwise(call: KernelCall) -> bool:
    """Whether torch's fast kernel for depthwise convolutions on codes refuses one: it takes multiples of
    eight channels and no dilation. Without it they take some hundred times as long.
    """
    dilation = call.argument("dilation")
    dilated = isinstance(dilation, tuple) and any(step != 1 for step in dilation)
    return is_of_codes(call) and (dilated or call.outputs[0].shape[1] % 8 > 0)


FEW_CHANNELS = 100
"""Where the processor multiplies bytes with VNNI, torch leaves depthwise convolutions of at most so many
channels to oneDNN (`should_use_onednn_quant` in its ATen/native/quantized/cpu/OnednnUtils.h).
"""


def has_few_channels(call: KernelCall) -> bool:
    """Whether a depthwise convolution has so few channels that another library may compute it."""
    return call.outputs[0].shape[1] <= FEW_CHANNELS


def as_product(call: KernelCall) -> KernelCall:
    """A dynamically quantised linear layer as the product that it computes, which is how the kernels of such
    layers are described where they are timed: inputs rounded to int8, int8 weights, fp32 outputs. Any other
    kernel is returned as it is.
    """
    weight = packed_weight(call)
    if weight is None or not (call.name.startswith("quantized.linear") and call.name.endswith(_DYNAMIC)):
        return call
    (output,), (m, k) = call.outputs, weight.shape
    rows = math.prod(output.shape[:-1])
    x, turned = Operand((rows, k), "int8"), Operand((k, m), "int8", weight.is_weight)
    return KernelCall("aten.mm.default", (("self", x), ("mat2", turned)), (Operand((rows, m), output.dtype),))
