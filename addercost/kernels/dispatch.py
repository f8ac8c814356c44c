"""Which kernel runs: one function per operation, each recording the implementation that did the work."""

from __future__ import annotations

from collections import Counter

from torch import Tensor

from addercost.kernels import reference
from addercost.kernels.problem import Geometry

runs: Counter[tuple[str, str]] = Counter()
"""How often each (operation, implementation) ran in this process; tests and benchmarks read it."""


def adder_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    runs["adder_forward", "reference"] += 1
    return reference.adder_forward(input, weight, geometry)


def adder_input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    runs["adder_input_gradient", "reference"] += 1
    return reference.adder_input_gradient(grad, input, weight, geometry, gradient)


def adder_weight_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    runs["adder_weight_gradient", "reference"] += 1
    return reference.adder_weight_gradient(grad, input, weight, geometry, gradient)


def binary_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Σ sign(x)·sign(w); a padded tap is +1."""
    runs["binary_forward", "reference"] += 1
    return reference.binary_forward(input, weight, geometry)


def shift_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Σ x·w over weights that are already powers of two."""
    runs["shift_forward", "reference"] += 1
    return reference.mac_forward(input, weight, geometry)
