"""What one operator call starts and moves: kernels and bytes, run eagerly and fused. This file needs no
torch.

`eager`: operator by operator, as torch runs a model. Each call is one kernel, which reads its operands from
memory and writes its outputs there.

`fused`: as a compiler such as torch.compile runs it. An element-wise operator is computed in the kernel that
makes its largest operand. It therefore starts no kernel, and moves only its other operands. A convolution
first brings its weights into the order that its kernel needs: a copy to channels-last where the filter is
larger than a pixel, and the blocking of oneDNN. Each of these is a kernel that reads and writes the weights.
(A graph with frozen weights does this only once, but torch.compile does not freeze them by default.)

In both, a view starts nothing. A normalisation by statistics of its own input reads that input once for the
mean, once for the variance and once to normalise it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from addercost.counts.kernel_starts import starts_kernel
from addercost.counts.norm_operators import BATCH_NORMS, ROW_NORMS, takes_batch_statistics
from addercost.trace.record import IN_REGISTERS, OpCall


class Run(NamedTuple):
    """How many kernels are started, and how many bytes they read and write."""

    calls: int
    n_bytes: int


class LayerRuns(NamedTuple):
    """One layer's kernels and bytes in each of the two modes."""

    eager: Run
    fused: Run

    @staticmethod
    def sum(parts: Iterable[LayerRuns]) -> LayerRuns:
        eager_calls = eager_bytes = fused_calls = fused_bytes = 0
        for eager, fused in parts:
            eager_calls += eager[0]
            eager_bytes += eager[1]
            fused_calls += fused[0]
            fused_bytes += fused[1]
        return LayerRuns(Run(eager_calls, eager_bytes), Run(fused_calls, fused_bytes))


NOTHING = LayerRuns(Run(0, 0), Run(0, 0))

_CONVOLUTIONS = frozenset(
    f"aten.{name}"
    for name in ("convolution", "_convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
                 "conv_transpose2d", "conv_transpose3d")
)  # fmt: skip
COPIES = frozenset(f"aten.{name}" for name in ("clone", "copy", "copy_", "_to_copy", "contiguous"))
"""Copies. Torch tags them element-wise, but those in a trace are such as cannot be fused, like the reordering
of heads.
"""

_OWN_STATISTICS = frozenset(
    (*ROW_NORMS, "aten._softmax", "aten._safe_softmax", "aten._log_softmax", "aten.softmax",
     "aten.log_softmax", "aten.var", "aten.std", "aten.var_mean", "aten.std_mean",
     "aten.linalg_vector_norm")
)  # fmt: skip
_BATCH_NORMS = frozenset(BATCH_NORMS)
_PASSES = 3


def runs_of(call: OpCall, moved: tuple[int, int]) -> LayerRuns:
    """What one call starts and moves in each mode. A gradient is treated as any other call.

    moved: bytes that the call must read and write, by `addercost.counts.memory.traffic`.
    """
    if not starts_kernel(call):
        return NOTHING
    name = call.name
    read, written = moved
    if IN_REGISTERS in [spec.role for spec in call.tensors()]:
        run = Run(0, read + written)  # The kernel of the call before it computes it.
        return LayerRuns(run, run)
    is_batch_norm = name in _BATCH_NORMS
    if name in _OWN_STATISTICS or (is_batch_norm and takes_batch_statistics(call)):
        run = Run(1, _PASSES * read + written)
        return LayerRuns(run, run)
    eager = Run(1, read + written)
    if name in _CONVOLUTIONS:
        return LayerRuns(eager, _with_weights_reordered(call, eager))
    if is_batch_norm or ("pointwise" in call.tags and name not in COPIES):
        return LayerRuns(eager, Run(0, read - _replaced(call)))
    return LayerRuns(eager, eager)


def _with_weights_reordered(call: OpCall, run: Run) -> Run:
    weight = call.tensor("weight")
    times = 2 if any(size > 1 for size in weight.shape[2:]) else 1
    return Run(run.calls + times, run.n_bytes + 2 * times * weight.n_bytes)


def _replaced(call: OpCall) -> int:
    """Bytes of the operand that the fused kernel never stores: the largest one that the forward made.

    It is 0 where the result is larger than that operand, as after a broadcast."""
    made = [spec.n_bytes for spec in call.tensors() if spec.role in ("activation", "input", "constant")]
    largest = max(made, default=0)
    return largest if call.outputs and largest >= call.output.n_bytes else 0
