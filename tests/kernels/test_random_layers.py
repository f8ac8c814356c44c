"""A few layers drawn at random; many more by `python -m tests.kernels.random_layers`."""

from __future__ import annotations

import pytest

from addercost.kernels import dispatch
from tests.kernels.random_layers import differences, drawn

pytest.importorskip("halide", reason="the CPU kernels need halide")


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [0, 3, 4, 5, 8, 10, 11])
def test_every_kernel_of_a_random_layer_is_the_references(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    layer = drawn(seed)
    assert list(differences(layer)) == [], layer


def test_a_seed_draws_the_same_layer_again() -> None:
    assert [drawn(seed) for seed in range(50)] == [drawn(seed) for seed in range(50)]
