"""Measures this machine's processor into one folder of reports/: `python tools/machine_report.py`.

`gpu_check.py` measures a GPU.

`addercost bench` times every model in its own process: layer by layer, as a whole, and a training step.
`addercost verdict` reads the timings. Raw samples are kept. A part that fails, or that the time limit stops,
is named in README.md; its finished rows are kept, and the other parts run. When the command is given again,
it measures the missing rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limited_run import run_limited

from addercost.cost.verdict import CONTESTS
from addercost.hardware.matching import this_processor
from addercost.measure.contests import IMPLEMENTATIONS
from addercost.measure.environment import environment
from addercost.measure.journal import read_measurements, rescued
from addercost.measure.session import BenchSettings, open_device
from addercost.results.intervals import verdict
from addercost.results.measurements import Measurements
from addercost.results.network_ratio import network_ratio
from addercost.text import markdown_cell

BATCHES = {
    "lenet5-bn": 32, "lenet++": 32, "vgg-small": 4, "resnet20-cifar": 16, "resnet32-cifar": 16, "resnet18": 1,
    "resnet50-v1": 1, "resnet50": 1,
}  # fmt: skip
"""The models of the zoo."""
DTYPES = "fp32,bf16,int8"
ARITHMETICS = "mac,adder,xnor"

METHOD = """\
Made by `python tools/machine_report.py`; every figure here was measured on that machine, on one core. A
ratio is the convolutional network's time by the other's: above 1 the other is faster. Layers are timed one by
one, each in turn with the vendor's convolution, in the same number format where it has one, and added up.
Whole models and training steps are runs of the model, in turn with the same model of convolutions. Brackets
hold the 95 % interval."""
FILES = """\
Files of a model: `.json` has every sample, `.md` the rows, `.trace.json` tracks for a trace viewer;
`-verdict.md` says what the paper's rule, the throughput model, the measurement and energy tables say; `.svg`
shows predicted against measured."""


@dataclass
class Progress:
    """The time at which the run must end, and the problems so far."""

    end: float
    problems: list[str] = field(default_factory=list)

    @property
    def left_s(self) -> float:
        return self.end - time.monotonic()

    def run(self, arguments: Sequence[str], what: str, limit_s: float) -> bool:
        """Whether the command succeeded within the limit. If not, its last line becomes a problem."""
        print(f"{what} (up to {limit_s:.0f} s)", flush=True)
        command = [sys.executable, "-m", "addercost", *arguments]
        with tempfile.TemporaryFile() as output:
            ended = run_limited(command, max(limit_s, 1), output)
        if ended.code is None:
            self.problems.append(f"{what}: stopped after {limit_s:.0f} s; finished rows are kept")
        elif ended.code:
            self.problems.append(f"{what}: {ended.last_line or f'exit code {ended.code}'}")
        return ended.code == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, help="Default: reports/ and the processor's table.")
    parser.add_argument("--minutes", type=float, default=20.0, help="For everything. Default: 20.")
    parser.add_argument("--time-limit", type=float, default=0.4, help="Seconds for one timing. Default: 0.4.")
    parser.add_argument("--model", action="append", choices=tuple(BATCHES), help="Default: all; repeatable.")
    parser.add_argument("--dry-run", action="store_true", help="Print what would be measured.")
    options = parser.parse_args()
    models = options.model or list(BATCHES)
    if options.dry_run:
        for model in models:
            print(f"{model}: batch {BATCHES[model]}, {DTYPES}, {ARITHMETICS}")
        return
    settings = BenchSettings()
    device = open_device(settings)
    facts = environment(device.facts)
    device.close()
    folder = options.output or Path("reports") / this_processor()
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(time.monotonic() + 60 * options.minutes)
    tables = host_table(folder, progress)
    for number, model in enumerate(models):
        share_s = progress.left_s / (len(models) - number)
        if share_s < 5:
            progress.problems.append(f"{model}: no time left")
            continue
        measure(model, folder, tables, options.time_limit, share_s, progress)
    found = {
        model: read_measurements(folder / f"{model}.json")
        for model in BATCHES
        if (folder / f"{model}.json").exists()
    }
    (folder / "README.md").write_text(
        "\n".join(index(facts, found, progress.problems)) + "\n", encoding="utf-8"
    )
    print(f"written to {folder}", *progress.problems, sep="\n")


def host_table(folder: Path, progress: Progress) -> tuple[str, ...]:
    """The options for estimates by this machine's own table, if it can be calibrated."""
    table = folder / "host.toml"
    made = table.exists() or progress.run(["calibrate", "--save", str(table), "-q"], "calibrate", 60)
    return ("--cpu", "host", "--hardware-path", str(folder)) if made else ()


def measure(
    model: str,
    folder: Path,
    tables: Sequence[str],
    time_limit_s: float,
    limit_s: float,
    progress: Progress,
) -> None:
    """Writes the files of one model: timings, their table, tracks for a trace viewer, verdict and figure."""
    document, began = folder / f"{model}.json", time.monotonic()
    files = [str(document.with_suffix(suffix)) for suffix in (".md", ".trace.json")]
    if not document.exists():
        timed = progress.run(
            [
                "bench", f"zoo:{model}", "--batch", str(BATCHES[model]),
                "--arithmetic", ARITHMETICS, "--dtype", DTYPES, "--end-to-end", "--training",
                "--precision", "2%", "--time-limit", f"{time_limit_s:g}", *tables, "-q", "-o", str(document),
            ],
            f"bench {model}",
            limit_s,
        )  # fmt: skip
        if not timed and not rescued(document):
            return
    left_s = max(limit_s - (time.monotonic() - began), 30.0)
    show = ["bench", "show", str(document), "--force", "-o", files[0], "--chrome-trace", files[1]]
    # Timings may be older than the table, so its estimates are added to them now.
    show += [*tables, "-o", str(document)] if tables else []
    progress.run(show, f"tables of {model}", left_s)
    ask = ["verdict", f"zoo:{model}", "--measurements", str(document), *tables, "-q", "--force"]
    target = str(folder / f"{model}-verdict.md")
    progress.run([*ask, "--format", "markdown", "-o", target], f"verdict on {model}", left_s)
    if tables:
        plot = ["plot", "predicted-vs-measured", str(document), "-o", str(folder / f"{model}.svg"), "--force"]
        progress.run(plot, f"figure of {model}", left_s)


def index(facts: dict[str, str], found: dict[str, Measurements], problems: Sequence[str]) -> Iterator[str]:
    """The lines of README.md: ratios of networks, the machine, and missing measurements."""
    yield f"# Measured on {markdown_cell(facts['cpu'])}"
    yield ""
    yield from METHOD.splitlines()
    yield ""
    yield "| model | compared | by | CNN time / its time | than the CNN |"
    yield "| --- | --- | --- | --- | --- |"
    for model, timings in found.items():
        for cells in (*_layer_ratios(timings), *_whole_ratios(timings)):
            batch = timings.settings.get("batch", "")
            yield f"| {' | '.join(map(markdown_cell, (f'{model}, batch {batch}', *cells)))} |"
    yield ""
    yield from FILES.splitlines()
    yield ""
    yield "## Machine"
    yield ""
    yield from (f"- {markdown_cell(name)}: {markdown_cell(value)}" for name, value in facts.items())
    if problems:
        yield ""
        yield "## Not measured"
        yield ""
        yield from (f"- {markdown_cell(problem)}" for problem in problems)


def _layer_ratios(timings: Measurements) -> Iterator[tuple[str, str, str, str]]:
    for contest in CONTESTS:
        by = IMPLEMENTATIONS[contest.name]
        found = network_ratio(timings, contest.arithmetic.value, by, contest.number_format)
        if found is not None:
            interval = found.low, found.high
            missing = f", without {len(found.left_out)} layers" if found.left_out else ""
            what = f"{contest.name}: {contest.arithmetic} layers"
            yield (
                what,
                f"{found.own} / {found.reference}",
                _ratio(found.ratio, interval),
                f"{found.verdict}{missing}",
            )


def _whole_ratios(timings: Measurements) -> Iterator[tuple[str, str, str, str]]:
    for row in timings.rows:
        if row.path or row.ratio is None or row.arithmetic == "mac":
            continue
        time_ratio, interval = row.ratio
        inverse = (1 / interval[1], 1 / interval[0]) if interval else None
        what = f"{row.dtype}: {row.arithmetic}, whole model"
        unconverged = ", unconverged" if row.converged is False else ""
        yield what, row.implementation, _ratio(1 / time_ratio, inverse), f"{verdict(interval)}{unconverged}"


def _ratio(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}"


if __name__ == "__main__":
    main()
