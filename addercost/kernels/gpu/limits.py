"""What a GPU's arithmetic and memory can do at best: the inner loop of each arithmetic and nothing else.

Eight rows of operands and 64 sums stay in registers, weights come from a few lines of the L1 cache, and every
processor is full. There are no addresses to compute, no edges and no stores. A kernel's utilisation is its
rate divided by this limit. The limit of tensor cores is the rate of the vendor's large matrix product.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

from addercost.kernels.gpu.kernels import LANES_N, tile_columns, tile_rows
from addercost.kernels.gpu.sites import combine
from addercost.kernels.gpu.tiles import MOST_REGISTERS, RESIDENT, WARPS, Tile, processors
from addercost.kernels.gpu.vectors import load_each, load_neighbours, store_each

TILE = Tile(8, 8, 4)
CONSTANTS = TILE.constants() | {"UNROLL": 16}
SITES = {
    "mac": ("mac", 1),
    "adder": ("adder", 1),
    "adder_fp16": ("adder_half2", 2),
    "adder_u8": ("adder_u8", 4),
    "xnor": ("xnor", 32),
}
"""By the name of the limit: the arithmetic, and how many sites (pairs of an input and a weight) one pair of
words has.
"""

PRODUCTS = {
    "mac_tf32": torch.float32,
    "mac_bf16": torch.bfloat16,
    "mac_fp16": torch.float16,
    "mac_int8": torch.int8,
}
_STEPS, _WAVES, _LINES, _RUNS = 4096, 4, 32, 5
_PRODUCT_SIZE = 8192
_BLOCK, _BLOCKS = 4096, 8
_HEAD_START_CYCLES = 400_000
"""How long the GPU waits before a timed run, 200 µs at 2 GHz: a launch by Triton takes the host tens of
microseconds."""


@triton.jit(do_not_specialize=["steps"])
def limit_kernel(
    x_ptr, w_ptr, y_ptr, steps,
    SITE: tl.constexpr, EMULATE: tl.constexpr, LINES: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, LANES_M: tl.constexpr, WARPS_N: tl.constexpr,
    UNROLL: tl.constexpr,
):  # fmt: skip
    """y[program, sums of the threads]: `steps` sites of x[row] and w[step % LINES, column], all of 32-bit
    words.
    """
    BLOCK_N: tl.constexpr = COLUMNS * WARPS_N * LANES_N
    row, column = tile_rows(ROWS, LANES_M), tile_columns(COLUMNS, WARPS_N)
    x = load_each(x_ptr + row, EMULATE)
    total = tl.full((ROWS, COLUMNS, WARPS_N, LANES_M, LANES_N), 0, dtype=y_ptr.dtype.element_ty)
    for step in range(0, steps, UNROLL):
        w_at = w_ptr + (step % LINES) * BLOCK_N + column
        for i in tl.static_range(UNROLL):
            word = load_neighbours(w_at + i * BLOCK_N, total, EMULATE)
            total = combine(total, x, word.to(w_ptr.dtype.element_ty, bitcast=True), total, SITE, EMULATE)
    kept = (row < ROWS * LANES_M) & (column < BLOCK_N)
    y_at = y_ptr + tl.program_id(0).to(tl.int64) * (ROWS * LANES_M * BLOCK_N) + row * BLOCK_N + column
    store_each(y_at, total, kept, EMULATE)


@triton.jit
def read_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr):
    """y[program]: the exclusive or of BLOCK·BLOCKS words, which no other program reads."""
    start = tl.program_id(0).to(tl.int64) * (BLOCK * BLOCKS)
    total = tl.full((BLOCK,), 0, dtype=tl.int32)
    for i in tl.static_range(BLOCKS):
        total ^= tl.load(x_ptr + start + i * BLOCK + tl.arange(0, BLOCK))
    tl.store(y_ptr + tl.program_id(0), tl.xor_sum(total, 0))


def limit_per_second(name: str, device: torch.device | None = None) -> float:
    """The best rate of a few runs: sites a second for a name in `SITES` or `PRODUCTS`, bytes a second for
    "memory".

    Raises KeyError for another name, and RuntimeError where the device cannot run it.
    """
    device = device or torch.device("cuda", torch.cuda.current_device())
    if name == "memory":
        return _memory(device)
    if name in PRODUCTS:
        return _product(name, device)
    site, packed = SITES[name]
    call, sites = site_call(site, device, RESIDENT * _WAVES * processors(device), _STEPS)
    return packed * sites / _best_s(call)


def site_call(
    site: str, device: torch.device, programs: int, steps: int, emulate: bool | None = None
) -> tuple[Callable[[], torch.Tensor], int]:
    """A function that runs the loop of arithmetic `site`, and how many pairs of words that run combines."""
    floating = site in ("adder", "mac")
    shape = (TILE.block_m,), (_LINES, TILE.block_n)
    random = _generator(device)
    if floating:
        x, w = (torch.randn(s, device=device, generator=random) for s in shape)
    else:
        # Read as halves, these words are numbers near 1, so sums of pairs neither overflow nor soon lose the
        # terms.
        x, w = (
            torch.randint(0, 512, s, device=device, dtype=torch.int32, generator=random) * 0x10001
            + 0x3C003C00
            for s in shape
        )
    y = torch.empty((programs, TILE.block_m * TILE.block_n), dtype=x.dtype, device=device)
    options: dict[str, Any] = {"num_warps": WARPS}
    if torch.version.hip is None:
        options["maxnreg"] = MOST_REGISTERS
    emulated = torch.version.hip is not None if emulate is None else emulate
    kernel: Any = limit_kernel

    def call() -> torch.Tensor:
        kernel[(programs,)](x, w, y, steps, SITE=site, EMULATE=emulated, LINES=_LINES, **CONSTANTS, **options)
        return y

    return call, programs * TILE.block_m * TILE.block_n * steps


def _product(name: str, device: torch.device) -> float:
    size, dtype, random = _PRODUCT_SIZE, PRODUCTS[name], _generator(device)
    if dtype == torch.int8:
        a, b = (
            torch.randint(-127, 128, (size, size), device=device, dtype=dtype, generator=random)
            for _ in range(2)
        )
        return size**3 / _best_s(lambda: torch._int_mm(a, b.t()))
    a, b = (torch.randn((size, size), device=device, dtype=dtype, generator=random) for _ in range(2))
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = name == "mac_tf32"
    try:
        return size**3 / _best_s(lambda: a @ b)
    finally:
        matmul.allow_tf32 = before


def _memory(device: torch.device) -> float:
    """Bytes a second that are read. The data are eight times as large as the last cache, and at least
    a GiB.
    """
    cache = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)
    each = 4 * _BLOCK * _BLOCKS
    wanted = max(8 * cache, 1 << 30)
    programs = max(1, min(wanted, torch.cuda.mem_get_info(device)[0] // 2) // each)
    x = torch.zeros(programs * each // 4, dtype=torch.int32, device=device)
    x.random_(generator=_generator(device))
    y = torch.empty(programs, dtype=torch.int32, device=device)
    kernel: Any = read_kernel
    return (
        programs
        * each
        / _best_s(lambda: kernel[(programs,)](x, y, BLOCK=_BLOCK, BLOCKS=_BLOCKS, num_warps=WARPS))
    )


def _generator(device: torch.device) -> torch.Generator:
    """A generator of our own, because a failed recording of a CUDA graph leaves the device's default
    generator unusable.
    """
    return torch.Generator(device).manual_seed(0)


def _best_s(call: Callable[[], object]) -> float:
    """Seconds of the fastest run, after one run that compiles and one that warms up."""
    call(), call()
    best = float("inf")
    for _ in range(_RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(_HEAD_START_CYCLES)
        start.record()
        call()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) * 1e-3)
    return best
