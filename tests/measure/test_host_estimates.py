"""Estimates by this machine's own table: beside timings of the same processor only."""

from dataclasses import replace
from pathlib import Path

import pytest

from addercost.errors import ArgumentError
from addercost.measure import predictions
from addercost.measure.estimates import with_estimates
from addercost.measure.layer_predictions import layer_predictor
from addercost.measure.predictions import default_cpus, other_processor, refuse_other_processor
from addercost.measure.session import BenchSettings, _estimate_notes, predict_for
from addercost.report.tables.timings import bench_table, measured_table, row_line
from addercost.results.measurements import MeasuredRow, Measurements, PredictedTime

STORED = Path(__file__).parents[2] / "reports" / "amd-zen4"


@pytest.fixture
def on(monkeypatch):
    def machine(name: str) -> None:
        monkeypatch.setattr(predictions, "processor_id", lambda: name)

    return machine


def test_the_table_of_this_processor_is_used(on):
    on("AMD EPYC 25-17-1")
    assert other_processor(STORED) == ""
    assert default_cpus(STORED) == ("host",)
    refuse_other_processor(("host",), STORED)


def test_the_table_of_another_processor_is_refused_by_name(on):
    """The file is of a Zen 4, and an AMD EPYC of family 25, model 1, is a Zen 3. Named as a file it is
    borrowed, and other tables are nobody's own.
    """
    on("AMD EPYC 25-1-1")
    assert default_cpus(STORED) == ()
    expected = "measured on AMD EPYC 25-17-1, and this is AMD EPYC 25-1-1"
    with pytest.raises(ArgumentError, match=expected) as caught:
        predict_for(BenchSettings(cpus=("host",), hardware_path=STORED))
    assert "addercost calibrate" in caught.value.hint and "--cpu to borrow it" in caught.value.hint
    refuse_other_processor((str(STORED / "host.toml"), "amd-zen4"), STORED)


def test_a_note_says_why_there_are_no_estimates(on):
    on("Some Other CPU")
    (note,) = _estimate_notes(BenchSettings(hardware_path=STORED))
    assert "measured on AMD EPYC 25-17-1, and this is Some Other CPU" in note
    assert "addercost calibrate" in note


def measured(*rows: MeasuredRow) -> Measurements:
    return Measurements("net", {"cpu": "AMD EPYC", "threads": "1"}, rows, settings={"device": "cpu"})


def test_estimates_of_whole_models_by_another_table_are_dropped():
    """A document does not have a model's shapes, so they cannot be made anew."""
    old = (PredictedTime("host", "throughput", 9.0),)
    found = with_estimates(
        measured(MeasuredRow("", "mac", (1.0,), implementation="eager", predicted=old)),
        layer_predictor(("host",), ("throughput",), STORED, "channels-last", "warm"),
        ("host",),
    )
    assert found.rows[0].predicted == ()


ROW = MeasuredRow("conv1", "mac", (1e-3,) * 8, implementation="torch", speed_factor=1.234)


@pytest.mark.parametrize("table", [bench_table, measured_table], ids=["bench", "report"])
def test_the_machines_factor_is_beside_every_timing(table):
    shown = table(measured(ROW, replace(ROW, path="conv2", speed_factor=1.0)))
    assert [row["speed_factor"] for row in shown.rows] == [1.234, 1.0]
    assert "speed_factor" in [column.name for column in shown.columns]


def test_timings_of_before_have_no_such_column():
    plain = measured(replace(ROW, speed_factor=None))
    for table in (bench_table(plain), measured_table(plain)):
        assert "speed_factor" not in [column.name for column in table.columns]
    assert not any("quiet" in note for note in bench_table(plain).notes)


def test_the_factor_is_explained_with_its_range():
    notes = bench_table(measured(ROW, replace(ROW, speed_factor=1.0))).notes
    assert any("1.00 to 1.23 in these rows" in note for note in notes)


def test_progress_says_when_the_machine_is_slow():
    assert "machine 1.23 × its quiet time" in row_line(ROW)
    assert "quiet" not in row_line(replace(ROW, speed_factor=1.01))


def test_faults_of_a_table_are_one_line_below_the_timings():
    from addercost.measure.limit_faults import with_faults

    fast = (PredictedTime("host", "throughput", 2e-3),)
    rows = [with_faults(replace(ROW, path=path, predicted=fast)) for path in ("conv1", "conv2", "conv3")]
    notes = bench_table(measured(*rows, replace(ROW, path="conv4"))).notes
    assert [note for note in notes if "fault" in note] == [
        "faster than throughput says, a fault of the table host: 3 of 4 rows"
    ]
