"""The description of a layer and of an array that ZigZag gets: folds, levels of memory, ports and loops."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator import mapping_search as search
from addercost.cost.accelerator.dataflow import MOVING
from addercost.cost.accelerator.element import Element
from addercost.counts.matrix_products import MatrixProduct
from addercost.errors import ArgumentError
from addercost.hardware import load_accelerator
from addercost.hardware.schema.accelerator import Dataflow, Operand

TPU = load_accelerator("tpu-like")
EYERISS = load_accelerator("eyeriss-like")
DATAFLOWS: list[Dataflow] = ["weight-stationary", "output-stationary", "input-stationary"]
BITS: dict[Operand, int] = {"input": 8, "filter": 4, "output": 32}


def test_loops_can_be_cut_at_prime_factors_up_to_seven() -> None:
    """A number has no other prime factor if it divides a high enough power of 2·3·5·7."""
    for folds in range(1, 200):
        smooth = next(n for n in range(folds, 400) if 210**9 % n == 0)
        assert search._smooth(folds) == smooth


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("sizes", [(784, 300, 17 * 14), (1, 12, 15), (5000, 7, 1)], ids=str)
def test_folds_are_equal_and_their_padding_is_less_than_one_row_of_each(
    dataflow: Dataflow, sizes: tuple[int, int, int]
) -> None:
    layer = dict(zip("tkn", sizes, strict=True))
    array = replace(EYERISS, dataflow=dataflow)
    padded, unrolled = search._in_whole_folds(layer, array)
    on_array = [name for name in "tkn" if name != MOVING[dataflow]]
    assert sorted(unrolled) == sorted(on_array)
    assert padded[MOVING[dataflow]] == layer[MOVING[dataflow]]
    sides = search._SIDES[dataflow]
    for name, side in zip(sides, (array.rows, array.columns), strict=True):
        folds, rest = divmod(padded[name], unrolled[name])
        assert not rest and folds >= layer[name] / side and search._smooth(folds) == folds
        assert unrolled[name] <= side
        assert 0 <= padded[name] - layer[name] < folds


def test_seventeen_folds_become_eighteen() -> None:
    """4,352 filters on 256 columns: 18 folds of ⌈4352 / 18⌉ = 242."""
    padded, unrolled = search._in_whole_folds({"t": 5, "k": 300, "n": 17 * 256}, TPU)
    assert (padded, unrolled) == ({"t": 5, "k": 300, "n": 18 * 242}, {"k": 150, "n": 242})


@pytest.mark.parametrize(
    ("dataflow", "kept"),
    [
        ("weight-stationary", ["filter", "output"]),
        ("output-stationary", ["output"]),
        ("input-stationary", ["input", "output"]),
    ],
)
def test_registers_keep_the_stationary_operand_and_sums(dataflow: Dataflow, kept: list[str]) -> None:
    levels = search._levels(replace(EYERISS, dataflow=dataflow))
    outer = [(name, memory.memory, operands) for name, memory, operands in levels[len(kept) :]]
    assert [(name, operands) for name, _, operands in levels[: len(kept)]] == [
        (f"registers {operand}", (operand,)) for operand in kept
    ]
    every = ("input", "filter", "output")
    assert outer == [("global buffer", "global buffer", every), ("dram", "dram", every)]


def test_a_register_has_a_port_for_each_movement() -> None:
    """Sums come from above and from the multiplier (fh, fl: written), and go to both (tl, th: read)."""
    register = EYERISS.memories[0]
    made = search._memory(register, ("output",), BITS)
    moves = {port["name"]: (port["type"], port["allocation"]) for port in made["ports"]}
    assert moves == {
        "r_port_1": ("read", ["O, tl"]),
        "r_port_2": ("read", ["O, th"]),
        "w_port_1": ("write", ["O, fh"]),
        "w_port_2": ("write", ["O, fl"]),
    }
    # One sum of 32 bits, moved whole: 4 bytes at the energy of each.
    assert (made["size"], made["served_dimensions"], made["operands"]) == (32, [], ["O"])
    assert {(port["bandwidth_min"], port["bandwidth_max"]) for port in made["ports"]} == {(32, 32)}
    assert made["r_cost"] == made["w_cost"] == pytest.approx(4 * register.energy_pj_per_byte)


@pytest.mark.parametrize(
    ("size_bytes", "bytes_per_cycle", "size", "width"),
    [
        pytest.param(1000, 16, 8000, 128, id="known"),
        pytest.param(None, 16, 8 * 10**9, 128, id="no limit of size"),
        pytest.param(1000, None, 8000, 512, id="no limit of bytes a cycle"),
    ],
)
def test_a_buffer_has_one_port_as_wide_as_its_bytes_a_cycle(
    size_bytes: int | None, bytes_per_cycle: float | None, size: int, width: int
) -> None:
    buffer = replace(
        EYERISS.memories[1], size_bytes=size_bytes, bytes_per_cycle=bytes_per_cycle, energy_pj_per_byte=3.0
    )
    made = search._memory(buffer, ("input", "filter"), BITS)
    (port,) = made["ports"]
    assert (made["size"], port["bandwidth_min"], port["bandwidth_max"]) == (size, 8, width)
    assert made["r_cost"] == made["w_cost"] == 3.0 * width / 8
    assert port["type"] == "read_write"
    assert port["allocation"] == ["I1, fh", "I1, tl", "I2, fh", "I2, tl"]
    assert (made["operands"], made["served_dimensions"]) == (["I1", "I2"], ["D1", "D2"])
    assert (made["area"], made["latency"]) == (0, 1)


def test_the_array_is_as_wide_as_its_columns_and_costs_nothing_itself() -> None:
    """Energy and area of the elements are ours."""
    made = search._hardware(EYERISS, search._levels(EYERISS), BITS)
    assert made["operational_array"] == {
        "unit_energy": 0.0,
        "unit_area": 1,
        "dimensions": ["D1", "D2"],
        "sizes": [EYERISS.columns, EYERISS.rows],
    }
    assert list(made["memories"]) == ["registers output", "global buffer", "dram"]


def test_the_loops_of_a_layer_are_pixels_filters_and_terms() -> None:
    """O[b][k] is the sum over c of I[b][c]·W[c][k]; a finished sum is as wide as an input."""
    made = search._workload({"t": 5, "k": 7, "n": 11}, BITS)
    assert dict(zip(made["loop_dims"], made["loop_sizes"], strict=True)) == {"B": 5, "K": 11, "C": 7}
    assert made["operand_precision"] == {"W": 4, "I": 8, "O": 32, "O_final": 8}
    assert made["equation"] == "O[b][k]+=I[b][c]*W[c][k]"
    # The layer has no number of its own, and both of its operands come from outside.
    assert (made["id"], made["operand_source"]) == (0, {"I": 0, "W": 0})


class Moves(Enum):
    """The movements that ZigZag charges, by its names."""

    RD_OUT_TO_LOW = 1
    WR_IN_BY_LOW = 2
    RD_OUT_TO_HIGH = 3
    WR_IN_BY_HIGH = 4


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """What a ZigZag that searches nothing was asked. Every movement takes 8 pJ; the array alone takes 100
    cycles, and 140 with its memories."""
    found: list[SimpleNamespace] = []

    def performance(layers: Any, hardware: str, mapping: str, **options: Any) -> tuple[Any, ...]:
        made = yaml.safe_load(Path(hardware).read_text()), yaml.safe_load(Path(mapping).read_text())
        found.append(SimpleNamespace(layers=layers, hardware=made[0], mapping=made[1], options=options))
        serves = [memory["operands"] for memory in made[0]["memories"].values()]
        moves = dict.fromkeys(Moves, 8.0)
        by_operand = {
            operand: [moves for operands in serves if name in operands]
            for operand, name in made[1][0]["memory_operand_links"].items()
        }
        cost = SimpleNamespace(
            ideal_temporal_cycle=100, latency_total2=140, mem_energy_breakdown_further=by_operand
        )
        return 0.0, 0.0, [[cost]]

    port = "zigzag.hardware.architecture.memory_port"
    for name in ("zigzag", "zigzag.api", "zigzag.hardware", "zigzag.hardware.architecture", port):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(
        sys.modules["zigzag.api"], "get_hardware_performance_zigzag", performance, raising=False
    )
    monkeypatch.setattr(sys.modules[port], "DataDirection", Moves, raising=False)
    monkeypatch.setattr(search, "_searched", search._searched.__wrapped__)
    return found


ELEMENT = Element(Arithmetic.MAC, 1, 0.5, 4, 2.0, None, (), ())
"""Inputs of a byte, filters of half a byte, sums of four; 2 pJ a site."""


def test_a_search_is_for_the_padded_layer_on_the_array(asked: list[SimpleNamespace]) -> None:
    """17 folds of 256 filters become 18 of 242, and 300 terms two folds of 150."""
    found = search.searched_cost(MatrixProduct(5, 300, 17 * 256, 5 * 75, repeats=3), TPU, ELEMENT)
    (one,) = asked
    (layer,) = one.layers
    assert layer["loop_sizes"] == [5, 18 * 242, 300]
    assert layer["operand_precision"] == {"I": 8, "W": 4, "O": 32, "O_final": 8}
    assert one.mapping[0]["spatial_mapping"] == {"D1": ["K, 242"], "D2": ["C, 150"]}
    assert one.mapping[0]["memory_operand_links"] == {"I": "I1", "W": "I2", "O": "O"}
    assert one.hardware["operational_array"]["sizes"] == [TPU.columns, TPU.rows]
    assert one.options["opt"] == "energy"
    # Three products after each other; the elements compute the sites of the layer, not of its padding.
    assert (found.compute_cycles, found.cycles) == (300, 420)
    assert found.energy_pj["elements"] == 3 * 5 * 300 * 17 * 256 * 2.0


@pytest.mark.parametrize("buffered", [True, False], ids=["buffer", "no buffer"])
def test_overlapping_windows_are_fetched_once_into_a_buffer(
    asked: list[SimpleNamespace], buffered: bool
) -> None:
    """A quarter of the windows is distinct, so the two movements that bring inputs from DRAM into a buffer
    take 2 pJ in place of 8. Without a buffer the array fetches every window from DRAM."""
    array = replace(EYERISS, memories=EYERISS.memories if buffered else EYERISS.memories[::2])
    found = search.searched_cost(MatrixProduct(784, 300, 140, 784 * 75), array, ELEMENT)
    whole = 4 * 8.0
    fetched = whole - 6.0 if buffered else whole
    expected = {"registers": whole, "global buffer": fetched + 2 * whole, "dram": fetched + 2 * whole}
    del found.energy_pj["elements"]
    assert found.energy_pj == {memory.memory: expected[memory.memory] for memory in array.memories}


def test_what_finds_no_mapping_names_the_product(
    asked: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And logging is as it was."""

    def none(*given: Any, **options: Any) -> None:
        assert logging.root.manager.disable == logging.CRITICAL
        raise IndexError

    before = logging.root.manager.disable
    monkeypatch.setattr(sys.modules["zigzag.api"], "get_hardware_performance_zigzag", none)
    with pytest.raises(ArgumentError, match=r"a product of 5 × 300 by 300 × 999 on tpu-like: IndexError"):
        search.searched_cost(MatrixProduct(5, 300, 999, 1500), TPU, ELEMENT)
    assert logging.root.manager.disable == before


@pytest.mark.parametrize(("t", "searches"), [(1, 0), (2, 1)], ids=["one step", "two steps"])
def test_one_step_of_the_array_is_not_searched(asked: list[SimpleNamespace], t: int, searches: int) -> None:
    search.searched_cost(MatrixProduct(t, 120, 84, t * 120), TPU, ELEMENT)
    assert len(asked) == searches
