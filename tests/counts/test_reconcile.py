"""The rules stated for other tools give what the tools themselves report."""

from __future__ import annotations

import warnings

import pytest
import torch

from addercost.counts.model import count
from addercost.counts.reconcile import TOOLS, ToolCount, reconcile
from addercost.sources.build import DataFree
from addercost.sources.loading import load_model
from addercost.sources.torchvision_models import make_model
from addercost.trace.tracer import trace
from benchmarks.tracing import RULES, measure

MODELS = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "vit_b_16", "swin_t")


def rows(name: str) -> dict[str, ToolCount]:
    with DataFree():
        model = make_model(name)
    return {row.tool: row for row in reconcile(trace(model, torch.empty(1, 3, 224, 224, device="meta")))}


@pytest.mark.parametrize("tool", RULES)
@pytest.mark.parametrize("name", MODELS)
def test_the_tool_reports_what_its_rules_say(name: str, tool: str) -> None:
    if tool != "FlopCounterMode" and name in ("vit_b_16", "swin_t"):
        pytest.importorskip("thop", reason="slow: run where the other tools are installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = measure(tool, name, batch=1, repeats=0)
    if "error" in found:
        pytest.skip(f"{tool}: {found['error']}")
    row = rows(name)[RULES[tool]]
    assert row.reported == row.per_site * found["macs"]


def test_differences_lead_from_the_sites_to_the_report() -> None:
    for row in rows("mobilenet_v3_small").values():
        assert row.reported == row.per_site * (row.mac_sites + sum(row.differences.values()))
        assert all(row.differences.values())


def test_every_tool_has_a_row() -> None:
    assert set(rows("squeezenet1_1")) == set(TOOLS)


def test_thop_of_2020_gives_the_papers_lenet() -> None:
    """The 435K of Chen et al., CVPR 2020, table 1, counts convolutions with bias, and norms."""
    loaded = load_model("zoo:lenet5-bn")
    assert loaded.inputs is not None
    made = trace(loaded.model, *loaded.inputs.args)
    (row,) = [row for row in reconcile(made) if row.tool.startswith("thop, April 2020")]
    convolution = 6 * 28 * 28 * (25 + 1) + 16 * 10 * 10 * (150 + 1)
    norms = 2 * (6 * 28 * 28 + 16 * 10 * 10)
    linear = 400 * 120 + 120 * 84 + 84 * 10
    assert row.reported == convolution + norms + linear == 435_432
    assert row.reported == count(made, "thop").total.by_class()["mul"]
