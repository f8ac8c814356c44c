"""What a page of timings says first, and its cards: ratios of timings that were taken in turn."""

from __future__ import annotations

import random
from typing import Any

import pytest

from addercost.analysis.measured_contests import measured_contests
from addercost.report.html.cards import measured_cards
from addercost.report.measured_answer import measured_answer
from addercost.results.measurements import Measurements, measurements_from_data

QUIET = 1e-3


def row(
    path: str, arithmetic: str, by: str, factor: float, noise: float = QUIET, **more: Any
) -> dict[str, Any]:
    """60 samples around `factor` ms; those of a reference around 1 ms."""
    draw = random.Random(f"{path}{arithmetic}{by}")

    def samples(centre: float) -> list[float]:
        return [centre * draw.uniform(1 - noise, 1 + noise) for _ in range(60)]

    made = {"path": path, "arithmetic": arithmetic, "implementation": by, "samples_s": samples(factor * 1e-3)}
    if path:
        made["case"] = path
    if "reference" in more:
        made["reference_samples_s"] = samples(1e-3)
    return {**made, **more}


def measured(*rows: dict[str, Any], failed: tuple[dict[str, Any], ...] = ()) -> Measurements:
    environment = {"cpu": "made up", "threads": "2"}
    return measurements_from_data(
        {
            "schema": "addercost/measurements/1",
            "model": "net",
            "environment": environment,
            "rows": [*rows],
            "failed": [*failed],
        }
    )


REF = {"reference": "torch fp32"}
LAYERS = (
    row("a", "mac", "torch", 1),
    row("b", "mac", "torch", 1),
    row("a", "adder", "ours", 1.4, **REF),
    row("b", "adder", "ours", 1.6, **REF),
    row("a", "adder", "slow", 20, **REF),
    row("b", "adder", "slow", 20, **REF),
    row("a", "xnor", "packed", 0.25, **REF),
    row("b", "xnor", "packed", 0.25, **REF),
)


def test_layers_are_added_up_and_the_fastest_is_named() -> None:
    """(1.4 + 1.6) / (1 + 1) = 1.5; samples are within a thousandth of that."""
    (sentence,) = measured_answer(measured(*LAYERS))
    assert sentence.startswith(
        "Measured on made up, 2 threads: the 2 layers of net together take 2 ms "
        "as multiply-adds (torch fp32); "
        "as adder layers (ours fp32) they take 1.50 times as long (95 % 1.50 to 1.50); "
        "as binary layers (packed fp32) 0.250 times as long (95 % 0.250 to 0.250)."
    )


def test_a_whole_network() -> None:
    text = measured_answer(
        measured(row("", "mac", "eager", 1), row("", "adder", "eager", 2, reference="mac eager fp32"))
    )
    assert [*text] == [
        "Measured on made up, 2 threads: the whole of net takes 1 ms as multiply-adds (eager fp32); "
        "as adder layers (eager fp32) it takes 2.00 times as long (95 % 2.00 to 2.00)."
    ]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"noise": 0.5}, id="noise"),
        pytest.param({"samples_s": [1e-3] * 2, "reference_samples_s": [1e-3] * 2}, id="two-samples"),
    ],
)
def test_what_cannot_be_told_is_said(changed: dict[str, Any]) -> None:
    """Both sides take the same, so no interval may exclude 1."""
    noise = changed.get("noise", QUIET)
    data = row("", "adder", "eager", 1, noise, reference="mac eager fp32")
    made = measured(row("", "mac", "eager", 1), data | {k: v for k, v in changed.items() if k != "noise"})
    (sentence,) = measured_answer(made)
    assert "as adder layers (eager fp32) the measurement cannot tell which is faster (" in sentence
    (card,) = measured_cards(made)
    assert [bar.ratio for bar in card.bars] == ["", "cannot tell"]


def test_cards_have_a_bar_a_side_by_its_ratio() -> None:
    (card,) = measured_cards(measured(*LAYERS))
    assert card.title == "time by that of torch fp32"
    assert [bar.name for bar in card.bars] == ["mac torch", "adder ours", "adder slow", "xnor packed"]
    assert [bar.ratio for bar in card.bars] == ["", "1.50×", "20.0×", "0.250×"]
    assert [bar.percent for bar in card.bars] == pytest.approx([5, 7.5, 100, 1.25], rel=5e-3)
    assert [bar.colour for bar in card.bars] == [0, 1, 1, 2]


def test_a_side_that_lacks_a_layer_has_no_time_of_the_whole() -> None:
    lacking = {"path": "b", "arithmetic": "adder", "implementation": "ours", "dtype": "fp32", "reason": "no"}
    made = measured(*LAYERS[:3], *LAYERS[4:], failed=(lacking,))
    (contest,) = measured_contests(made)
    ours = next(side for side in contest.sides if side.implementation == "ours")
    assert (ours.left_out, round(ours.ratio or 0, 2)) == (1, 1.4)
    (card,) = measured_cards(made)
    assert [(bar.value, bar.percent) for bar in card.bars if bar.name == "adder ours"] == [
        ("1 of 2 layers", 0)
    ]
    (sentence,) = measured_answer(made)
    assert "as adder layers (slow fp32) they take 20.0 times" in sentence


def test_timings_without_a_reference_are_not_compared() -> None:
    (sentence,) = measured_answer(measured(row("a", "mac", "torch", 1)))
    assert sentence.endswith("1 timing of net. None was taken in turn with another, so nothing is compared.")
    assert not [*measured_cards(measured(row("a", "mac", "torch", 1)))]


def test_names_of_a_file_are_data() -> None:
    made = measured(row("", "<b>", "\x1b[1m", 1), row("", "adder", "eager", 2, reference="<b> \x1b[1m fp32"))
    (card,) = measured_cards(made)
    assert "\x1b" not in card.title + "".join(bar.name for bar in card.bars)
