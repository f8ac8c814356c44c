"""Batch norm folded into the layer before it, as is usual when networks are deployed."""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import ARITHMETIC_TAG
from addercost.counts.norm_operators import BATCH_NORMS, takes_batch_statistics
from addercost.counts.what_if.data_flow import DataFlow
from addercost.counts.what_if.layer_calls import CONVOLUTION, PRODUCTS, weight
from addercost.counts.what_if.registry import alternative
from addercost.trace.record import OpCall, TensorSpec, Trace

_WEIGHTS = {CONVOLUTION: "weight", **{op: names[1] for op, names in PRODUCTS.items()}}


@alternative("fold-bn", "batch norm folded into the convolution or linear layer before it")
def fold_batch_norm(trace: Trace, layers: frozenset[int], value: object) -> Trace:
    """With mean μ, variance σ², scale γ and shift β: w' = w·γ/√(σ² + ε), b' = (b - μ)·γ/√(σ² + ε) + β.

    The layer keeps its sites and gets a bias; the batch norm and its parameters disappear. A batch norm stays
    where the network also reads or returns the layer's output, where another call uses the layer's weight,
    after a layer that is not linear in its weight (adder, binary, shift), and where it uses the statistics of
    its batch. Source: Jacob et al., CVPR 2018, section 3.2.
    """
    flow = DataFlow(trace, "fold-bn")
    uses: dict[str, int] = {}
    for call in trace.calls:
        if "view" not in call.tags:
            for spec in call.tensors():
                if spec.name:
                    uses[spec.name] = uses.get(spec.name, 0) + 1
    unread = [
        (i, call)
        for i, call in enumerate(trace.calls)
        if call.name == "aten.empty" and not flow.is_read(i, call.output)
    ]
    folded: dict[int, OpCall] = {}
    dropped: dict[int, OpCall] = {}
    for index, norm in enumerate(trace.calls):
        if norm.name not in BATCH_NORMS or takes_batch_statistics(norm):
            continue
        x = norm.tensors()[0]
        maker = flow.maker(index, x)
        if maker is None or maker not in layers or flow.only_reader(maker, x) != index:
            continue
        layer = trace.calls[maker]
        name = _WEIGHTS.get(layer.name)
        if name is None or not _is_linear(layer) or layer.tensor(name).role not in ("parameter", "derived"):
            continue
        # The output of a linear layer is [n, K]; its columns are the channels that the batch norm normalises.
        if uses[layer.tensor(name).name] == 1:
            folded[maker] = _with_bias(layer, layer.tensor(name), norm)
            dropped[index] = norm
            # torch makes an empty tensor before each batch norm, for kernels that need one.
            dropped |= {i: call for i, call in unread if call.module == norm.module}
    for norm in dropped.values():
        for spec in norm.parameters():
            uses[spec.name] -= 1
    gone = {spec.name for norm in dropped.values() for spec in norm.parameters() if not uses[spec.name]}
    calls = tuple(folded.get(i, call) for i, call in enumerate(trace.calls) if i not in dropped)
    parameters = {name: n for name, n in trace.parameters.items() if name not in gone}
    for layer in folded.values():
        parameters |= {spec.name: spec.numel for spec in layer.parameters() if spec.name.endswith("/bias")}
    return replace(trace, calls=calls, parameters=parameters)


def _is_linear(layer: OpCall) -> bool:
    tags = {tag for tag in layer.tags if tag.startswith(ARITHMETIC_TAG)}
    return tags <= {ARITHMETIC_TAG + Arithmetic.MAC} and "binary" not in layer.tags


def _with_bias(layer: OpCall, w: TensorSpec, norm: OpCall) -> OpCall:
    """The layer with a bias and with the output of the batch norm."""
    bias = weight(w, "bias", (norm.output.shape[1],))
    outputs = norm.outputs[:1]
    if layer.name == CONVOLUTION:
        kept = layer.optional_tensor("bias") or bias
        return replace(layer, args={**layer.args, "bias": kept}, outputs=outputs)
    if layer.name == "aten.addmm":
        return replace(layer, outputs=outputs)
    args = {"self": bias, "mat1": layer.args["self"], "mat2": layer.args["mat2"], "beta": 1, "alpha": 1}
    return replace(layer, op="aten.addmm.default", args=args, outputs=outputs)
