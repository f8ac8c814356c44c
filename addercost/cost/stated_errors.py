"""The errors of each cost model against measured times, which outputs print beside its estimates.

They are in `stated_errors.toml`, which `tools/state_errors.py` writes from the validations in `reports/`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from addercost.cost.target_settings import MARK
from addercost.hardware.loader import HOST, has_table
from addercost.hardware.this_machine import processor_id
from addercost.reading import NotNegative, Positive, Text, Whole, read_as

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class StatedError:
    """The scores of a cost model on networks that were measured.

    hardware: the table that the predictions came from. machine: the measured machine, in words. networks: how
    many. median_error, p90_error: quantiles of |predicted / measured - 1|. factor: predictions were
    multiplied by it first, so that the median ratio of a half of the networks is 1; it is 1 where predictions
    were not changed. source: the page with all scores. processor: the processor's name with family, model and
    stepping, if this program timed the networks; "" for published timings. number_format: the format in which
    the networks ran.
    """

    model: Text
    hardware: Text
    machine: Text
    networks: Whole
    median_error: NotNegative
    p90_error: NotNegative
    factor: Positive
    source: Text
    number_format: Text
    processor: str = ""

    @property
    def text(self) -> str:
        """One line, for below an estimate."""
        factor = f", after one factor for the machine ({self.factor:.2g})" if self.factor != 1 else ""
        in_format = f" in {self.number_format}" if self.number_format not in self.machine else ""
        return (
            f"stated error of {self.model}: ±{100 * self.median_error:.0f} % in the median and "
            f"±{100 * self.p90_error:.0f} % for nine of ten of {self.networks} networks"
            f"{in_format} on {self.machine}{factor}; {self.source}"
        )

    @property
    def brief_text(self) -> str:
        """The same without the machine and the source: `error of roofline × 0.36: ±39 % …`."""
        factor = f" × {self.factor:.2g}" if self.factor != 1 else ""
        return (
            f"error of {self.model}{factor}: ±{100 * self.median_error:.0f} % in the median, "
            f"±{100 * self.p90_error:.0f} % for nine of ten "
            f"({self.networks} networks in {self.number_format})"
        )


@dataclass(frozen=True, slots=True)
class _Table:
    errors: tuple[StatedError, ...] = ()


@cache
def all_stated_errors() -> tuple[StatedError, ...]:
    """All errors in the order of the file. For each model, the hardware with most measured networks comes
    first.
    """
    with FILE.open("rb") as file:
        return read_as(_Table, tomllib.load(file), FILE.name).errors


def stated_error(model: str, hardware: str = "", number_format: str = "") -> StatedError | None:
    """The error of a model on this hardware with its settings, else on this hardware without settings, in
    this number format if networks were measured in it. Otherwise the error on the hardware of the same kind
    (GPU or processor) on which most networks were measured. None for a model that was validated on none.
    """
    # The settings after the @ are not checked, since a saved profile may have any text there.
    name = hardware.partition(MARK)[0]
    known = [error for error in all_stated_errors() if error.model == model]
    is_gpu = has_table("gpu", name)
    same_kind = [error for error in known if has_table("gpu", error.hardware) == is_gpu]
    named = [error for wanted in (hardware, name) for error in known if error.hardware == wanted]
    if name == HOST:
        # Every machine's own table has this name: a stable sort puts those of this processor first.
        here = processor_id()
        named.sort(key=lambda error: error.processor != here)
    if number_format:
        named.sort(key=lambda error: error.number_format != number_format)
    return next(iter([*named, *same_kind]), None)


def stated_lines(models: list[tuple[str, str]], brief: bool = False, number_format: str = "") -> list[str]:
    """A line for each (model, hardware), each once; a model that was never validated says so. number_format:
    that of the network's products.
    """
    lines: dict[str, None] = {}
    for model, hardware in models:
        known = stated_error(model, hardware, number_format)
        if known:
            lines[known.brief_text if brief else known.text] = None
        else:
            lines[f"stated error of {model}: none, it was not validated"] = None
    return list(lines)
