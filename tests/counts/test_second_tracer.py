"""The jit tracer and the dispatch tracer, each counted by the same rules, agree layer by layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from addercost.arithmetic import OpCounts
from addercost.counts.model import ModelCounts, count
from addercost.errors import TraceError
from addercost.models.zoo import ZOO
from addercost.sources.build import DataFree
from addercost.sources.loading import load_model
from addercost.sources.torchvision_models import make_importable, make_model
from addercost.trace.jit import trace_with_fvcore
from addercost.trace.tracer import trace
from tests.counts.oracle import Function

exhaustive = pytest.mark.exhaustive

SIZE = 64
"""Of an image: small, because jit computes what it traces."""
CONVOLUTIONAL = [
    "resnet18",
    "mobilenet_v3_small",
    pytest.param("shufflenet_v2_x0_5", marks=exhaustive),
    pytest.param("squeezenet1_1", marks=exhaustive),
    pytest.param("convnext_tiny", marks=exhaustive),
]
ATTENTION = [
    pytest.param(("swin_t", SIZE), marks=exhaustive, id="swin_t"),
    pytest.param(("vit_b_32", 224), marks=exhaustive, id="vit_b_32"),
]


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
    x = torch.empty(1, 3, SIZE, SIZE, device="meta")
    jit, dispatch = both(built(name), x, convention="full")
    assert sites(jit) == sites(dispatch)
    assert jit.total == dispatch.total


def sites_agree(model: nn.Module, size: int) -> None:
    """Only sites: below autograd attention scales query and key apart, while jit keeps it whole."""
    jit, dispatch = both(model, torch.empty(1, 3, size, size, device="meta"), convention="macs")
    assert sites(jit) == sites(dispatch)


def test_every_site_of_a_small_transformer() -> None:
    make_importable()
    from torchvision.models import VisionTransformer

    with DataFree():
        model = VisionTransformer(SIZE, 32, num_layers=1, num_heads=2, hidden_dim=32, mlp_dim=64)
    sites_agree(model, SIZE)


@pytest.mark.parametrize("named", ATTENTION)
def test_every_site_of_a_transformer(named: tuple[str, int]) -> None:
    name, size = named
    sites_agree(built(name), size)


NORMS = nn.Sequential(
    nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False),
    nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True),
    nn.GroupNorm(2, 4), nn.GroupNorm(2, 4, affine=False), nn.LayerNorm((6, 6)),
)  # fmt: skip


@pytest.mark.parametrize("convention", ["thop", "fvcore"])
def test_a_tools_number_of_every_norm(convention: str) -> None:
    """x: [2, 4, 6, 6], 288 elements. fvcore takes 2, 1, 4, 5, 5, 4 and 5 for one; thop 2 for each batch norm.
    The dispatcher sees an instance norm as a batch norm over N·C channels, so there it has two more."""
    jit, dispatch = both(NORMS, torch.randn(2, 4, 6, 6), convention=convention)
    expected = 288 * (2 + 1 + 4 + 5 + 5 + 4 + 5) if convention == "fvcore" else 288 * 2 * 2
    assert jit.total.by_class() == {"mul": expected, "add": expected}
    instances = 0 if convention == "fvcore" else 288 * 2 * 2
    assert dispatch.total.by_class() == {"mul": expected + instances, "add": expected + instances}


@pytest.mark.parametrize(("times", "subtractions"), [(1, 3 * 5), (2, 3 * (5 + 4))])
def test_every_operation_of_differences(times: int, subtractions: int) -> None:
    """Of rows of six numbers; differences of differences are one fewer."""
    made = Function(lambda x: torch.diff(x, times))
    jit, dispatch = both(made, torch.ones(3, 6), convention="full")
    assert jit.total == dispatch.total == OpCounts.of("fp32", add=subtractions)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("sum", OpCounts.of("fp32", add=(6 - 2) * 4)),
        ("mean", OpCounts.of("fp32", add=(6 - 2) * 4, divide=2 * 4)),
        ("max", OpCounts.of("fp32", compare=(6 - 2) * 4)),
    ],
)
def test_every_operation_of_bags_of_embeddings(mode: str, expected: OpCounts) -> None:
    """Six rows of four numbers, joined into two."""
    bags = (torch.zeros(6, dtype=torch.int64), torch.tensor([0, 3]))
    jit, dispatch = both(nn.EmbeddingBag(10, 4, mode=mode), *bags, convention="full")
    assert jit.total == dispatch.total == expected


@pytest.mark.parametrize(
    "layer",
    [
        nn.SELU(), nn.SELU(inplace=True), nn.RReLU(), nn.PReLU(), nn.PReLU(4), nn.Dropout2d(inplace=True),
        nn.FeatureAlphaDropout(),
    ],
    ids=str,
)  # fmt: skip
def test_every_operation_of_activations_that_the_dispatcher_sees_as_others(layer: nn.Module) -> None:
    jit, dispatch = both(layer, torch.ones(2, 4, 3, 3), convention="full")
    assert jit.complete and jit.total == dispatch.total


@pytest.mark.parametrize("convention", ["full", "fvcore"])
def test_every_operation_of_sampling_by_a_grid(convention: str) -> None:
    made = Function(lambda x, grid: F.grid_sample(x, grid, align_corners=False))
    jit, dispatch = both(made, torch.ones(1, 3, 4, 4), torch.zeros(1, 5, 6, 2), convention=convention)
    assert jit.complete and jit.total == dispatch.total


def test_every_operation_of_a_bilinear_layer() -> None:
    jit, dispatch = both(nn.Bilinear(3, 4, 5), torch.ones(2, 3), torch.ones(2, 4), convention="full")
    assert sites(jit) == sites(dispatch) == {"": 2 * 3 * 4 * 5}
    assert jit.total == dispatch.total


QUICK = ("lenet5-bn", "lenet++", "resnet20-cifar")
MEMBERS = [
    *QUICK,
    *(pytest.param(name, marks=exhaustive) for name in ZOO if name not in QUICK and "resnet50" not in name),
    *(pytest.param(f"{name}:adder", marks=exhaustive) for name in ("lenet5-bn", "resnet20-cifar")),
]


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
