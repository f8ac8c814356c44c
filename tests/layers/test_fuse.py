"""Networks whose kernels compute the batch norms, ReLUs and codes behind them, against each step alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.errors import ArgumentError, ModelError, ShapeError
from addercost.kernels import dispatch
from addercost.kernels.codes import quantize
from addercost.kernels.store import NO_LIMITS, RELU, Codes
from addercost.layers import (
    AdderConv2d,
    AdderLinear,
    BinaryConv2d,
    CodedAdder,
    FusedAdder,
    PackedBinary,
    convert,
    fuse,
    pack_binary,
    quantize_network,
)
from tests.kernels.geometries import all_crossed, cases


def with_statistics(model: nn.Module) -> nn.Module:
    """`model` in eval mode, its batch norms with figures that are not the initial ones."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.running_mean = torch.randn(norm.num_features) * 5 - 20
            norm.running_var = torch.rand(norm.num_features) * 30 + 1
            if norm.affine:
                nn.init.normal_(norm.weight)
                nn.init.normal_(norm.bias)
    return model.eval()


class Block(nn.Module):
    """A residual block: one layer's output has two readers, one ReLU is called twice, one as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = AdderConv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16)
        self.second, self.second_norm = AdderConv2d(16, 16, 3, padding=1, bias=True), nn.BatchNorm2d(16)
        self.short, self.relu, self.pool = AdderConv2d(8, 16, 1, stride=2), nn.ReLU(), nn.MaxPool2d(2)
        self.third, self.third_norm = AdderConv2d(16, 9, 1), nn.BatchNorm2d(9)
        self.head = AdderLinear(9, 5, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.second_norm(self.second(self.relu(self.first_norm(self.first(x)))))
        out = self.pool(self.relu(out + self.short(x)))
        out = F.relu(self.third_norm(self.third(out)))
        result: Tensor = self.head(out.mean((2, 3)))
        return result


def chain() -> nn.Sequential:
    return nn.Sequential(
        AdderConv2d(3, 12, 3, padding=1, bias=True), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        AdderConv2d(12, 12, 3, padding=1, groups=12), nn.BatchNorm2d(12, affine=False), nn.ReLU(),
        AdderConv2d(12, 20, 1), nn.BatchNorm2d(20), nn.Flatten(),
        AdderLinear(20 * 16, 7), nn.BatchNorm1d(7),
    )  # fmt: skip


MODELS = {"chain": (chain, (2, 3, 8, 8)), "block": (Block, (2, 8, 9, 9))}


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(3)
    make, shape = MODELS[request.param]
    return with_statistics(make()), torch.randn(shape)


def modules(model: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def test_a_fused_network_computes_the_same(case: tuple[nn.Module, Tensor]) -> None:
    model, x = case
    with torch.no_grad():
        expected, fused = model(x), fuse(model)
        # Fusing left the model as it was.
        assert torch.equal(model(x), expected)
        torch.testing.assert_close(fused(x), expected, rtol=1e-5, atol=1e-4)
    assert not modules(fused, nn.BatchNorm2d) + modules(fused, nn.BatchNorm1d) + modules(fused, AdderConv2d)
    assert len(modules(fused, FusedAdder)) == len(modules(model, AdderConv2d) + modules(model, AdderLinear))


def test_which_relus_are_fused() -> None:
    fused = fuse(with_statistics(Block()))
    has_relu = {
        path: layer.limits == RELU for path, layer in fused.named_modules() if isinstance(layer, FusedAdder)
    }
    # `second` also adds the output of `short`, and has the ReLU of the sum.
    assert has_relu == {"first": True, "second": True, "short": False, "third": True, "head": False}
    assert not modules(fused, nn.ReLU)


@pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("groups", [1, 2, 8], ids=["dense", "groups", "depthwise"])
def test_a_store_rounds_after_factor_and_addend(relu: bool, channels_last: bool, groups: int) -> None:
    layer, norm = AdderConv2d(8, 24 if groups < 8 else 8, 3, padding=1, groups=groups, bias=True), None
    norm = nn.BatchNorm2d(layer.out_channels)
    with_statistics(norm)
    fused, x = FusedAdder(layer, norm, RELU if relu else NO_LIMITS), torch.randn(2, 8, 9, 7)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    # In fp64, each rounded once: the factor, and the addend with the bias in it.
    invstd = (norm.running_var.double() + norm.eps).rsqrt() * norm.weight.detach().double()
    addend = (
        layer.bias.detach().double() - norm.running_mean.double()
    ) * invstd + norm.bias.detach().double()
    sums, bias = AdderConv2d.forward, layer.bias
    with torch.no_grad():
        layer.bias = None
        expected = sums(layer, x) * invstd.float()[:, None, None] + addend.float()[:, None, None]
        layer.bias = bias
        assert torch.equal(fused(x), expected.relu() if relu else expected)


def test_nan_passes_a_relu() -> None:
    fused, x = FusedAdder(AdderConv2d(4, 16, 1), limits=RELU), torch.randn(1, 4, 3, 3)
    x[0, 1, 2, 1] = float("nan")
    with torch.no_grad():
        out = fused(x)
    assert out[0, :, 2, 1].isnan().all()
    assert out.isnan().sum() == 16


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_floats(dtype: torch.dtype) -> None:
    layer = AdderConv2d(3, 5, 3, dtype=dtype)
    x = torch.randn(2, 3, 6, 6, dtype=dtype)
    with torch.no_grad():
        assert torch.equal(FusedAdder(layer, limits=RELU)(x - 9), layer(x - 9).relu())
        assert torch.equal(FusedAdder(layer)(x), layer(x))


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_fused_model_converted_to_half_precision(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "")
    fused = FusedAdder(AdderConv2d(8, 16, 3, bias=True), with_statistics(nn.BatchNorm2d(16)), RELU).to(dtype)
    coded = CodedAdder(FusedAdder(AdderConv2d(8, 16, 3, bias=True)), Codes(0.05, 100)).to(dtype)
    x = torch.randn(1, 8, 5, 6)
    assert fused.factors.dtype == coded.factors.dtype == dtype
    found = fused(x.to(dtype)), coded(x)
    fused.factors, coded.factors = fused.factors.float(), coded.factors.float()
    assert torch.equal(found[0], fused(x.to(dtype))) and torch.equal(found[1], coded(x))


def test_bytes_handed_on_give_the_same_bits(case: tuple[nn.Module, Tensor]) -> None:
    model, x = case
    coded = quantize_network(model, x)
    with torch.no_grad():
        found = coded(x)
        handed = [layer for layer in modules(coded, CodedAdder) if layer.next is not None]
        assert handed
        for layer in handed:
            layer.next = None
        assert torch.equal(coded(x), found)
        # Eight bits of a network that was never trained.
        assert (found - fuse(model)(x)).abs().mean() < 0.1 * fuse(model)(x).abs().mean()


def test_who_hands_on_bytes() -> None:
    torch.manual_seed(0)
    coded = quantize_network(with_statistics(Block()), torch.randn(2, 8, 9, 9))
    handing = {path for path, layer in coded.named_modules() if isinstance(layer, CodedAdder) and layer.next}
    # `second` adds what `short` gives. The others are read by that addition, by a mean, or by nobody.
    assert handing == {"first", "second"}
    assert coded.first.codes == coded.short.codes  # both read the input
    chained = quantize_network(with_statistics(chain()), torch.randn(2, 3, 8, 8))
    assert [layer.next is not None for layer in modules(chained, CodedAdder)] == [True, True, True, False]


class CodedSum(nn.Module):
    """Two layers read the sum of the first block, and one its input and an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.short = (AdderConv2d(8, 8, 3, padding=1) for _ in range(3))
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU()
        self.left, self.right = AdderConv2d(8, 16, 1), AdderConv2d(8, 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made = self.relu(self.norm(self.second(self.first(x))) + x)
        made = self.relu(made + self.short(made))
        result: Tensor = self.left(made) + self.right(made)
        return result


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
def test_byte_layers_add_shortcuts_and_code_the_sums(layout: torch.memory_format) -> None:
    torch.manual_seed(4)
    x = torch.randn(2, 8, 6, 8).contiguous(memory_format=layout)
    coded = quantize_network(with_statistics(CodedSum()), x)
    assert not [node for node in coded.graph.nodes if node.op == "call_function"]
    handing = {path for path, layer in coded.named_modules() if isinstance(layer, CodedAdder) and layer.next}
    # The sum of `second` is also a shortcut; that of `short` is read by two layers.
    assert handing == {"first", "short"}

    def alone(path: str, image: Tensor, shortcut: Tensor | None) -> Tensor:
        layer = getattr(coded, path)
        sums = layer.limited(NO_LIMITS)
        sums.next = None
        values = sums(image) if shortcut is None else sums(image) + shortcut
        return values.relu() if layer.limits == RELU else values

    with torch.inference_mode():
        first = alone("first", x, None)
        second = alone("second", first, x)
        made = alone("short", second, second)
        assert torch.equal(coded.short(second, second), quantize(made, *_codes_of(coded.left)))
        expected = alone("left", made, alone("right", made, None))
        for _ in range(2):  # The second call is prepared.
            assert torch.equal(coded(x), expected)


def _codes_of(layer: CodedAdder) -> tuple[float, int]:
    return layer.codes.step, layer.codes.zero


ANY_SHORTCUT = {
    "no batch": ((8, 5, 5), (8, 5, 5), 1),
    "broadcast": ((2, 8, 5, 5), (8, 1, 1), 1),
    "depthwise": ((2, 8, 5, 5), (2, 8, 5, 5), 8),
    "its kernel": ((2, 8, 5, 5), (2, 8, 5, 5), 1),
}


@pytest.mark.parametrize(
    ("kind", "codes_out"),
    all_crossed(
        [pytest.param(kind, id=kind) for kind in ANY_SHORTCUT], cases(floats_out=False, codes_out=True)
    ),
)
def test_any_shortcut_of_a_byte_layer(kind: str, codes_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, shortcut, groups = ANY_SHORTCUT[kind]
    layer = FusedAdder(AdderConv2d(8, 8, 3, padding=1, groups=groups), None, RELU)
    coded, x, added = CodedAdder(layer, Codes(0.05, 100)), torch.randn(shape), torch.randn(shortcut) + 60
    expected = (coded.limited(NO_LIMITS)(x) + added).relu()
    if codes_out:
        coded.next = Codes(0.5, 7)
        expected = quantize(expected, 0.5, 7)
    if kind in ("depthwise", "its kernel"):
        monkeypatch.setenv(dispatch.VARIABLE, "halide")
    with torch.inference_mode():
        for _ in range(2):  # The second call is prepared.
            assert torch.equal(coded(x, added), expected)


def test_codes_are_those_of_each_step_alone() -> None:
    torch.manual_seed(1)
    first, second = quantize_network(
        with_statistics(
            nn.Sequential(AdderConv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), AdderConv2d(16, 4, 1))
        ),
        torch.randn(2, 8, 6, 6),
    ).children()
    x = torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        codes = first(x)
        first.next = None
        assert torch.equal(codes, quantize(first(x), second.codes.step, second.codes.zero))
        assert torch.equal(second(codes), second(first(x)))


def test_a_layer_called_twice_is_fused_for_each_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = AdderConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.layer(self.norm(self.layer(x)).relu())
            return result

    model, x = with_statistics(Twice()), torch.randn(1, 4, 5, 5)
    fused = fuse(model)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), model(x), rtol=1e-5, atol=1e-4)
    assert [layer.limits == RELU for layer in modules(fused, FusedAdder)] == [True, False]


def test_norms_behind_convolutions_and_packed_layers_are_folded() -> None:
    model = with_statistics(
        nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.Hardtanh(),
            BinaryConv2d(8, 16, 3, bias=True),
            nn.BatchNorm2d(16),
        )
    )
    packed, x = pack_binary(model), torch.randn(2, 3, 7, 7)
    fused = fuse(packed)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), packed(x), rtol=1e-4, atol=1e-4)
    assert not modules(fused, nn.BatchNorm2d)
    assert len(modules(fused, PackedBinary)) == 1


def test_convert_fuses() -> None:
    plain = with_statistics(
        nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 2, 1),
        )
    )
    x = torch.randn(1, 3, 9, 9)
    fused = convert(plain, "adder", fuse=True)
    assert [type(layer) for layer in fused.children()] == [nn.Conv2d, nn.ReLU, FusedAdder, nn.Conv2d]
    with torch.no_grad():
        torch.testing.assert_close(fused(x), convert(plain, "adder")(x), rtol=1e-4, atol=1e-4)


def test_compile_and_export_see_one_operator() -> None:
    x = torch.randn(2, 3, 8, 8)
    fused = fuse(with_statistics(nn.Sequential(AdderConv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())))
    coded = quantize_network(with_statistics(nn.Sequential(AdderConv2d(3, 4, 3), nn.ReLU())), x)
    for model, name in ((fused, "adder_conv2d_fused"), (coded, "adder_conv2d_coded")):
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(x), model(x))
        graph = torch.export.export(model, (x,)).graph
        calls = [str(node.target) for node in graph.nodes if node.op == "call_function"]
        assert calls == [f"addercost.{name}.default"]


@pytest.mark.parametrize(
    "adds", [pytest.param(False, id="alone", marks=pytest.mark.exhaustive), pytest.param(True, id="adds")]
)
def test_operators_pass_opcheck(adds: bool) -> None:
    fused = FusedAdder(AdderConv2d(4, 6, 3, stride=2, groups=2), limits=RELU)
    x = torch.randn(2, 4, 7, 7)
    shortcut = torch.randn(2, 6, 3, 3) if adds else None
    place = (x, fused.weight, fused.factors, shortcut, *fused.limits, *fused.geometry)
    torch.library.opcheck(torch.ops.addercost.adder_conv2d_fused.default, place)
    codes, w = torch.randint(0, 256, (2, 4, 7, 7), dtype=torch.uint8), fused.weight.byte()
    input, step = (x, 0.7) if adds else (codes, None)
    place = (input, w, fused.factors, shortcut, 0.1, 3, *RELU, step, 9, *fused.geometry)
    torch.library.opcheck(torch.ops.addercost.adder_conv2d_coded.default, place)


def test_state_is_saved_and_loaded() -> None:
    def make() -> nn.Module:
        torch.manual_seed(2)
        return quantize_network(with_statistics(chain()), torch.randn(2, 3, 8, 8))

    one, other, x = make(), make(), torch.randn(2, 3, 8, 8)
    for parameter in other.buffers():
        parameter.zero_()
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(x), other(x))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


REFUSED = {
    "training": (lambda: fuse(chain()), ArgumentError, "training mode"),
    "training, convert": (lambda: convert(chain(), "adder", fuse=True), ArgumentError, "training mode"),
    "values decide": (lambda: fuse(Branching().eval()), ModelError, "Branching cannot be taken apart"),
    "no adder layer": (
        lambda: quantize_network(nn.Sequential(nn.ReLU()).eval(), torch.ones(2)),
        ArgumentError,
        "no adder layer",
    ),
    "features": (lambda: FusedAdder(AdderLinear(3, 2))(torch.ones(2, 4)), ShapeError, "expected input"),
    "dtype": (lambda: FusedAdder(AdderConv2d(1, 1, 1))(torch.ones(1, 1, 2, 2).half()), ShapeError, "one fl"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input(name: str) -> None:
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call()
