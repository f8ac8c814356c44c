"""Real models of eight packages, traced and counted, beside the multiply-adds that torch executes.

    python -m benchmarks.models [--packages timm,diffusers] [--only resnet26d,Flux] [--repeats 3]

`make models-table` makes an environment with the packages and runs this. Every package runs in a process of
its own. A row says:

- configuration: `default` is the package's named model or the defaults of its class, `ours` one of ours;
- run: what the trace needed (meta: no data; fake: no data on the CPU; real: values);
- sites: the multiply-adds that addercost counts;
- executed: the multiply-adds of the forward as torch's dispatcher runs it (`executed_products.py`), with
  values on the CPU, or with shapes alone on the meta device for models that are too large for that;
- seconds: tracing and counting, the fastest of the repeats.

The exit code is 1 where a model fails, is not counted whole, or the two counts differ.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

from benchmarks.real_models.packages import PACKAGES, cases_of

COLUMNS = (
    f"  {'model':<26}{'configuration':<15}{'run':<6}{'sites':>19}{'executed':>19}  {'with':<7}{'seconds':>7}"
)


def measured(package: str, name: str, repeats: int) -> dict[str, Any]:
    """One model's row, or {"error"}. "uncounted" are the operators that no rule counts."""
    import torch

    from addercost.api import trace_model
    from addercost.counts.model import count
    from benchmarks.executed_products import executed_products

    torch.manual_seed(0)
    try:
        case = cases_of(package)[name]()
        case.model.eval()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            trace = trace_model(case.model, *case.args, kwargs=case.kwargs)
            counts = count(trace, "macs")
            seconds.append(time.perf_counter() - start)
        executed = executed_products(case.model, case.args, case.kwargs)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".partition("\n")[0][:200]}
    return {
        "configuration": "ours" if case.ours else "default",
        "run": trace.tracer,
        "sites": counts.mac_sites,
        "executed": executed.total(),
        "with": "values" if case.has_values else "shapes",
        "uncounted": sorted({operator.op for operator in counts.uncounted}),
        "seconds": min(seconds),
    }


def run_package(package: str, only: set[str], repeats: int) -> None:
    """Prints one line of JSON a model."""
    import torch

    from addercost.sources.torchvision_models import make_importable

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    make_importable()
    for name in cases_of(package):
        if not only or name in only:
            print(json.dumps({"model": name, **measured(package, name, repeats)}), flush=True)
            gc.collect()


def is_right(found: dict[str, Any]) -> bool:
    return "error" not in found and not found["uncounted"] and found["sites"] == found["executed"]


def text_row(found: dict[str, Any]) -> str:
    start = f"  {found['model']:<26}"
    if "error" in found:
        return f"{start}{found['error']}"
    difference = found["sites"] - found["executed"]
    verdict = f"differs by {difference:+,}" if difference else "equal"
    if found["uncounted"]:
        verdict += "; uncounted: " + ", ".join(found["uncounted"])
    counts = f"{found['sites']:>19,}{found['executed']:>19,}"
    return (
        f"{start}{found['configuration']:<15}{found['run']:<6}{counts}  {found['with']:<7}"
        f"{found['seconds']:>7.2f}  {verdict}"
    )


def rows_of(package: str, only: str, repeats: int) -> Iterator[dict[str, Any]]:
    """The rows of one package from a process of its own, and a row with an error where that process fails."""
    command = [sys.executable, "-m", "benchmarks.models", "--in-process", "--packages", package]
    with subprocess.Popen(
        [*command, "--only", only, "--repeats", str(repeats)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):  # packages print lines of their own
                yield json.loads(line)
    if process.returncode:
        yield {"model": package, "error": f"the process ended with {process.returncode}"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", default=",".join(PACKAGES))
    parser.add_argument("--only", default="")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_process:
        run_package(arguments.packages, set(filter(None, arguments.only.split(","))), arguments.repeats)
        return 0
    total = right = 0
    for package in arguments.packages.split(","):
        version = importlib.metadata.version(package.replace("_", "-"))
        print(f"{package} {version}\n{COLUMNS}", flush=True)
        for found in rows_of(package, arguments.only, arguments.repeats):
            total += 1
            right += is_right(found)
            print(text_row(found), flush=True)
    print(f"{right} of {total} models are traced, counted whole and have as many sites as torch executes")
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
