"""Linear layers of int8 weights that round their inputs: `weights=int8/int8` counts what torch's dynamic
quantisation runs, so a calibration times that."""

import pytest
import torch

import addercost
from addercost.cost.calibrated.families import PRODUCTS, family_of
from addercost.cost.calibrated.features import sizes_of
from addercost.cost.calibrated.predict import _timed_apart
from addercost.counts.kernel_calls import KernelCall, Operand, kernel_calls
from addercost.counts.what_if import apply
from addercost.measure.kernel_times.draw import Drawing, draw
from addercost.measure.kernel_times.measure import _INT8_SHARES
from addercost.measure.kernel_times.replay import replay


def product(rows: int, dtypes: str = "int8 int8 float32", is_weight: bool = True) -> KernelCall:
    x, w, out = dtypes.split()
    operands = ("self", Operand((rows, 8), x)), ("mat2", Operand((8, 16), w, is_weight))
    return KernelCall("aten.mm.default", operands, (Operand((rows, 16), out),))


@pytest.mark.parametrize("bias", [True, False], ids=["biased", "without bias"])
@pytest.mark.parametrize(
    ("rows", "family"),
    [(1, "linear of one rounded row"), (5, "linear of rounded inputs")],
    ids=["one row", "five rows"],
)
def test_the_product_of_a_layer_with_rounded_inputs_has_a_family(bias: bool, rows: int, family: str) -> None:
    trace = addercost.trace_model(torch.nn.Linear(8, 16, bias=bias), torch.ones(rows, 8))
    kernels = [kernel for _, kernel in kernel_calls(apply(trace, "weights=int8/int8").calls)]
    (timed,) = _timed_apart(kernels)
    assert family_of(timed) == family
    # 8 · 16 products a row, on 128 bytes of weights.
    assert (sizes_of(timed).sites, sizes_of(timed).weight_bytes) == (128 * rows, 128 + 64 * bias)


@pytest.mark.parametrize(
    ("kernel", "family"),
    [
        pytest.param(product(5, "int8 int8 int8"), "linear", id="all in 8 bits"),
        pytest.param(product(1, "int8 int8 int8"), "linear of one row", id="one row in 8 bits"),
        pytest.param(product(5, "float32 int8 float32"), "linear", id="inputs are not rounded"),
        pytest.param(product(5, is_weight=False), "linear", id="no weight"),
        pytest.param(product(5, "float32 float32 float32"), "linear", id="fp32"),
    ],
)
def test_other_products_have_the_families_of_before(kernel: KernelCall, family: str) -> None:
    assert family_of(kernel) == family


def test_rounding_beside_other_kernels_is_a_kernel_of_its_own() -> None:
    """Such as that of a cache of keys and values."""
    rounding = KernelCall("addercost.round_inputs.default", (), (Operand((5, 8), "int8"),))
    assert _timed_apart([rounding]) == [rounding]
    assert _timed_apart([rounding, product(5)]) == [product(5)]


@pytest.mark.parametrize("rows", [1, 5])
def test_torch_runs_it_as_a_dynamically_quantised_layer(rows: int) -> None:
    """Outputs are in fp32, and the sum over an output is exact to a few of 127 steps of input and weight."""
    run = replay(product(rows), torch.Generator())
    layer, (x,) = run.func, run.args  # type: ignore[attr-defined]
    assert isinstance(layer, torch.ao.nn.quantized.dynamic.Linear)
    output = run()
    assert (output.shape, output.dtype) == ((rows, 16), torch.float32)
    exact = x @ layer.weight().dequantize().t() + layer.bias()
    assert torch.allclose(output, exact, atol=0.05)


def test_both_kinds_are_drawn_in_8_bits() -> None:
    families = {family_of(call) for call in draw(300, 0, Drawing("int8", _INT8_SHARES))}
    assert set(PRODUCTS) <= families
