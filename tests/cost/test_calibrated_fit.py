"""The laws of the calibrated model, against values worked out by hand."""

import math

import numpy as np
import pytest

from addercost.cost.calibrated import fit as fitting
from addercost.cost.calibrated import network_law, spreads, time_model
from addercost.cost.calibrated.codes import CODES
from addercost.cost.calibrated.families import FAMILIES
from addercost.cost.calibrated.features import UNITS
from addercost.cost.calibrated.tables import one_thread
from addercost.cost.calibrated.time_model import Law
from addercost.cost.cost_model import far_part
from addercost.counts.kernel_calls import KernelCall
from addercost.errors import ArgumentError
from addercost.hardware.kernel_times import (
    Conditions,
    KernelSample,
    KernelTimes,
    NetworkSample,
)

LINEAR = FAMILIES.index("linear")
POOL = FAMILIES.index("maximum pool")
BATCH_NORM = FAMILIES.index("batch norm")


def rows(*families):
    """Feature rows, of which only the family is read."""
    return np.array([[family, 0.0] for family in families])


def test_a_prior_is_a_start_and_a_time_for_each_site_and_byte():
    """1 + 2·3 + 0.5·4 + 4·0.25 s by the law of its own family, which counts sites in the second unit; and
    2 + 7 + 4 + 0.25 s by that of all, which counts them one by one.
    """
    laws = {
        -1: Law((0, 1, 4, 5), np.log([2.0, 1.0, 1.0, 1.0])),
        LINEAR: Law((0, 2, 4, 5), np.log([1.0, 2.0, 0.5, 4.0])),
    }
    work = np.array([[1.0, 7.0, 3.0, 9.0, 4.0, 0.25]] * 2)
    assert time_model.log_prior(laws, work, rows(LINEAR, POOL)) == pytest.approx(np.log([10.0, 13.25]))


def test_a_family_of_three_kernels_has_a_law_of_its_own():
    """Linear layers are two, one too few. A site takes 2 ns in a pool and 1 ns else."""
    families = np.array([LINEAR] * 2 + [POOL] * 12 + [BATCH_NORM] * 3)
    sites = np.arange(1, 18) * 1e6
    work = np.column_stack([np.ones(17), sites, sites, sites, np.zeros(17), np.zeros(17)])
    seconds = sites * np.where(families == POOL, 2e-9, 1e-9)
    with one_thread():
        laws = time_model.fit_times(work, np.column_stack([families, np.zeros((17, 8))]), seconds).laws
    assert laws.keys() == {-1, POOL, BATCH_NORM}
    assert math.exp(laws[POOL].logs[1]) == pytest.approx(2e-9, rel=0.05)


@pytest.mark.parametrize("unit", UNITS)
def test_a_law_counts_filters_in_the_unit_that_fits(unit):
    """9 filters cost as much as 9, 16 or 16; 17 as much as 17, 24 or 32."""
    filters = np.array([3, 9, 12, 17, 20, 24, 30, 40, 41, 90])
    sites = [1e6 * -(-filters // u) * u for u in UNITS]
    work = np.column_stack([np.ones(10), *sites, np.zeros(10), np.zeros(10)])
    seconds = 1e-9 * sites[UNITS.index(unit)]
    with one_thread():
        found = time_model.fit_times(work, np.column_stack([[LINEAR] * 10, np.zeros((10, 8))]), seconds)
    assert found.laws[LINEAR].factors == (0, 1 + UNITS.index(unit), 4, 5)


def test_the_sites_that_were_sampled_are_those_of_each_family():
    work = np.array([[1.0, sites, 0.0, 0.0, 0.0, 0.0] for sites in (5, 900, 70, 3)])
    assert fitting.sampled_sites(work, rows(LINEAR, POOL, LINEAR, POOL)) == {LINEAR: (5, 70), POOL: (3, 900)}


def test_a_kernel_in_a_network_takes_its_time_near_a_share_of_the_rest_and_its_call():
    """Linear layers take 1.5 times as long: 1.5·2 + 10·0.1 + 0.5 s; others 2 + 20·0.1 + 0.5 s. Far weights
    add 0.25·4 s to both.
    """
    law = network_law.NetworkLaw(far_share=0.25, linear_factor=1.5, byte_s=0.1, call_s=0.5)
    two, four = np.array([2.0, 2.0]), np.array([4.0, 4.0])
    kernels = network_law.NearAndFar(two, four, np.array([True, False]), np.array([10.0, 20.0]))
    taken, far = law.seconds(kernels)
    assert taken.tolist() == [4.5, 4.5] and far.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "part"), [(0, 0), (4 << 20, 0.5), (12 << 20, 0.75), (36 << 20, 0.9)], ids=str
)
def test_the_weights_of_a_large_network_are_far(weights, part):
    """An eighth of a last-level cache of 32 MiB is 4 MiB; of one of unknown size, as much."""
    for cache_bytes in (32 << 20, 0):
        assert far_part(weights, network_law.half_far_bytes(cache_bytes)) == part


@pytest.mark.parametrize(
    ("n", "rank"),
    [
        # ⌈(n + 1)·0.9⌉, and at most n.
        pytest.param(1, 1, id="one"),
        pytest.param(8, 8, id="⌈8.1⌉ is more than there are"),
        pytest.param(9, 9, id="9"),
        pytest.param(10, 10, id="⌈9.9⌉"),
        pytest.param(19, 18, id="18"),
        pytest.param(20, 19, id="⌈18.9⌉"),
    ],
)
def test_the_error_that_covers_nine_of_ten(n, rank):
    errors = np.random.default_rng(0).permutation(np.arange(1, n + 1) / 100)
    spread = spreads.conformal_spread(np.full(n, POOL), errors)
    assert spread[-1] == pytest.approx(math.exp(rank / 100))


def test_a_family_with_fewer_than_twelve_kernels_has_the_spread_of_all():
    """Errors count by their size, whichever way they go. Of 12 linear layers the ⌈11.7⌉ = 12th is 0.12; of 23
    kernels the ⌈21.6⌉ = 22nd is the tenth of the pools, 0.59."""
    families = np.array([LINEAR] * 12 + [POOL] * 11)
    errors = np.array([-i / 100 for i in range(1, 13)] + [0.5 + i / 100 for i in range(11)])
    spread = spreads.conformal_spread(families, errors)
    assert spread == pytest.approx({-1: math.exp(0.59), LINEAR: math.exp(0.12)})


@pytest.mark.parametrize("timings", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize(("kernels", "networks"), [(0, 0), (59, 4), (59, 9), (60, 3), (99, 3)])
def test_less_than_60_kernels_and_4_networks_are_refused_with_their_numbers(kernels, networks, timings):
    conditions = Conditions("a core", 1, "float32", "2.13")
    samples = tuple(NetworkSample(f"{i}", (), (1.0,)) for i in range(networks))
    times = KernelTimes(conditions, (None,) * kernels, samples * timings)
    with pytest.raises(ArgumentError, match=f"has {kernels} kernels and {networks} networks") as error:
        fitting.fit(times)
    assert "addercost calibrate --kernels" in error.value.hint


@pytest.mark.parametrize(
    ("numbers", "law"),
    [
        pytest.param((0.0, 0.0, 0.0, 0.0), (0.5, 1.0, 1.0, 1.0), id="zeros"),
        # The logit of 0.8 is ln 4.
        pytest.param(np.log([4, 1.2, 3e-11, 2e-6]), (0.8, 1.2, 3e-11, 2e-6), id="logarithms"),
    ],
)
def test_the_law_of_a_network_is_found_as_logarithms(numbers, law):
    found = network_law._law(np.array(numbers))
    assert (found.far_share, found.linear_factor, found.byte_s, found.call_s) == pytest.approx(law)


class OfSites:
    """A model by which a kernel takes so many seconds a site."""

    def __init__(self, factor):
        self.factor = factor

    def seconds(self, work, rows):
        return self.factor * work[:, 1]


def test_a_network_is_the_sum_of_its_kernels_as_often_as_they_run():
    """A linear layer of 2·3·4 sites three times, a pool of 9 sites twice: near 72 and 18 s; the linear layer
    takes half as long again where the last-level cache is swept. It moves 4·(6 + 8) bytes beside its weights,
    the pool 4·(9 + 1).
    """
    from addercost.counts.kernel_calls import KernelCall, Operand

    linear = KernelCall(
        "aten.mm.default",
        (("self", Operand((2, 3), "float32")), ("mat2", Operand((3, 4), "float32", True))),
        (Operand((2, 4), "float32"),),
    )
    pool = KernelCall(
        "aten.max_pool2d.default",
        (("self", Operand((1, 1, 3, 3), "float32")), ("kernel_size", (3, 3)), ("stride", (1, 1))),
        (Operand((1, 1, 1, 1), "float32"),),
    )
    network = NetworkSample("net", (linear, pool, linear, pool, linear), (1.0,))

    def sums(far, half_bytes):
        return network_law._sums([network], OfSites(1.0), OfSites(far), half_bytes)[0]

    assert sums(1.5, 0.0) == pytest.approx((18, 72, 36, 248, 5))
    # Of three times 48 bytes of weights half are far.
    assert sums(1.5, 144.0) == pytest.approx((18, 72, 18, 248, 5))
    # A time with swept caches that is shorter is noise.
    assert sums(0.5, 0.0) == pytest.approx((18, 72, 0, 248, 5))


@pytest.mark.parametrize(
    ("dtype", "expected"), [pytest.param("float32", 2.0, id="near"), pytest.param(CODES, 1.0, id="warm")]
)
def test_codes_are_near_where_they_are_warm(dtype, expected):
    """A kernel takes 1 s warm, 2 s near and 3 s far."""
    sample = KernelSample(KernelCall("aten.relu", (), ()), (1.0,), (2.0,), (3.0,), 1.0)
    times = KernelTimes(Conditions("p", 1, dtype, "2"), (sample,), ())
    found = fitting.near_and_far_seconds(times)
    assert [seconds.tolist() for seconds in found] == [[expected], [3.0]]
