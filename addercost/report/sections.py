"""The parts of a report as tables and sentences, in reading order; every output format prints these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from addercost.cost.stated_errors import stated_lines
from addercost.report.measured_answer import measured_answer
from addercost.report.subject_answer import answer_sentences
from addercost.report.table import Column, Table
from addercost.report.tables.accelerator import accelerators_table
from addercost.report.tables.comparison import side_by_side_table
from addercost.report.tables.layers import layer_table
from addercost.report.tables.mixed_models import mixed_models
from addercost.report.tables.rank import advantage_table
from addercost.report.tables.sensitivity import report_sensitivity_table
from addercost.report.tables.timings import measured_table
from addercost.results.report import Report, Subject, network_name
from addercost.units import si


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with tables and sentences. key: a stable name for anchors and sheets. lead: a sentence on
    what follows.
    """

    key: str
    title: str
    lead: str = ""
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def report_sections(report: Report) -> Iterator[tuple[str, list[Section]]]:
    """The parts of a report: (the name of a subject or of measurements, its sections)."""
    for subject in report.subjects:
        yield subject.name, subject_sections(subject)
    for measurements in report.measurements:
        yield (
            f"{measurements.model}, measured",
            [
                Section("answer", "In short", notes=tuple(measured_answer(measurements))),
                Section(
                    "measured",
                    "Predicted against measured",
                    "Timings from one environment. Predictions stand beside them, in their own columns.",
                    (measured_table(measurements),),
                ),
            ],
        )


def subject_sections(subject: Subject) -> list[Section]:
    """The sections of one model. Sections without data are left out."""
    sections = [
        Section("answer", "In short", notes=tuple(answer_sentences(subject))),
        Section(
            "arithmetics",
            "Arithmetics side by side",
            "The same trace, counted as each arithmetic.",
            (side_by_side_table(subject),),
        ),
        Section("layers", "Layers", tables=(layer_table(subject.first),)),
    ]
    if subject.first.accelerators:
        lead = (
            "Matrix products on arrays of elements, tile by tile: cycles of the slowest of the array and its "
            "memories, energy of the elements and of each level of memory."
        )
        sections.append(Section("accelerators", "On accelerators", lead, (accelerators_table(subject),)))
    if subject.ranked:
        lead = (
            "Estimated cycles as multiply-add by cycles as another arithmetic, MAC sites only. The two cost "
            "models are the two extremes: latency-sum overlaps nothing, throughput everything."
        )
        sections.append(Section("rank", "Processors by advantage", lead, (advantage_table(subject),)))
    if subject.sensitivities:
        tables = tuple(report_sensitivity_table(item) for item in subject.sensitivities)
        lead = "Each latency moved over its range, the others kept; MAC sites only. Estimates."
        sections.append(Section("sensitivity", "Break-even and sensitivity", lead, tables))
    sections.append(
        Section("notes", "Notes: what was not counted or was assumed", notes=tuple(notes(subject)))
    )
    sections.append(
        Section("asked", "Provenance: what was asked, and where figures are from", tables=(asked(subject),))
    )
    return sections


def asked(subject: Subject) -> Table:
    """Sentences on what was asked for: the model, inputs, convention, hardware, and the sources of its
    figures.
    """
    counts = subject.first.counts
    inputs = ", ".join(f"{'x'.join(map(str, spec.shape)) or 'scalar'} {spec.dtype}" for spec in counts.inputs)
    rows = [
        ("model", f"{counts.model} ({subject.spec})" if subject.spec != counts.model else counts.model),
        ("inputs", inputs or "none"),
        ("counting convention", f"{counts.convention.name}: {counts.convention.title}"),
        ("convention of", counts.convention.source),
        ("arithmetics", ", ".join(network_name(profile) for profile in subject.profiles)),
    ]
    if counts.what_if:
        rows.append(("what if", " and ".join(counts.what_if)))
    if any(profile.keep_first_last for profile in subject.profiles[1:]):
        rows.append(("first and last layer", "left as they are in the other arithmetics"))
    for note in subject.hardware:
        clock = f", {si(note.clock_hz, 'Hz')}" if note.clock_hz else ""
        rows.append((note.name, f"{note.title}{clock}; figures from {'; '.join(note.sources)}"))
    return Table(
        columns=(Column("what", "asked"), Column("answer", "for")),
        rows=[{"what": what, "answer": answer} for what, answer in rows],
    )


def notes(subject: Subject) -> Iterator[str]:
    """Notes, each once, on what totals leave out and what estimates assume."""
    counts = subject.first.counts
    for item in counts.uncounted:
        places = ", ".join(item.paths[:5])
        yield f"LOWER BOUND: no counting rule for {item.op} ({item.calls} calls, in {places})"
    if counts.complete:
        yield "Every operator has a counting rule."
    if counts.unused_parameters:
        yield f"{counts.unused_parameters:,} parameters are not used by this forward."
    if counts.tracer != "meta":
        yield f"Traced by a {counts.tracer} run."
    yield from counts.notes
    said: dict[str, list[str]] = {}
    for e in subject.estimates:
        for text in e.missing:
            said.setdefault(text, []).append(f"{e.model} as {e.arithmetic}")
        for text in e.assumptions:
            said.setdefault(f"{e.hardware} assumes: {text}", []).append(e.model)
    for energy in subject.energies:
        for text in energy.missing:
            said.setdefault(text, []).append(f"as {energy.arithmetic}")
        for text in energy.assumptions:
            said.setdefault(f"{energy.table} assumes: {text}", []).append("energy")
    for text, where in said.items():
        yield f"{text} ({', '.join(dict.fromkeys(where))})"
    yield from mixed_models(
        ((e.model, e.hardware) for e in subject.estimates),
        (item.hardware for item in subject.first.accelerators),
    )
    models = [(e.model, e.hardware) for e in subject.estimates]
    yield from stated_lines(models, number_format=subject.first.counts.total.main_format)
    if any(profile.counts.what_if for profile in subject.profiles):
        yield "Changed networks cost less because they are other networks: their accuracy is not predicted."
    if charged := subject.charged_memories:
        yield f"Energy is that of the arithmetic and of all bytes moved to and from {', '.join(charged)}."
    elif subject.energies:
        yield "Energy is that of the arithmetic alone: memory traffic is left out."
    if subject.estimates and not subject.rooflines:
        yield "No roofline: no processor asked for has a memory bandwidth and a clock in its table."
