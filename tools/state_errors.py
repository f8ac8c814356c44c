"""Writes down how far each cost model is from measured times: from the validations kept in `reports/` into
`addercost/cost/stated_errors.toml`, and as a table into `docs/cost-models.md`.

Usage: python tools/state_errors.py

Nothing is measured here. `addercost validate … -o reports/NAME` makes a validation; for timings of others,
with --scores-only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from toml_writing import literal

from addercost.analysis.validation import FIT, HALF
from addercost.cost.models import COST_MODELS
from addercost.cost.stated_errors import FILE
from addercost.results.validation import NETWORKS, Score, Validation, read_validation

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "cost-models.md"
_LAYER_MODEL = "roofline"
"""The only model whose errors on layers are in the table, since it charges arithmetic and bytes. The pages
have all models.
"""

_HOW = {HALF: ", scaled", FIT: ", three numbers fitted"}

START, END = "<!-- where the estimates stand: make state-errors -->", "<!-- end -->"


def validations(folder: Path = ROOT / "reports") -> list[tuple[str, Validation]]:
    """(page, validation) of all validations, the one with most networks first."""
    found = [
        (str(file.with_suffix(".md").relative_to(folder.parent)), read_validation(file))
        for file in sorted(folder.glob("*/validation.json"))
    ]
    return sorted(found, key=lambda item: -_networks(item[1]))


def _networks(validation: Validation) -> int:
    return max((score.rows for score in validation.scores if score.group == NETWORKS), default=0)


def stated(found: Sequence[tuple[str, Validation]]) -> Iterator[str]:
    """The text of the TOML file in pieces."""
    yield "# Written by `make state-errors` from the validations in reports/. Do not edit.\n"
    for model in COST_MODELS:
        for page, validation in found:
            scores = {score.scaled_by: score for score in validation.scores if _is_of(score, model)}
            plain = scores.get("")
            # A space of a single design has no families of networks, and its errors say little about other
            # networks.
            if plain is None or plain.bias is None or not plain.worst:
                continue
            score = scores.get(HALF, plain) if is_scaled(validation, model) else plain
            factor = 1 / (1 + plain.bias) if score.scaled_by else 1.0
            yield "\n".join(
                (
                    "\n[[errors]]",
                    f"model = {literal(model)}",
                    f"hardware = {literal(validation.hardware)}",
                    f"machine = {literal(machine(validation))}",
                    f"processor = {literal(validation.conditions.get('cpu', ''))}",
                    f"number_format = {literal(validation.conditions.get('dtype', 'fp32'))}",
                    f"networks = {score.rows}",
                    f"median_error = {score.median_error:.4g}",
                    f"p90_error = {score.p90_error:.4g}",
                    f"factor = {factor:.4g}",
                    f"source = {literal(page)}\n",
                )
            )


def _is_of(score: Score, model: str) -> bool:
    return score.group == NETWORKS and score.model == model


def is_published(validation: Validation) -> bool:
    """Whether other people made the measurements. Cores, threads and clock then differ from those of the
    estimate.
    """
    return "threads" not in validation.conditions


def is_scaled(validation: Validation, model: str) -> bool:
    """Whether the error after one factor is stated, because one core was predicted and all cores were
    measured.
    """
    return is_published(validation) and not (model in COST_MODELS and COST_MODELS[model].on_all_cores)


def machine(validation: Validation) -> str:
    """The measured machine in words."""
    conditions = validation.conditions
    named = conditions.get("machine") or conditions.get("cpu") or validation.source
    if "networks" in conditions and "," not in conditions["networks"]:
        return f"{named}, {conditions['networks']}"
    threads, dtype = conditions.get("threads", "1"), conditions.get("dtype", "fp32")
    if is_published(validation):
        return named
    mode = f", {conditions['mode']}" if "mode" in conditions else ""
    return f"{named}{f', {threads} threads' * (threads != '1')}{f', {dtype}' * (dtype != 'fp32')}{mode}"


def table(found: Sequence[tuple[str, Validation]]) -> Iterator[str]:
    """The lines of the table on the page."""
    yield "| measured | predicted by | of | median error | P90 | within ±25 % | Spearman | Kendall τ |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for page, validation in found:
        name = f"[{machine(validation)}](../{page})"
        for score in validation.scores:
            scaled = score.group == NETWORKS and is_scaled(validation, score.model)
            wanted = (HALF if scaled else "", FIT)
            if score.scaled_by not in wanted:
                continue
            if score.group != NETWORKS and score.model != _LAYER_MODEL:
                continue
            of = "networks" if score.group == NETWORKS else f"layers: {score.group.removeprefix('layers, ')}"
            cells = [
                name,
                f"{score.model}{_HOW.get(score.scaled_by, '')}",
                f"{score.rows} {of}",
                *map(_percent, (score.median_error, score.p90_error, score.within_25)),
                *map(_plain, (score.spearman, score.kendall)),
            ]
            yield f"| {' | '.join(cells)} |"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def with_table(text: str, found: Sequence[tuple[str, Validation]]) -> str:
    """The page with the table of today between its two marks."""
    lines = "\n".join((START, *table(found), END))
    return re.sub(f"{re.escape(START)}.*?{re.escape(END)}", lambda _: lines, text, flags=re.S)


def main() -> None:
    found = validations()
    FILE.write_text("".join(stated(found)), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
