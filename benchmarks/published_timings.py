"""Compares `eager` and `fused` with published timings of networks, with default and with fitted numbers.

    python -m benchmarks.published_timings --measured FILE.csv --time COLUMN --cpu NAME --run fused|eager
        [--where COLUMN=VALUE …] [--dtype fp16] [--cores N --clock 3.3GHz --bandwidth 93.9GB/s]
        [--counts FILE] [--sample N] [--extract FILE]

FILE.csv has the columns model, image_size and batch, as timm's published results do. Each network is traced
by its name in timm and counted; --counts keeps the counts, so that a second run takes seconds. Half of the
families of networks are drawn at random and fitted, and the other half is predicted, then the other way
round, for each of --seeds. --extract writes measured times and counts of --sample networks, which tests read.
"""

from __future__ import annotations

import argparse
import csv
import json
import pickle
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from addercost.analysis.network_kind import network_family
from addercost.arithmetic import OpClass, OpCounts
from addercost.cost.effective_rates import efficiency_of
from addercost.cost.efficiency_fit import nearest, unit_seconds
from addercost.cost.layers import LayerKind, kind_of
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.model import LayerCounts, count
from addercost.counts.runs import NOTHING, LayerRuns
from addercost.errors import AddercostError
from addercost.measure.validation.published import chosen, traced
from addercost.results.published_timings import PublishedTiming, TimingColumns, read_timings
from addercost.units import parse_quantity, si

BAND = 0.25
Kinds = Mapping[LayerKind, int]


def main() -> int:
    options = _options()
    target = _target(options)
    where = dict(text.split("=", 1) for text in options.where)
    columns = TimingColumns(options.time, "ms", "model", "batch", "image_size", where)
    timings = chosen(read_timings(options.measured, columns), options.sample)
    networks = _counted(timings, options.dtype, options.counts)
    known = [timing for timing in timings if networks[timing.label]]
    layers = [list(_layers(networks[timing.label])) for timing in known]
    if options.extract:
        _write_extract(options.extract, known, [networks[timing.label] for timing in known])
    measured = np.array([timing.seconds for timing in known])
    families = [network_family(timing.model) for timing in known]
    part = f"{target.cores} cores, " if target.cores else ""
    print(
        f"{len(known)} of {len(timings)} networks of {options.measured.name}, {len(set(families))} families"
    )
    print(f"{target.name}: {part}{si(target.clock_hz or 0, 'Hz')}, {si(_bandwidth(target), 'B/s')}")
    print(f"{'':44}within 25 %  within 10 %  Spearman  median error  90th")
    sites = np.array([sum(layer.mac_sites for layer in network) for network in layers], dtype=float)
    moved = np.array([sum(layer.bytes_read for layer in network) for network in layers], dtype=float)
    _say("MAC sites, scaled to the median", _scaled(sites, measured), measured)
    _say("bytes, scaled to the median", _scaled(moved, measured), measured)
    parts = np.array([unit_seconds(network, target, options.run) for network in layers])
    default = efficiency_of(target, options.run)
    numbers = np.array([1 / default.arithmetic_share, 1 / default.bandwidth_share, default.call_s])
    predicted = parts @ numbers
    _say(f"{options.run}, as the table has it", predicted, measured)
    _say_anchored(predicted, measured, [timing.label for timing in known], options.run)
    asked, truth = [], []
    for seed in range(options.seeds):
        half = _half(families, seed)
        for fitted in (half, ~half):
            found = nearest(parts[fitted], measured[fitted])
            asked.append(parts[~fitted] @ found)
            truth.append(measured[~fitted])
        _say(
            f"{options.run}, three numbers, seed {seed}",
            np.concatenate(asked[-2:]),
            np.concatenate(truth[-2:]),
        )
    _say(f"{options.run}, three numbers, all seeds", np.concatenate(asked), np.concatenate(truth))
    found = nearest(parts, measured)
    print(
        f"fitted on all: {1 / found[0]:.3f} of the throughput, {1 / found[1]:.3f} of the bandwidth, "
        f"{si(found[2], 's')} a kernel"
    )
    _say_families(parts @ found, measured, families)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measured", type=Path, required=True)
    parser.add_argument("--time", default="ms_per_batch")
    parser.add_argument("--where", action="append", default=[])
    parser.add_argument("--cpu", required=True)
    parser.add_argument("--run", choices=("eager", "fused"), required=True)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--cores", type=int)
    parser.add_argument("--clock")
    parser.add_argument("--bandwidth")
    parser.add_argument("--counts", type=Path)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--extract", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    return parser.parse_args()


def _target(options: argparse.Namespace) -> Target:
    target = load_target(options.cpu)
    return replace(
        target,
        cores=options.cores or target.cores,
        clock_hz=parse_quantity(options.clock, "Hz") if options.clock else target.clock_hz,
        part_bandwidth_bytes_per_s=parse_quantity(options.bandwidth, "B/s")
        if options.bandwidth
        else target.part_bandwidth_bytes_per_s,
    )


def _bandwidth(target: Target) -> float:
    return target.part_bandwidth_bytes_per_s or 0


def _counted(timings: Sequence[PublishedTiming], dtype: str, file: Path | None) -> dict[str, Kinds]:
    """The kinds of layers of every network by label, and how often each occurs. A network that fails is left
    out.
    """
    known: dict[str, Kinds] = pickle.loads(file.read_bytes()) if file and file.exists() else {}
    missing = [timing for timing in timings if timing.label not in known]
    for number, timing in enumerate(missing, 1):
        try:
            trace = traced(f"timm:{timing.model}", timing.batch, timing.size, dtype)
            known[timing.label] = Counter(map(kind_of, count(trace).layers))
        except AddercostError as error:
            print(f"{timing.label}: {error}", file=sys.stderr)
            known[timing.label] = {}
        if file and (number % 100 == 0 or number == len(missing)):
            file.write_bytes(pickle.dumps(known))
    return known


def _layers(kinds: Kinds) -> Iterator[LayerCounts]:
    for kind, times in kinds.items():
        layer = LayerCounts(
            "", "", "", {}, (), 0, OpCounts(kind.counts), kind.mac_sites, kind.arithmetic,
            bytes_read=int(kind.n_bytes), runs=kind.runs,
        )  # fmt: skip
        yield from [layer] * times


def _scaled(sizes: np.ndarray, measured: np.ndarray) -> np.ndarray:
    return sizes * np.median(measured / sizes)


def _say(name: str, predicted: np.ndarray, measured: np.ndarray) -> None:
    error = np.abs(predicted / measured - 1)
    shares = [float(np.mean(error <= band)) for band in (BAND, 0.1)]
    rank = spearmanr(predicted, measured)[0]
    worst = np.quantile(error, 0.9)
    print(
        f"{name:<44}{shares[0]:>10.1%}  {shares[1]:>11.1%}  {rank:>8.3f}  {np.median(error):>12.1%}", end=""
    )
    print(f"  {worst:>4.0%}")


def _say_anchored(predicted: np.ndarray, measured: np.ndarray, labels: Sequence[str], run: str) -> None:
    """Prints the errors with all three numbers scaled to one network. Each network is the anchor in turn."""
    ratios = predicted / measured
    within = [float(np.mean(np.abs(ratios / anchor - 1) <= BAND)) for anchor in ratios]
    quarter = statistics.quantiles(within, n=4)
    named = dict(zip(labels, within, strict=True))
    some = ", ".join(f"{name} {named[name]:.1%}" for name in named if name.startswith("resnet50 224"))
    print(f"{f'{run}, scaled to one network':<44}{quarter[1]:>10.1%}  for the median anchor,")
    print(f"{'':44}{quarter[0]:>10.1%}  to {quarter[2]:.1%} for half of them; {some}")


def _say_families(predicted: np.ndarray, measured: np.ndarray, families: Sequence[str]) -> None:
    ratios: dict[str, list[float]] = {}
    for family, ratio in zip(families, predicted / measured, strict=True):
        ratios.setdefault(family, []).append(float(ratio))
    beyond = {f: sum(abs(r - 1) > BAND for r in ratios[f]) for f in ratios}
    worst = sorted(ratios, key=lambda f: -beyond[f])[:12]
    print(f"of {sum(beyond.values())} networks beyond 25 %, most are in these families (median ratio):")
    print(
        "  " + ", ".join(f"{f} {beyond[f]} of {len(ratios[f])} ({np.median(ratios[f]):.2f})" for f in worst)
    )


def _half(families: Sequence[str], seed: int) -> np.ndarray:
    """[N]: whether each network's family is in the half that the seed draws."""
    names = sorted(set(families))
    np.random.default_rng(seed).shuffle(names)
    drawn = set(names[: len(names) // 2])
    return np.array([family in drawn for family in families])


def _write_extract(file: Path, timings: Sequence[PublishedTiming], networks: Sequence[Kinds]) -> None:
    """Writes a row for each network: its time, and its counts and runs as those of one layer."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["model", "image_size", "batch", "seconds", "mac_sites", "counts", "runs"])
        for timing, kinds in zip(timings, networks, strict=True):
            total: dict[tuple[OpClass, str], int] = {}
            runs, sites = NOTHING, 0
            for kind, times in kinds.items():
                assert isinstance(kind.runs, LayerRuns)
                sites += kind.mac_sites * times
                for _ in range(times):
                    runs = runs.plus(kind.runs)
                for op_class, number_format, n in kind.counts:
                    key = op_class, number_format
                    total[key] = total.get(key, 0) + n * times
            counts = OpCounts.from_mapping(total).by_format()
            rows.writerow(
                [timing.model, timing.size, timing.batch, f"{timing.seconds:.6g}", sites, json.dumps(counts),
                 json.dumps(runs)]
            )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
