"""The sentence that is printed wherever estimates by different cost models are shown together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from addercost.analysis.accelerators import ARRAY
from addercost.results.profile import Profile


def mixed_models_of(profile: Profile) -> Iterator[str]:
    return mixed_models(
        ((cost.model, cost.hardware) for cost in profile.costs),
        (item.hardware for item in profile.accelerators),
    )


def mixed_models(costs: Iterable[tuple[str, str]], accelerators: Iterable[str] = ()) -> Iterator[str]:
    """The sentence, or nothing where one cost model made all estimates. costs: (cost model, hardware) of each
    estimate.
    """
    named: dict[str, dict[str, None]] = {}
    # An estimate by another mapper has the mapper in its name.
    arrays = ((f"its {ARRAY}", name) for name in accelerators if " by " not in name)
    for model, hardware in (*costs, *arrays):
        named.setdefault(model, {})[hardware] = None
    if len(named) > 1:
        listed = ", ".join(f"{' and '.join(names)} by {model}" for model, names in named.items())
        yield (
            f"the cost models differ here ({listed}): compare networks by one of them, since each leaves out "
            "other things"
        )
