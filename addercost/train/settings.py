"""Everything that determines the result of a training run, and nothing else: equal settings give equal
weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from addercost.errors import ArgumentError, DataError, unknown_name
from addercost.reading import read_as
from addercost.results.document import advising

E = TypeVar("E", bound=StrEnum)

_MOST = 2**63 - 1
"""The largest integer that the result files can contain."""
_LARGEST_IMAGE = 1 << 14
"""The most pixels along a side. Four such images with three channels in fp32 take 13 GB."""


class Optimizer(StrEnum):
    SGD = "sgd"
    """Stochastic gradient descent with momentum."""
    NAG = "nag"
    """SGD with Nesterov's momentum."""


class RateSchedule(StrEnum):
    """How the learning rate falls from epoch to epoch."""

    COSINE = "cosine"
    POLY = "poly"
    CONSTANT = "constant"


class AdderRate(StrEnum):
    """The learning rate of the weights of adder layers, relative to γ, the rate of all other parameters."""

    ADAPTIVE = "adaptive"
    """γ·α_l with α_l = η√k / ‖ΔL(F_l)‖₂: AdderNet's own rate."""
    INCREASED = "increased"
    """γ times one factor for all adder layers, as in the paper's ablation."""
    PLAIN = "plain"
    """γ, as for every other parameter."""


class AdderGradient(StrEnum):
    FULL = "full"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """model: a SPEC. data: a data SPEC. batch: images of one step, over all processes.

    eta: η of the adaptive rate. increase: the factor of the increased rate. The paper does not print one; the
    default is the one that was best on the digits. augment: random crops and flips; None does what is usual
    for the data set. image_size: side of the square images that the model gets; None takes that of the
    model's example input, or else that of the data. The defaults of learning rate, momentum, weight decay and
    epochs are those with which the paper trains LeNet-5-BN (Chen et al., CVPR 2020, section 4.1, and the
    authors' code).
    """

    model: str
    data: str
    epochs: int = 50
    batch: int = 64
    seed: int = 0
    optimizer: Optimizer = Optimizer.SGD
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: RateSchedule = RateSchedule.COSINE
    rate: AdderRate = AdderRate.ADAPTIVE
    eta: float = 0.2
    increase: float = 3.0
    adder_gradient: AdderGradient = AdderGradient.FULL
    augment: bool | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        # A name may be given in place of an enum's member. As a plain string it would fail every comparison
        # by `is`.
        for name, known in _CHOICES.items():
            object.__setattr__(self, name, chosen(name, getattr(self, name), known))

    def checked(self) -> TrainSettings:
        """These settings, if they are valid. Raises ArgumentError, which names the first setting that
        is not.
        """
        for name, value, least, included in (
            ("epochs", self.epochs, 1, True),
            ("batch", self.batch, 1, True),
            ("image-size", 1 if self.image_size is None else self.image_size, 1, True),
            ("lr", self.learning_rate, 0, False),
            ("eta", self.eta, 0, False),
            ("increase", self.increase, 0, False),
            ("momentum", self.momentum, 0, True),
            ("weight-decay", self.weight_decay, 0, True),
        ):
            if not math.isfinite(value) or value < least or (value == least and not included):
                bound = f"at least {least}" if included else f"above {least}"
                raise ArgumentError(f"{name} is {value:g}", f"it must be a number {bound}")
        for name, value, most in (
            ("epochs", self.epochs, _MOST),
            ("batch", self.batch, _MOST),
            ("seed", abs(self.seed), _MOST),
            ("image-size", self.image_size or 1, _LARGEST_IMAGE),
        ):
            if value > most:
                raise ArgumentError(f"{name} is {value:,}"[:80], f"it must be at most {most:,}")
        if self.momentum >= 1:
            raise ArgumentError(f"momentum is {self.momentum:g}", "it must be below 1")
        if self.optimizer is Optimizer.NAG and self.momentum == 0:
            raise ArgumentError("Nesterov's method needs a momentum", "give --momentum 0.9")
        return self


_CHOICES: Mapping[str, type[StrEnum]] = {
    "optimizer": Optimizer,
    "schedule": RateSchedule,
    "rate": AdderRate,
    "adder_gradient": AdderGradient,
}


def chosen(name: str, text: str, known: type[E]) -> E:
    """The member that `text` names. Raises ArgumentError, with the nearest names, for an unknown one."""
    if text not in list(known):
        raise unknown_name(name, text, known)
    return known(text)


def difference(there: TrainSettings, wanted: TrainSettings) -> str:
    """A text about the first setting in which the two differ; empty if they are equal."""
    wanted_values = asdict(wanted)
    for name, value in asdict(there).items():
        if value != wanted_values[name]:
            return f"it has {name} {_shown(value)}, not {_shown(wanted_values[name])}"
    return ""


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_as_data(settings: TrainSettings) -> dict[str, str | int | float | bool | None]:
    """The settings as plain values by name, for JSON and checkpoints. `settings_from_data` reads them."""
    return {
        name: str(value) if isinstance(value, StrEnum) else value for name, value in asdict(settings).items()
    }


def settings_from_data(data: Any, source: str) -> TrainSettings:
    """Reads what `settings_as_data` made. Raises DataError for anything else."""
    if not isinstance(data, Mapping):
        raise DataError(f"{source} holds no settings of a training run")
    known = {item.name for item in fields(TrainSettings)}
    if set(data) != known:
        differing = ", ".join(sorted(known ^ set(data))[:3])
        raise DataError(f"{source} has other settings than this version: {differing}", "train it anew")
    with advising("train it anew"):
        made = read_as(TrainSettings, data, source)
        try:
            return made.checked()
        except ArgumentError as error:
            raise DataError(f"{source} is damaged: {error}") from None
