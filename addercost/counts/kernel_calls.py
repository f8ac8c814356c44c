"""The kernels that a forward runs, each with what determines its time: an operator, its arguments and their
shapes.

Views, and operators that only reserve memory, run no kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import ARITHMETIC_TAG, DEFINITIONS
from addercost.counts.kernel_starts import starts_kernel
from addercost.trace.record import ArgValue, OpCall, TensorSpec


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a kernel reads or writes. is_weight: it is a parameter or buffer,
    or was computed from these and constants alone."""

    shape: tuple[int, ...]
    dtype: str
    is_weight: bool = False

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(self.shape, self.dtype, "parameter" if self.is_weight else "activation")

    @property
    def n_bytes(self) -> int:
        return self.spec.n_bytes


KernelArgument: TypeAlias = "bool | int | float | complex | str | Operand | tuple[KernelArgument, ...] | None"


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One call of a kernel. Two calls that are equal take the same time.

    op: the operator with its overload, "aten.convolution.default". arguments: in order, by the names of the
    operator's schema.
    """

    op: str
    arguments: tuple[tuple[str, KernelArgument], ...]
    outputs: tuple[Operand, ...]

    @property
    def name(self) -> str:
        """The operator without its overload."""
        return self.op.rpartition(".")[0]

    @property
    def has_operator(self) -> bool:
        """Whether an operator computes it. False for a layer that was changed to an arithmetic without such
        an operator.
        """
        return self.op.partition(".")[0] not in list(Arithmetic)

    def argument(self, name: str) -> KernelArgument:
        return dict(self.arguments).get(name)

    def operands(self) -> Iterator[Operand]:
        """The tensors that it reads."""
        for _, value in self.arguments:
            yield from _operands(value)


def _operands(value: KernelArgument) -> Iterator[Operand]:
    if isinstance(value, Operand):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _operands(item)


def kernel_calls(calls: Iterable[OpCall]) -> list[tuple[str, KernelCall]]:
    """(path of the module, kernel) for each call that runs a kernel, in order."""
    return [(call.module, kernel_call(call)) for call in calls if starts_kernel(call)]


_CONVOLUTIONS = {a: made.convolution for a, made in DEFINITIONS.items() if made.convolution}
_LINEAR = {a: made.linear for a, made in DEFINITIONS.items() if made.linear}


def kernel_call(call: OpCall) -> KernelCall:
    """The kernel of one call, in the arithmetic to which the call was changed."""
    changed = arithmetic_of(call)
    if changed in _LINEAR and call.name in ("aten.addmm", "aten.mm"):
        return _own_linear(call, _LINEAR[changed])
    return KernelCall(
        _operator(call),
        tuple((name, _argument(value)) for name, value in call.args.items()),
        tuple(_operand(spec) for spec in call.outputs),
    )


def _own_linear(call: OpCall, op: str) -> KernelCall:
    """addercost's linear layer in place of a product with a weight [m, k], which the product gets
    transposed.
    """
    x, turned = call.tensor("mat1" if call.name == "aten.addmm" else "self"), call.tensor("mat2")
    weight = _operand(turned)
    bias = _operand(call.tensor("self")) if call.name == "aten.addmm" else None
    arguments: tuple[tuple[str, KernelArgument], ...] = (
        ("input", _operand(x)),
        ("weight", Operand(weight.shape[::-1], weight.dtype, weight.is_weight)),
        ("bias", bias),
    )
    return KernelCall(op, arguments, tuple(map(_operand, call.outputs)))


def _operator(call: OpCall) -> str:
    """The operator that computes the call.

    There is none for a layer in another arithmetic, except for a convolution of images. Such a call is named
    after the arithmetic, as in "adder.addmm.default".
    """
    changed = arithmetic_of(call)
    if changed is None or call.op == _CONVOLUTIONS.get(changed):
        return call.op
    convolves = call.op in _CONVOLUTIONS.values() and not call.args.get("transposed")
    if convolves and len(call.shape("weight")) == 4 and changed in _CONVOLUTIONS:
        return _CONVOLUTIONS[changed]
    is_mac = changed is Arithmetic.MAC and call.op.startswith("aten.")
    return call.op if is_mac else f"{changed}.{call.op.partition('.')[2]}"


def arithmetic_of(call: OpCall) -> Arithmetic | None:
    """The arithmetic to which the call was changed, if it was."""
    for tag in call.tags:
        if tag.startswith(ARITHMETIC_TAG):
            return Arithmetic(tag.removeprefix(ARITHMETIC_TAG))
    return None


def _operand(spec: TensorSpec) -> Operand:
    return Operand(spec.shape, spec.dtype, spec.role in ("parameter", "buffer", "derived"))


def _argument(value: ArgValue) -> KernelArgument:
    if isinstance(value, TensorSpec):
        return _operand(value)
    if isinstance(value, tuple):
        return tuple(_argument(item) for item in value)
    return value


def attention_call(
    query: Operand, key: Operand, value: Operand, mask: Operand | None, output: Operand
) -> KernelCall:
    return KernelCall(
        "aten.scaled_dot_product_attention.default",
        (("query", query), ("key", key), ("value", value), ("attn_mask", mask)),
        (output,),
    )
