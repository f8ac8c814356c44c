"""A second, independent tracer: fvcore walks torch's jit graph, and every node becomes a call.

The dispatch tracer sees operators below autograd, where a linear layer is an `addmm`. This tracer sees them
as the model calls them. The same rules count both, so agreement supports both. This tracer takes only
positional inputs, and shapes that depend on data are those of its one run.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from addercost.errors import ArgumentError, TraceError
from addercost.text import error_text
from addercost.trace.caller_state import unchanged
from addercost.trace.modules import ModuleTree, replace_tensors, type_name
from addercost.trace.op_info import op_info
from addercost.trace.record import ArgValue, OpCall, TensorSpec, Trace
from addercost.trace.switches import countable_operators

_SHAPE = "shape"
"""Role of the numbers that jit makes from tensor sizes. Arithmetic with them is not work of the model."""

_NO_WORK = frozenset(
    f"prim::{name}"
    for name in (
        "Constant", "GetAttr", "NumToTensor", "Int", "Float", "Bool", "ListConstruct", "ListUnpack",
        "TupleConstruct", "TupleUnpack", "TupleIndex", "DictConstruct", "CreateObject", "Param", "Return",
        "device", "dtype", "layout",
    )
)  # fmt: skip
"""Nodes of the graph that compute nothing. Every other node becomes a call, counted or not."""


def trace_with_fvcore(model: nn.Module, *args: Any, name: str | None = None) -> Trace:
    """Traces one forward in evaluation mode through fvcore's analysis of the jit graph. jit computes values
    while it traces.

    args: the forward's positional inputs. Raises TraceError where jit cannot trace the model, and
    ArgumentError where fvcore is not installed.
    """
    try:
        from fvcore.nn.jit_analysis import JitModelAnalysis
    except ImportError as error:
        raise ArgumentError("the fvcore tracer needs fvcore", "pip install fvcore") from error
    title = name or type(model).__name__
    inputs = tuple(tree_map(_with_data, args))
    with ExitStack() as stack:
        stack.enter_context(countable_operators())
        tree = ModuleTree(model)
        stack.enter_context(unchanged(tree))
        # jit records the same node whichever kernel computes it, so fast kernels may be used.
        torch._C._set_mkldnn_enabled(True)
        names = replace_tensors(tree, _with_data)
        for module in tree.modules:
            module.__dict__["training"] = False
        stack.enter_context(torch.no_grad())
        reader = _NodeReader({id(t): (n, role) for n, role, t in names.values()}, model, inputs)
        analysis = JitModelAnalysis(model, inputs)
        analysis._op_handles = _EveryKind(reader)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        try:
            analysis.total()
        except Exception as error:
            text = error_text(error)[:400]
            raise TraceError(
                f"{title} cannot be traced by jit: {type(error).__name__}: {text}",
                "use the dispatch tracer, which is the default",
            ) from error
        parameters = {n: t.numel() for n, role, t in names.values() if role == "parameter"}
    known = {path: type_name(module) for module in tree.modules for path in tree.paths[id(module)]}
    calls = tuple(reader.calls)
    return Trace(
        model=title,
        calls=calls,
        modules={call.module: known.get(call.module, "") for call in calls},
        parameters=parameters,
        inputs=tuple(reader.input_specs),
        tracer="fvcore",
        versions={"torch": torch.__version__, "python": platform.python_version()},
        notes=("traced by fvcore through torch.jit",),
    )


def _with_data(value: Any) -> Any:
    """Zeros for a tensor without data, because jit runs what it traces. The operating system gives zeros no
    memory until they are written.
    """
    if not isinstance(value, Tensor):
        return value
    # A copy, because the forward may write its weights and inputs.
    data = torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value.detach().clone()
    return nn.Parameter(data, value.requires_grad) if isinstance(value, nn.Parameter) else data


def _of_sizes(operands: list[TensorSpec]) -> bool:
    """Whether an operator only combines tensor sizes with each other and with constants."""
    sizes = [spec for spec in operands if spec.role == _SHAPE]
    return bool(sizes) and all(spec.role == _SHAPE or spec.shape == () for spec in operands)


class _EveryKind(dict[str, Callable[..., Any]]):
    """A handler for every operator, because fvcore looks handlers up by the kind of a node."""

    def __init__(self, reader: _NodeReader) -> None:
        super().__init__()
        self.reader = reader

    def __contains__(self, kind: object) -> bool:
        return str(kind) not in _NO_WORK

    def __getitem__(self, kind: str) -> Callable[..., Any]:
        return self.reader.handle


class _NodeReader:
    """Turns jit nodes into calls."""

    def __init__(self, names: dict[int, tuple[str, str]], model: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.calls: list[OpCall] = []
        tensors = torch.jit._unique_state_dict(model, keep_vars=True)  # type: ignore[attr-defined, no-untyped-call]
        # jit appends the model's tensors to the inputs of the graph in this order.
        self._model_tensors = [names.get(id(tensor), (key, "constant")) for key, tensor in tensors.items()]
        self._specs: dict[str, TensorSpec] = {}
        self.input_specs = [
            TensorSpec(tuple(t.shape), str(t.dtype).removeprefix("torch."), "input")
            for t in inputs
            if isinstance(t, Tensor)
        ]

    def handle(self, inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        node = outputs[0].node() if outputs else inputs[0].node()
        if not self._specs:
            self._read_inputs(list(node.owningBlock().inputs()))
        if not node.schema() or node.schema() == "(no schema)":
            return self._unknown(node, outputs)
        schema = torch._C.parse_schema(node.schema())
        namespace, _, name = schema.name.partition("::")
        packet = getattr(getattr(torch.ops, namespace), name, None)
        overload = getattr(packet, schema.overload_name or "default", None) if packet is not None else None
        info = op_info(overload) if overload is not None else None
        values = {
            argument.name: self._value(value)
            for argument, value in zip(schema.arguments, node.inputs(), strict=False)
        }
        parameters = [v for v in values.values() if isinstance(v, TensorSpec)]
        if name in ("size", "numel") or _of_sizes(parameters):
            for output in outputs:
                self._tensor(output, _SHAPE)
            return Counter()
        fixed = bool(parameters) and all(spec.role in ("parameter", "derived") for spec in parameters)
        role = "derived" if fixed else "activation"
        specs = []
        for output in outputs:
            spec = self._tensor(output, role, parameters[0].name if fixed else "")
            if spec is not None:
                specs.append(spec)
        if not specs and not info:
            return Counter()
        op = f"{namespace}.{name}.{schema.overload_name or 'default'}"
        path = node.scopeName().split("/")[-1]
        tags = info.tags if info is not None else ()
        self.calls.append(OpCall(op, path, values, tuple(specs), len(self.calls), tags))
        return Counter()

    def _unknown(self, node: Any, outputs: list[Any]) -> Counter[str]:
        """Records a node that is not an operator, such as an autograd.Function, as a call that no rule
        counts.
        """
        operands = [self._value(value) for value in node.inputs()]
        specs = tuple(spec for output in outputs if (spec := self._tensor(output)) is not None)
        op = f"{node.kind().replace('::', '.')}.default"
        path = node.scopeName().split("/")[-1]
        self.calls.append(OpCall(op, path, {"inputs": tuple(operands)}, specs, len(self.calls)))
        return Counter()

    def _read_inputs(self, values: list[Any]) -> None:
        """Reads the graph's inputs. The last ones are the model's tensors; those before are the forward's
        inputs.
        """
        split = len(values) - len(self._model_tensors)
        for value in values[:split]:
            self._tensor(value, "input")
        for value, (name, role) in zip(values[split:], self._model_tensors, strict=True):
            self._tensor(value, role, name)

    def _tensor(self, value: Any, role: str = "activation", name: str = "") -> TensorSpec | None:
        key = value.debugName()
        known = self._specs.get(key)
        if known is not None:
            return known
        if value.node().kind() == "prim::NumToTensor":
            role = _SHAPE
        kind = value.type()
        if kind.kind() == "ListType":
            return None
        if kind.kind() != "TensorType" or kind.sizes() is None:
            return None
        dtype = str(kind.dtype()).removeprefix("torch.") if kind.dtype() is not None else "float32"
        number = len(self._specs) + 1
        spec = self._specs[key] = TensorSpec(tuple(kind.sizes()), dtype, role, name, number=number)
        return spec

    def _value(self, value: Any) -> ArgValue:
        node = value.node()
        if node.kind() in ("prim::ListConstruct", "prim::TupleConstruct"):
            return tuple(self._value(item) for item in node.inputs())
        if value.type().kind() == "TensorType":
            return self._tensor(value)
        constant = value.toIValue() if node.kind() == "prim::Constant" else None
        if isinstance(constant, Tensor):
            return TensorSpec(tuple(constant.shape), str(constant.dtype).removeprefix("torch."), "constant")
        if isinstance(constant, list):
            return tuple(constant)
        return constant if isinstance(constant, bool | int | float | str) else None
