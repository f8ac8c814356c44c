"""What the calibrated model knows of kernels: families, sizes in the letters of a convolution, rows."""

import math

import pytest
import torch
from kernel_calls import CASES, bytes_of, call, convolution, pool, tensor, weight

from addercost.cost.calibrated.families import FAMILIES, family_of
from addercost.cost.calibrated.features import (
    CATEGORIES,
    OTHER_BYTES,
    WEIGHT_BYTES,
    Sizes,
    features,
    sizes_of,
)
from addercost.cost.calibrated.tables import one_thread
from addercost.counts.kernel_calls import KernelCall, Operand


@pytest.mark.parametrize(("kernel", "sizes"), CASES)
def test_sizes(kernel, sizes):
    assert sizes_of(kernel) == sizes
    assert sizes.bytes == sizes.input_bytes + sizes.weight_bytes + sizes.output_bytes


@pytest.mark.parametrize(("rows", "read"), [(1000, 60), (3, 60), (2, 40)], ids=str)
def test_a_lookup_reads_no_more_of_its_table_than_it_puts_out(rows, read):
    """Three indices of 8 bytes pick rows of 5 numbers of 4 bytes: 15 numbers or 60 bytes."""
    table, indices = weight(rows, 5), Operand((3,), "int64")
    sizes = sizes_of(call("aten.embedding", tensor(3, 5), weight=table, indices=indices))
    assert sizes[:5] == ("lookup", 15, 24, read, 60)


@pytest.mark.parametrize("kernel", [convolution((0, 4, 5, 5), (4, 4, 3, 3), (0, 4, 3, 3)),
                                    pool("aten.avg_pool2d", (0, 6, 9, 9), (0, 6, 3, 3), kernel=(3, 3)),
                                    call("aten.relu", tensor(0, 3), self=tensor(0, 3))],
                         ids=["convolution", "pool", "elementwise"])  # fmt: skip
def test_an_empty_batch_counts_as_one_site_whose_logarithm_is_0(kernel):
    assert sizes_of(kernel).sites == 1


def test_a_kernel_without_outputs_or_operands_is_of_an_empty_tensor():
    """Logarithms are of sizes of at least 1."""
    nothing = KernelCall("aten.zeros.default", (), ())
    assert sizes_of(nothing) == Sizes("copy", 1, 0, 0, 0, n=0, c=0, k=0, w=0, q=0)
    (row,) = features([nothing])[0]
    assert not row[2:20].any()


@pytest.mark.parametrize(
    ("kernel", "family"),
    [
        (
            convolution((1, 4, 5, 5), (4, 4, 3, 3), (1, 4, 3, 3), op="addercost.adder_conv2d"),
            "adder convolution",
        ),
        (
            convolution((1, 4, 5, 5), (4, 4, 3, 3), (1, 4, 3, 3), op="addercost.binary_conv2d"),
            "binary convolution",
        ),
        (
            convolution((1, 4, 5, 5), (4, 4, 1, 1), (1, 4, 5, 5), op="addercost.shift_conv2d"),
            "shift convolution, pointwise",
        ),
        (
            convolution((1, 4, 5, 5), (4, 1, 3, 3), (1, 4, 3, 3), op="addercost.adder_conv2d", groups=4),
            "adder convolution, depthwise",
        ),
        (
            convolution((1, 4, 5, 5), (8, 1, 3, 3), (1, 8, 3, 3), op="addercost.adder_conv2d", groups=4),
            "adder convolution",
        ),
        (call("aten.native_batch_norm", tensor(1, 4), input=tensor(1, 4)), "batch norm"),
        (call("aten.native_layer_norm", tensor(1, 4), input=tensor(1, 4)), "row norm"),
        (call("aten._softmax", tensor(1, 4), self=tensor(1, 4)), "softmax"),
        (call("aten.copy_", tensor(1, 4), self=tensor(1, 4), src=tensor(1, 4)), "copy"),
        (call("aten.sigmoid_", tensor(1, 4), self=tensor(1, 4)), "special function"),
        (call("aten.embedding", tensor(2, 4), weight=weight(9, 4), indices=tensor(2)), "lookup"),
        (call("aten.mul", tensor(2, 4), self=tensor(2, 4), other=tensor(4)), "broadcast"),
        (call("aten.mul", tensor(2, 4), self=tensor(2, 4), other=tensor(2, 4)), "elementwise"),
        (call("aten.mul", tensor(2, 4), self=tensor(2, 4), other=tensor()), "elementwise"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.op,
)  # fmt: skip
def test_families(kernel, family):
    assert family_of(kernel) == family


def test_a_row_has_names_as_numbers_sizes_as_logarithms_and_remainders():
    """A depthwise-like layer: 2 groups of 16 input and 24 output channels."""
    kernel = convolution(
        (2, 32, 9, 11), (48, 16, 3, 5), (2, 48, 4, 18), stride=(2, 2), groups=2, bias=weight(48)
    )
    sites, read = 2 * 48 * 4 * 18 * (16 * 3 * 5), bytes_of((2, 32, 9, 11))
    weights, written = bytes_of((48, 16, 3, 5), (48,)), bytes_of((2, 48, 4, 18))
    sizes = (
        sites, read, weights, written, read + weights + written, 2, 32, 48, 9 * 11, 4 * 18, 11, 18, 2, 16, 24,
        2 * 4 * 18, 48,
    )  # fmt: skip
    (row,), (factors,) = features([kernel])
    # 24 filters of a group are 24 in eights and 32 in sixteens.
    assert factors.tolist() == [1, sites, sites, sites / 24 * 32, weights, read + written]
    assert row[0] == FAMILIES.index("grouped convolution")
    assert row[2 : 2 + len(sizes)] == pytest.approx([math.log(size) for size in sizes])
    rest = row[2 + len(sizes) :]
    assert rest[0] == pytest.approx(math.log(sites / (read + weights + written)))
    # r, s, stride; not in place, with a bias; 16, 24, 32 and 48 channels are whole vectors; 18 = 16 + 2.
    # The last number says that it is not on codes.
    assert rest[1:].tolist() == [3, 5, 2, False, True, True, True, True, True, 2, 16, 24, 3, False]


def test_a_row_of_channels_that_fill_no_vectors():
    """72 = 9 x 8 = 4 x 16 + 8, and 100 = 12 x 8 + 4. From 64 channels on their number is the same."""
    (row,) = features([convolution((1, 72, 5, 15), (100, 72, 1, 1), (1, 100, 5, 15))])[0]
    assert row[-10:].tolist() == [False, True, False, False, False, 15, 64, 64, 2, False]
    (row,) = features([convolution((1, 65, 5, 16), (80, 65, 1, 1), (1, 80, 5, 16))])[0]
    assert row[-10:].tolist() == [False, False, True, False, True, 0, 64, 64, 2, False]


@pytest.mark.parametrize(
    ("image", "filters", "stride", "native"),
    [
        pytest.param((1, 8, 9, 9), (16, 8, 1, 1), 1, True, id="1x1"),
        pytest.param((1, 64, 99, 99), (16, 64, 1, 1), 1, True, id="large 1x1"),
        pytest.param((16, 8, 9, 9), (16, 8, 1, 1), 1, False, id="1x1 of 16 images"),
        pytest.param((1, 8, 9, 9), (16, 8, 1, 1), 2, True, id="small strided 1x1"),
        pytest.param((1, 64, 99, 99), (16, 64, 1, 1), 2, False, id="large strided 1x1"),
        pytest.param((1, 20, 32, 32), (16, 20, 3, 3), 1, True, id="20480 inputs"),
        pytest.param((1, 20, 32, 33), (16, 20, 3, 3), 1, False, id="more inputs"),
        pytest.param((2, 8, 9, 9), (16, 8, 3, 3), 1, False, id="two images"),
        pytest.param((1, 8, 9, 9), (16, 8, 5, 5), 1, False, id="wide filters"),
        pytest.param((1, 8, 9, 9), (16, 8, 5, 3), 1, True, id="filters that are wide one way"),
        pytest.param((1, 8, 9, 9), (16, 4, 3, 3), 1, False, id="groups"),
    ],
)
def test_torch_computes_some_convolutions_itself(image, filters, stride, native):
    """As `ConvParams::use_mkldnn` in torch's ATen/native/Convolution.cpp decides on one thread. The profiler
    says which kernel torch calls.
    """
    groups = image[1] // filters[1]
    kernel = convolution(image, filters, (image[0], 16, 9, 9), stride=(stride, stride), groups=groups)
    assert family_of(kernel).startswith("native") == native
    x, w = torch.zeros(image), torch.zeros(filters)
    with one_thread(), torch.profiler.profile() as profile:
        torch.conv2d(x, w, stride=stride, groups=groups)
    called = {event.name for event in profile.events()}
    assert ("aten::_slow_conv2d_forward" in called) == native
    assert ("aten::mkldnn_convolution" in called) != native


def test_operators_that_take_unlike_time_are_distinct_within_a_family():
    """In place is a column of its own. Operators that are not listed share one number."""
    kernels = [
        call(f"aten.{name}", tensor(1, 4), self=tensor(1, 4))
        for name in ("gelu", "tanh", "tanh_", "sin", "cos")
    ]
    rows = features(kernels)[0]
    numbers = rows[:, 1].tolist()
    assert len(set(numbers[:2])) == 2 and numbers[1] == numbers[2]
    assert numbers[3] == numbers[4] and numbers[3] == max(numbers)
    in_place = [i for i in range(rows.shape[1]) if rows[1, i] != rows[2, i]]
    assert [rows[2, i] - rows[1, i] for i in in_place] == [1]


def test_the_first_two_columns_are_numbers_of_names():
    """The family and the operator: every other column is a quantity."""
    assert CATEGORIES == (0, 1)


def test_a_linear_layer_of_ours_has_a_site_for_each_weight_of_each_row():
    """Six rows of five inputs to seven outputs."""
    kernel = call("addercost.adder_linear", tensor(2, 3, 7), input=tensor(2, 3, 5), weight=weight(7, 5))
    moved = bytes_of((2, 3, 5)), bytes_of((7, 5)), bytes_of((2, 3, 7))
    assert sizes_of(kernel) == Sizes("adder linear", 6 * 5 * 7, *moved, c=5, k=7, h=6, p=6)


@pytest.mark.parametrize(
    ("kernel", "family", "unfolded"),
    [
        pytest.param(
            convolution((1, 16, 32, 32), (16, 16, 3, 3), (1, 16, 32, 32)),
            "native dense convolution",
            2 * 4 * (16 * 3 * 3) * (32 * 32),
            id="written and read",
        ),
        pytest.param(
            convolution((1, 16, 32, 32), (16, 16, 1, 1), (1, 16, 32, 32)),
            "native pointwise convolution",
            0,
            id="the image is its windows",
        ),
        pytest.param(
            convolution((1, 64, 56, 56), (16, 64, 3, 3), (1, 16, 56, 56)),
            "dense convolution",
            0,
            id="oneDNN reads the image",
        ),
    ],
)
def test_torchs_own_convolution_moves_the_windows_of_its_image(kernel, family, unfolded):
    sizes = sizes_of(kernel)
    assert sizes.family == family
    _, (factors,) = features([kernel])
    assert factors[OTHER_BYTES] == sizes.input_bytes + sizes.output_bytes + unfolded
    assert factors[WEIGHT_BYTES] == sizes.weight_bytes
