"""A network as a graph of torch.fx: which call follows which, and how calls are replaced."""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from addercost.errors import ArgumentError, ModelError
from addercost.kernels.store import RELU, Limits
from addercost.layers.fused_adder import FusedAdder
from addercost.layers.norm import BatchNorm
from addercost.layers.packed import PackedBinary
from addercost.text import error_text

_RELUS: tuple[tuple[str, Any], ...] = (
    *(("call_function", relu) for relu in (F.relu, F.relu_, torch.relu, torch.relu_)),
    *(("call_method", relu) for relu in ("relu", "relu_")),
)
_ADDITIONS: dict[tuple[str, Any], bool] = {
    ("call_function", operator.add): False,
    ("call_function", operator.iadd): True,
    ("call_function", torch.add): False,
    ("call_method", "add"): False,
    ("call_method", "add_"): True,
}
"""Additions of two tensors, and whether each changes its first tensor in place. Only an output that nothing
else reads may be changed."""
_ONLY_READ = (FusedAdder, PackedBinary, nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, nn.MaxPool2d, nn.Identity)
"""Modules that change no tensor in place."""


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        return module.__module__.startswith("addercost.layers.") or super().is_leaf_module(module, path)


def traced(model: nn.Module, name: str) -> fx.GraphModule:
    """A copy of a model in eval mode as a graph, for the function `name`. Layers are single calls. Raises
    ArgumentError in training mode, and ModelError where torch.fx cannot trace the forward."""
    if model.training:
        raise ArgumentError(
            f"{name} takes a model for inference, this one is in training mode", "model.eval()"
        )
    tracer, root = _Tracer(), copy.deepcopy(model)
    if tracer.is_leaf_module(root, ""):
        root = nn.Sequential(root).eval()
    try:
        graph = tracer.trace(root)
    except Exception as error:  # A forward may raise anything when it gets torch.fx's proxies.
        raise ModelError(
            f"{type(model).__name__} cannot be taken apart by torch.fx: {error_text(error)[:200]}",
            "fuse the parts whose forward does not depend on values",
        ) from None
    return fx.GraphModule(root, graph, type(model).__name__)


def calls_of(graph: fx.GraphModule, *kinds: type[nn.Module]) -> Iterator[tuple[fx.Node, str, nn.Module]]:
    """The calls of modules of these kinds, each with a path for its replacement. A module that is called
    twice gets two replacements."""
    calls = [node for node in graph.graph.nodes if isinstance(module_of(graph, node), kinds)]
    uses, seen = Counter(node.target for node in calls), Counter[Any]()
    for node in calls:
        seen[node.target] += 1
        path = str(node.target) if uses[node.target] == 1 else f"{node.target}_call{seen[node.target]}"
        module = module_of(graph, node)
        assert module is not None
        yield node, path, module


def module_of(graph: fx.GraphModule, node: Any) -> nn.Module | None:
    return graph.get_submodule(node.target) if node.op == "call_module" else None


def only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def norm_behind(graph: fx.GraphModule, node: fx.Node) -> BatchNorm | None:
    """The batch norm with running statistics that is the only reader of `node`, or None."""
    reader = only_reader(node)
    norm = None if reader is None else module_of(graph, reader)
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.running_mean is not None:
        return norm
    return None


def addition_behind(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The addition of another tensor that is the only reader of `node`, or None. Between the two there are
    only layers, so nothing changes in place what either reads."""
    reader = only_reader(node)
    if reader is None or (reader.op, reader.target) not in _ADDITIONS or reader.kwargs:
        return None
    if not all(isinstance(term, fx.Node) for term in reader.args) or len({*reader.args}) != 2:
        return None
    if _ADDITIONS[reader.op, reader.target] and reader.args[0] is not node:
        return None
    between = node.next
    while between is not reader:
        if not isinstance(module_of(graph, between), _ONLY_READ):
            return None
        between = between.next
    return reader


def limits_behind(graph: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, Limits] | None:
    """The ReLU or HardTanh that is the only reader of `node`, and the limits that it has; or None."""
    reader = only_reader(node)
    if reader is None:
        return None
    module = module_of(graph, reader)
    if type(module) in (nn.Hardtanh, nn.ReLU6):
        assert isinstance(module, nn.Hardtanh)
        return reader, (float(module.min_val), float(module.max_val))
    is_relu = (reader.op, reader.target) in _RELUS or type(module) is nn.ReLU
    return (reader, RELU) if is_relu else None


def skip(node: fx.Node, source: fx.Node) -> None:
    node.replace_all_uses_with(source)
    node.graph.erase_node(node)


def replace(graph: fx.GraphModule, node: fx.Node, path: str, new: nn.Module) -> None:
    graph.add_submodule(path, new)
    node.target = path


def finished(graph: fx.GraphModule) -> fx.GraphModule:
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    return graph.eval()
