"""The content of a report, independent of its format. Writes and reads it as JSON.

The document:

    {"schema": "addercost/report/1", "title", "versions": {…},
     "subjects": [{"spec", "profiles": [a profile document each], "estimates", "energies", "rooflines", …}],
     "measurements": [a measurements document each]}

Estimates are in subjects and timings in measurements. No field can have both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from addercost.arithmetic import Arithmetic
from addercost.cost.sensitivity import Swing
from addercost.errors import DataError
from addercost.reading import Amount, Count, NotNegative, Positive, Size, read_as
from addercost.results.document import Document, checked_fields
from addercost.results.measurements import Measurements, measurements_from_data, measurements_to_data
from addercost.results.plain import omitted_where_empty, to_plain
from addercost.results.profile import Profile, profile_from_data
from addercost.text import harmless_json

SCHEMA = "addercost/report/1"


@dataclass(frozen=True, slots=True)
class Estimated:
    """The estimated cycles of the whole model as one arithmetic; a lower bound where not `complete`.

    charged: the share of the operations for which the table has a figure. same_gaps: whether all other
    operations are in layers that the first network has as well, so that both estimates lack the same cycles.
    gap_cycles: the known cycles of those layers; 0 where they are not known. interval_s: the seconds between
    which the cost model expects nine of ten such networks; None where it gives no interval.
    """

    arithmetic: str
    hardware: str
    model: str
    cycles: Amount
    seconds: Amount | None
    complete: bool
    charged: NotNegative = 1.0
    missing: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    same_gaps: bool = False
    gap_cycles: Amount = 0.0
    interval_s: tuple[NotNegative, NotNegative] | None = None


@dataclass(frozen=True, slots=True)
class EnergyEstimated:
    """The estimated energy of the whole model: its arithmetic, and the traffic to `memories`, if any.

    charged: the share of the operations for which the table has a figure.
    """

    arithmetic: str
    table: str
    joules: Amount
    complete: bool
    charged: NotNegative = 1.0
    missing: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    memories: tuple[str, ...] = omitted_where_empty()

    @property
    def title(self) -> str:
        """`arithmetic energy, 45nm`, or `energy with dram, 45nm`."""
        what = f"energy with {' and '.join(self.memories)}" if self.memories else "arithmetic energy"
        return f"{what}, {self.table}"


LEAST_CHARGED = 0.9
"""An estimate that charges a smaller share of the operations is too weak a lower bound to be shown."""


@dataclass(frozen=True, slots=True)
class HardwareNote:
    """A processor or energy table that was used: its title, clock and the titles of its sources."""

    name: str
    title: str
    clock_hz: Positive | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """The point of one layer: its sites for each byte moved, and the estimated sites a second."""

    path: str
    arithmetic: str
    sites: Count
    sites_per_byte: NotNegative
    sites_per_s: NotNegative
    bound: str


@dataclass(frozen=True, slots=True)
class Roofline:
    """The roofline of one core of a processor. peaks_sites_per_s: the highest rate of each arithmetic's inner
    loop.

    left_out: how many layers have no point, because they have fewer sites than those shown.
    """

    hardware: str
    bandwidth_bytes_per_s: Positive
    peaks_sites_per_s: Mapping[str, Positive]
    points: tuple[RooflinePoint, ...]
    assumptions: tuple[str, ...] = ()
    left_out: Size = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A processor under one cost model. ratio: the network's estimated cycles as MAC / those as
    `arithmetic`.
    """

    hardware: str
    model: str
    arithmetic: str
    ratio: float
    caveat: str = ""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Swings around `ratio`, the largest first. break_even: the ratio of the costs of a multiplication and an
    addition at which both sides are equal.

    ratio_low, ratio_high: 95 % of the ratios are between these, when all latencies are drawn at random
    together.
    """

    hardware: str
    model: str
    arithmetic: str
    ratio: float
    swings: tuple[Swing, ...]
    break_even: float | None = None
    mul_add_ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A model: the requested profile, then profiles of the same trace in other arithmetics."""

    spec: str
    profiles: tuple[Profile, ...]
    hardware: tuple[HardwareNote, ...] = ()
    estimates: tuple[Estimated, ...] = ()
    energies: tuple[EnergyEstimated, ...] = ()
    rooflines: tuple[Roofline, ...] = ()
    ranked: tuple[Ranked, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()

    def __post_init__(self) -> None:
        if not self.profiles:
            raise DataError(f"{self.spec} has no profile")
        if len({profile.counts.convention.name for profile in self.profiles}) > 1:
            raise DataError(f"{self.spec} mixes counting conventions")

    @property
    def first(self) -> Profile:
        return self.profiles[0]

    @property
    def name(self) -> str:
        return self.first.counts.model

    @property
    def charged_memories(self) -> tuple[str, ...]:
        """The memories whose traffic is in the energies."""
        return tuple(dict.fromkeys(memory for energy in self.energies for memory in energy.memories))


@dataclass(frozen=True, slots=True)
class Report:
    """The whole content of a report. versions: the versions of the packages that made it, by name."""

    title: str
    subjects: tuple[Subject, ...]
    measurements: tuple[Measurements, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "title": self.title,
            "versions": dict(self.versions),
            "subjects": [
                {
                    **{
                        f.name: to_plain(getattr(subject, f.name))
                        for f in fields(Subject)
                        if f.name != "profiles"
                    },
                    "profiles": [profile.to_dict() for profile in subject.profiles],
                }
                for subject in self.subjects
            ],
            "measurements": [measurements_to_data(item) for item in self.measurements],
        }

    def to_json(self) -> str:
        return harmless_json(json.dumps(self.to_dict(), indent=1, allow_nan=False)) + "\n"


@dataclass(frozen=True, slots=True)
class _SubjectParts:
    """The fields of a subject without its profiles, which have their own document."""

    spec: str
    hardware: tuple[HardwareNote, ...] = ()
    estimates: tuple[Estimated, ...] = ()
    energies: tuple[EnergyEstimated, ...] = ()
    rooflines: tuple[Roofline, ...] = ()
    ranked: tuple[Ranked, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()


@dataclass(frozen=True, slots=True)
class _ReportParts:
    """A report whose subjects and measurements are not read yet."""

    subjects: tuple[Mapping[str, Any], ...]
    title: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    measurements: tuple[Any, ...] = ()


def report_from_data(data: Any, source: str = "report") -> Report:
    """Reads plain data that `Report.to_dict` made. Raises DataError, which names `source` and the fault."""
    parts = read_as(_ReportParts, checked_fields(data, SCHEMA, source), source)
    return Report(
        title=parts.title,
        subjects=tuple(_subject(item, source, f"subjects[{i}]") for i, item in enumerate(parts.subjects)),
        measurements=tuple(
            measurements_from_data(item, source, f"measurements[{i}]")
            for i, item in enumerate(parts.measurements)
        ),
        versions=parts.versions,
    )


DOCUMENT = Document(SCHEMA, "a report", Report, report_from_data)


def _subject(data: Mapping[str, Any], source: str, where: str) -> Subject:
    rest = {name: value for name, value in data.items() if name != "profiles"}
    parts = read_as(_SubjectParts, rest, source, where)
    profiles = data.get("profiles")
    if not isinstance(profiles, list):
        raise DataError(f"{source}: {where}.profiles is not a list")
    read = tuple(profile_from_data(item, source, f"{where}.profiles[{i}]") for i, item in enumerate(profiles))
    try:
        return Subject(profiles=read, **{f.name: getattr(parts, f.name) for f in fields(_SubjectParts)})
    except DataError as error:
        raise DataError(f"{source}: {error.message}", error.hint) from None


def arithmetic_of(profile: Profile) -> Arithmetic | None:
    """The arithmetic of the profile's layers: the one that replaced theirs, or the one that all have, or None
    if they differ.
    """
    if profile.counts.arithmetic is not None:
        return profile.counts.arithmetic
    found = {layer.arithmetic for layer in profile.counts.layers if layer.mac_sites and layer.arithmetic}
    return next(iter(found)) if len(found) == 1 else None


FORM = _ReportParts
"""The class whose fields are those of the document. The JSON Schema is made from it."""


def network_name(profile: Profile) -> str:
    """The name of the profile's network in headings: CNN, MAC, adder, binary, shift, or the changes made to
    it.
    """
    if profile.counts.what_if:
        return " + ".join(profile.counts.what_if)
    arithmetic = arithmetic_of(profile)
    match arithmetic:
        case None:
            return "as it is"
        case Arithmetic.MAC:
            convolved = sum(layer.mac_sites for layer in profile.counts.layers if "conv" in layer.op)
            return "CNN" if 2 * convolved >= profile.counts.mac_sites else "MAC"
        case Arithmetic.XNOR:
            return "binary"
    return arithmetic.value
