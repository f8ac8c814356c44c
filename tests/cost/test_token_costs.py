"""Costs of a token after any number of others, from counts that are made up."""

from __future__ import annotations

import pytest

from addercost.analysis.language_model import Estimators, TokenCosts
from addercost.cost.estimate import estimate
from addercost.cost.target_registry import load_target
from addercost.counts.lengths import CountsByLength, Layers
from tests.counts.test_lengths import every_fourth, layer

PI = load_target("raspberry-pi-5")
BY = Estimators(((PI, "roofline"),))


def seconds(layers: Layers) -> float:
    found = estimate(layers, PI, "roofline").seconds
    assert found is not None
    return found


def test_a_token_between_traced_lengths_is_on_the_line_between_them() -> None:
    counts = CountsByLength(every_fourth, 512, 1024, 1)
    token = TokenCosts(counts, BY)
    before, after = counts.around(600)
    assert before < 600 < after
    (cost,) = token.at(600)
    low, high = seconds(every_fourth(before)), seconds(every_fourth(after))
    share = (600 - before) / (after - before)
    assert cost.seconds == pytest.approx(low + share * (high - low))


def test_a_traced_length_is_not_interpolated() -> None:
    counts = CountsByLength(every_fourth, 512, 1024, 1)
    for length in counts.sampled:
        (cost,) = TokenCosts(counts, BY).at(length)
        assert cost.seconds == pytest.approx(seconds(every_fourth(length)))


def test_a_note_says_how_far_off_the_line_is() -> None:
    """Each inner traced length in turn, against the line between its two neighbours."""
    counts = CountsByLength(every_fourth, 512, 1024, 1)
    lengths = counts.sampled
    worst = 0.0
    for low, middle, high in zip(lengths, lengths[1:], lengths[2:], strict=False):
        share = (middle - low) / (high - low)
        first, last = seconds(every_fourth(low)), seconds(every_fourth(high))
        line = first + share * (last - first)
        worst = max(worst, abs(line / seconds(every_fourth(middle)) - 1))
    note = TokenCosts(counts, BY).note()
    assert note is not None
    assert f"between {len(lengths)} traced lengths" in note
    assert f"at most {worst:.2%} off" in note
    assert worst > 0


def test_polynomials_need_no_note() -> None:
    counts = CountsByLength(lambda length: (layer(length, length),), 512, 1024, 1)
    assert TokenCosts(counts, BY).note() is None
