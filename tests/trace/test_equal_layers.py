"""A stack of equal layers, of which a few are run: the trace has to be that of all of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.counts import model as counts_model
from addercost.counts.conventions import CountingConvention
from addercost.counts.model import count
from addercost.sources.text_decoder import Phase, TextDecoder, load_text_decoder
from addercost.trace import equal_layers, tracer
from addercost.trace.record import OpCall, Trace

LAYERS = 6


class Entry:
    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.n_tokens = 0


class Cache:
    """As transformers keep one: entries for each layer, and something that all share. Most layers here use
    one entry, so half of them stay as they are.
    """

    def __init__(self) -> None:
        self.layers = [Entry() for _ in range(2 * LAYERS)]
        self.is_updated: dict[int, bool] = dict.fromkeys(range(2 * LAYERS), False)
        self.n_updates = 0

    def update(self, keys: Tensor, index: int) -> Tensor:
        entry = self.layers[index]
        entry.keys = keys if entry.keys is None else torch.cat([entry.keys, keys], -2)
        entry.n_tokens += keys.shape[-2]
        self.is_updated[index] = True
        return entry.keys


Does = Callable[["Layer", Tensor, Cache], Tensor]


class Layer(nn.Module):
    def __init__(self, layer_idx: int, does: Does, size: int = 4) -> None:
        super().__init__()
        self.layer_idx, self.does = layer_idx, does
        self.inner = nn.Sequential(nn.Linear(4, size), nn.ReLU(), nn.Linear(size, 4))

    def forward(self, x: Tensor, cache: Cache) -> Tensor:
        return x + self.does(self, self.inner(x), cache)


RAN: list[int] = []
"""The places of the layers that were run. An attribute of the model would be put back after its trace."""


class Stack(nn.Module):
    def __init__(self, does: Does, change: Callable[[nn.ModuleList], Any] | None = None) -> None:
        super().__init__()

        def noted(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
            RAN.append(layer.layer_idx)
            return does(layer, x, cache)

        self.layers = nn.ModuleList([Layer(i, noted) for i in range(LAYERS)])
        if change is not None:
            change(self.layers)

    def forward(self, x: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        for layer in self.layers:
            x = layer(x, cache)
        return x, cache


def appending(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    return cache.update(x, layer.layer_idx).sum(-2, keepdim=True)


def facts(trace: Trace) -> dict[str, Any]:
    """Everything of a trace, with the numbers of its tensors, which a comparison of traces leaves out."""
    found = {field.name: getattr(trace, field.name) for field in dataclasses.fields(trace)}
    specs = [spec for call in trace.calls for spec in (*call.tensors(), *call.outputs)]
    return found | {"numbers": [s.number for s in specs], "order": list(trace.modules)}


def traced(model: Stack, memory: bool, equal: bool) -> tuple[Trace, list[int], Cache]:
    """The trace of a token after two others, the layers that were run for it, and the cache it left."""
    RAN.clear()
    cache, left = Cache(), []
    for entry in cache.layers:
        entry.keys, entry.n_tokens = torch.empty(1, 2, 4, device="meta"), 2

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        left.append(
            [(*e.keys.shape, e.n_tokens, cache.is_updated.get(i)) for i, e in enumerate(cache.layers)]
        )

    handle = model.register_forward_hook(keep)
    try:
        x = torch.empty(1, 1, 4, device="meta")
        made = tracer.trace(model, x, cache, memory=memory, equal_layers=equal)
    finally:
        handle.remove()
    return made, list(RAN), left[-1]


MEMORY = pytest.mark.parametrize("memory", [False, True], ids=["calls", "memory"])


@MEMORY
def test_three_layers_are_run_for_all(memory: bool) -> None:
    model = Stack(appending)
    """The first one alone is given an input of the model, so it is compared with no other."""
    whole, all_ran, left = traced(model, memory, False)
    assert (len(all_ran), left[:LAYERS]) == (LAYERS, [(1, 3, 4, 3, True)] * LAYERS)
    assert left[LAYERS:] == [(1, 2, 4, 2, False)] * LAYERS
    few, ran, left_by_few = traced(model, memory, True)
    assert ran == [0, 1, 2]
    assert facts(few) == facts(whole)
    assert left_by_few == left


def by_place(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    return appending(layer, x, cache) * float(layer.layer_idx)


def later_ones_differ(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    """The first layer computes something more, as that of a model which begins with a norm."""
    return appending(layer, x.exp() if layer.layer_idx == 0 else x, cache)


def of_the_first(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    keys = cache.layers[0].keys
    assert keys is not None
    return x + keys[:, :1]


def of_the_one_before(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    keys = cache.layers[max(layer.layer_idx - 1, 0)].keys
    assert keys is not None
    return appending(layer, x, cache) + keys[:, :1]


def counting(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    cache.n_updates += 1
    return appending(layer, x, cache)


def into_the_next(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    cache.layers[(layer.layer_idx + 1) % LAYERS].n_tokens += 1
    return appending(layer, x, cache)


def into_two(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    """As longcat_flash, whose layers have two attentions each."""
    for half in layer.halves:
        x = cache.update(x, half.layer_idx).sum(-2, keepdim=True)
    return x


def removing(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    out = appending(layer, x, cache)
    del cache.is_updated[layer.layer_idx]
    return out


def in_place(layer: Layer, x: Tensor, cache: Cache) -> Tensor:
    return appending(layer, x.relu_(), cache).mul_(2)


def hooked(layers: nn.ModuleList) -> None:
    for layer in layers:
        layer.inner[0].register_forward_hook(lambda module, args, out: out + 1)


def tied(layers: nn.ModuleList) -> None:
    for layer in layers:
        layer.inner[2].weight = layers[0].inner[2].weight


def one_wider(layers: nn.ModuleList) -> None:
    layers[3] = Layer(3, layers[3].does, 8)


class Half(nn.Module):
    def __init__(self, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx


def halves(indices: Callable[[int], tuple[int, int]]) -> Callable[[nn.ModuleList], None]:
    """Gives each layer two modules with these indices."""

    def change(layers: nn.ModuleList) -> None:
        for place, layer in enumerate(layers):
            layer.halves = nn.ModuleList(map(Half, indices(place)))

    return change


in_order = halves(lambda place: (2 * place, 2 * place + 1))
far_apart = halves(lambda place: (place, LAYERS + place))
backwards = halves(lambda place: (LAYERS - 1 - place, 2 * LAYERS - 1 - place))
overlapping = halves(lambda place: (place, place + 1))
without_order = halves(lambda place: (place * place % LAYERS, LAYERS + place))


def one_shared(layers: nn.ModuleList) -> None:
    layers[4] = layers[5]


@MEMORY
@pytest.mark.parametrize(
    ("does", "change", "ran"),
    [
        pytest.param(by_place, None, [0, 1, 2, 3, 4, 5], id="calls with the place"),
        pytest.param(later_ones_differ, None, [0, 1, 2], id="a first layer of its own"),
        pytest.param(of_the_first, None, [0, 1, 2], id="all read the first entry"),
        pytest.param(of_the_one_before, None, [0, 1, 2, 3, 4, 5], id="reads the entry before"),
        pytest.param(counting, None, [0, 1, 2, 3, 4, 5], id="changes what all share"),
        pytest.param(into_the_next, None, [0, 1, 2, 3, 4, 5], id="changes the next entry"),
        pytest.param(into_two, in_order, [0, 1, 2], id="two entries"),
        pytest.param(into_two, far_apart, [0, 1, 2], id="two entries far apart"),
        pytest.param(into_two, backwards, [0, 1, 2, 3, 4], id="entries backwards"),
        pytest.param(into_two, without_order, [0, 1, 2, 3, 4, 5], id="entries without order"),
        pytest.param(removing, None, [0, 1, 2, 3, 4, 5], id="removes its entry"),
        pytest.param(in_place, None, [0, 1, 2], id="in place"),
        pytest.param(appending, hooked, [0, 1, 2, 3, 4, 5], id="hooks"),
        pytest.param(appending, tied, [0, 1, 2, 3, 4, 5], id="tied weights"),
        pytest.param(appending, one_wider, [0, 1, 2, 3], id="one of another shape"),
        pytest.param(appending, one_shared, [0, 1, 2, 5, 5], id="one at two places"),
    ],
)
def test_what_differs_is_run(
    does: Does, change: Callable[[nn.ModuleList], Any] | None, ran: list[int], memory: bool
) -> None:
    model = Stack(does, change)
    whole, _, left = traced(model, memory, False)
    few, ran_of_few, left_by_few = traced(model, memory, True)
    assert facts(few) == facts(whole)
    assert left_by_few == left
    assert ran_of_few == ran


@MEMORY
def test_what_frees_memory_of_the_layer_before_is_run(memory: bool) -> None:
    """The keys that a layer replaces end in the middle of the layer, and only a run shows where."""
    model = Stack(into_two, overlapping)
    whole, _, left = traced(model, memory, False)
    few, ran, left_by_few = traced(model, memory, True)
    assert (facts(few), left_by_few) == (facts(whole), left)
    assert ran == ([0, 1, 2, 3, 4, 5] if memory else [0, 1, 2])


SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": LAYERS}
KEYS = {**SIZES, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 64, "max_position_embeddings": 64}
LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
EXPERTS = {"first_k_dense_replace": 1, "n_routed_experts": 8, "n_group": 1, "topk_group": 1}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": LAYERS, "num_heads": 4, "vocab_size": 64}
MODELS: dict[str, dict[str, Any]] = {
    "llama": KEYS,
    "mistral": {**KEYS, "sliding_window": 5},
    "gemma3_text": {
        **KEYS,
        "sliding_window": 5,
        "num_hidden_layers": 8,
        "layer_types": ["sliding_attention", "full_attention"] * 4,
    },
    "mixtral": {**KEYS, "num_local_experts": 4},
    "deepseek_v3": {**KEYS, **LATENT, **EXPERTS, "moe_intermediate_size": 16},
    "longcat_flash": {
        **KEYS,
        **LATENT,
        "num_hidden_layers": 2 * LAYERS,  # Each layer has two attentions, and they are counted.
        "num_layers": LAYERS,
        "ffn_hidden_size": 48,
        "expert_ffn_hidden_size": 16,
        "n_routed_experts": 6,
        "zero_expert_num": 2,
        "moe_topk": 2,
    },
    "gpt2": {"n_embd": 32, "n_layer": LAYERS, "n_head": 4, "n_positions": 64, "vocab_size": 64},
    "t5": T5,
    "mamba": {"hidden_size": 32, "num_hidden_layers": LAYERS, "state_size": 4, "vocab_size": 64},
}


FAST = ("llama",)


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.exhaustive) for name in MODELS]
)
def test_decoders_are_traced_as_if_all_layers_ran(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name, **MODELS[name]}))
    answered: list[None] = []
    answer = equal_layers.EqualLayers._answer

    def noted(self: equal_layers.EqualLayers, *args: Any) -> Any:
        answered.append(None)
        return answer(self, *args)

    monkeypatch.setattr(equal_layers.EqualLayers, "_answer", noted)

    def phases() -> Iterator[Phase]:
        model = TextDecoder(load_text_decoder(f"hf:{tmp_path}"), 7 if name == "t5" else None)
        for traced in (model.prefill, model.decode):
            answered.clear()
            yield traced(2, 9, memory=True)
            yield model.decode(1, 12)

    few = []
    for phase in phases():
        assert answered
        few.append(phase)
    monkeypatch.setattr(equal_layers, "stacked_layers", lambda *args: {})
    for one, other in zip(few, phases(), strict=True):
        assert not answered
        assert facts(one.trace) == facts(other.trace)
        assert (one.cache, one.activation_bytes) == (other.cache, other.activation_bytes)


def test_calls_of_equal_layers_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts are those of a trace whose calls are changed copies, which nothing connects: neither the
    layer that they repeat, nor their pattern.
    """
    trace, ran, _ = traced(Stack(appending), False, True)
    apart = dataclasses.replace(trace, calls=tuple(map(dataclasses.replace, trace.calls)))
    counted: list[int] = []
    of_one = counts_model._counted

    def noted(call: OpCall, rule: CountingConvention) -> counts_model._Counted:
        counted.append(call.index)
        return of_one(call, rule)

    monkeypatch.setattr(counts_model, "_counted", noted)
    monkeypatch.setattr(OpCall, "pattern", lambda call: call.index)
    one = count(apart)
    assert counted == list(range(len(trace.calls)))
    counted.clear()
    alike = count(trace)
    assert len(counted) == len(trace.calls) * len(ran) // LAYERS
    assert (alike, alike.operators) == (one, one.operators)
    assert [row.calls for row in alike.layers] == [row.calls for row in one.layers]
