"""Kernels that a calibration times: each is what a layer of that shape runs, and each can be run again."""

import functools
import itertools

import pytest
import torch

import addercost.measure.kernel_times.replay as replays
from addercost.cost.calibrated.families import family_of
from addercost.cost.calibrated.features import sizes_of
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.counts.kernel_calls import KernelCall, Operand, kernel_calls
from addercost.counts.what_if import apply
from addercost.layers import AdderConv2d, BinaryConv2d, ShiftConv2d
from addercost.measure.case import LayerCase, parse_case
from addercost.measure.contenders.choice import contenders
from addercost.measure.contenders.contender import DTYPES
from addercost.measure.kernel_times import timing
from addercost.measure.kernel_times.case_kernels import (
    BYTES,
    PACKED,
    as_image,
    case_of,
    own_kernel,
    torch_kernel,
)
from addercost.measure.kernel_times.contender_kernels import kernel_of
from addercost.measure.kernel_times.draw_own import draw_own
from addercost.measure.kernel_times.replay import replay
from addercost.measure.kernel_times.timing import timed_kernel, timed_network
from addercost.measure.speed.reference import ReferenceSpeed
from tests.kernels.geometries import all_crossed, cases

CASES = [parse_case("1,16,8,8,24,3,2,1"), LayerCase(images=4, channels=32, filters=10, linear=True)]
FOUR = Operand((1, 4, 1, 1), "float32")
CONVOLUTION = {
    "input": FOUR, "weight": Operand((4, 4, 1, 1), "float32", True), "bias": None, "stride": (1, 1),
    "padding": (0, 0), "dilation": (1, 1), "transposed": False, "output_padding": (0, 0), "groups": 1,
}  # fmt: skip
CPU = torch.device("cpu")
TIMED = [made for made in contenders(CPU, WITH_LAYERS, DTYPES) if kernel_of(made, CASES[0]) is not None]


def run(kernel: KernelCall, layout: torch.memory_format = torch.contiguous_format) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = replay(kernel, torch.Generator().manual_seed(0), layout)()
    return output


@pytest.mark.parametrize(
    ("made", "case"),
    all_crossed(
        [pytest.param(made, id=f"{made.arithmetic}-{made.label}".replace(" ", "-")) for made in TIMED],
        cases(convolution=CASES[0], linear=CASES[1]),
    ),
)
@pytest.mark.usefixtures("either_kernel")
def test_the_kernel_of_a_contender_runs_and_has_its_sites(made, case: LayerCase) -> None:
    kernel = kernel_of(made, case)
    assert kernel is not None and sizes_of(kernel).sites == case.sites
    output = run(kernel)
    assert output.numel() == torch.Size(case.output_shape).numel()


@pytest.mark.parametrize(
    ("made", "family"),
    [
        pytest.param(("adder", "fp32", "addercost layer"), "adder convolution", id="adder"),
        pytest.param(("adder", "int8", "addercost kernel"), "adder convolution of bytes", id="bytes"),
        pytest.param(("xnor", "fp32", "packed layer"), "packed binary convolution", id="packed"),
        pytest.param(("mac", "int8", "oneDNN"), "dense convolution", id="oneDNN int8"),
    ],
)
def test_each_kind_has_a_law_of_its_own(made: tuple[str, str, str], family: str) -> None:
    (contender,) = (c for c in TIMED if (c.arithmetic.value, c.dtype, c.implementation) == made)
    kernel = kernel_of(contender, CASES[0])
    assert kernel is not None and family_of(kernel) == family


def test_a_linear_layer_in_another_arithmetic_is_our_operator() -> None:
    """What a trace calls addmm with a turned weight, `adder_linear` takes with the weight as it is."""
    case = CASES[1]
    changed = apply(case.trace("fp32"), "adder", False)
    ((_, kernel),) = kernel_calls(changed.calls)
    assert (kernel.op, kernel.argument("weight")) == (
        "addercost.adder_linear.default",
        Operand((10, 32), "float32", True),
    )
    assert run(kernel).shape == (4, 10)
    assert kernel.arguments == own_kernel(case, "adder").arguments


KINDS = ("adder {}", "binary {}", "shift {}", "adder {} of bytes", "packed binary {}")


@pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in KINDS[1:])]
)
def test_our_layers_are_timed_on_one_pixel_too(kind: str) -> None:
    """As the squeeze of a network has them, which takes mostly the time of its call."""
    family = f"{kind.format('convolution')}, pointwise"
    pixels = [z.h * z.w for z in map(sizes_of, draw_own(400, 1)) if z.family == family]
    assert min(pixels) == 1 < max(pixels)


@pytest.mark.parametrize("op", [BYTES, PACKED])
def test_the_shape_of_a_kernel_is_that_of_its_layer(op: str) -> None:
    kernels = [kernel for kernel in itertools.islice(draw_own(40, 0), 40) if kernel.op == op]
    assert len(kernels) > 3
    for kernel in kernels:
        case = case_of(kernel)
        assert as_image(case) == case
        assert case.output_shape == kernel.outputs[0].shape


def test_images_are_laid_out_as_asked_and_our_filters_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our layers keep their filters as they are; torch's are converted with their module."""
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(replays, "_operator", lambda op: lambda *tensors: seen.extend(tensors[:2]))
    monkeypatch.setattr(replays, "_bound", lambda operator, values: (list(values.values()), {}))
    monkeypatch.setattr(replays, "_as_networks_call_it", lambda operator, *others: operator)
    run(torch_kernel(CASES[0], "float32"), torch.channels_last)
    made = replay(own_kernel(CASES[0], "adder"), torch.Generator(), torch.channels_last)
    assert isinstance(made, functools.partial)
    seen += [made.args[0], made.func.weight]
    last = [tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen]
    assert last == [True, True, True, False]


@pytest.mark.parametrize(
    ("op", "layer"), [("adder", AdderConv2d), ("binary", BinaryConv2d), ("shift", ShiftConv2d)]
)
def test_our_layers_are_timed_as_modules(op: str, layer: type) -> None:
    """As `bench` times them: the module takes as long as a small kernel."""
    made = replay(own_kernel(CASES[0], op), torch.Generator())
    assert isinstance(made, functools.partial) and isinstance(made.func, layer)


@pytest.mark.usefixtures("either_kernel")
def test_kernels_are_timed_without_gradients_but_not_in_inference_mode() -> None:
    """As `bench` and `validate` run layers and networks."""
    seen = set()

    def mode() -> float:
        seen.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        return 1.0

    speed = ReferenceSpeed(mode, 1.0, lambda seconds: None)
    timed_kernel(own_kernel(CASES[0], "adder"), speed, mode, mode, 0)
    timed_network(mode, speed)
    assert seen == {(False, False)}


@pytest.mark.parametrize(
    ("factors", "near_runs", "factor"),
    [
        pytest.param([1.0], 5, 1.0, id="quiet"),
        # A block has two references beside it. Every second pair is quiet, first a slow one here.
        pytest.param([1.0, 1.0, 1.6, 1.6], 10, 1.0, id="runs of slow moments are made again"),
        pytest.param([1.6, 1.6, 1.4, 1.4], 20, 1.4, id="never quiet, the quietest are kept"),
    ],
)
def test_runs_of_slow_moments_are_made_again(factors, near_runs, factor) -> None:
    references, clock = itertools.cycle(factors), itertools.count()
    speed = ReferenceSpeed(lambda: next(references), 1.0, now=lambda: next(clock))
    swept = []
    call = own_kernel(CASES[0], "adder")
    runs, found = timed_kernel(call, speed, lambda: swept.append("near"), lambda: swept.append("far"), 0)
    assert swept.count("near") == near_runs
    assert (len(runs.near_s), len(runs.far_s)) == (timing.NEAR_RUNS, timing.FAR_RUNS)
    assert found == pytest.approx(factor)


@pytest.mark.parametrize(
    ("factors", "kept", "factor"),
    [
        pytest.param([1.0, 1.0, 1.6, 1.6], 1 / 2, 1.0, id="the quiet runs"),
        pytest.param([1.2, 1.6], 1, 1.4, id="never quiet, all runs"),
    ],
)
def test_the_quiet_runs_of_a_network_are_kept(factors, kept, factor) -> None:
    references, clock = itertools.cycle(factors), itertools.count()
    speed = ReferenceSpeed(lambda: next(references), 1.0, now=lambda: next(clock))
    ran: list[int] = []
    seconds, found = timed_network(lambda: ran.append(1), speed)
    assert len(seconds) == pytest.approx(kept * (len(ran) - 3), abs=1), "three runs warm up"
    assert found == pytest.approx(factor)


def test_a_run_after_a_sweep_follows_one_of_the_same_kernel_with_other_weights(monkeypatch) -> None:
    """Its instructions are in the caches again, and its own weights are not."""
    order, made = [], []

    def replayed(call, generator, layout):
        made.append((call, generator.initial_seed()))
        number = len(made)
        return lambda: order.append(number)

    monkeypatch.setattr(timing, "replay", replayed)
    speed = ReferenceSpeed(lambda: 1.0, 1.0, lambda seconds: None, now=lambda: 0.0)
    call = own_kernel(CASES[0], "adder")
    timed_kernel(call, speed, lambda: order.append("near"), lambda: order.append("far"), 7)
    assert made == [(call, 7), (call, 8)]
    for sweep, times in (("far", timing.FAR_RUNS), ("near", timing.NEAR_RUNS)):
        after = [order[i + 1 : i + 3] for i, what in enumerate(order) if what == sweep]
        assert after == [[2, 1]] * times


@pytest.mark.parametrize(
    ("op", "arguments", "function"),
    [
        pytest.param("aten.convolution.default", CONVOLUTION, torch.convolution, id="of torch"),
        pytest.param("aten.gelu.default", {"self": FOUR}, torch._C._nn.gelu, id="of torch's layers"),
        pytest.param(
            "aten.add_.Tensor", {"self": FOUR, "other": FOUR}, torch.Tensor.add_, id="a method of tensors"
        ),
    ],
)
def test_an_operator_of_torch_is_called_by_the_function_that_networks_call(op, arguments, function) -> None:
    call = KernelCall(op, tuple(arguments.items()), (FOUR,))
    found, operator = _called(call)
    assert found is function is not operator


@pytest.mark.parametrize(
    "name", ["silu_", "hardswish_", "leaky_relu_", "mish_", "gelu_", "relu_", "hardtanh_"]
)
def test_repeated_in_place_activations_do_not_shrink_to_subnormal_numbers(name) -> None:
    """Each SiLU of a small number halves it. Subnormal numbers take many times as long."""
    run = replay(KernelCall(f"aten.{name}.default", (("self", FOUR),), (FOUR,)), torch.Generator())
    sizes = [run().abs().max().item() for _ in range(300)][-1]
    assert sizes == 0 or sizes > 1e-3


@pytest.mark.parametrize(
    ("op", "output"),
    [
        pytest.param("aten.mul.Tensor", Operand((3,), "float32"), id="another shape"),
        pytest.param("aten.mul.Tensor", Operand((1, 4, 1, 1), "float64"), id="another format"),
        pytest.param("aten.mul.Scalar", FOUR, id="arguments that the function does not take"),
    ],
)
def test_an_operator_stays_where_the_function_gives_something_else(op, output) -> None:
    """mul.Scalar without its scalar stands for any call that fails."""
    arguments = {"self": FOUR} if op.endswith("Scalar") else {"self": FOUR, "other": FOUR}
    found, operator = _called(KernelCall(op, tuple(arguments.items()), (output,)))
    assert found is operator


def _called(call: KernelCall) -> tuple[object, object]:
    """(what is called, the operator itself)."""
    operator, generator = replays._operator(call.op), torch.Generator()
    values = {name: replays._value(value, generator, False, call) for name, value in call.arguments}
    return replays._as_networks_call_it(operator, *replays._bound(operator, values), call), operator


@pytest.mark.parametrize(
    ("kernel", "module", "output"),
    [
        pytest.param(
            torch_kernel(CASES[0], "float32"), torch.nn.Conv2d, (1, 24, 4, 4), id="strided convolution"
        ),
        pytest.param(torch_kernel(CASES[0], "bfloat16"), torch.nn.Conv2d, (1, 24, 4, 4), id="in bf16"),
        pytest.param(torch_kernel(CASES[1], "float32"), torch.nn.Linear, (4, 10), id="product with a weight"),
        pytest.param(
            KernelCall(
                "aten.addmm.default",
                (
                    ("self", Operand((10,), "float32", True)),
                    ("mat1", Operand((4, 32), "float32")),
                    ("mat2", Operand((32, 10), "float32", True)),
                ),
                (Operand((4, 10), "float32"),),
            ),
            torch.nn.Linear,
            (4, 10),
            id="with a bias",
        ),
    ],
)
def test_warm_runs_of_torchs_layers_are_of_modules(kernel, module, output) -> None:
    """As `bench` runs them: a convolution of one pixel takes half of its time outside of its operator."""
    call = replays.layer_of_torch(kernel, torch.channels_last)
    assert isinstance(call.func, module)
    made = call()
    assert made.shape == output and str(made.dtype) == f"torch.{kernel.outputs[0].dtype}"
    assert (call.func.bias is not None) == (kernel.name == "aten.addmm")


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(torch_kernel(CASES[0], "int8"), id="8 bits"),
        pytest.param(own_kernel(CASES[0], "adder"), id="a layer of ours"),
        pytest.param(
            KernelCall(
                "aten.convolution.default", tuple({**CONVOLUTION, "transposed": True}.items()), (FOUR,)
            ),
            id="transposed",
        ),
        pytest.param(
            KernelCall("aten.mm.default", (("self", FOUR), ("mat2", FOUR)), (FOUR,)), id="without a weight"
        ),
        pytest.param(KernelCall("aten.relu.default", (("self", FOUR),), (FOUR,)), id="no layer"),
    ],
)
def test_other_kernels_have_no_module(kernel) -> None:
    assert replays.layer_of_torch(kernel, torch.contiguous_format) is None
