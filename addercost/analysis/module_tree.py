"""Layers as a tree of modules with values at each node, which icicle charts draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from addercost.analysis.layer_rows import labelled_costs
from addercost.results.profile import Profile

OPERATIONS = "operations"


@dataclass(slots=True)
class ModuleNode:
    """A module. own: the cost of the module itself, without modules inside it. values: the cost with
    everything inside it.

    Both have a number for each basis; see `bases`.
    """

    name: str
    path: str
    op: str = ""
    values: dict[str, float] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    children: list[ModuleNode] = field(default_factory=list)


def bases(profile: Profile) -> tuple[str, ...]:
    """The names of the quantities by which a node can be sized: cycles on each processor, operations,
    parameters, bytes moved.
    """
    cycles = tuple(
        f"cycles@{name}"
        for name, cost in labelled_costs(profile).items()
        if any(layer.cycles for layer in cost.layers)
    )
    return (*cycles, OPERATIONS, "parameters", "bytes")


def module_tree(profile: Profile, widest: int, basis: str) -> ModuleNode:
    """The tree, with children in the order in which they ran.

    A node with more than `widest` children keeps the largest by `basis`, and one node stands for the others.
    """
    names, costs = bases(profile), labelled_costs(profile)
    root = ModuleNode(profile.counts.model, "")
    index = {"": root}
    for i, layer in enumerate(profile.counts.layers):
        node = root
        path = ""
        for part in layer.path.split(".") if layer.path else ():
            path = f"{path}.{part}" if path else part
            child = index.get(path)
            if child is None:
                child = index[path] = ModuleNode(part, path)
                node.children.append(child)
            node = child
        node.op = layer.op
        node.own = {
            **{f"cycles@{name}": cost.layers[i].cycles for name, cost in costs.items()},
            OPERATIONS: layer.counts.total,
            "parameters": layer.parameters,
            "bytes": layer.bytes_read + layer.bytes_written,
        }
    _sum(root, names, widest, basis)
    return root


def _sum(root: ModuleNode, names: tuple[str, ...], widest: int, basis: str) -> None:
    order, stack = [], [root]
    # No recursion: a module tree can be deeper than Python's stack.
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(node.children)
    for node in reversed(order):
        for name in names:
            node.values[name] = node.own.get(name, 0) + sum(child.values[name] for child in node.children)
        if len(node.children) > widest:
            node.children = _pruned(node, names, widest, basis)


def _pruned(node: ModuleNode, names: tuple[str, ...], widest: int, basis: str) -> list[ModuleNode]:
    by_size = sorted(range(len(node.children)), key=lambda i: -node.children[i].values[basis])
    kept = set(by_size[: widest - 1])
    rest = [child for i, child in enumerate(node.children) if i not in kept]
    others = ModuleNode(f"{len(rest)} more", f"{node.path}.…" if node.path else "…")
    others.values = {name: sum(child.values[name] for child in rest) for name in names}
    return [child for i, child in enumerate(node.children) if i in kept] + [others]
