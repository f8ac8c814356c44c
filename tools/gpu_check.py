"""Tests, benchmarks and a report on a machine with a GPU, within eight minutes. Usage:

    python3 tools/gpu_check.py [--folder reports] [--minutes 8] [--dry-run]

Needs torch and Triton, and of other packages what `addercost bench` needs; builds and installs nothing. Each
part runs in a process of its own with a time limit: one that fails or is late is a line of the report, what
it had measured is kept, and the others go on. Writes reports/<name of the GPU>/, its README.md anew after
every part.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from limited_run import run_limited

ROOT = Path(__file__).parent.parent
LIMIT_S = 0.1
"""Of a row: enough for 1 % on a calm GPU."""
RESERVED_S = 20
"""For the report."""
WHOLE_S = 40.0
"""Of a part with whole models."""
GRACE_S = 5.0
"""From an interrupt, upon which pytest says what it has found so far, to a kill."""
PROBE_S = 90.0
"""A first import of torch reads gigabytes."""
LOST = 75
"""Exit code of a part whose GPU refuses all work since a row's kernel failed: another process goes on."""
RUN_PART = "--run-part"


@dataclass(frozen=True)
class Network:
    name: str
    batch: int
    keep_first_last: bool
    layers_s: float
    """Time limit of its layers."""


NETWORKS = (
    Network("resnet18", 32, True, 80),
    Network("resnet20-cifar", 128, True, 50),
    Network("resnet50", 32, True, 120),
    Network("vgg-small", 128, True, 50),
    Network("lenet5-bn", 128, False, 40),
)
"""The paper's, those that say most first. First and last layers stay convolutions, but for LeNet."""
LEFT_OUT = (("mac", "fp16"), ("adder", "bf16"))
"""What another row tells already: tensor cores take both halves alike, and so does our layer."""


@dataclass(frozen=True)
class Part:
    name: str
    what: str
    limit_s: float
    command: tuple[str, ...]
    results: str = ""
    """The file it makes, relative to the folder."""


@dataclass(frozen=True)
class Outcome:
    part: Part
    state: str
    took_s: float
    said: str


def parts(folder: Path) -> list[Part]:
    """In the order of what would be missed most."""
    python, this = sys.executable, str(Path(__file__).resolve())
    doctor = str(folder / "doctor.json")
    made = [
        Part(
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
            Part(
                "tests",
                "every GPU kernel against the reference",
                110,
                (python, "-m", "pytest", *options, *tests),
                "tests.txt",
            )
        )
    else:
        said = "pytest is not installed, so no tests ran: pip install pytest"
        made.append(Part("tests", said, 5, (python, "-c", f"import sys; sys.exit({said!r})")))
    for kind, what, limit in (
        ("whole", "whole models and training steps, CNN against adder", lambda n: WHOLE_S),
        ("layers", "every layer by every kernel", lambda n: n.layers_s),
    ):
        for network in NETWORKS:
            name = f"{network.name}-{kind}"
            command = (python, this, RUN_PART, f"{network.name}:{kind}", "--folder", str(folder))
            made.append(Part(name, f"{network.name}, {what}", limit(network), command, f"{name}.json"))
    return made


def run_part(text: str, folder: Path) -> None:
    """One network's layers, or the whole of it; the journal beside its file is what a killed run leaves.

    Exits with LOST where a row took the GPU with it; the journal has that row, and a second run the others.
    """
    from addercost.api import trace_spec
    from addercost.arithmetic import Arithmetic
    from addercost.measure.devices.cuda import CudaDevice
    from addercost.measure.journal import journal_path
    from addercost.measure.session import BenchSettings, measure, model_uses
    from addercost.results.files import write_file
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
    # Energy takes half a second a row, for a counter that moves every few hundredths.
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


def leave_a_lost_gpu(number, plan, entry):  # type: ignore[no-untyped-def]
    """After a row that failed: an illegal address, say, ends all work of the process on the GPU."""
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
    """Forward and training step of the network, eager: compiling each would take longer than all the rest."""
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

    # A part that is late loses the last ones.
    pair, others = (Arithmetic.MAC, Arithmetic.ADDER), settings.dtypes[1:]
    return [
        *rows(pair, ("fp32",), EAGER),
        *rows(pair, ("fp32",), TRAINING),
        *rows((Arithmetic.XNOR,), ("fp32",), EAGER),
        *rows(settings.arithmetics, others, EAGER),
    ]


def carry_out(part: Part, folder: Path, left_s: float) -> Outcome:
    """Runs a part and says what came of it; its output goes to a file of its own."""
    log = folder / ("tests.txt" if part.name == "tests" else f"{part.name}.log")
    limit_s = min(part.limit_s, left_s)
    if limit_s < 1:
        return Outcome(part, "not run", 0.0, "the time was used up")
    start, lost = time.monotonic(), list[str]()
    log.unlink(missing_ok=True)
    while True:
        with log.open("a+b") as output:
            left = limit_s - (time.monotonic() - start)
            ended = run_limited(
                part.command, left, output, ROOT, os.environ | {"PYTHONPATH": str(ROOT)}, GRACE_S
            )
        last = ended.last_line[:200]
        if ended.code != LOST or last in lost:
            break
        lost.append(last)
    done = ended.code == 0
    if done and part.name != "tests" and not lost:
        log.unlink()
    said = last if part.name == "tests" or not done else ""
    if lost:
        said = f"the GPU was lost {len(lost)} times, at {lost[-1]}"
    state = "done" if done else "failed" if ended.code is not None else "late"
    return Outcome(part, state, time.monotonic() - start, said)


def keep_what_was_measured(folder: Path) -> None:
    """Documents out of the journals of parts that were killed, and no journals."""
    from addercost.errors import AddercostError
    from addercost.measure.journal import rescued

    for journal in sorted(folder.glob("*.journal")):
        with contextlib.suppress(AddercostError):
            rescued(journal.with_suffix(""))
        # Without a whole row there is nothing to keep, and the part's next run would be refused.
        journal.unlink(missing_ok=True)


def write_tables(folder: Path, since: float = 0.0) -> list[str]:
    """Markdown and CSV of every document; returns the sums for the summary. since: seconds as of a file's
    time, before which a document is an earlier run's, and said to be."""
    from addercost.errors import AddercostError
    from addercost.measure.journal import read_measurements
    from addercost.report.bench_table import bench_table, sum_table
    from addercost.report.tables import TableFormat, render
    from addercost.results.files import write_file

    sums = []
    for file in sorted(folder.glob("*-layers.json")) + sorted(folder.glob("*-whole.json")):
        try:
            result = read_measurements(file)
        except AddercostError as error:
            sums.append(f"## {file.stem}\n\nCannot be read: {error}")
            continue
        table = bench_table(result)
        write_file(file.with_suffix(".md"), render(table, TableFormat.MARKDOWN), force=True)
        write_file(file.with_suffix(".csv"), render(table, TableFormat.CSV), force=True)
        summed = sum_table(result)
        shown = summed if summed is not None else table
        earlier = f" (of an earlier run, {result.environment.get('date', 'undated')})"
        title = file.stem + (earlier if file.stat().st_mtime < since else "")
        sums.append(f"## {title}\n\n{render(shown, TableFormat.MARKDOWN)}")
    return sums


def summary(device: str, outcomes: Sequence[Outcome], sums: Sequence[str], started: str) -> str:
    rows = [
        "| part | what | state | seconds | last line |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for o in outcomes:
        said = o.said.replace("|", "\\|")
        rows.append(f"| {o.part.name} | {o.part.what} | {o.state} | {o.took_s:.0f} | {said} |")
    head = f"""# {device}

Made by `make gpu-check` on {started}. Raw samples, environment and commit are in the JSON files; each table
lies beside its file. A part that failed or was late is marked here, and what it had measured is kept.
"""
    return "\n".join([head, *rows, "", *(f"{text}\n" for text in sums)])


def probe() -> tuple[str, str]:
    """(name of the GPU, "") or ("", why there is none), asked in another process: a context takes memory."""
    code = (
        "import json, torch\n"
        "from addercost.measure.devices.cuda_availability import usable_device\n"
        "from addercost.errors import AddercostError\n"
        "try:\n"
        "    print(json.dumps([torch.cuda.get_device_name(usable_device()), '']))\n"
        "except AddercostError as error:\n"
        "    print(json.dumps(['', str(error)]))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PROBE_S,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"the GPU did not answer within {PROBE_S:.0f} s"
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return "", f"torch cannot be used here: {last}"
    name, why = json.loads(done.stdout.strip().rpartition("\n")[2])
    return name, why


def folder_name(device: str) -> str:
    """`NVIDIA H200` as nvidia-h200."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "gpu"


def check(
    reports: Path, end: float, device: str, chosen: str, carry: Callable[..., Outcome] = carry_out
) -> list[Outcome]:
    """Every part that is `chosen`, until `end` of the monotonic clock but for the report."""
    folder = (reports / folder_name(device)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A journal of an earlier run, made elsewhere or by another version, would refuse this one's rows.
    keep_what_was_measured(folder)
    started = datetime.datetime.now(datetime.UTC).date().isoformat()
    since = time.time()
    outcomes: list[Outcome] = []

    def report() -> None:
        keep_what_was_measured(folder)
        text = summary(device, outcomes, write_tables(folder, since), started)
        (folder / "README.md").write_text(text)

    wanted = [part for part in parts(folder) if chosen in part.name]
    # Kept up to date, so that whatever ends this, the report of what there is lies there.
    for part in wanted:
        outcomes.append(carry(part, folder, end - RESERVED_S - time.monotonic()))
        o = outcomes[-1]
        print(f"{o.part.name:24} {o.state:8} {o.took_s:4.0f} s  {o.said}", flush=True)
        report()
    print(f"written to {folder}")
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "reports")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", default="", metavar="TEXT", help="parts whose name holds it")
    parser.add_argument("--dry-run", action="store_true", help="print the parts and their time limits")
    parser.add_argument(RUN_PART, default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    if options.run_part:
        run_part(options.run_part, options.folder)
        return 0
    if options.dry_run:
        for part in parts(options.folder / "<gpu>"):
            if options.only in part.name:
                print(f"{part.name:24} at most {part.limit_s:4.0f} s  {part.what}")
        print(f"all together at most {options.minutes:g} minutes, {RESERVED_S} s of them for the report")
        return 0
    device, why = probe()
    if not device:
        print(f"gpu-check: {why}", file=sys.stderr)
        return 1
    outcomes = check(options.folder, end, device, options.only)
    return 0 if all(o.state == "done" for o in outcomes) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
