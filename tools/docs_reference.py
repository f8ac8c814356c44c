"""Reference pages made from the code: every operator's formula, and the JSON documents as JSON Schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from addercost.counts.registry import RULES, CountingRule
from addercost.counts.rules.elementwise import ELEMENTWISE, GELU, Row
from addercost.counts.rules.movement import nothing
from addercost.reading import json_schema
from addercost.results import accuracies, measurements, profile, report, trace, training, validation

FORMS: dict[str, tuple[str, Any, str]] = {
    "profile": (profile.SCHEMA, profile.FORM, "`profile`, `compare` and `diff` with `--format json`"),
    "report": (report.SCHEMA, report.FORM, "`report -o FILE.json`, and inside of each HTML page"),
    "trace": (trace.SCHEMA, trace.FORM, "`--save-trace`"),
    "measurements": (measurements.SCHEMA, measurements.Measurements, "`bench -o FILE.json`"),
    "training": (training.SCHEMA, training.TrainingRun, "`train`, as `training.json`"),
    "validation": (validation.SCHEMA, validation.Validation, "`validate`"),
    "accuracies": (accuracies.SCHEMA, accuracies.Accuracies, "`reproduce accuracy`"),
}
"""(schema, the dataclass of its fields, the command that writes it) by name."""


def schemas() -> dict[str, dict[str, Any]]:
    """A JSON Schema for each kind of document."""
    return {name: json_schema(form, schema) for name, (schema, form, _) in FORMS.items()}


def documents_page() -> str:
    """The page that lists the documents, with their schemas to download."""
    return "\n".join(_documents_lines())


def _documents_lines() -> Iterator[str]:
    yield "# JSON documents"
    yield ""
    yield "Each document names its kind and version in the field `schema`. A reader refuses"
    yield "another version, and fields that it does not know. The schemas"
    yield "are made from the classes that read the documents."
    yield ""
    yield "| document | `schema` | written by | as JSON Schema |"
    yield "| --- | --- | --- | --- |"
    for name, (schema, _, writer) in FORMS.items():
        yield f"| {name} | `{schema}` | {writer} | [{name}.schema.json](schemas/{name}.schema.json) |"
    yield ""


def operators_page() -> str:
    """The page of all operators, by the file of their rules."""
    return "\n".join(_operators_lines())


def built_in_rules() -> dict[str, CountingRule]:
    """addercost's own rules by operator, without rules that a program has added."""
    return {name: rule for name, rule in RULES.items() if rule.__module__.startswith("addercost.")}


def _operators_lines() -> Iterator[str]:
    by_file: dict[str, list[str]] = {}
    rules = built_in_rules()
    for name, rule in rules.items():
        by_file.setdefault(rule.__module__, []).append(name)
    yield "# Operators"
    yield ""
    yield f"{len(rules)} operators have a rule. It says what one call computes under the convention `full`."
    yield "Other [conventions](../counting.md#conventions) count from the same calls."
    yield "Operators without a rule are listed by every command as uncounted."
    for module, names in sorted(by_file.items()):
        title = module.rpartition(".")[2].replace("_", " ")
        yield ""
        yield f"## {title.capitalize()}"
        yield ""
        yield f"From `{module.replace('.', '/')}.py`. {summary(inspect.getmodule(RULES[names[0]]))}"
        yield ""
        yield "| operator | counts |"
        yield "| --- | --- |"
        for counts, group in grouped(names).items():
            yield f"| {', '.join(f'`{name}`' for name in sorted(group))} | {counts} |"
    yield ""


def grouped(names: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(counted(name), []).append(name)
    return groups


def counted(name: str) -> str:
    """The text on one call of an operator: a formula with its operations, or its rule's docstring."""
    if RULES[name] is nothing:
        return "nothing: it computes no numbers"
    kind = name.partition(".")[2]
    kind = kind if kind in ELEMENTWISE else kind.removesuffix("_")
    if RULES[name].__module__.endswith(".elementwise"):
        if kind in ELEMENTWISE:
            return _row_text(ELEMENTWISE[kind])
        if kind == "gelu":
            none, tanh = _row_text(GELU["none"]), _row_text(GELU["tanh"])
            return f'{none}; with `approximate="tanh"` {tanh}'
    text = summary(RULES[name])
    if not text:
        raise ValueError(f"the rule of {name} has no docstring with its formula")
    return cell(text)


def _row_text(row: Row) -> str:
    """A formula with its operations."""
    formula, counts = row
    operations = ", ".join(f"{count} {op}" for op, count in counts.items()) or "nothing"
    return f"`{cell(formula)}`: {operations} an element"


def summary(of: object) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(of) or "").partition("\n\n")[0].split())


def cell(text: str) -> str:
    return text.replace("|", "\\|")
