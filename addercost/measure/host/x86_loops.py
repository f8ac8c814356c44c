"""The inner loops of kernels on x86-64, in AT&T order: the destination comes last.

Where several sequences compute the same, all of them are measured, and the fastest is the machine's limit.
The additions of an adder layer may run on the multiply-add units, as sums of -1 × |x - w|. Or it may add up
maxima. Our own kernel does either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from addercost.arithmetic import Arithmetic
from addercost.measure.host.probe import HostLoop

_MAC, _ADDER, _XNOR, _SHIFT = Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR, Arithmetic.SHIFT

_MASK_32, _MASK_16 = 0x7FFFFFFF, 0x7FFF7FFF
_MASK_64 = (0xFFFFFFFF, 0x7FFFFFFF)
_MINUS_1_32, _MINUS_1_16 = 0xBF800000, 0xBC00BC00
_MINUS_1_64 = (0, 0xBFF00000)
_ONES_16, _LOW_4 = 0x00010001, 0x0F0F0F0F
_BITS_OF_4 = (0x02010100, 0x03020201, 0x03020201, 0x04030302)
"""The numbers of set bits of 0 to 15, one in each byte."""


Constants = tuple[int | tuple[int, ...], ...]


class _Way(NamedTuple):
    """A way to compute a site. site_bits: bits of a register for each site. needs: features that it requires;
    narrow registers require further ones, which are added.
    """

    name: str
    arithmetic: Arithmetic
    number_format: str
    site_bits: int
    steps: tuple[str, ...]
    needs: tuple[str, ...] = ()
    constants: Constants = ()
    values: str = "fp32"
    weights: str = ""


def _float_ways(number_format: str, suffix: str, constants: Constants, *needs: str) -> tuple[_Way, ...]:
    bits, values = int(number_format[2:]), number_format
    difference = f"vsub{suffix} {{w}}, {{x}}, {{t}}", "vpand {c0}, {t}, {t}"
    name = "" if number_format == "fp32" else f"_{number_format}"
    added = *difference, f"vadd{suffix} {{t}}, {{s}}, {{s}}"
    multiplied = *difference, f"vfmadd231{suffix} {{c1}}, {{t}}, {{s}}"
    product = (f"vfmadd231{suffix} {{w}}, {{x}}, {{s}}",)
    fma = "fma", *needs
    maximum, of_maxima = f"vmax{suffix} {{w}}, {{x}}, {{t}}", f"adder{name}_by_maxima"
    maxima = maximum, f"vadd{suffix} {{t}}, {{s}}, {{s}}"
    by_one = maximum, f"vfmadd231{suffix} {{c0}}, {{t}}, {{s}}"
    # In half precision the sums beside the maxima would cancel too much of the result.
    by_maxima = (
        _Way(of_maxima, _ADDER, number_format, bits, maxima, needs, (), values),
        _Way(f"{of_maxima}_and_products", _ADDER, number_format, bits, by_one, fma, constants[1:], values),
    )
    return (
        _Way(f"mac{name}", _MAC, number_format, bits, product, fma, (), values),
        _Way(f"two_additions{name}", _ADDER, number_format, bits, added, needs, constants[:1], values),
        _Way(f"adder{name}", _ADDER, number_format, bits, multiplied, fma, constants, values),
        *(by_maxima if bits >= 32 else ()),
    )


_VNNI = ("avx512vnni",)
_WAYS = (
    *_float_ways("fp32", "ps", (_MASK_32, _MINUS_1_32)),
    *_float_ways("fp64", "pd", (_MASK_64, _MINUS_1_64)),
    *_float_ways("fp16", "ph", (_MASK_16, _MINUS_1_16), "avx512fp16"),
    _Way("mac_bf16", _MAC, "bf16", 16, ("vdpbf16ps {w}, {x}, {s}",), ("avx512bf16",), (), "bf16"),
    _Way("mac_u8", _MAC, "int8", 8, ("vpdpbusd {w}, {x}, {s}",), _VNNI, (), "bytes"),
    _Way(
        "mac_u8_widened", _MAC, "int8", 8,
        ("vpmaddubsw {w}, {x}, {t}", "vpmaddwd {c0}, {t}, {t}", "vpaddd {t}, {s}, {s}"),
        (), (_ONES_16,), "bytes",
    ),
    _Way("mac_int16", _MAC, "int16", 16, ("vpdpwssd {w}, {x}, {s}",), _VNNI, (), "bytes"),
    _Way(
        "mac_int16_in_two", _MAC, "int16", 16, ("vpmaddwd {w}, {x}, {t}", "vpaddd {t}, {s}, {s}"),
        (), (), "bytes",
    ),
    _Way(
        "adder_u8", _ADDER, "uint8", 8, ("vpsadbw {w}, {x}, {t}", "vpaddq {t}, {s}, {s}"), (), (), "bytes"
    ),
    _Way(
        "xnor", _XNOR, "bool", 1, ("vpxor {w}, {x}, {t}", "vpopcntd {t}, {t}", "vpaddd {t}, {s}, {s}"),
        ("avx512vpopcntdq",), (), "bytes",
    ),
    _Way(
        "xnor_by_bytes", _XNOR, "bool", 1,
        (
            "vpxor {w}, {x}, {t}", "vpand {c0}, {t}, {u}", "vpsrld $$4, {t}, {t}", "vpand {c0}, {t}, {t}",
            "vpshufb {u}, {c1}, {u}", "vpshufb {t}, {c1}, {t}", "vpaddb {u}, {t}, {t}",
            "vpsadbw {c2}, {t}, {t}", "vpaddq {t}, {s}, {s}",
        ),
        (), (_LOW_4, _BITS_OF_4, 0), "bytes",
    ),
    # A shuffle looks up sums for four weights in a table that the inputs choose.
    _Way(
        "xnor_by_tables", _XNOR, "bool", 2, ("vpshufb {w}, {x}, {t}", "vpaddb {t}, {s}, {s}"), (), (), "bytes"
    ),
    _Way(
        "shift", _SHIFT, "int32", 32, ("vpsllvd {w}, {x}, {t}", "vpaddd {t}, {s}, {s}"),
        (), (), "bytes", "shifts",
    ),
    _Way(
        "shift_fp32", _SHIFT, "fp32", 32, ("vpaddd {w}, {x}, {t}", "vaddps {t}, {s}, {s}"),
        (), (), "fp32", "exponents",
    ),
    _Way(
        "shift_fp32_as_mac", _SHIFT, "fp32", 32, ("vfmadd231ps {w}, {x}, {s}",),
        ("fma",), (), "fp32", "powers",
    ),
)  # fmt: skip

_BYTES_AND_WORDS = ("vpmaddubsw", "vpmaddwd", "vpsadbw", "vpshufb", "vpaddb")
_EVEX_NAMES = {"vpxor": "vpxord", "vpand": "vpandd"}


def x86_loops(features: Collection[str]) -> Iterator[HostLoop]:
    """Every loop in every width that an x86-64 machine with these features (LLVM's names) can run."""
    if "avx2" not in features:
        return
    for bits in (512, 256, 128):
        wide = bits == 512
        if wide and "avx512f" not in features:
            continue
        # With AVX-512VL there are 32 registers of every width, and instructions for them.
        evex = wide or "avx512vl" in features
        for way in _WAYS:
            needs = {name for name in way.needs if not (wide and name == "fma")}
            if wide and any(step.startswith(_BYTES_AND_WORDS) for step in way.steps):
                needs.add("avx512bw")
            if not wide and any(name.startswith("avx512") for name in needs):
                needs.add("avx512vl")
            if needs <= set(features):
                yield _loop(way, bits, evex)


def _loop(way: _Way, bits: int, evex: bool) -> HostLoop:
    steps = tuple(_evex(step) if evex else step for step in way.steps)
    # Registers: an input and its two sums, two vectors of weights, two of each temporary, constants.
    temporary = 2 * sum(name in " ".join(steps) for name in ("{t}", "{u}"))
    inputs = min(8, ((32 if evex else 16) - 2 - temporary - len(way.constants)) // 3)
    return HostLoop(
        way.name, way.arithmetic, way.number_format, bits, bits // way.site_bits, steps, inputs,
        way.constants, way.values, way.weights or way.values,
    )  # fmt: skip


def _evex(step: str) -> str:
    mnemonic, blank, operands = step.partition(" ")
    return _EVEX_NAMES.get(mnemonic, mnemonic) + blank + operands
