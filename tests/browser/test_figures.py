"""The committed figures as pictures: what is drawn today looks the same to a reader.

`tests/report/test_committed_reports.py` compares bytes, which differ between versions of matplotlib.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.testing.compare import compare_images

from addercost.report.plots.kinds import draw_model
from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
from addercost.results.report import Report
from addercost.results.saved import read_saved

REPORTS = Path(__file__).parents[2] / "reports"
KINDS = ("breakdown", "compare", "icicle", "rank", "roofline", "sensitivity")
TOLERANCE = 1.0
"""Root mean square of the difference of grey levels, of 255. Edges of letters give less; a bar that is a
tenth narrower gives more, which the second test shows."""


def picture(browser: Any, svg: str, file: Path) -> str:
    """A screenshot of a figure, one pixel a CSS pixel."""
    page = browser.new_page(viewport={"width": 900, "height": 1600}, offline=True)
    page.set_content(f'<body style="margin:0;background:white">{svg[svg.index("<svg") :]}')
    page.locator("svg").first.screenshot(path=str(file))
    page.close()
    return str(file)


def drawn(name: str, kind: str) -> str:
    report = read_saved(REPORTS / name / "report.json")
    assert isinstance(report, Report)
    return figure_bytes(draw_model(kind, report.subjects[0], PlotOptions()), FigureFormat.SVG).decode()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lenet5-bn", "resnet-18"])
def test_figures_look_as_committed(browser: Any, name: str, kind: str, tmp_path: Path) -> None:
    kept = picture(
        browser, (REPORTS / name / f"{kind}.svg").read_text(encoding="utf-8"), tmp_path / "kept.png"
    )
    made = picture(browser, drawn(name, kind), tmp_path / "made.png")
    assert compare_images(kept, made, TOLERANCE) is None


@pytest.mark.parametrize("kind", ["breakdown", "compare", "icicle", "sensitivity"])
def test_another_figure_is_noticed(browser: Any, kind: str, tmp_path: Path) -> None:
    """Of the same kind, size and colours, with the largest filled shape a tenth narrower."""
    svg = drawn("lenet5-bn", kind)
    page = browser.new_page(viewport={"width": 900, "height": 1600}, offline=True)
    page.set_content(f'<body style="margin:0;background:white">{svg[svg.index("<svg") :]}')
    shape = page.locator("svg").first
    shape.screenshot(path=str(tmp_path / "kept.png"))
    page.evaluate(
        """() => {
            const area = (p) => p.getBBox().width * p.getBBox().height;
            const filled = [...document.querySelectorAll("svg g[id^=axes] path")].filter((p) => {
                const fill = getComputedStyle(p).fill;
                return fill !== "none" && fill !== "rgb(255, 255, 255)" && !p.closest("defs");
            });
            const box = filled.sort((a, b) => area(b) - area(a))[0];
            const at = box.getBBox();
            box.setAttribute("transform", `translate(${at.x} 0) scale(0.9 1) translate(${-at.x} 0)`);
        }"""
    )
    shape.screenshot(path=str(tmp_path / "made.png"))
    page.close()
    assert compare_images(str(tmp_path / "kept.png"), str(tmp_path / "made.png"), TOLERANCE) is not None
