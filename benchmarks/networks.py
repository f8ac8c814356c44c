"""Times whole adder networks (module by module, fused, on bytes and packed), and compares them with the sum
of their layers.

    python -m benchmarks.networks --save

writes benchmarks/results/<processor>/networks.txt. Every form of a network runs once in each round, and so
does each of its layers alone, on its input in that network. A time is the median of the rounds; a sum is that
of the layers' medians. `beside layers` is the time of the network / the sum of its layers. The difference is
pooling, additions, batch norms and ReLUs that no layer computes, and the calls between layers. In "sums
behind" shortcuts are added behind the adder layers and not in their stores. In "signs between" packed layers
pass signs to each other where nothing else reads them.

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

import torch
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.kernels.cpu.dense.tuned import schedules_folder
from addercost.layers import CodedAdder, FusedAdder, PackedBinary, fuse, pack_binary, quantize_network
from addercost.layers.fuse import _finished, _with_stores
from addercost.layers.module import KernelConv2d, KernelLinear
from addercost.measure.devices.process_memory import keep_freed_memory
from addercost.models.zoo import ZOO
from addercost.results.files import write_file
from benchmarks.kernels import RESULTS, environment

NETWORKS = (("resnet20-cifar", 1), ("resnet20-cifar", 16), ("resnet18", 1))
PAIRS = (
    ("adder, fused", "adder, sums behind"),
    ("bytes, bytes between", "bytes, floats between"),
    ("binary, signs between", "binary, floats between"),
)
LAYERS = (FusedAdder, CodedAdder, PackedBinary, KernelConv2d, KernelLinear, nn.Conv2d, nn.Linear)


def forms(name: str, x: Tensor, compiled: bool) -> Iterator[tuple[str, nn.Module]]:
    """The network in each form, by the name of the form."""
    adder = _trained(ZOO[name].build(Arithmetic.ADDER))
    binary = _trained(ZOO[name].build(Arithmetic.XNOR))
    convolutions = _trained(ZOO[name].build(Arithmetic.MAC))
    coded = quantize_network(adder, x)
    yield "convolutions", convolutions
    yield "convolutions, fused", fuse(convolutions)
    yield "adder", adder
    if compiled:
        yield "adder, torch.compile", torch.compile(adder)  # type: ignore[misc]
    yield "adder, sums behind", _finished(_with_stores(adder, "fuse"))
    yield "adder, fused", fuse(adder)
    yield "bytes, floats between", _in_floats(quantize_network(adder, x))
    yield "bytes, bytes between", coded
    yield "binary, packed", pack_binary(binary)
    yield "binary, floats between", _in_floats(fuse(pack_binary(binary)))
    yield "binary, signs between", fuse(pack_binary(binary))


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
    layers = {form: [] if "compile" in form else layer_calls(model, x) for form, model in made.items()}
    whole: dict[str, list[float]] = {form: [] for form in made}
    alone: dict[str, list[list[float]]] = {form: [[] for _ in calls] for form, calls in layers.items()}
    for _ in range(rounds):
        for form, model in made.items():
            model(x)
            whole[form].append(min(_seconds(lambda model=model: model(x)) for _ in range(3)))  # type: ignore[misc]
            for call, times in zip(layers[form], alone[form], strict=True):
                call()
                times.append(min(_seconds(call) for _ in range(3)))
    yield f"\n{name}, batch {batch}, channels-last"
    yield f"  {'':24}{'ms':>9}{'layers alone, ms':>18}{'beside layers':>15}{'by convolutions':>17}"
    reference = statistics.median(whole["convolutions, fused"])
    for form, times in whole.items():
        took = statistics.median(times)
        total = sum(statistics.median(each) for each in alone[form])
        parts = f"{1e3 * total:18.3f}{took / total:15.3f}" if total else f"{'':33}"
        yield f"  {form:24}{1e3 * took:9.3f}{parts}{took / reference:17.2f}"
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
