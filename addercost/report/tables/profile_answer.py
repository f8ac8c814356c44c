"""A profile in one sentence: what the network costs, which block costs most, and how arithmetics compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from addercost.analysis.alternatives import OtherArithmetic
from addercost.analysis.bounds import bound_words
from addercost.analysis.layer_rows import ProfileRow, basis_of, weight_of
from addercost.arithmetic import Arithmetic
from addercost.results.profile import Profile
from addercost.units import si

CHOOSE_A_PROCESSOR = (
    "for times, name a processor with --cpu (`addercost hardware list` has them all), or measure this one "
    "with `addercost calibrate`"
)

LAYERS_AS = {
    Arithmetic.MAC: "multiply-adds",
    Arithmetic.ADDER: "adder layers",
    Arithmetic.XNOR: "binary layers",
    Arithmetic.SHIFT: "shift layers",
}


_EQUAL = 1e-3


def answer(
    profile: Profile,
    blocks: Sequence[ProfileRow],
    others: Sequence[OtherArithmetic] = (),
    no_processor_chosen: bool = False,
) -> str:
    """The sentence. blocks: the rows among which the costliest is found. others: profiles of the same network
    in other arithmetics. no_processor_chosen: whether the sentence says how to choose a processor.
    """
    places = [*_places(profile)]
    model = profile.counts.model
    bound = "" if profile.counts.complete else "at least "
    if places:
        parts = [f"{model} takes {', '.join(places)}"]
    else:
        parts = [f"{model} has {bound}{si(profile.counts.mac_sites, digits=4)} multiply-accumulates"]
    parts += _costliest(profile, blocks, "" if places else " of its operations")
    if others:
        first = profile.costs[0]
        listed = _joined(
            [f"{_times(item.ratio)} as long with {LAYERS_AS[item.arithmetic]}" for item in others]
        )
        on = f" on {first.hardware}" if len(places) > 1 else ""
        by = f", by {others[0].cost_model}" if others[0].cost_model != first.model else ""
        parts.append(f"it would take {listed}{on}{by}")
    if not places and no_processor_chosen:
        parts.append(CHOOSE_A_PROCESSOR)
    return "; ".join(parts)


def batches_answer(profiles: Mapping[int, Profile]) -> str:
    """A sentence on what the network takes at each of several batch sizes."""
    first = next(iter(profiles.values()))
    if not next(_places(first), None):
        return ""
    takes = (f"{', '.join(_places(profile))} at batch {size}" for size, profile in profiles.items())
    return f"{first.counts.model} takes {'; '.join(takes)}"


def _costliest(profile: Profile, blocks: Sequence[ProfileRow], of: str) -> Iterator[str]:
    """(the block that takes most, how many other blocks take as much)."""
    basis = basis_of(profile)
    weights = [weight_of(block, basis) for block in blocks]
    whole, most = sum(weights), max(weights, default=0.0)
    if not whole:
        return
    equal = [
        block.path for block, weight in zip(blocks, weights, strict=True) if weight > most * (1 - _EQUAL)
    ]
    share = f"{100 * most / whole:.0f} %"
    name = equal[0] or "(model)"
    if len(equal) == 1:
        yield f"{name} takes the most, {share}{of}"
    else:
        yield f"{name} and {len(equal) - 1} more take the most, {share}{of} each"


def _places(profile: Profile) -> Iterator[str]:
    """The clauses on what the network takes on each processor and accelerator."""
    uncounted = not profile.counts.complete
    for cost in profile.costs:
        bound = "at least " if uncounted or not cost.complete else ""
        amount = f"{si(cost.cycles)} cycles" if cost.seconds is None else si(cost.seconds, "s")
        yield f"{bound}{amount} on {cost.hardware} (estimated by {cost.model})"
    for item in profile.accelerators:
        bound = "at least " if uncounted or not item.complete else ""
        yield f"{bound}{si(item.seconds, 's')} on {item.hardware} (estimated)"


def _times(ratio: float) -> str:
    return f"{bound_words(ratio)}{f'{float(ratio):#.3g}'.removesuffix('.')} times"


def _joined(parts: Sequence[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
