"""The closed vocabulary of the tables: instruction ops, forms, qualities. A file that uses another word is
refused.

An instruction op is named `<number format>_<what it does>`, or just what it does where bits are bits (`xor`).
"""

from __future__ import annotations

from enum import StrEnum

SCHEMA_VERSION = 1


class Quality(StrEnum):
    """How a figure was obtained. The order is the order of preference."""

    MEASURED = "measured"
    SPECIFICATION = "specification"
    """Published by the vendor about the product."""
    PUBLISHED = "published"
    """Stated in a publication without saying whether measured or simulated."""
    MODEL = "model"
    """Taken from a compiler's scheduling model, which its authors tune for good code and not for exact
    figures.
    """


class Form(StrEnum):
    """The registers an instruction works on."""

    SCALAR = "scalar"
    VECTOR = "vector"
    """Fixed-width vectors: SSE, AVX, AVX-512, Neon, MVE. The width is in `vector_bits`."""
    X87 = "x87"
    SVE = "sve"
    RVV = "rvv"
    """RISC-V vectors, one register at a time (LMUL = 1)."""
    MATRIX = "matrix"
    """Matrix units, which multiply two small matrices and add the product to a third: AMX, SME, RISC-V IME.
    `vector_bits` is the width of an operand register, for AMX of a whole tile."""


_PER_FORMAT = {
    "abs": "absolute value",
    "add": "addition or subtraction",
    "max": "maximum or minimum",
    "mul": "multiplication",
    "cmp": "comparison to a mask",
    "div": "division",
    "sqrt": "square root",
    "fma": "fused multiply-add",
    "absdiff": "fused |a - b|",
    "mla": "multiply, add to accumulator of the same width",
}

SITES_PER_LANE = {
    "int8_dot": 4,
    "int16_dot": 2,
    "bf16_dot": 2,
    "int8_mmla": 8,
    "bf16_mmla": 4,
    "fp16_mmla": 4,
    "int8_tile_dot": 64,
    "bf16_tile_dot": 32,
    "int8_outer_dot": 4,
    "bf16_outer_dot": 2,
    "fp16_outer_dot": 2,
}
"""How many pairs of inputs an instruction combines for each lane of its result, where that is more than
one.
"""

INSTRUCTION_OPS: dict[str, str] = {
    f"{number_format}_{name}": f"{number_format} {meaning}"
    for number_format in ("fp16", "bf16", "fp32", "fp64", "fp80", "int8", "int16", "int32", "int64", "uint8")
    for name, meaning in _PER_FORMAT.items()
} | {
    "fp32_mac": "fp32 multiply, round, add to accumulator (not fused)",
    "fp64_mac": "fp64 multiply, round, add to accumulator (not fused)",
    "fp32_fma4": "fp32 fused multiply-add, four-operand AMD encoding",
    "fp64_fma4": "fp64 fused multiply-add, four-operand AMD encoding",
    "bf16_dot": "two bf16 products added to an fp32 lane",
    "bf16_mmla": "rows by columns of four bf16, products added to each fp32 lane of a small matrix",
    "bf16_tile_dot": "16x32 by 32x16 bf16 matrix product added to a tile of 16x16 fp32",
    "bf16_outer_dot": "outer product of vectors of bf16 pairs, added to a tile of fp32",
    "fp16_outer_dot": "outer product of vectors of fp16 pairs, added to a tile of fp32",
    "fp32_outer": "outer product of fp32 vectors, added to a tile of fp32",
    "fp64_outer": "outer product of fp64 vectors, added to a tile of fp64",
    "int8_tile_dot": "16x64 by 64x16 int8 matrix product added to a tile of 16x16 int32",
    "int8_outer_dot": "outer product of vectors of four int8 each, added to a tile of int32",
    "fp16_mmla": "fp16 matrix product of a GPU's warp, added to fp32",
    "int16_dot": "two int16 products added to an int32 lane",
    "int16_madd": "int16 products, neighbours added, to int32 (no accumulator); lanes counts products",
    "int16_mlal": "int16 products added to int32 lanes",
    "int8_dot": "four int8 products added to an int32 lane",
    "int8_maddubs": "uint8 by int8 products, neighbours added with saturation; lanes counts products",
    "int8_mlal": "int8 products added to int16 lanes",
    "int8_mmla": "rows by columns of eight int8, products added to each int32 lane of a small matrix",
    "int8_wadd": "int8 additions to int16",
    "int8_wmacc": "int8 products added to int16 lanes",
    "int8_popcount": "set bits of each byte",
    "int32_popcount": "set bits of each 32-bit word",
    "int64_popcount": "set bits of each 64-bit word",
    "uint8_sad": "sums of |a - b| over eight bytes each (no accumulator); lanes counts bytes",
    "uint8_sad_acc": "sum of four byte |a - b|, added to a 32-bit accumulator; lanes counts bytes",
    "uint8_absdiff_acc": "|a - b| of bytes added to byte lanes",
    "uint8_absdiff_acc_long": "|a - b| of the low bytes added to 16-bit lanes",
    "uint8_absdiff_acc_long_high": "|a - b| of the high bytes added to 16-bit lanes",
    "uint8_pair_add_acc": "neighbouring bytes added, into 16-bit lanes",
    "uint8_min": "uint8 minimum",
    "uint8_subs": "uint8 saturating subtraction",
    "uint16_absdiff": "fused |a - b| of uint16",
    "uint16_absdiff_acc": "|a - b| of uint16 added to lanes of the same width",
    "uint32_absdiff": "fused |a - b| of uint32",
    "uint32_absdiff_acc": "|a - b| of uint32 added to lanes of the same width",
    "and": "bitwise and",
    "xor": "bitwise exclusive or",
    "shift_imm": "shift by a constant",
    "shift_var": "shift by a variable",
    "shuffle": "byte shuffle within a register",
    "load": "vector load, first-level cache hit",
}
"""Every instruction op that a CPU table may name, with its effect."""
