"""Savings that were published for adder hardware, compared with our computation under several assumptions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.element import element_of
from addercost.cost.accelerator.estimate import AcceleratorCost, equal_area, estimate_accelerator
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware import Accelerator, load_accelerator, load_energy
from addercost.hardware.schema.accelerator import OperandFormat, SumFormat

LAYER = MatrixProduct(56 * 56, 64 * 3 * 3, 64, 64 * 56 * 56)
"""A 3 × 3 layer with 64 channels from the beginning of ResNet-18, on an image of 224²."""

_DIGITS = 0.005
"""Half a unit of the last published digit: a computed figure agrees if it rounds to the published one."""

_MINIMALIST = ("AdderNet hardware", "arXiv:2101.10015, abstract")
_DETECTION = ("Adder detection", "arXiv:2112.13608, first paragraph of its supplement")


@dataclass(frozen=True, slots=True)
class Claim:
    """A published change of adder hardware against multiply-adds, as fractions: -0.7 is 70 % less. source:
    the part of the work that was read.
    """

    quantity: str
    low: float
    high: float
    work: str
    source: str


@dataclass(frozen=True, slots=True)
class Derived:
    """The figure that follows from one assumption, for a claim. terms: its sum in figures."""

    claim: Claim
    assumption: str
    terms: str
    change: float

    @property
    def reproduces(self) -> bool:
        return self.claim.low - _DIGITS <= self.change <= self.claim.high + _DIGITS


LOGIC = Claim("logic", -0.714, -0.676, *_MINIMALIST)
POWER = Claim("power", -0.779, -0.4785, *_MINIMALIST)
SPEED = Claim("speed", 0.16, 0.16, *_MINIMALIST)
DETECTION_FP32 = Claim("energy of a detector, fp32", -0.29, -0.29, *_DETECTION)
DETECTION_INT8 = Claim("energy of a detector, int8", -0.35, -0.35, *_DETECTION)

_SIDES = (Arithmetic.MAC, Arithmetic.ADDER)
_FORMATS = (("int8", "int16"), ("int8", "int32"), ("int16", "int32"), ("fp32", "fp32"))


def derived_claims() -> tuple[Derived, ...]:
    """Every claim under every assumption that applies to it, claim by claim."""
    return (
        *_logic(),
        *_power(),
        *_speed(),
        *_detection(DETECTION_FP32, "fp32", "fp32"),
        *_detection(DETECTION_INT8, "int8", "int32"),
        *_same_share_of_sites(),
    )


def _ratio(claim: Claim, assumption: str, adder: float, mac: float, unit: str) -> Derived:
    """The change from `mac` to `adder`."""
    terms = f"{_figure(adder)} / {_figure(mac)} {unit} - 1"
    return Derived(claim, assumption, terms, adder / mac - 1)


def _figure(value: float) -> str:
    return f"{value:.4g}" if value < 10_000 else f"{value:.0f}"


def _logic() -> Iterator[Derived]:
    table = load_energy("45nm")
    for formats in _FORMATS:
        mac, adder = (element_of(a, *formats, table).area_um2 for a in _SIDES)
        assert mac is not None and adder is not None
        yield _ratio(LOGIC, f"area of the elements alone, {_named(*formats)}, 45 nm", adder, mac, "µm²")


def _power() -> Iterator[Derived]:
    for formats in _FORMATS:
        yield _elements(POWER, *formats)
    array = load_accelerator("adder-fpga")
    yield _whole(POWER, f"the layer on {array.name}, memory included", array)
    yield _whole(POWER, f"the layer on {array.name}, without DRAM", _without_dram(array))


def _speed() -> Iterator[Derived]:
    array = load_accelerator("adder-fpga")
    table = load_energy(array.energy_table)
    mac, adder = _on(array, Arithmetic.MAC), _on(array, Arithmetic.ADDER)
    grown = _on(equal_area(array, table, [Arithmetic.ADDER]), Arithmetic.ADDER)
    for assumption, cost in (
        (f"the same array {array.name} at the same clock", adder),
        (f"as many elements as fit in the area of {array.name}", grown),
    ):
        yield _ratio(SPEED, assumption, 1e6 * mac.seconds, 1e6 * cost.seconds, "µs")


def _detection(
    claim: Claim, number_format: OperandFormat, accumulator_format: SumFormat
) -> Iterator[Derived]:
    formats = _named(number_format, accumulator_format)
    yield _elements(claim, number_format, accumulator_format)
    for name in ("tpu-like", "adder-fpga"):
        array = load_accelerator(name)
        array = replace(array, number_format=number_format, accumulator_format=accumulator_format)
        yield _whole(claim, f"the layer on {name}, memory included, {formats}", array)
        yield _whole(claim, f"the layer on {name}, without DRAM, {formats}", _without_dram(array))


def _same_share_of_sites() -> Iterator[Derived]:
    """A detector keeps some convolutions. Their share follows from the saving in fp32, and it is the same in
    int8.
    """
    saved = -_elements(DETECTION_FP32, "fp32", "fp32").change
    share = -DETECTION_FP32.high / saved
    for accumulator_format in ("int8", "int32"):
        change = _elements(DETECTION_INT8, "int8", accumulator_format).change
        yield Derived(
            DETECTION_INT8,
            f"the share of sites that -29 % in fp32 implies ({100 * share:.1f} %), "
            f"{_named('int8', accumulator_format)}, 45 nm",
            f"0.29 / {saved:.3f} · {change:.3f}",
            share * change,
        )


def _named(number_format: str, accumulator_format: str) -> str:
    return f"{number_format} summed in {accumulator_format}"


def _elements(claim: Claim, number_format: str, accumulator_format: str) -> Derived:
    table = load_energy("45nm")
    mac, adder = (element_of(a, number_format, accumulator_format, table).energy_pj for a in _SIDES)
    assert mac is not None and adder is not None
    formats = _named(number_format, accumulator_format)
    return _ratio(claim, f"energy of the elements alone, {formats}, 45 nm", adder, mac, "pJ")


def _without_dram(array: Accelerator) -> Accelerator:
    """The array with DRAM that takes no energy."""
    memories = [replace(m, energy_pj_per_byte=0.0) if m.role == "dram" else m for m in array.memories]
    return replace(array, memories=tuple(memories))


def _on(array: Accelerator, arithmetic: Arithmetic) -> AcceleratorCost:
    product = replace(LAYER, arithmetic=arithmetic)
    return estimate_accelerator([("layer", [product])], array, load_energy(array.energy_table))


def _whole(claim: Claim, assumption: str, array: Accelerator) -> Derived:
    mac, adder = (1e6 * _on(array, arithmetic).total_j for arithmetic in _SIDES)
    return _ratio(claim, assumption, adder, mac, "µJ")
