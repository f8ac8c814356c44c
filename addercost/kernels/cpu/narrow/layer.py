"""A packed ternary layer of a few rows, prepared: rounding, product and scaling in three loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.narrow.layer_loops import RoundedSizes, SumSizes, rounded_rows, scaled_sums
from addercost.kernels.cpu.narrow.product import MOST_ROWS, ProductPlan, plan_of
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.ready import Ready

_BITS = 2


def ready_of(input: Tensor, words: Tensor, scale: Tensor, bias: Tensor | None) -> Ready | None:
    """How to compute (round_rows(x) · weights) · (step · scale) + bias for fp32 inputs x [..., K] and ternary
    weights that are packed in `words`, rounded as the separate operations round. The operands of a call are
    input, words, scale, and the bias if there is one. None for other types, for a layout with gaps, and for
    more than `MOST_ROWS` rows.
    """
    others = (scale,) if bias is None else (scale, bias)
    features = input.shape[-1]
    rows = input.numel() // max(features, 1)
    if not 0 < rows <= MOST_ROWS or any(t.dtype != torch.float32 for t in (input, *others)):
        return None
    if not all(tensor.is_contiguous() for tensor in (input, words, *others)):
        return None
    lanes, outputs = vector_bytes() // 4, words.shape[0]
    plan = plan_of(_BITS, rows, *words.shape, outputs, torch.get_num_threads())
    loops = _Loops(
        plan,
        rows,
        rounded_rows(lanes),
        as_array(RoundedSizes(rows, features, plan.features)),
        scaled_sums(lanes, bias is not None),
        as_array(SumSizes(rows, outputs, outputs)),
    )
    run = loops.run if bias is None else loops.run_with_bias
    return Ready((*input.shape[:-1], outputs), torch.contiguous_format, run)


class _Loops(NamedTuple):
    """The loops of a layer in the order of their calls, each with its numbers."""

    plan: ProductPlan
    rows: int
    rounds: Any
    rounds_numbers: Any
    scales: Any
    scales_numbers: Any

    def run(self, x: int, words: int, scale: int, out: int) -> None:
        self.run_with_bias(x, words, scale, scale, out)

    def run_with_bias(self, x: int, words: int, scale: int, bias: int, out: int) -> None:
        plan = self.plan
        # Codes first, since they are whole vectors; then the starts, and the rows' steps.
        n_codes = self.rows * plan.features
        room = torch.empty(n_codes + 4 * self.rows * (plan.starts + 1), dtype=torch.uint8)
        codes = room.data_ptr()
        starts = codes + n_codes
        steps = starts + 4 * self.rows * plan.starts
        self.rounds(x, codes, steps, self.rounds_numbers)
        plan.run(codes, starts, codes, words, out)
        self.scales(scale, steps, bias, out, self.scales_numbers)
