"""The inner loops of kernels on aarch64, with vectors of 128 bits. Instructions name the destination
first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from addercost.arithmetic import Arithmetic
from addercost.measure.host.probe import HostLoop

_MAC, _ADDER, _XNOR, _SHIFT = Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR, Arithmetic.SHIFT

BITS = 128
_ONES = 0x01010101


class _Way(NamedTuple):
    name: str
    arithmetic: Arithmetic
    number_format: str
    sites: int
    steps: tuple[str, ...]
    needs: tuple[str, ...] = ()
    constants: tuple[int, ...] = ()
    values: str = "fp32"
    weights: str = ""


def _float_ways(number_format: str, lanes: str, *needs: str) -> tuple[_Way, ...]:
    name, sites = "" if number_format == "fp32" else f"_{number_format}", int(lanes[:-1])
    s, x, w, t = (f"{{{operand}}}.{lanes}" for operand in "sxwt")
    return (
        _Way(f"mac{name}", _MAC, number_format, sites, (f"fmla {s}, {x}, {w}",), needs, (), number_format),
        _Way(
            f"adder{name}", _ADDER, number_format, sites, (f"fabd {t}, {x}, {w}", f"fadd {s}, {s}, {t}"),
            needs, (), number_format,
        ),
    )  # fmt: skip


_WAYS = (
    *_float_ways("fp32", "4s"),
    *_float_ways("fp64", "2d"),
    *_float_ways("fp16", "8h", "fullfp16"),
    _Way("mac_bf16", _MAC, "bf16", 8, ("bfdot {s}.4s, {x}.8h, {w}.8h",), ("bf16",), (), "bf16"),
    _Way("mac_bf16_matrix", _MAC, "bf16", 16, ("bfmmla {s}.4s, {x}.8h, {w}.8h",), ("bf16",), (), "bf16"),
    _Way("mac_u8", _MAC, "int8", 16, ("sdot {s}.4s, {x}.16b, {w}.16b",), ("dotprod",), (), "bytes"),
    _Way("mac_u8_matrix", _MAC, "int8", 32, ("smmla {s}.4s, {x}.16b, {w}.16b",), ("i8mm",), (), "bytes"),
    _Way(
        "mac_u8_widened", _MAC, "int8", 16,
        ("smull {t}.8h, {x}.8b, {w}.8b", "smlal2 {t}.8h, {x}.16b, {w}.16b", "sadalp {s}.4s, {t}.8h"),
        (), (), "bytes",
    ),
    _Way(
        "mac_int16", _MAC, "int16", 8,
        ("smlal {s}.4s, {x}.4h, {w}.4h", "smlal2 {s}.4s, {x}.8h, {w}.8h"), (), (), "bytes",
    ),
    _Way(
        "adder_u8", _ADDER, "uint8", 16,
        ("uabd {t}.16b, {x}.16b, {w}.16b", "uadalp {s}.8h, {t}.16b"), (), (), "bytes",
    ),
    _Way(
        "adder_u8_long", _ADDER, "uint8", 16,
        ("uabal {s}.8h, {x}.8b, {w}.8b", "uabal2 {s}.8h, {x}.16b, {w}.16b"), (), (), "bytes",
    ),
    _Way(
        "adder_u8_by_dot", _ADDER, "uint8", 16,
        ("uabd {t}.16b, {x}.16b, {w}.16b", "udot {s}.4s, {t}.16b, {c0}.16b"), ("dotprod",), (_ONES,), "bytes",
    ),
    _Way(
        "xnor", _XNOR, "bool", 128,
        ("eor {t}.16b, {x}.16b, {w}.16b", "cnt {t}.16b, {t}.16b", "uadalp {s}.8h, {t}.16b"), (), (), "bytes",
    ),
    _Way(
        "shift", _SHIFT, "int32", 4,
        ("sshl {t}.4s, {x}.4s, {w}.4s", "add {s}.4s, {s}.4s, {t}.4s"), (), (), "bytes", "shifts",
    ),
    _Way(
        "shift_fp32", _SHIFT, "fp32", 4,
        ("add {t}.4s, {x}.4s, {w}.4s", "fadd {s}.4s, {s}.4s, {t}.4s"), (), (), "fp32", "exponents",
    ),
    _Way(
        "shift_fp32_as_mac", _SHIFT, "fp32", 4, ("fmla {s}.4s, {x}.4s, {w}.4s",), (), (), "fp32", "powers"
    ),
)  # fmt: skip


def aarch64_loops(features: Collection[str]) -> Iterator[HostLoop]:
    """Every loop that a machine with these features (LLVM's names) can run."""
    for way in _WAYS:
        if set(way.needs) <= set(features):
            # 32 registers: 16 sums, 8 inputs, two vectors of weights, temporaries and constants.
            yield HostLoop(
                way.name, way.arithmetic, way.number_format, BITS, way.sites, way.steps, 8, way.constants,
                way.values, way.weights or way.values, "w", destination_first=True,
            )  # fmt: skip
