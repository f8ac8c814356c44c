"""The report on our trained networks: its tables as CSV, and a page of Markdown around its figures."""

from __future__ import annotations

from collections.abc import Mapping

from addercost.analysis.paper_order import checked_claims
from addercost.report.formats.table_csv import to_csv
from addercost.report.formats.table_markdown import to_markdown
from addercost.report.tables.accuracy import order_table, reproduced_table, results_table, tuning_table
from addercost.results.accuracies import Accuracies


def training_report_files(results: Accuracies) -> Mapping[str, str]:
    """The files of reports/training-digits by name, made only from the results."""
    tables = {
        "results": results_table(results),
        "order": order_table(results),
        "tuning": tuning_table(results),
    }
    files = {f"{name}.csv": to_csv(table) for name, table in tables.items()}
    figures = (
        ("optimisation-schemes", "The four ways to train an adder network, the seed of median accuracy"),
        ("curves", "CNN with norms, adder network and BNN, the seed of median accuracy"),
        ("gradients", "Norms of the weight gradients by layer, before any scaling"),
        ("weights", "Weights after training, with the fitted Gaussian and Laplacian"),
        ("filters", "Filters of the first layer"),
        ("features", "The two features of LeNet++ on the test images, after 12 epochs"),
    )
    lines = ["# LeNet-5-BN on scikit-learn's digits", ""]
    lines += [f"{_lead(results)}", ""]
    for table in (*tables.values(), reproduced_table(results)):
        lines += [to_markdown(table), ""]
    for name, title in figures:
        lines += [f"## {title}", "", f"![{title}]({name}.svg)", ""]
    lines += ["## How it was made", ""]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in results.settings.items()]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in results.environment.items()]
    files["report.md"] = "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"
    return files


def _lead(results: Accuracies) -> str:
    """The results in sentences, which are made from the checked claims."""
    checked = list(checked_claims(results))
    said = {kind: [claim.claim for claim in checked if claim.holds.startswith(kind)] for kind in _SAID}
    return " ".join(f"{_SAID[kind]}: {'; '.join(claims)}." for kind, claims in said.items() if claims)


_SAID = {
    "holds": "Of the paper's order this holds",
    "no difference seen": "No difference is seen where the paper has none",
    "cannot tell": "These images and seeds cannot tell whether",
    "does not hold": "Not so here",
}
