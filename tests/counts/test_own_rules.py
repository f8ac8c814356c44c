"""`addercost.rule`: operators of a user's own are counted, before and after a trace, and no rule is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import addercost
from addercost.cli import run
from addercost.counts.model import count
from addercost.counts.registry import RULES, CountingRule
from addercost.errors import ArgumentError, ModelError
from addercost.trace.record import OpCall, Trace
from addercost.trace.tracer import trace
from tests.counts.oracle import Function

pytestmark = pytest.mark.usefixtures("rules_as_before")

LIBRARY = torch.library.Library("addercost_test", "FRAGMENT")
LIBRARY.define("scale(Tensor x, float factor) -> Tensor")
LIBRARY.impl("scale", lambda x, factor: torch.empty_like(x), "Meta")


def scaled(x: Tensor) -> Tensor:
    out: Tensor = torch.ops.addercost_test.scale(x, 0.5) + x
    return out


def one_multiplication(call: addercost.OpCall) -> addercost.OperatorWork:
    x = call.tensor("x")
    return addercost.OperatorWork(other=addercost.OpCounts.of(x.number_format, mul=x.numel))


def made() -> Trace:
    return trace(Function(scaled), torch.empty(3, 5, device="meta"))


def test_a_rule_counts_what_was_traced_before_it() -> None:
    before = made()
    assert [item.op for item in count(before).uncounted] == ["addercost_test.scale"]
    addercost.rule("addercost_test.scale")(one_multiplication)
    counts = count(before)
    assert counts.complete
    assert counts.total.by_class() == {"mul": 15, "add": 15}


def test_a_rule_counts_what_is_traced_after_it() -> None:
    addercost.rule("addercost_test.scale")(one_multiplication)
    assert count(made()).total.by_class() == {"mul": 15, "add": 15}


def test_the_rule_is_the_function_still() -> None:
    assert addercost.rule("addercost_test.scale")(one_multiplication) is one_multiplication


def test_sites_of_a_rule_take_part_in_conventions_and_what_ifs() -> None:
    """x: [3, 5] as a layer of 7 sites an element."""

    @addercost.rule("addercost_test.scale")
    def layer(call: addercost.OpCall) -> addercost.OperatorWork:
        n = call.tensor("x").numel
        return addercost.OperatorWork((addercost.Sites(7 * n, n, weighted=True),))

    assert count(made(), "macs").total.by_class() == {"mul": 105, "add": 105}
    assert count(made(), "macs", arithmetic="adder").total.by_class() == {"mul": 0, "add": 210}


def test_an_operator_that_torch_took_apart_is_kept_whole_once_it_has_a_rule() -> None:
    """Also in the process that has traced it before."""

    def loss(x: Tensor) -> Tensor:
        out: Tensor = torch.ops.aten.mse_loss(x, x)
        return out

    x = torch.empty(3, 5, device="meta")
    apart = addercost.trace_model(Function(loss), x)
    assert "aten.mse_loss" not in {call.name for call in apart.calls}
    addercost.rule("aten.mse_loss")(lambda call: addercost.OperatorWork())
    whole = addercost.trace_model(Function(loss), x)
    assert [call.name for call in whole.calls] == ["aten.mse_loss"]


def other_rule(call: addercost.OpCall) -> addercost.OperatorWork:
    return addercost.OperatorWork()


@pytest.mark.parametrize(
    ("name", "where"),
    [
        pytest.param("aten.mm", "addercost.counts.rules.matmul", id="a built-in rule"),
        pytest.param("aten.batch_norm", "addercost.counts.rules.normalization", id="a composite"),
        pytest.param("addercost_test.scale", "test_own_rules", id="a rule of one's own"),
    ],
)
def test_a_second_rule_is_an_error(name: str, where: str) -> None:
    if name not in RULES:
        addercost.rule(name)(one_multiplication)
    known = RULES[name]
    with pytest.raises(ArgumentError, match=f"{name} has a counting rule already, in .*{where}"):
        addercost.rule(name)(other_rule)
    assert RULES[name] is known


def test_the_same_function_twice_is_an_error_too() -> None:
    addercost.rule("addercost_test.scale")(one_multiplication)
    with pytest.raises(ArgumentError, match="has a counting rule already"):
        addercost.rule("addercost_test.scale")(one_multiplication)


def test_of_several_names_none_is_registered_where_one_is_taken() -> None:
    with pytest.raises(ArgumentError, match=r"aten.mm has a counting rule already"):
        addercost.rule("addercost_test.scale", "aten.mm")(one_multiplication)
    assert "addercost_test.scale" not in RULES


def test_a_file_that_is_executed_again_replaces_its_rules() -> None:
    source = compile("def f(call):\n    return work\n", "model.py", "exec")
    made: list[CountingRule] = []
    for mul in (1, 2):
        names = {"work": addercost.OperatorWork(other=addercost.OpCounts.of(mul=mul))}
        exec(source, names)
        made.append(addercost.rule("addercost_test.scale")(names["f"]))  # type: ignore[arg-type]
    assert made[0] is not made[1]
    assert RULES["addercost_test.scale"](OpCall("a.b.c", "", {}, (), 0)).other == addercost.OpCounts.of(mul=2)


def test_another_function_of_the_same_file_does_not_replace_it() -> None:
    source = compile("def f(call):\n    pass\n\ndef g(call):\n    pass\n", "model.py", "exec")
    names: dict[str, CountingRule] = {}
    exec(source, names)
    addercost.rule("addercost_test.scale")(names["f"])
    with pytest.raises(ArgumentError, match="has a counting rule already"):
        addercost.rule("addercost_test.scale")(names["g"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mylib::scale", "mylib.scale"),
        ("mylib.scale.default", "mylib.scale"),
        ("scale", "namespace.operator"),
        ("", "namespace.operator"),
        ("mylib.scale ", "mylib.scale"),
    ],
)
def test_names_have_one_form(name: str, hint: str) -> None:
    with pytest.raises(ArgumentError, match=f"write it as '{hint}'"):
        addercost.rule(name)


def test_a_rule_without_a_name_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="needs the name of an operator"):
        addercost.rule()


def test_a_rule_that_fails_is_named_with_the_arguments_there_are() -> None:
    addercost.rule("addercost_test.scale")(
        lambda call: addercost.OperatorWork(other=addercost.OpCounts.of(mul=call.tensor("input").numel))
    )
    with pytest.raises(ModelError, match=r"rule of addercost_test.scale failed: KeyError.*x, factor"):
        count(made())


def test_a_rule_that_returns_nothing_is_not_taken_for_no_rule() -> None:
    addercost.rule("addercost_test.scale")(lambda call: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(ModelError, match=r"returned NoneType; it returns an addercost.OperatorWork"):
        count(made())


MODEL = """
import torch
from torch import nn
import addercost

@torch.library.custom_op("addercost_test_file::scale", mutates_args=())
def scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    return x * factor

@scale.register_fake
def _(x, factor):
    return torch.empty_like(x)

@addercost.rule("addercost_test_file.scale")
def scale_counts(call):
    x = call.tensor("x")
    return addercost.OperatorWork(other=addercost.OpCounts.of(x.number_format, mul=x.numel))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return scale(self.fc(x), 0.5)

model, example_inputs = Net(), torch.zeros(2, 4)
"""


@pytest.mark.parametrize("tracer", ["dispatch", "blocks"])
def test_a_model_file_brings_its_operator_and_its_rule(
    tracer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice in one process, as each run executes the file again."""
    file = tmp_path / "own.py"
    file.write_text(MODEL)
    for _ in range(2):
        assert run(["profile", str(file), "--strict", "--tracer", tracer, "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["complete"]
        # The linear layer: 2·3 outputs of 4 products, with a bias; then one multiplication an output.
        assert found["totals"] == {"mul": 24 + 6, "add": 24}


def test_a_duplicate_in_a_model_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        MODEL + '\n@addercost.rule("aten.mm")\ndef mm(call):\n    return addercost.OperatorWork()\n'
    )
    assert run(["profile", str(file)]) == ArgumentError.exit_code
    assert "aten.mm has a counting rule already" in capsys.readouterr().err


def test_every_public_name_is_there() -> None:
    assert set(addercost._HOMES) == set(addercost.__all__)
    assert all(getattr(addercost, name) is not None for name in addercost.__all__)
