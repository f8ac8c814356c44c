"""The kernel that a contender runs, if `calibrate --kernels` times such kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from addercost.arithmetic import Arithmetic
from addercost.counts.kernel_calls import KernelCall
from addercost.measure.case import LayerCase
from addercost.measure.contenders.contender import Contender
from addercost.measure.contenders.own import KERNEL, LAYER, PACKED
from addercost.measure.contenders.vendor import ONEDNN, TORCH
from addercost.measure.kernel_times.case_kernels import byte_kernel, own_kernel, packed_kernel, torch_kernel

_KERNELS: Mapping[tuple[Arithmetic, str, str], Callable[[LayerCase], KernelCall]] = {
    (Arithmetic.MAC, TORCH, "fp32"): partial(torch_kernel, dtype="float32"),
    (Arithmetic.MAC, TORCH, "bf16"): partial(torch_kernel, dtype="bfloat16"),
    (Arithmetic.MAC, TORCH, "fp16"): partial(torch_kernel, dtype="float16"),
    (Arithmetic.MAC, ONEDNN, "int8"): partial(torch_kernel, dtype="int8"),
    (Arithmetic.ADDER, LAYER, "fp32"): partial(own_kernel, arithmetic="adder"),
    (Arithmetic.XNOR, LAYER, "fp32"): partial(own_kernel, arithmetic="binary"),
    (Arithmetic.SHIFT, LAYER, "fp32"): partial(own_kernel, arithmetic="shift"),
    (Arithmetic.ADDER, KERNEL, "int8"): byte_kernel,
    (Arithmetic.XNOR, PACKED, "fp32"): packed_kernel,
}


def kernel_of(contender: Contender, case: LayerCase) -> KernelCall | None:
    """The kernel with which a contender computes a layer; None where `calibrate --kernels` times no such
    kernels.
    """
    made = _KERNELS.get((contender.arithmetic, contender.implementation, contender.dtype))
    return made(case) if made is not None else None
