"""Figures: the same bytes for the same input, readable for large models."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import made_models
import pytest
import sample_data
from made_figures import OPTIONS, drawn, subject_with_everything

from addercost.analysis.module_tree import module_tree
from addercost.analysis.pareto import Pareto, Point, front
from addercost.cli import run
from addercost.errors import ArgumentError
from addercost.report.plots import icicle
from addercost.report.plots.kinds import KINDS, draw_measured, draw_model, plot_kind
from addercost.report.plots.rows import fitting_rows
from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
from addercost.report.plots.terminal_chart import with_bars
from addercost.results.measurements import measurements_from_data


@cache
def kept(kind: str, file_format: FigureFormat = FigureFormat.SVG) -> bytes:
    return figure_bytes(drawn(kind), file_format)


EXHAUSTIVE = pytest.mark.exhaustive
FAST = ("breakdown",)


@pytest.mark.parametrize(
    "kind", [kind if kind in FAST else pytest.param(kind, marks=EXHAUSTIVE) for kind in KINDS]
)
def test_same_input_same_bytes(kind: str) -> None:
    assert kept(kind) == figure_bytes(drawn(kind), FigureFormat.SVG)
    assert kept(kind).startswith(b"<?xml")


@pytest.mark.parametrize(
    ("file_format", "start"),
    [(FigureFormat.PDF, b"%PDF"), pytest.param(FigureFormat.PNG, b"\x89PNG", marks=EXHAUSTIVE)],
)
def test_same_bytes_in_other_formats(file_format: FigureFormat, start: bytes) -> None:
    first = kept("breakdown", file_format)
    assert first == figure_bytes(drawn("breakdown"), file_format) and first.startswith(start)


def test_fonts_are_embedded() -> None:
    pdf = kept("breakdown", FigureFormat.PDF)
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert b"<text" not in kept("breakdown") and b"font-family" not in kept("breakdown")


def test_no_dates_in_files() -> None:
    assert b"CreationDate" not in kept("breakdown", FigureFormat.PDF)
    assert b"<dc:date>" not in kept("breakdown")


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(made_models.nested(300), id="300 layers in modules"),
        pytest.param([f"layer{i}" for i in range(300)], id="300 layers in a row", marks=EXHAUSTIVE),
        pytest.param(
            [f"backbone.layer{i}" for i in range(300)], id="300 layers in one module", marks=EXHAUSTIVE
        ),
        pytest.param(made_models.nested(10_000), id="10,000 layers", marks=EXHAUSTIVE),
    ],
)
def test_large_models_are_summed_and_it_is_said(paths: list[str]) -> None:
    profile = made_models.profile(paths)
    rows, remark = fitting_rows(profile, 40, lambda row: row.counts.total)
    assert 10 <= len(rows) <= 40 and remark
    assert sum(row.counts.total for row in rows) == profile.counts.total.total
    figure = draw_model("breakdown", made_models.subject(paths[:300]), OPTIONS).figure
    assert figure.get_figheight() < 10


def test_rows_without_operations_are_left_out_and_counted() -> None:
    from dataclasses import replace

    made = made_models.profile(["a", "b", "c"])
    layers = (made.counts.layers[0], *(made_models.layer(path, 0) for path in ("b", "c")))
    profile = replace(made, counts=replace(made.counts, layers=layers))
    rows, remark = fitting_rows(profile, 40, lambda row: row.counts.total)
    assert [row.path for row in rows] == ["a"]
    assert remark == "2 without operations left out"


def test_tree_sums_and_prunes() -> None:
    profile = made_models.profile([f"m.l{i}" for i in range(100)])
    root = module_tree(profile, 10, "operations")
    (module,) = root.children
    assert len(module.children) == 10 and module.children[-1].name == "91 more"
    assert sum(child.values["operations"] for child in module.children) == profile.counts.total.total


def test_tree_of_a_very_deep_model() -> None:
    profile = made_models.profile([".".join(["m"] * 3000)])
    assert module_tree(profile, 10, "operations").values["operations"] == 2000


# The page of `test_page` draws the same figures of hostile names.
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["breakdown", "icicle", "roofline", "compare"])
@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(["only"], id="one layer"),
        pytest.param([*made_models.HOSTILE], id="hostile names"),
        pytest.param([f"layer{i}" for i in range(2000)], id="2,000 layers"),
    ],
)
def test_unusual_models(kind: str, paths: list[str]) -> None:
    assert figure_bytes(draw_model(kind, made_models.subject(paths), OPTIONS), FigureFormat.SVG)


def test_front() -> None:
    """What costs more and is worse, or as good, is not on it."""
    points = [Point(str(i), "x", a, c, True) for i, (c, a) in enumerate([(1, 80), (2, 90), (3, 85), (4, 90)])]
    assert [point.label for point in front(points)] == ["0", "1"]


def test_caveats_are_marked_in_a_ranking() -> None:
    from dataclasses import replace

    made = subject_with_everything()
    ranked = tuple(replace(r, caveat="doubtful" if r.hardware == "cpu49" else "") for r in made.ranked)
    figure = draw_model("rank", replace(made, ranked=ranked), OPTIONS).figure
    for axes in figure.axes:
        labels = [tick.get_text() for tick in axes.get_yticklabels()]
        assert labels[0] == "cpu49*" and not any(label.endswith("*") for label in labels[1:])
    assert "*: with a caveat" in figure._supxlabel.get_text()  # type: ignore[attr-defined]
    plain = draw_model("rank", made, OPTIONS).figure
    assert "*" not in plain._supxlabel.get_text()  # type: ignore[attr-defined]


def test_an_accuracy_has_an_end_and_a_short_axis_of_cost_has_numbers() -> None:
    from addercost.report.plots import pareto

    points = (Point("a", "CNN", 99.4, 2.5e6, True), Point("b", "adder", 99.4, 1.7e6, True))
    axes = pareto.draw(Pareto("MNIST", "estimated cycles", "", points), OPTIONS).figure.axes[0]
    assert axes.get_ylim()[1] <= 100.5
    axes.figure.canvas.draw()
    labels = [t.get_text() for which in ("major", "minor") for t in axes.get_xticklabels(which=which)]
    assert "2M" in labels and not any("$" in label for label in labels)


def test_rows_of_several_formats_have_labels_of_their_own() -> None:
    rows = [{"path": "a", "arithmetic": "mac", "dtype": d, "samples_s": [1e-3] * 6} for d in ("fp32", "bf16")]
    made = measurements_from_data({**sample_data.measurements(), "rows": rows})
    axes = draw_measured("distribution", made, OPTIONS).figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a\nmac fp32", "a\nmac bf16"]


def test_bars_of_accelerators_are_as_long_as_their_parts() -> None:
    subject = subject_with_everything()
    figure = draw_model("accelerator", subject, OPTIONS)
    for i, accelerator in enumerate(subject.first.accelerators):
        for quantity, panel, total in (
            ("cycles", 2 * i, accelerator.cycles),
            ("energy", 2 * i + 1, accelerator.total_j),
        ):
            rows = [
                row["value"]
                for row in figure.table.rows
                if (row["hardware"], row["quantity"]) == (accelerator.hardware, quantity)
            ]
            per_network = rows[: len(rows) // len(subject.profiles)]
            assert sum(per_network) == pytest.approx(total)
            bars = [bar for bar in figure.figure.axes[panel].patches if abs(bar.get_y() + 0.35) < 1e-9]
            assert max(bar.get_x() + bar.get_width() for bar in bars) == pytest.approx(total)


def test_unknown_kind_lists_them_all() -> None:
    with pytest.raises(ArgumentError) as raised:
        plot_kind("breakdwon")
    for kind in KINDS:
        assert kind in str(raised.value)


def test_unknown_icicle_basis() -> None:
    with pytest.raises(ArgumentError, match=r"did you mean cycles@via-nano-2000"):
        draw_model("icicle", made_models.subject(["a"]), PlotOptions(basis="cycles@via-nano"))


@pytest.mark.parametrize("layers", [24, 25], ids=["all fit", "one too many"])
def test_icicle_numbers_24_equal_layers(layers: int) -> None:
    """Of equal layers, the one without a number is no narrower."""
    paths = [f"stages.{i}.convolution" for i in range(layers)]
    equal = tuple(made_models.layer(path) for path in paths)
    made = made_models.Profile(replace(made_models.counts(paths), layers=equal))
    figure = icicle.draw(made, PlotOptions("single")).figure
    key = [text for text in figure.axes[1].texts if text.get_text().endswith(" %")]
    assert len(key) == 24
    caption = " ".join(figure.get_supxlabel().split())
    assert ("further layers have no number" in caption) is (layers > 24)
    assert "narrower" not in caption


def test_terminal_chart() -> None:
    """The longest bar is 24 columns; 2000 of 2002 is 191.8 eighths, so 192 of them."""
    table = with_bars(draw_model("breakdown", made_models.subject(["a", "b"]), OPTIONS))
    shares = [row["operations"] for row in table.rows]
    assert shares == [2000, 2002]
    assert table.rows[1]["_bar"] == "█" * 24


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import json

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (tmp_path / "p.json").write_text(made_models.subject(["a", "b"]).first.to_json())
    (tmp_path / "m.json").write_text(json.dumps(sample_data.measurements()))
    (tmp_path / "t.json").write_text(json.dumps(sample_data.training()))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["nope", "p.json", "-o", "x.svg"], "known: breakdown", id="unknown kind"),
        pytest.param(["breakdown", "m.json", "-o", "x.svg"], "is drawn from a model", id="wrong kind"),
        pytest.param(["breakdown", "p.json", "m.json", "-o", "x.svg"], "something else", id="mixed kinds"),
        pytest.param(["curves", "t.json", "p.json", "-o", "x.svg"], "something else", id="mixed training"),
        pytest.param(["distribution", "-o", "x.svg"], "measurements", id="nothing given"),
        pytest.param(["breakdown", "p.json", "-o", "x.gif"], ".svg, .pdf, .png", id="unknown format"),
        pytest.param(["breakdown", "p.json"], "-o FILE.svg", id="nowhere to draw to"),
        pytest.param(["rank", "p.json", "-o", "x.svg"], "carries no ranking", id="nothing to rank"),
        pytest.param(["breakdown", "p.json", "-o", "no/x.svg"], "mkdir", id="no such folder"),
        pytest.param(["pareto", "--dataset", "CIFAR", "-o", "x.svg"], "did you mean CIFAR-10", id="data set"),
        pytest.param(["pareto", "--by", "cost", "-o", "x.svg"], "unknown cost", id="unknown cost"),
    ],
)
def test_bad_arguments(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert run(["plot", *arguments]) in (2, 5)
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_show_prints_a_chart_without_a_display(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plot", "breakdown", "p.json", "--show"]) == 0
    assert "█" in capsys.readouterr().out


@pytest.mark.parametrize(
    "suffix", [pytest.param("svg", marks=EXHAUSTIVE), "pdf", pytest.param("png", marks=EXHAUSTIVE)]
)
def test_writes_what_the_suffix_says(suffix: str, folder: Path) -> None:
    assert run(["plot", "distribution", "m.json", "-o", f"x.{suffix}"]) == 0
    assert (folder / f"x.{suffix}").stat().st_size > 1000


def test_names_beside_points_cover_nothing() -> None:
    """Twenty points so near to each other that names at their points would overlap."""
    from matplotlib.figure import Figure

    from addercost.report.plots.labels import lay_out, place_labels, text_boxes

    axes = Figure(figsize=(3.5, 3)).subplots()
    points = [(f"network {i}", 1 + 0.01 * (i % 5), 1 + 0.01 * (i // 5)) for i in range(20)]
    axes.plot([x for _, x, _ in points], [y for _, _, y in points], "o")
    without = place_labels(axes, points)
    lay_out(axes)
    boxes = text_boxes(axes)
    assert len(boxes) + len(without) == 20 and len(boxes) >= 8
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_no_legend_without_a_visible_bar() -> None:
    """Divisions are a millionth of the operations: they are named in a note and in the table alone."""
    from dataclasses import replace

    from addercost.arithmetic import OpClass, OpCounts

    made = made_models.profile(["a", "b"], 10**9)
    layers = made.counts.layers
    tiny = replace(layers[0], counts=layers[0].counts + OpCounts.of("fp32", divide=100))
    profile = replace(made, counts=replace(made.counts, layers=(tiny, *layers[1:])))
    from addercost.report.plots import breakdown

    figure = breakdown.draw(profile, OPTIONS)
    (legend,) = figure.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mul", "add"]
    assert "too few to be seen: divide" in figure.table.notes[0]
    assert [row[OpClass.DIVIDE.value] for row in figure.table.rows] == [100, 0]


def test_a_rank_marks_a_ratio_of_one() -> None:
    from dataclasses import replace

    from addercost.report.plots import rank
    from addercost.results.report import Ranked

    rows = (Ranked("same", "throughput", "adder", 1.0), Ranked("less", "throughput", "adder", 0.5))
    axes = rank.draw(replace(made_models.subject(["a"]), ranked=rows), OPTIONS).figure.axes[0]
    marks = {float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "<", ">")}
    assert marks == {1.0, 0.5}


def test_a_single_column_shows_one_processor_and_names_the_others() -> None:
    from addercost.report.plots import compare

    made = made_models.subject(["a"], cpus=("via-nano-2000", "intel-skylake-x"))
    figure = compare.draw(made, PlotOptions("single")).figure
    processor, energy = (axes.get_title(loc="left") for axes in figure.axes)
    assert processor.startswith("intel-skylake-x, ") and energy == "arithmetic energy, 45nm"
    assert "not shown: via-nano-2000" in figure.get_supxlabel().replace("\n", " ")


def test_predictions_are_coloured_by_arithmetic() -> None:
    """Two cost models and two arithmetics: a marker each, a colour each."""
    axes = drawn("predicted-vs-measured").figure.axes[0]
    points = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len({line.get_marker() for line in points}) == 2
    assert len({line.get_markerfacecolor() for line in points}) == 2
    assert len(points) == 4
