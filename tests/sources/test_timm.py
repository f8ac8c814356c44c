"""`timm:NAME`: names, tags, inputs and what happens without timm. Needs timm."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from addercost.api import trace_spec
from addercost.cli import run
from addercost.counts.model import count
from addercost.errors import ArgumentError, ModelError
from addercost.sources import timm_models
from addercost.sources.loading import load_model
from addercost.sweep.spaces.catalogue_models import catalogue_models


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("a SPEC of timm must not open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def sites(spec: str) -> int:
    return count(trace_spec(spec), "macs").mac_sites


@pytest.mark.parametrize("spec", ["timm:resnet50", "timm:resnet50.a1_in1k"])
def test_timms_resnet50_is_the_zoos(spec: str) -> None:
    assert sites(spec) == sites("zoo:resnet50")


def test_weights_are_on_the_meta_device() -> None:
    loaded = load_model("timm:resnet18")
    assert {parameter.device.type for parameter in loaded.model.parameters()} == {"meta"}


def test_a_tag_sets_the_number_of_classes() -> None:
    """convnext_tiny ends in 768 features; timm's ImageNet-12k has 11,821 classes, ImageNet-1k 1,000."""
    assert sites("timm:convnext_tiny.in12k") - sites("timm:convnext_tiny.fb_in1k") == 768 * (11821 - 1000)


def test_a_tag_sets_the_size_of_the_image() -> None:
    """Google's BiT was published at 448²."""
    (found,) = trace_spec("timm:resnetv2_50x1_bit.goog_in21k_ft_in1k").inputs
    assert found.shape == (1, 3, 448, 448)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("resnet5o", "unknown timm model 'resnet5o'; did you mean resnet5", id="architecture"),
        pytest.param("resnet50.a9_in1k", "unknown timm model 'resnet50.a9_in1k'; did you mean", id="tag"),
        pytest.param("hf-hub:timm/resnet50.a1_in1k", "unknown timm model", id="a download"),
        pytest.param("", "unknown timm model", id="nothing"),
    ],
)
def test_unknown_names(name: str, words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        load_model(f"timm:{name}")
    assert words in str(caught.value)


def test_a_space_of_sweeps() -> None:
    names = [architecture.name for architecture in catalogue_models("timm:resnet[13][48]d")]
    assert {"resnet18d", "resnet34d"} <= set(names)


@pytest.fixture
def without_timm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for function in (timm_models._timm, timm_models.architectures):
        function.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)
    yield
    for function in (timm_models._timm, timm_models.architectures):
        function.cache_clear()


def test_without_timm_the_install_line(without_timm: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "timm:resnet50"]) == ModelError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert "timm is not installed" in line and "pip install 'addercost[timm]'" in line
