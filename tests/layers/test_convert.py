"""convert: which modules change, what is kept, and the way back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from addercost.arithmetic import Arithmetic
from addercost.errors import ArgumentError, ModelError
from addercost.layers import AdderConv2d, AdderLinear, BinaryConv2d, ShiftConv2d, convert


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.again = self.conv
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.again(self.conv(x)))


def network() -> nn.Sequential:
    shared = Block()
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        shared,
        nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding="valid", groups=2, dilation=(1, 2)), nn.ReLU()),
        nn.Conv2d(8, 4, 1),
        shared,
        nn.Flatten(),
        nn.Linear(4 * 3 * 2, 6),
        nn.Linear(6, 5),
    )


X = torch.randn(2, 3, 8, 8)


def kinds(model: nn.Module) -> list[str]:
    return [type(m).__name__ for m in model.modules() if hasattr(m, "weight")]


def test_first_and_last_are_kept_by_default() -> None:
    adder = convert(network(), Arithmetic.ADDER)
    assert kinds(adder) == [
        "Conv2d", "AdderConv2d", "BatchNorm2d", "AdderConv2d", "AdderConv2d", "AdderLinear", "Linear",
    ]  # fmt: skip
    assert adder(X).shape == (2, 5)


def test_everything_on_request() -> None:
    adder = convert(network(), "adder", keep_first_last=False)
    assert not any(type(m) in (nn.Conv2d, nn.Linear) for m in adder.modules())
    assert adder(X).shape == (2, 5)


@pytest.mark.parametrize("arithmetic", [Arithmetic.ADDER, Arithmetic.XNOR, Arithmetic.SHIFT], ids=str)
def test_there_and_back_is_the_same_model(arithmetic: Arithmetic) -> None:
    model = network().eval()
    there = convert(model, arithmetic, keep_first_last=False)
    back = convert(there, Arithmetic.MAC, keep_first_last=False)
    assert kinds(back) == kinds(model)
    assert list(back.state_dict()) == list(model.state_dict()) == list(there.state_dict())
    torch.testing.assert_close(back(X), model(X), rtol=0, atol=0)


def test_original_is_untouched_and_shares_nothing() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    adder = convert(model, Arithmetic.ADDER)
    with torch.no_grad():
        for parameter in adder.parameters():
            parameter.add_(1.0)
    assert kinds(model)[1] == "Conv2d"
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_shared_modules_and_parameters_stay_shared() -> None:
    adder = convert(network(), Arithmetic.ADDER)
    assert adder[1] is adder[4]
    assert adder[1].conv is adder[1].again
    assert isinstance(adder[1].conv, AdderConv2d)
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    both = convert(tied, Arithmetic.ADDER, keep_first_last=False)
    assert both[0].weight is both[1].weight


def test_geometry_mode_dtype_and_frozen_parameters_are_kept() -> None:
    model = network().double().eval()
    model[2][0].weight.requires_grad_(False)
    conv = convert(model, Arithmetic.SHIFT)[2][0]
    assert isinstance(conv, ShiftConv2d)
    assert (conv.stride, conv.padding, conv.dilation, conv.groups) == ((2, 2), (0, 0), (1, 2), 2)
    assert conv.weight.dtype == torch.float64
    assert not conv.weight.requires_grad
    assert not conv.training


def test_a_single_layer_is_a_model() -> None:
    assert isinstance(convert(nn.Linear(3, 2), "adder", keep_first_last=False), AdderLinear)
    assert isinstance(convert(nn.Linear(3, 2), "adder"), nn.Linear)
    assert isinstance(convert(AdderConv2d(3, 2, 1), "xnor", keep_first_last=False), BinaryConv2d)


def test_models_without_layers_pass_through() -> None:
    assert kinds(convert(nn.Sequential(nn.ReLU()), "adder")) == []


def test_subclasses_are_left_alone() -> None:
    class Special(nn.Linear):
        pass

    assert type(convert(Special(3, 2), "adder", keep_first_last=False)) is Special


def test_same_padding_becomes_numbers_when_it_is_symmetrical() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, (3, 5), padding="same", dilation=(1, 2)))
    assert convert(model, "adder", keep_first_last=False)[0].padding == (1, 4)
    with pytest.raises(ModelError, match="unsymmetrical"):
        convert(nn.Sequential(nn.Conv2d(3, 2, 2, padding="same")), "adder", keep_first_last=False)


def test_other_padding_modes_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ModelError, match="reflect"):
        convert(model, "adder", keep_first_last=False)


def test_unknown_arithmetic_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="multiply"):
        convert(nn.Linear(1, 1), "multiply")


def test_hooks_and_buffers_stay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    seen: list[str] = []
    model[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    model[0].register_forward_hook(lambda *_, **__: seen.append("after"), with_kwargs=True)
    model[2].register_full_backward_hook(lambda *_: seen.append("backward"))
    model[2].register_buffer("mask", torch.ones(2))
    adder = convert(model, "adder", keep_first_last=False)
    adder(X).sum().backward()
    assert seen == ["before", "after", "backward"]
    assert adder.get_buffer("2.mask").tolist() == [1, 1]
    seen.clear()
    convert(adder, "mac", keep_first_last=False)(X)
    assert seen == ["before", "after"]


@pytest.mark.parametrize(
    "change",
    [
        nn.utils.spectral_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
        lambda layer: prune.l1_unstructured(layer, "bias", 0.5),
    ],
    ids=["spectral norm by hooks", "spectral norm", "weight norm", "pruned weight", "pruned bias"],
)
@pytest.mark.parametrize("kind", ["convolution", "linear"])
def test_a_weight_that_is_computed_is_refused_by_the_layers_name(change: Any, kind: str) -> None:
    layer = nn.Conv2d(3, 4, 3) if kind == "convolution" else nn.Linear(8, 4)
    model = nn.Sequential(nn.Sequential(change(layer)))
    with pytest.raises(ModelError, match=r"layer 0\.0"):
        convert(model, "adder", keep_first_last=False)


def test_refused_padding_names_its_layer() -> None:
    for layer in (nn.Conv2d(3, 2, 2, padding="same"), nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular")):
        with pytest.raises(ModelError, match=r"layer 1\.0"):
            convert(nn.Sequential(nn.ReLU(), nn.Sequential(layer)), "xnor", keep_first_last=False)
