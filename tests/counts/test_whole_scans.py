"""Loops over the tokens of a text as one operator each, against the loops of transformers."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from addercost.arithmetic import OpClass
from addercost.counts.model import ModelCounts, count
from addercost.errors import ModelError
from addercost.sources.hub_config import HubConfig
from addercost.sources.text_decoder import Phase, TextDecoder
from addercost.sources.transformers import load_config
from addercost.sources.transformers_models import running
from addercost.trace import whole_scans
from addercost.trace.linear_recurrence import linear_recurrence
from addercost.trace.wkv_scan import wkv_scan

BATCH, WIDTH, TOKENS = 2, 64, 7
COMMON = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 64, "intermediate_size": WIDTH}
STATES = {**COMMON, "state_size": 4}
GRIFFIN = {
    **COMMON,
    "lru_width": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "num_hidden_layers": 3,
}
FAMILIES = [
    pytest.param("mamba", STATES, id="mamba"),
    pytest.param("falcon_mamba", STATES, id="falcon_mamba"),
    pytest.param("rwkv", {**COMMON, "attention_hidden_size": 32}, id="rwkv"),
    pytest.param("recurrent_gemma", GRIFFIN, id="recurrent_gemma"),
]


def decoder(kind: str, values: dict[str, Any], dtype: str = "float32") -> TextDecoder:
    classes = {"mamba": "Mamba", "falcon_mamba": "FalconMamba", "rwkv": "Rwkv"}
    name = classes.get(kind, "RecurrentGemma") + "ForCausalLM"
    return TextDecoder(load_config(HubConfig(kind, kind, values, name), "m"), None, dtype)


def by_class(counts: ModelCounts) -> dict[OpClass, int]:
    found: Counter[OpClass] = Counter()
    for op_class, _, n in counts.total:
        found[op_class] += n
    return dict(found)


def prompt(model: TextDecoder) -> Phase:
    return model.prefill(BATCH, TOKENS)


def token(model: TextDecoder) -> Phase:
    return model.decode(BATCH, 5)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("kind", "values", "phase"),
    [
        *(pytest.param(*family.values, prompt, id=f"{family.id}-prompt") for family in FAMILIES),
        # The layers of recurrent_gemma keep their state to themselves.
        *(pytest.param(*family.values, token, id=f"{family.id}-token") for family in FAMILIES[:-1]),
    ],
)
def test_an_operator_does_what_the_loop_of_transformers_does(
    kind: str,
    values: dict[str, Any],
    phase: Callable[[TextDecoder], Phase],
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = count(phase(decoder(kind, values, dtype)).trace)
    monkeypatch.setattr(whole_scans, "LOOPS", {})
    loop = count(phase(decoder(kind, values, dtype)).trace)
    assert whole.complete
    assert whole.mac_sites == loop.mac_sites
    assert by_class(whole) == by_class(loop)
    if dtype == "float32":
        # In bf16 the loop counts a product of bf16 and fp32 in the format of its first operand.
        assert whole.total == loop.total


@pytest.mark.parametrize(("kind", "values"), FAMILIES)
def test_a_prompt_has_as_many_calls_at_every_length(kind: str, values: dict[str, Any]) -> None:
    model = decoder(kind, values)
    short, long = (len(model.prefill(1, tokens).trace.calls) for tokens in (9, 40))
    assert long <= short + 4


def test_rwkv_has_the_values_of_the_reference() -> None:
    load_config(HubConfig("rwkv", "rwkv", COMMON, "RwkvForCausalLM"), "m")
    file = importlib.import_module("transformers.models.rwkv.modeling_rwkv")
    torch.manual_seed(0)
    decay, first = torch.randn(WIDTH), torch.randn(WIDTH)
    key, value = torch.randn(BATCH, TOKENS, WIDTH), torch.randn(BATCH, TOKENS, WIDTH)
    state = [torch.randn(BATCH, WIDTH), torch.rand(BATCH, WIDTH) + 1, torch.randn(BATCH, WIDTH)]
    out, after = file.rwkv_linear_attention(decay, first, key, value, state=state, return_state=True)
    for one, other in zip(wkv_scan(-decay.exp(), first, key, value, *state), (out, *after), strict=True):
        torch.testing.assert_close(one, other)


def test_griffin_has_the_values_of_the_reference() -> None:
    load_config(HubConfig("recurrent_gemma", "recurrent_gemma", GRIFFIN, "RecurrentGemmaForCausalLM"), "m")
    file = importlib.import_module("transformers.models.recurrent_gemma.modeling_recurrent_gemma")
    torch.manual_seed(0)
    gate, x = torch.rand(BATCH, TOKENS, WIDTH), torch.randn(BATCH, TOKENS, WIDTH)
    state, reset = torch.randn(BATCH, WIDTH), torch.zeros(BATCH, TOKENS, 1, dtype=torch.bool)
    expected = file.RecurrentGemmaRglru._rnn_scan(None, x, gate, reset, state)
    for one, other in zip(linear_recurrence(gate, x, state), expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("kind", "values"), FAMILIES)
def test_loops_are_put_back(kind: str, values: dict[str, Any]) -> None:
    model = decoder(kind, values)._model
    found = list(whole_scans._loops(model.modules()))
    before = [getattr(place, name) for place, name in found]
    assert before
    with running(model):
        assert [getattr(place, name) for place, name in found] != before
    assert [getattr(place, name) for place, name in found] == before


def test_a_model_that_keeps_its_state_to_itself_is_named() -> None:
    with pytest.raises(ModelError, match="recurrent_gemma returned no cache"):
        token(decoder("recurrent_gemma", GRIFFIN))
