"""`reproduce claims`: sums worked out by hand from the cited figures, and what they say of each claim."""

from __future__ import annotations

import re

import pytest

from addercost.analysis.published_claims import ClaimOutcome, ClaimSum, PublishedClaim, claim_sums, outcome
from addercost.cli import run

SUMS = claim_sums()


@pytest.mark.parametrize(
    ("work", "assumption", "computed", "says"),
    [
        ("BitNet b1.58", "sums of 8 bits; the claim's own", 0.5 / 0.007, ClaimOutcome.UNDER_ASSUMPTION),
        ("BitNet b1.58", "sums of 32 bits; the claim's own", 0.5 / 0.03, ClaimOutcome.DOES_NOT),
        ("BitNet b1.58", "sums of 8 bits, 45 nm", (1.1 + 0.4) / 0.03, ClaimOutcome.DOES_NOT),
        ("L-Mul", "of fp32, 45 nm, an addition", 0.1 / 3.7 - 1, ClaimOutcome.DOES_NOT),
        ("L-Mul", "of fp32, 45 nm, summed", (0.1 + 0.9) / (3.7 + 0.9) - 1, ClaimOutcome.DOES_NOT),
        (
            "ShiftAddLLM",
            "3 bases, a look-up",
            3 * (0.37 + 0.4) / 8 / (1.1 + 0.4) - 1,
            ClaimOutcome.REPRODUCES,
        ),
        ("ShiftAddLLM", "2 bases, with", 2 * (1 + 1 / 8) / 16 - 1, ClaimOutcome.UNDER_ASSUMPTION),
        ("ShiftAddNet", "int32 against", 3.1 / 0.1, ClaimOutcome.UNDER_ASSUMPTION),
        # A Raspberry Pi 5 has 17 GB/s, and 3.3 billion weights of two bits are 825 MB.
        ("T-MAC", "memory bandwidth", 17 / 0.825, ClaimOutcome.ALLOWED),
        # Of the sites, 0.29 / (1 - 1.8 / 4.6) are additions in fp32.
        (
            "Adder detection",
            "the share of sites that -29 % in fp32 implies (47.6 %), int8 summed in int8",
            0.29 / (1 - 1.8 / 4.6) * (0.06 / 0.23 - 1),
            ClaimOutcome.UNDER_ASSUMPTION,
        ),
        (
            "Adder detection",
            "the share of sites that -29 % in fp32 implies (47.6 %), int8 summed in int32",
            0.29 / (1 - 1.8 / 4.6) * (0.13 / 0.30 - 1),
            ClaimOutcome.DOES_NOT,
        ),
        ("bitnet.cpp", "weights of 16 bits", 8.0, ClaimOutcome.ALLOWED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_sum_and_what_it_says(work: str, assumption: str, computed: float, says: ClaimOutcome) -> None:
    found = next(item for item in SUMS if item.claim.work == work and item.assumption.startswith(assumption))
    assert found.computed == pytest.approx(computed)
    assert outcome(found, SUMS) is says


def test_the_70_billion_parameters_of_bitnet() -> None:
    """Llama 2 70B: 80 blocks of q and o (8192²), k and v (8192 · 1024), three of 8192 · 28,672; two tables of
    32,000 rows stay in two bytes.
    """
    linear = 80 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28_672)
    tables = 2 * 32_000 * 8192
    ratio = (2 * linear + 2 * tables) / (linear / 4 + 2 * tables)
    memory, speed = (item for item in SUMS if "Llama 2 70B" in item.assumption)
    assert memory.computed == speed.computed == pytest.approx(ratio)
    assert outcome(memory, SUMS) is ClaimOutcome.DOES_NOT
    assert outcome(speed, SUMS) is ClaimOutcome.ALLOWED


def test_the_look_ups_of_t_mac() -> None:
    """A token takes 3.3 · 10⁹ · 2 / 4 look-ups. A Raspberry Pi 5 has four cores of 2.4 GHz with two vector
    units, an M2 cores of 3.49 GHz with four; a unit has 16 bytes.
    """
    found = [item.computed for item in SUMS if item.assumption.startswith("a look-up of a byte")]
    a_token = 3.3e9 * 2 / 4
    assert found == pytest.approx(
        [4 * 2 * 16 * 2.4e9 / a_token, 4 * 16 * 3.49e9 / a_token, 8 * 4 * 16 * 3.49e9 / a_token]
    )


@pytest.mark.parametrize("found", SUMS, ids=lambda found: f"{found.claim.work}, {found.assumption}")
def test_the_printed_sum_gives_the_computed_figure(found: ClaimSum) -> None:
    """Without its units and letters a sum is arithmetic. Savings may be printed as what is saved."""
    plain = re.sub(r"[A-Za-zµ²]+(/s)?", "", found.terms.replace("·", "*"))
    assert abs(eval(plain, {"__builtins__": {}})) == pytest.approx(abs(found.computed), rel=0.01, abs=1e-3)


def test_each_row_says_what_was_read_of_its_work() -> None:
    for found in SUMS:
        where, part = found.claim.source.split(", ")
        assert where.startswith("arXiv:")
        assert part in ("abstract", "as others quote it", "first paragraph of its supplement")


CLAIM = PublishedClaim("a", "of b", 2.0, 3.0, False, "c")


@pytest.mark.parametrize(
    ("values", "bound", "says"),
    [
        ((2.5, 2.6), False, ClaimOutcome.REPRODUCES),
        ((2.5, 9.0), False, ClaimOutcome.UNDER_ASSUMPTION),
        ((2.5,), False, ClaimOutcome.REPRODUCES),
        ((3.014, 1.0), False, ClaimOutcome.UNDER_ASSUMPTION),
        ((3.02, 2.5), False, ClaimOutcome.DOES_NOT),
        ((3.0, 2.5), True, ClaimOutcome.ALLOWED),
        ((2.99, 2.5), True, ClaimOutcome.BEYOND),
    ],
)
def test_outcomes(values: tuple[float, ...], bound: bool, says: ClaimOutcome) -> None:
    """A factor agrees within half a per cent of the larger end."""
    sums = tuple(ClaimSum(CLAIM, str(i), "", value, bound and i == 0) for i, value in enumerate(values))
    assert outcome(sums[0], sums) is says


def test_the_table_shows_every_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "claims", "--format", "csv"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1 + len(SUMS)
    assert "(0.34 + 0.16) / 0.007 pJ" in out
