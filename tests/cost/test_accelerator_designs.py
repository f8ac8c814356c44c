"""Many designs at once: each costs what it costs alone; fronts are those of all pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator import designs
from addercost.cost.accelerator.designs import SUM_FORMATS, Designs, DesignSpace, costed_designs, fronts
from addercost.cost.accelerator.element import element_of
from addercost.cost.accelerator.estimate import estimate_accelerator
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware import load_accelerator, load_energy

TPU, NM45 = load_accelerator("tpu-like"), load_energy("45nm")
PRODUCTS = [
    MatrixProduct(3136, 576, 64, 64 * 3136),
    MatrixProduct(49, 4608, 512, 512 * 49, repeats=2),
    MatrixProduct(3136, 576, 64, 64 * 3136),
    MatrixProduct(3136, 9, 1, 3136, repeats=64),
    MatrixProduct(1, 512, 1000, 512),
]
SPACE = DesignSpace(
    TPU,
    (8, 100),
    (16, 256),
    ("weight-stationary", "output-stationary", "input-stationary"),
    (Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR, Arithmetic.SHIFT, Arithmetic.TERNARY),
    ("int8", "fp32"),
)


def of_kind(kind: Arithmetic) -> list[MatrixProduct]:
    return [replace(product, arithmetic=kind) for product in PRODUCTS]


def test_each_design_costs_what_it_costs_alone() -> None:
    found = costed_designs(PRODUCTS, SPACE, NM45)
    assert len(found.cycles) == SPACE.size == 2 * 2 * 3 * 5 * 2
    for i in range(len(found.cycles)):
        kind = SPACE.kinds[found.kind[i]]
        number_format = SPACE.number_formats[found.number_format[i]]
        accelerator = replace(
            TPU,
            rows=int(found.rows[i]),
            columns=int(found.columns[i]),
            dataflow=SPACE.dataflows[found.dataflow[i]],
            number_format=number_format,
            accumulator_format=SUM_FORMATS[number_format],
        )
        alone = estimate_accelerator([("all", of_kind(kind))], accelerator, NM45)
        assert found.cycles[i] == pytest.approx(alone.cycles, rel=1e-12)
        assert found.seconds[i] == pytest.approx(alone.seconds, rel=1e-12)
        assert found.energy_j[i] == pytest.approx(alone.total_j, rel=1e-12)


def test_the_area_is_that_of_an_element_at_every_place() -> None:
    found = costed_designs(PRODUCTS, SPACE, NM45)
    for i in range(len(found.area_mm2)):
        number_format = SPACE.number_formats[found.number_format[i]]
        element = element_of(
            SPACE.kinds[found.kind[i]], number_format, SUM_FORMATS[number_format], NM45
        ).area_um2
        area_mm2 = np.nan if element is None else element * 1e-6 * found.rows[i] * found.columns[i]
        assert found.area_mm2[i] == pytest.approx(area_mm2, rel=1e-12, nan_ok=True)
    assert np.isfinite(found.area_mm2).any()


def test_designs_without_a_figure_are_left_out_and_counted() -> None:
    # The 40 nm table has no fp16 figures, and 32-bit ones of integers alone.
    found = costed_designs(PRODUCTS, replace(SPACE, number_formats=("fp16",)), load_energy("40nm"))
    assert len(found.cycles) + found.left_out == SPACE.size // 2
    assert found.left_out and any("fp16" in text for text in found.missing)


def test_fronts_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(7)
    n = 400
    seconds, energy = random.integers(1, 30, (2, n)).astype(float)
    kind, number_format = random.integers(0, 5, n), random.integers(0, 2, n)
    area = random.integers(1, 5, n).astype(float)
    none = np.zeros(n, dtype=np.int64)
    made = Designs(SPACE, none, none, none, kind, number_format, seconds, seconds, energy, area, 0, (), ())
    chosen = random.random(n) < 0.8

    def beats(a: int, b: int) -> bool:
        return (
            seconds[a] <= seconds[b]
            and energy[a] <= energy[b]
            and (seconds[a] < seconds[b] or energy[a] < energy[b])
        )

    best = fronts(made, chosen)
    for e in range(5):
        for f in range(2):
            own = [i for i in range(n) if chosen[i] and kind[i] == e and number_format[i] == f]
            unbeaten = {(seconds[i], energy[i]) for i in own if not any(beats(j, i) for j in own)}
            shown = [i for i in best if kind[i] == e and number_format[i] == f]
            assert sorted((seconds[i], energy[i]) for i in shown) == sorted(unbeaten)
            for i in shown:
                equal = [j for j in own if (seconds[j], energy[j]) == (seconds[i], energy[i])]
                assert area[i] == min(area[j] for j in equal)


@pytest.mark.parametrize("cells", [1, 9, 10_000])
def test_arrays_are_costed_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    """Of one array, of two (four distinct layers each), and all at once."""
    space = replace(SPACE, kinds=(Arithmetic.MAC,), dataflows=("weight-stationary",))
    whole = costed_designs(PRODUCTS, space, NM45)
    monkeypatch.setattr(designs, "_CELLS", cells)
    parted = costed_designs(PRODUCTS, space, NM45)
    np.testing.assert_allclose(parted.cycles, whole.cycles, rtol=1e-12)
    np.testing.assert_allclose(parted.energy_j, whole.energy_j, rtol=1e-12)
    assert [(part.start, part.stop) for part in designs._parts(5, 2)] == [(0, 2), (2, 4), (4, 6)]


def test_a_network_without_products_takes_nothing_on_any_array() -> None:
    found = costed_designs([], SPACE, NM45)
    assert len(found.cycles) == SPACE.size
    assert not found.cycles.any() and not found.energy_j.any()


def test_without_a_figure_for_any_element_no_design_is_left() -> None:
    space = replace(SPACE, number_formats=("fp16",), kinds=(Arithmetic.MAC,))
    found = costed_designs(PRODUCTS, space, load_energy("40nm"))
    assert (len(found.cycles), found.left_out) == (0, space.size)
    assert fronts(found, np.zeros(0, dtype=bool)) == []


def test_areas_are_no_reason_to_leave_a_design_out() -> None:
    found = costed_designs(PRODUCTS, SPACE, NM45)
    assert not any("area" in text for text in found.missing)
    assert set(SUM_FORMATS.items()) == {
        ("int8", "int32"), ("int16", "int32"), ("fp16", "fp32"), ("fp32", "fp32"),
    }  # fmt: skip
