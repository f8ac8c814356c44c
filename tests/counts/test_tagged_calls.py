"""What the tags of a call change: signs and ternary weights in plain torch, gradients, other arithmetics."""

from __future__ import annotations

import pytest

from addercost.arithmetic import Arithmetic
from addercost.counts.call_work import is_counted, rule_for, work_of
from addercost.counts.work import NO_WORK, Sites
from addercost.trace.record import OpCall, TensorSpec

ROWS, INPUTS, OUTPUTS = 4, 6, 3


def product(*tags: str, role: str = "parameter", **others: object) -> OpCall:
    """[4, 6] · [6, 3]"""
    x, w = TensorSpec((ROWS, INPUTS), "float32"), TensorSpec((INPUTS, OUTPUTS), "float32", role)
    args = {"self": x, "mat2": w, **others}
    return OpCall("aten.mm.default", "", args, (TensorSpec((ROWS, OUTPUTS), "float32"),), 0, tags)  # type: ignore[arg-type]


def sites(*tags: str, role: str = "parameter") -> Sites:
    work = work_of(product(*tags, role=role))
    assert work is not None
    (found,) = work.sites
    return found


def test_a_layer_as_it_is() -> None:
    found = sites()
    assert (found.count, found.outputs) == (ROWS * INPUTS * OUTPUTS, ROWS * OUTPUTS)
    assert (found.arithmetic, found.weighted, found.scaled) == (Arithmetic.MAC, True, True)
    assert found.inputs == ROWS * INPUTS


@pytest.mark.parametrize(
    ("tag", "arithmetic"), [("binary", Arithmetic.XNOR), ("ternary", Arithmetic.TERNARY)]
)
def test_what_was_rounded_by_other_calls_is_not_rounded_again(tag: str, arithmetic: Arithmetic) -> None:
    found = sites(tag)
    assert (found.arithmetic, found.inputs, found.scaled) == (arithmetic, 0, False)


def test_a_product_of_signs_may_be_of_activations_and_one_of_ternary_weights_is_not() -> None:
    assert sites("binary", role="activation").arithmetic is Arithmetic.XNOR
    found = sites("ternary", role="activation")
    assert (found.arithmetic, found.scaled) == (Arithmetic.MAC, True)


@pytest.mark.parametrize(
    ("arithmetic", "of_activations"), [(Arithmetic.ADDER, False), (Arithmetic.LMUL, True)]
)
def test_an_arithmetic_is_of_layers_or_of_every_product(arithmetic: Arithmetic, of_activations: bool) -> None:
    tag = f"arithmetic:{arithmetic}"
    assert sites("other", tag).arithmetic is arithmetic
    assert sites(tag, role="activation").arithmetic is (arithmetic if of_activations else Arithmetic.MAC)


def test_a_gradient_has_no_weight_that_an_arithmetic_could_change() -> None:
    found = sites("backward", "arithmetic:adder")
    assert (found.arithmetic, found.weighted) == (Arithmetic.MAC, False)


def test_a_view_and_an_unknown_operator_and_one_that_torch_calls_element_wise() -> None:
    x = TensorSpec((3,), "float32")
    for tags, counted in ((("view",), True), (("pointwise",), True), ((), False)):
        assert is_counted("nowhere.thing", tags) is counted
        found = work_of(OpCall("nowhere.thing.default", "", {"x": x}, (x,), 0, tags))
        assert (found is not None) is counted
        if "view" in tags:
            assert found is NO_WORK
    assert rule_for("aten.mm", ("view",)) is rule_for("aten.mm", ())


STORED = TensorSpec((4, 6), "float32", stored=(5, 80))


@pytest.mark.parametrize(
    ("op", "second", "out", "n"),
    [
        pytest.param("relu", None, STORED, 5, id="of-one"),
        pytest.param("mul", TensorSpec((4, 6), "float32", stored=(7, 80)), (3, 48), 3, id="a-product"),
        # Five and seven values in nine places: three are added.
        pytest.param("add", TensorSpec((4, 6), "float32", stored=(7, 80)), (9, 144), 3, id="a-sum"),
        pytest.param("sub", TensorSpec((4, 6), "float32", stored=(7, 80)), (9, 144), 3, id="a-difference"),
    ],
)
def test_stored_values_are_counted(op: str, second: TensorSpec | None, out: object, n: int) -> None:
    output = out if isinstance(out, TensorSpec) else TensorSpec((4, 6), "float32", stored=out)  # type: ignore[arg-type]
    args = {"self": STORED, **({"other": second, "alpha": 1} if second else {})}
    work = work_of(OpCall(f"aten.{op}.default", "", args, (output,), 0, ("pointwise",)))  # type: ignore[arg-type]
    assert work is not None and work.other.total == n


@pytest.mark.parametrize(("operands", "known"), [(1, True), (2, False)])
def test_a_product_of_two_sparse_matrices_needs_their_places(operands: int, known: bool) -> None:
    sparse = TensorSpec((INPUTS, OUTPUTS), "float32", stored=(5, 80))
    call = product(**({"mat2": sparse} if operands == 1 else {"self": STORED, "mat2": sparse}))
    assert (work_of(call) is not None) is known
