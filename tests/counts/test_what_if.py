"""Changed networks: sites by the formulas of their papers, by hand for a small one. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from addercost.arithmetic import OpClass
from addercost.counts.model import ModelCounts, count
from addercost.counts.what_if import ALTERNATIVES, apply, parse
from addercost.counts.what_if.narrow import in_bits
from addercost.errors import ArgumentError
from addercost.results.trace import trace_from_json, trace_to_json
from addercost.trace.record import OpCall, TensorSpec, Trace
from addercost.trace.tracer import trace
from tests.counts.changed_network import FIRST, LAST, SECOND, image, small_trace


@pytest.fixture(scope="module")
def small() -> Trace:
    return small_trace()


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


def test_a_separable_layer_has_the_bias_of_its_second_part_alone(small: Trace) -> None:
    """Depthwise 9 a channel, pointwise C·K; the first layer has a bias. Batch norm 2·8, last layer 2,570."""
    counts = count(small, what_if=["separable"])
    assert counts.parameters == (3 * 9 + 3 * 8 + 8) + 2 * 8 + (8 * 9 + 8 * 16) + 2570


def test_a_batch_norm_after_additions_stays(small: Trace) -> None:
    """|x - w| does not scale with w."""
    changed = apply(apply(small, "adder"), "fold-bn")
    assert any("batch_norm" in call.name for call in changed.calls)


@pytest.mark.parametrize(("bits", "dtype"), [(4, "int8"), (8, "int8"), (9, "int16"), (16, "int16")])
def test_weights_are_computed_in_the_next_wider_integers(small: Trace, bits: int, dtype: str) -> None:
    narrow = in_bits(small.calls[0], bits)
    assert narrow.tensor("input").dtype == narrow.output.dtype == dtype
    assert narrow.tensor("weight").dtype == f"int{bits}"
    assert narrow.tensor("bias").dtype == "int32"


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


@pytest.mark.parametrize(
    ("layer", "x", "ratio", "sites"),
    [
        # Rank 2 of 4 has 2·(4 + 4) weights, as many as 4·4.
        pytest.param(nn.Linear(4, 4), (1, 4), 0.5, 16, id="as-many-as-before"),
        pytest.param(nn.Linear(4, 5), (1, 4), 0.5, 2 * 9, id="fewer"),
        pytest.param(nn.Linear(4, 4), (1, 4), 0.01, 8, id="rank-one-at-least"),
        # Eight filters of 2·2·2 terms: rank 4 has 4·16 weights, as many as 8·8.
        pytest.param(nn.Conv2d(2, 8, 2), (1, 2, 2, 2), 0.5, 64, id="convolution-as-many"),
        pytest.param(nn.Conv2d(2, 9, 2), (1, 2, 2, 2), 0.5, 4 * 17, id="convolution-fewer"),
        pytest.param(nn.Conv2d(2, 8, 2), (1, 2, 2, 2), 0.01, 16, id="convolution-rank-one"),
        pytest.param(nn.Conv2d(8, 8, 2, groups=2), (1, 8, 2, 2), 0.1, 8 * 16, id="groups-stay"),
        pytest.param(nn.ConvTranspose2d(8, 8, 2), (1, 8, 1, 1), 0.1, 8 * 8 * 4, id="transposed-stays"),
    ],
)
def test_layers_are_factorised_where_that_is_fewer_sites(
    layer: nn.Module, x: tuple[int, ...], ratio: float, sites: int
) -> None:
    made = trace(layer, torch.empty(x, device="meta"))
    assert count(made, "macs", what_if=[f"lowrank={ratio}"]).mac_sites == sites


def test_a_factorised_convolution_strides_in_its_first_part() -> None:
    """9 × 9 images to 5 × 5: the kernel of rank 2 goes there, the 1×1 filters stay there and add the bias."""
    made = trace(nn.Conv2d(8, 8, 3, stride=2, padding=1), image(8, 9))
    kernel, point = apply(made, "lowrank=0.25").calls
    assert (kernel.shape("weight"), point.shape("weight")) == ((2, 8, 3, 3), (8, 2, 1, 1))
    assert (kernel.output.shape, point.output.shape) == ((1, 2, 5, 5), (1, 8, 5, 5))
    assert (kernel.args["stride"], kernel.args["padding"]) == ((2, 2), (1, 1))
    assert (point.args["stride"], point.args["padding"], point.args["dilation"]) == ((1, 1), (0, 0), (1, 1))
    assert kernel.args["bias"] is None and point.shape("bias") == (8,)


CHANGES = ["lowrank=0.4", "separable", "shift-add", "shift", "int8", "density=0.5", "weights=int8"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("make", "x", "outputs"),
    [
        pytest.param(lambda bias: nn.Linear(6, 5, bias=bias), (2, 6), 2 * 5, id="linear"),
        pytest.param(lambda bias: nn.Conv2d(6, 5, 3, bias=bias), (2, 6, 4, 4), 2 * 5 * 4, id="convolution"),
    ],
)
def test_a_changed_layer_adds_its_bias_once(
    change: str, make: Callable[[bool], nn.Module], x: tuple[int, ...], outputs: int
) -> None:
    """However many layers stand in its place."""
    biased, bare = (
        count(trace(make(bias), torch.empty(x, device="meta")), what_if=[change]).total
        for bias in (True, False)
    )
    assert biased.total - bare.total == outputs
    assert biased[OpClass.ADD] - bare[OpClass.ADD] == outputs


@pytest.mark.parametrize("change", ["lowrank=0.25", "separable"])
def test_the_second_part_of_a_split_layer_is_not_grouped(small: Trace, change: str) -> None:
    first, second = apply(small, change).calls[:2]
    assert second.args["groups"] == 1
    assert first.args["groups"] == (3 if change == "separable" else 1)


def test_a_later_arithmetic_takes_the_place_of_an_earlier_one(small: Trace) -> None:
    changed = apply(apply(small, "adder"), "shift")
    tags = [tag for call in changed.calls for tag in call.tags if tag.startswith("arithmetic:")]
    assert tags == ["arithmetic:shift"] * 3
    untouched = small.calls[0].tags
    assert changed.calls[0].tags == (*untouched, "arithmetic:shift")


def test_a_batch_norm_after_multiply_adds_that_were_asked_for_is_folded(small: Trace) -> None:
    for arithmetic, stays in (("mac", False), ("shift", True)):
        changed = apply(apply(small, arithmetic), "fold-bn")
        assert any("batch_norm" in call.name for call in changed.calls) is stays


def test_first_and_last_are_kept_where_products_of_activations_change_too() -> None:
    """Two linear layers around attention, of which `lmul` leaves the layers alone."""

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 24), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.first(x).chunk(3, -1)
            return self.last(nn.functional.scaled_dot_product_attention(q, k, v))

    made = trace(Attends(), torch.empty(1, 5, 8, device="meta"))
    kept = count(made, "macs", arithmetic="lmul", keep_first_last=True).total
    assert kept[OpClass.MUL] == 5 * 8 * 24 + 5 * 8 * 3
    assert count(made, "macs", arithmetic="lmul").total[OpClass.MUL] == 0


def test_a_weight_that_is_turned_by_hand_is_no_parameter_beside_its_factors() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight.transpose(0, 1)

    changed = count(trace(Turned(), torch.empty(2, 6, device="meta")), what_if=["lowrank=0.4"])
    assert changed.parameters == sum(layer.parameters for layer in changed.layers) == 2 * (5 + 6)


def nowhere(calls: int) -> Trace:
    """A trace that does not say which tensors are the same."""
    x = TensorSpec((2,), "float32")
    made = tuple(OpCall("aten.relu.default", "", {"self": x}, (x,), i) for i in range(calls))
    return Trace("nowhere", made, {}, {})


@pytest.mark.parametrize("change", ["fuse", "fold-bn"])
def test_a_trace_that_does_not_number_its_tensors_is_refused(change: str) -> None:
    with pytest.raises(ArgumentError, match="nowhere does not say so; trace the model again"):
        apply(nowhere(1), change)
    assert apply(nowhere(0), change).calls == ()


@pytest.mark.parametrize("change", ["fuse", "fold-bn"])
def test_a_training_step_is_refused_where_gradients_read_tensors(change: str) -> None:
    made = trace(nn.Linear(3, 2), torch.zeros(1, 3), backward=True)
    with pytest.raises(ArgumentError, match=f"what-if {change} is for inference"):
        apply(made, change)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("prune=half", "what-if 'prune=half' needs a share kept above 0", id="a-wrong-value"),
        pytest.param("prune", "what-if 'prune' needs a share kept above 0", id="no-value"),
    ],
)
def test_a_wrong_share_is_quoted(text: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        parse(text)


def test_gradients_stay_as_they_are_and_that_is_said() -> None:
    made = trace(nn.Linear(3, 2), torch.zeros(1, 3), backward=True)
    assert apply(made, "adder").notes[-1].endswith("; gradients stay as they are")
    assert "gradients" not in apply(trace(nn.Linear(3, 2), torch.zeros(1, 3)), "adder").notes[-1]


def test_the_batch_norm_of_a_layer_that_is_kept_stays() -> None:
    """Of three layers with a norm each, the middle one alone is folded; a norm after no layer stays too."""
    norms = [nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(),
             nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)]  # fmt: skip
    made = trace(nn.Sequential(*norms).eval(), image(3))

    def left(keep: bool) -> list[str]:
        changed = apply(made, "fold-bn", keep_first_last=keep)
        return [call.module for call in changed.calls if "batch_norm" in call.name]

    assert left(keep=False) == ["5"]
    assert left(keep=True) == ["1", "5", "7"]
