"""The arithmetics: how one input and one weight enter a sum. Everything else is shared by all of them.

A *site* is one place of the sum, where one input is combined with one weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import halide as hl
import torch

from addercost.kernels.powers import carry, exponent_range


@dataclass(frozen=True, slots=True)
class Site:
    """One arithmetic on one number format: what happens at a site."""

    name: str
    dtype: torch.dtype
    """The type of input and weight."""
    output: torch.dtype
    combine: Callable[..., Any]
    """From (input, weight) to the term that is added; where vectors run along the pixels, from (weight,
    input). The values that `stationary` made follow."""
    packed: int = 1
    """Channels that one step of the inner loop sums in a lane."""
    finish: Callable[[Any, Any], Any] = lambda total, terms: total
    """From (the sum, the number of its terms) to the output."""
    stationary: tuple[Callable[[Any], Any], ...] = ()
    """If there are any, the kernel takes a third operand of the output's shape. Each function turns it into a
    value that stays in registers while a tile is computed."""
    scaled: bool = False
    """Each filter has a factor and an addend: the output is the sum times the factor, plus the addend, within
    limits."""
    shortcut: bool = False
    """The kernel takes an operand of the output's shape and layout, which it adds before it limits the
    result."""
    weigh: Callable[[Any], Any] = lambda weight: weight
    """Applied to each weight when the weights are copied for the kernel."""
    of_maxima: bool = False
    """The terms are maxima. The kernel takes sums of inputs and of weights beside them, and turns them into
    negated distances: see `maxima.py`."""
    by_maxima: str = ""
    """The name of the form with maxima that gives the same output, if there is one."""
    sign: int = 1
    """+1 or -1, the factor of each term in the sum.
    -1 is passed at run time as the factor of a fused multiply-add, which rounds exactly as a subtraction
    does. AMD's Zen cores have two pipes for additions and two for multiply-adds: the differences then run on
    the former and the sums on the latter. No core has fewer pipes for multiply-adds than for additions."""

    @property
    def half(self) -> bool:
        """Whether the operands and the output are in half precision. They are copied and summed as fp32."""
        return self.dtype in HALVES

    @property
    def coded(self) -> bool:
        """Whether the output is byte codes."""
        return self.output == torch.uint8

    @property
    def store_parameters(self) -> tuple[str, ...]:
        """Names of the `Store` values that a kernel takes as parameters."""
        return ("least", "most", *(("step", "zero") if self.coded else ())) if self.scaled else ()

    @property
    def element(self) -> Any:
        """The type of input and weight in memory. Halves are bits there: numpy has no bf16."""
        return hl.UInt(16) if self.half else _HALIDE_TYPES[self.dtype]()

    @property
    def operand(self) -> Any:
        """The type of input and weight in the inner loop."""
        return hl.Float(32) if self.half else self.element

    def read(self, value: Any) -> Any:
        """An element of memory as an operand."""
        return HALVES[self.dtype][0](value) if self.half else value

    def written(self, value: Any) -> Any:
        """A result as an element of memory."""
        return HALVES[self.dtype][1](value) if self.half else hl.cast(self.result, value)

    @property
    def of_words(self) -> bool:
        """Whether the operands are words of signs."""
        return self.dtype == torch.int32

    @property
    def result(self) -> Any:
        return _HALIDE_TYPES[self.output]()

    @property
    def accumulator(self) -> Any:
        """The type of the running sum. x86's SAD instruction sums eight bytes into lanes of 64 bits. For
        narrower ones Halide 21 emits code that loses the sum so far. Arm's dot product sums four into lanes
        of 32 bits."""
        return {1: self.operand, 4: hl.UInt(32), 8: hl.UInt(64)}[self.packed]

    @property
    def lane_bytes(self) -> int:
        """Bytes of a lane of the running sum."""
        return max(4, self.packed)


_HALIDE_TYPES: dict[torch.dtype, Callable[[], Any]] = {
    torch.float32: lambda: hl.Float(32),
    torch.int32: lambda: hl.Int(32),
    torch.uint8: lambda: hl.UInt(8),
}


def _of_bf16(bits: Any) -> Any:
    return hl.reinterpret(hl.Float(32), hl.cast(hl.UInt(32), bits) << 16)


def _to_bf16(value: Any) -> Any:
    """Rounds to the nearest, ties to even. Any NaN becomes the same one, since rounding could make a zero of
    it."""
    bits = hl.reinterpret(hl.UInt(32), value)
    rounded = (bits + hl.u32(0x7FFF) + ((bits >> 16) & hl.u32(1))) >> 16
    is_nan = (bits & hl.u32(0x7FFFFFFF)) > hl.u32(0x7F800000)
    return hl.cast(hl.UInt(16), hl.select(is_nan, hl.u32(0x7FC0), rounded))


def _of_fp16(bits: Any) -> Any:
    return hl.cast(hl.Float(32), hl.reinterpret(hl.Float(16), bits))


def _to_fp16(value: Any) -> Any:
    return hl.reinterpret(hl.UInt(16), hl.cast(hl.Float(16), value))


HALVES: dict[torch.dtype, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    torch.float16: (_of_fp16, _to_fp16),
    torch.bfloat16: (_of_bf16, _to_bf16),
}
"""The types of half precision, each with the conversions of its bits to fp32 and back."""


def in_half(name: str, dtype: torch.dtype) -> str:
    """The name of the form of an fp32 arithmetic whose operands and output are of this type."""
    return name if dtype not in HALVES else f"{name}_{str(dtype).removeprefix('torch.')}"


def _power_of_two(weight: Any) -> Any:
    """Rounds an fp32 weight as `powers.power_of_two` does."""
    bits = hl.reinterpret(hl.UInt(32), weight)
    infinity, sign = hl.u32(0x7F800000), hl.u32(0x80000000)
    magnitude = bits & ~sign
    least, most = (hl.u32(power) for power in exponent_range(8, 23))
    power = hl.clamp((magnitude + hl.u32(carry(23))) & infinity, least, most)
    stays = (magnitude == hl.u32(0)) | (magnitude > infinity)
    return hl.select(stays, weight, hl.reinterpret(hl.Float(32), power | (bits & sign)))


# The first operand is broadcast, and it is the subtrahend: AVX-512 reads a subtrahend from memory and
# broadcasts it in one instruction. With a broadcast minuend, tiles of one vector took 1.3 to 1.6 times as
# long.
_ADDER = Site(
    "adder", torch.float32, torch.float32, lambda x, w: hl.abs(w - x), sign=-1, by_maxima="adder_maxima"
)


def _of_maxima(site: Site) -> Site:
    """The form of an adder in which a site takes two operations: a maximum and a multiply-add by -1."""
    return replace(site, name=site.by_maxima, combine=lambda x, w: hl.max(w, x), of_maxima=True, by_maxima="")


_ADDERS = (_ADDER, replace(_ADDER, name="adder_scaled", by_maxima="adder_scaled_maxima", scaled=True))
_ADDER_SHORTCUT = replace(_ADDERS[1], name="adder_shortcut", by_maxima="adder_shortcut_maxima", shortcut=True)

_ADDER_U8 = Site(
    "adder_u8",
    torch.uint8,
    torch.int32,
    # A lane sums eight absolute differences; this is the SAD instruction.
    lambda x, w: hl.cast(hl.UInt(64), hl.absd(x, w)),
    packed=8,
    finish=lambda total, terms: -hl.cast(hl.Int(32), total),
)
_ADDER_U8_SCALED = replace(
    _ADDER_U8,
    name="adder_u8_scaled",
    output=torch.float32,
    finish=lambda total, terms: hl.cast(hl.Float(32), -hl.cast(hl.Int(32), total)),
    scaled=True,
)
_OF_BYTES = (
    _ADDER_U8,
    _ADDER_U8_SCALED,
    replace(_ADDER_U8_SCALED, name="adder_u8_coded", output=torch.uint8),
    replace(_ADDER_U8_SCALED, name="adder_u8_shortcut", shortcut=True),
    replace(_ADDER_U8_SCALED, name="adder_u8_shortcut_coded", shortcut=True, output=torch.uint8),
)


def by_four(name: str) -> str:
    """The name of the form of an 8-bit arithmetic in which a lane sums four channels."""
    return f"{name}_by_four"


_XNOR = Site(
    "xnor",
    torch.int32,
    torch.float32,
    lambda x, w: hl.popcount(x ^ w),
    # Exact, because both numbers are far below 2²⁴. As floats this takes one operation instead of two.
    finish=lambda differing, terms: (
        hl.cast(hl.Float(32), terms) - hl.f32(2) * hl.cast(hl.Float(32), differing)
    ),
    scaled=True,
)

_MAC = Site("mac", torch.float32, torch.float32, lambda x, w: x * w)
_WITH_HALVES = (
    _MAC,
    # For a shift layer whose weights are not yet rounded to powers of two.
    replace(_MAC, name="mac_powers", weigh=_power_of_two),
    *_ADDERS,
    *map(_of_maxima, _ADDERS),
)


def _with_half(site: Site, dtype: torch.dtype) -> Site:
    by_maxima = site.by_maxima and in_half(site.by_maxima, dtype)
    return replace(site, name=in_half(site.name, dtype), dtype=dtype, output=dtype, by_maxima=by_maxima)


SITES = {
    site.name: site
    for site in (
        *_WITH_HALVES,
        *(_with_half(site, dtype) for site in _WITH_HALVES for dtype in HALVES),
        _ADDER_SHORTCUT,
        _of_maxima(_ADDER_SHORTCUT),
        # The input gradient: a convolution of the output's gradient, in which each weight is compared with
        # the layer's input.
        Site(
            "adder_gradient",
            torch.float32,
            torch.float32,
            lambda g, w, x: g * hl.clamp(w - x, hl.f32(-1), hl.f32(1)),
            stationary=(lambda x: x,),
        ),
        # The same for small x, from clip(w - x) = (w clipped to x ± 1) - x; the caller subtracts Σ g · x
        # afterwards. This takes three operations instead of four, and only two of them use the pipes for
        # additions.
        Site(
            "adder_gradient_near",
            torch.float32,
            torch.float32,
            lambda g, w, low, high: g * hl.min(hl.max(w, low), high),
            stationary=(lambda x: x - hl.f32(1), lambda x: x + hl.f32(1)),
        ),
        # The sign of the derivative; 0 where w and x are equal.
        Site(
            "adder_gradient_sign",
            torch.float32,
            torch.float32,
            lambda g, w, x: hl.select(w > x, g, hl.select(w < x, -g, hl.f32(0))),
            stationary=(lambda x: x,),
        ),
        # The sign form of the weight gradient: the input convolved with the output's gradient, one output for
        # each weight.
        Site(
            "adder_weight_gradient_sign",
            torch.float32,
            torch.float32,
            lambda x, g, w: hl.select(x > w, g, hl.select(x < w, -g, hl.f32(0))),
            stationary=(lambda w: w,),
        ),
        # Signs as bits, 32 channels in a word. The sum of products of ±1 is the number of terms minus twice
        # the number that differ.
        _XNOR,
        replace(_XNOR, name="xnor_shortcut", shortcut=True),
        *_OF_BYTES,
        *(
            replace(
                site,
                name=by_four(site.name),
                packed=4,
                combine=lambda x, w: hl.cast(hl.UInt(32), hl.absd(x, w)),
            )
            for site in _OF_BYTES
        ),
    )
}
