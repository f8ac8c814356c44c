"""Contenders with weights of 2 and 4 bits, for linear layers on the CPU: our kernels, and torch's with 4
bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from addercost.arithmetic import Arithmetic
from addercost.kernels import dispatch
from addercost.kernels.narrow import pack_four_bits, pack_ternary
from addercost.kernels.narrow_lookup import as_lookups
from addercost.measure.case import LayerCase
from addercost.measure.contenders.contender import Contender, Place, UnsupportedError
from addercost.measure.contenders.random_data import random_codes, random_tensor
from addercost.measure.devices.device import Call

TERNARY_BITS = (8.0, 2.0, 32.0)
FOUR_BITS = (8.0, 4 + 32 / 128, 32.0)
"""Bits of an input, a weight and an output: a weight has four bits, and 128 weights share a scale in fp32."""

TORCH_GROUP = 128
"""How many weights along the inputs share a scale and a smallest value, both bf16, in torch's product."""


def narrow_contenders() -> Iterator[Contender]:
    """The contenders on the CPU. Our kernels get inputs that are int8 already. Their outputs are int32 sums
    for ternary weights, and fp32 for 4-bit weights.
    """
    for way, operation in (("integer dot", "narrow_product"), ("table look-up", "lookup_product")):
        for arithmetic, bits, item_bits, sums in (
            (Arithmetic.TERNARY, 2, TERNARY_BITS, "int32 sums, not scaled"),
            (Arithmetic.MAC, 4, FOUR_BITS, "a scale for 128 weights, fp32 sums"),
        ):
            yield Contender(
                arithmetic,
                f"{way}, {bits}-bit weights",
                "int8",
                f"inputs rounded and weights packed beforehand; {sums}",
                partial(_ours, operation, bits),
                claims=(operation, "halide"),
                item_bits=item_bits,
                estimated=False,
                convolution=False,
            )
    yield Contender(
        Arithmetic.MAC,
        "torch, 4-bit weights",
        "bf16",
        "aten::_weight_int4pack_mm_for_cpu: weights packed beforehand, a scale and a smallest value for 128",
        _torch_four_bits,
        item_bits=(16, 4 + 32 / TORCH_GROUP, 16),
        estimated=False,
        convolution=False,
    )


def _ours(operation: str, bits: int, case: LayerCase, place: Place) -> Call:
    x = random_codes(case.input_shape, place, -127, 128, torch.int8)
    if bits == 2:
        packed = pack_ternary(random_codes(case.weight_shape, place, -1, 2, torch.int8))
    else:
        packed = pack_four_bits(random_tensor(case.weight_shape, place, torch.float32))
    if operation == "lookup_product":
        return partial(dispatch.lookup_product, x, as_lookups(packed))
    return partial(dispatch.narrow_product, x, packed)


def _torch_four_bits(case: LayerCase, place: Place) -> Call:
    x = random_tensor(case.input_shape, place, torch.bfloat16)
    codes = random_codes(case.weight_shape, place, 0, 16, torch.int32)
    groups = case.channels // TORCH_GROUP
    if case.channels % TORCH_GROUP:
        raise UnsupportedError(f"torch takes whole groups of {TORCH_GROUP} inputs")
    scales = random_tensor((groups, case.filters, 2), place, torch.bfloat16)
    try:
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
        call = partial(torch.ops.aten._weight_int4pack_mm_for_cpu, x, packed, TORCH_GROUP, scales)
        call()
    except (RuntimeError, AttributeError) as error:
        raise UnsupportedError(f"torch refuses it: {str(error).partition(chr(10))[0]}") from None
    return call
