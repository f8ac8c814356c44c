"""Networks for inference: a layer's kernel also computes what follows the layer.

fuse(model)                             adder layers include their batch norms, shortcuts and ReLUs; packed
                                        binary layers pass signs to each other
quantize_network(model, calibration)    the same on bytes; layers pass bytes to each other
"""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from addercost.errors import ArgumentError, ModelError
from addercost.kernels.store import Codes
from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.fused_adder import CodedAdder, FusedAdder, codes_of_range
from addercost.layers.norm import BatchNorm
from addercost.layers.packed import PackedBinary
from addercost.text import error_text

_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_)
_ADDITIONS: dict[tuple[str, Any], bool] = {
    ("call_function", operator.add): False,
    ("call_function", operator.iadd): True,
    ("call_function", torch.add): False,
    ("call_method", "add"): False,
    ("call_method", "add_"): True,
}
"""Additions of two tensors, and whether each changes its first tensor in place. Only an output that nothing
else reads may be changed."""
_ONLY_READ = (FusedAdder, nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, nn.MaxPool2d, nn.Identity)
"""Modules that change no tensor in place."""
_KEEP_CODES = (nn.MaxPool2d, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d)
"""Modules that commute with the conversion to byte codes, because codes have the same order as values."""


def _keeps_codes(module: nn.Module | None) -> bool:
    return isinstance(module, _KEEP_CODES)


def _keeps_signs(module: nn.Module | None) -> bool:
    """Whether a binary layer behind `module` reads the same signs as in front of it."""
    if isinstance(module, nn.Hardtanh):
        return module.min_val < 0 <= module.max_val
    return isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d)


def fuse(model: nn.Module) -> nn.Module:
    """A copy of `model` as an `fx.GraphModule`. Its adder layers compute the batch norm, the addition of a
    shortcut and the ReLU that follow them in their kernels. Batch norms after packed binary layers and
    `nn.Conv2d` are folded into these. If a packed layer's output is read only by such layers, also through
    HardTanh, and this machine's kernel of the layer can, the layer writes the signs that they read.

    A batch norm's factor and addend are rounded to fp32, and the results differ from the model's by the
    effect of this rounding. Signs and shortcuts change no bit, but a NaN has no sign: a layer that would pass
    it on raises ArgumentError. Hooks of replaced modules are lost. Raises ArgumentError in training mode, and
    ModelError where torch.fx cannot trace the forward.
    """
    graph = _with_stores(model, "fuse")
    _add_shortcuts(graph)
    _pass_signs(graph)
    return _finished(graph)


def _with_stores(model: nn.Module, name: str) -> fx.GraphModule:
    """The network whose layers include the batch norms and ReLUs behind them, for the function `name`."""
    _require_eval(model, name)
    graph = _traced(model)
    for node, path, layer in _layers(graph, AdderConv2d, AdderLinear, PackedBinary, nn.Conv2d):
        norm = _norm_behind(graph, node)
        if norm is not None:
            _skip(next(iter(node.users)), node)
        if isinstance(layer, AdderConv2d | AdderLinear):
            relu = _relu_behind(graph, node)
            if relu is not None:
                _skip(relu, node)
            new: nn.Module = FusedAdder(layer, norm, relu is not None)
        elif norm is None:
            continue
        elif isinstance(layer, PackedBinary):
            new = layer.with_norm(norm)
        else:
            assert isinstance(layer, nn.Conv2d)
            new = fuse_conv_bn_eval(layer, norm)
        _replace(graph, node, path, new)
    return graph


def _add_shortcuts(graph: fx.GraphModule) -> None:
    """Lets adder convolutions add what a network adds to their outputs."""
    for node, path, layer in _layers(graph, FusedAdder):
        assert isinstance(layer, FusedAdder)
        addition = None if layer.relu or layer.is_linear else _addition_behind(graph, node)
        if addition is None:
            continue
        (shortcut,) = (term for term in addition.args if term is not node)
        relu = _relu_behind(graph, addition)
        if relu is not None:
            _skip(relu, addition)
        graph.add_submodule(path, layer.with_shortcut(relu is not None))
        # The layer is called where the addition was, because the shortcut may be computed after the layer.
        with graph.graph.inserting_before(addition):
            _skip(addition, graph.graph.call_module(path, (node.args[0], shortcut)))
        graph.graph.erase_node(node)


def _pass_signs(graph: fx.GraphModule) -> None:
    """Lets packed layers write signs where only packed layers read them."""
    for node, path, layer in _layers(graph, PackedBinary):
        assert isinstance(layer, PackedBinary)
        readers = [_module(graph, reader) for reader in _readers(graph, node, _keeps_signs)]
        if not readers or not all(
            isinstance(reader, PackedBinary) and layer.may_pass_signs_to(reader) for reader in readers
        ):
            continue
        while between := [user for user in node.users if _keeps_signs(_module(graph, user))]:
            for user in between:
                _skip(user, node)
        _replace(graph, node, path, layer.passing_signs())


def quantize_network(model: nn.Module, calibration: Tensor) -> nn.Module:
    """A copy of `model` whose adder layers are fused and compute on bytes. If a layer's output is read only
    by such layers, also through pooling, the layer writes byte codes.

    The range of a layer's codes covers its weights and what it reads when the model runs on `calibration`.
    Layers that read the same output have the same range. The results are equal, bit for bit, to those of the
    same layers when each writes floats. Raises what `fuse` raises, and ArgumentError where there is no adder
    layer.
    """
    graph = _finished(_with_stores(model, "quantize_network"))
    ranges = _Ranges(graph)
    with torch.no_grad():
        ranges.run(calibration)
    if not ranges.of_source:
        raise ArgumentError(
            f"{type(model).__name__} has no adder layer to quantise", 'convert(model, "adder") makes them'
        )
    codes = {source: codes_of_range(*found) for source, found in ranges.of_source.items()}
    for node, path, layer in _layers(graph, FusedAdder):
        assert isinstance(layer, FusedAdder)
        _replace(graph, node, path, CodedAdder(layer, codes[_source(graph, node)], _next(graph, node, codes)))
    return _finished(graph)


def _require_eval(model: nn.Module, name: str) -> None:
    if model.training:
        raise ArgumentError(
            f"{name} takes a model for inference, this one is in training mode", "model.eval()"
        )


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        return module.__module__.startswith("addercost.layers.") or super().is_leaf_module(module, path)


def _traced(model: nn.Module) -> fx.GraphModule:
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


def _layers(graph: fx.GraphModule, *kinds: type[nn.Module]) -> Iterator[tuple[fx.Node, str, nn.Module]]:
    """The calls of modules of these kinds, each with a path for its replacement. A module that is called
    twice gets two replacements."""
    calls = [node for node in graph.graph.nodes if isinstance(_module(graph, node), kinds)]
    uses, seen = Counter(node.target for node in calls), Counter[Any]()
    for node in calls:
        seen[node.target] += 1
        path = str(node.target) if uses[node.target] == 1 else f"{node.target}_call{seen[node.target]}"
        module = _module(graph, node)
        assert module is not None
        yield node, path, module


def _module(graph: fx.GraphModule, node: Any) -> nn.Module | None:
    return graph.get_submodule(node.target) if node.op == "call_module" else None


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _norm_behind(graph: fx.GraphModule, node: fx.Node) -> BatchNorm | None:
    """The batch norm with running statistics that is the only reader of `node`, or None."""
    reader = _only_reader(node)
    norm = None if reader is None else _module(graph, reader)
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.running_mean is not None:
        return norm
    return None


def _addition_behind(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The addition of another tensor that is the only reader of `node`, or None. Between the two there are
    only layers, so nothing changes in place what either reads."""
    reader = _only_reader(node)
    if reader is None or (reader.op, reader.target) not in _ADDITIONS or reader.kwargs:
        return None
    if not all(isinstance(term, fx.Node) for term in reader.args) or len({*reader.args}) != 2:
        return None
    if _ADDITIONS[reader.op, reader.target] and reader.args[0] is not node:
        return None
    between = node.next
    while between is not reader:
        if not isinstance(_module(graph, between), _ONLY_READ):
            return None
        between = between.next
    return reader


def _relu_behind(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    reader = _only_reader(node)
    if reader is None:
        return None
    if reader.op == "call_function" and reader.target in _RELUS:
        return reader
    if reader.op == "call_method" and reader.target in ("relu", "relu_"):
        return reader
    return reader if type(_module(graph, reader)) is nn.ReLU else None


def _skip(node: fx.Node, source: fx.Node) -> None:
    node.replace_all_uses_with(source)
    node.graph.erase_node(node)


def _replace(graph: fx.GraphModule, node: fx.Node, path: str, new: nn.Module) -> None:
    graph.add_submodule(path, new)
    node.target = path


def _finished(graph: fx.GraphModule) -> fx.GraphModule:
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    return graph.eval()


def _source(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The node that `node` reads, leaving out modules in between that keep codes."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    while _keeps_codes(_module(graph, source)):
        source = source.args[0]
        assert isinstance(source, fx.Node)
    return source


def _readers(
    graph: fx.GraphModule, node: fx.Node, keeps: Callable[[nn.Module | None], bool]
) -> Iterator[fx.Node]:
    """The nodes that read `node`, leaving out modules in between that keep what they read there."""
    for user in node.users:
        yield from _readers(graph, user, keeps) if keeps(_module(graph, user)) else (user,)


def _next(graph: fx.GraphModule, node: fx.Node, codes: dict[fx.Node, Codes]) -> Codes | None:
    """The codes that all readers of a layer take. None if some reader does not take codes."""
    readers = [_module(graph, reader) for reader in _readers(graph, node, _keeps_codes)]
    coded = bool(readers) and all(isinstance(reader, FusedAdder | CodedAdder) for reader in readers)
    return codes[node] if coded else None


class _Ranges(fx.Interpreter):
    """Runs a network and records the range of the inputs and weights of its adder layers. Layers that read
    the same node share a range."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.graph_module, self.of_source = graph, dict[fx.Node, tuple[float, float]]()

    def run_node(self, node: fx.Node) -> Any:
        layer = _module(self.graph_module, node)
        if isinstance(layer, FusedAdder):
            (input,), _ = self.fetch_args_kwargs_from_env(node)
            ends = [float(end) for tensor in (input, layer.weight) for end in torch.aminmax(tensor)]
            source = _source(self.graph_module, node)
            ends += self.of_source.get(source, ())
            self.of_source[source] = min(ends), max(ends)
        return super().run_node(node)
