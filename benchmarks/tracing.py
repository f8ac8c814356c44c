"""What counting tools report for the same models, and how long they take, each in a process of its own.

    python -m benchmarks.tracing [--models resnet50,vit_b_16,…] [--tools addercost,fvcore,…] [--batch 1]

A count is in MACs; a number that a tool reports in FLOPs, two for a MAC, is halved. A time is the fastest of
several counts in a warm process, without building the model. The published count is torchvision's own. Tools
that are not installed are shown as such; they are on the package index under the names below.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

RULES = {
    "thop": "thop 0.1.1",
    "fvcore": "fvcore 0.1.5, timm",
    "ptflops": "ptflops 0.7",
    "ptflops-aten": "ptflops 0.7, aten",
    "torchinfo": "torchinfo 1.8",
    "calflops": "calflops 0.3",
    "deepspeed": "DeepSpeed 0.19",
    "FlopCounterMode": "torch FlopCounterMode on meta",
    "FlopCounterMode-cpu": "torch FlopCounterMode on the CPU",
}
"""Tools whose rules `addercost.counts.reconcile` states: the last column says whether they hold."""

MODELS = ("resnet50", "vit_b_16", "swin_t", "densenet121", "maxvit_t")
SIZE = 224
REPEATS = 5
TIMEOUT_S = 600


def _addercost(model: Any, x: Any) -> float:
    from addercost.api import trace_model
    from addercost.counts.model import count

    return count(trace_model(model, x), "macs").mac_sites


def _bare_forward(model: Any, x: Any) -> float | None:
    model(x)
    return None


def _flop_counter(model: Any, x: Any) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops() / 2


def _fvcore(model: Any, x: Any) -> float:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model, x)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return float(analysis.total())


def _thop(model: Any, x: Any) -> float:
    import thop

    return float(thop.profile(model, (x,), verbose=False)[0])


def _ptflops(backend: str) -> Callable[[Any, Any], float]:
    def count(model: Any, x: Any) -> float:
        from addercost.sources.torchvision_models import make_importable

        make_importable()  # ptflops imports torchvision
        from ptflops import get_model_complexity_info

        macs, _ = get_model_complexity_info(
            model,
            tuple(x.shape[1:]),
            backend=backend,
            as_strings=False,
            print_per_layer_stat=False,
            verbose=False,
            input_constructor=lambda _: x,
        )
        return float(macs)

    return count


def _torchinfo(model: Any, x: Any) -> float:
    from torchinfo import summary

    return float(summary(model, input_data=x, verbose=0).total_mult_adds)


def _calflops(model: Any, x: Any) -> float:
    from calflops import calculate_flops

    _, macs, _ = calculate_flops(
        model, args=[x], print_results=False, print_detailed=False, output_as_string=False
    )
    return float(macs)


def _torchprofile(model: Any, x: Any) -> float:
    from torchprofile import profile_macs

    return float(profile_macs(model, x))


def _deepspeed(model: Any, x: Any) -> float:
    from deepspeed.profiling.flops_profiler import get_model_profile

    _, macs, _ = get_model_profile(model, args=[x], print_profile=False, warm_up=0, as_string=False)
    return float(macs)


def _torch_profiler(model: Any, x: Any) -> float:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as run:
        model(x)
    return sum(event.flops for event in run.key_averages()) / 2


@dataclass(frozen=True)
class Tool:
    """A counting tool. count: a function of (model, image) that returns MACs. computes: the tool runs the
    model with values, so it needs weights and time.
    """

    count: Callable[[Any, Any], float | None]
    computes: bool = True


TOOLS: Mapping[str, Tool] = {
    "bare meta forward": Tool(_bare_forward, computes=False),
    "addercost": Tool(_addercost, computes=False),
    "FlopCounterMode": Tool(_flop_counter, computes=False),
    "FlopCounterMode-cpu": Tool(_flop_counter),
    "fvcore": Tool(_fvcore),
    "thop": Tool(_thop),
    "ptflops": Tool(_ptflops("pytorch")),
    "ptflops-aten": Tool(_ptflops("aten")),
    "torchinfo": Tool(_torchinfo),
    "calflops": Tool(_calflops),
    "torchprofile": Tool(_torchprofile),
    "deepspeed": Tool(_deepspeed),
    "torch.profiler": Tool(_torch_profiler),
}


def measure(tool: str, model_name: str, batch: int, repeats: int = REPEATS) -> dict[str, Any]:
    """One tool on one model in this process: {"macs", "seconds": every repetition} or {"error"}."""
    import torch

    from addercost.sources.build import DataFree
    from addercost.sources.torchvision_models import make_model

    warnings.simplefilter("ignore")
    chosen = TOOLS[tool]
    device = "cpu" if chosen.computes else "meta"
    if chosen.computes:
        model = make_model(model_name).eval()
    else:
        with DataFree():
            model = make_model(model_name).eval().to("meta")
    x = torch.zeros(batch, 3, SIZE, SIZE, device=device)
    seconds: list[float] = []
    macs: float | None = None
    try:
        with torch.no_grad(), redirect_stdout(sys.stderr):
            # The first count imports and fills caches; it is not timed.
            for repetition in range(repeats + 1):
                start = time.perf_counter()
                macs = chosen.count(model, x)
                if repetition:
                    seconds.append(time.perf_counter() - start)
    except ImportError:
        return {"error": "not installed"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".partition("\n")[0][:80]}
    return {"macs": macs, "seconds": seconds}


def apart(tool: str, model_name: str, batch: int, repeats: int) -> dict[str, Any]:
    """The result of one tool on one model, from another process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.tracing",
        "--one",
        tool,
        model_name,
        str(batch),
        str(repeats),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"more than {TIMEOUT_S} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:80]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def published(model_name: str) -> float | None:
    """torchvision's own count in MACs, for one image."""
    from addercost.sources.torchvision_models import _models

    weights = getattr(_models().get_model_weights(model_name), "IMAGENET1K_V1", None)
    return None if weights is None else float(weights.meta["_ops"]) * 1e9


def by_rules(model_name: str, batch: int) -> dict[str, float]:
    """MACs by tool, by the rules of `reconcile`."""
    import torch

    from addercost.api import trace_model
    from addercost.counts.reconcile import reconcile
    from addercost.sources.build import DataFree
    from addercost.sources.torchvision_models import make_model

    with DataFree():
        model = make_model(model_name)
    counts = reconcile(trace_model(model, torch.empty(batch, 3, SIZE, SIZE, device="meta")))
    known = {count.tool: count.reported / count.per_site for count in counts if count.reported is not None}
    return {tool: known[name] for tool, name in RULES.items() if name in known}


def row(
    tool: str,
    found: Mapping[str, Any],
    batch: int,
    reference: float | None,
    bare_s: float | None,
    rules: Mapping[str, float],
) -> str:
    if "error" in found:
        return f"  {tool:<20}{found['error']}"
    macs, best = found["macs"], min(found["seconds"])
    count = f"{macs / batch / 1e9:9.3f}" if macs is not None else " " * 9
    share = f"{macs / batch / reference:8.1%}" if macs is not None and reference else " " * 8
    times = f"{best / bare_s:7.2f}x" if bare_s else ""
    verdict = ""
    if tool in rules and macs is not None:
        verdict = (
            "  as by its rules" if rules[tool] == macs else f"  rules give {rules[tool] / batch / 1e9:.6f}"
        )
    return f"  {tool:<20}{count}{share}{best * 1e3:10.1f} ms{times}{verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument(
        "--one", nargs=4, metavar=("TOOL", "MODEL", "BATCH", "REPEATS"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.one:
        tool, model_name, batch, repeats = arguments.one
        print(json.dumps(measure(tool, model_name, int(batch), int(repeats))))
        return
    for model_name in arguments.models.split(","):
        reference = published(model_name)
        shown = f", published {reference / 1e9:.3f}" if reference else ""
        print(f"{model_name}, batch {arguments.batch}{shown}: GMACs an image, share, time, per bare forward")
        bare_s: float | None = None
        rules = by_rules(model_name, arguments.batch)
        for tool in arguments.tools.split(","):
            found = apart(tool, model_name, arguments.batch, arguments.repeats)
            if tool == "bare meta forward" and "seconds" in found:
                bare_s = min(found["seconds"])
            print(row(tool, found, arguments.batch, reference, bare_s, rules), flush=True)


if __name__ == "__main__":
    main()
