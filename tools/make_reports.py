"""Writes the prediction-only reports kept in `reports/`.

Usage: python tools/make_reports.py [FOLDER [NAME...]]
NAME: lenet5-bn, resnet-18, paper-tables or adder-pays; all four by default.

Nothing is measured here: the same tables and models give the same files, which a test checks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from addercost import __version__
from addercost.analysis.pareto import pareto
from addercost.analysis.subjects import CPUS, Wanted, subject_from_trace
from addercost.api import trace_spec
from addercost.cost.models import PAPER_MODEL
from addercost.hardware import load_cpu
from addercost.report.formats.report_format import ReportFormat, render_report
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.html.tables_page import Topic, to_tables_page
from addercost.report.plots import pareto as pareto_figure
from addercost.report.plots.kinds import draw_model
from addercost.report.plots.style import Drawn, FigureFormat, PlotOptions, figure_bytes
from addercost.report.table import Table
from addercost.report.tables.adder_pays import payoff_table
from addercost.report.tables.paper import counts_table, latency_table
from addercost.results.report import Report
from addercost.trace.record import Trace

MODELS = {
    "lenet5-bn": ("zoo:lenet5-bn", "LeNet-5-BN, the network of the paper's latency comparison", False),
    "resnet-18": ("zoo:resnet18", "ResNet-18, first and last layer kept", True),
}
KINDS = ("breakdown", "icicle", "compare", "roofline", "rank", "sensitivity")
FORMATS = {
    "report.html": ReportFormat.HTML,
    "report.json": ReportFormat.JSON,
    "report.md": ReportFormat.MARKDOWN,
    "tables.tex": ReportFormat.LATEX,
    "layers.csv": ReportFormat.CSV,
}
DATASETS = ("CIFAR-10", "CIFAR-100", "ImageNet")


PAPER_TABLES = "paper-tables"
ADDER_PAYS = "adder-pays"


def main(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if name == PAPER_TABLES:
            _paper_tables(folder / name)
        elif name == ADDER_PAYS:
            _table(folder / name / "resnet-18", payoff_table("ResNet-18", _trace_zoo("resnet18")))
        else:
            _model(folder / name, *MODELS[name])


def _model(folder: Path, spec: str, title: str, keep_first_last: bool) -> None:
    # For the networks of the paper, cycles of layers are by its rule.
    wanted = Wanted("macs", keep_first_last=keep_first_last, cpus=CPUS, layers_by=PAPER_MODEL)
    subject = subject_from_trace(spec, trace_spec(spec, memory=True), wanted)
    # Versions of torch or Python do not change a count, so they are left out of the files that a test
    # compares.
    report = Report(title, (subject,), versions={"addercost": __version__})
    for file, chosen in FORMATS.items():
        _write(folder / file, render_report(report, chosen))
    for kind in KINDS:
        _figure(folder / f"{kind}.svg", draw_model(kind, subject, PlotOptions()))


def _paper_tables(folder: Path) -> None:
    counts = counts_table(_trace_zoo)
    latency = latency_table(_trace_zoo, load_cpu("via-nano-2000"))
    _table(folder / "counts", counts)
    _table(folder / "latency", latency)
    figures, drawn = [], []
    for dataset in DATASETS:
        draw = partial(pareto_figure.draw, pareto((), trace_spec, None, dataset))
        drawn.append(draw(PlotOptions()))
        _figure(folder / f"pareto-{dataset.lower()}.svg", drawn[-1])
        figures.append(draw)
    page = to_tables_page(
        "The AdderNet paper's tables, recomputed",
        "Published figures are those of Chen et al., CVPR 2020; computed ones are counts and estimates.",
        (
            Topic("Operation counts", "Counts", tables=(counts,)),
            Topic("Latency on the VIA Nano", "Latency", tables=(latency,)),
            Topic(
                "Accuracy against cost",
                "Accuracy",
                "Accuracies as published, costs estimated. Marks of one colour share an arithmetic.",
                tuple(item.table for item in drawn),
                tuple(figures),
            ),
        ),
    )
    _write(folder / "report.html", page.encode("utf-8"))


def _trace_zoo(name: str) -> Trace:
    return trace_spec(f"zoo:{name}")


def _table(path: Path, table: Table) -> None:
    for suffix, chosen in (
        (".md", TableFormat.MARKDOWN),
        (".csv", TableFormat.CSV),
        (".json", TableFormat.JSON),
    ):
        _write(path.with_suffix(suffix), render(table, chosen).encode("utf-8"))


def _figure(path: Path, drawn: Drawn) -> None:
    _write(path, figure_bytes(drawn, FigureFormat.SVG))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "reports"),
        sys.argv[2:] or [*MODELS, PAPER_TABLES, ADDER_PAYS],
    )
