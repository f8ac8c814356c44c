"""Every kind of figure, drawn of made-up data, for tests of what they look like."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import made_models
import sample_data

from addercost.analysis.pareto import Pareto, Point
from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.estimate import estimate_accelerator
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware import load_accelerator, load_energy
from addercost.report.plots import language_model, pareto
from addercost.report.plots.kinds import KINDS, Takes, draw_measured, draw_model, draw_training
from addercost.report.plots.style import Drawn, PlotOptions
from addercost.report.plots.swept import Swept, draw_points
from addercost.report.table import Column, Kind
from addercost.results.language_model import LanguageModelReport, PhaseCost, PhaseReport, TokenTime
from addercost.results.measurements import measurements_from_data
from addercost.results.profile import Profile
from addercost.results.report import Ranked, Sensitivity, Subject, Swing
from addercost.results.training import training_from_data

OPTIONS = PlotOptions()


def subject_with_everything() -> Subject:
    made = made_models.subject(["stem", "blocks.0.conv", "blocks.1.conv"])
    ranked = tuple(
        Ranked(f"cpu{i}", model, "adder", 0.5 + i / 40)
        for i in range(50)
        for model in ("latency-sum", "throughput")
    )
    swings = (Swing("mul (fp32)", 3, 5, 1.25, 1.75), Swing("add (fp32)", 2, 2, 1.5, 1.5))
    sensitivity = Sensitivity("via-nano-2000", "latency-sum", "adder", 1.5, swings, 1.0, 2.0, 1.2, 1.8)
    profiles = tuple(with_accelerators(profile) for profile in made.profiles)
    return replace(made, profiles=profiles, ranked=ranked, sensitivities=(sensitivity,))


def with_accelerators(profile: Profile) -> Profile:
    """The profile on two accelerators, each layer of it the same matrix product."""
    product = MatrixProduct(100, 50, 10, 5000, arithmetic=profile.counts.arithmetic or Arithmetic.MAC)
    layers = [(layer.path, [product]) for layer in profile.counts.layers]
    return replace(
        profile,
        accelerators=tuple(
            estimate_accelerator(layers, load_accelerator(name), load_energy("45nm"), leakage_w=1e-3)
            for name in ("tpu-like", "npu-256")
        ),
    )


def drawn(kind: str, options: PlotOptions = OPTIONS) -> Drawn:
    """A kind of plot by name; `language-model` is the one that `llm --figure` draws."""
    if kind == "language-model":
        return language_model.draw(text_decoder(), options)
    match KINDS[kind].takes:
        case Takes.MODEL:
            return draw_model(kind, subject_with_everything(), options)
        case Takes.MEASUREMENTS:
            return draw_measured(kind, measurements_from_data(sample_data.measurements()), options)
        case Takes.TRAINING:
            runs = [training_from_data(sample_data.training(name)) for name in ("one", "two")]
            return draw_training(kind, runs, options)
        case Takes.SWEEP:
            x = Column("cycles@c", "estimated cycles on c", Kind.COUNT)
            names = tuple(f"network {i}" for i in range(30))
            costs, accuracies = tuple(1e6 * 1.2**i for i in range(30)), tuple(60.0 + i % 7 for i in range(30))
            swept = [Swept("mac", names, costs, accuracies)]
            return draw_points(
                swept, x, Column("accuracy", "accuracy", Kind.NUMBER), options, "made up", True
            )
    points = (
        Point("a", "CNN", 93.0, 4e8, True),
        Point("b", "adder", 92.0, 2e8, True),
        Point("c", "binary", 85.0, None, True),
        Point("mine", "adder", 92.5, 3e8, False),
    )
    return pareto.draw(Pareto("CIFAR-10", "estimated cycles", "", points), options)


@cache
def shown(kind: str, options: PlotOptions = OPTIONS) -> Drawn:
    """A figure for tests that only look at it."""
    return drawn(kind, options)


def text_decoder() -> LanguageModelReport:
    """Two batches on two processors. A token moves 1 GB of weights, and a prompt of 512 tokens no more."""
    processors = (("a server", 1e11, 2e10), ("a board", 3e10, 1e10))
    phases, times = [], []
    for batch in (1, 8):
        for phase, tokens in (("prefill", 512), ("decode", 1)):
            operations = 10**9 * batch * tokens
            costs = tuple(
                PhaseCost(name, "roofline", max(operations / rate, 1e9 / bandwidth), "memory", 1.0)
                for name, rate, bandwidth in processors
            )
            phases.append(
                PhaseReport(
                    phase=phase,  # type: ignore[arg-type]
                    batch=batch,
                    tokens=tokens,
                    context=0,
                    mac_sites=operations // 2,
                    operations={"fp32": {"mul": operations // 2, "add": operations // 2}},
                    moved_bytes=10**9,
                    cache_bytes=0,
                    costs=costs,
                )
            )
        times += [
            TokenTime(batch, context, name, "roofline", 1e9 / bandwidth + batch * context * 1e-4)
            for name, _, bandwidth in processors
            for context in (16, 128, 1024)
        ]
    return LanguageModelReport(
        model="made up",
        parameters=250_000_000,
        weight_bytes=10**9,
        prompt=512,
        context=0,
        new=0,
        phases=tuple(phases),
        token_times=tuple(times),
    )
