"""What a validation looks like as a table and as a figure."""

from __future__ import annotations

import dataclasses

from addercost.analysis.validation import scored
from addercost.report.plots import validation as figure
from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
from addercost.report.tables.validation import networks_table, validation_table
from addercost.results.validation import RowPrediction, SkippedRow, Validation, ValidationRow


def made_up(rows: int = 12) -> Validation:
    """Networks that take 1 ms a step, predicted exactly by one model and twice too long by another."""
    networks = tuple(
        ValidationRow(
            name=f"net{i}",
            measured_s=1e-3 * (i + 1),
            predicted=(RowPrediction("exact", 1e-3 * (i + 1)), RowPrediction("double", 2e-3 * (i + 1))),
            family=f"family{i % 2}",
            kind=("convolution", "depthwise", "matrix product")[i % 3],
            mac_sites=10**6 * (i + 1),
            bytes_moved=10**5,
        )
        for i in range(rows)
    )
    skipped = tuple(SkippedRow(f"unknown{i}", "unknown timm model") for i in range(10))
    return scored(Validation("made up", "test-cpu", {"dtype": "fp32"}, networks, skipped=skipped))


def test_a_row_for_each_predictor_and_way_to_scale() -> None:
    """Two models and two baselines, each as it is and scaled by half of the networks."""
    table = validation_table(made_up())
    assert [(row["model"], row["scaled_by"]) for row in table.rows] == [
        (model, how) for model in ("exact", "double", "MACs", "bytes") for how in ("nothing", "half of them")
    ]
    assert any("10 timings skipped: unknown0" in note and "and 2 more" in note for note in table.notes)


def test_a_validation_without_rows_still_has_its_table_and_says_so_in_the_figure() -> None:
    kept = dataclasses.replace(made_up(), rows=())
    assert validation_table(kept).rows == validation_table(made_up()).rows
    assert b"the validation keeps no rows" in figure_svg_text(kept)


def test_the_figure_has_a_panel_for_each_predictor() -> None:
    text = figure_svg_text(made_up())
    for name in ("exact, × 1", "double, × 0.5", "MACs", "bytes", "matrix product"):
        assert name.encode() in text, name
    assert len(networks_table(made_up()).rows) == 12


def figure_svg_text(validation: Validation) -> bytes:
    """The texts of the figure, in place of the paths that a file has."""
    drawn = figure.draw(validation, PlotOptions())
    assert figure_bytes(drawn, FigureFormat.PNG).startswith(b"\x89PNG")
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in drawn.figure.findobj(Text)).encode()
