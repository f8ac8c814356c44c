"""What costing needs to know of a layer: the operations it performs, and the bytes it moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.columns import Column
from addercost.cost.gpu_tiles import reread_bytes, waves_factor
from addercost.counts.kernel_calls import KernelCall, kernel_calls
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.runs import LayerRuns, Run

Key = tuple[OpClass, str]
"""An operation: its class and its number format."""


class CountedLayer(Protocol):
    """A layer whose operations were counted.

    Six more attributes are read where a layer has them: `arithmetic`, `mac_sites`, `runs`, `calls`, and
    `bytes_read` and `bytes_written`, or `bytes` for both together.
    """

    @property
    def path(self) -> str: ...
    @property
    def counts(self) -> OpCounts: ...


class CountedModel(Protocol):
    @property
    def layers(self) -> Sequence[CountedLayer]: ...


class LayerKind(NamedTuple):
    """Everything about a layer that its cost depends on. Layers of one kind cost the same on every target.

    counts: the items of its `OpCounts`. n_bytes: bytes that it reads and writes, each operand once. runs: how
    many kernels it starts and how many bytes these move, None where that is not known. products: the matrix
    products that it computes, None where they are not known or were not asked for (`Parts`). kernels: the
    calls of its kernels, for a cost model that predicts each.
    """

    arithmetic: Arithmetic | None
    counts: tuple[tuple[OpClass, str, int], ...]
    mac_sites: int
    n_bytes: float
    runs: LayerRuns | None = None
    products: tuple[MatrixProduct, ...] | None = None
    kernels: tuple[KernelCall, ...] = ()


class Moved(NamedTuple):
    """What layers move, as columns. n_bytes: each operand once. eager, fused: number of kernels and their
    bytes in each mode of running, None where that is not known of every layer.

    For a GPU, which computes whole tiles in whole waves: waves is how many times as long sites take for that,
    and reread_bytes is how many bytes tiles read in addition to n_bytes.
    """

    n_bytes: Column
    eager: Run | None = None
    fused: Run | None = None
    waves: Column = 1.0
    reread_bytes: Column = 0


def moved_by(kind: LayerKind, multiprocessors: int | None = None) -> Moved:
    """What one layer moves. multiprocessors: the number of the GPU's multiprocessors, None or 0 on a CPU."""
    eager, fused = kind.runs or (None, None)
    moved = Moved(kind.n_bytes, eager, fused)
    if not multiprocessors or kind.products is None:
        return moved
    return moved._replace(
        waves=waves_factor(kind.products, multiprocessors), reread_bytes=reread_bytes(kind.products)
    )


class Parts(NamedTuple):
    """Which optional fields of a `LayerKind` a target needs: matrix products for a GPU, kernels for
    `calibrated`.
    """

    products: bool = False
    kernels: bool = False


NO_PARTS = Parts()


def kind_of(layer: CountedLayer, parts: Parts = NO_PARTS) -> LayerKind:
    """The kind of a layer, with the optional fields that `parts` asks for if the layer still has its
    calls.
    """
    calls = getattr(layer, "calls", None) if parts.products else None
    return LayerKind(
        getattr(layer, "arithmetic", None),
        layer.counts.items,
        getattr(layer, "mac_sites", 0),
        bytes_moved(layer),
        getattr(layer, "runs", None),
        None if calls is None else tuple(item for call in calls for item in matrix_products(call)[0]),
        (kernels_of(layer) or ()) if parts.kernels else (),
    )


def kernels_of(layer: CountedLayer) -> tuple[KernelCall, ...] | None:
    """The kernels that a layer runs, in order; None where its calls are not known, as in saved counts."""
    calls = getattr(layer, "calls", None)
    return None if calls is None else tuple(call for _, call in kernel_calls(calls))


def bytes_moved(layer: CountedLayer) -> float:
    """Bytes that a layer reads and writes; 0 where the layer has no such attribute."""
    moved: float | None = getattr(layer, "bytes", None)
    if moved is None:
        moved = getattr(layer, "bytes_read", 0) + getattr(layer, "bytes_written", 0)
    return moved


def layers_of(counted: CountedModel | Iterable[CountedLayer]) -> list[CountedLayer]:
    """The layers of a counted model, or the layers themselves."""
    return list(counted if isinstance(counted, Iterable) else counted.layers)


def operation_keys(counts: Iterable[Iterable[tuple[OpClass, str, int]]]) -> tuple[Key, ...]:
    """Every operation that occurs in these counts, by class in the order of `OpClass`, then by format."""
    order = {op_class: i for i, op_class in enumerate(OpClass)}
    found = {(op_class, number_format) for items in counts for op_class, number_format, _ in items}
    return tuple(sorted(found, key=lambda key: (order[key[0]], key[1])))
