"""Tiles of matrix products on a GPU: closed forms against loops over tiles, and what estimates say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

import addercost
from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.bounds import Bound, binding
from addercost.cost.engine import Engine
from addercost.cost.estimate import estimate
from addercost.cost.gpu_tiles import PIECES, TILES, reread_bytes, waves_factor
from addercost.cost.layers import LayerKind, moved_by
from addercost.cost.lowering import operations_of
from addercost.cost.models import cost_model_named
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.model import count


def scheduled(product: MatrixProduct, multiprocessors: int, high: int, wide: int, pieces: int) -> float:
    """Multiply-adds of the busiest multiprocessor, where each takes the next tile when it is free."""
    tiles = 0
    for _ in range(product.repeats):
        for _row in range(0, product.outputs_each, high):
            for _column in range(0, product.filters, wide):
                tiles += pieces
    busy = [0.0] * multiprocessors
    for _ in range(tiles):
        first = busy.index(min(busy))
        busy[first] += high * wide * product.depth / pieces
    return max(busy)


def test_the_sizes_of_tiles_are_nvidias_and_a_sum_is_halved_up_to_four_times() -> None:
    """Table of section 4 in the Matrix Multiplication Background User's Guide: thread blocks of cuBLAS."""
    halves = ((256, 128), (256, 64), (128, 64))
    turned = {(wide, high) for high, wide in halves}
    assert set(TILES) == {*halves, *turned, (128, 128), (64, 64)}
    assert [2**times for times in range(5)] == list(PIECES)


@pytest.mark.parametrize(
    ("rows", "filters", "loses"),
    [(8, 64, True), (64, 8, True), (7, 64, False), (64, 7, False)],
    ids=["eight-rows", "eight-filters", "seven-rows", "seven-filters"],
)
def test_products_of_fewer_than_eight_rows_or_filters_have_other_kernels(
    rows: int, filters: int, loses: bool
) -> None:
    """A tile of 64 × 64 of which 8 rows are used is computed eight times too often."""
    found = waves_factor([MatrixProduct(rows, 64, filters, rows * 64)], 1)
    assert found == (64 / 8 if loses else 1)


@pytest.mark.parametrize(("rows", "filters"), [(8, 1024), (1024, 8)], ids=["rows", "filters"])
def test_a_product_of_eight_rows_is_read_again_and_one_of_seven_is_not(rows: int, filters: int) -> None:
    """Four tiles of 256 cover the long side; three of them read the short side's operand again."""
    product = MatrixProduct(rows, 16, filters, rows * 16, operand_bytes=1)
    assert reread_bytes([product]) == 3 * 8 * 16
    one_less = {8: 7}
    sizes = one_less.get(rows, rows), one_less.get(filters, filters)
    assert reread_bytes([replace(product, outputs_each=sizes[0], filters=sizes[1])]) == 0


@settings(max_examples=25)
@given(
    sizes=st.tuples(st.integers(8, 700), st.integers(1, 900), st.integers(8, 400)),
    repeats=st.integers(1, 3),
    multiprocessors=st.integers(1, 20),
)
@example(sizes=(64, 512, 64), repeats=1, multiprocessors=2)  # two pieces of 256 terms each, just enough
def test_the_factor_is_that_of_the_best_schedule(
    sizes: tuple[int, int, int], repeats: int, multiprocessors: int
) -> None:
    t, k, n = sizes
    product = MatrixProduct(t, k, n, t * k, repeats)
    least = min(
        scheduled(product, multiprocessors, *tile, pieces)
        for tile in TILES
        for pieces in PIECES
        if pieces == 1 or k // pieces >= 256
    )
    found = waves_factor([product], multiprocessors)
    assert found == pytest.approx(least * multiprocessors / product.sites)
    assert found >= 1


def read_by_tiles(product: MatrixProduct, high: int, wide: int) -> int:
    """Elements that all tiles of one size read, tile by tile: rows × K of one operand, K × columns of the
    other."""
    t, k, n = product.outputs_each, product.depth, product.filters
    read = 0
    for row in range(0, t, high):
        for column in range(0, n, wide):
            read += min(high, t - row) * k + k * min(wide, n - column)
    return product.repeats * read


@settings(max_examples=50)
@given(
    sizes=st.tuples(st.integers(8, 900), st.integers(1, 40), st.integers(8, 700)), repeats=st.integers(1, 3)
)
def test_tiles_read_again_what_the_best_size_reads_beyond_each_operand_once(
    sizes: tuple[int, int, int], repeats: int
) -> None:
    t, k, n = sizes
    product = MatrixProduct(t, k, n, t * k, repeats, operand_bytes=2)
    least = min(read_by_tiles(product, *tile) for tile in TILES)
    assert reread_bytes([product]) == 2 * (least - repeats * (t * k + k * n))


def test_overlapping_windows_are_read_once_and_small_products_nothing_again() -> None:
    # 256 columns and more: at best two tiles beside each other, each of which reads the image.
    assert reread_bytes([MatrixProduct(128, 9 * 64, 512, 64 * 100, operand_bytes=1)]) == 64 * 100
    assert reread_bytes([MatrixProduct(4096, 9, 4, 4096)]) == 0


@pytest.mark.parametrize(
    ("dtype", "arithmetic", "operand_bytes"),
    [
        pytest.param(torch.float32, Arithmetic.MAC, 4, id="fp32"),
        pytest.param(torch.float16, Arithmetic.MAC, 2, id="fp16"),
        pytest.param(torch.float32, Arithmetic.ADDER, 4, id="adder"),
        pytest.param(torch.float32, Arithmetic.XNOR, 1 / 8, id="xnor"),
    ],
)
def test_products_know_the_width_of_their_operands(
    dtype: torch.dtype, arithmetic: Arithmetic, operand_bytes: float
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 4, 10)).to(dtype)
    trace = addercost.trace_model(model, torch.zeros(1, 3, 4, 4, dtype=dtype))
    layers = count(trace, "macs", arithmetic=arithmetic).layers
    products = [p for layer in layers for call in layer.calls or () for p in matrix_products(call)[0]]
    assert [product.operand_bytes for product in products] == [operand_bytes] * 2


def test_roofline_is_bound_by_l2_where_tiles_read_more_than_it_gives() -> None:
    """8192³ in fp16 on an H100: tiles of 256 × 128 read 32 + 64 times 8192² elements, beside each operand and
    the output once."""
    gpu = load_target("h100-sxm")
    n = 8192
    product = MatrixProduct(n, n, n, n * n, operand_bytes=2)
    again = ((n // 128 - 1) + (n // 256 - 1)) * n * n * 2
    assert reread_bytes([product]) == again
    kind = LayerKind(
        Arithmetic.MAC, ((OpClass.MUL, "fp16", n**3), (OpClass.ADD, "fp16", n**3)), n**3, 6 * n * n
    )
    (bound,) = (
        bound for bound in _bounds(gpu, kind._replace(products=(product,))) if bound.name == "L2 bandwidth"
    )
    assert gpu.l2_bandwidth_bytes_per_s is not None and gpu.clock_hz is not None
    assert bound.cycles == pytest.approx((again + 6 * n * n) / gpu.l2_bandwidth_bytes_per_s * gpu.clock_hz)
    assert bound == binding(_bounds(gpu, kind._replace(products=(product,))))
    without = replace(gpu, l2_bandwidth_bytes_per_s=None)
    assert "L2 bandwidth" not in {bound.name for bound in _bounds(without, kind)}


def _bounds(gpu: Target, kind: LayerKind) -> list[Bound]:
    engine = Engine(gpu, cost_model_named("roofline"))
    return engine.cost(engine.lower(operations_of(kind)), moved_by(kind, gpu.multiprocessors)).bounds


@pytest.mark.parametrize(("name", "says"), [("h100-sxm", "at 9.7 TB/s"), ("l4", "has no bandwidth of L2")])
def test_roofline_says_what_it_takes_of_l2(name: str, says: str) -> None:
    counts = addercost.profile("zoo:lenet5-bn", cpus=[]).counts
    assert any(says in text for text in estimate(counts, load_target(name), "roofline").assumptions)


def test_whole_waves_of_whole_tiles_lose_nothing() -> None:
    # 82 multiprocessors, 82 tiles of 128 × 128.
    assert waves_factor([MatrixProduct(82 * 128, 64, 128, 0)], 82) == 1
    # One pixel more starts another wave, which the smallest tiles make least of: 330 of them are five waves.
    assert waves_factor([MatrixProduct(82 * 128 + 1, 64, 128, 0)], 82) == pytest.approx(
        5 * 82 * 64 * 64 / ((82 * 128 + 1) * 128)
    )


def test_depthwise_layers_and_layers_without_products_lose_nothing() -> None:
    assert waves_factor([MatrixProduct(3136, 9, 1, 3136, repeats=64)], 82) == 1
    assert waves_factor([], 82) == 1


def test_a_processor_and_layers_without_products_have_no_waves() -> None:
    products = (MatrixProduct(100, 100, 100, 0),)
    kind = LayerKind(Arithmetic.MAC, (), 1_000_000, 0.0, None, products)
    assert moved_by(kind).waves == 1
    assert moved_by(kind._replace(products=None), 82).waves == 1
    assert moved_by(kind, 82).waves == waves_factor(products, 82) > 1


def test_throughput_and_roofline_of_a_gpu_are_longer_by_the_factor() -> None:
    gpu = load_target("rtx-3090")
    trace = addercost.trace_model("zoo:resnet20-cifar")
    counts = addercost.profile(trace, convention="macs", cpus=[]).counts
    without = replace(counts, layers=tuple(replace(layer, calls=None) for layer in counts.layers))
    with_waves, bare = (estimate(side, gpu, "throughput") for side in (counts, without))
    for layer, longer, shorter in zip(counts.layers, with_waves.layers, bare.layers, strict=True):
        if layer.mac_sites:
            products = [p for call in layer.calls or () for p in matrix_products(call)[0]]
            assert longer.cycles == pytest.approx(shorter.cycles * waves_factor(products, 82))
