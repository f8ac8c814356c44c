"""A number that counts the operations applied to it, for the brute-force oracles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Any
"""A numpy array of objects: `Number`s that can be indexed."""

SITES = "sites"


class Number:
    """A Python scalar whose operators, each time they run, add one to a shared tally."""

    __slots__ = ("tally", "value")

    def __init__(self, value: Any, tally: Counter[str]) -> None:
        self.value = value
        self.tally = tally

    def apply(self, kind: str, function: Callable[..., Any], *others: Any) -> Number:
        self.tally[kind] += 1
        return Number(function(self.value, *(plain(other) for other in others)), self.tally)

    def __add__(self, other: Any) -> Number:
        return self.apply("add", lambda a, b: a + b, other)

    def __radd__(self, other: Any) -> Number:
        return self.apply("add", lambda a, b: b + a, other)

    def __sub__(self, other: Any) -> Number:
        return self.apply("add", lambda a, b: a - b, other)

    def __rsub__(self, other: Any) -> Number:
        return self.apply("add", lambda a, b: b - a, other)

    def __neg__(self) -> Number:
        return self.apply("add", lambda a: -a)

    def __mul__(self, other: Any) -> Number:
        return self.apply("mul", lambda a, b: a * b, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Number:
        return self.apply("divide", lambda a, b: a / b, other)

    def __rtruediv__(self, other: Any) -> Number:
        return self.apply("divide", lambda a, b: b / a, other)

    def __floordiv__(self, other: Any) -> Number:
        return self.apply("divide", lambda a, b: a // b, other)

    def __mod__(self, other: Any) -> Number:
        return self.apply("divide", lambda a, b: a % b, other)

    def __abs__(self) -> Number:
        return self.apply("abs", abs)

    def __lt__(self, other: Any) -> Number:
        return self.apply("compare", lambda a, b: a < b, other)

    def __le__(self, other: Any) -> Number:
        return self.apply("compare", lambda a, b: a <= b, other)

    def __gt__(self, other: Any) -> Number:
        return self.apply("compare", lambda a, b: a > b, other)

    def __ge__(self, other: Any) -> Number:
        return self.apply("compare", lambda a, b: a >= b, other)

    def __eq__(self, other: object) -> Number:  # type: ignore[override]
        return self.apply("compare", lambda a, b: a == b, other)

    def __ne__(self, other: object) -> Number:  # type: ignore[override]
        return self.apply("compare", lambda a, b: a != b, other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Any) -> Number:
        return self.apply("logic", lambda a, b: a & b, other)

    def __or__(self, other: Any) -> Number:
        return self.apply("logic", lambda a, b: a | b, other)

    def __xor__(self, other: Any) -> Number:
        return self.apply("logic", lambda a, b: a ^ b, other)

    def __invert__(self) -> Number:
        return self.apply("logic", lambda a: not a if isinstance(a, bool) else ~a)

    def __lshift__(self, other: Any) -> Number:
        return self.apply("shift", lambda a, b: a << b, other)

    def __rshift__(self, other: Any) -> Number:
        return self.apply("shift", lambda a, b: a >> b, other)

    def __bool__(self) -> bool:
        """Looking at a truth value is free: the comparison that made it has been counted."""
        return bool(self.value)


def plain(value: Any) -> Any:
    return value.value if isinstance(value, Number) else value


def sqrt(a: Number) -> Number:
    return a.apply("sqrt", math.sqrt)


def transcendental(function: Callable[..., float]) -> Callable[..., Number]:
    """`function` as one evaluation of a special function."""

    def call(a: Number, *others: Any) -> Number:
        return a.apply("transcendental", function, *others)

    return call


exp = transcendental(math.exp)
log = transcendental(math.log)


def site(x: Any, w: Any) -> Number:
    """One input times one weight: a multiplication, and one MAC site."""
    number = w if isinstance(w, Number) else x
    number.tally[SITES] += 1
    product: Number = x * w
    return product


def total(terms: Iterator[Any] | list[Any]) -> Any:
    """A sum whose first term takes no addition; 0 for no terms."""
    result: Any = None
    for term in terms:
        result = term if result is None else result + term
    return 0.0 if result is None else result


def numbers(tensor: Tensor, tally: Counter[str]) -> Array:
    """The tensor's elements as counting numbers, in an array of its shape."""
    array = np.empty(tuple(tensor.shape), dtype=object)
    for index in np.ndindex(*array.shape):
        array[index] = Number(tensor[index].item(), tally)
    return array


def values(array: Array, dtype: torch.dtype) -> Tensor:
    """Back to a tensor."""
    array = np.asarray(array, dtype=object)
    result = torch.empty(array.shape, dtype=dtype)
    for index in np.ndindex(*array.shape):
        result[index] = plain(array[index])
    return result
