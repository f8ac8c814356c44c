"""The cost models, by name. Each file of this folder defines one as `MODEL`; a new file needs no
registration.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from addercost.cost.cost_model import CostModel
from addercost.cost.target import Target
from addercost.errors import ArgumentError, unknown_name


def _found() -> list[CostModel]:
    modules = [importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]
    return [module.MODEL for module in modules]


COST_MODELS: dict[str, CostModel] = {
    model.name: model
    for model in sorted(_found(), key=lambda model: (not model.is_serial, model.needs_memory, model.name))
}
"""All cost models: first those in which every instruction waits for the one before, last those that need a
memory bandwidth.
"""

PAPER_MODEL = "latency-sum"
"""The AdderNet paper's rule."""

RANKING_MODELS = tuple(name for name, model in COST_MODELS.items() if model.ranks_targets)
"""Names of the models by which targets are ranked where the user names none."""


ONE_CORE_MODELS = tuple(
    name for name, model in COST_MODELS.items() if not (model.on_all_cores or model.compiled)
)
"""Names of the models that estimate layers on one core. The others estimate networks on all cores, or after a
compiler joined their layers' kernels.
"""


def cost_model_named(name: str) -> CostModel:
    """The cost model of that name. Raises ArgumentError, which offers the nearest names, for an unknown
    one.
    """
    if name not in COST_MODELS:
        raise unknown_name("cost model", name, COST_MODELS)
    return COST_MODELS[name]


DEFAULT_MODELS = "the best that the processor has figures for: calibrated, else roofline, else throughput"
"""What `default_model` does, for help texts."""


def default_model(target: Target, has_kernels: bool = False) -> str:
    """The best model that a target has figures for: `eager` on a GPU; else the first of `calibrated`,
    `roofline` and `throughput` that can be used.

    has_kernels: torch's kernels run the network as it is, so that `calibrated` may be used. It may not for
    adder, binary or shift layers, for networks changed by a what-if, and for saved counts.
    """
    if COST_MODELS[PAPER_MODEL].unusable(target):
        return "eager"
    names = (*(("calibrated",) if has_kernels else ()), "roofline")
    return next((name for name in names if not COST_MODELS[name].unusable(target)), "throughput")


def common_model(targets: Sequence[Target]) -> str:
    """The best model that all targets have figures for, so that their estimates can be ranked together."""
    usual = {default_model(target) for target in targets} or {"throughput"}
    if len(usual) == 1:
        return usual.pop()
    # A GPU has the figures for both models.
    return "throughput" if "throughput" in usual else "roofline"


def usable_model(name: str, target: Target) -> CostModel:
    """The cost model of that name. Raises ArgumentError where the target lacks a figure that the model
    needs.
    """
    model = cost_model_named(name)
    if reason := model.unusable(target):
        raise ArgumentError(f"no estimate by {name}: {reason}")
    return model


def is_serial(name: str) -> bool:
    """Whether a result's cost model is a sum over operations; False for an unknown name, such as a newer
    version's.
    """
    return name in COST_MODELS and COST_MODELS[name].is_serial


def listed_models() -> str:
    """The names of all cost models as a phrase, for help texts."""
    *most, last = COST_MODELS
    return f"{', '.join(most)} or {last}" if most else last
