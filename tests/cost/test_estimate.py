"""What an estimate says besides its cycles: what is missing, what was assumed, and rates of a whole part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.cost.effective_rates import efficiency_of
from addercost.cost.estimate import ModelCost, estimate, missing_figures, whole
from addercost.cost.shared_layers import TOO_SMALL
from addercost.cost.target import Target
from addercost.counts.runs import LayerRuns, Run
from addercost.hardware import Form, Instruction, Quality
from addercost.hardware.schema.efficiency import Efficiency


def row(op: str, latency: float | None = 3, cycles: float = 1, form: Form = Form.VECTOR) -> Instruction:
    bits, lanes = (32, 1) if form is Form.SCALAR else (128, 4)
    return Instruction(
        op, form, bits, lanes, op, latency, None, None, cycles, None, None, 1, "", Quality.MODEL, "own"
    )


CORE = Target(
    "mine",
    "Mine",
    (row("fp32_add"), row("fp32_add", form=Form.SCALAR)),
    clock_hz=1e9,
    clock="the base clock of Board",
    memory_bandwidth_bytes_per_s=1e9,
    part_bandwidth_bytes_per_s=2e9,
)


@dataclass(frozen=True)
class Layer:
    counts: OpCounts
    path: str = "layer"
    bytes: float = 0
    runs: LayerRuns | None = None
    arithmetic: Arithmetic | None = None
    mac_sites: int = 0


def adds(n: int, **others: object) -> Layer:
    return Layer(OpCounts.of(add=n), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "printed"), [(3.0, 3), (2.5, 2.5), (float(2**60), 2**60), (0.0, 0)])
def test_a_whole_number_of_cycles_is_an_int(value: float, printed: float) -> None:
    assert whole(value) == printed
    assert isinstance(whole(value), int) is (printed != 2.5)


def test_a_part_of_an_operation_is_one_that_is_not_charged() -> None:
    """A fifth of a vector's operation is named as one."""
    (figure,) = missing_figures({"a division": 0.2}, "mine", strict=False)
    assert str(figure) == "mine has no figure for a division: 1 not charged"
    assert missing_figures({}, "mine", strict=True) == ()


def test_what_is_missing_is_summed_over_layers() -> None:
    layers = [Layer(OpCounts.of(divide=7)), adds(8), Layer(OpCounts.of(divide=5, add=4))]
    cost = estimate(layers, CORE, "throughput")
    assert [(one.figure, one.count) for one in cost.missing] == [("divide (fp32)", 12)]
    assert [layer.complete for layer in cost.layers] == [False, True, False]
    assert not cost.complete
    assert cost.cycles == 3 and cost.seconds == pytest.approx(3e-9)


@pytest.mark.parametrize(
    ("cycles", "seconds", "each"),
    [(100, 50.0, 0.5), (100, None, None), (0, 0.0, None), (100, 0.0, None)],
    ids=["known", "no-clock", "nothing", "no-time"],
)
def test_the_time_of_a_cycle(cycles: float, seconds: float | None, each: float | None) -> None:
    cost = ModelCost("mine", "throughput", "simd", cycles, seconds, True, (), (), ())
    assert cost.seconds_per_cycle == each


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([4_000, 400_000], "1 of 2 layers is too small to share: one core computes it"),
        ([4_000, 400_000, 4], "2 of 3 layers are too small to share: one core computes them"),
        ([400_000], None),
    ],
    ids=["one", "two", "none"],
)
def test_layers_too_small_to_share_are_counted(sizes: list[int], said: str | None) -> None:
    """Waking takes 5,000 cycles. 4,000 sums are 1,000; 400,000 are 100,000, on four cores 25,000 + 5,000."""
    four = replace(CORE, working_cores=4, wake_up_s=5e-6)
    cost = estimate([adds(n) for n in sizes], four, "throughput")
    assert [text for text in cost.assumptions if "to share" in text] == ([said] if said else [])
    assert [layer.bound == TOO_SMALL for layer in cost.layers] == [n < 10_000 for n in sizes]
    assert cost.cycles == sum(n / 4 if n < 10_000 else n / 16 + 5_000 for n in sizes)


def test_the_assumptions_of_a_clock_and_of_a_preferred_form() -> None:
    preferred = replace(CORE, preferred_float_form=Form.VECTOR, made_of=("mine is another",))
    said = "floating point in the vector form, which the table prefers"
    for lowering, says in (("paper", True), ("simd", False)):
        found = estimate([adds(4)], preferred, "throughput", lowering).assumptions
        assert (said in found) is says
        assert "clock: 1 GHz, the base clock of Board" in found and "mine is another" in found
    assert said not in estimate([adds(4)], CORE, "throughput", "paper").assumptions
    assert not any("clock" in text for text in estimate([adds(4)], replace(CORE, clock_hz=None)).assumptions)


FITTED = Efficiency("fused", 0.5, 0.25, 1e-6, "fitted here", Quality.MEASURED, 1.25)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({}, "one core at 0.5 of the throughput, 0.25 of 2 GB/s, 1 µs a kernel: ", id="one"),
        pytest.param({"cores": 1}, "one core at 0.5 of", id="one-that-is-counted"),
        pytest.param({"cores": 2}, "2 cores at 0.5 of", id="two"),
        pytest.param({"cores": 2, "device_class": "gpu"}, "the whole GPU at 0.5 of", id="gpu"),
        pytest.param({"replays_graphs": True}, " 0 s a kernel: fitted here", id="graphs"),
    ],
)
def test_the_rates_of_a_part_are_among_the_assumptions(change: dict[str, object], said: str) -> None:
    part = replace(CORE, efficiencies=(FITTED,), **change)  # type: ignore[arg-type]
    found = estimate([adds(4)], part, "fused").assumptions
    assert sum(said in text for text in found) == 1
    assert "nine networks of ten take between 1/1.2 and 1.2 times as long" in found


def test_an_assumed_spread_is_said_to_be_one_and_none_is_not_mentioned() -> None:
    assumed = replace(FITTED, quality=Quality.MODEL, spread=3.0)
    found = estimate([adds(4)], replace(CORE, efficiencies=(assumed,)), "fused").assumptions
    assert "nine networks of ten are assumed to take between 1/3 and 3 times as long" in found
    silent = replace(FITTED, spread=None)
    found = estimate([adds(4)], replace(CORE, efficiencies=(silent,)), "fused").assumptions
    assert not any("of ten" in text for text in found)


def test_the_last_fit_of_a_mode_counts_and_no_other_mode_s() -> None:
    """Where there is none for a mode, its class of devices stands in."""
    later, other = replace(FITTED, arithmetic_share=0.75), replace(FITTED, run="eager", call_s=9.0)
    part = replace(CORE, efficiencies=(FITTED, later, other), device_class="server")
    assert efficiency_of(part, "fused") is later
    assert efficiency_of(replace(part, efficiencies=(FITTED,)), "eager").source.endswith("AMD EPYC")


def test_a_layer_of_a_whole_part_is_arithmetic_and_bytes_and_kernels() -> None:
    """400 sums are 100 cycles of a core, and of two at half of their rate. 50 bytes at a quarter of 2 GB/s
    are 100 ns, and three kernels take 3 µs."""
    runs = LayerRuns(Run(9, 900), Run(3, 50))
    part = replace(CORE, efficiencies=(FITTED,), cores=2)
    cost = estimate([adds(400, runs=runs)], part, "fused")
    assert cost.cycles == pytest.approx(100 + 100 + 3_000)
    assert cost.layers[0].bound == "kernel calls"
    replayed = estimate([adds(400, runs=runs)], replace(part, replays_graphs=True), "fused")
    assert replayed.cycles == pytest.approx(100 + 100)


@pytest.mark.parametrize("lacking", ["clock_hz", "part_bandwidth_bytes_per_s"])
def test_without_a_rate_there_is_arithmetic_alone_and_the_bytes_are_missing(lacking: str) -> None:
    part = replace(CORE, efficiencies=(FITTED,), **{lacking: None})
    cost = estimate([adds(400, runs=LayerRuns(Run(9, 900), Run(3, 50)), bytes=60)], part, "fused")
    assert cost.cycles == 200
    assert [(one.figure, one.count) for one in cost.missing] == [
        ("bytes through memory (bandwidth or clock)", 60)
    ]
    assert not any("a kernel" in text for text in cost.assumptions)


def test_a_roofline_without_a_bandwidth_misses_its_bytes() -> None:
    slow = replace(CORE, memory_bandwidth_bytes_per_s=None)
    cost = estimate([adds(400, bytes=60)], slow, "roofline")
    assert (cost.cycles, [one.count for one in cost.missing]) == (100, [60])
    assert estimate([adds(400, bytes=60)], CORE, "roofline").missing == ()


def test_bytes_that_are_read_and_written_apart_are_added() -> None:
    class Apart:
        path, counts, bytes_read, bytes_written = "layer", OpCounts(), 300, 200

    assert estimate([Apart()], CORE, "roofline").cycles == 500
