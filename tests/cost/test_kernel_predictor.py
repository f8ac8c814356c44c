"""Intervals of kernels that are unlike those that were timed, by a fit that is made up."""

import numpy as np
import pytest

from addercost.cost.calibrated import kernel_predictor
from addercost.cost.calibrated.families import FAMILIES
from addercost.cost.calibrated.fit import KernelsAlone
from addercost.counts.kernel_calls import KernelCall, Operand

LINEAR = FAMILIES.index("linear")
# Four rows of eight numbers to sixteen outputs: 4 · 8 · 16 = 512 sites.
CALL = KernelCall(
    "aten.mm.default",
    (("self", Operand((4, 8), "float32")), ("mat2", Operand((8, 16), "float32", True))),
    (Operand((4, 16), "float32"),),
)


@pytest.mark.parametrize(
    ("sampled", "times", "beyond"),
    [
        pytest.param((500, 600), 1, "", id="among those that were timed"),
        pytest.param((512, 512), 1, "", id="the only size"),
        pytest.param((256, 500), 2, "", id="a little more"),
        pytest.param((8, 128), 2, ", 4 times more than the most", id="more"),
        pytest.param((1536, 4096), 2, ", 3 times less than the least", id="less"),
        pytest.param(None, 2, "", id="another family"),
    ],
)
def test_intervals_are_twice_as_wide_where_nothing_like_it_was_timed(sampled, times, beyond):
    """A spread of 1.5 for a kernel and 1.2 for a network. Twice as wide is the square: the kernel's, in
    a network too, since its error may be that of all its kind."""
    fit = KernelsAlone(None, {-1: 3.0, LINEAR: 1.5}, {LINEAR: sampled} if sampled else {}, 1.2)
    found = kernel_predictor._known(fit, "float32", CALL, 2.0, 6.0)
    assert found.spread == pytest.approx(1.5**times)
    factor = 1.2 if times == 1 else 1.5**2
    together = np.array([1, 1 / factor, factor])
    assert (found.parts.near, found.parts.far) == (
        pytest.approx(tuple(2 * together)),
        pytest.approx(tuple(6 * together)),
    )
    assert (bool(found.doubt), found.beyond) == (times == 2, beyond)
