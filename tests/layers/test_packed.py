"""Packed binary layers: bit for bit the layer they were packed from, wherever torch users put them."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from addercost.errors import ArgumentError, ShapeError
from addercost.layers import AdderConv2d, BinaryConv2d, BinaryLinear, PackedBinary, pack_binary

LAYERS = [
    pytest.param(lambda: BinaryConv2d(40, 70, 3, padding=1), (2, 40, 7, 9), id="3x3"),
    pytest.param(lambda: BinaryConv2d(6, 9, 3, stride=2, bias=True), (2, 6, 9, 8), id="stride-and-bias"),
    pytest.param(lambda: BinaryConv2d(6, 4, 3, dilation=2, groups=2), (1, 6, 9, 8), id="dilation-and-groups"),
    pytest.param(lambda: BinaryConv2d(64, 32, 1, bias=True), (1, 64, 5, 5), id="1x1"),
    pytest.param(lambda: BinaryLinear(50, 9), (3, 2, 50), id="linear"),
    pytest.param(lambda: BinaryLinear(33, 70, bias=True), (33,), id="linear-of-a-vector"),
    pytest.param(lambda: BinaryLinear(8, 3), (0, 8), id="linear-of-nothing"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize(("make", "size"), LAYERS)
def test_is_the_layer_bit_for_bit(make: Any, size: tuple[int, ...], dtype: torch.dtype) -> None:
    layer, x = make().to(dtype), torch.randn(size).to(dtype)
    out = pack_binary(layer)(x)
    assert out.dtype == dtype
    assert torch.equal(out, layer(x))


@pytest.mark.parametrize(("make", "size"), LAYERS)
def test_copies_and_checkpoints_hold_the_same_layer(make: Any, size: tuple[int, ...]) -> None:
    packed, x = pack_binary(make()), torch.randn(size)
    buffer = io.BytesIO()
    torch.save(packed.state_dict(), buffer)
    buffer.seek(0)
    fresh = pack_binary(make())
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    for twin in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed)), fresh):
        assert torch.equal(twin(x), packed(x))
        assert repr(twin) == repr(packed)
    assert list(packed.parameters()) == []


def test_a_model_is_copied_and_its_shared_layers_stay_shared() -> None:
    shared = BinaryConv2d(8, 8, 3, padding=1)
    model = nn.Sequential(shared, nn.BatchNorm2d(8), shared, nn.Flatten(), BinaryLinear(8 * 25, 3)).eval()
    packed = pack_binary(model)
    assert isinstance(packed, nn.Sequential)
    assert [type(m).__name__ for m in packed][::4] == ["PackedBinary", "PackedBinary"]
    assert packed[0] is packed[2]
    assert model[0] is shared
    assert not packed[0].training
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(packed(x), model(x))


def test_weights_take_a_32nd_of_the_memory() -> None:
    layer = BinaryConv2d(64, 64, 3)
    words = pack_binary(layer).words
    assert isinstance(words, torch.Tensor)
    assert words.numel() * words.element_size() * 32 == layer.weight.numel() * 4


def test_compile_and_export_see_one_operator() -> None:
    packed, x = pack_binary(BinaryConv2d(6, 4, 3, bias=True)).eval(), torch.randn(2, 6, 6, 6)
    compiled = torch.compile(packed, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), packed(x))
    program = torch.export.export(packed, (x,))
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert calls == ["addercost.binary_conv2d_packed.default"]


def test_operator_passes_opcheck_vmap_and_autocast() -> None:
    layer = BinaryConv2d(6, 4, 3, stride=2, groups=2)
    packed, x = pack_binary(layer), torch.randn(3, 2, 6, 7, 7)
    assert isinstance(packed, PackedBinary)
    arguments = (x[0], packed.words, packed.factors, packed.weight_shape, *packed.geometry)
    torch.library.opcheck(torch.ops.addercost.binary_conv2d_packed.default, arguments)
    assert torch.equal(torch.vmap(packed)(x), torch.stack([layer(image) for image in x]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = x[0].bfloat16()
        assert packed(half).dtype == torch.float32
        assert torch.equal(packed(half), layer(half))


def test_nan_in_the_input_propagates() -> None:
    layer, x = BinaryConv2d(3, 2, 3), torch.randn(1, 3, 5, 5)
    x[0, 1, 0, 0] = float("nan")
    torch.testing.assert_close(pack_binary(layer)(x), layer(x), equal_nan=True, rtol=0, atol=0)


def test_bad_input() -> None:
    with pytest.raises(ArgumentError, match="no binary layer"):
        pack_binary(AdderConv2d(3, 2, 1))
    poisoned = BinaryLinear(3, 2)
    with torch.no_grad():
        poisoned.weight[1, 1] = float("nan")
    with pytest.raises(ArgumentError, match="NaN"):
        pack_binary(poisoned)
    packed = pack_binary(BinaryConv2d(3, 2, 3))
    with pytest.raises(ShapeError, match="input has 4 channels"):
        packed(torch.randn(1, 4, 5, 5))
    with pytest.raises(ShapeError, match="empty"):
        packed(torch.randn(1, 3, 2, 5))
    with pytest.raises(ShapeError, match="floating point"):
        packed(torch.ones(1, 3, 5, 5, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"expected input \[\.\.\., 3\]"):
        pack_binary(BinaryLinear(3, 2))(torch.randn(2, 4))
