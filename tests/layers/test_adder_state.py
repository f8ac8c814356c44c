"""Weights with the names of the AdderNet authors' code."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.errors import DataError
from addercost.layers import AdderConv2d, AdderLinear, convert, load_adder_state


def network() -> nn.Module:
    layers = [
        ("conv1", nn.Conv2d(3, 4, 3)),
        ("bn1", nn.BatchNorm2d(4)),
        ("add", AdderConv2d(4, 5, 3, bias=True)),
    ]
    return nn.Sequential(OrderedDict(layers))


def theirs(of: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    state = {name: tensor.clone() for name, tensor in of.state_dict().items() if "num_batches" not in name}
    state["add.adder"], state["add.b"] = state.pop("add.weight"), state.pop("add.bias")
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [False, True], ids=["state", "checkpoint"])
def test_their_names_become_ours(tmp_path: Path, prefix: str, wrapped: bool) -> None:
    saved, model = network(), network()
    state = theirs(saved, prefix)
    torch.save({"epoch": 3, "state_dict": state} if wrapped else state, tmp_path / "a.pt")
    load_adder_state(model, tmp_path / "a.pt")
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(model.eval()(x), saved.eval()(x))


@pytest.mark.parametrize("strict", [True, False])
def test_load_state_dict_takes_their_names(strict: bool) -> None:
    saved, model = network(), network()
    state = theirs(saved) | {"bn1.num_batches_tracked": torch.tensor(0)}
    names = [*state]
    found = model.load_state_dict(state, strict=strict)
    assert not found.missing_keys and not found.unexpected_keys
    assert [*state] == names
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(model.eval()(x), saved.eval()(x))


def test_load_state_dict_refuses_both_names_at_once() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(model.state_dict() | {"add.adder": torch.zeros(5, 4, 3, 3)})


def test_linear_and_converted_layers_take_their_names() -> None:
    """`convert` keeps the hooks of a layer, which must not be what renames."""
    converted = convert(nn.Sequential(nn.Linear(2, 3)), "adder", keep_first_last=False)
    for layer in (AdderLinear(2, 3, bias=True), converted[0], copy.deepcopy(converted)[0]):
        layer.load_state_dict({"adder": torch.ones(3, 2), "b": torch.zeros(3)})
        assert torch.equal(layer.weight, torch.ones(3, 2))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        convert(converted, "mac", keep_first_last=False).load_state_dict(
            {"0.adder": torch.ones(3, 2), "0.b": torch.zeros(3)}
        )


def test_our_own_names_are_taken_too(tmp_path: Path) -> None:
    saved, model = network(), network()
    torch.save(saved.state_dict(), tmp_path / "a.pt")
    load_adder_state(model, tmp_path / "a.pt")
    assert torch.equal(model.get_parameter("add.weight"), saved.get_parameter("add.weight"))


JUNK = (b"hi", b"", b"PK\x03\x04junk", b"\x89PNG\r\n", b"\x80\x02", b"M")
"""KeyError, EOFError, RuntimeError, UnpicklingError, EOFError and struct.error in torch."""


class Attack:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (Attack(), "a.pt contains more than tensors"),
        (nn.Linear(1, 1), "a.pt contains more than tensors"),
        ([1, 2], "no state"),
        ({"add.adder": torch.zeros(1)}, "conv1.weight is missing"),
        (theirs(network()) | {"fc.weight": torch.zeros(1)}, "fc.weight is not in the model"),
        (theirs(network()) | {"add.b": torch.zeros(3)}, r"add.bias has the shape \(3,\), not \(5,\)"),
        (None, "cannot be read"),
        (b"not a checkpoint", "a.pt is damaged, or no file that torch.save wrote"),
        *((bytes(data), "a.pt is damaged, or no file that torch.save wrote") for data in JUNK),
    ],
    ids=[
        "code",
        "a module",
        "a list",
        "missing",
        "too many",
        "shape",
        "no file",
        "no checkpoint",
        *map(repr, JUNK),
    ],
)
def test_anything_else_is_refused_and_changes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], what: Any, message: str
) -> None:
    file = tmp_path / "a.pt"
    if isinstance(what, bytes):
        file.write_bytes(what)
    elif what is not None:
        torch.save(what, file)
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(DataError, match=message):
        load_adder_state(model, file)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert "run" not in capfd.readouterr().out
