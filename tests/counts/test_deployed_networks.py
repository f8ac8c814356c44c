"""Networks as they are deployed: batch norm folded, passes over memory fused, weights in few bits.

Folded networks are compared with those that torch folds; bytes are by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse as folded_by_torch

from addercost.api import trace_spec
from addercost.arithmetic import OpClass, OpCounts
from addercost.counts.model import ModelCounts, count
from addercost.errors import AddercostError, ArgumentError, DataError
from addercost.results.trace import trace_from_json, trace_to_json
from addercost.sources import torchvision_models
from addercost.trace.reuse.tracer import trace_blocks
from addercost.trace.tracer import trace
from tests.trace.onnx.graphs import graph, node, saved


def what_if(model: nn.Module, x: Tensor, *changes: str) -> ModelCounts:
    return count(trace(model, x), what_if=changes)


def n_bytes(counts: ModelCounts) -> int:
    return sum(layer.bytes_read + layer.bytes_written for layer in counts.layers)


def figures(counts: ModelCounts) -> tuple[OpCounts, int, int, int]:
    return counts.total, counts.mac_sites, counts.parameters, n_bytes(counts)


class Branches(nn.Module):
    """A convolution and a batch norm, whose first output is used in `use` besides."""

    def __init__(self, use: str, shared: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.use, self.shared = use, shared

    def forward(self, x: Tensor) -> object:
        y = self.conv(x)
        z = self.norm(y)
        match self.use:
            case "returned":
                return y, z
            case "read":
                return y + z
            case "weight":
                return z, self.conv(x + 1)
        return z


IMAGE = torch.empty(2, 3, 5, 5)
ELEMENTS = 2 * 4 * 5 * 5


@pytest.mark.parametrize(
    "name",
    [
        "shufflenet_v2_x0_5",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in (
                *("mobilenet_v2", "efficientnet_b0", "resnet18", "densenet121", "vgg11_bn"),
                *("regnet_y_400mf", "mnasnet0_5"),
            )
        ),
    ],
)
def test_folding_is_what_torch_folds(name: str) -> None:
    """Except in names: the counts, sites, parameters and bytes are those of the network that torch makes."""
    model = torchvision_models.make_model(name).eval()
    x = torch.empty(1, 3, 64, 64)
    with torch.no_grad():
        expected = count(trace(folded_by_torch(model), x))
    before = count(trace(model, x))
    found = what_if(model, x, "fold-bn")
    assert figures(found) == figures(expected)
    assert found.mac_sites == before.mac_sites and n_bytes(found) < n_bytes(before)


def test_a_folded_layer_has_a_bias_and_no_norm() -> None:
    """4 filters of 3 weights: 4 biases for 8 parameters of the norm; one addition an output in its place."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    found = what_if(model, IMAGE, "fold-bn")
    assert found.parameters == 4 * 3 + 4 and found.unused_parameters == 0
    assert [layer.path for layer in found.layers] == ["0"]
    assert found.total == OpCounts.of("fp32", mul=3 * ELEMENTS, add=2 * ELEMENTS + ELEMENTS)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_folds(bias: bool) -> None:
    model = nn.Sequential(nn.Linear(6, 5, bias=bias), nn.BatchNorm1d(5))
    found = what_if(model, torch.empty(3, 6), "fold-bn")
    expected = count(trace(nn.Linear(6, 5), torch.empty(3, 6)))
    assert figures(found) == figures(expected)


@pytest.mark.parametrize("use", ["returned", "read", "weight"])
def test_a_layer_that_serves_others_keeps_its_norm(use: str) -> None:
    model = Branches(use)
    assert figures(what_if(model, IMAGE, "fold-bn")) == figures(count(trace(model, IMAGE)))
    assert what_if(Branches(""), IMAGE, "fold-bn").parameters == 16


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), id="norm first"),
        pytest.param(
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)), id="of its batch"
        ),
        pytest.param(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)), id="between"),
    ],
)
def test_other_norms_stay(model: nn.Module) -> None:
    assert figures(what_if(model, IMAGE, "fold-bn")) == figures(count(trace(model, IMAGE)))


def test_an_adder_layer_keeps_its_norm() -> None:
    """|x - w| is not linear in w."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    assert figures(what_if(model, IMAGE, "adder", "fold-bn")) == figures(what_if(model, IMAGE, "adder"))


def test_a_fused_chain_moves_its_operands_once() -> None:
    """x, weights, bias and the residual are read, the last output written."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu_(torch.relu(self.conv(x)) + x)

    model, n = Residual(), 2 * 3 * 5 * 5
    before, after = count(trace(model, IMAGE)), what_if(model, IMAGE, "fuse")
    weights = 9 + 3
    assert n_bytes(before) == 4 * (weights + 2 * n + 2 * n + 3 * n + 2 * n)
    assert n_bytes(after) == 4 * (weights + n + n + n)
    assert after.total == before.total
    assert [layer.runs.eager.calls for layer in after.layers if layer.runs] == [1, 0]
    assert sum(layer.runs.fused.n_bytes for layer in after.layers if layer.runs) == n_bytes(after) + 8 * 9


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(nn.Sequential(nn.Conv2d(3, 4, 1), nn.MaxPool2d(2)), id="another shape"),
        pytest.param(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softmax(1)), id="not element-wise"),
        pytest.param(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 1)), id="before the layer"),
    ],
)
def test_what_cannot_be_fused_moves_what_it_moved(model: nn.Module) -> None:
    assert n_bytes(what_if(model, IMAGE, "fuse")) == n_bytes(count(trace(model, IMAGE)))


def test_a_returned_tensor_is_written() -> None:
    class Both(Branches):
        def forward(self, x: Tensor) -> object:
            y = self.conv(x)
            return y, torch.relu(y)

    assert n_bytes(what_if(Both(""), IMAGE, "fuse")) == n_bytes(count(trace(Both(""), IMAGE)))


@pytest.mark.parametrize("change", ["fold-bn", "fuse"])
def test_deployment_is_no_training(change: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    with pytest.raises(ArgumentError, match="training step; leave --backward out"):
        count(trace(model, IMAGE, backward=True), what_if=[change])


@pytest.mark.parametrize("change", ["fold-bn", "fuse"])
def test_a_saved_trace_says_what_reads_what(change: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    made = trace(model, IMAGE)
    read = trace_from_json(trace_to_json(made))
    assert figures(count(read, what_if=[change])) == figures(count(made, what_if=[change]))
    assert read.returned == made.returned != ()


def test_repeated_blocks_do_not_say_it() -> None:
    block = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()) for _ in range(3)]
    made = trace_blocks(nn.Sequential(*block), [((IMAGE,), {})])[0].trace()
    with pytest.raises(ArgumentError, match="without --tracer blocks"):
        count(made, what_if=["fold-bn"])


def test_graphs_fold_and_fuse(tmp_path: Path) -> None:
    """ONNX: 4 filters of 3 weights on 5×5 pixels, folded: a bias an output; fused: one output written."""
    nodes = (
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c s b m v", "n"),
        node("Relu", "n", "y"),
    )
    constants = {"w": (4, 3, 1, 1), **dict.fromkeys("sbmv", (4,))}
    found = trace_spec(saved(graph(nodes, {"x": (2, 3, 5, 5)}, "y", constants, {}), tmp_path, 21))
    counts = count(found, what_if=["fold-bn", "fuse"])
    assert counts.total == OpCounts.of("fp32", mul=3 * ELEMENTS, add=3 * ELEMENTS, compare=ELEMENTS)
    assert n_bytes(counts) == 4 * (2 * 3 * 25 + 12 + 4 + ELEMENTS)


# A linear layer of 6 → 5 on three rows: 18 inputs, 30 weights, 5 biases, 15 outputs.
LINEAR, ROWS = nn.Linear(6, 5), torch.empty(3, 6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(["int8"], 18 + 30 + 5 * 4 + 15, id="int8"),
        pytest.param(["int4"], 18 + 15 + 5 * 4 + 15, id="int4"),
        pytest.param(["fp8"], 18 + 30 + 5 * 4 + 15, id="fp8"),
        # 30 weights of 2 bits; the layer rounds its inputs itself
        pytest.param(["ternary"], 18 * 4 + 8 + 5 * 4 + 15 * 4, id="ternary"),
        pytest.param(["int8", "ternary"], 18 + 8 + 5 * 4 + 15, id="ternary, of bytes"),
        pytest.param(["int8", "int4"], 18 + 15 + 5 * 4 + 15, id="the last width holds"),
        pytest.param(["int4", "density=0.5"], 18 + 8 + 15 * 4 + 5 * 4 + 15, id="half stored"),
        # 30 signs, and a factor of one byte a filter
        pytest.param(["int8", "xnor"], 18 + 4 + 5 + 5 * 4 + 15, id="binary"),
        pytest.param(["int4", "adder"], 18 + 15 + 5 * 4 + 15, id="adder"),
    ],
)
def test_bytes_of_widths(changes: list[str], expected: int) -> None:
    assert n_bytes(what_if(LINEAR, ROWS, *changes)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param("int4", {(OpClass.MUL, "int8"): 90, (OpClass.ADD, "int32"): 90}, id="int4"),
        pytest.param("fp8", {(OpClass.MUL, "float8_e4m3fn"): 90, (OpClass.ADD, "fp32"): 90}, id="fp8"),
    ],
)
def test_arithmetic_of_widths(change: str, expected: dict[tuple[OpClass, str], int]) -> None:
    """15 outputs of 6 sites; under `full` a bias each, and the first term of a sum takes no addition."""
    macs = count(trace(LINEAR, ROWS), "macs", what_if=[change]).total
    assert macs == OpCounts.from_mapping(expected)
    assert what_if(LINEAR, ROWS, change).total == macs


def test_gradients_keep_their_width() -> None:
    step = trace(LINEAR, ROWS, backward=True)
    before, after = count(step), count(step, what_if=["int4"])
    forward = OpCounts.from_mapping({(OpClass.MUL, "int8"): 90, (OpClass.ADD, "int32"): 90})
    assert before.total == OpCounts.of("fp32", mul=90, add=90) + OpCounts.from_mapping(
        {(c, f): n for c, f, n in after.total if (c, f) not in {(c, f) for c, f, _ in forward}}
    )
    assert after.notes[-1].endswith("gradients stay as they are")


TWO = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("w.toml", '[bits]\n"0" = 12\n"*" = 3\n', id="TOML"),
        pytest.param("w.json", '{"bits": {"0": 12, "*": 3}}', id="JSON"),
    ],
)
def test_a_width_for_each_layer(tmp_path: Path, name: str, text: str) -> None:
    """12 bits compute in int16, 3 bits in int8. The first pattern that fits decides."""
    (tmp_path / name).write_text(text)
    first, second = what_if(TWO, ROWS, f"mixed:{tmp_path / name}").layers
    assert first.bytes_read + first.bytes_written == 18 * 2 + 45 + 20 + 15 * 2
    assert second.bytes_read + second.bytes_written == 15 + 8 + 16 + 12
    assert {f for c, f, _ in first.counts if c is OpClass.MUL} == {"int16"}
    assert {f for c, f, _ in second.counts if c is OpClass.MUL} == {"int8"}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ('[bits]\n"7" = 4\n', ArgumentError, r"unknown layer in .*w.toml '7'; known: 0, 1"),
        ('[bits]\n"0" = 1\n', DataError, r"w.toml: bits.* = 1: expected"),
        ('[bits]\n"0" = 17\n', DataError, r"= 17: expected"),
        ('[bits]\n"0" = "four"\n', DataError, r"'four'|\"four\""),
        ("widths = 3\n", DataError, "widths"),
        ("[bits", DataError, "w.toml"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, kind: type[AddercostError], words: str) -> None:
    (tmp_path / "w.toml").write_text(text)
    with pytest.raises(kind, match=words):
        what_if(TWO, ROWS, f"mixed:{tmp_path / 'w.toml'}")


@pytest.mark.parametrize(
    ("text", "words"), [("mixed", "needs a TOML or JSON file"), ("mixed:/nowhere.toml", "does not exist")]
)
def test_no_file(text: str, words: str) -> None:
    with pytest.raises(AddercostError, match=words):
        what_if(TWO, ROWS, text)
