"""The page that puts the adder's case side by side: ratios that can be derived, and its own summary."""

import pytest
from torch import nn

import addercost
from addercost.analysis.adder_pays import payoffs
from addercost.report.tables.adder_pays import payoff_table


@pytest.fixture(scope="module")
def trace():
    import torch

    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 6 * 6, 10, bias=False))
    return addercost.trace_model(model, torch.zeros(1, 3, 8, 8))


def test_the_papers_rule_gives_one_and_a_half(trace):
    # (4 + 2) / (2 + 2) cycles on the VIA Nano for any network.
    (found,) = [p for p in payoffs(trace) if "the paper's rule" in p.rule]
    assert found.time_ratio == pytest.approx(1.5)


def test_on_an_array_the_same_elements_take_the_same_time_and_memory_shrinks_the_gain(trace):
    of_arrays = [p for p in payoffs(trace) if p.energy_ratio is not None]
    assert len(of_arrays) == 2 * 4
    for payoff in of_arrays:
        if "as many elements" in payoff.rule:
            assert payoff.time_ratio == 1
        if "int8" in payoff.rule:
            assert payoff.element_ratio == pytest.approx(0.3 / 0.13)
        assert payoff.energy_ratio > 1


def test_each_row_of_the_table_is_a_payoff_and_is_counted_in_the_note(trace):
    found = payoffs(trace)
    table = payoff_table("a network", trace)
    assert [row["place"] for row in table.rows] == [payoff.place for payoff in found]
    less = sum(1 for payoff in found if payoff.time_ratio is not None and payoff.time_ratio > 1)
    assert any(f"Of {len(found)} rows the adder network takes less time in {less}" in t for t in table.notes)
