"""Bytes that an operator must read and write. Each operand counts once, however often a kernel reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import DEFINITIONS
from addercost.counts.work import OperatorWork
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec, Trace

_GATHERS = frozenset(
    f"aten.{name}"
    for name in (
        "embedding", "index_select", "gather", "index", "_unsafe_index", "take", "masked_select",
        "_embedding_bag", "_embedding_bag_forward_only",
    )
)  # fmt: skip
"""Look-ups. They read their indices and the elements that these select, at most the whole table once."""

GROUPED = {"aten._grouped_mm": ("self", "mat2"), "transformers.grouped_mm_fallback": ("input", "weight")}
"""Products in groups, as in mixtures of experts, with their argument names for the rows and for the experts'
weights.
"""

_OVERWRITES = frozenset(
    f"aten.{name}"
    for name in (
        "empty_like", "zeros_like", "ones_like", "full_like", "new_empty", "new_zeros", "new_ones",
        "new_full", "new_empty_strided", "rand_like", "randn_like", "randint_like", "fill_", "zero_", "fill",
        "zero",
        "uniform_", "normal_", "bernoulli_", "exponential_", "geometric_", "cauchy_", "log_normal_",
        "random_", "resize_", "resize_as_",
    )
)  # fmt: skip
"""Operators that read the shape of their tensor argument but not its contents."""

_ALLOCATE = frozenset(
    ("aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty", "aten.new_empty_strided",
     "aten.empty_permuted", "aten.resize_", "aten.resize_as_")
)  # fmt: skip
"""Operators that reserve memory and write nothing."""


def traffic(call: OpCall) -> tuple[int, int]:
    """(bytes read, bytes written) by one call. A view moves nothing.

    A tensor that the operator broadcasts counts with its own shape; a tensor that a view expanded counts with
    the expanded shape. Repeated reads because of small caches are not counted. A call whose outputs have no
    element, such as an expert's product where no row is routed to it, reads nothing.
    """
    if "view" in call.tags or _is_empty(call):
        return 0, 0
    name, tensors = call.name, call.tensors()
    outputs = 0 if name in _ALLOCATE else sum([_moved(spec) for spec in call.outputs])
    if name in _OVERWRITES:
        return 0, outputs
    if name in _GATHERS:
        return _gathered(call, tensors), outputs
    if name in GROUPED:
        return _grouped(call, tensors), outputs
    if name == "aten.copy_":
        tensors = (call.tensor("src"),)
    return sum([_moved(spec) for spec in tensors]), outputs


def _is_empty(call: OpCall) -> bool:
    return bool(call.outputs) and not any(spec.numel for spec in call.outputs)


def used_weight_bytes(
    trace: Trace, work_of: Callable[[OpCall], OperatorWork | None] = lambda call: None
) -> int:
    """Bytes of the parameters that the calls use. Each parameter counts once, in the narrowest format in
    which a call uses it.

    work_of: a call's work, from which its arithmetic follows. Weights then count as this stores them.
    """
    found: dict[str, int] = {}
    stored: dict[int, tuple[str, int] | None] = {}
    for call in trace.calls:
        alike = id(call.like)
        if alike not in stored:
            stored[alike] = _packed(call, work_of(call))
        packed = stored[alike]
        weight = call.tensor(packed[0]) if packed is not None else None
        for spec in call.parameters():
            n_bytes = packed[1] if packed is not None and spec is weight else spec.n_bytes
            # A layer may use a table of embeddings in another format than the look-up.
            found[spec.name] = min(found.get(spec.name, n_bytes), n_bytes)
    return sum(found.values())


def _grouped(call: OpCall, tensors: Sequence[TensorSpec]) -> int:
    """Bytes read by a product with the weights [G, k, m] of G experts. n rows can be routed to at most n of
    them, and only those are read.
    """
    x, w = (call.tensor(name) for name in GROUPED[call.name])
    unread = w.n_bytes - touched_experts(x, w).n_bytes if w.role != IN_REGISTERS else 0
    return sum(_moved(spec) for spec in tensors) - unread


def touched_experts(x: TensorSpec, w: TensorSpec) -> TensorSpec:
    """The weights of as many experts as the rows can be routed to."""
    if len(w.shape) != 3 or len(x.shape) != 2:
        return w
    return replace(w, shape=(min(w.shape[0], x.shape[0]), *w.shape[1:]))


def _moved(spec: TensorSpec) -> int:
    return 0 if spec.role == IN_REGISTERS else spec.n_bytes


def packed_traffic(call: OpCall, work: OperatorWork | None) -> tuple[int, int]:
    """(bytes read, bytes written) as in `traffic`, but with weights packed as the layer's arithmetic stores
    them. A binary layer also reads one factor for each filter.
    """
    read, written = traffic(call)
    packed = _packed(call, work)
    if packed is None:
        return read, written
    name, n_bytes = packed
    return read - call.tensor(name).n_bytes + n_bytes, written


def _packed(call: OpCall, work: OperatorWork | None) -> tuple[str, int] | None:
    """The name of the argument with the layer's weight, and its bytes as the layer's arithmetic stores it,
    with its factors. None where it is stored in its own format.
    """
    site = next((site for site in work.sites if site.weighted), None) if work is not None else None
    bits = DEFINITIONS[site.arithmetic].weight_bits if site is not None else None
    weight = _weight(call) if bits is not None else None
    if site is None or bits is None or weight is None:
        return None
    name, spec = weight
    filters = spec.shape[-1] if name in ("mat2", "batch2", "other") else spec.shape[0]
    scaled = site.arithmetic is Arithmetic.XNOR and site.scaled
    factors = replace(spec, shape=(filters,)).n_bytes if scaled else 0
    return name, math.ceil(spec.numel * bits / 8) + factors


def _weight(call: OpCall) -> tuple[str, TensorSpec] | None:
    """The argument with the layer's weight, and its name. None for a weight that is packed already."""
    for name, value in call.args.items():
        if (
            isinstance(value, TensorSpec)
            and value.role in ("parameter", "derived")
            and len(value.shape) >= 2
            and not value.dtype.startswith(("int32", "int64", "uint", "bool"))
        ):
            return name, value
    return None


def _gathered(call: OpCall, tensors: Sequence[TensorSpec]) -> int:
    table = tensors[0]
    for name in ("weight", "self"):
        table = call.optional_tensor(name) or table
    indices = [spec for spec in tensors if spec is not table]
    if "embedding_bag" in call.name:
        rows = call.tensor("indices").numel * (table.shape[-1] if table.shape else 1)
    else:
        rows = call.output.numel
    taken = TensorSpec((rows,), table.dtype).n_bytes
    return min(taken, table.n_bytes) + sum(spec.n_bytes for spec in indices)
