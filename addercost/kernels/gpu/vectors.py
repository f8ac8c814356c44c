"""Loads, stores and parts of 32-bit words, without leaving to Triton which thread has which element.

Triton gives every load and store a layout of its own, loads several elements at once only where it can prove
that the address is aligned, and moves values between layouts through shared memory. All of this would cost
accumulators that stay in registers. PTX takes the layout that it is given, so memory is accessed by PTX here.
With EMULATE, plain loads and stores replace it, for the interpreter and for GPUs without PTX.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def load_words(at, EMULATE: tl.constexpr):
    """The four words at each address, as four int32 tensors. An address must be a multiple of 16 bytes."""
    if EMULATE:
        words = at.to(tl.pointer_type(tl.int32))
        return tl.load(words), tl.load(words + 1), tl.load(words + 2), tl.load(words + 3)
    else:
        return tl.inline_asm_elementwise(
            "ld.global.nc.v4.b32 {$0, $1, $2, $3}, [$4];",
            "=r,=r,=r,=r,l",
            [at.to(tl.int64)],
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
            is_pure=True,
            pack=1,
        )


@triton.jit
def load_neighbours(at, tile, EMULATE: tl.constexpr):
    """The word at each address. The addresses of a thread must be neighbours in groups of four, aligned to 16
    bytes.

    One load fetches four elements, so only the first of their addresses is used. `tile` determines which
    thread has which element: addresses are broadcast to its shape, whose layout is known. Equal loads are
    made once.
    """
    if EMULATE:
        return tl.load(at)
    else:
        at, _ = tl.broadcast(at.to(tl.int64), tile)
        return tl.inline_asm_elementwise(
            "ld.global.nc.v4.b32 {$0, $1, $2, $3}, [$4];",
            "=r,=r,=r,=r,l,l,l,l",
            [at],
            dtype=tl.int32,
            is_pure=True,
            pack=4,
        )


@triton.jit
def load_each(at, EMULATE: tl.constexpr):
    """The 16- or 32-bit element at each address."""
    number: tl.constexpr = at.dtype.element_ty
    if EMULATE:
        return tl.load(at)
    elif number.primitive_bitwidth == 32:
        word = tl.inline_asm_elementwise(
            "ld.global.nc.b32 $0, [$1];", "=r,l", [at.to(tl.int64)], dtype=tl.int32, is_pure=True, pack=1
        )
        return word.to(number, bitcast=True)
    else:
        word = tl.inline_asm_elementwise(
            "ld.global.nc.u16 $0, [$1];", "=r,l", [at.to(tl.int64)], dtype=tl.int32, is_pure=True, pack=1
        )
        return word.to(tl.int16).to(number, bitcast=True)


@triton.jit
def store_each(at, value, kept, EMULATE: tl.constexpr):
    """Writes each element for which `kept` is true."""
    number: tl.constexpr = at.dtype.element_ty
    value = value.to(number)
    if EMULATE:
        tl.store(at, value, mask=kept)
    elif number.primitive_bitwidth == 32:
        tl.inline_asm_elementwise(
            "{ .reg .pred p; setp.ne.b32 p, $3, 0; @p st.global.b32 [$1], $2; mov.b32 $0, 0; }",
            "=r,l,r,r",
            [at.to(tl.int64), value.to(tl.int32, bitcast=True), kept.to(tl.int32)],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )
    else:
        tl.inline_asm_elementwise(
            "{ .reg .pred p; setp.ne.b32 p, $3, 0; @p st.global.u16 [$1], $2; mov.b32 $0, 0; }",
            "=r,l,r,r",
            [at.to(tl.int64), value.to(tl.int16, bitcast=True).to(tl.int32), kept.to(tl.int32)],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )


@triton.jit
def store_neighbours(at, value, kept, EMULATE: tl.constexpr):
    """Writes the 32-bit elements for which `kept` is true. The addresses are as in `load_neighbours`, and
    `kept` is equal within each group of four.
    """
    value = value.to(at.dtype.element_ty)
    if EMULATE:
        tl.store(at, value, mask=kept)
    else:
        tl.inline_asm_elementwise(
            "{ .reg .pred p; setp.ne.b32 p, $12, 0; @p st.global.v4.b32 [$4], {$8, $9, $10, $11}; "
            "mov.b32 $0, 0; mov.b32 $1, 0; mov.b32 $2, 0; mov.b32 $3, 0; }",
            "=r,=r,=r,=r,l,l,l,l,r,r,r,r,r,r,r,r",
            [at.to(tl.int64), value.to(tl.int32, bitcast=True), kept.to(tl.int32)],
            dtype=tl.int32,
            is_pure=False,
            pack=4,
        )


@triton.jit
def low_half(word, HALF: tl.constexpr, EMULATE: tl.constexpr):
    """The lower 16 bits of an int32 as the number of type HALF, in fp32."""
    if HALF == tl.bfloat16:
        return (word << 16).to(tl.float32, bitcast=True)
    elif EMULATE:
        return (word & 0xFFFF).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
    else:
        # PTX names both halves of a register; a shift and a mask would take instructions of their own.
        return tl.inline_asm_elementwise(
            "{ .reg .b16 l, h; mov.b32 {l, h}, $1; cvt.f32.f16 $0, l; }",
            "=f,r",
            [word],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )


@triton.jit
def high_half(word, HALF: tl.constexpr, EMULATE: tl.constexpr):
    """The upper 16 bits, likewise."""
    if HALF == tl.bfloat16:
        return (word & -65536).to(tl.float32, bitcast=True)
    elif EMULATE:
        return ((word >> 16) & 0xFFFF).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
    else:
        return tl.inline_asm_elementwise(
            "{ .reg .b16 l, h; mov.b32 {l, h}, $1; cvt.f32.f16 $0, h; }",
            "=f,r",
            [word],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )
