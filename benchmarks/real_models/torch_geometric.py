"""Networks of torch_geometric on a random graph. The package names no sizes, so these are ours."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.real_models.case import Case, Make, named

_NODES, _EDGES, _FEATURES = 2708, 10556, 128
"""Nodes and edges of the Cora citation graph."""


def _graph() -> tuple[Tensor, Tensor]:
    return torch.rand(_NODES, _FEATURES), torch.randint(0, _NODES, (2, _EDGES))


def _network(name: str) -> Case:
    models = importlib.import_module("torch_geometric.nn.models")
    extra: dict[str, Any] = {}
    if name == "PNA":
        degrees = torch.tensor([0, 10, 20, 10])
        extra = {"aggregators": ["mean", "max"], "scalers": ["identity"], "deg": degrees}
    return Case(getattr(models, name)(_FEATURES, 64, 3, 8, **extra), _graph(), ours=True)


def _layer(name: str, *settings: Any, **named_settings: Any) -> nn.Module:
    layer: nn.Module = getattr(importlib.import_module("torch_geometric.nn"), name)(
        *settings, **named_settings
    )
    return layer


def _gps() -> Case:
    mlp = nn.Sequential(nn.Linear(_FEATURES, _FEATURES), nn.ReLU(), nn.Linear(_FEATURES, _FEATURES))
    return Case(_layer("GPSConv", _FEATURES, _layer("GINConv", mlp), heads=4), _graph(), ours=True)


def _transformer() -> Case:
    return Case(_layer("TransformerConv", _FEATURES, 8, heads=4), _graph(), ours=True)


def _rgcn() -> Case:
    return Case(_layer("RGCNConv", _FEATURES, 8, 3), (*_graph(), torch.arange(_EDGES) % 3), ours=True)


def _schnet() -> Case:
    models = importlib.import_module("torch_geometric.nn.models")
    model = models.SchNet(interaction_graph=_all_pairs)
    return Case(model, (torch.randint(1, 9, (24,)), torch.rand(24, 3)))


def _all_pairs(positions: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Edges between all atoms, which needs no compiled neighbour search."""
    index = torch.arange(len(positions), device=positions.device)
    edges = torch.cartesian_prod(index, index).t()
    return edges, (positions[edges[0]] - positions[edges[1]]).norm(dim=-1)


def cases() -> dict[str, Make]:
    return {
        **named(("GCN", "GraphSAGE", "GAT", "GIN", "PNA", "EdgeCNN"), _network),
        "GPSConv": _gps,
        "TransformerConv": _transformer,
        "SchNet": _schnet,
        "RGCNConv": _rgcn,
    }
