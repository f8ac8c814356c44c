"""Kernels and bytes of a run, operator by operator and fused, worked out by hand.

An image of 1×8×4×4 fp32 numbers is 512 bytes; 8 filters of 8×3×3 are 2,304 bytes, of 8×1×1 are 256.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import addercost
from addercost.counts.model import count
from addercost.counts.runs import NOTHING, LayerRuns, Run, runs_of
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec

IMAGE = torch.empty(1, 8, 4, 4, device="meta")
ROWS = torch.empty(4, 8, device="meta")


class Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def runs(module, *inputs) -> LayerRuns:
    with torch.device("meta"):
        module = module() if isinstance(module, type) or not isinstance(module, nn.Module) else module
    total = NOTHING
    for layer in count(addercost.trace_model(module.eval(), *inputs)).layers:
        total = LayerRuns.sum((total, layer.runs))
    return total


def of(function, *inputs) -> LayerRuns:
    return runs(Calls(function), *inputs)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        pytest.param(lambda x: x.view(8, 16).t(), (IMAGE,), id="views"),
        pytest.param(lambda x: x.detach(), (IMAGE,), id="detach"),
        pytest.param(lambda x: F.dropout(x, training=False).reshape(-1), (IMAGE,), id="dropout-at-inference"),
    ],
)
def test_what_starts_no_kernel(function, inputs):
    assert of(function, *inputs) == NOTHING


@pytest.mark.parametrize(
    ("function", "inputs", "extra"),
    [
        pytest.param(F.relu, (IMAGE,), 0, id="activation"),
        pytest.param(lambda x: x + 1, (IMAGE,), 0, id="scalar"),
        pytest.param(torch.add, (IMAGE, IMAGE), 512, id="residual"),
        pytest.param(torch.mul, (IMAGE, torch.empty(1, 8, 1, 1, device="meta")), 32, id="gate-of-a-channel"),
    ],
)
def test_an_element_wise_operator_is_fused_and_moves_its_further_operands_alone(function, inputs, extra):
    assert of(function, *inputs) == LayerRuns(Run(1, 512 + 512 + extra), Run(0, extra))


def test_an_outer_sum_reads_both_operands():
    """4×1 and 1×8 numbers make 4×8: neither is what the result stands in the place of."""
    found = of(torch.add, torch.empty(4, 1, device="meta"), torch.empty(1, 8, device="meta"))
    assert found == LayerRuns(Run(1, 16 + 32 + 128), Run(0, 16 + 32))


def test_batch_norm_by_known_statistics_is_element_wise():
    """Weight, bias, mean and variance are 32 bytes each."""
    found = runs(lambda: nn.BatchNorm2d(8), IMAGE)
    assert found.fused == Run(0, 4 * 32)
    assert found.eager.calls == 1


@pytest.mark.parametrize(
    ("make", "weights", "copies"),
    [
        pytest.param(lambda: nn.Conv2d(8, 8, 3, padding=1, bias=False), 2304, 2, id="3x3"),
        pytest.param(lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), 288, 2, id="depthwise"),
        pytest.param(lambda: nn.Conv2d(8, 8, 1, bias=False), 256, 1, id="1x1"),
    ],
)
def test_a_compiled_convolution_reorders_its_weights_first(make, weights, copies):
    """Each copy reads and writes them."""
    moved = 512 + 512 + weights
    assert runs(make, IMAGE) == LayerRuns(Run(1, moved), Run(1 + copies, moved + 2 * copies * weights))


def test_a_linear_layer_is_one_kernel_in_both():
    """[4, 8] × [8, 16] and 16 biases: 128 + 512 + 64 read, 256 written."""
    run = Run(1, 128 + 512 + 64 + 256)
    assert runs(lambda: nn.Linear(8, 16), ROWS) == LayerRuns(run, run)


@pytest.mark.parametrize(
    ("make", "statistics"),
    [
        # The mean and the reciprocal deviation of 4 rows are written too.
        pytest.param(lambda: nn.LayerNorm(8, elementwise_affine=False), 2 * 16, id="layer-norm"),
        pytest.param(lambda: nn.Softmax(-1), 0, id="softmax"),
    ],
)
def test_what_normalises_by_its_own_input_reads_that_three_times(make, statistics):
    run = Run(1, 3 * 128 + 128 + statistics)
    assert runs(make, ROWS) == LayerRuns(run, run)


def test_batch_norm_in_training_reads_its_input_three_times():
    norm = Calls(lambda x: F.batch_norm(x, None, None, training=True))
    assert runs(norm, IMAGE).fused == Run(1, 3 * 512 + 512 + 2 * 32)


def test_attention_is_one_kernel_that_keeps_its_scores():
    """Three operands are read and one is written, each of 2×16×8 numbers."""
    q = torch.empty(1, 2, 16, 8, device="meta")
    run = Run(1, 4 * 1024)
    assert of(F.scaled_dot_product_attention, q, q, q) == LayerRuns(run, run)


def test_a_copy_is_a_kernel_although_torch_tags_it_element_wise():
    found = of(lambda x: x.permute(0, 2, 3, 1).contiguous(), IMAGE)
    assert found == LayerRuns(Run(1, 1024), Run(1, 1024))


def test_what_a_kernel_does_for_the_one_after_it_starts_none():
    """Its 20 bytes are read and 12 written, in both modes."""
    inner = TensorSpec((3,), "float32", IN_REGISTERS)
    made = OpCall("aten.add.Tensor", "", {"self": TensorSpec((5,), "float32"), "other": inner}, (), 0)
    assert runs_of(made, (20, 12)) == LayerRuns(Run(0, 32), Run(0, 32))


def test_runs_are_added_in_each_mode_on_its_own():
    parts = [LayerRuns(Run(1, 20), Run(3, 40)), LayerRuns(Run(5, 600), Run(7, 800))]
    assert LayerRuns.sum(parts) == LayerRuns(Run(6, 620), Run(10, 840))
    assert LayerRuns.sum([]) == NOTHING == LayerRuns(Run(0, 0), Run(0, 0))


def test_a_parameter_is_no_place_for_a_result():
    """A product with a weight of the result's size reads the weight besides."""
    weight = TensorSpec((8,), "float32", "parameter")
    args = {"self": TensorSpec((8,), "float32"), "other": weight}
    out = (TensorSpec((8,), "float32"),)
    made = OpCall("aten.mul.Tensor", "", args, out, 0, ("pointwise",))
    assert runs_of(made, (64, 32)).fused == Run(0, 32)
    both = OpCall("aten.mul.Tensor", "", {"self": weight, "other": weight}, out, 0, ("pointwise",))
    assert runs_of(both, (64, 32)).fused == Run(0, 64)
