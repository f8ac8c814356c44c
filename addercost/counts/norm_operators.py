"""The normalising operators, by kind. Counting rules, conventions and the rules of other tools share these
lists.

They are not in a rule's file, so that a command that lists the conventions need not import every rule.
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
"""Norms that compute mean and variance of rows of their own input."""


def takes_batch_statistics(call: OpCall) -> bool:
    """Whether a batch norm normalises by the statistics of its own input, as in training."""
    default = "no_training" not in call.name and "no_update" not in call.name
    return bool(call.args.get("training", default))
