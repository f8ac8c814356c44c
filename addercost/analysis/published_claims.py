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
from addercost.errors import DataError
from addercost.hardware import load_device, load_energy
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
    factor, or has its unit in `quantity`.
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
        *_bitnet_memory(),
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


_BITNET_ENERGY = PublishedClaim(
    "BitNet b1.58", "energy of matrix products, 7 nm", 71.4, 71.4, False, "arXiv:2402.17764, figure 3"
)
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


_BITNET_MEMORY = PublishedClaim(
    "BitNet b1.58", "memory of 70 billion parameters", 7.16, 7.16, False, "arXiv:2402.17764, figure 2"
)


def _bitnet_memory() -> Iterator[ClaimSum]:
    """Bytes of fp16 weights / bytes of ternary weights with 2 bits; embeddings stay in fp16."""
    hidden, blocks, inner, vocabulary = 8192, 80, 28_672, 32_000
    yield ClaimSum(_BITNET_MEMORY, "2 bits for every weight", "16 / 2 bits", 8.0)
    linear = blocks * (2 * hidden * hidden + 2 * hidden * 1024 + 3 * hidden * inner)
    tables = 2 * vocabulary * hidden
    wide = 2 * (linear + tables)
    narrow = TensorSpec((linear,), "ternary").n_bytes + 2 * tables
    yield ClaimSum(
        _BITNET_MEMORY,
        "Llama 2 70B's shapes, embeddings and output layer in fp16",
        f"{wide / 1e9:.1f} / {narrow / 1e9:.1f} GB",
        wide / narrow,
    )


_LMUL_MUL = PublishedClaim(
    "L-Mul", "energy of an element-wise product", -0.95, -0.95, True, "arXiv:2410.00907"
)
_LMUL_DOT = PublishedClaim("L-Mul", "energy of a dot product", -0.80, -0.80, True, "arXiv:2410.00907")


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


_SHIFTADDNET = "arXiv:2010.12785, table of unit energies"
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


def _t_mac() -> Iterator[ClaimSum]:
    """A token reads every weight once, which bounds the speed. The M2 Ultra has no row, since no table
    describes it.
    """
    weights = TensorSpec((3_300_000_000,), "ternary").n_bytes
    bandwidth = load_device("raspberry-pi-5").memory_bandwidth_bytes_per_s
    if bandwidth is not None:
        yield ClaimSum(
            _T_MAC_PI,
            "memory bandwidth over 3.3 billion weights of 2 bits",
            f"{bandwidth / 1e9:g} GB/s / {weights / 1e9:.3g} GB",
            bandwidth / weights,
            bound=True,
        )


_BITNET_CPP = "arXiv:2410.16144, abstract"
_CPP_SPEED = PublishedClaim("bitnet.cpp", "speed on x86", 2.37, 6.17, False, _BITNET_CPP)
_CPP_ENERGY = PublishedClaim("bitnet.cpp", "energy on x86", -0.822, -0.719, True, _BITNET_CPP)


def _bitnet_cpp() -> Iterator[ClaimSum]:
    """Both sides read their weights once for each token, so the ratio of bytes bounds the gain in speed."""
    yield ClaimSum(_CPP_SPEED, "weights of 16 bits against 2", "16 / 2 bits", 8.0, bound=True)
    yield ClaimSum(_CPP_ENERGY, "energy in proportion to the weights' bytes", "1 - 2 / 16 bits", 2 / 16 - 1)


def _adder_hardware() -> Iterator[ClaimSum]:
    """The claims of `reproduce hardware`, with the energy or area of the elements alone."""
    for found in derived_claims():
        claim = PublishedClaim(
            "AdderNet hardware",
            found.claim.quantity,
            found.claim.low,
            found.claim.high,
            True,
            found.claim.source,
        )
        yield ClaimSum(claim, found.assumption, "addercost reproduce hardware", found.change)
