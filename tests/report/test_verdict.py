"""The verdict: predicted ratios against hand derivations, measured ones against timings made up for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from addercost.analysis.network_verdict import NetworkVerdict, VerdictRow
from addercost.api import trace_spec
from addercost.cli import run
from addercost.cost.target_registry import load_target
from addercost.cost.verdict import CONTESTS, Contest, PredictedRatio, contest_cycles, contest_energy
from addercost.hardware import load_energy
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.tables.verdict import verdict_table
from addercost.report.tables.verdict_sentences import sentence
from addercost.results.intervals import RatioOutcome
from addercost.results.intervals import verdict as judged
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements, measurements_to_json
from addercost.results.network_ratio import NetworkRatio, network_ratio
from addercost.trace.record import Trace

FP32, INT8, BINARY = CONTESTS
ADDER_LAYER = ("adder", "addercost layer", "fp32")


@pytest.fixture(scope="module")
def lenet() -> Trace:
    return trace_spec("zoo:lenet5-bn")


@pytest.mark.parametrize(
    ("contest", "table", "expected"),
    [
        # Horowitz, ISSCC 2014: fp32 mul 3.7, add 0.9; int8 mul 0.2, add 0.03, int32 add 0.1 pJ.
        pytest.param(FP32, "45nm", (3.7 + 0.9) / (0.9 + 0.9), id="fp32, 45 nm"),
        pytest.param(INT8, "45nm", (0.2 + 0.1) / (0.03 + 0.1), id="int8 summed in int32, 45 nm"),
        pytest.param(BINARY, "45nm", None, id="no figure for xnor"),
        # Jouppi et al., ISCA 2021: fp32 mul 1.31, add 0.38 pJ.
        pytest.param(FP32, "7nm", (1.31 + 0.38) / (0.38 + 0.38), id="fp32, 7 nm"),
        # int8 mul 0.07, add 0.007, int32 add 0.03 pJ.
        pytest.param(INT8, "7nm", (0.07 + 0.03) / (0.007 + 0.03), id="int8 summed in int32, 7 nm"),
    ],
)
def test_energy(lenet: Trace, contest: object, table: str, expected: float | None) -> None:
    found = contest_energy(lenet, contest, load_energy(table), False)  # type: ignore[arg-type]
    assert found.ratio == (None if expected is None else pytest.approx(expected))
    assert bool(found.missing) == (expected is None)


def test_the_papers_rule(lenet: Trace) -> None:
    """(4 + 2) / (2 + 2) whatever the counts; a layer that is kept adds 6 a site on both sides."""
    nano = load_target("via-nano-2000")
    found = contest_cycles(lenet, FP32, nano, "latency-sum", False)
    assert found.ratio == pytest.approx(1.5)
    assert found.seconds is not None and found.seconds[0] / found.seconds[1] == pytest.approx(1.5)
    kept, others = 117_600 + 840, 416_520 - 117_600 - 840
    expected = 416_520 * 6 / (kept * 6 + others * 4)
    assert contest_cycles(lenet, FP32, nano, "latency-sum", True).ratio == pytest.approx(expected)


def test_a_side_that_is_a_lower_bound_gives_no_ratio(lenet: Trace) -> None:
    """The VIA Nano's table has no figure for counting bits."""
    found = contest_cycles(lenet, BINARY, load_target("via-nano-2000"), "throughput", False)
    assert found.ratio is None and found.seconds is None
    assert "popcount" in found.missing


def test_throughput_here_names_its_bounds(lenet: Trace) -> None:
    """Port MB of the VIA Nano takes max and add of the adder: two cycles a vector against one."""
    found = contest_cycles(lenet, FP32, load_target("via-nano-2000"), "throughput", False)
    assert found.ratio == pytest.approx(1 / 2) and found.bounds[1] == "port MB"


def row(path: str, own_s: float, reference_s: float, *, times: int = 1, first: int = 0, blocks: int = 40,
        noise: float = 0.0, seed: int = 0, limit: float | None = None) -> MeasuredRow:  # fmt: skip
    random = np.random.default_rng(seed)

    def samples(center: float) -> tuple[float, ...]:
        return tuple(float(v) for v in center * np.exp(noise * random.standard_normal(2 * blocks)))

    return MeasuredRow(
        path=path, arithmetic="adder", samples_s=samples(own_s), implementation="addercost layer",
        dtype="fp32", paths=tuple(f"{path}.{i}" for i in range(times)),
        positions=tuple(range(first, first + times)), reference="torch fp32",
        reference_samples_s=samples(reference_s), sites=1000, limit_sites_per_s=limit,
        converged=True,
    )  # fmt: skip


def made(*rows: MeasuredRow, failed: tuple[FailedRow, ...] = ()) -> Measurements:
    return Measurements("net", {"cpu": "a processor"}, rows, failed=failed)


def test_a_network_is_the_sum_of_its_layers() -> None:
    """Σ occurrences × time on each side: (3·2 + 4) / (3·6 + 5)."""
    found = network_ratio(made(row("a", 6e-3, 2e-3, times=3), row("b", 5e-3, 4e-3, first=3)), *ADDER_LAYER)
    assert found is not None
    assert found.ratio == pytest.approx(10 / 23) and found.low == pytest.approx(found.high)
    assert (found.layers, found.reference) == (4, "torch fp32")


def test_first_and_last_kept_count_by_their_reference() -> None:
    """Of a's three layers the first stays, and b is the last: (3·2 + 4) / (2 + 2·6 + 4)."""
    rows = made(row("a", 6e-3, 2e-3, times=3), row("b", 5e-3, 4e-3, first=3))
    found = network_ratio(rows, *ADDER_LAYER, keep_first_last=True)
    assert found is not None and found.ratio == pytest.approx(10 / 18)


def test_layers_that_failed_are_named() -> None:
    failed = FailedRow("c", *ADDER_LAYER, "no kernel", paths=("c.0", "c.1"))
    found = network_ratio(made(row("a", 1e-3, 1e-3), failed=(failed,)), *ADDER_LAYER)
    assert found is not None and found.left_out == ("c.0", "c.1")


def test_nothing_timed_is_none() -> None:
    assert network_ratio(made(row("a", 1e-3, 1e-3)), "xnor", "addercost layer", "fp32") is None


def test_the_share_of_the_limit() -> None:
    """1,000 sites at 10⁶ a second take 1 ms at least; they took 4 ms."""
    found = network_ratio(made(row("a", 4e-3, 1e-3, limit=1e6)), *ADDER_LAYER)
    assert found is not None and found.share_of_limit == pytest.approx(0.25)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Lognormal noise of 5 %, 120 networks of two layers: 95 % intervals miss about 6; 14 is 3 σ more."""
    missed = 0
    for seed in range(120):
        rows = (row("a", 2e-3, 1e-3, times=4, noise=0.05, seed=2 * seed, blocks=25),
                row("b", 3e-3, 3e-3, first=4, noise=0.05, seed=2 * seed + 1, blocks=25))  # fmt: skip
        found = network_ratio(made(*rows), *ADDER_LAYER)
        assert found is not None and found.low < found.high
        missed += not found.low <= 7 / 11 <= found.high
    assert missed <= 14


def verdict_row(ratio: float, low: float, high: float, share: float | None = None) -> VerdictRow:
    paper = PredictedRatio("via-nano-2000", "latency-sum", 1.5)
    measured = NetworkRatio(ratio, low, high, "addercost layer fp32", "torch fp32", 5, share_of_limit=share)
    return VerdictRow(FP32, paper, None, measured, (PredictedRatio("45nm", "energy", 2.5),))


@pytest.mark.parametrize(
    ("ratio", "low", "high", "words"),
    [
        pytest.param(0.5, 0.4, 0.625, "convolutions win by 2.00× (95 % 1.60× to 2.50×)", id="convolutions"),
        pytest.param(2.0, 1.6, 2.5, "additions win by 2.00× (95 % 1.60× to 2.50×)", id="additions"),
        pytest.param(1.01, 0.9, 1.1, "cannot tell (95 % 0.900× to 1.100×)", id="cannot tell"),
        # As in every table of timings: beyond 1 ± 1 %, which is below 1 / 1.01 = 0.990099 or above 1.01.
        pytest.param(1.009, 1.008, 1.02, "cannot tell (95 % 1.008× to 1.020×)", id="1 % above"),
        pytest.param(0.991, 0.98, 0.992, "cannot tell (95 % 0.980× to 0.992×)", id="1 % below"),
        pytest.param(1.03, 1.011, 1.05, "additions win by 1.03× (95 % 1.01× to 1.05×)", id="just above"),
        pytest.param(0.98, 0.97, 0.989, "convolutions win by 1.02× (95 % 1.01× to 1.03×)", id="just below"),
    ],
)
def test_the_sentence_says_who_wins(ratio: float, low: float, high: float, words: str) -> None:
    text = sentence(verdict_row(ratio, low, high, share=0.5), "a processor")
    assert f"measured on a processor: {words}, additions running at 50 % of their limit there" in text
    assert "the paper's rule: additions win by 1.50×" in text
    assert "energy at 45nm: convolutions need 2.50× as much" in text


@pytest.mark.parametrize(
    ("ratio", "cycles", "energy"),
    [
        pytest.param(0.989, "convolutions win by 1.01×", "additions need 1.01× as much", id="0.989"),
        pytest.param(0.991, "convolutions and additions tie", "equal", id="0.991"),
        pytest.param(1.0, "convolutions and additions tie", "equal", id="1"),
        pytest.param(1.009, "convolutions and additions tie", "equal", id="1.009"),
        pytest.param(1.011, "additions win by 1.01×", "convolutions need 1.01× as much", id="1.011"),
    ],
)
def test_predictions_within_the_margin_tie(ratio: float, cycles: str, energy: str) -> None:
    predicted = [PredictedRatio("x", model, ratio) for model in ("latency-sum", "throughput", "energy")]
    text = sentence(VerdictRow(FP32, predicted[0], predicted[1], None, (predicted[2],)), "")
    assert f"throughput on x predicts: {cycles}; not measured; the paper's rule: {cycles}" in text
    assert f"energy at x: {energy}" in text


@pytest.mark.parametrize("low", [0.97, 0.989, 0.991, 1.0, 1.009, 1.011, 1.03])
@pytest.mark.parametrize("width", [0.0, 0.001, 0.03])
def test_a_verdict_is_that_of_the_benchmark(low: float, width: float) -> None:
    """Networks here, rows there: of the same interval both say the same. Time ratios are inverse."""
    found = NetworkRatio(low, low, low + width, "own", "other", 1)
    assert found.verdict is judged((1 / (low + width), 1 / low))
    text = sentence(verdict_row(low, low, low + width), "here").partition(";")[0]
    assert ("cannot tell" in text) == (found.verdict is RatioOutcome.CANNOT_TELL)
    assert ("additions win" in text) == (found.verdict is RatioOutcome.FASTER)


@pytest.mark.parametrize(
    ("contest", "whose", "outcome"),
    [
        # x87 FMUL 4, FADD 2; IMUL r32 5, ADD and PXOR 1: Agner Fog's sheet for the VIA Nano 2000.
        pytest.param(FP32, "", "additions win by 1.50×, (4 + 2) / (2 + 2) cycles a site", id="fp32"),
        pytest.param(
            INT8,
            ", applied by us to int8",
            "additions win by 3.00×, (5 + 1) / (1 + 1) cycles a site",
            id="int8",
        ),
        pytest.param(
            BINARY,
            ", applied by us to binary layers",
            "binary layers win by 3.00×, (4 + 2) / (1 + 1) cycles a site",
            id="binary",
        ),
    ],
)
def test_whose_rule_it_is_is_said(lenet: Trace, contest: Contest, whose: str, outcome: str) -> None:
    paper = contest_cycles(lenet, contest, load_target("via-nano-2000"), "latency-sum", False)
    text = sentence(VerdictRow(contest, paper, None, None, ()), "")
    assert text == f"{contest.name}: not measured; the paper's rule{whose}: {outcome}"


def test_the_cycles_of_a_site_are_of_a_layer_that_changes(lenet: Trace) -> None:
    """The first layer stays a convolution on both sides."""
    paper = contest_cycles(lenet, FP32, load_target("via-nano-2000"), "latency-sum", True)
    assert paper.site_cycles == "(4 + 2) / (2 + 2)"


@pytest.mark.parametrize(("share", "said"), [(0.05, True), (0.5, False), (None, False)])
def test_little_arithmetic_is_said(share: float | None, said: bool) -> None:
    found = NetworkVerdict("net", "a processor", (verdict_row(0.5, 0.4, 0.6, share),))
    notes = verdict_table(found).notes
    assert any("under a tenth" in note for note in notes) == said


def test_fits_80_columns() -> None:
    """With intervals, and processors of long names."""
    here = PredictedRatio("amd-epyc-zen4", "throughput", 21.333)
    energies = tuple(PredictedRatio(name, "energy", 2.5) for name in ("45nm", "7nm"))
    wide = replace(verdict_row(0.5, 0.4, 0.6), contest=INT8, here=here, energies=energies)
    table = verdict_table(NetworkVerdict("net", "a processor", (wide,)))
    lines = render(table, TableFormat.TABLE, 80).splitlines()
    assert max(map(len, lines)) <= 80 and "hidden to fit 80 columns: energy, 7nm" in lines


def test_a_table_without_measurements_holds_none() -> None:
    unmeasured = VerdictRow(FP32, PredictedRatio("via-nano-2000", "latency-sum", 1.5), None, None, ())
    table = verdict_table(NetworkVerdict("net", "", (unmeasured,)))
    assert "measured" not in table.rows[0] and "fp32: not measured" in " ".join(table.notes)


def test_from_a_file_of_timings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timings = Measurements("lenet5-bn", {"cpu": "a processor"}, (row("conv1", 6e-3, 2e-3),))
    (tmp_path / "bench.json").write_text(measurements_to_json(timings))
    options = ["--measurements", str(tmp_path / "bench.json"), "--cpu", "amd-zen4", "--format", "json"]
    assert run(["verdict", "zoo:lenet5-bn", *options]) == 0
    rows = {item["network"]: item for item in json.loads(capsys.readouterr().out)}
    fp32 = rows["fp32 additions"]
    # A multiply-add takes two of four pipes for a cycle; a sum takes these two, and a maximum the others.
    predicted = pytest.approx(1)
    assert (fp32["paper"], fp32["measured"], fp32["predicted"]) == (1.5, pytest.approx(1 / 3), predicted)
    assert rows["int8 additions"].get("measured") is None


def test_a_prediction_for_a_gpu_is_not_compared_with_times_of_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timings = Measurements("lenet5-bn", {"cpu": "a processor"}, (row("conv1", 6e-3, 2e-3),))
    file = tmp_path / "bench.json"
    file.write_text(measurements_to_json(timings))
    said = {}
    for option, name in (("--cpu", "amd-zen4"), ("--gpu", "rtx-3090")):
        assert run(["verdict", "zoo:lenet5-bn", "--measurements", str(file), option, name]) == 0
        said[name] = " ".join(capsys.readouterr().out.split())
    remark = "rtx-3090 is predicted and a processor was timed: the two are not compared"
    assert remark in said["rtx-3090"] and "what is predicted" not in said["rtx-3090"]
    assert "not compared" not in said["amd-zen4"] and "what is predicted" in said["amd-zen4"]


def test_why_nothing_was_measured_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = tuple(
        FailedRow(f"c{i}", *ADDER_LAYER, "halide is not installed; pip install it") for i in (1, 2)
    )
    timings = Measurements("lenet5-bn", {"cpu": "a processor"}, (), failed=failed)
    (tmp_path / "bench.json").write_text(measurements_to_json(timings))
    assert run(["verdict", "zoo:lenet5-bn", "--measurements", str(tmp_path / "bench.json")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "not measured (no layer of it could be timed: halide is not installed; pip install it)" in text
    assert text.count("; not measured (no layer of it could be timed); ") == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            ("--measurements", "{other}"), "times another, not lenet5-bn", id="another model's timings"
        ),
        pytest.param(("--no-measure", "--measurements", "{other}"), "give one of the two", id="both"),
        pytest.param(("--cpu", "amd-zen44"), "did you mean amd-zen4", id="processor"),
        pytest.param(("--precision", "0"), "--precision", id="precision"),
    ],
)
def test_bad_input(
    options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text(measurements_to_json(Measurements("another", {"cpu": "x"}, (row("a", 1e-3, 1e-3),))))
    assert run(["verdict", "zoo:lenet5-bn", *(text.format(other=other) for text in options)]) == 2
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) == 1


@pytest.mark.exhaustive
def test_timed_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Each contest has a measured ratio with its interval, whatever it is and however noisy the machine."""
    options = ["--time-limit", "0.02", "--precision", "50%", "--cpu", "amd-zen4", "--accept-noise"]
    assert run(["verdict", "zoo:lenet5-bn", *options, "--format", "json", "-q"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [item["network"] for item in rows] == ["fp32 additions", "int8 additions", "binary layers"]
    for item in rows:
        if item["network"] != "int8 additions" or item.get("measured") is not None:
            assert 0 < item["low"] <= item["measured"] <= item["high"]


def by_kernels(low: float, high: float) -> VerdictRow:
    """1 s of convolutions, 2 s of additions; measured: 1 s and 2 s, so 0.5 of the other."""
    predicted = PredictedRatio(
        "host", "calibrated", (low * high) ** 0.5, seconds=(1.0, 2.0), interval=(low, high)
    )
    row = verdict_row(0.5, 0.45, 0.55)
    assert row.measured is not None
    measured = replace(row.measured, reference_s=1.0, own_s=2.0)
    return replace(row, measured=measured, calibrated=predicted)


@pytest.mark.parametrize(
    ("low", "high", "words", "agreement"),
    [
        pytest.param(
            0.4, 0.625, "convolutions win by 2.00× (nine of ten 1.60× to 2.50×)", "agree", id="same"
        ),
        pytest.param(
            0.5, 2.0, "no clear winner, 1.00× (nine of ten 0.50× to 2.00×)", "agree", id="no winner"
        ),
        pytest.param(1.6, 2.5, "additions win by 2.00× (nine of ten 1.60× to 2.50×)", "DISAGREE", id="other"),
        pytest.param(
            0.56, 0.63, "convolutions win by 1.68× (nine of ten 1.59× to 1.79×)", "DISAGREE", id="just beside"
        ),
    ],
)
def test_kernels_that_were_timed_lead_the_sentence(
    low: float, high: float, words: str, agreement: str
) -> None:
    text = sentence(by_kernels(low, high), "a processor")
    assert text.startswith(f"fp32: calibrated on host predicts: {words}; measured on a processor: ")
    assert agreement in text.split("; ")[2]


def test_a_disagreement_names_the_side_that_is_further_off() -> None:
    row = by_kernels(1.6, 2.5)
    measured = replace(row.measured, own_s=5.0, reference_s=1.1)
    assert "additions take 2.50× what calibrated predicts" in sentence(replace(row, measured=measured), "")


def test_what_kernels_cannot_predict_is_said_with_the_reason() -> None:
    nothing = PredictedRatio("host", "calibrated", None, missing="kernels in int8, none was timed")
    text = sentence(replace(verdict_row(0.5, 0.4, 0.6), calibrated=nothing), "")
    assert text.startswith("fp32: calibrated predicts nothing: kernels in int8, none was timed; measured")
