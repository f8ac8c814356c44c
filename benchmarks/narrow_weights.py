"""Products with ternary and 4-bit weights for one and a few rows, beside torch's in 4 bits, int8 and bf16.

Usage: python -m benchmarks.narrow_weights [OUT IN]

Weights are larger than the caches, so at batch 1 the limit is the time to read them once. `share` is the rate
of their bytes, with scales, / the rate at which a bare loop read memory in the same round: the median over
the rounds. One thread.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear

from addercost.kernels.cpu.narrow.lookup import lookup_product
from addercost.kernels.cpu.narrow.product import narrow_product
from addercost.kernels.narrow import pack_four_bits, pack_ternary
from addercost.kernels.narrow_lookup import as_lookups
from addercost.measure.host.memory_bandwidth import memory_bandwidth

GROUP = 128
"""Inputs that share a scale and a smallest value in torch's 4-bit product."""

ROUNDS, COPIES_BYTES = 15, 256 << 20
"""The number of rounds, of which the median counts, and the bytes of the copies of weights that are used in
turn.
"""


def timed(calls: list[Callable[[], object]], n_bytes: int) -> tuple[float, float, float]:
    """(median seconds of a call, median share, bytes a second of the bare loop). Each round uses all copies,
    so that no call finds its weights in a cache, and the bare loop reads memory before and after it.
    """
    found, shares, bare = [], [], [memory_bandwidth(1) or math.nan]
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for call in calls:
            call()
        found.append((time.perf_counter() - start) / len(calls))
        bare.append(memory_bandwidth(1) or math.nan)
        shares.append(n_bytes / found[-1] / statistics.mean(bare[-2:]))
    return statistics.median(found), statistics.median(shares), statistics.median(bare)


def contenders(n: int, k: int, batch: int) -> dict[str, tuple[int, Callable[[], Callable[[], object]]]]:
    """By name: (bytes of weights, a function that makes a call with its own weights)."""
    x = torch.randn(batch, k)
    rounded = torch.randint(-127, 128, (batch, k), dtype=torch.int8)
    weights = torch.randn(n, k)
    ternary, four = pack_ternary(torch.randint(-1, 2, (n, k))), pack_four_bits(weights)
    by_table, four_by_table = as_lookups(ternary), as_lookups(four)
    wide, half = weights, weights.bfloat16()

    def bytes_linear() -> Callable[[], object]:
        layer = torch.ao.nn.quantized.dynamic.Linear(k, n)
        return lambda: layer(x)

    def ours(packed):  # type: ignore[no-untyped-def]
        def make() -> Callable[[], object]:
            copy = packed._replace(words=packed.words.clone())
            return lambda: narrow_product(rounded, copy)

        return make

    def looked_up(packed):  # type: ignore[no-untyped-def]
        def make() -> Callable[[], object]:
            copy = packed._replace(words=packed.words.clone())
            return lambda: lookup_product(rounded, copy)

        return make

    def torchs(weight: torch.Tensor) -> Callable[[], Callable[[], object]]:
        def make() -> Callable[[], object]:
            copy, input = weight.clone(), x.to(weight.dtype)
            return lambda: linear(input, copy)

        return make

    def torchs_four_bits() -> Callable[[], object]:
        codes = torch.randint(0, 16, (n, k), dtype=torch.int32)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
        scales = torch.rand(k // GROUP, n, 2, dtype=torch.bfloat16)
        input = x.bfloat16()
        return lambda: torch.ops.aten._weight_int4pack_mm_for_cpu(input, packed, GROUP, scales)

    return {
        "ternary, integer dot": (ternary.n_bytes, ours(ternary)),
        "4 bits, integer dot": (four.n_bytes, ours(four)),
        "ternary, table look-up": (by_table.n_bytes, looked_up(by_table)),
        "4 bits, table look-up": (four_by_table.n_bytes, looked_up(four_by_table)),
        "torch 4 bits (bf16)": (n * k // 2 + 4 * n * k // GROUP, torchs_four_bits),
        "torch int8 (dynamic)": (n * k, bytes_linear),
        "torch bf16": (2 * n * k, torchs(half)),
        "torch fp32": (4 * n * k, torchs(wide)),
    }


def main() -> None:
    n, k = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (4096, 4096)
    torch.set_num_threads(1)
    print(f"{n} x {k} weights, one thread, torch {torch.__version__}")
    print("share: of the rate at which a bare loop read memory in the same rounds")
    print(f"{'batch':>5} {'':24} {'µs':>9} {'GB/s':>7} {'bare':>7} {'share':>6}")
    with torch.inference_mode():
        for batch in (1, 4):
            for name, (n_bytes, make) in contenders(n, k, batch).items():
                calls = [make() for _ in range(max(2, -(-COPIES_BYTES // n_bytes)))]
                seconds, share, bare = timed(calls, n_bytes)
                rate = n_bytes / seconds / 1e9
                print(
                    f"{batch:5} {name:24} {1e6 * seconds:9.1f} {rate:7.2f} {bare / 1e9:7.2f} {share:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
