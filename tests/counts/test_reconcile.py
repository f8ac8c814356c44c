"""The rules stated for other tools give what the tools themselves report. Every tool must be installed."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from addercost.counts.model import count
from addercost.counts.reconcile import TOOLS, ToolCount, reconcile
from addercost.sources.build import DataFree
from addercost.sources.loading import load_model
from addercost.sources.torchvision_models import _models, make_model
from addercost.trace.tracer import trace
from benchmarks import tracing


class Convolutions(nn.Module):
    """Convolutions with and without a bias, and a functional one, which module hooks do not see."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, stride=2, groups=2, bias=False),
            nn.BatchNorm2d(8, affine=False),
            nn.PReLU(),
        )
        self.point = nn.Conv2d(8, 8, 1, bias=False)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv2d(self.body(x), self.point.weight)
        out: Tensor = self.head(self.point(x).mean((-1, -2)))
        return out


def norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.GroupNorm(2, 4),
        nn.GroupNorm(2, 4, affine=False),
        nn.LayerNorm((16, 16)),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(4 * 256, 6),
        nn.Softmax(1),
    )


def pools() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.AvgPool2d(2),
        nn.MaxPool2d(3, stride=1),
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(16, 4),
    )


def vision_transformer() -> nn.Module:
    """One layer of nn.MultiheadAttention over four patches and a class token."""
    model: nn.Module = _models().VisionTransformer(32, 16, 1, 2, 16, 24, num_classes=5)
    return model


class CausalAttention(nn.Module):
    """Attention as the function that models of language call, with two heads of queries on one of keys."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.keys = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2).contiguous()
        q, k = (t.unflatten(-1, (-1, 4)).transpose(1, 2) for t in (x, self.keys(x)))
        out: Tensor = nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True)
        return out


def swin() -> nn.Module:
    """Attention written with functions, in shifted windows."""
    model: nn.Module = _models().SwinTransformer([4, 4], 12, [2, 2], [2, 3], [4, 4], num_classes=5)
    return model


SMALL: Mapping[str, tuple[Callable[[], nn.Module], int]] = {
    "convolutions": (Convolutions, 16),
    "norms": (norms, 16),
    "pools": (pools, 16),
    "attention as a module": (vision_transformer, 32),
    "attention as functions": (swin, 32),
    "attention as one function": (CausalAttention, 16),
}
"""(model, image size)."""

LARGE = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "vit_b_16", "swin_t")


def reconciled(model: nn.Module, size: int) -> dict[str, ToolCount]:
    return {row.tool: row for row in reconcile(trace(model, torch.empty(1, 3, size, size, device="meta")))}


@functools.cache
def torchvision_rows(name: str) -> dict[str, ToolCount]:
    with DataFree():
        model = make_model(name)
    return reconciled(model, tracing.SIZE)


TOOLS_HERE = [tool for tool in tracing.RULES if tool not in ("calflops", "deepspeed")]
"""Those of the dev extra. `test_counting_tools.py` runs the others too."""


@pytest.mark.parametrize("tool", TOOLS_HERE)
@pytest.mark.parametrize("name", SMALL)
def test_the_tool_reports_what_its_rules_say(name: str, tool: str) -> None:
    make, size = SMALL[name]
    row = reconciled(make().eval(), size)[tracing.RULES[tool]]
    chosen = tracing.TOOLS[tool]
    device = "cpu" if chosen.computes else "meta"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        found = chosen.count(make().eval().to(device), torch.zeros(1, 3, size, size, device=device))
    assert row.reported in (None, row.per_site * found)


@pytest.mark.exhaustive
@pytest.mark.parametrize("tool", TOOLS_HERE)
@pytest.mark.parametrize("name", LARGE)
def test_the_tool_reports_the_same_of_torchvisions_models(name: str, tool: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tracing.measure(tool, name, batch=1, repeats=0)
    assert "error" not in found, found
    row = torchvision_rows(name)[tracing.RULES[tool]]
    assert row.reported in (None, row.per_site * found["macs"])


def test_fvcores_convention_is_fvcores_number_where_only_sites_and_norms_count() -> None:
    """Without pooling, which the convention leaves out."""
    made = trace(norms().eval(), torch.empty(1, 3, 16, 16, device="meta"))
    (row,) = [row for row in reconcile(made) if row.tool.startswith("fvcore")]
    assert count(made, "fvcore").total.by_class()["mul"] == row.reported


def test_thop_of_2020_takes_no_bias_where_a_convolution_has_none() -> None:
    """Convolutions of Convolutions: 4·16·16 sums of 27 with a bias; 8·7·7 sums of 2·9, then of 8, without.

    A batch norm has 2 an element with or without a scale. The functional convolution is not seen.
    """
    rows = reconciled(Convolutions().eval(), 16)
    first, second = 4 * 16 * 16, 8 * 7 * 7
    expected = first * (27 + 1) + second * 18 + second * 8 + 2 * (first + second) + 8 * 5
    assert rows["thop, April 2020 to June 2022"].reported == expected


def test_differences_lead_from_the_sites_to_the_report() -> None:
    for row in torchvision_rows("mobilenet_v3_small").values():
        if row.reported is None:
            assert row.unknown and not row.differences
            continue
        assert row.reported == row.per_site * (row.mac_sites + sum(row.differences.values()))
        assert all(row.differences.values())


def test_every_tool_has_a_row() -> None:
    assert set(torchvision_rows("mobilenet_v3_small")) == set(TOOLS)


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
