"""Chooses the kernel of each operation: Halide on a CPU, Triton on a GPU, else the reference. It also counts
which one ran.

`ADDERCOST_KERNEL=halide|triton|reference` forces one. If the variable is not set, a package that is missing
or fails causes one warning, and the reference computes the operation. If a kernel is forced, that is an
error.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from functools import cache
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from addercost.errors import AddercostError, unknown_name
from addercost.kernels import narrow, narrow_lookup, reference
from addercost.kernels.narrow import PackedWeights
from addercost.kernels.narrow_lookup import LookupWeights
from addercost.kernels.problem import Geometry
from addercost.kernels.ready import Call, like
from addercost.kernels.signs import pack_image
from addercost.kernels.store import Codes, Store

VARIABLE = "ADDERCOST_KERNEL"

runs: Counter[tuple[str, str]] = Counter()
"""How often each (operation, implementation) ran in this process; tests and benchmarks read it."""

_MODULES = {"halide": "addercost.kernels.cpu.operations", "triton": "addercost.kernels.gpu.operations"}
_EXTRAS = {"halide": "cpu", "triton": "gpu"}
_DEVICES = {"cpu": "halide", "cuda": "triton"}


class KernelUnavailableError(AddercostError):
    """The kernel that was forced cannot run here."""


class KernelMemoryError(AddercostError, MemoryError):
    """A layer's output does not fit into memory."""


def adder_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """-Σ|x - w|; see `reference.adder_forward`."""
    return _run("adder_forward", input, weight, geometry)


def adder_input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    """Σ g · HardTanh(w - x), or Σ g · sign(w - x); see `reference.adder_input_gradient`."""
    return _run("adder_input_gradient", grad, input, weight, geometry, gradient)


def adder_weight_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    """Σ g · (x - w), or Σ g · sign(x - w); see `reference.adder_weight_gradient`.

    The full form is a matrix product, for which torch already has the best kernel. On a GPU, Triton computes
    it only where `ADDERCOST_KERNEL` forces it to.
    """
    if gradient == "sign" or grad.device.type == "cuda":
        return _run("adder_weight_gradient", grad, input, weight, geometry, gradient)
    runs["adder_weight_gradient", "reference"] += 1
    return reference.adder_weight_gradient(grad, input, weight, geometry, gradient)


def adder_u8_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """-Σ|x - w| of bytes, in int32; see `reference.adder_u8_forward`."""
    return _run("adder_u8_forward", input, weight, geometry)


def adder_quantized_forward(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, geometry: Geometry
) -> Tensor:
    """-scale · Σ|q(x) - w| + bias of floats and byte weights; see `reference.adder_quantized_forward`."""
    return _run("adder_quantized_forward", input, weight, scale, bias, zero, geometry)


def adder_fused_forward(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor:
    """`store` applied to -Σ|x - w|; see `reference.adder_fused_forward`."""
    place = (input, weight, factors, geometry, store, shortcut)
    if input.device.type == "cpu":
        return _run("adder_fused_forward", *place)
    # There is no such kernel for GPUs.
    return reference.adder_fused_forward(*place, adder_forward)


def adder_coded_forward(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    codes: Codes,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor:
    """`store` applied to -Σ|q(x) - w| of bytes; see `reference.adder_coded_forward`."""
    place = (input, weight, factors, codes, geometry, store, shortcut)
    if input.device.type == "cpu":
        return _run("adder_coded_forward", *place)
    return reference.adder_coded_forward(*place, adder_u8_forward)


def binary_forward(input: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor | None = None) -> Tensor:
    """scale_k · Σ sign(x)·sign(w); see `reference.binary_forward`."""
    return _run("binary_forward", input, weight, geometry, scale)


def binary_packed_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor:
    """factor_k · Σ sign(x)·sign(w) + addend_k; see `reference.binary_packed_forward`."""
    return _run("binary_packed_forward", input, words, factors, shape, geometry)


def binary_fused_forward(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor:
    """`binary_packed_forward` plus a shortcut, within the limits of `store`."""
    place = (input, words, factors, shape, geometry)
    if input.is_cpu:
        return _run("binary_fused_forward", *place, store, shortcut)
    # There is no such kernel for GPUs.
    return store.behind(binary_packed_forward(*place), shortcut)


def binary_signs_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor:
    """The signs of `binary_packed_forward` as words; see `reference.binary_signs_forward`."""
    place = (input, words, factors, shape, geometry)
    # There is no such kernel for GPUs.
    return _run("binary_signs_forward", *place) if input.is_cpu else pack_image(binary_packed_forward(*place))


def stores_signs(shape: tuple[int, ...], geometry: Geometry) -> bool:
    """Whether the CPU's kernel of a packed binary layer, whose weight has this shape, stores signs itself.
    Elsewhere its floats are packed behind it, which takes longer than the next layer gains.
    """
    module = _load("halide")
    return not isinstance(module, str) and bool(module.stores_signs(shape, geometry))


def shift_forward(input: Tensor, weight: Tensor, geometry: Geometry, rounded: bool = False) -> Tensor:
    """Σ x·2^e over weights rounded to ±2^e; see `reference.shift_forward`."""
    return _run("shift_forward", input, weight, geometry, rounded)


def choices() -> Hashable:
    """What decides, beside sizes, strides and types, how an operation is computed on a CPU. None where
    nothing can be prepared: a package is missing, or the reference is forced.
    """
    if os.environ.get(VARIABLE, "") not in ("", "halide"):
        return None
    module = _load("halide")
    return None if isinstance(module, str) else module.choices()


def ready(operation: str, *arguments: Any) -> Call | None:
    """The operation for CPU operands like these, which may have no data, as long as `choices` stays what it
    is. None where each call has to be dispatched."""
    made: Call | None = _load("halide").ready(operation, *arguments)
    return made


def run_ready(operation: str, ready: Call, *operands: Tensor) -> Tensor | None:
    """The result of a prepared operation. None where it fails: when it is dispatched it says why, or the
    reference computes it.
    """
    try:
        output = ready(*operands)
    except (RuntimeError, *_load("halide").FAILURES):
        return None
    if output is not None:
        runs[operation, "halide"] += 1
    return output


def run_as_prepared(
    operation: str,
    prepare: Callable[..., Call | None],
    checked: tuple[Tensor | None, Tensor | None, Tensor | None],
    operands: tuple[Tensor, ...],
    *place: Any,
) -> Tensor | None:
    """The result of an operation on `operands` as `prepare` prepares it for tensors like those `checked`.
    None where it has to be dispatched. place: the arguments of `prepare` between these tensors and `choices`.
    """
    chosen = choices()
    if chosen is None:
        return None
    first, second, third = checked
    prepared = prepare(*like(first), *like(second), *like(third), *place, chosen)
    return None if prepared is None else run_ready(operation, prepared, *operands)


def narrow_product(x: Tensor, packed: PackedWeights) -> Tensor:
    """Products of int8 inputs with weights of 2 or 4 bits; see `narrow.reference`."""
    return _narrow("narrow_product", narrow.reference, x, packed)


def lookup_product(x: Tensor, weights: LookupWeights) -> Tensor:
    """The same products by table look-up; see `narrow_lookup.reference`."""
    return _narrow("lookup_product", narrow_lookup.reference, x, weights)


def _narrow(operation: str, fallback: Callable[..., Tensor], x: Tensor, weights: Any) -> Tensor:
    """Runs an operation for which only CPUs have a kernel."""
    if x.device.type == "cpu" and os.environ.get(VARIABLE, "") != "reference":
        made = _attempt("halide", operation, (x, weights), os.environ.get(VARIABLE) == "halide")
        if made is not None:
            runs[operation, "halide"] += 1
            return made
    runs[operation, "reference"] += 1
    return fallback(x, weights)


def _run(operation: str, *arguments: Any) -> Tensor:
    forced = os.environ.get(VARIABLE, "")
    if forced and forced not in (*_MODULES, "reference"):
        raise unknown_name(VARIABLE, forced, (*_MODULES, "reference"))
    name = forced or _DEVICES.get(arguments[0].device.type, "reference")
    try:
        result = None if name == "reference" else _attempt(name, operation, arguments, bool(forced))
        if result is None:
            name, result = "reference", getattr(reference, operation)(*arguments)
    except RuntimeError as error:
        # torch.OutOfMemoryError is a RuntimeError; the CPU's allocator raises a plain one.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise _memory_error(operation, arguments) from error
    runs[operation, name] += 1
    return result


def _memory_error(operation: str, arguments: tuple[Any, ...]) -> KernelMemoryError:
    """An error that says how much memory was needed and which batch would fit into what is free now."""
    first = arguments[0]
    geometry = next(a for a in arguments if isinstance(a, Geometry))
    # The weight is the last image in front of the geometry. A shortcut comes behind it.
    operands = list(takewhile(lambda argument: argument is not geometry, arguments))
    k, _, r, s = next(
        (a for a in operands if isinstance(a, tuple)),
        next(a.shape for a in reversed(operands) if isinstance(a, Tensor) and a.dim() == 4),
    )
    p, q = geometry.output_size((first.shape[2], first.shape[3]), (r, s))
    # Room for the input and for an output at least as large. This covers gradients too.
    per_image = first.element_size() * (first[0].numel() + max(k * p * q, first[0].numel()))
    if first.device.type == "cuda":
        free = torch.cuda.mem_get_info(first.device)[0]
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    need = per_image * first.shape[0]
    return KernelMemoryError(
        f"out of memory: {operation} on a batch of {first.shape[0]} takes about {need / 2**30:.1f} GiB "
        f"and {free / 2**30:.1f} GiB are free",
        f"a batch of {free // per_image} would fit",
    )


def _attempt(name: str, operation: str, arguments: tuple[Any, ...], forced: bool) -> Tensor | None:
    """The result of the kernel, or None where the reference has to compute it. Raises KernelUnavailableError
    if `forced`.
    """
    module = _load(name)
    if isinstance(module, str):
        if forced:
            raise KernelUnavailableError(f"{VARIABLE}={name}, but {module}", _advice(name))
        _warn_once(f"{module}; the slower reference kernels run instead: {_advice(name)}")
        return None
    try:
        kernel = getattr(module, operation, None)
        result: Tensor | None = None if kernel is None else kernel(*arguments)
    except module.FAILURES as error:
        first_line = str(error).partition("\n")[0]
        if forced:
            raise KernelUnavailableError(f"the {name} kernel failed: {first_line}") from error
        _warn_once(f"the {name} kernel failed, the slower reference runs instead: {first_line}")
        return None
    if result is None and forced:
        tensors = [f"{tuple(t.shape)} {t.dtype} on {t.device}" for t in arguments if isinstance(t, Tensor)]
        raise KernelUnavailableError(
            f"{VARIABLE}={name}, but its {operation} does not take {', '.join(tensors)}",
            f"unset {VARIABLE} to let the reference do it",
        )
    return result


@cache
def _load(name: str) -> Any:
    """The module with the kernels, or a text that says why it cannot be imported."""
    try:
        return importlib.import_module(_MODULES[name])
    except Exception as error:  # a broken package may raise anything
        return f"{name} cannot be imported ({type(error).__name__}: {error})"


def _advice(name: str) -> str:
    return f'pip install "addercost[{_EXTRAS[name]}]"'


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)
