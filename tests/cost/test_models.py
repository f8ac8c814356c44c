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
    cost_model_named,
    is_serial,
    listed_models,
)
from addercost.errors import ArgumentError

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
