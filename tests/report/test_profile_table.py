"""What `profile` shows: blocks where layers are many, the costliest first, and a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addercost.analysis.alternatives import OtherArithmetic, alternatives
from addercost.analysis.bounds import AtLeast, AtMost
from addercost.analysis.layer_rows import LARGEST_BLOCK, block_depth, layer_rows
from addercost.api import profile, trace_spec
from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import LayerEstimate, ModelCost
from addercost.errors import ArgumentError
from addercost.report.formats.table_markdown import to_markdown
from addercost.report.formats.terminal import to_terminal
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.layers_cost_first import GLANCE
from addercost.report.tables.profile import MOST_BLOCKS, ProfileView, bar, profile_table
from addercost.report.tables.profile_answer import CHOOSE_A_PROCESSOR, answer
from addercost.results.profile import Profile


@pytest.fixture(scope="module")
def lenet() -> Profile:
    return profile("zoo:lenet5-bn", convention="macs", cpus="via-nano-2000", cost_models="latency-sum")


@pytest.fixture(scope="module")
def deep() -> Profile:
    """66 layers: a stem, three stages of three blocks, a classifier."""
    return profile("zoo:resnet20-cifar", convention="macs", cpus="intel-skylake-x", cost_models="throughput")


def costing(base: Profile, cycles: dict[str, float], **changes: object) -> Profile:
    """`base` with layers of these paths and cycles alone."""
    layers = tuple(replace(base.counts.layers[0], path=path) for path in cycles)
    estimates = tuple(LayerEstimate(path, value, "ports", True) for path, value in cycles.items())
    cost = ModelCost("cpu-a", "roofline", "simd", sum(cycles.values()), 2e-3, True, (), (), estimates)
    counts = replace(base.counts, layers=layers)
    return replace(base, counts=counts, costs=(replace(cost, **changes),), memory=None)


@pytest.mark.parametrize(
    ("cycles", "depth"),
    [
        pytest.param({f"a.{i}": 1 for i in range(4)}, 2, id="one-part-has-everything"),
        pytest.param({f"a{i}.{j}": 1 for i in range(4) for j in range(9)}, 1, id="four-equal-parts"),
        pytest.param({f"a{i}.{j}": 1 for i in range(3) for j in range(9)}, 2, id="three-equal-parts"),
        pytest.param({"a": 90, "b.0": 5, "b.1": 5}, 1, id="a-layer-that-cannot-be-made-smaller"),
        pytest.param({"a.b.0.x": 1, "a.b.1.x": 1, "a.b.1.y": 9}, 4, id="down-to-single-layers"),
        pytest.param({}, 0, id="no-layers"),
    ],
)
def test_blocks_are_as_large_as_shows_where_the_cost_is(
    lenet: Profile, cycles: dict[str, float], depth: int
) -> None:
    """A part of several layers may have a quarter at most."""
    assert LARGEST_BLOCK == 1 / 4
    assert block_depth(layer_rows(costing(lenet, cycles)), "cpu-a") == depth


def test_many_layers_are_shown_as_their_costliest_blocks(deep: Profile) -> None:
    assert len(deep.counts.layers) > GLANCE
    table = profile_table(deep)
    shares = [row["share"] for row in table.rows]
    assert len(table.rows) == MOST_BLOCKS + 1
    assert shares[:-1] == sorted(shares[:-1], reverse=True)
    assert sum(shares) == pytest.approx(1)
    *blocks, rest = table.rows
    assert str(rest["path"]).endswith(" more blocks") and rest["bar"] == ""
    own = {row["path"]: row for row in blocks}
    # Stages of three blocks, each of two convolutions of 32 x 32 x 16 outputs and 9 x 16 products for one.
    assert own["stages.0.1"]["mul"] == 2 * 32 * 32 * 16 * 9 * 16
    assert sum(row["seconds@intel-skylake-x"] for row in table.rows) == pytest.approx(deep.costs[0].seconds)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(ProfileView(all_layers=True), id="all"),
        pytest.param(ProfileView(sort="mul"), id="sorted"),
        pytest.param(ProfileView(depth=99), id="depth"),
    ],
)
def test_a_chosen_view_shows_layers(deep: Profile, view: ProfileView) -> None:
    table = profile_table(deep, view)
    assert {row["path"] for row in table.rows} == {row.path or "(model)" for row in layer_rows(deep)}
    assert table.answer == profile_table(deep).answer


def test_few_layers_stay_in_their_order(lenet: Profile) -> None:
    rows = profile_table(lenet).rows
    assert [row["path"] for row in rows] == [layer.path for layer in lenet.counts.layers]
    # 240,000 of 416,520 sites; the bar of 117,600 is 117,600 / 240,000 of 12 characters: 5 7/8.
    bars = {row["path"]: row["bar"] for row in rows}
    assert (bars["features.4"], bars["features.0"], bars["features.1"]) == ("█" * 12, "█" * 5 + "▉", "")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        pytest.param(1, "█" * 12, id="all"),
        pytest.param(0.5, "█" * 6, id="half"),
        pytest.param(1 / 96, "▏", id="an-eighth-of-a-character"),
        pytest.param(7 / 96, "▉", id="seven-eighths"),
        pytest.param(0.004, "", id="too-little"),
    ],
)
def test_bar(share: float, text: str) -> None:
    assert bar(share) == text


def test_the_answer(lenet: Profile) -> None:
    """2 ms; 6 of 8 cycles."""
    made = costing(lenet, {"a": 6, "b": 2})
    others = (
        OtherArithmetic(Arithmetic.ADDER, "roofline", 2.0),
        OtherArithmetic(Arithmetic.XNOR, "roofline", AtMost(0.25)),
    )
    assert answer(made, layer_rows(made), others) == (
        "lenet5-bn takes 2 ms on cpu-a (estimated by roofline); a takes the most, 75 %; it would take 2.00 "
        "times as long with adder layers and at most 0.250 times as long with binary layers"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"complete": False}, "takes at least 2 ms on cpu-a", id="a-lower-bound"),
        pytest.param({"seconds": None}, "takes 8 cycles on cpu-a", id="no-clock"),
    ],
)
def test_the_answer_says_what_is_known(lenet: Profile, changes: dict[str, object], words: str) -> None:
    made = costing(lenet, {"a": 6, "b": 2}, **changes)
    assert words in answer(made, layer_rows(made))


def test_equal_blocks_take_the_most_together(lenet: Profile) -> None:
    made = costing(lenet, {"a": 4, "b": 4, "c": 4, "d": 0})
    assert "a and 2 more take the most, 33 % each" in answer(made, layer_rows(made))


def test_the_answer_names_another_cost_model_for_the_comparison(lenet: Profile) -> None:
    made = costing(lenet, {"a": 1})
    text = answer(made, layer_rows(made), (OtherArithmetic(Arithmetic.ADDER, "throughput", AtLeast(3)),))
    assert text.endswith("it would take at least 3.00 times as long with adder layers, by throughput")


@pytest.mark.parametrize("asks", [True, False])
def test_without_a_processor_the_answer_counts(lenet: Profile, asks: bool) -> None:
    counted = replace(lenet, costs=())
    text = profile_table(counted, ProfileView(no_processor_chosen=asks)).answer
    assert text.startswith("lenet5-bn has 416.5k multiply-accumulates; features.4 takes the most, 58 %")
    assert (CHOOSE_A_PROCESSOR in text) == asks


def test_other_arithmetics_by_the_papers_rule(lenet: Profile) -> None:
    """A site takes 4 + 2 cycles as it is, 2 + 2 with additions, 1 + 1 as a binary layer: README's table."""
    found = {item.arithmetic: item.ratio for item in alternatives(trace_spec("zoo:lenet5-bn"), lenet)}
    assert found == {Arithmetic.ADDER: pytest.approx(4 / 6), Arithmetic.XNOR: pytest.approx(2 / 6)}


def test_an_adder_network_is_compared_with_multiply_adds() -> None:
    trace = trace_spec("zoo:lenet5-bn:adder")
    made = profile(trace, convention="macs", cpus="via-nano-2000", cost_models="latency-sum")
    found = {item.arithmetic: item.ratio for item in alternatives(trace, made)}
    assert found == {Arithmetic.MAC: pytest.approx(6 / 4), Arithmetic.XNOR: pytest.approx(2 / 4)}


def test_a_changed_network_is_not_compared() -> None:
    trace = trace_spec("zoo:lenet5-bn")
    assert alternatives(trace, profile(trace, what_if="int8", cpus="amd-zen4")) == ()


def test_notes_are_a_line_each_and_an_assumption_once(lenet: Profile) -> None:
    cost = lenet.costs[0]
    assumed = replace(cost, assumptions=("one clock", "a cache"))
    other = replace(assumed, hardware="cpu-b", assumptions=("one clock",))
    table = profile_table(replace(lenet, costs=(assumed, other)), caveats={"cpu-b": ("a doubt " + "x" * 99,)})
    assert [note for note in table.notes if "one clock" in note] == ["assumed: one clock"]
    assert "assumed for via-nano-2000: a cache" in table.notes
    lines = to_terminal(table, 80).splitlines()
    (caveat,) = (line for line in lines if line.startswith("caveat of cpu-b: a doubt "))
    assert len(caveat) == 80 and caveat.endswith("…")


def test_explained_notes_are_whole(lenet: Profile) -> None:
    table = profile_table(lenet, ProfileView(explained=True), caveats={"cpu-b": ("a doubt " + "x" * 99,)})
    assert "x" * 99 in to_terminal(table, 200)
    assert any(
        note.startswith("via-nano-2000, latency-sum model (estimate): 2,499,120 cycles")
        for note in table.notes
    )


@pytest.mark.parametrize("width", [48, 80, 100, 200])
def test_it_fits(deep: Profile, width: int) -> None:
    lines = to_terminal(profile_table(deep), width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert width < 80 or any("█" in line for line in lines)


NAMED = Table(
    columns=(Column("path", "layer"), Column("cycles@a", "cycles", Kind.COUNT), Column("energy@a", "energy"),
             Column("energy@b", "energy")),
    rows=(),
)  # fmt: skip


def test_a_column_is_named_by_its_beginning_where_that_is_enough() -> None:
    assert NAMED.column("cycles").name == NAMED.column("cycles@a").name == "cycles@a"
    with pytest.raises(ArgumentError) as caught:
        NAMED.column("energy")
    assert "energy@a, energy@b" in (caught.value.hint or "")
    with pytest.raises(ArgumentError):
        NAMED.column("cycle")


def test_an_answer_is_bold_and_first() -> None:
    table = Table((Column("a", "a"),), ({"a": 1},), title="below", answer="above")
    assert to_terminal(table, 80, styled=True).startswith("\x1b[1mabove\x1b[0m\nbelow\n")
    assert to_markdown(table).startswith("**above**\n\n**below**\n\n| a |")
