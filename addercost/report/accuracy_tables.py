"""Tables of trained accuracies: ours on the digits, the paper's order tested, published beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from addercost.report.published import PUBLISHED_ABLATION, PUBLISHED_ACCURACIES
from addercost.report.tables import Column, Kind, Table, TableFormat, render, to_markdown
from addercost.results.accuracies import METHODS, Accuracies, MethodResult, paired
from addercost.results.training import TrainingRun

ORDER = (
    ("an adder network is as accurate as a CNN", "full-alr", "cnn", "cannot tell"),
    ("an adder network is as accurate as a CNN with its norms", "full-alr", "cnn-norms", "cannot tell"),
    ("ALR beats ILR, full gradients", "full-alr", "full-ilr", "above"),
    ("full gradients beat signs, ALR", "full-alr", "sign-alr", "above"),
    ("full gradients beat signs, ILR", "full-ilr", "sign-ilr", "above"),
    ("ALR beats ILR, signs", "sign-alr", "sign-ilr", "above"),
    ("full gradients with ILR beat signs with ALR", "full-ilr", "sign-alr", "above"),
    ("a BNN is below an adder network", "bnn", "full-alr", "below"),
)
"""What the paper's figures say: the claim, the two methods, and how the first stands to the second."""

_NETWORK = "lenet5-bn"

LEGEND = (
    "full, sign: full-precision or sign gradients. ALR, ILR: adaptive learning rate, or one increased by "
    "a factor, for all adder layers. norms: with the batch norms after linear layers that the adder "
    "network has and needs, and that the CNN of LeNet-5-BN lacks."
)


def results_table(results: Accuracies) -> Table:
    """Mean, spread and standard error of each method."""
    rows = [_row(found) for method in METHODS if (found := results.of(method)) is not None]
    return Table(
        columns=(
            Column("method", "method"),
            Column("seeds", "seeds", Kind.COUNT),
            Column("mean_percent", "mean\n(%)", Kind.PERCENT),
            Column("spread_points", "spread\n(points)", Kind.PERCENT),
            Column("lowest_percent", "lowest\n(%)", Kind.PERCENT),
            Column("highest_percent", "highest\n(%)", Kind.PERCENT),
            Column("error_points", "error\n(points)", Kind.PERCENT),
            Column("seconds", "time (s)", Kind.NUMBER, optional=True),
        ),
        rows=rows,
        title=f"Test accuracy of LeNet-5-BN on {results.dataset}, {len(results.labels)} test images",
        notes=(
            LEGEND,
            "spread: standard deviation over seeds. error: standard error of the mean, had there been other "
            f"test images; one of {len(results.labels)} is {100 / len(results.labels):.2f} points. time: "
            "processor time of one run on one thread.",
        ),
    )


def _row(found: MethodResult) -> dict[str, Any]:
    seconds = [run.seconds for run in found.runs if run.seconds]
    return {
        "method": METHODS[found.method],
        "seeds": len(found.runs),
        "mean_percent": found.mean,
        "spread_points": found.spread,
        "lowest_percent": min(found.by_seed),
        "highest_percent": max(found.by_seed),
        "error_points": found.standard_error,
        "seconds": round(sum(seconds) / len(seconds)) if seconds else None,
    }


def order_table(results: Accuracies) -> Table:
    """Each claim of the paper's order, the paired difference, and whether it holds."""
    rows = []
    for claim, first, second, expected in ORDER:
        a, b = results.of(first), results.of(second)
        if a is None or b is None:
            continue
        found = paired(a, b)
        if found.verdict == expected:
            holds = "no difference seen" if expected == "cannot tell" else "holds"
        elif expected == "cannot tell":
            holds = f"does not hold, it is {found.verdict}"
        else:
            holds = "cannot tell" if found.verdict == "cannot tell" else "does not hold"
        rows.append(
            {
                "claim": claim,
                "difference_points": found.points,
                "image_error_points": found.image_error,
                "seed_p": found.seed_p,
                "holds": holds,
            }
        )
    return Table(
        columns=(
            Column("claim", "the paper's order"),
            Column("difference_points", "difference\n(points)", Kind.PERCENT),
            Column("image_error_points", "error\n(points)", Kind.PERCENT),
            Column("seed_p", "p, seeds", Kind.NUMBER),
            Column("holds", "here"),
        ),
        rows=rows,
        title=f"The paper's order on {results.dataset}",
        notes=(
            "difference: of the mean accuracies of the two methods a claim names. error: its standard error "
            "from the test images, paired. p: the chance of as large a difference had the runs been dealt to "
            "the two methods at random. A verdict needs two standard errors and p of 0.05 at most. Images by "
            "one writer are alike, so that the true error is rather larger.",
        ),
    )


def tuning_table(results: Accuracies) -> Table:
    """How the factor of the increased rate was chosen."""
    return Table(
        columns=(
            Column("method", "method"),
            Column("increase", "factor", Kind.NUMBER),
            Column("accuracy_percent", "held-out\naccuracy (%)", Kind.PERCENT),
        ),
        rows=[
            {
                "method": METHODS[row.method],
                "increase": row.increase,
                "accuracy_percent": row.accuracy_percent,
            }
            for row in results.tuning
        ],
        title="The factor of the increased rate, chosen on 197 training images held out",
        notes=("One seed each, trained on the other 1,000; the test images took no part.",),
    )


def reproduced_table(results: Accuracies, own: Sequence[TrainingRun] = ()) -> Table:
    """Every accuracy the paper prints, ours where there is one, and what differs. own: the user's runs."""
    rows = [_ablation_row(results, method, printed) for method, printed in PUBLISHED_ABLATION.items()]
    for method in ("cnn-norms", "bnn"):
        if (found := results.of(method)) is not None:
            row = _published_row("LeNet-5-BN", "MNIST", METHODS[method], None)
            rows.append(row | _ours(results, found))
    for entry in PUBLISHED_ACCURACIES:
        if entry.zoo == _NETWORK:
            continue
        rows.append(
            {
                **_published_row(entry.network, entry.dataset, entry.title, entry.accuracy_percent),
            }
        )
    rows += [
        {
            "network": run.model,
            "method": run.name,
            "ours_percent": run.accuracy_percent,
            "ours_on": f"{run.dataset}, your run",
        }
        for run in own
    ]
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in results.settings.items())
    return Table(
        columns=(
            Column("network", "network", Kind.PATH),
            Column("dataset", "published\non"),
            Column("method", "method"),
            Column("published_percent", "published\n(%)", Kind.PERCENT),
            Column("ours_percent", "ours\n(%)", Kind.PERCENT),
            Column("spread_points", "spread", Kind.PERCENT),
            Column("error_points", "error", Kind.PERCENT),
            Column("ours_on", "ours on"),
        ),
        rows=rows,
        title="Accuracies of Chen et al., CVPR 2020, and ours",
        notes=(
            LEGEND,
            "What differs in the data: digits are scikit-learn's 1,797 images of 8×8 pixels, brought to "
            "32×32, 1,197 to train with and 600 to test with, the last in its order; MNIST has 60,000 and "
            "10,000 of 28×28. So the two columns are not to be subtracted; compare the order within each.",
            f"Ours: mean of 5 seeds; {settings}; the factor of the increased rate was chosen on held-out "
            "images. In the BNN every layer is binary, the first and the last, too. spread: standard "
            "deviation over seeds; error: standard error of the mean from the test images; both in points.",
            "`make training-report` trains ours anew. The rest needs its data, which is not shipped: "
            "addercost train zoo:resnet20-cifar:adder --data cifar10:DIR -o RUN, then addercost reproduce "
            "accuracy RUN.",
        ),
    )


def _ablation_row(results: Accuracies, method: str, printed: float) -> dict[str, Any]:
    found = results.of(method)
    row = _published_row("LeNet-5-BN", "MNIST", METHODS[method], printed)
    return row | (_ours(results, found) if found is not None else {})


def _published_row(network: str, dataset: str, method: str, printed: float | None) -> dict[str, Any]:
    return {"network": network, "dataset": dataset, "method": method, "published_percent": printed}


def _ours(results: Accuracies, found: MethodResult) -> dict[str, Any]:
    return {
        "ours_percent": found.mean,
        "spread_points": found.spread,
        "error_points": found.standard_error,
        "ours_on": results.dataset,
    }


def report_files(results: Accuracies) -> Mapping[str, str]:
    """The tables of reports/training-digits by file name, made from the results alone."""
    tables = {
        "results": results_table(results),
        "order": order_table(results),
        "tuning": tuning_table(results),
    }
    files = {f"{name}.csv": render(table, TableFormat.CSV) for name, table in tables.items()}
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
    """What came out, in sentences made from the tables."""
    rows = order_table(results).rows
    said = {kind: [str(row["claim"]) for row in rows if str(row["holds"]).startswith(kind)] for kind in _SAID}
    return " ".join(f"{_SAID[kind]}: {'; '.join(claims)}." for kind, claims in said.items() if claims)


_SAID = {
    "holds": "Of the paper's order this holds",
    "no difference seen": "No difference is seen where the paper has none",
    "cannot tell": "These images and seeds cannot tell whether",
    "does not hold": "Not so here",
}
