"""What was written is read back as it was, and anything else is refused with a reason. No torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import made_models
import pytest
import sample_data

from addercost.arithmetic import Arithmetic
from addercost.cli import run
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import estimate
from addercost.cost.models import COST_MODELS
from addercost.errors import ArgumentError, DataError
from addercost.hardware import load_cpu, load_energy
from addercost.report.html.page import to_page
from addercost.results.measurements import measurements_from_data, measurements_to_data
from addercost.results.plain import to_plain
from addercost.results.profile import Profile, profile_from_data
from addercost.results.reopened import reopen_profile
from addercost.results.report import Report, report_from_data
from addercost.results.saved import read_saved, saved_from_text
from addercost.results.training import training_from_data


def test_profile_round_trip() -> None:
    for made in made_models.subject(["a", "b.c", *made_models.HOSTILE]).profiles:
        assert made.costs, "a profile with costs is what is read back"
        assert profile_from_data(json.loads(made.to_json())) == made


def test_profile_with_several_models_and_energy() -> None:
    counts = made_models.counts(["a", "b.c"])
    made = Profile(
        counts,
        tuple(estimate(counts, load_cpu("intel-skylake-x"), model) for model in COST_MODELS),
        energies=(estimate_energy(counts, load_energy("45nm"), ["dram"]),),
    )
    assert profile_from_data(json.loads(made.to_json())) == made


def test_report_round_trip_through_json_and_the_page(tmp_path: Path) -> None:
    made = made_models.report(["plain", *made_models.HOSTILE])
    assert report_from_data(json.loads(made.to_json())) == made
    few = made_models.report(["plain", *made_models.HOSTILE[:3]], cpus=())
    page = tmp_path / "r.html"
    with made_models.without_figures():
        page.write_text(to_page(few), encoding="utf-8")
    assert read_saved(page) == few


@pytest.mark.exhaustive
def test_report_and_profile_commands_read_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each page made from a page holds the same, and from the second on it is the same file."""
    made = made_models.report(["a", "b.c"], cpus=())
    page, again, once_more = (tmp_path / f"{name}.html" for name in ("r", "again", "once-more"))
    page.write_text(to_page(made), encoding="utf-8")
    assert run(["report", str(page), "-o", str(again)]) == 0
    assert read_saved(again).subjects == made.subjects  # type: ignore[union-attr]
    assert run(["report", str(again), "-o", str(once_more)]) == 0
    assert again.read_bytes() == once_more.read_bytes()
    capsys.readouterr()
    assert run(["profile", str(page), "--format", "json"]) == 0
    assert capsys.readouterr().out == made.subjects[0].first.to_json()
    assert run(["profile", str(page), "--as", "adder", "--format", "json"]) == 0
    assert capsys.readouterr().out == made.subjects[0].profiles[1].to_json()


def test_reopening_checks_what_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(made_models.profile(["a"]).to_json())
    with pytest.raises(ArgumentError, match="convention macs, not full"):
        reopen_profile(str(file), convention="full")
    with pytest.raises(ArgumentError, match="not counted as adder"):
        reopen_profile(str(file), arithmetic=Arithmetic.ADDER)
    # 1000 multiplications at 4 cycles and 1000 additions at 2, the x87 figures of the VIA Nano 2000.
    (cost,) = reopen_profile(str(file), cpus=("via-nano-2000",), cost_models=("latency-sum",)).costs
    assert cost.cycles == 1000 * 4 + 1000 * 2
    (cost,) = reopen_profile(str(file), cpus=("intel-skylake-x",)).costs
    assert cost.model == "roofline"


def test_a_report_of_several_models_is_not_one_profile(tmp_path: Path) -> None:
    one, two = made_models.subject(["a"]), made_models.subject(["b"])
    file = tmp_path / "r.json"
    file.write_text(Report("two", (one, two)).to_json())
    with pytest.raises(ArgumentError, match="several models"):
        reopen_profile(str(file))


def damaged(change: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(made_models.subject(["a", "b"]).first.to_json())
    change(data)
    return data


def set_in_cost(**values: Any) -> Any:
    return lambda d: d["cost"][0].update(values)


def set_in_layer(**values: Any) -> Any:
    return lambda d: d["layers"][0].update(values)


def count_of_layer(**values: Any) -> Any:
    return lambda d: d["layers"][0]["counts_by_format"]["fp32"].update(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda d: d.pop("layers"), "layers is missing: expected a list", id="no layers"),
        pytest.param(
            count_of_layer(mul=-1),
            "layers[0].counts_by_format.fp32.mul = -1: expected a whole",
            id="negative",
        ),
        pytest.param(count_of_layer(mul=1.5), "fp32.mul = 1.5: expected a whole number", id="a fraction"),
        pytest.param(
            count_of_layer(mul=True), "fp32.mul = True: expected a whole number", id="a truth value"
        ),
        pytest.param(count_of_layer(mul=10**400), "expected a number of at most 308 digits", id="400 digits"),
        pytest.param(
            count_of_layer(mul=7), "the counts of layer 'a' differ", id="sums by class and format differ"
        ),
        pytest.param(count_of_layer(mull=7), "counts 'mull', which is no class", id="unknown class"),
        pytest.param(lambda d: d["totals"].update(mul=7), "do not sum to its totals", id="wrong total"),
        pytest.param(
            lambda d: d["totals_by_format"].clear(), "do not sum to its totals", id="no totals by format"
        ),
        pytest.param(lambda d: d.update(mac_sites=7), "do not sum to its totals", id="wrong sites"),
        pytest.param(
            lambda d: d.update(complete=False), "complete is False with 0 operators", id="incomplete"
        ),
        pytest.param(
            lambda d: d.update(uncounted=[{"op": "a.b", "calls": 1, "paths": ["a"]}]),
            "complete is True with 1 operators uncounted",
            id="complete though an operator is uncounted",
        ),
        pytest.param(
            lambda d: d["layers"].__setitem__(0, None),
            "layers[0] = None: expected an object",
            id="a layer is null",
        ),
        pytest.param(
            lambda d: d["cost"][0]["layers"].pop(), "are not those counted", id="a layer without a cost"
        ),
        pytest.param(
            lambda d: d["cost"][0]["layers"][0].update(path="z"),
            "are not those counted",
            id="cost of another layer",
        ),
        pytest.param(
            set_in_cost(cycles=float("nan")), "cycles = nan: expected a finite number", id="NaN cycles"
        ),
        pytest.param(
            set_in_cost(cycles=-1), "cycles = -1: expected a number of at least 0", id="negative cycles"
        ),
        pytest.param(
            set_in_cost(cycles="many"), "cost[0].cycles = 'many': expected a number", id="cycles in words"
        ),
        pytest.param(set_in_cost(cycles=10**400), "cycles = 1000", id="cycles of 400 digits"),
        pytest.param(set_in_cost(seconds=float("inf")), "seconds = inf: expected a finite", id="endless"),
        pytest.param(
            set_in_cost(complete=1), "complete = 1: expected true or false", id="a number for a truth value"
        ),
        pytest.param(
            set_in_cost(assumptions=[float("inf")]), "assumptions[0] = inf: expected text", id="not a text"
        ),
        pytest.param(
            set_in_cost(joules=1), "joules = 1: no such field; known here: hardware", id="unknown field"
        ),
        pytest.param(set_in_layer(path=[]), "layers[0].path = []: expected text", id="a list for a name"),
        pytest.param(
            set_in_layer(output_shape=[-1]), "output_shape[0] = -1: expected a whole", id="negative size"
        ),
        pytest.param(set_in_layer(ops={"add": None}), "ops.add = None: expected a whole", id="null calls"),
        pytest.param(
            lambda d: d.update(convention="none-such"), "unknown convention", id="unknown convention"
        ),
        pytest.param(
            lambda d: d.update(arithmetic="none-such"), "expected one of mac, adder", id="unknown arithmetic"
        ),
    ],
)
def test_a_damaged_profile(change: Any, words: str) -> None:
    with pytest.raises(DataError) as caught:
        profile_from_data(damaged(change), "p.json")
    message = str(caught.value)
    assert message.startswith("p.json: ") and words in message and "\n" not in message
    assert caught.value.hint == "make it again with `addercost profile … --format json`"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("[]", "no schema", id="a list"),
        pytest.param("{}", "no schema", id="no schema"),
        pytest.param('{"schema": "addercost/report/99"}', "this version reads", id="another version"),
        pytest.param('{"schema": "other/1"}', "no file of addercost", id="another tool's"),
        pytest.param(
            '{"schema": "addercost/report/1"}',
            "subjects is missing: expected a list",
            id="report without subjects",
        ),
        pytest.param('{"schema": "addercost/measurements/1"}', "model is missing", id="no model"),
        pytest.param("[" * 100_000, "not JSON", id="nested without end"),
    ],
)
def test_what_is_none_of_ours(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        saved_from_text(text, "f.json")


def test_an_html_file_of_someone_else(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>hello")
    with pytest.raises(DataError, match="not a report of addercost"):
        read_saved(page)


def test_measurements_round_trip() -> None:
    made = measurements_from_data(sample_data.measurements())
    assert measurements_from_data(measurements_to_data(made)) == made


def test_nan_in_measurements_leaves_the_row_out_and_says_so() -> None:
    data = sample_data.measurements(rows=2)
    data["rows"][1]["samples_s"][3] = float("nan")
    data["rows"][2]["samples_s"] = []
    made = measurements_from_data(data)
    assert len(made.rows) == 2
    assert made.left_out == (
        "layer0.conv adder made up: 1 of 60 samples are no positive number",
        "layer1.conv mac made up: no samples",
    )


@pytest.mark.parametrize("where", ["", "subjects[0].measurements"], ids=["alone", "in a report"])
@pytest.mark.parametrize("field", ["samples_s", "reference_samples_s"])
@pytest.mark.parametrize("seconds", [-1e-9, float("-inf")], ids=str)
def test_a_negative_time_is_refused_by_its_place(field: str, seconds: float, where: str) -> None:
    data = sample_data.measurements(rows=2)
    data["rows"][3][field] = [*data["rows"][3]["samples_s"][:-1], seconds]
    place = f"{where}{'.' * bool(where)}rows[3].{field}[59] = {seconds}: expected a number of at least 0"
    with pytest.raises(DataError, match=re.escape(f"f.json: {place}")):
        measurements_from_data(data, "f.json", where)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param([0.0] + [1.0] * 59, "1 of 60 samples are no positive number", id="no time"),
        pytest.param([1.0] * 59 + [float("inf")], "1 of 60 samples are no positive number", id="infinite"),
        pytest.param([1.0] * 58, "do not pair up", id="too few"),
    ],
)
def test_a_reference_that_cannot_be_used_leaves_the_row_out(samples: list[float], words: str) -> None:
    data = sample_data.measurements(rows=2)
    data["rows"][0] |= {"reference": "other", "reference_samples_s": samples}
    made = measurements_from_data(data)
    assert len(made.left_out) == 1 and words in made.left_out[0]


def test_a_row_against_its_reference_in_a_report() -> None:
    """60 samples, each twice its reference: the ratio is 2 in every block, and its interval too."""
    from addercost.report.tables.timings import measured_table

    data = sample_data.measurements(rows=1)
    samples = data["rows"][0]["samples_s"]
    data["rows"][0] |= {"reference": "other", "reference_samples_s": [s / 2 for s in samples]}
    first, *rest = measured_table(measurements_from_data(data)).rows
    assert (first["reference"], first["verdict"]) == ("other", "slower")
    assert [first[name] for name in ("ratio", "ratio_low", "ratio_high")] == pytest.approx([2, 2, 2])
    assert all("ratio" not in row for row in rest)


def test_nan_in_a_prediction_is_refused() -> None:
    data = sample_data.measurements(rows=1)
    data["rows"][0]["predicted"][0]["seconds"] = float("nan")
    with pytest.raises(
        DataError, match=r"rows\[0\]\.predicted\[0\]\.seconds = nan: expected a finite number"
    ):
        measurements_from_data(data, "m.json")


def test_measurements_without_a_usable_row() -> None:
    data = sample_data.measurements(rows=1)
    for row in data["rows"]:
        row["samples_s"] = [0.0]
    with pytest.raises(DataError, match="no usable row"):
        measurements_from_data(data)


def test_interval_of_the_median() -> None:
    """100 samples 1…100: ranks 100/2 - 9.8 = 40.2 and 100/2 + 1 + 9.8 = 60.8, so the 41st and the 61st."""
    data = sample_data.measurements(rows=1)
    data["rows"][0]["samples_s"] = [float(i * 37 % 101) for i in range(1, 101)]
    row = measurements_from_data(data).rows[0]
    assert row.median_s == 50.5
    assert row.interval_s == (41.0, 61.0)


def test_training_round_trip() -> None:
    made = training_from_data(sample_data.training())
    assert training_from_data({"schema": "addercost/training/1", **to_plain(made)}) == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"accuracy_percent": 101}, "no accuracy", id="accuracy above 100"),
        pytest.param({"features": {"x": [1.0], "y": [], "label": []}}, "features", id="lengths differ"),
        pytest.param({"filters": {"c": [[[1.0, 2.0], [3.0]]]}}, "differ in size", id="ragged filters"),
        pytest.param(
            {"weights": {"c": [float("inf")]}},
            "weights.c.0. = inf: expected a finite number",
            id="infinite weight",
        ),
        pytest.param({"name": 3}, "name = 3: expected text", id="a number for a name"),
    ],
)
def test_a_damaged_training_record(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        training_from_data(sample_data.training() | change, "t.json")
