"""The scan of a Mamba layer as one operator: its products, values and gradients."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from addercost.counts.matrix_products import matrix_products
from addercost.sources.hub_config import HubConfig
from addercost.sources.text_decoder import TextDecoder
from addercost.sources.transformers import load_config
from addercost.sources.transformers_models import running
from addercost.trace import selective_scan as scans
from addercost.trace.record import Trace

BATCH, WIDTH, STATES, TOKENS, LAYERS = 2, 64, 4, 7, 2
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "state_size": STATES,
    "vocab_size": 64,
    "intermediate_size": WIDTH,
}


CONFIG = HubConfig("mamba", "mamba", SIZES, "MambaForCausalLM")


def prompt() -> Trace:
    return TextDecoder(load_config(CONFIG, "m")).prefill(BATCH, TOKENS).trace


def test_a_layer_is_one_call_that_writes_its_outputs_and_its_last_state() -> None:
    made = prompt()
    calls = [call for call in made.calls if call.name == "addercost.selective_scan"]
    assert len(calls) == LAYERS
    out, state = calls[0].outputs
    assert out.shape == (BATCH, WIDTH, TOKENS)
    assert state.shape == (BATCH, WIDTH, STATES)
    # Every output is the product of a state, [WIDTH, STATES], and c, [STATES].
    products, left_out = matrix_products(calls[0])
    assert not left_out
    assert [product.sites for product in products] == [BATCH * WIDTH * TOKENS * STATES]


def given() -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    x, dt, z = (torch.randn(BATCH, WIDTH, TOKENS) for _ in range(3))
    b, c = (torch.randn(BATCH, STATES, TOKENS) for _ in range(2))
    return x, dt, -torch.rand(WIDTH, STATES), b, c, torch.randn(WIDTH), z, torch.randn(WIDTH)


def reference(*tensors: Tensor, **options: Any) -> Any:
    file = importlib.import_module("transformers.models.mamba.modeling_mamba")
    return file.mamba_selective_scan(*tensors, return_last_state=True, **options)


@pytest.mark.parametrize("softplus", [True, False], ids=["softplus", "steps as they are"])
def test_its_values_are_those_of_the_reference(softplus: bool) -> None:
    load_config(CONFIG, "m")
    expected = reference(*given(), delta_softplus=softplus)
    for one, other in zip(scans.selective_scan(*given(), softplus), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_the_loop_and_the_loop_is_put_back() -> None:
    loaded = load_config(CONFIG, "m")
    file = importlib.import_module("transformers.models.mamba.modeling_mamba")
    before = file.mamba_selective_scan
    tensors = [tensor.requires_grad_() for tensor in given()]
    with running(loaded.model):
        assert file.mamba_selective_scan is not before
        out = file.mamba_selective_scan(*tensors[:5], D=tensors[5], z=tensors[6], delta_bias=tensors[7])
    assert file.mamba_selective_scan is before
    out.sum().backward()
    assert all(tensor.grad is not None for tensor in tensors)
