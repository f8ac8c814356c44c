"""Runs counting tools on every model of `tool_models.py`: those that are installed in one folder.

    PYTHONPATH=.:FOLDER python -m tests.counts.counting_tools NAME_OF_FOLDER

It prints one line of JSON: by tool and by model the tool's number, or null where the tool fails.
"""

from __future__ import annotations

import collections
import importlib
import json
import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from addercost.sources.torchvision_models import make_importable
from tests.counts.tool_models import MODELS

Inputs = tuple[Tensor, ...]


def _thop(model: nn.Module, inputs: Inputs) -> float:
    import thop

    return float(thop.profile(model, inputs, verbose=False)[0])


def _fvcore(model: nn.Module, inputs: Inputs) -> float:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model, inputs)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return float(analysis.total())


class _Given(nn.Module):
    """Passes its inputs on. ptflops divides by the batch where it sees one, and gives whole numbers so."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> Any:
        return self.model(*inputs)


def _ptflops(backend: str) -> Callable[[nn.Module, Inputs], float]:
    def count(model: nn.Module, inputs: Inputs) -> float:
        from ptflops import get_model_complexity_info

        macs, _ = get_model_complexity_info(
            _Given(model),
            (1,),
            backend=backend,
            as_strings=False,
            print_per_layer_stat=False,
            verbose=False,
            input_constructor=lambda _: {"inputs": inputs},
        )
        return float(macs)  # type: ignore[arg-type]  # None where it failed

    return count


def _torchinfo(model: nn.Module, inputs: Inputs) -> float:
    from torchinfo import summary

    return float(summary(model, input_data=list(inputs), verbose=0).total_mult_adds)


def _calflops(model: nn.Module, inputs: Inputs) -> float:
    from calflops import calculate_flops

    if not list(model.parameters()):  # it takes the device from the first one
        model.register_parameter("unused", nn.Parameter(torch.ones(1)))
    _, macs, _ = calculate_flops(
        model, args=list(inputs), print_results=False, print_detailed=False, output_as_string=False
    )
    return float(macs)


def _deepspeed(model: nn.Module, inputs: Inputs) -> float:
    from deepspeed.profiling.flops_profiler import get_model_profile

    _, macs, _ = get_model_profile(model, args=list(inputs), print_profile=False, warm_up=0, as_string=False)
    return float(macs)


def _flop_counter(model: nn.Module, inputs: Inputs) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return float(counter.get_total_flops())


TOOLS: Mapping[str, tuple[Callable[[nn.Module, Inputs], float], str, str]] = {
    "thop, April 2020 to June 2022": (_thop, "cpu", "thop-0.0.31"),
    "thop 0.1.1": (_thop, "cpu", ""),
    "fvcore 0.1.5, timm": (_fvcore, "cpu", ""),
    "ptflops 0.7": (_ptflops("pytorch"), "cpu", ""),
    "ptflops 0.7, aten": (_ptflops("aten"), "cpu", ""),
    "torchinfo 1.8": (_torchinfo, "cpu", ""),
    "calflops 0.3": (_calflops, "cpu", "tools"),
    "DeepSpeed 0.19": (_deepspeed, "cpu", "tools"),
    "torch FlopCounterMode on the CPU": (_flop_counter, "cpu", ""),
    "torch FlopCounterMode on meta": (_flop_counter, "meta", ""),
}
"""By the name of its row: (what it reports, the device, the folder that it is installed in)."""


def number(tool: str, name: str) -> float | None:
    count, device, _ = TOOLS[tool]
    make, shapes = MODELS[name]
    model = make().eval().to(device)
    try:
        with torch.no_grad(), redirect_stdout(sys.stderr):
            return count(model, tuple(torch.ones(shape, device=device) for shape in shapes))
    except ImportError:
        raise
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def numbers(folder: str) -> dict[str, dict[str, float | None]]:
    return {tool: _numbers_of(tool) for tool, (_, _, its) in TOOLS.items() if its == folder}


def _numbers_of(tool: str) -> dict[str, float | None]:
    """From one process until the tool fails on a model, which leaves its patches in torch behind; then from a
    new one."""
    found: dict[str, float | None] = {}
    left = list(MODELS)
    while left:
        with multiprocessing.get_context("fork").Pool(1) as process:
            while left:
                name = left.pop(0)
                found[name] = process.apply(number, (tool, name))
                if found[name] is None:
                    break
    return found


def _import_tools(folder: str) -> None:
    """Once for all processes."""
    modules = {
        "": ("thop", "fvcore.nn", "ptflops", "torchinfo", "torch.utils.flop_counter"),
        "thop-0.0.31": ("thop",),
        "tools": ("calflops", "deepspeed.profiling.flops_profiler"),
    }
    with redirect_stdout(sys.stderr):
        for module in modules[folder]:
            importlib.import_module(module)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    make_importable()  # ptflops and calflops import torchvision
    collections.Iterable = Iterable  # type: ignore[attr-defined]  # where thop of 2020 looks for it
    torch.set_num_threads(1)
    _import_tools(sys.argv[1])
    print(json.dumps(numbers(sys.argv[1])))
