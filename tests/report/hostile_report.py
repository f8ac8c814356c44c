"""A made-up report with measurements, in which layers have names that a format could trip over."""

from __future__ import annotations

from functools import cache

import made_models
import sample_data

from addercost.report.formats.report_format import ReportFormat, render_report
from addercost.results.measurements import measurements_from_data
from addercost.results.report import Report

PATHS = ["a", "blocks.0.conv", *made_models.HOSTILE]


@cache
def report() -> Report:
    measured = measurements_from_data(sample_data.measurements())
    return Report("made-up <title>", made_models.report(PATHS).subjects, (measured,))


def text_in(chosen: ReportFormat) -> str:
    return render_report(report(), chosen).decode("utf-8")
