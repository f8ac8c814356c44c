"""Published savings of adder hardware against ours: the computed figures are derived here by hand."""

import pytest

from addercost.analysis.hardware_claims import LOGIC, POWER, SPEED, Derived, derived_claims
from addercost.report.tables.hardware_claims import hardware_table


@pytest.mark.parametrize(
    ("claim", "assumption", "change"),
    [
        # µm² at 45 nm: int8 multiplier 282, int32 adder 137, so 68.5 of 16 and 34.25 of 8 bits.
        (LOGIC, "int8 summed in int16", (34.25 + 68.5) / (282 + 68.5) - 1),
        (LOGIC, "int8 summed in int32", (34.25 + 137) / (282 + 137) - 1),
        (LOGIC, "fp32 summed in fp32", 2 * 4184 / (7700 + 4184) - 1),
        # pJ: int8 mul 0.2 and add 0.03, int32 add 0.1, 16-bit add by the fit 0.05.
        (POWER, "int8 summed in int16", (0.03 + 0.05) / (0.2 + 0.05) - 1),
        (POWER, "int8 summed in int32", (0.03 + 0.1) / (0.2 + 0.1) - 1),
        (SPEED, "the same array", 0.0),
    ],
)
def test_what_an_assumption_gives(claim, assumption, change):
    (found,) = [d for d in derived_claims() if d.claim == claim and assumption in d.assumption]
    assert found.change == pytest.approx(change)


@pytest.mark.parametrize(
    ("change", "reproduces"),
    [(-0.70, True), (-0.672, True), (-0.6, False), (-0.718, True), (-0.72, False), (0.7, False)],
)
def test_a_figure_reproduces_a_range_that_it_rounds_into(change, reproduces):
    assert Derived(LOGIC, "", "", change).reproduces is reproduces


def test_each_claim_has_its_outcome_in_a_note():
    table = hardware_table()
    for claim in {row["claim"] for row in table.rows}:
        verdicts = {row["verdict"] for row in table.rows if row["claim"] == claim}
        (note,) = [text for text in table.notes if text.startswith(f"{claim} (")]
        assert ("no assumption here" in note) is ("reproduces" not in verdicts)
