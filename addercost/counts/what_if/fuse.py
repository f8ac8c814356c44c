"""Element-wise operators computed while the output of the layer before them is still in registers."""

from __future__ import annotations

from dataclasses import replace

from addercost.counts.norm_operators import BATCH_NORMS, takes_batch_statistics
from addercost.counts.runs import COPIES
from addercost.counts.what_if.data_flow import DataFlow
from addercost.counts.what_if.registry import alternative
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec, Trace, map_tensors


@alternative("fuse", "a layer, its activation and additions of the same size are one pass over memory")
def fuse(trace: Trace, layers: frozenset[int], value: object) -> Trace:
    """A layer and the element-wise operators after it pass their results on in registers.

    Each operator must work on the whole output of the one before it, and must be its only reader. For each
    such operator, with n elements of b bytes, n·b fewer bytes are written and n·b fewer are read.

    The operations stay the same. The other operand of an addition, such as a residual, is still read. It
    cannot depend on the layer, because nothing else reads the layer's output. A tensor that the network
    returns is written. Source: oneDNN developer guide, "Primitive attributes: post-ops" (sum, eltwise).
    """
    flow = DataFlow(trace, "fuse")
    handed_on: set[int] = set()
    taken: dict[int, int] = {}
    for layer in sorted(layers):
        at = layer
        while (after := _next(trace, flow, at)) is not None and after not in taken:
            handed_on.add(at)
            taken[after] = trace.calls[at].output.number
            at = after
    calls = tuple(_in_registers(call, taken.get(i), i in handed_on) for i, call in enumerate(trace.calls))
    return replace(trace, calls=calls)


def _next(trace: Trace, flow: DataFlow, index: int) -> int | None:
    """The element-wise call that is the only reader of the output of call `index` and makes a tensor of the
    same shape.
    """
    out = trace.calls[index].output
    reader = flow.only_reader(index, out)
    if reader is None:
        return None
    call = trace.calls[reader]
    normalises = call.name in BATCH_NORMS and not takes_batch_statistics(call)
    element_wise = normalises or (_is_element_wise(call) and call.name not in COPIES)
    return reader if element_wise and call.output.shape == out.shape else None


def _is_element_wise(call: OpCall) -> bool:
    # Every command imports the names of the what-ifs, and few of them need the rules.
    from addercost.counts.rules.elementwise import ELEMENTWISE

    # Graphs that torch did not run have calls without tags.
    return "pointwise" in call.tags or call.name.removeprefix("aten.") in ELEMENTWISE


def _in_registers(call: OpCall, taken: int | None, handed_on: bool) -> OpCall:
    """The call with some tensors in registers: the argument whose number is `taken` and, with `handed_on`,
    the first output."""

    def there(name: str, spec: TensorSpec) -> TensorSpec:
        is_there = handed_on and spec is call.output if name == "" else spec.number == taken
        return replace(spec, role=IN_REGISTERS) if is_there else spec

    return call if taken is None and not handed_on else map_tensors(call, there)
