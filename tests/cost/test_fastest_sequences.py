"""The sequence that is charged for a site is the fastest under the limits of `bounds`, on every table."""

from itertools import product

import pytest

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import all_bounds, binding
from addercost.cost.charges import VECTOR_FORMS
from addercost.cost.sequences import SiteSequence, candidate_sequences, site_sequence
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.arithmetics import recipes
from addercost.hardware import Form, list_hardware

CPUS = [file.name for file in list_hardware(kind="cpu") if file.origin == "built-in"]
FORMATS = ("fp16", "bf16", "fp32", "fp64", "int8", "uint8", "int16", "int32")
CASES = [(a, f) for a, f in product(Arithmetic, FORMATS) if a is not Arithmetic.XNOR or f == "fp32"]


def cycles_a_site(target: Target, sequence: SiteSequence) -> float:
    return binding(all_bounds(target, sequence.executions)).cycles / sequence.sites


@pytest.mark.parametrize("name", CPUS)
def test_no_recipe_in_no_form_and_width_beats_the_one_that_is_charged(name):
    target = load_target(name)
    for arithmetic, number_format in CASES:
        candidates = list(candidate_sequences(target, arithmetic, number_format))
        chosen = site_sequence(target, arithmetic, number_format)
        assert (chosen is None) == (not candidates and not target.loops)
        if chosen is None or chosen.name == "measured inner loop":
            continue
        least = min(cycles_a_site(target, candidate) for candidate in candidates)
        assert cycles_a_site(target, chosen) == pytest.approx(least, rel=1e-9), (arithmetic, number_format)


@pytest.mark.parametrize("name", CPUS)
def test_every_recipe_whose_instructions_are_there_is_a_candidate(name):
    target = load_target(name)
    for arithmetic, number_format in CASES:
        made = {
            (sequence.name, row.form, row.vector_bits)
            for sequence in candidate_sequences(target, arithmetic, number_format)
            for row, _ in sequence.executions
        }
        for recipe, form in product(recipes(arithmetic, number_format), (*VECTOR_FORMS, Form.MATRIX)):
            widths = [{row.vector_bits for row in target.rows(op, (form,))} for op, _ in recipe.ops]
            for width in set.intersection(*widths):
                assert (recipe.name, form, width) in made


@pytest.mark.parametrize(("arithmetic", "number_format"), CASES)
def test_recipes_have_names_of_their_own(arithmetic, number_format):
    names = [recipe.name for recipe in recipes(arithmetic, number_format)]
    assert len(set(names)) == len(names)


# Rates from the shape of an instruction and its cycles, or from how many units share a site's operations.
@pytest.mark.parametrize(
    ("name", "arithmetic", "number_format", "sites_per_cycle"),
    [
        # A tile of 16 x 64 int8 by one of 64 x 16, in 16 cycles.
        pytest.param("intel-sapphirerapids", Arithmetic.MAC, "int8", 16 * 16 * 64 / 16, id="amx-int8"),
        pytest.param("intel-sapphirerapids", Arithmetic.MAC, "bf16", 16 * 16 * 32 / 16, id="amx-bf16"),
        # 4 x 8 int8 by 8 x 4, every cycle.
        pytest.param("spacemit-x60", Arithmetic.MAC, "int8", 4 * 4 * 8, id="ime"),
        # smmla: 2 x 8 int8 by 8 x 2, twice a cycle.
        pytest.param("neoverse-n2", Arithmetic.MAC, "int8", 2 * 2 * 8 * 2, id="i8mm"),
        # Two 512-bit multiply-adds a cycle, on ports 0 and 5.
        pytest.param("intel-sapphirerapids", Arithmetic.MAC, "fp32", 2 * 16, id="two-fma-units"),
        pytest.param("intel-icelake-sp", Arithmetic.MAC, "fp32", 2 * 16, id="two-fma-units-icx"),
        # A maximum and an addition of 16 lanes on two ports.
        pytest.param("intel-sapphirerapids", Arithmetic.ADDER, "fp32", 16 * 2 / 2, id="adder-two-ports"),
        # Haswell adds on port 1 alone; the sum goes to port 0 as a multiply-add: 8 lanes a cycle.
        pytest.param("intel-haswell", Arithmetic.ADDER, "fp32", 8, id="sum-on-the-other-multiplier"),
        # Zen 4: a maximum of two halves on the two pipes for additions, its sum on the two for products.
        pytest.param("amd-zen4", Arithmetic.ADDER, "fp32", 16 / (2 * 2 / 4), id="sum-on-multiply-add-pipes"),
    ],
)
def test_rates_that_can_be_derived(name, arithmetic, number_format, sites_per_cycle):
    target = load_target(name)
    sequence = site_sequence(target, arithmetic, number_format)
    assert sequence is not None
    assert 1 / cycles_a_site(target, sequence) == pytest.approx(sites_per_cycle)


def test_no_matrix_unit_adds_differences_or_signs():
    for arithmetic in (Arithmetic.ADDER, Arithmetic.XNOR, Arithmetic.SHIFT):
        for number_format in FORMATS:
            sequence = site_sequence(load_target("intel-sapphirerapids"), arithmetic, number_format)
            assert sequence is None or all(row.form is not Form.MATRIX for row, _ in sequence.executions)
