"""The parts of `make gpu-check`: what each runs in its process, and its time limit."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addercost.results.measurements import Measurements

CHECK = Path(__file__).resolve().with_name("gpu_check.py")
RUN_PART = "--run-part"
LIMIT_S = 0.1
"""Time limit of a row: enough for 1 % on a calm GPU."""
WHOLE_S = 40.0
"""Time limit of a part with whole models."""
LOST = 75
"""The exit code of a part whose GPU refuses all work after a row's kernel failed. Another process
continues.
"""


@dataclass(frozen=True)
class Network:
    name: str
    batch: int
    keep_first_last: bool
    layers_s: float
    """Time limit of the part with its layers."""


NETWORKS = (
    Network("resnet18", 32, True, 80),
    Network("resnet20-cifar", 128, True, 50),
    Network("resnet50", 32, True, 120),
    Network("vgg-small", 128, True, 50),
    Network("lenet5-bn", 128, False, 40),
)
"""The paper's networks, the most informative first. First and last layers stay convolutions, except in
LeNet.
"""
LEFT_OUT = (("mac", "fp16"), ("adder", "bf16"))
"""Rows that are left out because others show the same: tensor cores take as long for fp16 as for bf16, and so
does our layer.
"""


@dataclass(frozen=True)
class CheckPart:
    """A part. results: the file that it writes, relative to the folder."""

    name: str
    what: str
    limit_s: float
    command: tuple[str, ...]
    results: str = ""


def parts(folder: Path) -> list[CheckPart]:
    """All parts, the most important first, since a check that runs out of time leaves out the last."""
    python = sys.executable
    doctor = str(folder / "doctor.json")
    made = [
        CheckPart(
            "doctor",
            "what this machine offers",
            40,
            (python, "-m", "addercost", "doctor", "--format", "json", "-o", doctor, "--force"),
            "doctor.json",
        )
    ]
    if importlib.util.find_spec("pytest") is not None:
        tests = ("tests/kernels/test_gpu_device.py", "tests/measure/test_cuda_device.py")
        options = ("-q", "-p", "no:cacheprovider", "-m", "gpu")
        made.append(
            CheckPart(
                "tests",
                "every GPU kernel against the reference",
                110,
                (python, "-m", "pytest", *options, *tests),
                "tests.txt",
            )
        )
    else:
        said = "pytest is not installed, so no tests ran: pip install pytest"
        made.append(CheckPart("tests", said, 5, (python, "-c", f"import sys; sys.exit({said!r})")))
    for kind, what, limit in (
        ("whole", "whole models and training steps, CNN against adder", lambda n: WHOLE_S),
        ("layers", "every layer by every kernel", lambda n: n.layers_s),
    ):
        for network in NETWORKS:
            name = f"{network.name}-{kind}"
            command = (python, str(CHECK), RUN_PART, f"{network.name}:{kind}", "--folder", str(folder))
            made.append(CheckPart(name, f"{network.name}, {what}", limit(network), command, f"{name}.json"))
    return made


def run_part(text: str, folder: Path) -> tuple[Measurements, Path]:
    """Times one network's layers, or the whole network, and writes the document. Returns the document and its
    path. A killed run leaves a journal beside that path.

    text: `resnet18:layers` or `resnet18:whole`. Exits with LOST where the GPU refuses all work after a row.
    The journal has that row, and another process continues with the next.
    """

    from addercost.api import trace_spec
    from addercost.arithmetic import Arithmetic
    from addercost.measure.devices.cuda import CudaDevice
    from addercost.measure.session import BenchSettings, measure, model_uses
    from addercost.results.files import write_file
    from addercost.results.journal_lines import journal_path
    from addercost.results.measurements import measurements_to_json

    name, _, kind = text.partition(":")
    network = next(n for n in NETWORKS if n.name == name)
    whole = kind == "whole"
    settings = BenchSettings(
        arithmetics=(Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR),
        dtypes=("fp32", "bf16") if whole else ("fp32", "fp16", "bf16", "int8"),
        device="cuda",
        batch=network.batch,
        time_limit_s=LIMIT_S,
        keep_first_last=network.keep_first_last,
        cpus=(),
    )
    trace = trace_spec(f"zoo:{name}")
    # Energy takes half a second for each row, since its counter changes only every few hundredths of a
    # second.
    device = CudaDevice(counts_energy=whole)
    file = folder / f"{name}-{kind}.json"
    notes: tuple[str, ...] = (f"batch {network.batch}",)
    if whole:
        uses, extra = (), whole_rows(network, settings)
        notes += (
            "fp32 convolutions of whole models run as torch is set, with TF32 where the record says so",
        )
    else:
        found, remarks = model_uses(trace, settings)
        uses, extra, notes = (), layer_plans(found, settings), notes + remarks
    result = measure(trace.model, uses, settings, device, file, extra, notes, leave_a_lost_gpu)
    write_file(file, measurements_to_json(result), force=True)
    journal_path(file).unlink(missing_ok=True)
    return result, file


def leave_a_lost_gpu(number, plan, entry):  # type: ignore[no-untyped-def]
    """Ends the process with LOST where the GPU refuses all work after a row that failed, as it does after an
    illegal address."""
    import torch

    from addercost.results.measurements import FailedRow

    if not isinstance(entry, FailedRow):
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        print(f"{plan.key}: {str(error).strip().splitlines()[0]}", flush=True)
        os._exit(LOST)  # no destructors, which would abort


def layer_plans(uses, settings):  # type: ignore[no-untyped-def]
    import torch

    from addercost.measure.contenders.contender import Place
    from addercost.measure.plan import layer_rows

    place = Place(torch.device(settings.device))
    rows = layer_rows(uses, settings.arithmetics, settings.dtypes, place, settings.cache)
    return [plan for plan in rows if (plan.row.arithmetic, plan.row.dtype) not in LEFT_OUT]


def whole_rows(network: Network, settings):  # type: ignore[no-untyped-def]
    """Rows of the network's eager forward and training step. Compiling each would take longer than all other
    rows.
    """
    import torch

    from addercost.arithmetic import Arithmetic
    from addercost.measure.whole_model import EAGER, TRAINING, model_rows
    from addercost.sources.loading import load_model

    loaded = load_model(f"zoo:{network.name}")
    assert loaded.inputs is not None and loaded.rebuild is not None
    inputs = [torch.empty((network.batch, *x.shape[1:]), device="meta") for x in loaded.inputs.args]

    def rows(arithmetics, dtypes, mode):  # type: ignore[no-untyped-def]
        device = torch.device("cuda")
        return list(
            model_rows(
                loaded.rebuild, inputs, arithmetics, dtypes, (mode,), device, settings.cache,
                settings.keep_first_last,
            )
        )  # fmt: skip

    # A part that takes too long leaves out the last rows.
    pair, others = (Arithmetic.MAC, Arithmetic.ADDER), settings.dtypes[1:]
    return [
        *rows(pair, ("fp32",), EAGER),
        *rows(pair, ("fp32",), TRAINING),
        *rows((Arithmetic.XNOR,), ("fp32",), EAGER),
        *rows(settings.arithmetics, others, EAGER),
    ]
