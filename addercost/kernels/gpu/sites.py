"""The arithmetics: how one input and one weight enter a sum, in the instructions that exist for it."""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def combine(total, x, w, stationary, SITE: tl.constexpr, EMULATE: tl.constexpr):
    """`total` plus the term of every pair of x and w. EMULATE replaces PTX by plain Triton for the
    interpreter, which has no assembler.

    The gradients have a third operand: x is then the output's gradient, and w is compared with `stationary`,
    which has the tile's shape. "adder_half2" combines words of two halves; each word of `total` has two
    running sums.
    """
    if SITE == "adder":
        total += tl.abs(x - w)
    elif SITE == "mac":
        # `fma` is called by name, because compilers differ in whether they fuse a product and a sum by
        # default.
        x, w = tl.broadcast(x, w)
        total = tl.fma(x, w, total)
    elif SITE == "clip":
        slope = tl.clamp(w - stationary, -1.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
        x, slope = tl.broadcast(x, slope)
        total = tl.fma(x, slope, total)
    elif SITE == "sign":
        slope = (w > stationary).to(tl.float32) - (w < stationary).to(tl.float32)
        x, slope = tl.broadcast(x, slope)
        total = tl.fma(x, slope, total)
    elif SITE == "xnor":
        if EMULATE:
            bits = (x ^ w).to(tl.uint32, bitcast=True)
            bits = bits - ((bits >> 1) & 0x55555555)
            bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
            bits = (bits + (bits >> 4)) & 0x0F0F0F0F
            for byte in tl.static_range(4):
                total += ((bits >> (8 * byte)) & 255).to(tl.int32)
        else:
            total += tl.inline_asm_elementwise(
                "popc.b32 $0, $1;", "=r,r", [x ^ w], dtype=tl.int32, is_pure=True, pack=1
            )
    elif SITE == "adder_u8":
        x, w = tl.broadcast(x, w)
        if EMULATE:
            for byte in tl.static_range(4):
                total += tl.abs(((x >> (8 * byte)) & 255) - ((w >> (8 * byte)) & 255))
        else:
            total = tl.inline_asm_elementwise(
                "vabsdiff4.u32.u32.u32.add $0, $1, $2, $3;",
                "=r,r,r,r",
                [x, w, total],
                dtype=tl.int32,
                is_pure=True,
                pack=1,
            )
    else:
        tl.static_assert(SITE == "adder_half2")
        x, w = tl.broadcast(x, w)
        if EMULATE:
            low = _half(total) + tl.abs(_half(x) - _half(w))
            high = _half(total >> 16) + tl.abs(_half(x >> 16) - _half(w >> 16))
            low = low.to(tl.int16, bitcast=True).to(tl.int32)
            total = (low & 0xFFFF) | (high.to(tl.int16, bitcast=True).to(tl.int32) << 16)
        else:
            total = tl.inline_asm_elementwise(
                "{ .reg .b32 d; sub.rn.f16x2 d, $1, $2; abs.f16x2 d, d; add.rn.f16x2 $0, d, $3; }",
                "=r,r,r,r",
                [x, w, total],
                dtype=tl.int32,
                is_pure=True,
                pack=1,
            )
    return total


@triton.jit
def widen(total, run, EMULATE: tl.constexpr):
    """`total`, fp32, plus both halves of every word of `run`."""
    if EMULATE:
        total += _half(run).to(tl.float32) + _half(run >> 16).to(tl.float32)
    else:
        total = tl.inline_asm_elementwise(
            "{ .reg .b16 l, h; .reg .f32 a, b; mov.b32 {l, h}, $1; cvt.f32.f16 a, l; cvt.f32.f16 b, h; "
            "add.f32 a, a, b; add.f32 $0, $2, a; }",
            "=f,r,f",
            [run, total],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )
    return total


@triton.jit
def _half(word):
    return (word & 0xFFFF).to(tl.int16).to(tl.float16, bitcast=True)
