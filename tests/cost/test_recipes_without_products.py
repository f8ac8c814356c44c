"""Recipes that look up, add bits or mask are carried out on random lanes, like those of `test_recipes.py`."""

import random
from fractions import Fraction

import pytest

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import recipes
from tests.cost.test_recipes import LANES, carried_out, lanes, plus, times_and_plus

FLOATS = ("fp16", "bf16", "fp32", "fp64")


def test_sums_of_four_inputs_are_looked_up_by_half_bytes():
    """A lane of 16 bits has two bytes, and a byte two groups of four bits, each with a table of its own. A
    shuffle looks up two entries a lane, of a byte each. Whole lanes are summed, and so are their upper
    bytes: the sum of lower bytes is whole - 256 · upper, which is worked out once after the loop.
    """
    (recipe,) = recipes(Arithmetic.LUT, "int8")
    draw = random.Random(0)
    first, second = ([draw.randrange(256) for _ in range(16)] for _ in range(2))
    x, *sums = ([draw.randrange(bound) for _ in range(LANES)] for bound in (2**16, 1000, 1000))

    def entries(table):
        return lambda lane: table[lane & 0xFF] + 256 * table[lane >> 8]

    def program(run, x, whole, upper):
        low = run("xor", lambda v: v & 0x0F0F, x)
        high = run("xor", lambda v: v & 0x0F0F, run("shift_imm", lambda v: v >> 4, x))
        for half, table in ((low, first), (high, second)):
            found = run("shuffle", entries(table), half)
            whole = run("int16_add", plus, whole, found)
            upper = run("int16_add", plus, upper, run("shift_imm", lambda v: v >> 8, found))
        return [(w - 256 * u, u) for w, u in zip(whole, upper, strict=True)]

    result, executed = carried_out(program, x, *sums)
    assert result == [
        (
            w - 256 * u + first[lane & 15] + second[lane >> 4 & 15],
            u + first[lane >> 8 & 15] + second[lane >> 12],
        )
        for lane, w, u in zip(x, *sums, strict=True)
    ]
    assert executed == dict(recipe.ops)
    assert recipe.counted == "2 x shuffle" and recipe.vectors_only


@pytest.mark.parametrize(("f", "bits"), [("fp16", "int16"), ("fp32", "int32")])
def test_an_entry_is_loaded_and_scaled_by_a_power_of_two(f, bits):
    """A number is (mantissa, exponent): the power is added to the exponent."""
    (recipe,) = recipes(Arithmetic.SHIFTADD, f)
    draw = random.Random(0)
    table = [Fraction(draw.randrange(-99, 99)) for _ in range(LANES)]
    indices, powers, s = [draw.randrange(LANES) for _ in range(LANES)], list(range(LANES)), lanes()[2]

    def program(run, i, power, s):
        scaled = run(f"{bits}_add", lambda x, k: (x, k), run("load", lambda n: table[n], i), power)
        return run(f"{f}_add", plus, [x * 2**k for x, k in scaled], s)

    result, executed = carried_out(program, indices, powers, s)
    assert result == [table[i] * 2**k + z for i, k, z in zip(indices, powers, s, strict=True)]
    assert executed == dict(recipe.ops)
    assert recipe.counted == "one of load"


@pytest.mark.parametrize("f", FLOATS)
def test_powers_of_two_are_multiplied_by_adding_their_bits(f):
    """Such a float is its exponent alone; of others the sum of the bits is near the product."""
    plain, fused = recipes(Arithmetic.LMUL, f)
    a, b, s = [list(range(LANES)), [3 - i for i in range(LANES)], lanes()[2]]
    bits = {"fp16": "int16", "bf16": "int16", "fp32": "int32", "fp64": "int64"}[f]

    def product(run):
        return [Fraction(2) ** e for e in run(f"{bits}_add", plus, a, b)]

    expected = [Fraction(2) ** x * Fraction(2) ** y + z for x, y, z in zip(a, b, s, strict=True)]
    result, executed = carried_out(lambda run: run(f"{f}_add", plus, product(run), s))
    assert result == expected and executed == dict(plain.ops)
    result, executed = carried_out(lambda run: run(f"{f}_fma", times_and_plus, product(run), [1] * LANES, s))
    assert result == expected and executed == dict(fused.ops)
    assert (plain.counted, fused.counted) == (f"{f}_add", f"{f}_fma")


@pytest.mark.parametrize("f", ["fp16", "fp32", "fp64"])
def test_ternary_weights_are_a_mask_of_zeros_and_one_of_signs(f):
    *widened, masked = recipes(Arithmetic.TERNARY, f)
    x, _, s = lanes()
    w = [i % 3 - 1 for i in range(LANES)]

    def program(run, x, w, s):
        kept = run("xor", lambda v, sign: v if sign else 0, x, w)
        return run(f"{f}_add", plus, run("xor", lambda v, sign: -v if sign < 0 else v, kept, w), s)

    result, executed = carried_out(program, x, w, s)
    assert result == [v * sign + z for v, sign, z in zip(x, w, s, strict=True)]
    assert executed == dict(masked.ops)
    assert masked.counted in executed and masked.vectors_only
    assert [one.ops for one in widened] == [one.ops for one in recipes(Arithmetic.MAC, f)]


@pytest.mark.parametrize(
    ("arithmetic", "formats"),
    [
        pytest.param(Arithmetic.LUT, {"int8"}, id="lut"),
        pytest.param(Arithmetic.SHIFTADD, {"fp16", "fp32"}, id="shiftadd"),
        pytest.param(Arithmetic.LMUL, set(FLOATS), id="lmul"),
    ],
)
def test_other_formats_have_no_recipe(arithmetic, formats):
    """Tables of sums are of bytes; an exponent is added to in a field of the float's own width."""
    known = (*FLOATS, "int8", "uint8", "int16", "int32")
    assert {f for f in known if recipes(arithmetic, f)} == formats
