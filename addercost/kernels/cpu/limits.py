"""What a core's arithmetic can do at best: the inner loop of each site and nothing else, in LLVM IR.

Eight operands stay in registers, two vectors a step come from a few cache lines, sixteen sums are
independent: no loads that miss, no edges, no stores. A kernel's share of its limit is its rate over this one.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import torch

from addercost.kernels.cpu.ir.native import native_function
from addercost.kernels.cpu.processor import vector_bytes

_OPERANDS, _VECTORS, _LINES = 8, 2, 32


@dataclass(frozen=True, slots=True)
class _Loop:
    vector: str
    term: str
    """IR lines from %x, %w and the running sum %a to the new one %r; every temporary is `%t…`."""
    sites: int
    """In a vector."""


def limit_sites_per_second(site: str, seconds: float = 0.05) -> float:
    """Sites a second of `site` ("mac", "adder", "adder_u8", "mac_u8", "xnor") on one core, at best; of
    "two_additions", the adder's as a subtraction and an addition, half of what the add pipes do.

    The best of several runs, `seconds` in all: a limit is not an average. Raises KeyError for a site that
    this machine has no instruction for.
    """
    function, loop = _compiled(site)
    memory = torch.randint(0, 100, (_LINES + _OPERANDS + _OPERANDS * _VECTORS, vector_bytes() // 4)).float()
    start = memory.data_ptr()
    sums = start + (_LINES + _OPERANDS) * vector_bytes()
    steps = 20_000
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        began = time.perf_counter()
        function(start, start + _LINES * vector_bytes(), sums, steps)
        best = min(best, time.perf_counter() - began)
    return steps * _OPERANDS * _VECTORS * loop.sites / best


def _loop(site: str) -> _Loop:
    size = vector_bytes()
    lanes = size // 4
    floats, ints, bytes_, longs = (
        f"<{size // b} x {t}>" for b, t in ((4, "float"), (4, "i32"), (1, "i8"), (8, "i64"))
    )
    if site == "mac":
        term = f"%r = call {floats} @llvm.fma.v{lanes}f32({floats} %x, {floats} %w, {floats} %a)"
        return _Loop(floats, term, lanes)
    if site == "adder":
        # The kernels' own form, which adds up on the multiply-add pipes.
        term = f"""%t1 = fsub {floats} %x, %w
            %t2 = call {floats} @llvm.fabs.v{lanes}f32({floats} %t1)
            %r = call {floats} @llvm.fma.v{lanes}f32({floats} %t2, {floats} %sign, {floats} %a)"""
        return _Loop(floats, term, lanes)
    if site == "two_additions":
        term = f"""%t1 = fsub {floats} %x, %w
            %t2 = call {floats} @llvm.fabs.v{lanes}f32({floats} %t1)
            %r = fsub {floats} %a, %t2"""
        return _Loop(floats, term, lanes)
    if site == "xnor":
        term = f"""%t1 = xor {ints} %x, %w
            %t2 = call {ints} @llvm.ctpop.v{lanes}i32({ints} %t1)
            %r = add {ints} %a, %t2"""
        return _Loop(ints, term, lanes * 32)
    if site == "mac_u8":
        words = f"<{size // 4} x i32>"
        # Four products of bytes into each 32-bit sum; without the instruction there is no such limit.
        if "avx512vnni" not in _features() or size != 64:
            raise KeyError(site)
        term = f"""%t1 = bitcast {ints} %x to {bytes_}
            %t2 = bitcast {ints} %w to {bytes_}
            %r = call {words} @llvm.x86.avx512.vpdpbusd.512({words} %a, {bytes_} %t1, {bytes_} %t2)"""
        return _Loop(ints, term, size)
    if site == "adder_u8":
        sad = "avx512.psad.bw.512" if size == 64 else "avx2.psad.bw"
        term = f"""%t1 = bitcast {longs} %x to {bytes_}
            %t2 = bitcast {longs} %w to {bytes_}
            %t3 = call {longs} @llvm.x86.{sad}({bytes_} %t1, {bytes_} %t2)
            %r = add {longs} %a, %t3"""
        return _Loop(longs, term, size)
    raise KeyError(site)


def _features() -> set[str]:
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


def _ir(site: str, loop: _Loop) -> str:
    """void limit(ptr lines, ptr operands, ptr sums, i64 steps), sums read, added to and written back."""
    vector, size = loop.vector, vector_bytes()
    lanes, floats = size // 4, f"<{size // 4} x float>"
    accumulators = [(m, v) for m in range(_OPERANDS) for v in range(_VECTORS)]
    # From memory that anybody may write: a constant the compiler would turn into a subtraction.
    before = [f"%sign = load {floats}, ptr @sign, align {size}"]
    phis, body, after = [], [], []
    for m in range(_OPERANDS):
        before.append(f"%px{m} = getelementptr {vector}, ptr %operands, i64 {m}")
        before.append(f"%x{m} = load {vector}, ptr %px{m}, align 4")
    for v in range(_VECTORS):
        body.append(f"%i{v} = add i64 %base, {v}")
        body.append(f"%pw{v} = getelementptr {vector}, ptr %lines, i64 %i{v}")
        body.append(f"%w{v} = load {vector}, ptr %pw{v}, align 4")
    for index, (m, v) in enumerate(accumulators):
        name = f"a{m}_{v}"
        before.append(f"%p{name} = getelementptr {vector}, ptr %sums, i64 {index}")
        before.append(f"%s{name} = load {vector}, ptr %p{name}, align 4")
        phis.append(f"%{name} = phi {vector} [ %s{name}, %entry ], [ %r{name}, %loop ]")
        term = loop.term.replace("%t", f"%t{name}_").replace("%r ", f"%r{name} ")
        body.append(term.replace("%x", f"%x{m}").replace("%w", f"%w{v}").replace("%a", f"%{name}"))
        after.append(f"store {vector} %r{name}, ptr %p{name}, align 4")
    declared = f"""
        @sign = global {floats} <{", ".join(["float -1.0"] * lanes)}>, align {size}
        declare {floats} @llvm.fma.v{lanes}f32({floats}, {floats}, {floats})
        declare {floats} @llvm.fabs.v{lanes}f32({floats})
        declare <{lanes} x i32> @llvm.ctpop.v{lanes}i32(<{lanes} x i32>)
        declare <8 x i64> @llvm.x86.avx512.psad.bw.512(<64 x i8>, <64 x i8>)
        declare <4 x i64> @llvm.x86.avx2.psad.bw(<32 x i8>, <32 x i8>)
    """
    if "vpdpbusd" in loop.term:
        # Its operands' types depend on the version of LLVM, which then refuses the whole module.
        declared += "declare <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32>, <64 x i8>, <64 x i8>)"
    lines = [
        declared,
        "define void @limit(ptr noalias %lines, ptr noalias %operands, ptr noalias %sums, i64 %steps) {",
        "entry:",
        *before,
        "br label %loop",
        "loop:",
        "%i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *phis,
        f"%scaled = mul i64 %i, {_VECTORS}",
        f"%base = and i64 %scaled, {_LINES - 1}",
        *body,
        "%next = add i64 %i, 1",
        "%more = icmp ult i64 %next, %steps",
        "br i1 %more, label %loop, label %done",
        "done:",
        *after,
        "ret void",
        "}",
    ]
    return "\n".join(lines)


@cache
def _compiled(site: str) -> tuple[Any, _Loop]:
    loop, pointer = _loop(site), ctypes.c_void_p
    return native_function(
        _ir(site, loop), "limit", None, pointer, pointer, pointer, ctypes.c_int64, as_written=True
    ), loop
