"""Random numbers."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import OpCall


@translates("RandomNormal", "RandomNormalLike")
def normal(node: OnnxNode) -> Iterator[OpCall]:
    """mean + scale·z; only z where they are 0 and 1."""
    mean, scale = (float(node.attributes.get(name, usual)) for name, usual in (("mean", 0.0), ("scale", 1.0)))
    plain = mean == 0.0 and scale == 1.0
    yield node.call(
        "aten.randn.default" if plain else "aten.normal.float_float", {"mean": mean, "std": scale}
    )


@translates("RandomUniform", "RandomUniformLike")
def uniform(node: OnnxNode) -> Iterator[OpCall]:
    """low + (high - low)·u; only u where they are 0 and 1."""
    low, high = (float(node.attributes.get(name, usual)) for name, usual in (("low", 0.0), ("high", 1.0)))
    plain = low == 0.0 and high == 1.0
    yield node.call("aten.rand.default" if plain else "aten.uniform.default", {"from": low, "to": high})


@translates("Bernoulli")
def bernoulli(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.bernoulli.default", {"self": node.tensor(0)})


@translates("Multinomial")
def multinomial(node: OnnxNode) -> Iterator[OpCall]:
    samples = int(node.attributes.get("sample_size", 1))
    yield node.call(
        "aten.multinomial.default", {"self": node.tensor(0), "num_samples": samples, "replacement": True}
    )
