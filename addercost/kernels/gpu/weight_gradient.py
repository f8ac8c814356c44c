"""The adder layer's weight gradients on a GPU: sums over pixels, which are split so that every processor has
a share.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

SIZES = [
    *("pixels", "each", "C", "H", "W", "K", "P", "Q", "S", "taps", "GROUPS"),
    *("g_n", "g_p", "g_q", "x_n", "x_h", "x_w"),
    *("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w"),
]


@triton.jit(do_not_specialize=SIZES)
def weight_product_kernel(
    g_ptr, x_ptr, part_ptr,
    pixels, each, C, H, W, K, P, Q,
    g_n, g_p, g_q, x_n, x_h, x_w,
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
    S, taps, GROUPS,
    BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """part[split, g, k, c, tap] = Σ_m g[m, k] · x[m moved by the tap, c] over the split's `each` pixels.

    This is a matrix product. It uses tensor cores in half precision; fp32 is not rounded to TF32. g: [N, P,
    Q, G·K] and x: [N, H, W, G·C], whose channels are contiguous; part: [splits, G, K, C, taps] dense fp32.
    Grid: (tiles of K × tiles of C, taps, splits × G).
    """
    tiles_c = (C + BLOCK_C - 1) // BLOCK_C
    k = tl.program_id(0) // tiles_c * BLOCK_K + tl.arange(0, BLOCK_K)
    c = tl.program_id(0) % tiles_c * BLOCK_C + tl.arange(0, BLOCK_C)
    tap = tl.program_id(1)
    group = tl.program_id(2) % GROUPS
    split = tl.program_id(2) // GROUPS
    last = tl.minimum((split + 1) * each, pixels)
    total = tl.full((BLOCK_K, BLOCK_C), 0, dtype=tl.float32)
    for start in range(split * each, last, BLOCK_P):
        m = start + tl.arange(0, BLOCK_P)
        q = m % Q
        p = (m // Q) % P
        n = (m // (P * Q)).to(tl.int64)
        h = p * stride_h + (tap // S) * dilation_h - pad_h
        w = q * stride_w + (tap % S) * dilation_w - pad_w
        inside = (m < last) & (h >= 0) & (h < H) & (w >= 0) & (w < W)
        g_pixel = n * g_n + p.to(tl.int64) * g_p + q.to(tl.int64) * g_q
        x_pixel = n * x_n + h.to(tl.int64) * x_h + w.to(tl.int64) * x_w
        g_at = g_ptr + g_pixel[:, None] + (group * K + k)[None, :]
        x_at = x_ptr + x_pixel[:, None] + (group * C + c)[None, :]
        g = tl.load(g_at, mask=(m < last)[:, None] & (k < K)[None, :], other=0.0)
        x = tl.load(x_at, mask=inside[:, None] & (c < C)[None, :], other=0.0)
        total = tl.dot(tl.trans(g), x, total, input_precision="ieee")
    row = ((split * GROUPS + group) * K + k).to(tl.int64)
    at = part_ptr + (row[:, None] * C + c[None, :]) * taps + tap
    tl.store(at, total, mask=(k < K)[:, None] & (c < C)[None, :])


@triton.jit(do_not_specialize=SIZES)
def weight_sign_kernel(
    g_ptr, x_ptr, w_ptr, part_ptr,
    pixels, each, C, H, W, K, P, Q,
    g_n, g_p, g_q, x_n, x_h, x_w,
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
    S, taps, GROUPS,
    BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """part[split, g, k, c, tap] = Σ_m g[m, k] · sign(x[m moved by the tap, c] - w[k, c, tap]).

    Arguments as in `weight_product_kernel`; w: [G·K, C, R, S] dense. A padded tap has x = 0. A step handles
    one pixel, and the tile of w stays in registers.
    """
    tiles_c = (C + BLOCK_C - 1) // BLOCK_C
    k = tl.program_id(0) // tiles_c * BLOCK_K + tl.arange(0, BLOCK_K)
    c = tl.program_id(0) % tiles_c * BLOCK_C + tl.arange(0, BLOCK_C)
    tap = tl.program_id(1)
    group = tl.program_id(2) % GROUPS
    split = tl.program_id(2) // GROUPS
    last = tl.minimum((split + 1) * each, pixels)
    kept = (k < K)[:, None] & (c < C)[None, :]
    place = ((group * K + k).to(tl.int64)[:, None] * C + c[None, :]) * taps + tap
    stationary = tl.load(w_ptr + place, mask=kept, other=0.0).to(tl.float32)
    total = tl.full((BLOCK_K, BLOCK_C), 0, dtype=tl.float32)
    for m in range(split * each, last):
        q = m % Q
        p = (m // Q) % P
        n = m // (P * Q)
        h = p * stride_h + (tap // S) * dilation_h - pad_h
        w = q * stride_w + (tap % S) * dilation_w - pad_w
        inside = (h >= 0) & (h < H) & (w >= 0) & (w < W)
        g_pixel = n.to(tl.int64) * g_n + p.to(tl.int64) * g_p + q.to(tl.int64) * g_q
        x_pixel = n.to(tl.int64) * x_n + h.to(tl.int64) * x_h + w.to(tl.int64) * x_w
        g_at = g_ptr + g_pixel + group * K + k
        x_at = x_ptr + x_pixel + group * C + c
        g = tl.load(g_at, mask=k < K, other=0.0).to(tl.float32)
        x = tl.load(x_at, mask=c < tl.where(inside, C, 0), other=0.0).to(tl.float32)
        slope = (x[None, :] > stationary).to(tl.float32) - (x[None, :] < stationary).to(tl.float32)
        total += g[:, None] * slope
    at = part_ptr + split.to(tl.int64) * GROUPS * K * C * taps + place
    tl.store(at, total, mask=kept)
