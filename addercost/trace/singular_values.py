"""Singular values and eigenvalues without vectors, as a run without gradients computes them.

torch's `svdvals`, `eigvals` and `eigvalsh` compute vectors only if gradients need them. They take an active
dispatch mode as a sign that gradients may, so a traced forward would show more work than a plain one has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from addercost.trace.record import OpCall

_ATEN = torch.ops.aten
_KEYS = ("AutogradMeta", "AutogradCPU")
_WITH_VECTORS = frozenset(
    ("aten._linalg_svd.default", "aten.linalg_eig.default", "aten._linalg_eigh.default")
)


class _Tracing(threading.local):
    active = False
    """Whether this thread traces a model again because of values without vectors."""


_TRACING = _Tracing()


def may_want_values_alone(calls: Iterable[OpCall]) -> bool:
    """Whether some calls compute vectors, which the model may not have asked for."""
    return not _WITH_VECTORS.isdisjoint([call.op for call in calls])


@contextmanager
def values_alone() -> Iterator[None]:
    """While active, this thread's functions of values without vectors are dispatched as operators that
    compute no vectors, unless gradients need these. Other threads are not affected.

    Only one thread at a time may enter: it registers kernels with torch's dispatcher, and removes them
    afterwards. This takes half a millisecond, so it is done only for a forward that was seen to compute
    vectors.
    """
    library = torch.library.Library("aten", "IMPL")
    _TRACING.active = True
    try:
        for name, kernel in _KERNELS.items():
            for key in _KEYS:
                library.impl(name, kernel, key)
        yield
    finally:
        _TRACING.active = False
        library._destroy()


def _without_vectors(function: Any, values: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def kernel(matrix: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not _TRACING.active or (torch.is_grad_enabled() and matrix.requires_grad):
            found: Tensor = function._op_dk(
                torch._C.DispatchKey.CompositeImplicitAutograd, matrix, *args, **kwargs
            )
            return found
        with torch._C._AutoDispatchBelowAutograd():
            return values(matrix, *args, **kwargs)

    return kernel


def _singular(matrix: Tensor, *, driver: str | None = None) -> Tensor:
    values: Tensor = _ATEN._linalg_svd.default(matrix, False, False, driver=driver)[1]
    return values


def _symmetric(matrix: Tensor, UPLO: str = "L") -> Tensor:  # noqa: N803 (torch's own name)
    values: Tensor = _ATEN._linalg_eigh.default(matrix, UPLO, False)[0]
    return values


_KERNELS: dict[str, Callable[..., Tensor]] = {
    "linalg_svdvals": _without_vectors(_ATEN.linalg_svdvals.default, _singular),
    "linalg_eigvals": _without_vectors(_ATEN.linalg_eigvals.default, _ATEN._linalg_eigvals.default),
    "linalg_eigvalsh": _without_vectors(_ATEN.linalg_eigvalsh.default, _symmetric),
}
