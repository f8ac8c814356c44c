"""Ternary linear layers: the paper's formula, straight-through gradients, packing, conversion, counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost.counts.model import count
from addercost.errors import ArgumentError, ShapeError
from addercost.kernels import dispatch
from addercost.layers import BinaryLinear, BitLinear, PackedBitLinear, convert, pack_bitlinear
from addercost.trace.tracer import trace


def made(features: int = 70, outputs: int = 9, bias: bool = True) -> tuple[BitLinear, torch.Tensor]:
    generator = torch.Generator().manual_seed(features)
    layer = BitLinear(features, outputs, bias=bias)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
        if layer.bias is not None:
            layer.bias.normal_(generator=generator)
    return layer, torch.randn(2, 3, features, generator=generator)


def by_the_formula(layer: BitLinear, x: torch.Tensor) -> torch.Tensor:
    """In double precision, each output a sum of its own."""
    gamma = layer.weight.abs().mean()
    out = torch.empty(*x.shape[:-1], layer.out_features, dtype=torch.double)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in x.shape[:-1])).tolist():
        row = x[tuple(place)]
        largest = row.abs().max()
        rounded = [round((v / (largest / 127)).item()) for v in row]
        for j in range(layer.out_features):
            ternary = [max(-1, min(1, round((w / gamma).item()))) for w in layer.weight[j]]
            total = sum(v * w for v, w in zip(rounded, ternary, strict=True))
            bias = 0.0 if layer.bias is None else layer.bias[j].item()
            out[(*place, j)] = total * largest.item() / 127 * gamma.item() + bias
    return out


@pytest.mark.parametrize("bias", [False, True])
def test_the_formula(bias: bool) -> None:
    layer, x = made(bias=bias)
    torch.testing.assert_close(layer(x).double(), by_the_formula(layer, x), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_product_of_the_rounded() -> None:
    layer, x = made()
    x.requires_grad_()
    grad = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(1))
    layer(x).backward(grad)
    gamma = layer.weight.detach().abs().mean()
    w = (layer.weight.detach() / gamma).round().clamp(-1, 1) * gamma
    step = x.detach().abs().amax(-1, keepdim=True) / 127
    rounded = (x.detach() / step).round() * step
    torch.testing.assert_close(x.grad, grad @ w)
    torch.testing.assert_close(layer.weight.grad, torch.einsum("abj,abi->ji", grad, rounded))
    torch.testing.assert_close(layer.bias.grad, grad.sum((0, 1)))


def test_it_learns() -> None:
    """Ternary weights that made the targets are found again."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(-1, 2, (4, 16), generator=generator).float()
    x = torch.randn(256, 16, generator=generator)
    layer = BitLinear(16, 4)
    with torch.no_grad():
        layer.weight.normal_(0, 0.1, generator=generator)
    optimizer = torch.optim.Adam(layer.parameters(), 0.02)
    losses = []
    for _ in range(200):
        loss = nn.functional.mse_loss(layer(x), x @ target.t())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize("features", [1, 64, 257, 1024])
def test_packed_layers_give_the_same_bits(features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    layer, x = made(features)
    packed = pack_bitlinear(layer.eval())
    assert isinstance(packed, PackedBitLinear) and not packed.training
    before = dispatch.runs["narrow_product", "halide"]
    assert torch.equal(packed(x), layer(x))
    assert dispatch.runs["narrow_product", "halide"] == before + 1
    assert torch.equal(packed(x[0, 0]), layer(x[0, 0])) and packed(x[:0]).shape == (0, 3, 9)
    assert packed.words.numel() == 9 * -(-features // 256) * 64


def test_the_reference_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = made()
    packed = pack_bitlinear(layer)
    kernel = packed(x)
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
    assert torch.equal(packed(x), kernel)


def test_conversion_there_and_back() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 2)
    )
    ternary = convert(model, "ternary")
    assert [type(m) for m in ternary.children()] == [
        nn.Conv2d, nn.Conv2d, nn.Flatten, BitLinear, nn.Linear,
    ]  # fmt: skip
    ternary = convert(model, "ternary", keep_first_last=False)
    assert [type(m) for m in ternary.children()][1:] == [nn.Conv2d, nn.Flatten, BitLinear, BitLinear]
    assert type(convert(nn.Sequential(BinaryLinear(3, 2)), "ternary", keep_first_last=False)[0]) is BitLinear
    back = convert(ternary, "mac", keep_first_last=False)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(back(x), model(x)) and ternary(x).shape == (2, 2)


@pytest.mark.parametrize("bias", [False, True])
def test_counts_are_those_of_the_arithmetic(bias: bool) -> None:
    layer, x = made(bias=bias)
    plain = nn.Linear(70, 9, bias=bias)
    wanted = count(trace(plain, x), arithmetic="ternary")
    for module in (layer, pack_bitlinear(layer)):
        counts = count(trace(module, x))
        assert counts.total == wanted.total and counts.complete
        assert counts.mac_sites == 6 * 70 * 9


def test_faults() -> None:
    layer, x = made()
    with pytest.raises(ShapeError):
        layer(x[..., :-1])
    with pytest.raises(ShapeError, match=r"expected input \[\.\.\., 70\]"):
        pack_bitlinear(layer)(x[..., :-1])
    with pytest.raises(ArgumentError, match="has no BitLinear"):
        pack_bitlinear(nn.ReLU())
    with pytest.raises(ArgumentError, match="lmul is counted and costed"):
        convert(nn.Linear(2, 2), "lmul")
    with torch.no_grad():
        layer.weight[0, 0] = float("nan")
    with pytest.raises(ArgumentError, match="NaN"):
        pack_bitlinear(layer)
