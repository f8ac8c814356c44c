"""How much of the last-level cache a process can count on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from addercost.measure.kernel_times.last_level_cache import BEYOND_BYTES, LEAST_BYTES, share_of_cache

MIB = 1 << 20


def cache_of(share_bytes: int, near_s: float = 1e-4, far_s: float = 2e-4) -> Callable[[int], float]:
    """Reading takes the longer time once more than the share was swept."""
    return lambda swept_bytes: far_s if swept_bytes > share_bytes else near_s


@pytest.mark.parametrize(
    ("size", "share", "expected"),
    [
        pytest.param(32, 32, 32, id="a cache of its own"),
        pytest.param(256, 256, 256, id="a large cache of its own"),
        pytest.param(256, 100, 128, id="less than a half"),
        pytest.param(256, 128, 128, id="a half"),
        pytest.param(256, 20, 32, id="the least"),
        pytest.param(0, 0, 0, id="not known"),
    ],
)
def test_the_smallest_share_whose_sweep_moves_data_out_is_taken(size: int, share: int, expected: int) -> None:
    assert share_of_cache(size * MIB, MIB, cache_of(share * MIB)) == expected * MIB
    assert LEAST_BYTES == 32 * MIB and BEYOND_BYTES == 16 * MIB


def test_the_whole_cache_is_taken_where_times_do_not_tell() -> None:
    assert share_of_cache(256 * MIB, MIB, cache_of(32 * MIB, far_s=1.05e-4)) == 256 * MIB


def test_a_part_that_is_swept_in_part_is_not_enough() -> None:
    """As measured: 0.18 ms from the cache, 0.20 after 91 MiB, 0.34 after 166, 0.38 after 316."""
    times_s = {8: 1.8e-4, 53: 1.8e-4, 91: 2.0e-4, 166: 3.4e-4, 316: 3.8e-4}
    assert share_of_cache(300 * MIB, 2 * MIB, lambda swept: times_s[swept // MIB]) == 150 * MIB


def test_this_machine_has_a_share_of_its_cache() -> None:
    found = share_of_cache(64 * MIB, MIB)
    assert found in (32 * MIB, 64 * MIB)
