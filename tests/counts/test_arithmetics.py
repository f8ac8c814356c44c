"""Arithmetics of language models: counts against loops that compute with them, and where each is used."""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.bounds import all_bounds, binding
from addercost.cost.estimate import estimate
from addercost.cost.sequences import site_sequence
from addercost.cost.target_registry import load_target
from addercost.counts.arithmetics import DEFINITIONS, layered
from addercost.counts.model import count
from addercost.errors import ArgumentError
from addercost.trace.tracer import trace

ROWS, INPUTS, OUTPUTS = 3, 16, 5
LAYER, X = nn.Linear(INPUTS, OUTPUTS), torch.randn(ROWS, INPUTS, generator=torch.Generator().manual_seed(0))
NEW = (Arithmetic.TERNARY, Arithmetic.SHIFTADD, Arithmetic.LMUL, Arithmetic.LUT)
SEED = torch.Generator().manual_seed(1)


class Tally:
    """Counts operations as they are done."""

    def __init__(self) -> None:
        self.done: Counter[tuple[OpClass, str]] = Counter()

    def did(self, op: str, number_format: str = "fp32") -> None:
        self.done[OpClass(op), number_format] += 1

    def sum(self, terms: list[float], number_format: str = "fp32") -> float:
        total = terms[0]
        for term in terms[1:]:
            self.did("add", number_format)
            total += term
        return total


def ternary(tally: Tally) -> tuple[torch.Tensor, torch.Tensor]:
    """Absmax rounding of each row to 8 bits, sums of x, -x or nothing, and the scales."""
    weights = torch.randint(-1, 2, (OUTPUTS, INPUTS), generator=SEED).tolist()
    out = []
    for row in X.tolist():
        largest = 0.0
        for x in row:
            tally.did("abs"), tally.did("compare")
            largest = max(largest, abs(x))
        tally.did("divide")
        scale = 127 / largest
        rounded = []
        for x in row:
            tally.did("mul"), tally.did("add")
            rounded.append(round(x * scale))
        for w in weights:
            picked = []
            for x, sign in zip(rounded, w, strict=True):
                tally.did("logic", "ternary")
                picked.append({1: x, 0: 0, -1: -x}[sign])
            total = tally.sum(picked, "int32")
            tally.did("mul"), tally.did("add")
            out.append(total / scale)
    made = torch.tensor(out).reshape(ROWS, OUTPUTS)
    # Rounding moves each of 16 inputs by half a step at most.
    step = X.abs().amax(1, keepdim=True) / 127
    wanted = X @ torch.tensor(weights).float().t()
    assert ((made - wanted).abs() <= INPUTS * step / 2 + 1e-5).all()
    return made, wanted


def shiftadd(tally: Tally) -> tuple[torch.Tensor, torch.Tensor]:
    """Tables of the 256 sums of eight inputs, and three binary matrices with scales of powers of two."""
    signs = torch.randint(0, 2, (3, OUTPUTS, INPUTS), generator=SEED) * 2 - 1
    powers = torch.randint(-3, 3, (3, OUTPUTS, INPUTS // 8), generator=SEED)
    out = []
    for row in X.tolist():
        tables = []
        for start in range(0, INPUTS, 8):
            eight = row[start : start + 8]
            tally.did("add")
            entries = [-tally.sum(eight)]
            doubled = [tally.did("shift") or 2 * x for x in eight]
            for s in range(8):
                for i in range(2**s):
                    tally.did("add")
                    entries.append(entries[i] + doubled[s])
            tables.append(entries)
        for k in range(OUTPUTS):
            terms = []
            for b, g in itertools.product(range(3), range(INPUTS // 8)):
                bits = (signs[b, k, 8 * g : 8 * g + 8] > 0).int().tolist()
                tally.did("lookup"), tally.did("shift")
                entry = tables[g][sum(bit << s for s, bit in enumerate(bits))]
                terms.append(entry * 2.0 ** powers[b, k, g].item())
            out.append(tally.sum(terms))
            tally.did("add")
    weights = (signs * 2.0 ** powers.repeat_interleave(8, 2)).sum(0)
    return torch.tensor(out).reshape(ROWS, OUTPUTS), X @ weights.t()


def bits_of(x: float) -> int:
    return struct.unpack("<I", struct.pack("<f", x))[0]


def lmul(tally: Tally) -> tuple[torch.Tensor, torch.Tensor]:
    """The bits of two floats and of 2^-4 · 2^127 are added, less the exponent's bias counted twice."""
    weights = LAYER.weight.detach()
    offset = (1 << 19) - (127 << 23)
    out = []
    for row, w in itertools.product(X.tolist(), weights.tolist()):
        terms = []
        for x, y in zip(row, w, strict=True):
            tally.did("add", "int32"), tally.did("add", "int32")
            made = struct.unpack("<f", struct.pack("<I", (bits_of(x) + bits_of(y) + offset) & 0xFFFFFFFF))[0]
            assert made == pytest.approx(x * y, rel=0.13)
            terms.append(made)
        out.append(tally.sum(terms))
        tally.did("add")
    wanted = X @ weights.t()
    made = torch.tensor(out).reshape(ROWS, OUTPUTS)
    assert ((made - wanted).abs() <= 0.13 * (X.abs() @ weights.abs().t())).all()
    return made, wanted


def lut(tally: Tally) -> tuple[torch.Tensor, torch.Tensor]:
    """Tables of half the sums of four inputs, a look-up for each bit of four weights w of 0 to 15, and
    w = (Σ 2^b s_b + 15) / 2 by signs s_b; less a middle of 8. Tables stay as they are here; rounding them is
    counted where it would be done.
    """
    weights = torch.randint(0, 16, (OUTPUTS, INPUTS), generator=SEED)
    out = []
    for row in X.tolist():
        tables, entries = [], 0
        for start in range(0, INPUTS, 4):
            four = row[start : start + 4]
            table = {(1, 1, 1, 1): tally.sum(four)}
            doubled = [0.0, *(tally.did("add") or 2 * x for x in four[1:])]
            at = (1, 1, 1, 1)
            for flipped in (3, 2, 3, 1, 3, 2, 3):
                signs = tuple(-s if i == flipped else s for i, s in enumerate(at))
                tally.did("add")
                table[signs] = table[at] - at[flipped] * doubled[flipped]
                at = signs
            for _ in table:
                tally.did("abs"), tally.did("compare"), tally.did("mul"), tally.did("add")
            tally.did("divide")
            entries += len(table)
            tables.append(table)
        assert entries == 8 * INPUTS // 4
        whole = tally.sum([table[1, 1, 1, 1] for table in tables])
        for w in weights.tolist():
            planes = []
            for b in range(4):
                terms = []
                for g, table in enumerate(tables):
                    signs = tuple(1 if w[4 * g + i] >> b & 1 else -1 for i in range(4))
                    tally.did("lookup", "int8")
                    mirrored = tuple(-s for s in signs)
                    terms.append(table[signs] if signs in table else -table[mirrored])
                planes.append(tally.sum(terms, "int16"))
            joined = planes[3]
            for plane in planes[2::-1]:
                tally.did("shift", "int32"), tally.did("add", "int32")
                joined = 2 * joined + plane
            tally.did("mul"), tally.did("mul"), tally.did("add"), tally.did("add")
            out.append(0.5 * joined + (7.5 - 8) * whole)
    return torch.tensor(out).reshape(ROWS, OUTPUTS), X @ (weights - 8).float().t()


@pytest.mark.parametrize(
    ("arithmetic", "computed", "exact"),
    [
        pytest.param(Arithmetic.TERNARY, ternary, False, id="ternary"),
        pytest.param(Arithmetic.SHIFTADD, shiftadd, True, id="shiftadd"),
        pytest.param(Arithmetic.LMUL, lmul, False, id="lmul"),
        pytest.param(Arithmetic.LUT, lut, True, id="lut"),
    ],
)
def test_as_many_operations_as_a_loop_that_computes_the_layer(
    arithmetic: Arithmetic,
    computed: Callable[[Tally], tuple[torch.Tensor, torch.Tensor]],
    exact: bool,
) -> None:
    """With the bias that each loop adds last; those that round say within which bounds themselves."""
    tally = Tally()
    made, wanted = computed(tally)
    if exact:
        torch.testing.assert_close(made, wanted)
    counts = count(trace(LAYER, X), arithmetic=arithmetic).total
    assert counts == OpCounts.from_mapping(tally.done)


SITES = ROWS * INPUTS * OUTPUTS


@pytest.mark.parametrize(
    ("arithmetic", "expected"),
    [
        # BitNet b1.58: an addition a site.
        pytest.param(Arithmetic.TERNARY, OpCounts.of("int32", add=SITES), id="ternary"),
        # L-Mul: an integer addition in place of the product, and the sum's addition.
        pytest.param(
            Arithmetic.LMUL, OpCounts.of("int32", add=SITES) + OpCounts.of("fp32", add=SITES), id="lmul"
        ),
        # ShiftAddLLM: three matrices, eight inputs a look-up.
        pytest.param(
            Arithmetic.SHIFTADD,
            OpCounts.of("fp32", lookup=3 * SITES // 8, shift=3 * SITES // 8, add=3 * SITES // 8),
            id="shiftadd",
        ),
        # T-MAC: four bits, four inputs a look-up.
        pytest.param(
            Arithmetic.LUT, OpCounts.of("int8", lookup=SITES) + OpCounts.of("int16", add=SITES), id="lut"
        ),
    ],
)
def test_what_the_papers_count_at_a_site(arithmetic: Arithmetic, expected: OpCounts) -> None:
    assert count(trace(LAYER, X), "macs", arithmetic=arithmetic).total == expected


@pytest.mark.parametrize(
    ("arithmetic", "inputs", "groups"),
    [(Arithmetic.SHIFTADD, 17, 3 * 3), (Arithmetic.LUT, 17, 4 * 5), (Arithmetic.LUT, 3, 4)],
)
def test_the_last_group_of_inputs_may_be_short(arithmetic: Arithmetic, inputs: int, groups: int) -> None:
    counts = count(trace(nn.Linear(inputs, 2), torch.zeros(1, inputs)), "macs", arithmetic=arithmetic).total
    assert counts[OpClass.LOOKUP] == 2 * groups


@pytest.mark.parametrize(
    ("arithmetic", "bits"),
    [(Arithmetic.TERNARY, 2), (Arithmetic.SHIFTADD, 3 + 3 * 16 / 128), (Arithmetic.LUT, 4 + 2 * 16 / 128)],
)
def test_weights_are_read_packed(arithmetic: Arithmetic, bits: float) -> None:
    model = nn.Linear(256, 64, bias=False)
    (layer,) = count(trace(model, torch.zeros(1, 256)), arithmetic=arithmetic).layers
    assert layer.bytes_read == 4 * 256 + 256 * 64 * bits / 8


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return scaled_dot_product_attention(*self.qkv(x).chunk(3, -1))


def test_only_l_mul_replaces_products_of_activations() -> None:
    made = trace(Attention(), torch.zeros(1, 5, 8))
    layer, scores = 5 * 8 * 24, 2 * 5 * 5 * 8
    for arithmetic in NEW:
        products = count(made, "macs", arithmetic=arithmetic).total[OpClass.MUL]
        assert products == (0 if arithmetic is Arithmetic.LMUL else scores)
    lmul = count(made, "macs", arithmetic="lmul").total
    expected = OpCounts.of("int32", add=layer + scores) + OpCounts.of("fp32", add=layer + scores)
    assert lmul == expected


def test_l_mul_leaves_integers_and_gradients_alone() -> None:
    made = count(trace(LAYER, X), "macs", what_if=["int8"], arithmetic="lmul").total
    assert made == OpCounts.of("int8", mul=SITES) + OpCounts.of("int32", add=SITES)
    step = count(trace(Attention(), torch.zeros(1, 5, 8), backward=True), "macs", arithmetic="lmul").total
    plain = count(trace(Attention(), torch.zeros(1, 5, 8), backward=True), "macs").total
    forward = 5 * 8 * 24 + 2 * 5 * 5 * 8
    assert plain[OpClass.MUL] - step[OpClass.MUL] == forward


@pytest.mark.parametrize("arithmetic", NEW)
@pytest.mark.parametrize("convention", ["macs", "full"])
def test_an_inner_loop_is_charged_once(arithmetic: Arithmetic, convention: str) -> None:
    """On Zen 4, whose table has every instruction: the loop's own time, and little beside it."""
    wide, x = nn.Linear(4096, 4096, bias=False), torch.zeros(64, 4096)
    counts = count(trace(wide, x), convention, arithmetic=arithmetic)
    target = load_target("amd-zen4")
    cost = estimate(counts, target, "throughput")
    assert cost.complete
    sequence = site_sequence(target, arithmetic, "int8" if arithmetic in ("ternary", "lut") else "fp32")
    assert sequence is not None
    sites = 64 * 4096 * 4096
    steps = {Arithmetic.SHIFTADD: 3 * sites // 8, Arithmetic.LUT: sites}.get(arithmetic, sites)
    loop = steps / sequence.sites * binding(all_bounds(target, sequence.executions)).cycles
    around = 1 + 1e-9 if convention == "macs" else 1.1
    assert loop * (1 - 1e-9) <= cost.cycles <= loop * around


def test_what_has_no_layers_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="lmul is counted and costed"):
        layered(Arithmetic.LMUL)
    assert all(layered(a) is a for a, made in DEFINITIONS.items() if made.convolution)
