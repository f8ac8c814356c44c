"""A counted layer with nothing behind it."""

from dataclasses import dataclass

from addercost.arithmetic import Arithmetic, OpCounts


@dataclass
class Layer:
    counts: OpCounts
    arithmetic: Arithmetic | None = None
    mac_sites: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    path: str = "layer"


def mac_layer(sites: int, number_format: str = "fp32") -> Layer:
    return Layer(OpCounts.of(number_format, mul=sites, add=sites), Arithmetic.MAC, sites)


def adder_layer(sites: int, number_format: str = "fp32", with_abs: bool = False) -> Layer:
    counts = OpCounts.of(number_format, add=2 * sites, abs=sites if with_abs else 0)
    return Layer(counts, Arithmetic.ADDER, sites)


def xnor_layer(sites: int) -> Layer:
    return Layer(OpCounts.of("bool", xnor=sites, popcount=sites), Arithmetic.XNOR, sites)
