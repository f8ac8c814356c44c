"""The Python functions give what the commands give."""

from __future__ import annotations

import pytest

from tests.cli.commands import Run, as_json


def test_one_name_is_a_list_of_one() -> None:
    import addercost as package

    one = package.profile("zoo:lenet5-bn", cpus="amd-zen4", cost_models="throughput", energy="45nm")
    many = package.profile("zoo:lenet5-bn", cpus=["amd-zen4"], cost_models=["throughput"], energy=["45nm"])
    assert one.to_json() == many.to_json() and one.costs[0].hardware == "amd-zen4"


def test_python_api_gives_the_same(addercost: Run) -> None:
    import addercost as package

    profile = package.profile("zoo:lenet5-bn", convention="macs")
    assert as_json(profile.to_json()) == as_json(
        addercost("profile", "zoo:lenet5-bn", "--convention", "macs", "--format", "json")
    )
    frame = profile.to_frame()
    assert frame["mul"].sum() == 416_520 and len(frame) == 14
    assert "416,520" in profile._repr_html_()
    printed = addercost("profile", "zoo:lenet5-bn", "--convention", "macs", "--cpu", "none")
    assert str(profile).splitlines() == printed.splitlines()[:-1]
    assert "--explain" in printed.splitlines()[-1]


@pytest.mark.parametrize("columns", ["", "80"], ids=["no terminal", "80 columns"])
def test_print_is_as_wide_as_the_command(
    addercost: Run, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    import addercost as package

    monkeypatch.setenv("COLUMNS", columns)
    profile = package.profile("zoo:lenet5-bn", convention="macs")
    printed = addercost("profile", "zoo:lenet5-bn", "--convention", "macs", "--cpu", "none")
    assert str(profile).splitlines() == printed.splitlines()[:-1]
    assert "--explain" in printed.splitlines()[-1]


def test_python_api_names_the_nearest_arithmetic() -> None:
    import torch

    import addercost as package

    model, x = torch.nn.Linear(3, 4), torch.zeros(1, 3)
    for wrong in (
        lambda: package.convert(model, "addr"),
        lambda: package.profile(model, x, arithmetic="addr"),
    ):
        with pytest.raises(package.AddercostError, match="did you mean adder"):
            wrong()


def test_python_api_takes_modules_on_any_device() -> None:
    import torch
    from torch import nn

    import addercost as package

    for device in ("cpu", "meta"):
        model = nn.Linear(3, 4, device=device)
        x = torch.empty(2, 3, device=device)
        assert package.profile(model, x, convention="macs", cpus=()).counts.total.by_class() == {
            "mul": 24,
            "add": 24,
        }
