"""Which instruction does an operation, where the obvious one is missing, and what is said of that."""

import pytest

from addercost.arithmetic import OpClass
from addercost.cost.charges import many_at_once, one_at_a_time, or_polynomial
from addercost.cost.models.latency_sum import latency_cycles
from addercost.cost.target import Target
from addercost.hardware import Form, Instruction, Quality


def row(
    op: str,
    form: Form = Form.SCALAR,
    bits: int = 32,
    lanes: int = 1,
    latency: float | None = 3,
    cycles: float = 1,
    quality: Quality = Quality.MODEL,
) -> Instruction:
    return Instruction(
        op, form, bits, lanes, op, latency, None, None, cycles, None, None, 1, "", quality, "own"
    )


def target(*rows: Instruction) -> Target:
    return Target("mine", "Mine", rows)


def vector(op: str, bits: int, lanes: int, cycles: float, **others: object) -> Instruction:
    return row(op, Form.VECTOR, bits, lanes, cycles=cycles, **others)


def test_at_equal_speed_the_wider_register_is_used():
    """4 lanes a cycle either way; half as many instructions of the wider one have to be issued."""
    narrow, wide = vector("fp32_add", 128, 4, 1), vector("fp32_add", 256, 8, 2)
    charge = many_at_once(target(narrow, wide), OpClass.ADD, "fp32")
    assert (charge.instruction, charge.ops_per_instruction) == (wide, 8)


def test_the_faster_register_is_used_even_if_it_is_narrower():
    narrow, wide = vector("fp32_add", 128, 4, 1), vector("fp32_add", 256, 8, 3)
    assert many_at_once(target(narrow, wide), OpClass.ADD, "fp32").instruction is narrow


def test_of_two_rows_of_one_width_the_measured_one_is_used():
    modelled = vector("fp32_add", 128, 4, 0.5)
    measured = vector("fp32_add", 128, 4, 1, quality=Quality.MEASURED)
    assert many_at_once(target(modelled, measured), OpClass.ADD, "fp32").instruction is measured


def test_bits_fit_as_often_as_the_register_has_room_for_the_format():
    mask = vector("xor", 256, 8, 1)
    for number_format, lanes in (("bool", 32), ("int8", 32), ("int16", 16), ("fp32", 8), ("int64", 4)):
        charge = many_at_once(target(mask), OpClass.LOGIC, number_format)
        assert (charge.ops_per_instruction, charge.assumption) == (lanes, ""), number_format
    assert many_at_once(target(vector("xor", 16, 1, 1)), OpClass.LOGIC, "fp32").ops_per_instruction == 1


# (operation, format, instructions of the table, the one that is used, assumption)
VECTORS = [
    pytest.param(OpClass.MUL, "fp16", ["fp32_mul"], "fp32_mul", "computed in fp32", id="half-in-single"),
    pytest.param(OpClass.MUL, "fp16", ["fp16_mul", "fp32_mul"], "fp16_mul", "", id="half-in-half"),
    pytest.param(OpClass.COMPARE, "fp32", ["fp32_max", "fp32_cmp"], "fp32_max", "", id="maximum"),
    pytest.param(OpClass.COMPARE, "fp32", ["fp32_cmp", "fp32_add"], "fp32_cmp", "", id="comparison"),
    pytest.param(
        OpClass.COMPARE, "fp32", ["fp32_add"], "fp32_add", "a comparison costs a subtraction", id="subtract"
    ),
    pytest.param(OpClass.ABS, "fp32", ["fp32_abs", "xor"], "fp32_abs", "", id="absolute"),
    pytest.param(OpClass.ABS, "fp32", ["xor"], "xor", "|x| costs a bit mask", id="mask-by-xor"),
    pytest.param(OpClass.ABS, "fp32", ["and"], "and", "|x| costs a bit mask", id="mask-by-and"),
    pytest.param(
        OpClass.SQRT, "fp32", ["fp32_div"], "fp32_div", "a square root costs a division", id="root"
    ),
    pytest.param(OpClass.ABS, "int8", ["int8_max"], "int8_max", "|x| costs a maximum", id="integer-maximum"),
    pytest.param(OpClass.ABS, "int8", ["int8_add"], "int8_add", "|x| costs an addition", id="int-addition"),
    pytest.param(OpClass.ADD, "int8", ["int32_add"], "int32_add", "computed in int32", id="byte-in-word"),
    pytest.param(OpClass.MUL, "uint8", ["int8_mul"], "int8_mul", "computed in int8", id="unsigned-in-signed"),
    pytest.param(OpClass.SHIFT, "int32", ["shift_var", "shift_imm"], "shift_var", "", id="shift"),
    pytest.param(
        OpClass.SHIFT, "int32", ["shift_imm"], "shift_imm", "a shift by a variable costs one by a constant",
        id="shift-by-a-constant",
    ),
    pytest.param(
        OpClass.SHIFT, "fp32", ["shift_var"], "shift_var", "a shift of a float costs an integer shift",
        id="shift-of-a-float",
    ),
    pytest.param(OpClass.XNOR, "bool", ["xor"], "xor", "", id="xnor"),
    pytest.param(OpClass.LOGIC, "bool", ["and", "xor"], "and", "", id="logic"),
]  # fmt: skip


@pytest.mark.parametrize(("op_class", "number_format", "ops", "used", "assumption"), VECTORS)
def test_stand_ins_on_vectors(op_class, number_format, ops, used, assumption):
    charge = many_at_once(target(*(vector(op, 128, 4, 1) for op in ops)), op_class, number_format)
    assert (charge.instruction.op, charge.assumption) == (used, assumption)


SCALARS = [
    pytest.param(OpClass.MUL, "fp16", ["fp32_mul"], "fp32_mul", "computed in fp32", id="half-in-single"),
    pytest.param(
        OpClass.ADD, "int8", ["int32_add", "int8_add"], "int32_add", "", id="general-registers-first"
    ),
    pytest.param(OpClass.ADD, "int64", ["int64_add", "int32_add"], "int64_add", "", id="long"),
    pytest.param(OpClass.ADD, "uint64", ["int32_add"], "int32_add", "", id="long-in-word"),
    pytest.param(OpClass.POPCOUNT, "bit", ["int32_add"], "int32_add", "", id="bits-added"),
]


@pytest.mark.parametrize(("op_class", "number_format", "ops", "used", "assumption"), SCALARS)
def test_stand_ins_one_at_a_time(op_class, number_format, ops, used, assumption):
    charge = one_at_a_time(target(*map(row, ops)), op_class, number_format)
    assert (charge.instruction.op, charge.assumption) == (used, assumption)
    assert charge.ops_per_instruction == 1


@pytest.mark.parametrize(
    ("op_class", "number_format"),
    [
        (OpClass.TRANSCENDENTAL, "fp32"),
        (OpClass.DIVIDE, "int32"),
        (OpClass.MUL, "complex64"),
        (OpClass.SQRT, "int8"),
    ],
)
def test_what_nothing_stands_in_for_is_missing(op_class, number_format):
    assert one_at_a_time(target(row("fp32_mul")), op_class, number_format) is None
    assert many_at_once(target(vector("fp32_mul", 128, 4, 1)), op_class, number_format) is None


def test_a_row_without_latency_does_not_serve_the_papers_rule():
    rows = row("fp32_add", latency=None), row("fp32_add", Form.VECTOR, 128, 4, latency=2)
    charge = one_at_a_time(target(*rows), OpClass.ADD, "fp32")
    assert (charge.instruction, charge.assumption) == (rows[1], "taken from the vector form")
    assert one_at_a_time(target(rows[0]), OpClass.ADD, "fp32") is None


def test_x87_serves_every_float_and_no_integer():
    x87, scalar, integer = row("fp80_add", Form.X87, 80), row("fp32_add"), row("int32_add")
    mine = target(scalar, x87, integer)
    assert one_at_a_time(mine, OpClass.ADD, "fp32", Form.X87).instruction is x87
    assert one_at_a_time(mine, OpClass.ADD, "fp64", Form.X87).instruction is x87
    assert one_at_a_time(mine, OpClass.ADD, "int32", Form.X87).instruction is integer
    assert one_at_a_time(mine, OpClass.ADD, "fp32").instruction is scalar
    # A table that prefers x87 and has no such row falls back on the scalar one, and says so.
    charge = one_at_a_time(target(scalar), OpClass.ADD, "fp32", Form.X87)
    assert (charge.instruction, charge.assumption) == (scalar, "taken from the scalar form")


def test_without_vectors_operations_run_one_at_a_time():
    charge = many_at_once(target(row("fp32_add")), OpClass.COMPARE, "fp32")
    assert charge.ops_per_instruction == 1
    assert charge.assumption == "a comparison costs a subtraction, no vector form: one at a time"
    charge = many_at_once(target(row("fp32_add")), OpClass.ADD, "fp32")
    assert charge.assumption == "no vector form: one at a time"


def test_the_latency_of_another_width_stands_in():
    """The nearest width of the same form: 8 for 256 bits, not 2 for 32 or the scalar 1."""
    wanted = row("fp32_abs", Form.VECTOR, 512, 16, latency=None)
    near = row("fp32_abs", Form.VECTOR, 256, 8, latency=8)
    far = row("fp32_abs", Form.VECTOR, 128, 4, latency=2)
    mine = target(row("fp32_abs", latency=1), far, near, wanted)
    assert latency_cycles(mine, wanted) == 8
    assert latency_cycles(mine, far) == 2
    assert latency_cycles(target(row("fp32_abs", latency=1), wanted), wanted) is None


@pytest.mark.parametrize(
    ("op", "note"), [("add", "a multiply-add by one"), ("mul", "a multiply-add to zero")]
)
@pytest.mark.parametrize(
    ("cycles", "replaces"), [(2, False), (1, True), (3, False)], ids=["as-fast", "faster", "slower"]
)
def test_multiply_adds_do_sums_and_products_only_where_they_are_faster(op, note, cycles, replaces):
    """Four lanes a cycle of the operation itself; eight in so many cycles of a multiply-add."""
    own, fused = vector(f"fp32_{op}", 128, 4, 1), vector("fp32_fma", 128, 8, cycles)
    charge = many_at_once(target(own, fused), OpClass(op), "fp32")
    assert charge.instruction is (fused if replaces else own)
    assert (charge.ops_per_instruction, charge.assumption) == ((8, note) if replaces else (4, ""))


def test_comparisons_are_no_multiply_adds():
    own, fused = vector("fp32_max", 128, 4, 1), vector("fp32_fma", 128, 4, 0.5)
    assert many_at_once(target(own, fused), OpClass.COMPARE, "fp32").instruction is own


def test_a_table_of_bytes_is_a_shuffle_and_one_of_floats_a_load():
    """Sixteen bytes are in a register of 128 bits; each load has one address."""
    shuffle, load = vector("shuffle", 128, 16, 1), vector("load", 128, 4, 1)
    both = target(shuffle, load)
    charge = many_at_once(both, OpClass.LOOKUP, "int8")
    assert (charge.instruction, charge.ops_per_instruction) == (shuffle, 16)
    charge = many_at_once(both, OpClass.LOOKUP, "fp32")
    assert (charge.instruction, charge.ops_per_instruction) == (load, 1)
    assert many_at_once(target(load), OpClass.LOOKUP, "int8").ops_per_instruction == 1


@pytest.mark.parametrize(
    ("number_format", "lanes"),
    [("ternary", 16), ("bool", 16), ("float8_e4m3fn", 16), ("bit", 4), ("uint16", 8)],
)
def test_the_room_that_a_number_takes_in_a_mask(number_format, lanes):
    """Selections and truth values are kept as bytes. A single bit without a width is taken for a word."""
    assert (
        many_at_once(target(vector("and", 128, 4, 1)), OpClass.LOGIC, number_format).ops_per_instruction
        == lanes
    )


BY_POLYNOMIAL = [OpClass.TRANSCENDENTAL, OpClass.DIVIDE, OpClass.SQRT]


@pytest.mark.parametrize("op_class", BY_POLYNOMIAL)
def test_a_function_without_a_figure_is_fifty_multiply_adds(op_class):
    charge = or_polynomial(target(vector("fp32_fma", 256, 8, 1)), op_class, "fp32")
    assert charge.ops_per_instruction == pytest.approx(8 / 50)
    assert charge.assumption == "a polynomial of 50 multiply-adds"


@pytest.mark.parametrize("op_class", BY_POLYNOMIAL)
def test_without_multiply_adds_a_polynomial_is_a_hundred_products_and_sums(op_class):
    product = vector("fp32_mul", 128, 4, 1)
    charge = or_polynomial(target(product), op_class, "fp32")
    assert (charge.instruction, charge.assumption) == (product, "a polynomial of 100 operations")
    assert charge.ops_per_instruction == pytest.approx(4 / 100)


def test_a_polynomial_is_computed_in_the_faster_of_the_formats_that_have_its_values():
    """Halves, eight lanes: at a cycle each they win against four singles, at four cycles they do not."""
    single = vector("fp32_fma", 128, 4, 1)
    for cycles, wins in ((1, True), (4, False)):
        half = vector("fp16_fma", 128, 8, cycles)
        charge = or_polynomial(target(half, single), OpClass.SQRT, "fp16")
        assert charge.instruction is (half if wins else single)


def test_only_functions_of_floats_without_a_figure_are_polynomials():
    fused, division = vector("fp32_fma", 128, 4, 1), vector("fp32_div", 128, 4, 5)
    assert or_polynomial(target(fused, division), OpClass.DIVIDE, "fp32").instruction is division
    assert or_polynomial(target(fused), OpClass.ABS, "fp32") is None
    assert or_polynomial(target(fused), OpClass.DIVIDE, "int32") is None
    assert or_polynomial(target(vector("fp32_max", 128, 4, 1)), OpClass.SQRT, "fp32") is None


def test_floats_of_eight_bits_are_computed_in_the_narrowest_that_holds_them():
    rows = [row(f"{wide}_mul") for wide in ("fp32", "fp16", "bf16")]
    for known, used in ((3, "bf16"), (2, "fp16"), (1, "fp32")):
        charge = one_at_a_time(target(*rows[:known]), OpClass.MUL, "float8_e5m2")
        assert (charge.instruction.op, charge.assumption) == (f"{used}_mul", f"computed in {used}")


def test_the_form_that_a_table_prefers_is_taken_without_a_word():
    rows = row("fp32_add"), row("fp32_add", Form.VECTOR, 128, 4)
    charge = one_at_a_time(target(*rows), OpClass.ADD, "fp32", Form.VECTOR)
    assert (charge.instruction, charge.assumption) == (rows[1], "")
    charge = one_at_a_time(target(rows[1]), OpClass.COMPARE, "fp16")
    assert charge.assumption == (
        "a comparison costs a subtraction, taken from the vector form, computed in fp32"
    )
