"""Which times predict a kernel, what a layer's prediction says of its kernels, and how doubts are named."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addercost.cost.calibrated import kernel_predictor, predict, tables
from addercost.cost.calibrated.families import (
    FAMILIES,
    ONE_ROW,
    WITH_WEIGHTS,
    family_of,
    is_like_timed,
    rounds_inputs,
)
from addercost.cost.calibrated.kernel_predictor import KernelPredictor, KnownKernel
from addercost.cost.cost_model import LayerParts, Seconds
from addercost.cost.target import Target
from addercost.counts.kernel_calls import KernelCall, Operand
from addercost.hardware.kernel_times import OFTEN, QUIET, Conditions, KernelSample, KernelTimes

FLOAT, HALF, BYTES = "float32", "float16", "int8"


def kernel(*operands: Operand, out: str = FLOAT, op: str = "aten.addmm.default", **others: Any) -> KernelCall:
    named = tuple((f"x{i}", operand) for i, operand in enumerate(operands))
    return KernelCall(op, (*named, *others.items()), (Operand((2, 4), out),))


def predictor(*formats: str) -> KernelPredictor:
    return KernelPredictor({name: Path(name) for name in formats}, "network")


@pytest.mark.parametrize(
    ("formats", "call", "dtype"),
    [
        pytest.param(
            (FLOAT, HALF), kernel(Operand((2, 64), HALF), Operand((64, 4), FLOAT)), FLOAT, id="most bytes"
        ),
        pytest.param(
            (FLOAT, HALF),
            kernel(Operand((2, 64), FLOAT), Operand((1, 1), HALF, True)),
            HALF,
            id="that of the weights",
        ),
        pytest.param(
            (FLOAT, HALF),
            kernel(Operand((4,), FLOAT, True), Operand((64, 4), HALF, True)),
            HALF,
            id="that of the last weights",
        ),
        pytest.param(
            (FLOAT,),
            kernel(Operand((2, 64), FLOAT), Operand((64, 4), BYTES, True)),
            BYTES,
            id="weights of 8 bits, timed or not",
        ),
        pytest.param(
            (FLOAT,),
            kernel(Operand((2, 8), FLOAT), Operand((8, 4), "float64", True)),
            "float64",
            id="weights that were not timed count by their bytes",
        ),
        pytest.param(
            (HALF, FLOAT), kernel(Operand((2, 4), "int64"), out="int64"), FLOAT, id="integers alone"
        ),
        pytest.param((HALF,), kernel(Operand((2, 4), "int64"), out="int64"), HALF, id="the only format"),
        pytest.param((), kernel(Operand((2, 4), "int64"), out="int64"), FLOAT, id="no format"),
        pytest.param((FLOAT,), kernel(Operand((2, 4), "quint8")), "quint8", id="codes"),
        pytest.param((FLOAT,), kernel(Operand((2, 4), FLOAT), out="qint8"), "quint8", id="codes are written"),
    ],
)
def test_the_format_of_the_times_that_predict_a_kernel(
    formats: tuple[str, ...], call: KernelCall, dtype: str
) -> None:
    """Two rows of 64 halves are 256 bytes, and 64 × 4 floats are 1,024."""
    assert predictor(*formats).dtype_of(call) == dtype


def test_kernels_of_compiled_networks_need_both_files() -> None:
    """A format of which no compiled network was timed is left out."""
    made = KernelPredictor(
        {FLOAT: Path("eager"), HALF: Path("halves")}, "network", {FLOAT: Path("compiled"), BYTES: Path("b")}
    )
    assert made.known([kernel(Operand((2, 4), HALF), out=HALF)]) == {}
    assert made.dtype_of(kernel(Operand((2, 4), "int64"), out="int64")) == FLOAT


class OfCalls:
    """A fit by which a kernel takes its rows near, and ten times as long far."""

    network_spread, half_bytes = 1.2, 100.0

    def __init__(self) -> None:
        self.spread = {-1: 1.5}
        self.sampled = dict.fromkeys(range(len(FAMILIES)), (1.0, 1e9))
        self.asked: list[int] = []

    def seconds(self, calls: list[KernelCall]) -> Any:
        import numpy as np

        self.asked.append(len(calls))
        rows = np.array([float(call.outputs[0].shape[0]) for call in calls])
        return rows, 10 * rows


def relu(rows: int) -> KernelCall:
    return KernelCall(
        "aten.relu.default", (("self", Operand((rows, 4), FLOAT)),), (Operand((rows, 4), FLOAT),)
    )


def test_each_kernel_is_predicted_once_and_kernels_are_dropped_where_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit, made = OfCalls(), predictor(FLOAT)
    monkeypatch.setattr(kernel_predictor, "fitted", lambda path, caches, dtype: fit)
    monkeypatch.setattr(kernel_predictor, "one_thread", nullcontext)
    monkeypatch.setattr(kernel_predictor, "_MOST_KEPT", 2)
    assert made.half_bytes == 100.0
    known = made.known([relu(3), relu(3), relu(5)])
    assert (known[relu(3)].parts.near.value, known[relu(5)].parts.far.value) == (3, 50)
    made.known([relu(3), relu(7)])
    assert fit.asked == [2, 1]
    # Three are kept now, so all are dropped before the next are predicted.
    assert set(made.known([relu(5), relu(9)])) == {relu(5), relu(9)}
    assert fit.asked == [2, 1, 2]


def known(kind: str = "linear", seconds: float = 1.0, doubt: str = "", beyond: str = "") -> KnownKernel:
    near = Seconds(seconds, seconds / 2, seconds * 2)
    return KnownKernel(
        LayerParts(near, Seconds(0.0, 0.0, 0.0), 0), spread=3.0, kind=kind, dtype=FLOAT, doubt=doubt,
        beyond=beyond,
    )  # fmt: skip


def test_the_kind_of_a_layer_is_that_of_its_longest_kernel() -> None:
    """A far kernel is long in a large network only: 1 + 0.5·4 s are more than 2 s, and 1 s is less."""
    far = replace(
        known("far", 1.0), parts=LayerParts(Seconds(1.0, 1.0, 1.0), Seconds(4.0, 4.0, 4.0), weights=1)
    )
    kernels = [known("short", 0.5), far, known("long", 2.0)]
    assert [predict._main_kind(kernels, part) for part in (0.0, 0.5)] == ["long", "far"]
    assert predict._main_kind([], 0.5) == "nothing"


def test_a_layer_is_the_sum_of_its_kernels_and_an_empty_one_takes_no_time() -> None:
    assert predict._sum([Seconds(1, 2, 3), Seconds(10, 20, 30)]) == (11, 22, 33)
    assert predict._sum([]) == (0, 0, 0)
    parts = [
        LayerParts(Seconds(1, 2, 3), Seconds(4, 5, 6), 7),
        LayerParts(Seconds(10, 20, 30), Seconds(40, 50, 60), 70),
    ]
    assert predict._together(parts) == LayerParts(Seconds(11, 22, 33), Seconds(44, 55, 66), 77)
    assert known(seconds=2.0).seconds(0.3) == (2.0, 2.0 / 3, 6.0)


class WithoutTimes:
    def times(self, dtype: str) -> list[KernelTimes]:
        return []


TARGET = Target("mine", "Mine", ())


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        pytest.param(["pool"], "1 kernel unlike (pool): ", id="one"),
        pytest.param(["a", "b", "b", "c"], "4 kernels unlike (b, a, c): ", id="three kinds"),
        pytest.param(["a", "b", "c", "d", "d"], "5 kernels unlike (d, a, b and 1 more): ", id="four kinds"),
        pytest.param([*"aabbccdef"], "9 kernels unlike (a, b, c and 3 more): ", id="six kinds"),
    ],
)
def test_a_note_names_three_kinds_and_the_number_of_the_others(kinds: list[str], said: str) -> None:
    layers = [[known()], [known(kind, doubt="unlike") for kind in kinds]]
    (note,) = predict._notes(TARGET, WithoutTimes(), layers)  # type: ignore[arg-type]
    assert note == f"{said}intervals twice as wide"


def test_kinds_that_are_beyond_in_unlike_ways_are_named_apart() -> None:
    layer = [known("a", doubt="unlike", beyond=", 3 times more"), known("a", doubt="unlike")]
    (note,) = predict._notes(TARGET, WithoutTimes(), [layer])  # type: ignore[arg-type]
    assert note.startswith("2 kernels unlike (a, 3 times more, a): ")


def times(speeds: str, factors: tuple[float, ...], dtype: str = FLOAT, samples: int = 1) -> KernelTimes:
    call = KernelCall("aten.relu.default", (), ())
    made = [KernelSample(call, (1.0,), (1.0,), (1.0,), factor) for factor in factors]
    return KernelTimes(Conditions("p", 1, dtype, "2", speeds=speeds), tuple(made) * samples, ())


def test_times_at_a_speed_that_is_often_had_name_it() -> None:
    notes = list(predict._notes_on_times(replace(TARGET, processor="p"), times(OFTEN, (1.25, 1.25))))
    assert notes[0].startswith("2 kernels and 0 networks timed on p, 1 thread")
    assert notes[1].endswith("takes 1.25 times as long as at its best")
    quiet = list(predict._notes_on_times(replace(TARGET, processor="p"), times(QUIET, ())))
    assert quiet[0].startswith("0 networks timed on p") and "times as long" not in "".join(quiet)


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [(FLOAT, 1.5), (HALF, 1.1), ("", 1.5), ("float64", 1.5)],
    ids=["of a format", "of another", "of any", "of one that was not timed"],
)
def test_the_usual_factor_is_that_of_the_format_else_of_any_that_was_not_timed_in_quiet(
    monkeypatch: pytest.MonkeyPatch, dtype: str, factor: float
) -> None:
    read = {
        Path("quiet"): {"bfloat16": times(QUIET, (9.0,))},
        Path("a"): {FLOAT: times(OFTEN, (1.5,))},
        Path("b"): {HALF: times(OFTEN, (1.1,))},
    }
    monkeypatch.setattr(tables, "usable_files", lambda target: [*read])
    monkeypatch.setattr(tables, "read_times", read.__getitem__)
    assert tables.usual_factor(TARGET, dtype) == factor
    monkeypatch.setattr(tables, "usable_files", lambda target: [Path("quiet")])
    assert tables.usual_factor(TARGET, dtype) is None


@pytest.mark.parametrize(
    ("change", "options"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"working_cores": 2}, " --threads 2", id="two cores"),
        pytest.param({"kernel_layout": "channels-last"}, " --layout channels-last", id="layout"),
        pytest.param({"kernel_mode": "compiled"}, " --mode compiled", id="mode"),
        pytest.param(
            {"working_cores": 4, "kernel_layout": "channels-last", "kernel_mode": "compiled"},
            " --threads 4 --layout channels-last --mode compiled",
            id="all",
        ),
    ],
)
def test_the_options_that_time_what_a_target_needs(change: dict[str, Any], options: str) -> None:
    assert tables._options(replace(TARGET, **change)) == options


def test_files_that_differ_least_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can be used, else the one with the fewest differences; one of another mode is the last."""
    why = {"usable": "", "one": "timed so", "two": "timed so; and so", "compiled": ""}
    monkeypatch.setattr(tables, "_why_not", lambda target, path: why[path.name])
    monkeypatch.setattr(tables, "_may_be_of_mode", lambda mode, path: path.name != "compiled")

    def nearest(*names: str) -> str:
        files = tuple(map(Path, names))
        return tables.nearest_file(replace(TARGET, kernel_files=files)).name

    assert nearest("two", "one", "usable") == "usable"
    assert nearest("two", "one", "compiled") == "one"
    assert nearest("compiled") == "compiled"


@pytest.mark.parametrize(
    ("filters", "groups", "family"),
    [
        pytest.param((4, 1, 3, 3), 4, "adder convolution, depthwise", id="as many filters as groups"),
        pytest.param((2, 1, 3, 3), 2, "adder convolution, depthwise", id="two channels"),
        pytest.param((1, 1, 3, 3), 1, "adder convolution", id="one channel is dense"),
        pytest.param((8, 1, 3, 3), 4, "adder convolution", id="two filters a channel"),
        pytest.param((4, 2, 3, 3), 4, "adder convolution", id="two channels a filter"),
        pytest.param((4, 1, 1, 1), 4, "adder convolution, depthwise", id="depthwise of one pixel"),
        pytest.param((4, 8, 1, 1), 1, "adder convolution, pointwise", id="one pixel"),
        pytest.param((4, 8, 1, 2), 1, "adder convolution", id="two pixels"),
    ],
)
def test_our_convolutions_are_depthwise_pointwise_or_neither(
    filters: tuple[int, ...], groups: int, family: str
) -> None:
    x, w = Operand((1, groups * filters[1], 9, 9), FLOAT), Operand(filters, FLOAT, True)
    call = KernelCall(
        "addercost.adder_conv2d.default",
        (("input", x), ("weight", w), ("stride", (1, 1)), ("groups", groups)),
        (Operand((1, filters[0], 9, 9), FLOAT),),
    )
    assert family_of(call) == family


@pytest.mark.parametrize(
    ("operands", "out", "rounds"),
    [
        pytest.param([(BYTES, False), (BYTES, True)], FLOAT, True, id="two factors of bytes"),
        pytest.param([(FLOAT, False), (BYTES, True)], FLOAT, False, id="an input of floats"),
        pytest.param([(BYTES, False), (BYTES, False)], FLOAT, False, id="no weight"),
        pytest.param([(BYTES, False), (BYTES, True)], "int32", False, id="sums that stay integers"),
        pytest.param([(BYTES, False), (BYTES, True), (BYTES, True)], FLOAT, False, id="three of bytes"),
        pytest.param([(FLOAT, True), (BYTES, False), (BYTES, True)], FLOAT, True, id="a bias of floats"),
    ],
)
def test_a_linear_layer_of_rounded_inputs(operands: list[tuple[str, bool]], out: str, rounds: bool) -> None:
    made = [Operand((4, 4), dtype, is_weight) for dtype, is_weight in operands]
    call = kernel(*made, out=out)
    assert rounds_inputs(call) is rounds
    one_row = replace(call, outputs=(Operand((1, 4), out),))
    many, one = ("of rounded inputs", "of one rounded row") if rounds else ("", "of one row")
    assert (family_of(call), family_of(one_row)) == (f"linear {many}".rstrip(), f"linear {one}")


def test_families_of_one_row_and_of_weights_are_found_by_their_names() -> None:
    assert [FAMILIES[i] for i in ONE_ROW] == ["linear of one row", "linear of one rounded row"]
    kinds = {FAMILIES[i] for i in WITH_WEIGHTS}
    assert {"dense convolution", "linear", "packed binary convolution", "slow depthwise convolution"} <= kinds
    assert not kinds & {"product", "attention", "batch norm", "elementwise", "rounding", "lookup"}


@pytest.mark.parametrize(
    ("op", "like"),
    [("aten.relu_.default", True), ("aten.add.Tensor", True), ("aten._fft_r2c.default", False)],
)
def test_simple_operators_are_like_those_that_were_timed(op: str, like: bool) -> None:
    x = Operand((2, 4), FLOAT)
    assert is_like_timed(KernelCall(op, (("self", x),), (x,))) is like
