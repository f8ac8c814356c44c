"""The registry of cost models."""

from pathlib import Path

import pytest

import addercost.cost.models as registry
from addercost.cost.bounds import Bound
from addercost.cost.cost_model import CostModel
from addercost.cost.lowering import Lowering
from addercost.cost.models import (
    COST_MODELS,
    PAPER_MODEL,
    RANKING_MODELS,
    common_model,
    cost_model_named,
    default_model,
    is_serial,
    listed_models,
)
from addercost.cost.target_registry import load_target
from addercost.cost.verdict import CONTESTS, contest_cycles
from addercost.errors import ArgumentError
from addercost.trace.record import Trace

ROOT = Path(__file__).parents[2]


def test_each_file_of_the_folder_is_a_model():
    files = {path.stem for path in Path(registry.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in COST_MODELS} == files


def test_their_order_is_from_waiting_for_everything_to_needing_a_memory():
    models = list(COST_MODELS.values())
    assert models[0].name == PAPER_MODEL
    assert [model.is_serial for model in models] == sorted((m.is_serial for m in models), reverse=True)
    parallel = [model.needs_memory for model in models if not model.is_serial]
    assert parallel == sorted(parallel)
    assert RANKING_MODELS == ("latency-sum", "throughput")
    assert not any(COST_MODELS[name].needs_memory for name in RANKING_MODELS)


def test_the_papers_is_serial_and_the_others_are_not():
    known = {"latency-sum": (True, False), "throughput": (False, False), "roofline": (False, True)}
    assert {name: (is_serial(name), COST_MODELS[name].needs_memory) for name in known} == known
    assert PAPER_MODEL == "latency-sum"
    # A file that a newer version wrote is shown all the same.
    assert not is_serial("a model to come")


BOARD, BARE, GPU = (load_target(name) for name in ("raspberry-pi-5", "via-nano-2000", "rtx-3090"))
"""A processor with a memory bandwidth, one without, and a GPU, whose table has no latencies."""


@pytest.mark.parametrize(
    ("targets", "model"),
    [
        pytest.param([], "throughput", id="none"),
        pytest.param([BOARD], "roofline", id="a bandwidth"),
        pytest.param([BOARD, load_target("raspberry-pi-4-b")], "roofline", id="two bandwidths"),
        pytest.param([BARE], "throughput", id="no bandwidth"),
        pytest.param([BARE, BOARD], "throughput", id="one has no bandwidth"),
        pytest.param([GPU], "eager", id="a gpu"),
        pytest.param([GPU, BOARD], "roofline", id="a gpu and a bandwidth"),
        pytest.param([GPU, BARE], "throughput", id="a gpu and no bandwidth"),
        pytest.param([GPU, BARE, BOARD], "throughput", id="all"),
    ],
)
def test_targets_are_ranked_by_the_best_model_that_all_have_figures_for(targets, model):
    assert common_model(targets) == model


def test_kernels_are_asked_only_where_they_run_the_network():
    """No kernels were timed on the board, so its next best model is taken."""
    assert default_model(BOARD, has_kernels=True) == default_model(BOARD) == "roofline"
    assert default_model(GPU, has_kernels=True) == "eager"


def test_names_are_listed_as_a_sentence():
    *most, last = COST_MODELS
    assert listed_models() == f"{', '.join(most)} or {last}"


def test_an_unknown_name_is_answered_with_the_nearest():
    assert cost_model_named("roofline").name == "roofline"
    with pytest.raises(ArgumentError, match="unknown cost model 'roof'; did you mean roofline"):
        cost_model_named("roof")


def test_the_page_says_of_each_what_its_record_says():
    page = (ROOT / "docs" / "cost-models.md").read_text()
    for name, model in COST_MODELS.items():
        assert f"| `{name}` | {model.description} |" in page


def test_a_model_lacks_and_assumes_nothing_unless_it_says_so():
    model = CostModel("free", "nothing", Lowering.SIMD, lambda bounds, executions, n_bytes: [Bound("no", 0)])
    assert dict(model.missing(None, [], 0)) == {}
    assert list(model.assumes(None)) == list(model.assumes_of([])) == []
    assert not (model.is_serial or model.needs_memory or model.ranks_targets)


def test_a_network_that_takes_no_time_has_no_ratio():
    """One without a layer: 0 / 0 cycles."""
    nothing = Trace("nothing", (), {}, {})
    assert contest_cycles(nothing, CONTESTS[0], BOARD, "throughput", False).ratio is None
