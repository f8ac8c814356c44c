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
from addercost.cost.accelerator import tiling
from addercost.cost.accelerator.dataflow import MOVING, sides
from addercost.cost.accelerator.element import element_of
from addercost.cost.accelerator.product import shape_cost
from addercost.cost.accelerator.tiling import OPERANDS, Shape, Traffic, _Layer, best_traffic
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


def dram_bytes(shape, tile, order, least_innermost=1):
    """Bytes through DRAM of a loop nest over whole tiles, by its simulation. least_innermost: so many trips
    at least, as where nothing is made of a single one."""
    size = {"t": shape.t, "k": shape.k, "n": shape.n}
    trips = {name: math.ceil(size[name] / tile[name]) for name in "tkn"}
    trips[order[-1]] = max(trips[order[-1]], least_innermost)
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


def layer_of(shape, dataflow, room):
    return _Layer(shape, with_buffer(room, dataflow), MAC, ONE_LAYER)


def needs(tile):
    """Bytes of a tile's inputs, filters and sums, which are 2, 2 and 4 bytes wide."""
    return 2 * tile["t"] * tile["k"] + 2 * tile["k"] * tile["n"] + 4 * tile["t"] * tile["n"]


def one_fold(shape, dataflow):
    side = sides(dataflow, shape.rows, shape.columns)
    return {name: min(getattr(shape, name), side[name]) for name in "tkn"}, side


SMALL = {
    "sizes": st.tuples(*[st.integers(1, 14)] * 3),
    "side": st.tuples(*[st.integers(1, 3)] * 2),
    "dataflow": st.sampled_from(DATAFLOWS),
}


@settings(max_examples=40)
@given(
    **SMALL,
    room=st.integers(20, 800),
    innermost=st.sampled_from("tkn"),
    share=st.sampled_from([1.0, 0.25]),
)
def test_a_tiled_layer_moves_what_loops_over_some_tiles_move(sizes, side, dataflow, room, innermost, share):
    """Tiles of whole folds that fit together, and the loop over one dimension inside the two others. That
    this loop may have a single trip is left to the way that has another loop there."""
    shape = Shape(*sizes, sizes[0] * sizes[1], *side)
    smallest, steps = one_fold(shape, dataflow)
    layer = layer_of(shape, dataflow, room)
    for others in permutations([name for name in "tkn" if name != innermost]):
        fits, moved = layer.tiled(innermost, (*others, innermost), share)
        assert bool(fits) == (needs(smallest) <= room)
        if not fits:
            continue
        lengths = {name: {min(getattr(shape, name), steps[name] * i) for i in range(1, 15)} for name in "tkn"}
        possible = {
            dram_bytes(shape, dict(zip("tkn", tile, strict=True)), (*others, innermost), 2)
            for tile in product(*(lengths[name] for name in "tkn"))
            if needs(dict(zip("tkn", tile, strict=True))) <= room
        }
        assert sum(moved.dram) in possible


@settings(max_examples=60)
@given(**SMALL, room=st.integers(20, 800), name=st.sampled_from("tkn"))
def test_a_side_of_a_tile_grows_as_far_as_the_buffer_holds_it(sizes, side, dataflow, room, name):
    """In whole folds; the last one may be short."""
    shape = Shape(*sizes, sizes[0] * sizes[1], *side)
    tile, steps = one_fold(shape, dataflow)
    if needs(tile) > room:
        return
    lengths = [min(getattr(shape, name), steps[name] * i) for i in range(1, 15)]
    longest = max(length for length in lengths if needs({**tile, name: length}) <= room)
    assert layer_of(shape, dataflow, room)._grown(tile, name, 1.0) == longest


def test_a_share_of_the_room_is_left_for_the_other_sides():
    """1 × 1 elements; each pixel takes 2·10 bytes of inputs and 4·1 of sums. A buffer of 24·11 + 20 bytes
    holds eleven: half of the room for ten more is five."""
    shape = Shape(100, 10, 1, 1000, 1, 1)
    tile = {"t": 1, "k": 10, "n": 1}
    layer = layer_of(shape, "output-stationary", 24 * 11 + 20)
    assert [layer._grown(tile, "t", share) for share in (1.0, 0.5, 0.25)] == [11, 6, 3]


@pytest.mark.parametrize(
    ("energies", "kept"), [((1.0, 1.0), False), ((1.0, 0.5), True)], ids=["equal", "less"]
)
def test_of_two_ways_that_cost_the_same_the_first_is_taken(monkeypatch, energies, kept):
    ways = [Traffic(i, (0, 0, 0), (energy, 0, 0)) for i, energy in enumerate(energies)]
    monkeypatch.setattr(tiling, "_ways", lambda *given: iter([(True, way) for way in ways]))
    found = best_traffic(Shape(1, 1, 1, 1, 1, 1), EYERISS, MAC, ONE_LAYER)
    assert found == ways[kept]


def test_a_way_that_does_not_fit_is_not_taken(monkeypatch):
    ways = [(True, Traffic(0, (0, 0, 0), (2.0, 0, 0))), (False, Traffic(1, (0, 0, 0), (1.0, 0, 0)))]
    monkeypatch.setattr(tiling, "_ways", lambda *given: iter(ways))
    assert best_traffic(Shape(1, 1, 1, 1, 1, 1), EYERISS, MAC, ONE_LAYER) == ways[0][1]


@pytest.mark.parametrize(
    ("kept", "needed"),
    [({"input"}, 2 * 70), ({"filter"}, 2 * 15), ({"input", "filter"}, 2 * 70 + 2 * 15)],
    ids=["input", "filter", "both"],
)
def test_an_operand_is_kept_where_its_buffer_holds_all_of_it(kept, needed):
    """T = 14 pixels, K = 5 terms, N = 3 filters, of two bytes."""
    shape = Shape(14, 5, 3, 70, 2, 2)
    for room in (needed, needed - 1):
        fits, _ = layer_of(shape, "output-stationary", room).streamed(kept)
        assert bool(fits) is (room >= needed)


def test_what_is_not_kept_comes_once_for_each_fold_that_needs_it():
    """14 pixels on two rows are seven folds, three filters on two columns two."""
    shape = Shape(14, 5, 3, 70, 2, 2)
    layer = layer_of(shape, "output-stationary", 10**6)
    inputs, filters, sums = 2 * 70, 2 * 15, 2 * 42
    moved = {frozenset(kept): layer.streamed(kept)[1] for kept in ({"input"}, {"filter"}, set())}
    assert moved[frozenset()].dram == (2 * inputs, 7 * filters, sums)
    assert moved[frozenset({"input"})].dram == (inputs, 7 * filters, sums)
    assert moved[frozenset({"filter"})].dram == (2 * inputs, filters, sums)
    assert all(one.chunks == 1 for one in moved.values())
    # Sums of four bytes are written once.
    assert moved[frozenset()].edge == (2 * inputs, 7 * filters, 4 * 42)


def test_sums_that_are_not_kept_pass_through_dram_between_folds():
    """Five terms on two rows are three folds: two of three partial sums of four bytes go and come back."""
    layer = layer_of(Shape(14, 5, 3, 70, 2, 2), "weight-stationary", 10**6)
    for kept, spilled in ((set(), 2 * 2 * 42 * 4), ({"output"}, 0)):
        assert layer.streamed(kept)[1].dram[2] == 2 * 42 + spilled
