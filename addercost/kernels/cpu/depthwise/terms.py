"""How each arithmetic adds a term in the depthwise loops, in LLVM IR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import llvmlite.ir as ir
import torch

from addercost.kernels.cpu.dense.sites import HALVES, in_half
from addercost.kernels.cpu.ir.build import FLOAT, I1, I8, I16, I32, call
from addercost.kernels.cpu.ir.halves import STORED
from addercost.kernels.cpu.ir.vectors import absolute, constant, fma, vector, zeros

IR_TYPES = {**STORED, torch.uint8: I8, torch.int32: I32}

SHORT_TAPS = ((1 << 16) - 1) // 255
"""The most differences of bytes whose sum fits 16 bits."""


@dataclass(frozen=True, slots=True)
class Term:
    """One arithmetic, for vectors of any number of lanes."""

    input: torch.dtype
    weight: torch.dtype
    output: torch.dtype
    sum: Any
    """The IR type of the running sum."""
    add: Callable[..., Any]
    """From (code, sum, input, weight) to the new sum. With `stationary`, that operand follows the weight."""
    finish: Callable[..., Any] = lambda code, total: total
    """From (code, sum) to the output. With `scaled`, a filter's factor and addend follow the sum."""
    scaled: bool = False
    watched: bool = False
    """The loop reports whether an input is not finite. It may be NaN, which has no sign."""
    stationary: bool = False
    """There is a third operand with one element for each output. It stays in a register."""

    @property
    def element(self) -> Any:
        return IR_TYPES[self.input]

    @property
    def weight_element(self) -> Any:
        return IR_TYPES[self.weight]

    @property
    def result(self) -> Any:
        return IR_TYPES[self.output]


IN_HALF = {in_half(site, dtype): (site, dtype) for site in ("adder", "mac") for dtype in HALVES}
"""The arithmetics of half precision: the fp32 arithmetic that sums, and the type of images."""


def term(site: str, many_taps: bool = False) -> Term:
    """The term of "adder", "mac", "binary", "adder_u8", "adder_u8_scaled", "adder_gradient",
    "adder_gradient_sign" or one of `IN_HALF`.

    many_taps: a filter has more than `SHORT_TAPS` taps, so sums of bytes need 32 bits."""
    if site in IN_HALF:
        name, dtype = IN_HALF[site]
        return replace(term(name), input=dtype, output=dtype)
    if site.startswith("adder_u8"):
        scaled = site == "adder_u8_scaled"
        return Term(
            torch.uint8,
            torch.uint8,
            torch.float32 if scaled else torch.int32,
            I32 if many_taps else I16,
            _add_byte_difference,
            _negated_and_scaled if scaled else _negated,
            scaled=scaled,
        )
    if site == "binary":
        return Term(
            torch.float32,
            torch.int32,
            torch.float32,
            FLOAT,
            _add_sign_product,
            _scaled,
            scaled=True,
            watched=True,
        )
    terms: dict[str, Callable[..., Any]] = {
        "adder": _subtract_difference,
        "mac": lambda code, total, x, w: fma(code, x, w, total),
        "adder_gradient": _add_clipped,
        "adder_gradient_sign": _add_signed,
    }
    stationary = site.startswith("adder_gradient")
    return Term(torch.float32, torch.float32, torch.float32, FLOAT, terms[site], stationary=stationary)


def _subtract_difference(code: Any, total: Any, x: Any, w: Any) -> Any:
    # A multiply-add with a factor of -1 that the compiler does not know, for the reason that
    # `dense.sites.Site.sign` gives.
    minus = code.module.globals.get("minus")
    if minus is None:
        minus = ir.GlobalVariable(code.module, total.type, "minus")
        minus.initializer, minus.align = constant(total.type, -1.0), 4
    difference = absolute(code, code.fsub(w, x))
    return fma(code, difference, code.load(minus, align=4, typ=total.type), total)


def _add_sign_product(code: Any, total: Any, x: Any, w: Any) -> Any:
    # ±1 from the weight's lowest bit and the sign of x. Adding zero to x turns -0, whose sign counts as +1,
    # into +0.
    words = vector(I32, total.type.count)
    weight = code.or_(code.shl(w, constant(words, 31)), constant(words, 127 << 23))
    sign = code.and_(code.bitcast(code.fadd(x, zeros(x.type)), words), constant(words, -(1 << 31)))
    return code.fadd(total, code.bitcast(code.xor(sign, weight), total.type))


def _add_clipped(code: Any, total: Any, x: Any, w: Any, stationary: Any) -> Any:
    # Here x is the output's gradient, and the layer's input is the stationary operand.
    one, minus = (constant(total.type, value) for value in (1.0, -1.0))
    slope = code.fsub(w, stationary)
    slope = code.select(code.fcmp_ordered("<", slope, minus), minus, slope)
    slope = code.select(code.fcmp_ordered(">", slope, one), one, slope)
    return fma(code, x, slope, total)


def _add_signed(code: Any, total: Any, x: Any, w: Any, stationary: Any) -> Any:
    above, below = (code.fcmp_ordered(order, w, stationary) for order in "><")
    negative = code.select(below, code.fneg(x), zeros(x.type))
    return code.fadd(total, code.select(above, x, negative))


def _scaled(code: Any, total: Any, factor: Any, addend: Any) -> Any:
    return code.fadd(code.fmul(total, factor), addend)


def _add_byte_difference(code: Any, total: Any, x: Any, w: Any) -> Any:
    difference = code.sub(code.zext(x, total.type), code.zext(w, total.type))
    name = f"llvm.abs.v{total.type.count}{total.type.element}"
    return code.add(total, call(code, name, total.type, difference, I1(1)))


def _negated(code: Any, total: Any) -> Any:
    words = vector(I32, total.type.count)
    return code.sub(zeros(words), code.zext(total, words) if total.type != words else total)


def _negated_and_scaled(code: Any, total: Any, factor: Any, addend: Any) -> Any:
    return _scaled(code, code.sitofp(_negated(code, total), factor.type), factor, addend)
