"""Calls of kernels, and the sizes and families that were worked out for them by hand."""

import math

import pytest

from addercost.cost.calibrated.features import Sizes
from addercost.counts.kernel_calls import KernelCall, Operand


def tensor(*shape):
    return Operand(shape, "float32")


def weight(*shape):
    return Operand(shape, "float32", is_weight=True)


def call(op, out, **arguments):
    return KernelCall(f"{op}.default", tuple(arguments.items()), (out,))


def convolution(x, w, out, stride=(1, 1), groups=1, transposed=False, op="aten.convolution", bias=None):
    return call(
        op,
        tensor(*out),
        input=tensor(*x),
        weight=weight(*w),
        bias=bias,
        stride=stride,
        transposed=transposed,
        groups=groups,
    )


def pool(op, x, out, kernel=(), stride=()):
    return call(op, tensor(*out), self=tensor(*x), kernel_size=kernel, stride=stride)


def bytes_of(*shapes):
    """float32"""
    return sum(4 * math.prod(shape) for shape in shapes)


# Each with the sum that its sites are: outputs times products of one output.
CASES = [
    pytest.param(
        convolution((2, 12, 9, 11), (20, 12, 3, 5), (2, 20, 4, 6), stride=(2, 2)),
        Sizes(
            "dense convolution", 2 * 20 * 4 * 6 * (12 * 3 * 5),
            bytes_of((2, 12, 9, 11)), bytes_of((20, 12, 3, 5)), bytes_of((2, 20, 4, 6)),
            n=2, c=12, k=20, h=9, w=11, p=4, q=6, r=3, s=5, groups=1, stride=2,
        ),
        id="dense convolution",
    ),
    pytest.param(
        convolution((1, 8, 7, 5), (16, 8, 1, 1), (1, 16, 7, 5)),
        Sizes(
            "native pointwise convolution", 16 * 7 * 5 * 8,
            bytes_of((1, 8, 7, 5)), bytes_of((16, 8, 1, 1)), bytes_of((1, 16, 7, 5)),
            c=8, k=16, h=7, w=5, p=7, q=5, stride=1,
        ),
        id="pointwise convolution",
    ),
    pytest.param(
        convolution((3, 8, 1, 1), (16, 8, 1, 1), (3, 16, 1, 1)),
        Sizes(
            "convolution of one pixel", 3 * 16 * 8,
            bytes_of((3, 8, 1, 1)), bytes_of((16, 8, 1, 1)), bytes_of((3, 16, 1, 1)),
            n=3, c=8, k=16,
        ),
        id="convolution of one pixel",
    ),
    pytest.param(
        convolution((1, 6, 8, 8), (6, 1, 3, 3), (1, 6, 8, 8), groups=6),
        Sizes(
            "depthwise convolution", 6 * 8 * 8 * (1 * 3 * 3),
            bytes_of((1, 6, 8, 8)), bytes_of((6, 1, 3, 3)), bytes_of((1, 6, 8, 8)),
            c=6, k=6, h=8, w=8, p=8, q=8, r=3, s=3, groups=6,
        ),
        id="depthwise convolution",
    ),
    pytest.param(
        convolution((1, 8, 8, 8), (6, 4, 1, 1), (1, 6, 8, 8), groups=2),
        Sizes(
            "grouped pointwise convolution", 6 * 8 * 8 * 4,
            bytes_of((1, 8, 8, 8)), bytes_of((6, 4, 1, 1)), bytes_of((1, 6, 8, 8)),
            c=8, k=6, h=8, w=8, p=8, q=8, groups=2,
        ),
        id="grouped convolution",
    ),
    pytest.param(
        # Each input is multiplied by all weights of its channel.
        convolution((1, 4, 5, 6), (4, 3, 2, 2), (1, 3, 10, 12), stride=(2, 2), transposed=True),
        Sizes(
            "transposed convolution", 4 * 5 * 6 * (3 * 2 * 2),
            bytes_of((1, 4, 5, 6)), bytes_of((4, 3, 2, 2)), bytes_of((1, 3, 10, 12)),
            c=4, k=3, h=5, w=6, p=10, q=12, r=2, s=2, stride=2,
        ),
        id="transposed convolution",
    ),
    pytest.param(
        call("aten.addmm", tensor(6, 10), self=weight(10), mat1=tensor(6, 4), mat2=weight(4, 10)),
        Sizes(
            "linear", 6 * 4 * 10, bytes_of((6, 4)), bytes_of((10,), (4, 10)), bytes_of((6, 10)),
            c=4, k=10, h=6, p=6,
        ),
        id="linear",
    ),
    pytest.param(
        call("aten.mm", tensor(1, 10), self=tensor(1, 4), mat2=weight(4, 10)),
        Sizes(
            "linear of one row", 4 * 10, bytes_of((1, 4)), bytes_of((4, 10)), bytes_of((1, 10)), c=4, k=10
        ),
        id="linear of one row",
    ),
    pytest.param(
        call("aten.bmm", tensor(3, 5, 7), self=tensor(3, 5, 2), mat2=tensor(3, 2, 7)),
        Sizes(
            "product", 3 * 5 * 2 * 7, bytes_of((3, 5, 2), (3, 2, 7)), 0, bytes_of((3, 5, 7)),
            c=2, k=7, h=5, p=5, groups=3,
        ),
        id="product",
    ),
    pytest.param(
        # Scores, and their product with the values: both have rows x columns x width.
        call(
            "aten.scaled_dot_product_attention", tensor(2, 3, 5, 8),
            query=tensor(2, 3, 5, 8), key=tensor(2, 3, 7, 8), value=tensor(2, 3, 7, 8),
        ),
        Sizes(
            "attention", 2 * (2 * 3) * 5 * 7 * 8,
            bytes_of((2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8)), 0, bytes_of((2, 3, 5, 8)),
            c=8, k=8, h=5, w=7, p=5, q=7, groups=6,
        ),
        id="attention",
    ),
    pytest.param(
        pool("aten.max_pool2d_with_indices", (2, 6, 9, 11), (2, 6, 4, 5), kernel=(3, 3), stride=(2, 2)),
        Sizes(
            "maximum pool", 2 * 6 * 4 * 5 * 9, bytes_of((2, 6, 9, 11)), 0, bytes_of((2, 6, 4, 5)),
            n=2, c=6, k=6, h=9, w=11, p=4, q=5, r=3, s=3, stride=2,
        ),
        id="maximum pool",
    ),
    pytest.param(
        # Where there is no stride it is the kernel.
        pool("aten.avg_pool2d", (2, 6, 9, 12), (2, 6, 3, 4), kernel=(3, 3)),
        Sizes(
            "average pool", 2 * 6 * 3 * 4 * 9, bytes_of((2, 6, 9, 12)), 0, bytes_of((2, 6, 3, 4)),
            n=2, c=6, k=6, h=9, w=12, p=3, q=4, r=3, s=3, stride=3,
        ),
        id="average pool without a stride",
    ),
    pytest.param(
        # An adaptive pool has no kernel: 14 columns become 7, so two go into each.
        pool("aten._adaptive_avg_pool2d", (2, 6, 10, 14), (2, 6, 5, 7)),
        Sizes(
            "average pool", 2 * 6 * 5 * 7 * 4, bytes_of((2, 6, 10, 14)), 0, bytes_of((2, 6, 5, 7)),
            n=2, c=6, k=6, h=10, w=14, p=5, q=7, r=2, s=2, stride=2,
        ),
        id="adaptive pool",
    ),
    pytest.param(
        call("aten.relu", tensor(2, 3, 4, 5), self=tensor(2, 3, 4, 5)),
        Sizes(
            "elementwise", 2 * 3 * 4 * 5, bytes_of((2, 3, 4, 5)), 0, bytes_of((2, 3, 4, 5)),
            n=2, c=3, k=3, h=4, w=5, p=4, q=5,
        ),
        id="images",
    ),
    pytest.param(
        call("aten.gelu", tensor(2, 4, 6), self=tensor(2, 4, 6)),
        Sizes(
            "gelu", 2 * 4 * 6, bytes_of((2, 4, 6)), 0, bytes_of((2, 4, 6)),
            n=2, c=6, k=6, h=4, w=6, p=4, q=6,
        ),
        id="tokens",
    ),
    pytest.param(
        call("aten.mean", tensor(2, 3), self=tensor(2, 3, 4, 5)),
        Sizes(
            "reduction", 2 * 3 * 4 * 5, bytes_of((2, 3, 4, 5)), 0, bytes_of((2, 3)),
            n=2, c=3, k=3, h=4, w=5, p=2, q=3,
        ),
        id="reduction",
    ),
    pytest.param(
        call("aten.sum", tensor(), self=tensor(7)),
        Sizes("reduction", 7, bytes_of((7,)), 0, bytes_of(()), n=7, c=7, k=7, w=7),
        id="vector to scalar",
    ),
    pytest.param(
        call("aten.add", tensor(), self=tensor(), other=tensor()),
        Sizes("elementwise", 1, 8, 0, 4),
        id="scalars",
    ),
    pytest.param(
        convolution((1, 8, 6, 5), (16, 8, 2, 1), (1, 16, 5, 5)),
        Sizes(
            "native dense convolution", 16 * 5 * 5 * 8 * 2,
            bytes_of((1, 8, 6, 5)), bytes_of((16, 8, 2, 1)), bytes_of((1, 16, 5, 5)),
            c=8, k=16, h=6, w=5, p=5, q=5, r=2, stride=1,
        ),
        id="filters of one column",
    ),
    pytest.param(
        convolution((1, 8, 5, 1), (16, 8, 1, 1), (1, 16, 3, 1), stride=(2, 1)),
        Sizes(
            "native pointwise convolution", 16 * 3 * 8,
            bytes_of((1, 8, 5, 1)), bytes_of((16, 8, 1, 1)), bytes_of((1, 16, 3, 1)),
            c=8, k=16, h=5, p=3, stride=2,
        ),
        id="images of one column",
    ),
    pytest.param(
        call("aten.mm", tensor(2, 10), self=tensor(2, 4), mat2=weight(4, 10)),
        Sizes(
            "linear", 2 * 4 * 10, bytes_of((2, 4)), bytes_of((4, 10)), bytes_of((2, 10)),
            c=4, k=10, h=2, p=2,
        ),
        id="linear of two rows",
    ),
    pytest.param(
        call(
            "aten.linear", tensor(2, 3, 10), input=tensor(2, 3, 4), weight=weight(10, 4), bias=weight(10)
        ),
        Sizes(
            "linear", 2 * 3 * 4 * 10, bytes_of((2, 3, 4)), bytes_of((10, 4), (10,)), bytes_of((2, 3, 10)),
            c=4, k=10, h=6, p=6,
        ),
        id="linear whose weight comes before its bias",
    ),
    pytest.param(
        call("aten.linear", tensor(1, 10), input=tensor(1, 4), weight=weight(10, 4), bias=None),
        Sizes(
            "linear of one row", 4 * 10, bytes_of((1, 4)), bytes_of((10, 4)), bytes_of((1, 10)), c=4, k=10
        ),
        id="linear of one row without a bias",
    ),
    pytest.param(
        call("aten.baddbmm", tensor(3, 5, 7), self=tensor(7), batch1=tensor(3, 5, 2), batch2=tensor(3, 2, 7)),
        Sizes(
            "product", 3 * 5 * 2 * 7, bytes_of((7,), (3, 5, 2), (3, 2, 7)), 0, bytes_of((3, 5, 7)),
            c=2, k=7, h=5, p=5, groups=3,
        ),
        id="product and a sum",
    ),
    pytest.param(
        call(
            "aten.scaled_dot_product_attention", tensor(3, 5, 8),
            query=tensor(3, 5, 8), key=tensor(3, 7, 8), value=tensor(3, 7, 8),
        ),
        Sizes(
            "attention", 2 * 3 * 5 * 7 * 8, bytes_of((3, 5, 8), (3, 7, 8), (3, 7, 8)), 0, bytes_of((3, 5, 8)),
            c=8, k=8, h=5, w=7, p=5, q=7, groups=3,
        ),
        id="attention of one head",
    ),
    pytest.param(
        call(
            "aten.scaled_dot_product_attention", tensor(1, 1, 5, 6),
            query=tensor(1, 1, 5, 8), key=tensor(1, 1, 7, 8), value=tensor(1, 1, 9, 6),
        ),
        Sizes(
            "attention", 2 * 5 * 7 * 8, bytes_of((5, 8), (7, 8), (9, 6)), 0, bytes_of((5, 6)),
            c=8, k=8, h=5, w=7, p=5, q=7,
        ),
        id="columns are those of the keys",
    ),
    pytest.param(
        pool("aten._adaptive_avg_pool2d", (2, 6, 9, 5), (2, 6, 9, 5)),
        Sizes(
            "average pool", 2 * 6 * 9 * 5, bytes_of((2, 6, 9, 5)), 0, bytes_of((2, 6, 9, 5)),
            n=2, c=6, k=6, h=9, w=5, p=9, q=5,
        ),
        id="adaptive pool to the same size",
    ),
    pytest.param(
        pool("aten._adaptive_avg_pool2d", (2, 6, 8, 5), (2, 6, 7, 7)),
        Sizes(
            "average pool", 2 * 6 * 7 * 7, bytes_of((2, 6, 8, 5)), 0, bytes_of((2, 6, 7, 7)),
            n=2, c=6, k=6, h=8, w=5, p=7, q=7,
        ),
        id="adaptive pool to a larger size",
    ),
    pytest.param(
        pool("aten._adaptive_avg_pool2d", (2, 6, 8, 5), (2, 6, 2, 1)),
        Sizes(
            "average pool", 2 * 6 * 2 * 1 * 25, bytes_of((2, 6, 8, 5)), 0, bytes_of((2, 6, 2, 1)),
            n=2, c=6, k=6, h=8, w=5, p=2, q=1, r=5, s=5, stride=5,
        ),
        id="adaptive pool to one column",
    ),
    pytest.param(
        pool("aten._adaptive_avg_pool2d", (2, 6, 8, 5), (2, 6, 2, 0)),
        Sizes(
            "average pool", 1, bytes_of((2, 6, 8, 5)), 0, 0,
            n=2, c=6, k=6, h=8, w=5, p=2, q=0, r=5, s=5, stride=5,
        ),
        id="adaptive pool to nothing",
    ),
    pytest.param(
        pool("aten.max_pool2d", (6, 9, 11), (6, 4, 5), kernel=(3, 2), stride=(2, 1)),
        Sizes(
            "maximum pool", 6 * 4 * 5 * 9, bytes_of((6, 9, 11)), 0, bytes_of((6, 4, 5)),
            n=6, c=9, k=9, h=9, w=11, p=4, q=5, r=3, s=3, stride=2,
        ),
        id="pool of one image",
    ),
    pytest.param(
        call("aten.relu", tensor(4, 6), self=tensor(4, 6)),
        Sizes(
            "elementwise", 4 * 6, bytes_of((4, 6)), 0, bytes_of((4, 6)), n=4, c=6, k=6, h=4, w=6, p=4, q=6
        ),
        id="matrix",
    ),
    pytest.param(
        KernelCall(
            "aten.var_mean.correction", (("self", tensor(2, 3, 4)),), (tensor(2, 3, 1), tensor(2, 5, 3, 1))
        ),
        Sizes(
            "reduction", 2 * 3 * 4, bytes_of((2, 3, 4)), 0, bytes_of((2, 3, 1), (2, 5, 3, 1)),
            n=2, c=4, k=4, h=3, w=4, p=3, q=1,
        ),
        id="the first of two outputs",
    ),
]  # fmt: skip
