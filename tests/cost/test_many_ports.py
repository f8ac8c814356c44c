"""Bounds of many groups of ports, where not every union of them is looked at; memory of this machine."""

from __future__ import annotations

import os
from itertools import combinations

import pytest

from addercost.cost import target_registry
from addercost.cost.bounds import Bound, binding, port_bounds, unknown_port_bounds
from addercost.cost.target import Target
from addercost.hardware import Form, Instruction, Quality

MINE = Target("mine", "Mine", ())


def row(op: str, ports: str, form: Form = Form.VECTOR, cycles: float = 1.0) -> Instruction:
    return Instruction(
        op, form, 128, 4, op, 1, None, None, cycles, None, None, 1, ports, Quality.MODEL, "own"
    )


@pytest.mark.parametrize(
    ("groups", "sizes"),
    [
        pytest.param(10, range(1, 11), id="every union of ten"),
        pytest.param(11, (1, 2, 11), id="of eleven one, two and all"),
    ],
)
def test_unions_of_groups_of_ports(groups: int, sizes: range | tuple[int, ...]) -> None:
    """Each group is one port of its own with one cycle of work, so every union is bound by one cycle."""
    ports = [f"p{i:02}" for i in range(groups)]
    bounds = port_bounds(MINE, [(row(f"op{i}", port), 1) for i, port in enumerate(ports)])
    expected = ["|".join(chosen) for size in sizes for chosen in combinations(ports, size)]
    names = [bound.name.removeprefix("ports ").removeprefix("port ") for bound in bounds]
    assert sorted(names) == sorted(expected)
    assert all(bound.cycles == 1 for bound in bounds)


@pytest.mark.parametrize(
    ("ops", "form", "pool"),
    [
        pytest.param(("fp32_add", "int8_add"), Form.VECTOR, "vector units", id="vectors"),
        pytest.param(("fp32_add", "bf16_mul"), Form.SCALAR, "floating-point units", id="scalar floats"),
        pytest.param(("int32_add", "xor"), Form.SCALAR, "scalar units", id="scalar integers"),
        pytest.param(("fp16_mmla", "int8_mmla"), Form.MATRIX, "matrix unit", id="matrices"),
    ],
)
def test_instructions_without_ports_share_the_pool_of_their_registers(
    ops: tuple[str, str], form: Form, pool: str
) -> None:
    work = [(row(ops[0], "", form, 0.5), 4), (row(ops[1], "", form, 2.0), 3)]
    assert unknown_port_bounds(MINE, work) == [(f"{pool}, ports unknown", 4 * 0.5 + 3 * 2)]
    # One alone is bound by its own rate, and one whose ports are known is in no pool.
    assert unknown_port_bounds(MINE, [work[0], (row("a", "A", form), 9)]) == []


def test_scalar_floats_and_integers_run_on_units_of_their_own() -> None:
    work = [(row(op, "", Form.SCALAR), 1) for op in ("fp32_add", "int32_add")]
    assert unknown_port_bounds(MINE, work) == []


def test_the_first_of_equal_bounds_binds_and_no_bound_is_nothing() -> None:
    assert binding([Bound("a", 1), Bound("b", 2), Bound("c", 2)]).name == "b"
    assert binding([]) == Bound("nothing", 0)


def test_the_memory_of_a_machine_is_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert target_registry._memory_of_this_machine() == 4_096_000

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert target_registry._memory_of_this_machine() is None
