"""Each recipe is carried out on random lanes by a machine that counts its instructions, and gives the sum."""

import random
from collections import Counter
from fractions import Fraction

import pytest

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import recipes
from addercost.counts.arithmetics.adder import SIGNED_BYTES

LANES = 8


class Machine:
    """Executes one instruction at a time on lanes, whole numbers that never overflow, and counts it."""

    def __init__(self):
        self.executed = Counter()

    def __call__(self, op, function, *operands):
        self.executed[op] += 1
        return [function(*lane) for lane in zip(*operands, strict=True)]


def plus(a, b):
    return a + b


def minus(a, b):
    return a - b


def times(a, b):
    return a * b


def times_and_plus(a, b, c):
    return a * b + c


def distance(a, b):
    return abs(a - b)


def distance_and_plus(a, b, c):
    return abs(a - b) + c


def multiply_then_add(f):
    return lambda run, a, b, s: run(f"{f}_add", plus, run(f"{f}_mul", times, a, b), s)


def one_instruction(op, function=times_and_plus):
    return lambda run, a, b, s: run(op, function, a, b, s)


def fused_distance(f):
    return lambda run, a, b, s: run(f"{f}_add", plus, run(f"{f}_absdiff", distance, a, b), s)


def subtract_clear_sign_add(f, op):
    """The sign is cleared by `op`: an instruction for |.|, or a bit mask."""
    return lambda run, a, b, s: run(f"{f}_add", plus, run(op, abs, run(f"{f}_add", minus, a, b)), s)


def by_one(f, difference):
    """The sum is |a - b| · 1 + s."""
    return lambda run, a, b, s: run(f"{f}_fma", times_and_plus, difference(run, a, b), [1] * LANES, s)


def by_maximum(f, add):
    """|a - b| is 2 max(a, b) - a - b. The loop adds maxima, and the rest is done once behind it."""

    def run_on(run, a, b, s):
        maxima = add(run, run(f"{f}_max", max, a, b), [0] * LANES)
        return [2 * most - x - w + start for most, x, w, start in zip(maxima, a, b, s, strict=True)]

    return run_on


def masked(f, op):
    return lambda run, a, b: run(op, abs, run(f"{f}_add", minus, a, b))


def widened_bytes(run, a, b, s):
    """Neighbouring products are added, then neighbouring sums. Here each lane's neighbours are zeros."""
    pairs = run("int8_maddubs", times, a, b)
    quads = run("int16_madd", times, pairs, [1] * LANES)
    return run("int32_add", plus, quads, s)


def maximum_minus_minimum(run, a, b, s):
    high, low = run("int8_max", max, a, b), run("int8_max", min, a, b)
    return run("int8_wadd", plus, run("int8_add", minus, high, low), s)


def maximum_with_the_negative(run, a, b, s):
    d = run("int16_add", minus, a, b)
    negative = run("int16_add", minus, [0] * LANES, d)
    return run("int16_add", plus, run("int16_max", max, d, negative), s)


def negate_by_sign(run, a, b, s):
    """-d is ~d + 1, so (d ^ sign) - sign is |d|, with sign -1 below 0."""
    d = run("int32_add", minus, a, b)
    sign = run("shift_imm", lambda x: x >> 31, d)
    size = run("int32_add", minus, run("xor", lambda x, y: x ^ y, d, sign), sign)
    return run("int32_add", plus, size, s)


def long_halves(run, a, b, s):
    """One instruction takes the low half of the lanes and one the high half."""
    half = LANES // 2
    low = run("uint8_absdiff_acc_long", distance_and_plus, a[:half], b[:half], s[:half])
    return low + run("uint8_absdiff_acc_long_high", distance_and_plus, a[half:], b[half:], s[half:])


def sum_of_differences(run, a, b, s):
    return run("int32_add", plus, run("uint8_sad", distance, a, b), s)


def pairs_accumulated(run, a, b, s):
    return run("uint8_pair_add_acc", plus, run("uint8_absdiff", distance, a, b), s)


PRODUCTS = {
    **{
        (f, name): one_instruction(op)
        for f in ("fp16", "fp32", "fp64")
        for name, op in {
            "fused multiply-add": f"{f}_fma",
            "fused multiply-add, four operands": f"{f}_fma4",
            "multiply-accumulate": f"{f}_mac",
            "outer product": {"fp16": "fp16_outer_dot"}.get(f, f"{f}_outer"),
        }.items()
    },
    ("fp16", "fp16 matrix product"): one_instruction("fp16_mmla"),
    **{(f, "multiply, then add"): multiply_then_add(f) for f in ("fp16", "fp32", "fp64", "int16", "int32")},
    **{
        ("bf16", name): one_instruction(op)
        for name, op in {
            "bf16 dot product": "bf16_dot",
            "bf16 matrix product": "bf16_mmla",
            "product of bf16 tiles": "bf16_tile_dot",
            "outer product of bf16 pairs": "bf16_outer_dot",
        }.items()
    },
    **{
        (f, name): one_instruction(op)
        for f in ("int8", "uint8")
        for name, op in {
            "int8 dot product": "int8_dot",
            "int8 matrix product": "int8_mmla",
            "product of int8 tiles": "int8_tile_dot",
            "outer product of four int8 each": "int8_outer_dot",
            "widening multiply-accumulate": "int8_wmacc",
            "long multiply-accumulate": "int8_mlal",
            "two products, dual 16-bit": "int16_dot",
            "multiply-accumulate": "int32_mla",
        }.items()
    },
    **{(f, "byte products, widened twice"): widened_bytes for f in ("int8", "uint8")},
    **{(f, "multiply, then add"): multiply_then_add("int32") for f in ("int8", "uint8")},
    ("int16", "multiply, then add"): multiply_then_add("int16"),
    ("int16", "int16 dot product"): one_instruction("int16_dot"),
    ("int32", "multiply-accumulate"): one_instruction("int32_mla"),
}

DISTANCES = {
    **{
        (f, name): program
        for f in ("fp16", "fp32", "fp64")
        for name, program in {
            "fused |a - b|, add": fused_distance(f),
            "subtract, |.|, add": subtract_clear_sign_add(f, f"{f}_abs"),
            "subtract, mask, add": subtract_clear_sign_add(f, "xor"),
            "fused |a - b|, multiply-add by one": by_one(
                f, lambda run, a, b, f=f: run(f"{f}_absdiff", distance, a, b)
            ),
            "subtract, |.|, multiply-add by one": by_one(f, masked(f, f"{f}_abs")),
            "subtract, mask, multiply-add by one": by_one(f, masked(f, "xor")),
            "maximum, add": by_maximum(f, lambda run, a, s, f=f: run(f"{f}_add", plus, a, s)),
            "maximum, multiply-add by one": by_maximum(
                f, lambda run, a, s, f=f: run(f"{f}_fma", times_and_plus, a, [1] * LANES, s)
            ),
        }.items()
    },
    **{
        (f, name): program
        for f in ("int8", "uint8")
        for name, program in {
            "sum of absolute differences": sum_of_differences,
            "sum of absolute differences, accumulating": one_instruction("uint8_sad_acc", distance_and_plus),
            "|a - b| accumulated long, low and high halves": long_halves,
            "|a - b|, then pairs accumulated": pairs_accumulated,
            "maximum minus minimum, widening add": maximum_minus_minimum,
            "subtract, |.|, add": subtract_clear_sign_add("int16", "int16_abs"),
            "subtract, maximum with the negative, add": maximum_with_the_negative,
            "subtract, negate by sign, add": negate_by_sign,
        }.items()
    },
}


def every(arithmetic):
    for f in ("fp16", "bf16", "fp32", "fp64", "int8", "uint8", "int16", "int32"):
        for recipe in recipes(arithmetic, f):
            yield pytest.param(f, recipe, id=f"{f}, {recipe.name}")


def lanes(seed=0):
    draw = random.Random(seed)
    return [[draw.randint(-128, 127) for _ in range(LANES)] for _ in range(3)]


def carried_out(program, *operands):
    machine = Machine()
    result = program(machine, *operands)
    return result, dict(machine.executed)


@pytest.mark.parametrize(("f", "recipe"), list(every(Arithmetic.MAC)))
def test_a_product_is_added(f, recipe):
    a, b, s = lanes()
    result, executed = carried_out(PRODUCTS[f, recipe.name], a, b, s)
    assert result == [x * y + z for x, y, z in zip(a, b, s, strict=True)]
    assert executed == dict(recipe.ops)
    assert recipe.counted in executed


@pytest.mark.parametrize(("f", "recipe"), list(every(Arithmetic.ADDER)))
def test_a_distance_is_added(f, recipe):
    a, b, s = lanes()
    result, executed = carried_out(DISTANCES[f, recipe.name], a, b, s)
    assert result == [abs(x - y) + z for x, y, z in zip(a, b, s, strict=True)]
    assert executed == dict(recipe.ops)
    assert recipe.counted.removeprefix("2 x ") in executed


def test_only_formats_with_a_way_of_adding_distances_have_one():
    """Tables have no instruction for |a - b| in bf16; wider integers are not layers' formats."""
    assert [f for f in ("bf16", "int16", "int32") if recipes(Arithmetic.ADDER, f)] == []


@pytest.mark.parametrize("recipe", [
    pytest.param(r, id=f"{f}, {r.name}")
    for f in ("int8", "uint8", "int16", "int32")
    for r in recipes(Arithmetic.SHIFT, f)
])  # fmt: skip
def test_whole_numbers_are_shifted(recipe):
    """a · 2^e + s"""
    a, _, s = lanes()
    exponents = [e % 8 for e in range(LANES)]

    def program(run, a, e, s):
        return run("int32_add", plus, run("shift_var", lambda x, k: x << k, a, e), s)

    result, executed = carried_out(program, a, exponents, s)
    assert result == [x * 2**e + z for x, e, z in zip(a, exponents, s, strict=True)]
    assert executed == dict(recipe.ops)


def test_a_power_of_two_is_added_to_the_exponent_field():
    """A float is (mantissa, exponent); adding to the exponent is one addition of whole numbers."""
    a, _, s = lanes()
    exponents = [e - 4 for e in range(LANES)]
    plain, fused = recipes(Arithmetic.SHIFT, "fp32")

    def scaled(run):
        fields = run("int32_add", lambda x, e: (x, e), a, exponents)
        return [mantissa * Fraction(2) ** e for mantissa, e in fields]

    expected = [x * Fraction(2) ** e + z for x, e, z in zip(a, exponents, s, strict=True)]
    result, executed = carried_out(lambda run: run("fp32_add", plus, scaled(run), s))
    assert result == expected and executed == dict(plain.ops)
    result, executed = carried_out(lambda run: run("fp32_fma", times_and_plus, scaled(run), [1] * LANES, s))
    assert result == expected and executed == dict(fused.ops)


def test_other_formats_have_no_exponent_field_of_that_width():
    assert [f for f in ("fp16", "bf16", "fp64") if recipes(Arithmetic.SHIFT, f)] == []


def popcount(x):
    return x.bit_count()


def counted_bits(bits):
    """An instruction counts the bits of lanes of that width."""

    def program(run, a, b, s):
        return run(
            f"int{bits}_add", plus, run(f"int{bits}_popcount", popcount, run("xor", int.__xor__, a, b)), s
        )

    return program


def counted_bytes(run, a, b, s):
    return run("uint8_pair_add_acc", plus, run("int8_popcount", popcount, run("xor", int.__xor__, a, b)), s)


def looked_up(run, a, b, s):
    """Each byte's halves are looked up in a table of 16 counts. A mask costs what an exclusive or does."""
    x = run("xor", int.__xor__, a, b)
    low = run("xor", lambda v: v & 0x0F0F0F0F, x)
    high = run("xor", lambda v: v & 0x0F0F0F0F, run("shift_imm", lambda v: v >> 4, x))

    def table(v):
        return sum(popcount(byte) << 8 * i for i, byte in enumerate(v.to_bytes(4, "little")))

    bytes_ = run("int8_add", plus, run("shuffle", table, low), run("shuffle", table, high))
    sums = run("uint8_sad", lambda v: sum(v.to_bytes(4, "little")), bytes_)
    return run("int32_add", plus, sums, s)


def swar(bits):
    """Counts of two bits, of four, of eight; a multiplication adds the bytes up in the highest one.

    Source: Warren, Hacker's Delight, 2nd edition, section 5-1.
    """
    whole = (1 << bits) - 1

    def masks(byte):
        return int.from_bytes(bytes([byte]) * (bits // 8), "little")

    def program(run, a, b, s):
        def shifted(x, n):
            return run("shift_imm", lambda v: v >> n, x)

        def only(x, byte):
            return run("xor", lambda v: v & masks(byte), x)

        add = f"int{bits}_add"
        x = run("xor", int.__xor__, a, b)
        x = run(add, minus, x, only(shifted(x, 1), 0x55))
        x = run(add, plus, only(x, 0x33), only(shifted(x, 2), 0x33))
        x = only(run(add, plus, x, shifted(x, 4)), 0x0F)
        x = run(f"int{bits}_mul", lambda v: v * masks(1) & whole, x)
        return run(add, plus, shifted(x, bits - 8), s)

    return program


XNOR = {
    "exclusive or, popcount of 32-bit lanes, add": (counted_bits(32), 32),
    "exclusive or, popcount of 64-bit words, add": (counted_bits(64), 64),
    "exclusive or, popcount of bytes, pairs accumulated": (counted_bytes, 8),
    "exclusive or, popcount of bytes by table look-up, sums of bytes": (looked_up, 32),
    "exclusive or, popcount by shifts, masks and a multiplication": (swar(64), 64),
    "exclusive or, popcount by shifts, masks and a multiplication of 32 bits": (swar(32), 32),
}


@pytest.mark.parametrize("recipe", [pytest.param(r, id=r.name) for r in recipes(Arithmetic.XNOR, "fp32")])
def test_unequal_bits_are_counted(recipe):
    program, bits = XNOR[recipe.name]
    draw = random.Random(0)
    a, b, s = ([draw.getrandbits(bits) for _ in range(LANES)] for _ in range(3))
    result, executed = carried_out(program, a, b, s)
    assert result == [popcount(x ^ y) + z for x, y, z in zip(a, b, s, strict=True)]
    assert executed == dict(recipe.ops)
    assert recipe.counted.removeprefix("bits of ") in executed


@pytest.mark.parametrize("f", ["fp16", "int8", "int32"])
def test_binary_networks_are_computed_in_one_way_whatever_the_format(f):
    assert recipes(Arithmetic.XNOR, f) == recipes(Arithmetic.XNOR, "fp32")


def test_a_mask_is_of_vectors_alone():
    """The mask is a bitwise instruction, which tables have for vectors."""
    for recipe in recipes(Arithmetic.ADDER, "fp32"):
        assert recipe.vectors_only == ("xor" in dict(recipe.ops))


@pytest.mark.parametrize(("f", "assumes"), [("int8", True), ("uint8", False)])
def test_signed_bytes_are_offset_where_instructions_take_unsigned_ones(f, assumes):
    found = {recipe.assumption for recipe in recipes(Arithmetic.ADDER, f) if "uint8" in recipe.counted}
    assert found == {SIGNED_BYTES if assumes else ""}
