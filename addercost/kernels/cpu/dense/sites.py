"""The arithmetics: how one input and one weight enter the sum. Everything else is shared by all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import halide as hl
import torch

from addercost.kernels.powers import carry, exponent_range


@dataclass(frozen=True, slots=True)
class Site:
    """One arithmetic on one number format."""

    name: str
    dtype: torch.dtype
    """Of input and weight."""
    output: torch.dtype
    combine: Callable[..., Any]
    """(input, weight) to the term that is added, or (weight, input). With `stationary`, those operands
    follow."""
    packed: int = 1
    """Channels that one step of the inner loop consumes in a lane."""
    finish: Callable[[Any, Any], Any] = lambda total, terms: total
    """(the sum, the number of its terms) to the output."""
    stationary: tuple[Callable[[Any], Any], ...] = ()
    """There is a third operand, of the output's shape. These functions make of it, once a tile, what stays in
    registers."""
    scaled: bool = False
    """The output is multiplied by one factor for each filter, one addend is added, and it has a least
    value."""
    weigh: Callable[[Any], Any] = lambda weight: weight
    """What is made of each weight where it is copied for the kernel."""
    sign: int = 1
    """±1 that a term enters the sum with. -1 is a run-time factor of a fused multiply-add, exact like the
    subtraction it stands for: cores with two pipes for additions and two for multiplications (AMD's Zen) then
    add up on the second two what they subtract on the first two, and no core has fewer of the latter."""

    @property
    def coded(self) -> bool:
        """The output is byte codes."""
        return self.output == torch.uint8

    @property
    def store_parameters(self) -> tuple[str, ...]:
        """What a kernel takes of a `Store`."""
        return ("least", "step", "zero") if self.coded else ("least",) if self.scaled else ()

    @property
    def element(self) -> Any:
        return _HALIDE_TYPES[self.dtype]()

    @property
    def of_words(self) -> bool:
        """Its operands are words of signs."""
        return self.dtype == torch.int32

    @property
    def result(self) -> Any:
        return _HALIDE_TYPES[self.output]()

    @property
    def accumulator(self) -> Any:
        """The type of the running sum. The SAD instruction leaves 64-bit lanes; for narrower ones Halide 21
        emits code that forgets the sum so far."""
        return hl.UInt(64) if self.packed > 1 else self.element


_HALIDE_TYPES: dict[torch.dtype, Callable[[], Any]] = {
    torch.float32: lambda: hl.Float(32),
    torch.int32: lambda: hl.Int(32),
    torch.uint8: lambda: hl.UInt(8),
}


def _power_of_two(weight: Any) -> Any:
    """`powers.power_of_two` of an fp32 weight."""
    bits = hl.reinterpret(hl.UInt(32), weight)
    infinity, sign = hl.u32(0x7F800000), hl.u32(0x80000000)
    magnitude = bits & ~sign
    least, most = (hl.u32(power) for power in exponent_range(8, 23))
    power = hl.clamp((magnitude + hl.u32(carry(23))) & infinity, least, most)
    stays = (magnitude == hl.u32(0)) | (magnitude > infinity)
    return hl.select(stays, weight, hl.reinterpret(hl.Float(32), power | (bits & sign)))


# The first operand, which is broadcast, is the subtrahend: AVX-512 reads a subtrahend from memory and
# broadcasts it in one instruction. That made tiles of one vector 30 to 60 % faster than a broadcast minuend.
_ADDER = Site("adder", torch.float32, torch.float32, lambda x, w: hl.abs(w - x), sign=-1)

_ADDER_U8_SCALED = Site(
    "adder_u8_scaled",
    torch.uint8,
    torch.float32,
    lambda x, w: hl.cast(hl.UInt(64), hl.absd(x, w)),
    packed=8,
    finish=lambda total, terms: hl.cast(hl.Float(32), -hl.cast(hl.Int(32), total)),
    scaled=True,
)

SITES = {
    site.name: site
    for site in (
        Site("mac", torch.float32, torch.float32, lambda x, w: x * w),
        # For a shift layer whose weights are not rounded to powers of two yet.
        Site("mac_powers", torch.float32, torch.float32, lambda x, w: x * w, weigh=_power_of_two),
        _ADDER,
        replace(_ADDER, name="adder_scaled", scaled=True),
        # The input gradient: a convolution of the output's gradient, each weight compared with the layer's
        # input.
        Site(
            "adder_gradient",
            torch.float32,
            torch.float32,
            lambda g, w, x: g * hl.clamp(w - x, hl.f32(-1), hl.f32(1)),
            stationary=(lambda x: x,),
        ),
        # The same for small x, by clip(w - x) = (w clipped to x ± 1) - x, where Σ g · x is subtracted
        # afterwards: three operations instead of four, and the adders do only two of them.
        Site(
            "adder_gradient_near",
            torch.float32,
            torch.float32,
            lambda g, w, low, high: g * hl.min(hl.max(w, low), high),
            stationary=(lambda x: x - hl.f32(1), lambda x: x + hl.f32(1)),
        ),
        # The true derivative's sign; 0 where both are equal.
        Site(
            "adder_gradient_sign",
            torch.float32,
            torch.float32,
            lambda g, w, x: hl.select(w > x, g, hl.select(w < x, -g, hl.f32(0))),
            stationary=(lambda x: x,),
        ),
        # The weight gradient's sign: the input convolved with the output's gradient, one output for each
        # weight.
        Site(
            "adder_weight_gradient_sign",
            torch.float32,
            torch.float32,
            lambda x, g, w: hl.select(x > w, g, hl.select(x < w, -g, hl.f32(0))),
            stationary=(lambda w: w,),
        ),
        # Of ±1 as bits, 32 channels in a word: the sum of products is the terms less twice those that differ.
        Site(
            "xnor",
            torch.int32,
            torch.float32,
            lambda x, w: hl.popcount(x ^ w),
            # Exact: both are far below 2²⁴. In floats it is one operation instead of two.
            finish=lambda differing, terms: (
                hl.cast(hl.Float(32), terms) - hl.f32(2) * hl.cast(hl.Float(32), differing)
            ),
            scaled=True,
        ),
        # A lane sums eight absolute differences: the SAD instruction.
        Site(
            "adder_u8",
            torch.uint8,
            torch.int32,
            lambda x, w: hl.cast(hl.UInt(64), hl.absd(x, w)),
            packed=8,
            finish=lambda total, terms: -hl.cast(hl.Int(32), total),
        ),
        _ADDER_U8_SCALED,
        replace(_ADDER_U8_SCALED, name="adder_u8_coded", output=torch.uint8),
    )
}
