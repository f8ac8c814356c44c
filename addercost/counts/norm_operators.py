"""The operators that normalise, by kind: what the counting rules, conventions and other tools' rules share.

They stand apart from the rules so that a command that lists the conventions need not import every rule.
"""

from __future__ import annotations

from addercost.trace.record import OpCall

BATCH_NORMS = (
    "aten.native_batch_norm",
    "aten._native_batch_norm_legit",
    "aten._native_batch_norm_legit_no_training",
    "aten._batch_norm_with_update",
    "aten._batch_norm_no_update",
    "aten.cudnn_batch_norm",
    "aten.miopen_batch_norm",
    "aten.batch_norm",
    "aten.sync_batch_norm",
)
LAYER_NORMS = ("aten.native_layer_norm", "aten.layer_norm")
GROUP_NORMS = ("aten.native_group_norm", "aten.group_norm")
INSTANCE_NORMS = ("aten.instance_norm",)
ROW_NORMS = (*LAYER_NORMS, *GROUP_NORMS, *INSTANCE_NORMS)
"""Norms that take mean and variance of their own input, over rows of it."""


def takes_batch_statistics(call: OpCall) -> bool:
    """Whether a batch norm normalises by the statistics of its own input, as in training."""
    default = "no_training" not in call.name and "no_update" not in call.name
    return bool(call.args.get("training", default))
