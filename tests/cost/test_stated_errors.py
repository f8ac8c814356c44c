"""Stated errors: written from validations, found by model and hardware, and the table in the documents."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from addercost.analysis.validation import scored
from addercost.cost import stated_errors
from addercost.cost.models import COST_MODELS
from addercost.cost.stated_errors import all_stated_errors, stated_error, stated_lines
from addercost.results.validation import RowPrediction, Validation, ValidationRow

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import state_errors  # noqa: E402


def validation(hardware: str, ratio: float, family: str = "net", **conditions: str) -> Validation:
    """Twenty networks, of which `roofline` predicts each `ratio` times as long as it takes."""
    rows = tuple(
        ValidationRow(
            f"net{i}", 1.0 + i, (RowPrediction("roofline", ratio * (1 + i)),), family=family, mac_sites=i + 1
        )
        for i in range(20)
    )
    return scored(Validation("made up", hardware, conditions, rows))


PUBLISHED = validation("far", 4.0, machine="a far machine")
HERE = validation("host", 1.5, threads="1", cpu="this machine")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "stated_errors.toml"
    file.write_text("".join(state_errors.stated([("far.md", PUBLISHED), ("here.md", HERE)])))
    monkeypatch.setattr(stated_errors, "FILE", file)
    all_stated_errors.cache_clear()
    yield
    all_stated_errors.cache_clear()


def test_published_times_are_of_other_cores_so_the_error_is_after_one_factor(written: None) -> None:
    """Four times too long in all: once they are multiplied by a quarter, nothing is left."""
    known = stated_error("roofline")
    assert known is not None and known.factor == pytest.approx(0.25)
    assert known.median_error == pytest.approx(0) and known.source == "far.md"
    assert known.brief_text.startswith("error of roofline × 0.25: ")


@pytest.mark.parametrize(
    ("hardware", "measured_on"),
    [
        ("h100-sxm", "rtx-3090"),
        ("h100-sxm@graphs", "rtx-3090"),
        ("amd-zen4@2GHz", "intel-skylake-x"),
        ("../x@what is this", "intel-skylake-x"),
    ],
)
def test_a_gpu_is_not_judged_by_a_processor_nor_the_other_way(hardware: str, measured_on: str) -> None:
    known = stated_error("eager", hardware)
    assert known is not None and known.hardware == measured_on


def test_the_line_has_the_error_in_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as long as it takes: 200 % too long."""
    of_host = validation("host", 3.0, threads="1", cpu="this machine")
    (tmp_path / "errors.toml").write_text("".join(state_errors.stated([("here.md", of_host)])))
    monkeypatch.setattr(stated_errors, "FILE", tmp_path / "errors.toml")
    all_stated_errors.cache_clear()
    known = stated_error("roofline", "host")
    all_stated_errors.cache_clear()
    assert known is not None
    assert "±200 % in the median and ±200 % for nine of ten" in known.text


def test_what_was_timed_on_that_hardware_is_taken_as_it_is(written: None) -> None:
    known = stated_error("roofline", "host")
    assert known is not None and known.factor == 1
    assert (known.median_error, known.networks) == (pytest.approx(0.5), 20)
    assert (
        "±50 % in the median and ±50 % for nine of ten of 20 networks in fp32 on this machine; here"
        in known.text
    )


def test_a_table_of_this_machine_has_the_error_of_this_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every machine's own table is called `host`; more networks were timed on the other machine."""
    here = validation("host", 1.5, threads="1", cpu="AMD EPYC 25-1-1")
    other = validation("host", 3.0, threads="1", cpu="AMD EPYC 25-17-1")
    file = tmp_path / "stated_errors.toml"
    file.write_text("".join(state_errors.stated([("other.md", other), ("here.md", here)])))
    monkeypatch.setattr(stated_errors, "FILE", file)
    all_stated_errors.cache_clear()
    for processor, page in (("AMD EPYC 25-1-1", "here.md"), ("unknown", "other.md")):
        monkeypatch.setattr(stated_errors, "processor_id", lambda processor=processor: processor)
        known = stated_error("roofline", "host@2cores")
        assert known is not None and known.source == page
    all_stated_errors.cache_clear()


def test_a_network_in_8_bits_has_the_error_of_networks_in_8_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a format that was not measured there, the error is that of the first, and the line names its
    format.
    """
    made = {
        name: validation("host", ratio, threads="1", dtype=name)
        for name, ratio in (("fp32", 1.5), ("int8", 3.0))
    }
    file = tmp_path / "stated_errors.toml"
    file.write_text("".join(state_errors.stated([(f"{name}.md", of) for name, of in made.items()])))
    monkeypatch.setattr(stated_errors, "FILE", file)
    all_stated_errors.cache_clear()
    found = [stated_lines([("roofline", "host")], number_format=name)[0] for name in ("int8", "fp32", "bf16")]
    brief = stated_lines([("roofline", "host")], brief=True, number_format="int8")[0]
    all_stated_errors.cache_clear()
    assert "±200 % in the median" in found[0] and "made up, int8" in found[0]
    assert "±50 % in the median" in found[1] and "networks in fp32" in found[1]
    assert found[2] == found[1]
    assert "(20 networks in int8)" in brief


def test_a_space_of_one_design_states_nothing() -> None:
    cells = validation("host", 1.5, "", threads="1")
    assert "[[errors]]" not in "".join(state_errors.stated([("cells.md", cells)]))
    assert "[[errors]]" in "".join(state_errors.stated([("here.md", HERE)]))


def test_a_model_that_was_not_validated_says_so(written: None) -> None:
    lines = stated_lines([("throughput", "x"), ("throughput", "y"), ("roofline", "host")])
    assert lines[0] == "stated error of throughput: none, it was not validated" and len(lines) == 2


def test_the_file_and_the_page_are_those_of_the_validations_in_reports() -> None:
    """`make state-errors` was run after the last validation."""
    found = state_errors.validations(ROOT / "reports")
    assert stated_errors.FILE.read_text(encoding="utf-8") == "".join(state_errors.stated(found))
    page = state_errors.PAGE.read_text(encoding="utf-8")
    assert state_errors.START in page
    assert page == state_errors.with_table(page, found)


def test_every_stated_error_is_of_a_cost_model_and_its_page_is_there() -> None:
    for error in all_stated_errors():
        assert error.model in COST_MODELS
        assert (ROOT / error.source).is_file(), error.source


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.errors import DataError

    file = tmp_path / "stated_errors.toml"
    file.write_text('[[errors]]\nmodel = "roofline"\n')
    assert tomllib.loads(file.read_text())
    monkeypatch.setattr(stated_errors, "FILE", file)
    all_stated_errors.cache_clear()
    with pytest.raises(DataError, match=r"stated_errors.toml"):
        all_stated_errors()
    all_stated_errors.cache_clear()
