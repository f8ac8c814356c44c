"""What each arithmetic puts into the depthwise loop, in LLVM IR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

IR_TYPES = {torch.float32: "float", torch.uint8: "i8", torch.int32: "i32"}


@dataclass(frozen=True, slots=True)
class Term:
    """Of one site, for vectors of some lanes. Its temporaries are `%t` and a digit."""

    input: torch.dtype
    weight: torch.dtype
    output: torch.dtype
    sum: str
    """The type that is added up in."""
    add: Callable[[int], str]
    """Lanes to lines from %x, %w and the sum %a to the new sum %r, and of %h where `held`."""
    finish: Callable[[int], str] | None = None
    """Lanes to lines from %a to the output %o, where that is not the sum itself; of a filter's factor %f and
    addend %b where `scaled`."""
    scaled: bool = False
    watched: bool = False
    """Inputs may have to be told of, as NaN has no sign."""
    held: bool = False
    """There is a third operand, one element for each output."""

    @property
    def element(self) -> str:
        return IR_TYPES[self.input]

    @property
    def weight_element(self) -> str:
        return IR_TYPES[self.weight]

    @property
    def result(self) -> str:
        return IR_TYPES[self.output]


SHORT_TAPS = ((1 << 16) - 1) // 255
"""Differences of bytes of which 16 bits hold the sum."""


def term(site: str, many_taps: bool = False) -> Term:
    """That of "adder", "mac", "shift", "binary", "adder_u8", "adder_u8_scaled", "adder_gradient" or
    "adder_gradient_sign"; `many_taps` are more than `SHORT_TAPS`."""
    if site.startswith("adder_u8"):
        sum = "i32" if many_taps else "i16"
        scaled = site == "adder_u8_scaled"
        return Term(
            torch.uint8,
            torch.uint8,
            torch.float32 if scaled else torch.int32,
            sum,
            lambda lanes: _absolute_difference(lanes, sum),
            lambda lanes: _negated(lanes, sum, scaled),
            scaled,
        )
    if site == "binary":
        return Term(
            torch.float32, torch.int32, torch.float32, "float", _binary, _scaled, scaled=True, watched=True
        )
    add = {
        "adder": _adder,
        "mac": _mac,
        "shift": _shift,
        "adder_gradient": _clipped,
        "adder_gradient_sign": _sign,
    }[site]
    held = site.startswith("adder_gradient")
    return Term(torch.float32, torch.float32, torch.float32, "float", add, held=held)


def _adder(lanes: int) -> str:
    # Added up by multiply-adds of -1, as `Site.sign` says.
    floats = f"<{lanes} x float>"
    return f"""%t1 = fsub {floats} %w, %x
        %t2 = call {floats} @llvm.fabs.v{lanes}f32({floats} %t1)
        %t3 = load {floats}, ptr @minus, align 4
        %r = call {floats} @llvm.fma.v{lanes}f32({floats} %t2, {floats} %t3, {floats} %a)"""


def _mac(lanes: int) -> str:
    floats = f"<{lanes} x float>"
    return f"%r = call {floats} @llvm.fma.v{lanes}f32({floats} %x, {floats} %w, {floats} %a)"


def _shift(lanes: int) -> str:
    floats, words = f"<{lanes} x float>", f"<{lanes} x i32>"
    return f"""%t1 = bitcast {floats} %x to {words}
        %t2 = bitcast {floats} %w to {words}
        %t3 = add {words} %t1, %t2
        %t4 = bitcast {words} %t3 to {floats}
        %r = fadd {floats} %a, %t4"""


def _binary(lanes: int) -> str:
    # ±1 by the weight's lowest bit and the sign of x, of which a zero is added because that of -0 is +1.
    floats, words = f"<{lanes} x float>", f"<{lanes} x i32>"
    return f"""%t1 = shl {words} %w, {_splat("i32", 31, lanes)}
        %t2 = or {words} %t1, {_splat("i32", 127 << 23, lanes)}
        %t3 = fadd {floats} %x, zeroinitializer
        %t4 = bitcast {floats} %t3 to {words}
        %t5 = and {words} %t4, {_splat("i32", -(1 << 31), lanes)}
        %t6 = xor {words} %t5, %t2
        %t7 = bitcast {words} %t6 to {floats}
        %r = fadd {floats} %a, %t7"""


def _clipped(lanes: int) -> str:
    # The output's gradient is the image, the layer's input is held.
    floats, flags = f"<{lanes} x float>", f"<{lanes} x i1>"
    one, minus = (_splat("float", value, lanes) for value in ("1.0", "-1.0"))
    return f"""%t1 = fsub {floats} %w, %h
        %t2 = fcmp olt {floats} %t1, {minus}
        %t3 = select {flags} %t2, {floats} {minus}, {floats} %t1
        %t4 = fcmp ogt {floats} %t3, {one}
        %t5 = select {flags} %t4, {floats} {one}, {floats} %t3
        %r = call {floats} @llvm.fma.v{lanes}f32({floats} %x, {floats} %t5, {floats} %a)"""


def _sign(lanes: int) -> str:
    floats, flags = f"<{lanes} x float>", f"<{lanes} x i1>"
    return f"""%t1 = fcmp ogt {floats} %w, %h
        %t2 = fcmp olt {floats} %w, %h
        %t3 = fneg {floats} %x
        %t4 = select {flags} %t2, {floats} %t3, {floats} zeroinitializer
        %t5 = select {flags} %t1, {floats} %x, {floats} %t4
        %r = fadd {floats} %a, %t5"""


def _scaled(lanes: int) -> str:
    floats = f"<{lanes} x float>"
    return f"""%t1 = fmul {floats} %a, %f
        %o = fadd {floats} %t1, %b"""


def _absolute_difference(lanes: int, sum: str) -> str:
    vector, bytes_ = f"<{lanes} x {sum}>", f"<{lanes} x i8>"
    bits = sum.removeprefix("i")
    return f"""%t1 = zext {bytes_} %x to {vector}
        %t2 = zext {bytes_} %w to {vector}
        %t3 = sub {vector} %t1, %t2
        %t4 = call {vector} @llvm.abs.v{lanes}i{bits}({vector} %t3, i1 true)
        %r = add {vector} %a, %t4"""


def _negated(lanes: int, sum: str, scaled: bool) -> str:
    words, floats = f"<{lanes} x i32>", f"<{lanes} x float>"
    wide = f"zext <{lanes} x i16> %a to {words}" if sum == "i16" else f"add {words} %a, zeroinitializer"
    lines = f"%t1 = {wide}\n%{'t2' if scaled else 'o'} = sub {words} zeroinitializer, %t1"
    if scaled:
        lines += f"""
        %t3 = sitofp {words} %t2 to {floats}
        %t4 = fmul {floats} %t3, %f
        %o = fadd {floats} %t4, %b"""
    return lines


def _splat(element: str, value: int | str, lanes: int) -> str:
    return "<" + ", ".join([f"{element} {value}"] * lanes) + ">"
