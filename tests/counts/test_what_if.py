"""Changed networks: sites by the formulas of their papers, by hand for a small one. Needs torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from addercost.arithmetic import OpClass
from addercost.counts.model import ModelCounts, count
from addercost.counts.what_if import ALTERNATIVES, apply, parse
from addercost.errors import ArgumentError
from addercost.results.trace import trace_from_json, trace_to_json
from addercost.trace.record import Trace
from addercost.trace.tracer import trace

# Convolutions 3→8 and 8→16 of 3×3 on 8×8, padding 1, the second with stride 2; linear 16·4·4 → 10.
FIRST, SECOND, LAST = 64 * 8 * 27, 16 * 16 * 72, 256 * 10


@pytest.fixture(scope="module")
def small() -> Trace:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    return trace(model, torch.empty(1, 3, 8, 8, device="meta"))


def sites(small: Trace, change: str, keep: bool = False) -> list[int]:
    """MAC sites of every layer that has some, in order; a layer split in two is one entry."""
    counts = count(small, "macs", what_if=[change], keep_first_last=keep)
    return [layer.mac_sites for layer in counts.layers if layer.mac_sites]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # 8 → 4 and 16 → 8 channels; the image and the classes stay.
        pytest.param("prune=0.5", [64 * 4 * 27, 16 * 8 * 36, 128 * 10], id="prune"),
        pytest.param("prune=1", [FIRST, SECOND, LAST], id="prune nothing"),
        # ranks round(0.25·8), round(0.25·16), round(0.25·10) = 2, 4, 2
        pytest.param(
            "lowrank=0.25",
            [64 * (2 * 27 + 2 * 8), 16 * (4 * 72 + 4 * 16), 256 * 2 + 2 * 10],
            id="low rank",
        ),
        pytest.param("lowrank=1", [FIRST, SECOND, LAST], id="full rank gains nothing"),
        # depthwise C·9 and pointwise C·K a position
        pytest.param(
            "separable", [64 * (3 * 9 + 3 * 8), 16 * (8 * 9 + 8 * 16), LAST], id="depthwise separable"
        ),
        # the layer, then one of K·K·9 (K·K for the linear one) at the same outputs
        pytest.param(
            "shift-add",
            [FIRST + 64 * 8 * 72, SECOND + 16 * 16 * 144, LAST + 10 * 10],
            id="shift and add",
        ),
        pytest.param("int8", [FIRST, SECOND, LAST], id="int8"),
        pytest.param("distillation", [FIRST, SECOND, LAST], id="distillation"),
        pytest.param("adder", [FIRST, SECOND, LAST], id="adder"),
    ],
)
def test_sites(small: Trace, change: str, expected: list[int]) -> None:
    assert sites(small, change) == expected


@pytest.mark.parametrize("change", ["lowrank=0.25", "separable", "shift-add", "adder", "int8"])
def test_first_and_last_are_kept(small: Trace, change: str) -> None:
    kept = sites(small, change, keep=True)
    assert (kept[0], kept[-1]) == (FIRST, LAST)
    assert kept[1] == sites(small, change)[1]


def by_class(counts: ModelCounts, op_class: OpClass) -> dict[str, int]:
    return {f: n for c, f, n in counts.total if c is op_class}


def test_shift_add_multiplies_nothing(small: Trace) -> None:
    counts = count(small, "macs", what_if=["shift-add"])
    shifts, adders = FIRST + SECOND + LAST, 64 * 8 * 72 + 16 * 16 * 144 + 100
    assert counts.total.by_class() == {"mul": 0, "add": shifts + 2 * adders, "shift": shifts}


def test_int8_accumulates_in_32_bits(small: Trace) -> None:
    counts = count(small, "macs", what_if=["int8"])
    assert by_class(counts, OpClass.MUL) == {"int8": FIRST + SECOND + LAST}
    assert by_class(counts, OpClass.ADD) == {"int32": FIRST + SECOND + LAST}


def test_int8_reads_a_quarter_of_the_bytes(small: Trace) -> None:
    """The second convolution has no bias: all of its tensors shrink from four bytes to one."""
    before, after = count(small).layers[3], count(small, what_if=["int8"]).layers[3]
    assert before.op == "convolution"
    assert (after.bytes_read, after.bytes_written) == (before.bytes_read // 4, before.bytes_written // 4)


def test_int8_keeps_biases_in_32_bits(small: Trace) -> None:
    """The linear layer reads 256 inputs, 2,560 weights and 10 biases, and writes 10 outputs."""
    linear = count(small, what_if=["int8"]).layers[-1]
    assert linear.op == "addmm"
    assert (linear.bytes_read, linear.bytes_written) == (256 + 2560 + 4 * 10, 10)


def test_a_share_of_the_weights_is_stored_with_indices(small: Trace) -> None:
    """Half of 1,152 and of 2,560 weights, each of four bytes and with an index of four; biases stay."""
    before, after = count(small), count(small, what_if=["density=0.5"])
    second, last = after.layers[3], after.layers[-1]
    assert (second.mac_sites, last.mac_sites) == (SECOND // 2, LAST // 2)
    assert second.bytes_read == 4 * 8 * 64 + (4 + 4) * 1152 // 2
    assert last.bytes_read == 4 * 256 + (4 + 4) * 2560 // 2 + 4 * 10
    assert [layer.bytes_written for layer in after.layers] == [layer.bytes_written for layer in before.layers]


def test_a_folded_layer_gives_what_the_batch_norm_gave(small: Trace) -> None:
    """One tensor: the means and deviations that the operator gives beside it have gone."""
    norm = next(call for call in small.calls if "batch_norm" in call.name)
    folded = apply(small, "fold-bn").calls[0]
    assert folded.name == "aten.convolution"
    assert folded.outputs == (norm.output,)
    assert norm.output.shape == (1, 8, 8, 8)


def test_pruning_shrinks_what_is_between_the_layers(small: Trace) -> None:
    """Batch norm and ReLU run over half the channels."""
    before, after = count(small), count(small, what_if=["prune=0.5"])
    relu = next(i for i, layer in enumerate(before.layers) if layer.type == "ReLU")
    assert after.layers[relu].counts * 2 == before.layers[relu].counts
    assert after.parameters == (4 * 27 + 4) + 2 * 4 + 8 * 36 + (128 * 10 + 10)


def test_parameters_follow_the_factors(small: Trace) -> None:
    counts = count(small, what_if=["lowrank=0.25"])
    factors = (2 * 27 + 8 * 2 + 8) + 16 + (4 * 72 + 16 * 4) + (256 * 2 + 2 * 10 + 10)
    assert counts.parameters == factors and counts.unused_parameters == 0


def test_changes_apply_in_order(small: Trace) -> None:
    counts = count(small, "macs", what_if=["prune=0.5", "adder"])
    pruned = 64 * 4 * 27 + 16 * 8 * 36 + 128 * 10
    assert counts.total.by_class() == {"mul": 0, "add": 2 * pruned}


# `cache` refuses a network that keeps none; the tests of language models apply it.
@pytest.mark.parametrize("name", [name for name in ALTERNATIVES if name != "cache"])
def test_a_changed_trace_is_a_trace(small: Trace, name: str, tmp_path: Path) -> None:
    """It can be saved and read, every call stands once, rows hold all parameters, and it says what it is."""
    (tmp_path / "w.toml").write_text('[bits]\n"*" = 4\n')
    text = ALTERNATIVES[name].example.replace("FILE", str(tmp_path / "w.toml"))
    before = trace_to_json(small)
    changed = apply(small, text)
    assert trace_from_json(trace_to_json(changed)) == changed
    assert [call.index for call in changed.calls] == list(range(len(changed.calls)))
    counts = count(changed)
    assert sum(layer.parameters for layer in counts.layers) == counts.parameters
    assert changed.notes[-1].startswith(f"what if {text}: ")
    assert trace_to_json(small) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prun=0.5", "did you mean prune"),
        ("prune", "above 0 and up to 1"),
        ("prune=0", "above 0 and up to 1"),
        ("prune=1.5", "above 0 and up to 1"),
        ("prune=half", "above 0 and up to 1"),
        ("prune=nan", "above 0 and up to 1"),
        ("int8=4", "takes no value"),
    ],
)
def test_wrong_texts(text: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        parse(text)


def test_pruning_refuses_attention() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.empty(1, 3, 8, device="meta")
    with pytest.raises(ArgumentError, match="does not know the channels"):
        count(trace(attention, x, x, x), what_if=["prune=0.5"])


def test_depthwise_networks_prune_their_groups() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 4, 1)
    )
    changed = count(trace(model, torch.empty(1, 3, 6, 6, device="meta")), "macs", what_if=["prune=0.5"])
    assert [layer.mac_sites for layer in changed.layers] == [
        36 * 4 * 3,
        16 * 4 * 9,
        16 * 8 * 4,
        16 * 4 * 8,
    ]
