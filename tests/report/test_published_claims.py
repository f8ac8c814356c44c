"""`reproduce claims`: sums worked out by hand from the cited figures, and what they say of each claim."""

from __future__ import annotations

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
        ("bitnet.cpp", "weights of 16 bits", 8.0, ClaimOutcome.ALLOWED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_sum_and_what_it_says(work: str, assumption: str, computed: float, says: ClaimOutcome) -> None:
    (found,) = (item for item in SUMS if item.claim.work == work and item.assumption.startswith(assumption))
    assert found.computed == pytest.approx(computed)
    assert outcome(found, SUMS) is says


def test_the_70_billion_parameters_of_bitnet() -> None:
    """Llama 2 70B: 80 blocks of q and o (8192²), k and v (8192 · 1024), three of 8192 · 28,672; two tables of
    32,000 rows stay in two bytes.
    """
    linear = 80 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28_672)
    tables = 2 * 32_000 * 8192
    (found,) = (item for item in SUMS if item.assumption.startswith("Llama 2 70B"))
    assert found.computed == pytest.approx((2 * linear + 2 * tables) / (linear / 4 + 2 * tables))


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
