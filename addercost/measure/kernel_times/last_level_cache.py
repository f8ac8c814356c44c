"""How much of the last-level cache this process has: on a shared server, other guests use the rest."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from addercost.measure.kernel_times.sweeper import Sweeper

LEAST_BYTES = 32 << 20
"""A share below this is not looked for: sweeping so much takes 2 ms or less."""

BEYOND_BYTES = 16 << 20
"""A buffer that sweeps the cache is this much larger than it. A buffer of three quarters of the cache left
some weights in.
"""

READS = 9
AS_FAR, LEAST_RATIO = 0.5, 1.1
"""A sweep is large enough if reading after it takes this share of the way from the shortest to the longest
time, where the longest is at least `LEAST_RATIO` times the shortest.
"""


def share_of_cache(
    size_bytes: int, second_level_bytes: int, read_after: Callable[[int], float] | None = None
) -> int:
    """The bytes of the last-level cache that this process can count on: the whole of it, or a half, a fourth
    and so on, if sweeping that much already moves data out of it.

    size_bytes: of the whole cache. read_after: the seconds that reading some data takes after a sweep of so
    many bytes; None to measure. On an Emerald Rapids guest, of whose cache the system reports 300 MiB,
    sweeping 64 MiB is enough.
    """
    shares = [size_bytes]
    while shares[-1] // 2 >= LEAST_BYTES:
        shares.append(shares[-1] // 2)
    if len(shares) == 1:
        return size_bytes
    read_after = read_after or _reading(2 * second_level_bytes)
    near_s = read_after(4 * second_level_bytes)
    times_s = {share: read_after(share + BEYOND_BYTES) for share in shares}
    far_s = times_s[size_bytes]
    if far_s < LEAST_RATIO * near_s:
        return size_bytes
    return min(share for share, seconds in times_s.items() if seconds >= near_s + AS_FAR * (far_s - near_s))


def _reading(n_bytes: int) -> Callable[[int], float]:
    """Reads data of so many bytes, which lie in the last-level cache unless they are swept out of it."""
    data = torch.ones(n_bytes // 4)

    def read_after(swept_bytes: int) -> float:
        sweep, seconds = Sweeper(swept_bytes), []
        for _ in range(READS):
            sweep()
            start = time.perf_counter()
            data.sum()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    return read_after
