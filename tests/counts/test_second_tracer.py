"""The jit tracer and the dispatch tracer, each counted by the same rules, agree layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost.counts.model import ModelCounts, count
from addercost.errors import TraceError
from addercost.models.zoo import ZOO
from addercost.sources.build import DataFree
from addercost.sources.loading import load_model
from addercost.sources.torchvision_models import make_model
from addercost.trace.jit import trace_with_fvcore
from addercost.trace.tracer import trace

CONVOLUTIONAL = {
    "resnet18": 64, "mobilenet_v3_small": 64, "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64, "convnext_tiny": 64,
}  # fmt: skip
"""Image size by model: small, because jit computes what it traces."""
ATTENTION = {"swin_t": 64, "vit_b_32": 224}


def built(name: str) -> nn.Module:
    with DataFree():
        return make_model(name)


def sites(counts: ModelCounts) -> dict[str, int]:
    assert counts.complete, counts.uncounted
    return {layer.path: layer.mac_sites for layer in counts.layers if layer.mac_sites}


def both(model: nn.Module, *inputs: torch.Tensor, convention: str) -> tuple[ModelCounts, ModelCounts]:
    return count(trace_with_fvcore(model, *inputs), convention), count(trace(model, *inputs), convention)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_every_operation_of_a_convolutional_network(name: str) -> None:
    x = torch.empty(1, 3, CONVOLUTIONAL[name], CONVOLUTIONAL[name], device="meta")
    jit, dispatch = both(built(name), x, convention="full")
    assert sites(jit) == sites(dispatch)
    assert jit.total == dispatch.total


@pytest.mark.parametrize("name", ATTENTION)
def test_every_site_of_a_transformer(name: str) -> None:
    """Only sites: below autograd attention scales query and key apart, while jit keeps it whole."""
    x = torch.empty(1, 3, ATTENTION[name], ATTENTION[name], device="meta")
    jit, dispatch = both(built(name), x, convention="macs")
    assert sites(jit) == sites(dispatch)


MEMBERS = [name for name in ZOO if "resnet50" not in name] + ["lenet5-bn:adder", "resnet20-cifar:adder"]


@pytest.mark.parametrize("name", MEMBERS)
def test_the_zoo(name: str) -> None:
    loaded = load_model(f"zoo:{name}")
    assert loaded.inputs is not None
    jit, dispatch = both(loaded.model, *loaded.inputs.args, convention="macs")
    assert sites(jit) == sites(dispatch)
    assert jit.total == dispatch.total


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}], ids=str)
def test_recurrent_layers(kind: type[nn.Module], options: dict[str, object]) -> None:
    model = kind(3, 4, **options)  # type: ignore[call-arg]
    jit, dispatch = both(model, torch.randn(5, 2, 3), convention="macs")
    assert sites(jit) == sites(dispatch)


def test_a_model_that_jit_cannot_trace_says_so() -> None:
    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no")

    with pytest.raises(TraceError, match="cannot be traced by jit"):
        trace_with_fvcore(Fails(), torch.zeros(1))
