"""Operations on complex numbers as those on their parts: written out, and counted as they are done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from addercost.arithmetic import OpCounts
from addercost.counts.call_work import work_of
from addercost.counts.work import OperatorWork
from addercost.trace.record import ArgValue, OpCall, TensorSpec

N = 5
Z, R = TensorSpec((N,), "complex64"), TensorSpec((N,), "float32")


def work(op: str, out: TensorSpec, **args: ArgValue) -> OperatorWork:
    found = work_of(OpCall(f"aten.{op}.default", "", args, (out,), 0))
    assert found is not None
    return found


class Real(float):
    """A number that counts what is done with it."""

    done: dict[str, int]

    def _did(self, op: str, value: float) -> Real:
        self.done[op] = self.done.get(op, 0) + 1
        return of(value, self.done)

    def __add__(self, other: float) -> Real:
        return self._did("add", float(self) + float(other))

    def __sub__(self, other: float) -> Real:
        return self._did("add", float(self) - float(other))

    def __mul__(self, other: float) -> Real:
        return self._did("mul", float(self) * float(other))

    def __truediv__(self, other: float) -> Real:
        return self._did("divide", float(self) / float(other))

    def root(self) -> Real:
        return self._did("sqrt", float(self) ** 0.5)


def of(value: float, done: dict[str, int]) -> Real:
    made = Real(value)
    made.done = done
    return made


def product(a: Real, b: Real, c: Real, d: Real) -> complex:
    return complex(a * c - b * d, a * d + b * c)


def quotient(a: Real, b: Real, c: Real, d: Real) -> complex:
    """(a + bi)(c - di) / (c² + d²)"""
    length = c * c + d * d
    return complex((a * c + b * d) / length, (b * c - a * d) / length)


WRITTEN: dict[str, tuple[Callable[[Real, Real, Real, Real], complex], complex]] = {
    "mul": (product, (2 + 3j) * (5 - 7j)),
    "div": (quotient, (2 + 3j) / (5 - 7j)),
    "add": (lambda a, b, c, d: complex(a + c, b + d), 7 - 4j),
    "sub": (lambda a, b, c, d: complex(a - c, b - d), -3 + 10j),
    "abs": (lambda a, b, c, d: complex((a * a + b * b).root()), abs(2 + 3j)),
}


@pytest.mark.parametrize("op", WRITTEN)
def test_two_complex_numbers(op: str) -> None:
    done: dict[str, int] = {}
    written, value = WRITTEN[op]
    assert written(*(of(x, done) for x in (2, 3, 5, -7))) == pytest.approx(value)
    args: dict[str, ArgValue] = {"self": Z} if op == "abs" else {"self": Z, "other": Z}
    found = work(op, R if op == "abs" else Z, **args)
    assert found.other == OpCounts.of("fp32", **done) * N


@pytest.mark.parametrize("other", [R, 2, 0.5], ids=["tensor", "int", "float"])
@pytest.mark.parametrize(
    ("op", "each"), [("mul", {"mul": 2}), ("div", {"divide": 2}), ("add", {"add": 1}), ("sub", {"add": 1})]
)
def test_a_complex_and_a_real_number(op: str, each: dict[str, int], other: ArgValue) -> None:
    """Each part is multiplied or divided; a sum changes the real part."""
    assert work(op, Z, self=Z, other=other).other == OpCounts.of("fp32", **each) * N


def test_a_complex_number_as_an_argument_is_one() -> None:
    assert work("mul", Z, self=Z, other=2j).other == OpCounts.of("fp32", mul=4, add=2) * N


@pytest.mark.parametrize(
    ("left", "right", "times"),
    [("complex64", "complex64", 4), ("complex64", "float32", 2), ("float32", "complex64", 2)],
)
def test_sites_and_sums_of_products(left: str, right: str, times: int) -> None:
    """[4, 6] · [6, 3]: each pairing is two or four real ones, each sum two."""
    args: dict[str, ArgValue] = {"self": TensorSpec((4, 6), left), "mat2": TensorSpec((6, 3), right)}
    (site,) = work("mm", TensorSpec((4, 3), "complex64"), **args).sites
    assert (site.count, site.outputs, site.biased) == (times * 4 * 6 * 3, 2 * 4 * 3, 0)


def test_the_bias_of_a_complex_layer_is_two_real_ones() -> None:
    x, w, b = (TensorSpec(shape, "complex64", role) for shape, role in (
        ((4, 6), "activation"), ((6, 3), "parameter"), ((3,), "parameter")))  # fmt: skip
    args: dict[str, ArgValue] = {"self": b, "mat1": x, "mat2": w, "beta": 1, "alpha": 1}
    (site,) = work("addmm", TensorSpec((4, 3), "complex64"), **args).sites
    assert site.biased == 2 * 4 * 3


def test_real_numbers_stay_as_they_are() -> None:
    assert work("mul", R, self=R, other=R).other == OpCounts.of("fp32", mul=N)
