"""The second opinion on accelerators: ZigZag's search agrees with the closed forms, and is refused where it
cannot be asked."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from addercost.arithmetic import Arithmetic
from addercost.cli.group import cli
from addercost.cost.accelerator.estimate import element_for
from addercost.cost.accelerator.mapping_search import require_zigzag, searched_cost
from addercost.cost.accelerator.product import ELEMENTS, ProductCost, product_cost
from addercost.counts.matrix_products import MatrixProduct
from addercost.errors import ArgumentError
from addercost.hardware import list_hardware, load_accelerator, load_energy

QUICK = ("tpu-like",)
"""The accelerator whose mappings ZigZag searches fastest."""
NAMES = [
    pytest.param(file.name, marks=() if file.name in QUICK else pytest.mark.exhaustive)
    for file in list_hardware(kind="accelerator")
]


def both(
    name: str, product: MatrixProduct, kind: Arithmetic = Arithmetic.MAC
) -> tuple[ProductCost, ProductCost]:
    accelerator = load_accelerator(name)
    element = element_for(kind, accelerator, load_energy(accelerator.energy_table))
    return product_cost(product, accelerator, element), searched_cost(product, accelerator, element)


@pytest.mark.parametrize("name", NAMES)
def test_energies_agree_within_a_fifth(name: str) -> None:
    # A 1×1 layer of ResNet-18: 784 pixels, 64 channels, 128 filters.
    ours, theirs = both(name, MatrixProduct(784, 64, 128, 784 * 64))
    assert list(theirs.energy_pj) == list(ours.energy_pj)
    assert sum(theirs.energy_pj.values()) == pytest.approx(sum(ours.energy_pj.values()), rel=0.2)
    assert theirs.energy_pj[ELEMENTS] == ours.energy_pj[ELEMENTS]


def test_an_element_changes_its_own_energy_and_no_mapping() -> None:
    product = MatrixProduct(784, 64, 128, 784 * 64, repeats=3)
    (_, mac_searched), (_, adder_searched) = (
        both("tpu-like", product, kind) for kind in (Arithmetic.MAC, Arithmetic.ADDER)
    )
    assert mac_searched.cycles == adder_searched.cycles
    for level in mac_searched.energy_pj:
        same = mac_searched.energy_pj[level] == adder_searched.energy_pj[level]
        assert same == (level != ELEMENTS)


def test_repeats_and_windows_that_overlap() -> None:
    (_, once), (_, three) = (
        both("tpu-like", MatrixProduct(784, 64, 128, 784 * 64, repeats=repeats)) for repeats in (1, 3)
    )
    assert three.cycles == 3 * once.cycles
    (_, overlapping) = both("tpu-like", MatrixProduct(784, 64, 128, 784 * 16))
    # Filters and outputs stay, a quarter of the inputs is fetched.
    assert overlapping.energy_pj["dram"] < once.energy_pj["dram"]
    assert overlapping.energy_pj["registers"] == once.energy_pj["registers"]


def test_one_step_of_the_array_leaves_nothing_to_search() -> None:
    ours, theirs = both("tpu-like", MatrixProduct(1, 120, 84, 120))
    assert theirs == ours


def test_a_missing_package_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zigzag", None)
    with pytest.raises(ArgumentError) as caught:
        require_zigzag()
    assert caught.value.hint == "pip install 'addercost[accelerator]'"
    assert "zigzag-dse" in caught.value.message


def test_a_mapper_needs_an_accelerator() -> None:
    result = CliRunner().invoke(cli, ["compare", "zoo:lenet5-bn", "--mapper", "zigzag"])
    assert isinstance(result.exception, ArgumentError)
    assert result.exception.message == "--mapper needs an accelerator"
