"""Networks for inference: a layer's kernel also computes what follows the layer.

fuse(model)                             adder and packed binary layers include their batch norms, shortcuts
                                        and ReLUs or HardTanhs; packed ones pass signs to each other
quantize_network(model, calibration)    the same on bytes; layers pass bytes to each other
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from addercost.errors import ArgumentError
from addercost.kernels.store import NO_LIMITS, Codes
from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.fused_adder import CodedAdder, FusedAdder, codes_of_range
from addercost.layers.network_graph import (
    addition_behind,
    calls_of,
    finished,
    limits_behind,
    module_of,
    norm_behind,
    replace,
    skip,
    traced,
)
from addercost.layers.packed import PackedBinary

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
    """A copy of `model` as an `fx.GraphModule`. The kernels of its adder and packed binary layers compute
    what follows the layers: batch norm, the addition of a shortcut, and ReLU or HardTanh. Batch norms after
    `nn.Conv2d` are folded into it. If a packed layer's output is read only by such layers, also through
    HardTanh, and this machine's kernel of the layer can, the layer writes the signs that they read.

    A batch norm's factor and addend are rounded to fp32, and the results differ from the model's by the
    effect of this rounding. Nothing else changes a bit, but a NaN has no sign: a layer that would pass it on
    raises ArgumentError. Hooks of replaced modules are lost. Raises ArgumentError in training mode, and
    ModelError where torch.fx cannot trace the forward.
    """
    graph = _with_norms(model, "fuse")
    _pass_signs(graph)
    _complete_stores(graph)
    return finished(graph)


def _with_norms(model: nn.Module, name: str) -> fx.GraphModule:
    """The network whose layers include the batch norms behind them, for the function `name`."""
    graph = traced(model, name)
    for node, path, layer in calls_of(graph, AdderConv2d, AdderLinear, PackedBinary, nn.Conv2d):
        norm = norm_behind(graph, node)
        if norm is not None:
            skip(next(iter(node.users)), node)
        if isinstance(layer, AdderConv2d | AdderLinear):
            new: nn.Module = FusedAdder(layer, norm)
        elif norm is None:
            continue
        elif isinstance(layer, PackedBinary):
            new = layer.with_norm(norm)
        else:
            assert isinstance(layer, nn.Conv2d)
            new = fuse_conv_bn_eval(layer, norm)
        replace(graph, node, path, new)
    return graph


def _complete_stores(graph: fx.GraphModule) -> None:
    """Adds limits and shortcuts to the layers' stores. Limits come first, and once more behind the sums."""
    _add_limits(graph)
    _add_shortcuts(graph)
    _add_limits(graph)


def _add_shortcuts(graph: fx.GraphModule) -> None:
    """Lets convolutions add what a network adds to their outputs."""
    for node, path, layer in calls_of(graph, FusedAdder, PackedBinary):
        addition = addition_behind(graph, node)
        if addition is None or len(node.args) > 1 or not _takes_more(layer) or layer.is_linear:
            continue
        (shortcut,) = (term for term in addition.args if term is not node)
        # The layer is called where the addition was, because the shortcut may be computed after the layer.
        with graph.graph.inserting_before(addition):
            call = graph.graph.call_module(str(node.target), (node.args[0], shortcut))
        skip(addition, call)
        graph.graph.erase_node(node)
        if path != call.target:
            replace(graph, call, path, layer)


def _add_limits(graph: fx.GraphModule) -> None:
    """Lets layers limit their outputs as the ReLU or HardTanh behind them does."""
    for node, path, layer in calls_of(graph, FusedAdder, PackedBinary):
        found = limits_behind(graph, node)
        if found is not None and _takes_more(layer):
            limiting, limits = found
            skip(limiting, node)
            replace(graph, node, path, layer.limited(limits))


def _takes_more(layer: nn.Module) -> TypeGuard[FusedAdder | PackedBinary]:
    """Whether the layer's outputs are values to which its kernel may still do something."""
    if isinstance(layer, PackedBinary) and layer.signs:
        return False
    return isinstance(layer, FusedAdder | PackedBinary) and layer.limits == NO_LIMITS


def _pass_signs(graph: fx.GraphModule) -> None:
    """Lets packed layers write signs where only packed layers read them."""
    for node, path, layer in calls_of(graph, PackedBinary):
        if len(node.args) > 1 or not _takes_more(layer):
            continue
        assert isinstance(layer, PackedBinary)
        readers = list(_images(graph, node, _keeps_signs))
        if not readers or not all(
            isinstance(reader, PackedBinary) and layer.may_pass_signs_to(reader) for reader in readers
        ):
            continue
        while between := [user for user in node.users if _keeps_signs(module_of(graph, user))]:
            for user in between:
                skip(user, node)
        replace(graph, node, path, layer.passing_signs())


def quantize_network(model: nn.Module, calibration: Tensor) -> nn.Module:
    """A copy of `model` whose adder layers are fused, with shortcuts and ReLUs, and compute on bytes. If a
    layer's output is read only by such layers, also through pooling, the layer writes byte codes.

    The range of a layer's codes covers its weights and what it reads when the model runs on `calibration`.
    Layers that read the same output have the same range. The results are equal, bit for bit, to those of the
    same layers when each writes floats. Raises what `fuse` raises, and ArgumentError where there is no adder
    layer.
    """
    graph = _with_norms(model, "quantize_network")
    _complete_stores(graph)
    ranges = _Ranges(finished(graph))
    with torch.no_grad():
        ranges.run(calibration)
    if not ranges.of_source:
        raise ArgumentError(
            f"{type(model).__name__} has no adder layer to quantise", 'convert(model, "adder") makes them'
        )
    codes = {source: codes_of_range(*found) for source, found in ranges.of_source.items()}
    for node, path, layer in calls_of(graph, FusedAdder):
        assert isinstance(layer, FusedAdder)
        replace(graph, node, path, CodedAdder(layer, codes[_source(graph, node)], _next(graph, node, codes)))
    return finished(graph)


def _source(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The node that `node` reads, leaving out modules in between that keep codes."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    while _keeps_codes(module_of(graph, source)):
        source = source.args[0]
        assert isinstance(source, fx.Node)
    return source


def _images(
    graph: fx.GraphModule, node: fx.Node, keeps: Callable[[nn.Module | None], bool]
) -> Iterator[nn.Module | None]:
    """The modules that read `node` as their image and nothing else, leaving out modules in between that keep
    what they read there. None for any other reader, such as one that adds it as a shortcut."""
    for user in node.users:
        if keeps(module_of(graph, user)):
            yield from _images(graph, user, keeps)
        else:
            yield None if node in user.args[1:] else module_of(graph, user)


def _next(graph: fx.GraphModule, node: fx.Node, codes: dict[fx.Node, Codes]) -> Codes | None:
    """The codes that all readers of a layer take. None if some reader does not take codes."""
    readers = list(_images(graph, node, _keeps_codes))
    coded = bool(readers) and all(isinstance(reader, FusedAdder | CodedAdder) for reader in readers)
    return codes[node] if coded else None


class _Ranges(fx.Interpreter):
    """Runs a network and records the range of the inputs and weights of its adder layers. Layers that read
    the same node share a range."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.graph_module, self.of_source = graph, dict[fx.Node, tuple[float, float]]()

    def run_node(self, node: fx.Node) -> Any:
        layer = module_of(self.graph_module, node)
        if isinstance(layer, FusedAdder):
            (input, *_), _ = self.fetch_args_kwargs_from_env(node)
            ends = [float(end) for tensor in (input, layer.weight) for end in torch.aminmax(tensor)]
            source = _source(self.graph_module, node)
            ends += self.of_source.get(source, ())
            self.of_source[source] = min(ends), max(ends)
        return super().run_node(node)
