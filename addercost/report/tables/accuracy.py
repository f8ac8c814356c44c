"""Tables of accuracies: our networks on digits, tests of the order that the paper claims, and published
accuracies beside ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from addercost.analysis.paper_order import checked_claims
from addercost.analysis.published import PUBLISHED_ABLATION, PUBLISHED_ACCURACIES
from addercost.report.table import Column, Kind, Table
from addercost.results.accuracies import METHODS, Accuracies, MethodResult
from addercost.results.training import TrainingRun

_NETWORK = "lenet5-bn"

LEGEND = (
    "full, sign: full-precision or sign gradients. ALR, ILR: adaptive learning rate, or one increased by "
    "a factor, for all adder layers. norms: with the batch norms after linear layers that the adder "
    "network has and needs, and that the CNN of LeNet-5-BN lacks."
)


def results_table(results: Accuracies) -> Table:
    """A row for each method: mean, spread and standard error."""
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
    """A row for each claim of the paper's order: the paired difference, and whether the claim is
    confirmed.
    """
    rows = [
        {
            "claim": checked.claim,
            "difference_points": checked.difference.points,
            "image_error_points": checked.difference.image_error,
            "seed_p": checked.difference.seed_p,
            "holds": checked.holds,
        }
        for checked in checked_claims(results)
    ]
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
    """A row for every accuracy that the paper prints, with ours where there is one. own: training runs of the
    user.
    """
    rows = [_ablation_row(results, method, printed) for method, printed in PUBLISHED_ABLATION.items()]
    for method in ("cnn-norms", "bnn"):
        if (found := results.of(method)) is not None:
            row = _published_row("LeNet-5-BN", "MNIST", METHODS[method], None)
            rows.append(row | _ours(results, found))
    for entry in PUBLISHED_ACCURACIES:
        if entry.zoo == _NETWORK:
            continue
        rows.append(_published_row(entry.network, entry.dataset, entry.title, entry.accuracy_percent))
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
