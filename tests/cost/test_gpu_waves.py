"""Waves of tiles: the closed form against a schedule tile by tile, and what estimates make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import addercost
from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.gpu_waves import PIECES, TILES, waves_factor
from addercost.cost.layers import LayerKind, moved_by
from addercost.cost.target_registry import load_target
from addercost.counts.matrix_products import MatrixProduct, matrix_products


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


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(st.integers(8, 700), st.integers(1, 900), st.integers(8, 400)),
    repeats=st.integers(1, 3),
    multiprocessors=st.integers(1, 20),
)
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
