"""LaTeX tables: they fit columns and pages, and hostile names stay text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import made_models
import pytest
from hostile_report import report, text_in

from addercost.analysis.comparison import Comparison
from addercost.cli import run
from addercost.report.formats.latex_text import latex_text, latex_unit
from addercost.report.formats.report_format import ReportFormat, render_report
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.formats.table_latex import PACKAGES, table_to_latex
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.comparison import comparison_table
from addercost.results.report import Report


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
