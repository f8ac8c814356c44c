"""Kernels on codes run again as torch's quantised modules run them."""

import itertools

import pytest
import torch

from addercost.cost.calibrated.codes import has_few_channels
from addercost.cost.calibrated.families import family_of
from addercost.cost.calibrated.features import sizes_of
from addercost.counts.kernel_calls import KernelCall
from addercost.measure.kernel_times import replay_codes
from addercost.measure.kernel_times.draw_codes import draw_codes, rounding, shuffle
from addercost.measure.kernel_times.replay import replay

SMALL = [call for call in draw_codes(250, 0) if sizes_of(call).sites < 2e6 and sizes_of(call).bytes < 1e6]
ONE_OF_EACH = list({call.op: call for call in SMALL}.values())


def run(kernel: KernelCall) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = replay(kernel, torch.Generator().manual_seed(0))()
    return output


@pytest.mark.parametrize("kernel", ONE_OF_EACH, ids=lambda kernel: kernel.op)
def test_a_drawn_kernel_runs_and_gives_what_it_says(kernel: KernelCall) -> None:
    output, said = run(kernel), kernel.outputs[0]
    assert (tuple(output.shape), str(output.dtype)) == (said.shape, f"torch.{said.dtype}")


def test_layers_sums_and_conversions_are_among_those_that_run() -> None:
    assert {
        "quantized.conv2d.new", "quantized.conv2d_relu.new", "quantized.linear.default",
        "quantized.add_relu.default", "quantized.mul.default", "aten.cat.default", "aten.dequantize.self",
        "aten.quantize_per_tensor.tensor_qparams", "aten.quantized_max_pool2d.default",
        "aten._adaptive_avg_pool2d.default", "aten.relu.default", "aten.clone.default",
    } <= {kernel.op for kernel in ONE_OF_EACH}  # fmt: skip


def test_a_longer_drawing_begins_with_the_shorter_one() -> None:
    assert list(draw_codes(20, 3)) == list(itertools.islice(draw_codes(50, 3), 20))
    assert list(draw_codes(20, 3)) != list(draw_codes(20, 4))


def test_a_short_calibration_has_slow_depthwise_kernels_of_both_kinds() -> None:
    """They take some hundred times as long as others, so that a network with some takes the time of these.
    Their cost per multiply-add varies, so a fit needs several.
    """
    slow = [call for call in draw_codes(300, 1) if family_of(call).startswith("slow depthwise")]
    dilated = [call.argument("dilation") != (1, 1) for call in slow]
    assert min(dilated.count(True), dilated.count(False)) >= 8
    few = [has_few_channels(call) for call in slow]
    assert min(few.count(True), few.count(False)) >= 6
    assert all(call.outputs[0].shape[1] % 8 for call, wide in zip(slow, dilated, strict=True) if not wide)


def test_images_of_codes_are_in_nhwc() -> None:
    """torch's quantised convolutions and pools return them so."""
    kernel = next(
        call for call in SMALL if call.op == "quantized.conv2d.new" and call.outputs[0].shape[2] > 1
    )
    assert run(kernel).is_contiguous(memory_format=torch.channels_last)
    copied = run(rounding((2, 8, 4, 4), back=True))
    assert copied.is_contiguous(memory_format=torch.channels_last)


def test_a_shuffle_copies_in_another_order() -> None:
    """A copy in the same order is several times as fast."""
    kernel = shuffle((1, 8, 4, 6))
    read = replay_codes._transposed(kernel, torch.Generator())
    assert tuple(read.shape) == kernel.outputs[0].shape == (1, 4, 2, 4, 6)
    assert not read.is_contiguous() and run(kernel).is_contiguous()
