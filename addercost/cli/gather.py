"""Loads the arguments of `report` and `plot`: models are traced, and files that addercost wrote are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from addercost.analysis.subjects import Wanted, subject_from_profiles, subject_from_trace
from addercost.cli.estimates import Estimates
from addercost.cli.options import parsed_arithmetics, parsed_inputs
from addercost.cli.progress import progress
from addercost.counts.conventions import convention_named
from addercost.errors import AddercostError, ArgumentError
from addercost.results.measurements import Measurements
from addercost.results.profile import Profile
from addercost.results.report import Report, Subject
from addercost.results.saved import is_saved, read_saved
from addercost.results.training import TrainingRun
from addercost.trace.record import Trace
from addercost.version import __version__


@dataclass(slots=True)
class Gathered:
    """subjects: models with predictions. measurements: timings. runs: training records. versions: of the
    packages that traced the models.
    """

    subjects: list[Subject] = field(default_factory=list)
    measurements: list[Measurements] = field(default_factory=list)
    runs: list[TrainingRun] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def report(self, title: str | None) -> Report:
        """Raises ArgumentError where there is nothing to report, or a training record is among the inputs."""
        if self.runs:
            raise ArgumentError(
                f"{self.runs[0].name} is a training record, which is no part of a report",
                "draw it: addercost plot curves",
            )
        if not self.subjects and not self.measurements:
            raise ArgumentError("nothing to report", "name a model, a profile, a report or measurements")
        names = dict.fromkeys(item.name for item in self.subjects)
        names |= dict.fromkeys(item.model for item in self.measurements)
        return Report(
            title=title or ", ".join(names),
            subjects=tuple(self.subjects),
            measurements=tuple(self.measurements),
            versions={"addercost": __version__, **self.versions},
        )


def wanted_by(
    estimates: Estimates,
    convention: str,
    arithmetics: str,
    keep_first_last: bool,
    what_ifs: tuple[str, ...],
) -> Wanted:
    """The estimates that the options of a command ask for. Raises ArgumentError for an unknown name, before
    any model is traced.
    """
    convention_named(convention)
    chosen = parsed_arithmetics(arithmetics)
    estimates.check()
    return Wanted(
        convention,
        chosen,
        keep_first_last,
        what_ifs=tuple(dict.fromkeys(what_ifs)),
        cpus=estimates.cpus,
        energy=estimates.energy,
        cost_models=estimates.cost_models,
        hardware_path=estimates.hardware_path,
        kernels=estimates.kernels,
        accumulator_format=estimates.accumulator_format,
        memories=estimates.memories,
    )


def gather(
    arguments: Sequence[str],
    wanted: Wanted,
    inputs: tuple[str, ...] = (),
    convention_given: bool = False,
    cpus_given: bool = False,
    quiet: bool = False,
) -> Gathered:
    """Loads everything that the arguments name.

    convention_given, cpus_given: whether the user named a convention or processors. Otherwise saved profiles
    keep their own. Raises ArgumentError where conventions differ, DataError for a damaged file.
    """
    found = Gathered()
    profiles: dict[str, list[Profile]] = {}
    for argument in arguments:
        if not is_saved(argument):
            from addercost.api import trace_spec

            with progress(f"tracing {argument}", quiet):
                trace = trace_spec(argument, parsed_inputs(inputs), memory=True)
                found.versions |= trace.versions
                found.subjects.append(subject_from_trace(argument, trace, wanted))
            continue
        match read_saved(Path(argument)):
            case Trace() as trace:
                found.versions |= trace.versions
                found.subjects.append(subject_from_trace(trace.model, trace, wanted))
            case Profile() as profile:
                profiles.setdefault(profile.counts.model, []).append(profile)
            case Report() as report:
                found.subjects += report.subjects
                found.measurements += report.measurements
                found.versions |= report.versions
            case Measurements() as measurements:
                found.measurements.append(measurements)
            case TrainingRun() as run:
                found.runs.append(run)
    for model, counted in profiles.items():
        _same_convention([profile.counts.convention.name for profile in counted])
        found.subjects.append(_from_profiles(model, counted, wanted, cpus_given))
    names = [subject.first.counts.convention.name for subject in found.subjects]
    if convention_given:
        names.append(wanted.convention)
    _same_convention(names)
    return found


def _from_profiles(model: str, profiles: list[Profile], wanted: Wanted, cpus_given: bool) -> Subject:
    """A subject of saved profiles, on the named processors, else on those of the profiles."""
    if cpus_given:
        return subject_from_profiles(model, [replace(profile, costs=()) for profile in profiles], wanted)
    own = dict.fromkeys(cost.hardware for profile in profiles for cost in profile.costs)
    known = tuple(cpu for cpu in own if _is_known(cpu, wanted.hardware_path))
    return subject_from_profiles(model, profiles, replace(wanted, cpus=known))


def _is_known(cpu: str, hardware_path: Path | None) -> bool:
    from addercost.cost.target_registry import load_target

    try:
        load_target(cpu, hardware_path)
    except AddercostError:
        # A profile that was made with a user's table keeps its costs and gets no new ones.
        return False
    return True


def _same_convention(names: Sequence[str]) -> None:
    different = sorted(set(names))
    if len(different) > 1:
        raise ArgumentError(
            f"these are counted by different conventions: {' and '.join(different)}",
            "count them by the same one, with --convention where they are traced",
        )
