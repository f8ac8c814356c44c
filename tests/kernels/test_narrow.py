"""Products with weights of 2 and 4 bits against exact sums, for random shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.errors import ShapeError
from addercost.kernels.cpu.narrow.product import narrow_product
from addercost.kernels.narrow import (
    PackedWeights,
    pack_codes,
    pack_four_bits,
    pack_ternary,
    reference,
    round_rows,
    round_weights,
    unpack_codes,
)
from tests.kernels.narrow_cases import drawn, four_bit_case, ternary_case

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 700), st.integers(1, 40), st.integers(0, 2**31))


@settings(max_examples=40)
@given(sizes=SIZES)
def test_ternary_sums_are_exact(sizes: tuple[int, int, int, int]) -> None:
    x, weights, sums = ternary_case(sizes)
    assert torch.equal(narrow_product(x, pack_ternary(weights)), sums)


@settings(max_examples=40)
@given(sizes=SIZES)
def test_four_bit_sums_are_exact_where_scales_are_powers_of_two(sizes: tuple[int, int, int, int]) -> None:
    x, packed, sums = four_bit_case(sizes)
    assert torch.equal(narrow_product(x, packed), sums)
    assert torch.equal(reference(x, packed), sums)


def test_many_rows_on_several_threads() -> None:
    x, generator = drawn(2, 4096, 0)
    weights = torch.randint(-1, 2, (4099, 4096), generator=generator, dtype=torch.int8)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        made = narrow_product(x, pack_ternary(weights))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(made, (x.float() @ weights.float().t()).int())


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("features", [1, 63, 64, 65, 256, 257, 1000])
def test_codes_come_back(bits: int, features: int) -> None:
    codes = torch.arange(3 * features).reshape(3, features) % 2**bits
    assert torch.equal(unpack_codes(PackedWeights(pack_codes(codes, bits), features, bits)), codes.byte())


def test_bytes_of_packed_weights() -> None:
    """2 and 4 bits a weight; scales of 4 bytes for 128."""
    weights = torch.ones(10, 512)
    assert pack_ternary(weights).n_bytes == 10 * 512 // 4
    assert pack_four_bits(weights).n_bytes == 10 * 512 // 2 + 4 * 10 * 4


def test_rounding_is_within_half_a_step() -> None:
    x = torch.randn(5, 300, generator=torch.Generator().manual_seed(3))
    rounded, step = round_rows(x)
    assert ((rounded * step - x).abs() <= step / 2 * (1 + 1e-5)).all()
    weights, scale = round_weights(torch.tensor([[-3.0, 0.4, 0.6, 4.0]]))
    assert scale == 2.0 and weights.tolist() == [[-1, 0, 0, 1]]
    four = pack_four_bits(x)
    assert four.scales is not None
    back = (unpack_codes(four).float() - 8) * four.scales.repeat_interleave(128, 1)[:, :300]
    assert ((back - x).abs() <= four.scales.max() / 2 * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    "x", [torch.zeros(2, 5), torch.zeros(2, 4, dtype=torch.int8), torch.zeros(5, dtype=torch.int8)]
)
def test_other_inputs_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"expected input \[rows, 5\]"):
        narrow_product(x, pack_ternary(torch.ones(3, 5)))
    with pytest.raises(ShapeError, match="2 or 4 bits"):
        pack_codes(torch.zeros(3, 5), 3)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("weight", [-8, 7])
def test_the_largest_products_do_not_saturate(value: int, weight: int) -> None:
    """Codes are weight + 8. Sums of two neighbours have 16 bits on processors without a dot of four."""
    x = torch.full((2, 512), value, dtype=torch.int8)
    words = pack_codes(torch.full((3, 512), weight + 8), 4)
    packed = PackedWeights(words, 512, 4, torch.ones(3, 512 // 128))
    assert torch.equal(narrow_product(x, packed), torch.full((2, 3), 512.0 * value * weight))


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("weight", [-1, 1])
def test_the_largest_ternary_products_do_not_saturate(value: int, weight: int) -> None:
    """Codes are weight + 1. Some stay where they are in their byte, as four times the code or more."""
    x = torch.full((2, 1024), value, dtype=torch.int8)
    packed = pack_ternary(torch.full((3, 1024), weight))
    assert torch.equal(
        narrow_product(x, packed), torch.full((2, 3), 1024 * value * weight, dtype=torch.int32)
    )
