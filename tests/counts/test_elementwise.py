"""Every element-wise formula, evaluated with counting numbers: its operators and torch's value."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from addercost.counts.call_work import rule_for
from addercost.counts.registry import RULES
from addercost.counts.rules.elementwise import ELEMENTWISE, GELU, GELU_BACKWARD
from tests.counts.oracle import counted, traced
from tests.counts.scalar import Number, plain, transcendental
from tests.counts.scalar import sqrt as counted_sqrt

LOW, HIGH, SLOPE = 0.1, 0.7, 0.3


def _as(kind: str, function: Any) -> Any:
    return lambda a, *others: a.apply(kind, function, *others)


VOCABULARY: dict[str, Any] = {
    "sqrt": counted_sqrt,
    "fmod": _as("divide", math.fmod),
    "remainder": _as("divide", lambda a, b: a % b),
    "floor": _as("add", math.floor),
    "ceil": _as("add", math.ceil),
    "trunc": _as("add", math.trunc),
    "lo": LOW,
    "hi": HIGH,
    "s": SLOPE,
    "v": 0.4,
    "sixth": 1 / 6,
    "third": 1 / 3,
    "root_half": math.sqrt(0.5),
    "density": 1 / math.sqrt(2 * math.pi),
    "c": math.sqrt(2 / math.pi),
    "infinity": math.inf,
    "pi": math.pi,
} | {
    name: transcendental(getattr(math, name))
    for name in (
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "tanh", "atan",
        "atan2", "erf",
    )
}  # fmt: skip

EXTRA: dict[str, tuple[Any, ...]] = {
    "addcmul": ("b", "c"),
    "addcdiv": ("b", "c"),
    "hardtanh": (LOW, HIGH),
    "leaky_relu": (SLOPE,),
    "threshold": (LOW, HIGH),
    "clamp_min": (LOW,),
    "clamp_max": (HIGH,),
    "hardshrink": (LOW,),
    "softshrink": (LOW,),
    "celu": (SLOPE,),
    "nan_to_num": (0.0, HIGH, -HIGH),
}
"""What the operator takes after its first argument, where that is not a second tensor."""

GRADIENT_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "sigmoid_backward": ("g", "y"),
    "tanh_backward": ("g", "y"),
    "threshold_backward": ("g", "a", LOW),
    "leaky_relu_backward": ("g", "a", SLOPE, False),
    "hardtanh_backward": ("g", "a", LOW, HIGH),
    "hardsigmoid_backward": ("g", "a"),
    "hardswish_backward": ("g", "a"),
    "silu_backward": ("g", "a"),
    "logit_backward": ("g", "a", None),
    "native_dropout_backward": ("g", "mask", SLOPE),
}

NOT_CALLED_SO = {"_conj_physical", "conj_physical"}
"""On real numbers these do nothing; the complex tests reach them."""

ON_BITS = ("bitwise", "__")
ON_TRUTH = "logical"
POSITIVE_ONLY = {"sqrt", "rsqrt", "log", "log2", "log10", "log1p", "xlogy", "special_xlog1py", "special_entr"}
UNIT_INTERVAL = {"logit", "logit_backward"}


def operands(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    if name.startswith(ON_BITS):
        return {letter: torch.randint(1, 5, (7,)) for letter in "ab"}
    if name.startswith(ON_TRUTH):
        return {letter: torch.rand(7) > 0.5 for letter in "ab"}
    made = {letter: torch.randn(7, dtype=torch.float64) for letter in "abcgy"}
    if name in POSITIVE_ONLY:
        made = {letter: value.abs() + 0.1 for letter, value in made.items()}
    if name in UNIT_INTERVAL:
        made["a"] = torch.rand(7, dtype=torch.float64) * 0.8 + 0.1
    return made | {"mask": torch.ones(7, dtype=torch.bool)}


def run(name: str, tensors: dict[str, Tensor]) -> Any:
    operator = getattr(torch.ops.aten, name)
    if name in GRADIENT_ARGUMENTS:
        names = GRADIENT_ARGUMENTS[name]
    elif name in EXTRA:
        names = ("a", *EXTRA[name])
    else:
        formula = ELEMENTWISE[name][0]
        two = any(word in formula.replace("abs", "") for word in ("b ", "b)", " b", "~b")) and "b" in tensors
        names = ("a", "b") if two else ("a",)
    arguments = [tensors[item].clone() if isinstance(item, str) else item for item in names]
    options = {"value": 0.4} if name in ("addcmul", "addcdiv") else {}
    out = operator(*arguments, **options)
    return out[0] if isinstance(out, tuple) else out


def evaluated_for_all(
    formula: str, tensors: dict[str, Tensor], extra: Any = None
) -> tuple[list[Any], dict[str, int]]:
    """The formula's value for each element, and the operators of its longest branch."""
    results = []
    most: Counter[str] = Counter()
    for i in range(7):
        tally: Counter[str] = Counter()
        one = {letter: value[i : i + 1] for letter, value in tensors.items()}
        results.append(evaluated(formula, one, tally, extra))
        most |= tally
    return results, dict(most)


def require_values(results: list[Any], found: Tensor) -> None:
    expected = torch.tensor([float(plain(value)) for value in results], dtype=torch.float64)
    torch.testing.assert_close(found.double(), expected, rtol=1e-7, atol=1e-9)


def evaluated(formula: str, tensors: dict[str, Tensor], tally: Counter[str], extra: Any) -> Any:
    letters = {letter: Number(value[0].item(), tally) for letter, value in tensors.items()}
    return eval(formula, {**VOCABULARY, **letters, **(extra or {})})


@pytest.mark.parametrize("name", sorted(set(ELEMENTWISE) - NOT_CALLED_SO))
def test_formula_is_what_torch_computes(name: str) -> None:
    tensors = operands(name)
    require_values(evaluated_for_all(ELEMENTWISE[name][0], tensors, further(name))[0], run(name, tensors))


def test_every_row_counts_the_operators_of_its_formula() -> None:
    """All rows in one test: it takes as long as a few of those with torch."""
    found = {
        name: evaluated_for_all(formula, operands(name), further(name))[1]
        for name, (formula, _) in ELEMENTWISE.items()
    }
    assert found == {name: dict(row) for name, (_, row) in ELEMENTWISE.items()}


def further(name: str) -> dict[str, Any]:
    return {"factor": math.pi / 180 if name == "deg2rad" else 180 / math.pi, "nextafter": _next_after}


def _next_after(a: Number, b: Any) -> Number:
    """One comparison for the direction, one integer step."""
    _ = a < b
    return a.apply("add", math.nextafter, b)


@pytest.mark.parametrize("name", sorted(set(ELEMENTWISE) - NOT_CALLED_SO))
def test_rule_counts_the_row_once_an_element(name: str) -> None:
    tensors = operands(name)
    made = traced(lambda **given: run(name, given), **tensors)
    calls = tuple(call for call in made.calls if rule_for(call.name, ()) is RULES[f"aten.{name}"])
    if not calls:
        pytest.skip("torch takes it apart before it is seen")
    assert counted(calls).by_class() == {"mul": 0, "add": 0} | {
        kind: 7 * n for kind, n in ELEMENTWISE[name][1].items() if n
    }


@pytest.mark.parametrize("approximate", sorted(GELU))
def test_gelu_and_its_derivative(approximate: str) -> None:
    tensors = operands("gelu")
    letters = {letter: tensors[letter] for letter in "ag"}
    found = torch.nn.functional.gelu(tensors["a"], approximate=approximate)
    gradient = torch.ops.aten.gelu_backward(tensors["g"], tensors["a"], approximate=approximate)
    for (formula, row), computed in ((GELU[approximate], found), (GELU_BACKWARD[approximate], gradient)):
        results, most = evaluated_for_all(formula, letters)
        require_values(results, computed)
        assert most == row


@pytest.mark.parametrize("alpha", [1, 2.5])
def test_a_factor_of_the_second_operand_is_multiplied(alpha: float) -> None:
    x = torch.randn(3, 2)
    counts = counted(traced(lambda a, b: torch.add(a, b, alpha=alpha), x, x).calls)
    assert counts.by_class() == {"mul": 6 if alpha != 1 else 0, "add": 6}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x**2, {"mul": 1}),
        (lambda x: x**3, {"mul": 2}),
        (lambda x: x**0.5, {"sqrt": 1}),
        (lambda x: x**-1.0, {"divide": 1}),
        (lambda x: x**1.7, {"transcendental": 1}),
        (lambda x: 2.0**x, {"transcendental": 1}),
        (lambda x: x.clamp(0, 1), {"compare": 2}),
        (lambda x: x.clamp(min=0), {"compare": 1}),
        (lambda x: torch.lerp(x, x, 0.3), {"mul": 1, "add": 2}),
        (lambda x: x.round(), {"add": 1}),
        (lambda x: x.round(decimals=2), {"mul": 1, "add": 1, "divide": 1}),
        (lambda x: torch.frexp(x)[0], {"logic": 2, "add": 1}),
        (lambda x: torch.mvlgamma(x, 3), {"transcendental": 3, "add": 5}),
        (torch.nn.functional.selu, {"compare": 1, "transcendental": 1, "mul": 1}),
        (torch.nn.functional.elu, {"compare": 1, "transcendental": 1}),
        (lambda x: torch.nn.functional.elu(x, alpha=0.5), {"compare": 1, "transcendental": 1, "mul": 1}),
        (lambda x: torch.ops.aten.elu(x, 1.0, 2.0), {"compare": 1, "transcendental": 1, "mul": 1}),
        (lambda x: torch.ops.aten.elu(x, 1.0, 1.0, 3.0), {"compare": 1, "transcendental": 1, "mul": 1}),
        (lambda x: torch.ops.aten.elu(x, 0.5, 2.0, 3.0), {"compare": 1, "transcendental": 1, "mul": 2}),
        (torch.special.bessel_j0, {"transcendental": 1}),
        (lambda x: torch.add(x, x, out=torch.empty_like(x)), {"add": 1}),
        (lambda x: x.clone().mul_(x), {"mul": 1}),
        (lambda x: x.t().reshape(-1)[2:].unsqueeze(0), {}),
        (lambda x: torch.where(x.bool(), x, x), {}),
    ],
)  # fmt: skip
def test_counts_an_element(function: Any, expected: dict[str, int]) -> None:
    x = torch.rand(4, 5) + 2
    counts = counted(traced(function, x).calls).by_class()
    assert {kind: n for kind, n in counts.items() if n} == {kind: 20 * n for kind, n in expected.items()}


COMPLEX = [
    (lambda a, b: a * b, {"mul": 4, "add": 2}),
    (lambda a, b: a + b, {"add": 2}),
    (lambda a, b: a / b, {"mul": 6, "add": 3, "divide": 2}),
    (lambda a, b: a * 2.0, {"mul": 2}),
    (lambda a, b: a * b.real, {"mul": 2}),
    (lambda a, b: a + b.real, {"add": 1}),
    (lambda a, b: a / b.real, {"divide": 2}),
    (lambda a, b: a.abs(), {"mul": 2, "add": 1, "sqrt": 1}),
    (lambda a, b: torch.conj_physical(a), {"add": 2}),
]


@pytest.mark.parametrize(("function", "expected"), COMPLEX)
def test_complex_numbers_count_in_their_parts(function: Any, expected: dict[str, int]) -> None:
    a, b = torch.randn(3, dtype=torch.complex64), torch.randn(3, dtype=torch.complex64)
    counts = counted(traced(function, a, b).calls).by_class()
    assert {kind: n for kind, n in counts.items() if n} == {kind: 3 * n for kind, n in expected.items()}


def test_a_complex_product_is_four_real_ones() -> None:
    a, b = torch.randn(2, 3, dtype=torch.complex64), torch.randn(3, 5, dtype=torch.complex64)
    # Each of 10 outputs is two sums (real, imaginary) of 6 products.
    assert counted(traced(torch.mm, a, b).calls).by_class() == {"mul": 10 * 12, "add": 10 * 2 * 5}
