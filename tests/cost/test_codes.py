"""Kernels on codes, as torch's quantised modules run them: their families, sizes and formats."""

from dataclasses import replace

import pytest
import torch

import addercost
from addercost.cost.calibrated.codes import as_product, is_of_codes, main_name, packed_weight
from addercost.cost.calibrated.families import family_of, is_like_timed
from addercost.cost.calibrated.features import sizes_of
from addercost.cost.calibrated.fit import has_enough
from addercost.cost.calibrated.formats import by_format
from addercost.counts.kernel_calls import KernelCall, Operand, kernel_calls
from addercost.counts.what_if import apply
from addercost.hardware.kernel_times import KernelSample, KernelTimes, NetworkSample
from addercost.layers import statically_quantized
from addercost.measure.kernel_times.draw import SHARES, Drawing, convolution_call, draw
from addercost.measure.kernel_times.draw_codes import draw_codes, of_codes, rounding
from tests.cost.times_by_law import made_times

CONVERTED = (
    "dense convolution", "pointwise convolution", "convolution of one pixel", "depthwise convolution",
    "grouped convolution", "linear", "batch norm", "layer norm", "maximum pool", "mean", "elementwise",
    "broadcast", "concatenation",
)  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "dilation", "slow"),
    [
        pytest.param(104, 1, "", id="eights"),
        pytest.param(64, 1, "", id="eights, few channels"),
        pytest.param(116, 1, "slow ", id="no eights"),
        pytest.param(104, 2, "slow ", id="dilated"),
        pytest.param(100, 1, "slow few", id="no eights, few channels"),
        pytest.param(64, 2, "slow few", id="dilated, few channels"),
    ],
)
def test_depthwise_convolutions_that_torchs_fast_kernel_refuses_are_a_family_of_their_own(
    channels, dilation, slow
):
    """Among replays of over a million sites on a Zen 3, the 38 fast ones took 130 ps a site in the median,
    and the 8 with no eights 15,000.
    """
    x = Operand((1, channels, 14, 14), "float32")
    weight = Operand((channels, 1, 3, 3), "float32", True)
    plain = convolution_call(x, weight, None, 1, dilation, dilation, channels)
    assert family_of(plain) == "depthwise convolution"
    found = family_of(of_codes(plain, relu=False))
    kind, _, few = slow.partition(" ")
    assert found == f"{kind} depthwise convolution{' of few channels' if few else ''}".strip()


def test_a_trace_shows_how_a_quantised_convolution_moves():
    """Packed parameters have the stride, padding, dilation and groups; the product of a linear layer has
    none.
    """
    layers = (
        torch.nn.Conv2d(8, 16, 3, 2, padding=2, dilation=2, groups=4),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 4),
    )
    x = torch.rand(1, 8, 5, 5)
    trace = addercost.trace_model(statically_quantized(torch.nn.Sequential(*layers), x), x)
    convolution, linear = (k for _, k in kernel_calls(trace.calls) if packed_weight(k) is not None)
    place = {name: convolution.argument(name) for name in ("stride", "padding", "dilation", "groups")}
    assert place == {"stride": (2, 2), "padding": (2, 2), "dilation": (2, 2), "groups": 4}
    assert (family_of(convolution), linear.argument("groups")) == ("grouped convolution", None)


RENAMED = {"copy": "concatenation of codes"}


@pytest.mark.parametrize("family", CONVERTED)
def test_a_kernel_on_codes_has_the_family_and_the_sites_of_the_plain_one(family):
    for plain in draw(12, 5, Drawing("float32", {family: SHARES[family]})):
        made = of_codes(plain, relu=True)
        if made is None:
            # Of operands of two sizes, only images times a factor for each channel are drawn.
            assert family == "broadcast" and (plain.name == "aten.add" or len(plain.outputs[0].shape) == 3)
            continue
        known, found = sizes_of(plain), sizes_of(made)
        if family == "linear":
            assert found.k * found.c == packed_weight(made).shape[0] * packed_weight(made).shape[1]
        assert is_of_codes(made) and is_like_timed(made)
        fast = found.family.removeprefix("slow ").removesuffix(" of few channels")
        assert fast == RENAMED.get(known.family, known.family.removeprefix("native "))
        same = ("sites", "n", "c", "k", "h", "w", "p", "q", "r", "s", "groups", "stride")
        assert [getattr(found, name) for name in same] == [getattr(known, name) for name in same]
        assert found.input_bytes < known.input_bytes


@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("quantized.conv_transpose2d.new", "conv_transpose2d"),
        ("quantized.linear_leaky_relu.default", "linear"),
        ("quantized.add_relu.default", "add"),
        ("quantized.batch_norm2d_relu.default", "batch_norm2d"),
        ("quantized.leaky_relu.default", "leaky_relu"),
        ("aten.leaky_relu.default", "leaky_relu"),
        ("aten.add_.Tensor", "add_"),
    ],
)
def test_what_is_fused_is_left_out_of_the_name(op, name):
    assert main_name(KernelCall(op, (), ())) == name


@pytest.mark.parametrize("op", ["quantized.conv2d_add_relu.new", "quantized.conv1d.new"])
def test_a_saved_call_without_groups_is_no_convolution_that_was_timed(op):
    assert main_name(KernelCall(op, (("groups", 2),), ())) == "convolution"
    assert not is_like_timed(KernelCall(op, (), (Operand((1, 8), "quint8"),)))


@pytest.mark.parametrize("back", [False, True], ids=["to codes", "to numbers"])
def test_conversions_are_a_family_of_their_own(back):
    kernel = rounding((2, 3, 4, 4), back)
    assert (family_of(kernel), is_of_codes(kernel)) == ("rounding", True)


def test_a_dynamically_quantised_module_is_the_product_that_is_timed_for_it():
    """`weights=int8/int8` makes that product of an fp32 layer, and a calibration times it."""
    layer = torch.nn.Linear(8, 16, bias=False)
    counted = apply(addercost.trace_model(layer, torch.ones(5, 8)), "weights=int8/int8")
    (timed,) = (k for _, k in kernel_calls(counted.calls) if k.name == "aten.mm")
    x, weight = Operand((5, 8), "float32"), Operand((16, 8), "qint8", True)
    module = KernelCall(
        "quantized.linear_dynamic.default",
        (("X", x), ("W_prepack", (weight,))),
        (Operand((5, 16), "float32"),),
    )
    assert not is_of_codes(module)
    made = as_product(module)
    assert (family_of(made), sizes_of(made)) == (family_of(timed), sizes_of(timed))
    assert as_product(timed) is timed


def test_a_file_in_8_bits_has_two_formats_and_each_has_its_networks():
    layers = made_times(60)
    codes = [KernelSample(call, (1.0,), (1.0,), (1.0,)) for call in draw_codes(70, 1)]
    plain = [replace(s, call=_in_bytes(s.call)) for s in layers.samples if _in_bytes(s.call) is not None]
    quantised = NetworkSample("quantised", tuple(s.call for s in codes), (1.0,))
    chain = NetworkSample("chain", tuple(s.call for s in plain), (1.0,))
    conditions = replace(layers.conditions, dtype="int8")
    found = by_format(KernelTimes(conditions, (*plain, *codes), (quantised, chain)))
    assert list(found) == ["int8", "quint8"]
    assert (found["int8"].samples, found["int8"].networks) == (tuple(plain), (chain,))
    assert (found["quint8"].samples, found["quint8"].networks) == (tuple(codes), (quantised,))
    assert not has_enough(found["quint8"])
    assert by_format(layers) == {"float32": layers}


def _in_bytes(call):
    """A convolution or linear layer all in int8; None for another kernel."""
    if call.name not in ("aten.convolution", "aten.mm", "aten.addmm"):
        return None
    arguments = tuple(
        (name, replace(value, dtype="int8") if isinstance(value, Operand) else value)
        for name, value in call.arguments
    )
    return replace(call, arguments=arguments)
