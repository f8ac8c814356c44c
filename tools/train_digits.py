"""Trains what the paper compares on scikit-learn's digits and writes reports/training-digits. Takes minutes.

Usage: python tools/train_digits.py [--seeds 5] [--epochs 30] [--jobs 2] [--only-report]

Runs are kept under output/, and a finished run is not repeated. The paper does not print the factor of the
increased rate. It is chosen for each gradient on a part of the training images, and never on the test images.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

RUNS = Path("output/training-digits")
FACTORS = (0.3, 1.0, 3.0, 10.0, 30.0)
METHODS: dict[str, dict[str, Any]] = {
    "cnn": {"model": "zoo:lenet5-bn"},
    "cnn-norms": {"model": "examples/lenet5_normalized.py"},
    "full-alr": {"model": "zoo:lenet5-bn:adder"},
    "full-ilr": {"model": "zoo:lenet5-bn:adder", "rate": "increased"},
    "sign-alr": {"model": "zoo:lenet5-bn:adder", "adder_gradient": "sign"},
    "sign-ilr": {"model": "zoo:lenet5-bn:adder", "rate": "increased", "adder_gradient": "sign"},
    "bnn": {"model": "zoo:lenet5-bn:xnor"},
}
TUNED = ("full-ilr", "sign-ilr")
PICTURE_EPOCHS = 12
PICTURES: dict[str, dict[str, Any]] = {
    # The CNN has no norm on its two features, and diverges at 0.1.
    "features-cnn": {"model": "zoo:lenet++", "learning_rate": 0.01},
    "features-adder": {"model": "zoo:lenet++:adder"},
}
NAMES = {
    "cnn": "CNN",
    "cnn-norms": "CNN with norms",
    "full-alr": "full gradient, ALR",
    "full-ilr": "full gradient, ILR",
    "sign-alr": "sign gradient, ALR",
    "sign-ilr": "sign gradient, ILR",
    "bnn": "BNN",
    "features-cnn": "CNN",
    "features-adder": "AdderNet",
}


def train_one(job: tuple[str, str, dict[str, Any]]) -> tuple[str, float]:
    """(folder, processor seconds) of one run. A run may be resumed, or finished already."""
    folder, name, settings = job
    import torch

    from addercost.errors import TrainingError
    from addercost.train.run import train
    from addercost.train.settings import TrainSettings

    torch.set_num_threads(1)
    start = time.process_time()
    fresh = not Path(folder).exists()
    try:
        train(TrainSettings(**settings), Path(folder), name=name, resume=True)
    except TrainingError as error:
        # Training stops where the factor is too large; the accuracy of its last epoch is kept.
        print(f"{folder}: {error}", file=sys.stderr)
    seconds = time.process_time() - start
    kept = Path(folder) / "seconds.json"
    if fresh:
        kept.write_text(json.dumps(seconds))
    return folder, json.loads(kept.read_text()) if kept.exists() else 0.0


def train_all(jobs: list[tuple[str, str, dict[str, Any]]], workers: int) -> dict[str, float]:
    """Trains all runs. Returns processor seconds by folder. Each run has one thread, so that its result does
    not depend on other runs.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = {}
        for folder, seconds in pool.map(train_one, jobs):
            done[folder] = seconds
            print(f"{len(done)} of {len(jobs)}: {folder}", file=sys.stderr, flush=True)
        return done


def accuracy(folder: str) -> float:
    rows = json.loads((Path(folder) / "log.json").read_text())
    return float(rows[-1]["test_accuracy_percent"])


def columns(folder: str) -> tuple[str, str]:
    """Classes and predictions of the test images, one digit each."""
    with (Path(folder) / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return "".join(row["class"] for row in rows), "".join(row["predicted"] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--reports", type=Path, default=Path("reports/training-digits"))
    parser.add_argument("--only-report", action="store_true", help="train nothing; tables and pictures anew")
    options = parser.parse_args()
    if options.only_report:
        write_reports(options.reports)
        return
    common = {"epochs": options.epochs, "batch": 32}

    tuning = []
    for method in TUNED:
        for factor in FACTORS:
            settings = {**common, **METHODS[method], "data": "digits-tune", "increase": factor}
            tuning.append((str(RUNS / "tuning" / f"{method}-{factor:g}"), method, settings))
    seconds = train_all(tuning, options.jobs)
    tried = [
        {"method": method, "increase": settings["increase"], "accuracy_percent": accuracy(folder)}
        for folder, method, settings in tuning
    ]
    best = {
        method: max(
            (row for row in tried if row["method"] == method), key=lambda row: row["accuracy_percent"]
        )
        for method in TUNED
    }
    jobs = []
    for method, settings in METHODS.items():
        chosen = {"increase": best[method]["increase"]} if method in best else {}
        for seed in range(options.seeds):
            folder = str(RUNS / method / f"seed-{seed}")
            jobs.append(
                (folder, NAMES[method], {**common, **settings, **chosen, "data": "digits", "seed": seed})
            )
    pictures = [
        (str(RUNS / name), NAMES[name], {**common, **settings, "epochs": PICTURE_EPOCHS, "data": "digits"})
        for name, settings in PICTURES.items()
    ]
    seconds |= train_all(jobs + pictures, options.jobs)

    runs = [
        {
            "method": Path(folder).parent.name,
            "seed": settings["seed"],
            "model": settings["model"],
            "predicted": columns(folder)[1],
            "seconds": round(seconds[folder], 1),
        }
        for folder, _, settings in jobs
    ]
    write_results(jobs[0][0], runs, tried, sum(seconds.values()))
    write_reports(options.reports)


def write_results(
    folder: str, runs: list[dict[str, Any]], tried: list[dict[str, Any]], processor_s: float
) -> None:
    from addercost.hardware.this_machine import processor_id
    from addercost.results.accuracies import RESULTS, SCHEMA
    from addercost.train.folder import read_run

    settings, environment = read_run(Path(folder))
    shared = ("epochs", "batch", "optimizer", "learning_rate", "momentum", "weight_decay", "schedule", "eta")
    document = {
        "schema": SCHEMA,
        "dataset": "digits",
        "labels": columns(folder)[0],
        "environment": {
            **{key: str(value) for key, value in environment.items() if key != "device"},
            "processor": processor_id(),
            "cores": str(os.cpu_count()),
            "processor seconds of all runs": f"{processor_s:.0f}",
        },
        "settings": {name: str(getattr(settings, name)) for name in shared},
        "tuning": tried,
        "runs": runs,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def write_reports(folder: Path) -> None:
    """Writes the tables, which a test reproduces, and the plots, which need the runs."""
    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.plots.kinds import draw_training
    from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
    from addercost.report.training_report import training_report_files
    from addercost.results.accuracies import digits_accuracies
    from addercost.results.saved import read_saved
    from addercost.results.training import TrainingRun

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in training_report_files(digits_accuracies()).items():
        (folder / name).write_text(text, encoding="utf-8")

    if not RUNS.exists():
        print("no runs under output/: the pictures are left as they are", file=sys.stderr)
        return

    def median_seed(method: str) -> TrainingRun:
        """The run whose accuracy is the median of the seeds'."""
        runs = [record(str(path.relative_to(RUNS))) for path in sorted((RUNS / method).glob("seed-*"))]
        return sorted(runs, key=lambda run: run.accuracy_percent or 0.0)[len(runs) // 2]

    def record(path: str) -> TrainingRun:
        made = read_saved(RUNS / path)
        assert isinstance(made, TrainingRun)
        return made

    schemes = [median_seed(method) for method in ("full-alr", "full-ilr", "sign-alr", "sign-ilr")]
    both = [median_seed(method) for method in ("cnn-norms", "full-alr")]
    features = [record(name) for name in PICTURES]
    for kind, name, records in (
        ("curves", "optimisation-schemes", schemes),
        ("curves", "curves", [*both, median_seed("bnn")]),
        ("gradients", "gradients", both),
        ("histogram", "weights", both),
        ("filters", "filters", both),
        ("features", "features", features),
    ):
        drawn = draw_training(kind, records, PlotOptions())
        (folder / f"{name}.svg").write_bytes(figure_bytes(drawn, FigureFormat.SVG))
        (folder / f"{name}.csv").write_text(render(drawn.table, TableFormat.CSV), encoding="utf-8")


if __name__ == "__main__":
    main()
