"""Tiles: what loops over them fetch, tile by tile; how near the chosen tiles are to the best of all tiles."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.dataflow import MOVING, sides
from addercost.cost.accelerator.element import element_of
from addercost.cost.accelerator.product import shape_cost
from addercost.cost.accelerator.tiling import OPERANDS, Shape, best_traffic
from addercost.cost.arrays import MANY_LAYERS
from addercost.cost.columns import ONE_LAYER
from addercost.hardware import load_accelerator, load_energy

EYERISS = load_accelerator("eyeriss-like")
TPU = load_accelerator("tpu-like")
MAC = element_of(Arithmetic.MAC, "int16", "int32", load_energy("45nm"))
DIMENSIONS = {"input": "tk", "filter": "kn", "output": "tn"}
DATAFLOWS = ["weight-stationary", "output-stationary", "input-stationary"]


def with_buffer(size_bytes, dataflow):
    """The Eyeriss-like array with one buffer for everything."""
    memories = tuple(
        replace(memory, size_bytes=size_bytes) if memory.role == "buffer" else memory
        for memory in EYERISS.memories
    )
    return replace(EYERISS, dataflow=dataflow, memories=memories)


@cache
def fetched(order, trips):
    """Tiles of each operand that a loop nest fetches, where one tile of each is kept. order: from the
    outermost to the innermost loop; trips: of each of them."""
    last: dict[str, tuple[int, ...]] = {}
    count = dict.fromkeys(OPERANDS, 0)
    for steps in product(*map(range, trips)):
        at = dict(zip(order, steps, strict=True))
        for operand, dims in DIMENSIONS.items():
            tile = tuple(at[name] for name in dims)
            if last.get(operand) != tile:
                last[operand] = tile
                count[operand] += 1
    return count


def dram_bytes(shape, tile, order):
    """Bytes through DRAM of a loop nest over whole tiles, by its simulation."""
    size = {"t": shape.t, "k": shape.k, "n": shape.n}
    trips = {name: math.ceil(size[name] / tile[name]) for name in "tkn"}
    count = fetched(order, tuple(trips[name] for name in order))
    distinct = {"input": shape.inputs * 2, "filter": shape.k * shape.n * 2}
    total = 0
    for operand, n_bytes in distinct.items():
        one, other = DIMENSIONS[operand]
        total += n_bytes * count[operand] // (trips[one] * trips[other])
    written = count["output"] // (trips["t"] * trips["n"])
    return total + shape.t * shape.n * (2 + 2 * (written - 1) * 4)


def least_by_all_tiles(shape, accelerator, size_bytes):
    """The least DRAM bytes of all tiles of whole folds that fit and all six loop orders, or None."""
    size = {"t": shape.t, "k": shape.k, "n": shape.n}
    side = sides(accelerator.dataflow, shape.rows, shape.columns)
    choices = {
        name: sorted(
            {min(size[name], side[name] * i) for i in range(1, math.ceil(size[name] / side[name]) + 1)}
        )
        for name in "tkn"
    }
    found = [
        dram_bytes(shape, dict(zip("tkn", tile, strict=True)), order)
        for tile in product(*choices.values())
        if tile[0] * tile[1] * 2 + tile[1] * tile[2] * 2 + tile[0] * tile[2] * 4 <= size_bytes
        for order in permutations("tkn")
    ]
    return min(found, default=None)


SIZES = st.tuples(*[st.integers(1, 18)] * 3)


@settings(max_examples=25)
@given(
    sizes=SIZES,
    side=st.tuples(*[st.integers(1, 4)] * 2),
    room=st.integers(20, 1500),
    dataflow=st.sampled_from(DATAFLOWS),
)
def test_traffic_is_near_the_least_of_all_tiles_and_loop_orders(sizes, side, room, dataflow):
    t, k, n = sizes
    shape = Shape(t, k, n, t * k, *side)
    accelerator = with_buffer(room, dataflow)
    # DRAM alone counts, as in the oracle.
    accelerator = replace(
        accelerator,
        memories=tuple(
            replace(m, energy_pj_per_byte=1e-9) if m.role == "buffer" else m for m in accelerator.memories
        ),
    )
    dram = sum(best_traffic(shape, accelerator, MAC, ONE_LAYER).dram)
    assert dram >= 2 * (t * k + k * n + t * n)
    least = least_by_all_tiles(shape, accelerator, room)
    if least is not None:
        assert dram <= 1.25 * least


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_many_layers_at_once_cost_what_each_costs_alone(dataflow):
    shapes = [
        Shape(t, k, n, t * k // 2 + 1, rows, columns)
        for (t, k, n), (rows, columns) in product(
            [(3136, 576, 64), (49, 4608, 512), (1, 512, 1000), (7, 3, 5)], [(12, 14), (128, 32), (1, 256)]
        )
    ]
    accelerator = with_buffer(60_000, dataflow)
    together = shape_cost(
        Shape(*(np.array(column, dtype=np.float64) for column in zip(*shapes, strict=True))),
        accelerator,
        MAC,
        MANY_LAYERS,
    )
    for i, shape in enumerate(shapes):
        alone = shape_cost(shape, accelerator, MAC, ONE_LAYER)
        assert together.cycles[i] == pytest.approx(alone.cycles, rel=1e-12)
        assert together.compute_cycles[i] == pytest.approx(alone.compute_cycles, rel=1e-12)
        assert {level: pj[i] for level, pj in together.energy_pj.items()} == pytest.approx(alone.energy_pj)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_what_moves_through_the_array_is_cut_where_sums_do_not_fit(dataflow):
    """Every chunk fills the array anew, and the stationary operand enters it once a chunk."""
    t, k, n = 400, 300, 200
    shape = Shape(t, k, n, t * k, 8, 8)
    found = best_traffic(shape, with_buffer(6000, dataflow), MAC, ONE_LAYER)
    assert found.chunks > 1
    moving = {"t": t, "k": k, "n": n}[MOVING[dataflow]]
    stationary = {"weight-stationary": "filter", "input-stationary": "input", "output-stationary": "output"}
    edge = dict(zip(OPERANDS, found.edge, strict=True))[stationary[dataflow]]
    chunks = found.chunks
    # Output-stationary sums leave once a chunk and come again for all but the first.
    expected = {
        "filter": k * n * 2 * chunks,
        "input": t * k * 2 * chunks,
        "output": t * n * 4 * (2 * chunks - 1),
    }
    assert edge == expected[stationary[dataflow]]
    assert math.ceil(moving / chunks) >= 16  # r + c
