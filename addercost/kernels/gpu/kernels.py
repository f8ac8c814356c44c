"""Implicit convolution on a GPU: one program computes a tile of pixels × filters and loops over the
reduction.

A step handles one channel at one filter tap. It loads a vector of inputs and a vector of weights and combines
every pair of them into accumulators, which stay in registers. Tiles have five dimensions, [ROWS, COLUMNS,
WARPS_N, LANES_M, LANES_N]. The last three are spread over the threads of the program, so each thread has ROWS
× COLUMNS sums. In each step it loads ROWS + COLUMNS operands straight into its own registers.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

from addercost.kernels.gpu.sites import combine, widen
from addercost.kernels.gpu.vectors import (
    high_half,
    load_each,
    load_neighbours,
    load_words,
    low_half,
    store_each,
    store_neighbours,
)

SIZES = [
    *("pixels", "C", "H", "W", "K", "P", "Q", "R", "S"),
    *("x_n", "x_c", "x_h", "x_w", "y_n", "y_c", "y_h", "y_w", "y_k", "y_p", "y_q", "g_n", "g_p", "g_q"),
    *("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w"),
]
"""Arguments whose values Triton must not compile into the code, so that one compilation serves every shape of
a class."""

LANES_N: tl.constexpr = tl.constexpr(4)
"""A warp is 8 pixels × 4 filters. Of all shapes with 32 threads this one reads the least memory, and eight
neighbouring pixels of an NCHW output are a whole sector."""


@triton.jit
def tile_rows(ROWS: tl.constexpr, LANES_M: tl.constexpr):
    """Row numbers of a tile as [ROWS, 1, 1, LANES_M, 1]. The rows of a warp are neighbours."""
    outer = tl.arange(0, ROWS)[:, None, None, None, None] * LANES_M
    return outer + tl.arange(0, LANES_M)[None, None, None, :, None]


@triton.jit
def tile_columns(COLUMNS: tl.constexpr, WARPS_N: tl.constexpr):
    """Column numbers of a tile as [1, COLUMNS, WARPS_N, 1, LANES_N]. The columns of a thread are
    neighbours.
    """
    warps = tl.arange(0, WARPS_N)[None, None, :, None, None] * (LANES_N * COLUMNS)
    lanes = tl.arange(0, LANES_N)[None, None, None, None, :] * COLUMNS
    return warps + lanes + tl.arange(0, COLUMNS)[None, :, None, None, None]


@triton.jit(do_not_specialize=SIZES)
def convolution_kernel(
    x_ptr, w_ptr, y_ptr, zero_ptr,
    pixels, C, H, W, K, P, Q,
    x_n, x_h, x_w, y_n, y_k, y_p, y_q,
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
    R, S,
    SITE: tl.constexpr, EMULATE: tl.constexpr, ALIGNED: tl.constexpr, DENSE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, LANES_M: tl.constexpr, WARPS_N: tl.constexpr,
    UNROLL: tl.constexpr,
):  # fmt: skip
    """The convolution of x and w, with the arithmetic SITE, into y.

    x: [N, H, W, G·C], whose channels are contiguous. w: [G, tiles of K, R·S·C, columns of a tile] dense,
    32-bit words, zero beyond K. y: [N, G·K, P, Q] with its strides. zero: UNROLL zeros, which every padded
    tap reads.

    Grid: (tiles of N·P·Q, tiles of K, G). C and K are per group. Half precision accumulates in fp32. ALIGNED:
    each group's channels of every pixel start at a multiple of 16 bytes, and so do the zeros. DENSE: the four
    filters of a thread are neighbours in y and start at a multiple of 16 bytes.
    """
    BLOCK_N: tl.constexpr = COLUMNS * WARPS_N * LANES_N
    group = tl.program_id(2)
    m = tl.program_id(0) * (ROWS * LANES_M) + tile_rows(ROWS, LANES_M)
    column = tile_columns(COLUMNS, WARPS_N)
    k = tl.program_id(1) * BLOCK_N + column
    q = m % Q
    p = (m // Q) % P
    n = (m // (P * Q)).to(tl.int64)
    wide: tl.constexpr = tl.int32 if y_ptr.dtype.element_ty == tl.int32 else tl.float32
    total = tl.full((ROWS, COLUMNS, WARPS_N, LANES_M, LANES_N), 0, dtype=wide)
    x_base = x_ptr + n * x_n + group * C
    tile = (group * tl.num_programs(1) + tl.program_id(1)).to(tl.int64)
    w_tile = w_ptr + tile * R * S * C * BLOCK_N
    for tap in range(R * S):
        h = p * stride_h + (tap // S) * dilation_h - pad_h
        w = q * stride_w + (tap % S) * dilation_w - pad_w
        inside = (m < pixels) & (h >= 0) & (h < H) & (w >= 0) & (w < W)
        # A padded tap always reads the zeros, so the inner loop needs no predicate. Addresses are computed
        # from scalars in every round: if a loop carried them, they would pass through shared memory.
        x_at = tl.where(inside, x_base + h.to(tl.int64) * x_h + w.to(tl.int64) * x_w, zero_ptr)
        moves = tl.where(inside, 1, 0)
        w_tap = w_tile + tap * C * BLOCK_N
        whole = C - C % UNROLL
        for c in range(0, whole, UNROLL):
            x_now = x_at + c * moves
            w_now = w_tap + c * BLOCK_N + column
            total = _steps(total, x_now, w_now, total, SITE, ALIGNED, EMULATE, BLOCK_N, UNROLL)
        for c in range(whole, C):
            x_now = x_at + c * moves
            w_now = w_tap + c * BLOCK_N + column
            total = _steps(total, x_now, w_now, total, SITE, False, EMULATE, BLOCK_N, 1)
    if SITE == "adder" or SITE == "adder_u8" or SITE == "adder_half2":
        total = -total
    y_at = y_ptr + n * y_n + p.to(tl.int64) * y_p + q.to(tl.int64) * y_q + (group * K + k).to(tl.int64) * y_k
    kept = (m < pixels) & (k < K)
    if DENSE:
        store_neighbours(y_at, total, kept, EMULATE)
    else:
        store_each(y_at, total, kept, EMULATE)


@triton.jit
def _word(at, tile, EMULATE: tl.constexpr):
    number: tl.constexpr = at.dtype.element_ty
    return load_neighbours(at, tile, EMULATE).to(number, bitcast=True)


@triton.jit
def _steps(
    total, x_at, w_at, stationary,
    SITE: tl.constexpr, ALIGNED: tl.constexpr, EMULATE: tl.constexpr, BLOCK_N: tl.constexpr,
    COUNT: tl.constexpr,
):  # fmt: skip
    """`total` after COUNT channels. With ALIGNED, 16 bytes are loaded at a time. Sums of pairs of halves are
    widened at the end.
    """
    number: tl.constexpr = x_at.dtype.element_ty
    in_load: tl.constexpr = 1 if not ALIGNED else 4 if number.primitive_bitwidth == 32 else 8
    run = tl.full(total.shape, 0, dtype=tl.int32) if SITE == "adder_half2" else total
    for first in tl.static_range(0, COUNT, in_load):
        w_now = w_at + first * BLOCK_N
        if in_load == 1:
            x = load_each(x_at + first, EMULATE)
            if number.primitive_bitwidth == 16:
                x = x.to(tl.float32)
            run = combine(run, x, _word(w_now, total, EMULATE), stationary, SITE, EMULATE)
        elif in_load == 4:
            words = load_words(x_at + first, EMULATE)
            for i in tl.static_range(4):
                x = words[i].to(number, bitcast=True)
                run = combine(run, x, _word(w_now + i * BLOCK_N, total, EMULATE), stationary, SITE, EMULATE)
        else:
            words = load_words(x_at + first, EMULATE)
            for i in tl.static_range(4):
                w = _word(w_now + 2 * i * BLOCK_N, total, EMULATE)
                run = combine(run, low_half(words[i], number, EMULATE), w, stationary, SITE, EMULATE)
                w = _word(w_now + (2 * i + 1) * BLOCK_N, total, EMULATE)
                run = combine(run, high_half(words[i], number, EMULATE), w, stationary, SITE, EMULATE)
    return widen(total, run, EMULATE) if SITE == "adder_half2" else run


@triton.jit(do_not_specialize=SIZES)
def input_gradient_kernel(
    g_ptr, x_ptr, w_ptr, y_ptr, zero_ptr,
    pixels, C, H, W, K, P, Q,
    g_n, g_p, g_q, x_n, x_c, x_h, x_w, y_n, y_c, y_h, y_w,
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
    R, S,
    SITE: tl.constexpr, EMULATE: tl.constexpr, ALIGNED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, LANES_M: tl.constexpr, WARPS_N: tl.constexpr,
    UNROLL: tl.constexpr,
):  # fmt: skip
    """y[n,c,h,w] = Σ_{k,r,s} g · clamp(w - x, -1, 1), or g · sign(w - x), over the outputs (p, q) that read
    input (h, w).

    g: [N, P, Q, G·K], whose channels are contiguous; x and y: [N, G·C, H, W], each with its strides; w: [G,
    tiles of C, R·S·K, columns of a tile] dense fp32, zero beyond C; zero: UNROLL zeros of g's type. Grid:
    (stride_h·stride_w phases × tiles of `pixels`, tiles of C, G). A phase is the inputs whose h and w have
    the same remainders by the strides. All of them are read by the same taps, so no tap is visited in vain.
    pixels: N·⌈H/stride_h⌉·⌈W/stride_w⌉. A NaN in x or w propagates where SITE is "clip".
    """
    BLOCK_N: tl.constexpr = COLUMNS * WARPS_N * LANES_N
    group = tl.program_id(2)
    phase = tl.program_id(0) % (stride_h * stride_w)
    phase_h = phase // stride_w
    phase_w = phase % stride_w
    m = tl.program_id(0) // (stride_h * stride_w) * (ROWS * LANES_M) + tile_rows(ROWS, LANES_M)
    column = tile_columns(COLUMNS, WARPS_N)
    c = tl.program_id(1) * BLOCK_N + column
    high = (H + stride_h - 1) // stride_h
    wide = (W + stride_w - 1) // stride_w
    across = m % wide * stride_w + phase_w
    down = (m // wide) % high * stride_h + phase_h
    n = (m // (high * wide)).to(tl.int64)
    present = (m < pixels) & (down < H) & (across < W)
    kept = present & (c < C)
    channel = (group * C + c).to(tl.int64)
    down_far, across_far = down.to(tl.int64), across.to(tl.int64)
    x_at = x_ptr + n * x_n + down_far * x_h + across_far * x_w + channel * x_c
    stationary = load_each(tl.where(kept, x_at, x_ptr), EMULATE).to(tl.float32)
    total = tl.full((ROWS, COLUMNS, WARPS_N, LANES_M, LANES_N), 0, dtype=tl.float32)
    g_base = g_ptr + n * g_n + group * K
    tile = (group * tl.num_programs(1) + tl.program_id(1)).to(tl.int64)
    w_tile = w_ptr + tile * R * S * K * BLOCK_N
    for tap in range(R * S):
        shift_h = pad_h - (tap // S) * dilation_h
        shift_w = pad_w - (tap % S) * dilation_w
        if ((phase_h + shift_h) % stride_h == 0) & ((phase_w + shift_w) % stride_w == 0):
            h = down + shift_h
            w = across + shift_w
            # Negative numbers are not divided, because languages differ in the signs of quotient and
            # remainder.
            p = tl.maximum(h, 0) // stride_h
            q = tl.maximum(w, 0) // stride_w
            read = present & (h >= 0) & (w >= 0) & (p < P) & (q < Q)
            g_at = tl.where(read, g_base + p.to(tl.int64) * g_p + q.to(tl.int64) * g_q, zero_ptr)
            moves = tl.where(read, 1, 0)
            w_tap = w_tile + tap * K * BLOCK_N
            whole = K - K % UNROLL
            for k in range(0, whole, UNROLL):
                g_now = g_at + k * moves
                w_now = w_tap + k * BLOCK_N + column
                total = _steps(total, g_now, w_now, stationary, SITE, ALIGNED, EMULATE, BLOCK_N, UNROLL)
            for k in range(whole, K):
                g_now = g_at + k * moves
                w_now = w_tap + k * BLOCK_N + column
                total = _steps(total, g_now, w_now, stationary, SITE, False, EMULATE, BLOCK_N, 1)
    y_at = y_ptr + n * y_n + down_far * y_h + across_far * y_w + channel * y_c
    store_each(y_at, total, kept, EMULATE)


@triton.jit(do_not_specialize=["pixels", "C", "words", "x_m", "x_g", "x_c"])
def pack_signs_kernel(x_ptr, y_ptr, pixels, C, words, x_m, x_g, x_c, BLOCK_M: tl.constexpr):
    """Sets bit i of word j where channel 32·j + i is negative.

    x: [pixels, G, C] with its strides; y: [pixels, G, words] dense. Grid: (tiles of pixels, words, G).
    """
    word = tl.program_id(1)
    group = tl.program_id(2).to(tl.int64)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    packed = tl.full((BLOCK_M,), 0, dtype=tl.int32)
    for bit in tl.static_range(32):
        c = word * 32 + bit
        present = m < tl.where(c < C, pixels, 0)
        x_at = x_ptr + m.to(tl.int64) * x_m + group * x_g + c.to(tl.int64) * x_c
        x = tl.load(x_at, mask=present, other=0)
        packed |= (x < 0).to(tl.int32) << bit
    y_at = y_ptr + (m.to(tl.int64) * tl.num_programs(2) + group) * words + word
    tl.store(y_at, packed, mask=m < pixels)
