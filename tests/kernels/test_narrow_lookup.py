"""Products by table look-up against exact sums, for random shapes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.errors import ShapeError
from addercost.kernels import dispatch
from addercost.kernels.cpu.narrow.lookup import lookup_product
from addercost.kernels.narrow import PackedWeights, pack_codes, pack_four_bits, pack_ternary
from addercost.kernels.narrow_lookup import FORMS, LookupWeights, as_lookups, reference
from tests.kernels.narrow_cases import drawn, four_bit_case, ternary_case

SIZES = st.tuples(st.sampled_from((1, 2, 5)), st.integers(1, 700), st.integers(1, 200), st.integers(0, 2**31))
PRODUCTS = pytest.mark.parametrize("compute", [lookup_product, reference], ids=["kernel", "reference"])
Compute = Callable[[torch.Tensor, LookupWeights], torch.Tensor]


@PRODUCTS
@settings(max_examples=10, deadline=None)
@given(sizes=SIZES)
def test_ternary_sums_are_exact(compute: Compute, sizes: tuple[int, int, int, int]) -> None:
    x, weights, sums = ternary_case(sizes)
    assert torch.equal(compute(x, as_lookups(pack_ternary(weights))), sums)


@PRODUCTS
@settings(max_examples=10, deadline=None)
@given(sizes=SIZES)
def test_four_bit_sums_are_exact_where_scales_are_powers_of_two(
    compute: Compute, sizes: tuple[int, int, int, int]
) -> None:
    x, packed, sums = four_bit_case(sizes)
    assert torch.equal(compute(x, as_lookups(packed)), sums)


@pytest.mark.parametrize(("x", "weight"), [*product((-128, 127), (-8, 7))])
def test_the_largest_sums_do_not_overflow(x: int, weight: int) -> None:
    """The bytes of eight look-ups, the 16 bits of a chunk: every input and every weight as large as it is."""
    inputs = torch.full((1, 1024), x, dtype=torch.int8)
    codes = torch.full((3, 1024), weight + 8)
    packed = PackedWeights(pack_codes(codes, 4), 1024, 4, torch.ones(3, 8))
    assert lookup_product(inputs, as_lookups(packed)).tolist() == [[1024.0 * x * weight] * 3]
    sign = 1 if weight > 0 else -1
    ternary = as_lookups(pack_ternary(torch.full((3, 1024), sign)))
    assert lookup_product(inputs, ternary).tolist() == [[1024 * x * sign] * 3]


@pytest.mark.parametrize("bits", [2, 4])
def test_a_table_has_a_sum_for_every_index(bits: int) -> None:
    """Of ternary pairs by codes 0 to 2 less 1; of 4-bit weights those of the inputs whose bit is set."""
    form = FORMS[bits]
    for index in range(16):
        parts = [index >> (4 // form.inputs) * j & (2 ** (4 // form.inputs) - 1) for j in range(form.inputs)]
        expected = [part - 1 if bits == 2 else part for part in parts]
        assert [coefficients[index] for coefficients in form.coefficients] == expected


def test_many_rows_on_several_threads() -> None:
    x, generator = drawn(2, 4096, 0)
    weights = torch.randint(-1, 2, (4099, 4096), generator=generator, dtype=torch.int8)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        made = lookup_product(x, as_lookups(pack_ternary(weights)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(made, (x.float() @ weights.float().t()).int())


def test_bytes_are_those_of_packed_weights() -> None:
    """2 and 4 bits a weight, with rows filled up to 64 and inputs to 128; scales of 4 bytes for 128."""
    weights = torch.ones(128, 512)
    assert as_lookups(pack_ternary(weights)).n_bytes == 128 * 512 // 4
    assert as_lookups(pack_four_bits(weights)).n_bytes == 128 * 512 // 2 + 4 * 128 * 4
    assert as_lookups(pack_ternary(torch.ones(1, 1))).n_bytes == 64 * 128 // 4


def test_the_dispatcher_runs_the_kernel_or_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    x, generator = drawn(1, 256, 1)
    weights = as_lookups(pack_ternary(torch.randint(-1, 2, (5, 256), generator=generator)))
    for name in ("halide", "reference"):
        monkeypatch.setenv(dispatch.VARIABLE, name)
        before = dispatch.runs["lookup_product", name]
        assert torch.equal(dispatch.lookup_product(x, weights), reference(x, weights))
        assert dispatch.runs["lookup_product", name] == before + 1


@pytest.mark.parametrize("x", [torch.zeros(2, 5), torch.zeros(2, 4, dtype=torch.int8)])
def test_other_inputs_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"expected input \[rows, 5\]"):
        lookup_product(x, as_lookups(pack_ternary(torch.ones(3, 5))))
