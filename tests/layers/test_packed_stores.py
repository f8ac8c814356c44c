"""Packed binary layers that add a shortcut and limit their outputs in their kernels, against the addition and
the HardTanh behind the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.errors import ShapeError
from addercost.kernels import dispatch, signs
from addercost.kernels.problem import Geometry
from addercost.kernels.store import NO_LIMITS, RELU
from addercost.layers import BinaryConv2d, BinaryLinear, PackedBinary, fuse, pack_binary
from addercost.models.zoo import ZOO
from tests.kernels.geometries import all_but, all_crossed, cases
from tests.layers.test_fuse import modules, with_statistics

LAYOUTS = [torch.contiguous_format, torch.channels_last]
HARDTANH = (-1.0, 1.0)
LIMITS = {"no-limits": NO_LIMITS, "relu": RELU, "hardtanh": HARDTANH, "one-sided": (-torch.inf, 0.25)}

LAYERS = [
    pytest.param(lambda: BinaryConv2d(8, 64, 3, padding=1, bias=True), (2, 8, 7, 9), id="3x3"),
    pytest.param(lambda: BinaryConv2d(8, 20, 3, padding=1), (2, 8, 7, 9), id="part-of-a-vector"),
    pytest.param(lambda: BinaryConv2d(5, 32, 3, stride=2), (1, 5, 9, 8), id="stride"),
    pytest.param(lambda: BinaryConv2d(40, 96, 1), (2, 40, 4, 8), id="planes"),
    pytest.param(lambda: BinaryConv2d(4, 32, 3, padding=1), (3, 4, 4, 3), id="short-rows"),
    pytest.param(lambda: BinaryConv2d(4, 32, (3, 1)), (2, 4, 9, 1), id="one-column"),
    pytest.param(lambda: BinaryConv2d(8, 64, 3, groups=2), (2, 8, 6, 6), id="groups"),
    pytest.param(lambda: BinaryConv2d(8, 8, 3, groups=8), (2, 8, 6, 6), id="depthwise"),
]
FAST = ("3x3", "depthwise")


@pytest.fixture(autouse=True)
def _kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "")


def packed(layer: BinaryConv2d | BinaryLinear) -> PackedBinary:
    """The layer with outputs of about -2 to 2."""
    made = pack_binary(layer)
    assert isinstance(made, PackedBinary)
    made.factors /= made.factors[0].max() * layer.weight[0].numel() ** 0.5
    return made


def limited(values: Tensor, limits: tuple[float, float]) -> Tensor:
    """HardTanh or ReLU with these limits."""
    return F.relu(values) if limits == RELU else F.hardtanh(values, *limits)


def outputs_like(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.randn_like(layer(x))


@pytest.mark.parametrize("kernel", ["", "reference"], ids=["kernels", "reference"])
@pytest.mark.parametrize(
    ("make", "shape", "layout", "limits"),
    all_crossed(
        all_but(FAST, LAYERS),
        cases(nchw=LAYOUTS[0], nhwc=LAYOUTS[1]),
        [pytest.param(limits, id=name) for name, limits in LIMITS.items()],
    ),
)
def test_the_kernel_computes_what_was_behind_it(make, shape, layout, limits, kernel, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, kernel)
    plain, x = packed(make()), torch.randn(shape).contiguous(memory_format=layout)
    fused = plain.limited(limits)
    with torch.inference_mode():
        for image in (x, signs.pack_image(x)) if plain.geometry[3] == 1 else (x,):
            shortcut = outputs_like(plain, x)
            for _ in range(2):  # The second call is prepared.
                found = fused(image, shortcut)
                assert torch.equal(found, limited(plain(x) + shortcut, limits))
                assert torch.equal(fused(image), limited(plain(x), limits))
                assert found.stride() == plain(x).stride()


@pytest.mark.parametrize("looks_up", [True, False], ids=["looked-up", "counted"])
def test_words_that_are_looked_up_and_counted_give_the_same(
    looks_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = pytest.importorskip("addercost.kernels.cpu.binary.lookup")
    plain, x = packed(BinaryConv2d(40, 64, 3, padding=1, bias=True)), torch.randn(1, 40, 6, 8)
    shortcut = torch.randn(1, 64, 6, 8)
    expected = F.hardtanh(plain(x) + shortcut)
    monkeypatch.setattr(lookup, "looks_up_here", lambda: looks_up)
    before = dispatch.runs["binary_fused_forward", "halide"]
    assert torch.equal(plain.limited(HARDTANH)(x, shortcut), expected)
    assert dispatch.runs["binary_fused_forward", "halide"] == before + 1


@pytest.mark.parametrize("kind", ["other layout", "gaps"])
def test_a_shortcut_of_another_layout_is_added(kind: str) -> None:
    plain, x = packed(BinaryConv2d(8, 64, 3, padding=1)), torch.randn(2, 8, 6, 8)
    shortcut = torch.randn(2, 64, 6, 8).contiguous(memory_format=torch.channels_last)
    if kind == "gaps":
        shortcut = torch.randn(2, 64, 6, 16)[..., ::2]
    with torch.inference_mode():
        assert torch.equal(plain.limited(HARDTANH)(x, shortcut), F.hardtanh(plain(x) + shortcut))


def test_several_threads_add_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = pytest.importorskip("addercost.kernels.cpu.shares")
    monkeypatch.setattr(shares, "LEAST_ELEMENTS", 1)
    pytest.importorskip("addercost.kernels.cpu.binary.lookup").lookup_plan.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for n, layout in ((1, torch.contiguous_format), (1, torch.channels_last), (5, torch.channels_last)):
            plain = packed(BinaryConv2d(32, 32, 3, padding=1))
            x = torch.randn(n, 32, 8, 9).contiguous(memory_format=layout)
            shortcut = outputs_like(plain, x)
            assert torch.equal(plain.limited(HARDTANH)(x, shortcut), F.hardtanh(plain(x) + shortcut))
    finally:
        torch.set_num_threads(threads)


SHORTCUTS: dict[str, Callable[[], tuple[Tensor, Any]]] = {
    "no batch": lambda: (torch.randn(4, 5, 5), torch.randn(32, 5, 5)),
    "broadcast": lambda: (torch.randn(2, 4, 5, 5), torch.randn(32, 1, 1)),
    "broadcasts the output": lambda: (torch.randn(1, 4, 5, 5), torch.randn(3, 32, 5, 5)),
    "another type": lambda: (torch.randn(1, 4, 5, 5), torch.randn(1, 32, 5, 5).double()),
    "half precision": lambda: (torch.randn(1, 4, 5, 5).half(), torch.randn(1, 32, 5, 5).half()),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_any_shortcut_gives_what_the_addition_gives(kind: str) -> None:
    x, shortcut = SHORTCUTS[kind]()
    plain = packed(BinaryConv2d(4, 32, 3, padding=1))
    found = plain.limited(HARDTANH)(x, shortcut)
    expected = F.hardtanh(plain(x) + shortcut)
    assert torch.equal(found, expected) and found.dtype == expected.dtype


def test_nan_stays_nan() -> None:
    plain, x = packed(BinaryConv2d(4, 32, 1)), torch.randn(1, 4, 3, 3)
    shortcut = torch.randn(1, 32, 3, 3)
    shortcut[0, 5, 0, 0] = float("nan")
    out = plain.limited(HARDTANH)(x, shortcut)
    assert out[0, 5, 0, 0].isnan() and out.isnan().sum() == 1
    x[0, 1, 2, 1] = float("nan")
    out = plain.limited(HARDTANH)(x, shortcut)
    assert out[0, :, 2, 1].isnan().all() and out.isnan().sum() == 33


@pytest.mark.usefixtures("either_kernel")
def test_linear_layers_have_limits_and_no_shortcut() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.clip = BinaryLinear(32, 32), BinaryLinear(32, 5), nn.Hardtanh()

        def forward(self, x: Tensor) -> Tensor:
            return self.clip(self.second(self.first(x) + x))

    model, x = Sum().eval(), torch.randn(3, 32)
    fused = fuse(pack_binary(model))
    assert [layer.limits for layer in modules(fused, PackedBinary)] == [NO_LIMITS, HARDTANH]
    assert torch.equal(fused(x), model(x))


class Block(nn.Module):
    """A residual block whose output is read by a layer and by an addition."""

    def __init__(self, combine: Callable[[Block, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.norm, self.clip = (
            BinaryConv2d(32, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.Hardtanh(),
        )
        self.short, self.short_norm = BinaryConv2d(32, 32, 1), nn.BatchNorm2d(32)
        self.combine, self.six = combine, nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.combine(self, x)

    def main(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.layer(x))
        return result


SUMS: dict[str, tuple[Callable[[Block, Tensor], Tensor], bool, tuple[float, float]]] = {
    "identity": (lambda self, x: self.clip(self.main(x) + x), True, HARDTANH),
    "two layers": (lambda self, x: self.clip(self.main(x) + self.short_norm(self.short(x))), True, HARDTANH),
    "ReLU6": (lambda self, x: self.six(self.main(x) + x), True, (0.0, 6.0)),
    "ReLU": (lambda self, x: F.relu(x + self.main(x)), True, RELU),
    "read twice": (lambda self, x: (lambda out: self.clip(out) + out)(self.main(x) + x), True, NO_LIMITS),
    "HardTanh before the sum": (lambda self, x: self.clip(self.main(x)) + x, False, HARDTANH),
    "a limited shortcut": (lambda self, x: self.main(x) + self.clip(self.short(x)), True, NO_LIMITS),
    "changed between": (
        lambda self, x: (lambda short, out: short.mul_(2) + out)(x.abs(), self.main(x)),
        False,
        NO_LIMITS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SUMS)
def test_which_sums_and_limits_a_layer_takes(kind: str) -> None:
    torch.manual_seed(6)
    combine, adds, limits = SUMS[kind]
    model, x = pack_binary(with_statistics(Block(combine))), torch.randn(2, 32, 6, 6)
    fused = fuse(model)
    layer = fused.layer
    assert isinstance(layer, PackedBinary) and layer.limits == limits
    (call,) = (node for node in fused.graph.nodes if node.target == "layer")
    assert len(call.args) == (2 if adds else 1)
    # The same layers with the same factors, without torch.fx.
    model.layer, model.norm = model.layer.with_norm(model.norm), nn.Identity()
    if kind == "two layers":
        model.short, model.short_norm = model.short.with_norm(model.short_norm), nn.Identity()
    assert torch.equal(fused(x.clone()), model(x.clone()))
    again = fuse(fused)
    assert torch.equal(again(x.clone()), fused(x.clone()))


def test_a_layer_that_adds_is_read_in_floats() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(*(Block(SUMS["identity"][0]) for _ in range(2)))
            self.last = BinaryConv2d(32, 32, 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.last(self.blocks(x))
            return result

    torch.manual_seed(7)
    model, x = with_statistics(pack_binary(Two())), torch.randn(1, 32, 6, 6)
    fused = fuse(model)
    assert [layer.signs for layer in modules(fused, PackedBinary)] == [False] * 3
    assert not [node for node in fused.graph.nodes if node.op == "call_function"]
    torch.testing.assert_close(fused(x), model(x), rtol=1e-4, atol=1e-4)


def test_networks_of_the_zoo_add_in_their_kernels() -> None:
    torch.manual_seed(8)
    model = pack_binary(with_statistics(ZOO["resnet20-cifar"].build(Arithmetic.XNOR)))
    fused = fuse(model)
    calls = [node for node in fused.graph.nodes if len(node.args) == 2 and node.op == "call_module"]
    assert len(calls) == 9
    # Behind the first convolution, which is an ordinary one.
    assert len(modules(fused, nn.Hardtanh)) == 1


def test_operator_passes_opcheck_vmap_and_autocast() -> None:
    plain = packed(BinaryConv2d(6, 32, 3, stride=2))
    fused, x, shortcut = plain.limited(HARDTANH), torch.randn(3, 2, 6, 7, 7), torch.randn(3, 2, 32, 3, 3)
    for given in (None, shortcut[0]):
        arguments = (x[0], fused.words, fused.factors, given, *HARDTANH, fused.weight_shape, *fused.geometry)
        torch.library.opcheck(torch.ops.addercost.binary_conv2d_fused.default, arguments)
    each = torch.stack([fused(*pair) for pair in zip(x, shortcut, strict=True)])
    assert torch.equal(torch.vmap(fused)(x, shortcut), each)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = x[0].bfloat16()
        assert torch.equal(fused(half, shortcut[0]), F.hardtanh(plain(half) + shortcut[0]))


@pytest.mark.filterwarnings("error")
def test_compile_and_export_see_one_operator() -> None:
    """The compiler warns of nothing."""
    fused = fuse(with_statistics(pack_binary(Block(SUMS["identity"][0]))))
    x = torch.randn(1, 32, 6, 6)
    compiled = torch.compile(fused, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), fused(x))
    graph = torch.export.export(fused, (x,)).graph
    calls = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    assert calls == ["addercost.binary_conv2d_fused.default"]


def test_shortcuts_that_do_not_fit_are_refused() -> None:
    layer, x = packed(BinaryConv2d(3, 32, 1)), torch.randn(1, 3, 4, 4)
    operator = torch.ops.addercost.binary_conv2d_fused
    for shortcut in (torch.randn(1, 32, 4, 1), torch.randn(1, 32, 4, 4).double()):
        place = (x, layer.words, layer.factors, shortcut, *HARDTANH, layer.weight_shape, *layer.geometry)
        for grad in (True, False):
            with torch.set_grad_enabled(grad), pytest.raises(ShapeError, match="the shortcut is"):
                operator(*place)


def test_the_layer_says_its_limits() -> None:
    layer = packed(BinaryConv2d(3, 4, 1))
    assert repr(layer.limited(HARDTANH)).endswith("limits=(-1.0, 1.0))")
    assert repr(layer.limited(RELU)).endswith("relu)")
    assert "limits" not in repr(layer)


def test_a_memory_error_is_about_the_weight_and_not_the_shortcut() -> None:
    x, shape = torch.empty(1000, 64, 1000, 1000, device="meta"), (256, 64, 1, 1)
    shortcut, weight = torch.empty(1000, 256, 1000, 1000, device="meta"), torch.empty(shape, device="meta")
    for operands in ((x, weight[0], shape), (x, weight)):
        error = dispatch._memory_error("fused", (*operands, Geometry(), shortcut))
        # 4 bytes · 1000 images · (64 + 256) · 10⁶ elements of input and output.
        assert "takes about 1192.1 GiB" in str(error)
