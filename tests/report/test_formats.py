"""A report in every format, opened again by what reads that format."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import made_models
import openpyxl
import pytest
import sample_data

from addercost.analysis.bounds import AtLeast, AtMost
from addercost.analysis.comparison import Comparison
from addercost.analysis.estimate_ratio import estimate_ratio, hidden_ratio
from addercost.arithmetic import Arithmetic
from addercost.cli import run
from addercost.errors import ArgumentError
from addercost.report.formats.latex_text import latex_text, latex_unit
from addercost.report.formats.report_format import ReportFormat, render_report, report_format
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.formats.table_latex import PACKAGES, table_to_latex
from addercost.report.sections import report_sections
from addercost.report.table import Column, Kind, Table, shown
from addercost.report.tables.comparison import comparison_table, side_by_side_table
from addercost.results.measurements import measurements_from_data
from addercost.results.report import Report
from addercost.text import printable

PATHS = ["a", "blocks.0.conv", *made_models.HOSTILE]


def report() -> Report:
    measured = measurements_from_data(sample_data.measurements())
    return Report("made-up <title>", made_models.report(PATHS).subjects, (measured,))


def text_in(chosen: ReportFormat) -> str:
    return render_report(report(), chosen).decode("utf-8")


@pytest.mark.parametrize("chosen", ReportFormat)
def test_same_input_same_bytes(chosen: ReportFormat) -> None:
    """Few figures, each of which takes most of a second."""
    subjects = made_models.report(["a", *made_models.HOSTILE[:2]], cpus=()).subjects
    made = Report("made-up <title>", subjects, report().measurements)
    assert render_report(made, chosen) == render_report(made, chosen)


def test_csv_has_every_layer_of_every_arithmetic() -> None:
    rows = list(csv.DictReader(io.StringIO(text_in(ReportFormat.CSV))))
    assert len(rows) == 3 * len(PATHS)
    assert sum(int(row["mul"]) for row in rows if row["arithmetic"] == "CNN") == sum(
        1000 + i for i in range(len(PATHS))
    )
    assert all(not row["path"].startswith(("=", "+", "@")) for row in rows)


def test_json_is_the_document() -> None:
    assert json.loads(text_in(ReportFormat.JSON)) == report().to_dict()


def test_markdown_tables_are_even_and_hostile_names_stay_text() -> None:
    text = text_in(ReportFormat.MARKDOWN)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 4
    for lines in tables:
        # An escaped bar is no border.
        borders = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(borders) == 1, lines[0]
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "---:" in text


@pytest.mark.exhaustive
def test_latex_fits_columns_and_pages_of_a_paper(tmp_path: Path) -> None:
    """pdfLaTeX on two columns of A4, every hostile name included: no overfull box, no table beyond its page.

    `make test-all` installs it.
    """
    long = made_models.subject([f"stage{i // 10}.{i % 10}.convolution" for i in range(120)])
    made = Report("long", (*report().subjects, long), report().measurements)
    compared = comparison_table(Comparison(long.profiles))
    texts = [render_report(made, ReportFormat.LATEX, width=width).decode() for width in ("single", "double")]
    texts += [render(compared, TableFormat.LATEX, page=width) for width in ("single", "double")]
    paper = (
        "\\documentclass[a4paper,twocolumn]{article}\n"
        "\\usepackage[textwidth=516pt,textheight=700pt]{geometry}\\setlength{\\columnsep}{12pt}\n"
        f"\\usepackage{{{PACKAGES}}}\\begin{{document}}\n"
        + "\n\\clearpage\n".join(texts)
        + "\n\\end{document}\n"
    )
    (tmp_path / "paper.tex").write_text(paper, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "paper.pdf").exists()
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert not re.findall(r"Overfull.*|Float too large.*", log)


def test_latex_is_booktabs_and_siunitx() -> None:
    text = text_in(ReportFormat.LATEX)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") >= 3
    assert "S[table-format=" in text and "|" not in re.sub(r"%.*", "", text)
    assert r"\unit{\micro\second}" in text and r"\unit{\pico\joule}" not in text


def test_latex_of_one_table_in_a_column() -> None:
    """Name, share and time come first, the caption names the rest; a column is narrower than a page."""
    text = render_report(report(), ReportFormat.LATEX, ("layers",), "single").decode()
    assert text.count(r"\begin{table}") == 1 and "table*" not in text
    heads = next(line for line in text.splitlines() if r"\shortstack" in line)
    assert [name in heads for name in ("layer", "share", "time")] == [True] * 3
    assert "% left out, as the table is full: " in text
    wide = render_report(report(), ReportFormat.LATEX, ("layers",), "double").decode()
    assert wide.count("&") > text.count("&") and r"\begin{table*}" in wide


def test_ratios_without_room_follow_in_a_table_of_their_own() -> None:
    """A column has room for the three arithmetics of a comparison; the two ratios stand below, each once."""
    text = render_report(report(), ReportFormat.LATEX, ("comparison",), "single").decode()
    first, second = text.split(r"\begin{table}")[1:]
    assert "CNN" in first and "adder" in first and "binary" in first and "/" not in first.split("midrule")[0]
    heads, body = second.split("bottomrule")[0].split("midrule")
    assert heads.count("CNN") == 2 and "(continued)" in heads
    assert r"latency\_sum" in body or "latency-sum" in body
    assert "operations" not in body and "left out" not in text.split("Ratios:")[0]


def test_headings_of_a_workbook_wrap_and_do_not_touch() -> None:
    """Columns are as wide as a word of their heading; a text beside a number begins with a gap; the row of
    headings is as high as the most lines, 15 points each."""
    book = openpyxl.load_workbook(io.BytesIO(render_report(report(), ReportFormat.XLSX)))
    sheet = next(sheet for sheet in book if sheet.title.endswith("arithmetics"))
    heads = [cell for cell in sheet[2] if cell.value]
    assert [cell.alignment.indent for cell in heads if cell.alignment.horizontal == "left"] == [0, 1]
    ratio = next(cell for cell in heads if " / " in cell.value)
    assert ratio.alignment.wrap_text
    narrowest = max(map(len, ratio.value.split()))
    assert narrowest < sheet.column_dimensions[ratio.column_letter].width < len(ratio.value)
    assert sheet.row_dimensions[2].height >= 15 * 2


def test_ratios_that_follow_name_their_processor(capsys: pytest.CaptureFixture[str]) -> None:
    cpus = ("intel-skylake-x", "amd-zen4")
    options = ("--format", "latex", "--width", "single", *(f"--cpu={cpu}" for cpu in cpus))
    assert run(["compare", "zoo:lenet5-bn", "--convention", "macs", *options]) == 0
    text = capsys.readouterr().out
    heads = " ".join(part.split("midrule")[0] for part in text.split(r"\toprule")[1:])
    for cpu in cpus:
        assert heads.count(rf"ratio\\{cpu}") == heads.count(rf"cycles on\\{cpu}") == 1


def test_a_table_that_never_fits_ends() -> None:
    columns = (Column("path", "layer"), Column("unit", "unit"), Column("n", "n" * 90, Kind.NUMBER))
    table = Table(columns, [{"path": "a", "unit": "s", "n": 1.0}], title="wide")
    text = table_to_latex(table, "single")
    assert text.count(r"\begin{table}") == 1


def test_a_command_sets_its_table_as_wide_as_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", "zoo:lenet5-bn", "--width", "single", "--format"]
    assert run([*asked, "latex"]) == 0
    text = capsys.readouterr().out
    assert r"\begin{table}" in text and "table*" not in text and "% left out, as the table is full: " in text
    assert run([*asked, "csv"]) == 2
    assert "add --format latex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("µs", r"\unit{\micro\second}"),
        ("J", r"\unit{\joule}"),
        ("GB/s", r"\unit{\giga\byte\per\second}"),
        ("10^6 ops", "$10^{6}$ ops"),
        ("50%", r"50\%"),
    ],
)
def test_latex_unit(unit: str, expected: str) -> None:
    assert latex_unit(unit) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("50 % & #1 {x} $", r"50 \% \& \#1 \{x\} \$"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("größer", "größer"),
        ("层", "[U+5C42]"),
        ("≥ 1.5×", r"$\geq$ 1.5$\times$"),
    ],
)
def test_latex_text(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_workbook() -> None:
    book = openpyxl.load_workbook(io.BytesIO(render_report(report(), ReportFormat.XLSX)))
    assert any("layers" in name for name in book.sheetnames)
    assert all(len(name) <= 31 for name in book.sheetnames)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.value for cell in cells if cell.data_type == "f"], "no formula came of a name"
    assert "=1+1" in [cell.value for cell in cells]
    sheet = next(book[name] for name in book.sheetnames if name.endswith("layers"))
    header = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "layer")
    first = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "a")
    assert first[header.index("mul")] == 1000


def test_workbook_has_units_formats_and_filters() -> None:
    """1000 sites at 4 + 2 cycles and 1.6 GHz are 3.75 µs, and a predicted 8 µs are no 8e-06."""
    made = made_models.subject(["a"], cpus=("via-nano-2000",))
    measured = measurements_from_data(sample_data.measurements())
    content = render_report(Report("r", (made,), (measured,)), ReportFormat.XLSX)
    book = openpyxl.load_workbook(io.BytesIO(content))
    numbers = [c for s in book for row in s.iter_rows() for c in row if isinstance(c.value, float)]
    assert numbers and not [c.coordinate for c in numbers if c.number_format == "General"]
    for sheet in book:
        tables = any(cell.font.bold for row in sheet.iter_rows() for cell in row)
        assert bool(sheet.auto_filter.ref) is tables, sheet.title
    sheet = next(book[name] for name in book.sheetnames if name.endswith("arithmetics"))
    rows = {row[0]: row for row in sheet.iter_rows(values_only=True)}
    _, unit, time, *_ = rows["via-nano-2000, latency-sum, time (estimate)"]
    assert (unit, round(time, 9)) == ("µs", 3.75)
    sheet = next(book[name] for name in book.sheetnames if name.endswith("measured"))
    header = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "layer")
    assert any(str(name).endswith("(µs)") for name in header)


def test_a_printed_sheet_is_one_page_wide() -> None:
    """Notes are broken into rows and keep their words."""
    made = report()
    book = openpyxl.load_workbook(io.BytesIO(render_report(made, ReportFormat.XLSX)))
    wanted = [
        note
        for _, sections in report_sections(made)
        for section in sections
        for note in (*section.notes, *(note for table in section.tables for note in table.notes))
    ]
    assert any(len(note) > 110 for note in wanted)
    words = " ".join(str(cell.value) for sheet in book for cell in sheet["A"] if cell.value is not None)
    missing = [note for note in wanted if " ".join(printable(note).split()) not in words]
    assert not missing
    for sheet in book:
        page = sheet.page_setup
        # Without a number, a sheet fits to one page across.
        assert (page.orientation, page.fitToWidth, page.fitToHeight) == ("landscape", None, 0)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        for row in sheet.iter_rows():
            filled = [cell for cell in row if cell.value is not None]
            if len(filled) == 1:
                # A text alone in its row runs on over the empty cells beside it.
                assert len(str(filled[0].value)) <= 110
            else:
                long = [cell for cell in filled if len(str(cell.value)) > 60]
                assert all(cell.alignment.wrap_text for cell in long)
                height = sheet.row_dimensions[row[0].row].height or 15
                assert all(height / 15 * 60 >= len(str(cell.value)) for cell in long)


def test_side_by_side_of_the_papers_processor() -> None:
    """n sites: 4n + 2n cycles as CNN, 2n + 2n as adder: 1.5, and no other convention's bound."""
    table = side_by_side_table(made_models.subject(["a"], cpus=("via-nano-2000",)))
    row = next(row for row in table.rows if row["quantity"].startswith("via-nano-2000, latency-sum"))
    assert row["CNN"] == 6000 and row["adder"] == 4000 and row["CNN/adder"] == 1.5


@pytest.mark.parametrize(
    ("model", "same_gaps", "known"),
    [
        pytest.param("latency-sum", False, True, id="a sum"),
        pytest.param("throughput", True, True, id="throughput, missing in layers of both"),
        # Port p 30 and 0 cycles, port q 0 and 20: with 15 unknown ones on p it is 45 / 20, not ≤ 30 / 20.
        pytest.param("throughput", False, False, id="throughput, missing beside what differs"),
        pytest.param("roofline", False, False, id="roofline, missing beside what differs"),
    ],
)
def test_where_what_is_missing_can_hide_there_is_no_bound(model: str, same_gaps: bool, known: bool) -> None:
    from addercost.results.report import Estimated

    one, two = (
        Estimated("CNN", "cpu", model, cycles, None, False, 0.99, ("x",), same_gaps=same_gaps)
        for cycles in (30, 20)
    )
    assert (estimate_ratio(30, one, 20, two) is not None) == known
    assert estimate_ratio(30, one, 20, two) == (AtMost(1.5) if known else None)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param("other layer", True, id="shifts in a layer of both"),
        pytest.param("same layer", False, id="shifts in a layer that changes"),
    ],
)
def test_gaps_are_compared_layer_by_layer(change: str, same: bool) -> None:
    """The VIA Nano's table has no shift. Those of a norm of its own are the same whatever becomes of the
    convolution; as part of the convolution's layer they are not."""
    import torch

    from addercost.analysis.subjects import Wanted, subject_from_trace
    from addercost.trace.tracer import trace

    def doubled(x: Any) -> Any:
        return x.to(torch.int32) << 1

    class Normed(torch.nn.Conv2d):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            return doubled(y) if change == "same layer" else y

    class Norm(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x if change == "same layer" else doubled(x)

    model = torch.nn.Sequential(Normed(64, 64, 3), Norm())
    traced = trace(model, torch.zeros(1, 64, 16, 16))
    wanted = Wanted(arithmetics=(Arithmetic.ADDER,), cpus=("via-nano-2000",), energy=())
    subject = subject_from_trace("a", traced, wanted)
    found = {(e.model, e.arithmetic): e for e in subject.estimates}
    assert not found["throughput", "adder"].complete
    assert found["throughput", "adder"].same_gaps == same
    rows = {row["quantity"]: row for row in side_by_side_table(subject).rows}
    bound = rows["via-nano-2000, throughput (estimate)"]["CNN/adder"]
    assert isinstance(bound, AtLeast)
    # Where the shifts may hide behind the convolution of their layer, the bound is further from 1.
    assert same == (float(bound) == found["throughput", "CNN"].cycles / found["throughput", "adder"].cycles)
    assert isinstance(rows["via-nano-2000, latency-sum (estimate)"]["CNN/adder"], AtMost)


def test_ratio_of_sums_whose_unknown_part_may_hide() -> None:
    """Random networks of layers that take the largest load of three units, by brute force: with any unknown
    work in some layers, the same in both networks, their ratio keeps to the bound that is made without it."""
    draw = random.Random(5)
    sides = set()
    for _ in range(300):
        layers = draw.randrange(1, 5)
        one, two = (
            [[draw.uniform(0, scale) for _ in range(3)] for _ in range(layers)]
            for scale in (1, draw.choice((0.3, 1, 4)))
        )
        lacking = [draw.random() < 0.6 for _ in range(layers)]

        def cost(loads: list[list[float]], unknown: list[list[float]]) -> float:
            return sum(max(map(sum, zip(*pair, strict=True))) for pair in zip(loads, unknown, strict=True))

        nothing = [[0.0] * 3] * layers
        value, other = cost(one, nothing), cost(two, nothing)
        gaps = [sum(max(x) for x, gap in zip(side, lacking, strict=True) if gap) for side in (one, two)]
        bound = hidden_ratio(value, gaps[0], other, gaps[1])
        assert bound is not None
        sides.add(type(bound))
        for size in (0, 0.01, 0.3, 1, 3, 100):
            unknown = [[draw.uniform(0, size) * gap for _ in range(3)] for gap in lacking]
            true = cost(one, unknown) / cost(two, unknown)
            assert true <= bound + 1e-9 if isinstance(bound, AtMost) else true >= bound - 1e-9
    assert sides == {AtLeast, AtMost}


def test_ratio_of_two_lower_bounds() -> None:
    """(a + x) / (b + x) for the same unknown x ≥ 0 lies between a / b and 1."""
    from addercost.results.report import Estimated

    def made(cycles: float, missing: str = "x", charged: float = 0.99) -> Estimated:
        return Estimated("CNN", "cpu", "latency-sum", cycles, None, not missing, charged, (missing,))

    one, two = made(30), made(20)
    bound = estimate_ratio(30, one, 20, two)
    assert isinstance(bound, AtMost) and bound == 1.5
    assert shown(bound, Column("r", "r", Kind.RATIO)) == "≤ 1.500×"
    assert type(estimate_ratio(30, one, 30, made(30))) is float, "both leave out the same, so 1 is exact"
    assert estimate_ratio(30, one, 20, made(20, "y")) is None
    assert estimate_ratio(30, one, 20, made(20, charged=0.5)) is None


@pytest.mark.parametrize(
    ("named", "file", "expected"),
    [
        (None, "r.html", ReportFormat.HTML),
        (None, "r.MD", ReportFormat.MARKDOWN),
        (None, "r.tex", ReportFormat.LATEX),
        ("csv", "r.txt", ReportFormat.CSV),
        ("json", None, ReportFormat.JSON),
    ],
)
def test_format_by_suffix(named: str | None, file: str | None, expected: ReportFormat) -> None:
    assert report_format(named, Path(file) if file else None) is expected


@pytest.mark.parametrize(
    ("named", "file", "words"),
    [
        (None, None, "no file and no format"),
        (None, "r.doc", "'.doc' is no format"),
        ("html", None, "goes into a file"),
        ("xlsx", None, "goes into a file"),
    ],
)
def test_no_format(named: str | None, file: str | None, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        report_format(named, Path(file) if file else None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.json").write_text(made_models.profile(["a"]).to_json())
    full = made_models.Profile(made_models.counts(["a"], convention="full", model="other"))
    (tmp_path / "full.json").write_text(full.to_json())
    (tmp_path / "empty.json").write_text(made_models.profile([]).to_json())
    (tmp_path / "t.json").write_text(json.dumps(sample_data.training()))
    (tmp_path / "r.html").write_text("there already")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["p.json", "full.json", "-o", "x.html"], 2, "full and macs", id="conventions differ"),
        pytest.param(
            ["p.json", "--convention", "full", "-o", "x.html"], 2, "full and macs", id="not as asked"
        ),
        pytest.param(["empty.json", "-o", "x.html"], 2, "has no layers", id="empty profile"),
        pytest.param(["p.json", "t.json", "-o", "x.html"], 2, "is a training record", id="mixed kinds"),
        pytest.param(["p.json", "-o", "r.html"], 5, "--force", id="exists"),
        pytest.param(["p.json", "-o", "no/r.html"], 5, "mkdir -p", id="no folder"),
        pytest.param(["p.json", "-o", "/proc/r.html"], 5, "/proc", id="read-only folder"),
        pytest.param(["p.json", "-o", "x.doc"], 2, "no format of a report", id="unknown suffix"),
        pytest.param(["gone.json", "-o", "x.html"], 6, "does not exist", id="no such file"),
        pytest.param(["gone.html", "-o", "x.html"], 6, "does not exist", id="no such page"),
        pytest.param(["p.json", "--as", "ader", "-o", "x.html"], 2, "did you mean adder", id="arithmetic"),
        pytest.param(["p.json", "--energy", "4nm", "-o", "x.html"], 2, "unknown energy table", id="energy"),
        pytest.param(["p.json", "--cpu", "vianano", "-o", "x.html"], 2, "did you mean via-nano", id="CPU"),
    ],
)
def test_bad_input(
    arguments: list[str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert run(["report", *arguments]) == code
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_two_profiles_of_one_model_become_one_subject(folder: Path) -> None:
    adder = made_models.profile(["a"], 1000, made_models.Arithmetic.ADDER)
    (folder / "adder.json").write_text(adder.to_json())
    assert run(["report", "p.json", "adder.json", "--cpu", "via-nano-2000", "-o", "x.json"]) == 0
    (subject,) = json.loads((folder / "x.json").read_text())["subjects"]
    assert [e["cycles"] for e in subject["estimates"] if e["model"] == "latency-sum"] == [6000, 4000]


def test_changed_networks_stand_beside_the_arithmetics(tmp_path: Path) -> None:
    """Half the channels kept: a convolution between two others keeps a quarter of its sites. Needs torch."""
    file = tmp_path / "r.json"
    options = ["--what-if", "prune=0.5", "--as", "adder", "--convention", "macs", "--energy", "none"]
    assert run(["report", "zoo:vgg-small", *options, "-o", str(file)]) == 0
    (subject,) = json.loads(file.read_text())["subjects"]
    assert {e["arithmetic"] for e in subject["estimates"]} == {"CNN", "adder", "prune=0.5"}
    whole, pruned = subject["profiles"][0], subject["profiles"][-1]
    middle = {layer["path"]: layer["mac_sites"] for layer in whole["layers"]}
    quarters = [layer for layer in pruned["layers"] if layer["mac_sites"] * 4 == middle[layer["path"]] > 0]
    assert len(quarters) >= 4


def test_a_network_of_matrix_products_is_no_cnn() -> None:
    from dataclasses import replace

    from addercost.results.report import network_name

    made = made_models.profile(["stem", "a", "b"])
    layers = (made.counts.layers[0], *(replace(layer, op="addmm") for layer in made.counts.layers[1:]))
    assert network_name(made) == "CNN"
    assert network_name(replace(made, counts=replace(made.counts, layers=layers))) == "MAC"
