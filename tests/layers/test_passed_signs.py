"""Packed binary layers that pass signs to each other, against the same layers with floats in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.errors import ArgumentError, ShapeError
from addercost.kernels import dispatch, signs
from addercost.kernels.problem import Geometry
from addercost.layers import BinaryConv2d, BinaryLinear, PackedBinary, fuse, pack_binary
from tests.kernels.geometries import all_but, all_crossed, cases
from tests.layers.test_fuse import with_statistics

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def signs_are_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer passes signs that may, also where its kernel does not store them."""
    monkeypatch.setattr(dispatch, "stores_signs", lambda shape, geometry: True)


def conv(*arguments: int, norm: bool = True, **more: int | bool) -> list[nn.Module]:
    """A binary convolution, its batch norm and HardTanh."""
    layer = BinaryConv2d(*arguments, **more)  # type: ignore[arg-type]
    return [layer, *([nn.BatchNorm2d(arguments[1])] if norm else []), nn.Hardtanh()]


def linear(inputs: int, outputs: int) -> list[nn.Module]:
    return [BinaryLinear(inputs, outputs, bias=True), nn.BatchNorm1d(outputs), nn.Hardtanh()]


CHAINS: dict[str, tuple[Callable[[], list[nn.Module]], tuple[int, ...]]] = {
    "whole words": (
        lambda: [*conv(3, 64, 3, padding=1), *conv(64, 32, 3, padding=1), *conv(32, 96, 3, stride=2)],
        (2, 3, 9, 11),
    ),
    "ragged": (lambda: [*conv(5, 20, 3, padding=1), *conv(20, 37, 1, bias=True)], (1, 5, 8, 7)),
    "one by one": (
        lambda: [*conv(32, 64, 1), *conv(64, 32, 1, stride=2, norm=False), *conv(32, 128, 1)],
        (1, 32, 9, 6),
    ),
    "one word, one pixel": (lambda: [*conv(8, 32, 1), *conv(32, 32, 1), *conv(32, 4, 1)], (1, 8, 1, 1)),
    "groups and dilation": (
        lambda: [*conv(8, 64, 3, groups=2), *conv(64, 64, 3, groups=2, dilation=2)],
        (2, 8, 9, 9),
    ),
    "dropout between": (
        lambda: [*conv(8, 32, 1), nn.Dropout(), nn.Identity(), *conv(32, 8, 3)],
        (1, 8, 5, 5),
    ),
    "linear": (lambda: [*linear(50, 64), *linear(64, 33), *linear(33, 10)], (3, 50)),
    "linear, no rows": (lambda: [*linear(50, 64), *linear(64, 33), *linear(33, 10)], (0, 50)),
}  # fmt: skip

FAST = ("whole words", "ragged", "one by one", "groups and dilation", "linear, no rows")


def unfused(model: nn.Sequential) -> nn.Sequential:
    """The packed network with its batch norms folded, and with HardTanh and floats between its layers."""
    made: list[nn.Module] = []
    for module in pack_binary(model).children():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert isinstance(made[-1], PackedBinary)
            made[-1] = made[-1].with_norm(module)
        else:
            made.append(module)
    return nn.Sequential(*made).eval()


def passing(model: nn.Module) -> list[bool]:
    return [layer.signs for layer in model.modules() if isinstance(layer, PackedBinary)]


@pytest.mark.parametrize("kernel", ["", "reference"], ids=["kernels", "reference"])
@pytest.mark.parametrize(
    ("kind", "layout"),
    all_crossed(
        all_but(FAST, [pytest.param(kind, id=kind) for kind in CHAINS]),
        cases(nchw=LAYOUTS[0], nhwc=LAYOUTS[1]),
    ),
)
def test_signs_give_the_bits_of_floats(kind, layout, kernel, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(4)
    make, shape = CHAINS[kind]
    model, x = with_statistics(nn.Sequential(*make())), torch.randn(shape)
    if x.dim() == 4:
        x = x.contiguous(memory_format=layout)
    with torch.inference_mode():
        expected = unfused(model)(x)
        monkeypatch.setenv(dispatch.VARIABLE, kernel)
        fused = fuse(pack_binary(model))
        assert passing(fused) == [True] * (len(passing(fused)) - 1) + [False]
        for _ in range(2):  # The second call is prepared.
            found = fused(x)
            assert torch.equal(found, expected)
            assert found.is_contiguous(memory_format=layout) or x.dim() == 2
    # Signs need no HardTanh, and the last layer has it in its store.
    assert not [module for module in fused.modules() if isinstance(module, nn.Hardtanh)]


@pytest.mark.parametrize("kind", ["whole words", "ragged"])
def test_words_are_looked_up_and_counted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = pytest.importorskip("addercost.kernels.cpu.binary.lookup")
    make, shape = CHAINS[kind]
    fused, x = fuse(pack_binary(with_statistics(nn.Sequential(*make())))), torch.randn(shape)
    found = []
    for looks_up in (True, False):
        monkeypatch.setattr(lookup, "looks_up_here", lambda looks_up=looks_up: looks_up)
        found.append(fused(x))
    assert torch.equal(*found)


def test_a_single_image_and_one_with_no_batch() -> None:
    model = with_statistics(nn.Sequential(*conv(3, 32, 3), *conv(32, 8, 3)))
    fused, x = fuse(pack_binary(model)), torch.randn(3, 9, 9)
    assert torch.equal(fused(x), unfused(model)(x))
    assert fused(torch.randn(0, 3, 9, 9)).shape == (0, 8, 5, 5)


class Residual(nn.Module):
    """The first layer is read by the second alone; what an addition reads stays in floats."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = BinaryConv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64)
        self.second, self.second_norm = BinaryConv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.short, self.clip = BinaryConv2d(32, 64, 1, stride=2), nn.Hardtanh()
        self.last = BinaryConv2d(64, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.second_norm(self.second(self.clip(self.first_norm(self.first(x)))))
        result: Tensor = self.last(self.clip(out + self.short(x)))
        return result


def test_in_a_residual_block_only_the_first_layer_passes_signs() -> None:
    torch.manual_seed(5)
    model, x = with_statistics(Residual()), torch.randn(2, 32, 9, 9)
    fused = fuse(pack_binary(model))
    passed = {path: layer.signs for path, layer in fused.named_modules() if isinstance(layer, PackedBinary)}
    assert passed == {"first": True, "second": False, "short": False, "last": False}
    plain = pack_binary(model)
    plain.first, plain.first_norm = plain.first.with_norm(plain.first_norm), nn.Identity()
    plain.second, plain.second_norm = plain.second.with_norm(plain.second_norm), nn.Identity()
    assert torch.equal(fused(x), plain(x))


class ReadTwice(nn.Module):
    """Two binary layers read one layer, one of them behind HardTanh."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left, self.right = (
            BinaryConv2d(4, 40, 1),
            BinaryConv2d(40, 8, 3),
            BinaryConv2d(40, 8, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        made = self.first(x)
        result: Tensor = self.left(made) - self.right(nn.functional.dropout(made, training=False))
        return result


def test_all_readers_must_take_signs() -> None:
    model, x = ReadTwice().eval(), torch.randn(1, 4, 5, 5)
    fused = fuse(pack_binary(model))
    # A function between two layers is not looked through.
    assert passing(fused) == [False, False, False]
    assert torch.equal(fused(x), model(x))


def between(*modules: nn.Module, reader: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(BinaryConv2d(4, 64, 3), *modules, reader or BinaryConv2d(64, 8, 1)).eval()


def infinite() -> nn.Sequential:
    model = between()
    with torch.no_grad():
        model[0].weight[3] = float("inf")
    return model


STAY_IN_FLOATS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": lambda: between(nn.ReLU()),
    "pooling": lambda: between(nn.MaxPool2d(2)),
    "HardTanh above zero": lambda: between(nn.Hardtanh(0.0, 6.0)),
    "HardTanh below zero": lambda: between(nn.Hardtanh(-2.0, -1.0)),
    "a convolution": lambda: between(reader=nn.Conv2d(64, 8, 1)),
    "groups of half words": lambda: between(reader=BinaryConv2d(64, 8, 1, groups=4)),
    "a linear layer": lambda: between(nn.Flatten(), reader=BinaryLinear(64 * 9, 8)),
    "half precision": lambda: between().bfloat16(),
    "a factor without a sign": infinite,
}  # fmt: skip


@pytest.mark.parametrize("kind", STAY_IN_FLOATS)
def test_what_stays_in_floats(kind: str) -> None:
    model = pack_binary(STAY_IN_FLOATS[kind]())
    assert not any(passing(fuse(model)))


@pytest.mark.parametrize("looks_up", [True, False], ids=["looked-up", "counted"])
def test_signs_are_passed_where_the_kernel_stores_them(
    looks_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = pytest.importorskip("addercost.kernels.cpu.binary.lookup")
    monkeypatch.undo()
    monkeypatch.setattr(lookup, "looks_up_here", lambda: looks_up)
    for filters in (64, 48):
        model = nn.Sequential(BinaryConv2d(4, filters, 3), BinaryConv2d(filters, 8, 1)).eval()
        assert passing(fuse(pack_binary(model))) == [looks_up and filters == 64, False]
    monkeypatch.setattr(dispatch, "_load", lambda name: f"{name} is missing")
    assert not dispatch.stores_signs((64, 4, 3, 3), Geometry())


def test_other_devices_pass_floats() -> None:
    model = pack_binary(between())
    assert passing(fuse(model)) == [True, False]
    assert passing(fuse(model.to("meta"))) == [False, False]


def test_double_precision_stays_double() -> None:
    model = between(nn.Hardtanh()).double()
    fused, x = fuse(pack_binary(model)), torch.randn(1, 4, 6, 6, dtype=torch.float64)
    assert passing(fused) == [True, False]
    assert torch.equal(fused(x), model(x)) and fused(x).dtype == torch.float64


def test_nan_is_refused() -> None:
    fused, x = fuse(pack_binary(between(nn.Hardtanh()))), torch.randn(1, 4, 6, 6)
    x[0, 1, 3, 2] = float("nan")
    with pytest.raises(ArgumentError, match="NaN, which has no sign to pass on"):
        fused(x)


def test_words_that_do_not_fit_are_refused() -> None:
    packed = pack_binary(BinaryConv2d(64, 8, 1))
    with pytest.raises(ShapeError, match="input has 3 channels"):
        packed(torch.zeros(1, 3, 4, 4, dtype=torch.int32))
    with pytest.raises(ShapeError, match="no whole words"):
        pack_binary(BinaryConv2d(64, 8, 1, groups=4))(torch.zeros(1, 2, 4, 4, dtype=torch.int32))
    with pytest.raises(ShapeError, match=r"expected input \[\.\.\., 2\]"):
        pack_binary(BinaryLinear(64, 8))(torch.zeros(3, 64, dtype=torch.int32))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 32, 3, 3), (1, 70, 1, 1)], ids=str)
def test_an_image_is_packed_bit_by_bit(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    x[0, 0, 0, 0] = -0.0
    words = signs.pack_image(x)
    for n, c, y, column in torch.cartesian_prod(*(torch.arange(size) for size in shape)).tolist():
        assert words[n, c // 32, y, column].item() >> c % 32 & 1 == (x[n, c, y, column].item() < 0)
    assert torch.equal(signs.unpack_image(words, shape[1], x.dtype), torch.where(x < 0, -1.0, 1.0))


def test_compile_and_export_see_one_operator_a_layer() -> None:
    fused = fuse(pack_binary(with_statistics(nn.Sequential(*conv(3, 32, 3), BinaryConv2d(32, 4, 1)))))
    x = torch.randn(2, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(fused, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), fused(x)) and compiled(x).stride() == fused(x).stride()
    graph = torch.export.export(fused, (x,)).graph
    calls = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    assert calls == ["addercost.binary_conv2d_signs.default", "addercost.binary_conv2d_packed.default"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("groups", [1, 2])
def test_operators_pass_opcheck(groups: int) -> None:
    layer = pack_binary(BinaryConv2d(64, 40, 3, stride=2, padding=1, groups=groups))
    x = torch.randn(2, 64, 7, 7)
    for operator in ("binary_conv2d_signs", "binary_conv2d_packed"):
        for input in (x, signs.pack_image(x)):
            arguments = (input, layer.words, layer.factors, layer.weight_shape, *layer.geometry)
            torch.library.opcheck(getattr(torch.ops.addercost, operator).default, arguments)


def test_the_copy_says_what_it_passes() -> None:
    first, *_ = fuse(pack_binary(between(nn.Hardtanh()))).children()
    assert repr(first).endswith("signs out)")
    assert F.hardtanh(torch.tensor(-0.0)).signbit()  # HardTanh keeps -0, whose sign is +1 in both forms.
