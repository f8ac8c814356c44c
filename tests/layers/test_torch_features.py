"""The layers where torch users put them: compile, export, autocast, vmap, DDP, copies, checkpoints."""

from __future__ import annotations

import copy
import io
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from addercost.errors import ArgumentError
from addercost.layers import (
    AdderConv2d,
    AdderLinear,
    BinaryConv2d,
    BinaryLinear,
    ShiftConv2d,
    ShiftLinear,
    pack_binary,
    quantize_adder,
)

CONVOLUTIONS = [AdderConv2d, BinaryConv2d, ShiftConv2d]
LINEARS = [AdderLinear, BinaryLinear, ShiftLinear]
NAMES = lambda kind: kind.__name__  # noqa: E731


def network(conv: type[nn.Module], linear: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        conv(3, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        linear(4 * 9, 2, bias=True),
    )


@pytest.mark.parametrize(
    ("conv", "linear"),
    [
        pytest.param(AdderConv2d, AdderLinear, id="adder"),
        pytest.param(BinaryConv2d, BinaryLinear, id="binary", marks=pytest.mark.exhaustive),
        pytest.param(ShiftConv2d, ShiftLinear, id="shift", marks=pytest.mark.exhaustive),
    ],
)
def test_compile_keeps_the_graph_whole(conv: Any, linear: Any) -> None:
    model = network(conv, linear)
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    # "aot_eager" traces forward and backward as the default backend does and needs no C++ compiler.
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    expected, out = model(x), compiled(x)
    torch.testing.assert_close(out, expected)
    ours = torch.autograd.grad(out.sum(), [x, *compiled.parameters()])
    for mine, theirs in zip(ours, torch.autograd.grad(expected.sum(), [x, *model.parameters()]), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the default backend of torch.compile needs g++")
@pytest.mark.exhaustive
def test_the_default_compiler_gives_the_same_output_and_gradients() -> None:
    model, x = network(AdderConv2d, AdderLinear), torch.randn(2, 3, 6, 6, requires_grad=True)
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True)
    expected, out = model(x), compiled(x)
    torch.testing.assert_close(out, expected)
    ours = torch.autograd.grad(out.sum(), [x, *compiled.parameters()])
    for mine, theirs in zip(ours, torch.autograd.grad(expected.sum(), [x, *model.parameters()]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_dynamic_shapes_compile_once() -> None:
    layer = AdderConv2d(3, 4, 3, padding=1)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for size in (6, 7, 9):
        x = torch.randn(2, 3, size, size)
        torch.testing.assert_close(compiled(x), layer(x))


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=NAMES)
def test_export_sees_one_operator_and_survives_a_file(conv: Any, tmp_path: Path) -> None:
    model = conv(3, 4, 3, bias=True).eval()
    x = torch.randn(2, 3, 6, 6)
    dynamic = {"input": {0: torch.export.Dim("batch", min=2)}}
    program = torch.export.export(model, (x,), dynamic_shapes=dynamic)
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert [str(call).split(".")[0] for call in calls] == ["addercost"]
    torch.export.save(program, tmp_path / "layer.pt2")
    loaded = torch.export.load(tmp_path / "layer.pt2").module()
    more = torch.randn(5, 3, 6, 6)
    torch.testing.assert_close(loaded(more), model(more))


@pytest.mark.parametrize("kind", [*CONVOLUTIONS, *LINEARS], ids=NAMES)
def test_autocast_computes_in_fp32(kind: Any) -> None:
    layer = kind(6, 4, 3) if kind in CONVOLUTIONS else kind(6, 4)
    x = torch.randn(2, 6, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        # What a preceding convolution would hand over.
        half = x.bfloat16().requires_grad_()
        out = layer(half)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, layer(half.float()))
    out.sum().backward()
    assert half.grad is not None and half.grad.dtype == torch.bfloat16
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("kind", [*CONVOLUTIONS, *LINEARS], ids=NAMES)
def test_other_dtypes_stay_themselves(kind: Any, dtype: torch.dtype) -> None:
    layer = (kind(6, 4, 3, bias=True) if kind in CONVOLUTIONS else kind(6, 4, bias=True)).to(dtype)
    x = torch.randn(2, 6, 6, 6).to(dtype).requires_grad_()
    out = layer(x)
    assert out.dtype == dtype
    wide = copy.deepcopy(layer).double()(x.double())
    torch.testing.assert_close(
        out.double(), wide, rtol=4 * torch.finfo(dtype).eps, atol=0.05 if dtype != torch.float64 else 1e-12
    )
    out.sum().backward()
    assert x.grad is not None and x.grad.dtype == layer.weight.grad.dtype == dtype


@pytest.mark.parametrize("kind", [*CONVOLUTIONS, *LINEARS], ids=NAMES)
def test_vmap_over_inputs_and_over_weights(kind: Any) -> None:
    layers = [kind(6, 4, 3) if kind in CONVOLUTIONS else kind(6, 4) for _ in range(3)]
    x = torch.randn(3, 2, 6, 6, 6)
    over_inputs = torch.vmap(layers[0], in_dims=1, out_dims=1)(x)
    torch.testing.assert_close(over_inputs, torch.stack([layers[0](x[:, i]) for i in range(2)], 1))
    weights = {"weight": torch.stack([layer.weight for layer in layers])}

    def call(state: dict[str, torch.Tensor], value: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layers[0], state, (value,))

    over_weights = torch.vmap(call)(weights, x)
    torch.testing.assert_close(over_weights, torch.stack([f(v) for f, v in zip(layers, x, strict=True)]))


@pytest.mark.parametrize("kind", [*CONVOLUTIONS, *LINEARS], ids=NAMES)
def test_copies_and_checkpoints_hold_the_same_layer(kind: Any) -> None:
    layer = kind(6, 4, 3, stride=2, bias=True) if kind in CONVOLUTIONS else kind(6, 4, bias=True)
    x = torch.randn(2, 6, 6, 6)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    fresh = kind(6, 4, 3, stride=2, bias=True) if kind in CONVOLUTIONS else kind(6, 4, bias=True)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), fresh):
        assert torch.equal(twin(x), layer(x))
        assert repr(twin) == repr(layer)


def test_checkpoints_of_a_convolution_fit() -> None:
    torch.nn.Conv2d(6, 4, 3).load_state_dict(AdderConv2d(6, 4, 3, bias=True).state_dict())
    AdderLinear(6, 4, bias=True).load_state_dict(nn.Linear(6, 4).state_dict())


def test_adder_weights_start_standard_normal() -> None:
    weight = AdderConv2d(64, 64, 5).weight.detach()
    assert abs(weight.mean().item()) < 0.02
    assert abs(weight.std().item() - 1) < 0.02


def test_distributed_data_parallel_averages_gradients(tmp_path: Path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("this torch has no distributed package")
    model = network(AdderConv2d, AdderLinear)
    x = torch.randn(4, 3, 6, 6)
    model(x).sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        nn.parallel.DistributedDataParallel(model)(x).sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    for parameter, grad in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad)


def test_a_training_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    model = network(AdderConv2d, AdderLinear)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, target = torch.randn(16, 3, 6, 6), torch.randn(16, 2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_second_derivatives_are_refused() -> None:
    x = torch.randn(1, 3, 5, 5, requires_grad=True)
    (first,) = torch.autograd.grad(AdderConv2d(3, 2, 3)(x).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="has no derivative"):
        first.sum().backward()


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=NAMES)
def test_one_image_without_a_batch(conv: Any) -> None:
    layer = conv(3, 4, 3, padding=1, bias=True)
    x = torch.randn(3, 6, 7, requires_grad=True)
    out = layer(x)
    assert out.shape == (4, 6, 7)
    expected = layer(x.unsqueeze(0))
    assert torch.equal(out, expected[0])
    (ours,) = torch.autograd.grad(out.square().sum(), x)
    torch.testing.assert_close(ours, torch.autograd.grad(expected.square().sum(), x)[0])


def test_one_image_for_inference_layers() -> None:
    x = torch.randn(3, 6, 7)
    for layer in (pack_binary(BinaryConv2d(3, 4, 3).eval()), quantize_adder(AdderConv2d(3, 4, 3), x)):
        assert torch.equal(layer(x), layer(x.unsqueeze(0))[0])


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=NAMES)
def test_torchscript_takes_a_traced_layer_and_not_its_source(conv: Any) -> None:
    layer, x = conv(3, 4, 3).eval(), torch.randn(1, 3, 6, 6)
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(layer, x), file)  # type: ignore[no-untyped-call]
    file.seek(0)
    assert torch.equal(torch.jit.load(file)(x), layer(x))  # type: ignore[no-untyped-call]
    for scripted in (layer, nn.Sequential(nn.ReLU(), layer)):
        with pytest.raises(ArgumentError, match=f"torch.jit.script does not take {type(layer).__name__}"):
            torch.jit.script(scripted)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "conv",
    [
        pytest.param(kind, id=NAMES(kind), marks=() if kind is AdderConv2d else pytest.mark.exhaustive)
        for kind in CONVOLUTIONS
    ],
)
def test_onnx_has_no_such_operator(conv: Any) -> None:
    """Both exporters name the operator, as docs/layers.md says."""
    layer, x = conv(3, 4, 3).eval(), torch.randn(1, 3, 6, 6)
    with pytest.raises(RuntimeError, match="unrecognized namespace addercost::"):
        torch.onnx.export(layer, (x,), io.BytesIO(), dynamo=False)
    with pytest.raises(RuntimeError, match="No ONNX function found for <OpOverload\\(op='addercost\\."):
        torch.onnx.export(layer, (x,), io.BytesIO(), dynamo=True, verbose=False)
