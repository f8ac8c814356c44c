"""Networks of timm and transformers, written by both of torch's exporters, counted beside the networks.

    python -m benchmarks.onnx_exports [NAME ...] > benchmarks/results/onnx-exports.txt

A line says whether the graph has the multiply-accumulate sites of the network's own trace, and by which
classes of operations `full` differs. Weights are random, biases too, since the newer exporter leaves out
those that are zero. Transformers have two layers, as the others are equal. Nothing is downloaded. A model
takes up to half a minute.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from addercost.api import trace_model, trace_spec
from addercost.arithmetic import OpClass
from addercost.counts.model import ModelCounts, count
from addercost.sources.torchvision_models import make_importable

TIMM = (
    "resnet10t", "mobilenetv3_small_050", "efficientnet_lite0", "convnext_atto", "vit_tiny_patch16_224",
    "deit_tiny_patch16_224", "mixer_s32_224", "regnetx_002", "ghostnet_050", "repvgg_a0",
)  # fmt: skip
TRANSFORMERS = (
    "bert", "distilbert", "roberta", "electra", "mpnet", "vit", "gpt2", "llama", "qwen2", "albert",
)  # fmt: skip
WITHOUT_POOLER = ("bert", "roberta", "mpnet", "vit", "albert")
"""Models with a second, pooled output, which a graph of the first output leaves out."""

TOKENS = 16


class FirstOutput(nn.Module):
    """A network that returns one tensor, as graphs do. It reads no cache and keeps none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        out = self.model(x, use_cache=False) if hasattr(self.model.config, "use_cache") else self.model(x)
        first: Tensor = out[0]
        return first


def of_timm(name: str) -> tuple[nn.Module, Tensor]:
    import timm

    return timm.create_model(name, pretrained=False).eval(), torch.zeros(1, 3, 224, 224)


def of_transformers(name: str) -> tuple[nn.Module, Tensor]:
    from transformers import AutoConfig, AutoModel

    sizes = {"num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "vocab_size": 1000}
    small = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 4}
    config = AutoConfig.for_model(name, **sizes, **(small if name in ("llama", "qwen2") else {}))
    pooler = {"add_pooling_layer": False} if name in WITHOUT_POOLER else {}
    model = FirstOutput(AutoModel.from_config(config, **pooler)).eval()
    image = torch.zeros(1, 3, 224, 224)
    return model, image if name == "vit" else torch.zeros(1, TOKENS, dtype=torch.int64)


def exported(model: nn.Module, x: Tensor, path: Path, newer: bool) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {"dynamo": newer}
        torch.onnx.export(model, (x,), str(path), **options)


def differences(graph: ModelCounts, network: ModelCounts) -> str:
    """For each class of operations, how many more the graph has than the network."""
    found = [
        f"{op_class.value} {graph.total[op_class] - network.total[op_class]:+,}"
        for op_class in OpClass
        if graph.total[op_class] != network.total[op_class]
    ]
    return ", ".join(found) or "none"


def compared(name: str, make: Callable[[str], tuple[nn.Module, Tensor]], newer: bool) -> str:
    begun = time.monotonic()
    model, x = make(name)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
    network = count(trace_model(model, x))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            exported(model, x, path, newer)
        except Exception as error:
            text = " ".join(str(error).split())[:80]
            return f"not exported by torch: {type(error).__name__}: {text}"
        graph = count(trace_spec(str(path)))
    same = "same sites" if graph.mac_sites == network.mac_sites else f"{network.mac_sites:,} sites expected"
    bound = "" if graph.complete else f"; LOWER BOUND: {', '.join(item.op for item in graph.uncounted)}"
    took = time.monotonic() - begun
    return f"{graph.mac_sites:>15,}  {same}; full: {differences(graph, network)}{bound}  ({took:.0f} s)"


def main() -> None:
    make_importable()
    chosen = sys.argv[1:] or [*TIMM, *TRANSFORMERS]
    for name in chosen:
        make = of_timm if name in TIMM else of_transformers
        for newer in (False, True):
            line = compared(name, make, newer)
            print(f"{name:24}{'newer' if newer else 'older'}  {line}", flush=True)


if __name__ == "__main__":
    main()
