"""Shapes of layers: out of traces, out of --conv, and back into a trace that is counted alike."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost.api import trace_model
from addercost.counts.model import count
from addercost.errors import ArgumentError
from addercost.measure.case import LayerCase, cases_of, parse_case
from addercost.models.zoo import ZOO


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("arithmetic", ["mac", "adder"])
def test_every_site_of_a_model_is_in_its_cases(name: str, arithmetic: str) -> None:
    """Σ times × sites over the shapes is what counting the model says."""
    trace = trace_model(f"zoo:{name}:{arithmetic}")
    cases = cases_of(trace)
    assert not cases.skipped
    assert sum(len(use.paths) * use.case.sites for use in cases.uses) == count(trace, "macs").mac_sites
    positions = sorted(p for use in cases.uses for p in use.positions)
    assert positions == list(range(len(positions)))


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        pytest.param(nn.Conv2d(3, 8, 3, 2, 1), (2, 3, 9, 7), "2,3,9,7,8,3,2,1", id="plain"),
        pytest.param(nn.Conv2d(4, 8, (3, 1), 1, (1, 0)), (1, 4, 9, 9), "1,4,9,9,8,3x1,1,1x0", id="pairs"),
        pytest.param(nn.Conv2d(4, 8, 3, groups=4), (1, 4, 9, 9), "1,4,9,9,8,3,1,0,4", id="groups"),
        pytest.param(nn.Conv2d(4, 8, 3, dilation=2), (1, 4, 9, 9), "1,4,9,9,8,3,1,0,1,2", id="dilation"),
        pytest.param(nn.Conv1d(4, 8, 3, padding=1), (2, 4, 9), "2,4,1,9,8,1x3,1,0x1", id="one axis"),
    ],
)
def test_a_convolution_and_its_text(layer: nn.Module, shape: tuple[int, ...], text: str) -> None:
    trace = trace_model(layer, torch.empty(shape))
    (use,) = cases_of(trace).uses
    assert use.case.text == text
    assert parse_case(text) == use.case
    assert use.case.sites == count(trace, "macs").mac_sites


def test_rows_of_a_linear_layer_are_all_leading_dimensions() -> None:
    (use,) = cases_of(trace_model(nn.Linear(5, 7), torch.empty(2, 3, 5))).uses
    assert use.case == LayerCase(6, 5, 7, linear=True)
    assert use.case.text == "linear:6,5,7"


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        pytest.param(nn.ConvTranspose2d(3, 4, 3), (1, 3, 5, 5), "transposed", id="transposed"),
        pytest.param(nn.Conv3d(3, 4, 3), (1, 3, 5, 5, 5), "3-dimensional", id="volume"),
    ],
)
def test_what_has_no_kernel_is_named(layer: nn.Module, shape: tuple[int, ...], words: str) -> None:
    cases = cases_of(trace_model(layer, torch.empty(shape)))
    assert not cases.uses
    ((_, why),) = cases.skipped
    assert words in why


def test_products_of_two_activations_are_no_layers() -> None:
    class Attention(nn.Module):
        def forward(self, x):
            return x @ x.transpose(1, 2)

    assert not cases_of(trace_model(Attention(), torch.empty(2, 3, 4))).uses


def test_a_batch_multiplies_the_images() -> None:
    trace = trace_model("zoo:lenet5-bn")
    one, four = cases_of(trace), cases_of(trace, 4)
    for a, b in zip(one.uses, four.uses, strict=True):
        assert b.case.sites == 4 * a.case.sites


@pytest.mark.parametrize("number_format", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize(
    "case", [parse_case("2,3,9,7,8,3,2,1"), LayerCase(6, 5, 7, linear=True)], ids=lambda case: case.text
)
def test_the_trace_of_a_case_is_counted_as_the_layer(case: LayerCase, number_format: str) -> None:
    counts = count(case.trace(number_format))
    assert counts.complete and counts.mac_sites == case.sites
    adder = count(case.trace(number_format), arithmetic="adder")
    assert not adder.total.by_class()["mul"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("1,2,3", "3 fields", id="too few"),
        pytest.param("1,2,3,4,5,6,7,8,9,10,11", "11 fields", id="too many"),
        pytest.param("", "is no number", id="empty"),
        pytest.param("a,1,1,1,1,1,1,0", "'a' is no number", id="a letter"),
        pytest.param("1,-3,9,9,8,3,1,1", "is no number", id="negative"),
        pytest.param("1,3,9,9,8,3,0,1", "at least 1", id="stride 0"),
        pytest.param("1,0,9,9,8,3,1,1", "at least 1", id="no channels"),
        pytest.param("1x2,3,9,9,8,3,1,1", "may be pairs", id="a pair of batches"),
        pytest.param("1,3,2,2,8,5,1,0", "would be empty", id="filter too large"),
        pytest.param("1,3,9,9,8,3,1,1,2", "do not divide", id="groups"),
        pytest.param("99999,99999,999,999,8,3,1,1", "elements", id="too large"),
        pytest.param("9" * 400 + ",3,9,9,8,3,1,1", "is no number", id="four hundred digits"),
    ],
)
def test_bad_shapes(text: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        parse_case(text)
