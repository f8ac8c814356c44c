"""Claims on multiplication-free networks, compared with our own sums of cited figures.

The claims are other people's. `computed` is ours, from the tables of `hardware/energy`. Where no table has a
confirmed figure, it is from figures that the claim itself uses, and the assumption says so. A claim is
reproduced if a sum rounds to it or is within its range. A sum that is a bound allows a claim that does not
exceed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from addercost.analysis.hardware_claims import derived_claims
from addercost.cost.target_registry import load_target
from addercost.errors import DataError
from addercost.hardware import load_energy
from addercost.trace.record import TensorSpec

_NEAR = 0.005
"""Half a unit of the last published digit: a computed figure agrees if it rounds to the published one."""


class ClaimOutcome(StrEnum):
    REPRODUCES = "reproduces"
    UNDER_ASSUMPTION = "under this assumption alone"
    DOES_NOT = "does not"
    ALLOWED = "below the bound"
    BEYOND = "beyond the bound"


@dataclass(frozen=True, slots=True)
class PublishedClaim:
    """low, high: the published range. A saving is a fraction, so -0.8 is 80 % less; anything else is a
    factor, or has its unit in `quantity`. source: where it is published, and which part of that was read.
    """

    work: str
    quantity: str
    low: float
    high: float
    is_saving: bool
    source: str


@dataclass(frozen=True, slots=True)
class ClaimSum:
    """One sum for a claim. terms: the sum in figures. bound: whether it limits the claim from above."""

    claim: PublishedClaim
    assumption: str
    terms: str
    computed: float
    bound: bool = False

    @property
    def within(self) -> bool:
        near = _NEAR if self.claim.is_saving else _NEAR * self.claim.high
        return self.claim.low - near <= self.computed <= self.claim.high + near


def claim_sums() -> tuple[ClaimSum, ...]:
    """Every claim with its sums, claim by claim."""
    return (
        *_bitnet_energy(),
        *_bitnet_70b(),
        *_lmul(),
        *_shiftaddllm(),
        *_shiftaddnet(),
        *_t_mac(),
        *_bitnet_cpp(),
        *_adder_hardware(),
    )


def outcome(found: ClaimSum, sums: tuple[ClaimSum, ...]) -> ClaimOutcome:
    """The outcome of a sum in words, considering the other sums of the same claim."""
    if found.bound:
        return ClaimOutcome.ALLOWED if found.claim.high <= found.computed else ClaimOutcome.BEYOND
    if not found.within:
        return ClaimOutcome.DOES_NOT
    others = [other for other in sums if other.claim == found.claim and other != found and not other.bound]
    alone = bool(others) and not any(other.within for other in others)
    return ClaimOutcome.UNDER_ASSUMPTION if alone else ClaimOutcome.REPRODUCES


def _pj(table: str, op: str, number_format: str) -> float:
    """The energy of an operation in pJ, from a table. Raises DataError where the table has none."""
    for figure in load_energy(table).operations:
        if (figure.op, figure.number_format) == (op, number_format) and figure.energy_pj is not None:
            return figure.energy_pj
    raise DataError(f"the table {table} has no energy of {op} ({number_format})")


_BITNET = "arXiv:2402.17764, as others quote it"
_BITNET_ENERGY = PublishedClaim("BitNet b1.58", "energy of matrix products, 7 nm", 71.4, 71.4, False, _BITNET)
_FP16_ADD_7NM, _FP16_MUL_7NM, _INT8_ADD_7NM, _INT32_ADD_7NM = 0.16, 0.34, 0.007, 0.03
"""Energies in pJ that the claim uses. They are in no table, since none is confirmed in a source that was
read.
"""


def _bitnet_energy() -> Iterator[ClaimSum]:
    """fp16 multiply-adds against the additions of ternary weights."""
    whose = "the claim's own figures, which no source read confirms"
    mac = f"({_FP16_MUL_7NM} + {_FP16_ADD_7NM})"
    both = _FP16_MUL_7NM + _FP16_ADD_7NM
    for adder, bits in ((_INT8_ADD_7NM, 8), (_INT32_ADD_7NM, 32)):
        yield ClaimSum(_BITNET_ENERGY, f"sums of {bits} bits; {whose}", f"{mac} / {adder} pJ", both / adder)
    mul, add = _pj("45nm", "mul", "fp16"), _pj("45nm", "add", "fp16")
    for number_format, bits in (("int8", 8), ("int32", 32)):
        adder = _pj("45nm", "add", number_format)
        yield ClaimSum(
            _BITNET_ENERGY,
            f"sums of {bits} bits, 45 nm",
            f"({mul} + {add}) / {adder} pJ",
            (mul + add) / adder,
        )


_BITNET_MEMORY = PublishedClaim("BitNet b1.58", "memory of 70 billion parameters", 7.16, 7.16, False, _BITNET)
_BITNET_SPEED = PublishedClaim("BitNet b1.58", "speed at 70 billion parameters", 4.1, 4.1, False, _BITNET)


def _bitnet_70b() -> Iterator[ClaimSum]:
    """Bytes of fp16 weights / bytes of ternary weights with 2 bits; embeddings stay in fp16. A token reads
    all weights once, so it cannot gain more speed than that.
    """
    hidden, blocks, inner, vocabulary = 8192, 80, 28_672, 32_000
    linear = blocks * (2 * hidden * hidden + 2 * hidden * 1024 + 3 * hidden * inner)
    tables = 2 * vocabulary * hidden
    wide = 2 * (linear + tables)
    narrow = TensorSpec((linear,), "ternary").n_bytes + 2 * tables
    shapes = "Llama 2 70B's shapes, embeddings and output layer in fp16"
    terms = f"{wide / 1e9:.1f} / {narrow / 1e9:.1f} GB"
    yield ClaimSum(_BITNET_MEMORY, "2 bits for every weight", "16 / 2 bits", 8.0)
    yield ClaimSum(_BITNET_MEMORY, shapes, terms, wide / narrow)
    yield ClaimSum(_BITNET_SPEED, f"bytes that a token reads, {shapes}", terms, wide / narrow, bound=True)


_LMUL = "arXiv:2410.00907, abstract"
_LMUL_MUL = PublishedClaim("L-Mul", "energy of an element-wise product", -0.95, -0.95, True, _LMUL)
_LMUL_DOT = PublishedClaim("L-Mul", "energy of a dot product", -0.80, -0.80, True, _LMUL)


def _lmul() -> Iterator[ClaimSum]:
    """A floating-point product as one integer addition; the sum of a dot product stays in floating point."""
    integer = _pj("45nm", "add", "int32")
    for wide in ("fp32", "fp16"):
        mul, add = _pj("45nm", "mul", wide), _pj("45nm", "add", wide)
        yield ClaimSum(
            _LMUL_MUL, f"of {wide}, 45 nm, an addition of int32", f"1 - {integer} / {mul}", integer / mul - 1
        )
        yield ClaimSum(
            _LMUL_DOT,
            f"of {wide}, 45 nm, summed in {wide}",
            f"1 - ({integer} + {add}) / ({mul} + {add})",
            (integer + add) / (mul + add) - 1,
        )


_SHIFTADDLLM_ENERGY = PublishedClaim(
    "ShiftAddLLM", "energy of linear layers", -1.0, -0.80, True, "arXiv:2406.05981, abstract"
)
_SHIFTADDLLM_MEMORY = PublishedClaim(
    "ShiftAddLLM", "memory of weights", -1.0, -0.80, True, "arXiv:2406.05981, abstract"
)


def _shiftaddllm() -> Iterator[ClaimSum]:
    """q binary bases. Each takes one look-up and one addition for eight inputs. The shift and the addition
    for each output are neglected, since sums are long.
    """
    lookup, add = _pj("45nm", "LUT query", "any"), _pj("45nm", "add", "fp16")
    mac = _pj("45nm", "mul", "fp16") + add
    for bits in (2, 3, 4):
        energy = bits * (lookup + add) / 8
        yield ClaimSum(
            _SHIFTADDLLM_ENERGY,
            f"{bits} bases, a look-up for 8 inputs, against fp16, 45 nm",
            f"1 - {bits}·({lookup} + {add})/8 / {mac:.2g}",
            energy / mac - 1,
        )
    for bits in (2, 3, 4):
        yield ClaimSum(
            _SHIFTADDLLM_MEMORY,
            f"{bits} bases, with {bits} scales of 16 bits for 128 weights",
            f"1 - {bits}·(1 + 16/128) / 16 bits",
            bits * (1 + 16 / 128) / 16 - 1,
        )


_SHIFTADDNET = "arXiv:2010.12785, as others quote it"
_PER_ADD = PublishedClaim("ShiftAddNet", "a multiplication over an addition", 196, 196, False, _SHIFTADDNET)
_PER_SHIFT = PublishedClaim("ShiftAddNet", "a multiplication over a shift", 31, 31, False, _SHIFTADDNET)


def _shiftaddnet() -> Iterator[ClaimSum]:
    """The claim says "up to", so this is the largest saving among the pairs of operations in the tables."""
    for number_format in ("fp32", "int32", "int8"):
        mul, add = _pj("45nm", "mul", number_format), _pj("45nm", "add", number_format)
        yield ClaimSum(_PER_ADD, f"{number_format}, 45 nm", f"{mul} / {add} pJ", mul / add)
    shift = _pj("45nm", "shift", "fp32")
    for number_format in ("fp32", "int32"):
        mul = _pj("45nm", "mul", number_format)
        yield ClaimSum(
            _PER_SHIFT,
            f"{number_format} against the table's shift, 45 nm",
            f"{mul} / {shift} pJ",
            mul / shift,
        )


_T_MAC = "arXiv:2407.00088, abstract"
_T_MAC_PI = PublishedClaim("T-MAC", "BitNet 3B on a Raspberry Pi 5, tokens/s", 11, 11, False, _T_MAC)
_T_MAC_M2 = PublishedClaim("T-MAC", "BitNet 3B on a core of an M2 Ultra, tokens/s", 30, 30, False, _T_MAC)
_T_MAC_M2_8 = PublishedClaim("T-MAC", "BitNet 3B on eight of its cores, tokens/s", 71, 71, False, _T_MAC)
_PARAMETERS, _WEIGHT_BITS, _WEIGHTS_OF_A_LOOKUP = 3_300_000_000, 2, 4
_M2_ULTRA_BYTES_PER_S = 800e9
"""Memory bandwidth by Apple's announcement of June 2023, as Ars Technica quotes it; no table has the chip."""


def _t_mac() -> Iterator[ClaimSum]:
    """A token reads every weight once, and looks up one bit of four weights at a time. Both bound the speed:
    the first by the memory, the second by the vector units. Cores of an M2 Ultra are taken to be those of an
    M2.
    """
    weights = TensorSpec((_PARAMETERS,), "ternary").n_bytes
    lookups = _PARAMETERS * _WEIGHT_BITS // _WEIGHTS_OF_A_LOOKUP
    pi = load_target("raspberry-pi-5")
    assert pi.part_bandwidth_bytes_per_s is not None and pi.cores is not None
    for claim, bandwidth, device, cores in (
        (_T_MAC_PI, pi.part_bandwidth_bytes_per_s, "raspberry-pi-5", pi.cores),
        (_T_MAC_M2, _M2_ULTRA_BYTES_PER_S, "macbook-air-m2", 1),
        (_T_MAC_M2_8, _M2_ULTRA_BYTES_PER_S, "macbook-air-m2", 8),
    ):
        yield ClaimSum(
            claim,
            "memory bandwidth over 3.3 billion weights of 2 bits",
            f"{bandwidth / 1e9:g} GB/s / {weights / 1e9:.3g} GB",
            bandwidth / weights,
            bound=True,
        )
        a_cycle, clock = _most_lookups(device)
        yield ClaimSum(
            claim,
            "a look-up of a byte for one bit of 4 weights, on every vector unit in every cycle",
            f"{cores} · {a_cycle:g} · {clock / 1e9:g} GHz / {lookups / 1e9:.3g} billion",
            cores * a_cycle * clock / lookups,
            bound=True,
        )


def _most_lookups(device: str) -> tuple[float, float]:
    """(the most bytes that a core looks up in a cycle, its clock in Hz). A shuffle of bytes runs on no more
    vector units than a difference of bytes.
    """
    target = load_target(device)
    rates = (
        row.lanes / row.reciprocal_throughput_cycles
        for row in target.rows("uint8_absdiff")
        if row.reciprocal_throughput_cycles
    )
    assert target.clock_hz is not None
    return max(rates), target.clock_hz


_BITNET_CPP = "arXiv:2410.16144, abstract"
_CPP_SPEED = PublishedClaim("bitnet.cpp", "speed on x86", 2.37, 6.17, False, _BITNET_CPP)
_CPP_ENERGY = PublishedClaim("bitnet.cpp", "energy on x86", -0.822, -0.719, True, _BITNET_CPP)


def _bitnet_cpp() -> Iterator[ClaimSum]:
    """Both sides read their weights once for each token, so the ratio of bytes bounds the gain in speed."""
    yield ClaimSum(_CPP_SPEED, "weights of 16 bits against 2", "16 / 2 bits", 8.0, bound=True)
    yield ClaimSum(_CPP_ENERGY, "energy in proportion to the weights' bytes", "1 - 2 / 16 bits", 2 / 16 - 1)


def _adder_hardware() -> Iterator[ClaimSum]:
    """The claims of `reproduce hardware`."""
    for found in derived_claims():
        of = found.claim
        claim = PublishedClaim(of.work, of.quantity, of.low, of.high, True, of.source)
        yield ClaimSum(claim, found.assumption, found.terms, found.change)
