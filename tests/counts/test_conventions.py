"""Each tool's convention on single calls: its number as so many multiplications and as many additions."""

from __future__ import annotations

import math

import pytest

from addercost.arithmetic import OpCounts
from addercost.counts.call_work import work_of
from addercost.counts.conventions import CONVENTIONS
from addercost.counts.registry import RULES
from addercost.counts.rules import normalization
from addercost.trace.record import ArgValue, OpCall, TensorSpec

N, C, H, K = 2, 3, 5, 4
X = TensorSpec((N, C, H, H), "float32")
CHANNELS = TensorSpec((C,), "float32", "parameter")


def counted(convention: str, op: str, out: TensorSpec = X, **args: ArgValue) -> OpCounts:
    call = OpCall(f"{op}.default", "", args, (out,), 0)
    work = work_of(call)
    assert work is not None
    return CONVENTIONS[convention].counts(call, work)


def units(n: int) -> OpCounts:
    """A tool's number, shown as n multiplications and n additions."""
    return OpCounts.of("fp32", mul=n, add=n)


def operators_of(*rules: object) -> list[str]:
    return [name for name, known in RULES.items() if known in rules]


BATCH_NORMS = operators_of(normalization.batch_norm)
ROW_NORMS = operators_of(normalization.layer_norm, normalization.group_norm, normalization.instance_norm)


def test_the_names_are_those_that_have_the_rule() -> None:
    assert {"aten._batch_norm_no_update", "aten._batch_norm_with_update", "aten.batch_norm"} <= set(
        BATCH_NORMS
    )
    assert {"aten.native_layer_norm", "aten.group_norm", "aten.instance_norm"} <= set(ROW_NORMS)


@pytest.mark.parametrize("op", BATCH_NORMS)
@pytest.mark.parametrize(("convention", "bare"), [("thop", 2), ("fvcore", 1)])
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "bare"])
def test_every_batch_norm_in_evaluation(op: str, convention: str, bare: int, affine: bool) -> None:
    """thop takes 2 for an element whether there is a scale or not; fvcore takes 1 for one without."""
    scale = CHANNELS if affine else None
    each = 2 if affine else bare
    assert counted(convention, op, input=X, weight=scale, bias=scale) == units(each * X.numel)


@pytest.mark.parametrize(("affine", "each"), [(True, 5), (False, 4)], ids=["affine", "bare"])
def test_fvcore_takes_a_batch_norm_in_training_for_a_layer_norm(affine: bool, each: int) -> None:
    scale = CHANNELS if affine else None
    found = counted("fvcore", "aten.native_batch_norm", input=X, weight=scale, bias=scale, training=True)
    assert found == units(each * X.numel)
    assert counted("thop", "aten.native_batch_norm", input=X, weight=scale, training=True) == units(
        2 * X.numel
    )


@pytest.mark.parametrize("op", ROW_NORMS)
@pytest.mark.parametrize(("affine", "each"), [(True, 5), (False, 4)], ids=["affine", "bare"])
def test_every_row_norm(op: str, affine: bool, each: int) -> None:
    """fvcore's number; thop of the paper's time counts none of them."""
    args: dict[str, ArgValue] = {"input": X, "weight": CHANNELS if affine else None}
    more: dict[str, ArgValue] = {"normalized_shape": (H, H), "group": 1}
    assert counted("fvcore", op, **args, **more) == units(each * X.numel)
    assert not counted("thop", op, **args, **more)
    assert not counted("macs", op, **args, **more)


@pytest.mark.parametrize("biased", [True, False], ids=["with a bias", "without"])
def test_the_bias_of_a_convolution(biased: bool) -> None:
    """K filters of C·3·3 on H×H with padding 1: thop adds 1 an output where there is a bias."""
    w, out = TensorSpec((K, C, 3, 3), "float32", "parameter"), TensorSpec((N, K, H, H), "float32")
    args: dict[str, ArgValue] = {
        "input": X, "weight": w, "bias": TensorSpec((K,), "float32", "parameter") if biased else None,
        "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "transposed": False, "groups": 1,
    }  # fmt: skip
    outputs = N * K * H * H
    sites = outputs * C * 9
    assert counted("thop", "aten.convolution", out, **args) == units(sites + (outputs if biased else 0))
    assert counted("fvcore", "aten.convolution", out, **args) == units(sites)
    assert counted("macs", "aten.convolution", out, **args) == units(sites)
    # In full the first of the C·9 terms takes no addition.
    assert counted("full", "aten.convolution", out, **args) == OpCounts.of(
        mul=sites, add=sites - outputs + (outputs if biased else 0)
    )


def test_the_bias_of_a_linear_layer_is_left_out_by_thop() -> None:
    x, w = TensorSpec((N, C), "float32"), TensorSpec((C, K), "float32", "parameter")
    out = TensorSpec((N, K), "float32")
    bias = TensorSpec((K,), "float32", "parameter")
    assert counted("thop", "aten.addmm", out, self=bias, mat1=x, mat2=w) == units(math.prod((N, C, K)))
