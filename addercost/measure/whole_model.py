"""Rows of whole models: an eager forward, a forward by torch.compile, and a training step, in each
arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.layers.convert import convert
from addercost.measure.contenders.contender import TENSOR_DTYPES, UnsupportedError
from addercost.measure.devices.device import Call
from addercost.measure.plan import RowPlan
from addercost.measure.predictions import Predict
from addercost.results.measurements import MeasuredRow, PredictedTime
from addercost.trace.record import Trace

PATIENCE = 10.0
"""The time limit of a whole model as a multiple of a layer's. A run of a model takes about as long as runs of
all its layers together.
"""

EAGER, COMPILED, TRAINING = "eager", "torch.compile", "training step"

_INCLUDES = {
    EAGER: "a forward of the whole model, as it is called",
    COMPILED: "a forward of the whole model through torch.compile with inductor",
    TRAINING: "forward, mean of the squared outputs, backward, a step of plain SGD; eager",
}

Rebuild = Callable[[], nn.Module]


def model_rows(
    rebuild: Rebuild,
    inputs: Sequence[Tensor],
    arithmetics: Sequence[Arithmetic],
    dtypes: Sequence[str],
    modes: Sequence[str],
    device: torch.device,
    cache: str,
    keep_first_last: bool = False,
    predict: Mapping[str, Predict] | None = None,
    trace: Trace | None = None,
) -> Iterator[RowPlan]:
    """The rows of whole models. Their path is empty.

    rebuild: makes the model with real weights. inputs: the tensors of one forward, on any device, meta
    included; they are replaced by random data. modes: any of `EAGER`, `COMPILED`, `TRAINING`. predict: the
    estimates of each mode that has any.

    The reference of each row is the multiplying model in the same mode and number format. Models run in
    floating point only. Other formats are left out, if a floating-point format is asked for as well.
    """
    floating = [dtype for dtype in dtypes if dtype in TENSOR_DTYPES]
    for mode in modes:
        for dtype in floating or dtypes:
            for arithmetic in arithmetics:
                reference = f"mac {mode} {dtype}" if arithmetic is not Arithmetic.MAC else ""
                predicted: tuple[PredictedTime, ...] = ()
                if predict and mode in predict and trace is not None and dtype == "fp32":
                    predicted = predict[mode](trace, arithmetic)
                row = MeasuredRow(
                    path="",
                    arithmetic=arithmetic.value,
                    samples_s=(),
                    implementation=mode,
                    dtype=dtype,
                    predicted=predicted,
                    cache=cache,
                    includes=_INCLUDES[mode],
                    reference=reference,
                )
                make = partial(_make, rebuild, inputs, arithmetic, dtype, mode, device, keep_first_last)
                yield RowPlan(row, make, PATIENCE)


def _make(
    rebuild: Rebuild,
    inputs: Sequence[Tensor],
    arithmetic: Arithmetic,
    dtype: str,
    mode: str,
    device: torch.device,
    keep_first_last: bool,
    free_bytes: int | None,
) -> tuple[Call, Call | None]:
    if dtype not in TENSOR_DTYPES:
        raise UnsupportedError(f"whole models run in floating point, not in {dtype}")
    torch.manual_seed(0)
    if mode == COMPILED:
        # torch limits how many variants of a function it compiles, and counts those of earlier rows as well.
        torch.compiler.reset()
    model = rebuild()
    data = [filled(x, TENSOR_DTYPES[dtype], device) for x in inputs]

    def call_of(wanted: Arithmetic) -> Call:
        made = convert(copy.deepcopy(model), wanted, keep_first_last).to(device, TENSOR_DTYPES[dtype])
        call = _call(made, data, mode)
        call()
        return call

    call = call_of(arithmetic)
    return call, None if arithmetic is Arithmetic.MAC else call_of(Arithmetic.MAC)


def _call(model: nn.Module, data: Sequence[Tensor], mode: str) -> Call:
    if mode == TRAINING:
        return partial(_training_step, model.train(), torch.optim.SGD(model.parameters(), lr=1e-6), data)
    model.eval()
    if mode == COMPILED:
        return partial(torch.compile(model), *data)
    return partial(model, *data)


def _training_step(model: nn.Module, optimizer: torch.optim.Optimizer, data: Sequence[Tensor]) -> None:
    with torch.enable_grad():
        optimizer.zero_grad()
        output = model(*data)
        loss = sum(o.square().mean() for o in _tensors(output))
        assert isinstance(loss, Tensor)
        loss.backward()
        optimizer.step()


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)


def filled(like: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Random data with the shape of `like`. Raises UnsupportedError for a tensor of whole numbers without
    values.
    """
    if not like.is_floating_point():
        if like.is_meta:
            raise UnsupportedError("the model takes whole numbers, whose range is not known")
        return like.to(device)
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
