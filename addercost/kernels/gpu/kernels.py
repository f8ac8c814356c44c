"""Implicit convolution on a GPU: one program makes a tile of pixels × filters and walks the reduction.

A step takes one channel at one filter tap: a vector of inputs, a vector of weights, and every pair of them
into accumulators that stay in registers. Tiles are four-dimensional, [ROWS, COLUMNS, LANES_M, LANES_N]: the
last two spread over the threads of the program, so each thread holds ROWS × COLUMNS sums and loads
ROWS + COLUMNS operands a step, straight into its own registers.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _combine(total, x, w, SITE: tl.constexpr, EMULATE: tl.constexpr):
    """`total` plus the site of every pair. EMULATE spells out the PTX instructions for the interpreter, which
    has no assembler."""
    if SITE == "adder":
        total += tl.abs(x - w)
    elif SITE == "mac":
        # Named, because whether a compiler may fuse a product and a sum is a matter of its defaults.
        x, w = tl.broadcast(x, w)
        total = tl.fma(x, w, total)
    elif SITE == "xnor":
        if EMULATE:
            bits = (x ^ w).to(tl.uint32, bitcast=True)
            bits = bits - ((bits >> 1) & 0x55555555)
            bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
            bits = (bits + (bits >> 4)) & 0x0F0F0F0F
            for byte in tl.static_range(4):
                total += ((bits >> (8 * byte)) & 255).to(tl.int32)
        else:
            total += tl.inline_asm_elementwise(
                "popc.b32 $0, $1;", "=r,r", [x ^ w], dtype=tl.int32, is_pure=True, pack=1
            )
    else:
        tl.static_assert(SITE == "adder_u8")
        x, w = tl.broadcast(x, w)
        if EMULATE:
            for byte in tl.static_range(4):
                total += tl.abs(((x >> (8 * byte)) & 255) - ((w >> (8 * byte)) & 255))
        else:
            total = tl.inline_asm_elementwise(
                "vabsdiff4.u32.u32.u32.add $0, $1, $2, $3;",
                "=r,r,r,r",
                [x, w, total],
                dtype=tl.int32,
                is_pure=True,
                pack=1,
            )
    return total


@triton.jit
def _rows(ROWS: tl.constexpr, LANES_M: tl.constexpr):
    """Row numbers of a tile as [ROWS, 1, LANES_M, 1]."""
    outer = tl.arange(0, ROWS)[:, None, None, None] * LANES_M
    return outer + tl.arange(0, LANES_M)[None, None, :, None]


@triton.jit
def _columns(COLUMNS: tl.constexpr, LANES_N: tl.constexpr):
    """Column numbers of a tile as [1, COLUMNS, 1, LANES_N]."""
    outer = tl.arange(0, COLUMNS)[None, :, None, None] * LANES_N
    return outer + tl.arange(0, LANES_N)[None, None, None, :]


@triton.jit
def convolution_kernel(
    x_ptr, w_ptr, y_ptr, zero_ptr,
    pixels, C, H, W, K, P, Q,
    x_n, x_h, x_w, y_n, y_k, y_p, y_q,
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
    R, S,
    SITE: tl.constexpr, EMULATE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, LANES_M: tl.constexpr, LANES_N: tl.constexpr,
    UNROLL: tl.constexpr,
):  # fmt: skip
    """x: [N, H, W, G·C] dense in its channels; w: [G, tiles of K, R·S·C, COLUMNS·LANES_N] dense, zero beyond
    K; y: [N, G·K, P, Q] with its strides; zero: UNROLL zeros, what every padded tap reads.

    Grid: (tiles of N·P·Q, tiles of K, G). C and K are per group. Half precision accumulates in fp32.
    """
    BLOCK_N: tl.constexpr = COLUMNS * LANES_N
    group = tl.program_id(2)
    m = tl.program_id(0) * (ROWS * LANES_M) + _rows(ROWS, LANES_M)
    column = _columns(COLUMNS, LANES_N)
    k = tl.program_id(1) * BLOCK_N + column
    q = m % Q
    p = (m // Q) % P
    n = (m // (P * Q)).to(tl.int64)
    wide: tl.constexpr = tl.int32 if y_ptr.dtype.element_ty == tl.int32 else tl.float32
    total = tl.full((ROWS, COLUMNS, LANES_M, LANES_N), 0, dtype=wide)
    x_base = x_ptr + n * x_n + group * C
    tile = (group * tl.num_programs(1) + tl.program_id(1)).to(tl.int64)
    w_tile = w_ptr + tile * R * S * C * BLOCK_N
    for tap in range(R * S):
        h = p * stride_h + (tap // S) * dilation_h - pad_h
        w = q * stride_w + (tap % S) * dilation_w - pad_w
        inside = (m < pixels) & (h >= 0) & (h < H) & (w >= 0) & (w < W)
        # A padded tap stays on the zeros instead of being masked: no predicate in the inner loop. Addresses
        # are formed anew from scalars; carried round the loop they would pass through shared memory.
        x_at = tl.where(inside, x_base + h * x_h + w * x_w, zero_ptr)
        moves = tl.where(inside, 1, 0)
        w_tap = w_tile + tap * C * BLOCK_N
        whole = C - C % UNROLL
        for c in range(0, whole, UNROLL):
            for step in tl.static_range(UNROLL):
                x_now = x_at + c * moves + step
                w_now = w_tap + c * BLOCK_N + step * BLOCK_N + column
                total = _step(total, x_now, w_now, wide, SITE, EMULATE)
        for c in range(whole, C):
            total = _step(total, x_at + c * moves, w_tap + c * BLOCK_N + column, wide, SITE, EMULATE)
    if SITE == "adder" or SITE == "adder_u8":
        total = -total
    y_at = y_ptr + n * y_n + p * y_p + q * y_q + (group * K + k).to(tl.int64) * y_k
    tl.store(y_at, total.to(y_ptr.dtype.element_ty), mask=(m < pixels) & (k < K))


@triton.jit
def _step(total, x_at, w_at, wide: tl.constexpr, SITE: tl.constexpr, EMULATE: tl.constexpr):
    x = tl.load(x_at)
    w = tl.load(w_at)
    if wide == tl.float32:
        x = x.to(tl.float32)
        w = w.to(tl.float32)
    return _combine(total, x, w, SITE, EMULATE)


@triton.jit
def input_gradient_kernel(
    g_ptr, x_ptr, w_ptr, y_ptr, zero_ptr,
    pixels, C, H, W, K, P, Q,
    g_n, g_p, g_q, x_n, x_c, x_h, x_w, y_n, y_c, y_h, y_w,
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
    R, S,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, LANES_M: tl.constexpr, LANES_N: tl.constexpr,
    UNROLL: tl.constexpr,
):  # fmt: skip
    """y[n,c,h,w] = Σ_{k,r,s} g · clamp(w - x, -1, 1) over the outputs (p, q) that input (h, w) enters.

    g: [N, P, Q, G·K] dense in its channels; x and y: [N, G·C, H, W], each with its strides;
    w: [G, tiles of C, R·S·K, COLUMNS·LANES_N] dense, zero beyond C; zero: UNROLL zeros.
    Grid: (tiles of N·H·W, tiles of C, G). NaN in x or w propagates.
    """
    BLOCK_N: tl.constexpr = COLUMNS * LANES_N
    group = tl.program_id(2)
    m = tl.program_id(0) * (ROWS * LANES_M) + _rows(ROWS, LANES_M)
    column = _columns(COLUMNS, LANES_N)
    c = tl.program_id(1) * BLOCK_N + column
    across = m % W
    down = (m // W) % H
    n = (m // (H * W)).to(tl.int64)
    kept = (m < pixels) & (c < C)
    channel = (group * C + c).to(tl.int64)
    x = tl.load(x_ptr + n * x_n + down * x_h + across * x_w + channel * x_c, mask=kept, other=0)
    x = x.to(tl.float32)
    total = tl.full((ROWS, COLUMNS, LANES_M, LANES_N), 0, dtype=tl.float32)
    g_base = g_ptr + n * g_n + group * K
    tile = (group * tl.num_programs(1) + tl.program_id(1)).to(tl.int64)
    w_tile = w_ptr + tile * R * S * K * BLOCK_N
    for tap in range(R * S):
        h = down + pad_h - (tap // S) * dilation_h
        w = across + pad_w - (tap % S) * dilation_w
        # Negative numbers are kept from the divisions, whose sign rules differ between languages.
        p = tl.maximum(h, 0) // stride_h
        q = tl.maximum(w, 0) // stride_w
        meets = (m < pixels) & (h == p * stride_h) & (w == q * stride_w) & (p < P) & (q < Q)
        g_at = tl.where(meets, g_base + p * g_p + q * g_q, zero_ptr)
        moves = tl.where(meets, 1, 0)
        w_tap = w_tile + tap * K * BLOCK_N
        whole = K - K % UNROLL
        for k in range(0, whole, UNROLL):
            for step in tl.static_range(UNROLL):
                w_now = w_tap + k * BLOCK_N + step * BLOCK_N + column
                total = _gradient_step(total, x, g_at + k * moves + step, w_now)
        for k in range(whole, K):
            total = _gradient_step(total, x, g_at + k * moves, w_tap + k * BLOCK_N + column)
    y_at = y_ptr + n * y_n + down * y_h + across * y_w + channel * y_c
    tl.store(y_at, total.to(y_ptr.dtype.element_ty), mask=kept)


@triton.jit
def _gradient_step(total, x, g_at, w_at):
    g = tl.load(g_at).to(tl.float32)
    w = tl.load(w_at).to(tl.float32)
    slope = tl.clamp(w - x, -1.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
    g, slope = tl.broadcast(g, slope)
    return tl.fma(g, slope, total)


@triton.jit
def pack_signs_kernel(x_ptr, y_ptr, pixels, C, words, x_m, x_g, x_c, BLOCK_M: tl.constexpr):
    """Bit i of word j is set where channel 32·j + i is negative.

    x: [pixels, G, C] with its strides; y: [pixels, G, words] dense. Grid: (tiles of pixels, words, G).
    """
    word = tl.program_id(1)
    group = tl.program_id(2)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    packed = tl.full((BLOCK_M,), 0, dtype=tl.int32)
    for bit in tl.static_range(32):
        c = word * 32 + bit
        present = m < tl.where(c < C, pixels, 0)
        x = tl.load(x_ptr + m.to(tl.int64) * x_m + group * x_g + c * x_c, mask=present, other=0)
        packed |= (x < 0).to(tl.int32) << bit
    y_at = y_ptr + (m.to(tl.int64) * tl.num_programs(2) + group) * words + word
    tl.store(y_at, packed, mask=m < pixels)
