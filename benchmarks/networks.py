"""Times whole adder networks (module by module, fused, on bytes and packed), and compares them with the sum
of their layers.

    python -m benchmarks.networks --save

writes benchmarks/results/<processor>/networks.txt. In each round every form of a network runs, and so do its
layers alone: one after another, each on its input in that network, in one timed run. (Layers that are timed
one by one find more quiet moments of a shared machine than a whole network does.) A time is the median of the
rounds. `beside layers` is the time of the network / the sum of its layers. The difference is
pooling, additions, batch norms and ReLUs that no layer computes, and the calls between layers. For networks
that `fuse` took apart, these other operators are timed alone too (`others alone`), and `beside both` is the
time of the network / both together. In "sums
behind" shortcuts are added behind the layers and not in their stores, and so is what limits the sum (ReLU or
HardTanh). In "floats between" packed layers do not pass signs to each other, and byte layers no codes.

Two forms that differ in one thing alone also run in turns, A B B A, for some seconds. Below a network's table
are the ratios of their medians and of their fastest runs. Data and weights are random. One thread; no
gradients.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, fx, nn

from addercost.arithmetic import Arithmetic
from addercost.kernels.cpu.dense.tuned import schedules_folder
from addercost.layers import CodedAdder, FusedAdder, PackedBinary, fuse, pack_binary, quantize_network
from addercost.layers.module import KernelConv2d, KernelLinear
from addercost.measure.devices.process_memory import keep_freed_memory
from addercost.models.zoo import ZOO
from addercost.results.files import write_file
from benchmarks.kernels import RESULTS, environment

NETWORKS = (("resnet20-cifar", 1), ("resnet20-cifar", 16), ("resnet18", 1))
PAIRS = (
    ("adder, fused", "adder, sums behind"),
    ("bytes, fused", "bytes, sums behind"),
    ("bytes, fused", "bytes, floats between"),
    ("binary, fused", "binary, sums behind"),
    ("binary, fused", "binary, floats between"),
)
LAYERS = (FusedAdder, CodedAdder, PackedBinary, KernelConv2d, KernelLinear, nn.Conv2d, nn.Linear)


def forms(name: str, x: Tensor, compiled: bool) -> Iterator[tuple[str, nn.Module]]:
    """The network in each form, by the name of the form."""
    adder = _trained(ZOO[name].build(Arithmetic.ADDER))
    binary = _trained(ZOO[name].build(Arithmetic.XNOR))
    convolutions = _trained(ZOO[name].build(Arithmetic.MAC))
    yield "convolutions", convolutions
    yield "convolutions, fused", fuse(convolutions)
    yield "adder", adder
    if compiled:
        yield "adder, torch.compile", torch.compile(adder)  # type: ignore[misc]
    packed = pack_binary(binary)
    with mock.patch("addercost.layers.fuse._add_shortcuts"):
        behind = fuse(adder), quantize_network(adder, x), fuse(packed)
    yield "adder, sums behind", behind[0]
    yield "adder, fused", fuse(adder)
    if compiled:
        yield "adder, fused, torch.compile", torch.compile(fuse(adder))  # type: ignore[misc]
    yield "bytes, sums behind", behind[1]
    yield "bytes, floats between", _in_floats(quantize_network(adder, x))
    yield "bytes, fused", quantize_network(adder, x)
    yield "binary, packed", packed
    yield "binary, sums behind", behind[2]
    yield "binary, floats between", _in_floats(fuse(packed))
    yield "binary, fused", fuse(packed)
    if compiled:
        yield "binary, fused, torch.compile", torch.compile(fuse(packed))  # type: ignore[misc]


def _trained(model: nn.Module) -> nn.Module:
    """The model in eval mode, with statistics of batch norms that keep values in range."""
    model.train()(torch.randn(8, 3, *((32, 32) if model_is_small(model) else (224, 224))))
    return model.eval()


def model_is_small(model: nn.Module) -> bool:
    return sum(parameter.numel() for parameter in model.parameters()) < 2_000_000


def _in_floats(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, CodedAdder):
            layer.next = None
        if isinstance(layer, PackedBinary):
            layer.signs = False
    return model


def layer_calls(model: nn.Module, x: Tensor) -> list[Callable[[], object]]:
    """A call for each of the model's layers, on the input that it has when the model runs on `x`."""
    calls: list[Callable[[], object]] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        held = [tensor.clone() for tensor in inputs]
        calls.append(lambda: layer.forward(*held))

    hooks = [layer.register_forward_pre_hook(keep) for layer in model.modules() if isinstance(layer, LAYERS)]
    model(x)
    for hook in hooks:
        hook.remove()
    return calls


class _Others(fx.Interpreter):
    """Runs a network and keeps a call of each operator that is no layer, on its operands."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.calls: list[Callable[[], object]] = []

    def run_node(self, n: fx.Node) -> Any:
        layer = n.op == "call_module" and isinstance(self.module.get_submodule(str(n.target)), LAYERS)
        if n.op.startswith("call_") and not layer:
            arguments, named = self.fetch_args_kwargs_from_env(n)
            held = [each.clone() if isinstance(each, Tensor) else each for each in arguments]
            run = getattr(self, n.op)
            self.calls.append(lambda: run(n.target, tuple(held), named))
        return super().run_node(n)


def other_calls(model: nn.Module, x: Tensor) -> list[Callable[[], object]]:
    """A call for each operator of a network of `fuse` that is no layer. None for other networks."""
    if not isinstance(model, fx.GraphModule):
        return []
    others = _Others(model)
    others.run(x)
    return others.calls


def _run(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratio(first: nn.Module, second: nn.Module, x: Tensor, seconds: float) -> str:
    """How many times as long `first` takes as `second`: by medians, and by the fastest runs."""
    models, times, end = (first, second), ([], []), time.perf_counter() + seconds  # type: ignore[var-annotated]
    while time.perf_counter() < end:
        for index in (0, 1, 1, 0):
            times[index].append(_seconds(lambda model=models[index]: model(x)))  # type: ignore[misc]
    medians, fastest = ([kind(each) for each in times] for kind in (statistics.median, min))
    return f"{medians[0] / medians[1]:9.3f}{fastest[0] / fastest[1]:9.3f}   {len(times[0])} runs"


def bench(name: str, batch: int, rounds: int, seconds: float, compiled: bool) -> Iterator[str]:
    torch.manual_seed(0)
    x = torch.randn(batch, *ZOO[name].input_shape[1:]).contiguous(memory_format=torch.channels_last)
    made = dict(forms(name, x, compiled))
    parts = {
        (form, kind): [] if "compile" in form else calls_of(model, x)
        for form, model in made.items()
        for kind, calls_of in (("layers", layer_calls), ("others", other_calls))
    }
    whole: dict[str, list[float]] = {form: [] for form in made}
    alone: dict[tuple[str, str], list[float]] = {part: [] for part in parts}
    for _ in range(rounds):
        for form, model in made.items():
            model(x)
            whole[form].append(min(_seconds(lambda model=model: model(x)) for _ in range(3)))  # type: ignore[misc]
            for part in ((form, "layers"), (form, "others")):
                run = partial(_run, parts[part])
                run()
                alone[part].append(min(_seconds(run) for _ in range(3)))
    yield f"\n{name}, batch {batch}, channels-last"
    heads = ("layers alone, ms", "others alone, ms", "beside layers", "beside both", "by convolutions")
    yield f"  {'':29}{'ms':>9}" + "".join(f"{head:>18}" for head in heads)
    reference = statistics.median(whole["convolutions, fused"])
    for form, times in whole.items():
        took = statistics.median(times)
        layers, others = (
            statistics.median(alone[form, kind]) if parts[form, kind] else 0.0
            for kind in ("layers", "others")
        )
        shown = (
            f"{1e3 * layers:.3f}" if layers else "",
            f"{1e3 * others:.3f}" if others else "",
            f"{took / layers:.3f}" if layers else "",
            f"{took / (layers + others):.3f}" if others else "",
            f"{took / reference:.2f}",
        )
        yield f"  {form:29}{1e3 * took:9.3f}" + "".join(f"{text:>18}" for text in shown)
    yield f"  {'in turns':48}{'medians':>9}{'fastest':>9}"
    for first, second in PAIRS:
        yield f"  {f'{first} / {second}':48}{ratio(made[first], made[second], x, seconds)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each pair that runs in turns")
    parser.add_argument("--only", default="", metavar="TEXT", help="networks whose name contains TEXT")
    parser.add_argument(
        "--compile", action="store_true", help="also torch.compile, which needs a C++ compiler"
    )
    parser.add_argument("--save", action="store_true", help="also into the folder of this processor")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    lines = [json.dumps(environment())]
    print(lines[0])
    with torch.inference_mode(False), torch.no_grad():
        for name, batch in NETWORKS:
            if options.only in f"{name} {batch}":
                for line in bench(name, batch, options.rounds, options.seconds, options.compile):
                    lines.append(line)
                    print(line, flush=True)
    if options.save:
        write_file(RESULTS / schedules_folder().name / "networks.txt", "\n".join(lines) + "\n", force=True)


if __name__ == "__main__":
    main()
