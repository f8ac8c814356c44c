"""The rows that a verdict needs and no others: each contest's layers, compared with the vendor's
convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from addercost.cost.verdict import CONTESTS, Contest
from addercost.measure.case import CaseUse
from addercost.measure.contenders.contender import Place
from addercost.measure.contenders.own import KERNEL, LAYER, PACKED
from addercost.measure.plan import RowPlan, layer_rows
from addercost.measure.session import LAYOUTS, BenchSettings, model_uses
from addercost.trace.record import Trace

IMPLEMENTATIONS: Mapping[str, str] = {"fp32": LAYER, "int8": KERNEL, "binary": PACKED}
"""Which implementation of ours is compared in each contest: the layer as a model calls it for inference. For
int8 it is the kernel alone, since the input of the vendor's int8 convolution is quantised beforehand as
well.
"""


def contest_rows(
    trace: Trace, settings: BenchSettings, contests: Sequence[Contest] = CONTESTS
) -> tuple[list[RowPlan], tuple[str, ...]]:
    """(plans of all layers for all contests, a remark for each layer that cannot be timed)."""
    uses, remarks = model_uses(trace, settings)
    return [row for contest in contests for row in _rows(uses, settings, contest)], remarks


def _rows(uses: Sequence[CaseUse], settings: BenchSettings, contest: Contest) -> list[RowPlan]:
    place = Place(torch.device(settings.device), LAYOUTS[settings.layout])
    rows = layer_rows(uses, (contest.arithmetic,), (contest.number_format,), place, settings.cache)
    return [row for row in rows if row.row.implementation == IMPLEMENTATIONS[contest.name]]


def settings_for(settings: BenchSettings) -> BenchSettings:
    """The same settings with the arithmetics and formats of all contests. They distinguish this run's journal
    from that of another benchmark.
    """
    arithmetics = tuple(dict.fromkeys(contest.arithmetic for contest in CONTESTS))
    formats = tuple(dict.fromkeys(contest.number_format for contest in CONTESTS))
    return replace(settings, arithmetics=arithmetics, dtypes=formats, cpus=())
