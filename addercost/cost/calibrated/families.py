"""The family of a kernel. Kernels of one family share one law for the time that they take."""

from __future__ import annotations

import math

from addercost.cost.calibrated.codes import (
    ROUNDING,
    has_few_channels,
    is_of_codes,
    is_slow_depthwise,
    main_name,
    packed_weight,
)
from addercost.counts.kernel_calls import KernelCall, Operand

FAMILIES = (
    "dense convolution", "pointwise convolution", "convolution of one pixel", "depthwise convolution",
    "grouped convolution", "transposed convolution", "adder convolution", "binary convolution",
    "shift convolution", "linear", "linear of one row", "product", "attention", "batch norm", "row norm",
    "softmax", "maximum pool", "average pool", "reduction", "copy", "lookup", "special function", "broadcast",
    "elementwise", "adder linear", "binary linear", "shift linear", "adder convolution of bytes",
    "packed binary convolution",
    *(
        f"{kind}, {shape}"
        for kind in ("adder convolution", "binary convolution", "shift convolution",
                     "adder convolution of bytes", "packed binary convolution")
        for shape in ("depthwise", "pointwise")
    ),
    "linear of rounded inputs", "linear of one rounded row", "rounding", "concatenation of codes",
    "shuffle of codes", "slow depthwise convolution", "slow depthwise convolution of few channels",
    "native dense convolution", "native pointwise convolution", "grouped pointwise convolution", "gelu",
)  # fmt: skip
"""The families. `elementwise` has every kernel that is in no other family. A linear layer of rounded inputs
has int8 weights, rounds its inputs to int8 itself and returns floating-point numbers. `rounding` converts
between floating point and codes. Codes are shuffled by a copy of images with groups of channels. A slow
depthwise convolution is one that `is_slow_depthwise` names; those of few channels are fast on some
processors. A native convolution is one that `is_native` names. `gelu` stands alone, since torch leaves it to
oneDNN, which takes longer to start.
"""

PRODUCTS = ("linear", "linear of one row", "linear of rounded inputs", "linear of one rounded row")
"""The families of products of rows with a weight."""

ONE_ROW = [FAMILIES.index(name) for name in PRODUCTS if "one" in name]
LINEAR = [FAMILIES.index(name) for name in PRODUCTS]
WITH_WEIGHTS = [i for i, name in enumerate(FAMILIES) if "convolution" in name or "linear" in name]

_OWN = {
    "adder_conv2d": "adder convolution",
    "binary_conv2d": "binary convolution",
    "shift_conv2d": "shift convolution",
    "adder_linear": "adder linear",
    "binary_linear": "binary linear",
    "shift_linear": "shift linear",
    "adder_conv2d_fused": "adder convolution",
    "adder_conv2d_u8": "adder convolution of bytes",
    "adder_conv2d_coded": "adder convolution of bytes",
    "binary_conv2d_packed": "packed binary convolution",
    "binary_conv2d_signs": "packed binary convolution",
    "binary_conv2d_fused": "packed binary convolution",
}
"""Families of the operators of our layers; those of convolutions are divided further by `_own_family`."""

_BY_NAME = {
    **dict.fromkeys(("addmm", "mm", "linear"), "linear"),
    **dict.fromkeys(("bmm", "baddbmm", "matmul"), "product"),
    **dict.fromkeys(
        ("native_layer_norm", "native_group_norm", "_fused_rms_norm", "instance_norm", "layer_norm",
         "group_norm"),
        "row norm",
    ),
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax", "softmax"), "softmax"),
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin", "max", "min", "argmax", "argmin", "var", "std", "var_mean", "prod"),
        "reduction",
    ),
    **dict.fromkeys(
        ("clone", "copy", "copy_", "_to_copy", "cat", "stack", "constant_pad_nd", "roll", "repeat", "flip",
         "masked_fill", "masked_fill_", "zeros", "zeros_like", "new_zeros", "ones", "full", "fill_", "zero_",
         "pixel_shuffle", "pixel_unshuffle", "upsample_nearest2d", "where", "reflection_pad2d", "tril",
         "triu", "arange", "split_with_sizes_copy", "channel_shuffle"),
        "copy",
    ),
    **dict.fromkeys(("embedding", "index", "index_select", "gather"), "lookup"),
    **dict.fromkeys(
        ("silu", "sigmoid", "tanh", "exp", "log", "erf", "pow", "sqrt", "rsqrt", "softplus", "elu", "mish",
         "sin", "cos", "div"),
        "special function",
    ),
    **dict.fromkeys(ROUNDING, "rounding"),
    "gelu": "gelu",
}  # fmt: skip

_SIMPLE = frozenset(
    ("add", "sub", "rsub", "mul", "neg", "abs", "relu", "relu6", "leaky_relu", "threshold", "hardtanh",
     "clamp", "clamp_min", "clamp_max", "maximum", "minimum", "sign", "square", "floor", "ceil", "round",
     "trunc", "lerp", "addcmul", "addcdiv", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or",
     "logical_not", "bitwise_and", "bitwise_or", "bitwise_not", "reciprocal", "dropout", "native_dropout",
     "isnan", "isinf", "alias_copy", "remainder", "fmod", "prelu", "_prelu_kernel", "hardshrink",
     "softshrink", "hardswish", "hardsigmoid"),
)  # fmt: skip
"""Operators that do little work on every element, like the element-wise operators that `calibrate` times."""


def is_like_timed(call: KernelCall) -> bool:
    """Whether the kernel's operator is named in a family; False for an operator that no family names."""
    if family_of(call) not in ("elementwise", "broadcast"):
        return True
    return main_name(call).rstrip("_") in _SIMPLE


def family_of(call: KernelCall) -> str:
    namespace, name = call.name.partition(".")[0], main_name(call)
    if namespace == "addercost":
        return _own_family(call, _OWN.get(name, "elementwise"))
    if name == "convolution":
        return _convolution_family(call)
    if "attention" in name:
        return "attention"
    if "batch_norm" in name:
        return "batch norm"
    if "pool" in name:
        return "maximum pool" if "max" in name else "average pool"
    family = _BY_NAME.get(name) or _BY_NAME.get(name.rstrip("_"))
    if family == "linear":
        of_one = rows_of(call.outputs[0]) == 1
        if rounds_inputs(call):
            return "linear of one rounded row" if of_one else "linear of rounded inputs"
        return "linear of one row" if of_one else "linear"
    if family == "copy" and is_of_codes(call):
        if name == "cat":
            return "concatenation of codes"
        return "shuffle of codes" if len(call.outputs[0].shape) == 5 else family
    if family is not None:
        return family
    shape = call.outputs[0].shape if call.outputs else ()
    smaller = any(operand.shape and operand.shape != shape for operand in call.operands())
    return "broadcast" if smaller else "elementwise"


def rounds_inputs(call: KernelCall) -> bool:
    """Whether the kernel is a linear layer as torch's dynamic quantisation makes it: an int8 product of int8
    weights with inputs that it rounds to int8, whose sums it scales back to floating point.
    """
    if _BY_NAME.get(main_name(call)) != "linear" or "float" not in call.outputs[0].dtype:
        return False
    factors = [operand for operand in call.operands() if operand.dtype == "int8"]
    return len(factors) == 2 and any(operand.is_weight for operand in factors)


def _own_family(call: KernelCall, family: str) -> str:
    """Depthwise and 1×1 convolutions have kernels of their own."""
    if "convolution" not in family:
        return family
    k, channels, *taps = filters_of(call)
    if channels == 1 and call.argument("groups") == k > 1:
        return f"{family}, depthwise"
    return f"{family}, pointwise" if math.prod(taps) == 1 else family


def _convolution_family(call: KernelCall) -> str:
    x, filters = image_of(call), filters_of(call)
    if call.argument("transposed"):
        return "transposed convolution"
    if call.argument("groups") != 1:
        if filters[1] != 1:
            return f"grouped {'pointwise ' * (math.prod(filters[2:]) == 1)}convolution"
        if not is_slow_depthwise(call):
            return "depthwise convolution"
        return f"slow depthwise convolution{' of few channels' * has_few_channels(call)}"
    if math.prod(filters[2:]) == math.prod(x.shape[2:]) == 1:
        return "convolution of one pixel"
    kind = "dense convolution" if math.prod(filters[2:]) > 1 else "pointwise convolution"
    return f"{'native ' * is_native(call)}{kind}"


MOST_NATIVE_INPUTS, LEAST_IMAGES = 20480, 16
"""The sizes in the rule of `is_native`: of the input in elements, and of a batch."""


def is_native(call: KernelCall) -> bool:
    """Whether torch computes a convolution of one group by its own product of matrices, and not by oneDNN,
    which takes longer to start. The rule is that of one thread; on several it only says which convolutions
    are small. Source: `ConvParams::use_mkldnn` in ATen/native/Convolution.cpp of torch 2.
    """
    x, taps = image_of(call), filters_of(call)[2:]
    if x.dtype != "float32":
        return False
    is_plain = math.prod(taps) == 1 and not _is_strided(call) and x.shape[0] < LEAST_IMAGES
    return is_plain or (x.shape[0] == 1 and min(taps) <= 3 and math.prod(x.shape) <= MOST_NATIVE_INPUTS)


def _is_strided(call: KernelCall) -> bool:
    return any(
        isinstance(steps, tuple) and any(step != 1 for step in steps)
        for steps in (call.argument("stride"), call.argument("dilation"))
    )


def image_of(call: KernelCall) -> Operand:
    """The images that a convolution reads."""
    x = call.argument("input") or next(call.operands())
    assert isinstance(x, Operand)
    return x


def filters_of(call: KernelCall) -> tuple[int, ...]:
    """The shape of the filters. Packed filters of signs are words, and the call has their shape as an
    argument.
    """
    shape = call.argument("weight_shape")
    if isinstance(shape, tuple):
        return tuple(size for size in shape if isinstance(size, int))
    w = call.argument("weight") or packed_weight(call)
    assert isinstance(w, Operand)
    return w.shape


def rows_of(output: Operand) -> int:
    return math.prod(output.shape[:-1])
