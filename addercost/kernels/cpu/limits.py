"""What a core's arithmetic can do at best: the inner loop of each site and nothing else, in LLVM IR.

Eight operands stay in registers, two vectors a step come from a few cache lines, sixteen sums are
independent: no loads that miss, no edges, no stores. A kernel's share of its limit is its rate over this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import llvmlite.ir as ir
import torch

from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I8,
    I32,
    I64,
    POINTER,
    at,
    call,
    compiled,
    function,
    repeated,
)
from addercost.kernels.cpu.ir.native import host_features
from addercost.kernels.cpu.ir.vectors import absolute, constant, fma, vector
from addercost.kernels.cpu.processor import vector_bytes

_OPERANDS, _VECTORS, _LINES = 8, 2, 32


def limit_sites_per_second(site: str, seconds: float = 0.05) -> float:
    """Sites a second of `site` ("mac", "adder", "adder_u8", "mac_u8", "xnor") on one core, at best; of
    "two_additions", the adder's as a subtraction and an addition, half of what the add pipes do.

    The best of several runs, `seconds` in all: a limit is not an average. Raises KeyError for a site that
    this machine has no instruction for.
    """
    function, vector_sites = _compiled(site)
    memory = torch.randint(0, 100, (_LINES + _OPERANDS + _OPERANDS * _VECTORS, vector_bytes() // 4)).float()
    start = memory.data_ptr()
    sums = start + (_LINES + _OPERANDS) * vector_bytes()
    steps = 20_000
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        began = time.perf_counter()
        function(start, start + _LINES * vector_bytes(), sums, steps)
        best = min(best, time.perf_counter() - began)
    return steps * _OPERANDS * _VECTORS * vector_sites / best


@cache
def _compiled(site: str) -> tuple[Any, int]:
    """void limit(lines, operands, sums, steps), which reads the sums, adds to them and writes them back, and
    the sites in a vector."""
    limit = _limit(site)
    code = function("limit", POINTER, POINTER, POINTER, I64)
    lines, operands, sums, steps = code.function.args

    def read(start: Any, index: Any) -> Any:
        return code.load(at(code, limit.vector, start, (index, 1)), align=4, typ=limit.vector)

    # -1 from memory that anybody may write: a constant the compiler would turn into a subtraction.
    minus_one = ir.GlobalVariable(code.module, vector(FLOAT, vector_bytes() // 4), "minus_one")
    minus_one.initializer, minus_one.align = constant(minus_one.value_type, -1.0), vector_bytes()
    sign = code.load(minus_one, align=vector_bytes(), typ=minus_one.value_type)
    inputs = [read(operands, index) for index in range(_OPERANDS)]
    starts = [read(sums, index) for index in range(_OPERANDS * _VECTORS)]
    with repeated(code, steps, *starts) as step:
        first = code.and_(code.mul(step.index, I64(_VECTORS)), I64(_LINES - 1))
        weights = [read(lines, code.add(first, I64(v))) for v in range(_VECTORS)]
        pairs = zip(product(inputs, weights), step.values, strict=True)
        step.following = [limit.add(code, total, x, w, sign) for (x, w), total in pairs]
    for index, total in enumerate(step.following):
        code.store(total, at(code, limit.vector, sums, (index, 1)), align=4)
    code.ret_void()
    return compiled(code, optimised=False), limit.sites


class _Limit(NamedTuple):
    """The inner loop of one site."""

    vector: Any
    """The IR type of operands and sums."""
    sites: int
    """In a vector."""
    add: Callable[[Any, Any, Any, Any, Any], Any]
    """(code, sum, x, w, a vector of -1 that only the run knows) to the new sum."""


def _limit(site: str) -> _Limit:
    size = vector_bytes()
    floats, ints, longs = vector(FLOAT, size // 4), vector(I32, size // 4), vector(I64, size // 8)
    if site == "mac":
        return _Limit(floats, size // 4, lambda code, total, x, w, _: fma(code, x, w, total))
    if site == "adder":
        return _Limit(floats, size // 4, _add_difference)
    if site == "two_additions":
        return _Limit(floats, size // 4, _subtract_difference)
    if site == "xnor":
        return _Limit(ints, 32 * size // 4, _add_differing_bits)
    if site == "adder_u8":
        return _Limit(longs, size, _add_byte_differences)
    # Without the instruction there is no such limit.
    if site == "mac_u8" and "avx512vnni" in host_features() and size == 64:
        return _Limit(ints, size, _add_byte_products)
    raise KeyError(site)


def _add_difference(code: Any, total: Any, x: Any, w: Any, sign: Any) -> Any:
    # The kernels' own form, which adds up on the multiply-add pipes.
    return fma(code, absolute(code, code.fsub(x, w)), sign, total)


def _subtract_difference(code: Any, total: Any, x: Any, w: Any, _: Any) -> Any:
    return code.fsub(total, absolute(code, code.fsub(x, w)))


def _add_differing_bits(code: Any, total: Any, x: Any, w: Any, _: Any) -> Any:
    name = f"llvm.ctpop.v{total.type.count}i32"
    return code.add(total, call(code, name, total.type, code.xor(x, w)))


def _add_byte_differences(code: Any, total: Any, x: Any, w: Any, _: Any) -> Any:
    bytes_ = vector(I8, 8 * total.type.count)
    name = "llvm.x86.avx512.psad.bw.512" if bytes_.count == 64 else "llvm.x86.avx2.psad.bw"
    return code.add(total, call(code, name, total.type, code.bitcast(x, bytes_), code.bitcast(w, bytes_)))


def _add_byte_products(code: Any, total: Any, x: Any, w: Any, _: Any) -> Any:
    # Four products of bytes into each 32-bit sum.
    bytes_ = vector(I8, 4 * total.type.count)
    name = "llvm.x86.avx512.vpdpbusd.512"
    return call(code, name, total.type, total, code.bitcast(x, bytes_), code.bitcast(w, bytes_))
