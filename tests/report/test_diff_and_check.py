"""What `diff` and `check` say. Counts have no noise, so every expectation is exact."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import made_models
import pytest

import addercost
from addercost.analysis.bounds import AtLeast
from addercost.analysis.budget import check_budgets, outcome, parse_budget
from addercost.analysis.profile_diff import ChangeKind, diff_profiles
from addercost.arithmetic import Arithmetic
from addercost.cli import run
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import MissingFigure
from addercost.counts.model import UncountedOp
from addercost.counts.peak_memory import LayerMemory, ModelMemory
from addercost.errors import ArgumentError
from addercost.hardware import load_energy
from addercost.report.formats.github import github_annotations
from addercost.report.tables.budget import budget_table
from addercost.report.tables.profile_diff import diff_tables
from addercost.results.profile import Profile


def test_added_removed_changed() -> None:
    """Layer i has 1000 + i sites: `a` stays, `b` gets another count by its new place, `c` goes, `d` comes."""
    found = diff_profiles(made_models.profile(["a", "c", "b"]), made_models.profile(["a", "b", "d"]))
    assert [(change.path, change.kind) for change in found.layers] == [
        ("b", ChangeKind.CHANGED),
        ("d", ChangeKind.ADDED),
        ("c", ChangeKind.REMOVED),
    ]
    assert found.unchanged == 1
    totals, layers = diff_tables(found)
    assert [row["mul"] for row in layers.rows] == [1001 - 1002, 1002, -1001]
    assert sum(row["mul"] for row in layers.rows) == totals.rows[0]["difference"]


def test_same_profiles() -> None:
    made = made_models.subject(["a", "b"]).first
    found = diff_profiles(made, made)
    assert found.layers == () and found.unchanged == 2
    assert all(row["difference"] == 0 for row in diff_tables(found)[0].rows)


def test_ratios() -> None:
    """n sites as multiply-add are n mul and n add; as adder 2n add. On the VIA Nano 6n cycles against 4n."""
    cnn, adder, _ = made_models.subject(["a"], cpus=("via-nano-2000",)).profiles
    totals = {row["quantity"]: row for row in diff_tables(diff_profiles(cnn, adder))[0].rows}
    assert totals["mul"]["ratio"] == 0 and totals["add"]["ratio"] == 2
    assert totals["estimated cycles on via-nano-2000, latency-sum"]["ratio"] == 4 / 6


def partly_counted(profile: Profile) -> Profile:
    """The same with an operator that has no counting rule."""
    uncounted = (UncountedOp("aten.x", 1, ("a",)),)
    return replace(profile, counts=replace(profile.counts, uncounted=uncounted))


BOUNDS = pytest.mark.parametrize(
    ("before_is_bound", "after_is_bound"),
    [
        pytest.param(True, False, id="before"),
        pytest.param(False, True, id="after"),
        pytest.param(True, True, id="both"),
    ],
)


@BOUNDS
def test_counts_that_are_lower_bounds_have_no_ratio(before_is_bound: bool, after_is_bound: bool) -> None:
    """1,000 sites against 2,000: the ratio would be 2 if all operators were counted."""
    one, two = made_models.profile(["a"], 1000), made_models.profile(["a"], 2000)
    whole = diff_tables(diff_profiles(one, two))[0].rows[0]
    assert (whole["before"], whole["after"], whole["ratio"]) == (1000, 2000, 2)
    found = diff_profiles(
        partly_counted(one) if before_is_bound else one, partly_counted(two) if after_is_bound else two
    )
    row = diff_tables(found)[0].rows[0]
    assert isinstance(row["before"], AtLeast) == before_is_bound
    assert isinstance(row["after"], AtLeast) == after_is_bound
    assert row["ratio"] is None


@BOUNDS
def test_cycles_that_are_lower_bounds_have_no_ratio(before_is_bound: bool, after_is_bound: bool) -> None:
    """6n cycles as multiply-add against 4n as adder, of which the table is said to lack a figure."""
    one, two, _ = made_models.subject(["a"], cpus=("via-nano-2000",)).profiles
    figures = (MissingFigure("exp", "via-nano-2000", 7),)

    def bound(profile: Profile) -> Profile:
        return replace(
            profile, costs=tuple(replace(cost, complete=False, missing=figures) for cost in profile.costs)
        )

    found = diff_profiles(bound(one) if before_is_bound else one, bound(two) if after_is_bound else two)
    row = diff_tables(found)[0].rows[-1]
    assert row["quantity"].startswith("estimated cycles") and row["ratio"] is None
    # What both leave out is the same 7 operations: the difference is the true one.
    assert row["difference"] == (-2000 if before_is_bound and after_is_bound else None)


def test_other_conventions_are_refused_by_name() -> None:
    full = Profile(made_models.counts(["a"], convention="full"))
    with pytest.raises(ArgumentError, match="full and macs"):
        diff_profiles(full, made_models.profile(["a"]))


@pytest.mark.parametrize("name", ["table", "markdown", "html", "csv", "json"])
def test_diff_formats(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(made_models.profile(["a", *made_models.HOSTILE]).to_json())
    two.write_text(made_models.profile(["a"], 5, Arithmetic.ADDER).to_json())
    assert run(["diff", str(one), str(two), "--format", name]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    if name == "html":
        assert "<script>alert" not in out and "&lt;script&gt;alert(1)" in out
    if name == "json":
        assert len(json.loads(out)) == 1 + len(made_models.HOSTILE)


@pytest.mark.parametrize(
    ("text", "quantity", "most"),
    [
        ("mul=1G", "mul", 1e9),
        ("cycles@via-nano-2000=3M", "cycles@via-nano-2000", 3e6),
        ("macs = 300_000", "macs", 3e5),
        ("parameters=0", "parameters", 0),
        ("peak_bytes=60kB", "peak_bytes", 6e4),
        ("weight_bytes = 2 MB", "weight_bytes", 2e6),
    ],
)
def test_limits(text: str, quantity: str, most: float) -> None:
    budget = parse_budget(text)
    assert (budget.quantity, budget.most) == (quantity, most)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mul", "is no limit"),
        ("nul=1", "did you mean mul"),
        ("mul=many", "is no amount"),
        ("mul=-1", "not negative"),
        ("cycles@=1", "unknown quantity"),
        ("mul=1 GB", "is no amount"),
    ],
)
def test_what_is_no_limit(text: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        parse_budget(text)


@pytest.mark.parametrize(
    ("limit", "spent", "met"),
    [
        # Two layers of 1000 and 1001 sites with 10 parameters each.
        ("mul=2001", 2001, True),
        ("mul=2000", 2001, False),
        ("operations=4002", 4002, True),
        ("macs=2001", 2001, True),
        ("parameters=19", 20, False),
        ("abs=0", 0, True),
        ("cycles@via-nano-2000=12006", 12_006, True),
        ("cycles@via-nano-2000=12005", 12_006, False),
    ],
)
def test_spending(limit: str, spent: float, met: bool) -> None:
    made = made_models.subject(["a", "b"], cpus=("via-nano-2000",)).first
    (spending,) = check_budgets(made, [parse_budget(limit)])
    assert spending.spent == spent and spending.is_within is met
    assert bool(spending.layers) is not met


@pytest.mark.parametrize(
    ("limit", "spent", "layers"),
    [
        ("weight_bytes=47", 48, ()),
        ("weight_bytes=48", 48, ()),
        ("peak_bytes=99", 120, (("b", 120), ("a", 100))),
        ("peak_bytes=110", 120, (("b", 120),)),
        ("peak_bytes=120", 120, ()),
    ],
)
def test_budgets_of_memory(limit: str, spent: float, layers: tuple[tuple[str, float], ...]) -> None:
    """48 bytes of weights; 100 bytes in use while `a` runs and 120 while `b` does."""
    memory = ModelMemory(48, 8, 120, "b", (LayerMemory("a", 100), LayerMemory("b", 120)))
    made = replace(made_models.profile(["a", "b"]), memory=memory)
    budget = parse_budget(limit)
    (spending,) = check_budgets(made, [budget])
    assert (spending.spent, spending.layers) == (spent, layers)
    assert spending.is_within is (spent <= budget.most)


def test_a_budget_of_memory_needs_it_known() -> None:
    with pytest.raises(ArgumentError, match="is not known"):
        check_budgets(replace(made_models.profile(["a"]), memory=None), [parse_budget("peak_bytes=1")])


def test_a_budget_of_parameters_has_those_that_the_forward_does_not_use() -> None:
    """Two layers with 10 parameters each, and 7 that no call reads: the model stores 27."""
    made = made_models.profile(["a", "b"])
    whole = replace(made, counts=replace(made.counts, parameters=27, unused_parameters=7))
    (spending,) = check_budgets(whole, [parse_budget("parameters=26")])
    assert spending.spent == 27 and not spending.is_within
    assert check_budgets(whole, [parse_budget("parameters=27")])[0].is_within


def test_the_layers_named_make_up_the_excess() -> None:
    """Of 1000, 1001, 1002: without the largest 2001 are left, so one layer explains going over 2500."""
    made = made_models.profile(["a", "b", "c"])
    assert check_budgets(made, [parse_budget("mul=2500")])[0].layers == (("c", 1002),)
    assert [path for path, _ in check_budgets(made, [parse_budget("mul=1500")])[0].layers] == ["c", "b"]


@pytest.mark.parametrize("quantity", ["mul", "operations", "macs", "cycles@via-nano-2000"])
def test_a_lower_bound_meets_no_budget(quantity: str) -> None:
    made = made_models.subject(["a"], cpus=("via-nano-2000",)).first
    budget = parse_budget(f"{quantity}=1G")
    assert check_budgets(made, [budget])[0].is_within
    (spending,) = check_budgets(partly_counted(made), [budget])
    assert not spending.is_within and outcome(spending).startswith("unknown")


def test_github_annotations_are_one_line_each() -> None:
    made = made_models.profile(["a", "line\nbreak,::error::", "50%"])
    spendings = check_budgets(made, [parse_budget("mul=1"), parse_budget("add=1G")])
    text = github_annotations(made, spendings, "models/net,1.py")
    (line,) = text.splitlines()
    assert line.startswith("::error file=models/net%2C1.py,title=budget mul::made-up: mul 3,003, at most 1")
    assert "50%25" in line and "line\\nbreak" in line
    assert github_annotations(made, spendings[1:]).startswith(
        "::notice title=budget::made-up: add within budget"
    )


@pytest.mark.parametrize("name", ["table", "markdown", "csv", "json", "github"])
def test_exit_codes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.json"
    file.write_text(made_models.profile(["a"]).to_json())
    command = ["check", str(file), "--format", name]
    assert run([*command, "--max", "mul=1000", "--max", "cycles@via-nano-2000=6k"]) == 0
    assert capsys.readouterr().out
    assert run([*command, "--max", "mul=999"]) == 1
    captured = capsys.readouterr()
    assert "1 of 1 budgets exceeded or unknown: mul" in captured.err and captured.out
    assert run(command) == 2
    assert run([*command, "--max", "cycles@via-nano=1"]) == 2


def by_45nm(profile: Profile, memories: tuple[str, ...] = ()) -> Profile:
    table = load_energy("45nm")
    return replace(profile, energies=(estimate_energy(profile.counts, table, memories=memories),))


def test_a_diff_has_energies() -> None:
    """1,000 multiply-adds take 1,000 · (3.7 + 0.9) pJ (Horowitz 2014), as adder layers 2,000 · 0.9 pJ."""
    cnn = by_45nm(made_models.profile(["a"]))
    adder = by_45nm(made_models.profile(["a"], 1000, Arithmetic.ADDER))
    totals, layers = diff_tables(diff_profiles(cnn, adder))
    (row,) = (row for row in totals.rows if "energy" in row["quantity"])
    assert row["quantity"] == "estimated energy by 45nm, nJ"
    assert (row["before"], row["after"]) == pytest.approx((4.6, 1.8))
    assert row["ratio"] == pytest.approx(1.8 / 4.6)
    assert layers.rows[0]["energy_j@45nm"] == pytest.approx(-2.8e-9)


def test_energies_of_other_memories_are_not_compared() -> None:
    cnn = made_models.profile(["a"])
    totals, _ = diff_tables(diff_profiles(by_45nm(cnn), by_45nm(cnn, ("dram",))))
    assert not any("energy" in row["quantity"] for row in totals.rows)
    assert "estimated in only one of them, or in different ways: 45nm" in totals.notes


def test_a_diff_has_accelerators(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of `diff --accelerator` are what `profile` says of each."""
    monkeypatch.setenv("COLUMNS", "200")
    specs = ("zoo:lenet5-bn", "zoo:resnet20-cifar")
    names = {"cpus": (), "accelerators": ("tpu-like",)}
    one, two = (addercost.profile(spec, **names).accelerators[0] for spec in specs)
    assert run(["diff", *specs, "--cpu", "none", "--accelerator", "tpu-like", "-q"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "cycles on tpu-like" in line)
    assert line.split()[4:6] == [f"{round(one.cycles):,}", f"{round(two.cycles):,}"]


@pytest.mark.parametrize(
    ("limit", "is_within"),
    [("energy@45nm=4.7nJ", True), ("energy@45nm=4.5nJ", False), ("energy@45nm=4500p", False)],
)
def test_a_budget_of_energy(limit: str, is_within: bool) -> None:
    """4.6 nJ, as above."""
    made = by_45nm(made_models.profile(["a"]))
    (spending,) = check_budgets(made, [parse_budget(limit)])
    assert spending.spent == pytest.approx(4.6e-9) and spending.is_within is is_within
    (row,) = budget_table(made, [spending]).rows
    assert row["quantity"] == "energy@45nm, nJ" and row["spent"] == pytest.approx(4.6)
    assert row["layers"] == ("" if is_within else "a 4.6 nJ")
    assert ("energy@45nm 4.6 nJ, at most 4.5 nJ" in github_annotations(made, [spending])) is not is_within


def test_a_budget_of_energy_needs_an_estimate() -> None:
    with pytest.raises(ArgumentError, match="unknown energy table of the profile '45nm'"):
        check_budgets(made_models.profile(["a"]), [parse_budget("energy@45nm=1mJ")])


def test_check_charges_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes from DRAM come on top; without a budget of energy there is nothing to charge."""
    command = ["check", "zoo:lenet5-bn", "--convention", "macs", "-q", "--max"]
    assert run([*command, "energy@45nm=2uJ"]) == 0
    assert run([*command, "energy@45nm=2uJ", "--memory", "dram"]) == 1
    assert run([*command, "mul=1M", "--memory", "dram"]) == 2
    assert "--memory and --accumulator are of a budget of energy" in capsys.readouterr().err
