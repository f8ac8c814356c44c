"""Throughput limits against hand calculation and a brute-force oracle."""

from itertools import combinations

import pytest
from counted_layers import adder_layer, mac_layer
from hypothesis import given
from hypothesis import strategies as st

from addercost.cost.bounds import ThroughputBounds, all_bounds, binding, issue_bound, port_bounds
from addercost.cost.estimate import estimate
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.hardware import Form, Instruction, Quality


def row(op: str, ports: str, cycles: float = 1, uops: int | None = 1) -> Instruction:
    return Instruction(
        op, Form.VECTOR, 128, 4, op, 1, None, None, cycles, None, None, uops, ports, Quality.MODEL, "own"
    )  # fmt: skip


def target(issue_width_uops: int | None = None) -> Target:
    return Target("mine", "Mine", (), issue_width_uops=issue_width_uops)


def most(bounds) -> float:
    return max(b.cycles for b in bounds)


def test_the_papers_processor_reverses_its_claim_by_throughput():
    """MULPS issues on port MA beside ADDPS on MB, 4 sites a cycle; MAXPS and ADDPS both need MB."""
    nano = load_target("via-nano-2000")
    cnn = estimate([mac_layer(4000)], nano, "throughput")
    adder = estimate([adder_layer(4000)], nano, "throughput")
    assert (cnn.cycles, adder.cycles) == (1000, 2000)
    assert adder.layers[0].bound == "port MB"
    # And by latencies the other way round.
    cnn, adder = (estimate([layer(4000)], nano, "latency-sum") for layer in (mac_layer, adder_layer))
    assert cnn.cycles > adder.cycles


@pytest.mark.parametrize(
    ("work", "cycles"),
    [
        pytest.param([("A", 1), ("A", 1)], 2, id="same-port-queues"),
        pytest.param([("A", 1), ("B", 1)], 1, id="different-ports-overlap"),
        pytest.param([("A|B", 1), ("A", 1)], 1, id="free-one-gives-way"),
        pytest.param([("A|B", 3), ("A", 1)], 2, id="four-cycles-on-two-ports"),
        pytest.param([("3*A", 2), ("B", 1)], 6, id="three-cycles-of-work"),
        pytest.param([("2*A|B+C", 1)], 1, id="two-groups-of-one-instruction"),
        pytest.param([("A|B", 1), ("B|C", 1), ("C|A", 1)], 1, id="a-triangle"),
    ],
)
def test_port_bound(work, cycles):
    rows = [(row(f"fp32_op{i}", ports), n) for i, (ports, n) in enumerate(work)]
    assert most(port_bounds(target(), rows)) == cycles


PORTS = "ABCD"
GROUPS = st.sets(st.sampled_from(PORTS), min_size=1).map(lambda ports: "|".join(sorted(ports)))


@given(st.lists(st.tuples(GROUPS, st.integers(0, 20)), min_size=1, max_size=6))
def test_port_bound_against_every_set_of_ports(work):
    """Oracle: over all 15 sets of the four ports, the work confined to a set divided by its size."""
    rows = [(row(f"op{i}", ports), n) for i, (ports, n) in enumerate(work)]
    oracle = max(
        sum(n for ports, n in work if set(ports.split("|")) <= set(chosen)) / size
        for size in range(1, 5)
        for chosen in combinations(PORTS, size)
    )
    assert most(port_bounds(target(), rows)) == pytest.approx(oracle)


@given(st.lists(st.tuples(GROUPS | st.just(""), st.integers(0, 1000)), min_size=1, max_size=5))
def test_the_fast_form_agrees_with_the_functions(work):
    rows = [(row(f"op{i}", ports, cycles=0.5 + i), n) for i, (ports, n) in enumerate(work)]
    mine = target(issue_width_uops=3)
    fast, slow = ThroughputBounds(mine)(rows), all_bounds(mine, rows)
    assert [bound.name for bound in fast] == ["nothing", *(bound.name for bound in slow)]
    assert [bound.cycles for bound in fast] == pytest.approx([0, *(bound.cycles for bound in slow)])


def test_issue_bound_counts_micro_ops():
    work = [(row("a", "A", uops=2), 6), (row("b", "B", uops=None), 8)]
    assert most(issue_bound(target(issue_width_uops=4), work)) == (6 * 2 + 8 * 1) / 4
    assert issue_bound(target(), work) == []


def test_unknown_ports_share_one_pool():
    work = [(row("a", "", cycles=0.5), 4), (row("b", "", cycles=0.5), 4)]
    bound = binding(all_bounds(target(), work))
    # Two units, two instructions each a cycle: eight of them take four cycles, not two.
    assert (bound.cycles, bound.name) == (4, "vector units, ports unknown")


@pytest.mark.parametrize(
    ("cnn", "adder", "name"),
    [
        # One site of fp32 in units of cycles per vector, from the table's own rows:
        # Skylake-X, 16 lanes: FMA on ports 0 and 5 (0.5); vmaxps and vaddps on the same two: 2 / 2.
        pytest.param(0.5 / 16, 1.0 / 16, "intel-skylake-x", id="skylake-x"),
        # Neoverse N2, 4 lanes, two vector pipes: fmla 1 / 2; fabd and fadd 2 / 2.
        pytest.param(0.5 / 4, 1.0 / 4, "neoverse-n2", id="neoverse-n2-fused-absolute-difference"),
    ],
)
def test_adder_against_mac_by_throughput(cnn, adder, name):
    processor = load_target(name)
    assert estimate([mac_layer(16_000)], processor, "throughput").cycles == pytest.approx(cnn * 16_000)
    assert estimate([adder_layer(16_000)], processor, "throughput").cycles == pytest.approx(adder * 16_000)
