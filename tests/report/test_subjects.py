"""What a report estimates: a total that leaves operators out is nowhere called complete. No torch."""

from __future__ import annotations

from dataclasses import replace

import made_models
import pytest

from addercost.analysis.bounds import AtLeast
from addercost.analysis.subjects import Wanted, subject_from_profiles
from addercost.counts.model import UncountedOp
from addercost.report.formats.report_format import ReportFormat, render_report
from addercost.report.html.cards import cards
from addercost.report.subject_answer import answer_sentences
from addercost.report.tables.comparison import side_by_side_table
from addercost.results.report import Report, Subject

WANTED = Wanted(convention="macs", cpus=("via-nano-2000",), energy=("45nm",))


def subject(uncounted: tuple[UncountedOp, ...]) -> Subject:
    """1,000 sites, for all of which the two tables have figures, and operators without a counting rule."""
    profile = made_models.profile(["a"])
    counts = replace(profile.counts, uncounted=uncounted)
    return subject_from_profiles("made-up", [replace(profile, counts=counts)], WANTED)


@pytest.mark.parametrize(
    ("uncounted", "complete"),
    [
        pytest.param((), True, id="every operator is counted"),
        pytest.param((UncountedOp("aten.x", 2, ("a",)),), False, id="an operator is not"),
    ],
)
def test_estimates_are_complete_only_where_every_operator_is_counted(
    uncounted: tuple[UncountedOp, ...], complete: bool
) -> None:
    made = subject(uncounted)
    assert made.estimates and [e.complete for e in made.estimates] == [complete] * len(made.estimates)
    assert [e.complete for e in made.energies] == [complete]
    # 4 + 2 cycles a site on the VIA Nano 2000.
    (cycles,) = (e.cycles for e in made.estimates if e.model == "latency-sum")
    assert cycles == 6000
    cells = [row["CNN"] for row in side_by_side_table(made).rows]
    assert cells and all(isinstance(cell, AtLeast) is not complete for cell in cells)
    bounds = [bar.value.startswith("≥") for card in cards(made) for bar in card.bars]
    assert bounds == [not complete] * len(bounds)
    first, *_ = answer_sentences(made)
    assert ("at least" in first) is not complete
    text = render_report(Report("r", (made,)), ReportFormat.MARKDOWN).decode()
    assert ("LOWER BOUND: no counting rule for aten.x (2 calls, in a)" in text.replace("\\", "")) != complete
